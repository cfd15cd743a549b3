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
 *     attach:  open -> check -> map -> check -> enter -> lock the tables -> still under its name?
 *              -> recover -> unlock
 *     leave:   lock the tables -> release what is still ours -> last one: unlink -> close
 *
 * Each process that uses the ring has an entry in the block's process table, and a lock of the
 * kernel that says that it lives (share_lock.c). A ring in whose table nobody lives is stale,
 * whatever it says: no file that somebody left behind can stand in the way of a new start.
 *
 * Who attaches enters, and has a guard, before it takes the tables: so whoever holds the tables is
 * known to the others, and one that is stopped then can be told from one that is slow. The byte
 * that it has locked makes the free entry its own.
 *
 * INVARIANTS
 *
 *   H1  a file under a ring's name is whole: it was filled before it got the name
 *   H2  who is entered has locked its byte before, and unlocks it after its entry is free
 *   H3  a ring is replaced or unlinked only under its table lock, when nobody else lives in it, but
 *       for dx_ring_remove() by force
 *   H4  who finds, under the table lock, that its file has no name any more, begins again
 *
 * LIMITS: DX_RING_PROCESSES_MAX attachments; two of one process count as two.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ring/share.h"

#include <assert.h>
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
    dxi_guard_know(share);
    return dxi_share_path(name, folder, share->path, error);
}

