/* connection.c - the life of a connection.
 *
 * DESIGN
 *
 *     CONNECTING -> SECURING -> GREETING -> OPEN -> CLOSING -> CLOSED -> on_close(), freed
 *
 *     from       to         by
 *     CONNECTING SECURING   connection_connect.c: the socket is connected, the address says tls
 *     CONNECTING GREETING   the same without TLS; an accepted socket begins with one of the two
 *     SECURING   GREETING   on_poll(): the handshake is done
 *     GREETING   OPEN       connection_greet.c
 *     GREETING,  CLOSING    dxi_connection_close(): ERROR or GOODBYE goes behind what is in the
 *     OPEN                  ring; dxi_connection_ended(): the peer has ended, the ring still goes
 *     CLOSING    CLOSED     all is sent and the peer has ended, or drain_timeout_ns is over
 *     any        CLOSED     dxi_connection_end(): lost, timed out, refused, the loop ends
 *
 * CLOSING. A socket that is closed while bytes of the peer lie unread answers with a reset, which
 * may overtake our last words. So we say that we send no more, read what comes and forget it, and
 * close when the peer has ended as well.
 *
 * TIME. One timer. It is not touched by traffic: when it fires, it looks when something was heard
 * last, and is set again for the rest.
 *
 * INVARIANTS
 *
 *   C1  on_close() is called once for each connection for which on_accept() or connect() succeeded,
 *       from the loop's own turn and never from inside another call, and is the last call
 *   C2  the first reason to end is the one that on_close() is told
 *   C3  memory lives until libuv has closed all handles: whatever a callback did to a connection,
 *       its caller may still look at it in the same turn
 *   C4  a connection is open, or closing, for a bounded time without hearing from its peer, unless
 *       idle_timeout_ns is -1, or it is the owner that does not read
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "disruptorx/clock.h"
#include "net/connection_internal.h"

static dx_atomic64_t last_id;

static void on_flush(void *context);
static void on_next(void *context);
static void on_loop_end(void *context);

/* --------------------------------------------------------------------------- making and freeing */

int dxi_connection_new(dxi_loop_t *loop, dxi_settings_t *settings,
                       dxi_connection_t **connection_out, dx_error_t *error)
{
    *connection_out = NULL;
    dxi_connection_t *const connection = dxi_alloc_zeroed(1, sizeof *connection);
    if (connection == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a connection");
    }
    const dx_memory_options_t buffer = {.size_bytes = settings->options.receive_bytes,
                                        .pages = DX_PAGES_NORMAL};
    int code = dx_memory_map(&buffer, &connection->in_memory, error);
    if (code == DX_OK) {
        code = dxi_send_ring_create(&connection->out, settings->options.send_bytes, error);
    }
    if (code == DX_OK) {
        const uint32_t most = settings->options.frame_bytes_max;
        code = dx_frame_stream_init(&connection->stream,
                                    most < DXI_GREETING_BYTES_MAX ? most : DXI_GREETING_BYTES_MAX);
    }
    if (code != DX_OK) {
        dxi_send_ring_destroy(&connection->out);
        dx_memory_unmap(&connection->in_memory);
        dxi_free(connection);
        return code;
    }
    dxi_settings_keep(settings);
    connection->settings = settings;
    connection->events = &settings->events;
    connection->context = settings->events.context;
    connection->loop = loop;
    connection->fd = -1;
    connection->in = connection->in_memory.address;
    connection->in_bytes = connection->in_memory.size_bytes;
    connection->peer_frame_bytes_max = DX_FRAME_BYTES_MAX; /* until it has said less */
    connection->id = (uint64_t)dx_fetch_add_relaxed(&last_id, 1) + 1;
    dxi_hook_init(&connection->flush, on_flush, connection);
    dxi_hook_init(&connection->next, on_next, connection);
    dxi_hook_init(&connection->member, on_loop_end, connection);
    *connection_out = connection;
    return DX_OK;
}

