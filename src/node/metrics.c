/* metrics.c - what a node says to Prometheus.
 *
 * Names follow its rules: one prefix, base units, "_total" for counters, no labels but those listed
 * here, each with a bound: topics (admin.metrics_topics_max), groups (DXI_METRICS_GROUPS_MAX),
 * rings and loops (as many as the node has), reasons and kinds (words of ours).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "node/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "disruptorx/clock.h"
#include "node/api.h"
#include "node/figures.h"

#define TYPE "text/plain; version=0.0.4; charset=utf-8"

/* --------------------------------------------------------------------------- one value each */

typedef enum source { U64, U32, I64_NS, DOUBLE, BOOL_NOT } source_t;

/* A metric that is one value of dxi_figures_t. */
static const struct row {
    const char *name, *type;
    source_t source;
    size_t offset;
    const char *help;
} ROWS[] = {
#define ROW(name, type, source, member, help)                                                      \
    {                                                                                              \
        name, type, source, offsetof(dxi_figures_t, member), help                                  \
    }
    ROW("start_time_seconds", "gauge", I64_NS, started_unix_ns, "When the node was started."),
    ROW("process_cpu_seconds_total", "counter", DOUBLE, process.cpu_seconds,
        "User and system time of the process."),
    ROW("process_resident_memory_bytes", "gauge", U64, process.resident_bytes,
        "Memory of the process that is there."),
    ROW("process_open_fds", "gauge", U64, process.open_fds, "Open descriptors."),
    ROW("process_max_fds", "gauge", U64, process.max_fds, "The limit of open descriptors."),
    ROW("topics", "gauge", U64, totals.topics, "Topics."),
    ROW("subscriptions", "gauge", U32, subscriptions,
        "Subscriptions of clients and of the node's program."),
    ROW("retained_bytes", "gauge", U64, totals.retained_bytes, "What topics keep in memory."),
    ROW("retained_events", "gauge", U64, totals.retained_events, "Events that topics keep."),
    ROW("retained_limit_bytes", "gauge", U64, retained_bytes_max,
        "What they may keep: topics.retain_bytes_max."),
    ROW("messages_duplicate_total", "counter", U64, totals.sums.duplicates,
        "Publications that had been taken before."),
    ROW("messages_filtered_total", "counter", U64, totals.sums.filtered,
        "Events left out by filters of subscriptions."),
    ROW("messages_unheard_total", "counter", U64, totals.sums.unheard,
        "Events published while nobody subscribed."),
    ROW("slow_consumers_total", "counter", U64, totals.slow,
        "How often a subscription fell behind for want of room or credit."),
    ROW("dead_letters_lost_total", "counter", U64, totals.dead_lost,
        "Dead letters that could not be published."),
    ROW("gaps_total", "counter", U64, sessions.gaps, "Gaps told to clients."),
    ROW("connections_accepted_total", "counter", U64, listeners.accepted,
        "Connections of clients."),
    ROW("connections_refused_total", "counter", U64, listeners.refused,
        "Connections that were refused."),
    ROW("accept_errors_total", "counter", U64, listeners.accept_errors,
        "Connections that could not be accepted."),
    ROW("tls_handshake_errors_total", "counter", U64, listeners.tls_failures,
        "Handshakes of TLS that failed."),
    ROW("handshake_failures_total", "counter", U64, listeners.handshake_failures,
        "Connections that ended before their greeting was over."),
    ROW("shm_connections_total", "counter", U64, listeners.shm_granted,
        "Clients that were given shared memory."),
    ROW("shm_refused_total", "counter", U64, listeners.shm_refused,
        "Clients that asked for shared memory and were refused."),
    ROW("shm_nonsense_total", "counter", U64, listeners.shm_nonsense,
        "Clients that broke the rules of shared memory and were cut off."),
    ROW("frames_refused_total", "counter", U64, sessions.frames_refused,
        "Frames of clients that were refused."),
    ROW("tokens_refused_total", "counter", U64, tokens_refused,
        "Tokens that were wrong or missing."),
    ROW("access_users", "gauge", U64, access.users, "Users of the users file."),
    ROW("access_connections_refused_total", "counter", U64, access.connections_refused,
        "Connections beyond connections_max of their user."),
    ROW("access_throttled_total", "counter", U64, access.throttled,
        "How often a user's rate of publishing made a connection wait."),
    ROW("audit_lines_total", "counter", U64, access.audit_lines, "Lines of the audit log."),
    ROW("audit_lines_lost_total", "counter", U64, access.audit_lost,
        "Lines of the audit log for which there was no room."),
    ROW("audit_lines_suppressed_total", "counter", U64, access.audit_suppressed,
        "Refusals left out of the audit log: too many a second of one user and host."),
    ROW("audit_write_errors_total", "counter", U64, access.audit_failures,
        "Writes of the audit log that failed; what they had is tried again."),
    ROW("config_last_reload_successful", "gauge", BOOL_NOT, config_failing,
        "Whether the last reload of the configuration worked."),
    ROW("config_last_reload_success_timestamp_seconds", "gauge", I64_NS, config_reloaded_unix_ns,
        "When the configuration was taken over last."),
    ROW("log_lines_suppressed_total", "counter", U64, log_suppressed,
        "Lines of the log left out: too many of one place."),
    ROW("log_lines_lost_total", "counter", U64, log_lost,
        "Lines of the log that could not be written."),
    ROW("admin_connections", "gauge", U64, admin.connections_open,
        "Connections of people and tools."),
    ROW("admin_streams", "gauge", U64, admin.streams_open, "Readers of live updates."),
    ROW("admin_events_lost_total", "counter", U64, admin.events_lost,
        "Live updates lost by slow readers."),
    ROW("admin_response_bytes_total", "counter", U64, admin.bytes_out,
        "Bytes of answers to people and tools."),
};

