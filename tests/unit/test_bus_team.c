/* test_bus_team.c - groups, acknowledgements, redelivery and dead letters.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bus/team.h"
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

static void keyed(const char *key, int count)
{
    for (int i = 0; i < count; i++) {
        assert_ok(rig_publish_as(&rig, &(publication_t){.topic = "t", .key = key}));
    }
}

static int answer(reader_t *reader, uint64_t first, uint64_t last, int code)
{
    const int result = dxi_shard_acknowledge(rig.shard, reader->subscriber, "t", 1, first, last,
                                             code, rig.clock_ns);
    dxi_shard_check(rig.shard);
    return result;
}

static const dx_subscription_options_t EXPLICIT = {.pattern = "t", .ack = DX_ACK_EXPLICIT};
static const dx_subscription_options_t GROUP = {.pattern = "t", .group = "g"};

static void what_is_acknowledged_is_done_with(void **state)
{
    (void)state;
    rig_subscribe(&rig, &a, &EXPLICIT);
    rig_publish(&rig, "t", 3);
    assert_string_equal(rig_text(&a), "1 2 3");
    assert_int_equal(a.notes[0].attempt, 1);
    assert_false(a.notes[0].redelivered);
    assert_int_equal(rig_stats(&a).pending, 3);
    assert_false(dxi_shard_idle(rig.shard));
    assert_ok(answer(&a, 1, 2, DX_OK));
    assert_int_equal(answer(&a, 1, 2, DX_OK), DX_ENOTFOUND);
    assert_int_equal(answer(&a, 4, 9, DX_OK), DX_ENOTFOUND);
    assert_int_equal(answer(&a, 9, 4, DX_OK), DX_ENOTFOUND);
    assert_ok(answer(&a, 0, UINT64_MAX, DX_OK));
    assert_true(dxi_shard_idle(rig.shard));
    assert_int_equal(rig_stats(&a).acknowledged, 3);
    rig_tick(&rig, 60000 * RIG_MS);
    assert_int_equal(a.count, 3);
}

static void what_is_refused_comes_again_after_its_back_off(void **state)
{
    (void)state;
    rig_subscribe(&rig, &a, &EXPLICIT);
    rig_publish(&rig, "t", 1);
    const int64_t delays_ms[] = {100, 200, 400, 800};
    for (size_t i = 0; i < COUNT_OF(delays_ms); i++) {
        assert_ok(answer(&a, 1, 1, DX_EIO));
        assert_int_equal(rig_tick(&rig, 0), rig.clock_ns + delays_ms[i] * RIG_MS);
        rig_tick(&rig, delays_ms[i] * RIG_MS - 1);
        assert_int_equal(a.count, i + 1);
        rig_tick(&rig, 1);
        assert_int_equal(a.count, i + 2);
    }
    assert_string_equal(rig_text(&a), "1 1*2 1*3 1*4 1*5");
    assert_true(a.notes[1].redelivered);
    const dx_subscription_stats_t stats = rig_stats(&a);
    assert_int_equal(stats.delivered, 1);
    assert_int_equal(stats.redelivered, 4);
    assert_int_equal(stats.refused, 4);
    assert_int_equal(rig_topic(&rig, "t").redelivered, 4);
}

static void what_is_not_answered_in_time_comes_again(void **state)
{
    (void)state;
    rig_subscribe(&rig, &a,
                  &(dx_subscription_options_t){.pattern = "t",
                                               .ack = DX_ACK_AUTO,
                                               .ack_timeout_ns = 50 * RIG_MS,
                                               .backoff_ns = RIG_MS});
    rig_publish(&rig, "t", 1);
    assert_int_equal(rig_tick(&rig, 0), rig.clock_ns + 50 * RIG_MS);
    rig_tick(&rig, 50 * RIG_MS);
    assert_int_equal(a.count, 1);
    rig_tick(&rig, RIG_MS);
    assert_string_equal(rig_text(&a), "1 1*2");
    assert_int_equal(rig_stats(&a).refused, 0);
}

static void times_of_the_largest_number_are_not_over_at_once(void **state)
{
    (void)state;
    rig_subscribe(&rig, &a,
                  &(dx_subscription_options_t){.pattern = "t",
                                               .ack = DX_ACK_EXPLICIT,
                                               .ack_timeout_ns = INT64_MAX,
                                               .backoff_ns = INT64_MAX,
                                               .backoff_max_ns = INT64_MAX});
    rig_publish(&rig, "t", 1);
    rig_tick(&rig, 3600 * 1000 * RIG_MS);
    assert_string_equal(rig_text(&a), "1");
    assert_ok(answer(&a, 1, 1, DX_EIO));
    rig_tick(&rig, 3600 * 1000 * RIG_MS);
    assert_string_equal(rig_text(&a), "1");
}

static void a_key_stays_in_order_when_one_of_its_events_comes_again(void **state)
{
    (void)state;
    rig_subscribe(&rig, &a, &EXPLICIT);
    keyed("k", 3);
    keyed("other", 1);
    keyed("k", 1);
    assert_string_equal(rig_text(&a), "1 2 3 4 5");
    assert_ok(answer(&a, 2, 2, DX_EIO));
    assert_int_equal(answer(&a, 3, 3, DX_OK), DX_ENOTFOUND); /* taken back */
    assert_ok(answer(&a, 4, 4, DX_OK));
    keyed("k", 1);
    assert_int_equal(a.count, 5); /* 6 waits behind 2 */
    keyed("other", 1);
    assert_int_equal(a.count, 6);
    rig_tick(&rig, 100 * RIG_MS);
    assert_string_equal(rig_text(&a), "1 2 3 4 5 7 2*2 3*2 5*2 6");
}

