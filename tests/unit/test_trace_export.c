/* test_trace_export.c - a tracer and its collector: bounds, failures, what is counted.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disruptorx/thread.h"
#include "trace/span.h"
#include "trace/tracer_internal.h"
#include "trace_test.h"

#define LONG_NS (30 * DX_NS_PER_S)

static dx_tracer_t *tracer_new(const collector_t *c, dx_tracer_options_t options)
{
    dx_tracer_t *tracer = NULL;
    dx_error_t error = {0};
    options.endpoint = c->endpoint;
    options.interval_ns = options.interval_ns != 0 ? options.interval_ns : 10 * DX_NS_PER_MS;
    if (dx_tracer_create(&options, &tracer, &error) != DX_OK) {
        fail_msg("%s", error.message);
    }
    tracer->pause_least_ns = DX_NS_PER_MS;
    return tracer;
}

static void record(dx_tracer_t *tracer, uint64_t sequence)
{
    dxi_trace_span_t span;
    dx_frame_trace_t self;
    dxi_trace_span_begin(&span, DXI_SPAN_PUBLISH, DXI_SPAN_PRODUCER, NULL, &self);
    span.start_unix_ns = dx_clock_realtime_ns();
    span.end_unix_ns = span.start_unix_ns + 1;
    span.sequence = sequence;
    span.topic_bytes = 1;
    span.topic[0] = 't';
    dxi_trace_record(tracer, &span);
}

static void check_sums(const dx_tracer_t *tracer)
{
    const dx_tracer_stats_t s = tracer_stats(tracer);
    assert_int_equal(s.recorded, s.exported + s.rejected + s.failed + s.waiting);
}

static void what_is_recorded_arrives_once_and_in_order(void **state)
{
    (void)state;
    collector_t c;
    collector_start(&c);
    dx_tracer_t *const tracer =
        tracer_new(&c, (dx_tracer_options_t){.batch_spans = 100, .buffer_spans = 4096});
    for (uint64_t i = 1; i <= 1000; i++) {
        record(tracer, i);
    }
    assert_ok(dx_tracer_flush(tracer, LONG_NS));
    json_t *const spans = collector_spans(&c);
    assert_int_equal(json_array_size(spans), 1000);
    for (size_t i = 0; i < 1000; i++) {
        const json_t *const attributes = json_object_get(json_array_get(spans, i), "attributes");
        const json_t *const id = json_array_get(attributes, 4);
        char text[16];
        snprintf(text, sizeof text, "%zu", i + 1);
        assert_string_equal(
            json_string_value(json_object_get(json_object_get(id, "value"), "stringValue")), text);
    }
    json_decref(spans);
    assert_int_equal(tracer_stats(tracer).exported, 1000);
    assert_true(tracer_stats(tracer).requests >= 10);
    check_sums(tracer);
    dx_tracer_destroy(tracer, 0);
    collector_stop(&c);
}

static void a_request_is_never_longer_than_its_bound(void **state)
{
    (void)state;
    collector_t c;
    collector_start(&c);
    dx_tracer_t *const tracer = tracer_new(
        &c, (dx_tracer_options_t){.batch_bytes = DX_TRACE_BATCH_BYTES_MIN, .buffer_spans = 256});
    for (uint64_t i = 1; i <= 200; i++) {
        record(tracer, i);
    }
    assert_ok(dx_tracer_flush(tracer, LONG_NS));
    assert_int_equal(tracer_stats(tracer).exported, 200);
    assert_true(tracer_stats(tracer).requests > 1);
    assert_in_range(c.body_most, 1, DX_TRACE_BATCH_BYTES_MIN);
    dx_tracer_destroy(tracer, 0);
    collector_stop(&c);
}

static void a_full_buffer_drops_the_next_span_and_no_other(void **state)
{
    (void)state;
    collector_t c;
    collector_start(&c);
    dx_tracer_t *const tracer =
        tracer_new(&c, (dx_tracer_options_t){.buffer_spans = DX_TRACE_BUFFER_SPANS_MIN,
                                             .batch_spans = 1,
                                             .timeout_ns = LONG_NS});
    collector_hold(&c, true);
    record(tracer, 1);
    collector_await(&c, 1); /* it is in a request, and takes nothing meanwhile */
    for (uint64_t i = 0; i < DX_TRACE_BUFFER_SPANS_MIN; i++) {
        record(tracer, i + 2);
    }
    assert_int_equal(tracer_stats(tracer).recorded, DX_TRACE_BUFFER_SPANS_MIN + 1);
    assert_int_equal(tracer_stats(tracer).dropped, 0);
    record(tracer, 99);
    assert_int_equal(tracer_stats(tracer).recorded, DX_TRACE_BUFFER_SPANS_MIN + 1);
    assert_int_equal(tracer_stats(tracer).dropped, 1);
    assert_int_equal(dx_tracer_flush(tracer, DX_NS_PER_MS), DX_ETIMEDOUT);
    collector_hold(&c, false);
    assert_ok(dx_tracer_flush(tracer, LONG_NS));
    assert_int_equal(tracer_stats(tracer).exported, DX_TRACE_BUFFER_SPANS_MIN + 1);
    dx_tracer_destroy(tracer, 0);
    collector_stop(&c);
}

