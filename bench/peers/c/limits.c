/* limits.c - what the machine allows: the least code that still moves events between two threads.
 *
 * QUESTION   How close is a real ring to a hand-written loop that has nothing else to do?
 *
 * VARIANTS (--variant), all one producer and one consumer
 *
 *   raw-one-line     pingpong   one atomic word, both threads write it in turn
 *   raw-two-lines    pingpong   one atomic word for each direction, on its own line
 *   index-ring       1p1c, pingpong   two counters, each thread caches the other's; the consumer
 *                               takes all it sees
 *   index-distance   1p1c       the same, but the consumer stays DISTANCE events behind a busy
 *                               producer, so that it does not touch the line being written; it
 *                               closes up as soon as the producer has not moved for IDLE_POLLS
 *   stamped-slot     1p1c       each slot carries its sequence; no shared counter of the producer
 *   futex            wakeup     a word and FUTEX_WAIT / FUTEX_WAKE, nothing else
 *
 * NOT MEASURED   More than two threads, events above 8 bytes. These rings skip everything a
 * product needs (other consumers, shutdown, statistics): they are a bar, not a competitor.
 *
 * MEMORY ORDERING   Publishing is a release store, pairing with the acquire load of the other
 * thread's poll, in both directions (the slot's content, and the slot's reuse). `published` and
 * `consumed` each have one writer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "peer.h"

#define LINE _Alignas(PEER_FALSE_SHARING_BYTES)
#define DISTANCE 32
#define IDLE_POLLS 8
#define STAMP_RELEASE_EVERY 64 /* stamped-slot: the consumer returns slots in groups */
#define SLEEP_PACE_NS 100000   /* futex: long enough for the consumer to be asleep */

typedef struct ring {
    LINE uint64_t capacity;
    uint64_t *slots;
    LINE uint64_t consumed_cache;  /* producer's */
    LINE uint64_t published_cache; /* consumer's */
    LINE _Atomic uint64_t published;
    LINE _Atomic uint64_t consumed;
} ring_t;

typedef struct stamped_slot {
    _Atomic uint64_t stamp; /* sequence + 1 once readable */
    uint64_t value;
} stamped_slot_t;

typedef struct limits {
    const peer_options_t *options;
    uint64_t events;
    ring_t rings[2];
    stamped_slot_t *stamped;
    LINE _Atomic uint64_t ping;
    LINE _Atomic uint64_t pong;
    LINE _Atomic uint32_t futex_word;
    uint64_t futex_stamp;
    LINE uint64_t sums[2][PEER_FALSE_SHARING_BYTES / sizeof(uint64_t)];
    uint64_t batches;
    peer_histogram_t latency;
} limits_t;

static limits_t limits;

static void ring_init(ring_t *ring, uint64_t capacity)
{
    ring->capacity = capacity;
    ring->slots = peer_allocate(capacity * sizeof ring->slots[0]);
}

/* Waits until `n` slots after `sequence` are free. */
PEER_INLINE void ring_claim(ring_t *ring, uint64_t sequence, uint32_t n)
{
    while (sequence + n - ring->consumed_cache > ring->capacity) {
        ring->consumed_cache = atomic_load_explicit(&ring->consumed, memory_order_acquire);
    }
}

PEER_INLINE void ring_publish(ring_t *ring, uint64_t end)
{
    atomic_store_explicit(&ring->published, end, memory_order_release);
}

/* Index rings --------------------------------------------------------------------------------- */

PEER_INLINE void ring_produce(limits_t *l, const uint32_t batch)
{
    ring_t *const ring = &l->rings[0];
    const uint64_t mask = ring->capacity - 1;
    uint64_t *const slots = ring->slots;
    const uint64_t begin = atomic_load_explicit(&ring->published, memory_order_relaxed);
    const uint64_t end = begin + l->events;
    for (uint64_t sequence = begin; sequence < end; sequence += batch) {
        ring_claim(ring, sequence, batch);
        for (uint32_t i = 0; i < batch; i++) {
            slots[(sequence + i) & mask] = sequence + i - begin + 1;
        }
        ring_publish(ring, sequence + batch);
    }
}

/* How far the consumer may read now: everything, or up to `distance` behind a busy producer. */
PEER_INLINE uint64_t ring_readable(ring_t *ring, uint64_t consumed, const uint64_t distance)
{
    uint64_t last = 0;
    for (uint32_t idle = 0;;) {
        const uint64_t published = atomic_load_explicit(&ring->published, memory_order_acquire);
        if (published > consumed + distance) {
            return published - distance;
        }
        idle = published == last ? idle + 1 : 0;
        last = published;
        if (published > consumed && (distance == 0 || idle >= IDLE_POLLS)) {
            return published;
        }
        if (distance != 0) {
            peer_cpu_relax();
        }
    }
}

