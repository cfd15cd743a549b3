/* test_bus_rules.c - what a shard takes and refuses, who waits for whom, and its limits.
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

static void declare(const char *name, const dx_topic_options_t *options)
{
    assert_ok(dxi_shard_topic_create(rig.shard, name, options, NULL));
}

/* The last publication was refused with this. */
static void assert_refused(int code, const char *text)
{
    assert_string_equal(dx_error_name(rig.answer.code), dx_error_name(code));
    assert_contains(rig.sentence, text);
}

/* ------------------------------------------------------------------------------------- blocking */

static held_frame_t held;

static void hold(const char *topic)
{
    held.count = rig_frame(&(publication_t){.topic = topic, .flags = DX_FRAME_ACK_WANTED},
                           held.bytes, sizeof held.bytes);
}

static const dx_topic_options_t NOTHING_KEPT = {.retain_events = DX_RETAIN_NONE};

static void the_shard_waits_for_a_blocking_subscriber(void **state)
{
    (void)state;
    declare("t", &NOTHING_KEPT);
    rig_subscribe(&rig, &a, &(dx_subscription_options_t){.pattern = "t"});
    rig_subscribe(&rig, &b, &(dx_subscription_options_t){.pattern = "t", .slow = DX_SLOW_BLOCK});
    rig_subscribe(&rig, &c, &(dx_subscription_options_t){.pattern = "t"});
    b.room = 0;
    hold("t");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rig_bring(&rig, &held), DX_EAGAIN);
    }
    assert_false(dxi_shard_idle(rig.shard));
    assert_int_equal(rig.answers, 0);
    assert_string_equal(rig_text(&a), "1"); /* once, however often it was brought */
    assert_string_equal(rig_text(&c), "1");
    b.room = 1;
    assert_ok(rig_bring(&rig, &held));
    assert_string_equal(rig_text(&b), "1");
    assert_int_equal(rig.answers, 1);
    assert_int_equal(rig.answer.sequence, 1);
    assert_int_equal(rig_topic(&rig, "t").delivered, 3);
}

static void what_is_kept_is_given_to_a_blocking_subscriber_when_it_is_ready(void **state)
{
    (void)state;
    rig_subscribe(&rig, &b, &(dx_subscription_options_t){.pattern = "t", .slow = DX_SLOW_BLOCK});
    b.room = 0;
    hold("t");
    assert_int_equal(rig_bring(&rig, &held), DX_EAGAIN);
    rig_ready(&rig, &b, 1);
    assert_string_equal(rig_text(&b), "1");
    assert_ok(rig_bring(&rig, &held));
    assert_string_equal(rig_text(&b), "1");
}

static void after_its_time_a_blocking_subscriber_drops_until_it_has_caught_up(void **state)
{
    (void)state;
    declare("t", &(dx_topic_options_t){.retain_events = 2});
    rig_subscribe(&rig, &b,
                  &(dx_subscription_options_t){
                      .pattern = "t", .slow = DX_SLOW_BLOCK, .slow_block_ns = 50 * RIG_MS});
    b.room = 1;
    rig_publish(&rig, "t", 1);
    hold("t");
    assert_int_equal(rig_bring(&rig, &held), DX_EAGAIN);
    rig.clock_ns += 50 * RIG_MS - 1;
    assert_int_equal(rig_bring(&rig, &held), DX_EAGAIN);
    rig.clock_ns += 1;
    assert_ok(rig_bring(&rig, &held));
    rig_publish(&rig, "t", 4); /* without waiting */
    rig_ready(&rig, &b, -1);
    assert_string_equal(rig_text(&b), "1 2-4 5 6");
    b.room = 0; /* it has caught up, so it is waited for again */
    hold("t");
    assert_int_equal(rig_bring(&rig, &held), DX_EAGAIN);
    rig_unsubscribe(&rig, &b); /* or until it leaves */
    assert_ok(rig_bring(&rig, &held));
}

