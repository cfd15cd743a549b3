/* net_raw.h - a peer that is a plain socket: it sends what no connection of ours would.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef NET_RAW_H
#define NET_RAW_H

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "frame_test.h"
#include "net/socket.h"
#include "net_test.h"

/* A conversation, byte by byte. */
typedef struct script {
    _Alignas(8) char bytes[4096];
    size_t count;
} script_t;

static inline void script_add(script_t *script, const dx_frame_draft_t *draft, const void *payload)
{
    dx_error_t error = {0};
    const int64_t bytes =
        dx_frame_encode(script->bytes + script->count, sizeof script->bytes - script->count, draft,
                        payload, &error);
    if (bytes < 0) {
        fail_msg("%s", error.message);
    }
    script->count += (size_t)bytes;
}

/* HELLO or WELCOME. */
static inline void script_greet(script_t *script, uint8_t type, uint16_t version_min,
                                uint16_t version_max)
{
    const dx_frame_capabilities_t capabilities = {.bits = 1,
                                                  .frame_bytes_max = 1048576,
                                                  .version_min = version_min,
                                                  .version_max = version_max};
    const dx_frame_part_t parts[] = {
        dx_frame_part_of(DX_PART_CAPABILITIES, &capabilities, sizeof capabilities),
        dx_frame_part_text(DX_PART_NAME, "raw")};
    script_add(script, &(dx_frame_draft_t){.type = type, .parts = parts, .part_count = 2}, NULL);
}

static inline void script_plain(script_t *script, uint8_t type, const char *payload)
{
    script_add(script,
               &(dx_frame_draft_t){.type = type, .payload_bytes = (uint32_t)strlen(payload)},
               payload);
}

static inline void script_publish(script_t *script, uint64_t sequence, uint32_t payload_bytes)
{
    static const char payload[2048];
    const dx_frame_part_t topic = dx_frame_part_text(DX_PART_TOPIC, "a.b");
    script_add(script,
               &(dx_frame_draft_t){.type = DX_FRAME_PUBLISH,
                                   .sequence = sequence,
                                   .parts = &topic,
                                   .part_count = 1,
                                   .payload_bytes = payload_bytes},
               payload);
}

static inline int raw_connect(const dxi_address_t *address)
{
    struct sockaddr_storage storage;
    socklen_t bytes = 0;
    assert_true(dxi_socket_address(address, &storage, &bytes));
    const int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&storage, bytes), 0);
    return fd;
}

/* Listens on a free port of loopback, which goes into `address_out`. */
static inline int raw_listen(dxi_address_t *address_out)
{
    struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t bytes = sizeof in4;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&in4, sizeof in4), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in4, &bytes), 0);
    *address_out =
        (dxi_address_t){.transport = DXI_TCP, .port = ntohs(in4.sin_port), .host = "127.0.0.1"};
    return fd;
}

static inline int raw_accept(int listener)
{
    struct pollfd waiting = {.fd = listener, .events = POLLIN};
    assert_int_equal(poll(&waiting, 1, HUNG_S * 1000), 1);
    const int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    return fd;
}

/* False when the peer is gone. */
static inline bool raw_send(int fd, const char *bytes, size_t count)
{
    size_t sent = 0;
    while (sent < count) {
        const ssize_t taken = send(fd, bytes + sent, count - sent, MSG_NOSIGNAL);
        if (taken < 0) {
            return false;
        }
        sent += (size_t)taken;
    }
    return true;
}

/* Ends it with a reset. */
static inline void raw_reset(int fd)
{
    const struct linger now = {.l_onoff = 1};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    assert_int_equal(close(fd), 0);
}

/* Reads until the peer's end, or until a frame of `type` came. Returns whether it came; then
 * `view_out` is it, in `script`. */
static inline bool raw_read_until(int fd, int type, script_t *script, dx_frame_view_t *view_out)
{
    size_t begin = 0;
    size_t end = 0;
    for (;;) {
        while (dx_frame_decode(script->bytes + begin, end - begin, view_out, NULL) == DX_OK) {
            if (view_out->header->type == type) {
                return true;
            }
            begin += view_out->bytes;
        }
        struct pollfd waiting = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&waiting, 1, HUNG_S * 1000), 1);
        assert_true(end < sizeof script->bytes);
        const ssize_t got = recv(fd, script->bytes + end, sizeof script->bytes - end, 0);
        if (got <= 0) {
            return false;
        }
        end += (size_t)got;
    }
}

/* How many bytes the connection of a side has read. */
typedef struct bytes_call {
    side_t *side;
    uint64_t bytes;
} bytes_call_t;

static inline void bytes_run(void *context)
{
    bytes_call_t *const call = context;
    dxi_connection_info_t info = {0};
    if (call->side->connection != NULL) {
        dxi_connection_info(call->side->connection, &info);
    }
    call->bytes = info.bytes_in;
}

/* Waits until the side has read `bytes`, or is closed. */
static inline void side_wait_bytes(dxi_loop_t *loop, side_t *side, uint64_t bytes)
{
    const int64_t limit_ns = dx_clock_ns() + HUNG_S * DX_NS_PER_S;
    bytes_call_t call = {.side = side};
    do {
        dxi_loop_call(loop, bytes_run, &call);
    } while (call.bytes < bytes && side->closes == 0 && dx_clock_ns() < limit_ns);
    if (call.bytes < bytes && side->closes == 0) {
        fail_msg("only %llu of %llu bytes were read", (unsigned long long)call.bytes,
                 (unsigned long long)bytes);
    }
}

#endif