static double value_of(const struct row *row, const dxi_figures_t *figures)
{
    const void *const at = (const char *)figures + row->offset;
    switch (row->source) {
    case U64:
        return (double)*(const uint64_t *)at;
    case U32:
        return *(const uint32_t *)at;
    case I64_NS:
        return (double)*(const int64_t *)at / 1e9;
    case DOUBLE:
        return *(const double *)at;
    default:
        return *(const bool *)at ? 0 : 1;
    }
}

/* Samples that differ by one label: value and number of each, NULL behind the last. */
typedef struct labelled {
    const char *value;
    uint64_t number;
} labelled_t;

static void samples(dxi_metrics_text_t *text, const char *name, const char *type, const char *help,
                    const char *label, const labelled_t *all)
{
    dxi_metrics_head(text, name, type, help);
    for (; all->value != NULL; all++) {
        const char *const labels[] = {label, all->value, NULL};
        dxi_metrics_sample(text, name, labels, (double)all->number);
    }
}

/* The rings of all shards, looked at once. */
typedef struct lane {
    dxi_lane_stat_t stat;
    dxi_lane_events_t events;
} lane_t;

typedef struct lanes {
    lane_t *all;
    uint32_t count;
    int64_t blocked_ns;
} lanes_t;

static int lanes_look(dx_node_t *node, uint32_t shards, lanes_t *lanes, dx_error_t *error)
{
    *lanes = (lanes_t){.all = calloc(shards, sizeof *lanes->all)};
    if (lanes->all == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for the numbers of %u shards", shards);
    }
    for (; lanes->count < shards; lanes->count++) {
        lane_t *const lane = &lanes->all[lanes->count];
        if (dxi_bus_lane_stat(node->bus, lanes->count, &lane->stat) != DX_OK ||
            dxi_bus_lane_events(node->bus, lanes->count, &lane->events) != DX_OK) {
            return dxi_fail(error, DX_ESTATE, "the bus can't say what its rings do: it stops");
        }
        lanes->blocked_ns += lane->events.blocked_ns;
    }
    return DX_OK;
}

