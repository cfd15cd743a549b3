/* test_park_pool.c - no wake-up is lost behind a pool or in one, nor under fire.
 *
 * The method is that of test_park.c: steps of the waker at each point of the sleeper. A pool has
 * two kinds of progress, the claim and the end of the work, and workers that wait while others go
 * on. The last tests aim with real threads at the moment in which the other side goes to sleep:
 * they fail without the fences (tools/mutation.py). DX_TEST_HAMMER=n aims n times as often.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "wait_test.h"

#include <sched.h>

static const dx_wait_options_t blocking = {.kind = DX_WAIT_BLOCKING, .follow_slots = -1};

/* ---------------------------------------------------------------------------------------- pools */

/* A pool of two workers that handle an event only once the gate is open, and a poller behind it. */
typedef struct pool_scene {
    waiter_t waiter;
    dx_producer_t producer;
    dx_disruptor_t *disruptor;
    dx_consumer_t *poller;
    uint64_t pool_members;
    dx_atomic32_t gate;    /* events that may be handled */
    dx_atomic32_t meeting; /* 1: a handler waits until two are in handlers at once */
    dx_atomic32_t inside;
    dx_atomic32_t handled;
    dx_atomic32_t stopped; /* 1: a worker stands still on its way to sleep; 2: it may go on */
} pool_scene_t;

static bool gate_is_open(const void *context)
{
    const pool_scene_t *scene = context;
    return dx_load32_acquire(&scene->gate) > dx_load32_acquire(&scene->handled);
}

static bool two_are_inside(const void *context)
{
    return dx_load32_acquire(&((const pool_scene_t *)context)->inside) >= 2;
}

static int handle_in_pool(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    pool_scene_t *scene = context;
    (void)event;
    (void)sequence;
    (void)end_of_batch;
    (void)dx_fetch_add32_acq_rel(&scene->inside, 1);
    if (dx_load32_acquire(&scene->meeting) != 0) {
        if (!comes_true(two_are_inside, scene)) {
            (void)dx_fetch_add32_acq_rel(&scene->inside, -1); /* alone: it must not meet itself */
        }
    } else {
        (void)comes_true(gate_is_open, scene);
        (void)dx_fetch_add32_acq_rel(&scene->inside, -1);
    }
    (void)dx_fetch_add32_acq_rel(&scene->handled, 1);
    return DX_HANDLER_CONTINUE;
}

static pool_scene_t *pool_scene_create(dx_ring_mode_t mode)
{
    pool_scene_t *scene = calloc(1, sizeof(*scene));
    assert_non_null(scene);
    const dx_disruptor_options_t options = {
        .ring = {.slot_count = SCENE_SLOTS, .event_bytes = sizeof(int64_t), .mode = mode}};
    assert_ok(dx_disruptor_create(&options, &scene->disruptor, NULL));
    const dx_handler_t worker = {.context = scene, .on_event = handle_in_pool, .wait = blocking};
    const dx_handler_t workers[2] = {worker, worker};
    const dx_pool_t pool = {.workers = workers, .worker_count = 2, .claim_max = 1};
    const dx_consumer_options_t behind = {.wait = blocking};
    dx_group_t group;
    assert_ok(dx_disruptor_handle_events_with_pool(scene->disruptor, &pool, &group, NULL));
    scene->pool_members = group.members;
    assert_ok(dx_group_then_poller(group, &behind, &scene->poller, NULL, NULL));
    assert_ok(dx_producer_open(&scene->producer, dx_disruptor_ring(scene->disruptor), NULL, NULL));
    scene->waiter.consumer = scene->poller;
    scene->waiter.context = scene;
    return scene;
}

static void pool_scene_destroy(pool_scene_t *scene)
{
    dx_producer_close(&scene->producer);
    dx_disruptor_destroy(scene->disruptor);
    free(scene);
}

/* Every worker is idle and the first event is claimed: the pool is done with it. */
static bool pool_is_done(const void *context)
{
    const pool_scene_t *scene = context;
    return dxi_minimum(scene->poller->block, scene->pool_members) >= scene->poller->next;
}

