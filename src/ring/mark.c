/* mark.c - events that must not be delivered: aborted claims and skipped events.
 *
 * DESIGN
 *
 * A mark is one word per slot: the lap of the sequence it is about, a void bit (the claim was
 * aborted: nobody sees the event) and 16 skip bits (a consumer hid the event from those behind it).
 * A mark of an older lap counts as no mark, so nobody ever has to clear one.
 *
 *     63 ............................ 17 | 16   | 15 .......... 0
 *     lap = sequence >> slot_shift       | void | one per skipper
 *
 * Marks are rare, so the fast path never looks at them: block->marks_last is the highest sequence
 * that bears one, and a consumer whose batch lies above it does not read marks at all.
 *
 * INVARIANTS
 *
 *   M1  a mark is set only by who holds the sequence: its claimer before publishing, or a consumer
 *       before releasing it
 *   M2  marks_last >= every marked sequence, and is raised before that sequence is passed on
 *   M3  bits of one lap are only ever added
 *
 * 47 bits of lap repeat after 2^47 laps: with 1,024 slots and 100 million events a second, in 45
 * years.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ring/ring_internal.h"

static int64_t lap_part(const dx_ring_block_t *block, int64_t sequence)
{
    return (int64_t)((uint64_t)(sequence >> block->slot_shift) << DXI_MARK_LAP_SHIFT);
}

static dx_atomic64_t *mark_of(const dx_ring_block_t *block, int64_t sequence)
{
    return &dxi_block_marks(block)[sequence & (int64_t)(block->slot_count - 1)];
}

void dxi_mark(dx_ring_block_t *block, int64_t sequence, int64_t bits)
{
    const int64_t lap = lap_part(block, sequence);
    dx_atomic64_t *mark = mark_of(block, sequence);

    /* Two consumers side by side may skip the same event at once, hence the exchange. */
    int64_t old = dx_load_relaxed(mark);
    int64_t new_mark = 0;
    do {
        const bool same_lap = (old & ~(DXI_MARK_VOID | DXI_MARK_SKIPS)) == lap;
        new_mark = (same_lap ? old : lap) | bits;
    } while (!dx_compare_exchange_acq_rel(mark, &old, new_mark));

    /* M2: the release that passes the sequence on comes after this in the caller. */
    int64_t last = dx_load_relaxed(&block->marks_last);
    while (last < sequence && !dx_compare_exchange_acq_rel(&block->marks_last, &last, sequence)) {
    }
}

void dxi_marks_take_back(dx_ring_block_t *block)
{
    const int64_t published = dxi_published(block);
    const int64_t last = dx_load_relaxed(&block->marks_last);
    const int64_t end = published + (int64_t)block->slot_count;
    for (int64_t sequence = published + 1; sequence <= last && sequence <= end; sequence++) {
        if (dxi_mark_bits(block, sequence) != 0) {
            dx_store_relaxed(mark_of(block, sequence), 0); /* as of lap 0: too old for any */
        }
    }
}

int64_t dxi_mark_bits(const dx_ring_block_t *block, int64_t sequence)
{
    /* ACQUIRE, for who does not hold the sequence: what tells it that the slot was not reused yet
     * must be loaded later (S3 in src/ring/span.c). For all others relaxed would do. */
    const int64_t mark = dx_load_acquire(mark_of(block, sequence));
    if ((mark & ~(DXI_MARK_VOID | DXI_MARK_SKIPS)) != lap_part(block, sequence)) {
        return 0;
    }
    return mark & (DXI_MARK_VOID | DXI_MARK_SKIPS);
}
