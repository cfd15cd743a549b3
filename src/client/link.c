/* link.c - the connection: making it, losing it, making it again; which frame goes where.
 *
 * DESIGN
 *
 *                 +------------- pause (doubles, jittered) <-----+
 *                 v                                              |
 *     start -> CONNECTING -(greeting done)-> CONNECTED -(lost)---+
 *                 |                                              |
 *                 +-(no address of the round answers)------------+--(attempts_max)--> CLOSED
 *
 * A round tries each address once, beginning with the one that worked last. Between rounds there is
 * a pause, and behind a connection that did not live as long as the pause before it; one that did
 * is made again at once. The first round of dx_client_connect() is the only one, unless
 * connect_later.
 *
 * MOVED names another node: the connection is ended in order and made to that address.
 *
 * INVARIANTS
 *
 *   L1  at most one connection at a time: the next attempt follows on_close() of the last
 *   L2  what was lost is told to all parts (publications, subscriptions, calls) in on_close(), and
 *       what is new in on_open(), before anything else happens on the new connection
 *   L3  CLOSED is final
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "base/futex.h"
#include "client/internal.h"
#include "disruptorx/clock.h"
#include "net/capability.h"

#define LOOK_NS INT64_C(100000000) /* how often numbers of the connection are read */

static void outcome_set(dx_client_t *client, int32_t outcome)
{
    if (dx_load32_relaxed(&client->outcome) == 0) {
        dx_store32_release(&client->outcome, outcome); /* pairs with dx_client_connect() */
        dxi_futex_wake(&client->outcome);
    }
}

void dxi_link_state(dx_client_t *client, dx_client_state_t state, int code, const char *sentence)
{
    dx_store_relaxed(&client->counts.state, state);
    if (client->options.on_state != NULL) {
        client->options.on_state(client->options.context, state, code, sentence);
    }
}

/* For good: everybody is told (L3). */
static void give_up(dx_client_t *client, const dx_error_t *why)
{
    client->next_attempt_ns = INT64_MAX;
    (void)pthread_mutex_lock(&client->lock);
    client->last_error = *why;
    (void)pthread_mutex_unlock(&client->lock);
    dx_store32_release(&client->closed, 1);
    dxi_window_shut(&client->window);
    DX_LOG_ERROR(client->options.log, "client", "gave up: %s", why->message);
    outcome_set(client, 2);
    dxi_link_state(client, DX_CLIENT_CLOSED, why->code, why->message);
    dxi_send_fail(client);
    dxi_calls_fail(client, DX_ECLOSED, why->message);
    dxi_subscriptions_fail(client, DX_ECLOSED, why->message);
}

/* ------------------------------------------------------------------------------------- attempts */

/* A number from 0 to below `range` (xorshift64*). */
static int64_t random_below(dx_client_t *client, int64_t range)
{
    uint64_t x = client->random;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    client->random = x;
    return range > 0 ? (int64_t)((x * UINT64_C(2685821657736338717)) >> 1) % range : 0;
}

/* The sentence of a failed attempt, as a person would say it. */
static void attempt_sentence(const dx_client_t *client, const dx_error_t *why, dx_error_t *out)
{
    const bool nobody = why->os_errno == ECONNREFUSED || why->os_errno == ENOENT;
    if (nobody) {
        (void)dxi_fail_os(out, DX_EIO, why->os_errno, "nobody answers at %s", client->address_text);
    } else {
        *out = *why;
    }
}

/* The next attempt is behind a pause, and the pause after that is longer. */
static void pause_begin(dx_client_t *client, int64_t now_ns)
{
    const int64_t most_ns = client->options.reconnect_max_ns;
    const int64_t pause_ns = client->pause_ns;
    client->pause_ns = pause_ns > most_ns / 2 ? most_ns : pause_ns * 2;
    client->next_attempt_ns = now_ns + pause_ns / 2 + random_below(client, pause_ns / 2 + 1);
}