static void who_blocks_and_starts_behind_loses_nothing(void **state)
{
    (void)state;
    declare("t", &(dx_topic_options_t){.retain_events = 3});
    rig_publish(&rig, "t", 3);
    rig_subscribe(&rig, &b,
                  &(dx_subscription_options_t){
                      .pattern = "t", .slow = DX_SLOW_BLOCK, .from = DX_FROM_EARLIEST});
    b.room = 1;
    hold("t");
    assert_int_equal(rig_bring(&rig, &held), DX_EAGAIN);
    assert_int_equal(rig_topic(&rig, "t").published, 3); /* not yet an event */
    b.room = -1;
    assert_ok(rig_bring(&rig, &held));
    assert_string_equal(rig_text(&b), "1 2 3 4");
}

static void a_deleted_topic_lets_the_held_event_go(void **state)
{
    (void)state;
    rig_subscribe(&rig, &b, &(dx_subscription_options_t){.pattern = "t", .slow = DX_SLOW_BLOCK});
    b.room = 0;
    hold("t");
    assert_int_equal(rig_bring(&rig, &held), DX_EAGAIN);
    assert_ok(dxi_shard_topic_delete(rig.shard, "t"));
    assert_ok(rig_bring(&rig, &held));
    assert_int_equal(rig.answers, 1);
    assert_true(dxi_shard_idle(rig.shard));
}

static void who_is_gone_is_offered_nothing_more(void **state)
{
    (void)state;
    rig_subscribe(&rig, &a, &(dx_subscription_options_t){.pattern = ">"});
    rig_publish(&rig, "t", 1);
    rig_publish(&rig, "u", 1);
    a.gone = true;
    rig_publish(&rig, "t", 2);
    rig_publish(&rig, "u", 2);
    rig_ready(&rig, &a, -1);
    assert_int_equal(a.calls, 3);
    rig_unsubscribe(&rig, &a);
}

/* --------------------------------------------------------------------------------- publications */

static void a_request_that_nobody_hears_is_refused_at_once(void **state)
{
    (void)state;
    const publication_t request = {.topic = "ask",
                                   .type = DX_FRAME_REQUEST,
                                   .correlation = 5,
                                   .reply_to = "$inbox.1",
                                   .producer_id = 1,
                                   .producer_sequence = 1};
    assert_ok(rig_publish_as(&rig, &request));
    assert_refused(DX_ENOTFOUND, "nobody subscribes to \"ask\"");
    assert_int_equal(rig.answer.correlation, 5);
    dx_topic_stats_t stats;
    assert_int_equal(dxi_shard_topic_stats(rig.shard, "ask", &stats), DX_ENOTFOUND);
    rig_subscribe(&rig, &a, &(dx_subscription_options_t){.pattern = "ask"});
    assert_ok(rig_publish_as(&rig, &request)); /* refused is not taken: no duplicate */
    assert_string_equal(rig_text(&a), "1");
    rig_unsubscribe(&rig, &a);
    assert_ok(rig_publish_as(
        &rig, &(publication_t){.topic = "ask", .type = DX_FRAME_REQUEST, .correlation = 6}));
    assert_refused(DX_ENOTFOUND, "nobody subscribes");
    assert_int_equal(rig_topic(&rig, "ask").refused, 1);
}

static void an_inbox_keeps_nothing_and_goes_with_its_reader(void **state)
{
    (void)state;
    const publication_t reply = {.topic = "$inbox.1", .type = DX_FRAME_REPLY, .correlation = 5};
    assert_ok(rig_publish_as(&rig, &reply));
    assert_refused(DX_ENOTFOUND, "nobody waits");
    rig_subscribe(&rig, &a, &(dx_subscription_options_t){.pattern = "$inbox.1"});
    rig_subscribe(&rig, &b, &(dx_subscription_options_t){.pattern = ">"});
    dx_topic_stats_t stats;
    assert_int_equal(dxi_shard_topic_stats(rig.shard, "$inbox.1", &stats), DX_ENOTFOUND);
    assert_ok(rig_publish_as(&rig, &reply));
    assert_string_equal(rig_text(&a), "1");
    assert_int_equal(b.count, 0);
    assert_int_equal(rig_topic(&rig, "$inbox.1").retained_events, 0);
    rig_unsubscribe(&rig, &a);
    assert_int_equal(dxi_shard_topic_stats(rig.shard, "$inbox.1", &stats), DX_ENOTFOUND);
}

