/* test_bus_shard.c - events, sequences, topics and plain subscriptions of a shard.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "shard_test.h"

static rig_t rig;
static reader_t a, b, c;

static int open_rig(void **state)
{
    (void)state;
    rig_open(&rig, NULL);
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

static void sequences_of_each_topic_are_dense_from_1(void **state)
{
    (void)state;
    rig_subscribe(&rig, &a, &(dx_subscription_options_t){.pattern = ">"});
    for (int i = 0; i < 3; i++) {
        rig_publish(&rig, "orders.created", 1);
        rig_publish(&rig, "orders.paid", 1);
    }
    assert_string_equal(rig_text(&a), "1 1 2 2 3 3");
    assert_string_equal(a.notes[4].topic, "orders.created");
    assert_int_equal(rig_topic(&rig, "orders.created").published, 3);
    assert_int_equal(rig_topic(&rig, "orders.paid").delivered, 3);
}

static void each_matching_subscriber_gets_an_event_once(void **state)
{
    (void)state;
    rig_subscribe(&rig, &a, &(dx_subscription_options_t){.pattern = "orders.created"});
    rig_subscribe(&rig, &b, &(dx_subscription_options_t){.pattern = "orders.*"});
    rig_subscribe(&rig, &c, &(dx_subscription_options_t){.pattern = "invoices.>"});
    rig_publish(&rig, "orders.created", 2);
    rig_publish(&rig, "invoices.sent.today", 1);
    assert_string_equal(rig_text(&a), "1 2");
    assert_string_equal(rig_text(&b), "1 2");
    assert_string_equal(rig_text(&c), "1");
}

static void who_unsubscribes_gets_nothing_more(void **state)
{
    (void)state;
    rig_subscribe(&rig, &a, &(dx_subscription_options_t){.pattern = "t"});
    rig_subscribe(&rig, &b, &(dx_subscription_options_t){.pattern = "t"});
    rig_publish(&rig, "t", 1);
    rig_unsubscribe(&rig, &a);
    rig_publish(&rig, "t", 1);
    assert_string_equal(rig_text(&a), "1");
    assert_string_equal(rig_text(&b), "1 2");
}

static void who_has_no_room_is_fed_later_in_order(void **state)
{
    (void)state;
    rig_subscribe(&rig, &a, &(dx_subscription_options_t){.pattern = "t"});
    a.room = 2;
    rig_publish(&rig, "t", 2);
    assert_int_equal(rig_stats(&a).lag_unix_ns, 0);
    (void)rig_tick(&rig, RIG_MS);
    const int64_t lag_unix_ns = RIG_UNIX_NS + rig.clock_ns;
    rig_publish(&rig, "t", 1);
    (void)rig_tick(&rig, RIG_MS);
    rig_publish(&rig, "t", 2);
    assert_string_equal(rig_text(&a), "1 2");
    assert_int_equal(rig_stats(&a).lag, 3);
    assert_int_equal(rig_stats(&a).lag_unix_ns, lag_unix_ns); /* of the third */
    assert_false(dxi_shard_idle(rig.shard));
    rig_ready(&rig, &a, 2);
    assert_string_equal(rig_text(&a), "1 2 3 4");
    rig_ready(&rig, &a, -1);
    rig_publish(&rig, "t", 1);
    assert_string_equal(rig_text(&a), "1 2 3 4 5 6");
    assert_true(dxi_shard_idle(rig.shard));
    assert_int_equal(rig_stats(&a).delivered, 6);
}

static void what_is_no_longer_kept_is_told_as_a_gap(void **state)
{
    (void)state;
    assert_ok(
        dxi_shard_topic_create(rig.shard, "t", &(dx_topic_options_t){.retain_events = 3}, NULL));
    rig_subscribe(&rig, &a, &(dx_subscription_options_t){.pattern = "t"});
    a.room = 1;
    rig_publish(&rig, "t", 10);
    rig_ready(&rig, &a, -1);
    assert_string_equal(rig_text(&a), "1 2-7 8 9 10");
    const dx_subscription_stats_t stats = rig_stats(&a);
    assert_int_equal(stats.delivered, 4);
    assert_int_equal(stats.dropped, 6);
    assert_int_equal(stats.gaps, 1);
    assert_int_equal(rig_topic(&rig, "t").dropped, 6);
}

static void a_topic_that_keeps_nothing_drops_what_finds_no_room(void **state)
{
    (void)state;
    assert_ok(dxi_shard_topic_create(rig.shard, "t",
                                     &(dx_topic_options_t){.retain_events = DX_RETAIN_NONE}, NULL));
    rig_subscribe(&rig, &a, &(dx_subscription_options_t){.pattern = "t"});
    a.room = 1;
    rig_publish(&rig, "t", 4);
    rig_ready(&rig, &a, -1);
    rig_publish(&rig, "t", 1);
    assert_string_equal(rig_text(&a), "1 2-4 5");
}

