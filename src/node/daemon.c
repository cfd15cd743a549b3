/* daemon.c - a node as a process: until a signal ends it.
 *
 * Signals are blocked before the first thread is made and taken by sigwaitinfo() in the main
 * thread: no handler runs anywhere, and whatever a signal asks for is ordinary code.
 *
 *     started --SIGHUP--> reloaded --'
 *        |  ^---------------------'
 *        '--SIGTERM, SIGINT--> drains (both have their default again: a second one kills) --> over
 *
 * There is nothing to reload for who drains, so SIGHUP is ignored from then on.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "node/daemon.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fail.h"
#include "node/notify.h"

/* -------------------------------------------------------------------------------------- signals */

static void signals_of_daemon(sigset_t *set_out)
{
    (void)sigemptyset(set_out);
    (void)sigaddset(set_out, SIGTERM);
    (void)sigaddset(set_out, SIGINT);
    (void)sigaddset(set_out, SIGHUP);
}

/* Until one comes that ends it. Returns which. */
static int signals_serve(dx_node_t *node, const sigset_t *signals, bool hangup_ends)
{
    for (;;) {
        const int number = sigwaitinfo(signals, NULL);
        if (number == SIGHUP && !hangup_ends) {
            /* The node has logged what changed, or why nothing did; the daemon goes on. */
            dxi_notify_reloading();
            (void)!dx_node_reload(node, NULL);
            dxi_notify("READY=1");
        } else if (number > 0) {
            return number;
        }
    }
}

static int node_serve(const dxi_daemon_options_t *options, dx_node_t *node, const sigset_t *signals,
                      dx_error_t *error)
{
    const int code = dx_node_start(node, error);
    if (code != DX_OK) {
        return code;
    }
    if (options->on_running != NULL) {
        options->on_running(options->context, node);
    }
    dxi_notify("READY=1\nSTATUS=runs");
    const int number = signals_serve(node, signals, options->hangup_ends);
    dxi_notify("STOPPING=1\nSTATUS=delivers what it has");
    DX_LOG_INFO(dx_node_log(node), "node", "SIG%s: stops",
                number == SIGTERM  ? "TERM"
                : number == SIGINT ? "INT"
                                   : "HUP");
    if (options->on_stopping != NULL) {
        options->on_stopping(options->context, node, number);
    }
    /* A second one ends the process: a drain must never keep a person waiting. */
    (void)signal(SIGHUP, SIG_IGN); /* also one that waits already */
    (void)pthread_sigmask(SIG_UNBLOCK, signals, NULL);
    return dx_node_stop(node, 0, error);
}

/* As many descriptors as the system allows this process: each connection is one. */
static void descriptors_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* where it fails, dx_node_start() warns */
    }
}

int dxi_daemon_run(const dxi_daemon_options_t *options, dx_error_t *error)
{
    sigset_t signals, before;
    signals_of_daemon(&signals);
    (void)signal(SIGPIPE, SIG_IGN);
    descriptors_raise();
    (void)pthread_sigmask(SIG_BLOCK, &signals, &before);
    dx_node_t *node = NULL;
    int code = dx_node_create(options->config, &node, error);
    if (code == DX_OK) {
        code = node_serve(options, node, &signals, error);
    }
    dx_node_destroy(node);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

/* ------------------------------------------------------------------------------------------ dev */

#define SOCKET_NAME "dx.sock"

int dxi_dev_begin(dx_config_t *config, char folder_out[DXI_DEV_FOLDER_BYTES], dx_error_t *error)
{
    const char *root = getenv("TMPDIR");
    root = root != NULL && root[0] == '/' ? root : "/tmp";
    const int bytes = snprintf(folder_out, DXI_DEV_FOLDER_BYTES, "%s/dx-dev-XXXXXX", root);
    if (bytes >= DXI_DEV_FOLDER_BYTES) {
        folder_out[0] = '\0';
        return dxi_fail(error, DX_EINVAL, "TMPDIR is %.80s, must be shorter than %d bytes", root,
                        DXI_DEV_FOLDER_BYTES - 16);
    }
    if (mkdtemp(folder_out) == NULL) {
        folder_out[0] = '\0';
        return dxi_fail_os(error, dxi_code_of_errno(errno), errno, "no folder in %s", root);
    }
    char addresses[DX_CONFIG_TEXT_BYTES_MAX + 1], text[DX_CONFIG_TEXT_BYTES_MAX + 128];
    int code = dx_config_get(config, "listen.addresses", addresses, sizeof addresses, NULL);
    if (code == DX_OK) {
        (void)snprintf(text, sizeof text, "%s%sunix://%s/" SOCKET_NAME, addresses,
                       addresses[0] != '\0' ? ", " : "", folder_out);
        code = dx_config_set(config, "listen.addresses", text, error);
    }
    if (code != DX_OK) {
        dxi_dev_end(folder_out);
        folder_out[0] = '\0';
    }
    return code;
}

void dxi_dev_end(const char *folder)
{
    char path[DXI_DEV_FOLDER_BYTES + sizeof SOCKET_NAME + 1];
    if (folder == NULL || folder[0] == '\0') {
        return;
    }
    (void)snprintf(path, sizeof path, "%s/" SOCKET_NAME, folder);
    (void)unlink(path);
    (void)rmdir(folder);
}
