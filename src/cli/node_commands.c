/* node_commands.c - `dx node`: what a node says of itself, its connections and its subscriptions.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/format.h"
#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/table.h"
#include "disruptorx/clock.h"

static int64_t number(const json_t *object, const char *key)
{
    return (int64_t)json_integer_value(json_object_get(object, key));
}

static const char *count(dxi_text_t *text, const json_t *object, const char *key)
{
    return dxi_format_count(text, number(object, key));
}

/* Parses the arguments of a command without any, asks, and prints JSON where that is wanted.
 * Returns the answer for a table; else NULL, and the exit code. */
static json_t *question_run(const dxi_usage_t *usage, const char *question, int argc, char **argv,
                            int *exit_code_out)
{
    dxi_operands_t operands;
    *exit_code_out = dxi_arguments_begin(usage, argc, argv, NULL, &operands);
    if (*exit_code_out != DXI_GO_ON) {
        return NULL;
    }
    json_t *const root = dxi_node_question(usage->command, question, "", exit_code_out);
    if (root != NULL && dxi_output_is_json()) {
        *exit_code_out = dxi_answer_print(usage->command, root);
        json_decref(root);
        return NULL;
    }
    return root;
}

/* ------------------------------------------------------------------------------------------- info
 * */

static void info_numbers(const json_t *root)
{
    printf("  %-12s %s topics, %s subscriptions, %s connections\n", "now",
           count(&(dxi_text_t){0}, root, "topics"), count(&(dxi_text_t){0}, root, "subscriptions"),
           count(&(dxi_text_t){0}, root, "connections"));
    printf("  %-12s %s events, %s/s over the last minute\n", "published",
           count(&(dxi_text_t){0}, root, "published"),
           dxi_format_decimal(&(dxi_text_t){0},
                              json_number_value(json_object_get(root, "published_rate_1m"))));
    printf("  %-12s %s events, %s/s over the last minute\n", "delivered",
           count(&(dxi_text_t){0}, root, "delivered"),
           dxi_format_decimal(&(dxi_text_t){0},
                              json_number_value(json_object_get(root, "delivered_rate_1m"))));
    printf("  %-12s %s in, %s out, %s kept in memory\n", "bytes",
           dxi_format_bytes(&(dxi_text_t){0}, (uint64_t)number(root, "bytes_in")),
           dxi_format_bytes(&(dxi_text_t){0}, (uint64_t)number(root, "bytes_out")),
           dxi_format_bytes(&(dxi_text_t){0}, (uint64_t)number(root, "retained_bytes")));
    printf("  %-12s %s refused, %s dropped, %s redelivered, %s given up\n", "trouble",
           count(&(dxi_text_t){0}, root, "refused"), count(&(dxi_text_t){0}, root, "dropped"),
           count(&(dxi_text_t){0}, root, "redelivered"), count(&(dxi_text_t){0}, root, "dead"));
    printf("  %-12s %s accepted, %s refused, %s failed to greet, %s bad frames\n", "connections",
           count(&(dxi_text_t){0}, root, "connections_accepted"),
           count(&(dxi_text_t){0}, root, "connections_refused"),
           count(&(dxi_text_t){0}, root, "handshake_failures"),
           count(&(dxi_text_t){0}, root, "frames_refused"));
    const json_t *const trace = json_object_get(root, "trace");
    if (trace != NULL) {
        printf("  %-12s %s recorded, %s exported, %s dropped, %s failed, %s rejected\n", "spans",
               count(&(dxi_text_t){0}, trace, "recorded"),
               count(&(dxi_text_t){0}, trace, "exported"),
               count(&(dxi_text_t){0}, trace, "dropped"), count(&(dxi_text_t){0}, trace, "failed"),
               count(&(dxi_text_t){0}, trace, "rejected"));
    }
}

