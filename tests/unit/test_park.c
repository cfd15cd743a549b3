/* test_park.c - no wake-up is lost, and none is given twice or to the wrong one.
 *
 * METHOD. A lost wake-up needs one side's step between two steps of the other, which random trials
 * hardly ever hit. So nothing here is random: the sleeper stops at each named point of its way to
 * sleep (src/ring/park.c) and the waker's whole step runs there; then the other way round. No wait
 * has a timeout: a sleeper that was not woken stays asleep and the test fails at its deadline.
 * Everything runs with membarrier() and again as on a kernel without it.
 *
 * What this can't show is the order in which a processor makes stores visible; test_park_pool.c
 * hammers on that. tools/mutation.py takes each step out and sees a test fail.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "wait_test.h"

static const dx_wait_options_t blocking = {.kind = DX_WAIT_BLOCKING, .follow_slots = -1};

/* ------------------------------------------------------------------------ the waker's steps */

static void publish_next(void *context)
{
    scene_t *scene = context;
    (void)scene_publish(&scene->producers[0]);
}

/* Producer 0 holds the claim of sequence 0, producer 1 that of sequence 1. */
static void publish_hole(void *context)
{
    scene_t *scene = context;
    (void)dx_producer_publish(&scene->producers[0], 0);
}

static void publish_beyond_hole(void *context)
{
    scene_t *scene = context;
    (void)dx_producer_publish(&scene->producers[1], 1);
}

static void abort_hole(void *context)
{
    scene_t *scene = context;
    (void)dx_producer_abort(&scene->producers[0], 0, 0);
}

static void release_first(void *context)
{
    scene_t *scene = context;
    dx_consumer_release(&scene->consumers[0], scene->consumers[0].next);
}

static void release_second(void *context)
{
    scene_t *scene = context;
    dx_consumer_release(&scene->consumers[1], scene->consumers[1].next);
}

static void release_both(void *context)
{
    release_first(context);
    release_second(context);
}

static void fail_first(void *context)
{
    scene_t *scene = context;
    dx_consumer_fail(&scene->consumers[0], DX_EFATAL);
}

static void close_first(void *context)
{
    scene_t *scene = context;
    dx_consumer_close(&scene->consumers[0]);
}

static void close_ring(void *context)
{
    dx_ring_close(((scene_t *)context)->ring);
}

static void cancel_waiter(void *context)
{
    scene_t *scene = context;
    if (scene->waiters[0].consumer != NULL) {
        dx_consumer_cancel(scene->waiters[0].consumer);
    } else {
        dx_producer_cancel(scene->waiters[0].producer);
    }
}

static void halt_waiter(void *context)
{
    scene_t *scene = context;
    dxi_consumer_control(scene->ring, scene->waiters[0].consumer->index, DXI_CONTROL_HALT);
}

/* ------------------------------------------------------------------------------------ set-ups */

static void set_up_follower(scene_t *scene)
{
    (void)scene_producer(scene, 0, blocking);
    scene->waiters[0].consumer = scene_consumer(scene, 0, blocking);
}

static void set_up_hole(scene_t *scene)
{
    assert_int_equal(dx_producer_claim(scene_producer(scene, 0, blocking)), 0);
    assert_int_equal(dx_producer_claim(scene_producer(scene, 1, blocking)), 1);
    scene->waiters[0].consumer = scene_consumer(scene, 0, blocking);
}

static void set_up_hole_before_published(scene_t *scene)
{
    set_up_hole(scene);
    publish_beyond_hole(scene);
}

/* The waiter follows consumer 0; one event is there. */
static void set_up_stage(scene_t *scene)
{
    (void)scene_producer(scene, 0, blocking);
    (void)scene_consumer(scene, 0, blocking);
    scene->waiters[0].consumer = scene_consumer(scene, 1, blocking);
    publish_next(scene);
}

