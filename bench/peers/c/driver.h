/* driver.h - every scenario over one kind of queue, for a program that defined the queue first.
 *
 * DESIGN
 *
 * Included once per program (it is a template: C or C++). Before it, the program defines
 *
 *     queue_t, queue_create(capacity), queue_destroy(queue)
 *     queue_push(queue, values, n) -> pushed     one producer; 0 when full, never waits ...
 *     queue_pop(queue, values, max) -> popped    one consumer; 0 when empty, never waits ...
 *     QUEUE_PEER                                 the name in the results
 *     QUEUE_BATCHES                              1 when push and pop take more than one value
 *     QUEUE_BLOCKS                               1 ... except when this is set: they wait inside
 *     QUEUE_SHARED                               1 when these exist too, for many threads:
 *     queue_push_shared, queue_pop_shared
 *
 * A disruptor lets consumers follow each other on one ring. A queue cannot, so multicast, pipeline
 * and diamond are built of one single-producer single-consumer queue per arrow:
 *
 *     1p1c        P -0-> C                 pipeline3   P -0-> A -1-> B -2-> C
 *     multicast   P -0-> A                 diamond     P -0-> A -2-> C
 *                   -1-> B                               -1-> B -3-> C
 *                   -2-> C
 *
 * Values are 1 .. n (or a time stamp, in the latency scenarios), so the sum tells a lost, doubled
 * or torn value. The loops are inlined with a constant number of inputs and outputs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef PEER_DRIVER_H
#define PEER_DRIVER_H

#include <string.h>

#include "peer.h"

#define DRIVER_QUEUES 4
#define DRIVER_PACE_NS 1000         /* pipeline3-latency: one event each microsecond */
#define DRIVER_SLEEP_PACE_NS 100000 /* wakeup: long enough for the consumer to be asleep */

/* What one thread found; each on its own lines. */
typedef struct driver_tally {
    uint64_t sum;
    uint64_t batches;
    uint64_t mismatches;
    char pad[PEER_FALSE_SHARING_BYTES - 3 * sizeof(uint64_t)];
} driver_tally_t;

typedef struct driver {
    const peer_options_t *options;
    uint64_t events; /* of this run: the warm-up or the measured one */
    uint32_t producers;
    uint32_t consumers;
    queue_t *queues[DRIVER_QUEUES];
    driver_tally_t tallies[PEER_THREADS_MAX];
    peer_histogram_t latency;
    char pad[PEER_FALSE_SHARING_BYTES];
    uint64_t acknowledged; /* wakeup: atomic, count of events the consumer has handled */
} driver_t;

static driver_t driver;

PEER_INLINE void push_all(queue_t *queue, const uint64_t *values, uint32_t n, peer_wait_t wait)
{
    for (uint32_t pushed = 0, spins = 0; pushed < n;) {
        const uint32_t now = queue_push(queue, values + pushed, n - pushed);
        pushed += now;
        if (!QUEUE_BLOCKS && now == 0) {
            peer_wait(wait, &spins);
        }
    }
}

PEER_INLINE uint32_t pop_some(queue_t *queue, uint64_t *values, uint32_t max, peer_wait_t wait)
{
    for (uint32_t spins = 0;;) {
        const uint32_t n = queue_pop(queue, values, max);
        if (QUEUE_BLOCKS || n != 0) {
            return n;
        }
        peer_wait(wait, &spins);
    }
}

PEER_INLINE void pop_all(queue_t *queue, uint64_t *values, uint32_t n, peer_wait_t wait)
{
    for (uint32_t popped = 0; popped < n;) {
        popped += pop_some(queue, values + popped, n - popped, wait);
    }
}

/* Pushes 1 .. events into the first `outputs` queues. */
PEER_INLINE void produce(driver_t *d, const uint32_t batch, const uint32_t outputs)
{
    const peer_wait_t wait = d->options->wait;
    const uint64_t events = d->events;
    uint64_t values[PEER_BATCH_MAX];
    for (uint64_t sent = 0; sent < events; sent += batch) {
        for (uint32_t i = 0; i < batch; i++) {
            values[i] = sent + i + 1;
        }
        for (uint32_t out = 0; out < outputs; out++) {
            push_all(d->queues[out], values, batch, wait);
        }
    }
}

