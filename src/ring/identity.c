/* identity.c - who a process is, so that nobody else is taken for it.
 *
 * A process id alone is used again by the kernel, and means something else in each pid namespace.
 * With the time of its start (in ticks since boot) and the inode of its namespace it is one
 * process. Whether it lives is not asked here: see share_lock.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ring/share.h"

#define FIELDS_BEFORE_START 19 /* between the state and the start time in /proc/PID/stat */

/* What /proc/PID/stat says of a process. */
typedef struct proc_stat {
    char state;
    int64_t started_ticks;
} proc_stat_t;

static bool proc_stat_read(int32_t process_id, proc_stat_t *stat_out)
{
    char path[64];
    char text[1024];
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", process_id);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    const ssize_t length = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    if (length <= 0) {
        return false;
    }
    text[length] = 0;
    /* The name, in brackets, may have anything in it: the last bracket ends it. */
    const char *at = strrchr(text, ')');
    if (at == NULL || at[1] != ' ') {
        return false;
    }
    at += 2;
    stat_out->state = *at;
    for (int i = 0; i < FIELDS_BEFORE_START && at != NULL; i++) {
        at = strchr(at + 1, ' ');
    }
    stat_out->started_ticks = at != NULL ? strtoll(at, NULL, 10) : 0;
    return at != NULL;
}

static int64_t own_namespace(void)
{
    struct stat status;
    return stat("/proc/self/ns/pid", &status) == 0 ? (int64_t)status.st_ino : 0;
}

static void own_name(char *name_out)
{
    memset(name_out, 0, DX_RING_NAME_MAX + 1);
    const int fd = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        const ssize_t length = read(fd, name_out, DX_RING_NAME_MAX);
        name_out[length > 0 ? length - 1 : 0] = 0; /* the newline */
        (void)close(fd);
    }
}

void dxi_identity_enter(dx_process_entry_t *entry)
{
    proc_stat_t stat = {0};
    (void)proc_stat_read((int32_t)getpid(), &stat);
    dx_store32_relaxed(&entry->process_id, (int32_t)getpid());
    dx_store_relaxed(&entry->pid_namespace, own_namespace());
    dx_store_relaxed(&entry->started_ticks, stat.started_ticks);
    dx_store32_relaxed(&entry->user_id, (int32_t)geteuid());
    own_name(entry->name);
}

/* Reads what /proc says of the process of an entry, if that is visible here and still the same. */
static bool find(const dx_process_entry_t *entry, proc_stat_t *stat_out)
{
    return dx_load_relaxed(&entry->pid_namespace) == own_namespace() &&
           proc_stat_read(dx_load32_relaxed(&entry->process_id), stat_out) &&
           stat_out->started_ticks == dx_load_relaxed(&entry->started_ticks);
}

bool dxi_identity_is_stopped(const dx_process_entry_t *entry)
{
    if (dx_load_relaxed(&entry->pid_namespace) != own_namespace()) {
        return true;
    }
    proc_stat_t stat = {0};
    return find(entry, &stat) && (stat.state == 'T' || stat.state == 't');
}

int dxi_identity_kill(const dx_process_entry_t *entry)
{
    /* The descriptor first, then the look: it stays that of the process looked at. */
    const int fd = (int)syscall(SYS_pidfd_open, dx_load32_relaxed(&entry->process_id), 0);
    if (fd < 0) {
        return DX_ENOTFOUND;
    }
    proc_stat_t stat = {0};
    int code = DX_ENOTFOUND;
    if (find(entry, &stat)) {
        code = syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0 ? DX_OK : DX_EPERM;
    }
    (void)close(fd);
    return code;
}
