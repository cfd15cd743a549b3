/* node/node_log.h - the node's log, in a file that can be moved away.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_NODE_LOG_H
#define DXI_NODE_LOG_H

#include "disruptorx/log.h"

typedef struct dxi_node_log {
    dx_log_t *log;
    int fd; /* the log's own: a file, or a copy of standard error */
} dxi_node_log_t;

/* Opens `path` ("": standard error) and makes the log. After a failure nothing is open.
 * Returns DX_OK, DX_EPERM, DX_ENOTFOUND and others of open(), DX_ENOMEM.
 * Threads: owner. */
DX_NODISCARD int dxi_node_log_open(dxi_node_log_t *log, const dx_log_options_t *options,
                                   const char *path, dx_error_t *error);

/* Threads: owner, after everybody's last line. */
void dxi_node_log_close(dxi_node_log_t *log);

/* Opens a path for dxi_node_log_move(): what may fail. Returns a descriptor, or a negative code.
 * Threads: any. */
DX_NODISCARD int dxi_node_log_prepare(const char *path, dx_error_t *error);

/* Lines go to this descriptor from now on, which is closed. Never fails.
 * Threads: any, one at a time; others may log meanwhile. */
void dxi_node_log_move(dxi_node_log_t *log, int fd);

#endif
