/* generate_man.c - `dx generate man`: the manual's pages, from the tables of commands and options.
 *
 * dx(1) has the whole list; each command has a page with all its actions, as dx-topic(1). The
 * options that commands share stand at the end of each page.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/fail.h"
#include "cli/command_tree.h"
#include "cli/generate.h"
#include "cli/options.h"
#include "cli/output.h"

#define COMMAND "dx generate man"
#define CONFIG_PAGE "dx-node.yaml"
#define PAGE_BYTES 64

/* ----------------------------------------------------------------------------------------- roff */

void dxi_roff_write(FILE *stream, const char *text, size_t bytes)
{
    bool bold = false;
    for (size_t i = 0; i < bytes; i++) {
        const bool begins = i == 0 || text[i - 1] == '\n';
        if (begins && (text[i] == '.' || text[i] == '\'')) {
            fputs("\\&", stream);
        }
        switch (text[i]) {
        case '\\':
            fputs("\\e", stream);
            break;
        case '-':
            fputs("\\-", stream);
            break;
        case '\'':
            fputs("\\(aq", stream);
            break;
        case '^':
            fputs("\\(ha", stream);
            break;
        case '~':
            fputs("\\(ti", stream);
            break;
        case '`':
            bold = !bold;
            fputs(bold ? "\\fB" : "\\fR", stream);
            break;
        default:
            fputc(text[i], stream);
        }
    }
}

static void text_write(FILE *stream, const char *text)
{
    dxi_roff_write(stream, text, strlen(text));
}

/* Paragraphs; lines that begin with a blank stay as they are. */
static void description_write(FILE *stream, const char *text)
{
    bool literal = false;
    bool first = true;
    while (*text != '\0') {
        const size_t bytes = strcspn(text, "\n");
        const bool indented = text[0] == ' ';
        if (bytes == 0 && !literal) {
            fputs(first ? "" : ".PP\n", stream);
        }
        if (indented != literal && bytes > 0) {
            fputs(indented ? ".RS 2\n.nf\n" : ".fi\n.RE\n", stream);
            literal = indented;
        }
        if (bytes > 0) {
            const size_t skip = indented ? strspn(text, " ") : 0;
            dxi_roff_write(stream, text + skip, bytes - skip);
            fputc('\n', stream);
            first = false;
        } else if (literal) {
            fputs(".fi\n.RE\n.PP\n", stream);
            literal = false;
        }
        text += bytes + (text[bytes] == '\n');
    }
    fputs(literal ? ".fi\n.RE\n" : "", stream);
}

static void option_write(FILE *stream, const dxi_option_t *option)
{
    fputs(".TP\n", stream);
    if (option->letter != '\0') {
        fprintf(stream, "\\fB\\-%c\\fR, ", option->letter);
    }
    fputs("\\fB\\-\\-", stream);
    text_write(stream, option->name);
    fputs("\\fR", stream);
    if (option->value_name != NULL) {
        fputs(" \\fI", stream);
        text_write(stream, option->value_name);
        fputs("\\fR", stream);
    }
    fputc('\n', stream);
    text_write(stream, option->help);
    if (option->kind == DXI_OPTION_CHOICE) {
        fputs(".\nOne of", stream);
        for (size_t i = 0; option->choices[i] != NULL; i++) {
            fputs(i == 0 ? " \\fB" : ", \\fB", stream);
            text_write(stream, option->choices[i]);
            fputs("\\fR", stream);
        }
    }
    fputs(".\n", stream);
}

static void options_write(FILE *stream, const char *heading, const dxi_option_t *options,
                          size_t count)
{
    if (count > 0) {
        fprintf(stream, "%s\n", heading);
    }
    for (size_t i = 0; i < count; i++) {
        option_write(stream, &options[i]);
    }
}

static void examples_write(FILE *stream, const char *heading, const char *examples)
{
    if (examples != NULL) {
        fprintf(stream, "%s\n", heading);
        description_write(stream, examples);
    }
}

static void synopsis_write(FILE *stream, const dxi_usage_t *usage)
{
    fputs("\\fB", stream);
    text_write(stream, usage->command);
    fputs("\\fR [\\fIOPTION\\fR]...", stream);
    if (usage->operands != NULL) {
        fputs(" \\fI", stream);
        text_write(stream, usage->operands);
        fputs("\\fR", stream);
    }
    fputc('\n', stream);
}

/* ---------------------------------------------------------------------------------------- pages */

