/* node_listen.c - the node's listeners.
 *
 * What a listener does with a connection is the bus's business (dxi_bus_serve()). One thing stands
 * before it: limits.connections_max is of all listeners together and may change while they run, so
 * it is looked at here. Connections that arrive in several loops at the same moment may each be the
 * last that fits; there are never more of them than loops.
 *
 * THREADS. on_accept() runs in the loop of the connection. Listeners are closed in their own loop,
 * the first, while the node's mutex is held; no loop ever takes that mutex.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "node/config_internal.h"
#include "node/node_internal.h"

/* Of each listener on its own; above limits.connections_max. */
#define LISTENER_CONNECTIONS_MAX 1048576

static int on_accept(void *context, dxi_connection_t *connection, dx_error_t *error)
{
    const dxi_node_listener_t *const own = context;
    dx_node_t *const node = own->node;
    dxi_sessions_stat_t sessions;
    dxi_bus_sessions_stat(node->bus, &sessions);
    /* RELAXED: a number that a person changed; which connection is the first to meet the new one
     * matters to nobody. */
    const int64_t most = dx_load_relaxed(&node->connections_max);
    if ((int64_t)sessions.open >= most) {
        dx_error_t why = {.code = 0};
        (void)dxi_fail(&why, DX_ELIMIT,
                       "%" PRIu64 " connections are open, and limits.connections_max is %" PRId64,
                       sessions.open, most);
        dxi_connection_info_t info;
        dxi_connection_info(connection, &info);
        dxi_access_audit(node->access, &(dxi_access_event_t){.event = "connect_refused",
                                                             .address = info.peer_address,
                                                             .code = why.code,
                                                             .reason = why.message});
        if (error != NULL) {
            *error = why;
        }
        return why.code;
    }
    return own->bus_on_accept(own->bus_context, connection, error);
}

static int listener_open(dx_node_t *node, const char *text, dx_error_t *error)
{
    dxi_node_listener_t *const own = &node->listeners[node->listener_count];
    *own = (dxi_node_listener_t){.node = node};
    dxi_address_t address;
    int code = dxi_address_parse(text, &address, error);
    dxi_listener_options_t options = {.connections_max = LISTENER_CONNECTIONS_MAX};
    dxi_node_connection_options(node, &options.connection);
    if (code == DX_OK) {
        code = dxi_config_mode_read(dx_config_text(node->config, "listen.unix_mode"),
                                    &options.unix_mode, error);
    }
    if (code != DX_OK) {
        return code;
    }
    options.connection.tls = address.transport == DXI_TLS ? node->tls : NULL;
    dxi_bus_serve(node->bus, &node->policy, &options);
    own->bus_context = options.events.context;
    own->bus_on_accept = options.on_accept;
    options.events.context = own;
    options.on_accept = on_accept;
    uint32_t loops = 0;
    code = dxi_listener_create(dxi_bus_loops(node->bus, &loops)[0], &address, &options,
                               &own->listener, error);
    if (code == DX_OK) {
        dxi_address_format(dxi_listener_address(own->listener), own->address);
        node->listener_count++;
    }
    return code;
}

int dxi_node_listen(dx_node_t *node, dx_error_t *error)
{
    int code = DX_OK;
    const char *text = NULL;
    node->listener_count = 0;
    for (size_t i = 0; code == DX_OK; i++) {
        text = dx_config_list(node->config, "listen.addresses", i);
        if (text == NULL) {
            return DX_OK;
        }
        code = listener_open(node, text, error);
        if (code != DX_OK) {
            (void)dxi_fail_context(error, "listening on %s", text);
        }
    }
    dxi_node_listeners_close(node);
    node->listener_count = 0;
    return code;
}

static void close_in_loop(void *context)
{
    dx_node_t *const node = context;
    for (uint32_t i = 0; i < node->listener_count; i++) {
        dxi_node_listener_t *const own = &node->listeners[i];
        if (own->listener != NULL) {
            dxi_listener_stat(own->listener, &own->last);
            dxi_listener_close(own->listener);
            own->listener = NULL;
        }
    }
}

void dxi_node_listeners_close(dx_node_t *node)
{
    uint32_t loops = 0;
    dxi_loop_call(dxi_bus_loops(node->bus, &loops)[0], close_in_loop, node);
}

void dxi_node_listeners_stat(dx_node_t *node, dxi_listener_stat_t *stat_out)
{
    *stat_out = (dxi_listener_stat_t){0};
    for (uint32_t i = 0; i < node->listener_count; i++) {
        dxi_listener_stat_t stat = node->listeners[i].last;
        if (node->listeners[i].listener != NULL) {
            dxi_listener_stat(node->listeners[i].listener, &stat);
        }
        stat_out->accepted += stat.accepted;
        stat_out->refused += stat.refused;
        stat_out->accept_errors += stat.accept_errors;
        stat_out->handshake_failures += stat.handshake_failures;
        stat_out->shm_granted += stat.shm_granted;
        stat_out->shm_refused += stat.shm_refused;
        stat_out->shm_nonsense += stat.shm_nonsense;
        stat_out->tls_failures += stat.tls_failures;
        for (size_t j = 0; j < DXI_END_CODES; j++) {
            stat_out->ended[j] += stat.ended[j];
        }
        stat_out->open += stat.open;
    }
}

void dxi_node_listeners_kinds(dx_node_t *node, uint64_t kinds_out[4])
{
    memset(kinds_out, 0, 4 * sizeof kinds_out[0]);
    for (uint32_t i = 0; i < node->listener_count; i++) {
        const dxi_node_listener_t *const own = &node->listeners[i];
        if (own->listener != NULL) {
            dxi_listener_stat_t stat;
            dxi_listener_stat(own->listener, &stat);
            kinds_out[dxi_listener_address(own->listener)->transport] += (uint64_t)stat.open;
        }
    }
}
