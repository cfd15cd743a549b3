/* test_bench_stats.c - medians, quartiles, and the closed form that every run is checked against.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base_test.h"
#include "cli/bench_event.h"
#include "cli/bench_machine.h"
#include "cli/bench_stats.h"

static void assert_near(double value, double expected)
{
    if (value < expected - 1e-9 || value > expected + 1e-9) {
        fail_msg("%f is not %f", value, expected);
    }
}

static void quartiles_are_linear_between_neighbours(void **state)
{
    (void)state;
    const double values[] = {40, 10, 30, 20};
    const dxi_bench_quartiles_t q = dxi_bench_quartiles(values, 4);
    assert_near(q.q1, 17.5);
    assert_near(q.median, 25);
    assert_near(q.q3, 32.5);
    assert_near(q.spread_percent, 60);
    assert_near(values[0], 40); /* the caller's order stays */
}

static void one_value_is_all_quartiles(void **state)
{
    (void)state;
    const double value = 7;
    const dxi_bench_quartiles_t q = dxi_bench_quartiles(&value, 1);
    assert_near(q.q1, 7);
    assert_near(q.median, 7);
    assert_near(q.q3, 7);
    assert_near(q.spread_percent, 0);
}

static void no_value_is_zero(void **state)
{
    (void)state;
    const dxi_bench_quartiles_t q = dxi_bench_quartiles(NULL, 0);
    assert_near(q.median, 0);
    assert_near(q.spread_percent, 0);
}

static void the_closed_form_is_what_the_events_add_up_to(void **state)
{
    (void)state;
    static const uint32_t word_counts[] = {1, 2, 8, 32, 2048};
    for (size_t w = 0; w < COUNT_OF(word_counts); w++) {
        for (uint64_t n = 0; n < 20; n++) {
            uint64_t words[2048];
            uint64_t sum = 0;
            for (uint64_t value = 1; value <= n; value++) {
                dxi_bench_event_fill(words, word_counts[w], value);
                sum += dxi_bench_event_sum(words, word_counts[w]);
            }
            assert_int_equal(dxi_bench_expected_sum(n, word_counts[w]), sum);
        }
    }
}

static void cpus_keep_the_order_of_the_list(void **state)
{
    (void)state;
    dxi_bench_cpus_t cpus;
    dx_error_t error = {0};
    assert_ok(dxi_bench_cpus_parse("3,0,5-7", &cpus, &error));
    static const uint32_t expected[] = {3, 0, 5, 6, 7};
    assert_int_equal(cpus.count, COUNT_OF(expected));
    assert_memory_equal(cpus.cpus, expected, sizeof expected);
}

static void a_list_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"", ",", "0,", "0,,1", "a", "0-", "3-1,"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        dxi_bench_cpus_t cpus;
        dx_error_t error = {0};
        assert_int_equal(dxi_bench_cpus_parse(texts[i], &cpus, &error), DX_EPARSE);
        assert_int_equal(error.code, DX_EPARSE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quartiles_are_linear_between_neighbours),
        cmocka_unit_test(one_value_is_all_quartiles),
        cmocka_unit_test(no_value_is_zero),
        cmocka_unit_test(the_closed_form_is_what_the_events_add_up_to),
        cmocka_unit_test(cpus_keep_the_order_of_the_list),
        cmocka_unit_test(a_list_that_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
