/* disruptorx/span.h - events of any size, in place: spans.
 *
 * A ring made with dx_ring_options_t.spans has slots of 64 bytes. A span is an event that takes as
 * many slots in a row as its payload needs:
 *
 *     sequence              sequence + 1                    sequence + slots - 1
 *     [ header | payload .. | .............................. | ............ unused ]
 *
 * The payload is one piece of memory, aligned to 8 bytes, wherever in the ring it lies: the slots
 * are mapped twice in a row, so a span that begins in the last slot goes on in the first. Nothing
 * is copied, and nothing is wasted at the wrap.
 *
 *     const int64_t sequence = dx_producer_claim_span(&producer, bytes);
 *     if (sequence < 0) { ... }
 *     dx_span_t *span = dx_producer_span(&producer, sequence);
 *     span->tag = KIND_ORDER;
 *     memcpy(dx_span_payload(span), order, bytes);
 *     (void)dx_producer_publish_span(&producer, sequence);
 *
 *     dx_spans_t spans = dx_consumer_spans(&consumer, dx_consumer_poll(&consumer));
 *     for (dx_span_t *span; (span = dx_spans_next(&spans)) != NULL;) {
 *         use(span->tag, dx_span_payload(span), span->bytes);
 *     }
 *     dx_consumer_release(&consumer, spans.next - 1);
 *
 * A span's sequence is that of its first slot, so sequences of spans have gaps. Whatever counts
 * events (dx_consumer_stat_t, batch_max, claim_max, the limit of dx_consumer_drain()) counts spans;
 * whatever is a difference of sequences (lag, depth, remaining, the depth that on_batch_start() is
 * told, wait.follow_slots) counts slots. A handler gets the dx_span_t as its event. A consumer
 * releases whole spans: up to the slot before the next one, as above.
 *
 * The claims of disruptorx/producer.h return DX_EINVAL on a ring with spans, and those below
 * DX_EINVAL on a ring without, so neither can corrupt the other. Publishing a span as if it were an
 * event is an assertion only: the hot path does not pay for it.
 *
 * A header is written by the claim and says how far the span reaches: `bytes` must not be changed
 * afterwards, by anybody. `tag` is the user's. Each consumer checks every header: where memory was
 * damaged it gets DX_ECORRUPT and no span, never a pointer outside the ring.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DISRUPTORX_SPAN_H
#define DISRUPTORX_SPAN_H

#include "disruptorx/consumer.h"
#include "disruptorx/disruptor.h"
#include "disruptorx/producer.h"

DX_EXTERN_C_BEGIN

/* The header; the payload lies right behind it. */
typedef struct dx_span {
    uint32_t bytes; /* of the payload; read-only */
    uint32_t tag;   /* the user's; 0 after the claim */
} dx_span_t;

/* The payload: span->bytes of it, aligned to 8.
 * Threads: any. */
DX_INLINE void *dx_span_payload(const dx_span_t *span)
{
    return (void *)((uintptr_t)span + sizeof(dx_span_t));
}

/* How many slots a payload of `bytes` takes, at least 1.
 * Threads: any. */
DX_INLINE int64_t dx_span_slots(uint32_t bytes)
{
    return ((int64_t)bytes + (int64_t)sizeof(dx_span_t) + DX_RING_SPAN_SLOT_BYTES - 1) /
           DX_RING_SPAN_SLOT_BYTES;
}

/* The longest payload: a span takes at most slot_count / DX_RING_SPAN_SHARE slots.
 * Returns the bytes, or DX_EINVAL for a ring without spans.
 * Threads: any. */
DX_API int64_t dx_ring_span_bytes_max(const dx_ring_t *ring);

/* ---------------------------------------------------------------------------------- publishing */

/* The slow paths of the functions below. Not for users. */
DX_API dxi_claim_t dxi_claim_span_slow(dxi_producer_core_t *core, int64_t claimed, int64_t held,
                                       int64_t slots, int64_t spans, int64_t timeout_ns);
DX_API void dxi_span_void(dxi_producer_core_t *core, int64_t first, int64_t last, int64_t spans);
DX_API void dxi_span_refresh(dx_ring_block_t *block, int64_t first, int64_t last);
DX_API int64_t dxi_span_hidden(const dx_consumer_t *consumer, int64_t sequence);

/* How far a reader fetches ahead. */
#define DXI_SPAN_AHEAD_SLOTS 8

