/* ring.c - set-up and tear-down of the ring, and looking at it from outside; the hot path is inline
 * in disruptorx/producer.h and disruptorx/consumer.h.
 *
 * DESIGN
 *
 * A ring is a power-of-two array of slots, and sequences that only grow. Sequence s lives in slot
 * s mod slot_count. With 8 slots, 11 published, 12 claimed and a consumer that has finished 6:
 *
 *           consumed = 6                         published = 11   claimed = 12
 *               |                                     |              |
 *     ... 5   6 |  7     8     9     10    11         |      12      |   13  14
 *     [ free   ]|[ readable: the consumers own them ]|[ being filled]|[ free ]
 *
 * Everything is in one block of memory (disruptorx/ring_block.h) without a pointer in it.
 *
 * Sequences have 64 bits and never wrap (at 10^9 events a second, after 292 years), so "full" and
 * "empty" are plain comparisons.
 *
 * INVARIANTS
 *
 *   R1  consumed <= published <= claimed <= consumed + slot_count
 *   R2  one thread writes each word but `claimed` (multi), the masks and the futexes
 *   R3  a slot is written only by who holds its claim, or by a consumer that has not released it
 *   R4  the stamp of a slot is the lap of the last event published in it (multi)
 *   R5  remembered limits only err on the low side: they delay, they never corrupt
 *
 * MEMORY ORDERING
 *
 *   producer: write slot, store-release cursor or stamp   ->  consumer: load-acquire it, read slot
 *   consumer: use slot, store-release sequence            ->  producer, next consumer: load-acquire
 *
 * Two kinds of pairs and, for sleeping only, the Dekker pair of src/ring/park.c. A claim by several
 * producers is one atomic operation on one word, and orders nothing else.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "base/options.h"
#include "disruptorx/clock.h"
#include "ring/ring_internal.h"

#define CONSUMERS_DEFAULT 16u
#define PRODUCERS_DEFAULT 16u

/* ------------------------------------------------------------------------------------- options */

static int options_validate(const dx_ring_options_t *options, dx_error_t *error)
{
    int code = dxi_options_power_of_two(error, "slot_count", options->slot_count,
                                        DX_RING_SLOT_COUNT_MIN, DX_RING_SLOT_COUNT_MAX);
    if (code == DX_OK) {
        code = dxi_options_range(error, "event_bytes", options->event_bytes, 1,
                                 DX_RING_EVENT_BYTES_MAX);
    }
    if (code == DX_OK && (unsigned)options->mode > DX_RING_MULTI) {
        code = dxi_fail(error, DX_EINVAL, "mode is %d, must be DX_RING_SINGLE or DX_RING_MULTI",
                        (int)options->mode);
    }
    if (code == DX_OK) {
        code = dxi_options_range(error, "consumers_max", options->consumers_max, 0,
                                 DX_RING_CONSUMERS_MAX);
    }
    if (code == DX_OK) {
        code = dxi_options_range(error, "producers_max", options->producers_max, 0,
                                 DX_RING_PRODUCERS_MAX);
    }
    if (code == DX_OK) {
        code =
            dxi_options_range(error, "first_sequence", options->first_sequence, 0, INT64_MAX / 2);
    }
    if (code == DX_OK && options->name != NULL && strlen(options->name) > DX_RING_NAME_MAX) {
        code = dxi_fail(error, DX_EINVAL, "name has %zu bytes, must have at most %u",
                        strlen(options->name), DX_RING_NAME_MAX);
    }
    if (code == DX_OK) {
        code = dxi_options_reserved(error, options->reserved,
                                    sizeof(options->reserved) / sizeof(uint64_t));
    }
    return code;
}

/* -------------------------------------------------------------------------------------- layout */