static int info_run(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx node info",
        .description = "What a node is, where it listens, and what it has done since its start.\n",
        .examples = "  dx node info\n  dx node info -o json | jq .published\n",
        .uses_node = 1,
    };
    int exit_code = DXI_EXIT_OK;
    json_t *const root = question_run(&usage, "node", argc, argv, &exit_code);
    if (root == NULL) {
        return exit_code;
    }
    size_t index = 0;
    json_t *address = NULL;
    printf("%sNode %s%s, id %s, DisruptorX %s, process %lld, up for %s\n",
           dxi_style(stdout, DXI_STYLE_HEADING), dxi_answer_text(root, "name"),
           dxi_style(stdout, DXI_STYLE_PLAIN), dxi_answer_text(root, "id"),
           dxi_answer_text(root, "version"), (long long)number(root, "process_id"),
           dxi_format_ns(&(dxi_text_t){0}, number(root, "uptime_ns")));
    json_array_foreach(json_object_get(root, "addresses"), index, address)
    {
        printf("  %-12s %s\n", index == 0 ? "listens on" : "", json_string_value(address));
    }
    printf("  %-12s %lld shards in %lld threads\n", "bus", (long long)number(root, "shards"),
           (long long)number(root, "loops"));
    info_numbers(root);
    json_decref(root);
    return exit_code;
}

/* ------------------------------------------------------------------ connections and subscriptions
 * */

/* A column of a list: its title, the key, and how it is written. */
typedef struct list_column {
    dxi_column_t column;
    const char *key;
    enum { LIST_TEXT, LIST_COUNT, LIST_BYTES, LIST_NS } kind;
} list_column_t;

static void list_cell(dxi_table_t *table, const list_column_t *column, const json_t *item)
{
    const int64_t value = number(item, column->key);
    switch (column->kind) {
    case LIST_COUNT:
        dxi_table_cell(table, "%s", dxi_format_count(&(dxi_text_t){0}, value));
        break;
    case LIST_BYTES:
        dxi_table_cell(table, "%s", dxi_format_bytes(&(dxi_text_t){0}, (uint64_t)value));
        break;
    case LIST_NS:
        dxi_table_cell(table, "%s", dxi_format_ns(&(dxi_text_t){0}, value));
        break;
    case LIST_TEXT:
    default:
        /* Names come from clients: what could command a terminal is shown as "?". */
        dxi_table_cell(table, "%s",
                       dxi_format_name(&(dxi_text_t){0}, dxi_answer_text(item, column->key)));
        break;
    }
}

static int list_print(const char *speaker, const list_column_t *list, size_t column_count,
                      json_t *items)
{
    dxi_column_t columns[DXI_TABLE_COLUMNS_MAX];
    dxi_table_t *table = NULL;
    dx_error_t error = {0};
    size_t index = 0;
    json_t *item = NULL;
    for (size_t i = 0; i < column_count; i++) {
        columns[i] = list[i].column;
    }
    if (dxi_table_create(columns, column_count, &table, &error) != DX_OK) {
        dxi_complain_error(speaker, &error);
        return DXI_EXIT_FAILED;
    }
    json_array_foreach(items, index, item)
    {
        for (size_t i = 0; i < column_count; i++) {
            list_cell(table, &list[i], item);
        }
    }
    dxi_table_print(table, stdout, 0, dxi_output_width(stdout));
    dxi_table_destroy(table);
    return DXI_EXIT_OK;
}

static int connections_run(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx node connections",
        .description = "Who is connected, this command itself included.\n",
        .examples = "  dx node connections\n  dx node connections -o json\n",
        .uses_node = 1,
    };
    static const list_column_t columns[] = {
        {{"id", DXI_ALIGN_RIGHT, 4}, "id", LIST_COUNT},
        {{"name", DXI_ALIGN_LEFT, 0}, "name", LIST_TEXT},
        {{"address", DXI_ALIGN_LEFT, 3}, "address", LIST_TEXT},
        {{"age", DXI_ALIGN_RIGHT, 0}, "age_ns", LIST_NS},
        {{"rtt", DXI_ALIGN_RIGHT, 5}, "rtt_ns", LIST_NS},
        {{"subs", DXI_ALIGN_RIGHT, 0}, "subscriptions", LIST_COUNT},
        {{"events in", DXI_ALIGN_RIGHT, 0}, "events_in", LIST_COUNT},
        {{"events out", DXI_ALIGN_RIGHT, 0}, "events_out", LIST_COUNT},
        {{"bytes in", DXI_ALIGN_RIGHT, 2}, "bytes_in", LIST_BYTES},
        {{"bytes out", DXI_ALIGN_RIGHT, 1}, "bytes_out", LIST_BYTES},
    };
    int exit_code = DXI_EXIT_OK;
    json_t *const root = question_run(&usage, "connections", argc, argv, &exit_code);
    if (root != NULL) {
        exit_code = list_print(usage.command, columns, sizeof columns / sizeof columns[0],
                               json_object_get(root, "connections"));
        json_decref(root);
    }
    return exit_code;
}

