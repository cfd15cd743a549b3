/* test_net_drive.c - threads of the program that take a loop's turns (net/drive.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/drive.h"

#include "net_test.h"
#include "patience.h"

#define DRIVERS 3
#define DEEDS 20000

/* `plain` belongs to who acts for the loop: not atomic, so that two at once are a race. */
typedef struct driven {
    dxi_loop_t *loop;
    dxi_duty_t duty;
    dxi_bell_t *bell;
    int64_t plain;
    dx_atomic64_t wanted;
    dx_atomic64_t done; /* as far as `plain` */
    dx_atomic64_t by_drivers;
    dx_atomic64_t by_itself;
    dx_atomic64_t turns; /* that drivers have taken */
    dx_atomic32_t ended;
} driven_t;

static _Thread_local bool drives; /* this thread drives */

static int deeds_run(void *context, int64_t now_ns)
{
    driven_t *const driven = context;
    const int64_t wanted = dx_load_acquire(&driven->wanted);
    int done = 0;
    (void)now_ns;
    for (; driven->plain < wanted; driven->plain++) {
        done++;
    }
    (void)dx_fetch_add_relaxed(drives ? &driven->by_drivers : &driven->by_itself, done);
    (void)dx_fetch_add_relaxed(&driven->turns, drives);
    dx_store_release(&driven->done, driven->plain);
    return done;
}

static void duty_add(void *context)
{
    driven_t *const driven = context;
    dxi_loop_add_duty(driven->loop, &driven->duty);
}

static void driven_begin(driven_t *driven, const dxi_loop_options_t *options)
{
    dx_error_t error = {0};
    *driven = (driven_t){.duty = {.run = deeds_run, .context = driven}};
    assert_ok(dxi_loop_create(options, &driven->loop, &error));
    assert_ok(dxi_loop_start(driven->loop, &error));
    driven->bell = dxi_loop_bell_of(driven->loop);
    dxi_loop_call(driven->loop, duty_add, driven);
}

static void deed_want(driven_t *driven)
{
    (void)dx_fetch_add_relaxed(&driven->wanted, 1);
    dxi_loop_bell(driven->loop, driven->bell);
}

/* Drives until this thread has the loop. */
static void drive_begin(driven_t *driven)
{
    drives = true;
    const int64_t before = dx_load_relaxed(&driven->by_drivers);
    do {
        deed_want(driven);
        assert_true(dxi_loop_drive(driven->loop) >= 0);
    } while (dx_load_relaxed(&driven->by_drivers) == before);
}

static void driver_run(void *context)
{
    driven_t *const driven = context;
    drives = true;
    while (dx_load32_acquire(&driven->ended) == 0) {
        (void)dxi_loop_drive(driven->loop);
        (void)usleep(0);
    }
}

static void nothing(void *context)
{
    (void)context;
}

static void who_drives_a_loop_is_alone_and_nothing_is_lost(void **state)
{
    (void)state;
    for (int busy = 0; busy < 2; busy++) {
        driven_t driven;
        dx_thread_t *threads[DRIVERS];
        dx_error_t error = {0};
        driven_begin(&driven, &(dxi_loop_options_t){.busy_poll = busy != 0});
        for (int i = 0; i < DRIVERS; i++) {
            assert_ok(dx_thread_start(NULL, driver_run, &driven, &threads[i], &error));
        }
        drive_begin(&driven);
        for (int i = 0; i < DEEDS; i++) {
            deed_want(&driven);
            if (i % 4 == 0) {
                (void)dxi_loop_drive(driven.loop);
            }
            if (i % 1000 == 0) {
                dxi_loop_call(driven.loop, nothing, NULL); /* it goes on by itself */
            }
        }
        wait_until(dx_load_acquire(&driven.done) == dx_load_relaxed(&driven.wanted));
        dx_store32_release(&driven.ended, 1);
        for (int i = 0; i < DRIVERS; i++) {
            assert_ok(dx_thread_join(threads[i]));
        }
        assert_true(dx_load_relaxed(&driven.by_drivers) > 0);
        dxi_loop_destroy(driven.loop);
        assert_int_equal(driven.plain, driven.wanted.word);
        drives = false;
    }
}

/* It goes on only when it is recalled. */
static const dxi_loop_options_t patient = {.drive_patience_ns = INT64_MAX};

/* The wish comes at any moment of a loop that falls asleep, and nobody rings a bell for anything
 * else. */
