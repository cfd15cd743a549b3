/* test_wait_quiet.c - what waiting costs: processor time while idle, what the adaptive strategy
 * learns, and that following holds back no lone event.
 *
 * The adaptive strategy learns from how long waits last. A test must not wait for real, so it makes
 * waits begin in the past. A preempted test only makes a wait longer, and the rows allow for it.
 *
 * Idle time is the one thing that is measured: every sleeper has been seen asleep, then 300 ms pass
 * while events are published that are not theirs, and the threads' own clocks must show less than
 * 1 %.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "wait_test.h"

static const dx_wait_options_t adaptive = {.kind = DX_WAIT_ADAPTIVE};

/* ---------------------------------------------------------------------------- adaptive learning */

#define LONG_WAIT_NS (10 * DX_NS_PER_MS)
#define SHORT_WAIT_NS (10 * DX_NS_PER_US)

/* One wait that has lasted for `lasted_ns` when it ends. */
static void pretend_wait(const dx_wait_options_t *options, int64_t *budget_ns, int64_t lasted_ns)
{
    dxi_pause_t pause;
    dxi_pause_begin(&pause, options, budget_ns, NULL);
    pause.started_ns = dx_clock_ns() - lasted_ns;
    dxi_pause_end(&pause);
}

static void long_waits_turn_the_spinning_off(void **state)
{
    (void)state;
    int64_t budget_ns = 50 * DX_NS_PER_US;
    for (int i = 0; i < 8; i++) {
        const int64_t before_ns = budget_ns;
        pretend_wait(&adaptive, &budget_ns, LONG_WAIT_NS);
        assert_true(budget_ns < before_ns); /* each of them moves it, none of them far */
        assert_true(budget_ns > before_ns / 2);
    }
    for (int i = 0; i < 200; i++) {
        pretend_wait(&adaptive, &budget_ns, LONG_WAIT_NS);
    }
    const int64_t least_ns = budget_ns;
    assert_in_range(least_ns, 1, DX_NS_PER_US); /* less than a wake-up, and not nothing */
    pretend_wait(&adaptive, &budget_ns, LONG_WAIT_NS);
    assert_int_equal(budget_ns, least_ns); /* it arrives */
}

typedef struct learner {
    int64_t budget_ns;
    int64_t wish_ns;
} learner_t;

/* A preempted wait is a long one and moves the other way: so look again and again. */
static bool has_learnt_to_spin(const void *context)
{
    learner_t *learner = (learner_t *)(uintptr_t)context;
    pretend_wait(&adaptive, &learner->budget_ns, SHORT_WAIT_NS);
    return learner->budget_ns > learner->wish_ns;
}

static void short_waits_turn_the_spinning_on(void **state)
{
    (void)state;
    learner_t learner = {.budget_ns = 500, .wish_ns = SHORT_WAIT_NS + SHORT_WAIT_NS / 2};
    assert_true(comes_true(has_learnt_to_spin, &learner));
    for (int i = 0; i < 200; i++) {
        pretend_wait(&adaptive, &learner.budget_ns, SHORT_WAIT_NS);
        assert_true(learner.budget_ns <= 50 * DX_NS_PER_US); /* whatever happens to the test */
    }
    /* And back, when the source falls asleep. */
    for (int i = 0; i < 200; i++) {
        pretend_wait(&adaptive, &learner.budget_ns, LONG_WAIT_NS);
    }
    assert_in_range(learner.budget_ns, 1, DX_NS_PER_US);
}

static void only_the_adaptive_strategy_learns(void **state)
{
    (void)state;
    for (int kind = 1; kind < DX_WAIT_KIND_COUNT; kind++) {
        dx_wait_options_t options = {.kind = (dx_wait_kind_t)kind};
        dxi_wait_options_resolve(&options);
        int64_t budget_ns = 12345;
        pretend_wait(&options, &budget_ns, LONG_WAIT_NS);
        assert_int_equal(budget_ns, 12345);
    }
}

static void the_adaptive_strategy_parks_when_its_budget_is_used_up(void **state)
{
    (void)state;
    int64_t budget_ns = LONG_NS / 4;
    dxi_pause_t pause;
    dxi_pause_begin(&pause, &adaptive, &budget_ns, NULL);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(dxi_pause_step(&pause), DXI_PAUSE_AGAIN);
    }
    pause.started_ns = dx_clock_ns() - LONG_NS;
    int steps = 0;
    while (dxi_pause_step(&pause) != DXI_PAUSE_PARK) {
        assert_in_range(++steps, 1, 100); /* until the next look at the clock */
    }
    assert_int_equal(dxi_pause_step(&pause), DXI_PAUSE_PARK); /* and it stays so */
}

