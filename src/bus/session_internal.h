/* bus/session_internal.h - what the files of sessions share.
 *
 *     session.c             the life of a session, its table, figures
 *     session_frames.c      what a client's frames mean
 *     session_aside.c       events that wait for room while frames behind them are read
 *     session_subscribe.c   its subscriptions: asking for them, credit, the end
 *     session_commands.c    topics and questions
 *     session_access.c      who it is, what it may, how fast
 *     session_out.c         everything that goes to the client
 *     pair.c                from one loop to another
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BUS_SESSION_INTERNAL_H
#define DXI_BUS_SESSION_INTERNAL_H

#include "bus/queue.h"
#include "bus/runtime.h"
#include "trace/sampler.h"

typedef struct dxi_remote dxi_remote_t;
typedef struct dxi_session_access dxi_session_access_t;

#define DXI_SESSION_BUCKETS 256                  /* of subscriptions, by number */
#define DXI_SESSION_ACKS 64                      /* answers put together before they are sent */
#define DXI_SESSION_COMMANDS_MAX 256             /* on their way; then frames wait */
#define DXI_SESSION_FLIGHT_BYTES INT64_C(262144) /* on their way from other loops */
#define DXI_OUTBOX_WAIT_BYTES ((size_t)1048576)  /* with more than that, frames and lists wait */
#define DXI_OUTBOX_BYTES_MAX ((size_t)67108864)  /* with more than that, the session ends */
#define DXI_RUN_BYTES ((size_t)65536)            /* claimed at once of the sending ring */
#define DXI_DELIVER_BYTES 96                     /* of a DELIVER frame without ATTEMPT */
#define DXI_CREDIT_EVENTS UINT64_C(65536)        /* windows of a publishing client */
#define DXI_CREDIT_BYTES UINT64_C(8388608)
#define DXI_PLACES_MAX 65536                   /* sessions of a loop */
#define DXI_ASIDE_BYTES_MAX INT64_C(268435456) /* set aside, of all sessions of a bus together */

/* Answers for consecutive publications: one ACK. */
typedef struct dxi_ack_out {
    uint64_t producer_id, first, last;
    uint64_t sequence, timestamp_ns; /* of the last */
    uint32_t term;
    uint16_t shard;
    bool duplicate;
} dxi_ack_out_t;

/* Of the sending ring: claimed, filled, not yet committed. The newest DELIVER is open: its count is
 * filled in when the run ends. */
typedef struct dxi_run {
    char *base; /* NULL: nothing claimed */
    size_t room, used;
    const dxi_remote_t *remote; /* of the open DELIVER; NULL: none */
    size_t head;                /* where it begins, */
    size_t head_bytes;
    uint64_t count;
    uint32_t attempt;
    bool redelivered;
    uint64_t held;
} dxi_run_t;

/* Whole frames for which the sending ring had no room. */
typedef struct dxi_outbox {
    char *bytes;
    size_t begin, end, room;
    int64_t flight; /* of those, bytes that count as on their way */
} dxi_outbox_t;

/* How far a client may publish ahead. */
typedef struct dxi_credit {
    uint64_t events, bytes;
} dxi_credit_t;

/* Events that wait for room in a ring, in their order: records, see session_aside.c. */
typedef struct dxi_aside {
    char *bytes;
    size_t begin, end, room;
} dxi_aside_t;

DX_INLINE bool dxi_aside_empty(const dxi_aside_t *aside)
{
    return aside->begin == aside->end;
}

struct dxi_session {
    dxi_command_t command; /* first: its end */
    dxi_task_t task;
    dx_bus_t *bus;
    dxi_bus_loop_t *home;
    dxi_connection_t *connection; /* NULL: closed */
    const dxi_session_policy_t *policy;
    dxi_session_access_t *access; /* its user; NULL: there are no users, or it is not known yet */
    uint64_t origin;
    uint64_t connection_id;
    uint32_t frame_bytes_max;       /* that the client accepts; set before anything is delivered */
    dxi_session_t *next, *previous; /* of the loop */
    uint32_t place;
    bool open;
    bool packs;   /* the client reads them (wire/pack.h) */
    bool ends;    /* told to; nothing more is taken */
    bool leaving; /* the client has said GOODBYE: what is under way is answered, then it ends */

