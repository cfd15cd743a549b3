/* top_model.c - two looks at a node, and tables made of them.
 *
 * An item is found again in the look before by its identity: the name of a topic, ring or loop, the
 * number of a connection, and of a subscription its connection, name, pattern and group. What is
 * new, or has counted less than before because it was made anew, has no rate yet.
 *
 * INVARIANTS
 *
 *   M1  items[] and items_before[] hold references to items of `now` and `before`
 *   M2  rows point into `now` and `before`
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/top_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"

/* -------------------------------------------------------------------------------------- columns */

static const dxi_top_column_t TOPICS[] = {
    {.title = "topic", .key = "name", .kind = DXI_TOP_TEXT, .width = 16},
    {.title = "in/s", .key = "published", .kind = DXI_TOP_RATE, .width = 10},
    {.title = "out/s", .key = "delivered", .kind = DXI_TOP_RATE, .width = 10},
    {.title = "1m/s", .key = "rate_1m", .kind = DXI_TOP_REAL, .width = 10, .drop = 7},
    {.title = "published", .key = "published", .kind = DXI_TOP_COUNT, .width = 14, .drop = 3},
    {.title = "bytes/s",
     .key = "published_bytes",
     .kind = DXI_TOP_BYTES_RATE,
     .width = 9,
     .drop = 2},
    {.title = "kept", .key = "retained_events", .kind = DXI_TOP_COUNT, .width = 9, .drop = 8},
    {.title = "subs", .key = "subscriptions", .kind = DXI_TOP_COUNT, .width = 6},
    {.title = "lag", .key = "lag_max", .kind = DXI_TOP_COUNT, .width = 9},
    {.title = "p50", .key = "latency_p50_ns", .kind = DXI_TOP_NS, .width = 8, .drop = 5},
    {.title = "p99", .key = "latency_p99_ns", .kind = DXI_TOP_NS, .width = 8, .drop = 1},
    {.title = "max", .key = "latency_max_ns", .kind = DXI_TOP_NS, .width = 8, .drop = 6},
    {.title = "dropped",
     .key = "dropped",
     .kind = DXI_TOP_COUNT,
     .width = 9,
     .drop = 1,
     .warn_growth = true},
    {.title = "refused",
     .key = "refused",
     .kind = DXI_TOP_COUNT,
     .width = 9,
     .drop = 4,
     .warn_growth = true},
    {.title = "dead",
     .key = "dead",
     .kind = DXI_TOP_COUNT,
     .width = 7,
     .drop = 9,
     .warn_growth = true},
};

static const dxi_top_column_t SUBSCRIPTIONS[] = {
    {.title = "pattern", .key = "pattern", .kind = DXI_TOP_TEXT, .width = 12},
    {.title = "name", .key = "name", .kind = DXI_TOP_TEXT, .width = 12, .drop = 1},
    {.title = "group", .key = "group", .kind = DXI_TOP_TEXT, .width = 8, .drop = 3},
    {.title = "conn", .key = "connection", .kind = DXI_TOP_COUNT, .width = 6, .drop = 4},
    {.title = "out/s", .key = "delivered", .kind = DXI_TOP_RATE, .width = 10},
    {.title = "delivered", .key = "delivered", .kind = DXI_TOP_COUNT, .width = 14, .drop = 5},
    {.title = "pending", .key = "pending", .kind = DXI_TOP_COUNT, .width = 9},
    {.title = "lag", .key = "lag", .kind = DXI_TOP_COUNT, .width = 9},
    {.title = "dropped", .key = "dropped", .kind = DXI_TOP_COUNT, .width = 9, .warn_growth = true},
    {.title = "again",
     .key = "redelivered",
     .kind = DXI_TOP_COUNT,
     .width = 7,
     .drop = 2,
     .warn_growth = true},
    {.title = "dead",
     .key = "dead",
     .kind = DXI_TOP_COUNT,
     .width = 7,
     .drop = 6,
     .warn_growth = true},
};

