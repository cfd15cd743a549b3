/* test_log_line.c - one line, byte by byte: escapes, cuts, times.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/log_line.h"

#include "base_test.h"

static const dx_log_site_t site = {"src/a.c", 12, DX_LOG_LEVEL_WARN, "ring"};

static void times_are_rfc_3339_in_utc(void **state)
{
    (void)state;
    static const struct {
        int64_t seconds, ns;
        const char *text;
    } rows[] = {
        {0, 0, "1970-01-01T00:00:00.000000000Z"},
        {0, 1, "1970-01-01T00:00:00.000000001Z"},
        {86399, 999999999, "1970-01-01T23:59:59.999999999Z"},
        {951782400, 0, "2000-02-29T00:00:00.000000000Z"}, /* 400 years: leap */
        {951868800, 0, "2000-03-01T00:00:00.000000000Z"},
        {1709164800, 0, "2024-02-29T00:00:00.000000000Z"},
        {1735689599, 5, "2024-12-31T23:59:59.000000005Z"},
        {1735689600, 0, "2025-01-01T00:00:00.000000000Z"},
        {4107542400, 0, "2100-03-01T00:00:00.000000000Z"}, /* 100 years: not leap */
        {4107456000, 0, "2100-02-28T00:00:00.000000000Z"},
        {-1, 0, "1970-01-01T00:00:00.000000000Z"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[DXI_TIMESTAMP_BYTES];
        dxi_timestamp_format(rows[i].seconds * 1000000000 + rows[i].ns, text);
        assert_string_equal(text, rows[i].text);
    }
    char text[DXI_TIMESTAMP_BYTES];
    dxi_timestamp_format(INT64_MAX, text);
    assert_string_equal(text, "2262-04-11T23:47:16.854775807Z");
}

static const char *line_of(dx_log_format_t format, const dxi_log_record_t *record)
{
    static char line[DX_LOG_LINE_BYTES_MAX];
    const size_t bytes = dxi_log_line(format, record, line);
    assert_int_equal(bytes, strlen(line));
    assert_true(bytes < DX_LOG_LINE_BYTES_MAX);
    assert_ptr_equal(strchr(line, '\n'), line + bytes - 1); /* I1 */
    return line;
}

static void a_text_line_has_time_level_component_message_and_place(void **state)
{
    (void)state;
    dxi_log_record_t record = {.site = &site, .thread_id = 7, .message = "slow"};
    assert_string_equal(line_of(DX_LOG_FORMAT_TEXT, &record),
                        "1970-01-01T00:00:00.000000000Z WARN  ring: slow (src/a.c:12)\n");
    record.suppressed = 17;
    assert_string_equal(
        line_of(DX_LOG_FORMAT_TEXT, &record),
        "1970-01-01T00:00:00.000000000Z WARN  ring: slow (src/a.c:12) [+17 suppressed]\n");
}

static void a_json_line_has_the_same_in_fields(void **state)
{
    (void)state;
    dxi_log_record_t record = {.site = &site, .thread_id = 7, .message = "slow"};
    assert_string_equal(line_of(DX_LOG_FORMAT_JSON, &record),
                        "{\"ts\":\"1970-01-01T00:00:00.000000000Z\",\"level\":\"warn\","
                        "\"component\":\"ring\",\"message\":\"slow\",\"file\":\"src/a.c\","
                        "\"line\":12,\"tid\":7}\n");
    record.suppressed = 17;
    assert_contains(line_of(DX_LOG_FORMAT_JSON, &record), ",\"tid\":7,\"suppressed\":17}\n");
}

static void levels_have_a_column_of_one_width(void **state)
{
    (void)state;
    static const char *const columns[] = {"Z       c:", "Z TRACE c:", "Z DEBUG c:", "Z INFO  c:",
                                          "Z WARN  c:", "Z ERROR c:", "Z       c:"};
    for (size_t i = 0; i < COUNT_OF(columns); i++) {
        const dx_log_site_t one = {"f", 1, (dx_log_level_t)i, "c"};
        const dxi_log_record_t record = {.site = &one, .message = ""};
        assert_contains(line_of(DX_LOG_FORMAT_TEXT, &record), columns[i]);
    }
}

static void a_message_cannot_break_out_of_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *message, *text, *json;
    } rows[] = {
        {"a\nb\r\tc", "a\\nb\\r\\tc", "a\\nb\\r\\tc"},
        {"\x01\x1f\x7f", "\\x01\\x1f\\x7f", "\\u0001\\u001f\\u007f"},
        {"\"\\", "\"\\", "\\\"\\\\"},
        {"\x1b[31m", "\\x1b[31m", "\\u001b[31m"},
        {"\xC2\x9B"
         "1m",
         "\\u009b1m", "\\u009b1m"},           /* a terminal command in one */
        {"\xC2\xA0", "\xC2\xA0", "\xC2\xA0"}, /* the first that is none */
        {"\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x99\x82", "\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x99\x82",
         "\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x99\x82"},
        {"\xC3", "\\xc3", "\\ufffd"},                 /* cut off */
        {"\x80x", "\\x80x", "\\ufffdx"},              /* stray */
        {"\xC0\xAF", "\\xc0\\xaf", "\\ufffd\\ufffd"}, /* overlong slash */
        {"\xE0\x80\xAF", "\\xe0\\x80\\xaf", "\\ufffd\\ufffd\\ufffd"},
        {"\xED\xA0\x80", "\\xed\\xa0\\x80", "\\ufffd\\ufffd\\ufffd"}, /* surrogate */
        {"\xF4\x90\x80\x80", "\\xf4\\x90\\x80\\x80", "\\ufffd\\ufffd\\ufffd\\ufffd"},
        {"\xF0\x80\x80\x80", "\\xf0\\x80\\x80\\x80", "\\ufffd\\ufffd\\ufffd\\ufffd"},
        {"\xFF", "\\xff", "\\ufffd"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char expected[256];
        const dxi_log_record_t record = {.site = &site, .message = rows[i].message};
        (void)snprintf(expected, sizeof(expected), "ring: %s (src", rows[i].text);
        assert_contains(line_of(DX_LOG_FORMAT_TEXT, &record), expected);
        (void)snprintf(expected, sizeof(expected), "\"message\":\"%s\",\"file\"", rows[i].json);
        assert_contains(line_of(DX_LOG_FORMAT_JSON, &record), expected);
    }
    assert_int_equal(dxi_utf8_length("", 0), 0);
}

