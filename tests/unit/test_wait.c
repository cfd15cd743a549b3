/* test_wait.c - every wait strategy ends for every reason, in each of its phases.
 *
 * METHOD. A table of ways to wait: each strategy, and for those with phases one row per phase, in
 * which that phase lasts an hour. A thread waits in the way of the row; the test goes on when it
 * has been seen in that phase (asleep, or burning processor time), never after a pause. Then one
 * reason to end it: an event, a cancel, a halt, a failure, room, a close, a timeout. What does not
 * end it fails at the deadline. Times are only ever compared with a lower bound.
 *
 * Names and limits of the options are in test_wait_options.c; lost wake-ups in test_park.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "wait_test.h"

typedef enum phase {
    IN_KERNEL, /* seen asleep */
    BURNING    /* spinning or yielding: seen to use the processor */
} phase_t;

typedef struct way {
    const char *name;
    dx_wait_options_t wait;
    phase_t phase;
    int64_t spin_budget_ns; /* ADAPTIVE: what it is made to have learnt; 0 = its own */
    bool blind;             /* SLEEPING for an hour: an event does not end it, by contract */
} way_t;

static const way_t ways[] = {
    {"adaptive", {.kind = DX_WAIT_ADAPTIVE}, IN_KERNEL, 0, false},
    {"adaptive, spinning", {.kind = DX_WAIT_ADAPTIVE}, BURNING, LONG_NS, false},
    {"busy-spin", {.kind = DX_WAIT_BUSY_SPIN}, BURNING, 0, false},
    {"yielding", {.kind = DX_WAIT_YIELDING}, BURNING, 0, false},
    {"sleeping", {.kind = DX_WAIT_SLEEPING}, IN_KERNEL, 0, false},
    {"sleeping long", {.kind = DX_WAIT_SLEEPING, .sleep_ns = LONG_NS}, IN_KERNEL, 0, true},
    {"blocking", {.kind = DX_WAIT_BLOCKING}, IN_KERNEL, 0, false},
    {"lite-blocking", {.kind = DX_WAIT_LITE_BLOCKING}, IN_KERNEL, 0, false},
    {"timeout-blocking",
     {.kind = DX_WAIT_TIMEOUT_BLOCKING, .timeout_ns = LONG_NS},
     IN_KERNEL,
     0,
     false},
    {"lite-timeout-blocking",
     {.kind = DX_WAIT_LITE_TIMEOUT_BLOCKING, .timeout_ns = LONG_NS},
     IN_KERNEL,
     0,
     false},
    {"phased, spinning", {.kind = DX_WAIT_PHASED_BACKOFF, .spin_ns = LONG_NS}, BURNING, 0, false},
    {"phased, yielding",
     {.kind = DX_WAIT_PHASED_BACKOFF, .spin_ns = 1, .yield_ns = LONG_NS},
     BURNING,
     0,
     false},
    {"phased, blocking",
     {.kind = DX_WAIT_PHASED_BACKOFF, .spin_ns = 1, .yield_ns = 1},
     IN_KERNEL,
     0,
     false},
    {"phased, sleeping",
     {.kind = DX_WAIT_PHASED_BACKOFF,
      .spin_ns = 1,
      .yield_ns = 1,
      .sleep_ns = LONG_NS,
      .fallback = DX_WAIT_SLEEPING},
     IN_KERNEL,
     0,
     true},
    {"monitor", {.kind = DX_WAIT_MONITOR}, BURNING, 0, false},
};

static const dx_wait_options_t defaults;

/* A consumer that waits in the way of the row. */
static dx_consumer_t *consumer_in(scene_t *scene, uint64_t upstream, const way_t *way)
{
    dx_consumer_t *consumer = scene_consumer(scene, upstream, way->wait);
    if (way->spin_budget_ns != 0) {
        consumer->spin_budget_ns = way->spin_budget_ns;
    }
    return consumer;
}

static bool has_slept(const void *consumer)
{
    const dx_consumer_entry_t *entry = ((const dx_consumer_t *)consumer)->entry;
    return is_asleep(consumer) || dx_load_relaxed(&entry->counters.sleeps) > 0;
}

static bool has_burnt(const void *waiter)
{
    return waiter_cpu_ns(waiter) > DX_NS_PER_MS;
}

