/* subscribe.c - subscriptions: asking for them, their credit, asking again after a reconnect,
 * ending them.
 *
 * DESIGN
 *
 *     NEW -> ASKED -(ACK)-> LIVE -(unsubscribe)-> LEAVING -(ACK)-> removed
 *              |  ^           |
 *       (NACK) |  +-(broken)--+--(NACK, ERROR of the subscription)--> ENDED -(unsubscribe)->
 *              removed v
 *           removed, or ENDED when it had been LIVE before
 *
 * The number of a subscription is its place in a table, and above it how often places were used, so
 * that what is still on its way for a former one finds nobody.
 *
 * Credit is a position: what has been handled plus the room of the queue, counted from the start of
 * the subscription on this connection. It is told again when half of the room is used.
 *
 * After a reconnect a subscription to one topic goes on with the sequence behind the last that was
 * handled (behind the last that was acknowledged with everything before it, where the program
 * acknowledges). Where that is not known, for patterns, for topics that are spread over shards, and
 * for those that have seen nothing yet, it begins with what is published from then on (or where it
 * had begun, when it has seen nothing); what was published in between is not known, which counts as
 * a gap without a number of events.
 *
 * INVARIANTS
 *
 *   U1  only subscriptions of the table get events; none gets any after it was removed
 *   U2  granted >= taken, and a CREDIT is sent for every `granted` on this connection
 *   U3  on_end() is called at most once, as the last call, and only for an end that the program did
 *       not ask for
 *   U4  one that acknowledges leaves in two steps: first the node gives nothing more (HOLD), and
 *       only when all that had come is handled and acknowledged it is told that this one is gone;
 *       so nothing that is handled here is given to another member as well
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "base/options.h"
#include "bus/options.h"
#include "bus/shard.h"
#include "bus/texts.h"
#include "client/internal.h"

#define QUEUE_EVENTS_DEFAULT 65536
#define QUEUE_BYTES_DEFAULT 16777216
#define PENDING_EVENTS_DEFAULT 1024
#define INDEX_BITS 16 /* of a number: DX_CLIENT_SUBSCRIPTIONS_MAX places */
#define INDEX_MASK (DX_CLIENT_SUBSCRIPTIONS_MAX - 1)
#define NUMBER_USES_MAX ((UINT64_C(1) << 45) - 1)

/* -------------------------------------------------------------------------------- the program's */

static int options_check(const dx_subscription_options_t *options, dx_error_t *error)
{
    int code = dxi_subscription_options_check(options, error);
    if (code != DX_OK) {
        return code;
    }
    if (options->pattern == NULL) {
        return dxi_fail(error, DX_EINVAL, "pattern is NULL, must be a topic or a pattern");
    }
    code = dxi_pattern_check(options->pattern, strnlen(options->pattern, DX_TOPIC_BYTES_MAX + 1),
                             error);
    if (code != DX_OK) {
        return code;
    }
    if ((options->on_event == NULL) == (options->on_batch == NULL)) {
        return dxi_fail(error, DX_EINVAL, "one of on_event and on_batch must be set, not %s",
                        options->on_event == NULL ? "none" : "both");
    }
    if ((options->dispatch != DX_DISPATCH_THREAD && options->dispatch != DX_DISPATCH_POLL) ||
        options->predicate != NULL || options->thread.name != NULL ||
        dx_cpu_set_count(&options->thread.cpus) != 0) {
        return dxi_fail(error, DX_EINVAL,
                        "dispatch (but POLL), predicate and thread are for subscriptions in the "
                        "node's own process; leave them zero");
    }
    if (options->filter != NULL &&
        (options->filter[0] == '\0' || strlen(options->filter) > DX_FILTER_BYTES_MAX)) {
        return dxi_fail(error, DX_ELIMIT, "the filter has %zu bytes, must have from 1 to %d",
                        strlen(options->filter), DX_FILTER_BYTES_MAX);
    }
    if (options->queue_events != 0) {
        code = dxi_options_range(error, "queue_events", options->queue_events, 1,
                                 DX_PENDING_EVENTS_MAX);
    }
    if (code == DX_OK && options->queue_bytes != 0) {
        code = dxi_options_range(error, "queue_bytes", options->queue_bytes, 1024,
                                 DX_CLIENT_WINDOW_BYTES_MAX);
    }
    return code;
}