/* "dx-topic" of "topic". */
static void page_name(char room[PAGE_BYTES], const char *command)
{
    snprintf(room, PAGE_BYTES, "dx-%s", command);
}

static void head_write(FILE *stream, const char *page, int section, const char *summary)
{
    fputs(".\\\" Written by dx generate man.\n.TH ", stream);
    for (const char *at = page; *at != '\0'; at++) {
        fprintf(stream, "%s%c", *at == '-' ? "\\" : "", toupper((unsigned char)*at));
    }
    fprintf(stream, " %d \"\" \"DisruptorX " DX_VERSION_STRING "\" \"DisruptorX\"\n", section);
    fputs(".nh\n.ad l\n.SH NAME\n", stream);
    text_write(stream, page);
    fputs(" \\- ", stream);
    text_write(stream, summary);
    fputc('\n', stream);
}

static void tail_write(FILE *stream, bool uses_node, bool is_first)
{
    size_t count = 0;
    const dxi_option_t *options = dxi_options_of_node(&count);
    if (uses_node) {
        options_write(stream, ".SH OPTIONS THAT NAME THE NODE", options, count);
    }
    options = dxi_options_of_all(&count);
    options_write(stream, ".SH OPTIONS OF EVERY COMMAND", options, count);
    fputs(".SH EXIT STATUS\n.TP\n.B 0\nit worked\n.TP\n.B 1\nit failed\n.TP\n.B 2\n"
          "the command line is wrong; nothing was done\n.TP\n.B 3\nnobody answered\n",
          stream);
    fputs(".SH SEE ALSO\n", stream);
    fputs(is_first ? ".BR dx\\-node.yaml (5)\n" : ".BR dx (1),\n.BR dx\\-node.yaml (5)\n", stream);
}

static void environment_write(FILE *stream)
{
    static const struct {
        const char *name, *what;
    } variables[] = {
        {"DX_ADDRESS", "the node, where neither --address nor --context names one"},
        {"DX_TOKEN", "the token, where --token is not given and no saved context is meant"},
        {"DX_<SECTION>_<OPTION>", "an option of a node, over its file: see dx-node.yaml(5)"},
        {"NO_COLOR", "not empty: no colours"},
        {"COLUMNS", "how wide tables may be"},
        {"XDG_CONFIG_HOME", "where saved contexts lie, in disruptorx/; else in ~/.config"},
    };
    fputs(".SH ENVIRONMENT\n", stream);
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        fprintf(stream, ".TP\n.B %s\n", variables[i].name);
        text_write(stream, variables[i].what);
        fputc('\n', stream);
    }
}

static void main_page_write(FILE *stream)
{
    const dxi_usage_t *const usage = dxi_commands_usage();
    head_write(stream, "dx", 1, "run a DisruptorX node, use it and look after it");
    fputs(".SH SYNOPSIS\n", stream);
    synopsis_write(stream, usage);
    fputs(".SH DESCRIPTION\n", stream);
    description_write(stream, usage->description);
    fputs(".SH COMMANDS\n", stream);
    for (const dxi_command_t *row = dxi_commands(); row->name != NULL; row++) {
        fprintf(stream, ".TP\n.BR dx\\-%s (1)\n", row->name);
        text_write(stream, row->summary);
        fputc('\n', stream);
    }
    options_write(stream, ".SH OPTIONS", usage->options, usage->option_count);
    examples_write(stream, ".SH EXAMPLES", usage->examples);
    environment_write(stream);
    tail_write(stream, usage->uses_node, true);
}

static void action_write(FILE *stream, const dxi_usage_t *usage)
{
    fputs(".SS ", stream);
    text_write(stream, usage->command);
    fputc('\n', stream);
    synopsis_write(stream, usage);
    fputs(".PP\n", stream);
    description_write(stream, usage->description);
    options_write(stream, ".PP\nOptions:", usage->options, usage->option_count);
    examples_write(stream, ".PP\nExamples:", usage->examples);
}

/* "ACTIONS" of "action". */
static void heading_write(FILE *stream, const char *noun)
{
    fputs(".SH ", stream);
    for (; *noun != '\0'; noun++) {
        fputc(toupper((unsigned char)*noun), stream);
    }
    fputs("S\n", stream);
}

