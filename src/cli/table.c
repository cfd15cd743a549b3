/* table.c - aligned columns.
 *
 * INVARIANTS
 *
 *   I1  cell i belongs to row i / column_count and column i % column_count
 *   I2  at least one column is shown
 *   I3  every printed line has at most `width` columns, if the undroppable columns, the cut one at
 *       CUT_WIDTH_MIN, leave that much room
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fail.h"

#define GAP 2           /* blanks between columns */
#define CUT_WIDTH_MIN 8 /* no column is cut to less */

struct dxi_table {
    size_t column_count;
    size_t cell_count; /* stored and not */
    dxi_column_t columns[DXI_TABLE_COLUMNS_MAX];
    dxi_style_t styles[DXI_TABLE_ROWS_MAX];
    char cells[DXI_TABLE_ROWS_MAX * DXI_TABLE_COLUMNS_MAX][DXI_TABLE_CELL_BYTES];
};

/* How a table is going to be printed. */
typedef struct layout {
    int32_t widths[DXI_TABLE_COLUMNS_MAX]; /* 0: not shown */
    size_t last;                           /* the last column shown */
} layout_t;

int dxi_table_create(const dxi_column_t *columns, size_t column_count, dxi_table_t **table_out,
                     dx_error_t *error)
{
    *table_out = NULL;
    if (column_count < 1 || column_count > DXI_TABLE_COLUMNS_MAX) {
        return dxi_fail(error, DX_EINVAL, "column_count is %zu, must be from 1 to %d", column_count,
                        DXI_TABLE_COLUMNS_MAX);
    }
    dxi_table_t *const table = dxi_alloc_zeroed(1, sizeof *table);
    if (table == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a table of %zu bytes", sizeof *table);
    }
    table->column_count = column_count;
    memcpy(table->columns, columns, column_count * sizeof *columns);
    *table_out = table;
    return DX_OK;
}

void dxi_table_destroy(dxi_table_t *table)
{
    dxi_free(table);
}

static size_t cells_max(const dxi_table_t *table)
{
    return table->column_count * DXI_TABLE_ROWS_MAX;
}

void dxi_table_cell(dxi_table_t *table, const char *format, ...)
{
    const size_t index = table->cell_count++;
    if (index >= cells_max(table)) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(table->cells[index], sizeof table->cells[index], format, arguments);
    va_end(arguments);
}

void dxi_table_style(dxi_table_t *table, dxi_style_t style)
{
    const size_t row = table->cell_count / table->column_count;
    if (row < DXI_TABLE_ROWS_MAX) {
        table->styles[row] = style;
    }
}

