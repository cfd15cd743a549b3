/* connection_in.c - bytes to frames.
 *
 * DESIGN
 *
 *              in_begin                 in_end            in_bytes
 *                 |                        |                  |
 *     [ handled   | frames ... a part of one | the next read  ]
 *
 * Frames are checked and handled where they lie. When all are handled the buffer begins again at
 * its start; a frame of which only a part is there moves to the start when the rest of the buffer
 * is too small for it, or small altogether. A frame larger than the buffer makes it grow; the
 * timer's tick gives that memory back when no large frame came since.
 *
 * A read takes what is there, as far as there is room. When it took less than there was room for,
 * the socket is empty and is not asked again.
 *
 * When the owner can't take a frame (DX_EAGAIN) it stays in the buffer with its view, and nothing
 * is read until dxi_connection_resume(): the buffer is the bound. When an answer of ours has no
 * room, the same happens until there is some.
 *
 * A BATCH stays at in_begin, and is what is open, until all that is in it was taken
 * (connection_batch_in.c).
 *
 * INVARIANTS
 *
 *   R1  in_begin is a multiple of 8: frames are aligned
 *   R2  a frame is given to the owner until it takes or refuses it, then never again; frames come
 *       in order
 *   R3  the buffer is at most frame_bytes_max, or receive_bytes if that is more, in whole pages
 *   R4  what was refused is answered with ERROR before the next frame is looked at
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fail.h"
#include "net/connection_internal.h"
#include "wire/pack.h"

#define READS_A_LOOK 4      /* at most, so that others have their turn */
#define ROOM_BYTES_MIN 8192 /* with less behind in_end, what is there moves to the start */
#define DISCARD_READS 16    /* in CLOSING, a look */

/* --------------------------------------------------------------------------------------- buffer */

/* Another buffer of at least `bytes`, with what is in this one. */
static int buffer_change(dxi_connection_t *connection, size_t bytes, dx_error_t *error)
{
    const size_t there = connection->in_end - connection->in_begin;
    const dx_memory_options_t options = {.size_bytes = bytes, .pages = DX_PAGES_NORMAL};
    dx_memory_t memory;
    const int code = dx_memory_map(&options, &memory, error);
    if (code != DX_OK) {
        return code;
    }
    if (there != 0) {
        memcpy(memory.address, connection->in + connection->in_begin, there);
    }
    dx_memory_unmap(&connection->in_memory);
    connection->in_memory = memory;
    connection->in = memory.address;
    connection->in_bytes = memory.size_bytes;
    connection->in_begin = 0;
    connection->in_end = there;
    return DX_OK;
}

/* Makes room for the rest of the frame that is at in_begin, and for more. */
static int buffer_make_room(dxi_connection_t *connection, dx_error_t *error)
{
    const size_t there = connection->in_end - connection->in_begin;
    const size_t needed = connection->stream.needed;
    if (there == 0) {
        connection->in_begin = 0;
        connection->in_end = 0;
    }
    if (needed > connection->in_bytes) {
        size_t larger = connection->in_bytes;
        while (larger < needed) {
            larger *= 2;
        }
        const size_t most = connection->settings->options.frame_bytes_max;
        return buffer_change(connection, larger < most ? larger : most, error); /* R3 */
    }
    if (connection->in_begin + needed > connection->in_bytes ||
        connection->in_bytes - connection->in_end < ROOM_BYTES_MIN) {
        memmove(connection->in, connection->in + connection->in_begin, there);
        connection->in_begin = 0;
        connection->in_end = there;
    }
    return DX_OK;
}

void dxi_connection_shrink(dxi_connection_t *connection)
{
    const size_t usual = connection->settings->options.receive_bytes;
    dx_error_t error = {0};
    if (connection->in_largest <= usual && connection->in_bytes > usual + ROOM_BYTES_MIN &&
        !connection->offered_there && connection->in_begin == connection->in_end) {
        (void)buffer_change(connection, usual, &error); /* on failure the large one stays */
    }
    connection->in_largest = 0;
}

/* --------------------------------------------------------------------------------------- frames */

DX_NOINLINE void dxi_connection_refuse(dxi_connection_t *connection, int code,
                                       const dx_error_t *error, const dx_frame_view_t *frame,
                                       bool whole)
{
    if (connection->state == DXI_GREETING) {
        dxi_connection_close(connection, code, error->message);
        return;
    }
    connection->refused++;
    connection->refusal = *error;
    if (error->code != code || error->message[0] == '\0') {
        (void)dxi_fail(&connection->refusal, code, "%s frame refused: %s",
                       dx_frame_type_name(frame->header->type), dx_error_text(code));
    }
    connection->refusal_number =
        code == DX_ENOTSUP && frame->refused != 0 ? frame->refused : frame->header->type;
    connection->refusal_events = whole ? dxi_frame_events(frame->header) : 1;
    connection->refusal_correlated = whole && dx_frame_has(frame, DX_PART_CORRELATION);
    if (connection->refusal_correlated) {
        connection->refusal_correlation = dx_frame_part_u64(frame, DX_PART_CORRELATION, 0);
    }
    connection->refusal_there = true;
    DX_LOG_WARN(connection->settings->options.log, "net", "refused a frame of %s: %s",
                connection->peer_address, connection->refusal.message);
}

