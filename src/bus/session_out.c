/* session_out.c - what goes to a client: deliveries, answers, credit.
 *
 * DESIGN
 *
 * Deliveries. A piece of the sending ring is claimed, and filled with runs: a DELIVER frame and the
 * EVENT frames of one subscription behind it, copied once. What belongs to DELIVER and is not known
 * at its start (how many events) is filled in when the run ends. At the end of the shard's turn, or
 * of what a connection has received (settle), everything is committed, and the connection writes
 * it.
 *
 * Answers to publications are put together: consecutive ones are one ACK with a RANGE.
 *
 * Frames that must not wait for room (answers, gaps, what other loops have sent) go into the outbox
 * when there is none; while it holds anything, everything else goes behind it or waits, so the
 * order stays. Its size is bounded by what a client can ask for; a client that asks and never reads
 * is ended at DXI_OUTBOX_BYTES_MAX. A list of topics can be longer: it comes piece by piece
 * (session_commands.c).
 *
 * INVARIANTS
 *
 *   O1  a claimed piece is committed or given up before anything else is claimed, and before the
 *       thread returns to the connection
 *   O2  while the outbox is not empty, nothing goes past it
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/fail.h"
#include "bus/trace.h"
#include "wire/pack.h"

#define OUTBOX_BYTES_FIRST ((size_t)4096)
#define DELIVER_ATTEMPT_BYTES 112

/* --------------------------------------------------------------------------------------- outbox */

static bool outbox_empty(const dxi_session_t *session)
{
    return session->outbox.end == session->outbox.begin;
}

bool dxi_session_says_more(const dxi_session_t *session)
{
    return session->ack_count != 0 || !outbox_empty(session);
}

/* Room for `bytes` at the end of the outbox; NULL when the session has ended over it. */
static char *outbox_room(dxi_session_t *session, size_t bytes)
{
    dxi_outbox_t *box = &session->outbox;
    const size_t used = box->end - box->begin;
    if (box->end + bytes <= box->room) {
        return box->bytes + box->end;
    }
    size_t room = box->room == 0 ? OUTBOX_BYTES_FIRST : box->room;
    while (room < (used + bytes) * 2) {
        room *= 2;
    }
    char *grown = used + bytes > DXI_OUTBOX_BYTES_MAX ? NULL : dxi_alloc_zeroed(1, room);
    if (grown == NULL) {
        dxi_session_end(session, DX_ELIMIT, "the client does not read its answers");
        return NULL;
    }
    if (used != 0) {
        memcpy(grown, box->bytes + box->begin, used);
    }
    dxi_free(box->bytes);
    box->bytes = grown;
    box->begin = 0;
    box->end = used;
    box->room = room;
    return box->bytes + box->end;
}

static void outbox_add(dxi_session_t *session, const void *frame, size_t bytes)
{
    char *room = outbox_room(session, bytes);
    if (room != NULL) {
        memcpy(room, frame, bytes);
        session->outbox.end += bytes;
    }
}

/* Sends what is in the outbox, as far as there is room. */
static void outbox_send(dxi_session_t *session)
{
    dxi_outbox_t *box = &session->outbox;
    while (box->begin < box->end) {
        const dx_frame_header_t *frame = (const void *)(box->bytes + box->begin);
        const uint32_t bytes = dx_frame_header_frame_bytes(frame);
        if (dxi_connection_send(session->connection, frame, bytes) == DX_EAGAIN) {
            return;
        }
        box->begin += bytes; /* sent, or nobody is there to read it */
    }
    dxi_free(box->bytes);
    (void)dx_fetch_add_relaxed(&session->flight, -box->flight);
    *box = (dxi_outbox_t){0};
}

bool dxi_session_room(const dxi_session_t *session)
{
    return outbox_empty(session) && session->connection != NULL && !session->ends;
}

/* ----------------------------------------------------------------------------------------- runs */

