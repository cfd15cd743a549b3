/* test_stress.c - four threads per core, random graphs, everything checked exactly.
 *
 *     test_stress                   some seconds, always the same seeds: a part of `make test`
 *     DX_STRESS_SECONDS=60          as long as this
 *     DX_STRESS_SEED=12345          begins with this seed; a failure names the seed of its run
 *     DX_STRESS_ONLY=pollers        runs this scenario only, for a quarter of the time
 *
 * More threads than cores is the point: a thread is preempted in any place, and the others find
 * what it left half done. How many runs fit into the time depends on the machine; whether a run
 * passes does not.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "stress.h"

#include <sched.h>

#define SECONDS_DEFAULT 8

/* --------------------------------------------------------------------------------------- events */

static uint64_t check_of(const stress_event_t *event)
{
    uint64_t state = (uint64_t)event->sequence * 3 + (uint64_t)event->producer * 7 +
                     (uint64_t)event->number * 11 + 1;
    return random_next(&state);
}

void stress_fill(stress_event_t *event, int64_t sequence, int64_t producer, int64_t number)
{
    event->sequence = sequence;
    event->producer = producer;
    event->number = number;
    event->check = check_of(event);
}

void stress_spoil(stress_event_t *event)
{
    event->sequence = -1;
    event->producer = -1;
    event->number = -1;
    event->check = 0;
}

void stress_checker_init(stress_checker_t *checker, stress_run_t *run, const char *name,
                         int64_t first_number)
{
    checker->run = run;
    checker->name = name;
    checker->seen = 0;
    for (int i = 0; i < STRESS_PRODUCERS_MAX; i++) {
        checker->numbers[i] = first_number;
    }
}

void stress_check(stress_checker_t *checker, const stress_event_t *event, int64_t sequence)
{
    checker->seen++;
    if (event->sequence != sequence || event->check != check_of(event) || event->producer < 0 ||
        event->producer >= STRESS_PRODUCERS_MAX) {
        stress_break(checker->run, "%s: at %lld stands the event of %lld", checker->name,
                     (long long)sequence, (long long)event->sequence);
        return;
    }
    int64_t *number = &checker->numbers[event->producer];
    if (*number >= 0 && event->number != *number) {
        stress_break(checker->run, "%s: at %lld event %lld of producer %lld, must be %lld",
                     checker->name, (long long)sequence, (long long)event->number,
                     (long long)event->producer, (long long)*number);
    }
    *number = event->number + 1;
}

/* --------------------------------------------------------------------------------------- random */

int64_t stress_random(uint64_t *random, int64_t limit)
{
    return (int64_t)((random_next(random) >> 16) % (uint64_t)limit);
}

dx_wait_options_t stress_wait(uint64_t *random)
{
    /* Those that never leave the core are rare: each of them costs a time slice per hand-over. */
    const bool any = stress_random(random, 6) == 0;
    static const dx_wait_kind_t quiet[] = {DX_WAIT_ADAPTIVE,      DX_WAIT_BLOCKING,
                                           DX_WAIT_LITE_BLOCKING, DX_WAIT_PHASED_BACKOFF,
                                           DX_WAIT_SLEEPING,      DX_WAIT_TIMEOUT_BLOCKING};
    dx_wait_options_t wait = {.kind =
                                  any ? (dx_wait_kind_t)stress_random(random, DX_WAIT_KIND_COUNT)
                                      : quiet[stress_random(random, COUNT_OF(quiet))]};
    wait.spin_ns = stress_random(random, 20) * DX_NS_PER_US;
    wait.yield_ns = stress_random(random, 20) * DX_NS_PER_US;
    wait.follow_slots = (int32_t)stress_random(random, 8) - 1;
    wait.fallback = stress_random(random, 2) == 0 ? DX_WAIT_BLOCKING : DX_WAIT_SLEEPING;
    if (stress_random(random, 4) == 0) {
        wait.timeout_ns = 1 + stress_random(random, DX_NS_PER_MS);
    }
    return wait;
}

/* ----------------------------------------------------------------------------------------- runs */

void stress_break(stress_run_t *run, const char *format, ...)
{
    int32_t whole = 0;
    if (dx_compare_exchange32_acq_rel(&run->broken, &whole, 1)) {
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(run->what, sizeof(run->what), format, arguments);
        va_end(arguments);
        dx_store32_release(&run->broken, 2);
    }
}

bool stress_is_broken(const stress_run_t *run)
{
    return dx_load32_acquire(&run->broken) != 0;
}

void stress_show(const dx_ring_t *ring)
{
    dx_ring_stat_t stat;
    dx_ring_stat(ring, &stat);
    print_message("ring of %u: published %lld, claimed %lld, consumed %lld, signal %llx\n",
                  stat.slot_count, (long long)stat.published, (long long)stat.claimed,
                  (long long)stat.consumed,
                  (unsigned long long)dx_load_relaxed(&dx_ring_block(ring)->signal));
    const dx_consumer_entry_t *entries = dxi_block_consumers(dx_ring_block(ring));
    for (int32_t i = 0; i < STRESS_CONSUMERS_MAX; i++) {
        dx_consumer_stat_t consumer;
        if (dx_ring_consumer_stat(ring, i, &consumer) == DX_OK) {
            print_message(
                "  %d %s: sequence %lld, behind %llx, %s, %s, gating %d, asleep %d, "
                "wants %lld, waiters %llx\n",
                i, consumer.name, (long long)consumer.sequence,
                (unsigned long long)consumer.upstream, dx_wait_kind_name(consumer.wait_kind),
                consumer.state == DX_CONSUMER_FAILED ? "failed" : "not failed", consumer.gating,
                consumer.asleep, (long long)dx_load_relaxed(&entries[i].want),
                (unsigned long long)dx_load_relaxed(&entries[i].waiters));
        }
    }
}

