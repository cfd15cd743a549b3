/* connection_out.c - frames to bytes: the sending ring and its writes.
 *
 * DESIGN
 *
 *             head                           tail   tail + claimed
 *              |                              |          |
 *     [ sent   | goes with the next write     | a claim  |  free ... reserve ]
 *
 * A frame is put together where it will be sent from. Committed bytes wait for the end of the turn,
 * so that everything of a turn is one write; when a quarter of the ring or WRITE_BYTES wait, they
 * are written at once, while they are still in the cache and the peer has nothing to do. When the
 * socket takes no more, nothing is tried until it says that it is writable.
 *
 * The last DXI_RESERVE_BYTES of room are for our own answers (PONG, ERROR, GOODBYE), so that an
 * owner that fills the ring can't silence them.
 *
 * Where both sides want it, what waits is compressed just before the write
 * (connection_batch_out.c).
 *
 * A frame that is larger than the ring makes it grow, when it is empty.
 *
 * INVARIANTS
 *
 *   O1  head, tail and every frame are multiples of 8 but for a write that was cut: only head
 *   O2  a failed claim is followed by on_writable(), unless the connection ends before
 *   O3  no callback is called from here: on_writable() waits for the next turn
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fail.h"
#include "net/connection_internal.h"

/* Written at once when 1/WRITE_PART of the ring waits, or this much. */
#define WRITE_PART 4
#define WRITE_BYTES ((size_t)131072)

/* --------------------------------------------------------------------------------------- claims */

/* A larger ring for a frame that this one will never have room for (O1: it is empty). */
static bool ring_grow(dxi_connection_t *connection, size_t bytes)
{
    size_t larger = connection->out.bytes;
    while (larger < bytes) {
        larger *= 2;
    }
    dxi_send_ring_t ring;
    dx_error_t error = {0};
    if (dxi_send_ring_create(&ring, larger, &error) != DX_OK) {
        dxi_connection_close(connection, error.code, error.message);
        return false;
    }
    dxi_send_ring_destroy(&connection->out);
    connection->out = ring;
    return true;
}

DX_NOINLINE static void *claim_slow(dxi_connection_t *connection, size_t bytes, size_t reserve)
{
    if (bytes + reserve > connection->out.bytes && bytes <= DX_FRAME_BYTES_MAX &&
        dxi_send_ring_pending(&connection->out) == 0 && !dxi_loop_is_lent(connection->loop)) {
        if (ring_grow(connection, bytes + reserve)) {
            connection->claimed = bytes;
            return dxi_send_ring_tail(&connection->out);
        }
        return NULL;
    }
    if (bytes > connection->wanted) {
        connection->wanted = bytes;
    }
    return NULL;
}

DX_INLINE void *claim(dxi_connection_t *connection, size_t bytes, size_t reserve)
{
    assert(bytes % DX_FRAME_ALIGN == 0);
    if (DX_UNLIKELY(dxi_send_ring_room(&connection->out) < bytes + reserve)) {
        return claim_slow(connection, bytes, reserve);
    }
    connection->claimed = bytes;
    return dxi_send_ring_tail(&connection->out);
}

void *dxi_connection_claim(dxi_connection_t *connection, size_t bytes)
{
    if (DX_UNLIKELY(!connection->may_claim)) {
        return NULL;
    }
    return claim(connection, bytes, DXI_RESERVE_BYTES);
}

void dxi_connection_commit(dxi_connection_t *connection, size_t bytes)
{
    if (DX_UNLIKELY(connection->claimed == 0)) {
        return; /* the connection was closed since the claim */
    }
    assert(bytes <= connection->claimed && bytes % DX_FRAME_ALIGN == 0);
    connection->claimed = 0;
    if (bytes == 0) {
        return; /* given up */
    }
    connection->frames_out++;
    dxi_send_ring_fill(&connection->out, bytes);
    dxi_loop_flush_later(connection->loop, &connection->flush);
    const size_t pending = dxi_send_ring_pending(&connection->out);
    if (pending >= WRITE_BYTES || pending >= connection->out.bytes / WRITE_PART) {
        dxi_connection_write(connection);
    }
}

int dxi_connection_send(dxi_connection_t *connection, const void *frame, size_t bytes)
{
    if (DX_UNLIKELY(bytes > connection->peer_frame_bytes_max) && connection->may_claim) {
        return DX_ELIMIT;
    }
    void *const room = dxi_connection_claim(connection, bytes);
    if (room == NULL) {
        return connection->may_claim ? DX_EAGAIN : DX_ECLOSED;
    }
    memcpy(room, frame, bytes);
    dxi_connection_commit(connection, bytes);
    return DX_OK;
}

static int encode(dxi_connection_t *connection, const dx_frame_draft_t *draft, const void *payload,
                  size_t reserve, dx_error_t *error)
{
    const int64_t bytes = dx_frame_bytes(draft, error);
    if (bytes < 0) {
        return (int)bytes;
    }
    if (bytes > connection->peer_frame_bytes_max) {
        return dxi_fail(error, DX_ELIMIT, "the frame has %lld bytes, %s accepts %u",
                        (long long)bytes, connection->peer_address,
                        connection->peer_frame_bytes_max);
    }
    void *const room = claim(connection, (size_t)bytes, reserve);
    if (room == NULL) {
        return DX_EAGAIN;
    }
    const int64_t written = dx_frame_encode(room, (size_t)bytes, draft, payload, error);
    if (written < 0) {
        return (int)written;
    }
    dxi_connection_commit(connection, (size_t)written);
    return DX_OK;
}

