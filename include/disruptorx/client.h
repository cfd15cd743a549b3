/* disruptorx/client.h - a program's connection to a node.
 *
 *     dx_client_connect(&(dx_client_options_t){.address = "tcp://127.0.0.1:7400"}, &client,
 *     &error); dx_client_publish(client, &(dx_message_t){.topic = "orders.created", .data = d,
 *                       .bytes = n}, &error);
 *     dx_client_subscribe(client, &(dx_subscription_options_t){.pattern = "orders.*",
 *                         .on_event = on_order}, &subscription, &error);
 *     dx_client_close(client, DX_CLIENT_FOREVER);
 *
 * A client has one thread of its own, which reads, writes, keeps the connection alive and calls the
 * handlers. When the connection breaks it connects again, with a back-off that doubles and is
 * jittered, resolves the name anew, subscribes again from where it was, and sends every
 * acknowledged publication that was not answered once more; the node takes each once.
 *
 * After a reconnect a subscription to one topic goes on behind the last event that was handled
 * (with acknowledgement: at the first that was not acknowledged, or was refused and is not given
 * up). A subscription to a pattern, or to a topic that is spread over shards, begins with what is
 * published from then on, which counts as a gap whose events are not known. A publication without a
 * receipt is lost when it was under way; a request is not asked again.
 *
 * Timeouts in ns: 0 is the client's timeout_ns (dx_client_close() and dx_client_unsubscribe(): not
 * at all), negative is without end.
 *
 * Publishing copies the message into a ring of bytes (the window) and returns; what the window
 * holds is sent in as few writes as possible. When it is full the call waits up to its deadline, or
 * returns DX_EAGAIN. Messages, subscriptions and statistics are those of disruptorx/bus.h, without
 * what is marked "in process".
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DISRUPTORX_CLIENT_H
#define DISRUPTORX_CLIENT_H

#include "disruptorx/bus.h"
#include "disruptorx/frame_batch.h"

DX_EXTERN_C_BEGIN

typedef struct dx_client dx_client_t;                           /* opaque */
typedef struct dx_client_subscription dx_client_subscription_t; /* opaque */

#define DX_CLIENT_ADDRESSES_MAX 16
#define DX_CLIENT_WINDOW_BYTES_MAX 1073741824
#define DX_CLIENT_WINDOW_EVENTS_MAX 1048576
#define DX_CLIENT_SUBSCRIPTIONS_MAX 65536
#define DX_CLIENT_FOREVER (-1)

typedef enum dx_client_state {
    DX_CLIENT_CONNECTING = 1, /* for the first time, or again */
    DX_CLIENT_CONNECTED = 2,
    DX_CLIENT_CLOSED = 3 /* for good: dx_client_close(), or attempts_max are used up */
} dx_client_state_t;

typedef void (*dx_client_state_fn)(void *context, dx_client_state_t state, int code,
                                   const char *sentence);

