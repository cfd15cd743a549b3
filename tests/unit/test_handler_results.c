/* test_handler_results.c - what a handler's result does to the event, the batch and the consumer.
 *
 * One table drives on_event and on_batch handlers on rings of both modes: a run with rules, then a
 * second run without them, which must deliver exactly what the first one left (P1, P2 in
 * src/ring/processor.c).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disruptor_test.h"

typedef struct result_row {
    const char *what;
    int64_t count;
    rule_t rules[3];
    dx_error_policy_t policy;
    dx_error_policy_t answer; /* of on_error, with policy ASK */
    dx_retry_options_t retry;
    int64_t batch_max;
    bool may_skip;
    const char *trace; /* of the run with the rules */
    int code;          /* what its shutdown returns */
    const char *message;
    int64_t sequence; /* where the consumer stands then */
    int64_t errors;
    int64_t retries;
    const char *again; /* of the run without the rules */
} result_row_t;

#define FATAL_AT_1 "consumer 'probe' failed at sequence 1: "

static const result_row_t error_rows[] = {
    {.what = "no error at all",
     .count = 3,
     .trace = "< [3/3 0 1 2* > ",
     .sequence = 2,
     .again = "< > "},
    {.what = "FATAL is the default: the consumer ends before the event",
     .count = 3,
     .rules = {{1, 1, DX_ECORRUPT}},
     .trace = "< [3/3 0 1 > ",
     .code = DX_ECONSUMER,
     .message = "2 events are left: " FATAL_AT_1 "data corrupt",
     .sequence = 0,
     .errors = 1,
     .again = "< [2/2 1 2* > "},
    {.what = "FATAL on the first event",
     .count = 2,
     .rules = {{0, 1, DX_EIO}},
     .trace = "< [2/2 0 > ",
     .code = DX_ECONSUMER,
     .message = "2 events are left: consumer 'probe' failed at sequence 0: ",
     .sequence = -1,
     .errors = 1,
     .again = "< [2/2 0 1* > "},
    {.what = "FATAL on the last event",
     .count = 2,
     .rules = {{1, 1, DX_EIO}},
     .trace = "< [2/2 0 1* > ",
     .code = DX_ECONSUMER,
     .message = "1 events are left: " FATAL_AT_1,
     .sequence = 0,
     .errors = 1,
     .again = "< [1/1 1* > "},
    {.what = "SKIP goes on with the next",
     .count = 3,
     .rules = {{1, 1, DX_EIO}},
     .policy = DX_ON_ERROR_SKIP,
     .trace = "< [3/3 0 1 2* > ",
     .sequence = 2,
     .errors = 1,
     .again = "< > "},
    {.what = "SKIP of several in a row",
     .count = 3,
     .rules = {{0, 0, DX_EIO}, {1, 0, DX_EINVAL}, {2, 0, DX_ENOMEM}},
     .policy = DX_ON_ERROR_SKIP,
     .trace = "< [3/3 0 1 2* > ",
     .sequence = 2,
     .errors = 3,
     .again = "< > "},
    {.what = "STOP ends in order before the event",
     .count = 3,
     .rules = {{1, 1, DX_EIO}},
     .policy = DX_ON_ERROR_STOP,
     .trace = "< [3/3 0 1 > ",
     .code = DX_ECONSUMER,
     .message = "2 events are left: consumer 'probe' has stopped",
     .sequence = 0,
     .errors = 1,
     .again = "< [2/2 1 2* > "},
    {.what = "RETRY gives the same event again",
     .count = 3,
     .rules = {{1, 2, DX_EIO}},
     .policy = DX_ON_ERROR_RETRY,
     .trace = "< [3/3 0 1 1 1 2* > ",
     .sequence = 2,
     .errors = 2,
     .retries = 2,
     .again = "< > "},
    {.what = "RETRY is FATAL when the attempts are used up",
     .count = 3,
     .rules = {{1, 0, DX_EIO}},
     .policy = DX_ON_ERROR_RETRY,
     .retry = {.attempts_max = 2},
     .trace = "< [3/3 0 1 1 1 > ",
     .code = DX_ECONSUMER,
     .message = FATAL_AT_1 "input or output failed",
     .sequence = 0,
     .errors = 3,
     .retries = 2,
     .again = "< [2/2 1 2* > "},
    {.what = "RETRY is repeated 10 times when nothing is said",
     .count = 1,
     .rules = {{0, 0, DX_EIO}},
     .policy = DX_ON_ERROR_RETRY,
     .trace = "< [1/1 0* 0* 0* 0* 0* 0* 0* 0* 0* 0* 0* > ",
     .code = DX_ECONSUMER,
     .message = "failed at sequence 0",
     .sequence = -1,
     .errors = 11,
     .retries = 10,
     .again = "< [1/1 0* > "},
    {.what = "ASK that says SKIP",
     .count = 2,
     .rules = {{0, 1, DX_EIO}},
     .policy = DX_ON_ERROR_ASK,
     .answer = DX_ON_ERROR_SKIP,
     .trace = "< [2/2 0 !EIO@0 1* > ",
     .sequence = 1,
     .errors = 1,
     .again = "< > "},
    {.what = "ASK that says RETRY",
     .count = 2,
     .rules = {{0, 1, DX_EIO}},
     .policy = DX_ON_ERROR_ASK,
     .answer = DX_ON_ERROR_RETRY,
     .trace = "< [2/2 0 !EIO@0 0 1* > ",
     .sequence = 1,
     .errors = 1,
     .retries = 1,
     .again = "< > "},
    {.what = "ASK that says STOP",
     .count = 2,
     .rules = {{1, 1, DX_EIO}},
     .policy = DX_ON_ERROR_ASK,
     .answer = DX_ON_ERROR_STOP,
     .trace = "< [2/2 0 1* !EIO@1 > ",
     .code = DX_ECONSUMER,
     .message = "has stopped",
     .sequence = 0,
     .errors = 1,
     .again = "< [1/1 1* > "},
    {.what = "ASK that says ASK is FATAL",
     .count = 1,
     .rules = {{0, 1, DX_EIO}},
     .policy = DX_ON_ERROR_ASK,
     .answer = DX_ON_ERROR_ASK,
     .trace = "< [1/1 0* !EIO@0 > ",
     .code = DX_ECONSUMER,
     .message = "input or output failed",
     .sequence = -1,
     .errors = 1,
     .again = "< [1/1 0* > "},
    {.what = "DX_EFATAL is fatal whatever the policy",
     .count = 2,
     .rules = {{1, 1, DX_EFATAL}},
     .policy = DX_ON_ERROR_SKIP,
     .trace = "< [2/2 0 1* > ",
     .code = DX_ECONSUMER,
     .message = FATAL_AT_1 "handler asked to stop for good",
     .sequence = 0,
     .errors = 1,
     .again = "< [1/1 1* > "},
    {.what = "DX_EFATAL is not even asked about",
     .count = 1,
     .rules = {{0, 1, DX_EFATAL}},
     .policy = DX_ON_ERROR_ASK,
     .answer = DX_ON_ERROR_SKIP,
     .trace = "< [1/1 0* > ",
     .code = DX_ECONSUMER,
     .message = "failed at sequence 0",
     .sequence = -1,
     .errors = 1,
     .again = "< [1/1 0* > "},
    {.what = "a positive number that is no result is an error",
     .count = 2,
     .rules = {{0, 1, 99}},
     .policy = DX_ON_ERROR_ASK,
     .answer = DX_ON_ERROR_SKIP,
     .trace = "< [2/2 0 !EINVAL@0 1* > ",
     .sequence = 1,
     .errors = 1,
     .again = "< > "},
    {.what = "SKIP without may_skip is an error",
     .count = 2,
     .rules = {{0, 1, DX_HANDLER_SKIP}},
     .policy = DX_ON_ERROR_ASK,
     .answer = DX_ON_ERROR_SKIP,
     .trace = "< [2/2 0 !ESTATE@0 1* > ",
     .sequence = 1,
     .errors = 1,
     .again = "< > "},
};

