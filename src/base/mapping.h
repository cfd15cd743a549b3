/* base/mapping.h - maps a file, and its tail a second time behind it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BASE_MAPPING_H
#define DXI_BASE_MAPPING_H

#include <stdbool.h>

#include "disruptorx/memory.h"

/* What to map of an open file. */
typedef struct dxi_mapping_options {
    int fd;
    size_t bytes; /* of the file, from its start */
    size_t
        mirror_bytes; /* 0, or how much of its end is mapped again right behind it: whole pages */
    bool read_only;
    bool fresh;                        /* nobody else has mapped it: its pages may be moved */
    const dx_memory_options_t *memory; /* NULL: defaults. Uses pages, numa_node_plus_1, prefault,
                                        * lock, best_effort */
} dxi_mapping_options_t;

/* Maps it shared: what is written is in the file. Byte bytes + i is the same memory as byte
 * bytes - mirror_bytes + i, for every i below mirror_bytes.
 * Returns DX_OK; DX_ENOMEM; DX_EPERM and DX_ELIMIT when locking is refused; DX_ENOTSUP for explicit
 * huge pages. `*memory_out`, whose size_bytes includes the mirror, is unmapped by
 * dx_memory_unmap().
 * Threads: any. */
int dxi_mapping_map(const dxi_mapping_options_t *options, dx_memory_t *memory_out,
                    dx_error_t *error);

/* Opens a file that has no name and lives in memory, of `bytes` zero bytes.
 * Returns its descriptor, or DX_ENOMEM, DX_ELIMIT. */
int dxi_mapping_anonymous(size_t bytes, dx_error_t *error);

#endif
