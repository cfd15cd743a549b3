/* test_bus_run.c - a bus in this process: publishing, both dispatches, receipts, topics, stopping;
 * with one loop, two and three.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <unistd.h>

#include "bus/session.h"

#include "bus_test.h"

static void events_reach_handlers_in_order(void **state)
{
    (void)state;
    FOR_EACH_SHAPE(shape)
    {
        dx_bus_t *bus = bus_started(shape->loops);
        seen_t seen;
        seen_init(&seen);
        dx_subscription_t *subscription =
            subscribed(bus, shape, &(dx_subscription_options_t){.pattern = "orders.*"}, &seen);
        dx_publisher_t *publisher = publisher_opened(bus);
        for (uint64_t i = 1; i <= 1000; i++) {
            assert_ok(publish_number(publisher, "orders.created", i));
        }
        seen_wait(&seen, 1000);
        assert_int_equal(seen.disorders, 0);
        assert_int_equal(seen.last_number, 1000);
        assert_int_equal(seen.last_sequence, 1000);
        dx_publisher_close(publisher);
        assert_ok(dx_subscription_close(subscription, SOON_NS));
        assert_int_equal(seen.ends, 1);
        bus_ended(bus);
    }
}

/* Keeps what an event says of itself. */
typedef struct whole {
    seen_t seen;
    char topic[64], key[64], data[64], header[64];
    dx_event_t event;
} whole_t;

static int on_whole(void *context, const dx_event_t *event)
{
    whole_t *whole = context;
    dx_frame_pair_t pair;
    whole->event = *event;
    (void)snprintf(whole->topic, sizeof whole->topic, "%.*s", (int)event->topic_bytes,
                   event->topic);
    (void)snprintf(whole->key, sizeof whole->key, "%.*s", (int)event->key_bytes,
                   (const char *)event->key);
    (void)snprintf(whole->data, sizeof whole->data, "%.*s", (int)event->bytes,
                   (const char *)event->data);
    if (dx_frame_header_find(event->frame, "kind", &pair) == DX_OK) {
        (void)snprintf(whole->header, sizeof whole->header, "%.*s", pair.value_bytes,
                       (const char *)pair.value);
    }
    return seen_event(&whole->seen, event);
}

static void an_event_carries_all_that_was_published(void **state)
{
    (void)state;
    FOR_EACH_SHAPE(shape)
    {
        dx_bus_t *bus = bus_started(shape->loops);
        whole_t whole = {0};
        seen_init(&whole.seen);
        dx_subscription_t *subscription = NULL;
        assert_ok(dx_bus_subscribe(bus,
                                   &(dx_subscription_options_t){.pattern = "a.>",
                                                                .on_event = on_whole,
                                                                .context = &whole,
                                                                .dispatch = shape->dispatch},
                                   &subscription, &said));
        dx_publisher_t *publisher = publisher_opened(bus);
        const dx_frame_pair_t header = {"kind", "test", 4, 4};
        dx_receipt_t receipt;
        assert_ok(dx_publish_wait(publisher,
                                  &(dx_message_t){.topic = "a.b.c",
                                                  .data = "hello",
                                                  .bytes = 5,
                                                  .key = "k1",
                                                  .key_bytes = 2,
                                                  .headers = &header,
                                                  .header_count = 1,
                                                  .correlation = 77},
                                  &receipt, &said));
        assert_int_equal(receipt.sequence, 1);
        assert_false(receipt.duplicate);
        assert_int_equal(receipt.shard, dx_bus_shard_of(bus, "a.b.c", "k1", 2));
        seen_wait(&whole.seen, 1);
        assert_string_equal(whole.topic, "a.b.c");
        assert_string_equal(whole.key, "k1");
        assert_string_equal(whole.data, "hello");
        assert_string_equal(whole.header, "test");
        assert_int_equal(whole.event.correlation, 77);
        assert_int_equal(whole.event.sequence, 1);
        assert_int_equal(whole.event.timestamp_ns, receipt.timestamp_ns);
        assert_int_equal(whole.event.attempt, 1);
        assert_true(whole.event.end_of_batch);
        dx_publisher_close(publisher);
        assert_ok(dx_subscription_close(subscription, SOON_NS));
        bus_ended(bus);
    }
}

