/* test_client_bus.c - clients of a real bus, served over a UNIX socket in this process: everything
 * that the two sides say to each other, with one and with two loops; and all of it once more
 * through shared memory (shm.client_bus).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "served_test.h"

static void what_one_client_publishes_another_gets_in_order(void **state)
{
    (void)state;
    FOR_EACH_BUS(loops)
    {
        served_t *served = serve(loops);
        dx_client_t *from = client_of(served);
        dx_client_t *to = client_of(served);
        arrivals_t *one = arrivals_make(to);
        arrivals_t *all = arrivals_make(to);
        subscribe(one, (dx_subscription_options_t){
                           .pattern = "orders.a", .slow = DX_SLOW_BLOCK, .slow_block_ns = SOON_NS});
        subscribe(all, (dx_subscription_options_t){
                           .pattern = "orders.*", .slow = DX_SLOW_BLOCK, .slow_block_ns = SOON_NS});
        for (uint64_t i = 0; i < 20000; i++) {
            publish(from, i % 2 == 0 ? "orders.a" : "orders.b", i);
        }
        wait_until(loaded(&all->count) == 20000);
        wait_until(loaded(&one->count) == 10000);
        assert_int_equal(loaded(&one->disorders), 0);
        for (uint64_t i = 0; i < 20000; i++) {
            assert_int_equal(loaded(&all->seen[i]), 1);
        }
        dx_client_stats_t stats;
        dx_client_stats(from, &stats);
        assert_int_equal(stats.published, 20000);
        assert_int_equal(stats.refused, 0);
        dx_client_stats(to, &stats);
        assert_int_equal(stats.received, 30000);
        assert_int_equal(stats.gaps, 0);
        check_said(dx_client_unsubscribe(one->subscription, DX_CLIENT_FOREVER), "unsubscribe");
        check_said(dx_client_close(from, DX_CLIENT_FOREVER), "close");
        check_said(dx_client_close(to, DX_CLIENT_FOREVER), "close");
        free(one);
        free(all);
        serve_end(served);
    }
}

static void receipts_have_the_sequences_of_the_topic(void **state)
{
    (void)state;
    FOR_EACH_BUS(loops)
    {
        served_t *served = serve(loops);
        dx_client_t *client = client_of(served);
        dx_receipt_t receipt;
        uint64_t last_time = 0;
        for (uint64_t i = 1; i <= 50; i++) {
            const char *const topic = i % 2 == 0 ? "even" : "odd";
            const dx_message_t m = {.topic = topic, .data = "x", .bytes = 1};
            check_said(dx_client_publish_wait(client, &m, &receipt, &said), "publish_wait");
            assert_int_equal(receipt.sequence, (i + 1) / 2);
            assert_int_equal(receipt.shard, dx_bus_shard_of(served->bus, topic, NULL, 0));
            assert_false(receipt.duplicate);
            assert_true(receipt.timestamp_ns >= last_time || loops > 1);
            last_time = receipt.timestamp_ns;
        }
        const dx_message_t closed = {.topic = "$mine", .data = "x", .bytes = 1};
        assert_int_equal(dx_client_publish_wait(client, &closed, &receipt, &said), DX_EPERM);
        assert_contains(said.message, "$");
        check_said(dx_client_close(client, DX_CLIENT_FOREVER), "close");
        serve_end(served);
    }
}

typedef struct told {
    dx_atomic64_t count, wrong;
    uint64_t next;
} told_t;

static void on_receipt(void *context, const dx_receipt_t *receipt)
{
    told_t *const told = context;
    const uint64_t expected = ++told->next;
    /* Of a duplicate the shard may not remember the sequence any more. */
    const bool forgotten = receipt->duplicate && receipt->sequence == 0;
    if (receipt->code != DX_OK || (receipt->sequence != expected && !forgotten)) {
        add(&told->wrong);
    }
    add(&told->count);
}

