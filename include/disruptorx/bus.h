/* disruptorx/bus.h - topics and subscriptions, in this process and for clients on connections.
 *
 *     dx_bus_create() -> CREATED -> dx_bus_start() -> RUNNING -> dx_bus_stop() -> STOPPED
 *     dx_bus_destroy() from any state; NULL is allowed; stops first when running
 *
 *     dx_publisher_open(bus, NULL, &publisher, &error);                  one per thread
 *     dx_publish(publisher, &(dx_message_t){.topic = "orders.created", .data = order, .bytes = n});
 *     dx_bus_subscribe(bus, &(dx_subscription_options_t){.pattern = "orders.*",
 *                      .on_event = on_order, .context = &state}, &subscription, &error);
 *
 * A bus is a fixed number of shards. A shard is a ring with one order and one thread that gives it:
 * the sequence of each event in its topic, from 1 without gaps, and its timestamp. A topic lives in
 * the shard that its name hashes to; a topic that was declared with shard_by = DX_SHARD_BY_KEY is
 * spread by the keys of its events, and has a sequence of its own in each shard.
 *
 * What holds: one total order per shard; dense sequences per topic (and shard); events of one key
 * in order, to whoever gets them, groups included; an event that a publisher was told is published
 * is delivered to every subscription that was there and keeps up, and each one that is dropped is
 * counted and told to the subscriber as a gap. docs/guarantees.md says it by cases.
 *
 * The messages, options and statistics here are also those of the client of a remote node
 * (disruptorx/client.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DISRUPTORX_BUS_H
#define DISRUPTORX_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "disruptorx/error.h"
#include "disruptorx/frame.h"
#include "disruptorx/log.h"
#include "disruptorx/platform.h"
#include "disruptorx/thread.h"
#include "disruptorx/trace.h"

DX_EXTERN_C_BEGIN

/* --------------------------------------------------------------------------------------- limits */

#define DX_TOPIC_BYTES_MAX 255   /* of a name or pattern */
#define DX_TOPIC_TOKENS_MAX 32   /* parts between dots */
#define DX_GROUP_BYTES_MAX 255   /* of a group's name */
#define DX_FILTER_BYTES_MAX 1024 /* of a filter's text */
#define DX_FILTER_TERMS_MAX 16   /* comparisons in a filter */
#define DX_BUS_SHARDS_MAX 1024
#define DX_BUS_LOOPS_MAX 32
#define DX_BUS_TOPICS_MAX 1048576
#define DX_BUS_PUBLISHERS_MAX 128 /* open handles, of threads of the program */
#define DX_GROUP_MEMBERS_MAX 1024
#define DX_REQUESTS_MAX 65536 /* open at a time, per publisher or client */

/* ------------------------------------------------------------------------------------- messages */

/* What is published. Zero means absent; everything is copied before the call returns. */
typedef struct dx_message {
    const char *topic; /* a name: tokens of printable UTF-8 between dots; no '*', '>' or blanks; a
                        * first '$' is for the bus itself */
    const void *data;
    size_t bytes;
    const void *key; /* events with the same key keep their order wherever they go */
    size_t key_bytes;
    const dx_frame_pair_t *headers;
    uint16_t header_count;
    const dx_frame_trace_t *trace; /* W3C trace context; NULL: none */
    uint64_t correlation;          /* for the program; 0: none */
    const char *reply_to;          /* the topic that answers should go to; NULL: none */
    uint64_t reserved[4];          /* must be zero */
} dx_message_t;

/* What the shard said about a published message. */
typedef struct dx_receipt {
    int code; /* DX_OK, or why it was refused */
    uint16_t shard;
    uint32_t term;
    uint64_t sequence; /* of the event in its topic; 0 for a duplicate of so long ago that it is not
                        * remembered */
    uint64_t timestamp_ns;
    bool duplicate;       /* it had been taken before, under the same producer id and sequence */
    const char *sentence; /* why it was refused, until the callback returns; NULL when it was not,
                           * and where a dx_error_t says it */
} dx_receipt_t;

