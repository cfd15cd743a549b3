/* tasks.c - pushing on the stack of tasks.h, and taking it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/tasks.h"

#include <stddef.h>

void dxi_tasks_push(dxi_tasks_t *tasks, dxi_task_t *task)
{
    int64_t top = dx_load_relaxed(&tasks->top);
    do {
        task->next = (dxi_task_t *)(uintptr_t)top;
        /* ACQ_REL: the release half pairs with dxi_tasks_run(); weaker, the loop could see the task
         * before its `next`. */
    } while (!dx_compare_exchange_acq_rel(&tasks->top, &top, (int64_t)(uintptr_t)task));
}

int dxi_tasks_run(dxi_tasks_t *tasks)
{
    if (dx_load_relaxed(&tasks->top) == 0) {
        return 0;
    }
    /* ACQ_REL, pairs with the exchange in dxi_tasks_push(): what was written before posting is
     * visible. Takes all: no other thread pops, so there is no ABA. */
    dxi_task_t *pushed = (dxi_task_t *)(uintptr_t)dx_fetch_and_acq_rel(&tasks->top, 0);
    dxi_task_t *ordered = NULL;
    int count = 0;
    while (pushed != NULL) {
        dxi_task_t *const below = pushed->next;
        pushed->next = ordered;
        ordered = pushed;
        pushed = below;
    }
    while (ordered != NULL) {
        dxi_task_t *const task = ordered;
        ordered = task->next; /* the task may be gone, or posted again, when it has run */
        task->run(task->context);
        count++;
    }
    return count;
}
