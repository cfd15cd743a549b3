/* test_client_plain.c - plain messages from a client through a node to others: packs of all sizes,
 * whole and taken apart, under small windows and small credit.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bus/session.h"
#include "client/plain.h"
#include "disruptorx/client.h"
#include "node_test.h"

#define SOON_NS (30 * DX_NS_PER_S)
#define TOPICS 3
#define EVENTS 6000 /* of all topics together */

/* What an event must be is said by its number. */
static uint32_t size_of(uint64_t number)
{
    const uint64_t mixed = (number + 1) * UINT64_C(0x9E3779B97F4A7C15) >> 40;
    return (uint32_t)(8 + mixed % (number % 97 == 0 ? 9000 : 120));
}

static int topic_of(uint64_t number)
{
    return number % 50 < 40 ? 0 : (int)(1 + number % 2);
}

static const char *const NAMES[TOPICS] = {"plain.a", "plain.b", "plain.c"};

static void event_make(uint64_t number, char *data)
{
    memset(data, (int)(number & 0xff), size_of(number));
    memcpy(data, &number, sizeof number);
}

typedef struct reader {
    dx_atomic64_t count;
    dx_atomic64_t wrong;
    dx_atomic64_t gaps;
    uint64_t next[TOPICS]; /* the number of the next event of the topic */
    uint64_t sequences[TOPICS];
    bool slow;
} reader_t;

static uint64_t next_of(uint64_t number, int topic)
{
    while (topic_of(number) != topic) {
        number++;
    }
    return number;
}

static int on_event(void *context, const dx_event_t *event)
{
    reader_t *const reader = context;
    const int topic = event->topic[6] - 'a';
    uint64_t number = 0;
    memcpy(&number, event->data, sizeof number);
    bool right = number == next_of(reader->next[topic], topic) && event->bytes == size_of(number) &&
                 event->sequence == ++reader->sequences[topic] &&
                 ((uintptr_t)event->data & 7) == 0 && event->frame->payload == event->data &&
                 event->frame->payload_bytes == event->bytes && event->topic_bytes == 7;
    for (uint32_t i = sizeof number; right && i < event->bytes; i++) {
        right = ((const unsigned char *)event->data)[i] == (number & 0xff);
    }
    reader->next[topic] = number + 1;
    (void)dx_fetch_add_relaxed(right ? &reader->count : &reader->wrong, 1);
    if (reader->slow && number % 1000 == 0) {
        (void)usleep(2000);
    }
    return DX_OK;
}

static void on_gap(void *context, const dx_gap_t *gap)
{
    (void)gap;
    (void)dx_fetch_add_relaxed(&((reader_t *)context)->gaps, 1);
}

static dx_client_t *client_of(uint32_t window_bytes)
{
    char address[80];
    (void)snprintf(address, sizeof address, "unix://%s", node_socket);
    dx_client_t *client = NULL;
    dx_error_t error = {0};
    const dx_client_options_t options = {
        .address = address, .timeout_ns = SOON_NS, .window_bytes = window_bytes};
    if (dx_client_connect(&options, &client, &error) != DX_OK) {
        fail_msg("%s", error.message);
    }
    return client;
}

static void wait_for(const reader_t *reader, int64_t count)
{
    const int64_t until_ns = dx_clock_ns() + SOON_NS;
    while (dx_load_relaxed(&reader->count) + dx_load_relaxed(&reader->wrong) < count &&
           dx_clock_ns() < until_ns) {
        (void)usleep(500);
    }
    assert_int_equal(dx_load_relaxed(&reader->wrong), 0);
    assert_int_equal(dx_load_relaxed(&reader->count), count);
}

static void publish_all(dx_client_t *client, bool batches)
{
    static char data[8][9216];
    dx_message_t messages[8];
    dx_error_t error = {0};
    for (uint64_t number = 0; number < EVENTS;) {
        int count = 0;
        for (; count < (batches ? 8 : 1) && number < EVENTS; count++, number++) {
            event_make(number, data[count]);
            messages[count] = (dx_message_t){
                .topic = NAMES[topic_of(number)], .data = data[count], .bytes = size_of(number)};
        }
        if (batches) {
            assert_int_equal(dx_client_publish_batch(client, messages, count, &error), count);
        } else {
            assert_ok(dx_client_publish(client, &messages[0], &error));
        }
    }
}

static void frames_sum(void *context, const dxi_session_info_t *info)
{
    uint64_t *const sums = context;
    sums[0] += info->connection.frames_in;
    sums[1] += info->events_in;
}

/* Blocking subscribers with little room, from both sides; one with a filter that lets all pass, so
 * that it gets events one by one; and one in the node's process. */