static void without_a_key_only_the_refused_event_comes_again(void **state)
{
    (void)state;
    rig_subscribe(&rig, &a, &EXPLICIT);
    rig_publish(&rig, "t", 3);
    assert_ok(answer(&a, 1, 1, DX_EIO));
    assert_ok(answer(&a, 2, 3, DX_OK));
    rig_tick(&rig, 100 * RIG_MS);
    assert_string_equal(rig_text(&a), "1 2 3 1*2");
}

static void a_group_gives_each_event_to_one_member(void **state)
{
    (void)state;
    rig_subscribe(&rig, &a, &GROUP);
    rig_subscribe(&rig, &b, &GROUP);
    rig_subscribe(&rig, &c, &(dx_subscription_options_t){.pattern = "t"});
    rig_publish(&rig, "t", 10);
    assert_int_equal(a.count, 5);
    assert_int_equal(b.count, 5);
    assert_int_equal(c.count, 10);
    assert_int_equal(rig_topic(&rig, "t").delivered, 20);
}

static void a_key_goes_to_one_member_until_that_one_leaves(void **state)
{
    (void)state;
    rig_subscribe(&rig, &a, &GROUP);
    rig_subscribe(&rig, &b, &GROUP);
    for (int i = 0; i < 40; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "key%d", i);
        keyed(key, 2);
    }
    assert_int_equal(a.count + b.count, 80);
    assert_true(a.count >= 20 && b.count >= 20); /* spread */
    assert_true(a.count % 2 == 0 && b.count % 2 == 0);
    for (int i = 0; i < a.count; i += 2) {
        assert_int_equal(a.notes[i].first + 1, a.notes[i + 1].first);
    }
    const int before = b.count;
    const int moved = a.count;
    rig_unsubscribe(&rig, &a);
    assert_int_equal(b.count, before + moved); /* what a had not acknowledged */
    assert_int_equal(b.notes[before].attempt, 2);
    assert_true(b.notes[before].redelivered);
}

static void a_bucket_moves_only_when_nothing_of_it_is_given(void **state)
{
    (void)state;
    rig_subscribe(&rig, &a, &GROUP);
    char keys[64][16];
    for (int i = 0; i < 64; i++) {
        (void)snprintf(keys[i], sizeof keys[i], "key%d", i);
        keyed(keys[i], 1);
    }
    assert_int_equal(a.count, 64);
    rig_subscribe(&rig, &b, &GROUP);
    rig_tick(&rig, 0);
    assert_int_equal(b.count, 0);
    for (int i = 0; i < 64; i++) {
        keyed(keys[i], 1);
    }
    assert_int_equal(b.count, 0); /* its keys wait until a has answered for them */
    const int stayed = a.count - 64;
    assert_true(stayed > 10 && stayed < 54);
    assert_ok(answer(&a, 1, 64, DX_OK));
    assert_int_equal(b.count, 64 - stayed);
    assert_int_equal(a.count, 64 + stayed);
}

