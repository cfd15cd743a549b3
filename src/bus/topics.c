/* topics.c - the topics of a shard: their table, how they are declared, and their numbers.
 *
 * A topic is found by the XXH3 of its name and then by the name itself; the one that was found last
 * is tried first, because events of one topic often follow each other. A topic stays until it is
 * deleted; an inbox goes with the last that is linked to it (S8).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <string.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "bus/direct_slot.h"
#include "bus/options.h"
#include "bus/shard_internal.h"

#define TABLE_TOPICS_MIN 64
#define INBOX_PREFIX "$inbox."

/* ------------------------------------------------------------------------------------ the table */

int dxi_topics_init(dxi_topics_t *topics)
{
    topics->mask = TABLE_TOPICS_MIN - 1;
    topics->table = dxi_alloc_zeroed(TABLE_TOPICS_MIN, sizeof topics->table[0]);
    return topics->table != NULL ? DX_OK : DX_ENOMEM;
}

DX_INLINE bool topic_is(const dxi_topic_t *topic, const char *name, size_t bytes)
{
    return topic->name_bytes == bytes && memcmp(topic->name, name, bytes) == 0;
}

dxi_topic_t *dxi_topic_find(dxi_topics_t *topics, const char *name, size_t bytes)
{
    if (DX_LIKELY(topics->recent != NULL && topic_is(topics->recent, name, bytes))) {
        return topics->recent;
    }
    const uint64_t hash = XXH3_64bits(name, bytes);
    for (uint64_t i = hash & topics->mask; topics->table[i].topic != NULL;
         i = (i + 1) & topics->mask) {
        if (topics->table[i].hash == hash && topic_is(topics->table[i].topic, name, bytes)) {
            topics->recent = topics->table[i].topic;
            return topics->recent;
        }
    }
    return NULL;
}

static void place_fill(struct dxi_topic_place *table, uint64_t mask, dxi_topic_t *topic)
{
    uint64_t i = topic->hash & mask;
    while (table[i].topic != NULL) {
        i = (i + 1) & mask;
    }
    table[i].hash = topic->hash;
    table[i].topic = topic;
}

static int table_add(dxi_topics_t *topics, dxi_topic_t *topic)
{
    const uint64_t places = topics->mask + 1;
    if ((topics->count + 1) * 2 > places) {
        struct dxi_topic_place *const larger =
            dxi_alloc_zeroed(places * 2, sizeof topics->table[0]);
        if (larger == NULL) {
            return DX_ENOMEM;
        }
        for (uint64_t i = 0; i < places; i++) {
            if (topics->table[i].topic != NULL) {
                place_fill(larger, places * 2 - 1, topics->table[i].topic);
            }
        }
        dxi_free(topics->table);
        topics->table = larger;
        topics->mask = places * 2 - 1;
    }
    place_fill(topics->table, topics->mask, topic);
    topics->count++;
    return DX_OK;
}

/* Those behind the hole move up, so that it cuts no search. */
static void table_remove(dxi_topics_t *topics, const dxi_topic_t *topic)
{
    const uint64_t mask = topics->mask;
    uint64_t hole = topic->hash & mask;
    while (topics->table[hole].topic != topic) {
        hole = (hole + 1) & mask;
    }
    for (uint64_t i = (hole + 1) & mask; topics->table[i].topic != NULL; i = (i + 1) & mask) {
        const uint64_t home = topics->table[i].hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            topics->table[hole] = topics->table[i];
            hole = i;
        }
    }
    topics->table[hole] = (struct dxi_topic_place){0};
    topics->count--;
    topics->recent = NULL;
}

/* -------------------------------------------------------------------------------------- options */

static int options_check(const dxi_shard_t *shard, const dx_topic_options_t *options,
                         dx_error_t *error)
{
    const int code = dxi_topic_options_check(options, error);
    if (code != DX_OK) {
        return code;
    }
    if (options->event_bytes_max > shard->bus.event_bytes_max) {
        return dxi_fail(error, DX_EINVAL, "event_bytes_max is %u, must be at most %u, the bus's",
                        options->event_bytes_max, shard->bus.event_bytes_max);
    }
    uint32_t slot_bytes = 0;
    uint32_t slots = 0;
    return options->direct_bytes != 0 ? dxi_direct_geometry(options, &slot_bytes, &slots, error)
                                      : DX_OK;
}

