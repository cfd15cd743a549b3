/* wire/pack.h - several events of one topic in one PUBLISH or EVENT frame.
 *
 * DESIGN
 *
 * An event of its own costs a header of 64 bytes, a topic and two checksums. Events that have
 * nothing but a topic and a payload, and that wait together anyway, share them: a frame with the
 * flag DX_FRAME_PACKED has as its payload
 *
 *      0        4            8       12      16
 *     +--------+------------+-------+-------+--------------------+-------+-------+---------
 *     | count  | data_bytes | bytes | zero  | payload, zeros     | bytes | zero  | payload ...
 *     +--------+------------+-------+-------+--------------------+-------+-------+---------
 *                            first event, to a multiple of 8      second event
 *
 * The shard gives `count` sequences at once: `sequence` in the header is that of the first event,
 * the others follow without a gap; `timestamp_ns` is that of all. From publisher to subscriber the
 * frame stays as it is; who needs one event of it makes a frame of its own (dxi_pack_expand()).
 *
 * INVARIANTS (of a frame that dx_frame_decode() or dx_frame_view() has accepted)
 *
 *   P1  its type is PUBLISH or EVENT, its only parts are TOPIC, and TRACE where the first of its
 *       events is traced, and it has no producer: no answer is given for a pack
 *   P2  from 1 to DX_FRAME_PACKED_EVENTS_MAX events fill the payload to its last byte, and
 *       data_bytes is the sum of theirs
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_WIRE_PACK_H
#define DXI_WIRE_PACK_H

#include "disruptorx/frame.h"

#define DXI_PACK_BYTES_MAX 32768 /* of the payload of a pack that we make; readers take any */

typedef struct dxi_pack_head {
    uint32_t count;
    uint32_t data_bytes;
} dxi_pack_head_t;

typedef struct dxi_pack_event {
    uint32_t bytes;
    uint32_t zero;
} dxi_pack_event_t;

/* The bytes that an event takes in a pack. */
DX_INLINE uint64_t dxi_pack_event_bytes(uint64_t bytes)
{
    return sizeof(dxi_pack_event_t) + ((bytes + 7) & ~UINT64_C(7));
}

DX_INLINE bool dxi_frame_packed(const dx_frame_header_t *frame)
{
    return DX_UNLIKELY((frame->flags & DX_FRAME_PACKED) != 0);
}

/* What stands behind the parts of a packed frame.
 * Threads: any, here and below. */
DX_INLINE const dxi_pack_head_t *dxi_pack_head(const dx_frame_header_t *frame)
{
    const char *const at = (const char *)frame + sizeof *frame + (frame->layout & ~7u);
    return (const dxi_pack_head_t *)(const void *)at;
}

/* The events of a frame. */
DX_INLINE uint32_t dxi_frame_events(const dx_frame_header_t *frame)
{
    return dxi_frame_packed(frame) ? dxi_pack_head(frame)->count : 1;
}

/* Goes through the events of a pack. */
typedef struct dxi_pack {
    const char *at;
    uint32_t left;
} dxi_pack_t;

DX_INLINE dxi_pack_t dxi_pack_begin(const dx_frame_header_t *frame)
{
    const dxi_pack_head_t *const head = dxi_pack_head(frame);
    return (dxi_pack_t){.at = (const char *)(head + 1), .left = head->count};
}

/* The next event: its payload, aligned to 8. `pack->left` is not 0. */
DX_INLINE const void *dxi_pack_next(dxi_pack_t *pack, uint32_t *bytes_out)
{
    const char *const at = pack->at;
    dxi_pack_event_t event;
    memcpy(&event, at, sizeof event);
    *bytes_out = event.bytes;
    pack->at = at + dxi_pack_event_bytes(event.bytes);
    pack->left--;
    return at + sizeof event;
}

/* P2 for a payload that is there as a whole, aligned to 8.
 * Returns DX_OK, DX_EINVAL. */
DX_NODISCARD int dxi_pack_check(const void *payload, uint32_t bytes, dx_error_t *error);

/* The largest payload in a pack. */
uint32_t dxi_pack_largest(const dx_frame_header_t *frame);

/* The bytes of the frame that dxi_pack_expand() makes of an event of `bytes`. */
DX_INLINE uint32_t dxi_pack_expanded_bytes(const dx_frame_header_t *frame, uint32_t bytes)
{
    return (uint32_t)sizeof *frame + (frame->layout & ~7u) + ((bytes + 7u) & ~7u);
}

/* Writes one event of a pack as a frame of its own, sealed, with this sequence. `out` is aligned to
 * 8 and has room for dxi_pack_expanded_bytes(). */
void dxi_pack_expand(const dx_frame_header_t *frame, const void *payload, uint32_t bytes,
                     uint64_t sequence, void *out);

#endif
