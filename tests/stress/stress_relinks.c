/* stress_relinks.c - who follows whom changes at random under load, anywhere in the graph.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "stress.h"

#include <sched.h>

#define MEMBERS 5
#define GUESTS 2 /* threads that open a consumer, read a little, close it */
#define EVENTS 4000

/* Members see every event from the first to the last, each once, in order. A guest sees every event
 * from its first on. A changer says anew whom members follow. */
typedef struct relinks {
    stress_run_t *run;
    dx_ring_t *ring;
    dx_producer_t producers[2];
    int producer_count;
    dx_atomic32_t members_left;
} relinks_t;

typedef struct relink_thread {
    relinks_t *relinks;
    dx_consumer_t consumer;
    int index;
    char name[24];
    uint64_t random;
} relink_thread_t;

static void *relinks_produce(void *context)
{
    const relink_thread_t *thread = context;
    relinks_t *relinks = thread->relinks;
    dx_producer_t *producer = &relinks->producers[thread->index];
    for (int64_t number = 0; number < EVENTS && !stress_is_broken(relinks->run);) {
        const int64_t sequence = dx_producer_claim(producer);
        if (sequence < 0) {
            continue; /* its timeout */
        }
        stress_fill(DX_PRODUCER_EVENT(producer, sequence, stress_event_t), sequence, thread->index,
                    number++);
        (void)dx_producer_publish(producer, sequence);
    }
    return stress_end(relinks->run);
}

/* Checks some of what is readable, and releases it. */
static void relinks_read(relink_thread_t *thread, stress_checker_t *checker)
{
    dx_consumer_t *consumer = &thread->consumer;
    const bool waits = stress_random(&thread->random, 2) == 0;
    int64_t last = waits ? dx_consumer_wait(consumer) : dx_consumer_poll(consumer);
    if (last < consumer->next) {
        if (last < 0 && waits && last != DX_ETIMEDOUT) {
            stress_break(checker->run, "%s: the wait gives %lld", checker->name, (long long)last);
        }
        (void)sched_yield();
        return;
    }
    last = consumer->next + stress_random(&thread->random, last - consumer->next + 1);
    for (int64_t sequence = consumer->next; sequence <= last; sequence++) {
        if (!dx_consumer_is_hidden(consumer, sequence)) {
            stress_check(checker, DX_CONSUMER_EVENT(consumer, sequence, stress_event_t), sequence);
        }
    }
    (void)dx_fetch_add_relaxed(&checker->run->progress, last - consumer->next + 1);
    dx_consumer_release(consumer, last);
}

static void *relinks_member(void *context)
{
    relink_thread_t *thread = context;
    relinks_t *relinks = thread->relinks;
    stress_checker_t checker;
    stress_checker_init(&checker, relinks->run, thread->name, 0);
    while (checker.seen < (int64_t)EVENTS * relinks->producer_count &&
           !stress_is_broken(relinks->run)) {
        relinks_read(thread, &checker);
    }
    dx_consumer_close(&thread->consumer); /* in any order, wherever it stands in the graph */
    (void)dx_fetch_add32_acq_rel(&relinks->members_left, -1);
    return stress_end(relinks->run);
}

static uint64_t relinks_mask(const relinks_t *relinks, uint64_t *random)
{
    const uint64_t active = (uint64_t)dx_load_acquire(&dx_ring_block(relinks->ring)->active);
    return active & (uint64_t)stress_random(random, INT64_C(1) << 16) &
           (uint64_t)stress_random(random, INT64_C(1) << 16);
}