static int texts_take(dx_client_subscription_t *subscription, dx_error_t *error)
{
    dx_subscription_options_t *const o = &subscription->options;
    subscription->texts = dxi_alloc_zeroed(
        1, dxi_text_bytes(o->pattern) + dxi_text_bytes(o->group) + dxi_text_bytes(o->name) +
               dxi_text_bytes(o->filter) + dxi_text_bytes(o->dead_letter));
    subscription->json = dxi_alloc_zeroed(1, DXI_TEXT_BYTES_MAX);
    if (subscription->texts == NULL || subscription->json == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for the texts of a subscription");
    }
    char *at = subscription->texts;
    o->pattern = dxi_text_keep(&at, o->pattern);
    o->group = dxi_text_keep(&at, o->group);
    o->name = dxi_text_keep(&at, o->name);
    o->filter = dxi_text_keep(&at, o->filter);
    o->dead_letter = dxi_text_keep(&at, o->dead_letter);
    const int64_t bytes = dxi_subscription_options_write(o, subscription->json, DXI_TEXT_BYTES_MAX);
    if (bytes < 0) {
        return dxi_fail(error, (int)bytes, "the options of the subscription are too long");
    }
    subscription->json_bytes = (uint32_t)bytes;
    return DX_OK;
}

int dxi_subscription_create(dx_client_t *client, const dx_subscription_options_t *options,
                            bool inbox, dx_client_subscription_t **subscription_out,
                            dx_error_t *error)
{
    *subscription_out = NULL;
    int code = options_check(options, error);
    if (code != DX_OK) {
        return code;
    }
    dx_client_subscription_t *const subscription = dxi_alloc_zeroed(1, sizeof *subscription);
    if (subscription == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a subscription");
    }
    subscription->client = client;
    subscription->inbox = inbox;
    dx_subscription_options_t *const o = &subscription->options;
    *o = *options;
    if (o->ack == DX_ACK_DEFAULT) {
        o->ack = o->group != NULL ? DX_ACK_AUTO : DX_ACK_NONE;
    }
    code = texts_take(subscription, error); /* defaults stay out of what is sent */
    o->queue_events = o->queue_events != 0 ? o->queue_events : QUEUE_EVENTS_DEFAULT;
    o->queue_bytes = o->queue_bytes != 0 ? o->queue_bytes : QUEUE_BYTES_DEFAULT;
    o->pending_events_max =
        o->pending_events_max != 0 ? o->pending_events_max : PENDING_EVENTS_DEFAULT;
    subscription->literal = strpbrk(o->pattern, "*>") == NULL;
    if (code == DX_OK && o->ack == DX_ACK_EXPLICIT) {
        code = dxi_acks_open(&client->acks, error);
    }
    if (code == DX_OK && subscription->literal &&
        (o->ack == DX_ACK_EXPLICIT || (o->ack == DX_ACK_AUTO && o->group == NULL))) {
        code = dxi_unacknowledged_open(&subscription->unacknowledged, o->pending_events_max);
        if (code != DX_OK) {
            (void)dxi_fail(error, code, "no memory for %u events to be acknowledged",
                           o->pending_events_max);
        }
    }
    if (code != DX_OK) {
        dxi_subscription_destroy(subscription);
        return code;
    }
    *subscription_out = subscription;
    return DX_OK;
}

void dxi_subscription_destroy(dx_client_subscription_t *subscription)
{
    if (subscription != NULL) {
        dxi_free(subscription->texts);
        dxi_free(subscription->json);
        dxi_unacknowledged_close(&subscription->unacknowledged);
        dxi_free(subscription);
    }
}

