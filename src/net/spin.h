/* net/spin.h - how long a loop looks for work before it sleeps.
 *
 * DESIGN
 *
 * To wake up takes 5 to 20 us, so a loop that sleeps between events that come every 50 us is late
 * for each of them; one that spins through a quiet second takes a processor for nothing. So a loop
 * spins only while spinning catches what comes:
 *
 *     a wait that was short enough     it spins from now on, twice as long as that wait
 *     a wait that was too long         half as long as before, down to nothing
 *
 * And where there are more threads than processors, who spins takes the time of those it waits for.
 * A loop that spins offers its place in each turn (sched_yield()); when others took it the turn is
 * long though nothing was done in it, and the loop stops spinning and sleeps.
 *
 * Pure: it is told the time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_NET_SPIN_H
#define DXI_NET_SPIN_H

#include <stdbool.h>
#include <stdint.h>

#include "disruptorx/platform.h"

#define DXI_SPIN_CROWDED_NS INT64_C(20000) /* a turn that finds nothing takes a tenth of it */

typedef struct dxi_spin {
    int64_t most_ns; /* 0: it never spins */
    int64_t now_ns;  /* as long as it spins, as things are */
    bool crowded;    /* it has given up because others want the processor */
} dxi_spin_t;

/* Whether to look once more, after `idle_ns` without work, when the last turn, which found nothing,
 * took `turn_ns`. */
DX_INLINE bool dxi_spin_on(dxi_spin_t *spin, int64_t idle_ns, int64_t turn_ns)
{
    if (turn_ns > DXI_SPIN_CROWDED_NS && spin->now_ns != 0) {
        spin->crowded = true;
        spin->now_ns = 0;
    }
    return idle_ns < spin->now_ns;
}

/* A sleep has ended, `waited_ns` after the last work. One that began because of others says nothing
 * of how soon work comes. */
DX_INLINE void dxi_spin_waited(dxi_spin_t *spin, int64_t waited_ns)
{
    if (spin->crowded) {
        spin->crowded = false;
    } else if (waited_ns > spin->most_ns) {
        spin->now_ns /= 2;
    } else if (2 * waited_ns > spin->now_ns) {
        spin->now_ns = 2 * waited_ns < spin->most_ns ? 2 * waited_ns : spin->most_ns;
    }
}

#endif
