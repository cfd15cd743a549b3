/* sweep.h - a participant is killed at each instruction of an operation; then the ring must be
 * whole.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SWEEP_H
#define SWEEP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include "disruptorx/consumer.h"
#include "disruptorx/producer.h"
#include "disruptorx/ring.h"
#include "disruptorx/span.h"

#define SWEEP_SLOTS 8
#define SWEEP_SPAN_SLOTS 64 /* a page */
#define SWEEP_NAME "swept"

typedef struct sweep_event {
    int64_t value;
    int64_t check; /* ~value: a torn event does not have it */
} sweep_event_t;

/* The payload of a span is several of them, all alike. */
#define SWEEP_COPIES(value) (1 + (value) % 17)

/* What the victim says of itself, in memory that outlives it. */
typedef struct sweep_journal {
    dx_atomic64_t phase;     /* SWEEP_*: where it is */
    dx_atomic64_t attempted; /* bit v: it has begun to publish its event of value v */
    dx_atomic64_t published; /* bit v: that publish has returned */
    dx_atomic64_t helper;    /* pid of a process that the victim kills when it gets ready */
    dx_atomic64_t ready;     /* the victim has set the scene for a thread of the survivor */
} sweep_journal_t;

enum {
    SWEEP_BEFORE = 0,
    SWEEP_INSIDE = 1, /* the operation that is swept */
    SWEEP_AFTER = 2
};

/* What a case has to work with; the victim has the copy of fork(). */
typedef struct sweep {
    const char *folder;
    dx_ring_mode_t mode;
    bool spans;
    sweep_journal_t *journal;

    /* The survivor's. */
    dx_ring_t *ring; /* NULL while the case makes it itself */
    dx_consumer_t reader;
    bool reading; /* `reader` is open */
    dx_producer_t writer;
    bool writing;
    pthread_t sleeper; /* a thread that uses `reader`, or `writer` */
    bool sleeper_reads;
    bool sleeper_writes;
    dx_atomic64_t sleeper_at; /* reads: what it has released; writes: 1 when it is done */
    dx_atomic64_t sleeper_ends;

    /* The victim's. */
    dx_ring_t *own;
    dx_producer_t producer;
    dx_consumer_t consumer;
    int64_t sequences[4];
} sweep_t;

typedef struct sweep_case {
    const char *name;
    dx_ring_mode_t mode;
    bool spans;
    bool makes;  /* the victim makes, or removes, the ring: the survivor has none meanwhile */
    bool sleeps; /* the operation may sleep in the kernel: it is killed there, too */
    void (*prepare)(sweep_t *); /* survivor, before the fork; may be NULL */
    void (*arrange)(sweep_t *); /* victim, at full speed; may be NULL */
    void (*operate)(sweep_t *); /* victim, instruction by instruction */
    void (*mend)(sweep_t *);    /* survivor, after the kill: what is its to do; may be NULL */
} sweep_case_t;

extern const sweep_case_t sweep_cases[];
extern const int sweep_case_count;

/* Stops the program: what is wrong, and how to run exactly this again. */
__attribute__((format(printf, 1, 2), noreturn)) void sweep_fail(const char *format, ...);

#define sweep_check(condition)                                                                     \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            sweep_fail("%s:%d: %s", __FILE__, __LINE__, #condition);                               \
        }                                                                                          \
    } while (0)

/* Ring options of the case. */
dx_ring_options_t sweep_ring_options(const sweep_t *sweep);

/* Attaches to the ring. Stops the program when it can't. */
dx_ring_t *sweep_attach(const sweep_t *sweep);

/* The survivor's handles, if not open yet. */
void sweep_open_reader(sweep_t *sweep);
void sweep_open_writer(sweep_t *sweep);

/* Publishes `count` events of the survivor. Reads all that is there, and checks every event. */
void sweep_write(sweep_t *sweep, int64_t count);
void sweep_read(sweep_t *sweep);

/* Threads of the survivor: one reads with `reader` until sleeper_ends. */
void *sweep_sleeper_reads(void *context);

#endif
