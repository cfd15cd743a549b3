/* 20_groups.c - workers that share the events of a topic, and what becomes of those that fail.
 *
 *     20_groups [address]
 *
 * Two workers form the group "billing". Each order goes to one of them, orders of one customer to
 * the same one and in their order. A worker that returns an error gets the order again; one that
 * says DX_EFATAL has it put aside, on the topic of dead letters. A third subscriber of a group of
 * its own acknowledges by itself, when it likes.
 *
 * Teaches: groups, keys, redelivery with a back-off, dead letters, explicit acknowledgement.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <disruptorx/atomic.h>
#include <disruptorx/client.h>
#include <disruptorx/clock.h>
#include <disruptorx/node.h>

#define DEADLINE_NS (10 * DX_NS_PER_S)

static dx_error_t error; /* of the main thread */

static void require(bool condition, const char *sentence)
{
    if (!condition) {
        fprintf(stderr, "20_groups: %s\n", sentence);
        exit(1);
    }
}

static void must(int code)
{
    require(code >= 0, error.code == code ? error.message : dx_error_text(code));
}

/* Without an address on the command line, a node of this process on any free port. */
static dx_node_t *node_begin(void)
{
    dx_config_t *config = NULL;
    dx_node_t *node = NULL;
    must(dx_config_create(&config, &error));
    must(dx_config_set(config, "listen.addresses", "tcp://127.0.0.1:0", &error));
    must(dx_config_set(config, "log.level", "warn", &error));
    must(dx_node_create(config, &node, &error));
    must(dx_node_start(node, &error));
    dx_config_destroy(config);
    return node;
}

/* Waits until another thread has counted that far. */
static void wait_for(const dx_atomic64_t *count, int64_t number)
{
    const int64_t deadline_ns = dx_clock_ns() + DEADLINE_NS;
    while (dx_load_acquire(count) < number) {
        require(dx_clock_ns() < deadline_ns, "something did not arrive");
    }
}

#define ORDERS 1000
#define CUSTOMERS 20

typedef struct order {
    int32_t number; /* from 1 */
    int32_t customer;
} order_t;

typedef struct worker {
    dx_client_t *client;
    dx_client_subscription_t *subscription;
    dx_atomic64_t done;
    int32_t last[CUSTOMERS]; /* the newest order of each customer */
} worker_t;

static int on_order(void *context, const dx_event_t *event)
{
    worker_t *const worker = context;
    order_t order;
    memcpy(&order, event->data, sizeof order);
    if (order.number == 500) {
        return DX_EFATAL; /* never: to the dead letters */
    }
    if (order.number % 100 == 7 && event->attempt == 1) {
        return DX_EAGAIN; /* not now: it comes again */
    }
    if (!event->redelivered) {
        require(worker->last[order.customer] < order.number, "orders of a customer are in order");
        worker->last[order.customer] = order.number;
    }
    (void)dx_fetch_add_relaxed(&worker->done, 1);
    return DX_OK;
}

static int on_dead(void *context, const dx_event_t *event)
{
    order_t order;
    memcpy(&order, event->data, sizeof order);
    printf("order %d was given up\n", order.number);
    (void)dx_fetch_add_relaxed(context, 1);
    return DX_OK;
}

/* The audit acknowledges only what it has written down: here, at once. */
static int on_audit(void *context, const dx_event_t *event)
{
    worker_t *const audit = context;
    if (event->sequence == 3 && event->attempt == 1) {
        return dx_client_nack(audit->subscription, event, DX_EIO); /* once more, please */
    }
    must(dx_client_ack(audit->subscription, event));
    (void)dx_fetch_add_relaxed(&audit->done, 1);
    return DX_OK;
}

static void join(worker_t *worker, const char *address, const char *group, dx_event_fn on_event,
                 dx_ack_mode_t ack)
{
    must(dx_client_connect(&(dx_client_options_t){.address = address}, &worker->client, &error));
    must(dx_client_subscribe(worker->client,
                             &(dx_subscription_options_t){.pattern = "billing.orders",
                                                          .group = group,
                                                          .context = worker,
                                                          .on_event = on_event,
                                                          .ack = ack,
                                                          .attempts_max = 3,
                                                          .backoff_ns = DX_NS_PER_MS,
                                                          .dead_letter = "billing.dead"},
                             &worker->subscription, &error));
}

int main(int argc, char **argv)
{
    dx_node_t *const node = argc > 1 ? NULL : node_begin();
    const char *const address = node != NULL ? dx_node_address(node, 0) : argv[1];

    worker_t workers[2] = {{0}}, audit = {0};
    join(&workers[0], address, "billing", on_order, DX_ACK_AUTO);
    join(&workers[1], address, "billing", on_order, DX_ACK_AUTO);
    join(&audit, address, "audit", on_audit, DX_ACK_EXPLICIT);

    dx_client_t *client = NULL;
    dx_client_subscription_t *subscription = NULL;
    dx_atomic64_t dead = {0};
    must(dx_client_connect(&(dx_client_options_t){.address = address}, &client, &error));
    must(dx_client_subscribe(client,
                             &(dx_subscription_options_t){
                                 .pattern = "billing.dead", .on_event = on_dead, .context = &dead},
                             &subscription, &error));

    for (int32_t i = 1; i <= ORDERS; i++) {
        const order_t order = {.number = i, .customer = i % CUSTOMERS};
        const dx_message_t message = {.topic = "billing.orders",
                                      .data = &order,
                                      .bytes = sizeof order,
                                      .key = &order.customer,
                                      .key_bytes = sizeof order.customer};
        must(dx_client_publish(client, &message, &error));
    }

    wait_for(&dead, 1);
    wait_for(&audit.done, ORDERS);
    const int64_t deadline_ns = dx_clock_ns() + DEADLINE_NS;
    while (dx_load_acquire(&workers[0].done) + dx_load_acquire(&workers[1].done) < ORDERS - 1) {
        require(dx_clock_ns() < deadline_ns, "an order was lost");
    }
    require(dx_load_acquire(&workers[0].done) > 0 && dx_load_acquire(&workers[1].done) > 0,
            "both workers have work");
    fprintf(stderr, "%" PRId64 " and %" PRId64 " orders\n", dx_load_acquire(&workers[0].done),
            dx_load_acquire(&workers[1].done));
    printf("all orders are billed and audited\n");

    must(dx_client_close(workers[0].client, DEADLINE_NS));
    must(dx_client_close(workers[1].client, DEADLINE_NS));
    must(dx_client_close(audit.client, DEADLINE_NS));
    must(dx_client_close(client, DEADLINE_NS));
    dx_node_destroy(node);
    return 0;
}