/* The defaults of the bus in place of what is 0. */
static dx_topic_options_t options_fill(const dxi_shard_t *shard, const dx_topic_options_t *options)
{
    const dx_topic_options_t *const defaults = &shard->bus.topic;
    dx_topic_options_t filled = options != NULL ? *options : *defaults;
    filled.retain_events =
        filled.retain_events != 0 ? filled.retain_events : defaults->retain_events;
    filled.retain_bytes = filled.retain_bytes != 0 ? filled.retain_bytes : defaults->retain_bytes;
    filled.retain_age_ns =
        filled.retain_age_ns != 0 ? filled.retain_age_ns : defaults->retain_age_ns;
    if (filled.event_bytes_max == 0) {
        filled.event_bytes_max =
            filled.direct_bytes != 0 ? DX_DIRECT_EVENT_BYTES : shard->bus.event_bytes_max;
    }
    return filled;
}

static bool options_equal(const dx_topic_options_t *a, const dx_topic_options_t *b)
{
    return a->shard_by == b->shard_by && a->full == b->full &&
           a->retain_events == b->retain_events && a->retain_bytes == b->retain_bytes &&
           a->retain_age_ns == b->retain_age_ns && a->event_bytes_max == b->event_bytes_max &&
           a->direct_bytes == b->direct_bytes;
}

static void options_apply(dxi_shard_t *shard, dxi_topic_t *topic, const dx_topic_options_t *filled)
{
    shard->aged_count -= topic->options.retain_age_ns != 0;
    topic->options = *filled;
    shard->aged_count += topic->options.retain_age_ns != 0;
    topic->event_bytes_max = filled->event_bytes_max;
    topic->ages = filled->retain_age_ns != 0;
    const bool none = topic->inbox || filled->retain_events == DX_RETAIN_NONE; /* S8 */
    /* A direct topic keeps one: it is not in front of the shard when it has to be offered again. */
    const uint64_t least = filled->direct_bytes != 0 ? 1 : 0;
    topic->limits =
        (dxi_retain_limits_t){.events_max = none ? least : filled->retain_events,
                              .bytes_max = none && least == 0 ? 0 : filled->retain_bytes,
                              .memory = shard->memory,
                              .memory_max = shard->bus.retain_bytes_max};
    if (topic->blocking == 0) { /* else with the next event, when nobody is waited for */
        dxi_retain_trim(&topic->retain, &topic->limits);
    }
}

/* --------------------------------------------------------------------------------- make, remove */

static void topic_free(dxi_shard_t *shard, dxi_topic_t *topic)
{
    if (topic->direct != NULL) {
        shard->actions.direct->close(shard->actions.context, topic->direct);
    }
    shard->aged_count -= topic->options.retain_age_ns != 0;
    dxi_retain_close(&topic->retain, &topic->limits);
    dxi_list_remove(&topic->in_active);
    dxi_list_remove(&topic->in_all);
    dxi_free(topic->latency);
    dxi_free(topic->links);
    dxi_free(topic);
}

/* One more topic in the process. Inboxes are not counted: subscriptions bound them. */
static int count_take(dxi_shard_t *shard, dx_error_t *error)
{
    if (dx_fetch_add_relaxed(shard->topic_count, 1) < (int64_t)shard->bus.topics_max) {
        return DX_OK;
    }
    (void)dx_fetch_add_relaxed(shard->topic_count, -1);
    return dxi_fail(error, DX_ELIMIT, "there are %u topics, as many as topics_max allows",
                    shard->bus.topics_max);
}

typedef struct linking {
    dxi_shard_t *shard;
    dxi_topic_t *topic;
} linking_t;

static bool topic_link(void *context, dxi_trie_entry_t *entry)
{
    const linking_t *const linking = context;
    dxi_flow_t *const flow = DXI_LIST_OBJECT(entry, dxi_flow_t, entry);
    return dxi_link_make(linking->shard, flow, linking->topic, true) == DX_OK;
}

static int direct_open(dxi_shard_t *shard, dxi_topic_t *topic, dx_error_t *error)
{
    if (shard->actions.direct == NULL) {
        return dxi_fail(error, DX_ENOTSUP, "there are no direct topics here");
    }
    return shard->actions.direct->open(shard->actions.context, topic->name, topic->name_bytes,
                                       &topic->options, &topic->direct, error);
}

