/* test_bus_run_life.c - topics, requests, states and the end of a bus in this process.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <unistd.h>

#include "bus/session.h"
#include "bus_test.h"
#include "patience.h"

static void topics_are_declared_changed_counted_and_deleted(void **state)
{
    (void)state;
    for (uint32_t loops = 1; loops <= 3; loops++) {
        dx_bus_t *bus = bus_started(loops);
        const dx_topic_options_t keyed = {.shard_by = DX_SHARD_BY_KEY, .retain_events = 10};
        assert_ok(dx_bus_topic_create(bus, "k", &keyed, &said));
        assert_ok(dx_bus_topic_create(bus, "k", &keyed, &said));
        assert_fails(dx_bus_topic_create(bus, "k", NULL, &said), DX_EEXIST, said, "\"k\"");
        assert_fails(dx_bus_topic_change(bus, "none", NULL, &said), DX_ENOTFOUND, said, "none");
        assert_ok(dx_bus_topic_change(bus, "k", &(dx_topic_options_t){.retain_events = 5}, &said));
        dx_publisher_t *publisher = publisher_opened(bus);
        dx_receipt_t receipt;
        uint32_t shards = 0;
        for (uint32_t i = 0; i < 200; i++) {
            assert_ok(dx_publish_wait(publisher,
                                      &(dx_message_t){.topic = "k", .key = &i, .key_bytes = 4},
                                      &receipt, &said));
            assert_int_equal(receipt.shard, dx_bus_shard_of(bus, "k", &i, 4));
            shards |= UINT32_C(1) << receipt.shard;
        }
        assert_int_equal(shards, 0xff);
        dx_topic_stats_t stats;
        assert_ok(dx_bus_topic_stats(bus, "k", &stats, &said));
        assert_int_equal(stats.published, 200);
        assert_int_equal(stats.shards, 8);
        assert_true(stats.declared);
        assert_int_equal(stats.options.shard_by, DX_SHARD_BY_KEY);
        assert_int_equal(stats.options.retain_events, 5);
        assert_ok(dx_bus_topic_delete(bus, "k", &said));
        assert_fails(dx_bus_topic_delete(bus, "k", &said), DX_ENOTFOUND, said, "k");
        assert_fails(dx_bus_topic_stats(bus, "k", &stats, &said), DX_ENOTFOUND, said, "k");
        dx_publisher_close(publisher);
        bus_ended(bus);
    }
}

static void who_listens_by_name_hears_a_topic_that_becomes_keyed(void **state)
{
    (void)state;
    for (uint32_t loops = 1; loops <= 3; loops++) {
        dx_bus_t *bus = bus_started(loops);
        seen_t seen;
        seen_init(&seen);
        dx_subscription_t *subscription = NULL;
        assert_ok(dx_bus_on(bus, "k", seen_event, &seen, &subscription, &said));
        assert_ok(dx_bus_topic_create(bus, "k", &(dx_topic_options_t){.shard_by = DX_SHARD_BY_KEY},
                                      &said));
        dx_publisher_t *publisher = publisher_opened(bus);
        for (uint64_t i = 0; i < 100; i++) {
            assert_ok(dx_publish(publisher,
                                 &(dx_message_t){.topic = "k", .key = &i, .key_bytes = 8}, &said));
        }
        seen_wait(&seen, 100);
        dx_publisher_close(publisher);
        assert_ok(dx_subscription_close(subscription, SOON_NS));
        bus_ended(bus);
    }
}

typedef struct names {
    char text[256];
} names_t;

static void note_name(void *context, const dx_topic_stats_t *stats)
{
    names_t *names = context;
    (void)strcat(names->text, stats->name);
    (void)strcat(names->text, " ");
}

static void topics_are_listed_in_order(void **state)
{
    (void)state;
    dx_bus_t *bus = bus_started(2);
    names_t names = {{0}};
    assert_int_equal(dx_bus_topic_list(bus, NULL, note_name, &names, &said), 0);
    static const char *const topics[] = {"b.x", "a", "b.y", "c.x.y"};
    for (size_t i = 0; i < COUNT_OF(topics); i++) {
        assert_ok(dx_bus_topic_create(bus, topics[i], NULL, &said));
    }
    assert_ok(
        dx_bus_topic_create(bus, "k", &(dx_topic_options_t){.shard_by = DX_SHARD_BY_KEY}, &said));
    assert_int_equal(dx_bus_topic_list(bus, NULL, note_name, &names, &said), 5);
    assert_string_equal(names.text, "a b.x b.y c.x.y k ");
    names.text[0] = '\0';
    assert_int_equal(dx_bus_topic_list(bus, "b.*", note_name, &names, &said), 2);
    assert_string_equal(names.text, "b.x b.y ");
    assert_int_equal(dx_bus_topic_list(bus, "b..", note_name, &names, &said), DX_EINVAL);
    dxi_shard_totals_t totals; /* "k" is in both shards, and one topic */
    assert_int_equal(dxi_bus_totals(bus, &totals, NULL, NULL, NULL, &said), 0);
    assert_int_equal(totals.topics, 5);
    bus_ended(bus);
}

