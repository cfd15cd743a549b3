/* direct.c - direct topics: the node beside the rings that programs use without it.
 *
 * DESIGN
 *
 * A direct topic has a ring of its own in shared memory (src/ring). Its first sequence is 1, so an
 * event's place in the ring is its sequence in the topic, for whoever reads it. Programs on the
 * host ask the node for the ring, attach to it and publish and read there; the node is one
 * participant more:
 *
 *     program --claim--> +------------------+ --read--> program
 *     shard   --put----> |  ring of topic   | --run---> shard (while somebody listens there)
 *                        +------------------+
 *
 * What reaches the shard by connections or from this process, it puts into the ring (direct_put);
 * what it is to deliver, it gets out of the ring. So there is one order, and one sequence.
 *
 * SLOW CONSUMERS hold publishers back. The ring lets the node take a consumer out; the node looks
 * every LOOK_NS and does so by what the consumer's name says (direct_slot.h): DROP and DISCONNECT
 * when they are found in the way twice in a row, BLOCK when it has not moved for slow_block_ns.
 * Who was taken out comes back behind a gap. The node's own consumer is not taken out: the shard
 * has policies of its own.
 *
 * THE DEAD are found and recovered by the guard thread of each process that is attached, the node's
 * among them (src/ring/guard.c).
 *
 * TRUST. The ring's file can be opened by the node's own user only. What stands in a slot is
 * checked, in a copy, before it is used; the head of the ring is believed, as by everybody who
 * attaches: a program of that user could as well write into the node's memory by ptrace(). Who
 * comes as another user publishes and subscribes over its connection.
 *
 * INVARIANTS
 *
 *   X1  the shard is told events of a topic in the order of the ring, each once
 *   X2  the node's consumer is there exactly while the topic has a link
 *   X3  nothing here waits: claims are tried, the tables of the ring are taken only when free
 *
 * Threads: the lane's loop, but what says otherwise.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bus/direct.h"

#include <stdio.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "disruptorx/clock.h"
#include "ring/share.h"
#include "wire/pack.h"

#define NAME_PREFIX "dxd-"
#define NAME_TRIES 100
#define DETECT_NS INT64_C(400000000)
#define LOOK_NS INT64_C(10000000)       /* while somebody is there */
#define LOOK_IDLE_NS INT64_C(100000000) /* while nobody is */
#define POLL_NS INT64_C(200000)         /* joined: how late an event is noticed, */
#define POLL_IDLE_NS INT64_C(5000000)   /* and when none has come for POLL_BUSY_NS */
#define POLL_BUSY_NS INT64_C(500000000)
#define LOG_NS INT64_C(1000000000)
#define TURN_EVENTS 512
#define RELEASE_EVENTS 64
#define BARRIER_NS INT64_C(2000000000)
#define BARRIER_PAUSE_NS 50000

/* What was last seen of a consumer. */
typedef struct seen {
    int64_t start; /* tells it from an earlier one at the same index */
    int64_t sequence;
    int64_t since_ns; /* it has stood there, in the way, since then */
    bool known;
    bool in_the_way;
    int32_t process_id;
    int64_t evicted_at; /* it was taken out before this one, and has not come back; 0: no */
} seen_t;

typedef struct dxi_direct {
    struct dxi_direct *next; /* of the lane */
    dxi_lane_t *lane;
    dx_ring_t *ring;
    char ring_name[DX_RING_NAME_MAX + 1];
    uint32_t slot_bytes;
    dx_producer_t producer;
    dx_consumer_t consumer;
    bool joined;
    bool waits; /* the shard has not taken the event in `frame` */
    char *slot; /* a copy of one */
    char *frame;
    uint32_t frame_room;
    uint32_t frame_bytes;
    char *put_frame;    /* one event of a pack */
    uint32_t pack_done; /* of the pack that waits for room: events that are in */
    int64_t look_due_ns;
    int64_t event_ns; /* when the last one came */
    int64_t logged_ns;
    uint64_t evicted; /* since then */
    uint64_t delivered, dropped, damaged;
    seen_t seen[DX_RING_CONSUMERS_MAX];
    uint32_t name_bytes;
    char name[];
} dxi_direct_t;

