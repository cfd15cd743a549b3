/* cli/orders_publisher.h - the thread that sends the orders.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_ORDERS_PUBLISHER_H
#define DXI_CLI_ORDERS_PUBLISHER_H

#include <semaphore.h>
#include <stdint.h>

#include "cli/orders_pipeline.h"
#include "disruptorx/clock.h"

/* Filled by the caller but for the results. */
typedef struct dxi_publisher {
    const dxi_pipeline_options_t *options;
    const dx_tsc_t *tsc;
    dx_ring_t *ring;
    dx_histogram_t *lateness; /* from when an order should have been sent until it was */
    int64_t total;
    sem_t done; /* posted at the end */

    /* Results, once `done` is posted. */
    int64_t published;
    int64_t begin_ns; /* when the first order was due */
    int result;       /* DX_OK, or what the ring said */
    dx_error_t error;
} dxi_publisher_t;

/* The time on the scale of all stamps.
 * Threads: any. */
DX_INLINE int64_t dxi_stamp_ns(const dx_tsc_t *tsc)
{
    return dx_tsc_to_ns(tsc, dx_tsc_ticks(tsc));
}

/* Sends everything, then posts `done`. `context` is a dxi_publisher_t.
 * Threads: its own. */
void dxi_publisher_run(void *context);

#endif