/* consumer 0 <- consumer 1, which nobody drives, <- the waiter. */
static void set_up_third_stage(scene_t *scene)
{
    (void)scene_producer(scene, 0, blocking);
    (void)scene_consumer(scene, 0, blocking);
    (void)scene_consumer(scene, 1, blocking);
    scene->waiters[0].consumer = scene_consumer(scene, 2, blocking);
    publish_next(scene);
}

/* The waiter follows consumers 0 and 1. */
static void set_up_join(scene_t *scene)
{
    (void)scene_producer(scene, 0, blocking);
    (void)scene_consumer(scene, 0, blocking);
    (void)scene_consumer(scene, 0, blocking);
    scene->waiters[0].consumer = scene_consumer(scene, 3, blocking);
    publish_next(scene);
}

static void set_up_full(scene_t *scene)
{
    (void)scene_consumer(scene, 0, blocking);
    scene->waiters[0].producer = scene_producer(scene, 0, blocking);
    for (int i = 0; i < SCENE_SLOTS; i++) {
        publish_next(scene);
    }
}

/* Consumers 0 and 1 hold the ring. */
static void set_up_full_two(scene_t *scene)
{
    (void)scene_consumer(scene, 0, blocking);
    set_up_full(scene);
}

/* No consumer at all, so what is published is what may be overwritten: nothing yet. */
static void set_up_full_behind_a_hole(scene_t *scene)
{
    assert_int_equal(dx_producer_claim(scene_producer(scene, 0, blocking)), 0);
    scene->waiters[0].producer = scene_producer(scene, 1, blocking);
    for (int i = 1; i < SCENE_SLOTS; i++) {
        (void)scene_publish(&scene->producers[1]);
    }
}

/* ----------------------------------------------------------------- the waker's step in between */

typedef struct scenario {
    const char *name;
    dx_ring_mode_t mode;
    void (*set_up)(scene_t *scene);
    void (*action)(void *scene); /* at the point */
    void (*after)(void *scene);  /* when the waiter sleeps again, if at all: the rest of it */
    int64_t expected;
} scenario_t;

static const scenario_t consumer_scenarios[] = {
    {"single publication", DX_RING_SINGLE, set_up_follower, publish_next, NULL, 0},
    {"multi publication", DX_RING_MULTI, set_up_follower, publish_next, NULL, 0},
    {"hole filled, more behind it", DX_RING_MULTI, set_up_hole_before_published, publish_hole, NULL,
     1},
    {"hole filled first", DX_RING_MULTI, set_up_hole, publish_hole, NULL, 0},
    {"hole aborted", DX_RING_MULTI, set_up_hole, abort_hole, NULL, 0},
    {"beyond the hole, then the hole", DX_RING_MULTI, set_up_hole, publish_beyond_hole,
     publish_hole, 1},
    {"upstream releases", DX_RING_SINGLE, set_up_stage, release_first, NULL, 0},
    {"upstream releases, multi", DX_RING_MULTI, set_up_stage, release_first, NULL, 0},
    {"both upstreams release", DX_RING_SINGLE, set_up_join, release_both, NULL, 0},
    {"first upstream, then second", DX_RING_SINGLE, set_up_join, release_first, release_second, 0},
    {"second upstream, then first", DX_RING_SINGLE, set_up_join, release_second, release_first, 0},
    {"upstream fails", DX_RING_SINGLE, set_up_stage, fail_first, NULL, DX_ECONSUMER},
    {"one of two upstreams fails", DX_RING_SINGLE, set_up_join, fail_first, NULL, DX_ECONSUMER},
    {"first stage fails under the third", DX_RING_SINGLE, set_up_third_stage, fail_first, NULL,
     DX_ECONSUMER},
    {"cancel", DX_RING_SINGLE, set_up_follower, cancel_waiter, NULL, DX_ECANCELLED},
    {"cancel behind a consumer", DX_RING_SINGLE, set_up_stage, cancel_waiter, NULL, DX_ECANCELLED},
    {"halt", DX_RING_SINGLE, set_up_follower, halt_waiter, NULL, DX_EALERTED},
    {"halt at a hole", DX_RING_MULTI, set_up_hole, halt_waiter, NULL, DX_EALERTED},
    {"halt behind two", DX_RING_SINGLE, set_up_join, halt_waiter, NULL, DX_EALERTED},
};