static int table_add_or_say(dxi_topics_t *topics, dxi_topic_t *topic, dx_error_t *error)
{
    const int code = table_add(topics, topic);
    return code == DX_OK ? DX_OK : dxi_fail(error, code, "no memory for a topic");
}

/* The topic itself, in the table, without links. */
static int topic_create(dxi_shard_t *shard, const char *name, size_t bytes,
                        const dx_topic_options_t *options, dxi_topic_t **topic_out,
                        dx_error_t *error)
{
    dxi_topic_t *const topic = dxi_alloc_zeroed(1, sizeof *topic + bytes);
    if (topic == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a topic");
    }
    memcpy(topic->name, name, bytes);
    topic->name_bytes = (uint16_t)bytes;
    topic->hash = XXH3_64bits(name, bytes);
    topic->declared = options != NULL;
    topic->inbox =
        bytes > sizeof INBOX_PREFIX - 1 && memcmp(name, INBOX_PREFIX, sizeof INBOX_PREFIX - 1) == 0;
    dxi_retain_init(&topic->retain);
    const dx_topic_options_t filled = options_fill(shard, options);
    options_apply(shard, topic, &filled);
    int code = topic->inbox ? DX_OK : count_take(shard, error);
    if (code != DX_OK) {
        topic_free(shard, topic);
        return code;
    }
    code = filled.direct_bytes != 0 ? direct_open(shard, topic, error) : DX_OK;
    code = code == DX_OK ? table_add_or_say(&shard->topics, topic, error) : code;
    if (code != DX_OK) {
        if (!topic->inbox) {
            (void)dx_fetch_add_relaxed(shard->topic_count, -1);
        }
        topic_free(shard, topic);
        return code;
    }
    topic->made = ++shard->topics_made;
    topic->born_ns = shard->timestamp_ns;
    dxi_list_append(&shard->all_topics, &topic->in_all);
    *topic_out = topic;
    return DX_OK;
}

int dxi_topic_make(dxi_shard_t *shard, const char *name, size_t bytes,
                   const dx_topic_options_t *options, dxi_topic_t **topic_out, dx_error_t *error)
{
    int code = dxi_topic_check(name, bytes, error);
    if (code != DX_OK) {
        return code;
    }
    dxi_topic_t *topic = NULL;
    code = topic_create(shard, name, bytes, options, &topic, error);
    if (code != DX_OK) {
        return code;
    }
    linking_t linking = {.shard = shard, .topic = topic};
    if (!dxi_trie_match(&shard->trie, name, bytes, topic_link, &linking)) {
        dxi_topic_remove(shard, topic);
        return dxi_fail(error, DX_ENOMEM, "no memory for a topic's subscriptions");
    }
    *topic_out = topic;
    return DX_OK;
}

void dxi_topic_remove(dxi_shard_t *shard, dxi_topic_t *topic)
{
    const bool inbox = topic->inbox;
    topic->inbox = false; /* its last link does not remove it once more */
    while (topic->link_count != 0) {
        dxi_link_t *const link = topic->links[topic->link_count - 1];
        dxi_link_forget(shard, link);
        dxi_link_remove(shard, link);
    }
    if (shard->held.topic == topic) {
        shard->held.topic = NULL;
    }
    table_remove(&shard->topics, topic);
    dxi_totals_gone(shard, topic);
    if (!inbox) {
        (void)dx_fetch_add_relaxed(shard->topic_count, -1);
        shard->timestamp_ns++; /* born_ns of the next one */
    }
    topic_free(shard, topic);
}

void dxi_topics_close(dxi_shard_t *shard)
{
    for (uint64_t i = 0; shard->topics.table != NULL && i <= shard->topics.mask; i++) {
        dxi_topic_t *const topic = shard->topics.table[i].topic;
        if (topic != NULL) {
            (void)dx_fetch_add_relaxed(shard->topic_count, -(int64_t)!topic->inbox);
            topic_free(shard, topic);
        }
    }
    dxi_free(shard->topics.table);
    shard->topics.table = NULL;
}