/* Columns on the screen: bytes that begin a UTF-8 character. */
static int32_t text_width(const char *text)
{
    int32_t width = 0;
    for (; *text != '\0'; text++) {
        width += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return width;
}

/* Bytes of the first `width` characters. */
static size_t text_prefix(const char *text, int32_t width)
{
    size_t bytes = 0;
    while (text[bytes] != '\0') {
        width -= ((unsigned char)text[bytes] & 0xc0) != 0x80;
        if (width < 0) {
            break;
        }
        bytes++;
    }
    return bytes;
}

static size_t row_count(const dxi_table_t *table)
{
    assert(table->column_count > 0);
    const size_t rows = (table->cell_count + table->column_count - 1) / table->column_count;
    return rows < DXI_TABLE_ROWS_MAX ? rows : DXI_TABLE_ROWS_MAX;
}

static const char *cell_at(const dxi_table_t *table, size_t row, size_t column)
{
    return table->cells[row * table->column_count + column]; /* I1 */
}

static int32_t total_width(const layout_t *layout, size_t column_count)
{
    int32_t total = -GAP;
    for (size_t i = 0; i < column_count; i++) {
        total += layout->widths[i] > 0 ? layout->widths[i] + GAP : 0;
    }
    return total;
}

/* Hides the shown column with the highest rank. False when none may go. */
static bool drop_one(const dxi_table_t *table, layout_t *layout)
{
    size_t worst = table->column_count;
    for (size_t i = 0; i < table->column_count; i++) {
        const bool droppable = layout->widths[i] > 0 && table->columns[i].drop > 0;
        if (droppable && (worst == table->column_count ||
                          table->columns[i].drop >= table->columns[worst].drop)) {
            worst = i;
        }
    }
    if (worst == table->column_count) {
        return false; /* I2 */
    }
    layout->widths[worst] = 0;
    return true;
}

/* Narrows the last left-aligned column that is shown. */
static void cut_one(const dxi_table_t *table, layout_t *layout, int32_t excess)
{
    for (size_t i = table->column_count; i-- > 0;) {
        if (layout->widths[i] > CUT_WIDTH_MIN && table->columns[i].align == DXI_ALIGN_LEFT) {
            const int32_t narrowed = layout->widths[i] - excess;
            layout->widths[i] = narrowed > CUT_WIDTH_MIN ? narrowed : CUT_WIDTH_MIN;
            return;
        }
    }
}

static layout_t lay_out(const dxi_table_t *table, int32_t width)
{
    layout_t layout = {.last = 0};
    for (size_t i = 0; i < table->column_count; i++) {
        layout.widths[i] = text_width(table->columns[i].title);
        for (size_t row = 0; row < row_count(table); row++) {
            const int32_t cell = text_width(cell_at(table, row, i));
            layout.widths[i] = cell > layout.widths[i] ? cell : layout.widths[i];
        }
        layout.widths[i] = layout.widths[i] > 0 ? layout.widths[i] : 1;
    }
    while (width > 0 && total_width(&layout, table->column_count) > width) {
        if (!drop_one(table, &layout)) {
            cut_one(table, &layout, total_width(&layout, table->column_count) - width);
            break;
        }
    }
    for (size_t i = 0; i < table->column_count; i++) {
        layout.last = layout.widths[i] > 0 ? i : layout.last;
    }
    return layout;
}

static void put_cell(FILE *stream, const char *text, int32_t width, dxi_align_t align, bool is_last)
{
    const int32_t natural = text_width(text);
    const int32_t blanks = natural < width ? width - natural : 0;
    if (align == DXI_ALIGN_RIGHT) {
        fprintf(stream, "%*s", blanks, "");
    }
    if (natural > width) {
        fwrite(text, 1, text_prefix(text, width - 3), stream);
        fputs("...", stream);
    } else {
        fputs(text, stream);
    }
    if (align == DXI_ALIGN_LEFT && !is_last) {
        fprintf(stream, "%*s", blanks, "");
    }
    if (!is_last) {
        fprintf(stream, "%*s", GAP, "");
    }
}

static void put_row(const dxi_table_t *table, const layout_t *layout, size_t row, FILE *stream)
{
    const dxi_style_t style = table->styles[row];
    const bool styled = style != DXI_STYLE_PLAIN;
    fputs(styled ? dxi_style(stream, style) : "", stream);
    for (size_t i = 0; i < table->column_count; i++) {
        if (layout->widths[i] > 0) {
            put_cell(stream, cell_at(table, row, i), layout->widths[i], table->columns[i].align,
                     i == layout->last);
        }
    }
    fprintf(stream, "%s\n", styled ? dxi_style(stream, DXI_STYLE_PLAIN) : "");
}

void dxi_table_print(const dxi_table_t *table, FILE *stream, int32_t indent, int32_t width)
{
    const layout_t layout = lay_out(table, width > indent ? width - indent : width);
    fprintf(stream, "%*s%s", indent, "", dxi_style(stream, DXI_STYLE_HEADING));
    for (size_t i = 0; i < table->column_count; i++) {
        if (layout.widths[i] > 0) {
            put_cell(stream, table->columns[i].title, layout.widths[i], table->columns[i].align,
                     i == layout.last);
        }
    }
    fprintf(stream, "%s\n", dxi_style(stream, DXI_STYLE_PLAIN));
    for (size_t row = 0; row < row_count(table); row++) {
        fprintf(stream, "%*s", indent, "");
        put_row(table, &layout, row, stream);
    }
    if (table->cell_count > cells_max(table)) {
        const size_t hidden = table->cell_count - cells_max(table);
        fprintf(stream, "%*s... and %zu more rows\n", indent, "",
                (hidden + table->column_count - 1) / table->column_count);
    }
}
