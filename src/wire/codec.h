/* wire/codec.h - lz4 and zstd behind one call each, with memory that is allocated once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_WIRE_CODEC_H
#define DXI_WIRE_CODEC_H

#include "disruptorx/frame_batch.h"

typedef struct dxi_codecs {
    void *lz4;       /* LZ4_sizeofState() bytes */
    void *zstd_pack; /* ZSTD_CCtx */
    void *zstd_open; /* ZSTD_DCtx */
} dxi_codecs_t;

/* Allocates for blocks of up to `raw_bytes_max`; `zeros` are as many bytes that are 0.
 * Returns DX_OK, DX_ENOMEM: then nothing is left to close.
 * Threads: owner. */
DX_NODISCARD int dxi_codecs_init(dxi_codecs_t *codecs, const void *zeros, uint32_t raw_bytes_max,
                                 dx_error_t *error);

/* Threads: owner. */
void dxi_codecs_close(dxi_codecs_t *codecs);

/* Compresses into at most `room` bytes.
 * Returns the bytes written, or 0 when they don't fit or the codec is DX_CODEC_NONE.
 * Threads: owner. */
uint32_t dxi_codec_pack(dxi_codecs_t *codecs, dx_codec_t codec, const void *raw, uint32_t raw_bytes,
                        void *out, uint32_t room);

/* Decompresses `packed_bytes` into at most `room` bytes, never more.
 * Returns the bytes written, or 0 when they don't fit or the data are damaged.
 * Threads: owner. */
uint32_t dxi_codec_open(dxi_codecs_t *codecs, dx_codec_t codec, const void *packed,
                        uint32_t packed_bytes, void *out, uint32_t room);

#endif
