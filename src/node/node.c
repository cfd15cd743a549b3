/* node.c - a node: made, started, drained.
 *
 * DESIGN
 *
 *     dx_node_t -- config            a copy of the caller's; replaced by a reload (node_reload.c)
 *               |- log               node_log.c
 *               |- auth, tls         who may connect
 *               |- bus               shards, loops, sessions (src/bus)
 *               '- listeners         node_listen.c; their connections are sessions of the bus
 *
 * Everything that can be wrong with a configuration or its files is found in dx_node_create();
 * `dx config check` finds the same (node_files.c). dx_node_start() binds all addresses before it
 * starts a loop: an address in use is found while nothing serves. What connects meanwhile waits in
 * the kernel.
 *
 * Stopping: listeners are closed; the bus refuses publications, delivers, answers, and says goodbye
 * to its clients, all within one deadline; its threads end.
 *
 * INVARIANTS
 *
 *   N1  listeners are there only while the node runs
 *   N2  `mutex` is never held while the bus is stopped: its thread for commands may want it
 *   N3  no loop takes `mutex`, and nobody who holds the bus's mutex for commands
 *
 * THREADS. Those of its parts: the bus's and the admin server's from dx_node_start() on, those of
 * the audit and the tracer from dx_node_create() on (docs/architecture.md). Clients' questions are
 * answered in the bus's thread for commands.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "disruptorx/clock.h"
#include "node/config_internal.h"
#include "node/node_access.h"

#define LAST_SPANS_NS DX_NS_PER_S /* for the collector to take what is left at the end */

/* ------------------------------------------------------------------------------ who may connect */

/* In a loop's thread. */
static int authenticate(void *context, dxi_connection_t *connection, const char *mechanism,
                        const void *proof, size_t proof_bytes, dx_error_t *error)
{
    dx_node_t *const node = context;
    if (!dxi_auth_wanted(&node->auth)) {
        return DX_OK;
    }
    dxi_connection_info_t info;
    dxi_connection_info(connection, &info);
    if (info.tls_subject[0] != '\0') {
        return DX_OK; /* TLS shows a subject only when its authority has been verified */
    }
    if (mechanism == NULL) {
        return DX_EAGAIN;
    }
    if (strcmp(mechanism, "token") != 0) {
        return dxi_fail(error, DX_EPERM, "the mechanism %.32s is not known; this node takes token",
                        mechanism);
    }
    if (!dxi_auth_check(&node->auth, proof, proof_bytes)) {
        DX_LOG_WARN(node->log.log, "node", "%s showed %s token", info.peer_address,
                    proof_bytes == 0 ? "no" : "a wrong");
        return dxi_fail(error, DX_EPERM,
                        proof_bytes == 0 ? "a token is wanted" : "the token is wrong");
    }
    return DX_OK;
}

static void policy_fill(dx_node_t *node)
{
    const dx_config_t *const config = node->config;
    node->policy = (dxi_session_policy_t){
        .context = node,
        .authenticate = authenticate,
        .ask = dxi_node_ask,
        .ask_writes = dxi_node_ask_writes,
        .access = node->access,
    };
    dxi_node_policy_limits(config, &node->policy);
}

/* --------------------------------------------------------------------------------------- making */

static int identity_fill(dx_node_t *node, dx_error_t *error)
{
    const char *const name = dx_config_text(node->config, "node.name");
    node->id = (uint64_t)dx_config_integer(node->config, "node.id");
    if (name[0] != '\0') {
        (void)snprintf(node->name, sizeof node->name, "%s", name);
    } else if (gethostname(node->name, sizeof node->name) != 0 || node->name[0] == '\0') {
        (void)snprintf(node->name, sizeof node->name, "node");
    }
    node->name[sizeof node->name - 1] = '\0';
    while (node->id == 0) {
        if (getrandom(&node->id, sizeof node->id, 0) != (ssize_t)sizeof node->id) {
            return dxi_fail_os(error, DX_EIO, errno, "no random number for node.id");
        }
        node->id &= INT64_MAX; /* so that it can be written into a configuration */
    }
    return DX_OK;
}

static int security_make(dx_node_t *node, dx_error_t *error)
{
    dxi_token_t token;
    int code = dxi_token_read(node->config, &token, error);
    if (code == DX_OK) {
        (void)dxi_auth_set(&node->auth, &token);
    }
    explicit_bzero(&token, sizeof token);
    dxi_tls_options_t tls;
    dxi_node_tls_options(node->config, &tls);
    if (code == DX_OK && tls.certificate_file != NULL) {
        code = dxi_tls_create(&tls, &node->tls, error);
    }
    return code;
}