static void a_wish_to_drive_is_not_missed(void **state)
{
    (void)state;
    driven_t driven;
    uint64_t seed = 7;
    driven_begin(&driven, &patient);
    drives = true;
    for (int i = 0; i < 3000; i++) {
        const int64_t before = dx_load_relaxed(&driven.turns);
        dxi_loop_call(driven.loop, nothing, NULL);
        for (uint64_t pause = random_next(&seed) % 400; pause > 0; pause--) {
            dx_cpu_relax();
        }
        const int64_t limit_ns = dx_clock_ns() + PATIENCE_NS;
        while (dx_load_relaxed(&driven.turns) == before) {
            (void)dxi_loop_drive(driven.loop);
            (void)usleep(0);
            assert_true(dx_clock_ns() < limit_ns);
        }
    }
    drives = false;
    dxi_loop_destroy(driven.loop);
}

static void where_am_i(void *context)
{
    *(bool *)context = drives;
}

static void who_waits_for_a_loop_that_he_drives_is_served_by_its_thread(void **state)
{
    (void)state;
    driven_t driven;
    driven_begin(&driven, &patient);
    for (int i = 0; i < 20; i++) {
        bool by_driver = true;
        drive_begin(&driven);
        dxi_loop_call(driven.loop, where_am_i, &by_driver);
        assert_false(by_driver);
    }
    drives = false;
    dxi_loop_destroy(driven.loop);
}

static void a_loop_that_is_not_driven_any_more_goes_on(void **state)
{
    (void)state;
    driven_t driven;
    driven_begin(&driven, &(dxi_loop_options_t){.name = "goes on"});
    drive_begin(&driven);
    const int64_t before = dx_load_relaxed(&driven.by_itself);
    deed_want(&driven);
    wait_until(dx_load_relaxed(&driven.by_itself) > before);
    drives = false;
    dxi_loop_destroy(driven.loop);
}

static void a_loop_that_was_driven_ends(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        driven_t driven;
        driven_begin(&driven, i % 2 != 0 ? &patient : &(dxi_loop_options_t){.busy_poll = true});
        for (int turns = i; turns > 0; turns--) {
            (void)dxi_loop_drive(driven.loop);
        }
        dxi_loop_destroy(driven.loop);
    }
}

typedef struct inside {
    dxi_loop_t *loop;
    int code;
} inside_t;

static void drive_inside(void *context)
{
    inside_t *const inside = context;
    inside->code = dxi_loop_drive(inside->loop);
}

static void a_loop_does_not_drive_itself_or_another(void **state)
{
    (void)state;
    driven_t one;
    driven_t other;
    driven_begin(&one, &patient);
    driven_begin(&other, &patient);
    inside_t inside = {.loop = one.loop};
    dxi_loop_call(one.loop, drive_inside, &inside);
    assert_int_equal(inside.code, DX_EDEADLOCK);
    inside.code = DX_OK;
    dxi_loop_call(other.loop, drive_inside, &inside);
    assert_int_equal(inside.code, DX_EDEADLOCK);
    dxi_loop_destroy(one.loop);
    dxi_loop_destroy(other.loop);
}

/* The states of drive.h, one by one. */
static void it_has_one_owner_at_a_time(void **state)
{
    (void)state;
    dxi_drive_t drive = {.patience_ns = INT64_MAX};
    assert_false(dxi_drive_wanted(&drive));
    dxi_drive_recall(&drive); /* nobody drives: nothing */
    assert_int_equal(dxi_drive_enter(&drive), DXI_DRIVE_ASKED);
    assert_true(dxi_drive_wanted(&drive));
    assert_int_equal(dxi_drive_enter(&drive), DXI_DRIVE_NOT_NOW);
    dxi_drive_recall(&drive);
    dxi_drive_park(&drive); /* was recalled before it parked: comes back at once */
    assert_false(dxi_drive_wanted(&drive));
    assert_int_equal(drive.recall.word, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_has_one_owner_at_a_time),
        cmocka_unit_test(who_drives_a_loop_is_alone_and_nothing_is_lost),
        cmocka_unit_test(a_wish_to_drive_is_not_missed),
        cmocka_unit_test(who_waits_for_a_loop_that_he_drives_is_served_by_its_thread),
        cmocka_unit_test(a_loop_that_is_not_driven_any_more_goes_on),
        cmocka_unit_test(a_loop_that_was_driven_ends),
        cmocka_unit_test(a_loop_does_not_drive_itself_or_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
