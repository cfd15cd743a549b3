/* api_events.c - live updates: numbers once a second, and what happens.
 *
 * The clock of the admin server calls once a second while somebody reads. Numbers are collected
 * once for all readers; a new reader gets some at once. Happenings are lines of the log that
 * matter: warnings and errors, and what the node and its admin server say of themselves.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "disruptorx/clock.h"
#include "node/api.h"
#include "node/api_log.h"
#include "node/api_node.h"

#define CONSUMERS_MAX 20
#define RINGS_MAX 64      /* shown in an update; /api/v1/rings has all */
#define HAPPENINGS_MAX 64 /* at once */

/* --------------------------------------------------------------------------------------- parts */

static json_t *rings_make(dx_node_t *node)
{
    json_t *const array = json_array();
    dxi_lane_stat_t lane;
    for (uint32_t i = 0; i < RINGS_MAX && dxi_bus_lane_stat(node->bus, i, &lane) == DX_OK; i++) {
        (void)json_array_append_new(array, json_pack("{s:o, s:I, s:I}", "name",
                                                     dxi_api_text(lane.ring.name), "used_slots",
                                                     (json_int_t)lane.used, "capacity_slots",
                                                     (json_int_t)lane.ring.slot_count));
    }
    return array;
}

static json_t *loops_make(dx_node_t *node)
{
    json_t *const array = json_array();
    uint32_t count = 0;
    dxi_loop_t *const *const loops = dxi_bus_loops(node->bus, &count);
    for (uint32_t i = 0; i < count; i++) {
        dxi_loop_stat_t stat;
        char name[16];
        dxi_loop_stat(loops[i], &stat);
        (void)snprintf(name, sizeof name, "io.%u", i);
        (void)json_array_append_new(array, json_pack("{s:s, s:f}", "name", name, "busy_ratio",
                                                     dxi_figures_busy(node, i, &stat)));
    }
    return array;
}

/* Those furthest behind, sorted, the furthest first. */
typedef struct consumers {
    struct consumer {
        uint64_t connection;
        dx_subscription_stats_t stats;
    } worst[CONSUMERS_MAX];
    size_t count;
} consumers_t;

static void consumer_add(void *context, uint64_t connection, const dx_subscription_stats_t *stats)
{
    consumers_t *const all = context;
    size_t at = all->count;
    if (stats->lag == 0 && stats->pending == 0) {
        return;
    }
    while (at > 0 && all->worst[at - 1].stats.lag < stats->lag) {
        at--;
    }
    if (at == CONSUMERS_MAX) {
        return;
    }
    all->count += all->count < CONSUMERS_MAX;
    memmove(&all->worst[at + 1], &all->worst[at], (all->count - 1 - at) * sizeof all->worst[0]);
    all->worst[at].connection = connection;
    all->worst[at].stats = *stats;
}

static json_t *consumers_make(dx_node_t *node)
{
    json_t *const array = json_array();
    consumers_t *const all = calloc(1, sizeof *all);
    if (all != NULL && dxi_bus_subscriptions_each(node->bus, consumer_add, all) >= 0) {
        for (size_t i = 0; i < all->count; i++) {
            const dx_subscription_stats_t *const stats = &all->worst[i].stats;
            (void)json_array_append_new(
                array, json_pack("{s:o, s:o, s:o, s:I, s:I, s:I}", "name",
                                 dxi_api_text(stats->name), "pattern", dxi_api_text(stats->pattern),
                                 "group", dxi_api_text(stats->group), "connection",
                                 (json_int_t)all->worst[i].connection, "lag",
                                 (json_int_t)stats->lag, "pending", (json_int_t)stats->pending));
        }
    }
    free(all);
    return array;
}

/* -------------------------------------------------------------------------------------- numbers */

static double rate(uint64_t now, uint64_t before, double seconds)
{
    return seconds > 0 && now >= before ? (double)(now - before) / seconds : 0;
}

/* Rates since the last numbers; they are kept for who comes in between. */
static json_t *rates_put(dx_node_t *node, json_t *object, const dxi_figures_t *figures, bool next)
{
    dxi_event_rates_t *const rates = &node->admin.rates;
    const int64_t now_ns = dx_clock_ns();
    (void)pthread_mutex_lock(&node->admin.mutex);
    if (next) {
        const bool known = rates->at_ns != 0 && now_ns - rates->at_ns < 5 * DX_NS_PER_S;
        const double seconds = known ? (double)(now_ns - rates->at_ns) / 1e9 : 0;
        rates->per_s[0] = rate(figures->totals.sums.published, rates->counts[0], seconds);
        rates->per_s[1] = rate(figures->totals.sums.delivered, rates->counts[1], seconds);
        rates->per_s[2] = rate(figures->sessions.bytes_in, rates->counts[2], seconds);
        rates->per_s[3] = rate(figures->sessions.bytes_out, rates->counts[3], seconds);
        rates->counts[0] = figures->totals.sums.published;
        rates->counts[1] = figures->totals.sums.delivered;
        rates->counts[2] = figures->sessions.bytes_in;
        rates->counts[3] = figures->sessions.bytes_out;
        rates->at_ns = now_ns;
    }
    const dxi_event_rates_t seen = *rates;
    (void)pthread_mutex_unlock(&node->admin.mutex);
    object = dxi_api_put(object, "published_rate", json_real(seen.per_s[0]));
    object = dxi_api_put(object, "delivered_rate", json_real(seen.per_s[1]));
    object = dxi_api_put(object, "bytes_in_rate", json_real(seen.per_s[2]));
    return dxi_api_put(object, "bytes_out_rate", json_real(seen.per_s[3]));
}

