/* bus/rates.h - how often events come, and how long they take: what a topic says about itself.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BUS_RATES_H
#define DXI_BUS_RATES_H

#include <stdbool.h>
#include <stdint.h>

#include "disruptorx/platform.h"

#define DXI_RATES_INTERVAL_NS INT64_C(5000000000)

/* Events a second, over 1, 5 and 15 minutes: exponentially weighted, as load averages are. Zero:
 * nothing came yet. */
typedef struct dxi_rates {
    double per_s[3];
    uint64_t counted; /* events that are in it */
    bool begun;
} dxi_rates_t;

/* Once an interval, with all events so far. Threads: the shard's, here and below.
 * Returns false when there is nothing left to fade. */
bool dxi_rates_tick(dxi_rates_t *rates, uint64_t events, int64_t interval_ns);

/* Times in the last one to two intervals, in classes of a quarter of a power of two: a percentile
 * is at most a quarter too high. */
#define DXI_LATENCY_FIRST_BITS 6 /* the first class: below 64 ns */
#define DXI_LATENCY_CLASSES (4 * 30)

typedef struct dxi_latency {
    int64_t max_ns[2];
    uint32_t counts[2][DXI_LATENCY_CLASSES];
    uint32_t current;
} dxi_latency_t;

DX_INLINE uint32_t dxi_latency_class(int64_t ns)
{
    const uint64_t value = ns > 0 ? (uint64_t)ns : 0;
    if (value < UINT64_C(1) << DXI_LATENCY_FIRST_BITS) {
        return 0;
    }
    const uint32_t bits = 63 - (uint32_t)__builtin_clzll(value); /* of the highest bit */
    const uint32_t quarter = (uint32_t)(value >> (bits - 2)) & 3;
    const uint32_t number = (bits - DXI_LATENCY_FIRST_BITS) * 4 + quarter + 1;
    return number < DXI_LATENCY_CLASSES ? number : DXI_LATENCY_CLASSES - 1;
}

DX_INLINE void dxi_latency_record(dxi_latency_t *latency, int64_t ns, uint32_t events)
{
    const uint32_t current = latency->current;
    latency->counts[current][dxi_latency_class(ns)] += events;
    if (ns > latency->max_ns[current]) {
        latency->max_ns[current] = ns;
    }
}

/* The next interval begins: the one before the last is forgotten. */
void dxi_latency_turn(dxi_latency_t *latency);

/* The largest time of a class. */
int64_t dxi_latency_class_end(uint32_t number);

/* As dxi_latency_percentile(), of counts by class that were added up. */
int64_t dxi_durations_percentile(const uint64_t counts[DXI_LATENCY_CLASSES], int64_t max_ns,
                                 double part);

/* The time that this part (0 to 1) of the events did not exceed; 0 when there are none. */
int64_t dxi_latency_percentile(const dxi_latency_t *latency, double part);
int64_t dxi_latency_max(const dxi_latency_t *latency);

#endif
