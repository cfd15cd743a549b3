/* test_node_compression.c - a node and clients that compress what they send each other: nothing but
 * the bytes on the wire is different.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <jansson.h>

#include "disruptorx/atomic.h"
#include "disruptorx/client.h"

#include "node_test.h"

#define WAIT_NS (30 * DX_NS_PER_S)
#define EVENTS 4000

typedef struct seen {
    dx_atomic64_t events, bytes, last, wrong;
    bool random;
} seen_t;

static void payload_fill(char *payload, size_t bytes, uint64_t number, bool random)
{
    uint64_t state = number * 2 + 1;
    for (size_t i = 0; i < bytes; i++) {
        payload[i] = random ? (char)random_next(&state)
                            : "{\"order\": 4711, \"state\": \"shipped\"}, "[i % 37];
    }
    memcpy(payload, &number, sizeof number);
}

static int on_event(void *context, const dx_event_t *event)
{
    seen_t *const seen = context;
    char expected[512];
    uint64_t number = 0;
    memcpy(&number, event->data, sizeof number);
    payload_fill(expected, event->bytes, number, seen->random);
    const bool right = event->sequence == (uint64_t)dx_load_relaxed(&seen->last) + 1 &&
                       number == event->sequence &&
                       memcmp(event->data, expected, event->bytes) == 0;
    dx_store_relaxed(&seen->wrong, dx_load_relaxed(&seen->wrong) + !right);
    dx_store_relaxed(&seen->last, (int64_t)event->sequence);
    dx_store_relaxed(&seen->bytes, dx_load_relaxed(&seen->bytes) + (int64_t)event->bytes);
    dx_store_release(&seen->events, dx_load_relaxed(&seen->events) + 1);
    return DX_OK;
}

static dx_client_t *connected(dx_node_t *node, const char *name, dx_compression_t compression)
{
    dx_client_t *client = NULL;
    dx_error_t error = {0};
    if (dx_client_connect(&(dx_client_options_t){.address = dx_node_address(node, 0),
                                                 .name = name,
                                                 .compression = compression,
                                                 .timeout_ns = WAIT_NS},
                          &client, &error) != DX_OK) {
        fail_msg("%s", error.message);
    }
    return client;
}

/* A figure of the connection of that name. */
static int64_t figure(dx_client_t *client, const char *name, const char *key)
{
    static char text[65536];
    assert_ok(dx_client_ask(client, "connections", NULL, text, sizeof text, NULL));
    json_t *const root = json_loads(text, 0, NULL);
    size_t i = 0;
    json_t *one = NULL;
    int64_t value = -1;
    json_array_foreach(json_object_get(root, "connections"), i, one)
    {
        if (strcmp(json_string_value(json_object_get(one, "name")), name) == 0) {
            value = json_integer_value(json_object_get(one, key));
        }
    }
    json_decref(root);
    assert_true(value >= 0);
    return value;
}

static void on_receipt(void *context, const dx_receipt_t *receipt)
{
    dx_atomic64_t *const good = context;
    dx_store_relaxed(good, dx_load_relaxed(good) + (receipt->code == DX_OK));
}

/* EVENTS of 400 bytes, half of them with receipts; waits for all. */
static void publish_all(dx_client_t *client, seen_t *seen, const char *topic)
{
    static dx_atomic64_t receipts;
    dx_store_relaxed(&receipts, 0);
    char payload[400];
    dx_error_t error = {0};
    for (uint64_t i = 1; i <= EVENTS; i++) {
        payload_fill(payload, sizeof payload, i, seen->random);
        const dx_message_t message = {.topic = topic, .data = payload, .bytes = sizeof payload};
        const int code =
            i % 2 == 0 ? dx_client_publish_async(client, &message, on_receipt, &receipts, &error)
                       : dx_client_publish(client, &message, &error);
        if (code != DX_OK) {
            fail_msg("%s", error.message);
        }
    }
    assert_ok(dx_client_flush(client, WAIT_NS, &error));
    wait_until(dx_load_acquire(&seen->events) == EVENTS);
    assert_int_equal(dx_load_relaxed(&receipts), EVENTS / 2);
    assert_int_equal(dx_load_relaxed(&seen->wrong), 0);
}

