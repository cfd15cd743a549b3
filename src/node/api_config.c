/* api_config.c - the configuration: shown without secrets, compared with its file, changed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "node/api.h"
#include "node/config_internal.h"

/* --------------------------------------------------------------------------------------- shown */

static json_t *texts_make(const char *const *texts)
{
    json_t *const array = json_array();
    for (size_t i = 0; texts != NULL && texts[i] != NULL; i++) {
        (void)json_array_append_new(array, json_string(texts[i]));
    }
    return array;
}

/* Under the mutex. */
static json_t *option_make(const dx_config_t *config, const dx_config_option_t *option)
{
    static const char *const TYPES[] = {"",         "bool", "integer", "bytes",
                                        "duration", "text", "list",    "choice"};
    char value[DX_CONFIG_TEXT_BYTES_MAX + 1];
    const char *origin = "";
    if (dx_config_get(config, option->name, value, sizeof value, &origin) != DX_OK) {
        return NULL;
    }
    const size_t section_bytes = strcspn(option->name, ".");
    return json_pack("{s:s, s:s%, s:o, s:s, s:s, s:s, s:b, s:b, s:b, s:o, s:s}", "name",
                     option->name, "section", option->name, section_bytes, "value",
                     dxi_api_text(value), "origin", origin, "default", option->default_text, "type",
                     TYPES[option->type], "live", option->live, "reload_only", option->reload_only,
                     "secret", option->secret, "choices",
                     texts_make(option->type == DX_CONFIG_CHOICE ? option->choices : NULL), "help",
                     option->help);
}

/* Whether an option is asked for: all, those of a section, or one. */
static bool is_asked(const dx_config_option_t *option, const char *name)
{
    const size_t bytes = strlen(name);
    return bytes == 0 || strcmp(option->name, name) == 0 ||
           (strncmp(option->name, name, bytes) == 0 && option->name[bytes] == '.');
}

static json_t *path_make(const dx_config_t *config)
{
    const char *const path = dx_config_path(config);
    return path != NULL ? dxi_api_text(path) : json_null();
}

DXI_API_OBJECT(dxi_api_config_object)
{
    size_t count = 0;
    const dx_config_option_t *const rows = dx_config_options(&count);
    json_t *array = json_array();
    bool failed = array == NULL;
    (void)pthread_mutex_lock(&node->mutex);
    json_t *object = dxi_api_put(json_object(), "file", path_make(node->config));
    for (size_t i = 0; i < count && !failed; i++) {
        if (is_asked(&rows[i], argument)) {
            failed = json_array_append_new(array, option_make(node->config, &rows[i])) != 0;
        }
    }
    (void)pthread_mutex_unlock(&node->mutex);
    if (!failed && json_array_size(array) == 0) {
        json_decref(array);
        json_decref(object);
        return dxi_config_index(argument, error); /* says what is near */
    }
    if (failed) {
        json_decref(array);
        array = NULL;
    }
    return dxi_api_made(dxi_api_put(object, "options", array), object_out, error);
}

DXI_API_ROUTE(dxi_api_config)
{
    const char *const name = dxi_admin_query(request, "name");
    return dxi_api_answer_made(request, context, dxi_api_config_object, name != NULL ? name : "",
                               error);
}

/* -------------------------------------------------------------------------- against its file */

typedef struct pending {
    json_t *changes, *restart;
    bool failed;
} pending_t;

static void pending_add(void *context, const dx_config_change_t *change)
{
    pending_t *const pending = context;
    json_t *const object = json_pack("{s:s, s:o, s:o, s:b}", "name", change->option->name,
                                     "running", dxi_api_text(change->from), "file",
                                     dxi_api_text(change->to), "live", change->option->live);
    pending->failed = pending->failed || json_array_append_new(pending->changes, object) != 0;
    if (!change->option->live) {
        pending->failed =
            pending->failed ||
            json_array_append_new(pending->restart, json_string(change->option->name)) != 0;
    }
}

/* The file as it is now, beside what the node runs with. Under the mutex, so that both are of the
 * same moment. `problem` has a sentence when it can't be taken over. */