/* An event as a handler gets it. Pointers are valid until the handler returns. */
typedef struct dx_event {
    const char *topic; /* not ended by NUL: topic_bytes */
    uint32_t topic_bytes;
    uint32_t bytes;
    const void *data; /* aligned to 8 */
    uint64_t sequence;
    uint64_t timestamp_ns; /* since 1970, when its shard gave it its sequence */
    uint16_t shard;
    bool redelivered;
    bool end_of_batch; /* nothing more is there at the moment: the time to flush */
    uint32_t attempt;  /* from 1: which delivery of this event it is, where it is acknowledged */
    uint32_t term;
    const void *key;
    uint32_t key_bytes;
    uint64_t correlation;         /* 0: none */
    const dx_frame_view_t *frame; /* all the rest: headers, trace, reply_to. Its header may be that
                                   * of several events: the sequence of this one stands above */
} dx_event_t;

/* --------------------------------------------------------------------------------------- topics */

typedef enum dx_shard_by { DX_SHARD_BY_TOPIC = 0, DX_SHARD_BY_KEY = 1 } dx_shard_by_t;

/* What a publisher in the process meets when the shard's ring has no room. (No event of a client is
 * refused: its connection is not read on, and what its program meets then is the full window.) */
typedef enum dx_topic_full {
    DX_TOPIC_FULL_WAIT = 0, /* it waits, as long as its deadline says */
    DX_TOPIC_FULL_FAIL = 1  /* DX_EAGAIN at once */
} dx_topic_full_t;

/* How a topic is declared. Zero = default. A topic that is not declared is made on its first use,
 * with the defaults of the bus. */
typedef struct dx_topic_options {
    dx_shard_by_t shard_by;
    dx_topic_full_t full;
    uint64_t retain_events; /* events kept in memory for those who start behind or lag; 0: the bus's
                             * default; DX_RETAIN_NONE: none */
    uint64_t retain_bytes;  /* 0: the bus's default */
    int64_t retain_age_ns;  /* 0: without a limit; what is older goes within a second */
    uint32_t event_bytes_max; /* of the payload; 0: the bus's limit; of a direct topic
                               * DX_DIRECT_EVENT_BYTES: its slots are as large as this */
    uint32_t
        direct_bytes;     /* 0: not direct. Else the topic has a ring of its own of so many bytes in
                            * shared memory, a power of two: programs of the node's user on its host
                            * publish and read there without a system call. Can't be changed */
    uint64_t reserved[4]; /* must be zero */
} dx_topic_options_t;

#define DX_DIRECT_BYTES_MIN 65536u
#define DX_DIRECT_BYTES_MAX 1073741824u
#define DX_DIRECT_EVENT_BYTES 248u /* payload, when the topic does not say */
#define DX_DIRECT_EVENT_BYTES_MAX 65528u
#define DX_RETAIN_NONE UINT64_MAX
#define DX_RETAIN_EVENTS_MAX UINT64_C(16777216)
#define DX_RETAIN_BYTES_MAX UINT64_C(17179869184)

