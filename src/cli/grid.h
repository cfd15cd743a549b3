/* cli/grid.h - a screen of characters in memory: what `dx top` draws on, and what its tests read.
 *
 * Each cell has one character of one column and a style. What a terminal could take for a command,
 * and what is not one column wide, is "?". Writing outside is cut off.
 *
 * Threads: one grid belongs to one thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_GRID_H
#define DXI_CLI_GRID_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "disruptorx/error.h"
#include "disruptorx/platform.h"

#define DXI_GRID_ROWS_MAX 1000
#define DXI_GRID_COLUMNS_MAX 1000

/* By what it says; none of them says something that the text does not. */
typedef enum dxi_ink {
    DXI_INK_PLAIN = 0,
    DXI_INK_TITLE,    /* names of columns, the screen that is shown */
    DXI_INK_STRONG,   /* what is in front of others */
    DXI_INK_QUIET,    /* help, units */
    DXI_INK_SELECTED, /* the row of the cursor; a ">" stands in front of it */
    DXI_INK_WARNING,  /* a "!" stands in front of it */
    DXI_INK_ERROR
} dxi_ink_t;

typedef struct dxi_cell {
    uint32_t code; /* a character of Unicode */
    uint8_t ink;
} dxi_cell_t;

typedef struct dxi_grid {
    int rows;
    int columns;
    dxi_cell_t *cells; /* row after row */
} dxi_grid_t;

/* An empty grid; sizes are put between 1 and the maxima. dxi_grid_close() also after a failure.
 * Returns DX_OK, DX_ENOMEM. */
DX_NODISCARD int dxi_grid_init(dxi_grid_t *grid, int rows, int columns);
void dxi_grid_close(dxi_grid_t *grid);

/* Blanks everywhere. */
void dxi_grid_clear(dxi_grid_t *grid);

/* Writes UTF-8 text; returns the column behind it, at most `columns`. */
int dxi_grid_put(dxi_grid_t *grid, int row, int column, dxi_ink_t ink, const char *text);

/* The same with a format. */
DX_PRINTF(5, 6)
int dxi_grid_print(dxi_grid_t *grid, int row, int column, dxi_ink_t ink, const char *format, ...);

/* Text of at most `width` columns, right-aligned where wanted; what is too long ends in "~". */
void dxi_grid_field(dxi_grid_t *grid, int row, int column, int width, int right, dxi_ink_t ink,
                    const char *text);

/* The style of part of a row. */
void dxi_grid_ink(dxi_grid_t *grid, int row, int column, int width, dxi_ink_t ink);

/* A row as UTF-8 without the blanks at its end. Returns how many bytes. */
size_t dxi_grid_line(const dxi_grid_t *grid, int row, char *text_out, size_t text_bytes);

/* How many columns a text takes in a grid. */
int dxi_grid_width(const char *text);

/* All rows, without those that are empty at the end. */
void dxi_grid_write(const dxi_grid_t *grid, FILE *stream);

#endif