static void close_file(dxi_share_t *share)
{
    dxi_guard_fork_hold();
    if (share->fd >= 0) {
        (void)close(share->fd);
        share->fd = -1;
    }
    dxi_guard_fork_release();
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
    dxi_guard_fork_hold(); /* no child gets a copy that it does not know */
    int os = EIO;
    if (!dxi_fault("share-open")) {
        share->fd = open(share->unfinished, flags, 0600);
        os = errno;
    }
    dxi_guard_fork_release();
    if (share->fd < 0) {
        share->unfinished[0] = 0;
        return dxi_fail_os(error, dxi_code_of_errno(os), os, "cannot make '%s'", share->path);
    }
    if (!dxi_share_try_lock(share->fd) || !dxi_share_take(share->fd, 0)) {
        os = errno;
        return dxi_fail_os(error, DX_ENOTSUP, os, "the file system of '%s' has no locks",
                           share->path);
    }
    const mode_t mode = options->mode != 0 ? options->mode : MODE_DEFAULT;
    if (fchmod(share->fd, mode) != 0) { /* whatever the umask */
        os = errno;
        return dxi_fail_os(error, dxi_code_of_errno(os), os, "cannot set the mode of '%s'",
                           share->path);
    }
    /* All the space now: a page that can't be had later would be a SIGBUS. */
    do {
        os = dxi_fault("share-space") ? ENOSPC : posix_fallocate(share->fd, 0, (off_t)bytes);
    } while (os == EINTR);
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
                                           .fresh = memory != NULL, /* we make it */
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
        (void)dxi_share_remove_unfinished(ring->share->path, options->name); /* they take space */
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

/* Takes a free process entry (H2): true when there was one. */
static bool enter_free(dx_ring_t *ring)
{
    const dx_process_entry_t *entries = dxi_block_processes(ring->block);
    for (int32_t i = 0; i < (int32_t)DX_RING_PROCESSES_MAX; i++) {
        if (dx_load32_acquire(&entries[i].state) != DX_PROCESS_FREE ||
            !dxi_share_take(ring->share->fd, i)) {
            continue;
        }
        dxi_point("attach:taken");
        /* Another may have come and died since the look: it is to be recovered first. */
        if (dx_load32_acquire(&entries[i].state) == DX_PROCESS_FREE) {
            enter(ring, i);
            return true;
        }
        dxi_share_give_back(ring->share->fd, i);
    }
    return false;
}

static int enter_any(dx_ring_t *ring, dx_error_t *error)
{
    if (enter_free(ring)) {
        return DX_OK;
    }
    /* Some may be dead, and nobody may live who would find out. */
    const int code = dxi_share_lock(ring->share->fd, ring->share->path, DXI_TABLE_LOCK_NS, error);
    if (code != DX_OK) {
        return code;
    }
    (void)dxi_recover(ring, 0);
    dxi_share_unlock(ring->share->fd);
    if (enter_free(ring)) {
        return DX_OK;
    }
    return dxi_fail(error, DX_ELIMIT, "'%s' has %u processes attached, the most there can be",
                    ring->share->path, DX_RING_PROCESSES_MAX);
}

/* Gives the entry back when nothing else of the ring is ours. */
static void retire(dx_ring_t *ring)
{
    dxi_share_t *share = ring->share;
    if (share->index >= 0) {
        dx_store32_release(&dxi_block_processes(ring->block)[share->index].state, DX_PROCESS_FREE);
        dxi_share_give_back(share->fd, share->index); /* H2 */
        share->index = -1;
    }
}

/* -------------------------------------------------------------------------------- publishing */

/* Removes the ring that has our name if nobody lives in it. DX_OK: the name may be free now. */
static int remove_stale(const char *path, dx_error_t *error)
{
    const int fd = dxi_share_open(path, false, true, error);
    if (fd < 0) {
        return fd == DX_ENOTFOUND ? DX_OK : fd;
    }
    int code = dxi_share_lock(fd, path, DXI_TABLE_LOCK_NS, error);
    if (code != DX_OK) {
        (void)close(fd);
        return code;
    }
    uint64_t magic = 0; /* stays so where a machine that failed left a file of zeros, or none */
    const int32_t taken = dxi_share_count_taken(fd);
    if (!dxi_share_has_name(fd, path)) {
        code = DX_OK; /* another has replaced it meanwhile: try again */
    } else if (pread(fd, &magic, sizeof(magic), 0) < 0 || (magic != DX_RING_MAGIC && magic != 0)) {
        code = dxi_fail(error, DX_ECORRUPT, "'%s' exists and is not a ring", path);
    } else if (taken != 0) {
        code = dxi_fail(error, DX_EEXIST, "'%s' is in use by %d process%s", path, taken,
                        taken == 1 ? "" : "es");
    } else if (unlink(path) != 0 && errno != ENOENT) { /* H3 */
        const int os = errno;
        code = dxi_fail_os(error, dxi_code_of_errno(os), os, "cannot replace '%s'", path);
    }
    dxi_share_unlock(fd); /* before: a child that was forked now may hold a copy */
    (void)close(fd);
    return code;
}

/* Gives the file its name. */
static int name_file(dxi_share_t *share, dx_error_t *error)
{
    int code = DX_OK;
    int os = EEXIST;
    for (int tries = 0; code == DX_OK && os == EEXIST && tries < TRIES_MAX; tries++) {
        dxi_point("create:before-link");
        os = link(share->unfinished, share->path) == 0 ? 0 : errno;
        if (os == EEXIST) {
            code = remove_stale(share->path, error);
        }
    }
    if (code == DX_OK && os != 0) {
        /* ENOENT: we have been away for so long that another took our file for abandoned. */
        code = os == ENOENT ? DX_EAGAIN : dxi_code_of_errno(os);
        (void)dxi_fail_os(error, code, os, "cannot name '%s'", share->path);
    }
    return code;
}

int dxi_share_publish(dx_ring_t *ring, dx_error_t *error)
{
    dxi_share_t *share = ring->share;
    pthread_mutex_lock(&ring->lock); /* with the lock of the file: as by dxi_table_lock() */
    enter(ring, 0);
    dx_store32_relaxed(&ring->block->table_holder, share->index + 1);
    int code = dxi_guard_add(ring, error);
    if (code == DX_OK) {
        code = name_file(share, error);
    }
    if (code == DX_OK) {
        dxi_point("create:named");
        (void)unlink(share->unfinished);
        share->unfinished[0] = 0;
        share->published = true;
    }
    dxi_table_unlock(ring);
    return code;
}

/* ---------------------------------------------------------------------------------- attaching */

/* How to attach. */
typedef struct attach {
    const dx_attach_options_t *options;
    const dx_ring_block_t *like; /* NULL, or: somebody must live in it, and its geometry be this */
} attach_t;

static int compare(const dx_ring_block_t *found, const dx_ring_block_t *like, const char *path,
                   dx_error_t *error)
{
    if (found->mode == like->mode && found->slot_count == like->slot_count &&
        found->slot_bytes == like->slot_bytes && found->spans == like->spans) {
        return DX_OK;
    }
    return dxi_fail(error, DX_EINVAL,
                    "'%s' has %u slots of %u bytes (mode %u, spans %u), asked for are %u of %u "
                    "(mode %u, spans %u)",
                    path, found->slot_count, found->slot_bytes, found->mode, found->spans,
                    like->slot_count, like->slot_bytes, like->mode, like->spans);
}

static int check_fences(const dx_ring_block_t *block, const char *path, dx_error_t *error)
{
    if (dxi_heavy_fence_works() || (dx_load_relaxed(&block->signal) & DXI_SIGNAL_FENCE) != 0) {
        return DX_OK;
    }
    return dxi_fail(error, DX_ENOTSUP,
                    "this process may not use membarrier(), which the maker of '%s' relies on",
                    path);
}

/* Opens, checks and maps. DX_EAGAIN: the file lost its name meanwhile. */
static int open_and_map(dx_ring_t *ring, const attach_t *how, dx_error_t *error)
{
    dxi_share_t *share = ring->share;
    const dx_attach_options_t *options = how->options;
    dxi_guard_fork_hold();
    const int fd = dxi_share_open(share->path, options->observe, options->any_owner, error);
    share->fd = fd >= 0 ? fd : -1;
    dxi_guard_fork_release();
    if (fd < 0) {
        return fd;
    }
    if (how->like != NULL && dxi_share_count_taken(fd) == 0) {
        return dxi_fail(error, DX_ENOTFOUND, "nobody is attached to '%s'", share->path);
    }
    if (!dxi_share_has_name(fd, share->path)) {
        return DX_EAGAIN;
    }
    dx_ring_block_t layout;
    int code = dxi_share_read_layout(fd, share->path, &layout, error);
    if (code == DX_OK && how->like != NULL) {
        code = compare(&layout, how->like, share->path, error);
    }
    if (code == DX_OK) {
        code = map_file(ring, &layout, options->observe, NULL, error);
    }
    if (code != DX_OK) {
        return code;
    }
    ring->block = ring->memory.address;
    return dxi_share_check_words(ring->block, share->path, error);
}

/* Enters the table. DX_EAGAIN: the file lost its name meanwhile. */
static int join(dx_ring_t *ring, dx_error_t *error)
{
    dxi_share_t *share = ring->share;
    assert(ring->block != NULL && "mapped before");
    int code = check_fences(ring->block, share->path, error);
    if (code == DX_OK) {
        code = enter_any(ring, error);
    }
    if (code == DX_OK) {
        dxi_point("attach:entered");
        code = dxi_guard_add(ring, error);
    }
    if (code == DX_OK) {
        code = dxi_table_lock(ring, error);
    }
    if (code != DX_OK) {
        return code;
    }
    if (dxi_share_has_name(share->fd, share->path)) {
        (void)dxi_recover(ring, 0);
        share->published = true;
    } else {
        code = DX_EAGAIN; /* H4 */
    }
    dxi_table_unlock(ring);
    return code;
}

/* Undoes what a try to attach has done. */
static void detach(dx_ring_t *ring)
{
    dxi_guard_remove(ring);
    retire(ring);
    dx_memory_unmap(&ring->memory);
    ring->block = NULL;
    close_file(ring->share);
}

static int attach(const attach_t *how, dx_ring_t **ring_out, dx_error_t *error)
{
    const dx_attach_options_t *options = how->options;
    dx_ring_t *ring = NULL;
    int code = dxi_ring_new(DX_RING_PRODUCERS_MAX, &ring, error);
    if (code != DX_OK) {
        return code;
    }
    code = share_new(ring, options->name, options->folder, error);
    for (int tries = 0; code == DX_OK && tries < TRIES_MAX; tries++) {
        code = open_and_map(ring, how, error);
        if (code == DX_OK && !options->observe) {
            code = join(ring, error);
        }
        if (code != DX_EAGAIN) {
            break;
        }
        detach(ring); /* H4 */
        code = tries + 1 < TRIES_MAX
                   ? DX_OK
                   : dxi_fail(error, DX_EBUSY, "'%s' is made and removed again and again",
                              ring->share->path);
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
    return code != DX_OK ? code : attach(&(attach_t){.options = options}, ring_out, error);
}

int dxi_share_attach_like(const dx_share_options_t *options, const dx_ring_block_t *layout,
                          dx_ring_t **ring_out, dx_error_t *error)
{
    const dx_attach_options_t how = {.name = options->name, .folder = options->folder};
    const int code = attach(&(attach_t){.options = &how, .like = layout}, ring_out, error);
    if (code == DX_OK) {
        (*ring_out)->share->keep = options->keep;
    }
    return code;
}

/* ------------------------------------------------------------------------------------ leaving */

void dxi_share_leave(dx_ring_t *ring)
{
    dxi_share_t *share = ring->share;
    if (share == NULL) {
        return;
    }
    dxi_guard_remove(ring);
    if (share->published && dxi_table_lock_always(ring)) {
        dxi_recover_self(ring);
        dxi_share_give_back(share->fd, share->index);
        dxi_point("leave:given-back");
        if (!share->keep && dxi_share_count_taken(share->fd) == 0 &&
            dxi_share_has_name(share->fd, share->path)) {
            (void)unlink(share->path); /* H3 */
        }
        dxi_table_unlock(ring);
    } else if (share->fd >= 0) {
        retire(ring);
    }
    if (share->unfinished[0] != 0) {
        (void)unlink(share->unfinished);
    }
    close_file(share);
    dxi_guard_forget(share);
    dxi_free(share);
    ring->share = NULL;
}
