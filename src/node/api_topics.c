/* api_topics.c - topics: listed, looked at, declared, changed, forgotten.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "base/fail.h"
#include "node/api.h"

static const char *const SHARD_WORDS[] = {"topic", "key", NULL};
static const char *const FULL_WORDS[] = {"wait", "fail", NULL};

#define FIELD(name, kind)                                                                          \
    {                                                                                              \
#name, kind, offsetof(dx_topic_stats_t, name)                                              \
    }
static const dxi_api_field_t FIELDS[] = {
    FIELD(name, DXI_API_CHARS),          FIELD(declared, DXI_API_BOOL),
    FIELD(shard, DXI_API_U16),           FIELD(shards, DXI_API_U16),
    FIELD(published, DXI_API_U64),       FIELD(published_bytes, DXI_API_U64),
    FIELD(refused, DXI_API_U64),         FIELD(duplicates, DXI_API_U64),
    FIELD(delivered, DXI_API_U64),       FIELD(redelivered, DXI_API_U64),
    FIELD(dropped, DXI_API_U64),         FIELD(dead, DXI_API_U64),
    FIELD(filtered, DXI_API_U64),        FIELD(unheard, DXI_API_U64),
    FIELD(first_sequence, DXI_API_U64),  FIELD(last_sequence, DXI_API_U64),
    FIELD(retained_events, DXI_API_U64), FIELD(retained_bytes, DXI_API_U64),
    FIELD(rate_1m, DXI_API_DOUBLE),      FIELD(rate_5m, DXI_API_DOUBLE),
    FIELD(rate_15m, DXI_API_DOUBLE),     FIELD(subscriptions, DXI_API_U32),
    FIELD(depth, DXI_API_U64),           FIELD(lag_max, DXI_API_U64),
    FIELD(latency_p50_ns, DXI_API_I64),  FIELD(latency_p99_ns, DXI_API_I64),
    FIELD(latency_max_ns, DXI_API_I64),
};

static const char *const SORTS[] = {
    "name", "published", "published_bytes", "delivered", "dropped",        "refused",
    "dead", "rate_1m",   "subscriptions",   "lag_max",   "retained_bytes", "latency_p99_ns",
    NULL};

/* --------------------------------------------------------------------------------------- shown */

static json_t *options_make(const dx_topic_options_t *options)
{
    json_t *const events = options->retain_events == DX_RETAIN_NONE
                               ? json_string("none")
                               : json_integer((json_int_t)options->retain_events);
    return json_pack("{s:s, s:s, s:o, s:I, s:I, s:I}", "shard_by", SHARD_WORDS[options->shard_by],
                     "full", FULL_WORDS[options->full], "retain_events", events, "retain_bytes",
                     (json_int_t)options->retain_bytes, "retain_age_ns",
                     (json_int_t)options->retain_age_ns, "event_bytes_max",
                     (json_int_t)options->event_bytes_max);
}

static json_t *topic_make(const void *item)
{
    const dx_topic_stats_t *const stats = item;
    json_t *object = dxi_api_fields(json_object(), FIELDS, DXI_API_COUNT(FIELDS), stats);
    return dxi_api_put(object, "options", options_make(&stats->options));
}

static int topic_answer(dx_node_t *node, dxi_admin_request_t *request, int status, const char *name,
                        dx_error_t *error)
{
    dx_topic_stats_t stats;
    const int code = dx_bus_topic_stats(node->bus, name, &stats, error);
    return code == DX_OK ? dxi_api_answer(request, status, topic_make(&stats)) : code;
}

DXI_API_ROUTE(dxi_api_topic)
{
    return topic_answer(context, request, 200, dxi_admin_parameter(request, "name"), error);
}

/* -------------------------------------------------------------------------------------- listed */

typedef struct topics {
    dxi_api_list_t list;
    const char *part; /* of the name; NULL: any */
    bool plain;       /* no pattern was given: without those that begin with '$' */
} topics_t;

static void list_add(void *context, const dx_topic_stats_t *stats)
{
    topics_t *const all = context;
    if ((!all->plain || stats->name[0] != '$') &&
        (all->part == NULL || strstr(stats->name, all->part) != NULL)) {
        dxi_api_list_add(&all->list, stats);
    }
}

DXI_API_ROUTE(dxi_api_topics)
{
    dx_node_t *const node = context;
    const char *const pattern = dxi_admin_query(request, "pattern");
    dxi_api_page_t page;
    topics_t all = {.list = {.item_bytes = sizeof(dx_topic_stats_t)},
                    .part = dxi_admin_query(request, "name"),
                    .plain = pattern == NULL};
    dxi_shard_totals_t totals = {.topics = 0};
    int code =
        dxi_api_page_read(request, SORTS, false, FIELDS, DXI_API_COUNT(FIELDS), &page, error);
    if (code == DX_OK) {
        code = dxi_bus_totals(node->bus, &totals, pattern, list_add, &all, error);
    }
    if (code < 0) {
        dxi_api_list_free(&all.list);
        return code;
    }
    return dxi_api_page_answer(request, &all.list, &page, "topics", totals.topics, topic_make,
                               error);
}

/* ---------------------------------------------------------------------------- declared, changed */