static int pending_look(const dx_node_t *node, pending_t *pending, dx_error_t *problem,
                        dx_error_t *error)
{
    dx_config_t *fresh = NULL;
    const char *const path = dx_config_path(node->config);
    if (path == NULL) {
        return DX_OK;
    }
    const int code = dx_config_copy(node->config, &fresh, error);
    if (code != DX_OK) {
        return code;
    }
    if (dx_config_load(fresh, path, problem) == DX_OK) {
        (void)dx_config_diff(node->config, fresh, pending_add, pending);
    }
    dx_config_destroy(fresh);
    return DX_OK;
}

DXI_API_ROUTE(dxi_api_config_pending)
{
    dx_node_t *const node = context;
    dx_error_t problem = {.code = 0};
    pending_t pending = {.changes = json_array(), .restart = json_array()};
    (void)pthread_mutex_lock(&node->mutex);
    json_t *object = dxi_api_put(json_object(), "file", path_make(node->config));
    const int code = pending_look(node, &pending, &problem, error);
    (void)pthread_mutex_unlock(&node->mutex);
    if (code != DX_OK || pending.failed) {
        json_decref(object);
        object = NULL;
    }
    object = dxi_api_put(object, "problem",
                         problem.code != 0 ? dxi_api_text(problem.message) : json_null());
    object = dxi_api_put(object, "changes", pending.changes);
    object = dxi_api_put(object, "restart", pending.restart);
    return code != DX_OK ? code : dxi_api_answer(request, 200, object);
}

/* ------------------------------------------------------------------------------------- changed */

typedef struct changes {
    json_t *array;
    bool failed;
} changes_t;

static void change_add(void *context, const dx_config_change_t *change)
{
    changes_t *const changes = context;
    json_t *const object = json_pack("{s:s, s:o, s:o}", "name", change->option->name, "from",
                                     dxi_api_text(change->from), "to", dxi_api_text(change->to));
    changes->failed = changes->failed || json_array_append_new(changes->array, object) != 0;
}

static int changes_made(changes_t *changes, int code, json_t **object_out, dx_error_t *error)
{
    if (code < 0 || changes->failed) {
        json_decref(changes->array);
        changes->array = NULL;
    }
    return code < 0 ? code
                    : dxi_api_made(dxi_api_put(json_object(), "changes", changes->array),
                                   object_out, error);
}

DXI_API_OBJECT(dxi_api_config_reload_object)
{
    changes_t changes = {.array = json_array()};
    (void)argument;
    const int code = dxi_node_reload(node, change_add, &changes, error);
    return changes_made(&changes, code, object_out, error);
}

DXI_API_ROUTE(dxi_api_config_reload)
{
    dxi_admin_note(request, "admin", "config.reload", NULL);
    return dxi_api_answer_made(request, context, dxi_api_config_reload_object, "", error);
}

static int option_set(dx_node_t *node, const char *name, const char *value, json_t **object_out,
                      dx_error_t *error)
{
    changes_t changes = {.array = json_array()};
    const int code = dxi_node_set(node, name, value, change_add, &changes, error);
    return changes_made(&changes, code, object_out, error);
}

DXI_API_OBJECT(dxi_api_config_set_object)
{
    const char *const equals = strchr(argument, '=');
    if (equals == NULL) {
        return dxi_fail(error, DX_EINVAL, "config.set wants OPTION=VALUE, has \"%.60s\"", argument);
    }
    char name[2 * DX_CONFIG_NAME_BYTES_MAX];
    (void)snprintf(name, sizeof name, "%.*s", (int)(equals - argument), argument);
    return option_set(node, name, equals + 1, object_out, error);
}

DXI_API_ROUTE(dxi_api_config_set)
{
    static const char *const KEYS[] = {"value", NULL};
    json_t *body = NULL;
    const char *value = NULL;
    const char *const name = dxi_admin_parameter(request, "name");
    dxi_admin_note(request, "admin", "config.set", name); /* not the value: it may be a secret */
    int code = dxi_api_body(request, KEYS, &body, error);
    if (code == DX_OK) {
        code = dxi_api_body_text(body, "value", &value, error);
    }
    if (code != DX_OK) {
        json_decref(body);
        return code;
    }
    json_t *object = NULL;
    code = option_set(context, name, value, &object, error);
    json_decref(body);
    return code == DX_OK ? dxi_api_answer(request, 200, object) : code;
}
