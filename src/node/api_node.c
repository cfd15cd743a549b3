/* api_node.c - the node as a whole: health, numbers, errors by reason; page and description.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/api.h"
#include "node/api_node.h"
#include "node/dashboard/dashboard.h"
#include "node/openapi.h"

/* --------------------------------------------------------------------------- page, description */

DXI_API_ROUTE(dxi_api_page)
{
    (void)context;
    (void)error;
    dxi_admin_answer_page(request, "text/html; charset=utf-8", DXI_DASHBOARD.page,
                          DXI_DASHBOARD.bytes, DXI_DASHBOARD.policy, DXI_DASHBOARD.tag);
    return DX_OK;
}

DXI_API_ROUTE(dxi_api_openapi)
{
    (void)context;
    (void)error;
    dxi_admin_answer_page(request, "application/json", DXI_OPENAPI, DXI_OPENAPI_BYTES, NULL, NULL);
    return DX_OK;
}

/* -------------------------------------------------------------------------------------- health */

DXI_API_ROUTE(dxi_api_livez)
{
    (void)context;
    (void)error;
    return dxi_api_answer(request, 200, json_pack("{s:s}", "status", "live"));
}

#define RETAINED_PART 0.95 /* of topics.retain_bytes_max: told as a reason */

typedef struct reasons {
    json_t *array;
    bool ready, failed;
} reasons_t;

static void reason_add(reasons_t *reasons, bool hinders, const char *name, const char *message)
{
    reasons->ready = reasons->ready && !hinders;
    json_t *const reason = json_pack("{s:s, s:s}", "name", name, "message", message);
    reasons->failed = reasons->failed || json_array_append_new(reasons->array, reason) != 0;
}

/* Under the mutex. */
static void listeners_look(const dx_node_t *node, reasons_t *reasons)
{
    char message[DXI_ADDRESS_TEXT_MAX + 64];
    for (uint32_t i = 0; i < node->listener_count; i++) {
        if (node->listeners[i].listener == NULL) {
            (void)snprintf(message, sizeof message, "%s is not listened on",
                           node->listeners[i].address);
            reason_add(reasons, true, "listeners", message);
        }
    }
}

/* Asks no loop, so that the answer comes whatever loops do. */
DXI_API_ROUTE(dxi_api_readyz)
{
    dx_node_t *const node = context;
    reasons_t reasons = {.array = json_array(), .ready = true};
    (void)error;
    (void)pthread_mutex_lock(&node->mutex);
    const dxi_node_state_t state = node->state;
    const bool failing = node->config_failing;
    const double most = (double)dx_config_integer(node->config, "topics.retain_bytes_max");
    if (state == DXI_NODE_RUNNING) {
        listeners_look(node, &reasons);
    }
    (void)pthread_mutex_unlock(&node->mutex);
    if (state == DXI_NODE_CREATED) {
        reason_add(&reasons, true, "starting", "the node is starting");
    } else if (state == DXI_NODE_DRAINING) {
        reason_add(&reasons, true, "draining", "the node stops: it takes nothing new");
    } else if (state == DXI_NODE_STOPPED) {
        reason_add(&reasons, true, "stopped", "the node has stopped");
    }
    const double retained = (double)dxi_bus_retained_bytes(node->bus);
    if (retained > RETAINED_PART * most) {
        reason_add(&reasons, false, "memory",
                   "topics retain almost all that topics.retain_bytes_max allows: who lags may "
                   "lose events");
    }
    if (failing) {
        reason_add(&reasons, false, "config",
                   "the last reload failed: the node works with the configuration from before");
    }
    if (reasons.failed) {
        json_decref(reasons.array);
        reasons.array = NULL;
    }
    json_t *object = dxi_api_put(json_object(), "ready", json_boolean(reasons.ready));
    object = dxi_api_put(object, "reasons", reasons.array);
    return dxi_api_answer(request, reasons.ready ? 200 : 503, object);
}

/* --------------------------------------------------------------------------------------- parts */