static int on_batch(void *context, const dx_event_t *events, int count)
{
    seen_t *seen = context;
    for (int i = 0; i < count; i++) {
        (void)seen_event(seen, &events[i]);
        assert_true(events[i].end_of_batch == false || i == count - 1);
    }
    (void)pthread_mutex_lock(&seen->mutex);
    seen->batches++;
    (void)pthread_mutex_unlock(&seen->mutex);
    return count;
}

static void a_batch_handler_gets_every_event_once(void **state)
{
    (void)state;
    FOR_EACH_SHAPE(shape)
    {
        dx_bus_t *bus = bus_started(shape->loops);
        seen_t seen;
        seen_init(&seen);
        dx_subscription_t *subscription = NULL;
        assert_ok(dx_bus_subscribe(bus,
                                   &(dx_subscription_options_t){.pattern = "t",
                                                                .on_batch = on_batch,
                                                                .context = &seen,
                                                                .dispatch = shape->dispatch},
                                   &subscription, &said));
        dx_publisher_t *publisher = publisher_opened(bus);
        for (uint64_t i = 1; i <= 3000; i++) {
            assert_ok(publish_number(publisher, "t", i));
        }
        seen_wait(&seen, 3000);
        assert_int_equal(seen.disorders, 0);
        assert_ok(dx_subscription_close(subscription, SOON_NS));
        assert_in_range(seen.batches, 1, 3000);
        dx_publisher_close(publisher);
        bus_ended(bus);
    }
}

/* The handler is held up until everything was published: what does not fit lags, and comes from
 * what the topic retains. */
static void a_slow_subscription_lags_and_catches_up(void **state)
{
    (void)state;
    for (uint32_t loops = 1; loops <= 3; loops++) {
        dx_bus_t *bus = bus_started(loops);
        seen_t seen;
        seen_init(&seen);
        seen.hold = true;
        dx_subscription_t *subscription = NULL;
        assert_ok(dx_bus_subscribe(bus,
                                   &(dx_subscription_options_t){.pattern = "t",
                                                                .on_event = seen_event,
                                                                .on_gap = seen_gap,
                                                                .context = &seen,
                                                                .queue_events = 16},
                                   &subscription, &said));
        dx_publisher_t *publisher = publisher_opened(bus);
        dx_receipt_t receipt;
        for (uint64_t i = 1; i <= 500; i++) {
            assert_ok(publish_number_wait(publisher, "t", i, &receipt));
        }
        seen_hold(&seen, false);
        seen_wait(&seen, 500);
        assert_int_equal(seen.disorders, 0);
        assert_int_equal(seen.gaps, 0);
        dx_publisher_close(publisher);
        assert_ok(dx_subscription_close(subscription, SOON_NS));
        bus_ended(bus);
    }
}

static void what_is_no_longer_kept_is_told_as_a_gap(void **state)
{
    (void)state;
    for (uint32_t loops = 1; loops <= 2; loops++) {
        dx_bus_t *bus = bus_started(loops);
        seen_t seen;
        seen_init(&seen);
        seen.hold = true;
        assert_ok(dx_bus_topic_create(bus, "t", &(dx_topic_options_t){.retain_events = 8}, &said));
        dx_subscription_t *subscription = NULL;
        assert_ok(dx_bus_subscribe(bus,
                                   &(dx_subscription_options_t){.pattern = "t",
                                                                .on_event = seen_event,
                                                                .on_gap = seen_gap,
                                                                .context = &seen,
                                                                .queue_events = 4},
                                   &subscription, &said));
        dx_publisher_t *publisher = publisher_opened(bus);
        dx_receipt_t receipt;
        for (uint64_t i = 1; i <= 200; i++) {
            assert_ok(publish_number_wait(publisher, "t", i, &receipt));
        }
        seen_hold(&seen, false);
        seen_until(&seen, seen.events + seen.gap_events == 200);
        assert_in_range(seen.gaps, 1, 200);
        assert_int_equal(seen.disorders, 0);
        assert_int_equal(seen.last_number, 200);
        dx_subscription_stats_t stats;
        assert_ok(dx_subscription_stats(subscription, &stats));
        assert_int_equal(stats.dropped, seen.gap_events);
        dx_publisher_close(publisher);
        assert_ok(dx_subscription_close(subscription, SOON_NS));
        bus_ended(bus);
    }
}