static void a_line_is_cut_only_above_its_limit(void **state)
{
    (void)state;
    static char message[DX_LOG_LINE_BYTES_MAX + 1];
    for (int format = DX_LOG_FORMAT_TEXT; format <= DX_LOG_FORMAT_JSON; format++) {
        dxi_log_record_t record = {.site = &site, .message = ""};
        const size_t frame = strlen(line_of((dx_log_format_t)format, &record));
        const size_t room = DX_LOG_LINE_BYTES_MAX - 1 - frame;
        record.message = message;
        memset(message, 'm', sizeof(message));

        message[room] = '\0';
        const char *line = line_of((dx_log_format_t)format, &record);
        assert_int_equal(strlen(line), DX_LOG_LINE_BYTES_MAX - 1);
        assert_null(strstr(line, "..."));

        message[room] = 'm';
        message[room + 1] = '\0';
        line = line_of((dx_log_format_t)format, &record);
        assert_int_equal(strlen(line), DX_LOG_LINE_BYTES_MAX - 1);
        assert_contains(line,
                        format == DX_LOG_FORMAT_TEXT ? "mm... (src/a.c:12)\n" : "mm...\",\"file\"");
    }
}

static void a_cut_leaves_whole_escapes_and_characters(void **state)
{
    (void)state;
    static char message[2 * DX_LOG_LINE_BYTES_MAX + 8];
    static const char *const units[] = {"\n", "\x01", "\xC3\xA9", "\xF0\x9F\x99\x82", "\x80", "\""};
    for (size_t u = 0; u < COUNT_OF(units); u++) {
        for (size_t shift = 0; shift < 6; shift++) {
            memset(message, 'm', shift);
            message[shift] = '\0';
            while (strlen(message) < DX_LOG_LINE_BYTES_MAX) {
                strcat(message, units[u]);
            }
            const dxi_log_record_t record = {.site = &site, .message = message};
            const char *const line = line_of(DX_LOG_FORMAT_JSON, &record);
            const char *const cut = strstr(line, "...\",\"file\"");
            assert_non_null(cut);
            /* What stands before the mark is a whole number of units (I3). */
            const char *const begin = strstr(line, "\"message\":\"") + 11 + shift;
            static const size_t unit_bytes[] = {2, 6, 2, 4, 6, 2};
            assert_int_equal((size_t)(cut - begin) % unit_bytes[u], 0);
        }
    }
}

static void long_names_are_cut_and_leave_room_for_the_message(void **state)
{
    (void)state;
    char name[600];
    memset(name, 1, sizeof(name) - 1); /* six bytes each in JSON */
    name[sizeof(name) - 1] = '\0';
    const dx_log_site_t worst = {name, INT32_MAX, DX_LOG_LEVEL_ERROR, name};
    const dxi_log_record_t record = {.site = &worst,
                                     .realtime_ns = INT64_MAX,
                                     .suppressed = INT64_MAX,
                                     .thread_id = INT32_MAX,
                                     .message = "still here"};
    assert_contains(line_of(DX_LOG_FORMAT_JSON, &record), "\"message\":\"still here\"");
    assert_contains(line_of(DX_LOG_FORMAT_TEXT, &record), ": still here (");

    char component[DX_LOG_COMPONENT_MAX + 2];
    memset(component, 'c', sizeof(component));
    component[DX_LOG_COMPONENT_MAX + 1] = '\0';
    const dx_log_site_t long_component = {NULL, 1, DX_LOG_LEVEL_INFO, component};
    const dxi_log_record_t other = {.site = &long_component, .message = "m"};
    component[DX_LOG_COMPONENT_MAX] = 'd'; /* one above the limit */
    const char *const line = line_of(DX_LOG_FORMAT_TEXT, &other);
    assert_contains(line, "ccc: m (:1)");
    assert_null(strchr(line, 'd'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_rfc_3339_in_utc),
        cmocka_unit_test(a_text_line_has_time_level_component_message_and_place),
        cmocka_unit_test(a_json_line_has_the_same_in_fields),
        cmocka_unit_test(levels_have_a_column_of_one_width),
        cmocka_unit_test(a_message_cannot_break_out_of_its_line),
        cmocka_unit_test(a_line_is_cut_only_above_its_limit),
        cmocka_unit_test(a_cut_leaves_whole_escapes_and_characters),
        cmocka_unit_test(long_names_are_cut_and_leave_room_for_the_message),
    };
    return cmocka_run_group_tests_name("log_line", tests, NULL, NULL);
}
