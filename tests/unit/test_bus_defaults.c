/* test_bus_defaults.c - what topics keep, changed for all of them while a shard is at work.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "shard_test.h"

static void new_defaults_are_for_topics_that_are_there_and_that_come(void **state)
{
    (void)state;
    rig_t rig;
    rig_open(&rig, NULL);
    rig_publish(&rig, "a", 20);
    assert_int_equal(rig_topic(&rig, "a").retained_events, 20);
    dxi_shard_retain_defaults(
        rig.shard, &(dx_topic_options_t){.retain_events = 5, .retain_bytes = 1048576}, 1048576);
    dxi_shard_check(rig.shard);
    assert_int_equal(rig_topic(&rig, "a").retained_events, 5);
    assert_int_equal(rig_topic(&rig, "a").first_sequence, 16);
    rig_publish(&rig, "b", 20);
    assert_int_equal(rig_topic(&rig, "b").retained_events, 5);
    dxi_shard_retain_defaults(
        rig.shard, &(dx_topic_options_t){.retain_events = 8, .retain_bytes = 1048576}, 1048576);
    rig_publish(&rig, "a", 20);
    assert_int_equal(rig_topic(&rig, "a").retained_events, 8);
    rig_close(&rig);
}

static void a_declared_topic_keeps_what_it_was_declared_with(void **state)
{
    (void)state;
    rig_t rig;
    rig_open(&rig, NULL);
    assert_ok(
        dxi_shard_topic_create(rig.shard, "a", &(dx_topic_options_t){.retain_events = 10}, NULL));
    rig_publish(&rig, "a", 20);
    dxi_shard_retain_defaults(
        rig.shard, &(dx_topic_options_t){.retain_events = 5, .retain_bytes = 1048576}, 1048576);
    dxi_shard_check(rig.shard);
    assert_int_equal(rig_topic(&rig, "a").retained_events, 10);
    rig_close(&rig);
}

static void none_and_an_age_are_taken_as_well(void **state)
{
    (void)state;
    rig_t rig;
    rig_open(&rig, NULL);
    rig_publish(&rig, "a", 20);
    dxi_shard_retain_defaults(rig.shard,
                              &(dx_topic_options_t){.retain_events = 100,
                                                    .retain_bytes = 1048576,
                                                    .retain_age_ns = 50 * RIG_MS},
                              1048576);
    dxi_shard_check(rig.shard);
    assert_int_equal(rig_topic(&rig, "a").retained_events, 20);
    while (rig_topic(&rig, "a").retained_events != 0) { /* in some tick after that */
        (void)rig_tick(&rig, 50 * RIG_MS);
    }
    dxi_shard_retain_defaults(
        rig.shard, &(dx_topic_options_t){.retain_events = DX_RETAIN_NONE, .retain_bytes = 4096},
        1048576);
    rig_publish(&rig, "a", 3);
    assert_int_equal(rig_topic(&rig, "a").retained_events, 0);
    rig_close(&rig);
}

static void the_limit_of_all_topics_is_taken_as_well(void **state)
{
    (void)state;
    rig_t rig;
    rig_open(&rig, NULL);
    const dx_topic_options_t defaults = {.retain_events = 1000000, .retain_bytes = 64 << 20};
    dxi_shard_retain_defaults(rig.shard, &defaults, 1 << 20);
    for (int i = 0; i < 400; i++) {
        assert_ok(rig_publish_as(&rig, &(publication_t){.topic = "a", .payload_bytes = 16384}));
    }
    const uint64_t before = rig_topic(&rig, "a").retained_bytes;
    assert_true(before <= 1 << 20);
    dxi_shard_retain_defaults(rig.shard, &defaults, 4 << 20);
    for (int i = 0; i < 400; i++) {
        assert_ok(rig_publish_as(&rig, &(publication_t){.topic = "a", .payload_bytes = 16384}));
    }
    assert_true(rig_topic(&rig, "a").retained_bytes > before);
    assert_true(rig_topic(&rig, "a").retained_bytes <= 4 << 20);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_defaults_are_for_topics_that_are_there_and_that_come),
        cmocka_unit_test(a_declared_topic_keeps_what_it_was_declared_with),
        cmocka_unit_test(none_and_an_age_are_taken_as_well),
        cmocka_unit_test(the_limit_of_all_topics_is_taken_as_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