static bool pool_has_claimed(const void *context)
{
    const pool_scene_t *scene = context;
    const int pool_index = __builtin_ctzll(scene->pool_members); /* W4: the lowest */
    const dx_consumer_entry_t *entries = dxi_block_consumers(scene->poller->block);
    return dx_load_acquire(&entries[pool_index].sequence) >= scene->poller->next;
}

static void pool_handles(void *context)
{
    pool_scene_t *scene = context;
    dx_store32_release(&scene->gate, 1);
    (void)scene_publish(&scene->producer);
    (void)comes_true(pool_is_done, scene);
}

static void pool_claims(void *context)
{
    pool_scene_t *scene = context;
    (void)scene_publish(&scene->producer);
    (void)comes_true(pool_has_claimed, scene);
}

static void open_gate(void *context)
{
    dx_store32_release(&((pool_scene_t *)context)->gate, 1);
}

static void open_gate_and_wait(void *context)
{
    open_gate(context);
    (void)comes_true(pool_is_done, context);
}

static void run_pool_scenario(dx_ring_mode_t mode, const char *point, void (*before)(void *),
                              void (*action)(void *), void (*after)(void *))
{
    if (!points_exist() && strcmp(point, ASLEEP) != 0) {
        return;
    }
    pool_scene_t *scene = pool_scene_create(mode);
    assert_ok(dx_disruptor_start(scene->disruptor, NULL));
    before(scene);
    scene->waiter.point = point;
    scene->waiter.action = action;
    waiter_start(&scene->waiter);
    if (strcmp(point, ASLEEP) == 0) {
        assert_true(comes_true(sleeps_or_is_done, &scene->waiter));
        action(scene);
    } else if (!comes_true(waiter_has_fired, &scene->waiter)) {
        fail_msg("%s is not reached behind a pool", point);
    }
    assert_true(comes_true(sleeps_or_is_done, &scene->waiter));
    after(scene);
    assert_int_equal(waiter_join(&scene->waiter, point), 0);
    pool_scene_destroy(scene);
}

static void nothing(void *context)
{
    (void)context;
}

static void every_step_of_a_pool_at_every_point_of_who_sleeps_behind_it(void **state)
{
    (void)state;
    static const char *const points[] = {"park:before-bit", "park:before-fence", "park:before-look",
                                         "park:before-sleep", ASLEEP};
    for (int mode = DX_RING_SINGLE; mode <= DX_RING_MULTI; mode++) {
        for (size_t i = 0; i < COUNT_OF(points); i++) {
            const dx_ring_mode_t of = (dx_ring_mode_t)mode;
            run_pool_scenario(of, points[i], nothing, pool_handles, nothing);
            run_pool_scenario(of, points[i], nothing, pool_claims, open_gate);
            run_pool_scenario(of, points[i], pool_claims, open_gate_and_wait, nothing);
        }
    }
}

static bool one_stands_still(const void *context)
{
    return dx_load32_acquire(&((const pool_scene_t *)context)->stopped) != 0;
}

static bool may_go_on(const void *context)
{
    return dx_load32_acquire(&((const pool_scene_t *)context)->stopped) == 2;
}

/* The first worker on its way to sleep stands still until it may go on. */
static void stop_one_worker(const char *point, void *context)
{
    pool_scene_t *scene = context;
    int32_t nobody = 0;
    if (strcmp(point, "park:before-bit") == 0 && dxi_current_consumer() != NULL &&
        dx_compare_exchange32_acq_rel(&scene->stopped, &nobody, 1)) {
        (void)comes_true(may_go_on, scene);
    }
}

static bool all_are_handled(const void *context)
{
    const pool_scene_t *scene = context;
    return dx_load32_acquire(&scene->handled) > dx_load_relaxed(&scene->poller->entry->sequence);
}

