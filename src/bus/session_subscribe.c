/* session_subscribe.c - the subscriptions of a session.
 *
 * DESIGN
 *
 * SUBSCRIBE makes a dxi_remote_t and posts a command, which attaches it in all lanes; when that has
 * come back the client gets its ACK, and only then anything is delivered. Leaving goes the same
 * way.
 *
 * deliver() runs in the lane's loop. It needs credit, and then
 *
 *     in the session's own loop    room in the connection's sending ring
 *     in another one               room in the ring between the loops, and few bytes on their way
 *
 * Without any of these the part starves (starve.c) until a CREDIT, on_writable(), or the bytes
 * on their way having arrived, feeds it.
 *
 * Credit is a position: an event may be sent while the position of the subscription is below it. So
 * one event may reach beyond in bytes, and a window smaller than an event still lets it through. A
 * pack goes as a whole where credit reaches for the whole, else event by event.
 *
 * INVARIANTS
 *
 *   R1  nothing is delivered before the ACK of the SUBSCRIBE, nor after the ACK of the UNSUBSCRIBE,
 *       with HOLD or without
 *   R2  a remote that is LEAVING is fed by nobody, and no answer of it is posted: so when its
 *       command is back, no task of it is on its way
 *   R3  sent_events <= credit_events
 *   R4  behind on_close() nothing is posted for a remote: the session's last command detaches all,
 *       and they are freed when it is back
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>

#include "base/fail.h"
#include "bus/options.h"
#include "bus/session_access.h"
#include "bus/texts.h"
#include "wire/pack.h"

#define SUBSCRIPTIONS_MAX_DEFAULT 4096

static dxi_remote_t *remote_of(const dxi_part_t *part)
{
    return (dxi_remote_t *)(void *)((char *)part->attachment - offsetof(dxi_remote_t, base));
}

static uint32_t bucket_of(uint64_t number)
{
    return (uint32_t)((number * UINT64_C(0x9E3779B97F4A7C15)) >> 56) % DXI_SESSION_BUCKETS;
}

dxi_remote_t *dxi_session_remote(dxi_session_t *session, uint64_t number)
{
    dxi_remote_t *it = session->remotes[bucket_of(number)];
    while (it != NULL && it->number != number) {
        it = it->next;
    }
    return it;
}

/* ----------------------------------------------------------------------------------- delivering */

/* Takes credit for a frame. The first event may reach beyond in bytes, a pack must fit as a whole.
 * With one loop nobody else counts. */
static bool credit_take(dxi_remote_t *remote, int64_t events, int64_t bytes)
{
    const int64_t events_most = dx_load_relaxed(&remote->credit_events) - events;
    const int64_t bytes_most = dx_load_relaxed(&remote->credit_bytes) - (events > 1 ? bytes : 1);
    const int64_t sent_events = dx_load_relaxed(&remote->sent_events);
    const int64_t sent_bytes = dx_load_relaxed(&remote->sent_bytes);
    if (sent_events > events_most || sent_bytes > bytes_most) {
        return false; /* before anything is added: another loop may look at the sums */
    }
    if (remote->base.bus->loop_count == 1) {
        dx_store_relaxed(&remote->sent_events, sent_events + events);
        dx_store_relaxed(&remote->sent_bytes, sent_bytes + bytes);
        return true;
    }
    if (dx_fetch_add_relaxed(&remote->sent_events, events) > events_most) {
        (void)dx_fetch_add_relaxed(&remote->sent_events, -events);
        return false;
    }
    if (dx_fetch_add_relaxed(&remote->sent_bytes, bytes) > bytes_most) {
        (void)dx_fetch_add_relaxed(&remote->sent_events, -events);
        (void)dx_fetch_add_relaxed(&remote->sent_bytes, -bytes);
        return false;
    }
    return true;
}

static void credit_return(dxi_remote_t *remote, int64_t events, int64_t bytes)
{
    (void)dx_fetch_add_relaxed(&remote->sent_events, -events);
    (void)dx_fetch_add_relaxed(&remote->sent_bytes, -bytes);
}

/* The part waits for room in a ring to another loop: pair.c feeds it. */
static void part_wait(dxi_part_t *part)
{
    dxi_session_table_t *table = part->lane->owner->sessions;
    if (!part->waiting) {
        part->waiting = true;
        part->waiting_next = table->parts;
        table->parts = part;
    }
}

