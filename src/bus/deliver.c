/* deliver.c - events to links: the short way of those who keep up, and feeding those who lag.
 *
 * An event is offered once to each link of its topic. Who has no room becomes LAGGING at that event
 * and is left alone until dxi_shard_ready(); then it is fed from what its topics retain, a batch of
 * each topic in turn. What is not retained any more it is told as a gap, in its place between the
 * events before and behind (S4).
 *
 * The one event that may be neither retained nor lost is the held one: its topic keeps nothing, a
 * BLOCKING link has no room for it, and it lies in the ring until the caller brings it again.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bus/shard_internal.h"

#define LINK_BATCH 64 /* events of one topic before the next topic's turn */

typedef enum feed {
    FEED_DONE,  /* nothing is left: LIVE */
    FEED_MORE,  /* something is left */
    FEED_STOP,  /* no room */
    FEED_AWAIT, /* the held event is not at hand */
} feed_t;

const dx_frame_view_t *dxi_incoming_view(dxi_incoming_t *incoming)
{
    if (!incoming->viewed) {
        incoming->viewed = true;
        if (dx_frame_view(incoming->frame, incoming->bytes, &incoming->view, NULL) != DX_OK) {
            incoming->view = (dx_frame_view_t){.header = incoming->frame};
        }
    }
    return &incoming->view;
}

static bool predicate_wants(const dxi_flow_t *flow, dxi_incoming_t *incoming)
{
    const dx_frame_view_t *const view = dxi_incoming_view(incoming);
    const dxi_topic_t *const topic = incoming->topic;
    dx_event_t event = {.topic = topic->name,
                        .topic_bytes = topic->name_bytes,
                        .bytes = view->payload_bytes,
                        .data = view->payload,
                        .sequence = incoming->frame->sequence,
                        .timestamp_ns = incoming->frame->timestamp_ns,
                        .shard = incoming->frame->shard,
                        .attempt = 1,
                        .term = incoming->frame->term,
                        .correlation = dx_frame_part_u64(view, DX_PART_CORRELATION, 0),
                        .frame = view};
    event.key = dx_frame_part(view, DX_PART_KEY, &event.key_bytes);
    return flow->options.predicate(flow->options.predicate_context, &event);
}

bool dxi_flow_wants(dxi_flow_t *flow, dxi_incoming_t *incoming)
{
    return (flow->filter == NULL || dxi_filter_passes(flow->filter, dxi_incoming_view(incoming))) &&
           (flow->options.predicate == NULL || predicate_wants(flow, incoming));
}

void dxi_flow_shut(dxi_flow_t *flow)
{
    for (dxi_list_t *at = flow->links.next; at != &flow->links; at = at->next) {
        DXI_LIST_OBJECT(at, dxi_link_t, in_flow)->flags |= DXI_LINK_SHUT;
    }
    flow->link_flags |= DXI_LINK_SHUT;
}

void dxi_subscriber_refused(dxi_subscriber_t *member, int code)
{
    member->room = false;
    if (code == DX_ECLOSED && !member->closed) {
        member->closed = true;
        if (member->flow->team == NULL) {
            dxi_flow_shut(member->flow);
        }
    }
}

void dxi_link_took(dxi_link_t *link, dxi_subscriber_t *member, int code, uint32_t events)
{
    if (DX_LIKELY(code != DXI_DELIVER_DROPPED)) {
        link->topic->delivered += events;
        return;
    }
    link->dropped += events;
    link->topic->dropped += events;
    link->flow->gaps++;
    member->gaps++;
}

int dxi_flow_gap(dxi_shard_t *shard, dxi_flow_t *flow, const dx_gap_t *gap)
{
    for (uint32_t i = 0; i < flow->member_count; i++) {
        dxi_subscriber_t *const member = flow->members[i];
        if (!member->closed &&
            dxi_subscriber_took(member,
                                shard->actions.gap(shard->actions.context, member->user, gap))) {
            member->gaps++;
            return DX_OK;
        }
    }
    return DX_EAGAIN;
}