    dxi_remote_t *remotes[DXI_SESSION_BUCKETS];
    uint32_t remote_count;
    uint32_t commands;     /* on their way */
    dxi_command_t *behind; /* of them, those that are not to run yet, */
    dxi_command_t *answer; /* and the list of topics that is being said */
    bool listing;          /* from running such a list until it is said */

    /* Publishing. */
    uint64_t taken_events, taken_bytes;
    uint64_t granted_events, granted_bytes;
    dxi_session_t *waiting_next; /* of those whose frame waits */
    bool waiting;
    dxi_lane_t *waits_for; /* room in its ring; NULL: anything else */
    int64_t waits_slots;
    dxi_aside_t aside;
    int64_t unanswered; /* with ACK_WANTED, given to a shard or set aside */
    bool detached;      /* closed, and no lane knows of it any more */

    /* Sending. */
    dxi_session_t *touched_next; /* of those to which other loops have sent something */
    bool touched;
    dxi_session_t *dirty_next;
    bool dirty;
    bool credit_due;
    dxi_run_t run;
    dxi_outbox_t outbox;
    uint32_t ack_count;
    dxi_ack_out_t acks[DXI_SESSION_ACKS];
    uint64_t events_in, events_out;

    DX_ISOLATED dx_atomic64_t flight; /* bytes on their way from other loops */
    dx_atomic32_t hungry;             /* one of them found no room */
};

/* A subscription of a session.
 *
 *     ASKED --(attached in all lanes; ACK)--> LIVE --(UNSUBSCRIBE, or its shard)--> LEAVING ->
 *       freed \--(refused; NACK)--> freed
 */
enum dxi_remote_state { DXI_REMOTE_ASKED = 1, DXI_REMOTE_LIVE = 2, DXI_REMOTE_LEAVING = 3 };

struct dxi_remote {
    dxi_command_t command; /* first */
    dxi_task_t task;
    dxi_attachment_t base;
    dxi_session_t *session;
    dxi_remote_t *next; /* of its bucket */
    uint64_t number;    /* the client's */
    uint64_t instance;  /* ours: never used again in the session's loop */
    int state;
    bool correlated; /* its SUBSCRIBE */
    uint64_t correlation;
    bool is_inbox;       /* taken for its user, to be left */
    bool held;           /* UNSUBSCRIBE with HOLD has come: nothing more is given */
    bool answer_leaving; /* UNSUBSCRIBE has come */
    bool leave_correlated;
    uint64_t leave_correlation;
    int code; /* of the command */
    char sentence[DX_ERROR_MESSAGE_BYTES];
    dx_error_t error;   /* the shard ended it while it was ASKED */
    dx_atomic32_t live; /* deliver() may deliver */
    dx_atomic32_t over; /* deliver() refuses */

    DX_ISOLATED dx_atomic64_t credit_events; /* positions; its loop writes */
    dx_atomic64_t credit_bytes;
    DX_ISOLATED dx_atomic64_t sent_events; /* lanes write */
    dx_atomic64_t sent_bytes;
    uint64_t deliver[DXI_DELIVER_BYTES / 8]; /* its DELIVER frame, but count and checksums */
};

