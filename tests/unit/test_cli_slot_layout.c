/* test_cli_slot_layout.c - fields of an event by a text: what is read, and what is refused where.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/slot_layout.h"

#include <math.h>

#include "base_test.h"

static void fields_follow_each_other_without_gaps(void **state)
{
    (void)state;
    dxi_slot_layout_t layout;
    assert_ok(dxi_slot_layout_parse(
        " i8 a,u16 b ,i32\tc, u64 d, f32 e, pad 3, f64 _f1, char[8] symbol\n", &layout, NULL));
    static const struct {
        const char *name;
        dxi_field_kind_t kind;
        uint32_t offset;
        uint32_t bytes;
    } rows[] = {
        {"a", DXI_FIELD_SIGNED, 0, 1},      {"b", DXI_FIELD_UNSIGNED, 1, 2},
        {"c", DXI_FIELD_SIGNED, 3, 4},      {"d", DXI_FIELD_UNSIGNED, 7, 8},
        {"e", DXI_FIELD_REAL, 15, 4},       {"_f1", DXI_FIELD_REAL, 22, 8},
        {"symbol", DXI_FIELD_CHARS, 30, 8},
    };
    assert_int_equal(layout.count, COUNT_OF(rows));
    assert_int_equal(layout.bytes, 38);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_string_equal(layout.fields[i].name, rows[i].name);
        assert_int_equal(layout.fields[i].kind, rows[i].kind);
        assert_int_equal(layout.fields[i].offset, rows[i].offset);
        assert_int_equal(layout.fields[i].bytes, rows[i].bytes);
    }
}

static void what_is_wrong_is_said_with_its_column(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int code;
        const char *sentence;
    } rows[] = {
        {"", DX_EPARSE, "column 1: a type must stand here"},
        {"i64 a,", DX_EPARSE, "column 7: a type must stand here"},
        {", i64 a", DX_EPARSE, "column 1: a type must stand here"},
        {"i64 a, u23 b", DX_EPARSE, "column 8: u23 is no type, must be i8 i16"},
        {"i64 a, u23 b", DX_EPARSE, "did you mean"},
        {"int a", DX_EPARSE, "column 1: int is no type"},
        {"i64", DX_EPARSE, "column 4: a name must stand here"},
        {"i64 9a", DX_EPARSE, "column 5: a name must stand here"},
        {"i64 a b", DX_EPARSE, "column 7: a comma must stand here"},
        {"i64 a; i64 b", DX_EPARSE, "column 6: a comma must stand here"},
        {"i64 a, i32 a", DX_EPARSE, "column 12: there is a field a already"},
        {"char symbol", DX_EPARSE, "column 5: char needs its length, as in char[8]"},
        {"char[] s", DX_EPARSE, "column 6: a number of bytes must stand here, from 1 to 1048576"},
        {"char[0] s", DX_EPARSE, "column 6: a number of bytes must stand here"},
        {"char[1048577] s", DX_EPARSE, "column 6: a number of bytes must stand here"},
        {"char[99999999999999999999999] s", DX_EPARSE, "column 6: a number of bytes"},
        {"char[8 s", DX_EPARSE, "column 7: a ] must stand here"},
        {"pad, i64 a", DX_EPARSE, "column 4: a number of bytes must stand here"},
        {"pad 8", DX_EPARSE, "there is padding only"},
        {"char[1048576] a, i8 b", DX_ELIMIT, "column 18: the layout has more than 1048576 bytes"},
        {"i64 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", DX_EPARSE, "has 32 bytes, must have at most 31"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        dxi_slot_layout_t layout;
        dx_error_t error = {0};
        assert_fails(dxi_slot_layout_parse(rows[i].text, &layout, &error), rows[i].code, error,
                     rows[i].sentence);
    }
}

static void limits_are_accepted_at_their_value(void **state)
{
    (void)state;
    char text[DXI_FIELDS_MAX * 8 + 16] = "";
    size_t used = 0;
    dxi_slot_layout_t layout;
    dx_error_t error = {0};
    for (int i = 0; i < DXI_FIELDS_MAX; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%si8 f%d", i > 0 ? "," : "", i);
    }
    assert_ok(dxi_slot_layout_parse(text, &layout, &error));
    assert_int_equal(layout.count, DXI_FIELDS_MAX);
    snprintf(text + used, sizeof text - used, ",i8 one");
    assert_fails(dxi_slot_layout_parse(text, &layout, &error), DX_ELIMIT, error,
                 "there are more than 64 fields");
    assert_ok(dxi_slot_layout_parse("i64 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, char[1048568] b", &layout,
                                    &error));
    assert_int_equal(layout.bytes, DXI_FIELD_BYTES_MAX);
}

/* The text of the one field of a layout. */
static void assert_formats(const char *layout_text, const void *event, const char *expected)
{
    char text[DXI_FIELD_TEXT_BYTES];
    dxi_slot_layout_t layout;
    assert_ok(dxi_slot_layout_parse(layout_text, &layout, NULL));
    assert_string_equal(dxi_field_format(&layout.fields[0], event, text), expected);
}

