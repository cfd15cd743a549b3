/* lane.c - a shard with the ring in front of it, and the turn of the loop that owns it.
 *
 * DESIGN
 *
 * Publishers and loops put whole frames into the ring, many at a time; the owner's loop polls it in
 * its turn and gives each frame, where it lies, to the shard. The ring is released in steps, so
 * that publishers go on while a long batch is handled.
 *
 * THE SHORT WAY. A frame that a connection of the owner's loop receives while the ring is empty
 * goes to the shard at once, from the receive buffer where it lies: through the ring it would come
 * next all the same, a quarter of the loop's time later.
 *
 * The shard may say DX_EAGAIN: one of its subscribers makes it wait. Then the event stays where it
 * is, at the head of the ring, or is copied aside when it came the short way, and the lane is
 * blocked until the next turn.
 *
 * Time is read once per step and not once per event.
 *
 * INVARIANTS
 *
 *   L1  dxi_shard_*() of a lane is called by its loop's thread only, and never inside another
 *   L2  notes[slot] is written by who claimed the slot, before it publishes, and read by the lane
 *       before it releases
 *   L3  while an event is blocked, or stands aside, nothing behind it reaches the shard
 *   L4  a frame goes the short way only when nothing is claimed in the ring: so it overtakes no
 *       frame of its connection, and nothing that was published before it was sent
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "bus/direct.h"
#include "bus/trace.h"
#include "wire/pack.h"

enum {
    STEP_EVENTS = 64, /* the ring is released and the clock read after so many */
    TURN_EVENTS = 512 /* of one lane, before others have their turn */
};

#define TICK_NS INT64_C(1000000)        /* how late a timer of a shard may be noticed */
#define RING_PARTS_BYTES INT64_C(66560) /* header and parts of a frame, at most */

/* -------------------------------------------------------------------------------------- actions */

static void lane_answer(void *context, uint64_t origin, const dxi_answer_t *answer)
{
    dxi_lane_t *lane = context;
    switch (dxi_origin_kind(origin)) {
    case DXI_ORIGIN_PUBLISHER:
        dxi_publisher_answer(lane->bus, origin, answer);
        break;
    case DXI_ORIGIN_SESSION:
        dxi_session_answer(lane->owner, origin, answer);
        break;
    default: /* a dead letter: the shard has counted what it refused */
        break;
    }
}

static int lane_deliver(void *context, void *user, const dxi_delivery_t *delivery)
{
    (void)context;
    dxi_part_t *part = user;
    if (dxi_frame_packed(delivery->frame) && !part->attachment->packs) {
        return DXI_DELIVER_SPLIT;
    }
    return part->attachment->deliver(part, delivery);
}

static int lane_gap(void *context, void *user, const dx_gap_t *gap)
{
    (void)context;
    dxi_part_t *part = user;
    return part->attachment->gap(part, gap);
}

static void lane_end(void *context, void *user, int code, const char *sentence)
{
    (void)context;
    dxi_part_t *part = user;
    part->attachment->end(part, code, sentence);
}

/* A dead letter goes to the lane of its topic, like any event. */
static int lane_publish(void *context, const void *frame, uint32_t bytes)
{
    dxi_lane_t *lane = context;
    dx_frame_view_t view;
    const int code = dx_frame_view(frame, bytes, &view, NULL);
    if (code != DX_OK) {
        return code;
    }
    uint32_t topic_bytes = 0;
    uint32_t key_bytes = 0;
    const char *topic = dx_frame_part(&view, DX_PART_TOPIC, &topic_bytes);
    const void *key = dx_frame_part(&view, DX_PART_KEY, &key_bytes);
    dxi_lane_t *to = dxi_bus_lane_of(lane->bus, topic, topic_bytes, key, key_bytes);
    dx_producer_t *producer = dxi_bus_loop_producer(lane->owner, to);
    if (producer == NULL) {
        return DX_EAGAIN;
    }
    const int put = dxi_lane_put(to, producer, frame, bytes, 0, 0);
    if (put == DX_OK && to->owner != lane->owner) {
        dxi_loop_bell(to->owner->loop, to->owner->bell);
    }
    return put;
}

