/* bus_test.h - what the tests of the bus's runtime share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BUS_TEST_H
#define BUS_TEST_H

#include "base_test.h"

#include <pthread.h>
#include <time.h>

#include "disruptorx/atomic.h"
#include "disruptorx/bus.h"
#include "disruptorx/clock.h"

#define SOON_NS INT64_C(30000000000) /* long enough on any machine */

static _Thread_local dx_error_t said;

/* How a bus and a subscription are made: each test goes through all of them. */
typedef struct shape {
    uint32_t loops;
    dx_dispatch_t dispatch;
} shape_t;

static const shape_t shapes[] = {
    {1, DX_DISPATCH_THREAD}, {1, DX_DISPATCH_SHARD},  {2, DX_DISPATCH_THREAD},
    {2, DX_DISPATCH_SHARD},  {3, DX_DISPATCH_THREAD},
};

#define FOR_EACH_SHAPE(shape)                                                                      \
    for (const shape_t *shape = shapes; shape < shapes + COUNT_OF(shapes); shape++)

static inline void check_said(int code, const char *what)
{
    if (code != DX_OK) {
        fail_msg("%s: %s: %s", what, dx_error_name(code), said.message);
    }
}

static inline dx_bus_t *bus_made(const dx_bus_options_t *options)
{
    dx_bus_t *bus = NULL;
    check_said(dx_bus_create(options, &bus, &said), "dx_bus_create()");
    check_said(dx_bus_start(bus, &said), "dx_bus_start()");
    return bus;
}

static inline dx_bus_t *bus_started(uint32_t loops)
{
    return bus_made(&(dx_bus_options_t){.shards = 8, .loops = loops, .shard_ring_bytes = 262144});
}

static inline dx_publisher_t *publisher_opened(dx_bus_t *bus)
{
    dx_publisher_t *publisher = NULL;
    check_said(dx_publisher_open(bus, NULL, &publisher, &said), "dx_publisher_open()");
    return publisher;
}

static inline int publish_number(dx_publisher_t *publisher, const char *topic, uint64_t number)
{
    return dx_publish(
        publisher, &(dx_message_t){.topic = topic, .data = &number, .bytes = sizeof number}, &said);
}

/* What a handler has seen. */
typedef struct seen {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint64_t events, batches, gaps, gap_events, ends;
    uint64_t last_number, last_sequence;
    uint64_t disorders; /* numbers that did not grow */
    uint64_t redelivered;
    int end_code;
    int result;      /* of the handler, */
    uint64_t fail_n; /* for so many first events */
    bool hold;       /* it waits as long as this is set */
} seen_t;

static inline void seen_init(seen_t *seen)
{
    memset(seen, 0, sizeof *seen);
    (void)pthread_mutex_init(&seen->mutex, NULL);
    (void)pthread_cond_init(&seen->changed, NULL);
}

static inline int seen_event(void *context, const dx_event_t *event)
{
    seen_t *seen = context;
    uint64_t number = 0;
    (void)pthread_mutex_lock(&seen->mutex);
    while (seen->hold) {
        (void)pthread_cond_wait(&seen->changed, &seen->mutex);
    }
    if (event->bytes == sizeof number) {
        memcpy(&number, event->data, sizeof number);
    }
    seen->disorders += number <= seen->last_number;
    seen->last_number = number;
    seen->last_sequence = event->sequence;
    seen->redelivered += event->redelivered;
    seen->events++;
    int result = DX_OK;
    if (seen->fail_n > 0) {
        seen->fail_n--;
        result = seen->result;
    }
    (void)pthread_cond_broadcast(&seen->changed);
    (void)pthread_mutex_unlock(&seen->mutex);
    return result;
}

static inline void seen_gap(void *context, const dx_gap_t *gap)
{
    seen_t *seen = context;
    (void)pthread_mutex_lock(&seen->mutex);
    seen->gaps++;
    seen->gap_events += gap->last - gap->first + 1;
    (void)pthread_cond_broadcast(&seen->changed);
    (void)pthread_mutex_unlock(&seen->mutex);
}

static inline void seen_end(void *context, int code, const char *sentence)
{
    seen_t *seen = context;
    (void)sentence;
    (void)pthread_mutex_lock(&seen->mutex);
    seen->ends++;
    seen->end_code = code;
    (void)pthread_cond_broadcast(&seen->changed);
    (void)pthread_mutex_unlock(&seen->mutex);
}

/* Waits until `condition` holds of `seen`, under its mutex. */
#define seen_until(seen, condition)                                                                \
    do {                                                                                           \
        struct timespec until_here;                                                                \
        (void)clock_gettime(CLOCK_REALTIME, &until_here);                                          \
        until_here.tv_sec += SOON_NS / 1000000000;                                                 \
        (void)pthread_mutex_lock(&(seen)->mutex);                                                  \
        int timed_here = 0;                                                                        \
        while (!(condition) && timed_here == 0) {                                                  \
            timed_here = pthread_cond_timedwait(&(seen)->changed, &(seen)->mutex, &until_here);    \
        }                                                                                          \
        const bool held_here = (condition);                                                        \
        (void)pthread_mutex_unlock(&(seen)->mutex);                                                \
        if (!held_here) {                                                                          \
            fail_msg("%s: never; events %llu, gaps %llu", #condition,                              \
                     (unsigned long long)(seen)->events, (unsigned long long)(seen)->gaps);        \
        }                                                                                          \
    } while (0)

static inline void seen_wait(seen_t *seen, uint64_t events)
{
    seen_until(seen, seen->events >= events);
}

static inline void seen_hold(seen_t *seen, bool hold)
{
    (void)pthread_mutex_lock(&seen->mutex);
    seen->hold = hold;
    (void)pthread_cond_broadcast(&seen->changed);
    (void)pthread_mutex_unlock(&seen->mutex);
}

/* How many events it has had. */
static inline uint64_t seen_events(seen_t *seen)
{
    (void)pthread_mutex_lock(&seen->mutex);
    const uint64_t events = seen->events;
    (void)pthread_mutex_unlock(&seen->mutex);
    return events;
}

/* A thread that lets a held handler go, after a while. */
static inline void seen_let_go_later(void *context)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    seen_hold(context, false);
}

/* A subscription of this shape that notes everything. */
static inline dx_subscription_t *subscribed(dx_bus_t *bus, const shape_t *shape,
                                            const dx_subscription_options_t *options, seen_t *seen)
{
    dx_subscription_options_t filled = *options;
    dx_subscription_t *subscription = NULL;
    filled.on_event = seen_event;
    filled.on_gap = seen_gap;
    filled.on_end = seen_end;
    filled.context = seen;
    filled.dispatch = shape->dispatch;
    check_said(dx_bus_subscribe(bus, &filled, &subscription, &said), "dx_bus_subscribe()");
    return subscription;
}

static inline int publish_number_wait(dx_publisher_t *publisher, const char *topic, uint64_t number,
                                      dx_receipt_t *receipt_out)
{
    return dx_publish_wait(publisher,
                           &(dx_message_t){.topic = topic, .data = &number, .bytes = sizeof number},
                           receipt_out, &said);
}

static inline void bus_ended(dx_bus_t *bus)
{
    check_said(dx_bus_stop(bus, SOON_NS, &said), "dx_bus_stop()");
    dx_bus_destroy(bus);
}

#endif
