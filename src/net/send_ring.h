/* net/send_ring.h - bytes on their way to a peer: one ring, mapped twice in a row.
 *
 * What is in it is one contiguous piece, and so is any room, wherever the end of the memory lies.
 * Empty, it begins again at its first byte: a connection with little traffic uses one page.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_NET_SEND_RING_H
#define DXI_NET_SEND_RING_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "disruptorx/memory.h"

typedef struct dxi_send_ring {
    char *base;
    size_t bytes;  /* a power of two */
    uint64_t head; /* the next byte to send */
    uint64_t tail; /* the next byte to fill; tail - head <= bytes */
    dx_memory_t memory;
} dxi_send_ring_t;

/* Maps a ring of `bytes`, a power of two of at least one page.
 * Returns DX_OK, DX_ENOMEM, DX_ELIMIT (descriptors). Threads: any. */
DX_NODISCARD int dxi_send_ring_create(dxi_send_ring_t *ring, size_t bytes, dx_error_t *error);

/* All zero is allowed. Threads: owner. */
void dxi_send_ring_destroy(dxi_send_ring_t *ring);

DX_INLINE size_t dxi_send_ring_pending(const dxi_send_ring_t *ring)
{
    return (size_t)(ring->tail - ring->head);
}

DX_INLINE size_t dxi_send_ring_room(const dxi_send_ring_t *ring)
{
    return ring->bytes - dxi_send_ring_pending(ring);
}

DX_INLINE char *dxi_send_ring_tail(const dxi_send_ring_t *ring)
{
    return ring->base + (ring->tail & (ring->bytes - 1));
}

DX_INLINE const char *dxi_send_ring_head(const dxi_send_ring_t *ring)
{
    return ring->base + (ring->head & (ring->bytes - 1));
}

DX_INLINE void dxi_send_ring_fill(dxi_send_ring_t *ring, size_t bytes)
{
    ring->tail += bytes;
    assert(dxi_send_ring_pending(ring) <= ring->bytes);
}

DX_INLINE void dxi_send_ring_take(dxi_send_ring_t *ring, size_t bytes)
{
    ring->head += bytes;
    assert(ring->head <= ring->tail);
}

/* Begins again at the first byte, when nothing is there. */
DX_INLINE void dxi_send_ring_rewind(dxi_send_ring_t *ring)
{
    if (ring->head == ring->tail) {
        ring->head = 0;
        ring->tail = 0;
    }
}

#endif