static void what_comes_again_is_answered_and_given_to_nobody(void **state)
{
    (void)state;
    rig_subscribe(&rig, &a, &(dx_subscription_options_t){.pattern = "t"});
    publication_t p = {
        .topic = "t", .flags = DX_FRAME_ACK_WANTED, .producer_id = 9, .producer_sequence = 4};
    assert_ok(rig_publish_as(&rig, &p));
    const dxi_answer_t first = rig.answer;
    rig_publish(&rig, "t", 3);
    rig.clock_ns += RIG_MS;
    p.flags |= DX_FRAME_RETRY;
    assert_ok(rig_publish_as(&rig, &p));
    assert_true(rig.answer.duplicate && !first.duplicate);
    assert_int_equal(rig.answer.code, DX_OK);
    assert_int_equal(rig.answer.sequence, first.sequence);
    assert_int_equal(rig.answer.timestamp_ns, first.timestamp_ns);
    assert_int_equal(rig.answer.producer_id, 9);
    assert_int_equal(rig.answer.producer_sequence, 4);
    assert_string_equal(rig_text(&a), "1 2 3 4");
    const dx_topic_stats_t stats = rig_topic(&rig, "t");
    assert_int_equal(stats.duplicates, 1);
    assert_int_equal(stats.published, 4);
    p.producer_sequence = 0;
    assert_ok(rig_publish_as(&rig, &p));
    assert_refused(DX_EINVAL, "must count from 1");
}

static void what_is_no_publication_is_refused(void **state)
{
    (void)state;
    char *const frame = held.bytes;
    dx_frame_header_t *const header = (dx_frame_header_t *)(void *)held.bytes;
    hold("t");
    header->type = DX_FRAME_EVENT;
    assert_ok(rig_bring(&rig, &held));
    assert_refused(DX_EINVAL, "type EVENT is no publication");
    hold("t");
    header->key_hash++; /* damaged after its checksum was made */
    assert_ok(rig_bring(&rig, &held));
    assert_refused(DX_ECORRUPT, "damaged");
    assert_int_equal(rig_topic(&rig, "t").published, 0);
    assert_int_equal(rig_topic(&rig, "t").refused, 1);
    hold("t");
    held.count -= 8;
    assert_ok(rig_bring(&rig, &held));
    assert_refused(DX_EINVAL, "says otherwise");
    held.count = 16;
    assert_ok(rig_bring(&rig, &held));
    assert_refused(DX_EINVAL, "16 bytes and says otherwise");
    hold("t");
    frame[64] = 3; /* the first part is a key */
    assert_ok(rig_bring(&rig, &held));
    assert_refused(DX_EINVAL, "no topic's name");
    hold("t");
    frame[66] = 100; /* the name is longer than the parts */
    assert_ok(rig_bring(&rig, &held));
    assert_refused(DX_EINVAL, "no topic's name");
    hold("t");
    header->layout = 0xfff8; /* the parts are longer than the frame */
    assert_ok(rig_bring(&rig, &held));
    assert_refused(DX_EINVAL, "no topic's name");
    hold("a..b");
    assert_ok(rig_bring(&rig, &held));
    assert_refused(DX_EINVAL, "empty part");
    assert_int_equal(rig.shard->refused, 7);
    assert_int_equal(rig.answers, 8);
}

/* --------------------------------------------------------------------------------------- limits */

static void payloads_may_be_as_large_as_the_topic_says(void **state)
{
    (void)state;
    declare("t", &(dx_topic_options_t){.event_bytes_max = 100});
    assert_ok(rig_publish_as(&rig, &(publication_t){.topic = "t", .payload_bytes = 100}));
    assert_int_equal(rig.answers, 0);
    assert_ok(rig_publish_as(&rig, &(publication_t){.topic = "t", .payload_bytes = 101}));
    assert_refused(DX_ELIMIT, "101 bytes, must have at most 100");
    assert_int_equal(rig_topic(&rig, "t").published, 1);
    assert_int_equal(rig_topic(&rig, "t").published_bytes, 100);
}

