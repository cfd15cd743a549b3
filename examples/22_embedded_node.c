/* 22_embedded_node.c - a node inside a program: handlers in the same process beside remote clients.
 *
 * Teaches: dx_node_t around a bus and its listeners; the same topic for a local handler and for a
 * client on a connection; its dashboard; node information; changing the configuration while it
 * runs; the drain.
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

#define ORDERS UINT64_C(1000)
#define DEADLINE_NS (10 * DX_NS_PER_S)

static dx_error_t error; /* of the main thread */

static void require(bool condition, const char *sentence)
{
    if (!condition) {
        fprintf(stderr, "22_embedded_node: %s\n", sentence);
        exit(1);
    }
}

static void must(int code)
{
    require(code == DX_OK, error.code == code ? error.message : dx_error_text(code));
}

/* How many orders a subscriber has seen, and whether they came in order. */
typedef struct seen {
    dx_atomic64_t orders;
    uint64_t last;
    bool ordered;
} seen_t;

static int on_order(void *context, const dx_event_t *event)
{
    seen_t *const seen = context;
    seen->ordered = seen->ordered && event->sequence == seen->last + 1;
    seen->last = event->sequence;
    /* RELEASE, pairs with the load in wait_for(): who sees the count sees `ordered` as well. */
    dx_store_release(&seen->orders, dx_load_relaxed(&seen->orders) + 1);
    return DX_OK;
}

static void wait_for(seen_t *seen, int64_t orders)
{
    const int64_t deadline_ns = dx_clock_ns() + DEADLINE_NS;
    while (dx_load_acquire(&seen->orders) < orders) { /* ACQUIRE: see on_order() */
        require(dx_clock_ns() < deadline_ns, "an order is missing");
    }
    require(seen->ordered, "the sequences of a topic have no gaps");
}

static dx_config_t *config_make(const char *log_level)
{
    dx_config_t *config = NULL;
    must(dx_config_create(&config, &error));
    must(dx_config_set(config, "node.name", "orders-1", &error));
    must(dx_config_set(config, "listen.addresses", "tcp://127.0.0.1:0", &error)); /* any port */
    must(dx_config_set(config, "admin.enabled", "true", &error)); /* dashboard, API, metrics */
    must(dx_config_set(config, "admin.address", "http://127.0.0.1:0", &error));
    must(dx_config_set(config, "log.level", log_level, &error));
    return config;
}

static dx_node_t *node_begin(void)
{
    dx_config_t *const config = config_make("warn");
    dx_node_t *node = NULL;
    must(dx_node_create(config, &node, &error));
    must(dx_node_start(node, &error));
    fprintf(stderr, "the dashboard: %s/\n", dx_node_admin_address(node));
    dx_config_destroy(config); /* the node has a copy */
    return node;
}

/* The node takes over what can change while it runs, and refuses the rest by name. */
static void reconfigure(dx_node_t *node)
{
    dx_config_t *const config = config_make("error");
    require(dx_node_reconfigure(node, config, &error) == 1, error.message);
    require(!dx_log_enabled(dx_node_log(node), DX_LOG_LEVEL_WARN), "the level has changed");
    must(dx_config_set(config, "bus.shards", "4", &error));
    require(dx_node_reconfigure(node, config, &error) == DX_EBUSY, "shards need a restart");
    printf("%s\n", error.message);
    dx_config_destroy(config);
    require(dx_node_reload(node, &error) == 0, "without a file there is nothing new");
}

int main(void)
{
    dx_node_t *const node = node_begin();
    fprintf(stderr, "the node listens on %s\n", dx_node_address(node, 0));

    /* A handler in this process ... */
    seen_t local = {.ordered = true}, remote = {.ordered = true};
    dx_subscription_t *subscription = NULL;
    must(dx_bus_on(dx_node_bus(node), "orders.created", on_order, &local, &subscription, &error));

    /* ... and a client, which could be on another host. */
    dx_client_t *client = NULL;
    dx_client_subscription_t *client_subscription = NULL;
    must(dx_client_connect(&(dx_client_options_t){.address = dx_node_address(node, 0)}, &client,
                           &error));
    must(dx_client_subscribe(client,
                             &(dx_subscription_options_t){
                                 .pattern = "orders.*", .on_event = on_order, .context = &remote},
                             &client_subscription, &error));

    /* Half of the orders come from the client, the other half from here. */
    for (uint64_t i = 0; i < ORDERS / 2; i++) {
        must(dx_client_publish(
            client, &(dx_message_t){.topic = "orders.created", .data = "order", .bytes = 5},
            &error));
        must(dx_bus_publish(dx_node_bus(node), "orders.created", "order", 5, &error));
    }
    wait_for(&local, ORDERS);
    wait_for(&remote, ORDERS);

    dx_node_info_t info;
    must(dx_node_info(node, &info, &error));
    printf("%s: %" PRIu64 " published, %" PRIu64 " delivered to %" PRIu32 " subscriptions, %" PRIu32
           " connection\n",
           info.name, info.published, info.delivered, info.subscriptions, info.connections);
    require(info.published == ORDERS && info.delivered == 2 * ORDERS, "the numbers are wrong");

    /* What `dx` asks a node, any client may. */
    char answer[8192];
    must(dx_client_ask(client, "config", "timeouts.drain_ms", answer, sizeof(answer), &error));
    require(strstr(answer, "\"value\":\"10s\"") != NULL, answer);
    reconfigure(node);

    must(dx_client_close(client, DEADLINE_NS));
    must(dx_node_stop(node, DEADLINE_NS, &error)); /* delivers what it has */
    dx_node_destroy(node);
    printf("drained\n");
    return 0;
}
