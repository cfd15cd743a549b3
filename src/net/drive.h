/* net/drive.h - a thread of the program takes a loop's turns in the place of the loop's own thread.
 *
 * DESIGN
 *
 * A program that spins gains nothing from a thread beside it: what comes has to go from the one to
 * the other, through a wake-up of 15 us or with two processors busy where one would do. It may
 * drive the loop itself, a turn at a time. The loop's thread parks meanwhile. It goes on by itself
 * when the program is about to wait for it, and when the program has not driven for a while: so
 * nothing depends on a program that keeps a promise.
 *
 *       dxi_drive_enter()          dxi_drive_park()        dxi_drive_enter()
 *     OWN ------------> WANTED ------------------> FREE -------------------> TURN
 *      ^                                           |  ^                       |
 *      +-- the loop's thread: recalled, or nobody -+  +-- dxi_drive_leave() --+
 *          has driven for patience_ns
 *
 * INVARIANTS
 *
 *   D1  one thread at a time acts for the loop: its own in OWN and WANTED, who entered in TURN,
 *       nobody in FREE; each change of hands is a release and an acquire of the word
 *   D2  who is in TURN is never interrupted: the loop's thread waits for FREE
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_NET_DRIVE_H
#define DXI_NET_DRIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "disruptorx/atomic.h"
#include "disruptorx/platform.h"

#define DXI_DRIVE_PATIENCE_NS INT64_C(50000000) /* the usual one */

typedef struct dxi_drive {
    int64_t patience_ns;
    dx_atomic32_t word;   /* a state of above */
    dx_atomic32_t recall; /* futex: 1 when the loop's thread is to go on */
    dx_atomic64_t turns;  /* that others have taken; written in TURN */
} dxi_drive_t;

typedef enum dxi_drive_entry {
    DXI_DRIVE_TURN = 1,  /* the caller has the loop, until dxi_drive_leave() */
    DXI_DRIVE_ASKED = 2, /* the loop's thread is to park: ring its bell */
    DXI_DRIVE_NOT_NOW = 3
} dxi_drive_entry_t;

/* Threads: any but the loop's. */
dxi_drive_entry_t dxi_drive_enter(dxi_drive_t *drive);
void dxi_drive_leave(dxi_drive_t *drive);

/* The loop's thread is to go on, as soon as nobody is in a turn. Threads: any. */
void dxi_drive_recall(dxi_drive_t *drive);

/* Somebody would drive: the loop's thread parks instead of sleeping. Threads: the loop's. */
DX_INLINE bool dxi_drive_wanted(const dxi_drive_t *drive)
{
    return DX_UNLIKELY(dx_load32_relaxed(&drive->word) != 0);
}

/* Sleeps until the loop is its own again. Threads: the loop's. */
void dxi_drive_park(dxi_drive_t *drive);

#endif