static const result_row_t result_rows[] = {
    {.what = "SKIP is done",
     .count = 3,
     .rules = {{2, 0, DX_HANDLER_SKIP}},
     .may_skip = true,
     .trace = "< [3/3 0 1 2* > ",
     .sequence = 2,
     .again = "< > "},
    {.what = "RELEASE is done, and the batch goes on",
     .count = 3,
     .rules = {{0, 0, DX_HANDLER_RELEASE}, {2, 0, DX_HANDLER_RELEASE}},
     .trace = "< [3/3 0 1 2* > ",
     .sequence = 2,
     .again = "< > "},
    {.what = "STOP ends behind the event",
     .count = 3,
     .rules = {{1, 1, DX_HANDLER_STOP}},
     .trace = "< [3/3 0 1 > ",
     .code = DX_ECONSUMER,
     .message = "1 events are left: consumer 'probe' has stopped",
     .sequence = 1,
     .again = "< [1/1 2* > "},
    {.what = "STOP on the last event leaves nothing",
     .count = 2,
     .rules = {{1, 1, DX_HANDLER_STOP}},
     .trace = "< [2/2 0 1* > ",
     .sequence = 1,
     .again = "< > "},
    {.what = "RETRY of the first, a middle and the last event",
     .count = 3,
     .rules = {{0, 1, DX_HANDLER_RETRY}, {1, 2, DX_HANDLER_RETRY}, {2, 1, DX_HANDLER_RETRY}},
     .trace = "< [3/3 0 0 1 1 1 2* 2* > ",
     .sequence = 2,
     .retries = 4,
     .again = "< > "},
    {.what = "RETRY: each event has its own attempts",
     .count = 3,
     .rules = {{0, 2, DX_HANDLER_RETRY}, {1, 2, DX_HANDLER_RETRY}},
     .retry = {.attempts_max = 2},
     .trace = "< [3/3 0 0 0 1 1 1 2* > ",
     .sequence = 2,
     .retries = 4,
     .again = "< > "},
    {.what = "RETRY gives up: FATAL",
     .count = 2,
     .rules = {{1, 0, DX_HANDLER_RETRY}},
     .retry = {.attempts_max = 1},
     .trace = "< [2/2 0 1* 1* > ",
     .code = DX_ECONSUMER,
     .message = FATAL_AT_1 "limit reached",
     .sequence = 0,
     .retries = 1,
     .again = "< [1/1 1* > "},
    {.what = "RETRY gives up: SKIP",
     .count = 3,
     .rules = {{1, 0, DX_HANDLER_RETRY}},
     .retry = {.attempts_max = 2, .give_up = DX_ON_ERROR_SKIP},
     .trace = "< [3/3 0 1 1 1 2* > ",
     .sequence = 2,
     .errors = 1,
     .retries = 2,
     .again = "< > "},
    {.what = "RETRY gives up: STOP",
     .count = 3,
     .rules = {{1, 0, DX_HANDLER_RETRY}},
     .retry = {.attempts_max = 2, .give_up = DX_ON_ERROR_STOP},
     .trace = "< [3/3 0 1 1 1 > ",
     .code = DX_ECONSUMER,
     .message = "has stopped",
     .sequence = 0,
     .retries = 2,
     .again = "< [2/2 1 2* > "},
    {.what = "RETRY without end",
     .count = 1,
     .rules = {{0, 40, DX_HANDLER_RETRY}, {0, 41, DX_HANDLER_RELEASE}},
     .retry = {.attempts_max = -1},
     .trace = "< [1/1 "
              "0* 0* 0* 0* 0* 0* 0* 0* 0* 0* 0* 0* 0* 0* 0* 0* 0* 0* 0* 0* "
              "0* 0* 0* 0* 0* 0* 0* 0* 0* 0* 0* 0* 0* 0* 0* 0* 0* 0* 0* 0* 0* > ",
     .sequence = 0,
     .retries = 40,
     .again = "< > "},
    {.what = "REWIND of the first event",
     .count = 2,
     .rules = {{0, 2, DX_HANDLER_REWIND}},
     .trace = "< [2/2 0 [2/2 0 [2/2 0 1* > ",
     .sequence = 1,
     .retries = 2,
     .again = "< > "},
    {.what = "REWIND of a middle event",
     .count = 3,
     .rules = {{1, 1, DX_HANDLER_REWIND}},
     .trace = "< [3/3 0 1 [3/3 0 1 2* > ",
     .sequence = 2,
     .retries = 1,
     .again = "< > "},
    {.what = "REWIND of the last event",
     .count = 2,
     .rules = {{1, 1, DX_HANDLER_REWIND}},
     .trace = "< [2/2 0 1* [2/2 0 1* > ",
     .sequence = 1,
     .retries = 1,
     .again = "< > "},
    {.what = "REWIND of the only event",
     .count = 1,
     .rules = {{0, 3, DX_HANDLER_REWIND}},
     .trace = "< [1/1 0* [1/1 0* [1/1 0* [1/1 0* > ",
     .sequence = 0,
     .retries = 3,
     .again = "< > "},
    {.what = "REWIND of its own batch only",
     .count = 4,
     .rules = {{3, 1, DX_HANDLER_REWIND}},
     .batch_max = 2,
     .trace = "< [2/4 0 1* [2/2 2 3* [2/2 2 3* > ",
     .sequence = 3,
     .retries = 1,
     .again = "< > "},
    {.what = "REWIND behind a RELEASE goes back to what is not released",
     .count = 3,
     .rules = {{0, 0, DX_HANDLER_RELEASE}, {2, 1, DX_HANDLER_REWIND}},
     .trace = "< [3/3 0 1 2* [2/2 1 2* > ",
     .sequence = 2,
     .retries = 1,
     .again = "< > "},
    {.what = "REWIND gives up: FATAL at the failing event",
     .count = 3,
     .rules = {{1, 0, DX_HANDLER_REWIND}},
     .retry = {.attempts_max = 1},
     .trace = "< [3/3 0 1 [3/3 0 1 > ",
     .code = DX_ECONSUMER,
     .message = FATAL_AT_1 "limit reached",
     .sequence = 0,
     .retries = 1,
     .again = "< [2/2 1 2* > "},
    {.what = "REWIND gives up: SKIP of the failing event",
     .count = 3,
     .rules = {{1, 0, DX_HANDLER_REWIND}},
     .retry = {.attempts_max = 2, .give_up = DX_ON_ERROR_SKIP},
     .trace = "< [3/3 0 1 [3/3 0 1 [3/3 0 1 2* > ",
     .sequence = 2,
     .errors = 1,
     .retries = 2,
     .again = "< > "},
    {.what = "REWIND gives up: STOP before the failing event",
     .count = 3,
     .rules = {{1, 0, DX_HANDLER_REWIND}},
     .retry = {.attempts_max = 1, .give_up = DX_ON_ERROR_STOP},
     .trace = "< [3/3 0 1 [3/3 0 1 > ",
     .code = DX_ECONSUMER,
     .message = "has stopped",
     .sequence = 0,
     .retries = 1,
     .again = "< [2/2 1 2* > "},
};

