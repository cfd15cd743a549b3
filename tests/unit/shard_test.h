/* shard_test.h - what the tests of a shard share: a shard, subscribers who write down what they
 * get, and time that stands still until it is moved.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SHARD_TEST_H
#define SHARD_TEST_H

#include "base_test.h"
#include "bus/shard_internal.h"

#define RIG_MS INT64_C(1000000)
#define RIG_UNIX_NS INT64_C(1700000000000000000)
#define RIG_NOTES 4096

/* One thing that happened to a subscriber. */
typedef struct note {
    char topic[64];
    uint64_t first; /* the sequence; of a gap the first */
    uint64_t last;  /* of a gap; else 0 */
    uint32_t attempt;
    bool redelivered;
    char payload[16];
} note_t;

typedef struct reader {
    dxi_subscriber_t *subscriber;
    int64_t room; /* deliveries until it says DX_EAGAIN; negative: no end */
    bool gone;    /* says DX_ECLOSED */
    bool packs;   /* takes frames with several events */
    int whole;    /* that it took so */
    int deliver_code;
    note_t notes[RIG_NOTES];
    int count;
    int deliveries;
    int gaps;
    int end_code;
    uint64_t calls;
} reader_t;

typedef struct rig {
    dxi_shard_t *shard;
    int64_t clock_ns;
    dxi_answer_t answer; /* the last */
    char sentence[DX_ERROR_MESSAGE_BYTES];
    uint64_t origin;
    int answers;
    int publish_code; /* of dead letters */
    int published;
    __attribute__((aligned(8))) char dead[4096]; /* the last dead letter */
    uint32_t dead_bytes;
    int event_code; /* of the last rig_publish() */
} rig_t;

static inline void rig_answer(void *context, uint64_t origin, const dxi_answer_t *answer)
{
    rig_t *const rig = context;
    rig->answer = *answer;
    rig->origin = origin;
    rig->answers++;
    (void)snprintf(rig->sentence, sizeof rig->sentence, "%s",
                   answer->sentence != NULL ? answer->sentence : "");
}

static inline note_t *reader_note(reader_t *reader)
{
    assert_true(reader->count < RIG_NOTES);
    note_t *const note = &reader->notes[reader->count++];
    *note = (note_t){0};
    return note;
}

static inline int rig_room(reader_t *reader)
{
    reader->calls++;
    if (reader->gone) {
        return DX_ECLOSED;
    }
    if (reader->room == 0) {
        return DX_EAGAIN;
    }
    reader->room -= reader->room > 0;
    return DX_OK;
}

/* A whole pack: a note for each event in it. */
static inline int rig_deliver_pack(reader_t *reader, const dxi_delivery_t *delivery)
{
    const uint32_t events = dxi_frame_events(delivery->frame);
    if (!reader->packs || (reader->room >= 0 && reader->room < events)) {
        return DXI_DELIVER_SPLIT;
    }
    reader->room -= reader->room > 0 ? events : 0;
    dx_frame_view_t view;
    assert_ok(dx_frame_decode(delivery->frame, delivery->bytes, &view, NULL));
    dxi_pack_t pack = dxi_pack_begin(view.header);
    for (uint32_t i = 0; i < events; i++) {
        uint32_t bytes = 0;
        const char *const payload = dxi_pack_next(&pack, &bytes);
        note_t *const note = reader_note(reader);
        (void)snprintf(note->payload, sizeof note->payload, "%.*s", (int)bytes, payload);
        note->first = view.header->sequence + i;
        reader->deliveries++;
    }
    reader->whole++;
    return DX_OK;
}

static inline int rig_deliver(void *context, void *user, const dxi_delivery_t *delivery)
{
    (void)context;
    reader_t *const reader = user;
    if (dxi_frame_packed(delivery->frame)) {
        return rig_deliver_pack(reader, delivery);
    }
    const int code = rig_room(reader);
    if (code != DX_OK) {
        return code;
    }
    dx_frame_view_t view;
    assert_ok(dx_frame_decode(delivery->frame, delivery->bytes, &view, NULL));
    assert_int_equal(view.header->type, DX_FRAME_EVENT);
    note_t *const note = reader_note(reader);
    uint32_t bytes = 0;
    const char *const topic = dx_frame_part(&view, DX_PART_TOPIC, &bytes);
    (void)snprintf(note->topic, sizeof note->topic, "%.*s", (int)bytes, topic);
    (void)snprintf(note->payload, sizeof note->payload, "%.*s", (int)view.payload_bytes,
                   (const char *)view.payload);
    note->first = view.header->sequence;
    note->attempt = delivery->attempt;
    note->redelivered = delivery->redelivered;
    reader->deliveries++;
    return reader->deliver_code;
}