/* Laps between two refreshes of the stamps behind first slots, less one: see src/ring/span.c. */
#define DXI_SPAN_REFRESH_MASK ((1u << 24) - 1)

/* The header at a sequence, given the slots and their mask. */
DX_INLINE dx_span_t *dxi_span_at(char *slots, int64_t mask, int64_t sequence)
{
    return (dx_span_t *)(void *)(slots + (size_t)(sequence & mask) * DX_RING_SPAN_SLOT_BYTES);
}

/* The span of a claimed sequence.
 * Threads: producer. */
DX_INLINE dx_span_t *dx_producer_span(const dx_producer_t *producer, int64_t sequence)
{
    return dxi_span_at(producer->slots, producer->mask, sequence);
}

/* Claims by the slow path and takes over what it found out. `slots` is 0 for a span too long. */
DX_INLINE int64_t dxi_claim_slots_otherwise(dx_producer_t *producer, int64_t slots, int64_t spans,
                                            int64_t timeout_ns)
{
    const dxi_claim_t claim = dxi_claim_span_slow(producer->core, producer->claimed,
                                                  producer->held != 0 ? producer->held_first : -1,
                                                  slots, spans, timeout_ns);
    producer->span_limit = claim.limit;
    if (claim.last >= 0) {
        producer->claimed = claim.last;
        dxi_producer_held(producer, slots);
    }
    return claim.last;
}

/* Claims `slots` slots for `spans` spans: the last of them, or an error. The steps, and their
 * orders, are those of dxi_claim_events(). */
DX_INLINE int64_t dxi_claim_slots(dx_producer_t *producer, int64_t slots, int64_t spans,
                                  int64_t timeout_ns)
{
    dx_ring_block_t *block = producer->block;

    if (producer->stamps == NULL) {
        if (DX_UNLIKELY(slots > producer->span_limit - producer->claimed || slots < 1 ||
                        dx_load_relaxed(&block->signal) < 0)) {
            return dxi_claim_slots_otherwise(producer, slots, spans, timeout_ns);
        }
        producer->claimed += slots;
        return producer->claimed;
    }

    if (DX_UNLIKELY(slots < 1 || dx_load_relaxed(&block->signal) < 0)) {
        return dxi_claim_slots_otherwise(producer, slots, spans, timeout_ns);
    }
    __builtin_prefetch(&block->claimed, 1, 3);
    int64_t claimed = dx_load_relaxed(&block->claimed);
    if (DX_UNLIKELY(slots > producer->span_limit - claimed)) {
        return dxi_claim_slots_otherwise(producer, slots, spans, timeout_ns);
    }
    dxi_producer_hold(producer->entry, producer->held != 0 ? producer->held_first : claimed + 1,
                      claimed + slots);
    if (DX_UNLIKELY(!dx_compare_exchange_acq_rel(&block->claimed, &claimed, claimed + slots))) {
        return dxi_claim_slots_otherwise(producer, slots, spans, timeout_ns);
    }
    producer->claimed = claimed + slots;
    dxi_producer_held(producer, slots);
    return producer->claimed;
}

/* The slots for a payload, 0 when it is too long. */
DX_INLINE int64_t dxi_slots_for(const dx_producer_t *producer, size_t bytes)
{
    return DX_UNLIKELY(bytes > (uint64_t)producer->span_bytes_max) ? 0
                                                                   : dx_span_slots((uint32_t)bytes);
}

/* Writes the header of a span at a sequence. */
DX_INLINE void dxi_span_begin(const dx_producer_t *producer, int64_t sequence, size_t bytes)
{
    dx_span_t *span = dx_producer_span(producer, sequence);
    span->bytes = (uint32_t)bytes;
    span->tag = 0;
}

/* The end of a claim of one span: its sequence, or the error. */
DX_INLINE int64_t dxi_span_claimed(const dx_producer_t *producer, int64_t last, int64_t slots,
                                   size_t bytes)
{
    if (DX_UNLIKELY(last < 0)) {
        return last;
    }
    const int64_t sequence = last - slots + 1;
    dxi_span_begin(producer, sequence, bytes);
    return sequence;
}

/* Claims a span for a payload of `bytes`, 0 to dx_ring_span_bytes_max(), and writes its header.
 * When the ring is full, the producer's policy decides.
 * Returns its sequence, or an error as dx_producer_claim_n(); DX_EINVAL when it is too long.
 * Threads: producer. */
