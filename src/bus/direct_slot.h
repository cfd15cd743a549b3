/* bus/direct_slot.h - an event in a slot of a direct topic's ring: the record format, and what a
 * consumer's name in the ring says.
 *
 * The ring of a direct topic has slots of a fixed size and begins with sequence 1, so the sequence
 * of a slot is the sequence of its event in the topic: nobody has to count. A slot is
 *
 *     head: 8 bytes | body: event_bytes_max bytes, rounded up to 8
 *
 *     head, bit 0-19    bytes of the body that are used
 *               20-21   kind: 1 PLAIN: the body is the payload
 *                             2 FRAME: the body is a whole EVENT frame, with key, headers, ...
 *               22-63   time: microseconds since 1970, the low 42 bits of it
 *
 * A reader gets the high bits of the time from its own clock, which may be 25 days ahead or behind:
 * events are younger. A slot that was never written is all zero and of no kind.
 *
 * Pure: no clock, no memory of its own. Readers look at a copy of a slot, never at the ring itself,
 * where others write.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BUS_DIRECT_SLOT_H
#define DXI_BUS_DIRECT_SLOT_H

#include <string.h>

#include "disruptorx/bus.h"
#include "disruptorx/ring.h"

#define DXI_DIRECT_HEAD_BYTES 8u
#define DXI_DIRECT_SLOTS_MIN 64u

enum dxi_direct_kind { DXI_DIRECT_PLAIN = 1, DXI_DIRECT_FRAME = 2 };

#define DXI_DIRECT_BYTES_MASK ((UINT64_C(1) << 20) - 1)
#define DXI_DIRECT_KIND_SHIFT 20
#define DXI_DIRECT_KIND_MASK UINT64_C(3)
#define DXI_DIRECT_TIME_SHIFT 22
#define DXI_DIRECT_TIME_BITS 42

/* What a slot holds. `data` points into it. */
typedef struct dxi_direct_event {
    int kind; /* a dxi_direct_kind */
    uint32_t bytes;
    const void *data; /* aligned to 8 when the slot is */
    uint64_t timestamp_ns;
} dxi_direct_event_t;

DX_INLINE uint64_t dxi_direct_head(int kind, uint32_t bytes, uint64_t unix_us)
{
    return (uint64_t)bytes | (uint64_t)kind << DXI_DIRECT_KIND_SHIFT |
           unix_us << DXI_DIRECT_TIME_SHIFT;
}

/* The time of a head, given another that is at most 25 days before or after it. */
DX_INLINE uint64_t dxi_direct_time_ns(uint64_t head, uint64_t near_unix_us)
{
    const int unused = 64 - DXI_DIRECT_TIME_BITS;
    const uint64_t low = head >> DXI_DIRECT_TIME_SHIFT;
    const int64_t ahead_us = (int64_t)((low - near_unix_us) << unused) >> unused;
    const int64_t unix_us = (int64_t)near_unix_us + ahead_us;
    return unix_us > 0 ? (uint64_t)unix_us * 1000 : 0;
}

/* Reads a copy of a slot. Returns DX_OK, or DX_ECORRUPT when it holds no event. */
DX_INLINE int dxi_direct_read(const void *slot, uint32_t slot_bytes, uint64_t near_unix_us,
                              dxi_direct_event_t *event_out)
{
    uint64_t head = 0;
    memcpy(&head, slot, sizeof head);
    const uint32_t bytes = (uint32_t)(head & DXI_DIRECT_BYTES_MASK);
    const int kind = (int)(head >> DXI_DIRECT_KIND_SHIFT & DXI_DIRECT_KIND_MASK);
    event_out->kind = kind;
    event_out->bytes = bytes;
    event_out->data = (const char *)slot + DXI_DIRECT_HEAD_BYTES;
    event_out->timestamp_ns = dxi_direct_time_ns(head, near_unix_us);
    return DX_LIKELY((kind == DXI_DIRECT_PLAIN || kind == DXI_DIRECT_FRAME) &&
                     bytes <= slot_bytes - DXI_DIRECT_HEAD_BYTES)
               ? DX_OK
               : DX_ECORRUPT;
}

/* Copies without a call where it is short, which most events are: first and last piece overlap. */
DX_INLINE void dxi_direct_copy(char *to, const char *from, size_t bytes)
{
    if (bytes >= 16 && bytes <= 64) {
        if (bytes > 32) {
            __builtin_memcpy(to, from, 32);
            __builtin_memcpy(to + bytes - 32, from + bytes - 32, 32);
        } else {
            __builtin_memcpy(to, from, 16);
            __builtin_memcpy(to + bytes - 16, from + bytes - 16, 16);
        }
    } else if (bytes == 8) {
        __builtin_memcpy(to, from, 8);
    } else if (bytes != 0) {
        memcpy(to, from, bytes);
    }
}

/* Writes a whole slot. */
DX_INLINE void dxi_direct_write(void *slot, int kind, const void *data, uint32_t bytes,
                                uint64_t unix_us)
{
    const uint64_t head = dxi_direct_head(kind, bytes, unix_us);
    memcpy(slot, &head, sizeof head);
    dxi_direct_copy((char *)slot + DXI_DIRECT_HEAD_BYTES, data, bytes);
}

/* ------------------------------------------------------------------------------------ geometry */

/* The ring of a topic that is declared with these options: bytes of a slot and how many of them, a
 * power of two. event_bytes_max 0 counts as DX_DIRECT_EVENT_BYTES.
 * Returns DX_OK; DX_EINVAL with the sentence when direct_bytes, or another option beside it, breaks
 * a rule. direct_bytes must not be 0. */
DX_NODISCARD int dxi_direct_geometry(const dx_topic_options_t *options, uint32_t *slot_bytes_out,
                                     uint32_t *slots_out, dx_error_t *error);

/* --------------------------------------------------------------------------------------- names */

/* What a consumer of the ring wants to happen when it is slow, as its name says it: the node, which
 * decides, sees nothing else of it. */
typedef struct dxi_direct_policy {
    dx_slow_policy_t slow;
    int64_t slow_block_ns;
} dxi_direct_policy_t;

/* "b1000.prices": the policy, the time in ms, and a name for eyes, cut. */
void dxi_direct_name(const dxi_direct_policy_t *policy, const char *name,
                     char name_out[DX_RING_NAME_MAX + 1]);

/* Anything that is no such name is DROP. */
dxi_direct_policy_t dxi_direct_name_read(const char *name);

#endif
