/* rig.h - what every scenario needs: a small ring with its handles, and threads that fill and read
 * it. Each event carries its own sequence, so a slot that is read too early or too late shows.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef RIG_H
#define RIG_H

#include "machine.h"
#include "ring/ring_internal.h"

#define RIG_PRODUCERS 2
#define RIG_CONSUMERS 3

typedef struct rig {
    dx_ring_t *ring;
    dx_producer_t producers[RIG_PRODUCERS];
    dx_consumer_t consumers[RIG_CONSUMERS];
    int64_t seen[RIG_CONSUMERS];    /* events given to each consumer, written by its thread */
    int64_t sums[RIG_CONSUMERS];    /* and their values added up */
    int64_t written[RIG_PRODUCERS]; /* events that each producer has published */
    dx_atomic64_t flag;             /* for what a scenario wants to say between its threads */
} rig_t;

extern rig_t *rig; /* made anew for each run */

typedef struct rig_options {
    dx_ring_mode_t mode;
    uint32_t slot_count;
    int producers;       /* open from the start */
    dx_wait_kind_t wait; /* of everybody */
    dx_full_policy_t full;
} rig_options_t;

void rig_make(const rig_options_t *options);
void rig_end(void);

/* Opens consumer `index` of the rig behind those in `upstream`. */
void rig_consumer(int index, uint64_t upstream, dx_wait_kind_t wait);

/* Claims, writes and publishes `count` events one after the other, by whatever way of waiting the
 * producer has; a refusal for room is tried again. */
void rig_publish(int producer, int64_t count);

/* Claims one event and writes it. */
int64_t rig_claim(int producer);

/* Reads events until `count` were seen, by polling or by waiting. */
void rig_poll(int consumer, int64_t count);
void rig_wait(int consumer, int64_t count);

/* Reads by polling until `last` is released. */
void rig_poll_through(int consumer, int64_t last);

/* Reads what is readable up to `last` and releases it. */
void rig_take(int consumer, int64_t last);

#endif