void dxi_connection_discard(dxi_connection_t *connection)
{
    dxi_connection_forget_candidates(connection);
    dxi_connection_shm_discard(connection);
    dxi_tls_session_destroy(connection->tls);
    dxi_batch_in_close(connection);
    dxi_batch_out_close(connection);
    dxi_send_ring_destroy(&connection->out);
    dx_memory_unmap(&connection->in_memory);
    dxi_settings_drop(connection->settings);
    dxi_free(connection);
}

/* Where a reason is counted: by its number. The peer may have said one that is none of ours. */
static int end_index(int code)
{
    return code <= 0 && code > -DXI_END_CODES ? -code : DXI_END_CODES - 1;
}

/* The last handle is closed: nobody but its owner knows the connection any more (C1). */
static void finish(dxi_connection_t *connection)
{
    dxi_settings_t *const settings = connection->settings;
    assert(connection->state == DXI_CLOSED);
    dxi_hook_cancel(&connection->flush);
    dxi_hook_cancel(&connection->next);
    dxi_hook_cancel(&connection->member);
    if (settings->listener) {
        (void)dx_fetch_add_relaxed(&settings->open, -1);
        (void)dx_fetch_add_relaxed(&settings->ended[end_index(connection->why.code)], 1);
        if (!connection->was_open && !connection->unwelcome) {
            (void)dx_fetch_add_relaxed(&settings->handshake_failures, 1);
        }
    }
    DX_LOG_DEBUG(settings->options.log, "net", "%s is closed: %s", connection->peer_address,
                 connection->why.message);
    if (!connection->unwelcome) {
        connection->events->on_close(connection->context, connection, &connection->why);
    }
    dxi_connection_discard(connection);
}

static void on_handle_closed(uv_handle_t *handle)
{
    dxi_connection_t *const connection = handle->data;
    dxi_loop_worked(connection->loop);
    connection->handles--;
    if (handle == (uv_handle_t *)&connection->poll) {
        connection->poll_there = false;
    }
    if (connection->state != DXI_CLOSED) {
        dxi_connection_next_candidate(connection);
    } else if (connection->handles == 0) {
        finish(connection);
    }
}

/* ---------------------------------------------------------------------------------------- timer */

static void on_timer(uv_timer_t *timer);

