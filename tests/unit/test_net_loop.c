/* test_net_loop.c - the loop: tasks, duties, the bell, sleeping.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net_test.h"

/* ---------------------------------------------------------------------------------------- tasks */

#define POSTERS 4
#define TASKS_EACH 5000

typedef struct numbered {
    dxi_task_t task;
    struct poster *poster;
    int number;
} numbered_t;

typedef struct poster {
    dxi_loop_t *loop;
    numbered_t *tasks;
    dx_thread_t *thread;
    int next;     /* the number that must come next; the loop's thread */
    int disorder; /* tasks that came out of order */
    bool outside; /* one ran outside the loop's thread */
} poster_t;

static void numbered_run(void *context)
{
    numbered_t *const numbered = context;
    poster_t *const poster = numbered->poster;
    poster->disorder += numbered->number != poster->next;
    poster->next = numbered->number + 1;
    poster->outside = poster->outside || !dxi_loop_is_current(poster->loop);
}

static void poster_run(void *context)
{
    poster_t *const poster = context;
    for (int i = 0; i < TASKS_EACH; i++) {
        poster->tasks[i] = (numbered_t){.task = {.run = numbered_run, .context = &poster->tasks[i]},
                                        .poster = poster,
                                        .number = i};
        dxi_loop_post(poster->loop, &poster->tasks[i].task);
    }
}

static void nothing(void *context)
{
    (void)context;
}

static void posters_begin(poster_t *posters, dxi_loop_t *loop)
{
    dx_error_t error = {0};
    for (int i = 0; i < POSTERS; i++) {
        posters[i] = (poster_t){.loop = loop, .tasks = calloc(TASKS_EACH, sizeof(numbered_t))};
        assert_ok(dx_thread_start(NULL, poster_run, &posters[i], &posters[i].thread, &error));
    }
}

static void tasks_run_once_and_in_the_order_of_each_thread(void **state)
{
    (void)state;
    dxi_loop_t *const loop = loop_started("tasks");
    poster_t posters[POSTERS];
    posters_begin(posters, loop);
    for (int i = 0; i < POSTERS; i++) {
        (void)dx_thread_join(posters[i].thread);
    }
    dxi_loop_call(loop, nothing, NULL); /* behind all of them */
    for (int i = 0; i < POSTERS; i++) {
        assert_int_equal(posters[i].next, TASKS_EACH);
        assert_int_equal(posters[i].disorder, 0);
        assert_false(posters[i].outside);
        free(posters[i].tasks);
    }
    dxi_loop_destroy(loop);
}

static void no_task_is_lost_when_the_loop_stops_meanwhile(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        dxi_loop_t *const loop = loop_started("stop");
        poster_t posters[POSTERS];
        posters_begin(posters, loop);
        dxi_loop_stop(loop);
        for (int i = 0; i < POSTERS; i++) {
            (void)dx_thread_join(posters[i].thread);
        }
        dxi_loop_destroy(loop);
        for (int i = 0; i < POSTERS; i++) {
            assert_int_equal(posters[i].next, TASKS_EACH);
            assert_int_equal(posters[i].disorder, 0);
            free(posters[i].tasks);
        }
    }
}

static void count_run(void *context)
{
    (*(int *)context)++;
}

typedef struct caller {
    dxi_loop_t *loop;
    dx_thread_t *thread;
    int count; /* of the loop's thread, or whoever stands in for it */
} caller_t;

static void caller_run(void *context)
{
    caller_t *const caller = context;
    for (int i = 0; i < 200; i++) {
        dxi_loop_call(caller->loop, count_run, &caller->count);
    }
}

static void a_call_returns_when_it_has_run_even_when_the_loop_stops(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        dxi_loop_t *const loop = loop_started("calls");
        caller_t callers[3];
        dx_error_t error = {0};
        for (size_t i = 0; i < COUNT_OF(callers); i++) {
            callers[i] = (caller_t){.loop = loop};
            assert_ok(dx_thread_start(NULL, caller_run, &callers[i], &callers[i].thread, &error));
        }
        dxi_loop_stop(loop);
        for (size_t i = 0; i < COUNT_OF(callers); i++) {
            (void)dx_thread_join(callers[i].thread);
            assert_int_equal(callers[i].count, 200);
        }
        dxi_loop_destroy(loop);
    }
}

static void nested_run(void *context)
{
    caller_t *const caller = context;
    dxi_loop_call(caller->loop, count_run, &caller->count);
}

