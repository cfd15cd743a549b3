/* cli/orders_pipeline.h - the four steps of an order as a graph of handlers on one ring.
 *
 *     publisher -> [ring] -> validate -> { inventory || payment } -> fulfil
 *
 * Threads: the caller's, one for the publisher and one per step. Every histogram and every state
 * has one writer, its own thread; the caller reads them after all have ended.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_ORDERS_PIPELINE_H
#define DXI_CLI_ORDERS_PIPELINE_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/orders.h"
#include "cli/orders_csv.h"
#include "disruptorx/disruptor.h"
#include "disruptorx/histogram.h"

/* Limits of a run. */
#define DXI_PIPELINE_REPEAT_MAX 1000000
#define DXI_PIPELINE_EVENTS_MAX INT64_C(100000000000)
#define DXI_PIPELINE_RATE_MAX 1000000000
#define DXI_PIPELINE_CAPACITY_MAX (1 << 20)

typedef enum dxi_pipeline_stage {
    DXI_STAGE_VALIDATE = 0,
    DXI_STAGE_INVENTORY = 1,
    DXI_STAGE_PAYMENT = 2,
    DXI_STAGE_FULFIL = 3,
    DXI_STAGE_COUNT
} dxi_pipeline_stage_t;

/* What is measured. Those of the stages come first, under the stage's number. */
typedef enum dxi_latency {
    DXI_LATENCY_VALIDATE = 0,   /* from sent until validated */
    DXI_LATENCY_INVENTORY = 1,  /* from validated until checked */
    DXI_LATENCY_PAYMENT = 2,    /* from validated until verified */
    DXI_LATENCY_FULFIL = 3,     /* from the later of the two until fulfilled */
    DXI_LATENCY_END_TO_END = 4, /* from when it should have been sent until fulfilled */
    DXI_LATENCY_SEND = 5,       /* from when it should have been sent until sent */
    DXI_LATENCY_COUNT
} dxi_latency_t;

/* Where a run stands. */
typedef struct dxi_pipeline_progress {
    int64_t total;
    int64_t published;
    int64_t fulfilled;
    int64_t depth;
    int64_t elapsed_ns;
} dxi_pipeline_progress_t;

typedef struct dxi_pipeline_options {
    const dxi_csv_orders_t *orders; /* at least one */
    int64_t repeat;                 /* times the orders are sent, with other ids each time */
    int64_t capacity;               /* slots of the ring, a power of two */
    int64_t batch;                  /* orders claimed and published at a time, up to capacity */
    int64_t rate;                   /* orders a second; 0: as fast as it goes */
    dx_wait_kind_t wait;            /* of every thread */
    dx_cpu_set_t cpus;              /* publisher, then stages, round-robin; empty: anywhere */
    const dx_atomic32_t *stop;      /* publishing ends when it becomes 1 */
    /* NULL, or called by the caller's thread about every 100 ms. */
    void (*progress)(const dxi_pipeline_progress_t *progress);
} dxi_pipeline_options_t;

typedef struct dxi_pipeline_result {
    int64_t total;      /* orders that were to be sent */
    int64_t published;  /* orders that were */
    int64_t elapsed_ns; /* from the first one sent until the last one fulfilled */
    dxi_fulfilment_t totals;
    dx_histogram_summary_t latency[DXI_LATENCY_COUNT];
    dx_consumer_stat_t stages[DXI_STAGE_COUNT];
    dx_ring_stat_t ring;
} dxi_pipeline_result_t;

/* "validate", "inventory", "payment", "fulfil", "end_to_end", "send". Threads: any. */
const char *dxi_latency_name(dxi_latency_t latency);

/* How many orders a run has.
 * Returns DX_OK, DX_EINVAL above DXI_PIPELINE_EVENTS_MAX.
 * Threads: any. */
DX_NODISCARD int dxi_pipeline_total(const dxi_csv_orders_t *orders, int64_t repeat,
                                    int64_t *total_out, dx_error_t *error);

/* The message number `index` of round `round`, both from 0.
 * Threads: any. */
dxi_order_message_t dxi_pipeline_message(const dxi_csv_orders_t *orders, int64_t round,
                                         int64_t index);

/* Sends all orders through the graph and waits until the last one is fulfilled.
 * Returns DX_OK, also when `stop` ended it early; or what the ring says.
 * Threads: main. */
DX_NODISCARD int dxi_pipeline_run(const dxi_pipeline_options_t *options,
                                  dxi_pipeline_result_t *result_out, dx_error_t *error);

/* The same steps called one after the other, without a ring, for the first `count` orders: what a
 * run must come to.
 * Returns DX_OK, DX_ENOMEM.
 * Threads: any. */
DX_NODISCARD int dxi_pipeline_reference(const dxi_csv_orders_t *orders, int64_t count,
                                        dxi_fulfilment_t *totals_out, dx_error_t *error);

#endif
