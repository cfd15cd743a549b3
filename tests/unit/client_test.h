/* client_test.h - a node made of a script, for the tests of src/client.
 *
 * It listens on a UNIX socket, does what its fields say, and writes down what it got. Fields are
 * changed in its loop's thread (node_do()) or before it starts; numbers are read from any thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLIENT_TEST_H
#define CLIENT_TEST_H

#include <stdlib.h>
#include <unistd.h>

#include "base_test.h"
#include "disruptorx/atomic.h"
#include "disruptorx/client.h"
#include "disruptorx/clock.h"
#include "net/connection.h"
#include "patience.h"

#define NODE_LOG 16384 /* frames that are written down, at most */

/* A frame that the node got. */
typedef struct got {
    uint8_t type;
    uint16_t flags;
    uint16_t shard;
    uint64_t producer_sequence;
    uint64_t subscription;
    uint64_t correlation;
    dx_frame_range_t range;
    dx_frame_credit_t credit;
    dx_frame_start_t start;
    int code;
    char topic[64];
    char payload[64];
    uint32_t payload_bytes;
} got_t;

typedef struct node {
    char folder[64];
    char address[128];
    char path[96];
    dxi_loop_t *loop;
    dxi_listener_t *listener;
    dxi_connection_t *connection; /* the newest that is open */

    /* The script. */
    uint64_t credit_events, credit_bytes; /* told at the start; 0: none */
    bool renew;                           /* credit is told again */
    bool mute;                            /* publications get no answer */
    int refuse;                           /* they get a NACK with this code */
    bool deaf;                            /* nothing at all is answered */
    uint64_t capabilities;                /* besides those of every node */
    int refuse_subscriptions;             /* with this code */
    int64_t cut_after;                    /* publications, then the connection is cut; 0: never */
    int64_t cuts;                         /* how often that is still to happen */
    bool join;                            /* ACKs with ranges, one for a read */
    bool want_token;                      /* only "open sesame" */

    /* What happened. */
    dx_atomic64_t opened, closed, publications, others, log_count;
    uint64_t taken; /* producer sequences up to here */
    dx_atomic64_t duplicates, holes;
    uint64_t events_of_connection;
    got_t log[NODE_LOG];
    uint64_t topic_sequence;
    dx_frame_header_t ack; /* joined: the last of the range */
    uint64_t ack_first;
} node_t;

#define WAIT_NS (60 * DX_NS_PER_S) /* for a broken test only */

static inline int64_t number(const dx_atomic64_t *a)
{
    return dx_load_acquire(a);
}

static inline void count(dx_atomic64_t *a)
{
    dx_store_release(a, dx_load_relaxed(a) + 1);
}

/* ---------------------------------------------------------------------------------------- sending
 * */

static inline void node_send(node_t *node, const dx_frame_draft_t *draft, const void *payload)
{
    if (node->connection != NULL) {
        dx_error_t error = {0};
        const int code = dxi_connection_encode(node->connection, draft, payload, &error);
        if (code != DX_OK && code != DX_ECLOSED) {
            fail_msg("the node can't send: %s %s", dx_error_name(code), error.message);
        }
    }
}

static inline void node_credit(node_t *node, uint64_t events, uint64_t bytes)
{
    const dx_frame_credit_t credit = {.events = events, .bytes = bytes};
    const dx_frame_part_t part = dx_frame_part_of(DX_PART_CREDIT, &credit, sizeof credit);
    node_send(node, &(dx_frame_draft_t){.type = DX_FRAME_CREDIT, .parts = &part, .part_count = 1},
              NULL);
}

static inline void node_answer(node_t *node, uint64_t correlation, uint8_t type, int code,
                               const char *payload)
{
    const dx_frame_code_t reason = {.code = code};
    dx_frame_part_t parts[2] = {dx_frame_part_of(DX_PART_CORRELATION, &correlation, 8),
                                dx_frame_part_of(DX_PART_CODE, &reason, sizeof reason)};
    node_send(node,
              &(dx_frame_draft_t){.type = type,
                                  .parts = parts,
                                  .part_count = type == DX_FRAME_NACK ? 2 : 1,
                                  .payload_bytes = (uint32_t)strlen(payload)},
              payload);
}