void dxi_flow_end(dxi_shard_t *shard, dxi_flow_t *flow, int code, const char *sentence)
{
    flow->ended = true;
    dxi_flow_shut(flow);
    dxi_flow_unblock(flow);
    for (uint32_t i = 0; i < flow->member_count; i++) {
        dxi_subscriber_t *const member = flow->members[i];
        if (!member->closed) {
            member->closed = true;
            member->room = false;
            shard->actions.end(shard->actions.context, member->user, code, sentence);
        }
    }
}

/* ---------------------------------------------------------------------------------------- packs */

/* Makes the event `sequence` of a pack a frame of its own, in the shard's memory for it: valid
 * until the next one. The events of a pack are mostly asked for one after the other. */
static void event_unpack(dxi_shard_t *shard, const dx_frame_header_t *pack, uint64_t sequence,
                         dxi_incoming_t *incoming)
{
    if (shard->unpacked.sequence == 0 || shard->unpacked.sequence + 1 != sequence ||
        shard->unpacked.pack != pack) {
        shard->unpacked.pack = pack;
        shard->unpacked.rest = dxi_pack_begin(pack);
        for (uint64_t s = pack->sequence; s < sequence; s++) {
            uint32_t bytes = 0;
            (void)dxi_pack_next(&shard->unpacked.rest, &bytes);
        }
    }
    uint32_t bytes = 0;
    const void *const payload = dxi_pack_next(&shard->unpacked.rest, &bytes);
    dxi_pack_expand(pack, payload, bytes, sequence, shard->unpacked.frame);
    shard->unpacked.sequence = sequence;
    incoming->frame = (dx_frame_header_t *)(void *)shard->unpacked.frame;
    incoming->bytes = dxi_pack_expanded_bytes(pack, bytes);
    incoming->payload_bytes = bytes;
    incoming->sequence = sequence;
    incoming->events = 1;
    incoming->packed = false;
    incoming->viewed = false;
}

/* --------------------------------------------------------------------------------- one event */

/* Offers an event to a link whose turn it is. False: no room. */
static bool link_offer(dxi_shard_t *shard, dxi_link_t *link, dxi_incoming_t *incoming, bool more)
{
    dxi_flow_t *const flow = link->flow;
    if ((link->flags & DXI_LINK_FILTERED) != 0 && !dxi_flow_wants(flow, incoming)) {
        link->filtered++;
        link->topic->filtered++;
        return true;
    }
    if (flow->team != NULL) {
        return !flow->ended && dxi_team_take(shard, link, incoming);
    }
    dxi_subscriber_t *const member = flow->members[0];
    const dxi_delivery_t delivery = {
        .frame = incoming->frame, .bytes = incoming->bytes, .more = more};
    if (member->closed) {
        return false;
    }
    const int code = shard->actions.deliver(shard->actions.context, member->user, &delivery);
    if (!dxi_subscriber_took(member, code)) {
        return false;
    }
    dxi_link_took(link, member, code, 1);
    return true;
}

/* The first event at or behind `next` that a link can still get. Of a pack that is held the topic
 * may keep the last events only. */
static uint64_t first_available(const dxi_shard_t *shard, const dxi_topic_t *topic)
{
    const uint64_t first = topic->retain.first;
    const bool held = shard->held.topic == topic && shard->held.active;
    return held && shard->held.sequence < first ? shard->held.sequence : first;
}

/* Whether somebody is there to be too slow: who is closed leaves soon. */
static bool has_open_member(const dxi_flow_t *flow)
{
    uint32_t i = 0;
    while (i < flow->member_count && flow->members[i]->closed) {
        i++;
    }
    return i < flow->member_count;
}