/* ------------------------------------------------------------------------------------ lifecycle */

/* A span takes at most a quarter of its ring, so the ring is as large as the option says and large
 * enough for the largest event. */
static uint32_t ring_slots(const dx_bus_options_t *options)
{
    int64_t bytes = options->shard_ring_bytes;
    while (bytes / DX_RING_SPAN_SHARE < (int64_t)options->event_bytes_max + RING_PARTS_BYTES) {
        bytes *= 2;
    }
    return (uint32_t)(bytes / DX_RING_SPAN_SLOT_BYTES);
}

static int lane_ring_create(dxi_lane_t *lane, dx_error_t *error)
{
    char name[DX_RING_NAME_MAX + 1];
    (void)snprintf(name, sizeof name, "shard.%u", lane->index);
    const uint32_t slots = ring_slots(&lane->bus->options);
    int code = dx_ring_create(
        &(dx_ring_options_t){.name = name,
                             .slot_count = slots,
                             .mode = DX_RING_MULTI,
                             .consumers_max = 1,
                             .producers_max = DX_BUS_PUBLISHERS_MAX + lane->bus->loop_count,
                             .spans = true},
        &lane->ring, error);
    if (code != DX_OK) {
        return code;
    }
    lane->frame_bytes_max = (uint32_t)dx_ring_span_bytes_max(lane->ring) + DX_FRAME_SPAN_BYTES;
    lane->notes_mask = (int64_t)slots - 1;
    code = dx_memory_map(&(dx_memory_options_t){.size_bytes = (size_t)slots * sizeof *lane->notes},
                         &lane->notes_memory, error);
    if (code != DX_OK) {
        return code;
    }
    lane->notes = lane->notes_memory.address;
    code = dx_memory_map(&(dx_memory_options_t){.size_bytes = lane->frame_bytes_max},
                         &lane->aside_memory, error);
    if (code != DX_OK) {
        return code;
    }
    return dx_consumer_open(&lane->consumer, lane->ring, &(dx_consumer_options_t){.name = "shard"},
                            error);
}

int dxi_lane_create(dx_bus_t *bus, uint16_t index, dxi_bus_loop_t *owner, dxi_lane_t **lane_out,
                    dx_error_t *error)
{
    dxi_lane_t *lane = dxi_alloc_zeroed(1, sizeof *lane);
    *lane_out = lane;
    if (lane == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for shard %u", index);
    }
    lane->bus = bus;
    lane->owner = owner;
    lane->index = index;
    int code = lane_ring_create(lane, error);
    if (code == DX_OK) {
        code = dxi_shard_create(&(dxi_shard_options_t){.shard = index,
                                                       .bus = bus->options,
                                                       .actions = {.context = lane,
                                                                   .answer = lane_answer,
                                                                   .deliver = lane_deliver,
                                                                   .gap = lane_gap,
                                                                   .end = lane_end,
                                                                   .publish = lane_publish,
                                                                   .direct = &dxi_direct_actions},
                                                       .retained_bytes = &bus->retained_bytes,
                                                       .topics = &bus->topic_count},
                                &lane->shard, error);
    }
    if (code != DX_OK) {
        dxi_lane_destroy(lane);
        *lane_out = NULL;
    }
    return code;
}

void dxi_lane_destroy(dxi_lane_t *lane)
{
    if (lane == NULL) {
        return;
    }
    dxi_shard_destroy(lane->shard);
    if (lane->consumer.ring != NULL) {
        dx_consumer_close(&lane->consumer);
    }
    dx_ring_destroy(lane->ring);
    if (lane->notes != NULL) {
        dx_memory_unmap(&lane->notes_memory);
    }
    if (lane->aside_memory.address != NULL) {
        dx_memory_unmap(&lane->aside_memory);
    }
    dxi_free(lane);
}

