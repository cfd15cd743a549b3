/* share.c - a ring under a name: making the file, attaching to it, leaving it.
 *
 * DESIGN
 *
 * A shared ring is the block in a file. It is made under a name that nobody looks for and gets its
 * own by link(), when it is whole: so there is no moment at which somebody could attach to half a
 * ring, or take its maker for dead.
 *
 *     create:  unfinished file -> space, lock, map, fill, enter -> link(name), unlink(unfinished)
 *                    name exists: nobody of it lives -> unlink it, link again;  else DX_EBUSY
 *     attach:  open -> lock the tables -> still under its name? -> check -> map -> enter -> unlock
 *     leave:   lock the tables -> release what is still ours -> last one: unlink -> close
 *
 * Each process that uses the ring has an entry in the block's process table, and a lock of the
 * kernel that says that it lives (share_lock.c). A ring in whose table nobody lives is stale,
 * whatever it says: no file that somebody left behind can stand in the way of a new start.
 *
 * INVARIANTS
 *
 *   S1  a file under a ring's name is whole: it was filled before it got the name
 *   S2  who is entered has locked its byte before, and unlocks it after its entry is free
 *   S3  a ring is replaced or unlinked only under its table lock, when nobody else lives in it
 *   S4  who finds, under the table lock, that its file has no name any more, begins again
 *
 * LIMITS: DX_RING_PROCESSES_MAX attachments; two of one process count as two.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ring/share.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "base/mapping.h"
#include "base/options.h"
#include "disruptorx/clock.h"

#define TRIES_MAX 100 /* of a name that others make and remove at the same time */
#define MODE_DEFAULT 0600u
#define MODE_MAX 0777u

int dxi_share_validate(const dx_share_options_t *options, dx_error_t *error)
{
    char path[DXI_SHARE_PATH_BYTES];
    int code = dxi_share_path(options->name, options->folder, path, error);
    if (code == DX_OK) {
        code = dxi_options_range(error, "share.mode", options->mode, 0, MODE_MAX);
    }
    if (code == DX_OK && (unsigned)options->existing > DX_SHARE_ATTACH) {
        code = dxi_fail(error, DX_EINVAL, "share.existing is %d, must be a dx_share_existing_t",
                        (int)options->existing);
    }
    if (code == DX_OK && options->detect_ns != 0) {
        code = dxi_options_range(error, "share.detect_ns", options->detect_ns,
                                 DX_RING_DETECT_NS_MIN, DX_RING_DETECT_NS_MAX);
    }
    if (code == DX_OK && (unsigned)options->stalled > DX_ON_STALL_WAIT) {
        code = dxi_fail(error, DX_EINVAL, "share.stalled is %d, must be a dx_on_stall_t",
                        (int)options->stalled);
    }
    return code != DX_OK ? code
                         : dxi_options_reserved(error, options->reserved,
                                                sizeof(options->reserved) / sizeof(uint64_t));
}

int32_t dxi_share_index(const dx_ring_t *ring)
{
    return ring->share != NULL ? ring->share->index : -1;
}

static int share_new(dx_ring_t *ring, const char *name, const char *folder, dx_error_t *error)
{
    dxi_share_t *share = dxi_alloc_zeroed(1, sizeof(*share));
    if (share == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a shared ring");
    }
    ring->share = share;
    share->fd = -1;
    share->index = -1;
    return dxi_share_path(name, folder, share->path, error);
}

/* ------------------------------------------------------------------------------------- making */

/* Where the file lies until it is whole. */
static void name_unfinished(dxi_share_t *share, const char *name)
{
    static dx_atomic64_t count;
    const size_t folder_bytes = (size_t)(strrchr(share->path, '/') - share->path);
    (void)snprintf(share->unfinished, sizeof(share->unfinished), "%.*s/.%s.%d.%" PRId64 "%s-new",
                   (int)folder_bytes, share->path, name, (int)getpid(),
                   dx_fetch_add_relaxed(&count, 1), DX_RING_SUFFIX);
}