DX_INLINE int64_t dx_producer_claim_span(dx_producer_t *producer, size_t bytes)
{
    const int64_t slots = dxi_slots_for(producer, bytes);
    return dxi_span_claimed(producer, dxi_claim_slots(producer, slots, 1, DXI_CLAIM_BY_POLICY),
                            slots, bytes);
}

/* Claims `count` spans in a row, for payloads of bytes[0] to bytes[count - 1], and writes their
 * headers: all or none. The sequence of each is that of the one before it plus
 * dx_span_slots(bytes of the one before it).
 * Returns the sequence of the first, or an error as dx_producer_claim_span(); DX_EINVAL also when
 * `count` is 0 or they take more slots than the ring has.
 * Threads: producer. */
DX_INLINE int64_t dx_producer_claim_spans(dx_producer_t *producer, const uint32_t *bytes,
                                          uint32_t count)
{
    int64_t slots = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (DX_UNLIKELY(bytes[i] > producer->span_bytes_max)) {
            return DX_EINVAL;
        }
        slots += dx_span_slots(bytes[i]);
    }
    const int64_t last = dxi_claim_slots(producer, slots, count, DXI_CLAIM_BY_POLICY);
    if (DX_UNLIKELY(last < 0)) {
        return last;
    }
    int64_t sequence = last - slots + 1;
    for (uint32_t i = 0; i < count; i++) {
        dxi_span_begin(producer, sequence, bytes[i]);
        sequence += dx_span_slots(bytes[i]);
    }
    return last - slots + 1;
}

/* Claims without waiting, whatever the policy.
 * Returns as dx_producer_claim_span(), DX_EAGAIN when the ring is full.
 * Threads: producer. */
DX_INLINE DX_NODISCARD int64_t dx_producer_try_claim_span(dx_producer_t *producer, size_t bytes)
{
    const int64_t slots = dxi_slots_for(producer, bytes);
    const int64_t last = dxi_claim_slots(producer, slots, 1, DXI_CLAIM_TRY);
    return dxi_span_claimed(producer, last, slots, bytes);
}

/* Claims, waiting with the producer's strategy for at most `timeout_ns` (0 = not at all), whatever
 * the policy.
 * Returns as dx_producer_claim_span(), DX_ETIMEDOUT.
 * Threads: producer. */
DX_INLINE DX_NODISCARD int64_t dx_producer_claim_span_timed(dx_producer_t *producer, size_t bytes,
                                                            int64_t timeout_ns)
{
    const int64_t slots = dxi_slots_for(producer, bytes);
    const int64_t last =
        dxi_claim_slots(producer, slots, 1, timeout_ns > 0 ? timeout_ns : DXI_CLAIM_TRY);
    return dxi_span_claimed(producer, last, slots, bytes);
}

/* Makes several spans readable at once: `first` and `last` are the sequences of the first and the
 * last of those that one dx_producer_claim_spans() has claimed; on a single-producer ring also of
 * any others claimed in a row. There, one store publishes them all.
 * Returns as dx_producer_publish_range().
 * Threads: producer. */
DX_INLINE int dx_producer_publish_spans(dx_producer_t *producer, int64_t first, int64_t last)
{
    dx_ring_block_t *block = producer->block;

    assert(first <= last);
    if (producer->stamps == NULL) {
        const int64_t end = last + dx_span_slots(dx_producer_span(producer, last)->bytes) - 1;
        assert(first == dx_load_relaxed(&block->cursor) + 1 &&
               "published out of the order of claims");
        assert(end <= producer->claimed && "the header was overwritten");
        /* As (P) in dx_producer_publish_range(). */
        dx_store_release(&block->cursor, end);
        return dxi_published_wake(producer, first, end);
    }
    int64_t next = first;
    while (next <= last) {
        const int64_t sequence = next;
        next += dx_span_slots(dx_producer_span(producer, sequence)->bytes);
        assert(next <= producer->claimed + 1 && "the header was overwritten");
        const int32_t lap = (int32_t)(sequence >> producer->slot_shift);
        if (DX_UNLIKELY((((uint32_t)lap + 1) & DXI_SPAN_REFRESH_MASK) <= 1)) {
            dxi_span_refresh(block, sequence, next - 1); /* S4 */
        }
        /* (S) RELEASE, pairs with the acquire in dxi_span_observe(): the whole span, header and
         * payload, becomes visible no later than its one stamp. From here on it may be gone: the
         * header was read before. */
        dx_store32_release(&producer->stamps[sequence & producer->mask], lap);
    }
    dxi_producer_let_go(producer, first, next - 1);
    return dxi_published_wake(producer, first, next - 1);
}

