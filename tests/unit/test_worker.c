/* test_worker.c - pools: each event to exactly one worker, whatever the workers do.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disruptor_test.h"

#define EVENTS_MAX 2048
#define WORKERS_MAX 4
#define KEYS 10

#define STAGE_FRONT 1
#define STAGE_POOL 2

struct scene;

typedef struct worker {
    struct scene *scene;
    int id;
    int64_t batch_left; /* events that the running batch has still to bring; -1: not announced */
} worker_t;

/* A pool between a stage in front and a stage behind, each of which checks what reaches it. */
typedef struct scene {
    dx_disruptor_t *disruptor;
    dx_group_t pool;
    worker_t workers[WORKERS_MAX];
    dx_atomic64_t seen[EVENTS_MAX];
    dx_atomic64_t handled; /* by workers */
    dx_atomic64_t behind;
    dx_atomic64_t wrong;
    dx_atomic64_t timeouts;
    dx_atomic64_t key_owner[KEYS]; /* worker + 1 */
    dx_atomic64_t key_last[KEYS];  /* sequence + 1 */
    bool keyed;
    bool has_front;
    dx_atomic64_t stop_at; /* sequence + 1 at which ... */
    int stop_result;       /* ... a worker returns this, once */
    int every_result;      /* when set: the result of every event */
    dx_atomic64_t ended[WORKERS_MAX];
    int64_t front_fails_at; /* sequence + 1, once */
} scene_t;

static scene_t *scene_make(void)
{
    scene_t *scene = calloc(1, sizeof(*scene));
    assert_non_null(scene);
    return scene;
}

static void expect(scene_t *scene, bool condition)
{
    if (!condition) {
        count_up(&scene->wrong);
    }
}

static int front_event(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    scene_t *scene = context;
    event_t *e = event;
    (void)end_of_batch;
    if (sequence + 1 == scene->front_fails_at) {
        scene->front_fails_at = 0;
        return DX_EIO;
    }
    expect(scene, e->value == value_of(sequence) && e->stages == 0);
    e->stages = STAGE_FRONT;
    return DX_HANDLER_CONTINUE;
}

static int worker_batch_start(void *context, int64_t batch_events, int64_t depth_events)
{
    worker_t *worker = context;
    expect(worker->scene, worker->batch_left <= 0 && batch_events > 0);
    expect(worker->scene, depth_events >= batch_events);
    worker->batch_left = batch_events;
    return DX_OK;
}

static int worker_event(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    worker_t *worker = context;
    scene_t *scene = worker->scene;
    event_t *e = event;
    if (sequence >= EVENTS_MAX || e->value != value_of(sequence)) {
        count_up(&scene->wrong);
        return DX_HANDLER_CONTINUE;
    }
    int64_t at = sequence + 1;
    const bool stops = dx_compare_exchange_acq_rel(&scene->stop_at, &at, 0);
    if (stops && scene->stop_result < 0) {
        worker->batch_left = 0;
        return scene->stop_result;
    }
    expect(scene, e->stages == (scene->has_front ? STAGE_FRONT : 0));
    expect(scene, (--worker->batch_left == 0) == end_of_batch);
    if (scene->keyed) {
        int64_t nobody = 0;
        (void)dx_compare_exchange_acq_rel(&scene->key_owner[e->key], &nobody, worker->id + 1);
        expect(scene, dx_load_acquire(&scene->key_owner[e->key]) == worker->id + 1);
        expect(scene, dx_load_acquire(&scene->key_last[e->key]) <= sequence);
        dx_store_release(&scene->key_last[e->key], sequence + 1);
    }
    e->stages |= STAGE_POOL;
    count_up(&scene->seen[sequence]);
    count_up(&scene->handled);
    if (stops || scene->every_result != 0) {
        worker->batch_left = 0;
        return stops ? scene->stop_result : scene->every_result;
    }
    return DX_HANDLER_CONTINUE;
}

static int worker_timeout(void *context, int64_t sequence)
{
    worker_t *worker = context;
    (void)sequence;
    count_up(&worker->scene->timeouts);
    return DX_OK;
}

