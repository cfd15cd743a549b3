/* shard.c - a shard from creation to end, and the way of an event through it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "bus/team.h"

#define EXPIRE_INTERVAL_NS INT64_C(1000000000)
#define PART_HEAD_BYTES 8u
#define UNPACKED_HEAD_BYTES (sizeof(dx_frame_header_t) + PART_HEAD_BYTES + DX_TOPIC_BYTES_MAX + 1)
#define TOPIC_PART_NUMBER (DX_PART_TOPIC | DX_PART_MUST)

/* ------------------------------------------------------------------------------ create, destroy */

static void bus_options_fill(dx_bus_options_t *bus)
{
    bus->event_bytes_max = bus->event_bytes_max != 0 ? bus->event_bytes_max : 131072;
    bus->topics_max = bus->topics_max != 0 ? bus->topics_max : 65536;
    bus->topic.retain_events = bus->topic.retain_events != 0 ? bus->topic.retain_events : 1024;
    bus->topic.retain_bytes = bus->topic.retain_bytes != 0 ? bus->topic.retain_bytes : 1048576;
    bus->retain_bytes_max = bus->retain_bytes_max != 0 ? bus->retain_bytes_max : 268435456;
    bus->producers_max = bus->producers_max != 0 ? bus->producers_max : 4096;
    bus->subscriptions_max = bus->subscriptions_max != 0 ? bus->subscriptions_max : 65536;
}

int dxi_shard_create(const dxi_shard_options_t *options, dxi_shard_t **shard_out, dx_error_t *error)
{
    *shard_out = NULL;
    dxi_shard_t *const shard = dxi_alloc_zeroed(1, sizeof *shard);
    if (shard == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a shard");
    }
    shard->actions = options->actions;
    shard->number = options->shard;
    shard->term = options->term;
    shard->bus = options->bus;
    bus_options_fill(&shard->bus);
    shard->topic_count = options->topics != NULL ? options->topics : &shard->own_topic_count;
    shard->memory = options->retained_bytes != NULL ? options->retained_bytes : &shard->own_memory;
    dxi_list_init(&shard->flows);
    dxi_list_init(&shard->teams);
    dxi_list_init(&shard->active);
    dxi_list_init(&shard->all_topics);
    dxi_list_init(&shard->walks);
    dxi_list_init(&shard->feeding);
    shard->due_ns = INT64_MAX;
    dxi_dedup_init(&shard->dedup, shard->bus.producers_max);
    dxi_list_init(&shard->link_chunks);
    dxi_list_init(&shard->free_links);
    shard->unpacked.frame =
        dxi_alloc_zeroed(1, UNPACKED_HEAD_BYTES + ((size_t)shard->bus.event_bytes_max + 7));
    if (shard->unpacked.frame == NULL || dxi_topics_init(&shard->topics) != DX_OK ||
        dxi_trie_init(&shard->trie) != DX_OK) {
        dxi_shard_destroy(shard);
        return dxi_fail(error, DX_ENOMEM, "no memory for a shard");
    }
    *shard_out = shard;
    return DX_OK;
}

void dxi_shard_destroy(dxi_shard_t *shard)
{
    if (shard == NULL) {
        return;
    }
    dxi_flows_close(shard);
    dxi_topics_close(shard);
    dxi_trie_close(&shard->trie);
    dxi_links_close(shard);
    dxi_dedup_close(&shard->dedup);
    dxi_blocks_close(shard);
    dxi_free(shard->unpacked.frame);
    dxi_free(shard);
}

/* -------------------------------------------------------------------------------------- answers */

/* The number of the correlation in a frame; 0: none. */
static uint64_t correlation_of(const dxi_incoming_t *incoming)
{
    dx_frame_view_t view;
    if (dx_frame_view(incoming->frame, incoming->bytes, &view, NULL) != DX_OK) {
        return 0;
    }
    return dx_frame_part_u64(&view, DX_PART_CORRELATION, 0);
}