/* Whether a link has lost events by being slow, and may not. */
static bool link_must_end(const dxi_shard_t *shard, const dxi_link_t *link)
{
    return link->flow->options.slow == DX_SLOW_DISCONNECT && !link->flow->ended &&
           (link->flags & DXI_LINK_STARTING) == 0 &&
           first_available(shard, link->topic) > link->next && has_open_member(link->flow);
}

static void link_end(dxi_shard_t *shard, dxi_link_t *link)
{
    dxi_flow_end(shard, link->flow, DX_ELIMIT,
                 "the subscription was too slow: events that it had not got are not kept any more");
}

/* An event for a link that is not simply LIVE. */
DX_NOINLINE static void link_event(dxi_shard_t *shard, dxi_link_t *link, dxi_incoming_t *incoming)
{
    if ((link->flags & DXI_LINK_LAGGING) != 0) {
        if (link_must_end(shard, link)) {
            link_end(shard, link);
        }
        return;
    }
    if ((link->flags & DXI_LINK_AHEAD) != 0) {
        if (incoming->sequence < link->next) {
            return;
        }
        dxi_link_to_live(link);
    }
    if (!link_offer(shard, link, incoming, false)) {
        dxi_link_to_lagging(link, incoming->sequence);
        shard->slow++;
    }
}

/* The events of a pack, one by one, for a link that does not take them together; from the first on
 * that it could not be given it lags. */
DX_NOINLINE static void link_events(dxi_shard_t *shard, dxi_link_t *link,
                                    const dxi_incoming_t *pack)
{
    shard->unpacked.sequence = 0; /* of other memory, perhaps */
    for (uint32_t i = 0; i < pack->events; i++) {
        dxi_incoming_t one = *pack;
        const uint64_t sequence = pack->sequence + i;
        if ((link->flags & DXI_LINK_AHEAD) != 0) {
            if (sequence < link->next) {
                continue;
            }
            dxi_link_to_live(link);
        }
        if ((link->flags & DXI_LINK_LAGGING) == 0) {
            event_unpack(shard, pack->frame, sequence, &one);
        }
        link_event(shard, link, &one);
        if ((link->flags & DXI_LINK_LAGGING) != 0) {
            return;
        }
    }
}

/* As dxi_topic_deliver(). */
DX_NOINLINE static void pack_deliver(dxi_shard_t *shard, const dxi_incoming_t *pack)
{
    dxi_topic_t *const topic = pack->topic;
    const dxi_delivery_t delivery = {.frame = pack->frame, .bytes = pack->bytes};
    for (uint32_t i = 0; i < topic->link_count; i++) {
        dxi_link_t *const link = topic->links[i];
        int code = DXI_DELIVER_SPLIT;
        if (link->flags == 0) {
            code = shard->actions.deliver(shard->actions.context, link->user, &delivery);
        }
        if (code == DXI_DELIVER_SPLIT) {
            link_events(shard, link, pack);
        } else if (dxi_subscriber_took(link->flow->members[0], code)) {
            dxi_link_took(link, link->flow->members[0], code, pack->events);
        } else {
            dxi_link_to_lagging(link, pack->sequence);
            shard->slow++;
        }
    }
    if (topic->link_count == 0) {
        topic->unheard += pack->events;
    }
}

void dxi_topic_deliver(dxi_shard_t *shard, dxi_incoming_t *incoming)
{
    if (DX_UNLIKELY(incoming->packed)) {
        pack_deliver(shard, incoming);
        return;
    }
    dxi_topic_t *const topic = incoming->topic;
    const dxi_delivery_t delivery = {.frame = incoming->frame, .bytes = incoming->bytes};
    int (*const deliver)(void *, void *, const dxi_delivery_t *) = shard->actions.deliver;
    void *const context = shard->actions.context;
    uint64_t delivered = 0;
    for (uint32_t i = 0; i < topic->link_count; i++) {
        dxi_link_t *const link = topic->links[i];
        if (DX_UNLIKELY(link->flags != 0)) {
            link_event(shard, link, incoming);
            continue;
        }
        const int code = deliver(context, link->user, &delivery);
        if (DX_LIKELY(code == DX_OK)) {
            delivered++;
        } else if (dxi_subscriber_took(link->flow->members[0], code)) {
            dxi_link_took(link, link->flow->members[0], code, 1);
        } else {
            dxi_link_to_lagging(link, incoming->sequence);
            shard->slow++;
        }
    }
    topic->delivered += delivered;
    topic->unheard += topic->link_count == 0;
}

