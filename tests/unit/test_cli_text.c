/* test_cli_text.c - what people read: tables, numbers, wrapped lines, nearest names, explanations.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/format.h"
#include "base/nearest.h"
#include "cli/errors.h"
#include "cli/output.h"
#include "cli/stat_print.h"
#include "cli/table.h"

#include "base_test.h"

/* What a table prints; free it. */
static char *printed(const dxi_table_t *table, int32_t indent, int32_t width)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *const stream = open_memstream(&text, &bytes);
    assert_non_null(stream);
    dxi_table_print(table, stream, indent, width);
    fclose(stream);
    return text;
}

static void assert_prints(const dxi_table_t *table, int32_t indent, int32_t width,
                          const char *expected)
{
    char *const text = printed(table, indent, width);
    assert_string_equal(text, expected);
    free(text);
}

static dxi_table_t *table_of_three(void)
{
    static const dxi_column_t columns[] = {{"name", DXI_ALIGN_LEFT, 0},
                                           {"count", DXI_ALIGN_RIGHT, 0},
                                           {"note", DXI_ALIGN_LEFT, 2},
                                           {"more", DXI_ALIGN_RIGHT, 1}};
    dxi_table_t *table = NULL;
    assert_ok(dxi_table_create(columns, 4, &table, NULL));
    static const char *const cells[] = {"a", "1", "x", "7", "longer name", "1,000", "yy", "8"};
    for (size_t i = 0; i < COUNT_OF(cells); i++) {
        dxi_table_cell(table, "%s", cells[i]);
    }
    return table;
}

static void columns_are_aligned(void **state)
{
    (void)state;
    dxi_table_t *const table = table_of_three();
    assert_prints(table, 0, 0,
                  "name         count  note  more\n"
                  "a                1  x        7\n"
                  "longer name  1,000  yy       8\n");
    assert_prints(table, 2, 32,
                  "  name         count  note  more\n"
                  "  a                1  x        7\n"
                  "  longer name  1,000  yy       8\n");
    dxi_table_destroy(table);
}

static void a_narrow_terminal_drops_columns_then_cuts(void **state)
{
    (void)state;
    dxi_table_t *const table = table_of_three();
    assert_prints(table, 0, 29,
                  "name         count  more\n"
                  "a                1     7\n"
                  "longer name  1,000     8\n");
    assert_prints(table, 0, 18,
                  "name         count\n"
                  "a                1\n"
                  "longer name  1,000\n");
    assert_prints(table, 0, 17,
                  "name        count\n"
                  "a               1\n"
                  "longer ...  1,000\n");
    assert_prints(table, 0, 3, /* narrower than it can be */
                  "name      count\n"
                  "a             1\n"
                  "longe...  1,000\n");
    dxi_table_destroy(table);
}

static void characters_count_and_not_bytes(void **state)
{
    (void)state;
    static const dxi_column_t columns[] = {{"n", DXI_ALIGN_LEFT, 0}, {"v", DXI_ALIGN_LEFT, 0}};
    dxi_table_t *table = NULL;
    assert_ok(dxi_table_create(columns, 2, &table, NULL));
    dxi_table_cell(table, "\xc3\xa9\xc3\xa9");
    dxi_table_cell(table, "1");
    dxi_table_cell(table, "ab");
    assert_prints(table, 0, 0, "n   v\n\xc3\xa9\xc3\xa9  1\nab  \n");
    dxi_table_destroy(table);
}

static void a_table_has_limits(void **state)
{
    (void)state;
    dxi_column_t columns[DXI_TABLE_COLUMNS_MAX + 1] = {{0}};
    dxi_table_t *table = NULL;
    dx_error_t error = {0};
    for (size_t i = 0; i < COUNT_OF(columns); i++) {
        columns[i].title = "t";
    }
    assert_fails(dxi_table_create(columns, 0, &table, &error), DX_EINVAL, error,
                 "column_count is 0, must be from 1 to 16");
    assert_fails(dxi_table_create(columns, DXI_TABLE_COLUMNS_MAX + 1, &table, &error), DX_EINVAL,
                 error, "column_count is 17");
    assert_null(table);
    assert_ok(dxi_table_create(columns, DXI_TABLE_COLUMNS_MAX, &table, &error));
    for (size_t i = 0; i < (size_t)DXI_TABLE_ROWS_MAX * DXI_TABLE_COLUMNS_MAX; i++) {
        dxi_table_cell(table, "%0*d", DXI_TABLE_CELL_BYTES, 1); /* one byte too long: cut */
    }
    char *text = printed(table, 0, 0);
    assert_null(strstr(text, "more rows"));
    free(text);
    dxi_table_cell(table, "beyond");
    text = printed(table, 0, 0);
    assert_non_null(strstr(text, "... and 1 more rows\n"));
    free(text);
    dxi_table_destroy(table);
    dxi_table_destroy(NULL);
}

