/* ring/fence.h - the heavy side of an asymmetric fence, for rings and for who sleeps beside them.
 *
 * Of a Dekker pair (each side stores, then loads what the other stored) one side is on the hot path
 * and pays only dx_fence_light(); the other, which is about to sleep, pays for both. Design and
 * proof: park.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_RING_FENCE_H
#define DXI_RING_FENCE_H

#include <stdbool.h>

#include "disruptorx/platform.h"

/* Orders our earlier stores before our later loads, and makes every running thread of this process
 * do the same.
 * Threads: any. */
void dxi_heavy_fence_process(void);

/* True when a heavy fence reaches the other threads; else they must fence themselves, with
 * dx_fence_seq_cst() in the place of dx_fence_light().
 * Threads: any. */
bool dxi_heavy_fence_works(void);

#if DX_TEST_HOOKS
/* Makes what is created from now on behave as on a system without membarrier().
 * Threads: any, while nothing that fences is in use. */
void dxi_heavy_fence_disable(bool disable);
#endif

#endif
