/* net/backoff.h - how long to wait before the next attempt: exponential, with full jitter.
 *
 * Attempt n (from 1) waits a random time from `least_ns` to least_ns * 2^n, at most `most_ns`: so
 * thousands of clients that lost the same node don't come back in step. Pure: the same seed gives
 * the same waits. (Brooker, "Exponential backoff and jitter", AWS Architecture Blog, 2015.)
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_NET_BACKOFF_H
#define DXI_NET_BACKOFF_H

#include <stdint.h>

#include "disruptorx/platform.h"

typedef struct dxi_backoff {
    int64_t least_ns;
    int64_t most_ns;
    uint64_t state;  /* of the random numbers */
    int64_t next_ns; /* the upper end of the next wait */
} dxi_backoff_t;

/* Before the first attempt, with 0 < least_ns <= most_ns. Any seed will do; two clients should not
 * have the same.
 * Threads: owner. */
DX_INLINE void dxi_backoff_init(dxi_backoff_t *backoff, int64_t least_ns, int64_t most_ns,
                                uint64_t seed)
{
    backoff->least_ns = least_ns;
    backoff->most_ns = most_ns;
    backoff->state = seed;
    backoff->next_ns = least_ns > most_ns / 2 ? most_ns : least_ns * 2;
}

/* The wait before the next attempt, from least_ns to most_ns.
 * Threads: owner. */
DX_INLINE int64_t dxi_backoff_next(dxi_backoff_t *backoff)
{
    /* splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014). */
    uint64_t mixed = backoff->state += UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    mixed ^= mixed >> 31;

    const int64_t upper_ns = backoff->next_ns;
    const uint64_t span = (uint64_t)(upper_ns - backoff->least_ns) + 1;
    backoff->next_ns = upper_ns > backoff->most_ns / 2 ? backoff->most_ns : upper_ns * 2;
    return backoff->least_ns + (int64_t)(mixed % span);
}

/* After a success: the next failure waits shortly again.
 * Threads: owner. */
DX_INLINE void dxi_backoff_reset(dxi_backoff_t *backoff)
{
    dxi_backoff_init(backoff, backoff->least_ns, backoff->most_ns, backoff->state);
}

#endif