static void worker_shutdown(void *context)
{
    worker_t *worker = context;
    count_up(&worker->scene->ended[worker->id]);
}

static int behind_event(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    scene_t *scene = context;
    const event_t *e = event;
    (void)end_of_batch;
    expect(scene, sequence == dx_load_relaxed(&scene->behind));
    expect(scene, e->stages == (scene->has_front ? STAGE_FRONT | STAGE_POOL : STAGE_POOL));
    count_up(&scene->behind);
    return DX_HANDLER_CONTINUE;
}

static uint64_t key_of(void *context, const void *event)
{
    (void)context;
    return (uint64_t)((const event_t *)event)->key;
}

/* Adds the pool and the stage behind it; the stage in front when `has_front` is set. */
static void scene_build(scene_t *scene, dx_ring_mode_t mode, const dx_pool_t *shape,
                        const dx_handler_t *worker_shape)
{
    scene->disruptor = make_disruptor(mode, 64);
    dx_handler_t workers[WORKERS_MAX];
    for (uint32_t i = 0; i < shape->worker_count; i++) {
        scene->workers[i] = (worker_t){.scene = scene, .id = (int)i};
        workers[i] = worker_shape != NULL ? *worker_shape : (dx_handler_t){0};
        workers[i].context = &scene->workers[i];
        workers[i].on_event = worker_event;
        workers[i].on_batch_start = worker_batch_start;
        workers[i].on_shutdown = worker_shutdown;
    }
    dx_pool_t pool = *shape;
    pool.workers = workers;
    pool.key = scene->keyed ? key_of : NULL;
    if (scene->has_front) {
        const dx_handler_t front = {.context = scene, .on_event = front_event};
        dx_group_t group;
        add_handlers_ok(scene->disruptor, &front, 1, &group);
        assert_ok(dx_group_then_pool(group, &pool, &scene->pool, NULL));
    } else {
        assert_ok(
            dx_disruptor_handle_events_with_pool(scene->disruptor, &pool, &scene->pool, NULL));
    }
    const dx_handler_t behind = {.name = "behind", .context = scene, .on_event = behind_event};
    assert_ok(dx_group_then(scene->pool, &behind, 1, NULL, NULL));
}

static void scene_publish(scene_t *scene, int64_t count)
{
    dx_producer_t producer;
    assert_ok(dx_producer_open(&producer, dx_disruptor_ring(scene->disruptor), NULL, NULL));
    for (int64_t i = 0; i < count; i++) {
        const int64_t sequence = dx_producer_claim(&producer);
        assert_true(sequence >= 0);
        *DX_PRODUCER_EVENT(&producer, sequence, event_t) =
            (event_t){.value = value_of(sequence), .key = sequence * sequence % KEYS};
        assert_ok(dx_producer_publish(&producer, sequence));
    }
    dx_producer_close(&producer);
}

/* Each of the first `count` events was handled once, in front, in the pool and behind it. */
static void scene_check(scene_t *scene, int64_t count)
{
    assert_int_equal(dx_load_relaxed(&scene->wrong), 0);
    for (int64_t sequence = 0; sequence < EVENTS_MAX; sequence++) {
        assert_int_equal(dx_load_relaxed(&scene->seen[sequence]), sequence < count);
    }
    assert_int_equal(dx_load_relaxed(&scene->behind), count);
}

static void scene_end(scene_t *scene)
{
    dx_disruptor_destroy(scene->disruptor);
    free(scene);
}

/* --------------------------------------------------------------------------------- exactly once */