static const dxi_top_column_t CONNECTIONS[] = {
    {.title = "name", .key = "name", .kind = DXI_TOP_TEXT, .width = 12},
    {.title = "id", .key = "id", .kind = DXI_TOP_COUNT, .width = 6},
    {.title = "address", .key = "address", .kind = DXI_TOP_TEXT, .width = 24, .drop = 4},
    {.title = "user", .key = "user", .kind = DXI_TOP_TEXT, .width = 10, .drop = 6},
    {.title = "age", .key = "age_ns", .kind = DXI_TOP_NS, .width = 8, .drop = 5},
    {.title = "rtt", .key = "rtt_ns", .kind = DXI_TOP_NS, .width = 8, .drop = 2},
    {.title = "subs", .key = "subscriptions", .kind = DXI_TOP_COUNT, .width = 6},
    {.title = "in/s", .key = "events_in", .kind = DXI_TOP_RATE, .width = 10},
    {.title = "out/s", .key = "events_out", .kind = DXI_TOP_RATE, .width = 10},
    {.title = "B in/s", .key = "bytes_in", .kind = DXI_TOP_BYTES_RATE, .width = 8, .drop = 1},
    {.title = "B out/s", .key = "bytes_out", .kind = DXI_TOP_BYTES_RATE, .width = 9, .drop = 1},
    {.title = "queue", .key = "send_queue_bytes", .kind = DXI_TOP_BYTES, .width = 8, .drop = 7},
    {.title = "refused",
     .key = "refused",
     .kind = DXI_TOP_COUNT,
     .width = 9,
     .drop = 3,
     .warn_growth = true},
};

static const dxi_top_column_t RINGS[] = {
    {.title = "ring", .key = "name", .kind = DXI_TOP_TEXT, .width = 10},
    {.title = "used",
     .key = "used_slots",
     .kind = DXI_TOP_SHARE,
     .width = 8,
     .whole = "capacity_slots",
     .warn_above = 0.8},
    {.title = "slots used", .key = "used_slots", .kind = DXI_TOP_COUNT, .width = 12, .drop = 2},
    {.title = "slots", .key = "capacity_slots", .kind = DXI_TOP_COUNT, .width = 10, .drop = 4},
    {.title = "slots/s", .key = "published_slots", .kind = DXI_TOP_RATE, .width = 12},
    {.title = "waits", .key = "claim_waits", .kind = DXI_TOP_COUNT, .width = 9},
    {.title = "waiting", .key = "claim_wait_ns", .kind = DXI_TOP_TIME_SHARE, .width = 9, .drop = 1},
    {.title = "refused", .key = "refusals", .kind = DXI_TOP_COUNT, .width = 9, .warn_growth = true},
    {.title = "loop", .key = "loop", .kind = DXI_TOP_COUNT, .width = 6},
    {.title = "producers", .key = "producers", .kind = DXI_TOP_COUNT, .width = 11, .drop = 3},
};

static const dxi_top_column_t LOOPS[] = {
    {.title = "loop", .key = "name", .kind = DXI_TOP_TEXT, .width = 10},
    {.title = "busy", .key = "busy_ns", .kind = DXI_TOP_TIME_SHARE, .width = 8, .warn_above = 0.9},
    {.title = "turns/s", .key = "turns", .kind = DXI_TOP_RATE, .width = 12},
    {.title = "sleeps/s", .key = "sleeps", .kind = DXI_TOP_RATE, .width = 12},
    {.title = "woken/s", .key = "bells", .kind = DXI_TOP_RATE, .width = 12},
    {.title = "longest turn", .key = "turn_max_ns", .kind = DXI_TOP_NS, .width = 14},
};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const struct screen {
    const char *name; /* and key of the look */
    const dxi_top_column_t *columns;
    size_t count;
} SCREENS[DXI_TOP_SCREENS] = {
    [DXI_TOP_TOPICS] = {"topics", TOPICS, COUNT_OF(TOPICS)},
    [DXI_TOP_SUBSCRIPTIONS] = {"subscriptions", SUBSCRIPTIONS, COUNT_OF(SUBSCRIPTIONS)},
    [DXI_TOP_CONNECTIONS] = {"connections", CONNECTIONS, COUNT_OF(CONNECTIONS)},
    [DXI_TOP_RINGS] = {"rings", RINGS, COUNT_OF(RINGS)},
    [DXI_TOP_LOOPS] = {"loops", LOOPS, COUNT_OF(LOOPS)},
};

_Static_assert(COUNT_OF(TOPICS) <= DXI_TOP_COLUMNS_MAX, "more columns than there is room for");

const dxi_top_column_t *dxi_top_columns(dxi_top_screen_t screen, size_t *count_out)
{
    *count_out = SCREENS[screen].count;
    return SCREENS[screen].columns;
}

