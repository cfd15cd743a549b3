/* session_test.h - a bus that listens, and clients that speak frames by hand.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SESSION_TEST_H
#define SESSION_TEST_H

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "bus/session.h"
#include "bus_test.h"
#include "net/capability.h"
#include "net_test.h"
#include "wire/pack.h"

/* ----------------------------------------------------------------------------------------- node */

typedef struct node {
    dx_bus_t *bus;
    dxi_loop_t *loop; /* of the listener */
    dxi_listener_t *listener;
    dxi_session_policy_t policy;
    char folder[64];
    char address[128];
} node_t;

static int64_t node_drain_ns; /* drain_timeout_ns of connections; 0: the default */

static inline void node_open(node_t *node, const dx_bus_options_t *options,
                             const dxi_session_policy_t *policy)
{
    uint32_t count = 0;
    memset(node, 0, sizeof *node);
    (void)snprintf(node->folder, sizeof node->folder, "/tmp/dx-session-XXXXXX");
    assert_non_null(mkdtemp(node->folder));
    (void)snprintf(node->address, sizeof node->address, "unix://%s/s", node->folder);
    node->bus = bus_made(options);
    node->policy = policy != NULL ? *policy : (dxi_session_policy_t){0};
    node->loop = dxi_bus_loops(node->bus, &count)[0];
    dxi_listener_options_t listening = {.connection = {.drain_timeout_ns = node_drain_ns}};
    dxi_bus_serve(node->bus, &node->policy, &listening);
    node->listener = listen_on(node->loop, node->address, &listening);
}

static inline void node_start(node_t *node, uint32_t loops)
{
    node_open(
        node,
        &(dx_bus_options_t){
            .shards = 8, .loops = loops, .shard_ring_bytes = 262144, .event_bytes_max = 65536},
        NULL);
}

static inline dxi_sessions_stat_t node_stat(const node_t *node)
{
    dxi_sessions_stat_t stat;
    dxi_bus_sessions_stat(node->bus, &stat);
    return stat;
}

static inline void count_subscription(void *context, uint64_t connection,
                                      const dx_subscription_stats_t *stats)
{
    (void)stats;
    *(int *)context += connection != 0;
}

/* Waits until no session and no subscription of one is left. */
static inline void node_quiet(const node_t *node)
{
    const int64_t until = dx_clock_ns() + SOON_NS;
    int left = 1;
    while (left != 0 || node_stat(node).open != 0) {
        left = 0;
        assert_true(dxi_bus_subscriptions_each(node->bus, count_subscription, &left) >= 0);
        if (dx_clock_ns() > until) {
            fail_msg("%llu sessions and %d subscriptions are left",
                     (unsigned long long)node_stat(node).open, left);
        }
    }
}

static inline void node_end(node_t *node)
{
    listener_end(node->loop, node->listener);
    assert_int_equal(dxi_bus_sessions_close(node->bus, SOON_NS), 0);
    node_quiet(node);
    bus_ended(node->bus);
    char path[128];
    (void)snprintf(path, sizeof path, "%s/s", node->folder);
    (void)unlink(path);
    (void)rmdir(node->folder);
}

/* --------------------------------------------------------------------------------------- client */

#define RAW_BYTES 1048576

typedef struct raw {
    int fd;
    char *in; /* RAW_BYTES, aligned */
    size_t begin, end;
    dx_frame_stream_t stream;
    dx_frame_view_t view; /* of the last frame */
    uint64_t deliver;     /* events that the last DELIVER has announced and are still to come */
} raw_t;

