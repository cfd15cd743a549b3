/* bus/runtime.h - what the files of the bus's runtime share: lanes, loops, attachments.
 *
 *     dx_bus --- loop io.0 --- lane 0: ring -> shard      a lane is a shard (bus/shard.h) with the
 *            |             \-- lane 2: ring -> shard      ring in front of it; one loop owns it
 *            \-- loop io.1 --- lane 1, lane 3
 *
 *     attachment: one subscription, in this process or of a session; it has a *part* in each lane
 *     that it listens to. A part is what the shard knows as `user`.
 *
 * THREADS. A lane belongs to its loop. Whatever else wants something of a shard either puts an
 * event into the lane's ring, or runs in the loop by dxi_loop_call() or dxi_loop_post(). Commands
 * (attach, detach, topics) hold `command_mutex`, wait for loops, and so run in threads that are no
 * loop: the caller's, or the bus's own "bus.commands" thread for sessions. A loop never takes that
 * mutex.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BUS_RUNTIME_H
#define DXI_BUS_RUNTIME_H

#include <pthread.h>

#include "bus/session.h"
#include "bus/shard.h"
#include "disruptorx/clock.h"
#include "disruptorx/span.h"
#include "net/loop.h"

typedef struct dxi_lane dxi_lane_t;
typedef struct dxi_bus_loop dxi_bus_loop_t;
typedef struct dxi_attachment dxi_attachment_t;
typedef struct dxi_part dxi_part_t;
typedef struct dxi_session dxi_session_t;
typedef struct dxi_pair dxi_pair_t;

/* -------------------------------------------------------------------------------------- origins */

/* Who published: a kind, and where it is found again. The count tells it from an earlier one in the
 * same place, so an answer that comes late goes nowhere. */
enum dxi_origin_kind { DXI_ORIGIN_NONE = 0, DXI_ORIGIN_PUBLISHER = 1, DXI_ORIGIN_SESSION = 2 };

/* kind 2 bits, loop 6, place 24, count 32. Threads: any. */
DX_INLINE uint64_t dxi_origin_make(int kind, uint32_t loop, uint32_t place, uint32_t count)
{
    return ((uint64_t)kind << 62) | ((uint64_t)loop << 56) | ((uint64_t)place << 32) | count;
}
DX_INLINE int dxi_origin_kind(uint64_t origin)
{
    return (int)(origin >> 62);
}
DX_INLINE uint32_t dxi_origin_loop(uint64_t origin)
{
    return (uint32_t)(origin >> 56) & 0x3f;
}
DX_INLINE uint32_t dxi_origin_place(uint64_t origin)
{
    return (uint32_t)(origin >> 32) & 0xffffff;
}

/* ---------------------------------------------------------------------------------------- lanes */

/* Beside the first slot of each event: written before it is published, read by the lane. */
typedef struct dxi_lane_note {
    uint64_t origin;
    uint64_t ticks; /* dx_tsc_ticks() of the claim; 0: not measured */
} dxi_lane_note_t;

/* One reading of the clocks, for several events. */
typedef struct dxi_times {
    uint64_t ticks;
    int64_t clock_ns;
    int64_t unix_ns;
} dxi_times_t;

struct dxi_lane {
    dx_bus_t *bus;
    dxi_bus_loop_t *owner;
    dx_ring_t *ring;
    dxi_lane_note_t *notes; /* as many as the ring has slots */
    int64_t notes_mask;
    dx_memory_t notes_memory;
    dx_memory_t aside_memory; /* room for an event that came the short way and has to wait */
    uint32_t frame_bytes_max; /* of a frame in the ring */
    uint16_t index;

    /* The owner's from here on. */
    DX_ISOLATED dx_consumer_t consumer;
    dxi_shard_t *shard;
    const void *frame;    /* the event that goes through the shard now; NULL: none */
    bool viewed;          /* `view` is of it */
    bool blocked;         /* the shard said DX_EAGAIN: the same event again */
    bool touched;         /* the shard was called since the last tick */
    uint32_t aside_bytes; /* of the event in aside_memory; 0: none */
    dxi_lane_note_t aside_note;
    dxi_times_t times; /* of the short way, good for `times_left` events */
    int times_left;
    int64_t ticked_ns;   /* when it was ticked last */
    int64_t tick_due_ns; /* when it must be again */
    uint64_t consumed;   /* events, out of the ring */
    uint64_t batches[DXI_LANE_BATCHES];
    int64_t blocked_ns;         /* waited for subscriptions, until `blocked_since_ns` */
    int64_t blocked_since_ns;   /* 0: it does not wait */
    uint8_t queue_span[8];      /* the newest of a traced event */
    dx_frame_view_t view;       /* of `frame`: made once, whoever gets it */
    struct dxi_direct *directs; /* the rings of its direct topics: src/bus/direct.c */
};