static void many_receipts_come_in_the_order_of_the_topic(void **state)
{
    (void)state;
    FOR_EACH_BUS(loops)
    {
        served_t *served = serve(loops);
        dx_client_t *client = client_of(served);
        told_t told = {0};
        for (uint64_t i = 0; i < 20000; i++) {
            const dx_message_t m = {.topic = "orders", .data = &i, .bytes = 8};
            check_said(dx_client_publish_async(client, &m, on_receipt, &told, &said), "publish");
        }
        check_said(dx_client_flush(client, DX_CLIENT_FOREVER, &said), "flush");
        assert_int_equal(loaded(&told.count), 20000);
        assert_int_equal(loaded(&told.wrong), 0);
        check_said(dx_client_close(client, DX_CLIENT_FOREVER), "close");
        serve_end(served);
    }
}

static void a_group_shares_events_and_refused_ones_come_again(void **state)
{
    (void)state;
    FOR_EACH_BUS(loops)
    {
        served_t *served = serve(loops);
        dx_client_t *clients[3];
        arrivals_t *members[3];
        enum { COUNT = 3000 };
        for (int i = 0; i < 3; i++) {
            clients[i] = client_of(served);
            members[i] = arrivals_make(clients[i]);
            members[i]->fail_first = i == 0 ? 5 : 0;
            members[i]->fail_code = DX_EIO;
            subscribe(members[i], (dx_subscription_options_t){.pattern = "jobs",
                                                              .group = "workers",
                                                              .backoff_ns = 1000000,
                                                              .slow = DX_SLOW_BLOCK,
                                                              .slow_block_ns = SOON_NS});
        }
        for (uint64_t i = 0; i < COUNT; i++) {
            char key[16];
            const int bytes = snprintf(key, sizeof key, "k%d", (int)(i % 97));
            const dx_message_t m = {
                .topic = "jobs", .data = &i, .bytes = 8, .key = key, .key_bytes = (size_t)bytes};
            check_said(dx_client_publish(clients[0], &m, &said), "publish");
        }
        /* Once, or more often where an event before it, of the same key, was refused. */
        for (uint64_t i = 0; i < COUNT; i++) {
            wait_until(loaded(&members[0]->seen[i]) + loaded(&members[1]->seen[i]) +
                           loaded(&members[2]->seen[i]) >=
                       1);
        }
        assert_true(loaded(&members[1]->count) > 0);
        int64_t redelivered = 0;
        for (int i = 0; i < 3; i++) {
            redelivered += loaded(&members[i]->redelivered);
            check_said(dx_client_close(clients[i], DX_CLIENT_FOREVER), "close");
            free(members[i]);
        }
        assert_true(redelivered >= 5);
        serve_end(served);
    }
}

static void what_is_given_up_goes_to_the_dead_letters(void **state)
{
    (void)state;
    FOR_EACH_BUS(loops)
    {
        served_t *served = serve(loops);
        dx_client_t *client = client_of(served);
        arrivals_t *worker = arrivals_make(client);
        arrivals_t *undertaker = arrivals_make(client);
        worker->fail_first = 1;
        worker->fail_code = DX_EFATAL;
        subscribe(undertaker, (dx_subscription_options_t){.pattern = "dead.jobs"});
        subscribe(worker, (dx_subscription_options_t){
                              .pattern = "jobs", .group = "w", .dead_letter = "dead.jobs"});
        publish(client, "jobs", 7);
        publish(client, "jobs", 8);
        wait_until(loaded(&undertaker->count) == 1);
        wait_until(loaded(&worker->count) == 1);
        assert_int_equal(loaded(&undertaker->seen[7]), 1);
        assert_int_equal(loaded(&worker->seen[8]), 1);
        check_said(dx_client_close(client, DX_CLIENT_FOREVER), "close");
        free(worker);
        free(undertaker);
        serve_end(served);
    }
}

static int arrive_and_ack(void *context, const dx_event_t *event)
{
    arrivals_t *const arrivals = context;
    const int code = event->attempt == 1 && event->sequence % 10 == 0
                         ? dx_client_nack(arrivals->subscription, event, DX_EIO)
                         : dx_client_ack(arrivals->subscription, event);
    if (code != DX_OK) {
        abort();
    }
    if (event->attempt != 1 || event->sequence % 10 != 0) {
        (void)arrive(context, event);
    }
    return DX_OK;
}

