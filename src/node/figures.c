/* figures.c - everything a node counts, collected once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "node/figures.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fail.h"
#include "disruptorx/clock.h"

/* ------------------------------------------------------------------------------------- process */

static uint64_t open_files(void)
{
    DIR *const folder = opendir("/proc/self/fd");
    uint64_t count = 0;
    while (folder != NULL && readdir(folder) != NULL) {
        count++;
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    return count >= 3 ? count - 3 : 0; /* ".", "..", and the one that reads them */
}

static uint64_t resident_bytes(void)
{
    char text[128] = "";
    FILE *const stream = fopen("/proc/self/statm", "re");
    if (stream != NULL) {
        if (fgets(text, sizeof text, stream) == NULL) {
            text[0] = '\0';
        }
        (void)fclose(stream);
    }
    const char *const second = strchr(text, ' '); /* all pages, then those that are there */
    const uint64_t pages = second != NULL ? strtoull(second, NULL, 10) : 0;
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

void dxi_process_look(dxi_process_t *process_out)
{
    struct rusage usage;
    struct rlimit limit;
    *process_out = (dxi_process_t){.open_fds = open_files(), .resident_bytes = resident_bytes()};
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        process_out->cpu_seconds = (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
                                   (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        process_out->max_fds = (uint64_t)limit.rlim_cur;
    }
}

/* --------------------------------------------------------------------------------------- words */

const char *dxi_node_state_name(dxi_node_state_t state)
{
    static const char *const NAMES[] = {"created", "created", "running", "draining", "stopped"};
    return NAMES[state];
}

const char *dxi_transport_name(int transport)
{
    static const char *const NAMES[] = {"tcp", "tls", "unix", "shm"};
    return NAMES[transport & 3];
}

const char *dxi_end_help(const char *name)
{
    static const char *const HELPS[][2] = {
        {"timeout", "Connections that were silent too long, or too slow to greet or to leave."},
        {"refused", "Connections whose token or certificate was refused, or whose user is gone."},
        {"limit", "Connections beyond a limit: too many of them, or frames that are too large."},
        {"lost", "Connections that the peer or the network broke, without a goodbye."},
        {"protocol", "Connections of peers that broke the protocol, or speak another version."},
        {"corrupt", "Connections on which bytes arrived damaged."},
        {"memory", "Connections for which there was no memory."},
    };
    for (size_t i = 0; i < sizeof HELPS / sizeof HELPS[0]; i++) {
        if (strcmp(HELPS[i][0], name) == 0) {
            return HELPS[i][1];
        }
    }
    return "Connections that ended otherwise than in order.";
}

const char *dxi_end_name(int code)
{
    switch (-code) {
    case DX_OK:
    case DX_ECLOSED:
        return NULL;
    case DX_ETIMEDOUT:
        return "timeout";
    case DX_EPERM:
        return "refused";
    case DX_ELIMIT:
        return "limit";
    case DX_EIO:
        return "lost";
    case DX_EPARSE:
    case DX_EINVAL:
    case DX_EVERSION:
    case DX_ENOTSUP:
        return "protocol";
    case DX_ECORRUPT:
        return "corrupt";
    case DX_ENOMEM:
        return "memory";
    default:
        return "other";
    }
}

/* ------------------------------------------------------------------------------------ collected */

static void latency_fill(dxi_figures_t *figures)
{
    static const double PARTS[3] = {0.5, 0.99, 0.999};
    const dxi_shard_totals_t *const totals = &figures->totals;
    for (uint32_t i = 0; i < DXI_LATENCY_CLASSES; i++) {
        figures->latency_count += totals->recent[i];
    }
    for (size_t i = 0; i < 3; i++) {
        figures->latency_ns[i] =
            dxi_durations_percentile(totals->recent, totals->recent_max_ns, PARTS[i]);
    }
    figures->latency_ns[3] = totals->recent_max_ns;
}

/* What the node itself knows, under its mutex. */
static void own_fill(dx_node_t *node, dxi_figures_t *figures)
{
    const int64_t now_ns = dx_clock_ns();
    (void)pthread_mutex_lock(&node->mutex);
    figures->state = node->state;
    figures->started_unix_ns = node->started_unix_ns;
    figures->uptime_ns = node->started_ns != 0 ? now_ns - node->started_ns : 0;
    figures->shards = (uint32_t)dx_config_integer(node->config, "bus.shards");
    figures->retained_bytes_max =
        (uint64_t)dx_config_integer(node->config, "topics.retain_bytes_max");
    dxi_node_listeners_stat(node, &figures->listeners);
    dxi_node_listeners_kinds(node, figures->connections_by_kind);
    figures->config_reloads = node->config_reloads;
    figures->config_reload_failures = node->config_reload_failures;
    figures->config_failing = node->config_failing;
    figures->config_reloaded_unix_ns = node->config_reloaded_unix_ns;
    figures->delivered_rate_1m =
        dxi_node_delivered_rate(node, figures->totals.sums.delivered, now_ns);
    (void)pthread_mutex_unlock(&node->mutex);
    (void)dxi_bus_loops(node->bus, &figures->loops);
    dxi_access_stat(node->access, &figures->access);
    figures->tokens_refused = dxi_auth_refused(&node->auth) + figures->access.logins_refused;
    figures->log_suppressed = (uint64_t)dx_log_suppressed_count(node->log.log);
    figures->log_lost = (uint64_t)dx_log_lost_count(node->log.log);
}

int dxi_figures_collect(dx_node_t *node, dxi_figures_t *figures_out, dx_topic_visitor_t visit,
                        void *context, dx_error_t *error)
{
    memset(figures_out, 0, sizeof *figures_out);
    const int code = dxi_bus_totals(node->bus, &figures_out->totals, NULL, visit, context, error);
    if (code < 0) {
        return code;
    }
    figures_out->subscriptions = dxi_bus_subscription_count(node->bus);
    dxi_bus_sessions_stat(node->bus, &figures_out->sessions);
    own_fill(node, figures_out);
    latency_fill(figures_out);
    dxi_lane_stat_t lane;
    for (uint32_t i = 0; dxi_bus_lane_stat(node->bus, i, &lane) == DX_OK; i++) {
        figures_out->ring_wait_ns += (uint64_t)lane.ring.claim_wait_ns;
    }
    dxi_process_look(&figures_out->process);
    if (node->admin.server != NULL) {
        dxi_admin_stat(node->admin.server, &figures_out->admin);
    }
    return DX_OK;
}

double dxi_figures_busy(dx_node_t *node, uint32_t index, const dxi_loop_stat_t *stat)
{
    const int64_t now_ns = dx_clock_ns();
    double ratio = 0;
    (void)pthread_mutex_lock(&node->admin.mutex);
    dxi_loop_sample_t *const sample = &node->admin.samples[index];
    const int64_t since_ns = now_ns - sample->at_ns;
    if (sample->at_ns != 0 && since_ns < DX_NS_PER_S) {
        ratio = sample->ratio;
    } else {
        const int64_t from_ns = sample->at_ns != 0 ? sample->at_ns : node->started_ns;
        if (now_ns > from_ns) {
            ratio = (double)(stat->busy_ns - sample->busy_ns) / (double)(now_ns - from_ns);
        }
        ratio = ratio < 0 ? 0 : (ratio > 1 ? 1 : ratio);
        *sample = (dxi_loop_sample_t){.at_ns = now_ns, .busy_ns = stat->busy_ns, .ratio = ratio};
    }
    (void)pthread_mutex_unlock(&node->admin.mutex);
    return ratio;
}
