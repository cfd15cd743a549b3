/* stress_graphs.c - random graphs on one ring, and chains of rings.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "stress.h"

#include <sched.h>

/* --------------------------------------------------------------------------------- random graph */

typedef struct graph_producer {
    struct graph *graph;
    dx_producer_t handle;
    int index;
    uint64_t random;
    int64_t number; /* of the next event */
} graph_producer_t;

typedef struct graph_consumer {
    struct graph *graph;
    dx_consumer_t handle;
    stress_checker_t checker;
    char name[24];
    uint64_t random;
} graph_consumer_t;

typedef struct graph {
    stress_run_t *run;
    dx_ring_t *ring;
    int64_t slot_count;
    int64_t events_each;
    int producer_count;
    int consumer_count; /* 0: producers only lap each other */
    bool reopens;       /* producers close their handles and open others meanwhile */
    uint64_t random;
    graph_producer_t producers[STRESS_PRODUCERS_MAX];
    graph_consumer_t consumers[STRESS_CONSUMERS_MAX];
} graph_t;

/* Claims in one of the ways there are: the last sequence, or 0 > a reason to try again. */
static int64_t graph_claim(graph_producer_t *producer, int64_t count)
{
    switch (stress_random(&producer->random, 4)) {
    case 0:
        return dx_producer_try_claim_n(&producer->handle, count);
    case 1:
        return dx_producer_claim_timed(&producer->handle, count,
                                       stress_random(&producer->random, DX_NS_PER_MS));
    default:
        return dx_producer_claim_n(&producer->handle, count);
    }
}

static bool may_try_again(int64_t code)
{
    return code == DX_EAGAIN || code == DX_ETIMEDOUT || code == DX_ECANCELLED;
}

static void graph_abort(graph_producer_t *producer, int64_t first, int64_t last)
{
    for (int64_t sequence = first; sequence <= last; sequence++) {
        stress_spoil(DX_PRODUCER_EVENT(&producer->handle, sequence, stress_event_t));
    }
    (void)dx_producer_abort(&producer->handle, first, last);
}

static void graph_publish(graph_producer_t *producer, int64_t first, int64_t last)
{
    dx_producer_t *handle = &producer->handle;
    for (int64_t sequence = first; sequence <= last; sequence++) {
        stress_fill(DX_PRODUCER_EVENT(handle, sequence, stress_event_t), sequence, producer->index,
                    producer->number++);
    }
    const bool multi = handle->stamps != NULL;
    switch (stress_random(&producer->random, 3)) {
    case 0: /* one by one; backwards where that is allowed: a hole, filled last */
        for (int64_t i = 0; i <= last - first; i++) {
            (void)dx_producer_publish(handle, multi ? last - i : first + i);
        }
        break;
    default:
        (void)dx_producer_publish_range(handle, first, last);
        break;
    }
}

/* Another entry of the table, which another thread may have left. */
static void graph_reopen(graph_producer_t *producer)
{
    dx_producer_close(&producer->handle);
    const dx_producer_options_t waits = {.wait = stress_wait(&producer->random)};
    const int code = dx_producer_open(&producer->handle, producer->graph->ring, &waits, NULL);
    if (code != DX_OK) {
        stress_break(producer->graph->run, "a producer's reopening gives %s", dx_error_name(code));
    }
}

static void *graph_produce(void *context)
{
    graph_producer_t *producer = context;
    const graph_t *graph = producer->graph;
    const int64_t batch_max = graph->slot_count < 8 ? graph->slot_count : 8;

    while (producer->number < graph->events_each && !stress_is_broken(graph->run)) {
        const int64_t rest = graph->events_each - producer->number;
        int64_t count = 1 + stress_random(&producer->random, batch_max);
        count = count < rest ? count : rest;
        const int64_t last = graph_claim(producer, count);
        if (last < 0) {
            if (!may_try_again(last)) {
                stress_break(graph->run, "a claim gives %s", dx_error_name((int)last));
            }
            (void)sched_yield();
            continue;
        }
        const int64_t first = last - count + 1;
        if (stress_random(&producer->random, 8) == 0) {
            /* Behind a younger claim it leaves a void; else a single producer takes it back. */
            const int64_t younger = dx_producer_try_claim_n(&producer->handle, 1);
            graph_abort(producer, first, last);
            if (younger >= 0) {
                graph_publish(producer, younger, younger);
            }
        } else {
            graph_publish(producer, first, last);
        }
        (void)dx_fetch_add_relaxed(&graph->run->progress, count);
        if (graph->reopens && stress_random(&producer->random, 8) == 0) {
            graph_reopen(producer);
        }
    }
    return stress_end(graph->run);
}