static void a_program_acknowledges_by_itself(void **state)
{
    (void)state;
    FOR_EACH_BUS(loops)
    {
        served_t *served = serve(loops);
        dx_client_t *client = client_of(served);
        arrivals_t *arrivals = arrivals_make(client);
        subscribe(arrivals, (dx_subscription_options_t){.pattern = "jobs",
                                                        .group = "w",
                                                        .on_event = arrive_and_ack,
                                                        .ack = DX_ACK_EXPLICIT,
                                                        .backoff_ns = 1000000,
                                                        .slow = DX_SLOW_BLOCK,
                                                        .slow_block_ns = SOON_NS});
        for (uint64_t i = 0; i < 5000; i++) {
            publish(client, "jobs", i);
        }
        wait_until(loaded(&arrivals->count) == 5000);
        assert_int_equal(loaded(&arrivals->redelivered), 500);
        check_said(dx_client_close(client, DX_CLIENT_FOREVER), "close");
        free(arrivals);
        serve_end(served);
    }
}

/* What is kept may be handed over before dx_client_subscribe() has returned; the handler that
 * acknowledges finds its subscription there all the same. */
static int arrive_and_ack_at_once(void *context, const dx_event_t *event)
{
    arrivals_t *const arrivals = context;
    if (dx_client_ack(arrivals->subscription, event) != DX_OK) {
        abort();
    }
    return arrive(context, event);
}

static void a_handler_may_acknowledge_before_subscribing_has_returned(void **state)
{
    (void)state;
    FOR_EACH_BUS(loops)
    {
        served_t *served = serve(loops);
        dx_client_t *client = client_of(served);
        const uint64_t value = 1;
        const dx_message_t kept = {.topic = "jobs", .data = &value, .bytes = 8};
        check_said(dx_client_publish_wait(client, &kept, NULL, &said), "publish");
        for (int i = 0; i < 300; i++) {
            arrivals_t *arrivals = arrivals_make(client);
            subscribe(arrivals, (dx_subscription_options_t){.pattern = "jobs",
                                                            .on_event = arrive_and_ack_at_once,
                                                            .from = DX_FROM_EARLIEST,
                                                            .ack = DX_ACK_EXPLICIT});
            wait_until(loaded(&arrivals->count) == 1);
            check_said(dx_client_unsubscribe(arrivals->subscription, DX_CLIENT_FOREVER),
                       "unsubscribe");
            free(arrivals);
        }
        check_said(dx_client_close(client, DX_CLIENT_FOREVER), "close");
        serve_end(served);
    }
}

static int reply(void *context, const dx_event_t *event)
{
    arrivals_t *const arrivals = context;
    char text[64];
    const int bytes =
        snprintf(text, sizeof text, "re: %.*s", (int)event->bytes, (const char *)event->data);
    add(&arrivals->count);
    if (dx_client_reply(arrivals->client, event, text, (size_t)bytes, NULL) != DX_OK) {
        abort();
    }
    return DX_OK;
}

static void on_reply(void *context, int code, const dx_event_t *event)
{
    told_t *const told = context;
    if (code != DX_OK || event->bytes < 4 || memcmp(event->data, "re: ", 4) != 0) {
        add(&told->wrong);
    }
    add(&told->count);
}