static int file_make(dxi_share_t *share, const dx_share_options_t *options, uint64_t bytes,
                     dx_error_t *error)
{
    name_unfinished(share, options->name);
    const int flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
    share->fd = dxi_fault("share-open") ? -1 : open(share->unfinished, flags, 0600);
    if (share->fd < 0) {
        const int os = errno;
        share->unfinished[0] = 0;
        return dxi_fail_os(error, dxi_code_of_errno(os), os, "cannot make '%s'", share->path);
    }
    if (!dxi_share_try_lock(share->fd) || !dxi_share_take(share->fd, 0)) {
        const int os = errno;
        return dxi_fail_os(error, DX_ENOTSUP, os, "the file system of '%s' has no locks",
                           share->path);
    }
    const mode_t mode = options->mode != 0 ? options->mode : MODE_DEFAULT;
    if (fchmod(share->fd, mode) != 0) { /* whatever the umask */
        const int os = errno;
        return dxi_fail_os(error, dxi_code_of_errno(os), os, "cannot set the mode of '%s'",
                           share->path);
    }
    /* All the space now: a page that can't be had later would be a SIGBUS. */
    const int os = dxi_fault("share-space") ? ENOSPC : posix_fallocate(share->fd, 0, (off_t)bytes);
    if (os != 0) {
        return dxi_fail_os(error, os == EFBIG ? DX_ELIMIT : DX_EIO, os,
                           "no room for %" PRIu64 " bytes in '%s'", bytes, share->path);
    }
    return DX_OK;
}

static int map_file(dx_ring_t *ring, const dx_ring_block_t *layout, bool read_only,
                    const dx_memory_options_t *memory, dx_error_t *error)
{
    const uint64_t slots = layout->block_bytes - layout->slots_offset;
    const dxi_mapping_options_t mapping = {.fd = ring->share->fd,
                                           .bytes = layout->block_bytes,
                                           .mirror_bytes = layout->spans != 0 ? slots : 0,
                                           .read_only = read_only,
                                           .memory = memory};
    return dxi_mapping_map(&mapping, &ring->memory, error);
}

int dxi_share_create(dx_ring_t *ring, const dx_share_options_t *options,
                     const dx_memory_options_t *memory, const dx_ring_block_t *layout,
                     dx_error_t *error)
{
    int code = share_new(ring, options->name, options->folder, error);
    if (code == DX_OK) {
        ring->share->keep = options->keep;
        code = file_make(ring->share, options, layout->block_bytes, error);
    }
    return code == DX_OK ? map_file(ring, layout, false, memory, error) : code;
}

/* ------------------------------------------------------------------------------ one's own entry */

static void enter(dx_ring_t *ring, int32_t index)
{
    dx_process_entry_t *entry = &dxi_block_processes(ring->block)[index];
    dxi_identity_enter(entry);
    dx_store_relaxed(&entry->beats, 0);
    dx_store_relaxed(&entry->beat_ns, dx_clock_ns());
    dx_store32_release(&entry->state, DX_PROCESS_ATTACHED);
    ring->share->index = index;
}

/* Takes a free process entry (S2). Under the table lock. */
static int enter_any(dx_ring_t *ring, dx_error_t *error)
{
    const dx_process_entry_t *entries = dxi_block_processes(ring->block);
    for (int32_t i = 0; i < (int32_t)DX_RING_PROCESSES_MAX; i++) {
        if (dx_load32_acquire(&entries[i].state) == DX_PROCESS_FREE &&
            dxi_share_take(ring->share->fd, i)) {
            enter(ring, i);
            return DX_OK;
        }
    }
    return dxi_fail(error, DX_ELIMIT, "'%s' has %u processes attached, the most there can be",
                    ring->share->path, DX_RING_PROCESSES_MAX);
}

