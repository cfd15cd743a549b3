/* span.c - events of any size: finding the way from one span to the next.
 *
 * DESIGN
 *
 * A span is a header and a payload over consecutive slots of 64 bytes, mapped twice in a row so
 * that it never splits (disruptorx/span.h). Only its first slot counts: it gives the span its
 * sequence, and on a multi-producer ring it alone is stamped. So the slots have to be walked:
 *
 *     at = a boundary: the last slot of a span
 *     while slot at + 1 is stamped:  at += slots of the span whose header is there
 *
 *     stamps  | 7 | . . | 7 | 7 | . . . | 6        lap 7; '.' holds some earlier lap
 *     slots   | A   A A | B | C   C C C | free
 *             ^cursor                   ^published
 *
 * Aborted spans, and claims of the dead (recover.c), hold no header that can be trusted: each of
 * their slots is marked void and stamped, and counts as a span of one slot.
 *
 * Who holds slots back (a consumer, or the single producer's own cursor) may walk them at leisure.
 * Two kinds of walkers do not, and what they read as a header may be the payload of the next lap:
 *
 *   - dxi_span_published(), which anybody calls: a producer of a ring without consumers, a consumer
 *     that joins, a tool that looks. It starts at block->cursor and looks at the cursor again after
 *     each header: if that is still behind the span, the header was whole (S3); if not, it goes on
 *     from there.
 *   - a worker that waits: the pool's word can move past it. It looks at that word again after its
 *     walk, and its claim proves the rest: the word only grows, so a swap that finds in it what the
 *     walk began with says that nobody has claimed, so nobody has released, any of the slots that
 *     were walked. A torn header makes the swap fail, or was never read.
 *
 * Recovery walks beyond the cursor in the same way as the first (dxi_event_next()). A consumer that
 * was evicted while it walked finds DXI_CONTROL_EVICTED, which is set before the gating mask
 * lets go of it, and takes nothing.
 *
 * INVARIANTS
 *
 *   S1  cursor, `claimed` when nothing is held, every limit - slot_count, every sequence that a
 *       consumer releases and every start_sequence is a boundary: the last slot of a span, or of a
 *       void slot, or first_sequence - 1
 *   S2  the cursor is never behind a sequence from which a limit was computed: who walks raises it
 *       before it returns what it found, consumers release only what was found, and producers
 *       compute limits only from what was released or, without consumers, found
 *   S3  a header at s is overwritten only after some limit reached s + slot_count, so (S2) after
 *       the cursor reached s
 *   S4  multi: the stamp of a slot that is not first in its span is of an earlier lap, at most 2^24
 *       before: in every 2^24th lap all of them are refreshed before the span is published.
 *       (Stamps are compared by difference, which 2^31 laps without a stamp would turn round.)
 *   S5  whatever the memory holds, a header counts as one slot to a quarter of the ring, and a walk
 *       has an end
 *
 * S3 needs the header to be read before the cursor: an acquire load. The other side is ordered by
 * the chain that leads to the overwriting store: raise (acq_rel), release of the sequence, acquire
 * of the limit, store. The store is a plain one of the user's, so for the language this is a race:
 * slots_read() keeps the race checker away from that single load, whose value is thrown away
 * whenever the race was lost.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disruptorx/span.h"

#include "ring/ring_internal.h"

/* Slots walked in one poll: the first event of a long run does not wait for the last. */
#define OBSERVE_MAX 1024

#if defined(__clang__)
#define RACE_ALLOWED __attribute__((disable_sanitizer_instrumentation))
#else
#define RACE_ALLOWED __attribute__((no_sanitize("thread")))
#endif

static int64_t slots_max(const dx_ring_block_t *block)
{
    return (int64_t)(block->slot_count / DX_RING_SPAN_SHARE);
}

int64_t dxi_span_bytes_max(const dx_ring_block_t *block)
{
    return slots_max(block) * DX_RING_SPAN_SLOT_BYTES - (int64_t)sizeof(dx_span_t);
}

