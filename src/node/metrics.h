/* node/metrics.h - a node in the text format of Prometheus.
 *
 * A new number is a row in metrics.c when it is one value of dxi_figures_t; else a function there.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_NODE_METRICS_H
#define DXI_NODE_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "disruptorx/bus.h"
#include "disruptorx/node.h"

#define DXI_METRICS_TOPICS_MAX 10000 /* with a label of their own */
#define DXI_METRICS_GROUPS_MAX 100   /* the rest is "other" */

/* --------------------------------------------------------------------- a text, metrics_text.c */

typedef struct dxi_metrics_text {
    char *bytes; /* malloc() */
    size_t used, room;
    bool failed; /* no memory: what is there is worth nothing */
} dxi_metrics_text_t;

/* All: Threads: owner of the text.
 * "# HELP" and "# TYPE"; `type` is counter, gauge or histogram. Names are without "disruptorx_",
 * which is put in front of all that do not begin with "process_". */
void dxi_metrics_head(dxi_metrics_text_t *text, const char *name, const char *type,
                      const char *help);

/* A sample. `labels`: pairs of name and value, at most three; ends with NULL. */
void dxi_metrics_sample(dxi_metrics_text_t *text, const char *name, const char *const *labels,
                        double value);

/* One metric with one sample and no labels. */
void dxi_metrics_one(dxi_metrics_text_t *text, const char *name, const char *type, const char *help,
                     double value);

/* A classic histogram of counts by class (bus/rates.h), from 1 us to 10 s in 22 buckets. A class
 * lies in the first bucket that holds all of it; the sum takes the middle of each. `label` and
 * `value`: one label, or NULL. */
void dxi_metrics_histogram(dxi_metrics_text_t *text, const char *name, const char *help,
                           const char *label, const char *value, const uint64_t *counts);

/* Everything, behind what is there already. The text is the caller's, also after a failure.
 * Returns DX_OK, DX_ENOMEM, DX_ESTATE. Threads: any that is no loop. */
DX_NODISCARD int dxi_metrics_write(dx_node_t *node, dxi_metrics_text_t *text, dx_error_t *error);

/* ----------------------------------------------------------- topics by name, metrics_topics.c */

/* Which topics have a label of their own, and what they had counted when they got it. */
typedef struct dxi_metrics_topics dxi_metrics_topics_t;

/* The counters with a label of a topic. */
enum dxi_metrics_count {
    DXI_METRICS_RECEIVED = 0,
    DXI_METRICS_DELIVERED = 1,
    DXI_METRICS_REDELIVERED = 2,
    DXI_METRICS_DROPPED = 3,
    DXI_METRICS_REFUSED = 4,
    DXI_METRICS_DEAD = 5,
    DXI_METRICS_BYTES = 6,
    DXI_METRICS_COUNTS = 7
};

/* One named topic, or "other". */
typedef struct dxi_metrics_topic {
    const char *name;
    uint64_t counts[DXI_METRICS_COUNTS];
    uint32_t subscriptions;
    double rate_1m;
} dxi_metrics_topic_t;

/* Returns NULL when there is no memory. Threads: any. */
dxi_metrics_topics_t *dxi_metrics_topics_create(void);
void dxi_metrics_topics_destroy(dxi_metrics_topics_t *topics);

/* A look at all topics: begin, each topic in the order of names, end. `most` may have changed.
 * Threads: one at a time. */
void dxi_metrics_topics_begin(dxi_metrics_topics_t *topics, uint32_t most);
void dxi_metrics_topics_see(dxi_metrics_topics_t *topics, const dx_topic_stats_t *stats);
/* `totals` of all topics, of those that are gone too. */
void dxi_metrics_topics_end(dxi_metrics_topics_t *topics,
                            const uint64_t totals[DXI_METRICS_COUNTS]);

/* The named topics in the order of names, then "other"; NULL behind it. */
const dxi_metrics_topic_t *dxi_metrics_topics_at(const dxi_metrics_topics_t *topics, size_t index);

#endif
