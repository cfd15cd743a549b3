/* relink.c - who follows whom, changed while all of them run.
 *
 * DESIGN
 *
 * An entry has two masks. `upstream` says whom the consumer is to follow; whoever changes the graph
 * writes it, under the table lock. `bound` says whom it reads now; the consumer's own thread writes
 * it, under the same lock. Between the two lies a handshake:
 *
 *     changer                              the consumer's thread
 *     -------                              ---------------------
 *     lock, upstream = new                 at a wait, or at a poll that finds nothing:
 *     gating update (below)                control has REBIND, and the lock is free at once:
 *     control |= REBIND, unlock              clear REBIND, read upstream, bind
 *     heavy fence, wake it                   bound = upstream, gating update, unlock
 *
 * The changer waits for nobody, and nobody waits for the lock on the way of an event: a consumer
 * that does not get it goes on as it was bound and tries again. So a change costs producers nothing
 * but a look at the mask, and only the two words and the futex are needed: it works across
 * processes.
 *
 * A consumer that leaves keeps its entry (DX_CONSUMER_LEFT, its sequence stands still) until no
 * active entry is bound to it. Those behind it reach that sequence, find nothing, and attend.
 *
 * WHO GATES. Consumer c needs no bit in `gating` while an active f covers it: f reads c (bound) and
 * is to go on doing so (upstream), and f.sequence <= c.sequence. Then f can't pass c, and holding f
 * holds c. Everybody else gates. So the edge of an inserted stage that starts behind its follower
 * covers nothing until it has caught up, and the edge that a change takes away covers nothing from
 * that moment on, long before the follower stops to read it. Bits are added before others are
 * cleared, and additions are counted in `joins`.
 *
 *     A pool covers what all its workers are bound to; a worker by itself covers nothing, because
 *     its word says IDLE now and then. The covering edges are a part of the graph of `upstream`,
 *     which has no cycle: every active consumer has a chain of them to one that gates.
 *
 * WHY NO PRODUCER PASSES A CONSUMER. dxi_gating_minimum() reads `joins`, the mask, the sequences in
 * it, and `joins` again; it starts over when the two differ. Let c be active all that time, and L
 * the last change (in the order of the lock) that happened before one of the values read. After L
 * there is a chain c <- f1 <- ... <- e, and e gates.
 *
 *   - e is in the mask that was read: else its bit was added later, its join happened before that
 *     value was read, and the second look at `joins` sees it.
 *   - The value v that was read of e was stored while e was bound along the chain: had it been
 *     stored after e was bound elsewhere, that change would be later than L and have happened
 *     before v. So v <= some sequence that f(k) had published, which itself was stored while f(k)
 *     was bound along the chain (it happened before v, too), and so on: v <= c.sequence.
 *
 * So the minimum is at most c.sequence, for each c, at any moment: limits only err on the low side
 * (R5), whatever changes meanwhile. A consumer that opens is the one case in which nothing it wrote
 * may have been read: that is what the fences in consumer.c are for. It starts no further back
 * than a consumer that was there (or the publication), so it is not behind a limit of before.
 *
 * SKIPS. `skip_watch` of an entry has the bits of everybody upstream that may hide an event. When
 * that changes, it changes from one sequence on: `skip_since`; events before it are judged by
 * `skip_before`. Who attends computes it, for itself and for all behind it: from its next event, or
 * from behind what a skipper had finished when it left.
 *
 * INVARIANTS
 *
 *   L1  every active consumer gates or is covered, at every moment at which the lock is free
 *   L2  `bound` and the handle change together, in the consumer's thread (or its owner's, while it
 *       has none), under the table lock, while the consumer holds no event
 *   L3  an entry is reused only when no active entry's `bound` names it
 *   L4  a worker that joins a pool claims nothing before all who are bound to the pool are bound to
 *       the worker (worker.c)
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/fail.h"
#include "ring/ring_internal.h"

static uint64_t active_of(const dx_ring_block_t *block)
{
    return (uint64_t)dx_load_acquire(&block->active);
}

/* How far the consumer is: a worker's own word says nothing while it is idle. */
static int64_t place_of_entry(const dx_ring_block_t *block, const dx_consumer_entry_t *entry)
{
    const int64_t sequence = dx_load_acquire(&entry->sequence);
    if (entry->kind != DX_CONSUMER_WORKER) {
        return sequence;
    }
    const int64_t claimed = dx_load_acquire(&dxi_block_consumers(block)[entry->pool].sequence);
    return claimed < sequence ? claimed : sequence;
}

