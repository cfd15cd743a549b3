/* cli/slot_look.h - copies events out of a ring that others use, and says what each copy is worth.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_SLOT_LOOK_H
#define DXI_CLI_SLOT_LOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "disruptorx/ring.h"

typedef enum dxi_slot_state {
    DXI_SLOT_PUBLISHED = 0,   /* and somebody who gates has not finished it: nobody may touch it */
    DXI_SLOT_RELEASED = 1,    /* finished by all: its slot can be filled again at any moment */
    DXI_SLOT_SKIPPED = 2,     /* a consumer hid it from those behind it */
    DXI_SLOT_VOID = 3,        /* given up: nobody sees it */
    DXI_SLOT_UNPUBLISHED = 4, /* claimed, and not published yet */
    DXI_SLOT_OVERWRITTEN = 5, /* its slot belongs to a later event, at the latest since the copy */
    DXI_SLOT_BROKEN = 6 /* a span whose size can't be: the walk started inside one, or damage */
} dxi_slot_state_t;

/* "published" and so on. Threads: any. */
const char *dxi_slot_state_name(dxi_slot_state_t state);

/* One event: a slot, or a span of several. */
typedef struct dxi_slot_look {
    int64_t sequence;
    int64_t slots; /* how many it takes: 1 without spans; UNPUBLISHED: how many in a row are */
    dxi_slot_state_t state;
    bool certain;      /* the copy is of this event. False for RELEASED in a single-producer
                            * ring: whether its slot is claimed again can't be seen */
    bool has_bytes;    /* there is a copy */
    uint32_t tag;      /* spans */
    uint64_t bytes;    /* of the event */
    uint64_t copied;   /* of them, into the buffer */
    uint64_t skippers; /* SKIPPED: consumers (mask) */
    int32_t holder;    /* UNPUBLISHED: a producer that may hold it; -1: unknown */
} dxi_slot_look_t;

/* The sequences that can be looked at: first to last, first > last when there are none. */
typedef struct dxi_slot_range {
    int64_t first;
    int64_t last;
} dxi_slot_range_t;

/* Threads: any. */
dxi_slot_range_t dxi_slot_range(const dx_ring_t *ring);

/* Rings with spans: the last sequence up to `sequence`, and the first behind it, at which a span is
 * known to begin; -1 when none is known. There is no way back through spans: in a single-producer
 * ring only the places of consumers are known.
 * Threads: any. */
int64_t dxi_slot_span_begin(const dx_ring_t *ring, int64_t sequence);
int64_t dxi_slot_span_next(const dx_ring_t *ring, int64_t sequence);

/* Looks at the event at `sequence` and copies up to `bytes_max` bytes of it. `spans`: by its size,
 * as one of a ring with spans.
 * Threads: any. */
void dxi_slot_look(const dx_ring_t *ring, int64_t sequence, bool spans, void *bytes_out,
                   size_t bytes_max, dxi_slot_look_t *look_out);

#endif
