/* subscribe.c - flows come and go.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "base/options.h"
#include "bus/team.h"

#define NS_PER_S INT64_C(1000000000)
#define SLOW_BLOCK_NS NS_PER_S
#define PENDING_EVENTS 1024
#define ATTEMPTS 5
#define ACK_TIMEOUT_NS (30 * NS_PER_S)
#define BACKOFF_NS (NS_PER_S / 10)
#define BACKOFF_MAX_NS (10 * NS_PER_S)
#define TIME_NS_MAX (INT64_MAX / 4) /* 73 years: doubled, and behind any time of a clock, it fits */

/* -------------------------------------------------------------------------------------- options */

static int choices_check(const dx_subscription_options_t *o, dx_error_t *error)
{
    const struct {
        const char *name;
        uint32_t value;
        uint32_t most;
    } choices[] = {{"from", (uint32_t)o->from, DX_FROM_TIME},
                   {"ack", (uint32_t)o->ack, DX_ACK_EXPLICIT},
                   {"slow", (uint32_t)o->slow, DX_SLOW_DISCONNECT},
                   {"dispatch", (uint32_t)o->dispatch, DX_DISPATCH_SHARD}};
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        if (choices[i].value > choices[i].most) {
            return dxi_fail(error, DX_EINVAL, "%s is %d, must be from 0 to %u", choices[i].name,
                            (int)choices[i].value, choices[i].most);
        }
    }
    return DX_OK;
}

static int times_check(const dx_subscription_options_t *o, dx_error_t *error)
{
    const struct {
        const char *name;
        int64_t value;
    } times[] = {{"slow_block_ns", o->slow_block_ns},
                 {"ack_timeout_ns", o->ack_timeout_ns},
                 {"backoff_ns", o->backoff_ns},
                 {"backoff_max_ns", o->backoff_max_ns}};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        if (times[i].value < 0) {
            return dxi_fail(error, DX_EINVAL, "%s is %lld, must not be negative", times[i].name,
                            (long long)times[i].value);
        }
    }
    return DX_OK;
}

static int texts_check(const dx_subscription_options_t *o, dx_error_t *error)
{
    int code = dxi_pattern_check(o->pattern, o->pattern != NULL ? strlen(o->pattern) : 0, error);
    if (code == DX_OK && o->dead_letter != NULL) {
        code = dxi_topic_check(o->dead_letter, strlen(o->dead_letter), error);
    }
    if (code == DX_OK && o->group != NULL &&
        (o->group[0] == '\0' || strlen(o->group) > DX_GROUP_BYTES_MAX)) {
        code = dxi_fail(error, DX_EINVAL, "the group's name has %zu bytes, must have from 1 to %d",
                        strlen(o->group), DX_GROUP_BYTES_MAX);
    }
    return code;
}

static int options_check(const dx_subscription_options_t *o, dx_error_t *error)
{
    int code = texts_check(o, error);
    code = code == DX_OK ? choices_check(o, error) : code;
    code = code == DX_OK ? times_check(o, error) : code;
    if (code != DX_OK) {
        return code;
    }
    if (o->pending_events_max > DX_PENDING_EVENTS_MAX) {
        return dxi_fail(error, DX_EINVAL, "pending_events_max is %u, must be at most %d",
                        o->pending_events_max, DX_PENDING_EVENTS_MAX);
    }
    if (o->attempts_max > DX_ATTEMPTS_MAX) {
        return dxi_fail(error, DX_EINVAL, "attempts_max is %u, must be at most %d", o->attempts_max,
                        DX_ATTEMPTS_MAX);
    }
    for (size_t i = 0; i < sizeof o->reserved / sizeof o->reserved[0]; i++) {
        if (o->reserved[i] != 0) {
            return dxi_fail(error, DX_EINVAL, "reserved[%zu] is not zero", i);
        }
    }
    return DX_OK;
}

static int64_t time_of(int64_t asked_ns, int64_t default_ns)
{
    return asked_ns == 0 ? default_ns : asked_ns < TIME_NS_MAX ? asked_ns : TIME_NS_MAX;
}

