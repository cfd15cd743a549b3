/* ring_file.c - names and files of shared rings.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/ring_file.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/nearest.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "ring/share.h"

#define OPEN_TRIES 5 /* a name that is given to another ring between two steps */

static bool ends_in_suffix(const char *text, size_t *stem_bytes_out)
{
    const size_t bytes = strlen(text);
    const size_t suffix = strlen(DX_RING_SUFFIX);
    *stem_bytes_out = bytes > suffix ? bytes - suffix : 0;
    return bytes > suffix && strcmp(text + bytes - suffix, DX_RING_SUFFIX) == 0;
}

int dxi_ring_place_parse(const char *typed, const char *folder, dxi_ring_place_t *place_out,
                         dx_error_t *error)
{
    memset(place_out, 0, sizeof *place_out);
    const char *const slash = strrchr(typed, '/');
    const char *const base = slash != NULL ? slash + 1 : typed;
    size_t bytes = 0;
    const bool is_file = ends_in_suffix(base, &bytes);
    if (slash != NULL && !is_file) {
        return dxi_fail(error, DX_EINVAL,
                        "\"%.200s\" is neither the name nor the file of a ring: a name has no "
                        "slash, a file ends in " DX_RING_SUFFIX,
                        typed);
    }
    char name[NAME_MAX + 1];
    snprintf(name, sizeof name, "%.*s", (int)(is_file ? bytes : strlen(base)), base);
    const char *const found = folder != NULL ? folder : DX_RING_FOLDER;
    /* "/orders.dxring" lies in "/", "./orders.dxring" in ".". */
    const int folder_bytes =
        slash == NULL ? (int)strlen(found) : (int)(slash - typed) + (slash == typed ? 1 : 0);
    const int written = snprintf(place_out->folder, sizeof place_out->folder, "%.*s", folder_bytes,
                                 slash == NULL ? found : typed);
    if (written < 0 || (size_t)written >= sizeof place_out->folder) {
        return dxi_fail(error, DX_EINVAL, "the folder has %d bytes, must have less than %d",
                        folder_bytes, PATH_MAX);
    }
    const int code = dxi_share_path(name, place_out->folder, place_out->path, error);
    if (code == DX_OK) {
        memcpy(place_out->name, name, strlen(name) + 1);
    }
    return code;
}

/* ----------------------------------------------------------------------------------- complaints */

/* The nearest of the names of a folder; visited before they go away, so they are kept. */
typedef struct search {
    dxi_nearest_t nearest;
    char best[DX_RING_NAME_MAX + 1];
} search_t;

static void offer(void *context, const dx_ring_file_t *file)
{
    search_t *const search = context;
    const char *const before = search->nearest.best;
    dxi_nearest_offer(&search->nearest, file->name);
    if (search->nearest.best != before) {
        memcpy(search->best, file->name, sizeof search->best);
        search->nearest.best = search->best;
    }
}

int dxi_ring_complain(const char *speaker, const dxi_ring_place_t *place, const dx_error_t *error)
{
    if (error->code != DX_ENOTFOUND) {
        /* The library names the option of its own. */
        const bool is_foreign = strstr(error->message, "any_owner") != NULL;
        dxi_complain(speaker, "%s (%s)%s", error->message, dx_error_name(error->code),
                     is_foreign ? "; here it is --any-owner" : "");
        return error->code == DX_EINVAL ? DXI_EXIT_USAGE : DXI_EXIT_FAILED;
    }
    search_t search = {.nearest = {.word = place->name}};
    const int listed = dx_ring_list(place->folder, offer, &search, NULL);
    if (listed < 0) {
        dxi_complain(speaker, "there is no folder \"%.200s\"", place->folder);
    } else if (listed == 0) {
        dxi_complain(speaker, "there is no ring \"%s\" in %.200s, and no other either", place->name,
                     place->folder);
    } else if (search.nearest.best != NULL) {
        dxi_complain(speaker, "there is no ring \"%s\" in %.200s; did you mean \"%s\"?",
                     place->name, place->folder, search.nearest.best);
    } else {
        dxi_complain(speaker, "there is no ring \"%s\" in %.200s; dx ring ls lists what there is",
                     place->name, place->folder);
    }
    return DXI_EXIT_FAILED;
}

/* ---------------------------------------------------------------------------------------- views */

/* Opens the file, attaches, and looks whether both are the same file. */
static int open_once(dxi_ring_view_t *view, bool *same_out, dx_error_t *error)
{
    const dx_attach_options_t options = {.name = view->place.name,
                                         .folder = view->place.folder,
                                         .observe = true,
                                         .any_owner = view->any_owner};
    struct stat before = {0};
    struct stat after = {0};
    view->fd = dxi_share_open(view->place.path, true, view->any_owner, error);
    if (view->fd < 0) {
        return view->fd;
    }
    const int code = dx_ring_attach(&options, &view->ring, error);
    if (code != DX_OK) {
        (void)close(view->fd);
        return code;
    }
    *same_out = fstat(view->fd, &before) == 0 && stat(view->place.path, &after) == 0 &&
                before.st_ino == after.st_ino && before.st_dev == after.st_dev;
    view->device = before.st_dev;
    view->inode = before.st_ino;
    return DX_OK;
}

int dxi_ring_view_open(const dxi_ring_place_t *place, bool any_owner, dxi_ring_view_t *view_out,
                       dx_error_t *error)
{
    *view_out = (dxi_ring_view_t){.place = *place, .any_owner = any_owner, .fd = -1};
    for (int tries = 0; tries < OPEN_TRIES; tries++) {
        bool same = false;
        const int code = open_once(view_out, &same, error);
        if (code != DX_OK || same) {
            return code;
        }
        dxi_ring_view_close(view_out);
    }
    return dxi_fail(error, DX_EBUSY, "\"%.200s\" is made anew again and again", place->path);
}

void dxi_ring_view_close(dxi_ring_view_t *view)
{
    dx_ring_destroy(view->ring);
    (void)close(view->fd);
    view->ring = NULL;
    view->fd = -1;
}

bool dxi_ring_view_follow(dxi_ring_view_t *view)
{
    struct stat now;
    if (stat(view->place.path, &now) == 0 && now.st_ino == view->inode &&
        now.st_dev == view->device) {
        return true;
    }
    dxi_ring_view_t next;
    if (dxi_ring_view_open(&view->place, view->any_owner, &next, NULL) != DX_OK) {
        return false;
    }
    dxi_ring_view_close(view);
    *view = next;
    return true;
}

const char *dxi_user_name(uint32_t user_id)
{
    static char number[16];
    const struct passwd *const user = getpwuid((uid_t)user_id);
    if (user != NULL && user->pw_name != NULL) {
        return user->pw_name;
    }
    snprintf(number, sizeof number, "%u", user_id);
    return number;
}