const char *dxi_top_name(dxi_top_screen_t screen)
{
    return SCREENS[screen].name;
}

int dxi_top_column_find(dxi_top_screen_t screen, const char *name)
{
    for (int by_key = 0; by_key < 2; by_key++) {
        for (size_t i = 0; i < SCREENS[screen].count; i++) {
            const dxi_top_column_t *const column = &SCREENS[screen].columns[i];
            if (strcasecmp(by_key ? column->key : column->title, name) == 0) {
                return (int)i;
            }
        }
    }
    return -1;
}

/* ---------------------------------------------------------------------------------------- looks */

static const char *text_of(const json_t *item, const char *key)
{
    const char *const text = json_string_value(json_object_get(item, key));
    return text != NULL ? text : "";
}

static void identity_write(char *room, size_t bytes, dxi_top_screen_t screen, const json_t *item)
{
    switch (screen) {
    case DXI_TOP_SUBSCRIPTIONS:
        snprintf(room, bytes, "%" JSON_INTEGER_FORMAT " %s %s %s",
                 json_integer_value(json_object_get(item, "connection")), text_of(item, "name"),
                 text_of(item, "pattern"), text_of(item, "group"));
        break;
    case DXI_TOP_CONNECTIONS:
        snprintf(room, bytes, "%" JSON_INTEGER_FORMAT,
                 json_integer_value(json_object_get(item, "id")));
        break;
    default:
        snprintf(room, bytes, "%s", text_of(item, "name"));
        break;
    }
}

/* The items of a screen by identity. NULL: no memory. */
static json_t *items_index(const json_t *look, dxi_top_screen_t screen)
{
    json_t *const items = json_object();
    size_t number = 0;
    json_t *item = NULL;
    json_array_foreach(json_object_get(look, SCREENS[screen].name), number, item)
    {
        char identity[768];
        identity_write(identity, sizeof identity, screen, item);
        /* Two subscriptions may be alike in all of it: then the place tells them apart. */
        const size_t used = strlen(identity);
        for (int i = 2; json_object_get(items, identity) != NULL && i < 1000; i++) {
            snprintf(identity + used, sizeof identity - used, " %d", i);
        }
        if (json_object_set(items, identity, item) != 0) {
            json_decref(items);
            return NULL;
        }
    }
    return items;
}

int dxi_top_model_take(dxi_top_model_t *model, json_t *look, int64_t taken_ns)
{
    json_decref(model->before);
    model->before = model->now;
    model->now = look;
    model->seconds = model->before != NULL ? (double)(taken_ns - model->taken_ns) / 1e9 : 0;
    model->taken_ns = taken_ns;
    for (int i = 0; i < DXI_TOP_SCREENS; i++) {
        json_decref(model->items_before[i]);
        model->items_before[i] = model->items[i];
        model->items[i] = items_index(look, (dxi_top_screen_t)i);
        if (model->items[i] == NULL) {
            dxi_top_model_close(model);
            return DX_ENOMEM;
        }
    }
    return DX_OK;
}

void dxi_top_model_close(dxi_top_model_t *model)
{
    for (int i = 0; i < DXI_TOP_SCREENS; i++) {
        json_decref(model->items[i]);
        json_decref(model->items_before[i]);
    }
    json_decref(model->now);
    json_decref(model->before);
    dxi_free(model->rows);
    memset(model, 0, sizeof *model);
}

size_t dxi_top_count(const dxi_top_model_t *model, dxi_top_screen_t screen)
{
    return json_object_size(model->items[screen]);
}

/* ---------------------------------------------------------------------------------------- cells */

static double number_of(const json_t *item, const char *key)
{
    const json_t *const number = json_object_get(item, key);
    return json_is_number(number) ? json_number_value(number) : NAN;
}

/* A second; NaN without a look before, and for what counts from 0 again. */
static double rate_of(const dxi_top_model_t *model, const json_t *item, const json_t *before,
                      const char *key)
{
    const double growth = number_of(item, key) - number_of(before, key);
    return model->seconds > 0 && growth >= 0 ? growth / model->seconds : NAN;
}

