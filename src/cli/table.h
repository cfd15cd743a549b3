/* cli/table.h - aligned columns for a terminal.
 *
 * Cells are added from left to right and from top to bottom, then the table is printed as wide as
 * its contents are. Where that is too wide for the terminal, the columns with a `drop` rank are
 * left out, the highest rank first; then cells of the last left-aligned column are cut and end in
 * "...".
 *
 * Threads: one table belongs to one thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_TABLE_H
#define DXI_CLI_TABLE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "cli/output.h"
#include "disruptorx/error.h"
#include "disruptorx/platform.h"

#define DXI_TABLE_COLUMNS_MAX 16
#define DXI_TABLE_ROWS_MAX 256
#define DXI_TABLE_CELL_BYTES 128 /* with the NUL; a longer cell is cut */

typedef enum dxi_align { DXI_ALIGN_LEFT = 0, DXI_ALIGN_RIGHT = 1 } dxi_align_t;

typedef struct dxi_column {
    const char *title; /* UTF-8, must live as long as the table */
    dxi_align_t align;
    int32_t drop; /* 0: always shown */
} dxi_column_t;

typedef struct dxi_table dxi_table_t; /* opaque */

/* Makes an empty table (NULL on failure); end it with dxi_table_destroy().
 * Returns DX_OK, DX_EINVAL when column_count is not 1 to DXI_TABLE_COLUMNS_MAX, DX_ENOMEM. */
DX_NODISCARD int dxi_table_create(const dxi_column_t *columns, size_t column_count,
                                  dxi_table_t **table_out, dx_error_t *error);

/* Adds the next cell. One beyond the last row is counted, not stored: dxi_table_print() tells. */
DX_PRINTF(2, 3) void dxi_table_cell(dxi_table_t *table, const char *format, ...);

/* The style of the row to which the next cell belongs, when that is its first. */
void dxi_table_style(dxi_table_t *table, dxi_style_t style);

/* Prints the titles and the rows, each line indented by `indent` blanks and at most `width` columns
 * wide (0 = no limit), and a line that says how many rows did not fit into the table. */
void dxi_table_print(const dxi_table_t *table, FILE *stream, int32_t indent, int32_t width);

/* NULL is allowed. */
void dxi_table_destroy(dxi_table_t *table);

#endif
