/* node/figures.h - everything a node counts, collected once for who shows it: the admin API,
 * metrics, live updates.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_NODE_FIGURES_H
#define DXI_NODE_FIGURES_H

#include "access/access.h"
#include "admin/admin.h"
#include "node/node_internal.h"

/* The process, as the system sees it. */
typedef struct dxi_process {
    double cpu_seconds;
    uint64_t resident_bytes;
    uint64_t open_fds, max_fds;
} dxi_process_t;

/* Threads: any. */
void dxi_process_look(dxi_process_t *process_out);

typedef struct dxi_figures {
    dxi_node_state_t state;
    int64_t started_unix_ns, uptime_ns;
    uint32_t shards, loops;
    dxi_shard_totals_t totals;
    uint32_t subscriptions;
    dxi_sessions_stat_t sessions;
    dxi_listener_stat_t listeners;
    uint64_t connections_by_kind[4]; /* by dxi_transport_t */
    uint64_t tokens_refused;         /* of all kinds of tokens */
    dxi_access_stat_t access;
    uint64_t ring_wait_ns; /* publishers waited for room in rings, all together */
    dxi_admin_stat_t admin;
    dxi_process_t process;
    uint64_t config_reloads, config_reload_failures;
    bool config_failing;             /* the last reload did not work */
    int64_t config_reloaded_unix_ns; /* the last that did, or the start */
    uint64_t retained_bytes_max;
    double delivered_rate_1m;
    int64_t latency_ns[4]; /* p50, p99, p999, max of the last 5 to 10 seconds */
    uint64_t latency_count;
    uint64_t log_suppressed, log_lost;
} dxi_figures_t;

/* Collects them; `visit` as in dxi_bus_totals(), of all topics. Waits for loops, a little each.
 * Returns DX_OK, DX_ENOMEM, DX_ESTATE. Threads: any that is no loop. */
DX_NODISCARD int dxi_figures_collect(dx_node_t *node, dxi_figures_t *figures_out,
                                     dx_topic_visitor_t visit, void *context, dx_error_t *error);

/* How busy loop `index` was since somebody looked last, at least a second ago: 0 to 1.
 * Threads: any. */
double dxi_figures_busy(dx_node_t *node, uint32_t index, const dxi_loop_stat_t *stat);

/* Words for states, as in "running". Threads: any. */
const char *dxi_node_state_name(dxi_node_state_t state);
/* What kind of connection: "tcp", "tls", "unix", "shm". Threads: any. */
const char *dxi_transport_name(int transport);
/* Why connections end that should not have: a word for the code without its sign, NULL for an end
 * in order. Threads: any. */
const char *dxi_end_name(int code);
/* What such a word means, in a sentence. Threads: any. */
const char *dxi_end_help(const char *name);

#endif
