/* net/socket.h - sockets and their addresses.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_NET_SOCKET_H
#define DXI_NET_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "net/address.h"

/* What every connection's socket gets: no Nagle. */
void dxi_socket_tune(int fd, int family);

/* A path, or a host that is a number. False: the host has to be resolved. */
bool dxi_socket_address(const dxi_address_t *address, struct sockaddr_storage *out,
                        socklen_t *bytes_out);

/* "tcp://127.0.0.1:40000", or "unix:// pid 12 uid 0" for the other side of a UNIX socket. */
void dxi_socket_peer(int fd, const struct sockaddr_storage *peer, bool tls, char *text_out,
                     size_t text_bytes);

#endif
