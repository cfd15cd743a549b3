/* listener.c - accepting connections, and giving them to loops.
 *
 * DESIGN
 *
 *     listener's loop                             a loop of `loops`, in turns
 *     accept4() -> a connection without handles -- task --> handles, on_accept(), greeting
 *
 * A connection costs memory before anybody knows who it is, so connections_max bounds them. Above
 * it some REFUSING_MAX more are greeted with ERROR DX_ELIMIT, so that people see why; what comes
 * while those are still there is closed without a word.
 *
 * DESCRIPTORS. When the process has none left, accept4() fails and the socket stays readable: the
 * listener looks away for ACCEPT_PAUSE_MS, counts that, and tries again. Who waits in the backlog
 * waits.
 *
 * A UNIX SOCKET is a file that outlives its process. When bind() finds one, it is asked: who
 * answers keeps it (DX_EBUSY); when nobody answers it is removed. What is no socket is never
 * removed. At the end the file goes, if it is still ours.
 *
 * What a listener's connections share (settings: options, events, counts) lives as long as the last
 * of them; the listener itself may go before.
 *
 * INVARIANTS
 *
 *   P1  open <= connections_max + REFUSING_MAX
 *   P2  each socket that accept4() gave is closed: by its connection, or here when there is none
 *   P3  nothing is accepted after dxi_listener_close() has returned
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "net/connection_internal.h"
#include "net/socket.h"

#define BACKLOG 1024
#define ACCEPTS_A_LOOK 64
#define ACCEPT_PAUSE_MS 50
#define CONNECTIONS_DEFAULT 65536
#define REFUSING_MAX 16

struct dxi_listener {
    dxi_loop_t *loop;
    dxi_settings_t *settings;
    dxi_loop_t *const *loops;
    uint32_t loop_count;
    uint32_t next_loop;
    uint32_t connections_max;
    int fd;
    int handles;
    uv_poll_t poll;
    uv_timer_t timer;
    dxi_address_t address;
    struct stat file; /* of a UNIX socket, as we made it */
};

/* -------------------------------------------------------------------------------------- binding */

static int bind_failed(const dxi_address_t *address, int os_errno, dx_error_t *error)
{
    char text[DXI_ADDRESS_TEXT_MAX + 16];
    dxi_address_format(address, text);
    return dxi_fail_os(error, dxi_socket_bind_code(os_errno), os_errno, "cannot listen on %s",
                       text);
}

/* True when the file is a socket on which nobody answers, and was removed. */
static bool stale_removed(const struct sockaddr_un *un)
{
    struct stat file;
    if (lstat(un->sun_path, &file) != 0 || !S_ISSOCK(file.st_mode)) {
        return false;
    }
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    const bool dead =
        connect(fd, (const struct sockaddr *)un, sizeof *un) != 0 && errno == ECONNREFUSED;
    (void)close(fd);
    return dead && unlink(un->sun_path) == 0;
}

static int unix_bind(dxi_listener_t *listener, uint32_t mode, dx_error_t *error)
{
    struct sockaddr_storage storage;
    socklen_t bytes = 0;
    (void)dxi_socket_address(&listener->address, &storage, &bytes);
    const struct sockaddr_un *const un = (const struct sockaddr_un *)&storage;
    listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener->fd < 0) {
        return bind_failed(&listener->address, errno, error);
    }
    (void)fchmod(listener->fd, mode); /* what bind() makes has no more rights than this */
    int rc = bind(listener->fd, (const struct sockaddr *)un, bytes);
    if (rc != 0 && errno == EADDRINUSE && stale_removed(un)) {
        rc = bind(listener->fd, (const struct sockaddr *)un, bytes);
    }
    if (rc != 0) {
        return bind_failed(&listener->address, errno, error);
    }
    if (chmod(un->sun_path, mode) != 0 || stat(un->sun_path, &listener->file) != 0 ||
        listen(listener->fd, BACKLOG) != 0) {
        const int os = errno;
        (void)unlink(un->sun_path);
        return bind_failed(&listener->address, os, error);
    }
    return DX_OK;
}

static int tcp_bind(dxi_listener_t *listener, dx_error_t *error)
{
    dxi_address_t *const address = &listener->address;
    char text[DXI_ADDRESS_TEXT_MAX + 16];
    dxi_address_format(address, text);
    return dxi_socket_listen(address->host, &address->port, BACKLOG, text, &listener->fd, error);
}

/* ------------------------------------------------------------------------------------ accepting */

static void on_readable(uv_poll_t *poll, int status, int events);

