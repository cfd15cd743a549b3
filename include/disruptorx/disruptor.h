/* disruptorx/disruptor.h - a graph of handlers on one ring, each with its own thread.
 *
 *     dx_disruptor_create()
 *     dx_disruptor_handle_events_with(d, handlers, n, &first)     they see every event at once
 *     dx_group_then(first, handlers, n, &second)                  after all of `first`
 *     dx_group_and(a, b, &both)                                   to follow both
 *     dx_disruptor_start()
 *     dx_producer_open(&producer, dx_disruptor_ring(d), ...)      publish
 *     dx_disruptor_shutdown()                                   handle all that is published, stop
 *     dx_disruptor_destroy()
 *
 * The graph can be changed in every state, also while it runs: see dx_group_remove().
 *
 * Lifecycle (any other call returns DX_ESTATE):
 *
 *     CREATED -> start -> RUNNING -> shutdown | halt -> STOPPED -> start -> RUNNING ...
 *     destroy from any state; NULL is allowed; halts first when running
 *
 * Handlers return a code, and no event is ever skipped silently: what a handler refuses goes to its
 * error policy and is counted. A consumer that ends by a fatal error keeps its place, so nothing
 * behind it sees a gap, and producers that would wait for it get DX_ECONSUMER instead.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DISRUPTORX_DISRUPTOR_H
#define DISRUPTORX_DISRUPTOR_H

#include "disruptorx/consumer.h"
#include "disruptorx/producer.h"
#include "disruptorx/ring.h"
#include "disruptorx/thread.h"

DX_EXTERN_C_BEGIN

typedef struct dx_disruptor dx_disruptor_t; /* opaque */

/* What a handler says about the event (or batch) it was given. A negative DX_E* is an error: the
 * handler's error policy decides; DX_EFATAL is fatal whatever the policy. Numbers, so that both may
 * stand in one expression: `return good ? DX_HANDLER_CONTINUE : DX_EINVAL`. */
#define DX_HANDLER_CONTINUE 0 /* done, next */
#define DX_HANDLER_SKIP 1     /* done, and those behind this consumer do not see it (may_skip) */
#define DX_HANDLER_RETRY 2    /* not done: give me this event again, by the retry options */
#define DX_HANDLER_REWIND 3   /* not done: give me this batch again from its first event */
#define DX_HANDLER_STOP 4     /* done, and stop this consumer in order after it */
#define DX_HANDLER_RELEASE 5  /* done, and let those behind see it now, before the batch ends */

/* One event. `end_of_batch` is true exactly on the last event of a batch: the moment to flush. The
 * event may be written: it belongs to the handler until it returns. */
typedef int (*dx_event_handler_t)(void *context, void *event, int64_t sequence, bool end_of_batch);

/* Several events in one call, first to last, none of them hidden. */
typedef struct dx_batch {
    int64_t first;
    int64_t last;
    int64_t done; /* in: first - 1. Out, with any result but CONTINUE: the last event that is done;
                   * the result is about the one after it */
    bool end_of_batch;
    bool spans; /* the events are spans: see dx_batch_spans() */
    char *slots;
    int64_t mask;
    uint32_t slot_bytes;
} dx_batch_t;

typedef int (*dx_batch_handler_t)(void *context, dx_batch_t *batch);

/* The slot of an event of a batch.
 * Threads: the handler's. */
DX_INLINE void *dx_batch_event(const dx_batch_t *batch, int64_t sequence)
{
    return batch->slots + (size_t)(sequence & batch->mask) * batch->slot_bytes;
}

#define DX_BATCH_EVENT(batch, sequence, type)                                                      \
    ((type *)dxi_typed_slot((batch)->slots, (sequence) & (batch)->mask, sizeof(type),              \
                            (batch)->slot_bytes))

