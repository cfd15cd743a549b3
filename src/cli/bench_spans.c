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
 * Both sides touch the whole payload: the producer writes every word, the consumer adds them up.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "base/fail.h"
#include "cli/bench_event.h"
#include "cli/bench_run.h"
#include "disruptorx/span.h"

DX_INLINE int produce_spans(dx_producer_t *producer, uint64_t first, uint64_t count,
                            const int64_t batch, const uint32_t bytes)
{
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
            uint64_t *words = dx_span_payload(dx_producer_span(producer, sequence));
            dxi_bench_event_fill(words, bytes / (uint32_t)sizeof(uint64_t), value++);
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

/* A local copy of the handle: see bench_loops.c. */
DX_INLINE int produce(dx_producer_t *shared, uint64_t first, uint64_t count, int64_t batch,
                      const uint32_t bytes)
{
    dx_producer_t producer = *shared;
    dx_producer_assume_single(&producer);
    const int result = batch == 1 ? produce_spans(&producer, first, count, 1, bytes)
                                  : produce_spans(&producer, first, count, batch, bytes);
    *shared = producer;
    return result;
}

DX_INLINE int read_spans(dxi_bench_tally_t *tally, dx_consumer_t *consumer, int64_t last,
                         const uint32_t bytes)
{
    uint64_t sum = 0;
    uint64_t events = 0;
    dx_spans_t spans = dx_consumer_spans(consumer, last);
    for (const dx_span_t *span; (span = dx_spans_next(&spans)) != NULL; events++) {
        sum += dxi_bench_event_sum(dx_span_payload(span), bytes / (uint32_t)sizeof(uint64_t));
    }
    dx_consumer_release(consumer, spans.next - 1);
    tally->sum += sum;
    tally->events += events;
    tally->batches++;
    return spans.code;
}

static int produce_any(dx_producer_t *producer, uint64_t first, uint64_t count, int64_t batch,
                       uint32_t bytes)
{
    switch (bytes) {
    case 32:
        return produce(producer, first, count, batch, 32);
    case 56:
        return produce(producer, first, count, batch, 56);
    case 1024:
        return produce(producer, first, count, batch, 1024);
    default:
        return produce(producer, first, count, batch, bytes);
    }
}

static int read_any(dxi_bench_tally_t *tally, dx_consumer_t *consumer, int64_t last, uint32_t bytes)
{
    switch (bytes) {
    case 32:
        return read_spans(tally, consumer, last, 32);
    case 56:
        return read_spans(tally, consumer, last, 56);
    case 1024:
        return read_spans(tally, consumer, last, 1024);
    default:
        return read_spans(tally, consumer, last, bytes);
    }
}

int dxi_bench_spans_thread(dxi_bench_run_t *run, uint32_t index)
{
    const uint32_t bytes = run->params->event_bytes;
    const bool spans = run->scenario->spans;
    const dxi_bench_loops_t *const loops = dxi_bench_loops_find(bytes);
    if (index == 0) {
        uint64_t first = 0;
        const uint64_t count = dxi_bench_share(run, index, &first);
        const int64_t batch = run->params->batch;
        return spans ? produce_any(&run->producers[0], first, count, batch, bytes)
                     : loops->produce(&run->producers[0], first, count, batch);
    }
    dxi_bench_tally_t *const tally = &run->tallies[0];
    dx_consumer_t *const consumer = &run->consumers[0];
    int result = DX_OK;
    while (tally->events < run->events && result == DX_OK) {
        const int64_t last = dx_consumer_wait(consumer);
        if (DX_UNLIKELY(last < 0)) {
            return (int)last;
        }
        if (spans) {
            result = read_any(tally, consumer, last, bytes);
        } else {
            loops->drain(tally, consumer, last);
        }
    }
    return result;
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