int64_t dxi_lane_depth(const dxi_lane_t *lane)
{
    /* Claimed and not yet published counts: its publisher may have been told already. */
    return lane->notes_mask + 1 - dx_ring_remaining(lane->ring) + (lane->aside_bytes != 0);
}

int dxi_bus_lane_stat(const dx_bus_t *bus, uint32_t shard, dxi_lane_stat_t *stat_out)
{
    memset(stat_out, 0, sizeof *stat_out);
    if (shard >= bus->options.shards) {
        return DX_ENOTFOUND;
    }
    const dxi_lane_t *const lane = bus->lanes[shard];
    stat_out->shard = shard;
    stat_out->loop = lane->owner->index;
    stat_out->used = dxi_lane_depth(lane);
    dx_ring_stat(lane->ring, &stat_out->ring);
    return DX_OK;
}

typedef struct events_call {
    dxi_lane_t *lane;
    dxi_lane_events_t *events;
} events_call_t;

/* Publishers do not count: what is in the ring is counted here, by who alone may take it out. */
static void events_in_loop(void *context)
{
    const events_call_t *const call = context;
    dxi_lane_t *const lane = call->lane;
    dxi_lane_events_t *const events = call->events;
    events->consumed = events->published = lane->consumed;
    memcpy(events->batches, lane->batches, sizeof events->batches);
    events->blocked_ns = lane->blocked_ns;
    if (lane->blocked_since_ns != 0) {
        events->blocked_ns += dx_clock_ns() - lane->blocked_since_ns;
    }
    const int64_t last = dx_consumer_poll(&lane->consumer);
    if (last >= lane->consumer.next) {
        dx_spans_t spans = dx_consumer_spans(&lane->consumer, last);
        while (dx_spans_next(&spans) != NULL) {
            events->published++;
        }
    }
}

int dxi_bus_lane_events(dx_bus_t *bus, uint32_t shard, dxi_lane_events_t *events_out)
{
    memset(events_out, 0, sizeof *events_out);
    if (shard >= bus->options.shards) {
        return DX_ENOTFOUND;
    }
    if (dx_load32_relaxed(&bus->state) == DXI_BUS_STOPPED) {
        return DX_ESTATE;
    }
    events_call_t call = {bus->lanes[shard], events_out};
    dxi_loop_call(call.lane->owner->loop, events_in_loop, &call);
    return DX_OK;
}

/* --------------------------------------------------------------------------------------- frames */

int dxi_lane_put(dxi_lane_t *lane, dx_producer_t *producer, const void *frame, uint32_t bytes,
                 uint64_t origin, uint64_t ticks)
{
    /* Opened with DX_FULL_FAIL: it never waits. */
    const int64_t sequence = dx_producer_claim_span(producer, bytes - DX_FRAME_SPAN_BYTES);
    if (DX_UNLIKELY(sequence < 0)) {
        return sequence == DX_EINVAL ? DX_ELIMIT : (int)sequence;
    }
    dx_producer_prefetch_span(producer, sequence);
    memcpy(dx_producer_span(producer, sequence), frame, bytes);
    lane->notes[sequence & lane->notes_mask] = (dxi_lane_note_t){origin, ticks};
    return dx_producer_publish_span(producer, sequence);
}

const dx_frame_view_t *dxi_lane_view(dxi_lane_t *lane, const void *frame, uint32_t bytes,
                                     dx_frame_view_t *space)
{
    if (frame != lane->frame) {
        return dx_frame_view(frame, bytes, space, NULL) == DX_OK ? space : NULL;
    }
    if (!lane->viewed) {
        if (dx_frame_view(frame, bytes, &lane->view, NULL) != DX_OK) {
            return NULL;
        }
        lane->viewed = true;
    }
    return &lane->view;
}