/* A worker that waits holds nobody back, so the ring may turn several times before it looks. */
static void a_worker_that_slept_through_whole_laps_finds_work_again(void **state)
{
    (void)state;
    if (!points_exist()) {
        SKIP_BECAUSE("this build has no named points");
    }
    for (int mode = DX_RING_SINGLE; mode <= DX_RING_MULTI; mode++) {
        pool_scene_t *scene = pool_scene_create((dx_ring_mode_t)mode);
        points_set(stop_one_worker, scene);
        dx_store32_release(&scene->gate, 3 * SCENE_SLOTS + 2);
        assert_ok(dx_disruptor_start(scene->disruptor, NULL));
        assert_true(comes_true(one_stands_still, scene));
        for (int64_t i = 0; i < INT64_C(3) * SCENE_SLOTS + 1; i++) {
            assert_int_equal(scene_publish(&scene->producer), i);
            assert_true(comes_true(pool_is_done, scene));
            dx_consumer_release(scene->poller, i);
        }
        /* Each of the next two events is done only when both workers have one. */
        dx_store32_release(&scene->meeting, 1);
        dx_store32_release(&scene->stopped, 2);
        assert_int_equal(scene_publish(&scene->producer), 3 * SCENE_SLOTS + 1);
        assert_int_equal(scene_publish(&scene->producer), 3 * SCENE_SLOTS + 2);
        if (!comes_true(two_are_inside, scene)) {
            fail_msg("mode %d: one of the workers is lost", mode);
        }
        assert_true(comes_true(all_are_handled, scene));
        points_set(waiter_hook, NULL);
        pool_scene_destroy(scene);
    }
}

/* ------------------------------------------------------------------------------------ hammering */

#define HAMMER_ROUNDS 8000
#define HAMMER_SLOTS 2

/* One side makes progress and aims at the moment in which the other goes to sleep for it. */
typedef struct hammer {
    scene_t *scene;
    int64_t rounds;
    uint64_t random;
    dx_atomic32_t left; /* threads that have not ended */
} hammer_t;

/* Up to some 10, 40 or 160 ns: where the sleeper looks depends on the machine. */
static void hammer_pause(hammer_t *hammer)
{
    const uint64_t range = UINT64_C(32) << (random_next(&hammer->random) >> 32) % 3 * 2;
    for (uint64_t spins = random_next(&hammer->random) % range; spins > 0; spins--) {
        __asm__ __volatile__("" ::: "memory");
    }
}

/* Watches closely, but lets the other side run where there is one core. */
static void hammer_look_again(int64_t looks)
{
    if (looks % 1024 != 0) {
        dx_cpu_relax();
    } else {
        (void)sched_yield();
    }
}

static void hammer_wait_for(const dx_atomic64_t *sequence, int64_t value)
{
    for (int64_t looks = 1; dx_load_acquire(sequence) < value; looks++) {
        hammer_look_again(looks);
    }
}

static void *hammer_end(hammer_t *hammer)
{
    (void)dx_fetch_add32_acq_rel(&hammer->left, -1);
    return NULL;
}

/* Publishes each event when the last consumer has finished the one before. */
static void *hammer_publish(void *context)
{
    hammer_t *hammer = context;
    scene_t *scene = hammer->scene;
    const dx_consumer_entry_t *last = scene->consumers[scene->opened - 1].entry;
    for (int64_t i = 0; i < hammer->rounds; i++) {
        hammer_wait_for(&last->sequence, i - 1);
        hammer_pause(hammer);
        (void)scene_publish(&scene->producers[0]);
    }
    return hammer_end(hammer);
}

/* Consumer 0 releases each event when consumer 1, behind it, has finished the one before. */
static void *hammer_release(void *context)
{
    hammer_t *hammer = context;
    scene_t *scene = hammer->scene;
    for (int64_t i = 0; i < hammer->rounds; i++) {
        (void)scene_publish(&scene->producers[0]);
        hammer_wait_for(&scene->consumers[1].entry->sequence, i - 1);
        hammer_pause(hammer);
        dx_consumer_release(&scene->consumers[0], i);
    }
    return hammer_end(hammer);
}