void dxi_part_unwait(dxi_part_t *part)
{
    if (!part->waiting) {
        return;
    }
    for (dxi_part_t **at = &part->lane->owner->sessions->parts; *at != NULL;
         at = &(*at)->waiting_next) {
        if (*at == part) {
            *at = part->waiting_next;
            break;
        }
    }
    part->waiting = false;
}

/* To another loop. Few bytes are on their way to a session at a time, so that one that does not
 * read leaves the ring to others. */
static int push_there(dxi_part_t *part, dxi_remote_t *remote, const dxi_delivery_t *delivery)
{
    dxi_session_t *session = remote->session;
    if (dx_load_relaxed(&session->flight) >= DXI_SESSION_FLIGHT_BYTES) {
        dx_store32_relaxed(&session->hungry, 1);
        dxi_part_starve(part); /* fences; pairs with the one in dxi_pairs_take() */
        if (dx_load_relaxed(&session->flight) >= DXI_SESSION_FLIGHT_BYTES) {
            return DX_EAGAIN;
        }
    }
    dxi_pair_t *pair = dxi_pair_of(part->lane->owner, session->home->index);
    const dxi_record_t record = {.to = session->origin,
                                 .subscription = remote->number,
                                 .instance = remote->instance,
                                 .held = delivery->held,
                                 .attempt = delivery->attempt,
                                 .redelivered = delivery->redelivered,
                                 .kind = DXI_RECORD_EVENT,
                                 .bytes = delivery->bytes};
    (void)dx_fetch_add_relaxed(&session->flight, delivery->bytes);
    if (pair == NULL ||
        dxi_pair_push(pair, &record, delivery->frame, delivery->bytes, NULL, 0) != DX_OK) {
        (void)dx_fetch_add_relaxed(&session->flight, -(int64_t)delivery->bytes);
        dxi_part_starve(part);
        part_wait(part);
        return DX_EAGAIN;
    }
    return DX_OK;
}

/* An event that the client could not read: its frame is larger than what it accepts. */
static int too_large(dxi_part_t *part, const dxi_delivery_t *delivery)
{
    dx_frame_view_t view;
    if (delivery->attempt != 0 ||
        dx_frame_view(delivery->frame, delivery->bytes, &view, NULL) != DX_OK) {
        return DX_ELIMIT; /* a negative answer: it ends as a dead letter */
    }
    uint32_t bytes = 0;
    const char *topic = dx_frame_part(&view, DX_PART_TOPIC, &bytes);
    const int code = part->attachment->gap(part, &(dx_gap_t){.topic = topic,
                                                             .topic_bytes = bytes,
                                                             .shard = delivery->frame->shard,
                                                             .first = delivery->frame->sequence,
                                                             .last = delivery->frame->sequence});
    return code == DX_OK ? DXI_DELIVER_DROPPED : code;
}

static bool may_deliver(dxi_part_t *part, const dxi_remote_t *remote)
{
    /* ACQUIRE, pairs with the release in subscribed_in_loop(): R1. */
    if (DX_LIKELY(dx_load32_acquire(&remote->live) != 0)) {
        return true;
    }
    dxi_part_starve(part);
    return dx_load32_acquire(&remote->live) != 0;
}

static int remote_deliver(dxi_part_t *part, const dxi_delivery_t *delivery)
{
    dxi_remote_t *remote = remote_of(part);
    dxi_session_t *session = remote->session;
    if (DX_UNLIKELY(dx_load32_relaxed(&remote->over) != 0)) {
        return DX_ECLOSED;
    }
    if (DX_UNLIKELY(!may_deliver(part, remote))) {
        return DX_EAGAIN;
    }
    const uint32_t events = dxi_frame_events(delivery->frame);
    if (DX_UNLIKELY(delivery->bytes > session->frame_bytes_max)) {
        return events > 1 ? DXI_DELIVER_SPLIT : too_large(part, delivery);
    }
    if (DX_UNLIKELY(!credit_take(remote, events, delivery->bytes))) {
        if (events > 1) {
            return DXI_DELIVER_SPLIT; /* some of them may have credit */
        }
        dxi_part_starve(part);
        if (!credit_take(remote, events, delivery->bytes)) {
            return DX_EAGAIN;
        }
    }
    int code = DX_OK;
    if (DX_LIKELY(part->lane->owner == session->home)) {
        if (!dxi_session_put(session, remote, delivery)) {
            dxi_part_starve(part);
            code = DX_EAGAIN;
        }
    } else {
        code = push_there(part, remote, delivery);
    }
    if (DX_UNLIKELY(code != DX_OK)) {
        credit_return(remote, events, delivery->bytes);
    }
    return code;
}