/* -------------------------------------------------------------------------------------- gating */

/* Whom the consumer reads and will go on to read. */
static uint64_t edges_of(const dx_ring_block_t *block, int32_t index)
{
    const dx_consumer_entry_t *entries = dxi_block_consumers(block);
    if (entries[index].kind == DX_CONSUMER_WORKER) {
        return 0;
    }
    uint64_t edges = (uint64_t)(dx_load_relaxed(&entries[index].bound) &
                                dx_load_relaxed(&entries[index].upstream));
    if (entries[index].kind != DX_CONSUMER_POOL) {
        return edges;
    }
    for (uint64_t rest = active_of(block); rest != 0; rest &= rest - 1) {
        const dx_consumer_entry_t *worker = &entries[__builtin_ctzll(rest)];
        if (worker->kind == DX_CONSUMER_WORKER && worker->pool == index) {
            edges &=
                (uint64_t)(dx_load_relaxed(&worker->bound) & dx_load_relaxed(&worker->upstream));
        }
    }
    return edges;
}

/* The active consumers that others cover. */
static uint64_t covered_of(const dx_ring_block_t *block)
{
    const dx_consumer_entry_t *entries = dxi_block_consumers(block);
    const uint64_t active = active_of(block);
    uint64_t covered = 0;
    for (uint64_t rest = active; rest != 0; rest &= rest - 1) {
        const int index = __builtin_ctzll(rest);
        /* Read first: those that it follows only get further meanwhile. */
        const int64_t sequence = dx_load_acquire(&entries[index].sequence);
        for (uint64_t edges = edges_of(block, index) & active; edges != 0; edges &= edges - 1) {
            if (sequence <= dx_load_acquire(&entries[__builtin_ctzll(edges)].sequence)) {
                covered |= edges & -edges;
            }
        }
    }
    return covered;
}

/* The entries that somebody still reads. */
static uint64_t bound_by_others(const dx_ring_block_t *block)
{
    const dx_consumer_entry_t *entries = dxi_block_consumers(block);
    uint64_t bound = 0;
    for (uint64_t rest = active_of(block); rest != 0; rest &= rest - 1) {
        bound |= (uint64_t)dx_load_relaxed(&entries[__builtin_ctzll(rest)].bound);
    }
    return bound;
}

uint64_t dxi_entries_free(const dx_ring_block_t *block)
{
    const dx_consumer_entry_t *entries = dxi_block_consumers(block);
    const uint64_t all = (UINT64_C(1) << block->consumers_max) - 1;
    uint64_t free_entries = all & ~active_of(block) & ~bound_by_others(block);
    for (uint64_t rest = free_entries; rest != 0; rest &= rest - 1) {
        const dx_consumer_entry_t *entry = &entries[__builtin_ctzll(rest)];
        if (dx_load32_relaxed(&entry->state) == DX_CONSUMER_EVICTED && entry->process >= 0) {
            free_entries &= ~(rest & -rest); /* E2 in evict.c */
        }
    }
    return free_entries;
}