/* --------------------------------------------------------------------------------------- parts */

static void build_write(dxi_metrics_text_t *text)
{
    const char *const labels[] = {"version", DX_VERSION_STRING, "commit", DXI_COMMIT, NULL};
    dxi_metrics_head(text, "build_info", "gauge", "What runs here; always 1.");
    dxi_metrics_sample(text, "build_info", labels, 1);
}

static void network_write(dxi_metrics_text_t *text, const dxi_figures_t *figures)
{
    labelled_t kinds[5] = {{NULL, 0}};
    labelled_t ends[DXI_END_CODES + 1] = {{NULL, 0}};
    size_t count = 0;
    for (int i = 0; i < 4; i++) {
        kinds[i] = (labelled_t){dxi_transport_name(i), figures->connections_by_kind[i]};
    }
    samples(text, "connections", "gauge", "Open connections of clients.", "kind", kinds);
    for (int i = 0; i < DXI_END_CODES; i++) {
        const char *const name = dxi_end_name(i);
        size_t at = 0;
        while (name != NULL && at < count && strcmp(ends[at].value, name) != 0) {
            at++;
        }
        if (name != NULL) {
            count += at == count;
            ends[at].value = name;
            ends[at].number += (uint64_t)figures->listeners.ended[i];
        }
    }
    samples(text, "connection_errors_total", "counter",
            "Connections that ended otherwise than in order.", "reason", ends);
    const labelled_t bytes[] = {
        {"in", figures->sessions.bytes_in}, {"out", figures->sessions.bytes_out}, {NULL, 0}};
    samples(text, "network_bytes_total", "counter", "Bytes from and to clients.", "direction",
            bytes);
}

static void backpressure_write(dxi_metrics_text_t *text, const dxi_figures_t *figures,
                               const lanes_t *lanes)
{
    const struct cause {
        const char *name;
        int64_t ns;
    } CAUSES[] = {{"ring_full", (int64_t)figures->ring_wait_ns}, {"slow_block", lanes->blocked_ns}};
    dxi_metrics_head(text, "backpressure_seconds_total", "counter",
                     "How long publishers were held back by full rings, and shards by "
                     "subscriptions that block; all together.");
    for (size_t i = 0; i < DXI_API_COUNT(CAUSES); i++) {
        const char *const labels[] = {"cause", CAUSES[i].name, NULL};
        dxi_metrics_sample(text, "backpressure_seconds_total", labels, (double)CAUSES[i].ns / 1e9);
    }
}

static void config_write(dxi_metrics_text_t *text, const dxi_figures_t *figures)
{
    const labelled_t reloads[] = {{"success", figures->config_reloads},
                                  {"failure", figures->config_reload_failures},
                                  {NULL, 0}};
    samples(text, "config_reloads_total", "counter", "Reloads and changes of the configuration.",
            "result", reloads);
}

static void access_write(dxi_metrics_text_t *text, const dxi_figures_t *figures)
{
    labelled_t refused[DXI_ACCESS_ADMIN_WRITE + 2] = {{NULL, 0}};
    for (int i = 0; i <= DXI_ACCESS_ADMIN_WRITE; i++) {
        refused[i] = (labelled_t){dxi_access_action_name((dxi_access_action_t)i),
                                  figures->access.refused[i]};
    }
    samples(text, "access_refused_total", "counter", "What users were not allowed to do.", "action",
            refused);
}