static uint64_t round_up(uint64_t value, uint64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

/* The read-only part of the block, computed before there is memory for it. */
static dx_ring_block_t layout_of(const dx_ring_options_t *options)
{
    const uint32_t slot_count = options->slot_count;
    const bool multi = options->mode == DX_RING_MULTI;
    const uint64_t page = 4096;

    dx_ring_block_t block = {
        .magic = DX_RING_MAGIC,
        .layout = DX_RING_LAYOUT,
        .mode = (uint32_t)options->mode,
        .slot_count = slot_count,
        .slot_bytes = (uint32_t)round_up(options->event_bytes, 8),
        .slot_shift = (uint32_t)__builtin_ctz(slot_count),
        .consumers_max = options->consumers_max != 0 ? options->consumers_max : CONSUMERS_DEFAULT,
        .producers_max = options->producers_max != 0 ? options->producers_max : PRODUCERS_DEFAULT,
    };
    block.producers_max = multi ? block.producers_max : 1;

    uint64_t offset = round_up(sizeof(dx_ring_block_t), DX_FALSE_SHARING_BYTES);
    block.consumers_offset = offset;
    offset += (uint64_t)block.consumers_max * sizeof(dx_consumer_entry_t);
    block.producers_offset = offset;
    offset += (uint64_t)block.producers_max * sizeof(dx_producer_entry_t);
    block.stamps_offset = offset;
    offset += multi ? (uint64_t)slot_count * sizeof(dx_atomic32_t) : 0;
    block.marks_offset = round_up(offset, DX_FALSE_SHARING_BYTES);
    offset = block.marks_offset + (uint64_t)slot_count * sizeof(dx_atomic64_t);
    block.slots_offset = round_up(offset, page); /* a mirrored mapping of the slots needs a page */
    block.block_bytes = block.slots_offset + (uint64_t)slot_count * block.slot_bytes;
    return block;
}

/* Sets every word that moves so that `first` is the next sequence. */
static void place_at(dx_ring_block_t *block, int64_t first)
{
    dx_store_relaxed(&block->cursor, first - 1);
    dx_store_relaxed(&block->claimed, first - 1);
    dx_store_relaxed(&block->marks_last, INT64_MIN);
    for (uint32_t i = 0; i < block->slot_count; i++) {
        dx_store_relaxed(&dxi_block_marks(block)[i], 0);
    }
    if (block->mode == DX_RING_MULTI) {
        /* As if everything before `first` had been published (R4). */
        const int64_t mask = (int64_t)block->slot_count - 1;
        const int64_t lap = first >> block->slot_shift;
        for (int64_t i = 0; i <= mask; i++) {
            const int64_t last_lap = i < (first & mask) ? lap : lap - 1;
            dx_store32_relaxed(&dxi_block_stamps(block)[i], (int32_t)last_lap);
        }
    }
    dx_consumer_entry_t *entries = dxi_block_consumers(block);
    for (uint32_t i = 0; i < block->consumers_max; i++) {
        dx_store_relaxed(&entries[i].sequence,
                         entries[i].kind == DX_CONSUMER_WORKER ? DX_SEQUENCE_IDLE : first - 1);
        dx_store_relaxed(&entries[i].start_sequence, first - 1);
    }
}

static void block_init(dx_ring_block_t *block, const dx_ring_block_t *layout,
                       const dx_ring_options_t *options)
{
    memcpy(block, layout, sizeof(*block));
    const char *name = options->name != NULL ? options->name : "ring";
    memcpy(block->name, name, strlen(name) + 1);
    const int64_t fence = dxi_heavy_fence_works() ? 0 : DXI_SIGNAL_FENCE;
    dx_store_relaxed(&block->signal, fence);
    dx_consumer_entry_t *entries = dxi_block_consumers(block);
    for (uint32_t i = 0; i < block->consumers_max; i++) {
        dx_store_relaxed(&entries[i].waiters, fence);
    }
    place_at(block, options->first_sequence);
    if (options->initialise != NULL) {
        for (uint32_t i = 0; i < block->slot_count; i++) {
            options->initialise(options->initialise_context,
                                dxi_block_slots(block) + (size_t)i * block->slot_bytes, i);
        }
    }
}

/* ----------------------------------------------------------------------------------- lifecycle */

int dx_ring_create(const dx_ring_options_t *options, dx_ring_t **ring_out, dx_error_t *error)
{
    *ring_out = NULL;
    int code = options_validate(options, error);
    if (code != DX_OK) {
        return code;
    }
    const dx_ring_block_t layout = layout_of(options);
    if (layout.block_bytes > DX_RING_BYTES_MAX) {
        return dxi_fail(
            error, DX_ELIMIT,
            "slot_count %u of %u bytes needs %" PRIu64 " bytes, must be at most %" PRIu64,
            layout.slot_count, layout.slot_bytes, layout.block_bytes, DX_RING_BYTES_MAX);
    }
    dx_ring_t *ring = dxi_alloc_zeroed(1, sizeof(*ring));
    if (ring == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a ring");
    }
    ring->producers = dxi_alloc_zeroed(layout.producers_max, sizeof(dxi_producer_core_t));
    if (ring->producers == NULL) {
        dxi_free(ring);
        return dxi_fail(error, DX_ENOMEM, "no memory for %u producers", layout.producers_max);
    }
    dx_memory_options_t memory = options->memory;
    memory.size_bytes = layout.block_bytes;
    code = dx_memory_map(&memory, &ring->memory, error);
    if (code != DX_OK) {
        (void)dxi_fail_context(error, "ring of %u slots", layout.slot_count);
        dxi_free(ring->producers);
        dxi_free(ring);
        return code;
    }
    pthread_mutex_init(&ring->lock, NULL);
    (void)dx_tsc_default(); /* calibrated now, not in the first wait */
    ring->block = ring->memory.address;
    block_init(ring->block, &layout, options);
    *ring_out = ring;
    return DX_OK;
}

void dx_ring_destroy(dx_ring_t *ring)
{
    if (ring == NULL) {
        return;
    }
    pthread_mutex_destroy(&ring->lock);
    dx_memory_unmap(&ring->memory);
    dxi_free(ring->producers);
    dxi_free(ring);
}

void dx_ring_close(dx_ring_t *ring)
{
    (void)dx_fetch_or_acq_rel(&ring->block->signal, DXI_SIGNAL_CLOSED);
    /* From here on every publish of every thread sees the bit, or is visible to us. */
    dxi_heavy_fence();
    dxi_wake_producers(ring->block);
}

void dx_ring_reopen(dx_ring_t *ring)
{
    (void)dx_fetch_and_acq_rel(&ring->block->signal, ~DXI_SIGNAL_CLOSED);
}

int dx_ring_reset(dx_ring_t *ring, int64_t first_sequence, dx_error_t *error)
{
    dx_ring_block_t *block = ring->block;
    const int code = dxi_options_range(error, "first_sequence", first_sequence, 0, INT64_MAX / 2);
    if (code != DX_OK) {
        return code;
    }
    const int32_t producers = dx_load32_acquire(&block->producers_open);
    if (producers != 0) {
        return dxi_fail(error, DX_ESTATE, "ring '%s' has %d open producers, must have none",
                        block->name, producers);
    }
    const dx_consumer_entry_t *entries = dxi_block_consumers(block);
    for (uint32_t i = 0; i < block->consumers_max; i++) {
        const int32_t state = dx_load32_acquire(&entries[i].state);
        if (state == DX_CONSUMER_RUNNING) {
            return dxi_fail(error, DX_ESTATE, "consumer '%s' runs, must be stopped",
                            entries[i].name);
        }
    }
    place_at(block, first_sequence);
    for (uint32_t i = 0; i < block->consumers_max; i++) {
        if (ring->handles[i] != NULL) { /* the handles remember where they stood */
            ring->handles[i]->next = first_sequence;
            ring->handles[i]->available = first_sequence - 1;
        }
    }
    return DX_OK;
}

dx_ring_block_t *dx_ring_block(const dx_ring_t *ring)
{
    return ring->block;
}

const dx_memory_t *dx_ring_memory(const dx_ring_t *ring)
{
    return &ring->memory;
}

/* -------------------------------------------------------------------------------- from outside */

int64_t dx_ring_published(const dx_ring_t *ring)
{
    return dxi_published(ring->block);
}

int64_t dx_ring_consumed(const dx_ring_t *ring)
{
    return dxi_gating_minimum(ring->block);
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
    const int64_t consumed = dxi_gating_minimum(block);
    const int64_t used = claimed_of(block) - consumed;
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
               sequence > cursor - (int64_t)block->slot_count;
    }
    const int32_t stamp =
        dx_load32_acquire(&dxi_block_stamps(block)[sequence & (int64_t)(block->slot_count - 1)]);
    return sequence >= 0 && stamp == (int32_t)(sequence >> block->slot_shift);
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
        .producers = dx_load32_relaxed(&block->producers_open),
        .consumers = __builtin_popcountll((uint64_t)dx_load_relaxed(&block->active)),
    };
    memcpy(stat.name, block->name, sizeof(stat.name));
    /* Consumers before producers, so that no difference is negative. */
    stat.consumed = dxi_gating_minimum(block);
    stat.published = dxi_published(block);
    stat.claimed = claimed_of(block);
    stat.claimed = stat.claimed > stat.published ? stat.claimed : stat.published;
    stat.depth = stat.published - stat.consumed;
    stat.depth = stat.depth > 0 ? stat.depth : 0;
    stat.remaining = dx_ring_remaining(ring);

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
    if (index < 0 || index >= (int32_t)block->consumers_max ||
        ((uint64_t)dx_load_acquire(&block->active) >> index & 1) == 0) {
        return DX_ENOTFOUND;
    }
    const dx_consumer_entry_t *entry = &dxi_block_consumers(block)[index];
    const dx_consumer_counters_t *counters = &entry->counters;
    int64_t sequence = dx_load_acquire(&entry->sequence);
    const int64_t published = dxi_published(block);
    sequence = sequence == DX_SEQUENCE_IDLE ? published : sequence;
    *stat_out = (dx_consumer_stat_t){
        .index = index,
        .kind = (dx_consumer_kind_t)entry->kind,
        .state = (dx_consumer_state_t)dx_load32_relaxed(&entry->state),
        .wait_kind = (dx_wait_kind_t)entry->wait_kind,
        .gating = ((uint64_t)dx_load_relaxed(&block->gating) >> index & 1) != 0,
        .asleep = dx_load32_relaxed(&entry->asleep) != 0,
        .failure = dx_load32_relaxed(&entry->failure),
        .sequence = sequence,
        .lag = published > sequence ? published - sequence : 0,
        .upstream = (uint64_t)dx_load_relaxed(&entry->upstream),
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
    memcpy(stat_out->name, entry->name, sizeof(stat_out->name));
    return DX_OK;
}