/* ------------------------------------------------------------------------------------- the ring */

/* What can't be removed now stays for the next node. */
static void ring_remove(const char *name, bool force)
{
    const int code = dx_ring_remove(name, NULL, force, NULL);
    (void)code;
}

static void orphan_remove(void *context, const dx_ring_file_t *file)
{
    (void)context;
    if (file->attached == 0 && strncmp(file->name, NAME_PREFIX, sizeof NAME_PREFIX - 1) == 0) {
        ring_remove(file->name, false);
    }
}

/* What nodes that were killed have left, once per process. */
static void orphans_remove(void)
{
    static dx_atomic32_t done;
    int32_t none = 0;
    if (dx_compare_exchange32_acq_rel(&done, &none, 1)) {
        const int found = dx_ring_list(NULL, orphan_remove, NULL, NULL);
        (void)found;
    }
}

/* Others may make files where rings lie: a name that they could know beforehand they could take. */
static void name_make(dxi_direct_t *direct)
{
    uint64_t number = 0;
    if (getrandom(&number, sizeof number, GRND_NONBLOCK) != (ssize_t)sizeof number) {
        number = (uint64_t)dx_clock_realtime_ns() * UINT64_C(0x9E3779B97F4A7C15);
    }
    (void)snprintf(direct->ring_name, sizeof direct->ring_name, NAME_PREFIX "%d-%llx",
                   (int)getpid(), (unsigned long long)number);
}

static int ring_make(dxi_direct_t *direct, const dx_topic_options_t *options, dx_error_t *error)
{
    uint32_t slots = 0;
    int code = dxi_direct_geometry(options, &direct->slot_bytes, &slots, error);
    for (int tries = 0; code == DX_OK; tries++) {
        name_make(direct);
        code = dx_ring_create(
            &(dx_ring_options_t){.name = direct->ring_name,
                                 .slot_count = slots,
                                 .event_bytes = direct->slot_bytes,
                                 .mode = DX_RING_MULTI,
                                 .consumers_max = DX_RING_CONSUMERS_MAX,
                                 .producers_max = DX_RING_PRODUCERS_MAX,
                                 .first_sequence = 1,
                                 .share = {.name = direct->ring_name, .detect_ns = DETECT_NS}},
            &direct->ring, error);
        if ((code != DX_EBUSY && code != DX_EEXIST) || tries >= NAME_TRIES) {
            break;
        }
        code = DX_OK; /* it is somebody's: another one */
    }
    return code;
}

static void direct_close(void *context, void *opaque)
{
    dxi_lane_t *lane = context;
    dxi_direct_t *direct = opaque;
    for (dxi_direct_t **at = &lane->directs; *at != NULL; at = &(*at)->next) {
        if (*at == direct) {
            *at = direct->next;
            break;
        }
    }
    if (direct->ring != NULL) {
        dx_ring_close(direct->ring); /* tells those who are attached */
    }
    if (direct->producer.core != NULL) {
        dx_producer_close(&direct->producer);
    }
    if (direct->joined) {
        dx_consumer_close(&direct->consumer);
    }
    if (direct->ring != NULL) {
        ring_remove(direct->ring_name, true);
    }
    dx_ring_destroy(direct->ring);
    dxi_free(direct->slot);
    dxi_free(direct->frame);
    dxi_free(direct->put_frame);
    dxi_free(direct);
}

