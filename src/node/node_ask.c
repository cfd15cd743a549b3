/* node_ask.c - answers to questions of clients, as JSON (dx_client_ask(), `dx node`, `dx config`).
 *
 *     node                        dx_node_info(), and the addresses
 *     config [SECTION|OPTION]     options with value, origin and help
 *     config.set OPTION=VALUE     one option, live ones only; answers what changed
 *     config.reload               reads the file again; answers what changed
 *     log.level [LEVEL]           the level; sets it
 *     connections                 those that are open
 *     subscriptions               of clients and of this process
 *     log [COUNT]                 the newest lines, all that are kept where COUNT is not given
 *     metrics                     as Prometheus gets them, whether or not there is an admin server
 *     users                       who they are, what was refused, the audit
 *     rings                       those in front of the shards, and the loops that serve them
 *
 * Keys are a promise to programs: they may be added to, never renamed. Where there are users
 * (access.h) who asks needs `admin: read`, and `admin: write` for what changes something; else
 * whoever may connect may ask.
 *
 * THREADS. The bus's thread for commands; never a loop, because numbers are collected from loops.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/nearest.h"
#include "base/values.h"
#include "disruptorx/clock.h"
#include "node/api_log.h"
#include "node/api_node.h"
#include "node/config_internal.h"
#include "node/metrics.h"
#include "node/node_internal.h"

/* An answer under construction; a failed allocation is remembered and told at the end. */
typedef struct answer {
    dx_node_t *node;
    const char *argument; /* "": none */
    json_t *root;
    bool failed;
    dx_error_t *error;
} answer_t;

static void put(answer_t *answer, json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value) != 0) {
        answer->failed = true;
    }
}

/* jansson refuses what is no UTF-8, which names of peers may be. */
static json_t *text_json(const char *text)
{
    json_t *const value = json_string(text);
    return value != NULL ? value : json_string("?");
}

static void put_text(answer_t *answer, json_t *object, const char *key, const char *text)
{
    put(answer, object, key, text_json(text));
}

static void put_number(answer_t *answer, json_t *object, const char *key, uint64_t number)
{
    put(answer, object, key, json_integer((json_int_t)number));
}

static json_t *add_object(answer_t *answer, json_t *array)
{
    json_t *const object = json_object();
    if (json_array_append_new(array, object) != 0) {
        answer->failed = true;
        return NULL;
    }
    return object;
}

static json_t *add_array(answer_t *answer, const char *key)
{
    json_t *const array = json_array();
    put(answer, answer->root, key, array);
    return answer->failed ? NULL : array;
}

/* ----------------------------------------------------------------------------------------- node */

static void put_trace(answer_t *answer, json_t *root)
{
    dx_tracer_stats_t stats;
    json_t *const trace = json_object();
    dx_tracer_stats(answer->node->tracer, &stats);
    put(answer, root, "trace", trace);
    if (answer->failed) {
        return;
    }
    put_number(answer, trace, "recorded", stats.recorded);
    put_number(answer, trace, "dropped", stats.dropped);
    put_number(answer, trace, "exported", stats.exported);
    put_number(answer, trace, "rejected", stats.rejected);
    put_number(answer, trace, "failed", stats.failed);
    put_number(answer, trace, "waiting", stats.waiting);
    put_number(answer, trace, "requests", stats.requests);
    put_number(answer, trace, "request_failures", stats.failures);
}

/* By the shared token, or by those of users. */
static uint64_t tokens_refused(dx_node_t *node)
{
    dxi_access_stat_t stat;
    dxi_access_stat(node->access, &stat);
    return dxi_auth_refused(&node->auth) + stat.logins_refused;
}