/* What to do with an event whose handler returned a negative code. */
typedef enum dx_error_policy {
    DX_ON_ERROR_DEFAULT = 0, /* the disruptor's policy; FATAL where that is not set either */
    DX_ON_ERROR_FATAL = 1,   /* the consumer ends FAILED before the event; producers are told */
    DX_ON_ERROR_SKIP = 2,    /* count it, go on with the next */
    DX_ON_ERROR_RETRY = 3,   /* as DX_HANDLER_RETRY, and FATAL when the attempts are used up */
    DX_ON_ERROR_STOP = 4,    /* the consumer stops in order before the event */
    DX_ON_ERROR_ASK = 5      /* on_error() decides */
} dx_error_policy_t;

/* Decides about one failed event (NULL when the failure was not about an event): returns any policy
 * but ASK; DEFAULT is FATAL. */
typedef dx_error_policy_t (*dx_error_handler_t)(void *context, int code, void *event,
                                                int64_t sequence);

typedef enum dx_retry_pause {
    DX_RETRY_AT_ONCE = 0,
    DX_RETRY_FIXED = 1,      /* pause_ns between attempts */
    DX_RETRY_EXPONENTIAL = 2 /* pause_ns, doubled each time up to pause_max_ns */
} dx_retry_pause_t;

#define DX_RETRY_ATTEMPTS_MAX 1000000

/* How RETRY and REWIND repeat. A halt ends the pauses at once. */
typedef struct dx_retry_options {
    int32_t attempts_max; /* repetitions of one event (batch); 0 = 10; -1 = without end */
    dx_retry_pause_t pause;
    int64_t pause_ns;          /* 0 = 1 ms */
    int64_t pause_max_ns;      /* 0 = 1 s */
    dx_error_policy_t give_up; /* FATAL (also 0), SKIP or STOP, when the attempts are used up */
    uint32_t reserved_0;       /* must be zero */
} dx_retry_options_t;

#define DX_HANDLER_BATCH_MAX (INT64_C(1) << 26)

/* One handler. Exactly one of on_event and on_batch is set; all else may be zero. The struct is
 * copied; `context` must live as long as the disruptor. Callbacks run in the handler's thread. */
typedef struct dx_handler {
    const char *name; /* of the consumer and its thread; NULL = "handler-<index>" */
    void *context;    /* first argument of every callback */
    dx_event_handler_t on_event;
    dx_batch_handler_t on_batch;

    void (*on_start)(void *context);    /* once, before the first event */
    void (*on_shutdown)(void *context); /* once, after the last */
    /* Before each batch: how many events it has, and how many are readable in all. An error goes to
     * the error policy with a NULL event; no event is lost by it. */
    int (*on_batch_start)(void *context, int64_t batch_events, int64_t depth_events);
    /* The wait strategy's timeout passed; `sequence` is the last event handled. */
    int (*on_timeout)(void *context, int64_t sequence);

    dx_error_policy_t on_error_policy;
    dx_error_handler_t on_error;
    dx_retry_options_t retry;

    int64_t batch_max; /* events per batch; 0 = all there are, at most a quarter of a large ring */
    bool may_skip;     /* the handler may return DX_HANDLER_SKIP */
    dx_start_t start;  /* where it begins; not for workers */
    int64_t start_sequence;
    dx_on_death_t on_death; /* shared rings, not for workers: as in dx_consumer_options_t */
    bool resume;
    dx_wait_options_t wait;
    dx_thread_options_t thread; /* CPUs, scheduling; its name is set from `name` when NULL */
    uint64_t reserved[4];       /* must be zero */
} dx_handler_t;

/* A pool of competing consumers: each event goes to exactly one worker. */
typedef struct dx_pool {
    const char *name;            /* NULL = "pool-<index>"; dx_disruptor_after() knows it */
    const dx_handler_t *workers; /* on_event handlers, one thread each */
    uint32_t worker_count;       /* 1 to the free consumer entries - 1 */
    int64_t claim_max;           /* events that a worker takes at a time; 0 = 16 */
    /* When set: events with the same key go to the same worker, in order. */
    uint64_t (*key)(void *context, const void *event);
    void *key_context;
    dx_start_t start; /* where the pool begins */
    int64_t start_sequence;
    uint64_t reserved[4]; /* must be zero */
} dx_pool_t;

