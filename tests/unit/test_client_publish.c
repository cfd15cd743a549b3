/* test_client_publish.c - publishing through a client to a node made of a script: what arrives,
 * receipts, retries over broken connections, credit, the window's limits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "client_test.h"

static void a_message_arrives_with_all_its_parts(void **state)
{
    (void)state;
    node_t *node = node_make();
    node_start(node);
    dx_client_t *client = client_open(node, (dx_client_options_t){0});
    dx_error_t error = {0};
    const dx_frame_pair_t header = {
        .name = "kind", .name_bytes = 4, .value = "test", .value_bytes = 4};
    const dx_frame_trace_t trace = {.flags = 1};
    const dx_message_t all = {.topic = "orders.created",
                              .data = "hello",
                              .bytes = 5,
                              .key = "k1",
                              .key_bytes = 2,
                              .headers = &header,
                              .header_count = 1,
                              .trace = &trace,
                              .correlation = 77,
                              .reply_to = "answers"};
    assert_ok(dx_client_publish(client, &all, &error));
    const dx_message_t plain = message("orders.created", "hi");
    assert_ok(dx_client_publish(client, &plain, &error));
    wait_until(number(&node->publications) == 2);
    const got_t *first = node_got(node, DX_FRAME_PUBLISH, 0);
    const got_t *second = node_got(node, DX_FRAME_PUBLISH, 1);
    assert_string_equal(first->topic, "orders.created");
    assert_string_equal(first->payload, "hello");
    assert_int_equal(first->correlation, 77);
    assert_int_equal(first->producer_sequence, 0);
    assert_string_equal(second->topic, "orders.created");
    assert_string_equal(second->payload, "hi");
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    node_end(node);
}

static void payloads_of_every_small_size_arrive(void **state)
{
    (void)state;
    node_t *node = node_make();
    node_start(node);
    dx_client_t *client = client_open(node, (dx_client_options_t){0});
    dx_error_t error = {0};
    char data[64];
    for (int i = 0; i < 64; i++) {
        data[i] = (char)('a' + i % 26);
    }
    for (size_t bytes = 0; bytes < 64; bytes++) {
        const dx_message_t m = {.topic = "t", .data = bytes != 0 ? data : NULL, .bytes = bytes};
        assert_ok(dx_client_publish(client, &m, &error));
    }
    assert_ok(dx_client_flush(client, DX_CLIENT_FOREVER, &error));
    wait_until(number(&node->publications) == 64);
    for (int i = 0; i < 64; i++) {
        const got_t *got = node_got(node, DX_FRAME_PUBLISH, i);
        assert_int_equal(got->payload_bytes, i);
        assert_memory_equal(got->payload, data, i < 63 ? (size_t)i : 63);
    }
    dx_client_stats_t stats;
    dx_client_stats(client, &stats);
    assert_int_equal(stats.published, 64);
    assert_int_equal(stats.window_bytes, 0);
    assert_int_equal(stats.state, DX_CLIENT_CONNECTED);
    assert_string_equal(stats.address, node->address);
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    node_end(node);
}

static void what_is_no_message_is_refused(void **state)
{
    (void)state;
    node_t *node = node_make();
    node_start(node);
    dx_client_t *client = client_open(node, (dx_client_options_t){.window_bytes = 65536});
    static char big[65536];
    dx_error_t error = {0};
    const struct {
        dx_message_t message;
        int code;
        const char *text;
    } table[] = {
        {{.topic = NULL}, DX_EINVAL, "topic is NULL"},
        {{.topic = ""}, DX_EINVAL, ""},
        {{.topic = "a.*"}, DX_EINVAL, ""},
        {{.topic = "a", .bytes = 1}, DX_EINVAL, "data is NULL"},
        {{.topic = "a", .data = big, .bytes = 32768}, DX_ELIMIT, "must take at most"},
        {{.topic = "a", .key = big, .key_bytes = 1025}, DX_ELIMIT, "key_bytes is 1025"},
        {{.topic = "a", .reserved = {1}}, DX_EINVAL, "reserved"},
        {{.topic = "a", .reply_to = "b.>"}, DX_EINVAL, "reply_to"},
        {{.topic = "a", .header_count = 1}, DX_EINVAL, "headers is NULL"},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        assert_fails(dx_client_publish(client, &table[i].message, &error), table[i].code, error,
                     table[i].text);
        assert_fails(dx_client_publish_batch(client, &table[i].message, 1, &error), table[i].code,
                     error, table[i].text);
        dx_receipt_t receipt = {.code = DX_OK, .sequence = 9};
        assert_fails(dx_client_publish_wait(client, &table[i].message, &receipt, &error),
                     table[i].code, error, table[i].text);
        assert_int_equal(receipt.code, table[i].code);
        assert_int_equal(receipt.sequence, 0);
        assert_int_equal(dx_client_publish_wait(client, &table[i].message, NULL, NULL),
                         table[i].code);
    }
    const dx_message_t largest = {.topic = "a", .data = big, .bytes = 32768 - 32 - 64 - 16};
    assert_ok(dx_client_publish(client, &largest, &error));
    assert_fails(dx_client_publish_async(client, &largest, NULL, NULL, &error), DX_EINVAL, error,
                 "on_receipt");
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    node_end(node);
}

static void a_batch_arrives_in_order_whatever_it_is_made_of(void **state)
{
    (void)state;
    node_t *node = node_make();
    node_start(node);
    dx_client_t *client = client_open(node, (dx_client_options_t){.window_bytes = 65536});
    dx_error_t error = {0};
    enum { COUNT = 1000 };
    static char texts[COUNT][16];
    static char topics[COUNT][16];
    static dx_message_t messages[COUNT];
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "%d", i);
        (void)snprintf(topics[i], sizeof topics[i], "t.%d", i % 23);
        messages[i] = message(topics[i], texts[i]);
        if (i % 7 == 3) {
            messages[i].key = "k";
            messages[i].key_bytes = 1;
        }
    }
    assert_int_equal(dx_client_publish_batch(client, messages, COUNT, &error), COUNT);
    assert_int_equal(dx_client_publish_batch(client, messages, 0, &error), 0);
    wait_until(number(&node->publications) == COUNT);
    for (int i = 0; i < COUNT; i++) {
        const got_t *got = &node->log[i];
        assert_string_equal(got->payload, texts[i]);
        assert_string_equal(got->topic, topics[i]);
    }
    messages[5].topic = "a.*";
    assert_int_equal(dx_client_publish_batch(client, messages, 10, &error), 5);
    assert_fails(dx_client_publish_batch(client, &messages[5], 1, &error), DX_EINVAL, error, "");
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    node_end(node);
}

static void a_receipt_says_where_the_event_is(void **state)
{
    (void)state;
    node_t *node = node_make();
    node_start(node);
    dx_client_t *client = client_open(node, (dx_client_options_t){.producer_id = 4711});
    dx_error_t error = {0};
    dx_receipt_t receipt;
    const dx_message_t m = message("orders", "one");
    for (uint64_t i = 1; i <= 3; i++) {
        assert_ok(dx_client_publish_wait(client, &m, &receipt, &error));
        assert_int_equal(receipt.sequence, i);
        assert_int_equal(receipt.shard, 5);
        assert_int_equal(receipt.term, 7);
        assert_int_equal(receipt.timestamp_ns, 99);
        assert_false(receipt.duplicate);
    }
    const got_t *got = node_got(node, DX_FRAME_PUBLISH, 2);
    assert_int_equal(got->producer_sequence, 3);
    assert_int_equal(got->flags, DX_FRAME_ACK_WANTED);
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    node_end(node);
}

static void error_send(void *context)
{
    const dx_frame_code_t code = {.code = DX_EPERM};
    const uint64_t events = 31;
    const dx_frame_part_t parts[] = {dx_frame_part_of(DX_PART_CODE, &code, sizeof code),
                                     dx_frame_part_of(DX_PART_COUNT, &events, sizeof events)};
    node_send(context, &(dx_frame_draft_t){.type = DX_FRAME_ERROR, .parts = parts, .part_count = 1},
              NULL);
    node_send(context, &(dx_frame_draft_t){.type = DX_FRAME_ERROR, .parts = parts, .part_count = 2},
              NULL);
}

static void what_an_error_refuses_is_counted_by_events(void **state)
{
    (void)state;
    node_t *node = node_make();
    node_start(node);
    dx_client_t *client = client_open(node, (dx_client_options_t){0});
    dx_client_stats_t stats = {.refused = 0};
    node_do(node, error_send);
    while (stats.refused < 1 + 31) {
        dx_client_stats(client, &stats);
    }
    assert_int_equal(stats.refused, 1 + 31);
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    node_end(node);
}

static void a_refused_publication_says_why(void **state)
{
    (void)state;
    node_t *node = node_make();
    node->refuse = DX_EPERM;
    node_start(node);
    dx_client_t *client = client_open(node, (dx_client_options_t){0});
    dx_error_t error = {0};
    dx_receipt_t receipt;
    receipts_t receipts = {0};
    const dx_message_t m = message("orders", "one");
    assert_fails(dx_client_publish_wait(client, &m, &receipt, &error), DX_EPERM, error,
                 "not this tim");
    assert_int_equal(receipt.code, DX_EPERM);
    assert_ok(dx_client_publish_async(client, &m, on_receipt, &receipts, &error));
    assert_ok(dx_client_flush(client, DX_CLIENT_FOREVER, &error));
    assert_int_equal(number(&receipts.refused), 1);
    dx_client_stats_t stats;
    dx_client_stats(client, &stats);
    assert_int_equal(stats.refused, 2);
    assert_int_equal(stats.acknowledged, 0);
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    node_end(node);
}

static void one_ack_with_a_range_answers_all_of_it(void **state)
{
    (void)state;
    node_t *node = node_make();
    node->join = true;
    node_start(node);
    dx_client_t *client = client_open(node, (dx_client_options_t){0});
    dx_error_t error = {0};
    receipts_t receipts = {0};
    enum { COUNT = 5000 };
    const dx_message_t m = message("orders", "one");
    for (int i = 0; i < COUNT; i++) {
        assert_ok(dx_client_publish_async(client, &m, on_receipt, &receipts, &error));
    }
    assert_ok(dx_client_flush(client, DX_CLIENT_FOREVER, &error));
    assert_int_equal(number(&receipts.count), COUNT);
    assert_int_equal(receipts.last.sequence, COUNT);
    assert_int_equal(number(&node->holes), 0);
    dx_client_stats_t stats;
    dx_client_stats(client, &stats);
    assert_int_equal(stats.acknowledged, COUNT);
    assert_int_equal(stats.window_events, 0);
    assert_int_equal(stats.window_bytes, 0);
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    node_end(node);
}

/* The connection is cut after 1, 2, 3 ... publications, each time before some of the answers were
 * sent, while the program goes on publishing. */