/* Numbers of a topic, summed over its shards. Times are of the last 10 seconds or so. */
typedef struct dx_topic_stats {
    char name[DX_TOPIC_BYTES_MAX + 1];
    dx_topic_options_t options;
    bool declared;
    uint16_t shard;           /* the first that has it */
    uint16_t shards;          /* how many have it */
    uint64_t published;       /* events that got a sequence */
    uint64_t published_bytes; /* of their payloads */
    uint64_t refused;         /* publications that were not taken: too large, bad, not permitted */
    uint64_t duplicates;
    uint64_t delivered; /* events times subscriptions */
    uint64_t redelivered;
    uint64_t dropped;        /* missed by a subscription, by its policy or as its client takes no
                              * frame of that size, each told as a gap */
    uint64_t dead;           /* given up after the last attempt, sent to the dead-letter topic */
    uint64_t filtered;       /* left out by subscriptions' filters */
    uint64_t unheard;        /* published while nobody subscribed */
    uint64_t first_sequence; /* kept, 0: none */
    uint64_t last_sequence;
    uint64_t retained_events;
    uint64_t retained_bytes;
    double rate_1m; /* events a second, exponentially weighted over 1, 5 and 15 minutes */
    double rate_5m;
    double rate_15m;
    uint32_t subscriptions;
    uint64_t depth;         /* slots of 64 bytes in use in its shards' rings, by all their topics */
    uint64_t lag_max;       /* of the subscription that is furthest behind, in events */
    int64_t latency_p50_ns; /* from the publisher's claim to the hand-over to subscriptions; 0 when
                             * nothing was measured */
    int64_t latency_p99_ns;
    int64_t latency_max_ns;
} dx_topic_stats_t;

/* -------------------------------------------------------------------------------- subscriptions */

typedef enum dx_start_from {
    DX_FROM_LATEST = 0,   /* what is published from now on */
    DX_FROM_EARLIEST = 1, /* all that is kept */
    DX_FROM_SEQUENCE = 2, /* from this sequence of the topic on */
    DX_FROM_TIME = 3      /* from the first event at or after this time; one to come is as LATEST */
} dx_start_from_t;

/* When an event counts as done. */
typedef enum dx_ack_mode {
    DX_ACK_DEFAULT = 0, /* NONE without a group, AUTO in one */
    DX_ACK_NONE = 1,    /* when it is handed over: at most once */
    DX_ACK_AUTO = 2, /* when the handler has returned DX_OK; another result is a negative answer */
    DX_ACK_EXPLICIT = 3 /* when the program calls ack or nack */
} dx_ack_mode_t;

/* What becomes of events for which a subscription has no room. */
typedef enum dx_slow_policy {
    DX_SLOW_DROP = 0,  /* the oldest that are no longer kept by the topic are left out, and the
                        * subscriber gets their range as a gap */
    DX_SLOW_BLOCK = 1, /* the shard waits for it, and so do publishers; at most slow_block_ns, then
                        * DROP until it has caught up */
    DX_SLOW_DISCONNECT = 2 /* the subscription ends with DX_ELIMIT */
} dx_slow_policy_t;

/* Where a handler in this process runs. */
typedef enum dx_dispatch {
    DX_DISPATCH_THREAD = 0, /* in a thread of the subscription's own, behind a ring of its own */
    DX_DISPATCH_SHARD = 1,  /* in the shard's thread, on the event where it lies: the least latency;
                             * the handler must not block, and each microsecond of it is one for
                             * everybody. With a pattern, or a keyed topic, and several loops it is
                             * called by several threads at a time */
    DX_DISPATCH_POLL = 2    /* clients, direct topics: in dx_client_poll() */
} dx_dispatch_t;

/* Handles an event. Returns DX_OK; with AUTO a negative code asks for redelivery, and DX_EFATAL for
 * the dead-letter topic at once. */
typedef int (*dx_event_fn)(void *context, const dx_event_t *event);

/* Handles several events, first to last, of one or more topics. Returns how many are done, from the
 * first on; a smaller number than `count` is as if the next one had returned an error. */
typedef int (*dx_events_fn)(void *context, const dx_event_t *events, int count);

/* These sequences of a topic will not come: dropped by policy, or not kept any more. */
typedef struct dx_gap {
    const char *topic; /* not ended by NUL */
    uint32_t topic_bytes;
    uint16_t shard;
    uint64_t first;
    uint64_t last;
} dx_gap_t;
typedef void (*dx_gap_fn)(void *context, const dx_gap_t *gap);

/* The subscription has ended, and why; the last call. */
typedef void (*dx_end_fn)(void *context, int code, const char *sentence);

