/* cli/output.h - how the program speaks: table or JSON, colour or not, how wide, and complaints.
 *
 * Results go to standard output, everything else (progress, warnings, errors) to standard error, so
 * that `dx ... -o json | program` always works.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_OUTPUT_H
#define DXI_CLI_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "disruptorx/error.h"
#include "disruptorx/platform.h"

typedef enum dxi_output_format { DXI_OUTPUT_TABLE = 0, DXI_OUTPUT_JSON = 1 } dxi_output_format_t;

/* The global options. */
typedef struct dxi_output {
    int32_t format; /* dxi_output_format_t */
    bool no_color;
} dxi_output_t;

/* The settings of this process; the option parser fills them.
 * Threads: main. */
dxi_output_t *dxi_output(void);

/* True when results are wanted as JSON.
 * Threads: main. */
bool dxi_output_is_json(void);

/* A style, by what it says and not by its looks. Nothing is said by colour alone. */
typedef enum dxi_style {
    DXI_STYLE_PLAIN = 0, /* ends any other */
    DXI_STYLE_HEADING,
    DXI_STYLE_QUIET,
    DXI_STYLE_GOOD,
    DXI_STYLE_WARNING,
    DXI_STYLE_ERROR
} dxi_style_t;

/* What to print to switch to a style: "" unless the stream is a terminal that wants colour, which
 * --no-color, a non-empty NO_COLOR and TERM=dumb deny.
 * Threads: main. */
const char *dxi_style(FILE *stream, dxi_style_t style);

/* Columns of the terminal behind a stream, 0 (no limit) when there is none. A COLUMNS of 20 to 1000
 * in the environment goes before both.
 * Threads: main. */
int32_t dxi_output_width(FILE *stream);

/* From now on what is written to `stream` is styled as if it went to standard output, and its width
 * is that of standard output less one column: for a screen that is put together in memory first.
 * NULL ends that.
 * Threads: main. */
void dxi_output_compose(FILE *stream);

/* Prints `text`, broken between words so that no line passes `width` columns, with `indent` blanks
 * before every line but the first; `column` is where the first one begins. Ends the line. 0 = no
 * limit.
 * Threads: main. */
void dxi_print_wrapped(FILE *stream, const char *text, int32_t column, int32_t indent,
                       int32_t width);

/* "dx demo orders: sentence" on standard error.
 * Threads: main. */
DX_PRINTF(2, 3) void dxi_complain(const char *speaker, const char *format, ...);

/* That standard output could not be written, with the sentence of this errno; 0: it is not known
 * any more. Once in a process, as main() looks for it again in the end.
 * Threads: main. */
void dxi_complain_output(const char *speaker, int number);

/* The same as dxi_complain() for an error of the library, with the name of its code behind.
 * Threads: main. */
void dxi_complain_error(const char *speaker, const dx_error_t *error);

#endif
