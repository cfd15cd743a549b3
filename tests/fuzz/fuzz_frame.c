/* fuzz_frame.c - any bytes as one frame.
 *
 * Byte 0 says which checksums are made right first: bit 0 the header's, bit 1 the body's. Without
 * that no input but a seed would come past the checksums.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fuzz_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    size_t bytes = 0;
    char *const frame = fuzz_copy(data + 1, size - 1, &bytes);
    fuzz_repair(frame, bytes, data[0]);
    dx_frame_view_t view;
    dx_error_t error;
    const int code = dx_frame_decode(frame, bytes, &view, &error);
    if (code == DX_OK) {
        fuzz_view_use(&view, frame, bytes);
        const dx_frame_stamp_t stamp = {.shard = 1, .term = 2, .sequence = 3, .timestamp_ns = 4};
        FUZZ_REQUIRE(dx_frame_stamp(frame, &stamp) == DX_OK);
        FUZZ_REQUIRE(dx_frame_decode(frame, bytes, &view, &error) == DX_OK);
    } else {
        FUZZ_REQUIRE(error.code == code && error.message[0] != '\0');
    }
    if (dx_frame_view(frame, bytes, &view, &error) == DX_OK) {
        fuzz_view_use(&view, frame, bytes);
    }
    free(frame);
    return 0;
}
