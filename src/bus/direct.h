/* bus/direct.h - direct topics: rings in shared memory that programs on the host use without the
 * node, and the node beside them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BUS_DIRECT_H
#define DXI_BUS_DIRECT_H

#include "bus/direct_ask.h"
#include "bus/direct_slot.h"
#include "bus/runtime.h"

/* What the shard asks for; its context is the lane. */
extern const dxi_direct_actions_t dxi_direct_actions;

/* Part of the loop's turn: gives the shard what came out of the rings that it has joined, and looks
 * after consumers that are slow. Returns how many events. Threads: the lane's loop. */
int dxi_direct_run(dxi_lane_t *lane, int64_t now_ns);

#endif
