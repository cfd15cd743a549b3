/* connection_batch_in.c - BATCH frames that arrive.
 *
 * DESIGN
 *
 *     receive buffer:  [ BATCH | the next frame ...        in_begin stands at the BATCH
 *                          |
 *                       opened: a block of memory of the loop, or in place (codec none)
 *                          |
 *                       [ given | frames ... ]  each checked and given as if it had come alone
 *
 * Only frames about events may be in a BATCH: nothing of the greeting, no command, no BATCH. What
 * the owner can't take now waits where it lies, with the rest of the BATCH; nothing else is looked
 * at before. The owner has its pause behind each BATCH, because views into it end there.
 *
 * One block of memory serves all connections of a loop, but for those whose owner does not take a
 * frame: such a one keeps its block until it does, and the loop makes another.
 *
 * INVARIANTS
 *
 *   U1  the frames of a BATCH are given in order, between those before and behind it, each once
 *   U2  nothing is decompressed that was not asked for in CAPABILITIES, or comes to more than
 *       DXI_BATCH_BYTES_MAX; no frame in it is larger than what the connection accepts
 *   U3  the block goes back to the loop when the BATCH is done with, and at the latest with the
 *       connection
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/fail.h"
#include "net/capability.h"
#include "net/connection_internal.h"

/* What may be in a BATCH. */
static bool type_allowed(uint8_t type)
{
    const uint32_t allowed = (UINT32_C(1) << DX_FRAME_CREDIT) | (UINT32_C(1) << DX_FRAME_PUBLISH) |
                             (UINT32_C(1) << DX_FRAME_EVENT) | (UINT32_C(1) << DX_FRAME_DELIVER) |
                             (UINT32_C(1) << DX_FRAME_ACK) | (UINT32_C(1) << DX_FRAME_NACK) |
                             (UINT32_C(1) << DX_FRAME_GAP) | (UINT32_C(1) << DX_FRAME_REQUEST) |
                             (UINT32_C(1) << DX_FRAME_REPLY);
    return type < 32 && ((allowed >> type) & 1) != 0;
}

static bool codec_asked_for(const dxi_connection_t *connection, uint32_t codec)
{
    const uint64_t said = dxi_batch_out_capabilities(connection->settings->options.compression);
    switch (codec) {
    case DX_CODEC_LZ4:
        return (said & DXI_CAPABILITY_LZ4) != 0;
    case DX_CODEC_ZSTD:
        return (said & DXI_CAPABILITY_ZSTD) != 0;
    default: /* as they are; an unknown one is refused by who opens it */
        return said != 0;
    }
}

int dxi_batch_in_begin(dxi_connection_t *connection, const dx_frame_view_t *frame,
                       dx_error_t *error)
{
    uint32_t bytes = 0;
    const dx_frame_batch_info_t *const info = dx_frame_part(frame, DX_PART_BATCH, &bytes);
    if (!codec_asked_for(connection, info->codec)) { /* U2 */
        return dxi_fail(error, DX_ENOTSUP, "BATCH (%s) was not asked for in CAPABILITIES",
                        dx_codec_name((int)info->codec));
    }
    dx_frame_batch_t *const batch = dxi_loop_batch_take(connection->loop);
    int code = batch != NULL ? dx_frame_batch_open(batch, frame, error)
                             : dxi_fail(error, DX_ENOMEM, "no memory for a BATCH");
    if (code == DX_OK) {
        connection->batch = batch;
        connection->batches_in++;
        connection->batch_bytes_in += frame->bytes;
        connection->batch_raw_bytes_in += info->raw_bytes;
        return DX_OK;
    }
    if (batch != NULL) {
        dxi_loop_batch_give(connection->loop, batch);
    }
    if (code == DX_ECORRUPT || code == DX_ENOMEM) { /* what was in it is lost */
        dxi_connection_unreadable(connection, error);
        code = DX_OK;
    }
    return code;
}

void dxi_batch_in_close(dxi_connection_t *connection)
{
    if (connection->batch != NULL) {
        dxi_loop_batch_give(connection->loop, connection->batch); /* U3 */
        connection->batch = NULL;
    }
}

/* One frame that is whole. False: it was not taken. */
static bool frame_run(dxi_connection_t *connection, const dx_frame_view_t *view)
{
    dx_error_t error = {0};
    if (view->bytes > connection->settings->options.frame_bytes_max) { /* U2 */
        (void)dxi_fail(&error, DX_ELIMIT, "a frame of a BATCH has %u bytes, must have at most %u",
                       view->bytes, connection->settings->options.frame_bytes_max);
        dxi_connection_unreadable(connection, &error);
        return false;
    }
    if (!type_allowed(view->header->type)) {
        const int code = dxi_fail(&error, DX_EINVAL, "%s may not be in a BATCH",
                                  dx_frame_type_name(view->header->type));
        dxi_connection_refuse(connection, code, &error, view, true);
        return true;
    }
    return dxi_connection_give(connection, view);
}

bool dxi_batch_in_run(dxi_connection_t *connection)
{
    const uint64_t before = connection->given;
    while (connection->paused == 0 && connection->state == DXI_OPEN) {
        dx_frame_view_t view;
        dx_error_t error = {0};
        const int code = dx_frame_batch_next(connection->batch, &view, &error);
        if (code == DX_ENOTFOUND) {
            dxi_connection_pause_tell(connection, before);
            dxi_batch_in_close(connection);
            return true;
        }
        connection->frames_in++;
        if (code == DX_ENOTSUP || code == DX_EINVAL) {
            dxi_connection_refuse(connection, code, &error, &view, false);
        } else if (code != DX_OK) {
            dxi_connection_unreadable(connection, &error);
        } else if (!frame_run(connection, &view)) {
            return false;
        }
        if (!dxi_connection_refusal_say(connection)) {
            return false;
        }
    }
    return false;
}
