/* test_client_direct.c - direct topics: clients that publish into and read from a topic's ring, and
 * beside them those who come over connections or live in the node's process.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "served_test.h"

#include "bus/direct_ask.h"

#define SLOTS 256 /* of the topic t */

static const dx_topic_options_t DIRECT = {.direct_bytes = 65536};

/* What a handler has seen of one topic. `mutex` where another thread looks. */
typedef struct reader {
    dx_atomic64_t count, gaps, gap_events, disorders, ends;
    dx_atomic64_t last;          /* sequence */
    dx_atomic64_t hold;          /* 1: the handler waits until it is 0 */
    dx_atomic64_t values[65536]; /* by sequence */
    dx_client_subscription_t *subscription;
    dx_client_t *client;
} reader_t;

static void pass_to(reader_t *reader, uint64_t first, uint64_t last)
{
    if ((int64_t)first != loaded(&reader->last) + 1 && loaded(&reader->last) != 0) {
        (void)dx_fetch_add_relaxed(&reader->disorders, 1);
    }
    dx_store_release(&reader->last, (int64_t)last);
}

static int read_one(void *context, const dx_event_t *event)
{
    reader_t *const reader = context;
    uint64_t value = 0;
    memcpy(&value, event->data, event->bytes < 8 ? event->bytes : 8);
    dx_store_relaxed(&reader->values[event->sequence % 65536], (int64_t)value);
    pass_to(reader, event->sequence, event->sequence);
    (void)dx_fetch_add_relaxed(&reader->count, 1);
    while (loaded(&reader->hold) != 0) {
        (void)usleep(200);
    }
    return DX_OK;
}

static void miss(void *context, const dx_gap_t *gap)
{
    reader_t *const reader = context;
    pass_to(reader, gap->first, gap->last);
    (void)dx_fetch_add_relaxed(&reader->gaps, 1);
    (void)dx_fetch_add_relaxed(&reader->gap_events, (int64_t)(gap->last - gap->first + 1));
}

static void end(void *context, int code, const char *sentence)
{
    reader_t *const reader = context;
    assert_non_null(sentence);
    dx_store_release(&reader->ends, code);
}

static reader_t *joined(dx_client_t *client, dx_subscription_options_t options)
{
    reader_t *const reader = calloc(1, sizeof *reader);
    assert_non_null(reader);
    reader->client = client;
    options.context = reader;
    options.on_event = read_one;
    options.on_gap = miss;
    options.on_end = end;
    check_said(dx_client_subscribe(client, &options, &reader->subscription, &said), "subscribe");
    return reader;
}

static void left(reader_t *reader)
{
    check_said(dx_client_unsubscribe(reader->subscription, DX_CLIENT_FOREVER), "unsubscribe");
    free(reader);
}

/* What the node's own connections have seen: nothing, where all goes past them. */
static uint64_t through_the_node(const served_t *served)
{
    dxi_sessions_stat_t stat;
    dxi_bus_sessions_stat(served->bus, &stat);
    return stat.events_in + stat.events_out;
}

static dx_topic_stats_t stats_of(dx_client_t *client, const char *topic)
{
    dx_topic_stats_t stats;
    check_said(dx_client_topic_stats(client, topic, &stats, &said), "topic_stats");
    return stats;
}

static served_t *serve_direct(dx_client_t **client_out)
{
    served_t *const served = serve(1);
    *client_out = client_of(served);
    check_said(dx_client_topic_create(*client_out, "t", &DIRECT, &said), "topic_create");
    return served;
}

static void finish(served_t *served, dx_client_t *client)
{
    check_said(dx_client_close(client, DX_CLIENT_FOREVER), "close");
    serve_end(served);
}

/* ------------------------------------------------------------------------------- the short way */

