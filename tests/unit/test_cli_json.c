/* test_cli_json.c - the JSON writer: form, escapes, and what misuse it catches.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/json.h"

#include <math.h>

#include "base_test.h"

/* A writer into memory. */
typedef struct written {
    char *text;
    size_t bytes;
    dxi_json_t json;
} written_t;

static void begin(written_t *written)
{
    FILE *const stream = open_memstream(&written->text, &written->bytes);
    assert_non_null(stream);
    dxi_json_begin(&written->json, stream);
}

/* Ends the writer, which must return `code`; the text must be `expected` where that is not NULL. */
static void finish(written_t *written, int code, const char *expected)
{
    const int finished = dxi_json_finish(&written->json);
    fclose(written->json.stream);
    assert_string_equal(dx_error_name(finished), dx_error_name(code));
    if (expected != NULL) {
        assert_string_equal(written->text, expected);
    }
    free(written->text);
}

static void every_kind_of_value_is_written(void **state)
{
    (void)state;
    written_t written;
    begin(&written);
    dxi_json_object_begin(&written.json, NULL);
    dxi_json_text(&written.json, "text", "a");
    dxi_json_text(&written.json, "none", NULL);
    dxi_json_integer(&written.json, "low", INT64_MIN);
    dxi_json_integer(&written.json, "high", INT64_MAX);
    dxi_json_real(&written.json, "real", 0.25);
    dxi_json_real(&written.json, "nan", (double)NAN);
    dxi_json_real(&written.json, "infinite", (double)INFINITY);
    dxi_json_boolean(&written.json, "yes", true);
    dxi_json_array_begin(&written.json, "list");
    dxi_json_integer(&written.json, NULL, 1);
    dxi_json_boolean(&written.json, NULL, false);
    dxi_json_array_end(&written.json);
    dxi_json_array_begin(&written.json, "empty");
    dxi_json_array_end(&written.json);
    dxi_json_object_end(&written.json);
    finish(&written, DX_OK,
           "{\n  \"text\": \"a\",\n  \"none\": null,\n  \"low\": -9223372036854775808,\n"
           "  \"high\": 9223372036854775807,\n  \"real\": 0.25,\n  \"nan\": null,\n"
           "  \"infinite\": null,\n  \"yes\": true,\n  \"list\": [\n    1,\n    false\n  ],\n"
           "  \"empty\": []\n}\n");
}

static void text_is_escaped_and_becomes_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *json;
    } rows[] = {
        {"", "\"\"\n"},
        {"\"\\/", "\"\\\"\\\\/\"\n"},
        {"\n\t\r\x01\x1f\x7f", "\"\\n\\t\\u000d\\u0001\\u001f\\u007f\"\n"},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"\n"},
        {"\xff", "\"\\ufffd\"\n"},
        {"\xc3", "\"\\ufffd\"\n"},                                  /* cut short */
        {"\xc0\xaf", "\"\\ufffd\\ufffd\"\n"},                       /* overlong */
        {"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"\n"},            /* a surrogate */
        {"\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"\n"}, /* above U+10FFFF */
        {"\x80z", "\"\\ufffdz\"\n"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        written_t written;
        begin(&written);
        dxi_json_text(&written.json, NULL, rows[i].text);
        finish(&written, DX_OK, rows[i].json);
    }
}

/* Opens `depth` arrays and closes them. */
static void nest(written_t *written, int depth)
{
    begin(written);
    for (int i = 0; i < depth; i++) {
        dxi_json_array_begin(&written->json, NULL);
    }
    for (int i = 0; i < depth; i++) {
        dxi_json_array_end(&written->json);
    }
}

static void nesting_has_a_limit(void **state)
{
    (void)state;
    written_t written;
    nest(&written, DXI_JSON_DEPTH_MAX);
    finish(&written, DX_OK, NULL);
    nest(&written, DXI_JSON_DEPTH_MAX + 1);
    finish(&written, DX_ELIMIT, NULL);
}

static void misuse_is_caught(void **state)
{
    (void)state;
    written_t written;
    begin(&written); /* nothing at all */
    finish(&written, DX_ESTATE, "");

    begin(&written); /* two values at the top */
    dxi_json_null(&written.json, NULL);
    dxi_json_null(&written.json, NULL);
    finish(&written, DX_ESTATE, "null");

    begin(&written); /* no key in an object */
    dxi_json_object_begin(&written.json, NULL);
    dxi_json_integer(&written.json, NULL, 1);
    dxi_json_object_end(&written.json);
    finish(&written, DX_ESTATE, "{");

    begin(&written); /* a key in an array */
    dxi_json_array_begin(&written.json, NULL);
    dxi_json_integer(&written.json, "key", 1);
    finish(&written, DX_ESTATE, "[");

    begin(&written); /* closed as something else */
    dxi_json_array_begin(&written.json, NULL);
    dxi_json_object_end(&written.json);
    finish(&written, DX_ESTATE, "[");

    begin(&written); /* closed too often, left open */
    dxi_json_array_end(&written.json);
    finish(&written, DX_ESTATE, "");
    begin(&written);
    dxi_json_array_begin(&written.json, NULL);
    finish(&written, DX_ESTATE, "[");
}

static void a_stream_that_refuses_is_told(void **state)
{
    (void)state;
    dxi_json_t json;
    FILE *const full = fopen("/dev/full", "w");
    assert_non_null(full);
    dxi_json_begin(&json, full);
    dxi_json_null(&json, NULL);
    assert_int_equal(dxi_json_finish(&json), DX_EIO);
    fclose(full);
}

static void a_value_may_stand_on_one_line(void **state)
{
    (void)state;
    written_t written = {0};
    FILE *const stream = open_memstream(&written.text, &written.bytes);
    assert_non_null(stream);
    dxi_json_begin_line(&written.json, stream);
    dxi_json_object_begin(&written.json, NULL);
    dxi_json_number(&written.json, "big", "18446744073709551615");
    dxi_json_number(&written.json, "none", NULL);
    dxi_json_array_begin(&written.json, "list");
    dxi_json_integer(&written.json, NULL, 1);
    dxi_json_integer(&written.json, NULL, 2);
    dxi_json_array_end(&written.json);
    dxi_json_object_end(&written.json);
    finish(&written, DX_OK, "{\"big\": 18446744073709551615, \"none\": null, \"list\": [1, 2]}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_may_stand_on_one_line),
        cmocka_unit_test(every_kind_of_value_is_written),
        cmocka_unit_test(text_is_escaped_and_becomes_utf8),
        cmocka_unit_test(nesting_has_a_limit),
        cmocka_unit_test(misuse_is_caught),
        cmocka_unit_test(a_stream_that_refuses_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
