/* cli/bench_loops.c - the loops that are measured, once for each size of event.
 *
 * Each loop is written once, inlined with the size as a constant, and given a name per size by
 * LOOPS(). Size 0 is the loop for every other size; it multiplies to find a slot.
 *
 * The producer of single events asks for the line it will write soon (dx_producer_prefetch()), as a
 * program that publishes at full speed would. Batches need no such help: their lines are written in
 * one go.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/bench_event.h"
#include "cli/bench_run.h"

DX_INLINE int produce_batches(dx_producer_t *producer, uint64_t first, uint64_t count,
                              const int64_t batch, const uint32_t bytes)
{
    const uint32_t words = dxi_bench_words(bytes, producer->slot_bytes);
    const uint64_t end = first + count;
    for (uint64_t value = first; value < end;) {
        const int64_t last = dx_producer_claim_n(producer, batch);
        if (DX_UNLIKELY(last < 0)) {
            return (int)last;
        }
        for (int64_t sequence = last - batch + 1; sequence <= last; sequence++) {
            uint64_t *const event = dxi_bench_slot(producer->slots, producer->mask, sequence, bytes,
                                                   producer->slot_bytes);
            dxi_bench_event_fill(event, words, value++);
        }
        if (batch == 1) {
            dx_producer_prefetch(producer, last);
        }
        const int result = dx_producer_publish_range(producer, last - batch + 1, last);
        if (DX_UNLIKELY(result != DX_OK)) {
            return result;
        }
    }
    return DX_OK;
}

/* The handle is a value: a local copy lives in registers, and so do its branches when the compiler
 * knows the mode of the ring. */
DX_INLINE int produce(dx_producer_t *shared, uint64_t first, uint64_t count, int64_t batch,
                      const uint32_t bytes)
{
    dx_producer_t producer = *shared;
    int result = DX_OK;
    if (producer.stamps != NULL) {
        result = batch == 1 ? produce_batches(&producer, first, count, 1, bytes)
                            : produce_batches(&producer, first, count, batch, bytes);
    } else {
        dx_producer_assume_single(&producer);
        result = batch == 1 ? produce_batches(&producer, first, count, 1, bytes)
                            : produce_batches(&producer, first, count, batch, bytes);
    }
    *shared = producer;
    return result;
}

typedef struct translation {
    uint64_t value;
    uint32_t words;
} translation_t;

static int translate(void *event, int64_t sequence, void *context)
{
    translation_t *const t = context;
    (void)sequence;
    dxi_bench_event_fill(event, t->words, t->value++);
    return DX_OK;
}

DX_INLINE int translate_batches(dx_producer_t *producer, translation_t *t, uint64_t count,
                                const int64_t batch)
{
    int64_t result = DX_OK;
    for (uint64_t left = count; left != 0 && result >= 0; left -= (uint64_t)batch) {
        result = batch == 1 ? dx_producer_publish_event(producer, translate, t)
                            : dx_producer_publish_events(producer, batch, translate, t);
    }
    return result < 0 ? (int)result : DX_OK;
}

/* As a user writes it: the translator is inlined, its arguments are a struct. */
DX_INLINE int produce_translated(dx_producer_t *shared, uint64_t first, uint64_t count,
                                 int64_t batch, const uint32_t bytes)
{
    dx_producer_t producer = *shared;
    translation_t t = {.value = first, .words = dxi_bench_words(bytes, producer.slot_bytes)};
    dx_producer_assume_single(&producer); /* the scenario has one */
    const int result = batch == 1 ? translate_batches(&producer, &t, count, 1)
                                  : translate_batches(&producer, &t, count, batch);
    *shared = producer;
    return result;
}

DX_INLINE int on_batch(dxi_bench_tally_t *tally, const dx_batch_t *batch, const uint32_t bytes)
{
    const uint32_t words = dxi_bench_words(bytes, batch->slot_bytes);
    uint64_t sum = 0;
    for (int64_t sequence = batch->first; sequence <= batch->last; sequence++) {
        sum += dxi_bench_event_sum(
            dxi_bench_slot(batch->slots, batch->mask, sequence, bytes, batch->slot_bytes), words);
    }
    tally->sum += sum;
    tally->events += (uint64_t)(batch->last - batch->first + 1);
    dxi_bench_batch_end(tally, batch->last);
    return DX_HANDLER_CONTINUE;
}

