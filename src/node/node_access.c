/* node_access.c - the node's users and audit: out of its configuration, and again at reloads.
 *
 * Whether there are users is decided at the start (access.file is not live); who they are, at each
 * reload. A reload reads the users file and opens the audit's file anew before it changes anything;
 * then the table is exchanged, and every loop lets its sessions take it over (bus/session.h).
 *
 * A node may be kept from leaving a core (access.core_dumps): the kernel then writes none of this
 * process, and nobody but root reads its memory.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "node/node_access.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/file.h"
#include "node/config_internal.h"

static int table_load(const dx_config_t *config, dxi_access_table_t **table_out, dx_error_t *error)
{
    const char *const path = dx_config_text(config, "access.file");
    *table_out = NULL;
    if (path[0] == '\0') {
        return DX_OK;
    }
    const int code = dxi_access_table_load(path, table_out, error);
    if (code != DX_OK) {
        (void)dxi_fail_context(error, "access.file");
    }
    return code;
}

static int audit_open(const dx_node_t *node, const dx_config_t *config, int *fd_out,
                      dx_error_t *error)
{
    const char *const path = dx_config_text(config, "access.audit_file");
    *fd_out = -1;
    if (path[0] == '\0') {
        return DX_OK;
    }
    const int code = dxi_access_audit_begin(node->access, error);
    *fd_out = code == DX_OK ? dxi_access_audit_prepare(path, error) : -1;
    return code != DX_OK ? code : *fd_out < 0 ? *fd_out : DX_OK;
}

int dxi_node_access_check(const dx_config_t *config, dx_error_t *error)
{
    dxi_access_table_t *table = NULL;
    const char *const audit = dx_config_text(config, "access.audit_file");
    int code = table_load(config, &table, error);
    dxi_access_table_release(table);
    if (code == DX_OK && audit[0] != '\0') {
        code = dxi_file_append_check(audit, error);
        if (code != DX_OK) {
            (void)dxi_fail_context(error, "access.audit_file");
        }
    }
    return code;
}

int dxi_node_access_make(dx_node_t *node, dx_error_t *error)
{
    dxi_access_table_t *table = NULL;
    int fd = -1;
    int code = dxi_access_create(node->log.log, &node->access, error);
    if (code == DX_OK) {
        code = audit_open(node, node->config, &fd, error);
    }
    if (code == DX_OK) {
        code = dxi_access_audit_move(node->access, fd, error);
    }
    if (code == DX_OK) {
        code = table_load(node->config, &table, error);
    }
    if (code == DX_OK) {
        dxi_access_set(node->access, table);
    }
    if (code == DX_OK && !dx_config_bool(node->config, "access.core_dumps") &&
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
        code = dxi_fail_os(error, DX_ENOTSUP, errno, "access.core_dumps");
    }
    return code;
}

int dxi_node_access_prepare(const dx_node_t *node, const dx_config_t *config, bool files,
                            dxi_node_access_change_t *change_out, dx_error_t *error)
{
    *change_out = (dxi_node_access_change_t){.audit_fd = -1};
    int code = audit_open(node, config, &change_out->audit_fd, error);
    change_out->moves = code == DX_OK;
    if (code == DX_OK && files) {
        code = table_load(config, &change_out->table, error);
    }
    return code;
}

void dxi_node_access_drop(dxi_node_access_change_t *change)
{
    dxi_access_table_release(change->table);
    if (change->audit_fd >= 0) {
        (void)close(change->audit_fd);
    }
    *change = (dxi_node_access_change_t){.audit_fd = -1};
}

bool dxi_node_access_commit(dx_node_t *node, dxi_node_access_change_t *change)
{
    dx_error_t error = {.code = 0};
    if (change->moves && dxi_access_audit_move(node->access, change->audit_fd, &error) != DX_OK) {
        DX_LOG_ERROR(node->log.log, "node", "there is no audit: %s", error.message);
    }
    const bool users = change->table != NULL;
    if (users) {
        dxi_access_stat_t stat;
        dxi_access_set(node->access, change->table);
        dxi_access_stat(node->access, &stat);
        DX_LOG_INFO(node->log.log, "node", "the users file was read again: %llu users",
                    (unsigned long long)stat.users);
        if (node->state == DXI_NODE_RUNNING) {
            dxi_bus_access_renew(node->bus);
        }
    }
    *change = (dxi_node_access_change_t){.audit_fd = -1};
    return users;
}

void dxi_node_access_reloaded(dx_node_t *node, int code, const char *reason)
{
    char object[48];
    (void)snprintf(object, sizeof object, "%d options changed", code);
    const dxi_access_event_t event = {.event = "reload",
                                      .object = code >= 0 ? object : NULL,
                                      .code = code < 0 ? code : DX_OK,
                                      .reason = code < 0 ? reason : NULL};
    dxi_access_audit(node->access, &event);
}