static int remote_gap(dxi_part_t *part, const dx_gap_t *gap)
{
    dxi_remote_t *remote = remote_of(part);
    dxi_session_t *session = remote->session;
    if (dx_load32_relaxed(&remote->over) != 0) {
        return DX_ECLOSED;
    }
    if (!may_deliver(part, remote)) {
        return DX_EAGAIN;
    }
    if (part->lane->owner == session->home) {
        dxi_session_say_gap(session, remote, gap);
        return DX_OK;
    }
    dxi_pair_t *pair = dxi_pair_of(part->lane->owner, session->home->index);
    if (pair == NULL) {
        dxi_part_starve(part);
        part_wait(part);
        return DX_EAGAIN;
    }
    const dxi_record_gap_t head = {gap->first, gap->last, gap->shard, gap->topic_bytes};
    const dxi_record_t record = {.to = session->origin,
                                 .subscription = remote->number,
                                 .instance = remote->instance,
                                 .kind = DXI_RECORD_GAP,
                                 .bytes = (uint32_t)sizeof head + gap->topic_bytes};
    dxi_pair_push_sure(pair, &record, &head, sizeof head, gap->topic, gap->topic_bytes);
    return DX_OK;
}

static void remote_end(dxi_part_t *part, int code, const char *sentence)
{
    dxi_remote_t *remote = remote_of(part);
    dxi_session_t *session = remote->session;
    sentence = sentence == NULL ? dx_error_text(code) : sentence;
    if (part->lane->owner == session->home) {
        dxi_remote_ended(remote, code, sentence);
        return;
    }
    dxi_pair_t *pair = dxi_pair_of(part->lane->owner, session->home->index);
    if (pair != NULL) {
        const uint32_t bytes = (uint32_t)strlen(sentence) + 1;
        const dxi_record_end_t head = {code, bytes};
        const dxi_record_t record = {.to = session->origin,
                                     .subscription = remote->number,
                                     .instance = remote->instance,
                                     .kind = DXI_RECORD_END,
                                     .bytes = (uint32_t)sizeof head + bytes};
        dxi_pair_push_sure(pair, &record, &head, sizeof head, sentence, bytes);
    }
}

/* An event that came from another loop: sent, or laid aside with its bytes still on their way. */
static void record_event(dxi_session_t *session, dxi_remote_t *remote, const dxi_record_t *record)
{
    if (remote != NULL) {
        const dxi_delivery_t delivery = {.frame = dxi_record_body(record),
                                         .bytes = record->bytes,
                                         .attempt = record->attempt,
                                         .redelivered = record->redelivered,
                                         .held = record->held};
        if (!dxi_session_put(session, remote, &delivery)) {
            dxi_session_put_aside(session, remote, &delivery);
            session->outbox.flight += record->bytes;
            return;
        }
    }
    (void)dx_fetch_add_relaxed(&session->flight, -(int64_t)record->bytes);
    if (!session->touched) {
        session->touched = true;
        session->touched_next = session->home->sessions->touched;
        session->home->sessions->touched = session;
    }
}

void dxi_session_record(dxi_bus_loop_t *loop, const dxi_record_t *record)
{
    dxi_session_t *session = dxi_session_find(loop, record->to);
    if (session == NULL) {
        return;
    }
    const void *body = dxi_record_body(record);
    if (record->kind == DXI_RECORD_ANSWER) {
        dxi_answer_t answer;
        memcpy(&answer, body, sizeof answer);
        answer.sentence = answer.sentence == NULL ? NULL : (const char *)body + sizeof answer;
        dxi_session_take_answer(session, &answer);
        return;
    }
    dxi_remote_t *remote = dxi_session_remote(session, record->subscription);
    if (remote != NULL &&
        (remote->instance != record->instance || remote->state == DXI_REMOTE_LEAVING)) {
        remote = NULL;
    }
    if (remote != NULL && remote->held && record->kind != DXI_RECORD_END) {
        remote = NULL; /* R1: it is given to another member, once this one has left */
    }
    if (record->kind == DXI_RECORD_EVENT) {
        record_event(session, remote, record);
    } else if (remote != NULL && record->kind == DXI_RECORD_GAP) {
        const dxi_record_gap_t *gap = body;
        dxi_session_say_gap(session, remote,
                            &(dx_gap_t){.topic = (const char *)(gap + 1),
                                        .topic_bytes = gap->topic_bytes,
                                        .shard = (uint16_t)gap->shard,
                                        .first = gap->first,
                                        .last = gap->last});
    } else if (remote != NULL) {
        const dxi_record_end_t *end = body;
        dxi_remote_ended(remote, end->code, (const char *)(end + 1));
    }
}

