/* slot_look.c - copies events out of a ring that others use.
 *
 * DESIGN
 *
 * The reader of a sequence lock: look whether the event is there, copy it, look whether it is there
 * still. Whoever fills a slot again has claimed it before, and must not while a gating consumer has
 * not released it; so a copy is whole when, after it, either the sequence is not released, or
 * (multi-producer) the claims have not come round to its slot. A single producer keeps its claims
 * to itself: there a released event can't be vouched for, and the look says so.
 *
 * MEMORY ORDERING
 *
 * The bytes are copied by ACQUIRE loads of 64 bits, which the later looks can't overtake. They pair
 * with nothing: the look before them acquires the publication, and the looks behind them must only
 * not be made too early. Cost: none on x86, some on arm64; this is no hot path.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/slot_look.h"

#include <string.h>

#include "disruptorx/span.h"
#include "ring/ring_internal.h"

static const char *const STATE_NAMES[] = {
    [DXI_SLOT_PUBLISHED] = "published",     [DXI_SLOT_RELEASED] = "released",
    [DXI_SLOT_SKIPPED] = "skipped",         [DXI_SLOT_VOID] = "void",
    [DXI_SLOT_UNPUBLISHED] = "unpublished", [DXI_SLOT_OVERWRITTEN] = "overwritten",
    [DXI_SLOT_BROKEN] = "broken",
};

const char *dxi_slot_state_name(dxi_slot_state_t state)
{
    return STATE_NAMES[state];
}

/* The last sequence that is claimed, as far as can be seen. */
static int64_t claimed_seen(const dx_ring_block_t *block)
{
    const int64_t cursor = dx_load_acquire(&block->cursor);
    const int64_t claimed =
        block->mode == DX_RING_MULTI ? dx_load_acquire(&block->claimed) : cursor;
    return claimed > cursor ? claimed : cursor;
}

dxi_slot_range_t dxi_slot_range(const dx_ring_t *ring)
{
    const dx_ring_block_t *const block = dx_ring_block(ring);
    const int64_t last = claimed_seen(block);
    const int64_t first = last - (int64_t)block->slot_count + 1;
    return (dxi_slot_range_t){.first = first > 0 ? first : 0, .last = last};
}

typedef enum presence { NOT_YET, PRESENT, GONE } presence_t;

/* What the ring says of a sequence at this moment. */
static presence_t presence_of(const dx_ring_block_t *block, int64_t sequence)
{
    if (sequence <= claimed_seen(block) - (int64_t)block->slot_count) {
        return GONE;
    }
    if (block->mode == DX_RING_SINGLE) {
        return sequence <= dx_load_acquire(&block->cursor) ? PRESENT : NOT_YET;
    }
    const int64_t index = sequence & (int64_t)(block->slot_count - 1);
    const int32_t stamp = dx_load32_acquire(&dxi_block_stamps(block)[index]);
    const int32_t lap = (int32_t)(sequence >> block->slot_shift);
    const int32_t ahead = (int32_t)((uint32_t)stamp - (uint32_t)lap);
    return ahead == 0 ? PRESENT : ahead > 0 ? GONE : NOT_YET;
}

/* The same for what is looked at: a slot of a ring with spans, seen without them, may lie in a
 * published span, and bears no stamp of its own. */
static presence_t presence_seen(const dx_ring_t *ring, int64_t sequence, bool spans)
{
    const dx_ring_block_t *const block = dx_ring_block(ring);
    const presence_t presence = presence_of(block, sequence);
    const bool is_inside =
        presence == NOT_YET && block->spans != 0 && !spans && sequence <= dx_ring_published(ring);
    return is_inside ? PRESENT : presence;
}

/* One word of a slot, where `at` counts bytes from the slot of `sequence` on, round the ring. */
static int64_t word_at(const dx_ring_block_t *block, int64_t sequence, uint64_t at)
{
    const uint64_t slot =
        ((uint64_t)sequence + at / block->slot_bytes) & (uint64_t)(block->slot_count - 1);
    const char *const slots = dxi_block_slots(block);
    const char *const address = slots + slot * block->slot_bytes + at % block->slot_bytes;
    return dx_load_acquire((const dx_atomic64_t *)(const void *)address);
}

/* Copies `bytes` from `skip` (a multiple of 8) on. */
static void copy_out(const dx_ring_block_t *block, int64_t sequence, uint64_t skip, char *out,
                     uint64_t bytes)
{
    for (uint64_t done = 0; done < bytes; done += sizeof(int64_t)) {
        const int64_t word = word_at(block, sequence, skip + done);
        const uint64_t left = bytes - done;
        memcpy(out + done, &word, left < sizeof word ? left : sizeof word);
    }
}

/* A producer whose record covers the sequence. */
static int32_t holder_of(const dx_ring_block_t *block, int64_t sequence)
{
    const dx_producer_entry_t *const entries = dxi_block_producers(block);
    for (uint32_t i = 0; i < block->producers_max; i++) {
        if (dx_load32_acquire(&entries[i].in_use) != 0 &&
            sequence >= dx_load_acquire(&entries[i].held_first) &&
            sequence <= dx_load_relaxed(&entries[i].held_last)) {
            return (int32_t)i;
        }
    }
    return -1;
}

