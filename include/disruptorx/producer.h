/* disruptorx/producer.h - claiming, filling and publishing events.
 *
 * A producer is a handle of one thread on one ring. A single-producer ring has one handle at a
 * time; a multi-producer ring up to producers_max.
 *
 *     dx_producer_open() -> claim -> fill the event in its slot -> publish | abort -> ... -> close
 *
 * Typed events, the usual way:
 *
 *     int64_t sequence = dx_producer_claim(&producer);
 *     if (sequence < 0) { ... DX_ECLOSED, DX_ETIMEDOUT, ... }
 *     order_t *order = DX_PRODUCER_EVENT(&producer, sequence, order_t);
 *     order->price = price;
 *     (void)dx_producer_publish(&producer, sequence);
 *
 * Nothing is irrevocable: a claim never passes the slowest consumer, so it can be refused, timed,
 * cancelled, or given up with dx_producer_abort().
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DISRUPTORX_PRODUCER_H
#define DISRUPTORX_PRODUCER_H

#include <assert.h>
#include <string.h>

#include "disruptorx/ring.h"

DX_EXTERN_C_BEGIN

/* What dx_producer_claim() does when the ring is full. */
typedef enum dx_full_policy {
    DX_FULL_WAIT = 0, /* wait with the producer's strategy; with wait.timeout_ns set, no longer */
    DX_FULL_FAIL = 1, /* DX_EAGAIN at once */
    DX_FULL_DROP = 2  /* DX_EDROPPED at once, and the events are counted as dropped (newest) */
} dx_full_policy_t;

typedef struct dx_producer_options {
    const char *name; /* for eyes; copied; at most DX_RING_NAME_MAX bytes; NULL = "producer" */
    dx_full_policy_t full;
    dx_wait_options_t wait; /* how it waits when the ring is full */
    uint64_t reserved[4];   /* must be zero */
} dx_producer_options_t;

/* The part of a producer that the slow paths use; it lies in the ring. Opaque. */
typedef struct dxi_producer_core dxi_producer_core_t;

/* The handle: a value of its thread, private but for `claimed`. Every function below is inline and
 * passes on values, never the handle's address, so that the compiler keeps a local handle in
 * registers: a claim that went through memory would cost a store and a load behind it, 5 cycles,
 * more than all the rest of publishing an event. */
typedef struct dx_producer {
    /* Changed by claims. */
    int64_t claimed;    /* single: the last sequence claimed; multi: by this handle */
    int64_t limit;      /* claims up to here need not look at the consumers; rings with spans: -1 */
    int64_t span_limit; /* the same for claims of spans; rings without: -1 */
    int64_t held;       /* multi: how many sequences are claimed and not yet published */
    int64_t held_first; /* multi: the first of them */

    /* Read-only once open. */
    char *slots;
    int64_t mask;
    dx_ring_block_t *block;
    dx_atomic32_t *stamps; /* NULL: single-producer */
    uint32_t slot_bytes;
    uint32_t slot_shift;
    int64_t prefetch_slots;  /* how far ahead the next lines are fetched for writing */
    uint32_t prefetch_bytes; /* how much of the slot there */
    int64_t span_bytes_max;  /* the longest payload of a span; rings without: -1 */
    dx_producer_entry_t *entry;
    dxi_producer_core_t *core; /* NULL: not open */
} dx_producer_t;

/* The layouts that the caller's inline code was compiled for: of the block and of the handle. */
#define DXI_PRODUCER_LAYOUT ((DX_RING_LAYOUT << 16) | (uint32_t)sizeof(dx_producer_t))

/* What a slow claim gives back. */
typedef struct dxi_claim {
    int64_t last;  /* the last sequence, or a DX_E* */
    int64_t limit; /* the handle's new limit */
} dxi_claim_t;

/* How a slow claim treats a full ring: as the producer's options say, or not at all, or for a
 * time. */
#define DXI_CLAIM_BY_POLICY (-1)
#define DXI_CLAIM_TRY 0

/* The slow paths of the functions below. Not for users. */
DX_API int dxi_producer_open(dx_producer_t *producer, dx_ring_t *ring,
                             const dx_producer_options_t *options, uint32_t layout,
                             dx_error_t *error);
DX_API void dxi_producer_close(dxi_producer_core_t *core);
DX_API void dxi_producer_cancel(dxi_producer_core_t *core);
DX_API dxi_claim_t dxi_claim_slow(dxi_producer_core_t *core, int64_t claimed, int64_t held,
                                  int64_t count, int64_t timeout_ns);
