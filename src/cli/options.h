/* cli/options.h - command lines from tables: one row per option, one struct per command.
 *
 *     typedef struct settings { int64_t capacity; bool strict; const char *file; } settings_t;
 *
 *     static const dxi_option_t OPTIONS[] = {
 *         {.name = "capacity", .kind = DXI_OPTION_POWER, .value_name = "N", .low = 2, .high = 1024,
 *          .offset = offsetof(settings_t, capacity), .help = "events the ring holds"},
 *         ...
 *     };
 *
 * Written as `--capacity 1024`, `--capacity=1024`, and `-c 1024`, `-c1024` for a row with a letter.
 * `--` ends the options; a minus sign before a digit is a value. Every command also knows --help,
 * --output and --no-color. What is wrong is said with the option, the value and the whole rule:
 *
 *     --capacity is 1000, must be a power of two from 2 to 1,024
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_OPTIONS_H
#define DXI_CLI_OPTIONS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/values.h" /* for CUSTOM options */
#include "disruptorx/error.h"
#include "disruptorx/platform.h"

typedef enum dxi_option_kind {
    DXI_OPTION_FLAG,     /* bool; takes no value */
    DXI_OPTION_TEXT,     /* const char *, the argument itself; not empty */
    DXI_OPTION_INTEGER,  /* int64_t, low to high: 50000, 50k; k M G are 10^3, Ki Mi Gi 2^10 ... */
    DXI_OPTION_POWER,    /* the same, and a power of two */
    DXI_OPTION_DURATION, /* int64_t nanoseconds, low to high: 250us; ns us ms s m h */
    DXI_OPTION_CHOICE,   /* int32_t, the index in `choices` */
    DXI_OPTION_CUSTOM    /* whatever `parse` stores */
} dxi_option_kind_t;

typedef struct dxi_option {
    const char *name; /* without the "--" */
    char letter;      /* 0: none */
    dxi_option_kind_t kind;
    const char *value_name; /* in the help: "N", "FILE" */
    size_t offset;          /* of the member in the command's struct */
    int64_t low;
    int64_t high;
    const char *const *choices; /* ends with NULL */
    /* CUSTOM: reads `text` into the member. The sentence says what is wrong, without the option. */
    int (*parse)(const char *text, void *member_out, dx_error_t *error);
    const char *help;
} dxi_option_t;

struct dxi_command;
struct dxi_operands;

/* What --help prints, and what the parser goes by. */
typedef struct dxi_usage {
    const char *command;     /* "dx demo orders" */
    const char *operands;    /* "[CODE|NAME]"; NULL: none */
    const char *description; /* lines of at most 80 columns, ends in a newline */
    const dxi_option_t *options;
    size_t option_count;
    const char *examples;  /* lines, each indented by two, ends in a newline; NULL: none */
    int operands_max;      /* more is an error */
    int stops_at_operands; /* 1: what follows the first operand is for somebody else */
    int uses_node;         /* 1: --context, --address and --token are options, too */
    const struct dxi_command *actions; /* of dxi_command_group(), ends with a row of NULLs; else
                                        * NULL */
    const char *noun;                  /* for one of them: "benchmark"; NULL: "action" */
    /* Asked by dxi_arguments_begin() where no operand is given: "which topic?". NULL: none is
     * needed. */
    const char *question;
    /* Called by dxi_arguments_begin() in the end: whether what was given goes together. Returns
     * DX_OK or DX_EINVAL. NULL: it does. */
    int (*check)(const void *target, const struct dxi_operands *operands, dx_error_t *error);
    /* What it prints where that is a format of its own, "YAML": -o json is refused. NULL: a table
     * or JSON. */
    const char *prints;
} dxi_usage_t;

/* The values of an option that may be given several times: the member of a row of the kind CUSTOM
 * with dxi_texts_parse(). They point into argv. */
#define DXI_TEXTS_MAX 64
typedef struct dxi_texts {
    int count;
    const char *texts[DXI_TEXTS_MAX];
} dxi_texts_t;

/* Appends. Returns DX_OK, DX_EINVAL for an empty one, DX_ELIMIT for one too many.
 * Threads: main. */
DX_NODISCARD int dxi_texts_parse(const char *text, void *member_out, dx_error_t *error);

/* The arguments that are no options; they point into argv. */
typedef struct dxi_operands {
    int count;
    char **texts;
} dxi_operands_t;

#define DXI_PARSED_HELP 1 /* --help was there */

/* Reads argv[1] .. into `target`, whose members keep their value where no option names them, and
 * into dxi_output(). Operands are moved to the end of argv.
 * Returns DX_OK, DXI_PARSED_HELP, DX_EINVAL.
 * Threads: main. */
DX_NODISCARD int dxi_arguments_parse(const dxi_usage_t *usage, int argc, char **argv, void *target,
                                     dxi_operands_t *operands_out, dx_error_t *error);

#define DXI_GO_ON (-1)

/* The beginning of every command: parses, asks for a missing operand, checks, and prints the help
 * or the complaint.
 * Returns DXI_GO_ON, or the exit code with which the command is over.
 * Threads: main. */
DX_NODISCARD int dxi_arguments_begin(const dxi_usage_t *usage, int argc, char **argv, void *target,
                                     dxi_operands_t *operands_out);

/* Says what is wrong with the command line and where the help is. Returns DXI_EXIT_USAGE.
 * Threads: main. */
int dxi_usage_error(const dxi_usage_t *usage, const dx_error_t *error);

/* Prints the help, or gives it to the listener.
 * Threads: main. */
void dxi_usage_print(const dxi_usage_t *usage, FILE *stream);

/* From now on --help prints nothing: `listen` gets what it would have printed. So man pages and
 * completions are made of what the commands themselves say. NULL ends that.
 * Threads: main. */
void dxi_usage_listen(void (*listen)(void *context, const dxi_usage_t *usage), void *context);

/* The options that a command has beside its own: of the node (where it talks with one), and those
 * of every command. `*count_out` rows. Threads: any. */
const dxi_option_t *dxi_options_of_node(size_t *count_out);
const dxi_option_t *dxi_options_of_all(size_t *count_out);

#endif