/* When the next attempt is, or that there is none. */
static void attempt_failed(dx_client_t *client, const dx_error_t *why)
{
    const dx_client_options_t *const o = &client->options;
    const int64_t now_ns = dx_clock_ns();
    dx_error_t said;
    attempt_sentence(client, why, &said);
    DX_LOG_WARN(o->log, "client", "%s", said.message);
    client->attempts++;
    client->address_tried++;
    client->moved = false;
    const bool round_over = client->address_tried >= client->address_count;
    const bool first = !client->ever_open && !o->connect_later;
    if ((first && round_over) || (o->attempts_max != 0 && client->attempts >= o->attempts_max)) {
        give_up(client, &said);
        return;
    }
    (void)pthread_mutex_lock(&client->lock);
    client->last_error = said;
    client->last_error_ns = dx_clock_ns();
    (void)pthread_mutex_unlock(&client->lock);
    client->address_index = (client->address_index + 1) % client->address_count;
    if (!round_over) {
        client->next_attempt_ns = now_ns;
        return;
    }
    client->address_tried = 0;
    pause_begin(client, now_ns);
}

static const dxi_connection_events_t link_events;

static void attempt(dx_client_t *client)
{
    const dx_client_options_t *const o = &client->options;
    const dxi_address_t *const address =
        client->moved ? &client->moved_to : &client->addresses[client->address_index];
    char text[DXI_ADDRESS_TEXT_MAX + 16];
    dxi_address_format(address, text);
    (void)pthread_mutex_lock(&client->lock);
    (void)snprintf(client->address_text, sizeof client->address_text, "%.*s",
                   (int)sizeof client->address_text - 1, text);
    (void)pthread_mutex_unlock(&client->lock);
    const uint32_t window_bytes = o->window_bytes;
    const dxi_connection_options_t options = {
        .receive_bytes = o->receive_bytes,
        .send_bytes = window_bytes > DXI_CLIENT_SEND_BYTES          ? DXI_CLIENT_SEND_BYTES
                      : window_bytes > 4 * DXI_CLIENT_RESERVE_BYTES ? window_bytes
                                                                    : 4 * DXI_CLIENT_RESERVE_BYTES,
        .frame_bytes_max = DX_FRAME_BYTES_MAX,
        .capabilities = DXI_CAPABILITY_PACK,
        .handshake_timeout_ns = o->connect_timeout_ns,
        .keep_alive_ns = o->keep_alive_ns,
        .idle_timeout_ns = o->keep_alive_ns > INT64_MAX / 3 ? INT64_MAX : o->keep_alive_ns * 3,
        .name = o->name,
        /* Always, so that a node which wants a token says so at once instead of waiting for it. */
        .mechanism = "token",
        .proof = o->token,
        .tls = client->tls,
        .compression = o->compression,
        .log = o->log};
    dxi_connection_events_t events = link_events;
    events.context = client;
    dx_error_t error = {0};
    client->next_attempt_ns = INT64_MAX;
    const int code = dxi_connection_connect(client->loop, address, &options, &events,
                                            &client->connection, &error);
    if (code != DX_OK) {
        client->connection = NULL;
        attempt_failed(client, &error);
    }
}

void dxi_link_start(void *context)
{
    dx_client_t *const client = context;
    client->pause_ns = client->options.reconnect_min_ns;
    dxi_link_state(client, DX_CLIENT_CONNECTING, DX_OK, "connecting");
    attempt(client);
}

void dxi_link_stop(void *context)
{
    dx_client_t *const client = context;
    client->closing = true;
    client->next_attempt_ns = INT64_MAX;
    if (client->connection != NULL) {
        dxi_connection_close(client->connection, DX_ECLOSED, "the client was closed");
    } else {
        dx_store32_release(&client->gone, 1);
        dxi_futex_wake(&client->gone);
    }
}

/* Adds what the connection's traffic has grown by. */
static void traffic_look(dx_client_t *client)
{
    dxi_client_counts_t *const counts = &client->counts;
    const dxi_connection_traffic_t now = dxi_connection_traffic(client->connection);
    const dxi_connection_traffic_t *const seen = &client->traffic;
    if (now.bytes_in == seen->bytes_in && now.bytes_out == seen->bytes_out) {
        return;
    }
    dxi_count(&counts->bytes_in, (int64_t)(now.bytes_in - seen->bytes_in));
    dxi_count(&counts->bytes_out, (int64_t)(now.bytes_out - seen->bytes_out));
    dxi_count(&counts->batches_in, (int64_t)(now.batches_in - seen->batches_in));
    dxi_count(&counts->batches_out, (int64_t)(now.batches_out - seen->batches_out));
    client->traffic = now;
}

