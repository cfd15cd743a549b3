/* batch.c - many frames in one.
 *
 * DESIGN
 *
 *     BATCH frame:  header | part BATCH: codec, count, raw_bytes | payload
 *                                                                  codec none: the frames
 *                                                                  else: one block of the codec
 *
 * The header's checksum vouches for the part's length, the body's for the part and for the block as
 * it was sent, so damage is found before a decompressor sees it; each frame inside has its own two
 * checksums besides, from its publisher, and dx_frame_batch_next() checks them.
 *
 * INVARIANTS
 *
 *   B1  raw_bytes <= raw_bytes_max <= DX_BATCH_RAW_BYTES_MAX, before anything is decompressed; a
 *       decompressor has that room and no more: a bomb is bounded by what its receiver allowed
 *   B2  a block comes to exactly raw_bytes, and they are exactly `count` frames
 *   B3  no BATCH in a BATCH: the depth is one
 *   B4  the payload is never longer than raw_bytes: a codec that gains nothing is not used
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/alloc.h"
#include "base/fail.h"
#include "base/options.h"
#include "wire/batch_internal.h"
#include "wire/codec.h"
#include "wire/frame_internal.h"

#define RAW_BYTES_DEFAULT (256 * 1024)

struct dx_frame_batch {
    dxi_codecs_t codecs;
    char *raw; /* raw_bytes_max */
    uint32_t raw_bytes_max;
    uint32_t raw_bytes; /* of the frames that were added */
    uint32_t count;

    /* Reading. */
    const char *next; /* the next frame: in `raw`, or in the frame that was opened */
    uint32_t left;
    uint32_t count_left;
    bool open; /* the end has not been told yet */
    dx_frame_stream_t stream;
};

int dx_frame_batch_create(uint32_t raw_bytes_max, dx_frame_batch_t **batch_out, dx_error_t *error)
{
    *batch_out = NULL;
    if (raw_bytes_max == 0) {
        raw_bytes_max = RAW_BYTES_DEFAULT;
    }
    const int code = dxi_options_range(error, "raw_bytes_max", raw_bytes_max,
                                       DX_BATCH_RAW_BYTES_MIN, DX_BATCH_RAW_BYTES_MAX);
    if (code != DX_OK) {
        return code;
    }
    dx_frame_batch_t *batch = dxi_alloc_zeroed(1, sizeof *batch);
    char *raw = dxi_alloc_zeroed(1, raw_bytes_max);
    if (batch == NULL || raw == NULL ||
        dxi_codecs_init(&batch->codecs, raw, raw_bytes_max, NULL) != DX_OK) {
        dxi_free(raw);
        dxi_free(batch);
        return dxi_fail(error, DX_ENOMEM, "no memory for batches of %u bytes", raw_bytes_max);
    }
    batch->raw = raw;
    batch->raw_bytes_max = raw_bytes_max;
    *batch_out = batch;
    return DX_OK;
}

void dx_frame_batch_destroy(dx_frame_batch_t *batch)
{
    if (batch == NULL) {
        return;
    }
    dxi_codecs_close(&batch->codecs);
    dxi_free(batch->raw);
    dxi_free(batch);
}

void dx_frame_batch_reset(dx_frame_batch_t *batch)
{
    batch->raw_bytes = 0;
    batch->count = 0;
    batch->open = false;
}

int dx_frame_batch_add(dx_frame_batch_t *batch, const void *frame)
{
    const dx_frame_header_t *const header = frame;
    const uint32_t bytes = dx_frame_header_frame_bytes(header);
    if (header->type == DX_FRAME_BATCH) {
        return DX_EINVAL; /* B3 */
    }
    if (bytes > batch->raw_bytes_max - batch->raw_bytes) {
        return DX_EAGAIN;
    }
    memcpy(batch->raw + batch->raw_bytes, frame, bytes);
    batch->raw_bytes += bytes;
    batch->count++;
    batch->open = false; /* what was open lay in the same memory */
    return DX_OK;
}

