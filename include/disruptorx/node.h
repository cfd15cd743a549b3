/* disruptorx/node.h - a node: the bus, its listeners, its configuration and its numbers, in the
 * daemon (`dx server`) or inside a program.
 *
 *     dx_node_create() -> CREATED -> dx_node_start() -> RUNNING -> dx_node_stop() -> STOPPED
 *     dx_node_destroy() from any state; NULL is allowed; stops first when running
 *
 *     dx_node_create(NULL, &node, &error);           defaults: tcp on 127.0.0.1:7400
 *     dx_node_start(node, &error);
 *     dx_bus_subscribe(dx_node_bus(node), ...);      in this process, beside remote clients
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DISRUPTORX_NODE_H
#define DISRUPTORX_NODE_H

#include "disruptorx/bus.h"
#include "disruptorx/config.h"

DX_EXTERN_C_BEGIN

typedef struct dx_node dx_node_t; /* opaque */

#define DX_NODE_LISTENERS_MAX 16

/* Makes a node of a configuration (copied; NULL: defaults). Binds nothing yet.
 * Returns DX_OK, DX_EINVAL, DX_ENOMEM, DX_ELIMIT, and what TLS files may say.
 * Threads: any. */
DX_API DX_NODISCARD int dx_node_create(const dx_config_t *config, dx_node_t **node_out,
                                       dx_error_t *error);

/* Binds and starts its threads. After a failure nothing runs and nothing is bound.
 * Returns DX_OK, DX_ESTATE, DX_EBUSY (an address is in use), DX_EPERM, DX_EIO.
 * Threads: owner. */
DX_API DX_NODISCARD int dx_node_start(dx_node_t *node, dx_error_t *error);

/* Drains: accepts nothing new, refuses publications, delivers and answers what it has, says goodbye
 * to its clients; for at most `timeout_ns` (0: what the configuration says). Twice is allowed.
 * Returns DX_OK, DX_ETIMEDOUT when something was left (the sentence says what), DX_ESTATE.
 * Threads: owner. */
DX_API int dx_node_stop(dx_node_t *node, int64_t timeout_ns, dx_error_t *error);

/* Threads: owner. */
DX_API void dx_node_destroy(dx_node_t *node);

/* Its bus. Threads: any. */
DX_API dx_bus_t *dx_node_bus(dx_node_t *node);

/* Its log, or NULL. Threads: any. */
DX_API dx_log_t *dx_node_log(dx_node_t *node);

/* The address of listener `index` with the port it got, as "tcp://127.0.0.1:7400"; NULL behind the
 * last. Threads: any, once started. */
DX_API const char *dx_node_address(const dx_node_t *node, size_t index);

/* Where its dashboard, API and metrics are (admin.enabled, admin.address), as
 * "http://127.0.0.1:7401" with the port it got; NULL where there are none. Threads: any, once
 * started. */
DX_API const char *dx_node_admin_address(const dx_node_t *node);

/* Takes over another configuration: all or nothing. Options that can't change while it runs must
 * be as they are, else DX_EBUSY and a sentence that names them; the differences go to the log.
 * Returns how many changed, DX_EINVAL, DX_EBUSY.
 * Threads: any. */
DX_API DX_NODISCARD int dx_node_reconfigure(dx_node_t *node, const dx_config_t *config,
                                            dx_error_t *error);

/* Reads the file again that the configuration was loaded from, TLS files included.
 * Returns as dx_config_load() and dx_node_reconfigure().
 * Threads: any. */
DX_API DX_NODISCARD int dx_node_reload(dx_node_t *node, dx_error_t *error);

/* The node's information (the seed's getNodeInfo). */
typedef struct dx_node_info {
    char name[64];
    uint64_t id;
    char version[32];
    int32_t process_id;
    int64_t started_unix_ns;
    int64_t uptime_ns;
    uint32_t shards, loops;
    uint32_t topics, subscriptions, connections;
    uint64_t published, delivered, dropped, refused, redelivered, dead;
    uint64_t bytes_in, bytes_out;
    uint64_t connections_accepted, connections_refused, handshake_failures, frames_refused;
    uint64_t retained_bytes;
    double published_rate_1m, delivered_rate_1m;
    uint64_t config_reloads, config_reload_failures;
} dx_node_info_t;

/* Threads: any, once started. */
DX_API DX_NODISCARD int dx_node_info(dx_node_t *node, dx_node_info_t *info_out, dx_error_t *error);

DX_EXTERN_C_END

#endif
