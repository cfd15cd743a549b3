/* node_reload.c - another configuration while the node runs: all of it or nothing.
 *
 * DESIGN
 *
 *     check      the rules between options; options that need a restart are as they are
 *     prepare    what may fail: the files of token, users, audit, log and TLS are read or opened,
 *                threads for another certificate of the admin server are started
 *     at once    what takes effect when it succeeds, and fails only without memory or at the end
 *     commit     what can't fail: token, users, audit, certificates, log, limits, the configuration
 *
 * When anything before the commit fails, what was prepared is dropped and nothing has been changed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fail.h"
#include "disruptorx/clock.h"
#include "node/config_internal.h"
#include "node/node_access.h"

/* The names of what differs and needs a restart. */
typedef struct fixed {
    char names[DX_ERROR_MESSAGE_BYTES];
    size_t used;
    int count;
} fixed_t;

static void fixed_add(void *context, const dx_config_change_t *change)
{
    fixed_t *const fixed = context;
    if (change->option->live) {
        return;
    }
    const int bytes = snprintf(fixed->names + fixed->used, sizeof fixed->names - fixed->used,
                               "%s%s", fixed->count == 0 ? "" : ", ", change->option->name);
    fixed->used += (size_t)bytes;
    fixed->used = fixed->used < sizeof fixed->names ? fixed->used : sizeof fixed->names - 1;
    fixed->count++;
}

static int changes_check(const dx_node_t *node, const dx_config_t *config, dx_error_t *error)
{
    fixed_t fixed = {.count = 0};
    const int code = dx_config_check(config, error);
    if (code != DX_OK) {
        return code;
    }
    (void)dx_config_diff(node->config, config, fixed_add, &fixed);
    if (fixed.count > 0) {
        return dxi_fail(error, DX_EBUSY, "%s can't change while the node runs; nothing was changed",
                        fixed.names);
    }
    return DX_OK;
}

typedef struct telling {
    dx_log_t *log;
    dx_config_change_fn visit;
    void *context;
} telling_t;

static void change_tell(void *context, const dx_config_change_t *change)
{
    const telling_t *const telling = context;
    DX_LOG_INFO(telling->log, "node", "%s was \"%s\", is \"%s\" now", change->option->name,
                change->from, change->to);
    if (telling->visit != NULL) {
        telling->visit(telling->context, change);
    }
}

/* What a change needs that may fail. */
typedef struct prepared {
    dx_config_t *config;
    dxi_token_t token;
    int log_fd;
    dxi_node_access_change_t access;
} prepared_t;

/* The files that options name. What was prepared for TLS waits in its own place. */
static int files_prepare(dx_node_t *node, const dx_config_t *config, bool files,
                         prepared_t *prepared, dx_error_t *error)
{
    int code = dxi_token_read(config, &prepared->token, error);
    if (code == DX_OK) {
        prepared->log_fd = dxi_node_log_prepare(dx_config_text(config, "log.file"), error);
        code = prepared->log_fd < 0 ? prepared->log_fd : DX_OK;
    }
    if (code == DX_OK) {
        code = dxi_node_access_prepare(node, config, files, &prepared->access, error);
    }
    if (code == DX_OK && files && node->tls != NULL) {
        code = dxi_tls_prepare(node->tls, error);
    }
    if (code == DX_OK && files && node->admin.server != NULL) {
        code = dxi_admin_tls_prepare(node->admin.server, error);
    }
    return code;
}

/* Takes effect at once, so it comes behind all that may be wrong with a configuration. */
static int at_once(dx_node_t *node, const dx_config_t *config, dx_error_t *error)
{
    dx_topic_options_t topic;
    dxi_node_topic_options(config, &topic);
    int code = DX_OK;
    if (node->tracer != NULL) { /* they were checked: fails only when there is no memory */
        code = dx_tracer_set_headers(node->tracer, dx_config_text(config, "trace.headers"), error);
    }
    if (code == DX_OK) { /* fails only when the node is being stopped */
        code = dxi_bus_retain_defaults(
            node->bus, &topic, (uint64_t)dx_config_integer(config, "topics.retain_bytes_max"),
            error);
    }
    return code;
}

static void prepared_drop(dx_node_t *node, prepared_t *prepared)
{
    if (prepared->log_fd >= 0) {
        (void)close(prepared->log_fd);
    }
    dxi_node_access_drop(&prepared->access);
    if (node->tls != NULL) {
        dxi_tls_drop(node->tls);
    }
    if (node->admin.server != NULL) {
        dxi_admin_tls_drop(node->admin.server);
    }
    explicit_bzero(&prepared->token, sizeof prepared->token);
    dx_config_destroy(prepared->config);
}

