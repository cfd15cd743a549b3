/* test_wait_options.c - names, limits and defaults of the wait strategies.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ring_test.h"

static void every_strategy_has_a_name_that_parses_back(void **state)
{
    (void)state;
    for (int kind = 0; kind < DX_WAIT_KIND_COUNT; kind++) {
        const char *name = dx_wait_kind_name((dx_wait_kind_t)kind);
        dx_wait_kind_t parsed = DX_WAIT_KIND_COUNT;
        dx_error_t error = {0};
        assert_ok(dx_wait_kind_parse(name, &parsed, &error));
        assert_int_equal(parsed, kind);
        assert_int_equal(error.code, DX_OK);
        assert_true(strlen(dx_wait_kind_help((dx_wait_kind_t)kind)) > 10);
        for (int other = 0; other < kind; other++) {
            assert_string_not_equal(name, dx_wait_kind_name((dx_wait_kind_t)other));
        }
    }
}

/* The numbers travel in options of other languages. */
static void the_numbers_of_the_strategies_are_pinned(void **state)
{
    (void)state;
    static const char *const names[] = {
        "adaptive",       "busy-spin",     "yielding",         "sleeping",
        "blocking",       "lite-blocking", "timeout-blocking", "lite-timeout-blocking",
        "phased-backoff", "monitor"};
    assert_int_equal(COUNT_OF(names), DX_WAIT_KIND_COUNT);
    for (int kind = 0; kind < DX_WAIT_KIND_COUNT; kind++) {
        assert_string_equal(dx_wait_kind_name((dx_wait_kind_t)kind), names[kind]);
    }
}

static void a_number_that_is_no_strategy_is_called_unknown(void **state)
{
    (void)state;
    static const int numbers[] = {-1, DX_WAIT_KIND_COUNT, 1000};
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        assert_string_equal(dx_wait_kind_name((dx_wait_kind_t)numbers[i]), "unknown");
        assert_string_equal(dx_wait_kind_help((dx_wait_kind_t)numbers[i]), "unknown");
    }
}

static void a_wrong_name_is_refused_with_the_list_of_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *sentence;
    } rows[] = {
        {"spin", "wait strategy is 'spin', must be adaptive, busy-spin, yielding, sleeping, "
                 "blocking, lite-blocking, timeout-blocking, lite-timeout-blocking, "
                 "phased-backoff or monitor"},
        {"", "wait strategy is '', must be adaptive"},
        {"Adaptive", "wait strategy is 'Adaptive', must be adaptive"},
        {"blocking ", "wait strategy is 'blocking ', must be adaptive"},
        {NULL, "wait strategy is '(null)', must be adaptive"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        dx_wait_kind_t kind = DX_WAIT_MONITOR;
        dx_error_t error = {0};
        assert_fails(dx_wait_kind_parse(rows[i].name, &kind, &error), DX_EINVAL, error,
                     rows[i].sentence);
        assert_int_equal(kind, DX_WAIT_MONITOR); /* left alone */
    }
}