/* Decides about an event before it is queued. In process only, in the shard's thread. */
typedef bool (*dx_predicate_fn)(void *context, const dx_event_t *event);

#define DX_BATCH_EVENTS_MAX 1024
#define DX_PENDING_EVENTS_MAX 1048576
#define DX_ATTEMPTS_MAX 1000000

/* Zero = default, but `pattern` and one of the handlers. Copied. */
typedef struct dx_subscription_options {
    const char *pattern; /* a topic, or with `*` for one token, `>` for all the rest */
    const char *group;   /* its members share the events: each goes to one; NULL: no group. UTF-8
                          * without control characters */
    const char *name;    /* for eyes and statistics, as `group`, at most 63 bytes; NULL: made up */
    void *context;
    dx_event_fn on_event; /* one of the two */
    dx_events_fn on_batch;
    dx_gap_fn on_gap; /* may be NULL: gaps are counted all the same */
    dx_end_fn on_end; /* may be NULL */
    dx_start_from_t from;
    uint64_t from_value; /* the sequence, or ns since 1970 */
    dx_ack_mode_t ack;
    dx_slow_policy_t slow;
    int64_t slow_block_ns;       /* 0 = 1 s */
    dx_dispatch_t dispatch;      /* in process only, but POLL: clients only */
    const char *filter;          /* such as: key = "AAPL" and header.kind != "test"; NULL: none */
    dx_predicate_fn predicate;   /* in process only; NULL: none */
    uint32_t queue_events;       /* events on their way to the handler; 0 = 8192 */
    uint32_t queue_bytes;        /* and their bytes; 0 = 4 MiB; rounded up to a power of two */
    uint32_t pending_events_max; /* acknowledged delivery: not yet acknowledged; 0 = 1024 */
    uint32_t attempts_max;       /* deliveries of one event before it is given up; 0 = 5 */
    int64_t ack_timeout_ns;      /* redelivered when not acknowledged in time; 0 = 30 s */
    int64_t backoff_ns;          /* before a redelivery, doubled each time; 0 = 100 ms */
    int64_t backoff_max_ns;      /* 0 = 10 s */
    const char *dead_letter;     /* the topic that gets what is given up; NULL: "$dead.<topic>" */
    dx_thread_options_t thread;  /* of DX_DISPATCH_THREAD */
    uint64_t reserved[4];        /* must be zero */
} dx_subscription_options_t;

typedef struct dx_subscription_stats {
    char name[64];
    char pattern[DX_TOPIC_BYTES_MAX + 1];
    char group[DX_GROUP_BYTES_MAX + 1];
    bool remote;
    uint64_t delivered;
    uint64_t redelivered;
    uint64_t acknowledged;
    uint64_t refused; /* negative answers */
    uint64_t dropped;
    uint64_t gaps;
    uint64_t dead;
    uint64_t filtered;
    uint64_t pending;    /* delivered and not acknowledged */
    uint64_t lag;        /* events of its topics that it has not been given yet */
    int64_t lag_unix_ns; /* when the oldest of these that is kept was published; 0: there is none */
} dx_subscription_stats_t;

/* ------------------------------------------------------------------------------------------ bus */

typedef struct dx_bus dx_bus_t;                   /* opaque */
typedef struct dx_publisher dx_publisher_t;       /* opaque: of one thread */
typedef struct dx_subscription dx_subscription_t; /* opaque */