/* Takes every event from one or two queues, and hands it on when `out` is not NULL. */
PEER_INLINE void stage(driver_t *d, uint32_t thread, const uint32_t batch, queue_t *in,
                       queue_t *in_2, queue_t *out)
{
    const peer_wait_t wait = d->options->wait;
    const uint64_t events = d->events;
    uint64_t values[PEER_BATCH_MAX];
    uint64_t others[PEER_BATCH_MAX];
    uint64_t sum = 0, batches = 0, mismatches = 0;
    for (uint64_t taken = 0; taken < events;) {
        const uint32_t n = pop_some(in, values, batch, wait);
        if (in_2 != NULL) {
            pop_all(in_2, others, n, wait);
            for (uint32_t i = 0; i < n; i++) {
                mismatches += values[i] != others[i];
            }
        }
        for (uint32_t i = 0; i < n; i++) {
            sum += values[i];
        }
        if (out != NULL) {
            push_all(out, values, n, wait);
        }
        taken += n;
        batches++;
    }
    d->tallies[thread].sum = sum;
    d->tallies[thread].batches = batches;
    d->tallies[thread].mismatches = mismatches;
}

/* One body per scenario: `batch` 1 is a constant, so that the inner loops vanish. */
#define DRIVER_BODY(name, outputs, ...)                                                            \
    PEER_INLINE void name##_batched(driver_t *d, uint32_t thread, const uint32_t batch)            \
    {                                                                                              \
        queue_t *const *const q = d->queues;                                                       \
        (void)q;                                                                                   \
        switch (thread) {                                                                          \
        case 0:                                                                                    \
            produce(d, batch, outputs);                                                            \
            break;                                                                                 \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }                                                                                              \
    static void name##_body(void *context, uint32_t thread)                                        \
    {                                                                                              \
        driver_t *const d = (driver_t *)context;                                                   \
        if (!QUEUE_BATCHES || d->options->batch == 1) {                                            \
            name##_batched(d, thread, 1);                                                          \
        } else {                                                                                   \
            name##_batched(d, thread, d->options->batch);                                          \
        }                                                                                          \
    }
#define DRIVER_STAGE(index, in, in_2, out)                                                         \
    case index:                                                                                    \
        stage(d, thread, batch, in, in_2, out);                                                    \
        break;

DRIVER_BODY(unicast, 1, DRIVER_STAGE(1, q[0], NULL, NULL))
DRIVER_BODY(multicast, 3,
            DRIVER_STAGE(1, q[0], NULL, NULL) DRIVER_STAGE(2, q[1], NULL, NULL)
                DRIVER_STAGE(3, q[2], NULL, NULL))
DRIVER_BODY(pipeline, 1,
            DRIVER_STAGE(1, q[0], NULL, q[1]) DRIVER_STAGE(2, q[1], NULL, q[2])
                DRIVER_STAGE(3, q[2], NULL, NULL))
DRIVER_BODY(diamond, 2,
            DRIVER_STAGE(1, q[0], NULL, q[2]) DRIVER_STAGE(2, q[1], NULL, q[3])
                DRIVER_STAGE(3, q[2], q[3], NULL))

#if QUEUE_SHARED
/* Threads 0 .. producers - 1 push their share of 1 .. events, the others pop an equal share. */
PEER_INLINE void shared_batched(driver_t *d, uint32_t thread, const uint32_t batch)
{
    const peer_wait_t wait = d->options->wait;
    queue_t *const queue = d->queues[0];
    uint64_t values[PEER_BATCH_MAX];
    if (thread < d->producers) {
        const uint64_t share = d->events / d->producers;
        const uint64_t first = share * thread + 1;
        for (uint64_t sent = 0; sent < share; sent += batch) {
            for (uint32_t i = 0; i < batch; i++) {
                values[i] = first + sent + i;
            }
            for (uint32_t pushed = 0, spins = 0; pushed < batch;) {
                const uint32_t now = queue_push_shared(queue, values + pushed, batch - pushed);
                pushed += now;
                if (!QUEUE_BLOCKS && now == 0) {
                    peer_wait(wait, &spins);
                }
            }
        }
        return;
    }
    uint64_t sum = 0, batches = 0;
    uint32_t spins = 0;
    for (uint64_t left = d->events / d->consumers; left != 0;) {
        const uint32_t max = left < batch ? (uint32_t)left : batch;
        const uint32_t n = queue_pop_shared(queue, values, max);
        if (!QUEUE_BLOCKS && n == 0) {
            peer_wait(wait, &spins);
            continue;
        }
        spins = 0;
        for (uint32_t i = 0; i < n; i++) {
            sum += values[i];
        }
        left -= n;
        batches++;
    }
    d->tallies[thread].sum = sum;
    d->tallies[thread].batches = batches;
}

static void shared_body(void *context, uint32_t thread)
{
    driver_t *const d = (driver_t *)context;
    if (!QUEUE_BATCHES || d->options->batch == 1) {
        shared_batched(d, thread, 1);
    } else {
        shared_batched(d, thread, d->options->batch);
    }
}
#endif

/* Thread 0 sends and times the round trip, thread 1 returns what it gets. */
static void pingpong_body(void *context, uint32_t thread)
{
    driver_t *const d = (driver_t *)context;
    const peer_wait_t wait = d->options->wait;
    uint64_t sum = 0;
    for (uint64_t i = 1; i <= d->events; i++) {
        uint64_t value = i;
        if (thread == 1) {
            pop_some(d->queues[0], &value, 1, wait);
            push_all(d->queues[1], &value, 1, wait);
        } else {
            const uint64_t from = peer_now_ns();
            push_all(d->queues[0], &value, 1, wait);
            pop_some(d->queues[1], &value, 1, wait);
            peer_histogram_record(&d->latency, peer_now_ns() - from);
        }
        sum += value;
    }
    d->tallies[thread].sum = sum;
}

/* A paced producer and three stages: the mean hop is a third of the way. */
static void pipeline_latency_body(void *context, uint32_t thread)
{
    driver_t *const d = (driver_t *)context;
    const peer_wait_t wait = d->options->wait;
    uint64_t sum = 0;
    uint64_t deadline = peer_now_ns();
    for (uint64_t i = 0; i < d->events; i++) {
        uint64_t stamp;
        if (thread == 0) {
            deadline += DRIVER_PACE_NS;
            peer_pace_until(deadline);
            stamp = peer_now_ns();
        } else {
            pop_some(d->queues[thread - 1], &stamp, 1, wait);
        }
        if (thread < 3) {
            push_all(d->queues[thread], &stamp, 1, wait);
        } else {
            peer_histogram_record(&d->latency, (peer_now_ns() - stamp) / 3);
        }
        sum += stamp;
    }
    d->tallies[thread].sum = sum;
}

/* The producer publishes only when the consumer has been idle for long enough to sleep. */
static void wakeup_body(void *context, uint32_t thread)
{
    driver_t *const d = (driver_t *)context;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < d->events; i++) {
        uint64_t stamp;
        if (thread == 0) {
            while (__atomic_load_n(&d->acknowledged, __ATOMIC_ACQUIRE) != i) {
                peer_cpu_relax();
            }
            peer_pace_until(peer_now_ns() + DRIVER_SLEEP_PACE_NS);
            stamp = peer_now_ns();
            push_all(d->queues[0], &stamp, 1, d->options->wait);
        } else {
            pop_some(d->queues[0], &stamp, 1, d->options->wait);
            peer_histogram_record(&d->latency, peer_now_ns() - stamp);
            __atomic_store_n(&d->acknowledged, i + 1, __ATOMIC_RELEASE);
        }
        sum += stamp;
    }
    d->tallies[thread].sum = sum;
}