typedef struct crowd {
    dx_tracer_t *tracer;
    pthread_barrier_t barrier;
} crowd_t;

static void crowd_member(void *context)
{
    crowd_t *const crowd = context;
    record(crowd->tracer, 1);
    pthread_barrier_wait(&crowd->barrier);
}

static void of_more_threads_than_there_are_buffers_one_is_left_out(void **state)
{
    (void)state;
    enum { THREADS = DX_TRACE_BUFFERS_MAX + 1 };
    static dx_thread_t *threads[THREADS];
    collector_t c;
    collector_start(&c);
    crowd_t crowd = {
        .tracer = tracer_new(&c, (dx_tracer_options_t){.buffer_spans = DX_TRACE_BUFFER_SPANS_MIN})};
    pthread_barrier_init(&crowd.barrier, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++) {
        assert_ok(dx_thread_start(&(dx_thread_options_t){.stack_bytes = 65536}, crowd_member,
                                  &crowd, &threads[i], NULL));
    }
    pthread_barrier_wait(&crowd.barrier);
    for (int i = 0; i < THREADS; i++) {
        dx_thread_join(threads[i]);
    }
    assert_int_equal(tracer_stats(crowd.tracer).recorded, DX_TRACE_BUFFERS_MAX);
    assert_int_equal(tracer_stats(crowd.tracer).dropped, 1);
    /* They have ended: their buffers are for others, one after the other. */
    pthread_barrier_destroy(&crowd.barrier);
    pthread_barrier_init(&crowd.barrier, NULL, 1);
    for (int i = 0; i < 10; i++) {
        assert_ok(dx_thread_start(NULL, crowd_member, &crowd, &threads[0], NULL));
        dx_thread_join(threads[0]);
    }
    assert_ok(dx_tracer_flush(crowd.tracer, LONG_NS));
    assert_int_equal(tracer_stats(crowd.tracer).exported, DX_TRACE_BUFFERS_MAX + 10);
    assert_int_equal(tracer_stats(crowd.tracer).dropped, 1);
    pthread_barrier_destroy(&crowd.barrier);
    dx_tracer_destroy(crowd.tracer, 0);
    collector_stop(&c);
}

static void a_thread_that_outlives_a_tracer_harms_nobody(void **state)
{
    (void)state;
    collector_t c;
    collector_start(&c);
    for (int i = 0; i < 3; i++) { /* this thread has had a buffer of each */
        dx_tracer_t *const tracer = tracer_new(&c, (dx_tracer_options_t){0});
        record(tracer, 1);
        assert_ok(dx_tracer_flush(tracer, LONG_NS));
        assert_int_equal(tracer_stats(tracer).exported, 1);
        dx_tracer_destroy(tracer, 0);
    }
    collector_stop(&c);
}