/* Tells the publisher that its event is taken, if it wants to know. */
DX_INLINE void answer_taken(dxi_shard_t *shard, const dxi_incoming_t *incoming)
{
    const dx_frame_header_t *const frame = incoming->frame;
    if (DX_LIKELY((frame->flags & DX_FRAME_ACK_WANTED) == 0)) {
        return;
    }
    const dxi_answer_t answer = {.code = DX_OK,
                                 .wanted = true,
                                 .producer_id = frame->producer_id,
                                 .producer_sequence = frame->producer_sequence,
                                 .correlation = correlation_of(incoming),
                                 .shard = shard->number,
                                 .term = frame->term,
                                 .sequence = frame->sequence,
                                 .timestamp_ns = frame->timestamp_ns};
    shard->actions.answer(shard->actions.context, incoming->origin, &answer);
}

/* Refuses an event for what shard->error says: counted, and its publisher is told. */
DX_NOINLINE static int refuse(dxi_shard_t *shard, const dxi_incoming_t *incoming)
{
    const dx_frame_header_t *const frame = incoming->frame;
    if (incoming->topic != NULL) {
        incoming->topic->refused += incoming->events;
    } else {
        shard->refused += incoming->events;
    }
    const bool readable = incoming->bytes >= sizeof *frame;
    const dxi_answer_t answer = {.code = shard->error.code,
                                 .wanted = readable && (frame->flags & DX_FRAME_ACK_WANTED) != 0,
                                 .producer_id = readable ? frame->producer_id : 0,
                                 .producer_sequence = readable ? frame->producer_sequence : 0,
                                 .correlation = readable ? correlation_of(incoming) : 0,
                                 .events = incoming->events,
                                 .shard = shard->number,
                                 .term = shard->term,
                                 .sentence = shard->error.message};
    shard->actions.answer(shard->actions.context, incoming->origin, &answer);
    return DX_OK;
}

/* ---------------------------------------------------------------------------------------- admit */

/* Where the topic's name stands: TOPIC has the lowest number, so it is the first part. False: there
 * is none, shard->error says why. */
static bool name_find(dxi_shard_t *shard, dxi_incoming_t *incoming)
{
    const dx_frame_header_t *const frame = incoming->frame;
    if (incoming->bytes < sizeof *frame + PART_HEAD_BYTES ||
        dx_frame_header_frame_bytes(frame) != incoming->bytes) {
        (void)dxi_fail(&shard->error, DX_EINVAL, "the frame has %u bytes and says otherwise",
                       incoming->bytes);
        return false;
    }
    if (frame->type != DX_FRAME_PUBLISH && frame->type != DX_FRAME_REQUEST &&
        frame->type != DX_FRAME_REPLY) {
        (void)dxi_fail(&shard->error, DX_EINVAL, "a frame of type %s is no publication",
                       dx_frame_type_name(frame->type));
        return false;
    }
    const uint32_t zeros = frame->layout & 7u;
    const uint32_t parts_bytes = frame->layout - zeros;
    const char *const part = (const char *)frame + sizeof *frame;
    uint16_t head[2];
    memcpy(head, part, sizeof head);
    if (sizeof *frame + parts_bytes + zeros > incoming->bytes || head[0] != TOPIC_PART_NUMBER ||
        PART_HEAD_BYTES + head[1] > parts_bytes) {
        (void)dxi_fail(&shard->error, DX_EINVAL, "the publication has no topic's name");
        return false;
    }
    incoming->payload_bytes = incoming->bytes - (uint32_t)sizeof *frame - parts_bytes - zeros;
    incoming->packed = dxi_frame_packed(frame);
    incoming->events = dxi_frame_events(frame);
    incoming->name = part + PART_HEAD_BYTES;
    incoming->name_bytes = head[1];
    return true;
}

static bool anybody(void *context, dxi_trie_entry_t *entry)
{
    (void)context;
    return DXI_LIST_OBJECT(entry, dxi_flow_t, entry)->member_count == 0; /* false: stop, found */
}