static void values_are_printed_with_all_their_digits(void **state)
{
    (void)state;
    const int64_t low = INT64_MIN;
    const uint64_t high = UINT64_MAX;
    const double tenth = 0.1;
    const double third = 1.0 / 3;
    const float single = 0.1F;
    assert_formats("i8 a", &low, "0");
    assert_formats("i8 a", &high, "-1");
    assert_formats("u8 a", &high, "255");
    assert_formats("i16 a", &high, "-1");
    assert_formats("u16 a", &high, "65535");
    assert_formats("i32 a", &high, "-1");
    assert_formats("u32 a", &high, "4294967295");
    assert_formats("i64 a", &low, "-9223372036854775808");
    assert_formats("u64 a", &high, "18446744073709551615");
    assert_formats("f64 a", &tenth, "0.1");
    assert_formats("f64 a", &third, "0.3333333333333333");
    assert_formats("f32 a", &single, "0.1");
    assert_formats("pad 4, u32 a", &high, "4294967295");
}

static void text_is_harmless_to_a_terminal(void **state)
{
    (void)state;
    assert_formats("char[8] a", "AAPL\0XY", "\"AAPL\"");
    assert_formats("char[4] a", "AAPLXY", "\"AAPL\"");
    assert_formats("char[8] a", "a\"b\\c\x1b[\x80", "\"a\\\"b\\\\c\\x1b[\\x80\"");
    char longest[600];
    char text[DXI_FIELD_TEXT_BYTES];
    dxi_slot_layout_t layout;
    memset(longest, '\x01', sizeof longest);
    assert_ok(dxi_slot_layout_parse("char[600] a", &layout, NULL));
    const size_t length = strlen(dxi_field_format(&layout.fields[0], longest, text));
    assert_true(length < sizeof text && length > sizeof text - 16);
    assert_string_equal(text + length - 4, "\"...");
}

static void json_keeps_numbers_and_says_null_for_what_is_none(void **state)
{
    (void)state;
    char *text = NULL;
    size_t bytes = 0;
    FILE *const stream = open_memstream(&text, &bytes);
    assert_non_null(stream);
    struct {
        uint64_t big;
        double none;
        char name[8];
    } event = {UINT64_MAX, (double)NAN, "a\n"};
    dxi_slot_layout_t layout;
    dxi_json_t json;
    assert_ok(dxi_slot_layout_parse("u64 big, f64 none, char[8] name", &layout, NULL));
    dxi_json_begin_line(&json, stream);
    dxi_json_object_begin(&json, NULL);
    for (uint32_t i = 0; i < layout.count; i++) {
        dxi_field_json(&layout.fields[i], &event, &json);
    }
    dxi_json_object_end(&json);
    assert_ok(dxi_json_finish(&json));
    fclose(stream);
    assert_string_equal(text,
                        "{\"big\": 18446744073709551615, \"none\": null, \"name\": \"a\\n\"}\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_follow_each_other_without_gaps),
        cmocka_unit_test(what_is_wrong_is_said_with_its_column),
        cmocka_unit_test(limits_are_accepted_at_their_value),
        cmocka_unit_test(values_are_printed_with_all_their_digits),
        cmocka_unit_test(text_is_harmless_to_a_terminal),
        cmocka_unit_test(json_keeps_numbers_and_says_null_for_what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