json_t *dxi_api_latency(const dxi_figures_t *figures)
{
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I}", "count", (json_int_t)figures->latency_count, "p50_ns",
        (json_int_t)figures->latency_ns[0], "p99_ns", (json_int_t)figures->latency_ns[1], "p999_ns",
        (json_int_t)figures->latency_ns[2], "max_ns", (json_int_t)figures->latency_ns[3]);
}

json_t *dxi_api_process(const dxi_process_t *process)
{
    return json_pack("{s:f, s:I, s:I, s:I}", "cpu_seconds", process->cpu_seconds, "resident_bytes",
                     (json_int_t)process->resident_bytes, "open_fds", (json_int_t)process->open_fds,
                     "max_fds", (json_int_t)process->max_fds);
}

#define FIGURE(name, member)                                                                       \
    {                                                                                              \
        name, DXI_API_U64, offsetof(dxi_figures_t, member)                                         \
    }
#define SUM(name) FIGURE(#name, totals.sums.name)

json_t *dxi_api_counts(json_t *object, const dxi_figures_t *figures)
{
    static const dxi_api_field_t FIELDS[] = {
        FIGURE("topics", totals.topics),
        {"subscriptions", DXI_API_U32, offsetof(dxi_figures_t, subscriptions)},
        FIGURE("connections", sessions.open),
        SUM(published),
        SUM(published_bytes),
        SUM(delivered),
        SUM(dropped),
        SUM(refused),
        SUM(duplicates),
        SUM(redelivered),
        SUM(dead),
        SUM(filtered),
        SUM(unheard),
        FIGURE("slow_consumers", totals.slow),
        FIGURE("bytes_in", sessions.bytes_in),
        FIGURE("bytes_out", sessions.bytes_out),
        FIGURE("retained_bytes", totals.retained_bytes),
    };
    return dxi_api_fields(object, FIELDS, DXI_API_COUNT(FIELDS), figures);
}

/* ---------------------------------------------------------------------------------------- node */