static void options_keep(dxi_flow_t *flow, const dx_subscription_options_t *o)
{
    char *room = flow->texts;
    const bool no_ack = o->ack == DX_ACK_DEFAULT && o->group == NULL;
    flow->options = (dxi_flow_options_t){
        .pattern = dxi_text_keep(&room, o->pattern),
        .group = dxi_text_keep(&room, o->group),
        .dead_letter = dxi_text_keep(&room, o->dead_letter),
        .filter_text = dxi_text_keep(&room, o->filter),
        .from = o->from,
        .from_value = o->from_value,
        .ack = no_ack                     ? DX_ACK_NONE
               : o->ack == DX_ACK_DEFAULT ? DX_ACK_AUTO
                                          : o->ack,
        .slow = o->slow,
        .slow_block_ns = time_of(o->slow_block_ns, SLOW_BLOCK_NS),
        .predicate = o->predicate,
        .predicate_context = o->context,
        .pending_events_max = o->pending_events_max != 0 ? o->pending_events_max : PENDING_EVENTS,
        .attempts_max = o->attempts_max != 0 ? o->attempts_max : ATTEMPTS,
        .ack_timeout_ns = time_of(o->ack_timeout_ns, ACK_TIMEOUT_NS),
        .backoff_ns = time_of(o->backoff_ns, BACKOFF_NS),
        .backoff_max_ns = time_of(o->backoff_max_ns, BACKOFF_MAX_NS),
    };
    flow->pattern_bytes = (uint32_t)strlen(flow->options.pattern);
    flow->link_flags = o->predicate != NULL || o->filter != NULL ? DXI_LINK_FILTERED : 0;
    if (o->group != NULL || flow->options.ack != DX_ACK_NONE) {
        flow->link_flags |= DXI_LINK_GROUP;
    }
}

/* ---------------------------------------------------------------------------------------- flows */

static dxi_subscriber_t *subscriber_create(const dxi_subscribe_t *subscribe)
{
    dxi_subscriber_t *const subscriber = dxi_alloc_zeroed(1, sizeof *subscriber);
    if (subscriber != NULL) {
        subscriber->user = subscribe->user;
        subscriber->room = true;
        subscriber->remote = subscribe->remote;
        subscriber->member_id = subscribe->group_member_id;
        const char *const name = subscribe->options->name;
        (void)snprintf(subscriber->name, sizeof subscriber->name, "%s", name != NULL ? name : "");
    }
    return subscriber;
}

static int flow_add_member(dxi_flow_t *flow, dxi_subscriber_t *subscriber)
{
    if (flow->member_count == flow->member_room) {
        const uint32_t room = flow->member_room != 0 ? flow->member_room * 2 : 1;
        dxi_subscriber_t **const larger = dxi_alloc_zeroed(room, sizeof(dxi_subscriber_t *));
        if (larger == NULL) {
            return DX_ENOMEM;
        }
        for (uint32_t i = 0; i < flow->member_count; i++) {
            larger[i] = flow->members[i];
        }
        dxi_free(flow->members);
        flow->members = larger;
        flow->member_room = room;
    }
    flow->members[flow->member_count++] = subscriber;
    subscriber->flow = flow;
    return DX_OK;
}

static void flow_free(dxi_shard_t *shard, dxi_flow_t *flow)
{
    dxi_team_close(shard, flow);
    while (!dxi_list_empty(&flow->links)) {
        dxi_link_remove(shard, DXI_LIST_OBJECT(flow->links.next, dxi_link_t, in_flow));
    }
    dxi_trie_remove(&shard->trie, &flow->entry);
    dxi_list_remove(&flow->in_feeding);
    dxi_list_remove(&flow->in_shard);
    dxi_filter_destroy(flow->filter);
    dxi_free(flow->members);
    dxi_free(flow);
}

