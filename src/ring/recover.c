/* recover.c - what a dead process held is released, so that the others go on.
 *
 * DESIGN
 *
 * A process may die between any two instructions, and nothing it does is undone by that. What it
 * can leave behind, and what becomes of it:
 *
 *     claimed, not published        multi: voided, as if aborted: consumers pass over it.
 *                                   single: nobody has seen the claim; void marks of an abort that
 *                                   was not finished are taken back
 *     published, nobody woken       everybody is woken
 *     a consumer                    evicted, or kept for who resumes it
 *     half a change of the tables   its own entries go, and the masks are computed again from what
 *                                   is left
 *     a lock                        the kernel takes it back
 *
 * WHOSE IS A HOLE? A claim is a swap on one word, and then it is not written anywhere whose it is.
 * But every producer says in its entry, before it swaps, what it is about to hold, and says so
 * until that is published (I4 in producer.c). So a sequence that is claimed, that is not published,
 * and that no living producer's record covers, belongs to nobody any more:
 *
 *     we read claimed (acquire)       s <= claimed: the swap for s came before, and the record of
 *                                     who made it came before that
 *     we read the records (acquire)   none covers s: its holder is dead, or has moved its record
 *                                     on, which it does after publishing s
 *     we read the stamp of s          published, or nobody's
 *
 * A living producer that lost the race for s may cover it for a moment, or one that holds several
 * claims for longer: then s waits until that record moves on. A dead one's record counts for
 * nothing.
 *
 * A producer that closes with claims does the same for itself. What it can't tell from what others
 * hold stays in its entry, which is CLOSED until then. block->closed says so; consumers that find
 * nothing to read try again, and so does the guard.
 *
 * On rings with spans the search goes from span to span, because the slots in the middle of a span
 * are not stamped and look like holes once its producer has moved on. How far a span reaches that
 * a living one may hold is not known, so the search ends there, to be tried again.
 *
 * THE STALLED. A process that is stopped can come back and go on writing, so nothing that it may
 * write to can be given to others. Its consumers only read: they are evicted, and are told when
 * they come back. If it holds a claim, or the tables, it is killed (DX_ON_STALL_EVICT), and
 * recovered as dead. A process is believed to be stopped when its heart stands still and /proc says
 * the same.
 *
 * INVARIANTS
 *
 *   V1  only claims of dead or closed producers are voided
 *   V2  after recovery no claim of the dead remains; while one does, its process stays DEAD and the
 *       next round tries again
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <time.h>

#include "ring/share.h"

#define HOLE_TRIES 20
#define HOLE_PAUSE_NS INT64_C(50000)

/* -------------------------------------------------------------------------------------- claims */

static bool in_mask(uint64_t mask, int32_t process)
{
    return process >= 0 && (mask >> process & 1) != 0;
}

/* True when a producer that is not in `dead` may hold the sequence. */
static bool is_covered(const dx_ring_block_t *block, uint64_t dead, int64_t sequence)
{
    const dx_producer_entry_t *entries = dxi_block_producers(block);
    for (uint32_t i = 0; i < block->producers_max; i++) {
        /* RELAXED: on the rings that come here it changes under the table lock, which we hold. */
        if (dx_load32_relaxed(&entries[i].in_use) != DXI_PRODUCER_OPEN ||
            in_mask(dead, entries[i].process)) {
            continue;
        }
        /* ACQUIRE, pairs with dxi_producer_hold(): see WHOSE IS A HOLE. */
        const int64_t first = dx_load_acquire(&entries[i].held_first);
        const int64_t last = dx_load_acquire(&entries[i].held_last);
        if (sequence >= first && sequence <= last) {
            return true;
        }
    }
    return false;
}

int64_t dxi_recover_claims(dx_ring_block_t *block, uint64_t dead, int64_t first, int64_t last)
{
    const int64_t published = dxi_published(block);
    /* ACQUIRE: who claimed up to here has recorded it before. */
    const int64_t claimed = dx_load_acquire(&block->claimed);
    int64_t covered = 0;
    int64_t sequence = first > published ? first : published + 1;
    last = last < claimed ? last : claimed;
    while (sequence <= last) {
        if (dxi_is_stamped(block, sequence)) {
            sequence = dxi_event_next(block, sequence);
            continue;
        }
        dxi_point("recover:before-records");
        if (is_covered(block, dead, sequence)) {
            covered++;
            if (block->spans != 0) {
                break;
            }
            sequence++;
        } else if (!dxi_is_stamped(block, sequence)) { /* else it has been published just now */
            dxi_point("recover:before-void");
            dxi_mark(block, sequence, DXI_MARK_VOID);
            dxi_stamp(block, sequence);
            dxi_count(&block->voided, 1);
            sequence++;
        }
    }
    return covered;
}