static void a_blocking_subscription_loses_nothing(void **state)
{
    (void)state;
    for (uint32_t loops = 1; loops <= 2; loops++) {
        dx_bus_t *bus = bus_started(loops);
        seen_t seen;
        seen_init(&seen);
        assert_ok(dx_bus_topic_create(bus, "t", &(dx_topic_options_t){.retain_events = 8}, &said));
        dx_subscription_t *subscription = NULL;
        assert_ok(dx_bus_subscribe(bus,
                                   &(dx_subscription_options_t){.pattern = "t",
                                                                .on_event = seen_event,
                                                                .on_gap = seen_gap,
                                                                .context = &seen,
                                                                .slow = DX_SLOW_BLOCK,
                                                                .slow_block_ns = SOON_NS,
                                                                .queue_events = 4},
                                   &subscription, &said));
        dx_publisher_t *publisher = publisher_opened(bus);
        for (uint64_t i = 1; i <= 5000; i++) {
            assert_ok(publish_number(publisher, "t", i));
        }
        seen_wait(&seen, 5000);
        assert_int_equal(seen.gaps, 0);
        assert_int_equal(seen.disorders, 0);
        dx_publisher_close(publisher);
        assert_ok(dx_subscription_close(subscription, SOON_NS));
        bus_ended(bus);
    }
}

static int64_t blocked_ns(dx_bus_t *bus)
{
    dxi_lane_events_t events;
    int64_t sum = 0;
    for (uint32_t i = 0; dxi_bus_lane_events(bus, i, &events) == DX_OK; i++) {
        sum += events.blocked_ns;
    }
    return sum;
}

static void how_long_a_blocking_subscription_holds_a_shard_up_is_counted(void **state)
{
    (void)state;
    dx_bus_t *bus = bus_started(1);
    seen_t seen;
    seen_init(&seen);
    seen.hold = true;
    assert_ok(dx_bus_topic_create(bus, "t", &(dx_topic_options_t){.retain_events = 8}, &said));
    dx_subscription_t *subscription = NULL;
    assert_ok(dx_bus_subscribe(bus,
                               &(dx_subscription_options_t){.pattern = "t",
                                                            .on_event = seen_event,
                                                            .context = &seen,
                                                            .slow = DX_SLOW_BLOCK,
                                                            .slow_block_ns = SOON_NS,
                                                            .queue_events = 4},
                               &subscription, &said));
    assert_int_equal(blocked_ns(bus), 0);
    dx_publisher_t *publisher = publisher_opened(bus);
    for (uint64_t i = 1; i <= 100; i++) {
        assert_ok(publish_number(publisher, "t", i));
    }
    while (blocked_ns(bus) < DX_NS_PER_MS) { /* it grows while it lasts */
        usleep(1000);
    }
    seen_hold(&seen, false);
    seen_wait(&seen, 100);
    int64_t counted_ns = 0; /* the last turn may not be over: then it does not grow any more */
    while (counted_ns != blocked_ns(bus)) {
        counted_ns = blocked_ns(bus);
        usleep(1000);
    }
    assert_true(counted_ns >= DX_NS_PER_MS);
    dx_publisher_close(publisher);
    assert_ok(dx_subscription_close(subscription, SOON_NS));
    bus_ended(bus);
}

