/* bus/shard.h - one shard: the state machine that gives events their order and hands them on.
 *
 * Pure: it reads no clock, no random number, no socket and no file, starts no thread and takes no
 * lock. It is called by the one thread that owns the shard, is told the time, and says what is to
 * be done through `dxi_shard_actions_t`. So a whole bus runs in a simulator under virtual time, and
 * the same code will be driven by a replicated log.
 *
 * An event's way through it:
 *
 *     dxi_shard_event()
 *        admit     frame rules, topic name, size, duplicates (producer id, sequence)
 *        sequence  the next of its topic; timestamp; stamped into the frame in place
 *        retain    a copy for those who start behind or lag
 *        match     the subscribers of its topic: trie, cached per topic
 *        deliver   each subscriber that is LIVE gets it; one without room becomes LAGGING
 *        answer    the publisher, if it wants one
 *
 *     subscriber:  LAGGING --(nothing left to catch up with)--> LIVE
 *                     ^                                           |
 *                     +-----(no room, no credit; or it starts behind)
 *
 * A LAGGING subscriber has a cursor for each topic it lags in, and is fed from what the topics
 * retain when it has room again (dxi_shard_ready()); what is no longer retained it gets as a gap.
 * There is no other queue, so there is one mechanism for late starts, slow consumers and credit.
 *
 * A group, and a subscriber with acknowledgements, has a table of pending events (copies, bounded):
 * waiting, given to a member, or due for redelivery. Keys are spread over members by 256 buckets
 * that stick to their member; a bucket moves to another member only when nothing of it is pending.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BUS_SHARD_H
#define DXI_BUS_SHARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bus/rates.h"
#include "disruptorx/atomic.h"
#include "disruptorx/bus.h"
#include "wire/topic_name.h"

typedef struct dxi_shard dxi_shard_t;
typedef struct dxi_subscriber dxi_subscriber_t; /* of one shard */

/* What a publisher is told. */
typedef struct dxi_answer {
    int code;
    bool duplicate;
    bool wanted; /* its frame had ACK_WANTED, so this is the one answer to it */
    uint64_t producer_id;
    uint64_t producer_sequence;
    uint64_t correlation; /* of the frame; 0: none */
    uint32_t events;      /* of a refusal: how many the frame has; 0 counts as 1 */
    uint16_t shard;
    uint32_t term;
    uint64_t sequence;
    uint64_t timestamp_ns;
    const char *sentence; /* with a code: why; else NULL */
} dxi_answer_t;

/* One event for one subscriber. */
typedef struct dxi_delivery {
    const dx_frame_header_t *frame; /* sealed and stamped: an EVENT; in the ring, in what a topic
                                     * retains, or pending: valid until the call returns */
    uint32_t bytes;                 /* of the whole frame */
    uint32_t attempt;               /* from 1; 0: not acknowledged */
    bool redelivered;
    uint64_t held; /* the first sequence that still waits although a later one was given, of a
                    * subscriber that acknowledges and is alone; 0: none does */
    bool more;     /* another delivery to the same subscriber follows at once, as far as is known */
} dxi_delivery_t;

#define DXI_DELIVER_DONE 1
#define DXI_DELIVER_SPLIT 2
#define DXI_DELIVER_DROPPED 3

/* A direct topic's order is not the shard's: it is that of a ring that others use besides. The
 * shard puts into that ring what it is told of (dxi_shard_event()), and is told what comes out of
 * it (dxi_shard_direct()) while somebody listens here. */
typedef struct dxi_direct_actions {
    /* A topic is declared: makes its ring. Returns DX_OK and what the others get as `direct`. */
    int (*open)(void *context, const char *name, size_t bytes, const dx_topic_options_t *options,
                void **direct_out, dx_error_t *error);
    void (*close)(void *context, void *direct);
    /* Puts a publication into the ring. Returns DX_OK, DX_EAGAIN without room, DX_ELIMIT when the
     * frame is longer than a slot, DX_ECORRUPT, DX_EIO when the ring is gone. */
    int (*put)(void *context, void *direct, void *frame, uint32_t bytes, uint64_t *sequence_out,
               uint64_t *timestamp_ns_out);
    /* Somebody listens here: dxi_shard_direct() is called for all behind `*last_out`. */
    int (*join)(void *context, void *direct, uint64_t *last_out);
    void (*leave)(void *context, void *direct);
    bool (*heard)(void *context, void *direct); /* by others */
    void (*look)(void *context, void *direct, dx_topic_stats_t *stats);
} dxi_direct_actions_t;

