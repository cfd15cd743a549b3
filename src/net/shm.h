/* net/shm.h - the memory of a connection over shared memory: two rings of bytes in one file.
 *
 *     page 0        layout, ring_bytes, and the words of both rings (shm_ring.h)
 *     from page 1   data of the ring client -> node, then of the ring node -> client
 *
 * The node makes the file, sealed (descriptors.h), and passes it to the client behind its WELCOME;
 * the client looks at it and maps it. docs/protocol.md says it byte by byte.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_NET_SHM_H
#define DXI_NET_SHM_H

#include "disruptorx/memory.h"
#include "net/shm_ring.h"

#define DXI_SHM_RING_BYTES_MIN 65536
#define DXI_SHM_RING_BYTES_MAX 67108864
#define DXI_SHM_RING_BYTES_DEFAULT 262144

/* How the words lie in page 0. */
#define DXI_SHM_LAYOUT 1
#define DXI_SHM_MAGIC UINT64_C(0x6d687378646c7861) /* "axldxshm" */

typedef struct dxi_shm {
    dx_memory_t memory;
    dxi_shm_end_t in;  /* we read */
    dxi_shm_end_t out; /* we write */
} dxi_shm_t;

/* The node's side: makes the file and maps it. `*descriptor_out` is the caller's, to be passed and
 * closed.
 * Returns DX_OK, DX_EINVAL (ring_bytes), DX_ENOMEM, DX_ELIMIT, DX_ENOTSUP. Threads: any. */
DX_NODISCARD int dxi_shm_create(size_t ring_bytes, dxi_shm_t **shm_out, int *descriptor_out,
                                dx_error_t *error);

/* The client's side: looks whether the descriptor is such a file, and maps it; it stays the
 * caller's, who may close it then.
 * Returns DX_OK, DX_EINVAL when it is no such file, DX_EVERSION, DX_ENOMEM. Threads: any. */
DX_NODISCARD int dxi_shm_attach(int descriptor, dxi_shm_t **shm_out, dx_error_t *error);

/* Unmaps; NULL is allowed. Threads: owner. */
void dxi_shm_destroy(dxi_shm_t *shm);

#endif