static void a_disconnecting_policy_ends_the_subscription(void **state)
{
    (void)state;
    for (uint32_t loops = 1; loops <= 2; loops++) {
        dx_bus_t *bus = bus_started(loops);
        seen_t seen;
        seen_init(&seen);
        seen.hold = true;
        assert_ok(dx_bus_topic_create(
            bus, "t", &(dx_topic_options_t){.retain_events = DX_RETAIN_NONE}, &said));
        dx_subscription_t *subscription = NULL;
        assert_ok(dx_bus_subscribe(bus,
                                   &(dx_subscription_options_t){.pattern = "t",
                                                                .on_event = seen_event,
                                                                .on_end = seen_end,
                                                                .context = &seen,
                                                                .slow = DX_SLOW_DISCONNECT,
                                                                .queue_events = 4},
                                   &subscription, &said));
        dx_publisher_t *publisher = publisher_opened(bus);
        dx_receipt_t receipt;
        for (uint64_t i = 1; i <= 50; i++) {
            assert_ok(publish_number_wait(publisher, "t", i, &receipt));
        }
        seen_hold(&seen, false);
        seen_until(&seen, seen.ends == 1);
        assert_int_equal(seen.end_code, DX_ELIMIT);
        dx_publisher_close(publisher);
        assert_ok(dx_subscription_close(subscription, SOON_NS));
        assert_int_equal(seen.ends, 1);
        bus_ended(bus);
    }
}

static void what_a_handler_refuses_comes_again(void **state)
{
    (void)state;
    FOR_EACH_SHAPE(shape)
    {
        dx_bus_t *bus = bus_started(shape->loops);
        seen_t seen;
        seen_init(&seen);
        seen.result = DX_EIO;
        seen.fail_n = 2;
        dx_subscription_t *subscription =
            subscribed(bus, shape,
                       &(dx_subscription_options_t){.pattern = "t",
                                                    .ack = DX_ACK_AUTO,
                                                    .backoff_ns = 1000000,
                                                    .backoff_max_ns = 1000000},
                       &seen);
        dx_publisher_t *publisher = publisher_opened(bus);
        assert_ok(publish_number(publisher, "t", 1));
        seen_wait(&seen, 3);
        assert_int_equal(seen.redelivered, 2);
        dx_publisher_close(publisher);
        assert_ok(dx_subscription_close(subscription, SOON_NS));
        bus_ended(bus);
    }
}

static void what_is_given_up_becomes_a_dead_letter(void **state)
{
    (void)state;
    FOR_EACH_SHAPE(shape)
    {
        dx_bus_t *bus = bus_started(shape->loops);
        seen_t seen;
        seen_t dead;
        seen_init(&seen);
        seen_init(&dead);
        seen.result = DX_EFATAL;
        seen.fail_n = 1;
        dx_subscription_t *grave =
            subscribed(bus, shape, &(dx_subscription_options_t){.pattern = "$dead.>"}, &dead);
        dx_subscription_t *subscription = subscribed(
            bus, shape, &(dx_subscription_options_t){.pattern = "t", .group = "workers"}, &seen);
        dx_publisher_t *publisher = publisher_opened(bus);
        assert_ok(publish_number(publisher, "t", 7));
        seen_wait(&dead, 1);
        assert_int_equal(dead.last_number, 7);
        assert_int_equal(seen.events, 1);
        dx_publisher_close(publisher);
        assert_ok(dx_subscription_close(subscription, SOON_NS));
        assert_ok(dx_subscription_close(grave, SOON_NS));
        bus_ended(bus);
    }
}

/* Keeps copies of events, to be answered by the test. */
typedef struct later {
    seen_t seen;
    dx_event_t events[16];
    char topic[16];
    int count;
} later_t;

static int on_later(void *context, const dx_event_t *event)
{
    later_t *later = context;
    (void)pthread_mutex_lock(&later->seen.mutex);
    later->events[later->count] = *event;
    memcpy(later->topic, event->topic, event->topic_bytes);
    later->events[later->count++].topic = later->topic;
    (void)pthread_mutex_unlock(&later->seen.mutex);
    return seen_event(&later->seen, event);
}

