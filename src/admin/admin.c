/* admin.c - the server: its socket, its threads, its clock, its figures.
 *
 * DESIGN
 *
 *     socket (ours) --- daemon of libmicrohttpd: a few threads, epoll --- connections
 *                   '-- (retired daemons: what they had before another certificate came)
 *     clock: a thread that sleeps for good while nobody is connected; else once a second it
 *            cuts off whose time is over, lets routes publish, ends retired daemons
 *
 * libmicrohttpd's own time-out is one of silence: who sends a byte now and then lives for ever. So
 * each connection has a *link* that says since when it asks, or takes its answer; when that is too
 * long the clock shuts its socket down, which libmicrohttpd then finds.
 *
 * Another certificate is another daemon at a copy of the same socket. The old one accepts nothing
 * any more, and goes when its last connection has gone. Only the clock stops it: to stop is to wait
 * for its routes, and who changes the certificate may be one, or hold what one waits for.
 *
 * INVARIANTS
 *
 *   A1  a link is there from the accept to the close of its connection, so the clock never shuts
 *       down the descriptor of another
 *   A2  when no connection is open no thread wakes up
 *   A3  no call of libmicrohttpd that may wait is made under a mutex that its threads take
 *
 * THREADS. Routes and callbacks run in the daemon's threads. `mutex` is held for moments only.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "admin/admin_internal.h"
#include "base/alloc.h"
#include "base/fail.h"
#include "base/options.h"
#include "disruptorx/clock.h"
#include "net/socket.h"

#define BACKLOG 128
#define CONNECTION_BYTES 32768 /* libmicrohttpd's memory for one: its head and headers */
#define CLOCK_NS DX_NS_PER_S
#define IDLE_TIMES 6 /* request_timeout_ns, between two requests of a connection */

/* ------------------------------------------------------------------------------------- options */

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static void options_fill(dxi_admin_options_t *options)
{
    options->threads = or_default(options->threads, 2);
    options->connections_max = or_default(options->connections_max, 64);
    options->streams_max = or_default(options->streams_max, 16);
    options->body_bytes_max = or_default(options->body_bytes_max, 65536);
    options->stream_bytes = or_default(options->stream_bytes, 262144);
    if (options->request_timeout_ns == 0) {
        options->request_timeout_ns = 10 * DX_NS_PER_S;
    }
}

static int options_check(const dxi_admin_options_t *options, dx_error_t *error)
{
    const struct bound {
        const char *name;
        uint64_t value, low, high;
    } bounds[] = {
        {"threads", options->threads, 1, DXI_ADMIN_THREADS_MAX},
        {"connections_max", options->connections_max, 1, DXI_ADMIN_CONNECTIONS_MAX},
        {"streams_max", options->streams_max, 1, DXI_ADMIN_STREAMS_MAX},
        {"body_bytes_max", options->body_bytes_max, DXI_ADMIN_BODY_BYTES_MIN,
         DXI_ADMIN_BODY_BYTES_MAX},
        {"stream_bytes", options->stream_bytes, DXI_ADMIN_STREAM_BYTES_MIN,
         DXI_ADMIN_STREAM_BYTES_MAX},
        {"request_timeout_ns", (uint64_t)options->request_timeout_ns, DX_NS_PER_MS,
         3600 * (uint64_t)DX_NS_PER_S},
    };
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        if (bounds[i].value < bounds[i].low || bounds[i].value > bounds[i].high) {
            return dxi_fail(error, DX_EINVAL, "%s is %llu, must be from %llu to %llu",
                            bounds[i].name, (unsigned long long)bounds[i].value,
                            (unsigned long long)bounds[i].low, (unsigned long long)bounds[i].high);
        }
    }
    if (options->verify_peer && options->authority_file == NULL) {
        return dxi_fail(error, DX_EINVAL,
                        "verify_peer is true, and there is no authority_file to verify with");
    }
    return dxi_admin_routes_check(options->routes, options->route_count, error);
}