static void every_acknowledged_publication_is_taken_once_and_in_order(void **state)
{
    (void)state;
    enum { COUNT = 400 };
    for (int64_t cut = 1; cut < 60; cut += 7) {
        for (int joined = 0; joined < 2; joined++) {
            node_t *node = node_make();
            node->cut_after = cut;
            node->cuts = 5;
            node->join = joined != 0;
            node_start(node);
            dx_client_t *client = client_open(node, (dx_client_options_t){0});
            dx_error_t error = {0};
            receipts_t receipts = {0};
            static char texts[COUNT][8];
            for (int i = 0; i < COUNT; i++) {
                (void)snprintf(texts[i], sizeof texts[i], "%d", i);
                const dx_message_t m = message("orders", texts[i]);
                assert_ok(dx_client_publish_async(client, &m, on_receipt, &receipts, &error));
            }
            assert_ok(dx_client_flush(client, DX_CLIENT_FOREVER, &error));
            assert_int_equal(number(&receipts.count), COUNT);
            assert_int_equal(number(&receipts.refused), 0);
            assert_int_equal(number(&node->holes), 0);
            assert_int_equal(node->taken, COUNT);
            for (int i = 0; i < COUNT; i++) {
                assert_string_equal(node->log[i].payload, texts[i]);
            }
            dx_client_stats_t stats;
            dx_client_stats(client, &stats);
            assert_int_equal(stats.reconnects, 5);
            assert_int_equal(stats.acknowledged, COUNT);
            assert_int_equal(stats.lost, 0);
            assert_true(stats.retried >= (uint64_t)number(&node->duplicates));
            assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
            node_end(node);
        }
    }
}