/* ----------------------------------------------------------------------------------------- turn */

static dxi_times_t times_now(const dxi_lane_t *lane)
{
    return (dxi_times_t){dx_tsc_ticks(lane->bus->tsc), dx_clock_ns(), dx_clock_realtime_ns()};
}

/* When an event was claimed, on the scale of dx_clock_ns(). The difference of two readings of the
 * counter is right, however far counter and clock have drifted apart. */
static int64_t published_ns(const dxi_lane_t *lane, const dxi_times_t *times, uint64_t ticks)
{
    __extension__ typedef __int128 wide_t;
    if (ticks == 0) {
        return 0;
    }
    int64_t ago = (int64_t)(times->ticks - ticks);
    ago = ago > 0 ? ago : 0; /* the times may be those of an earlier event */
    return times->clock_ns - (int64_t)(((wide_t)ago * (wide_t)lane->bus->tsc->multiplier) >> 32);
}

/* Gives one event to the shard. */
static int event_give(dxi_lane_t *lane, void *frame, uint32_t bytes, dxi_lane_note_t note,
                      const dxi_times_t *times)
{
    const int64_t claimed_ns = published_ns(lane, times, note.ticks);
    if (dxi_is_traced(frame)) {
        dxi_trace_queue(lane, frame, bytes, claimed_ns, times);
    }
    lane->frame = frame;
    lane->viewed = false;
    const int code = dxi_shard_event(lane->shard, frame, bytes, note.origin, claimed_ns,
                                     times->clock_ns, times->unix_ns);
    lane->frame = NULL;
    return code;
}

int dxi_lane_take(dxi_lane_t *lane, void *frame, uint32_t bytes, uint64_t origin, uint64_t ticks)
{
    if (DX_UNLIKELY(lane->frame != NULL || lane->blocked || lane->aside_bytes != 0 ||
                    bytes > lane->frame_bytes_max ||
                    dx_load_relaxed(&lane->consumer.block->claimed) >=
                        lane->consumer.next)) { /* L1, L3, L4 */
        return DX_EAGAIN;
    }
    if (lane->times_left == 0) {
        lane->times = times_now(lane);
        lane->times_left = STEP_EVENTS;
    }
    lane->times_left--;
    lane->touched = true;
    const dxi_lane_note_t note = {origin, ticks};
    if (DX_UNLIKELY(event_give(lane, frame, bytes, note, &lane->times) == DX_EAGAIN)) {
        memcpy(lane->aside_memory.address, frame, bytes);
        lane->aside_bytes = bytes;
        lane->aside_note = note;
        lane->blocked = true;
    }
    return DX_OK;
}

/* The event that stands aside once more. Returns false when it still has to wait. */
static bool aside_give(dxi_lane_t *lane)
{
    const dxi_times_t times = times_now(lane);
    lane->blocked = event_give(lane, lane->aside_memory.address, lane->aside_bytes,
                               lane->aside_note, &times) == DX_EAGAIN;
    if (!lane->blocked) {
        lane->aside_bytes = 0;
    }
    return !lane->blocked;
}

/* Handles what is in the ring, at most TURN_EVENTS. */
static int lane_events(dxi_lane_t *lane)
{
    lane->times_left = 0;
    if (DX_UNLIKELY(lane->aside_bytes != 0) && !aside_give(lane)) {
        return 0;
    }
    const int64_t last = dx_consumer_poll(&lane->consumer);
    if (last < lane->consumer.next) {
        return 0;
    }
    dx_spans_t spans = dx_consumer_spans(&lane->consumer, last);
    dxi_times_t times = times_now(lane);
    int done = 0;
    lane->blocked = false;
    lane->touched = true;
    for (dx_span_t *span; done < TURN_EVENTS && (span = dx_spans_next(&spans)) != NULL; done++) {
        if (done != 0 && done % STEP_EVENTS == 0) {
            dx_consumer_release(&lane->consumer, spans.sequence - 1);
            times = times_now(lane);
        }
        const dxi_lane_note_t note = lane->notes[spans.sequence & lane->notes_mask];
        if (DX_UNLIKELY(event_give(lane, span, span->bytes + DX_FRAME_SPAN_BYTES, note, &times) ==
                        DX_EAGAIN)) {
            lane->blocked = true;
            dx_consumer_release(&lane->consumer, spans.sequence - 1);
            return done;
        }
    }
    dx_consumer_release(&lane->consumer, spans.next - 1);
    return done;
}