uint32_t dx_frame_batch_raw_bytes(const dx_frame_batch_t *batch)
{
    return batch->raw_bytes;
}

uint32_t dx_frame_batch_count(const dx_frame_batch_t *batch)
{
    return batch->count;
}

#define PAYLOAD_OFFSET                                                                             \
    (DX_FRAME_HEADER_BYTES + DXI_PART_HEAD_BYTES + (uint32_t)sizeof(dx_frame_batch_info_t))

uint32_t dx_frame_batch_room(const dx_frame_batch_t *batch)
{
    return PAYLOAD_OFFSET + batch->raw_bytes;
}

/* The frame around a payload that stands in its place in `out`. */
static int64_t frame_around(void *out, size_t room, const dx_frame_batch_info_t *info,
                            uint32_t payload_bytes, dx_error_t *error)
{
    const dx_frame_part_t part = {DX_PART_BATCH, sizeof *info, info};
    const dx_frame_draft_t draft = {
        .type = DX_FRAME_BATCH, .parts = &part, .part_count = 1, .payload_bytes = payload_bytes};
    void *place = NULL;
    const int64_t bytes = dx_frame_begin(out, room, &draft, &place, error);
    if (bytes > 0) {
        dx_frame_seal(out);
    }
    return bytes;
}

uint32_t dxi_frame_batch_pack(dx_frame_batch_t *batch, dx_codec_t codec, const void *frames,
                              uint32_t raw_bytes, uint32_t count, uint32_t room,
                              const void **frame_out)
{
    dx_frame_batch_reset(batch);
    room = room < batch->raw_bytes_max ? room : batch->raw_bytes_max;
    room &= ~(uint32_t)(DX_FRAME_ALIGN - 1);
    if (room <= PAYLOAD_OFFSET) {
        return 0;
    }
    const uint32_t payload_bytes =
        dxi_codec_pack(&batch->codecs, codec, frames, raw_bytes, batch->raw + PAYLOAD_OFFSET,
                       room - PAYLOAD_OFFSET);
    if (payload_bytes == 0) {
        return 0;
    }
    const dx_frame_batch_info_t info = {
        .codec = (uint32_t)codec, .count = count, .raw_bytes = raw_bytes};
    const int64_t bytes = frame_around(batch->raw, room, &info, payload_bytes, NULL);
    *frame_out = batch->raw;
    return bytes > 0 ? (uint32_t)bytes : 0;
}

int64_t dx_frame_batch_seal(dx_frame_batch_t *batch, dx_codec_t codec, void *out, size_t room,
                            dx_error_t *error)
{
    if (batch->count == 0) {
        return dxi_fail(error, DX_ESTATE, "the batch has no frames");
    }
    if ((unsigned)codec >= DX_CODEC_COUNT) {
        return dxi_fail(error, DX_EINVAL, "codec is %d, must be from 0 to %d", (int)codec,
                        DX_CODEC_COUNT - 1);
    }
    if (room < dx_frame_batch_room(batch)) {
        return dxi_fail(error, DX_ELIMIT, "the batch may take %u bytes, there is room for %zu",
                        dx_frame_batch_room(batch), room);
    }
    /* B4: with the last 8 bytes less, so that after alignment it is still a gain. */
    char *const payload = (char *)out + PAYLOAD_OFFSET;
    uint32_t payload_bytes = dxi_codec_pack(&batch->codecs, codec, batch->raw, batch->raw_bytes,
                                            payload, batch->raw_bytes - DX_FRAME_ALIGN);
    if (payload_bytes == 0) {
        codec = DX_CODEC_NONE;
        payload_bytes = batch->raw_bytes;
        memcpy(payload, batch->raw, batch->raw_bytes);
    }
    const dx_frame_batch_info_t info = {
        .codec = (uint32_t)codec, .count = batch->count, .raw_bytes = batch->raw_bytes};
    return frame_around(out, room, &info, payload_bytes, error);
}