PEER_INLINE void ring_consume(limits_t *l, const uint64_t distance)
{
    ring_t *const ring = &l->rings[0];
    const uint64_t mask = ring->capacity - 1;
    const uint64_t *const slots = ring->slots;
    uint64_t consumed = atomic_load_explicit(&ring->consumed, memory_order_relaxed);
    const uint64_t end = consumed + l->events;
    uint64_t sum = 0, batches = 0;
    while (consumed < end) {
        const uint64_t readable = ring_readable(ring, consumed, distance);
        for (; consumed < readable; consumed++) {
            sum += slots[consumed & mask];
        }
        atomic_store_explicit(&ring->consumed, consumed, memory_order_release);
        batches++;
    }
    l->sums[1][0] = sum;
    l->batches = batches;
}

static void index_body(void *context, uint32_t thread)
{
    limits_t *const l = context;
    if (thread == 1) {
        ring_consume(l, 0);
    } else if (l->options->batch == 1) {
        ring_produce(l, 1);
    } else {
        ring_produce(l, l->options->batch);
    }
}

static void distance_body(void *context, uint32_t thread)
{
    limits_t *const l = context;
    if (thread == 1) {
        ring_consume(l, DISTANCE);
    } else {
        index_body(context, thread);
    }
}

PEER_INLINE void ring_send(ring_t *ring, uint64_t sequence, uint64_t value)
{
    ring_claim(ring, sequence, 1);
    ring->slots[sequence & (ring->capacity - 1)] = value;
    ring_publish(ring, sequence + 1);
}

PEER_INLINE uint64_t ring_receive(ring_t *ring, uint64_t sequence)
{
    while (atomic_load_explicit(&ring->published, memory_order_acquire) == sequence) {
    }
    const uint64_t value = ring->slots[sequence & (ring->capacity - 1)];
    atomic_store_explicit(&ring->consumed, sequence + 1, memory_order_release);
    return value;
}

static void index_pingpong_body(void *context, uint32_t thread)
{
    limits_t *const l = context;
    const uint64_t begin = atomic_load_explicit(&l->rings[thread].published, memory_order_relaxed);
    uint64_t sum = 0;
    for (uint64_t i = 0; i < l->events; i++) {
        if (thread == 1) {
            const uint64_t value = ring_receive(&l->rings[0], begin + i);
            ring_send(&l->rings[1], begin + i, value);
        } else {
            const uint64_t from = peer_now_ns();
            ring_send(&l->rings[0], begin + i, i + 1);
            sum += ring_receive(&l->rings[1], begin + i);
            peer_histogram_record(&l->latency, peer_now_ns() - from);
        }
    }
    l->sums[thread][0] = sum;
}

/* Stamped slots ------------------------------------------------------------------------------- */

/* The producer learns of free slots through `consumed` of ring 0, and needs to look once a lap. */
static void stamped_produce(limits_t *l)
{
    ring_t *const ring = &l->rings[0];
    const uint64_t mask = ring->capacity - 1;
    const uint64_t begin = ring->published; /* private here: only this thread uses it */
    for (uint64_t sequence = begin; sequence < begin + l->events; sequence++) {
        ring_claim(ring, sequence, 1);
        stamped_slot_t *const slot = &l->stamped[sequence & mask];
        slot->value = sequence - begin + 1;
        atomic_store_explicit(&slot->stamp, sequence + 1, memory_order_release);
    }
    ring->published = begin + l->events;
}

static void stamped_consume(limits_t *l)
{
    ring_t *const ring = &l->rings[0];
    const uint64_t mask = ring->capacity - 1;
    const uint64_t begin = ring->consumed;
    const uint64_t end = begin + l->events;
    uint64_t sum = 0;
    for (uint64_t sequence = begin; sequence < end; sequence++) {
        const stamped_slot_t *const slot = &l->stamped[sequence & mask];
        while (atomic_load_explicit(&slot->stamp, memory_order_acquire) != sequence + 1) {
            peer_cpu_relax();
        }
        sum += slot->value;
        if (sequence % STAMP_RELEASE_EVERY == STAMP_RELEASE_EVERY - 1) {
            atomic_store_explicit(&ring->consumed, sequence + 1, memory_order_release);
        }
    }
    atomic_store_explicit(&ring->consumed, end, memory_order_release);
    l->sums[1][0] = sum;
}

static void stamped_body(void *context, uint32_t thread)
{
    if (thread == 0) {
        stamped_produce(context);
    } else {
        stamped_consume(context);
    }
}

/* Raw words ----------------------------------------------------------------------------------- */

PEER_INLINE void word_await(_Atomic uint64_t *word, uint64_t value)
{
    while (atomic_load_explicit(word, memory_order_acquire) != value) {
    }
}

/* `ping` and `pong` may be the same word: thread 0 writes odd values, thread 1 even ones. */
PEER_INLINE void raw_pingpong(limits_t *l, uint32_t thread, _Atomic uint64_t *ping,
                              _Atomic uint64_t *pong)
{
    uint64_t sum = 0;
    for (uint64_t i = 1; i <= l->events; i++) {
        if (thread == 1) {
            word_await(ping, 2 * i - 1);
            atomic_store_explicit(pong, 2 * i, memory_order_release);
        } else {
            const uint64_t from = peer_now_ns();
            atomic_store_explicit(ping, 2 * i - 1, memory_order_release);
            word_await(pong, 2 * i);
            peer_histogram_record(&l->latency, peer_now_ns() - from);
            sum += i;
        }
    }
    l->sums[thread][0] = sum;
}

