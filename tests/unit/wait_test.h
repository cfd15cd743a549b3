/* wait_test.h - what the tests of waiting share: a scene of one ring, threads that wait in it, and
 * steps of other threads put at named points of theirs.
 *
 * Nothing here sleeps to let something happen: every wait is for a condition, with a deadline that
 * fails the test. The deadline is 20 s; DX_TEST_DEADLINE_S changes it (tools/mutation.py wants
 * failures sooner). cmocka's assertions belong to the main thread, so the others only store.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef WAIT_TEST_H
#define WAIT_TEST_H

#include <pthread.h>
#include <time.h>

#include "base_test.h"
#include "disruptorx/clock.h"
#include "disruptorx/disruptor.h"
#include "ring/ring_internal.h"

#define LONG_NS DX_WAIT_NS_MAX /* as good as for ever: nothing may end by it */

static inline int64_t deadline_ns(void)
{
    const char *seconds = getenv("DX_TEST_DEADLINE_S");
    return (seconds != NULL ? strtoll(seconds, NULL, 10) : 20) * DX_NS_PER_S;
}

/* Looks again and again until `condition` holds: true, or false at the deadline. */
static inline bool comes_true(bool (*condition)(const void *), const void *context)
{
    const struct timespec pause = {.tv_nsec = 50000};
    const int64_t end_ns = dx_clock_ns() + deadline_ns();
    while (!condition(context)) {
        if (dx_clock_ns() > end_ns) {
            return false;
        }
        (void)nanosleep(&pause, NULL);
    }
    return true;
}

/* Without test hooks (the release) nobody passes a point: what needs one is left out. */
static inline bool points_exist(void)
{
    return DX_TEST_HOOKS != 0;
}

static inline void points_set(void (*hook)(const char *point, void *context), void *context)
{
#if DX_TEST_HOOKS
    dxi_point_set(hook, context);
#else
    (void)hook;
    (void)context;
#endif
}

/* ------------------------------------------------------------------------------------- waiters */

/* A thread that waits once: for events when `consumer` is set, else for room. At the first passage
 * of `point` it runs `action`, as if another thread did it at exactly that moment. */
typedef struct waiter {
    pthread_t thread;
    dx_consumer_t *consumer;
    dx_producer_t *producer;
    const char *point;
    void (*action)(void *context);
    void *context;
    int64_t wall_ns; /* how long it waited */
    dx_atomic64_t result;
    dx_atomic32_t fired;
    dx_atomic32_t done;
} waiter_t;

/* ---------------------------------------------------------------------------------- the scene */

#define SCENE_SLOTS 8
#define SCENE_MEMBERS 4

/* On the heap: a test that fails leaves it to the thread that still waits in it. */
typedef struct scene {
    dx_producer_t producers[SCENE_MEMBERS];
    dx_consumer_t consumers[SCENE_MEMBERS];
    dx_ring_t *ring;
    dx_ring_block_t *block;
    dx_ring_mode_t mode;
    int opened; /* consumers */
    waiter_t waiters[SCENE_MEMBERS];
} scene_t;

static inline scene_t *scene_create(dx_ring_mode_t mode, uint32_t slot_count)
{
    scene_t *scene = aligned_alloc(DX_FALSE_SHARING_BYTES, sizeof(*scene));
    assert_non_null(scene);
    memset(scene, 0, sizeof(*scene));
    scene->mode = mode;
    const dx_ring_options_t options = {
        .slot_count = slot_count, .event_bytes = sizeof(int64_t), .mode = mode};
    assert_ok(dx_ring_create(&options, &scene->ring, NULL));
    scene->block = dx_ring_block(scene->ring);
    return scene;
}

static inline void scene_destroy(scene_t *scene)
{
    for (int i = SCENE_MEMBERS - 1; i >= 0; i--) {
        dx_producer_close(&scene->producers[i]);
        dx_consumer_close(&scene->consumers[i]);
    }
    dx_ring_destroy(scene->ring);
    free(scene);
}

static inline dx_producer_t *scene_producer(scene_t *scene, int index, dx_wait_options_t wait)
{
    const dx_producer_options_t options = {.wait = wait};
    assert_ok(dx_producer_open(&scene->producers[index], scene->ring, &options, NULL));
    return &scene->producers[index];
}