DX_API int dxi_publish_slow(dxi_producer_core_t *core, int64_t first, int64_t last);
DX_API void dxi_mark_void(dxi_producer_core_t *core, int64_t first, int64_t last);
DX_API bool dxi_claim_has_room(const dxi_producer_core_t *core, int64_t claimed, int64_t count);

/* Opens a handle. `options` may be NULL.
 * Returns DX_OK, DX_EINVAL, DX_EBUSY when a single-producer ring has one open already, DX_ELIMIT
 * when producers_max are open, DX_ECLOSED, DX_EVERSION when the program was compiled with the
 * headers of another version of the library.
 * Threads: any; the handle then belongs to one thread at a time. */
DX_INLINE DX_NODISCARD int dx_producer_open(dx_producer_t *producer, dx_ring_t *ring,
                                            const dx_producer_options_t *options, dx_error_t *error)
{
    dx_producer_t opened; /* its address leaves; the handle's does not */
    memset(&opened, 0, sizeof(opened));
    const int code = dxi_producer_open(&opened, ring, options, DXI_PRODUCER_LAYOUT, error);
    *producer = opened;
    return code;
}

/* Ends the handle. What it has claimed and not published is given up: no consumer sees an event
 * there. Closing twice is allowed.
 * Threads: producer. */
DX_INLINE void dx_producer_close(dx_producer_t *producer)
{
    if (producer->core != NULL) {
        dxi_producer_close(producer->core);
        producer->core = NULL;
    }
}

/* Tells the compiler what the handle already knows: that the ring has a single producer. Placed
 * before a loop over a local handle, it takes the branch for the other mode out of every claim and
 * publish. Threads: producer. */
DX_INLINE void dx_producer_assume_single(dx_producer_t *producer)
{
    assert(producer->stamps == NULL && "the ring is a multi-producer ring");
    producer->stamps = NULL;
}

/* Ends the claim in which the producer waits now, or else the next one that would have to wait: it
 * returns DX_ECANCELLED.
 * Threads: any. */
DX_INLINE void dx_producer_cancel(const dx_producer_t *producer)
{
    dxi_producer_cancel(producer->core);
}

/* Records what a handle is about to hold. The last before the first: in between, others read more
 * than it holds, never less. RELEASE, pairs with dxi_recover(): who sees what is held now sees that
 * what was held before is published. */
DX_INLINE void dxi_producer_hold(dx_producer_entry_t *entry, int64_t first, int64_t last)
{
    dx_store_release(&entry->held_last, last);
    dx_store_release(&entry->held_first, first);
}

/* Counts what a multi-producer handle has just claimed. */
DX_INLINE void dxi_producer_held(dx_producer_t *producer, int64_t count)
{
    if (producer->stamps != NULL) {
        producer->held_first =
            producer->held != 0 ? producer->held_first : producer->claimed - count + 1;
        producer->held += count;
    }
}

/* The record says that nothing is held. RELEASE, as in dxi_producer_hold(). */
DX_INLINE void dxi_producer_hold_nothing(dx_producer_entry_t *entry)
{
    dx_store_release(&entry->held_last, INT64_MIN);
}

/* Counts what a multi-producer handle has just published. */
DX_INLINE void dxi_producer_let_go(dx_producer_t *producer, int64_t first, int64_t last)
{
    /* The usual case first, and without arithmetic: a compiler that sees claim and publish together
     * then knows that nothing is held before the next claim. All that is held lies between these
     * two, so nothing is left. The record can stay: what it covers is published. */
    if (DX_LIKELY(first == producer->held_first && last == producer->claimed)) {
        assert(producer->held == last - first + 1);
        producer->held = 0;
        return;
    }
    producer->held -= last - first + 1;
    /* A record of several claims may cover what others claimed in between, and would keep that from
     * being recovered. */
    if (producer->held == 0) {
        dxi_producer_hold_nothing(producer->entry);
    }
}

/* Claims by the slow path and takes over what it found out. */
DX_INLINE int64_t dxi_claim_otherwise(dx_producer_t *producer, int64_t count, int64_t timeout_ns)
{
    const dxi_claim_t claim =
        dxi_claim_slow(producer->core, producer->claimed,
                       producer->held != 0 ? producer->held_first : -1, count, timeout_ns);
    producer->limit = claim.limit;
    if (claim.last >= 0) {
        producer->claimed = claim.last;
        dxi_producer_held(producer, count);
    }
    return claim.last;
}

