/* stress.h - what the stress scenarios share: a run, events that can be checked, what breaks a run.
 *
 * A scenario is one random arrangement from one seed. It runs until everything that was published
 * has been seen, exactly: each consumer sees each event that was not aborted once, in order. Which
 * producer wrote it, its number there and its sequence are in the event, with a check word over
 * them. A run that makes no progress for the deadline (wait_test.h) is broken, too.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef STRESS_H
#define STRESS_H

#include <stdarg.h>
#include <unistd.h>

#include "wait_test.h"

#define STRESS_PRODUCERS_MAX 16
#define STRESS_CONSUMERS_MAX 32

typedef struct stress_event {
    int64_t sequence;
    int64_t producer;
    int64_t number; /* counted by its producer, from 0 */
    uint64_t check;
} stress_event_t;

typedef struct stress_run {
    uint64_t seed;
    int threads; /* how many to make: four per core */
    dx_atomic64_t progress;
    dx_atomic32_t threads_left; /* that have not ended */
    dx_atomic32_t broken;       /* 1: `what` is being written, 2: it is */
    char what[256];
} stress_run_t;

/* One who reads events and checks them. */
typedef struct stress_checker {
    stress_run_t *run;
    const char *name;
    int64_t seen;
    int64_t numbers[STRESS_PRODUCERS_MAX]; /* the next of each producer; -1: any, once */
} stress_checker_t;

/* Scenarios: each makes one run with the given seed and checks it. */
void stress_graph(stress_run_t *run);   /* random graph, strategies, batches, aborts, cancels */
void stress_relay(stress_run_t *run);   /* a chain of rings */
void stress_pollers(stress_run_t *run); /* pollers come and go under load */
void stress_pauses(stress_run_t *run);  /* groups of a disruptor pause and resume under load */
void stress_relinks(stress_run_t *run); /* who follows whom changes at random under load */
void stress_spans(stress_run_t *run);   /* events of any size, and who walks them */

/* Says what went wrong; only the first one counts. */
__attribute__((format(printf, 2, 3))) void stress_break(stress_run_t *run, const char *format, ...);
/* Prints where everybody stands: for who has to find out why a run is broken. */
void stress_show(const dx_ring_t *ring);

bool stress_is_broken(const stress_run_t *run);

/* A number from 0 to limit - 1. */
int64_t stress_random(uint64_t *random, int64_t limit);

/* Random, and none that blocks for longer than a millisecond or so by contract. */
dx_wait_options_t stress_wait(uint64_t *random);

void stress_fill(stress_event_t *event, int64_t sequence, int64_t producer, int64_t number);
void stress_spoil(stress_event_t *event); /* of a claim that is given up: nobody may see it */

void stress_checker_init(stress_checker_t *checker, stress_run_t *run, const char *name,
                         int64_t first_number);
void stress_check(stress_checker_t *checker, const stress_event_t *event, int64_t sequence);

/* Threads of a run. Starting more than it can hold fails the test. */
void stress_start(stress_run_t *run, void *(*body)(void *), void *context);

/* Waits until all threads have ended, calling `meanwhile` (may be NULL) now and then; then joins
 * them. False when the run is broken: its threads may still run, so nothing of it may be freed. */
bool stress_join(stress_run_t *run, void (*meanwhile)(void *), void *context);

/* To be called by a thread of a run as its last step: `return stress_end(run);`. */
void *stress_end(stress_run_t *run);

#endif