/* A batch of what is in the ring, counted. */
static int lane_batch(dxi_lane_t *lane)
{
    const int done = lane_events(lane);
    if (done != 0) {
        lane->consumed += (uint64_t)done;
        lane->batches[done == 1 ? 0 : 32 - __builtin_clz((unsigned)done - 1)]++;
    }
    return done;
}

/* How long subscriptions that block have held the shard up. */
static void lane_blocked(dxi_lane_t *lane, int64_t now_ns)
{
    if (!lane->blocked) {
        lane->blocked_ns += now_ns - lane->blocked_since_ns;
        lane->blocked_since_ns = 0;
    } else if (lane->blocked_since_ns == 0) {
        lane->blocked_since_ns = now_ns;
    }
}

/* Timers of the shard. They may be a millisecond late, so that an event does not cost a tick. */
static void lane_tick(dxi_lane_t *lane, int64_t now_ns)
{
    const int64_t due = lane->touched && lane->ticked_ns + TICK_NS < lane->tick_due_ns
                            ? lane->ticked_ns + TICK_NS
                            : lane->tick_due_ns;
    if (now_ns < due) {
        if (due != INT64_MAX) {
            dxi_loop_wake_at(lane->owner->loop, due);
        }
        return;
    }
    lane->touched = false;
    lane->ticked_ns = now_ns;
    lane->tick_due_ns = dxi_shard_tick(lane->shard, now_ns, dx_clock_realtime_ns());
    if (lane->tick_due_ns != INT64_MAX) {
        dxi_loop_wake_at(lane->owner->loop, lane->tick_due_ns);
    }
}

int dxi_bus_loop_run(void *bus_loop, int64_t now_ns)
{
    dxi_bus_loop_t *loop = bus_loop;
    int done = dxi_sessions_run(loop, now_ns);
    for (uint32_t i = 0; i < loop->lane_count; i++) {
        dxi_lane_t *lane = loop->lanes[i];
        done += lane_batch(lane);
        if (DX_UNLIKELY(lane->directs != NULL)) {
            done += dxi_direct_run(lane, now_ns);
        }
        lane_tick(lane, now_ns);
        if (DX_UNLIKELY(lane->blocked != (lane->blocked_since_ns != 0))) {
            lane_blocked(lane, now_ns);
        }
        if (lane->blocked) {
            dxi_loop_wake_at(loop->loop, now_ns + TICK_NS);
        }
    }
    dxi_bus_loop_settle(loop);
    return done;
}

void dxi_bus_loop_settle(dxi_bus_loop_t *loop)
{
    dxi_sessions_settle(loop);
}

dx_producer_t *dxi_bus_loop_producer(dxi_bus_loop_t *loop, dxi_lane_t *lane)
{
    dx_producer_t *producer = &loop->producers[lane->index];
    if (DX_UNLIKELY(producer->core == NULL)) {
        char name[DX_RING_NAME_MAX + 1];
        (void)snprintf(name, sizeof name, "io.%u", loop->index);
        if (dx_producer_open(producer, lane->ring,
                             &(dx_producer_options_t){.name = name, .full = DX_FULL_FAIL},
                             NULL) != DX_OK) {
            return NULL;
        }
    }
    return producer;
}