static dx_disruptor_t *disruptor_of(const result_row_t *row, bool batches, dx_ring_mode_t mode,
                                    probe_t *probe)
{
    dx_disruptor_t *disruptor = make_disruptor(mode, 8);
    memcpy(probe->rules, row->rules, sizeof(row->rules));
    probe->answer = row->answer;
    dx_handler_t handler = probe_handler(probe, "probe");
    if (batches) {
        handler.on_event = NULL;
        handler.on_batch = probe_batch;
    }
    handler.on_error_policy = row->policy;
    handler.on_error = row->policy == DX_ON_ERROR_ASK ? probe_error : NULL;
    handler.retry = row->retry;
    handler.batch_max = row->batch_max;
    handler.may_skip = row->may_skip;
    add_handlers_ok(disruptor, &handler, 1, NULL);
    return disruptor;
}

static void check_run(const result_row_t *row, dx_disruptor_t *disruptor, probe_t *probe)
{
    dx_error_t error = {0};
    publish(disruptor, row->count);
    assert_ok(dx_disruptor_start(disruptor, NULL));
    assert_code(dx_disruptor_shutdown(disruptor, DEADLINE_NS, &error), row->code);
    if (row->message != NULL) {
        assert_contains(error.message, row->message);
        assert_int_equal(error.code, row->code);
    }
    assert_trace(probe, row->trace);
    const dx_consumer_stat_t stat = stat_of(disruptor, 0);
    assert_int_equal(stat.sequence, row->sequence);
    assert_int_equal(stat.events, row->sequence + 1); /* given and done with: each counts once */
    assert_int_equal(stat.errors, row->errors);
    assert_int_equal(stat.retries, row->retries);

    memset(probe->rules, 0, sizeof(probe->rules));
    memset(probe->text, 0, sizeof(probe->text));
    probe->length = 0;
    assert_ok(dx_disruptor_start(disruptor, NULL));
    shutdown_ok(disruptor);
    assert_trace(probe, row->again);
    assert_int_equal(stat_of(disruptor, 0).sequence, row->count - 1);
    assert_int_equal(dx_load_relaxed(&probe->wrong), 0);
}

