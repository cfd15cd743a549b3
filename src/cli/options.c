/* options.c - the option parser and the help it prints.
 *
 * DESIGN
 *
 * The parser walks argv once. Options are looked up in the command's table, then among the global
 * ones. Operands are collected at the end of argv, in their order, so nothing is allocated.
 *
 * INVARIANTS
 *
 *   I1  a member of `target` is written only by the option that names it, and only with a value
 *       that keeps the rule of its row
 *   I2  the texts in argv stay the same, only their order changes
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/options.h"

#include <assert.h>
#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "base/fail.h"
#include "base/format.h"
#include "base/nearest.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/target.h"

static const char *const FORMATS[] = {"table", "json", NULL};

static const dxi_option_t GLOBALS[] = {
    {.name = "output",
     .letter = 'o',
     .kind = DXI_OPTION_CHOICE,
     .value_name = "FORMAT",
     .choices = FORMATS,
     .offset = offsetof(dxi_output_t, format),
     .help = "how results are printed: table (default) or json"},
    {.name = "no-color",
     .kind = DXI_OPTION_FLAG,
     .offset = offsetof(dxi_output_t, no_color),
     .help = "no colours, as with NO_COLOR=1 in the environment"},
    {.name = "help", .letter = 'h', .kind = DXI_OPTION_FLAG, .help = "print this help"},
};

#define GLOBAL_COUNT (sizeof GLOBALS / sizeof GLOBALS[0])

/* In the order of dx_compression_t. */
static const char *const COMPRESSIONS[] = {"auto", "off", "lz4", "zstd", NULL};

/* Of the commands that talk with a node. */
static const dxi_option_t NODE_OPTIONS[] = {
    {.name = "address",
     .letter = 'a',
     .kind = DXI_OPTION_TEXT,
     .value_name = "ADDRESS",
     .offset = offsetof(dxi_target_words_t, address),
     .help = "of the node: tcp://host:port, tls://host:port, unix:///path, or shm:///path (shared "
             "memory, where the node listens on unix:///path); several with commas are tried in "
             "turn; else that of the context, else DX_ADDRESS, else tcp://127.0.0.1:7400"},
    {.name = "context",
     .kind = DXI_OPTION_TEXT,
     .value_name = "NAME",
     .offset = offsetof(dxi_target_words_t, context),
     .help = "a saved address, with its token and TLS files: see dx context"},
    {.name = "token",
     .kind = DXI_OPTION_TEXT,
     .value_name = "TOKEN",
     .offset = offsetof(dxi_target_words_t, token),
     .help = "to be let in with; @FILE reads it from a file; else DX_TOKEN"},
    {.name = "compression",
     .kind = DXI_OPTION_CHOICE,
     .value_name = "CODEC",
     .choices = COMPRESSIONS,
     .offset = offsetof(dxi_target_words_t, compression),
     .help =
         "of what goes to the node and comes from it: auto (default: between hosts, what pays), "
         "off, lz4 or zstd"},
};

#define NODE_OPTION_COUNT (sizeof NODE_OPTIONS / sizeof NODE_OPTIONS[0])

/* One option as it stands on the command line. */
typedef struct found {
    const dxi_option_t *row;
    void *member;
    const char *attached; /* the value behind "=" or behind the letter; NULL: none */
    char label[80];       /* "--capacity" or "-c", for sentences */
} found_t;

static bool is_global(const dxi_option_t *row)
{
    return row >= GLOBALS && row < GLOBALS + GLOBAL_COUNT;
}

static bool is_of_node(const dxi_option_t *row)
{
    return row >= NODE_OPTIONS && row < NODE_OPTIONS + NODE_OPTION_COUNT;
}

/* True for the row that `argument` (the text behind the minus signs) means. */
static bool row_matches(const dxi_option_t *row, const char *argument, bool is_long)
{
    if (!is_long) {
        return row->letter != '\0' && row->letter == argument[0];
    }
    const size_t bytes = strcspn(argument, "=");
    return strlen(row->name) == bytes && memcmp(row->name, argument, bytes) == 0;
}

/* The tables that a command's options may stand in: its own before the others. */
static size_t tables_of(const dxi_usage_t *usage, const dxi_option_t *tables_out[3],
                        size_t counts_out[3])
{
    size_t count = 0;
    tables_out[count] = usage->options;
    counts_out[count++] = usage->option_count;
    if (usage->uses_node) {
        tables_out[count] = NODE_OPTIONS;
        counts_out[count++] = NODE_OPTION_COUNT;
    }
    tables_out[count] = GLOBALS;
    counts_out[count++] = GLOBAL_COUNT;
    return count;
}

