/* node_info.c - a node in numbers.
 *
 * Events are counted by topics and sessions; they are added up when somebody asks. What a topic had
 * counted stays when it is deleted.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <unistd.h>

#include "base/fail.h"
#include "disruptorx/clock.h"
#include "node/node_internal.h"

#define RATE_NS 60e9 /* one minute */

static void totals_fill(dx_node_info_t *info, const dxi_shard_totals_t *totals)
{
    info->topics = (uint32_t)totals->topics;
    info->published = totals->sums.published;
    info->delivered = totals->sums.delivered;
    info->dropped = totals->sums.dropped;
    info->refused = totals->sums.refused;
    info->redelivered = totals->sums.redelivered;
    info->dead = totals->sums.dead;
    info->retained_bytes = totals->retained_bytes;
    info->published_rate_1m = totals->rate_1m;
}

/* The mean since the last look, weighed with what was known before by how long that was ago. Under
 * the mutex. */
double dxi_node_delivered_rate(dx_node_t *node, uint64_t delivered, int64_t now_ns)
{
    const double since_ns = (double)(now_ns - node->rate_seen_ns);
    if (since_ns >= 1e6 && delivered >= node->rate_seen_delivered) {
        const double rate = (double)(delivered - node->rate_seen_delivered) * 1e9 / since_ns;
        const double weight = node->rate_seen_delivered == 0 ? 1 : since_ns / (since_ns + RATE_NS);
        node->delivered_rate += weight * (rate - node->delivered_rate);
        node->rate_seen_ns = now_ns;
    }
    node->rate_seen_delivered = delivered;
    return node->delivered_rate;
}

/* What the node itself knows. Under the mutex. */
static void own_fill(dx_node_t *node, dx_node_info_t *info)
{
    const int64_t now_ns = dx_clock_ns();
    dxi_listener_stat_t listeners;
    dxi_node_listeners_stat(node, &listeners);
    (void)dxi_bus_loops(node->bus, &info->loops);
    (void)snprintf(info->name, sizeof info->name, "%s", node->name);
    (void)snprintf(info->version, sizeof info->version, "%s", DX_VERSION_STRING);
    info->id = node->id;
    info->process_id = (int32_t)getpid();
    info->started_unix_ns = node->started_unix_ns;
    info->uptime_ns = now_ns - node->started_ns;
    info->shards = (uint32_t)dx_config_integer(node->config, "bus.shards");
    info->connections_accepted = (uint64_t)listeners.accepted;
    info->connections_refused = (uint64_t)listeners.refused; /* those of on_accept() among them */
    info->handshake_failures = (uint64_t)listeners.handshake_failures;
    info->config_reloads = node->config_reloads;
    info->config_reload_failures = node->config_reload_failures;
    info->delivered_rate_1m = dxi_node_delivered_rate(node, info->delivered, now_ns);
}

int dx_node_info(dx_node_t *node, dx_node_info_t *info_out, dx_error_t *error)
{
    *info_out = (dx_node_info_t){.id = 0};
    (void)pthread_mutex_lock(&node->mutex);
    const dxi_node_state_t state = node->state;
    (void)pthread_mutex_unlock(&node->mutex);
    if (state != DXI_NODE_RUNNING) {
        return dxi_fail(error, DX_ESTATE, "the node does not run");
    }
    dx_node_info_t info = {.id = 0};
    dxi_shard_totals_t totals;
    const int code = dxi_bus_totals(node->bus, &totals, NULL, NULL, NULL, error);
    if (code < 0) {
        return code;
    }
    totals_fill(&info, &totals);
    info.subscriptions = dxi_bus_subscription_count(node->bus);
    dxi_sessions_stat_t sessions;
    dxi_bus_sessions_stat(node->bus, &sessions);
    info.connections = (uint32_t)sessions.open;
    info.bytes_in = sessions.bytes_in;
    info.bytes_out = sessions.bytes_out;
    info.frames_refused = sessions.frames_refused;
    (void)pthread_mutex_lock(&node->mutex);
    own_fill(node, &info);
    (void)pthread_mutex_unlock(&node->mutex);
    *info_out = info;
    return DX_OK;
}
