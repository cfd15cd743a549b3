/* admin_stream.c - live updates: server-sent events, one buffer for each reader.
 *
 * DESIGN
 *
 *     dxi_admin_publish() --copy--> buffer of each reader --on_read()--> socket
 *
 * A buffer is bounded. An event that does not fit as a whole is left out and counted; before the
 * next one that fits, the reader is told how many it has lost. Nobody waits for a reader.
 *
 * A reader whose buffer is empty has its connection suspended: no thread looks at it until there is
 * something to send. libmicrohttpd must not be stopped with suspended connections, so the end is
 * said to every reader first, and none is suspended afterwards.
 *
 * INVARIANTS
 *
 *   R1  a buffer holds whole events, but for what on_read() has taken of the first one
 *   R2  `suspended` is set and cleared under the mutex, together with the call that does it
 *   R3  events that were left out are told, in their place, before any that came later
 *   R4  who was allowed to read by what held before dxi_admin_readers_end() reads no more behind
 *       it: a request notes the `epoch` before it is authorized, a reader of an earlier one ends
 *
 * THREADS. `stream_mutex` guards the list and all of each reader. It is held for copies only.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "admin/admin_internal.h"
#include "base/alloc.h"
#include "base/fail.h"

#define BLOCK_BYTES 16384
#define BUFFER_BYTES_FIRST 4096
#define SOCKET_BYTES 65536 /* what the kernel keeps for a reader that does not read */
#define SILENT_S 60        /* after which a reader that takes nothing is cut off */
#define HEAD_BYTES 128     /* "id: ...\nevent: ...\ndata: " and the empty line behind */

struct dxi_admin_reader {
    dxi_admin_t *admin;
    struct MHD_Connection *connection;
    dxi_admin_reader_t *next, *previous;
    bool listed;
    bool suspended;
    uint64_t epoch; /* in which who reads was allowed to */
    char *buffer;
    size_t room, begin, used; /* used: bytes behind `begin` */
    uint64_t lost;            /* since it was told last */
};

/* Everything below that has a reader holds the mutex. */

/* Room for `bytes` behind what is there. */
static bool reader_room(dxi_admin_reader_t *reader, size_t bytes)
{
    const size_t most = reader->admin->options.stream_bytes;
    if (reader->used + bytes > most) {
        return false;
    }
    if (reader->begin + reader->used + bytes <= reader->room) {
        return true;
    }
    if (reader->begin != 0) {
        memmove(reader->buffer, reader->buffer + reader->begin, reader->used);
        reader->begin = 0;
    }
    size_t room = reader->room != 0 ? reader->room : BUFFER_BYTES_FIRST;
    while (room < reader->used + bytes) {
        room *= 2;
    }
    if (room != reader->room) {
        char *const grown = realloc(reader->buffer, room);
        if (grown == NULL) {
            return false;
        }
        reader->buffer = grown;
        reader->room = room;
    }
    return true;
}

static void put(dxi_admin_reader_t *reader, const char *bytes, size_t count)
{
    memcpy(reader->buffer + reader->begin + reader->used, bytes, count);
    reader->used += count;
}

/* Tells how many were lost, when there is room for it and `bytes` more. */
static bool lost_told(dxi_admin_reader_t *reader, size_t bytes)
{
    char text[HEAD_BYTES];
    if (reader->lost == 0) {
        return true;
    }
    const int length =
        snprintf(text, sizeof text, "event: lost\ndata: {\"count\":%" PRIu64 "}\n\n", reader->lost);
    if (!reader_room(reader, (size_t)length + bytes)) {
        return false;
    }
    put(reader, text, (size_t)length);
    reader->lost = 0;
    return true;
}

static void reader_wake(dxi_admin_reader_t *reader)
{
    if (reader->suspended) {
        reader->suspended = false;
        MHD_resume_connection(reader->connection);
    }
}