void dxi_topic_activate(dxi_shard_t *shard, dxi_topic_t *topic)
{
    if (dxi_list_empty(&shard->active)) {
        shard->rated_ns = shard->clock_ns;
    }
    dxi_list_append(&shard->active, &topic->in_active);
    if (topic->latency == NULL) {
        topic->latency = dxi_alloc_zeroed(1, sizeof *topic->latency); /* without: not measured */
    }
}

void dxi_topics_rate(dxi_shard_t *shard, int64_t clock_ns)
{
    const int64_t interval_ns = clock_ns - shard->rated_ns;
    shard->rated_ns = clock_ns;
    for (dxi_list_t *at = shard->active.next; at != &shard->active;) {
        dxi_topic_t *const topic = DXI_LIST_OBJECT(at, dxi_topic_t, in_active);
        at = at->next;
        const bool fading = dxi_rates_tick(&topic->rates, topic->last, interval_ns);
        if (topic->latency != NULL) {
            dxi_totals_interval(shard, topic);
            dxi_latency_turn(topic->latency);
        }
        if (!fading) {
            dxi_list_remove(&topic->in_active);
            dxi_free(topic->latency);
            topic->latency = NULL;
        }
    }
}

void dxi_topic_expire(dxi_topic_t *topic, int64_t unix_ns)
{
    if (topic->blocking != 0) {
        return; /* somebody is waited for who has not had all of it */
    }
    const int64_t oldest = unix_ns - topic->options.retain_age_ns;
    (void)dxi_retain_expire(&topic->retain, oldest > 0 ? (uint64_t)oldest : 0);
}

void dxi_topics_expire(dxi_shard_t *shard, int64_t unix_ns)
{
    for (uint64_t i = 0; i <= shard->topics.mask; i++) {
        dxi_topic_t *const topic = shard->topics.table[i].topic;
        if (topic != NULL && topic->options.retain_age_ns != 0) {
            dxi_topic_expire(topic, unix_ns);
        }
    }
}

/* --------------------------------------------------------------------------------- entry points */

int dxi_shard_topic_create(dxi_shard_t *shard, const char *name, const dx_topic_options_t *options,
                           dx_error_t *error)
{
    if (name == NULL) {
        return dxi_topic_check(NULL, 0, error);
    }
    const dx_topic_options_t none = {0};
    options = options != NULL ? options : &none;
    const int code = options_check(shard, options, error);
    if (code != DX_OK) {
        return code;
    }
    const size_t bytes = strlen(name);
    dxi_topic_t *topic = dxi_topic_find(&shard->topics, name, bytes);
    if (topic == NULL) {
        return dxi_topic_make(shard, name, bytes, options, &topic, error);
    }
    const dx_topic_options_t filled = options_fill(shard, options);
    if (!options_equal(&topic->options, &filled)) {
        return dxi_fail(error, DX_EEXIST, "the topic \"%s\" is there with other options", name);
    }
    topic->declared = true;
    return DX_OK;
}

int dxi_shard_topic_change(dxi_shard_t *shard, const char *name, const dx_topic_options_t *options,
                           dx_error_t *error)
{
    const int code = options_check(shard, options, error);
    if (code != DX_OK) {
        return code;
    }
    dxi_topic_t *const topic = dxi_topic_find(&shard->topics, name, strlen(name));
    if (topic == NULL) {
        return dxi_fail(error, DX_ENOTFOUND, "there is no topic \"%s\"", name);
    }
    if (options->shard_by != topic->options.shard_by) {
        return dxi_fail(error, DX_EINVAL, "shard_by is %d, can't be changed from %d",
                        (int)options->shard_by, (int)topic->options.shard_by);
    }
    dx_topic_options_t filled = options_fill(shard, options);
    if (topic->direct != NULL || options->direct_bytes != 0) {
        if (options->direct_bytes != 0 && options->direct_bytes != topic->options.direct_bytes) {
            return dxi_fail(error, DX_EINVAL, "direct_bytes is %u, can't be changed from %u",
                            options->direct_bytes, topic->options.direct_bytes);
        }
        if (options->event_bytes_max > topic->options.event_bytes_max) {
            return dxi_fail(error, DX_EINVAL,
                            "event_bytes_max is %u, can't be more than the %u that the slots of a "
                            "direct topic have room for",
                            options->event_bytes_max, topic->options.event_bytes_max);
        }
        filled.direct_bytes = topic->options.direct_bytes;
        filled.event_bytes_max = topic->options.event_bytes_max;
    }
    options_apply(shard, topic, &filled);
    topic->declared = true;
    return DX_OK;
}