static void numbers_are_for_eyes(void **state)
{
    (void)state;
    static const struct {
        int64_t value;
        const char *count;
        const char *ns;
    } rows[] = {
        {0, "0", "0 ns"},
        {999, "999", "999 ns"},
        {1000, "1,000", "1.00 us"},
        {9994, "9,994", "9.99 us"},
        {9996, "9,996", "10.0 us"},
        {99960, "99,960", "100 us"},
        {999499, "999,499", "999 us"},
        {999500, "999,500", "1.00 ms"},
        {123456789, "123,456,789", "123 ms"},
        {INT64_C(100000000000), "100,000,000,000", "100 s"},
        {-1234, "-1,234", "-1.23 us"},
        {INT64_MAX, "9,223,372,036,854,775,807", "9223372037 s"},
        {INT64_MIN, "-9,223,372,036,854,775,808", "-9223372037 s"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_string_equal(dxi_format_count(&(dxi_text_t){0}, rows[i].value), rows[i].count);
        assert_string_equal(dxi_format_ns(&(dxi_text_t){0}, rows[i].value), rows[i].ns);
    }
    assert_string_equal(dxi_format_share(&(dxi_text_t){0}, 1, 3), "33.3 %");
    assert_string_equal(dxi_format_share(&(dxi_text_t){0}, 0, 0), "-");
    assert_string_equal(dxi_format_decimal(&(dxi_text_t){0}, 1234.56), "1,234.6");
    assert_string_equal(dxi_format_decimal(&(dxi_text_t){0}, -0.25), "-0.3");
    assert_string_equal(dxi_format_decimal(&(dxi_text_t){0}, 1e300), "-");
}

static void sizes_and_rates_are_for_eyes(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        const char *text;
    } rows[] = {{0, "0 B"},
                {999, "999 B"},
                {1000, "0.98 KiB"},
                {1024, "1.00 KiB"},
                {204800, "200 KiB"},
                {1 << 20, "1.00 MiB"},
                {UINT64_C(1) << 40, "1.00 TiB"}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_string_equal(dxi_format_bytes(&(dxi_text_t){0}, rows[i].bytes), rows[i].text);
    }
    assert_string_equal(dxi_format_rate(&(dxi_text_t){0}, 1234.5), "1,235");
    assert_string_equal(dxi_format_rate(&(dxi_text_t){0}, 0), "0");
    assert_string_equal(dxi_format_rate(&(dxi_text_t){0}, -1), "-");
}

static void names_are_harmless_to_a_terminal(void **state)
{
    (void)state;
    assert_string_equal(dxi_format_name(&(dxi_text_t){0}, "audit-1"), "audit-1");
    assert_string_equal(dxi_format_name(&(dxi_text_t){0}, "a\x1b[2J\n\x7f"), "a?[2J??");
    assert_string_equal(dxi_format_name(&(dxi_text_t){0}, "a\x9b"
                                                          "2J\x9b"),
                        "a?2J?");
    assert_string_equal(dxi_format_name(&(dxi_text_t){0}, "\xc3\xa9 \xc2\x9b"), "\xc3\xa9 ??");
    char longest[DX_RING_NAME_MAX + 20];
    memset(longest, 'n', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(strlen(dxi_format_name(&(dxi_text_t){0}, longest)), DX_RING_NAME_MAX);
}

static void a_bar_is_empty_or_full_only_when_the_ring_is(void **state)
{
    (void)state;
    static const struct {
        int64_t part;
        const char *bar;
    } rows[] = {{-5, "[----------]"},  {0, "[----------]"},   {1, "[#---------]"},
                {500, "[#####-----]"}, {999, "[#########-]"}, {1000, "[##########]"},
                {2000, "[##########]"}};
    char text[16];
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_string_equal(dxi_fill_bar(text, sizeof text, rows[i].part, 1000, 12), rows[i].bar);
    }
    assert_string_equal(dxi_fill_bar(text, 5, 500, 1000, 12), "[###"); /* cut, not overrun */
}