/* Of a loop. */
typedef struct dxi_session_table {
    dxi_session_t **places;
    uint32_t *counts; /* of each place: how often it was used */
    uint32_t room, free_hint;
    dxi_session_t *all;
    dxi_session_t *dirty;
    dxi_session_t *waiting;
    dxi_session_t *slowed; /* for their rate of publishing */
    dxi_session_t *touched;
    dxi_part_t *parts; /* that wait for room in a ring to another loop */
    uint64_t instances;
    uint64_t ticks;        /* of the frames read now; 0: not read yet */
    uint32_t bells_due;    /* loops in whose rings something was put */
    dxi_sampler_t sampler; /* of frames that come without a trace context */
    /* Written by the loop, read by any. RELAXED: figures. */
    dx_atomic64_t open, opened, refused, events_in, events_out, bytes_in, bytes_out, gaps;
} dxi_session_table_t;

/* One more, of a figure that one thread writes. */
DX_INLINE void dxi_count(dx_atomic64_t *figure, int64_t delta)
{
    dx_store_relaxed(figure, dx_load_relaxed(figure) + delta);
}

/* More waits to be sent than an answer adds to. */
DX_INLINE bool dxi_session_outbox_full(const dxi_session_t *session)
{
    return session->outbox.end - session->outbox.begin > DXI_OUTBOX_WAIT_BYTES;
}

/* Whether it has too much under way to take another frame. */
DX_INLINE bool dxi_session_overloaded(const dxi_session_t *session)
{
    return dxi_session_outbox_full(session) || session->commands >= DXI_SESSION_COMMANDS_MAX;
}

/* The session of an origin; NULL when it is gone. Threads: its loop. */
dxi_session_t *dxi_session_find(dxi_bus_loop_t *loop, uint64_t origin);
/* Ends it, with a reason for the client. Threads: its loop. */
void dxi_session_end(dxi_session_t *session, int code, const char *sentence);
/* Its frame is offered again when `lane` has room for `slots`, or in a while (NULL). */
void dxi_session_wait(dxi_session_t *session, dxi_lane_t *lane, int64_t slots);

/* session_frames.c */
int dxi_session_frame(void *context, dxi_connection_t *connection, const dx_frame_view_t *frame,
                      dx_error_t *error);
void dxi_session_pause(void *context, dxi_connection_t *connection);

/* What a client without a rate may publish ahead. */
dxi_credit_t dxi_session_window(const dxi_session_t *session);

/* session_access.c: the sessions that are slowed and due. */
int dxi_sessions_slowed_run(dxi_bus_loop_t *loop, int64_t now_ns);

/* Rings the bells of other loops in whose rings something was put. */
void dxi_session_bells(dxi_bus_loop_t *home);

/* Refuses an event: who waits for an answer gets it; else returns `code`, for an ERROR. */
int dxi_session_event_refuse(dxi_session_t *session, const dx_frame_view_t *frame, int code,
                             const dx_error_t *error);
/* An event, in memory that may be written, on its way to its shard. Returns DX_OK, DX_EAGAIN (no
 * room), DX_ECLOSED, DX_ELIMIT. */
DX_NODISCARD int dxi_session_event_put(dxi_session_t *session, dxi_lane_t *lane,
                                       const dx_frame_view_t *frame, uint64_t ticks);

/* session_aside.c */
/* An event that finds no room. Returns DX_OK: it waits aside; DX_EAGAIN: in the connection. */
DX_NODISCARD int dxi_session_set_aside(dxi_session_t *session, dxi_lane_t *lane,
                                       const dx_frame_view_t *frame, uint64_t ticks);
/* Puts those that wait into their rings, as far as there is room. */
void dxi_session_aside_run(dxi_session_t *session);
/* Refuses those that wait. */
void dxi_session_aside_drop(dxi_session_t *session);

/* session_subscribe.c. As on_frame(). */
int dxi_session_subscribe(dxi_session_t *session, const dx_frame_view_t *frame, dx_error_t *error);
int dxi_session_unsubscribe(dxi_session_t *session, const dx_frame_view_t *frame,
                            dx_error_t *error);
int dxi_session_credit(dxi_session_t *session, const dx_frame_view_t *frame, dx_error_t *error);
int dxi_session_acknowledge(dxi_session_t *session, const dx_frame_view_t *frame,
                            dx_error_t *error);