static void explicit_answers_come_from_any_thread(void **state)
{
    (void)state;
    FOR_EACH_SHAPE(shape)
    {
        dx_bus_t *bus = bus_started(shape->loops);
        later_t later = {0};
        seen_init(&later.seen);
        dx_subscription_t *subscription = NULL;
        assert_ok(dx_bus_subscribe(bus,
                                   &(dx_subscription_options_t){.pattern = "t",
                                                                .on_event = on_later,
                                                                .context = &later,
                                                                .ack = DX_ACK_EXPLICIT,
                                                                .backoff_ns = 1000000,
                                                                .dispatch = shape->dispatch},
                                   &subscription, &said));
        dx_publisher_t *publisher = publisher_opened(bus);
        for (uint64_t i = 1; i <= 3; i++) {
            assert_ok(publish_number(publisher, "t", i));
        }
        seen_wait(&later.seen, 3);
        assert_ok(dx_subscription_ack(subscription, &later.events[0]));
        assert_ok(dx_subscription_nack(subscription, &later.events[1], DX_EBUSY));
        assert_int_equal(dx_subscription_nack(subscription, &later.events[1], 0), DX_EINVAL);
        seen_wait(&later.seen, 4);
        assert_int_equal(later.events[3].sequence, 2);
        assert_int_equal(later.events[3].attempt, 2);
        assert_true(later.events[3].redelivered);
        assert_ok(dx_subscription_ack(subscription, &later.events[3]));
        assert_ok(dx_subscription_ack(subscription, &later.events[2]));
        dx_subscription_stats_t stats;
        do {
            assert_ok(dx_subscription_stats(subscription, &stats));
        } while (stats.pending != 0);
        assert_int_equal(stats.acknowledged, 3);
        assert_int_equal(stats.refused, 1);
        dx_publisher_close(publisher);
        assert_ok(dx_subscription_close(subscription, SOON_NS));
        bus_ended(bus);
    }
}

static void members_of_a_group_share_the_events(void **state)
{
    (void)state;
    FOR_EACH_SHAPE(shape)
    {
        dx_bus_t *bus = bus_started(shape->loops);
        seen_t seen[3];
        dx_subscription_t *members[3];
        for (int i = 0; i < 3; i++) {
            seen_init(&seen[i]);
            members[i] = subscribed(
                bus, shape, &(dx_subscription_options_t){.pattern = "t.*", .group = "g"}, &seen[i]);
        }
        dx_publisher_t *publisher = publisher_opened(bus);
        for (uint64_t i = 1; i <= 600; i++) {
            char key[16];
            (void)snprintf(key, sizeof key, "key%d", (int)(i % 50));
            assert_ok(dx_publish(publisher,
                                 &(dx_message_t){.topic = "t.x",
                                                 .data = &i,
                                                 .bytes = sizeof i,
                                                 .key = key,
                                                 .key_bytes = strlen(key)},
                                 &said));
        }
        uint64_t sum = 0;
        for (int64_t until = dx_clock_ns() + SOON_NS; sum < 600 && dx_clock_ns() < until;) {
            sum = 0;
            for (int i = 0; i < 3; i++) {
                sum += seen_events(&seen[i]);
            }
        }
        assert_int_equal(sum, 600);
        dx_publisher_close(publisher);
        for (int i = 0; i < 3; i++) {
            assert_ok(dx_subscription_close(members[i], SOON_NS));
        }
        bus_ended(bus);
    }
}

static void a_retried_message_is_taken_once(void **state)
{
    (void)state;
    dx_bus_t *bus = bus_started(2);
    dx_publisher_t *publisher = publisher_opened(bus);
    const dx_message_t message = {.topic = "t", .data = "x", .bytes = 1};
    dx_receipt_t receipt;
    assert_fails(dx_publish_retry(publisher, &message, &receipt, &said), DX_ESTATE, said,
                 "nothing was published");
    assert_ok(dx_publish_wait(publisher, &message, &receipt, &said));
    assert_int_equal(receipt.sequence, 1);
    dx_receipt_t again;
    assert_ok(dx_publish_retry(publisher, &message, &again, &said));
    assert_true(again.duplicate);
    assert_int_equal(again.sequence, 1);
    assert_ok(dx_publish_wait(publisher, &message, &receipt, &said));
    assert_int_equal(receipt.sequence, 2);
    dx_publisher_close(publisher);
    bus_ended(bus);
}