/* What a BATCH says of itself, within what this receiver allows (B1). */
static int info_check(const dx_frame_batch_t *batch, const dx_frame_view_t *view,
                      const dx_frame_batch_info_t *info, dx_error_t *error)
{
    if (info->codec >= DX_CODEC_COUNT) {
        return dxi_fail(error, DX_ENOTSUP, "codec %u is not known", info->codec);
    }
    if (info->raw_bytes > batch->raw_bytes_max) {
        return dxi_fail(error, DX_ELIMIT, "the batch comes to %u bytes, must come to at most %u",
                        info->raw_bytes, batch->raw_bytes_max);
    }
    if (info->zero != 0 || info->count == 0 || info->raw_bytes % DX_FRAME_ALIGN != 0 ||
        info->count > info->raw_bytes / DX_FRAME_HEADER_BYTES) {
        return dxi_fail(error, DX_EINVAL, "a batch of %u frames can't come to %u bytes",
                        info->count, info->raw_bytes);
    }
    if (info->codec == DX_CODEC_NONE ? view->payload_bytes != info->raw_bytes
                                     : view->payload_bytes > info->raw_bytes) {
        return dxi_fail(error, DX_EINVAL, "the batch has %u bytes of payload for %u bytes (%s)",
                        view->payload_bytes, info->raw_bytes, dx_codec_name((int)info->codec));
    }
    return DX_OK;
}

int dx_frame_batch_open(dx_frame_batch_t *batch, const dx_frame_view_t *view, dx_error_t *error)
{
    dx_frame_batch_reset(batch);
    if (view->header->type != DX_FRAME_BATCH) {
        return dxi_fail(error, DX_EINVAL, "a %s frame is no batch",
                        dx_frame_type_name(view->header->type));
    }
    uint32_t bytes = 0;
    const dx_frame_batch_info_t *const info = dx_frame_part(view, DX_PART_BATCH, &bytes);
    const int code = info_check(batch, view, info, error);
    if (code != DX_OK) {
        return code;
    }
    batch->next = view->payload;
    if (info->codec != DX_CODEC_NONE) {
        const uint32_t raw_bytes =
            dxi_codec_open(&batch->codecs, (dx_codec_t)info->codec, view->payload,
                           view->payload_bytes, batch->raw, info->raw_bytes);
        if (raw_bytes != info->raw_bytes) { /* B2 */
            return dxi_fail(error, DX_ECORRUPT, "the batch does not come to %u bytes by %s",
                            info->raw_bytes, dx_codec_name((int)info->codec));
        }
        batch->next = batch->raw;
    }
    batch->left = info->raw_bytes;
    batch->count_left = info->count;
    batch->open = true;
    return dx_frame_stream_init(&batch->stream, DX_FRAME_BYTES_MAX);
}

static int batch_corrupt(dx_frame_batch_t *batch, dx_error_t *error)
{
    const uint32_t count = batch->count_left, bytes = batch->left;
    batch->open = false;
    return dxi_fail(error, DX_ECORRUPT, "the batch has %u more frames to come in %u bytes", count,
                    bytes);
}

int dx_frame_batch_next(dx_frame_batch_t *batch, dx_frame_view_t *view_out, dx_error_t *error)
{
    if (!batch->open || (batch->left == 0 && batch->count_left == 0)) {
        batch->open = false;
        return DX_ENOTFOUND;
    }
    if (batch->left == 0 || batch->count_left == 0) { /* B2 */
        return batch_corrupt(batch, error);
    }
    const int code =
        dx_frame_stream_next(&batch->stream, batch->next, batch->left, view_out, error);
    if (code == DX_EAGAIN) {
        return batch_corrupt(batch, error);
    }
    if (batch->stream.failed != DX_OK) {
        batch->open = false;
        return code;
    }
    batch->next += batch->stream.frame_bytes;
    batch->left -= batch->stream.frame_bytes;
    batch->count_left--;
    if (code == DX_OK && view_out->header->type == DX_FRAME_BATCH) { /* B3 */
        return dxi_fail(error, DX_EINVAL, "there is a BATCH in the batch");
    }
    return code;
}