static void a_call_runs_at_once_in_the_loop_and_before_it_starts(void **state)
{
    (void)state;
    caller_t caller = {.loop = loop_make("nested")};
    dx_error_t error = {0};
    dxi_loop_call(caller.loop, nested_run, &caller);
    assert_int_equal(caller.count, 1);
    assert_ok(dxi_loop_start(caller.loop, &error));
    dxi_loop_call(caller.loop, nested_run, &caller);
    assert_int_equal(caller.count, 2);
    assert_fails(dxi_loop_start(caller.loop, &error), DX_ESTATE, error, "started before");
    dxi_loop_stop(caller.loop);
    dxi_loop_stop(caller.loop);
    dxi_loop_call(caller.loop, nested_run, &caller);
    assert_int_equal(caller.count, 3);
    assert_false(dxi_loop_is_current(caller.loop));
    dxi_loop_destroy(caller.loop);
    dxi_loop_destroy(NULL);
}

/* --------------------------------------------------------------------------------- duties, bell */

/* A word that others raise and a duty answers. */
typedef struct answerer {
    dxi_loop_t *loop;
    dxi_bell_t *bell;
    dxi_duty_t duty;
    dx_atomic64_t asked;
    dx_atomic64_t answered;
} answerer_t;

static int answer_run(void *context, int64_t now_ns)
{
    answerer_t *const answerer = context;
    (void)now_ns;
    const int64_t asked = dx_load_acquire(&answerer->asked);
    if (asked == dx_load_relaxed(&answerer->answered)) {
        return 0;
    }
    dx_store_release(&answerer->answered, asked);
    return 1;
}

static void add_duty_run(void *context)
{
    answerer_t *const answerer = context;
    dxi_loop_add_duty(answerer->loop, &answerer->duty);
}

static void remove_duty_run(void *context)
{
    answerer_t *const answerer = context;
    dxi_loop_remove_duty(answerer->loop, &answerer->duty);
}

static void answerer_begin(answerer_t *answerer, const dxi_loop_options_t *options)
{
    dx_error_t error = {0};
    *answerer = (answerer_t){0};
    assert_ok(dxi_loop_create(options, &answerer->loop, &error));
    assert_ok(dxi_loop_start(answerer->loop, &error));
    answerer->bell = dxi_loop_bell_of(answerer->loop);
    answerer->duty = (dxi_duty_t){.run = answer_run, .context = answerer};
    dxi_loop_call(answerer->loop, add_duty_run, answerer);
}

/* Asks, rings, and waits for the answer; a lost bell leaves it waiting. */
static void ask(answerer_t *answerer, int64_t number)
{
    const int64_t limit_ns = dx_clock_ns() + HUNG_S * DX_NS_PER_S;
    dx_store_release(&answerer->asked, number);
    dxi_loop_bell(answerer->loop, answerer->bell);
    for (int64_t i = 0; dx_load_acquire(&answerer->answered) != number; i++) {
        if (i % 64 == 63) {
            (void)usleep(0);
        }
        if (i % 4096 == 4095 && dx_clock_ns() > limit_ns) {
            fail_msg("question %lld was not answered: the bell is lost", (long long)number);
        }
    }
}

static void no_bell_is_lost(void **state)
{
    (void)state;
    const dxi_loop_options_t options[] = {{.name = "sleeps"},
                                          {.name = "spins", .spin_ns = 20000},
                                          {.name = "polls", .busy_poll = true}};
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        answerer_t answerer;
        dxi_loop_stat_t stat;
        answerer_begin(&answerer, &options[i]);
        uint64_t seed = 7;
        for (int64_t number = 1; number <= 6000; number++) {
            ask(&answerer, number);
            /* So that the next question falls into each part of falling asleep. */
            for (uint64_t pause = random_next(&seed) % 400; pause > 0; pause--) {
                dx_cpu_relax();
            }
        }
        dxi_loop_stat(answerer.loop, &stat);
        assert_true(stat.turns > 0);
        assert_true(i != 2 || stat.sleeps == 0);
        dxi_loop_call(answerer.loop, remove_duty_run, &answerer);
        dxi_loop_destroy(answerer.loop);
    }
}

/* ---------------------------------------------------------------------------------------- loans */

#define BORROWERS 3
#define DEEDS_EACH 4000

/* `plain` belongs to who acts for the loop: not atomic, so that two at once are a race. */
typedef struct lender {
    dxi_loop_t *loop;
    dxi_bell_t *bell;
    dxi_duty_t duty;
    int64_t plain;
    dx_atomic64_t wanted;
    dx_atomic64_t done; /* as far as `plain` */
    dx_atomic64_t loans;
} lender_t;

static int deeds_do(lender_t *lender)
{
    const int64_t wanted = dx_load_acquire(&lender->wanted);
    int done = 0;
    for (; lender->plain < wanted; lender->plain++) {
        done++;
    }
    dx_store_release(&lender->done, lender->plain);
    return done;
}

