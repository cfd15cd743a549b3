/* cli/latency.h - the part of `dx latency` that needs no node.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_LATENCY_H
#define DXI_CLI_LATENCY_H

#include <stdint.h>

#include "disruptorx/histogram.h"

/* What the machine does to a thread that never waits. */
typedef struct dxi_intrinsic {
    int64_t elapsed_ns;
    int64_t looks;          /* readings of the clock */
    int64_t least_ns;       /* the shortest time between two: what a reading costs */
    int64_t interruptions;  /* gaps of at least `threshold_ns` */
    int64_t interrupted_ns; /* their sum */
    int64_t threshold_ns;
    dx_histogram_t *gaps; /* those of at least the threshold */
} dxi_intrinsic_t;

/* Reads the clock in a loop for `ns`, or until `stop` becomes 1, and notes each gap of at least
 * `threshold_ns` between two readings. `gaps` must be a histogram.
 * Threads: any. */
void dxi_intrinsic_run(int64_t ns, const dx_atomic32_t *stop, dxi_intrinsic_t *intrinsic);

/* Runs it, prints it, returns an exit code. `hgrm`: NULL, or the file to write.
 * Threads: main. */
int dxi_intrinsic_command(int64_t ns, int64_t threshold_ns, const char *hgrm);

#endif