static void remove_in_loop(void *context)
{
    dxi_subscription_remove(context);
}

int dxi_subscription_begin(dx_client_t *client, dx_client_subscription_t *subscription,
                           dx_error_t *error)
{
    dxi_call_t *call = NULL;
    int code = dxi_call_open(client, DXI_CALL_SUBSCRIBE, &call, error);
    if (code != DX_OK) {
        return code;
    }
    call->subscription = subscription;
    dxi_call_submit(client, call);
    code = dxi_call_wait(client, call, dxi_client_deadline(client, 0), error);
    if (code != DX_OK) {
        dxi_loop_call(client->loop, remove_in_loop, subscription);
    }
    dxi_call_close(client, call);
    return code;
}

/* Where it gets its events from: the ring of a direct topic, or the connection. */
static int source_begin(dx_client_t *client, dx_client_subscription_t *subscription,
                        dx_error_t *error)
{
    const bool poll = subscription->options.dispatch == DX_DISPATCH_POLL;
    int code = DX_ENOTSUP;
    if (dxi_direct_may_subscribe(client, &subscription->options)) {
        code = dxi_direct_inlet_open(subscription, &subscription->direct, error);
    }
    if (code == DX_OK || code == DX_ETIMEDOUT || code == DX_ECLOSED) {
        return code; /* who did not answer has used the time up */
    }
    if (poll) {
        return dxi_fail(error, code,
                        "DX_DISPATCH_POLL is for direct topics of a node that is reached by "
                        "unix:// or shm://");
    }
    return dxi_subscription_begin(client, subscription, error);
}

int dx_client_subscribe(dx_client_t *client, const dx_subscription_options_t *options,
                        dx_client_subscription_t **subscription_out, dx_error_t *error)
{
    *subscription_out = NULL;
    int code = dxi_client_may_wait(client, "dx_client_subscribe()", error);
    if (code != DX_OK) {
        return code;
    }
    dx_client_subscription_t *subscription = NULL;
    code = dxi_subscription_create(client, options, false, &subscription, error);
    if (code != DX_OK) {
        return code;
    }
    assert(subscription != NULL);
    *subscription_out = subscription; /* before a handler that acknowledges may want it */
    code = source_begin(client, subscription, error);
    if (code != DX_OK) {
        *subscription_out = NULL;
        (void)dxi_fail_context(error, "subscribing to %s", options->pattern);
        dxi_subscription_destroy(subscription);
    }
    return code;
}

int dx_client_unsubscribe(dx_client_subscription_t *subscription, int64_t timeout_ns)
{
    if (subscription == NULL) {
        return DX_OK;
    }
    dx_client_t *const client = subscription->client;
    if (dxi_client_in_loop(client)) {
        return DX_EDEADLOCK;
    }
    const int64_t deadline_ns = timeout_ns == 0 ? 0 : dxi_client_deadline(client, timeout_ns);
    if (subscription->direct != NULL) {
        bool moved = false;
        const int ended = dxi_direct_inlet_close(subscription->direct, deadline_ns, &moved);
        if (ended == DX_EDEADLOCK) {
            return ended;
        }
        subscription->direct = NULL;
        if (!moved) {
            dxi_subscription_destroy(subscription);
            return ended;
        }
    }
    dxi_call_t *call = NULL;
    int code = dxi_call_open(client, DXI_CALL_UNSUBSCRIBE, &call, NULL);
    if (code == DX_OK) {
        call->subscription = subscription;
        dxi_call_submit(client, call);
        code = dxi_call_wait(client, call, deadline_ns, NULL);
    }
    dxi_loop_call(client->loop, remove_in_loop, subscription);
    if (call != NULL) {
        dxi_call_close(client, call);
    }
    dxi_subscription_destroy(subscription);
    return code == DX_OK || code == DX_ECLOSED ? DX_OK : DX_ETIMEDOUT;
}