void dxi_remote_deliver_make(dxi_remote_t *remote)
{
    const uint64_t zero = 0;
    const dx_frame_part_t parts[] = {
        dx_frame_part_of(DX_PART_SUBSCRIPTION, &remote->number, sizeof remote->number),
        dx_frame_part_of(DX_PART_COUNT, &zero, sizeof zero),
    };
    const int64_t bytes = dx_frame_encode(
        remote->deliver, sizeof remote->deliver,
        &(dx_frame_draft_t){.type = DX_FRAME_DELIVER, .parts = parts, .part_count = 2}, NULL, NULL);
    assert(bytes == DXI_DELIVER_BYTES);
    (void)bytes;
}

/* Writes a DELIVER for such deliveries. Returns its bytes. */
static size_t deliver_write(char *to, const dxi_remote_t *remote, const dxi_delivery_t *delivery)
{
    assert(remote != NULL);
    dx_frame_header_t *const header = (dx_frame_header_t *)(void *)to;
    if (DX_LIKELY(delivery->attempt <= 1 && !delivery->redelivered)) {
        memcpy(to, remote->deliver, DXI_DELIVER_BYTES);
        header->sequence = delivery->held;
        return DXI_DELIVER_BYTES;
    }
    const uint64_t zero = 0;
    const uint32_t counted = delivery->attempt == 0 ? 1 : delivery->attempt;
    const dx_frame_part_t parts[] = {
        dx_frame_part_of(DX_PART_SUBSCRIPTION, &remote->number, sizeof remote->number),
        dx_frame_part_of(DX_PART_ATTEMPT, &counted, sizeof counted),
        dx_frame_part_of(DX_PART_COUNT, &zero, sizeof zero),
    };
    void *payload = NULL;
    const int64_t bytes = dx_frame_begin(
        to, DELIVER_ATTEMPT_BYTES,
        &(dx_frame_draft_t){.type = DX_FRAME_DELIVER,
                            .flags = delivery->redelivered ? DX_FRAME_REDELIVERED : 0,
                            .parts = parts,
                            .part_count = 3},
        &payload, NULL);
    assert(bytes == DELIVER_ATTEMPT_BYTES);
    header->sequence = delivery->held;
    return (size_t)bytes;
}

/* COUNT is the last part of a DELIVER, and its value the last 8 bytes. */
static void deliver_seal(char *deliver, size_t bytes, uint64_t count)
{
    memcpy(deliver + bytes - sizeof count, &count, sizeof count);
    dx_frame_seal(deliver);
}

/* Ends the open DELIVER. */
static void run_end(dxi_run_t *run)
{
    if (run->remote != NULL) {
        deliver_seal(run->base + run->head, run->head_bytes, run->count);
        run->remote = NULL;
    }
}

/* Commits what was filled (O1). */
static void run_commit(dxi_session_t *session)
{
    dxi_run_t *run = &session->run;
    if (run->base == NULL) {
        return;
    }
    run_end(run);
    if (session->connection != NULL && run->used != 0) {
        dxi_connection_commit(session->connection, run->used);
    }
    run->base = NULL;
    run->used = 0;
    run->room = 0;
}

void dxi_session_commit(dxi_session_t *session)
{
    run_commit(session);
}

/* Claims a piece that has room for `bytes`. */
static bool run_claim(dxi_session_t *session, size_t bytes)
{
    dxi_run_t *run = &session->run;
    run_commit(session);
    const size_t room = dxi_connection_room(session->connection) & ~(size_t)7;
    size_t wanted = room < DXI_RUN_BYTES ? room : DXI_RUN_BYTES;
    wanted = wanted < bytes ? bytes : wanted;
    run->base = dxi_connection_claim(session->connection, wanted);
    run->room = run->base == NULL ? 0 : wanted;
    return run->base != NULL;
}

/* Begins a DELIVER with room for this delivery. */
static bool run_begin(dxi_session_t *session, const dxi_remote_t *remote,
                      const dxi_delivery_t *delivery)
{
    dxi_run_t *run = &session->run;
    if (run->base != NULL) {
        run_end(run);
    }
    const size_t bytes = DELIVER_ATTEMPT_BYTES + (size_t)delivery->bytes;
    if (run->used + bytes > run->room && !run_claim(session, bytes)) {
        return false;
    }
    assert(run->base != NULL);
    run->head = run->used;
    run->head_bytes = deliver_write(run->base + run->head, remote, delivery);
    run->used += run->head_bytes;
    run->count = 0;
    run->remote = remote;
    run->attempt = delivery->attempt;
    run->redelivered = delivery->redelivered;
    run->held = delivery->held;
    dxi_session_dirty(session);
    return true;
}