dxi_remote_t *dxi_session_remote(dxi_session_t *session, uint64_t number);
/* The session is gone: frees it when nothing refers to it any more. */
void dxi_session_free(dxi_session_t *session);
void dxi_session_feed(dxi_session_t *session);
/* Feeds those to which less is on its way now. */
void dxi_sessions_touched(dxi_bus_loop_t *loop);
/* The shard has ended it: tells the client, and leaves. */
void dxi_remote_ended(dxi_remote_t *remote, int code, const char *sentence);

/* session_commands.c */
int dxi_session_command(dxi_session_t *session, const dx_frame_view_t *frame, dx_error_t *error);
/* Goes on with an answer, and with commands that waited, as far as they may. */
void dxi_session_commands_run(dxi_session_t *session);
/* The connection is gone: they are forgotten. */
void dxi_session_commands_drop(dxi_session_t *session);

/* session_out.c. All by the session's loop. */
/* Whether answers still wait to be put together, or for room. */
bool dxi_session_says_more(const dxi_session_t *session);
bool dxi_session_room(const dxi_session_t *session);
/* Commits the deliveries that were put together (O1). */
void dxi_session_commit(dxi_session_t *session);

/* An event of a subscription. False: no room now (on_writable() follows). */
bool dxi_session_put(dxi_session_t *session, const dxi_remote_t *remote,
                     const dxi_delivery_t *delivery);
/* The same into the outbox, where there is always room. */
void dxi_session_put_aside(dxi_session_t *session, const dxi_remote_t *remote,
                           const dxi_delivery_t *delivery);
/* Any other frame; never fails, but may end the session. */
void dxi_session_say(dxi_session_t *session, const dx_frame_draft_t *draft, const void *payload);
void dxi_session_say_frame(dxi_session_t *session, const void *frame, size_t bytes);
/* ACK or NACK with a correlation. */
void dxi_session_say_result(dxi_session_t *session, bool correlated, uint64_t correlation, int code,
                            const char *sentence);
void dxi_session_say_gap(dxi_session_t *session, const dxi_remote_t *remote, const dx_gap_t *gap);
void dxi_session_take_answer(dxi_session_t *session, const dxi_answer_t *answer);
void dxi_session_writable(void *context, dxi_connection_t *connection);
void dxi_session_grant(dxi_session_t *session);
void dxi_session_dirty(dxi_session_t *session);
void dxi_session_out_close(dxi_session_t *session);
/* Makes the DELIVER frame of a subscription. */
void dxi_remote_deliver_make(dxi_remote_t *remote);

/* pair.c */
/* The ring from one loop to another; NULL when it can't be made. Threads: from. */
dxi_pair_t *dxi_pair_of(dxi_bus_loop_t *from, uint32_t to);
DX_NODISCARD int dxi_pair_push(dxi_pair_t *pair, const dxi_record_t *record, const void *head,
                               uint32_t head_bytes, const void *tail, uint32_t tail_bytes);
/* What must not get lost; spilt when the ring is full. */
void dxi_pair_push_sure(dxi_pair_t *pair, const dxi_record_t *record, const void *head,
                        uint32_t head_bytes, const void *tail, uint32_t tail_bytes);
bool dxi_pair_roomy(const dxi_pair_t *pair);
/* Rings bells, empties spills. Threads: from. */
void dxi_pairs_settle(dxi_bus_loop_t *from);
/* Takes what came. Returns how much. Threads: to. */
int dxi_pairs_take(dxi_bus_loop_t *to);

/* What goes with a DXI_RECORD_END. */
typedef struct dxi_record_end {
    int32_t code;
    uint32_t sentence_bytes; /* with its NUL */
} dxi_record_end_t;

/* A record from another loop. Threads: the session's loop. */
void dxi_session_record(dxi_bus_loop_t *loop, const dxi_record_t *record);

#endif