/* Whether somebody subscribes to a topic, which need not exist. */
static bool heard(const dxi_shard_t *shard, const dxi_topic_t *topic, const char *name,
                  size_t bytes)
{
    for (uint32_t i = 0; topic != NULL && i < topic->link_count; i++) {
        if (topic->links[i]->flow->member_count != 0) {
            return true;
        }
    }
    if (topic != NULL) {
        return topic->direct != NULL &&
               shard->actions.direct->heard(shard->actions.context, topic->direct);
    }
    return !dxi_trie_match(&shard->trie, name, bytes, anybody, NULL);
}

/* Makes the topic of the first event of a name. NULL: it may not be, shard->error says why. */
DX_NOINLINE static dxi_topic_t *topic_first_use(dxi_shard_t *shard, const char *name,
                                                uint32_t bytes)
{
    static const char INBOX[] = "$inbox.";
    const bool inbox = bytes > sizeof INBOX - 1 && memcmp(name, INBOX, sizeof INBOX - 1) == 0;
    dxi_topic_t *topic = NULL;
    if (inbox && !heard(shard, NULL, name, bytes)) {
        (void)dxi_fail(&shard->error, DX_ENOTFOUND, "nobody waits at the inbox any more");
    } else if (!inbox && shard->bus.no_topic_creation) {
        (void)dxi_fail(&shard->error, DX_ENOTFOUND,
                       "there is no topic \"%.*s\", and topics must be declared", (int)bytes, name);
    } else if (dxi_topic_make(shard, name, bytes, NULL, &topic, &shard->error) != DX_OK) {
        topic = NULL;
    }
    return topic;
}

/* The same of a frame whose payload is a pack. Where the whole is no larger than one event may be,
 * no event in it is. */
DX_NOINLINE static bool pack_admit(dxi_shard_t *shard, dxi_incoming_t *incoming)
{
    const uint32_t most = incoming->topic->event_bytes_max;
    const uint32_t largest =
        incoming->payload_bytes <= most ? 0 : dxi_pack_largest(incoming->frame);
    incoming->payload_bytes = dxi_pack_head(incoming->frame)->data_bytes;
    if (largest > most) {
        (void)dxi_fail(&shard->error, DX_ELIMIT,
                       "an event of the pack has %u bytes, must have at most %u", largest, most);
        return false;
    }
    return true;
}

/* Whether the frame may be an event of its topic, which is found or made. False: shard->error says
 * why not. */
static bool admit(dxi_shard_t *shard, dxi_incoming_t *incoming)
{
    if (DX_UNLIKELY(!name_find(shard, incoming))) {
        return false;
    }
    dxi_topic_t *topic = dxi_topic_find(&shard->topics, incoming->name, incoming->name_bytes);
    incoming->topic = topic;
    if (DX_UNLIKELY(incoming->frame->type == DX_FRAME_REQUEST) &&
        !heard(shard, topic, incoming->name, incoming->name_bytes)) {
        (void)dxi_fail(&shard->error, DX_ENOTFOUND, "nobody subscribes to \"%.*s\"",
                       (int)incoming->name_bytes, incoming->name);
        return false;
    }
    if (DX_UNLIKELY(topic == NULL)) {
        topic = topic_first_use(shard, incoming->name, incoming->name_bytes);
        if (topic == NULL) {
            return false;
        }
        incoming->topic = topic;
    }
    if (incoming->packed) {
        return pack_admit(shard, incoming);
    }
    if (DX_UNLIKELY(incoming->payload_bytes > topic->event_bytes_max)) {
        (void)dxi_fail(&shard->error, DX_ELIMIT, "the payload has %u bytes, must have at most %u",
                       incoming->payload_bytes, topic->event_bytes_max);
        return false;
    }
    return true;
}

/* ----------------------------------------------------------------------------------- duplicates */

