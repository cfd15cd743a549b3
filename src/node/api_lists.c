/* api_lists.c - subscriptions, connections, rings and loops.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "disruptorx/clock.h"
#include "node/api.h"
#include "node/figures.h"

static int list_failed(int code, dx_error_t *error)
{
    return dxi_fail(error, code, "the bus can't say: %s", dx_error_text(code));
}

/* ------------------------------------------------------------------------------- subscriptions */

typedef struct subscription {
    uint64_t connection;
    dx_subscription_stats_t stats;
} subscription_t;

#define STATS(name, kind)                                                                          \
    {                                                                                              \
#name, kind, offsetof(subscription_t, stats.name)                                          \
    }
static const dxi_api_field_t SUBSCRIPTION_FIELDS[] = {
    STATS(name, DXI_API_CHARS),
    STATS(pattern, DXI_API_CHARS),
    STATS(group, DXI_API_CHARS),
    {"connection", DXI_API_U64, offsetof(subscription_t, connection)},
    STATS(delivered, DXI_API_U64),
    STATS(redelivered, DXI_API_U64),
    STATS(acknowledged, DXI_API_U64),
    STATS(refused, DXI_API_U64),
    STATS(dropped, DXI_API_U64),
    STATS(gaps, DXI_API_U64),
    STATS(dead, DXI_API_U64),
    STATS(filtered, DXI_API_U64),
    STATS(pending, DXI_API_U64),
    STATS(lag, DXI_API_U64),
    STATS(lag_unix_ns, DXI_API_I64),
};

typedef struct subscriptions {
    dxi_api_list_t list;
    const char *text;            /* a part of name, pattern or group; NULL: any */
    const char *pattern, *group; /* NULL: any */
    int64_t connection;          /* -1: any */
} subscriptions_t;

static void subscription_add(void *context, uint64_t connection,
                             const dx_subscription_stats_t *stats)
{
    subscriptions_t *const all = context;
    const subscription_t item = {.connection = connection, .stats = *stats};
    if ((all->text == NULL || strstr(stats->name, all->text) != NULL ||
         strstr(stats->pattern, all->text) != NULL || strstr(stats->group, all->text) != NULL) &&
        (all->pattern == NULL || strcmp(all->pattern, stats->pattern) == 0) &&
        (all->group == NULL || strcmp(all->group, stats->group) == 0) &&
        (all->connection < 0 || (uint64_t)all->connection == connection)) {
        dxi_api_list_add(&all->list, &item);
    }
}

static json_t *subscription_make(const void *item)
{
    return dxi_api_fields(json_object(), SUBSCRIPTION_FIELDS, DXI_API_COUNT(SUBSCRIPTION_FIELDS),
                          item);
}

DXI_API_OBJECT(dxi_api_subscriptions_object)
{
    subscriptions_t all = {.list = {.item_bytes = sizeof(subscription_t)}, .connection = -1};
    const int total = dxi_bus_subscriptions_each(node->bus, subscription_add, &all);
    (void)argument;
    if (total < 0) {
        dxi_api_list_free(&all.list);
        return list_failed(total, error);
    }
    return dxi_api_page_made(&all.list, NULL, "subscriptions", (uint64_t)total, subscription_make,
                             object_out, error);
}

DXI_API_ROUTE(dxi_api_subscriptions)
{
    static const char *const SORTS[] = {"lag",        "name",      "pattern", "group",
                                        "connection", "delivered", "dropped", "gaps",
                                        "dead",       "pending",   NULL};
    dx_node_t *const node = context;
    dxi_api_page_t page;
    subscriptions_t all = {.list = {.item_bytes = sizeof(subscription_t)},
                           .text = dxi_admin_query(request, "text"),
                           .pattern = dxi_admin_query(request, "pattern"),
                           .group = dxi_admin_query(request, "group")};
    int code = dxi_api_page_read(request, SORTS, true, SUBSCRIPTION_FIELDS,
                                 DXI_API_COUNT(SUBSCRIPTION_FIELDS), &page, error);
    if (code == DX_OK) {
        code =
            dxi_admin_query_number(request, "connection", -1, 0, INT64_MAX, &all.connection, error);
    }
    if (code != DX_OK) {
        return code;
    }
    const int total = dxi_bus_subscriptions_each(node->bus, subscription_add, &all);
    if (total < 0) {
        dxi_api_list_free(&all.list);
        return list_failed(total, error);
    }
    return dxi_api_page_answer(request, &all.list, &page, "subscriptions", (uint64_t)total,
                               subscription_make, error);
}

/* --------------------------------------------------------------------------------- connections */

typedef struct connection {
    dxi_session_info_t info;
    int64_t age_ns;
    const char *kind;
} connection_t;

#define OF(name, kind)                                                                             \
    {                                                                                              \
#name, kind, offsetof(connection_t, info.connection.name)                                  \
    }