static const scenario_t producer_scenarios[] = {
    {"room", DX_RING_SINGLE, set_up_full, release_first, NULL, SCENE_SLOTS},
    {"room, multi", DX_RING_MULTI, set_up_full, release_first, NULL, SCENE_SLOTS},
    {"room from both", DX_RING_SINGLE, set_up_full_two, release_both, NULL, SCENE_SLOTS},
    {"room from one, then from the other", DX_RING_SINGLE, set_up_full_two, release_first,
     release_second, SCENE_SLOTS},
    {"one of two leaves, then room", DX_RING_SINGLE, set_up_full_two, close_first, release_second,
     SCENE_SLOTS},
    {"hole filled without a consumer", DX_RING_MULTI, set_up_full_behind_a_hole, publish_hole, NULL,
     SCENE_SLOTS},
    {"hole aborted without a consumer", DX_RING_MULTI, set_up_full_behind_a_hole, abort_hole, NULL,
     SCENE_SLOTS},
    {"close", DX_RING_SINGLE, set_up_full, close_ring, NULL, DX_ECLOSED},
    {"close, multi", DX_RING_MULTI, set_up_full, close_ring, NULL, DX_ECLOSED},
    {"cancel", DX_RING_SINGLE, set_up_full, cancel_waiter, NULL, DX_ECANCELLED},
    {"cancel, multi", DX_RING_MULTI, set_up_full, cancel_waiter, NULL, DX_ECANCELLED},
    {"the consumer fails", DX_RING_SINGLE, set_up_full, fail_first, NULL, DX_ECONSUMER},
    {"one of two fails, multi", DX_RING_MULTI, set_up_full_two, fail_first, NULL, DX_ECONSUMER},
};

static void run_scenario(const scenario_t *scenario, const char *point)
{
    if (!points_exist() && strcmp(point, ASLEEP) != 0) {
        return;
    }
    char what[128];
    (void)snprintf(what, sizeof(what), "%s at %s%s", scenario->name, point,
                   dxi_heavy_fence_works() ? "" : " without membarrier");
    scene_t *scene = scene_create(scenario->mode, SCENE_SLOTS);
    scenario->set_up(scene);

    waiter_t *waiter = &scene->waiters[0];
    waiter->point = point;
    waiter->action = scenario->action;
    waiter->context = scene;
    waiter_start(waiter);
    if (strcmp(point, ASLEEP) == 0) {
        if (!comes_true(sleeps_or_is_done, waiter) || waiter_is_done(waiter)) {
            fail_msg("%s: the waiter does not sleep", what);
        }
        scenario->action(scene);
    } else if (!comes_true(waiter_has_fired, waiter)) {
        fail_msg("%s: the point is not reached", what);
    }
    if (scenario->after != NULL) {
        assert_true(comes_true(sleeps_or_is_done, waiter));
        assert_false(waiter_is_done(waiter));
        scenario->after(scene);
    }
    const int64_t result = waiter_join(waiter, what);
    if (result != scenario->expected) {
        fail_msg("%s: the wait gives %lld, must be %lld", what, (long long)result,
                 (long long)scenario->expected);
    }
    scene_destroy(scene);
}

static void every_waker_at_every_point_of_a_sleeping_consumer(void **state)
{
    (void)state;
    static const char *const points[] = {"park:before-bit", "park:before-fence", "park:before-look",
                                         "park:before-sleep", ASLEEP};
    for (size_t i = 0; i < COUNT_OF(consumer_scenarios); i++) {
        for (size_t j = 0; j < COUNT_OF(points); j++) {
            run_scenario(&consumer_scenarios[i], points[j]);
        }
    }
}