static const dxi_option_t *row_find(const dxi_usage_t *usage, const char *argument, bool is_long)
{
    const dxi_option_t *tables[3];
    size_t counts[3];
    const size_t table_count = tables_of(usage, tables, counts);
    for (size_t t = 0; t < table_count; t++) {
        for (size_t i = 0; i < counts[t]; i++) {
            if (row_matches(&tables[t][i], argument, is_long)) {
                return &tables[t][i];
            }
        }
    }
    return NULL;
}

static void unknown_option(const dxi_usage_t *usage, const char *argument, dx_error_t *error)
{
    char word[DXI_NEAREST_BYTES_MAX + 1];
    const char *const name = argument + strspn(argument, "-");
    snprintf(word, sizeof word, "%.*s", (int)strcspn(name, "="), name);
    dxi_nearest_t nearest = {.word = word};
    const dxi_option_t *tables[3];
    size_t counts[3];
    const size_t table_count = tables_of(usage, tables, counts);
    for (size_t t = 0; t < table_count; t++) {
        for (size_t i = 0; i < counts[t]; i++) {
            dxi_nearest_offer(&nearest, tables[t][i].name);
        }
    }
    if (nearest.best == NULL || word[0] == '\0') {
        dxi_fail(error, DX_EINVAL, "%.60s is no option", argument);
    } else {
        dxi_fail(error, DX_EINVAL, "%.60s is no option; did you mean --%s?", argument,
                 nearest.best);
    }
}

static int option_find(const dxi_usage_t *usage, const char *argument, void *target,
                       found_t *found_out, dx_error_t *error)
{
    const bool is_long = argument[1] == '-';
    const char *const text = argument + 1 + is_long;
    const dxi_option_t *const row = row_find(usage, text, is_long);
    if (row == NULL) {
        unknown_option(usage, argument, error);
        return DX_EINVAL;
    }
    char *const base = is_global(row)    ? (char *)dxi_output()
                       : is_of_node(row) ? (char *)dxi_target_words()
                                         : (char *)target;
    *found_out = (found_t){.row = row, .member = base == NULL ? NULL : base + row->offset};
    if (is_long) {
        const char *const equals = strchr(text, '=');
        found_out->attached = equals == NULL ? NULL : equals + 1;
        snprintf(found_out->label, sizeof found_out->label, "--%s", row->name);
    } else {
        found_out->attached = text[1] == '\0' ? NULL : text + 1;
        snprintf(found_out->label, sizeof found_out->label, "-%c", row->letter);
    }
    return DX_OK;
}

static int choice_parse(const found_t *found, const char *text, dx_error_t *error)
{
    char names[160] = "";
    dxi_nearest_t nearest = {.word = text};
    size_t used = 0;
    for (int32_t i = 0; found->row->choices[i] != NULL; i++) {
        const char *const name = found->row->choices[i];
        if (strcmp(name, text) == 0) {
            *(int32_t *)found->member = i;
            return DX_OK;
        }
        dxi_nearest_offer(&nearest, name);
        used +=
            (size_t)snprintf(names + used, sizeof names - used, "%s%s", i > 0 ? ", " : "", name);
        used = used < sizeof names ? used : sizeof names - 1;
    }
    return dxi_fail(error, DX_EINVAL, "%s is %.40s, must be one of %s%s%s%s", found->label, text,
                    names, nearest.best != NULL ? "; did you mean " : "",
                    nearest.best != NULL ? nearest.best : "", nearest.best != NULL ? "?" : "");
}

static int value_store(const found_t *found, const char *text, dx_error_t *error)
{
    const dxi_option_t *const row = found->row;
    switch (row->kind) {
    case DXI_OPTION_TEXT:
        if (text[0] == '\0') {
            return dxi_fail(error, DX_EINVAL, "%s is empty, must be a %s", found->label,
                            row->value_name);
        }
        *(const char **)found->member = text;
        return DX_OK;
    case DXI_OPTION_INTEGER:
        return dxi_integer_parse(found->label, text, row->low, row->high, found->member, error);
    case DXI_OPTION_POWER:
        return dxi_power_parse(found->label, text, row->low, row->high, found->member, error);
    case DXI_OPTION_DURATION:
        return dxi_duration_parse(found->label, text, row->low, row->high, found->member, error);
    case DXI_OPTION_CHOICE:
        return choice_parse(found, text, error);
    case DXI_OPTION_CUSTOM: {
        const int result = row->parse(text, found->member, error);
        if (result != DX_OK) {
            dxi_fail_context(error, "%s", found->label);
            if (error != NULL) {
                error->code = DX_EINVAL; /* whatever it was to the reader of the value */
            }
            return DX_EINVAL;
        }
        return DX_OK;
    }
    case DXI_OPTION_FLAG:
    default:
        *(bool *)found->member = true;
        return DX_OK;
    }
}