/* A processor of the user's own: it gets a consumer of the graph and runs its own loop over it. */
typedef struct dx_custom_processor {
    const char *name;
    void *context;
    /* Runs in a thread of the disruptor until it has nothing more to do or dx_consumer_wait()
     * returns DX_EALERTED. Returns DX_OK, or a DX_E*: the consumer has then failed. */
    int (*run)(void *context, dx_consumer_t *consumer);
    bool may_skip;
    dx_start_t start; /* where it begins */
    int64_t start_sequence;
    dx_wait_options_t wait;
    dx_thread_options_t thread;
    uint64_t reserved[4]; /* must be zero */
} dx_custom_processor_t;

/* Some consumers of one disruptor. A value: copy it freely. */
typedef struct dx_group {
    dx_disruptor_t *disruptor;
    uint64_t members; /* bit i: consumer i */
} dx_group_t;

typedef struct dx_disruptor_options {
    dx_ring_options_t ring;
    /* Used by a handler whose own is zero: the wait options, or the policy with its function. */
    dx_wait_options_t wait;
    dx_error_policy_t on_error_policy;
    dx_error_handler_t on_error;
    void *on_error_context;
    uint64_t reserved[4]; /* must be zero */
} dx_disruptor_options_t;

/* Makes a disruptor with its ring and stores it in `*disruptor_out` (NULL on failure).
 * Returns DX_OK, DX_EINVAL, DX_ENOMEM, DX_EPERM, DX_ENOTSUP.
 * Threads: any. */
DX_API DX_NODISCARD int dx_disruptor_create(const dx_disruptor_options_t *options,
                                            dx_disruptor_t **disruptor_out, dx_error_t *error);

/* Its ring: open producers and look at numbers through it.
 * Threads: any. */
DX_API dx_ring_t *dx_disruptor_ring(const dx_disruptor_t *disruptor);

/* Adds handlers that each see every event as soon as it is published. `group_out` may be NULL, here
 * and below. Nothing is added on failure. When RUNNING, their threads start at once, and every
 * on_start() has returned when this does; nobody else is stopped for it.
 * Returns DX_OK, DX_EINVAL, DX_ELIMIT, DX_ENOMEM; DX_EPERM when RUNNING and a thread is refused.
 * Threads: owner. */
DX_API DX_NODISCARD int dx_disruptor_handle_events_with(dx_disruptor_t *disruptor,
                                                        const dx_handler_t *handlers,
                                                        uint32_t count, dx_group_t *group_out,
                                                        dx_error_t *error);

/* Adds handlers that each see an event after every member of `group` is done with it. Who follows
 * one worker follows its whole pool.
 * Returns as dx_disruptor_handle_events_with(); DX_ENOTFOUND when the group is empty or has a
 * member that the disruptor does not have.
 * Threads: owner. */
DX_API DX_NODISCARD int dx_group_then(dx_group_t group, const dx_handler_t *handlers,
                                      uint32_t count, dx_group_t *group_out, dx_error_t *error);

/* Puts handlers in between: they follow `ahead` (the publication when it has no members), and
 * `behind` follows them instead of `ahead`. When RUNNING, the new handlers get their first event
 * after all of `behind` has changed over (a poller is not waited for): so they may write events
 * that those behind them read. Those behind them are given every event that is published after this
 * returns, and the older ones from where the handlers start on, when they have finished it.
 * Returns as dx_group_then(); DX_EINVAL when it would close a cycle, DX_EDEADLOCK from a handler of
 * `behind`.
 * Threads: owner. */
DX_API DX_NODISCARD int dx_group_insert(dx_group_t ahead, dx_group_t behind,
                                        const dx_handler_t *handlers, uint32_t count,
                                        dx_group_t *group_out, dx_error_t *error);

/* Adds a pool of workers: behind the publication, or behind `group`.
 * Returns as dx_group_then().
 * Threads: owner. */
DX_API DX_NODISCARD int dx_disruptor_handle_events_with_pool(dx_disruptor_t *disruptor,
                                                             const dx_pool_t *pool,
                                                             dx_group_t *group_out,
                                                             dx_error_t *error);
