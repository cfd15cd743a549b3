/* topic_print.c - topics as a table, as a page, or as JSON.
 *
 * The keys of the JSON are a promise to programs: more may come, none goes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/topic_print.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "cli/commands.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/table.h"

void dxi_topic_list_add(void *context, const dx_topic_stats_t *stats)
{
    dxi_topic_list_t *const list = context;
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity == 0 ? 64 : 2 * list->capacity;
        dx_topic_stats_t *const items = realloc(list->items, capacity * sizeof *items);
        if (items == NULL) {
            list->out_of_memory = true;
            return;
        }
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = *stats;
}

void dxi_topic_list_free(dxi_topic_list_t *list)
{
    free(list->items);
    memset(list, 0, sizeof *list);
}

static const char *count_text(dxi_text_t *text, uint64_t value)
{
    return dxi_format_count(text, (int64_t)value);
}

/* ----------------------------------------------------------------------------------------- JSON */

static void json_count(dxi_json_t *json, const char *key, uint64_t value)
{
    char number[24];
    snprintf(number, sizeof number, "%" PRIu64, value);
    dxi_json_number(json, key, number);
}

static void json_options(dxi_json_t *json, const dx_topic_options_t *options)
{
    dxi_json_object_begin(json, "options");
    dxi_json_text(json, "shard_by", options->shard_by == DX_SHARD_BY_KEY ? "key" : "topic");
    dxi_json_text(json, "full", options->full == DX_TOPIC_FULL_FAIL ? "fail" : "wait");
    json_count(json, "retain_events",
               options->retain_events == DX_RETAIN_NONE ? 0 : options->retain_events);
    json_count(json, "retain_bytes", options->retain_bytes);
    dxi_json_integer(json, "retain_age_ns", options->retain_age_ns);
    dxi_json_integer(json, "event_bytes_max", options->event_bytes_max);
    dxi_json_integer(json, "direct_bytes", options->direct_bytes);
    dxi_json_object_end(json);
}

static void json_topic(dxi_json_t *json, const dx_topic_stats_t *stats)
{
    const struct {
        const char *key;
        uint64_t value;
    } counts[] = {
        {"published", stats->published},
        {"published_bytes", stats->published_bytes},
        {"refused", stats->refused},
        {"duplicates", stats->duplicates},
        {"delivered", stats->delivered},
        {"redelivered", stats->redelivered},
        {"dropped", stats->dropped},
        {"dead", stats->dead},
        {"filtered", stats->filtered},
        {"unheard", stats->unheard},
        {"first_sequence", stats->first_sequence},
        {"last_sequence", stats->last_sequence},
        {"retained_events", stats->retained_events},
        {"retained_bytes", stats->retained_bytes},
        {"subscriptions", stats->subscriptions},
        {"depth", stats->depth},
        {"lag_max", stats->lag_max},
    };
    dxi_json_object_begin(json, NULL);
    dxi_json_text(json, "name", stats->name);
    dxi_json_boolean(json, "declared", stats->declared);
    dxi_json_integer(json, "shard", stats->shard);
    dxi_json_integer(json, "shards", stats->shards);
    json_options(json, &stats->options);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        json_count(json, counts[i].key, counts[i].value);
    }
    dxi_json_real(json, "rate_1m", stats->rate_1m);
    dxi_json_real(json, "rate_5m", stats->rate_5m);
    dxi_json_real(json, "rate_15m", stats->rate_15m);
    dxi_json_integer(json, "latency_p50_ns", stats->latency_p50_ns);
    dxi_json_integer(json, "latency_p99_ns", stats->latency_p99_ns);
    dxi_json_integer(json, "latency_max_ns", stats->latency_max_ns);
    dxi_json_object_end(json);
}

/* ----------------------------------------------------------------------------------------- list */

