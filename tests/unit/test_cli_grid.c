/* test_cli_grid.c - a screen of characters in memory.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/grid.h"

#include "base_test.h"

static void expect_line(const dxi_grid_t *grid, int row, const char *text)
{
    char line[256];
    const size_t bytes = dxi_grid_line(grid, row, line, sizeof line);
    assert_string_equal(line, text);
    assert_int_equal(bytes, strlen(text));
}

static void text_stands_where_it_was_put_and_is_cut_at_the_edges(void **state)
{
    (void)state;
    dxi_grid_t grid;
    assert_int_equal(dxi_grid_init(&grid, 3, 10), DX_OK);
    assert_int_equal(dxi_grid_put(&grid, 0, 2, DXI_INK_STRONG, "abc"), 5);
    assert_int_equal(dxi_grid_print(&grid, 1, 7, DXI_INK_PLAIN, "%d", 123456), 10);
    assert_int_equal(dxi_grid_put(&grid, 3, 0, DXI_INK_PLAIN, "outside"), 0);
    assert_int_equal(dxi_grid_put(&grid, -1, 0, DXI_INK_PLAIN, "outside"), 0);
    expect_line(&grid, 0, "  abc");
    expect_line(&grid, 1, "       123");
    expect_line(&grid, 2, "");
    assert_int_equal(grid.cells[2].ink, DXI_INK_STRONG);
    assert_int_equal(grid.cells[5].ink, DXI_INK_PLAIN);
    dxi_grid_close(&grid);
}

static void fields_are_aligned_and_what_is_too_long_ends_in_a_mark(void **state)
{
    (void)state;
    dxi_grid_t grid;
    assert_int_equal(dxi_grid_init(&grid, 4, 12), DX_OK);
    dxi_grid_field(&grid, 0, 1, 6, 0, DXI_INK_PLAIN, "left");
    dxi_grid_field(&grid, 1, 1, 6, 1, DXI_INK_PLAIN, "right");
    dxi_grid_field(&grid, 2, 1, 6, 1, DXI_INK_PLAIN, "too long");
    dxi_grid_field(&grid, 3, 1, 0, 1, DXI_INK_PLAIN, "nothing");
    expect_line(&grid, 0, " left");
    expect_line(&grid, 1, "  right");
    expect_line(&grid, 2, " too l~");
    expect_line(&grid, 3, "");
    dxi_grid_close(&grid);
}

static void only_letters_of_one_column_reach_a_terminal(void **state)
{
    (void)state;
    static const struct {
        const char *text, *shown;
    } TEXTS[] = {
        {"plain", "plain"},
        {"caf\xc3\xa9", "caf\xc3\xa9"},
        {"\xce\xbb \xd0\x96", "\xce\xbb \xd0\x96"},
        {"a\x1b[31mb", "a?[31mb"},
        {"a\xc2\x9b"
         "31m",
         "a?31m"},
        {"\xe6\x97\xa5", "?"},     /* two columns wide */
        {"e\xcc\x81", "e?"},       /* a mark that combines */
        {"\xf0\x9f\x98\x80", "?"}, /* a picture */
        {"\xff\xfe", "??"},
        {"\xc3", "?"}, /* cut */
        {"a\tb\n", "a?b?"},
    };
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++) {
        dxi_grid_t grid;
        assert_int_equal(dxi_grid_init(&grid, 1, 20), DX_OK);
        (void)dxi_grid_put(&grid, 0, 0, DXI_INK_PLAIN, TEXTS[i].text);
        expect_line(&grid, 0, TEXTS[i].shown);
        assert_int_equal(dxi_grid_width(TEXTS[i].text), dxi_grid_width(TEXTS[i].shown));
        dxi_grid_close(&grid);
    }
}

static void sizes_are_bounded(void **state)
{
    (void)state;
    static const struct {
        int rows, columns, rows_got, columns_got;
    } SIZES[] = {
        {0, -5, 1, 1},
        {DXI_GRID_ROWS_MAX, DXI_GRID_COLUMNS_MAX, DXI_GRID_ROWS_MAX, DXI_GRID_COLUMNS_MAX},
        {DXI_GRID_ROWS_MAX + 1, DXI_GRID_COLUMNS_MAX + 1, DXI_GRID_ROWS_MAX, DXI_GRID_COLUMNS_MAX},
    };
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
        dxi_grid_t grid;
        assert_int_equal(dxi_grid_init(&grid, SIZES[i].rows, SIZES[i].columns), DX_OK);
        assert_int_equal(grid.rows, SIZES[i].rows_got);
        assert_int_equal(grid.columns, SIZES[i].columns_got);
        dxi_grid_close(&grid);
    }
}

static void a_style_is_put_over_a_part_of_a_row(void **state)
{
    (void)state;
    dxi_grid_t grid;
    assert_int_equal(dxi_grid_init(&grid, 2, 5), DX_OK);
    dxi_grid_ink(&grid, 1, 3, 10, DXI_INK_SELECTED);
    dxi_grid_ink(&grid, 7, 0, 5, DXI_INK_ERROR);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(grid.cells[i].ink, i >= 8 ? DXI_INK_SELECTED : DXI_INK_PLAIN);
    }
    dxi_grid_clear(&grid);
    assert_int_equal(grid.cells[9].ink, DXI_INK_PLAIN);
    dxi_grid_close(&grid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_stands_where_it_was_put_and_is_cut_at_the_edges),
        cmocka_unit_test(fields_are_aligned_and_what_is_too_long_ends_in_a_mark),
        cmocka_unit_test(only_letters_of_one_column_reach_a_terminal),
        cmocka_unit_test(sizes_are_bounded),
        cmocka_unit_test(a_style_is_put_over_a_part_of_a_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