int dx_client_poll(dx_client_subscription_t *subscription)
{
    if (DX_UNLIKELY(subscription->direct == NULL ||
                    subscription->options.dispatch != DX_DISPATCH_POLL)) {
        return DX_EINVAL;
    }
    return dxi_direct_inlet_poll(subscription->direct);
}

/* ------------------------------------------------------------------------------------ the table */

dx_client_subscription_t *dxi_subscription_find(const dx_client_t *client, uint64_t number)
{
    const uint64_t index = number & INDEX_MASK;
    dx_client_subscription_t *const found =
        index < client->subscription_room ? client->subscriptions[index] : NULL;
    return found != NULL && found->number == number ? found : NULL;
}

/* Doubles the table. */
static int table_grow(dx_client_t *client)
{
    const uint32_t room = client->subscription_room != 0 ? client->subscription_room * 2 : 16;
    dx_client_subscription_t **const larger = dxi_alloc_zeroed(room, sizeof(void *));
    if (larger == NULL) {
        return DX_ENOMEM;
    }
    if (client->subscription_room != 0) {
        memcpy(larger, client->subscriptions, client->subscription_room * sizeof(void *));
    }
    dxi_free(client->subscriptions);
    client->subscriptions = larger;
    client->subscription_room = room;
    return DX_OK;
}

/* Gives it a place and a number. */
static int place_take(dx_client_subscription_t *subscription)
{
    dx_client_t *const client = subscription->client;
    if (client->subscription_count == DX_CLIENT_SUBSCRIPTIONS_MAX) {
        return DX_ELIMIT;
    }
    if (client->subscription_count == client->subscription_room) {
        const int code = table_grow(client);
        if (code != DX_OK) {
            return code;
        }
    }
    const uint64_t use = ++client->subscription_uses & NUMBER_USES_MAX;
    uint32_t index = (uint32_t)use & (client->subscription_room - 1);
    while (client->subscriptions[index] != NULL) {
        index = (index + 1) & (client->subscription_room - 1);
    }
    client->subscriptions[index] = subscription;
    client->subscription_count++;
    subscription->number = use << INDEX_BITS | index;
    return DX_OK;
}

/* -------------------------------------------------------------------------------------- sending */

/* How far the node may send, told anew. */
static int credit_send(dx_client_subscription_t *subscription)
{
    const dx_subscription_options_t *const o = &subscription->options;
    const dx_frame_credit_t credit = {.events = subscription->taken_events + o->queue_events,
                                      .bytes = subscription->taken_bytes + o->queue_bytes};
    const dx_frame_part_t parts[] = {
        dx_frame_part_of(DX_PART_SUBSCRIPTION, &subscription->number, 8),
        dx_frame_part_of(DX_PART_CREDIT, &credit, sizeof credit)};
    const dx_frame_draft_t draft = {.type = DX_FRAME_CREDIT, .parts = parts, .part_count = 2};
    const int code = dxi_send_frame(subscription->client, &draft, NULL);
    if (code == DX_OK) {
        subscription->granted_events = credit.events; /* U2 */
        subscription->granted_bytes = credit.bytes;
        subscription->credit_due = false;
    }
    return code;
}

/* Where a subscription begins: where the program said, or where it stood when the connection
 * broke. On a node that was started anew, or another one, where it stood says nothing: the topic
 * begins with 1 again, and all that is kept is given. What a node that took the place of the last
 * one had in the meantime and keeps no more is a gap; another one may have had it long ago. */
