/* stress_spans.c - spans of random lengths in a small ring, where every header is soon payload and
 * back: several producers, a handler, a pool, pollers that come and go, and somebody who looks.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disruptorx/disruptor.h"
#include "disruptorx/span.h"
#include "stress.h"

#define SPANS_PER_PRODUCER 3000
#define PRODUCERS_MAX 4
#define WORKERS_MAX 3
#define VISITS 30
#define TAIL_BYTE(sequence, i) ((uint8_t)((uint64_t)(sequence)*5 + (i)))

typedef struct spans {
    stress_run_t *run;
    dx_disruptor_t *disruptor;
    int64_t bytes_max;
    int producer_count;
    dx_atomic32_t producers_left;
    dx_atomic64_t published;
    dx_atomic64_t worked;
    stress_checker_t checker; /* of the handler that sees all */
} spans_t;

typedef struct spans_thread {
    spans_t *spans;
    int index;
    uint64_t random;
} spans_thread_t;

/* Most spans are short, some as long as they may be. */
static uint32_t random_bytes(uint64_t *random, int64_t bytes_max)
{
    const int64_t least = (int64_t)sizeof(stress_event_t);
    const int64_t most = stress_random(random, 4) == 0 ? bytes_max : 4 * least;
    return (uint32_t)(least + stress_random(random, most - least + 1));
}

static void fill(dx_span_t *span, int64_t sequence, int64_t producer, int64_t number)
{
    uint8_t *payload = dx_span_payload(span);
    stress_event_t event;
    stress_fill(&event, sequence, producer, number);
    memcpy(payload, &event, sizeof(event));
    for (uint32_t i = sizeof(event); i < span->bytes; i++) {
        payload[i] = TAIL_BYTE(sequence, i);
    }
}

static const stress_event_t *event_of(stress_run_t *run, const char *who, const dx_span_t *span,
                                      int64_t sequence)
{
    const uint8_t *payload = dx_span_payload(span);
    for (uint32_t i = sizeof(stress_event_t); i < span->bytes; i++) {
        if (payload[i] != TAIL_BYTE(sequence, i)) {
            stress_break(run, "%s: byte %u of %u of the span at %lld is wrong", who, i, span->bytes,
                         (long long)sequence);
            break;
        }
    }
    return (const stress_event_t *)(const void *)payload;
}

/* One to three spans with one claim, published together or given up. */
static int64_t publish_some(spans_thread_t *thread, dx_producer_t *producer, int64_t number)
{
    spans_t *spans = thread->spans;
    uint32_t bytes[3];
    const uint32_t count = 1 + (uint32_t)stress_random(&thread->random, 3);
    for (uint32_t i = 0; i < count; i++) {
        bytes[i] = random_bytes(&thread->random, spans->bytes_max);
    }
    const bool alone = count == 1 && stress_random(&thread->random, 2) == 0;
    const int64_t first = alone ? dx_producer_claim_span(producer, bytes[0])
                                : dx_producer_claim_spans(producer, bytes, count);
    if (first < 0) {
        return 0; /* its timeout, perhaps */
    }
    int64_t sequence = first;
    int64_t last = first;
    for (uint32_t i = 0; i < count; i++) {
        last = sequence;
        fill(dx_producer_span(producer, sequence), sequence, thread->index, number + i);
        sequence += dx_span_slots(bytes[i]);
    }
    if (stress_random(&thread->random, 8) == 0) {
        (void)dx_producer_abort_spans(producer, first, last);
        return 0;
    }
    (void)dx_fetch_add_relaxed(&spans->published, count);
    (void)dx_producer_publish_spans(producer, first, last);
    return count;
}

static void *produce(void *context)
{
    spans_thread_t *thread = context;
    spans_t *spans = thread->spans;
    dx_producer_t producer;
    const dx_producer_options_t options = {.wait = stress_wait(&thread->random)};
    if (dx_producer_open(&producer, dx_disruptor_ring(spans->disruptor), &options, NULL) != DX_OK) {
        stress_break(spans->run, "a producer can't be opened");
    } else {
        for (int64_t number = 0; number < SPANS_PER_PRODUCER && !stress_is_broken(spans->run);) {
            number += publish_some(thread, &producer, number);
        }
        if (spans->producer_count > 1) {
            (void)dx_producer_claim_span(&producer, 200); /* closing gives it up */
        }
        dx_producer_close(&producer);
    }
    (void)dx_fetch_add32_acq_rel(&spans->producers_left, -1);
    return stress_end(spans->run);
}

static int on_span(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    spans_t *spans = context;
    (void)end_of_batch;
    stress_check(&spans->checker, event_of(spans->run, "handler", event, sequence), sequence);
    (void)dx_fetch_add_relaxed(&spans->run->progress, 1);
    return DX_HANDLER_CONTINUE;
}

static int on_work(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    spans_t *spans = context;
    (void)end_of_batch;
    if (event_of(spans->run, "worker", event, sequence)->sequence != sequence) {
        stress_break(spans->run, "a worker got another span at %lld", (long long)sequence);
    }
    (void)dx_fetch_add_relaxed(&spans->worked, 1);
    return DX_HANDLER_CONTINUE;
}

