/* pair.c - from one loop to another: a ring of records for each pair that has something to say.
 *
 * DESIGN
 *
 * Deliveries and answers for a session of another loop. The ring has one producer, the loop `from`,
 * and one consumer, the loop `to`; it is made when first used, by `from`, and found by `to` in a
 * table of the bus.
 *
 * A session that does not read can't fill it: deliver() counts what is on its way to each session
 * (session_subscribe.c), and `to` always takes everything, into the session's outbox if need be.
 * What must not get lost (answers, ends) is spilt into memory of `from` when the ring is full, and
 * goes before anything new.
 *
 * INVARIANTS
 *
 *   R1  records of a pair arrive in the order in which they were pushed, spilt or not
 *   R2  the bell is rung after the last push of a turn
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bus/session_internal.h"

#define PAIR_SLOTS 32768 /* of 64 bytes: 2 MiB */
#define SPILL_BYTES_FIRST ((size_t)4096)
#define TAKE_RECORDS 1024 /* of one pair, in a turn */

struct dxi_pair {
    dx_ring_t *ring;
    dxi_bus_loop_t *to;
    dx_producer_t producer; /* from's */
    bool pushed;            /* since the last bell */
    char *spill;            /* records, each with its body behind it, in multiples of 8 */
    size_t spill_begin, spill_end, spill_room;
    DX_ISOLATED dx_consumer_t consumer; /* to's */
};

static dx_atomic64_t *pair_place(dx_bus_t *bus, uint32_t from, uint32_t to)
{
    return &bus->pairs[(size_t)from * bus->loop_count + to];
}

static void pair_destroy(dxi_pair_t *pair)
{
    if (pair == NULL) {
        return;
    }
    dx_producer_close(&pair->producer);
    if (pair->consumer.ring != NULL) {
        dxi_queue_drop(&pair->consumer);
        dx_consumer_close(&pair->consumer);
    }
    dx_ring_destroy(pair->ring);
    dxi_free(pair->spill);
    dxi_free(pair);
}

static dxi_pair_t *pair_create(dxi_bus_loop_t *to)
{
    dxi_pair_t *pair = dxi_alloc_zeroed(1, sizeof *pair);
    if (pair == NULL) {
        return NULL;
    }
    pair->to = to;
    if (dx_ring_create(&(dx_ring_options_t){.name = "loops",
                                            .slot_count = PAIR_SLOTS,
                                            .mode = DX_RING_SINGLE,
                                            .consumers_max = 1,
                                            .spans = true},
                       &pair->ring, NULL) != DX_OK ||
        dx_consumer_open(&pair->consumer, pair->ring, NULL, NULL) != DX_OK ||
        dx_producer_open(&pair->producer, pair->ring,
                         &(dx_producer_options_t){.full = DX_FULL_FAIL}, NULL) != DX_OK) {
        pair_destroy(pair);
        return NULL;
    }
    return pair;
}

dxi_pair_t *dxi_pair_of(dxi_bus_loop_t *from, uint32_t to)
{
    dx_bus_t *bus = from->bus;
    dx_atomic64_t *place = pair_place(bus, from->index, to);
    dxi_pair_t *pair = (dxi_pair_t *)(uintptr_t)dx_load_relaxed(place);
    if (DX_UNLIKELY(pair == NULL)) {
        pair = pair_create(&bus->loops[to]);
        /* RELEASE, pairs with the acquire in dxi_pairs_take(): the ring before its address. */
        dx_store_release(place, (int64_t)(uintptr_t)pair);
    }
    return pair;
}

static bool spilt(const dxi_pair_t *pair)
{
    return pair->spill_begin != pair->spill_end;
}

int dxi_pair_push(dxi_pair_t *pair, const dxi_record_t *record, const void *head,
                  uint32_t head_bytes, const void *tail, uint32_t tail_bytes)
{
    if (DX_UNLIKELY(spilt(pair))) {
        return DX_EAGAIN; /* R1 */
    }
    const int code =
        dxi_queue_push_two(&pair->producer, record, head, head_bytes, tail, tail_bytes);
    pair->pushed = pair->pushed || code == DX_OK;
    return code;
}

/* Bytes of a record in the spill. */
static size_t spill_bytes(const dxi_record_t *record)
{
    return sizeof *record + (((size_t)record->bytes + 7) & ~(size_t)7);
}

