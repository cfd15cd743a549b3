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
 * What the admin server answers as well is made by the same functions (api.h). Keys are a promise
 * to programs: they may be added to, never renamed. Where there are users (access.h) who asks needs
 * `admin: read`, and `admin: write` for what changes something; else whoever may connect may ask.
 *
 * THREADS. The bus's thread for commands; never a loop, because numbers are collected from loops.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/nearest.h"
#include "node/api.h"
#include "node/metrics.h"

/* --------------------------------------------------------------------------------------- users */

#define USER(name, kind, member)                                                                   \
    {                                                                                              \
        name, kind, offsetof(dxi_access_user_info_t, member)                                       \
    }

typedef struct users {
    json_t *array;
    bool failed;
} users_t;

static void user_add(void *context, const dxi_access_user_info_t *info)
{
    static const dxi_api_field_t FIELDS[] = {
        USER("name", DXI_API_TEXT, name),
        USER("tokens", DXI_API_U32, tokens),
        USER("certificates", DXI_API_U32, certificates),
        USER("connections", DXI_API_U64, connections),
        USER("connections_max", DXI_API_U64, limits.connections_max),
        USER("subscriptions_max", DXI_API_U64, limits.subscriptions_max),
        USER("publish_events_per_s", DXI_API_U64, limits.publish_events_per_s),
        USER("publish_bytes_per_s", DXI_API_U64, limits.publish_bytes_per_s),
        USER("refused", DXI_API_U64, refused),
        USER("throttled", DXI_API_U64, throttled),
    };
    users_t *const users = context;
    const char *const admin = info->admin == 0                       ? "none"
                              : info->admin == DXI_ACCESS_ADMIN_READ ? "read"
                                                                     : "write";
    json_t *const object = dxi_api_fields(json_object(), FIELDS, DXI_API_COUNT(FIELDS), info);
    users->failed = json_array_append_new(users->array,
                                          dxi_api_put(object, "admin", json_string(admin))) != 0 ||
                    users->failed;
}

static json_t *refused_make(const dxi_access_stat_t *stat)
{
    json_t *object = json_object();
    for (int i = 0; i <= DXI_ACCESS_ADMIN_WRITE; i++) {
        object = dxi_api_put(object, dxi_access_action_name((dxi_access_action_t)i),
                             json_integer((json_int_t)stat->refused[i]));
    }
    return object;
}

static DXI_API_OBJECT(users_object)
{
    static const dxi_api_field_t FIELDS[] = {
        {"logins_refused", DXI_API_U64, offsetof(dxi_access_stat_t, logins_refused)},
        {"connections_refused", DXI_API_U64, offsetof(dxi_access_stat_t, connections_refused)},
        {"throttled", DXI_API_U64, offsetof(dxi_access_stat_t, throttled)},
        {"audit_lines", DXI_API_U64, offsetof(dxi_access_stat_t, audit_lines)},
        {"audit_lost", DXI_API_U64, offsetof(dxi_access_stat_t, audit_lost)},
        {"audit_suppressed", DXI_API_U64, offsetof(dxi_access_stat_t, audit_suppressed)},
        {"audit_failures", DXI_API_U64, offsetof(dxi_access_stat_t, audit_failures)},
        {"audit_failing", DXI_API_BOOL, offsetof(dxi_access_stat_t, audit_failing)},
    };
    dxi_access_stat_t stat;
    users_t users = {.array = json_array()};
    (void)argument;
    dxi_access_stat(node->access, &stat);
    (void)dxi_access_users_each(node->access, user_add, &users);
    if (users.failed) {
        json_decref(users.array);
        users.array = NULL;
    }
    json_t *object = dxi_api_put(json_object(), "on", json_boolean(dxi_access_on(node->access)));
    object = dxi_api_fields(object, FIELDS, DXI_API_COUNT(FIELDS), &stat);
    object = dxi_api_put(object, "refused", refused_make(&stat));
    return dxi_api_made(dxi_api_put(object, "users", users.array), object_out, error);
}

/* ------------------------------------------------------------------------------------- metrics */

static DXI_API_OBJECT(metrics_object)
{
    dxi_metrics_text_t text = {.bytes = NULL};
    (void)argument;
    const int code = dxi_metrics_write(node, &text, error);
    json_t *const value = text.failed ? NULL : json_stringn(text.bytes, text.used);
    free(text.bytes);
    if (code != DX_OK) {
        json_decref(value);
        return code;
    }
    return dxi_api_made(dxi_api_put(json_object(), "text", value), object_out, error);
}

/* --------------------------------------------------------------------------------- all of them */

enum writes { READS, WRITES, WRITES_WITH_ARGUMENT };

static const struct question {
    const char *name;
    dxi_api_object_fn answer;
    enum writes writes; /* what a user needs: access.h */
} QUESTIONS[] = {
    {"node", dxi_api_node_object, READS},
    {"config", dxi_api_config_object, READS},
    {"config.set", dxi_api_config_set_object, WRITES},
    {"config.reload", dxi_api_config_reload_object, WRITES},
    {"log.level", dxi_api_log_level_object, WRITES_WITH_ARGUMENT},
    {"connections", dxi_api_connections_object, READS},
    {"subscriptions", dxi_api_subscriptions_object, READS},
    {"rings", dxi_api_rings_object, READS},
    {"log", dxi_api_log_object, READS},
    {"metrics", metrics_object, READS},
    {"users", users_object, READS},
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
    json_t *object = NULL;
    *text_out = NULL;
    const struct question *const found = question_find(question, error);
    if (found == NULL) {
        return DX_ENOTFOUND;
    }
    const int code = found->answer(node, argument != NULL ? argument : "", &object, error);
    if (code != DX_OK) {
        return code;
    }
    *text_out = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    return *text_out != NULL
               ? DX_OK
               : dxi_fail(error, DX_ENOMEM, "no memory for the answer to %s", question);
}
