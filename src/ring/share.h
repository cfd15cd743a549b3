/* ring/share.h - the file of a shared ring: making, attaching, locking, leaving; who lives; and the
 * recovery of what the dead held.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_RING_SHARE_H
#define DXI_RING_SHARE_H

#include <sys/stat.h>

#include "ring/ring_internal.h"

#define DXI_SHARE_PATH_BYTES 4096

/* What a handle of a shared ring has besides. */
struct dxi_share {
    int fd;        /* its lock on a byte behind DXI_LOCK_PROCESSES says that we live */
    int32_t index; /* of our process entry; -1: an observer, or not entered yet */
    bool keep;
    bool published;                  /* we are in the table of a file that had its name */
    char path[DXI_SHARE_PATH_BYTES]; /* of the file */
    char unfinished[DXI_SHARE_PATH_BYTES];

    /* Of the guard (guard.c), under its locks. */
    struct dxi_share *known; /* the next whose file a child must close */
    dx_ring_t *next;
    int64_t looked_ns;
    int64_t seen_beats[DX_RING_PROCESSES_MAX];
    int64_t silent_ns[DX_RING_PROCESSES_MAX]; /* of our own time, without a beat */
};

/* ---------------------------------------------------------------------------- share.c */

/* Names the first option that breaks a rule: DX_EINVAL. */
int dxi_share_validate(const dx_share_options_t *options, dx_error_t *error);

/* Makes the file under a name of its own and maps it. The caller fills the block, then
 * dxi_share_publish() enters it as the ring's first process and gives the file its name.
 * Returns DX_OK, or DX_EEXIST when somebody is attached to a ring of that name, or as
 * dx_ring_create(). */
int dxi_share_create(dx_ring_t *ring, const dx_share_options_t *options,
                     const dx_memory_options_t *memory, const dx_ring_block_t *layout,
                     dx_error_t *error);
int dxi_share_publish(dx_ring_t *ring, dx_error_t *error);

/* Attaches to a ring in which somebody lives; DX_ENOTFOUND when there is none, DX_EINVAL when its
 * geometry is not `layout`. */
int dxi_share_attach_like(const dx_share_options_t *options, const dx_ring_block_t *layout,
                          dx_ring_t **ring_out, dx_error_t *error);

/* Ends the attachment; the last one removes the file unless it is to be kept. */
void dxi_share_leave(dx_ring_t *ring);

/* Our process entry; -1 for a private ring or an observer. */
int32_t dxi_share_index(const dx_ring_t *ring);

/* ----------------------------------------------------------------------- share_file.c */

/* The path of a ring's file: DX_EINVAL for a bad name, or a folder that is too long. */
int dxi_share_path(const char *name, const char *folder, char *path_out, dx_error_t *error);

/* Opens a file that may be a ring: never a link, a device, or (unless any_owner) another user's.
 * Returns its descriptor, or DX_ENOTFOUND, DX_EPERM, DX_ECORRUPT. */
int dxi_share_open(const char *path, bool observe, bool any_owner, dx_error_t *error);

/* True when the file that is open is the one under that path (H4). */
bool dxi_share_has_name(int fd, const char *path);

/* Reads the geometry from the file and checks it against every rule and the file's size. */
int dxi_share_read_layout(int fd, const char *path, dx_ring_block_t *layout_out, dx_error_t *error);

/* Checks the words of a mapped block that the library goes by: masks, indexes, sequences. */
int dxi_share_check_words(const dx_ring_block_t *block, const char *path, dx_error_t *error);

/* ----------------------------------------------------------------------- share_list.c */

/* Removes what makers of the ring `name`, whose file would be `path`, left when they died. Returns
 * how many. */
int dxi_share_remove_unfinished(const char *path, const char *name);

/* ----------------------------------------------------------------------- share_lock.c */

/* The lock of DXI_LOCK_TABLE. Not between threads of one attachment: see dxi_table_lock(). */
int dxi_share_lock(int fd, const char *path, int64_t timeout_ns, dx_error_t *error);
bool dxi_share_try_lock(int fd);
void dxi_share_unlock(int fd);

/* Takes process entry `index` for as long as `fd` is open and we live: false when it is taken. */
bool dxi_share_take(int fd, int32_t index);
void dxi_share_give_back(int fd, int32_t index);

/* True when somebody else lives who has taken process entry `index`. */
bool dxi_share_is_taken(int fd, int32_t index);

/* How many entries are taken by others. */
int32_t dxi_share_count_taken(int fd);

/* ------------------------------------------------------------------------- identity.c */

/* Who we are, into our process entry. */
void dxi_identity_enter(dx_process_entry_t *entry);

/* True when the process does not run: stopped by a signal or a debugger, as far as can be seen; one
 * of another pid namespace can't be seen and is believed to be. */
bool dxi_identity_is_stopped(const dx_process_entry_t *entry);

/* Kills it, if it can be seen and is still the same. Returns DX_OK, DX_ENOTFOUND, DX_EPERM. */
int dxi_identity_kill(const dx_process_entry_t *entry);

/* ---------------------------------------------------------------------------- guard.c */

/* Beats for the ring and looks at the others from now on, in a thread of the process. */
int dxi_guard_add(dx_ring_t *ring, dx_error_t *error);
void dxi_guard_remove(dx_ring_t *ring);

/* Makes the child of a fork() close the file of `share`, from now on, whatever it is by then. */
void dxi_guard_know(dxi_share_t *share);
void dxi_guard_forget(dxi_share_t *share);

/* No fork() between these: what is opened is in its share when a child comes. */
void dxi_guard_fork_hold(void);
void dxi_guard_fork_release(void);

/* -------------------------------------------------------------------------- recover.c */

/* Releases what the dead hold, and what the stalled hold as far as the ring says so. `stalled` is a
 * mask of process entries. Under the table lock. Returns how many were found dead. */
int dxi_recover(dx_ring_t *ring, uint64_t stalled);

/* Kills who holds the table lock if it is one of `stalled`: nobody could recover anything. */
void dxi_recover_table(dx_ring_block_t *block, uint64_t stalled);

/* Releases what process entry `index` still holds, as if it had died: for who leaves. Under the
 * table lock. */
void dxi_recover_self(dx_ring_t *ring);

/* Gives up the sequences from first to last that are claimed, not published, and in no open
 * producer's record but those of `dead` (a mask of process entries): whoever claimed them is gone.
 * Returns how many are still in the record of one that lives. Under the table lock. */
int64_t dxi_recover_claims(dx_ring_block_t *block, uint64_t dead, int64_t first, int64_t last);

/* Takes the consumer at `index` out of the graph, as if its process had died: producers go on
 * without it, and it is told DX_EEVICTED when it looks. Returns DX_OK, DX_ENOTFOUND when it is not
 * there, or was taken out already, DX_EBUSY. */
int dxi_ring_evict(dx_ring_t *ring, int32_t index);

/* Gives up what CLOSED producers hold. False when some of it can't be told yet from what others
 * hold. Under the table lock. */
bool dxi_recover_closed(dx_ring_block_t *block);

/* The same, if the tables are free, for consumers that find nothing to read. True when it gave up
 * something: whoever slept on it is woken, and the caller looks again. */
bool dxi_recover_closed_try(dx_ring_t *ring);

#endif