DX_INLINE int on_event(dxi_bench_tally_t *tally, const uint64_t *event, int64_t sequence,
                       bool end_of_batch, const uint32_t bytes)
{
    const uint32_t words =
        bytes != 0 ? bytes / (uint32_t)sizeof *event : tally->run->params->event_bytes / 8;
    tally->sum += dxi_bench_event_sum(event, words);
    tally->events++;
    if (end_of_batch) {
        dxi_bench_batch_end(tally, sequence);
    }
    return DX_HANDLER_CONTINUE;
}

DX_INLINE void drain(dxi_bench_tally_t *tally, dx_consumer_t *consumer, int64_t last,
                     const uint32_t bytes)
{
    const uint32_t words = dxi_bench_words(bytes, consumer->slot_bytes);
    const int64_t first = consumer->next;
    uint64_t sum = 0;
    for (int64_t sequence = first; sequence <= last; sequence++) {
        if (!dx_consumer_is_hidden(consumer, sequence)) {
            sum += dxi_bench_event_sum(dxi_bench_slot(consumer->slots, consumer->mask, sequence,
                                                      bytes, consumer->slot_bytes),
                                       words);
        }
    }
    dx_consumer_release(consumer, last);
    tally->sum += sum;
    tally->events += (uint64_t)(last - first + 1);
    tally->batches++;
}

#define LOOPS(bytes)                                                                               \
    static int produce_##bytes(dx_producer_t *producer, uint64_t first, uint64_t count,            \
                               int64_t batch)                                                      \
    {                                                                                              \
        return produce(producer, first, count, batch, bytes);                                      \
    }                                                                                              \
    static int produce_translated_##bytes(dx_producer_t *producer, uint64_t first, uint64_t count, \
                                          int64_t batch)                                           \
    {                                                                                              \
        return produce_translated(producer, first, count, batch, bytes);                           \
    }                                                                                              \
    static int on_batch_##bytes(void *context, dx_batch_t *batch)                                  \
    {                                                                                              \
        return on_batch(context, batch, bytes);                                                    \
    }                                                                                              \
    static int on_event_##bytes(void *context, void *event, int64_t sequence, bool end_of_batch)   \
    {                                                                                              \
        return on_event(context, event, sequence, end_of_batch, bytes);                            \
    }                                                                                              \
    static int on_keyed_event_##bytes(void *context, void *event, int64_t sequence,                \
                                      bool end_of_batch)                                           \
    {                                                                                              \
        dxi_bench_tally_t *const tally = context;                                                  \
        tally->keys |= UINT64_C(1) << (*(const uint64_t *)event % DXI_BENCH_KEYS);                 \
        return on_event(tally, event, sequence, end_of_batch, bytes);                              \
    }                                                                                              \
    static void drain_##bytes(dxi_bench_tally_t *tally, dx_consumer_t *consumer, int64_t last)     \
    {                                                                                              \
        drain(tally, consumer, last, bytes);                                                       \
    }

LOOPS(8)
LOOPS(64)
LOOPS(256)
LOOPS(16384)
LOOPS(0)

#define LOOPS_ROW(bytes)                                                                           \
    {                                                                                              \
        (bytes), on_batch_##bytes, on_event_##bytes, on_keyed_event_##bytes, produce_##bytes,      \
            produce_translated_##bytes, drain_##bytes                                              \
    }

const dxi_bench_loops_t *dxi_bench_loops_find(uint32_t event_bytes)
{
    static const dxi_bench_loops_t table[] = {
        LOOPS_ROW(8), LOOPS_ROW(64), LOOPS_ROW(256), LOOPS_ROW(16384), LOOPS_ROW(0),
    };
    size_t i = 0;
    while (table[i].event_bytes != event_bytes && table[i].event_bytes != 0) {
        i++;
    }
    return &table[i];
}
