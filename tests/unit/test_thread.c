/* test_thread.c - threads get what they ask for, or the start says what was refused.
 *
 * Runs with one CPU or many, as root or not: what this machine refuses is asked for in a child
 * process that has given up its privileges.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disruptorx/thread.h"

#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base_test.h"

/* What a thread finds out about itself. */
typedef struct seen {
    int runs;
    int32_t id;
    char name[16];
    dx_cpu_set_t allowed;
    int policy;
    size_t stack_bytes;
    int usr1_blocked;
    int prof_blocked;
    dx_thread_t *thread; /* itself, once `go` is set */
    int join_self;
    bool is_self;
} seen_t;

static void look(void *context)
{
    seen_t *const seen = context;
    seen->runs++;
    seen->id = dx_thread_self_id();
    (void)prctl(PR_GET_NAME, seen->name, 0, 0, 0);
    if (dx_cpu_allowed(&seen->allowed, NULL) != DX_OK) {
        seen->runs = -1;
    }
    seen->policy = sched_getscheduler(0);
    pthread_attr_t attributes;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        (void)pthread_attr_getstacksize(&attributes, &seen->stack_bytes);
        (void)pthread_attr_destroy(&attributes);
    }
    sigset_t blocked;
    (void)pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    seen->usr1_blocked = sigismember(&blocked, SIGUSR1);
    seen->prof_blocked = sigismember(&blocked, SIGPROF);
}

static seen_t run_and_look(const dx_thread_options_t *options)
{
    seen_t seen = {0};
    dx_thread_t *thread = NULL;
    dx_error_t error = {0};
    if (dx_thread_start(options, look, &seen, &thread, &error) != DX_OK) {
        fail_msg("%s", error.message);
    }
    const int32_t id = dx_thread_id(thread);
    assert_false(dx_thread_is_self(thread));
    assert_ok(dx_thread_join(thread));
    assert_int_equal(seen.runs, 1);
    assert_int_equal(seen.id, id);
    assert_int_not_equal(id, dx_thread_self_id());
    return seen;
}

static void a_thread_with_defaults_runs_once(void **state)
{
    (void)state;
    char name[16];
    (void)prctl(PR_GET_NAME, name, 0, 0, 0);
    const seen_t seen = run_and_look(NULL);
    assert_string_equal(seen.name, name);
    dx_cpu_set_t mine;
    assert_ok(dx_cpu_allowed(&mine, NULL));
    assert_true(dx_cpu_set_equal(&seen.allowed, &mine));
    assert_int_equal(seen.policy, sched_getscheduler(0));
}

static void a_thread_gets_name_cpu_class_and_stack(void **state)
{
    (void)state;
    dx_cpu_set_t allowed;
    assert_ok(dx_cpu_allowed(&allowed, NULL));
    dx_thread_options_t options = {
        .name = "fifteen-bytes-x", .sched = DX_SCHED_BATCH, .stack_bytes = 1000001};
    dx_cpu_set_add(&options.cpus, (uint32_t)dx_cpu_set_next(&allowed, 0));
    const seen_t seen = run_and_look(&options);
    assert_string_equal(seen.name, "fifteen-bytes-x");
    assert_int_equal(seen.policy, SCHED_BATCH);
    assert_true(dx_cpu_set_equal(&seen.allowed, &options.cpus));
    assert_true(seen.stack_bytes >= 1000001);
}

static void a_tiny_stack_becomes_the_smallest_possible(void **state)
{
    (void)state;
    const seen_t seen = run_and_look(&(dx_thread_options_t){.stack_bytes = 1});
    assert_true(seen.stack_bytes >= 4096);
}

static void idle_and_other_need_no_privilege(void **state)
{
    (void)state;
    assert_int_equal(run_and_look(&(dx_thread_options_t){.sched = DX_SCHED_IDLE}).policy,
                     SCHED_IDLE);
    assert_int_equal(run_and_look(&(dx_thread_options_t){.sched = DX_SCHED_OTHER}).policy,
                     SCHED_OTHER);
}

static void signals_are_left_to_the_application(void **state)
{
    (void)state;
    const seen_t seen = run_and_look(NULL);
    assert_int_equal(seen.usr1_blocked, 1);
    assert_int_equal(seen.prof_blocked, 0);
    sigset_t mine;
    assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &mine), 0);
    assert_int_equal(sigismember(&mine, SIGUSR1), 0); /* ours is as before */
}