static void a_batch_is_published_in_order(void **state)
{
    (void)state;
    dx_bus_t *bus = bus_started(3);
    seen_t seen;
    seen_init(&seen);
    dx_subscription_t *subscription = NULL;
    assert_ok(dx_bus_on(bus, "t", seen_event, &seen, &subscription, &said));
    dx_publisher_t *publisher = publisher_opened(bus);
    uint64_t numbers[100];
    dx_message_t messages[100];
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < 100; i++) {
        numbers[i] = (uint64_t)i + 1;
        messages[i].topic = "t";
        messages[i].data = &numbers[i];
        messages[i].bytes = sizeof numbers[i];
    }
    assert_int_equal(dx_publish_batch(publisher, messages, 100, &said), 100);
    seen_wait(&seen, 100);
    assert_int_equal(seen.disorders, 0);
    messages[3].topic = "bad..name";
    assert_int_equal(dx_publish_batch(publisher, messages, 100, &said), 3);
    assert_int_equal(said.code, DX_EINVAL);
    assert_int_equal(dx_publish_batch(publisher, &messages[3], 1, &said), DX_EINVAL);
    assert_int_equal(dx_publish_batch(publisher, messages, 0, &said), 0);
    dx_publisher_close(publisher);
    assert_ok(dx_subscription_close(subscription, SOON_NS));
    bus_ended(bus);
}

static bool is_even(void *context, const dx_event_t *event)
{
    uint64_t number = 0;
    (void)context;
    memcpy(&number, event->data, sizeof number);
    return number % 2 == 0;
}

static void a_predicate_chooses(void **state)
{
    (void)state;
    dx_bus_t *bus = bus_started(2);
    seen_t seen;
    seen_init(&seen);
    dx_subscription_t *subscription = NULL;
    assert_ok(dx_bus_filter(bus, "t", is_even, seen_event, &seen, &subscription, &said));
    for (uint64_t i = 1; i <= 10; i++) {
        assert_ok(dx_bus_publish(bus, "t", &i, sizeof i, &said));
    }
    seen_wait(&seen, 5);
    seen_until(&seen, seen.last_number == 10);
    assert_int_equal(seen.events, 5);
    assert_ok(dx_subscription_close(subscription, SOON_NS));
    bus_ended(bus);
}

static void bad_messages_are_refused_with_a_sentence(void **state)
{
    (void)state;
    dx_bus_t *bus = bus_made(&(dx_bus_options_t){
        .shards = 2, .loops = 1, .shard_ring_bytes = 65536, .event_bytes_max = 1000});
    dx_publisher_t *publisher = publisher_opened(bus);
    static const char data[1001];
    const struct {
        dx_message_t message;
        int code;
        const char *text;
    } table[] = {
        {{.topic = NULL}, DX_EINVAL, "NULL"},
        {{.topic = ""}, DX_EINVAL, ""},
        {{.topic = "a.*"}, DX_EINVAL, ""},
        {{.topic = "$inbox.x"}, DX_EINVAL, "'$'"},
        {{.topic = "a", .data = data, .bytes = 1001}, DX_ELIMIT, "event_bytes_max is 1000"},
        {{.topic = "a", .data = NULL, .bytes = 1}, DX_EINVAL, "NULL"},
        {{.topic = "a", .reserved = {1}}, DX_EINVAL, "reserved"},
        {{.topic = "a", .key = data, .key_bytes = 1025}, DX_ELIMIT, ""},
        {{.topic = "a", .reply_to = "b.*"}, DX_EINVAL, "reply_to: the topic has '*'"},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        assert_fails(dx_publish(publisher, &table[i].message, &said), table[i].code, said,
                     table[i].text);
        assert_int_equal(dx_publish_wait(publisher, &table[i].message, NULL, NULL), table[i].code);
    }
    assert_ok(dx_publish_wait(publisher, &(dx_message_t){.topic = "a"}, NULL, &said));
    assert_ok(
        dx_publish(publisher, &(dx_message_t){.topic = "a", .data = data, .bytes = 1000}, &said));
    dx_publisher_close(publisher);
    bus_ended(bus);
}

