/* client/direct_internal.h - what the two halves of direct topics share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLIENT_DIRECT_INTERNAL_H
#define DXI_CLIENT_DIRECT_INTERNAL_H

#include "client/direct.h"
#include "disruptorx/clock.h"

/* Asks the node for a topic's ring, to "publish" or "subscribe". Threads: any, no handler. */
DX_NODISCARD int dxi_direct_ask_node(dx_client_t *client, const char *as, const char *topic,
                                     int64_t deadline_ns, dxi_direct_answer_t *answer_out,
                                     dx_error_t *error);

/* A topic is known to be direct from now on. Threads: any. */
void dxi_direct_know(dx_client_t *client, const char *topic);

/* The ring is not in use any more: its topic was deleted, or its node has ended. Threads: any. */
DX_INLINE bool dxi_direct_is_closed(const dx_ring_t *ring)
{
    return dx_load_relaxed(&dx_ring_block(ring)->signal) < 0;
}

/* Microseconds since 1970, read anew when about as many have passed as a reading costs several
 * hundred times: a burst of single events shares one. Of one thread at a time. */
typedef struct dxi_direct_clock {
    uint64_t ticks;
    uint64_t unix_us;
} dxi_direct_clock_t;

#if defined(__x86_64__)
#define DXI_DIRECT_CLOCK_TICKS 30000u /* 8 to 15 us */
#else
#define DXI_DIRECT_CLOCK_TICKS 500u /* 20 us of a counter of 25 MHz */
#endif

DX_INLINE uint64_t dxi_direct_clock_at(dxi_direct_clock_t *clock, uint64_t ticks)
{
    /* Going back, too, is more than so many. Without a counter it is 0. */
    if (DX_UNLIKELY(ticks - clock->ticks > DXI_DIRECT_CLOCK_TICKS || ticks == 0)) {
        clock->ticks = ticks;
        clock->unix_us = (uint64_t)dx_clock_realtime_ns() / 1000;
    }
    return clock->unix_us;
}

DX_INLINE uint64_t dxi_direct_clock_us(dxi_direct_clock_t *clock)
{
    return dxi_direct_clock_at(clock, dx_tsc_now());
}

/* Ends all outlets. Threads: owner. */
void dxi_directs_outlets_close(dx_client_t *client);

#endif
