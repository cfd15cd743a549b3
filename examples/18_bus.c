/* 18_bus.c - topics and subscriptions in one process: the event bus.
 *
 * Teaches: a bus and its publishers; subscribing to a topic, to a pattern, to some of the events;
 * receipts and retries; a group that shares the work and acknowledges by hand; request and reply;
 * keyed topics; what a topic and a subscription count; stopping so that nothing is lost.
 *
 * Links libdisruptorx-node (pkg-config disruptorx-node).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <disruptorx/atomic.h>
#include <disruptorx/bus.h>
#include <disruptorx/clock.h>

#define ORDERS 300
#define SOON_NS (10 * DX_NS_PER_S)

static dx_error_t error;

static void require(bool condition, const char *sentence)
{
    if (!condition) {
        fprintf(stderr, "18_bus: %s\n", sentence);
        exit(1);
    }
}

static void must(int code)
{
    require(code >= 0, error.code == code ? error.message : dx_error_text(code));
}

typedef struct order {
    uint64_t id;
    uint64_t amount;
} order_t;

/* ------------------------------------------------------------------------------------- handlers */

static dx_atomic64_t counted; /* by three handlers in threads of their own */
static dx_atomic64_t large;
static dx_atomic64_t shared_out;

static int on_order(void *context, const dx_event_t *event)
{
    (void)event;
    (void)dx_fetch_add_relaxed(context, 1);
    return DX_OK;
}

/* Runs in the shard's thread, before the event is queued. */
static bool is_large(void *context, const dx_event_t *event)
{
    (void)context;
    return event->bytes == sizeof(order_t) && ((const order_t *)event->data)->amount >= 200;
}

/* A worker of a group. It acknowledges by hand: here at once, elsewhere when the work is done, from
 * any thread. The first attempt at order 7 fails and comes again, perhaps at another worker. */
typedef struct worker {
    dx_subscription_t *subscription;
    dx_atomic64_t ready; /* `subscription` is set */
} worker_t;

static int on_work(void *context, const dx_event_t *event)
{
    worker_t *worker = context;
    const order_t *order = event->data;
    while (dx_load_acquire(&worker->ready) == 0) {
    }
    if (order->id == 7 && event->attempt == 1) {
        return dx_subscription_nack(worker->subscription, event, DX_EBUSY);
    }
    (void)dx_fetch_add_relaxed(&shared_out, 1);
    return dx_subscription_ack(worker->subscription, event);
}

/* Answers questions. */
static int on_question(void *context, const dx_event_t *event)
{
    char answer[64];
    const int bytes = snprintf(answer, sizeof answer, "you asked: %.*s", (int)event->bytes,
                               (const char *)event->data);
    return dx_reply(context, event, answer, (size_t)bytes, NULL);
}

static void print_topic(void *context, const dx_topic_stats_t *stats)
{
    (void)context;
    printf("  %-16s %6llu events, %llu subscriptions\n", stats->name,
           (unsigned long long)stats->published, (unsigned long long)stats->subscriptions);
}

static void wait_for(const dx_atomic64_t *count, int64_t value)
{
    const int64_t until_ns = dx_clock_ns() + SOON_NS;
    while (dx_load_relaxed(count) < value) {
        require(dx_clock_ns() < until_ns, "events that were published did not arrive");
    }
}

/* ---------------------------------------------------------------------------------------- parts */

static void topics_and_patterns(dx_bus_t *bus, dx_publisher_t *publisher)
{
    dx_subscription_t *all = NULL;
    dx_subscription_t *some = NULL;
    must(dx_bus_on(bus, "orders.*", on_order, &counted, &all, &error));
    must(dx_bus_filter(bus, "orders.created", is_large, on_order, &large, &some, &error));

    for (uint64_t i = 1; i <= ORDERS; i++) {
        const order_t order = {i, i};
        must(dx_publish(publisher,
                        &(dx_message_t){.topic = i % 2 == 0 ? "orders.created" : "orders.paid",
                                        .data = &order,
                                        .bytes = sizeof order},
                        &error));
    }
    wait_for(&counted, ORDERS);
    wait_for(&large, 51); /* the even ones from 200 to 300 */

    dx_subscription_stats_t stats;
    must(dx_subscription_stats(all, &stats));
    require(stats.delivered == ORDERS && stats.dropped == 0, "the subscription counts wrong");
    must(dx_subscription_close(some, SOON_NS)); /* what is queued is handled */
    must(dx_subscription_close(all, SOON_NS));
    printf("%d orders, %d of them large\n", ORDERS, 51);
}

