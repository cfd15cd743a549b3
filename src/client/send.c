/* send.c - from the window into the connection, and back: receipts, retries, what was lost.
 *
 * DESIGN
 *
 * Once per turn of the loop what stands at the window's head goes into the connection's sending
 * ring, as far as the node's credit and the ring reach: plain messages as frames or packs
 * (plain.h); frames without a receipt as one copy of as many as stand in a row; those with one each
 * by itself, numbered and sealed on the way. A numbered one stays in the window until it is
 * answered, and `unanswered` says where:
 *
 *     producer sequence   oldest                      resend            next
 *                           |  x  .  x  .  .  x  .  .   |   .   .   .    |        x answered
 *                           |  sent on this connection  | to be sent again
 *
 * When a connection breaks, `resend` goes back to `oldest`, and what has no answer is sent again,
 * under its number, before anything new. The node takes each number once.
 *
 * What has no receipt is gone from here once it is in the sending ring. `marks` remember, copy
 * by copy, how many bytes and how many such frames had been put into the ring; when the connection
 * breaks, those behind the last byte that was written are counted as lost.
 *
 * INVARIANTS
 *
 *   N1  oldest <= resend <= next, and next - oldest <= window_events
 *   N2  the window is released up to the record of `oldest`, or up to its head when there is none
 *   N3  each record with a receipt has it called exactly once: by its answer, or when the client is
 *       closed
 *   N4  frames of the window are sent in its order; on a new connection behind all retries
 *   N5  a frame is begun only below the node's credit; so the last may reach beyond in bytes
 *   N6  everything here belongs to the client's thread, or to a publisher that has borrowed its
 *       loop while it slept (net/loop.h); that one calls no callback
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "client/internal.h"
#include "disruptorx/clock.h"
#include "wire/frame_internal.h"

#define RECORD_BYTES ((int64_t)sizeof(dxi_receipt_record_t))
/* In one turn: answers and events are read in between. */
#define TURN_BYTES (DXI_CLIENT_SEND_BYTES / 2)
#define DIRECT_PAUSE_NS INT64_C(30000)

typedef struct run {
    int64_t bytes;
    int64_t frames;
} run_t;

DX_INLINE int64_t word_bytes(uint64_t word)
{
    return (int64_t)(uint32_t)word + DX_FRAME_SPAN_BYTES;
}

/* Bytes that publications may put into the sending ring now. One frame that is longer than the
 * whole ring makes it grow, when it is empty. */
static int64_t room_for_publications(const dx_client_t *client)
{
    const size_t room = dxi_connection_room(client->connection);
    return room > DXI_CLIENT_RESERVE_BYTES ? (int64_t)(room - DXI_CLIENT_RESERVE_BYTES) : 0;
}

static bool ring_is_empty(const dx_client_t *client)
{
    return dxi_connection_pending(client->connection) == 0;
}

/* Whether one more frame may begin behind so many. A frame that is longer than what is left goes as
 * well: the node renews when half of its window is used, and might wait for it (N5). */
static bool credit_allows(const dx_client_t *client, int64_t frames, int64_t bytes)
{
    return client->sent_events + (uint64_t)frames < client->credit_events &&
           client->sent_bytes + (uint64_t)bytes < client->credit_bytes;
}

static void sent(dx_client_t *client, int64_t frames, int64_t bytes)
{
    client->sent_events += (uint64_t)frames;
    client->sent_bytes += (uint64_t)bytes;
    client->ring_bytes += (uint64_t)bytes;
}

int dxi_send_frame(dx_client_t *client, const dx_frame_draft_t *draft, const void *payload)
{
    if (!client->open) {
        return DX_EAGAIN;
    }
    const int64_t bytes = dx_frame_bytes(draft, NULL);
    if (bytes < 0) {
        return (int)bytes;
    }
    void *const to = dxi_connection_claim(client->connection, (size_t)bytes);
    if (to == NULL) {
        return DX_EAGAIN;
    }
    const int64_t encoded = dx_frame_encode(to, (size_t)bytes, draft, payload, NULL);
    if (encoded < 0) {
        return (int)encoded;
    }
    dxi_connection_commit(client->connection, (size_t)bytes);
    client->ring_bytes += (uint64_t)bytes;
    return DX_OK;
}

