/* sweep_cases.c - the operations in which the victim of crash_sweep dies.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sweep.h"

/* --------------------------------------------------------------------------- the victim's steps */

static void begin_event(sweep_t *sweep, int64_t sequence, int64_t value)
{
    sweep_event_t *event = DX_PRODUCER_EVENT(&sweep->producer, sequence, sweep_event_t);
    event->value = value;
    event->check = ~value;
    (void)dx_fetch_or_acq_rel(&sweep->journal->attempted, INT64_C(1) << value);
}

static void publish_events(sweep_t *sweep, int64_t first, int64_t last, int64_t value)
{
    (void)dx_producer_publish_range(&sweep->producer, first, last);
    for (int64_t i = 0; i <= last - first; i++) {
        (void)dx_fetch_or_acq_rel(&sweep->journal->published, INT64_C(1) << (value + i));
    }
}

static void attach(sweep_t *sweep)
{
    sweep->own = sweep_attach(sweep);
}

static void attach_producer(sweep_t *sweep)
{
    attach(sweep);
    sweep_check(dx_producer_open(
                    &sweep->producer, sweep->own,
                    &(dx_producer_options_t){.name = "victim", .wait = {.kind = DX_WAIT_BLOCKING}},
                    NULL) == DX_OK);
}

static void open_consumer(sweep_t *sweep, uint64_t upstream)
{
    const dx_consumer_options_t options = {.name = "victim",
                                           .upstream = upstream,
                                           .start = DX_START_OLDEST,
                                           .wait = {.kind = DX_WAIT_BLOCKING}};
    sweep_check(dx_consumer_open(&sweep->consumer, sweep->own, &options, NULL) == DX_OK);
}

static void attach_consumer(sweep_t *sweep)
{
    attach(sweep);
    open_consumer(sweep, 0);
}

static void attach_behind_reader(sweep_t *sweep)
{
    attach(sweep);
    open_consumer(sweep, UINT64_C(1) << sweep->reader.index);
}

/* ---------------------------------------------------------------------------------- publishing */

static void with_reader(sweep_t *sweep)
{
    sweep_open_reader(sweep);
    if (sweep->mode == DX_RING_MULTI) {
        sweep_open_writer(sweep);
        sweep_write(sweep, 3);
    }
}

static void publish_one(sweep_t *sweep)
{
    const int64_t sequence = dx_producer_claim(&sweep->producer);
    begin_event(sweep, sequence, 0);
    publish_events(sweep, sequence, sequence, 0);
}

static void publish_one_slowly(sweep_t *sweep)
{
    sweep->producer.limit = -1; /* the room that it knows of is used up */
    const int64_t sequence = dx_producer_claim(&sweep->producer);
    begin_event(sweep, sequence, 0);
    publish_events(sweep, sequence, sequence, 0);
}

static void publish_three(sweep_t *sweep)
{
    const int64_t last = dx_producer_claim_n(&sweep->producer, 3);
    for (int64_t i = 0; i < 3; i++) {
        begin_event(sweep, last - 2 + i, i);
    }
    publish_events(sweep, last - 2, last, 0);
}

static void publish_in_reverse(sweep_t *sweep)
{
    const int64_t first = dx_producer_claim(&sweep->producer);
    begin_event(sweep, first, 0);
    const int64_t second = dx_producer_claim(&sweep->producer);
    begin_event(sweep, second, 1);
    publish_events(sweep, second, second, 1);
    publish_events(sweep, first, first, 0);
}

static void abort_two_publish_one(sweep_t *sweep)
{
    const int64_t last = dx_producer_claim_n(&sweep->producer, 3);
    (void)dx_producer_abort(&sweep->producer, last - 2, last - 1);
    begin_event(sweep, last, 0);
    publish_events(sweep, last, last, 0);
}

static void find_the_ring_full(sweep_t *sweep)
{
    sweep->sequences[0] = dx_producer_try_claim_n(&sweep->producer, 1);
}

static void fill_the_ring(sweep_t *sweep)
{
    sweep_open_reader(sweep);
    sweep_open_writer(sweep);
    sweep_write(sweep, SWEEP_SLOTS);
}