void dxi_gating_update(dx_ring_block_t *block)
{
    const uint64_t wanted = active_of(block) & ~covered_of(block);
    const uint64_t added = wanted & ~(uint64_t)dx_load_relaxed(&block->gating);
    if (added != 0) {
        (void)dx_fetch_or_acq_rel(&block->gating, (int64_t)added);
        /* RELEASE, pairs with dxi_gating_minimum(): who sees that somebody joined sees the bit. */
        dx_store_release(&block->joins, dx_load_relaxed(&block->joins) + 1);
    }
    dxi_point("gating:before-clear");
    (void)dx_fetch_and_acq_rel(&block->gating, (int64_t)wanted);

    dx_consumer_entry_t *entries = dxi_block_consumers(block);
    for (uint64_t rest = dxi_entries_free(block); rest != 0; rest &= rest - 1) { /* L3 */
        dx_consumer_entry_t *entry = &entries[__builtin_ctzll(rest)];
        if (dx_load32_relaxed(&entry->state) == DX_CONSUMER_LEFT) {
            dx_store32_release(&entry->state, DX_CONSUMER_FREE);
        }
    }
}

/* --------------------------------------------------------------------------------------- skips */

/* What hides an event from who reads `bound`. */
static int64_t skips_of(const dx_ring_block_t *block, uint64_t bound)
{
    const dx_consumer_entry_t *entries = dxi_block_consumers(block);
    int64_t skips = 0;
    for (; bound != 0; bound &= bound - 1) {
        const dx_consumer_entry_t *entry = &entries[__builtin_ctzll(bound)];
        if (entry->kind != DX_CONSUMER_POOL) { /* its workers know */
            skips |= entry->skip_bit | dx_load_relaxed(&entry->skip_watch);
        }
    }
    return skips;
}

/* From `since` on the events of an entry are judged by `skips`. False when nothing changes. */
static bool skips_store(const dx_ring_block_t *block, dx_consumer_entry_t *entry, int64_t skips,
                        int64_t since)
{
    const int64_t old = dx_load_relaxed(&entry->skip_watch);
    if (old == skips) {
        return false;
    }
    /* One change is exact. Where the last one is still ahead of it, the two become one. */
    const bool passed = place_of_entry(block, entry) + 1 >= dx_load_relaxed(&entry->skip_since);
    dx_store_relaxed(&entry->skip_before,
                     passed ? old : old | dx_load_relaxed(&entry->skip_before));
    /* RELEASE in this order, pairs with dxi_skips(): who sees the new bits sees since when. */
    dx_store_release(&entry->skip_since, since);
    dx_store_release(&entry->skip_watch, skips);
    return true;
}

/* Computes the skips of an entry that is bound to `bound` from now on, and of all behind it. */
static void skips_update(dx_ring_block_t *block, int32_t index, uint64_t bound, int64_t since)
{
    dx_consumer_entry_t *entries = dxi_block_consumers(block);
    if (!skips_store(block, &entries[index], skips_of(block, bound), since)) {
        return;
    }
    bool changed = true;
    while (changed) { /* at most as often as the graph is deep */
        changed = false;
        for (uint64_t rest = active_of(block) & ~(UINT64_C(1) << index); rest != 0;
             rest &= rest - 1) {
            dx_consumer_entry_t *entry = &entries[__builtin_ctzll(rest)];
            const uint64_t reads = (uint64_t)dx_load_relaxed(&entry->bound);
            changed |= skips_store(block, entry, skips_of(block, reads), since);
        }
    }
}

int64_t dxi_skips(const dx_consumer_entry_t *entry, int64_t sequence)
{
    /* ACQUIRE in this order: see skips_store(). */
    const int64_t skips = dx_load_acquire(&entry->skip_watch);
    return sequence >= dx_load_acquire(&entry->skip_since) ? skips
                                                           : dx_load_relaxed(&entry->skip_before);
}

