/* net/tasks.h - what other threads ask a loop to run.
 *
 * A stack that everybody pushes on, and that the loop takes as a whole and turns round: the order
 * of each thread is kept, and nothing is allocated.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_NET_TASKS_H
#define DXI_NET_TASKS_H

#include "disruptorx/atomic.h"
#include "net/loop.h"

typedef struct dxi_tasks {
    dx_atomic64_t top; /* the dxi_task_t pushed last, as a number; 0: none */
} dxi_tasks_t;

/* Threads: any. */
void dxi_tasks_push(dxi_tasks_t *tasks, dxi_task_t *task);

/* Runs all that is there. Returns how many. Threads: who acts for the loop. */
int dxi_tasks_run(dxi_tasks_t *tasks);

#endif