static int deeds_run(void *context, int64_t now_ns)
{
    (void)now_ns;
    return deeds_do(context);
}

static void lender_add(void *context)
{
    lender_t *const lender = context;
    dxi_loop_add_duty(lender->loop, &lender->duty);
}

static void lender_remove(void *context)
{
    lender_t *const lender = context;
    dxi_loop_remove_duty(lender->loop, &lender->duty);
}

static void borrower_run(void *context)
{
    lender_t *const lender = context;
    uint64_t seed = (uint64_t)(uintptr_t)&seed;
    for (int i = 0; i < DEEDS_EACH; i++) {
        (void)dx_fetch_add_relaxed(&lender->wanted, 1);
        dx_fence_seq_cst();
        if (i % 3 != 0 && dxi_loop_borrow(lender->loop)) {
            (void)deeds_do(lender);
            (void)dx_fetch_add_relaxed(&lender->loans, 1);
            dxi_loop_give_back(lender->loop);
        } else {
            dxi_loop_bell(lender->loop, lender->bell);
        }
        for (uint64_t pause = random_next(&seed) % 300; pause > 0; pause--) {
            dx_cpu_relax();
        }
    }
}

static void who_borrows_a_loop_is_alone_and_loses_no_bell(void **state)
{
    (void)state;
    lender_t lender = {.plain = 0};
    dx_thread_t *threads[BORROWERS];
    dx_error_t error = {0};
    assert_ok(dxi_loop_create(&(dxi_loop_options_t){.name = "lends"}, &lender.loop, &error));
    assert_ok(dxi_loop_start(lender.loop, &error));
    lender.bell = dxi_loop_bell_of(lender.loop);
    lender.duty = (dxi_duty_t){.run = deeds_run, .context = &lender};
    dxi_loop_call(lender.loop, lender_add, &lender);
    for (int i = 0; i < BORROWERS; i++) {
        assert_ok(dx_thread_start(NULL, borrower_run, &lender, &threads[i], &error));
    }
    for (int i = 0; i < BORROWERS; i++) {
        assert_ok(dx_thread_join(threads[i]));
    }
    /* Nobody rings any more: what is left undone was never rung for. */
    const int64_t limit_ns = dx_clock_ns() + HUNG_S * DX_NS_PER_S;
    while (dx_load_acquire(&lender.done) != BORROWERS * DEEDS_EACH) {
        (void)usleep(0);
        assert_true(dx_clock_ns() < limit_ns);
    }
    /* One more, when it is known to sleep, so that there is a loan whatever the machine did. */
    while (!dxi_loop_borrow(lender.loop)) {
        (void)usleep(0);
        assert_true(dx_clock_ns() < limit_ns);
    }
    assert_int_equal(lender.plain, BORROWERS * DEEDS_EACH);
    assert_false(dxi_loop_borrow(lender.loop)); /* to one at a time */
    dxi_loop_give_back(lender.loop);
    dxi_loop_call(lender.loop, lender_remove, &lender);
    dxi_loop_destroy(lender.loop);
}

static void a_loop_with_nothing_to_do_sleeps(void **state)
{
    (void)state;
    answerer_t answerer;
    dxi_loop_stat_t before;
    dxi_loop_stat_t after;
    answerer_begin(&answerer, &(dxi_loop_options_t){.name = "idle"});
    const int64_t limit_ns = dx_clock_ns() + HUNG_S * DX_NS_PER_S;
    do { /* until it sleeps: then its counters stand still while time passes */
        dxi_loop_stat(answerer.loop, &before);
        (void)usleep(50000);
        dxi_loop_stat(answerer.loop, &after);
    } while (after.turns != before.turns && dx_clock_ns() < limit_ns);
    assert_int_equal(after.turns, before.turns);
    assert_true(after.sleeps > 0);
    ask(&answerer, 1);
    dxi_loop_destroy(answerer.loop);
}

/* A duty that wishes to be woken. */
typedef struct alarm_duty {
    dxi_loop_t *loop;
    dxi_duty_t duty;
    int64_t wish_ns;
    dx_atomic64_t woken_ns;
} alarm_duty_t;

static int alarm_run(void *context, int64_t now_ns)
{
    alarm_duty_t *const alarm = context;
    if (now_ns >= alarm->wish_ns && dx_load_relaxed(&alarm->woken_ns) == 0) {
        dx_store_release(&alarm->woken_ns, now_ns);
        return 1;
    }
    return 0;
}

static void alarm_begin(void *context)
{
    alarm_duty_t *const alarm = context;
    alarm->wish_ns = dx_clock_ns() + 3500000;
    dxi_loop_add_duty(alarm->loop, &alarm->duty);
    dxi_loop_wake_at(alarm->loop, alarm->wish_ns + DX_NS_PER_S * 1000); /* an earlier one wins */
    dxi_loop_wake_at(alarm->loop, alarm->wish_ns);
}