/* True when the entry is of a producer that will never publish again. */
static bool is_over(const dx_producer_entry_t *entry, uint64_t dead)
{
    const int32_t in_use = dx_load32_acquire(&entry->in_use);
    return in_use == DXI_PRODUCER_CLOSED ||
           (in_use == DXI_PRODUCER_OPEN && in_mask(dead, entry->process));
}

/* Voids what the dead and the closed producers hold. False when some of it can't be told from what
 * others hold. */
static bool recover_producers(dx_ring_block_t *block, uint64_t dead)
{
    dx_producer_entry_t *entries = dxi_block_producers(block);
    int64_t covered = 0;
    for (uint32_t i = 0; i < block->producers_max; i++) {
        const dx_producer_entry_t *entry = &entries[i];
        if (!is_over(entry, dead)) {
            continue;
        }
        if (block->mode == DX_RING_MULTI) {
            covered += dxi_recover_claims(block, dead, dx_load_acquire(&entry->held_first),
                                          dx_load_acquire(&entry->held_last));
        } else {
            dxi_marks_take_back(block);
        }
    }
    if (covered != 0) {
        return false;
    }
    /* Not before: while anything is left, the records say what. */
    dx_store32_release(&block->closed, 0);
    for (uint32_t i = 0; i < block->producers_max; i++) {
        if (is_over(&entries[i], dead)) {
            dx_store32_release(&entries[i].in_use, DXI_PRODUCER_FREE); /* first: we may die, too */
            dxi_field_store(&entries[i].process, -1);
        }
    }
    return true;
}

/* As long as it takes others to get out of the way, within reason. */
static bool recover_producers_soon(dx_ring_block_t *block, uint64_t dead)
{
    const struct timespec pause = {.tv_nsec = HOLE_PAUSE_NS};
    for (int tries = 0; tries < HOLE_TRIES; tries++) {
        if (recover_producers(block, dead)) {
            return true;
        }
        (void)nanosleep(&pause, NULL);
    }
    return false;
}

bool dxi_recover_closed(dx_ring_block_t *block)
{
    const int64_t voided = dx_load_relaxed(&block->voided);
    const bool done = recover_producers(block, 0);
    if (!done) {
        dx_store32_release(&block->closed, 1);
    }
    if (!done || dx_load_relaxed(&block->voided) != voided) {
        dx_fence_seq_cst();  /* as in dxi_consumer_control() */
        dxi_wake_all(block); /* to go on, or to sleep more lightly: see dxi_park_consumer() */
    }
    return done;
}

bool dxi_recover_closed_try(dx_ring_t *ring)
{
    dx_ring_block_t *block = ring->block;
    if (!dxi_table_try_lock(ring)) {
        return false;
    }
    const int64_t before = dx_load_relaxed(&block->voided);
    if (dx_load32_acquire(&block->closed) != 0) {
        (void)recover_producers(block, 0);
    }
    const bool voided = dx_load_relaxed(&block->voided) != before;
    if (voided) { /* others may sleep on it without a limit: the flag is gone */
        dx_fence_seq_cst();
        dxi_wake_all(block);
    }
    dxi_table_unlock(ring);
    return voided;
}

/* True when a process of `mask` holds something that it could still write to. */
static bool holds_claims(dx_ring_block_t *block, uint64_t mask)
{
    const dx_producer_entry_t *entries = dxi_block_producers(block);
    const int64_t published = dxi_published(block);
    for (uint32_t i = 0; block->mode == DX_RING_MULTI && i < block->producers_max; i++) {
        if (dx_load32_acquire(&entries[i].in_use) != DXI_PRODUCER_OPEN ||
            !in_mask(mask, entries[i].process)) {
            continue;
        }
        const int64_t first = dx_load_acquire(&entries[i].held_first);
        const int64_t last = dx_load_acquire(&entries[i].held_last);
        const int64_t claimed = dx_load_acquire(&block->claimed);
        for (int64_t s = first > published ? first : published + 1; s <= last && s <= claimed;) {
            if (!dxi_is_stamped(block, s)) {
                return true;
            }
            s = dxi_event_next(block, s);
        }
    }
    return false;
}

