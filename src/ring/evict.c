/* evict.c - consumers whose process died or stopped: out of the graph, and back into it.
 *
 * DESIGN
 *
 * EVICT. The consumer leaves the graph as if it had been closed (relink.c), but its entry keeps its
 * name and how far it was, for who resumes it. Where its process is only stopped, it still has its
 * handle, and may be in the middle of an event; it is told as soon as it looks: by its control word
 * at the next wait, drain, or poll that finds nothing, by a bit in `waiters` at the next release.
 * From then on it sees no event any more. What it reads between the eviction and that look may be
 * overwritten while it reads it. It can't do harm: nobody looks at its sequence any more, and its
 * entry is not given to another before it has closed its handle, or is dead.
 *
 * Somebody else may ask for the same of one consumer that lives and is in the way:
 * dxi_ring_evict(). Its handle finds out in the same way.
 *
 * BLOCK. The entry stays in the graph as it was, and gates or holds those behind it, until one of
 * the same name resumes it.
 *
 *     RUNNING, ADDED ... --- process dies, stops; EVICT ---> EVICTED --- resumed ---> FREE
 *                   \--- process dies; BLOCK ---> DEAD --- resumed ---> ADDED (the same entry)
 *
 * A pool and its workers can't be resumed, since what its workers had claimed died with them: they
 * are always evicted, all together.
 *
 * INVARIANTS
 *
 *   E1  an evicted consumer gates nobody, and nobody follows it
 *   E2  an entry that is EVICTED and has a process belongs to a handle that is not closed yet: it
 *       is not reused
 *   E3  a resumed consumer is given the first event that it had not released, unless that was
 *       evicted and is no longer kept: then dx_consumer_missed() says what is lost
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <unistd.h>

#include "base/fail.h"
#include "disruptorx/thread.h"
#include "ring/share.h"

/* ------------------------------------------------------------------------------------ evicting */

static bool may_block(const dx_consumer_entry_t *entry)
{
    return entry->on_death == DX_ON_DEATH_BLOCK && entry->kind != DX_CONSUMER_POOL &&
           entry->kind != DX_CONSUMER_WORKER;
}

static void tell(dx_consumer_entry_t *entry)
{
    (void)dx_fetch_or_acq_rel(&entry->waiters, DXI_WAITERS_EVICTED);
    (void)dx_fetch_or32_acq_rel(&entry->control, DXI_CONTROL_EVICTED);
}

/* What becomes of one consumer. True when it has to be taken out of the graph. One that died while
 * it joined or left, and is not in the graph, has no place that it could keep. */
static bool lose(dx_consumer_entry_t *entry, bool active, bool dead)
{
    const int32_t state = dx_load32_acquire(&entry->state);
    if (state == DX_CONSUMER_FREE || state == DX_CONSUMER_LEFT || state == DX_CONSUMER_EVICTED) {
        return false;
    }
    if (active && may_block(entry)) {
        if (dead) {
            dx_store32_release(&entry->state, DX_CONSUMER_DEAD);
        }
        return false;
    }
    dx_store_relaxed(&entry->evicted_at, dx_load_acquire(&entry->sequence));
    tell(entry);
    return true;
}

/* Whose owner is among `processes`. */
static bool is_of(const dx_consumer_entry_t *entry, uint64_t processes)
{
    return entry->process >= 0 && (processes >> entry->process & 1) != 0;
}

void dxi_consumers_lose(dx_ring_block_t *block, uint64_t processes, bool dead)
{
    dx_consumer_entry_t *entries = dxi_block_consumers(block);
    const uint64_t active = (uint64_t)dx_load_acquire(&block->active);
    uint64_t evicted = 0;
    for (uint32_t i = 0; i < block->consumers_max; i++) {
        if (is_of(&entries[i], processes) && lose(&entries[i], (active >> i & 1) != 0, dead)) {
            evicted |= UINT64_C(1) << i;
        }
    }
    uint64_t told = 0;
    if (evicted != 0) {
        dxi_point("evict:before-leave");
        told = dxi_entries_leave(block, evicted, DX_CONSUMER_EVICTED);
        dxi_count(&block->evictions, __builtin_popcountll(evicted));
    }
    /* Last: who dies here must leave the next one something to find them by. */
    for (uint32_t i = 0; dead && i < block->consumers_max; i++) {
        if (is_of(&entries[i], processes)) {
            dxi_field_store(&entries[i].process, -1); /* E2 */
        }
    }
    dxi_rebind_wake(block, told);
    for (uint64_t rest = evicted; rest != 0; rest &= rest - 1) {
        dxi_wake_consumer(&entries[__builtin_ctzll(rest)], dxi_block_shared(block));
        dxi_wake_followers(block, __builtin_ctzll(rest));
    }
}