/* Starts the waiter and returns when it is in the phase of the row. */
static void start_and_reach(waiter_t *waiter, const way_t *way)
{
    waiter_start(waiter);
    const bool consumes = waiter->consumer != NULL;
    bool reached = comes_true(consumes ? has_waited : producer_has_waited,
                              consumes ? (void *)waiter->consumer : waiter->producer);
    if (reached && way->phase == BURNING) {
        reached = comes_true(has_burnt, waiter);
    } else if (reached) {
        reached = comes_true(consumes ? has_slept : producer_sleeps,
                             consumes ? (void *)waiter->consumer : waiter->producer);
    }
    if (!reached) {
        fail_msg("%s: does not get into its phase", way->name);
    }
}

static void assert_result(const way_t *way, int64_t result, int64_t expected)
{
    if (result != expected) {
        fail_msg("%s: the wait gives %lld, must be %lld", way->name, (long long)result,
                 (long long)expected);
    }
}

/* ------------------------------------------------------------------------- what ends it: events */

static void what_is_there_is_returned_at_once(void **state)
{
    (void)state;
    for (int mode = DX_RING_SINGLE; mode <= DX_RING_MULTI; mode++) {
        for (size_t i = 0; i < COUNT_OF(ways); i++) {
            scene_t *scene = scene_create((dx_ring_mode_t)mode, SCENE_SLOTS);
            dx_producer_t *producer = scene_producer(scene, 0, defaults);
            dx_consumer_t *consumer = consumer_in(scene, 0, &ways[i]);
            for (int round = 0; round < 10; round++) {
                (void)scene_publish(producer);
                (void)scene_publish(producer);
                const int64_t last = INT64_C(2) * round + 1;
                assert_result(&ways[i], dx_consumer_wait(consumer), last);
                dx_consumer_release(consumer, last);
            }
            assert_int_equal(dx_load_relaxed(&consumer->entry->counters.waits), 0);
            scene_destroy(scene);
        }
    }
}

typedef enum source {
    SOURCE_SINGLE,
    SOURCE_MULTI,
    SOURCE_UPSTREAM,
    SOURCE_JOIN,
    SOURCE_COUNT
} source_t;

static scene_t *scene_with_source(source_t source, const way_t *way)
{
    scene_t *scene =
        scene_create(source == SOURCE_MULTI ? DX_RING_MULTI : DX_RING_SINGLE, SCENE_SLOTS);
    (void)scene_producer(scene, 0, defaults);
    uint64_t upstream = 0;
    if (source >= SOURCE_UPSTREAM) {
        (void)scene_consumer(scene, 0, defaults);
        upstream = 1;
    }
    if (source == SOURCE_JOIN) {
        (void)scene_consumer(scene, 0, defaults);
        upstream = 3;
    }
    scene->waiters[0].consumer = consumer_in(scene, upstream, way);
    return scene;
}

/* The next event becomes readable for who follows the source. */
static void source_moves(scene_t *scene, source_t source)
{
    const int64_t sequence = scene_publish(&scene->producers[0]);
    for (int i = 0; i < (int)source - SOURCE_MULTI; i++) {
        dx_consumer_release(&scene->consumers[i], sequence);
    }
}

static void what_comes_during_the_wait_ends_it(void **state)
{
    (void)state;
    for (int source = 0; source < SOURCE_COUNT; source++) {
        for (size_t i = 0; i < COUNT_OF(ways); i++) {
            if (ways[i].blind) {
                continue;
            }
            scene_t *scene = scene_with_source((source_t)source, &ways[i]);
            waiter_t *waiter = &scene->waiters[0];
            for (int round = 0; round < 3; round++) {
                start_and_reach(waiter, &ways[i]);
                source_moves(scene, (source_t)source);
                assert_result(&ways[i], waiter_join(waiter, ways[i].name), round);
                dx_consumer_release(waiter->consumer, round);
            }
            scene_destroy(scene);
        }
    }
}

static void a_sleep_ends_in_time_for_an_event(void **state)
{
    (void)state;
    const way_t way = {
        "sleeping 1 ms", {.kind = DX_WAIT_SLEEPING, .sleep_ns = DX_NS_PER_MS}, IN_KERNEL, 0, false};
    scene_t *scene = scene_with_source(SOURCE_MULTI, &way);
    for (int round = 0; round < 5; round++) {
        start_and_reach(&scene->waiters[0], &way);
        source_moves(scene, SOURCE_MULTI);
        assert_result(&way, waiter_join(&scene->waiters[0], way.name), round);
        dx_consumer_release(scene->waiters[0].consumer, round);
    }
    scene_destroy(scene);
}

