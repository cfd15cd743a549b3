/* trace/sampler.h - which events are traced: one of so many, on average.
 *
 * The gaps between two of them are random, from 1 to 2n - 1, so that traffic with a period is not
 * sampled at one place of it. Pure: the same seed gives the same choice.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_TRACE_SAMPLER_H
#define DXI_TRACE_SAMPLER_H

#include <stdbool.h>
#include <stdint.h>

#include "disruptorx/platform.h"
#include "disruptorx/trace.h"

/* Zero is a sampler before its first event. */
typedef struct dxi_sampler {
    uint64_t state;  /* of the random numbers: the seed */
    uint64_t left;   /* events until the next one that is taken */
    uint32_t one_of; /* `left` was drawn for this; 0: nothing was drawn yet */
} dxi_sampler_t;

/* Draws the next gap. */
DX_INLINE void dxi_sampler_draw(dxi_sampler_t *sampler, uint32_t one_of)
{
    /* splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014). */
    uint64_t mixed = sampler->state += UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    mixed ^= mixed >> 31;
    sampler->one_of = one_of;
    sampler->left = 1 + mixed % (2 * (uint64_t)one_of - 1);
}

/* Whether one of the next `events` is traced, of which one of `one_of` is: 1 or more, or
 * DX_TRACE_NEVER. Threads: owner. */
DX_INLINE bool dxi_sampler_take(dxi_sampler_t *sampler, uint32_t one_of, uint32_t events)
{
    if (DX_UNLIKELY(sampler->one_of != one_of)) {
        dxi_sampler_draw(sampler, one_of);
    }
    if (DX_LIKELY(sampler->left > events) || one_of == DX_TRACE_NEVER) {
        sampler->left -= one_of == DX_TRACE_NEVER ? 0 : events;
        return false;
    }
    dxi_sampler_draw(sampler, one_of);
    return true;
}

/* The event that was taken could not be published: the next one is taken in its place.
 * Threads: owner. */
DX_INLINE void dxi_sampler_again(dxi_sampler_t *sampler)
{
    sampler->left = 1;
}

#endif