/* Zero = default. */
typedef struct dx_bus_options {
    uint32_t shards; /* 0 = 16; a power of two, at most DX_BUS_SHARDS_MAX */
    uint32_t loops;  /* threads that serve shards and connections, io.0 ...; 0: half of the
                                * processors, at least 1 */
    uint32_t shard_ring_bytes; /* of each shard, a power of two; 0 = 1 MiB */
    uint32_t event_bytes_max;  /* of a payload; 0 = 128 KiB; a quarter of the ring at most */
    uint32_t topics_max;       /* 0 = 65536 */
    dx_topic_options_t
        topic; /* defaults of topics; retain_events 0 = 1024, retain_bytes 0 = 1 MiB; shard_by and
                * direct_bytes must be 0 */
    uint64_t retain_bytes_max;  /* of all topics together; 0 = 256 MiB */
    uint32_t producers_max;     /* idempotent publishers remembered per shard; 0 = 4096 */
    uint32_t subscriptions_max; /* 0 = 65536 */
    bool busy_poll;             /* the loops spin instead of sleeping */
    int64_t spin_ns;        /* how long a loop looks for work before it sleeps; 0 = 20 us; -1: not
                                * at all */
    dx_cpu_set_t cpus;      /* of the loops; empty: no wish */
    bool no_topic_creation; /* topics must be declared */
    dx_log_t *log;          /* NULL: no log */
    dx_tracer_t *tracer;    /* records spans (disruptorx/trace.h); outlives the bus; NULL: none */
    uint64_t reserved[3];   /* must be zero */
} dx_bus_options_t;

/* Allocates rings and tables and stores the bus in `*bus_out` (NULL on failure). `options` may be
 * NULL.
 * Returns DX_OK, DX_EINVAL, DX_ENOMEM, DX_ELIMIT.
 * Threads: any. */
DX_API DX_NODISCARD int dx_bus_create(const dx_bus_options_t *options, dx_bus_t **bus_out,
                                      dx_error_t *error);

/* Starts the loops.
 * Returns DX_OK, DX_ESTATE when not CREATED, DX_EIO when a thread can't be made.
 * Threads: owner. */
DX_API DX_NODISCARD int dx_bus_start(dx_bus_t *bus, dx_error_t *error);

/* Refuses new publications with DX_ECLOSED, delivers what was published, for at most `timeout_ns`,
 * ends all subscriptions, ends the loops. Stopping twice is allowed.
 * Returns DX_OK, DX_ETIMEDOUT when events were left (error says how many), DX_ESTATE when never
 * started.
 * Threads: owner. */
DX_API int dx_bus_stop(dx_bus_t *bus, int64_t timeout_ns, dx_error_t *error);

/* `bus` may be NULL. Publishers and subscriptions must not be used afterwards.
 * Threads: owner. */
DX_API void dx_bus_destroy(dx_bus_t *bus);

/* The shard of a message, by the topic's declaration.
 * Threads: any. */
DX_API uint16_t dx_bus_shard_of(dx_bus_t *bus, const char *topic, const void *key,
                                size_t key_bytes);

/* Declares a topic. Declaring it again with the same options is allowed.
 * Returns DX_OK, DX_EINVAL, DX_EEXIST when it is there with others, DX_ELIMIT, DX_ENOMEM,
 * DX_ESTATE.
 * Threads: any but a handler in the shard's thread; waits for the shards. */
DX_API DX_NODISCARD int dx_bus_topic_create(dx_bus_t *bus, const char *name,
                                            const dx_topic_options_t *options, dx_error_t *error);

/* Changes retention, size limit and full policy of a topic; shard_by can't be changed.
 * Returns DX_OK, DX_EINVAL, DX_ENOTFOUND, DX_ESTATE.
 * Threads: as dx_bus_topic_create(). */
DX_API DX_NODISCARD int dx_bus_topic_change(dx_bus_t *bus, const char *name,
                                            const dx_topic_options_t *options, dx_error_t *error);

/* Forgets a topic, its events and its sequence. Subscriptions stay.
 * Returns DX_OK, DX_ENOTFOUND, DX_ESTATE.
 * Threads: as dx_bus_topic_create(). */
DX_API DX_NODISCARD int dx_bus_topic_delete(dx_bus_t *bus, const char *name, dx_error_t *error);

/* Numbers of one topic (the seed's getTopicStats).
 * Returns DX_OK, DX_ENOTFOUND, DX_ESTATE.
 * Threads: as dx_bus_topic_create(). */