/* Links the flow to the topics that are there. */
static int flow_link(dxi_shard_t *shard, dxi_flow_t *flow)
{
    const char *const pattern = flow->options.pattern;
    if (strpbrk(pattern, "*>") == NULL) {
        dxi_topic_t *const topic = dxi_topic_find(&shard->topics, pattern, flow->pattern_bytes);
        return topic != NULL ? dxi_link_make(shard, flow, topic, false) : DX_OK;
    }
    for (uint64_t i = 0; i <= shard->topics.mask; i++) {
        dxi_topic_t *const topic = shard->topics.table[i].topic;
        if (topic != NULL &&
            dxi_pattern_matches(pattern, flow->pattern_bytes, topic->name, topic->name_bytes) &&
            dxi_link_make(shard, flow, topic, false) != DX_OK) {
            return DX_ENOMEM;
        }
    }
    return DX_OK;
}

static dxi_flow_t *flow_create(dxi_shard_t *shard, const dx_subscription_options_t *options)
{
    const size_t texts = dxi_text_bytes(options->pattern) + dxi_text_bytes(options->group) +
                         dxi_text_bytes(options->dead_letter) + dxi_text_bytes(options->filter);
    dxi_flow_t *const flow = dxi_alloc_zeroed(1, sizeof *flow + texts);
    if (flow != NULL) {
        flow->shard = shard;
        flow->block_since_ns = INT64_MAX;
        dxi_list_init(&flow->links);
        dxi_list_init(&flow->lagging);
        options_keep(flow, options);
        dxi_list_append(&shard->flows, &flow->in_shard);
    }
    return flow;
}

/* A new flow, with its first member. */
static int flow_open(dxi_shard_t *shard, const dxi_subscribe_t *subscribe,
                     dxi_subscriber_t *subscriber, dx_error_t *error)
{
    dxi_flow_t *const flow = flow_create(shard, subscribe->options);
    if (flow == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a subscription");
    }
    flow->options.known_ns = subscribe->known_ns;
    const char *const filter = flow->options.filter_text;
    const int code =
        filter != NULL ? dxi_filter_create(filter, strlen(filter), &flow->filter, error) : DX_OK;
    if (code != DX_OK) {
        flow_free(shard, flow);
        return code;
    }
    const bool shares = (flow->link_flags & DXI_LINK_GROUP) != 0;
    if (flow_add_member(flow, subscriber) != DX_OK ||
        (shares && dxi_team_open(shard, flow) != DX_OK) ||
        dxi_trie_add(&shard->trie, flow->options.pattern, flow->pattern_bytes, &flow->entry) !=
            DX_OK ||
        flow_link(shard, flow) != DX_OK) {
        flow_free(shard, flow);
        return dxi_fail(error, DX_ENOMEM, "no memory for a subscription");
    }
    if (!dxi_list_empty(&flow->lagging)) {
        dxi_list_append(&shard->feeding, &flow->in_feeding); /* fed in the next tick */
    }
    return DX_OK;
}

/* The flow of a group that is there already; NULL: none. */
static dxi_flow_t *group_find(const dxi_shard_t *shard, const dx_subscription_options_t *options)
{
    for (dxi_list_t *at = shard->teams.next; options->group != NULL && at != &shard->teams;
         at = at->next) {
        dxi_flow_t *const flow = DXI_LIST_OBJECT(at, dxi_team_t, in_shard)->flow;
        if (!flow->ended && flow->options.group != NULL &&
            strcmp(flow->options.group, options->group) == 0 &&
            strcmp(flow->options.pattern, options->pattern) == 0) {
            return flow;
        }
    }
    return NULL;
}

static bool texts_differ(const char *a, const char *b)
{
    return (a == NULL) != (b == NULL) || (a != NULL && strcmp(a, b) != 0);
}

/* What members of one group must have in common, and don't; NULL: nothing. */
static const char *options_differ(const dxi_flow_options_t *a, const dxi_flow_options_t *b)
{
    return a->ack != b->ack                                 ? "ack"
           : a->slow != b->slow                             ? "slow"
           : a->slow_block_ns != b->slow_block_ns           ? "slow_block_ns"
           : a->predicate != b->predicate                   ? "predicate"
           : texts_differ(a->filter_text, b->filter_text)   ? "filter"
           : texts_differ(a->dead_letter, b->dead_letter)   ? "dead_letter"
           : a->pending_events_max != b->pending_events_max ? "pending_events_max"
           : a->attempts_max != b->attempts_max             ? "attempts_max"
           : a->ack_timeout_ns != b->ack_timeout_ns         ? "ack_timeout_ns"
           : a->backoff_ns != b->backoff_ns                 ? "backoff_ns"
           : a->backoff_max_ns != b->backoff_max_ns         ? "backoff_max_ns"
                                                            : NULL;
}