static void wait_for_room(sweep_t *sweep)
{
    (void)dx_producer_claim(&sweep->producer);
}

/* --------------------------------------------------------------------------------------- spans */

static int64_t begin_span(sweep_t *sweep, int64_t value)
{
    const size_t copies = (size_t)SWEEP_COPIES(value);
    const int64_t sequence =
        dx_producer_claim_span(&sweep->producer, copies * sizeof(sweep_event_t));
    sweep_event_t *events = dx_span_payload(dx_producer_span(&sweep->producer, sequence));
    for (size_t i = 0; i < copies; i++) {
        events[i] = (sweep_event_t){.value = value, .check = ~value};
    }
    (void)dx_fetch_or_acq_rel(&sweep->journal->attempted, INT64_C(1) << value);
    return sequence;
}

static void publish_span_of(sweep_t *sweep, int64_t sequence, int64_t value)
{
    (void)dx_producer_publish_span(&sweep->producer, sequence);
    (void)dx_fetch_or_acq_rel(&sweep->journal->published, INT64_C(1) << value);
}

static void publish_long_span(sweep_t *sweep)
{
    publish_span_of(sweep, begin_span(sweep, 16), 16);
}

static void publish_spans_in_reverse(sweep_t *sweep)
{
    const int64_t first = begin_span(sweep, 7);
    const int64_t second = begin_span(sweep, 12);
    publish_span_of(sweep, second, 12);
    publish_span_of(sweep, first, 7);
}

static void abort_a_span(sweep_t *sweep)
{
    const int64_t first = dx_producer_claim_span(&sweep->producer, 200);
    const int64_t second = begin_span(sweep, 5);
    (void)dx_producer_abort_span(&sweep->producer, first);
    publish_span_of(sweep, second, 5);
}

/* ------------------------------------------------------------------------------ with a sleeper */

static void with_sleeping_reader(sweep_t *sweep)
{
    const dx_consumer_options_t options = {.name = "reader", .wait = {.kind = DX_WAIT_BLOCKING}};
    sweep_check(dx_consumer_open(&sweep->reader, sweep->ring, &options, NULL) == DX_OK);
    sweep->reading = true;
    sweep->sleeper_reads = true;
    sweep_check(pthread_create(&sweep->sleeper, NULL, sweep_sleeper_reads, sweep) == 0);
    while (dx_load32_acquire(&sweep->reader.entry->asleep) == 0) {
        (void)sched_yield();
    }
    (void)usleep(2000); /* most likely in the kernel by now; both cases are right */
}

/* Fills the ring as soon as the victim holds it, and waits for room. */
static void *write_and_wait(void *context)
{
    sweep_t *sweep = context;
    while (dx_load_acquire(&sweep->journal->ready) == 0) {
        (void)sched_yield();
    }
    sweep_write(sweep, SWEEP_SLOTS + 1);
    dx_store_release(&sweep->sleeper_at, 1);
    return NULL;
}

static void with_waiting_writer(sweep_t *sweep)
{
    const dx_producer_options_t options = {.name = "writer", .wait = {.kind = DX_WAIT_BLOCKING}};
    sweep_check(dx_producer_open(&sweep->writer, sweep->ring, &options, NULL) == DX_OK);
    sweep->writing = true;
    sweep->sleeper_writes = true;
    sweep_check(pthread_create(&sweep->sleeper, NULL, write_and_wait, sweep) == 0);
}

static void attach_consumer_and_block_the_writer(sweep_t *sweep)
{
    attach_consumer(sweep);
    dx_store_release(&sweep->journal->ready, 1);
    dx_producer_stat_t stat = {0};
    while (stat.sleeps == 0) {
        (void)sched_yield();
        sweep_check(dx_ring_producer_stat(sweep->own, 0, &stat) == DX_OK);
    }
}

/* ----------------------------------------------------------------------------------- consuming */

static void with_three_events(sweep_t *sweep)
{
    sweep_open_reader(sweep);
    sweep_open_writer(sweep);
    sweep_write(sweep, 3);
}

static void take_and_release(sweep_t *sweep)
{
    const int64_t last = dx_consumer_poll(&sweep->consumer);
    dx_consumer_release(&sweep->consumer, last - 1);
    dx_consumer_release(&sweep->consumer, last);
}