/* -------------------------------------------------------------------------------------- feeding */

/* Tells a link what it can't get any more. False: no room, or that was its end. */
static bool link_skip(dxi_shard_t *shard, dxi_link_t *link)
{
    dxi_topic_t *const topic = link->topic;
    if (link_must_end(shard, link)) {
        link_end(shard, link);
        return false;
    }
    const uint64_t first = first_available(shard, topic);
    const dx_gap_t gap = {.topic = topic->name,
                          .topic_bytes = topic->name_bytes,
                          .shard = shard->number,
                          .first = link->next,
                          .last = first - 1};
    if (dxi_flow_gap(shard, link->flow, &gap) != DX_OK) {
        return false;
    }
    link->flow->gaps++;
    link->flags &= ~(uint32_t)DXI_LINK_STARTING;
    link->dropped += first - link->next;
    topic->dropped += first - link->next;
    link->next = first;
    return true;
}

/* Offers a lagging link the pack that begins with its next event. Returns how many events it took:
 * all of them or 0, where they are to be offered one by one. `*room_out`: it has room for more. */
static uint32_t link_offer_pack(dxi_shard_t *shard, dxi_link_t *link, const dxi_incoming_t *pack,
                                bool *room_out)
{
    *room_out = true;
    if (link->flow->team != NULL || (link->flags & DXI_LINK_FILTERED) != 0 ||
        pack->frame->sequence != link->next || link->flow->members[0]->closed) {
        return 0;
    }
    const dxi_delivery_t delivery = {.frame = pack->frame, .bytes = pack->bytes};
    dxi_subscriber_t *const member = link->flow->members[0];
    const int code = shard->actions.deliver(shard->actions.context, member->user, &delivery);
    if (code == DXI_DELIVER_SPLIT) {
        return 0;
    }
    *room_out = dxi_subscriber_took(member, code);
    if (!*room_out) {
        return 0;
    }
    const uint32_t events = dxi_frame_events(pack->frame);
    dxi_link_took(link, member, code, events);
    return events;
}

/* Offers a lagging link what `incoming` has for it from its next event on. Returns how many events
 * it took; 0: it has no room. */
static uint32_t link_offer_next(dxi_shard_t *shard, dxi_link_t *link, dxi_incoming_t *incoming,
                                bool more)
{
    if (dxi_frame_packed(incoming->frame)) {
        bool room = false;
        const uint32_t events = link_offer_pack(shard, link, incoming, &room);
        if (events != 0 || !room) {
            return events;
        }
        event_unpack(shard, incoming->frame, link->next, incoming);
    }
    return link_offer(shard, link, incoming, more) ? 1 : 0;
}

/* Feeds one link with at most `count` events, or a pack more, which are taken off it. */
static feed_t link_feed(dxi_shard_t *shard, dxi_link_t *link, uint32_t *count)
{
    dxi_topic_t *const topic = link->topic;
    shard->unpacked.sequence = 0; /* of other memory, perhaps */
    while (link->next <= topic->last) {
        dxi_incoming_t incoming = {.topic = topic, .sequence = link->next};
        if (dxi_topic_keeps(topic, link->next)) {
            /* Not written through: a filter and a subscriber only read it. */
            incoming.frame =
                (dx_frame_header_t *)(uintptr_t)dxi_retain_at(&topic->retain, link->next);
        } else if (link->next >= first_available(shard, topic)) {
            incoming.frame = shard->held.frame;
            if (incoming.frame == NULL) {
                return FEED_AWAIT;
            }
        } else {
            if (!link_skip(shard, link)) {
                return FEED_STOP;
            }
            continue;
        }
        if (*count == 0) {
            return FEED_MORE;
        }
        incoming.bytes = dx_frame_header_frame_bytes(incoming.frame);
        const uint32_t taken =
            link_offer_next(shard, link, &incoming, *count > 1 && link->next < topic->last);
        if (taken == 0) {
            return FEED_STOP;
        }
        link->flags &= ~(uint32_t)DXI_LINK_STARTING;
        link->flow->block_since_ns = INT64_MAX; /* it moves */
        link->next += taken;
        *count -= taken < *count ? taken : *count;
    }
    dxi_link_to_live(link);
    return FEED_DONE;
}