static void every_waker_at_every_point_of_a_sleeping_producer(void **state)
{
    (void)state;
    static const char *const points[] = {"park-producer:before-epoch", "park-producer:before-count",
                                         "park-producer:before-fence", "park-producer:before-look",
                                         "park-producer:before-sleep", ASLEEP};
    for (size_t i = 0; i < COUNT_OF(producer_scenarios); i++) {
        for (size_t j = 0; j < COUNT_OF(points); j++) {
            run_scenario(&producer_scenarios[i], points[j]);
        }
    }
}

/* -------------------------------------------------------------- the sleeper's step in between */

/* At the waker's point: this waiter starts and must find what the waker has stored. */
static void wait_to_the_end(void *context)
{
    waiter_t *waiter = context;
    waiter_start(waiter);
    (void)comes_true(waiter_is_done, waiter);
}

/* Runs `step` in a thread that stops at `point` to run `action`. */
typedef struct stepper {
    waiter_t at;
    void (*step)(void *context);
    void *step_context;
} stepper_t;

static void *stepper_main(void *context)
{
    stepper_t *stepper = context;
    waiter_of_thread = &stepper->at;
    stepper->step(stepper->step_context);
    dx_store32_release(&stepper->at.done, 1);
    return NULL;
}

static void stepper_run(scene_t *scene, void (*step)(void *), const char *point,
                        void (*action)(void *), void *context)
{
    static stepper_t stepper; /* outlives a test that fails */
    memset(&stepper, 0, sizeof(stepper));
    stepper.at.point = point;
    stepper.at.action = action;
    stepper.at.context = context;
    stepper.step = step;
    stepper.step_context = scene;
    assert_int_equal(pthread_create(&stepper.at.thread, NULL, stepper_main, &stepper), 0);
    (void)waiter_join(&stepper.at, point);
    if (!waiter_has_fired(&stepper.at)) {
        fail_msg("%s is not reached", point);
    }
}

/* Consumers 0 and 1 side by side; 0 sleeps, so the publisher takes its slow path. */
static void a_consumer_that_goes_to_sleep_behind_a_publication_does_not_sleep(void **state)
{
    (void)state;
    if (!points_exist()) {
        SKIP_BECAUSE("this build has no named points");
    }
    for (int mode = DX_RING_SINGLE; mode <= DX_RING_MULTI; mode++) {
        scene_t *scene = scene_create((dx_ring_mode_t)mode, SCENE_SLOTS);
        set_up_follower(scene);
        scene->waiters[1].consumer = scene_consumer(scene, 0, blocking);
        waiter_start(&scene->waiters[0]);
        assert_true(comes_true(is_asleep, scene->waiters[0].consumer));

        stepper_run(scene, publish_next, "publish:before-wake", wait_to_the_end,
                    &scene->waiters[1]);
        assert_int_equal(waiter_join(&scene->waiters[1], "second"), 0);
        assert_int_equal(dx_load_relaxed(&scene->consumers[1].entry->counters.sleeps), 0);
        assert_int_equal(waiter_join(&scene->waiters[0], "first"), 0);
        scene_destroy(scene);
    }
}

/* A token from elsewhere makes the sleeper look, and it sees what the waker has stored. */
static void wake_and_wait_for_the_end(void *context)
{
    waiter_t *waiter = context;
    dxi_wake_consumer(waiter->consumer->entry, false);
    (void)comes_true(waiter_is_done, waiter);
}

/* K2: the sleeper clears its bit itself, so the waker owes it nothing. */
static void a_sleeper_that_leaves_before_the_waker_clears_its_bit_costs_no_wake(void **state)
{
    (void)state;
    if (!points_exist()) {
        SKIP_BECAUSE("this build has no named points");
    }
    scene_t *scene = scene_create(DX_RING_SINGLE, SCENE_SLOTS);
    set_up_follower(scene);
    waiter_t *waiter = &scene->waiters[0];
    waiter_start(waiter);
    assert_true(comes_true(is_asleep, waiter->consumer));

    stepper_run(scene, publish_next, "wake:before-clear", wake_and_wait_for_the_end, waiter);
    assert_int_equal(waiter_join(waiter, "woken otherwise"), 0);
    assert_int_equal(dx_load_relaxed(&scene->producers[0].entry->wakes), 0);
    assert_int_equal(dx_load32_relaxed(&waiter->consumer->entry->park), 0);
    scene_destroy(scene);
}

