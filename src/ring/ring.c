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
#include <unistd.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "base/mapping.h"
#include "base/options.h"
#include "disruptorx/clock.h"
#include "ring/ring_internal.h"
#include "ring/share.h"

#define CONSUMERS_DEFAULT 16u
#define PRODUCERS_DEFAULT 16u
#define DETECT_NS_DEFAULT INT64_C(1000000000)
#define TRIES_MAX 100 /* to attach or make, when others make and remove at the same time */

/* ------------------------------------------------------------------------------------- options */

static int spans_validate(const dx_ring_options_t *options, dx_error_t *error)
{
    const uint32_t page_slots = (uint32_t)sysconf(_SC_PAGESIZE) / DX_RING_SPAN_SLOT_BYTES;
    if (options->event_bytes != 0) {
        return dxi_fail(error, DX_EINVAL, "event_bytes is %u, must be 0 with spans",
                        options->event_bytes);
    }
    if (options->slot_count < page_slots) {
        return dxi_fail(error, DX_EINVAL, "slot_count is %u, must be at least %u with spans",
                        options->slot_count, page_slots);
    }
    return DX_OK;
}

static int options_validate(const dx_ring_options_t *options, dx_error_t *error)
{
    int code = dxi_options_power_of_two(error, "slot_count", options->slot_count,
                                        DX_RING_SLOT_COUNT_MIN, DX_RING_SLOT_COUNT_MAX);
    if (code == DX_OK) {
        code = options->spans ? spans_validate(options, error)
                              : dxi_options_range(error, "event_bytes", options->event_bytes, 1,
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
    return code == DX_OK && options->share.name != NULL ? dxi_share_validate(&options->share, error)
                                                        : code;
}

/* -------------------------------------------------------------------------------------- layout */

static uint64_t round_up(uint64_t value, uint64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

dx_ring_block_t dxi_ring_layout(const dx_ring_block_t *geometry)
{
    dx_ring_block_t block = *geometry;
    const uint64_t slot_count = block.slot_count;
    const bool multi = block.mode == DX_RING_MULTI;
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE); /* the slots can be mapped twice */

    block.magic = DX_RING_MAGIC;
    block.layout = DX_RING_LAYOUT;
    block.slot_shift = (uint32_t)__builtin_ctz(block.slot_count);

    uint64_t offset = round_up(sizeof(dx_ring_block_t), DX_FALSE_SHARING_BYTES);
    block.processes_offset = offset;
    offset += (uint64_t)block.processes_max * sizeof(dx_process_entry_t);
    block.consumers_offset = offset;
    offset += (uint64_t)block.consumers_max * sizeof(dx_consumer_entry_t);
    block.producers_offset = offset;
    offset += (uint64_t)block.producers_max * sizeof(dx_producer_entry_t);
    block.stamps_offset = offset;
    offset += multi ? slot_count * sizeof(dx_atomic32_t) : 0;
    block.marks_offset = round_up(offset, DX_FALSE_SHARING_BYTES);
    offset = block.marks_offset + slot_count * sizeof(dx_atomic64_t);
    block.slots_offset = round_up(offset, page);
    block.block_bytes = block.slots_offset + slot_count * block.slot_bytes;
    return block;
}

/* The read-only part of the block, computed before there is memory for it. */
static dx_ring_block_t layout_of(const dx_ring_options_t *options)
{
    const uint32_t producers =
        options->producers_max != 0 ? options->producers_max : PRODUCERS_DEFAULT;
    const dx_share_options_t *share = &options->share;
    const dx_ring_block_t geometry = {
        .mode = (uint32_t)options->mode,
        .slot_count = options->slot_count,
        .slot_bytes =
            options->spans ? DX_RING_SPAN_SLOT_BYTES : (uint32_t)round_up(options->event_bytes, 8),
        .consumers_max = options->consumers_max != 0 ? options->consumers_max : CONSUMERS_DEFAULT,
        .producers_max = options->mode == DX_RING_MULTI ? producers : 1,
        .processes_max = share->name != NULL ? DX_RING_PROCESSES_MAX : 0,
        .spans = options->spans,
        .stalled = (uint32_t)share->stalled,
        .detect_ns = share->detect_ns != 0 ? share->detect_ns : DETECT_NS_DEFAULT,
    };
    return dxi_ring_layout(&geometry);
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
        dx_store_relaxed(&entries[i].skip_since, INT64_MIN);
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

/* Maps the memory of a private ring. */
static int map_private(dx_ring_t *ring, const dx_ring_options_t *options,
                       const dx_ring_block_t *layout, dx_error_t *error)
{
    if (!options->spans) {
        dx_memory_options_t memory = options->memory;
        memory.size_bytes = layout->block_bytes;
        return dx_memory_map(&memory, &ring->memory, error);
    }
    const int fd = dxi_mapping_anonymous(layout->block_bytes, error);
    if (fd < 0) {
        return fd;
    }
    const dxi_mapping_options_t mapping = {.fd = fd,
                                           .bytes = layout->block_bytes,
                                           .mirror_bytes =
                                               layout->block_bytes - layout->slots_offset,
                                           .fresh = true,
                                           .memory = &options->memory};
    const int code = dxi_mapping_map(&mapping, &ring->memory, error);
    (void)close(fd);
    return code;
}

int dxi_ring_new(uint32_t producers_max, dx_ring_t **ring_out, dx_error_t *error)
{
    dx_ring_t *ring = dxi_alloc_zeroed(1, sizeof(*ring));
    if (ring == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a ring");
    }
    ring->producers = dxi_alloc_zeroed(producers_max, sizeof(dxi_producer_core_t));
    if (ring->producers == NULL) {
        dxi_free(ring);
        return dxi_fail(error, DX_ENOMEM, "no memory for %u producers", producers_max);
    }
    pthread_mutex_init(&ring->lock, NULL);
    (void)dx_tsc_default(); /* calibrated now, not in the first wait */
    *ring_out = ring;
    return DX_OK;
}

static int create(const dx_ring_options_t *options, const dx_ring_block_t *layout,
                  dx_ring_t **ring_out, dx_error_t *error)
{
    dx_ring_t *ring = NULL;
    int code = dxi_ring_new(layout->producers_max, &ring, error);
    if (code != DX_OK) {
        return code;
    }
    assert(ring != NULL);
    const bool shared = options->share.name != NULL;
    code = shared ? dxi_share_create(ring, &options->share, &options->memory, layout, error)
                  : map_private(ring, options, layout, error);
    if (code == DX_OK) {
        ring->block = ring->memory.address;
        block_init(ring->block, layout, options);
        code = shared ? dxi_share_publish(ring, error) : DX_OK;
    }
    if (code != DX_OK) {
        dx_ring_destroy(ring);
        return code;
    }
    *ring_out = ring;
    return DX_OK;
}

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
    const bool attach = options->share.name != NULL && options->share.existing == DX_SHARE_ATTACH;
    code = DX_EAGAIN;
    for (int tries = 0; tries < TRIES_MAX && (code == DX_EAGAIN || (attach && code == DX_EEXIST));
         tries++) {
        code = attach ? dxi_share_attach_like(&options->share, &layout, ring_out, error)
                      : DX_ENOTFOUND;
        if (code == DX_ENOTFOUND) {
            code = create(options, &layout, ring_out, error);
        }
    }
    code = code == DX_EEXIST || code == DX_EAGAIN ? DX_EBUSY : code;
    if (code != DX_OK && error != NULL) {
        (void)dxi_fail_context(error, "ring of %u slots", layout.slot_count);
        error->code = code;
    }
    return code;
}

void dx_ring_destroy(dx_ring_t *ring)
{
    if (ring == NULL) {
        return;
    }
    dxi_share_leave(ring);
    pthread_mutex_destroy(&ring->lock);
    dx_memory_unmap(&ring->memory);
    dxi_free(ring->producers);
    dxi_free(ring);
}

/* -------------------------------------------------------------------------------------- tables */

int dxi_table_lock(dx_ring_t *ring, dx_error_t *error)
{
    if (ring->share != NULL && ring->share->index < 0) {
        return dxi_fail(error, DX_EPERM,
                        "'%s' is only observed here, or was attached to before fork()",
                        ring->share->path);
    }
    pthread_mutex_lock(&ring->lock);
    if (ring->share == NULL) {
        return DX_OK;
    }
    const int code = dxi_share_lock(ring->share->fd, ring->share->path, DXI_TABLE_LOCK_NS, error);
    if (code != DX_OK) {
        pthread_mutex_unlock(&ring->lock);
        return code;
    }
    dx_store32_relaxed(&ring->block->table_holder, ring->share->index + 1);
    return DX_OK;
}

bool dxi_table_try_lock(dx_ring_t *ring)
{
    if (pthread_mutex_trylock(&ring->lock) != 0) {
        return false;
    }
    if (ring->share == NULL) {
        return true;
    }
    if (!dxi_share_try_lock(ring->share->fd)) {
        pthread_mutex_unlock(&ring->lock);
        return false;
    }
    dx_store32_relaxed(&ring->block->table_holder, ring->share->index + 1);
    return true;
}

bool dxi_table_lock_always(dx_ring_t *ring)
{
    int code = DX_EBUSY;
    while (code == DX_EBUSY) {
        code = dxi_table_lock(ring, NULL);
    }
    return code == DX_OK;
}

void dxi_table_unlock(dx_ring_t *ring)
{
    if (ring->share != NULL) {
        dx_store32_relaxed(&ring->block->table_holder, 0);
        dxi_share_unlock(ring->share->fd);
    }
    pthread_mutex_unlock(&ring->lock);
}

/* ---------------------------------------------------------------------------- closing and reset */

/* True when its words may be written: not by who observes, nor by the child of a fork(). */
static bool is_ours(const dx_ring_t *ring)
{
    return ring->share == NULL || ring->share->index >= 0;
}

void dx_ring_close(dx_ring_t *ring)
{
    if (!is_ours(ring)) {
        return;
    }
    (void)dx_fetch_or_acq_rel(&ring->block->signal, DXI_SIGNAL_CLOSED);
    /* From here on every publish of every thread sees the bit, or is visible to us. */
    dxi_heavy_fence(ring->block);
    dxi_wake_producers(ring->block);
}

void dx_ring_reopen(dx_ring_t *ring)
{
    if (!is_ours(ring)) {
        return;
    }
    (void)dx_fetch_and_acq_rel(&ring->block->signal, ~DXI_SIGNAL_CLOSED);
}

int32_t dxi_producers_open(const dx_ring_block_t *block)
{
    int32_t open = 0;
    for (uint32_t i = 0; i < block->producers_max; i++) {
        open += dx_load32_acquire(&dxi_block_producers(block)[i].in_use) == DXI_PRODUCER_OPEN;
    }
    return open;
}

int dx_ring_reset(dx_ring_t *ring, int64_t first_sequence, dx_error_t *error)
{
    dx_ring_block_t *block = ring->block;
    if (dxi_block_shared(block)) {
        return dxi_fail(error, DX_ENOTSUP, "ring '%s' is shared: make a new one instead",
                        block->name);
    }
    const int code = dxi_options_range(error, "first_sequence", first_sequence, 0, INT64_MAX / 2);
    if (code != DX_OK) {
        return code;
    }
    const int32_t producers = dxi_producers_open(block);
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
    (void)dxi_recover_closed(block); /* their claims are gone */
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