/* Makes one span readable. See dx_producer_publish_spans().
 * Threads: producer. */
DX_INLINE int dx_producer_publish_span(dx_producer_t *producer, int64_t sequence)
{
    return dx_producer_publish_spans(producer, sequence, sequence);
}

/* Gives up claimed, unpublished spans, `first` to `last` as in dx_producer_publish_spans(): no
 * consumer will see them, nor be held up.
 * Returns as dx_producer_publish_range().
 * Threads: producer. */
DX_INLINE int dx_producer_abort_spans(dx_producer_t *producer, int64_t first, int64_t last)
{
    int64_t spans = 0;
    int64_t next = first;

    assert(first <= last);
    for (; next <= last; spans++) {
        next += dx_span_slots(dx_producer_span(producer, next)->bytes);
    }
    assert(next <= producer->claimed + 1 && "the header was overwritten");
    if (producer->stamps == NULL && next == producer->claimed + 1) {
        /* Nobody has seen it: the newest claims of the only producer can be taken back. */
        producer->claimed = first - 1;
        dx_store_relaxed(&producer->entry->aborts,
                         dx_load_relaxed(&producer->entry->aborts) + spans);
        return dx_load_relaxed(&producer->block->signal) < 0 ? DX_ECLOSED : DX_OK;
    }
    dxi_span_void(producer->core, first, next - 1, spans);
    return dxi_publish_slots(producer, first, next - 1);
}

/* Gives up one span. See dx_producer_abort_spans().
 * Threads: producer. */
DX_INLINE int dx_producer_abort_span(dx_producer_t *producer, int64_t sequence)
{
    return dx_producer_abort_spans(producer, sequence, sequence);
}

/* Claims a span, copies `bytes` of payload into it, and publishes.
 * Returns the sequence, or an error as dx_producer_claim_span().
 * Threads: producer. */
DX_INLINE int64_t dx_producer_publish_span_copy(dx_producer_t *producer, uint32_t tag,
                                                const void *payload, size_t bytes)
{
    const int64_t sequence = dx_producer_claim_span(producer, bytes);
    if (DX_UNLIKELY(sequence < 0)) {
        return sequence;
    }
    dx_span_t *span = dx_producer_span(producer, sequence);
    span->tag = tag;
    if (bytes != 0) { /* `payload` may be NULL then */
        memcpy(dx_span_payload(span), payload, bytes);
    }
    const int published = dx_producer_publish_span(producer, sequence);
    return DX_LIKELY(published == DX_OK) ? sequence : published;
}

/* Claims a span of `bytes`, has `translate` fill it (its event is the dx_span_t) and publishes.
 * Returns the sequence, or an error as dx_producer_claim_span(), or the translator's: the span is
 * then aborted.
 * Threads: producer. */
DX_INLINE int64_t dx_producer_publish_span_event(dx_producer_t *producer, size_t bytes,
                                                 dx_translator_t translate, void *context)
{
    const int64_t sequence = dx_producer_claim_span(producer, bytes);
    if (DX_UNLIKELY(sequence < 0)) {
        return sequence;
    }
    const int result = translate(dx_producer_span(producer, sequence), sequence, context);
    if (DX_UNLIKELY(result != DX_OK)) {
        (void)dx_producer_abort_span(producer, sequence);
        return result < 0 ? result : DX_EINVAL;
    }
    const int published = dx_producer_publish_span(producer, sequence);
    return DX_LIKELY(published == DX_OK) ? sequence : published;
}

/* As dx_producer_prefetch(), for a span: fetches for writing as many lines as the span takes, those
 * that the next one of its length would take, or some way ahead when it is short.
 * Threads: producer. */
DX_INLINE void dx_producer_prefetch_span(const dx_producer_t *producer, int64_t sequence)
{
    const int64_t slots = dx_span_slots(dx_producer_span(producer, sequence)->bytes);
    const int64_t distance = slots > producer->prefetch_slots ? slots : producer->prefetch_slots;
    const int64_t ahead = sequence + distance;
    if (ahead + slots - 1 <= producer->span_limit) {
        const char *line = (const char *)dx_producer_span(producer, ahead);
        for (int64_t i = 0; i < slots; i++) { /* the mirror lies behind the last slot */
            __builtin_prefetch(line + i * DX_RING_SPAN_SLOT_BYTES, 1, 3);
        }
    }
}