typedef struct driver_scenario {
    const char *name;
    void (*body)(void *context, uint32_t thread);
    uint32_t producers; /* 0: --producers, and as many consumers */
    uint32_t consumers;
    bool competing; /* each event goes to one of the consumers, not to all of them */
    bool latency;
    bool supported;
} driver_scenario_t;

static const driver_scenario_t driver_scenarios[] = {
    {"1p1c", unicast_body, 1, 1, false, false, true},
    {"multicast", multicast_body, 1, 3, false, false, true},
    {"pipeline3", pipeline_body, 1, 3, false, false, true},
    {"diamond", diamond_body, 1, 3, false, false, true},
#if QUEUE_SHARED
    {"2p1c", shared_body, 2, 1, true, false, true},
    {"3p1c", shared_body, 3, 1, true, false, true},
    {"oversubscribed", shared_body, 0, 0, true, false, true},
#endif
    {"pingpong", pingpong_body, 1, 1, false, true, true},
    {"pipeline3-latency", pipeline_latency_body, 1, 3, false, true, true},
    {"wakeup", wakeup_body, 1, 1, false, true, QUEUE_BLOCKS},
};

/* Whether every consumer of this run saw what it should have seen. */
static bool driver_verified(const driver_scenario_t *scenario)
{
    const uint32_t threads = driver.producers + driver.consumers;
    const bool stamped = scenario->body == pipeline_latency_body || scenario->body == wakeup_body;
    const uint64_t expected = stamped ? driver.tallies[0].sum : peer_expected_sum(driver.events);
    uint64_t sum = 0;
    for (uint32_t i = driver.producers; i < threads; i++) {
        sum += driver.tallies[i].sum;
        if (driver.tallies[i].mismatches != 0) {
            return false;
        }
        if (!scenario->competing && driver.tallies[i].sum != expected) {
            return false;
        }
    }
    return !scenario->competing || sum == expected;
}