static void requests_are_answered(void **state)
{
    (void)state;
    FOR_EACH_BUS(loops)
    {
        served_t *served = serve(loops);
        dx_client_t *asker = client_of(served);
        dx_client_t *answerer = client_of(served);
        arrivals_t *arrivals = arrivals_make(answerer);
        char data[64];
        size_t bytes = sizeof data;
        const dx_message_t m = {.topic = "q", .data = "hello", .bytes = 5};
        assert_int_equal(dx_client_request(asker, &m, 0, data, &bytes, &said), DX_ENOTFOUND);
        subscribe(arrivals, (dx_subscription_options_t){.pattern = "q", .on_event = reply});
        for (int i = 0; i < 200; i++) {
            bytes = sizeof data;
            check_said(dx_client_request(asker, &m, 0, data, &bytes, &said), "dx_client_request()");
            assert_int_equal(bytes, 9);
            assert_memory_equal(data, "re: hello", 9);
        }
        told_t told = {0};
        for (int i = 0; i < 1000; i++) {
            check_said(dx_client_request_async(asker, &m, 0, on_reply, &told, &said),
                       "dx_client_request_async()");
        }
        wait_until(loaded(&told.count) == 1000);
        assert_int_equal(loaded(&told.wrong), 0);
        assert_int_equal(loaded(&arrivals->count), 1200);
        check_said(dx_client_close(asker, DX_CLIENT_FOREVER), "close");
        check_said(dx_client_close(answerer, DX_CLIENT_FOREVER), "close");
        free(arrivals);
        serve_end(served);
    }
}

typedef struct list {
    int count;
    char names[8][32];
} list_t;

static void visit(void *context, const dx_topic_stats_t *stats)
{
    list_t *const list = context;
    if (list->count < 8) {
        (void)snprintf(list->names[list->count], sizeof list->names[0], "%.31s", stats->name);
    }
    list->count++;
}

static void topics_are_made_looked_at_and_deleted(void **state)
{
    (void)state;
    FOR_EACH_BUS(loops)
    {
        served_t *served = serve(loops);
        dx_client_t *client = client_of(served);
        const dx_topic_options_t options = {.retain_events = 10, .event_bytes_max = 100};
        const dx_topic_options_t changed = {.retain_events = 20, .event_bytes_max = 100};
        dx_topic_stats_t stats;
        check_said(dx_client_topic_create(client, "a.b", &options, &said), "create");
        check_said(dx_client_topic_create(client, "a.b", &options, &said), "create again");
        assert_int_equal(dx_client_topic_create(client, "a.b", &changed, &said), DX_EEXIST);
        check_said(dx_client_topic_change(client, "a.b", &changed, &said), "change");
        check_said(dx_client_topic_create(client, "a.c", NULL, &said), "create");
        assert_int_equal(dx_client_topic_change(client, "nobody", &changed, &said), DX_ENOTFOUND);
        assert_int_equal(dx_client_topic_stats(client, "nobody", &stats, &said), DX_ENOTFOUND);
        publish(client, "a.b", 1);
        publish(client, "a.b", 2);
        dx_receipt_t receipt;
        const dx_message_t m = {.topic = "a.b", .data = "x", .bytes = 1};
        check_said(dx_client_publish_wait(client, &m, &receipt, &said), "publish");
        check_said(dx_client_topic_stats(client, "a.b", &stats, &said), "stats");
        assert_string_equal(stats.name, "a.b");
        assert_int_equal(stats.published, 3);
        assert_int_equal(stats.last_sequence, 3);
        assert_int_equal(stats.options.retain_events, 20);
        assert_true(stats.declared);
        list_t list = {0};
        assert_int_equal(dx_client_topic_list(client, "a.*", visit, &list, &said), 2);
        assert_int_equal(list.count, 2);
        assert_string_equal(list.names[0], "a.b");
        assert_string_equal(list.names[1], "a.c");
        assert_int_equal(dx_client_topic_list(client, "z.>", visit, &list, &said), 0);
        static char big[101];
        const dx_message_t too_big = {.topic = "a.b", .data = big, .bytes = sizeof big};
        assert_int_equal(dx_client_publish_wait(client, &too_big, &receipt, &said), DX_ELIMIT);
        check_said(dx_client_topic_delete(client, "a.b", &said), "delete");
        assert_int_equal(dx_client_topic_delete(client, "a.b", &said), DX_ENOTFOUND);
        check_said(dx_client_close(client, DX_CLIENT_FOREVER), "close");
        serve_end(served);
    }
}

