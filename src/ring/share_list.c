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
#include <unistd.h>

#include "base/fail.h"
#include "ring/share.h"

#define UNFINISHED_SUFFIX DX_RING_SUFFIX "-new"

static bool ends_with(const char *text, const char *end)
{
    const size_t text_bytes = strlen(text);
    const size_t end_bytes = strlen(end);
    return text_bytes > end_bytes && strcmp(text + text_bytes - end_bytes, end) == 0;
}

static int is_ring_file(const struct dirent *entry)
{
    return ends_with(entry->d_name, DX_RING_SUFFIX) ||
           (entry->d_name[0] == '.' && ends_with(entry->d_name, UNFINISHED_SUFFIX));
}

/* The ring's name out of its file's: NAME.dxring, or .NAME.PID.N.dxring-new. */
static void name_of(const char *file, dx_ring_file_t *found)
{
    found->unfinished = file[0] == '.';
    const char *start = file + (found->unfinished ? 1 : 0);
    size_t length = strlen(start) - strlen(DX_RING_SUFFIX);
    if (found->unfinished) {
        length -= strlen("-new");
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

/* Removes what a maker of that ring left when it died: nobody lives in it, and it has been there
 * for longer than anybody needs from making it to locking it. */
static int remove_unfinished(const char *path, const char *name)
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
            if (found.unfinished && found.code == DX_OK && found.attached == 0 &&
                strcmp(found.name, name) == 0) {
                removed += unlink(file) == 0;
            }
        }
        free(entries[i]);
    }
    free(entries);
    return removed;
}

/* Under the file's table lock. */
static int remove_locked(int fd, const char *path, bool force, dx_error_t *error)
{
    const int32_t attached = dxi_share_count_taken(fd);
    if (attached != 0 && !force) {
        return dxi_fail(error, DX_EBUSY,
                        "'%s' is in use by %d processes; remove it by force if they are to go on "
                        "without it",
                        path, attached);
    }
    if (unlink(path) != 0 && errno != ENOENT) {
        const int os = errno;
        return dxi_fail_os(error, dxi_code_of_errno(os), os, "cannot remove '%s'", path);
    }
    return DX_OK;
}

int dx_ring_remove(const char *name, const char *folder, bool force, dx_error_t *error)
{
    char path[DXI_SHARE_PATH_BYTES];
    int code = dxi_share_path(name, folder, path, error);
    if (code != DX_OK) {
        return code;
    }
    const int removed = remove_unfinished(path, name);
    const int fd = dxi_share_open(path, false, true, error);
    if (fd < 0) {
        return fd == DX_ENOTFOUND && removed > 0 ? DX_OK : fd;
    }
    code = dxi_share_lock(fd, path, DXI_TABLE_LOCK_NS, error);
    if (code == DX_OK || force) {
        code = remove_locked(fd, path, force, error);
    }
    (void)close(fd);
    return code;
}