/* A bit of marks that no active consumer sets or heeds, or 0. */
int64_t dxi_skip_bit_find(const dx_ring_block_t *block)
{
    const dx_consumer_entry_t *entries = dxi_block_consumers(block);
    int64_t used = 0;
    for (uint64_t rest = active_of(block); rest != 0; rest &= rest - 1) {
        const dx_consumer_entry_t *entry = &entries[__builtin_ctzll(rest)];
        used |= entry->skip_bit | dx_load_relaxed(&entry->skip_watch);
        if (place_of_entry(block, entry) + 1 < dx_load_relaxed(&entry->skip_since)) {
            used |= dx_load_relaxed(&entry->skip_before);
        }
    }
    const int64_t free_bits = DXI_MARK_SKIPS & ~used;
    return free_bits & -free_bits;
}

/* -------------------------------------------------------------------- the consumer's own thread */

/* The first sequence that is judged by what it reads after it was bound to `old`. */
static int64_t skips_since(const dx_consumer_t *consumer, uint64_t old)
{
    const dx_consumer_entry_t *entries = dxi_block_consumers(consumer->block);
    int64_t since = place_of_entry(consumer->block, consumer->entry) + 1;
    for (uint64_t left = old & ~active_of(consumer->block); left != 0; left &= left - 1) {
        const dx_consumer_entry_t *entry = &entries[__builtin_ctzll(left)];
        const int64_t last = dx_load_acquire(&entry->sequence);
        if (entry->kind != DX_CONSUMER_WORKER && last != DX_SEQUENCE_IDLE && last >= since) {
            since = last + 1;
        }
    }
    return since;
}

void dxi_consumer_bind(dx_consumer_t *consumer)
{
    dx_ring_block_t *block = consumer->block;
    dx_consumer_entry_t *entries = dxi_block_consumers(block);
    dx_consumer_entry_t *entry = consumer->entry;
    const uint64_t upstream = (uint64_t)dx_load_acquire(&entry->upstream);

    skips_update(block, consumer->index, upstream,
                 skips_since(consumer, (uint64_t)dx_load_relaxed(&entry->bound)));
    consumer->upstream = upstream;
    consumer->stamps = NULL;
    consumer->source = NULL;
    if (upstream == 0) {
        if (block->mode == DX_RING_SINGLE) {
            consumer->source = &block->cursor;
        } else {
            consumer->stamps = dxi_block_stamps(block);
        }
    } else if ((upstream & (upstream - 1)) == 0) {
        consumer->source = &entries[__builtin_ctzll(upstream)].sequence;
    }
    consumer->catching_up = dxi_minimum(block, upstream) < place_of_entry(block, entry);
    /* RELEASE, pairs with dxi_pool_admits(): who sees the mask knows that we read by it. */
    dx_store_release(&entry->bound, (int64_t)upstream);
}

bool dxi_consumer_rebind(dx_consumer_t *consumer)
{
    dx_consumer_entry_t *entry = consumer->entry;
    if ((dx_load32_acquire(&entry->control) & DXI_CONTROL_REBIND) == 0) {
        return true;
    }
    dxi_point("rebind:before-lock");
    if (!dxi_table_try_lock(consumer->ring)) {
        return false;
    }
    if (dxi_consumer_is_evicted(consumer)) { /* meanwhile */
        dxi_table_unlock(consumer->ring);
        return true;
    }
    /* Before the look: a change that comes later sets it again. */
    (void)dx_fetch_and32_acq_rel(&entry->control, ~DXI_CONTROL_REBIND);
    dxi_consumer_bind(consumer);
    dxi_gating_update(consumer->block);
    dxi_table_unlock(consumer->ring);
    dxi_point("rebind:done");
    return true;
}

void dxi_consumer_settle(dx_consumer_t *consumer)
{
    dx_ring_block_t *block = consumer->block;
    if (dxi_minimum(block, consumer->upstream) < place_of_entry(block, consumer->entry) ||
        !dxi_table_try_lock(consumer->ring)) {
        return;
    }
    consumer->catching_up = false;
    dxi_gating_update(block);
    dxi_table_unlock(consumer->ring);
}

/* ------------------------------------------------------------------------------------- changers */

