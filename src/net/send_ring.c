/* send_ring.c - mapping and unmapping the ring of send_ring.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/send_ring.h"

#include <unistd.h>

#include "base/mapping.h"

int dxi_send_ring_create(dxi_send_ring_t *ring, size_t bytes, dx_error_t *error)
{
    *ring = (dxi_send_ring_t){0};
    assert(bytes != 0 && (bytes & (bytes - 1)) == 0);
    const int fd = dxi_mapping_anonymous(bytes, error);
    if (fd < 0) {
        return fd;
    }
    const dx_memory_options_t memory = {.pages = DX_PAGES_NORMAL};
    const dxi_mapping_options_t mapping = {
        .fd = fd, .bytes = bytes, .mirror_bytes = bytes, .memory = &memory};
    const int code = dxi_mapping_map(&mapping, &ring->memory, error);
    (void)close(fd);
    if (code == DX_OK) {
        ring->base = ring->memory.address;
        ring->bytes = bytes;
    }
    return code;
}

void dxi_send_ring_destroy(dxi_send_ring_t *ring)
{
    dx_memory_unmap(&ring->memory);
    *ring = (dxi_send_ring_t){0};
}