static inline int rig_gap(void *context, void *user, const dx_gap_t *gap)
{
    (void)context;
    reader_t *const reader = user;
    const int code = rig_room(reader);
    if (code == DX_OK) {
        note_t *const note = reader_note(reader);
        (void)snprintf(note->topic, sizeof note->topic, "%.*s", (int)gap->topic_bytes, gap->topic);
        note->first = gap->first;
        note->last = gap->last;
        reader->gaps++;
    }
    return code;
}

static inline void rig_end(void *context, void *user, int code, const char *sentence)
{
    (void)context;
    reader_t *const reader = user;
    assert_non_null(sentence);
    assert_int_equal(reader->end_code, 0); /* told once */
    reader->end_code = code;
}

static inline int rig_dead(void *context, const void *frame, uint32_t bytes)
{
    rig_t *const rig = context;
    if (rig->publish_code == DX_OK) {
        assert_true(bytes <= sizeof rig->dead);
        memcpy(rig->dead, frame, bytes);
        rig->dead_bytes = bytes;
        rig->published++;
    }
    return rig->publish_code;
}

static inline void rig_open(rig_t *rig, const dx_bus_options_t *bus)
{
    *rig = (rig_t){.clock_ns = 1000 * RIG_MS};
    const dxi_shard_options_t options = {.shard = 3,
                                         .term = 7,
                                         .bus = bus != NULL ? *bus : (dx_bus_options_t){0},
                                         .actions = {.context = rig,
                                                     .answer = rig_answer,
                                                     .deliver = rig_deliver,
                                                     .gap = rig_gap,
                                                     .end = rig_end,
                                                     .publish = rig_dead}};
    assert_ok(dxi_shard_create(&options, &rig->shard, NULL));
}

static inline void rig_close(rig_t *rig)
{
    dxi_shard_check(rig->shard);
    dxi_shard_destroy(rig->shard);
}

/* A publication, in the words of a test. */
typedef struct publication {
    const char *topic;
    const char *payload; /* NULL: "x" */
    uint32_t payload_bytes;
    const char *key;
    uint8_t type; /* 0: PUBLISH */
    uint16_t flags;
    uint64_t producer_id;
    uint64_t producer_sequence;
    uint64_t correlation;
    const char *reply_to;
    const dx_frame_pair_t *headers;
    uint16_t header_count;
} publication_t;

static inline uint32_t rig_frame(const publication_t *p, void *frame, size_t room)
{
    dx_frame_part_t parts[4];
    uint16_t count = 0;
    parts[count++] = dx_frame_part_text(DX_PART_TOPIC, p->topic);
    const char *const hashed = p->key != NULL ? p->key : p->topic;
    if (p->key != NULL) {
        parts[count++] = dx_frame_part_text(DX_PART_KEY, p->key);
    }
    if (p->correlation != 0) {
        parts[count++] = dx_frame_part_of(DX_PART_CORRELATION, &p->correlation, 8);
    }
    if (p->reply_to != NULL) {
        parts[count++] = dx_frame_part_text(DX_PART_REPLY_TO, p->reply_to);
    }
    const char *const payload = p->payload != NULL ? p->payload : "x";
    const dx_frame_draft_t draft = {
        .type = p->type != 0 ? p->type : DX_FRAME_PUBLISH,
        .flags = p->flags,
        .key_hash = dx_frame_key_hash(hashed, strlen(hashed)),
        .payload_bytes = p->payload_bytes != 0 ? p->payload_bytes : (uint32_t)strlen(payload),
        .producer_id = p->producer_id,
        .producer_sequence = p->producer_sequence,
        .parts = parts,
        .part_count = count,
        .headers = p->headers,
        .header_count = p->header_count};
    void *at = NULL;
    const int64_t bytes = dx_frame_begin(frame, room, &draft, &at, NULL);
    assert_true(bytes > 0);
    memset(at, 'p', draft.payload_bytes);
    if (p->payload_bytes == 0) {
        memcpy(at, payload, draft.payload_bytes);
    }
    dx_frame_seal(frame);
    return (uint32_t)bytes;
}

/* A pack of `count` events; event i has `sizes[i]` bytes of 'a' + i % 26. */
static inline uint32_t rig_pack(const char *topic, const uint32_t *sizes, uint32_t count,
                                void *frame, size_t room)
{
    const dx_frame_part_t part = dx_frame_part_text(DX_PART_TOPIC, topic);
    uint32_t payload_bytes = sizeof(dxi_pack_head_t);
    dxi_pack_head_t head = {.count = count};
    for (uint32_t i = 0; i < count; i++) {
        payload_bytes += (uint32_t)dxi_pack_event_bytes(sizes[i]);
        head.data_bytes += sizes[i];
    }
    const dx_frame_draft_t draft = {.type = DX_FRAME_PUBLISH,
                                    .flags = DX_FRAME_PACKED,
                                    .key_hash = dx_frame_key_hash(topic, strlen(topic)),
                                    .payload_bytes = payload_bytes,
                                    .parts = &part,
                                    .part_count = 1};
    void *payload = NULL;
    const int64_t bytes = dx_frame_begin(frame, room, &draft, &payload, NULL);
    assert_true(bytes > 0);
    memset(payload, 0, payload_bytes);
    memcpy(payload, &head, sizeof head);
    char *at = (char *)payload + sizeof head;
    for (uint32_t i = 0; i < count; i++) {
        memcpy(at, &(dxi_pack_event_t){sizes[i], 0}, sizeof(dxi_pack_event_t));
        memset(at + sizeof(dxi_pack_event_t), 'a' + (int)(i % 26), sizes[i]);
        at += dxi_pack_event_bytes(sizes[i]);
    }
    dx_frame_seal(frame);
    return (uint32_t)bytes;
}