uint64_t dxi_entry_follow(dx_ring_block_t *block, int32_t index, uint64_t upstream)
{
    dx_consumer_entry_t *entry = &dxi_block_consumers(block)[index];
    if ((uint64_t)dx_load_relaxed(&entry->upstream) == upstream) {
        return 0;
    }
    dx_store_release(&entry->upstream, (int64_t)upstream);
    if (entry->kind == DX_CONSUMER_POOL) { /* no thread: its workers attend */
        dx_store_release(&entry->bound, (int64_t)upstream);
        return 0;
    }
    (void)dx_fetch_or32_acq_rel(&entry->control, DXI_CONTROL_REBIND);
    return UINT64_C(1) << index;
}

void dxi_rebind_wake(dx_ring_block_t *block, uint64_t told)
{
    if (told == 0) {
        return;
    }
    /* As in dxi_consumer_control(): who is about to sleep sees the control word, or we wake it. */
    dx_fence_seq_cst();
    for (; told != 0; told &= told - 1) {
        dxi_wake_consumer(&dxi_block_consumers(block)[__builtin_ctzll(told)],
                          dxi_block_shared(block));
    }
}

/* Those that follow `index` follow what it followed. Returns whom to tell. */
static uint64_t pass_over(dx_ring_block_t *block, int32_t index)
{
    const dx_consumer_entry_t *entries = dxi_block_consumers(block);
    const uint64_t self = UINT64_C(1) << index;
    /* A worker's place is taken by its pool. */
    const uint64_t followed = entries[index].kind == DX_CONSUMER_WORKER
                                  ? 0
                                  : (uint64_t)dx_load_relaxed(&entries[index].upstream);
    uint64_t told = 0;
    for (uint64_t rest = active_of(block) & ~self; rest != 0; rest &= rest - 1) {
        const int follower = __builtin_ctzll(rest);
        const uint64_t upstream = (uint64_t)dx_load_relaxed(&entries[follower].upstream);
        if ((upstream & self) != 0) {
            told |= dxi_entry_follow(block, follower, (upstream & ~self) | followed);
        }
    }
    return told;
}

uint64_t dxi_entries_leave(dx_ring_block_t *block, uint64_t leaving, dx_consumer_state_t state)
{
    dx_consumer_entry_t *entries = dxi_block_consumers(block);
    uint64_t told = 0;
    for (uint64_t rest = leaving; rest != 0; rest &= rest - 1) {
        told |= pass_over(block, __builtin_ctzll(rest));
    }
    dxi_point("leave:before-inactive");
    (void)dx_fetch_and_acq_rel(&block->active, (int64_t)~leaving);
    for (uint64_t rest = leaving; rest != 0; rest &= rest - 1) {
        dx_store32_release(&entries[__builtin_ctzll(rest)].state, (int32_t)state);
    }
    dxi_gating_update(block);
    return told & ~leaving;
}

void dxi_graph_repair(dx_ring_block_t *block)
{
    dx_consumer_entry_t *entries = dxi_block_consumers(block);
    /* It may have added bits and not counted them. */
    dx_store_release(&block->joins, dx_load_relaxed(&block->joins) + 1);
    for (uint64_t rest = active_of(block); rest != 0; rest &= rest - 1) {
        dx_consumer_entry_t *entry = &entries[__builtin_ctzll(rest)];
        const int64_t upstream = dx_load_relaxed(&entry->upstream);
        if (entry->kind == DX_CONSUMER_POOL) {
            dx_store_release(&entry->bound, upstream);
        } else if (dx_load_relaxed(&entry->bound) != upstream) {
            (void)dx_fetch_or32_acq_rel(&entry->control, DXI_CONTROL_REBIND);
        }
    }
    dxi_gating_update(block);
}

