/* client/internal.h - what the files of this layer share: the client and its parts.
 *
 * THREADS
 *
 * The client's thread runs the loop: the connection, the window's far end, subscriptions, handlers
 * and callbacks. What it alone touches stands behind "client's thread" below. Other threads meet it
 * in four places: the window (window.h), the calls (under `lock`), the answers of subscribers
 * (under `acks.lock`), and numbers that it publishes with relaxed stores. A publisher may act for
 * it while it sleeps (send.c, N6).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLIENT_INTERNAL_H
#define DXI_CLIENT_INTERNAL_H

#include <pthread.h>

#include "client/direct.h"
#include "client/plain.h"
#include "client/unacknowledged.h"
#include "client/window.h"
#include "disruptorx/client.h"
#include "net/connection.h"

#define DXI_CLIENT_BATCH 64              /* events that are handed over in one call, at most */
#define DXI_CLIENT_SET_MAX 64            /* subscriptions of one DELIVER: 512 bytes of numbers */
#define DXI_CLIENT_SEND_BYTES 1048576    /* of the sending ring, as long as the window is larger */
#define DXI_CLIENT_RESERVE_BYTES 65536   /* of it that publications leave to all the rest */
#define DXI_CLIENT_ACK_BYTES_MAX 1048576 /* of answers that wait to be sent */
#define DXI_CLIENT_LIST_BYTES_MAX 268435456
#define DXI_CALLS_PER_CHUNK 64
#define DXI_CALL_CHUNKS (DX_REQUESTS_MAX / DXI_CALLS_PER_CHUNK)
#define DXI_INBOX_NAME_BYTES 24 /* "$inbox." and 16 digits, NUL */

/* Correlations of SUBSCRIBE and UNSUBSCRIBE are the number of the subscription with one of these;
 * all others are those of calls. */
#define DXI_CORRELATION_SUBSCRIBE (UINT64_C(1) << 63)
#define DXI_CORRELATION_UNSUBSCRIBE (UINT64_C(1) << 62)
#define DXI_CORRELATION_NUMBER (DXI_CORRELATION_UNSUBSCRIBE - 1)

/* ---------------------------------------------------------------------------------------- calls */

typedef enum dxi_call_kind {
    DXI_CALL_RECEIPT = 1,     /* a publication whose receipt a thread waits for */
    DXI_CALL_REQUEST = 2,     /* its frame is in the window */
    DXI_CALL_CONTROL = 3,     /* a frame of its own, sent again after a reconnect */
    DXI_CALL_SUBSCRIBE = 4,   /* of `subscription` */
    DXI_CALL_UNSUBSCRIBE = 5, /* the same */
    DXI_CALL_FLUSH = 6        /* everything before `position` */
} dxi_call_kind_t;

/* One answer that is waited for. A slot of a table; `lock` guards it while it is open. */
typedef struct dxi_call {
    dx_atomic32_t done; /* futex: 1 when it has its answer */
    uint32_t index;
    uint32_t generation; /* of the slot's use, so that a late answer finds nobody */
    dxi_call_kind_t kind;
    bool open;
    bool queued; /* in the list of what the client's thread has to send */
    bool sent;
    bool again; /* sent once more after a reconnect: the first may have been done */
    struct dxi_call *next;
    int64_t deadline_ns; /* of an asynchronous request; else INT64_MAX */

    /* Kinds. */
    void *frame; /* CONTROL */
    size_t frame_bytes;
    dx_client_subscription_t *subscription;
    int64_t position;
    bool written; /* FLUSH: it is in the sending ring, up to `sent_bytes` */
    uint64_t sent_bytes;
    dx_reply_fn on_reply; /* REQUEST without a thread that waits */
    void *context;

    /* The answer. */
    int code;
    dx_receipt_t receipt;
    void *data_out; /* where it is to be stored */
    size_t room;
    size_t bytes; /* of the answer, which may be more */
    char *list;   /* of a TOPIC_LIST: texts that each end in NUL */
    size_t list_bytes;
    size_t list_room;
    char sentence[DX_ERROR_MESSAGE_BYTES];
} dxi_call_t;

