/* link.c - a flow's place in a topic: LIVE, LAGGING, AHEAD.
 *
 *            dxi_link_make()
 *       starts behind |  | from now on          | from a sequence that is to come
 *                     v  v                      v
 *     LAGGING <--------- LIVE <------------- AHEAD
 *        |     no room    ^     it has come
 *        +----------------+
 *         nothing is left
 *
 * Links come from chunks that are kept until the shard ends.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/alloc.h"
#include "bus/shard_internal.h"

#define CHUNK_LINKS 64

typedef struct link_chunk {
    dxi_list_t in_shard;
    dxi_link_t links[CHUNK_LINKS];
} link_chunk_t;

static dxi_link_t *link_take(dxi_shard_t *shard)
{
    if (dxi_list_empty(&shard->free_links)) {
        link_chunk_t *const chunk = dxi_alloc_zeroed(1, sizeof *chunk);
        if (chunk == NULL) {
            return NULL;
        }
        dxi_list_append(&shard->link_chunks, &chunk->in_shard);
        for (int i = 0; i < CHUNK_LINKS; i++) {
            dxi_list_append(&shard->free_links, &chunk->links[i].in_flow);
        }
    }
    dxi_list_t *const place = shard->free_links.next;
    dxi_list_remove(place);
    dxi_link_t *const link = DXI_LIST_OBJECT(place, dxi_link_t, in_flow);
    *link = (dxi_link_t){0};
    return link;
}

void dxi_links_close(dxi_shard_t *shard)
{
    while (!dxi_list_empty(&shard->link_chunks)) {
        dxi_list_t *const place = shard->link_chunks.next;
        dxi_list_remove(place);
        dxi_free(DXI_LIST_OBJECT(place, link_chunk_t, in_shard));
    }
}

static int topic_room(dxi_topic_t *topic)
{
    if (topic->link_count < topic->link_room) {
        return DX_OK;
    }
    const uint32_t room = topic->link_room != 0 ? topic->link_room * 2 : 4;
    dxi_link_t **const larger = dxi_alloc_zeroed(room, sizeof(dxi_link_t *));
    if (larger == NULL) {
        return DX_ENOMEM;
    }
    for (uint32_t i = 0; i < topic->link_count; i++) {
        larger[i] = topic->links[i];
    }
    dxi_free(topic->links);
    topic->links = larger;
    topic->link_room = room;
    return DX_OK;
}

/* Whether the topic is another than the one that the flow goes on in: it was deleted and made anew.
 * Times of a direct topic's events are their publishers', and say nothing. */
static bool is_another(const dxi_flow_t *flow, const dxi_topic_t *topic)
{
    return flow->options.known_ns != 0 &&
           (flow->options.from_value > topic->last + 1 ||
            (topic->direct == NULL && flow->options.known_ns < topic->born_ns));
}

/* The first sequence for a flow in a topic that was there before it. */
static uint64_t start_of(const dxi_flow_t *flow, const dxi_topic_t *topic)
{
    switch (flow->options.from) {
    case DX_FROM_EARLIEST:
        return topic->retain.first;
    case DX_FROM_SEQUENCE:
        return flow->options.from_value == 0 || is_another(flow, topic) ? 1
                                                                        : flow->options.from_value;
    case DX_FROM_TIME:
        return dxi_retain_find(&topic->retain, flow->options.from_value);
    default:
        return topic->last + 1;
    }
}

int dxi_link_make(dxi_shard_t *shard, dxi_flow_t *flow, dxi_topic_t *topic, bool created)
{
    if (topic_room(topic) != DX_OK) {
        return DX_ENOMEM;
    }
    if (topic->direct != NULL && topic->link_count == 0) {
        uint64_t last = 0;
        const int code = shard->actions.direct->join(shard->actions.context, topic->direct, &last);
        if (code != DX_OK) {
            return DX_ENOMEM;
        }
        dxi_topic_skip(shard, topic, last);
    }
    dxi_link_t *const link = link_take(shard);
    if (link == NULL) {
        if (topic->direct != NULL && topic->link_count == 0) {
            shard->actions.direct->leave(shard->actions.context, topic->direct);
        }
        return DX_ENOMEM;
    }
    link->flow = flow;
    link->topic = topic;
    link->topic_index = topic->link_count;
    topic->links[topic->link_count++] = link;
    dxi_list_append(&flow->links, &link->in_flow);
    link->flags = flow->link_flags;
    link->user = flow->member_count != 0 ? flow->members[0]->user : NULL;
    link->start = created ? 1 : start_of(flow, topic);
    if (link->start <= topic->last) {
        link->flags |= DXI_LINK_STARTING;
        dxi_link_to_lagging(link, link->start);
    } else if (link->start > topic->last + 1) {
        link->flags |= DXI_LINK_AHEAD;
        link->next = link->start;
    }
    return DX_OK;
}