static void admin_write(dxi_metrics_text_t *text, const dxi_figures_t *figures)
{
    static const char *const CODES[] = {"1xx", "2xx", "3xx", "4xx", "5xx"};
    labelled_t status[6] = {{NULL, 0}};
    labelled_t refused[DXI_ADMIN_REFUSALS + 1] = {{NULL, 0}};
    for (size_t i = 0; i < 5; i++) {
        status[i] = (labelled_t){CODES[i], figures->admin.status[i + 1]};
    }
    for (int i = 0; i < DXI_ADMIN_REFUSALS; i++) {
        refused[i] = (labelled_t){dxi_admin_refusal_name(i), figures->admin.refused[i]};
    }
    samples(text, "admin_requests_total", "counter", "Answers to people and tools, by status.",
            "code", status);
    samples(text, "admin_refused_total", "counter",
            "Requests of people and tools that were refused.", "reason", refused);
}

/* What became of spans; nothing, where nothing is traced. */
static void trace_write(dxi_metrics_text_t *text, const dx_node_t *node)
{
    dx_tracer_stats_t stats;
    if (node->tracer == NULL) {
        return;
    }
    dx_tracer_stats(node->tracer, &stats);
    const labelled_t spans[] = {{"exported", stats.exported},
                                {"rejected", stats.rejected},
                                {"failed", stats.failed},
                                {"dropped", stats.dropped},
                                {NULL, 0}};
    const labelled_t requests[] = {
        {"success", stats.requests - stats.failures}, {"failure", stats.failures}, {NULL, 0}};
    samples(text, "trace_spans_total", "counter", "Spans of events, by what became of them.",
            "result", spans);
    samples(text, "trace_requests_total", "counter", "Requests to the collector of spans.",
            "result", requests);
    dxi_metrics_one(text, "trace_spans_waiting", "gauge",
                    "Spans in buffers and in the request that is put together.",
                    (double)stats.waiting);
}

static void durations_write(dxi_metrics_text_t *text, const dxi_figures_t *figures)
{
    static const struct window {
        const char *name, *help;
    } WINDOWS[] = {
        {"publish_duration_p50_seconds",
         "Half of the events of the last 5 to 10 seconds took at most this long."},
        {"publish_duration_p99_seconds", "99 % of them took at most this long."},
        {"publish_duration_p999_seconds", "99.9 % of them took at most this long."},
        {"publish_duration_max_seconds", "The longest of them."},
    };
    dxi_metrics_histogram(text, "publish_duration_seconds",
                          "From the publisher's claim, or the arrival at the node, until the event "
                          "is taken and handed on. Some seconds late.",
                          "durability", "volatile", figures->totals.durations.taken);
    dxi_metrics_histogram(
        text, "end_to_end_duration_seconds",
        "The same of events that somebody subscribed to: until they are handed to "
        "all subscriptions that keep up. Some seconds late.",
        NULL, NULL, figures->totals.durations.handed);
    for (size_t i = 0; i < 4; i++) {
        dxi_metrics_one(text, WINDOWS[i].name, "gauge", WINDOWS[i].help,
                        (double)figures->latency_ns[i] / 1e9);
    }
}

/* ------------------------------------------------------------------------------ rings and loops */

typedef struct ring_metric {
    const char *name, *type, *help;
    bool consumer; /* it has the label of the consumer, too */
    double (*value)(const lane_t *lane);
} ring_metric_t;

static double ring_capacity(const lane_t *lane)
{
    return (double)lane->stat.ring.slot_count;
}
static double ring_used(const lane_t *lane)
{
    return (double)lane->stat.used;
}
static double ring_published(const lane_t *lane)
{
    return (double)lane->events.published;
}
static double ring_consumed(const lane_t *lane)
{
    return (double)lane->events.consumed;
}
static double ring_waits(const lane_t *lane)
{
    return (double)lane->stat.ring.claim_waits;
}
static double ring_wait_seconds(const lane_t *lane)
{
    return (double)lane->stat.ring.claim_wait_ns / 1e9;
}
static double ring_refusals(const lane_t *lane)
{
    return (double)lane->stat.ring.refusals;
}
static double ring_lag(const lane_t *lane)
{
    return (double)(lane->events.published - lane->events.consumed);
}