static int node_answer(answer_t *answer)
{
    dx_node_info_t info;
    const int code = dx_node_info(answer->node, &info, answer->error);
    if (code != DX_OK) {
        return code;
    }
    json_t *const root = answer->root;
    char id[17];
    (void)snprintf(id, sizeof id, "%016llx", (unsigned long long)info.id);
    put_text(answer, root, "name", info.name);
    put_text(answer, root, "id", id); /* a text: JSON numbers lose digits in many languages */
    put_text(answer, root, "version", info.version);
    put_number(answer, root, "process_id", (uint64_t)info.process_id);
    put_number(answer, root, "started_unix_ns", (uint64_t)info.started_unix_ns);
    put_number(answer, root, "uptime_ns", (uint64_t)info.uptime_ns);
    const struct number {
        const char *key;
        uint64_t value;
    } numbers[] = {
        {"shards", info.shards},
        {"loops", info.loops},
        {"topics", info.topics},
        {"subscriptions", info.subscriptions},
        {"connections", info.connections},
        {"published", info.published},
        {"delivered", info.delivered},
        {"dropped", info.dropped},
        {"refused", info.refused},
        {"redelivered", info.redelivered},
        {"dead", info.dead},
        {"bytes_in", info.bytes_in},
        {"bytes_out", info.bytes_out},
        {"connections_accepted", info.connections_accepted},
        {"connections_refused", info.connections_refused},
        {"handshake_failures", info.handshake_failures},
        {"tokens_refused", tokens_refused(answer->node)},
        {"frames_refused", info.frames_refused},
        {"retained_bytes", info.retained_bytes},
        {"config_reloads", info.config_reloads},
        {"config_reload_failures", info.config_reload_failures},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        put_number(answer, root, numbers[i].key, numbers[i].value);
    }
    if (answer->node->tracer != NULL) {
        put_trace(answer, root);
    }
    dxi_figures_t figures;
    if (dxi_figures_collect(answer->node, &figures, NULL, NULL, answer->error) == DX_OK) {
        put(answer, root, "latency", dxi_api_latency(&figures));
        put(answer, root, "process", dxi_api_process(&figures.process));
    }
    put(answer, root, "published_rate_1m", json_real(info.published_rate_1m));
    put(answer, root, "delivered_rate_1m", json_real(info.delivered_rate_1m));
    json_t *const addresses = add_array(answer, "addresses");
    const char *address = NULL;
    for (size_t i = 0; (address = dx_node_address(answer->node, i)) != NULL; i++) {
        answer->failed =
            answer->failed || json_array_append_new(addresses, text_json(address)) != 0;
    }
    return DX_OK;
}

/* --------------------------------------------------------------------------------------- config */

/* Whether an option is asked for: all, those of a section, or one. */
static bool is_asked(const dx_config_option_t *option, const char *argument)
{
    const size_t bytes = strlen(argument);
    return bytes == 0 || strcmp(option->name, argument) == 0 ||
           (strncmp(option->name, argument, bytes) == 0 && option->name[bytes] == '.');
}

static void option_put(answer_t *answer, json_t *array, const dx_config_option_t *option)
{
    static const char *const TYPES[] = {"",         "bool", "integer", "bytes",
                                        "duration", "text", "list",    "choice"};
    char value[DX_CONFIG_TEXT_BYTES_MAX + 1];
    const char *origin = "";
    json_t *const object = add_object(answer, array);
    if (object == NULL ||
        dx_config_get(answer->node->config, option->name, value, sizeof value, &origin) != DX_OK) {
        return;
    }
    put_text(answer, object, "name", option->name);
    put_text(answer, object, "value", value);
    put_text(answer, object, "origin", origin);
    put_text(answer, object, "default", option->default_text);
    put_text(answer, object, "type", TYPES[option->type]);
    put(answer, object, "live", json_boolean(option->live));
    put_text(answer, object, "help", option->help);
}

