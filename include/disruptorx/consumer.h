/* disruptorx/consumer.h - following a ring by hand: the poller, and the ground of everything that
 * handles events.
 *
 * A consumer is an entry of the ring's consumer table and a handle of one thread. Its own sequence,
 * the last event that it has finished, is its progress and its metric at once: producers, consumers
 * behind it and tools read the same word.
 *
 *     dx_consumer_open() -> poll or wait -> read events -> release -> ... -> dx_consumer_close()
 *
 *     const int64_t last = dx_consumer_wait(&consumer);            (or dx_consumer_poll())
 *     for (int64_t s = consumer.next; s <= last; s++) {
 *         if (!dx_consumer_is_hidden(&consumer, s)) {
 *             use(DX_CONSUMER_EVENT(&consumer, s, order_t));
 *         }
 *     }
 *     dx_consumer_release(&consumer, last);
 *
 * Most programs let disruptorx/disruptor.h run this loop in threads, or use dx_consumer_drain().
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DISRUPTORX_CONSUMER_H
#define DISRUPTORX_CONSUMER_H

#include "disruptorx/producer.h"
#include "disruptorx/ring.h"

DX_EXTERN_C_BEGIN

/* Where a new consumer begins. */
typedef enum dx_start {
    DX_START_CURSOR = 0,  /* with the next event published after dx_consumer_open() */
    DX_START_OLDEST = 1,  /* with the oldest event that some consumer has yet to release */
    DX_START_SEQUENCE = 2 /* with start_sequence: from that oldest event to slot_count beyond the
                           * next one */
} dx_start_t;

typedef struct dx_consumer_options {
    const char *name;  /* for eyes; copied; at most DX_RING_NAME_MAX bytes; NULL = "consumer" */
    uint64_t upstream; /* mask of consumer indexes to follow; 0 = the publication */
    dx_start_t start;
    int64_t start_sequence; /* DX_START_SEQUENCE: the first event that it is given */
    bool may_skip;          /* it may hide events from those behind it: dx_consumer_skip() */
    dx_on_death_t on_death; /* shared rings: what becomes of its place when its process dies */
    bool resume;            /* take over the place of the consumer of this name that died or was
                             * evicted, with what it follows, its start and its counters; if there
                             * is none, open a new one. See dx_consumer_missed() */
    dx_wait_options_t wait; /* how dx_consumer_wait() waits */
    uint64_t reserved[4];   /* must be zero */
} dx_consumer_options_t;

/* The handle. Private but for `next` and `index`; the caller provides the memory, and it must not
 * move while open. */
typedef struct dx_consumer {
    DX_ISOLATED int64_t next; /* the first sequence not yet released; read-only for the user */
    int64_t available;        /* the last sequence seen readable; at least next - 1 */

    /* Changed by its thread when the graph has changed: see src/ring/relink.c. */
    const dx_atomic64_t *source; /* the one word to follow; NULL: stamps, or several words */
    const dx_atomic32_t *stamps; /* NULL unless it follows a multi-producer publication */
    char *slots;
    int64_t mask;
    dx_ring_block_t *block;
    dx_consumer_entry_t *entry;
    uint64_t upstream;
    uint32_t slot_bytes;
    uint32_t slot_shift;
    int32_t index;
    bool evicted;         /* it shows no event any more */
    bool catching_up;     /* it was ahead of what it follows when it was bound to it */
    int64_t missed_first; /* see dx_consumer_missed(); more than missed_last: none */
    int64_t missed_last;
    dx_ring_t *ring;
    dx_wait_options_t wait;

    /* Of the wait strategy and of following; see src/ring/wait.c. */
    int64_t spin_budget_ns;
    int32_t follow_slots;
    int32_t follow_streak;
    int32_t follow_rest;
} dx_consumer_t;

/* The layouts that the caller's inline code was compiled for: of the block and of the handle. */
#define DXI_CONSUMER_LAYOUT ((DX_RING_LAYOUT << 16) | (uint32_t)sizeof(dx_consumer_t))

DX_API int dxi_consumer_open(dx_consumer_t *consumer, dx_ring_t *ring,
                             const dx_consumer_options_t *options, uint32_t layout,
                             dx_error_t *error);