static void spill_add(dxi_pair_t *pair, const dxi_record_t *record, const void *head,
                      uint32_t head_bytes, const void *tail, uint32_t tail_bytes)
{
    const size_t bytes = spill_bytes(record);
    if (pair->spill_end + bytes > pair->spill_room) {
        const size_t used = pair->spill_end - pair->spill_begin;
        size_t room = pair->spill_room == 0 ? SPILL_BYTES_FIRST : pair->spill_room;
        while (room < (used + bytes) * 2) {
            room *= 2;
        }
        char *grown = dxi_alloc_zeroed(1, room);
        if (grown == NULL) {
            return; /* the client asks again: publications are idempotent */
        }
        if (used != 0) {
            memcpy(grown, pair->spill + pair->spill_begin, used);
        }
        dxi_free(pair->spill);
        pair->spill = grown;
        pair->spill_begin = 0;
        pair->spill_end = used;
        pair->spill_room = room;
    }
    char *to = pair->spill + pair->spill_end;
    memcpy(to, record, sizeof *record);
    memcpy(to + sizeof *record, head, head_bytes);
    if (tail_bytes != 0) {
        memcpy(to + sizeof *record + head_bytes, tail, tail_bytes);
    }
    pair->spill_end += bytes;
}

void dxi_pair_push_sure(dxi_pair_t *pair, const dxi_record_t *record, const void *head,
                        uint32_t head_bytes, const void *tail, uint32_t tail_bytes)
{
    if (dxi_pair_push(pair, record, head, head_bytes, tail, tail_bytes) != DX_OK) {
        spill_add(pair, record, head, head_bytes, tail, tail_bytes);
    }
}

static void spill_push(dxi_pair_t *pair)
{
    while (spilt(pair)) {
        const dxi_record_t *record = (const void *)(pair->spill + pair->spill_begin);
        if (dxi_queue_push(&pair->producer, record, record + 1) != DX_OK) {
            return;
        }
        pair->pushed = true;
        pair->spill_begin += spill_bytes(record);
    }
    pair->spill_begin = 0;
    pair->spill_end = 0;
}

bool dxi_pair_roomy(const dxi_pair_t *pair)
{
    return !spilt(pair) && dx_producer_has_available(&pair->producer, PAIR_SLOTS / 2);
}

/* Parts that found a ring full are fed when one has room: at worst they find none again. */
static void parts_feed(dxi_bus_loop_t *from)
{
    dxi_part_t *part = from->sessions->parts;
    from->sessions->parts = NULL;
    while (part != NULL) {
        dxi_part_t *next = part->waiting_next;
        part->waiting = false;
        dxi_attachment_feed(part->attachment);
        part = next;
    }
}

void dxi_pairs_settle(dxi_bus_loop_t *from)
{
    dx_bus_t *bus = from->bus;
    bool roomy = true;
    bool spills = false;
    for (uint32_t to = 0; to < bus->loop_count; to++) {
        dxi_pair_t *pair =
            (dxi_pair_t *)(uintptr_t)dx_load_relaxed(pair_place(bus, from->index, to));
        if (pair == NULL) {
            continue;
        }
        if (DX_UNLIKELY(spilt(pair))) {
            spill_push(pair);
            spills = spills || spilt(pair);
        }
        if (pair->pushed) {
            pair->pushed = false;
            dxi_loop_bell(pair->to->loop, pair->to->bell);
        }
        roomy = roomy && dxi_pair_roomy(pair);
    }
    if (DX_UNLIKELY(from->sessions->parts != NULL) && roomy) {
        parts_feed(from);
    }
    if (DX_UNLIKELY(spills || from->sessions->parts != NULL)) {
        dxi_loop_wake_at(from->loop, dxi_loop_now_ns(from->loop) + 100000);
    }
}

static int pair_take(dxi_bus_loop_t *to, dxi_pair_t *pair)
{
    const int64_t last = dx_consumer_poll(&pair->consumer);
    if (last < pair->consumer.next) {
        return 0;
    }
    int done = 0;
    dx_spans_t spans = dx_consumer_spans(&pair->consumer, last);
    for (dx_span_t *span; done < TAKE_RECORDS && (span = dx_spans_next(&spans)) != NULL; done++) {
        const dxi_record_t *record = dx_span_payload(span);
        dxi_session_record(to, record);
        dxi_record_done(record);
    }
    dx_consumer_release(&pair->consumer, spans.next - 1);
    return done;
}

int dxi_pairs_take(dxi_bus_loop_t *to)
{
    dx_bus_t *bus = to->bus;
    int done = 0;
    for (uint32_t from = 0; from < bus->loop_count; from++) {
        /* ACQUIRE, pairs with the release in dxi_pair_of(). */
        dxi_pair_t *pair =
            (dxi_pair_t *)(uintptr_t)dx_load_acquire(pair_place(bus, from, to->index));
        if (pair != NULL) {
            done += pair_take(to, pair);
        }
    }
    dxi_sessions_touched(to);
    return done;
}

void dxi_pairs_destroy(dx_bus_t *bus)
{
    for (uint32_t i = 0; bus->pairs != NULL && i < bus->loop_count * bus->loop_count; i++) {
        pair_destroy((dxi_pair_t *)(uintptr_t)dx_load_relaxed(&bus->pairs[i]));
    }
}