static void events_go_from_client_to_client_without_the_node(void **state)
{
    (void)state;
    dx_client_t *from = NULL;
    served_t *served = serve_direct(&from);
    dx_client_t *to = client_of(served);
    reader_t *one =
        joined(to, (dx_subscription_options_t){
                       .pattern = "t", .slow = DX_SLOW_BLOCK, .slow_block_ns = SOON_NS});
    reader_t *two =
        joined(from, (dx_subscription_options_t){
                         .pattern = "t", .slow = DX_SLOW_BLOCK, .slow_block_ns = SOON_NS});
    dx_message_t messages[100];
    uint64_t values[COUNT_OF(messages)];
    for (uint64_t i = 0; i < 10000; i += COUNT_OF(messages)) {
        for (uint64_t j = 0; j < COUNT_OF(messages); j++) {
            values[j] = i + j + 1;
            messages[j] = (dx_message_t){.topic = "t", .data = &values[j], .bytes = 8};
        }
        assert_int_equal(dx_client_publish_batch(from, messages, COUNT_OF(messages), &said),
                         COUNT_OF(messages));
    }
    for (uint64_t i = 10001; i <= 20000; i++) {
        publish(from, "t", i);
    }
    wait_until(loaded(&one->count) == 20000 && loaded(&two->count) == 20000);
    for (uint64_t i = 1; i <= 20000; i++) {
        assert_int_equal(loaded(&one->values[i]), i);
    }
    assert_int_equal(loaded(&one->disorders) + loaded(&two->disorders), 0);
    assert_int_equal(loaded(&one->gaps) + loaded(&two->gaps), 0);
    assert_int_equal(through_the_node(served), 0);
    dx_client_stats_t stats;
    dx_client_stats(from, &stats);
    assert_int_equal(stats.published, 20000);
    assert_int_equal(stats.received, 20000);
    wait_until(stats_of(to, "t").delivered == 40000);
    const dx_topic_stats_t topic = stats_of(to, "t");
    assert_int_equal(topic.published, 20000);
    assert_int_equal(topic.last_sequence, 20000);
    assert_int_equal(topic.subscriptions, 2);
    assert_int_equal(topic.lag_max, 0);
    assert_int_equal(topic.options.direct_bytes, 65536);
    left(one);
    left(two);
    assert_int_equal(stats_of(to, "t").subscriptions, 0);
    check_said(dx_client_close(to, DX_CLIENT_FOREVER), "close");
    finish(served, from);
}

static void who_polls_handles_events_in_its_own_thread(void **state)
{
    (void)state;
    dx_client_t *client = NULL;
    served_t *served = serve_direct(&client);
    reader_t *polled =
        joined(client, (dx_subscription_options_t){.pattern = "t", .dispatch = DX_DISPATCH_POLL});
    reader_t *other = joined(client, (dx_subscription_options_t){.pattern = "other"});
    assert_int_equal(dx_client_poll(polled->subscription), 0);
    assert_int_equal(dx_client_poll(other->subscription), DX_EINVAL);
    for (uint64_t i = 1; i <= 100; i++) {
        publish(client, "t", i);
    }
    assert_int_equal(loaded(&polled->count), 0);
    assert_int_equal(dx_client_poll(polled->subscription), 64);
    assert_int_equal(dx_client_poll(polled->subscription), 36);
    assert_int_equal(dx_client_poll(polled->subscription), 0);
    assert_int_equal(loaded(&polled->count), 100);
    dx_client_subscription_t *none = NULL;
    const dx_subscription_options_t bad[] = {
        {.pattern = "u", .on_event = read_one, .dispatch = DX_DISPATCH_POLL},
        {.pattern = "*", .on_event = read_one, .dispatch = DX_DISPATCH_POLL},
        {.pattern = "t", .on_event = read_one, .dispatch = DX_DISPATCH_POLL, .group = "g"}};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(dx_client_subscribe(client, &bad[i], &none, &said), DX_ENOTSUP);
        assert_null(none);
    }
    left(polled);
    left(other);
    finish(served, client);
}

static void receipts_say_the_place_in_the_ring(void **state)
{
    (void)state;
    dx_client_t *client = NULL;
    served_t *served = serve_direct(&client);
    for (uint64_t i = 1; i <= 10; i++) {
        dx_receipt_t receipt;
        const dx_message_t message = {.topic = "t", .data = "x", .bytes = 1};
        check_said(dx_client_publish_wait(client, &message, &receipt, &said), "publish_wait");
        assert_int_equal(receipt.sequence, i);
        assert_int_equal(receipt.shard, dx_bus_shard_of(served->bus, "t", NULL, 0));
        assert_in_range(receipt.timestamp_ns, (uint64_t)dx_clock_realtime_ns() - (uint64_t)SOON_NS,
                        (uint64_t)dx_clock_realtime_ns());
    }
    assert_int_equal(through_the_node(served), 0);
    finish(served, client);
}

typedef struct told {
    dx_atomic64_t count, wrong;
} told_t;

static void on_receipt(void *context, const dx_receipt_t *receipt)
{
    told_t *const told = context;
    const int64_t count = dx_fetch_add_relaxed(&told->count, 1) + 1;
    if (receipt->code != DX_OK || (int64_t)receipt->sequence != count) {
        (void)dx_fetch_add_relaxed(&told->wrong, 1);
    }
}

