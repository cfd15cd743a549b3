/* session_frames.c - what a client's frames mean, and its events on their way into a shard's ring.
 *
 * DESIGN
 *
 * PUBLISH, REQUEST and REPLY were checked by the connection. Where the shard is this loop's and its
 * ring is empty they go to it from the receive buffer (lane.c, the short way); else they are copied
 * into a span of the ring as they are, and published at once. Bells of other loops are rung when no
 * more frames are there. When the ring has no room the frame waits: in the connection, which then
 * reads nothing, or, where the client has subscriptions, aside (session_aside.c).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/fail.h"
#include "bus/session_access.h"
#include "bus/trace.h"
#include "wire/pack.h"

/* --------------------------------------------------------------------------------------- events */

/* What was sent has used credit, whatever becomes of it: the sender counts all of it. */
static void credit_renew(dxi_session_t *session, uint32_t events, uint32_t bytes)
{
    const dxi_credit_t window = dxi_session_window(session);
    session->taken_events += events;
    session->taken_bytes += bytes;
    if (DX_UNLIKELY((int64_t)(session->granted_events - session->taken_events) <=
                        (int64_t)(window.events / 2) ||
                    (int64_t)(session->granted_bytes - session->taken_bytes) <=
                        (int64_t)(window.bytes / 2))) {
        if (session->access != NULL && session->access->limited) {
            dxi_session_rate_renew(session);
            return;
        }
        session->granted_events = session->taken_events + window.events;
        session->granted_bytes = session->taken_bytes + window.bytes;
        session->credit_due = true;
    }
}

int dxi_session_event_refuse(dxi_session_t *session, const dx_frame_view_t *frame, int code,
                             const dx_error_t *error)
{
    const dx_frame_header_t *header = frame->header;
    const bool asked = header->type == DX_FRAME_REQUEST;
    credit_renew(session, dxi_frame_events(header), frame->bytes);
    if (!asked && (header->flags & DX_FRAME_ACK_WANTED) == 0) {
        return code;
    }
    dxi_session_take_answer(
        session, &(dxi_answer_t){.code = code,
                                 .producer_id = header->producer_id,
                                 .producer_sequence = header->producer_sequence,
                                 .correlation = dx_frame_part_u64(frame, DX_PART_CORRELATION, 0),
                                 .sentence = error->message});
    return DX_OK;
}

/* The topics of the bus itself are closed to clients, but for the inboxes that replies go to. */
static int topic_allowed(const dx_frame_view_t *frame, const char *topic, uint32_t bytes,
                         dx_error_t *error)
{
    static const char inbox[] = "$inbox.";
    if (topic == NULL) {
        return dxi_fail(error, DX_ENOTSUP, "%s needs TOPIC: topics have no numbers here",
                        dx_frame_type_name(frame->header->type));
    }
    if (DX_UNLIKELY(topic[0] == '$') &&
        (frame->header->type != DX_FRAME_REPLY || bytes < sizeof inbox ||
         memcmp(topic, inbox, sizeof inbox - 1) != 0)) {
        return dxi_fail(error, DX_EPERM, "topic \"%.*s\" begins with '$', which is for the node",
                        (int)bytes, topic);
    }
    return DX_OK;
}

/* Gives a frame, in memory that may be written, to its shard: at once, or into its ring.
 * Returns as dxi_lane_put(), and DX_ECLOSED when the loop can't have a producer there. */
DX_INLINE int event_give(dxi_session_t *session, dxi_lane_t *lane, void *frame, uint32_t bytes,
                         uint64_t ticks)
{
    dxi_bus_loop_t *home = session->home;
    if (lane->owner == home) {
        const int code = dxi_lane_take(lane, frame, bytes, session->origin, ticks);
        dxi_session_commit(session); /* O1: what it gets itself; the others at the pause */
        if (code != DX_EAGAIN) {
            return code;
        }
    }
    dx_producer_t *producer = dxi_bus_loop_producer(home, lane);
    if (DX_UNLIKELY(producer == NULL)) {
        return DX_ECLOSED;
    }
    return dxi_lane_put(lane, producer, frame, bytes, session->origin, ticks);
}

/* The same where there is a tracer: a frame that is traced goes as a copy with its context. */
DX_NOINLINE static int event_trace(dxi_session_t *session, dxi_lane_t *lane,
                                   const dx_frame_view_t *frame, uint64_t ticks)
{
    dxi_traced_t traced;
    dx_frame_header_t *copy = NULL;
    uint32_t bytes = 0;
    if (!dxi_trace_edge(session, frame, ticks, &traced, &copy, &bytes)) {
        return event_give(session, lane, (void *)(uintptr_t)frame->header, frame->bytes, ticks);
    }
    const int code = event_give(session, lane, copy, bytes, ticks);
    dxi_free(copy);
    dxi_trace_published(session->bus, &session->home->sessions->sampler, &traced, code);
    return code;
}

int dxi_session_event_put(dxi_session_t *session, dxi_lane_t *lane, const dx_frame_view_t *frame,
                          uint64_t ticks)
{
    dxi_session_table_t *table = session->home->sessions;
    const uint32_t frame_bytes = frame->bytes;
    const uint32_t events = dxi_frame_events(frame->header);
    const bool wanted = (frame->header->flags & DX_FRAME_ACK_WANTED) != 0;
    /* The memory is ours: the shard stamps the frame where it lies. */
    const int code =
        DX_UNLIKELY(session->bus->options.tracer != NULL)
            ? event_trace(session, lane, frame, ticks)
            : event_give(session, lane, (void *)(uintptr_t)frame->header, frame_bytes, ticks);
    if (DX_UNLIKELY(code < 0)) {
        if (code == DX_EAGAIN) {
            dxi_loop_bell(lane->owner->loop, lane->owner->bell);
        }
        return code;
    }
    if (lane->owner != session->home) {
        table->bells_due |= UINT32_C(1) << lane->owner->index;
    }
    session->unanswered += wanted;
    session->events_in += events;
    dxi_count(&table->events_in, events);
    dxi_count(&table->bytes_in, frame_bytes);
    credit_renew(session, events, frame_bytes);
    return DX_OK;
}