static void a_full_group_lags_and_goes_on_when_answered(void **state)
{
    (void)state;
    rig_subscribe(
        &rig, &a,
        &(dx_subscription_options_t){.pattern = "t", .group = "g", .pending_events_max = 3});
    rig_publish(&rig, "t", 8);
    assert_string_equal(rig_text(&a), "1 2 3");
    assert_int_equal(rig_stats(&a).lag, 5);
    assert_ok(answer(&a, 1, 2, DX_OK));
    assert_string_equal(rig_text(&a), "1 2 3 4 5");
    assert_ok(answer(&a, 3, 5, DX_OK));
    assert_ok(answer(&a, 6, 8, DX_OK));
    assert_string_equal(rig_text(&a), "1 2 3 4 5 6 7 8");
    assert_true(dxi_shard_idle(rig.shard));
}

static void a_group_without_acknowledgements_forgets_what_it_gave(void **state)
{
    (void)state;
    const dx_subscription_options_t none = {.pattern = "t", .group = "g", .ack = DX_ACK_NONE};
    rig_subscribe(&rig, &a, &none);
    rig_subscribe(&rig, &b, &none);
    a.room = 1;
    b.room = 1;
    rig_publish(&rig, "t", 2);
    assert_int_equal(rig_stats(&a).lag_unix_ns, 0);
    (void)rig_tick(&rig, RIG_MS);
    const int64_t waiting_unix_ns = RIG_UNIX_NS + rig.clock_ns;
    rig_publish(&rig, "t", 1);
    (void)rig_tick(&rig, RIG_MS);
    rig_publish(&rig, "t", 1);
    assert_int_equal(a.count + b.count, 2);
    assert_int_equal(rig_stats(&a).lag, 2);
    assert_int_equal(rig_stats(&a).lag_unix_ns, waiting_unix_ns); /* of the first that waits */
    rig_ready(&rig, &b, -1);
    assert_int_equal(b.count, 3);
    assert_int_equal(b.notes[0].attempt, 0);
    assert_true(dxi_shard_idle(rig.shard));
}

static void what_a_leaving_member_had_goes_to_the_others_and_waits_for_one(void **state)
{
    (void)state;
    rig_subscribe(&rig, &a, &GROUP);
    rig_publish(&rig, "t", 3);
    rig_unsubscribe(&rig, &a);
    assert_true(dxi_shard_idle(rig.shard));
    rig_publish(&rig, "t", 1);
    rig_tick(&rig, DXI_TEAM_LINGER_NS - 1);
    rig_subscribe(&rig, &b, &GROUP);
    rig_tick(&rig, 0);
    assert_string_equal(rig_text(&b), "1*2 2*2 3*2 4");
}

static void a_group_without_members_ends_after_a_while(void **state)
{
    (void)state;
    rig_subscribe(&rig, &a, &GROUP);
    rig_publish(&rig, "t", 3);
    rig_unsubscribe(&rig, &a);
    assert_int_equal(rig_topic(&rig, "t").subscriptions, 1);
    assert_true(rig_tick(&rig, 0) <= rig.clock_ns + DXI_TEAM_LINGER_NS);
    rig_tick(&rig, DXI_TEAM_LINGER_NS);
    assert_int_equal(rig_topic(&rig, "t").subscriptions, 0);
}

static void a_group_whose_only_member_is_about_to_leave_is_not_too_slow(void **state)
{
    (void)state;
    const dx_subscription_options_t options = {
        .pattern = "t", .group = "g", .pending_events_max = 2, .slow = DX_SLOW_DISCONNECT};
    assert_ok(
        dxi_shard_topic_create(rig.shard, "t", &(dx_topic_options_t){.retain_events = 2}, NULL));
    rig_subscribe(&rig, &a, &options);
    rig_publish(&rig, "t", 1);
    a.gone = true; /* the node has not yet heard that its connection is gone */
    rig_publish(&rig, "t", 8);
    assert_int_equal(a.end_code, 0);
    rig_unsubscribe(&rig, &a);
    rig_subscribe(&rig, &b, &options);
    rig_tick(&rig, 0);
    assert_string_equal(rig_text(&b), "1*2 2 3-7"); /* in its place, behind a gap */
    assert_ok(answer(&b, 1, 2, DX_OK));
    assert_string_equal(rig_text(&b), "1*2 2 3-7 8 9");
    assert_int_equal(b.end_code, 0);
}