/* All claims of events: `timeout_ns` says what a full ring means. */
DX_INLINE int64_t dxi_claim_events(dx_producer_t *producer, int64_t count, int64_t timeout_ns)
{
    dx_ring_block_t *block = producer->block;

    if (producer->stamps == NULL) {
        /* RELAXED: the closed bit carries no data. dx_ring_close() orders its own look at the
         * sequences behind the bit with a fence, and dx_producer_publish() looks again. */
        if (DX_UNLIKELY(count > producer->limit - producer->claimed || count < 1 ||
                        dx_load_relaxed(&block->signal) < 0)) {
            return dxi_claim_otherwise(producer, count, timeout_ns);
        }
        producer->claimed += count;
        return producer->claimed;
    }

    if (DX_UNLIKELY(count < 1 || dx_load_relaxed(&block->signal) < 0)) {
        return dxi_claim_otherwise(producer, count, timeout_ns);
    }
    /* Fetched for writing before it is read: the load and the exchange cost one transfer of the
     * line, and few instructions lie between them, so the exchange rarely fails. */
    __builtin_prefetch(&block->claimed, 1, 3);
    int64_t claimed = dx_load_relaxed(&block->claimed);
    /* ACQ_REL is more than the slots need, which are ordered by the acquire behind `limit`; on x86
     * it costs the same as relaxed. */
    if (DX_UNLIKELY(count > producer->limit - claimed)) {
        return dxi_claim_otherwise(producer, count, timeout_ns);
    }
    const int64_t first = DX_LIKELY(producer->held == 0) ? claimed + 1 : producer->held_first;
    dxi_producer_hold(producer->entry, first, claimed + count);
    if (DX_UNLIKELY(!dx_compare_exchange_acq_rel(&block->claimed, &claimed, claimed + count))) {
        return dxi_claim_otherwise(producer, count, timeout_ns);
    }
    producer->claimed = claimed + count;
    producer->held_first = first;
    producer->held += count;
    return producer->claimed;
}

/* Claims the next `count` sequences and returns the last of them: the first is that - count + 1.
 * When the ring is full, the producer's policy decides.
 * Returns the last sequence, or DX_EINVAL when count is not 1 to slot_count, DX_ECLOSED,
 * DX_EAGAIN, DX_EDROPPED, DX_ETIMEDOUT, DX_ECANCELLED by the policy, DX_ECONSUMER when a consumer
 * that holds the ring has failed, DX_EDEADLOCK when it would wait for itself. Nothing is claimed
 * then. DX_EINVAL on a ring with spans: see disruptorx/span.h.
 *
 * Single: wait-free while there is room, one load of a shared line that others rarely write. Multi:
 * one compare-and-swap; lock-free.
 * Threads: producer. */
DX_INLINE int64_t dx_producer_claim_n(dx_producer_t *producer, int64_t count)
{
    return dxi_claim_events(producer, count, DXI_CLAIM_BY_POLICY);
}

/* Claims the next sequence. See dx_producer_claim_n().
 * Threads: producer. */
DX_INLINE int64_t dx_producer_claim(dx_producer_t *producer)
{
    return dx_producer_claim_n(producer, 1);
}

/* Claims without waiting, whatever the policy.
 * Returns as dx_producer_claim_n(), DX_EAGAIN when the ring is full.
 * Threads: producer. */
DX_INLINE DX_NODISCARD int64_t dx_producer_try_claim_n(dx_producer_t *producer, int64_t count)
{
    return dxi_claim_events(producer, count, DXI_CLAIM_TRY);
}

/* Claims, waiting with the producer's strategy for at most `timeout_ns` (0 = not at all), whatever
 * the policy.
 * Returns as dx_producer_claim_n(), DX_ETIMEDOUT.
 * Threads: producer. */
DX_INLINE DX_NODISCARD int64_t dx_producer_claim_timed(dx_producer_t *producer, int64_t count,
                                                       int64_t timeout_ns)
{
    return dxi_claim_events(producer, count, timeout_ns > 0 ? timeout_ns : DXI_CLAIM_TRY);
}

/* The slot of a claimed sequence.
 * Threads: producer. */
DX_INLINE void *dx_producer_event(const dx_producer_t *producer, int64_t sequence)
{
    return producer->slots + (size_t)(sequence & producer->mask) * producer->slot_bytes;
}