static json_t *addresses_make(const dx_node_t *node)
{
    json_t *const array = json_array();
    const char *address = NULL;
    for (size_t i = 0; (address = dx_node_address(node, i)) != NULL; i++) {
        if (json_array_append_new(array, dxi_api_text(address)) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

/* Who it is. */
static json_t *identity_make(const dx_node_t *node, const dxi_figures_t *figures)
{
    char id[17];
    (void)snprintf(id, sizeof id, "%016llx", (unsigned long long)node->id);
    return json_pack(
        "{s:o, s:s, s:s, s:s, s:I, s:s, s:I, s:I, s:I, s:I}", "name", dxi_api_text(node->name),
        "id", id, "version", DX_VERSION_STRING, "commit", DXI_COMMIT, "process_id",
        (json_int_t)getpid(), "state", dxi_node_state_name(figures->state), "started_unix_ns",
        (json_int_t)figures->started_unix_ns, "uptime_ns", (json_int_t)figures->uptime_ns, "shards",
        (json_int_t)figures->shards, "loops", (json_int_t)figures->loops);
}

/* NULL: no memory. */
static json_t *trace_make(const dx_tracer_t *tracer)
{
    static const dxi_api_field_t FIELDS[] = {
        {"recorded", DXI_API_U64, offsetof(dx_tracer_stats_t, recorded)},
        {"dropped", DXI_API_U64, offsetof(dx_tracer_stats_t, dropped)},
        {"exported", DXI_API_U64, offsetof(dx_tracer_stats_t, exported)},
        {"rejected", DXI_API_U64, offsetof(dx_tracer_stats_t, rejected)},
        {"failed", DXI_API_U64, offsetof(dx_tracer_stats_t, failed)},
        {"waiting", DXI_API_U64, offsetof(dx_tracer_stats_t, waiting)},
        {"requests", DXI_API_U64, offsetof(dx_tracer_stats_t, requests)},
        {"request_failures", DXI_API_U64, offsetof(dx_tracer_stats_t, failures)},
    };
    dx_tracer_stats_t stats;
    dx_tracer_stats(tracer, &stats);
    return dxi_api_fields(json_object(), FIELDS, DXI_API_COUNT(FIELDS), &stats);
}

DXI_API_OBJECT(dxi_api_node_object)
{
    static const dxi_api_field_t FIELDS[] = {
        FIGURE("connections_accepted", listeners.accepted),
        FIGURE("connections_refused", listeners.refused),
        FIGURE("handshake_failures", listeners.handshake_failures),
        FIGURE("tls_failures", listeners.tls_failures),
        FIGURE("tokens_refused", tokens_refused),
        FIGURE("frames_refused", sessions.frames_refused),
        FIGURE("retained_bytes_max", retained_bytes_max),
        FIGURE("config_reloads", config_reloads),
        FIGURE("config_reload_failures", config_reload_failures),
        {"published_rate_1m", DXI_API_DOUBLE, offsetof(dxi_figures_t, totals.rate_1m)},
        {"delivered_rate_1m", DXI_API_DOUBLE, offsetof(dxi_figures_t, delivered_rate_1m)},
    };
    dxi_figures_t figures;
    (void)argument;
    const int code = dxi_figures_collect(node, &figures, NULL, NULL, error);
    if (code != DX_OK) {
        return code;
    }
    json_t *object = dxi_api_counts(identity_make(node, &figures), &figures);
    object = dxi_api_fields(object, FIELDS, DXI_API_COUNT(FIELDS), &figures);
    object = dxi_api_put(object, "latency", dxi_api_latency(&figures));
    object = dxi_api_put(object, "process", dxi_api_process(&figures.process));
    object = dxi_api_put(object, "addresses", addresses_make(node));
    if (node->admin.server != NULL) {
        object = dxi_api_put(object, "admin_address",
                             json_string(dxi_admin_address(node->admin.server)));
    }
    if (node->tracer != NULL) {
        object = dxi_api_put(object, "trace", trace_make(node->tracer));
    }
    return dxi_api_made(object, object_out, error);
}

DXI_API_ROUTE(dxi_api_node)
{
    return dxi_api_answer_made(request, context, dxi_api_node_object, "", error);
}

/* -------------------------------------------------------------------------------------- errors */

#define PROBLEM(area, reason, member, help)                                                        \
    {                                                                                              \
        area, reason, offsetof(dxi_figures_t, member), help                                        \
    }

static const struct problem {
    const char *area, *reason;
    size_t offset;
    const char *help;
} PROBLEMS[] = {
    PROBLEM("connection", "refused", listeners.refused,
            "Connections refused: too many, or the node stops."),
    PROBLEM("connection", "accept", listeners.accept_errors,
            "Connections that could not be accepted, for want of descriptors as a rule."),
    PROBLEM("connection", "handshake", listeners.handshake_failures,
            "Connections that ended before their greeting was over."),
    PROBLEM("connection", "tls", listeners.tls_failures, "Handshakes of TLS that failed."),
    PROBLEM("publish", "refused", totals.sums.refused,
            "Publications that topics did not take: too large, no room, not heard, no topic."),
    PROBLEM("publish", "duplicate", totals.sums.duplicates,
            "Publications that had been taken before."),
    PROBLEM("publish", "unheard", totals.sums.unheard, "Events published while nobody subscribed."),
    PROBLEM("deliver", "dropped", totals.sums.dropped,
            "Events that a subscription missed, slow or unable to read them, each told as a gap."),
    PROBLEM("deliver", "slow", totals.slow,
            "How often a subscription fell behind for want of room or credit."),
    PROBLEM("deliver", "redelivered", totals.sums.redelivered, "Events delivered again."),
    PROBLEM("deliver", "dead", totals.sums.dead, "Events given up, sent to a dead-letter topic."),
    PROBLEM("deliver", "dead_lost", totals.dead_lost, "Dead letters that could not be published."),
    PROBLEM("frame", "refused", sessions.frames_refused, "Frames of clients that were refused."),
    PROBLEM("access", "token", tokens_refused, "Tokens that were wrong or missing."),
    PROBLEM("access", "login", access.logins_refused, "Tokens and certificates that are nobody's."),
    PROBLEM("access", "connections", access.connections_refused,
            "Connections beyond what a user may have."),
    PROBLEM("access", "publish", access.refused[DXI_ACCESS_PUBLISH],
            "Publications that users were not allowed to make."),
    PROBLEM("access", "subscribe", access.refused[DXI_ACCESS_SUBSCRIBE],
            "Subscriptions, and looks at topics, that users were not allowed."),
    PROBLEM("access", "request", access.refused[DXI_ACCESS_REQUEST],
            "Requests that users were not allowed to make."),
    PROBLEM("access", "manage", access.refused[DXI_ACCESS_MANAGE],
            "Topics that users were not allowed to create, change or delete."),
    PROBLEM("access", "admin_read", access.refused[DXI_ACCESS_ADMIN_READ],
            "Questions that users were not allowed to ask."),
    PROBLEM("access", "admin_write", access.refused[DXI_ACCESS_ADMIN_WRITE],
            "Changes of the node that users were not allowed to make."),
    PROBLEM("access", "audit_lost", access.audit_lost, "Lines of the audit log that were lost."),
    PROBLEM("access", "audit_suppressed", access.audit_suppressed,
            "Refusals left out of the audit log: too many a second of one user and host."),
    PROBLEM("config", "reload", config_reload_failures, "Reloads and changes that failed."),
    PROBLEM("log", "suppressed", log_suppressed, "Lines left out: too many of one place."),
    PROBLEM("log", "lost", log_lost, "Lines that could not be written."),
    PROBLEM("admin", "events_lost", admin.events_lost, "Live updates lost by slow readers."),
};

static bool problem_add(json_t *array, const char *area, const char *reason, uint64_t count,
                        const char *help)
{
    return json_array_append_new(array,
                                 json_pack("{s:s, s:s, s:I, s:s}", "area", area, "reason", reason,
                                           "count", (json_int_t)count, "help", help)) == 0;
}

/* Why connections ended. Codes of the same reason are one. */
static bool ends_add(json_t *array, const dxi_figures_t *figures)
{
    bool done[DXI_END_CODES] = {false};
    for (int i = 0; i < DXI_END_CODES; i++) {
        const char *const name = dxi_end_name(i);
        uint64_t count = 0;
        if (name == NULL || done[i]) {
            continue;
        }
        for (int j = i; j < DXI_END_CODES; j++) {
            const char *const other = dxi_end_name(j);
            if (other != NULL && strcmp(other, name) == 0) {
                done[j] = true;
                count += (uint64_t)figures->listeners.ended[j];
            }
        }
        char reason[32];
        (void)snprintf(reason, sizeof reason, "ended_%s", name);
        if (!problem_add(array, "connection", reason, count, dxi_end_help(name))) {
            return false;
        }
    }
    return true;
}

DXI_API_ROUTE(dxi_api_errors)
{
    dx_node_t *const node = context;
    dxi_figures_t figures;
    const int code = dxi_figures_collect(node, &figures, NULL, NULL, error);
    if (code != DX_OK) {
        return code;
    }
    json_t *const array = json_array();
    bool good = array != NULL;
    for (size_t i = 0; i < DXI_API_COUNT(PROBLEMS) && good; i++) {
        const char *const at = (const char *)&figures + PROBLEMS[i].offset;
        good = problem_add(array, PROBLEMS[i].area, PROBLEMS[i].reason,
                           *(const uint64_t *)(const void *)at, PROBLEMS[i].help);
    }
    good = good && ends_add(array, &figures);
    for (int i = 0; i < DXI_ADMIN_REFUSALS && good; i++) {
        good = problem_add(array, "admin", dxi_admin_refusal_name(i), figures.admin.refused[i],
                           "Requests of people and tools that were refused.");
    }
    if (!good) {
        json_decref(array);
        return dxi_api_answer(request, 500, NULL);
    }
    return dxi_api_answer(request, 200, dxi_api_put(json_object(), "errors", array));
}
