/* file.c - files that a person has named.
 *
 * O_NONBLOCK: open() of a pipe waits for its other end, for good where nobody comes. What is behind
 * the path is looked at through the descriptor, so nobody can put something else in its place.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fail.h"

int dxi_file_open(const char *path, struct stat *status_out, dx_error_t *error)
{
    struct stat status;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &status) != 0) {
        const int os = errno;
        if (fd >= 0) {
            (void)close(fd);
        }
        return dxi_fail_os(error, dxi_code_of_errno(os), os, "%s can't be read", path);
    }
    if (!S_ISREG(status.st_mode)) {
        (void)close(fd);
        return dxi_fail(error, DX_EINVAL, "%s can't be read: it is no regular file", path);
    }
    if (status_out != NULL) {
        *status_out = status;
    }
    return fd;
}

int64_t dxi_file_read_open(int fd, const char *path, void *to, size_t room, dx_error_t *error)
{
    size_t used = 0;
    ssize_t got = 1;
    while (used < room && got != 0) {
        got = read(fd, (char *)to + used, room - used);
        if (got < 0 && errno != EINTR) {
            break;
        }
        used += got > 0 ? (size_t)got : 0;
    }
    const int os = errno;
    (void)close(fd);
    return got < 0 ? dxi_fail_os(error, DX_EIO, os, "%s can't be read", path) : (int64_t)used;
}

int64_t dxi_file_read(const char *path, void *to, size_t room, dx_error_t *error)
{
    const int fd = dxi_file_open(path, NULL, error);
    return fd < 0 ? fd : dxi_file_read_open(fd, path, to, room, error);
}

int dxi_file_append_check(const char *path, dx_error_t *error)
{
    const int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd >= 0) {
        (void)close(fd);
        return DX_OK;
    }
    int os = errno;
    const char *const slash = strrchr(path, '/');
    if (os == ENOENT) {
        /* The folder with its "/", which is the root as well. */
        char folder[4096] = ".";
        const size_t bytes = slash != NULL ? (size_t)(slash - path) + 1 : 0;
        if (bytes != 0 && bytes < sizeof folder) {
            memcpy(folder, path, bytes);
            folder[bytes] = '\0';
        }
        if (faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) == 0) {
            return DX_OK;
        }
        os = errno;
    }
    return dxi_fail_os(error, dxi_code_of_errno(os), os, "%s can't be written", path);
}
