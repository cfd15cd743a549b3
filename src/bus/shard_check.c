/* shard_check.c - walks a shard and asserts its invariants. For tests and the simulator.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "bus/team.h"

static void link_check(const dxi_link_t *link)
{
    const dxi_topic_t *const topic = link->topic;
    const bool lagging = (link->flags & DXI_LINK_LAGGING) != 0;
    const bool ahead = (link->flags & DXI_LINK_AHEAD) != 0;
    assert(topic->links[link->topic_index] == link);
    assert(!lagging || !ahead);
    assert(dxi_list_queued(&link->in_lagging) == lagging); /* S2 */
    assert(!lagging || (link->next >= link->start && link->next <= topic->last));
    assert(!ahead || (link->next == link->start && link->next > topic->last));
    assert(lagging || (link->flags & (DXI_LINK_BLOCKING | DXI_LINK_STARTING)) == 0);
    const uint64_t published = topic->last + 1 > link->start ? topic->last + 1 - link->start : 0;
    assert(dxi_link_delivered(link) + link->dropped + link->filtered + link->waiting +
               dxi_link_lag(link) ==
           published); /* S5 */
    assert(dxi_link_delivered(link) <= published);
    (void)lagging;
    (void)ahead;
    (void)published;
}

static void topic_check(const dxi_shard_t *shard, const dxi_topic_t *topic)
{
    uint32_t blocking = 0;
    for (uint32_t i = 0; i < topic->link_count; i++) {
        const dxi_link_t *const link = topic->links[i];
        assert(link->topic == topic && link->topic_index == i);
        assert(dxi_pattern_matches(link->flow->options.pattern, link->flow->pattern_bytes,
                                   topic->name, topic->name_bytes));
        link_check(link);
        blocking += (link->flags & DXI_LINK_BLOCKING) != 0;
    }
    assert(blocking == topic->blocking);             /* S6 */
    assert(topic->retain.next == topic->last + 1);   /* S1 */
    assert(!topic->inbox || topic->link_count != 0); /* S8 */
    assert(!topic->inbox || topic->retain.bytes == NULL);
    dxi_retain_check(&topic->retain, &topic->limits);
    (void)shard;
    (void)blocking;
}

static uint32_t flow_check(const dxi_shard_t *shard, const dxi_flow_t *flow)
{
    uint64_t links = 0;
    for (const dxi_list_t *at = flow->links.next; at != &flow->links; at = at->next) {
        links++;
    }
    uint64_t matching = 0;
    for (uint64_t i = 0; i <= shard->topics.mask; i++) {
        const dxi_topic_t *const topic = shard->topics.table[i].topic;
        matching += topic != NULL && dxi_pattern_matches(flow->options.pattern, flow->pattern_bytes,
                                                         topic->name, topic->name_bytes);
    }
    assert(links == matching);
    if (flow->team != NULL) {
        assert(flow->team->due_ns >= shard->due_ns);
        dxi_team_check(shard, flow->team);
    }
    (void)links;
    (void)matching;
    return flow->member_count;
}

void dxi_shard_check(const dxi_shard_t *shard)
{
    uint64_t topics = 0;
    for (uint64_t i = 0; i <= shard->topics.mask; i++) {
        if (shard->topics.table[i].topic != NULL) {
            topic_check(shard, shard->topics.table[i].topic);
            topics++;
        }
    }
    assert(topics == shard->topics.count);
    assert(topics * 2 <= shard->topics.mask + 1);
    uint32_t subscribers = 0;
    for (const dxi_list_t *at = shard->flows.next; at != &shard->flows; at = at->next) {
        subscribers += flow_check(shard, DXI_LIST_OBJECT(at, dxi_flow_t, in_shard));
    }
    assert(subscribers == shard->subscriber_count);
    dxi_trie_check(&shard->trie);
    dxi_dedup_check(&shard->dedup);
    (void)topics;
    (void)subscribers;
}
