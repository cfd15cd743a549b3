/* test_bus_totals.c - what all topics of a shard have counted: walks in steps, whatever is made and
 * deleted between two; how long events took; who was slow.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "shard_test.h"

static rig_t rig;

static int rig_begin(void **state)
{
    (void)state;
    rig_open(&rig, NULL);
    return 0;
}

static int rig_end_of(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

/* A whole walk, `step` topics at a time. */
static dxi_shard_totals_t totals_of(uint32_t step)
{
    dxi_shard_totals_t totals = {.topics = 0};
    dxi_shard_walk_t walk;
    dxi_shard_walk_begin(rig.shard, &walk);
    while (dxi_shard_walk_step(rig.shard, &walk, step, &totals, NULL, NULL, NULL)) {
    }
    return totals;
}

static void name_make(char name[32], int number)
{
    (void)snprintf(name, 32, "topic.%d", number);
}

static void totals_are_those_of_all_topics_in_steps_of_any_size(void **state)
{
    (void)state;
    char name[32];
    for (int i = 0; i < 10; i++) {
        name_make(name, i);
        rig_publish(&rig, name, i + 1);
    }
    for (uint32_t step = 1; step < 13; step++) {
        const dxi_shard_totals_t totals = totals_of(step);
        assert_int_equal(totals.topics, 10);
        assert_int_equal(totals.sums.published, 55);
        assert_int_equal(totals.sums.published_bytes, 55);
        assert_int_equal(totals.sums.unheard, 55);
        assert_int_equal(totals.retained_events, 55);
    }
}

typedef struct met {
    int count;
    uint64_t published;
} met_t;

static void topic_meet(void *context, const dx_topic_stats_t *stats)
{
    met_t *const met = context;
    met->count++;
    met->published += stats->published;
}

static void topics_that_match_are_shown_each_once(void **state)
{
    (void)state;
    met_t met = {0};
    dxi_shard_totals_t totals = {.topics = 0};
    dxi_shard_walk_t walk;
    rig_publish(&rig, "a.x", 1);
    rig_publish(&rig, "a.y", 2);
    rig_publish(&rig, "b.x", 4);
    dxi_shard_walk_begin(rig.shard, &walk);
    while (dxi_shard_walk_step(rig.shard, &walk, 1, &totals, "a.*", topic_meet, &met)) {
    }
    assert_int_equal(met.count, 2);
    assert_int_equal(met.published, 3);
    assert_int_equal(totals.sums.published, 7);
}

static void what_was_counted_stays_when_a_topic_goes(void **state)
{
    (void)state;
    rig_publish(&rig, "kept", 3);
    rig_publish(&rig, "gone", 4);
    assert_ok(dxi_shard_topic_delete(rig.shard, "gone"));
    assert_int_equal(totals_of(1).sums.published, 7);
    assert_int_equal(totals_of(1).topics, 1);
    rig_publish(&rig, "gone", 1);
    assert_int_equal(totals_of(1).sums.published, 8);
}

/* Deletes topic `victim` after `after` steps of a walk over five topics. */
static void delete_during_walk(int after, int victim)
{
    char name[32];
    dxi_shard_totals_t totals = {.topics = 0};
    dxi_shard_walk_t walk;
    rig_close(&rig);
    rig_open(&rig, NULL);
    for (int i = 0; i < 5; i++) {
        name_make(name, i);
        rig_publish(&rig, name, 1 << i);
    }
    dxi_shard_walk_begin(rig.shard, &walk);
    bool more = true;
    for (int i = 0; i < after && more; i++) {
        more = dxi_shard_walk_step(rig.shard, &walk, 1, &totals, NULL, NULL, NULL);
    }
    name_make(name, victim);
    assert_ok(dxi_shard_topic_delete(rig.shard, name));
    while (more) {
        more = dxi_shard_walk_step(rig.shard, &walk, 1, &totals, NULL, NULL, NULL);
    }
    assert_int_equal(totals.sums.published, 31);
}

static void a_topic_that_goes_during_a_walk_counts_once(void **state)
{
    (void)state;
    for (int after = 0; after <= 5; after++) {
        for (int victim = 0; victim < 5; victim++) {
            delete_during_walk(after, victim);
        }
    }
}

