/* node_log.c - the node's log, in a file that can be moved away.
 *
 * The log writes to a descriptor that is its own as long as it lives. A reload opens the file anew
 * and puts it under that number by dup2(), which is atomic: a line goes to the old file or to the
 * new one, and nobody who logs needs a lock for it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "node/node_log.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fail.h"

/* O_NONBLOCK: a pipe in its place must keep nobody waiting, neither at the open nor at a line; what
 * it does not take is counted as lost. */
int dxi_node_log_prepare(const char *path, dx_error_t *error)
{
    const int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    const int fd =
        path[0] == '\0' ? fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0) : open(path, flags, 0640);
    if (fd < 0) {
        return dxi_fail_os(error, dxi_code_of_errno(errno), errno, "the log %s can't be opened",
                           path[0] == '\0' ? "on standard error" : path);
    }
    return fd;
}

int dxi_node_log_open(dxi_node_log_t *log, const dx_log_options_t *options, const char *path,
                      dx_error_t *error)
{
    *log = (dxi_node_log_t){.fd = -1};
    const int fd = dxi_node_log_prepare(path, error);
    if (fd < 0) {
        return fd;
    }
    dx_log_options_t with_fd = *options;
    with_fd.fd = fd;
    const int code = dx_log_create(&with_fd, &log->log, error);
    if (code != DX_OK) {
        (void)close(fd);
        return code;
    }
    log->fd = fd;
    return DX_OK;
}

void dxi_node_log_close(dxi_node_log_t *log)
{
    dx_log_destroy(log->log);
    if (log->log != NULL) {
        (void)close(log->fd);
    }
    *log = (dxi_node_log_t){.fd = -1};
}

void dxi_node_log_move(dxi_node_log_t *log, int fd)
{
    while (dup2(fd, log->fd) < 0 && (errno == EINTR || errno == EBUSY)) {
    }
    (void)fcntl(log->fd, F_SETFD, FD_CLOEXEC);
    (void)close(fd);
}