static void members_must_agree(void **state)
{
    (void)state;
    rig_subscribe(&rig, &a, &GROUP);
    dx_error_t error;
    const struct {
        dx_subscription_options_t options;
        const char *text;
    } cases[] = {
        {{.pattern = "t", .group = "g", .ack = DX_ACK_EXPLICIT}, "ack differs"},
        {{.pattern = "t", .group = "g", .attempts_max = 6}, "attempts_max differs"},
        {{.pattern = "t", .group = "g", .dead_letter = "d"}, "dead_letter differs"},
        {{.pattern = "t", .group = "g", .slow = DX_SLOW_BLOCK}, "slow differs"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_fails(rig_try_subscribe(&rig, &b, &cases[i].options, &error), DX_EINVAL, error,
                     cases[i].text);
    }
    rig_subscribe(&rig, &b, &(dx_subscription_options_t){.pattern = "*", .group = "g"});
    rig_publish(&rig, "t", 1); /* another pattern: another group */
    assert_int_equal(a.count, 1);
    assert_int_equal(b.count, 1);
}

static void a_late_member_loses_its_keys(void **state)
{
    (void)state;
    const dx_subscription_options_t options = {
        .pattern = "t", .group = "g", .ack_timeout_ns = 50 * RIG_MS, .backoff_ns = RIG_MS};
    rig_subscribe(&rig, &a, &options);
    keyed("k", 2);
    rig_subscribe(&rig, &b, &options);
    rig_tick(&rig, 50 * RIG_MS);
    rig_tick(&rig, RIG_MS);
    assert_string_equal(rig_text(&a), "1 2");
    assert_string_equal(rig_text(&b), "1*2 2*2");
}

static void an_event_handled_at_once_is_answered_by_deliver(void **state)
{
    (void)state;
    rig_subscribe(&rig, &a, &EXPLICIT);
    a.deliver_code = DXI_DELIVER_DONE;
    rig_publish(&rig, "t", 2);
    assert_true(dxi_shard_idle(rig.shard));
    assert_int_equal(rig_stats(&a).acknowledged, 2);
    a.deliver_code = DX_EIO;
    rig_publish(&rig, "t", 1);
    assert_int_equal(rig_stats(&a).refused, 1);
    a.deliver_code = DXI_DELIVER_DONE;
    rig_tick(&rig, 100 * RIG_MS);
    assert_string_equal(rig_text(&a), "1 2 3 3*2");
    assert_true(dxi_shard_idle(rig.shard));
}

/* -------------------------------------------------------------------------------- dead letters */

static const char *dead_header(const char *name)
{
    static char text[256];
    dx_frame_view_t view;
    dx_frame_pair_t pair;
    assert_ok(dx_frame_decode(rig.dead, rig.dead_bytes, &view, NULL));
    assert_int_equal(view.header->type, DX_FRAME_PUBLISH);
    assert_ok(dx_frame_header_find(&view, name, &pair));
    (void)snprintf(text, sizeof text, "%.*s", (int)pair.value_bytes, (const char *)pair.value);
    return text;
}

static const char *dead_topic(void)
{
    static char text[256];
    dx_frame_view_t view;
    uint32_t bytes = 0;
    assert_ok(dx_frame_decode(rig.dead, rig.dead_bytes, &view, NULL));
    const char *const topic = dx_frame_part(&view, DX_PART_TOPIC, &bytes);
    (void)snprintf(text, sizeof text, "%.*s", (int)bytes, topic);
    return text;
}

static void after_the_last_attempt_an_event_is_a_dead_letter(void **state)
{
    (void)state;
    rig_subscribe(
        &rig, &a,
        &(dx_subscription_options_t){.pattern = "t", .ack = DX_ACK_EXPLICIT, .attempts_max = 2});
    const dx_frame_pair_t pair = {"kind", "test", 4, 4};
    assert_ok(rig_publish_as(
        &rig,
        &(publication_t){
            .topic = "t", .key = "k", .payload = "hello", .headers = &pair, .header_count = 1}));
    assert_ok(answer(&a, 1, 1, DX_EIO));
    rig_tick(&rig, 100 * RIG_MS);
    assert_int_equal(rig.published, 0);
    assert_ok(answer(&a, 1, 1, DX_EPARSE));
    assert_int_equal(rig.published, 1);
    assert_string_equal(dead_topic(), "$dead.t");
    assert_string_equal(dead_header("dx-cause"), "DX_EPARSE");
    assert_string_equal(dead_header("dx-topic"), "t");
    assert_string_equal(dead_header("dx-sequence"), "1");
    assert_string_equal(dead_header("dx-attempts"), "2");
    assert_string_equal(dead_header("kind"), "test");
    assert_true(dxi_shard_idle(rig.shard));
    assert_int_equal(rig_stats(&a).dead, 1);
    assert_int_equal(rig_topic(&rig, "t").dead, 1);
}

static void a_fatal_answer_gives_up_at_once_and_names_the_topic(void **state)
{
    (void)state;
    rig_subscribe(&rig, &a,
                  &(dx_subscription_options_t){
                      .pattern = "t", .ack = DX_ACK_EXPLICIT, .dead_letter = "morgue"});
    rig_publish(&rig, "t", 1);
    assert_ok(answer(&a, 1, 1, DX_EFATAL));
    assert_string_equal(dead_topic(), "morgue");
    assert_string_equal(dead_header("dx-attempts"), "1");
}

static void a_dead_letter_that_finds_no_room_is_tried_again(void **state)
{
    (void)state;
    rig_subscribe(&rig, &a, &EXPLICIT);
    rig_publish(&rig, "t", 1);
    rig.publish_code = DX_EAGAIN;
    assert_ok(answer(&a, 1, 1, DX_EFATAL));
    assert_false(dxi_shard_idle(rig.shard));
    rig_tick(&rig, 20 * RIG_MS);
    rig.publish_code = DX_OK;
    assert_int_equal(rig.published, 0);
    rig_tick(&rig, 20 * RIG_MS);
    assert_int_equal(rig.published, 1);
    assert_true(dxi_shard_idle(rig.shard));
}

static void what_dies_among_the_dead_is_gone(void **state)
{
    (void)state;
    rig_subscribe(&rig, &a,
                  &(dx_subscription_options_t){.pattern = "$dead.t", .ack = DX_ACK_EXPLICIT});
    rig_publish(&rig, "$dead.t", 1);
    assert_ok(dxi_shard_acknowledge(rig.shard, a.subscriber, "$dead.t", 7, 1, 1, DX_EFATAL,
                                    rig.clock_ns));
    assert_int_equal(rig.published, 0);
    assert_int_equal(rig.shard->dead_lost, 1);
    assert_true(dxi_shard_idle(rig.shard));
}

static uint64_t steps(const reader_t *reader)
{
    return reader->subscriber->flow->team->steps;
}

/* `count` events of as many keys, or of none, that a member has and does not answer. */
static void give_many(const char *key, int count)
{
    for (int i = 0; i < count; i++) {
        char text[16];
        (void)snprintf(text, sizeof text, "%s%d", key != NULL ? key : "", i);
        assert_ok(rig_publish_as(&rig, &(publication_t){.topic = "t", .key = key ? text : NULL}));
    }
}

static void many_events_of_a_member_that_leaves_are_put_back_in_few_steps(void **state)
{
    (void)state;
    const char *const keys[] = {NULL, "k"};
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        rig_subscribe(&rig, &a, &GROUP);
        give_many(keys[i], 500);
        rig_subscribe(&rig, &b, &GROUP);
        b.room = 0;
        a.room = 0;
        give_many(keys[i], 40); /* these wait behind them */
        const uint64_t before = steps(&b);
        rig_unsubscribe(&rig, &a);
        assert_in_range(steps(&b) - before, 0, 1000);
        rig_ready(&rig, &b, -1);
        assert_int_equal(b.count, 540);
        for (int n = 1; n < 500 && keys[i] == NULL; n++) {
            assert_true(b.notes[n].first > b.notes[n - 1].first);
        }
        assert_ok(answer(&b, 0, UINT64_MAX, DX_OK));
        rig_unsubscribe(&rig, &b);
        rig_tick(&rig, DXI_TEAM_LINGER_NS);
    }
}