/* The next consumer; `upstream` is a mask of those before it. */
static inline dx_consumer_t *scene_consumer(scene_t *scene, uint64_t upstream,
                                            dx_wait_options_t wait)
{
    dx_consumer_t *consumer = &scene->consumers[scene->opened++];
    const dx_consumer_options_t options = {.upstream = upstream, .wait = wait};
    assert_ok(dx_consumer_open(consumer, scene->ring, &options, NULL));
    return consumer;
}

/* Claims and publishes one event that holds its own sequence. */
static inline int64_t scene_publish(dx_producer_t *producer)
{
    const int64_t sequence = dx_producer_claim(producer);
    if (sequence >= 0) {
        *DX_PRODUCER_EVENT(producer, sequence, int64_t) = sequence;
        (void)dx_producer_publish(producer, sequence);
    }
    return sequence;
}

static inline bool is_asleep(const void *consumer)
{
    return dx_load32_relaxed(&((const dx_consumer_t *)consumer)->entry->asleep) != 0;
}

static inline bool has_waited(const void *consumer)
{
    return dx_load_relaxed(&((const dx_consumer_t *)consumer)->entry->counters.waits) > 0;
}

static inline bool producer_has_waited(const void *producer)
{
    return dx_load_relaxed(&((const dx_producer_t *)producer)->entry->waits) > 0;
}

static inline bool producer_sleeps(const void *producer)
{
    return dx_load_relaxed(&((const dx_producer_t *)producer)->entry->sleeps) > 0;
}

/* --------------------------------------------------------------------------- threads that wait */

static _Thread_local waiter_t *waiter_of_thread;

static inline void waiter_hook(const char *point, void *context)
{
    (void)context;
    waiter_t *waiter = waiter_of_thread;
    if (waiter != NULL && waiter->point != NULL && strcmp(point, waiter->point) == 0) {
        waiter_of_thread = NULL; /* the action passes points, too */
        waiter->action(waiter->context);
        dx_store32_release(&waiter->fired, 1);
    }
}

static inline void *waiter_main(void *context)
{
    waiter_t *waiter = context;
    waiter_of_thread = waiter;
    const int64_t from_ns = dx_clock_ns();
    const int64_t result = waiter->consumer != NULL ? dx_consumer_wait(waiter->consumer)
                                                    : dx_producer_claim(waiter->producer);
    waiter->wall_ns = dx_clock_ns() - from_ns;
    dx_store_relaxed(&waiter->result, result);
    dx_store32_release(&waiter->done, 1);
    return NULL;
}

static inline void waiter_start(waiter_t *waiter)
{
    dx_store32_relaxed(&waiter->fired, 0);
    dx_store32_relaxed(&waiter->done, 0);
    assert_int_equal(pthread_create(&waiter->thread, NULL, waiter_main, waiter), 0);
}

static inline bool waiter_is_done(const void *waiter)
{
    return dx_load32_acquire(&((const waiter_t *)waiter)->done) != 0;
}

static inline bool waiter_has_fired(const void *waiter)
{
    return dx_load32_acquire(&((const waiter_t *)waiter)->fired) != 0;
}

/* Ends the thread and gives its result; fails, naming the case, when it does not end. */
static inline int64_t waiter_join(waiter_t *waiter, const char *what)
{
    if (!comes_true(waiter_is_done, waiter)) {
        fail_msg("%s: the waiter does not end", what);
    }
    assert_int_equal(pthread_join(waiter->thread, NULL), 0);
    return dx_load_relaxed(&waiter->result);
}

#define ASLEEP "(asleep)" /* no point: it is in the kernel, or nearly */

static inline bool sleeps_or_is_done(const void *context)
{
    const waiter_t *waiter = context;
    return waiter_is_done(waiter) || (waiter->consumer != NULL ? is_asleep(waiter->consumer)
                                                               : producer_sleeps(waiter->producer));
}

/* CPU time that the thread of a waiter has used so far. */
static inline int64_t waiter_cpu_ns(const waiter_t *waiter)
{
    clockid_t clock = CLOCK_THREAD_CPUTIME_ID;
    struct timespec cpu = {0};
    if (pthread_getcpuclockid(waiter->thread, &clock) != 0 || clock_gettime(clock, &cpu) != 0) {
        return -1;
    }
    return (int64_t)cpu.tv_sec * DX_NS_PER_S + cpu.tv_nsec;
}

#endif