static dx_frame_start_t start_of(const dx_client_subscription_t *subscription)
{
    const dx_subscription_options_t *const o = &subscription->options;
    if (subscription->again && subscription->literal && subscription->anew) {
        return subscription->next ? (dx_frame_start_t){.from = DX_FRAME_FROM_SEQUENCE, .value = 1}
                                  : (dx_frame_start_t){.from = DX_FRAME_FROM_EARLIEST};
    }
    const uint64_t next = subscription->again ? dxi_ack_next_sequence(subscription) : 0;
    if (next != 0) {
        return (dx_frame_start_t){.from = DX_FRAME_FROM_SEQUENCE, .value = next};
    }
    if (subscription->again && (subscription->several_shards || !subscription->literal)) {
        return (dx_frame_start_t){.from = DX_FRAME_FROM_LATEST};
    }
    return (dx_frame_start_t){.from = (uint32_t)o->from, .value = o->from_value};
}

static int subscribe_send(dx_client_subscription_t *subscription)
{
    dx_client_t *const client = subscription->client;
    const dx_subscription_options_t *const o = &subscription->options;
    if (!dxi_send_room(client, DXI_CLIENT_RESERVE_BYTES / 2)) {
        return DX_EAGAIN;
    }
    const uint64_t correlation = DXI_CORRELATION_SUBSCRIBE | subscription->number;
    const dx_frame_start_t start = start_of(subscription);
    dx_frame_part_t parts[6];
    dx_frame_draft_t draft = {
        .type = DX_FRAME_SUBSCRIBE, .parts = parts, .payload_bytes = subscription->json_bytes};
    draft.timestamp_ns = subscription->last_time_ns; /* of which topic of that name */
    parts[draft.part_count++] = dx_frame_part_text(DX_PART_TOPIC, o->pattern);
    parts[draft.part_count++] = dx_frame_part_of(DX_PART_CORRELATION, &correlation, 8);
    parts[draft.part_count++] = dx_frame_part_of(DX_PART_SUBSCRIPTION, &subscription->number, 8);
    if (o->group != NULL) {
        parts[draft.part_count++] = dx_frame_part_text(DX_PART_GROUP, o->group);
    }
    if (o->filter != NULL) {
        parts[draft.part_count++] = dx_frame_part_text(DX_PART_FILTER, o->filter);
    }
    parts[draft.part_count++] = dx_frame_part_of(DX_PART_START, &start, sizeof start);
    int code = dxi_send_frame(client, &draft, subscription->json);
    if (code == DX_OK) {
        subscription->to_send = false;
        subscription->taken_events = subscription->taken_bytes = 0;
        subscription->granted_events = subscription->granted_bytes = 0;
        subscription->credit_due = true;
        code = credit_send(subscription);
    }
    return code;
}

/* Sends what is due for all subscriptions, as far as there is room. */
int dxi_subscriptions_pump(dx_client_t *client)
{
    if (dx_load32_relaxed(&client->inbox_wanted) != 0 && client->inbox_subscription == NULL &&
        client->inbox_code == DX_OK) {
        dxi_inbox_make(client);
    }
    if (!client->subscriptions_due || !client->open) {
        return 0;
    }
    int done = 0;
    for (uint32_t i = 0; i < client->subscription_room; i++) {
        dx_client_subscription_t *const subscription = client->subscriptions[i];
        if (subscription == NULL || (!subscription->to_send && !subscription->credit_due)) {
            continue;
        }
        const int code =
            subscription->to_send ? subscribe_send(subscription) : credit_send(subscription);
        if (code == DX_EAGAIN) {
            return done;
        }
        if (code != DX_OK) {
            subscription->to_send = subscription->credit_due = false;
            dxi_subscription_end(subscription, code, "the subscription can't be put into a frame");
            return done + 1; /* the table may have changed: the rest in the next turn */
        }
        done++;
    }
    client->subscriptions_due = false;
    return done;
}

/* ------------------------------------------------------------------------------ its way through */

int dxi_subscription_add(dx_client_subscription_t *subscription, dxi_call_t *call)
{
    dx_client_t *const client = subscription->client;
    const int code = place_take(subscription);
    if (code != DX_OK) {
        return code;
    }
    subscription->state = DXI_SUBSCRIPTION_ASKED;
    subscription->call = call;
    subscription->to_send = true;
    client->subscriptions_due = true;
    return DX_OK;
}