typedef struct server {
    dx_publisher_t *publisher;
    bool silent;
} server_t;

static int on_request(void *context, const dx_event_t *event)
{
    server_t *server = context;
    char answer[64];
    if (server->silent) {
        return DX_OK;
    }
    const int bytes =
        snprintf(answer, sizeof answer, "%.*s?", (int)event->bytes, (const char *)event->data);
    return dx_reply(server->publisher, event, answer, (size_t)bytes, NULL);
}

static void a_request_gets_its_reply(void **state)
{
    (void)state;
    FOR_EACH_SHAPE(shape)
    {
        dx_bus_t *bus = bus_started(shape->loops);
        server_t server = {0};
        assert_ok(dx_publisher_open(bus, &(dx_publisher_options_t){.fail_when_full = true},
                                    &server.publisher, &said));
        dx_publisher_t *publisher = publisher_opened(bus);
        char answer[64];
        size_t bytes = sizeof answer;
        const dx_message_t question = {.topic = "ask", .data = "why", .bytes = 3};
        assert_fails(dx_request(publisher, &question, SOON_NS, answer, &bytes, &said), DX_ENOTFOUND,
                     said, "");
        dx_subscription_t *subscription = NULL;
        /* A handler in several shards' threads would share the publisher: one topic is one
         * shard. */
        assert_ok(dx_bus_subscribe(bus,
                                   &(dx_subscription_options_t){.pattern = "ask",
                                                                .on_event = on_request,
                                                                .context = &server,
                                                                .dispatch = shape->dispatch},
                                   &subscription, &said));
        for (int i = 0; i < 50; i++) {
            bytes = sizeof answer;
            assert_ok(dx_request(publisher, &question, SOON_NS, answer, &bytes, &said));
            assert_int_equal(bytes, 4);
            assert_memory_equal(answer, "why?", 4);
        }
        bytes = 2;
        assert_fails(dx_request(publisher, &question, SOON_NS, answer, &bytes, &said), DX_ELIMIT,
                     said, "4 bytes");
        assert_int_equal(bytes, 4);
        server.silent = true;
        bytes = sizeof answer;
        assert_int_equal(dx_request(publisher, &question, 2000000, answer, &bytes, &said),
                         DX_ETIMEDOUT);
        assert_ok(dx_subscription_close(subscription, SOON_NS));
        dx_publisher_close(publisher);
        dx_publisher_close(server.publisher);
        bus_ended(bus);
    }
}

static int no_request(void *context, const dx_event_t *event)
{
    int *code = context;
    *code = dx_reply(NULL, event, NULL, 0, NULL);
    return DX_OK;
}

static void only_a_request_can_be_replied_to(void **state)
{
    (void)state;
    dx_bus_t *bus = bus_started(1);
    int code = 0;
    dx_subscription_t *subscription = NULL;
    assert_ok(dx_bus_on(bus, "t", no_request, &code, &subscription, &said));
    assert_ok(dx_bus_publish(bus, "t", NULL, 0, &said));
    assert_ok(dx_subscription_close(subscription, SOON_NS));
    assert_int_equal(code == DX_EINVAL || code == 0, 1);
    bus_ended(bus);
}