static void asynchronous_receipts_come_in_order_in_the_clients_thread(void **state)
{
    (void)state;
    dx_client_t *client = NULL;
    served_t *served = serve_direct(&client);
    told_t told = {.count = {0}};
    for (int i = 0; i < 1000; i++) {
        const dx_message_t message = {.topic = "t", .data = "x", .bytes = 1};
        check_said(dx_client_publish_async(client, &message, on_receipt, &told, &said), "async");
    }
    finish(served, client); /* which comes behind all of them */
    assert_int_equal(loaded(&told.count), 1000);
    assert_int_equal(loaded(&told.wrong), 0);
}

static void a_message_that_does_not_fit_is_refused_with_its_size(void **state)
{
    (void)state;
    dx_client_t *client = NULL;
    served_t *served = serve_direct(&client);
    static const char data[249];
    dx_message_t message = {.topic = "t", .data = data, .bytes = 248};
    check_said(dx_client_publish(client, &message, &said), "publish");
    message.bytes = 249;
    assert_int_equal(dx_client_publish(client, &message, &said), DX_ELIMIT);
    assert_contains(said.message, "249 bytes, must take at most the 248");
    message.data = NULL;
    assert_int_equal(dx_client_publish(client, &message, &said), DX_EINVAL);
    message = (dx_message_t){.topic = "t", .data = data, .bytes = 200, .key = "k", .key_bytes = 1};
    assert_int_equal(dx_client_publish(client, &message, &said), DX_ELIMIT); /* with its frame */
    finish(served, client);
}

/* A slot for the payload alone has no room for a frame with a trace: the event is worth more. */
static void an_event_goes_without_its_trace_where_there_is_no_room_for_it(void **state)
{
    (void)state;
    dx_client_t *client = NULL;
    served_t *served = serve_direct(&client);
    dx_client_t *other = client_of(served);
    publish(other, "else", 1); /* it has asked for names: "small" will be unknown to it */
    const dx_topic_options_t small = {.direct_bytes = 65536, .event_bytes_max = 32};
    check_said(dx_client_topic_create(client, "small", &small, &said), "create");
    reader_t *reader = joined(client, (dx_subscription_options_t){.pattern = "small"});
    const dx_frame_trace_t trace = {.trace_id = {1}, .span_id = {2}, .flags = 1};
    uint64_t values[4] = {0};
    dx_message_t m = {.topic = "small", .data = values, .bytes = sizeof values, .trace = &trace};
    for (uint64_t i = 1; i <= 4; i++) {
        values[0] = i;
        dx_receipt_t receipt;
        check_said(dx_client_publish_wait(i % 2 != 0 ? client : other, &m, &receipt, &said),
                   "publish_wait");
        assert_int_equal(receipt.sequence, i);
    }
    wait_until(loaded(&reader->count) == 4);
    for (uint64_t i = 1; i <= 4; i++) {
        assert_int_equal(loaded(&reader->values[i]), i);
    }
    assert_true(through_the_node(served) > 0);
    m.key = "k"; /* of a key there is no doing without */
    m.key_bytes = 1;
    assert_int_equal(dx_client_publish(client, &m, &said), DX_ELIMIT);
    left(reader);
    check_said(dx_client_close(other, DX_CLIENT_FOREVER), "close");
    finish(served, client);
}

/* ---------------------------------------------------------------------------- those beside it */

/* A subscription in the node's process. */
static int read_here(void *context, const dx_event_t *event)
{
    return read_one(context, event);
}