static bool texts_keep(dxi_admin_t *admin, const dxi_admin_options_t *options)
{
    admin->texts = dxi_alloc_zeroed(
        1, 1 + dxi_text_bytes(options->address) + dxi_text_bytes(options->key_file) +
               dxi_text_bytes(options->certificate_file) + dxi_text_bytes(options->authority_file));
    if (admin->texts == NULL) {
        return false;
    }
    char *at = admin->texts;
    admin->options.address = dxi_text_keep(&at, options->address);
    admin->options.certificate_file = dxi_text_keep(&at, options->certificate_file);
    admin->options.key_file = dxi_text_keep(&at, options->key_file);
    admin->options.authority_file = dxi_text_keep(&at, options->authority_file);
    return true;
}

/* ------------------------------------------------------------------------------------- binding */

/* The address with the port that the system gave. */
static void address_write(dxi_admin_t *admin)
{
    const char *const host = admin->place.host;
    const bool in6 = strchr(host, ':') != NULL;
    (void)snprintf(admin->address, sizeof admin->address, "%s://%s%s%s:%u",
                   admin->place.tls ? "https" : "http", in6 ? "[" : "",
                   host[0] != '\0' ? host : "0.0.0.0", in6 ? "]" : "", (unsigned)admin->place.port);
}

static int listener_bind(dxi_admin_t *admin, dx_error_t *error)
{
    const int code = dxi_socket_listen(admin->place.host, &admin->place.port, BACKLOG,
                                       admin->options.address, &admin->listener, error);
    if (code != DX_OK) {
        (void)dxi_fail_context(error, "admin");
        return code;
    }
    address_write(admin);
    return DX_OK;
}

/* ------------------------------------------------------------------------------------- links */

void dxi_admin_count(dxi_admin_t *admin, dxi_admin_refusal_t refusal)
{
    (void)dx_fetch_add_relaxed(&admin->refused[refusal], 1);
}

static void link_add(dxi_admin_t *admin, struct MHD_Connection *connection, void **socket_context)
{
    dxi_admin_link_t *const link = dxi_alloc_zeroed(1, sizeof *link);
    *socket_context = link;
    (void)dx_fetch_add_relaxed(&admin->connections, 1);
    if (link == NULL) {
        return; /* not watched by the clock; libmicrohttpd's time-out holds */
    }
    const union MHD_ConnectionInfo *const info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    link->fd = info != NULL ? info->connect_fd : -1;
    link->since_ns = dx_clock_ns();
    link->secure = admin->place.tls;
    (void)pthread_mutex_lock(&admin->mutex);
    link->next = admin->links;
    if (link->next != NULL) {
        link->next->previous = link;
    }
    admin->links = link;
    admin->link_count++;
    (void)pthread_cond_signal(&admin->changed);
    (void)pthread_mutex_unlock(&admin->mutex);
}

static void link_remove(dxi_admin_t *admin, void **socket_context)
{
    dxi_admin_link_t *const link = *socket_context;
    if (link == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&admin->mutex);
    if (link->previous != NULL) {
        link->previous->next = link->next;
    } else {
        admin->links = link->next;
    }
    if (link->next != NULL) {
        link->next->previous = link->previous;
    }
    admin->link_count--;
    (void)pthread_mutex_unlock(&admin->mutex);
    if (link->secure && !link->spoke && !link->cut) {
        dxi_admin_count(admin, DXI_ADMIN_REFUSED_TLS);
    }
    *socket_context = NULL;
    dxi_free(link);
}

static void on_connection(void *admin, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        link_add(admin, connection, socket_context);
    } else {
        link_remove(admin, socket_context);
    }
}

void dxi_admin_phase_set(dxi_admin_t *admin, struct MHD_Connection *connection,
                         dxi_admin_phase_t phase)
{
    const union MHD_ConnectionInfo *const info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    dxi_admin_link_t *const link = info != NULL ? info->socket_context : NULL;
    if (link != NULL) {
        (void)pthread_mutex_lock(&admin->mutex);
        if (phase != link->phase) { /* else it goes on to ask */
            link->since_ns = dx_clock_ns();
        }
        link->phase = phase;
        link->spoke = true;
        (void)pthread_mutex_unlock(&admin->mutex);
    }
}

/* Above the limit some are let in, to be told; the rest is closed at once. */
static dxi_mhd_t on_accept(void *context, const struct sockaddr *peer, socklen_t bytes)
{
    dxi_admin_t *const admin = context;
    (void)peer;
    (void)bytes;
    (void)pthread_mutex_lock(&admin->mutex);
    const bool fits = admin->link_count < admin->options.connections_max + DXI_ADMIN_REFUSING_MAX;
    (void)pthread_mutex_unlock(&admin->mutex);
    if (!fits) {
        dxi_admin_count(admin, DXI_ADMIN_REFUSED_LIMIT);
    }
    return fits ? MHD_YES : MHD_NO;
}