/* Adds a consumer to the ring, stopped at its starting point, whatever runs. From here on producers
 * do not pass it. What it follows then no longer holds producers back itself: only the ends of the
 * graph do. `options` may be NULL.
 * Returns DX_OK, DX_EINVAL, DX_ENOTFOUND when upstream names an unused entry, DX_ELIMIT when
 * consumers_max (or DX_RING_SKIPPERS_MAX) are there (an entry that was closed counts until those
 * behind it have noticed), or with the oldest that there is when start_sequence is no longer kept
 * or too far away, DX_EBUSY when another process does not give the tables free, DX_EVERSION when
 * the program was compiled with the headers of another version of the library.
 * Threads: any; the handle then belongs to one thread at a time. */
DX_INLINE DX_NODISCARD int dx_consumer_open(dx_consumer_t *consumer, dx_ring_t *ring,
                                            const dx_consumer_options_t *options, dx_error_t *error)
{
    return dxi_consumer_open(consumer, ring, options, DXI_CONSUMER_LAYOUT, error);
}

/* Removes the consumer, whatever else runs. Those behind it follow what it followed as soon as they
 * look: they miss nothing and see nothing twice. Closing twice is allowed.
 * Threads: consumer. */
DX_API void dx_consumer_close(dx_consumer_t *consumer);

/* Changes whom consumer `index` follows while it runs: `upstream` as in dx_consumer_options_t. Who
 * follows one worker follows its whole pool. Returns at once; the consumer changes over at its next
 * wait or drain, or at a poll that finds nothing: dx_ring_consumer_stat() shows what it reads
 * (`bound`). It goes on with its next event, which it is given once that has been finished by all
 * that it follows: when they are behind it, it waits for them.
 * Returns DX_OK, DX_ENOTFOUND when there is no such consumer, DX_EINVAL with the names when it
 * would close a cycle, DX_EBUSY.
 * Threads: any. */
DX_API DX_NODISCARD int dx_consumer_follow(dx_ring_t *ring, int32_t index, uint64_t upstream,
                                           dx_error_t *error);

/* After opening with `resume`: the sequences that the consumer of this name should have been given
 * and was not, because it was evicted and they are overwritten: `*first_out` to `*last_out`.
 * Returns how many, 0 when it goes on where it stood.
 * Threads: consumer. */
DX_API int64_t dx_consumer_missed(const dx_consumer_t *consumer, int64_t *first_out,
                                  int64_t *last_out);

/* Marks the end of the thread that used the handle: producers are released with DX_ECONSUMER when
 * they would have to wait for it. `code` is a DX_E*, its reason.
 * Threads: consumer. */
DX_API void dx_consumer_fail(dx_consumer_t *consumer, int code);

/* Ends the wait that goes on now, or else the next one: it returns DX_ECANCELLED.
 * Threads: any. */
DX_API void dx_consumer_cancel(dx_consumer_t *consumer);

/* Slow paths. Not for users. */
DX_API int64_t dxi_consumer_observe(dx_consumer_t *consumer);
DX_API bool dxi_consumer_hidden(const dx_consumer_t *consumer, int64_t sequence);
DX_API void dxi_release_slow(dx_consumer_t *consumer, int64_t sequence);

/* The last readable sequence, consumer->next - 1 when there is none. Never waits. When the graph
 * changes, the answer of a later poll or wait is the one that counts.
 * Threads: consumer. */
DX_INLINE int64_t dx_consumer_poll(dx_consumer_t *consumer)
{
    if (DX_LIKELY(consumer->source != NULL)) {
        /* ACQUIRE, pairs with (P) in dx_producer_publish_range() or with (R) in
         * dx_consumer_release(): what was written before the sequence is visible after it. Relaxed
         * would let the reads of the events move up before this load: stale bytes on arm64, and on
         * any machine where the compiler hoists them. */
        const int64_t last = dx_load_acquire(consumer->source);
        if (DX_LIKELY(last >= consumer->next)) {
            return last;
        }
        /* Nothing, or it stands ahead of what it follows. The time to see whether that has
         * changed. RELAXED: dxi_consumer_rebind() looks again. */
        if (DX_LIKELY((dx_load32_relaxed(&consumer->entry->control) & DXI_CONTROL_ATTEND) == 0)) {
            return consumer->next - 1;
        }
    }
    return dxi_consumer_observe(consumer);
}