int dxi_topic_list_json(const dxi_topic_list_t *list, FILE *stream)
{
    dxi_json_t json;
    dxi_json_begin(&json, stream);
    dxi_json_array_begin(&json, NULL);
    for (size_t i = 0; i < list->count; i++) {
        json_topic(&json, &list->items[i]);
    }
    dxi_json_array_end(&json);
    return dxi_json_finish(&json) == DX_OK ? DXI_EXIT_OK : DXI_EXIT_FAILED;
}

static int list_table(const dxi_topic_list_t *list, const char *pattern)
{
    static const dxi_column_t columns[] = {
        {"topic", DXI_ALIGN_LEFT, 0},    {"published", DXI_ALIGN_RIGHT, 0},
        {"rate/s", DXI_ALIGN_RIGHT, 0},  {"bytes", DXI_ALIGN_RIGHT, 2},
        {"kept", DXI_ALIGN_RIGHT, 1},    {"subs", DXI_ALIGN_RIGHT, 0},
        {"lag", DXI_ALIGN_RIGHT, 0},     {"dropped", DXI_ALIGN_RIGHT, 0},
        {"refused", DXI_ALIGN_RIGHT, 3},
    };
    dxi_table_t *table = NULL;
    dx_error_t error = {0};
    if (list->count == 0 && pattern != NULL) {
        printf("No topic matches %s. Next: dx topic ls\n", pattern);
        return DXI_EXIT_OK;
    }
    if (list->count == 0) {
        puts("There is no topic. Next: dx pub NAME DATA, or dx topic create NAME");
        return DXI_EXIT_OK;
    }
    if (dxi_table_create(columns, sizeof columns / sizeof columns[0], &table, &error) != DX_OK) {
        dxi_complain_error("dx topic ls", &error);
        return DXI_EXIT_FAILED;
    }
    for (size_t i = 0; i < list->count; i++) {
        const dx_topic_stats_t *const stats = &list->items[i];
        dxi_table_cell(table, "%s", stats->name);
        dxi_table_cell(table, "%s", count_text(&(dxi_text_t){0}, stats->published));
        dxi_table_cell(table, "%s", dxi_format_decimal(&(dxi_text_t){0}, stats->rate_1m));
        dxi_table_cell(table, "%s", dxi_format_bytes(&(dxi_text_t){0}, stats->published_bytes));
        dxi_table_cell(table, "%s", count_text(&(dxi_text_t){0}, stats->retained_events));
        dxi_table_cell(table, "%u", stats->subscriptions);
        dxi_table_cell(table, "%s", count_text(&(dxi_text_t){0}, stats->lag_max));
        dxi_table_cell(table, "%s", count_text(&(dxi_text_t){0}, stats->dropped));
        dxi_table_cell(table, "%s", count_text(&(dxi_text_t){0}, stats->refused));
    }
    dxi_table_print(table, stdout, 0, dxi_output_width(stdout));
    dxi_table_destroy(table);
    return DXI_EXIT_OK;
}

int dxi_topic_list_print(const dxi_topic_list_t *list, const char *pattern)
{
    if (list->out_of_memory) {
        dxi_complain("dx topic ls", "no memory for more than %zu topics", list->count);
        return DXI_EXIT_FAILED;
    }
    return dxi_output_is_json() ? dxi_topic_list_json(list, stdout) : list_table(list, pattern);
}

/* ----------------------------------------------------------------------------------------- info */

static void line(const char *name, const char *format, ...) DX_PRINTF(2, 3);

