/* node/node_admin.h - the node's admin server: its life in the node, who may ask, what is kept
 * between two looks.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_NODE_ADMIN_H
#define DXI_NODE_ADMIN_H

#include <pthread.h>

#include "admin/admin.h"
#include "disruptorx/atomic.h"
#include "disruptorx/bus.h"
#include "node/metrics.h"

/* How busy a loop was, when somebody looked last. */
typedef struct dxi_loop_sample {
    int64_t at_ns, busy_ns;
    double ratio;
} dxi_loop_sample_t;

/* Counts of the last `numbers`, for rates: published, delivered, bytes in, bytes out. */
typedef struct dxi_event_rates {
    int64_t at_ns;
    uint64_t counts[4];
    double per_s[4];
} dxi_event_rates_t;

typedef struct dxi_node_admin {
    dxi_admin_t *server;   /* NULL: there is none. Set before its threads start, freed after them */
    dx_atomic64_t told;    /* the newest line of the log that readers of the stream were told */
    pthread_mutex_t mutex; /* guards the samples and rates; taken inside of nothing */
    dxi_loop_sample_t samples[DX_BUS_LOOPS_MAX];
    dxi_event_rates_t rates;
    pthread_mutex_t metrics_mutex; /* guards `topics`; held while metrics are made */
    dxi_metrics_topics_t *topics;
} dxi_node_admin_t;

#endif