/* The same for a type whose size is known: an index and no multiplication. */
#define DX_PRODUCER_EVENT(producer, sequence, type)                                                \
    ((type *)dxi_typed_slot((producer)->slots, (sequence) & (producer)->mask, sizeof(type),        \
                            (producer)->slot_bytes))

DX_INLINE void *dxi_typed_slot(char *slots, int64_t index, size_t type_bytes, uint32_t slot_bytes)
{
    assert(type_bytes <= slot_bytes);
    const size_t stride = (type_bytes + 7) & ~(size_t)7;
    assert(stride == slot_bytes && "the type is not the one the ring was made for");
    (void)slot_bytes;
    return slots + (size_t)index * stride;
}

/* The end of every publish: wakes who sleeps for one of these slots. */
DX_INLINE int dxi_published_wake(const dx_producer_t *producer, int64_t first, int64_t last)
{
    /* (W1) Dekker pair with dxi_park(): we store the sequence, then load who sleeps; a sleeper says
     * that it sleeps, then loads the sequence. One of the two must see the other, or a wake-up is
     * lost. The sleeper's membarrier() makes every running thread pass a full fence, so here it is
     * enough to keep the compiler from swapping the two. Where there is no membarrier(),
     * DXI_SIGNAL_FENCE is set and the slow path fences. */
    dx_fence_light();
    if (DX_UNLIKELY(dx_load_relaxed(&producer->block->signal) != 0)) {
        return dxi_publish_slow(producer->core, first, last);
    }
    return DX_OK;
}

/* What dx_producer_publish_range() does, whatever the slots hold. */
DX_INLINE int dxi_publish_slots(dx_producer_t *producer, int64_t first, int64_t last)
{
    dx_ring_block_t *block = producer->block;

    assert(first <= last);
    if (producer->stamps == NULL) {
        assert(first == dx_load_relaxed(&block->cursor) + 1 &&
               "published out of the order of claims");
        assert(last <= producer->claimed);
        /* (P) RELEASE, pairs with the acquire in dx_consumer_poll(): the events become visible no
         * later than the cursor. Relaxed would let the compiler, or an arm64 core, show the new
         * cursor before the bytes. A plain store on x86, stlr on arm64. */
        dx_store_release(&block->cursor, last);
    } else {
        for (int64_t sequence = first; sequence <= last; sequence++) {
            /* (S) RELEASE, pairs with the acquire in dxi_consumer_observe(): as (P), for one slot.
             * Each stamp is released on its own, because consumers test each on its own. */
            dx_store32_release(&producer->stamps[sequence & producer->mask],
                               (int32_t)(sequence >> producer->slot_shift));
        }
        dxi_producer_let_go(producer, first, last);
    }
    return dxi_published_wake(producer, first, last);
}

/* Makes the sequences first to last readable. A single-producer ring must be published in the order
 * of its claims; a multi-producer ring in any order, but each sequence once.
 * Returns DX_OK; DX_ECLOSED when the ring closed since the claim: the events are in the ring, but
 * consumers may have left.
 * Wait-free while nobody sleeps.
 * Threads: producer. */
DX_INLINE int dx_producer_publish_range(dx_producer_t *producer, int64_t first, int64_t last)
{
    assert(producer->span_bytes_max < 0 && "the ring has spans: dx_producer_publish_span()");
    return dxi_publish_slots(producer, first, last);
}

/* Makes one sequence readable. See dx_producer_publish_range().
 * Threads: producer. */
DX_INLINE int dx_producer_publish(dx_producer_t *producer, int64_t sequence)
{
    return dx_producer_publish_range(producer, sequence, sequence);
}

/* Gives up the claimed, unpublished sequences first to last: no consumer will see an event there.
 * Consumers behind them are not held up. In a single-producer ring the order of claims holds as for
 * publishing; giving up the newest claim takes it back altogether.
 * Returns as dx_producer_publish_range().
 * Threads: producer. */
DX_INLINE int dx_producer_abort(dx_producer_t *producer, int64_t first, int64_t last)
{
    assert(first <= last);
    if (producer->stamps == NULL && last == producer->claimed) {
        /* Nobody has seen it: the newest claim of the only producer can be taken back. */
        producer->claimed = first - 1;
        dx_store_relaxed(&producer->entry->aborts,
                         dx_load_relaxed(&producer->entry->aborts) + last - first + 1);
        return dx_load_relaxed(&producer->block->signal) < 0 ? DX_ECLOSED : DX_OK;
    }
    dxi_mark_void(producer->core, first, last);
    return dx_producer_publish_range(producer, first, last);
}

