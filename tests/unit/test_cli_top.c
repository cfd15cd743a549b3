/* test_cli_top.c - dx top without a terminal: looks in, keys in, characters out.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/top.h"

#include "base_test.h"

#define SECOND INT64_C(1000000000)

static dxi_top_t top; /* large: not on the stack */
static dxi_grid_t grid;

static int set_up(void **state)
{
    (void)state;
    dxi_top_init(&top);
    snprintf(top.address, sizeof top.address, "unix:///dx.sock");
    return dxi_grid_init(&grid, 24, 80);
}

static int tear_down(void **state)
{
    (void)state;
    dxi_top_close(&top);
    dxi_grid_close(&grid);
    return 0;
}

/* Takes a look; single quotes stand for double ones. */
static void take(int64_t seconds, const char *text)
{
    static char json[65536];
    json_error_t problem;
    snprintf(json, sizeof json, "%s", text);
    for (char *at = json; *at != '\0'; at++) {
        *at = *at == '\'' ? '"' : *at;
    }
    json_t *const look = json_loads(json, 0, &problem);
    if (look == NULL) {
        fail_msg("%s: %s", problem.text, json);
    }
    assert_int_equal(dxi_top_take(&top, look, seconds * SECOND, "12:31:07"), DX_OK);
}

#define TOPIC(name, published, lag, dropped)                                                       \
    "{'name': '" name "', 'published': " #published ", 'delivered': 7, 'lag_max': " #lag           \
    ", 'dropped': " #dropped ", 'subscriptions': 1, 'latency_p99_ns': 1500}"

static void take_two(void)
{
    take(10, "{'node': {'name': 'n1', 'version': '1.2', 'published': 1000, 'uptime_ns': "
             "93784000000000, 'bytes_in': 0}, 'topics': [" TOPIC("a", 100, 5, 0) "," TOPIC(
                 "b.new", 200, 70, 0) "," TOPIC("c", 0, 6, 3) "]}");
    take(12, "{'node': {'name': 'n1', 'version': '1.2', 'published': 3000, 'uptime_ns': "
             "93786000000000, 'bytes_in': 2048, 'connections': 2, 'latency': {'p99_ns': 42000}}, "
             "'topics': [" TOPIC("a", 300, 5, 0) "," TOPIC("b.new", 1200, 70, 0) "," TOPIC(
                 "c", 0, 6,
                 4) "," TOPIC("new", 9, 0,
                              0) "], 'subscriptions': [{'name': 's', "
                                 "'pattern': 'b.*', 'group': '', 'connection': 3, 'lag': 70, "
                                 "'pending': 1}], 'connections': [{'id': 3, 'name': 'dx sub', "
                                 "'address': 'tcp://x'}, {'id': 4, 'name': 'dx pub'}], 'rings': "
                                 "[{'name': 'shard.10', 'used_slots': 90, 'capacity_slots': 100}, "
                                 "{'name': 'shard.9', 'used_slots': 0, 'capacity_slots': 100}], "
                                 "'loops': [{'name': 'io.0', 'busy_ns': 1}]}");
}

static const char *line(int row)
{
    static char text[DXI_GRID_COLUMNS_MAX * 4 + 1];
    (void)dxi_grid_line(&grid, row, text, sizeof text);
    return text;
}

/* Of the first character of a row. */
static int ink_at(int row)
{
    return grid.cells[(size_t)row * (size_t)grid.columns].ink;
}

static void draw(void)
{
    dxi_top_draw(&top, &grid, 100 * SECOND);
}

/* Presses keys and draws. */
static void press(const char *keys)
{
    for (; *keys != '\0'; keys++) {
        assert_int_not_equal(dxi_top_key(&top, *keys), DXI_TOP_QUIT);
    }
    draw();
}

static void expect_in(int row, const char *part)
{
    if (strstr(line(row), part) == NULL) {
        fail_msg("row %d has no \"%s\": %s", row, part, line(row));
    }
}

/* The first words of the rows of the list are these. */
static void expect_order(const char *const *names, int count)
{
    for (int i = 0; i < count; i++) {
        char name[64];
        if (sscanf(line(5 + i) + 2, "%63s", name) != 1 || strcmp(name, names[i]) != 0) {
            fail_msg("row %d is not %s: %s", i, names[i], line(5 + i));
        }
    }
    assert_string_equal(line(5 + count), "");
}

