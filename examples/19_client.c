/* 19_client.c - publishing and subscribing through a node.
 *
 *     19_client [address]        such as tcp://127.0.0.1:7400; without one it starts a node itself
 *
 * Teaches: connecting; fire-and-forget, batches, receipts by waiting and by callback; a
 * subscription with single events and one with batches; gaps and the end of a subscription; topics
 * of the node and their numbers; what a client counts.
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
        fprintf(stderr, "19_client: %s\n", sentence);
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

#define TRADES 3000

typedef struct screen {
    dx_atomic64_t trades;
    dx_atomic64_t batches;
} screen_t;

static int on_trade(void *context, const dx_event_t *event)
{
    screen_t *const screen = context;
    int64_t price = 0;
    memcpy(&price, event->data, sizeof price); /* event->bytes of it, as they were published */
    require(price > 0, "a trade has a price");
    if (event->end_of_batch) {
        (void)dx_fetch_add_relaxed(&screen->batches, 1); /* the time to draw */
    }
    (void)dx_fetch_add_relaxed(&screen->trades, 1);
    return DX_OK;
}

/* The same by the batch: what has arrived, first to last. Returns how many are done. */
static int on_trades(void *context, const dx_event_t *events, int count)
{
    screen_t *const screen = context;
    require(events[count - 1].sequence != 0, "events have a sequence in their topic");
    (void)dx_fetch_add_relaxed(&screen->batches, 1);
    (void)dx_fetch_add_relaxed(&screen->trades, count);
    return count;
}

/* Too slow, and the topic does not keep them any more. */
static void on_gap(void *context, const dx_gap_t *gap)
{
    (void)context;
    fprintf(stderr, "%.*s: %" PRIu64 " to %" PRIu64 " will not come\n", (int)gap->topic_bytes,
            gap->topic, gap->first, gap->last);
}

static void on_end(void *context, int code, const char *sentence)
{
    (void)context;
    fprintf(stderr, "the subscription has ended: %s: %s\n", dx_error_name(code), sentence);
}

static void on_receipt(void *context, const dx_receipt_t *receipt)
{
    dx_atomic64_t *const receipts = context;
    if (receipt->code == DX_OK) {
        (void)dx_fetch_add_relaxed(receipts, 1);
    }
}

static void on_state(void *context, dx_client_state_t state, int code, const char *sentence)
{
    (void)context;
    fprintf(stderr, "state %d: %s (%s)\n", (int)state, sentence, dx_error_name(code));
}

/* 1000 trades each way: singly, in batches, and with receipts. */
static void publish(dx_client_t *client)
{
    int64_t price = 100;
    const dx_message_t trade = {.topic = "trades.ABC", .data = &price, .bytes = sizeof price};
    for (; price < 1100; price++) {
        must(dx_client_publish(client, &trade, &error));
    }
    dx_message_t batch[50];
    for (int i = 0; i < 50; i++) {
        batch[i] = trade;
    }
    for (int i = 0; i < 20; i++) {
        require(dx_client_publish_batch(client, batch, 50, &error) == 50, error.message);
    }
    dx_atomic64_t receipts = {0};
    for (int i = 0; i < 999; i++) {
        must(dx_client_publish_async(client, &trade, on_receipt, &receipts, &error));
    }
    dx_receipt_t receipt;
    must(dx_client_publish_wait(client, &trade, &receipt, &error));
    require(receipt.sequence == TRADES, "the sequences of a topic have no gaps");
    must(dx_client_flush(client, DEADLINE_NS, &error)); /* sent, and all receipts are there */
    require(dx_load_acquire(&receipts) == 999, "every publication was acknowledged");
}

static void on_topic(void *context, const dx_topic_stats_t *stats)
{
    (void)context;
    printf("  %s: %" PRIu64 " published\n", stats->name, stats->published);
}

static void look_at_topics(dx_client_t *client)
{
    dx_topic_stats_t stats;
    must(dx_client_topic_change(client, "trades.ABC", &(dx_topic_options_t){.retain_events = 5000},
                                &error));
    must(dx_client_topic_stats(client, "trades.ABC", &stats, &error));
    require(stats.published == TRADES && stats.options.retain_events == 5000, "wrong numbers");
    printf("topics:\n");
    require(dx_client_topic_list(client, "trades.*", on_topic, NULL, &error) == 1, error.message);
    must(dx_client_topic_delete(client, "trades.ABC", &error));
}

int main(int argc, char **argv)
{
    dx_node_t *const node = argc > 1 ? NULL : node_begin();
    const char *const address = node != NULL ? dx_node_address(node, 0) : argv[1];

    dx_client_t *client = NULL;
    const dx_client_options_t options = {
        .address = address, .name = "example", .on_state = on_state};
    must(dx_client_connect(&options, &client, &error));

    /* Declared, because it keeps more than topics that are made by their first use. */
    must(dx_client_topic_create(client, "trades.ABC", &(dx_topic_options_t){.retain_events = 4096},
                                &error));

    screen_t single = {0}, batched = {0};
    dx_client_subscription_t *first = NULL, *second = NULL;
    must(dx_client_subscribe(client,
                             &(dx_subscription_options_t){.pattern = "trades.ABC",
                                                          .on_event = on_trade,
                                                          .on_gap = on_gap,
                                                          .on_end = on_end,
                                                          .context = &single},
                             &first, &error));
    must(dx_client_subscribe(
        client,
        &(dx_subscription_options_t){
            .pattern = "trades.>", .on_batch = on_trades, .on_gap = on_gap, .context = &batched},
        &second, &error));

    publish(client);
    wait_for(&single.trades, TRADES);
    wait_for(&batched.trades, TRADES);
    look_at_topics(client);
    must(dx_client_unsubscribe(first, DEADLINE_NS));

    dx_client_stats_t stats;
    dx_client_stats(client, &stats);
    printf("published %" PRIu64 ", acknowledged %" PRIu64 ", received %" PRIu64 "\n",
           stats.published, stats.acknowledged, stats.received);
    fprintf(stderr, "%s at %s, %" PRId64 " batches\n", stats.node_name, stats.address,
            dx_load_acquire(&batched.batches));

    char answer[8192];
    must(dx_client_ask(client, "node", NULL, answer, sizeof answer, &error));
    fprintf(stderr, "%s\n", answer);

    must(dx_client_close(client, DEADLINE_NS)); /* and with it the second subscription */
    dx_node_destroy(node);
    return 0;
}
