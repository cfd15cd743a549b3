/* ring/share.h - the file of a shared ring: making, attaching, locking, leaving.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_RING_SHARE_H
#define DXI_RING_SHARE_H

#include "ring/ring_internal.h"

/* What a handle of a shared ring has besides. */
struct dxi_share {
    int fd;        /* its lock on a byte of DXI_LOCK_PROCESSES says that we live */
    int32_t index; /* of our process entry; -1: an observer, or not entered yet */
    bool keep;
    char name[DX_RING_NAME_MAX + 1];
    char *folder;

    /* Of the guard (guard.c), under its lock. */
    dx_ring_t *ring;
    dx_ring_t *next;
    int64_t seen_beats[DX_RING_PROCESSES_MAX];
    int32_t silent[DX_RING_PROCESSES_MAX]; /* rounds without a beat */
};

/* Names the first option that breaks a rule: DX_EINVAL. */
int dxi_share_validate(const dx_share_options_t *options, dx_error_t *error);

/* Makes the file under a name of its own, maps it and enters the ring's first process. The caller
 * fills the block, then dxi_share_publish() gives it its name.
 * Returns DX_OK, or DX_EEXIST when somebody is attached to a ring of that name, or as
 * dx_ring_create(). */
int dxi_share_create(dx_ring_t *ring, const dx_share_options_t *options,
                     const dx_memory_options_t *memory, const dx_ring_block_t *layout,
                     dx_error_t *error);
int dxi_share_publish(dx_ring_t *ring, dx_error_t *error);

/* Attaches to what another has made meanwhile; DX_EINVAL when its geometry is not `layout`. */
int dxi_share_attach_like(const dx_share_options_t *options, const dx_ring_block_t *layout,
                          dx_ring_t **ring_out, dx_error_t *error);

/* Ends the attachment; the last one removes the file unless it is to be kept. */
void dxi_share_leave(dx_ring_t *ring);

/* The lock of DXI_LOCK_TABLE. Not between threads of one attachment: see dxi_table_lock(). */
int dxi_share_lock(dxi_share_t *share, int64_t timeout_ns, dx_error_t *error);
bool dxi_share_try_lock(const dxi_share_t *share);
void dxi_share_unlock(const dxi_share_t *share);

/* True when the owner of a process entry lives: its lock stands. */
bool dxi_share_lives(const dxi_share_t *share, int32_t index);

/* Our process entry; -1 for a private ring or an observer. */
int32_t dxi_share_index(const dx_ring_t *ring);

/* ---------------------------------------------------------------------------- guard (guard.c) */

/* Beats for the ring and looks at the others from now on, in a thread of the process. */
int dxi_guard_add(dx_ring_t *ring, dx_error_t *error);
void dxi_guard_remove(dx_ring_t *ring);

/* ------------------------------------------------------------------------ recovery (recover.c) */

/* Releases what the dead hold, and what the stalled hold as far as the ring says so. `stalled` is a
 * mask of process entries. Under the table lock. Returns how many were found dead. */
int dxi_recover(dx_ring_t *ring, uint64_t stalled);

/* Gives up every claimed sequence that no living producer's record covers: its claimer is gone.
 * Returns how many remain that one covers and that are not published. Under the table lock. */
int64_t dxi_recover_claims(dx_ring_block_t *block);

#endif