void dxi_sessions_touched(dxi_bus_loop_t *loop)
{
    dxi_session_t *session = loop->sessions->touched;
    loop->sessions->touched = NULL;
    if (session != NULL) {
        dx_fence_seq_cst(); /* what has arrived is counted before `hungry` is looked at */
    }
    while (session != NULL) {
        dxi_session_t *next = session->touched_next;
        session->touched = false;
        if (dx_load32_relaxed(&session->hungry) != 0 &&
            dx_load_relaxed(&session->flight) <= DXI_SESSION_FLIGHT_BYTES / 2) {
            dxi_session_feed(session);
        }
        session = next;
    }
}

void dxi_session_feed(dxi_session_t *session)
{
    (void)dx_exchange32_acq_rel(&session->hungry, 0);
    for (uint32_t i = 0; i < DXI_SESSION_BUCKETS; i++) {
        for (dxi_remote_t *it = session->remotes[i]; it != NULL; it = it->next) {
            if (it->state == DXI_REMOTE_LIVE) { /* R2 */
                dxi_attachment_feed(&it->base);
            }
        }
    }
}

/* -------------------------------------------------------------------------------------- leaving */

static void remote_free(dxi_remote_t *remote)
{
    dxi_session_t *session = remote->session;
    dxi_remote_t **at = &session->remotes[bucket_of(remote->number)];
    while (*at != remote) {
        at = &(*at)->next;
    }
    *at = remote->next;
    session->remote_count--;
    if (remote->is_inbox) {
        dxi_access_inbox_leave(session->policy->access, remote->base.options.pattern,
                               dx_clock_ns());
    }
    dxi_attachment_close(&remote->base);
    dxi_free(remote);
}

void dxi_session_free(dxi_session_t *session)
{
    for (uint32_t i = 0; i < DXI_SESSION_BUCKETS; i++) {
        while (session->remotes[i] != NULL) {
            remote_free(session->remotes[i]);
        }
    }
    dxi_session_out_close(session);
    dxi_free(session);
}

static void left_in_loop(void *context)
{
    dxi_remote_t *remote = context;
    dxi_session_t *session = remote->session;
    if (session->connection == NULL) {
        return; /* freed with the session */
    }
    session->commands--;
    if (remote->answer_leaving) {
        dxi_session_say_result(session, remote->leave_correlated, remote->leave_correlation, DX_OK,
                               NULL);
    }
    remote_free(remote);
}

static void leave_command(dxi_command_t *command)
{
    dxi_remote_t *remote = (dxi_remote_t *)(void *)command;
    dx_bus_t *bus = remote->base.bus;
    (void)pthread_mutex_lock(&bus->command_mutex);
    dxi_attachment_detach(&remote->base);
    (void)pthread_mutex_unlock(&bus->command_mutex);
    remote->task = (dxi_task_t){.run = left_in_loop, .context = remote};
    dxi_loop_post(remote->session->home->loop, &remote->task);
}

static void leave(dxi_remote_t *remote)
{
    remote->state = DXI_REMOTE_LEAVING;
    dx_store32_release(&remote->over, 1);
    remote->session->commands++;
    remote->command.run = leave_command;
    dxi_command_post(remote->base.bus, &remote->command);
}

static void say_ended(dxi_remote_t *remote, int code, const char *sentence)
{
    const dx_frame_code_t reason = {.code = code};
    const dx_frame_part_t parts[] = {
        dx_frame_part_of(DX_PART_SUBSCRIPTION, &remote->number, sizeof remote->number),
        dx_frame_part_of(DX_PART_CODE, &reason, sizeof reason),
    };
    dxi_session_say(remote->session,
                    &(dx_frame_draft_t){.type = DX_FRAME_NACK,
                                        .parts = parts,
                                        .part_count = 2,
                                        .payload_bytes = (uint32_t)strlen(sentence)},
                    sentence);
}