static void many_events_that_are_refused_together_cost_few_steps(void **state)
{
    (void)state;
    rig_subscribe(&rig, &a, &GROUP);
    give_many(NULL, 300);
    rig_subscribe(&rig, &b, &GROUP);
    a.room = 0;
    give_many("k", 10); /* keys that b and a have between them */
    give_many(NULL, 300);
    const uint64_t before = steps(&b);
    assert_ok(answer(&b, 1, UINT64_MAX, DX_EBUSY));
    assert_in_range(steps(&b) - before, 0, 2000);
    rig_tick(&rig, 200 * RIG_MS); /* back-offs are over */
    assert_true(rig_stats(&b).refused >= 300);
    assert_int_equal(rig_stats(&b).redelivered, rig_stats(&b).refused);
    assert_ok(answer(&a, 0, UINT64_MAX, DX_OK));
    assert_ok(answer(&b, 0, UINT64_MAX, DX_OK));
}

static void many_keys_that_are_not_answered_in_time_cost_few_steps(void **state)
{
    (void)state;
    rig_subscribe(&rig, &a, &EXPLICIT);
    give_many("k", 600);
    assert_int_equal(a.count, 600);
    const uint64_t before = steps(&a);
    rig_tick(&rig, 60000 * RIG_MS);
    assert_int_equal(rig_stats(&a).pending, 0);
    assert_in_range(steps(&a) - before, 0, 6000);
    rig_tick(&rig, 200 * RIG_MS);
    assert_int_equal(a.count, 1200);
    assert_ok(answer(&a, 0, UINT64_MAX, DX_OK));
}

