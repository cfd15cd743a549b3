/* stat.c - looking at a ring from outside: numbers, consumers, producers, processes.
 *
 * Reads only, so that it works on memory that is mapped read-only, and while its owners hang. The
 * numbers are read one after the other, each with one load.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disruptorx/clock.h"
#include "ring/ring_internal.h"
#include "ring/share.h"

int64_t dx_ring_published(const dx_ring_t *ring)
{
    return dxi_published_seen(ring->block);
}

/* a - b. Damaged memory may hold numbers for which that is no number: then it is any. */
static int64_t difference(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a - (uint64_t)b);
}

/* As dxi_gating_minimum(). */
static int64_t consumed_seen(dx_ring_block_t *block)
{
    const uint64_t gating = (uint64_t)dx_load_acquire(&block->gating);
    return gating != 0 ? dxi_minimum(block, gating) : dxi_published_seen(block);
}

int64_t dx_ring_consumed(const dx_ring_t *ring)
{
    return consumed_seen(ring->block);
}

static int64_t claimed_of(dx_ring_block_t *block)
{
    return block->mode == DX_RING_MULTI ? dx_load_acquire(&block->claimed)
                                        : dx_load_acquire(&block->cursor);
}

int64_t dxi_block_remaining(dx_ring_block_t *block)
{
    const int64_t slot_count = (int64_t)block->slot_count;
    /* The consumers first: what is claimed later can only make less of it, and R1 bounds it. Both
     * may have moved in between, hence the limits. */
    const int64_t consumed = consumed_seen(block);
    const int64_t used = difference(claimed_of(block), consumed);
    return used < 0 ? slot_count : (used > slot_count ? 0 : slot_count - used);
}

int64_t dx_ring_remaining(const dx_ring_t *ring)
{
    return dxi_block_remaining(ring->block);
}

bool dx_ring_is_available(const dx_ring_t *ring, int64_t sequence)
{
    dx_ring_block_t *block = ring->block;
    if (block->mode == DX_RING_SINGLE) {
        const int64_t cursor = dx_load_acquire(&block->cursor);
        return sequence >= 0 && sequence <= cursor &&
               difference(cursor, sequence) < (int64_t)block->slot_count;
    }
    const int32_t stamp =
        dx_load32_acquire(&dxi_block_stamps(block)[sequence & (int64_t)(block->slot_count - 1)]);
    if (sequence < 0 || stamp != (int32_t)(sequence >> block->slot_shift)) {
        return false;
    }
    /* The stamp of a span's slot stays while the slot is in the middle of a later span. */
    return block->spans == 0 ||
           difference(dx_load_acquire(&block->claimed), sequence) < (int64_t)block->slot_count;
}

void dx_ring_stat(const dx_ring_t *ring, dx_ring_stat_t *stat_out)
{
    dx_ring_block_t *block = ring->block;
    dx_ring_stat_t stat = {
        .mode = (dx_ring_mode_t)block->mode,
        .slot_count = block->slot_count,
        .slot_bytes = block->slot_bytes,
        .block_bytes = block->block_bytes,
        .closed = dx_load_relaxed(&block->signal) < 0,
        .producers = dxi_producers_open(block),
        .consumers = __builtin_popcountll((uint64_t)dx_load_relaxed(&block->active)),
        .shared = dxi_block_shared(block),
        .spans = block->spans != 0,
        .deaths = dx_load_relaxed(&block->deaths),
        .stalls = dx_load_relaxed(&block->stalls),
        .kills = dx_load_relaxed(&block->kills),
        .voided = dx_load_relaxed(&block->voided),
        .evictions = dx_load_relaxed(&block->evictions),
    };
    dxi_name_copy(stat.name, block->name);
    /* Consumers before producers, so that no difference is negative. */
    stat.consumed = consumed_seen(block);
    stat.published = dxi_published_seen(block);
    stat.claimed = claimed_of(block);
    stat.claimed = stat.claimed > stat.published ? stat.claimed : stat.published;
    stat.depth = difference(stat.published, stat.consumed);
    stat.depth = stat.depth > 0 ? stat.depth : 0;
    stat.remaining = dx_ring_remaining(ring);

    const dx_process_entry_t *processes = dxi_block_processes(block);
    for (uint32_t i = 0; i < block->processes_max; i++) {
        stat.processes += dx_load32_relaxed(&processes[i].state) != DX_PROCESS_FREE;
    }
    const dx_producer_entry_t *producers = dxi_block_producers(block);
    for (uint32_t i = 0; i < block->producers_max; i++) {
        stat.claim_waits += dx_load_relaxed(&producers[i].waits);
        stat.claim_wait_ns += dx_load_relaxed(&producers[i].wait_ns);
        stat.drops += dx_load_relaxed(&producers[i].drops);
        stat.refusals += dx_load_relaxed(&producers[i].refusals);
        stat.aborts += dx_load_relaxed(&producers[i].aborts);
        stat.wakes += dx_load_relaxed(&producers[i].wakes);
    }
    *stat_out = stat;
}

