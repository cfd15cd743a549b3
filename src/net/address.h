/* net/address.h - where to listen or connect: tcp://host:port, tls://host:port, unix:///path, and,
 * to connect only, shm:///path: shared memory with the node that listens on unix:///path.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_NET_ADDRESS_H
#define DXI_NET_ADDRESS_H

#include <stdint.h>

#include "disruptorx/error.h"
#include "disruptorx/platform.h"

#define DXI_ADDRESS_TEXT_MAX 255
#define DXI_DEFAULT_PORT 7400

typedef enum dxi_transport {
    DXI_TCP = 0,
    DXI_TLS = 1,
    DXI_UNIX = 2,
    DXI_SHM = 3 /* begins on the UNIX socket `host` */
} dxi_transport_t;

typedef struct dxi_address {
    dxi_transport_t transport;
    uint16_t port;
    char host[DXI_ADDRESS_TEXT_MAX + 1]; /* a name or address; IPv6 without brackets; or the path */
} dxi_address_t;

/* Reads an address. Without a scheme it is tcp; without a port it is DXI_DEFAULT_PORT; "host",
 * ":7401", "[::1]:7400", "/run/dx.sock" are understood.
 * Returns DX_OK, DX_EINVAL. Threads: any. */
DX_NODISCARD int dxi_address_parse(const char *text, dxi_address_t *address_out, dx_error_t *error);

/* Writes "tcp://127.0.0.1:7400" with its NUL. Threads: any. */
void dxi_address_format(const dxi_address_t *address, char text_out[DXI_ADDRESS_TEXT_MAX + 16]);

#endif