/* -------------------------------------------------------------------------------- subscriptions */

typedef enum dxi_subscription_state {
    DXI_SUBSCRIPTION_NEW = 0,
    DXI_SUBSCRIPTION_ASKED = 1, /* SUBSCRIBE is to be sent, or not answered yet */
    DXI_SUBSCRIPTION_LIVE = 2,
    DXI_SUBSCRIPTION_LEAVING = 3, /* UNSUBSCRIBE is sent */
    DXI_SUBSCRIPTION_ENDED = 4    /* the node does not have it any more */
} dxi_subscription_state_t;

/* Sequences first..last of a topic that were handled and not yet acknowledged. */
typedef struct dxi_ack_run {
    uint64_t first; /* 0: nothing */
    uint64_t last;
    uint16_t shard;
    uint16_t topic_bytes;
    char topic[DX_TOPIC_BYTES_MAX];
} dxi_ack_run_t;

struct dx_client_subscription {
    dx_client_t *client;
    dx_subscription_options_t options; /* its texts point into `texts` */
    char *texts;
    char *json; /* the payload of SUBSCRIBE */
    uint32_t json_bytes;
    bool literal;               /* the pattern is a topic's name */
    bool inbox;                 /* the client's own, for replies */
    dxi_direct_inlet_t *direct; /* it reads from a direct topic's ring; NULL: from the connection */

    /* The client's thread. */
    uint64_t number; /* 0: none yet */
    dxi_subscription_state_t state;
    dxi_call_t *call; /* who waits for SUBSCRIBE or UNSUBSCRIBE to be answered */
    bool to_send;     /* SUBSCRIBE must be sent when there is room */
    bool anew;        /* the node is another than before, and nothing has come from it yet */
    bool next;        /* and has taken the place of that one */
    bool again;       /* it has been live on an earlier connection */
    bool credit_due;
    bool holding; /* LEAVING: the node gives nothing more, and still hears what is acknowledged */
    uint64_t taken_events, taken_bytes; /* handled, of this connection's subscription */
    uint64_t granted_events, granted_bytes;
    uint64_t last_sequence; /* of a literal topic; 0: none seen, or of several shards */
    uint64_t last_time_ns;  /* of that event, or of one before it */
    bool several_shards;
    uint64_t held; /* the lowest sequence that waits in the node although a later one came; 0: none
                    * is known to */
    dxi_unacknowledged_t unacknowledged; /* literal, EXPLICIT or AUTO and alone; else none */
    dxi_ack_run_t run;
};

/* --------------------------------------------------------------------------------------- client */

/* An acknowledged publication on its way: where its record is. */
typedef struct dxi_unanswered {
    int64_t position; /* of the record; -1: answered */
} dxi_unanswered_t;

/* What stands in the window in front of a frame whose publisher waits for a receipt. */
typedef struct dxi_receipt_record {
    dx_receipt_fn on_receipt;
    void *context;
} dxi_receipt_record_t;

/* Where publications stood after a turn: which of those that nobody will confirm are written. */
typedef struct dxi_mark {
    uint64_t bytes;  /* put into the sending ring until then */
    uint64_t events; /* without a receipt */
} dxi_mark_t;
#define DXI_MARKS 256

/* Answers of subscribers, on their way to the client's thread. */
typedef struct dxi_acks {
    pthread_mutex_t lock;
    dx_atomic32_t waiting; /* something is there */
    char *memory;          /* made for the first subscription that needs it */
    char *bytes_at;        /* records, see ack.c */
    size_t bytes;
    char *spare; /* the client's thread's own, which it swaps with `bytes_at` */
    size_t spare_bytes, spare_done;
} dxi_acks_t;