/* Waits with the consumer's strategy until an event is readable.
 * Returns the last readable sequence, at least consumer->next; DX_EALERTED when halted,
 * DX_ECANCELLED, DX_ETIMEDOUT, DX_ECONSUMER when a consumer that it follows has failed, DX_EEVICTED
 * when it was evicted while its process did not run: close it and open it again with `resume`.
 * Threads: consumer. */
DX_API DX_NODISCARD int64_t dx_consumer_wait(dx_consumer_t *consumer);

/* The slot of a readable sequence.
 * Threads: consumer. */
DX_INLINE void *dx_consumer_event(const dx_consumer_t *consumer, int64_t sequence)
{
    return consumer->slots + (size_t)(sequence & consumer->mask) * consumer->slot_bytes;
}

/* The same for a type whose size is known. */
#define DX_CONSUMER_EVENT(consumer, sequence, type)                                                \
    ((type *)dxi_typed_slot((consumer)->slots, (sequence) & (consumer)->mask, sizeof(type),        \
                            (consumer)->slot_bytes))

/* True when the event must not be used: its claim was aborted, or a consumer that this one follows
 * skipped it.
 * Threads: consumer. */
DX_INLINE bool dx_consumer_is_hidden(const dx_consumer_t *consumer, int64_t sequence)
{
    /* RELAXED: the mark was raised before the sequence was published (or released by the upstream
     * consumer), and we have acquired that. */
    if (DX_LIKELY(sequence > dx_load_relaxed(&consumer->block->marks_last))) {
        return false;
    }
    return dxi_consumer_hidden(consumer, sequence);
}

/* Finishes everything up to `sequence`: its slots may be reused, and those behind may go on. Once
 * per batch is enough.
 * Threads: consumer. */
DX_INLINE void dx_consumer_release(dx_consumer_t *consumer, int64_t sequence)
{
    assert(sequence >= consumer->next - 1);
    consumer->next = sequence + 1;
    /* (R) RELEASE, pairs with the acquire in dxi_gating_minimum() (src/ring/producer.c) and in
     * dx_consumer_poll() of those behind: our reads and writes of the slot happen before anybody
     * reuses or follows it. Relaxed would let a late read of ours see the next lap's event. */
    dx_store_release(&consumer->entry->sequence, sequence);
    /* (W2) As (W1) in dx_producer_publish_range(), for consumers behind us and for producers. */
    dx_fence_light();
    if (DX_UNLIKELY((dx_load_relaxed(&consumer->entry->waiters) |
                     dx_load32_relaxed(&consumer->block->space_waiters)) != 0)) {
        dxi_release_slow(consumer, sequence);
    }
}

/* Hides an event that the consumer holds from those behind it. It must have been opened with
 * may_skip.
 * Returns DX_OK, DX_EINVAL when the sequence is not its to handle, DX_ESTATE without may_skip.
 * Threads: consumer. */
DX_API DX_NODISCARD int dx_consumer_skip(dx_consumer_t *consumer, int64_t sequence);

/* What dx_consumer_drain() found. */
typedef enum dx_poll_state {
    DX_POLL_PROCESSING = 1, /* events were handled */
    DX_POLL_IDLE = 0,       /* nothing is published */
    DX_POLL_GATING = 2      /* something is published, but what it follows is not there yet */
} dx_poll_state_t;

/* Handles one event of a poll: DX_OK = next one, 1 = stop after this one; a negative code = stop
 * before it: it comes again. */
typedef int (*dx_poll_handler_t)(void *context, void *event, int64_t sequence, bool end_of_batch);

/* Calls `handler` for what is readable, at most `limit` events (0 = all), then releases them. Never
 * waits: for event loops.
 * Returns a dx_poll_state_t, or the handler's negative code: the events before it are released, it
 * and those after it come again.
 * Threads: consumer. */
DX_API DX_NODISCARD int dx_consumer_drain(dx_consumer_t *consumer, dx_poll_handler_t handler,
                                          void *context, int64_t limit);

DX_EXTERN_C_END
#endif