static void states_are_kept(void **state)
{
    (void)state;
    dx_bus_t *bus = NULL;
    assert_ok(dx_bus_create(&(dx_bus_options_t){.shards = 2, .loops = 1}, &bus, &said));
    dx_publisher_t *publisher = NULL;
    dx_subscription_t *subscription = NULL;
    assert_int_equal(dx_publisher_open(bus, NULL, &publisher, &said), DX_ESTATE);
    assert_int_equal(dx_bus_on(bus, "t", seen_event, NULL, &subscription, &said), DX_ESTATE);
    assert_int_equal(dx_bus_stop(bus, 0, &said), DX_ESTATE);
    assert_ok(dx_bus_topic_create(bus, "early", NULL, &said)); /* allowed: no loop runs yet */
    assert_ok(dx_bus_start(bus, &said));
    assert_int_equal(dx_bus_start(bus, &said), DX_ESTATE);
    assert_ok(dx_publisher_open(bus, NULL, &publisher, &said));
    assert_ok(dx_bus_stop(bus, SOON_NS, &said));
    assert_ok(dx_bus_stop(bus, 0, &said));
    assert_int_equal(publish_number(publisher, "t", 1), DX_ECLOSED);
    assert_int_equal(dx_bus_topic_create(bus, "late", NULL, &said), DX_ESTATE);
    dx_publisher_close(publisher);
    dx_publisher_close(NULL);
    dx_bus_destroy(bus);
    dx_bus_destroy(NULL);
}

/* Publishes until it is refused. */
typedef struct stream {
    dx_bus_t *bus;
    uint64_t in; /* taken */
} stream_t;

static void stream_run(void *context)
{
    stream_t *stream = context;
    dx_publisher_t *publisher = publisher_opened(stream->bus);
    while (publish_number(publisher, "t", stream->in + 1) == DX_OK) {
        stream->in++;
    }
    dx_publisher_close(publisher);
}

static void stopping_delivers_what_was_published(void **state)
{
    (void)state;
    FOR_EACH_SHAPE(shape)
    {
        dx_bus_t *bus = bus_started(shape->loops);
        seen_t seen;
        seen_init(&seen);
        (void)subscribed(bus, shape,
                         &(dx_subscription_options_t){
                             .pattern = "t", .slow = DX_SLOW_BLOCK, .slow_block_ns = SOON_NS},
                         &seen);
        stream_t stream = {.bus = bus};
        dx_thread_t *thread = NULL;
        assert_ok(dx_thread_start(NULL, stream_run, &stream, &thread, &said));
        seen_wait(&seen, 2000);
        check_said(dx_bus_stop(bus, SOON_NS, &said), "dx_bus_stop()");
        assert_ok(dx_thread_join(thread));
        assert_int_equal(seen.events, stream.in);
        assert_int_equal(seen.disorders, 0);
        assert_int_equal(seen.ends, 1);
        assert_int_equal(seen.end_code, DX_ECLOSED);
        dx_bus_destroy(bus);
    }
}

static void stopping_in_time_says_what_was_left(void **state)
{
    (void)state;
    dx_bus_t *bus = bus_started(1);
    seen_t seen;
    seen_init(&seen);
    seen.hold = true;
    dx_subscription_t *subscription = NULL;
    assert_ok(dx_bus_on(bus, "t", seen_event, &seen, &subscription, &said));
    for (uint64_t i = 1; i <= 10; i++) {
        assert_ok(dx_bus_publish(bus, "t", &i, sizeof i, &said));
    }
    stream_t unused = {0};
    (void)unused;
    /* The handler can't be interrupted: it is let go by another thread while the bus waits. */
    dx_thread_t *thread = NULL;
    assert_ok(dx_thread_start(NULL, seen_let_go_later, &seen, &thread, &said));
    assert_fails(dx_bus_stop(bus, 1000000, &said), DX_ETIMEDOUT, said, "waiting");
    assert_ok(dx_thread_join(thread));
    assert_int_equal(dx_subscription_close(subscription, 0), DX_ETIMEDOUT);
    dx_bus_destroy(bus);
}

