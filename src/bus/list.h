/* bus/list.h - doubly linked lists whose links lie in the objects: nothing is allocated to queue
 * something, and anything leaves its list in constant time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BUS_LIST_H
#define DXI_BUS_LIST_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "disruptorx/platform.h"

/* The head of a list, or an object's place in one. Zero: in no list. */
typedef struct dxi_list {
    struct dxi_list *next;
    struct dxi_list *previous;
} dxi_list_t;

/* The object that has `place` as its member. */
#define DXI_LIST_OBJECT(place, type, member)                                                       \
    ((type *)(uintptr_t)((uintptr_t)(place)-offsetof(type, member)))

DX_INLINE void dxi_list_init(dxi_list_t *head)
{
    head->next = head;
    head->previous = head;
}

DX_INLINE bool dxi_list_empty(const dxi_list_t *head)
{
    return head->next == head;
}

DX_INLINE bool dxi_list_queued(const dxi_list_t *place)
{
    return place->next != NULL;
}

/* Puts `place` behind `before`. */
DX_INLINE void dxi_list_insert(dxi_list_t *before, dxi_list_t *place)
{
    assert(!dxi_list_queued(place));
    place->next = before->next;
    place->previous = before;
    before->next->previous = place;
    before->next = place;
}

DX_INLINE void dxi_list_append(dxi_list_t *head, dxi_list_t *place)
{
    dxi_list_insert(head->previous, place);
}

/* Takes `place` out of its list; allowed when it is in none. */
DX_INLINE void dxi_list_remove(dxi_list_t *place)
{
    if (dxi_list_queued(place)) {
        place->next->previous = place->previous;
        place->previous->next = place->next;
        place->next = NULL;
        place->previous = NULL;
    }
}

#endif
