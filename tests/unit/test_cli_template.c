/* test_cli_template.c - texts with places, where dx pub gets its events from, and starts of dx sub.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/template.h"

#include <unistd.h>

#include "base_test.h"
#include "cli/pub_source.h"
#include "cli/receive.h"
#include "disruptorx/clock.h"

static void places_are_filled_in(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *expected;
    } cases[] = {
        {"", ""},
        {"plain", "plain"},
        {"{{.Count}}", "7"},
        {"a{{.Count}}b{{.Count}}", "a7b7"},
        {"{{.UnixNano}}", "1769851800123456789"},
        {"{{.Time}}", "2026-01-31T09:30:00.123456Z"},
        {"{{not ours}} {{", "{{not ours}} {{"},
        {"{{{.Count}}}", "{7}"},
    };
    dxi_room_t room = {0};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        dxi_template_t template;
        dxi_template_values_t values = {
            .count = 7, .time_ns = INT64_C(1769851800123456789), .random_state = 1};
        assert_ok(dxi_template_parse(cases[i].text, &template, NULL));
        assert_ok(dxi_template_fill(&template, &values, &room));
        assert_string_equal(room.bytes, cases[i].expected);
        assert_int_equal(room.used, strlen(cases[i].expected));
    }
    dxi_room_free(&room);
}

static void random_texts_have_their_length_and_differ(void **state)
{
    (void)state;
    dxi_template_t template;
    dxi_template_values_t values = {.random_state = 1};
    dxi_room_t first = {0};
    dxi_room_t second = {0};
    assert_ok(dxi_template_parse("{{.Random 12}}", &template, NULL));
    assert_ok(dxi_template_fill(&template, &values, &first));
    assert_ok(dxi_template_fill(&template, &values, &second));
    assert_int_equal(first.used, 12);
    assert_int_equal(strspn(first.bytes, "abcdefghijklmnopqrstuvwxyz0123456789"), 12);
    assert_string_not_equal(first.bytes, second.bytes);
    assert_ok(dxi_template_parse("{{.Random 65536}}", &template, NULL));
    assert_ok(dxi_template_fill(&template, &values, &first));
    assert_int_equal(first.used, DXI_TEMPLATE_RANDOM_MAX);
    dxi_room_free(&first);
    dxi_room_free(&second);
}

static void unknown_places_are_refused_with_the_nearest(void **state)
{
    (void)state;
    dxi_template_t template;
    dx_error_t error = {0};
    assert_fails(dxi_template_parse("{{.Cuont}}", &template, &error), DX_EINVAL, error,
                 "did you mean {{.Count}}?");
    assert_fails(dxi_template_parse("{{.Nothing like it}}", &template, &error), DX_EINVAL, error,
                 "there are Count, Time, UnixNano and Random N");
    assert_fails(dxi_template_parse("{{.Count", &template, &error), DX_EINVAL, error, "has no }}");
    assert_fails(dxi_template_parse("{{.Count 3}}", &template, &error), DX_EINVAL, error,
                 "takes nothing behind Count");
    assert_fails(dxi_template_parse("{{.Random}}", &template, &error), DX_EINVAL, error,
                 "must be a whole number from 1 to 65,536");
    assert_fails(dxi_template_parse("{{.Random 65537}}", &template, &error), DX_EINVAL, error,
                 "is 65537");
}

static void a_text_has_at_most_64_places(void **state)
{
    (void)state;
    char text[70 * 10 + 1] = "";
    dxi_template_t template;
    dx_error_t error = {0};
    for (int i = 0; i < DXI_TEMPLATE_PLACES_MAX; i++) {
        strcat(text, "{{.Count}}");
    }
    assert_ok(dxi_template_parse(text, &template, NULL));
    strcat(text, "{{.Count}}");
    assert_fails(dxi_template_parse(text, &template, &error), DX_ELIMIT, error, "more than 64");
}

/* ----------------------------------------------------------------------------------- pub_source */

static void a_text_comes_as_often_as_it_should(void **state)
{
    (void)state;
    const char *headers[] = {"kind=n{{.Count}}", "empty="};
    dxi_pub_source_t source = {.data = "e{{.Count}}",
                               .count = 2,
                               .key = "k{{.Count}}",
                               .headers = headers,
                               .header_count = 2};
    dx_message_t message = {0};
    assert_ok(dxi_pub_source_open(&source, NULL));
    for (int i = 1; i <= 2; i++) {
        char expected[8];
        assert_int_equal(dxi_pub_source_next(&source, &message, NULL), 1);
        snprintf(expected, sizeof expected, "e%d", i);
        assert_int_equal(message.bytes, 2);
        assert_memory_equal(message.data, expected, 2);
        snprintf(expected, sizeof expected, "k%d", i);
        assert_memory_equal(message.key, expected, 2);
        assert_int_equal(message.header_count, 2);
        assert_int_equal(message.headers[0].name_bytes, 4);
        assert_memory_equal(message.headers[0].name, "kind", 4);
        snprintf(expected, sizeof expected, "n%d", i);
        assert_memory_equal(message.headers[0].value, expected, 2);
        assert_int_equal(message.headers[1].value_bytes, 0);
    }
    assert_int_equal(dxi_pub_source_next(&source, &message, NULL), 0);
    dxi_pub_source_close(&source);
}