/* What libmicrohttpd says of requests that it answers itself (no HTTP, headers too long) comes
 * here: it is counted, and told at the level of debugging, for its text is a stranger's. */
static void on_message(void *context, const char *format, va_list arguments)
{
    dxi_admin_t *const admin = context;
    char text[256];
    (void)vsnprintf(text, sizeof text, format, arguments);
    text[strcspn(text, "\n")] = '\0';
    if (strstr(text, "rror processing request") != NULL ||
        strstr(text, "rror in request") != NULL || strstr(text, "alformed") != NULL) {
        dxi_admin_count(admin, DXI_ADMIN_REFUSED_MALFORMED);
    }
    DX_LOG_DEBUG(admin->options.log, "admin", "%s", text);
}

/* ------------------------------------------------------------------------------------- daemons */

/* A daemon at a copy of the socket; NULL: it could not be made. */
static struct MHD_Daemon *daemon_make(dxi_admin_t *admin, const dxi_admin_tls_t *tls)
{
    const dxi_admin_options_t *const o = &admin->options;
    const int fd = fcntl(admin->listener, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) {
        return NULL;
    }
    /* Of silence; longer than ours, which is of the whole request and is counted. */
    const int64_t timeout_s = 2 * (o->request_timeout_ns / DX_NS_PER_S + 2);
    struct MHD_OptionItem secure[8] = {{MHD_OPTION_END, 0, NULL}};
    size_t count = 0;
    if (tls != NULL) {
        secure[count++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, tls->certificate};
        secure[count++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, tls->key};
        secure[count++] = (struct MHD_OptionItem){
            MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t) "NORMAL:-VERS-ALL:+VERS-TLS1.3"};
        if (tls->authority != NULL) {
            secure[count++] =
                (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_TRUST, 0, tls->authority};
        }
    }
    secure[count] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, &before); /* its threads take none */
    struct MHD_Daemon *const daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
            (tls != NULL ? MHD_USE_TLS : 0),
        0, on_accept, admin, dxi_admin_on_request, admin, MHD_OPTION_EXTERNAL_LOGGER, on_message,
        admin, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_THREAD_POOL_SIZE, o->threads,
        MHD_OPTION_CONNECTION_LIMIT, o->threads * (o->connections_max + DXI_ADMIN_REFUSING_MAX + 1),
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)timeout_s, MHD_OPTION_URI_LOG_CALLBACK, dxi_admin_on_uri, admin,
        MHD_OPTION_NOTIFY_COMPLETED, dxi_admin_on_completed, admin, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, admin, MHD_OPTION_ARRAY, secure, MHD_OPTION_END);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (daemon == NULL) {
        (void)close(fd);
    }
    return daemon;
}

static uint32_t daemon_connections(struct MHD_Daemon *daemon)
{
    const union MHD_DaemonInfo *const info =
        MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
    return info != NULL ? info->num_connections : 0;
}

/* It accepts nothing any more, and waits in its place for the clock. Its copy of the socket must
 * stay open until it has been stopped: a thread of its own may be about to look at it. */
static void daemon_retire(dxi_admin_t *admin, int place, struct MHD_Daemon *daemon)
{
    const MHD_socket fd = MHD_quiesce_daemon(daemon);
    (void)pthread_mutex_lock(&admin->mutex);
    admin->retired[place] = (dxi_admin_retired_t){.daemon = daemon, .fd = fd};
    (void)pthread_cond_signal(&admin->changed);
    (void)pthread_mutex_unlock(&admin->mutex);
}

static void retired_stop(const dxi_admin_retired_t *retired)
{
    if (retired->daemon == NULL) {
        return;
    }
    MHD_stop_daemon(retired->daemon);
    if (retired->fd != MHD_INVALID_SOCKET) {
        (void)close(retired->fd);
    }
}

/* ------------------------------------------------------------------------------------- clock */