static void timer_set(dxi_connection_t *connection, int64_t at_ns)
{
    const int64_t left_ns = at_ns - dx_clock_ns();
    const uint64_t left_ms = left_ns > 0 ? (uint64_t)((left_ns + 999999) / 1000000) : 0;
    uv_update_time(connection->timer.loop); /* libuv counts from the time it looked last */
    (void)uv_timer_start(&connection->timer, on_timer, left_ms, 0);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void dxi_connection_timer(dxi_connection_t *connection)
{
    const dxi_connection_options_t *const options = &connection->settings->options;
    if (connection->state < DXI_OPEN) {
        timer_set(connection, connection->begun_ns + options->handshake_timeout_ns);
        return;
    }
    if (connection->state == DXI_CLOSING || connection->peer_left) {
        timer_set(connection, dx_clock_ns() + options->drain_timeout_ns);
        return;
    }
    int64_t at_ns = INT64_MAX;
    const int64_t now = dx_clock_ns();
    if (options->keep_alive_ns > 0) {
        const int64_t ping_ns = connection->heard_ns + options->keep_alive_ns;
        at_ns = ping_ns > now ? ping_ns : now + options->keep_alive_ns;
    }
    if (options->idle_timeout_ns > 0) {
        at_ns = earlier(at_ns, connection->heard_ns + options->idle_timeout_ns);
    }
    if (at_ns != INT64_MAX) {
        timer_set(connection, at_ns);
    } else {
        (void)uv_timer_stop(&connection->timer);
    }
}

/* OPEN: silence, and memory that is no longer needed. */
static void tick(dxi_connection_t *connection)
{
    const dxi_connection_options_t *const options = &connection->settings->options;
    const int64_t now = dx_clock_ns();
    if (connection->peer_left) { /* and what was under way is still not answered */
        dxi_connection_close(connection, DX_ECLOSED, NULL);
        return;
    }
    if ((connection->paused & DXI_PAUSED_OWNER) != 0) {
        connection->heard_ns = now; /* it is us who don't listen */
    }
    const int64_t silence_ns = now - connection->heard_ns;
    if (options->idle_timeout_ns > 0 && silence_ns >= options->idle_timeout_ns) {
        dxi_connection_end_with(connection, DX_ETIMEDOUT, "nothing heard from %s for %lld ms",
                                connection->peer_address, (long long)(silence_ns / 1000000));
        return;
    }
    if (options->keep_alive_ns > 0 && silence_ns >= options->keep_alive_ns) {
        (void)dxi_greet_ping(connection); /* with a full ring it has enough to hear */
    }
    dxi_connection_shrink(connection);
    dxi_connection_timer(connection);
}

static void on_timer(uv_timer_t *timer)
{
    static const char *const WAITING[] = {"to connect", "for the handshake of TLS",
                                          "for the greeting"};
    dxi_connection_t *const connection = timer->data;
    dxi_loop_worked(connection->loop);
    if (connection->state == DXI_OPEN) {
        tick(connection);
    } else if (connection->state == DXI_CLOSING) {
        dxi_connection_end(connection, &connection->why);
    } else if (connection->state < DXI_OPEN) {
        dx_error_t why = {0};
        const long long ms =
            (long long)(connection->settings->options.handshake_timeout_ns / 1000000);
        (void)dxi_fail(&why, DX_ETIMEDOUT, "waited %lld ms %s of %s", ms,
                       WAITING[connection->state], connection->peer_address);
        dxi_connection_close(connection, why.code, why.message);
    }
}

/* ------------------------------------------------------------------------------------ beginning */

void dxi_connection_begin(dxi_connection_t *connection)
{
    uv_loop_t *const uv = dxi_loop_uv(connection->loop);
    (void)uv_timer_init(uv, &connection->timer);
    connection->timer.data = connection;
    connection->handles = 1;
    connection->begun_ns = dx_clock_ns();
    connection->heard_ns = connection->begun_ns;
    dxi_loop_join(connection->loop, &connection->member);
    dxi_connection_timer(connection);
}

static void on_poll(uv_poll_t *poll, int status, int events);

int dxi_connection_watch(dxi_connection_t *connection, int fd, dx_error_t *error)
{
    assert(!connection->poll_there);
    const int rc = uv_poll_init(dxi_loop_uv(connection->loop), &connection->poll, fd);
    if (rc != 0) {
        return dxi_fail_os(error, dxi_code_of_errno(-rc), -rc, "cannot wait for a socket");
    }
    connection->poll.data = connection;
    connection->poll_there = true;
    connection->handles++;
    connection->fd = fd;
    connection->armed = 0;
    return DX_OK;
}

void dxi_connection_unwatch(dxi_connection_t *connection)
{
    uv_close((uv_handle_t *)&connection->poll, on_handle_closed);
    (void)close(connection->fd);
    connection->fd = -1;
    connection->armed = 0;
}

/* The transport is there: the greeting, or the word that there is none. */
static void greet(dxi_connection_t *connection)
{
    dxi_greet_begin(connection);
    if (connection->unwelcome) {
        dxi_connection_close(connection, connection->refusal.code, connection->refusal.message);
    }
}

static void secure(dxi_connection_t *connection)
{
    dx_error_t error = {0};
    bool to_write = false;
    const int code = dxi_tls_session_handshake(connection->tls, &to_write, &error);
    if (code == DX_OK) {
        greet(connection);
        dxi_connection_read(connection); /* the greeting may be there, behind the handshake */
    } else if (code == DX_EAGAIN) {
        connection->blocked = to_write;
    } else {
        (void)dxi_fail_context(&error, "TLS with %s", connection->peer_address);
        (void)dx_fetch_add_relaxed(&connection->settings->tls_failures, 1);
        DX_LOG_WARN(connection->settings->options.log, "net", "%s", error.message);
        dxi_connection_end(connection, &error);
    }
}

void dxi_connection_connected(dxi_connection_t *connection)
{
    const dxi_settings_t *const settings = connection->settings;
    if (connection->address.transport != DXI_TLS) {
        greet(connection);
        dxi_connection_arm(connection);
        return;
    }
    dx_error_t error = {0};
    const int code = dxi_tls_session_create(settings->options.tls, connection->fd,
                                            connection->address.host, &connection->tls, &error);
    if (code != DX_OK) {
        dxi_connection_end(connection, &error);
        return;
    }
    connection->state = DXI_SECURING;
    secure(connection);
    dxi_connection_arm(connection);
}

void dxi_connection_adopt(dxi_connection_t *connection, int fd)
{
    dxi_settings_t *const settings = connection->settings;
    dxi_connection_begin(connection);
    if (dxi_connection_watch(connection, fd, &connection->refusal) != DX_OK) {
        (void)close(fd);
        connection->unwelcome = true;
        (void)dx_fetch_add_relaxed(&settings->refused, 1);
        dxi_connection_end(connection, &connection->refusal);
        return;
    }
    if (!connection->unwelcome && settings->on_accept != NULL) {
        const int code = settings->on_accept(connection->context, connection, &connection->refusal);
        connection->unwelcome = code < 0;
        if (code < 0 && connection->refusal.code != code) {
            (void)dxi_fail(&connection->refusal, code, "refused: %s", dx_error_text(code));
        }
    }
    if (connection->unwelcome) {
        (void)dx_fetch_add_relaxed(&settings->refused, 1);
        DX_LOG_WARN(settings->options.log, "net", "refused %s: %s", connection->peer_address,
                    connection->refusal.message);
    }
    if (connection->state == DXI_CONNECTING) { /* on_accept() may have closed it */
        dxi_connection_connected(connection);
    }
}

/* --------------------------------------------------------------------------------- what happens */

void dxi_connection_arm(dxi_connection_t *connection)
{
    int wanted = connection->blocked && !connection->shm_writing ? UV_WRITABLE : 0;
    if (connection->fd < 0 || connection->state == DXI_CLOSED) {
        return;
    }
    if (connection->state == DXI_CONNECTING) {
        wanted = UV_WRITABLE;
    } else if (connection->shm_reading) {
        wanted |= connection->shm_end == 0 ? UV_READABLE : 0; /* bells, and the end */
    } else if (connection->paused == 0 && !connection->at_end) {
        wanted |= UV_READABLE;
    }
    const bool room_wanted = connection->blocked && connection->shm_writing;
    if (wanted == connection->armed && !room_wanted) {
        return;
    }
    if (DX_UNLIKELY(dxi_loop_is_lent(connection->loop))) {
        dxi_loop_run_next(connection->loop, &connection->next); /* which comes here again */
        return;
    }
    if (room_wanted) {
        dxi_connection_shm_watch(connection);
    }
    if (wanted == connection->armed) {
        return;
    }
    if (wanted != 0) {
        (void)uv_poll_start(&connection->poll, wanted, on_poll);
    } else {
        (void)uv_poll_stop(&connection->poll);
    }
    connection->armed = wanted;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    dxi_connection_t *const connection = poll->data;
    dxi_loop_worked(connection->loop);
    if (DX_UNLIKELY(status < 0)) { /* libuv has stopped it; reading says what it is */
        connection->armed = 0;
        events = UV_READABLE | UV_WRITABLE;
    }
    if (connection->state == DXI_CONNECTING) {
        dxi_connection_connect_done(connection);
        return;
    }
    if (connection->state == DXI_SECURING) {
        connection->blocked = false;
        secure(connection);
    } else {
        if ((events & UV_WRITABLE) != 0) {
            connection->blocked = false;
            dxi_connection_write(connection);
        }
        if ((events & UV_READABLE) != 0) {
            if (connection->shm_reading) {
                dxi_connection_shm_rung(connection);
            }
            dxi_connection_read(connection);
        }
    }
    if (connection->state == DXI_CLOSING) {
        dxi_connection_closing(connection);
    }
    dxi_connection_arm(connection);
}

/* The end of a turn in which something was committed. */
static void on_flush(void *context)
{
    dxi_connection_t *const connection = context;
    dxi_connection_write(connection);
    if (DX_LIKELY(connection->state != DXI_CLOSING)) {
        dxi_connection_arm(connection);
    } else if (dxi_loop_is_lent(connection->loop)) {
        dxi_loop_run_next(connection->loop, &connection->next);
    } else {
        dxi_connection_closing(connection);
        dxi_connection_arm(connection);
    }
}

/* The start of a turn: what could not be done inside another call. */
static void on_next(void *context)
{
    dxi_connection_t *const connection = context;
    const bool resume = connection->resume;
    connection->resume = false;
    if (connection->state == DXI_CLOSED) {
        return;
    }
    if (connection->tell_writable && connection->state == DXI_OPEN) {
        connection->tell_writable = false;
        if (connection->events->on_writable != NULL) {
            connection->events->on_writable(connection->context, connection);
        }
    }
    const bool open = connection->state == DXI_OPEN || connection->state == DXI_GREETING;
    const bool room = (connection->paused & DXI_PAUSED_ROOM) != 0;
    if (open && (room || (resume && connection->paused != 0))) {
        dxi_connection_continue(connection);
    }
    const bool silent = connection->tls != NULL || connection->shm_reading; /* no socket says it */
    if (connection->broken || (silent && connection->paused == 0)) {
        if (connection->shm_reading) {
            dxi_connection_shm_watch(connection);
        }
        dxi_connection_read(connection);
    }
    if (connection->broken && connection->state < DXI_CLOSING) {
        dxi_connection_end(connection, &connection->why);
    }
    if (connection->state == DXI_CLOSING) {
        dxi_connection_closing(connection);
    }
    dxi_connection_arm(connection);
}

/* --------------------------------------------------------------------------------------- ending */

void dxi_connection_end(dxi_connection_t *connection, const dx_error_t *why)
{
    if (connection->state == DXI_CLOSED) {
        return;
    }
    if (connection->state != DXI_CLOSING) {
        connection->why = *why; /* C2 */
    }
    connection->state = DXI_CLOSED;
    connection->may_claim = false;
    dxi_connection_forget_candidates(connection);
    dxi_connection_shm_end(connection);
    dxi_hook_cancel(&connection->flush);
    dxi_hook_cancel(&connection->next);
    uv_close((uv_handle_t *)&connection->timer, on_handle_closed);
    if (connection->fd >= 0) {
        dxi_connection_unwatch(connection);
    }
}

void dxi_connection_end_with(dxi_connection_t *connection, int code, const char *format, ...)
{
    dx_error_t why = {.code = code};
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(why.message, sizeof why.message, format, arguments);
    va_end(arguments);
    dxi_connection_end(connection, &why);
}

static void on_loop_end(void *context)
{
    dxi_connection_end_with(context, DX_ECANCELLED, "the loop of the connection ends");
}

static void closing_begin(dxi_connection_t *connection)
{
    connection->state = DXI_CLOSING;
    connection->may_claim = false;
    connection->claimed = 0; /* a commit that comes now is for nothing */
    connection->paused = 0;
    connection->in_begin = 0;
    connection->in_end = 0;
    dxi_connection_timer(connection);
    dxi_loop_flush_later(connection->loop, &connection->flush);
}

void dxi_connection_close(dxi_connection_t *connection, int code, const char *sentence)
{
    if (connection->state >= DXI_CLOSING) {
        return;
    }
    if (connection->state < DXI_GREETING) {
        dxi_connection_end_with(connection, code, "%s", sentence != NULL ? sentence : "closed");
        return;
    }
    if (connection->peer_left) { /* C2: its reason was the first */
        code = DX_ECLOSED;
        sentence = connection->peer_said.message;
    }
    connection->why = (dx_error_t){.code = code < 0 ? code : DX_ECLOSED}; /* C2 */
    (void)snprintf(connection->why.message, sizeof connection->why.message, "%s",
                   sentence != NULL ? sentence : dx_error_text(code));
    connection->last_words = true;
    closing_begin(connection);
}

void dxi_connection_ended(dxi_connection_t *connection)
{
    connection->at_end = true;
    if (connection->peer_error) {
        connection->why = connection->peer_said;
    } else if (connection->why.code == DX_OK) {
        (void)dxi_fail(&connection->why, DX_EIO, "%s has closed the connection without a goodbye",
                       connection->peer_address);
    }
    closing_begin(connection);
}

void dxi_connection_closing(dxi_connection_t *connection)
{
    if (connection->state != DXI_CLOSING) {
        return;
    }
    if (connection->broken) {
        dxi_connection_end(connection, &connection->why);
        return;
    }
    if (connection->last_words && dxi_greet_say_error(connection, &connection->why, 0, 1, NULL)) {
        connection->last_words = false;
        dxi_connection_write(connection);
    }
    if (connection->last_words || dxi_send_ring_pending(&connection->out) != 0 ||
        (connection->tls != NULL && dxi_tls_session_is_stuck(connection->tls))) {
        return;
    }
    if (!connection->shut) {
        connection->shut = true;
        if (connection->tls != NULL) {
            dxi_tls_session_shutdown(connection->tls);
        }
        assert(connection->fd >= 0); /* it was open */
        (void)shutdown(connection->fd, SHUT_WR);
    }
    if (connection->at_end) {
        dxi_connection_end(connection, &connection->why);
    }
}

/* -------------------------------------------------------------------------------------- looking */

void dxi_connection_info(const dxi_connection_t *connection, dxi_connection_info_t *info_out)
{
    *info_out = (dxi_connection_info_t){
        .id = connection->id,
        .peer_node_id = connection->peer_node_id,
        .peer_started_unix_ns = connection->peer_started_unix_ns,
        .peer_capabilities = connection->peer_capabilities,
        .peer_frame_bytes_max = connection->peer_frame_bytes_max,
        .transport = connection->address.transport,
        .tls = connection->tls != NULL,
        .shm = connection->shm != NULL,
        .open = connection->state == DXI_OPEN,
        .opened_ns = connection->opened_ns,
        .frames_in = connection->frames_in,
        .frames_out = connection->frames_out,
        .bytes_in = connection->bytes_in,
        .bytes_out = connection->bytes_out,
        .writes = connection->writes,
        .refused = connection->refused,
        .bells_out = connection->bells_out,
        .rtt_ns = connection->rtt_ns,
    };
    dxi_batch_out_info(connection, info_out);
    memcpy(info_out->peer_name, connection->peer_name, sizeof info_out->peer_name);
    memcpy(info_out->peer_address, connection->peer_address, sizeof info_out->peer_address);
    if (connection->tls != NULL) {
        (void)snprintf(info_out->tls_subject, sizeof info_out->tls_subject, "%s",
                       dxi_tls_session_subject(connection->tls));
    }
}

const char *dxi_connection_peer_names(const dxi_connection_t *connection)
{
    return connection->tls != NULL ? dxi_tls_session_names(connection->tls) : "";
}

uint64_t dxi_connection_id(const dxi_connection_t *connection)
{
    return connection->id;
}

uint64_t dxi_connection_written(const dxi_connection_t *connection)
{
    return dxi_batch_out_written(connection);
}

uint64_t dxi_connection_capabilities(const dxi_connection_t *connection)
{
    return connection->peer_capabilities;
}

uint32_t dxi_connection_frame_bytes_max(const dxi_connection_t *connection)
{
    return connection->peer_frame_bytes_max;
}

dxi_loop_t *dxi_connection_loop(const dxi_connection_t *connection)
{
    return connection->loop;
}

void dxi_connection_set_context(dxi_connection_t *connection, void *context)
{
    connection->context = context;
}