static void the_answers_of_a_collector_decide_as_otlp_says(void **state)
{
    (void)state;
    const struct {
        int status;
        const char *answer, *more;
        uint64_t exported, rejected, failed, requests;
    } cases[] = {
        {200, "{}", "", 2, 0, 0, 1},
        {202, "", "", 2, 0, 0, 1},
        {200, "{\"partialSuccess\":{\"rejectedSpans\":\"1\"}}", "", 1, 1, 0, 1},
        {200, "{\"partialSuccess\":{\"rejectedSpans\":\"99\"}}", "", 0, 2, 0, 1},
        {400, "", "", 0, 0, 2, 1},
        {401, "", "", 0, 0, 2, 1},
        {500, "", "", 0, 0, 2, 1},
        {301, "", "Location: http://127.0.0.1:1/\r\n", 0, 0, 2, 1},
        {429, "", "Retry-After: 0\r\n", 0, 0, 2, 5},
        {502, "", "", 0, 0, 2, 5},
        {503, "", "", 0, 0, 2, 5},
        {504, "", "", 0, 0, 2, 5},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        collector_t c;
        collector_start(&c);
        collector_say(&c, cases[i].status, cases[i].answer, cases[i].more);
        /* So that both are in one batch. */
        dx_tracer_t *const tracer = tracer_new(&c, (dx_tracer_options_t){.interval_ns = LONG_NS});
        record(tracer, 1);
        record(tracer, 2);
        assert_ok(dx_tracer_flush(tracer, LONG_NS));
        const dx_tracer_stats_t s = tracer_stats(tracer);
        if (s.exported != cases[i].exported || s.rejected != cases[i].rejected ||
            s.failed != cases[i].failed || s.requests != cases[i].requests) {
            fail_msg("case %zu: %llu exported, %llu rejected, %llu failed, %llu requests", i,
                     (unsigned long long)s.exported, (unsigned long long)s.rejected,
                     (unsigned long long)s.failed, (unsigned long long)s.requests);
        }
        check_sums(tracer);
        dx_tracer_destroy(tracer, 0);
        collector_stop(&c);
    }
}

static void a_batch_that_was_refused_for_now_comes_again_as_it_was(void **state)
{
    (void)state;
    collector_t c;
    collector_start(&c);
    collector_say(&c, 503, "", "");
    dx_tracer_t *const tracer = tracer_new(&c, (dx_tracer_options_t){0});
    record(tracer, 1);
    collector_await(&c, 2);
    collector_say(&c, 200, "{}", "");
    assert_ok(dx_tracer_flush(tracer, LONG_NS));
    const dx_tracer_stats_t s = tracer_stats(tracer);
    assert_int_equal(s.exported, 1);
    assert_int_equal(s.failed, 0);
    assert_int_equal(s.failures, s.requests - 1);
    dx_tracer_destroy(tracer, 0);
    collector_stop(&c);
}

/* It may still fail, and what went well must not become less. */
static void a_request_counts_when_it_is_over(void **state)
{
    (void)state;
    collector_t c;
    collector_start(&c);
    collector_hold(&c, true);
    dx_tracer_t *const tracer = tracer_new(&c, (dx_tracer_options_t){0});
    record(tracer, 1);
    collector_await(&c, 1); /* it has come, and is not answered */
    assert_int_equal(tracer_stats(tracer).requests, 0);
    collector_hold(&c, false);
    assert_ok(dx_tracer_flush(tracer, LONG_NS));
    assert_int_equal(tracer_stats(tracer).requests, 1);
    assert_int_equal(tracer_stats(tracer).failures, 0);
    dx_tracer_destroy(tracer, 0);
    collector_stop(&c);
}

static void without_a_collector_everything_is_counted_and_the_end_comes_in_time(void **state)
{
    (void)state;
    collector_t c;
    collector_start(&c);
    char endpoint[sizeof c.endpoint];
    memcpy(endpoint, c.endpoint, sizeof endpoint);
    collector_stop(&c); /* nobody listens there now */
    dx_tracer_t *tracer = NULL;
    assert_ok(dx_tracer_create(&(dx_tracer_options_t){.endpoint = endpoint}, &tracer, NULL));
    for (uint64_t i = 0; i < 100; i++) {
        record(tracer, i);
    }
    assert_int_equal(dx_tracer_flush(tracer, 20 * DX_NS_PER_MS), DX_ETIMEDOUT);
    check_sums(tracer);
    const int64_t begin_ns = dx_clock_ns();
    dx_tracer_destroy(tracer, 0);
    assert_true(dx_clock_ns() - begin_ns < LONG_NS);
}