static void each_option_is_checked_at_its_end(void **state)
{
    (void)state;
    static const struct {
        dx_thread_options_t options;
        const char *message; /* NULL: allowed */
    } rows[] = {
        {{.name = "a"}, NULL},
        {{.name = "fifteen-bytes-x"}, NULL},
        {{.name = "sixteen-bytes-xy"}, "name is \"sixteen-bytes-xy\", must have 1 to 15 bytes"},
        {{.name = ""}, "name is \"\", must have 1 to 15 bytes"},
        {{.sched = (dx_sched_t)6}, "sched is 6, must be from 0 to 5"},
        {{.sched = DX_SCHED_FIFO}, "priority is 0, must be from 1 to 99"},
        {{.sched = DX_SCHED_RR, .priority = 100}, "priority is 100, must be from 1 to 99"},
        {{.sched = DX_SCHED_BATCH, .priority = 1}, "priority is 1, must be 0 with sched batch"},
        {{.priority = -1}, "priority is -1, must be 0 with sched inherit"},
        {{.stack_bytes = DX_THREAD_STACK_BYTES_MAX + 1},
         "stack_bytes is 1073741825, must be from 0 to 1073741824"},
        {{.reserved = {1}}, "reserved[0] is 1, must be 0"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        seen_t seen = {0};
        dx_thread_t *thread = NULL;
        dx_error_t error = {0};
        if (rows[i].message == NULL) {
            assert_ok(dx_thread_start(&rows[i].options, look, &seen, &thread, &error));
            assert_ok(dx_thread_join(thread));
        } else {
            assert_fails(dx_thread_start(&rows[i].options, look, &seen, &thread, &error), DX_EINVAL,
                         error, rows[i].message);
            assert_null(thread);
            assert_int_equal(seen.runs, 0);
        }
    }
    dx_thread_t *thread = NULL;
    dx_error_t error = {0};
    assert_fails(dx_thread_start(NULL, NULL, NULL, &thread, &error), DX_EINVAL, error,
                 "run is NULL");
}

static void the_largest_stack_is_tried(void **state)
{
    (void)state;
    seen_t seen = {0};
    dx_thread_t *thread = NULL;
    dx_error_t error = {0};
    const dx_thread_options_t options = {.stack_bytes = DX_THREAD_STACK_BYTES_MAX};
    const int code = dx_thread_start(&options, look, &seen, &thread, &error);
    if (code != DX_OK) { /* a container may not have that much */
        assert_contains(error.message, "cannot start thread");
    }
    assert_ok(dx_thread_join(thread));
}

static void a_cpu_that_is_not_there_is_refused(void **state)
{
    (void)state;
    dx_cpu_set_t before;
    assert_ok(dx_cpu_allowed(&before, NULL));
    if (dx_cpu_set_has(&before, DX_CPU_MAX - 1)) {
        SKIP_BECAUSE("the last processor there can be is one that we may use");
    }
    seen_t seen = {0};
    dx_thread_t *thread = NULL;
    dx_error_t error = {0};
    dx_thread_options_t options = {.name = "pinned"};
    dx_cpu_set_add(&options.cpus, DX_CPU_MAX - 1);
    assert_fails(dx_thread_start(&options, look, &seen, &thread, &error), DX_ENOTFOUND, error,
                 "thread \"pinned\": cpus is 1023, but of these only {} exist");
    assert_null(thread);
    assert_int_equal(seen.runs, 0); /* I1 */

    /* One CPU that is there does not make the set right. */
    dx_cpu_set_add(&options.cpus, (uint32_t)dx_cpu_set_next(&before, 0));
    assert_int_equal(dx_thread_pin_self(&options.cpus, &error), DX_ENOTFOUND);
    dx_cpu_set_t after;
    assert_ok(dx_cpu_allowed(&after, NULL));
    assert_true(dx_cpu_set_equal(&before, &after)); /* it stayed where it was */

    const dx_cpu_set_t empty = {0};
    assert_fails(dx_thread_pin_self(&empty, &error), DX_EINVAL, error, "cpus is empty");
}

static void pinning_moves_the_caller(void **state)
{
    (void)state;
    dx_cpu_set_t before;
    assert_ok(dx_cpu_allowed(&before, NULL));
    const int32_t last = dx_cpu_set_next(&before, 0);
    dx_cpu_set_t one = {0};
    dx_cpu_set_add(&one, (uint32_t)last);
    assert_ok(dx_thread_pin_self(&one, NULL));
    assert_int_equal(dx_cpu_current(), last);
    assert_ok(dx_thread_pin_self(&before, NULL));
}

static void the_caller_can_be_named_and_scheduled(void **state)
{
    (void)state;
    char before[16];
    char after[16];
    (void)prctl(PR_GET_NAME, before, 0, 0, 0);
    assert_ok(dx_thread_name_self("renamed", NULL));
    (void)prctl(PR_GET_NAME, after, 0, 0, 0);
    assert_string_equal(after, "renamed");
    assert_ok(dx_thread_name_self(before, NULL));
    dx_error_t error = {0};
    assert_fails(dx_thread_name_self(NULL, &error), DX_EINVAL, error, "must have 1 to 15 bytes");
    assert_ok(dx_thread_sched_self(DX_SCHED_INHERIT, 0, NULL));
    assert_ok(dx_thread_sched_self(DX_SCHED_OTHER, 0, NULL));
}

/* Takes every way to real-time scheduling from this process. */
static void give_up_real_time(void)
{
    const struct rlimit none = {0};
    (void)setrlimit(RLIMIT_RTPRIO, &none);
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct data[2] = {{0}};
    (void)syscall(SYS_capset, &header, data);
}

static void real_time_without_privilege_says_what_it_needs(void **state)
{
    (void)state;
    (void)fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        give_up_real_time();
        dx_error_t error = {0};
        const int code = dx_thread_sched_self(DX_SCHED_FIFO, 50, &error);
        const bool said =
            strstr(error.message, "sched fifo with priority 50 is refused: it needs "
                                  "CAP_SYS_NICE, or an RLIMIT_RTPRIO of at least that "
                                  "priority, which is 0") != NULL;
        _exit(code == DX_EPERM && said ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void real_time_is_granted_or_refused_in_words(void **state)
{
    (void)state;
    seen_t seen = {0};
    dx_thread_t *thread = NULL;
    dx_error_t error = {0};
    const dx_thread_options_t options = {.name = "rt", .sched = DX_SCHED_RR, .priority = 1};
    const int code = dx_thread_start(&options, look, &seen, &thread, &error);
    if (code == DX_OK) {
        assert_ok(dx_thread_join(thread));
        assert_int_equal(seen.policy, SCHED_RR);
    } else {
        assert_int_equal(code, DX_EPERM);
        assert_contains(error.message, "thread \"rt\": sched rr with priority 1 is refused");
        assert_null(thread);
    }
}

static pthread_barrier_t told;

static void join_myself(void *context)
{
    seen_t *const seen = context;
    (void)pthread_barrier_wait(&told); /* now `thread` is set */
    seen->is_self = dx_thread_is_self(seen->thread);
    seen->join_self = dx_thread_join(seen->thread);
}

static void a_thread_cannot_wait_for_itself(void **state)
{
    (void)state;
    seen_t seen = {0};
    assert_int_equal(pthread_barrier_init(&told, NULL, 2), 0);
    assert_ok(dx_thread_start(NULL, join_myself, &seen, &seen.thread, NULL));
    (void)pthread_barrier_wait(&told);
    assert_ok(dx_thread_join(seen.thread));
    assert_true(seen.is_self);
    assert_int_equal(seen.join_self, DX_EDEADLOCK);
    assert_int_equal(pthread_barrier_destroy(&told), 0);
    assert_ok(dx_thread_join(NULL));
}

static void features_are_consistent(void **state)
{
    (void)state;
    dx_cpu_features_t f;
    memset(&f, 0xFF, sizeof(f));
    dx_cpu_features_read(&f);
    assert_int_equal(f.monitor_wait, f.umwait || f.mwaitx || f.wfe);
#if defined(__aarch64__)
    assert_true(f.wfe && f.invariant_counter);
#else
    assert_false(f.wfe);
#endif
}

static int start_and_join(void)
{
    seen_t seen = {0};
    dx_thread_t *thread = NULL;
    const int code = dx_thread_start(NULL, look, &seen, &thread, NULL);
    assert_int_equal(thread == NULL, code != DX_OK);
    assert_ok(dx_thread_join(thread));
    return code;
}

static void failing_starts_leave_nothing(void **state)
{
    (void)state;
    assert_int_equal(fault_sweep(start_and_join), 2); /* the memory, the thread */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_with_defaults_runs_once),
        cmocka_unit_test(a_thread_gets_name_cpu_class_and_stack),
        cmocka_unit_test(a_tiny_stack_becomes_the_smallest_possible),
        cmocka_unit_test(idle_and_other_need_no_privilege),
        cmocka_unit_test(signals_are_left_to_the_application),
        cmocka_unit_test(each_option_is_checked_at_its_end),
        cmocka_unit_test(the_largest_stack_is_tried),
        cmocka_unit_test(a_cpu_that_is_not_there_is_refused),
        cmocka_unit_test(pinning_moves_the_caller),
        cmocka_unit_test(the_caller_can_be_named_and_scheduled),
        cmocka_unit_test(real_time_without_privilege_says_what_it_needs),
        cmocka_unit_test(real_time_is_granted_or_refused_in_words),
        cmocka_unit_test(a_thread_cannot_wait_for_itself),
        cmocka_unit_test(features_are_consistent),
        cmocka_unit_test(failing_starts_leave_nothing),
    };
    return cmocka_run_group_tests_name("thread", tests, NULL, NULL);
}
