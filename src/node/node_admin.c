/* node_admin.c - the node's admin server: what it serves, and to whom.
 *
 * It is bound together with the node's listeners, so an address in use is found while nothing runs;
 * it serves from when the bus runs until the bus is stopped, so that a node that drains can say so.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "access/access.h"
#include "base/fail.h"
#include "node/api.h"

#define PAGE_QUERY "sort order limit offset"

static const dxi_admin_route_t ROUTES[] = {
    {DXI_ADMIN_GET, DXI_ADMIN_EVERYBODY, false, "/", NULL, dxi_api_page},
    {DXI_ADMIN_GET, DXI_ADMIN_EVERYBODY, false, "/livez", NULL, dxi_api_livez},
    {DXI_ADMIN_GET, DXI_ADMIN_EVERYBODY, false, "/readyz", NULL, dxi_api_readyz},
    {DXI_ADMIN_GET, DXI_ADMIN_READ, false, "/metrics", NULL, dxi_api_metrics},
    {DXI_ADMIN_GET, DXI_ADMIN_READ, false, "/api/v1/openapi.json", NULL, dxi_api_openapi},
    {DXI_ADMIN_GET, DXI_ADMIN_READ, false, "/api/v1/node", NULL, dxi_api_node},
    {DXI_ADMIN_GET, DXI_ADMIN_READ, false, "/api/v1/topics", "pattern name " PAGE_QUERY,
     dxi_api_topics},
    {DXI_ADMIN_POST, DXI_ADMIN_WRITE, true, "/api/v1/topics", NULL, dxi_api_topic_create},
    {DXI_ADMIN_GET, DXI_ADMIN_READ, false, "/api/v1/topics/{name}", NULL, dxi_api_topic},
    {DXI_ADMIN_PATCH, DXI_ADMIN_WRITE, true, "/api/v1/topics/{name}", NULL, dxi_api_topic_change},
    {DXI_ADMIN_DELETE, DXI_ADMIN_WRITE, false, "/api/v1/topics/{name}", NULL, dxi_api_topic_delete},
    {DXI_ADMIN_GET, DXI_ADMIN_READ, false, "/api/v1/subscriptions",
     "text pattern group connection " PAGE_QUERY, dxi_api_subscriptions},
    {DXI_ADMIN_GET, DXI_ADMIN_READ, false, "/api/v1/connections", "name " PAGE_QUERY,
     dxi_api_connections},
    {DXI_ADMIN_GET, DXI_ADMIN_READ, false, "/api/v1/connections/{id}", NULL, dxi_api_connection},
    {DXI_ADMIN_DELETE, DXI_ADMIN_WRITE, false, "/api/v1/connections/{id}", NULL,
     dxi_api_connection_close},
    {DXI_ADMIN_GET, DXI_ADMIN_READ, false, "/api/v1/rings", NULL, dxi_api_rings},
    {DXI_ADMIN_GET, DXI_ADMIN_READ, false, "/api/v1/config", "name", dxi_api_config},
    {DXI_ADMIN_GET, DXI_ADMIN_READ, false, "/api/v1/config/pending", NULL, dxi_api_config_pending},
    {DXI_ADMIN_POST, DXI_ADMIN_WRITE, false, "/api/v1/config/reload", NULL, dxi_api_config_reload},
    {DXI_ADMIN_PUT, DXI_ADMIN_WRITE, true, "/api/v1/config/{name}", NULL, dxi_api_config_set},
    {DXI_ADMIN_GET, DXI_ADMIN_READ, false, "/api/v1/log", "level after limit", dxi_api_log},
    {DXI_ADMIN_GET, DXI_ADMIN_READ, false, "/api/v1/log/level", NULL, dxi_api_log_level},
    {DXI_ADMIN_PUT, DXI_ADMIN_WRITE, true, "/api/v1/log/level", NULL, dxi_api_log_level_set},
    {DXI_ADMIN_GET, DXI_ADMIN_READ, false, "/api/v1/errors", NULL, dxi_api_errors},
    {DXI_ADMIN_GET, DXI_ADMIN_READ, false, "/api/v1/events", NULL, dxi_api_events},
};

/* ------------------------------------------------------------------------------------ who asks */

static dxi_access_action_t action_of(dxi_admin_right_t right)
{
    return right == DXI_ADMIN_READ ? DXI_ACCESS_ADMIN_READ : DXI_ACCESS_ADMIN_WRITE;
}