int dx_ring_consumer_stat(const dx_ring_t *ring, int32_t index, dx_consumer_stat_t *stat_out)
{
    dx_ring_block_t *block = ring->block;
    memset(stat_out, 0, sizeof(*stat_out));
    if (index < 0 || index >= (int32_t)block->consumers_max) {
        return DX_ENOTFOUND;
    }
    const dx_consumer_entry_t *entry = &dxi_block_consumers(block)[index];
    const bool active = ((uint64_t)dx_load_acquire(&block->active) >> index & 1) != 0;
    /* Who was evicted is in no mask any more, and may come back: it is shown until then. */
    if (!active && dx_load32_acquire(&entry->state) != DX_CONSUMER_EVICTED) {
        return DX_ENOTFOUND;
    }
    const dx_consumer_counters_t *counters = &entry->counters;
    int64_t sequence = dx_load_acquire(&entry->sequence);
    const int64_t published = dxi_published_seen(block);
    sequence = sequence == DX_SEQUENCE_IDLE ? published : sequence;
    *stat_out = (dx_consumer_stat_t){
        .index = index,
        .kind = (dx_consumer_kind_t)dxi_field_load(&entry->kind),
        .state = (dx_consumer_state_t)dx_load32_relaxed(&entry->state),
        .wait_kind = (dx_wait_kind_t)dxi_field_load(&entry->wait_kind),
        .gating = ((uint64_t)dx_load_relaxed(&block->gating) >> index & 1) != 0,
        .asleep = dx_load32_relaxed(&entry->asleep) != 0,
        .failure = dx_load32_relaxed(&entry->failure),
        .process = dxi_field_load(&entry->process),
        .process_id = dx_load32_relaxed(&entry->process_id),
        .thread_id = dx_load32_relaxed(&entry->thread_id),
        .on_death = (dx_on_death_t)dxi_field_load(&entry->on_death),
        .sequence = sequence,
        .lag = published > sequence ? difference(published, sequence) : 0,
        .upstream = (uint64_t)dx_load_relaxed(&entry->upstream),
        .bound = (uint64_t)dx_load_relaxed(&entry->bound),
        .events = dx_load_relaxed(&counters->events),
        .batches = dx_load_relaxed(&counters->batches),
        .batch_max = dx_load_relaxed(&counters->batch_max),
        .waits = dx_load_relaxed(&counters->waits),
        .sleeps = dx_load_relaxed(&counters->sleeps),
        .wakes = dx_load_relaxed(&counters->wakes),
        .voids = dx_load_relaxed(&counters->voids),
        .skips = dx_load_relaxed(&counters->skips),
        .errors = dx_load_relaxed(&counters->errors),
        .retries = dx_load_relaxed(&counters->retries),
        .timeouts = dx_load_relaxed(&counters->timeouts),
        .follows = dx_load_relaxed(&counters->follows),
    };
    dxi_name_copy(stat_out->name, entry->name);
    return DX_OK;
}

int dx_ring_producer_stat(const dx_ring_t *ring, int32_t index, dx_producer_stat_t *stat_out)
{
    const dx_ring_block_t *block = ring->block;
    memset(stat_out, 0, sizeof(*stat_out));
    if (index < 0 || index >= (int32_t)block->producers_max ||
        dx_load32_acquire(&dxi_block_producers(block)[index].in_use) != DXI_PRODUCER_OPEN) {
        return DX_ENOTFOUND;
    }
    const dx_producer_entry_t *entry = &dxi_block_producers(block)[index];
    *stat_out = (dx_producer_stat_t){
        .index = index,
        .process = dxi_field_load(&entry->process),
        .process_id = dx_load32_relaxed(&entry->process_id),
        .thread_id = dx_load32_relaxed(&entry->thread_id),
        .held_first = dx_load_acquire(&entry->held_first),
        .held_last = dx_load_relaxed(&entry->held_last),
        .waits = dx_load_relaxed(&entry->waits),
        .wait_ns = dx_load_relaxed(&entry->wait_ns),
        .sleeps = dx_load_relaxed(&entry->sleeps),
        .wakes = dx_load_relaxed(&entry->wakes),
        .drops = dx_load_relaxed(&entry->drops),
        .refusals = dx_load_relaxed(&entry->refusals),
        .aborts = dx_load_relaxed(&entry->aborts),
    };
    dxi_name_copy(stat_out->name, entry->name);
    return DX_OK;
}

int dx_ring_process_stat(const dx_ring_t *ring, int32_t index, dx_process_stat_t *stat_out)
{
    const dx_ring_block_t *block = ring->block;
    memset(stat_out, 0, sizeof(*stat_out));
    if (index < 0 || index >= (int32_t)block->processes_max ||
        dx_load32_acquire(&dxi_block_processes(block)[index].state) == DX_PROCESS_FREE) {
        return DX_ENOTFOUND;
    }
    const dx_process_entry_t *entry = &dxi_block_processes(block)[index];
    *stat_out = (dx_process_stat_t){
        .index = index,
        .state = (dx_process_state_t)dx_load32_relaxed(&entry->state),
        .process_id = dx_load32_relaxed(&entry->process_id),
        .pid_namespace = (uint64_t)dx_load_relaxed(&entry->pid_namespace),
        .user_id = (uint32_t)dx_load32_relaxed(&entry->user_id),
        .beats = dx_load_relaxed(&entry->beats),
        .beat_age_ns = dx_clock_ns() - dx_load_relaxed(&entry->beat_ns),
        .self = index == dxi_share_index(ring),
    };
    dxi_name_copy(stat_out->name, entry->name);
    return DX_OK;
}

int32_t dx_ring_consumer_find(const dx_ring_t *ring, const char *name)
{
    const dx_ring_block_t *block = ring->block;
    for (uint64_t rest = (uint64_t)dx_load_acquire(&block->active); rest != 0; rest &= rest - 1) {
        const int32_t index = __builtin_ctzll(rest);
        if (strncmp(dxi_block_consumers(block)[index].name, name, DX_RING_NAME_MAX) == 0) {
            return index;
        }
    }
    return DX_ENOTFOUND;
}
