/* memory_os.c - the system calls behind memory.c.
 *
 * mbind() and get_mempolicy() have no wrapper in libc, and libnuma is not wanted here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/memory_os.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "disruptorx/memory.h"

static int os_map(size_t bytes, int flags, void **address_out)
{
    void *const address =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    *address_out = address == MAP_FAILED ? NULL : address;
    return address == MAP_FAILED ? errno : 0;
}

static int os_unmap(void *address, size_t bytes)
{
    return munmap(address, bytes) == 0 ? 0 : errno;
}

static int os_advise(void *address, size_t bytes, int advice)
{
    int rc = 0;
    do {
        rc = madvise(address, bytes, advice);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : errno;
}

static int os_bind(void *address, size_t bytes, int32_t node, int mode)
{
    enum { BITS = 8 * (int)sizeof(unsigned long) };
    unsigned long mask[DX_NUMA_NODE_MAX / BITS] = {0};
    mask[node / BITS] = 1UL << (node % BITS);
    /* The kernel reads one bit less than it is told. */
    const long rc = syscall(SYS_mbind, address, bytes, mode, mask, DX_NUMA_NODE_MAX + 1UL, 0);
    return rc == 0 ? 0 : errno;
}

static int os_node_of(void *address, int32_t *node_out)
{
    int node = -1;
    const long rc =
        syscall(SYS_get_mempolicy, &node, NULL, 0UL, address, (long)(MPOL_F_NODE | MPOL_F_ADDR));
    *node_out = rc == 0 ? node : -1;
    return rc == 0 ? 0 : errno;
}

static int os_lock(void *address, size_t bytes)
{
    return mlock(address, bytes) == 0 ? 0 : errno;
}

const dxi_memory_os_t dxi_memory_os_system = {
    .sysfs_root = "/sys",
    .map = os_map,
    .unmap = os_unmap,
    .advise = os_advise,
    .bind = os_bind,
    .node_of = os_node_of,
    .lock = os_lock,
};

const dxi_memory_os_t *dxi_memory_os = &dxi_memory_os_system;