/* Whether a delivery may stand behind the open DELIVER. What that says as `held` may be too low,
 * which only means that more is given again. */
static bool run_takes(const dxi_run_t *run, const dxi_remote_t *remote,
                      const dxi_delivery_t *delivery)
{
    return run->remote == remote && run->attempt == delivery->attempt &&
           run->redelivered == delivery->redelivered && run->used + delivery->bytes <= run->room &&
           (run->held == delivery->held || (run->held != 0 && run->held < delivery->held));
}

static void count_out(dxi_session_t *session, uint32_t events, uint32_t bytes)
{
    session->events_out += events;
    dxi_count(&session->home->sessions->events_out, events);
    dxi_count(&session->home->sessions->bytes_out, bytes);
}

bool dxi_session_put(dxi_session_t *session, const dxi_remote_t *remote,
                     const dxi_delivery_t *delivery)
{
    dxi_run_t *run = &session->run;
    if (DX_UNLIKELY(!run_takes(run, remote, delivery)) &&
        (!dxi_session_room(session) || !run_begin(session, remote, delivery))) {
        return false;
    }
    const uint32_t events = dxi_frame_events(delivery->frame);
    memcpy(run->base + run->used, delivery->frame, delivery->bytes);
    if (dxi_is_traced(delivery->frame)) {
        dxi_trace_sent(session, run->base + run->used, delivery->bytes, delivery->attempt);
    }
    run->used += delivery->bytes;
    run->count += events;
    count_out(session, events, delivery->bytes);
    return true;
}

void dxi_session_put_aside(dxi_session_t *session, const dxi_remote_t *remote,
                           const dxi_delivery_t *delivery)
{
    run_commit(session);
    char *room = outbox_room(session, DELIVER_ATTEMPT_BYTES + (size_t)delivery->bytes);
    if (room == NULL) {
        return;
    }
    const size_t head_bytes = deliver_write(room, remote, delivery);
    const uint32_t events = dxi_frame_events(delivery->frame);
    deliver_seal(room, head_bytes, events);
    memcpy(room + head_bytes, delivery->frame, delivery->bytes);
    if (dxi_is_traced(delivery->frame)) {
        dxi_trace_sent(session, room + head_bytes, delivery->bytes, delivery->attempt);
    }
    session->outbox.end += head_bytes + delivery->bytes;
    count_out(session, events, delivery->bytes);
    dxi_session_dirty(session); /* the outbox is tried, which says that room is wanted */
}

/* --------------------------------------------------------------------------------- other frames */

void dxi_session_say_frame(dxi_session_t *session, const void *frame, size_t bytes)
{
    if (session->connection == NULL) {
        return;
    }
    run_commit(session);
    if (!outbox_empty(session) ||
        dxi_connection_send(session->connection, frame, bytes) == DX_EAGAIN) {
        outbox_add(session, frame, bytes);
    }
}

void dxi_session_say(dxi_session_t *session, const dx_frame_draft_t *draft, const void *payload)
{
    if (session->connection == NULL) {
        return;
    }
    run_commit(session);
    dx_error_t error;
    if (outbox_empty(session)) {
        const int code = dxi_connection_encode(session->connection, draft, payload, &error);
        if (code != DX_EAGAIN) {
            assert(code == DX_OK || code == DX_ECLOSED || code == DX_ELIMIT);
            return;
        }
    }
    const int64_t bytes = dx_frame_bytes(draft, &error);
    char *room = bytes < 0 ? NULL : outbox_room(session, (size_t)bytes);
    if (room != NULL && dx_frame_encode(room, (size_t)bytes, draft, payload, &error) == bytes) {
        session->outbox.end += (size_t)bytes;
    }
}