static int config_answer(answer_t *answer)
{
    size_t count = 0;
    const dx_config_option_t *const rows = dx_config_options(&count);
    json_t *const array = add_array(answer, "options");
    bool found = false;
    (void)pthread_mutex_lock(&answer->node->mutex);
    const char *const path = dx_config_path(answer->node->config);
    put(answer, answer->root, "file", path != NULL ? text_json(path) : json_null());
    for (size_t i = 0; i < count && array != NULL; i++) {
        if (is_asked(&rows[i], answer->argument)) {
            option_put(answer, array, &rows[i]);
            found = true;
        }
    }
    (void)pthread_mutex_unlock(&answer->node->mutex);
    if (!found && array != NULL) {
        return dxi_config_index(answer->argument, answer->error); /* says what is near */
    }
    return DX_OK;
}

typedef struct changes {
    answer_t *answer;
    json_t *array;
} changes_t;

static void change_put(void *context, const dx_config_change_t *change)
{
    const changes_t *const changes = context;
    json_t *const object = add_object(changes->answer, changes->array);
    if (object != NULL) {
        put_text(changes->answer, object, "name", change->option->name);
        put_text(changes->answer, object, "from", change->from);
        put_text(changes->answer, object, "to", change->to);
    }
}

static int set_answer(answer_t *answer)
{
    changes_t changes = {.answer = answer, .array = add_array(answer, "changes")};
    const char *const equals = strchr(answer->argument, '=');
    if (equals == NULL) {
        return dxi_fail(answer->error, DX_EINVAL, "config.set wants OPTION=VALUE, has \"%.60s\"",
                        answer->argument);
    }
    char name[2 * DX_CONFIG_NAME_BYTES_MAX];
    (void)snprintf(name, sizeof name, "%.*s", (int)(equals - answer->argument), answer->argument);
    const int code =
        dxi_node_set(answer->node, name, equals + 1, changes.array != NULL ? change_put : NULL,
                     &changes, answer->error);
    return code < 0 ? code : DX_OK;
}

static int reload_answer(answer_t *answer)
{
    changes_t changes = {.answer = answer, .array = add_array(answer, "changes")};
    const int code = dxi_node_reload(answer->node, changes.array != NULL ? change_put : NULL,
                                     &changes, answer->error);
    return code < 0 ? code : DX_OK;
}

static int level_answer(answer_t *answer)
{
    if (answer->argument[0] != '\0') {
        const int code =
            dxi_node_set(answer->node, "log.level", answer->argument, NULL, NULL, answer->error);
        if (code < 0) {
            return code;
        }
    }
    (void)pthread_mutex_lock(&answer->node->mutex);
    put_text(answer, answer->root, "level", dx_config_text(answer->node->config, "log.level"));
    (void)pthread_mutex_unlock(&answer->node->mutex);
    return DX_OK;
}

/* ------------------------------------------------------------------- connections, subscriptions */

static void session_put(void *context, const dxi_session_info_t *info)
{
    const changes_t *const list = context;
    answer_t *const answer = list->answer;
    const dxi_connection_info_t *const connection = &info->connection;
    json_t *const object = add_object(answer, list->array);
    if (object == NULL) {
        return;
    }
    put_number(answer, object, "id", connection->id);
    put_text(answer, object, "name", connection->peer_name);
    put_text(answer, object, "user", info->user);
    put_text(answer, object, "address", connection->peer_address);
    put(answer, object, "tls", json_boolean(connection->tls));
    put_text(answer, object, "tls_subject", connection->tls_subject);
    put_number(answer, object, "age_ns", (uint64_t)(dx_clock_ns() - connection->opened_ns));
    put_number(answer, object, "rtt_ns", (uint64_t)connection->rtt_ns);
    put_number(answer, object, "subscriptions", info->subscriptions);
    put_number(answer, object, "events_in", info->events_in);
    put_number(answer, object, "events_out", info->events_out);
    put_number(answer, object, "frames_in", connection->frames_in);
    put_number(answer, object, "frames_out", connection->frames_out);
    put_number(answer, object, "bytes_in", connection->bytes_in);
    put_number(answer, object, "bytes_out", connection->bytes_out);
    put_number(answer, object, "batches_in", connection->batches_in);
    put_number(answer, object, "batch_bytes_in", connection->batch_bytes_in);
    put_number(answer, object, "batch_raw_bytes_in", connection->batch_raw_bytes_in);
    put_number(answer, object, "batches_out", connection->batches_out);
    put_number(answer, object, "batch_bytes_out", connection->batch_bytes_out);
    put_number(answer, object, "batch_raw_bytes_out", connection->batch_raw_bytes_out);
    put_number(answer, object, "refused", connection->refused);
}