/* The consumer releases an event when the ring is full again. */
static void *hammer_make_room(void *context)
{
    hammer_t *hammer = context;
    scene_t *scene = hammer->scene;
    for (int64_t i = 0; i < hammer->rounds - HAMMER_SLOTS; i++) {
        for (int64_t looks = 1; dx_ring_published(scene->ring) < i + HAMMER_SLOTS - 1; looks++) {
            hammer_look_again(looks);
        }
        hammer_pause(hammer);
        dx_consumer_release(&scene->consumers[0], i);
    }
    return hammer_end(hammer);
}

/* The last consumer: sleeps for each event. */
static void *hammer_consume(void *context)
{
    hammer_t *hammer = context;
    dx_consumer_t *consumer = &hammer->scene->consumers[hammer->scene->opened - 1];
    for (int64_t i = 0; i < hammer->rounds && dx_consumer_wait(consumer) >= i; i++) {
        dx_consumer_release(consumer, i);
    }
    return hammer_end(hammer);
}

/* The producer: sleeps for room. */
static void *hammer_fill(void *context)
{
    hammer_t *hammer = context;
    for (int64_t i = 0; i < hammer->rounds; i++) {
        (void)scene_publish(&hammer->scene->producers[0]);
    }
    return hammer_end(hammer);
}

static bool hammer_is_done(const void *context)
{
    return dx_load32_acquire(&((const hammer_t *)context)->left) == 0;
}

static void run_hammer(dx_ring_mode_t mode, int consumers, void *(*waker)(void *),
                       void *(*sleeper)(void *))
{
    static hammer_t hammer; /* outlives a test that fails */
    const char *factor = getenv("DX_TEST_HAMMER");
    hammer = (hammer_t){.scene = scene_create(mode, HAMMER_SLOTS),
                        .rounds = HAMMER_ROUNDS,
                        .random = UINT64_C(88172645463325252),
                        .left = {2}};
    hammer.rounds *= factor != NULL ? strtoll(factor, NULL, 10) : 1;
    (void)scene_producer(hammer.scene, 0, blocking);
    for (int i = 0; i < consumers; i++) {
        (void)scene_consumer(hammer.scene, (uint64_t)i, blocking); /* 1 is behind 0 */
    }
    pthread_t threads[2];
    assert_int_equal(pthread_create(&threads[0], NULL, sleeper, &hammer), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, waker, &hammer), 0);
    if (!comes_true(hammer_is_done, &hammer)) {
        fail_msg("mode %d: after %lld events one sleeps for ever", (int)mode,
                 (long long)dx_ring_published(hammer.scene->ring) + 1);
    }
    assert_int_equal(pthread_join(threads[0], NULL), 0);
    assert_int_equal(pthread_join(threads[1], NULL), 0);
    scene_destroy(hammer.scene);
}

static void no_wake_up_is_lost_between_a_publisher_and_a_consumer(void **state)
{
    (void)state;
    run_hammer(DX_RING_SINGLE, 1, hammer_publish, hammer_consume);
    run_hammer(DX_RING_MULTI, 1, hammer_publish, hammer_consume);
}

static void no_wake_up_is_lost_between_a_consumer_and_the_one_behind_it(void **state)
{
    (void)state;
    run_hammer(DX_RING_SINGLE, 2, hammer_release, hammer_consume);
}

static void no_wake_up_is_lost_between_a_consumer_and_a_producer(void **state)
{
    (void)state;
    run_hammer(DX_RING_SINGLE, 1, hammer_make_room, hammer_fill);
    run_hammer(DX_RING_MULTI, 1, hammer_make_room, hammer_fill);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_step_of_a_pool_at_every_point_of_who_sleeps_behind_it),
        cmocka_unit_test(a_worker_that_slept_through_whole_laps_finds_work_again),
        cmocka_unit_test(no_wake_up_is_lost_between_a_publisher_and_a_consumer),
        cmocka_unit_test(no_wake_up_is_lost_between_a_consumer_and_the_one_behind_it),
        cmocka_unit_test(no_wake_up_is_lost_between_a_consumer_and_a_producer),
    };
    const int failed = cmocka_run_group_tests_name("park pool", tests, with_membarrier, NULL);
    return failed + cmocka_run_group_tests_name("park pool without membarrier", tests,
                                                without_membarrier, NULL);
}