static void check_rows(const result_row_t *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        print_message("  %s\n", rows[i].what);
        for (int variant = 0; variant < 4; variant++) {
            const bool batches = (variant & 1) != 0;
            const dx_ring_mode_t mode = variant < 2 ? DX_RING_SINGLE : DX_RING_MULTI;
            probe_t probe = {0};
            dx_disruptor_t *disruptor = disruptor_of(&rows[i], batches, mode, &probe);
            check_run(&rows[i], disruptor, &probe);
            dx_disruptor_destroy(disruptor);
        }
    }
}

static void each_error_policy_does_what_it_says_and_a_restart_loses_nothing(void **state)
{
    (void)state;
    check_rows(error_rows, COUNT_OF(error_rows));
}

static void each_result_does_what_it_says_and_a_restart_loses_nothing(void **state)
{
    (void)state;
    check_rows(result_rows, COUNT_OF(result_rows));
}

/* Event 1 wants one RETRY in each pass, event 2 rewinds for ever.
 * Fails when: RETRY and REWIND share one count of attempts, so that each resets the other's. */
typedef struct mixed {
    int64_t gives[3];
} mixed_t;

static int mixed_event(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    (void)event;
    (void)end_of_batch;
    mixed_t *mixed = context;
    const int64_t gives = ++mixed->gives[sequence];
    if (gives > 1000) {
        return DX_HANDLER_CONTINUE; /* so that a broken count of attempts ends, too */
    }
    if (sequence == 1 && gives % 2 == 1) {
        return DX_HANDLER_RETRY;
    }
    return sequence == 2 ? DX_HANDLER_REWIND : DX_HANDLER_CONTINUE;
}

