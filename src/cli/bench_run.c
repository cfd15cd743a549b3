/* cli/bench_run.c - the life of one run of a scenario.
 *
 * DESIGN
 *
 *     check parameters -> open -> [warm-up phase] -> measured phase -> take down
 *
 *     phase:  empty the tallies -> start threads, all wait for the last one -> bodies run, each
 *             takes its first and last time -> join -> wait until handlers have handled all ->
 *             verify
 *
 * With params.shared, two processes go through the same phases, each with its own bodies
 * (bench_process.c); the barrier before the bodies is for both, and what is verified is verified
 * here.
 *
 * The time of a phase is from the first body's start to the last event's handling: a handler takes
 * the time when it ends a batch that reaches `end_sequence`. The main thread sleeps meanwhile.
 *
 * The values of a phase are 1 to n, divided among the producers, so that the sum that consumers
 * must find has a closed form (cli/bench_event.h), whatever the topology.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/bench_run.h"

#include <sched.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "cli/bench_event.h"
#include "disruptorx/span.h"

/* Handlers get this long after the last publication before a run counts as hung. */
#define HANDLED_DEADLINE_NS (INT64_C(30) * DX_NS_PER_S)
#define HANDLED_POLL_NS 100000
/* Workers of a pool end in any order: the end of a batch within so many last sequences counts. */
#define POOL_TAIL 4096
#define THREADS_MAX (DXI_BENCH_PRODUCERS_MAX + DXI_BENCH_CONSUMERS_MAX)
#define TIMER_READINGS 200000
#define SPAN_SLOTS_MIN 1024u /* whole pages, of up to 64 KiB */

/* What scenario files share -------------------------------------------------------------------- */

uint64_t dxi_bench_share(const dxi_bench_run_t *run, uint32_t producer, uint64_t *first_out)
{
    const uint64_t share = run->events / run->producer_count;
    *first_out = share * producer + 1;
    return share;
}

dx_wait_options_t dxi_bench_wait(const dxi_bench_run_t *run)
{
    return (dx_wait_options_t){.kind = run->params->wait,
                               .follow_slots = run->params->follow_slots};
}

dx_wait_options_t dxi_bench_wait_endless(const dxi_bench_run_t *run)
{
    dx_wait_options_t wait = dxi_bench_wait(run);
    if (wait.kind == DX_WAIT_TIMEOUT_BLOCKING) {
        wait.kind = DX_WAIT_BLOCKING;
    } else if (wait.kind == DX_WAIT_LITE_TIMEOUT_BLOCKING) {
        wait.kind = DX_WAIT_LITE_BLOCKING;
    }
    return wait;
}

dx_cpu_set_t dxi_bench_cpus(const dxi_bench_run_t *run, uint32_t index)
{
    dx_cpu_set_t set = {0};
    if (run->pinned) {
        dx_cpu_set_add(&set, run->params->cpus[index]);
    }
    return set;
}

int dxi_bench_producer_open(dxi_bench_run_t *run, uint32_t index, dx_ring_t *ring,
                            dx_error_t *error)
{
    if (!dxi_bench_is_mine(run, index)) {
        return DX_OK;
    }
    const dx_producer_options_t options = {.wait = dxi_bench_wait_endless(run)};
    return dx_producer_open(&run->producers[index], ring, &options, error);
}

/* The slots of a ring for `capacity` events; with spans, and of a size that spans may have. */
static uint32_t slot_count(const dxi_bench_run_t *run)
{
    const dxi_bench_params_t *const p = run->params;
    if (!run->scenario->spans) {
        return p->capacity;
    }
    const int64_t slots = dx_span_slots(p->event_bytes);
    const int64_t wanted =
        slots * (p->capacity > DX_RING_SPAN_SHARE ? p->capacity : DX_RING_SPAN_SHARE);
    uint32_t count = SPAN_SLOTS_MIN;
    while (count < wanted && count < DX_RING_SLOT_COUNT_MAX) {
        count *= 2;
    }
    return count;
}

int dxi_bench_ring_open(dxi_bench_run_t *run, uint32_t index, uint32_t first_producer,
                        uint32_t producer_count, dx_error_t *error)
{
    const dx_ring_options_t options = {
        .name = "bench",
        .slot_count = slot_count(run),
        .event_bytes = run->scenario->spans ? 0 : run->params->event_bytes,
        .spans = run->scenario->spans,
        .mode = producer_count > 1 ? DX_RING_MULTI : DX_RING_SINGLE,
        .memory = {.prefault = true},
        .share = dxi_bench_share_options(run, index),
    };
    int result = run->far ? dxi_bench_attach(run, index, error)
                          : dx_ring_create(&options, &run->rings[index], error);
    for (uint32_t i = 0; i < producer_count && result == DX_OK; i++) {
        result = dxi_bench_producer_open(run, first_producer + i, run->rings[index], error);
    }
    return result;
}

