/* test_access_audit.c - the audit log: its lines, a disk that is full, another file.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/audit.h"
#include "base_test.h"
#include "disruptorx/clock.h"

#define PATIENCE_NS INT64_C(20000000000)

static char folder[64], path[96], other_path[96];

static int begin(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/dx-audit-XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/audit.log", folder);
    (void)snprintf(other_path, sizeof other_path, "%s/other.log", folder);
    return 0;
}

static int end(void **state)
{
    (void)state;
    (void)unlink(path);
    (void)unlink(other_path);
    return rmdir(folder);
}

static dxi_audit_t *audit_to(const char *where)
{
    dxi_audit_t *audit = NULL;
    dx_error_t error = {.code = 0};
    assert_ok(dxi_audit_create(NULL, &audit, &error));
    const int fd = dxi_access_audit_prepare(where, &error);
    assert_true(fd >= 0);
    assert_ok(dxi_audit_move(audit, fd, &error));
    return audit;
}

/* Reads a file of lines; returns how many, each of which is a JSON object. */
static int lines_of(const char *from, json_t **last_out)
{
    char line[DXI_AUDIT_LINE_BYTES_MAX + 2];
    int count = 0;
    FILE *const file = fopen(from, "re");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        json_error_t error;
        json_t *const object = json_loads(line, 0, &error);
        if (object == NULL) {
            fail_msg("%s: %s", line, error.text);
        }
        count++;
        if (last_out != NULL) {
            json_decref(*last_out);
            *last_out = json_incref(object);
        }
        json_decref(object);
    }
    (void)fclose(file);
    return count;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *const text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "(none)";
}

static void a_line_says_who_did_what_and_what_came_of_it(void **state)
{
    (void)state;
    dxi_audit_t *const audit = audit_to(path);
    dxi_audit_put(audit, &(dxi_access_event_t){.event = "connect", .user = "a"});
    dxi_audit_put(audit, &(dxi_access_event_t){.event = "refused",
                                               .user = "pump-7",
                                               .address = "192.0.2.7:4711",
                                               .action = "publish",
                                               .object = "a\"b\\c\x01\xff\n\xc3\xa4",
                                               .code = DX_EPERM,
                                               .reason = "no rule",
                                               .repeated = 7});
    dxi_audit_flush(audit, PATIENCE_NS);
    json_t *last = NULL;
    assert_int_equal(lines_of(path, &last), 2);
    assert_string_equal(text_of(last, "event"), "refused");
    assert_string_equal(text_of(last, "user"), "pump-7");
    assert_string_equal(text_of(last, "address"), "192.0.2.7:4711");
    assert_string_equal(text_of(last, "action"), "publish");
    assert_string_equal(text_of(last, "object"), "a\"b\\c\x01\xef\xbf\xbd\n\xc3\xa4");
    assert_string_equal(text_of(last, "result"), "DX_EPERM");
    assert_string_equal(text_of(last, "reason"), "no rule");
    assert_int_equal(json_integer_value(json_object_get(last, "repeated")), 7);
    assert_int_equal(strlen(text_of(last, "time")), 30);
    json_decref(last);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    dxi_audit_destroy(audit);
}

static void a_line_of_the_longest_texts_is_whole(void **state)
{
    (void)state;
    char text[5000], line[DXI_AUDIT_LINE_BYTES_MAX];
    memset(text, '\x02', sizeof text); /* six bytes each, escaped */
    text[sizeof text - 1] = '\0';
    const dxi_access_event_t event = {.event = "connect_refused",
                                      .user = text,
                                      .address = text,
                                      .action = text,
                                      .object = text,
                                      .code = DX_EEVICTED,
                                      .reason = text,
                                      .repeated = INT64_MAX};
    const size_t bytes = dxi_audit_line(&event, INT64_MAX, line);
    assert_in_range(bytes, 3000, DXI_AUDIT_LINE_BYTES_MAX - 1);
    assert_int_equal(line[bytes - 1], '\n');
    json_t *const object = json_loadb(line, bytes, 0, NULL);
    assert_non_null(object);
    json_decref(object);
}