/* No action may call the shard. */
typedef struct dxi_shard_actions {
    void *context;
    /* Answers the publisher of an event; `origin` as it was given with it. */
    void (*answer)(void *context, uint64_t origin, const dxi_answer_t *answer);
    /* Hands an event to a subscriber, `user` as in dxi_subscribe(). Returns DX_OK; DX_EAGAIN when
     * it has no room or no credit: dxi_shard_ready() follows when it has; DX_ECLOSED when it is
     * gone: dxi_shard_unsubscribe() follows. Who has handled an acknowledged event already when it
     * returns (DX_DISPATCH_SHARD) says so: DXI_DELIVER_DONE is DX_OK and an acknowledgement; any
     * other negative code is a negative answer with that code. A frame with several events
     * (wire/pack.h) is taken as a whole, or not: DXI_DELIVER_SPLIT asks for its events one by one;
     * who reads no packs, and who has no room for the whole. Who can never take an event, and has
     * been told so as of a gap, says DXI_DELIVER_DROPPED; not for one that is acknowledged. */
    int (*deliver)(void *context, void *user, const dxi_delivery_t *delivery);
    /* Tells it of events that it will not get. May return as deliver(). */
    int (*gap)(void *context, void *user, const dx_gap_t *gap);
    /* The shard ends a subscriber (its policy): unsubscribe follows. */
    void (*end)(void *context, void *user, int code, const char *sentence);
    /* Publishes a dead letter: a whole sealed PUBLISH frame. DX_EAGAIN: it is tried again later. */
    int (*publish)(void *context, const void *frame, uint32_t bytes);
    const dxi_direct_actions_t *direct; /* NULL: there are no direct topics */
} dxi_shard_actions_t;

typedef struct dxi_shard_options {
    uint16_t shard;
    uint32_t term;
    dx_bus_options_t bus; /* defaults filled in */
    dxi_shard_actions_t actions;
    /* Bytes retained by all shards of the process, shared; NULL: its own count. */
    dx_atomic64_t *retained_bytes;
    /* Topics in all shards of the process, shared, for topics_max; NULL: its own count. */
    dx_atomic64_t *topics;
} dxi_shard_options_t;

/* Threads: any, here and below the owner of the shard.
 * Returns DX_OK, DX_ENOMEM. */
DX_NODISCARD int dxi_shard_create(const dxi_shard_options_t *options, dxi_shard_t **shard_out,
                                  dx_error_t *error);
void dxi_shard_destroy(dxi_shard_t *shard);

/* The next event of the shard's order: a PUBLISH, REQUEST or REPLY frame, whose checksums hold, in
 * memory that may be written; or the next events, a pack. `published_ns` is dx_clock_ns() when it
 * was put into the ring, or 0; for latency. `clock_ns` and `unix_ns` are now.
 * Returns DX_OK: it is done with (delivered, or refused and answered). DX_EAGAIN: a subscriber with
 * DX_SLOW_BLOCK has no room: call again with the same event, after dxi_shard_ready() or later; who
 * has had it does not get it again. */
int dxi_shard_event(dxi_shard_t *shard, void *frame, uint32_t bytes, uint64_t origin,
                    int64_t published_ns, int64_t clock_ns, int64_t unix_ns);

/* An event of a direct topic that came out of its ring: an EVENT frame with its sequence. Those
 * left out since the last one are a gap. Returns DX_OK; DX_EAGAIN: a subscriber with DX_SLOW_BLOCK
 * has no room: call again with the same event, later. */
int dxi_shard_direct(dxi_shard_t *shard, const char *name, size_t name_bytes, void *frame,
                     uint32_t bytes, int64_t clock_ns);
/* As much of a direct topic has passed without being told here, while nobody listened. */
void dxi_shard_direct_passed(dxi_shard_t *shard, const char *name, size_t name_bytes, uint64_t last,
                             int64_t clock_ns);

/* A subscriber: one subscription's part of this shard. */
typedef struct dxi_subscribe {
    void *user;                               /* given back in the actions */
    const dx_subscription_options_t *options; /* texts are copied; handlers are not looked at, but
                                               * `predicate` is called */
    bool remote;
    uint64_t group_member_id; /* orders the members of a group: the same in every shard */
    uint64_t known_ns;        /* it goes on behind an event of this time: a topic of that name that
                               * was made since is given from 1 on; 0: the sequence says all */
} dxi_subscribe_t;

/* Delivers nothing itself: who starts behind is fed from the next dxi_shard_tick() or
 * dxi_shard_ready() on.
 * Returns DX_OK, DX_EINVAL (pattern, options, not those of its group), DX_EPARSE (filter),
 * DX_ELIMIT, DX_ENOMEM. */
DX_NODISCARD int dxi_shard_subscribe(dxi_shard_t *shard, const dxi_subscribe_t *subscribe,
                                     int64_t clock_ns, dxi_subscriber_t **subscriber_out,
                                     dx_error_t *error);
void dxi_shard_unsubscribe(dxi_shard_t *shard, dxi_subscriber_t *subscriber, int64_t clock_ns);

/* The subscriber has room, or credit, again: it is fed with what it lags behind. */
void dxi_shard_ready(dxi_shard_t *shard, dxi_subscriber_t *subscriber, int64_t clock_ns);

/* Answers of a subscriber: `code` DX_OK for events first..last of the topic, or why not.
 * Returns DX_OK, DX_ENOTFOUND when none of them is pending at this subscriber. */
int dxi_shard_acknowledge(dxi_shard_t *shard, dxi_subscriber_t *subscriber, const char *topic,
                          size_t topic_bytes, uint64_t first, uint64_t last, int code,
                          int64_t clock_ns);