static void all_see_one_order_and_the_same_sequences(void **state)
{
    (void)state;
    dx_client_t *from = NULL;
    served_t *served = serve_direct(&from);
    dx_client_t *to = client_of(served);
    const dx_subscription_options_t block = {.slow = DX_SLOW_BLOCK, .slow_block_ns = SOON_NS};
    dx_subscription_options_t options = block;
    options.pattern = "t";
    reader_t *direct = joined(to, options);
    options.pattern = "*"; /* over the connection */
    reader_t *remote = joined(to, options);
    reader_t *local = calloc(1, sizeof *local);
    assert_non_null(local);
    options.context = local;
    options.on_event = read_here;
    options.on_gap = miss;
    dx_subscription_t *subscription = NULL;
    check_said(dx_bus_subscribe(served->bus, &options, &subscription, &said), "dx_bus_subscribe()");
    dx_publisher_t *publisher = publisher_opened(served->bus);
    for (uint64_t i = 0; i < 5000; i++) {
        publish(from, "t", i * 2);
        check_said(publish_number(publisher, "t", i * 2 + 1), "dx_publish()");
    }
    wait_until(loaded(&direct->count) == 10000 && loaded(&remote->count) == 10000 &&
               loaded(&local->count) == 10000);
    uint64_t next[2] = {0, 1};
    for (uint64_t s = 1; s <= 10000; s++) {
        assert_int_equal(loaded(&direct->values[s]), loaded(&remote->values[s]));
        assert_int_equal(loaded(&direct->values[s]), loaded(&local->values[s]));
        const uint64_t value = (uint64_t)loaded(&direct->values[s]);
        assert_int_equal(value, next[value % 2]); /* in the order of its publisher */
        next[value % 2] += 2;
    }
    assert_int_equal(loaded(&direct->disorders) + loaded(&remote->disorders), 0);
    assert_int_equal(loaded(&local->disorders), 0);
    assert_int_equal(stats_of(from, "t").subscriptions, 3);
    dx_publisher_close(publisher);
    check_said(dx_subscription_close(subscription, SOON_NS), "close");
    free(local);
    left(remote);
    /* Nobody listens through the node any more: what is published now is not told there, */
    for (uint64_t i = 0; i < 1000; i++) {
        publish(from, "t", i);
    }
    wait_until(loaded(&direct->count) == 11000);
    /* and who comes then begins with what comes then. */
    remote = joined(to, (dx_subscription_options_t){.pattern = "*", .slow = DX_SLOW_BLOCK});
    publish(from, "t", 77);
    wait_until(loaded(&remote->count) == 1);
    assert_int_equal(loaded(&remote->last), 11001);
    assert_int_equal(loaded(&remote->gaps), 0);
    left(remote);
    left(direct);
    check_said(dx_client_close(to, DX_CLIENT_FOREVER), "close");
    finish(served, from);
}

static int answer(void *context, const dx_event_t *event)
{
    dx_client_t *const client = context;
    char text[64];
    const int bytes =
        snprintf(text, sizeof text, "%.*s for %.*s", (int)event->bytes, (const char *)event->data,
                 (int)event->key_bytes, (const char *)event->key);
    return dx_client_reply(client, event, text, (size_t)bytes, NULL);
}

static void keys_and_headers_and_requests_go_through_the_ring_as_well(void **state)
{
    (void)state;
    dx_client_t *from = NULL;
    served_t *served = serve_direct(&from);
    dx_client_t *to = client_of(served);
    dx_client_subscription_t *subscription = NULL;
    const dx_subscription_options_t options = {.pattern = "t", .on_event = answer, .context = to};
    check_said(dx_client_subscribe(to, &options, &subscription, &said), "subscribe");
    const dx_message_t message = {
        .topic = "t", .data = "tea", .bytes = 3, .key = "two", .key_bytes = 3};
    char text[64] = {0};
    size_t bytes = sizeof text;
    check_said(dx_client_request(from, &message, SOON_NS, text, &bytes, &said), "request");
    assert_string_equal(text, "tea for two");
    check_said(dx_client_unsubscribe(subscription, DX_CLIENT_FOREVER), "unsubscribe");
    bytes = sizeof text;
    assert_int_equal(dx_client_request(from, &message, SOON_NS, text, &bytes, &said), DX_ENOTFOUND);

    reader_t *remote =
        joined(to, (dx_subscription_options_t){.pattern = "t", .filter = "header.kind = \"a\""});
    reader_t *direct = joined(to, (dx_subscription_options_t){.pattern = "t"});
    for (uint64_t i = 0; i < 10; i++) {
        const dx_frame_pair_t kind = {
            .name = "kind", .name_bytes = 4, .value = i % 2 == 0 ? "a" : "b", .value_bytes = 1};
        const dx_message_t sent = {
            .topic = "t", .data = &i, .bytes = 8, .headers = &kind, .header_count = 1};
        check_said(dx_client_publish(from, &sent, &said), "publish");
    }
    wait_until(loaded(&direct->count) == 10 && loaded(&remote->count) == 5);
    assert_int_equal(loaded(&direct->last), loaded(&remote->last) + 1);
    left(remote);
    left(direct);
    check_said(dx_client_close(to, DX_CLIENT_FOREVER), "close");
    finish(served, from);
}

static void a_group_and_acknowledgements_are_the_nodes_business(void **state)
{
    (void)state;
    dx_client_t *client = NULL;
    served_t *served = serve_direct(&client);
    dx_subscription_options_t options = {.pattern = "t", .group = "g"};
    reader_t *one = joined(client, options);
    reader_t *two = joined(client, options);
    for (uint64_t i = 0; i < 200; i++) {
        publish(client, "t", i);
    }
    wait_until(loaded(&one->count) + loaded(&two->count) == 200);
    assert_true(loaded(&one->count) != 0 && loaded(&two->count) != 0);
    left(one);
    left(two);
    finish(served, client);
}