static void *graph_consume(void *context)
{
    graph_consumer_t *consumer = context;
    const graph_t *graph = consumer->graph;
    dx_consumer_t *handle = &consumer->handle;
    const int64_t total = graph->events_each * graph->producer_count;

    while (consumer->checker.seen < total && !stress_is_broken(graph->run)) {
        int64_t last = dx_consumer_wait(handle);
        if (last < handle->next) {
            if (!may_try_again(last)) {
                stress_break(graph->run, "%s: the wait gives %lld", consumer->name,
                             (long long)last);
            }
            continue;
        }
        if (stress_random(&consumer->random, 4) == 0) { /* only a part of it */
            last = handle->next + stress_random(&consumer->random, last - handle->next + 1);
        }
        for (int64_t sequence = handle->next; sequence <= last; sequence++) {
            if (!dx_consumer_is_hidden(handle, sequence)) {
                stress_check(&consumer->checker,
                             DX_CONSUMER_EVENT(handle, sequence, stress_event_t), sequence);
            }
        }
        (void)dx_fetch_add_relaxed(&graph->run->progress, last - handle->next + 1);
        dx_consumer_release(handle, last);
    }
    return stress_end(graph->run);
}

/* Cancels somebody's wait: everybody must go on. */
static void graph_disturb(void *context)
{
    graph_t *graph = context;
    const int64_t who =
        stress_random(&graph->random, graph->producer_count + graph->consumer_count);
    if (who < graph->producer_count) {
        if (!graph->reopens) { /* else the handle may just be closed */
            dx_producer_cancel(&graph->producers[who].handle);
        }
    } else {
        dx_consumer_cancel(&graph->consumers[who - graph->producer_count].handle);
    }
}

static void graph_arrange(graph_t *graph, stress_run_t *run)
{
    static const uint32_t slot_counts[] = {2, 4, 8, 16, 64, 1024};
    graph->run = run;
    graph->random = run->seed * UINT64_C(0x9e3779b97f4a7c15);
    uint64_t *random = &graph->random;
    const bool multi = stress_random(random, 2) == 0;
    int64_t producers = multi ? 2 + stress_random(random, run->threads - 3) : 1;
    producers = producers < STRESS_PRODUCERS_MAX ? producers : STRESS_PRODUCERS_MAX;
    graph->producer_count = (int)producers;
    const int consumers = run->threads - graph->producer_count;
    graph->consumer_count = consumers < STRESS_CONSUMERS_MAX ? consumers : STRESS_CONSUMERS_MAX;
    if (multi && stress_random(random, 8) == 0) {
        graph->consumer_count = 0;
    }
    graph->reopens = stress_random(random, 4) == 0;
    graph->slot_count = slot_counts[stress_random(random, COUNT_OF(slot_counts))];
    graph->events_each = (100 + 10 * graph->slot_count) / graph->producer_count + 1;

    const dx_ring_options_t options = {.slot_count = (uint32_t)graph->slot_count,
                                       .event_bytes = sizeof(stress_event_t),
                                       .mode = multi ? DX_RING_MULTI : DX_RING_SINGLE,
                                       .producers_max = multi ? (uint32_t)graph->producer_count : 0,
                                       .consumers_max = STRESS_CONSUMERS_MAX};
    assert_ok(dx_ring_create(&options, &graph->ring, NULL));
    for (int i = 0; i < graph->consumer_count; i++) {
        graph_consumer_t *consumer = &graph->consumers[i];
        /* Behind the publication, or behind some of those before. */
        const uint64_t before = (UINT64_C(1) << i) - 1;
        const uint64_t upstream =
            stress_random(random, 2) == 0 ? 0 : random_next(random) & random_next(random) & before;
        const dx_consumer_options_t behind = {.upstream = upstream, .wait = stress_wait(random)};
        assert_ok(dx_consumer_open(&consumer->handle, graph->ring, &behind, NULL));
        assert_int_equal(consumer->handle.index, i);
        (void)snprintf(consumer->name, sizeof(consumer->name), "consumer %d", i);
        consumer->graph = graph;
        consumer->random = random_next(random);
        stress_checker_init(&consumer->checker, run, consumer->name, 0);
    }
    for (int i = 0; i < graph->producer_count; i++) {
        graph_producer_t *producer = &graph->producers[i];
        const dx_producer_options_t waits = {.wait = stress_wait(random)};
        assert_ok(dx_producer_open(&producer->handle, graph->ring, &waits, NULL));
        producer->graph = graph;
        producer->index = i;
        producer->random = random_next(random);
        producer->number = 0;
    }
}

