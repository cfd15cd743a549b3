/* test_cli_orders_csv.c - one line and a whole input, at and beyond each limit.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/orders_csv.h"

#include <unistd.h>

#include "base_test.h"

static int line_parse(const char *line, dxi_order_message_t *message, dx_error_t *error)
{
    return dxi_csv_line_parse(line, strlen(line), message, error);
}

static void a_line_gives_its_numbers(void **state)
{
    (void)state;
    dxi_order_message_t message;
    assert_ok(line_parse("34200.017459617,5,5213454,18,5859400,-1", &message, NULL));
    assert_int_equal(message.time_ns, INT64_C(34200017459617));
    assert_int_equal(message.type, 5);
    assert_int_equal(message.id, 5213454);
    assert_int_equal(message.size, 18);
    assert_int_equal(message.price, 5859400);
    assert_int_equal(message.direction, -1);
    assert_ok(line_parse("0.5,1,-1,0,-1,0", &message, NULL)); /* for the validation to judge */
    assert_int_equal(message.time_ns, 500000000);
    assert_int_equal(message.id, -1);
    assert_int_equal(message.price, -1);
}

static void each_field_is_checked_at_its_limits(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *sentence; /* NULL: fine */
    } rows[] = {
        {"86400,1,1,1,1,1", NULL},
        {"86400.000000001,1,1,1,1,1", "time is \"86400.000000001\", must be seconds"},
        {"86401,1,1,1,1,1", "time is"},
        {"0.123456789,1,1,1,1,1", NULL},
        {"0.1234567891,1,1,1,1,1", "time is"},
        {"0.,1,1,1,1,1", "time is"},
        {".5,1,1,1,1,1", "time is"},
        {"-1,1,1,1,1,1", "time is"},
        {"-0,1,1,1,1,1", "time is"},
        {"1e3,1,1,1,1,1", "time is"},
        {"1.2.3,1,1,1,1,1", "time is"},
        {"1,7,1,1,1,1", NULL},
        {"1,8,1,1,1,1", "type is \"8\", must be from 1 (submission) to 7"},
        {"1,0,1,1,1,1", "type is \"0\""},
        {"1,1,1000000000000,1,1,1", NULL},
        {"1,1,1000000000001,1,1,1",
         "order id is \"1000000000001\", must be a whole number from -1000000000000 to "},
        {"1,1,-1000000000000,1,1,1", NULL},
        {"1,1,1,1000000000001,1,1", "size is"},
        {"1,1,1,1,99999999999999999999999999,1", "price is \"999999999999999999999999...\""},
        {"1,1,1,1,1,1", NULL},
        {"1,1,1,1,1,2", "direction is \"2\", must be 1 (buy) or -1 (sell)"},
        {"1,1,1,1,1,-2", "direction is"},
        {"1,1,1,1,1,-", "direction is"},
        {"1,1,1,1,1,", "direction is \"\""},
        {"1,1, 1,1,1,1", "order id is \" 1\""},
        {"1,1,+1,1,1,1", "order id is \"+1\""},
        {"1,1,\x1b[2J,1,1,1", "order id is \"?[2J\""},
        {"1,1,1,1,1", "5 fields, must be 6"},
        {"1,1,1,1,1,1,1", "more than 6 fields, must be 6"},
        {",,,,,", "time is \"\""},
        {"", "the line is empty"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        dxi_order_message_t message;
        dx_error_t error = {0};
        const int code = line_parse(rows[i].line, &message, &error);
        if (rows[i].sentence == NULL) {
            assert_ok(code);
        } else {
            assert_fails(code, DX_EPARSE, error, rows[i].sentence);
        }
    }
}

static void a_line_is_at_most_its_limit_long(void **state)
{
    (void)state;
    char line[DXI_CSV_LINE_MAX + 2];
    memset(line, '0', sizeof line); /* zeros before the id make it as long as wanted */
    memcpy(line, "1,1,", 4);
    memcpy(line + DXI_CSV_LINE_MAX - 8, "12,1,1,1", 8);
    dxi_order_message_t message;
    dx_error_t error = {0};
    assert_ok(dxi_csv_line_parse(line, DXI_CSV_LINE_MAX, &message, &error));
    assert_int_equal(message.id, 12);
    assert_fails(dxi_csv_line_parse(line, DXI_CSV_LINE_MAX + 1, &message, &error), DX_EPARSE, error,
                 "more than 256 bytes");
}

