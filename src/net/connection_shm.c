/* connection_shm.c - a connection whose frames go through shared memory.
 *
 * DESIGN
 *
 * It begins as a connection over a UNIX socket. Each direction changes over at a frame, which is
 * the last one on the socket:
 *
 *     client                                              node
 *     HELLO (DXI_CAPABILITY_SHM), AUTH   -- socket ->     may it? makes the memory (shm.h)
 *                                        <- socket --     WELCOME (DXI_CAPABILITY_SHM), and with it
 *                                                         the descriptor of the memory
 *                                        <= memory ==     all that follows
 *     maps it; PING                      -- socket ->     reads the socket up to here
 *     all that follows                   == memory =>
 *
 * So the bytes of a direction have one order, and both sides know where the change is. From then on
 * the socket carries no frames. It is
 *
 *     the sign of life    its end is the end of the connection, for whatever reason a process ends;
 *                         what is in the memory is read before
 *     the bell            a byte says "look": shm_ring.h says when it is sent. A loop that is awake
 *                         looks by itself (watch.h), so nobody rings and no system call is made
 *     a way for           other descriptors (dxi_connection_pass()), with a byte each
 *
 * Why bells are not an eventfd: both sides would share one open file, and the flag that keeps a
 * read or write of it from waiting belongs to that file. A client could take the flag away, and
 * hang the node. Calls on a socket say for themselves that they do not wait.
 *
 * Everything else of the connection is as it was: the sending ring is ours alone, and copied into
 * the memory where it would be written to a socket; the memory is copied into the receive buffer
 * where a socket would be read, and frames are checked there, out of the reach of the peer.
 *
 * INVARIANTS
 *
 *   M1  nothing is decided on bytes that the peer can change: only on copies, and on positions that
 *       shm_ring.h has checked
 *   M2  the end of the socket ends the stream behind the last byte that was in the memory then
 *   M3  a descriptor is passed, or closed; one that came is taken by the owner, or closed
 *   M4  no call here waits
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fail.h"
#include "net/capability.h"
#include "net/connection_internal.h"

#define BELLS_A_READ 256 /* bytes: what is rung while we were busy */
#define BELL_READS 4     /* at a look */
/* In one go: what is copied is handled while it is in the cache, and the peer has room again. */
#define READ_BYTES_MAX ((size_t)65536)

/* ---------------------------------------------------------------------------------------- bells */