/* Zero = default. Copied. */
typedef struct dx_client_options {
    const char *address; /* "tcp://host:port", "tls://host:port", "unix:///path", or "shm:///path":
                          * shared memory with the node that listens there; several with
                          * commas are tried in turn; NULL: the environment's DX_ADDRESS, or
                          * tcp://127.0.0.1:7400 */
    const char *name;    /* for people and statistics; NULL: the program's */
    const char *token;   /* NULL: none */
    const char *tls_certificate_file, *tls_key_file, *tls_authority_file; /* PEM */
    const char *tls_server_name;
    bool tls_insecure;
    dx_compression_t compression; /* of both directions, as far as the node wants it too */

    int64_t timeout_ns;         /* of each call that waits, unless it says another; 0 = 5 s */
    int64_t connect_timeout_ns; /* of one attempt; 0 = 5 s */
    int64_t reconnect_min_ns;   /* first pause; 0 = 50 ms */
    int64_t reconnect_max_ns;   /* longest pause; 0 = 2 s */
    int32_t attempts_max;       /* in a row before it gives up; 0: without end; the first connect
                                   * gives up after one round of the addresses unless connect_later
                                   * */
    bool connect_later;         /* dx_client_connect() does not wait for the connection */
    int64_t keep_alive_ns;      /* 0 = 15 s */

    /* 0: made up. What wants a receipt is numbered from 1 on, and a node takes each number of a
     * producer once. So give one only to a program that, started again, publishes the same again
     * from its first message on: what was published is a duplicate then, whatever is in it. */
    uint64_t producer_id;
    uint32_t window_bytes;  /* publications on their way; a power of two from 65536; 0 = 512 KiB */
    uint32_t window_events; /* of acknowledged ones; 0 = 65536 */
    uint32_t receive_bytes; /* of the receive buffer, 64 KiB to 16 MiB; 0 = 256 KiB */
    bool fail_when_full;    /* DX_EAGAIN instead of waiting for the window */
    bool single_publisher;  /* no two threads publish at a time, and one that takes over sees what
                             * the other has done; handlers count. Direct topics then take no lock;
                             * DX_EBUSY where two are seen */
    bool busy_poll;         /* its thread spins */
    int64_t spin_ns;        /* how long it looks before it sleeps; 0: not at all */
    dx_thread_options_t thread;
    dx_log_t *log;
    dx_client_state_fn on_state; /* in the client's thread, the last in that of dx_client_close();
                                  * may be NULL */
    void *context;
    dx_tracer_t *tracer;  /* records spans (disruptorx/trace.h); outlives the client; NULL: none */
    uint64_t reserved[3]; /* must be zero */
} dx_client_options_t;

/* Connects and stores the client in `*client_out` (NULL on failure).
 * Returns DX_OK; DX_EINVAL; DX_ENOTFOUND (the name), DX_EIO (nobody answers there), DX_ETIMEDOUT,
 * DX_EPERM (token, certificate), DX_EVERSION; DX_ENOMEM.
 * Threads: any. */
DX_API DX_NODISCARD int dx_client_connect(const dx_client_options_t *options,
                                          dx_client_t **client_out, dx_error_t *error);

/* Sends what is in the window, waits for its answers, for at most `timeout_ns`; handlers finish
 * what has arrived; says goodbye, for which a node that does not answer is given a second more;
 * frees the client. NULL is allowed.
 * Returns DX_OK, DX_ETIMEDOUT when publications were left unanswered.
 * Threads: owner, no handler. */
DX_API int dx_client_close(dx_client_t *client, int64_t timeout_ns);

/* Publishes and does not wait for an answer: at most once. A message takes at most half of the
 * window. Returns DX_OK when it is in the window; DX_EAGAIN (fail_when_full), DX_ETIMEDOUT;
 * DX_EINVAL, DX_ELIMIT (too large for the node); DX_ECLOSED.
 * Threads: any; in a handler it never waits for room and returns DX_EAGAIN instead. (The first
 * publication to a direct topic asks the node where its ring is, also in a handler that has a
 * thread of its own or is polled; in the client's thread it goes over the connection.) */
DX_API DX_NODISCARD int dx_client_publish(dx_client_t *client, const dx_message_t *message,
                                          dx_error_t *error);

/* Publishes several, in order. Returns how many went into the window, or the reason for none.
 * Threads: any. */
DX_API DX_NODISCARD int dx_client_publish_batch(dx_client_t *client, const dx_message_t *messages,
                                                int count, dx_error_t *error);

/* Publishes and waits for the receipt. `receipt_out` may be NULL; its code is what is returned.
 * Returns the receipt's code; DX_ETIMEDOUT: it is still tried, and may be taken; as
 * dx_client_publish().
 * Threads: any, no handler. */
DX_API DX_NODISCARD int dx_client_publish_wait(dx_client_t *client, const dx_message_t *message,
                                               dx_receipt_t *receipt_out, dx_error_t *error);

/* Is called with the receipt, in the client's thread; with DX_ECLOSED when the client was closed
 * before there was an answer. */