/* ----------------------------------------------------------------------- many waiters, in order */

#define MANY_EVENTS 300

typedef struct reader {
    pthread_t thread;
    dx_consumer_t *consumer;
    int64_t wrong; /* the first sequence whose event was not right, -1 */
    dx_atomic32_t done;
} reader_t;

static void *reader_main(void *context)
{
    reader_t *reader = context;
    dx_consumer_t *consumer = reader->consumer;
    reader->wrong = -1;
    while (consumer->next < MANY_EVENTS && reader->wrong < 0) {
        const int64_t last = dx_consumer_wait(consumer);
        if (last < consumer->next) {
            reader->wrong = consumer->next;
            break;
        }
        for (int64_t sequence = consumer->next; sequence <= last; sequence++) {
            if (*DX_CONSUMER_EVENT(consumer, sequence, int64_t) != sequence) {
                reader->wrong = sequence;
            }
        }
        dx_consumer_release(consumer, last);
    }
    dx_store32_release(&reader->done, 1);
    return NULL;
}

static bool reader_is_done(const void *reader)
{
    return dx_load32_acquire(&((const reader_t *)reader)->done) != 0;
}

/* Two follow the publication, one follows both of them, one that. */
static void run_many(dx_ring_mode_t mode, size_t first_way)
{
    static reader_t readers[SCENE_MEMBERS]; /* outlive a test that fails */
    static const uint64_t upstreams[SCENE_MEMBERS] = {0, 0, 3, 4};
    memset(readers, 0, sizeof(readers));
    scene_t *scene = scene_create(mode, SCENE_SLOTS);
    const way_t *way = &ways[first_way % COUNT_OF(ways)];
    dx_producer_t *producer =
        scene_producer(scene, 0, way->blind ? defaults : way->wait); /* it waits, too */
    for (size_t i = 0; i < SCENE_MEMBERS; i++) {
        way = &ways[(first_way + i) % COUNT_OF(ways)];
        dx_wait_options_t wait = way->wait;
        wait.sleep_ns = way->blind ? 0 : wait.sleep_ns;
        readers[i].consumer = scene_consumer(scene, upstreams[i], wait);
    }
    for (size_t i = 0; i < SCENE_MEMBERS; i++) {
        assert_int_equal(pthread_create(&readers[i].thread, NULL, reader_main, &readers[i]), 0);
    }
    for (int64_t i = 0; i < MANY_EVENTS; i++) {
        assert_int_equal(scene_publish(producer), i);
    }
    for (size_t i = 0; i < SCENE_MEMBERS; i++) {
        if (!comes_true(reader_is_done, &readers[i])) {
            fail_msg("%s: does not get to the end", ways[(first_way + i) % COUNT_OF(ways)].name);
        }
        assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
        assert_int_equal(readers[i].wrong, -1);
    }
    scene_destroy(scene);
}

static void many_waiters_of_all_ways_see_every_event_in_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(ways); i++) {
        run_many(i % 2 == 0 ? DX_RING_SINGLE : DX_RING_MULTI, i);
    }
}

/* ------------------------------------------------------------- what ends it: others than events */

static void a_cancel_ends_one_wait(void **state)
{
    (void)state;
    for (int source = 0; source < SOURCE_COUNT; source++) {
        for (size_t i = 0; i < COUNT_OF(ways); i++) {
            scene_t *scene = scene_with_source((source_t)source, &ways[i]);
            waiter_t *waiter = &scene->waiters[0];
            for (int round = 0; round < 2; round++) {
                start_and_reach(waiter, &ways[i]);
                dx_consumer_cancel(waiter->consumer);
                assert_result(&ways[i], waiter_join(waiter, ways[i].name), DX_ECANCELLED);
            }
            dx_consumer_cancel(waiter->consumer); /* nobody waits: it is for the next one */
            source_moves(scene, (source_t)source);
            assert_result(&ways[i], dx_consumer_wait(waiter->consumer), DX_ECANCELLED);
            assert_result(&ways[i], dx_consumer_wait(waiter->consumer), 0);
            scene_destroy(scene);
        }
    }
}

