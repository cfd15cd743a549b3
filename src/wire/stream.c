/* stream.c - frames out of bytes that arrive in pieces.
 *
 * DESIGN
 *
 * The parser owns no buffer. A call looks at the frame that begins where the buffer begins:
 *
 *                fewer than 64 bytes            fewer than `needed`
 *                   +--------+                     +--------+
 *                   |        v                     |        v
 *     start ----->  [ HEADER ]  -- checked -->     [  BODY  ]  -- checked --> a view; HEADER again
 *                      |                               |
 *                      +---------> [ FAILED ] <--------+        refused, but whole: HEADER again
 *
 * `needed` is the state: 64 in HEADER, the bytes of the whole frame in BODY. In BODY a call with
 * too few bytes is one comparison, so a peer that sends single bytes costs nothing per byte.
 *
 * INVARIANTS
 *
 *   S1  needed <= frame_bytes_max: the caller's buffer is bounded whatever the peer sends
 *   S2  what a stream answers does not depend on how its bytes were cut
 *   S3  after FAILED nothing is read any more
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>

#include "base/fail.h"
#include "wire/frame_internal.h"

int dx_frame_stream_init(dx_frame_stream_t *stream, uint32_t frame_bytes_max)
{
    if (frame_bytes_max == 0) {
        frame_bytes_max = DX_FRAME_BYTES_MAX;
    }
    if (frame_bytes_max < DX_FRAME_HEADER_BYTES || frame_bytes_max > DX_FRAME_BYTES_MAX) {
        return DX_EINVAL;
    }
    *stream =
        (dx_frame_stream_t){.frame_bytes_max = frame_bytes_max, .needed = DX_FRAME_HEADER_BYTES};
    return DX_OK;
}

/* The frame can't be read, nor what is behind it (S3). */
DX_NOINLINE static int stream_fail(dx_frame_stream_t *stream, int code, dx_error_t *error)
{
    stream->failed = code;
    stream->frame_bytes = 0;
    (void)dxi_fail_context(error, "frame at byte %llu of the stream",
                           (unsigned long long)stream->position);
    return code;
}

DX_INLINE void frame_end(dx_frame_stream_t *stream, uint32_t bytes)
{
    stream->frame_bytes = bytes;
    stream->position += bytes;
    stream->needed = DX_FRAME_HEADER_BYTES;
}

int dx_frame_stream_next(dx_frame_stream_t *stream, const void *buffer, size_t bytes,
                         dx_frame_view_t *view_out, dx_error_t *error)
{
    assert(stream->needed <= stream->frame_bytes_max); /* S1 */
    if (DX_UNLIKELY(stream->failed != DX_OK)) {
        return dxi_fail(error, stream->failed, "the stream has failed at byte %llu",
                        (unsigned long long)stream->position);
    }
    stream->frame_bytes = 0;
    if (bytes < stream->needed) {
        return DX_EAGAIN;
    }
    if (DX_UNLIKELY(((uintptr_t)buffer & (DX_FRAME_ALIGN - 1)) != 0)) {
        (void)dxi_fail(error, DX_EINVAL, "the buffer is not aligned to %d bytes", DX_FRAME_ALIGN);
        return stream_fail(stream, DX_EINVAL, error);
    }
    int code = dxi_frame_header_check(buffer, stream->frame_bytes_max, view_out, error);
    if (DX_UNLIKELY(code != DX_OK)) {
        return stream_fail(stream, code, error);
    }
    const uint32_t frame_bytes = dx_frame_header_frame_bytes(view_out->header);
    if (bytes < frame_bytes) {
        stream->needed = frame_bytes;
        return DX_EAGAIN;
    }
    code = dxi_frame_body_check(view_out, error);
    if (DX_LIKELY(code == DX_OK)) {
        frame_end(stream, frame_bytes);
        return DX_OK;
    }
    if (view_out->bytes == 0) {
        return stream_fail(stream, code, error);
    }
    (void)dxi_fail_context(error, "frame at byte %llu of the stream",
                           (unsigned long long)stream->position);
    frame_end(stream, frame_bytes);
    return code;
}