typedef void (*dx_receipt_fn)(void *context, const dx_receipt_t *receipt);

/* Publishes with acknowledgement and returns at once; at most window_events wait for theirs.
 * Returns as dx_client_publish().
 * Threads: any. */
DX_API DX_NODISCARD int dx_client_publish_async(dx_client_t *client, const dx_message_t *message,
                                                dx_receipt_fn on_receipt, void *context,
                                                dx_error_t *error);

/* Waits until everything published so far is sent and, where it wants one, answered.
 * Returns DX_OK, DX_ETIMEDOUT, DX_ECLOSED.
 * Threads: any, no handler. */
DX_API DX_NODISCARD int dx_client_flush(dx_client_t *client, int64_t timeout_ns, dx_error_t *error);

/* Subscribes; handlers are called in the client's thread, one at a time (in the ring of a direct
 * topic: in a thread of the subscription's own, or in dx_client_poll() with DX_DISPATCH_POLL). What
 * is on its way there is bounded by queue_events (0 = 65536) and queue_bytes (0 = 16 MiB), which
 * the node is told as credit. `predicate` and `thread` must be zero, `dispatch` zero or
 * DX_DISPATCH_POLL. Returns when the node has said that it is there; `subscription_out` is set
 * before the first call of a handler, which may come before that.
 * Returns DX_OK; DX_EINVAL, DX_EPERM, DX_ELIMIT, DX_ETIMEDOUT, DX_ECLOSED.
 * Threads: any, no handler. */
DX_API DX_NODISCARD int dx_client_subscribe(dx_client_t *client,
                                            const dx_subscription_options_t *options,
                                            dx_client_subscription_t **subscription_out,
                                            dx_error_t *error);

/* Handles what is there, of a subscription with DX_DISPATCH_POLL, in the caller's thread, and never
 * waits: for programs that spin. At most 64 events are handed over, one batch.
 * Returns how many events were passed, 0 when there is none; DX_ECLOSED when the subscription has
 * ended (on_end() said why); DX_EINVAL without DX_DISPATCH_POLL.
 * Threads: one at a time, no handler. */
DX_API DX_NODISCARD int dx_client_poll(dx_client_subscription_t *subscription);

/* Does what the client's thread does, once, in the caller's thread, and never waits: reads, writes,
 * keeps the connection alive, calls handlers. For programs that spin anyway: between them and the
 * node no other thread has to wake up. The client's own thread rests as long as this is called at
 * least every 50 ms; it goes on by itself when it is not, and while the caller waits in another
 * function of the client. The first calls only ask it to rest.
 * Returns 1 when something was done, else 0; DX_ECLOSED when the client has given up;
 * DX_EDEADLOCK in a handler.
 * Threads: any; of several that drive at once one does, and the others get 0. */
DX_API DX_NODISCARD int dx_client_drive(dx_client_t *client);

/* Ends it: what has been sent is handled, and acknowledged with DX_ACK_AUTO, for at most
 * `timeout_ns`; then it is freed. What is not acknowledged goes to other members of its group.
 * With DX_ACK_EXPLICIT that is all for which no dx_client_ack() or dx_client_nack() has returned:
 * it waits for none. So let your threads give their answers first; none may give one any more.
 * Returns DX_OK, DX_ETIMEDOUT.
 * Threads: any, no handler. */
DX_API int dx_client_unsubscribe(dx_client_subscription_t *subscription, int64_t timeout_ns);

/* As dx_subscription_ack() and dx_subscription_nack(). Threads: any. */
DX_API DX_NODISCARD int dx_client_ack(dx_client_subscription_t *subscription,
                                      const dx_event_t *event);
DX_API DX_NODISCARD int dx_client_nack(dx_client_subscription_t *subscription,
                                       const dx_event_t *event, int code);

/* As dx_request() and dx_reply(). dx_client_request() by any thread, no handler; dx_client_reply()
 * by any, handlers included. */
DX_API DX_NODISCARD int dx_client_request(dx_client_t *client, const dx_message_t *message,
                                          int64_t timeout_ns, void *data_out, size_t *bytes_inout,
                                          dx_error_t *error);