static void each_event_goes_to_exactly_one_worker_after_its_publication(void **state)
{
    (void)state;
    static const struct {
        uint32_t workers;
        int64_t claim_max;
        bool has_front;
        bool keyed;
        dx_handler_t shape;
    } rows[] = {
        {1, 0, false, false, {0}},
        {2, 1, false, false, {.wait = {.kind = DX_WAIT_BLOCKING}}},
        {3, 0, true, false, {.wait = {.kind = DX_WAIT_YIELDING}}},
        {4, 3, true, false, {.wait = {.kind = DX_WAIT_SLEEPING}}},
        {2, DX_RING_SLOT_COUNT_MAX, false, false, {.wait = {.kind = DX_WAIT_LITE_BLOCKING}}},
        {2, 16, true, false, {.batch_max = 3}},
        {3,
         5,
         false,
         false,
         {.wait = {.kind = DX_WAIT_TIMEOUT_BLOCKING, .timeout_ns = 100000},
          .on_timeout = worker_timeout}},
        {1, 0, false, true, {0}},
        {3, 0, false, true, {.wait = {.kind = DX_WAIT_BLOCKING}}},
        {4, 0, true, true, {.batch_max = 7}},
    };
    for (size_t i = 0; i < COUNT_OF(rows) * 2; i++) {
        scene_t *scene = scene_make();
        scene->has_front = rows[i / 2].has_front;
        scene->keyed = rows[i / 2].keyed;
        const dx_pool_t shape = {.worker_count = rows[i / 2].workers,
                                 .claim_max = rows[i / 2].claim_max};
        scene_build(scene, i % 2 == 0 ? DX_RING_SINGLE : DX_RING_MULTI, &shape, &rows[i / 2].shape);
        scene_publish(scene, 40);
        assert_ok(dx_disruptor_start(scene->disruptor, NULL));
        scene_publish(scene, 960);
        shutdown_ok(scene->disruptor);
        scene_check(scene, 1000);
        scene_end(scene);
    }
}

static void a_pool_behind_a_pool_gets_each_event_once(void **state)
{
    (void)state;
    scene_t *scene = scene_make();
    scene->has_front = true; /* the first pool plays the stage in front */
    scene->disruptor = make_disruptor(DX_RING_MULTI, 64);
    dx_handler_t first[2];
    dx_handler_t second[2];
    for (int i = 0; i < 2; i++) {
        scene->workers[i] = (worker_t){.scene = scene, .id = i};
        first[i] = (dx_handler_t){.context = scene, .on_event = front_event};
        second[i] = (dx_handler_t){.context = &scene->workers[i],
                                   .on_event = worker_event,
                                   .on_batch_start = worker_batch_start};
    }
    dx_group_t group;
    assert_ok(dx_disruptor_handle_events_with_pool(
        scene->disruptor, &(dx_pool_t){.name = "first", .workers = first, .worker_count = 2},
        &group, NULL));
    assert_ok(dx_group_then_pool(
        group, &(dx_pool_t){.name = "second", .workers = second, .worker_count = 2}, &scene->pool,
        NULL));
    const dx_handler_t behind = {.context = scene, .on_event = behind_event};
    assert_ok(dx_group_then(scene->pool, &behind, 1, NULL, NULL));
    assert_ok(dx_disruptor_start(scene->disruptor, NULL));
    scene_publish(scene, 1000);
    shutdown_ok(scene->disruptor);
    scene_check(scene, 1000);
    scene_end(scene);
}

/* Fails when: a worker claims before it waits, or forgets what it had claimed. */
static void pausing_and_resuming_a_pool_under_load_loses_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        scene_t *scene = scene_make();
        scene->has_front = i >= 2;
        const dx_pool_t shape = {.worker_count = 2, .claim_max = 4};
        const dx_handler_t worker = {.batch_max = 1}; /* stops within a claim, too */
        scene_build(scene, i % 2 == 0 ? DX_RING_SINGLE : DX_RING_MULTI, &shape, &worker);
        assert_ok(dx_disruptor_start(scene->disruptor, NULL));
        for (int round = 0; round < 100; round++) {
            if (round % 3 != 0) { /* waiting, or busy */
                scene_publish(scene, 10);
            }
            dx_group_t paused = scene->pool;
            if (round % 2 == 1) { /* only the last worker */
                paused.members = UINT64_C(1) << (63 - __builtin_clzll(paused.members));
            }
            assert_ok(dx_group_pause(paused, NULL));
            /* A paused pool makes no room: publish only what fits. */
            const int64_t room = dx_ring_remaining(dx_disruptor_ring(scene->disruptor));
            scene_publish(scene, room < 5 ? room : 5);
            assert_ok(dx_group_resume(paused, NULL));
            if (round % 10 == 0) {
                wait_until(dx_load_acquire(&scene->behind) ==
                           dx_ring_published(dx_disruptor_ring(scene->disruptor)) + 1);
            }
        }
        shutdown_ok(scene->disruptor);
        const int64_t published = dx_ring_published(dx_disruptor_ring(scene->disruptor)) + 1;
        assert_in_range(published, 66 * 10, 66 * 10 + 100 * 5);
        scene_check(scene, published);
        scene_end(scene);
    }
}