static void call_end(dx_client_subscription_t *subscription, int code, const char *sentence,
                     size_t sentence_bytes)
{
    dxi_call_t *const call = subscription->call;
    if (call != NULL) {
        subscription->call = NULL;
        dxi_call_finish(subscription->client, call, code, sentence, sentence_bytes);
    }
}

static int unsubscribe_send(dx_client_subscription_t *subscription, bool answer, uint16_t flags)
{
    const uint64_t correlation = DXI_CORRELATION_UNSUBSCRIBE | subscription->number;
    dx_frame_part_t parts[2];
    dx_frame_draft_t draft = {.type = DX_FRAME_UNSUBSCRIBE, .flags = flags, .parts = parts};
    if (answer) {
        parts[draft.part_count++] = dx_frame_part_of(DX_PART_CORRELATION, &correlation, 8);
    }
    parts[draft.part_count++] = dx_frame_part_of(DX_PART_SUBSCRIPTION, &subscription->number, 8);
    return dxi_send_frame(subscription->client, &draft, NULL);
}

void dxi_subscription_leave(dx_client_subscription_t *subscription, dxi_call_t *call)
{
    dx_client_t *const client = subscription->client;
    subscription->call = call;
    if (subscription->state == DXI_SUBSCRIPTION_LIVE && client->open) {
        (void)dxi_ack_flush(subscription);
        subscription->holding = subscription->options.ack != DX_ACK_NONE; /* U4 */
        if (unsubscribe_send(subscription, true, subscription->holding ? DX_FRAME_HOLD : 0) ==
            DX_OK) {
            subscription->state = DXI_SUBSCRIPTION_LEAVING;
            return; /* what is on its way arrives before the answer */
        }
    }
    call_end(subscription, DX_OK, NULL, 0);
}

void dxi_subscription_remove(dx_client_subscription_t *subscription)
{
    dx_client_t *const client = subscription->client;
    if (subscription->number == 0) {
        return;
    }
    const bool known = subscription->state == DXI_SUBSCRIPTION_LIVE ||
                       (subscription->state == DXI_SUBSCRIPTION_LEAVING && subscription->holding) ||
                       (subscription->state == DXI_SUBSCRIPTION_ASKED && !subscription->to_send);
    if (known) {
        (void)dxi_ack_flush(subscription);
        /* Without room it is the node that finds out, by the credit that it gets no more. */
        (void)unsubscribe_send(subscription, false, 0);
    }
    for (int i = 0; i < client->batch.set_count; i++) { /* U1 */
        if (client->batch.set[i] == subscription) {
            client->batch.set[i] = NULL;
        }
    }
    client->subscriptions[subscription->number & INDEX_MASK] = NULL;
    client->subscription_count--;
    subscription->number = 0;
    call_end(subscription, DX_ECLOSED, NULL, 0);
}

void dxi_subscription_end(dx_client_subscription_t *subscription, int code, const char *sentence)
{
    const bool told = subscription->state == DXI_SUBSCRIPTION_LIVE || subscription->again;
    if (subscription->state == DXI_SUBSCRIPTION_ENDED) {
        return;
    }
    const bool leaving = subscription->state == DXI_SUBSCRIPTION_LEAVING;
    subscription->state = DXI_SUBSCRIPTION_ENDED;
    subscription->to_send = subscription->credit_due = false;
    subscription->run.first = 0;
    if (subscription->inbox) {
        subscription->client->inbox_code = code;
        return;
    }
    if (leaving || subscription->call != NULL) {
        call_end(subscription, leaving ? DX_OK : code, sentence, strlen(sentence));
    } else if (told && subscription->options.on_end != NULL) {
        subscription->options.on_end(subscription->options.context, code, sentence); /* U3 */
    }
}

