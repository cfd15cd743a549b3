/* bus/dedup.h - publications that come again, recognised by producer id and producer sequence.
 *
 * Ids belong to an owner, which is a user: subscribers see ids, and one who publishes under an id
 * of another's must not make that one's publications look as if they had come before.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BUS_DEDUP_H
#define DXI_BUS_DEDUP_H

#include <stdint.h>

#include "bus/list.h"

/* What a publisher was told of a publication. */
typedef struct dxi_receipt {
    uint64_t producer_sequence; /* 0: none */
    uint64_t sequence;
    uint64_t timestamp_ns;
} dxi_receipt_t;

typedef struct dxi_producer dxi_producer_t;

typedef struct dxi_dedup {
    dxi_producer_t **table; /* by id, open addressing, at most half full */
    uint64_t mask;
    uint32_t count;
    uint32_t producers_max;
    uint64_t window_bytes; /* of all windows */
    dxi_list_t recent;     /* the producer heard of last comes first */
} dxi_dedup_t;

typedef enum dxi_seen {
    DXI_SEEN_NEVER, /* new */
    DXI_SEEN,       /* taken before; the receipt is known */
    DXI_SEEN_LONG,  /* too long ago to know more: it counts as taken */
} dxi_seen_t;

/* Threads: the shard's, here and below. */
void dxi_dedup_init(dxi_dedup_t *dedup, uint32_t producers_max);
void dxi_dedup_close(dxi_dedup_t *dedup);

/* The producer of an owner's id, made when it is new; who was not heard of longest makes room.
 * NULL: no memory. */
dxi_producer_t *dxi_dedup_producer(dxi_dedup_t *dedup, uint32_t owner, uint64_t producer_id);

/* Whether this publication was taken before. `receipt_out` is filled in after DXI_SEEN. */
dxi_seen_t dxi_dedup_seen(const dxi_producer_t *producer, uint64_t producer_sequence,
                          dxi_receipt_t *receipt_out);

/* It is taken now. */
void dxi_dedup_note(dxi_dedup_t *dedup, dxi_producer_t *producer, const dxi_receipt_t *receipt);

/* Asserts the invariants. */
void dxi_dedup_check(const dxi_dedup_t *dedup);

#endif
