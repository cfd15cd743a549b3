/* snippets_prelude.h - what a snippet of the documents may take for granted: headers, an event
 * type, and the objects that earlier snippets made. See test_docs_snippets.py.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SNIPPETS_PRELUDE_H
#define SNIPPETS_PRELUDE_H

#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <disruptorx/bus.h>
#include <disruptorx/client.h>
#include <disruptorx/clock.h>
#include <disruptorx/consumer.h>
#include <disruptorx/counters.h>
#include <disruptorx/disruptor.h>
#include <disruptorx/error.h>
#include <disruptorx/histogram.h>
#include <disruptorx/log.h>
#include <disruptorx/memory.h>
#include <disruptorx/producer.h>
#include <disruptorx/ring.h>
#include <disruptorx/span.h>
#include <disruptorx/thread.h>
#include <disruptorx/wait.h>

typedef struct order {
    int64_t id;
    int64_t price;
    int64_t quantity;
    uint64_t account;
    bool valid;
} order_t;

extern dx_error_t error;
extern dx_ring_t *ring;
extern dx_disruptor_t *disruptor;
extern dx_producer_t producer;
extern dx_consumer_t consumer;
extern dx_consumer_t *poller;
extern dx_group_t group;
extern dx_group_t first;
extern dx_group_t second;
extern dx_handler_t handler;
extern dx_handler_t handlers[4];
extern dx_handler_t workers[4];
extern order_t order;
extern const char *text;
extern size_t bytes;
extern dx_bus_t *bus;
extern dx_publisher_t *publisher;
extern dx_subscription_t *subscription;
extern dx_client_t *client;
extern dx_client_subscription_t *remote;

enum { KIND_TEXT = 1 };

int on_order(void *context, void *event, int64_t sequence, bool end_of_batch);
int use(const order_t *event);
int on_event(void *context, const dx_event_t *event);
void on_gap(void *context, const dx_gap_t *gap);
void on_receipt(void *context, const dx_receipt_t *receipt);
bool is_large(void *context, const dx_event_t *event);
void report(int64_t code);

#endif