/* ----------------------------------------------------------------------- results within a claim */

static void a_worker_does_what_its_handler_says_and_keeps_the_rest_of_its_claim(void **state)
{
    (void)state;
    static const struct {
        rule_t rule;
        dx_error_policy_t policy;
        int64_t claim_max;
        int64_t batch_max;
        int code;
        const char *trace;
    } rows[] = {
        {{0}, 0, 0, 0, DX_OK, "< [4/4 0 1 2 3* > < > "},
        {{0}, 0, 3, 0, DX_OK, "< [3/4 0 1 2* [1/1 3* > < > "},
        {{0}, 0, 1, 0, DX_OK, "< [1/4 0* [1/3 1* [1/2 2* [1/1 3* > < > "},
        {{0}, 0, 3, 2, DX_OK, "< [2/4 0 1* [1/2 2* [1/1 3* > < > "},
        {{1, 1, DX_HANDLER_STOP}, 0, 0, 0, DX_ECONSUMER, "< [4/4 0 1 > < [2/2 2 3* > "},
        {{1, 1, DX_EIO}, 0, 0, 0, DX_ECONSUMER, "< [4/4 0 1 > < [3/3 1 2 3* > "},
        {{1, 1, DX_EIO},
         DX_ON_ERROR_STOP,
         2,
         0,
         DX_ECONSUMER,
         "< [2/4 0 1* > < [1/3 1* [2/2 2 3* > "},
        {{1, 1, DX_EIO}, DX_ON_ERROR_SKIP, 0, 0, DX_OK, "< [4/4 0 1 2 3* > < > "},
        {{3, 1, DX_HANDLER_STOP}, 0, 0, 0, DX_OK, "< [4/4 0 1 2 3* > < > "},
        {{1, 2, DX_HANDLER_RETRY}, 0, 0, 0, DX_OK, "< [4/4 0 1 1 1 2 3* > < > "},
        {{1, 1, DX_HANDLER_REWIND}, 0, 0, 0, DX_OK, "< [4/4 0 1 [4/4 0 1 2 3* > < > "},
        {{3, 1, DX_HANDLER_REWIND}, 0, 2, 0, DX_OK, "< [2/4 0 1* [2/2 2 3* [2/2 2 3* > < > "},
        {{1, 0, DX_HANDLER_RELEASE}, 0, 0, 0, DX_OK, "< [4/4 0 1 2 3* > < > "},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        probe_t probe = {.rules = {rows[i].rule}};
        probe_t behind = {0};
        dx_disruptor_t *disruptor = make_disruptor(DX_RING_SINGLE, 8);
        dx_handler_t worker = probe_handler(&probe, "worker");
        worker.on_error_policy = rows[i].policy;
        worker.batch_max = rows[i].batch_max;
        dx_group_t pool;
        assert_ok(dx_disruptor_handle_events_with_pool(
            disruptor,
            &(dx_pool_t){.workers = &worker, .worker_count = 1, .claim_max = rows[i].claim_max},
            &pool, NULL));
        const dx_handler_t follower = probe_handler(&behind, "behind");
        assert_ok(dx_group_then(pool, &follower, 1, NULL, NULL));
        publish(disruptor, 4);
        assert_ok(dx_disruptor_start(disruptor, NULL));
        assert_code(dx_disruptor_shutdown(disruptor, DEADLINE_NS, NULL), rows[i].code);
        memset(probe.rules, 0, sizeof(probe.rules));
        assert_ok(dx_disruptor_start(disruptor, NULL));
        shutdown_ok(disruptor);
        assert_trace(&probe, rows[i].trace);
        assert_int_equal(dx_load_relaxed(&behind.events), 4);
        assert_int_equal(stat_of(disruptor, 1).events, 4);
        dx_disruptor_destroy(disruptor);
    }
}

