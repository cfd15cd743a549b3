/* unacknowledged.c - the sequences of unacknowledged.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "client/unacknowledged.h"

#include <stdbool.h>
#include <string.h>

#include "base/alloc.h"

#define DONE (UINT64_C(1) << 63)
#define SEQUENCE (DONE - 1)

int dxi_unacknowledged_open(dxi_unacknowledged_t *open, uint32_t most)
{
    *open = (dxi_unacknowledged_t){.room = 2 * most};
    open->entries = dxi_alloc_zeroed(open->room, sizeof *open->entries);
    return open->entries != NULL ? DX_OK : DX_ENOMEM;
}

void dxi_unacknowledged_close(dxi_unacknowledged_t *open)
{
    dxi_free(open->entries);
    open->entries = NULL;
}

void dxi_unacknowledged_forget(dxi_unacknowledged_t *open)
{
    open->begin = open->end = 0;
    open->no_room = 0;
}

/* The place of the first entry that is not below `sequence`. */
static uint32_t place_of(const dxi_unacknowledged_t *open, uint64_t sequence)
{
    uint32_t low = open->begin;
    uint32_t high = open->end;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if ((open->entries[middle] & SEQUENCE) < sequence) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Those that are done leave. */
static void compact(dxi_unacknowledged_t *open)
{
    uint32_t kept = 0;
    for (uint32_t i = open->begin; i < open->end; i++) {
        if ((open->entries[i] & DONE) == 0) {
            open->entries[kept++] = open->entries[i];
        }
    }
    open->begin = 0;
    open->end = kept;
}

void dxi_unacknowledged_add(dxi_unacknowledged_t *open, uint64_t sequence)
{
    if (open->end == open->room) {
        compact(open);
    }
    const bool last =
        open->begin == open->end || (open->entries[open->end - 1] & SEQUENCE) < sequence;
    const uint32_t at = last ? open->end : place_of(open, sequence);
    if (!last && (open->entries[at] & SEQUENCE) == sequence) {
        return;
    }
    if (open->end == open->room) {
        if (open->no_room == 0 || sequence < open->no_room) {
            open->no_room = sequence; /* U1 */
        }
        return;
    }
    memmove(open->entries + at + 1, open->entries + at,
            (size_t)(open->end - at) * sizeof *open->entries);
    open->entries[at] = sequence;
    open->end++;
}

void dxi_unacknowledged_done(dxi_unacknowledged_t *open, uint64_t sequence)
{
    const uint32_t at = place_of(open, sequence);
    if (at == open->end || open->entries[at] != sequence) {
        return;
    }
    open->entries[at] |= DONE;
    while (open->begin < open->end && (open->entries[open->begin] & DONE) != 0) {
        open->begin++; /* U2 */
    }
    if (open->begin == open->end) {
        open->begin = open->end = 0;
    }
}

uint64_t dxi_unacknowledged_first(const dxi_unacknowledged_t *open)
{
    const uint64_t first = open->begin != open->end ? open->entries[open->begin] : UINT64_MAX;
    return open->no_room != 0 && open->no_room < first ? open->no_room : first;
}