static int direct_open(void *context, const char *name, size_t bytes,
                       const dx_topic_options_t *options, void **direct_out, dx_error_t *error)
{
    dxi_lane_t *lane = context;
    dxi_direct_t *direct = dxi_alloc_zeroed(1, sizeof *direct + bytes + 1);
    if (direct == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a direct topic");
    }
    direct->lane = lane;
    direct->name_bytes = (uint32_t)bytes;
    memcpy(direct->name, name, bytes);
    direct->next = lane->directs;
    lane->directs = direct;
    orphans_remove();
    int code = ring_make(direct, options, error);
    if (code == DX_OK) {
        const dx_producer_options_t producer = {.name = "node", .full = DX_FULL_FAIL};
        code = dx_producer_open(&direct->producer, direct->ring, &producer, error);
    }
    if (code == DX_OK) {
        direct->frame_room = DX_FRAME_HEADER_BYTES + 16 + (uint32_t)bytes + direct->slot_bytes;
        direct->slot = dxi_alloc_zeroed(1, direct->slot_bytes);
        direct->frame = dxi_alloc_zeroed(1, direct->frame_room);
        direct->put_frame = dxi_alloc_zeroed(1, direct->frame_room);
        if (direct->slot == NULL || direct->frame == NULL || direct->put_frame == NULL) {
            code = dxi_fail(error, DX_ENOMEM, "no memory for a direct topic");
        }
    }
    if (code != DX_OK) {
        direct_close(lane, direct);
        return code;
    }
    *direct_out = direct;
    return DX_OK;
}

/* ------------------------------------------------------------------------------------- into it */

static uint32_t slot_room(const dxi_direct_t *direct)
{
    return direct->slot_bytes - DXI_DIRECT_HEAD_BYTES;
}

/* Whether a frame has parts besides its topic. */
static bool has_more(const dxi_direct_t *direct, const dx_frame_header_t *frame)
{
    return (frame->layout & ~7u) != 8 + ((direct->name_bytes + 7) & ~7u);
}

/* Whether a frame goes as its payload: it has nothing else, or a trace for which there is no room
 * beside it. */
static bool is_payload(const dxi_direct_t *direct, const void *frame, uint32_t bytes)
{
    dx_frame_view_t view;
    return !has_more(direct, frame) ||
           (bytes > slot_room(direct) && dx_frame_view(frame, bytes, &view, NULL) == DX_OK &&
            (view.parts & ~(DX_PART_BIT(DX_PART_TOPIC) | DX_PART_BIT(DX_PART_TRACE))) == 0);
}

/* Puts one event into a slot: its payload, or its frame when that has more parts than its topic.
 * Returns its sequence, DX_ELIMIT, DX_EAGAIN, DX_ECORRUPT, DX_ECLOSED. */
static int64_t slot_put(dxi_direct_t *direct, int kind, void *body, uint32_t bytes,
                        uint64_t unix_us)
{
    if (bytes > slot_room(direct)) {
        return DX_ELIMIT;
    }
    const int64_t sequence = dx_producer_claim(&direct->producer); /* X3: DX_FULL_FAIL */
    if (sequence < 0) {
        return sequence;
    }
    if (kind == DXI_DIRECT_FRAME) {
        const dx_frame_stamp_t stamp = {.type = DX_FRAME_EVENT,
                                        .shard = direct->lane->index,
                                        .sequence = (uint64_t)sequence,
                                        .timestamp_ns = unix_us * 1000};
        const int code = dx_frame_stamp(body, &stamp);
        if (code != DX_OK) {
            (void)dx_producer_abort(&direct->producer, sequence, sequence);
            return code;
        }
    }
    dxi_direct_write(dx_producer_event(&direct->producer, sequence), kind, body, bytes, unix_us);
    (void)dx_producer_publish(&direct->producer, sequence);
    return sequence;
}

/* The events of a pack, one after the other. When there is no room for all, those that are in are
 * remembered: the same frame comes again. */