void dxi_session_say_result(dxi_session_t *session, bool correlated, uint64_t correlation, int code,
                            const char *sentence)
{
    const dx_frame_code_t reason = {.code = code};
    dx_frame_part_t parts[2];
    dx_frame_draft_t draft = {.type = code == DX_OK ? DX_FRAME_ACK : DX_FRAME_NACK, .parts = parts};
    if (correlated) {
        parts[draft.part_count++] = dx_frame_part_of(DX_PART_CORRELATION, &correlation, 8);
    }
    if (code != DX_OK) {
        parts[draft.part_count++] = dx_frame_part_of(DX_PART_CODE, &reason, sizeof reason);
        draft.payload_bytes = sentence == NULL ? 0 : (uint32_t)strlen(sentence);
    }
    dxi_session_say(session, &draft, sentence);
}

void dxi_session_say_gap(dxi_session_t *session, const dxi_remote_t *remote, const dx_gap_t *gap)
{
    const dx_frame_range_t range = {gap->first, gap->last};
    const dx_frame_part_t parts[] = {
        dx_frame_part_of(DX_PART_TOPIC, gap->topic, gap->topic_bytes),
        dx_frame_part_of(DX_PART_SUBSCRIPTION, &remote->number, sizeof remote->number),
        dx_frame_part_of(DX_PART_RANGE, &range, sizeof range),
    };
    dxi_count(&session->home->sessions->gaps, 1);
    dxi_session_say(session,
                    &(dx_frame_draft_t){
                        .type = DX_FRAME_GAP, .shard = gap->shard, .parts = parts, .part_count = 3},
                    NULL);
}

/* -------------------------------------------------------------------------------------- answers */

static void ack_send(dxi_session_t *session, const dxi_ack_out_t *ack)
{
    const dx_frame_range_t range = {ack->first, ack->last};
    const dx_frame_part_t part = dx_frame_part_of(DX_PART_RANGE, &range, sizeof range);
    dxi_session_say(session,
                    &(dx_frame_draft_t){.type = DX_FRAME_ACK,
                                        .flags = ack->duplicate ? DX_FRAME_RETRY : 0,
                                        .shard = ack->shard,
                                        .term = ack->term,
                                        .sequence = ack->sequence,
                                        .timestamp_ns = ack->timestamp_ns,
                                        .producer_id = ack->producer_id,
                                        .producer_sequence = ack->last,
                                        .parts = &part,
                                        .part_count = ack->first != ack->last},
                    NULL);
}

static void acks_send(dxi_session_t *session)
{
    for (uint32_t i = 0; i < session->ack_count; i++) {
        ack_send(session, &session->acks[i]);
    }
    session->ack_count = 0;
}

/* A refusal: who asked with a correlation and no number hears by it. */
static void nack_send(dxi_session_t *session, const dxi_answer_t *answer)
{
    const dx_frame_code_t reason = {.code = answer->code};
    const uint64_t events = answer->events;
    dx_frame_part_t parts[3];
    dx_frame_draft_t draft = {.type = DX_FRAME_NACK,
                              .shard = answer->shard,
                              .term = answer->term,
                              .producer_id = answer->producer_id,
                              .producer_sequence = answer->producer_sequence,
                              .parts = parts};
    if (answer->producer_id == 0 && answer->correlation != 0) {
        parts[draft.part_count++] = dx_frame_part_of(DX_PART_CORRELATION, &answer->correlation, 8);
    }
    parts[draft.part_count++] = dx_frame_part_of(DX_PART_CODE, &reason, sizeof reason);
    if (events > 1) {
        parts[draft.part_count++] = dx_frame_part_of(DX_PART_COUNT, &events, sizeof events);
    }
    const char *sentence =
        answer->sentence != NULL ? answer->sentence : dx_error_text(answer->code);
    draft.payload_bytes = (uint32_t)strlen(sentence);
    acks_send(session);
    dxi_session_say(session, &draft, sentence);
}