/* Under the table lock. */
static int evict_one(dx_ring_block_t *block, int32_t index)
{
    dx_consumer_entry_t *entry = &dxi_block_consumers(block)[index];
    const bool active = ((uint64_t)dx_load_acquire(&block->active) >> index & 1) != 0;
    const bool plain =
        entry->kind != (int32_t)DX_CONSUMER_POOL && entry->kind != (int32_t)DX_CONSUMER_WORKER;
    const int32_t state = dx_load32_acquire(&entry->state);
    if (!active || !plain || state == DX_CONSUMER_EVICTED || state == DX_CONSUMER_FREE) {
        return DX_ENOTFOUND;
    }
    dx_store_relaxed(&entry->evicted_at, dx_load_acquire(&entry->sequence));
    tell(entry);
    const uint64_t told = dxi_entries_leave(block, UINT64_C(1) << index, DX_CONSUMER_EVICTED);
    dxi_count(&block->evictions, 1);
    dxi_rebind_wake(block, told);
    dxi_wake_consumer(entry, dxi_block_shared(block));
    dxi_wake_followers(block, index);
    dx_fence_seq_cst();
    dxi_wake_all(block); /* producers that wait for it */
    return DX_OK;
}

int dxi_ring_evict(dx_ring_t *ring, int32_t index)
{
    if (index < 0 || index >= (int32_t)ring->block->consumers_max) {
        return DX_ENOTFOUND;
    }
    if (!dxi_table_try_lock(ring)) {
        return DX_EBUSY;
    }
    const int code = evict_one(ring->block, index);
    dxi_table_unlock(ring);
    return code;
}

bool dxi_consumer_is_evicted(dx_consumer_t *consumer)
{
    if (DX_LIKELY((dx_load32_acquire(&consumer->entry->control) & DXI_CONTROL_EVICTED) == 0)) {
        return false;
    }
    consumer->evicted = true;
    consumer->source = NULL; /* sends every poll to the slow look */
    consumer->stamps = NULL;
    return true;
}

bool dxi_consumer_forget(dx_consumer_t *consumer)
{
    if (!dxi_consumer_is_evicted(consumer) || !dxi_table_lock_always(consumer->ring)) {
        return false;
    }
    consumer->ring->handles[consumer->index] = NULL;
    dxi_field_store(&consumer->entry->process, -1); /* E2 */
    dxi_table_unlock(consumer->ring);
    return true;
}

/* ------------------------------------------------------------------------------------ resuming */

/* The entry of a consumer of that name which is or was there: its index, or -1. One that lives
 * comes before one that is dead, and that before one that was evicted. */
static int32_t find(const dx_ring_block_t *block, const char *name)
{
    const dx_consumer_entry_t *entries = dxi_block_consumers(block);
    int32_t found = -1;
    for (uint32_t i = 0; i < block->consumers_max; i++) {
        const int32_t state = dx_load32_acquire(&entries[i].state);
        if (state == DX_CONSUMER_FREE || state == DX_CONSUMER_LEFT ||
            strncmp(entries[i].name, name, DX_RING_NAME_MAX) != 0) {
            continue;
        }
        if (found < 0 || dx_load32_acquire(&entries[found].state) == DX_CONSUMER_EVICTED) {
            found = (int32_t)i;
        }
    }
    return found;
}

int dxi_resume_find(const dx_ring_block_t *block, const dx_consumer_options_t *options,
                    dxi_resume_t *resume_out, dx_error_t *error)
{
    *resume_out = (dxi_resume_t){.index = -1, .first = INT64_MIN};
    if (options->name == NULL) {
        return dxi_fail(error, DX_EINVAL, "name is NULL, must be set with resume");
    }
    const int32_t index = find(block, options->name);
    if (index < 0) {
        return DX_OK;
    }
    const dx_consumer_entry_t *entry = &dxi_block_consumers(block)[index];
    const int32_t state = dx_load32_acquire(&entry->state);
    if (state == DX_CONSUMER_DEAD) {
        resume_out->index = index;
        return DX_OK;
    }
    if (state == DX_CONSUMER_EVICTED && entry->process < 0) {
        resume_out->evicted = index;
        resume_out->first = dx_load_relaxed(&entry->evicted_at) + 1;
        return DX_OK;
    }
    return dxi_fail(error, DX_EBUSY, "consumer '%s' of process %d %s", options->name,
                    dx_load32_relaxed(&entry->process_id),
                    state == DX_CONSUMER_EVICTED ? "was evicted and has not been closed"
                                                 : "is there already");
}

void dxi_resume_take(dx_ring_t *ring, int32_t index, const dx_consumer_options_t *options,
                     dx_consumer_kind_t kind)
{
    dx_consumer_entry_t *entry = &dxi_block_consumers(ring->block)[index];
    dx_store32_relaxed(&entry->control, 0); /* what it follows is read anew */
    dx_store32_relaxed(&entry->park, 0);
    dx_store32_relaxed(&entry->asleep, 0);
    dx_store32_relaxed(&entry->failure, DX_OK);
    dx_store32_relaxed(&entry->process_id, (int32_t)getpid());
    dx_store32_relaxed(&entry->thread_id, dx_thread_self_id());
    dxi_field_store(&entry->kind, (int32_t)kind);
    dxi_field_store(&entry->wait_kind, (int32_t)options->wait.kind);
    dxi_field_store(&entry->on_death, (int32_t)options->on_death);
    dxi_field_store(&entry->process, dxi_share_index(ring));
    dx_store32_release(&entry->state, DX_CONSUMER_ADDED);
}
