/* test_bench_scenario.c - every scenario runs, and its consumers see what was sent.
 *
 * A run verifies its own sums and fails with DX_ECORRUPT, so DX_OK is the assertion. Nothing here
 * looks at speed. Threads are not pinned and wait adaptively: the tests run on any number of cores.
 *
 * It shares rings with children, in the scenarios of the guard.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base_test.h"
#include "cli/bench_run.h"
#include "cli/bench_scenario.h"

#define EVENTS 2000
#define LATENCY_EVENTS 60
#define PACE_NS 2000

static void params_small(const dxi_bench_scenario_t *s, dxi_bench_params_t *p)
{
    dxi_bench_params_default(s, p);
    p->events = s->kind == DXI_BENCH_IDLE      ? 1
                : s->kind == DXI_BENCH_LATENCY ? LATENCY_EVENTS
                                               : EVENTS;
    p->warmup = s->kind == DXI_BENCH_THROUGHPUT ? 100 : 1;
    p->producers = 3;
    p->capacity = 64;
    if (s->any_wait) {
        p->wait = DX_WAIT_ADAPTIVE;
    }
    if (s->pace_ns != 0) {
        p->pace_ns = PACE_NS;
    }
}

/* Runs and checks what the result says about itself. */
static void run_ok(const dxi_bench_scenario_t *s, const dxi_bench_params_t *p)
{
    dx_histogram_t *latency = NULL;
    dx_error_t error = {0};
    assert_ok(dx_histogram_create(&latency, &error));
    dxi_bench_result_t result = {0};
    const int code = dxi_bench_run(s, p, latency, &result, &error);
    if (code != DX_OK) {
        fail_msg("%s, batch %u, %u bytes, %s: %s", s->name, p->batch, p->event_bytes,
                 dx_wait_kind_name(p->wait), error.message);
    }
    assert_true(result.events >= p->events || s->kind == DXI_BENCH_IDLE);
    assert_true(result.seconds > 0);
    assert_false(result.pinned);
    assert_int_equal(result.producers + result.consumers, dxi_bench_thread_count(s, p));
    if (s->kind == DXI_BENCH_LATENCY) {
        assert_int_equal(dx_histogram_count(latency), (int64_t)result.events);
    }
    if (s->kind == DXI_BENCH_THROUGHPUT) {
        assert_true(result.batches > 0);
        assert_true(result.batches <= result.handled);
    }
    dx_histogram_destroy(latency);
}

static void every_scenario_verifies_its_work(void **state)
{
    (void)state;
    for (size_t i = 0; i < dxi_bench_scenario_count; i++) {
        dxi_bench_params_t params;
        params_small(&dxi_bench_scenarios[i], &params);
        run_ok(&dxi_bench_scenarios[i], &params);
    }
}

static void every_scenario_takes_the_sizes_and_batches_it_says(void **state)
{
    (void)state;
    static const uint32_t batches[] = {1, 7, 64};
    static const uint32_t sizes[] = {8, 24, 64, 256};
    for (size_t i = 0; i < dxi_bench_scenario_count; i++) {
        const dxi_bench_scenario_t *const s = &dxi_bench_scenarios[i];
        if (!s->any_batch || !s->any_size) {
            continue;
        }
        for (size_t j = 0; j < COUNT_OF(batches) * COUNT_OF(sizes); j++) {
            dxi_bench_params_t params;
            params_small(s, &params);
            params.batch = batches[j % COUNT_OF(batches)];
            params.event_bytes = sizes[j / COUNT_OF(batches)];
            params.events = 500;
            run_ok(s, &params);
        }
    }
}

static void every_wait_strategy_delivers(void **state)
{
    (void)state;
    static const char *const names[] = {"1p1c", "2p1c", "pipeline3", "poller", "pool-1p3w"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        for (int wait = 0; wait < DX_WAIT_KIND_COUNT; wait++) {
            const dxi_bench_scenario_t *const s = dxi_bench_scenario_find(names[i]);
            dxi_bench_params_t params;
            params_small(s, &params);
            params.events = 300;
            params.wait = (dx_wait_kind_t)wait;
            run_ok(s, &params);
        }
    }
}

static void handlers_can_take_one_event_a_call(void **state)
{
    (void)state;
    static const char *const names[] = {"1p1c", "multicast", "diamond", "3p1c"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const dxi_bench_scenario_t *const s = dxi_bench_scenario_find(names[i]);
        dxi_bench_params_t params;
        params_small(s, &params);
        params.per_event = true;
        run_ok(s, &params);
    }
}