static const dxi_api_field_t CONNECTION_FIELDS[] = {
    OF(id, DXI_API_U64),
    {"name", DXI_API_CHARS, offsetof(connection_t, info.connection.peer_name)},
    {"address", DXI_API_CHARS, offsetof(connection_t, info.connection.peer_address)},
    {"kind", DXI_API_TEXT, offsetof(connection_t, kind)},
    OF(tls, DXI_API_BOOL),
    OF(tls_subject, DXI_API_CHARS),
    {"user", DXI_API_CHARS, offsetof(connection_t, info.user)},
    OF(open, DXI_API_BOOL),
    {"age_ns", DXI_API_I64, offsetof(connection_t, age_ns)},
    OF(rtt_ns, DXI_API_I64),
    {"subscriptions", DXI_API_U32, offsetof(connection_t, info.subscriptions)},
    {"events_in", DXI_API_U64, offsetof(connection_t, info.events_in)},
    {"events_out", DXI_API_U64, offsetof(connection_t, info.events_out)},
    OF(frames_in, DXI_API_U64),
    OF(frames_out, DXI_API_U64),
    OF(bytes_in, DXI_API_U64),
    OF(bytes_out, DXI_API_U64),
    OF(batches_in, DXI_API_U64),
    OF(batch_bytes_in, DXI_API_U64),
    OF(batch_raw_bytes_in, DXI_API_U64),
    OF(batches_out, DXI_API_U64),
    OF(batch_bytes_out, DXI_API_U64),
    OF(batch_raw_bytes_out, DXI_API_U64),
    OF(refused, DXI_API_U64),
    {"send_queue_bytes", DXI_API_U64, offsetof(connection_t, info.send_queue_bytes)},
};

typedef struct connections {
    dxi_api_list_t list;
    const char *name; /* a part of it; NULL: any */
    int64_t id;       /* -1: any */
    int64_t now_ns;
} connections_t;

static void connection_add(void *context, const dxi_session_info_t *info)
{
    connections_t *const all = context;
    connection_t item = {.info = *info,
                         .kind = dxi_transport_name((int)info->connection.transport)};
    item.age_ns = info->connection.opened_ns != 0 ? all->now_ns - info->connection.opened_ns : 0;
    if ((all->name == NULL || strstr(info->connection.peer_name, all->name) != NULL) &&
        (all->id < 0 || (uint64_t)all->id == info->connection.id)) {
        dxi_api_list_add(&all->list, &item);
    }
}

static json_t *connection_make(const void *item)
{
    return dxi_api_fields(json_object(), CONNECTION_FIELDS, DXI_API_COUNT(CONNECTION_FIELDS), item);
}

DXI_API_OBJECT(dxi_api_connections_object)
{
    connections_t all = {
        .list = {.item_bytes = sizeof(connection_t)}, .id = -1, .now_ns = dx_clock_ns()};
    const int total = dxi_bus_sessions_each(node->bus, connection_add, &all);
    (void)argument;
    if (total < 0) {
        dxi_api_list_free(&all.list);
        return list_failed(total, error);
    }
    return dxi_api_page_made(&all.list, NULL, "connections", (uint64_t)total, connection_make,
                             object_out, error);
}

DXI_API_ROUTE(dxi_api_connections)
{
    static const char *const SORTS[] = {
        "id",        "name",       "address",  "age_ns",    "rtt_ns",  "subscriptions",
        "events_in", "events_out", "bytes_in", "bytes_out", "refused", "send_queue_bytes",
        NULL};
    dx_node_t *const node = context;
    dxi_api_page_t page;
    connections_t all = {.list = {.item_bytes = sizeof(connection_t)},
                         .name = dxi_admin_query(request, "name"),
                         .id = -1,
                         .now_ns = dx_clock_ns()};
    const int code = dxi_api_page_read(request, SORTS, false, CONNECTION_FIELDS,
                                       DXI_API_COUNT(CONNECTION_FIELDS), &page, error);
    if (code != DX_OK) {
        return code;
    }
    const int total = dxi_bus_sessions_each(node->bus, connection_add, &all);
    if (total < 0) {
        dxi_api_list_free(&all.list);
        return list_failed(total, error);
    }
    return dxi_api_page_answer(request, &all.list, &page, "connections", (uint64_t)total,
                               connection_make, error);
}

/* The id of the path. Returns DX_OK, DX_EINVAL. */
static int id_read(const dxi_admin_request_t *request, int64_t *id_out, dx_error_t *error)
{
    const char *const text = dxi_admin_parameter(request, "id");
    const size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 18 || text[digits] != '\0') {
        return dxi_fail(error, DX_EINVAL, "the connection is \"%.40s\", must be a number", text);
    }
    *id_out = strtoll(text, NULL, 10);
    return DX_OK;
}