static void wait_for_an_event(sweep_t *sweep)
{
    sweep->sequences[0] = dx_consumer_wait(&sweep->consumer);
}

static void open_one(sweep_t *sweep)
{
    open_consumer(sweep, 0);
}

static void open_one_behind_reader(sweep_t *sweep)
{
    open_consumer(sweep, UINT64_C(1) << sweep->reader.index);
}

static void close_consumer(sweep_t *sweep)
{
    dx_consumer_close(&sweep->consumer);
}

static void recover_helper(sweep_t *sweep)
{
    (void)dx_ring_recover(sweep->own);
}

/* -------------------------------------------------------------- consumers that keep their place */

static void open_named(sweep_t *sweep, dx_ring_t *ring, bool resume)
{
    const dx_consumer_options_t options = {.name = "keeper",
                                           .start = DX_START_OLDEST,
                                           .on_death = DX_ON_DEATH_BLOCK,
                                           .resume = resume,
                                           .wait = {.kind = DX_WAIT_BLOCKING}};
    dx_error_t error = {0};
    if (dx_consumer_open(&sweep->consumer, ring, &options, &error) != DX_OK) {
        sweep_fail("%s", error.message);
    }
}

static void open_keeper(sweep_t *sweep)
{
    open_named(sweep, sweep->own, false);
}

static void resume_keeper(sweep_t *sweep)
{
    open_named(sweep, sweep->own, true);
}

static void attach_keeper(sweep_t *sweep)
{
    attach(sweep);
    open_keeper(sweep);
}

/* Wherever it died: one of the same name can be opened, and nothing is missed. */
static void take_over_keeper(sweep_t *sweep)
{
    int64_t first = 0;
    int64_t last = 0;
    open_named(sweep, sweep->ring, true);
    sweep_check(dx_consumer_missed(&sweep->consumer, &first, &last) == 0);
    dx_consumer_release(&sweep->consumer, dx_consumer_poll(&sweep->consumer));
    dx_consumer_close(&sweep->consumer);
}

/* A process that has died and left a place to take over. */
static void with_dead_keeper(sweep_t *sweep)
{
    with_three_events(sweep);
    const pid_t helper = fork();
    sweep_check(helper >= 0);
    if (helper == 0) {
        attach_keeper(sweep);
        (void)raise(SIGKILL);
    }
    sweep_check(waitpid(helper, NULL, 0) == helper);
}

/* ------------------------------------------------------------------- in the middle of the graph */

static void insert_before_reader(sweep_t *sweep)
{
    sweep_check(dx_consumer_follow(sweep->own, sweep->reader.index,
                                   UINT64_C(1) << sweep->consumer.index, NULL) == DX_OK);
}

static void attach_before_reader(sweep_t *sweep)
{
    attach_consumer(sweep);
    insert_before_reader(sweep);
}

static void take_the_readers_place(sweep_t *sweep)
{
    sweep_check(dx_consumer_follow(sweep->own, sweep->reader.index, 0, NULL) == DX_OK);
}

/* -------------------------------------------------------------------------- opening and closing */

static void open_producer(sweep_t *sweep)
{
    sweep_check(dx_producer_open(&sweep->producer, sweep->own, NULL, NULL) == DX_OK);
}

static void close_producer(sweep_t *sweep)
{
    dx_producer_close(&sweep->producer);
}

static void attach_producer_with_claims(sweep_t *sweep)
{
    attach_producer(sweep);
    (void)dx_producer_claim_n(&sweep->producer, 3);
}

static void close_and_reopen_ring(sweep_t *sweep)
{
    dx_ring_close(sweep->own);
    dx_ring_reopen(sweep->own);
}

static void reopen_ring(sweep_t *sweep)
{
    dx_ring_reopen(sweep->ring);
}

static void detach(sweep_t *sweep)
{
    dx_ring_destroy(sweep->own);
}

static void attach_all(sweep_t *sweep)
{
    attach_producer_with_claims(sweep);
    open_consumer(sweep, 0);
}