DX_API DX_NODISCARD int dx_client_reply(dx_client_t *client, const dx_event_t *event,
                                        const void *data, size_t bytes, dx_error_t *error);

/* The same with a receipt: DX_ENOTFOUND when who asked is not there any more (who is there, and has
 * only stopped waiting, ignores the answer). Without one, an answer that the node refuses is only
 * counted there. Threads: any, handlers included. */
DX_API DX_NODISCARD int dx_client_reply_async(dx_client_t *client, const dx_event_t *event,
                                              const void *data, size_t bytes,
                                              dx_receipt_fn on_receipt, void *context,
                                              dx_error_t *error);

/* A request whose answer comes by a callback, in the client's thread: DX_OK with data, or
 * DX_ETIMEDOUT, DX_ENOTFOUND (nobody listens), DX_ECLOSED with NULL. */
typedef void (*dx_reply_fn)(void *context, int code, const dx_event_t *reply);
DX_API DX_NODISCARD int dx_client_request_async(dx_client_t *client, const dx_message_t *message,
                                                int64_t timeout_ns, dx_reply_fn on_reply,
                                                void *context, dx_error_t *error);

/* Topics of the node: as the functions of disruptorx/bus.h. Threads: any, no handler. */
DX_API DX_NODISCARD int dx_client_topic_create(dx_client_t *client, const char *name,
                                               const dx_topic_options_t *options,
                                               dx_error_t *error);
DX_API DX_NODISCARD int dx_client_topic_change(dx_client_t *client, const char *name,
                                               const dx_topic_options_t *options,
                                               dx_error_t *error);
DX_API DX_NODISCARD int dx_client_topic_delete(dx_client_t *client, const char *name,
                                               dx_error_t *error);
DX_API DX_NODISCARD int dx_client_topic_stats(dx_client_t *client, const char *name,
                                              dx_topic_stats_t *stats_out, dx_error_t *error);
DX_API DX_NODISCARD int dx_client_topic_list(dx_client_t *client, const char *pattern,
                                             dx_topic_visitor_t visit, void *context,
                                             dx_error_t *error);

/* A question to the node itself, answered as JSON: "node", "config", "config.reload", ... (the `dx`
 * program uses it; see docs/protocol.md). `text_out` is ended with NUL.
 * Returns DX_OK, DX_ENOTFOUND, DX_EINVAL, DX_EPERM, DX_ETIMEDOUT, DX_ECLOSED, what else the node
 * says; DX_ELIMIT when the room is too small: then `text_out` has the answer's beginning; after any
 * other failure it is empty.
 * Threads: any, no handler. */
DX_API DX_NODISCARD int dx_client_ask(dx_client_t *client, const char *question,
                                      const char *argument, char *text_out, size_t text_bytes,
                                      dx_error_t *error);

typedef struct dx_client_stats {
    dx_client_state_t state;
    char address[256]; /* in use, or tried */
    char node_name[256];
    uint64_t published; /* put into the window */
    uint64_t acknowledged;
    uint64_t refused;  /* receipts with an error, and what ERROR frames refused */
    uint64_t retried;  /* sent once more after a reconnect */
    uint64_t received; /* events */
    uint64_t gaps;     /* and their events */
    uint64_t gap_events;
    uint64_t reconnects;
    uint64_t lost; /* unacknowledged publications that were in the window of a connection
                             * that broke: not known whether they arrived */
    uint64_t window_bytes, window_events; /* in use now */
    int64_t rtt_ns;                       /* of the last PING */
    /* On the wire, of all its connections, and BATCH frames among it. */
    uint64_t bytes_in, bytes_out, batches_in, batches_out;
    uint64_t acks_ignored; /* of events of a node that was started anew since */
} dx_client_stats_t;

/* Threads: any. */
DX_API void dx_client_stats(const dx_client_t *client, dx_client_stats_t *stats_out);

DX_EXTERN_C_END

#endif