static void a_deleted_topic_takes_what_is_pending_along(void **state)
{
    (void)state;
    rig_subscribe(&rig, &a, &EXPLICIT);
    rig_publish(&rig, "t", 3);
    assert_ok(dxi_shard_topic_delete(rig.shard, "t"));
    dxi_shard_check(rig.shard);
    assert_true(dxi_shard_idle(rig.shard));
    rig_publish(&rig, "t", 1);
    assert_string_equal(rig_text(&a), "1 2 3 1");
    assert_ok(answer(&a, 1, 1, DX_OK));
}

static void a_deleted_topic_makes_room_for_others(void **state)
{
    (void)state;
    rig_subscribe(&rig, &a,
                  &(dx_subscription_options_t){
                      .pattern = "*", .ack = DX_ACK_EXPLICIT, .pending_events_max = 2});
    rig_publish(&rig, "t", 2);
    rig_publish(&rig, "u", 1);
    rig_tick(&rig, 0); /* nothing else is due */
    assert_string_equal(rig_text(&a), "1 2");
    assert_ok(dxi_shard_topic_delete(rig.shard, "t"));
    dxi_shard_check(rig.shard);
    rig_tick(&rig, 0);
    assert_string_equal(rig_text(&a), "1 2 1");
    assert_string_equal(a.notes[2].topic, "u");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)
    const struct CMUnitTest tests[] = {
        TEST(what_is_acknowledged_is_done_with),
        TEST(what_is_refused_comes_again_after_its_back_off),
        TEST(what_is_not_answered_in_time_comes_again),
        TEST(times_of_the_largest_number_are_not_over_at_once),
        TEST(a_key_stays_in_order_when_one_of_its_events_comes_again),
        TEST(without_a_key_only_the_refused_event_comes_again),
        TEST(a_group_gives_each_event_to_one_member),
        TEST(a_key_goes_to_one_member_until_that_one_leaves),
        TEST(a_bucket_moves_only_when_nothing_of_it_is_given),
        TEST(a_full_group_lags_and_goes_on_when_answered),
        TEST(a_group_without_acknowledgements_forgets_what_it_gave),
        TEST(what_a_leaving_member_had_goes_to_the_others_and_waits_for_one),
        TEST(a_group_without_members_ends_after_a_while),
        TEST(a_group_whose_only_member_is_about_to_leave_is_not_too_slow),
        TEST(members_must_agree),
        TEST(a_late_member_loses_its_keys),
        TEST(an_event_handled_at_once_is_answered_by_deliver),
        TEST(after_the_last_attempt_an_event_is_a_dead_letter),
        TEST(a_fatal_answer_gives_up_at_once_and_names_the_topic),
        TEST(a_dead_letter_that_finds_no_room_is_tried_again),
        TEST(what_dies_among_the_dead_is_gone),
        TEST(many_events_of_a_member_that_leaves_are_put_back_in_few_steps),
        TEST(many_events_that_are_refused_together_cost_few_steps),
        TEST(many_keys_that_are_not_answered_in_time_cost_few_steps),
        TEST(a_deleted_topic_takes_what_is_pending_along),
        TEST(a_deleted_topic_makes_room_for_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