/* With a timeout, an idle source is a row of waits that time out: they are long waits, too. */
static void waits_that_time_out_teach_as_well(void **state)
{
    (void)state;
    scene_t *scene = scene_create(DX_RING_SINGLE, SCENE_SLOTS);
    const dx_wait_options_t timed = {.kind = DX_WAIT_ADAPTIVE, .timeout_ns = 100 * DX_NS_PER_US};
    dx_consumer_t *consumer = scene_consumer(scene, 0, timed);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(dx_consumer_wait(consumer), DX_ETIMEDOUT);
    }
    assert_in_range(consumer->spin_budget_ns, 1, DX_NS_PER_US);
    scene_destroy(scene);
}

/* ------------------------------------------------------------------------------------ following */

static int64_t follows_of(const dx_consumer_t *consumer)
{
    return dx_load_relaxed(&consumer->entry->counters.follows);
}

typedef struct wait_count {
    const dx_consumer_t *consumer;
    int64_t waits;
} wait_count_t;

static bool waits_again(const void *context)
{
    const wait_count_t *count = context;
    return dx_load_relaxed(&count->consumer->entry->counters.waits) >= count->waits;
}

static void a_lone_event_after_a_wait_is_never_held_back(void **state)
{
    (void)state;
    static const dx_wait_kind_t kinds[] = {DX_WAIT_ADAPTIVE, DX_WAIT_BUSY_SPIN, DX_WAIT_BLOCKING};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        const dx_wait_options_t wait = {.kind = kinds[i]};
        scene_t *scene = scene_create(DX_RING_SINGLE, 1024);
        dx_producer_t *producer = scene_producer(scene, 0, wait);
        waiter_t *waiter = &scene->waiters[0];
        waiter->consumer = scene_consumer(scene, 0, wait);
        for (int round = 0; round < 50; round++) {
            const wait_count_t count = {waiter->consumer, round + 1};
            waiter_start(waiter);
            assert_true(comes_true(waits_again, &count));
            (void)scene_publish(producer);
            assert_int_equal(waiter_join(waiter, dx_wait_kind_name(kinds[i])), round);
            dx_consumer_release(waiter->consumer, round);
        }
        assert_int_equal(follows_of(waiter->consumer), 0);
        scene_destroy(scene);
    }
}

static void following_that_brings_nothing_is_rare(void **state)
{
    (void)state;
    scene_t *scene = scene_create(DX_RING_SINGLE, 1024);
    dx_producer_t *producer = scene_producer(scene, 0, adaptive);
    dx_consumer_t *consumer = scene_consumer(scene, 0, adaptive);
    for (int64_t i = 0; i < 1000; i++) {
        (void)scene_publish(producer);
        assert_int_equal(dx_consumer_wait(consumer), i); /* what is there is given, gap or not */
        dx_consumer_release(consumer, i);
    }
    assert_in_range(follows_of(consumer), 1, 1000 / 32);
    scene_destroy(scene);
}

static void following_can_be_turned_off(void **state)
{
    (void)state;
    const dx_wait_options_t wait = {.kind = DX_WAIT_ADAPTIVE, .follow_slots = -1};
    scene_t *scene = scene_create(DX_RING_MULTI, 1024);
    dx_producer_t *producer = scene_producer(scene, 0, wait);
    dx_consumer_t *consumer = scene_consumer(scene, 0, wait);
    for (int64_t i = 0; i < 1000; i++) {
        (void)scene_publish(producer);
        assert_int_equal(dx_consumer_wait(consumer), i);
        dx_consumer_release(consumer, i);
    }
    assert_int_equal(follows_of(consumer), 0);
    scene_destroy(scene);
}

static void a_full_batch_is_not_followed(void **state)
{
    (void)state;
    const dx_wait_options_t wait = {.kind = DX_WAIT_ADAPTIVE, .follow_slots = 4};
    scene_t *scene = scene_create(DX_RING_SINGLE, 1024);
    dx_producer_t *producer = scene_producer(scene, 0, wait);
    dx_consumer_t *consumer = scene_consumer(scene, 0, wait);
    for (int64_t i = 1; i <= 100; i++) {
        for (int j = 0; j < 8; j++) {
            (void)scene_publish(producer);
        }
        assert_int_equal(dx_consumer_wait(consumer), 8 * i - 1);
        dx_consumer_release(consumer, 8 * i - 1);
    }
    assert_int_equal(follows_of(consumer), 0);
    scene_destroy(scene);
}