double dxi_top_number(const dxi_top_model_t *model, const dxi_top_column_t *column,
                      const json_t *item, const json_t *before)
{
    switch (column->kind) {
    case DXI_TOP_RATE:
    case DXI_TOP_BYTES_RATE:
        return rate_of(model, item, before, column->key);
    case DXI_TOP_TIME_SHARE:
        return rate_of(model, item, before, column->key) / 1e9;
    case DXI_TOP_SHARE: {
        const double whole = number_of(item, column->whole);
        return whole > 0 ? number_of(item, column->key) / whole : NAN;
    }
    case DXI_TOP_TEXT:
    case DXI_TOP_COUNT:
    case DXI_TOP_REAL:
    case DXI_TOP_BYTES:
    case DXI_TOP_NS:
    default:
        return number_of(item, column->key);
    }
}

static int64_t rounded(double number)
{
    return (int64_t)(number + (number < 0 ? -0.5 : 0.5));
}

const char *dxi_top_cell(const dxi_top_model_t *model, const dxi_top_column_t *column,
                         const json_t *item, const json_t *before, dxi_text_t *text)
{
    if (column->kind == DXI_TOP_TEXT) {
        return text_of(item, column->key);
    }
    const double number = dxi_top_number(model, column, item, before);
    if (isnan(number)) {
        return "-";
    }
    switch (column->kind) {
    case DXI_TOP_BYTES:
    case DXI_TOP_BYTES_RATE:
        return dxi_format_bytes(text, (uint64_t)(number > 0 ? number : 0));
    case DXI_TOP_NS:
        /* Nothing measured yet is told as 0. */
        return number == 0 ? "-" : dxi_format_ns(text, (int64_t)number);
    case DXI_TOP_SHARE:
    case DXI_TOP_TIME_SHARE:
        return dxi_format_share(text, (int64_t)(number * 1e6), 1000000);
    case DXI_TOP_RATE:
    case DXI_TOP_REAL:
        return number > 0 && number < 9.95 ? dxi_format_decimal(text, number)
                                           : dxi_format_count(text, rounded(number));
    case DXI_TOP_TEXT:
    case DXI_TOP_COUNT:
    default:
        return dxi_format_count(text, rounded(number));
    }
}

bool dxi_top_cell_warns(const dxi_top_model_t *model, const dxi_top_column_t *column,
                        const json_t *item, const json_t *before)
{
    if (column->warn_growth && before != NULL) {
        return number_of(item, column->key) > number_of(before, column->key);
    }
    return column->warn_above > 0 &&
           dxi_top_number(model, column, item, before) >= column->warn_above;
}

/* ----------------------------------------------------------------------------------------- rows */

static bool item_passes(const json_t *item, dxi_top_screen_t screen, const char *filter)
{
    if (filter == NULL || filter[0] == '\0') {
        return true;
    }
    for (size_t i = 0; i < SCREENS[screen].count; i++) {
        const dxi_top_column_t *const column = &SCREENS[screen].columns[i];
        if (column->kind == DXI_TOP_TEXT &&
            strcasestr(text_of(item, column->key), filter) != NULL) {
            return true;
        }
    }
    return false;
}

typedef struct order {
    bool by_text;
    bool descending;
} order_t;

/* What has no number comes last either way; what is equal, by identity, shard.2 before shard.10. */
static int rows_compare(const void *left, const void *right, void *context)
{
    const dxi_top_row_t *const a = left;
    const dxi_top_row_t *const b = right;
    const order_t *const order = context;
    int result = 0;
    if (order->by_text) {
        result = strverscmp(a->text, b->text);
    } else if (isnan(a->number) != 0 || isnan(b->number) != 0) {
        return isnan(a->number) != 0
                   ? (isnan(b->number) != 0 ? strverscmp(a->identity, b->identity) : 1)
                   : -1;
    } else {
        result = (a->number > b->number) - (a->number < b->number);
    }
    result = order->descending ? -result : result;
    return result != 0 ? result : strverscmp(a->identity, b->identity);
}

static bool rows_room(dxi_top_model_t *model, size_t count)
{
    if (count <= model->row_room) {
        return true;
    }
    dxi_free(model->rows);
    model->rows = dxi_alloc_zeroed(2 * count, sizeof *model->rows);
    model->row_room = model->rows != NULL ? 2 * count : 0;
    return model->rows != NULL;
}

