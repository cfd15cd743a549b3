/* node/node_internal.h - what the files of the node share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_NODE_INTERNAL_H
#define DXI_NODE_INTERNAL_H

#include <pthread.h>

#include "bus/session.h"
#include "disruptorx/atomic.h"
#include "disruptorx/node.h"
#include "net/tls.h"
#include "node/node_admin.h"
#include "node/node_auth.h"
#include "node/node_lines.h"
#include "node/node_log.h"

typedef enum dxi_node_state {
    DXI_NODE_CREATED = 1,
    DXI_NODE_RUNNING = 2,
    DXI_NODE_DRAINING = 3,
    DXI_NODE_STOPPED = 4
} dxi_node_state_t;

/* A listener, and what stands between it and the bus: the limit of connections of all of them. */
typedef struct dxi_node_listener {
    dx_node_t *node;
    dxi_listener_t *listener; /* NULL: closed */
    dxi_listener_stat_t last; /* its numbers when it was closed */
    void *bus_context;        /* of the bus's on_accept() */
    int (*bus_on_accept)(void *context, dxi_connection_t *connection, dx_error_t *error);
    char address[DXI_ADDRESS_TEXT_MAX + 16];
} dxi_node_listener_t;

struct dx_node {
    char name[64];
    uint64_t id;
    dxi_node_log_t log;
    dxi_auth_t auth;
    dxi_access_t *access; /* users and the audit */
    dxi_tls_t *tls;       /* NULL: no certificate */
    dx_tracer_t *tracer;  /* NULL: nothing is traced */
    dx_bus_t *bus;
    dxi_session_policy_t policy;
    dxi_node_admin_t admin;
    dxi_lines_t lines;

    pthread_mutex_t mutex; /* guards what follows; never held while the bus is stopped */
    dx_config_t *config;
    dxi_node_state_t state;
    int64_t started_ns, started_unix_ns;
    uint64_t config_reloads, config_reload_failures;
    bool config_failing;             /* the last dx_node_reload() did not work */
    int64_t config_reloaded_unix_ns; /* when a configuration was taken over last */
    /* For delivered_rate_1m, between two looks. */
    int64_t rate_seen_ns;
    uint64_t rate_seen_delivered;
    double delivered_rate;

    dxi_node_listener_t listeners[DX_NODE_LISTENERS_MAX];
    uint32_t listener_count;
    dx_atomic64_t connections_max; /* read when one is accepted */
};

/* What a configuration says, as options of the layers below (node_options.c).
 * Threads: any. */
void dxi_node_bus_options(const dx_config_t *config, dx_log_t *log, dx_bus_options_t *options_out);
void dxi_node_topic_options(const dx_config_t *config, dx_topic_options_t *options_out);
/* The limits of clients that may change while the node runs. Threads: any. */
void dxi_node_policy_limits(const dx_config_t *config, dxi_session_policy_t *policy);
void dxi_node_connection_options(const dx_node_t *node, dxi_connection_options_t *options_out);
/* A tracer where there is a trace.endpoint, else NULL. Threads: owner. */
DX_NODISCARD int dxi_node_tracer_make(const dx_config_t *config, const char *instance,
                                      dx_log_t *log, dx_tracer_t **tracer_out, dx_error_t *error);
uint32_t dxi_node_trace_sample(const dx_config_t *config);
void dxi_node_tls_options(const dx_config_t *config, dxi_tls_options_t *options_out);
void dxi_node_log_options(const dx_config_t *config, dx_log_options_t *options_out);
dx_log_level_t dxi_node_log_level(const dx_config_t *config);

/* Listeners (node_listen.c). Threads: owner. */
DX_NODISCARD int dxi_node_listen(dx_node_t *node, dx_error_t *error);
void dxi_node_listeners_close(dx_node_t *node);
/* Sums over all listeners; the caller holds the mutex. */
void dxi_node_listeners_stat(dx_node_t *node, dxi_listener_stat_t *stat_out);
/* Open connections by dxi_transport_t; the caller holds the mutex. */
void dxi_node_listeners_kinds(dx_node_t *node, uint64_t kinds_out[4]);

/* The mean rate of deliveries over the last minute; the caller holds the mutex (node_info.c). */
double dxi_node_delivered_rate(dx_node_t *node, uint64_t delivered, int64_t now_ns);

/* The admin server (node_admin.c): bound with the listeners, serving while the bus runs. bind()
 * does nothing where it is not enabled. Threads: owner. */
DX_NODISCARD int dxi_node_admin_init(dx_node_t *node, dx_error_t *error);
/* Whether bind() will get what it reads. Threads: any. */
DX_NODISCARD int dxi_node_admin_check(const dx_config_t *config, dx_error_t *error);
DX_NODISCARD int dxi_node_admin_bind(dx_node_t *node, dx_error_t *error);
/* Whether who asks may create, change and delete a topic, beside what its route wants: as clients
 * must be allowed to. What is refused is counted, and noted for the audit.
 * Returns DX_OK, DX_EPERM, DX_ENOMEM. Threads: any. */
DX_NODISCARD int dxi_node_admin_manages(dx_node_t *node, dxi_admin_request_t *request,
                                        const char *topic, dx_error_t *error);
void dxi_node_admin_unbind(dx_node_t *node);
DX_NODISCARD int dxi_node_admin_serve(dx_node_t *node, dx_error_t *error);
void dxi_node_admin_stop(dx_node_t *node);
void dxi_node_admin_close(dx_node_t *node);

/* As dx_node_reconfigure() and dx_node_reload(), and the differences through `visit`
 * (node_reload.c). Threads: any. */
DX_NODISCARD int dxi_node_reconfigure(dx_node_t *node, const dx_config_t *config,
                                      dx_config_change_fn visit, void *context, dx_error_t *error);
DX_NODISCARD int dxi_node_reload(dx_node_t *node, dx_config_change_fn visit, void *context,
                                 dx_error_t *error);
/* One option. Returns as dxi_node_reconfigure(); DX_EPERM: it changes by a reload only. */
DX_NODISCARD int dxi_node_set(dx_node_t *node, const char *name, const char *text,
                              dx_config_change_fn visit, void *context, dx_error_t *error);

/* The policy's ask_writes() and ask() (node_ask.c). Threads: any; any that is no loop. */
bool dxi_node_ask_writes(const char *question, const char *argument);
int dxi_node_ask(void *node, const char *question, const char *argument, char **text_out,
                 dx_error_t *error);

#endif