/* A process with everything that can be held; it waits to be killed. */
static void with_helper(sweep_t *sweep)
{
    with_reader(sweep);
    const pid_t helper = fork();
    sweep_check(helper >= 0);
    if (helper == 0) {
        attach_all(sweep);
        dx_store_release(&sweep->journal->ready, 1);
        for (;;) {
            (void)pause();
        }
    }
    dx_store_release(&sweep->journal->helper, helper);
    while (dx_load_acquire(&sweep->journal->ready) == 0) {
        (void)sched_yield();
    }
}

static void count_attached(void *context, const dx_ring_file_t *file)
{
    *(int32_t *)context = file->attached;
}

static void attach_and_kill_helper(sweep_t *sweep)
{
    attach(sweep);
    const pid_t helper = (pid_t)dx_load_acquire(&sweep->journal->helper);
    (void)kill(helper, SIGKILL);
    int32_t attached = 0;
    do { /* the survivor and we; all threads of the helper have to end */
        (void)sched_yield();
        sweep_check(dx_ring_list(sweep->folder, count_attached, &attached, NULL) == 1);
    } while (attached != 2);
}

/* --------------------------------------------------------------------------------- whole rings */

static dx_ring_t *create(const sweep_t *sweep, bool keep)
{
    dx_ring_options_t options = sweep_ring_options(sweep);
    options.share.keep = keep;
    dx_ring_t *ring = NULL;
    dx_error_t error = {0};
    if (dx_ring_create(&options, &ring, &error) != DX_OK) {
        sweep_fail("%s", error.message);
    }
    return ring;
}

static void leave_a_stale_ring(sweep_t *sweep)
{
    dx_ring_destroy(create(sweep, true));
}

static void create_ring(sweep_t *sweep)
{
    sweep->own = create(sweep, false);
}

static void remove_ring(sweep_t *sweep)
{
    sweep_check(dx_ring_remove(SWEEP_NAME, sweep->folder, false, NULL) == DX_OK);
}

static void look_at_rings(void *context, const dx_ring_file_t *file)
{
    (void)context;
    (void)file;
}

static void list_rings(sweep_t *sweep)
{
    sweep_check(dx_ring_list(sweep->folder, look_at_rings, NULL, NULL) == 1);
}

#define MULTI .mode = DX_RING_MULTI
#define SINGLE .mode = DX_RING_SINGLE
#define STEPS(prepare_, arrange_, operate_)                                                        \
    .prepare = (prepare_), .arrange = (arrange_), .operate = (operate_)

