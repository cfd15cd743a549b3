/* retain.c - the events a topic keeps: a circle of bytes, and a ring of places by sequence.
 *
 * DESIGN
 *
 * Sequences are dense, so the place of an event is found by its number alone. A frame is never cut:
 * where it does not fit behind the last one it goes to the start of the circle, if that is free.
 *
 *        0                first                       head            capacity
 *        |     free        | frame | frame | frame |    |    free        |
 *
 * The events of a pack have one place. They go one by one where events are counted, and its bytes
 * go with the last of them. Of a pack that is larger than bytes_max each event has a frame of its
 * own.
 *
 * Both arrays begin small and double, so that a topic with a few small events takes little memory;
 * when the limits are reached nothing is allocated any more. `memory`, which the topics of all
 * shards share, counts the circles as they are allocated and not the events in them: it is touched
 * when a circle grows, not for each event.
 *
 * INVARIANTS
 *
 *   I1  what is kept is dense: first .. next - 1; a frame that can't be kept empties it
 *   I2  at most events_max events and bytes_max bytes of frames
 *   I3  kept frames don't overlap; the oldest stands at places[first], in the order of sequences
 *   I4  `memory` holds the sum of the capacities, and is not above memory_max
 *
 * THREADS. The shard's. `memory` is added to by several shards: relaxed, it orders nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bus/retain.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "wire/pack.h"

#define CIRCLE_BYTES_MIN 1024
#define PLACES_MIN 16

void dxi_retain_init(dxi_retain_t *retain)
{
    *retain = (dxi_retain_t){.first = 1, .next = 1};
}

/* Adds to the memory of all topics. False when that would be too much (I4). */
static bool memory_take(const dxi_retain_limits_t *limits, uint64_t bytes)
{
    const int64_t before = dx_fetch_add_relaxed(limits->memory, (int64_t)bytes);
    if ((uint64_t)before + bytes > limits->memory_max) {
        (void)dx_fetch_add_relaxed(limits->memory, -(int64_t)bytes);
        return false;
    }
    return true;
}

static void memory_give(const dxi_retain_limits_t *limits, uint64_t bytes)
{
    (void)dx_fetch_add_relaxed(limits->memory, -(int64_t)bytes);
}

void dxi_retain_close(dxi_retain_t *retain, const dxi_retain_limits_t *limits)
{
    if (retain->bytes != NULL) {
        memory_give(limits, retain->capacity);
    }
    dxi_free(retain->bytes);
    dxi_free(retain->places);
    *retain = (dxi_retain_t){.first = retain->next, .next = retain->next};
}

static uint32_t frame_bytes_at(const dxi_retain_t *retain, uint64_t sequence)
{
    return dx_frame_header_frame_bytes(dxi_retain_at(retain, sequence));
}

/* The sequence behind the frame that the event is in. */
static uint64_t frame_end(const dxi_retain_t *retain, uint64_t sequence)
{
    const dx_frame_header_t *const frame = dxi_retain_at(retain, sequence);
    return frame->sequence + dxi_frame_events(frame);
}

/* Lets events go up to `sequence`, which is at most `next`. */
static void drop_until(dxi_retain_t *retain, uint64_t sequence)
{
    while (retain->first < sequence) {
        const uint64_t end = frame_end(retain, retain->first);
        if (end > sequence) {
            retain->first = sequence;
            return;
        }
        retain->used -= frame_bytes_at(retain, retain->first);
        retain->first = end;
    }
    if (retain->first == retain->next) {
        retain->head = 0;
    }
}

/* Lets the oldest frame go. */
static void first_drop(dxi_retain_t *retain)
{
    drop_until(retain, frame_end(retain, retain->first));
}

/* Where `bytes` fit behind the last frame; false when they do not. */
DX_INLINE bool place_find(const dxi_retain_t *retain, uint64_t bytes, uint64_t *place_out)
{
    if (retain->first == retain->next) {
        *place_out = 0;
        return bytes <= retain->capacity;
    }
    const uint64_t tail = (uint64_t)retain->places[retain->first & retain->place_mask] * 8;
    *place_out = retain->head;
    if (retain->head <= tail) {
        return tail - retain->head >= bytes;
    }
    if (retain->capacity - retain->head >= bytes) {
        return true;
    }
    *place_out = 0;
    return tail >= bytes;
}