/* Handles the option in argv[*index] and steps over its value. */
static int option_take(const dxi_usage_t *usage, int argc, char **argv, int *index, void *target,
                       dx_error_t *error)
{
    found_t found;
    const int result = option_find(usage, argv[*index], target, &found, error);
    if (result != DX_OK) {
        return result;
    }
    if (found.row->kind == DXI_OPTION_FLAG) {
        if (found.attached != NULL) {
            return dxi_fail(error, DX_EINVAL, "%.60s: %s takes no value", argv[*index],
                            found.label);
        }
        if (is_global(found.row) && found.row->letter == 'h') {
            return DXI_PARSED_HELP;
        }
        return value_store(&found, NULL, error);
    }
    const char *text = found.attached;
    if (text == NULL) {
        if (*index + 1 >= argc) {
            return dxi_fail(error, DX_EINVAL, "%s needs a value: %s %s", found.label, found.label,
                            found.row->value_name);
        }
        text = argv[++*index];
    }
    return value_store(&found, text, error);
}

int dxi_texts_parse(const char *text, void *member_out, dx_error_t *error)
{
    dxi_texts_t *const texts = member_out;
    if (text[0] == '\0') {
        return dxi_fail(error, DX_EINVAL, "the value is empty");
    }
    if (texts->count == DXI_TEXTS_MAX) {
        return dxi_fail(error, DX_ELIMIT, "given more than %d times", DXI_TEXTS_MAX);
    }
    texts->texts[texts->count++] = text;
    return DX_OK;
}

static bool is_option(const char *argument)
{
    return argument[0] == '-' && argument[1] != '\0' && !(argument[1] >= '0' && argument[1] <= '9');
}

/* Moves argv[index] behind every other argument. */
static void move_to_end(int argc, char **argv, int index)
{
    char *const moved = argv[index];
    memmove(&argv[index], &argv[index + 1], (size_t)(argc - index - 1) * sizeof *argv);
    argv[argc - 1] = moved;
}

int dxi_arguments_parse(const dxi_usage_t *usage, int argc, char **argv, void *target,
                        dxi_operands_t *operands_out, dx_error_t *error)
{
    int index = 1;
    int operands = 0; /* they stand in argv[argc - operands] .. */
    bool options_over = false;

    assert(usage->option_count == 0 || usage->options != NULL);
    while (index < argc - operands) {
        if (!options_over && strcmp(argv[index], "--") == 0) {
            memmove(&argv[index], &argv[index + 1], (size_t)(argc - index - 1) * sizeof *argv);
            argc--;
            options_over = true;
        } else if (!options_over && is_option(argv[index])) {
            const int result = option_take(usage, argc - operands, argv, &index, target, error);
            if (result != DX_OK) {
                return result;
            }
            index++;
        } else if (usage->stops_at_operands) {
            operands = argc - index;
        } else {
            move_to_end(argc, argv, index);
            operands++;
        }
    }
    *operands_out = (dxi_operands_t){.count = operands, .texts = argv + argc - operands};
    if (!usage->stops_at_operands && operands > usage->operands_max) {
        return dxi_fail(error, DX_EINVAL, "\"%.60s\" is one argument too many",
                        operands_out->texts[usage->operands_max]);
    }
    return DX_OK;
}

int dxi_usage_error(const dxi_usage_t *usage, const dx_error_t *error)
{
    dxi_complain(usage->command, "%s", error->message);
    fprintf(stderr, "Help: %s --help\n", usage->command);
    return DXI_EXIT_USAGE;
}

