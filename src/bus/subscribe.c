/* subscribe.c - flows come and go.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "bus/shard_internal.h"

#define NS_PER_S INT64_C(1000000000)
#define SLOW_BLOCK_NS NS_PER_S
#define PENDING_EVENTS 1024
#define ATTEMPTS 5
#define ACK_TIMEOUT_NS (30 * NS_PER_S)
#define BACKOFF_NS (NS_PER_S / 10)
#define BACKOFF_MAX_NS (10 * NS_PER_S)

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

/* A copy of `text` at `*room`, which moves on; NULL for NULL. */
static const char *text_keep(char **room, const char *text)
{
    if (text == NULL) {
        return NULL;
    }
    const size_t bytes = strlen(text) + 1;
    char *const kept = *room;
    memcpy(kept, text, bytes);
    *room += bytes;
    return kept;
}

static size_t text_bytes(const char *text)
{
    return text != NULL ? strlen(text) + 1 : 0;
}

static void options_keep(dxi_flow_t *flow, const dx_subscription_options_t *o)
{
    char *room = flow->texts;
    const bool no_ack = o->ack == DX_ACK_DEFAULT && o->group == NULL;
    flow->options = (dxi_flow_options_t){
        .pattern = text_keep(&room, o->pattern),
        .group = text_keep(&room, o->group),
        .dead_letter = text_keep(&room, o->dead_letter),
        .from = o->from,
        .from_value = o->from_value,
        .ack = no_ack                     ? DX_ACK_NONE
               : o->ack == DX_ACK_DEFAULT ? DX_ACK_AUTO
                                          : o->ack,
        .slow = o->slow,
        .slow_block_ns = o->slow_block_ns != 0 ? o->slow_block_ns : SLOW_BLOCK_NS,
        .predicate = o->predicate,
        .predicate_context = o->context,
        .pending_events_max = o->pending_events_max != 0 ? o->pending_events_max : PENDING_EVENTS,
        .attempts_max = o->attempts_max != 0 ? o->attempts_max : ATTEMPTS,
        .ack_timeout_ns = o->ack_timeout_ns != 0 ? o->ack_timeout_ns : ACK_TIMEOUT_NS,
        .backoff_ns = o->backoff_ns != 0 ? o->backoff_ns : BACKOFF_NS,
        .backoff_max_ns = o->backoff_max_ns != 0 ? o->backoff_max_ns : BACKOFF_MAX_NS,
    };
    flow->pattern_bytes = (uint32_t)strlen(flow->options.pattern);
    flow->link_flags = o->predicate != NULL ? DXI_LINK_FILTERED : 0;
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
    while (!dxi_list_empty(&flow->links)) {
        dxi_link_remove(shard, DXI_LIST_OBJECT(flow->links.next, dxi_link_t, in_flow));
    }
    dxi_trie_remove(&shard->trie, &flow->entry);
    dxi_list_remove(&flow->in_feeding);
    dxi_list_remove(&flow->in_shard);
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
    const size_t texts = text_bytes(options->pattern) + text_bytes(options->group) +
                         text_bytes(options->dead_letter);
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

/* A flow with one member, who reads alone. */
static int flow_open(dxi_shard_t *shard, const dxi_subscribe_t *subscribe,
                     dxi_subscriber_t *subscriber)
{
    dxi_flow_t *const flow = flow_create(shard, subscribe->options);
    if (flow == NULL) {
        return DX_ENOMEM;
    }
    if (flow_add_member(flow, subscriber) != DX_OK ||
        dxi_trie_add(&shard->trie, flow->options.pattern, flow->pattern_bytes, &flow->entry) !=
            DX_OK ||
        flow_link(shard, flow) != DX_OK) {
        flow_free(shard, flow);
        return DX_ENOMEM;
    }
    if (!dxi_list_empty(&flow->lagging)) {
        dxi_list_append(&shard->feeding, &flow->in_feeding); /* fed in the next tick */
    }
    return DX_OK;
}

int dxi_shard_subscribe(dxi_shard_t *shard, const dxi_subscribe_t *subscribe, int64_t clock_ns,
                        dxi_subscriber_t **subscriber_out, dx_error_t *error)
{
    (void)clock_ns;
    *subscriber_out = NULL;
    const int code = options_check(subscribe->options, error);
    if (code != DX_OK) {
        return code;
    }
    if (subscribe->options->group != NULL || subscribe->options->ack > DX_ACK_NONE ||
        subscribe->options->filter != NULL) {
        return dxi_fail(error, DX_ENOTSUP, "groups, acknowledgements and filters come soon");
    }
    if (shard->subscriber_count >= shard->bus.subscriptions_max) {
        return dxi_fail(error, DX_ELIMIT, "there are %u subscriptions, as many as allowed",
                        shard->subscriber_count);
    }
    dxi_subscriber_t *const subscriber = subscriber_create(subscribe);
    if (subscriber == NULL || flow_open(shard, subscribe, subscriber) != DX_OK) {
        dxi_free(subscriber);
        return dxi_fail(error, DX_ENOMEM, "no memory for a subscription");
    }
    shard->subscriber_count++;
    *subscriber_out = subscriber;
    return DX_OK;
}

void dxi_shard_unsubscribe(dxi_shard_t *shard, dxi_subscriber_t *subscriber, int64_t clock_ns)
{
    (void)clock_ns;
    flow_free(shard, subscriber->flow);
    dxi_free(subscriber);
    shard->subscriber_count--;
}

void dxi_flows_close(dxi_shard_t *shard)
{
    while (!dxi_list_empty(&shard->flows)) {
        dxi_flow_t *const flow = DXI_LIST_OBJECT(shard->flows.next, dxi_flow_t, in_shard);
        for (uint32_t i = 0; i < flow->member_count; i++) {
            dxi_free(flow->members[i]);
        }
        flow_free(shard, flow);
    }
}

void dxi_shard_ready(dxi_shard_t *shard, dxi_subscriber_t *subscriber, int64_t clock_ns)
{
    (void)clock_ns;
    if (!subscriber->closed) {
        subscriber->room = true;
        dxi_flow_feed(shard, subscriber->flow);
    }
}

void dxi_shard_subscriber_stats(const dxi_subscriber_t *subscriber,
                                dx_subscription_stats_t *stats_out)
{
    const dxi_flow_t *const flow = subscriber->flow;
    *stats_out = (dx_subscription_stats_t){.remote = subscriber->remote,
                                           .redelivered = subscriber->redelivered,
                                           .acknowledged = subscriber->acknowledged,
                                           .refused = subscriber->refused,
                                           .delivered = flow->delivered,
                                           .dropped = flow->dropped,
                                           .filtered = flow->filtered,
                                           .gaps = flow->gaps};
    memcpy(stats_out->name, subscriber->name, sizeof stats_out->name);
    memcpy(stats_out->pattern, flow->options.pattern, flow->pattern_bytes + 1);
    if (flow->options.group != NULL) {
        memcpy(stats_out->group, flow->options.group, strlen(flow->options.group) + 1);
    }
    for (const dxi_list_t *at = flow->links.next; at != &flow->links; at = at->next) {
        const dxi_link_t *const link =
            (const dxi_link_t *)(const void *)((const char *)at - offsetof(dxi_link_t, in_flow));
        stats_out->delivered += dxi_link_delivered(link);
        stats_out->dropped += link->dropped;
        stats_out->filtered += link->filtered;
        stats_out->lag += dxi_link_lag(link) + link->waiting;
    }
}