static int parts_make(dx_node_t *node, dx_error_t *error)
{
    dx_log_options_t log;
    dx_bus_options_t bus;
    dxi_node_log_options(node->config, &log);
    int code = dxi_node_log_open(&node->log, &log, dx_config_text(node->config, "log.file"), error);
    if (code == DX_OK) {
        code = identity_fill(node, error);
    }
    if (code == DX_OK) {
        code = security_make(node, error);
    }
    if (code == DX_OK) {
        code = dxi_node_access_make(node, error);
    }
    if (code == DX_OK) {
        code = dxi_node_admin_check(node->config, error);
    }
    if (code == DX_OK) {
        code = dxi_node_tracer_make(node->config, node->name, node->log.log, &node->tracer, error);
    }
    if (code == DX_OK) {
        dxi_node_bus_options(node->config, node->log.log, &bus);
        bus.tracer = node->tracer;
        code = dx_bus_create(&bus, &node->bus, error);
    }
    policy_fill(node);
    dx_store_relaxed(&node->connections_max, /* before any thread of ours */
                     dx_config_integer(node->config, "limits.connections_max"));
    return code;
}

/* The node without its parts. */
static int shell_make(const dx_config_t *config, dx_node_t **node_out, dx_error_t *error)
{
    dx_node_t *const node = dxi_alloc_zeroed(1, sizeof *node);
    if (node == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a node");
    }
    node->state = DXI_NODE_CREATED;
    node->log.fd = -1;
    int code = dxi_auth_init(&node->auth, error);
    if (code != DX_OK) {
        dxi_free(node);
        return code;
    }
    code = dxi_node_admin_init(node, error);
    if (code != DX_OK) {
        dxi_auth_close(&node->auth);
        dxi_free(node);
        return code;
    }
    if (pthread_mutex_init(&node->mutex, NULL) != 0) {
        code = dxi_fail(error, DX_ENOMEM, "no memory for a mutex");
        dxi_node_admin_close(node);
        dxi_auth_close(&node->auth);
        dxi_free(node);
        return code;
    }
    *node_out = node;
    return config != NULL ? dx_config_copy(config, &node->config, error)
                          : dx_config_create(&node->config, error);
}

int dx_node_create(const dx_config_t *config, dx_node_t **node_out, dx_error_t *error)
{
    dx_node_t *node = NULL;
    *node_out = NULL;
    int code = shell_make(config, &node, error);
    if (node == NULL) {
        return code;
    }
    if (code == DX_OK) {
        code = dx_config_check(node->config, error);
    }
    if (code == DX_OK) {
        code = parts_make(node, error);
    }
    if (code != DX_OK) {
        dx_node_destroy(node);
        return code;
    }
    *node_out = node;
    return DX_OK;
}

void dx_node_destroy(dx_node_t *node)
{
    if (node == NULL) {
        return;
    }
    if (node->state == DXI_NODE_RUNNING) {
        (void)dx_node_stop(node, 0, NULL);
    }
    dxi_node_admin_close(node);
    dx_bus_destroy(node->bus);
    dx_tracer_destroy(node->tracer, LAST_SPANS_NS);
    dxi_access_destroy(node->access);
    dxi_tls_destroy(node->tls);
    dx_config_destroy(node->config);
    dxi_auth_close(&node->auth);
    dxi_node_log_close(&node->log);
    (void)pthread_mutex_destroy(&node->mutex);
    dxi_free(node);
}

/* ------------------------------------------------------------------------------------- starting */

/* Descriptors that a node needs beside its connections: loops, listeners, the log, the program. */
#define OTHER_DESCRIPTORS 64

/* Who has asked for so many connections is warned, who has not is told. */
static void descriptors_check(dx_node_t *node)
{
    static const char TEXT[] =
        "this process may open %llu files, which is less than "
        "limits.connections_max (%lld) and %d more: clients beyond that wait or are refused";
    struct rlimit limit;
    const char *origin = "";
    char text[DX_CONFIG_TEXT_BYTES_MAX + 1];
    const long long most = dx_config_integer(node->config, "limits.connections_max");
    if (node->listener_count == 0 || getrlimit(RLIMIT_NOFILE, &limit) != 0 ||
        limit.rlim_cur >= (rlim_t)most + OTHER_DESCRIPTORS ||
        dx_config_get(node->config, "limits.connections_max", text, sizeof text, &origin) !=
            DX_OK) {
        return;
    }
    const unsigned long long files = limit.rlim_cur;
    if (strcmp(origin, "default") == 0) {
        DX_LOG_INFO(node->log.log, "node", TEXT, files, most, OTHER_DESCRIPTORS);
    } else {
        DX_LOG_WARN(node->log.log, "node", TEXT, files, most, OTHER_DESCRIPTORS);
    }
}