/* Consumers whose bits are in the mark. */
static uint64_t skippers_of(const dx_ring_block_t *block, int64_t bits)
{
    uint64_t skippers = 0;
    for (uint64_t rest = (uint64_t)dx_load_acquire(&block->active); rest != 0; rest &= rest - 1) {
        const int index = __builtin_ctzll(rest);
        const bool own = index < (int)block->consumers_max &&
                         (dxi_block_consumers(block)[index].skip_bit & bits) != 0;
        skippers |= own ? UINT64_C(1) << index : 0;
    }
    return skippers;
}

/* The size of the span that begins here. False when it can't be one. */
static bool span_measure(const dx_ring_block_t *block, int64_t sequence, dxi_slot_look_t *look)
{
    const int64_t word = word_at(block, sequence, 0);
    dx_span_t header;
    memcpy(&header, &word, sizeof header);
    look->bytes = header.bytes;
    look->tag = header.tag;
    look->slots = dx_span_slots(header.bytes);
    return look->slots <= (int64_t)(block->slot_count / DX_RING_SPAN_SHARE);
}

/* Finds size and state, and copies. The look after it decides. */
static void look_once(const dx_ring_block_t *block, int64_t sequence, bool spans, char *out,
                      size_t bytes_max, dxi_slot_look_t *look)
{
    const int64_t bits = dxi_mark_bits(block, sequence);
    if ((bits & DXI_MARK_VOID) != 0) {
        look->state = DXI_SLOT_VOID; /* slot by slot, also of a span */
        return;
    }
    if (spans && !span_measure(block, sequence, look)) {
        look->state = DXI_SLOT_BROKEN;
        look->slots = 1;
        look->bytes = 0;
        return;
    }
    look->copied = look->bytes < bytes_max ? look->bytes : bytes_max;
    look->has_bytes = true;
    copy_out(block, sequence, spans ? sizeof(dx_span_t) : 0, out, look->copied);
    look->skippers = skippers_of(block, bits & DXI_MARK_SKIPS);
    look->state = (bits & DXI_MARK_SKIPS) != 0 ? DXI_SLOT_SKIPPED : DXI_SLOT_PUBLISHED;
}

/* How many slots in a row are not published: how they are divided into spans is not known. */
static int64_t unpublished_slots(const dx_ring_block_t *block, int64_t sequence)
{
    const int64_t last = claimed_seen(block);
    int64_t slots = 1;
    while (sequence + slots <= last && slots < (int64_t)block->slot_count &&
           presence_of(block, sequence + slots) == NOT_YET) {
        slots++;
    }
    return slots;
}

void dxi_slot_look(const dx_ring_t *ring, int64_t sequence, bool spans, void *bytes_out,
                   size_t bytes_max, dxi_slot_look_t *look_out)
{
    const dx_ring_block_t *const block = dx_ring_block(ring);
    dxi_slot_look_t look = {.sequence = sequence,
                            .slots = 1,
                            .bytes = block->slot_bytes,
                            .certain = true,
                            .holder = -1};
    presence_t presence = presence_seen(ring, sequence, spans);
    if (presence == PRESENT) {
        look_once(block, sequence, spans, bytes_out, bytes_max, &look);
        dxi_point("slot-look:copied");
        presence = presence_seen(ring, sequence, spans);
    }
    if (presence == GONE) {
        look.state = DXI_SLOT_OVERWRITTEN;
        look.has_bytes = false;
        /* A size that was read from a later event's bytes leads nowhere. */
        look.slots = 1;
    } else if (presence == NOT_YET) {
        look.state = DXI_SLOT_UNPUBLISHED;
        look.slots = spans ? unpublished_slots(block, sequence) : 1;
        look.holder = holder_of(block, sequence);
    } else if (look.has_bytes && sequence + look.slots - 1 <= dx_ring_consumed(ring)) {
        look.certain = block->mode == DX_RING_MULTI;
        look.state = look.state == DXI_SLOT_PUBLISHED ? DXI_SLOT_RELEASED : look.state;
    }
    *look_out = look;
}

/* In a multi-producer ring only the first slot of a span bears the stamp of its lap; in the other
 * every consumer stands before the beginning of a span, and so do the claims. */
static bool is_known_begin(const dx_ring_t *ring, int64_t sequence)
{
    const dx_ring_block_t *const block = dx_ring_block(ring);
    if (block->mode == DX_RING_MULTI) {
        return presence_of(block, sequence) == PRESENT;
    }
    for (int32_t i = 0; i < (int32_t)block->consumers_max; i++) {
        dx_consumer_stat_t stat;
        if (dx_ring_consumer_stat(ring, i, &stat) == DX_OK && stat.sequence + 1 == sequence) {
            return true;
        }
    }
    return sequence == 0;
}

int64_t dxi_slot_span_begin(const dx_ring_t *ring, int64_t sequence)
{
    const dxi_slot_range_t range = dxi_slot_range(ring);
    for (int64_t s = sequence < range.last ? sequence : range.last; s >= range.first; s--) {
        if (is_known_begin(ring, s)) {
            return s;
        }
    }
    return -1;
}

int64_t dxi_slot_span_next(const dx_ring_t *ring, int64_t sequence)
{
    const dxi_slot_range_t range = dxi_slot_range(ring);
    for (int64_t s = sequence + 1 > range.first ? sequence + 1 : range.first; s <= range.last;
         s++) {
        if (is_known_begin(ring, s)) {
            return s;
        }
    }
    return -1;
}