int dxi_bench_consumer_open(dxi_bench_run_t *run, uint32_t index, dx_error_t *error)
{
    const dx_consumer_options_t options = {.start = DX_START_OLDEST,
                                           .wait = dxi_bench_wait_endless(run)};
    return dx_consumer_open(&run->consumers[index], run->rings[index], &options, error);
}

/* Threads -------------------------------------------------------------------------------------- */

typedef struct body {
    dxi_bench_run_t *run;
    uint32_t index;
    int32_t count; /* threads that start together, on both sides */
    int result;
    int64_t started_ns;
    int64_t ended_ns;
    dx_thread_t *thread;
} body_t;

/* The first failure stops loops of other threads that would wait for its events. */
void dxi_bench_fail(dxi_bench_run_t *run, int code, const dx_error_t *error)
{
    dxi_bench_common_t *const common = run->common;
    int32_t none = 0;
    if (error != NULL && dx_exchange32_acq_rel(&common->explained, 1) == 0) {
        common->error = *error;
    }
    (void)dx_compare_exchange32_acq_rel(&common->failed, &none, code);
    for (uint32_t i = 0; i < DXI_BENCH_RINGS_MAX; i++) {
        if (run->consumers[i].entry != NULL) {
            dx_consumer_cancel(&run->consumers[i]);
        }
    }
    for (uint32_t i = 0; i < run->producer_count; i++) {
        if (run->producers[i].core != NULL) {
            dx_producer_cancel(&run->producers[i]);
        }
    }
}

static void body_main(void *context)
{
    body_t *const body = context;
    dxi_bench_run_t *const run = body->run;
    (void)dx_fetch_add32_acq_rel(&run->common->ready, 1);
    while (dx_load32_acquire(&run->common->ready) < body->count && !dxi_bench_is_failed(run)) {
        (void)sched_yield();
    }
    if (!dxi_bench_is_failed(run)) {
        body->started_ns = dx_clock_ns();
        body->result = run->scenario->thread(run, body->index);
        body->ended_ns = dx_clock_ns();
    }
    if (body->result != DX_OK) {
        dxi_bench_fail(run, body->result, NULL);
    }
    dxi_bench_body_ended(run);
}

static int threads_start(dxi_bench_run_t *run, body_t *bodies, uint32_t count, dx_error_t *error)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!dxi_bench_is_mine(run, i)) {
            continue;
        }
        const dx_thread_options_t options = {.name = "dx-bench", .cpus = dxi_bench_cpus(run, i)};
        bodies[i] = (body_t){.run = run, .index = i, .count = (int32_t)count};
        (void)dx_fetch_add32_acq_rel(&run->unfinished, 1);
        const int result =
            dx_thread_start(&options, body_main, &bodies[i], &bodies[i].thread, error);
        if (result != DX_OK) {
            dxi_bench_body_ended(run);
            dxi_bench_fail(run, result, NULL);
            return result;
        }
    }
    return DX_OK;
}

static void times_add(dxi_bench_run_t *run, int64_t started_ns, int64_t ended_ns)
{
    if (started_ns != 0 && started_ns < run->started_ns) {
        run->started_ns = started_ns;
    }
    if (ended_ns > run->ended_ns) {
        run->ended_ns = ended_ns;
    }
}

/* The far side tells its times; the other waits for them. */
static int sides_meet(dxi_bench_run_t *run)
{
    dxi_bench_common_t *const common = run->common;
    if (run->far) {
        common->far_started_ns = run->started_ns;
        common->far_ended_ns = run->ended_ns;
        dxi_bench_common_set(run, &common->far_phase, run->phase);
        return DX_OK;
    }
    const int result = dxi_bench_common_wait(run, &common->far_phase, run->phase);
    if (result == DX_OK) {
        times_add(run, common->far_started_ns, common->far_ended_ns);
    }
    return result;
}

/* Runs the bodies of a phase from their common start to the end of each. */
static int threads_run(dxi_bench_run_t *run, dx_error_t *error)
{
    body_t bodies[THREADS_MAX] = {0};
    const uint32_t count =
        run->producer_count + (run->scenario->own_consumers ? run->consumer_count : 0);
    int result = threads_start(run, bodies, count, error);
    run->started_ns = INT64_MAX;
    run->ended_ns = 0;
    dxi_bench_bodies_wait(run);
    for (uint32_t i = 0; i < count; i++) {
        (void)dx_thread_join(bodies[i].thread);
        times_add(run, bodies[i].started_ns, bodies[i].ended_ns);
    }
    if (result == DX_OK && run->params->shared) {
        (void)sides_meet(run);
    }
    const int failed = dx_load32_acquire(&run->common->failed);
    if (result == DX_OK && failed != DX_OK) {
        result = dxi_fail(error, failed, "a thread of scenario %s ended with %s",
                          run->scenario->name, dx_error_name(failed));
    }
    return result;
}