static void a_duplicate_is_told_as_one(void **state)
{
    (void)state;
    node_t *node = node_make();
    node->mute = true;
    node_start(node);
    dx_client_t *client = client_open(node, (dx_client_options_t){0});
    dx_error_t error = {0};
    receipts_t receipts = {0};
    const dx_message_t m = message("orders", "one");
    assert_ok(dx_client_publish_async(client, &m, on_receipt, &receipts, &error));
    wait_until(number(&node->publications) == 1);
    node->mute = false;
    node_do(node, node_cut);
    wait_until(number(&receipts.count) == 1);
    assert_int_equal(number(&receipts.duplicates), 1);
    assert_int_equal(number(&node->duplicates), 1);
    dx_client_stats_t stats;
    dx_client_stats(client, &stats);
    assert_int_equal(stats.retried, 1);
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    node_end(node);
}

static void nothing_is_sent_beyond_the_credit(void **state)
{
    (void)state;
    node_t *node = node_make();
    node->credit_events = 10;
    node->renew = false;
    node_start(node);
    dx_client_t *client = client_open(node, (dx_client_options_t){0});
    dx_error_t error = {0};
    receipts_t receipts = {0};
    const dx_message_t m = message("orders", "one");
    for (int i = 0; i < 20; i++) {
        assert_ok(dx_client_publish(client, &m, &error));
        assert_ok(dx_client_publish_async(client, &m, on_receipt, &receipts, &error));
    }
    wait_until(number(&node->publications) == 10);
    assert_fails(dx_client_flush(client, 50 * DX_NS_PER_MS, &error), DX_ETIMEDOUT, error, "");
    assert_int_equal(number(&node->publications), 10);
    node->renew = true;
    node->credit_events = 1000;
    node_do(node, node_cut); /* the next connection has more */
    wait_until(number(&receipts.count) == 20);
    assert_int_equal(number(&node->holes), 0);
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    node_end(node);
}

