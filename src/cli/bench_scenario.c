/* cli/bench_scenario.c - the table of scenarios, and the rules of their parameters.
 *
 * One row per topology of the LMAX performance tests, versions 3 and 4, and some that they lack.
 * Capacities and batches are theirs; the wait strategy is busy spin throughout, so that rows can be
 * compared with each other (theirs differ by row).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/bench_scenario.h"

#include <string.h>

#include "base/fail.h"
#include "base/options.h"
#include "cli/bench_run.h"

/* Parts of rows. THREADS: producers, consumers. RING: batch, bytes of an event, capacity. */
#define THREADS(p, c) .producers = (p), .consumers = (c)
#define RING(b, e, slots) .batch = (b), .event_bytes = (e), .capacity = (slots)
#define SPIN .wait = DX_WAIT_BUSY_SPIN
#define FIXED_SIZE .any_batch = true, .any_wait = true
#define FREE FIXED_SIZE, .any_size = true
#define PACED(ns) .pace_ns = (ns), .any_pace = true, .any_wait = true
#define TIMED .kind = DXI_BENCH_LATENCY
#define SHARED .check = DXI_BENCH_SUM_SHARED
#define RUNS(make, body) .open = dxi_bench_##make##_open, .thread = dxi_bench_##body##_thread
#define OWN(make, body) RUNS(make, body), .own_consumers = true
#define GRAPH RUNS(graph, graph)
#define FAR(threads) .far = (threads)
#define SPANS .spans = true, .apart = true
#define BESIDE_SPANS .apart = true