static void both_directions(const char *address, const char *node_wants,
                            dx_compression_t client_wants, bool random, bool packed)
{
    dx_config_t *const config = config_small();
    config_put(config, "listen.addresses", address[0] != '\0' ? address : node_socket);
    config_put(config, "listen.compression", node_wants);
    dx_node_t *const node = node_started(config);
    dx_client_t *const publisher = connected(node, "publisher", client_wants);
    dx_client_t *const subscriber = connected(node, "subscriber", client_wants);
    dx_client_subscription_t *subscription = NULL;
    dx_error_t error = {0};
    seen_t seen = {.random = random};
    assert_ok(dx_client_subscribe(subscriber,
                                  &(dx_subscription_options_t){.pattern = "orders.created",
                                                               .on_event = on_event,
                                                               .context = &seen,
                                                               .slow = DX_SLOW_BLOCK,
                                                               .slow_block_ns = WAIT_NS,
                                                               .ack = DX_ACK_AUTO},
                                  &subscription, &error));
    publish_all(publisher, &seen, "orders.created");
    const int64_t raw = INT64_C(64 + 24 + 400) * EVENTS;
    const int64_t in = figure(publisher, "publisher", "bytes_in");
    const int64_t out = figure(publisher, "subscriber", "bytes_out");
    if (packed) {
        assert_true(figure(publisher, "publisher", "batches_in") > 0);
        assert_true(figure(publisher, "subscriber", "batches_out") > 0);
        assert_true(figure(publisher, "publisher", "batch_bytes_in") <
                    figure(publisher, "publisher", "batch_raw_bytes_in"));
        assert_true(out < raw * 3 / 4);
    } else {
        assert_true(in > raw * 95 / 100 && out > raw * 95 / 100);
        assert_true(figure(publisher, "subscriber", "batches_out") < 40);
    }
    assert_int_equal(figure(publisher, "publisher", "refused"), 0);
    assert_int_equal(figure(publisher, "publisher", "events_in"), EVENTS);
    assert_int_equal(figure(publisher, "subscriber", "events_out"), EVENTS);
    assert_ok(dx_client_unsubscribe(subscription, WAIT_NS));
    assert_ok(dx_client_close(publisher, WAIT_NS));
    assert_ok(dx_client_close(subscriber, WAIT_NS));
    node_end(node);
    dx_config_destroy(config);
}

static void text_is_compressed_in_both_directions(void **state)
{
    (void)state;
    both_directions("", "auto", DX_COMPRESSION_LZ4, false, true);
    both_directions("tcp://127.0.0.1:0", "zstd", DX_COMPRESSION_AUTO, false, true);
}

static void noise_is_left_as_it_is(void **state)
{
    (void)state;
    both_directions("", "lz4", DX_COMPRESSION_AUTO, true, false);
}

static void within_a_host_nothing_is_compressed_unless_asked_for(void **state)
{
    (void)state;
    both_directions("tcp://127.0.0.1:0", "auto", DX_COMPRESSION_AUTO, false, false);
    both_directions("", "off", DX_COMPRESSION_ZSTD, false, false);
}

static void compression_out_of_range_is_refused(void **state)
{
    (void)state;
    dx_client_t *client = NULL;
    dx_error_t error = {0};
    assert_fails(
        dx_client_connect(
            &(dx_client_options_t){.compression = (dx_compression_t)(DX_COMPRESSION_ZSTD + 1)},
            &client, &error),
        DX_EINVAL, error, "compression is 4, must be from 0 to 3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_compressed_in_both_directions),
        cmocka_unit_test(noise_is_left_as_it_is),
        cmocka_unit_test(within_a_host_nothing_is_compressed_unless_asked_for),
        cmocka_unit_test(compression_out_of_range_is_refused),
    };
    return cmocka_run_group_tests(tests, node_folder_make, node_folder_remove);
}
