/* broker.h - what the drivers of all message brokers share: the options, the messages and how they
 * are verified, and what a peer has to define.
 *
 * DESIGN
 *
 * One program per peer: driver.c, which has the scenarios, and one file with the functions
 * broker_link_*() below, which speak to that peer. A link is one connection.
 *
 *     throughput   one publisher process and `subscribers` subscriber processes, over a broker that
 *                  runs already. What each subscriber has received stands in memory that all share;
 *                  the publisher never gets further ahead of the slowest than `window` messages.
 *                  That is the same for every peer, so none has to drop or to block.
 *     latency      one process with two links: its first thread publishes a message each 1/rate
 *                  second, by the clock and not by the answers, and the second thread receives it.
 *                  A time counts from when the message should have been sent. On demand there are
 *                  subscribers of the same topic besides, in processes that have been stopped.
 *     polled       the same by one thread, which looks for answers until the next message is due:
 *                  on two CPUs it has one for itself, and the broker the other.
 *
 * INVARIANTS
 *
 *   I1  message s (from 1) has words[0] = s and words[i] = s * BROKER_MIX + i, in both modes
 *   I2  a sink takes s = 1, 2, 3 ...; another sequence is counted as lost or out of order, another
 *       word as corrupt; sequence 0 is a probe, which only shows that the subscription works
 *   I3  one thread writes a sink, and a tally has one sink
 *   I4  the publisher announces the last sequence before it sends it
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BROKER_H
#define BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "disruptorx/atomic.h"
#include "disruptorx/clock.h"
#include "disruptorx/histogram.h"

#define BROKER_INLINE static inline __attribute__((always_inline))
#define BROKER_TOPIC "bench.t"
#define BROKER_BYTES_MIN 16
#define BROKER_BYTES_MAX 65536
#define BROKER_SUBSCRIBERS_MAX 1000
#define BROKER_RATE_MAX 10000000
#define BROKER_WINDOW_MAX 16777216
#define BROKER_RECEIVE_MS 50 /* how long one broker_link_receive() may wait */
#define BROKER_MIX UINT64_C(0x9E3779B97F4A7C15)

enum broker_exit { BROKER_EXIT_OK = 0, BROKER_EXIT_WRONG = 1, BROKER_EXIT_USAGE = 2 };

typedef struct broker_options {
    const char *mode;    /* throughput, latency, polled */
    const char *address; /* tcp://host:port or unix:///path */
    const char
        *second_address; /* of subscribers, where the peer has another for them; NULL: none */
    const char *variant; /* a way of using the peer, as its file says; "": the usual one */
    uint64_t bytes;      /* of a message: a multiple of 8 */
    uint64_t events;     /* the most to publish; 0: no limit */
    uint64_t rate;       /* latency, polled: messages a second */
    uint64_t subscribers;
    uint64_t window;
    uint64_t stalled; /* latency: further subscribers, in processes that are stopped */
    double seconds;
    double warmup_seconds; /* latency, polled: not recorded at the start */
} broker_options_t;

/* What one subscriber has found; in shared memory, on its own lines. */
typedef struct broker_tally {
    dx_atomic64_t position; /* the highest sequence seen; the publisher reads it */
    dx_atomic64_t ready;    /* 1 after a probe, 2 when it has ended */
    int64_t last_ns;        /* when the last message came */
    uint64_t received;      /* in order */
    uint64_t disordered;    /* behind the position: late, or twice */
    uint64_t corrupt;
    uint64_t batches; /* reads that brought something */
    char pad[128 - 7 * sizeof(uint64_t)];
} broker_tally_t;

typedef struct broker_sink {
    broker_tally_t *tally;
    const dx_atomic64_t *total; /* the last sequence there will be; INT64_MAX before it is known */
    uint64_t bytes;
    uint64_t next; /* the sequence that should come next */
    uint64_t received;
    uint64_t disordered;
    uint64_t corrupt;
    bool probed;
    /* latency and polled only; `intended` is NULL otherwise */
    dx_histogram_t *intended;      /* from when it should have been sent */
    dx_histogram_t *sent;          /* from when it was */
    const dx_atomic64_t *sent_ns;  /* when message s was sent, at s mod BROKER_SENT_SLOTS */
    const dx_atomic64_t *start_ns; /* when message 1 should be sent */
    int64_t interval_ns;
    uint64_t warmup; /* messages not recorded */
} broker_sink_t;

#define BROKER_SENT_SLOTS 1048576