static void subscription_put(void *context, uint64_t connection,
                             const dx_subscription_stats_t *stats)
{
    const changes_t *const list = context;
    answer_t *const answer = list->answer;
    json_t *const object = add_object(answer, list->array);
    if (object == NULL) {
        return;
    }
    put_text(answer, object, "name", stats->name);
    put_text(answer, object, "pattern", stats->pattern);
    put_text(answer, object, "group", stats->group);
    put_number(answer, object, "connection", connection);
    put_number(answer, object, "delivered", stats->delivered);
    put_number(answer, object, "redelivered", stats->redelivered);
    put_number(answer, object, "acknowledged", stats->acknowledged);
    put_number(answer, object, "refused", stats->refused);
    put_number(answer, object, "dropped", stats->dropped);
    put_number(answer, object, "gaps", stats->gaps);
    put_number(answer, object, "dead", stats->dead);
    put_number(answer, object, "filtered", stats->filtered);
    put_number(answer, object, "pending", stats->pending);
    put_number(answer, object, "lag", stats->lag);
}

static int list_code(answer_t *answer, int count)
{
    return count >= 0
               ? DX_OK
               : dxi_fail(answer->error, count, "the bus can't say: %s", dx_error_text(count));
}

static int connections_answer(answer_t *answer)
{
    changes_t list = {.answer = answer, .array = add_array(answer, "connections")};
    return list.array == NULL
               ? DX_OK
               : list_code(answer, dxi_bus_sessions_each(answer->node->bus, session_put, &list));
}

static int subscriptions_answer(answer_t *answer)
{
    changes_t list = {.answer = answer, .array = add_array(answer, "subscriptions")};
    return list.array == NULL
               ? DX_OK
               : list_code(answer,
                           dxi_bus_subscriptions_each(answer->node->bus, subscription_put, &list));
}

/* ---------------------------------------------------------------------------------------- rings */

static void ring_put(answer_t *answer, json_t *object, const dxi_lane_stat_t *lane)
{
    const dx_ring_stat_t *const ring = &lane->ring;
    const struct number {
        const char *key;
        int64_t value;
    } numbers[] = {
        {"shard", lane->shard},
        {"loop", lane->loop},
        {"capacity_slots", ring->slot_count},
        {"slot_bytes", ring->slot_bytes},
        {"used_slots", lane->used},
        {"published_slots", ring->published + 1},
        {"consumed_slots", ring->consumed + 1},
        {"claim_waits", ring->claim_waits},
        {"claim_wait_ns", ring->claim_wait_ns},
        {"refusals", ring->refusals},
        {"drops", ring->drops},
        {"wakes", ring->wakes},
        {"producers", ring->producers},
    };
    put_text(answer, object, "name", ring->name);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        put_number(answer, object, numbers[i].key, (uint64_t)numbers[i].value);
    }
}

/* Numbers since the start: who asks twice has the busy ratio of the time between, busy_ns over
 * taken_ns. */
