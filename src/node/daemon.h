/* node/daemon.h - a node as a process: until a signal ends it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_NODE_DAEMON_H
#define DXI_NODE_DAEMON_H

#include "disruptorx/node.h"

#define DXI_DEV_FOLDER_BYTES 64

typedef struct dxi_daemon_options {
    const dx_config_t *config; /* NULL: defaults */
    /* The node runs: the moment to say where. In the caller's thread. May be NULL. */
    void (*on_running)(void *context, dx_node_t *node);
    /* A signal asks it to end, and it drains. May be NULL. */
    void (*on_stopping)(void *context, dx_node_t *node, int signal);
    void *context;
    bool hangup_ends; /* there is no file to read again: SIGHUP ends it, as SIGTERM does */
} dxi_daemon_options_t;

/* Makes and starts a node, and returns when it has stopped.
 *
 *     SIGTERM, SIGINT   drains and ends; the second one ends the process at once
 *     SIGHUP            reads the configuration again; what is wrong with it goes to the log. With
 *                       `hangup_ends` as SIGTERM; ignored from the begin of the drain on
 *
 * Where systemd has set NOTIFY_SOCKET, it is told of each of these steps (Type=notify).
 *
 * Blocks these signals in the calling thread before any thread is made, and restores its mask at
 * the end. SIGPIPE is ignored from then on, and the limit of open files is raised to what is
 * allowed.
 * Returns DX_OK after a complete drain, DX_ETIMEDOUT when something was left, or why it did not
 * start: as dx_node_create() and dx_node_start().
 * Threads: main. */
DX_NODISCARD int dxi_daemon_run(const dxi_daemon_options_t *options, dx_error_t *error);

/* For `dx server --dev`: a new folder in $TMPDIR or /tmp, mode 0700, and in `config` a UNIX socket
 * in it, beside the addresses that are there.
 * Returns DX_OK, DX_EINVAL, DX_EIO, DX_EPERM. Threads: main. */
DX_NODISCARD int dxi_dev_begin(dx_config_t *config, char folder_out[DXI_DEV_FOLDER_BYTES],
                               dx_error_t *error);

/* Removes the folder and what a node has left in it. Threads: main. */
void dxi_dev_end(const char *folder);

#endif