#define EXPECT_ORDER(...)                                                                          \
    do {                                                                                           \
        static const char *const names[] = {__VA_ARGS__};                                          \
        expect_order(names, (int)(sizeof names / sizeof names[0]));                                \
    } while (0)

/* ----------------------------------------------------------------------------------------- head */

static void the_head_has_the_node_its_rates_and_the_screens(void **state)
{
    (void)state;
    take_two();
    draw();
    assert_string_equal(line(0), "dx top  n1  1.2  up 1 d 2 h  unix:///dx.sock"
                                 "                  12:31:07 every 1 s");
    expect_in(1, "in 1,000/s  out -/s  bytes in 1.00 KiB/s  out -/s  connections 2");
    expect_in(2, "p50 -  p99 42.0 us  max -");
    assert_string_equal(line(3), "[1 topics 4]  2 subscriptions 1   3 connections 2   4 rings 2   "
                                 "5 loops 1");
    expect_in(23, "/ filter");
}

static void before_the_first_answer_it_says_so(void **state)
{
    (void)state;
    draw();
    expect_in(0, "dx top  unix:///dx.sock");
    expect_in(1, "in -/s");
    expect_in(6, "The node has not answered yet");
}

static void one_look_has_no_rates(void **state)
{
    (void)state;
    take(1, "{'node': {'published': 5}, 'topics': [" TOPIC("a", 100, 5, 0) "]}");
    draw();
    expect_in(1, "in -/s");
    expect_in(5, "a                         -          -      1         5  1.50 us         0");
}

static void a_node_without_one_latency_shows_its_slowest_topic(void **state)
{
    (void)state;
    take(1, "{'node': {}, 'topics': [{'name': 'a', 'latency_p50_ns': 10}, {'name': 'b', "
            "'latency_p50_ns': 30}, {'name': 'c'}]}");
    draw();
    expect_in(2, "p50 30 ns");
}

static void trouble_is_told_with_its_time_and_goes_with_the_next_look(void **state)
{
    (void)state;
    take_two();
    dxi_top_trouble(&top, "connection refused", 97 * SECOND);
    dxi_top_trouble(&top, "timed out", 99 * SECOND);
    draw();
    assert_string_equal(line(23), "! no answer for 3.00 s: timed out; trying again");
    assert_int_equal(ink_at(23), DXI_INK_ERROR);
    expect_in(5, "b.new"); /* what was there stays */
    take_two();
    draw();
    expect_in(23, "/ filter");
}

/* ----------------------------------------------------------------------------------------- list */

static void rows_are_sorted_by_the_chosen_column_either_way(void **state)
{
    (void)state;
    take_two();
    draw();
    expect_in(4, "in/s v");
    EXPECT_ORDER("b.new", "a", "c", "new"); /* a new one has no rate: last */
    press("r");
    expect_in(4, "in/s ^");
    EXPECT_ORDER("c", "a", "b.new", "new");
    press("<");
    expect_in(4, "topic ^");
    EXPECT_ORDER("a", "b.new", "c", "new");
    assert_int_equal(dxi_top_sort(&top, "LAG", NULL), DX_OK);
    draw();
    EXPECT_ORDER("b.new", "c", "a", "new");
    dx_error_t error = {0};
    assert_int_equal(dxi_top_sort(&top, "nothing", &error), DX_ENOTFOUND);
    assert_non_null(strstr(error.message, "topics have no column nothing; there are: topic, in/s"));
}

static void every_column_can_be_sorted_by_and_stays_in_view(void **state)
{
    (void)state;
    take_two();
    for (int screen = 0; screen < DXI_TOP_SCREENS; screen++) {
        size_t count = 0;
        top.screen = (dxi_top_screen_t)screen;
        const dxi_top_column_t *const columns = dxi_top_columns(top.screen, &count);
        for (size_t i = 0; i < count; i++) {
            const dxi_top_view_t *const view = &top.views[screen];
            char title[40];
            snprintf(title, sizeof title, "%s %c", columns[view->column].title,
                     view->descending ? 'v' : '^');
            draw();
            expect_in(4, title);
            press(">");
        }
    }
}