static int64_t pack_put(dxi_direct_t *direct, const dx_frame_header_t *frame, uint64_t unix_us)
{
    dxi_pack_t pack = dxi_pack_begin(frame);
    int64_t sequence = 0;
    for (uint32_t i = 0; pack.left != 0; i++) {
        uint32_t bytes = 0;
        const void *payload = dxi_pack_next(&pack, &bytes);
        if (i < direct->pack_done) {
            continue;
        }
        const uint32_t frame_bytes = dxi_pack_expanded_bytes(frame, bytes);
        if (i == 0 && has_more(direct, frame) && frame_bytes <= slot_room(direct)) {
            dxi_pack_expand(frame, payload, bytes, 0, direct->put_frame); /* it is traced */
            sequence = slot_put(direct, DXI_DIRECT_FRAME, direct->put_frame, frame_bytes, unix_us);
        } else {
            sequence =
                slot_put(direct, DXI_DIRECT_PLAIN, (void *)(uintptr_t)payload, bytes, unix_us);
        }
        if (sequence < 0) {
            break;
        }
        direct->pack_done++;
    }
    if (sequence != DX_EAGAIN) {
        direct->pack_done = 0;
    }
    return sequence;
}

static int direct_put(void *context, void *opaque, void *frame, uint32_t bytes,
                      uint64_t *sequence_out, uint64_t *timestamp_ns_out)
{
    const dxi_lane_t *lane = context;
    dxi_direct_t *direct = opaque;
    const dx_frame_header_t *header = frame;
    const uint64_t unix_us = (uint64_t)dx_clock_realtime_ns() / 1000;
    int64_t sequence = 0;
    if (dxi_frame_packed(header)) {
        sequence = pack_put(direct, header, unix_us);
    } else if (!is_payload(direct, frame, bytes)) {
        sequence = slot_put(direct, DXI_DIRECT_FRAME, frame, bytes, unix_us);
    } else {
        const uint32_t head = (uint32_t)sizeof *header + (header->layout & ~7u);
        sequence = slot_put(direct, DXI_DIRECT_PLAIN, (char *)frame + head,
                            bytes - head - (header->layout & 7u), unix_us);
    }
    if (sequence < 0) {
        return (int)sequence;
    }
    *sequence_out = (uint64_t)sequence;
    *timestamp_ns_out = unix_us * 1000;
    dxi_loop_wake_at(lane->owner->loop, dxi_loop_now_ns(lane->owner->loop)); /* it comes out now */
    return DX_OK;
}

/* ----------------------------------------------------------------------------------- out of it */

static int direct_join(void *context, void *opaque, uint64_t *last_out)
{
    const dxi_lane_t *lane = context;
    dxi_direct_t *direct = opaque;
    const int code = dx_consumer_open(&direct->consumer, direct->ring,
                                      &(dx_consumer_options_t){.name = "node"}, NULL);
    if (code != DX_OK) {
        return code;
    }
    direct->joined = true;
    direct->waits = false;
    direct->event_ns = dxi_loop_now_ns(lane->owner->loop);
    *last_out = (uint64_t)direct->consumer.next - 1;
    dxi_loop_wake_at(lane->owner->loop, direct->event_ns);
    return DX_OK;
}

static void direct_leave(void *context, void *opaque)
{
    (void)context;
    dxi_direct_t *direct = opaque;
    if (direct->joined) {
        dx_consumer_close(&direct->consumer);
        direct->joined = false;
        direct->waits = false;
    }
}