static void line(const char *name, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("  %-13s ", name);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

static void info_options(const dx_topic_stats_t *stats)
{
    const dx_topic_options_t *const options = &stats->options;
    printf("%s%s%s  %s\n", dxi_style(stdout, DXI_STYLE_HEADING), stats->name,
           dxi_style(stdout, DXI_STYLE_PLAIN),
           stats->declared ? "declared" : "made by its first event");
    if (options->shard_by == DX_SHARD_BY_KEY) {
        line("shards", "%u, by key: one order per key", stats->shards);
    } else {
        line("shard", "%u: one order", stats->shard);
    }
    if (options->direct_bytes != 0) {
        line("direct", "a ring of %s in shared memory, events of at most %s",
             dxi_format_bytes(&(dxi_text_t){0}, options->direct_bytes),
             dxi_format_bytes(&(dxi_text_t){0}, options->event_bytes_max));
    }
    line("when full", "%s", options->full == DX_TOPIC_FULL_FAIL ? "fail" : "wait");
    if (options->retain_events == DX_RETAIN_NONE) {
        line("keeps", "nothing");
    } else {
        line("keeps", "at most %s events, %s%s%s",
             count_text(&(dxi_text_t){0}, options->retain_events),
             dxi_format_bytes(&(dxi_text_t){0}, options->retain_bytes),
             options->retain_age_ns > 0 ? ", for " : "",
             options->retain_age_ns > 0 ? dxi_format_ns(&(dxi_text_t){0}, options->retain_age_ns)
                                        : "");
    }
    line("has", "%s events, %s, sequence %s to %s",
         count_text(&(dxi_text_t){0}, stats->retained_events),
         dxi_format_bytes(&(dxi_text_t){0}, stats->retained_bytes),
         count_text(&(dxi_text_t){0}, stats->first_sequence),
         count_text(&(dxi_text_t){0}, stats->last_sequence));
}

static void info_numbers(const dx_topic_stats_t *stats)
{
    line("published", "%s events, %s", count_text(&(dxi_text_t){0}, stats->published),
         dxi_format_bytes(&(dxi_text_t){0}, stats->published_bytes));
    line("rate", "%s/s over 1 minute, %s over 5, %s over 15",
         dxi_format_decimal(&(dxi_text_t){0}, stats->rate_1m),
         dxi_format_decimal(&(dxi_text_t){0}, stats->rate_5m),
         dxi_format_decimal(&(dxi_text_t){0}, stats->rate_15m));
    line("delivered", "%s to %u subscriptions, the slowest is %s behind",
         count_text(&(dxi_text_t){0}, stats->delivered), stats->subscriptions,
         count_text(&(dxi_text_t){0}, stats->lag_max));
    line("trouble", "%s refused, %s dropped, %s redelivered, %s given up",
         count_text(&(dxi_text_t){0}, stats->refused), count_text(&(dxi_text_t){0}, stats->dropped),
         count_text(&(dxi_text_t){0}, stats->redelivered),
         count_text(&(dxi_text_t){0}, stats->dead));
    line("else", "%s duplicates, %s filtered out, %s unheard",
         count_text(&(dxi_text_t){0}, stats->duplicates),
         count_text(&(dxi_text_t){0}, stats->filtered),
         count_text(&(dxi_text_t){0}, stats->unheard));
    if (stats->latency_max_ns > 0) {
        line("latency", "p50 %s, p99 %s, max %s, of the last 10 s",
             dxi_format_ns(&(dxi_text_t){0}, stats->latency_p50_ns),
             dxi_format_ns(&(dxi_text_t){0}, stats->latency_p99_ns),
             dxi_format_ns(&(dxi_text_t){0}, stats->latency_max_ns));
    }
}

int dxi_topic_info_print(const dx_topic_stats_t *stats)
{
    if (!dxi_output_is_json()) {
        info_options(stats);
        info_numbers(stats);
        return DXI_EXIT_OK;
    }
    dxi_json_t json;
    dxi_json_begin(&json, stdout);
    json_topic(&json, stats);
    return dxi_json_finish(&json) == DX_OK ? DXI_EXIT_OK : DXI_EXIT_FAILED;
}

int dxi_topic_done_print(const char *name, const char *what)
{
    if (!dxi_output_is_json()) {
        printf("%s: %s\n", name, what);
        return DXI_EXIT_OK;
    }
    return dxi_json_result("topic", name, what) == DX_OK ? DXI_EXIT_OK : DXI_EXIT_FAILED;
}