/* One line of JSON, malloc()ed; NULL: not now. `next`: a second is over. */
static char *numbers_make(dx_node_t *node, bool next)
{
    dxi_figures_t figures;
    if (dxi_figures_collect(node, &figures, NULL, NULL, NULL) != DX_OK) {
        return NULL;
    }
    json_t *object = json_pack(
        "{s:I, s:I, s:s, s:I, s:I}", "unix_ns", (json_int_t)dx_clock_realtime_ns(), "uptime_ns",
        (json_int_t)figures.uptime_ns, "state", dxi_node_state_name(figures.state),
        "config_reloads", (json_int_t)figures.config_reloads, "config_reload_failures",
        (json_int_t)figures.config_reload_failures);
    object = dxi_api_counts(object, &figures);
    object = rates_put(node, object, &figures, next);
    object = dxi_api_put(object, "latency", dxi_api_latency(&figures));
    object = dxi_api_put(object, "rings", rings_make(node));
    object = dxi_api_put(object, "loops", loops_make(node));
    object = dxi_api_put(object, "consumers", consumers_make(node));
    object = dxi_api_put(object, "process", dxi_api_process(&figures.process));
    char *const text = object != NULL ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    return text;
}

/* ----------------------------------------------------------------------------------- happenings */

static bool matters(const dxi_line_t *line)
{
    return line->level >= DX_LOG_LEVEL_WARN || strcmp(line->component, "node") == 0 ||
           strcmp(line->component, "admin") == 0;
}

/* The next line that matters, as one line of JSON, malloc()ed; NULL: none. */
static char *happening_next(dx_node_t *node, uint64_t *after)
{
    dxi_line_t line;
    uint64_t lost = 0;
    while (dxi_lines_next(&node->lines, *after, DX_LOG_LEVEL_INFO, &line, &lost)) {
        *after = line.sequence;
        if (matters(&line)) {
            json_t *const object = dxi_api_line(&line);
            char *const text = object != NULL ? json_dumps(object, JSON_COMPACT) : NULL;
            json_decref(object);
            return text;
        }
    }
    return NULL;
}

/* ----------------------------------------------------------------------------------------- both */

void dxi_api_tick(void *context)
{
    dx_node_t *const node = context;
    char *text = NULL;
    uint64_t after = (uint64_t)dx_load_relaxed(&node->admin.told);
    for (int i = 0; i < HAPPENINGS_MAX && (text = happening_next(node, &after)) != NULL; i++) {
        dxi_admin_publish(node->admin.server, "happening", after, text, strlen(text));
        free(text);
    }
    dx_store_relaxed(&node->admin.told, (int64_t)after);
    text = numbers_make(node, true);
    if (text != NULL) {
        dxi_admin_publish(node->admin.server, "numbers", 0, text, strlen(text));
        free(text);
    }
}

/* The happenings behind the one that a reader knows already. */
static void catch_up(dx_node_t *node, dxi_admin_request_t *request, uint64_t after, uint64_t newest)
{
    char *text = NULL;
    while (after < newest && (text = happening_next(node, &after)) != NULL) {
        if (after <= newest) {
            dxi_admin_publish_to(request, "happening", after, text, strlen(text));
        }
        free(text);
    }
}

DXI_API_ROUTE(dxi_api_events)
{
    dx_node_t *const node = context;
    const char *const last = dxi_admin_header(request, "Last-Event-ID");
    char *end = NULL;
    uint64_t after = UINT64_MAX;
    if (last != NULL) {
        after = strtoull(last, &end, 10);
        if (last[0] < '0' || last[0] > '9' || *end != '\0') {
            return dxi_fail(error, DX_EINVAL, "Last-Event-ID is \"%.40s\", must be a number", last);
        }
    }
    /* Where nobody was told, it begins now: rates count from here, happenings too. */
    const bool first = dxi_admin_readers(node->admin.server) == 0;
    char *const text = numbers_make(node, first);
    if (first) {
        dx_store_relaxed(&node->admin.told, (int64_t)dxi_lines_newest(&node->lines));
    }
    dxi_admin_answer_stream(request);
    if (after != UINT64_MAX) {
        catch_up(node, request, after, (uint64_t)dx_load_relaxed(&node->admin.told));
    }
    if (text != NULL) {
        dxi_admin_publish_to(request, "numbers", 0, text, strlen(text));
        free(text);
    }
    return DX_OK;
}