static void a_loop_wakes_up_when_it_was_asked_to(void **state)
{
    (void)state;
    alarm_duty_t alarm = {.loop = loop_started("alarm")};
    alarm.duty = (dxi_duty_t){.run = alarm_run, .context = &alarm};
    dxi_loop_call(alarm.loop, alarm_begin, &alarm);
    const int64_t limit_ns = dx_clock_ns() + HUNG_S * DX_NS_PER_S;
    while (dx_load_acquire(&alarm.woken_ns) == 0 && dx_clock_ns() < limit_ns) {
        (void)usleep(1000);
    }
    assert_true(dx_load_acquire(&alarm.woken_ns) >= alarm.wish_ns);
    dxi_loop_destroy(alarm.loop);
}

/* Duties that take themselves, and each other, away while they run. */
typedef struct leaver {
    dxi_loop_t *loop;
    dxi_duty_t duty;
    struct leaver *other;
    int runs;
} leaver_t;

static int leaver_run(void *context, int64_t now_ns)
{
    leaver_t *const leaver = context;
    (void)now_ns;
    leaver->runs++;
    dxi_loop_remove_duty(leaver->loop, &leaver->duty);
    dxi_loop_remove_duty(leaver->loop, &leaver->other->duty);
    return 1;
}

static void a_duty_may_remove_itself_and_the_next(void **state)
{
    (void)state;
    dxi_loop_t *const loop = loop_make("leavers");
    leaver_t leavers[3];
    dx_error_t error = {0};
    for (int i = 0; i < 3; i++) {
        leavers[i] = (leaver_t){.loop = loop, .other = &leavers[(i + 2) % 3]};
        leavers[i].duty = (dxi_duty_t){.run = leaver_run, .context = &leavers[i]};
        dxi_loop_add_duty(loop, &leavers[i].duty);
    }
    assert_ok(dxi_loop_start(loop, &error));
    for (int i = 0; i < 10; i++) {
        dxi_loop_call(loop, nothing, NULL);
    }
    dxi_loop_stop(loop);
    assert_int_equal(leavers[0].runs + leavers[1].runs + leavers[2].runs, 2);
    dxi_loop_destroy(loop);
}

/* ----------------------------------------------------------------------------------------- life */

static int life(void)
{
    dxi_loop_t *loop = NULL;
    dx_error_t error = {0};
    int code = dxi_loop_create(&(dxi_loop_options_t){.name = "life"}, &loop, &error);
    if (code == DX_OK) {
        code = dxi_loop_start(loop, &error);
        dxi_loop_destroy(loop);
    } else {
        assert_null(loop);
    }
    return code;
}

static void a_loop_that_runs_out_of_memory_leaves_nothing(void **state)
{
    (void)state;
    assert_true(fault_sweep(life) >= 3);
}

static void what_is_wrong_with_options_is_said(void **state)
{
    (void)state;
    dxi_loop_t *loop = NULL;
    dx_error_t error = {0};
    const dxi_loop_options_t negative = {.name = "x", .spin_ns = -1};
    assert_fails(dxi_loop_create(&negative, &loop, &error), DX_EINVAL, error, "spin_ns is -1");
    dxi_loop_options_t nowhere = {.name = "x"};
    dx_cpu_set_add(&nowhere.cpus, DX_CPU_MAX - 1);
    assert_ok(dxi_loop_create(&nowhere, &loop, &error));
    assert_int_equal(dxi_loop_start(loop, &error), DX_ENOTFOUND);
    dxi_loop_destroy(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_run_once_and_in_the_order_of_each_thread),
        cmocka_unit_test(no_task_is_lost_when_the_loop_stops_meanwhile),
        cmocka_unit_test(a_call_returns_when_it_has_run_even_when_the_loop_stops),
        cmocka_unit_test(a_call_runs_at_once_in_the_loop_and_before_it_starts),
        cmocka_unit_test(no_bell_is_lost),
        cmocka_unit_test(who_borrows_a_loop_is_alone_and_loses_no_bell),
        cmocka_unit_test(a_loop_with_nothing_to_do_sleeps),
        cmocka_unit_test(a_loop_wakes_up_when_it_was_asked_to),
        cmocka_unit_test(a_duty_may_remove_itself_and_the_next),
        cmocka_unit_test(a_loop_that_runs_out_of_memory_leaves_nothing),
        cmocka_unit_test(what_is_wrong_with_options_is_said),
    };
    return cmocka_run_group_tests_name("net loop", tests, NULL, NULL);
}
