/* socket.c - sockets and their addresses.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

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
