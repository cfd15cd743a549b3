/* base/memory_os.h - the system calls of memory.c, so that a test can play a machine with huge
 * pages, NUMA nodes or limits that this one lacks.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BASE_MEMORY_OS_H
#define DXI_BASE_MEMORY_OS_H

#include <stddef.h>
#include <stdint.h>

/* Each call returns 0 or an errno value. */
typedef struct dxi_memory_os {
    const char *sysfs_root;
    /* Maps `bytes` of zeroed memory; `flags` are those of mmap() beyond MAP_PRIVATE and
     * MAP_ANONYMOUS. */
    int (*map)(size_t bytes, int flags, void **address_out);
    int (*unmap)(void *address, size_t bytes);
    int (*advise)(void *address, size_t bytes, int advice);
    int (*bind)(void *address, size_t bytes, int32_t node, int mode);
    int (*node_of)(void *address, int32_t *node_out);
    int (*lock)(void *address, size_t bytes);
} dxi_memory_os_t;

extern const dxi_memory_os_t dxi_memory_os_system;

/* What memory.c calls; &dxi_memory_os_system unless a test changed it.
 * Threads: written by tests only, while nothing else runs. */
extern const dxi_memory_os_t *dxi_memory_os;

#endif
