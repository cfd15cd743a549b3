/* sequences.c - what the words of a ring say together: published, consumed, ended.
 *
 * Nothing here has state of its own; every function may run at any time in any thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ring/ring_internal.h"

void dxi_stamp(dx_ring_block_t *block, int64_t sequence)
{
    const int64_t index = sequence & (int64_t)(block->slot_count - 1);
    /* RELEASE, as (S) in dx_producer_publish_range(). */
    dx_store32_release(&dxi_block_stamps(block)[index], (int32_t)(sequence >> block->slot_shift));
}

int64_t dxi_published_seen(const dx_ring_block_t *block)
{
    const int64_t cursor = dx_load_acquire(&block->cursor);
    if (block->mode == DX_RING_SINGLE) {
        return cursor;
    }
    if (block->spans != 0) {
        return dxi_span_published(block);
    }
    /* Nobody claims more than slot_count ahead of what is published, so older sequences need not be
     * looked at. ACQUIRE: the claims that this one stands on happened before. */
    const int64_t claimed = dx_load_acquire(&block->claimed);
    int64_t published = claimed - (int64_t)block->slot_count;
    published = published > cursor ? published : cursor;
    while (published < claimed && dxi_is_stamped(block, published + 1)) {
        published++;
    }
    return published;
}

void dxi_cursor_raise(dx_ring_block_t *block, int64_t published)
{
    int64_t cursor = dx_load_relaxed(&block->cursor);
    /* RELEASE, pairs with the acquire in dxi_span_published(). */
    while (cursor < published && !dx_compare_exchange_acq_rel(&block->cursor, &cursor, published)) {
    }
}

int64_t dxi_published(dx_ring_block_t *block)
{
    if (block->mode == DX_RING_SINGLE) {
        return dx_load_acquire(&block->cursor);
    }
    const int64_t published = dxi_published_seen(block);
    dxi_cursor_raise(block, published);
    return published;
}

int64_t dxi_minimum(const dx_ring_block_t *block, uint64_t mask)
{
    const dx_consumer_entry_t *entries = dxi_block_consumers(block);
    int64_t minimum = INT64_MAX;
    /* In the order of the indexes: a pool's word must be read before the words of its workers,
     * which have higher indexes (see src/ring/worker.c). */
    for (; mask != 0; mask &= mask - 1) {
        /* ACQUIRE, pairs with (R) in dx_consumer_release(): what the consumer read and wrote of its
         * events happens before our reuse of the slot, or our reading of it. */
        const int64_t sequence = dx_load_acquire(&entries[__builtin_ctzll(mask)].sequence);
        minimum = sequence < minimum ? sequence : minimum;
        dxi_point("minimum:one-read");
    }
    return minimum;
}

int64_t dxi_gating_minimum(dx_ring_block_t *block)
{
    for (;;) {
        /* ACQUIRE, pairs with join(): who sees that somebody joined sees the bit. */
        const int64_t joins = dx_load_acquire(&block->joins);
        const uint64_t gating = (uint64_t)dx_load_acquire(&block->gating);
        dxi_point("gating:mask-read");
        const int64_t minimum = gating != 0 ? dxi_minimum(block, gating) : dxi_published(block);
        /* Dekker pair with join(). Here, because what we have just read may have been stored after
         * the joiner's fence by who knows of it no more than we do. A claim comes here once a lap,
         * or when it has to wait anyway. */
        dx_fence_seq_cst();
        /* A consumer may have joined since the first look, before what we have read since then. If
         * this look does not see it, then all we read was read before the joiner's fence, and it
         * starts there or later. RELAXED: those were acquires, which this can't pass. Joins are
         * counted because the mask alone can't tell one consumer from another that left and joined
         * in its entry. */
        if (dx_load_relaxed(&block->joins) == joins) {
            return minimum;
        }
    }
}

uint64_t dxi_upstream_closure(const dx_ring_block_t *block, uint64_t mask)
{
    const dx_consumer_entry_t *entries = dxi_block_consumers(block);
    uint64_t closure = mask;
    uint64_t to_visit = mask;
    while (to_visit != 0) {
        const int index = __builtin_ctzll(to_visit);
        to_visit &= to_visit - 1;
        const uint64_t found = (uint64_t)dx_load_acquire(&entries[index].upstream) & ~closure;
        closure |= found;
        to_visit |= found;
    }
    return closure;
}

uint64_t dxi_whole_pools(const dx_ring_block_t *block, uint64_t mask)
{
    const dx_consumer_entry_t *entries = dxi_block_consumers(block);
    const uint64_t active = (uint64_t)dx_load_acquire(&block->active);
    uint64_t pools = 0;
    for (uint64_t rest = mask & active; rest != 0; rest &= rest - 1) {
        const int index = __builtin_ctzll(rest);
        if (entries[index].kind == DX_CONSUMER_POOL) {
            pools |= UINT64_C(1) << index;
        } else if (entries[index].kind == DX_CONSUMER_WORKER) {
            pools |= UINT64_C(1) << entries[index].pool;
        }
    }
    uint64_t whole = mask | pools;
    for (uint64_t rest = pools != 0 ? active : 0; rest != 0; rest &= rest - 1) {
        const int index = __builtin_ctzll(rest);
        if (entries[index].kind == DX_CONSUMER_WORKER && (pools >> entries[index].pool & 1) != 0) {
            whole |= UINT64_C(1) << index;
        }
    }
    return whole;
}

uint64_t dxi_ended_before(const dx_ring_block_t *block, uint64_t mask, int64_t sequence)
{
    const dx_consumer_entry_t *entries = dxi_block_consumers(block);
    uint64_t ended = 0;
    for (uint64_t rest = dxi_upstream_closure(block, mask); rest != 0; rest &= rest - 1) {
        const int index = __builtin_ctzll(rest);
        const int32_t state = dx_load32_acquire(&entries[index].state);
        if ((state == DX_CONSUMER_STOPPED || state == DX_CONSUMER_FAILED) &&
            dx_load_acquire(&entries[index].sequence) < sequence) {
            ended |= UINT64_C(1) << index;
        }
    }
    return ended;
}