static int group_join(dxi_shard_t *shard, dxi_flow_t *flow, const dxi_subscribe_t *subscribe,
                      dxi_subscriber_t *subscriber, dx_error_t *error)
{
    dxi_flow_t *const wanted = flow_create(shard, subscribe->options);
    if (wanted == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a subscription");
    }
    const char *const difference = options_differ(&flow->options, &wanted->options);
    flow_free(shard, wanted);
    if (difference != NULL) {
        return dxi_fail(error, DX_EINVAL, "%s differs from that of the other members of group %s",
                        difference, flow->options.group);
    }
    if (flow->member_count >= DX_GROUP_MEMBERS_MAX) {
        return dxi_fail(error, DX_ELIMIT, "the group %s has %u members, may have at most %d",
                        flow->options.group, flow->member_count, DX_GROUP_MEMBERS_MAX);
    }
    return flow_add_member(flow, subscriber) == DX_OK
               ? DX_OK
               : dxi_fail(error, DX_ENOMEM, "no memory for a member");
}

static int subscriber_place(dxi_shard_t *shard, const dxi_subscribe_t *subscribe,
                            dxi_subscriber_t *subscriber, int64_t clock_ns, dx_error_t *error)
{
    dxi_flow_t *const flow = group_find(shard, subscribe->options);
    const int code = flow != NULL ? group_join(shard, flow, subscribe, subscriber, error)
                                  : flow_open(shard, subscribe, subscriber, error);
    if (code == DX_OK && subscriber->flow->team != NULL) {
        dxi_team_joined(shard, subscriber->flow->team, clock_ns);
    }
    return code;
}

int dxi_shard_subscribe(dxi_shard_t *shard, const dxi_subscribe_t *subscribe, int64_t clock_ns,
                        dxi_subscriber_t **subscriber_out, dx_error_t *error)
{
    *subscriber_out = NULL;
    clock_ns = dxi_shard_now(shard, clock_ns);
    int code = options_check(subscribe->options, error);
    if (code != DX_OK) {
        return code;
    }
    if (shard->subscriber_count >= shard->bus.subscriptions_max) {
        return dxi_fail(error, DX_ELIMIT,
                        "there are %u subscriptions, as many as subscriptions_max allows",
                        shard->subscriber_count);
    }
    dxi_subscriber_t *const subscriber = subscriber_create(subscribe);
    if (subscriber == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a subscription");
    }
    code = subscriber_place(shard, subscribe, subscriber, clock_ns, error);
    if (code != DX_OK) {
        dxi_free(subscriber);
        return code;
    }
    shard->subscriber_count++;
    *subscriber_out = subscriber;
    return DX_OK;
}

static void member_remove(dxi_flow_t *flow, const dxi_subscriber_t *member)
{
    uint32_t i = 0;
    while (flow->members[i] != member) {
        i++;
    }
    flow->members[i] = flow->members[--flow->member_count];
}

void dxi_shard_unsubscribe(dxi_shard_t *shard, dxi_subscriber_t *subscriber, int64_t clock_ns)
{
    dxi_flow_t *const flow = subscriber->flow;
    clock_ns = dxi_shard_now(shard, clock_ns);
    member_remove(flow, subscriber);
    shard->subscriber_count--;
    const bool lingers = flow->options.group != NULL && !flow->ended;
    if (flow->member_count == 0 && !lingers) {
        flow_free(shard, flow);
    } else {
        dxi_team_left(shard, flow->team, subscriber, clock_ns);
    }
    dxi_free(subscriber);
}

