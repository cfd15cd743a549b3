/* bus/subscription_internal.h - what subscription.c and delivery.c share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BUS_SUBSCRIPTION_INTERNAL_H
#define DXI_BUS_SUBSCRIPTION_INTERNAL_H

#include "bus/queue.h"
#include "bus/subscription.h"

#define DXI_HANDLER_EVENTS 256 /* of a batch */
static_assert(DXI_HANDLER_EVENTS <= DX_BATCH_EVENTS_MAX, "as the header says");

/* What a thread does when its queue is empty. */
enum dxi_end { DXI_END_NOT = 0, DXI_END_EMPTY = 1, DXI_END_NOW = 2 };

/* How far it has gone to its end. */
enum dxi_closing { DXI_LOCAL_OPEN = 0, DXI_LOCAL_CLOSING = 1, DXI_LOCAL_DETACHED = 2 };

/* What on_batch() gets, and where it came from. */
typedef struct dxi_batch {
    int count;
    int traced; /* of those */
    dx_event_t events[DXI_HANDLER_EVENTS];
    dx_frame_view_t views[DXI_HANDLER_EVENTS];
    dxi_part_t *parts[DXI_HANDLER_EVENTS];
} dxi_batch_t;

struct dx_subscription {
    dxi_command_t command; /* first: of an end by the shard */
    dxi_attachment_t base;
    dx_subscription_t *next, *previous; /* of the bus, under the command mutex */
    bool swept;                         /* by dxi_subscriptions_end() */
    bool quiet;                         /* it never was: no on_end() */

    /* DX_DISPATCH_THREAD. */
    dx_ring_t *queue;
    dx_consumer_t consumer;
    dx_producer_t *producers; /* one per loop */
    dxi_batch_t *batch;
    dx_thread_t *thread;
    uint32_t queue_events;
    DX_ISOLATED dx_atomic64_t pushed;  /* records that went into the queue; the loops' */
    DX_ISOLATED dx_atomic64_t handled; /* and out of it; the thread's */

    DX_ISOLATED dx_atomic32_t closing; /* a dxi_closing; deliver() refuses but while it is OPEN */
    dx_atomic32_t ending;              /* a dxi_end */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    /* Under the mutex. */
    bool reasoned;
    bool finished;  /* the thread has nothing left to do */
    bool commanded; /* a command is on its way */
    bool ended;     /* on_end() */
    int end_code;
    char end_sentence[DX_ERROR_MESSAGE_BYTES];
};

/* The subscription of a part. */
DX_INLINE dx_subscription_t *dxi_local_of(const dxi_part_t *part)
{
    return (dx_subscription_t *)(void *)((char *)part->attachment -
                                         offsetof(dx_subscription_t, base));
}

/* delivery.c */
void dxi_local_actions(dx_subscription_t *subscription);
void dxi_local_thread(void *context);
/* Whether this thread may be in its handler. Threads: any. */
bool dxi_local_handles_here(const dx_subscription_t *subscription);

/* subscription.c. Ends it; afterwards only freeing is left. Returns DX_OK, DX_ETIMEDOUT when events
 * were left. Threads: any but a loop or its handler's. */
int dxi_local_finish(dx_subscription_t *subscription, int code, const char *sentence,
                     int64_t deadline_ns);
void dxi_local_say_end(dx_subscription_t *subscription);
/* The shard's end(). Threads: loop. */
void dxi_local_end(dxi_part_t *part, int code, const char *sentence);

#endif
