/* base/nearest.h - "did you mean": the known name that a mistyped one is nearest to.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BASE_NEAREST_H
#define DXI_BASE_NEAREST_H

#include <stddef.h>

#define DXI_NEAREST_BYTES_MAX 63 /* longer words have no nearest name */

/* How many letters must be put in, left out, changed or swapped with their neighbour to turn one
 * word into the other; DXI_NEAREST_BYTES_MAX + 1 when one of them is longer than that.
 * Threads: any. */
size_t dxi_edit_distance(const char *a, const char *b);

/* A search over any list: set `word`, offer each name, read `best` (NULL: nothing is near). */
typedef struct dxi_nearest {
    const char *word;
    const char *best;
    size_t best_distance;
} dxi_nearest_t;

/* Takes `name` when it is nearer than what was offered before. A name is near when at most a third
 * of the word's letters (and at least one) is wrong, or when it begins with the word.
 * Threads: owner. */
void dxi_nearest_offer(dxi_nearest_t *nearest, const char *name);

#endif