static int connection_unknown(int64_t id, dx_error_t *error)
{
    return dxi_fail(error, DX_ENOTFOUND, "there is no connection %" PRId64 "; it may have ended",
                    id);
}

DXI_API_ROUTE(dxi_api_connection)
{
    dx_node_t *const node = context;
    connections_t all = {.list = {.item_bytes = sizeof(connection_t)}, .now_ns = dx_clock_ns()};
    int code = id_read(request, &all.id, error);
    if (code != DX_OK) {
        return code;
    }
    code = dxi_bus_sessions_each(node->bus, connection_add, &all);
    if (code < 0) {
        code = list_failed(code, error);
    } else if (all.list.count == 0) {
        code = connection_unknown(all.id, error);
    } else {
        code = dxi_api_answer(request, 200, connection_make(all.list.items));
    }
    dxi_api_list_free(&all.list);
    return code;
}

DXI_API_ROUTE(dxi_api_connection_close)
{
    dx_node_t *const node = context;
    int64_t id = 0;
    dxi_admin_note(request, "admin", "connection.close", dxi_admin_parameter(request, "id"));
    int code = id_read(request, &id, error);
    if (code != DX_OK) {
        return code;
    }
    code = dxi_bus_session_close(node->bus, (uint64_t)id, "an operator of the node closed it");
    if (code == DX_ENOTFOUND) {
        return connection_unknown(id, error);
    }
    if (code != DX_OK) {
        return list_failed(code, error);
    }
    DX_LOG_INFO(node->log.log, "admin", "connection %" PRId64 " is closed for %s", id,
                dxi_admin_asker(request)->peer);
    dxi_admin_answer_nothing(request);
    return DX_OK;
}

/* --------------------------------------------------------------------------------------- rings */

static json_t *ring_make(const dxi_lane_stat_t *lane)
{
    const dx_ring_stat_t *const ring = &lane->ring;
    json_t *const consumer =
        json_pack("{s:s, s:I, s:I}", "name", "shard", "consumed_slots",
                  (json_int_t)ring->consumed + 1, "lag_slots", (json_int_t)ring->depth);
    return json_pack(
        "{s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:[o]}", "name",
        dxi_api_text(ring->name), "shard", (json_int_t)lane->shard, "loop", (json_int_t)lane->loop,
        "capacity_slots", (json_int_t)ring->slot_count, "slot_bytes", (json_int_t)ring->slot_bytes,
        "used_slots", (json_int_t)lane->used, "published_slots", (json_int_t)ring->published + 1,
        "consumed_slots", (json_int_t)ring->consumed + 1, "claim_waits",
        (json_int_t)ring->claim_waits, "claim_wait_ns", (json_int_t)ring->claim_wait_ns, "refusals",
        (json_int_t)ring->refusals, "drops", (json_int_t)ring->drops, "wakes",
        (json_int_t)ring->wakes, "producers", (json_int_t)ring->producers, "consumers", consumer);
}

static json_t *loop_make(dx_node_t *node, uint32_t index, const dxi_loop_t *loop)
{
    dxi_loop_stat_t stat;
    char name[16];
    dxi_loop_stat(loop, &stat);
    (void)snprintf(name, sizeof name, "io.%u", index);
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:f, s:I}", "name", name, "turns",
                     (json_int_t)stat.turns, "sleeps", (json_int_t)stat.sleeps, "bells",
                     (json_int_t)stat.bells, "busy_ns", (json_int_t)stat.busy_ns, "busy_ratio",
                     dxi_figures_busy(node, index, &stat), "turn_max_ns",
                     (json_int_t)stat.turn_max_ns);
}

/* Numbers since the start: who asks twice has what was in between, over the time in between. */
DXI_API_OBJECT(dxi_api_rings_object)
{
    json_t *const rings = json_array();
    json_t *const loops = json_array();
    dxi_lane_stat_t lane;
    bool failed = false;
    (void)argument;
    for (uint32_t i = 0; dxi_bus_lane_stat(node->bus, i, &lane) == DX_OK && !failed; i++) {
        failed = json_array_append_new(rings, ring_make(&lane)) != 0;
    }
    uint32_t count = 0;
    dxi_loop_t *const *const all = dxi_bus_loops(node->bus, &count);
    for (uint32_t i = 0; i < count && !failed; i++) {
        failed = json_array_append_new(loops, loop_make(node, i, all[i])) != 0;
    }
    json_t *object = failed ? NULL : json_object();
    object = dxi_api_put(object, "rings", rings);
    object = dxi_api_put(object, "loops", loops);
    object = dxi_api_put(object, "taken_ns", json_integer((json_int_t)dx_clock_ns()));
    return dxi_api_made(object, object_out, error);
}

DXI_API_ROUTE(dxi_api_rings)
{
    return dxi_api_answer_made(request, context, dxi_api_rings_object, "", error);
}
