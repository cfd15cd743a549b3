/* net/loop_internal.h - what connections and listeners need of their loop.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_NET_LOOP_INTERNAL_H
#define DXI_NET_LOOP_INTERNAL_H

#include <uv.h>

#include "disruptorx/frame_batch.h"
#include "net/loop.h"

#define DXI_BATCH_BYTES_MAX 1048576 /* frames of one BATCH, before compression */
typedef struct dxi_watch dxi_watch_t;

/* A place in a list that goes in a circle; all zero or alone: in none. */
typedef struct dxi_link {
    struct dxi_link *next;
    struct dxi_link *previous;
} dxi_link_t;

DX_INLINE void dxi_link_init(dxi_link_t *link)
{
    link->next = link;
    link->previous = link;
}

DX_INLINE bool dxi_link_alone(const dxi_link_t *link)
{
    return link->next == link;
}

DX_INLINE void dxi_link_remove(dxi_link_t *link)
{
    link->next->previous = link->previous;
    link->previous->next = link->next;
    dxi_link_init(link);
}

/* Puts `link` at the end of the list; nothing happens when it is in one. */
DX_INLINE void dxi_link_append(dxi_link_t *list, dxi_link_t *link)
{
    if (dxi_link_alone(link)) {
        link->previous = list->previous;
        link->next = list;
        list->previous->next = link;
        list->previous = link;
    }
}

/* Something to do once, later in this turn or in the next. Its owner takes it back with
 * dxi_hook_cancel() before it goes. */
typedef struct dxi_hook {
    dxi_link_t link; /* first: a link of these lists is its hook */
    void (*run)(void *context);
    void *context;
} dxi_hook_t;

void dxi_hook_init(dxi_hook_t *hook, void (*run)(void *context), void *context);
void dxi_hook_cancel(dxi_hook_t *hook);

/* Runs each hook that is in the list now; those that are added meanwhile wait. Returns how many. */
int dxi_hooks_run(dxi_link_t *list);

/* Runs the hook at the end of this turn, before the loop sleeps. Threads: loop. */
void dxi_loop_flush_later(dxi_loop_t *loop, dxi_hook_t *hook);

/* Runs the hook at the start of the next turn, before which the loop does not sleep.
 * Threads: loop. */
void dxi_loop_run_next(dxi_loop_t *loop, dxi_hook_t *hook);

/* Who has handles in the loop and must be gone before it ends: `run` is called when the loop stops,
 * and the member leaves, dxi_hook_cancel(), when its handles are closed. Threads: loop. */
void dxi_loop_join(dxi_loop_t *loop, dxi_hook_t *member);

/* A socket or timer had something: the turn was not idle. Threads: loop. */
void dxi_loop_worked(dxi_loop_t *loop);

/* Where the loop looks in each turn (net/watch.h). Threads: loop. */
dxi_watch_t *dxi_loop_watch(dxi_loop_t *loop);

/* True when another thread acts for the loop: libuv must not be told anything now.
 * Threads: who acts for the loop. */
bool dxi_loop_is_lent(const dxi_loop_t *loop);

/* Memory and codecs for one BATCH of up to DXI_BATCH_BYTES_MAX. The loop keeps one that is not in
 * use; who gives one back forgets it. NULL: no memory. Threads: who acts for the loop. */
dx_frame_batch_t *dxi_loop_batch_take(dxi_loop_t *loop);
void dxi_loop_batch_give(dxi_loop_t *loop, dx_frame_batch_t *batch);

/* True when the loop's thread has ended, or is about to: nothing new may begin. Threads: loop, or
 * who runs its tasks after its end. */
bool dxi_loop_is_ending(const dxi_loop_t *loop);

#endif