void dxi_remote_ended(dxi_remote_t *remote, int code, const char *sentence)
{
    dx_store32_release(&remote->over, 1);
    if (remote->session->connection == NULL || remote->state == DXI_REMOTE_LEAVING ||
        remote->error.code != DX_OK) {
        return; /* R4, or it is under way */
    }
    if (remote->state == DXI_REMOTE_ASKED) {
        (void)dxi_fail(&remote->error, code, "%s", sentence); /* said when it is back */
        return;
    }
    say_ended(remote, code, sentence);
    leave(remote);
}

static void say_no_such(dxi_session_t *session, bool correlated, uint64_t correlation)
{
    dxi_session_say_result(session, correlated, correlation, DX_ENOTFOUND,
                           "there is no subscription of this number");
}

int dxi_session_unsubscribe(dxi_session_t *session, const dx_frame_view_t *frame, dx_error_t *error)
{
    (void)error;
    dxi_remote_t *remote =
        dxi_session_remote(session, dx_frame_part_u64(frame, DX_PART_SUBSCRIPTION, 0));
    const bool correlated = dx_frame_has(frame, DX_PART_CORRELATION);
    const uint64_t correlation = dx_frame_part_u64(frame, DX_PART_CORRELATION, 0);
    if (remote == NULL || remote->state == DXI_REMOTE_LEAVING || remote->answer_leaving) {
        say_no_such(session, correlated, correlation);
        return DX_OK;
    }
    if ((frame->header->flags & DX_FRAME_HOLD) != 0) {
        remote->held = true;
        dx_store32_release(&remote->over, 1);
        dxi_session_say_result(session, correlated, correlation, DX_OK, NULL);
        return DX_OK;
    }
    remote->answer_leaving = true;
    remote->leave_correlated = correlated;
    remote->leave_correlation = correlation;
    if (remote->state == DXI_REMOTE_LIVE) {
        leave(remote);
    }
    return DX_OK;
}

/* --------------------------------------------------------------------------------------- asking */

static void subscribed_in_loop(void *context)
{
    dxi_remote_t *remote = context;
    dxi_session_t *session = remote->session;
    if (session->connection == NULL) {
        return;
    }
    session->commands--;
    dxi_session_say_result(session, remote->correlated, remote->correlation, remote->code,
                           remote->sentence);
    if (remote->code != DX_OK) {
        if (remote->answer_leaving) {
            say_no_such(session, remote->leave_correlated, remote->leave_correlation);
        }
        remote_free(remote);
        return;
    }
    remote->state = DXI_REMOTE_LIVE;
    /* RELEASE, pairs with may_deliver(): the ACK is in the sending ring before any delivery. */
    dx_store32_release(&remote->live, 1);
    if (remote->error.code != DX_OK) { /* its shard has ended it since */
        say_ended(remote, remote->error.code, remote->error.message);
        leave(remote);
    } else if (remote->answer_leaving) {
        leave(remote);
    } else {
        dxi_attachment_feed(&remote->base);
    }
}

static void subscribe_command(dxi_command_t *command)
{
    dxi_remote_t *remote = (dxi_remote_t *)(void *)command;
    dx_bus_t *bus = remote->base.bus;
    dx_error_t error = {0};
    (void)pthread_mutex_lock(&bus->command_mutex);
    remote->code = dxi_bus_runs(bus) ? dxi_attachment_attach(&remote->base, &error)
                                     : dxi_bus_not_running(bus, &error);
    (void)pthread_mutex_unlock(&bus->command_mutex);
    (void)snprintf(remote->sentence, sizeof remote->sentence, "%s", error.message);
    remote->task = (dxi_task_t){.run = subscribed_in_loop, .context = remote};
    dxi_loop_post(remote->session->home->loop, &remote->task);
}

/* Texts of a SUBSCRIBE, ended by NUL. */
typedef struct asked {
    char pattern[DX_TOPIC_BYTES_MAX + 1];
    char group[DX_GROUP_BYTES_MAX + 1];
    char filter[DX_FILTER_BYTES_MAX + 1];
    char texts[DXI_TEXT_BYTES_MAX];
    dx_subscription_options_t options;
} asked_t;

/* Copies the text of a part. Returns false when it has a NUL inside. */
static bool text_of(const dx_frame_view_t *frame, int part, char *text_out)
{
    uint32_t bytes = 0;
    const char *text = dx_frame_part(frame, part, &bytes);
    if (bytes != 0) {
        memcpy(text_out, text, bytes);
    }
    text_out[bytes] = '\0';
    return strlen(text_out) == bytes;
}