void dxi_teams_tick(dxi_shard_t *shard, int64_t clock_ns)
{
    shard->due_ns = INT64_MAX;
    for (dxi_list_t *at = shard->teams.next; at != &shard->teams;) {
        dxi_team_t *const team = DXI_LIST_OBJECT(at, dxi_team_t, in_shard);
        at = at->next;
        if (!dxi_team_tick(shard, team, clock_ns)) {
            flow_free(shard, team->flow);
        } else if (team->due_ns < shard->due_ns) {
            shard->due_ns = team->due_ns;
        }
    }
}

void dxi_flows_close(dxi_shard_t *shard)
{
    while (!dxi_list_empty(&shard->flows)) {
        dxi_flow_t *const flow = DXI_LIST_OBJECT(shard->flows.next, dxi_flow_t, in_shard);
        dxi_team_close(shard, flow); /* first: what is given points to members */
        for (uint32_t i = 0; i < flow->member_count; i++) {
            dxi_free(flow->members[i]);
        }
        flow_free(shard, flow);
    }
}

void dxi_shard_ready(dxi_shard_t *shard, dxi_subscriber_t *subscriber, int64_t clock_ns)
{
    dxi_flow_t *const flow = subscriber->flow;
    if (subscriber->closed || flow->ended) {
        return;
    }
    subscriber->room = true;
    clock_ns = dxi_shard_now(shard, clock_ns);
    if (flow->team != NULL) {
        dxi_team_ready(shard, flow->team, subscriber, clock_ns);
    } else {
        dxi_flow_feed(shard, flow);
    }
}

/* When the oldest event was published that a link lags behind with, of those that are kept. */
static int64_t link_lag_unix_ns(const dxi_link_t *link)
{
    const dxi_retain_t *const retain = &link->topic->retain;
    if (dxi_link_lag(link) == 0 || retain->first >= retain->next) {
        return 0;
    }
    const uint64_t oldest = link->next > retain->first ? link->next : retain->first;
    return oldest < retain->next ? (int64_t)dxi_retain_at(retain, oldest)->timestamp_ns : 0;
}

/* Sums over the flow. */
static void flow_stats(const dxi_flow_t *flow, dx_subscription_stats_t *stats)
{
    stats->delivered = flow->delivered;
    stats->dropped = flow->dropped;
    stats->filtered = flow->filtered;
    stats->gaps = flow->gaps;
    stats->dead = flow->dead;
    for (const dxi_list_t *at = flow->links.next; at != &flow->links; at = at->next) {
        const dxi_link_t *const link = DXI_LIST_OBJECT(at, dxi_link_t, in_flow);
        stats->delivered += dxi_link_delivered(link);
        stats->dropped += link->dropped;
        stats->filtered += link->filtered;
        stats->lag += dxi_link_lag(link) + link->waiting;
        stats->lag_unix_ns = dxi_older(stats->lag_unix_ns, link_lag_unix_ns(link));
    }
    if (flow->team != NULL) {
        stats->lag_unix_ns = dxi_older(stats->lag_unix_ns, dxi_team_waiting_unix_ns(flow->team));
    }
}

void dxi_shard_subscriber_stats(const dxi_subscriber_t *subscriber,
                                dx_subscription_stats_t *stats_out)
{
    const dxi_flow_t *const flow = subscriber->flow;
    *stats_out = (dx_subscription_stats_t){.remote = subscriber->remote};
    flow_stats(flow, stats_out);
    if (flow->team != NULL) { /* its own part; what is left out and to come is the group's */
        stats_out->delivered = subscriber->delivered;
        stats_out->gaps = subscriber->gaps;
    }
    stats_out->redelivered = subscriber->redelivered;
    stats_out->acknowledged = subscriber->acknowledged;
    stats_out->refused = subscriber->refused;
    stats_out->pending = subscriber->given;
    memcpy(stats_out->name, subscriber->name, sizeof stats_out->name);
    memcpy(stats_out->pattern, flow->options.pattern, flow->pattern_bytes + 1);
    if (flow->options.group != NULL) {
        memcpy(stats_out->group, flow->options.group, strlen(flow->options.group) + 1);
    }
}