typedef struct dxi_batch {
    int count;
    uint64_t bytes; /* of the frames */
    dx_client_subscription_t *set[DXI_CLIENT_SET_MAX];
    uint64_t numbers[DXI_CLIENT_SET_MAX];
    int set_count;
    uint64_t left; /* EVENT frames that belong to the last DELIVER */
    uint32_t attempt;
    bool redelivered;
    uint64_t held; /* what the last DELIVER says of what waits in the node */
    dx_event_t events[DXI_CLIENT_BATCH];
    dx_frame_view_t views[DXI_CLIENT_BATCH];
    uint32_t frame_bytes[DXI_CLIENT_BATCH];
} dxi_batch_t;

typedef struct dxi_client_counts {
    dx_atomic64_t acknowledged, refused, retried, received, gaps, gap_events, reconnects, lost;
    dx_atomic64_t rtt_ns, state, frame_bytes_max;
    dx_atomic64_t bytes_in, bytes_out, batches_in, batches_out, acks_ignored;
} dxi_client_counts_t;

struct dx_client {
    /* Read-only once connected. */
    dx_client_options_t options; /* texts point into `texts` */
    char *texts;
    dxi_address_t addresses[DX_CLIENT_ADDRESSES_MAX];
    int address_count;
    uint64_t producer_id;
    dxi_tls_t *tls;
    dxi_loop_t *loop;
    dxi_bell_t *bell;
    dxi_duty_t duty;
    char inbox[DXI_INBOX_NAME_BYTES];
    dx_atomic32_t closed; /* 1: for good; nothing is taken any more */
    dxi_window_t window;
    dx_atomic64_t direct_ns;    /* when a publisher sent for the thread the last time */
    dxi_client_counts_t counts; /* written by the client's thread */
    dxi_plain_topics_t plain;
    dxi_directs_t directs;

    /* Under `lock`. */
    DX_ISOLATED pthread_mutex_t lock;
    dxi_call_t *chunks[DXI_CALL_CHUNKS];
    uint32_t chunk_count;
    dxi_call_t *free_calls;
    dxi_call_t *queue_first, *queue_last;
    dx_atomic64_t next_deadline_ns; /* no asynchronous request is due before */
    char address_text[256];         /* for statistics */
    char node_name[256];
    dx_error_t last_error;
    int64_t last_error_ns;       /* when a connection ended, or did not come about, with it */
    dx_atomic32_t flushing;      /* `flushes` has something */
    dx_atomic32_t calls_waiting; /* the queue has something */
    dx_atomic32_t inbox_wanted;
    dxi_acks_t acks;

    /* The client's thread: the connection. */
    DX_ISOLATED dxi_connection_t *connection; /* NULL: none */
    bool open;                                /* its greeting is over */
    bool packs;                               /* the node reads them */
    bool lent;                                /* a publisher acts for the thread: no callbacks */
    bool ever_open;
    uint64_t node_id; /* of the node it was last connected to */
    uint64_t node_started_unix_ns;
    int64_t nodes_before; /* how many others there were */
    bool node_anew;       /* this one is another, or was started anew: its sequences are others */
    bool node_next;       /* and has taken the place of the last one */
    int node_address;     /* where that was: its address_index; -1: nowhere yet, or MOVED to */
    bool closing;
    bool reading_stopped; /* a frame was not taken for want of room for its answers */
    int address_index;
    int address_tried; /* in this round */
    bool moved;        /* the next attempt goes to `moved_to` */
    dxi_address_t moved_to;
    int64_t attempts;                 /* in a row */
    int64_t pause_ns;                 /* the next one, at most */
    int64_t opened_ns;                /* when the connection was open */
    int64_t next_attempt_ns;          /* INT64_MAX: none */
    int64_t looked_ns;                /* when the connection was asked for its numbers */
    dxi_connection_traffic_t traffic; /* of this connection, as far as it is counted */
    uint64_t random;
    dx_atomic32_t outcome; /* futex of dx_client_connect(): 1 open, 2 given up */
    dx_atomic32_t gone;    /* futex of dx_client_close(): 1 when there is no connection */