void stress_graph(stress_run_t *run)
{
    static graph_t graph; /* outlives a test that fails */
    memset(&graph, 0, sizeof(graph));
    graph_arrange(&graph, run);
    for (int i = 0; i < graph.consumer_count; i++) {
        stress_start(run, graph_consume, &graph.consumers[i]);
    }
    for (int i = 0; i < graph.producer_count; i++) {
        stress_start(run, graph_produce, &graph.producers[i]);
    }
    if (!stress_join(run, graph_disturb, &graph)) {
        stress_show(graph.ring);
        return;
    }
    for (int i = graph.consumer_count - 1; i >= 0; i--) {
        dx_consumer_close(&graph.consumers[i].handle);
    }
    for (int i = 0; i < graph.producer_count; i++) {
        dx_producer_close(&graph.producers[i].handle);
    }
    dx_ring_destroy(graph.ring);
}

/* ------------------------------------------------------------------------------- chain of rings */

typedef struct relay {
    stress_run_t *run;
    dx_ring_t *ring; /* it reads from this one, NULL: it is the source */
    dx_consumer_t consumer;
    dx_producer_t producer; /* and writes to the next one, unless it is the last */
    bool is_last;
    stress_checker_t checker;
    char name[24];
    int64_t events;
} relay_t;

static bool relay_write(relay_t *relay, int64_t number)
{
    int64_t sequence = DX_EAGAIN;
    while (may_try_again(sequence)) {
        if (stress_is_broken(relay->run)) {
            return false;
        }
        sequence = dx_producer_claim(&relay->producer);
    }
    if (sequence < 0) {
        stress_break(relay->run, "%s: a claim gives %s", relay->name, dx_error_name((int)sequence));
        return false;
    }
    stress_fill(DX_PRODUCER_EVENT(&relay->producer, sequence, stress_event_t), sequence, 0, number);
    (void)dx_producer_publish(&relay->producer, sequence);
    return true;
}

static void *relay_source(void *context)
{
    relay_t *relay = context;
    for (int64_t i = 0; i < relay->events && relay_write(relay, i); i++) {
    }
    return stress_end(relay->run);
}

static void *relay_main(void *context)
{
    relay_t *relay = context;
    dx_consumer_t *consumer = &relay->consumer;
    while (relay->checker.seen < relay->events && !stress_is_broken(relay->run)) {
        const int64_t last = dx_consumer_wait(consumer);
        for (int64_t sequence = consumer->next; sequence <= last; sequence++) {
            const stress_event_t *event = DX_CONSUMER_EVENT(consumer, sequence, stress_event_t);
            stress_check(&relay->checker, event, sequence);
            if (!relay->is_last && !relay_write(relay, event->number)) {
                break;
            }
        }
        if (last >= consumer->next) {
            (void)dx_fetch_add_relaxed(&relay->run->progress, last - consumer->next + 1);
            dx_consumer_release(consumer, last);
        }
    }
    return stress_end(relay->run);
}

void stress_relay(stress_run_t *run)
{
    static relay_t relays[STRESS_CONSUMERS_MAX]; /* outlive a test that fails */
    memset(relays, 0, sizeof(relays));
    uint64_t random = run->seed * UINT64_C(0x9e3779b97f4a7c15);
    const int count = run->threads < STRESS_CONSUMERS_MAX ? run->threads : STRESS_CONSUMERS_MAX;
    for (int i = 0; i < count; i++) {
        relay_t *relay = &relays[i];
        *relay = (relay_t){.run = run, .is_last = i == count - 1, .events = 600};
        (void)snprintf(relay->name, sizeof(relay->name), "relay %d", i);
        stress_checker_init(&relay->checker, run, relay->name, 0);
        if (i == 0) {
            continue;
        }
        const dx_ring_options_t options = {.slot_count = UINT32_C(2) << stress_random(&random, 8),
                                           .event_bytes = sizeof(stress_event_t),
                                           .mode = stress_random(&random, 2) == 0 ? DX_RING_SINGLE
                                                                                  : DX_RING_MULTI};
        const dx_consumer_options_t reads = {.wait = stress_wait(&random)};
        const dx_producer_options_t writes = {.wait = stress_wait(&random)};
        assert_ok(dx_ring_create(&options, &relay->ring, NULL));
        assert_ok(dx_consumer_open(&relay->consumer, relay->ring, &reads, NULL));
        assert_ok(dx_producer_open(&relays[i - 1].producer, relay->ring, &writes, NULL));
    }
    for (int i = 0; i < count; i++) {
        stress_start(run, i == 0 ? relay_source : relay_main, &relays[i]);
    }
    if (!stress_join(run, NULL, NULL)) {
        for (int i = 1; i < count; i++) {
            stress_show(relays[i].ring);
        }
        return;
    }
    for (int i = 1; i < count; i++) {
        dx_consumer_close(&relays[i].consumer);
        dx_producer_close(&relays[i - 1].producer);
        dx_ring_destroy(relays[i].ring);
    }
}