int dxi_top_rows(dxi_top_model_t *model, dxi_top_screen_t screen, const char *filter, int column,
                 bool descending)
{
    json_t *const items = model->items[screen];
    const char *identity = NULL;
    json_t *item = NULL;
    size_t count = 0;
    if (!rows_room(model, json_object_size(items))) {
        return DX_ENOMEM;
    }
    const dxi_top_column_t *const sorted = &SCREENS[screen].columns[column];
    json_object_foreach(items, identity, item)
    {
        if (!item_passes(item, screen, filter)) {
            continue;
        }
        const json_t *const before = json_object_get(model->items_before[screen], identity);
        model->rows[count++] =
            (dxi_top_row_t){.identity = identity,
                            .item = item,
                            .before = before,
                            .number = dxi_top_number(model, sorted, item, before),
                            .text = text_of(item, sorted->key)};
    }
    order_t order = {.by_text = sorted->kind == DXI_TOP_TEXT, .descending = descending};
    if (count > 1) {
        qsort_r(model->rows, count, sizeof *model->rows, rows_compare, &order);
    }
    return (int)count;
}

/* ----------------------------------------------------------------------------------------- node */

double dxi_top_node_number(const dxi_top_model_t *model, const char *key)
{
    return number_of(json_object_get(model->now, "node"), key);
}

double dxi_top_node_rate(const dxi_top_model_t *model, const char *key)
{
    return rate_of(model, json_object_get(model->now, "node"),
                   json_object_get(model->before, "node"), key);
}

double dxi_top_latency(const dxi_top_model_t *model, const char *key)
{
    const json_t *const all = json_object_get(json_object_get(model->now, "node"), "latency");
    if (all != NULL) {
        return number_of(all, key);
    }
    char topic_key[32];
    double worst = NAN;
    size_t number = 0;
    json_t *topic = NULL;
    snprintf(topic_key, sizeof topic_key, "latency_%s", key);
    json_array_foreach(json_object_get(model->now, "topics"), number, topic)
    {
        const double number_of_topic = number_of(topic, topic_key);
        if (isnan(worst) != 0 || number_of_topic > worst) {
            worst = number_of_topic;
        }
    }
    return worst;
}

/* ----------------------------------------------------------------------------------------- JSON */

/* Adds what the columns make of two looks to a copy of an item. */
static bool rates_add(const dxi_top_model_t *model, dxi_top_screen_t screen, json_t *item,
                      const json_t *before)
{
    bool added = true;
    for (size_t i = 0; i < SCREENS[screen].count; i++) {
        const dxi_top_column_t *const column = &SCREENS[screen].columns[i];
        char key[64];
        const double number = dxi_top_number(model, column, item, before);
        const bool is_rate = column->kind == DXI_TOP_RATE || column->kind == DXI_TOP_BYTES_RATE;
        if (is_rate) {
            snprintf(key, sizeof key, "%s_per_s", column->key);
        } else if (column->kind == DXI_TOP_TIME_SHARE) {
            snprintf(key, sizeof key, "%s_ratio", column->key);
        } else {
            continue;
        }
        added = added && json_object_set_new(item, key,
                                             isnan(number) ? json_null() : json_real(number)) == 0;
    }
    return added;
}

json_t *dxi_top_json(const dxi_top_model_t *model)
{
    json_t *const copy = json_deep_copy(model->now);
    bool whole = copy != NULL;
    for (int i = 0; i < DXI_TOP_SCREENS && whole; i++) {
        /* The items of the array in their order, and those by identity in the same. */
        json_t *const array = json_object_get(copy, SCREENS[i].name);
        const char *identity = NULL;
        json_t *item = NULL;
        size_t number = 0;
        json_object_foreach(model->items[i], identity, item)
        {
            whole = whole && rates_add(model, (dxi_top_screen_t)i, json_array_get(array, number++),
                                       json_object_get(model->items_before[i], identity));
        }
    }
    const double rates[] = {dxi_top_node_rate(model, "published"),
                            dxi_top_node_rate(model, "delivered")};
    json_t *const node = json_object_get(copy, "node");
    whole = whole &&
            json_object_set_new(node, "published_per_s",
                                isnan(rates[0]) ? json_null() : json_real(rates[0])) == 0 &&
            json_object_set_new(node, "delivered_per_s",
                                isnan(rates[1]) ? json_null() : json_real(rates[1])) == 0;
    if (!whole) {
        json_decref(copy);
        return NULL;
    }
    return copy;
}