static int subscriptions_run(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx node subscriptions",
        .description = "Who subscribes to what, how far behind it is, and what it missed.\n",
        .examples = "  dx node subscriptions\n  dx node subscriptions -o json\n",
        .uses_node = 1,
    };
    static const list_column_t columns[] = {
        {{"name", DXI_ALIGN_LEFT, 2}, "name", LIST_TEXT},
        {{"pattern", DXI_ALIGN_LEFT, 0}, "pattern", LIST_TEXT},
        {{"group", DXI_ALIGN_LEFT, 0}, "group", LIST_TEXT},
        {{"conn", DXI_ALIGN_RIGHT, 4}, "connection", LIST_COUNT},
        {{"delivered", DXI_ALIGN_RIGHT, 0}, "delivered", LIST_COUNT},
        {{"pending", DXI_ALIGN_RIGHT, 0}, "pending", LIST_COUNT},
        {{"lag", DXI_ALIGN_RIGHT, 0}, "lag", LIST_COUNT},
        {{"dropped", DXI_ALIGN_RIGHT, 0}, "dropped", LIST_COUNT},
        {{"again", DXI_ALIGN_RIGHT, 1}, "redelivered", LIST_COUNT},
        {{"given up", DXI_ALIGN_RIGHT, 3}, "dead", LIST_COUNT},
    };
    int exit_code = DXI_EXIT_OK;
    json_t *const root = question_run(&usage, "subscriptions", argc, argv, &exit_code);
    if (root != NULL) {
        exit_code = list_print(usage.command, columns, sizeof columns / sizeof columns[0],
                               json_object_get(root, "subscriptions"));
        json_decref(root);
    }
    return exit_code;
}

static void users_summary(json_t *root)
{
    const json_t *const refused = json_object_get(root, "refused");
    const char *action = NULL;
    json_t *times = NULL;
    if (!json_is_true(json_object_get(root, "on"))) {
        printf("There is no users file (access.file): whoever may connect may do everything.\n");
        return;
    }
    printf("refused: %s logins, %s connections",
           dxi_format_count(&(dxi_text_t){0}, number(root, "logins_refused")),
           dxi_format_count(&(dxi_text_t){0}, number(root, "connections_refused")));
    json_object_foreach((json_t *)(uintptr_t)refused, action, times)
    {
        if (json_integer_value(times) > 0) {
            printf(", %s to %s", dxi_format_count(&(dxi_text_t){0}, json_integer_value(times)),
                   action);
        }
    }
    printf("; audit: %s lines, %s lost, %s left out%s\n",
           dxi_format_count(&(dxi_text_t){0}, number(root, "audit_lines")),
           dxi_format_count(&(dxi_text_t){0}, number(root, "audit_lost")),
           dxi_format_count(&(dxi_text_t){0}, number(root, "audit_suppressed")),
           json_is_true(json_object_get(root, "audit_failing")) ? ", and it CAN'T BE WRITTEN now"
                                                                : "");
}

static int users_run(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx node users",
        .description = "The users of a node (dx user), what they do and what was refused.\n",
        .examples = "  dx node users\n  dx node users -o json\n",
        .uses_node = 1,
    };
    static const list_column_t columns[] = {
        {{"user", DXI_ALIGN_LEFT, 0}, "name", LIST_TEXT},
        {{"admin", DXI_ALIGN_LEFT, 2}, "admin", LIST_TEXT},
        {{"connections", DXI_ALIGN_RIGHT, 0}, "connections", LIST_COUNT},
        {{"refused", DXI_ALIGN_RIGHT, 0}, "refused", LIST_COUNT},
        {{"slowed", DXI_ALIGN_RIGHT, 0}, "throttled", LIST_COUNT},
        {{"events/s", DXI_ALIGN_RIGHT, 1}, "publish_events_per_s", LIST_COUNT},
    };
    int exit_code = DXI_EXIT_OK;
    json_t *const root = question_run(&usage, "users", argc, argv, &exit_code);
    if (root != NULL) {
        users_summary(root);
        if (json_is_true(json_object_get(root, "on"))) {
            exit_code = list_print(usage.command, columns, sizeof columns / sizeof columns[0],
                                   json_object_get(root, "users"));
        }
        json_decref(root);
    }
    return exit_code;
}