/* DELIVER and `count` events of a topic, from `first` on, with their sequence as payload. */
static inline void node_deliver(node_t *node, uint64_t subscription, const char *topic,
                                uint64_t first, uint64_t events, uint32_t attempt, uint64_t held)
{
    dx_frame_part_t parts[3] = {dx_frame_part_of(DX_PART_SUBSCRIPTION, &subscription, 8),
                                dx_frame_part_of(DX_PART_ATTEMPT, &attempt, 4),
                                dx_frame_part_of(DX_PART_COUNT, &events, 8)};
    if (attempt == 0) {
        parts[1] = parts[2];
    }
    node_send(node,
              &(dx_frame_draft_t){.type = DX_FRAME_DELIVER,
                                  .flags = attempt > 1 ? DX_FRAME_REDELIVERED : 0,
                                  .sequence = held,
                                  .parts = parts,
                                  .part_count = attempt != 0 ? 3 : 2},
              NULL);
    for (uint64_t i = 0; i < events; i++) {
        const uint64_t sequence = first + i;
        const dx_frame_part_t part = dx_frame_part_text(DX_PART_TOPIC, topic);
        node_send(node,
                  &(dx_frame_draft_t){.type = DX_FRAME_EVENT,
                                      .shard = 3,
                                      .sequence = sequence,
                                      .timestamp_ns = sequence * 1000,
                                      .parts = &part,
                                      .part_count = 1,
                                      .payload_bytes = 8},
                  &sequence);
    }
}

/* ----------------------------------------------------------------------------------------
 * receiving */

static inline void node_note(node_t *node, const dx_frame_view_t *frame)
{
    const int64_t at = dx_load_relaxed(&node->log_count);
    if (at == NODE_LOG) {
        return;
    }
    got_t *const got = &node->log[at];
    *got = (got_t){.type = frame->header->type,
                   .flags = frame->header->flags,
                   .shard = frame->header->shard,
                   .producer_sequence = frame->header->producer_sequence,
                   .payload_bytes = frame->payload_bytes};
    got->subscription = dx_frame_part_u64(frame, DX_PART_SUBSCRIPTION, 0);
    got->correlation = dx_frame_part_u64(frame, DX_PART_CORRELATION, 0);
    uint32_t bytes = 0;
    const void *part = dx_frame_part(frame, DX_PART_RANGE, &bytes);
    memcpy(&got->range, part != NULL ? part : &got->range, sizeof got->range);
    part = dx_frame_part(frame, DX_PART_CREDIT, &bytes);
    memcpy(&got->credit, part != NULL ? part : &got->credit, sizeof got->credit);
    part = dx_frame_part(frame, DX_PART_START, &bytes);
    memcpy(&got->start, part != NULL ? part : &got->start, sizeof got->start);
    const dx_frame_code_t *const code = dx_frame_part(frame, DX_PART_CODE, &bytes);
    got->code = code != NULL ? code->code : 0;
    part = dx_frame_part(frame, DX_PART_TOPIC, &bytes);
    if (part != NULL) {
        memcpy(got->topic, part, bytes < 63 ? bytes : 63);
    }
    memcpy(got->payload, frame->payload, frame->payload_bytes < 63 ? frame->payload_bytes : 63);
    count(&node->log_count);
}

/* The n-th frame of a type that the node got, or NULL. */
static inline const got_t *node_got(node_t *node, uint8_t type, int n)
{
    const int64_t there = number(&node->log_count);
    for (int64_t i = 0; i < there; i++) {
        if (node->log[i].type == type && n-- == 0) {
            return &node->log[i];
        }
    }
    return NULL;
}

static inline void node_ack_joined(node_t *node)
{
    if (node->ack_first == 0) {
        return;
    }
    const dx_frame_range_t range = {.first = node->ack_first, .last = node->ack.producer_sequence};
    const dx_frame_part_t part = dx_frame_part_of(DX_PART_RANGE, &range, sizeof range);
    node_send(node,
              &(dx_frame_draft_t){.type = DX_FRAME_ACK,
                                  .shard = 5,
                                  .term = 7,
                                  .sequence = node->topic_sequence,
                                  .timestamp_ns = 99,
                                  .producer_id = node->ack.producer_id,
                                  .producer_sequence = node->ack.producer_sequence,
                                  .parts = &part,
                                  .part_count = 1},
              NULL);
    node->ack_first = 0;
}

