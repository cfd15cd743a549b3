/* cli/ring_file.h - shared rings by what a person types, and looking at one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_RING_FILE_H
#define DXI_CLI_RING_FILE_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "cli/options.h"
#include "disruptorx/ring.h"

/* A shared ring, or where one could be. */
typedef struct dxi_ring_place {
    char folder[PATH_MAX];
    char name[DX_RING_NAME_MAX + 1];
    char path[PATH_MAX];
} dxi_ring_place_t;

/* Reads what was typed: a name ("orders"), which is looked for in `folder` (NULL: DX_RING_FOLDER),
 * or a file ("/mnt/huge/orders.dxring").
 * Returns DX_OK, DX_EINVAL.
 * Threads: any. */
DX_NODISCARD int dxi_ring_place_parse(const char *typed, const char *folder,
                                      dxi_ring_place_t *place_out, dx_error_t *error);

/* Says why a ring could not be had, with the nearest name when there is none of that name. Returns
 * the exit code.
 * Threads: main. */
int dxi_ring_complain(const char *speaker, const dxi_ring_place_t *place, const dx_error_t *error);

/* A ring that is looked at from outside, and its file. */
typedef struct dxi_ring_view {
    dxi_ring_place_t place;
    bool any_owner;
    dx_ring_t *ring; /* attached as an observer */
    int fd;          /* for the locks of the file: who lives */
    dev_t device;
    ino_t inode;
} dxi_ring_view_t;

/* Attaches as an observer: nothing is written, nobody notices.
 * Returns DX_OK or as dx_ring_attach(). `view_out` is to be closed in the first case only.
 * Threads: any. */
DX_NODISCARD int dxi_ring_view_open(const dxi_ring_place_t *place, bool any_owner,
                                    dxi_ring_view_t *view_out, dx_error_t *error);
void dxi_ring_view_close(dxi_ring_view_t *view);

/* Follows the name: when another ring has taken it, that one is looked at from now on. False when
 * there is none any more: then the view stays at the ring whose file is gone.
 * Threads: owner. */
bool dxi_ring_view_follow(dxi_ring_view_t *view);

/* The name of a user, or the number when it has none.
 * Threads: main. */
const char *dxi_user_name(uint32_t user_id);

/* The option --folder, for a struct that has it at `member`. */
#define DXI_FOLDER_OPTION(type, member)                                                            \
    {                                                                                              \
        .name = "folder", .kind = DXI_OPTION_TEXT, .value_name = "FOLDER",                         \
        .offset = offsetof(type, member),                                                          \
        .help = "where the files of the rings are; default " DX_RING_FOLDER                        \
    }

/* The option --any-owner. */
#define DXI_ANY_OWNER_OPTION(type, member)                                                         \
    {                                                                                              \
        .name = "any-owner", .kind = DXI_OPTION_FLAG, .offset = offsetof(type, member),            \
        .help =                                                                                    \
            "look also at a ring of another user, who could end this program by cutting the file"  \
    }

#endif