static void bad_options_are_refused_with_a_sentence(void **state)
{
    (void)state;
    const struct {
        dx_bus_options_t options;
        const char *text;
    } buses[] = {
        {{.shards = 3}, "shards is 3"},
        {{.shards = DX_BUS_SHARDS_MAX * 2}, "shards is 2048"},
        {{.loops = DX_BUS_LOOPS_MAX + 1}, "loops is 33"},
        {{.shard_ring_bytes = 32768}, "shard_ring_bytes is 32768"},
        {{.shard_ring_bytes = 65536, .event_bytes_max = 16385}, "a quarter"},
        {{.topics_max = DX_BUS_TOPICS_MAX + 1}, "topics_max"},
        {{.topic = {.full = 7}}, "full is 7"},
        {{.topic = {.shard_by = DX_SHARD_BY_KEY}}, "topic.shard_by is 1"},
        {{.topic = {.direct_bytes = 65536}}, "topic.direct_bytes 65536"},
        {{.topic = {.event_bytes_max = 131073}}, "topic.event_bytes_max is 131073"},
        {{.reserved = {0, 1}}, "reserved[1]"},
    };
    dx_bus_t *bus = NULL;
    for (size_t i = 0; i < COUNT_OF(buses); i++) {
        assert_fails(dx_bus_create(&buses[i].options, &bus, &said), DX_EINVAL, said, buses[i].text);
        assert_null(bus);
    }
    bus = bus_started(1);
    const struct {
        dx_subscription_options_t options;
        const char *text;
    } subscriptions[] = {
        {{.pattern = "a"}, "neither on_event nor on_batch"},
        {{.pattern = "a", .on_event = seen_event, .on_batch = on_batch}, "both"},
        {{.on_event = seen_event}, "pattern is NULL"},
        {{.pattern = "a..b", .on_event = seen_event}, ""},
        {{.pattern = "a", .on_event = seen_event, .dispatch = 2}, "dispatch is 2"},
        {{.pattern = "a", .on_event = seen_event, .queue_bytes = 100}, "queue_bytes is 100"},
        {{.pattern = "a", .on_event = seen_event, .ack = 9}, "ack is 9"},
        {{.pattern = "a", .on_event = seen_event, .backoff_ns = -1}, "backoff_ns is -1"},
        {{.pattern = "a", .on_event = seen_event, .reserved = {0, 0, 0, 5}}, "reserved[3]"},
        {{.pattern = "a", .on_event = seen_event, .group = "\x01"}, "byte 0x01"},
        {{.pattern = "a", .on_event = seen_event, .group = "a\xc3"}, "byte 0xc3"},
    };
    dx_subscription_t *subscription = NULL;
    for (size_t i = 0; i < COUNT_OF(subscriptions); i++) {
        assert_fails(dx_bus_subscribe(bus, &subscriptions[i].options, &subscription, &said),
                     DX_EINVAL, said, subscriptions[i].text);
        assert_null(subscription);
    }
    dx_publisher_t *publisher = NULL;
    assert_fails(
        dx_publisher_open(bus, &(dx_publisher_options_t){.timeout_ns = -1}, &publisher, &said),
        DX_EINVAL, said, "timeout_ns is -1");
    bus_ended(bus);
}

static void publishers_are_as_many_as_the_limit(void **state)
{
    (void)state;
    dx_bus_t *bus = bus_started(1);
    dx_publisher_t *publishers[DX_BUS_PUBLISHERS_MAX];
    for (int i = 0; i < DX_BUS_PUBLISHERS_MAX; i++) {
        publishers[i] = publisher_opened(bus);
        assert_ok(publish_number(publishers[i], "t", 1));
    }
    dx_publisher_t *more = NULL;
    assert_fails(dx_publisher_open(bus, NULL, &more, &said), DX_ELIMIT, said, "128");
    dx_publisher_close(publishers[0]);
    publishers[0] = publisher_opened(bus);
    for (int i = 0; i < DX_BUS_PUBLISHERS_MAX; i++) {
        dx_publisher_close(publishers[i]);
    }
    bus_ended(bus);
}