static void there_are_as_many_topics_as_allowed(void **state)
{
    (void)state;
    rig_close(&rig);
    rig_open(&rig, &(dx_bus_options_t){.topics_max = 3, .subscriptions_max = 2});
    rig_publish(&rig, "a", 1);
    rig_publish(&rig, "b", 1);
    declare("c", NULL);
    rig_publish(&rig, "d", 1);
    assert_refused(DX_ELIMIT, "3 topics, as many as topics_max allows");
    dx_error_t error;
    assert_fails(dxi_shard_topic_create(rig.shard, "e", NULL, &error), DX_ELIMIT, error,
                 "3 topics");
    rig_subscribe(&rig, &a, &(dx_subscription_options_t){.pattern = "$inbox.1"});
    rig_publish(&rig, "$inbox.1", 1); /* is not counted */
    assert_int_equal(a.count, 1);
    assert_ok(dxi_shard_topic_delete(rig.shard, "a"));
    rig_publish(&rig, "d", 1);
    assert_int_equal(rig_topic(&rig, "d").published, 1);
    rig_subscribe(&rig, &b, &(dx_subscription_options_t){.pattern = "t"});
    assert_fails(rig_try_subscribe(&rig, &c, &(dx_subscription_options_t){.pattern = "t"}, &error),
                 DX_ELIMIT, error, "2 subscriptions");
}

static void topics_must_be_declared_where_the_bus_says_so(void **state)
{
    (void)state;
    rig_close(&rig);
    rig_open(&rig, &(dx_bus_options_t){.no_topic_creation = true});
    rig_subscribe(&rig, &a, &(dx_subscription_options_t){.pattern = "t"});
    rig_publish(&rig, "t", 1);
    assert_refused(DX_ENOTFOUND, "topics must be declared");
    declare("t", NULL);
    rig_publish(&rig, "t", 1);
    assert_string_equal(rig_text(&a), "1");
}

static void subscribing_makes_no_topic(void **state)
{
    (void)state;
    rig_subscribe(&rig, &a, &(dx_subscription_options_t){.pattern = "t"});
    dx_topic_stats_t stats;
    assert_int_equal(dxi_shard_topic_stats(rig.shard, "t", &stats), DX_ENOTFOUND);
    assert_int_equal(dxi_shard_topic_delete(rig.shard, "t"), DX_ENOTFOUND);
}