/* Phases --------------------------------------------------------------------------------------- */

static bool is_shared(const dxi_bench_run_t *run)
{
    return run->scenario->check == DXI_BENCH_SUM_SHARED;
}

static int phase_begin(dxi_bench_run_t *run, uint64_t events, bool measured)
{
    dxi_bench_common_t *const common = run->common;
    const uint64_t unit = (uint64_t)run->params->batch * run->producer_count;
    run->events = (events + unit - 1) / unit * unit;
    run->measured = measured;
    run->phase++;
    const int64_t last = (int64_t)(run->published + run->events) - 1;
    for (uint32_t i = 0; i < run->consumer_count; i++) {
        dxi_bench_tally_t *const tally = &run->tallies[i];
        dx_histogram_t *const latency = tally->latency;
        *tally = (dxi_bench_tally_t){.run = run, .latency = latency};
        tally->end_sequence = is_shared(run) ? last - POOL_TAIL : last;
    }
    if (run->far) {
        return dxi_bench_common_wait(run, &common->phase, run->phase);
    }
    dx_store_relaxed(&common->acknowledged, 0);
    dx_store32_relaxed(&common->futex_word, 0);
    dx_store32_relaxed(&common->ready, 0);
    dxi_bench_common_set(run, &common->phase, run->phase);
    return DX_OK;
}

static uint64_t handled_now(const dxi_bench_run_t *run)
{
    uint64_t handled = 0;
    for (uint32_t i = 0; i < run->consumer_count; i++) {
        /* ACQUIRE, pairs with the release in dxi_bench_batch_end(). */
        handled += (uint64_t)dx_load_acquire(&run->tallies[i].handled);
    }
    return handled;
}

/* Waits until the handlers have handled the phase's events. */
static int wait_handled(dxi_bench_run_t *run, dx_error_t *error)
{
    const uint64_t expected = run->events * (is_shared(run) ? 1 : run->consumer_count);
    const int64_t deadline_ns = dx_clock_ns() + HANDLED_DEADLINE_NS;
    while (handled_now(run) < expected) {
        const int result = dx_disruptor_failure(run->disruptor, error);
        if (result != DX_OK) {
            return result;
        }
        if (dx_clock_ns() > deadline_ns) {
            return dxi_fail(error, DX_ETIMEDOUT,
                            "scenario %s: %llu of %llu events handled 30 s after the last one",
                            run->scenario->name, (unsigned long long)handled_now(run),
                            (unsigned long long)expected);
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = HANDLED_POLL_NS}, NULL);
    }
    for (uint32_t i = 0; i < run->consumer_count; i++) {
        if (run->tallies[i].end_ns > run->ended_ns) {
            run->ended_ns = run->tallies[i].end_ns;
        }
    }
    return DX_OK;
}

static int verify_sum(const dxi_bench_run_t *run, uint64_t sum, uint64_t expected,
                      dx_error_t *error)
{
    if (sum == expected) {
        return DX_OK;
    }
    return dxi_fail(error, DX_ECORRUPT, "scenario %s: consumers found the sum %llu, not %llu",
                    run->scenario->name, (unsigned long long)sum, (unsigned long long)expected);
}

static int verify_keys(const dxi_bench_run_t *run, dx_error_t *error)
{
    uint64_t seen = 0;
    for (uint32_t i = 0; i < run->consumer_count; i++) {
        if ((seen & run->tallies[i].keys) != 0) {
            return dxi_fail(error, DX_ECORRUPT,
                            "scenario %s: worker %u got a key of another worker",
                            run->scenario->name, i);
        }
        seen |= run->tallies[i].keys;
    }
    return DX_OK;
}

/* Compares what the consumers found with the closed form. */
static int verify(const dxi_bench_run_t *run, dx_error_t *error)
{
    const uint32_t words = run->params->event_bytes / (uint32_t)sizeof(uint64_t);
    const bool stamps = run->scenario->check == DXI_BENCH_STAMPS;
    const uint64_t expected =
        stamps ? run->common->stamp_sum : dxi_bench_expected_sum(run->events, words);
    uint64_t total = 0;
    for (uint32_t i = 0; i < run->consumer_count; i++) {
        const dxi_bench_tally_t *const tally = &run->tallies[i];
        total += run->scenario->check == DXI_BENCH_COUNT ? tally->events : tally->sum;
        if (run->scenario->check == DXI_BENCH_SUM_EACH || stamps) {
            const int result = verify_sum(run, tally->sum, expected, error);
            if (result != DX_OK) {
                return result;
            }
        }
    }
    if (run->scenario->check == DXI_BENCH_COUNT) {
        return verify_sum(run, total, run->events, error);
    }
    if (is_shared(run)) {
        const int result = verify_sum(run, total, expected, error);
        return result == DX_OK ? verify_keys(run, error) : result;
    }
    return DX_OK;
}