/* ----------------------------------------------------------------------------------- unanswered */

DX_INLINE dxi_unanswered_t *unanswered_of(dx_client_t *client, uint64_t sequence)
{
    return &client->unanswered[sequence & client->unanswered_mask];
}

/* The oldest that is not answered moves on, and the window with it. */
static void release(dx_client_t *client)
{
    int64_t events = 0;
    while (client->oldest != client->next && unanswered_of(client, client->oldest)->position < 0) {
        client->oldest++;
        events++;
    }
    if (client->resend < client->oldest) {
        client->resend = client->oldest;
    }
    if (events != 0) {
        (void)dx_fetch_add_relaxed(&client->window.events, -events);
    }
    dxi_window_release(&client->window, client->oldest == client->next
                                            ? client->window.head
                                            : unanswered_of(client, client->oldest)->position);
}

/* Tells the publisher of a record (N3). */
static void refusal_tell(const dxi_receipt_record_t *record, const dx_receipt_t *receipt,
                         const char *sentence, size_t sentence_bytes)
{
    dx_receipt_t refusal = *receipt;
    char text[DX_ERROR_MESSAGE_BYTES];
    (void)snprintf(text, sizeof text, "%.*s", (int)sentence_bytes, sentence);
    refusal.sentence = sentence_bytes != 0 ? text : dx_error_text(receipt->code);
    record->on_receipt(record->context, &refusal);
}

static void tell(dx_client_t *client, const dxi_receipt_record_t *record,
                 const dx_receipt_t *receipt, const char *sentence, size_t sentence_bytes)
{
    if (receipt->code == DX_OK) {
        dxi_count(&client->counts.acknowledged, 1);
    } else {
        dxi_count(&client->counts.refused, 1);
    }
    if (record->on_receipt == dxi_call_receipt) {
        dxi_call_receipt_take(client, (uint64_t)(uintptr_t)record->context, receipt, sentence,
                              sentence_bytes);
    } else if (DX_LIKELY(receipt->code == DX_OK)) {
        record->on_receipt(record->context, receipt);
    } else {
        refusal_tell(record, receipt, sentence, sentence_bytes);
    }
}

static void answer(dx_client_t *client, uint64_t sequence, const dx_receipt_t *receipt,
                   const char *sentence, size_t sentence_bytes)
{
    if (sequence < client->oldest || sequence >= client->next) {
        return; /* answered on an earlier connection */
    }
    dxi_unanswered_t *const unanswered = unanswered_of(client, sequence);
    if (unanswered->position < 0) {
        return;
    }
    const dxi_receipt_record_t *const record =
        (const dxi_receipt_record_t *)(const void *)dxi_window_at(&client->window,
                                                                  unanswered->position);
    unanswered->position = -1;
    tell(client, record, receipt, sentence, sentence_bytes);
}

void dxi_receipts_take(dx_client_t *client, const dx_frame_view_t *frame)
{
    const dx_frame_header_t *const header = frame->header;
    if (header->producer_id != client->producer_id) {
        return;
    }
    const uint64_t last = header->producer_sequence;
    uint64_t first = last;
    uint32_t bytes = 0;
    const dx_frame_range_t *const range = dx_frame_part(frame, DX_PART_RANGE, &bytes);
    if (range != NULL && range->last == last && range->first < last) {
        first = range->first > client->oldest ? range->first : client->oldest;
    }
    if (last < client->oldest || last >= client->next) {
        return; /* answered on an earlier connection, or never sent */
    }
    dx_receipt_t receipt = {.code = DX_OK,
                            .shard = header->shard,
                            .term = header->term,
                            .timestamp_ns = header->timestamp_ns,
                            .duplicate = (header->flags & DX_FRAME_RETRY) != 0};
    const char *sentence = NULL;
    size_t sentence_bytes = 0;
    if (header->type == DX_FRAME_NACK) {
        const dx_frame_code_t *const code = dx_frame_part(frame, DX_PART_CODE, &bytes);
        receipt.code = code != NULL && code->code < 0 ? code->code : DX_EINVAL;
        sentence = frame->payload;
        sentence_bytes = frame->payload_bytes;
    }
    for (uint64_t i = first; i <= last; i++) {
        receipt.sequence = header->sequence != 0 ? header->sequence - (last - i) : 0;
        answer(client, i, &receipt, sentence, sentence_bytes);
    }
    release(client);
}

