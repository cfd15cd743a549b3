/* session_aside.c - events of a session that wait for room, while what is behind them is read.
 *
 * DESIGN
 *
 * An event that finds no room in its shard's ring may wait in the connection, which then reads
 * nothing: the client's own window holds it up, and nothing is copied. But what the client says
 * behind that event may be what makes room: the credit, or the acknowledgement, of a subscription
 * for which the shard waits. So the events of a client that has subscriptions are set aside, and
 * its frames are read on. Once one stands aside, all later ones go behind it.
 *
 *     read -> event ------------------------------> ring
 *                \ (no room, and subscriptions)     ^
 *                 -> aside: record | record | ... --+   in order, when there is room
 *     read -> CREDIT, ACK, ... -> done at once
 *
 * A record is 24 bytes and the frame. New publishing credit is only given for what went into a
 * ring, so a client that keeps to its credit has at most its window here; what is beyond that, or
 * beyond what all sessions together may set aside, waits in the connection as ever.
 *
 * A session whose connection is gone stays until what stands aside is in the rings: it was
 * published.
 *
 * INVARIANTS
 *
 *   E1  events of a session reach the rings in their order
 *   E2  aside <= the window of bytes and one frame, and the sum of all <= DXI_ASIDE_BYTES_MAX and
 *       one frame for each loop
 *   E3  while something stands aside the session is in its loop's list of those that wait
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>

#include "base/fail.h"
#include "bus/session_internal.h"

#define ROOM_FIRST ((size_t)16384)
#define ROOM_KEPT ((size_t)262144) /* a larger block is given back when it is empty */

typedef struct record {
    uint64_t ticks;
    uint32_t bytes; /* of the frame behind it */
    uint32_t slots;
    uint64_t wanted; /* 1: its publisher wants an answer */
} record_t;

static dx_atomic64_t *bytes_of_all(dxi_session_t *session)
{
    return &session->bus->aside_bytes;
}

/* Room for `bytes` at the end; NULL when there is no memory. */
static char *aside_room(dxi_aside_t *aside, size_t bytes)
{
    const size_t used = aside->end - aside->begin;
    if (aside->end + bytes <= aside->room) {
        return aside->bytes + aside->end;
    }
    size_t room = aside->room != 0 ? aside->room : ROOM_FIRST;
    while (room < (used + bytes) * 2) {
        room *= 2;
    }
    char *const grown = dxi_alloc_zeroed(1, room);
    if (grown == NULL) {
        return NULL;
    }
    if (used != 0) {
        memcpy(grown, aside->bytes + aside->begin, used);
    }
    dxi_free(aside->bytes);
    *aside = (dxi_aside_t){.bytes = grown, .end = used, .room = room};
    return aside->bytes + used;
}

int dxi_session_set_aside(dxi_session_t *session, dxi_lane_t *lane, const dx_frame_view_t *frame,
                          uint64_t ticks)
{
    dxi_aside_t *const aside = &session->aside;
    const record_t record = {.ticks = ticks,
                             .bytes = frame->bytes,
                             .slots = (uint32_t)dx_span_slots(frame->bytes),
                             .wanted = (frame->header->flags & DX_FRAME_ACK_WANTED) != 0};
    const bool first = dxi_aside_empty(aside);
    const uint64_t window = dxi_session_window(session).bytes;
    char *at = NULL;
    if (session->remote_count != 0 && aside->end - aside->begin < window &&
        dx_load_relaxed(bytes_of_all(session)) < DXI_ASIDE_BYTES_MAX) { /* E2 */
        at = aside_room(aside, sizeof record + frame->bytes);
    }
    if (first || at == NULL) {
        /* Others that stand aside wait for the first of them. */
        dxi_session_wait(session, first ? lane : session->waits_for,
                         first ? record.slots : session->waits_slots);
    }
    if (at == NULL) {
        return DX_EAGAIN;
    }
    memcpy(at, &record, sizeof record);
    memcpy(at + sizeof record, frame->header, frame->bytes);
    aside->end += sizeof record + frame->bytes;
    session->unanswered += (int64_t)record.wanted;
    (void)dx_fetch_add_relaxed(bytes_of_all(session), (int64_t)(sizeof record + frame->bytes));
    return DX_OK;
}

/* The first is done with. */
static void aside_take(dxi_session_t *session, const record_t *record)
{
    dxi_aside_t *const aside = &session->aside;
    const size_t bytes = sizeof *record + record->bytes;
    session->unanswered -= (int64_t)record->wanted; /* what its shard owes is counted apart */
    aside->begin += bytes;
    (void)dx_fetch_add_relaxed(bytes_of_all(session), -(int64_t)bytes);
    if (!dxi_aside_empty(aside)) {
        return;
    }
    aside->begin = aside->end = 0;
    if (aside->room > ROOM_KEPT || session->connection == NULL) {
        dxi_free(aside->bytes);
        *aside = (dxi_aside_t){0};
    }
}

/* What became of an event that no ring takes any more. */
static void event_lost(dxi_session_t *session, const dx_frame_view_t *view, int code)
{
    dx_error_t error = {0};
    (void)dxi_fail(&error, code, "the event was not taken: %s", dx_error_text(code));
    (void)dxi_session_event_refuse(session, view, code, &error);
    dxi_count(&session->home->sessions->refused, 1);
}

/* The first of those that wait. */
static void aside_first(const dxi_session_t *session, record_t *record_out, dx_frame_view_t *view)
{
    char *const at = session->aside.bytes + session->aside.begin;
    memcpy(record_out, at, sizeof *record_out);
    const int code = dx_frame_view(at + sizeof *record_out, record_out->bytes, view, NULL);
    assert(code == DX_OK); /* it was checked when it came */
    (void)code;
}

void dxi_session_aside_drop(dxi_session_t *session)
{
    while (!dxi_aside_empty(&session->aside)) {
        record_t record;
        dx_frame_view_t view;
        aside_first(session, &record, &view);
        event_lost(session, &view, DX_ECLOSED);
        aside_take(session, &record);
    }
    dxi_free(session->aside.bytes);
    session->aside = (dxi_aside_t){0};
}

void dxi_session_aside_run(dxi_session_t *session)
{
    if (!dxi_bus_runs(session->bus)) {
        dxi_session_aside_drop(session);
        return;
    }
    while (!dxi_aside_empty(&session->aside)) {
        record_t record;
        dx_frame_view_t view;
        aside_first(session, &record, &view);
        uint32_t topic_bytes = 0;
        uint32_t key_bytes = 0;
        const char *const topic = dx_frame_part(&view, DX_PART_TOPIC, &topic_bytes);
        const void *const key = dx_frame_part(&view, DX_PART_KEY, &key_bytes);
        dxi_lane_t *const lane = dxi_bus_lane_of(session->bus, topic, topic_bytes, key, key_bytes);
        const int code = dxi_session_event_put(session, lane, &view, record.ticks);
        if (code == DX_EAGAIN) {
            dxi_session_wait(session, lane, record.slots); /* E3 */
            return;
        }
        if (code != DX_OK) {
            event_lost(session, &view, code);
        }
        aside_take(session, &record);
    }
}
