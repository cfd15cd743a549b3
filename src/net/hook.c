/* hook.c - things to do once, in a list that each may leave at any time (L4 of loop.c).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/loop_internal.h"

void dxi_hook_init(dxi_hook_t *hook, void (*run)(void *context), void *context)
{
    dxi_link_init(&hook->link);
    hook->run = run;
    hook->context = context;
}

void dxi_hook_cancel(dxi_hook_t *hook)
{
    dxi_link_remove(&hook->link);
}

int dxi_hooks_run(dxi_link_t *list)
{
    dxi_link_t taken;
    int count = 0;
    if (DX_LIKELY(dxi_link_alone(list))) {
        return 0;
    }
    taken = *list; /* the whole circle moves to `taken`, so that a hook can still be cancelled */
    taken.next->previous = &taken;
    taken.previous->next = &taken;
    dxi_link_init(list);
    while (!dxi_link_alone(&taken)) {
        dxi_hook_t *const hook = (dxi_hook_t *)taken.next;
        dxi_link_remove(&hook->link);
        hook->run(hook->context);
        count++;
    }
    return count;
}