/* By the node's token, or by a certificate that TLS has verified: whoever may connect may ask. */
static int authorize_by_token(dx_node_t *node, dxi_admin_asker_t *asker, dx_error_t *error)
{
    if (asker->names != NULL) {
        return DX_OK; /* the authority has signed it, and the key was shown */
    }
    if (!dxi_auth_wanted(&node->auth)) {
        asker->anybody = true;
        return DX_OK;
    }
    if (asker->token == NULL) {
        return dxi_fail(error, DX_EAGAIN, "a token is wanted");
    }
    if (!dxi_auth_check(&node->auth, asker->token, asker->token_bytes)) {
        DX_LOG_WARN(node->log.log, "admin", "%s showed a wrong token", asker->peer);
        return dxi_fail(error, DX_EAGAIN, "the token is wrong");
    }
    return DX_OK;
}

static int login(dx_node_t *node, const dxi_admin_asker_t *asker, dxi_access_login_t *login_out,
                 dx_error_t *error)
{
    dx_error_t why = {.code = 0}; /* who is nobody by a certificate may be somebody by a token */
    int code = DX_ENOTFOUND;
    *login_out = (dxi_access_login_t){.user = NULL};
    if (asker->names != NULL) {
        code = dxi_access_login_by_names(node->access, asker->names, login_out, &why);
    }
    if (code == DX_ENOTFOUND && asker->token == NULL) {
        return dxi_fail(error, DX_EAGAIN, "a token is wanted");
    }
    if (code == DX_ENOTFOUND) {
        code = dxi_access_login_by_token(node->access, asker->token, asker->token_bytes, login_out,
                                         &why);
    }
    if (code != DX_OK && error != NULL) {
        *error = why;
    }
    return code == DX_EPERM ? DX_EAGAIN : code;
}

/* Users: each says what it may. */
static int authorize_by_user(dx_node_t *node, dxi_admin_asker_t *asker, dxi_admin_right_t right,
                             dx_error_t *error)
{
    const dxi_access_action_t action = action_of(right);
    dxi_access_login_t who;
    int code = login(node, asker, &who, error);
    if (code == DX_OK) {
        (void)snprintf(asker->user, sizeof asker->user, "%s", dxi_access_user_name(who.user));
        code = dxi_access_allows(who.user, action, NULL, 0, error);
    }
    if (code == DX_EPERM) {
        dxi_access_refused(node->access, &who, action, 1);
    }
    dxi_access_logout(node->access, &who);
    return code;
}

int dxi_node_admin_manages(dx_node_t *node, dxi_admin_request_t *request, const char *topic,
                           dx_error_t *error)
{
    dxi_access_login_t who;
    if (!dxi_access_on(node->access)) {
        return DX_OK;
    }
    int code = login(node, dxi_admin_asker(request), &who, error);
    if (code == DX_OK) {
        code = dxi_access_allows(who.user, DXI_ACCESS_MANAGE, topic, strlen(topic), error);
    }
    if (code == DX_EPERM) {
        dxi_access_refused(node->access, &who, DXI_ACCESS_MANAGE, 1);
        dxi_admin_note(request, "refused", dxi_access_action_name(DXI_ACCESS_MANAGE), topic);
    }
    dxi_access_logout(node->access, &who);
    return code == DX_EAGAIN ? DX_EPERM : code; /* the users changed a moment ago */
}

/* The audit: what was to change something, with what has become of it, and what was refused. */
static void answered(void *context, const dxi_admin_asker_t *asker,
                     const dxi_admin_outcome_t *outcome)
{
    const dx_node_t *const node = context;
    const bool refused = outcome->code == DX_EPERM;
    if (outcome->right != DXI_ADMIN_WRITE && !refused) {
        return;
    }
    char what[160];
    (void)snprintf(what, sizeof what, "%s %.140s", asker->method, asker->path);
    dxi_access_event_t event = {.event = refused ? "refused" : "admin",
                                .user = asker->user[0] != '\0' ? asker->user : NULL,
                                .address = asker->peer,
                                .action = what,
                                .code = outcome->code,
                                .reason = outcome->reason};
    if (outcome->action != NULL) {
        event.event = outcome->event;
        event.action = outcome->action;
        event.object = outcome->object;
    } else if (refused) {
        event.action = dxi_access_action_name(action_of(outcome->right));
        event.object = what;
    }
    dxi_access_audit(node->access, &event);
}

