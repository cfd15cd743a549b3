/* fuzz_frame_stream.c - any bytes as a stream of frames, cut in two ways that must give the same.
 *
 * Byte 0: bits 0 and 1 as in fuzz_frame.c, for each frame whose length is believable; bits 2 to 7
 * the size of the pieces, less one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fuzz_frame.h"

/* What a stream came to: how many frames, their checksums and refusals folded into one number. */
typedef struct outcome {
    uint64_t digest;
    uint64_t position;
    int failed;
} outcome_t;

static void outcome_add(outcome_t *outcome, const dx_frame_stream_t *stream, int code)
{
    outcome->digest = outcome->digest * 31 + stream->frame_bytes * 7 + (uint64_t)(-code);
    outcome->position = stream->position;
    outcome->failed = stream->failed;
}

/* Feeds `piece` bytes at a time. */
static outcome_t stream_read(const char *data, size_t bytes, size_t piece)
{
    outcome_t outcome = {0, 0, 0};
    dx_frame_stream_t stream;
    dx_error_t error;
    FUZZ_REQUIRE(dx_frame_stream_init(&stream, 0) == DX_OK);
    size_t at = 0;
    for (size_t there = 0; there < bytes && stream.failed == DX_OK;) {
        there = bytes - there < piece ? bytes : there + piece;
        for (;;) {
            dx_frame_view_t view;
            const int code = dx_frame_stream_next(&stream, data + at, there - at, &view, &error);
            if (code == DX_EAGAIN) {
                FUZZ_REQUIRE(stream.needed > there - at && stream.needed <= DX_FRAME_BYTES_MAX);
                break;
            }
            outcome_add(&outcome, &stream, code);
            if (stream.failed != DX_OK) {
                FUZZ_REQUIRE(stream.failed == code && stream.frame_bytes == 0);
                break;
            }
            FUZZ_REQUIRE(stream.frame_bytes >= DX_FRAME_HEADER_BYTES);
            if (code == DX_OK) {
                fuzz_view_use(&view, data + at, there - at);
            }
            at += stream.frame_bytes;
        }
    }
    return outcome;
}

static void frames_repair(char *data, size_t bytes, uint8_t which)
{
    for (size_t at = 0; bytes - at >= DX_FRAME_HEADER_BYTES;) {
        const uint32_t length = ((const dx_frame_header_t *)(const void *)(data + at))->length;
        const uint64_t frame_bytes = (uint64_t)length + DX_FRAME_SPAN_BYTES;
        if (frame_bytes < DX_FRAME_HEADER_BYTES || frame_bytes % 8 != 0 ||
            frame_bytes > bytes - at) {
            fuzz_repair(data + at, bytes - at, which);
            return;
        }
        fuzz_repair(data + at, frame_bytes, which);
        at += frame_bytes;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    size_t bytes = 0;
    char *const copy = fuzz_copy(data + 1, size - 1, &bytes);
    frames_repair(copy, bytes, data[0]);
    const outcome_t whole = stream_read(copy, bytes, bytes + 1);
    const outcome_t pieces = stream_read(copy, bytes, (size_t)(data[0] >> 2) + 1);
    FUZZ_REQUIRE(whole.digest == pieces.digest && whole.position == pieces.position &&
                 whole.failed == pieces.failed);
    free(copy);
    return 0;
}