static void what_a_worker_releases_or_skips_early_is_seen_or_hidden_behind_the_pool(void **state)
{
    (void)state;
    probe_t probe = {.rules = {{0, 0, DX_HANDLER_SKIP}, {1, 0, DX_HANDLER_RELEASE}}};
    probe_t behind = {0};
    probe_hold(&probe, 2);
    dx_disruptor_t *disruptor = make_disruptor(DX_RING_SINGLE, 8);
    dx_handler_t worker = probe_handler(&probe, "worker");
    worker.may_skip = true;
    dx_group_t pool;
    assert_ok(dx_disruptor_handle_events_with_pool(
        disruptor, &(dx_pool_t){.workers = &worker, .worker_count = 1}, &pool, NULL));
    const dx_handler_t follower = probe_handler(&behind, "behind");
    assert_ok(dx_group_then(pool, &follower, 1, NULL, NULL));
    publish(disruptor, 4);
    assert_ok(dx_disruptor_start(disruptor, NULL));
    wait_until(probe_holds(&probe));
    wait_until(stat_of(disruptor, 2).sequence == 1);
    probe_let_go(&probe);
    shutdown_ok(disruptor);
    assert_trace(&behind, "< [1/2 1* [2/2 2 3* > ");
    dx_disruptor_destroy(disruptor);
}

/* ---------------------------------------------------------------------------------- workers end */

static void the_other_workers_go_on_when_one_ends_and_it_goes_on_where_it_was(void **state)
{
    (void)state;
    static const int results[] = {DX_HANDLER_STOP, DX_EIO};
    for (size_t i = 0; i < COUNT_OF(results); i++) {
        scene_t *scene = scene_make();
        scene->stop_result = results[i];
        dx_store_relaxed(&scene->stop_at, 1 + 1);
        const dx_pool_t shape = {.worker_count = 2, .claim_max = 4};
        scene_build(scene, DX_RING_MULTI, &shape, NULL);
        scene_publish(scene, 4);
        assert_ok(dx_disruptor_start(scene->disruptor, NULL));
        wait_until(dx_load_acquire(&scene->ended[0]) + dx_load_acquire(&scene->ended[1]) == 1);
        scene_publish(scene, 16);
        /* The first event that it did not finish; those of the other are 4..19. */
        const int64_t held = results[i] == DX_HANDLER_STOP ? 2 : 1;
        wait_until(dx_load_acquire(&scene->handled) == held + 16);
        wait_until(stat_of(scene->disruptor, 3).state == DX_CONSUMER_FAILED);
        assert_int_equal(dx_load_acquire(&scene->behind), held);
        assert_int_equal(dx_ring_consumed(dx_disruptor_ring(scene->disruptor)), held - 1);

        dx_producer_t producer; /* whoever needs its place is told */
        assert_ok(dx_producer_open(&producer, dx_disruptor_ring(scene->disruptor), NULL, NULL));
        assert_code((int)dx_producer_claim_n(&producer, 64), DX_ECONSUMER);
        dx_producer_close(&producer);

        const dx_group_t all = {scene->disruptor, 0xf};
        assert_ok(dx_group_resume(all, NULL)); /* "behind" has ended, too */
        wait_until(dx_load_acquire(&scene->behind) == 20);
        shutdown_ok(scene->disruptor);
        scene_check(scene, 20);
        scene_end(scene);
    }
}

