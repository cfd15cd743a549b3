/* share.c - the file of a shared ring.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ring/share.h"

#include "base/fail.h"

int dxi_share_validate(const dx_share_options_t *options, dx_error_t *error)
{
    (void)options;
    return dxi_fail(error, DX_ENOTSUP, "no shared rings yet");
}
int dxi_share_create(dx_ring_t *ring, const dx_share_options_t *options,
                     const dx_memory_options_t *memory, const dx_ring_block_t *layout,
                     dx_error_t *error)
{
    (void)ring;
    (void)memory;
    (void)layout;
    return dxi_share_validate(options, error);
}
int dxi_share_publish(dx_ring_t *ring, dx_error_t *error)
{
    (void)ring;
    (void)error;
    return DX_OK;
}
int dxi_share_attach_like(const dx_share_options_t *options, const dx_ring_block_t *layout,
                          dx_ring_t **ring_out, dx_error_t *error)
{
    (void)layout;
    (void)ring_out;
    return dxi_share_validate(options, error);
}
void dxi_share_leave(dx_ring_t *ring)
{
    (void)ring;
}
int dxi_share_lock(dxi_share_t *share, int64_t timeout_ns, dx_error_t *error)
{
    (void)share;
    (void)timeout_ns;
    (void)error;
    return DX_OK;
}
void dxi_share_unlock(const dxi_share_t *share)
{
    (void)share;
}
int32_t dxi_share_index(const dx_ring_t *ring)
{
    return ring->share != NULL ? ring->share->index : -1;
}
