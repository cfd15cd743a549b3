/* secret.c - memory for secrets: in no core, and wiped when it is given back.
 *
 * Whole pages, because what madvise() says is of pages: one page for a token, a few for a
 * configuration. A child after fork() has it as well: who forks may need it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/secret.h"

#include <string.h>
#include <sys/mman.h>

#include "base/alloc.h"

void *dxi_secret_alloc(size_t bytes)
{
    if (bytes == 0 || dxi_fault("memory for secrets")) {
        return NULL;
    }
    void *const memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        return NULL;
    }
    (void)madvise(memory, bytes, MADV_DONTDUMP);
    dxi_live_add(1);
    return memory;
}

void dxi_secret_free(void *memory, size_t bytes)
{
    if (memory != NULL) {
        explicit_bzero(memory, bytes);
        (void)munmap(memory, bytes);
        dxi_live_add(-1);
    }
}