/* How many events a turn took out of a ring: buckets of powers of two. */
static void batches_write(dxi_metrics_text_t *text, const lanes_t *lanes)
{
    dxi_metrics_head(text, "ring_batch_size_events", "histogram",
                     "How many events a turn of a loop took out of a ring at a time.");
    for (uint32_t i = 0; i < lanes->count; i++) {
        const lane_t *const lane = &lanes->all[i];
        const char *const plain[] = {"ring", lane->stat.ring.name, NULL};
        uint64_t count = 0;
        for (uint32_t j = 0; j <= DXI_LANE_BATCHES; j++) {
            char bound[16] = "+Inf";
            const char *const labels[] = {"ring", lane->stat.ring.name, "le", bound, NULL};
            if (j < DXI_LANE_BATCHES) {
                count += lane->events.batches[j];
                (void)snprintf(bound, sizeof bound, "%u", 1U << j);
            }
            dxi_metrics_sample(text, "ring_batch_size_events_bucket", labels, (double)count);
        }
        dxi_metrics_sample(text, "ring_batch_size_events_sum", plain,
                           (double)lane->events.consumed);
        dxi_metrics_sample(text, "ring_batch_size_events_count", plain, (double)count);
    }
}

static void rings_write(dxi_metrics_text_t *text, const lanes_t *lanes)
{
    static const ring_metric_t METRICS[] = {
        {"ring_capacity_slots", "gauge",
         "Slots of 64 bytes in the ring before a shard; an event takes one or more.", false,
         ring_capacity},
        {"ring_used_slots", "gauge", "Slots that are claimed and not yet free.", false, ring_used},
        {"ring_published_events_total", "counter",
         "Events published into it, a compressed batch as one; what the short way takes is not "
         "among them.",
         false, ring_published},
        {"ring_consumed_events_total", "counter", "Those of them that were handled.", true,
         ring_consumed},
        {"ring_claim_waits_total", "counter", "How often a publisher waited for room.", false,
         ring_waits},
        {"ring_claim_wait_seconds_total", "counter", "How long publishers waited for room.", false,
         ring_wait_seconds},
        {"ring_refused_claims_total", "counter", "Publications refused for want of room.", false,
         ring_refusals},
        {"consumer_lag_events", "gauge", "Events published and not handled yet.", true, ring_lag},
    };
    for (size_t i = 0; i < DXI_API_COUNT(METRICS); i++) {
        dxi_metrics_head(text, METRICS[i].name, METRICS[i].type, METRICS[i].help);
        for (uint32_t j = 0; j < lanes->count; j++) {
            const char *const labels[] = {"ring", lanes->all[j].stat.ring.name,
                                          METRICS[i].consumer ? "consumer" : NULL, "shard", NULL};
            dxi_metrics_sample(text, METRICS[i].name, labels, METRICS[i].value(&lanes->all[j]));
        }
    }
    batches_write(text, lanes);
}

static void loops_write(dxi_metrics_text_t *text, dx_node_t *node)
{
    static const struct loop_metric {
        const char *name, *type, *help;
    } METRICS[] = {
        {"loop_turns_total", "counter", "Turns of a loop."},
        {"loop_sleeps_total", "counter", "How often it slept."},
        {"loop_busy_seconds_total", "counter", "How long it worked."},
        {"loop_turn_max_seconds", "gauge", "Its longest turn in the last second."},
        {"consumer_busy_ratio", "gauge",
         "The part of the time since the last look that a loop worked, 0 to 1."},
    };
    uint32_t count = 0;
    dxi_loop_t *const *const loops = dxi_bus_loops(node->bus, &count);
    for (size_t i = 0; i < DXI_API_COUNT(METRICS); i++) {
        dxi_metrics_head(text, METRICS[i].name, METRICS[i].type, METRICS[i].help);
        for (uint32_t j = 0; j < count; j++) {
            dxi_loop_stat_t stat;
            char name[16];
            const char *const labels[] = {i == 4 ? "consumer" : "loop", name, NULL};
            dxi_loop_stat(loops[j], &stat);
            (void)snprintf(name, sizeof name, "io.%u", j);
            const double values[] = {(double)stat.turns, (double)stat.sleeps,
                                     (double)stat.busy_ns / 1e9, (double)stat.turn_max_ns / 1e9,
                                     i == 4 ? dxi_figures_busy(node, j, &stat) : 0};
            dxi_metrics_sample(text, METRICS[i].name, labels, values[i]);
        }
    }
}