/* ------------------------------------------------------------------------------ log and metrics
 * */

static int metrics_run(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx node metrics",
        .description =
            "The node's numbers as Prometheus gets them, also where the node has no admin\n"
            "server.\n",
        .examples = "  dx node metrics | grep _used_slots\n",
        .uses_node = 1,
    };
    int exit_code = DXI_EXIT_OK;
    json_t *const root = question_run(&usage, "metrics", argc, argv, &exit_code);
    if (root != NULL) {
        fputs(dxi_answer_text(root, "text"), stdout);
        json_decref(root);
    }
    return exit_code;
}

typedef struct log_settings {
    int64_t count;
} log_settings_t;

/* "2026-11-26T13:57:29.123Z INFO  node: ..." */
static void line_print(const json_t *line)
{
    char time_text[32] = "";
    char room[1024];
    const int64_t unix_ns = number(line, "unix_ns");
    const time_t seconds = (time_t)(unix_ns / DX_NS_PER_S);
    struct tm parts;
    if (gmtime_r(&seconds, &parts) != NULL) {
        (void)strftime(time_text, sizeof time_text, "%Y-%m-%dT%H:%M:%S", &parts);
    }
    snprintf(room, sizeof room, "%s", dxi_answer_text(line, "message"));
    for (char *at = room; *at != '\0'; at++) { /* as the log itself does, but to be sure */
        *at = (unsigned char)*at < 0x20 || *at == 0x7f ? '?' : *at;
    }
    printf("%s.%03lldZ %-5s %s: %s\n", time_text, (long long)(unix_ns % DX_NS_PER_S / DX_NS_PER_MS),
           dxi_answer_text(line, "level"), dxi_answer_text(line, "component"), room);
}

static int log_run(int argc, char **argv)
{
    static const dxi_option_t options[] = {
        {.name = "count",
         .letter = 'n',
         .kind = DXI_OPTION_INTEGER,
         .value_name = "N",
         .offset = offsetof(log_settings_t, count),
         .low = 1,
         .high = 512,
         .help = "the newest N lines; default 50"},
    };
    static const dxi_usage_t usage = {
        .command = "dx node log",
        .description =
            "The newest lines of the node's log, of info and above; it keeps the last 512\n"
            "in memory.\n",
        .options = options,
        .option_count = 1,
        .examples = "  dx node log\n  dx node log -n 512 -o json | jq '.lines[] | "
                    "select(.level == \"error\")'\n",
        .uses_node = 1,
    };
    log_settings_t settings = {.count = 50};
    dxi_operands_t operands;
    int exit_code = dxi_arguments_begin(&usage, argc, argv, &settings, &operands);
    if (exit_code != DXI_GO_ON) {
        return exit_code;
    }
    char count_text[24];
    snprintf(count_text, sizeof count_text, "%lld", (long long)settings.count);
    json_t *const root = dxi_node_question(usage.command, "log", count_text, &exit_code);
    size_t index = 0;
    json_t *line = NULL;
    if (root != NULL && dxi_output_is_json()) {
        exit_code = dxi_answer_print(usage.command, root);
    } else if (root != NULL) {
        json_array_foreach(json_object_get(root, "lines"), index, line)
        {
            line_print(line);
        }
    }
    json_decref(root);
    return exit_code;
}

static const dxi_command_t ACTIONS[] = {
    {"info", "what it is and what it has done", info_run},
    {"connections", "who is connected", connections_run},
    {"subscriptions", "who subscribes to what, and how far behind", subscriptions_run},
    {"users", "who may use it, what they do, what was refused", users_run},
    {"log", "its newest lines", log_run},
    {"metrics", "its numbers, as Prometheus gets them", metrics_run},
    {NULL, NULL, NULL},
};

int dxi_cli_node(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx node",
        .operands = "ACTION ...",
        .description = "A node from inside: what it says of itself.\n",
        .examples = "  dx node info\n  dx node subscriptions\n",
        .stops_at_operands = 1,
        .actions = ACTIONS,
    };
    return dxi_command_group(&usage, argc, argv);
}