/* A node renews its credit when half of the window is used: what is longer than the rest of it must
 * not wait. */
static void the_last_frame_reaches_beyond_the_credit_in_bytes(void **state)
{
    (void)state;
    static char data[1000];
    for (int kind = 0; kind < 3; kind++) { /* plain, a frame, with a receipt */
        node_t *node = node_make();
        node->credit_events = 100;
        node->credit_bytes = 300;
        node->renew = false;
        node_start(node);
        dx_client_t *client = client_open(node, (dx_client_options_t){0});
        dx_error_t error = {0};
        receipts_t receipts = {0};
        const dx_message_t m = {.topic = "t",
                                .data = data,
                                .bytes = sizeof data,
                                .key = kind == 1 ? "k" : NULL,
                                .key_bytes = kind == 1 ? 1 : 0};
        for (int i = 0; i < 3; i++) {
            assert_ok(kind < 2
                          ? dx_client_publish(client, &m, &error)
                          : dx_client_publish_async(client, &m, on_receipt, &receipts, &error));
        }
        wait_until(number(&node->publications) == 1);
        assert_fails(dx_client_flush(client, 20 * DX_NS_PER_MS, &error), DX_ETIMEDOUT, error, "");
        assert_int_equal(number(&node->publications), 1);
        (void)dx_client_close(client, 0);
        node_end(node);
    }
}

