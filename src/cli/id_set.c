/* id_set.c - a hash set with a window.
 *
 * DESIGN
 *
 * Open addressing with linear probing in a table that is at most half full, so a probe is short.
 * The ids also stand in a ring in the order they came; when the window is full the oldest is taken
 * out of the table. Taking out closes the gap by moving later entries of the run forward (Knuth,
 * volume 3, 6.4, algorithm R), so there are no tombstones and the table never ages.
 *
 * INVARIANTS
 *
 *   I1  the table holds exactly the ids of the window, each once
 *   I2  between the home of an entry and its place no slot is empty
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/id_set.h"

#include <assert.h>
#include <stddef.h>

#define MASK ((size_t)DXI_ID_SET_SLOTS - 1)
#define TABLE_BITS 17

static_assert(DXI_ID_SET_SLOTS == 1 << TABLE_BITS, "the hash gives an index of the table");

/* Fibonacci hashing: the high bits of the product depend on every bit of the id. */
static size_t home_of(int64_t id)
{
    return (size_t)(((uint64_t)id * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - TABLE_BITS));
}

/* The slot of `id`, or the empty slot where it would go. */
static size_t slot_of(const dxi_id_set_t *set, int64_t id)
{
    size_t at = home_of(id);
    while (set->slots[at] != 0 && set->slots[at] != id) {
        at = (at + 1) & MASK;
    }
    return at;
}

static void take_out(dxi_id_set_t *set, int64_t id)
{
    size_t hole = slot_of(set, id);
    assert(set->slots[hole] == id); /* I1 */
    for (size_t at = (hole + 1) & MASK; set->slots[at] != 0; at = (at + 1) & MASK) {
        const size_t home = home_of(set->slots[at]);
        /* I2: it may move to the hole when the hole lies between its home and its place. */
        if (((at - home) & MASK) >= ((at - hole) & MASK)) {
            set->slots[hole] = set->slots[at];
            hole = at;
        }
    }
    set->slots[hole] = 0;
}

bool dxi_id_set_add(dxi_id_set_t *set, int64_t id)
{
    assert(id > 0);
    if (set->slots[slot_of(set, id)] == id) {
        return false;
    }
    int64_t *const recent = &set->recent[set->added % DXI_ID_SET_WINDOW];
    if (set->added >= DXI_ID_SET_WINDOW) {
        take_out(set, *recent);
    }
    set->slots[slot_of(set, id)] = id;
    *recent = id;
    set->added++;
    return true;
}

bool dxi_id_set_check(const dxi_id_set_t *set)
{
    const int64_t held = set->added < DXI_ID_SET_WINDOW ? set->added : DXI_ID_SET_WINDOW;
    int64_t used = 0;
    for (size_t at = 0; at <= MASK; at++) {
        if (set->slots[at] != 0) {
            used++;
            if (slot_of(set, set->slots[at]) != at) {
                return false; /* I2 */
            }
        }
    }
    for (int64_t i = 0; i < held; i++) {
        if (set->slots[slot_of(set, set->recent[i])] != set->recent[i]) {
            return false; /* I1 */
        }
    }
    return used == held;
}
