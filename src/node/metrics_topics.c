/* metrics_topics.c - which topics have a label of their own in metrics.
 *
 * DESIGN
 *
 * Labels must have a bound: at most `most` topics are named, the rest is "other". Prometheus takes
 * a counter that falls for a restart, and invents what never happened. So no series here falls:
 *
 *     named topic    counts since it got its name (all of it, when it was there at the first look)
 *     "other"        the total of all topics, those that are gone included, without the named ones
 *
 * A topic that gets a name begins with 0, and "other" keeps what was before. A topic that loses its
 * name, or is deleted, gives what it had counted to "other".
 *
 * Free names go to whoever comes first. When there is none, a topic that is busier than twice the
 * least busy named one takes its name, at most SWAPS_MAX at a look.
 *
 * INVARIANTS
 *
 *   M1  named + "other" = totals, for each counter
 *   M2  no series falls from one look to the next
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "base/alloc.h"
#include "node/metrics.h"

#define SWAPS_MAX 16

/* A topic with a name. Sorted by it. */
typedef struct named {
    char name[DX_TOPIC_BYTES_MAX + 1];
    uint64_t base[DXI_METRICS_COUNTS]; /* of the topic, when it got its name */
    dxi_metrics_topic_t shown;
    bool seen;
} named_t;

/* One that may get a name. */
typedef struct candidate {
    char name[DX_TOPIC_BYTES_MAX + 1];
    uint64_t counts[DXI_METRICS_COUNTS];
    uint32_t subscriptions;
    double rate_1m;
} candidate_t;

struct dxi_metrics_topics {
    named_t **named; /* room for DXI_METRICS_TOPICS_MAX */
    size_t count;
    uint32_t most;
    bool looked;                       /* once at least */
    bool shrunk;                       /* names were taken in this look: none is given, see M2 */
    size_t at;                         /* where the next name of the look is expected */
    candidate_t candidates[SWAPS_MAX]; /* the busiest without a name, the busiest first */
    size_t candidate_count;
    dxi_metrics_topic_t other;
};

dxi_metrics_topics_t *dxi_metrics_topics_create(void)
{
    dxi_metrics_topics_t *const topics = dxi_alloc_zeroed(1, sizeof *topics);
    named_t **const named =
        topics == NULL ? NULL : dxi_alloc_zeroed(DXI_METRICS_TOPICS_MAX, sizeof(named_t *));
    if (named == NULL) {
        dxi_free(topics);
        return NULL;
    }
    topics->named = named;
    return topics;
}

void dxi_metrics_topics_destroy(dxi_metrics_topics_t *topics)
{
    if (topics != NULL) {
        for (size_t i = 0; i < topics->count; i++) {
            dxi_free(topics->named[i]);
        }
        dxi_free(topics->named);
        dxi_free(topics);
    }
}

/* --------------------------------------------------------------------------------------- names */

static void name_remove(dxi_metrics_topics_t *topics, size_t index)
{
    dxi_free(topics->named[index]);
    topics->count--;
    memmove(&topics->named[index], &topics->named[index + 1],
            (topics->count - index) * sizeof(named_t *));
}

/* A name for a topic, at its place. Without memory it stays in "other". */
static void name_add(dxi_metrics_topics_t *topics, const candidate_t *topic, bool whole)
{
    named_t *const named = dxi_alloc_zeroed(1, sizeof *named);
    if (named == NULL) {
        return;
    }
    size_t at = topics->count;
    while (at > 0 && strcmp(topics->named[at - 1]->name, topic->name) > 0) {
        at--;
    }
    memmove(&topics->named[at + 1], &topics->named[at], (topics->count - at) * sizeof(named_t *));
    topics->named[at] = named;
    topics->count++;
    memcpy(named->name, topic->name, sizeof named->name);
    named->seen = true;
    named->shown.name = named->name;
    named->shown.subscriptions = topic->subscriptions;
    named->shown.rate_1m = topic->rate_1m;
    for (size_t i = 0; i < DXI_METRICS_COUNTS; i++) {
        named->base[i] = whole ? 0 : topic->counts[i];
        named->shown.counts[i] = topic->counts[i] - named->base[i];
    }
}

static void candidate_fill(candidate_t *candidate, const dx_topic_stats_t *stats)
{
    memcpy(candidate->name, stats->name, sizeof candidate->name);
    candidate->counts[DXI_METRICS_RECEIVED] = stats->published;
    candidate->counts[DXI_METRICS_DELIVERED] = stats->delivered;
    candidate->counts[DXI_METRICS_REDELIVERED] = stats->redelivered;
    candidate->counts[DXI_METRICS_DROPPED] = stats->dropped;
    candidate->counts[DXI_METRICS_REFUSED] = stats->refused;
    candidate->counts[DXI_METRICS_DEAD] = stats->dead;
    candidate->counts[DXI_METRICS_BYTES] = stats->published_bytes;
    candidate->subscriptions = stats->subscriptions;
    candidate->rate_1m = stats->rate_1m;
}