void dxi_consumers_close(dx_ring_t *ring, uint64_t leaving)
{
    dx_ring_block_t *block = ring->block;
    if (!dxi_table_lock_always(ring)) {
        return;
    }
    const uint64_t told = dxi_entries_leave(block, leaving, DX_CONSUMER_LEFT);
    for (uint64_t rest = leaving; rest != 0; rest &= rest - 1) {
        ring->handles[__builtin_ctzll(rest)] = NULL;
    }
    dxi_table_unlock(ring);
    dxi_point("leave:before-wake");
    /* Whoever slept on it was told and is woken whatever it does, and producers compare the epoch:
     * no fence but that of dxi_rebind_wake(), so nobody else notices. */
    dxi_rebind_wake(block, told);
    for (uint64_t rest = leaving; rest != 0; rest &= rest - 1) {
        dxi_wake_followers(block, __builtin_ctzll(rest));
    }
}

/* ----------------------------------------------------------------------------------- following */

static int follow_validate(const dx_ring_block_t *block, uint64_t behind, uint64_t upstream,
                           dx_error_t *error)
{
    const dx_consumer_entry_t *entries = dxi_block_consumers(block);
    const uint64_t unknown = upstream & ~active_of(block);
    if (unknown != 0) {
        return dxi_fail(error, DX_ENOTFOUND, "upstream names consumer %d, which does not exist",
                        __builtin_ctzll(unknown));
    }
    const uint64_t cycle = dxi_upstream_closure(block, upstream) & behind;
    if (cycle == 0) {
        return DX_OK;
    }
    /* The one in `upstream` from which the cycle is reached. */
    uint64_t ahead = upstream;
    while ((dxi_upstream_closure(block, ahead & -ahead) & cycle) == 0) {
        ahead &= ahead - 1;
    }
    const char *ahead_name = entries[__builtin_ctzll(ahead)].name;
    const char *behind_name = entries[__builtin_ctzll(cycle)].name;
    return dxi_fail(error, DX_EINVAL,
                    "'%s' behind '%s' would close a cycle: '%s' already follows '%s'", behind_name,
                    ahead_name, ahead_name, behind_name);
}

int dxi_follow(dx_ring_t *ring, uint64_t behind, uint64_t upstream, uint64_t instead_of,
               dx_error_t *error)
{
    dx_ring_block_t *block = ring->block;
    int code = dxi_table_lock(ring, error);
    if (code != DX_OK) {
        return code;
    }
    const uint64_t unknown = behind & ~active_of(block);
    if (unknown != 0) {
        code =
            dxi_fail(error, DX_ENOTFOUND, "consumer %d does not exist", __builtin_ctzll(unknown));
    }
    behind = dxi_whole_pools(block, behind);
    upstream = dxi_whole_pools(block, upstream);
    instead_of = dxi_whole_pools(block, instead_of);
    if (code == DX_OK) {
        code = follow_validate(block, behind, upstream, error);
    }
    uint64_t told = 0;
    if (code == DX_OK) {
        const dx_consumer_entry_t *entries = dxi_block_consumers(block);
        for (uint64_t rest = behind; rest != 0; rest &= rest - 1) {
            const int index = __builtin_ctzll(rest);
            const uint64_t kept = (uint64_t)dx_load_relaxed(&entries[index].upstream) & ~instead_of;
            told |= dxi_entry_follow(block, index, kept | upstream);
        }
        dxi_point("follow:before-gating");
        dxi_gating_update(block);
    }
    dxi_table_unlock(ring);
    dxi_point("follow:before-wake");
    dxi_rebind_wake(block, told);
    return code;
}

int dx_consumer_follow(dx_ring_t *ring, int32_t index, uint64_t upstream, dx_error_t *error)
{
    if (index < 0 || index >= (int32_t)ring->block->consumers_max) {
        return dxi_fail(error, DX_ENOTFOUND, "consumer %d does not exist", index);
    }
    return dxi_follow(ring, UINT64_C(1) << index, upstream, ~UINT64_C(0), error);
}