/* Cuts off whose time is over. Under the mutex. */
static void links_cut(dxi_admin_t *admin, int64_t now_ns)
{
    for (dxi_admin_link_t *it = admin->links; it != NULL; it = it->next) {
        const bool idle = it->phase == DXI_ADMIN_IDLE;
        const int64_t most_ns = admin->options.request_timeout_ns * (idle ? IDLE_TIMES : 1);
        if (it->cut || it->phase == DXI_ADMIN_STREAMING || now_ns - it->since_ns < most_ns) {
            continue;
        }
        it->cut = true;
        (void)shutdown(it->fd, SHUT_RDWR); /* A1 */
        if (!idle) {
            dxi_admin_count(admin, DXI_ADMIN_REFUSED_TIMEOUT);
        }
    }
}

/* A retired daemon without connections, taken out of the list; `daemon` NULL: none. Under the
 * mutex. */
static dxi_admin_retired_t retired_take(dxi_admin_t *admin)
{
    for (size_t i = 0; i < DXI_ADMIN_RETIRED_MAX; i++) {
        const dxi_admin_retired_t retired = admin->retired[i];
        if (retired.daemon != NULL && daemon_connections(retired.daemon) == 0) {
            admin->retired[i].daemon = NULL;
            return retired;
        }
    }
    return (dxi_admin_retired_t){.daemon = NULL};
}

static bool nothing_to_do(const dxi_admin_t *admin)
{
    for (size_t i = 0; i < DXI_ADMIN_RETIRED_MAX; i++) {
        if (admin->retired[i].daemon != NULL) {
            return false;
        }
    }
    return admin->link_count == 0;
}

static void clock_wait(dxi_admin_t *admin)
{
    if (nothing_to_do(admin)) { /* A2 */
        (void)pthread_cond_wait(&admin->changed, &admin->mutex);
        return;
    }
    const int64_t at_ns = dx_clock_ns() + CLOCK_NS;
    const struct timespec at = {.tv_sec = at_ns / DX_NS_PER_S, .tv_nsec = at_ns % DX_NS_PER_S};
    while (!admin->clock_ends &&
           pthread_cond_timedwait(&admin->changed, &admin->mutex, &at) != ETIMEDOUT) {
    }
}

static void clock_run(void *context)
{
    dxi_admin_t *const admin = context;
    (void)pthread_mutex_lock(&admin->mutex);
    while (!admin->clock_ends) {
        clock_wait(admin);
        if (admin->clock_ends) {
            break;
        }
        links_cut(admin, dx_clock_ns());
        dxi_admin_retired_t retired;
        do {
            retired = retired_take(admin);
            (void)pthread_mutex_unlock(&admin->mutex);
            retired_stop(&retired); /* A3 */
            (void)pthread_mutex_lock(&admin->mutex);
        } while (retired.daemon != NULL);
        (void)pthread_mutex_unlock(&admin->mutex);
        if (dxi_admin_readers(admin) != 0 && admin->options.tick != NULL) {
            admin->options.tick(admin->options.context);
        }
        (void)pthread_mutex_lock(&admin->mutex);
    }
    (void)pthread_mutex_unlock(&admin->mutex);
}

/* ------------------------------------------------------------------------------------- life */

static int parts_make(dxi_admin_t *admin, const dxi_admin_options_t *options, dx_error_t *error)
{
    if (!texts_keep(admin, options)) {
        return dxi_fail(error, DX_ENOMEM, "no memory for the admin server");
    }
    int code = options_check(&admin->options, error);
    if (code == DX_OK) {
        code = dxi_admin_place_parse(admin->options.address, &admin->place, error);
    }
    if (code == DX_OK && admin->place.tls) {
        code = dxi_admin_tls_load(&admin->options, &admin->tls, error);
    }
    return code == DX_OK ? listener_bind(admin, error) : code;
}

int dxi_admin_files_check(const dxi_admin_options_t *options, dx_error_t *error)
{
    dxi_admin_place_t place;
    dxi_admin_tls_t tls;
    int code = dxi_admin_place_parse(options->address, &place, error);
    if (code == DX_OK && place.tls) {
        code = dxi_admin_tls_load(options, &tls, error);
        dxi_admin_tls_free(&tls);
    }
    return code;
}