static void *relinks_guest(void *context)
{
    relink_thread_t *thread = context;
    relinks_t *relinks = thread->relinks;
    while (dx_load32_acquire(&relinks->members_left) > 0 && !stress_is_broken(relinks->run)) {
        const dx_consumer_options_t options = {
            .upstream = relinks_mask(relinks, &thread->random),
            .start = stress_random(&thread->random, 2) == 0 ? DX_START_OLDEST : DX_START_CURSOR,
            .wait = {.timeout_ns = DX_NS_PER_MS}};
        dx_error_t error = {0};
        const int code = dx_consumer_open(&thread->consumer, relinks->ring, &options, &error);
        if (code == DX_ENOTFOUND || code == DX_ELIMIT) {
            continue; /* somebody has just left, or those behind who left have yet to look */
        }
        if (code != DX_OK) {
            stress_break(relinks->run, "%s: %s", thread->name, error.message);
            break;
        }
        stress_checker_t checker;
        stress_checker_init(&checker, relinks->run, thread->name, -1);
        for (int64_t reads = stress_random(&thread->random, 50); reads > 0; reads--) {
            relinks_read(thread, &checker);
        }
        dx_consumer_close(&thread->consumer);
    }
    return stress_end(relinks->run);
}

static void *relinks_change(void *context)
{
    relink_thread_t *thread = context;
    relinks_t *relinks = thread->relinks;
    while (dx_load32_acquire(&relinks->members_left) > 0 && !stress_is_broken(relinks->run)) {
        dx_error_t error = {0};
        const int32_t index = (int32_t)stress_random(&thread->random, MEMBERS + GUESTS);
        const int code = dx_consumer_follow(relinks->ring, index,
                                            relinks_mask(relinks, &thread->random), &error);
        if (code != DX_OK && code != DX_EINVAL && code != DX_ENOTFOUND) {
            stress_break(relinks->run, "following gives %s", error.message);
        }
        for (int64_t i = stress_random(&thread->random, 20); i > 0; i--) {
            (void)sched_yield();
        }
    }
    return stress_end(relinks->run);
}

void stress_relinks(stress_run_t *run)
{
    static relinks_t relinks; /* outlives a test that fails */
    static relink_thread_t threads[MEMBERS + GUESTS + 3];
    memset(&relinks, 0, sizeof(relinks));
    memset(threads, 0, sizeof(threads));
    uint64_t random = run->seed * UINT64_C(0x9e3779b97f4a7c15);
    relinks.run = run;
    relinks.producer_count = 1 + (int)stress_random(&random, 2);
    const dx_ring_options_t options = {.slot_count = UINT32_C(2) << stress_random(&random, 8),
                                       .event_bytes = sizeof(stress_event_t),
                                       .mode = relinks.producer_count == 1 ? DX_RING_SINGLE
                                                                           : DX_RING_MULTI};
    assert_ok(dx_ring_create(&options, &relinks.ring, NULL));
    const int count = MEMBERS + GUESTS + 1 + relinks.producer_count;
    for (int i = 0; i < count; i++) {
        threads[i].relinks = &relinks;
        threads[i].random = random_next(&random);
        (void)snprintf(threads[i].name, sizeof(threads[i].name), "%s %d",
                       i < MEMBERS ? "member" : "guest", i);
    }
    for (int i = 0; i < MEMBERS; i++) {
        dx_consumer_options_t member = {.wait = stress_wait(&random)};
        member.wait.timeout_ns = DX_NS_PER_MS;
        assert_ok(dx_consumer_open(&threads[i].consumer, relinks.ring, &member, NULL));
    }
    dx_store32_release(&relinks.members_left, MEMBERS);
    for (int i = 0; i < relinks.producer_count; i++) {
        const dx_producer_options_t waits = {.wait = stress_wait(&random)};
        assert_ok(dx_producer_open(&relinks.producers[i], relinks.ring, &waits, NULL));
        threads[MEMBERS + GUESTS + 1 + i].index = i;
    }
    for (int i = 0; i < count; i++) {
        void *(*body)(void *) = i < MEMBERS             ? relinks_member
                                : i < MEMBERS + GUESTS  ? relinks_guest
                                : i == MEMBERS + GUESTS ? relinks_change
                                                        : relinks_produce;
        stress_start(run, body, &threads[i]);
    }
    if (!stress_join(run, NULL, NULL)) {
        stress_show(relinks.ring);
        return;
    }
    for (int i = 0; i < relinks.producer_count; i++) {
        dx_producer_close(&relinks.producers[i]);
    }
    dx_ring_destroy(relinks.ring);
}