int dxi_arguments_begin(const dxi_usage_t *usage, int argc, char **argv, void *target,
                        dxi_operands_t *operands_out)
{
    dx_error_t error = {0};
    int result = dxi_arguments_parse(usage, argc, argv, target, operands_out, &error);
    if (result == DXI_PARSED_HELP) {
        dxi_usage_print(usage, stdout);
        return DXI_EXIT_OK;
    }
    if (result == DX_OK && operands_out->count == 0 && usage->question != NULL) {
        result = dxi_fail(&error, DX_EINVAL, "%s", usage->question);
    }
    if (result == DX_OK && usage->prints != NULL && dxi_output_is_json()) {
        result =
            dxi_fail(&error, DX_EINVAL, "it prints %s: -o json is not possible", usage->prints);
    }
    if (result == DX_OK && usage->check != NULL) {
        result = usage->check(target, operands_out, &error);
    }
    return result == DX_OK ? DXI_GO_ON : dxi_usage_error(usage, &error);
}

#define HELP_COLUMN 20
#define HELP_WIDTH 80

static void option_print(const dxi_option_t *row, FILE *stream)
{
    char left[64];
    char letter[8] = "";
    if (row->letter != '\0') {
        snprintf(letter, sizeof letter, "-%c, ", row->letter);
    }
    const int bytes = snprintf(left, sizeof left, "  %s--%s%s%s", letter, row->name,
                               row->value_name != NULL ? " " : "",
                               row->value_name != NULL ? row->value_name : "");
    fputs(left, stream);
    if (bytes > HELP_COLUMN - 2) {
        fprintf(stream, "\n%*s", HELP_COLUMN, "");
    } else {
        fprintf(stream, "%*s", HELP_COLUMN - bytes, "");
    }
    dxi_print_wrapped(stream, row->help, HELP_COLUMN, HELP_COLUMN, HELP_WIDTH);
}

static void heading_print(const char *text, FILE *stream)
{
    fprintf(stream, "\n%s%s%s\n", dxi_style(stream, DXI_STYLE_HEADING), text,
            dxi_style(stream, DXI_STYLE_PLAIN));
}

static struct {
    void (*listen)(void *context, const dxi_usage_t *usage);
    void *context;
} listener;

void dxi_usage_listen(void (*listen)(void *context, const dxi_usage_t *usage), void *context)
{
    listener.listen = listen;
    listener.context = context;
}

const dxi_option_t *dxi_options_of_node(size_t *count_out)
{
    *count_out = NODE_OPTION_COUNT;
    return NODE_OPTIONS;
}

const dxi_option_t *dxi_options_of_all(size_t *count_out)
{
    *count_out = GLOBAL_COUNT;
    return GLOBALS;
}

void dxi_command_list(const dxi_command_t *table, FILE *stream)
{
    int width = 9; /* most lists are alike then */
    for (const dxi_command_t *row = table; row->name != NULL; row++) {
        const int bytes = (int)strlen(row->name);
        width = bytes > width ? bytes : width;
    }
    for (; table->name != NULL; table++) {
        fprintf(stream, "  %-*s %s\n", width, table->name, table->summary);
    }
}

/* "Benchmarks" of "benchmark". */
static void actions_print(const dxi_usage_t *usage, FILE *stream)
{
    char title[32];
    snprintf(title, sizeof title, "%ss", usage->noun != NULL ? usage->noun : "action");
    title[0] = (char)toupper((unsigned char)title[0]);
    heading_print(title, stream);
    dxi_command_list(usage->actions, stream);
}

void dxi_usage_print(const dxi_usage_t *usage, FILE *stream)
{
    if (listener.listen != NULL) {
        listener.listen(listener.context, usage);
        return;
    }
    fprintf(stream, "Usage: %s [OPTION]...%s%s\n\n%s", usage->command,
            usage->operands != NULL ? " " : "", usage->operands != NULL ? usage->operands : "",
            usage->description);
    if (usage->option_count > 0) {
        heading_print("Options", stream);
        for (size_t i = 0; i < usage->option_count; i++) {
            option_print(&usage->options[i], stream);
        }
    }
    if (usage->uses_node) {
        heading_print("The node", stream);
        for (size_t i = 0; i < NODE_OPTION_COUNT; i++) {
            option_print(&NODE_OPTIONS[i], stream);
        }
    }
    heading_print("Options of every command", stream);
    for (size_t i = 0; i < GLOBAL_COUNT; i++) {
        option_print(&GLOBALS[i], stream);
    }
    if (usage->examples != NULL) {
        heading_print("Examples", stream);
        fputs(usage->examples, stream);
    }
    if (usage->actions != NULL) {
        actions_print(usage, stream);
    }
}