static void reader_give(dxi_admin_reader_t *reader, const char *head, size_t head_bytes,
                        const char *data, size_t bytes)
{
    const size_t all = head_bytes + bytes + 2;
    if (!lost_told(reader, all) || !reader_room(reader, all)) {
        reader->lost++;
        (void)dx_fetch_add_relaxed(&reader->admin->events_lost, 1);
        return;
    }
    put(reader, head, head_bytes);
    put(reader, data, bytes);
    put(reader, "\n\n", 2);
    reader_wake(reader);
}

static size_t head_write(char head[HEAD_BYTES], const char *event, uint64_t id)
{
    int bytes = 0;
    if (id != 0) {
        bytes = snprintf(head, HEAD_BYTES, "id: %" PRIu64 "\n", id);
    }
    bytes += snprintf(head + bytes, HEAD_BYTES - (size_t)bytes, "event: %.60s\ndata: ", event);
    return (size_t)bytes;
}

/* ---------------------------------------------------------------------- callbacks of a response */

static ssize_t on_read(void *context, uint64_t position, char *to, size_t most)
{
    dxi_admin_reader_t *const reader = context;
    dxi_admin_t *const admin = reader->admin;
    ssize_t taken = 0;
    (void)position;
    (void)pthread_mutex_lock(&admin->stream_mutex);
    if (reader->used == 0) {
        (void)lost_told(reader, 0);
    }
    if (admin->streams_end || reader->epoch != admin->epoch) { /* R4 */
        taken = MHD_CONTENT_READER_END_OF_STREAM;
    } else if (reader->used == 0) {
        reader->suspended = true; /* R2 */
        MHD_suspend_connection(reader->connection);
    } else {
        taken = (ssize_t)(reader->used < most ? reader->used : most);
        memcpy(to, reader->buffer + reader->begin, (size_t)taken);
        reader->begin += (size_t)taken;
        reader->used -= (size_t)taken;
        reader->begin = reader->used == 0 ? 0 : reader->begin;
    }
    (void)pthread_mutex_unlock(&admin->stream_mutex);
    if (taken > 0) {
        (void)dx_fetch_add_relaxed(&admin->bytes_out, taken);
    }
    return taken;
}

static void on_free(void *context)
{
    dxi_admin_reader_t *const reader = context;
    dxi_admin_t *const admin = reader->admin;
    (void)pthread_mutex_lock(&admin->stream_mutex);
    if (reader->listed) {
        if (reader->previous != NULL) {
            reader->previous->next = reader->next;
        } else {
            admin->readers = reader->next;
        }
        if (reader->next != NULL) {
            reader->next->previous = reader->previous;
        }
        (void)dx_fetch_add_relaxed(&admin->reader_count, -1);
    }
    (void)pthread_mutex_unlock(&admin->stream_mutex);
    free(reader->buffer);
    dxi_free(reader);
}

/* --------------------------------------------------------------------------------- a new reader */

static dxi_admin_reader_t *reader_make(dxi_admin_request_t *request)
{
    static const char HELLO[] = ": hello\n\n";
    dxi_admin_reader_t *const reader = dxi_alloc_zeroed(1, sizeof *reader);
    if (reader != NULL) {
        reader->admin = request->admin;
        reader->connection = request->connection;
        reader->epoch = request->epoch;
        if (reader_room(reader, sizeof HELLO - 1)) {
            put(reader, HELLO, sizeof HELLO - 1);
        }
    }
    return reader;
}

/* Into the list, when there is a place for one more. */
static bool reader_list(dxi_admin_t *admin, dxi_admin_reader_t *reader)
{
    (void)pthread_mutex_lock(&admin->stream_mutex);
    const bool fits = dx_load_relaxed(&admin->reader_count) < (int64_t)admin->options.streams_max &&
                      !admin->streams_end;
    if (fits) {
        reader->listed = true;
        reader->next = admin->readers;
        if (reader->next != NULL) {
            reader->next->previous = reader;
        }
        admin->readers = reader;
        (void)dx_fetch_add_relaxed(&admin->reader_count, 1);
    }
    (void)pthread_mutex_unlock(&admin->stream_mutex);
    return fits;
}