static void command_page_write(FILE *stream, const char *page, const dxi_command_t *command)
{
    const dxi_usage_t *const usage = dxi_command_usage(command);
    const dxi_command_t *const actions = dxi_command_actions(usage);
    bool uses_node = usage->uses_node;
    head_write(stream, page, 1, command->summary);
    fputs(".SH SYNOPSIS\n", stream);
    synopsis_write(stream, usage);
    for (const dxi_command_t *row = actions; row->name != NULL; row++) {
        fputs(".br\n", stream);
        synopsis_write(stream, dxi_command_usage(row));
    }
    fputs(".SH DESCRIPTION\n", stream);
    description_write(stream, usage->description);
    options_write(stream, ".SH OPTIONS", usage->options, usage->option_count);
    if (actions->name != NULL) {
        heading_write(stream, usage->noun != NULL ? usage->noun : "action");
    }
    for (const dxi_command_t *row = actions; row->name != NULL; row++) {
        const dxi_usage_t *const action = dxi_command_usage(row);
        action_write(stream, action);
        uses_node = uses_node || action->uses_node;
    }
    examples_write(stream, ".SH EXAMPLES", usage->examples);
    tail_write(stream, uses_node, false);
}

int dxi_man_write(FILE *stream, const char *page)
{
    if (strcmp(page, "dx") == 0) {
        main_page_write(stream);
        return 1;
    }
    if (strcmp(page, CONFIG_PAGE) == 0) {
        head_write(stream, page, 5, "the configuration of a DisruptorX node");
        dxi_man_config_write(stream);
        return 5;
    }
    for (const dxi_command_t *row = dxi_commands(); row->name != NULL; row++) {
        char name[PAGE_BYTES];
        page_name(name, row->name);
        if (strcmp(name, page) == 0) {
            command_page_write(stream, name, row);
            return 1;
        }
    }
    return 0;
}

void dxi_man_each(void (*visit)(void *context, const char *page, int section), void *context)
{
    visit(context, "dx", 1);
    for (const dxi_command_t *row = dxi_commands(); row->name != NULL; row++) {
        char name[PAGE_BYTES];
        page_name(name, row->name);
        visit(context, name, 1);
    }
    visit(context, CONFIG_PAGE, 5);
}

/* -------------------------------------------------------------------------------------- command */

typedef struct settings {
    const char *folder;
} settings_t;

static const dxi_option_t OPTIONS[] = {
    {.name = "folder",
     .letter = 'd',
     .kind = DXI_OPTION_TEXT,
     .value_name = "DIR",
     .offset = offsetof(settings_t, folder),
     .help =
         "write all pages as files into this folder, which must be there: dx.1, dx-topic.1 ..."},
};

static const dxi_usage_t USAGE = {
    .command = COMMAND,
    .operands = "[PAGE]",
    .description =
        "Prints a page of the manual as roff: dx, dx-COMMAND, dx-node.yaml; without one,\n"
        "dx. `make install` puts all of them where man finds them.\n",
    .options = OPTIONS,
    .option_count = sizeof OPTIONS / sizeof OPTIONS[0],
    .examples = "  dx generate man dx-topic | man -l -\n"
                "  dx generate man --folder ~/.local/share/man/man1\n",
    .prints = "a page",
    .operands_max = 1,
};

typedef struct pages {
    const char *folder;
    bool failed;
} pages_t;

static void page_save(void *context, const char *page, int section)
{
    pages_t *const pages = context;
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.%d", pages->folder, page, section);
    FILE *const file = pages->failed ? NULL : fopen(path, "we");
    if (file == NULL) {
        if (!pages->failed) {
            dxi_complain(COMMAND, "%s can't be written: %s", path, strerror(errno));
        }
        pages->failed = true;
        return;
    }
    (void)dxi_man_write(file, page);
    if (ferror(file) != 0 || fclose(file) != 0) {
        dxi_complain(COMMAND, "%s can't be written: %s", path, strerror(errno));
        pages->failed = true;
    }
}

int dxi_generate_man(int argc, char **argv)
{
    settings_t settings = {0};
    dxi_operands_t operands;
    const int begun = dxi_arguments_begin(&USAGE, argc, argv, &settings, &operands);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    if (settings.folder != NULL) {
        pages_t pages = {.folder = settings.folder};
        dxi_man_each(page_save, &pages);
        return pages.failed ? DXI_EXIT_FAILED : DXI_EXIT_OK;
    }
    const char *const page = operands.count > 0 ? operands.texts[0] : "dx";
    if (dxi_man_write(stdout, page) == 0) {
        dxi_complain(COMMAND,
                     "there is no page \"%.60s\"; there are dx, dx-COMMAND and " CONFIG_PAGE, page);
        return DXI_EXIT_USAGE;
    }
    return DXI_EXIT_OK;
}