int dxi_admin_create(const dxi_admin_options_t *options, dxi_admin_t **admin_out, dx_error_t *error)
{
    *admin_out = NULL;
    dxi_admin_t *const admin = dxi_alloc_zeroed(1, sizeof *admin);
    if (admin == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for the admin server");
    }
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&admin->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    (void)pthread_mutex_init(&admin->mutex, NULL);
    (void)pthread_mutex_init(&admin->stream_mutex, NULL);
    (void)pthread_mutex_init(&admin->daemon_mutex, NULL);
    admin->options = *options;
    admin->listener = -1;
    options_fill(&admin->options);
    const int code = parts_make(admin, options, error);
    if (code != DX_OK) {
        dxi_admin_destroy(admin);
        return code;
    }
    *admin_out = admin;
    return DX_OK;
}

int dxi_admin_start(dxi_admin_t *admin, dx_error_t *error)
{
    if (admin->daemon != NULL || admin->stopping) {
        return dxi_fail(error, DX_ESTATE, "the admin server was started before");
    }
    const dx_thread_options_t thread = {.name = "admin.clock"};
    const int code = dx_thread_start(&thread, clock_run, admin, &admin->clock, error);
    if (code != DX_OK) {
        return code;
    }
    struct MHD_Daemon *const daemon = daemon_make(admin, admin->place.tls ? &admin->tls : NULL);
    (void)pthread_mutex_lock(&admin->mutex);
    admin->daemon = daemon;
    (void)pthread_mutex_unlock(&admin->mutex);
    if (daemon == NULL) {
        dxi_admin_stop(admin);
        return dxi_fail(error, DX_EIO, "the admin server's threads can't be started");
    }
    return DX_OK;
}

void dxi_admin_stop(dxi_admin_t *admin)
{
    (void)pthread_mutex_lock(&admin->daemon_mutex);
    admin->ending = true; /* daemons don't change any more */
    (void)pthread_mutex_unlock(&admin->daemon_mutex);
    if (admin->clock != NULL) {
        (void)pthread_mutex_lock(&admin->mutex);
        admin->clock_ends = true;
        (void)pthread_cond_signal(&admin->changed);
        (void)pthread_mutex_unlock(&admin->mutex);
        (void)dx_thread_join(admin->clock);
        admin->clock = NULL;
    }
    admin->stopping = true;
    dxi_admin_streams_end(admin);
    for (size_t i = 0; i < DXI_ADMIN_RETIRED_MAX; i++) {
        retired_stop(&admin->retired[i]);
        admin->retired[i].daemon = NULL;
    }
    if (admin->next != NULL) {
        MHD_stop_daemon(admin->next);
        admin->next = NULL;
    }
    if (admin->daemon != NULL) {
        MHD_stop_daemon(admin->daemon);
        admin->daemon = NULL;
    }
    if (admin->listener >= 0) {
        (void)close(admin->listener);
        admin->listener = -1;
    }
}

void dxi_admin_destroy(dxi_admin_t *admin)
{
    if (admin == NULL) {
        return;
    }
    dxi_admin_stop(admin);
    dxi_admin_tls_free(&admin->tls);
    dxi_admin_tls_free(&admin->next_tls);
    (void)pthread_mutex_destroy(&admin->mutex);
    (void)pthread_mutex_destroy(&admin->stream_mutex);
    (void)pthread_mutex_destroy(&admin->daemon_mutex);
    (void)pthread_cond_destroy(&admin->changed);
    dxi_free(admin->texts);
    dxi_free(admin);
}

const char *dxi_admin_address(const dxi_admin_t *admin)
{
    return admin->address;
}

/* ------------------------------------------------------------------------- another certificate */

/* A place for a daemon that retires, or -1. */
static int retired_place(dxi_admin_t *admin)
{
    int place = -1;
    (void)pthread_mutex_lock(&admin->mutex);
    for (int i = 0; i < DXI_ADMIN_RETIRED_MAX && place < 0; i++) {
        place = admin->retired[i].daemon == NULL ? i : -1;
    }
    (void)pthread_mutex_unlock(&admin->mutex);
    return place;
}

static bool text_same(const char *a, const char *b)
{
    return (a == NULL) == (b == NULL) && (a == NULL || strcmp(a, b) == 0);
}

/* Whether the files say what they said before. */
static bool tls_same(const dxi_admin_tls_t *a, const dxi_admin_tls_t *b)
{
    return text_same(a->certificate, b->certificate) && text_same(a->key, b->key) &&
           text_same(a->authority, b->authority);
}

/* Makes the daemon of next_tls, and sees to a place for the one that will retire. Under the mutex
 * of daemons. */