static void a_halt_ends_every_wait(void **state)
{
    (void)state;
    for (int source = 0; source < SOURCE_COUNT; source++) {
        for (size_t i = 0; i < COUNT_OF(ways); i++) {
            scene_t *scene = scene_with_source((source_t)source, &ways[i]);
            waiter_t *waiter = &scene->waiters[0];
            start_and_reach(waiter, &ways[i]);
            dxi_consumer_control(scene->ring, waiter->consumer->index, DXI_CONTROL_HALT);
            assert_result(&ways[i], waiter_join(waiter, ways[i].name), DX_EALERTED);
            source_moves(scene, (source_t)source); /* it stays halted, whatever comes */
            for (int round = 0; round < 10; round++) {
                assert_result(&ways[i], dx_consumer_wait(waiter->consumer), DX_EALERTED);
            }
            dx_store32_release(&waiter->consumer->entry->control, 0);
            assert_result(&ways[i], dx_consumer_wait(waiter->consumer), 0);
            scene_destroy(scene);
        }
    }
}

static void a_failure_upstream_ends_the_wait(void **state)
{
    (void)state;
    for (int source = SOURCE_UPSTREAM; source < SOURCE_COUNT; source++) {
        for (size_t i = 0; i < COUNT_OF(ways); i++) {
            if (ways[i].blind) {
                continue; /* as an event: at the end of the sleep */
            }
            scene_t *scene = scene_with_source((source_t)source, &ways[i]);
            waiter_t *waiter = &scene->waiters[0];
            start_and_reach(waiter, &ways[i]);
            dx_consumer_fail(&scene->consumers[0], DX_EFATAL);
            assert_result(&ways[i], waiter_join(waiter, ways[i].name), DX_ECONSUMER);
            scene_destroy(scene);
        }
    }
}

/* --------------------------------------------------------------------------- what ends it: time */

#define SHORT_NS (3 * DX_NS_PER_MS)

/* The row with a timeout that it is to meet in its phase. */
static way_t with_timeout(const way_t *way)
{
    way_t timed = *way;
    timed.wait.timeout_ns = SHORT_NS;
    return timed;
}

static void a_timeout_ends_the_wait_and_not_before(void **state)
{
    (void)state;
    for (int source = 0; source < SOURCE_COUNT; source++) {
        for (size_t i = 0; i < COUNT_OF(ways); i++) {
            const way_t way = with_timeout(&ways[i]);
            scene_t *scene = scene_with_source((source_t)source, &way);
            waiter_t *waiter = &scene->waiters[0];
            for (int round = 0; round < 2; round++) {
                waiter_start(waiter);
                assert_result(&way, waiter_join(waiter, way.name), DX_ETIMEDOUT);
                assert_true(waiter->wall_ns >= SHORT_NS);
            }
            source_moves(scene, (source_t)source);
            assert_result(&way, dx_consumer_wait(waiter->consumer), 0);
            scene_destroy(scene);
        }
    }
}

static void the_timeout_kinds_have_one_when_none_is_said(void **state)
{
    (void)state;
    static const dx_wait_kind_t kinds[] = {DX_WAIT_TIMEOUT_BLOCKING, DX_WAIT_LITE_TIMEOUT_BLOCKING};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        const way_t way = {dx_wait_kind_name(kinds[i]), {.kind = kinds[i]}, IN_KERNEL, 0, false};
        scene_t *scene = scene_with_source(SOURCE_SINGLE, &way);
        waiter_start(&scene->waiters[0]);
        assert_result(&way, waiter_join(&scene->waiters[0], way.name), DX_ETIMEDOUT);
        assert_true(scene->waiters[0].wall_ns >= DX_NS_PER_MS);
        scene_destroy(scene);
    }
}

/* Runs in the waiter's thread on its way to sleep: lets the timeout pass, then publishes. */
static void publish_too_late(void *context)
{
    scene_t *scene = context;
    const int64_t until_ns = dx_clock_ns() + 2 * SHORT_NS;
    while (dx_clock_ns() < until_ns) {
        dx_cpu_relax();
    }
    (void)scene_publish(&scene->producers[0]);
}

static void an_event_wins_over_a_timeout_that_has_passed(void **state)
{
    (void)state;
    static const char *const points[] = {"park:before-bit", "park:before-look",
                                         "park:before-sleep"};
    if (!points_exist()) {
        SKIP_BECAUSE("this build has no named points");
    }
    points_set(waiter_hook, NULL);
    for (size_t i = 0; i < COUNT_OF(points); i++) {
        const way_t way = {
            points[i], {.kind = DX_WAIT_BLOCKING, .timeout_ns = SHORT_NS}, IN_KERNEL, 0, false};
        scene_t *scene = scene_with_source(SOURCE_SINGLE, &way);
        waiter_t *waiter = &scene->waiters[0];
        waiter->point = points[i];
        waiter->action = publish_too_late;
        waiter->context = scene;
        waiter_start(waiter);
        assert_result(&way, waiter_join(waiter, way.name), 0);
        assert_true(waiter->wall_ns >= 2 * SHORT_NS);
        scene_destroy(scene);
    }
    points_set(NULL, NULL);
}