DX_API DX_NODISCARD int dx_bus_topic_stats(dx_bus_t *bus, const char *name,
                                           dx_topic_stats_t *stats_out, dx_error_t *error);

typedef void (*dx_topic_visitor_t)(void *context, const dx_topic_stats_t *stats);

/* Calls `visit` for every topic that matches `pattern` (NULL: all but those that begin with '$'),
 * in the order of names.
 * Returns how many, or DX_EINVAL, DX_ENOMEM, DX_ESTATE.
 * Threads: as dx_bus_topic_create(). */
DX_API DX_NODISCARD int dx_bus_topic_list(dx_bus_t *bus, const char *pattern,
                                          dx_topic_visitor_t visit, void *context,
                                          dx_error_t *error);

/* ----------------------------------------------------------------------------------- publishing */

typedef struct dx_publisher_options {
    uint64_t producer_id; /* 0: made up, so that no other has it. Give one that outlives the process
                           * to have retries recognised after a restart */
    uint64_t first_sequence; /* 0 = 1: of its next message */
    bool fail_when_full;     /* DX_EAGAIN instead of waiting */
    int64_t timeout_ns;      /* how long a call waits; 0: for ever */
    uint64_t reserved[4];    /* must be zero */
} dx_publisher_options_t;

/* Makes a publisher for one thread at a time. `options` may be NULL.
 * Returns DX_OK, DX_EINVAL, DX_ELIMIT, DX_ENOMEM, DX_ESTATE when the bus does not run.
 * Threads: any. */
DX_API DX_NODISCARD int dx_publisher_open(dx_bus_t *bus, const dx_publisher_options_t *options,
                                          dx_publisher_t **publisher_out, dx_error_t *error);

/* `publisher` may be NULL.
 * Threads: owner. */
DX_API void dx_publisher_close(dx_publisher_t *publisher);

/* Publishes and does not wait for an answer.
 * Returns DX_OK when it is in its shard's ring: it will get a sequence, unless the topic refuses it
 * (counted as refused); DX_EAGAIN when the ring is full and the topic or publisher does not wait;
 * DX_ETIMEDOUT; DX_EINVAL, DX_ELIMIT (too large), DX_ECLOSED.
 * Threads: publisher; not in a handler in the shard's thread, unless with fail_when_full. */
DX_API DX_NODISCARD int dx_publish(dx_publisher_t *publisher, const dx_message_t *message,
                                   dx_error_t *error);

/* Publishes several, in order, with one wake-up.
 * Returns how many went in, from the first; the reason for fewer stands in `error`; the reason
 * itself when none did.
 * Threads: as dx_publish(). */
DX_API DX_NODISCARD int dx_publish_batch(dx_publisher_t *publisher, const dx_message_t *messages,
                                         int count, dx_error_t *error);

/* Publishes and waits until the shard has answered. `receipt_out` may be NULL; its code is what is
 * returned.
 * Returns the receipt's code, or DX_ETIMEDOUT (it may have been taken: say it again with
 * dx_publish_retry() and it is taken once), or as dx_publish().
 * Threads: as dx_publish(), but never in a handler in a shard's thread. */
DX_API DX_NODISCARD int dx_publish_wait(dx_publisher_t *publisher, const dx_message_t *message,
                                        dx_receipt_t *receipt_out, dx_error_t *error);

/* The last message of dx_publish_wait() (of any call, when the program gave producer_id) once more,
 * under its sequence.
 * Returns as dx_publish_wait(); the receipt says whether it was a duplicate.
 * Threads: as dx_publish_wait(). */
DX_API DX_NODISCARD int dx_publish_retry(dx_publisher_t *publisher, const dx_message_t *message,
                                         dx_receipt_t *receipt_out, dx_error_t *error);

/* Publishes from any thread, through a publisher of the bus under a mutex: convenient, not fast.
 * Returns as dx_publish().
 * Threads: any but a handler in the shard's thread. */