    /* The client's thread: publications. */
    dxi_unanswered_t *unanswered; /* by producer sequence, a ring */
    uint64_t unanswered_mask;
    uint64_t oldest, next; /* producer sequences: answered are all before `oldest` */
    uint64_t resend;       /* the next that is to be sent again; `next`: none */
    uint64_t sent_events, sent_bytes, credit_events, credit_bytes; /* of this connection */
    uint64_t ring_bytes;   /* put into the sending ring of this connection since it is open */
    uint64_t written_base; /* of what the connection has written, when it was opened */
    uint64_t unconfirmed, unconfirmed_written;
    dxi_mark_t marks[DXI_MARKS];
    uint32_t mark_first, mark_count;
    dxi_call_t *flushes;

    /* The client's thread: subscriptions. */
    dx_client_subscription_t **subscriptions; /* by the low bits of their number; NULL: free */
    uint32_t subscription_room;
    uint32_t subscription_count;
    uint64_t subscription_uses;
    bool subscriptions_due; /* a SUBSCRIBE or CREDIT is to be sent */
    dx_client_subscription_t *inbox_subscription;
    int inbox_code; /* why there is no inbox */
    dxi_batch_t batch;
};

/* ----------------------------------------------------------------------------------- plain ones */

/* Writes the PUBLISH of a plain message. Threads: any. */
void dxi_publish_frame(char *to, const dxi_plain_topic_t *topic, const void *payload,
                       uint32_t bytes);

/* Remembers where publications stand in the sending ring, and forgets what has been written.
 * Threads: client. */
void dxi_send_mark(dx_client_t *client);

/* Sends what is plain at the head of the window, one frame. Returns how many messages; 0: the one
 * at the head is not plain, or has to wait. `*drained_out` is set when nothing else was there.
 * Threads: client. */
int dxi_plain_send(dx_client_t *client, int64_t room, bool *drained_out);

/* ----------------------------------------------------------------------------------- small help */

DX_INLINE bool dxi_client_in_loop(const dx_client_t *client)
{
    return dxi_loop_is_current(client->loop);
}

/* Adds to a number that only the client's thread writes. */
DX_INLINE void dxi_count(dx_atomic64_t *counter, int64_t delta)
{
    dx_store_relaxed(counter, dx_load_relaxed(counter) + delta);
}

/* A publisher, or somebody who calls, has put something where the client's thread looks. */
DX_INLINE void dxi_client_ring(dx_client_t *client)
{
    dxi_loop_bell(client->loop, client->bell);
}

/* The client's thread sleeps, and there is something to send: sends it, or wakes the thread. */
void dxi_send_asleep(dx_client_t *client);

/* The same behind a publication, but not while those before it can't be sent.
 *
 * RELAXED, behind a fence: when we see an old 1, our note was stored before the client's thread's
 * fence behind its 0, and it sees the note in its last look. One fence serves both words. */
DX_INLINE void dxi_client_ring_published(dx_client_t *client)
{
    dx_fence_seq_cst(); /* pairs with the one before the loop's last look */
    if (DX_LIKELY(dx_load32_relaxed(&client->window.stuck) == 0) &&
        DX_UNLIKELY(dx_load32_relaxed(&client->bell->asleep) != 0)) {
        dxi_send_asleep(client);
    }
}

/* The deadline of a call: `timeout_ns` from now; 0: the client's; negative: none. */
int64_t dxi_client_deadline(const dx_client_t *client, int64_t timeout_ns);

/* DX_EDEADLOCK with a sentence in the client's own thread, DX_ECLOSED when it is closed. */
DX_NODISCARD int dxi_client_may_wait(dx_client_t *client, const char *what, dx_error_t *error);
int dxi_client_closed_fail(dx_client_t *client, dx_error_t *error);

/* -------------------------------------------------------------------------------------- options */

