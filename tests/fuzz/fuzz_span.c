/* fuzz_span.c - a ring with spans whose memory says anything: whoever walks it must come to an end,
 * inside of it.
 *
 * The input is written over the block of a small ring: the words that move, the stamps, the marks
 * and the slots. What is read-only once a ring is made stays: who attaches to a ring checks it
 * first. Then everything that finds its way by headers is called.
 *
 *     byte 0      bit 0: the mode; bit 1: a consumer behind the first one
 *     4 bytes     where the slots are filled from
 *     the rest    over the words, then over the slots
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "disruptorx/span.h"
#include "ring/ring_internal.h"

#define SLOTS 64u
#define HEADER_BYTES 5u
#define POLLS 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a reader may see of one span: all of its payload must be memory. */
static uint64_t touch(const dx_span_t *span)
{
    const uint8_t *payload = dx_span_payload(span);
    uint64_t sum = span->tag;
    for (uint32_t i = 0; i < span->bytes; i++) {
        sum += payload[i];
    }
    return sum;
}

static int take(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    uint64_t *sum = context;
    (void)sequence;
    (void)end_of_batch;
    *sum += touch(event);
    return DX_OK;
}

static void overwrite(void *to, size_t bytes, const uint8_t **data, size_t *size)
{
    const size_t count = bytes < *size ? bytes : *size;
    memcpy(to, *data, count);
    *data += count;
    *size -= count;
}

/* Reads what a poll says is there, as an application does. */
static void read_all(dx_consumer_t *consumer, uint64_t *sum)
{
    for (int i = 0; i < POLLS; i++) {
        dx_spans_t spans = dx_consumer_spans(consumer, dx_consumer_poll(consumer));
        int64_t count = 0;
        for (const dx_span_t *span; (span = dx_spans_next(&spans)) != NULL; count++) {
            *sum += touch(span);
        }
        if (count > (int64_t)SLOTS || spans.next < consumer->next) {
            abort(); /* more than the ring holds, or backwards */
        }
        dx_consumer_release(consumer, spans.next - 1);
    }
    (void)!dx_consumer_drain(consumer, take, sum, 3);
    (void)!dx_consumer_drain(consumer, take, sum, 0);
}

/* Everybody else who walks. */
static void look_around(dx_ring_t *ring, const dx_consumer_t *consumer, uint64_t *sum)
{
    dx_ring_block_t *block = dx_ring_block(ring);
    dx_ring_stat_t stat;
    dx_ring_stat(ring, &stat);
    *sum += (uint64_t)stat.published;
    const int64_t first = consumer->next;
    for (int64_t i = 0; i < (int64_t)SLOTS; i++) {
        const int64_t slots = dxi_span_slots(block, first + i);
        if (slots < 1 || slots > (int64_t)(SLOTS / DX_RING_SPAN_SHARE)) {
            abort(); /* S5 */
        }
        *sum += (uint64_t)dx_ring_is_available(ring, first + i);
        *sum += (uint64_t)dxi_event_next(block, first + i);
    }
    *sum += (uint64_t)dxi_span_claim_end(block, first, first + SLOTS - 1, 16);
    *sum += (uint64_t)dxi_span_floor(block, first - 1, first + SLOTS / 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEADER_BYTES) {
        return 0;
    }
    const dx_ring_options_t options = {.slot_count = SLOTS,
                                       .spans = true,
                                       .mode = (data[0] & 1) != 0 ? DX_RING_MULTI : DX_RING_SINGLE,
                                       .first_sequence = 3 * SLOTS + 60,
                                       .consumers_max = 2,
                                       .producers_max = 1};
    const bool two = (data[0] & 2) != 0;
    uint32_t at = 0;
    memcpy(&at, data + 1, sizeof(at));
    data += HEADER_BYTES;
    size -= HEADER_BYTES;

    dx_ring_t *ring = NULL;
    dx_consumer_t consumers[2];
    if (dx_ring_create(&options, &ring, NULL) != DX_OK) {
        return 0;
    }
    dx_ring_block_t *block = dx_ring_block(ring);
    if (dx_consumer_open(&consumers[0], ring, NULL, NULL) == DX_OK) {
        const dx_consumer_options_t behind = {.upstream = UINT64_C(1) << consumers[0].index};
        int32_t last = 0;
        if (two && dx_consumer_open(&consumers[1], ring, &behind, NULL) == DX_OK) {
            last = 1;
        }
        overwrite(&block->cursor, sizeof(block->cursor), &data, &size);
        overwrite(&block->claimed, sizeof(block->claimed), &data, &size);
        overwrite(&block->marks_last, sizeof(block->marks_last), &data, &size);
        if (options.mode == DX_RING_MULTI) {
            overwrite(dxi_block_stamps(block), SLOTS * sizeof(dx_atomic32_t), &data, &size);
        }
        overwrite(dxi_block_marks(block), SLOTS * sizeof(dx_atomic64_t), &data, &size);
        /* Across the end of the slots, as a span lies. */
        const uint32_t offset = at % (SLOTS * DX_RING_SPAN_SLOT_BYTES);
        overwrite(dxi_block_slots(block) + offset, SLOTS * DX_RING_SPAN_SLOT_BYTES, &data, &size);

        uint64_t sum = 0;
        look_around(ring, &consumers[0], &sum);
        read_all(&consumers[0], &sum);
        read_all(&consumers[last], &sum);
        *(volatile uint64_t *)&sum = sum;
    }
    dx_ring_destroy(ring);
    return 0;
}