DX_API int64_t dxi_block_remaining(dx_ring_block_t *block);

/* Free slots, 0 to slot_count: what is claimed is not free, published or not.
 * Threads: producer. */
DX_INLINE int64_t dx_producer_remaining(const dx_producer_t *producer)
{
    const int64_t remaining = dxi_block_remaining(producer->block);
    if (producer->stamps != NULL) {
        return remaining;
    }
    /* The claims of a single producer are known to its handle only. */
    return remaining - (producer->claimed - dx_load_relaxed(&producer->block->cursor));
}

/* True when `count` sequences could be claimed without waiting. Moves nothing.
 * Threads: producer. */
DX_INLINE bool dx_producer_has_available(const dx_producer_t *producer, int64_t count)
{
    return dxi_claim_has_room(producer->core, producer->claimed, count);
}

/* Fetches the lines that will be written soon for writing. Call it once for each claimed event in a
 * loop that publishes at full speed: the transfer of the lines from the consumer's core then
 * overlaps with the work. Costs a few instructions; never changes what is read.
 * Threads: producer. */
DX_INLINE void dx_producer_prefetch(const dx_producer_t *producer, int64_t sequence)
{
    const int64_t ahead = sequence + producer->prefetch_slots;
    if (ahead <= producer->limit) {
        const char *slot = (const char *)dx_producer_event(producer, ahead);
        __builtin_prefetch(slot, 1, 3);
        for (uint32_t line = DX_CACHE_LINE_BYTES; line < producer->prefetch_bytes;
             line += DX_CACHE_LINE_BYTES) {
            __builtin_prefetch(slot + line, 1, 3);
        }
    }
}

/* Fills an event from arguments. Returns DX_OK, or an error: the claim is then aborted. */
typedef int (*dx_translator_t)(void *event, int64_t sequence, void *context);

/* Claims, translates and publishes one event.
 * Returns the sequence, or an error as dx_producer_claim_n(), or the translator's: no event then.
 * Threads: producer. */
DX_INLINE int64_t dx_producer_publish_event(dx_producer_t *producer, dx_translator_t translate,
                                            void *context)
{
    const int64_t sequence = dx_producer_claim_n(producer, 1);
    if (DX_UNLIKELY(sequence < 0)) {
        return sequence;
    }
    const int result = translate(dx_producer_event(producer, sequence), sequence, context);
    if (DX_UNLIKELY(result != DX_OK)) {
        (void)dx_producer_abort(producer, sequence, sequence);
        return result < 0 ? result : DX_EINVAL;
    }
    const int published = dx_producer_publish_range(producer, sequence, sequence);
    return DX_LIKELY(published == DX_OK) ? sequence : published;
}

/* Claims, translates and publishes `count` events as one batch. When the translator fails on one,
 * none of the batch is published.
 * Returns the last sequence, or an error.
 * Threads: producer. */
DX_INLINE int64_t dx_producer_publish_events(dx_producer_t *producer, int64_t count,
                                             dx_translator_t translate, void *context)
{
    const int64_t last = dx_producer_claim_n(producer, count);
    if (DX_UNLIKELY(last < 0)) {
        return last;
    }
    for (int64_t sequence = last - count + 1; sequence <= last; sequence++) {
        const int result = translate(dx_producer_event(producer, sequence), sequence, context);
        if (DX_UNLIKELY(result != DX_OK)) {
            (void)dx_producer_abort(producer, last - count + 1, last);
            return result < 0 ? result : DX_EINVAL;
        }
    }
    const int published = dx_producer_publish_range(producer, last - count + 1, last);
    return DX_LIKELY(published == DX_OK) ? last : published;
}

/* Claims one event, copies `bytes` (at most the slot size) into it and publishes.
 * Returns the sequence, or an error as dx_producer_claim_n(); DX_EINVAL when it does not fit.
 * Threads: producer. */
DX_INLINE int64_t dx_producer_publish_copy(dx_producer_t *producer, const void *event, size_t bytes)
{
    if (DX_UNLIKELY(bytes > producer->slot_bytes)) {
        return DX_EINVAL;
    }
    const int64_t sequence = dx_producer_claim_n(producer, 1);
    if (DX_UNLIKELY(sequence < 0)) {
        return sequence;
    }
    memcpy(dx_producer_event(producer, sequence), event, bytes);
    const int published = dx_producer_publish_range(producer, sequence, sequence);
    return DX_LIKELY(published == DX_OK) ? sequence : published;
}

DX_EXTERN_C_END
#endif