static void lines_come_without_their_ends(void **state)
{
    (void)state;
    char path[] = "/tmp/dx-test-XXXXXX";
    const int fd = mkstemp(path);
    static const char text[] = "one\r\n\ntwo {{.Count}}\nlast";
    static const char *const expected[] = {"one", "", "two {{.Count}}", "last"};
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    close(fd);
    dxi_pub_source_t source = {.path = path};
    dx_message_t message = {0};
    assert_ok(dxi_pub_source_open(&source, NULL));
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        assert_int_equal(dxi_pub_source_next(&source, &message, NULL), 1);
        assert_int_equal(message.bytes, strlen(expected[i]));
        assert_memory_equal(message.data, expected[i], message.bytes);
    }
    assert_int_equal(dxi_pub_source_next(&source, &message, NULL), 0);
    dxi_pub_source_close(&source);

    dxi_pub_source_t filled = {.path = path, .fill_lines = true, .count = 3};
    assert_ok(dxi_pub_source_open(&filled, NULL));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(dxi_pub_source_next(&filled, &message, NULL), 1);
    }
    assert_memory_equal(message.data, "two 3", 5);
    assert_int_equal(dxi_pub_source_next(&filled, &message, NULL), 0); /* only three were wanted */
    dxi_pub_source_close(&filled);
    unlink(path);
}

static void what_is_no_source_is_refused(void **state)
{
    (void)state;
    dx_error_t error = {0};
    const char *headers[] = {"no equals sign"};
    dxi_pub_source_t source = {.data = "x", .headers = headers, .header_count = 1};
    assert_fails(dxi_pub_source_open(&source, &error), DX_EINVAL, error, "must be NAME=VALUE");
    dxi_pub_source_close(&source);
    dxi_pub_source_t key = {.data = "x", .key = "{{.Bad}}"};
    assert_fails(dxi_pub_source_open(&key, &error), DX_EINVAL, error, "--key: {{.Bad}}");
    dxi_pub_source_close(&key);
    dxi_pub_source_t file = {.path = "/nonexistent/file"};
    assert_fails(dxi_pub_source_open(&file, &error), DX_ENOTFOUND, error, "cannot be opened");
    dxi_pub_source_close(&file);
    dxi_pub_source_t folder = {.path = "/tmp"};
    assert_fails(dxi_pub_source_open(&folder, &error), DX_EINVAL, error, "is a folder");
    dxi_pub_source_close(&folder);
}

/* ------------------------------------------------------------------------------------- dx sub
 * --from */

static void a_start_may_be_written_in_five_ways(void **state)
{
    (void)state;
    const int64_t now = INT64_C(1769851800) * DX_NS_PER_S;
    static const struct {
        const char *text;
        dx_start_from_t from;
        uint64_t value;
    } cases[] = {
        {"latest", DX_FROM_LATEST, 0},
        {"earliest", DX_FROM_EARLIEST, 0},
        {"1", DX_FROM_SEQUENCE, 1},
        {"9223372036854775807", DX_FROM_SEQUENCE, INT64_MAX},
        {"2026-01-31T09:30:00Z", DX_FROM_TIME, UINT64_C(1769851800000000000)},
        {"2026-01-31", DX_FROM_TIME, UINT64_C(1769817600000000000)},
        {"5m", DX_FROM_TIME, UINT64_C(1769851500000000000)},
        {"-10s", DX_FROM_TIME, UINT64_C(1769851790000000000)},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        dx_start_from_t from = DX_FROM_LATEST;
        uint64_t value = 1;
        assert_ok(dxi_start_parse(cases[i].text, now, &from, &value, NULL));
        assert_int_equal(from, cases[i].from);
        assert_int_equal(value, cases[i].value);
    }
}

static void what_is_no_start_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",           "0",         "first", "9223372036854775808",
                                        "2026-13-45", "5 minutes", "--5m",  "1900-01-01"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        dx_error_t error = {0};
        dx_start_from_t from = DX_FROM_LATEST;
        uint64_t value = 0;
        assert_fails(
            dxi_start_parse(texts[i], INT64_C(1769851800) * DX_NS_PER_S, &from, &value, &error),
            DX_EINVAL, error, "must be latest, earliest, a sequence");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_are_filled_in),
        cmocka_unit_test(random_texts_have_their_length_and_differ),
        cmocka_unit_test(unknown_places_are_refused_with_the_nearest),
        cmocka_unit_test(a_text_has_at_most_64_places),
        cmocka_unit_test(a_text_comes_as_often_as_it_should),
        cmocka_unit_test(lines_come_without_their_ends),
        cmocka_unit_test(what_is_no_source_is_refused),
        cmocka_unit_test(a_start_may_be_written_in_five_ways),
        cmocka_unit_test(what_is_no_start_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