static int word_read(const json_t *value, const char *key, const char *const *words, int *index_out,
                     dx_error_t *error)
{
    for (int i = 0; json_is_string(value) && words[i] != NULL; i++) {
        if (strcmp(json_string_value(value), words[i]) == 0) {
            *index_out = i;
            return DX_OK;
        }
    }
    return dxi_fail(error, DX_EINVAL, "\"%s\" is %.40s, must be \"%s\" or \"%s\"", key,
                    json_is_string(value) ? json_string_value(value) : "no text", words[0],
                    words[1]);
}

static int number_read(const json_t *value, const char *key, uint64_t most, uint64_t *number_out,
                       dx_error_t *error)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        (uint64_t)json_integer_value(value) > most) {
        return dxi_fail(error, DX_EINVAL, "\"%s\" must be a whole number from 0 to %llu%s", key,
                        (unsigned long long)most,
                        strcmp(key, "retain_events") == 0 ? ", or \"none\"" : "");
    }
    *number_out = (uint64_t)json_integer_value(value);
    return DX_OK;
}

static int retain_read(const json_t *value, dx_topic_options_t *options, dx_error_t *error)
{
    if (json_is_string(value) && strcmp(json_string_value(value), "none") == 0) {
        options->retain_events = DX_RETAIN_NONE;
        return DX_OK;
    }
    return number_read(value, "retain_events", DX_RETAIN_EVENTS_MAX, &options->retain_events,
                       error);
}

/* One option of a body. */
static int option_read(const char *key, const json_t *value, dx_topic_options_t *options,
                       dx_error_t *error)
{
    uint64_t number = 0;
    int word = 0;
    int code = DX_OK;
    if (strcmp(key, "shard_by") == 0) {
        code = word_read(value, key, SHARD_WORDS, &word, error);
        options->shard_by = (dx_shard_by_t)word;
    } else if (strcmp(key, "full") == 0) {
        code = word_read(value, key, FULL_WORDS, &word, error);
        options->full = (dx_topic_full_t)word;
    } else if (strcmp(key, "retain_events") == 0) {
        code = retain_read(value, options, error);
    } else if (strcmp(key, "retain_bytes") == 0) {
        code = number_read(value, key, DX_RETAIN_BYTES_MAX, &options->retain_bytes, error);
    } else if (strcmp(key, "retain_age_ns") == 0) {
        code = number_read(value, key, INT64_MAX, &number, error);
        options->retain_age_ns = (int64_t)number;
    } else if (strcmp(key, "event_bytes_max") == 0) {
        code = number_read(value, key, DX_FRAME_BYTES_MAX, &number, error);
        options->event_bytes_max = (uint32_t)number;
    }
    return code;
}

static int options_read(json_t *body, dx_topic_options_t *options, dx_error_t *error)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(body, key, value)
    {
        const int code = option_read(key, value, options, error);
        if (code != DX_OK) {
            return code;
        }
    }
    return DX_OK;
}

DXI_API_ROUTE(dxi_api_topic_create)
{
    static const char *const KEYS[] = {
        "name",          "shard_by",        "full", "retain_events", "retain_bytes",
        "retain_age_ns", "event_bytes_max", NULL};
    dx_node_t *const node = context;
    json_t *body = NULL;
    const char *name = NULL;
    dx_topic_options_t options = {.retain_events = 0};
    dxi_admin_note(request, "topic", "create", NULL);
    int code = dxi_api_body(request, KEYS, &body, error);
    if (code == DX_OK) {
        code = dxi_api_body_text(body, "name", &name, error);
    }
    if (code == DX_OK) {
        dxi_admin_note(request, "topic", "create", name);
        code = options_read(body, &options, error);
    }
    if (code == DX_OK) {
        code = dxi_node_admin_manages(node, request, name, error);
    }
    if (code == DX_OK) {
        code = dx_bus_topic_create(node->bus, name, &options, error);
    }
    if (code == DX_OK) {
        code = topic_answer(node, request, 201, name, error);
    }
    json_decref(body);
    return code;
}

DXI_API_ROUTE(dxi_api_topic_change)
{
    static const char *const KEYS[] = {"full",          "retain_events",   "retain_bytes",
                                       "retain_age_ns", "event_bytes_max", NULL};
    dx_node_t *const node = context;
    const char *const name = dxi_admin_parameter(request, "name");
    json_t *body = NULL;
    dx_topic_stats_t there;
    dxi_admin_note(request, "topic", "change", name);
    int code = dxi_node_admin_manages(node, request, name, error);
    if (code == DX_OK) {
        code = dxi_api_body(request, KEYS, &body, error);
    }
    if (code == DX_OK) {
        code = dx_bus_topic_stats(node->bus, name, &there, error);
    }
    if (code == DX_OK) { /* over what it has: what is left out stays */
        code = options_read(body, &there.options, error);
    }
    if (code == DX_OK) {
        code = dx_bus_topic_change(node->bus, name, &there.options, error);
    }
    if (code == DX_OK) {
        code = topic_answer(node, request, 200, name, error);
    }
    json_decref(body);
    return code;
}

DXI_API_ROUTE(dxi_api_topic_delete)
{
    dx_node_t *const node = context;
    const char *const name = dxi_admin_parameter(request, "name");
    dxi_admin_note(request, "topic", "delete", name);
    int code = dxi_node_admin_manages(node, request, name, error);
    if (code == DX_OK) {
        code = dx_bus_topic_delete(node->bus, name, error);
    }
    if (code == DX_OK) {
        dxi_admin_answer_nothing(request);
    }
    return code;
}