static void events_are_rounded_up_to_whole_batches_of_every_producer(void **state)
{
    (void)state;
    const dxi_bench_scenario_t *const s = dxi_bench_scenario_find("3p1c");
    dxi_bench_params_t params;
    params_small(s, &params);
    params.events = 1;
    params.batch = 7;
    dxi_bench_result_t result = {0};
    dx_error_t error = {0};
    assert_ok(dxi_bench_run(s, &params, NULL, &result, &error));
    assert_int_equal(result.events, 21);
    assert_int_equal(result.handled, 21);
}

static void bad_parameters_are_refused_with_the_rule(void **state)
{
    (void)state;
    static const struct {
        const char *scenario;
        size_t offset;
        uint32_t value;
        const char *text;
    } cases[] = {
        {"1p1c", offsetof(dxi_bench_params_t, event_bytes), 0, "event-bytes is 0"},
        {"1p1c", offsetof(dxi_bench_params_t, event_bytes), 12, "multiple of 8"},
        {"1p1c", offsetof(dxi_bench_params_t, batch), 0, "batch is 0"},
        {"1p1c", offsetof(dxi_bench_params_t, batch), 65, "from 1 to the capacity, 64"},
        {"1p1c", offsetof(dxi_bench_params_t, capacity), 100, "power of two"},
        {"1p1c", offsetof(dxi_bench_params_t, producers), 57, "producers is 57"},
        {"long-array", offsetof(dxi_bench_params_t, event_bytes), 8, "has 16384 only"},
        {"pingpong", offsetof(dxi_bench_params_t, batch), 2, "has 1 only"},
        {"futex", offsetof(dxi_bench_params_t, wait), DX_WAIT_YIELDING, "has blocking only"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const dxi_bench_scenario_t *const s = dxi_bench_scenario_find(cases[i].scenario);
        dxi_bench_params_t params;
        params_small(s, &params);
        memcpy((char *)&params + cases[i].offset, &cases[i].value, sizeof cases[i].value);
        dxi_bench_result_t result;
        dx_error_t error = {0};
        assert_fails(dxi_bench_run(s, &params, NULL, &result, &error), DX_EINVAL, error,
                     cases[i].text);
    }
}

static void paced_scenarios_need_a_pace_and_others_refuse_one(void **state)
{
    (void)state;
    dxi_bench_params_t params;
    dx_error_t error = {0};
    const dxi_bench_scenario_t *const paced = dxi_bench_scenario_find("one-way");
    params_small(paced, &params);
    params.pace_ns = 0;
    assert_fails(dxi_bench_params_check(paced, &params, &error), DX_EINVAL, error, "must be paced");
    const dxi_bench_scenario_t *const other = dxi_bench_scenario_find("1p1c");
    params_small(other, &params);
    params.pace_ns = 5;
    assert_fails(dxi_bench_params_check(other, &params, &error), DX_EINVAL, error, "is not paced");
}

static int thread_off_by_one(dxi_bench_run_t *run, uint32_t index)
{
    uint64_t first = 0;
    const uint64_t count = dxi_bench_share(run, index, &first);
    return dxi_bench_loops_find(8)->produce(&run->producers[index], first + 1, count, 1);
}

static int thread_that_fails(dxi_bench_run_t *run, uint32_t index)
{
    return index == 0 ? DX_ELIMIT : run->scenario->thread == NULL;
}

static void a_wrong_sum_fails_the_run(void **state)
{
    (void)state;
    static const char *const names[] = {"1p1c", "pipeline3", "pool-1p3w", "keyed-1p3w"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        dxi_bench_scenario_t wrong = *dxi_bench_scenario_find(names[i]);
        wrong.thread = thread_off_by_one;
        dxi_bench_params_t params;
        params_small(&wrong, &params);
        dxi_bench_result_t result;
        dx_error_t error = {0};
        assert_fails(dxi_bench_run(&wrong, &params, NULL, &result, &error), DX_ECORRUPT, error,
                     "consumers found the sum");
    }
}

static void a_thread_that_fails_ends_the_run(void **state)
{
    (void)state;
    static const char *const names[] = {"1p1c", "3p1c", "poller"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        dxi_bench_scenario_t failing = *dxi_bench_scenario_find(names[i]);
        failing.thread = thread_that_fails;
        dxi_bench_params_t params;
        params_small(&failing, &params);
        dxi_bench_result_t result;
        dx_error_t error = {0};
        assert_fails(dxi_bench_run(&failing, &params, NULL, &result, &error), DX_ELIMIT, error,
                     "ended with DX_ELIMIT");
    }
}

/* Names of this process's rings in the folder of shared rings. */
static int rings_left(void)
{
    char pattern[64];
    (void)snprintf(pattern, sizeof pattern, "%s/*dxbench-%d-*", DX_RING_FOLDER, (int)getpid());
    glob_t found;
    const int none = glob(pattern, GLOB_PERIOD, NULL, &found);
    const int count = none == 0 ? (int)found.gl_pathc : 0;
    globfree(&found);
    return count;
}

static void scenarios_run_between_two_processes(void **state)
{
    (void)state;
    int shared = 0;
    for (size_t i = 0; i < dxi_bench_scenario_count; i++) {
        const dxi_bench_scenario_t *const s = &dxi_bench_scenarios[i];
        if (s->far != 0) {
            dxi_bench_params_t params;
            params_small(s, &params);
            params.shared = true;
            params.attached = s->any_attached ? 3 : 0;
            run_ok(s, &params);
            assert_int_equal(rings_left(), 0);
            shared++;
        }
    }
    assert_true(shared >= 10);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* every child has been waited for */
    assert_int_equal(errno, ECHILD);
}

static void what_has_no_second_process_refuses_one(void **state)
{
    (void)state;
    dxi_bench_params_t params;
    dx_error_t error = {0};
    const dxi_bench_scenario_t *const pool = dxi_bench_scenario_find("pool-1p3w");
    params_small(pool, &params);
    params.shared = true;
    assert_fails(dxi_bench_params_check(pool, &params, &error), DX_EINVAL, error,
                 "does not run between processes");
    const dxi_bench_scenario_t *const plain = dxi_bench_scenario_find("1p1c");
    params_small(plain, &params);
    params.attached = 1;
    assert_fails(dxi_bench_params_check(plain, &params, &error), DX_EINVAL, error,
                 "attached is 1, scenario 1p1c has none");
    const dxi_bench_scenario_t *const guard = dxi_bench_scenario_find("guard");
    params_small(guard, &params);
    params.attached = DXI_BENCH_ATTACHED_MAX + 1;
    assert_fails(dxi_bench_params_check(guard, &params, &error), DX_EINVAL, error, "attached");
}

static int thread_that_is_killed(dxi_bench_run_t *run, uint32_t index)
{
    (void)index;
    return run->far ? raise(SIGKILL) : DX_OK;
}

static void a_failure_of_the_other_process_ends_the_run(void **state)
{
    (void)state;
    static const struct {
        const char *scenario;
        int (*thread)(dxi_bench_run_t *run, uint32_t index);
        int code;
        const char *text;
    } cases[] = {
        {"1p1c", thread_that_fails, DX_ELIMIT, "ended with DX_ELIMIT"},
        {"poller", thread_that_fails, DX_ELIMIT, "ended with DX_ELIMIT"},
        {"1p1c", thread_off_by_one, DX_ECORRUPT, "consumers found the sum"},
        {"1p1c", thread_that_is_killed, DX_EIO, "ended with signal 9"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        dxi_bench_scenario_t failing = *dxi_bench_scenario_find(cases[i].scenario);
        failing.thread = cases[i].thread;
        dxi_bench_params_t params;
        params_small(&failing, &params);
        params.shared = true;
        dxi_bench_result_t result;
        dx_error_t error = {0};
        assert_fails(dxi_bench_run(&failing, &params, NULL, &result, &error), cases[i].code, error,
                     cases[i].text);
        assert_int_equal(rings_left(), 0);
    }
}

static void an_unknown_name_is_no_scenario(void **state)
{
    (void)state;
    assert_null(dxi_bench_scenario_find("1p2c"));
    assert_null(dxi_bench_scenario_find(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_scenario_verifies_its_work),
        cmocka_unit_test(every_scenario_takes_the_sizes_and_batches_it_says),
        cmocka_unit_test(every_wait_strategy_delivers),
        cmocka_unit_test(handlers_can_take_one_event_a_call),
        cmocka_unit_test(events_are_rounded_up_to_whole_batches_of_every_producer),
        cmocka_unit_test(bad_parameters_are_refused_with_the_rule),
        cmocka_unit_test(paced_scenarios_need_a_pace_and_others_refuse_one),
        cmocka_unit_test(a_wrong_sum_fails_the_run),
        cmocka_unit_test(a_thread_that_fails_ends_the_run),
        cmocka_unit_test(scenarios_run_between_two_processes),
        cmocka_unit_test(what_has_no_second_process_refuses_one),
        cmocka_unit_test(a_failure_of_the_other_process_ends_the_run),
        cmocka_unit_test(an_unknown_name_is_no_scenario),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
