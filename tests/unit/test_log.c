/* test_log.c - levels, limits and sinks; a log's time is the test's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disruptorx/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "base/log_sites.h"
#include "base/log_test.h"
#include "base_test.h"
#include "disruptorx/clock.h"

static int64_t now_ns;

static int64_t fake_clock(void)
{
    return now_ns;
}

/* What a sink received. */
typedef struct caught {
    int lines;
    dx_log_level_t level;
    char last[DX_LOG_LINE_BYTES_MAX];
    int inside; /* threads in the sink at this moment */
    bool overlapped;
    bool unterminated;
} caught_t;

static void catch_line(void *context, dx_log_level_t level, const char *line, size_t line_bytes)
{
    caught_t *const caught = context;
    caught->overlapped = caught->overlapped || ++caught->inside != 1;
    caught->lines++;
    caught->level = level;
    caught->unterminated = caught->unterminated || line[line_bytes] != '\0';
    memcpy(caught->last, line, line_bytes + 1);
    caught->inside--;
}

static dx_log_t *create(caught_t *caught, dx_log_options_t options)
{
    dx_log_t *log = NULL;
    now_ns = 0;
    *caught = (caught_t){0};
    options.sink = catch_line;
    options.sink_context = caught;
    assert_ok(dx_log_create(&options, &log, NULL));
    dxi_log_set_clocks(log, fake_clock, fake_clock);
    return log;
}