static void loop_put(answer_t *answer, json_t *object, uint32_t index, const dxi_loop_t *loop)
{
    dxi_loop_stat_t stat;
    char name[16];
    dxi_loop_stat(loop, &stat);
    (void)snprintf(name, sizeof name, "io.%u", index);
    put_text(answer, object, "name", name);
    put_number(answer, object, "turns", (uint64_t)stat.turns);
    put_number(answer, object, "sleeps", (uint64_t)stat.sleeps);
    put_number(answer, object, "bells", (uint64_t)stat.bells);
    put_number(answer, object, "busy_ns", (uint64_t)stat.busy_ns);
    put_number(answer, object, "turn_max_ns", (uint64_t)stat.turn_max_ns);
}

static int rings_answer(answer_t *answer)
{
    dx_bus_t *const bus = answer->node->bus;
    json_t *const rings = add_array(answer, "rings");
    dxi_lane_stat_t lane;
    for (uint32_t i = 0; rings != NULL && dxi_bus_lane_stat(bus, i, &lane) == DX_OK; i++) {
        json_t *const object = add_object(answer, rings);
        if (object != NULL) {
            ring_put(answer, object, &lane);
        }
    }
    uint32_t count = 0;
    dxi_loop_t *const *const all = dxi_bus_loops(bus, &count);
    json_t *const loops = add_array(answer, "loops");
    for (uint32_t i = 0; loops != NULL && i < count; i++) {
        json_t *const object = add_object(answer, loops);
        if (object != NULL) {
            loop_put(answer, object, i, all[i]);
        }
    }
    put_number(answer, answer->root, "taken_ns", (uint64_t)dx_clock_ns());
    return DX_OK;
}

/* --------------------------------------------------------------------------------------- users */

static void user_put(void *context, const dxi_access_user_info_t *info)
{
    const changes_t *const list = context;
    answer_t *const answer = list->answer;
    json_t *const object = add_object(answer, list->array);
    if (object == NULL) {
        return;
    }
    put_text(answer, object, "name", info->name);
    put_text(answer, object, "admin",
             info->admin == 0                       ? "none"
             : info->admin == DXI_ACCESS_ADMIN_READ ? "read"
                                                    : "write");
    put_number(answer, object, "tokens", info->tokens);
    put_number(answer, object, "certificates", info->certificates);
    put_number(answer, object, "connections", info->connections);
    put_number(answer, object, "connections_max", info->limits.connections_max);
    put_number(answer, object, "subscriptions_max", info->limits.subscriptions_max);
    put_number(answer, object, "publish_events_per_s", info->limits.publish_events_per_s);
    put_number(answer, object, "publish_bytes_per_s", info->limits.publish_bytes_per_s);
    put_number(answer, object, "refused", info->refused);
    put_number(answer, object, "throttled", info->throttled);
}

static int users_answer(answer_t *answer)
{
    dxi_access_stat_t stat;
    dxi_access_t *const access = answer->node->access;
    dxi_access_stat(access, &stat);
    put(answer, answer->root, "on", json_boolean(dxi_access_on(access)));
    put_number(answer, answer->root, "logins_refused", stat.logins_refused);
    put_number(answer, answer->root, "connections_refused", stat.connections_refused);
    put_number(answer, answer->root, "throttled", stat.throttled);
    json_t *const refused = json_object();
    put(answer, answer->root, "refused", refused);
    for (int i = 0; refused != NULL && i <= DXI_ACCESS_ADMIN_WRITE; i++) {
        put_number(answer, refused, dxi_access_action_name((dxi_access_action_t)i),
                   stat.refused[i]);
    }
    put_number(answer, answer->root, "audit_lines", stat.audit_lines);
    put_number(answer, answer->root, "audit_lost", stat.audit_lost);
    put_number(answer, answer->root, "audit_failures", stat.audit_failures);
    put(answer, answer->root, "audit_failing", json_boolean(stat.audit_failing));
    changes_t list = {.answer = answer, .array = add_array(answer, "users")};
    if (list.array != NULL) {
        (void)dxi_access_users_each(access, user_put, &list);
    }
    return DX_OK;
}

/* ------------------------------------------------------------------------------ log and metrics */