int64_t dxi_link_tick(dx_client_t *client, int64_t now_ns)
{
    if (client->next_attempt_ns <= now_ns) {
        attempt(client);
    }
    if (client->open) {
        traffic_look(client);
    }
    if (client->open && now_ns - client->looked_ns >= LOOK_NS) {
        dxi_connection_info_t info;
        dxi_connection_info(client->connection, &info);
        dx_store_relaxed(&client->counts.rtt_ns, info.rtt_ns);
        client->looked_ns = now_ns;
    }
    return client->next_attempt_ns;
}

/* ------------------------------------------------------------------------------- it comes, goes */

static void on_open(void *context, dxi_connection_t *connection)
{
    dx_client_t *const client = context;
    dxi_connection_info_t info;
    dxi_connection_info(connection, &info);
    const int64_t half =
        client->window.bytes / DXI_WINDOW_SHARE - (int64_t)sizeof(dxi_receipt_record_t);
    dx_store_relaxed(&client->counts.frame_bytes_max,
                     info.peer_frame_bytes_max < half ? (int64_t)info.peer_frame_bytes_max : half);
    (void)pthread_mutex_lock(&client->lock);
    (void)snprintf(client->node_name, sizeof client->node_name, "%s", info.peer_name);
    (void)pthread_mutex_unlock(&client->lock);
    if (client->ever_open) {
        dxi_count(&client->counts.reconnects, 1);
    }
    client->node_anew =
        client->ever_open && (info.peer_node_id != client->node_id ||
                              info.peer_started_unix_ns != client->node_started_unix_ns);
    client->nodes_before += client->node_anew;
    const int place = client->moved ? -1 : client->address_index;
    client->node_next = client->node_anew && place >= 0 && place == client->node_address;
    client->node_address = place;
    client->node_id = info.peer_node_id;
    client->node_started_unix_ns = info.peer_started_unix_ns;
    client->open = true;
    client->packs = (info.peer_capabilities & DXI_CAPABILITY_PACK) != 0;
    client->ever_open = true;
    const dxi_address_t *const address =
        client->moved ? &client->moved_to : &client->addresses[client->address_index];
    dxi_directs_opened(client, address->transport != DXI_TCP && address->transport != DXI_TLS &&
                                   (info.peer_capabilities & DXI_CAPABILITY_DIRECT) != 0);
    client->attempts = 0;
    client->address_tried = 0;
    client->opened_ns = dxi_loop_now_ns(client->loop);
    client->looked_ns = 0;
    client->reading_stopped = false;
    dxi_send_opened(client); /* L2 */
    dxi_subscriptions_opened(client);
    dxi_calls_again(client);
    outcome_set(client, 1);
    dxi_link_state(client, DX_CLIENT_CONNECTED, DX_OK, "connected");
}

static void on_close(void *context, dxi_connection_t *connection, const dx_error_t *why)
{
    dx_client_t *const client = context;
    const bool was_open = client->open;
    (void)connection;
    traffic_look(client);
    client->traffic = (dxi_connection_traffic_t){0};
    if (was_open) {
        dxi_deliver_flush(client);
        dxi_send_broken(client); /* L2 */
        client->open = false;
        dxi_directs_broken(client);
        dxi_subscriptions_broken(client);
    }
    client->connection = NULL;
    if (client->closing) {
        dx_store32_release(&client->gone, 1);
        dxi_futex_wake(&client->gone);
        return;
    }
    if (!was_open) {
        attempt_failed(client, why);
        return;
    }
    DX_LOG_WARN(client->options.log, "client", "the connection is gone: %s", why->message);
    (void)pthread_mutex_lock(&client->lock);
    client->last_error = *why;
    client->last_error_ns = dx_clock_ns();
    (void)pthread_mutex_unlock(&client->lock);
    const int64_t now_ns = dxi_loop_now_ns(client->loop);
    if (client->moved || now_ns - client->opened_ns >= client->pause_ns) {
        client->pause_ns = client->options.reconnect_min_ns;
        client->next_attempt_ns = now_ns;
    } else {
        pause_begin(client, now_ns); /* who is sent away as soon as it is there comes less often */
    }
    dxi_link_state(client, DX_CLIENT_CONNECTING, why->code, why->message);
}

/* --------------------------------------------------------------------------------------- frames */

static void answer_take(dx_client_t *client, int code, const dx_frame_view_t *frame)
{
    const uint64_t correlation = dx_frame_part_u64(frame, DX_PART_CORRELATION, 0);
    if ((correlation & ~DXI_CORRELATION_NUMBER) != 0) {
        dxi_subscription_answer(client, correlation, code, frame);
    } else {
        dxi_call_answer(client, correlation, code, frame, NULL);
    }
}

