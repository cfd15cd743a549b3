/* disruptorx/ring.h - the ring: making it, closing it, looking at it.
 *
 * A ring has one order. Producers claim sequences, fill the slots in place and publish; consumers
 * follow the publication, or follow other consumers. The hot path is in disruptorx/producer.h and
 * disruptorx/consumer.h, both inline; a whole graph of handler threads is in
 * disruptorx/disruptor.h.
 *
 * Lifecycle:
 *
 *     dx_ring_create() -> OPEN -> dx_ring_close() -> CLOSED -> dx_ring_reopen() -> OPEN
 *     dx_ring_destroy() from any state, once no producer and no consumer is used any more
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DISRUPTORX_RING_H
#define DISRUPTORX_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "disruptorx/error.h"
#include "disruptorx/memory.h"
#include "disruptorx/platform.h"
#include "disruptorx/ring_block.h"
#include "disruptorx/wait.h"

DX_EXTERN_C_BEGIN

typedef struct dx_ring dx_ring_t; /* opaque */

/* Fills one event when the ring is made: `index` is the slot, from 0. */
typedef void (*dx_event_initialiser_t)(void *context, void *event, int64_t index);

/* Zero is a sane default in each field, except slot_count and event_bytes, which have none. */
typedef struct dx_ring_options {
    const char *name;       /* for eyes; copied; at most DX_RING_NAME_MAX bytes; NULL = "ring" */
    uint32_t slot_count;    /* capacity in events: a power of two, 2 to DX_RING_SLOT_COUNT_MAX */
    uint32_t event_bytes;   /* size of one event, 1 to DX_RING_EVENT_BYTES_MAX; slots are rounded up
                           * to a multiple of 8 */
    dx_ring_mode_t mode;    /* DX_RING_SINGLE or DX_RING_MULTI */
    uint32_t consumers_max; /* 0 = 16; at most DX_RING_CONSUMERS_MAX */
    uint32_t producers_max; /* multi: 0 = 16; at most DX_RING_PRODUCERS_MAX. Single: always 1 */
    dx_event_initialiser_t initialise; /* NULL: events start as zero bytes */
    void *initialise_context;
    int64_t first_sequence;     /* the sequence of the first event; 0 is usual */
    dx_memory_options_t memory; /* pages, NUMA node, locking; its size_bytes is set by the ring */
    uint64_t reserved[4];       /* must be zero */
} dx_ring_options_t;

/* Makes a ring and stores it in `*ring_out` (NULL on failure). All the memory it will ever use is
 * allocated here.
 * Returns DX_OK, DX_EINVAL, DX_ELIMIT (above DX_RING_BYTES_MAX, or memory locking), DX_ENOMEM,
 * DX_EPERM (memory locking), DX_ENOTSUP.
 * Threads: any. */
DX_API DX_NODISCARD int dx_ring_create(const dx_ring_options_t *options, dx_ring_t **ring_out,
                                       dx_error_t *error);

/* Closes the ring: claims fail with DX_ECLOSED from now on, and blocked producers are released with
 * it. A publish of an earlier claim still reaches the consumers, but returns DX_ECLOSED to say that
 * they may already have left. Consumers go on. Closing twice is allowed.
 * Threads: any. */
DX_API void dx_ring_close(dx_ring_t *ring);

/* Opens a closed ring again: claims succeed, sequences go on where they stood.
 * Threads: any. */
DX_API void dx_ring_reopen(dx_ring_t *ring);

/* Empties the ring: the next event has sequence `first_sequence`, and every consumer is placed just
 * before it. Nobody may be running.
 * Returns DX_OK, DX_EINVAL when negative, DX_ESTATE when a producer is open or a consumer is
 * RUNNING.
 * Threads: owner. */
DX_API DX_NODISCARD int dx_ring_reset(dx_ring_t *ring, int64_t first_sequence, dx_error_t *error);

/* Frees the ring. `ring` may be NULL. Handles on it must not be used afterwards.
 * Threads: owner. */
DX_API void dx_ring_destroy(dx_ring_t *ring);

/* The memory of the ring, for the inline functions and for tools that look at it.
 * Threads: any. */
DX_API dx_ring_block_t *dx_ring_block(const dx_ring_t *ring);

/* What pages the ring lies on, and where.
 * Threads: any. */
DX_API const dx_memory_t *dx_ring_memory(const dx_ring_t *ring);

/* The last sequence up to which everything is published, first_sequence - 1 when nothing is.
 * Threads: any. */
DX_API int64_t dx_ring_published(const dx_ring_t *ring);

/* The slowest sequence that holds producers back; what dx_ring_published() says when there is no
 * consumer.
 * Threads: any. */
DX_API int64_t dx_ring_consumed(const dx_ring_t *ring);

/* Free slots, 0 to slot_count, whatever happens at the same moment. A single producer's claims
 * count when they are published; dx_producer_remaining() knows them before.
 * Threads: any. */
DX_API int64_t dx_ring_remaining(const dx_ring_t *ring);

/* True when the event of that sequence is published and its slot not yet reused.
 * Threads: any. */
DX_API bool dx_ring_is_available(const dx_ring_t *ring, int64_t sequence);

/* What a ring looks like from outside. Numbers are read one after the other while others run, so
 * they are close to each other but not one instant. */
typedef struct dx_ring_stat {
    char name[DX_RING_NAME_MAX + 1];
    dx_ring_mode_t mode;
    uint32_t slot_count;
    uint32_t slot_bytes;
    uint64_t block_bytes;
    bool closed;
    int64_t published; /* last sequence */
    int64_t claimed;   /* last sequence; at least `published` */
    int64_t consumed;  /* slowest gating consumer */
    int64_t depth;     /* published - consumed: events waiting or being handled */
    int64_t remaining;
    int32_t producers;
    int32_t consumers;
    int64_t claim_waits;   /* times that a producer found the ring full */
    int64_t claim_wait_ns; /* time that producers waited */
    int64_t drops;
    int64_t refusals;
    int64_t aborts;
    int64_t wakes; /* sleeping consumers that producers woke */
} dx_ring_stat_t;

/* Threads: any. */
DX_API void dx_ring_stat(const dx_ring_t *ring, dx_ring_stat_t *stat_out);

typedef struct dx_consumer_stat {
    char name[DX_RING_NAME_MAX + 1];
    int32_t index;
    dx_consumer_kind_t kind;
    dx_consumer_state_t state;
    dx_wait_kind_t wait_kind;
    bool gating;       /* producers wait for it */
    bool asleep;       /* in the kernel at this moment */
    int32_t failure;   /* DX_E* when FAILED, else 0 */
    int64_t sequence;  /* last finished */
    int64_t lag;       /* published - sequence, at least 0 */
    uint64_t upstream; /* bit i: it follows consumer i; 0: it follows the publication */
    int64_t events;
    int64_t batches;
    int64_t batch_max;
    int64_t waits;
    int64_t sleeps;
    int64_t wakes;
    int64_t voids;
    int64_t skips;
    int64_t errors;
    int64_t retries;
    int64_t timeouts;
    int64_t follows;
} dx_consumer_stat_t;

/* Reads the counters of consumer `index`, 0 to consumers_max - 1.
 * Returns DX_OK, DX_ENOTFOUND when the entry is unused or out of range.
 * Threads: any. */
DX_API DX_NODISCARD int dx_ring_consumer_stat(const dx_ring_t *ring, int32_t index,
                                              dx_consumer_stat_t *stat_out);

DX_EXTERN_C_END
#endif