/* --------------------------------------------------------------------------------- slow ones */

static void who_drops_holds_publishers_up_for_a_moment_and_is_told_a_gap(void **state)
{
    (void)state;
    dx_client_t *client = NULL;
    served_t *served = serve_direct(&client);
    reader_t *slow = joined(client, (dx_subscription_options_t){.pattern = "t"});
    reader_t *quick =
        joined(client, (dx_subscription_options_t){
                           .pattern = "t", .slow = DX_SLOW_BLOCK, .slow_block_ns = SOON_NS});
    dx_store_release(&slow->hold, 1);
    for (uint64_t i = 1; i <= 5 * SLOTS; i++) {
        publish(client, "t", i);
    }
    wait_until(loaded(&quick->count) == 5 * SLOTS);
    dx_store_release(&slow->hold, 0);
    wait_until(loaded(&slow->gaps) == 1);
    publish(client, "t", 1);
    wait_until(loaded(&slow->last) == 5 * SLOTS + 1);
    assert_int_equal(loaded(&slow->count) + loaded(&slow->gap_events), 5 * SLOTS + 1);
    assert_int_equal(loaded(&slow->disorders) + loaded(&quick->disorders), 0);
    assert_int_equal(loaded(&quick->gaps), 0);
    wait_until((int64_t)stats_of(client, "t").dropped == loaded(&slow->gap_events));
    dx_client_stats_t stats;
    dx_client_stats(client, &stats);
    assert_int_equal(stats.gaps, 1);
    assert_int_equal(stats.gap_events, loaded(&slow->gap_events));
    left(slow);
    left(quick);
    finish(served, client);
}

static void who_blocks_is_waited_for_as_long_as_it_says(void **state)
{
    (void)state;
    dx_client_t *client = NULL;
    served_t *served = serve_direct(&client);
    reader_t *slow =
        joined(client, (dx_subscription_options_t){
                           .pattern = "t", .slow = DX_SLOW_BLOCK, .slow_block_ns = 50000000});
    dx_store_release(&slow->hold, 1);
    const int64_t began_ns = dx_clock_ns();
    for (uint64_t i = 1; i <= 3 * SLOTS; i++) {
        publish(client, "t", i);
    }
    assert_true(dx_clock_ns() - began_ns >= 50000000);
    dx_store_release(&slow->hold, 0);
    wait_until(loaded(&slow->gaps) == 1);
    left(slow);
    finish(served, client);
}

static void who_wants_to_be_disconnected_is(void **state)
{
    (void)state;
    dx_client_t *client = NULL;
    served_t *served = serve_direct(&client);
    reader_t *slow =
        joined(client, (dx_subscription_options_t){.pattern = "t", .slow = DX_SLOW_DISCONNECT});
    dx_store_release(&slow->hold, 1);
    for (uint64_t i = 1; i <= 3 * SLOTS; i++) {
        publish(client, "t", i);
    }
    dx_store_release(&slow->hold, 0);
    wait_until(loaded(&slow->ends) == DX_ELIMIT);
    assert_int_equal(loaded(&slow->gaps), 0);
    left(slow);
    finish(served, client);
}

static void who_does_not_want_to_wait_is_told_that_the_ring_is_full(void **state)
{
    (void)state;
    dx_client_t *other = NULL;
    served_t *served = serve_direct(&other);
    dx_client_t *client = NULL;
    const dx_client_options_t options = {.address = served->address, .fail_when_full = true};
    check_said(dx_client_connect(&options, &client, &said), "connect");
    reader_t *slow =
        joined(other, (dx_subscription_options_t){
                          .pattern = "t", .slow = DX_SLOW_BLOCK, .slow_block_ns = SOON_NS});
    dx_store_release(&slow->hold, 1);
    int code = DX_OK;
    uint64_t published = 0;
    for (; code == DX_OK; published += code == DX_OK) {
        code = dx_client_publish(
            client, &(dx_message_t){.topic = "t", .data = &published, .bytes = 8}, &said);
    }
    assert_int_equal(code, DX_EAGAIN);
    assert_contains(said.message, "ring of direct topic t is full");
    dx_store_release(&slow->hold, 0);
    wait_until(loaded(&slow->count) == (int64_t)published);
    left(slow);
    check_said(dx_client_close(client, DX_CLIENT_FOREVER), "close");
    finish(served, other);
}

