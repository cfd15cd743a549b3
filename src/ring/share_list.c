/* share_list.c - the shared rings of a folder: listing and removing them.
 *
 * Files are opened for reading and looked at as a stranger would: nothing is mapped, nobody
 * notices.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/fail.h"
#include "ring/share.h"

#define UNFINISHED_END "-new"
#define UNFINISHED_SUFFIX DX_RING_SUFFIX UNFINISHED_END
#define UNLOCKED_NS INT64_C(500000000) /* a maker locks its file at once: an empty one is alone */
#define TRIES_MAX 100

static bool ends_with(const char *text, const char *end)
{
    const size_t text_bytes = strlen(text);
    const size_t end_bytes = strlen(end);
    return text_bytes > end_bytes && strcmp(text + text_bytes - end_bytes, end) == 0;
}

static int is_ring_file(const struct dirent *entry)
{
    return ends_with(entry->d_name, entry->d_name[0] == '.' ? UNFINISHED_SUFFIX : DX_RING_SUFFIX);
}

/* The ring's name out of its file's: NAME.dxring, or .NAME.PID.N.dxring-new. */
static void name_of(const char *file, dx_ring_file_t *found)
{
    found->unfinished = file[0] == '.';
    const char *start = file + (found->unfinished ? 1 : 0);
    size_t length = strlen(start) - strlen(DX_RING_SUFFIX);
    if (found->unfinished) {
        length -= length < strlen(UNFINISHED_END) ? length : strlen(UNFINISHED_END);
        for (int dots = 0; dots < 2 && length > 0;) { /* the pid and the number */
            length--;
            dots += start[length] == '.';
        }
    }
    length = length < DX_RING_NAME_MAX ? length : DX_RING_NAME_MAX;
    memcpy(found->name, start, length);
    found->name[length] = 0;
}

static dx_ring_file_t look_at(const char *path, const char *file)
{
    dx_ring_file_t found = {.code = DX_OK};
    struct stat status = {0};
    name_of(file, &found);
    if (lstat(path, &status) != 0) {
        found.code = DX_ENOTFOUND;
        return found;
    }
    found.file_bytes = (uint64_t)status.st_size;
    found.user_id = status.st_uid;
    found.mode = status.st_mode & 0777u;
    const int fd = dxi_share_open(path, true, true, NULL);
    if (fd < 0) {
        found.code = fd;
        return found;
    }
    dx_ring_block_t layout;
    found.attached = dxi_share_count_taken(fd);
    if (!found.unfinished) {
        found.code = dxi_share_read_layout(fd, path, &layout, NULL);
    }
    (void)close(fd);
    return found;
}

int dx_ring_list(const char *folder, dx_ring_file_visitor_t visit, void *context, dx_error_t *error)
{
    folder = folder != NULL ? folder : DX_RING_FOLDER;
    struct dirent **entries = NULL;
    const int count = scandir(folder, &entries, is_ring_file, alphasort);
    if (count < 0) {
        const int os = errno;
        return dxi_fail_os(error, dxi_code_of_errno(os), os, "cannot read the folder '%s'", folder);
    }
    int visited = 0;
    for (int i = 0; i < count; i++) {
        char path[DXI_SHARE_PATH_BYTES];
        const int length = snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
        if (length > 0 && length < (int)sizeof(path)) {
            const dx_ring_file_t found = look_at(path, entries[i]->d_name);
            if (found.code != DX_ENOTFOUND) { /* it went meanwhile */
                visit(context, &found);
                visited++;
            }
        }
        free(entries[i]);
    }
    free(entries);
    return visited;
}

static int64_t age_ns(const struct stat *status)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now); /* the clock of the file system */
    return (now.tv_sec - status->st_ctim.tv_sec) * INT64_C(1000000000) + now.tv_nsec -
           status->st_ctim.tv_nsec;
}

/* True when nobody will ever finish the file: its maker is gone. It has space only after it was
 * locked; an empty one may be about to be locked. */
static bool is_abandoned(const char *path, const dx_ring_file_t *found)
{
    struct stat status;
    return found->unfinished && found->code == DX_OK && found->attached == 0 &&
           stat(path, &status) == 0 && (status.st_size != 0 || age_ns(&status) > UNLOCKED_NS);
}

int dxi_share_remove_unfinished(const char *path, const char *name)
{
    const size_t folder_bytes = (size_t)(strrchr(path, '/') - path);
    char folder[DXI_SHARE_PATH_BYTES];
    memcpy(folder, path, folder_bytes);
    folder[folder_bytes] = 0;
    struct dirent **entries = NULL;
    const int count = scandir(folder, &entries, is_ring_file, alphasort);
    int removed = 0;
    for (int i = 0; i < count; i++) {
        char file[DXI_SHARE_PATH_BYTES];
        const int length = snprintf(file, sizeof(file), "%s/%s", folder, entries[i]->d_name);
        if (length > 0 && length < (int)sizeof(file)) {
            const dx_ring_file_t found = look_at(file, entries[i]->d_name);
            if (strcmp(found.name, name) == 0 && is_abandoned(file, &found)) {
                removed += unlink(file) == 0;
            }
        }
        free(entries[i]);
    }
    free(entries);
    return removed;
}

/* Under the file's table lock, or by force. DX_EAGAIN: the name is another file's by now. */
static int remove_locked(int fd, const char *path, bool force, dx_error_t *error)
{
    const int32_t attached = dxi_share_count_taken(fd);
    if (!dxi_share_has_name(fd, path)) {
        return DX_EAGAIN;
    }
    if (attached != 0 && !force) {
        return dxi_fail(error, DX_EBUSY,
                        "'%s' is in use by %d process%s; remove it by force if they are to go on "
                        "without it",
                        path, attached, attached == 1 ? "" : "es");
    }
    if (unlink(path) != 0 && errno != ENOENT) {
        const int os = errno;
        return dxi_fail_os(error, dxi_code_of_errno(os), os, "cannot remove '%s'", path);
    }
    return DX_OK;
}

static int remove_once(const char *path, bool force, dx_error_t *error)
{
    const int fd = dxi_share_open(path, false, true, error);
    if (fd < 0) {
        return fd;
    }
    int code = dxi_share_lock(fd, path, force ? 0 : DXI_TABLE_LOCK_NS, error);
    const bool locked = code == DX_OK;
    if (locked || force) {
        dxi_point("remove:locked");
        code = remove_locked(fd, path, force, error);
    }
    if (locked) {
        dxi_share_unlock(fd); /* before: a child that was forked now may hold a copy */
    }
    (void)close(fd);
    return code;
}

int dx_ring_remove(const char *name, const char *folder, bool force, dx_error_t *error)
{
    char path[DXI_SHARE_PATH_BYTES];
    int code = dxi_share_path(name, folder, path, error);
    if (code != DX_OK) {
        return code;
    }
    const int removed = dxi_share_remove_unfinished(path, name);
    code = DX_EAGAIN;
    for (int tries = 0; code == DX_EAGAIN && tries < TRIES_MAX; tries++) {
        code = remove_once(path, force, error);
    }
    if (code == DX_EAGAIN) {
        return dxi_fail(error, DX_EBUSY, "'%s' is made and removed again and again", path);
    }
    return code == DX_ENOTFOUND && removed > 0 ? DX_OK : code;
}