int dxi_connection_encode(dxi_connection_t *connection, const dx_frame_draft_t *draft,
                          const void *payload, dx_error_t *error)
{
    if (!connection->may_claim) {
        return dxi_fail(error, DX_ECLOSED, "the connection is not open");
    }
    return encode(connection, draft, payload, DXI_RESERVE_BYTES, error);
}

bool dxi_connection_say(dxi_connection_t *connection, const dx_frame_draft_t *draft,
                        const void *payload)
{
    const size_t wanted = connection->wanted;
    const int code = encode(connection, draft, payload, 0, NULL);
    connection->wanted = wanted; /* who waits for the reserve waits for any room */
    return code != DX_EAGAIN;
}

size_t dxi_connection_room(const dxi_connection_t *connection)
{
    const size_t room = dxi_send_ring_room(&connection->out);
    return connection->may_claim && room > DXI_RESERVE_BYTES ? room - DXI_RESERVE_BYTES : 0;
}

size_t dxi_connection_pending(const dxi_connection_t *connection)
{
    return dxi_send_ring_pending(&connection->out);
}

/* --------------------------------------------------------------------------------------- writes */

/* One write. Returns the bytes taken, 0 when the socket takes none, or a negative errno. */
static int64_t write_once(dxi_connection_t *connection, size_t bytes)
{
    const char *const from = dxi_send_ring_head(&connection->out);
    connection->writes++;
    if (connection->passing_count != 0 && connection->passing_at == connection->out.head) {
        return dxi_connection_pass_now(connection, from, bytes);
    }
    if (connection->shm_writing) {
        return dxi_connection_shm_write(connection, from, bytes);
    }
    if (connection->tls != NULL) {
        return dxi_tls_session_write(connection->tls, from, bytes);
    }
    for (;;) {
        const ssize_t sent = send(connection->fd, from, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            return sent;
        }
        if (errno != EINTR) {
            return errno == EAGAIN || errno == ENOBUFS ? 0 : -errno;
        }
    }
}

/* The peer takes nothing any more. What it has said before is still read: it may be the reason. */
static void write_failed(dxi_connection_t *connection, int os_errno)
{
    if (connection->shm_nonsense) {
        connection->why = connection->shm_why;
    } else if (connection->why.code == DX_OK) {
        (void)dxi_fail_os(&connection->why, DX_EIO, os_errno, "cannot write to %s",
                          connection->peer_address);
    }
    connection->broken = true;
    connection->out.head = connection->out.tail;
    dxi_loop_run_next(connection->loop, &connection->next);
}

/* Says that there is room to who waits for it (O2, O3). */
static void room_tell(dxi_connection_t *connection)
{
    const size_t room = dxi_send_ring_room(&connection->out);
    if (connection->wanted != 0 && room >= connection->out.bytes / 2 &&
        (room >= connection->wanted + DXI_RESERVE_BYTES || room == connection->out.bytes)) {
        connection->wanted = 0;
        connection->tell_writable = true;
        dxi_loop_run_next(connection->loop, &connection->next);
    }
    if ((connection->paused & DXI_PAUSED_ROOM) != 0 && room >= connection->out.bytes / 2) {
        dxi_loop_run_next(connection->loop, &connection->next);
    }
}

/* Sends what TLS has taken and the socket did not. False: nothing more goes now. */
static bool tls_flush(dxi_connection_t *connection)
{
    const int64_t code = connection->blocked ? 0 : dxi_tls_session_flush(connection->tls);
    if (code < 0) {
        write_failed(connection, (int)-code);
        return false;
    }
    connection->blocked = dxi_tls_session_is_stuck(connection->tls);
    return !connection->blocked;
}

void dxi_connection_write(dxi_connection_t *connection)
{
    if (connection->state < DXI_GREETING || connection->state == DXI_CLOSED || connection->broken) {
        return;
    }
    if (connection->tls != NULL && dxi_tls_session_is_stuck(connection->tls) &&
        !tls_flush(connection)) {
        return;
    }
    bool progress = false;
    while (!connection->blocked) {
        size_t bytes = dxi_send_ring_pending(&connection->out);
        if (DX_UNLIKELY(connection->mixed)) {
            bytes = dxi_connection_mixed(connection, bytes);
        }
        if (bytes == 0) {
            break;
        }
        if (DX_UNLIKELY(connection->batcher != NULL)) {
            bytes = dxi_batch_out_next(connection, bytes);
        }
        const int64_t sent = write_once(connection, bytes);
        if (sent < 0) {
            write_failed(connection, (int)-sent);
            return;
        }
        connection->blocked = connection->tls != NULL
                                  ? sent == 0 || dxi_tls_session_is_stuck(connection->tls)
                                  : (size_t)sent < bytes;
        connection->bytes_out += (uint64_t)sent;
        dxi_send_ring_take(&connection->out, (size_t)sent);
        if (DX_UNLIKELY(connection->batcher != NULL)) {
            dxi_batch_out_took(connection, (size_t)sent);
        }
        progress = true;
    }
    if (progress) {
        if (!connection->mixed) {
            assert(connection->claimed ==
                   0); /* a claim would be filled where nothing is sent from */
            dxi_send_ring_rewind(&connection->out);
        }
        room_tell(connection);
        dxi_connection_arm(connection);
    }
}