static void names_with_numbers_are_in_the_order_of_the_numbers(void **state)
{
    (void)state;
    take_two();
    press("4<");
    press("<<<<<<<<<"); /* round to the name */
    press("r");
    while (strstr(line(4), "ring ^") == NULL) {
        press(">");
    }
    EXPECT_ORDER("shard.9", "shard.10");
}

static void a_filter_is_typed_kept_or_dropped(void **state)
{
    (void)state;
    take_two();
    press("/B.N");
    expect_in(23, "/B.N_");
    EXPECT_ORDER("b.new");
    press("\x7f\x7f\x7f");
    press("NEW\n");
    expect_in(23, "only with \"NEW\"");
    EXPECT_ORDER("b.new", "new");
    press("/xyz");
    expect_in(6, "Nothing has that in it");
    press("\x1b");
    EXPECT_ORDER("b.new", "new");
    press("\x1b");
    EXPECT_ORDER("b.new", "a", "c", "new");
    char longest[DXI_TOP_FILTER_BYTES + 9];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    press("/");
    press(longest);
    assert_int_equal(strlen(top.filter), DXI_TOP_FILTER_BYTES - 1);
}

static void the_cursor_stays_on_its_row_when_the_order_changes(void **state)
{
    (void)state;
    take_two();
    draw();
    assert_int_equal(line(5)[0], '>');
    (void)dxi_top_key(&top, DXI_KEY_DOWN);
    draw();
    assert_int_equal(line(6)[0], '>');
    assert_int_equal(ink_at(6), DXI_INK_SELECTED);
    expect_in(6, "a ");
    press("<"); /* by name: it is the first now */
    assert_int_equal(line(5)[0], '>');
    (void)dxi_top_key(&top, DXI_KEY_END);
    draw();
    assert_int_equal(line(8)[0], '>');
    take(20, "{'node': {}, 'topics': [" TOPIC("a", 300, 5, 0) "," TOPIC("b", 300, 5, 0) "]}");
    draw(); /* its row is gone: the last one */
    assert_int_equal(line(6)[0], '>');
    take(21, "{'node': {}, 'topics': []}");
    draw();
    expect_in(6, "There are none");
    (void)dxi_top_key(&top, DXI_KEY_UP);
    assert_int_equal(dxi_top_key(&top, '\n'), DXI_TOP_DRAW);
    assert_int_equal(top.mode, DXI_TOP_LIST);
}

static void what_got_worse_is_marked(void **state)
{
    (void)state;
    take_two();
    draw();
    assert_int_equal(line(7)[1], '!'); /* c has dropped one more */
    assert_int_equal(line(5)[1], ' ');
    press("4");
    assert_int_equal(line(5)[1], '!'); /* a ring that is 90 % full */
    expect_in(5, "90.0 %");
    assert_int_equal(line(6)[1], ' ');
}

static void more_rows_than_lines_scroll_with_the_cursor(void **state)
{
    (void)state;
    static char text[65536];
    size_t used = (size_t)snprintf(text, sizeof text, "{'node': {}, 'topics': [");
    for (int i = 0; i < 100; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used,
                                 "%s{'name': 't%d', 'published': 1}", i > 0 ? "," : "", i);
    }
    snprintf(text + used, sizeof text - used, "]}");
    take(1, text);
    press("<"); /* by name */
    expect_in(22, "t17");
    (void)dxi_top_key(&top, DXI_KEY_PAGE_DOWN);
    (void)dxi_top_key(&top, DXI_KEY_PAGE_DOWN);
    draw();
    expect_in(22, "> t34");
    press("G");
    expect_in(22, "> t99");
    press("g");
    expect_in(5, "> t0");
    press("jjk");
    expect_in(6, "> t1");
}

static void narrow_screens_leave_columns_out_and_small_ones_do_no_harm(void **state)
{
    (void)state;
    static const struct {
        int rows, columns;
    } SIZES[] = {{24, 80}, {40, 120}, {50, 200}, {24, 40}, {10, 20}, {3, 5}, {1, 1}, {6, 300}};
    take_two();
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
        dxi_grid_close(&grid);
        assert_int_equal(dxi_grid_init(&grid, SIZES[i].rows, SIZES[i].columns), DX_OK);
        for (const char *keys = "12345\n\x1b?x/q\x1b\x1b"; *keys != '\0'; keys++) {
            (void)dxi_top_key(&top, *keys);
            draw();
        }
        top.screen = DXI_TOP_TOPICS;
        draw();
        if (SIZES[i].rows > 6) {
            assert_int_equal(strstr(line(4), "refused") != NULL, SIZES[i].columns >= 120);
            assert_int_equal(strstr(line(4), "1m/s") != NULL, SIZES[i].columns >= 200);
            expect_in(5, "b.new");
        }
    }
}

