/* commands.c - the table of commands, and `dx` itself.
 *
 * A new command is a row in COMMANDS and a function declared in commands.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/nearest.h"
#include "cli/options.h"
#include "cli/output.h"

static int help_run(int argc, char **argv);

static const dxi_command_t COMMANDS[] = {
    {"server", "run a node: dx server --dev needs no configuration", dxi_cli_server},
    {"pub", "publish a text, lines, or many events at a rate", dxi_cli_pub},
    {"sub", "print the events of a topic or pattern", dxi_cli_sub},
    {"request", "ask, and print the answer", dxi_cli_request},
    {"reply", "answer requests: with a text, a command, or an echo", dxi_cli_reply},
    {"top", "a node at work: topics, subscriptions, connections, rings", dxi_cli_top},
    {"topic", "create, change, list, look at, tail and remove topics", dxi_cli_topic},
    {"node", "what a node says of itself, its connections, its subscriptions", dxi_cli_node},
    {"config", "files and values of a node's configuration", dxi_cli_config},
    {"user", "who may use a node: users, tokens, permissions", dxi_cli_user},
    {"context", "save nodes under names, so that nobody types addresses", dxi_cli_context},
    {"doctor", "is this machine fit for a node, and what to do", dxi_cli_doctor},
    {"bundle", "an archive for those who help, without secrets", dxi_cli_bundle},
    {"generate", "files for systemd, Prometheus, Grafana, shells and man", dxi_cli_generate},
    {"demo", "run a demonstration: orders through a bus, a shared ring", dxi_cli_demo},
    {"bench", "measure a ring, the bus, a node on this machine", dxi_cli_bench},
    {"latency", "measure a round trip, or what this machine alone costs", dxi_cli_latency},
    {"stat", "show shared rings at work: rates, lag, who is dead or stalled", dxi_cli_stat},
    {"ring", "list, remove and dump shared rings", dxi_cli_ring},
    {"cheat", "short recipes to copy: dx cheat pub", dxi_cli_cheat},
    {"errors", "list the error codes, or explain one", dxi_cli_errors},
    {"help", "explain a command: dx help topic create", help_run},
    {"version", "print the version and what the program was built with", dxi_cli_version},
    {NULL, NULL, NULL},
};

/* The headings of the list, each before the command that it begins with. */
static const struct {
    const char *before;
    const char *heading;
} GROUPS[] = {
    {"server", "Run a node and use it"}, {"top", "Look after a node"}, {"demo", "Try and measure"},
    {"stat", "Look at shared rings"},    {"cheat", "Find out"},
};

static const char DESCRIPTION[] =
    "DisruptorX on the command line. `dx help COMMAND` explains a command, with\n"
    "examples. Results are printed to standard output, everything else to standard\n"
    "error.\n"
    "\n"
    "Exit codes: 0 it worked, 1 it failed, 2 the command line is wrong, 3 nobody\n"
    "answered.\n";

static const char EXAMPLES[] =
    "  dx server --dev                 a node; then, in other windows:\n"
    "  dx sub 'orders.*'               see what is published\n"
    "  dx pub orders.new '{\"id\": 7}'   publish\n"
    "  dx latency --dev                how long a round trip takes here\n"
    "  dx demo orders                  an order pipeline through a node, with report\n"
    "  dx errors EAGAIN                what an error code means, and what to do\n";

typedef struct settings {
    bool version;
} settings_t;

static const dxi_option_t OPTIONS[] = {
    {.name = "version",
     .kind = DXI_OPTION_FLAG,
     .offset = offsetof(settings_t, version),
     .help = "the same as dx version"},
};

static const dxi_usage_t USAGE = {
    .command = "dx",
    .operands = "COMMAND ...",
    .description = DESCRIPTION,
    .options = OPTIONS,
    .option_count = 1,
    .examples = EXAMPLES,
    .stops_at_operands = 1,
    .uses_node = 1,
};

const dxi_command_t *dxi_command_find(const dxi_command_t *table, const char *speaker,
                                      const char *name)
{
    dxi_nearest_t nearest = {.word = name};
    for (const dxi_command_t *row = table; row->name != NULL; row++) {
        if (strcmp(row->name, name) == 0) {
            return row;
        }
        dxi_nearest_offer(&nearest, row->name);
    }
    if (nearest.best != NULL) {
        dxi_complain(speaker, "there is no \"%.60s\"; did you mean \"%s %s\"?", name, speaker,
                     nearest.best);
    } else {
        dxi_complain(speaker, "there is no \"%.60s\"", name);
    }
    fprintf(stderr, "Help: %s --help\n", speaker);
    return NULL;
}

const dxi_command_t *dxi_commands(void)
{
    return COMMANDS;
}

const dxi_usage_t *dxi_commands_usage(void)
{
    return &USAGE;
}