/* Publishes; returns what dxi_shard_event() did. */
static inline int rig_publish_as(rig_t *rig, const publication_t *p)
{
    static __attribute__((aligned(8))) char frame[65536 * 2];
    const uint32_t bytes = rig_frame(p, frame, sizeof frame);
    rig->event_code = dxi_shard_event(rig->shard, frame, bytes, 42, rig->clock_ns - 1000,
                                      rig->clock_ns, RIG_UNIX_NS + rig->clock_ns);
    dxi_shard_check(rig->shard);
    return rig->event_code;
}

static inline void rig_publish(rig_t *rig, const char *topic, int count)
{
    for (int i = 0; i < count; i++) {
        assert_ok(rig_publish_as(rig, &(publication_t){.topic = topic}));
    }
}

/* A frame that stays where it is, to be brought again. */
typedef struct held_frame {
    __attribute__((aligned(8))) char bytes[1024];
    uint32_t count;
} held_frame_t;

static inline int rig_bring(rig_t *rig, held_frame_t *frame)
{
    const int code = dxi_shard_event(rig->shard, frame->bytes, frame->count, 42, 0, rig->clock_ns,
                                     RIG_UNIX_NS + rig->clock_ns);
    dxi_shard_check(rig->shard);
    return code;
}

static inline int rig_try_subscribe(rig_t *rig, reader_t *reader,
                                    const dx_subscription_options_t *options, dx_error_t *error)
{
    *reader = (reader_t){.room = -1};
    static uint64_t member_id;
    const dxi_subscribe_t subscribe = {
        .user = reader, .options = options, .group_member_id = ++member_id};
    const int code =
        dxi_shard_subscribe(rig->shard, &subscribe, rig->clock_ns, &reader->subscriber, error);
    dxi_shard_check(rig->shard);
    return code;
}

static inline void rig_subscribe(rig_t *rig, reader_t *reader,
                                 const dx_subscription_options_t *options)
{
    dx_error_t error = {0};
    const int code = rig_try_subscribe(rig, reader, options, &error);
    if (code != DX_OK) {
        fail_msg("subscribe: %s", error.message);
    }
}

static inline void rig_unsubscribe(rig_t *rig, reader_t *reader)
{
    dxi_shard_unsubscribe(rig->shard, reader->subscriber, rig->clock_ns);
    reader->subscriber = NULL;
    dxi_shard_check(rig->shard);
}

static inline int64_t rig_tick(rig_t *rig, int64_t pass_ns)
{
    rig->clock_ns += pass_ns;
    const int64_t next_ns = dxi_shard_tick(rig->shard, rig->clock_ns, RIG_UNIX_NS + rig->clock_ns);
    dxi_shard_check(rig->shard);
    return next_ns;
}

/* `room` more deliveries, and the shard is told. */
static inline void rig_ready(rig_t *rig, reader_t *reader, int64_t room)
{
    reader->room = room;
    dxi_shard_ready(rig->shard, reader->subscriber, rig->clock_ns);
    dxi_shard_check(rig->shard);
}

static inline dx_topic_stats_t rig_topic(rig_t *rig, const char *topic)
{
    dx_topic_stats_t stats = {0};
    assert_ok(dxi_shard_topic_stats(rig->shard, topic, &stats));
    return stats;
}

static inline dx_subscription_stats_t rig_stats(const reader_t *reader)
{
    dx_subscription_stats_t stats = {0};
    dxi_shard_subscriber_stats(reader->subscriber, &stats);
    return stats;
}

/* What a reader got, as text: "1 2 3-5 6*2": a sequence, a gap, a second attempt. */
static inline const char *rig_text(const reader_t *reader)
{
    static char text[8192];
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < reader->count && used < sizeof text - 64; i++) {
        const note_t *const note = &reader->notes[i];
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%llu", i != 0 ? " " : "",
                                 (unsigned long long)note->first);
        if (note->last != 0) {
            used += (size_t)snprintf(text + used, sizeof text - used, "-%llu",
                                     (unsigned long long)note->last);
        }
        if (note->attempt > 1) {
            used += (size_t)snprintf(text + used, sizeof text - used, "*%u", note->attempt);
        }
    }
    return text;
}

#endif