typedef struct rewait {
    waiter_t *first;
    waiter_t *second;
} rewait_t;

/* The sleeper leaves, is done with the event and sleeps for the next one before the waker goes on.
 */
static void wake_and_sleep_again(void *context)
{
    const rewait_t *rewait = context;
    wake_and_wait_for_the_end(rewait->first);
    dx_consumer_release(rewait->first->consumer, 0);
    waiter_start(rewait->second);
    (void)comes_true(sleeps_or_is_done, rewait->second);
}

/* K3: the waker clears the bit of the second sleep and wakes it in vain. */
static void a_consumer_that_sleeps_again_before_the_waker_clears_its_bit_is_not_lost(void **state)
{
    (void)state;
    if (!points_exist()) {
        SKIP_BECAUSE("this build has no named points");
    }
    scene_t *scene = scene_create(DX_RING_MULTI, SCENE_SLOTS);
    set_up_hole(scene);
    waiter_t *first = &scene->waiters[0];
    waiter_t *second = &scene->waiters[1];
    second->consumer = first->consumer;
    waiter_start(first);
    assert_true(comes_true(is_asleep, first->consumer));

    rewait_t rewait = {first, second};
    stepper_run(scene, publish_hole, "wake:before-clear", wake_and_sleep_again, &rewait);
    assert_int_equal(waiter_join(first, "first sleep"), 0);
    assert_int_equal(dx_load_relaxed(&scene->producers[0].entry->wakes), 1);
    publish_beyond_hole(scene);
    assert_int_equal(waiter_join(second, "second sleep"), 1);
    scene_destroy(scene);
}

static dx_atomic32_t woken_by_second;

static void wake_as_second(void *context)
{
    scene_t *scene = context;
    dx_store32_relaxed(&woken_by_second,
                       dxi_wake_waiters(scene->block, &scene->consumers[0].entry->waiters, 0, 0));
}

/* K2: two wakers at the same bit. */
static void of_two_wakers_only_one_wakes(void **state)
{
    (void)state;
    if (!points_exist()) {
        SKIP_BECAUSE("this build has no named points");
    }
    scene_t *scene = scene_create(DX_RING_SINGLE, SCENE_SLOTS);
    set_up_stage(scene);
    waiter_start(&scene->waiters[0]);
    assert_true(comes_true(is_asleep, scene->waiters[0].consumer));
    stepper_run(scene, release_first, "wake:before-clear", wake_as_second, scene);
    assert_int_equal(waiter_join(&scene->waiters[0], "sleeper"), 0);
    assert_int_equal(dx_load32_relaxed(&woken_by_second), 1);
    assert_int_equal(dx_load_relaxed(&scene->consumers[0].entry->counters.wakes), 0);
    scene_destroy(scene);
}

/* ------------------------------------------------------------------------------- precise waking */

static int64_t sleeps_of(const dx_consumer_t *consumer)
{
    return dx_load_relaxed(&consumer->entry->counters.sleeps);
}

static void a_publication_beyond_a_hole_does_not_wake_its_sleeper(void **state)
{
    (void)state;
    scene_t *scene = scene_create(DX_RING_MULTI, SCENE_SLOTS);
    set_up_hole(scene);
    waiter_t *waiter = &scene->waiters[0];
    waiter_start(waiter);
    assert_true(comes_true(is_asleep, waiter->consumer));
    publish_beyond_hole(scene);
    for (int i = 0; i < 5; i++) {
        (void)scene_publish(&scene->producers[1]);
    }
    assert_int_equal(dx_load_relaxed(&scene->producers[1].entry->wakes), 0);
    assert_int_equal(sleeps_of(waiter->consumer), 0); /* counted when a sleep ends */
    assert_true(is_asleep(waiter->consumer));
    /* K1 */
    const int64_t bit = INT64_C(1) << waiter->consumer->index;
    assert_int_equal(dx_load_relaxed(&scene->block->signal) & DXI_SIGNAL_SLEEPERS, bit);
    assert_int_equal(dx_load_relaxed(&waiter->consumer->entry->want), 0);

    publish_hole(scene);
    assert_int_equal(waiter_join(waiter, "hole"), 6);
    assert_int_equal(dx_load_relaxed(&scene->producers[0].entry->wakes), 1);
    assert_int_equal(dx_load_relaxed(&scene->block->signal) & DXI_SIGNAL_SLEEPERS, 0);
    scene_destroy(scene);
}