static void closing_drains_or_drops_as_told(void **state)
{
    (void)state;
    dx_bus_t *bus = bus_started(2);
    seen_t seen;
    seen_init(&seen);
    seen.hold = true;
    dx_subscription_t *subscription = NULL;
    dx_publisher_t *publisher = publisher_opened(bus);
    dx_receipt_t receipt;
    assert_ok(dx_bus_on(bus, "t", seen_event, &seen, &subscription, &said));
    for (uint64_t i = 1; i <= 10; i++) {
        assert_ok(publish_number_wait(publisher, "t", i, &receipt));
    }
    seen_hold(&seen, false);
    assert_ok(dx_subscription_close(subscription, SOON_NS));
    assert_int_equal(seen.events, 10);
    dx_publisher_close(publisher);
    bus_ended(bus);
}

/* A handler that closes its own subscription. */
typedef struct closer {
    dx_subscription_t *subscription;
    dx_atomic32_t there, count, wrong;
} closer_t;

static int close_own(void *context, const dx_event_t *event)
{
    closer_t *const closer = context;
    (void)event;
    while (dx_load32_acquire(&closer->there) == 0) {
        (void)usleep(100);
    }
    if (dx_subscription_close(closer->subscription, DX_NS_PER_S) != DX_EDEADLOCK) {
        dx_store32_relaxed(&closer->wrong, 1);
    }
    dx_store32_release(&closer->count, dx_load32_relaxed(&closer->count) + 1);
    return DX_OK;
}

static void a_handler_can_not_close_its_subscription(void **state)
{
    (void)state;
    for (int dispatch = DX_DISPATCH_THREAD; dispatch <= DX_DISPATCH_SHARD; dispatch++) {
        dx_bus_t *bus = bus_started(2);
        static closer_t closer;
        memset(&closer, 0, sizeof closer);
        const dx_subscription_options_t options = {.pattern = "a",
                                                   .on_event = close_own,
                                                   .context = &closer,
                                                   .dispatch = (dx_dispatch_t)dispatch};
        check_said(dx_bus_subscribe(bus, &options, &closer.subscription, &said), "subscribe");
        dx_store32_release(&closer.there, 1);
        check_said(dx_bus_publish(bus, "a", "x", 1, &said), "publish");
        check_said(dx_bus_publish(bus, "a", "x", 1, &said), "publish");
        wait_until(dx_load32_acquire(&closer.count) == 2); /* it goes on */
        assert_int_equal(dx_load32_relaxed(&closer.wrong), 0);
        assert_ok(dx_subscription_close(closer.subscription, DX_NS_PER_S));
        bus_ended(bus);
    }
}

static void subscribers_come_and_go_while_events_flow(void **state)
{
    (void)state;
    FOR_EACH_SHAPE(shape)
    {
        dx_bus_t *bus = bus_started(shape->loops);
        stream_t stream = {.bus = bus};
        dx_thread_t *thread = NULL;
        assert_ok(dx_thread_start(NULL, stream_run, &stream, &thread, &said));
        for (int i = 0; i < 30; i++) {
            seen_t seen;
            seen_init(&seen);
            dx_subscription_t *subscription = subscribed(
                bus, shape,
                &(dx_subscription_options_t){.pattern = i % 2 == 0 ? "t" : ">",
                                             .ack = i % 3 == 0 ? DX_ACK_AUTO : DX_ACK_NONE},
                &seen);
            seen_wait(&seen, 10);
            const int code = dx_subscription_close(subscription, i % 5 == 0 ? 0 : SOON_NS);
            assert_true(code == DX_OK || code == DX_ETIMEDOUT);
            assert_int_equal(seen.ends, 1);
        }
        assert_int_equal(dx_bus_stop(bus, SOON_NS, &said), DX_OK);
        assert_ok(dx_thread_join(thread));
        dx_bus_destroy(bus);
    }
}