/* ------------------------------------------------------------------------------------- reading */

/* Goes through the spans of a readable range. A value: copy it freely. */
typedef struct dx_spans {
    int64_t sequence; /* of the span that was given last */
    int64_t next;     /* the first slot behind all that was given or left out: where to go on */
    int64_t last;     /* the last slot of the range */
    int code;         /* DX_OK; DX_ECORRUPT when the range ended at `next`, which is no span;
                       * DX_EINVAL when the ring has none */

    /* Private. */
    char *slots;
    int64_t mask;
    int64_t marks_last; /* nothing behind it is hidden */
    const dx_consumer_t *consumer;
} dx_spans_t;

DX_INLINE dx_spans_t dxi_spans(char *slots, int64_t mask, int64_t first, int64_t last)
{
    dx_spans_t spans;
    spans.sequence = first - 1;
    spans.next = first;
    spans.last = last;
    spans.code = DX_OK;
    spans.slots = slots;
    spans.mask = mask;
    spans.marks_last = INT64_MIN;
    spans.consumer = NULL;
    return spans;
}

DX_INLINE void dxi_spans_end(dx_spans_t *spans, int code)
{
    spans->code = code;
    spans->last = spans->next - 1;
}

/* The spans from consumer->next to `last`, which dx_consumer_poll() or dx_consumer_wait() returned
 * (an error of the latter gives none). Those that must not be used are left out: see
 * dx_consumer_is_hidden().
 * Threads: consumer. */
DX_INLINE dx_spans_t dx_consumer_spans(const dx_consumer_t *consumer, int64_t last)
{
    dx_spans_t spans = dxi_spans(consumer->slots, consumer->mask, consumer->next, last);
    spans.consumer = consumer;
    /* RELAXED, and once for all: the marks of what is readable were raised before it was published
     * (or released by the upstream consumer), and we have acquired that. */
    spans.marks_last = dx_load_relaxed(&consumer->block->marks_last);
    if (DX_UNLIKELY(consumer->block->spans == 0)) {
        dxi_spans_end(&spans, DX_EINVAL);
    } else if (DX_UNLIKELY(last - spans.next > consumer->mask)) {
        dxi_spans_end(&spans, DX_ECORRUPT); /* more than the ring holds */
    }
    return spans;
}

/* The spans of a handler's batch.
 * Threads: the handler's. */
DX_INLINE dx_spans_t dx_batch_spans(const dx_batch_t *batch)
{
    dx_spans_t spans = dxi_spans(batch->slots, batch->mask, batch->first, batch->last);
    if (DX_UNLIKELY(!batch->spans)) {
        dxi_spans_end(&spans, DX_EINVAL);
    }
    return spans;
}

/* Where the next span begins stands in the header of this one, so a processor can't load both at
 * once as it does with slots of a fixed size. Fetched some way ahead, a header is at hand when it
 * is its turn; but not what lies behind the range: that is being written. */
DX_INLINE void dxi_spans_prefetch(const dx_spans_t *spans, int64_t sequence)
{
    const int64_t ahead = sequence + DXI_SPAN_AHEAD_SLOTS;
    __builtin_prefetch(
        dxi_span_at(spans->slots, spans->mask, ahead < spans->last ? ahead : spans->last), 0, 3);
}

/* The next span, or NULL at the end of the range: `code` says whether that was its true end.
 * Threads: as that of the range. */
DX_INLINE dx_span_t *dx_spans_next(dx_spans_t *spans)
{
    while (DX_LIKELY(spans->next <= spans->last)) {
        const int64_t sequence = spans->next;
        int64_t hidden = 0;
        if (DX_UNLIKELY(sequence <= spans->marks_last)) {
            hidden = dxi_span_hidden(spans->consumer, sequence);
        }
        dx_span_t *span = dxi_span_at(spans->slots, spans->mask, sequence);
        dxi_spans_prefetch(spans, sequence);
        const int64_t next =
            sequence + (DX_UNLIKELY(hidden != 0) ? hidden : dx_span_slots(span->bytes));
        if (DX_UNLIKELY(next > spans->last + 1)) {
            dxi_spans_end(spans, DX_ECORRUPT);
            return NULL;
        }
        spans->next = next;
        if (DX_LIKELY(hidden == 0)) {
            spans->sequence = sequence;
            return span;
        }
    }
    return NULL;
}

DX_EXTERN_C_END
#endif