/* "add, ls, rm" of a table. */
static void names_write(const dxi_command_t *table, char *text, size_t bytes)
{
    size_t used = 0;
    text[0] = '\0';
    for (; table->name != NULL && used < bytes; table++) {
        used +=
            (size_t)snprintf(text + used, bytes - used, "%s%s", used > 0 ? ", " : "", table->name);
    }
}

int dxi_command_group(const dxi_usage_t *usage, int argc, char **argv)
{
    dxi_operands_t operands;
    dx_error_t error = {0};
    const int parsed = dxi_arguments_parse(usage, argc, argv, NULL, &operands, &error);
    if (parsed == DXI_PARSED_HELP) {
        dxi_usage_print(usage, stdout);
        return DXI_EXIT_OK;
    }
    if (parsed != DX_OK) {
        return dxi_usage_error(usage, &error);
    }
    if (operands.count == 0) {
        char names[160];
        names_write(usage->actions, names, sizeof names);
        if (usage->noun == NULL) {
            dxi_complain(usage->command, "what to do? There are: %s", names);
        } else {
            dxi_complain(usage->command, "which %s? There are: %s", usage->noun, names);
        }
        fprintf(stderr, "Help: %s --help\n", usage->command);
        return DXI_EXIT_USAGE;
    }
    const dxi_command_t *const command =
        dxi_command_find(usage->actions, usage->command, operands.texts[0]);
    return command == NULL ? DXI_EXIT_USAGE : command->run(operands.count, operands.texts);
}

static void overview_print(void)
{
    dxi_usage_print(&USAGE, stdout);
    for (const dxi_command_t *row = COMMANDS; row->name != NULL; row++) {
        for (size_t i = 0; i < sizeof GROUPS / sizeof GROUPS[0]; i++) {
            if (strcmp(GROUPS[i].before, row->name) == 0) {
                printf("\n%s%s%s\n", dxi_style(stdout, DXI_STYLE_HEADING), GROUPS[i].heading,
                       dxi_style(stdout, DXI_STYLE_PLAIN));
            }
        }
        fprintf(stdout, "  %-9s %s\n", row->name, row->summary);
    }
}

/* Runs the command that argv[0] names. */
static int command_run(int argc, char **argv)
{
    const dxi_command_t *const command = dxi_command_find(COMMANDS, "dx", argv[0]);
    return command == NULL ? DXI_EXIT_USAGE : command->run(argc, argv);
}

#define HELP_WORDS_MAX 4

/* `dx help demo orders` is `dx demo orders --help`. */
static int help_run(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx help",
        .operands = "[COMMAND ...]",
        .description = "Explains a command. Without one, lists them all.\n",
        .examples = "  dx help demo\n  dx help demo orders\n",
        .operands_max = HELP_WORDS_MAX,
    };
    dxi_operands_t operands;
    const int begun = dxi_arguments_begin(&usage, argc, argv, NULL, &operands);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    if (operands.count == 0) {
        overview_print();
        return DXI_EXIT_OK;
    }
    static char help_option[] = "--help";
    char *words[HELP_WORDS_MAX + 2] = {0};
    memcpy(words, operands.texts, (size_t)operands.count * sizeof *words);
    words[operands.count] = help_option;
    return command_run(operands.count + 1, words);
}

static int dispatch(int argc, char **argv)
{
    settings_t settings = {0};
    dxi_operands_t operands;
    dx_error_t error = {0};
    const int parsed = dxi_arguments_parse(&USAGE, argc, argv, &settings, &operands, &error);
    if (parsed == DXI_PARSED_HELP) {
        overview_print();
        return DXI_EXIT_OK;
    }
    if (parsed != DX_OK) {
        return dxi_usage_error(&USAGE, &error);
    }
    if (settings.version) {
        static char version[] = "version";
        char *words[] = {version, NULL};
        return dxi_cli_version(1, words);
    }
    if (operands.count == 0) {
        dxi_complain("dx", "no command given");
        fputs("Help: dx --help\n", stderr);
        return DXI_EXIT_USAGE;
    }
    return command_run(operands.count, operands.texts);
}

/* A standard descriptor that came closed is put in place, so that no file or socket of ours gets
 * its number, and what is read from it or written to it stays an error: the wrong way round. */
static void descriptors_keep(void)
{
    static const int ways[] = {O_WRONLY, O_RDONLY, O_RDONLY};
    for (int fd = 0; fd < 3; fd++) {
        if (fcntl(fd, F_GETFD) < 0) {
            (void)open("/dev/null", ways[fd]); /* gets the lowest number, which is this one */
        }
    }
}

int dxi_cli_main(int argc, char **argv)
{
    descriptors_keep();
    const int result = dispatch(argc, argv);
    const int number = fflush(stdout) != 0 ? errno : 0;
    if (number != 0 || ferror(stdout)) {
        dxi_complain_output("dx", number);
        return result == DXI_EXIT_OK ? DXI_EXIT_FAILED : result;
    }
    return result;
}