static void adoption_run(void *context)
{
    dxi_connection_t *const connection = context;
    const int fd = connection->fd;
    connection->fd = -1;
    if (dxi_loop_is_ending(connection->loop)) {
        (void)close(fd);
        (void)dx_fetch_add_relaxed(&connection->settings->open, -1);
        (void)dx_fetch_add_relaxed(&connection->settings->refused, 1);
        dxi_connection_discard(connection);
        return;
    }
    dxi_connection_adopt(connection, fd);
}

static dxi_loop_t *loop_choose(dxi_listener_t *listener)
{
    if (listener->loop_count == 0) {
        return listener->loop;
    }
    return listener->loops[listener->next_loop++ % listener->loop_count];
}

/* A socket becomes a connection, or is closed (P2). */
static void accepted(dxi_listener_t *listener, int fd, const struct sockaddr_storage *peer)
{
    dxi_settings_t *const settings = listener->settings;
    const int64_t open = dx_load_relaxed(&settings->open);
    dxi_connection_t *connection = NULL;
    dx_error_t error = {0};
    int code = DX_OK;
    if (open >= (int64_t)listener->connections_max + REFUSING_MAX) { /* P1 */
        code = dxi_fail(&error, DX_ELIMIT, "%lld connections are open", (long long)open);
    } else {
        code = dxi_connection_new(loop_choose(listener), settings, &connection, &error);
    }
    if (code != DX_OK || connection == NULL) {
        (void)close(fd);
        (void)dx_fetch_add_relaxed(&settings->refused, 1);
        DX_LOG_WARN(settings->options.log, "net", "closed a new connection at once: %s",
                    error.message);
        return;
    }
    if (open >= (int64_t)listener->connections_max) {
        connection->unwelcome = true;
        (void)dxi_fail(&connection->refusal, DX_ELIMIT, "%u connections are open, the limit",
                       listener->connections_max);
    } else {
        (void)dx_fetch_add_relaxed(&settings->accepted, 1);
    }
    (void)dx_fetch_add_relaxed(&settings->open, 1);
    dxi_socket_tune(fd, peer->ss_family);
    connection->fd = fd;
    connection->address.transport = listener->address.transport;
    dxi_socket_peer(fd, peer, listener->address.transport == DXI_TLS, connection->peer_address,
                    sizeof connection->peer_address);
    if (connection->loop == listener->loop) {
        adoption_run(connection);
    } else {
        connection->adoption = (dxi_task_t){.run = adoption_run, .context = connection};
        dxi_loop_post(connection->loop, &connection->adoption);
    }
}

static void on_pause_over(uv_timer_t *timer)
{
    dxi_listener_t *const listener = timer->data;
    dxi_loop_worked(listener->loop);
    (void)uv_poll_start(&listener->poll, UV_READABLE, on_readable);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    dxi_listener_t *const listener = poll->data;
    (void)status;
    (void)events;
    dxi_loop_worked(listener->loop);
    for (int i = 0; i < ACCEPTS_A_LOOK; i++) {
        struct sockaddr_storage peer = {0};
        socklen_t bytes = sizeof peer;
        const int fd =
            accept4(listener->fd, (struct sockaddr *)&peer, &bytes, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            accepted(listener, fd, &peer);
            continue;
        }
        if (errno == EAGAIN) {
            return;
        }
        if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO) {
            continue; /* that one is gone; the next */
        }
        const int os = errno;
        (void)dx_fetch_add_relaxed(&listener->settings->accept_errors, 1);
        DX_LOG_WARN(listener->settings->options.log, "net",
                    "cannot accept a connection, trying again in %d ms: %s", ACCEPT_PAUSE_MS,
                    strerror(os));
        (void)uv_poll_stop(&listener->poll);
        uv_update_time(listener->timer.loop);
        (void)uv_timer_start(&listener->timer, on_pause_over, ACCEPT_PAUSE_MS, 0);
        return;
    }
}

/* ----------------------------------------------------------------------------------------- life */

static int listener_check(const dxi_address_t *address, const dxi_listener_options_t *options,
                          dx_error_t *error)
{
    if (address->transport == DXI_TLS && options->connection.tls == NULL) {
        return dxi_fail(error, DX_EINVAL, "tls is NULL, must be there for a tls:// address");
    }
    if (address->transport == DXI_SHM) {
        return dxi_fail(error, DX_EINVAL,
                        "clients of shm://%s come by the UNIX socket: listen on unix://%s",
                        address->host, address->host);
    }
    if (options->loops != NULL && options->loop_count == 0) {
        return dxi_fail(error, DX_EINVAL, "loop_count is 0, must be 1 or more where loops is set");
    }
    if (options->unix_mode > 0777) {
        return dxi_fail(error, DX_EINVAL, "unix_mode is 0%o, must be from 0 to 0777",
                        options->unix_mode);
    }
    return DX_OK;
}