/* --------------------------------------------------------------------------------------- topics */

static void topics_write(dxi_metrics_text_t *text, const dxi_metrics_topics_t *topics)
{
    static const struct topic_metric {
        const char *name, *help;
    } METRICS[DXI_METRICS_COUNTS] = {
        [DXI_METRICS_RECEIVED] = {"messages_received_total", "Events that got a sequence."},
        [DXI_METRICS_DELIVERED] = {"messages_delivered_total", "Events times subscriptions."},
        [DXI_METRICS_REDELIVERED] = {"messages_redelivered_total", "Events delivered again."},
        [DXI_METRICS_DROPPED] = {"messages_dropped_total",
                                 "Events that a subscription missed, slow or unable to read "
                                 "them, each told as a gap."},
        [DXI_METRICS_REFUSED] = {"messages_refused_total", "Publications that were not taken."},
        [DXI_METRICS_DEAD] = {"messages_dead_lettered_total",
                              "Events given up after the last attempt."},
        [DXI_METRICS_BYTES] = {"message_bytes_total", "Bytes of payloads."},
    };
    const dxi_metrics_topic_t *topic = NULL;
    for (size_t i = 0; i < DXI_METRICS_COUNTS; i++) {
        dxi_metrics_head(text, METRICS[i].name, "counter", METRICS[i].help);
        for (size_t j = 0; (topic = dxi_metrics_topics_at(topics, j)) != NULL; j++) {
            const char *const plain[] = {"topic", topic->name, NULL};
            const char *const dead[] = {"topic", topic->name, "reason", "attempts", NULL};
            const char *const bytes[] = {"topic", topic->name, "direction", "in", NULL};
            dxi_metrics_sample(text, METRICS[i].name,
                               i == DXI_METRICS_DEAD    ? dead
                               : i == DXI_METRICS_BYTES ? bytes
                                                        : plain,
                               (double)topic->counts[i]);
        }
    }
    dxi_metrics_head(text, "topic_subscriptions", "gauge", "Subscriptions that see a topic.");
    for (size_t j = 0; (topic = dxi_metrics_topics_at(topics, j)) != NULL; j++) {
        const char *const labels[] = {"topic", topic->name, NULL};
        dxi_metrics_sample(text, "topic_subscriptions", labels, topic->subscriptions);
    }
}

/* --------------------------------------------------------------------------------------- groups */

typedef struct group {
    char pattern[DX_TOPIC_BYTES_MAX + 1];
    char name[DX_GROUP_BYTES_MAX + 1]; /* "": those without a group, of this pattern */
    uint64_t lag, lag_ns, pending, members;
} group_t;

typedef struct groups {
    group_t *all;
    size_t count, room;
    uint64_t lag_max, send_queue;
    int64_t now_unix_ns;
    bool failed;
} groups_t;

static int group_compare(const void *a, const void *b)
{
    const group_t *const one = a;
    const group_t *const other = b;
    const int order = strcmp(one->pattern, other->pattern);
    return order != 0 ? order : strcmp(one->name, other->name);
}

