/* client/unacknowledged.h - which events the program has, and has not acknowledged.
 *
 * DESIGN
 *
 * Sequences of one topic in ascending order; those that were acknowledged are marked, and leave at
 * the front at once and elsewhere when room is needed. The node gives no more than
 * pending_events_max at a time, and there is room for twice as many: so what leaves in between pays
 * for the walk.
 *
 *     | 7 | 8 done | 9 | 12 done | 13 |      the first that is not done: 7
 *
 * Events come in ascending order nearly always: one whose turn was held up by another of its key
 * comes later, and finds its place by a walk from the end. One that is given again, behind a
 * reconnect, is there already.
 *
 * INVARIANTS
 *
 *   U1  dxi_unacknowledged_first() is not above any sequence that was added and not done: where one
 *       found no room, it is that one until all is forgotten
 *   U2  entries ascend; the first is not done
 *
 * THREADS. The client's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLIENT_UNACKNOWLEDGED_H
#define DXI_CLIENT_UNACKNOWLEDGED_H

#include <stdint.h>

#include "disruptorx/error.h"
#include "disruptorx/platform.h"

typedef struct dxi_unacknowledged {
    uint64_t *entries; /* NULL: nothing is written down */
    uint32_t room;
    uint32_t begin, end; /* entries[begin .. end) are in use */
    uint64_t no_room;    /* the lowest that found none; 0: none */
} dxi_unacknowledged_t;

/* For at most `most` events at a time. Returns DX_OK, DX_ENOMEM. */
DX_NODISCARD int dxi_unacknowledged_open(dxi_unacknowledged_t *open, uint32_t most);
void dxi_unacknowledged_close(dxi_unacknowledged_t *open);

void dxi_unacknowledged_add(dxi_unacknowledged_t *open, uint64_t sequence);

/* The program is done with it. One that is not there is nothing. */
void dxi_unacknowledged_done(dxi_unacknowledged_t *open, uint64_t sequence);

/* The lowest that is not done; UINT64_MAX: none. */
uint64_t dxi_unacknowledged_first(const dxi_unacknowledged_t *open);

void dxi_unacknowledged_forget(dxi_unacknowledged_t *open);

#endif
