/* connection_connect.c - from an address to a connected socket.
 *
 * DESIGN
 *
 * A name is resolved anew for each connection, in a thread of libuv's; numbers and paths are taken
 * as they stand. The addresses of a name are tried in the order in which the resolver gives them,
 * each until the system says that it can't be reached, all of them within handshake_timeout_ns.
 *
 * A resolver can't be stopped. So what it works on is not part of the connection: a connection that
 * ends leaves it behind, and it frees itself when it is done.
 *
 * INVARIANTS
 *
 *   N1  at most one socket at a time; the next is tried when libuv has let go of the last
 *   N2  the reason that is told is that of the last address tried
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "net/connection_internal.h"
#include "net/socket.h"

struct dxi_resolution {
    uv_getaddrinfo_t request;
    dxi_connection_t *connection; /* NULL: it has ended */
};

static const char *named(const dxi_connection_t *connection)
{
    return connection->peer_address;
}

/* ------------------------------------------------------------------------------------ addresses */

/* A list of one address, as the resolver would make it, without asking anybody. */
static struct addrinfo *single(const struct sockaddr *address, socklen_t bytes, int family)
{
    const size_t head = sizeof(struct addrinfo);
    struct addrinfo *const info = dxi_alloc_zeroed(1, head + sizeof(struct sockaddr_storage));
    if (info != NULL) {
        info->ai_family = family;
        info->ai_socktype = SOCK_STREAM;
        info->ai_addrlen = bytes;
        info->ai_addr = (struct sockaddr *)(info + 1);
        memcpy(info->ai_addr, address, bytes);
    }
    return info;
}

void dxi_connection_forget_candidates(dxi_connection_t *connection)
{
    if (connection->candidates != NULL) {
        if (connection->resolved) {
            uv_freeaddrinfo(connection->candidates);
        } else {
            dxi_free(connection->candidates);
        }
    }
    connection->candidates = NULL;
    connection->candidate = NULL;
    if (connection->resolution != NULL) {
        connection->resolution->connection = NULL;
        (void)uv_cancel((uv_req_t *)&connection->resolution->request);
        connection->resolution = NULL;
    }
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    dxi_resolution_t *const resolution = request->data;
    dxi_connection_t *const connection = resolution->connection;
    dxi_free(resolution);
    if (connection == NULL) {
        uv_freeaddrinfo(list);
        return;
    }
    dxi_loop_worked(connection->loop);
    connection->resolution = NULL;
    if (status != 0) {
        dxi_connection_end_with(connection, status == UV_ENOMEM ? DX_ENOMEM : DX_ENOTFOUND,
                                "cannot find the address of '%s': %s", connection->address.host,
                                uv_strerror(status));
        return;
    }
    connection->candidates = list;
    connection->candidate = list;
    connection->resolved = true;
    dxi_connection_next_candidate(connection);
}

static int resolve(dxi_connection_t *connection, dx_error_t *error)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    char port[8];
    dxi_resolution_t *const resolution = dxi_alloc_zeroed(1, sizeof *resolution);
    if (resolution == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory to resolve '%s'", connection->address.host);
    }
    (void)snprintf(port, sizeof port, "%u", (unsigned)connection->address.port);
    resolution->request.data = resolution;
    resolution->connection = connection;
    const int rc = uv_getaddrinfo(dxi_loop_uv(connection->loop), &resolution->request, on_resolved,
                                  connection->address.host, port, &hints);
    if (rc != 0) {
        dxi_free(resolution);
        return dxi_fail(error, rc == UV_ENOMEM ? DX_ENOMEM : DX_EINVAL, "cannot resolve '%s': %s",
                        connection->address.host, uv_strerror(rc));
    }
    connection->resolution = resolution;
    return DX_OK;
}

/* ----------------------------------------------------------------------------------- connecting */

/* This address is not to be had; the next one, or the end. */
static void candidate_failed(dxi_connection_t *connection, int os_errno)
{
    const int code = os_errno == ECONNREFUSED ? DX_EIO : dxi_code_of_errno(os_errno);
    (void)dxi_fail_os(&connection->refusal, code == DX_EAGAIN ? DX_EBUSY : code, os_errno,
                      "cannot connect to %s", named(connection));
    if (connection->poll_there) {
        dxi_connection_unwatch(connection); /* N1: goes on when that is done */
    } else {
        dxi_connection_next_candidate(connection);
    }
}