static void retries_within_a_rewound_batch_do_not_reset_its_attempts(void **state)
{
    (void)state;
    mixed_t mixed = {0};
    dx_disruptor_t *disruptor = make_disruptor(DX_RING_SINGLE, 8);
    const dx_handler_t handler = {
        .context = &mixed,
        .on_event = mixed_event,
        .retry = {.attempts_max = 3, .give_up = DX_ON_ERROR_SKIP},
    };
    add_handlers_ok(disruptor, &handler, 1, NULL);
    publish(disruptor, 3);
    assert_ok(dx_disruptor_start(disruptor, NULL));
    shutdown_ok(disruptor);
    assert_int_equal(mixed.gives[0], 4); /* once and three rewinds */
    assert_int_equal(mixed.gives[1], 8);
    assert_int_equal(mixed.gives[2], 4);
    dx_disruptor_destroy(disruptor);
}

/* --------------------------------------------------------------------------------------- pauses */

static void the_pauses_of_retries_last_at_least_what_was_asked(void **state)
{
    (void)state;
    static const struct {
        dx_retry_options_t retry;
        int64_t least_ns; /* of three pauses */
    } rows[] = {
        {{.pause = DX_RETRY_AT_ONCE, .pause_ns = DX_WAIT_NS_MAX}, 0},
        {{.pause = DX_RETRY_FIXED}, 3000000},
        {{.pause = DX_RETRY_FIXED, .pause_ns = 2000000}, 6000000},
        {{.pause = DX_RETRY_EXPONENTIAL, .pause_ns = 1000000}, 7000000},
        {{.pause = DX_RETRY_EXPONENTIAL, .pause_ns = 1000000, .pause_max_ns = 2000000}, 5000000},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        dx_disruptor_t *disruptor = make_disruptor(DX_RING_SINGLE, 8);
        probe_t probe = {.rules = {{0, 3, DX_HANDLER_RETRY}}};
        dx_handler_t handler = probe_handler(&probe, "probe");
        handler.retry = rows[i].retry;
        add_handlers_ok(disruptor, &handler, 1, NULL);
        publish(disruptor, 1);
        const int64_t started_ns = dx_clock_ns();
        assert_ok(dx_disruptor_start(disruptor, NULL));
        shutdown_ok(disruptor);
        assert_true(dx_clock_ns() - started_ns >= rows[i].least_ns);
        assert_trace(&probe, "< [1/1 0* 0* 0* 0* > ");
        dx_disruptor_destroy(disruptor);
    }
}