static void options_are_checked_at_their_ends(void **state)
{
    (void)state;
    static const struct {
        dx_log_options_t options;
        const char *message; /* NULL: allowed */
    } rows[] = {
        {{.level = DX_LOG_LEVEL_OFF}, NULL},
        {{.level = (dx_log_level_t)7}, "level is 7, must be from 0 to 6"},
        {{.format = DX_LOG_FORMAT_JSON}, NULL},
        {{.format = (dx_log_format_t)2}, "format is 2, must be from 0 to 1"},
        {{.fd = INT32_MAX}, NULL},
        {{.fd = -1}, "fd is -1, must be from 0 to 2147483647"},
        {{.burst = -1}, NULL},
        {{.burst = DX_LOG_BURST_MAX}, NULL},
        {{.burst = DX_LOG_BURST_MAX + 1}, "burst is 1000000001, must be from -1 to 1000000000"},
        {{.burst = -2}, "burst is -2, must be from -1 to 1000000000"},
        {{.reserved = {0, 3}}, "reserved[1] is 3, must be 0"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        dx_log_t *log = NULL;
        dx_error_t error = {0};
        if (rows[i].message == NULL) {
            assert_ok(dx_log_create(&rows[i].options, &log, &error));
            dx_log_destroy(log);
        } else {
            assert_fails(dx_log_create(&rows[i].options, &log, &error), DX_EINVAL, error,
                         rows[i].message);
            assert_null(log);
        }
    }
    dx_log_destroy(NULL);
}

static void a_line_below_the_level_is_not_written(void **state)
{
    (void)state;
    caught_t caught;
    dx_log_t *const log = create(&caught, (dx_log_options_t){0});
    DX_LOG_TRACE(log, "test", "no");
    DX_LOG_DEBUG(log, "test", "no");
    assert_int_equal(caught.lines, 0);
    DX_LOG_INFO(log, "test", "yes %d", 1);
    assert_int_equal(caught.level, DX_LOG_LEVEL_INFO);
    DX_LOG_WARN(log, "test", "yes");
    DX_LOG_ERROR(log, "test", "yes");
    assert_int_equal(caught.lines, 3);
    assert_int_equal(caught.level, DX_LOG_LEVEL_ERROR);
    assert_ok(dx_log_set_level(log, DX_LOG_LEVEL_TRACE));
    DX_LOG_TRACE(log, "test", "now");
    assert_int_equal(caught.lines, 4);
    assert_true(dx_log_enabled(log, DX_LOG_LEVEL_TRACE));
    assert_ok(dx_log_set_level(log, DX_LOG_LEVEL_OFF));
    DX_LOG_ERROR(log, "test", "no");
    assert_int_equal(caught.lines, 4);
    assert_int_equal(dx_log_set_level(log, DX_LOG_LEVEL_DEFAULT), DX_EINVAL);
    assert_int_equal(dx_log_set_level(log, (dx_log_level_t)7), DX_EINVAL);
    assert_false(dx_log_enabled(NULL, DX_LOG_LEVEL_ERROR));
    DX_LOG_ERROR(NULL, "test", "nowhere");
    dx_log_destroy(log);
}

static void a_line_carries_time_place_and_message(void **state)
{
    (void)state;
    caught_t caught;
    dx_log_t *log = create(&caught, (dx_log_options_t){0});
    now_ns = 1500000000;
    DX_LOG_WARN(log, "test", "lag %d of %s", 3, "x\ny");
    assert_contains(caught.last, "1970-01-01T00:00:01.500000000Z WARN  test: lag 3 of x\\ny (");
    assert_contains(caught.last, "test_log.c:");
    dx_log_destroy(log);
    log = create(&caught, (dx_log_options_t){.format = DX_LOG_FORMAT_JSON});
    DX_LOG_INFO(log, "test", "hello");
    assert_contains(caught.last, "\"level\":\"info\",\"component\":\"test\",\"message\":\"hello\"");
    assert_contains(caught.last, "\"tid\":");
    dx_log_destroy(log);
}

/* One call site, however often it is called. */
static void complain(dx_log_t *log, int times)
{
    for (int i = 0; i < times; i++) {
        DX_LOG_WARN(log, "test", "again");
    }
}

static void a_call_site_is_limited_and_tells_later(void **state)
{
    (void)state;
    caught_t caught;
    dx_log_t *const log = create(&caught, (dx_log_options_t){.burst = 3});
    complain(log, 3);
    assert_int_equal(caught.lines, 3);
    complain(log, 17);
    assert_int_equal(caught.lines, 3);
    DX_LOG_WARN(log, "test", "another place is not limited");
    assert_int_equal(caught.lines, 4);
    assert_int_equal(dx_log_suppressed_count(log), 17);
    now_ns = DX_NS_PER_S - 1;
    complain(log, 1);
    assert_int_equal(caught.lines, 4);
    now_ns = DX_NS_PER_S;
    complain(log, 1);
    assert_int_equal(caught.lines, 5);
    assert_contains(caught.last, "again (");
    assert_contains(caught.last, ") [+18 suppressed]\n");
    complain(log, 1);
    assert_null(strstr(caught.last, "suppressed"));
    dx_log_destroy(log);
    assert_int_equal(caught.lines, 6); /* nothing was left to tell */
}

static void the_default_limit_is_ten(void **state)
{
    (void)state;
    caught_t caught;
    dx_log_t *const log = create(&caught, (dx_log_options_t){0});
    complain(log, DX_LOG_BURST_DEFAULT + 1);
    assert_int_equal(caught.lines, DX_LOG_BURST_DEFAULT);
    dx_log_destroy(log);
}

static void no_limit_means_no_limit(void **state)
{
    (void)state;
    caught_t caught;
    dx_log_t *const log = create(&caught, (dx_log_options_t){.burst = -1});
    complain(log, 500);
    assert_int_equal(caught.lines, 500);
    assert_int_equal(dx_log_suppressed_count(log), 0);
    dx_log_destroy(log);
}

static void flush_and_destroy_tell_what_had_no_next_line(void **state)
{
    (void)state;
    caught_t caught;
    dx_log_t *const log = create(&caught, (dx_log_options_t){.burst = 1});
    complain(log, 6);
    dx_log_flush(log);
    assert_int_equal(caught.lines, 2);
    assert_contains(caught.last, "WARN  test: lines of this call site were suppressed (");
    assert_contains(caught.last, " [+5 suppressed]\n");
    dx_log_flush(log);
    assert_int_equal(caught.lines, 2);
    complain(log, 2);
    dx_log_destroy(log);
    assert_int_equal(caught.lines, 3);
    assert_contains(caught.last, " [+2 suppressed]\n");
}

static void call_sites_beyond_the_table_share_a_limit(void **state)
{
    (void)state;
    enum { SITES = 4 * DXI_LOG_SITES };
    static dx_log_site_t sites[SITES];
    caught_t caught;
    dx_log_t *const log = create(&caught, (dx_log_options_t){.burst = 1});
    for (int i = 0; i < SITES; i++) {
        sites[i] = (dx_log_site_t){"many.c", i, DX_LOG_LEVEL_ERROR, "test"};
        dx_log_write(log, &sites[i], "line %d", i);
    }
    const int64_t suppressed = dx_log_suppressed_count(log);
    assert_int_equal(caught.lines + suppressed, SITES); /* I1 */
    assert_true(suppressed >= SITES - DXI_LOG_SITES - 1);
    dx_log_destroy(log);
    assert_contains(caught.last, "lines of call sites beyond the table were suppressed");
}

static void a_slot_admits_its_burst_in_each_second(void **state)
{
    (void)state;
    dxi_log_slot_t slot = {0};
    static const int64_t seconds[] = {0, 1, 2, INT32_MAX};
    for (size_t i = 0; i < COUNT_OF(seconds); i++) {
        const int64_t at_ns = seconds[i] * DX_NS_PER_S;
        assert_true(dxi_log_slot_admit(&slot, at_ns, 2));
        assert_true(dxi_log_slot_admit(&slot, at_ns + 1, 2));
        assert_false(dxi_log_slot_admit(&slot, at_ns + 2, 2));
        assert_int_equal(dxi_log_slot_take(&slot), 1);
        assert_int_equal(dxi_log_slot_take(&slot), 0);
    }
}

static void a_message_above_the_line_is_cut_with_a_mark(void **state)
{
    (void)state;
    static char message[3 * DX_LOG_LINE_BYTES_MAX];
    memset(message, 'm', sizeof(message) - 1);
    caught_t caught;
    dx_log_t *const log = create(&caught, (dx_log_options_t){0});
    DX_LOG_INFO(log, "test", "%s", message);
    assert_int_equal(strlen(caught.last), DX_LOG_LINE_BYTES_MAX - 1);
    assert_contains(caught.last, "mm... (");
    dx_log_destroy(log);
}

static void a_message_that_cannot_be_printed_shows_its_format(void **state)
{
    (void)state;
    static const wchar_t wide[] = {0x110001, 0};
    caught_t caught;
    dx_log_t *const log = create(&caught, (dx_log_options_t){0});
    DX_LOG_INFO(log, "test", "name %ls", wide);
    assert_contains(caught.last, "(message not printable: name %ls)");
    dx_log_destroy(log);
}

static void logging_keeps_errno(void **state)
{
    (void)state;
    dx_log_t *log = NULL;
    assert_ok(dx_log_create(&(dx_log_options_t){.fd = 1000000, .burst = 1}, &log, NULL));
    errno = EDOM;
    complain(log, 2); /* no such descriptor; then suppressed */
    dx_log_flush(log);
    assert_int_equal(errno, EDOM);
    assert_int_equal(dx_log_lost_count(log), 2);
    dx_log_destroy(log);
}

static void a_descriptor_gets_the_same_lines(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    dx_log_t *log = NULL;
    assert_ok(dx_log_create(&(dx_log_options_t){.fd = ends[1]}, &log, NULL));
    dxi_log_set_clocks(log, fake_clock, fake_clock);
    now_ns = 0;
    DX_LOG_INFO(log, "test", "through a pipe");
    char text[256] = "";
    assert_true(read(ends[0], text, sizeof(text) - 1) > 0);
    assert_contains(text, "1970-01-01T00:00:00.000000000Z INFO  test: through a pipe (");
    assert_int_equal(dx_log_lost_count(log), 0);
    dx_log_destroy(log);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

/* A full pipe that does not block takes a part of a line: it is counted as lost, and the next line
 * starts on a line of its own. */
static void a_torn_line_is_counted_and_ended(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    dx_log_t *log = NULL;
    assert_ok(dx_log_create(&(dx_log_options_t){.fd = ends[1], .burst = -1}, &log, NULL));
    static char big[DX_LOG_LINE_BYTES_MAX];
    memset(big, 'b', sizeof(big) - 1);
    while (dx_log_lost_count(log) == 0) {
        DX_LOG_INFO(log, "test", "%s", big);
    }
    DX_LOG_INFO(log, "test", "lost too");
    assert_int_equal(dx_log_lost_count(log), 2);
    static char text[1 << 20];
    ssize_t bytes = 0;
    for (ssize_t got = 0; (got = read(ends[0], text + bytes, 65536)) > 0;) {
        bytes += got;
    }
    const bool torn = text[bytes - 1] != '\n';
    DX_LOG_INFO(log, "test", "after");
    assert_true((bytes = read(ends[0], text, sizeof(text) - 1)) > 0);
    text[bytes] = '\0';
    assert_int_equal(text[0] == '\n', torn);
    assert_contains(text, "test: after (");
    assert_int_equal(dx_log_lost_count(log), 2);
    dx_log_destroy(log);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

enum { LINES = 300 };

static void *log_many(void *context)
{
    for (int i = 0; i < LINES; i++) {
        DX_LOG_INFO(context, "test", "line %d", i);
    }
    return NULL;
}

static void threads_share_a_log_and_nothing_is_lost(void **state)
{
    (void)state;
    caught_t caught;
    dx_log_t *const log = create(&caught, (dx_log_options_t){.burst = 50});
    pthread_t threads[3];
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, log), 0);
    }
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(caught.lines, 50); /* time stands still: one window */
    assert_int_equal(dx_log_suppressed_count(log), 3 * LINES - 50);
    assert_false(caught.overlapped);
    assert_false(caught.unterminated);
    dx_log_destroy(log);
}

