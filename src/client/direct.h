/* client/direct.h - direct topics: publishing into, and reading from, a topic's ring in shared
 * memory, without the node on the way.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLIENT_DIRECT_H
#define DXI_CLIENT_DIRECT_H

#include <pthread.h>

#include "bus/direct_ask.h"
#include "bus/direct_slot.h"
#include "disruptorx/client.h"

typedef struct dxi_direct_outlet dxi_direct_outlet_t; /* a topic that this client publishes to */
typedef struct dxi_direct_inlet dxi_direct_inlet_t;   /* a subscription's place in a ring */

/* Of a client. */
typedef struct dxi_directs {
    dx_atomic32_t on;         /* the connection is local, and the node has direct topics */
    dx_atomic64_t generation; /* of connections: odd while there is one */
    dx_atomic64_t listed;     /* in which the names of direct topics were asked for */
    dx_atomic64_t outlets;    /* the first dxi_direct_outlet_t; they stay as long as the client */
    dx_atomic64_t received, gaps, gap_events;
    pthread_mutex_t lock;
    dxi_direct_inlet_t *inlets; /* under it */
} dxi_directs_t;

void dxi_directs_init(dxi_directs_t *directs);
/* Ends what is left. Threads: owner, before the client's thread ends. */
void dxi_directs_close(dx_client_t *client);

/* The connection is there, or gone. Threads: client. */
void dxi_directs_opened(dx_client_t *client, bool able);
void dxi_directs_broken(dx_client_t *client);

/* How many events went into rings. Threads: any. */
uint64_t dxi_directs_published(const dx_client_t *client);

/* --------------------------------------------------------------------------------- publishing */

/* The outlet of a topic; NULL when it is not direct, as far as is known. Threads: any. */
dxi_direct_outlet_t *dxi_direct_outlet(dx_client_t *client, const char *topic);

/* Publishes `count` plain messages of the topic, in order. `receipt_out`, for one message, may be
 * NULL. Returns how many, from the first; 0: over the connection instead; or as
 * dx_client_publish(). Threads: any. */
int dxi_direct_publish(dx_client_t *client, dxi_direct_outlet_t *outlet,
                       const dx_message_t *messages, int count, dx_receipt_t *receipt_out,
                       dx_error_t *error);

/* The same for one message as a whole sealed PUBLISH frame, which is written to. */
int dxi_direct_publish_frame(dx_client_t *client, dxi_direct_outlet_t *outlet, void *frame,
                             uint32_t bytes, dx_receipt_t *receipt_out, dx_error_t *error);

/* --------------------------------------------------------------------------------- subscribing */

/* Whether a subscription can be direct at all. */
bool dxi_direct_may_subscribe(const dx_client_t *client, const dx_subscription_options_t *options);

/* Begins a direct subscription. Returns DX_OK; DX_ENOTSUP when the topic is not direct or its ring
 * can't be had: then it goes over the connection. Threads: any, no handler. */
DX_NODISCARD int dxi_direct_inlet_open(dx_client_subscription_t *subscription,
                                       dxi_direct_inlet_t **inlet_out, dx_error_t *error);

/* Ends it; what is published by now is handled before, for at most until `deadline_ns`. Returns
 * DX_OK, DX_ETIMEDOUT, DX_EDEADLOCK in its own handler. `*moved_out`: the subscription goes on over
 * the connection and is to be ended there, too. Threads: any. */
int dxi_direct_inlet_close(dxi_direct_inlet_t *inlet, int64_t deadline_ns, bool *moved_out);

/* dx_client_poll(). */
int dxi_direct_inlet_poll(dxi_direct_inlet_t *inlet);

/* True in a thread that runs a handler of a direct subscription: nothing waits there. */
bool dxi_direct_in_handler(void);

#endif