static void receipts_and_batches(dx_bus_t *bus, dx_publisher_t *publisher)
{
    const dx_message_t message = {.topic = "audit", .data = "entry", .bytes = 5};
    dx_receipt_t receipt;
    must(dx_publish_wait(publisher, &message, &receipt, &error));
    require(receipt.sequence == 1, "the first event of a topic has sequence 1");
    /* Had that timed out, the same message could be said once more: it is taken once. */
    must(dx_publish_retry(publisher, &message, &receipt, &error));
    require(receipt.duplicate && receipt.sequence == 1, "a retry was taken twice");

    const dx_message_t batch[] = {message, message, message};
    require(dx_publish_batch(publisher, batch, 3, &error) == 3, "a batch was cut");
    must(dx_bus_publish(bus, "audit", "any thread", 10, &error));
}

static void a_group(dx_bus_t *bus, dx_publisher_t *publisher)
{
    static worker_t workers[3];
    for (int i = 0; i < 3; i++) {
        must(dx_bus_subscribe(bus,
                              &(dx_subscription_options_t){.pattern = "work",
                                                           .group = "workers",
                                                           .on_event = on_work,
                                                           .context = &workers[i],
                                                           .ack = DX_ACK_EXPLICIT,
                                                           .backoff_ns = DX_NS_PER_MS},
                              &workers[i].subscription, &error));
        dx_store_release(&workers[i].ready, 1);
    }
    for (uint64_t i = 1; i <= ORDERS; i++) {
        const order_t order = {i, i};
        const uint64_t customer = i % 10; /* orders of one customer stay in order */
        must(dx_publish(publisher,
                        &(dx_message_t){.topic = "work",
                                        .data = &order,
                                        .bytes = sizeof order,
                                        .key = &customer,
                                        .key_bytes = sizeof customer},
                        &error));
    }
    wait_for(&shared_out, ORDERS);
    for (int i = 0; i < 3; i++) {
        must(dx_subscription_close(workers[i].subscription, SOON_NS));
    }
    printf("%d orders shared out, one of them twice\n", ORDERS);
}

static void questions(dx_bus_t *bus, dx_publisher_t *publisher)
{
    char answer[64];
    size_t bytes = sizeof answer;
    const dx_message_t question = {.topic = "questions", .data = "why?", .bytes = 4};
    require(dx_request(publisher, &question, SOON_NS, answer, &bytes, &error) == DX_ENOTFOUND,
            "nobody answers yet, and that is said at once");
    dx_publisher_t *answering = NULL; /* a publisher is of one thread: the handler's */
    must(dx_publisher_open(bus, NULL, &answering, &error));
    dx_subscription_t *subscription = NULL;
    must(dx_bus_on(bus, "questions", on_question, answering, &subscription, &error));
    bytes = sizeof answer;
    must(dx_request(publisher, &question, SOON_NS, answer, &bytes, &error));
    printf("%.*s\n", (int)bytes, answer);
    must(dx_subscription_close(subscription, SOON_NS));
    dx_publisher_close(answering);
}

static void declared_topics(dx_bus_t *bus, dx_publisher_t *publisher)
{
    const dx_topic_options_t keyed = {.shard_by = DX_SHARD_BY_KEY, .retain_events = 100};
    must(dx_bus_topic_create(bus, "prices", &keyed, &error));
    dx_receipt_t receipt;
    must(dx_publish_wait(publisher,
                         &(dx_message_t){.topic = "prices", .key = "AAPL", .key_bytes = 4},
                         &receipt, &error));
    require(receipt.shard == dx_bus_shard_of(bus, "prices", "AAPL", 4), "a key has one shard");
    must(dx_bus_topic_change(bus, "prices", &(dx_topic_options_t){.retain_events = 10}, &error));
    dx_topic_stats_t stats;
    must(dx_bus_topic_stats(bus, "prices", &stats, &error));
    require(stats.published == 1 && stats.options.retain_events == 10, "the topic counts wrong");
    must(dx_bus_topic_list(bus, NULL, print_topic, NULL, &error));
    must(dx_bus_topic_delete(bus, "prices", &error));
}

int main(void)
{
    dx_bus_t *bus = NULL;
    dx_publisher_t *publisher = NULL;
    must(dx_bus_create(&(dx_bus_options_t){.shards = 4, .loops = 1}, &bus, &error));
    must(dx_bus_start(bus, &error));
    must(dx_publisher_open(bus, NULL, &publisher, &error));
    topics_and_patterns(bus, publisher);
    receipts_and_batches(bus, publisher);
    a_group(bus, publisher);
    questions(bus, publisher);
    declared_topics(bus, publisher);
    dx_publisher_close(publisher);
    must(dx_bus_stop(bus, SOON_NS, &error)); /* delivers what was published */
    dx_bus_destroy(bus);
    return 0;
}