/* ------------------------------------------------------------------------------------- changes */

static void a_topic_that_is_deleted_goes_on_over_the_connection(void **state)
{
    (void)state;
    dx_client_t *client = NULL;
    served_t *served = serve_direct(&client);
    reader_t *reader = joined(client, (dx_subscription_options_t){.pattern = "t"});
    reader_t *polled =
        joined(client, (dx_subscription_options_t){.pattern = "t", .dispatch = DX_DISPATCH_POLL});
    for (uint64_t i = 1; i <= 10; i++) {
        publish(client, "t", i);
    }
    wait_until(loaded(&reader->count) == 10);
    check_said(dx_client_topic_delete(client, "t", &said), "delete");
    dx_store_release(&reader->last, 0);
    for (uint64_t i = 1; i <= 50; i++) { /* these make the topic anew */
        publish(client, "t", 100 + i);
    }
    while (loaded(&polled->ends) == 0) {
        const int done = dx_client_poll(polled->subscription);
        assert_true(done >= 0 || loaded(&polled->ends) != 0);
    }
    assert_int_equal(loaded(&polled->count), 10);
    assert_int_equal(loaded(&polled->ends), DX_ENOTSUP);
    assert_int_equal(dx_client_poll(polled->subscription), DX_ECLOSED);
    /* Nothing is left out, though the subscription was on its way. */
    wait_until(loaded(&reader->count) == 10 + 50);
    for (uint64_t i = 1; i <= 50; i++) {
        assert_int_equal(loaded(&reader->values[i]), 100 + i);
    }
    assert_int_equal(loaded(&reader->disorders), 0);
    assert_true(through_the_node(served) != 0);
    left(reader);
    left(polled);
    finish(served, client);
}

/* Direct again: what was published before the subscription is in the new ring is a gap. */
static void what_the_successor_had_before_is_told_as_a_gap(void **state)
{
    (void)state;
    dx_client_t *client = NULL;
    served_t *served = serve_direct(&client);
    dx_client_t *other = client_of(served);
    reader_t *polled =
        joined(client, (dx_subscription_options_t){.pattern = "t", .dispatch = DX_DISPATCH_POLL});
    check_said(dx_client_topic_delete(client, "t", &said), "delete");
    check_said(dx_client_topic_create(client, "t", &DIRECT, &said), "create");
    for (uint64_t i = 1; i <= 10; i++) {
        const dx_message_t message = {.topic = "t", .data = &i, .bytes = sizeof i};
        check_said(dx_client_publish_wait(other, &message, NULL, &said), "publish");
    }
    wait_until(dx_client_poll(polled->subscription) >= 0 && loaded(&polled->last) == 10);
    assert_int_equal(loaded(&polled->gap_events), 10);
    publish(other, "t", 11);
    wait_until(dx_client_poll(polled->subscription) >= 0 && loaded(&polled->last) == 11);
    assert_int_equal(loaded(&polled->gap_events) + loaded(&polled->count), 11);
    assert_int_equal(loaded(&polled->disorders), 0);
    left(polled);
    check_said(dx_client_close(other, DX_CLIENT_FOREVER), "close");
    finish(served, client);
}

static void clients_attach_again_when_the_node_was_started_anew(void **state)
{
    (void)state;
    dx_client_t *client = NULL;
    served_t *served = serve_direct(&client);
    reader_t *reader = joined(client, (dx_subscription_options_t){.pattern = "t"});
    publish(client, "t", 1);
    wait_until(loaded(&reader->count) == 1);
    bus_end(served);
    bus_begin(served);
    dx_client_t *other = client_of(served);
    check_said(dx_client_topic_create(other, "t", &DIRECT, &said), "create");
    dx_store_release(&reader->last, 0);
    wait_until((publish(client, "t", 2), loaded(&reader->count) > 1));
    wait_until(stats_of(other, "t").subscriptions == 1);
    check_said(dx_client_close(other, DX_CLIENT_FOREVER), "close");
    left(reader);
    finish(served, client);
}