static void group_add(void *context, uint64_t connection, const dx_subscription_stats_t *stats)
{
    groups_t *const groups = context;
    (void)connection;
    if (groups->count == groups->room) {
        const size_t room = groups->room == 0 ? 64 : 2 * groups->room;
        group_t *const grown = realloc(groups->all, room * sizeof *grown);
        if (grown == NULL) {
            groups->failed = true;
            return;
        }
        groups->all = grown;
        groups->room = room;
    }
    group_t *const group = &groups->all[groups->count++];
    memcpy(group->pattern, stats->pattern, sizeof group->pattern);
    memcpy(group->name, stats->group, sizeof group->name);
    group->lag = stats->lag;
    group->lag_ns = stats->lag_unix_ns != 0 && stats->lag_unix_ns < groups->now_unix_ns
                        ? (uint64_t)(groups->now_unix_ns - stats->lag_unix_ns)
                        : 0;
    group->pending = stats->pending;
    group->members = 1;
}

/* Members of one group become one: what they lag behind is the group's. Without a group, the one
 * furthest behind stands for the pattern. */
static void groups_merge(groups_t *groups)
{
    size_t to = 0;
    if (groups->count == 0) {
        return;
    }
    qsort(groups->all, groups->count, sizeof *groups->all, group_compare);
    for (size_t i = 1; i < groups->count; i++) {
        group_t *const one = &groups->all[to];
        const group_t *const next = &groups->all[i];
        if (group_compare(one, next) == 0) {
            one->lag = one->lag > next->lag ? one->lag : next->lag;
            one->lag_ns = one->lag_ns > next->lag_ns ? one->lag_ns : next->lag_ns;
            one->pending += next->pending;
            one->members++;
        } else {
            groups->all[++to] = *next;
        }
    }
    groups->count = to + 1;
}

static int lag_compare(const void *a, const void *b)
{
    const group_t *const one = a;
    const group_t *const other = b;
    const int order = (one->lag < other->lag) - (one->lag > other->lag);
    return order != 0 ? order : group_compare(a, b);
}

static void groups_write(dxi_metrics_text_t *text, groups_t *groups)
{
    static const struct group_metric {
        const char *name, *help;
        size_t offset;
        double scale;
    } METRICS[] = {
        {"group_lag_messages",
         "Events that a group, or the slowest subscription of a pattern, has "
         "not been given yet.",
         offsetof(group_t, lag), 1},
        {"group_lag_seconds",
         "How long ago the oldest of these events that is kept was published; 0: there is none.",
         offsetof(group_t, lag_ns), 1e-9},
        {"group_pending_messages", "Delivered and not acknowledged.", offsetof(group_t, pending),
         1},
        {"group_members", "Members of a group, or subscriptions of a pattern.",
         offsetof(group_t, members), 1},
    };
    groups_merge(groups);
    if (groups->count != 0) {
        qsort(groups->all, groups->count, sizeof *groups->all, lag_compare);
    }
    for (size_t i = 0; i < DXI_API_COUNT(METRICS); i++) {
        uint64_t rest = 0;
        dxi_metrics_head(text, METRICS[i].name, "gauge", METRICS[i].help);
        for (size_t j = 0; j < groups->count; j++) {
            const char *const at = (const char *)&groups->all[j] + METRICS[i].offset;
            const uint64_t value = *(const uint64_t *)(const void *)at;
            const char *const labels[] = {"topic", groups->all[j].pattern, "group",
                                          groups->all[j].name, NULL};
            if (j < DXI_METRICS_GROUPS_MAX) {
                dxi_metrics_sample(text, METRICS[i].name, labels, (double)value * METRICS[i].scale);
            } else if (METRICS[i].scale == 1) {
                rest += value;
            } else {
                rest = rest > value ? rest : value; /* times do not add up */
            }
        }
        if (groups->count > DXI_METRICS_GROUPS_MAX) { /* no pattern has a blank in it */
            static const char *const OTHER[] = {"topic", "other groups", "group", "", NULL};
            dxi_metrics_sample(text, METRICS[i].name, OTHER, (double)rest * METRICS[i].scale);
        }
    }
}

static void queue_add(void *context, const dxi_session_info_t *info)
{
    ((groups_t *)context)->send_queue += info->send_queue_bytes;
}