const sweep_case_t sweep_cases[] = {
    {"claim-multi", MULTI, STEPS(with_reader, attach_producer, publish_one)},
    {"claim-single", SINGLE, STEPS(with_reader, attach_producer, publish_one)},
    {"claim-slow-multi", MULTI, STEPS(with_reader, attach_producer, publish_one_slowly)},
    {"claim-slow-single", SINGLE, STEPS(with_reader, attach_producer, publish_one_slowly)},
    {"batch-multi", MULTI, STEPS(with_reader, attach_producer, publish_three)},
    {"batch-single", SINGLE, STEPS(with_reader, attach_producer, publish_three)},
    {"reverse-multi", MULTI, STEPS(with_reader, attach_producer, publish_in_reverse)},
    {"abort-multi", MULTI, STEPS(with_reader, attach_producer, abort_two_publish_one)},
    {"abort-single", SINGLE, STEPS(with_reader, attach_producer, abort_two_publish_one)},
    {"full-multi", MULTI, STEPS(fill_the_ring, attach_producer, find_the_ring_full)},
    {"park-producer", MULTI, .sleeps = true, STEPS(fill_the_ring, attach_producer, wait_for_room)},
    {"span-multi", MULTI, .spans = true, STEPS(with_reader, attach_producer, publish_long_span)},
    {"span-single", SINGLE, .spans = true, STEPS(with_reader, attach_producer, publish_long_span)},
    {"span-reverse", MULTI, .spans = true,
     STEPS(with_reader, attach_producer, publish_spans_in_reverse)},
    {"span-abort-multi", MULTI, .spans = true, STEPS(with_reader, attach_producer, abort_a_span)},
    {"span-abort-single", SINGLE, .spans = true, STEPS(with_reader, attach_producer, abort_a_span)},
    {"wake-reader-multi", MULTI, STEPS(with_sleeping_reader, attach_producer, publish_one)},
    {"wake-reader-single", SINGLE, STEPS(with_sleeping_reader, attach_producer, publish_one)},
    {"wake-writer", MULTI,
     STEPS(with_waiting_writer, attach_consumer_and_block_the_writer, take_and_release)},
    {"consume-multi", MULTI, STEPS(with_three_events, attach_consumer, take_and_release)},
    {"consume-single", SINGLE, STEPS(with_three_events, attach_consumer, take_and_release)},
    {"park-consumer-multi", MULTI, .sleeps = true,
     STEPS(sweep_open_reader, attach_consumer, wait_for_an_event)},
    {"park-consumer-single", SINGLE, .sleeps = true,
     STEPS(sweep_open_reader, attach_consumer, wait_for_an_event)},
    {"park-behind", MULTI, .sleeps = true,
     STEPS(with_three_events, attach_behind_reader, wait_for_an_event)},
    {"consumer-open", MULTI, STEPS(with_three_events, attach, open_one)},
    {"consumer-open-first", MULTI, STEPS(sweep_open_writer, attach, open_one)},
    {"consumer-open-behind", MULTI, STEPS(with_three_events, attach, open_one_behind_reader)},
    {"consumer-close", MULTI, STEPS(with_three_events, attach_consumer, close_consumer)},
    {"consumer-close-behind", MULTI,
     STEPS(with_three_events, attach_behind_reader, close_consumer)},
    {"keeper-open", MULTI, STEPS(with_three_events, attach, open_keeper), .mend = take_over_keeper},
    {"keeper-consume", MULTI, STEPS(with_three_events, attach_keeper, take_and_release),
     .mend = take_over_keeper},
    {"keeper-close", MULTI, STEPS(with_three_events, attach_keeper, close_consumer),
     .mend = take_over_keeper},
    {"keeper-resume", MULTI, STEPS(with_dead_keeper, attach, resume_keeper),
     .mend = take_over_keeper},
    {"keeper-recover", MULTI, STEPS(with_dead_keeper, attach, recover_helper),
     .mend = take_over_keeper},
    {"stage-insert", MULTI, STEPS(with_three_events, attach_consumer, insert_before_reader)},
    {"stage-consume", MULTI, STEPS(with_three_events, attach_before_reader, take_and_release)},
    {"stage-close", MULTI, STEPS(with_three_events, attach_before_reader, close_consumer)},
    {"stage-bypass", MULTI, STEPS(with_three_events, attach_before_reader, take_the_readers_place)},
    {"producer-open", MULTI, STEPS(with_reader, attach, open_producer)},
    {"producer-open-single", SINGLE, STEPS(with_reader, attach, open_producer)},
    {"producer-close", MULTI, STEPS(with_reader, attach_producer, close_producer)},
    {"producer-close-claims", MULTI,
     STEPS(with_reader, attach_producer_with_claims, close_producer)},
    {"ring-close", MULTI, STEPS(with_reader, attach, close_and_reopen_ring), .mend = reopen_ring},
    {"attach", MULTI, STEPS(with_reader, NULL, attach)},
    {"detach", MULTI, STEPS(with_reader, attach, detach)},
    {"detach-all", MULTI, STEPS(with_reader, attach_all, detach)},
    {"recover", MULTI, STEPS(with_helper, attach_and_kill_helper, recover_helper)},
    {"create", MULTI, .makes = true, STEPS(NULL, NULL, create_ring)},
    {"create-over-stale", MULTI, .makes = true, STEPS(leave_a_stale_ring, NULL, create_ring)},
    {"detach-last", MULTI, .makes = true, STEPS(NULL, create_ring, detach)},
    {"remove", MULTI, .makes = true, STEPS(leave_a_stale_ring, NULL, remove_ring)},
    {"list", MULTI, STEPS(with_reader, NULL, list_rings)},
};

const int sweep_case_count = (int)(sizeof(sweep_cases) / sizeof(sweep_cases[0]));