static void everything_arrives_as_it_was_published(void **state)
{
    (void)state;
    static const uint32_t windows[] = {65536, 0};
    for (int run = 0; run < 4; run++) {
        dx_config_t *const config = config_small();
        config_put(config, "bus.loops", run % 2 == 0 ? "1" : "2");
        dx_node_t *const node = node_started(config);
        dx_client_t *const publisher = client_of(windows[run % 2]);
        dx_client_t *const subscriber = client_of(0);
        static reader_t readers[4];
        memset(readers, 0, sizeof readers);
        dx_client_subscription_t *subscriptions[3];
        dx_subscription_t *inside = NULL;
        dx_error_t error = {0};
        for (int i = 0; i < 3; i++) {
            readers[i].slow = i == 2;
            const dx_subscription_options_t options = {.pattern = "plain.*",
                                                       .context = &readers[i],
                                                       .on_event = on_event,
                                                       .on_gap = on_gap,
                                                       .slow = DX_SLOW_BLOCK,
                                                       .slow_block_ns = SOON_NS,
                                                       .filter =
                                                           i == 1 ? "topic ^= \"plain.\"" : NULL,
                                                       .queue_events = i == 2 ? 70 : 0,
                                                       .queue_bytes = i == 2 ? 20000 : 0};
            assert_ok(dx_client_subscribe(subscriber, &options, &subscriptions[i], &error));
        }
        const dx_subscription_options_t options = {.pattern = "plain.>",
                                                   .context = &readers[3],
                                                   .on_event = on_event,
                                                   .slow = DX_SLOW_BLOCK,
                                                   .slow_block_ns = SOON_NS};
        assert_ok(dx_bus_subscribe(dx_node_bus(node), &options, &inside, &error));
        publish_all(publisher, run >= 2);
        for (int i = 0; i < 4; i++) {
            wait_for(&readers[i], EVENTS);
            assert_int_equal(dx_load_relaxed(&readers[i].gaps), 0);
        }
        uint64_t sums[2] = {0, 0};
        assert_true(dxi_bus_sessions_each(dx_node_bus(node), frames_sum, sums) == 2);
        assert_int_equal(sums[1], EVENTS);
        assert_true(sums[0] < EVENTS / 2); /* they did travel in packs */
        assert_ok(dx_client_close(publisher, SOON_NS));
        assert_ok(dx_client_close(subscriber, SOON_NS));
        assert_ok(dx_subscription_close(inside, SOON_NS));
        assert_ok(dx_node_stop(node, SOON_NS, &error));
        dx_node_destroy(node);
        dx_config_destroy(config);
    }
}

static int on_any(void *context, const dx_event_t *event)
{
    (void)event;
    (void)dx_fetch_add_relaxed(&((reader_t *)context)->count, 1);
    return DX_OK;
}

/* Topics beyond those that get a number go as whole frames. */
static void there_may_be_more_topics_than_numbers(void **state)
{
    (void)state;
    dx_config_t *const config = config_small();
    dx_node_t *const node = node_started(config);
    dx_client_t *const client = client_of(0);
    static reader_t reader;
    dx_error_t error = {0};
    dx_client_subscription_t *subscription = NULL;
    const dx_subscription_options_t options = {
        .pattern = "many.*", .context = &reader, .on_event = on_any, .slow = DX_SLOW_BLOCK};
    assert_ok(dx_client_subscribe(client, &options, &subscription, &error));
    for (int i = 0; i < DXI_PLAIN_TOPICS_MAX + 40; i++) {
        char topic[32];
        (void)snprintf(topic, sizeof topic, "many.%d", i);
        const dx_message_t message = {.topic = topic, .data = "x", .bytes = 1};
        assert_ok(dx_client_publish(client, &message, &error));
        assert_int_equal(dx_client_publish_batch(client, &message, 1, &error), 1);
    }
    wait_for(&reader, 2 * (DXI_PLAIN_TOPICS_MAX + 40));
    assert_ok(dx_client_close(client, SOON_NS));
    assert_ok(dx_node_stop(node, SOON_NS, &error));
    dx_node_destroy(node);
    dx_config_destroy(config);
}

static void topics_get_numbers_up_to_a_limit(void **state)
{
    (void)state;
    static dxi_plain_topics_t topics;
    dxi_plain_open(&topics);
    const uint64_t serial = topics.serial;
    dxi_plain_topic_t topic = {.parts_bytes = 16};
    for (uint32_t i = 0; i < DXI_PLAIN_TOPICS_MAX; i++) {
        (void)snprintf(topic.name, sizeof topic.name, "t%u", i);
        topic.key_hash = i / 2; /* hashes may be equal */
        assert_int_equal(dxi_plain_topic(&topics, &topic), i);
        assert_int_equal(dxi_plain_topic(&topics, &topic), i);
    }
    (void)snprintf(topic.name, sizeof topic.name, "one more");
    assert_int_equal(dxi_plain_topic(&topics, &topic), DXI_PLAIN_NONE);
    dxi_plain_close(&topics);
    dxi_plain_open(&topics);
    assert_true(topics.serial > serial);
    dxi_plain_close(&topics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_arrives_as_it_was_published),
        cmocka_unit_test(there_may_be_more_topics_than_numbers),
        cmocka_unit_test(topics_get_numbers_up_to_a_limit),
    };
    return cmocka_run_group_tests_name("client_plain", tests, node_folder_make, node_folder_remove);
}