void dxi_shard_retain_defaults(dxi_shard_t *shard, const dx_topic_options_t *defaults,
                               uint64_t bytes_max)
{
    shard->bus.topic.retain_events = defaults->retain_events;
    shard->bus.topic.retain_bytes = defaults->retain_bytes;
    shard->bus.topic.retain_age_ns = defaults->retain_age_ns;
    shard->bus.retain_bytes_max = bytes_max;
    for (uint64_t i = 0; i <= shard->topics.mask; i++) {
        dxi_topic_t *const topic = shard->topics.table[i].topic;
        if (topic != NULL) {
            const dx_topic_options_t filled =
                topic->declared ? topic->options : options_fill(shard, NULL);
            options_apply(shard, topic, &filled);
        }
    }
}

int dxi_shard_topic_delete(dxi_shard_t *shard, const char *name)
{
    dxi_topic_t *const topic = dxi_topic_find(&shard->topics, name, strlen(name));
    if (topic == NULL) {
        return DX_ENOTFOUND;
    }
    dxi_topic_remove(shard, topic);
    return DX_OK;
}

void dxi_topic_stats_fill(const dxi_shard_t *shard, const dxi_topic_t *topic,
                          dx_topic_stats_t *stats)
{
    *stats = (dx_topic_stats_t){
        .options = topic->options,
        .declared = topic->declared,
        .shard = shard->number,
        .shards = 1,
        .published = topic->last,
        .published_bytes = topic->published_bytes,
        .refused = topic->refused,
        .duplicates = topic->duplicates,
        .delivered = topic->delivered,
        .redelivered = topic->redelivered,
        .dropped = topic->dropped,
        .dead = topic->dead,
        .filtered = topic->filtered,
        .unheard = topic->unheard,
        .first_sequence = topic->retain.first != topic->retain.next ? topic->retain.first : 0,
        .last_sequence = topic->last,
        .retained_events = topic->retain.next - topic->retain.first,
        .retained_bytes = topic->retain.used,
        .subscriptions = topic->link_count,
        .rate_1m = topic->rates.per_s[0],
        .rate_5m = topic->rates.per_s[1],
        .rate_15m = topic->rates.per_s[2],
    };
    if (topic->latency != NULL) {
        stats->latency_p50_ns = dxi_latency_percentile(topic->latency, 0.5);
        stats->latency_p99_ns = dxi_latency_percentile(topic->latency, 0.99);
        stats->latency_max_ns = dxi_latency_max(topic->latency);
    }
    memcpy(stats->name, topic->name, topic->name_bytes);
    for (uint32_t i = 0; i < topic->link_count; i++) {
        const uint64_t lag = dxi_link_lag(topic->links[i]);
        stats->lag_max = lag > stats->lag_max ? lag : stats->lag_max;
    }
    if (topic->direct != NULL) {
        shard->actions.direct->look(shard->actions.context, topic->direct, stats);
    }
}

int dxi_shard_topic_stats(const dxi_shard_t *shard, const char *name, dx_topic_stats_t *stats_out)
{
    dxi_topics_t topics = shard->topics; /* a copy, whose `recent` may change */
    const dxi_topic_t *const topic = dxi_topic_find(&topics, name, strlen(name));
    if (topic == NULL) {
        return DX_ENOTFOUND;
    }
    dxi_topic_stats_fill(shard, topic, stats_out);
    return DX_OK;
}

int dxi_shard_topic_each(const dxi_shard_t *shard, const char *pattern, dx_topic_visitor_t visit,
                         void *context)
{
    int count = 0;
    for (uint64_t i = 0; i <= shard->topics.mask; i++) {
        const dxi_topic_t *const topic = shard->topics.table[i].topic;
        if (topic != NULL &&
            (pattern == NULL ||
             dxi_pattern_matches(pattern, strlen(pattern), topic->name, topic->name_bytes))) {
            dx_topic_stats_t stats;
            dxi_topic_stats_fill(shard, topic, &stats);
            visit(context, &stats);
            count++;
        }
    }
    return count;
}
