/* grid.c - characters in memory.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/grid.h"

#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include "base/alloc.h"

#define LINE_BYTES (4 * DXI_GRID_COLUMNS_MAX + 1)

static int between(int value, int high)
{
    return value < 1 ? 1 : value > high ? high : value;
}

int dxi_grid_init(dxi_grid_t *grid, int rows, int columns)
{
    grid->rows = between(rows, DXI_GRID_ROWS_MAX);
    grid->columns = between(columns, DXI_GRID_COLUMNS_MAX);
    grid->cells = dxi_alloc_zeroed((size_t)grid->rows * (size_t)grid->columns, sizeof *grid->cells);
    if (grid->cells == NULL) {
        grid->rows = 0;
        grid->columns = 0;
        return DX_ENOMEM;
    }
    dxi_grid_clear(grid);
    return DX_OK;
}

void dxi_grid_close(dxi_grid_t *grid)
{
    dxi_free(grid->cells);
    *grid = (dxi_grid_t){0};
}

void dxi_grid_clear(dxi_grid_t *grid)
{
    for (int i = 0; i < grid->rows * grid->columns; i++) {
        grid->cells[i] = (dxi_cell_t){.code = ' '};
    }
}

/* ---------------------------------------------------------------------------------------- UTF-8 */

/* One character of the text, and how many bytes it has; U+FFFD for what is no UTF-8. */
static uint32_t code_read(const char *text, size_t *bytes_out)
{
    const unsigned char *const at = (const unsigned char *)text;
    const int more = at[0] < 0x80             ? 0
                     : (at[0] & 0xe0) == 0xc0 ? 1
                     : (at[0] & 0xf0) == 0xe0 ? 2
                     : (at[0] & 0xf8) == 0xf0 ? 3
                                              : -1;
    *bytes_out = 1;
    if (more <= 0) {
        return more == 0 ? at[0] : 0xfffd;
    }
    uint32_t code = at[0] & (0x3fU >> more);
    for (int i = 1; i <= more; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0xfffd;
        }
        code = (code << 6) | (at[i] & 0x3f);
    }
    *bytes_out = (size_t)more + 1;
    return code;
}

/* Letters that every terminal shows in one column: Latin, Greek, Cyrillic and what is near them.
 * Commands of terminals, marks that combine, and wide letters are not among them. */
static bool is_one_column(uint32_t code)
{
    return (code >= 0x20 && code < 0x7f) || (code >= 0xa1 && code < 0x300 && code != 0xad) ||
           (code >= 0x370 && code < 0x483) || (code >= 0x48a && code < 0x590);
}

static size_t code_write(uint32_t code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    out[0] = (char)(0xc0 | (code >> 6)); /* is_one_column() has none from 0x800 on */
    out[1] = (char)(0x80 | (code & 0x3f));
    return 2;
}

int dxi_grid_width(const char *text)
{
    int width = 0;
    size_t bytes = 0;
    for (; *text != '\0'; text += bytes) {
        (void)code_read(text, &bytes);
        width++;
    }
    return width;
}

/* -------------------------------------------------------------------------------------- writing */

/* At most `width` columns of the text. */
static int put(dxi_grid_t *grid, int row, int column, int width, dxi_ink_t ink, const char *text)
{
    size_t bytes = 0;
    if (row < 0 || row >= grid->rows || column < 0) {
        return column;
    }
    for (; *text != '\0' && width > 0 && column < grid->columns; text += bytes, width--) {
        const uint32_t code = code_read(text, &bytes);
        grid->cells[row * grid->columns + column++] =
            (dxi_cell_t){.code = is_one_column(code) ? code : '?', .ink = (uint8_t)ink};
    }
    return column;
}

int dxi_grid_put(dxi_grid_t *grid, int row, int column, dxi_ink_t ink, const char *text)
{
    return put(grid, row, column, grid->columns, ink, text);
}

int dxi_grid_print(dxi_grid_t *grid, int row, int column, dxi_ink_t ink, const char *format, ...)
{
    char text[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return dxi_grid_put(grid, row, column, ink, text);
}

void dxi_grid_field(dxi_grid_t *grid, int row, int column, int width, int right, dxi_ink_t ink,
                    const char *text)
{
    const int needed = dxi_grid_width(text);
    if (width <= 0) {
        return;
    }
    if (needed > width) {
        const int end = put(grid, row, column, width - 1, ink, text);
        (void)dxi_grid_put(grid, row, end, ink, "~");
        return;
    }
    (void)dxi_grid_put(grid, row, column + (right ? width - needed : 0), ink, text);
}

void dxi_grid_ink(dxi_grid_t *grid, int row, int column, int width, dxi_ink_t ink)
{
    if (row < 0 || row >= grid->rows) {
        return;
    }
    for (int i = column < 0 ? 0 : column; i < column + width && i < grid->columns; i++) {
        grid->cells[row * grid->columns + i].ink = (uint8_t)ink;
    }
}

/* -------------------------------------------------------------------------------------- reading */

size_t dxi_grid_line(const dxi_grid_t *grid, int row, char *text_out, size_t text_bytes)
{
    size_t used = 0;
    size_t end = 0; /* behind the last that is no blank */
    for (int i = 0; i < grid->columns && used + 3 <= text_bytes; i++) {
        const uint32_t code = grid->cells[row * grid->columns + i].code;
        used += code_write(code, text_out + used);
        end = code != ' ' ? used : end;
    }
    text_out[end] = '\0';
    return end;
}

void dxi_grid_write(const dxi_grid_t *grid, FILE *stream)
{
    char line[LINE_BYTES];
    int last = grid->rows - 1;
    while (last >= 0 && dxi_grid_line(grid, last, line, sizeof line) == 0) {
        last--;
    }
    for (int row = 0; row <= last; row++) {
        (void)dxi_grid_line(grid, row, line, sizeof line);
        fprintf(stream, "%s\n", line);
    }
}