/* Among the busiest, if it is. */
static void candidate_offer(dxi_metrics_topics_t *topics, const candidate_t *candidate)
{
    size_t at = topics->candidate_count;
    while (at > 0 && topics->candidates[at - 1].rate_1m < candidate->rate_1m) {
        at--;
    }
    if (at == SWAPS_MAX) {
        return;
    }
    topics->candidate_count += topics->candidate_count < SWAPS_MAX;
    memmove(&topics->candidates[at + 1], &topics->candidates[at],
            (topics->candidate_count - 1 - at) * sizeof topics->candidates[0]);
    topics->candidates[at] = *candidate;
}

/* The least busy of the named. */
static size_t least_busy(const dxi_metrics_topics_t *topics)
{
    size_t least = 0;
    for (size_t i = 1; i < topics->count; i++) {
        if (topics->named[i]->shown.rate_1m < topics->named[least]->shown.rate_1m) {
            least = i;
        }
    }
    return least;
}

/* ---------------------------------------------------------------------------------------- looks */

void dxi_metrics_topics_begin(dxi_metrics_topics_t *topics, uint32_t most)
{
    topics->most = most;
    topics->at = 0;
    topics->candidate_count = 0;
    memset(&topics->other, 0, sizeof topics->other);
    topics->other.name = "other";
    topics->shrunk = topics->count > most;
    while (topics->count > most) {
        name_remove(topics, least_busy(topics));
    }
    for (size_t i = 0; i < topics->count; i++) {
        topics->named[i]->seen = false;
    }
}

/* Topic counters can fall when a topic is deleted and made anew: then it counts from 0 again. */
static void named_see(named_t *named, const candidate_t *topic)
{
    named->seen = true;
    named->shown.subscriptions = topic->subscriptions;
    named->shown.rate_1m = topic->rate_1m;
    for (size_t i = 0; i < DXI_METRICS_COUNTS; i++) {
        if (topic->counts[i] < named->base[i] + named->shown.counts[i]) {
            named->seen = false; /* another topic of the same name: it gets its name anew */
        }
    }
    for (size_t i = 0; i < DXI_METRICS_COUNTS && named->seen; i++) {
        named->shown.counts[i] = topic->counts[i] - named->base[i];
    }
}

void dxi_metrics_topics_see(dxi_metrics_topics_t *topics, const dx_topic_stats_t *stats)
{
    static const char INBOX[] = "$inbox.";
    candidate_t topic;
    candidate_fill(&topic, stats);
    if (strcmp(topic.name, "other") == 0 || strncmp(topic.name, INBOX, sizeof INBOX - 1) == 0) {
        topics->other.subscriptions += topic.subscriptions;
        return; /* never a name: it is taken, or gone in a moment */
    }
    while (topics->at < topics->count && strcmp(topics->named[topics->at]->name, topic.name) < 0) {
        topics->at++;
    }
    if (topics->at < topics->count && strcmp(topics->named[topics->at]->name, topic.name) == 0) {
        named_see(topics->named[topics->at], &topic);
        return;
    }
    if (topics->count < topics->most) {
        name_add(topics, &topic, !topics->looked);
        return;
    }
    topics->other.subscriptions += topic.subscriptions;
    if (topics->most != 0) {
        candidate_offer(topics, &topic);
    }
}

void dxi_metrics_topics_end(dxi_metrics_topics_t *topics, const uint64_t totals[DXI_METRICS_COUNTS])
{
    for (size_t i = topics->count; i > 0; i--) {
        if (!topics->named[i - 1]->seen) {
            name_remove(topics, i - 1);
        }
    }
    for (size_t i = 0; i < topics->candidate_count && !topics->shrunk; i++) {
        if (topics->count >= topics->most) {
            const size_t least = topics->count != 0 ? least_busy(topics) : 0;
            if (topics->count == 0 ||
                topics->candidates[i].rate_1m <= 2 * topics->named[least]->shown.rate_1m + 1) {
                break;
            }
            topics->other.subscriptions += topics->named[least]->shown.subscriptions;
            name_remove(topics, least);
        }
        topics->other.subscriptions -= topics->candidates[i].subscriptions;
        name_add(topics, &topics->candidates[i], false);
    }
    for (size_t i = 0; i < DXI_METRICS_COUNTS; i++) { /* M1 */
        uint64_t sum = 0;
        for (size_t j = 0; j < topics->count; j++) {
            sum += topics->named[j]->shown.counts[i];
        }
        topics->other.counts[i] = totals[i] > sum ? totals[i] - sum : 0;
    }
    topics->looked = true;
}

const dxi_metrics_topic_t *dxi_metrics_topics_at(const dxi_metrics_topics_t *topics, size_t index)
{
    if (index < topics->count) {
        return &topics->named[index]->shown;
    }
    return index == topics->count ? &topics->other : NULL;
}
