/* wire/batch_internal.h - packing frames where they lie, for the transport.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_WIRE_BATCH_INTERNAL_H
#define DXI_WIRE_BATCH_INTERNAL_H

#include "disruptorx/frame_batch.h"

/* Makes a BATCH of `count` frames that lie in a row, in the memory of `batch`, of at most `room`
 * bytes and at most what `batch` has room for. `*frame_out` is good until the next call.
 * Returns its bytes; 0 when it does not fit: nothing is gained.
 * Threads: owner. */
DX_NODISCARD uint32_t dxi_frame_batch_pack(dx_frame_batch_t *batch, dx_codec_t codec,
                                           const void *frames, uint32_t raw_bytes, uint32_t count,
                                           uint32_t room, const void **frame_out);

#endif