static int attempt(void)
{
    dx_bus_t *bus = NULL;
    int code = dx_bus_create(
        &(dx_bus_options_t){
            .shards = 2, .loops = 2, .shard_ring_bytes = 65536, .event_bytes_max = 1024},
        &bus, &said);
    if (code == DX_OK) {
        code = dx_bus_start(bus, &said);
    }
    dx_publisher_t *publisher = NULL;
    dx_subscription_t *subscription = NULL;
    seen_t seen;
    seen_init(&seen);
    if (code == DX_OK) {
        code = dx_publisher_open(bus, NULL, &publisher, &said);
    }
    if (code == DX_OK) {
        code = dx_bus_on(bus, "a.*", seen_event, &seen, &subscription, &said);
    }
    dx_receipt_t receipt;
    if (code == DX_OK) {
        code = publish_number_wait(publisher, "a.b", 1, &receipt);
    }
    if (code == DX_OK) {
        code = dx_bus_topic_create(bus, "k", &(dx_topic_options_t){.shard_by = DX_SHARD_BY_KEY},
                                   &said);
    }
    if (subscription != NULL) {
        (void)dx_subscription_close(subscription, SOON_NS);
    }
    dx_publisher_close(publisher);
    dx_bus_destroy(bus);
    return code == DX_ELIMIT ? DX_ENOMEM : code; /* no descriptor for a ring's memory */
}

static void every_failure_of_memory_is_survived(void **state)
{
    (void)state;
    assert_in_range(fault_sweep(attempt), 10, 10000);
}

typedef struct early {
    dx_subscription_t *subscription;
    dx_atomic64_t count;
} early_t;

static int acknowledge_at_once(void *context, const dx_event_t *event)
{
    early_t *const early = context;
    if (early->subscription == NULL || dx_subscription_ack(early->subscription, event) != DX_OK) {
        abort();
    }
    (void)dx_fetch_add_relaxed(&early->count, 1);
    return DX_OK;
}

/* What is kept may be handed over before dx_bus_subscribe() has returned. */
static void a_handler_may_acknowledge_before_subscribing_has_returned(void **state)
{
    (void)state;
    FOR_EACH_SHAPE(shape)
    {
        dx_bus_t *bus = bus_started(shape->loops);
        assert_ok(dx_bus_publish(bus, "jobs", "1", 1, &said));
        for (int i = 0; i < 300; i++) {
            early_t early = {.subscription = NULL};
            assert_ok(dx_bus_subscribe(bus,
                                       &(dx_subscription_options_t){.pattern = "jobs",
                                                                    .on_event = acknowledge_at_once,
                                                                    .context = &early,
                                                                    .dispatch = shape->dispatch,
                                                                    .from = DX_FROM_EARLIEST,
                                                                    .ack = DX_ACK_EXPLICIT},
                                       &early.subscription, &said));
            wait_until(dx_load_relaxed(&early.count) == 1);
            assert_ok(dx_subscription_close(early.subscription, SOON_NS));
        }
        bus_ended(bus);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(topics_are_declared_changed_counted_and_deleted),
        cmocka_unit_test(who_listens_by_name_hears_a_topic_that_becomes_keyed),
        cmocka_unit_test(topics_are_listed_in_order),
        cmocka_unit_test(a_request_gets_its_reply),
        cmocka_unit_test(only_a_request_can_be_replied_to),
        cmocka_unit_test(states_are_kept),
        cmocka_unit_test(stopping_delivers_what_was_published),
        cmocka_unit_test(stopping_in_time_says_what_was_left),
        cmocka_unit_test(closing_drains_or_drops_as_told),
        cmocka_unit_test(a_handler_can_not_close_its_subscription),
        cmocka_unit_test(a_handler_may_acknowledge_before_subscribing_has_returned),
        cmocka_unit_test(subscribers_come_and_go_while_events_flow),
        cmocka_unit_test(every_failure_of_memory_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