static void a_full_window_waits_or_says_so(void **state)
{
    (void)state;
    node_t *node = node_make();
    node->credit_events = 0;
    node_start(node);
    const dx_client_options_t fails = {.window_bytes = 65536, .fail_when_full = true};
    const dx_client_options_t waits = {.window_bytes = 65536, .timeout_ns = 20 * DX_NS_PER_MS};
    dx_error_t error = {0};
    static char data[1000];
    const dx_message_t m = {.topic = "t", .data = data, .bytes = sizeof data};
    for (int i = 0; i < 2; i++) {
        dx_client_t *client = client_open(node, i == 0 ? fails : waits);
        int published = 0;
        int code = DX_OK;
        while ((code = dx_client_publish(client, &m, &error)) == DX_OK) {
            published++;
        }
        assert_int_equal(published, 65536 / (8 + 1000));
        assert_int_equal(code, i == 0 ? DX_EAGAIN : DX_ETIMEDOUT);
        assert_contains(error.message, "window_bytes is 65536");
        const dx_message_t several[3] = {m, m, m};
        assert_int_equal(dx_client_publish_batch(client, several, 3, &error), code);
        assert_int_equal(dx_client_close(client, 0), DX_ETIMEDOUT);
    }
    node_end(node);
}

static void at_most_window_events_wait_for_receipts(void **state)
{
    (void)state;
    node_t *node = node_make();
    node->mute = true;
    node_start(node);
    const dx_client_options_t options = {.window_events = 3, .fail_when_full = true};
    dx_client_t *client = client_open(node, options);
    dx_error_t error = {0};
    receipts_t receipts = {0};
    const dx_message_t m = message("t", "x");
    for (int i = 0; i < 3; i++) {
        assert_ok(dx_client_publish_async(client, &m, on_receipt, &receipts, &error));
    }
    assert_fails(dx_client_publish_async(client, &m, on_receipt, &receipts, &error), DX_EAGAIN,
                 error, "window_events is 3");
    assert_ok(dx_client_publish(client, &m, &error));
    wait_until(number(&node->publications) == 4);
    node->mute = false;
    node_do(node, node_cut);
    wait_until(number(&receipts.count) == 3);
    assert_ok(dx_client_flush(client, DX_CLIENT_FOREVER, &error));
    assert_ok(dx_client_publish_async(client, &m, on_receipt, &receipts, &error));
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    node_end(node);
}

static void closing_tells_those_who_have_no_answer(void **state)
{
    (void)state;
    node_t *node = node_make();
    node->mute = true;
    node_start(node);
    dx_client_t *client = client_open(node, (dx_client_options_t){0});
    dx_error_t error = {0};
    receipts_t receipts = {0};
    const dx_message_t m = message("t", "x");
    for (int i = 0; i < 10; i++) {
        assert_ok(dx_client_publish_async(client, &m, on_receipt, &receipts, &error));
    }
    assert_int_equal(dx_client_close(client, DX_NS_PER_MS), DX_ETIMEDOUT);
    assert_int_equal(number(&receipts.closed), 10);
    /* Without a publication there is nothing to wait for. */
    client = client_open(node, (dx_client_options_t){0});
    assert_ok(dx_client_close(client, 0));
    node_end(node);
}

static void a_late_receipt_finds_nobody(void **state)
{
    (void)state;
    node_t *node = node_make();
    node->mute = true;
    node_start(node);
    dx_client_t *client = client_open(node, (dx_client_options_t){.timeout_ns = DX_NS_PER_MS});
    dx_error_t error = {0};
    dx_receipt_t receipt;
    const dx_message_t m = message("t", "x");
    assert_fails(dx_client_publish_wait(client, &m, &receipt, &error), DX_ETIMEDOUT, error, "");
    wait_until(number(&node->publications) == 1);
    node->mute = false;
    node_do(node, node_cut);
    assert_ok(dx_client_flush(client, DX_CLIENT_FOREVER, &error));
    dx_client_stats_t stats;
    dx_client_stats(client, &stats);
    assert_int_equal(stats.acknowledged, 1);
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    node_end(node);
}

/* What was put into the sending ring and never written is lost with the connection, and counted. */
static void what_nobody_confirms_and_was_not_written_is_counted_as_lost(void **state)
{
    (void)state;
    node_t *node = node_make();
    node_start(node);
    dx_client_t *client = client_open(node, (dx_client_options_t){0});
    dx_error_t error = {0};
    static char data[16384];
    const dx_message_t m = {.topic = "t", .data = data, .bytes = sizeof data};
    enum { COUNT = 2000 };
    node->cut_after = 3;
    node->cuts = 1;
    for (int i = 0; i < COUNT; i++) {
        assert_ok(dx_client_publish(client, &m, &error));
    }
    assert_ok(dx_client_flush(client, DX_CLIENT_FOREVER, &error));
    dx_client_stats_t stats;
    dx_client_stats(client, &stats);
    assert_int_equal(stats.reconnects, 1);
    assert_int_equal(stats.published, COUNT);
    /* What the socket of the cut connection had taken arrives nowhere either, and can't be known.
     * */
    wait_until(number(&node->publications) > 3);
    assert_true((uint64_t)number(&node->publications) + stats.lost <= COUNT);
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    node_end(node);
}