/* The copy of a slot as an EVENT frame. False: it holds no event. */
static bool frame_make(dxi_direct_t *direct, uint64_t sequence)
{
    dxi_direct_event_t event;
    const uint64_t now_us = (uint64_t)dx_clock_realtime_ns() / 1000;
    if (dxi_direct_read(direct->slot, direct->slot_bytes, now_us, &event) != DX_OK) {
        return false;
    }
    const dx_frame_part_t topic = dx_frame_part_of(DX_PART_TOPIC, direct->name, direct->name_bytes);
    if (event.kind == DXI_DIRECT_PLAIN) {
        const dx_frame_draft_t draft = {.type = DX_FRAME_EVENT,
                                        .shard = direct->lane->index,
                                        .sequence = sequence,
                                        .timestamp_ns = event.timestamp_ns,
                                        .key_hash =
                                            dx_frame_key_hash(direct->name, direct->name_bytes),
                                        .parts = &topic,
                                        .part_count = 1,
                                        .payload_bytes = event.bytes};
        const int64_t bytes =
            dx_frame_encode(direct->frame, direct->frame_room, &draft, event.data, NULL);
        direct->frame_bytes = bytes > 0 ? (uint32_t)bytes : 0;
        return bytes > 0;
    }
    dx_frame_view_t view;
    uint32_t bytes = 0;
    if (dx_frame_decode(event.data, event.bytes, &view, NULL) != DX_OK ||
        view.bytes != event.bytes || view.header->type != DX_FRAME_EVENT ||
        dxi_frame_packed(view.header)) { /* a slot has one sequence */
        return false;
    }
    const char *name = dx_frame_part(&view, DX_PART_TOPIC, &bytes);
    if (bytes != direct->name_bytes || memcmp(name, direct->name, bytes) != 0) {
        return false;
    }
    memcpy(direct->frame, event.data, event.bytes);
    direct->frame_bytes = event.bytes;
    return dx_frame_stamp(direct->frame, &(dx_frame_stamp_t){.shard = direct->lane->index,
                                                             .sequence = sequence,
                                                             .timestamp_ns = event.timestamp_ns}) ==
           DX_OK;
}

/* Gives the shard what is there, at most TURN_EVENTS (X1). */
static int events_give(dxi_direct_t *direct, int64_t now_ns)
{
    dxi_lane_t *lane = direct->lane;
    dx_consumer_t *consumer = &direct->consumer;
    int64_t last = dx_consumer_poll(consumer);
    last = last < consumer->next + TURN_EVENTS ? last : consumer->next + TURN_EVENTS - 1;
    int done = 0;
    for (int64_t sequence = consumer->next; sequence <= last; sequence++, done++) {
        const bool hidden = dx_consumer_is_hidden(consumer, sequence);
        if (!hidden && !direct->waits) {
            memcpy(direct->slot, dx_consumer_event(consumer, sequence), direct->slot_bytes);
            if (!frame_make(direct, (uint64_t)sequence)) {
                direct->damaged++; /* the next one tells of a gap */
                continue;
            }
        }
        lane->touched = true;
        direct->waits =
            !hidden && dxi_shard_direct(lane->shard, direct->name, direct->name_bytes,
                                        direct->frame, direct->frame_bytes, now_ns) == DX_EAGAIN;
        if (direct->waits) {
            dx_consumer_release(consumer, sequence - 1);
            return done;
        }
        if (done % RELEASE_EVENTS == RELEASE_EVENTS - 1) {
            dx_consumer_release(consumer, sequence);
        }
    }
    if (last >= consumer->next) {
        dx_consumer_release(consumer, last);
    }
    return done;
}

/* -------------------------------------------------------------------------------------- looking */

/* A consumer has come: if it is one that was taken out, what it missed is known now. */
static void consumer_back(dxi_direct_t *direct, const dx_consumer_stat_t *stat, int64_t start)
{
    for (size_t i = 0; i < DX_RING_CONSUMERS_MAX; i++) {
        seen_t *seen = &direct->seen[i];
        if (seen->evicted_at != 0 && seen->process_id == stat->process_id &&
            start >= seen->evicted_at - 1) {
            direct->dropped += (uint64_t)(start - (seen->evicted_at - 1));
            seen->evicted_at = 0;
            return;
        }
    }
}

/* Keeps count of what a consumer has taken, and whether it stands in the way. True: it is to be
 * taken out. */