/* ----------------------------------------------------------------------------------- consumers */

static void recover_consumers(dx_ring_block_t *block, uint64_t processes, bool dead)
{
    dxi_consumers_lose(block, processes, dead);
    dxi_graph_repair(block);
}

/* ----------------------------------------------------------------------------------- processes */

/* The processes that are gone: a mask. */
static uint64_t find_dead(const dx_ring_t *ring)
{
    dx_process_entry_t *entries = dxi_block_processes(ring->block);
    uint64_t dead = 0;
    for (int32_t i = 0; i < (int32_t)ring->block->processes_max; i++) {
        const int32_t state = dx_load32_acquire(&entries[i].state);
        if (i == ring->share->index || state == DX_PROCESS_FREE ||
            dxi_share_is_taken(ring->share->fd, i)) {
            continue;
        }
        if (state != DX_PROCESS_DEAD) {
            dx_store32_release(&entries[i].state, DX_PROCESS_DEAD);
            dxi_count(&ring->block->deaths, 1);
        }
        dead |= UINT64_C(1) << i;
    }
    return dead;
}

static void release_dead(dx_ring_block_t *block, uint64_t dead)
{
    recover_consumers(block, dead, true);
    const bool done = recover_producers_soon(block, dead);
    for (uint64_t rest = dead; rest != 0; rest &= rest - 1) {
        dx_store32_release(&dxi_block_processes(block)[__builtin_ctzll(rest)].state,
                           done ? DX_PROCESS_FREE : DX_PROCESS_DEAD); /* V2 */
    }
    dx_fence_seq_cst();
    dxi_wake_all(block);
}

/* What follows when a process has been silent. */
static void handle_stalled(dx_ring_block_t *block, int32_t index)
{
    dx_process_entry_t *entry = &dxi_block_processes(block)[index];
    if (!dxi_identity_is_stopped(entry)) {
        return;
    }
    int32_t attached = DX_PROCESS_ATTACHED;
    if (dx_compare_exchange32_acq_rel(&entry->state, &attached, DX_PROCESS_STALLED)) {
        dxi_count(&block->stalls, 1);
    }
    if (block->stalled != DX_ON_STALL_EVICT) {
        return;
    }
    const uint64_t self = UINT64_C(1) << index;
    if (holds_claims(block, self)) {
        dxi_count(&block->kills, dxi_identity_kill(entry) == DX_OK);
        return; /* its lock goes with it, and the next look finds it dead */
    }
    recover_consumers(block, self, false);
    dx_fence_seq_cst();
    dxi_wake_all(block);
}

void dxi_recover_table(dx_ring_block_t *block, uint64_t stalled)
{
    const int32_t holder = dx_load32_relaxed(&block->table_holder) - 1;
    if (!in_mask(stalled, holder) || block->stalled != DX_ON_STALL_EVICT) {
        return;
    }
    dx_process_entry_t *entry = &dxi_block_processes(block)[holder];
    if (dxi_identity_is_stopped(entry) && dxi_identity_kill(entry) == DX_OK) {
        (void)dx_fetch_add_relaxed(&block->kills, 1); /* not alone: others may see it, too */
    }
}

int dxi_recover(dx_ring_t *ring, uint64_t stalled)
{
    dx_ring_block_t *block = ring->block;
    const uint64_t dead = find_dead(ring);
    if (dead != 0) {
        release_dead(block, dead);
    }
    for (uint64_t rest = stalled & ~dead; rest != 0; rest &= rest - 1) {
        handle_stalled(block, __builtin_ctzll(rest));
    }
    return __builtin_popcountll(dead);
}

void dxi_recover_self(dx_ring_t *ring)
{
    release_dead(ring->block, UINT64_C(1) << ring->share->index);
}

int dx_ring_recover(dx_ring_t *ring)
{
    if (ring->share == NULL || ring->share->index < 0) {
        return 0;
    }
    if (dxi_table_lock(ring, NULL) != DX_OK) {
        return DX_EBUSY;
    }
    const int dead = dxi_recover(ring, 0);
    dxi_table_unlock(ring);
    return dead;
}
