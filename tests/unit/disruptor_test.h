/* disruptor_test.h - what the tests of processors, graphs and pools share.
 *
 * A probe is a handler that does what its rules say and writes down what it was called with, as one
 * line of text:
 *
 *     <          on_start             [3/5     on_batch_start: 3 events, depth 5
 *     7  7*      event 7; the last of its batch
 *     !EIO@7     on_error             t7       on_timeout after 7            >   on_shutdown
 *
 * so that a test compares a whole life with one expected string. The same rules drive an on_event
 * and an on_batch handler. The text belongs to the handler's thread until that is joined.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DISRUPTOR_TEST_H
#define DISRUPTOR_TEST_H

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <time.h>

#include "base_test.h"
#include "disruptorx/clock.h"
#include "disruptorx/disruptor.h"
#include "ring/ring_internal.h"

#define DEADLINE_NS INT64_C(20000000000)

/* Gives the processor away for a moment: one CPU must be enough for every test. */
static inline void breathe(void)
{
    const struct timespec moment = {.tv_nsec = 20000};
    (void)nanosleep(&moment, NULL);
}

/* Waits for a condition that must come true. */
#define wait_until(condition)                                                                      \
    do {                                                                                           \
        const int64_t deadline_here = dx_clock_ns() + DEADLINE_NS;                                 \
        while (!(condition)) {                                                                     \
            if (dx_clock_ns() > deadline_here) {                                                   \
                fail_msg("never came true: %s", #condition);                                       \
            }                                                                                      \
            breathe();                                                                             \
        }                                                                                          \
    } while (0)

#define assert_code(call, expected)                                                                \
    assert_string_equal(dx_error_name(call), dx_error_name(expected))

typedef struct event {
    int64_t value;
    int64_t key;
    int64_t stages; /* one bit per stage that has handled it */
} event_t;

/* What the event with this sequence carries. */
static inline int64_t value_of(int64_t sequence)
{
    return sequence * 3 + 7;
}

/* --------------------------------------------------------------------------------------- probes */

/* At `sequence`, `times` times (0: always), the handler returns `result`. */
typedef struct rule {
    int64_t sequence;
    int32_t times;
    int32_t result; /* 0 ends the list */
} rule_t;

#define RULES_MAX 8
#define GIVEN_MAX 64
#define NOWHERE INT64_MIN

typedef struct probe {
    char text[1024];
    size_t length;
    rule_t rules[RULES_MAX];
    int32_t given[GIVEN_MAX]; /* times that each sequence was given */
    int32_t batch_start_errors;
    int32_t timeout_errors;   /* that many times the callback fails with DX_EIO */
    dx_error_policy_t answer; /* of on_error */
    int64_t hold_at;          /* the sequence at which it waits for probe_let_go(), plus 1 */
    dx_atomic32_t holding;
    dx_atomic32_t let_go;
    dx_atomic64_t starts;
    dx_atomic64_t shutdowns;
    dx_atomic64_t events; /* calls for an event */
    dx_atomic64_t last;   /* the sequence of the newest, plus 1 */
    dx_atomic64_t timeouts;
    dx_atomic64_t asked; /* calls of on_error */
    dx_atomic64_t wrong; /* events whose bytes were not those of their sequence */
} probe_t;

__attribute__((format(printf, 2, 3))) static inline void probe_note(probe_t *probe,
                                                                    const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const size_t room = sizeof(probe->text) - probe->length;
    const int length = vsnprintf(probe->text + probe->length, room, format, arguments);
    va_end(arguments);
    probe->length += length > 0 && (size_t)length < room ? (size_t)length : 0;
}

static inline void count_up(dx_atomic64_t *counter)
{
    (void)dx_fetch_add_relaxed(counter, 1);
}

/* The handler stands still at that sequence until probe_let_go(). */
static inline void probe_hold(probe_t *probe, int64_t sequence)
{
    probe->hold_at = sequence + 1;
}

static inline void probe_let_go(probe_t *probe)
{
    dx_store32_release(&probe->let_go, 1);
}

static inline bool probe_holds(const probe_t *probe)
{
    return dx_load32_acquire(&probe->holding) != 0;
}

/* Waits until the test lets go; not for ever, so that a failed test ends. */
static inline void stand_still(dx_atomic32_t *holding, dx_atomic32_t *let_go)
{
    const int64_t deadline_ns = dx_clock_ns() + 2 * DEADLINE_NS;
    dx_store32_release(holding, 1);
    while (dx_load32_acquire(let_go) == 0 && dx_clock_ns() < deadline_ns) {
        breathe();
    }
    dx_store32_release(holding, 0);
}

static inline int probe_decide(probe_t *probe, const event_t *event, int64_t sequence, bool last)
{
    probe_note(probe, "%" PRId64 "%s ", sequence, last ? "*" : "");
    if (event->value != value_of(sequence)) {
        count_up(&probe->wrong);
    }
    dx_store_release(&probe->last, sequence + 1);
    count_up(&probe->events);
    if (probe->hold_at == sequence + 1) {
        stand_still(&probe->holding, &probe->let_go);
    }
    const int32_t given = sequence < GIVEN_MAX ? ++probe->given[sequence] : 1;
    for (int i = 0; i < RULES_MAX && probe->rules[i].result != 0; i++) {
        const rule_t *rule = &probe->rules[i];
        if (rule->sequence == sequence && (rule->times == 0 || given <= rule->times)) {
            return rule->result;
        }
    }
    return DX_HANDLER_CONTINUE;
}

static inline int probe_event(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    return probe_decide(context, event, sequence, end_of_batch);
}

static inline int probe_batch(void *context, dx_batch_t *batch)
{
    for (int64_t sequence = batch->first; sequence <= batch->last; sequence++) {
        const int result = probe_decide(context, DX_BATCH_EVENT(batch, sequence, event_t), sequence,
                                        batch->end_of_batch && sequence == batch->last);
        if (result != DX_HANDLER_CONTINUE) {
            batch->done = sequence - 1;
            return result;
        }
    }
    return DX_HANDLER_CONTINUE;
}

static inline void probe_start(void *context)
{
    probe_t *probe = context;
    probe_note(probe, "< ");
    count_up(&probe->starts);
}

static inline void probe_shutdown(void *context)
{
    probe_t *probe = context;
    probe_note(probe, "> ");
    count_up(&probe->shutdowns);
}

static inline int probe_batch_start(void *context, int64_t batch_events, int64_t depth_events)
{
    probe_t *probe = context;
    probe_note(probe, "[%" PRId64 "/%" PRId64 " ", batch_events, depth_events);
    return probe->batch_start_errors-- > 0 ? DX_EIO : DX_OK;
}

static inline int probe_timeout(void *context, int64_t sequence)
{
    probe_t *probe = context;
    if (dx_load_relaxed(&probe->timeouts) < 3) { /* how often is up to the clock */
        probe_note(probe, "t%" PRId64 " ", sequence);
    }
    count_up(&probe->timeouts);
    return probe->timeout_errors-- > 0 ? DX_EIO : DX_OK;
}

static inline dx_error_policy_t probe_error(void *context, int code, void *event, int64_t sequence)
{
    probe_t *probe = context;
    probe_note(probe, "!%s%s@%" PRId64 " ", dx_error_name(code) + strlen("DX_"),
               event == NULL ? "?" : "", sequence);
    count_up(&probe->asked);
    return probe->answer;
}

/* A handler with all callbacks of the probe. */
static inline dx_handler_t probe_handler(probe_t *probe, const char *name)
{
    return (dx_handler_t){.name = name,
                          .context = probe,
                          .on_event = probe_event,
                          .on_start = probe_start,
                          .on_shutdown = probe_shutdown,
                          .on_batch_start = probe_batch_start};
}

#define assert_trace(probe, expected) assert_string_equal((probe)->text, (expected))

/* ---------------------------------------------------------------------------- rings and events */

static inline dx_disruptor_t *make_disruptor(dx_ring_mode_t mode, uint32_t slot_count)
{
    dx_disruptor_t *disruptor = NULL;
    assert_ok(dx_disruptor_create(
        &(dx_disruptor_options_t){
            .ring = {.slot_count = slot_count, .event_bytes = sizeof(event_t), .mode = mode}},
        &disruptor, NULL));
    return disruptor;
}

/* Publishes one event; what publishing returned. */
static inline int64_t publish_one(dx_producer_t *producer)
{
    const int64_t sequence = dx_producer_claim(producer);
    if (sequence < 0) {
        return sequence;
    }
    *DX_PRODUCER_EVENT(producer, sequence, event_t) =
        (event_t){.value = value_of(sequence), .key = sequence};
    const int code = dx_producer_publish(producer, sequence);
    return code == DX_OK ? sequence : code;
}

/* Publishes `count` events with a producer of its own. */
static inline void publish(dx_disruptor_t *disruptor, int64_t count)
{
    dx_producer_t producer;
    assert_ok(dx_producer_open(&producer, dx_disruptor_ring(disruptor), NULL, NULL));
    for (int64_t i = 0; i < count; i++) {
        const int64_t sequence = publish_one(&producer);
        if (sequence < 0) {
            fail_msg("publishing gave %s", dx_error_name((int)sequence));
        }
    }
    dx_producer_close(&producer);
}

static inline dx_consumer_stat_t stat_of(const dx_disruptor_t *disruptor, int32_t index)
{
    dx_consumer_stat_t stat;
    assert_ok(dx_ring_consumer_stat(dx_disruptor_ring(disruptor), index, &stat));
    return stat;
}

static inline void add_handlers_ok(dx_disruptor_t *disruptor, const dx_handler_t *handlers,
                                   uint32_t count, dx_group_t *group_out)
{
    dx_error_t error = {0};
    if (dx_disruptor_handle_events_with(disruptor, handlers, count, group_out, &error) != DX_OK) {
        fail_msg("adding handlers: %s", error.message);
    }
}

static inline void shutdown_ok(dx_disruptor_t *disruptor)
{
    dx_error_t error = {0};
    if (dx_disruptor_shutdown(disruptor, DEADLINE_NS, &error) != DX_OK) {
        fail_msg("shutdown: %s", error.message);
    }
}

#endif
