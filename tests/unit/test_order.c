/* test_order.c - orders of memory, and of looks, that no loud test meets.
 *
 * The first test is for the race checker. Its threads tell each other by relaxed words when it is
 * their turn, which orders nothing: the only order between two accesses of a slot is what the ring
 * itself gives. In a build without the race checker it only shows that the numbers are right.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "wait_test.h"

#include <sched.h>

typedef struct turns {
    scene_t *scene;
    dx_atomic32_t turn;
    dx_atomic32_t done; /* threads that have ended */
    int64_t published;  /* as the looker saw it */
} turns_t;

static void await_turn(turns_t *turns, int32_t turn)
{
    while (dx_load32_relaxed(&turns->turn) != turn) {
        (void)sched_yield();
    }
}

static void next_turn(turns_t *turns)
{
    dx_store32_relaxed(&turns->turn, dx_load32_relaxed(&turns->turn) + 1);
}

static void write_slot(dx_producer_t *producer, int64_t sequence)
{
    *DX_PRODUCER_EVENT(producer, sequence, int64_t) = sequence;
}

/* Publishes 0 in slot 0. */
static void *first_main(void *context)
{
    turns_t *turns = context;
    dx_producer_t *producer = &turns->scene->producers[0];
    await_turn(turns, 0);
    const int64_t sequence = dx_producer_claim(producer);
    write_slot(producer, sequence);
    (void)dx_producer_publish(producer, sequence);
    next_turn(turns);
    (void)dx_fetch_add32_acq_rel(&turns->done, 1);
    return NULL;
}

/* Looks what is published, and so moves the lower bound of it, the cursor. */
static void *looker_main(void *context)
{
    turns_t *turns = context;
    await_turn(turns, 2);
    turns->published = dx_ring_published(turns->scene->ring);
    next_turn(turns);
    (void)dx_fetch_add32_acq_rel(&turns->done, 1);
    return NULL;
}

/* Claims 1 and leaves it open, then claims 2: slot 0 again. That 0 is published it can know from
 * the cursor only, which the looker has moved. */
static void *second_main(void *context)
{
    turns_t *turns = context;
    dx_producer_t *producer = &turns->scene->producers[1];
    await_turn(turns, 1);
    const int64_t open = dx_producer_claim(producer);
    next_turn(turns);
    await_turn(turns, 3);
    const int64_t sequence = dx_producer_claim(producer);
    write_slot(producer, sequence);
    write_slot(producer, open);
    (void)dx_producer_publish_range(producer, open, sequence);
    (void)dx_fetch_add32_acq_rel(&turns->done, 1);
    return NULL;
}

static bool three_are_done(const void *turns)
{
    return dx_load32_acquire(&((const turns_t *)turns)->done) == 3;
}

static void a_slot_is_reused_in_order_without_any_consumer(void **state)
{
    (void)state;
    static turns_t turns; /* outlives a test that fails */
    static void *(*const bodies[])(void *) = {first_main, looker_main, second_main};
    for (int round = 0; round < 20; round++) {
        memset(&turns, 0, sizeof(turns));
        turns.scene = scene_create(DX_RING_MULTI, 2);
        (void)scene_producer(turns.scene, 0, (dx_wait_options_t){.kind = DX_WAIT_YIELDING});
        (void)scene_producer(turns.scene, 1, (dx_wait_options_t){.kind = DX_WAIT_YIELDING});
        pthread_t threads[COUNT_OF(bodies)];
        for (size_t i = 0; i < COUNT_OF(bodies); i++) {
            assert_int_equal(pthread_create(&threads[i], NULL, bodies[i], &turns), 0);
        }
        assert_true(comes_true(three_are_done, &turns));
        for (size_t i = 0; i < COUNT_OF(bodies); i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        }
        assert_int_equal(turns.published, 0);
        assert_int_equal(dx_ring_published(turns.scene->ring), 2);
        assert_int_equal(*DX_PRODUCER_EVENT(&turns.scene->producers[1], 2, int64_t), 2);
        scene_destroy(turns.scene);
    }
}

/* Consumer 0 is ahead, consumer 1 behind. Once a producer has looked at 0, that one leaves, another
 * joins in its entry as far back as 1 stands, and 1 moves on: what was read of 0 and will be read
 * of 1 says nothing about the one that joined. */
static void swap_consumers(const char *point, void *context)
{
    scene_t *scene = context;
    if (strcmp(point, "minimum:one-read") != 0 || scene->opened != 2) {
        return;
    }
    scene->opened = 3; /* this passes points, too */
    const dx_consumer_options_t oldest = {.start = DX_START_OLDEST};
    dx_consumer_close(&scene->consumers[0]);
    if (dx_consumer_open(&scene->consumers[2], scene->ring, &oldest, NULL) != DX_OK) {
        scene->opened = -1;
    }
    dx_consumer_release(&scene->consumers[1], SCENE_SLOTS - 1);
}

static void a_consumer_that_joins_where_another_left_is_not_lapped(void **state)
{
    (void)state;
    if (!points_exist()) {
        SKIP_BECAUSE("this build has no named points");
    }
    for (int mode = DX_RING_SINGLE; mode <= DX_RING_MULTI; mode++) {
        scene_t *scene = scene_create((dx_ring_mode_t)mode, SCENE_SLOTS);
        const dx_wait_options_t wait = {.kind = DX_WAIT_BLOCKING};
        (void)scene_consumer(scene, 0, wait);
        (void)scene_consumer(scene, 0, wait);
        dx_producer_t *producer = scene_producer(scene, 0, wait);
        for (int i = 0; i < SCENE_SLOTS; i++) {
            (void)scene_publish(producer);
        }
        dx_consumer_release(&scene->consumers[0], SCENE_SLOTS - 1);
        points_set(swap_consumers, scene);
        const int64_t claimed = dx_producer_try_claim_n(producer, 1);
        points_set(NULL, NULL);
        assert_int_equal(scene->opened, 3);
        assert_int_equal(scene->consumers[2].index, 0);
        assert_int_equal(scene->consumers[2].next, 0);
        assert_int_equal(claimed, DX_EAGAIN);
        scene_destroy(scene);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slot_is_reused_in_order_without_any_consumer),
        cmocka_unit_test(a_consumer_that_joins_where_another_left_is_not_lapped),
    };
    return cmocka_run_group_tests_name("order", tests, NULL, NULL);
}