/* A larger circle, with what is kept at its start. */
static bool circle_grow(dxi_retain_t *retain, const dxi_retain_limits_t *limits, uint64_t bytes)
{
    uint64_t capacity = retain->capacity != 0 ? retain->capacity : CIRCLE_BYTES_MIN / 2;
    const uint64_t wanted = retain->used + bytes;
    do {
        capacity *= 2;
    } while (capacity < wanted);
    if (retain->capacity >= limits->bytes_max || !memory_take(limits, capacity)) {
        return false;
    }
    char *const larger = dxi_alloc_zeroed(1, capacity);
    if (larger == NULL) {
        memory_give(limits, capacity);
        return false;
    }
    uint64_t head = 0;
    for (uint64_t s = retain->first; s < retain->next;) {
        const uint32_t each = frame_bytes_at(retain, s);
        const uint64_t end = frame_end(retain, s);
        memcpy(larger + head, dxi_retain_at(retain, s), each);
        for (; s < end; s++) {
            retain->places[s & retain->place_mask] = (uint32_t)(head / 8);
        }
        head += each;
    }
    if (retain->bytes != NULL) {
        memory_give(limits, retain->capacity);
        dxi_free(retain->bytes);
    }
    retain->bytes = larger;
    retain->capacity = capacity;
    retain->head = head;
    return true;
}

static bool places_grow(dxi_retain_t *retain)
{
    const uint64_t count = retain->places != NULL ? (retain->place_mask + 1) * 2 : PLACES_MIN;
    uint32_t *const larger = dxi_alloc_zeroed(count, sizeof *larger);
    if (larger == NULL) {
        return false;
    }
    for (uint64_t s = retain->first; retain->places != NULL && s < retain->next; s++) {
        larger[s & (count - 1)] = retain->places[s & retain->place_mask];
    }
    dxi_free(retain->places);
    retain->places = larger;
    retain->place_mask = count - 1;
    return true;
}

/* Keeps nothing, the next `events` included (I1). */
DX_NOINLINE static void all_drop(dxi_retain_t *retain, uint64_t events)
{
    retain->next += events;
    retain->first = retain->next;
    retain->used = 0;
    retain->head = 0;
}

/* A place for `bytes`, made by growing or by letting the oldest go. */
DX_NOINLINE static bool place_make(dxi_retain_t *retain, const dxi_retain_limits_t *limits,
                                   uint32_t bytes, uint64_t *place_out)
{
    bool may_grow = true;
    while (!place_find(retain, bytes, place_out)) {
        may_grow = may_grow && circle_grow(retain, limits, bytes);
        if (!may_grow) {
            if (retain->first == retain->next) {
                return false;
            }
            first_drop(retain);
        }
    }
    return true;
}

/* Room for the places of the next `events`; fewer are kept when there is no memory for it. */
DX_NOINLINE static bool places_make(dxi_retain_t *retain, uint64_t events)
{
    while (retain->places == NULL ||
           retain->next + events - retain->first > retain->place_mask + 1) {
        if (places_grow(retain)) {
            continue;
        }
        if (retain->places == NULL || events > retain->place_mask + 1) {
            return false;
        }
        drop_until(retain, retain->next + events - (retain->place_mask + 1));
    }
    return true;
}

/* Room for a frame of the next `events`; the oldest go where a limit says so. NULL: it can't be
 * kept, and nothing is (I1). */
DX_INLINE char *room_make(dxi_retain_t *retain, const dxi_retain_limits_t *limits, uint32_t bytes,
                          uint64_t events)
{
    if (DX_UNLIKELY(limits->events_max == 0 || bytes > limits->bytes_max)) {
        all_drop(retain, events);
        return NULL;
    }
    const uint64_t end = retain->next + events;
    if (end - retain->first > limits->events_max) {
        const uint64_t first = end - limits->events_max;
        drop_until(retain, first < retain->next ? first : retain->next);
    }
    while (retain->first != retain->next && retain->used + bytes > limits->bytes_max) {
        first_drop(retain);
    }
    uint64_t place = 0;
    if ((DX_UNLIKELY(retain->places == NULL || end - retain->first > retain->place_mask + 1) &&
         !places_make(retain, events)) ||
        (DX_UNLIKELY(!place_find(retain, bytes, &place)) &&
         !place_make(retain, limits, bytes, &place))) {
        all_drop(retain, events);
        return NULL;
    }
    for (uint64_t s = retain->next; s != end; s++) {
        retain->places[s & retain->place_mask] = (uint32_t)(place / 8);
    }
    retain->head = place + bytes;
    retain->used += bytes;
    retain->next = end;
    if (DX_UNLIKELY(end - retain->first > limits->events_max)) {
        retain->first = end - limits->events_max; /* in the pack itself */
    }
    return retain->bytes + place;
}