static void each_bad_option_is_refused_with_its_sentence(void **state)
{
    (void)state;
    static const struct {
        dx_wait_options_t options;
        const char *sentence;
    } rows[] = {
        {{.kind = (dx_wait_kind_t)DX_WAIT_KIND_COUNT}, "wait.kind is 10, must be from 0 to 9"},
        {{.kind = (dx_wait_kind_t)-1}, "wait.kind is -1, must be from 0 to 9"},
        {{.fallback = DX_WAIT_BUSY_SPIN}, "wait.fallback is 1, must be SLEEPING or BLOCKING"},
        {{.fallback = DX_WAIT_KIND_COUNT}, "wait.fallback is 10, must be SLEEPING or BLOCKING"},
        {{.follow_slots = -2}, "wait.follow_slots is -2, must be from -1 to 67108864"},
        {{.follow_slots = (1 << 26) + 1},
         "wait.follow_slots is 67108865, must be from -1 to 67108864"},
        {{.reserved_0 = 3}, "wait.reserved_0 is 3, must be zero"},
        {{.timeout_ns = -1}, "wait.timeout_ns is -1, must be from 0 to 3600000000000"},
        {{.timeout_ns = DX_WAIT_NS_MAX + 1},
         "wait.timeout_ns is 3600000000001, must be from 0 to 3600000000000"},
        {{.spin_ns = -1}, "wait.spin_ns is -1, must be from 0 to 3600000000000"},
        {{.spin_ns = DX_WAIT_NS_MAX + 1},
         "wait.spin_ns is 3600000000001, must be from 0 to 3600000000000"},
        {{.yield_ns = -1}, "wait.yield_ns is -1, must be from 0 to 3600000000000"},
        {{.yield_ns = DX_WAIT_NS_MAX + 1},
         "wait.yield_ns is 3600000000001, must be from 0 to 3600000000000"},
        {{.sleep_ns = INT64_MIN},
         "wait.sleep_ns is -9223372036854775808, must be from 0 to 3600000000000"},
        {{.sleep_ns = DX_WAIT_NS_MAX + 1},
         "wait.sleep_ns is 3600000000001, must be from 0 to 3600000000000"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        dx_error_t error = {0};
        assert_code(dx_wait_options_check(&rows[i].options, &error), DX_EINVAL);
        assert_string_equal(error.message, rows[i].sentence);
        assert_int_equal(error.code, DX_EINVAL);
    }
}

static void the_ends_of_each_range_are_accepted(void **state)
{
    (void)state;
    static const dx_wait_options_t rows[] = {
        {.kind = DX_WAIT_ADAPTIVE},     {.kind = DX_WAIT_MONITOR},   {.fallback = DX_WAIT_SLEEPING},
        {.fallback = DX_WAIT_BLOCKING}, {.follow_slots = -1},        {.follow_slots = 1 << 26},
        {.timeout_ns = DX_WAIT_NS_MAX}, {.spin_ns = DX_WAIT_NS_MAX}, {.yield_ns = DX_WAIT_NS_MAX},
        {.sleep_ns = DX_WAIT_NS_MAX},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        dx_error_t error = {0};
        if (dx_wait_options_check(&rows[i], &error) != DX_OK) {
            fail_msg("row %zu: %s", i, error.message);
        }
    }
}

/* A wait option travels inside the options of producers and consumers, and is checked there. */
static void participants_refuse_bad_wait_options(void **state)
{
    (void)state;
    dx_ring_t *ring = ring_of(DX_RING_MULTI, 8);
    const dx_wait_options_t bad = {.kind = DX_WAIT_KIND_COUNT};
    dx_error_t error = {0};
    dx_producer_t producer;
    assert_fails(dx_producer_open(&producer, ring, &(dx_producer_options_t){.wait = bad}, &error),
                 DX_EINVAL, error, "wait.kind is 10, must be from 0 to 9");
    dx_consumer_t consumer;
    assert_fails(dx_consumer_open(&consumer, ring, &(dx_consumer_options_t){.wait = bad}, &error),
                 DX_EINVAL, error, "wait.kind is 10, must be from 0 to 9");
    dx_ring_destroy(ring);
}

static void zero_options_become_the_documented_defaults(void **state)
{
    (void)state;
    for (int kind = 0; kind < DX_WAIT_KIND_COUNT; kind++) {
        const bool times_out =
            kind == DX_WAIT_TIMEOUT_BLOCKING || kind == DX_WAIT_LITE_TIMEOUT_BLOCKING;
        dx_wait_options_t options = {.kind = (dx_wait_kind_t)kind};
        dxi_wait_options_resolve(&options);
        assert_int_equal(options.kind, kind);
        assert_number(options.spin_ns, 10000);
        assert_number(options.yield_ns, 100000);
        assert_number(options.sleep_ns, 50000);
        assert_number(options.follow_slots, 0); /* the consumer decides: it knows the slots */
        assert_int_equal(options.fallback, DX_WAIT_BLOCKING);
        assert_number(options.timeout_ns, times_out ? 1000000 : 0);
        assert_number(dxi_wait_timeout_ns(&options), times_out ? 1000000 : -1);
    }
}

static void given_options_are_kept(void **state)
{
    (void)state;
    const dx_wait_options_t given = {.kind = DX_WAIT_TIMEOUT_BLOCKING,
                                     .follow_slots = -1,
                                     .timeout_ns = 1,
                                     .spin_ns = 2,
                                     .yield_ns = 3,
                                     .sleep_ns = 4,
                                     .fallback = DX_WAIT_SLEEPING};
    dx_wait_options_t options = given;
    dxi_wait_options_resolve(&options);
    assert_memory_equal(&options, &given, sizeof(given));
    assert_number(dxi_wait_timeout_ns(&options), 1);
}

static void whether_the_processor_monitors_lines_has_one_answer(void **state)
{
    (void)state;
    const int first = dx_wait_monitor_available();
    assert_in_range(first, 0, 1);
    assert_int_equal(dx_wait_monitor_available(), first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_strategy_has_a_name_that_parses_back),
        cmocka_unit_test(the_numbers_of_the_strategies_are_pinned),
        cmocka_unit_test(a_number_that_is_no_strategy_is_called_unknown),
        cmocka_unit_test(a_wrong_name_is_refused_with_the_list_of_names),
        cmocka_unit_test(each_bad_option_is_refused_with_its_sentence),
        cmocka_unit_test(the_ends_of_each_range_are_accepted),
        cmocka_unit_test(participants_refuse_bad_wait_options),
        cmocka_unit_test(zero_options_become_the_documented_defaults),
        cmocka_unit_test(given_options_are_kept),
        cmocka_unit_test(whether_the_processor_monitors_lines_has_one_answer),
    };
    return cmocka_run_group_tests_name("wait_options", tests, NULL, NULL);
}