static void what_was_published_over_the_connection_comes_before(void **state)
{
    (void)state;
    dx_client_t *client = NULL;
    served_t *served = serve_direct(&client);
    dx_client_t *other = client_of(served);
    publish(other, "else", 1); /* it has asked for the names of direct topics, and there is no u */
    check_said(dx_client_topic_create(client, "u", &DIRECT, &said), "create");
    reader_t *reader =
        joined(client, (dx_subscription_options_t){
                           .pattern = "u", .slow = DX_SLOW_BLOCK, .slow_block_ns = SOON_NS});
    for (uint64_t i = 1; i <= 2000; i++) {
        publish(other, "u", i);
        if (i == 1000) { /* with this it knows that u is direct */
            reader_t *too = joined(other, (dx_subscription_options_t){.pattern = "u"});
            publish(other, "u", 1001);
            i++;
            left(too);
        }
    }
    wait_until(loaded(&reader->count) == 2000);
    for (uint64_t i = 1; i <= 2000; i++) {
        assert_int_equal(loaded(&reader->values[i]), i);
    }
    assert_true(through_the_node(served) >= 1000);
    left(reader);
    check_said(dx_client_close(other, DX_CLIENT_FOREVER), "close");
    finish(served, client);
}

static void a_direct_topic_is_declared_once_and_stays_so(void **state)
{
    (void)state;
    dx_client_t *client = NULL;
    served_t *served = serve_direct(&client);
    check_said(dx_client_topic_create(client, "t", &DIRECT, &said), "the same once more");
    const dx_topic_options_t other = {.direct_bytes = 131072};
    assert_int_equal(dx_client_topic_create(client, "t", &other, &said), DX_EEXIST);
    assert_int_equal(dx_client_topic_change(client, "t", &other, &said), DX_EINVAL);
    assert_contains(said.message, "can't be changed from 65536");
    const dx_topic_options_t longer = {.event_bytes_max = 249};
    assert_int_equal(dx_client_topic_change(client, "t", &longer, &said), DX_EINVAL);
    check_said(
        dx_client_topic_change(client, "t", &(dx_topic_options_t){.retain_events = 7}, &said),
        "change");
    assert_int_equal(stats_of(client, "t").options.direct_bytes, 65536);
    publish(client, "plain", 1);
    wait_until(stats_of(client, "plain").published == 1);
    assert_int_equal(dx_client_topic_create(client, "plain", &DIRECT, &said), DX_EEXIST);
    const dx_topic_options_t bad = {.direct_bytes = 65537};
    assert_int_equal(dx_client_topic_create(client, "v", &bad, &said), DX_EINVAL);
    assert_contains(said.message, "power of two");
    finish(served, client);
}

static void a_ring_that_cant_be_had_leaves_the_connection(void **state)
{
    (void)state;
    dx_client_t *client = NULL;
    served_t *served = serve_direct(&client);
    char text[1024];
    check_said(dx_client_ask(client, "direct", "subscribe t", text, sizeof text, &said), "ask");
    dxi_direct_answer_t answer;
    check_said(dxi_direct_answer_read(text, &answer, &said), "answer");
    char path[512];
    char aside[520];
    (void)snprintf(path, sizeof path, "%s/%s%s", answer.folder, answer.ring, DX_RING_SUFFIX);
    (void)snprintf(aside, sizeof aside, "%s.aside", path);
    assert_int_equal(rename(path, aside), 0);
    reader_t *reader = joined(client, (dx_subscription_options_t){.pattern = "t"});
    for (uint64_t i = 1; i <= 100; i++) {
        publish(client, "t", i);
    }
    wait_until(loaded(&reader->count) == 100);
    assert_int_equal(loaded(&reader->last), 100);
    assert_true(through_the_node(served) >= 200);
    assert_int_equal(rename(aside, path), 0);
    assert_int_equal(dx_client_ask(client, "direct", "publish $t", text, sizeof text, &said),
                     DX_EPERM);
    assert_int_equal(dx_client_ask(client, "direct", "say t", text, sizeof text, &said), DX_EINVAL);
    left(reader);
    finish(served, client);
}

typedef struct inside {
    dx_client_subscription_t *subscription;
    dx_client_t *client;
    dx_atomic64_t known, unsubscribed, closed, published;
} inside_t;

static int from_inside(void *context, const dx_event_t *event)
{
    inside_t *const inside = context;
    (void)event;
    wait_until(dx_load_acquire(&inside->known) != 0);
    dx_store_release(&inside->unsubscribed, dx_client_unsubscribe(inside->subscription, 0));
    dx_store_release(&inside->closed, dx_client_close(inside->client, 0));
    const dx_message_t message = {.topic = "u", .data = "x", .bytes = 1};
    dx_store_release(&inside->published,
                     dx_client_publish(inside->client, &message, NULL) == DX_OK ? 1 : -1);
    return DX_OK;
}

static int pass_on(void *context, const dx_event_t *event)
{
    const dx_message_t message = {.topic = "v", .data = event->data, .bytes = event->bytes};
    assert_int_equal(dx_client_publish(context, &message, NULL), DX_OK);
    return DX_OK;
}