bool dxi_connection_refusal_say(dxi_connection_t *connection)
{
    if (DX_UNLIKELY(connection->refusal_there)) {
        if (!dxi_greet_say_error(connection, &connection->refusal, connection->refusal_number,
                                 connection->refusal_events,
                                 connection->refusal_correlated ? &connection->refusal_correlation
                                                                : NULL)) {
            connection->paused |= DXI_PAUSED_ROOM;
            return false;
        }
        connection->refusal_there = false;
    }
    return true;
}

DX_INLINE bool frame_give(dxi_connection_t *connection, const dx_frame_view_t *frame)
{
    dx_error_t error;
    int code;
    error.code = DX_OK;
    error.message[0] = '\0';
    const uint8_t type = frame->header->type;
    const bool ours = connection->state != DXI_OPEN || dxi_greet_owns(type);
    connection->peer_error = false;
    if (DX_UNLIKELY(type == DX_FRAME_ERROR)) {
        dxi_greet_note_error(connection, frame);
    }
    if (DX_UNLIKELY(ours)) {
        code = type == DX_FRAME_BATCH && connection->state == DXI_OPEN
                   ? dxi_batch_in_begin(connection, frame, &error)
                   : dxi_greet_frame(connection, frame, &error);
    } else {
        code = connection->events->on_frame(connection->context, connection, frame, &error);
        connection->given++;
    }
    if (DX_LIKELY(code >= 0)) {
        return true;
    }
    if (code == DX_EAGAIN) {
        connection->paused |= ours ? DXI_PAUSED_ROOM : DXI_PAUSED_OWNER;
        if (!connection->offered_there) {
            connection->offered = *frame;
            connection->offered_there = true;
        }
        return false;
    }
    if (connection->state == DXI_OPEN || connection->state == DXI_GREETING) {
        dxi_connection_refuse(connection, code, &error, frame, true);
    }
    return true;
}

/* The next frame begins behind this one; behind the last one on the socket of a connection that has
 * changed over to shared memory there are only bells. */
DX_INLINE void frame_done(dxi_connection_t *connection, size_t bytes)
{
    connection->in_begin += bytes;
    assert(connection->in_begin % DX_FRAME_ALIGN == 0); /* R1 */
    if (DX_UNLIKELY(connection->shm_trim)) {
        connection->shm_trim = false;
        connection->in_end = connection->in_begin;
    }
}

bool dxi_connection_give(dxi_connection_t *connection, const dx_frame_view_t *frame)
{
    return frame_give(connection, frame);
}

DX_NOINLINE void dxi_connection_unreadable(dxi_connection_t *connection, const dx_error_t *error)
{
    DX_LOG_WARN(connection->settings->options.log, "net", "closing %s: %s",
                connection->peer_address, error->message);
    connection->refused++;
    dxi_connection_close(connection, error->code, error->message);
}

/* The owner is told also when the last one began the end: what it has put together counts. */
void dxi_connection_pause_tell(dxi_connection_t *connection, uint64_t before)
{
    if (connection->given != before && connection->events->on_pause != NULL) {
        connection->events->on_pause(connection->context, connection);
    }
}

/* Handles the frames that are in the buffer, as far as they are whole and taken. */
static void frames_run(dxi_connection_t *connection, uint64_t before)
{
    dx_frame_view_t view;
    dx_error_t error = {0};
    while (connection->paused == 0 &&
           (connection->state == DXI_OPEN || connection->state == DXI_GREETING)) {
        const int code =
            dx_frame_stream_next(&connection->stream, connection->in + connection->in_begin,
                                 connection->in_end - connection->in_begin, &view, &error);
        if (code == DX_EAGAIN) {
            break;
        }
        if (DX_UNLIKELY(code != DX_OK)) {
            if (connection->stream.failed != DX_OK) {
                dxi_connection_unreadable(connection, &error);
                break;
            }
            connection->frames_in++;
            dxi_connection_refuse(connection, code, &error, &view, false);
        } else {
            connection->frames_in++;
            if (view.bytes > connection->in_largest) {
                connection->in_largest = view.bytes;
            }
            if (!frame_give(connection, &view) ||
                (DX_UNLIKELY(connection->batch != NULL) && !dxi_batch_in_run(connection))) {
                break;
            }
        }
        frame_done(connection, connection->stream.frame_bytes);
        if (!dxi_connection_refusal_say(connection)) {
            break;
        }
    }
    dxi_connection_pause_tell(connection, before);
}