static void many_items_leave_the_counts_of_other_screens_out(void **state)
{
    (void)state;
    take_two();
    dxi_grid_close(&grid);
    assert_int_equal(dxi_grid_init(&grid, 24, 66), DX_OK);
    draw();
    assert_string_equal(line(3),
                        "[1 topics 4]  2 subscriptions   3 connections   4 rings   5 loops");
}

/* -------------------------------------------------------------------------- screens and details */

static void keys_lead_from_screen_to_screen(void **state)
{
    (void)state;
    take_two();
    press("3");
    expect_in(3, "[3 connections 2]");
    (void)dxi_top_key(&top, DXI_KEY_RIGHT);
    (void)dxi_top_key(&top, DXI_KEY_TAB);
    (void)dxi_top_key(&top, DXI_KEY_TAB);
    draw();
    expect_in(3, "[1 topics 4]");
    (void)dxi_top_key(&top, DXI_KEY_LEFT);
    draw();
    expect_in(3, "[5 loops 1]");
    (void)dxi_top_key(&top, DXI_KEY_BACK_TAB);
    draw();
    expect_in(3, "[4 rings 2]");
    assert_int_equal(dxi_top_key(&top, 'q'), DXI_TOP_QUIT);
}

static void enter_shows_all_of_one_and_who_listens_to_it(void **state)
{
    (void)state;
    take_two();
    draw();
    press("\n");
    expect_in(4, "topic b.new");
    expect_in(6, "published                  1,200  +500/s");
    expect_in(8, "lag_max                    70");
    expect_in(13, "subscription                connection     pending         lag");
    expect_in(14, "b.* s                                3           1          70");
    press("\x1b");
    expect_in(4, "in/s v");
    press("3\n");
    expect_in(4, "connection dx ");
    take(30, "{'node': {}, 'connections': []}");
    draw();
    expect_in(6, "It is gone");
    press("\n");
    expect_in(6, "There are none");
}

static void details_scroll_no_further_than_there_are_lines(void **state)
{
    (void)state;
    static char text[8192];
    size_t used = (size_t)snprintf(text, sizeof text,
                                   "{'node': {}, 'topics': [{'name': 'a', "
                                   "'options': {'full': 'wait'}");
    for (int i = 0; i < 40; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, ", 'k%d': %d", i, i);
    }
    snprintf(text + used, sizeof text - used, "}]}");
    take(1, text);
    press("\n");
    expect_in(6, "k0                         0");
    (void)dxi_top_key(&top, DXI_KEY_DOWN);
    draw();
    expect_in(5, "k0 ");
    press("G");
    expect_in(22, "options.full               wait");
    (void)dxi_top_key(&top, DXI_KEY_UP);
    draw();
    expect_in(22, "k39                        39");
}

static void help_is_shown_until_a_key(void **state)
{
    (void)state;
    take_two();
    press("2?");
    expect_in(4, "Keys");
    for (int row = 0; row < 24; row++) {
        assert_true(dxi_grid_width(line(row)) <= 80);
    }
    press("q");
    expect_in(3, "[2 subscriptions 1]");
    expect_in(4, "lag v");
}

static void a_pause_keeps_what_is_shown(void **state)
{
    (void)state;
    take_two();
    assert_int_equal(dxi_top_key(&top, 'p'), DXI_TOP_DRAW);
    take(20, "{'node': {}, 'topics': []}");
    draw();
    expect_in(0, "PAUSED");
    expect_in(5, "b.new");
    assert_int_equal(dxi_top_key(&top, ' '), DXI_TOP_LOOK);
    take(21, "{'node': {}, 'topics': []}");
    draw();
    expect_in(6, "There are none");
}