/* Comes, looks at what is published from then on, and goes: again and again. */
static void *visit(void *context)
{
    spans_thread_t *thread = context;
    spans_t *spans = thread->spans;
    dx_ring_t *ring = dx_disruptor_ring(spans->disruptor);
    while (dx_load32_acquire(&spans->producers_left) > 0 && !stress_is_broken(spans->run)) {
        dx_consumer_t consumer;
        const dx_consumer_options_t options = {
            .start = stress_random(&thread->random, 2) == 0 ? DX_START_CURSOR : DX_START_OLDEST};
        if (dx_consumer_open(&consumer, ring, &options, NULL) != DX_OK) {
            continue; /* an entry that was left is not free at once */
        }
        stress_checker_t checker;
        stress_checker_init(&checker, spans->run, "visitor", -1);
        for (int i = 0; i < VISITS && !stress_is_broken(spans->run); i++) {
            dx_spans_t range = dx_consumer_spans(&consumer, dx_consumer_poll(&consumer));
            for (const dx_span_t *span; (span = dx_spans_next(&range)) != NULL;) {
                stress_check(&checker, event_of(spans->run, checker.name, span, range.sequence),
                             range.sequence);
            }
            if (range.code != DX_OK) {
                stress_break(spans->run, "a visitor finds no span at %lld", (long long)range.next);
            }
            dx_consumer_release(&consumer, range.next - 1);
            const int64_t published = dx_ring_published(ring);
            if (published < consumer.next - 1) {
                stress_break(spans->run, "published %lld, but %lld was read", (long long)published,
                             (long long)consumer.next - 1);
            }
        }
        dx_consumer_close(&consumer);
    }
    return stress_end(spans->run);
}

static void spans_make(spans_t *spans, stress_run_t *run, uint64_t *random)
{
    memset(spans, 0, sizeof(*spans));
    spans->run = run;
    spans->producer_count = (int)stress_random(random, PRODUCERS_MAX + 1);
    const bool multi = spans->producer_count > 0;
    spans->producer_count = multi ? spans->producer_count : 1;
    dx_store32_relaxed(&spans->producers_left, spans->producer_count);
    stress_checker_init(&spans->checker, run, "handler", 0);
    const dx_disruptor_options_t options = {
        .ring = {.slot_count = (uint32_t)64 << stress_random(random, 5),
                 .spans = true,
                 .mode = multi ? DX_RING_MULTI : DX_RING_SINGLE,
                 .first_sequence = stress_random(random, INT64_C(1) << 40)}};
    assert_ok(dx_disruptor_create(&options, &spans->disruptor, NULL));
    spans->bytes_max = dx_ring_span_bytes_max(dx_disruptor_ring(spans->disruptor));
    const dx_handler_t handler = {.context = spans,
                                  .on_event = on_span,
                                  .batch_max = stress_random(random, 5),
                                  .wait = stress_wait(random)};
    dx_group_t group = {.disruptor = spans->disruptor};
    const bool behind = stress_random(random, 2) == 0;
    assert_ok(dx_disruptor_handle_events_with(spans->disruptor, &handler, 1, behind ? &group : NULL,
                                              NULL));
    dx_handler_t workers[WORKERS_MAX];
    for (int i = 0; i < WORKERS_MAX; i++) {
        workers[i] =
            (dx_handler_t){.context = spans, .on_event = on_work, .wait = stress_wait(random)};
    }
    const dx_pool_t pool = {.workers = workers,
                            .worker_count = 1 + (uint32_t)stress_random(random, WORKERS_MAX),
                            .claim_max = stress_random(random, 5)};
    assert_ok(behind ? dx_group_then_pool(group, &pool, NULL, NULL)
                     : dx_disruptor_handle_events_with_pool(spans->disruptor, &pool, NULL, NULL));
    assert_ok(dx_disruptor_start(spans->disruptor, NULL));
}

void stress_spans(stress_run_t *run)
{
    static spans_t spans; /* outlives a run that is broken */
    static spans_thread_t threads[PRODUCERS_MAX + 2];
    uint64_t random = run->seed * 2 + 1;
    spans_make(&spans, run, &random);
    for (int i = 0; i < spans.producer_count + 2; i++) {
        threads[i] = (spans_thread_t){.spans = &spans, .index = i, .random = random_next(&random)};
        stress_start(run, i < spans.producer_count ? produce : visit, &threads[i]);
    }
    if (!stress_join(run, NULL, NULL)) {
        stress_show(dx_disruptor_ring(spans.disruptor));
        return;
    }
    assert_ok(dx_disruptor_shutdown(spans.disruptor, deadline_ns(), NULL));
    const int64_t published = dx_load_relaxed(&spans.published);
    if (spans.checker.seen != published || dx_load_relaxed(&spans.worked) != published) {
        stress_break(run, "%lld spans were published, %lld seen, %lld worked on",
                     (long long)published, (long long)spans.checker.seen,
                     (long long)dx_load_relaxed(&spans.worked));
    }
    dx_disruptor_destroy(spans.disruptor);
}