void dxi_connection_continue(dxi_connection_t *connection)
{
    const uint64_t before = connection->given;
    connection->paused &= DXI_PAUSED_LEFT;
    if (connection->paused != 0) {
        return;
    }
    if (!dxi_connection_refusal_say(connection)) {
        return;
    }
    if (connection->offered_there) {
        const dx_frame_view_t frame = connection->offered;
        connection->offered_there = false;
        if (!frame_give(connection, &frame)) {
            return;
        }
        frame_done(connection, connection->batch == NULL ? frame.bytes : 0);
        if (!dxi_connection_refusal_say(connection)) {
            dxi_connection_pause_tell(connection, before);
            return;
        }
    }
    if (connection->batch != NULL) {
        if (!dxi_batch_in_run(connection)) {
            dxi_connection_pause_tell(connection, before);
            return;
        }
        connection->in_begin += connection->stream.frame_bytes;
    }
    frames_run(connection, before);
}

void dxi_connection_resume(dxi_connection_t *connection)
{
    connection->resume = true;
    dxi_loop_run_next(connection->loop, &connection->next);
}

/* ---------------------------------------------------------------------------------------- reads */

/* Returns bytes, 0 at the end, or a negative errno. */
static int64_t read_once(dxi_connection_t *connection, char *to, size_t room)
{
    if (connection->shm_reading) {
        return dxi_connection_shm_read(connection, to, room);
    }
    if (connection->tls != NULL) {
        return dxi_tls_session_read(connection->tls, to, room);
    }
    return dxi_connection_receive(connection, to, room);
}

/* Behind a read that took less than there was room for: whether there is more all the same. */
static bool has_more(dxi_connection_t *connection)
{
    if (connection->shm_reading) {
        return dxi_connection_shm_has_more(connection);
    }
    return connection->tls != NULL && dxi_tls_session_has_more(connection->tls);
}

/* CLOSING: what comes is of no interest, but its end is. */
static void discard(dxi_connection_t *connection)
{
    for (int i = 0; i < DISCARD_READS && !connection->at_end; i++) {
        const int64_t got = read_once(connection, connection->in, connection->in_bytes);
        if (got == -EAGAIN) {
            return;
        }
        if (got <= 0) {
            connection->at_end = true;
            connection->broken = connection->broken || got < 0;
        }
    }
    dxi_connection_closing(connection);
}

static void read_failed(dxi_connection_t *connection, int os_errno)
{
    dx_error_t error = connection->why; /* a write that failed before */
    if (connection->shm_nonsense) {
        dxi_connection_unreadable(connection, &connection->shm_why);
        return;
    }
    if (connection->peer_error) {
        error = connection->peer_said;
    } else if (connection->tls != NULL && os_errno == EPROTO) {
        (void)dxi_tls_session_why(connection->tls, &error);
        (void)dxi_fail_context(&error, "%s", connection->peer_address);
    } else if (error.code == DX_OK) {
        (void)dxi_fail_os(&error, DX_EIO, os_errno, "lost the connection to %s",
                          connection->peer_address);
    }
    dxi_connection_end(connection, &error);
}

void dxi_connection_read(dxi_connection_t *connection)
{
    if (connection->state == DXI_CLOSING) {
        discard(connection);
        return;
    }
    for (int i = 0; i < READS_A_LOOK && connection->paused == 0; i++) {
        dx_error_t error = {0};
        if (buffer_make_room(connection, &error) != DX_OK) {
            dxi_connection_close(connection, error.code, error.message);
            return;
        }
        const size_t room = connection->in_bytes - connection->in_end;
        const int64_t got = read_once(connection, connection->in + connection->in_end, room);
        if (got == -EAGAIN) {
            return;
        }
        if (got < 0) {
            read_failed(connection, (int)-got);
            return;
        }
        if (got == 0) {
            dxi_connection_ended(connection);
            return;
        }
        connection->in_end += (size_t)got;
        connection->bytes_in += (uint64_t)got;
        connection->heard_ns = dxi_loop_now_ns(connection->loop);
        frames_run(connection, connection->given);
        if (connection->state != DXI_OPEN && connection->state != DXI_GREETING) {
            return;
        }
        if ((size_t)got < room && !has_more(connection)) {
            return; /* the socket is empty */
        }
    }
    if (connection->tls != NULL && connection->paused == 0) {
        dxi_loop_run_next(connection->loop, &connection->next); /* the socket may not say so */
    }
}
