/* node/node_access.h - the node's users and audit: out of its configuration, and again at reloads.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_NODE_NODE_ACCESS_H
#define DXI_NODE_NODE_ACCESS_H

#include "node/node_internal.h"

/* What a reload has prepared. Zero but for audit_fd = -1: nothing. */
typedef struct dxi_node_access_change {
    dxi_access_table_t *table; /* NULL: users stay as they are */
    int audit_fd;
    bool moves; /* the audit goes to audit_fd */
} dxi_node_access_change_t;

/* Makes node->access, with its users and its audit.
 * Returns DX_OK, or why a file can't be used. Threads: owner. */
DX_NODISCARD int dxi_node_access_make(dx_node_t *node, dx_error_t *error);

/* Whether make() will get what it reads and writes. Threads: any. */
DX_NODISCARD int dxi_node_access_check(const dx_config_t *config, dx_error_t *error);

/* What may fail of another configuration; `files`: the users file is read again. Then one of the
 * two others. Threads: any that is no loop, under the node's mutex. */
DX_NODISCARD int dxi_node_access_prepare(const dx_node_t *node, const dx_config_t *config,
                                         bool files, dxi_node_access_change_t *change_out,
                                         dx_error_t *error);
/* Returns whether there are other users now. */
bool dxi_node_access_commit(dx_node_t *node, dxi_node_access_change_t *change);
void dxi_node_access_drop(dxi_node_access_change_t *change);

/* Writes down that the configuration was read again, or why not. Threads: any. */
void dxi_node_access_reloaded(dx_node_t *node, int code, const char *reason);

#endif
