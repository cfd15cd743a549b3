/* cli/orders_bus.h - the four steps of an order as clients of a node.
 *
 *     source -> orders.created -> validate -> orders.validated
 *     orders.validated -> inventory -> orders.reserved -> fulfil
 *     orders.validated -> payment   -> orders.paid     -> fulfil -> orders.fulfilled
 *
 * Source, validate, inventory, payment and fulfil are five clients, each with a connection and a
 * thread of its own; the node runs in this process and is reached over a socket like any other.
 * Topics keep the order of their one publisher, so the totals and the checksum are those of the
 * sequential computation, whatever the timing.
 *
 * At most `window` orders are on their way: the source waits for fulfilment. So no queue can
 * overflow, and latency at full speed is about window / rate.
 *
 * Threads: the caller's, the source's, those of the clients and of the node. A state, a histogram
 * and a step have one writer, their client's thread; the caller reads them while it runs only where
 * they are atomic, and all of them after the clients are closed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_ORDERS_BUS_H
#define DXI_CLI_ORDERS_BUS_H

#include "cli/dev_node.h"
#include "cli/orders_pipeline.h"

#define DXI_ORDERS_BUS_WINDOW_MAX 8192 /* what a subscription has room for */
#define DXI_ORDERS_BUS_TOPICS 5

typedef struct dxi_orders_bus_options {
    const dxi_csv_orders_t *orders; /* at least one */
    int64_t repeat;
    int64_t rate;   /* orders a second; 0: as fast as it goes */
    int64_t window; /* orders on their way, 1 to DXI_ORDERS_BUS_WINDOW_MAX */
    dxi_dev_transport_t transport;
    dx_atomic32_t *stop; /* publishing ends when it becomes 1 */
} dxi_orders_bus_options_t;

/* Numbers of a topic, as the node counts them. */
typedef struct dxi_orders_bus_topic {
    const char *name;
    const char *from; /* who publishes it */
    const char *to;   /* who subscribes to it */
    int64_t published;
    int64_t delivered;
    int64_t dropped;
    int64_t latency_p50_ns; /* in the node */
    int64_t latency_p99_ns;
} dxi_orders_bus_topic_t;

typedef struct dxi_orders_bus_result {
    char address[256];
    int64_t total;
    int64_t published;
    int64_t elapsed_ns;
    int64_t unannounced; /* fulfilled, but not published to orders.fulfilled: no room */
    dxi_fulfilment_t totals;
    dx_histogram_summary_t latency[DXI_LATENCY_COUNT];
    dxi_orders_bus_topic_t topics[DXI_ORDERS_BUS_TOPICS];
} dxi_orders_bus_result_t;

/* Where a run stands, for eyes. */
typedef struct dxi_orders_bus_look {
    int64_t taken_ns;
    int64_t total;
    int64_t published;
    int64_t steps[DXI_STAGE_COUNT]; /* done by each, under the stage's number */
    int64_t refused[DXI_STAGE_COUNT];
    dx_histogram_summary_t end_to_end;
} dxi_orders_bus_look_t;

typedef struct dxi_orders_bus dxi_orders_bus_t; /* opaque */

/* Starts node, clients and source; `*bus_out` is NULL on failure.
 * Returns DX_OK, DX_EINVAL, DX_ENOMEM, and what node and client say.
 * Threads: main, here and below. */
DX_NODISCARD int dxi_orders_bus_start(const dxi_orders_bus_options_t *options,
                                      dxi_orders_bus_t **bus_out, dx_error_t *error);

/* True when all is fulfilled, or it was stopped and what was published is, or a step failed. */
bool dxi_orders_bus_is_done(const dxi_orders_bus_t *bus);

void dxi_orders_bus_look(const dxi_orders_bus_t *bus, dxi_orders_bus_look_t *look_out);

/* Ends everything, once it is done, and frees it.
 * Returns DX_OK, or what failed first: an order lost or out of its place is DX_ECORRUPT. */
DX_NODISCARD int dxi_orders_bus_end(dxi_orders_bus_t *bus, dxi_orders_bus_result_t *result_out,
                                    dx_error_t *error);

#endif