/* Returns 0 or the errno that kept the candidate's socket from being made. */
static int candidate_try(dxi_connection_t *connection, const struct addrinfo *info)
{
    if (dxi_fault("socket")) {
        return ENOMEM;
    }
    const int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno;
    }
    dxi_socket_tune(fd, info->ai_family);
    int os = 0;
    int rc;
    do {
        rc = connect(fd, info->ai_addr, info->ai_addrlen);
        os = rc != 0 ? errno : 0;
    } while (os == EINTR);
    if (os != 0 && os != EINPROGRESS) {
        (void)close(fd);
        return os;
    }
    if (dxi_connection_watch(connection, fd, NULL) != DX_OK) {
        (void)close(fd);
        return ENOMEM;
    }
    dxi_connection_arm(connection); /* a socket that is connected is writable */
    return 0;
}

void dxi_connection_next_candidate(dxi_connection_t *connection)
{
    const struct addrinfo *const info = connection->candidate;
    if (info == NULL) {
        const dx_error_t why = connection->refusal; /* N2 */
        connection->refusal = (dx_error_t){0};
        dxi_connection_end(connection, &why);
        return;
    }
    connection->candidate = info->ai_next;
    const int os = candidate_try(connection, info);
    if (os != 0) {
        candidate_failed(connection, os);
    }
}

void dxi_connection_connect_done(dxi_connection_t *connection)
{
    int os = 0;
    socklen_t bytes = sizeof os;
    if (getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &os, &bytes) != 0) {
        os = errno;
    }
    if (os == 0) {
        struct sockaddr_storage peer; /* not yet connected: nobody is there */
        socklen_t peer_bytes = sizeof peer;
        os = getpeername(connection->fd, (struct sockaddr *)&peer, &peer_bytes) == 0 ? 0 : errno;
    }
    if (os != 0) {
        candidate_failed(connection, os);
        return;
    }
    connection->refusal = (dx_error_t){0};
    dxi_connection_forget_candidates(connection);
    dxi_connection_connected(connection);
}

/* Finds out whom to try, and begins with the first. */
static int begin(dxi_connection_t *connection, dx_error_t *error)
{
    struct sockaddr_storage address;
    socklen_t bytes = 0;
    if (!dxi_socket_address(&connection->address, &address, &bytes)) {
        return resolve(connection, error);
    }
    connection->candidates = single((const struct sockaddr *)&address, bytes, address.ss_family);
    if (connection->candidates == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for an address");
    }
    connection->candidate = connection->candidates;
    return DX_OK;
}

int dxi_connection_connect(dxi_loop_t *loop, const dxi_address_t *address,
                           const dxi_connection_options_t *options,
                           const dxi_connection_events_t *events, dxi_connection_t **connection_out,
                           dx_error_t *error)
{
    dxi_settings_t *settings = NULL;
    dxi_connection_t *connection = NULL;
    *connection_out = NULL;
    if (dxi_loop_is_ending(loop)) {
        return dxi_fail(error, DX_ESTATE, "the loop has been stopped");
    }
    if (address->transport == DXI_TLS && options->tls == NULL) {
        return dxi_fail(error, DX_EINVAL, "tls is NULL, must be there for a tls:// address");
    }
    int code = dxi_settings_create(options, events, &settings, error);
    if (code != DX_OK) {
        return code;
    }
    code = dxi_connection_new(loop, settings, &connection, error);
    dxi_settings_drop(settings);
    if (code != DX_OK) {
        return code;
    }
    connection->address = *address;
    connection->takes = address->transport == DXI_SHM || settings->options.takes_descriptors;
    char text[DXI_ADDRESS_TEXT_MAX + 16];
    dxi_address_format(address, text);
    (void)snprintf(connection->peer_address, sizeof connection->peer_address, "%.*s",
                   (int)sizeof connection->peer_address - 1, text);
    code = begin(connection, error);
    if (code != DX_OK) {
        dxi_connection_discard(connection);
        return code;
    }
    dxi_connection_begin(connection);
    if (connection->candidate != NULL) {
        dxi_connection_next_candidate(connection);
    }
    *connection_out = connection;
    return DX_OK;
}