static int authorize(void *context, dxi_admin_asker_t *asker, dxi_admin_right_t right,
                     dx_error_t *error)
{
    dx_node_t *const node = context;
    return dxi_access_on(node->access) ? authorize_by_user(node, asker, right, error)
                                       : authorize_by_token(node, asker, error);
}

/* ---------------------------------------------------------------------------------------- life */

static const char *text_or(const dx_config_t *config, const char *name, const char *otherwise)
{
    const char *text = dx_config_text(config, name);
    if (text[0] == '\0' && otherwise != NULL) {
        text = dx_config_text(config, otherwise);
    }
    return text[0] != '\0' ? text : NULL;
}

/* The key goes with the certificate: both from one section. */
static void options_fill(const dx_config_t *config, dx_node_t *node,
                         dxi_admin_options_t *options_out)
{
    const bool own = text_or(config, "admin.certificate_file", NULL) != NULL;
    *options_out = (dxi_admin_options_t){
        .address = dx_config_text(config, "admin.address"),
        .certificate_file =
            text_or(config, own ? "admin.certificate_file" : "tls.certificate_file", NULL),
        .key_file = text_or(config, own ? "admin.key_file" : "tls.key_file", NULL),
        .authority_file = text_or(config, "admin.authority_file", "tls.authority_file"),
        .verify_peer = dx_config_bool(config, "admin.verify_peer"),
        .connections_max = (uint32_t)dx_config_integer(config, "admin.connections_max"),
        .streams_max = (uint32_t)dx_config_integer(config, "admin.streams_max"),
        .body_bytes_max = (uint32_t)dx_config_integer(config, "admin.body_bytes_max"),
        .request_timeout_ns = dx_config_integer(config, "admin.request_timeout_ms"),
        .routes = ROUTES,
        .route_count = sizeof ROUTES / sizeof ROUTES[0],
        .context = node,
        .authorize = authorize,
        .answered = answered,
        .tick = dxi_api_tick,
        .log = node != NULL ? node->log.log : NULL,
    };
}

int dxi_node_admin_check(const dx_config_t *config, dx_error_t *error)
{
    dxi_admin_options_t options;
    if (!dx_config_bool(config, "admin.enabled")) {
        return DX_OK;
    }
    options_fill(config, NULL, &options);
    return dxi_admin_files_check(&options, error);
}

int dxi_node_admin_init(dx_node_t *node, dx_error_t *error)
{
    if (pthread_mutex_init(&node->admin.mutex, NULL) != 0) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a mutex");
    }
    if (pthread_mutex_init(&node->admin.metrics_mutex, NULL) != 0) {
        (void)pthread_mutex_destroy(&node->admin.mutex);
        return dxi_fail(error, DX_ENOMEM, "no memory for a mutex");
    }
    return DX_OK;
}

int dxi_node_admin_bind(dx_node_t *node, dx_error_t *error)
{
    dxi_admin_options_t options;
    /* These two are there in any case: clients may ask for lines and metrics, too (node_ask.c). */
    node->admin.topics = dxi_metrics_topics_create();
    if (node->admin.topics == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for metrics");
    }
    int code = dxi_lines_open(&node->lines, node->log.log, error);
    if (code == DX_OK && dx_config_bool(node->config, "admin.enabled")) {
        options_fill(node->config, node, &options);
        code = dxi_admin_create(&options, &node->admin.server, error);
    }
    return code;
}

void dxi_node_admin_unbind(dx_node_t *node)
{
    dxi_admin_destroy(node->admin.server);
    node->admin.server = NULL;
    dxi_lines_close(&node->lines);
    dxi_metrics_topics_destroy(node->admin.topics);
    node->admin.topics = NULL;
}

int dxi_node_admin_serve(dx_node_t *node, dx_error_t *error)
{
    return node->admin.server != NULL ? dxi_admin_start(node->admin.server, error) : DX_OK;
}

void dxi_node_admin_stop(dx_node_t *node)
{
    if (node->admin.server != NULL) {
        dxi_admin_stop(node->admin.server);
    }
}

void dxi_node_admin_close(dx_node_t *node)
{
    dxi_node_admin_unbind(node);
    (void)pthread_mutex_destroy(&node->admin.mutex);
    (void)pthread_mutex_destroy(&node->admin.metrics_mutex);
}

const char *dx_node_admin_address(const dx_node_t *node)
{
    return node->admin.server != NULL ? dxi_admin_address(node->admin.server) : NULL;
}
