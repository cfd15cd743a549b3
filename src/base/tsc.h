/* base/tsc.h - the arithmetic of the counter's calibration, apart from the reading of clocks.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BASE_TSC_H
#define DXI_BASE_TSC_H

#include <stdbool.h>
#include <stdint.h>

#include "disruptorx/clock.h"

/* The counter and the clock at one moment. */
typedef struct dxi_tsc_sample {
    uint64_t ticks;
    int64_t ns;
} dxi_tsc_sample_t;

/* Fills `*tsc_out` from two moments. Where the counter is not `usable`, stood still, ran backwards
 * or has a rate outside 1 MHz to 100 GHz, the clock stands in for it.
 * Threads: any. */
void dxi_tsc_fit(const dxi_tsc_sample_t *begin, const dxi_tsc_sample_t *end, bool usable,
                 dx_tsc_t *tsc_out);

#endif