static void each_sleep_costs_one_wake(void **state)
{
    (void)state;
    for (int mode = DX_RING_SINGLE; mode <= DX_RING_MULTI; mode++) {
        scene_t *scene = scene_create((dx_ring_mode_t)mode, SCENE_SLOTS);
        set_up_follower(scene);
        waiter_t *waiter = &scene->waiters[0];
        for (int i = 0; i < 50; i++) {
            waiter_start(waiter);
            assert_true(comes_true(is_asleep, waiter->consumer));
            publish_next(scene);
            assert_int_equal(waiter_join(waiter, "sleeper"), i);
            dx_consumer_release(waiter->consumer, i);
        }
        assert_int_equal(sleeps_of(waiter->consumer), 50);
        assert_int_equal(dx_load_relaxed(&scene->producers[0].entry->wakes), 50);
        dx_ring_stat_t stat;
        dx_ring_stat(scene->ring, &stat);
        assert_int_equal(stat.wakes, 50);
        scene_destroy(scene);
    }
}

static void who_does_not_sleep_costs_no_wake(void **state)
{
    (void)state;
    const dx_wait_options_t spinning = {.kind = DX_WAIT_BUSY_SPIN, .follow_slots = -1};
    for (int mode = DX_RING_SINGLE; mode <= DX_RING_MULTI; mode++) {
        scene_t *scene = scene_create((dx_ring_mode_t)mode, SCENE_SLOTS);
        (void)scene_producer(scene, 0, spinning);
        waiter_t *waiter = &scene->waiters[0];
        waiter->consumer = scene_consumer(scene, 0, spinning);
        for (int i = 0; i < 50; i++) {
            waiter_start(waiter);
            assert_true(comes_true(has_waited, waiter->consumer));
            publish_next(scene);
            assert_int_equal(waiter_join(waiter, "spinner"), i);
            dx_consumer_release(waiter->consumer, i);
        }
        assert_int_equal(sleeps_of(waiter->consumer), 0);
        assert_int_equal(dx_load_relaxed(&scene->producers[0].entry->wakes), 0);
        scene_destroy(scene);
    }
}

/* K3 */
static void a_late_token_only_makes_the_sleeper_look_again(void **state)
{
    (void)state;
    scene_t *scene = scene_create(DX_RING_SINGLE, SCENE_SLOTS);
    set_up_follower(scene);
    waiter_t *waiter = &scene->waiters[0];
    dxi_wake_consumer(waiter->consumer->entry, false);
    dxi_wake_consumer(waiter->consumer->entry, false);
    waiter_start(waiter);
    assert_true(comes_true(is_asleep, waiter->consumer));
    publish_next(scene);
    assert_int_equal(waiter_join(waiter, "sleeper"), 0);
    assert_in_range(sleeps_of(waiter->consumer), 1, 2);
    scene_destroy(scene);
}

static void a_cancelled_producer_leaves_the_others_asleep_or_satisfied(void **state)
{
    (void)state;
    scene_t *scene = scene_create(DX_RING_MULTI, SCENE_SLOTS);
    set_up_full(scene);
    scene->waiters[1].producer = scene_producer(scene, 1, blocking);
    for (int i = 0; i < 2; i++) {
        waiter_start(&scene->waiters[i]);
        assert_true(comes_true(producer_sleeps, scene->waiters[i].producer));
    }
    cancel_waiter(scene);
    assert_int_equal(waiter_join(&scene->waiters[0], "cancelled"), DX_ECANCELLED);
    assert_false(waiter_is_done(&scene->waiters[1]));
    release_first(scene);
    assert_int_equal(waiter_join(&scene->waiters[1], "other"), SCENE_SLOTS);
    (void)dx_producer_publish(&scene->producers[1], SCENE_SLOTS);
    scene_destroy(scene);
}

