/* socket.c - sockets and their addresses.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fail.h"

void dxi_socket_tune(int fd, int family)
{
    if (family != AF_UNIX) {
        const int on = 1; /* a refused option costs speed, nothing else */
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
}

bool dxi_socket_address(const dxi_address_t *address, struct sockaddr_storage *out,
                        socklen_t *bytes_out)
{
    memset(out, 0, sizeof *out);
    if (address->transport == DXI_UNIX || address->transport == DXI_SHM) {
        struct sockaddr_un *const un = (struct sockaddr_un *)out;
        un->sun_family = AF_UNIX;
        memcpy(un->sun_path, address->host, strnlen(address->host, sizeof un->sun_path - 1));
        *bytes_out = sizeof *un;
        return true;
    }
    struct sockaddr_in *const in4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *const in6 = (struct sockaddr_in6 *)out;
    const char *const host = address->host[0] != '\0' ? address->host : "127.0.0.1";
    if (inet_pton(AF_INET, host, &in4->sin_addr) == 1) {
        in4->sin_family = AF_INET;
        in4->sin_port = htons(address->port);
        *bytes_out = sizeof *in4;
        return true;
    }
    if (inet_pton(AF_INET6, host, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(address->port);
        *bytes_out = sizeof *in6;
        return true;
    }
    return false;
}

void dxi_socket_peer(int fd, const struct sockaddr_storage *peer, bool tls, char *text_out,
                     size_t text_bytes)
{
    char host[INET6_ADDRSTRLEN] = "?";
    const char *const scheme = tls ? "tls" : "tcp";
    if (peer->ss_family == AF_INET) {
        const struct sockaddr_in *const in4 = (const struct sockaddr_in *)peer;
        (void)inet_ntop(AF_INET, &in4->sin_addr, host, sizeof host);
        (void)snprintf(text_out, text_bytes, "%s://%s:%u", scheme, host, ntohs(in4->sin_port));
        return;
    }
    if (peer->ss_family == AF_INET6) {
        const struct sockaddr_in6 *const in6 = (const struct sockaddr_in6 *)peer;
        (void)inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
        (void)snprintf(text_out, text_bytes, "%s://[%s]:%u", scheme, host, ntohs(in6->sin6_port));
        return;
    }
    struct ucred who = {0};
    socklen_t bytes = sizeof who;
    (void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &bytes);
    (void)snprintf(text_out, text_bytes, "unix:// pid %d uid %u", (int)who.pid, (unsigned)who.uid);
}

/* ------------------------------------------------------------------------------------ listening */

int dxi_socket_bind_code(int os)
{
    return os == EADDRINUSE ? DX_EBUSY : os == EADDRNOTAVAIL ? DX_EINVAL : dxi_code_of_errno(os);
}

/* One address of the host. Returns 0 or an errno. */
static int listen_one(const struct addrinfo *info, int backlog, int *fd_out)
{
    const int on = 1;
    const int off = 0;
    const int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (info->ai_family == AF_INET6) { /* "any" is any of both families */
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    }
    if (bind(fd, info->ai_addr, info->ai_addrlen) != 0 || listen(fd, backlog) != 0) {
        const int os = errno;
        (void)close(fd);
        return os;
    }
    *fd_out = fd;
    return 0;
}

/* The port that the system gave. */
static void port_read(int fd, uint16_t *port_out)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
    } bound;
    socklen_t bytes = sizeof bound;
    memset(&bound, 0, sizeof bound);
    if (getsockname(fd, &bound.any, &bytes) == 0) {
        *port_out =
            ntohs(bound.any.sa_family == AF_INET ? bound.in4.sin_port : bound.in6.sin6_port);
    }
}

int dxi_socket_listen(const char *host, uint16_t *port_inout, int backlog, const char *address,
                      int *fd_out, dx_error_t *error)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    char port[8];
    (void)snprintf(port, sizeof port, "%u", (unsigned)*port_inout);
    const bool any = host[0] == '\0';
    const int rc = getaddrinfo(any ? NULL : host, port, &hints, &list);
    if (rc != 0) {
        return dxi_fail(error, DX_EINVAL, "cannot find the address of '%.200s' to listen on: %s",
                        host, gai_strerror(rc));
    }
    int os = EADDRNOTAVAIL;
    for (int pass = 0; pass < 2 && os != 0; pass++) { /* "any": IPv6 first, it takes IPv4 too */
        for (const struct addrinfo *info = list; info != NULL && os != 0; info = info->ai_next) {
            if (!any || (info->ai_family == AF_INET6) == (pass == 0)) {
                os = listen_one(info, backlog, fd_out);
            }
        }
    }
    freeaddrinfo(list);
    if (os != 0) {
        return dxi_fail_os(error, dxi_socket_bind_code(os), os, "cannot listen on %s", address);
    }
    port_read(*fd_out, port_inout);
    return DX_OK;
}