typedef struct follower {
    pthread_t thread;
    dx_consumer_t *consumer;
    int64_t events;
    int64_t wrong; /* the first sequence that was not right, -1 */
    dx_atomic32_t done;
} follower_t;

static void *follower_main(void *context)
{
    follower_t *follower = context;
    dx_consumer_t *consumer = follower->consumer;
    while (consumer->next < follower->events && follower->wrong < 0) {
        const int64_t last = dx_consumer_wait(consumer);
        for (int64_t sequence = consumer->next; sequence <= last; sequence++) {
            if (*DX_CONSUMER_EVENT(consumer, sequence, int64_t) != sequence) {
                follower->wrong = sequence;
            }
        }
        if (last < consumer->next) {
            follower->wrong = consumer->next;
        } else {
            dx_consumer_release(consumer, last);
        }
    }
    dx_store32_release(&follower->done, 1);
    return NULL;
}

static bool follower_is_done(const void *follower)
{
    return dx_load32_acquire(&((const follower_t *)follower)->done) != 0;
}

/* T3: the gaps end, and lose nothing, behind a producer that never stops until the end. */
static void following_a_busy_producer_loses_nothing_and_ends(void **state)
{
    (void)state;
    static follower_t follower; /* outlives a test that fails */
    for (int mode = DX_RING_SINGLE; mode <= DX_RING_MULTI; mode++) {
        scene_t *scene = scene_create((dx_ring_mode_t)mode, 1024);
        dx_producer_t *producer = scene_producer(scene, 0, adaptive);
        follower = (follower_t){
            .consumer = scene_consumer(scene, 0, adaptive), .events = 50000, .wrong = -1};
        assert_int_equal(pthread_create(&follower.thread, NULL, follower_main, &follower), 0);
        for (int64_t i = 0; i < follower.events; i++) {
            assert_int_equal(scene_publish(producer), i);
        }
        assert_true(comes_true(follower_is_done, &follower));
        assert_int_equal(pthread_join(follower.thread, NULL), 0);
        assert_int_equal(follower.wrong, -1);
        scene_destroy(scene);
    }
}

/* ------------------------------------------------------------------------------------ idle time */

typedef enum place {
    AT_CURSOR,   /* nothing is published */
    AT_HOLE,     /* a claim is not published, what comes after it is, on and on */
    AT_UPSTREAM, /* a stage before it works on one event while more come */
    AT_SPACE,    /* a producer: the ring is full */
    PLACE_COUNT
} place_t;

static const dx_wait_kind_t quiet_kinds[] = {DX_WAIT_BLOCKING, DX_WAIT_LITE_BLOCKING,
                                             DX_WAIT_ADAPTIVE, DX_WAIT_PHASED_BACKOFF};

#define SLEEPERS (COUNT_OF(quiet_kinds) * PLACE_COUNT)
#define QUIET_SLOTS 1024

static bool is_in_kernel(const void *context)
{
    const waiter_t *waiter = context;
    return waiter->consumer != NULL ? is_asleep(waiter->consumer)
                                    : producer_sleeps(waiter->producer);
}

static scene_t *sleeper_start(place_t place, dx_wait_kind_t kind)
{
    const dx_wait_options_t wait = {.kind = kind};
    const dx_ring_mode_t mode = place == AT_HOLE ? DX_RING_MULTI : DX_RING_SINGLE;
    scene_t *scene = scene_create(mode, QUIET_SLOTS);
    dx_producer_t *producer = scene_producer(scene, 0, wait);
    waiter_t *waiter = &scene->waiters[0];
    if (place == AT_HOLE) {
        assert_int_equal(dx_producer_claim(scene_producer(scene, 1, wait)), 0);
        (void)scene_publish(producer);
    }
    dx_consumer_t *first = scene_consumer(scene, 0, wait);
    waiter->consumer = place == AT_UPSTREAM ? scene_consumer(scene, 1, wait) : first;
    if (place == AT_SPACE) {
        for (int i = 0; i < QUIET_SLOTS; i++) {
            (void)scene_publish(producer);
        }
        waiter->consumer = NULL;
        waiter->producer = producer;
    }
    waiter_start(waiter);
    assert_true(comes_true(is_in_kernel, waiter));
    return scene;
}

