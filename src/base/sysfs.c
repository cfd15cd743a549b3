/* sysfs.c - small files of /sys and /proc, and the CPU limit of a cgroup.
 *
 * DESIGN
 *
 * A limit of an ancestor holds for its children, so the path is walked up to the root and the
 * smallest limit is taken. In a container the path from /proc often does not exist under the
 * container's /sys; the walk then ends at the root, which is the container's own group.
 *
 * INVARIANT: nothing here trusts the text of a file: what is no number counts as no limit.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/sysfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "disruptorx/error.h"

/* Reads at most `text_bytes` - 1 bytes of an open file. Returns the length, or -1. */
static ssize_t read_all(int fd, char *text_out, size_t text_bytes)
{
    size_t length = 0;
    while (length < text_bytes - 1) {
        const ssize_t got = read(fd, text_out + length, text_bytes - 1 - length);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return -1;
        }
        if (got == 0) {
            break;
        }
        length += (size_t)got;
    }
    return (ssize_t)length;
}

int dxi_sysfs_read(const char *root, char *text_out, size_t text_bytes, const char *path_format,
                   ...)
{
    char path[PATH_MAX];
    text_out[0] = '\0';
    int at = snprintf(path, sizeof(path), "%s/", root);
    if (at < 0 || (size_t)at >= sizeof(path)) {
        return DX_ENOTFOUND;
    }
    va_list arguments;
    va_start(arguments, path_format);
    const int more = vsnprintf(path + at, sizeof(path) - (size_t)at, path_format, arguments);
    va_end(arguments);
    if (more < 0 || (size_t)more >= sizeof(path) - (size_t)at) {
        return DX_ENOTFOUND;
    }
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return DX_ENOTFOUND;
    }
    const ssize_t length = read_all(fd, text_out, text_bytes);
    (void)close(fd);
    if (length < 0) {
        text_out[0] = '\0';
        return DX_ENOTFOUND;
    }
    text_out[length] = '\0';
    if ((size_t)length == text_bytes - 1) {
        return DX_ELIMIT; /* perhaps cut: a list of CPUs must not be taken for a shorter one */
    }
    if (length > 0 && text_out[length - 1] == '\n') {
        text_out[length - 1] = '\0';
    }
    return DX_OK;
}

int32_t dxi_sysfs_number(const char *text, int32_t fallback)
{
    if (text[0] < '0' || text[0] > '9') {
        return fallback;
    }
    errno = 0;
    const long value = strtol(text, NULL, 10);
    return errno != 0 || value > INT32_MAX ? fallback : (int32_t)value;
}

/* quota and period in microseconds -> thousandths of a CPU; at least 1, because 0 says "none". */
static uint32_t millicpus(int64_t quota_us, int64_t period_us)
{
    if (quota_us <= 0 || period_us <= 0) {
        return 0;
    }
    const int64_t milli = quota_us * 1000 / period_us;
    if (milli < 1) {
        return 1;
    }
    return milli > UINT32_MAX ? 0 : (uint32_t)milli;
}

/* The limit of one group: 0 for none. */
static uint32_t quota_of_group(const char *root, const char *group)
{
    char text[64];
    if (dxi_sysfs_read(root, text, sizeof(text), "fs/cgroup%s/cpu.max", group) == DX_OK) {
        const char *const space = strchr(text, ' '); /* "max 100000" or "150000 100000" */
        return space == NULL ? 0
                             : millicpus(dxi_sysfs_number(text, 0), dxi_sysfs_number(space + 1, 0));
    }
    if (dxi_sysfs_read(root, text, sizeof(text), "fs/cgroup/cpu%s/cpu.cfs_quota_us", group) !=
        DX_OK) {
        return 0;
    }
    const int32_t quota_us = dxi_sysfs_number(text, 0); /* "-1" is no number here: no limit */
    (void)dxi_sysfs_read(root, text, sizeof(text), "fs/cgroup/cpu%s/cpu.cfs_period_us", group);
    return millicpus(quota_us, dxi_sysfs_number(text, 0));
}

uint32_t dxi_cgroup_quota_millicpus(const char *sysfs_root, const char *cgroup_path)
{
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof(path), "%s", cgroup_path) >= sizeof(path)) {
        path[0] = '\0';
    }
    uint32_t smallest = 0;
    for (;;) {
        const uint32_t quota = quota_of_group(sysfs_root, path);
        if (quota != 0 && (smallest == 0 || quota < smallest)) {
            smallest = quota;
        }
        char *const slash = strrchr(path, '/');
        if (slash == NULL) {
            return smallest;
        }
        *slash = '\0';
    }
}

void dxi_cgroup_path(const char *proc_text, char *path_out, size_t path_bytes)
{
    path_out[0] = '\0';
    for (const char *line = proc_text; line != NULL && *line != '\0';) {
        const char *const end = strchr(line, '\n');
        const size_t length = end == NULL ? strlen(line) : (size_t)(end - line);
        const char *const colon = memchr(line, ':', length); /* "4:cpu,cpuacct:/a" or "0::/a" */
        if (colon != NULL) {
            const size_t rest = length - (size_t)(colon + 1 - line);
            const char *const second = memchr(colon + 1, ':', rest);
            if (second != NULL) {
                const char *const path = second + 1;
                const size_t bytes = length - (size_t)(path - line);
                const bool unified = second == colon + 1;
                const bool cpu =
                    strncmp(colon + 1, "cpu", 3) == 0 && (colon[4] == ':' || colon[4] == ',');
                if ((unified || cpu) && bytes > 1 && bytes < path_bytes) { /* "/" is the root: "" */
                    memcpy(path_out, path, bytes);
                    path_out[bytes] = '\0';
                    if (cpu) {
                        return; /* a version 1 controller is the one that limits */
                    }
                }
            }
        }
        line = end == NULL ? NULL : end + 1;
    }
}