int64_t dx_ring_span_bytes_max(const dx_ring_t *ring)
{
    return ring->block->spans != 0 ? dxi_span_bytes_max(ring->block) : DX_EINVAL;
}

/* ------------------------------------------------------------------------------------- walking */

/* How many slots the header at a sequence says that its span has. */
RACE_ALLOWED static int64_t slots_read(const dx_ring_block_t *block, int64_t sequence)
{
    const dx_span_t *span =
        dxi_span_at(dxi_block_slots(block), (int64_t)(block->slot_count - 1), sequence);
    /* ACQUIRE: what is loaded to find out whether this was whole is loaded after it (S3). */
    return dx_span_slots(__atomic_load_n(&span->bytes, __ATOMIC_ACQUIRE));
}

/* The slots of the span at a sequence; 0 when its header is damaged (S5). */
static int64_t slots_of(const dx_ring_block_t *block, int64_t sequence)
{
    /* RELAXED: the mark was raised before the slot was stamped, and we have acquired the stamp. */
    if (DX_UNLIKELY(sequence <= dx_load_relaxed(&block->marks_last)) &&
        (dxi_mark_bits(block, sequence) & DXI_MARK_VOID) != 0) {
        return 1;
    }
    const int64_t slots = slots_read(block, sequence);
    return slots <= slots_max(block) ? slots : 0;
}

int64_t dxi_span_slots(const dx_ring_block_t *block, int64_t first)
{
    const int64_t slots = slots_of(block, first);
    return slots != 0 ? slots : 1;
}

int64_t dxi_span_end(const dx_ring_block_t *block, int64_t first, int64_t last)
{
    const int64_t slots = slots_of(block, first);
    return slots != 0 && slots <= last - first + 1 ? first + slots - 1 : DX_ECORRUPT;
}

int64_t dxi_span_floor(const dx_ring_block_t *block, int64_t end, int64_t last)
{
    while (end < last) {
        const int64_t slots = dxi_span_slots(block, end + 1);
        if (slots > last - end) {
            break;
        }
        end += slots;
    }
    return end;
}

int64_t dxi_event_next(const dx_ring_block_t *block, int64_t sequence)
{
    if (block->spans == 0) {
        return sequence + 1;
    }
    const int64_t slots = dxi_span_slots(block, sequence);
    const int64_t cursor = dx_load_acquire(&block->cursor); /* S3, as below */
    return cursor < sequence || cursor == INT64_MAX ? sequence + slots : cursor + 1;
}

int64_t dxi_span_published(const dx_ring_block_t *block)
{
    const int64_t slot_count = (int64_t)block->slot_count;
    int64_t cursor = dx_load_acquire(&block->cursor);
    int64_t at = cursor;
    while (at - cursor < slot_count && at < INT64_MAX - slot_count) {
        const bool stamped = dxi_is_stamped(block, at + 1);
        const int64_t slots = stamped ? dxi_span_slots(block, at + 1) : 0;
        dxi_point("span:header-read");
        /* ACQUIRE, pairs with the swap in dxi_cursor_raise(): S3. */
        cursor = dx_load_acquire(&block->cursor);
        if (cursor > at) {
            at = cursor; /* the header may have been overwritten: others know the way beyond it */
        } else if (!stamped) {
            break;
        } else {
            at += slots;
        }
    }
    return at;
}

/* True when nobody can have reused what lies behind consumer->next - 1. */
static bool is_held(const dx_consumer_t *consumer)
{
    const dx_consumer_entry_t *entry = consumer->entry;
    if (entry->kind != DX_CONSUMER_WORKER) {
        return (dx_load32_acquire(&entry->control) & DXI_CONTROL_EVICTED) == 0;
    }
    const uint32_t pool = (uint32_t)entry->pool;
    return pool < consumer->block->consumers_max &&
           dx_load_acquire(&dxi_block_consumers(consumer->block)[pool].sequence) ==
               consumer->next - 1;
}