static int log_answer(answer_t *answer)
{
    int64_t count = DXI_LINES_MAX;
    uint64_t lost = 0;
    if (answer->argument[0] != '\0' &&
        dxi_integer_parse("the count of lines", answer->argument, 1, DXI_LINES_MAX, &count,
                          answer->error) != DX_OK) {
        return DX_EINVAL;
    }
    dxi_lines_t *const lines = &answer->node->lines;
    const uint64_t newest = dxi_lines_newest(lines);
    json_t *const array = dxi_api_lines(lines, 0, DX_LOG_LEVEL_INFO, (size_t)count, &lost);
    put(answer, answer->root, "lines", array);
    put_number(answer, answer->root, "newest", newest);
    put_number(answer, answer->root, "lost", lost);
    return DX_OK;
}

static int metrics_answer(answer_t *answer)
{
    dxi_metrics_text_t text = {.bytes = NULL};
    const int code = dxi_metrics_write(answer->node, &text, answer->error);
    if (code == DX_OK) {
        answer->failed = answer->failed || text.failed;
        put(answer, answer->root, "text",
            text.failed ? json_null() : json_stringn(text.bytes, text.used));
    }
    free(text.bytes);
    return code;
}

/* --------------------------------------------------------------------------------- all of them */

enum writes { READS, WRITES, WRITES_WITH_ARGUMENT };

static const struct question {
    const char *name;
    int (*answer)(answer_t *answer);
    enum writes writes; /* what a user needs: access.h */
} QUESTIONS[] = {
    {"node", node_answer, READS},
    {"config", config_answer, READS},
    {"config.set", set_answer, WRITES},
    {"config.reload", reload_answer, WRITES},
    {"log.level", level_answer, WRITES_WITH_ARGUMENT},
    {"connections", connections_answer, READS},
    {"subscriptions", subscriptions_answer, READS},
    {"rings", rings_answer, READS},
    {"log", log_answer, READS},
    {"metrics", metrics_answer, READS},
    {"users", users_answer, READS},
};

bool dxi_node_ask_writes(const char *question, const char *argument)
{
    for (size_t i = 0; i < sizeof QUESTIONS / sizeof QUESTIONS[0]; i++) {
        if (strcmp(QUESTIONS[i].name, question) == 0) {
            return QUESTIONS[i].writes == WRITES ||
                   (QUESTIONS[i].writes == WRITES_WITH_ARGUMENT && argument[0] != '\0');
        }
    }
    return false;
}

static const struct question *question_find(const char *name, dx_error_t *error)
{
    dxi_nearest_t nearest = {.word = name};
    for (size_t i = 0; i < sizeof QUESTIONS / sizeof QUESTIONS[0]; i++) {
        if (strcmp(QUESTIONS[i].name, name) == 0) {
            return &QUESTIONS[i];
        }
        dxi_nearest_offer(&nearest, QUESTIONS[i].name);
    }
    (void)dxi_fail(error, DX_ENOTFOUND, "the question %.60s is not known%s%s%s", name,
                   nearest.best != NULL ? "; did you mean " : "",
                   nearest.best != NULL ? nearest.best : "", nearest.best != NULL ? "?" : "");
    return NULL;
}

int dxi_node_ask(void *node, const char *question, const char *argument, char **text_out,
                 dx_error_t *error)
{
    *text_out = NULL;
    const struct question *const found = question_find(question, error);
    if (found == NULL) {
        return DX_ENOTFOUND;
    }
    answer_t answer = {.node = node,
                       .argument = argument != NULL ? argument : "",
                       .root = json_object(),
                       .error = error};
    answer.failed = answer.root == NULL;
    const int code = answer.failed ? DX_OK : found->answer(&answer);
    if (code == DX_OK && !answer.failed) {
        *text_out = json_dumps(answer.root, JSON_COMPACT);
    }
    json_decref(answer.root);
    if (code == DX_OK && *text_out == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for the answer to %s", question);
    }
    return code;
}