static void questions_are_answered(void **state)
{
    (void)state;
    served_t *served = serve(1);
    dx_client_t *client = client_of(served);
    char text[16];
    check_said(dx_client_ask(client, "echo", "hello", text, sizeof text, &said), "ask");
    assert_string_equal(text, "\"hello\"");
    check_said(dx_client_ask(client, "echo", NULL, text, sizeof text, &said), "ask");
    assert_string_equal(text, "\"\"");
    assert_int_equal(dx_client_ask(client, "echo", "a long argument", text, sizeof text, &said),
                     DX_ELIMIT);
    assert_int_equal(dx_client_ask(client, "what", NULL, text, sizeof text, &said), DX_ENOTFOUND);
    assert_contains(said.message, "no question is called what");
    check_said(dx_client_close(client, DX_CLIENT_FOREVER), "close");
    serve_end(served);
}

static void who_starts_late_gets_what_is_kept(void **state)
{
    (void)state;
    FOR_EACH_BUS(loops)
    {
        served_t *served = serve(loops);
        dx_client_t *client = client_of(served);
        for (uint64_t i = 0; i < 100; i++) {
            publish(client, "log", i);
        }
        check_said(dx_client_flush(client, DX_CLIENT_FOREVER, &said), "flush");
        dx_receipt_t receipt;
        const dx_message_t m = {.topic = "log", .data = "\0\0\0\0\0\0\0\0", .bytes = 8};
        check_said(dx_client_publish_wait(client, &m, &receipt, &said), "publish");
        arrivals_t *all = arrivals_make(client);
        arrivals_t *some = arrivals_make(client);
        subscribe(all, (dx_subscription_options_t){.pattern = "log", .from = DX_FROM_EARLIEST});
        subscribe(some, (dx_subscription_options_t){
                            .pattern = "log", .from = DX_FROM_SEQUENCE, .from_value = 91});
        wait_until(loaded(&all->count) == 101);
        wait_until(loaded(&some->count) == 11);
        check_said(dx_client_close(client, DX_CLIENT_FOREVER), "close");
        free(all);
        free(some);
        serve_end(served);
    }
}

/* The bus is ended and another one, which knows nothing, takes its place: the client comes back,
 * subscribes again, and gets what is published then. */
static void a_client_comes_back_to_a_bus_that_was_started_anew(void **state)
{
    (void)state;
    FOR_EACH_BUS(loops)
    {
        served_t *served = serve(loops);
        dx_client_t *client = client_of(served);
        arrivals_t *arrivals = arrivals_make(client);
        subscribe(arrivals, (dx_subscription_options_t){.pattern = "t"});
        for (uint64_t i = 0; i < 100; i++) {
            publish(client, "t", i);
        }
        wait_until(loaded(&arrivals->count) == 100);
        bus_end(served);
        told_t told = {0};
        const uint64_t value = 200;
        const dx_message_t m = {.topic = "t", .data = &value, .bytes = 8};
        check_said(dx_client_publish_async(client, &m, on_receipt, &told, &said), "publish");
        bus_begin(served);
        wait_until(loaded(&told.count) == 1);
        assert_int_equal(loaded(&told.wrong), 0);
        dx_client_stats_t stats;
        dx_client_stats(client, &stats);
        assert_true(stats.reconnects >= 1);
        /* It may have been published before the subscription was there; the next one is not. */
        do {
            publish(client, "t", 201);
            (void)usleep(1000);
        } while (loaded(&arrivals->seen[201]) == 0);
        check_said(dx_client_close(client, DX_CLIENT_FOREVER), "close");
        free(arrivals);
        serve_end(served);
    }
}

/* A key whose events go to another shard than those of "a". */
static void other_key(const served_t *served, char key[16])
{
    const uint16_t shard = dx_bus_shard_of(served->bus, "spread", "a", 1);
    int i = 0;
    do {
        (void)snprintf(key, 16, "b%d", i++);
    } while (dx_bus_shard_of(served->bus, "spread", key, strlen(key)) == shard);
}