static void producers_and_followers_are_told_when_all_workers_have_ended(void **state)
{
    (void)state;
    static const int results[] = {DX_HANDLER_STOP, DX_EFATAL};
    for (size_t i = 0; i < COUNT_OF(results) * 2; i++) {
        scene_t *scene = scene_make();
        scene->every_result = results[i / 2];
        const dx_pool_t shape = {.worker_count = 2, .claim_max = 1};
        scene_build(scene, i % 2 == 0 ? DX_RING_SINGLE : DX_RING_MULTI, &shape, NULL);
        assert_ok(dx_disruptor_start(scene->disruptor, NULL));
        scene_publish(scene, 10);
        wait_until(dx_load_acquire(&scene->ended[0]) == 1 &&
                   dx_load_acquire(&scene->ended[1]) == 1);
        assert_int_equal(dx_load_acquire(&scene->handled), 2);
        wait_until(stat_of(scene->disruptor, 3).state == DX_CONSUMER_FAILED);
        assert_int_equal(stat_of(scene->disruptor, 0).state, DX_CONSUMER_STOPPED);

        dx_producer_t producer;
        assert_ok(dx_producer_open(&producer, dx_disruptor_ring(scene->disruptor), NULL, NULL));
        assert_code((int)dx_producer_claim_n(&producer, 64), DX_ECONSUMER);
        dx_producer_close(&producer);

        /* One worker is enough to bring the pool back to life. */
        const bool stop = results[i / 2] == DX_HANDLER_STOP;
        scene->every_result = 0;
        dx_group_t group = {scene->disruptor, 0x2 | 0x8};
        assert_ok(dx_group_resume(group, NULL));
        assert_int_equal(stat_of(scene->disruptor, 0).state, DX_CONSUMER_RUNNING);
        if (stop) {
            wait_until(dx_load_acquire(&scene->behind) == 10);
            scene_publish(scene, 70);
            wait_until(dx_load_acquire(&scene->behind) == 80);
            shutdown_ok(scene->disruptor);
            scene_check(scene, 80);
        }
        scene_end(scene);
    }
}

static void a_pool_behind_a_consumer_that_failed_ends_and_goes_on_after_a_restart(void **state)
{
    (void)state;
    scene_t *scene = scene_make();
    dx_error_t error = {0};
    scene->has_front = true;
    scene->front_fails_at = 3 + 1;
    const dx_pool_t shape = {.worker_count = 2, .claim_max = 1};
    scene_build(scene, DX_RING_MULTI, &shape, NULL);
    scene_publish(scene, 10);
    assert_ok(dx_disruptor_start(scene->disruptor, NULL));
    for (int index = 2; index <= 4; index++) { /* the workers, and the stage behind them */
        wait_until(stat_of(scene->disruptor, index).state == DX_CONSUMER_FAILED);
        assert_code(stat_of(scene->disruptor, index).failure, DX_ECONSUMER);
    }
    wait_until(stat_of(scene->disruptor, 1).state == DX_CONSUMER_STOPPED);
    assert_fails(dx_disruptor_shutdown(scene->disruptor, DX_FOREVER, &error), DX_ECONSUMER, error,
                 "7 events are left: consumer 'handler-0' failed at sequence 3");
    assert_int_equal(dx_load_relaxed(&scene->behind), 3);
    assert_ok(dx_disruptor_start(scene->disruptor, NULL));
    shutdown_ok(scene->disruptor);
    scene_check(scene, 10);
    scene_end(scene);
}

static void a_cancelled_wait_loses_nothing(void **state)
{
    (void)state;
    scene_t *scene = scene_make();
    scene->has_front = true;
    const dx_pool_t shape = {.worker_count = 2};
    scene_build(scene, DX_RING_SINGLE, &shape, NULL);
    assert_ok(dx_disruptor_start(scene->disruptor, NULL));
    dx_ring_t *ring = dx_disruptor_ring(scene->disruptor);
    for (int64_t round = 1; round <= 50; round++) {
        for (int index = 0; index < 5; index++) {
            dxi_consumer_control(ring, index, DXI_CONTROL_CANCEL);
        }
        scene_publish(scene, 2);
        wait_until(dx_load_acquire(&scene->behind) == 2 * round);
    }
    shutdown_ok(scene->disruptor);
    scene_check(scene, 100);
    scene_end(scene);
}

