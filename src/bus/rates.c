/* rates.c - rates and latencies of a topic.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bus/rates.h"

#include <string.h>

#define RATE_FORGOTTEN 0.001 /* events a second: below it a rate is 0 */
#define SERIES_TERMS 12

static const double MINUTES[3] = {1, 5, 15};

/* e to the -x, for x from 0 to about 1; larger ones are halved first. No libm for one function. */
static double decay(double x)
{
    if (x > 1) {
        const double half = decay(x / 2);
        return half * half;
    }
    double sum = 1;
    double term = 1;
    for (int i = 1; i < SERIES_TERMS; i++) {
        term *= -x / i;
        sum += term;
    }
    return sum;
}

bool dxi_rates_tick(dxi_rates_t *rates, uint64_t events, int64_t interval_ns)
{
    if (interval_ns <= 0) {
        return true;
    }
    const double seconds = (double)interval_ns / 1e9;
    const double now = (double)(events - rates->counted) / seconds;
    rates->counted = events;
    bool fading = false;
    for (int i = 0; i < 3; i++) {
        const double kept = rates->begun ? decay(seconds < 3600 ? seconds / (60 * MINUTES[i]) : 60)
                                         : 0; /* the first interval stands for all before */
        rates->per_s[i] = rates->per_s[i] * kept + now * (1 - kept);
        rates->per_s[i] = rates->per_s[i] < RATE_FORGOTTEN ? 0 : rates->per_s[i];
        fading = fading || rates->per_s[i] > 0;
    }
    rates->begun = fading;
    return fading;
}

void dxi_latency_turn(dxi_latency_t *latency)
{
    latency->current ^= 1;
    latency->max_ns[latency->current] = 0;
    memset(latency->counts[latency->current], 0, sizeof latency->counts[0]);
}

int64_t dxi_latency_class_end(uint32_t number)
{
    if (number == 0) {
        return (INT64_C(1) << DXI_LATENCY_FIRST_BITS) - 1;
    }
    const uint32_t bits = (number - 1) / 4 + DXI_LATENCY_FIRST_BITS;
    const int64_t quarter = (number - 1) % 4 + 1;
    return (INT64_C(1) << bits) + (INT64_C(1) << (bits - 2)) * quarter - 1;
}

int64_t dxi_latency_percentile(const dxi_latency_t *latency, double part)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < DXI_LATENCY_CLASSES; i++) {
        total += (uint64_t)latency->counts[0][i] + latency->counts[1][i];
    }
    const double wanted = part * (double)total;
    uint64_t passed = 0;
    for (uint32_t i = 0; i < DXI_LATENCY_CLASSES; i++) {
        passed += (uint64_t)latency->counts[0][i] + latency->counts[1][i];
        if (passed != 0 && (double)passed >= wanted) {
            const int64_t max_ns = dxi_latency_max(latency);
            return dxi_latency_class_end(i) < max_ns ? dxi_latency_class_end(i) : max_ns;
        }
    }
    return 0;
}

int64_t dxi_latency_max(const dxi_latency_t *latency)
{
    return latency->max_ns[0] > latency->max_ns[1] ? latency->max_ns[0] : latency->max_ns[1];
}

int64_t dxi_durations_percentile(const uint64_t counts[DXI_LATENCY_CLASSES], int64_t max_ns,
                                 double part)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < DXI_LATENCY_CLASSES; i++) {
        total += counts[i];
    }
    uint64_t passed = 0;
    for (uint32_t i = 0; i < DXI_LATENCY_CLASSES; i++) {
        passed += counts[i];
        if (passed != 0 && (double)passed >= part * (double)total) {
            const int64_t end_ns = dxi_latency_class_end(i);
            return end_ns < max_ns ? end_ns : max_ns;
        }
    }
    return 0;
}