DX_API DX_NODISCARD int dx_group_then_pool(dx_group_t group, const dx_pool_t *pool,
                                           dx_group_t *group_out, dx_error_t *error);

/* Adds a processor of the user's own: behind the publication when group.members is 0.
 * Returns as dx_group_then().
 * Threads: owner. */
DX_API DX_NODISCARD int dx_group_then_custom(dx_group_t group, const dx_custom_processor_t *custom,
                                             dx_group_t *group_out, dx_error_t *error);

/* Adds a poller that a thread of the user's own drives with dx_consumer_wait() or
 * dx_consumer_drain(): behind the publication when group.members is 0. The handle belongs to the
 * disruptor, and shutdown waits for the poller like for every consumer.
 * Returns as dx_group_then().
 * Threads: owner. */
DX_API DX_NODISCARD int dx_group_then_poller(dx_group_t group, const dx_consumer_options_t *options,
                                             dx_consumer_t **consumer_out, dx_group_t *group_out,
                                             dx_error_t *error);

/* The members of both groups.
 * Returns DX_OK, DX_EINVAL when they are of different disruptors.
 * Threads: any. */
DX_API DX_NODISCARD int dx_group_and(dx_group_t a, dx_group_t b, dx_group_t *both_out,
                                     dx_error_t *error);

/* The group of the named consumers, to go on from: "after".
 * In a shared ring that may be consumers of other processes: what they do is waited for, and that
 * is all that the group is good for.
 * Returns DX_OK, DX_ENOTFOUND with the name that no consumer has.
 * Threads: owner. */
DX_API DX_NODISCARD int dx_disruptor_after(dx_disruptor_t *disruptor, const char *const *names,
                                           uint32_t count, dx_group_t *group_out,
                                           dx_error_t *error);

/* Makes every member of `behind` follow every member of `ahead`, too: any directed graph without
 * cycles can be said with it. Members that run change over at their next wait; those that are
 * further than what they now follow wait for it. dx_consumer_follow() can take edges away.
 * Returns DX_OK, DX_EINVAL with the path when it would close a cycle, DX_ENOTFOUND.
 * Threads: owner. */
DX_API DX_NODISCARD int dx_disruptor_connect(dx_disruptor_t *disruptor, dx_group_t ahead,
                                             dx_group_t behind, dx_error_t *error);

/* The member of a group that has this name, alone.
 * Returns DX_OK, DX_ENOTFOUND.
 * Threads: owner. */
DX_API DX_NODISCARD int dx_group_member(dx_group_t group, const char *name, dx_group_t *member_out,
                                        dx_error_t *error);

/* Adds a worker to the pool that the group is, or is a part of. When RUNNING its thread starts at
 * once; it takes events as soon as all those behind the pool know about it. `worker_out` (may be
 * NULL) is the worker alone.
 * Returns as dx_disruptor_handle_events_with(); DX_ENOTFOUND when the group is not of one pool,
 * DX_ENOTSUP for a pool by key: its workers share out the keys.
 * Threads: owner. */
DX_API DX_NODISCARD int dx_group_add_worker(dx_group_t group, const dx_handler_t *worker,
                                            dx_group_t *worker_out, dx_error_t *error);

/* Removes the members of a group from the graph, also while it runs: stops them after their current
 * batch, joins their threads and forgets them. Those behind them follow what they followed, and go
 * on where they stood. With its last worker a pool goes, too. What a single worker has claimed and
 * not handled (it was paused, or has failed) is taken over by the others of its pool, and this
 * waits until one of them has done so. Closes the poller of dx_group_then_poller(): nobody may use
 * it any more. Groups that have removed members must not be used any more: dx_disruptor_after()
 * makes new ones.
 * Returns DX_OK, DX_ENOTFOUND, DX_EDEADLOCK from a handler of theirs, DX_ECONSUMER when a worker
 * has events left and no other worker of its pool can take them, DX_ENOTSUP for a part of a pool by
 * key. Nothing is removed on failure.
 * Threads: owner. */
DX_API DX_NODISCARD int dx_group_remove(dx_group_t group, dx_error_t *error);