/* Checks options, fills in defaults, copies texts, reads addresses. */
DX_NODISCARD int dxi_client_options_take(dx_client_t *client, const dx_client_options_t *options,
                                         dx_error_t *error);

/* ---------------------------------------------------------------------------------------- calls */

/* Takes a slot. DX_OK, DX_ELIMIT, DX_ENOMEM, DX_ECLOSED. Threads: any. */
DX_NODISCARD int dxi_call_open(dx_client_t *client, dxi_call_kind_t kind, dxi_call_t **call_out,
                               dx_error_t *error);
/* Gives it back. Threads: who opened it. */
void dxi_call_close(dx_client_t *client, dxi_call_t *call);
uint64_t dxi_call_correlation(const dxi_call_t *call);
/* Hands it to the client's thread. Threads: who opened it. */
void dxi_call_submit(dx_client_t *client, dxi_call_t *call);
/* Waits for its answer; after DX_ETIMEDOUT nobody answers it any more. Threads: who opened it. */
DX_NODISCARD int dxi_call_wait(dx_client_t *client, dxi_call_t *call, int64_t deadline_ns,
                               dx_error_t *error);
/* Encodes `draft` with the call's correlation among its parts, submits, waits. Closes nothing. */
DX_NODISCARD int dxi_call_control(dx_client_t *client, dxi_call_t *call, uint8_t type,
                                  const char *topic, const void *payload, size_t payload_bytes,
                                  int64_t deadline_ns, dx_error_t *error);
/* dx_client_ask(), with a deadline of its own. */
DX_NODISCARD int dxi_client_ask(dx_client_t *client, const char *question, const char *argument,
                                char *text_out, size_t text_bytes, int64_t deadline_ns,
                                dx_error_t *error);

/* An asynchronous request: `on_reply` is called once, by its answer or at the deadline.
 * Threads: who opened it. */
void dxi_call_expect(dx_client_t *client, dxi_call_t *call, dx_reply_fn on_reply, void *context,
                     int64_t deadline_ns);
/* Gives such a call back before anybody was told; false when it was. Threads: who opened it. */
bool dxi_call_withdraw(dx_client_t *client, uint64_t correlation);

/* Threads of all below: client. */
int dxi_calls_pump(dx_client_t *client);
void dxi_calls_again(dx_client_t *client);
void dxi_calls_fail(dx_client_t *client, int code, const char *sentence);
int64_t dxi_calls_expire(dx_client_t *client, int64_t now_ns);
int dxi_calls_flushed(dx_client_t *client);
/* An answer: with DX_OK the payload of `frame` is stored, else it is the sentence. `event`: what an
 * asynchronous request is told. Both may be NULL. */
void dxi_call_answer(dx_client_t *client, uint64_t correlation, int code,
                     const dx_frame_view_t *frame, const dx_event_t *event);
void dxi_call_finish(dx_client_t *client, dxi_call_t *call, int code, const char *sentence,
                     size_t sentence_bytes);
/* Stands in a record for the thread that waits: the context is the call's correlation. */
void dxi_call_receipt(void *context, const dx_receipt_t *receipt);
void dxi_call_receipt_take(dx_client_t *client, uint64_t correlation, const dx_receipt_t *receipt,
                           const char *sentence, size_t sentence_bytes);

/* --------------------------------------------------------------------------------- publications */

/* A frame of `type` into the window: PUBLISH, REQUEST or REPLY.
 * Returns as dx_client_publish(). Threads: any. */
DX_NODISCARD int dxi_publish(dx_client_t *client, uint8_t type, const dx_message_t *message,
                             dx_receipt_fn on_receipt, void *context, int64_t deadline_ns,
                             dx_error_t *error);
/* The deadline of a publication: 0 in handlers and with fail_when_full. Threads: any. */
int64_t dxi_publish_deadline(const dx_client_t *client);