static void sleeper_end(scene_t *scene, const char *what)
{
    waiter_t *waiter = &scene->waiters[0];
    if (waiter->consumer != NULL) {
        dx_consumer_cancel(waiter->consumer);
    } else {
        dx_producer_cancel(waiter->producer);
    }
    assert_int_equal(waiter_join(waiter, what), DX_ECANCELLED);
    scene_destroy(scene);
}

/* Events that are none of the sleepers' business, over at least 300 ms: how long it was. */
static int64_t let_time_pass(scene_t *const *scenes)
{
    const struct timespec pause = {.tv_nsec = 10 * DX_NS_PER_MS};
    const int64_t from_ns = dx_clock_ns();
    int64_t elapsed_ns = 0;
    while (elapsed_ns < 300 * DX_NS_PER_MS) {
        for (size_t i = 0; i < SLEEPERS; i++) {
            const place_t place = (place_t)(i / COUNT_OF(quiet_kinds));
            if (place == AT_HOLE || place == AT_UPSTREAM) {
                (void)scene_publish(&scenes[i]->producers[0]);
            }
        }
        (void)nanosleep(&pause, NULL);
        elapsed_ns = dx_clock_ns() - from_ns;
    }
    return elapsed_ns;
}

static void sleepers_use_less_than_one_percent_of_a_processor(void **state)
{
    (void)state;
    static const char *const places[] = {"cursor", "hole", "upstream", "space"};
    static scene_t *scenes[SLEEPERS];
    int64_t before_ns[SLEEPERS];
    for (size_t i = 0; i < SLEEPERS; i++) {
        scenes[i] = sleeper_start((place_t)(i / COUNT_OF(quiet_kinds)),
                                  quiet_kinds[i % COUNT_OF(quiet_kinds)]);
    }
    for (size_t i = 0; i < SLEEPERS; i++) {
        assert_true(comes_true(is_in_kernel, &scenes[i]->waiters[0]));
        before_ns[i] = waiter_cpu_ns(&scenes[i]->waiters[0]);
        assert_true(before_ns[i] >= 0);
    }
    const int64_t elapsed_ns = let_time_pass(scenes);
    for (size_t i = 0; i < SLEEPERS; i++) {
        const int64_t used_ns = waiter_cpu_ns(&scenes[i]->waiters[0]) - before_ns[i];
        const char *kind = dx_wait_kind_name(quiet_kinds[i % COUNT_OF(quiet_kinds)]);
        if (used_ns >= elapsed_ns / 100) {
            fail_msg("%s at the %s uses %lld of %lld ns", kind, places[i / COUNT_OF(quiet_kinds)],
                     (long long)used_ns, (long long)elapsed_ns);
        }
        sleeper_end(scenes[i], kind);
    }
}

/* A token that is not used up would keep the next sleep from being one. */
static void a_long_sleep_after_a_cancelled_one_is_a_sleep(void **state)
{
    (void)state;
    const dx_wait_options_t wait = {.kind = DX_WAIT_SLEEPING, .sleep_ns = LONG_NS};
    scene_t *scene = scene_create(DX_RING_SINGLE, SCENE_SLOTS);
    waiter_t *waiter = &scene->waiters[0];
    waiter->consumer = scene_consumer(scene, 0, wait);
    for (int i = 0; i < 5; i++) {
        waiter_start(waiter);
        assert_true(comes_true(is_asleep, waiter->consumer));
        dx_consumer_cancel(waiter->consumer);
        assert_int_equal(waiter_join(waiter, "sleeping"), DX_ECANCELLED);
    }
    assert_in_range(dx_load_relaxed(&waiter->consumer->entry->counters.sleeps), 5, 8);
    scene_destroy(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_waits_turn_the_spinning_off),
        cmocka_unit_test(short_waits_turn_the_spinning_on),
        cmocka_unit_test(only_the_adaptive_strategy_learns),
        cmocka_unit_test(the_adaptive_strategy_parks_when_its_budget_is_used_up),
        cmocka_unit_test(waits_that_time_out_teach_as_well),
        cmocka_unit_test(a_lone_event_after_a_wait_is_never_held_back),
        cmocka_unit_test(following_that_brings_nothing_is_rare),
        cmocka_unit_test(following_can_be_turned_off),
        cmocka_unit_test(a_full_batch_is_not_followed),
        cmocka_unit_test(following_a_busy_producer_loses_nothing_and_ends),
        cmocka_unit_test(sleepers_use_less_than_one_percent_of_a_processor),
        cmocka_unit_test(a_long_sleep_after_a_cancelled_one_is_a_sleep),
    };
    return cmocka_run_group_tests_name("wait quiet", tests, NULL, NULL);
}