static int asked_read(const dx_frame_view_t *frame, asked_t *asked, dx_error_t *error)
{
    memset(&asked->options, 0, sizeof asked->options);
    if (frame->payload_bytes != 0) {
        const int code = dxi_subscription_options_read(frame->payload, frame->payload_bytes,
                                                       &asked->options, asked->texts, error);
        if (code != DX_OK) {
            return code;
        }
    }
    if (!text_of(frame, DX_PART_TOPIC, asked->pattern) ||
        !text_of(frame, DX_PART_GROUP, asked->group) ||
        !text_of(frame, DX_PART_FILTER, asked->filter)) {
        return dxi_fail(error, DX_EINVAL, "a text of the SUBSCRIBE has a NUL inside");
    }
    asked->options.pattern = asked->pattern;
    asked->options.group = asked->group[0] != '\0' ? asked->group : NULL;
    asked->options.filter = asked->filter[0] != '\0' ? asked->filter : NULL;
    uint32_t bytes = 0;
    const dx_frame_start_t *start = dx_frame_part(frame, DX_PART_START, &bytes);
    if (start != NULL) {
        if (start->from > DX_FRAME_FROM_TIME) {
            return dxi_fail(error, DX_EINVAL, "START says %u, must be from 0 to %d", start->from,
                            DX_FRAME_FROM_TIME);
        }
        asked->options.from = (dx_start_from_t)start->from;
        asked->options.from_value = start->value;
    }
    return dxi_subscription_options_check(&asked->options, error);
}

/* Makes the remote of a SUBSCRIBE. Returns NULL with `error`. */
static dxi_remote_t *remote_make(dxi_session_t *session, const dx_frame_view_t *frame,
                                 const asked_t *asked, dx_error_t *error)
{
    const uint64_t number = dx_frame_part_u64(frame, DX_PART_SUBSCRIPTION, 0);
    const int64_t wanted = dx_load_relaxed(&session->policy->subscriptions_max);
    const uint32_t most = wanted != 0 ? (uint32_t)wanted : SUBSCRIPTIONS_MAX_DEFAULT;
    if (dxi_session_remote(session, number) != NULL) {
        (void)dxi_fail(error, DX_EEXIST, "there is a subscription of number %llu",
                       (unsigned long long)number);
        return NULL;
    }
    if (session->remote_count >= most) {
        (void)dxi_fail(error, DX_ELIMIT, "the connection has %u subscriptions, which is the limit",
                       session->remote_count);
        return NULL;
    }
    dxi_remote_t *remote = dxi_alloc_zeroed(1, sizeof *remote);
    if (remote == NULL) {
        (void)dxi_fail(error, DX_ENOMEM, "no memory for a subscription");
        return NULL;
    }
    remote->session = session;
    remote->number = number;
    remote->instance = ++session->home->sessions->instances;
    remote->state = DXI_REMOTE_ASKED;
    if (dxi_attachment_init(&remote->base, session->bus, &asked->options, true, error) != DX_OK) {
        dxi_attachment_close(&remote->base);
        dxi_free(remote);
        return NULL;
    }
    remote->base.known_ns = frame->header->timestamp_ns;
    remote->base.packs = session->packs;
    remote->base.deliver = remote_deliver;
    remote->base.gap = remote_gap;
    remote->base.end = remote_end;
    dxi_remote_deliver_make(remote);
    dxi_remote_t **bucket = &session->remotes[bucket_of(number)];
    remote->next = *bucket;
    *bucket = remote;
    session->remote_count++;
    return remote;
}