static int next_make(dxi_admin_t *admin, dx_error_t *error)
{
    if (retired_place(admin) < 0) {
        return dxi_fail(error, DX_EBUSY,
                        "the admin server keeps its certificate: %d earlier ones are still in use",
                        DXI_ADMIN_RETIRED_MAX);
    }
    admin->next = daemon_make(admin, &admin->next_tls);
    if (admin->next == NULL) {
        return dxi_fail(error, DX_EIO,
                        "the admin server keeps its certificate: no threads for another one");
    }
    return DX_OK;
}

/* Under the mutex of daemons. */
static void next_drop(dxi_admin_t *admin)
{
    if (admin->next != NULL && !admin->ending) { /* its end is that of all */
        daemon_retire(admin, retired_place(admin), admin->next);
        admin->next = NULL;
    }
    dxi_admin_tls_free(&admin->next_tls);
}

int dxi_admin_tls_prepare(dxi_admin_t *admin, dx_error_t *error)
{
    int code = DX_OK;
    (void)pthread_mutex_lock(&admin->daemon_mutex);
    if (admin->place.tls && admin->daemon != NULL && !admin->ending) {
        next_drop(admin);
        code = dxi_admin_tls_load(&admin->options, &admin->next_tls, error);
        if (code == DX_OK && !tls_same(&admin->tls, &admin->next_tls)) {
            code = next_make(admin, error);
        }
        if (admin->next == NULL) {
            dxi_admin_tls_free(&admin->next_tls);
        }
    }
    (void)pthread_mutex_unlock(&admin->daemon_mutex);
    return code;
}

void dxi_admin_tls_commit(dxi_admin_t *admin)
{
    (void)pthread_mutex_lock(&admin->daemon_mutex);
    const bool changes = admin->next != NULL && !admin->ending;
    if (changes) {
        struct MHD_Daemon *const old = admin->daemon;
        (void)pthread_mutex_lock(&admin->mutex);
        admin->daemon = admin->next;
        (void)pthread_mutex_unlock(&admin->mutex);
        admin->next = NULL;
        daemon_retire(admin, retired_place(admin), old); /* there is one since prepare() */
        dxi_admin_tls_free(&admin->tls);
        admin->tls = admin->next_tls;
        admin->next_tls = (dxi_admin_tls_t){.certificate = NULL};
    }
    (void)pthread_mutex_unlock(&admin->daemon_mutex);
    if (changes) {
        dxi_admin_readers_end(admin);
    }
}

void dxi_admin_tls_drop(dxi_admin_t *admin)
{
    (void)pthread_mutex_lock(&admin->daemon_mutex);
    next_drop(admin);
    (void)pthread_mutex_unlock(&admin->daemon_mutex);
}

/* ------------------------------------------------------------------------------------- figures */

const char *dxi_admin_refusal_name(int refusal)
{
    static const char *const NAMES[DXI_ADMIN_REFUSALS] = {
        "malformed",  "unknown_route", "method", "parameter", "body",    "token",
        "permission", "host",          "header", "limit",     "timeout", "tls"};
    return NAMES[refusal];
}

void dxi_admin_stat(const dxi_admin_t *admin, dxi_admin_stat_t *stat_out)
{
    *stat_out = (dxi_admin_stat_t){
        .requests = (uint64_t)dx_load_relaxed(&admin->requests),
        .connections = (uint64_t)dx_load_relaxed(&admin->connections),
        .streams_open = (uint64_t)dx_load_relaxed(&admin->reader_count),
        .events_lost = (uint64_t)dx_load_relaxed(&admin->events_lost),
        .bytes_out = (uint64_t)dx_load_relaxed(&admin->bytes_out),
    };
    for (size_t i = 0; i < 6; i++) {
        stat_out->status[i] = (uint64_t)dx_load_relaxed(&admin->status[i]);
    }
    for (size_t i = 0; i < DXI_ADMIN_REFUSALS; i++) {
        stat_out->refused[i] = (uint64_t)dx_load_relaxed(&admin->refused[i]);
    }
    pthread_mutex_t *const mutex = (pthread_mutex_t *)(uintptr_t)&admin->mutex;
    (void)pthread_mutex_lock(mutex);
    stat_out->connections_open = admin->link_count;
    (void)pthread_mutex_unlock(mutex);
}