DX_API DX_NODISCARD int dx_bus_publish(dx_bus_t *bus, const char *topic, const void *data,
                                       size_t bytes, dx_error_t *error);

/* ---------------------------------------------------------------------------------- subscribing */

/* Subscribes. When it returns, every event that is published from now on is seen.
 * `subscription_out` is set before the first call of a handler, which may come before this returns.
 * Returns DX_OK; DX_EINVAL (pattern, options); DX_EPARSE (filter); DX_ELIMIT; DX_ENOMEM; DX_ESTATE.
 * Threads: any but a handler in the shard's thread. */
DX_API DX_NODISCARD int dx_bus_subscribe(dx_bus_t *bus, const dx_subscription_options_t *options,
                                         dx_subscription_t **subscription_out, dx_error_t *error);

/* Two short forms (the seed's on(topic) and filter(topic, predicate)): events of a topic or
 * pattern, from now on, in a thread of their own.
 * Returns and threads: as dx_bus_subscribe(). */
DX_API DX_NODISCARD int dx_bus_on(dx_bus_t *bus, const char *pattern, dx_event_fn on_event,
                                  void *context, dx_subscription_t **subscription_out,
                                  dx_error_t *error);
DX_API DX_NODISCARD int dx_bus_filter(dx_bus_t *bus, const char *pattern, dx_predicate_fn predicate,
                                      dx_event_fn on_event, void *context,
                                      dx_subscription_t **subscription_out, dx_error_t *error);

/* Ends a subscription: nothing new is queued, what is queued is handled (for at most `timeout_ns`;
 * 0: not at all), then it is freed. What was not acknowledged goes to other members of its group;
 * with DX_ACK_EXPLICIT no answer is waited for, and none may be given any more.
 * Returns DX_OK, DX_ETIMEDOUT when events were left; DX_EDEADLOCK in its own handler, and with
 * DX_DISPATCH_SHARD in any of those: then it is as it was.
 * Threads: any but its handler's. */
DX_API int dx_subscription_close(dx_subscription_t *subscription, int64_t timeout_ns);

/* Answers for events of DX_ACK_EXPLICIT: `event` is one that the handler got, or a copy of its
 * topic, shard and sequence. A negative answer with DX_EFATAL gives the event up at once.
 * Returns DX_OK, DX_EAGAIN when too many answers wait to be taken, DX_ECLOSED.
 * Threads: any. */
DX_API DX_NODISCARD int dx_subscription_ack(dx_subscription_t *subscription,
                                            const dx_event_t *event);
DX_API DX_NODISCARD int dx_subscription_nack(dx_subscription_t *subscription,
                                             const dx_event_t *event, int code);

/* Threads: any but a handler in the shard's thread. */
DX_API DX_NODISCARD int dx_subscription_stats(dx_subscription_t *subscription,
                                              dx_subscription_stats_t *stats_out);

/* ------------------------------------------------------------------------------- request, reply */

/* Publishes a request and waits for the first answer; `*bytes_inout` is the room of `data_out`, and
 * afterwards the bytes of the answer (of which only what fits is stored).
 * Returns DX_OK; DX_ETIMEDOUT; DX_ENOTFOUND at once when nobody subscribes to the topic; DX_ELIMIT
 * when the answer is longer than the room; as dx_publish().
 * Threads: publisher; not in a handler in a shard's thread. */
DX_API DX_NODISCARD int dx_request(dx_publisher_t *publisher, const dx_message_t *message,
                                   int64_t timeout_ns, void *data_out, size_t *bytes_inout,
                                   dx_error_t *error);

/* Answers a request: publishes to the reply_to of `event` with its correlation.
 * Returns as dx_publish(); DX_EINVAL when the event is no request.
 * Threads: as dx_publish(). */
DX_API DX_NODISCARD int dx_reply(dx_publisher_t *publisher, const dx_event_t *event,
                                 const void *data, size_t bytes, dx_error_t *error);

DX_EXTERN_C_END

#endif