int dxi_session_subscribe(dxi_session_t *session, const dx_frame_view_t *frame, dx_error_t *error)
{
    const bool correlated = dx_frame_has(frame, DX_PART_CORRELATION);
    const uint64_t correlation = dx_frame_part_u64(frame, DX_PART_CORRELATION, 0);
    uint32_t bytes = 0;
    asked_t asked;
    dx_error_t refusal = {0};
    (void)dx_frame_part(frame, DX_PART_SUBSCRIPTION, &bytes);
    if (bytes != sizeof(uint64_t)) {
        return dxi_fail(error, DX_EINVAL, "SUBSCRIBE has %u bytes of SUBSCRIPTION, must be 8",
                        bytes);
    }
    dxi_remote_t *remote = NULL;
    bool is_inbox = false;
    int code = asked_read(frame, &asked, &refusal);
    if (code == DX_OK) {
        code = dxi_session_may_subscribe(session, &asked.options, &is_inbox, &refusal);
    }
    if (code == DX_OK) {
        remote = remote_make(session, frame, &asked, &refusal);
        code = refusal.code;
    }
    if (is_inbox && remote == NULL) {
        dxi_access_inbox_leave(session->policy->access, asked.options.pattern, dx_clock_ns());
    }
    if (remote == NULL) {
        dxi_session_say_result(session, correlated, correlation, code, refusal.message);
        return DX_OK;
    }
    remote->is_inbox = is_inbox;
    remote->correlated = correlated;
    remote->correlation = correlation;
    remote->command.run = subscribe_command;
    session->commands++;
    dxi_command_post(session->bus, &remote->command);
    return DX_OK;
}

/* ------------------------------------------------------------------------ credit, acknowledging */

/* A position of the client, as far as our counts reach. */
static int64_t position(uint64_t value)
{
    return value > INT64_MAX ? INT64_MAX : (int64_t)value;
}

int dxi_session_credit(dxi_session_t *session, const dx_frame_view_t *frame, dx_error_t *error)
{
    (void)error;
    if (!dx_frame_has(frame, DX_PART_SUBSCRIPTION)) {
        return DX_OK; /* what bounds a client bounds its subscriptions */
    }
    dxi_remote_t *remote =
        dxi_session_remote(session, dx_frame_part_u64(frame, DX_PART_SUBSCRIPTION, 0));
    if (remote == NULL || remote->state == DXI_REMOTE_LEAVING) {
        return DX_OK; /* it was on its way when the subscription ended */
    }
    uint32_t bytes = 0;
    const dx_frame_credit_t *credit = dx_frame_part(frame, DX_PART_CREDIT, &bytes);
    const int64_t events_most = position(credit->events);
    const int64_t bytes_most = position(credit->bytes);
    if (events_most > dx_load_relaxed(&remote->credit_events)) {
        dx_store_relaxed(&remote->credit_events, events_most);
    }
    if (bytes_most > dx_load_relaxed(&remote->credit_bytes)) {
        dx_store_relaxed(&remote->credit_bytes, bytes_most);
    }
    if (remote->state == DXI_REMOTE_LIVE) {
        dxi_attachment_feed(&remote->base);
    }
    return DX_OK;
}

int dxi_session_acknowledge(dxi_session_t *session, const dx_frame_view_t *frame, dx_error_t *error)
{
    uint32_t topic_bytes = 0;
    uint32_t bytes = 0;
    const char *topic = dx_frame_part(frame, DX_PART_TOPIC, &topic_bytes);
    const dx_frame_range_t *range = dx_frame_part(frame, DX_PART_RANGE, &bytes);
    const uint16_t shard = frame->header->shard;
    if (!dx_frame_has(frame, DX_PART_SUBSCRIPTION) || topic == NULL || range == NULL ||
        range->first > range->last || range->first == 0) {
        return dxi_fail(error, DX_EINVAL, "%s needs SUBSCRIPTION, TOPIC and RANGE, from 1 on",
                        dx_frame_type_name(frame->header->type));
    }
    dxi_remote_t *remote =
        dxi_session_remote(session, dx_frame_part_u64(frame, DX_PART_SUBSCRIPTION, 0));
    if (remote == NULL || remote->state != DXI_REMOTE_LIVE) {
        return DX_OK; /* what was pending has gone to others */
    }
    dxi_part_t *part =
        shard < session->bus->options.shards ? dxi_attachment_part(&remote->base, shard) : NULL;
    if (part == NULL) {
        return dxi_fail(error, DX_EINVAL, "the subscription has no part in shard %u", shard);
    }
    int code = DX_OK;
    if (frame->header->type == DX_FRAME_NACK) {
        const dx_frame_code_t *reason = dx_frame_part(frame, DX_PART_CODE, &bytes);
        code = reason->code;
        if (code >= 0) {
            return dxi_fail(error, DX_EINVAL, "CODE is %d, must be negative", code);
        }
    }
    const int taken = dxi_part_ack(part, topic, topic_bytes, range->first, range->last, code, true);
    if (taken == DX_EAGAIN) {
        dxi_session_wait(session, NULL, 0);
    }
    if (taken == DX_OK) {
        dxi_part_ack_post(part);
    }
    return taken;
}