/* clang-format off */
const dxi_bench_scenario_t dxi_bench_scenarios[] = {
    {.name = "1p1c", .title = "one producer, one consumer",
     THREADS(1, 1), RING(1, 8, 65536), SPIN, FREE, GRAPH, FAR(1)},
    {.name = "1p1c-batch", .title = "the same, published 10 at a time",
     THREADS(1, 1), RING(10, 8, 65536), SPIN, FREE, GRAPH, FAR(1)},
    {.name = "1p1c-multi", .title = "the same as 1p1c on a ring for several producers",
     THREADS(1, 1), RING(1, 8, 65536), SPIN, FREE, GRAPH, FAR(1), .multi = true},
    {.name = "poller", .title = "one producer, one thread that polls",
     THREADS(1, 1), RING(1, 8, 65536), SPIN, FREE, OWN(poller, poller), FAR(1)},
    {.name = "long-array", .title = "events of 2048 words (16 KiB)",
     THREADS(1, 1), RING(1, 16384, 1024), SPIN, FIXED_SIZE, GRAPH},
    {.name = "block-256", .title = "events of 256 bytes",
     THREADS(1, 1), RING(1, 256, 65536), SPIN, FIXED_SIZE, GRAPH},
    {.name = "translator", .title = "one producer that publishes through a translator",
     THREADS(1, 1), RING(1, 8, 65536), SPIN, FREE, RUNS(graph, translator), FAR(1)},
    {.name = "raw", .title = "sequences only: claim, publish, wait, release",
     .check = DXI_BENCH_COUNT, THREADS(1, 1), RING(1, 8, 65536), SPIN, FIXED_SIZE,
     OWN(poller, raw), FAR(1)},
    {.name = "raw-batch", .title = "the same, 10 at a time",
     .check = DXI_BENCH_COUNT, THREADS(1, 1), RING(10, 8, 65536), SPIN, FIXED_SIZE,
     OWN(poller, raw)},
    {.name = "multicast", .title = "one producer, three consumers that each see all",
     THREADS(1, 3), RING(1, 8, 8192), SPIN, FREE, GRAPH},
    {.name = "pipeline3", .title = "one producer, three stages",
     .shape = DXI_BENCH_PIPELINE, THREADS(1, 3), RING(1, 8, 8192), SPIN, FREE, GRAPH},
    {.name = "diamond", .title = "one producer, two consumers, one behind both",
     .shape = DXI_BENCH_DIAMOND, THREADS(1, 3), RING(1, 8, 8192), SPIN, FREE, GRAPH},
    {.name = "2p1c", .title = "two producers, one consumer",
     THREADS(2, 1), RING(1, 8, 65536), SPIN, FREE, GRAPH, FAR(3)},
    {.name = "3p1c", .title = "three producers, one consumer",
     THREADS(3, 1), RING(1, 8, 65536), SPIN, FREE, GRAPH},
    {.name = "3p1c-batch", .title = "the same, 10 at a time",
     THREADS(3, 1), RING(10, 8, 65536), SPIN, FREE, GRAPH},
    {.name = "three-rings", .title = "three producers with a ring each, one thread polls all",
     SHARED, THREADS(3, 1), RING(1, 8, 65536), SPIN, FREE, OWN(three_rings, three_rings)},
    {.name = "pool-1p3w", .title = "one producer, a pool of three workers",
     .shape = DXI_BENCH_POOL, SHARED, THREADS(1, 3), RING(1, 8, 8192), SPIN, FREE, GRAPH},
    {.name = "pool-2p2w", .title = "two producers, a pool of two workers",
     .shape = DXI_BENCH_POOL, SHARED, THREADS(2, 2), RING(1, 8, 65536), SPIN, FREE, GRAPH},
    {.name = "keyed-1p3w", .title = "one producer, three workers, a key stays with its worker",
     .shape = DXI_BENCH_KEYED, SHARED, THREADS(1, 3), RING(1, 8, 8192), SPIN, FREE, GRAPH},
    {.name = "oversubscribed", .title = "4 threads per core: producers and a pool, half each",
     .shape = DXI_BENCH_POOL, SHARED, RING(1, 8, 65536), .wait = DX_WAIT_ADAPTIVE, FREE,
     .crowded = true, GRAPH},
    {.name = "pingpong", .title = "round trip over two rings",
     TIMED, THREADS(1, 1), RING(1, 8, 1024), SPIN, PACED(0), OWN(pingpong, pingpong), FAR(2)},
    {.name = "one-way", .title = "one event per pace, from its due time to its handler",
     TIMED, .check = DXI_BENCH_STAMPS, THREADS(1, 1), RING(1, 8, 1024), SPIN, PACED(1000),
     RUNS(stamped, paced), FAR(1)},
    {.name = "pipeline3-latency", .title = "one event per pace through three stages: the mean hop",
     TIMED, .shape = DXI_BENCH_PIPELINE, .check = DXI_BENCH_STAMPS, THREADS(1, 3), RING(1, 8, 1024),
     SPIN, PACED(1000), RUNS(stamped, paced)},
    {.name = "wakeup", .title = "from publication to a consumer that slept",
     TIMED, .check = DXI_BENCH_STAMPS, THREADS(1, 1), RING(1, 8, 1024), .wait = DX_WAIT_BLOCKING,
     PACED(100000), RUNS(stamped, wakeup), FAR(1)},
    {.name = "futex", .title = "a bare futex wake-up, to judge `wakeup` by",
     TIMED, .check = DXI_BENCH_STAMPS, THREADS(1, 1), RING(1, 8, 1024), .wait = DX_WAIT_BLOCKING,
     .pace_ns = 100000, .any_pace = true, OWN(futex, futex), FAR(1)},
    {.name = "churn", .title = "longest gap of a busy producer while a consumer joins and leaves",
     TIMED, .check = DXI_BENCH_STAMPS, THREADS(1, 1), RING(1, 8, 65536), SPIN,
     OWN(churn, churn)},
    {.name = "churn-still", .title = "the same gap while nothing changes, to judge `churn` by",
     TIMED, .check = DXI_BENCH_STAMPS, THREADS(1, 1), RING(1, 8, 65536), SPIN,
     OWN(churn, churn_still)},
    {.name = "idle", .title = "CPU time of a consumer that waits for nothing",
     .kind = DXI_BENCH_IDLE, THREADS(1, 1), RING(1, 8, 1024), .wait = DX_WAIT_BLOCKING,
     .any_wait = true, .crowded = true, RUNS(graph, idle), FAR(1)},
    {.name = "guard", .title = "1p1c between processes, while others are attached and idle",
     THREADS(1, 1), RING(1, 8, 65536), SPIN, FREE, GRAPH, FAR(1), .any_attached = true},
    {.name = "guard-idle", .title = "CPU time of one attached process in which nothing happens",
     .kind = DXI_BENCH_IDLE, THREADS(1, 1), RING(1, 8, 1024), .wait = DX_WAIT_BLOCKING,
     .any_wait = true, .crowded = true, RUNS(graph, idle), FAR(1), .any_attached = true},
    {.name = "span-32", .title = "events of any size: payloads of 32 bytes",
     THREADS(1, 1), RING(1, 32, 65536), SPIN, FREE, SPANS, OWN(poller, spans)},
    {.name = "span-56", .title = "payloads of 56 bytes, 64 with the header",
     THREADS(1, 1), RING(1, 56, 65536), SPIN, FREE, SPANS, OWN(poller, spans)},
    {.name = "slot-64", .title = "slots of 64 bytes, to judge span-56 by",
     THREADS(1, 1), RING(1, 64, 65536), SPIN, FREE, BESIDE_SPANS, OWN(poller, spans)},
    {.name = "span-1k", .title = "payloads of 1,024 bytes",
     THREADS(1, 1), RING(1, 1024, 1024), SPIN, FREE, SPANS, OWN(poller, spans)},
    {.name = "slot-1k", .title = "slots of 1,024 bytes, in as much memory",
     THREADS(1, 1), RING(1, 1024, 2048), SPIN, FREE, BESIDE_SPANS, OWN(poller, spans)},
    {.name = "copy-1k", .title = "memcpy() of 1,024 bytes, from and to as much memory, one thread",
     .check = DXI_BENCH_COUNT, THREADS(1, 1), RING(1, 1024, 2048), SPIN, BESIDE_SPANS,
     OWN(copy, copy)},
    {.name = "span-pingpong", .title = "round trip of payloads of 32 bytes over two rings",
     TIMED, THREADS(1, 1), RING(1, 32, 1024), SPIN, PACED(0), SPANS, OWN(pingpong, span_pingpong)},
    {.name = "slot-pingpong", .title = "the same over slots of 32 bytes",
     TIMED, THREADS(1, 1), RING(1, 32, 1024), SPIN, PACED(0), BESIDE_SPANS,
     OWN(pingpong, span_pingpong)},
};
/* clang-format on */
const size_t dxi_bench_scenario_count = sizeof dxi_bench_scenarios / sizeof dxi_bench_scenarios[0];