static void use_up_room_and_claim(void *context)
{
    scene_t *scene = context;
    dx_consumer_release(&scene->consumers[0], SCENE_SLOTS - 1);
    waiter_start(&scene->waiters[0]);
    (void)comes_true(sleeps_or_is_done, &scene->waiters[0]);
}

static void open_second(void *context)
{
    scene_t *scene = context;
    if (dx_consumer_open(&scene->consumers[1], scene->ring, NULL, NULL) != DX_OK) {
        dx_ring_close(scene->ring); /* and so the producer's claim shows it */
    }
}

/* A consumer joins as slow as the slowest, and then moves to its place: that is progress, too. */
static void a_producer_that_a_joining_consumer_held_up_wakes_when_it_has_its_place(void **state)
{
    (void)state;
    if (!points_exist()) {
        SKIP_BECAUSE("this build has no named points");
    }
    for (int mode = DX_RING_SINGLE; mode <= DX_RING_MULTI; mode++) {
        scene_t *scene = scene_create((dx_ring_mode_t)mode, SCENE_SLOTS);
        set_up_full(scene);
        stepper_run(scene, open_second, "open:before-start", use_up_room_and_claim, scene);
        assert_int_equal(waiter_join(&scene->waiters[0], "producer"), SCENE_SLOTS);
        scene_destroy(scene);
    }
}

static int with_membarrier(void **state)
{
    (void)state;
    points_set(waiter_hook, NULL);
    return 0;
}

static int without_membarrier(void **state)
{
#if DX_TEST_HOOKS
    dxi_heavy_fence_disable(true);
#endif
    return with_membarrier(state);
}

static void rings_know_whether_there_is_a_membarrier(void **state)
{
    (void)state;
    scene_t *scene = scene_create(DX_RING_SINGLE, SCENE_SLOTS);
    set_up_follower(scene);
    const int64_t expected = dxi_heavy_fence_works() ? 0 : DXI_SIGNAL_FENCE;
    assert_int_equal(dx_load_relaxed(&scene->block->signal), expected);
    assert_int_equal(dx_load_relaxed(&scene->consumers[0].entry->waiters), expected);
    scene_destroy(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rings_know_whether_there_is_a_membarrier),
        cmocka_unit_test(every_waker_at_every_point_of_a_sleeping_consumer),
        cmocka_unit_test(every_waker_at_every_point_of_a_sleeping_producer),
        cmocka_unit_test(a_consumer_that_goes_to_sleep_behind_a_publication_does_not_sleep),
        cmocka_unit_test(a_sleeper_that_leaves_before_the_waker_clears_its_bit_costs_no_wake),
        cmocka_unit_test(a_consumer_that_sleeps_again_before_the_waker_clears_its_bit_is_not_lost),
        cmocka_unit_test(of_two_wakers_only_one_wakes),
        cmocka_unit_test(a_publication_beyond_a_hole_does_not_wake_its_sleeper),
        cmocka_unit_test(each_sleep_costs_one_wake),
        cmocka_unit_test(who_does_not_sleep_costs_no_wake),
        cmocka_unit_test(a_late_token_only_makes_the_sleeper_look_again),
        cmocka_unit_test(a_cancelled_producer_leaves_the_others_asleep_or_satisfied),
        cmocka_unit_test(a_producer_that_a_joining_consumer_held_up_wakes_when_it_has_its_place),
    };
    const int failed = cmocka_run_group_tests_name("park", tests, with_membarrier, NULL);
    return failed +
           cmocka_run_group_tests_name("park without membarrier", tests, without_membarrier, NULL);
}
