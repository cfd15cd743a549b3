/* net/socket.h - sockets and their addresses.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_NET_SOCKET_H
#define DXI_NET_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
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

/* The code for what bind() or listen() said. */
int dxi_socket_bind_code(int os);

/* Makes a socket that listens on a port of a host ("": any); port 0 is the system's choice, and the
 * one it got is stored. `address` is how the sentence calls it.
 * Returns DX_OK; DX_EINVAL when there is no such address, DX_EBUSY, DX_EPERM, DX_EIO. */
DX_NODISCARD int dxi_socket_listen(const char *host, uint16_t *port_inout, int backlog,
                                   const char *address, int *fd_out, dx_error_t *error);

#endif