static bool consumer_look(dxi_direct_t *direct, const dx_consumer_stat_t *stat, int64_t start,
                          int64_t claimed, int64_t now_ns)
{
    seen_t *seen = &direct->seen[stat->index];
    if (!seen->known || seen->start != start || seen->sequence > stat->sequence) {
        const int64_t evicted_at = seen->evicted_at; /* of the one that was here before */
        consumer_back(direct, stat, start);
        *seen = (seen_t){.known = true,
                         .start = start,
                         .sequence = start,
                         .since_ns = now_ns,
                         .process_id = stat->process_id,
                         .evicted_at = seen->evicted_at != 0 ? evicted_at : 0};
    }
    const int64_t slots = (int64_t)dx_ring_block(direct->ring)->slot_count;
    const bool in_the_way = claimed - stat->sequence > slots - slots / 8;
    if (stat->sequence != seen->sequence || !in_the_way) { /* it moves, or need not */
        direct->delivered += (uint64_t)(stat->sequence - seen->sequence);
        seen->sequence = stat->sequence;
        seen->since_ns = now_ns;
    }
    const bool twice = in_the_way && seen->in_the_way;
    seen->in_the_way = in_the_way;
    const dxi_direct_policy_t policy = dxi_direct_name_read(stat->name);
    return policy.slow == DX_SLOW_BLOCK
               ? in_the_way && now_ns - seen->since_ns >= policy.slow_block_ns
               : twice;
}

/* Once a second at most: one that is too slow is so again and again. */
static void evicted_log(dxi_direct_t *direct, const dx_consumer_stat_t *stat, int64_t now_ns)
{
    direct->evicted++;
    if (direct->logged_ns != 0 && now_ns - direct->logged_ns < LOG_NS) {
        return;
    }
    DX_LOG_WARN(direct->lane->bus->options.log, "bus",
                "direct topic %s: consumer %s of process %d was too slow, it goes on behind a gap "
                "(%llu times since the last such line)",
                direct->name, stat->name, stat->process_id, (unsigned long long)direct->evicted);
    direct->logged_ns = now_ns;
    direct->evicted = 0;
}

/* Looks at all consumers. Returns how many there are besides the node's. */
static uint32_t consumers_look(dxi_direct_t *direct, int64_t now_ns, bool evict, int64_t *lag_out)
{
    const dx_ring_block_t *block = dx_ring_block(direct->ring);
    const dx_consumer_entry_t *entries = dxi_block_consumers(block);
    const int64_t claimed = dx_load_acquire(&block->claimed);
    uint64_t rest =
        (uint64_t)dx_load_acquire(&block->active) & ((UINT64_C(1) << DX_RING_CONSUMERS_MAX) - 1);
    uint32_t count = 0;
    for (; rest != 0; rest &= rest - 1) {
        const int32_t index = __builtin_ctzll(rest);
        dx_consumer_stat_t stat;
        if ((direct->joined && index == direct->consumer.index) ||
            dx_ring_consumer_stat(direct->ring, index, &stat) != DX_OK) {
            continue;
        }
        count++;
        *lag_out = stat.lag > *lag_out ? stat.lag : *lag_out;
        const int64_t start = dx_load_relaxed(&entries[index].start_sequence);
        if (evict && consumer_look(direct, &stat, start, claimed, now_ns) &&
            dxi_ring_evict(direct->ring, index) == DX_OK) {
            direct->seen[index].evicted_at = stat.sequence + 1;
            evicted_log(direct, &stat, now_ns);
        }
    }
    return count;
}

static int64_t direct_turn(dxi_direct_t *direct, int64_t now_ns, int *done)
{
    dxi_lane_t *lane = direct->lane;
    if (direct->joined) {
        const int given = events_give(direct, now_ns);
        direct->event_ns = given != 0 ? now_ns : direct->event_ns;
        *done += given;
    }
    if (now_ns >= direct->look_due_ns) {
        int64_t lag = 0;
        const uint32_t others = consumers_look(direct, now_ns, true, &lag);
        direct->look_due_ns = now_ns + (others != 0 ? LOOK_NS : LOOK_IDLE_NS);
        if (!direct->joined) {
            lane->touched = true;
            dxi_shard_direct_passed(lane->shard, direct->name, direct->name_bytes,
                                    (uint64_t)dx_ring_published(direct->ring), now_ns);
        }
    }
    if (!direct->joined) {
        return direct->look_due_ns;
    }
    const bool busy = now_ns - direct->event_ns < POLL_BUSY_NS || direct->waits;
    const int64_t poll_ns = now_ns + (busy ? POLL_NS : POLL_IDLE_NS);
    return poll_ns < direct->look_due_ns ? poll_ns : direct->look_due_ns;
}