static void raw_one_line_body(void *context, uint32_t thread)
{
    limits_t *const l = context;
    raw_pingpong(l, thread, &l->ping, &l->ping);
}

static void raw_two_lines_body(void *context, uint32_t thread)
{
    limits_t *const l = context;
    raw_pingpong(l, thread, &l->ping, &l->pong);
}

/* Futex --------------------------------------------------------------------------------------- */

static void futex_body(void *context, uint32_t thread)
{
    limits_t *const l = context;
    for (uint64_t i = 0; i < l->events; i++) {
        if (thread == 0) {
            word_await(&l->pong, i);
            peer_pace_until(peer_now_ns() + SLEEP_PACE_NS);
            l->futex_stamp = peer_now_ns();
            l->sums[0][0] += l->futex_stamp;
            atomic_store_explicit(&l->futex_word, (uint32_t)i + 1, memory_order_release);
            syscall(SYS_futex, &l->futex_word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
        } else {
            while (atomic_load_explicit(&l->futex_word, memory_order_acquire) == (uint32_t)i) {
                syscall(SYS_futex, &l->futex_word, FUTEX_WAIT_PRIVATE, (uint32_t)i, NULL, NULL, 0);
            }
            peer_histogram_record(&l->latency, peer_now_ns() - l->futex_stamp);
            l->sums[1][0] += l->futex_stamp;
            atomic_store_explicit(&l->pong, i + 1, memory_order_release);
        }
    }
}

/* Choice -------------------------------------------------------------------------------------- */

typedef enum verify { VERIFY_CONSUMER, VERIFY_ROUND_TRIP, VERIFY_STAMPS } verify_t;

typedef struct limit {
    const char *variant;
    const char *scenario;
    void (*body)(void *context, uint32_t thread);
    bool batches;
    verify_t verify;
} limit_t;

static const limit_t limit_table[] = {
    {"raw-one-line", "pingpong", raw_one_line_body, false, VERIFY_ROUND_TRIP},
    {"raw-two-lines", "pingpong", raw_two_lines_body, false, VERIFY_ROUND_TRIP},
    {"index-ring", "pingpong", index_pingpong_body, false, VERIFY_ROUND_TRIP},
    {"index-ring", "1p1c", index_body, true, VERIFY_CONSUMER},
    {"index-distance", "1p1c", distance_body, true, VERIFY_CONSUMER},
    {"stamped-slot", "1p1c", stamped_body, false, VERIFY_CONSUMER},
    {"futex", "wakeup", futex_body, false, VERIFY_STAMPS},
};

static const limit_t *limit_find(const peer_options_t *options)
{
    for (uint32_t i = 0; i < sizeof limit_table / sizeof limit_table[0]; i++) {
        const limit_t *const limit = &limit_table[i];
        if (options->variant != NULL && strcmp(options->variant, limit->variant) == 0 &&
            peer_scenario_is(options, limit->scenario) && (options->batch == 1 || limit->batches)) {
            return limit;
        }
    }
    peer_unsupported();
}

static bool limit_run(const limit_t *limit, uint64_t events, peer_result_t *result_out)
{
    limits_t *const l = &limits;
    const uint64_t batch = l->options->batch;
    l->events = (events + batch - 1) / batch * batch;
    l->batches = 0;
    memset(l->sums, 0, sizeof l->sums);
    atomic_store(&l->ping, 0);
    atomic_store(&l->pong, 0);
    atomic_store(&l->futex_word, 0);
    peer_histogram_clear(&l->latency);
    const double seconds = peer_run_threads(l->options, 2, limit->body, l);
    const uint64_t expected =
        limit->verify == VERIFY_STAMPS ? l->sums[0][0] : peer_expected_sum(l->events);
    const uint64_t sum = limit->verify == VERIFY_ROUND_TRIP ? l->sums[0][0] : l->sums[1][0];
    *result_out = (peer_result_t){
        .events = l->events,
        .handled = l->events,
        .batches = l->batches,
        .producers = 1,
        .consumers = 1,
        .seconds = seconds,
        .checksum_ok = sum == expected,
        .latency = limit->verify == VERIFY_CONSUMER ? NULL : &l->latency,
    };
    return result_out->checksum_ok;
}

int main(int argc, char **argv)
{
    peer_options_t options;
    peer_options_parse(argc, argv, &options);
    const limit_t *const limit = limit_find(&options);
    limits.options = &options;
    ring_init(&limits.rings[0], options.capacity);
    ring_init(&limits.rings[1], options.capacity);
    limits.stamped = peer_allocate(options.capacity * sizeof limits.stamped[0]);
    peer_result_t result;
    if (options.warmup == 0 || limit_run(limit, options.warmup, &result)) {
        limit_run(limit, options.events, &result);
    }
    return peer_report(&options, "limit", &result);
}