/* ------------------------------------------------------------------------------------ all of it */

static void topic_see(void *context, const dx_topic_stats_t *stats)
{
    dxi_metrics_topics_see(context, stats);
}

static int topics_look(dx_node_t *node, dxi_figures_t *figures, dx_error_t *error)
{
    dxi_metrics_topics_t *const topics = node->admin.topics;
    (void)pthread_mutex_lock(&node->mutex);
    const uint32_t most = (uint32_t)dx_config_integer(node->config, "admin.metrics_topics_max");
    (void)pthread_mutex_unlock(&node->mutex);
    dxi_metrics_topics_begin(topics, most);
    const int code = dxi_figures_collect(node, figures, topic_see, topics, error);
    const dxi_shard_sums_t *const sums = &figures->totals.sums;
    const uint64_t totals[DXI_METRICS_COUNTS] = {
        [DXI_METRICS_RECEIVED] = sums->published,      [DXI_METRICS_DELIVERED] = sums->delivered,
        [DXI_METRICS_REDELIVERED] = sums->redelivered, [DXI_METRICS_DROPPED] = sums->dropped,
        [DXI_METRICS_REFUSED] = sums->refused,         [DXI_METRICS_DEAD] = sums->dead,
        [DXI_METRICS_BYTES] = sums->published_bytes,
    };
    if (code == DX_OK) {
        dxi_metrics_topics_end(topics, totals);
    }
    return code;
}

static int metrics_write(dx_node_t *node, dxi_metrics_text_t *text, dx_error_t *error)
{
    dxi_figures_t figures;
    lanes_t lanes = {.all = NULL};
    groups_t groups = {.all = NULL, .now_unix_ns = dx_clock_realtime_ns()};
    int code = topics_look(node, &figures, error);
    if (code == DX_OK && (dxi_bus_subscriptions_each(node->bus, group_add, &groups) < 0 ||
                          dxi_bus_sessions_each(node->bus, queue_add, &groups) < 0)) {
        code = dxi_fail(error, DX_ESTATE, "the bus can't say what its clients do: it stops");
    }
    if (code == DX_OK) {
        code = lanes_look(node, figures.shards, &lanes, error);
    }
    if (code != DX_OK) {
        free(lanes.all);
        free(groups.all);
        return code;
    }
    build_write(text);
    for (size_t i = 0; i < DXI_API_COUNT(ROWS); i++) {
        dxi_metrics_one(text, ROWS[i].name, ROWS[i].type, ROWS[i].help,
                        value_of(&ROWS[i], &figures));
    }
    network_write(text, &figures);
    dxi_metrics_one(text, "network_send_queue_bytes", "gauge", "What waits to be sent to clients.",
                    (double)groups.send_queue);
    backpressure_write(text, &figures, &lanes);
    config_write(text, &figures);
    access_write(text, &figures);
    durations_write(text, &figures);
    rings_write(text, &lanes);
    loops_write(text, node);
    topics_write(text, node->admin.topics);
    groups_write(text, &groups);
    admin_write(text, &figures);
    trace_write(text, node);
    free(lanes.all);
    free(groups.all);
    return DX_OK;
}

int dxi_metrics_write(dx_node_t *node, dxi_metrics_text_t *text, dx_error_t *error)
{
    (void)pthread_mutex_lock(&node->admin.metrics_mutex); /* one look at topics at a time */
    const int code = metrics_write(node, text, error);
    (void)pthread_mutex_unlock(&node->admin.metrics_mutex);
    return code;
}

DXI_API_ROUTE(dxi_api_metrics)
{
    dxi_metrics_text_t text = {.bytes = NULL};
    const int code = dxi_metrics_write(context, &text, error);
    if (code != DX_OK || text.failed) {
        free(text.bytes);
        text.bytes = NULL;
    }
    if (code == DX_OK) {
        dxi_admin_answer(request, 200, TYPE, text.bytes, text.used);
    }
    return code;
}