int dxi_direct_run(dxi_lane_t *lane, int64_t now_ns)
{
    int done = 0;
    int64_t due_ns = INT64_MAX;
    for (dxi_direct_t *direct = lane->directs; direct != NULL; direct = direct->next) {
        const int64_t next_ns = direct_turn(direct, now_ns, &done);
        due_ns = next_ns < due_ns ? next_ns : due_ns;
    }
    if (due_ns != INT64_MAX) {
        dxi_loop_wake_at(lane->owner->loop, due_ns);
    }
    return done;
}

static bool direct_heard(void *context, void *opaque)
{
    (void)context;
    int64_t lag = 0;
    return consumers_look(opaque, 0, false, &lag) != 0;
}

static void direct_look(void *context, void *opaque, dx_topic_stats_t *stats)
{
    (void)context;
    dxi_direct_t *direct = opaque;
    int64_t lag = 0;
    stats->subscriptions += consumers_look(direct, 0, false, &lag);
    const int64_t published = dx_ring_published(direct->ring);
    stats->published = published > 0 ? (uint64_t)published : 0;
    stats->last_sequence = stats->published;
    stats->delivered += direct->delivered;
    stats->dropped += direct->dropped;
    stats->refused += direct->damaged;
    stats->lag_max = (uint64_t)lag > stats->lag_max ? (uint64_t)lag : stats->lag_max;
}

const dxi_direct_actions_t dxi_direct_actions = {.open = direct_open,
                                                 .close = direct_close,
                                                 .put = direct_put,
                                                 .join = direct_join,
                                                 .leave = direct_leave,
                                                 .heard = direct_heard,
                                                 .look = direct_look};

/* -------------------------------------------------------------------------------------- asking */

typedef struct direct_call {
    dxi_lane_t *lane;
    const char *topic;
    dxi_direct_answer_t *answer;
    int64_t claimed; /* of the lane's ring */
    bool passed;
} direct_call_t;

static void find_in_loop(void *context)
{
    direct_call_t *call = context;
    for (const dxi_direct_t *it = call->lane->directs; it != NULL; it = it->next) {
        if (strcmp(it->name, call->topic) == 0) {
            call->answer->direct = true;
            call->answer->shard = call->lane->index;
            memcpy(call->answer->ring, it->ring_name, sizeof it->ring_name);
            (void)snprintf(call->answer->folder, sizeof call->answer->folder, "%s", DX_RING_FOLDER);
        }
    }
    call->claimed = dx_load_acquire(&call->lane->consumer.block->claimed);
    call->passed = call->lane->aside_bytes == 0 && call->lane->consumer.next > call->claimed;
}

static void passed_in_loop(void *context)
{
    direct_call_t *call = context;
    call->passed = call->lane->aside_bytes == 0 && call->lane->consumer.next > call->claimed;
}

int dxi_direct_ask(dx_bus_t *bus, const char *topic, bool publish, dxi_direct_answer_t *answer_out,
                   dx_error_t *error)
{
    *answer_out = (dxi_direct_answer_t){.direct = false};
    if (!dxi_bus_runs(bus)) {
        return dxi_bus_not_running(bus, error);
    }
    direct_call_t call = {.lane = dxi_bus_lane_of(bus, topic, strlen(topic), NULL, 0),
                          .topic = topic,
                          .answer = answer_out};
    dxi_loop_call(call.lane->owner->loop, find_in_loop, &call);
    const int64_t deadline_ns = dx_clock_ns() + BARRIER_NS;
    while (answer_out->direct && publish && !call.passed) {
        const struct timespec pause = {.tv_nsec = BARRIER_PAUSE_NS};
        if (dx_clock_ns() > deadline_ns) {
            return dxi_fail(error, DX_EBUSY, "the shard of topic %s is busy", topic);
        }
        (void)nanosleep(&pause, NULL);
        dxi_loop_call(call.lane->owner->loop, passed_in_loop, &call);
    }
    return DX_OK;
}