void dxi_publish_credit(dx_client_t *client, const dx_frame_view_t *frame)
{
    uint32_t bytes = 0;
    const dx_frame_credit_t *const credit = dx_frame_part(frame, DX_PART_CREDIT, &bytes);
    /* Positions only grow: one that is late or repeated changes nothing. */
    if (credit->events > client->credit_events) {
        client->credit_events = credit->events;
    }
    if (credit->bytes > client->credit_bytes) {
        client->credit_bytes = credit->bytes;
    }
}

/* -------------------------------------------------------------------------------------- sending */

/* A frame with a receipt, sealed under its number, into the sending ring. */
static bool numbered_send(dx_client_t *client, const char *frame, uint64_t sequence, bool retry)
{
    const int64_t bytes = word_bytes(dxi_load64(frame));
    if ((bytes > room_for_publications(client) && !ring_is_empty(client)) ||
        !credit_allows(client, 0, 0)) {
        return false;
    }
    char *const to = dxi_connection_claim(client->connection, (size_t)bytes);
    if (to == NULL) {
        return false;
    }
    dxi_header_words_t words = dxi_header_load(frame);
    words.producer_sequence = sequence;
    if (retry) {
        words.length |= (uint64_t)DX_FRAME_RETRY << 48;
    }
    words.checksum |= dxi_header_checksum(&words);
    memcpy(to + 16, frame + 16, (size_t)bytes - 16);
    dxi_store64(to, words.length);
    dxi_store64(to + 8, words.checksum);
    dxi_store64(to + 48, words.producer_sequence);
    dxi_connection_commit(client->connection, (size_t)bytes);
    sent(client, 1, bytes);
    return true;
}

/* Sends again what the last connection left unanswered. Returns how many; `*all_out`: no more. */
static int retries_send(dx_client_t *client, bool *all_out)
{
    int count = 0;
    while (client->resend != client->next) {
        const int64_t position = unanswered_of(client, client->resend)->position;
        if (position >= 0) {
            const char *const record = dxi_window_at(&client->window, position);
            if (!numbered_send(client, record + RECORD_BYTES, client->resend, true)) {
                *all_out = false;
                return count;
            }
            dxi_count(&client->counts.retried, 1);
            count++;
        }
        client->resend++;
    }
    *all_out = true;
    return count;
}

/* Whether a frame that was put into the window may not be sent to this node at all. */
static bool never_sent(const dx_client_t *client, int64_t bytes)
{
    return bytes > dx_load_relaxed(&client->counts.frame_bytes_max);
}

static void refuse_too_long(dx_client_t *client, const dxi_receipt_record_t *record)
{
    static const char sentence[] = "the message is longer than what this node accepts";
    if (record == NULL) {
        dxi_count(&client->counts.refused, 1);
        return;
    }
    const dx_receipt_t receipt = {.code = DX_ELIMIT};
    tell(client, record, &receipt, sentence, sizeof sentence - 1);
}

/* The record with a receipt at the head. Returns false when it can't be sent now. */
static bool record_send(dx_client_t *client, int64_t record_bytes)
{
    dxi_window_t *const window = &client->window;
    const char *const record = dxi_window_at(window, window->head);
    assert(client->next - client->oldest < (uint64_t)window->events_max); /* N1 */
    if (!never_sent(client, record_bytes - RECORD_BYTES)) {
        if (!numbered_send(client, record + RECORD_BYTES, client->next, false)) {
            return false;
        }
        unanswered_of(client, client->next)->position = window->head;
    } else {
        unanswered_of(client, client->next)->position = -1;
        refuse_too_long(client, (const dxi_receipt_record_t *)(const void *)record);
    }
    if (client->resend == client->next) {
        client->resend++;
    }
    client->next++;
    dxi_window_take(window, record_bytes, 1);
    return true;
}

