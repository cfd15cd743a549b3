/* watch.c - looking at shared memory, once per turn of a loop.
 *
 * DESIGN
 *
 *                     dxi_watch_add(): rang, or new
 *     TOLD TO RING  --------------------------------->  LOOKED AT
 *                   <---------------------------------
 *                     the loop slept and it was silent for DXI_WATCH_QUIET_NS; or a turn begins,
 *                     there are more than DXI_WATCHED_MAX and it was silent longest
 *
 * While the loop sleeps all are told to ring. Whoever becomes TOLD TO RING is looked at once more
 * behind a fence, here or in the loop's last look, so nothing that was written before the word was
 * seen is left lying (shm_ring.h, SLEEPING).
 *
 * INVARIANTS
 *
 *   B1  beyond DXI_WATCHED_MAX only those are looked at in a turn that came since the one before,
 *       or that had something to do when they were to leave
 *   B2  who is not looked at, and everybody while the loop sleeps, has been told to ring before the
 *       last look at it
 *   B3  look() is called by dxi_watch_run() only: who is in the middle of something, a write or a
 *       call of a shard, may add and remove, and nobody else's callbacks run inside that
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/watch.h"

#include <assert.h>

void dxi_watched_init(dxi_watched_t *watched, int (*look)(void *context),
                      void (*tell)(void *context, bool sleeps), void *context)
{
    *watched = (dxi_watched_t){.look = look, .tell = tell, .context = context};
    dxi_link_init(&watched->link);
}

void dxi_watch_remove(dxi_watch_t *watch, dxi_watched_t *watched)
{
    if (dxi_link_alone(&watched->link)) {
        return;
    }
    if (watch->next == watched) {
        watch->next = (dxi_watched_t *)watched->link.next;
    }
    dxi_link_remove(&watched->link);
    watch->count--;
}

/* The one that was silent longest. */
static dxi_watched_t *quietest(dxi_watch_t *watch)
{
    dxi_watched_t *found = NULL;
    for (dxi_link_t *link = watch->list.next; link != &watch->list; link = link->next) {
        dxi_watched_t *const one = (dxi_watched_t *)link;
        if (found == NULL || one->worked_ns < found->worked_ns) {
            found = one;
        }
    }
    return found;
}

/* Looks at it. Returns whether something was there. */
static bool look_at(dxi_watched_t *watched, int64_t now_ns)
{
    const bool worked = watched->look(watched->context) > 0;
    if (worked) {
        watched->worked_ns = now_ns;
    }
    return worked;
}

/* Has it ring from now on, unless there is something just now. Returns whether there was. */
static bool leave(dxi_watch_t *watch, dxi_watched_t *quiet, int64_t now_ns)
{
    quiet->tell(quiet->context, true);
    dx_fence_seq_cst(); /* pairs with the one of who writes there and then looks at the word */
    if (!look_at(quiet, now_ns)) { /* B2 */
        dxi_watch_remove(watch, quiet);
        return false;
    }
    if (!dxi_link_alone(&quiet->link)) { /* what it did may have been its end */
        quiet->tell(quiet->context, false);
    }
    return true;
}

void dxi_watch_add(dxi_watch_t *watch, dxi_watched_t *watched, int64_t now_ns)
{
    watched->worked_ns = now_ns;
    if (!dxi_link_alone(&watched->link)) {
        return;
    }
    dxi_link_append(&watch->list, &watched->link);
    watch->count++;
    watched->tell(watched->context, false);
}

int dxi_watch_run(dxi_watch_t *watch, int64_t now_ns)
{
    int worked = 0;
    const uint32_t most = DXI_WATCHED_MAX;
    for (uint32_t over = watch->count; over > most && watch->count > most; over--) { /* B1 */
        worked += leave(watch, quietest(watch), now_ns);
    }
    watch->next = (dxi_watched_t *)watch->list.next;
    while (&watch->next->link != &watch->list) {
        dxi_watched_t *const watched = watch->next; /* `link` is its first member */
        watch->next = (dxi_watched_t *)watched->link.next;
        worked += look_at(watched, now_ns); /* it may be gone from the list now */
    }
    return worked;
}

void dxi_watch_doze(dxi_watch_t *watch)
{
    for (dxi_link_t *link = watch->list.next; link != &watch->list; link = link->next) {
        dxi_watched_t *const watched = (dxi_watched_t *)link;
        watched->tell(watched->context, true);
    }
}

void dxi_watch_rouse(dxi_watch_t *watch, int64_t now_ns)
{
    for (dxi_link_t *link = watch->list.next; link != &watch->list;) {
        dxi_watched_t *const watched = (dxi_watched_t *)link;
        link = link->next;
        if (now_ns - watched->worked_ns < DXI_WATCH_QUIET_NS) {
            watched->tell(watched->context, false);
        } else {
            dxi_watch_remove(watch, watched); /* B2: it was told in dxi_watch_doze() */
        }
    }
}