/* Replaces the error policy of the members of a group, also while they run.
 * Returns DX_OK, DX_EINVAL, DX_ENOTFOUND.
 * Threads: any. */
DX_API DX_NODISCARD int dx_group_set_error_policy(dx_group_t group, dx_error_policy_t policy,
                                                  dx_error_handler_t on_error, void *context,
                                                  dx_error_t *error);

/* Stops the members of a group after their current batch and joins their threads. The others go on;
 * the stopped ones hold their place and run again with dx_group_resume().
 * Returns DX_OK, DX_ENOTFOUND, DX_ESTATE when not RUNNING, DX_EDEADLOCK from a handler of theirs.
 * Threads: owner. */
DX_API DX_NODISCARD int dx_group_pause(dx_group_t group, dx_error_t *error);
DX_API DX_NODISCARD int dx_group_resume(dx_group_t group, dx_error_t *error);

/* Starts a thread per handler. Returns after every on_start() has returned. Events published before
 * are delivered.
 * Returns DX_OK, DX_ESTATE when RUNNING, DX_EINVAL for an empty graph, DX_ENOMEM, DX_EPERM; on
 * failure nothing runs.
 * Threads: owner. */
DX_API DX_NODISCARD int dx_disruptor_start(dx_disruptor_t *disruptor, dx_error_t *error);

#define DX_FOREVER (-1)

/* Closes the ring to producers, waits until every consumer has handled all that was published or
 * was claimed, then stops the consumers and joins their threads. `timeout_ns` DX_FOREVER = no
 * limit.
 * Returns DX_OK; DX_ETIMEDOUT with the backlog in the message: the ring stays closed, the consumers
 * go on, call again or dx_disruptor_halt(); DX_ECONSUMER when a consumer has failed: all are
 * stopped, and the message says which and why and how many events were left; DX_ESTATE when not
 * RUNNING; DX_EDEADLOCK from a handler's thread.
 * Threads: owner. */
DX_API DX_NODISCARD int dx_disruptor_shutdown(dx_disruptor_t *disruptor, int64_t timeout_ns,
                                              dx_error_t *error);

/* Closes the ring, stops every consumer after its current batch and joins their threads. What is
 * left in the ring is delivered after the next start. Halting what does not run is allowed.
 * Returns DX_OK, DX_EDEADLOCK from a handler's thread.
 * Threads: owner. */
DX_API int dx_disruptor_halt(dx_disruptor_t *disruptor);

/* Halts if needed and frees everything. `disruptor` may be NULL. Close the producers first.
 * Threads: owner. */
DX_API void dx_disruptor_destroy(dx_disruptor_t *disruptor);

/* Events published and not yet handled by every consumer.
 * Threads: any. */
DX_API int64_t dx_disruptor_backlog(const dx_disruptor_t *disruptor);

/* True from a successful start until halt, or the end of shutdown.
 * Threads: any. */
DX_API bool dx_disruptor_is_running(const dx_disruptor_t *disruptor);

/* The failed consumer with the lowest index: DX_OK when there is none, else its code and a message
 * with its name, the sequence it holds and the reason.
 * Threads: any. */
DX_API int dx_disruptor_failure(const dx_disruptor_t *disruptor, dx_error_t *error);

/* Several handlers as one: each event goes to all of them in order. The result is that of the first
 * that does not return CONTINUE; but RETRY, REWIND and errors count before the others, and end the
 * round: the handlers after that one do not see the event this time, and those before it see it
 * again. Start, batch start, timeout and shutdown go to all. */
typedef struct dx_aggregate {
    const dx_handler_t *handlers;
    uint32_t count;
} dx_aggregate_t;

/* Fills `*handler_out` so that it calls every handler of `aggregate`, which must live as long as it
 * is used. An empty list is allowed and does nothing.
 * Returns DX_OK, DX_EINVAL when a handler has no on_event.
 * Threads: any. */
DX_API DX_NODISCARD int dx_aggregate_handler(const dx_aggregate_t *aggregate,
                                             dx_handler_t *handler_out, dx_error_t *error);

DX_EXTERN_C_END
#endif