/* Whether a REQUEST has to wait for the topic that its answer comes to. */
static bool inbox_is_missing(const dx_client_t *client)
{
    const dx_client_subscription_t *const inbox = client->inbox_subscription;
    return client->inbox_code == DX_OK && (inbox == NULL || inbox->state != DXI_SUBSCRIPTION_LIVE);
}

/* The frames without a receipt at the head that can be sent now. */
static run_t run_measure(const dx_client_t *client, int64_t room)
{
    const dxi_window_t *const window = &client->window;
    const int64_t most = dx_load_relaxed(&client->counts.frame_bytes_max);
    run_t run = {.bytes = 0};
    for (;;) {
        const uint32_t note = dxi_window_peek(window, (uint32_t)run.frames);
        if (note == 0 || (note & (DXI_RECORD_RECEIPT | DXI_RECORD_PLAIN)) != 0) {
            return run;
        }
        const int64_t bytes = dxi_record_bytes(note);
        if ((run.bytes + bytes > room && (run.frames != 0 || !ring_is_empty(client))) ||
            bytes > most || !credit_allows(client, run.frames, run.bytes) ||
            ((note & DXI_RECORD_REQUEST) != 0 && inbox_is_missing(client))) {
            return run;
        }
        run.bytes += bytes;
        run.frames++;
    }
}

/* What stands at the head, when it is no run that fits. Returns false when it has to wait. */
static bool head_send(dx_client_t *client)
{
    const uint32_t note = dxi_window_peek(&client->window, 0);
    const int64_t bytes = dxi_record_bytes(note);
    if ((note & DXI_RECORD_RECEIPT) != 0) {
        if (client->lent && never_sent(client, bytes - RECORD_BYTES)) {
            return false; /* its publisher is told by the client's thread */
        }
        return record_send(client, bytes);
    }
    if (note != 0 && (note & DXI_RECORD_PLAIN) == 0 && never_sent(client, bytes)) {
        dxi_window_take(&client->window, bytes, 1);
        refuse_too_long(client, NULL);
        return true;
    }
    return false;
}

static int run_send(dx_client_t *client, int64_t room)
{
    dxi_window_t *const window = &client->window;
    const run_t run = run_measure(client, room);
    if (run.frames == 0) {
        return 0;
    }
    char *const to = dxi_connection_claim(client->connection, (size_t)run.bytes);
    if (to == NULL) {
        return 0;
    }
    memcpy(to, dxi_window_at(window, window->head), (size_t)run.bytes);
    dxi_connection_commit(client->connection, (size_t)run.bytes);
    dxi_window_take(window, run.bytes, (uint32_t)run.frames);
    sent(client, run.frames, run.bytes);
    client->unconfirmed += (uint64_t)run.frames;
    dxi_send_mark(client);
    return (int)run.frames;
}

/* Whether publishers need not ring for more. */
static void stuck_set(dx_client_t *client, bool stuck)
{
    const int32_t now = stuck ? 1 : 0;
    if (dx_load32_relaxed(&client->window.stuck) != now) {
        dx_store32_relaxed(&client->window.stuck, now); /* see dxi_client_ring_published() */
    }
}

int dxi_send_window(dx_client_t *client)
{
    if (!client->open || client->credit_events == 0) {
        stuck_set(client, dx_load32_relaxed(&client->closed) == 0); /* closed: each is refused */
        return 0;
    }
    dxi_send_mark(client);
    bool all = false;
    bool drained = false;
    bool there = false;
    int done = retries_send(client, &all);
    const uint64_t until = client->ring_bytes + TURN_BYTES;
    while (all && !drained && client->ring_bytes < until) { /* N4 */
        const int64_t room = room_for_publications(client);
        /* Before it is tried: what comes behind that was not tried, and its publisher rings. */
        there = dxi_window_peek(&client->window, 0) != 0;
        int count = dxi_plain_send(client, room, &drained);
        count = count != 0 ? count : run_send(client, room);
        if (count == 0 && !head_send(client)) {
            break;
        }
        done += count != 0 ? count : 1;
    }
    if (done != 0) {
        release(client);
    }
    stuck_set(client, done == 0 && (!all || there));
    return done;
}