/* The code of a NACK or ERROR. A peer that says "success" there has not understood. */
static int code_of(const dx_frame_view_t *frame)
{
    uint32_t bytes = 0;
    const dx_frame_code_t *const code = dx_frame_part(frame, DX_PART_CODE, &bytes);
    return code != NULL && code->code < 0 ? code->code : DX_EINVAL;
}

/* A NACK or ERROR that is no answer: of a subscription that the node has ended, or of anything. */
static void refusal_take(dx_client_t *client, const dx_frame_view_t *frame)
{
    char sentence[DX_ERROR_MESSAGE_BYTES] = {0};
    const size_t most = sizeof sentence - 1;
    memcpy(sentence, frame->payload, frame->payload_bytes < most ? frame->payload_bytes : most);
    if (dx_frame_has(frame, DX_PART_SUBSCRIPTION) && !dx_frame_has(frame, DX_PART_RANGE)) {
        dx_client_subscription_t *const subscription =
            dxi_subscription_find(client, dx_frame_part_u64(frame, DX_PART_SUBSCRIPTION, 0));
        if (subscription != NULL) {
            dxi_deliver_flush(client);
            dxi_subscription_end(subscription, code_of(frame), sentence);
        }
        return;
    }
    const uint64_t events = dx_frame_part_u64(frame, DX_PART_COUNT, 1);
    dxi_count(&client->counts.refused,
              (int64_t)(events < DX_FRAME_PACKED_EVENTS_MAX ? events : DX_FRAME_PACKED_EVENTS_MAX));
    DX_LOG_WARN(client->options.log, "client", "the node refused a frame: %s: %s",
                dx_error_name(code_of(frame)), sentence);
}

static int moved_take(dx_client_t *client, const dx_frame_view_t *frame, dx_error_t *error)
{
    uint32_t bytes = 0;
    char text[DX_TOPIC_BYTES_MAX + 1] = {0};
    const char *const address = dx_frame_part(frame, DX_PART_ADDRESS, &bytes);
    memcpy(text, address, bytes); /* 1 to 255, and it must be there: the rules of the type */
    const int code = dxi_address_parse(text, &client->moved_to, error);
    if (code == DX_OK) {
        client->moved = true;
        dxi_connection_close(client->connection, DX_ECLOSED, "the node has named another one");
    }
    return code;
}

static int on_frame(void *context, dxi_connection_t *connection, const dx_frame_view_t *frame,
                    dx_error_t *error)
{
    dx_client_t *const client = context;
    (void)connection;
    switch (frame->header->type) {
    case DX_FRAME_EVENT:
        return dxi_deliver_event(client, frame, error);
    case DX_FRAME_DELIVER:
        return dxi_deliver_begin(client, frame, error);
    case DX_FRAME_GAP:
        dxi_deliver_gap(client, frame);
        return DX_OK;
    case DX_FRAME_CREDIT:
        dxi_publish_credit(client, frame);
        return DX_OK;
    case DX_FRAME_ACK:
        if (dx_frame_has(frame, DX_PART_CORRELATION)) {
            answer_take(client, DX_OK, frame);
        } else {
            dxi_receipts_take(client, frame);
        }
        return DX_OK;
    case DX_FRAME_NACK:
    case DX_FRAME_ERROR:
        if (dx_frame_has(frame, DX_PART_CORRELATION)) {
            answer_take(client, code_of(frame), frame);
        } else if (frame->header->type == DX_FRAME_NACK && frame->header->producer_id != 0) {
            dxi_receipts_take(client, frame);
        } else {
            refusal_take(client, frame);
        }
        return DX_OK;
    case DX_FRAME_TOPIC_INFO:
    case DX_FRAME_ANSWER:
        answer_take(client, DX_OK, frame);
        return DX_OK;
    case DX_FRAME_MOVED:
        return moved_take(client, frame, error);
    default:
        return dxi_fail(error, DX_ENOTSUP, "a client takes no %s frame",
                        dx_frame_type_name(frame->header->type));
    }
}

static void on_pause(void *context, dxi_connection_t *connection)
{
    (void)connection;
    dxi_deliver_flush(context);
}

static const dxi_connection_events_t link_events = {
    .on_open = on_open, .on_frame = on_frame, .on_pause = on_pause, .on_close = on_close};