static int event_take(dxi_session_t *session, const dx_frame_view_t *frame, dx_error_t *error)
{
    dxi_session_table_t *table = session->home->sessions;
    uint32_t topic_bytes = 0;
    uint32_t key_bytes = 0;
    const char *topic = dx_frame_part(frame, DX_PART_TOPIC, &topic_bytes);
    const void *key = dx_frame_part(frame, DX_PART_KEY, &key_bytes);
    int code = topic_allowed(frame, topic, topic_bytes, error);
    if (DX_UNLIKELY(session->access != NULL) && code == DX_OK) {
        code = dxi_session_may_send(session, frame, topic, topic_bytes, error);
        if (code == DX_EAGAIN) {
            return DX_EAGAIN; /* dxi_sessions_slowed_run() offers it again */
        }
    }
    if (code == DX_OK && !dxi_bus_runs(session->bus)) {
        (void)dxi_bus_not_running(session->bus, error);
        code = DX_ECLOSED;
    }
    if (DX_UNLIKELY(code != DX_OK)) {
        return dxi_session_event_refuse(session, frame, code, error);
    }
    if (DX_UNLIKELY(session->access != NULL) && frame->header->producer_id != 0) {
        dxi_session_owner_stamp(session, frame);
    }
    dxi_lane_t *lane = dxi_bus_lane_of(session->bus, topic, topic_bytes, key, key_bytes);
    if (DX_UNLIKELY(frame->bytes > lane->frame_bytes_max)) {
        code = dxi_fail(error, DX_ELIMIT, "the frame has %u bytes, a shard takes at most %u",
                        frame->bytes, lane->frame_bytes_max);
        return dxi_session_event_refuse(session, frame, code, error);
    }
    if (table->ticks == 0) {
        table->ticks = dx_tsc_ticks(session->bus->tsc);
    }
    if (DX_LIKELY(dxi_aside_empty(&session->aside))) {
        code = dxi_session_event_put(session, lane, frame, table->ticks);
        if (DX_LIKELY(code == DX_OK)) {
            return DX_OK;
        }
        if (code != DX_EAGAIN) {
            (void)dxi_fail(error, code, "the event was not taken: %s", dx_error_text(code));
            return dxi_session_event_refuse(session, frame, code, error);
        }
    }
    return dxi_session_set_aside(session, lane, frame, table->ticks);
}

/* --------------------------------------------------------------------------------------- frames */

static int frame_take(dxi_session_t *session, const dx_frame_view_t *frame, dx_error_t *error)
{
    switch (frame->header->type) {
    case DX_FRAME_PUBLISH:
    case DX_FRAME_REQUEST:
    case DX_FRAME_REPLY:
        return event_take(session, frame, error);
    case DX_FRAME_CREDIT:
        return dxi_session_credit(session, frame, error);
    case DX_FRAME_ACK:
    case DX_FRAME_NACK:
        return dxi_session_acknowledge(session, frame, error);
    case DX_FRAME_SUBSCRIBE:
        return dxi_session_subscribe(session, frame, error);
    case DX_FRAME_UNSUBSCRIBE:
        return dxi_session_unsubscribe(session, frame, error);
    case DX_FRAME_TOPIC_CREATE:
    case DX_FRAME_TOPIC_CHANGE:
    case DX_FRAME_TOPIC_DELETE:
    case DX_FRAME_TOPIC_LIST:
    case DX_FRAME_TOPIC_STATS:
    case DX_FRAME_ASK:
        return dxi_session_command(session, frame, error);
    case DX_FRAME_ERROR:
        return DX_OK; /* what we said was not understood; the connection has written it down */
    default:
        return dxi_fail(error, DX_ENOTSUP, "a client may not send %s",
                        dx_frame_type_name(frame->header->type));
    }
}

int dxi_session_frame(void *context, dxi_connection_t *connection, const dx_frame_view_t *frame,
                      dx_error_t *error)
{
    dxi_session_t *session = context;
    (void)connection;
    if (DX_UNLIKELY(dxi_session_overloaded(session))) {
        dxi_session_wait(session, NULL, 0);
        return DX_EAGAIN;
    }
    const int code = frame_take(session, frame, error);
    if (DX_UNLIKELY(code < 0 && code != DX_EAGAIN)) {
        dxi_count(&session->home->sessions->refused, 1);
    }
    return code;
}

void dxi_session_bells(dxi_bus_loop_t *home)
{
    dxi_session_table_t *table = home->sessions;
    while (table->bells_due != 0) {
        dxi_bus_loop_t *const loop = &home->bus->loops[__builtin_ctz(table->bells_due)];
        table->bells_due &= table->bells_due - 1;
        dxi_loop_bell(loop->loop, loop->bell);
    }
}

void dxi_session_pause(void *context, dxi_connection_t *connection)
{
    dxi_session_t *session = context;
    dxi_session_table_t *table = session->home->sessions;
    (void)connection;
    table->ticks = 0;
    dxi_bus_loop_settle(session->home); /* O1: other connections have their turn now */
    dxi_session_bells(session->home);
    dxi_session_grant(session);
}