static void subscriptions_start_where_they_say(void **state)
{
    (void)state;
    assert_ok(
        dxi_shard_topic_create(rig.shard, "t", &(dx_topic_options_t){.retain_events = 5}, NULL));
    for (int i = 0; i < 10; i++) {
        rig.clock_ns += 10 * RIG_MS;
        rig_publish(&rig, "t", 1);
    }
    const uint64_t eighth = (uint64_t)(RIG_UNIX_NS + rig.clock_ns - 20 * RIG_MS);
    const struct {
        dx_start_from_t from;
        uint64_t value;
        const char *expected;
    } cases[] = {
        {DX_FROM_LATEST, 0, "11"},
        {DX_FROM_EARLIEST, 0, "6 7 8 9 10 11"},
        {DX_FROM_SEQUENCE, 9, "9 10 11"},
        {DX_FROM_SEQUENCE, 2, "2-5 6 7 8 9 10 11"},
        {DX_FROM_SEQUENCE, 11, "11"},
        {DX_FROM_SEQUENCE, 12, ""},
        {DX_FROM_TIME, eighth, "8 9 10 11"},
        {DX_FROM_TIME, eighth - 1, "8 9 10 11"},
        {DX_FROM_TIME, eighth + 1, "9 10 11"},
        {DX_FROM_TIME, UINT64_MAX, "11"},
        {DX_FROM_TIME, 0, "6 7 8 9 10 11"},
    };
    static reader_t readers[COUNT_OF(cases)];
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        rig_subscribe(&rig, &readers[i],
                      &(dx_subscription_options_t){
                          .pattern = "t", .from = cases[i].from, .from_value = cases[i].value});
        assert_int_equal(readers[i].count, 0); /* not inside subscribe */
    }
    rig_tick(&rig, 0);
    rig_publish(&rig, "t", 1);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_string_equal(rig_text(&readers[i]), cases[i].expected);
    }
    rig_publish(&rig, "t", 1);
    assert_string_equal(rig_text(&readers[5]), "12");
}

static void a_publisher_is_answered_when_it_wants_to_be(void **state)
{
    (void)state;
    rig_publish(&rig, "t", 1);
    assert_int_equal(rig.answers, 0);
    assert_ok(rig_publish_as(
        &rig, &(publication_t){.topic = "t", .flags = DX_FRAME_ACK_WANTED, .correlation = 99}));
    assert_int_equal(rig.answers, 1);
    assert_int_equal(rig.answer.code, DX_OK);
    assert_int_equal(rig.answer.sequence, 2);
    assert_int_equal(rig.answer.shard, 3);
    assert_int_equal(rig.answer.term, 7);
    assert_int_equal(rig.answer.correlation, 99);
    assert_int_equal(rig.answer.timestamp_ns, RIG_UNIX_NS + rig.clock_ns);
    assert_int_equal(rig.origin, 42);
}

static void a_disconnecting_subscriber_ends_when_it_has_lost_something(void **state)
{
    (void)state;
    assert_ok(
        dxi_shard_topic_create(rig.shard, "t", &(dx_topic_options_t){.retain_events = 2}, NULL));
    rig_subscribe(&rig, &a,
                  &(dx_subscription_options_t){.pattern = "t", .slow = DX_SLOW_DISCONNECT});
    a.room = 1;
    rig_publish(&rig, "t", 3);
    assert_int_equal(a.end_code, 0);
    rig_publish(&rig, "t", 1);
    assert_int_equal(a.end_code, DX_ELIMIT);
    rig_ready(&rig, &a, -1);
    assert_string_equal(rig_text(&a), "1");
    assert_true(dxi_shard_idle(rig.shard));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)
    const struct CMUnitTest tests[] = {
        TEST(sequences_of_each_topic_are_dense_from_1),
        TEST(each_matching_subscriber_gets_an_event_once),
        TEST(who_unsubscribes_gets_nothing_more),
        TEST(who_has_no_room_is_fed_later_in_order),
        TEST(what_is_no_longer_kept_is_told_as_a_gap),
        TEST(a_topic_that_keeps_nothing_drops_what_finds_no_room),
        TEST(subscriptions_start_where_they_say),
        TEST(a_publisher_is_answered_when_it_wants_to_be),
        TEST(a_disconnecting_subscriber_ends_when_it_has_lost_something),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