static bool driver_run(const driver_scenario_t *scenario, uint64_t events,
                       peer_result_t *result_out)
{
    const peer_options_t *const o = driver.options;
    const uint64_t unit = (uint64_t)o->batch * driver.producers * driver.consumers;
    driver.events = (events + unit - 1) / unit * unit;
    driver.acknowledged = 0;
    peer_histogram_clear(&driver.latency);
    const uint32_t threads = driver.producers + driver.consumers;
    const double seconds = peer_run_threads(o, threads, scenario->body, &driver);
    uint64_t batches = 0;
    for (uint32_t i = driver.producers; i < threads; i++) {
        batches += driver.tallies[i].batches;
    }
    peer_result_t result;
    memset(&result, 0, sizeof result);
    result.events = driver.events;
    result.handled = driver.events * (scenario->competing ? 1 : driver.consumers);
    result.batches = batches;
    result.producers = driver.producers;
    result.consumers = driver.consumers;
    result.seconds = seconds;
    result.checksum_ok = driver_verified(scenario);
    result.latency = scenario->latency ? &driver.latency : NULL;
    *result_out = result;
    return result.checksum_ok;
}

static int driver_main(int argc, char **argv)
{
    static peer_options_t options;
    peer_options_parse(argc, argv, &options);
    driver.options = &options;
    const driver_scenario_t *scenario = NULL;
    for (uint32_t i = 0; i < sizeof driver_scenarios / sizeof driver_scenarios[0]; i++) {
        if (peer_scenario_is(&options, driver_scenarios[i].name)) {
            scenario = &driver_scenarios[i];
        }
    }
    if (scenario == NULL || !scenario->supported || (options.batch > 1 && !QUEUE_BATCHES) ||
        (options.wait == PEER_WAIT_BLOCKING) != QUEUE_BLOCKS) {
        peer_unsupported();
    }
    const uint32_t pairs = options.producers != 0 ? options.producers : 4;
    driver.producers = scenario->producers != 0 ? scenario->producers : pairs;
    driver.consumers = scenario->consumers != 0 ? scenario->consumers : pairs;
    for (uint32_t i = 0; i < DRIVER_QUEUES; i++) {
        driver.queues[i] = queue_create(options.capacity);
    }
    peer_result_t result;
    if (options.warmup != 0 && !driver_run(scenario, options.warmup, &result)) {
        return peer_report(&options, QUEUE_PEER, &result);
    }
    driver_run(scenario, options.events, &result);
    for (uint32_t i = 0; i < DRIVER_QUEUES; i++) {
        queue_destroy(driver.queues[i]);
    }
    return peer_report(&options, QUEUE_PEER, &result);
}
#endif