/* Its topic waits for it from now on, if that is the flow's policy. */
static void link_block(dxi_link_t *link)
{
    const dxi_flow_t *const flow = link->flow;
    if (flow->options.slow == DX_SLOW_BLOCK && !flow->block_over && !flow->ended &&
        flow->member_count != 0 && (link->flags & DXI_LINK_BLOCKING) == 0) {
        link->flags |= DXI_LINK_BLOCKING;
        link->topic->blocking++;
    }
}

static void link_unblock(dxi_link_t *link)
{
    if ((link->flags & DXI_LINK_BLOCKING) != 0) {
        link->flags &= ~(uint32_t)DXI_LINK_BLOCKING;
        link->topic->blocking--;
    }
}

void dxi_flow_rejoined(dxi_flow_t *flow)
{
    for (dxi_list_t *at = flow->lagging.next; at != &flow->lagging; at = at->next) {
        dxi_link_t *const link = DXI_LIST_OBJECT(at, dxi_link_t, in_lagging);
        link->flags |= DXI_LINK_STARTING;
        link_block(link);
    }
}

void dxi_flow_unblock(dxi_flow_t *flow)
{
    for (dxi_list_t *at = flow->lagging.next; at != &flow->lagging; at = at->next) {
        link_unblock(DXI_LIST_OBJECT(at, dxi_link_t, in_lagging));
    }
    flow->block_since_ns = INT64_MAX;
}

void dxi_link_to_lagging(dxi_link_t *link, uint64_t next)
{
    dxi_flow_t *const flow = link->flow;
    link->flags |= DXI_LINK_LAGGING;
    link->next = next;
    dxi_list_append(&flow->lagging, &link->in_lagging);
    link_block(link);
}

void dxi_link_to_live(dxi_link_t *link)
{
    link_unblock(link);
    link->flags &= ~(uint32_t)(DXI_LINK_LAGGING | DXI_LINK_AHEAD | DXI_LINK_STARTING);
    dxi_list_remove(&link->in_lagging);
    if (dxi_list_empty(&link->flow->lagging)) {
        link->flow->block_over = false;
        link->flow->block_since_ns = INT64_MAX;
    }
}

void dxi_link_forget(dxi_shard_t *shard, dxi_link_t *link)
{
    dxi_topic_t *const topic = link->topic;
    if (link->flow->team != NULL) {
        dxi_team_forget(shard, link);
    }
    if ((link->flags & DXI_LINK_LAGGING) == 0) {
        return;
    }
    const dx_gap_t gap = {.topic = topic->name,
                          .topic_bytes = topic->name_bytes,
                          .shard = shard->number,
                          .first = link->next,
                          .last = topic->last};
    (void)dxi_flow_gap(shard, link->flow, &gap); /* who has no room can't be told later */
    link->dropped += topic->last + 1 - link->next;
    link->next = topic->last + 1;
}

void dxi_link_remove(dxi_shard_t *shard, dxi_link_t *link)
{
    dxi_topic_t *const topic = link->topic;
    dxi_flow_t *const flow = link->flow;
    flow->delivered += dxi_link_delivered(link);
    flow->dropped += link->dropped;
    flow->filtered += link->filtered;
    dxi_link_to_live(link);
    dxi_list_remove(&link->in_flow);
    dxi_link_t *const last = topic->links[--topic->link_count];
    topic->links[link->topic_index] = last;
    last->topic_index = link->topic_index;
    dxi_list_append(&shard->free_links, &link->in_flow);
    if (topic->direct != NULL && topic->link_count == 0) {
        shard->actions.direct->leave(shard->actions.context, topic->direct);
    }
    if (topic->inbox && topic->link_count == 0) {
        dxi_topic_remove(shard, topic);
    }
}
