/* bus/queue.h - records between threads of the bus: a ring of spans, for events on their way to a
 * subscription's thread or to another loop.
 *
 * A record longer than a quarter of the ring could take is copied aside, and its address goes into
 * the ring instead: so the ring can be small, and still take the largest event.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BUS_QUEUE_H
#define DXI_BUS_QUEUE_H

#include <stdbool.h>

#include "base/alloc.h"
#include "disruptorx/span.h"

enum dxi_record_kind {
    DXI_RECORD_EVENT = 1,  /* the body is an EVENT frame */
    DXI_RECORD_GAP = 2,    /* a dxi_record_gap_t and the topic */
    DXI_RECORD_ANSWER = 3, /* a dxi_answer_t and the sentence */
    DXI_RECORD_END = 4,    /* a dxi_record_end_t and the sentence */
};

typedef struct dxi_record {
    uint64_t to;           /* a part's address, or the origin of a session */
    uint64_t subscription; /* of the session: its number, */
    uint64_t instance;     /* and which one of that number it was */
    uint64_t held;         /* as dxi_delivery_t has it */
    uint32_t attempt;
    uint32_t bytes; /* of the body */
    uint8_t kind;
    bool redelivered;
    bool aside; /* the body is elsewhere: its address follows */
    uint8_t zero[5];
} dxi_record_t;

typedef struct dxi_record_gap {
    uint64_t first, last;
    uint32_t shard;
    uint32_t topic_bytes;
} dxi_record_gap_t;

/* The body of a record, aligned to 8. */
DX_INLINE void *dxi_record_body(const dxi_record_t *record)
{
    void *body = (void *)((uintptr_t)record + sizeof *record);
    return DX_UNLIKELY(record->aside) ? *(void **)body : body;
}

/* Who has read a record says so, before it releases the span. */
DX_INLINE void dxi_record_done(const dxi_record_t *record)
{
    if (DX_UNLIKELY(record->aside)) {
        dxi_free(dxi_record_body(record));
    }
}

/* Puts a record into the ring; never waits.
 * Returns DX_OK, DX_EAGAIN when it is full, DX_ENOMEM for a long one, DX_ECLOSED.
 * Threads: producer. */
DX_NODISCARD int dxi_queue_push(dx_producer_t *producer, const dxi_record_t *record,
                                const void *body);

/* The same with a body of two pieces. Threads: producer. */
DX_NODISCARD int dxi_queue_push_two(dx_producer_t *producer, const dxi_record_t *record,
                                    const void *head, uint32_t head_bytes, const void *tail,
                                    uint32_t tail_bytes);

/* Frees what records left in the ring have aside. Threads: consumer, the last that uses it. */
void dxi_queue_drop(dx_consumer_t *consumer);

#endif