static int fatal_timeout(void *context, int64_t sequence)
{
    (void)sequence;
    probe_t *probe = context;
    count_up(&probe->timeouts);
    return DX_EFATAL;
}

static void a_worker_that_fails_while_idle_holds_nobody_back(void **state)
{
    (void)state;
    probe_t probes[2] = {0};
    dx_error_t error = {0};
    dx_disruptor_t *disruptor = make_disruptor(DX_RING_SINGLE, 8);
    dx_handler_t workers[] = {probe_handler(&probes[0], "failing"),
                              probe_handler(&probes[1], "good")};
    workers[0].wait = (dx_wait_options_t){.kind = DX_WAIT_BLOCKING, .timeout_ns = 100000};
    workers[0].on_timeout = fatal_timeout;
    assert_ok(dx_disruptor_handle_events_with_pool(
        disruptor, &(dx_pool_t){.workers = workers, .worker_count = 2}, NULL, NULL));
    assert_ok(dx_disruptor_start(disruptor, NULL));
    wait_until(stat_of(disruptor, 1).state == DX_CONSUMER_FAILED);
    assert_fails(dx_disruptor_failure(disruptor, &error), DX_EFATAL, error,
                 "consumer 'failing' failed while idle");
    publish(disruptor, 20);
    /* Everything is handled, but nobody should miss that a worker is gone. */
    assert_fails(dx_disruptor_shutdown(disruptor, DEADLINE_NS, &error), DX_ECONSUMER, error,
                 "0 events are left: consumer 'failing' failed while idle");
    assert_int_equal(dx_load_relaxed(&probes[1].events), 20);
    dx_disruptor_destroy(disruptor);
}

static void a_shutdown_with_a_paused_pool_ends_and_says_so(void **state)
{
    (void)state;
    scene_t *scene = scene_make();
    dx_error_t error = {0};
    const dx_pool_t shape = {.name = "pool-x", .worker_count = 2};
    scene_build(scene, DX_RING_SINGLE, &shape, NULL);
    assert_ok(dx_disruptor_start(scene->disruptor, NULL));
    assert_ok(dx_group_pause(scene->pool, NULL));
    scene_publish(scene, 3);
    assert_fails(dx_disruptor_shutdown(scene->disruptor, DEADLINE_NS, &error), DX_ECONSUMER, error,
                 "3 events are left: consumer 'pool-x' has stopped or is paused");
    assert_ok(dx_disruptor_start(scene->disruptor, NULL));
    shutdown_ok(scene->disruptor);
    scene_check(scene, 3);
    scene_end(scene);
}

/* ------------------------------------------------------------------------------ groups and runs */

/* Fails when: the word of an idle worker, which is beyond every sequence, is taken for progress. */
static void who_follows_one_worker_follows_its_whole_pool(void **state)
{
    (void)state;
    static const char *const names[] = {"w1", "w0", "pool-0"};
    for (int i = 0; i < 3; i++) {
        scene_t *scene = scene_make();
        scene->disruptor = make_disruptor(DX_RING_SINGLE, 64);
        dx_handler_t workers[2];
        for (int w = 0; w < 2; w++) {
            scene->workers[w] = (worker_t){.scene = scene, .id = w};
            workers[w] = (dx_handler_t){.name = w == 0 ? "w0" : "w1",
                                        .context = &scene->workers[w],
                                        .on_event = worker_event,
                                        .on_batch_start = worker_batch_start};
        }
        const dx_handler_t behind = {.context = scene, .on_event = behind_event};
        dx_group_t group;
        dx_group_t worker;
        assert_ok(dx_disruptor_handle_events_with_pool(
            scene->disruptor, &(dx_pool_t){.workers = workers, .worker_count = 2}, NULL, NULL));
        assert_ok(dx_disruptor_after(scene->disruptor, &names[i], 1, &worker, NULL));
        if (i != 1) {
            assert_ok(dx_group_then(worker, &behind, 1, NULL, NULL));
        } else {
            add_handlers_ok(scene->disruptor, &behind, 1, &group);
            assert_ok(dx_disruptor_connect(scene->disruptor, worker, group, NULL));
        }
        assert_ok(dx_disruptor_start(scene->disruptor, NULL));
        scene_publish(scene, 300);
        shutdown_ok(scene->disruptor);
        scene_check(scene, 300);
        scene_end(scene);
    }
}

