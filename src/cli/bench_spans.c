/* cli/bench_spans.c - what events of any size cost, and rows to judge that by.
 *
 *     span-32, span-56, span-1k   one producer, one thread that waits and reads: payloads of 32, 56
 *                                 and 1,024 bytes
 *     slot-64, slot-1k            the same over slots of a fixed size: 64 bytes, which is what a
 *                                 span of 56 takes with its header, and 1,024
 *     copy-1k                     one thread that copies 1,024 bytes at a time with memcpy(), from
 *                                 and to memory as large as the ring's slots: no ring, no second
 *                                 thread
 *     span-pingpong               bench_latency.c
 *
 * Both sides touch the whole payload: the producer writes every word, the consumer adds them up;
 * payloads of 1,024 bytes are copied in, and copied out.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "base/fail.h"
#include "cli/bench_event.h"
#include "cli/bench_run.h"
#include "disruptorx/span.h"

/* From here on a payload is moved by memcpy(), as a program would: loops over so many words would
 * be most of what is measured. Their first and last word say which event it is. */
#define COPIED_BYTES 1024u

/* What a thread has beside the ring. */
typedef struct block {
    uint64_t words[COPIED_BYTES / sizeof(uint64_t)];
} block_t;

DX_INLINE void payload_write(uint64_t *words, block_t *block, uint64_t value, const uint32_t bytes)
{
    const uint32_t count = bytes / (uint32_t)sizeof(uint64_t);
    if (bytes != COPIED_BYTES) {
        dxi_bench_event_fill(words, count, value);
        return;
    }
    block->words[0] = value;
    block->words[count - 1] = value + count - 1;
    memcpy(words, block, COPIED_BYTES);
}

/* What the words add up to. */
DX_INLINE uint64_t payload_read(const uint64_t *words, block_t *block, const uint32_t bytes)
{
    const uint32_t count = bytes / (uint32_t)sizeof(uint64_t);
    if (bytes != COPIED_BYTES) {
        return dxi_bench_event_sum(words, count);
    }
    memcpy(block, words, COPIED_BYTES);
    __asm__ __volatile__("" ::"r"(block) : "memory"); /* all of it is copied */
    return (block->words[0] + block->words[count - 1]) * (count / 2);
}

DX_INLINE int produce_spans(dx_producer_t *producer, uint64_t first, uint64_t count,
                            const int64_t batch, const uint32_t bytes)
{
    block_t block = {{0}};
    const uint64_t end = first + count;
    for (uint64_t value = first; value < end;) {
        int64_t from = 0;
        int64_t sequence = 0;
        for (int64_t i = 0; i < batch; i++) {
            sequence = dx_producer_claim_span(producer, bytes);
            if (DX_UNLIKELY(sequence < 0)) {
                return (int)sequence;
            }
            from = i == 0 ? sequence : from;
            payload_write(dx_span_payload(dx_producer_span(producer, sequence)), &block, value++,
                          bytes);
        }
        if (batch == 1) {
            dx_producer_prefetch_span(producer, sequence);
        }
        const int result = dx_producer_publish_spans(producer, from, sequence);
        if (DX_UNLIKELY(result != DX_OK)) {
            return result;
        }
    }
    return DX_OK;
}

