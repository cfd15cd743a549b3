/* cli/dev_node.h - a node with nothing to configure, in this process: for benchmarks with --dev,
 * and for the demonstration.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_DEV_NODE_H
#define DXI_CLI_DEV_NODE_H

#include "node/daemon.h"

/* How clients in this process reach it, in the order of DXI_DEV_TRANSPORTS. */
typedef enum dxi_dev_transport {
    DXI_DEV_UNIX = 0,
    DXI_DEV_TCP = 1,
    DXI_DEV_SHM = 2
} dxi_dev_transport_t;

#define DXI_DEV_TRANSPORTS                                                                         \
    {                                                                                              \
        "unix", "tcp", "shm", NULL                                                                 \
    }

typedef struct dxi_dev_node {
    dx_node_t *node;
    char folder[DXI_DEV_FOLDER_BYTES]; /* temporary, for us alone; "": none was needed */
    char address[DXI_DEV_FOLDER_BYTES + 32];
} dxi_dev_node_t;

/* Starts a node that listens on a socket in a temporary folder, or on a free port of 127.0.0.1,
 * with the defaults else and without a log; `settings`, "name=value" each, over that.
 * Returns as dx_node_create() and dx_node_start(). Threads: main. */
DX_NODISCARD int dxi_dev_node_start(dxi_dev_transport_t transport, const char *const *settings,
                                    int setting_count, dxi_dev_node_t *dev_out, dx_error_t *error);

/* In words, as in "a UNIX socket". Threads: any. */
const char *dxi_dev_transport_text(dxi_dev_transport_t transport);

/* Its address. Threads: any. */
const char *dxi_dev_node_address(const dxi_dev_node_t *dev);

/* Drains and ends it. Threads: main. */
void dxi_dev_node_stop(dxi_dev_node_t *dev);

/* Applies "name=value" to a configuration.
 * Returns as dx_config_set(), DX_EINVAL without a "=". Threads: owner. */
DX_NODISCARD int dxi_config_apply(dx_config_t *config, const char *setting, dx_error_t *error);

#endif