void dxi_session_take_answer(dxi_session_t *session, const dxi_answer_t *answer)
{
    session->unanswered -= answer->wanted;
    if (session->connection == NULL) {
        return;
    }
    if (answer->code != DX_OK) {
        nack_send(session, answer);
        return;
    }
    if (session->ack_count != 0) {
        dxi_ack_out_t *last = &session->acks[session->ack_count - 1];
        if (last->producer_id == answer->producer_id &&
            last->last + 1 == answer->producer_sequence && last->sequence + 1 == answer->sequence &&
            last->shard == answer->shard && last->term == answer->term &&
            last->duplicate == answer->duplicate) {
            last->last = answer->producer_sequence;
            last->sequence = answer->sequence;
            last->timestamp_ns = answer->timestamp_ns;
            return;
        }
    }
    if (session->ack_count == DXI_SESSION_ACKS) {
        acks_send(session);
    }
    session->acks[session->ack_count++] = (dxi_ack_out_t){.producer_id = answer->producer_id,
                                                          .first = answer->producer_sequence,
                                                          .last = answer->producer_sequence,
                                                          .sequence = answer->sequence,
                                                          .timestamp_ns = answer->timestamp_ns,
                                                          .term = answer->term,
                                                          .shard = answer->shard,
                                                          .duplicate = answer->duplicate};
    dxi_session_dirty(session);
}

void dxi_session_answer(dxi_bus_loop_t *from, uint64_t origin, const dxi_answer_t *answer)
{
    const uint32_t to = dxi_origin_loop(origin);
    if (to == from->index) {
        dxi_session_t *session = dxi_session_find(from, origin);
        if (session != NULL) {
            dxi_session_take_answer(session, answer);
        }
        return;
    }
    dxi_pair_t *pair = dxi_pair_of(from, to);
    if (pair != NULL) {
        const uint32_t sentence =
            answer->sentence == NULL ? 0 : (uint32_t)strlen(answer->sentence) + 1;
        const dxi_record_t record = {
            .to = origin, .kind = DXI_RECORD_ANSWER, .bytes = (uint32_t)sizeof *answer + sentence};
        dxi_pair_push_sure(pair, &record, answer, sizeof *answer, answer->sentence, sentence);
    }
}

/* --------------------------------------------------------------------------------------- credit */

void dxi_session_grant(dxi_session_t *session)
{
    if (!session->credit_due || session->connection == NULL) {
        return;
    }
    const dx_frame_credit_t credit = {session->granted_events, session->granted_bytes};
    const dx_frame_part_t part = dx_frame_part_of(DX_PART_CREDIT, &credit, sizeof credit);
    session->credit_due = false;
    dxi_session_say(session,
                    &(dx_frame_draft_t){.type = DX_FRAME_CREDIT, .parts = &part, .part_count = 1},
                    NULL);
}

/* ------------------------------------------------------------------------------------- settling */

void dxi_session_dirty(dxi_session_t *session)
{
    if (!session->dirty) {
        session->dirty = true;
        session->dirty_next = session->home->sessions->dirty;
        session->home->sessions->dirty = session;
    }
}

void dxi_sessions_settle(dxi_bus_loop_t *loop)
{
    dxi_session_t *session = loop->sessions->dirty;
    loop->sessions->dirty = NULL;
    while (session != NULL) {
        dxi_session_t *next = session->dirty_next;
        session->dirty = false;
        if (session->connection != NULL) {
            run_commit(session);
            acks_send(session);
            if (!outbox_empty(session)) {
                outbox_send(session);
            }
        }
        session = next;
    }
    if (loop->bus->loop_count > 1) {
        dxi_pairs_settle(loop);
    }
}

void dxi_session_writable(void *context, dxi_connection_t *connection)
{
    dxi_session_t *session = context;
    (void)connection;
    outbox_send(session);
    dxi_session_commands_run(session);
    if (outbox_empty(session)) {
        dxi_session_feed(session);
    }
}

void dxi_session_out_close(dxi_session_t *session)
{
    dxi_free(session->outbox.bytes);
    dxi_free(session->aside.bytes);
    session->outbox = (dxi_outbox_t){0};
    session->aside = (dxi_aside_t){0};
}