static void a_halt_ends_an_hour_of_pause_and_the_event_comes_again(void **state)
{
    (void)state;
    static const int32_t results[] = {DX_HANDLER_RETRY, DX_HANDLER_REWIND, DX_EIO};
    for (size_t i = 0; i < COUNT_OF(results); i++) {
        dx_disruptor_t *disruptor = make_disruptor(DX_RING_SINGLE, 8);
        probe_t probe = {.rules = {{1, 0, results[i]}}};
        dx_handler_t handler = probe_handler(&probe, "probe");
        handler.on_error_policy = DX_ON_ERROR_RETRY;
        handler.retry = (dx_retry_options_t){.pause = DX_RETRY_FIXED, .pause_ns = DX_WAIT_NS_MAX};
        add_handlers_ok(disruptor, &handler, 1, NULL);
        publish(disruptor, 2);
        assert_ok(dx_disruptor_start(disruptor, NULL));
        wait_until(stat_of(disruptor, 0).retries == 1);
        const int64_t halt_ns = dx_clock_ns();
        assert_ok(dx_disruptor_halt(disruptor));
        assert_true(dx_clock_ns() - halt_ns < DEADLINE_NS);
        assert_trace(&probe, "< [2/2 0 1* > ");
        memset(probe.rules, 0, sizeof(probe.rules));
        assert_ok(dx_disruptor_start(disruptor, NULL));
        shutdown_ok(disruptor);
        assert_trace(&probe, "< [2/2 0 1* > < [1/1 1* > ");
        dx_disruptor_destroy(disruptor);
    }
}

/* ------------------------------------------------------------- errors that are not about events */

static void errors_of_on_batch_start_lose_no_event(void **state)
{
    (void)state;
    static const struct {
        dx_error_policy_t policy;
        dx_error_policy_t answer;
        int32_t errors;
        int code;
        const char *trace;
    } rows[] = {
        {DX_ON_ERROR_FATAL, 0, 1, DX_ECONSUMER, "< [2/2 > < [2/2 0 1* > "},
        {DX_ON_ERROR_STOP, 0, 1, DX_ECONSUMER, "< [2/2 > < [2/2 0 1* > "},
        {DX_ON_ERROR_SKIP, 0, 1, DX_OK, "< [2/2 0 1* > < > "},
        {DX_ON_ERROR_RETRY, 0, 2, DX_OK, "< [2/2 [2/2 [2/2 0 1* > < > "},
        {DX_ON_ERROR_ASK, DX_ON_ERROR_SKIP, 1, DX_OK, "< [2/2 !EIO?@0 0 1* > < > "},
        {DX_ON_ERROR_ASK, DX_ON_ERROR_RETRY, 1, DX_OK, "< [2/2 !EIO?@0 [2/2 0 1* > < > "},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        dx_disruptor_t *disruptor = make_disruptor(DX_RING_SINGLE, 8);
        probe_t probe = {.batch_start_errors = rows[i].errors, .answer = rows[i].answer};
        dx_handler_t handler = probe_handler(&probe, "probe");
        handler.on_error_policy = rows[i].policy;
        handler.on_error = rows[i].policy == DX_ON_ERROR_ASK ? probe_error : NULL;
        add_handlers_ok(disruptor, &handler, 1, NULL);
        publish(disruptor, 2);
        assert_ok(dx_disruptor_start(disruptor, NULL));
        assert_code(dx_disruptor_shutdown(disruptor, DEADLINE_NS, NULL), rows[i].code);
        assert_ok(dx_disruptor_start(disruptor, NULL));
        shutdown_ok(disruptor);
        assert_trace(&probe, rows[i].trace);
        dx_disruptor_destroy(disruptor);
    }
}