/* Answers a publication that was taken before with its first receipt (S7). */
DX_NOINLINE static void answer_duplicate(dxi_shard_t *shard, const dxi_incoming_t *incoming,
                                         const dxi_receipt_t *receipt)
{
    const dx_frame_header_t *const frame = incoming->frame;
    incoming->topic->duplicates++;
    if ((frame->flags & DX_FRAME_ACK_WANTED) == 0) {
        return;
    }
    const dxi_answer_t answer = {.code = DX_OK,
                                 .duplicate = true,
                                 .wanted = true,
                                 .producer_id = frame->producer_id,
                                 .producer_sequence = frame->producer_sequence,
                                 .correlation = correlation_of(incoming),
                                 .shard = shard->number,
                                 .term = shard->term,
                                 .sequence = receipt->sequence,
                                 .timestamp_ns = receipt->timestamp_ns};
    shard->actions.answer(shard->actions.context, incoming->origin, &answer);
}

/* Whether the publication is new. Returns DX_OK, DX_EEXIST when it was taken before and has been
 * answered, DX_EINVAL, DX_ENOMEM. */
static int duplicate_check(dxi_shard_t *shard, dxi_incoming_t *incoming)
{
    const dx_frame_header_t *const frame = incoming->frame;
    if (frame->producer_sequence == 0) {
        return dxi_fail(&shard->error, DX_EINVAL,
                        "producer_sequence is 0, must count from 1 when there is a producer_id");
    }
    /* Whose it is, dxi_session_owner_stamp() has said in the term that it does not have yet. */
    incoming->producer = dxi_dedup_producer(&shard->dedup, frame->term, frame->producer_id);
    if (incoming->producer == NULL) {
        return dxi_fail(&shard->error, DX_ENOMEM, "no memory for a producer");
    }
    dxi_receipt_t receipt = {0};
    if (DX_LIKELY(dxi_dedup_seen(incoming->producer, frame->producer_sequence, &receipt) ==
                  DXI_SEEN_NEVER)) {
        return DX_OK;
    }
    answer_duplicate(shard, incoming, &receipt);
    return DX_EEXIST;
}

/* ---------------------------------------------------------------------------------------- event */

/* The held event once more. */
DX_NOINLINE static int held_resume(dxi_shard_t *shard, dxi_incoming_t *incoming, int64_t clock_ns)
{
    dxi_topic_t *const topic = shard->held.topic;
    shard->held.frame = incoming->frame;
    const bool blocked = topic != NULL && dxi_topic_blocked(shard, topic, clock_ns);
    shard->held.frame = NULL;
    if (blocked) {
        return DX_EAGAIN;
    }
    shard->held.active = false;
    shard->held.topic = NULL;
    answer_taken(shard, incoming);
    return DX_OK;
}

/* Gives the event its place in its topic (S1). */
DX_INLINE int sequence_give(dxi_shard_t *shard, dxi_incoming_t *incoming, int64_t unix_ns)
{
    dxi_topic_t *const topic = incoming->topic;
    const uint64_t timestamp_ns =
        (uint64_t)unix_ns > shard->timestamp_ns ? (uint64_t)unix_ns : shard->timestamp_ns;
    const dx_frame_stamp_t stamp = {.type = DX_FRAME_EVENT,
                                    .spread = topic->options.shard_by == DX_SHARD_BY_KEY,
                                    .shard = shard->number,
                                    .term = shard->term,
                                    .sequence = topic->last + 1,
                                    .timestamp_ns = timestamp_ns};
    const int code = dx_frame_stamp(incoming->frame, &stamp);
    if (DX_UNLIKELY(code != DX_OK)) {
        return dxi_fail(&shard->error, code, "the frame's header is damaged");
    }
    shard->timestamp_ns = timestamp_ns;
    incoming->sequence = topic->last + 1;
    topic->last += incoming->events;
    topic->published_bytes += incoming->payload_bytes;
    return DX_OK;
}

