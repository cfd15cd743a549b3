/* drive.c - who has a loop: the states of drive.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/drive.h"

#include "base/futex.h"

#define DRIVE_OWN 0
#define DRIVE_WANTED 1
#define DRIVE_FREE 2
#define DRIVE_TURN 3

#define TURN_NS 20000 /* how often a thread that was recalled looks whether the turn is over */

dxi_drive_entry_t dxi_drive_enter(dxi_drive_t *drive)
{
    int32_t word = dx_load32_relaxed(&drive->word);
    /* ACQ_REL: we see all that the loop's thread, or who drove before us, has done; pairs with
     * dxi_drive_park() and dxi_drive_leave() (D1). */
    if (word == DRIVE_FREE && dx_compare_exchange32_acq_rel(&drive->word, &word, DRIVE_TURN)) {
        return DXI_DRIVE_TURN;
    }
    if (word == DRIVE_OWN && dx_compare_exchange32_acq_rel(&drive->word, &word, DRIVE_WANTED)) {
        return DXI_DRIVE_ASKED;
    }
    return DXI_DRIVE_NOT_NOW;
}

void dxi_drive_leave(dxi_drive_t *drive)
{
    dx_store_relaxed(&drive->turns, dx_load_relaxed(&drive->turns) + 1);
    dx_store32_release(&drive->word, DRIVE_FREE); /* pairs with the next to take it (D1) */
}

void dxi_drive_recall(dxi_drive_t *drive)
{
    if (dx_load32_relaxed(&drive->word) != DRIVE_OWN) {
        dx_store32_release(&drive->recall, 1); /* pairs with the exchange in dxi_drive_park() */
        dxi_futex_wake(&drive->recall);
    }
}

void dxi_drive_park(dxi_drive_t *drive)
{
    int64_t seen = dx_load_relaxed(&drive->turns);
    bool recalled = false;
    dx_store32_release(&drive->word, DRIVE_FREE); /* pairs with dxi_drive_enter() (D1) */
    for (;;) {
        dxi_futex_wait(&drive->recall, 0, recalled ? TURN_NS : drive->patience_ns);
        recalled = dx_exchange32_acq_rel(&drive->recall, 0) != 0 || recalled;
        const int64_t turns = dx_load_relaxed(&drive->turns);
        int32_t word = DRIVE_FREE;
        /* ACQ_REL, pairs with dxi_drive_leave() (D1). It fails while a turn is taken (D2). */
        if ((recalled || turns == seen) &&
            dx_compare_exchange32_acq_rel(&drive->word, &word, DRIVE_OWN)) {
            return;
        }
        seen = turns;
    }
}