static void sums_never_fall_whatever_happens_between_two_steps(void **state)
{
    (void)state;
    uint64_t before = 0, published = 0;
    uint32_t seed = 7;
    char name[32];
    for (int round = 0; round < 300; round++) {
        dxi_shard_totals_t totals = {.topics = 0};
        dxi_shard_walk_t walk;
        bool more = true;
        dxi_shard_walk_begin(rig.shard, &walk);
        while (more) {
            more = dxi_shard_walk_step(rig.shard, &walk, 2, &totals, NULL, NULL, NULL);
            seed = seed * 1664525 + 1013904223;
            name_make(name, (int)(seed >> 8) % 12);
            if (seed >> 30 == 0) {
                (void)!dxi_shard_topic_delete(rig.shard, name);
            } else {
                rig_publish(&rig, name, 1);
                published++;
            }
        }
        assert_true(totals.sums.published >= before);
        before = totals.sums.published;
    }
    assert_int_equal(totals_of(5).sums.published, published);
}

static void a_walk_may_be_given_up(void **state)
{
    (void)state;
    dxi_shard_totals_t totals = {.topics = 0};
    dxi_shard_walk_t walk;
    rig_publish(&rig, "a", 1);
    rig_publish(&rig, "b", 1);
    dxi_shard_walk_begin(rig.shard, &walk);
    assert_true(dxi_shard_walk_step(rig.shard, &walk, 1, &totals, NULL, NULL, NULL));
    dxi_shard_walk_end(&walk);
    dxi_shard_walk_end(&walk);
    memset(&walk, 0xff, sizeof walk); /* the shard looks at it no more */
    assert_ok(dxi_shard_topic_delete(rig.shard, "a"));
    assert_ok(dxi_shard_topic_delete(rig.shard, "b"));
}

static uint64_t sum_of(const uint64_t *counts)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < DXI_LATENCY_CLASSES; i++) {
        sum += counts[i];
    }
    return sum;
}

static void durations_are_those_of_intervals_that_are_over(void **state)
{
    (void)state;
    reader_t reader = {.room = 1000};
    rig_publish(&rig, "unheard", 3);
    dxi_shard_totals_t totals = totals_of(8);
    assert_int_equal(sum_of(totals.recent), 3);
    assert_int_equal(totals.recent_max_ns, 1000);
    assert_int_equal(sum_of(totals.durations.taken), 0);
    (void)rig_tick(&rig, 6000 * RIG_MS);
    totals = totals_of(8);
    assert_int_equal(sum_of(totals.durations.taken), 3);
    assert_int_equal(sum_of(totals.durations.handed), 0); /* nobody heard it */
    assert_int_equal(totals.durations.taken[dxi_latency_class(1000)], 3);
    rig_subscribe(&rig, &reader, &(dx_subscription_options_t){.pattern = "heard"});
    rig_publish(&rig, "heard", 5);
    (void)rig_tick(&rig, 6000 * RIG_MS);
    totals = totals_of(8);
    assert_int_equal(sum_of(totals.durations.taken), 8);
    assert_int_equal(sum_of(totals.durations.handed), 5);
    rig_publish(&rig, "heard", 1);
    assert_ok(dxi_shard_topic_delete(rig.shard, "heard")); /* what was not added yet is now */
    assert_int_equal(sum_of(totals_of(8).durations.taken), 9);
    rig_unsubscribe(&rig, &reader);
}

static void who_has_no_room_counts_as_slow_once_each_time(void **state)
{
    (void)state;
    reader_t reader = {.room = 0};
    rig_subscribe(&rig, &reader, &(dx_subscription_options_t){.pattern = "a"});
    reader.room = 2;
    rig_publish(&rig, "a", 2);
    assert_int_equal(totals_of(8).slow, 0);
    rig_publish(&rig, "a", 5);
    assert_int_equal(totals_of(8).slow, 1);
    rig_ready(&rig, &reader, 100);
    rig_publish(&rig, "a", 1);
    assert_int_equal(totals_of(8).slow, 1);
    rig_unsubscribe(&rig, &reader);
}

#define RIG_TEST(test) cmocka_unit_test_setup_teardown(test, rig_begin, rig_end_of)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(totals_are_those_of_all_topics_in_steps_of_any_size),
        RIG_TEST(topics_that_match_are_shown_each_once),
        RIG_TEST(what_was_counted_stays_when_a_topic_goes),
        RIG_TEST(a_topic_that_goes_during_a_walk_counts_once),
        RIG_TEST(sums_never_fall_whatever_happens_between_two_steps),
        RIG_TEST(a_walk_may_be_given_up),
        RIG_TEST(durations_are_those_of_intervals_that_are_over),
        RIG_TEST(who_has_no_room_counts_as_slow_once_each_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
