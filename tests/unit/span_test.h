/* span_test.h - spans whose every byte is known, and rings to put them in.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SPAN_TEST_H
#define SPAN_TEST_H

#include "disruptorx/span.h"
#include "ring_test.h"

/* The smallest ring with spans where pages have 4 KiB; the longest span there has 16 slots. */
#define SLOTS 64
#define SLOTS_PER_SPAN_MAX (SLOTS / (int)DX_RING_SPAN_SHARE)
#define BYTES_MAX (SLOTS_PER_SPAN_MAX * (int)DX_RING_SPAN_SLOT_BYTES - (int)sizeof(dx_span_t))

static inline dx_ring_t *span_ring(dx_ring_mode_t mode, int64_t first_sequence)
{
    return ring_from(&(dx_ring_options_t){
        .slot_count = SLOTS, .mode = mode, .spans = true, .first_sequence = first_sequence});
}

static inline uint32_t tag_of(int64_t sequence, uint32_t bytes)
{
    return (uint32_t)sequence * 2654435761U ^ bytes;
}

static inline uint8_t byte_of(int64_t sequence, uint32_t bytes, uint32_t i)
{
    return (uint8_t)(tag_of(sequence, bytes) + i * 7);
}

/* Writes what span_is_right() expects. */
static inline void span_fill(dx_span_t *span, int64_t sequence)
{
    uint8_t *payload = dx_span_payload(span);
    span->tag = tag_of(sequence, span->bytes);
    for (uint32_t i = 0; i < span->bytes; i++) {
        payload[i] = byte_of(sequence, span->bytes, i);
    }
}

static inline bool span_is_right(const dx_span_t *span, int64_t sequence)
{
    const uint8_t *payload = dx_span_payload(span);
    if (span->tag != tag_of(sequence, span->bytes)) {
        return false;
    }
    for (uint32_t i = 0; i < span->bytes; i++) {
        if (payload[i] != byte_of(sequence, span->bytes, i)) {
            return false;
        }
    }
    return true;
}

/* Claims, fills and publishes; the sequence. */
static inline int64_t span_publish(dx_producer_t *producer, uint32_t bytes)
{
    const int64_t sequence = dx_producer_claim_span(producer, bytes);
    if (sequence < 0) {
        return sequence;
    }
    span_fill(dx_producer_span(producer, sequence), sequence);
    const int code = dx_producer_publish_span(producer, sequence);
    return code == DX_OK ? sequence : code;
}

/* Reads and releases all that is readable, checks every byte; how many spans there were. */
static inline int64_t span_consume(dx_consumer_t *consumer)
{
    int64_t count = 0;
    dx_spans_t spans = dx_consumer_spans(consumer, dx_consumer_poll(consumer));
    for (const dx_span_t *span; (span = dx_spans_next(&spans)) != NULL; count++) {
        if (!span_is_right(span, spans.sequence)) {
            fail_msg("the span at %lld is not what was written", (long long)spans.sequence);
        }
    }
    assert_code(spans.code, DX_OK);
    dx_consumer_release(consumer, spans.next - 1);
    return count;
}

#endif