/* Loads `text` through a file. */
static int load(const char *text, size_t bytes, dxi_csv_options_t options, dxi_csv_orders_t *orders,
                dx_error_t *error)
{
    char path[] = "/tmp/dx-test-csv-XXXXXX";
    const int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, text, bytes), (ssize_t)bytes);
    close(descriptor);
    options.path = path;
    const int code = dxi_csv_load(&options, orders, error);
    unlink(path);
    return code;
}

static void an_input_has_at_most_its_limit_of_orders(void **state)
{
    (void)state;
    const char text[] = "1,1,5,1,1,1\n1,1,9,1,1,1\n1,1,7,1,1,1\n";
    dxi_csv_orders_t orders;
    dx_error_t error = {0};
    assert_ok(load(text, sizeof text - 1, (dxi_csv_options_t){.lines_max = 3}, &orders, &error));
    assert_int_equal(orders.count, 3);
    assert_int_equal(orders.lines, 3);
    assert_int_equal(orders.id_max, 9);
    assert_int_equal(orders.messages[2].id, 7);
    dxi_csv_free(&orders);
    assert_fails(load(text, sizeof text - 1, (dxi_csv_options_t){.lines_max = 2}, &orders, &error),
                 DX_ELIMIT, error, "has more than 2 orders");
    dxi_csv_free(&orders);
}

static void room_grows_with_the_orders(void **state)
{
    (void)state;
    enum { LINES = 20000 };
    const char line[] = "1,1,5,1,1,1\r\n";
    char *const text = malloc(LINES * (sizeof line - 1));
    assert_non_null(text);
    for (size_t i = 0; i < LINES; i++) {
        memcpy(text + i * (sizeof line - 1), line, sizeof line - 1);
    }
    dxi_csv_orders_t orders;
    assert_ok(load(text, LINES * (sizeof line - 1), (dxi_csv_options_t){0}, &orders, NULL));
    assert_int_equal(orders.count, LINES);
    assert_int_equal(orders.messages[LINES - 1].id, 5);
    dxi_csv_free(&orders);
    free(text);
}

static void only_the_first_bad_lines_are_kept(void **state)
{
    (void)state;
    char text[512] = "1,1,5,1,1,1\n";
    for (int i = 0; i < DXI_CSV_REPORTS_MAX + 1; i++) {
        strcat(text, "bad\n");
    }
    dxi_csv_orders_t orders;
    dx_error_t error = {0};
    assert_ok(load(text, strlen(text), (dxi_csv_options_t){0}, &orders, &error));
    assert_int_equal(orders.count, 1);
    assert_int_equal(orders.bad_lines, DXI_CSV_REPORTS_MAX + 1);
    assert_int_equal(orders.reports[0].line, 2);
    assert_int_equal(orders.reports[DXI_CSV_REPORTS_MAX - 1].line, DXI_CSV_REPORTS_MAX + 1);
    dxi_csv_free(&orders);
    assert_fails(load(text, strlen(text), (dxi_csv_options_t){.strict = true}, &orders, &error),
                 DX_EPARSE, error, ":2: 1 fields, must be 6");
    dxi_csv_free(&orders);
}

static void a_stop_ends_the_reading(void **state)
{
    (void)state;
    static const dx_atomic32_t stop = {1};
    dxi_csv_orders_t orders;
    dx_error_t error = {0};
    assert_fails(load("1,1,5,1,1,1\n", 12, (dxi_csv_options_t){.stop = &stop}, &orders, &error),
                 DX_ECANCELLED, error, "interrupted while reading");
    dxi_csv_free(&orders);
}

#if DX_TEST_HOOKS
static void running_out_of_memory_is_said_and_leaks_nothing(void **state)
{
    (void)state;
    const int64_t live_before = dxi_live_count();
    dxi_csv_orders_t orders;
    dx_error_t error = {0};
    dxi_fault_arm(0);
    const int code = load("1,1,5,1,1,1\n", 12, (dxi_csv_options_t){0}, &orders, &error);
    dxi_fault_disarm();
    assert_fails(code, DX_ENOMEM, error, "no memory for");
    dxi_csv_free(&orders);
    assert_int_equal(dxi_live_count(), live_before);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_gives_its_numbers),
        cmocka_unit_test(each_field_is_checked_at_its_limits),
        cmocka_unit_test(a_line_is_at_most_its_limit_long),
        cmocka_unit_test(an_input_has_at_most_its_limit_of_orders),
        cmocka_unit_test(room_grows_with_the_orders),
        cmocka_unit_test(only_the_first_bad_lines_are_kept),
        cmocka_unit_test(a_stop_ends_the_reading),
#if DX_TEST_HOOKS
        cmocka_unit_test(running_out_of_memory_is_said_and_leaks_nothing),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
