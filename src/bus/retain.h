/* bus/retain.h - what a topic keeps of its events, for those who start behind or lag.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BUS_RETAIN_H
#define DXI_BUS_RETAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "disruptorx/atomic.h"
#include "disruptorx/frame.h"

/* How much may be kept. */
typedef struct dxi_retain_limits {
    uint64_t events_max;   /* 0: nothing */
    uint64_t bytes_max;    /* of frames */
    dx_atomic64_t *memory; /* bytes of the buffers of all topics */
    uint64_t memory_max;
} dxi_retain_limits_t;

/* Zero: nothing was ever kept; `first` and `next` are then set by dxi_retain_init(). */
typedef struct dxi_retain {
    char *bytes;       /* frames, each in one piece, in a circle */
    uint32_t *places;  /* of sequence s, in units of 8 bytes: places[s & place_mask] */
    uint64_t capacity; /* of `bytes` */
    uint64_t head;     /* where the next frame goes */
    uint64_t used;     /* bytes of the frames kept */
    uint64_t first; /* the sequences first .. next - 1 are kept; it may be in the middle of a pack,
                        * whose bytes then are kept as a whole */
    uint64_t next;
    uint64_t place_mask;
} dxi_retain_t;

/* Threads: the shard's, here and below. */
void dxi_retain_init(dxi_retain_t *retain);
void dxi_retain_close(dxi_retain_t *retain, const dxi_retain_limits_t *limits);

/* Keeps a copy of the frame as the event `retain->next` (a pack: as the next events), in place of
 * the oldest where a limit says so. When it can't be kept at all, nothing is: what is kept has no
 * holes. */
void dxi_retain_keep(dxi_retain_t *retain, const dxi_retain_limits_t *limits, const void *frame,
                     uint32_t bytes);

/* Keeps nothing, and goes on with the event `next`. */
void dxi_retain_skip(dxi_retain_t *retain, uint64_t next);

/* Lets the oldest go until the limits hold. */
void dxi_retain_trim(dxi_retain_t *retain, const dxi_retain_limits_t *limits);

/* Lets go what is older than `timestamp_ns`. Returns how many events. */
uint64_t dxi_retain_expire(dxi_retain_t *retain, uint64_t timestamp_ns);

/* The first sequence kept whose timestamp is not less; retain->next when there is none. */
uint64_t dxi_retain_find(const dxi_retain_t *retain, uint64_t timestamp_ns);

DX_INLINE bool dxi_retain_has(const dxi_retain_t *retain, uint64_t sequence)
{
    return sequence >= retain->first && sequence < retain->next;
}

/* The frame of an event that is kept: its own, or a pack with it, whose `sequence` is that of the
 * first event in it. */
DX_INLINE const dx_frame_header_t *dxi_retain_at(const dxi_retain_t *retain, uint64_t sequence)
{
    const uint64_t place = (uint64_t)retain->places[sequence & retain->place_mask] * 8;
    return (const dx_frame_header_t *)(const void *)(retain->bytes + place);
}

/* Asserts the invariants. */
void dxi_retain_check(const dxi_retain_t *retain, const dxi_retain_limits_t *limits);

#endif