void dxi_flow_feed(dxi_shard_t *shard, dxi_flow_t *flow)
{
    dxi_list_remove(&flow->in_feeding);
    const dxi_list_t *awaiting = NULL; /* the link that can't go on for now */
    for (uint32_t fed = 0; !dxi_list_empty(&flow->lagging) && !flow->ended;) {
        dxi_link_t *const link = DXI_LIST_OBJECT(flow->lagging.next, dxi_link_t, in_lagging);
        if (&link->in_lagging == awaiting && flow->lagging.next == flow->lagging.previous) {
            return;
        }
        if (fed >= DXI_FEED_EVENTS_MAX) {
            dxi_list_append(&shard->feeding, &flow->in_feeding);
            return;
        }
        uint32_t left = LINK_BATCH;
        const feed_t result = link_feed(shard, link, &left);
        fed += LINK_BATCH - left;
        if (result == FEED_STOP) {
            return;
        }
        if (result != FEED_DONE) { /* to the end: the next topic's turn */
            awaiting = result == FEED_AWAIT ? &link->in_lagging : awaiting;
            dxi_list_remove(&link->in_lagging);
            dxi_list_append(&flow->lagging, &link->in_lagging);
        }
    }
}

void dxi_topic_skip(dxi_shard_t *shard, dxi_topic_t *topic, uint64_t last)
{
    if (last <= topic->last) {
        return;
    }
    for (uint32_t i = 0; i < topic->link_count; i++) {
        dxi_link_t *const link = topic->links[i];
        const bool ahead = (link->flags & DXI_LINK_AHEAD) != 0;
        if ((link->flags & DXI_LINK_LAGGING) == 0 && (!ahead || link->next <= last)) {
            const uint64_t next = dxi_link_next(link);
            link->flags &= ~(uint32_t)DXI_LINK_AHEAD;
            link->flags |= DXI_LINK_STARTING; /* it is not its fault */
            dxi_link_to_lagging(link, next);
        }
    }
    topic->last = last;
    dxi_retain_skip(&topic->retain, last + 1);
    for (uint32_t i = 0; i < topic->link_count; i++) {
        if ((topic->links[i]->flags & DXI_LINK_LAGGING) != 0) {
            dxi_flow_feed(shard, topic->links[i]->flow);
        }
    }
}

/* ------------------------------------------------------------------------------------- blocking */

bool dxi_topic_blocked(dxi_shard_t *shard, dxi_topic_t *topic, int64_t clock_ns)
{
    for (uint32_t i = 0; i < topic->link_count && topic->blocking != 0; i++) {
        dxi_link_t *const link = topic->links[i];
        dxi_flow_t *const flow = link->flow;
        if ((link->flags & DXI_LINK_BLOCKING) == 0) {
            continue;
        }
        dxi_flow_feed(shard, flow);
        if ((link->flags & DXI_LINK_BLOCKING) == 0) {
            continue;
        }
        if (flow->block_since_ns == INT64_MAX) {
            flow->block_since_ns = clock_ns;
        }
        if (clock_ns - flow->block_since_ns >= flow->options.slow_block_ns) {
            flow->block_over = true;
            dxi_flow_unblock(flow);
        }
    }
    return topic->blocking != 0;
}