static inline void node_acknowledge(node_t *node, const dx_frame_header_t *header, bool duplicate)
{
    if (node->join && !duplicate && node->refuse == 0) {
        node->ack_first = node->ack_first != 0 ? node->ack_first : header->producer_sequence;
        node->ack = *header;
        return;
    }
    node_ack_joined(node);
    const dx_frame_code_t code = {.code = node->refuse};
    const dx_frame_part_t part = dx_frame_part_of(DX_PART_CODE, &code, sizeof code);
    const bool refused = node->refuse != 0;
    node_send(node,
              &(dx_frame_draft_t){.type = refused ? DX_FRAME_NACK : DX_FRAME_ACK,
                                  .flags = duplicate ? DX_FRAME_RETRY : 0,
                                  .shard = 5,
                                  .term = 7,
                                  .sequence = refused ? 0 : node->topic_sequence,
                                  .timestamp_ns = refused ? 0 : 99,
                                  .producer_id = header->producer_id,
                                  .producer_sequence = header->producer_sequence,
                                  .parts = &part,
                                  .part_count = refused ? 1 : 0,
                                  .payload_bytes = refused ? 12 : 0},
              "not this time");
}

static inline void node_publication(node_t *node, const dx_frame_view_t *frame)
{
    const dx_frame_header_t *const header = frame->header;
    node->events_of_connection++;
    if ((header->flags & DX_FRAME_ACK_WANTED) != 0) {
        const bool duplicate = header->producer_sequence <= node->taken;
        if (duplicate) {
            count(&node->duplicates);
        } else {
            if (header->producer_sequence != node->taken + 1) {
                count(&node->holes);
            }
            node->taken = header->producer_sequence;
            node->topic_sequence++;
            node_note(node, frame);
        }
        if (!node->mute) {
            node_acknowledge(node, header, duplicate);
        }
    } else {
        node_note(node, frame);
    }
    count(&node->publications);
    if (node->renew) {
        node_credit(node, node->events_of_connection + node->credit_events, UINT64_C(1) << 40);
    }
}

static inline int node_on_frame(void *context, dxi_connection_t *connection,
                                const dx_frame_view_t *frame, dx_error_t *error)
{
    node_t *const node = context;
    (void)error;
    if (connection != node->connection) {
        return DX_OK;
    }
    if (node->deaf) {
        node_note(node, frame);
        return DX_OK;
    }
    const uint64_t correlation = dx_frame_part_u64(frame, DX_PART_CORRELATION, 0);
    switch (frame->header->type) {
    case DX_FRAME_PUBLISH:
    case DX_FRAME_REQUEST:
    case DX_FRAME_REPLY:
        node_publication(node, frame);
        if (node->cut_after != 0 && node->cuts > 0 &&
            (int64_t)node->events_of_connection == node->cut_after) {
            node->cuts--;
            node->connection = NULL;
            dxi_connection_close(connection, DX_EIO, "cut");
        }
        return DX_OK;
    case DX_FRAME_SUBSCRIBE:
        node_note(node, frame);
        if (node->refuse_subscriptions != 0) {
            node_answer(node, correlation, DX_FRAME_NACK, node->refuse_subscriptions, "no more");
        } else {
            node_answer(node, correlation, DX_FRAME_ACK, 0, "");
        }
        break;
    case DX_FRAME_UNSUBSCRIBE:
        node_note(node, frame);
        if (correlation != 0) {
            node_answer(node, correlation, DX_FRAME_ACK, 0, "");
        }
        break;
    default:
        node_note(node, frame);
        break;
    }
    count(&node->others);
    return DX_OK;
}

static inline void node_on_pause(void *context, dxi_connection_t *connection)
{
    node_t *const node = context;
    if (connection == node->connection) {
        node_ack_joined(node);
    }
}

static inline int node_on_accept(void *context, dxi_connection_t *connection, dx_error_t *error)
{
    (void)error;
    dxi_connection_set_context(connection, context);
    return DX_OK;
}

static inline void node_on_open(void *context, dxi_connection_t *connection)
{
    node_t *const node = context;
    node->connection = connection;
    node->events_of_connection = 0;
    node->ack_first = 0;
    if (node->credit_events != 0) {
        node_credit(node, node->credit_events, node->credit_bytes);
    }
    count(&node->opened);
}

static inline void node_on_close(void *context, dxi_connection_t *connection, const dx_error_t *why)
{
    node_t *const node = context;
    (void)why;
    if (node->connection == connection) {
        node->connection = NULL;
    }
    count(&node->closed);
}

static inline int node_on_auth(void *context, dxi_connection_t *connection, const char *mechanism,
                               const void *proof, size_t proof_bytes, dx_error_t *error)
{
    node_t *const node = context;
    (void)connection;
    (void)error;
    if (!node->want_token) {
        return DX_OK;
    }
    if (mechanism == NULL) {
        return DX_EAGAIN;
    }
    return strcmp(mechanism, "token") == 0 && proof_bytes == 11 &&
                   memcmp(proof, "open sesame", 11) == 0
               ? DX_OK
               : DX_EPERM;
}