/* -------------------------------------------------------------------------- producers that wait */

static scene_t *full_scene(dx_ring_mode_t mode, const way_t *way)
{
    scene_t *scene = scene_create(mode, SCENE_SLOTS);
    (void)scene_consumer(scene, 0, defaults);
    scene->waiters[0].producer = scene_producer(scene, 0, way->wait);
    for (int i = 0; i < SCENE_SLOTS; i++) {
        (void)scene_publish(&scene->producers[0]);
    }
    if (way->spin_budget_ns != 0) {
        scene->producers[0].core->spin_budget_ns = way->spin_budget_ns;
    }
    return scene;
}

static void make_room(scene_t *scene)
{
    dx_consumer_release(&scene->consumers[0], 0);
}

static void close_the_ring(scene_t *scene)
{
    dx_ring_close(scene->ring);
}

static void cancel_the_producer(scene_t *scene)
{
    dx_producer_cancel(&scene->producers[0]);
}

static void fail_the_consumer(scene_t *scene)
{
    dx_consumer_fail(&scene->consumers[0], DX_EFATAL);
}

static void remove_the_consumer(scene_t *scene)
{
    dx_consumer_close(&scene->consumers[0]);
}

static void every_reason_ends_a_producers_wait(void **state)
{
    (void)state;
    static const struct {
        void (*action)(scene_t *scene);
        int64_t expected;
    } reasons[] = {{make_room, SCENE_SLOTS},
                   {close_the_ring, DX_ECLOSED},
                   {cancel_the_producer, DX_ECANCELLED},
                   {fail_the_consumer, DX_ECONSUMER},
                   {remove_the_consumer, SCENE_SLOTS}};
    for (int mode = DX_RING_SINGLE; mode <= DX_RING_MULTI; mode++) {
        for (size_t i = 0; i < COUNT_OF(ways) * COUNT_OF(reasons); i++) {
            const way_t *way = &ways[i / COUNT_OF(reasons)];
            scene_t *scene = full_scene((dx_ring_mode_t)mode, way);
            start_and_reach(&scene->waiters[0], way);
            reasons[i % COUNT_OF(reasons)].action(scene);
            assert_result(way, waiter_join(&scene->waiters[0], way->name),
                          reasons[i % COUNT_OF(reasons)].expected);
            scene_destroy(scene);
        }
    }
}

static void a_timeout_ends_a_producers_wait_and_not_before(void **state)
{
    (void)state;
    for (int mode = DX_RING_SINGLE; mode <= DX_RING_MULTI; mode++) {
        for (size_t i = 0; i < COUNT_OF(ways); i++) {
            const way_t way = with_timeout(&ways[i]);
            scene_t *scene = full_scene((dx_ring_mode_t)mode, &way);
            waiter_t *waiter = &scene->waiters[0];
            waiter_start(waiter);
            assert_result(&way, waiter_join(waiter, way.name), DX_ETIMEDOUT);
            assert_true(waiter->wall_ns >= SHORT_NS);
            make_room(scene);
            assert_result(&way, dx_producer_claim(waiter->producer), SCENE_SLOTS);
            scene_destroy(scene);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_there_is_returned_at_once),
        cmocka_unit_test(what_comes_during_the_wait_ends_it),
        cmocka_unit_test(a_sleep_ends_in_time_for_an_event),
        cmocka_unit_test(many_waiters_of_all_ways_see_every_event_in_order),
        cmocka_unit_test(a_cancel_ends_one_wait),
        cmocka_unit_test(a_halt_ends_every_wait),
        cmocka_unit_test(a_failure_upstream_ends_the_wait),
        cmocka_unit_test(a_timeout_ends_the_wait_and_not_before),
        cmocka_unit_test(the_timeout_kinds_have_one_when_none_is_said),
        cmocka_unit_test(an_event_wins_over_a_timeout_that_has_passed),
        cmocka_unit_test(every_reason_ends_a_producers_wait),
        cmocka_unit_test(a_timeout_ends_a_producers_wait_and_not_before),
    };
    return cmocka_run_group_tests_name("wait", tests, NULL, NULL);
}