static void free_all(dxi_listener_t *listener)
{
    dxi_settings_drop(listener->settings);
    dxi_free(listener);
}

static void on_handle_closed(uv_handle_t *handle)
{
    dxi_listener_t *const listener = handle->data;
    if (--listener->handles == 0) {
        free_all(listener);
    }
}

/* Binds, and waits for connections. On failure nothing is left but the struct. */
static int begin(dxi_listener_t *listener, uint32_t mode, dx_error_t *error)
{
    uv_loop_t *const uv = dxi_loop_uv(listener->loop);
    const bool is_unix = listener->address.transport == DXI_UNIX;
    listener->fd = -1;
    int code = is_unix ? unix_bind(listener, mode, error) : tcp_bind(listener, error);
    if (code == DX_OK) {
        const int rc = uv_poll_init(uv, &listener->poll, listener->fd);
        if (rc == 0) {
            (void)uv_timer_init(uv, &listener->timer);
            listener->poll.data = listener;
            listener->timer.data = listener;
            listener->handles = 2;
            (void)uv_poll_start(&listener->poll, UV_READABLE, on_readable);
            return DX_OK;
        }
        code = dxi_fail_os(error, dxi_code_of_errno(-rc), -rc, "cannot wait for connections");
    }
    if (listener->fd >= 0) {
        (void)close(listener->fd);
    }
    return code;
}

int dxi_listener_create(dxi_loop_t *loop, const dxi_address_t *address,
                        const dxi_listener_options_t *options, dxi_listener_t **listener_out,
                        dx_error_t *error)
{
    dxi_settings_t *settings = NULL;
    *listener_out = NULL;
    int code = listener_check(address, options, error);
    if (code == DX_OK) {
        code = dxi_settings_create(&options->connection, &options->events, &settings, error);
    }
    if (code != DX_OK) {
        return code;
    }
    settings->listener = true;
    settings->on_accept = options->on_accept;
    dxi_listener_t *const listener = dxi_alloc_zeroed(1, sizeof *listener);
    if (listener == NULL) {
        dxi_settings_drop(settings);
        return dxi_fail(error, DX_ENOMEM, "no memory for a listener");
    }
    listener->loop = loop;
    listener->settings = settings;
    listener->loops = options->loops;
    listener->loop_count = options->loops != NULL ? options->loop_count : 0;
    listener->connections_max =
        options->connections_max != 0 ? options->connections_max : CONNECTIONS_DEFAULT;
    listener->address = *address;
    code = begin(listener, options->unix_mode != 0 ? options->unix_mode : 0600, error);
    if (code != DX_OK) {
        free_all(listener);
        return code;
    }
    *listener_out = listener;
    return DX_OK;
}

void dxi_listener_close(dxi_listener_t *listener)
{
    if (listener == NULL) {
        return;
    }
    if (listener->address.transport == DXI_UNIX) {
        struct stat file;
        if (lstat(listener->address.host, &file) == 0 && file.st_ino == listener->file.st_ino &&
            file.st_dev == listener->file.st_dev) {
            (void)unlink(listener->address.host);
        }
    }
    uv_close((uv_handle_t *)&listener->poll, on_handle_closed);
    uv_close((uv_handle_t *)&listener->timer, on_handle_closed);
    (void)close(listener->fd);
}

const dxi_address_t *dxi_listener_address(const dxi_listener_t *listener)
{
    return &listener->address;
}

void dxi_listener_stat(const dxi_listener_t *listener, dxi_listener_stat_t *stat_out)
{
    const dxi_settings_t *const settings = listener->settings;
    stat_out->accepted = dx_load_relaxed(&settings->accepted);
    stat_out->refused = dx_load_relaxed(&settings->refused);
    stat_out->accept_errors = dx_load_relaxed(&settings->accept_errors);
    stat_out->handshake_failures = dx_load_relaxed(&settings->handshake_failures);
    stat_out->tls_failures = dx_load_relaxed(&settings->tls_failures);
    stat_out->open = dx_load_relaxed(&settings->open);
    for (size_t i = 0; i < DXI_END_CODES; i++) {
        stat_out->ended[i] = dx_load_relaxed(&settings->ended[i]);
    }
    stat_out->shm_granted = dx_load_relaxed(&settings->shm_granted);
    stat_out->shm_refused = dx_load_relaxed(&settings->shm_refused);
    stat_out->shm_nonsense = dx_load_relaxed(&settings->shm_nonsense);
}