/* From ring to ring, though nothing was published before the handler did. */
static void a_handler_publishes_into_a_ring(void **state)
{
    (void)state;
    for (int polled = 0; polled < 2; polled++) {
        dx_client_t *client = NULL;
        served_t *served = serve_direct(&client);
        dx_client_t *between = client_of(served);
        check_said(dx_client_topic_create(client, "v", &DIRECT, &said), "create");
        reader_t *reader = joined(client, (dx_subscription_options_t){.pattern = "v"});
        dx_client_subscription_t *subscription = NULL;
        const dx_subscription_options_t options = {.pattern = "t",
                                                   .on_event = pass_on,
                                                   .context = between,
                                                   .dispatch = polled != 0 ? DX_DISPATCH_POLL : 0};
        check_said(dx_client_subscribe(between, &options, &subscription, &said), "subscribe");
        const uint64_t before = through_the_node(served);
        for (uint64_t i = 1; i <= 100; i++) {
            publish(client, "t", i);
        }
        const int64_t limit_ns = dx_clock_ns() + PATIENCE_NS;
        while (loaded(&reader->count) != 100) {
            assert_true(polled == 0 || dx_client_poll(subscription) >= 0);
            assert_true(dx_clock_ns() < limit_ns);
        }
        assert_int_equal(through_the_node(served), before);
        check_said(dx_client_unsubscribe(subscription, DX_CLIENT_FOREVER), "unsubscribe");
        left(reader);
        check_said(dx_client_close(between, DX_CLIENT_FOREVER), "close");
        finish(served, client);
    }
}

static void a_handler_publishes_and_waits_for_nobody(void **state)
{
    (void)state;
    dx_client_t *client = NULL;
    served_t *served = serve_direct(&client);
    inside_t inside = {.client = client};
    const dx_subscription_options_t options = {
        .pattern = "t", .on_event = from_inside, .context = &inside};
    check_said(dx_client_topic_create(client, "u", &DIRECT, &said), "create");
    reader_t *reader = joined(client, (dx_subscription_options_t){.pattern = "u"});
    check_said(dx_client_subscribe(client, &options, &inside.subscription, &said), "subscribe");
    dx_store_release(&inside.known, 1);
    publish(client, "t", 1);
    wait_until(loaded(&inside.published) != 0);
    assert_int_equal(loaded(&inside.unsubscribed), DX_EDEADLOCK);
    assert_int_equal(loaded(&inside.closed), DX_EDEADLOCK);
    assert_int_equal(loaded(&inside.published), 1);
    wait_until(loaded(&reader->count) == 1);
    check_said(dx_client_unsubscribe(inside.subscription, DX_CLIENT_FOREVER), "unsubscribe");
    left(reader);
    finish(served, client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_go_from_client_to_client_without_the_node),
        cmocka_unit_test(who_polls_handles_events_in_its_own_thread),
        cmocka_unit_test(receipts_say_the_place_in_the_ring),
        cmocka_unit_test(asynchronous_receipts_come_in_order_in_the_clients_thread),
        cmocka_unit_test(a_message_that_does_not_fit_is_refused_with_its_size),
        cmocka_unit_test(an_event_goes_without_its_trace_where_there_is_no_room_for_it),
        cmocka_unit_test(all_see_one_order_and_the_same_sequences),
        cmocka_unit_test(keys_and_headers_and_requests_go_through_the_ring_as_well),
        cmocka_unit_test(a_group_and_acknowledgements_are_the_nodes_business),
        cmocka_unit_test(who_drops_holds_publishers_up_for_a_moment_and_is_told_a_gap),
        cmocka_unit_test(who_blocks_is_waited_for_as_long_as_it_says),
        cmocka_unit_test(who_wants_to_be_disconnected_is),
        cmocka_unit_test(who_does_not_want_to_wait_is_told_that_the_ring_is_full),
        cmocka_unit_test(a_topic_that_is_deleted_goes_on_over_the_connection),
        cmocka_unit_test(what_the_successor_had_before_is_told_as_a_gap),
        cmocka_unit_test(clients_attach_again_when_the_node_was_started_anew),
        cmocka_unit_test(what_was_published_over_the_connection_comes_before),
        cmocka_unit_test(a_direct_topic_is_declared_once_and_stays_so),
        cmocka_unit_test(a_ring_that_cant_be_had_leaves_the_connection),
        cmocka_unit_test(a_handler_publishes_into_a_ring),
        cmocka_unit_test(a_handler_publishes_and_waits_for_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