/* A publication to a direct topic: into its ring, which gives it its sequence. */
DX_NOINLINE static int direct_put(dxi_shard_t *shard, dxi_incoming_t *incoming)
{
    dxi_topic_t *const topic = incoming->topic;
    uint64_t timestamp_ns = 0;
    const int code =
        shard->actions.direct->put(shard->actions.context, topic->direct, incoming->frame,
                                   incoming->bytes, &incoming->sequence, &timestamp_ns);
    if (code == DX_EAGAIN && topic->options.full == DX_TOPIC_FULL_WAIT) {
        return DX_EAGAIN;
    }
    if (code != DX_OK) {
        (void)dxi_fail(&shard->error, code, "the event does not go into the ring of its topic: %s",
                       dx_error_text(code));
        return refuse(shard, incoming);
    }
    if (incoming->producer != NULL) {
        dxi_dedup_note(&shard->dedup, incoming->producer,
                       &(dxi_receipt_t){.producer_sequence = incoming->frame->producer_sequence,
                                        .sequence = incoming->sequence,
                                        .timestamp_ns = timestamp_ns});
    }
    topic->published_bytes += incoming->payload_bytes;
    if ((incoming->frame->flags & DX_FRAME_ACK_WANTED) != 0) {
        /* What the answer says stands in the frame, which itself is not used any more. */
        const dx_frame_stamp_t stamp = {.shard = shard->number,
                                        .term = shard->term,
                                        .sequence = incoming->sequence,
                                        .timestamp_ns = timestamp_ns};
        const int stamped = dx_frame_stamp(incoming->frame, &stamp);
        assert(stamped == DX_OK);
        (void)stamped;
        answer_taken(shard, incoming);
    }
    return DX_OK;
}

int dxi_shard_direct(dxi_shard_t *shard, const char *name, size_t name_bytes, void *frame,
                     uint32_t bytes, int64_t clock_ns)
{
    dxi_topic_t *const topic = dxi_topic_find(&shard->topics, name, name_bytes);
    dxi_incoming_t incoming = {.frame = frame, .topic = topic, .bytes = bytes, .events = 1};
    incoming.sequence = incoming.frame->sequence;
    clock_ns = dxi_shard_now(shard, clock_ns);
    if (topic == NULL || incoming.sequence <= topic->last) {
        return DX_OK;
    }
    if (topic->blocking != 0 && dxi_topic_blocked(shard, topic, clock_ns)) {
        return DX_EAGAIN;
    }
    dxi_topic_skip(shard, topic, incoming.sequence - 1);
    topic->last = incoming.sequence;
    if (!dxi_list_queued(&topic->in_active)) {
        dxi_topic_activate(shard, topic);
    }
    dxi_retain_keep(&topic->retain, &topic->limits, frame, bytes);
    dxi_topic_deliver(shard, &incoming);
    return DX_OK;
}

void dxi_shard_direct_passed(dxi_shard_t *shard, const char *name, size_t name_bytes, uint64_t last,
                             int64_t clock_ns)
{
    dxi_topic_t *const topic = dxi_topic_find(&shard->topics, name, name_bytes);
    (void)dxi_shard_now(shard, clock_ns);
    if (topic != NULL && topic->link_count == 0 && last > topic->last) {
        if (!dxi_list_queued(&topic->in_active)) {
            dxi_topic_activate(shard, topic);
        }
        dxi_topic_skip(shard, topic, last);
    }
}

