/* shard_totals.c - what all topics of a shard have counted, and a walk over them in steps.
 *
 * DESIGN
 *
 * Nothing is counted twice on an event's way: the sums of a shard are those of its topics, and of
 * those that are gone. Whoever wants them walks over the topics, a few at a time, so that the shard
 * goes on between two steps however many there are.
 *
 *     all_topics   1  2  3 | 5  6  7        met: 1 to 3, `made` is 4 (topic 4 is gone)
 *                          '-- walk->topic
 *
 * Durations are added up where intervals of a topic end, every five seconds or so.
 *
 * INVARIANTS
 *
 *   W1  topics stand in all_topics in the order of `made`, and a walk has met those before its own
 *   W2  at the end of a walk its sums are those of topics that are there, + gone - again: each
 *       event once, so sums never fall
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "bus/shard_internal.h"

/* The list of walks; the struct of shard.h has no list of ours in it. */
DX_INLINE dxi_shard_walk_t *walk_of(dxi_list_t *place)
{
    return DXI_LIST_OBJECT(place, dxi_shard_walk_t, in_shard);
}
_Static_assert(sizeof(dxi_list_t) == sizeof(((dxi_shard_walk_t *)0)->in_shard),
               "a place in a list");

DX_INLINE dxi_list_t *place_of(dxi_shard_walk_t *walk)
{
    return (dxi_list_t *)(void *)&walk->in_shard;
}

static void sums_add(dxi_shard_sums_t *sums, const dxi_topic_t *topic)
{
    sums->published += topic->last;
    sums->published_bytes += topic->published_bytes;
    sums->refused += topic->refused;
    sums->duplicates += topic->duplicates;
    sums->delivered += topic->delivered;
    sums->redelivered += topic->redelivered;
    sums->dropped += topic->dropped;
    sums->dead += topic->dead;
    sums->filtered += topic->filtered;
    sums->unheard += topic->unheard;
}

/* sums += plus - minus */
static void sums_move(dxi_shard_sums_t *sums, const dxi_shard_sums_t *plus,
                      const dxi_shard_sums_t *minus)
{
    sums->published += plus->published - minus->published;
    sums->published_bytes += plus->published_bytes - minus->published_bytes;
    sums->refused += plus->refused - minus->refused;
    sums->duplicates += plus->duplicates - minus->duplicates;
    sums->delivered += plus->delivered - minus->delivered;
    sums->redelivered += plus->redelivered - minus->redelivered;
    sums->dropped += plus->dropped - minus->dropped;
    sums->dead += plus->dead - minus->dead;
    sums->filtered += plus->filtered - minus->filtered;
    sums->unheard += plus->unheard - minus->unheard;
}

void dxi_totals_interval(dxi_shard_t *shard, dxi_topic_t *topic)
{
    const uint32_t *const counts = topic->latency->counts[topic->latency->current];
    const bool heard = topic->unheard == topic->unheard_seen;
    topic->unheard_seen = topic->unheard;
    for (uint32_t i = 0; i < DXI_LATENCY_CLASSES; i++) {
        shard->durations.taken[i] += counts[i];
        shard->durations.handed[i] += heard ? counts[i] : 0;
    }
}

void dxi_totals_gone(dxi_shard_t *shard, dxi_topic_t *topic)
{
    sums_add(&shard->gone, topic);
    if (topic->latency != NULL) {
        dxi_totals_interval(shard, topic);
    }
    for (dxi_list_t *at = shard->walks.next; at != &shard->walks; at = at->next) {
        dxi_shard_walk_t *const walk = walk_of(at);
        if (topic->made < walk->made) {
            sums_add(&walk->again, topic);
        } else if (walk->topic == topic) {
            const dxi_list_t *const next = topic->in_all.next;
            walk->topic =
                next == &shard->all_topics ? NULL : DXI_LIST_OBJECT(next, dxi_topic_t, in_all);
        }
    }
}

/* ---------------------------------------------------------------------------------------- walks */

void dxi_shard_walk_begin(dxi_shard_t *shard, dxi_shard_walk_t *walk)
{
    *walk = (dxi_shard_walk_t){.topic = NULL};
    if (!dxi_list_empty(&shard->all_topics)) {
        walk->topic = DXI_LIST_OBJECT(shard->all_topics.next, dxi_topic_t, in_all);
    }
    dxi_list_append(&shard->walks, place_of(walk));
}

void dxi_shard_walk_end(dxi_shard_walk_t *walk)
{
    dxi_list_remove(place_of(walk));
}

/* One that is spread by key is in every shard, and counts in the first. */
static bool counts_here(const dxi_shard_t *shard, const dxi_topic_t *topic)
{
    return !topic->inbox && (shard->number == 0 || topic->options.shard_by != DX_SHARD_BY_KEY);
}

static void topic_add(dxi_shard_totals_t *totals, const dxi_shard_t *shard,
                      const dxi_topic_t *topic)
{
    sums_add(&totals->sums, topic);
    totals->topics += counts_here(shard, topic);
    totals->links += topic->link_count;
    totals->retained_events += topic->retain.next - topic->retain.first;
    totals->retained_bytes += topic->retain.used;
    totals->rate_1m += topic->rates.per_s[0];
    const dxi_latency_t *const latency = topic->latency;
    if (latency != NULL) {
        for (uint32_t i = 0; i < DXI_LATENCY_CLASSES; i++) {
            totals->recent[i] += (uint64_t)latency->counts[0][i] + latency->counts[1][i];
        }
        const int64_t max_ns = dxi_latency_max(latency);
        totals->recent_max_ns = max_ns > totals->recent_max_ns ? max_ns : totals->recent_max_ns;
    }
}

/* What belongs to no topic. */
static void rest_add(const dxi_shard_t *shard, const dxi_shard_walk_t *walk,
                     dxi_shard_totals_t *totals)
{
    sums_move(&totals->sums, &shard->gone, &walk->again); /* W2 */
    totals->sums.refused += shard->refused;
    totals->slow += shard->slow;
    totals->dead_lost += shard->dead_lost;
    for (uint32_t i = 0; i < DXI_LATENCY_CLASSES; i++) {
        totals->durations.taken[i] += shard->durations.taken[i];
        totals->durations.handed[i] += shard->durations.handed[i];
    }
}

bool dxi_shard_walk_step(dxi_shard_t *shard, dxi_shard_walk_t *walk, uint32_t most,
                         dxi_shard_totals_t *totals, const char *pattern, dx_topic_visitor_t visit,
                         void *context)
{
    const size_t pattern_bytes = pattern != NULL ? strlen(pattern) : 0;
    for (uint32_t i = 0; i < most && walk->topic != NULL; i++) {
        const dxi_topic_t *const topic = walk->topic;
        topic_add(totals, shard, topic);
        if (visit != NULL &&
            (pattern == NULL ||
             dxi_pattern_matches(pattern, pattern_bytes, topic->name, topic->name_bytes))) {
            dx_topic_stats_t stats;
            dxi_topic_stats_fill(shard, topic, &stats);
            visit(context, &stats);
        }
        const dxi_list_t *const next = topic->in_all.next;
        walk->made = topic->made + 1;
        walk->topic =
            next == &shard->all_topics ? NULL : DXI_LIST_OBJECT(next, dxi_topic_t, in_all);
    }
    if (walk->topic != NULL) {
        return true;
    }
    rest_add(shard, walk, totals);
    dxi_shard_walk_end(walk);
    return false;
}
