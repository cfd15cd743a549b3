/* pack.c - checking a pack, and taking one event out of it. Design: pack.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "wire/pack.h"

#include "base/fail.h"
#include "wire/frame_internal.h"

DX_NOINLINE static int event_wrong(uint32_t index, dxi_pack_event_t event, uint64_t left,
                                   dx_error_t *error)
{
    if (event.zero != 0) {
        return dxi_fail(error, DX_EINVAL,
                        "event %u of the pack has 0x%08x behind its length, must "
                        "be 0",
                        index, event.zero);
    }
    if (dxi_pack_event_bytes(event.bytes) > left) {
        return dxi_fail(error, DX_EINVAL, "event %u of the pack has %u bytes, only %llu are left",
                        index, event.bytes, (unsigned long long)left);
    }
    return dxi_fail(error, DX_EINVAL, "event %u of the pack is followed by bytes that must be zero",
                    index);
}

int dxi_pack_check(const void *payload, uint32_t bytes, dx_error_t *error)
{
    dxi_pack_head_t head = {0, 0};
    if (bytes < sizeof head) {
        return dxi_fail(error, DX_EINVAL, "a pack has %u bytes, must have at least %zu", bytes,
                        sizeof head);
    }
    memcpy(&head, payload, sizeof head);
    if (head.count < 1 || head.count > DX_FRAME_PACKED_EVENTS_MAX) {
        return dxi_fail(error, DX_EINVAL, "a pack has %u events, must have from 1 to %d",
                        head.count, DX_FRAME_PACKED_EVENTS_MAX);
    }
    const char *at = (const char *)payload + sizeof head;
    uint64_t left = bytes - sizeof head;
    uint64_t data_bytes = 0;
    for (uint32_t i = 0; i < head.count; i++) {
        dxi_pack_event_t event = {0, 0};
        if (DX_UNLIKELY(left < sizeof event)) {
            return dxi_fail(error, DX_EINVAL, "a pack of %u events ends in event %u", head.count,
                            i);
        }
        memcpy(&event, at, sizeof event);
        const uint64_t whole = dxi_pack_event_bytes(event.bytes);
        if (DX_UNLIKELY(event.zero != 0 || whole > left)) {
            return event_wrong(i, event, left, error);
        }
        const uint32_t rest = event.bytes & 7u;
        if (rest != 0 && DX_UNLIKELY(dxi_load64(at + whole - 8) >> (8 * rest) != 0)) {
            return event_wrong(i, event, left, error);
        }
        data_bytes += event.bytes;
        at += whole;
        left -= whole;
    }
    if (left != 0 || data_bytes != head.data_bytes) {
        return dxi_fail(error, DX_EINVAL,
                        "a pack of %u events has %u bytes of data and %llu bytes too many, says %u",
                        head.count, (uint32_t)data_bytes, (unsigned long long)left,
                        head.data_bytes);
    }
    return DX_OK;
}

uint32_t dxi_pack_largest(const dx_frame_header_t *frame)
{
    uint32_t largest = 0;
    for (dxi_pack_t pack = dxi_pack_begin(frame); pack.left != 0;) {
        uint32_t bytes = 0;
        (void)dxi_pack_next(&pack, &bytes);
        largest = bytes > largest ? bytes : largest;
    }
    return largest;
}

/* Only the first event of a pack is traced: TRACE, the last part, says so no more. */
static void trace_clear(dx_frame_header_t *header, uint32_t parts_bytes)
{
    enum { PART_BYTES = DXI_PART_HEAD_BYTES + 32 }; /* of a TRACE, with its zeros */
    header->flags = (uint16_t)(header->flags & ~(uint32_t)DX_FRAME_TRACED);
    char *const part = (char *)(header + 1) + parts_bytes - PART_BYTES;
    if (parts_bytes >= PART_BYTES && (dxi_load64(part) & 0xffff) == DX_PART_TRACE) {
        part[DXI_PART_HEAD_BYTES + offsetof(dx_frame_trace_t, flags)] = 0;
    }
}

void dxi_pack_expand(const dx_frame_header_t *frame, const void *payload, uint32_t bytes,
                     uint64_t sequence, void *out)
{
    const uint32_t parts_bytes = frame->layout & ~DXI_LAYOUT_ZEROS;
    const uint32_t padded = dxi_align8(bytes);
    char *const to = out;
    memcpy(to, frame, sizeof *frame + parts_bytes);
    if (padded != bytes) {
        dxi_store64(to + sizeof *frame + parts_bytes + padded - 8, 0);
    }
    if (bytes != 0) {
        memcpy(to + sizeof *frame + parts_bytes, payload, bytes);
    }
    dx_frame_header_t *const header = out;
    header->length = dxi_pack_expanded_bytes(frame, bytes) - DX_FRAME_SPAN_BYTES;
    header->flags = (uint16_t)(header->flags & ~(uint32_t)DX_FRAME_PACKED);
    header->layout = (uint16_t)(parts_bytes | (padded - bytes));
    if (DX_UNLIKELY((header->flags & DX_FRAME_TRACED) != 0) && sequence != frame->sequence) {
        trace_clear(header, parts_bytes);
    }
    header->sequence = sequence;
    dx_frame_seal(out);
}