static void without_a_file_nothing_is_kept(void **state)
{
    (void)state;
    dxi_audit_t *audit = NULL;
    dxi_audit_stat_t stat;
    assert_ok(dxi_audit_create(NULL, &audit, NULL));
    dxi_audit_put(audit, &(dxi_access_event_t){.event = "connect"});
    assert_ok(dxi_audit_move(audit, -1, NULL));
    dxi_audit_put(audit, &(dxi_access_event_t){.event = "connect"});
    dxi_audit_stat(audit, &stat);
    assert_int_equal(stat.lines + stat.lost, 0);
    dxi_audit_destroy(audit);
}

static void wait_for_failure(dxi_audit_t *audit)
{
    dxi_audit_stat_t stat = {.lines = 0};
    const int64_t until_ns = dx_clock_ns() + PATIENCE_NS;
    while (!stat.failing && dx_clock_ns() < until_ns) {
        (void)usleep(1000);
        dxi_audit_stat(audit, &stat);
    }
    assert_true(stat.failing);
    assert_true(stat.failures > 0);
}

/* Nobody waits for the disk; what finds no room is counted, and said when there is room again. */
static void a_full_disk_loses_what_the_buffer_can_not_hold_and_says_so(void **state)
{
    (void)state;
    dxi_audit_t *const audit = audit_to("/dev/full");
    dxi_audit_stat_t stat;
    char object[600];
    memset(object, 'x', sizeof object);
    object[sizeof object - 1] = '\0';
    dxi_audit_put(audit, &(dxi_access_event_t){.event = "first"});
    wait_for_failure(audit);
    const int puts = 4000; /* more than the buffer and a batch take */
    for (int i = 0; i < puts; i++) {
        dxi_audit_put(audit, &(dxi_access_event_t){.event = "connect", .object = object});
    }
    dxi_audit_stat(audit, &stat);
    assert_int_equal(stat.lines, 0);
    assert_in_range(stat.lost, 1, puts - 1);
    const uint64_t lost = stat.lost;
    const int fd = dxi_access_audit_prepare(path, NULL);
    assert_ok(dxi_audit_move(audit, fd, NULL));
    dxi_audit_flush(audit, PATIENCE_NS);
    dxi_audit_put(audit, &(dxi_access_event_t){.event = "last"});
    dxi_audit_flush(audit, PATIENCE_NS);
    dxi_audit_stat(audit, &stat);
    assert_false(stat.failing);
    json_t *last = NULL;
    /* A3: and one line that says how many were lost. */
    assert_int_equal(lines_of(path, &last), 1 + puts - (int)lost + 1 + 1);
    assert_string_equal(text_of(last, "event"), "last");
    json_decref(last);
    dxi_audit_destroy(audit);
}

/* A flood of strangers fills no disk; what else happens is written, and so is who is elsewhere. */
static void of_refusals_so_many_a_second_are_written_and_the_rest_is_counted(void **state)
{
    (void)state;
    dxi_audit_t *const audit = audit_to(path);
    dxi_audit_stat_t stat;
    const int puts = 1000;
    for (int i = 0; i < puts; i++) {
        char address[32];
        (void)snprintf(address, sizeof address, "192.0.2.7:%d", 1024 + i);
        dxi_audit_put(audit, &(dxi_access_event_t){.event = i % 2 ? "refused" : "connect_refused",
                                                   .address = address,
                                                   .code = DX_EPERM,
                                                   .repeated = 1});
    }
    dxi_audit_stat(audit, &stat);
    const int left_out = (int)stat.suppressed / 2; /* each is itself and one before it */
    assert_in_range(left_out, 1, puts - DXI_AUDIT_REFUSALS_PER_S);
    assert_int_equal(stat.suppressed % 2, 0);
    dxi_audit_put(audit, &(dxi_access_event_t){.event = "connect", .address = "192.0.2.7:4711"});
    dxi_audit_put(audit, &(dxi_access_event_t){.event = "refused", .address = "192.0.2.8:4711"});
    dxi_audit_put(audit, &(dxi_access_event_t){
                             .event = "refused", .user = "pump-8", .address = "192.0.2.7:4711"});
    dxi_audit_stat(audit, &stat);
    assert_int_equal(stat.suppressed, 2 * left_out);
    dxi_audit_destroy(audit); /* says what was left out */
    json_t *last = NULL;
    const int told = lines_of(path, &last) - (puts - left_out) - 3;
    assert_true(told >= 1); /* one a second */
    assert_string_equal(text_of(last, "event"), "suppressed");
    assert_string_equal(text_of(last, "result"), "DX_EDROPPED");
    json_decref(last);
}

