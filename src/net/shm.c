/* shm.c - making and mapping the memory of a connection over shared memory.
 *
 * INVARIANTS
 *
 *   Y1  what was mapped keeps its size: the file is sealed, and was looked at before
 *   Y2  sizes come from the node's own options, or from the kernel (the size of a sealed file), and
 *       never from the memory itself
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/shm.h"

#include <unistd.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "base/mapping.h"
#include "net/descriptors.h"

/* What stands in page 0. */
typedef struct head {
    uint64_t magic;
    uint32_t layout;
    uint32_t ring_bytes;
    dxi_shm_words_t to_node;
    dxi_shm_words_t to_client;
} head_t;

_Static_assert(sizeof(head_t) <= 4096, "the head fits the smallest page");
_Static_assert(offsetof(head_t, to_node) == 128 && sizeof(dxi_shm_words_t) == 512,
               "docs/protocol.md says where the words lie");

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static bool ring_bytes_allowed(size_t bytes)
{
    return bytes >= DXI_SHM_RING_BYTES_MIN && bytes <= DXI_SHM_RING_BYTES_MAX &&
           (bytes & (bytes - 1)) == 0 && bytes % page_bytes() == 0;
}

/* Maps the file. `node`: which of the two rings is ours to write. */
static int map(int descriptor, size_t ring_bytes, bool node, dxi_shm_t **shm_out, dx_error_t *error)
{
    dxi_shm_t *const shm = dxi_alloc_zeroed(1, sizeof *shm);
    if (shm == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a connection over shared memory");
    }
    const dx_memory_options_t memory = {.pages = DX_PAGES_NORMAL};
    const dxi_mapping_options_t mapping = {
        .fd = descriptor, .bytes = page_bytes() + 2 * ring_bytes, .memory = &memory};
    const int code = dxi_mapping_map(&mapping, &shm->memory, error);
    if (code != DX_OK) {
        dxi_free(shm);
        return code;
    }
    head_t *const head = shm->memory.address;
    char *const data = (char *)shm->memory.address + page_bytes();
    dxi_shm_end_init(node ? &shm->in : &shm->out, &head->to_node, data, ring_bytes);
    dxi_shm_end_init(node ? &shm->out : &shm->in, &head->to_client, data + ring_bytes, ring_bytes);
    *shm_out = shm;
    return DX_OK;
}

int dxi_shm_create(size_t ring_bytes, dxi_shm_t **shm_out, int *descriptor_out, dx_error_t *error)
{
    *shm_out = NULL;
    *descriptor_out = -1;
    if (!ring_bytes_allowed(ring_bytes)) {
        return dxi_fail(error, DX_EINVAL,
                        "a shared ring has %zu bytes, must be a power of two from %d to %d",
                        ring_bytes, DXI_SHM_RING_BYTES_MIN, DXI_SHM_RING_BYTES_MAX);
    }
    const int descriptor =
        dxi_sealed_create("disruptorx.shm", page_bytes() + 2 * ring_bytes, error);
    if (descriptor < 0) {
        return descriptor;
    }
    const int code = map(descriptor, ring_bytes, true, shm_out, error);
    if (code != DX_OK || *shm_out == NULL) {
        (void)close(descriptor);
        return code;
    }
    head_t *const head = (*shm_out)->memory.address;
    head->magic = DXI_SHM_MAGIC;
    head->layout = DXI_SHM_LAYOUT;
    head->ring_bytes = (uint32_t)ring_bytes; /* for people who look at it: see Y2 */
    *descriptor_out = descriptor;
    return DX_OK;
}

int dxi_shm_attach(int descriptor, dxi_shm_t **shm_out, dx_error_t *error)
{
    size_t size = 0;
    *shm_out = NULL;
    const int code = dxi_sealed_check(descriptor, &size, error); /* Y1 */
    if (code != DX_OK) {
        return code;
    }
    const size_t ring_bytes = size > page_bytes() ? (size - page_bytes()) / 2 : 0;
    if (!ring_bytes_allowed(ring_bytes) || size != page_bytes() + 2 * ring_bytes) {
        return dxi_fail(error, DX_EINVAL, "a shared file has %zu bytes, which are no two rings",
                        size);
    }
    const int mapped = map(descriptor, ring_bytes, false, shm_out, error);
    if (mapped != DX_OK || *shm_out == NULL) {
        return mapped;
    }
    const head_t *const head = (*shm_out)->memory.address;
    const uint64_t magic = head->magic;
    const uint32_t layout = head->layout;
    if (magic == DXI_SHM_MAGIC && layout == DXI_SHM_LAYOUT) {
        return DX_OK;
    }
    dxi_shm_destroy(*shm_out);
    *shm_out = NULL;
    if (magic != DXI_SHM_MAGIC) {
        return dxi_fail(error, DX_EINVAL, "a shared file does not begin as a pair of rings does");
    }
    return dxi_fail(error, DX_EVERSION, "a shared file has layout %u, only %d is understood",
                    layout, DXI_SHM_LAYOUT);
}

void dxi_shm_destroy(dxi_shm_t *shm)
{
    if (shm != NULL) {
        dx_memory_unmap(&shm->memory);
        dxi_free(shm);
    }
}