/* The loop's part of the bus. */
struct dxi_bus_loop {
    dx_bus_t *bus;
    dxi_loop_t *loop;
    dxi_bell_t *bell;
    uint32_t index;
    uint32_t lane_count;
    dxi_lane_t **lanes;
    dx_producer_t *producers; /* one per lane of the bus, opened when first used */
    dxi_duty_t duty;
    bool has_duty;

    /* Sessions: src/bus/session.c. */
    struct dxi_session_table *sessions;
};

/* Runs what is there in the loop's lanes, rings and sessions. Returns how much it did.
 * Threads: loop. */
int dxi_bus_loop_run(void *bus_loop, int64_t now_ns);

/* Whoever has called a shard ends with this: sends what sessions have put together.
 * Threads: loop. */
void dxi_bus_loop_settle(dxi_bus_loop_t *loop);

/* The producer of a loop in a lane's ring; NULL when it can't be opened.
 * Threads: loop. */
dx_producer_t *dxi_bus_loop_producer(dxi_bus_loop_t *loop, dxi_lane_t *lane);

/* The short way: gives a checked frame, in memory that may be written, to the shard at once.
 * Returns DX_OK, or DX_EAGAIN when it has to go through the ring.
 * Threads: the owner's loop. */
DX_NODISCARD int dxi_lane_take(dxi_lane_t *lane, void *frame, uint32_t bytes, uint64_t origin,
                               uint64_t ticks);

/* Takes a frame (whole, sealed) into a lane's ring. Does not ring the bell.
 * Returns DX_OK, DX_EAGAIN, DX_ELIMIT (longer than the ring takes), DX_ECLOSED.
 * Threads: loop. */
DX_NODISCARD int dxi_lane_put(dxi_lane_t *lane, dx_producer_t *producer, const void *frame,
                              uint32_t bytes, uint64_t origin, uint64_t ticks);

/* The view of a frame that deliver() got; parsed once for the event in hand.
 * Threads: loop. NULL when it can't be read, which would be a defect. */
const dx_frame_view_t *dxi_lane_view(dxi_lane_t *lane, const void *frame, uint32_t bytes,
                                     dx_frame_view_t *space);

DX_NODISCARD int dxi_lane_create(dx_bus_t *bus, uint16_t index, dxi_bus_loop_t *owner,
                                 dxi_lane_t **lane_out, dx_error_t *error);
void dxi_lane_destroy(dxi_lane_t *lane);

/* Slots claimed and not yet released. Threads: any. */
int64_t dxi_lane_depth(const dxi_lane_t *lane);

/* ---------------------------------------------------------------------------------- attachments */

/* Answers of one part on their way to its shard: a buffer of records, swapped for the loop. */
typedef struct dxi_acks {
    pthread_mutex_t mutex;
    char *fill; /* under the mutex */
    size_t used, room;
    size_t last; /* offset of the newest record; used == 0: none */
    char *take;  /* the loop's */
    size_t take_room;
    dx_atomic32_t posted;
    dxi_task_t task;
} dxi_acks_t;

struct dxi_part {
    dxi_attachment_t *attachment;
    dxi_lane_t *lane;
    dxi_subscriber_t *subscriber; /* the lane's; NULL: not attached */
    dx_atomic32_t starved; /* deliver() had no room: dxi_shard_ready() is owed. Set by the lane,
                            * cleared by who posts `ready` */
    dx_atomic32_t ready_posted;
    dxi_task_t ready;
    dxi_part_t *waiting_next; /* of those that wait for a ring to another loop; the lane's */
    bool waiting;
    dxi_acks_t acks;
};

struct dxi_attachment {
    dx_bus_t *bus;
    int (*deliver)(dxi_part_t *part, const dxi_delivery_t *delivery);
    int (*gap)(dxi_part_t *part, const dx_gap_t *gap);
    void (*end)(dxi_part_t *part, int code, const char *sentence);
    dx_subscription_options_t options; /* texts are in `texts` */
    char *texts;
    uint64_t member_id;
    uint64_t known_ns; /* dxi_subscribe_t */
    bool remote;
    bool packs;           /* deliver() takes frames with several events (wire/pack.h) */
    bool literal;         /* without wildcards: only in the lane of its topic, unless keyed */
    bool listed;          /* in bus->attachments */
    dx_atomic64_t *parts; /* by lane, a dxi_part_t *; NULL: none there */
    dx_atomic32_t hungry; /* a part is starved, of those that nobody has fed since */
    dxi_attachment_t *next, *previous;
};