static void errors_of_on_timeout_go_to_the_policy_and_lose_no_event(void **state)
{
    (void)state;
    static const struct {
        dx_error_policy_t policy;
        bool ends;
        const char *trace;
    } rows[] = {
        {DX_ON_ERROR_FATAL, true, "< [2/2 0 1* t1 > "},
        {DX_ON_ERROR_STOP, true, "< [2/2 0 1* t1 > "},
        {DX_ON_ERROR_SKIP, false, "< [2/2 0 1* t1 t1 t1 > "},
        {DX_ON_ERROR_RETRY, false, "< [2/2 0 1* t1 t1 t1 > "},
        {DX_ON_ERROR_ASK, false, "< [2/2 0 1* t1 !EIO?@1 t1 t1 > "},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        dx_disruptor_t *disruptor = make_disruptor(DX_RING_SINGLE, 8);
        probe_t probe = {.timeout_errors = 1, .answer = DX_ON_ERROR_SKIP};
        dx_handler_t handler = probe_handler(&probe, "probe");
        handler.on_timeout = probe_timeout;
        handler.wait = (dx_wait_options_t){.kind = DX_WAIT_BLOCKING, .timeout_ns = 1000000};
        handler.on_error_policy = rows[i].policy;
        handler.on_error = rows[i].policy == DX_ON_ERROR_ASK ? probe_error : NULL;
        add_handlers_ok(disruptor, &handler, 1, NULL);
        publish(disruptor, 2);
        assert_ok(dx_disruptor_start(disruptor, NULL));
        if (rows[i].ends) {
            wait_until(stat_of(disruptor, 0).state != DX_CONSUMER_RUNNING);
        } else {
            wait_until(dx_load_acquire(&probe.timeouts) >= 3);
        }
        assert_ok(dx_disruptor_halt(disruptor));
        assert_trace(&probe, rows[i].trace);
        assert_int_equal(stat_of(disruptor, 0).errors, 1);
        memset(probe.text, 0, sizeof(probe.text));
        probe.length = 0;
        assert_ok(dx_disruptor_start(disruptor, NULL));
        publish(disruptor, 1);
        shutdown_ok(disruptor);
        assert_int_equal(dx_load_acquire(&probe.last), 3);
        assert_int_equal(dx_load_acquire(&probe.events), 3);
        dx_disruptor_destroy(disruptor);
    }
}

/* ----------------------------------------------------------------------- where a policy is from */

static void the_disruptors_policy_is_for_handlers_without_their_own(void **state)
{
    (void)state;
    probe_t asked = {.answer = DX_ON_ERROR_SKIP};
    probe_t own = {.rules = {{0, 1, DX_EIO}}, .answer = DX_ON_ERROR_RETRY};
    probe_t none = {.rules = {{0, 1, DX_EIO}}};
    dx_disruptor_t *disruptor = NULL;
    assert_ok(dx_disruptor_create(
        &(dx_disruptor_options_t){.ring = {.slot_count = 8, .event_bytes = sizeof(event_t)},
                                  .wait = {.kind = DX_WAIT_YIELDING},
                                  .on_error_policy = DX_ON_ERROR_ASK,
                                  .on_error = probe_error,
                                  .on_error_context = &asked},
        &disruptor, NULL));
    dx_handler_t handlers[] = {probe_handler(&own, "own"), probe_handler(&none, "none")};
    handlers[0].on_error_policy = DX_ON_ERROR_ASK;
    handlers[0].on_error = probe_error;
    handlers[0].wait.kind = DX_WAIT_BLOCKING;
    add_handlers_ok(disruptor, handlers, 2, NULL);
    publish(disruptor, 1);
    assert_ok(dx_disruptor_start(disruptor, NULL));
    shutdown_ok(disruptor);
    assert_trace(&own, "< [1/1 0* !EIO@0 0* > ");
    assert_trace(&none, "< [1/1 0* > ");
    assert_trace(&asked, "!EIO@0 ");
    assert_int_equal(stat_of(disruptor, 0).wait_kind, DX_WAIT_BLOCKING);
    assert_int_equal(stat_of(disruptor, 1).wait_kind, DX_WAIT_YIELDING);
    dx_disruptor_destroy(disruptor);
}

static void a_policy_set_while_the_handler_runs_is_used_for_its_next_error(void **state)
{
    (void)state;
    probe_t probe = {.rules = {{1, 1, DX_EIO}, {2, 1, DX_EIO}}, .answer = DX_ON_ERROR_RETRY};
    probe_hold(&probe, 0);
    dx_disruptor_t *disruptor = make_disruptor(DX_RING_SINGLE, 8);
    const dx_handler_t handler = probe_handler(&probe, "probe");
    dx_group_t group;
    add_handlers_ok(disruptor, &handler, 1, &group);
    publish(disruptor, 3);
    assert_ok(dx_disruptor_start(disruptor, NULL));
    wait_until(probe_holds(&probe));
    assert_ok(dx_group_set_error_policy(group, DX_ON_ERROR_ASK, probe_error, &probe, NULL));
    probe_let_go(&probe);
    shutdown_ok(disruptor);
    assert_trace(&probe, "< [3/3 0 1 !EIO@1 1 2* !EIO@2 2* > ");

    dx_error_t error = {0};
    assert_fails(dx_group_set_error_policy(group, DX_ON_ERROR_ASK, NULL, NULL, &error), DX_EINVAL,
                 error, "on_error is NULL");
    assert_fails(dx_group_set_error_policy(group, (dx_error_policy_t)9, NULL, NULL, &error),
                 DX_EINVAL, error, "on_error_policy is 9");
    group.members = 0;
    assert_fails(dx_group_set_error_policy(group, DX_ON_ERROR_SKIP, NULL, NULL, &error),
                 DX_ENOTFOUND, error, "no consumer");
    dx_disruptor_destroy(disruptor);
}