/* A pack that is larger than what may be kept: its events by themselves, so that the last of them
 * are kept. */
DX_NOINLINE static void events_keep(dxi_retain_t *retain, const dxi_retain_limits_t *limits,
                                    const dx_frame_header_t *frame)
{
    uint64_t sequence = frame->sequence;
    for (dxi_pack_t pack = dxi_pack_begin(frame); pack.left != 0; sequence++) {
        uint32_t bytes = 0;
        const void *const payload = dxi_pack_next(&pack, &bytes);
        char *const at = room_make(retain, limits, dxi_pack_expanded_bytes(frame, bytes), 1);
        if (at != NULL) {
            dxi_pack_expand(frame, payload, bytes, sequence, at);
        }
    }
}

void dxi_retain_keep(dxi_retain_t *retain, const dxi_retain_limits_t *limits, const void *frame,
                     uint32_t bytes)
{
    if (DX_UNLIKELY(bytes > limits->bytes_max) && dxi_frame_packed(frame)) {
        events_keep(retain, limits, frame);
        return;
    }
    char *const at = room_make(retain, limits, bytes, dxi_frame_events(frame));
    if (DX_LIKELY(at != NULL)) {
        memcpy(at, frame, bytes);
    }
}

void dxi_retain_skip(dxi_retain_t *retain, uint64_t next)
{
    retain->first = next;
    retain->next = next;
    retain->used = 0;
    retain->head = 0;
}

void dxi_retain_trim(dxi_retain_t *retain, const dxi_retain_limits_t *limits)
{
    if (retain->next - retain->first > limits->events_max) {
        drop_until(retain, retain->next - limits->events_max);
    }
    while (retain->first != retain->next && retain->used > limits->bytes_max) {
        first_drop(retain);
    }
}

uint64_t dxi_retain_expire(dxi_retain_t *retain, uint64_t timestamp_ns)
{
    const uint64_t before = retain->first;
    while (retain->first != retain->next &&
           dxi_retain_at(retain, retain->first)->timestamp_ns < timestamp_ns) {
        first_drop(retain);
    }
    return retain->first - before;
}

uint64_t dxi_retain_find(const dxi_retain_t *retain, uint64_t timestamp_ns)
{
    uint64_t low = retain->first;
    uint64_t high = retain->next;
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        if (dxi_retain_at(retain, middle)->timestamp_ns < timestamp_ns) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void dxi_retain_check(const dxi_retain_t *retain, const dxi_retain_limits_t *limits)
{
    assert(retain->first <= retain->next);
    assert(retain->next - retain->first <= limits->events_max); /* I2 */
    assert(retain->used <= limits->bytes_max || retain->used == 0);
    uint64_t used = 0;
    uint64_t wraps = 0;
    uint64_t end = 0;
    for (uint64_t s = retain->first; s < retain->next;) {
        const uint64_t place = (uint64_t)retain->places[s & retain->place_mask] * 8;
        assert(dxi_retain_at(retain, s)->sequence == s ||
               (s == retain->first && dxi_retain_at(retain, s)->sequence < s));
        assert(place + frame_bytes_at(retain, s) <= retain->capacity);
        wraps += s != retain->first && place < end; /* I3 */
        end = place + frame_bytes_at(retain, s);
        used += frame_bytes_at(retain, s);
        for (const uint64_t behind = frame_end(retain, s); s < behind; s++) {
            assert((uint64_t)retain->places[s & retain->place_mask] * 8 == place);
        }
    }
    assert(wraps <= 1);
    assert(retain->first == retain->next || retain->head == end);
    assert(used == retain->used);
    (void)limits;
    (void)wraps;
    (void)end;
}