/* Each shard counts from 1: where the client stood in one says nothing about another. */
static void a_topic_that_is_spread_begins_with_what_is_new_after_a_reconnect(void **state)
{
    (void)state;
    FOR_EACH_BUS(loops)
    {
        served_t *served = serve(loops);
        dx_client_t *client = client_of(served);
        const dx_topic_options_t keyed = {.shard_by = DX_SHARD_BY_KEY};
        check_said(dx_client_topic_create(client, "spread", &keyed, &said), "create");
        arrivals_t *arrivals = arrivals_make(client);
        subscribe(arrivals, (dx_subscription_options_t){.pattern = "spread"});
        dx_message_t m = {.topic = "spread", .bytes = 8, .key = "a", .key_bytes = 1};
        for (uint64_t i = 0; i < 100; i++) {
            m.data = &i;
            check_said(dx_client_publish(client, &m, &said), "publish");
        }
        wait_until(loaded(&arrivals->count) == 100);
        dx_client_stats_t stats;
        (void)dxi_bus_sessions_close(served->bus, SOON_NS);
        do {
            (void)usleep(1000);
            dx_client_stats(client, &stats);
        } while (stats.reconnects == 0 || stats.state != DX_CLIENT_CONNECTED);
        assert_true(stats.gaps >= 1); /* each end counts: how many events is not known */
        char key[16];
        other_key(served, key);
        m.key = key;
        m.key_bytes = strlen(key);
        const uint64_t value = 200;
        m.data = &value;
        const int64_t limit_ns = dx_clock_ns() + PATIENCE_NS;
        do { /* the first may come before the subscription is there again */
            check_said(dx_client_publish(client, &m, &said), "publish");
            (void)usleep(1000);
            assert_true(dx_clock_ns() < limit_ns);
        } while (loaded(&arrivals->seen[200]) == 0);
        check_said(dx_client_close(client, DX_CLIENT_FOREVER), "close");
        free(arrivals);
        serve_end(served);
    }
}

/* The connection ends again and again while the program publishes: the shard, which remembers the
 * numbers of publishers, takes each publication once, in its order. */
static void retries_over_ended_connections_are_taken_once(void **state)
{
    (void)state;
    enum { COUNT = 30000, ENDS = 10 };
    FOR_EACH_BUS(loops)
    {
        served_t *served = serve(loops);
        dx_client_t *client = client_of(served);
        told_t told = {0};
        static arrivals_t arrivals;
        memset(&arrivals, 0, sizeof arrivals);
        dx_subscription_t *subscription = NULL;
        check_said(dx_bus_subscribe(served->bus,
                                    &(dx_subscription_options_t){.pattern = "orders",
                                                                 .on_event = arrive,
                                                                 .context = &arrivals,
                                                                 .slow = DX_SLOW_BLOCK,
                                                                 .slow_block_ns = SOON_NS},
                                    &subscription, &said),
                   "dx_bus_subscribe()");
        for (uint64_t i = 0; i < COUNT; i++) {
            const dx_message_t m = {.topic = "orders", .data = &i, .bytes = 8};
            check_said(dx_client_publish_async(client, &m, on_receipt, &told, &said), "publish");
            if (i % (COUNT / ENDS) == COUNT / ENDS / 2) {
                (void)dxi_bus_sessions_close(served->bus, SOON_NS);
            }
        }
        check_said(dx_client_flush(client, DX_CLIENT_FOREVER, &said), "flush");
        assert_int_equal(loaded(&told.count), COUNT);
        assert_int_equal(loaded(&told.wrong), 0);
        wait_until(loaded(&arrivals.count) == COUNT);
        assert_int_equal(loaded(&arrivals.disorders), 0);
        for (uint64_t i = 0; i < COUNT; i++) {
            assert_int_equal(loaded(&arrivals.seen[i]), 1);
        }
        dx_client_stats_t stats;
        dx_client_stats(client, &stats);
        assert_true(stats.reconnects >= 1);
        check_said(dx_client_close(client, DX_CLIENT_FOREVER), "close");
        serve_end(served);
    }
}

typedef struct worker {
    dx_client_t *client;
    uint64_t first, count;
    told_t told;
} worker_t;