DX_INLINE int produce_slots(dx_producer_t *producer, uint64_t first, uint64_t count,
                            const int64_t batch, const uint32_t bytes)
{
    block_t block = {{0}};
    const uint64_t end = first + count;
    for (uint64_t value = first; value < end;) {
        const int64_t last = dx_producer_claim_n(producer, batch);
        if (DX_UNLIKELY(last < 0)) {
            return (int)last;
        }
        for (int64_t sequence = last - batch + 1; sequence <= last; sequence++) {
            payload_write(dxi_bench_slot(producer->slots, producer->mask, sequence, bytes,
                                         producer->slot_bytes),
                          &block, value++, bytes);
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

/* A local copy of the handle: see bench_loops.c. */
DX_INLINE int produce(dx_producer_t *shared, uint64_t first, uint64_t count, int64_t batch,
                      const uint32_t bytes, bool spans)
{
    dx_producer_t producer = *shared;
    int result = DX_OK;
    dx_producer_assume_single(&producer);
    if (spans) {
        result = batch == 1 ? produce_spans(&producer, first, count, 1, bytes)
                            : produce_spans(&producer, first, count, batch, bytes);
    } else {
        result = batch == 1 ? produce_slots(&producer, first, count, 1, bytes)
                            : produce_slots(&producer, first, count, batch, bytes);
    }
    *shared = producer;
    return result;
}

/* Reads and releases what is readable up to `last`. */
DX_INLINE int read_spans(dxi_bench_tally_t *tally, dx_consumer_t *consumer, int64_t last,
                         const uint32_t bytes)
{
    block_t block;
    uint64_t sum = 0;
    uint64_t events = 0;
    dx_spans_t spans = dx_consumer_spans(consumer, last);
    for (const dx_span_t *span; (span = dx_spans_next(&spans)) != NULL; events++) {
        sum += payload_read(dx_span_payload(span), &block, bytes);
    }
    dx_consumer_release(consumer, spans.next - 1);
    tally->sum += sum;
    tally->events += events;
    tally->batches++;
    return spans.code;
}

DX_INLINE int read_slots(dxi_bench_tally_t *tally, dx_consumer_t *consumer, int64_t last,
                         const uint32_t bytes)
{
    block_t block;
    uint64_t sum = 0;
    const int64_t first = consumer->next;
    for (int64_t sequence = first; sequence <= last; sequence++) {
        if (!dx_consumer_is_hidden(consumer, sequence)) {
            sum += payload_read(dxi_bench_slot(consumer->slots, consumer->mask, sequence, bytes,
                                               consumer->slot_bytes),
                                &block, bytes);
        }
    }
    dx_consumer_release(consumer, last);
    tally->sum += sum;
    tally->events += (uint64_t)(last - first + 1);
    tally->batches++;
    return DX_OK;
}

DX_INLINE int read_all(dxi_bench_run_t *run, const uint32_t bytes)
{
    dxi_bench_tally_t *const tally = &run->tallies[0];
    dx_consumer_t *const consumer = &run->consumers[0];
    const bool spans = run->scenario->spans;
    int result = DX_OK;
    while (tally->events < run->events && result == DX_OK) {
        const int64_t last = dx_consumer_wait(consumer);
        if (DX_UNLIKELY(last < 0)) {
            return (int)last;
        }
        result = spans ? read_spans(tally, consumer, last, bytes)
                       : read_slots(tally, consumer, last, bytes);
    }
    return result;
}

DX_INLINE int produce_all(dxi_bench_run_t *run, const uint32_t bytes)
{
    uint64_t first = 0;
    const uint64_t count = dxi_bench_share(run, 0, &first);
    return produce(&run->producers[0], first, count, run->params->batch, bytes,
                   run->scenario->spans);
}

int dxi_bench_spans_thread(dxi_bench_run_t *run, uint32_t index)
{
    switch (run->params->event_bytes) {
    case 32:
        return index == 0 ? produce_all(run, 32) : read_all(run, 32);
    case 56:
        return index == 0 ? produce_all(run, 56) : read_all(run, 56);
    case 64:
        return index == 0 ? produce_all(run, 64) : read_all(run, 64);
    case COPIED_BYTES:
        return index == 0 ? produce_all(run, COPIED_BYTES) : read_all(run, COPIED_BYTES);
    default:
        return index == 0 ? produce_all(run, run->params->event_bytes)
                          : read_all(run, run->params->event_bytes);
    }
}

int dxi_bench_copy_open(dxi_bench_run_t *run, dx_error_t *error)
{
    /* The slots of rings that nothing else is done with: the same pages as in the other rows. */
    const int result = dxi_bench_ring_open(run, 0, 0, 0, error);
    return result == DX_OK ? dxi_bench_ring_open(run, 1, 0, 0, error) : result;
}

int dxi_bench_copy_thread(dxi_bench_run_t *run, uint32_t index)
{
    if (index != 0) {
        return DX_OK;
    }
    const char *const from = dxi_block_slots(dx_ring_block(run->rings[0]));
    char *const to = dxi_block_slots(dx_ring_block(run->rings[1]));
    const uint32_t bytes = run->params->event_bytes;
    const uint64_t mask = run->params->capacity - 1;
    dxi_bench_tally_t *const tally = &run->tallies[0];
    for (uint64_t i = 0; i < run->events; i++) {
        memcpy(to + (i & mask) * bytes, from + (i & mask) * bytes, bytes);
        __asm__ __volatile__("" ::"r"(to) : "memory"); /* each copy is made */
    }
    tally->events = run->events;
    tally->batches = 1;
    return DX_OK;
}