/* Nothing here fails. */
static void commit(dx_node_t *node, prepared_t *prepared)
{
    const dx_config_t *const config = prepared->config;
    const bool other_token = dxi_auth_set(&node->auth, &prepared->token);
    explicit_bzero(&prepared->token, sizeof prepared->token);
    const bool other_users = dxi_node_access_commit(node, &prepared->access);
    if (node->tls != NULL) {
        dxi_tls_commit(node->tls);
    }
    if (node->admin.server != NULL) {
        dxi_admin_tls_commit(node->admin.server);
        if (other_token || other_users) {
            dxi_admin_readers_end(node->admin.server);
        }
    }
    dxi_node_log_move(&node->log, prepared->log_fd);
    (void)dx_log_set_level(node->log.log, dxi_node_log_level(config));
    if (node->tracer != NULL) { /* the bounds of the table are those of the tracer */
        (void)!dx_tracer_set_sample(node->tracer, dxi_node_trace_sample(config), NULL);
    }
    dx_store_relaxed(&node->connections_max, /* see on_accept() */
                     dx_config_integer(config, "limits.connections_max"));
    dxi_node_policy_limits(config, &node->policy);
}

/* Under the mutex. `files` reads the files again that options name. */
static int take_over(dx_node_t *node, const dx_config_t *config, bool files,
                     dx_config_change_fn visit, void *context, dx_error_t *error)
{
    prepared_t prepared = {.log_fd = -1, .access = {.audit_fd = -1}};
    int code = changes_check(node, config, error);
    if (code == DX_OK) {
        code = dx_config_copy(config, &prepared.config, error);
    }
    if (code == DX_OK) {
        code = files_prepare(node, config, files, &prepared, error);
    }
    if (code == DX_OK) {
        code = at_once(node, config, error);
    }
    if (code != DX_OK) {
        prepared_drop(node, &prepared);
        return code;
    }
    commit(node, &prepared);
    telling_t telling = {.log = node->log.log, .visit = visit, .context = context};
    const int changes = dx_config_diff(node->config, prepared.config, change_tell, &telling);
    dx_config_destroy(node->config);
    node->config = prepared.config;
    node->config_reloads++;
    node->config_reloaded_unix_ns = dx_clock_realtime_ns();
    return changes;
}

static int failed(dx_node_t *node, int code, const dx_error_t *why, dx_error_t *error)
{
    node->config_reload_failures++;
    DX_LOG_ERROR(node->log.log, "node", "the configuration stays as it was: %s", why->message);
    if (error != NULL) {
        *error = *why;
    }
    return code;
}

int dxi_node_reconfigure(dx_node_t *node, const dx_config_t *config, dx_config_change_fn visit,
                         void *context, dx_error_t *error)
{
    dx_error_t why = {.code = 0};
    (void)pthread_mutex_lock(&node->mutex);
    int code = take_over(node, config, false, visit, context, &why);
    if (code < 0) {
        code = failed(node, code, &why, error);
    }
    (void)pthread_mutex_unlock(&node->mutex);
    return code;
}

int dxi_node_reload(dx_node_t *node, dx_config_change_fn visit, void *context, dx_error_t *error)
{
    dx_error_t why = {.code = 0};
    dx_config_t *fresh = NULL;
    (void)pthread_mutex_lock(&node->mutex);
    const char *const path = dx_config_path(node->config);
    int code = dx_config_copy(node->config, &fresh, &why);
    if (code == DX_OK && path != NULL) {
        code = dx_config_load(fresh, path, &why);
    }
    if (code ==
        DX_OK) { /* without a file, the files that options name are read again all the same */
        code = take_over(node, fresh, true, visit, context, &why);
    }
    node->config_failing = code < 0;
    if (code < 0) {
        code = failed(node, code, &why, error);
    } else {
        DX_LOG_INFO(node->log.log, "node", "the configuration was read again: %d changes", code);
    }
    dxi_node_access_reloaded(node, code, why.message);
    (void)pthread_mutex_unlock(&node->mutex);
    dx_config_destroy(fresh);
    return code;
}

/* Who may change options from elsewhere is not trusted with files of this host: he could have the
 * node read any, write to any, or leave no trace of him in the audit. */
static int settable(const char *name, dx_error_t *error)
{
    size_t count = 0;
    const int row = dxi_config_index(name, error);
    if (row < 0 || !dx_config_options(&count)[row].reload_only) {
        return row < 0 ? row : DX_OK;
    }
    return dxi_fail(error, DX_EPERM,
                    "%s can't be set, because it names a file of the node's host; change it in the "
                    "configuration file and reload (dx config reload, SIGHUP)",
                    name);
}

int dxi_node_set(dx_node_t *node, const char *name, const char *text, dx_config_change_fn visit,
                 void *context, dx_error_t *error)
{
    dx_error_t why = {.code = 0};
    dx_config_t *fresh = NULL;
    (void)pthread_mutex_lock(&node->mutex);
    int code = settable(name, &why);
    if (code == DX_OK) {
        code = dx_config_copy(node->config, &fresh, &why);
    }
    if (code == DX_OK) {
        code = dx_config_set(fresh, name, text, &why);
    }
    if (code == DX_OK) {
        code = take_over(node, fresh, false, visit, context, &why);
    }
    if (code < 0) {
        code = failed(node, code, &why, error);
    }
    (void)pthread_mutex_unlock(&node->mutex);
    dx_config_destroy(fresh);
    return code;
}

int dx_node_reconfigure(dx_node_t *node, const dx_config_t *config, dx_error_t *error)
{
    return dxi_node_reconfigure(node, config, NULL, NULL, error);
}

int dx_node_reload(dx_node_t *node, dx_error_t *error)
{
    return dxi_node_reload(node, NULL, NULL, error);
}