/* Its part in a lane; NULL: none. Threads: any. */
DX_INLINE dxi_part_t *dxi_attachment_part(const dxi_attachment_t *attachment, uint32_t lane)
{
    return (dxi_part_t *)(uintptr_t)dx_load_acquire(&attachment->parts[lane]);
}

/* Copies the options (defaults are the shard's business) and makes the parts.
 * dxi_attachment_close() also after a failure. Threads: any. */
DX_NODISCARD int dxi_attachment_init(dxi_attachment_t *attachment, dx_bus_t *bus,
                                     const dx_subscription_options_t *options, bool remote,
                                     dx_error_t *error);
void dxi_attachment_close(dxi_attachment_t *attachment);

/* Subscribes in all its lanes; undone on failure. Detaching waits until no call of the attachment
 * runs or is on its way. Threads: no loop; the caller holds the command mutex. */
DX_NODISCARD int dxi_attachment_attach(dxi_attachment_t *attachment, dx_error_t *error);
void dxi_attachment_detach(dxi_attachment_t *attachment);
/* A topic was declared as keyed: who listens to it by name listens in all lanes from now on. */
DX_NODISCARD int dxi_attachments_spread(dx_bus_t *bus, const char *topic, dx_error_t *error);
/* Sums over all parts. Threads: no loop; holds the command mutex. */
void dxi_attachment_stats(dxi_attachment_t *attachment, dx_subscription_stats_t *stats_out);

/* deliver() or gap() found no room. The caller looks once more afterwards: room that came in
 * between was seen by nobody. Threads: the part's lane. */
void dxi_part_starve(dxi_part_t *part);
/* Takes it out of the list of those that wait for a ring. Threads: the part's lane. */
void dxi_part_unwait(dxi_part_t *part);
/* There is room again: dxi_shard_ready() for each starved part. Threads: any. */
void dxi_attachment_feed(dxi_attachment_t *attachment);

/* An answer for an event. `limit`: DX_EAGAIN when too many wait. `post`: tell the loop now.
 * Threads: any. */
DX_NODISCARD int dxi_part_ack(dxi_part_t *part, const char *topic, uint32_t topic_bytes,
                              uint64_t first, uint64_t last, int code, bool limit);
void dxi_part_ack_post(dxi_part_t *part);

/* An event from a frame. Threads: any. */
void dxi_event_fill(dx_event_t *event, const dx_frame_view_t *view, const dxi_delivery_t *delivery);

/* --------------------------------------------------------------------------------------- topics */

/* Declared topics that publishers must know about: keyed ones, and those that fail when full. */
typedef struct dxi_declared {
    uint32_t hash;
    uint32_t bytes;
    bool keyed, fail;
    char name[DX_TOPIC_BYTES_MAX + 1];
} dxi_declared_t;

void dxi_topics_destroy(dx_bus_t *bus);
/* Adds what one shard knows of a topic, and the depth of its ring. Percentiles are those of the
 * slowest shard. Threads: any. */
void dxi_topic_stats_add(dx_topic_stats_t *sum, const dx_topic_stats_t *one, uint64_t depth);

/* Whether a topic is keyed and fails when full. Threads: any. */
void dxi_topic_declared(dx_bus_t *bus, const char *topic, size_t bytes, uint32_t hash,
                        bool *keyed_out, bool *fail_out);
/* The lane of a message. Threads: any. */
dxi_lane_t *dxi_bus_lane_of(dx_bus_t *bus, const char *topic, size_t topic_bytes, const void *key,
                            size_t key_bytes);

/* ----------------------------------------------------------------------------------- publishers */

/* Where the answer to a waiting call comes in. One per place of a publisher, as long as the bus. */
typedef struct dxi_mailbox {
    DX_ISOLATED pthread_mutex_t mutex;
    pthread_cond_t changed;
    dx_atomic32_t answered;
    /* Under the mutex. */
    uint32_t count; /* of the publishers that had this place */
    bool taken;
    bool waiting;
    uint64_t producer_sequence; /* what is waited for: this, */
    uint64_t correlation;       /* or the reply to this */
    dx_receipt_t receipt;
    char sentence[DX_ERROR_MESSAGE_BYTES];
    void *reply;
    size_t reply_room, reply_bytes;
} dxi_mailbox_t;