/* True when the file that we have open is the one under its name (S4). */
static bool has_its_name(const dxi_share_t *share)
{
    struct stat ours;
    struct stat named;
    return fstat(share->fd, &ours) == 0 && lstat(share->path, &named) == 0 &&
           ours.st_ino == named.st_ino && ours.st_dev == named.st_dev;
}

/* -------------------------------------------------------------------------------- publishing */

/* Removes the ring that has our name if nobody lives in it. DX_OK: the name may be free now. */
static int remove_stale(const char *path, dx_error_t *error)
{
    const int fd = dxi_share_open(path, false, true, error);
    if (fd < 0) {
        return fd == DX_ENOTFOUND ? DX_OK : fd;
    }
    dxi_share_t other = {.fd = fd};
    memcpy(other.path, path, strlen(path) + 1);
    int code = dxi_share_lock(fd, path, DXI_TABLE_LOCK_NS, error);
    uint64_t magic = 0;
    if (code != DX_OK || !has_its_name(&other)) {
        (void)close(fd); /* another has replaced it meanwhile: try again */
        return code;
    }
    if (pread(fd, &magic, sizeof(magic), 0) != sizeof(magic) || magic != DX_RING_MAGIC) {
        code = dxi_fail(error, DX_ECORRUPT, "'%s' exists and is not a ring", path);
    } else if (dxi_share_count_taken(fd) != 0) {
        code = dxi_fail(error, DX_EEXIST, "'%s' is in use by %d processes", path,
                        dxi_share_count_taken(fd));
    } else if (unlink(path) != 0 && errno != ENOENT) { /* S3 */
        const int os = errno;
        code = dxi_fail_os(error, dxi_code_of_errno(os), os, "cannot replace '%s'", path);
    }
    (void)close(fd);
    return code;
}

int dxi_share_publish(dx_ring_t *ring, dx_error_t *error)
{
    dxi_share_t *share = ring->share;
    enter(ring, 0);
    int code = DX_OK;
    int os = EEXIST;
    for (int tries = 0; code == DX_OK && os == EEXIST && tries < TRIES_MAX; tries++) {
        os = link(share->unfinished, share->path) == 0 ? 0 : errno;
        if (os == EEXIST) {
            code = remove_stale(share->path, error);
        }
    }
    if (code == DX_OK && os != 0) {
        code = dxi_fail_os(error, dxi_code_of_errno(os), os, "cannot name '%s'", share->path);
    }
    if (code == DX_OK) {
        (void)unlink(share->unfinished);
        share->unfinished[0] = 0;
        share->published = true;
        dxi_share_unlock(share->fd);
        code = dxi_guard_add(ring, error);
    }
    return code;
}

/* ---------------------------------------------------------------------------------- attaching */

static int check_fences(const dx_ring_block_t *block, const char *path, dx_error_t *error)
{
    if (dxi_heavy_fence_works() || (dx_load_relaxed(&block->signal) & DXI_SIGNAL_FENCE) != 0) {
        return DX_OK;
    }
    return dxi_fail(error, DX_ENOTSUP,
                    "this process may not use membarrier(), which the maker of '%s' relies on",
                    path);
}

/* Opens, locks and maps, and enters the table unless it is to observe only. DX_EAGAIN: the file
 * lost its name meanwhile. */
static int attach_once(dx_ring_t *ring, const dx_attach_options_t *options, dx_error_t *error)
{
    dxi_share_t *share = ring->share;
    share->fd = dxi_share_open(share->path, options->observe, options->any_owner, error);
    if (share->fd < 0) {
        return share->fd;
    }
    int code =
        options->observe ? DX_OK : dxi_share_lock(share->fd, share->path, DXI_TABLE_LOCK_NS, error);
    if (code == DX_OK && !has_its_name(share)) {
        code = DX_EAGAIN;
    }
    dx_ring_block_t layout;
    if (code == DX_OK) {
        code = dxi_share_read_layout(share->fd, share->path, &layout, error);
    }
    if (code == DX_OK) {
        code = map_file(ring, &layout, options->observe, NULL, error);
    }
    if (code != DX_OK) {
        return code;
    }
    ring->block = ring->memory.address;
    code = dxi_share_check_words(ring->block, share->path, error);
    if (code != DX_OK || options->observe) {
        return code;
    }
    code = check_fences(ring->block, share->path, error);
    if (code == DX_OK) {
        (void)dxi_recover(ring, 0);
        code = enter_any(ring, error);
    }
    share->published = code == DX_OK;
    return code;
}