typedef struct worker {
    dx_client_t *client;
    receipts_t receipts;
    int count;
    int index;
} worker_t;

static void work(void *context)
{
    worker_t *const worker = context;
    dx_error_t error = {0};
    char topic[16];
    char text[16];
    (void)snprintf(topic, sizeof topic, "w.%d", worker->index);
    for (int i = 0; i < worker->count; i++) {
        (void)snprintf(text, sizeof text, "%d", i);
        const dx_message_t m = message(topic, text);
        int code = DX_OK;
        if (i % 3 == 0) {
            code =
                dx_client_publish_async(worker->client, &m, on_receipt, &worker->receipts, &error);
        } else {
            code = dx_client_publish(worker->client, &m, &error);
        }
        if (code != DX_OK) { /* fail_msg() is for the test's own thread */
            (void)fprintf(stderr, "%s: %s\n", dx_error_name(code), error.message);
            abort();
        }
    }
}

static void four_threads_publish_each_in_its_order(void **state)
{
    (void)state;
    enum { WORKERS = 4, COUNT = 3000 };
    node_t *node = node_make();
    node_start(node);
    dx_client_t *client = client_open(node, (dx_client_options_t){.window_bytes = 65536});
    static worker_t workers[WORKERS];
    dx_thread_t *threads[WORKERS];
    dx_error_t error = {0};
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = (worker_t){.client = client, .count = COUNT, .index = i};
        assert_ok(dx_thread_start(NULL, work, &workers[i], &threads[i], &error));
    }
    for (int i = 0; i < WORKERS; i++) {
        assert_ok(dx_thread_join(threads[i]));
    }
    assert_ok(dx_client_flush(client, DX_CLIENT_FOREVER, &error));
    wait_until(number(&node->publications) == (int64_t)WORKERS * COUNT);
    int next[WORKERS] = {0};
    for (int i = 0; i < WORKERS * COUNT; i++) {
        const int from = node->log[i].topic[2] - '0';
        assert_int_equal(atoi(node->log[i].payload), next[from]);
        next[from]++;
    }
    for (int i = 0; i < WORKERS; i++) {
        assert_int_equal(number(&workers[i].receipts.count), COUNT / 3);
    }
    assert_int_equal(number(&node->holes), 0);
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    node_end(node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_arrives_with_all_its_parts),
        cmocka_unit_test(payloads_of_every_small_size_arrive),
        cmocka_unit_test(what_is_no_message_is_refused),
        cmocka_unit_test(a_batch_arrives_in_order_whatever_it_is_made_of),
        cmocka_unit_test(a_receipt_says_where_the_event_is),
        cmocka_unit_test(what_an_error_refuses_is_counted_by_events),
        cmocka_unit_test(a_refused_publication_says_why),
        cmocka_unit_test(one_ack_with_a_range_answers_all_of_it),
        cmocka_unit_test(every_acknowledged_publication_is_taken_once_and_in_order),
        cmocka_unit_test(a_duplicate_is_told_as_one),
        cmocka_unit_test(nothing_is_sent_beyond_the_credit),
        cmocka_unit_test(the_last_frame_reaches_beyond_the_credit_in_bytes),
        cmocka_unit_test(a_full_window_waits_or_says_so),
        cmocka_unit_test(at_most_window_events_wait_for_receipts),
        cmocka_unit_test(closing_tells_those_who_have_no_answer),
        cmocka_unit_test(a_late_receipt_finds_nobody),
        cmocka_unit_test(what_nobody_confirms_and_was_not_written_is_counted_as_lost),
        cmocka_unit_test(four_threads_publish_each_in_its_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
