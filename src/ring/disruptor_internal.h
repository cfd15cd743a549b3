/* ring/disruptor_internal.h - what the files of the disruptor share: processors, pools, the graph.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_RING_DISRUPTOR_INTERNAL_H
#define DXI_RING_DISRUPTOR_INTERNAL_H

#include <pthread.h>

#include "disruptorx/disruptor.h"
#include "ring/ring_internal.h"

typedef enum dxi_role {
    DXI_ROLE_HANDLER = 0, /* a thread, a handler */
    DXI_ROLE_WORKER = 1,  /* a thread, a handler, events taken from a pool */
    DXI_ROLE_CUSTOM = 2,  /* a thread, the user's loop */
    DXI_ROLE_POLLER = 3,  /* the user's thread */
    DXI_ROLE_POOL = 4     /* no thread: the word that says what the workers have claimed */
} dxi_role_t;

/* How often one event, or one batch, has been repeated. */
typedef struct dxi_attempts {
    int64_t sequence; /* the event, or the first of the batch; INT64_MIN: none */
    int32_t count;
} dxi_attempts_t;

DX_INLINE void dxi_attempts_forget(dxi_attempts_t *attempts)
{
    *attempts = (dxi_attempts_t){.sequence = INT64_MIN};
}

/* One consumer of a disruptor. */
typedef struct dxi_processor {
    dx_consumer_t consumer;
    dxi_role_t role;
    dx_disruptor_t *disruptor;
    dx_handler_t handler;         /* HANDLER, WORKER */
    dx_custom_processor_t custom; /* CUSTOM */
    dx_thread_options_t thread_options;
    char thread_name[DX_THREAD_NAME_MAX + 1];
    dx_thread_t *thread; /* NULL while it does not run */

    /* Workers. Keyed: a consumer of its own that looks only at its part of the keys. */
    struct dxi_processor *pool;
    int64_t claim_max;
    bool admitted;         /* all who are bound to the pool are bound to it: it may claim */
    dx_atomic32_t leaving; /* POOL: 1 + index of a worker that leaves with events, 0: none */
    int64_t
        pending_first; /* claimed, not yet handled: kept when it stops, pending_last + 1 if none */
    int64_t pending_last;
    uint64_t (*key)(void *context, const void *event);
    void *key_context;
    uint32_t part;
    uint32_t part_count;
    char pool_name[DX_RING_NAME_MAX + 1]; /* "" when it is in no pool */

    /* The error policy may change while it runs. */
    pthread_mutex_t policy_lock;
    dx_error_policy_t policy;
    dx_error_handler_t on_error;
    void *on_error_context;

    int64_t batch_spans; /* rings with spans: how many a batch has at most, and at how many slots */
    int64_t batch_slots; /* no further one is begun */
    dxi_attempts_t event_attempts; /* RETRY */
    dxi_attempts_t batch_attempts; /* REWIND */
    int64_t counted;               /* events up to this stand in the counters */
    int32_t failure;               /* why it ends FAILED */
} dxi_processor_t;

typedef enum dxi_disruptor_state {
    DXI_DISRUPTOR_CREATED = 0,
    DXI_DISRUPTOR_RUNNING = 1,
    DXI_DISRUPTOR_STOPPED = 2
} dxi_disruptor_state_t;

struct dx_disruptor {
    dx_ring_t *ring;
    dx_disruptor_options_t options;
    dxi_processor_t *processors[DX_RING_CONSUMERS_MAX]; /* by index of the consumer entry */
    uint64_t members;                                   /* mask of processors[] in use */
    pthread_mutex_t members_lock; /* the owner writes the two above, others look at them */
    dx_atomic32_t state;          /* dxi_disruptor_state_t */

    /* The gate of start: threads wait until all of them exist, start waits until all began. */
    pthread_mutex_t gate_lock;
    pthread_cond_t gate_changed;
    int32_t gate_open;  /* 0 = wait, 1 = go, -1 = go home */
    int32_t gate_begun; /* threads whose on_start() has returned */
};

/* The body of a processor's thread. */
void dxi_processor_main(void *context);

/* How a run of the loop ended. */
typedef enum dxi_end {
    DXI_END_NONE = 0, /* it did not */
    DXI_END_HALT = 1,
    DXI_END_STOP = 2, /* by the handler's wish */
    DXI_END_FAIL = 3,
    DXI_END_REWIND = 4 /* not an end: the batch is to be given again */
} dxi_end_t;

/* Gives the events first..last to the handler. `*done_out` is the last sequence that is done with,
 * but not yet released. */
dxi_end_t dxi_deliver(dxi_processor_t *processor, int64_t first, int64_t last, int64_t *done_out);

/* Reports a failure that is not about an event (a batch start, a timeout): may go on or not. */
dxi_end_t dxi_report_error(dxi_processor_t *processor, int code, int64_t sequence);

/* Counts a timeout and tells the handler. */
dxi_end_t dxi_deliver_timeout(dxi_processor_t *processor);

/* The loop of a worker. */
dxi_end_t dxi_worker_loop(dxi_processor_t *processor);

/* Called when a worker has ended by itself: with the last of them the pool has ended, too. */
void dxi_pool_check(dxi_processor_t *pool);

/* True when all who read the worker's pool read the worker, too. */
bool dxi_pool_admits(const dxi_processor_t *worker);

/* Gives what `from`, which does not run, has claimed and not handled to `to`, which has nothing
 * claimed: in the thread of `to`, or while it has none. */
void dxi_worker_hand_over(dxi_processor_t *from, dxi_processor_t *to);

/* True when it has claimed events that it has not handled. */
DX_INLINE bool dxi_worker_holds(const dxi_processor_t *worker)
{
    return worker->pending_first <= worker->pending_last;
}

/* Binds the members that have no thread to what they are to follow. */
void dxi_members_rebind(dx_disruptor_t *disruptor);

/* Waits until those of `members` that run read all of `upstream`. */
void dxi_members_wait_bound(const dx_disruptor_t *disruptor, uint64_t members, uint64_t upstream);

/* Takes members out of the graph and frees them. Their threads have ended. */
void dxi_members_close(dx_disruptor_t *disruptor, uint64_t members);

/* DX_ENOTFOUND when a group is empty or has a member that its disruptor lacks. */
int dxi_group_check(dx_group_t group, dx_error_t *error);

int dxi_policy_validate(dx_error_policy_t policy, dx_error_handler_t on_error, dx_error_t *error);

/* Starts the threads of `members`, all or none. */
int dxi_threads_start(dx_disruptor_t *disruptor, uint64_t members, dx_error_t *error);

/* Halts and joins the threads of `members`. */
void dxi_threads_stop(dx_disruptor_t *disruptor, uint64_t members);

/* DX_EDEADLOCK when the calling thread is one of `members`. */
int dxi_threads_check_caller(const dx_disruptor_t *disruptor, uint64_t members, dx_error_t *error);

#endif