static int attach(const dx_attach_options_t *options, dx_ring_t **ring_out, dx_error_t *error)
{
    dx_ring_t *ring = NULL;
    int code = dxi_ring_new(DX_RING_PRODUCERS_MAX, &ring, error);
    if (code != DX_OK) {
        return code;
    }
    code = share_new(ring, options->name, options->folder, error);
    for (int tries = 0; code == DX_OK && tries < TRIES_MAX; tries++) {
        code = attach_once(ring, options, error);
        if (code != DX_EAGAIN) {
            break;
        }
        (void)close(ring->share->fd); /* S4 */
        ring->share->fd = -1;
        code = tries + 1 < TRIES_MAX ? DX_OK : DX_EBUSY;
    }
    if (code == DX_OK && !options->observe) {
        dxi_share_unlock(ring->share->fd);
        code = dxi_guard_add(ring, error);
    }
    if (code != DX_OK) {
        dx_ring_destroy(ring);
        return code;
    }
    *ring_out = ring;
    return DX_OK;
}

int dx_ring_attach(const dx_attach_options_t *options, dx_ring_t **ring_out, dx_error_t *error)
{
    *ring_out = NULL;
    const int code = dxi_options_reserved(error, options->reserved,
                                          sizeof(options->reserved) / sizeof(uint64_t));
    return code != DX_OK ? code : attach(options, ring_out, error);
}

int dxi_share_attach_like(const dx_share_options_t *options, const dx_ring_block_t *layout,
                          dx_ring_t **ring_out, dx_error_t *error)
{
    const dx_attach_options_t how = {.name = options->name, .folder = options->folder};
    dx_ring_t *ring = NULL;
    const int code = attach(&how, &ring, error);
    if (code != DX_OK) {
        return code;
    }
    const dx_ring_block_t *found = ring->block;
    if (found->mode != layout->mode || found->slot_count != layout->slot_count ||
        found->slot_bytes != layout->slot_bytes || found->spans != layout->spans) {
        (void)dxi_fail(error, DX_EINVAL,
                       "'%s' has %u slots of %u bytes (mode %u, spans %u), asked for are %u of %u "
                       "(mode %u, spans %u)",
                       ring->share->path, found->slot_count, found->slot_bytes, found->mode,
                       found->spans, layout->slot_count, layout->slot_bytes, layout->mode,
                       layout->spans);
        dx_ring_destroy(ring);
        return DX_EINVAL;
    }
    ring->share->keep = options->keep;
    *ring_out = ring;
    return DX_OK;
}

/* ------------------------------------------------------------------------------------ leaving */

void dxi_share_leave(dx_ring_t *ring)
{
    dxi_share_t *share = ring->share;
    if (share == NULL) {
        return;
    }
    dxi_guard_remove(ring);
    if (share->published && share->index >= 0) {
        dxi_table_lock_always(ring);
        dxi_recover_self(ring);
        dxi_share_give_back(share->fd, share->index);
        if (!share->keep && dxi_share_count_taken(share->fd) == 0 && has_its_name(share)) {
            (void)unlink(share->path); /* S3 */
        }
        dxi_table_unlock(ring);
    }
    if (share->unfinished[0] != 0) {
        (void)unlink(share->unfinished);
    }
    if (share->fd >= 0) {
        (void)close(share->fd);
    }
    dxi_free(share);
    ring->share = NULL;
}
