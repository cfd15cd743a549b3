/* codec.c - the compression libraries, and nothing of frames.
 *
 * DESIGN
 *
 * Both libraries are asked for single blocks, into room that the caller has: there is no window
 * that a peer could make large, and no output that could grow. zstd at its fastest regular level:
 * it runs on the thread of a shard or a connection, and bench/bench_wire.c shows what it costs
 * there.
 *
 * zstd allocates inside its contexts when it first meets a size; packing zeros once at the start
 * moves that out of the hot path. It may still make them smaller or larger later on its own
 * account.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "wire/codec.h"

#include <lz4.h>
#include <zstd.h>

#include "base/alloc.h"
#include "base/fail.h"

#define ZSTD_LEVEL 1
#define LZ4_ACCELERATION 1

const char *dx_codec_name(int codec)
{
    switch (codec) {
#define CASE(name, number, text)                                                                   \
    case DX_CODEC_##name:                                                                          \
        return text;
        DX_CODEC_LIST(CASE)
#undef CASE
    default:
        return "unknown";
    }
}

static void *zstd_context(void *(*create)(void))
{
    if (dxi_fault("zstd context")) {
        return NULL;
    }
    void *const context = create();
    if (context != NULL) {
        dxi_live_add(1);
    }
    return context;
}

static void *pack_context(void)
{
    return ZSTD_createCCtx();
}

static void *open_context(void)
{
    return ZSTD_createDCtx();
}

int dxi_codecs_init(dxi_codecs_t *codecs, const void *zeros, uint32_t raw_bytes_max,
                    dx_error_t *error)
{
    codecs->lz4 = dxi_alloc_zeroed(1, (size_t)LZ4_sizeofState());
    codecs->zstd_pack = zstd_context(pack_context);
    codecs->zstd_open = zstd_context(open_context);
    char packed[1024];
    if (codecs->lz4 == NULL || codecs->zstd_pack == NULL || codecs->zstd_open == NULL ||
        dxi_codec_pack(codecs, DX_CODEC_ZSTD, zeros, raw_bytes_max, packed, sizeof packed) == 0) {
        dxi_codecs_close(codecs);
        return dxi_fail(error, DX_ENOMEM, "no memory for compressing batches of %u bytes",
                        raw_bytes_max);
    }
    return DX_OK;
}

void dxi_codecs_close(dxi_codecs_t *codecs)
{
    dxi_free(codecs->lz4);
    if (codecs->zstd_pack != NULL) {
        (void)ZSTD_freeCCtx(codecs->zstd_pack);
        dxi_live_add(-1);
    }
    if (codecs->zstd_open != NULL) {
        (void)ZSTD_freeDCtx(codecs->zstd_open);
        dxi_live_add(-1);
    }
    *codecs = (dxi_codecs_t){.lz4 = NULL};
}

uint32_t dxi_codec_pack(dxi_codecs_t *codecs, dx_codec_t codec, const void *raw, uint32_t raw_bytes,
                        void *out, uint32_t room)
{
    if (codec == DX_CODEC_LZ4) {
        const int packed = LZ4_compress_fast_extState(codecs->lz4, raw, out, (int)raw_bytes,
                                                      (int)room, LZ4_ACCELERATION);
        return packed > 0 ? (uint32_t)packed : 0;
    }
    if (codec == DX_CODEC_ZSTD) {
        const size_t packed =
            ZSTD_compressCCtx(codecs->zstd_pack, out, room, raw, raw_bytes, ZSTD_LEVEL);
        return ZSTD_isError(packed) ? 0 : (uint32_t)packed;
    }
    return 0;
}

uint32_t dxi_codec_open(dxi_codecs_t *codecs, dx_codec_t codec, const void *packed,
                        uint32_t packed_bytes, void *out, uint32_t room)
{
    if (codec == DX_CODEC_LZ4) {
        const int raw = LZ4_decompress_safe(packed, out, (int)packed_bytes, (int)room);
        return raw > 0 ? (uint32_t)raw : 0;
    }
    if (codec == DX_CODEC_ZSTD) {
        const size_t raw = ZSTD_decompressDCtx(codecs->zstd_open, out, room, packed, packed_bytes);
        return ZSTD_isError(raw) ? 0 : (uint32_t)raw;
    }
    return 0;
}