int64_t dxi_span_observe(dx_consumer_t *consumer)
{
    dx_ring_block_t *block = consumer->block;
    int64_t last = consumer->available;
    last = last >= consumer->next ? last : consumer->next - 1;
    const int64_t seen = last;
    const int64_t end = consumer->next + OBSERVE_MAX - 1;
    while (last < end && dxi_is_stamped(block, last + 1)) {
        last += dxi_span_slots(block, last + 1);
    }
    if (last == seen) {
        return last;
    }
    dxi_point("span:walked");
    if (DX_UNLIKELY(!is_held(consumer))) {
        consumer->available = consumer->next - 1;
        /* A worker's wait is over, and its claim will fail; who was evicted has nothing to read. */
        return consumer->entry->kind == DX_CONSUMER_WORKER ? consumer->next : consumer->next - 1;
    }
    dxi_cursor_raise(block, last); /* S2 */
    consumer->available = last;
    return last;
}

int64_t dxi_span_claim_end(const dx_ring_block_t *block, int64_t first, int64_t last, int64_t spans)
{
    int64_t next = first;
    for (; spans > 0 && next <= last; spans--) {
        next += dxi_span_slots(block, next);
    }
    return next - 1 < last ? next - 1 : last;
}

/* --------------------------------------------------------------------------------------- marks */

void dxi_span_void(dxi_producer_core_t *core, int64_t first, int64_t last, int64_t spans)
{
    dxi_count(&core->entry->aborts, spans);
    for (int64_t sequence = first; sequence <= last; sequence++) {
        dxi_mark(core->block, sequence, DXI_MARK_VOID);
    }
}

void dxi_span_refresh(dx_ring_block_t *block, int64_t first, int64_t last)
{
    const int64_t mask = (int64_t)(block->slot_count - 1);
    for (int64_t sequence = first + 1; sequence <= last; sequence++) {
        /* RELAXED: nobody asks about this slot before a later claim of it is published. */
        dx_store32_relaxed(&dxi_block_stamps(block)[sequence & mask],
                           (int32_t)((sequence >> block->slot_shift) - 1));
    }
}

int64_t dxi_span_hidden(const dx_consumer_t *consumer, int64_t sequence)
{
    return dxi_consumer_hidden(consumer, sequence) ? dxi_span_slots(consumer->block, sequence) : 0;
}

void dxi_event_skip(const dx_consumer_t *consumer, int64_t sequence)
{
    const int64_t slots =
        consumer->block->spans != 0 ? dxi_span_slots(consumer->block, sequence) : 1;
    for (int64_t i = 0; i < slots; i++) {
        dxi_mark(consumer->block, sequence + i, consumer->entry->skip_bit);
    }
}

/* ------------------------------------------------------------------------------------ draining */

int dxi_span_drain(dx_consumer_t *consumer, dx_poll_handler_t handler, void *context, int64_t limit,
                   int64_t last)
{
    const int64_t first = consumer->next;
    dx_spans_t spans = dx_consumer_spans(consumer, last);
    dx_span_t *span = dx_spans_next(&spans);
    int64_t done = spans.next - 1; /* what lies before the first visible span is done with */
    int64_t handled = 0;
    int code = DX_OK;

    while (span != NULL && code == DX_OK) {
        const int64_t sequence = spans.sequence;
        const int64_t end = spans.next - 1;
        const bool full = limit > 0 && handled + 1 == limit;
        dx_span_t *after = full ? NULL : dx_spans_next(&spans);
        done = sequence - 1;
        code = handler(context, span, sequence, after == NULL);
        if (code >= 0) {
            handled++;
            /* What is hidden behind the last one goes with it. */
            done = after != NULL || full ? end : spans.next - 1;
        }
        span = code == DX_OK ? after : NULL;
    }
    code = code >= 0 && spans.code != DX_OK && done == spans.next - 1 ? spans.code : code;
    dxi_drained(consumer, first, done, handled);
    return code < 0 ? code : DX_POLL_PROCESSING;
}