static void the_interval_goes_up_and_down_within_its_bounds(void **state)
{
    (void)state;
    assert_int_equal(dxi_top_key(&top, '+'), DXI_TOP_LOOK);
    assert_int_equal(top.interval_ns, 2 * SECOND);
    draw();
    expect_in(0, "every 2 s");
    for (int i = 0; i < 20; i++) {
        (void)dxi_top_key(&top, '+');
    }
    assert_int_equal(top.interval_ns, DXI_TOP_INTERVAL_MAX_NS);
    draw();
    expect_in(0, "every 1 min");
    for (int i = 0; i < 20; i++) {
        (void)dxi_top_key(&top, '-');
    }
    assert_int_equal(top.interval_ns, DXI_TOP_INTERVAL_MIN_NS);
    top.interval_ns = 1500000000;
    (void)dxi_top_key(&top, '+');
    assert_int_equal(top.interval_ns, 2 * SECOND);
    top.interval_ns = 1500000000;
    (void)dxi_top_key(&top, '-');
    assert_int_equal(top.interval_ns, SECOND);
}

/* -------------------------------------------------------------------------------------- as text */

static void printed_it_has_all_rows_and_no_cursor(void **state)
{
    (void)state;
    char *text = NULL;
    size_t bytes = 0;
    take_two();
    FILE *const stream = open_memstream(&text, &bytes);
    assert_int_equal(dxi_top_print(&top, stream, 80), DX_OK);
    assert_int_equal(fclose(stream), 0);
    assert_non_null(strstr(text, "in/s v"));
    assert_non_null(strstr(text, "\n  b.new                   500"));
    assert_null(strstr(text, ">"));
    free(text);
}

static void as_json_it_has_what_two_looks_make(void **state)
{
    (void)state;
    take_two();
    json_t *const root = dxi_top_json(&top.model);
    const json_t *const topics = json_object_get(root, "topics");
    const json_t *const node = json_object_get(root, "node");
    assert_int_equal(json_array_size(topics), 4);
    assert_true(json_real_value(json_object_get(json_array_get(topics, 1), "published_per_s")) ==
                500);
    assert_true(json_is_null(json_object_get(json_array_get(topics, 3), "published_per_s")));
    assert_true(json_real_value(json_object_get(node, "published_per_s")) == 1000);
    assert_true(json_is_null(json_object_get(node, "delivered_per_s")));
    json_decref(root);
}

static void what_counts_from_zero_again_has_no_rate(void **state)
{
    (void)state;
    take(1, "{'node': {'published': 500}, 'topics': [" TOPIC("a", 100, 5, 0) "]}");
    take(2, "{'node': {'published': 2}, 'topics': [" TOPIC("a", 3, 5, 0) "]}");
    draw();
    expect_in(1, "in -/s");
    expect_in(5, "a                         -");
}

static void subscriptions_that_are_alike_are_all_there(void **state)
{
    (void)state;
    take(1, "{'node': {}, 'subscriptions': [{'pattern': 'a', 'name': 's'}, {'pattern': 'a', "
            "'name': 's'}, {'pattern': 'a', 'name': 's'}]}");
    press("2");
    expect_in(3, "subscriptions 3");
    EXPECT_ORDER("a", "a", "a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_head_has_the_node_its_rates_and_the_screens, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(before_the_first_answer_it_says_so, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_look_has_no_rates, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_node_without_one_latency_shows_its_slowest_topic, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(trouble_is_told_with_its_time_and_goes_with_the_next_look,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(rows_are_sorted_by_the_chosen_column_either_way, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(every_column_can_be_sorted_by_and_stays_in_view, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(names_with_numbers_are_in_the_order_of_the_numbers, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_filter_is_typed_kept_or_dropped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_cursor_stays_on_its_row_when_the_order_changes, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_got_worse_is_marked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_rows_than_lines_scroll_with_the_cursor, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(narrow_screens_leave_columns_out_and_small_ones_do_no_harm,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_items_leave_the_counts_of_other_screens_out, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(keys_lead_from_screen_to_screen, set_up, tear_down),
        cmocka_unit_test_setup_teardown(enter_shows_all_of_one_and_who_listens_to_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(details_scroll_no_further_than_there_are_lines, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(help_is_shown_until_a_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_pause_keeps_what_is_shown, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_interval_goes_up_and_down_within_its_bounds, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(printed_it_has_all_rows_and_no_cursor, set_up, tear_down),
        cmocka_unit_test_setup_teardown(as_json_it_has_what_two_looks_make, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_counts_from_zero_again_has_no_rate, set_up, tear_down),
        cmocka_unit_test_setup_teardown(subscriptions_that_are_alike_are_all_there, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