static inline void raw_connect(raw_t *raw, const node_t *node)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memset(raw, 0, sizeof *raw);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", node->address + 7);
    raw->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(raw->fd, (struct sockaddr *)&address, sizeof address), 0);
    const struct timeval limit = {.tv_sec = HUNG_S};
    assert_int_equal(setsockopt(raw->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    assert_int_equal(setsockopt(raw->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit), 0);
    raw->in = aligned_alloc(64, RAW_BYTES);
    assert_non_null(raw->in);
    assert_ok(dx_frame_stream_init(&raw->stream, 0));
}

static inline bool raw_write(const raw_t *raw, const void *data, size_t bytes)
{
    const char *next = data;
    while (bytes != 0) {
        const ssize_t sent = send(raw->fd, next, bytes, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) { /* a socket with a timeout is not restarted */
            continue;
        }
        if (sent <= 0) {
            return false;
        }
        next += sent;
        bytes -= (size_t)sent;
    }
    return true;
}

static inline void raw_send(const raw_t *raw, const dx_frame_draft_t *draft, const void *payload)
{
    static _Thread_local uint64_t frame[65536];
    const int64_t bytes = dx_frame_encode(frame, sizeof frame, draft, payload, &said);
    check_said(bytes < 0 ? (int)bytes : DX_OK, "dx_frame_encode()");
    assert_true(raw_write(raw, frame, (size_t)bytes));
}

/* False: the node has closed the connection. */
static inline bool raw_pong(const raw_t *raw)
{
    uint64_t frame[32];
    const int64_t bytes = dx_frame_encode(frame, sizeof frame,
                                          &(dx_frame_draft_t){.type = DX_FRAME_PONG}, NULL, &said);
    check_said(bytes < 0 ? (int)bytes : DX_OK, "dx_frame_encode()");
    return raw_write(raw, frame, (size_t)bytes);
}

/* The next frame that asks for more than a PONG, which it gets; NULL when the node has closed the
 * connection. */
static inline const dx_frame_view_t *raw_next_or_end(raw_t *raw)
{
    for (;;) {
        const int code = dx_frame_stream_next(&raw->stream, raw->in + raw->begin,
                                              raw->end - raw->begin, &raw->view, &said);
        if (code == DX_OK) {
            raw->begin += raw->stream.frame_bytes;
            if (raw->view.header->type == DX_FRAME_PING) { /* on a slow machine */
                if (!raw_pong(raw)) {
                    return NULL;
                }
                continue;
            }
            if (raw->view.header->type == DX_FRAME_DELIVER) {
                raw->deliver = dx_frame_part_u64(&raw->view, DX_PART_COUNT, 0);
                assert_true(raw->deliver > 0);
            }
            if (raw->view.header->type == DX_FRAME_EVENT) {
                const uint32_t events = dxi_frame_events(raw->view.header);
                assert_true(raw->deliver >= events);
                raw->deliver -= events;
            }
            return &raw->view;
        }
        assert_int_equal(code, DX_EAGAIN);
        memmove(raw->in, raw->in + raw->begin, raw->end - raw->begin);
        raw->end -= raw->begin;
        raw->begin = 0;
        const ssize_t got = recv(raw->fd, raw->in + raw->end, RAW_BYTES - raw->end, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return NULL;
        }
        raw->end += (size_t)got;
    }
}

static inline const dx_frame_view_t *raw_next(raw_t *raw)
{
    const dx_frame_view_t *view = raw_next_or_end(raw);
    assert_non_null(view);
    return view;
}

/* The next frame that is no CREDIT; it must be of this type. */
static inline const dx_frame_view_t *raw_expect(raw_t *raw, int type)
{
    const dx_frame_view_t *view = raw_next(raw);
    while (view->header->type == DX_FRAME_CREDIT && type != DX_FRAME_CREDIT) {
        view = raw_next(raw);
    }
    if (view->header->type != type) {
        fail_msg("%s came, not %s: %.*s", dx_frame_type_name(view->header->type),
                 dx_frame_type_name(type), (int)view->payload_bytes, (const char *)view->payload);
    }
    return view;
}

static inline int raw_code(const raw_t *raw)
{
    uint32_t bytes = 0;
    const dx_frame_code_t *code = dx_frame_part(&raw->view, DX_PART_CODE, &bytes);
    return code == NULL ? DX_OK : code->code;
}

/* What CODE says was refused: the number of a type, a part, flags. */
static inline uint32_t raw_code_number(const raw_t *raw)
{
    uint32_t bytes = 0;
    const dx_frame_code_t *code = dx_frame_part(&raw->view, DX_PART_CODE, &bytes);
    return code == NULL ? 0 : code->number;
}

/* Nothing but CREDIT comes until the answer to a PING. */
static inline void raw_expect_nothing(raw_t *raw)
{
    raw_send(raw, &(dx_frame_draft_t){.type = DX_FRAME_PING}, NULL);
    (void)raw_expect(raw, DX_FRAME_PONG);
}

static uint32_t raw_frame_bytes_max = 1048576; /* that clients say they take */

static inline void raw_hello_can(raw_t *raw, uint64_t capabilities)
{
    const dx_frame_capabilities_t can = {capabilities, raw_frame_bytes_max, 1, 1};
    const dx_frame_part_t part = dx_frame_part_of(DX_PART_CAPABILITIES, &can, sizeof can);
    raw_send(raw, &(dx_frame_draft_t){.type = DX_FRAME_HELLO, .parts = &part, .part_count = 1},
             NULL);
}

static inline void raw_hello(raw_t *raw)
{
    raw_hello_can(raw, 0);
}

static inline void raw_open_can(raw_t *raw, const node_t *node, uint64_t capabilities)
{
    raw_connect(raw, node);
    raw_hello_can(raw, capabilities);
    (void)raw_expect(raw, DX_FRAME_WELCOME);
    (void)raw_expect(raw, DX_FRAME_CREDIT);
}

static inline void raw_open(raw_t *raw, const node_t *node)
{
    raw_open_can(raw, node, 0);
}

static inline void raw_close(raw_t *raw)
{
    (void)close(raw->fd);
    free(raw->in);
}

/* SUBSCRIBE with a number that is its correlation as well. */
static inline void raw_subscribe(const raw_t *raw, uint64_t number, const char *pattern,
                                 const char *group, const char *json)
{
    dx_frame_part_t parts[4];
    uint16_t count = 0;
    parts[count++] = dx_frame_part_text(DX_PART_TOPIC, pattern);
    parts[count++] = dx_frame_part_of(DX_PART_CORRELATION, &number, 8);
    parts[count++] = dx_frame_part_of(DX_PART_SUBSCRIPTION, &number, 8);
    if (group != NULL) {
        parts[count++] = dx_frame_part_text(DX_PART_GROUP, group);
    }
    raw_send(raw,
             &(dx_frame_draft_t){.type = DX_FRAME_SUBSCRIBE,
                                 .parts = parts,
                                 .part_count = count,
                                 .payload_bytes = (uint32_t)strlen(json)},
             json);
}

static inline void raw_credit(const raw_t *raw, uint64_t number, uint64_t events, uint64_t bytes)
{
    const dx_frame_credit_t credit = {events, bytes};
    const dx_frame_part_t parts[] = {
        dx_frame_part_of(DX_PART_SUBSCRIPTION, &number, 8),
        dx_frame_part_of(DX_PART_CREDIT, &credit, sizeof credit),
    };
    raw_send(raw, &(dx_frame_draft_t){.type = DX_FRAME_CREDIT, .parts = parts, .part_count = 2},
             NULL);
}

#define MUCH UINT64_C(1000000000)

/* Subscribed, acknowledged, with credit without end. */
static inline void raw_subscribed(raw_t *raw, uint64_t number, const char *pattern,
                                  const char *group, const char *json)
{
    raw_subscribe(raw, number, pattern, group, json);
    raw_credit(raw, number, MUCH, MUCH);
    (void)raw_expect(raw, DX_FRAME_ACK);
    assert_int_equal(dx_frame_part_u64(&raw->view, DX_PART_CORRELATION, 0), number);
}

/* A publication; with a producer sequence it wants an answer. */
static inline void raw_publish(const raw_t *raw, const char *topic, uint64_t producer_sequence,
                               const void *data, uint32_t bytes)
{
    const dx_frame_part_t part = dx_frame_part_text(DX_PART_TOPIC, topic);
    raw_send(raw,
             &(dx_frame_draft_t){.type = DX_FRAME_PUBLISH,
                                 .flags = producer_sequence != 0 ? DX_FRAME_ACK_WANTED : 0,
                                 .key_hash = dx_frame_key_hash(topic, strlen(topic)),
                                 .producer_id = producer_sequence != 0 ? 77 : 0,
                                 .producer_sequence = producer_sequence,
                                 .parts = &part,
                                 .part_count = 1,
                                 .payload_bytes = bytes},
             data);
}

/* The answers to publications up to `last`, whatever ranges they come in. */
static inline void raw_acknowledged(raw_t *raw, uint64_t last)
{
    uint64_t acknowledged = 0;
    while (acknowledged < last) {
        (void)raw_expect(raw, DX_FRAME_ACK);
        uint32_t bytes = 0;
        const dx_frame_range_t *range = dx_frame_part(&raw->view, DX_PART_RANGE, &bytes);
        const uint64_t first = range != NULL ? range->first : raw->view.header->producer_sequence;
        assert_int_equal(first, acknowledged + 1);
        acknowledged = raw->view.header->producer_sequence;
    }
}

static inline void raw_answer(const raw_t *raw, int type, uint64_t number, const char *topic,
                              uint16_t shard, uint64_t first, uint64_t last, int code)
{
    const dx_frame_range_t range = {first, last};
    const dx_frame_code_t reason = {.code = code};
    const dx_frame_part_t parts[] = {
        dx_frame_part_text(DX_PART_TOPIC, topic),
        dx_frame_part_of(DX_PART_SUBSCRIPTION, &number, 8),
        dx_frame_part_of(DX_PART_RANGE, &range, sizeof range),
        dx_frame_part_of(DX_PART_CODE, &reason, sizeof reason),
    };
    raw_send(raw,
             &(dx_frame_draft_t){.type = (uint8_t)type,
                                 .shard = shard,
                                 .parts = parts,
                                 .part_count = type == DX_FRAME_NACK ? 4 : 3},
             NULL);
}

/* A command with a correlation of its own. */
static inline void raw_command(const raw_t *raw, int type, const char *topic, const char *payload)
{
    const uint64_t correlation = 4711;
    dx_frame_part_t parts[2];
    uint16_t count = 0;
    if (topic != NULL) {
        parts[count++] = dx_frame_part_text(DX_PART_TOPIC, topic);
    }
    parts[count++] = dx_frame_part_of(DX_PART_CORRELATION, &correlation, 8);
    raw_send(raw,
             &(dx_frame_draft_t){.type = (uint8_t)type,
                                 .parts = parts,
                                 .part_count = count,
                                 .payload_bytes = (uint32_t)strlen(payload)},
             payload);
}

#endif
