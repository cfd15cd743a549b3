/* storm.h - what the supervisor of crash_storm and its participants share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef STORM_H
#define STORM_H

#include <stdbool.h>
#include <stdint.h>

#include "disruptorx/atomic.h"
#include "disruptorx/clock.h"
#include "disruptorx/ring.h"

#define STORM_RING "storm"
#define STORM_IDS 2048 /* producers of one round, counted anew after each death */
#define STORM_KEEPERS 2
#define STORM_PATIENCE_NS INT64_C(20000000000)

/* Exit codes of a participant. */
#define STORM_DONE 0
#define STORM_EVICTED 3
#define STORM_BROKEN 4

typedef enum storm_kind { STORM_PRODUCER = 0, STORM_READER = 1, STORM_KEEPER = 2 } storm_kind_t;

/* What one producer says of itself before and after each publish. */
typedef struct storm_producer {
    dx_atomic64_t begun;     /* events of numbers up to this may have been published, from 1 */
    dx_atomic64_t published; /* events of numbers up to this: the publish has returned */
} storm_producer_t;

/* What a consumer that keeps its place knows, whoever of its name runs. */
typedef struct storm_keeper {
    dx_atomic64_t handled;    /* sequence; INT64_MIN: never ran */
    dx_atomic64_t opened;     /* 1: the following are valid */
    int64_t seen[STORM_IDS];  /* per producer: the number of its last event */
    int64_t floor[STORM_IDS]; /* per producer: its first event has at most the number behind this */
} storm_keeper_t;

/* Memory of the supervisor that outlives every participant. */
typedef struct storm_journal {
    dx_atomic64_t stop_producers;
    dx_atomic64_t stop_consumers;
    dx_atomic64_t next_id;
    dx_atomic64_t checked; /* events that consumers have looked at, in all */
    char folder[64];
    int64_t spans;
    storm_producer_t producers[STORM_IDS];
    storm_keeper_t keepers[STORM_KEEPERS];
} storm_journal_t;

typedef struct storm_event {
    int64_t id;
    int64_t number;
    uint64_t check;
} storm_event_t;

/* A small generator of its own per process. */
uint64_t storm_random(uint64_t *state);
int64_t storm_below(uint64_t *state, int64_t limit);

/* The life of a participant; returns its exit code. */
int storm_participate(storm_journal_t *journal, storm_kind_t kind, int64_t number, uint64_t seed);

#endif