static void levels_have_names_that_can_be_read(void **state)
{
    (void)state;
    for (int level = DX_LOG_LEVEL_TRACE; level <= DX_LOG_LEVEL_OFF; level++) {
        dx_log_level_t read = DX_LOG_LEVEL_DEFAULT;
        assert_ok(dx_log_level_parse(dx_log_level_name((dx_log_level_t)level), &read, NULL));
        assert_int_equal(read, level);
    }
    assert_string_equal(dx_log_level_name((dx_log_level_t)7), "unknown");
    static const char *const wrong[] = {"", "Info", "warning", "default", "traceable", NULL};
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        dx_log_level_t read = DX_LOG_LEVEL_OFF;
        dx_error_t error = {0};
        assert_fails(dx_log_level_parse(wrong[i], &read, &error), DX_EPARSE, error,
                     "must be trace, debug, info, warn, error or off");
        assert_int_equal(read, DX_LOG_LEVEL_DEFAULT);
    }
}

static int create_and_destroy(void)
{
    dx_log_t *log = NULL;
    dx_error_t error = {0};
    const int code = dx_log_create(NULL, &log, &error);
    if (code != DX_OK) {
        assert_null(log);
        assert_contains(error.message, "no memory for a log");
    }
    dx_log_destroy(log);
    return code;
}