#define THREADS_MAX (STRESS_PRODUCERS_MAX + STRESS_CONSUMERS_MAX)

static pthread_t threads[THREADS_MAX];
static int thread_count;

void stress_start(stress_run_t *run, void *(*body)(void *), void *context)
{
    assert_true(thread_count < THREADS_MAX);
    (void)dx_fetch_add32_acq_rel(&run->threads_left, 1);
    assert_int_equal(pthread_create(&threads[thread_count++], NULL, body, context), 0);
}

void *stress_end(stress_run_t *run)
{
    (void)dx_fetch_add32_acq_rel(&run->threads_left, -1);
    return NULL;
}

bool stress_join(stress_run_t *run, void (*meanwhile)(void *), void *context)
{
    const struct timespec pause = {.tv_nsec = 200 * DX_NS_PER_US};
    int64_t last_progress = -1;
    int64_t end_ns = 0;
    while (dx_load32_acquire(&run->threads_left) > 0 && !stress_is_broken(run)) {
        const int64_t progress = dx_load_relaxed(&run->progress);
        const int64_t now_ns = dx_clock_ns();
        if (progress != last_progress) {
            last_progress = progress;
            end_ns = now_ns + deadline_ns();
        } else if (now_ns > end_ns) {
            stress_break(run, "no progress after %lld events seen", (long long)progress);
        }
        if (meanwhile != NULL) {
            meanwhile(context);
        }
        (void)nanosleep(&pause, NULL);
    }
    if (stress_is_broken(run)) {
        return false;
    }
    while (thread_count > 0) {
        assert_int_equal(pthread_join(threads[--thread_count], NULL), 0);
    }
    return true;
}

/* ---------------------------------------------------------------------------------------- tests */

static int64_t from_environment(const char *name, int64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtoll(text, NULL, 10) : otherwise;
}

/* Runs a scenario with one seed after the other, at least once, for a quarter of the time. */
static void run_for_a_while(const char *name, void (*scenario)(stress_run_t *))
{
    static stress_run_t run; /* outlives a test that fails */
    const char *only = getenv("DX_STRESS_ONLY");
    if (only != NULL && strcmp(only, name) != 0) {
        SKIP_BECAUSE("DX_STRESS_ONLY names another scenario");
    }
    const int64_t ns = from_environment("DX_STRESS_SECONDS", SECONDS_DEFAULT) * DX_NS_PER_S / 4;
    const int64_t end_ns = dx_clock_ns() + ns;
    const int64_t cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t seed = (uint64_t)from_environment("DX_STRESS_SEED", 1);
    int64_t events = 0;
    int runs = 0;
    do {
        memset(&run, 0, sizeof(run));
        run.seed = seed;
        run.threads = 4 * (int)(cores < 8 ? cores : 8);
        scenario(&run);
        if (stress_is_broken(&run)) {
            fail_msg("%s, seed %llu: %s", name, (unsigned long long)seed, run.what);
        }
        events += dx_load_relaxed(&run.progress);
        runs++;
        seed++;
    } while (dx_clock_ns() < end_ns);
    print_message("             %s: %d runs, %lld events seen\n", name, runs, (long long)events);
}

static void random_graphs_deliver_every_event_once_in_order(void **state)
{
    (void)state;
    run_for_a_while("graph", stress_graph);
}

static void chains_of_rings_deliver_every_event_once_in_order(void **state)
{
    (void)state;
    run_for_a_while("relay", stress_relay);
}

static void pollers_come_and_go_without_losing_an_event(void **state)
{
    (void)state;
    run_for_a_while("pollers", stress_pollers);
}

static void groups_pause_and_resume_without_losing_an_event(void **state)
{
    (void)state;
    run_for_a_while("pauses", stress_pauses);
}

static void graphs_are_linked_anew_without_losing_an_event(void **state)
{
    (void)state;
    run_for_a_while("relinks", stress_relinks);
}

static void spans_of_any_length_arrive_whole(void **state)
{
    (void)state;
    run_for_a_while("spans", stress_spans);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_graphs_deliver_every_event_once_in_order),
        cmocka_unit_test(chains_of_rings_deliver_every_event_once_in_order),
        cmocka_unit_test(pollers_come_and_go_without_losing_an_event),
        cmocka_unit_test(groups_pause_and_resume_without_losing_an_event),
        cmocka_unit_test(graphs_are_linked_anew_without_losing_an_event),
        cmocka_unit_test(spans_of_any_length_arrive_whole),
    };
    /* What a broken run leaves behind would disturb the next: stop at the first. */
    cmocka_set_message_output(CM_OUTPUT_STDOUT);
    int failed = 0;
    for (size_t i = 0; i < COUNT_OF(tests) && failed == 0; i++) {
        const struct CMUnitTest one[] = {tests[i]};
        failed = cmocka_run_group_tests_name("stress", one, NULL, NULL);
    }
    return failed;
}