static void a_collector_that_never_answers_does_not_hold_up_the_end(void **state)
{
    (void)state;
    collector_t c;
    collector_start(&c);
    collector_hold(&c, true);
    dx_tracer_t *const tracer =
        tracer_new(&c, (dx_tracer_options_t){.timeout_ns = 60 * DX_NS_PER_S});
    record(tracer, 1);
    collector_await(&c, 1);
    const int64_t begin_ns = dx_clock_ns();
    dx_tracer_destroy(tracer, 20 * DX_NS_PER_MS);
    assert_true(dx_clock_ns() - begin_ns < LONG_NS);
    collector_stop(&c);
}

static void headers_go_with_each_request_and_may_change(void **state)
{
    (void)state;
    collector_t c;
    collector_start(&c);
    dx_tracer_t *const tracer =
        tracer_new(&c, (dx_tracer_options_t){.headers = "authorization=Bearer a=b,x-empty="});
    record(tracer, 1);
    assert_ok(dx_tracer_flush(tracer, LONG_NS));
    assert_contains(c.head, "POST /v1/traces HTTP/1.1\r\n");
    assert_contains(c.head, "Content-Type: application/json\r\n");
    assert_contains(c.head, "authorization: Bearer a=b\r\n");
    assert_contains(c.head, "x-empty:\r\n");
    assert_null(strstr(c.head, "Expect"));
    dx_error_t error = {0};
    assert_fails(dx_tracer_set_headers(tracer, "oh no=1", &error), DX_EINVAL, error, "header 1");
    assert_ok(dx_tracer_set_headers(tracer, "x-one=1", NULL));
    assert_ok(dx_tracer_set_headers(tracer, "x-two=2", NULL));
    record(tracer, 2);
    assert_ok(dx_tracer_flush(tracer, LONG_NS));
    assert_contains(c.head, "x-two: 2\r\n");
    assert_null(strstr(c.head, "x-one"));
    assert_null(strstr(c.head, "authorization"));
    assert_ok(dx_tracer_set_headers(tracer, NULL, NULL)); /* not taken over: freed all the same */
    dx_tracer_destroy(tracer, 0);
    collector_stop(&c);
}