static void ring(dxi_connection_t *connection)
{
    /* When the socket takes no more, the peer has bells that it has not heard: it will look. When
     * it is broken, its end will be read. */
    (void)!send(connection->fd, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    connection->bells_out++;
}

/* Keeps what came with a byte, if there is room (M3). */
static int64_t came_keep(dxi_connection_t *connection, int *descriptors, int count)
{
    if (connection->came_count + count > DXI_CAME_MAX) {
        dxi_descriptors_close(descriptors, count);
        return -EBADMSG;
    }
    for (int i = 0; i < count; i++) {
        connection->came[connection->came_count++] = descriptors[i];
    }
    return 0;
}

int64_t dxi_connection_receive(dxi_connection_t *connection, char *to, size_t room)
{
    if (!connection->takes) {
        for (;;) {
            const ssize_t plain = recv(connection->fd, to, room, MSG_DONTWAIT);
            if (plain >= 0 || errno != EINTR) {
                return plain >= 0 ? plain : -errno;
            }
        }
    }
    int descriptors[DXI_DESCRIPTORS_MAX];
    int count = 0;
    const int64_t got = dxi_descriptors_receive(connection->fd, to, room, descriptors, &count);
    const int64_t kept = count != 0 ? came_keep(connection, descriptors, count) : 0;
    return kept < 0 ? kept : got;
}

/* Reads bells and descriptors that are there. */
static void bells_read(dxi_connection_t *connection)
{
    char bytes[BELLS_A_READ];
    for (int i = 0; i < BELL_READS && connection->shm_end == 0; i++) {
        const int64_t got = dxi_connection_receive(connection, bytes, sizeof bytes);
        if (got == -EAGAIN) {
            return;
        }
        connection->shm_end = got > 0 ? 0 : got == 0 ? 1 : (int)got;
    }
}

void dxi_connection_shm_watch(dxi_connection_t *connection)
{
    if (connection->state == DXI_CLOSED) {
        return; /* inside a call that has ended it */
    }
    dxi_watch_add(dxi_loop_watch(connection->loop), &connection->watched,
                  dxi_loop_now_ns(connection->loop));
}

void dxi_connection_shm_rung(dxi_connection_t *connection)
{
    bells_read(connection);
    dxi_connection_shm_watch(connection);
}

/* -------------------------------------------------------------------------- reading and writing */

/* The peer has stored what can't be true. */
static int64_t nonsense(dxi_connection_t *connection, const char *what)
{
    if (!connection->shm_nonsense) {
        connection->shm_nonsense = true;
        (void)dx_fetch_add_relaxed(&connection->settings->shm_nonsense, 1);
        (void)dxi_fail(&connection->shm_why, DX_ECORRUPT,
                       "%s has stored a position in shared memory %s", connection->peer_address,
                       what);
    }
    return -EBADMSG;
}

int64_t dxi_connection_shm_read(dxi_connection_t *connection, char *to, size_t room)
{
    dxi_shm_t *const shm = connection->shm;
    const int ended = connection->shm_end; /* M2: seen before the memory is looked at */
    const int64_t got = dxi_shm_read(&shm->in, to, room < READ_BYTES_MAX ? room : READ_BYTES_MAX);
    if (DX_UNLIKELY(got < 0)) {
        return nonsense(connection, "that is before its last one, or beyond the ring");
    }
    if (got == 0) {
        return ended == 0 ? -EAGAIN : ended > 0 ? 0 : ended;
    }
    if (dxi_shm_must_ring_writer(&shm->in)) {
        ring(connection);
    }
    return got;
}

bool dxi_connection_shm_has_more(dxi_connection_t *connection)
{
    return dxi_shm_there(&connection->shm->in) != 0 || connection->shm_end != 0;
}

int64_t dxi_connection_shm_write(dxi_connection_t *connection, const char *from, size_t bytes)
{
    dxi_shm_t *const shm = connection->shm;
    const int64_t put = dxi_shm_write(&shm->out, from, bytes);
    if (DX_UNLIKELY(put < 0)) {
        return nonsense(connection, "that is before its last one, or beyond ours");
    }
    if (put > 0 && dxi_shm_must_ring_reader(&shm->out)) {
        ring(connection);
    }
    return put;
}

/* A turn's look, of dxi_watch_run(). */
static int look(void *context)
{
    dxi_connection_t *const connection = context;
    int work = 0;
    if (connection->blocked && connection->shm_writing && dxi_shm_writable(&connection->shm->out)) {
        connection->blocked = false;
        dxi_connection_write(connection);
        work++;
    }
    if (connection->shm_reading && connection->paused == 0 && !connection->at_end &&
        dxi_connection_shm_has_more(connection)) {
        dxi_connection_read(connection);
        work++;
    }
    if (work != 0) {
        dxi_connection_closing(connection);
        dxi_connection_arm(connection);
    }
    return work;
}

static void tell(void *context, bool sleeps)
{
    dxi_connection_t *const connection = context;
    dxi_shm_reader_sleeps(&connection->shm->in, sleeps && connection->shm_reading);
    dxi_shm_writer_sleeps(&connection->shm->out,
                          sleeps && connection->shm_writing && connection->blocked);
}

/* ------------------------------------------------------------------------------ changing over */

/* Both sides, when the memory is there: what is put into the sending ring from now on goes there.
 */
static void writing_begin(dxi_connection_t *connection)
{
    connection->shm_from = connection->out.tail;
    connection->mixed = true;
    dxi_watched_init(&connection->watched, look, tell, connection);
}

void dxi_connection_shm_reading(dxi_connection_t *connection)
{
    connection->shm_reading = true;
    connection->shm_trim = true; /* behind the last frame of the socket are bells */
    dxi_connection_shm_watch(connection);
}

/* Whether this client may have shared memory. */
static int may_grant(const dxi_connection_t *connection, dx_error_t *error)
{
    const dxi_connection_options_t *const options = &connection->settings->options;
    uid_t user = 0;
    pid_t process = 0;
    if (connection->address.transport != DXI_UNIX) {
        return dxi_fail(error, DX_ENOTSUP,
                        "shared memory is for clients that come by a UNIX socket");
    }
    if (!options->shm) {
        return dxi_fail(error, DX_ENOTSUP,
                        "shared memory is off at this node (local.enabled); unix:// works");
    }
    const int code = dxi_peer_credentials(connection->fd, &user, &process, error);
    if (code != DX_OK) {
        return code;
    }
    if (!options->shm_any_user && user != geteuid()) {
        return dxi_fail(error, DX_EPERM,
                        "shared memory is for user %u, whose the node is, and not for %u "
                        "(local.any_user); unix:// works",
                        (unsigned)geteuid(), (unsigned)user);
    }
    return DX_OK;
}

int dxi_connection_shm_grant(dxi_connection_t *connection, dx_error_t *error)
{
    int descriptor = -1;
    int code = may_grant(connection, error);
    if (code == DX_OK) {
        code = dxi_shm_create(connection->settings->options.shm_ring_bytes, &connection->shm,
                              &descriptor, error);
    }
    if (code == DX_OK) {
        code = dxi_connection_pass(connection, &descriptor, 1, error);
    }
    if (code != DX_OK) {
        dxi_descriptors_close(&descriptor, 1);
        dxi_shm_destroy(connection->shm);
        connection->shm = NULL;
        (void)dx_fetch_add_relaxed(&connection->settings->shm_refused, 1);
    }
    return code;
}

void dxi_connection_shm_granted(dxi_connection_t *connection)
{
    writing_begin(connection);
    (void)dx_fetch_add_relaxed(&connection->settings->shm_granted, 1);
    if (strncmp(connection->peer_address, "unix:", 5) == 0) { /* so that people see it */
        memmove(connection->peer_address + 3, connection->peer_address + 4,
                strlen(connection->peer_address + 4) + 1);
        memcpy(connection->peer_address, "shm", 3);
    }
}

int dxi_connection_shm_accept(dxi_connection_t *connection, dx_error_t *error)
{
    int descriptor = -1;
    if ((connection->peer_capabilities & DXI_CAPABILITY_SHM) == 0) {
        return dxi_fail(error, DX_ENOTSUP, "the node at %s has no shared memory; use unix://%s",
                        connection->peer_address, connection->address.host);
    }
    if (dxi_connection_take(connection, &descriptor, 1) != DX_OK) {
        return dxi_fail(error, DX_EINVAL, "the node at %s has sent no shared memory",
                        connection->peer_address);
    }
    const int code = dxi_shm_attach(descriptor, &connection->shm, error);
    (void)close(descriptor);
    if (code != DX_OK) {
        return code;
    }
    if (!dxi_greet_ping(connection)) {
        return dxi_fail(error, DX_EAGAIN, "no room for the frame that changes to shared memory");
    }
    writing_begin(connection);
    dxi_connection_shm_reading(connection);
    return DX_OK;
}

size_t dxi_connection_mixed(dxi_connection_t *connection, size_t bytes)
{
    const uint64_t head = connection->out.head;
    if (connection->shm != NULL && !connection->shm_writing) {
        if (head == connection->shm_from) {
            connection->shm_writing = true;
        } else if (connection->shm_from - head < bytes) {
            bytes = (size_t)(connection->shm_from - head);
        }
    }
    if (connection->passing_count != 0) {
        /* A header goes with the descriptors: what is so short is not packed, and stays there. */
        const uint64_t apart =
            connection->passing_at != head ? connection->passing_at - head : DX_FRAME_HEADER_BYTES;
        bytes = apart < bytes ? (size_t)apart : bytes;
    }
    connection->mixed =
        connection->passing_count != 0 || (connection->shm != NULL && !connection->shm_writing);
    return bytes;
}

/* ---------------------------------------------------------------------------------- descriptors */

static bool has_unix_socket(const dxi_connection_t *connection)
{
    return connection->address.transport == DXI_UNIX || connection->address.transport == DXI_SHM;
}

int dxi_connection_pass(dxi_connection_t *connection, const int *descriptors, int count,
                        dx_error_t *error)
{
    if (count < 1 || count > DXI_DESCRIPTORS_MAX) {
        return dxi_fail(error, DX_EINVAL, "%d descriptors go with a frame, must be 1 to %d", count,
                        DXI_DESCRIPTORS_MAX);
    }
    if (!has_unix_socket(connection)) {
        return dxi_fail(error, DX_ENOTSUP,
                        "descriptors can't be passed to %s: it is no process "
                        "of this host's that came by a UNIX socket",
                        connection->peer_address);
    }
    if (connection->passing_count != 0) {
        return dxi_fail(error, DX_EAGAIN, "others are still on their way to %s",
                        connection->peer_address);
    }
    for (int i = 0; i < count; i++) {
        connection->passing[i] = descriptors[i];
    }
    connection->passing_count = count;
    connection->passing_at = connection->out.tail;
    connection->mixed = true;
    return DX_OK;
}

int64_t dxi_connection_pass_now(dxi_connection_t *connection, const char *from, size_t bytes)
{
    /* Through shared memory the frame follows; with the descriptors goes a byte that is a bell. */
    const bool apart = connection->shm_writing;
    const int64_t sent = dxi_descriptors_send(connection->fd, apart ? "" : from, apart ? 1 : bytes,
                                              connection->passing, connection->passing_count);
    if (sent > 0) {
        dxi_descriptors_close(connection->passing, connection->passing_count); /* M3 */
        connection->passing_count = 0;
    }
    if (!apart) {
        return sent;
    }
    /* A peer that leaves so many bells unread is not worth waiting for. */
    return sent > 0    ? dxi_connection_shm_write(connection, from, bytes)
           : sent == 0 ? -ENOBUFS
                       : sent;
}

int dxi_connection_take(dxi_connection_t *connection, int *descriptors_out, int count)
{
    if (connection->came_count < count && connection->shm_reading) {
        bells_read(connection); /* they were sent before the frame was put into the memory */
    }
    if (count < 1 || connection->came_count < count) {
        return DX_ENOTFOUND;
    }
    for (int i = 0; i < count; i++) {
        descriptors_out[i] = connection->came[i];
    }
    connection->came_count -= count;
    for (int i = 0; i < connection->came_count; i++) {
        connection->came[i] = connection->came[i + count];
    }
    return DX_OK;
}

/* -------------------------------------------------------------------------------------- the end */

void dxi_connection_shm_end(dxi_connection_t *connection)
{
    if (connection->shm != NULL && connection->watched.look != NULL) {
        dxi_watch_remove(dxi_loop_watch(connection->loop), &connection->watched);
    }
}

void dxi_connection_shm_discard(dxi_connection_t *connection)
{
    dxi_descriptors_close(connection->passing, connection->passing_count); /* M3 */
    dxi_descriptors_close(connection->came, connection->came_count);
    dxi_shm_destroy(connection->shm);
}