static void no_memory_is_reported(void **state)
{
    (void)state;
    assert_int_equal(fault_sweep(create_and_destroy), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_are_checked_at_their_ends),
        cmocka_unit_test(a_line_below_the_level_is_not_written),
        cmocka_unit_test(a_line_carries_time_place_and_message),
        cmocka_unit_test(a_call_site_is_limited_and_tells_later),
        cmocka_unit_test(the_default_limit_is_ten),
        cmocka_unit_test(no_limit_means_no_limit),
        cmocka_unit_test(flush_and_destroy_tell_what_had_no_next_line),
        cmocka_unit_test(call_sites_beyond_the_table_share_a_limit),
        cmocka_unit_test(a_slot_admits_its_burst_in_each_second),
        cmocka_unit_test(a_message_above_the_line_is_cut_with_a_mark),
        cmocka_unit_test(a_message_that_cannot_be_printed_shows_its_format),
        cmocka_unit_test(logging_keeps_errno),
        cmocka_unit_test(a_descriptor_gets_the_same_lines),
        cmocka_unit_test(a_torn_line_is_counted_and_ended),
        cmocka_unit_test(threads_share_a_log_and_nothing_is_lost),
        cmocka_unit_test(levels_have_names_that_can_be_read),
        cmocka_unit_test(no_memory_is_reported),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