static void text_is_wrapped_between_words(void **state)
{
    (void)state;
    static const struct {
        int32_t width;
        const char *expected;
    } rows[] = {{0, "one two three\n"},
                {13, "one two three\n"},
                {12, "one two\n  three\n"},
                {1, "one\n  two\n  three\n"}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *text = NULL;
        size_t bytes = 0;
        FILE *const stream = open_memstream(&text, &bytes);
        assert_non_null(stream);
        dxi_print_wrapped(stream, "one  two three", 0, 2, rows[i].width);
        fclose(stream);
        assert_string_equal(text, rows[i].expected);
        free(text);
    }
}

static void the_terminal_may_be_described_by_the_environment(void **state)
{
    (void)state;
    static const struct {
        const char *columns;
        int32_t width;
    } rows[] = {{"20", 20}, {"1000", 1000}, {"19", 0}, {"1001", 0}, {"", 0}, {"80x", 0}};
    FILE *const none = fopen("/dev/null", "w");
    assert_non_null(none);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        setenv("COLUMNS", rows[i].columns, 1);
        assert_int_equal(dxi_output_width(none), rows[i].width);
    }
    unsetenv("COLUMNS");
    assert_string_equal(dxi_style(none, DXI_STYLE_ERROR), "");
    fclose(none);
}

static void distances_count_edits(void **state)
{
    (void)state;
    static const struct {
        const char *a;
        const char *b;
        size_t distance;
    } rows[] = {{"", "", 0},         {"", "abc", 3},           {"abc", "abc", 0},
                {"demo", "dmeo", 1}, {"demo", "dmo", 1},       {"demo", "domo", 1},
                {"ab", "ba", 1},     {"kitten", "sitting", 3}, {"orders", "stat", 6}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(dxi_edit_distance(rows[i].a, rows[i].b), rows[i].distance);
        assert_int_equal(dxi_edit_distance(rows[i].b, rows[i].a), rows[i].distance);
    }
    char word[DXI_NEAREST_BYTES_MAX + 2];
    memset(word, 'a', sizeof word);
    word[DXI_NEAREST_BYTES_MAX] = '\0';
    assert_int_equal(dxi_edit_distance(word, word), 0);
    word[DXI_NEAREST_BYTES_MAX] = 'a';
    word[DXI_NEAREST_BYTES_MAX + 1] = '\0';
    assert_int_equal(dxi_edit_distance(word, word), DXI_NEAREST_BYTES_MAX + 1);
}

static void only_a_near_name_is_offered(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        const char *best;
    } rows[] = {{"capcity", "capacity"}, {"cap", "capacity"}, {"cpu", "cpus"}, {"batch", "batch"},
                {"zzz", NULL},           {"c", NULL},         {"", NULL}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        dxi_nearest_t nearest = {.word = rows[i].word};
        dxi_nearest_offer(&nearest, "batch");
        dxi_nearest_offer(&nearest, "capacity");
        dxi_nearest_offer(&nearest, "cpus");
        if (rows[i].best == NULL) {
            assert_null(nearest.best);
        } else {
            assert_non_null(nearest.best);
            assert_string_equal(nearest.best, rows[i].best);
        }
    }
}

static void every_error_code_is_explained(void **state)
{
    (void)state;
#define EXPLAINED(name, number, text)                                                              \
    {                                                                                              \
        int code = 1;                                                                              \
        assert_ok(dxi_error_lookup(#name, &code));                                                 \
        assert_int_equal(code, (number));                                                          \
        assert_non_null(dxi_error_meaning(number));                                                \
        assert_non_null(dxi_error_action(number));                                                 \
    }
    DX_ERROR_LIST(EXPLAINED)
#undef EXPLAINED
    int code = 1;
    assert_null(dxi_error_meaning(1));
    assert_null(dxi_error_action(-9999));
    assert_int_equal(dxi_error_lookup("DX_", &code), DX_ENOTFOUND);
    assert_int_equal(dxi_error_lookup("99999999999999999999", &code), DX_ENOTFOUND);
    assert_int_equal(code, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_aligned),
        cmocka_unit_test(a_narrow_terminal_drops_columns_then_cuts),
        cmocka_unit_test(characters_count_and_not_bytes),
        cmocka_unit_test(a_table_has_limits),
        cmocka_unit_test(numbers_are_for_eyes),
        cmocka_unit_test(sizes_and_rates_are_for_eyes),
        cmocka_unit_test(names_are_harmless_to_a_terminal),
        cmocka_unit_test(a_bar_is_empty_or_full_only_when_the_ring_is),
        cmocka_unit_test(text_is_wrapped_between_words),
        cmocka_unit_test(the_terminal_may_be_described_by_the_environment),
        cmocka_unit_test(distances_count_edits),
        cmocka_unit_test(only_a_near_name_is_offered),
        cmocka_unit_test(every_error_code_is_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
