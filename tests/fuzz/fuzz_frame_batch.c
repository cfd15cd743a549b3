/* fuzz_frame_batch.c - any bytes as a BATCH frame: its part, its block, its frames.
 *
 * Byte 0 as in fuzz_frame.c; with bit 2 the frames that the block comes to are packed again, by the
 * codec in bits 3 and 4, and must come back.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disruptorx/frame_batch.h"

#include "fuzz_frame.h"

#define RAW_BYTES_MAX 16384

static dx_frame_batch_t *batch_make(void)
{
    dx_frame_batch_t *batch = NULL;
    FUZZ_REQUIRE(dx_frame_batch_create(RAW_BYTES_MAX, &batch, NULL) == DX_OK);
    return batch;
}

/* What was packed comes back: as many bytes, in as many frames. */
static void again(dx_frame_batch_t *writer, dx_frame_batch_t *reader, dx_codec_t codec)
{
    static __attribute__((aligned(8))) char out[RAW_BYTES_MAX + 256];
    dx_frame_view_t view;
    const int64_t bytes = dx_frame_batch_seal(writer, codec, out, sizeof out, NULL);
    FUZZ_REQUIRE(bytes > 0 && bytes <= dx_frame_batch_room(writer));
    FUZZ_REQUIRE(dx_frame_decode(out, (size_t)bytes, &view, NULL) == DX_OK);
    FUZZ_REQUIRE(dx_frame_batch_open(reader, &view, NULL) == DX_OK);
    for (uint32_t i = 0; i < dx_frame_batch_count(writer); i++) {
        FUZZ_REQUIRE(dx_frame_batch_next(reader, &view, NULL) == DX_OK);
    }
    FUZZ_REQUIRE(dx_frame_batch_next(reader, &view, NULL) == DX_ENOTFOUND);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static dx_frame_batch_t *reader, *writer;
    if (reader == NULL) {
        reader = batch_make();
        writer = batch_make();
    }
    if (size < 1) {
        return 0;
    }
    size_t bytes = 0;
    char *const frame = fuzz_copy(data + 1, size - 1, &bytes);
    fuzz_repair(frame, bytes, data[0]);
    dx_frame_batch_reset(writer);
    dx_frame_view_t view;
    dx_error_t error;
    if (dx_frame_decode(frame, bytes, &view, &error) == DX_OK &&
        dx_frame_batch_open(reader, &view, &error) == DX_OK) {
        for (int i = 0; i <= RAW_BYTES_MAX / DX_FRAME_HEADER_BYTES; i++) {
            const int code = dx_frame_batch_next(reader, &view, &error);
            if (code == DX_ENOTFOUND) {
                break;
            }
            if (code == DX_OK) {
                fuzz_view_use(&view, (const char *)view.header, view.bytes);
                (void)!dx_frame_batch_add(writer, view.header);
            }
        }
        FUZZ_REQUIRE(dx_frame_batch_next(reader, &view, &error) == DX_ENOTFOUND);
    }
    if ((data[0] & 4) != 0 && dx_frame_batch_count(writer) != 0) {
        again(writer, reader, (dx_codec_t)((data[0] >> 3) % DX_CODEC_COUNT));
    }
    free(frame);
    return 0;
}