static void large_events_pass_small_queues(void **state)
{
    (void)state;
    dx_bus_t *bus = bus_made(&(dx_bus_options_t){.shards = 1, .loops = 1});
    seen_t seen;
    seen_init(&seen);
    dx_subscription_t *subscription = NULL;
    assert_ok(dx_bus_subscribe(bus,
                               &(dx_subscription_options_t){.pattern = "t",
                                                            .on_event = seen_event,
                                                            .context = &seen,
                                                            .slow = DX_SLOW_BLOCK,
                                                            .slow_block_ns = SOON_NS,
                                                            .queue_bytes = 4096},
                               &subscription, &said));
    dx_publisher_t *publisher = publisher_opened(bus);
    char *data = calloc(1, 131072);
    assert_non_null(data);
    for (int i = 0; i < 20; i++) {
        assert_ok(dx_publish(publisher,
                             &(dx_message_t){.topic = "t", .data = data, .bytes = 131072}, &said));
    }
    seen_wait(&seen, 20);
    free(data);
    dx_publisher_close(publisher);
    assert_ok(dx_subscription_close(subscription, SOON_NS));
    bus_ended(bus);
}

static void a_full_ring_fails_or_waits_as_told(void **state)
{
    (void)state;
    dx_bus_t *bus = bus_made(&(dx_bus_options_t){
        .shards = 1, .loops = 1, .shard_ring_bytes = 65536, .event_bytes_max = 1024});
    seen_t seen;
    seen_init(&seen);
    dx_subscription_t *subscription = subscribed(
        bus, &(shape_t){1, DX_DISPATCH_SHARD}, &(dx_subscription_options_t){.pattern = "*"}, &seen);
    dx_publisher_t *failing = NULL;
    dx_publisher_t *waiting = NULL;
    assert_ok(
        dx_publisher_open(bus, &(dx_publisher_options_t){.fail_when_full = true}, &failing, &said));
    assert_ok(
        dx_publisher_open(bus, &(dx_publisher_options_t){.timeout_ns = 2000000}, &waiting, &said));
    assert_ok(
        dx_bus_topic_create(bus, "f", &(dx_topic_options_t){.full = DX_TOPIC_FULL_FAIL}, &said));
    seen_hold(&seen, true);
    int code = DX_OK;
    for (int i = 0; i < 100000 && code == DX_OK; i++) {
        code = publish_number(failing, "t", (uint64_t)i);
    }
    assert_int_equal(code, DX_EAGAIN);
    assert_int_equal(publish_number(waiting, "t", 1), DX_ETIMEDOUT);
    assert_int_equal(publish_number(waiting, "f", 1), DX_EAGAIN);
    seen_hold(&seen, false);
    dx_publisher_close(failing);
    dx_publisher_close(waiting);
    assert_ok(dx_subscription_close(subscription, SOON_NS));
    bus_ended(bus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_reach_handlers_in_order),
        cmocka_unit_test(an_event_carries_all_that_was_published),
        cmocka_unit_test(a_batch_handler_gets_every_event_once),
        cmocka_unit_test(a_slow_subscription_lags_and_catches_up),
        cmocka_unit_test(what_is_no_longer_kept_is_told_as_a_gap),
        cmocka_unit_test(a_blocking_subscription_loses_nothing),
        cmocka_unit_test(how_long_a_blocking_subscription_holds_a_shard_up_is_counted),
        cmocka_unit_test(a_disconnecting_policy_ends_the_subscription),
        cmocka_unit_test(what_a_handler_refuses_comes_again),
        cmocka_unit_test(what_is_given_up_becomes_a_dead_letter),
        cmocka_unit_test(explicit_answers_come_from_any_thread),
        cmocka_unit_test(members_of_a_group_share_the_events),
        cmocka_unit_test(a_retried_message_is_taken_once),
        cmocka_unit_test(a_batch_is_published_in_order),
        cmocka_unit_test(a_predicate_chooses),
        cmocka_unit_test(bad_messages_are_refused_with_a_sentence),
        cmocka_unit_test(bad_options_are_refused_with_a_sentence),
        cmocka_unit_test(publishers_are_as_many_as_the_limit),
        cmocka_unit_test(large_events_pass_small_queues),
        cmocka_unit_test(a_full_ring_fails_or_waits_as_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