static void refuse_reader(dxi_admin_request_t *request)
{
    char message[96];
    (void)snprintf(message, sizeof message, "%u streams are open",
                   request->admin->options.streams_max);
    dxi_admin_refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, DXI_ADMIN_REFUSED_LIMIT, DX_ELIMIT,
                     message, "admin.streams_max is the most; close some and ask again", NULL,
                     NULL);
}

/* A slow reader is found out soon: the kernel keeps little for it. */
static void socket_narrow(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *const info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    const int bytes = SOCKET_BYTES;
    if (info != NULL) {
        (void)setsockopt(info->connect_fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    }
    (void)MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, (unsigned)SILENT_S);
}

void dxi_admin_answer_stream(dxi_admin_request_t *request)
{
    dxi_admin_t *const admin = request->admin;
    dxi_admin_reader_t *const reader = reader_make(request);
    if (reader == NULL) {
        dxi_admin_answer(request, MHD_HTTP_INTERNAL_SERVER_ERROR, NULL, NULL, 0);
        return;
    }
    if (!reader_list(admin, reader)) {
        on_free(reader);
        refuse_reader(request);
        return;
    }
    struct MHD_Response *const response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, on_read, reader, on_free);
    if (response == NULL) {
        on_free(reader);
        dxi_admin_answer(request, MHD_HTTP_INTERNAL_SERVER_ERROR, NULL, NULL, 0);
        return;
    }
    request->reader = reader;
    socket_narrow(request->connection);
    dxi_admin_phase_set(admin, request->connection, DXI_ADMIN_STREAMING);
    dxi_admin_queue(request, MHD_HTTP_OK, response, "text/event-stream; charset=utf-8", NULL);
}

/* --------------------------------------------------------------------------------- publishing */

void dxi_admin_publish(dxi_admin_t *admin, const char *event, uint64_t id, const char *data,
                       size_t bytes)
{
    char head[HEAD_BYTES];
    const size_t head_bytes = head_write(head, event, id);
    (void)pthread_mutex_lock(&admin->stream_mutex);
    for (dxi_admin_reader_t *it = admin->readers; it != NULL; it = it->next) {
        reader_give(it, head, head_bytes, data, bytes);
    }
    (void)pthread_mutex_unlock(&admin->stream_mutex);
}

void dxi_admin_publish_to(dxi_admin_request_t *request, const char *event, uint64_t id,
                          const char *data, size_t bytes)
{
    char head[HEAD_BYTES];
    const size_t head_bytes = head_write(head, event, id);
    if (request->reader != NULL && !request->queue_failed) {
        (void)pthread_mutex_lock(&request->admin->stream_mutex);
        reader_give(request->reader, head, head_bytes, data, bytes);
        (void)pthread_mutex_unlock(&request->admin->stream_mutex);
    }
}

uint32_t dxi_admin_readers(const dxi_admin_t *admin)
{
    return (uint32_t)dx_load_relaxed(&admin->reader_count);
}

uint64_t dxi_admin_epoch(dxi_admin_t *admin)
{
    (void)pthread_mutex_lock(&admin->stream_mutex);
    const uint64_t epoch = admin->epoch;
    (void)pthread_mutex_unlock(&admin->stream_mutex);
    return epoch;
}

static void all_end(dxi_admin_t *admin, bool for_good)
{
    (void)pthread_mutex_lock(&admin->stream_mutex);
    admin->streams_end = admin->streams_end || for_good;
    admin->epoch++;
    for (dxi_admin_reader_t *it = admin->readers; it != NULL; it = it->next) {
        reader_wake(it);
    }
    (void)pthread_mutex_unlock(&admin->stream_mutex);
}

void dxi_admin_readers_end(dxi_admin_t *admin)
{
    all_end(admin, false);
}

void dxi_admin_streams_end(dxi_admin_t *admin)
{
    all_end(admin, true);
}
