/* ring_test.h - what the tests of rings, producers and consumers share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef RING_TEST_H
#define RING_TEST_H

#include <pthread.h>
#include <sched.h>

#include "base_test.h"
#include "disruptorx/clock.h"
#include "ring/ring_internal.h"

/* A release has no test hooks. A test that needs them says so first, and is skipped there: the same
 * test runs in all other builds. The functions exist so that the rest of it compiles. */
#if DX_TEST_HOOKS
#define NEEDS_TEST_HOOKS() ((void)0)
#else
#define NEEDS_TEST_HOOKS() SKIP_BECAUSE("this build has no named points")
static inline void dxi_point_set(void (*hook)(const char *, void *), void *context)
{
    (void)hook;
    (void)context;
}
static inline void dxi_fault_arm(int64_t n)
{
    (void)n;
}
static inline void dxi_fault_disarm(void)
{
}
static inline int64_t dxi_live_count(void)
{
    return 0;
}
#endif

#define SECOND_NS INT64_C(1000000000)

/* Nothing that a test waits for takes this long, whatever the machine: then it never comes. */
#define PATIENCE_NS (20 * SECOND_NS)

/* Waits for a condition that another thread makes true. Fails, never hangs. */
#define wait_until(condition)                                                                      \
    do {                                                                                           \
        const int64_t end_here = dx_clock_ns() + PATIENCE_NS;                                      \
        while (!(condition)) {                                                                     \
            if (dx_clock_ns() > end_here) {                                                        \
                fail_msg("waited in vain for %s", #condition);                                     \
            }                                                                                      \
            (void)sched_yield();                                                                   \
        }                                                                                          \
    } while (0)

/* The function returned this code; shows names, not numbers. */
#define assert_code(call, expected_code)                                                           \
    do {                                                                                           \
        const int64_t code_here = (call);                                                          \
        if (code_here != (expected_code)) {                                                        \
            fail_msg("%s is %lld (%s), must be %s", #call, (long long)code_here,                   \
                     dx_error_name((int)code_here), dx_error_name(expected_code));                 \
        }                                                                                          \
    } while (0)

/* The function returned this number; shows both. */
#define assert_number(actual, expected)                                                            \
    do {                                                                                           \
        const int64_t actual_here = (actual);                                                      \
        const int64_t expected_here = (expected);                                                  \
        if (actual_here != expected_here) {                                                        \
            fail_msg("%s is %lld, must be %lld", #actual, (long long)actual_here,                  \
                     (long long)expected_here);                                                    \
        }                                                                                          \
    } while (0)

typedef struct event {
    int64_t value;
    int64_t check; /* ~value: a torn event does not have it */
} event_t;

#define FOR_EACH_MODE(mode)                                                                        \
    for (dx_ring_mode_t mode = DX_RING_SINGLE; mode <= DX_RING_MULTI; mode++)

static inline dx_ring_t *ring_from(const dx_ring_options_t *options)
{
    dx_ring_t *ring = NULL;
    dx_error_t error = {0};
    if (dx_ring_create(options, &ring, &error) != DX_OK) {
        fail_msg("%s", error.message);
    }
    return ring;
}

static inline dx_ring_t *ring_of(dx_ring_mode_t mode, uint32_t slot_count)
{
    return ring_from(&(dx_ring_options_t){
        .slot_count = slot_count, .event_bytes = sizeof(event_t), .mode = mode});
}

static inline void open_producer(dx_producer_t *producer, dx_ring_t *ring, dx_full_policy_t full)
{
    dx_error_t error = {0};
    if (dx_producer_open(producer, ring, &(dx_producer_options_t){.full = full}, &error) != DX_OK) {
        fail_msg("%s", error.message);
    }
}

static inline void open_consumer(dx_consumer_t *consumer, dx_ring_t *ring, uint64_t upstream)
{
    dx_error_t error = {0};
    if (dx_consumer_open(consumer, ring, &(dx_consumer_options_t){.upstream = upstream}, &error) !=
        DX_OK) {
        fail_msg("%s", error.message);
    }
}

static inline uint64_t bit_of(const dx_consumer_t *consumer)
{
    return UINT64_C(1) << consumer->index;
}

static inline void fill(const dx_producer_t *producer, int64_t sequence)
{
    event_t *event = DX_PRODUCER_EVENT(producer, sequence, event_t);
    event->value = sequence;
    event->check = ~sequence;
}

/* Claims, fills and publishes one event whose value is its sequence. */
static inline int64_t publish_one(dx_producer_t *producer)
{
    const int64_t sequence = dx_producer_claim(producer);
    if (sequence >= 0) {
        fill(producer, sequence);
        const int code = dx_producer_publish(producer, sequence);
        return code == DX_OK ? sequence : code;
    }
    return sequence;
}

static inline void publish_many(dx_producer_t *producer, int count)
{
    for (int i = 0; i < count; i++) {
        const int64_t sequence = publish_one(producer);
        if (sequence < 0) {
            fail_msg("event %d of %d: %s", i, count, dx_error_name((int)sequence));
        }
    }
}

/* The event is the one that publish_one() wrote. */
static inline bool event_is_right(const dx_consumer_t *consumer, int64_t sequence)
{
    const event_t *event = DX_CONSUMER_EVENT(consumer, sequence, event_t);
    return event->value == sequence && event->check == ~sequence;
}

/* Reads and releases everything readable; checks each event that is not hidden, and returns how
 * many of them there were. */
static inline int64_t consume_all(dx_consumer_t *consumer)
{
    const int64_t last = dx_consumer_poll(consumer);
    int64_t count = 0;
    for (int64_t sequence = consumer->next; sequence <= last; sequence++) {
        if (dx_consumer_is_hidden(consumer, sequence)) {
            continue;
        }
        const event_t *event = DX_CONSUMER_EVENT(consumer, sequence, event_t);
        assert_number(event->value, sequence);
        assert_number(event->check, ~sequence);
        count++;
    }
    dx_consumer_release(consumer, last);
    return count;
}

static inline pthread_t thread_start(void *(*body)(void *), void *context)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, body, context), 0);
    return thread;
}

static inline void thread_join(pthread_t thread)
{
    assert_int_equal(pthread_join(thread, NULL), 0);
}

#endif
