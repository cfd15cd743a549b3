/* net/watch.h - places in memory at which a loop looks once per turn, because others write there.
 *
 * A socket has the kernel that says when something has come. Memory that is shared with another
 * process has nobody, so a loop that is awake looks, and one that is about to sleep says so to
 * those who write, who then ring (through a socket, which ends the sleep).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_NET_WATCH_H
#define DXI_NET_WATCH_H

#include "net/loop_internal.h"

/* One such place. The struct is its owner's and lies still while it is watched. */
typedef struct dxi_watched {
    dxi_link_t link; /* alone: the loop does not look; others must ring */
    /* Does what is there. Returns how much that was. */
    int (*look)(void *context);
    /* Tells those who write whether they must ring from now on. It may be repeated. */
    void (*tell)(void *context, bool sleeps);
    void *context;
    int64_t worked_ns; /* when a look found something last */
} dxi_watched_t;

/* All of a loop. */
struct dxi_watch {
    dxi_link_t list;
    dxi_watched_t *next; /* the one that is looked at next: may leave meanwhile */
    uint32_t count;
};

/* Most that a loop looks at in each turn. Beyond it, who was silent longest has to ring from the
 * next turn on. */
#define DXI_WATCHED_MAX 64

/* Who was silent for so long when the loop slept has to ring: a sleep costs nothing for him. */
#define DXI_WATCH_QUIET_NS INT64_C(10000000)

void dxi_watched_init(dxi_watched_t *watched, int (*look)(void *context),
                      void (*tell)(void *context, bool sleeps), void *context);

/* From now on the loop looks: it was rung for, or is new. No callback but tell() of this one.
 * Threads: loop. */
void dxi_watch_add(dxi_watch_t *watch, dxi_watched_t *watched, int64_t now_ns);

/* The loop does not look any more, and nothing is told; it may be in no list. Threads: loop. */
void dxi_watch_remove(dxi_watch_t *watch, dxi_watched_t *watched);

/* For the loop: a turn's look, at everything. Returns how many had something. */
int dxi_watch_run(dxi_watch_t *watch, int64_t now_ns);

/* For the loop: it is about to sleep. Others are told to ring; a fence and dxi_watch_run() follow,
 * and then either dxi_watch_rouse() or the sleep and dxi_watch_rouse(). */
void dxi_watch_doze(dxi_watch_t *watch);
void dxi_watch_rouse(dxi_watch_t *watch, int64_t now_ns);

#endif