/* Threads of all below: client. */
int dxi_send_window(dx_client_t *client);
void dxi_send_opened(dx_client_t *client);
void dxi_send_broken(dx_client_t *client);
void dxi_send_fail(dx_client_t *client);
/* Room in the sending ring for what is no publication. */
DX_INLINE bool dxi_send_room(const dx_client_t *client, size_t bytes)
{
    return client->open && dxi_connection_room(client->connection) >= bytes;
}
/* Encodes a small frame into the sending ring: DX_OK, DX_EAGAIN. */
DX_NODISCARD int dxi_send_frame(dx_client_t *client, const dx_frame_draft_t *draft,
                                const void *payload);
void dxi_receipts_take(dx_client_t *client, const dx_frame_view_t *frame);
void dxi_publish_credit(dx_client_t *client, const dx_frame_view_t *frame);

/* -------------------------------------------------------------------------------- subscriptions */

DX_NODISCARD int dxi_subscription_create(dx_client_t *client,
                                         const dx_subscription_options_t *options, bool inbox,
                                         dx_client_subscription_t **subscription_out,
                                         dx_error_t *error);
void dxi_subscription_destroy(dx_client_subscription_t *subscription);
/* Asks the node for it and waits for the answer. Threads: any, no handler. */
DX_NODISCARD int dxi_subscription_begin(dx_client_t *client, dx_client_subscription_t *subscription,
                                        dx_error_t *error);

/* Threads of all below: client. */
int dxi_subscription_add(dx_client_subscription_t *subscription, dxi_call_t *call);
void dxi_subscription_leave(dx_client_subscription_t *subscription, dxi_call_t *call);
void dxi_subscription_remove(dx_client_subscription_t *subscription);
void dxi_subscription_answer(dx_client_t *client, uint64_t correlation, int code,
                             const dx_frame_view_t *frame);
void dxi_subscription_end(dx_client_subscription_t *subscription, int code, const char *sentence);
dx_client_subscription_t *dxi_subscription_find(const dx_client_t *client, uint64_t number);
int dxi_subscriptions_pump(dx_client_t *client);
void dxi_subscriptions_opened(dx_client_t *client);
void dxi_subscriptions_broken(dx_client_t *client);
void dxi_subscriptions_fail(dx_client_t *client, int code, const char *sentence);
void dxi_inbox_make(dx_client_t *client);

/* Receiving: deliver.c. */
DX_NODISCARD int dxi_deliver_begin(dx_client_t *client, const dx_frame_view_t *frame,
                                   dx_error_t *error);
DX_NODISCARD int dxi_deliver_event(dx_client_t *client, const dx_frame_view_t *frame,
                                   dx_error_t *error);
void dxi_deliver_gap(dx_client_t *client, const dx_frame_view_t *frame);
void dxi_deliver_flush(dx_client_t *client);

/* Answers to events: ack.c. The first may be called again and again, by any thread. */
int dxi_acks_open(dxi_acks_t *acks, dx_error_t *error);
void dxi_acks_close(dxi_acks_t *acks);
int dxi_acks_pump(dx_client_t *client);
void dxi_ack_handled(dx_client_subscription_t *subscription, const dx_event_t *event);
void dxi_ack_refused(dx_client_subscription_t *subscription, const dx_event_t *event, int code);
int dxi_ack_flush(dx_client_subscription_t *subscription);
void dxi_ack_delivered(dx_client_subscription_t *subscription, const dx_event_t *event);
uint64_t dxi_ack_next_sequence(const dx_client_subscription_t *subscription);
/* Nothing of what was given counts any more: the node is another. */
void dxi_ack_forget(dx_client_subscription_t *subscription);

/* Replies: the handler of the inbox. */
int dxi_reply_take(void *context, const dx_event_t *event);

/* ----------------------------------------------------------------------------------- connection */

/* Threads of all below: client. */
void dxi_link_start(void *client);
void dxi_link_stop(void *client);
int64_t dxi_link_tick(dx_client_t *client, int64_t now_ns);
void dxi_link_state(dx_client_t *client, dx_client_state_t state, int code, const char *sentence);

#endif