static int phase_run(dxi_bench_run_t *run, uint64_t events, bool measured, dx_error_t *error)
{
    int result = phase_begin(run, events, measured);
    if (result == DX_OK) {
        result = threads_run(run, error);
    }
    if (result == DX_OK && run->disruptor != NULL) {
        result = wait_handled(run, error);
    }
    if (result == DX_OK && !run->far) {
        result = verify(run, error);
    }
    run->published += run->events;
    return result;
}

/* A run ---------------------------------------------------------------------------------------- */

void dxi_bench_close(dxi_bench_run_t *run)
{
    for (uint32_t i = 0; i < run->producer_count; i++) {
        dx_producer_close(&run->producers[i]);
    }
    for (uint32_t i = 0; i < DXI_BENCH_RINGS_MAX; i++) {
        dx_consumer_close(&run->consumers[i]);
    }
    dx_disruptor_destroy(run->disruptor);
    for (uint32_t i = 0; i < DXI_BENCH_RINGS_MAX; i++) {
        dx_ring_destroy(run->rings[i]);
    }
    dxi_bench_common_unmap(run);
    dxi_free(run);
}

static void result_fill(const dxi_bench_run_t *run, dxi_bench_result_t *result_out)
{
    *result_out = (dxi_bench_result_t){
        .events = run->events,
        .producers = run->producer_count,
        .consumers = run->consumer_count,
        .seconds = (double)(run->ended_ns - run->started_ns) / 1e9,
        .cpu_percent = run->common->cpu_percent,
        .pinned = run->pinned,
    };
    for (uint32_t i = 0; i < run->consumer_count; i++) {
        result_out->handled += run->tallies[i].events;
        result_out->batches += run->tallies[i].batches;
    }
}

int dxi_bench_phases_run(dxi_bench_run_t *run, dx_error_t *error)
{
    const dxi_bench_params_t *const params = run->params;
    int result = DX_OK;
    if (params->warmup != 0) {
        result = phase_run(run, params->warmup, false, error);
    }
    if (result == DX_OK) {
        if (run->latency != NULL) {
            dx_histogram_reset(run->latency);
        }
        const bool idle = run->scenario->kind == DXI_BENCH_IDLE;
        result = phase_run(run, idle ? 1 : params->events, true, error);
    }
    return result;
}

/* This process's side of a run. */
static int run_here(dxi_bench_run_t *run, dx_error_t *error)
{
    int result = dxi_bench_processes_start(run, error);
    if (result == DX_OK) {
        result = run->scenario->open(run, error);
    }
    if (result == DX_OK) {
        result = dxi_bench_processes_meet(run, error);
    }
    return result == DX_OK ? dxi_bench_phases_run(run, error) : result;
}

int dxi_bench_run(const dxi_bench_scenario_t *scenario, const dxi_bench_params_t *params,
                  dx_histogram_t *latency, dxi_bench_result_t *result_out, dx_error_t *error)
{
    int result = dxi_bench_params_check(scenario, params, error);
    if (result != DX_OK) {
        return result;
    }
    dxi_bench_run_t *const run = dxi_alloc_zeroed(1, sizeof *run);
    if (run == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a run of scenario %s", scenario->name);
    }
    const uint32_t threads = dxi_bench_thread_count(scenario, params);
    run->scenario = scenario;
    run->params = params;
    run->producer_count = scenario->producers != 0 ? scenario->producers : params->producers;
    run->consumer_count = threads - run->producer_count;
    run->pinned = !scenario->crowded && params->cpu_count >= threads;
    run->latency = latency;
    result = run_here(run, error);
    result = dxi_bench_processes_end(run, result, error);
    if (result == DX_OK) {
        result_fill(run, result_out);
    }
    dxi_bench_close(run);
    return result;
}

double dxi_bench_timer_ns(void)
{
    const int64_t from_ns = dx_clock_ns();
    int64_t last_ns = from_ns;
    for (int32_t i = 0; i < TIMER_READINGS; i++) {
        last_ns = dx_clock_ns();
    }
    return (double)(last_ns - from_ns) / TIMER_READINGS;
}