/* --- what a peer defines --- */

typedef struct broker_link broker_link_t;
typedef enum broker_role {
    BROKER_PUBLISHER,
    BROKER_SUBSCRIBER,
    BROKER_STALLED /* a subscriber that is going to stop, and must not hold up the publisher */
} broker_role_t;

extern const char *const broker_peer_name;

/* Connects, and subscribes to BROKER_TOPIC when it is a subscriber, whose messages go to `sink`
 * (NULL for a publisher). Ends the program with a sentence when it cannot. */
broker_link_t *broker_link_open(const broker_options_t *options, broker_role_t role,
                                broker_sink_t *sink);

/* Publishes; may keep the message in a buffer until that is full. */
void broker_link_publish(broker_link_t *link, const void *data, size_t bytes);

/* Sends what is in the buffer, now. */
void broker_link_flush(broker_link_t *link);

/* Gives the messages that are there to the sink; with `wait` it waits up to BROKER_RECEIVE_MS for
 * some. A peer that has a thread for it only waits here, and then can't be polled. */
void broker_link_receive(broker_link_t *link, bool wait);

/* Closes; the sink gets nothing more. */
void broker_link_close(broker_link_t *link);

/* --- messages --- */

/* Prints a sentence and ends the process with BROKER_EXIT_WRONG. */
void broker_fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

BROKER_INLINE void broker_message_fill(uint64_t *words, uint64_t bytes, uint64_t sequence)
{
    const uint64_t base = sequence * BROKER_MIX;
    words[0] = sequence;
    for (uint64_t i = 1; i < bytes / 8; i++) {
        words[i] = base + i;
    }
}

BROKER_INLINE bool broker_message_intact(const unsigned char *data, uint64_t bytes,
                                         uint64_t sequence)
{
    const uint64_t base = sequence * BROKER_MIX;
    uint64_t difference = 0;
    for (uint64_t i = 1; i < bytes / 8; i++) {
        uint64_t word;
        memcpy(&word, data + 8 * i, sizeof word);
        difference |= word ^ (base + i);
    }
    return difference == 0;
}

/* The latency half of taking a message. */
BROKER_INLINE void broker_sink_time(broker_sink_t *sink, uint64_t sequence)
{
    if (sequence <= sink->warmup) {
        return;
    }
    const int64_t now = dx_clock_ns();
    /* RELAXED, both: the broker stands between the stores, before the message was sent, and these
     * loads, and the kernel's sockets order them; they are atomic only because two threads use
     * them. */
    const int64_t start = dx_load_relaxed(sink->start_ns);
    const int64_t intended = start + (int64_t)(sequence - 1) * sink->interval_ns;
    const int64_t sent = dx_load_relaxed(&sink->sent_ns[sequence % BROKER_SENT_SLOTS]);
    dx_histogram_record(sink->intended, now - intended);
    dx_histogram_record(sink->sent, now - sent);
}

/* Verifies and counts one message. */
BROKER_INLINE void broker_sink_take(broker_sink_t *sink, const void *data, size_t bytes)
{
    uint64_t sequence = 0;
    if (bytes != sink->bytes) {
        sink->corrupt++;
        return;
    }
    memcpy(&sequence, data, sizeof sequence);
    if (sequence == 0) {
        sink->probed = true;
        return;
    }
    if (!broker_message_intact(data, bytes, sequence)) {
        sink->corrupt++;
        return;
    }
    if (sequence < sink->next) {
        sink->disordered++;
        return;
    }
    sink->next = sequence + 1;
    sink->received++;
    if (sink->intended != NULL) {
        broker_sink_time(sink, sequence);
    }
}

/* Makes what was taken visible to the publisher: once per batch. */
BROKER_INLINE void broker_sink_commit(broker_sink_t *sink)
{
    broker_tally_t *const tally = sink->tally;
    const int64_t position = (int64_t)sink->next - 1;
    if (position >= dx_load_relaxed(sink->total) && tally->last_ns == 0) {
        tally->last_ns = dx_clock_ns();
    }
    tally->received = sink->received;
    tally->disordered = sink->disordered;
    tally->corrupt = sink->corrupt;
    tally->batches++;
    /* RELEASE, pairs with the acquire in driver.c: whoever sees the position also sees the counts.
     * Cost: a plain store on x86. */
    dx_store_release(&tally->position, position);
    if (sink->probed && dx_load_relaxed(&tally->ready) == 0) {
        dx_store_release(&tally->ready, 1);
    }
}

#endif