/* ------------------------------------------------------------------------------------------ life
 * */

static inline void node_listen(node_t *node)
{
    dx_error_t error = {0};
    dxi_address_t address;
    const dxi_listener_options_t options = {.events = {.context = node,
                                                       .on_open = node_on_open,
                                                       .on_frame = node_on_frame,
                                                       .on_pause = node_on_pause,
                                                       .on_auth = node_on_auth,
                                                       .on_close = node_on_close},
                                            /* What a test has the node say waits for its room. */
                                            .connection = {.shm = true,
                                                           .shm_ring_bytes = 65536,
                                                           .send_bytes = 1 << 26,
                                                           .capabilities = node->capabilities},
                                            .on_accept = node_on_accept};
    assert_ok(dxi_address_parse(node->path, &address, &error));
    if (dxi_listener_create(node->loop, &address, &options, &node->listener, &error) != DX_OK) {
        fail_msg("%s", error.message);
    }
}

static inline node_t *node_make(void)
{
    node_t *const node = calloc(1, sizeof *node);
    assert_non_null(node);
    (void)snprintf(node->folder, sizeof node->folder, "/tmp/dx-client-XXXXXX");
    assert_non_null(mkdtemp(node->folder));
    (void)snprintf(node->path, sizeof node->path, "%s/s", node->folder);
    (void)snprintf(node->address, sizeof node->address, "%s://%s", test_over_shm() ? "shm" : "unix",
                   node->path);
    node->credit_events = 1u << 20;
    node->credit_bytes = UINT64_C(1) << 40;
    node->renew = true;
    return node;
}

static inline void node_start(node_t *node)
{
    dx_error_t error = {0};
    assert_ok(dxi_loop_create(&(dxi_loop_options_t){.name = "node"}, &node->loop, &error));
    node_listen(node);
    assert_ok(dxi_loop_start(node->loop, &error));
}

/* Runs something in the node's thread. */
static inline void node_do(node_t *node, void (*run)(void *context))
{
    dxi_loop_call(node->loop, run, node);
}

static inline void node_cut(void *context)
{
    node_t *const node = context;
    dxi_connection_t *const connection = node->connection;
    node->connection = NULL;
    if (connection != NULL) {
        dxi_connection_close(connection, DX_EIO, "cut");
    }
}

static inline void node_deafen(void *context)
{
    ((node_t *)context)->listener = (dxi_listener_close(((node_t *)context)->listener), NULL);
}

static inline void node_hear(void *context)
{
    node_listen(context);
}

static inline void node_end(node_t *node)
{
    if (node->loop != NULL) {
        dxi_loop_stop(node->loop);
        dxi_listener_close(node->listener);
        dxi_loop_destroy(node->loop);
    }
    (void)unlink(node->path);
    assert_int_equal(rmdir(node->folder), 0);
    free(node);
}

/* A client with these options (address and short pauses are filled in). */
static inline dx_client_t *client_open(node_t *node, dx_client_options_t options)
{
    dx_error_t error = {0};
    dx_client_t *client = NULL;
    options.address = options.address != NULL ? options.address : node->address;
    options.reconnect_min_ns =
        options.reconnect_min_ns != 0 ? options.reconnect_min_ns : DX_NS_PER_MS;
    options.reconnect_max_ns =
        options.reconnect_max_ns != 0 ? options.reconnect_max_ns : 5 * DX_NS_PER_MS;
    options.timeout_ns = options.timeout_ns != 0 ? options.timeout_ns : WAIT_NS;
    if (dx_client_connect(&options, &client, &error) != DX_OK) {
        fail_msg("dx_client_connect: %s", error.message);
    }
    return client;
}

/* A receipt counter: the receipts must come in the order of the topic's sequences. */
typedef struct receipts {
    dx_atomic64_t count, refused, duplicates, closed;
    dx_receipt_t last;
} receipts_t;

static inline void on_receipt(void *context, const dx_receipt_t *receipt)
{
    receipts_t *const receipts = context;
    if (receipt->code == DX_ECLOSED) {
        count(&receipts->closed);
    } else if (receipt->code != DX_OK) {
        count(&receipts->refused);
    }
    if (receipt->duplicate) {
        count(&receipts->duplicates);
    }
    receipts->last = *receipt;
    count(&receipts->count);
}

static inline dx_message_t message(const char *topic, const char *text)
{
    return (dx_message_t){.topic = topic, .data = text, .bytes = strlen(text)};
}

#endif