const dxi_bench_scenario_t *dxi_bench_scenario_find(const char *name)
{
    for (size_t i = 0; i < dxi_bench_scenario_count; i++) {
        if (strcmp(name, dxi_bench_scenarios[i].name) == 0) {
            return &dxi_bench_scenarios[i];
        }
    }
    return NULL;
}

void dxi_bench_params_default(const dxi_bench_scenario_t *scenario, dxi_bench_params_t *params_out)
{
    *params_out = (dxi_bench_params_t){
        .events = 100000,
        .warmup = 10000,
        .batch = scenario->batch,
        .event_bytes = scenario->event_bytes,
        .capacity = scenario->capacity,
        .producers = 4,
        .wait = scenario->wait,
        .pace_ns = scenario->pace_ns,
        .shared = scenario->any_attached,
    };
    if (scenario->kind == DXI_BENCH_IDLE) {
        params_out->events = 1000;
        params_out->warmup = 1;
    }
}

/* What a scenario fixes must stay as it is. */
static int fixed_check(const dxi_bench_scenario_t *s, const dxi_bench_params_t *p,
                       dx_error_t *error)
{
    if (!s->any_batch && p->batch != s->batch) {
        return dxi_fail(error, DX_EINVAL, "batch is %u, scenario %s has %u only", p->batch, s->name,
                        s->batch);
    }
    if (!s->any_size && p->event_bytes != s->event_bytes) {
        return dxi_fail(error, DX_EINVAL, "event-bytes is %u, scenario %s has %u only",
                        p->event_bytes, s->name, s->event_bytes);
    }
    if (!s->any_wait && p->wait != s->wait) {
        return dxi_fail(error, DX_EINVAL, "wait is %s, scenario %s has %s only",
                        dx_wait_kind_name(p->wait), s->name, dx_wait_kind_name(s->wait));
    }
    if (!s->any_pace && p->pace_ns != s->pace_ns) {
        return dxi_fail(error, DX_EINVAL, "pace-ns is %lld, scenario %s is not paced",
                        (long long)p->pace_ns, s->name);
    }
    if (p->shared && s->far == 0) {
        return dxi_fail(error, DX_EINVAL, "scenario %s does not run between processes", s->name);
    }
    if (!s->any_attached && p->attached != 0) {
        return dxi_fail(error, DX_EINVAL, "attached is %u, scenario %s has none", p->attached,
                        s->name);
    }
    if (s->pace_ns != 0 && p->pace_ns == 0) {
        return dxi_fail(error, DX_EINVAL, "pace-ns is 0, scenario %s must be paced", s->name);
    }
    return DX_OK;
}

int dxi_bench_params_check(const dxi_bench_scenario_t *scenario, const dxi_bench_params_t *params,
                           dx_error_t *error)
{
    const dxi_bench_params_t *const p = params;
    int result =
        dxi_options_multiple(error, "event-bytes", p->event_bytes, 8, 8, DX_RING_EVENT_BYTES_MAX);
    if (result == DX_OK) {
        result = dxi_options_power_of_two(error, "capacity", p->capacity, DX_RING_SLOT_COUNT_MIN,
                                          DX_RING_SLOT_COUNT_MAX);
    }
    if (result == DX_OK && (p->batch < 1 || p->batch > p->capacity)) {
        result = dxi_fail(error, DX_EINVAL, "batch is %u, must be from 1 to the capacity, %u",
                          p->batch, p->capacity);
    }
    if (result == DX_OK) {
        result = dxi_options_range(error, "events", (int64_t)p->events, 1,
                                   (int64_t)DXI_BENCH_EVENTS_MAX);
    }
    if (result == DX_OK) {
        result = dxi_options_range(error, "warmup", (int64_t)p->warmup, 0,
                                   (int64_t)DXI_BENCH_EVENTS_MAX);
    }
    if (result == DX_OK) {
        result = dxi_options_range(error, "producers", p->producers, 1, DXI_BENCH_CONSUMERS_MAX);
    }
    if (result == DX_OK) {
        result = dxi_options_range(error, "pace-ns", p->pace_ns, 0, DXI_BENCH_PACE_NS_MAX);
    }
    if (result == DX_OK) {
        result = dxi_options_range(error, "attached", p->attached, 0, DXI_BENCH_ATTACHED_MAX);
    }
    return result == DX_OK ? fixed_check(scenario, p, error) : result;
}

uint32_t dxi_bench_thread_count(const dxi_bench_scenario_t *scenario,
                                const dxi_bench_params_t *params)
{
    const uint32_t producers = scenario->producers != 0 ? scenario->producers : params->producers;
    return producers + (scenario->consumers != 0 ? scenario->consumers : producers);
}
