/* bus/publisher.h - what publisher.c and request.c share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BUS_PUBLISHER_H
#define DXI_BUS_PUBLISHER_H

#include "bus/runtime.h"
#include "trace/sampler.h"

#define DXI_TOPICS_KNOWN 16
#define DXI_INBOX_PREFIX "$inbox."
#define DXI_INBOX_BYTES 24 /* the prefix, 16 digits, NUL */

/* What a publisher has found out about a topic. */
typedef struct dxi_topic_known {
    uint32_t hash;
    uint32_t bytes;  /* 0: nothing is known */
    int64_t version; /* of the table of declared topics */
    bool keyed, fail, internal;
    char name[DX_TOPIC_BYTES_MAX + 1];
} dxi_topic_known_t;

struct dx_publisher {
    dx_bus_t *bus;
    dx_publisher_t *next, *previous; /* of the bus, under shared_mutex */
    dx_publisher_options_t options;
    dx_producer_t *producers; /* one per shard, opened when first used */
    dxi_mailbox_t *mailbox;
    uint64_t origin;
    uint64_t producer_id;
    uint64_t next_sequence;
    uint64_t waited_sequence; /* of the last dx_publish_wait(); 0: none */
    bool idempotent;          /* all its messages are numbered: the program gave producer_id */
    uint64_t next_correlation;
    dx_subscription_t *inbox; /* of dx_request(); NULL: none yet */
    char inbox_topic[DXI_INBOX_BYTES];
    dxi_sampler_t sampler; /* of messages without a trace context */
    dxi_topic_known_t topics[DXI_TOPICS_KNOWN];
};

/* What goes with a message. */
typedef struct dxi_how {
    uint8_t type;
    uint16_t flags;
    bool internal; /* the topic may begin with '$' */
    uint64_t producer_id, producer_sequence;
    uint64_t correlation;
    int64_t timeout_ns; /* of a request; 0: none */
} dxi_how_t;

/* Puts a message into its shard's ring, and says which. Does not ring the bell.
 * Returns as dx_publish(). Threads: publisher. */
DX_NODISCARD int dxi_publisher_put(dx_publisher_t *publisher, const dx_message_t *message,
                                   const dxi_how_t *how, dxi_lane_t **lane_out, dx_error_t *error);

/* Before the message goes out: what is waited for, `correlation` when it is not 0. Then either
 * forget or wait. Threads: publisher. */
void dxi_mailbox_expect(dxi_mailbox_t *mailbox, uint64_t producer_sequence, uint64_t correlation,
                        void *reply, size_t reply_room);
void dxi_mailbox_forget(dxi_mailbox_t *mailbox);
/* Returns receipt_out->code, or DX_ETIMEDOUT. INT64_MAX is for ever. */
DX_NODISCARD int dxi_mailbox_wait(dxi_mailbox_t *mailbox, int64_t deadline_ns,
                                  dx_receipt_t *receipt_out, dx_error_t *error);

#endif