static void work(void *context)
{
    worker_t *const worker = context;
    char topic[16];
    (void)snprintf(topic, sizeof topic, "w.%d", (int)(worker->first / worker->count));
    for (uint64_t i = worker->first; i < worker->first + worker->count; i++) {
        dx_error_t error = {0};
        const dx_message_t m = {.topic = topic, .data = &i, .bytes = 8};
        if (dx_client_publish_async(worker->client, &m, on_receipt, &worker->told, &error) !=
            DX_OK) {
            (void)fprintf(stderr, "%s\n", error.message);
            abort();
        }
    }
}

static void four_threads_publish_through_one_client(void **state)
{
    (void)state;
    enum { WORKERS = 4, COUNT = 3000 };
    FOR_EACH_BUS(loops)
    {
        served_t *served = serve(loops);
        dx_client_t *client = client_of(served);
        dx_client_t *other = client_of(served);
        arrivals_t *arrivals = arrivals_make(other);
        subscribe(arrivals, (dx_subscription_options_t){
                                .pattern = "w.*", .slow = DX_SLOW_BLOCK, .slow_block_ns = SOON_NS});
        static worker_t workers[WORKERS];
        dx_thread_t *threads[WORKERS];
        for (int i = 0; i < WORKERS; i++) {
            workers[i] = (worker_t){.client = client, .first = (uint64_t)i * COUNT, .count = COUNT};
            check_said(dx_thread_start(NULL, work, &workers[i], &threads[i], &said), "thread");
        }
        for (int i = 0; i < WORKERS; i++) {
            assert_ok(dx_thread_join(threads[i]));
        }
        check_said(dx_client_flush(client, DX_CLIENT_FOREVER, &said), "flush");
        for (int i = 0; i < WORKERS; i++) {
            assert_int_equal(loaded(&workers[i].told.count), COUNT);
            assert_int_equal(loaded(&workers[i].told.wrong), 0);
        }
        wait_until(loaded(&arrivals->count) == (int64_t)WORKERS * COUNT);
        for (uint64_t i = 0; i < (uint64_t)WORKERS * COUNT; i++) {
            assert_int_equal(loaded(&arrivals->seen[i]), 1);
        }
        check_said(dx_client_close(client, DX_CLIENT_FOREVER), "close");
        check_said(dx_client_close(other, DX_CLIENT_FOREVER), "close");
        free(arrivals);
        serve_end(served);
    }
}

/* The first of a batch may be seen by a client's thread that is just falling asleep, and its
 * publisher rings behind the last. */
static void batches_find_a_thread_that_falls_asleep_at_any_moment(void **state)
{
    (void)state;
    enum { BATCH = 64, BATCHES = 6000 };
    served_t *served = serve(1);
    dx_client_t *client = client_of(served);
    uint64_t values[BATCH] = {0};
    dx_message_t messages[BATCH];
    uint64_t seed = 3;
    for (int i = 0; i < BATCH; i++) {
        messages[i] = (dx_message_t){.topic = "t", .data = &values[i], .bytes = 8};
    }
    for (int i = 0; i < BATCHES; i++) {
        const int count = 1 + (int)(random_next(&seed) % BATCH);
        assert_int_equal(dx_client_publish_batch(client, messages, count, &said), count);
        dx_client_stats_t stats;
        dx_client_stats(client, &stats);
        const int64_t limit_ns = dx_clock_ns() + PATIENCE_NS;
        while (stats.window_bytes != 0) { /* nobody else rings meanwhile */
            dx_client_stats(client, &stats);
            assert_true(dx_clock_ns() < limit_ns);
        }
    }
    check_said(dx_client_close(client, DX_CLIENT_FOREVER), "close");
    serve_end(served);
}