static void warning_log(void *context, const char *sentence)
{
    DX_LOG_WARN((dx_log_t *)context, "node", "%s", sentence);
}

static void started_log(dx_node_t *node)
{
    dx_log_t *const log = node->log.log;
    DX_LOG_INFO(log, "node", "%s (%016llx) of DisruptorX %s has started, process %d", node->name,
                (unsigned long long)node->id, DX_VERSION_STRING, (int)getpid());
    if (node->admin.server != NULL) {
        DX_LOG_INFO(log, "node", "dashboard, API and metrics: %s", dx_node_admin_address(node));
    }
    for (uint32_t i = 0; i < node->listener_count; i++) {
        DX_LOG_INFO(log, "node", "listens on %s", node->listeners[i].address);
    }
    dxi_config_warnings(node->config, warning_log, log);
    if (node->tracer != NULL) {
        DX_LOG_INFO(log, "node", "traces one event of %lld (0: those that say so) to %s",
                    (long long)dx_config_integer(node->config, "trace.sample"),
                    dx_config_text(node->config, "trace.endpoint"));
    }
}

int dx_node_start(dx_node_t *node, dx_error_t *error)
{
    (void)pthread_mutex_lock(&node->mutex);
    int code = DX_OK;
    if (node->state != DXI_NODE_CREATED) {
        code = dxi_fail(error, DX_ESTATE, "the node was started before");
    } else {
        code = dxi_node_listen(node, error);
        if (code == DX_OK) {
            code = dxi_node_admin_bind(node, error);
            if (code != DX_OK) {
                dxi_node_admin_unbind(node);
                dxi_node_listeners_close(node);
            }
        }
    }
    if (code != DX_OK) {
        (void)pthread_mutex_unlock(&node->mutex);
        return code;
    }
    node->started_ns = dx_clock_ns();
    node->started_unix_ns = dx_clock_realtime_ns();
    node->rate_seen_ns = node->started_ns;
    node->config_reloaded_unix_ns = node->started_unix_ns;
    code = dx_bus_start(node->bus, error);
    const bool bus_runs = code == DX_OK;
    code = bus_runs ? dxi_node_admin_serve(node, error) : code;
    if (code != DX_OK) {
        dxi_node_listeners_close(node);
        node->state = DXI_NODE_STOPPED; /* the bus can't be started again */
    } else {
        node->state = DXI_NODE_RUNNING;
        started_log(node);
        descriptors_check(node);
    }
    (void)pthread_mutex_unlock(&node->mutex);
    if (code != DX_OK && bus_runs) {
        (void)dx_bus_stop(node->bus, 0, NULL); /* N2 */
    }
    return code;
}

/* ------------------------------------------------------------------------------------- stopping */

int dx_node_stop(dx_node_t *node, int64_t timeout_ns, dx_error_t *error)
{
    (void)pthread_mutex_lock(&node->mutex);
    const dxi_node_state_t state = node->state;
    if (state == DXI_NODE_RUNNING) {
        dxi_node_listeners_close(node);
        node->state = DXI_NODE_DRAINING;
    }
    if (timeout_ns == 0) {
        timeout_ns = dx_config_integer(node->config, "timeouts.drain_ms");
    }
    (void)pthread_mutex_unlock(&node->mutex); /* N2 */
    if (state == DXI_NODE_CREATED) {
        return dxi_fail(error, DX_ESTATE, "the node was never started");
    }
    if (state != DXI_NODE_RUNNING) {
        return DX_OK;
    }
    dx_error_t why = {.code = 0};
    const int64_t began_ns = dx_clock_ns();
    const int code = dx_bus_stop(node->bus, timeout_ns, &why);
    const long long took_ms = (long long)((dx_clock_ns() - began_ns) / 1000000);
    dxi_node_admin_stop(node);
    (void)pthread_mutex_lock(&node->mutex);
    node->state = DXI_NODE_STOPPED;
    (void)pthread_mutex_unlock(&node->mutex);
    if (code == DX_OK) {
        DX_LOG_INFO(node->log.log, "node", "%s has stopped, in %lld ms", node->name, took_ms);
        return DX_OK;
    }
    DX_LOG_WARN(node->log.log, "node", "%s has stopped, in %lld ms: %s", node->name, took_ms,
                why.message);
    if (error != NULL) {
        *error = why;
    }
    return code;
}

/* ------------------------------------------------------------------------------------ its parts */

dx_bus_t *dx_node_bus(dx_node_t *node)
{
    return node->bus;
}

dx_log_t *dx_node_log(dx_node_t *node)
{
    return node->log.log;
}

const char *dx_node_address(const dx_node_t *node, size_t index)
{
    return index < node->listener_count ? node->listeners[index].address : NULL;
}