/* What is due: redeliveries, feeding that goes on, retention by age, dead letters, rates. (That a
 * block is over is found when its event is brought again.)
 * Returns when it must be called next (dx_clock_ns()), INT64_MAX when nothing is due. */
int64_t dxi_shard_tick(dxi_shard_t *shard, int64_t clock_ns, int64_t unix_ns);

/* The earlier of two times; 0 is none. */
DX_INLINE int64_t dxi_older(int64_t one, int64_t other)
{
    return one == 0 || (other != 0 && other < one) ? other : one;
}

/* Topics: as the functions of disruptorx/bus.h, for this shard. */
DX_NODISCARD int dxi_shard_topic_create(dxi_shard_t *shard, const char *name,
                                        const dx_topic_options_t *options, dx_error_t *error);
DX_NODISCARD int dxi_shard_topic_change(dxi_shard_t *shard, const char *name,
                                        const dx_topic_options_t *options, dx_error_t *error);
DX_NODISCARD int dxi_shard_topic_delete(dxi_shard_t *shard, const char *name);
/* What topics keep from now on: those that are not declared, and those that come. `defaults` as in
 * dx_bus_options_t, its retain_ fields filled in; `bytes_max` for all topics together. */
void dxi_shard_retain_defaults(dxi_shard_t *shard, const dx_topic_options_t *defaults,
                               uint64_t bytes_max);
DX_NODISCARD int dxi_shard_topic_stats(const dxi_shard_t *shard, const char *name,
                                       dx_topic_stats_t *stats_out);
/* Calls `visit` for each topic whose name matches (NULL: all), in no order. Returns how many. */
int dxi_shard_topic_each(const dxi_shard_t *shard, const char *pattern, dx_topic_visitor_t visit,
                         void *context);
void dxi_shard_subscriber_stats(const dxi_subscriber_t *subscriber,
                                dx_subscription_stats_t *stats_out);

/* What all topics of a shard have counted since it was made, those that are gone included. */
typedef struct dxi_shard_sums {
    uint64_t published, published_bytes, refused, duplicates, delivered, redelivered, dropped, dead,
        filtered, unheard;
} dxi_shard_sums_t;

/* How many events took how long, by class (rates.h); of intervals that are over, so some seconds
 * late. `taken`: until the shard had taken them; `handed`: the same of topics that were subscribed
 * to in that interval: until they were handed to all subscriptions that kept up. */
typedef struct dxi_durations {
    uint64_t taken[DXI_LATENCY_CLASSES], handed[DXI_LATENCY_CLASSES];
} dxi_durations_t;

/* Numbers of a shard, or of several. */
typedef struct dxi_shard_totals {
    dxi_shard_sums_t sums;
    dxi_durations_t durations;
    uint64_t recent[DXI_LATENCY_CLASSES]; /* events of the last one to two intervals */
    int64_t recent_max_ns;
    uint64_t topics; /* without inboxes */
    uint64_t links;
    uint64_t retained_events, retained_bytes;
    uint64_t slow;      /* how often a subscription that kept up had no room */
    uint64_t dead_lost; /* dead letters that could not be published */
    double rate_1m;
} dxi_shard_totals_t;

/* A walk over the topics of a shard, in steps, between which the shard goes on. Each topic that is
 * there from the beginning to the end is met once; the sums are right whatever is made and deleted
 * meanwhile. The struct is the caller's, and lies still from begin() to end(). */
typedef struct dxi_shard_walk {
    struct {
        void *next, *previous;
    } in_shard; /* private, as all of it */
    void *topic;
    uint64_t made;          /* topics before this one were met */
    dxi_shard_sums_t again; /* of those that were met and are gone since */
} dxi_shard_walk_t;

void dxi_shard_walk_begin(dxi_shard_t *shard, dxi_shard_walk_t *walk);
/* Goes over at most `most` topics: adds them to `totals`, and calls `visit` (may be NULL) for those
 * that match `pattern` (NULL: all). Returns false when that was the end; then the rest is added to
 * `totals` and the walk is over. */
bool dxi_shard_walk_step(dxi_shard_t *shard, dxi_shard_walk_t *walk, uint32_t most,
                         dxi_shard_totals_t *totals, const char *pattern, dx_topic_visitor_t visit,
                         void *context);
/* Gives a walk up before its end. */
void dxi_shard_walk_end(dxi_shard_walk_t *walk);

/* Whether nothing waits for a subscriber or an answer: true when a drain is complete. */
bool dxi_shard_idle(const dxi_shard_t *shard);

/* Walks everything and asserts the invariants. For tests and the simulator. */
void dxi_shard_check(const dxi_shard_t *shard);

/* -------------------------------------------------------------------------------------- filters */

/* Whether a text is a filter, as a subscription takes it; bus/filter.h describes them.
 * Returns DX_OK, DX_EPARSE with the place, DX_ELIMIT, DX_ENOMEM. Threads: any. */
DX_NODISCARD int dxi_filter_check(const char *text, size_t bytes, dx_error_t *error);

#endif