/* Fails when: the name of a keyed pool, which has no entry of its own, is forgotten. */
static void a_keyed_pool_is_known_by_its_name(void **state)
{
    (void)state;
    static const char *const names[] = {"ledgers", "pool-0"};
    for (int i = 0; i < 2; i++) {
        scene_t *scene = scene_make();
        scene->disruptor = make_disruptor(DX_RING_SINGLE, 64);
        dx_handler_t workers[3];
        for (int w = 0; w < 3; w++) {
            scene->workers[w] = (worker_t){.scene = scene, .id = w};
            workers[w] = (dx_handler_t){.context = &scene->workers[w], .on_event = worker_event};
        }
        const dx_pool_t pool = {.name = i == 0 ? "ledgers" : NULL,
                                .workers = workers,
                                .worker_count = 3,
                                .key = key_of};
        dx_group_t added;
        dx_group_t found;
        assert_ok(dx_disruptor_handle_events_with_pool(scene->disruptor, &pool, &added, NULL));
        assert_ok(dx_disruptor_after(scene->disruptor, &names[i], 1, &found, NULL));
        assert_int_equal(found.members, added.members);
        scene_end(scene);
    }
}

/* Fails when: a worker remembers what it saw readable before the reset. */
static void a_pool_begins_anew_after_a_reset_of_the_ring(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        scene_t *scene = scene_make();
        const dx_pool_t shape = {.worker_count = 2, .claim_max = 4};
        scene_build(scene, i == 0 ? DX_RING_SINGLE : DX_RING_MULTI, &shape, NULL);
        for (int run = 0; run < 3; run++) {
            assert_ok(dx_disruptor_start(scene->disruptor, NULL));
            scene_publish(scene, run == 0 ? 50 : 3);
            shutdown_ok(scene->disruptor);
            scene_check(scene, run == 0 ? 50 : 3);
            assert_ok(dx_ring_reset(dx_disruptor_ring(scene->disruptor), 0, NULL));
            memset(scene->seen, 0, sizeof(scene->seen));
            dx_store_relaxed(&scene->behind, 0);
        }
        scene_end(scene);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_event_goes_to_exactly_one_worker_after_its_publication),
        cmocka_unit_test(a_pool_behind_a_pool_gets_each_event_once),
        cmocka_unit_test(pausing_and_resuming_a_pool_under_load_loses_nothing),
        cmocka_unit_test(a_worker_does_what_its_handler_says_and_keeps_the_rest_of_its_claim),
        cmocka_unit_test(what_a_worker_releases_or_skips_early_is_seen_or_hidden_behind_the_pool),
        cmocka_unit_test(the_other_workers_go_on_when_one_ends_and_it_goes_on_where_it_was),
        cmocka_unit_test(producers_and_followers_are_told_when_all_workers_have_ended),
        cmocka_unit_test(a_pool_behind_a_consumer_that_failed_ends_and_goes_on_after_a_restart),
        cmocka_unit_test(a_cancelled_wait_loses_nothing),
        cmocka_unit_test(a_worker_that_fails_while_idle_holds_nobody_back),
        cmocka_unit_test(a_shutdown_with_a_paused_pool_ends_and_says_so),
        cmocka_unit_test(who_follows_one_worker_follows_its_whole_pool),
        cmocka_unit_test(a_keyed_pool_is_known_by_its_name),
        cmocka_unit_test(a_pool_begins_anew_after_a_reset_of_the_ring),
    };
    return cmocka_run_group_tests_name("worker", tests, NULL, NULL);
}