/* N6. A lone publication is sent by its publisher: to wake the thread would take longer. One that
 * follows soon wakes it, so that more of them go in one write. */
void dxi_send_asleep(dx_client_t *client)
{
    const int64_t now_ns = dx_clock_ns();
    const bool soon = now_ns - dx_load_relaxed(&client->direct_ns) < DIRECT_PAUSE_NS;
    if (soon || !dxi_loop_borrow(client->loop)) {
        dxi_loop_wake(client->loop);
        return;
    }
    dx_store_relaxed(&client->direct_ns, now_ns);
    client->lent = true;
    (void)dxi_send_window(client);
    client->lent = false;
    dxi_window_settle(&client->window);
    /* What is left, and those who wait until all is written, are the thread's. */
    const bool left =
        dxi_window_peek(&client->window, 0) != 0 || dx_load32_acquire(&client->flushing) != 0;
    dxi_loop_give_back(client->loop);
    if (left) {
        dxi_loop_wake(client->loop);
    }
}

/* ----------------------------------------------------------------------------- what was written */

void dxi_send_mark(dx_client_t *client)
{
    /* PINGs of the connection itself are written as well, which may make it more by a few: such a
     * frame is one that nobody can know of. */
    const uint64_t all = dxi_connection_written(client->connection);
    const uint64_t written = all > client->written_base ? all - client->written_base : 0;
    while (client->mark_count != 0 && client->marks[client->mark_first].bytes <= written) {
        client->unconfirmed_written = client->marks[client->mark_first].events;
        client->mark_first = (client->mark_first + 1) % DXI_MARKS;
        client->mark_count--;
    }
    if (written >= client->ring_bytes) {
        client->unconfirmed_written = client->unconfirmed;
        return;
    }
    const uint32_t last = (client->mark_first + client->mark_count + DXI_MARKS - 1) % DXI_MARKS;
    if (client->mark_count != 0 &&
        (client->mark_count == DXI_MARKS || client->marks[last].bytes == client->ring_bytes)) {
        /* Coarser, and never too few: the last mark now speaks for more. */
        client->marks[last] =
            (dxi_mark_t){.bytes = client->ring_bytes, .events = client->unconfirmed};
        return;
    }
    client->marks[(last + 1) % DXI_MARKS] =
        (dxi_mark_t){.bytes = client->ring_bytes, .events = client->unconfirmed};
    client->mark_count++;
}

void dxi_send_opened(dx_client_t *client)
{
    client->written_base =
        dxi_connection_written(client->connection) + dxi_connection_pending(client->connection);
    client->resend = client->oldest;
    client->sent_events = client->sent_bytes = 0;
    client->credit_events = client->credit_bytes = 0;
    client->ring_bytes = 0;
    client->unconfirmed = client->unconfirmed_written = 0;
    client->mark_first = client->mark_count = 0;
}

void dxi_send_broken(dx_client_t *client)
{
    dxi_send_mark(client);
    dxi_count(&client->counts.lost, (int64_t)(client->unconfirmed - client->unconfirmed_written));
    client->unconfirmed = client->unconfirmed_written = 0;
    client->resend = client->oldest;
}

void dxi_send_fail(dx_client_t *client)
{
    static const char sentence[] = "the client was closed before there was an answer";
    const dx_receipt_t receipt = {.code = DX_ECLOSED};
    dxi_window_t *const window = &client->window;
    for (uint64_t i = client->oldest; i != client->next; i++) {
        answer(client, i, &receipt, sentence, sizeof sentence - 1);
    }
    uint32_t note = 0;
    while ((note = dxi_window_peek(window, 0)) != 0) {
        const dxi_receipt_record_t *const record =
            (const dxi_receipt_record_t *)(const void *)dxi_window_at(window, window->head);
        dxi_window_take(window, dxi_record_bytes(note), 1);
        if ((note & DXI_RECORD_RECEIPT) != 0) {
            unanswered_of(client, client->next)->position = -1;
            client->next++;
            tell(client, record, &receipt, sentence, sizeof sentence - 1);
        } else {
            dxi_count(&client->counts.lost, 1);
        }
    }
    client->resend = client->next;
    release(client);
}
