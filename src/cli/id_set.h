/* cli/id_set.h - remembers the last DXI_ID_SET_WINDOW ids, to find duplicates in bounded memory.
 *
 * Threads: one set belongs to one thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_ID_SET_H
#define DXI_CLI_ID_SET_H

#include <stdbool.h>
#include <stdint.h>

/* An id is found again as long as fewer than this many others were added after it. */
#define DXI_ID_SET_WINDOW 65536

#define DXI_ID_SET_SLOTS (2 * DXI_ID_SET_WINDOW) /* never more than half full */

/* All zero is an empty set. Private. */
typedef struct dxi_id_set {
    int64_t added;                     /* since ever */
    int64_t recent[DXI_ID_SET_WINDOW]; /* id number n at n mod DXI_ID_SET_WINDOW */
    int64_t slots[DXI_ID_SET_SLOTS];   /* open addressing; 0: empty */
} dxi_id_set_t;

/* Adds an id of 1 or more, and forgets the oldest when the window is full. Returns false, and
 * changes nothing, when the id is remembered already. */
bool dxi_id_set_add(dxi_id_set_t *set, int64_t id);

/* Walks the whole set: true when its invariants hold. For tests. */
bool dxi_id_set_check(const dxi_id_set_t *set);

#endif