static void options_of_subscriptions_have_bounds(void **state)
{
    (void)state;
    const struct {
        dx_subscription_options_t options;
        const char *refused; /* NULL: allowed */
    } cases[] = {
        {{.pattern = NULL}, "the pattern has 0 bytes"},
        {{.pattern = "a..b"}, "empty part"},
        {{.pattern = "a", .group = ""}, "group's name has 0 bytes"},
        {{.pattern = "a", .dead_letter = "a.*"}, "'*' in it"},
        {{.pattern = "a", .from = (dx_start_from_t)4}, "from is 4, must be from 0 to 3"},
        {{.pattern = "a", .ack = (dx_ack_mode_t)4}, "ack is 4"},
        {{.pattern = "a", .slow = (dx_slow_policy_t)3}, "slow is 3"},
        {{.pattern = "a", .dispatch = (dx_dispatch_t)2}, "dispatch is 2"},
        {{.pattern = "a", .slow_block_ns = -1}, "slow_block_ns is -1"},
        {{.pattern = "a", .ack_timeout_ns = -1}, "ack_timeout_ns is -1"},
        {{.pattern = "a", .backoff_ns = -1}, "backoff_ns is -1"},
        {{.pattern = "a", .backoff_max_ns = -1}, "backoff_max_ns is -1"},
        {{.pattern = "a", .pending_events_max = DX_PENDING_EVENTS_MAX}, NULL},
        {{.pattern = "a", .pending_events_max = DX_PENDING_EVENTS_MAX + 1}, "at most 1048576"},
        {{.pattern = "a", .attempts_max = DX_ATTEMPTS_MAX}, NULL},
        {{.pattern = "a", .attempts_max = DX_ATTEMPTS_MAX + 1}, "at most 1000000"},
        {{.pattern = "a", .reserved = {0, 0, 0, 1}}, "reserved[3] is not zero"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        dx_error_t error = {0};
        const int code = rig_try_subscribe(&rig, &a, &cases[i].options, &error);
        if (cases[i].refused == NULL) {
            assert_int_equal(code, DX_OK);
            rig_unsubscribe(&rig, &a);
        } else {
            assert_int_equal(code, DX_EINVAL);
            assert_contains(error.message, cases[i].refused);
        }
    }
}

static void options_of_topics_have_bounds(void **state)
{
    (void)state;
    const struct {
        dx_topic_options_t options;
        const char *refused;
    } cases[] = {
        {{.shard_by = (dx_shard_by_t)2}, "shard_by is 2"},
        {{.full = (dx_topic_full_t)2}, "full is 2"},
        {{.retain_events = DX_RETAIN_EVENTS_MAX}, NULL},
        {{.retain_events = DX_RETAIN_EVENTS_MAX + 1}, "at most 16777216"},
        {{.retain_events = DX_RETAIN_NONE}, NULL},
        {{.retain_bytes = DX_RETAIN_BYTES_MAX}, NULL},
        {{.retain_bytes = DX_RETAIN_BYTES_MAX + 1}, "at most 17179869184"},
        {{.retain_age_ns = -1}, "retain_age_ns is -1"},
        {{.event_bytes_max = 131072}, NULL},
        {{.event_bytes_max = 131073}, "at most 131072"},
        {{.direct_bytes = 65537}, "power of two"},
        {{.reserved = {1}}, "reserved"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        dx_error_t error = {0};
        const int code = dxi_shard_topic_create(rig.shard, "t", &cases[i].options, &error);
        if (cases[i].refused == NULL) {
            assert_int_equal(code, DX_OK);
            assert_ok(dxi_shard_topic_delete(rig.shard, "t"));
        } else {
            assert_int_equal(code, DX_EINVAL);
            assert_contains(error.message, cases[i].refused);
        }
    }
    dx_error_t error;
    assert_fails(dxi_shard_topic_create(rig.shard, NULL, NULL, &error), DX_EINVAL, error,
                 "0 bytes");
    assert_fails(dxi_shard_topic_create(rig.shard, "a.*", NULL, &error), DX_EINVAL, error, "'*'");
}

/* --------------------------------------------------------------------------------------- topics */

static void topics_are_declared_changed_and_deleted(void **state)
{
    (void)state;
    dx_error_t error;
    const dx_topic_options_t ten = {.retain_events = 10};
    declare("t", &ten);
    declare("t", &ten); /* the same again */
    assert_fails(dxi_shard_topic_create(rig.shard, "t", NULL, &error), DX_EEXIST, error,
                 "with other options");
    rig_publish(&rig, "t", 10);
    assert_int_equal(rig_topic(&rig, "t").retained_events, 10);
    assert_true(rig_topic(&rig, "t").declared);
    assert_ok(
        dxi_shard_topic_change(rig.shard, "t", &(dx_topic_options_t){.retain_events = 4}, NULL));
    assert_int_equal(rig_topic(&rig, "t").first_sequence, 7);
    assert_fails(dxi_shard_topic_change(rig.shard, "t",
                                        &(dx_topic_options_t){.shard_by = DX_SHARD_BY_KEY}, &error),
                 DX_EINVAL, error, "shard_by is 1, can't be changed from 0");
    assert_fails(dxi_shard_topic_change(rig.shard, "u", &ten, &error), DX_ENOTFOUND, error,
                 "no topic \"u\"");
    rig_subscribe(&rig, &a, &(dx_subscription_options_t){.pattern = "t"});
    a.room = 1;
    rig_publish(&rig, "t", 3);
    a.room = -1;
    assert_ok(dxi_shard_topic_delete(rig.shard, "t"));
    assert_string_equal(rig_text(&a), "11 12-13"); /* what it had not got is told */
    rig_publish(&rig, "t", 1);
    assert_string_equal(rig_text(&a), "11 12-13 1");
    const dx_subscription_stats_t stats = rig_stats(&a);
    assert_int_equal(stats.delivered, 2);
    assert_int_equal(stats.dropped, 2);
    assert_false(rig_topic(&rig, "t").declared);
}

static void old_events_are_let_go_by_the_tick(void **state)
{
    (void)state;
    declare("t", &(dx_topic_options_t){.retain_age_ns = 100 * RIG_MS});
    rig_publish(&rig, "t", 2);
    rig_tick(&rig, 50 * RIG_MS);
    rig_publish(&rig, "t", 1);
    assert_int_equal(rig_topic(&rig, "t").retained_events, 3);
    rig_tick(&rig, 60 * RIG_MS);
    rig_publish(&rig, "t", 1); /* an event looks as well */
    assert_int_equal(rig_topic(&rig, "t").first_sequence, 3);
    rig_tick(&rig, 2000 * RIG_MS);
    assert_int_equal(rig_topic(&rig, "t").retained_events, 0);
}

static void visit(void *context, const dx_topic_stats_t *stats)
{
    *(uint64_t *)context += stats->published;
}

static void statistics_say_what_happened(void **state)
{
    (void)state;
    rig_publish(&rig, "orders.a", 2); /* nobody hears them */
    rig_subscribe(&rig, &a, &(dx_subscription_options_t){.pattern = "orders.*", .name = "reader"});
    rig_publish(&rig, "orders.a", 3);
    rig_publish(&rig, "orders.b", 1);
    rig_publish(&rig, "$dead.b", 1);
    const dx_topic_stats_t stats = rig_topic(&rig, "orders.a");
    assert_int_equal(stats.unheard, 2);
    assert_int_equal(stats.published, 5);
    assert_int_equal(stats.delivered, 3);
    assert_int_equal(stats.last_sequence, 5);
    assert_int_equal(stats.subscriptions, 1);
    assert_true(stats.latency_p50_ns == 1000 && stats.latency_max_ns == 1000);
    rig_tick(&rig, DXI_RATES_INTERVAL_NS);
    assert_true(rig_topic(&rig, "orders.a").rate_1m > 0.99);
    uint64_t published = 0;
    assert_int_equal(dxi_shard_topic_each(rig.shard, NULL, visit, &published), 3);
    assert_int_equal(published, 7);
    assert_int_equal(dxi_shard_topic_each(rig.shard, ">", visit, &published), 2);
    assert_int_equal(dxi_shard_topic_each(rig.shard, "orders.b", visit, &published), 1);
    assert_string_equal(rig_stats(&a).name, "reader");
    assert_string_equal(rig_stats(&a).pattern, "orders.*");
    int64_t next_ns = 0;
    for (int i = 0; i < 1000 && next_ns != INT64_MAX; i++) {
        next_ns = rig_tick(&rig, 100 * DXI_RATES_INTERVAL_NS);
    }
    assert_true(next_ns == INT64_MAX); /* what has faded costs no tick */
}

static void what_a_subscriber_can_never_take_counts_as_dropped(void **state)
{
    (void)state;
    const dx_subscription_options_t all[] = {{.pattern = "t"},
                                             {.pattern = "t", .group = "g", .ack = DX_ACK_NONE}};
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        rig_subscribe(&rig, &a, &all[i]);
        rig_publish(&rig, "t", 2);
        a.room = 0;
        rig_publish(&rig, "t", 3);
        a.deliver_code = DXI_DELIVER_DROPPED;
        rig_ready(&rig, &a, 2); /* of those it lags behind */
        a.deliver_code = DX_OK;
        rig_ready(&rig, &a, -1);
        rig_publish(&rig, "t", 1);
        a.deliver_code = DXI_DELIVER_DROPPED;
        rig_publish(&rig, "t", 1); /* as soon as it comes */
        const dx_subscription_stats_t stats = rig_stats(&a);
        assert_int_equal(stats.delivered, 4);
        assert_int_equal(stats.dropped, 3);
        assert_int_equal(stats.gaps, 3);
        assert_int_equal(rig_topic(&rig, "t").delivered, 4 * (i + 1));
        assert_int_equal(rig_topic(&rig, "t").dropped, 3 * (i + 1));
        rig_unsubscribe(&rig, &a);
    }
}

static void many_topics_and_subscribers_are_no_trouble(void **state)
{
    (void)state;
    enum { TOPICS = 10000, READERS = 1000 };
    rig_close(&rig);
    rig_open(&rig, NULL);
    static dxi_subscriber_t *subscribers[READERS];
    a = (reader_t){.room = -1};
    char name[32];
    for (int i = 0; i < READERS; i++) {
        (void)snprintf(name, sizeof name, "t.%d", i * 10);
        const dx_subscription_options_t options = {.pattern = i == 0 ? "t.*" : name};
        const dxi_subscribe_t subscribe = {.user = &a, .options = &options};
        assert_ok(dxi_shard_subscribe(rig.shard, &subscribe, 1, &subscribers[i], NULL));
    }
    static __attribute__((aligned(8))) char frame[256];
    for (int i = 0; i < TOPICS; i++) {
        (void)snprintf(name, sizeof name, "t.%d", i);
        const uint32_t bytes = rig_frame(&(publication_t){.topic = name}, frame, sizeof frame);
        assert_ok(dxi_shard_event(rig.shard, frame, bytes, 0, 0, 1, 1));
        a.count = 0;
    }
    assert_int_equal(a.deliveries, TOPICS + READERS - 1);
    dxi_shard_check(rig.shard);
    for (int i = 0; i < READERS; i++) {
        dxi_shard_unsubscribe(rig.shard, subscribers[i], 1);
    }
    dxi_shard_check(rig.shard);
    assert_true(sizeof(dxi_topic_t) < 700); /* a topic that nobody uses stays below 1 KiB */
}

/* --------------------------------------------------------------------------------------- memory */

static int attempt(void)
{
    static rig_t swept;
    swept = (rig_t){.clock_ns = 1};
    const dxi_shard_options_t options = {.actions = {.context = &swept,
                                                     .answer = rig_answer,
                                                     .deliver = rig_deliver,
                                                     .gap = rig_gap,
                                                     .end = rig_end,
                                                     .publish = rig_dead}};
    int code = dxi_shard_create(&options, &swept.shard, NULL);
    if (code != DX_OK) {
        assert_null(swept.shard);
        return code;
    }
    const dx_subscription_options_t wanted[] = {
        {.pattern = ">", .filter = "exists key"},
        {.pattern = "t", .group = "g"},
        {.pattern = "t", .group = "g"},
    };
    static reader_t readers[COUNT_OF(wanted)];
    dx_error_t error = {.code = DX_OK};
    for (size_t i = 0; i < COUNT_OF(wanted) && code == DX_OK; i++) {
        code = rig_try_subscribe(&swept, &readers[i], &wanted[i], &error);
        assert_int_equal(code, error.code);
    }
    for (uint64_t i = 1; i <= 3 && code == DX_OK; i++) {
        assert_ok(rig_publish_as(
            &swept,
            &(publication_t){.topic = "t", .key = "k", .producer_id = 1, .producer_sequence = i}));
        code = swept.answer.code; /* refused for want of memory, or taken */
    }
    rig_close(&swept);
    return code;
}

static void without_memory_a_call_fails_and_changes_nothing(void **state)
{
    (void)state;
    assert_true(fault_sweep(attempt) > 20);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)
    const struct CMUnitTest tests[] = {
        TEST(the_shard_waits_for_a_blocking_subscriber),
        TEST(what_is_kept_is_given_to_a_blocking_subscriber_when_it_is_ready),
        TEST(after_its_time_a_blocking_subscriber_drops_until_it_has_caught_up),
        TEST(who_blocks_and_starts_behind_loses_nothing),
        TEST(a_deleted_topic_lets_the_held_event_go),
        TEST(who_is_gone_is_offered_nothing_more),
        TEST(a_request_that_nobody_hears_is_refused_at_once),
        TEST(an_inbox_keeps_nothing_and_goes_with_its_reader),
        TEST(what_comes_again_is_answered_and_given_to_nobody),
        TEST(what_is_no_publication_is_refused),
        TEST(payloads_may_be_as_large_as_the_topic_says),
        TEST(there_are_as_many_topics_as_allowed),
        TEST(topics_must_be_declared_where_the_bus_says_so),
        TEST(subscribing_makes_no_topic),
        TEST(options_of_subscriptions_have_bounds),
        TEST(options_of_topics_have_bounds),
        TEST(topics_are_declared_changed_and_deleted),
        TEST(old_events_are_let_go_by_the_tick),
        TEST(statistics_say_what_happened),
        TEST(what_a_subscriber_can_never_take_counts_as_dropped),
        TEST(many_topics_and_subscribers_are_no_trouble),
        cmocka_unit_test(without_memory_a_call_fails_and_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
