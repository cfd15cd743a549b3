/* starve.c - a part of a subscription that has no room, and whoever makes room for it.
 *
 * DESIGN
 *
 * deliver() that finds no room, or no credit, marks its part as starved and looks once more. Who
 * makes room looks at the marks, clears them and posts dxi_shard_ready() to the lane's loop.
 *
 *     lane                                  who makes room
 *     starved = 1, hungry = 1               room
 *     fence                                 fence
 *     room?                                 hungry? -> hungry = 0, starved? -> starved = 0, post
 *
 * `hungry` is of the whole attachment, so that who makes room where nobody starves looks at one
 * word. There are several kinds of room (credit, the sending ring, rings between loops), and one
 * part may starve for one kind while another is made.
 *
 * INVARIANTS
 *
 *   F1  of a lane that starves and one that makes room at the same time, one sees the other: each
 *       has a full fence between what it stores and what it then looks at
 *   F2  who takes `hungry` away sees all parts that have set it as starved
 *
 * tests/relacy/scenario_starve.c runs this file.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bus/runtime.h"

void dxi_part_starve(dxi_part_t *part)
{
    dx_store32_relaxed(&part->starved, 1);
    /* RELEASE, pairs with the exchange in dxi_attachment_feed(), F2: with less, who feeds for room
     * of another kind may take `hungry` away, not yet see `starved`, and nobody would look at it
     * again. A store would hide the `starved` of a part that has set it before; an exchange carries
     * it on. The cost does not matter: there is no room. */
    (void)dx_exchange32_acq_rel(&part->attachment->hungry, 1);
    dx_fence_seq_cst(); /* F1, pairs with dxi_attachment_feed() */
}

void dxi_attachment_feed(dxi_attachment_t *attachment)
{
    dx_fence_seq_cst(); /* F1: the room that the caller made comes before what is looked at here */
    if (dx_load32_relaxed(&attachment->hungry) == 0) {
        return;
    }
    /* ACQUIRE, pairs with dxi_part_starve(): F2. */
    (void)dx_exchange32_acq_rel(&attachment->hungry, 0);
    for (uint32_t i = 0; i < attachment->bus->options.shards; i++) {
        dxi_part_t *part = dxi_attachment_part(attachment, i);
        if (part != NULL && dx_load32_relaxed(&part->starved) != 0 &&
            dx_exchange32_acq_rel(&part->starved, 0) != 0 &&
            dx_exchange32_acq_rel(&part->ready_posted, 1) == 0) {
            dxi_loop_post(part->lane->owner->loop, &part->ready);
        }
    }
}