/* ------------------------------------------------------------------------------- batch handlers */

typedef struct batch_case {
    int64_t done_offset; /* done = first + this */
    int result;
    char text[256];
    size_t length;
    int calls;
} batch_case_t;

static int batch_case_run(void *context, dx_batch_t *batch)
{
    batch_case_t *c = context;
    c->length += (size_t)snprintf(c->text + c->length, sizeof(c->text) - c->length,
                                  "%" PRId64 "-%" PRId64 "%s ", batch->first, batch->last,
                                  batch->end_of_batch ? "*" : "");
    if (c->calls++ > 0) {
        return DX_HANDLER_CONTINUE;
    }
    assert(batch->done == batch->first - 1);
    batch->done = batch->first + c->done_offset;
    return c->result;
}

static void a_batch_handlers_result_is_about_the_event_behind_done(void **state)
{
    (void)state;
    static const struct {
        int64_t done_offset;
        int result;
        dx_error_policy_t policy;
        const char *text;
        int64_t errors;
    } rows[] = {
        {3, DX_HANDLER_CONTINUE, DX_ON_ERROR_FATAL, "0-4* ", 0}, /* CONTINUE: all is done */
        {-1, DX_HANDLER_RETRY, DX_ON_ERROR_FATAL, "0-4* 0-4* ", 0},
        {1, DX_HANDLER_RETRY, DX_ON_ERROR_FATAL, "0-4* 2-4* ", 0},
        {3, DX_HANDLER_RETRY, DX_ON_ERROR_FATAL, "0-4* 4-4* ", 0},
        {1, DX_EIO, DX_ON_ERROR_SKIP, "0-4* 3-4* ", 1},
        {3, DX_EIO, DX_ON_ERROR_SKIP, "0-4* ", 1},
        {1, DX_HANDLER_RELEASE, DX_ON_ERROR_FATAL, "0-4* 3-4* ", 0},
        {1, DX_HANDLER_REWIND, DX_ON_ERROR_FATAL, "0-4* 0-4* ", 0},
        {-9, DX_HANDLER_RETRY, DX_ON_ERROR_FATAL, "0-4* 0-4* ", 0}, /* out of range: clamped */
        {99, DX_HANDLER_RETRY, DX_ON_ERROR_FATAL, "0-4* 4-4* ", 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        batch_case_t c = {.done_offset = rows[i].done_offset, .result = rows[i].result};
        dx_disruptor_t *disruptor = make_disruptor(DX_RING_SINGLE, 8);
        const dx_handler_t handler = {
            .context = &c, .on_batch = batch_case_run, .on_error_policy = rows[i].policy};
        add_handlers_ok(disruptor, &handler, 1, NULL);
        publish(disruptor, 5);
        assert_ok(dx_disruptor_start(disruptor, NULL));
        shutdown_ok(disruptor);
        assert_string_equal(c.text, rows[i].text);
        assert_int_equal(stat_of(disruptor, 0).errors, rows[i].errors);
        assert_int_equal(stat_of(disruptor, 0).events, 5);
        dx_disruptor_destroy(disruptor);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_error_policy_does_what_it_says_and_a_restart_loses_nothing),
        cmocka_unit_test(each_result_does_what_it_says_and_a_restart_loses_nothing),
        cmocka_unit_test(retries_within_a_rewound_batch_do_not_reset_its_attempts),
        cmocka_unit_test(the_pauses_of_retries_last_at_least_what_was_asked),
        cmocka_unit_test(a_halt_ends_an_hour_of_pause_and_the_event_comes_again),
        cmocka_unit_test(errors_of_on_batch_start_lose_no_event),
        cmocka_unit_test(errors_of_on_timeout_go_to_the_policy_and_lose_no_event),
        cmocka_unit_test(the_disruptors_policy_is_for_handlers_without_their_own),
        cmocka_unit_test(a_policy_set_while_the_handler_runs_is_used_for_its_next_error),
        cmocka_unit_test(a_batch_handlers_result_is_about_the_event_behind_done),
    };
    return cmocka_run_group_tests_name("handler_results", tests, NULL, NULL);
}