int dxi_shard_event(dxi_shard_t *shard, void *frame, uint32_t bytes, uint64_t origin,
                    int64_t published_ns, int64_t clock_ns, int64_t unix_ns)
{
    dxi_incoming_t incoming;
    incoming.frame = frame;
    incoming.topic = NULL;
    incoming.bytes = bytes;
    incoming.origin = origin;
    incoming.viewed = false;
    incoming.producer = NULL;
    incoming.events = 1;
    clock_ns = dxi_shard_now(shard, clock_ns);
    if (DX_UNLIKELY(shard->held.active)) {
        return held_resume(shard, &incoming, clock_ns);
    }
    if (DX_UNLIKELY(!admit(shard, &incoming))) {
        return refuse(shard, &incoming);
    }
    dxi_topic_t *const topic = incoming.topic;
    if (incoming.frame->producer_id != 0) {
        const int code = duplicate_check(shard, &incoming);
        if (DX_UNLIKELY(code != DX_OK)) {
            return code == DX_EEXIST ? DX_OK : refuse(shard, &incoming);
        }
    }
    if (DX_UNLIKELY(topic->direct != NULL)) {
        return direct_put(shard, &incoming);
    }
    if (DX_UNLIKELY(topic->blocking != 0) && dxi_topic_blocked(shard, topic, clock_ns)) {
        return DX_EAGAIN; /* S6: before it has a sequence */
    }
    if (DX_UNLIKELY(sequence_give(shard, &incoming, unix_ns) != DX_OK)) {
        return refuse(shard, &incoming);
    }
    if (DX_UNLIKELY(!dxi_list_queued(&topic->in_active))) {
        dxi_topic_activate(shard, topic);
    }
    if (DX_UNLIKELY(topic->ages)) {
        dxi_topic_expire(topic, unix_ns);
    }
    if (incoming.producer != NULL) {
        dxi_dedup_note(&shard->dedup, incoming.producer,
                       &(dxi_receipt_t){.producer_sequence = incoming.frame->producer_sequence,
                                        .sequence = incoming.sequence,
                                        .timestamp_ns = shard->timestamp_ns});
    }
    dxi_retain_keep(&topic->retain, &topic->limits, frame, bytes);
    dxi_topic_deliver(shard, &incoming);
    if (DX_LIKELY(published_ns != 0 && topic->latency != NULL)) {
        dxi_latency_record(topic->latency, clock_ns - published_ns, incoming.events);
    }
    if (DX_UNLIKELY(topic->blocking != 0)) {
        shard->held.active = true;
        shard->held.topic = topic;
        shard->held.sequence = incoming.sequence;
        return held_resume(shard, &incoming, clock_ns);
    }
    answer_taken(shard, &incoming);
    return DX_OK;
}

/* ----------------------------------------------------------------------------------------- tick */

static void feeding_go_on(dxi_shard_t *shard)
{
    dxi_list_t round;
    dxi_list_init(&round);
    while (!dxi_list_empty(&shard->feeding)) { /* each once: who is not done comes back behind */
        dxi_list_t *const place = shard->feeding.next;
        dxi_list_remove(place);
        dxi_list_append(&round, place);
    }
    while (!dxi_list_empty(&round)) {
        dxi_flow_feed(shard, DXI_LIST_OBJECT(round.next, dxi_flow_t, in_feeding));
    }
}

int64_t dxi_shard_tick(dxi_shard_t *shard, int64_t clock_ns, int64_t unix_ns)
{
    clock_ns = dxi_shard_now(shard, clock_ns);
    if (clock_ns >= shard->due_ns) {
        dxi_teams_tick(shard, clock_ns);
    }
    feeding_go_on(shard);
    int64_t next_ns = dxi_list_empty(&shard->feeding) ? shard->due_ns : clock_ns;
    if (!dxi_list_empty(&shard->active)) {
        if (clock_ns - shard->rated_ns >= DXI_RATES_INTERVAL_NS) {
            dxi_topics_rate(shard, clock_ns);
        }
        const int64_t rate_ns = shard->rated_ns + DXI_RATES_INTERVAL_NS;
        next_ns = next_ns < rate_ns || dxi_list_empty(&shard->active) ? next_ns : rate_ns;
    }
    if (shard->aged_count != 0) {
        if (clock_ns >= shard->expire_at_ns) {
            dxi_topics_expire(shard, unix_ns);
            shard->expire_at_ns = clock_ns + EXPIRE_INTERVAL_NS;
        }
        next_ns = next_ns < shard->expire_at_ns ? next_ns : shard->expire_at_ns;
    }
    return next_ns;
}

bool dxi_shard_idle(const dxi_shard_t *shard)
{
    if (shard->held.active) {
        return false;
    }
    for (const dxi_list_t *at = shard->flows.next; at != &shard->flows; at = at->next) {
        const dxi_flow_t *const flow = DXI_LIST_OBJECT(at, dxi_flow_t, in_shard);
        const bool lags =
            !dxi_list_empty(&flow->lagging) && !flow->ended && flow->member_count != 0;
        if (lags || (flow->team != NULL && !dxi_team_idle(flow->team))) {
            return false;
        }
    }
    return true;
}