static void options_are_taken_up_to_their_bounds_and_not_beyond(void **state)
{
    (void)state;
    static char name[DXI_OTLP_NAME_BYTES_MAX + 2];
    memset(name, 'n', sizeof name - 1);
    const struct {
        dx_tracer_options_t options;
        const char *sentence; /* NULL: it is right */
    } cases[] = {
        {{.buffer_spans = DX_TRACE_BUFFER_SPANS_MIN}, NULL},
        {{.buffer_spans = DX_TRACE_BUFFER_SPANS_MAX}, NULL},
        {{.buffer_spans = DX_TRACE_BUFFER_SPANS_MIN / 2}, "buffer_spans is 32"},
        {{.buffer_spans = DX_TRACE_BUFFER_SPANS_MAX * 2}, "buffer_spans is 131072"},
        {{.buffer_spans = 100}, "power of two"},
        {{.batch_spans = DX_TRACE_BATCH_SPANS_MAX}, NULL},
        {{.batch_spans = DX_TRACE_BATCH_SPANS_MAX + 1}, "batch_spans is 8193"},
        {{.batch_bytes = DX_TRACE_BATCH_BYTES_MIN}, NULL},
        {{.batch_bytes = DX_TRACE_BATCH_BYTES_MIN - 1}, "batch_bytes is 16383"},
        {{.batch_bytes = DX_TRACE_BATCH_BYTES_MAX}, NULL},
        {{.batch_bytes = DX_TRACE_BATCH_BYTES_MAX + 1}, "batch_bytes is 16777217"},
        {{.interval_ns = 10 * DX_NS_PER_MS - 1}, "interval_ns is 9999999"},
        {{.interval_ns = 60 * DX_NS_PER_S}, NULL},
        {{.interval_ns = 60 * DX_NS_PER_S + 1}, "interval_ns is 60000000001"},
        {{.timeout_ns = 10 * DX_NS_PER_MS}, NULL},
        {{.timeout_ns = -1}, "timeout_ns is -1"},
        {{.timeout_ns = 60 * DX_NS_PER_S + 1}, "timeout_ns is 60000000001"},
        {{.sample = DX_TRACE_SAMPLE_MAX}, NULL},
        {{.sample = DX_TRACE_SAMPLE_MAX + 1}, "sample is 1000000001"},
        {{.sample = DX_TRACE_NEVER}, NULL},
        {{.service_name = name + 1, .instance = name + 1}, NULL},
        {{.service_name = name}, "service_name has more than 255 bytes"},
        {{.instance = name}, "instance has more than 255 bytes"},
        {{.headers = "x"}, "header 1"},

        {{.authority_file = "/no/such.pem"}, "authority_file /no/such.pem: No such file"},
        {{.endpoint = "udp://x"}, "must be http"},
        {{.reserved = {0, 0, 0, 1}}, "reserved[3]"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        dx_tracer_options_t options = cases[i].options;
        dx_tracer_t *tracer = NULL;
        dx_error_t error = {0};
        options.endpoint = options.endpoint != NULL ? options.endpoint : "http://127.0.0.1:1";
        const int code = dx_tracer_create(&options, &tracer, &error);
        if ((code == DX_OK) != (cases[i].sentence == NULL)) {
            fail_msg("case %zu: %s", i, error.message);
        }
        if (code != DX_OK) {
            assert_contains(error.message, cases[i].sentence);
            assert_null(tracer);
        }
        dx_tracer_destroy(tracer, 0);
    }
    dx_tracer_t *tracer = NULL;
    dx_error_t error = {0};
    assert_fails(dx_tracer_create(&(dx_tracer_options_t){.sample = 1}, &tracer, &error), DX_EINVAL,
                 error, "endpoint is NULL");
    assert_ok(dx_tracer_create(&(dx_tracer_options_t){.endpoint = "http://x"}, &tracer, NULL));
    assert_ok(dx_tracer_set_sample(tracer, DX_TRACE_SAMPLE_MAX, NULL));
    assert_fails(dx_tracer_set_sample(tracer, DX_TRACE_SAMPLE_MAX + 1, &error), DX_EINVAL, error,
                 "sample is 1000000001");
    assert_int_equal(dxi_trace_sample(tracer), DX_TRACE_SAMPLE_MAX);
    dx_tracer_destroy(tracer, 0);
}

static int make_once(void)
{
    dx_tracer_t *tracer = NULL;
    const int code = dx_tracer_create(
        &(dx_tracer_options_t){.endpoint = "http://127.0.0.1:1", .headers = "a=b"}, &tracer, NULL);
    if (code == DX_OK) {
        record(tracer, 1); /* without memory for a buffer it is dropped */
        const dx_tracer_stats_t s = tracer_stats(tracer);
        assert_int_equal(s.recorded + s.dropped, 1);
        const int set = dx_tracer_set_headers(tracer, "a=c", NULL);
        assert_true(set == DX_OK || set == DX_ENOMEM);
    }
    dx_tracer_destroy(tracer, 0);
    return code;
}

static void each_failed_allocation_is_survived(void **state)
{
    (void)state;
    assert_true(fault_sweep(make_once) > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_recorded_arrives_once_and_in_order),
        cmocka_unit_test(a_request_is_never_longer_than_its_bound),
        cmocka_unit_test(a_full_buffer_drops_the_next_span_and_no_other),
        cmocka_unit_test(of_more_threads_than_there_are_buffers_one_is_left_out),
        cmocka_unit_test(a_thread_that_outlives_a_tracer_harms_nobody),
        cmocka_unit_test(the_answers_of_a_collector_decide_as_otlp_says),
        cmocka_unit_test(a_batch_that_was_refused_for_now_comes_again_as_it_was),
        cmocka_unit_test(a_request_counts_when_it_is_over),
        cmocka_unit_test(without_a_collector_everything_is_counted_and_the_end_comes_in_time),
        cmocka_unit_test(a_collector_that_never_answers_does_not_hold_up_the_end),
        cmocka_unit_test(headers_go_with_each_request_and_may_change),
        cmocka_unit_test(options_are_taken_up_to_their_bounds_and_not_beyond),
        cmocka_unit_test(each_failed_allocation_is_survived),
    };
    return cmocka_run_group_tests_name("trace export", tests, NULL, NULL);
}