DX_NODISCARD int dxi_mailbox_init(dxi_mailbox_t *mailbox);
void dxi_mailbox_close(dxi_mailbox_t *mailbox);
/* The bus ends: waiting calls return DX_ECLOSED. Threads: owner of the bus. */
void dxi_publishers_wake(dx_bus_t *bus);
/* Frees those that were left open. Threads: owner of the bus. */
void dxi_publishers_destroy(dx_bus_t *bus);
void dxi_publisher_answer(dx_bus_t *bus, uint64_t origin, const dxi_answer_t *answer);
/* A reply for a publisher's dx_request(). Threads: any. */
void dxi_publisher_replied(dxi_mailbox_t *mailbox, const dx_event_t *event);

/* ------------------------------------------------------------------------------------- commands */

/* Something that waits for loops, on behalf of a session. */
typedef struct dxi_command dxi_command_t;
struct dxi_command {
    void (*run)(dxi_command_t *command); /* in the commands' thread; may free it */
    dxi_command_t *next;
};
/* Never fails: the struct is the caller's. Threads: any. */
void dxi_command_post(dx_bus_t *bus, dxi_command_t *command);
DX_NODISCARD int dxi_commands_start(dx_bus_t *bus, dx_error_t *error);
/* Runs what is left and ends the thread. Threads: owner of the bus. */
void dxi_commands_stop(dx_bus_t *bus);

/* ------------------------------------------------------------------------------------- sessions */

DX_NODISCARD int dxi_sessions_create(dxi_bus_loop_t *loop, dx_error_t *error);
void dxi_sessions_destroy(dxi_bus_loop_t *loop);
/* Part of the loop's turn: rings from other loops, sessions that wait. */
int dxi_sessions_run(dxi_bus_loop_t *loop, int64_t now_ns);
void dxi_sessions_settle(dxi_bus_loop_t *loop);
void dxi_pairs_destroy(dx_bus_t *bus);
/* An answer to a session, in the thread of `from`. */
void dxi_session_answer(dxi_bus_loop_t *from, uint64_t origin, const dxi_answer_t *answer);

/* ------------------------------------------------------------------------------------------ bus */

enum dxi_bus_state {
    DXI_BUS_CREATED = 1,
    DXI_BUS_RUNNING = 2,
    DXI_BUS_STOPPING = 3,
    DXI_BUS_STOPPED = 4
};

#define DXI_BUS_SERVES_MAX 64 /* listeners' policies */

/* A listener's context: which bus, and what it decides. */
typedef struct dxi_serve {
    dx_bus_t *bus; /* NULL: no room was left for it */
    const dxi_session_policy_t *policy;
} dxi_serve_t;

struct dx_bus {
    dx_bus_options_t options;
    dx_atomic32_t state; /* a dxi_bus_state */
    uint32_t loop_count;
    dxi_bus_loop_t *loops;
    dxi_loop_t **net_loops;
    dxi_lane_t **lanes; /* options.shards */
    const dx_tsc_t *tsc;
    uint64_t made_unix_ns; /* since when its sequences count */
    dx_atomic64_t retained_bytes;
    dx_atomic64_t aside_bytes; /* of events of sessions that wait for room */
    dx_atomic64_t topic_count;

    pthread_mutex_t command_mutex;
    dxi_attachment_t *attachments;    /* under it */
    uint64_t members;                 /* under it: given so far */
    uint32_t attachment_count;        /* under it */
    dx_subscription_t *subscriptions; /* of this process, under it */

    /* Declared topics, sorted by nothing: few. */
    pthread_rwlock_t declared_lock;
    dx_atomic64_t declared_count;
    dx_atomic64_t declared_version; /* grows with each change */
    dxi_declared_t **declared;      /* a table by hash */
    uint32_t declared_room;

    dxi_mailbox_t *mailboxes; /* DX_BUS_PUBLISHERS_MAX */
    pthread_mutex_t shared_mutex;
    pthread_mutex_t shared_use; /* of dx_bus_publish() */
    dx_publisher_t *shared;     /* of dx_bus_publish() */
    dx_publisher_t *publishers; /* all that are open, under it */

    /* Commands. */
    pthread_mutex_t queue_mutex;
    pthread_cond_t queue_changed;
    dxi_command_t *queue_first, **queue_last;
    bool queue_ends, queue_over;
    dx_thread_t *command_thread;

    dxi_serve_t serves[DXI_BUS_SERVES_MAX + 1];
    uint32_t serve_count;
    dx_atomic64_t *pairs; /* loop_count squared: dxi_pair_t *, made when first used */
};

DX_INLINE bool dxi_bus_runs(const dx_bus_t *bus)
{
    /* RELAXED: a publisher that sees the old state puts its event in before the rings close, or is
     * told that they are closed. */
    return dx_load32_relaxed(&bus->state) == DXI_BUS_RUNNING;
}

/* The state as an error. Threads: any. */
int dxi_bus_not_running(const dx_bus_t *bus, dx_error_t *error);

#endif