/* Also when nobody puts anything any more. */
static void what_was_left_out_is_said_a_second_later(void **state)
{
    (void)state;
    dxi_audit_t *const audit = audit_to(path);
    dxi_audit_stat_t stat = {.lines = 0};
    do {
        dxi_audit_put(audit, &(dxi_access_event_t){.event = "refused"});
        dxi_audit_stat(audit, &stat);
    } while (stat.suppressed == 0);
    dxi_audit_flush(audit, PATIENCE_NS);
    json_t *last = NULL;
    const int64_t until_ns = dx_clock_ns() + PATIENCE_NS;
    do {
        (void)usleep(10000);
        (void)lines_of(path, &last);
    } while (strcmp(text_of(last, "event"), "suppressed") != 0 && dx_clock_ns() < until_ns);
    assert_string_equal(text_of(last, "event"), "suppressed");
    assert_string_equal(text_of(last, "reason"),
                        "1 refusals are not here: more than 20 a second of one user and host");
    assert_int_equal(json_integer_value(json_object_get(last, "repeated")), 1);
    json_decref(last);
    dxi_audit_destroy(audit);
}

static void a_file_that_was_moved_away_is_begun_anew(void **state)
{
    (void)state;
    dxi_audit_t *const audit = audit_to(path);
    for (int i = 0; i < 100; i++) {
        dxi_audit_put(audit, &(dxi_access_event_t){.event = "connect"});
        if (i == 50) {
            dxi_audit_flush(audit, PATIENCE_NS);
            assert_int_equal(rename(path, other_path), 0);
            assert_ok(dxi_audit_move(audit, dxi_access_audit_prepare(path, NULL), NULL));
        }
    }
    dxi_audit_destroy(audit); /* writes what is there */
    assert_int_equal(lines_of(other_path, NULL), 51);
    assert_int_equal(lines_of(path, NULL), 49);
}

static void a_file_that_can_not_be_opened_is_named(void **state)
{
    (void)state;
    dx_error_t error = {.code = 0};
    assert_fails(dxi_access_audit_prepare("/nowhere/audit.log", &error), DX_ENOTFOUND, error,
                 "the audit log /nowhere/audit.log can't be opened");
    assert_fails(dxi_access_audit_prepare("/tmp", &error), DX_EIO, error, "the audit log /tmp");
}

static int attempt(void)
{
    dxi_audit_t *audit = NULL;
    int code = dxi_audit_create(NULL, &audit, NULL);
    if (code == DX_OK) {
        code = dxi_audit_move(audit, open("/dev/null", O_WRONLY | O_CLOEXEC), NULL);
    }
    dxi_audit_destroy(audit);
    return code;
}

static void without_memory_there_is_no_audit(void **state)
{
    (void)state;
    assert_true(fault_sweep(attempt) >= 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_says_who_did_what_and_what_came_of_it, begin, end),
        cmocka_unit_test(a_line_of_the_longest_texts_is_whole),
        cmocka_unit_test(without_a_file_nothing_is_kept),
        cmocka_unit_test_setup_teardown(a_full_disk_loses_what_the_buffer_can_not_hold_and_says_so,
                                        begin, end),
        cmocka_unit_test_setup_teardown(
            of_refusals_so_many_a_second_are_written_and_the_rest_is_counted, begin, end),
        cmocka_unit_test_setup_teardown(what_was_left_out_is_said_a_second_later, begin, end),
        cmocka_unit_test_setup_teardown(a_file_that_was_moved_away_is_begun_anew, begin, end),
        cmocka_unit_test(a_file_that_can_not_be_opened_is_named),
        cmocka_unit_test(without_memory_there_is_no_audit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