static void large_messages_go_both_ways(void **state)
{
    (void)state;
    served_t *served = serve(1);
    dx_client_t *client = client_of(served);
    dx_client_t *other = client_of(served);
    arrivals_t *arrivals = arrivals_make(other);
    subscribe(arrivals, (dx_subscription_options_t){.pattern = "t",
                                                    .queue_bytes = 1024,
                                                    .slow = DX_SLOW_BLOCK,
                                                    .slow_block_ns = SOON_NS});
    enum { BYTES = 60000 };
    char *const data = calloc(1, BYTES);
    for (uint64_t i = 0; i < 200; i++) {
        memcpy(data, &i, sizeof i);
        const dx_message_t m = {.topic = "t", .data = data, .bytes = BYTES};
        check_said(dx_client_publish(client, &m, &said), "publish");
    }
    wait_until(loaded(&arrivals->count) == 200);
    check_said(dx_client_close(client, DX_CLIENT_FOREVER), "close");
    check_said(dx_client_close(other, DX_CLIENT_FOREVER), "close");
    free(data);
    free(arrivals);
    serve_end(served);
}

typedef struct echo {
    dx_atomic64_t count;
    dx_atomic64_t elsewhere; /* handled in another thread than the test's */
    pthread_t test;
    int inside; /* what dx_client_drive() said in the handler */
    dx_client_t *client;
} echo_t;

static int on_echo(void *context, const dx_event_t *event)
{
    echo_t *const echo = context;
    (void)event;
    if (pthread_equal(pthread_self(), echo->test) == 0) {
        add(&echo->elsewhere);
    }
    echo->inside = dx_client_drive(echo->client);
    add(&echo->count);
    return DX_OK;
}

static void a_program_may_drive_its_client(void **state)
{
    (void)state;
    FOR_EACH_BUS(loops)
    {
        served_t *served = serve(loops);
        echo_t echo = {.test = pthread_self(), .client = client_of(served)};
        dx_client_t *const client = echo.client;
        dx_client_subscription_t *subscription = NULL;
        const dx_subscription_options_t wanted = {
            .pattern = "echo", .on_event = on_echo, .context = &echo};
        check_said(dx_client_subscribe(client, &wanted, &subscription, &said), "subscribe");
        for (uint64_t i = 1; i <= 200; i++) {
            publish(client, "echo", i);
            while (loaded(&echo.count) != (int64_t)i) {
                assert_true(dx_client_drive(client) >= 0);
            }
            if (i % 50 == 0) { /* and may wait in between */
                const dx_message_t m = {.topic = "other", .data = "x", .bytes = 1};
                dx_receipt_t receipt;
                check_said(dx_client_publish_wait(client, &m, &receipt, &said), "publish_wait");
            }
        }
        assert_int_equal(echo.inside, DX_EDEADLOCK);
        assert_true(loaded(&echo.elsewhere) < 200); /* before it had the loop, and behind waits */
        check_said(dx_client_unsubscribe(subscription, DX_CLIENT_FOREVER), "unsubscribe");
        check_said(dx_client_close(client, DX_CLIENT_FOREVER), "close");
        serve_end(served);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_one_client_publishes_another_gets_in_order),
        cmocka_unit_test(receipts_have_the_sequences_of_the_topic),
        cmocka_unit_test(many_receipts_come_in_the_order_of_the_topic),
        cmocka_unit_test(a_group_shares_events_and_refused_ones_come_again),
        cmocka_unit_test(what_is_given_up_goes_to_the_dead_letters),
        cmocka_unit_test(a_program_acknowledges_by_itself),
        cmocka_unit_test(a_handler_may_acknowledge_before_subscribing_has_returned),
        cmocka_unit_test(requests_are_answered),
        cmocka_unit_test(topics_are_made_looked_at_and_deleted),
        cmocka_unit_test(questions_are_answered),
        cmocka_unit_test(who_starts_late_gets_what_is_kept),
        cmocka_unit_test(a_client_comes_back_to_a_bus_that_was_started_anew),
        cmocka_unit_test(a_topic_that_is_spread_begins_with_what_is_new_after_a_reconnect),
        cmocka_unit_test(retries_over_ended_connections_are_taken_once),
        cmocka_unit_test(four_threads_publish_through_one_client),
        cmocka_unit_test(batches_find_a_thread_that_falls_asleep_at_any_moment),
        cmocka_unit_test(large_messages_go_both_ways),
        cmocka_unit_test(a_program_may_drive_its_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
