/* test_clock.c - clocks move, and the counter's arithmetic is exact.
 *
 * Nothing here depends on the machine's speed: measured intervals are only compared with each
 * other, and with bounds that a preempted test meets as well.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disruptorx/clock.h"

#include <time.h>

#include "base/tsc.h"
#include "base_test.h"
#include "disruptorx/thread.h"

static void clocks_move_forward(void **state)
{
    (void)state;
    int64_t last = dx_clock_ns();
    for (int i = 0; i < 1000; i++) {
        const int64_t now = dx_clock_ns();
        assert_true(now >= last);
        last = now;
    }
    assert_true(last > 0);
    /* 2020-01-01: a clock before it is not set, and the log would be wrong too. */
    assert_true(dx_clock_realtime_ns() > INT64_C(1577836800) * DX_NS_PER_S);
    assert_true(dx_tsc_now_ordered() <= dx_tsc_now_ordered());
}

static void a_fit_is_exact_at_its_base_and_proportional_elsewhere(void **state)
{
    (void)state;
    /* 3 GHz: one second is 3e9 ticks. */
    const dxi_tsc_sample_t begin = {.ticks = UINT64_C(1000), .ns = 500};
    const dxi_tsc_sample_t end = {.ticks = UINT64_C(3000001000), .ns = 500 + DX_NS_PER_S};
    dx_tsc_t tsc;
    dxi_tsc_fit(&begin, &end, true, &tsc);
    assert_true(tsc.is_counter);
    assert_int_equal(tsc.frequency_hz, UINT64_C(3000000000));
    assert_int_equal(dx_tsc_to_ns(&tsc, end.ticks), end.ns); /* I1 */
    static const int64_t seconds[] = {-1, 1, 60, 3600, 86400};
    for (size_t i = 0; i < COUNT_OF(seconds); i++) {
        const uint64_t ticks = end.ticks + (uint64_t)(seconds[i] * INT64_C(3000000000));
        const int64_t expected = end.ns + seconds[i] * DX_NS_PER_S;
        const int64_t found = dx_tsc_to_ns(&tsc, ticks);
        const int64_t error = found > expected ? found - expected : expected - found;
        const int64_t magnitude = seconds[i] < 0 ? -seconds[i] : seconds[i];
        assert_true(error <= 1 + magnitude); /* 2^-32 of a third: below 1 ns a second */
    }
}

static void conversion_is_monotonic(void **state)
{
    (void)state;
    const dxi_tsc_sample_t begin = {.ticks = 0, .ns = 0};
    const dxi_tsc_sample_t end = {.ticks = 2893000007, .ns = DX_NS_PER_S};
    dx_tsc_t tsc;
    dxi_tsc_fit(&begin, &end, true, &tsc);
    int64_t last = INT64_MIN;
    for (uint64_t t = 2893000007 - 2000; t < 2893000007 + 2000; t++) {
        const int64_t now = dx_tsc_to_ns(&tsc, t);
        assert_true(now >= last);
        last = now;
    }
    /* A slow counter counts long: 292 years of 1 GHz do not overflow. */
    const dxi_tsc_sample_t ghz = {.ticks = DX_NS_PER_S, .ns = DX_NS_PER_S};
    dxi_tsc_fit(&begin, &ghz, true, &tsc);
    assert_int_equal(dx_tsc_to_ns(&tsc, INT64_MAX), INT64_MAX);
}

static void an_unusable_counter_is_replaced_by_the_clock(void **state)
{
    (void)state;
    static const struct {
        dxi_tsc_sample_t begin;
        dxi_tsc_sample_t end;
        bool usable;
        bool is_counter;
    } rows[] = {
        {{0, 0}, {3000000000, 1000000000}, true, true},
        {{0, 0}, {3000000000, 1000000000}, false, false},  /* not invariant */
        {{5, 0}, {5, 1000000000}, true, false},            /* stands still */
        {{9, 0}, {5, 1000000000}, true, false},            /* runs backwards */
        {{0, 7}, {3000000000, 7}, true, false},            /* no time passed */
        {{0, 0}, {1000000, 1000000000}, true, true},       /* 1 MHz */
        {{0, 0}, {999999, 1000000000}, true, false},       /* below */
        {{0, 0}, {100000000000, 1000000000}, true, true},  /* 100 GHz */
        {{0, 0}, {100000000100, 1000000000}, true, false}, /* above */
        {{0, 0}, {INT64_MAX, 1}, true, false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        dx_tsc_t tsc;
        dxi_tsc_fit(&rows[i].begin, &rows[i].end, rows[i].usable, &tsc);
        assert_int_equal(tsc.is_counter, rows[i].is_counter);
        if (!tsc.is_counter) { /* I3 */
            assert_int_equal(tsc.frequency_hz, DX_NS_PER_S);
            assert_int_equal(dx_tsc_to_ns(&tsc, 123456789), 123456789);
            const int64_t before = dx_clock_ns();
            const int64_t between = dx_tsc_to_ns(&tsc, dx_tsc_ticks(&tsc));
            assert_true(before <= between && between <= dx_clock_ns());
        }
    }
}

static void the_calibrated_counter_agrees_with_the_clock(void **state)
{
    (void)state;
    dx_cpu_features_t features;
    dx_cpu_features_read(&features);
    dx_tsc_t tsc;
    dx_tsc_calibrate(&tsc);
    if (!features.invariant_counter) {
        assert_false(tsc.is_counter);
    }
    const int64_t clock_before = dx_clock_ns();
    const uint64_t ticks_begin = dx_tsc_ticks(&tsc);
    const int64_t clock_begin = dx_clock_ns();
    const struct timespec pause = {.tv_nsec = 20 * DX_NS_PER_MS};
    (void)nanosleep(&pause, NULL);
    const int64_t clock_end = dx_clock_ns();
    const uint64_t ticks_end = dx_tsc_ticks(&tsc);
    const int64_t clock_after = dx_clock_ns();
    /* The counter's interval lies between the inner and the outer one of the clock, give or take
     * 2 %: far above what calibration loses, far below what a wrong rate would make. */
    const int64_t elapsed = dx_tsc_to_ns(&tsc, ticks_end) - dx_tsc_to_ns(&tsc, ticks_begin);
    const int64_t inner = clock_end - clock_begin;
    const int64_t outer = clock_after - clock_before;
    assert_true(elapsed >= inner - inner / 50);
    assert_true(elapsed <= outer + outer / 50);
}

static void the_default_calibration_is_made_once(void **state)
{
    (void)state;
    const dx_tsc_t *const tsc = dx_tsc_default();
    assert_non_null(tsc);
    const dx_tsc_t copy = *tsc;
    assert_ptr_equal(dx_tsc_default(), tsc);
    assert_int_equal(tsc->multiplier, copy.multiplier);
    assert_int_equal(tsc->ns_base, copy.ns_base);
    assert_true(tsc->multiplier > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clocks_move_forward),
        cmocka_unit_test(a_fit_is_exact_at_its_base_and_proportional_elsewhere),
        cmocka_unit_test(conversion_is_monotonic),
        cmocka_unit_test(an_unusable_counter_is_replaced_by_the_clock),
        cmocka_unit_test(the_calibrated_counter_agrees_with_the_clock),
        cmocka_unit_test(the_default_calibration_is_made_once),
    };
    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