void dxi_subscription_answer(dx_client_t *client, uint64_t correlation, int code,
                             const dx_frame_view_t *frame)
{
    dx_client_subscription_t *const subscription =
        dxi_subscription_find(client, correlation & DXI_CORRELATION_NUMBER);
    if (subscription == NULL) {
        return;
    }
    if ((correlation & DXI_CORRELATION_UNSUBSCRIBE) != 0) {
        dxi_deliver_flush(client);
        (void)dxi_acks_pump(client);
        (void)dxi_ack_flush(subscription);
        if (subscription->holding && code == DX_OK) { /* U4 */
            subscription->holding = false;
            if (unsubscribe_send(subscription, true, 0) == DX_OK) {
                return;
            }
        }
        subscription->state = DXI_SUBSCRIPTION_ENDED;
        call_end(subscription, DX_OK, NULL, 0);
        return;
    }
    if (subscription->state != DXI_SUBSCRIPTION_ASKED) {
        return;
    }
    if (code == DX_OK) {
        subscription->state = DXI_SUBSCRIPTION_LIVE;
        subscription->again = true;
        call_end(subscription, DX_OK, NULL, 0);
        return;
    }
    char sentence[DX_ERROR_MESSAGE_BYTES] = {0};
    const size_t most = sizeof sentence - 1;
    const size_t bytes = frame->payload_bytes < most ? frame->payload_bytes : most;
    memcpy(sentence, frame->payload, bytes);
    dxi_subscription_end(subscription, code, sentence);
}

/* ------------------------------------------------------------------------- the connection's way */

void dxi_subscriptions_opened(dx_client_t *client)
{
    for (uint32_t i = 0; i < client->subscription_room; i++) {
        dx_client_subscription_t *const subscription = client->subscriptions[i];
        if (subscription != NULL && subscription->state != DXI_SUBSCRIPTION_ENDED) {
            if (client->node_anew) {
                subscription->anew = true;
                subscription->next = client->node_next;
                dxi_ack_forget(subscription);
            }
            subscription->to_send = true;
            client->subscriptions_due = true;
        }
    }
}

void dxi_subscriptions_broken(dx_client_t *client)
{
    client->batch.left = 0;
    for (uint32_t i = 0; i < client->subscription_room; i++) {
        dx_client_subscription_t *const subscription = client->subscriptions[i];
        if (subscription == NULL || subscription->state == DXI_SUBSCRIPTION_ENDED) {
            continue;
        }
        if (subscription->state == DXI_SUBSCRIPTION_LEAVING) {
            subscription->state = DXI_SUBSCRIPTION_ENDED;
            call_end(subscription, DX_OK, NULL, 0);
            continue;
        }
        if (subscription->state == DXI_SUBSCRIPTION_LIVE && !subscription->inbox &&
            dxi_ack_next_sequence(subscription) == 0 &&
            (subscription->several_shards || !subscription->literal ||
             subscription->options.from == DX_FROM_LATEST)) {
            dxi_count(&client->counts.gaps, 1); /* how many events is not known */
        }
        subscription->state = DXI_SUBSCRIPTION_ASKED;
        subscription->run.first = 0;
        subscription->to_send = subscription->credit_due = false;
    }
}

void dxi_subscriptions_fail(dx_client_t *client, int code, const char *sentence)
{
    for (uint32_t i = 0; i < client->subscription_room; i++) {
        if (client->subscriptions[i] != NULL) {
            dxi_subscription_end(client->subscriptions[i], code, sentence);
        }
    }
}

void dxi_inbox_make(dx_client_t *client)
{
    const dx_subscription_options_t options = {
        .pattern = client->inbox, .context = client, .on_event = dxi_reply_take};
    dx_client_subscription_t *inbox = NULL;
    int code = dxi_subscription_create(client, &options, true, &inbox, NULL);
    if (inbox != NULL) {
        code = dxi_subscription_add(inbox, NULL);
        if (code != DX_OK) {
            dxi_subscription_destroy(inbox);
            inbox = NULL;
        }
    }
    client->inbox_subscription = inbox;
    client->inbox_code = code;
}
