/* test_trace_bus.c - spans of a bus: one tree for each event, whoever handles it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disruptorx/atomic.h"
#include "disruptorx/bus.h"
#include "trace_test.h"

#define LONG_NS (30 * DX_NS_PER_S)
#define PARENT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
#define UNSAMPLED "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"

typedef struct scene {
    collector_t collector;
    dx_tracer_t *tracer;
    dx_bus_t *bus;
    dx_publisher_t *publisher;
    dx_publisher_t *answerer;
    dx_atomic64_t handled;
} scene_t;

static int scene_open(void **state)
{
    static scene_t scene;
    memset(&scene, 0, sizeof scene);
    collector_start(&scene.collector);
    assert_ok(dx_tracer_create(&(dx_tracer_options_t){.endpoint = scene.collector.endpoint,
                                                      .sample = 1,
                                                      .interval_ns = 10 * DX_NS_PER_MS},
                               &scene.tracer, NULL));
    assert_ok(dx_bus_create(&(dx_bus_options_t){.shards = 2, .loops = 1, .tracer = scene.tracer},
                            &scene.bus, NULL));
    assert_ok(dx_bus_start(scene.bus, NULL));
    assert_ok(dx_publisher_open(scene.bus, NULL, &scene.publisher, NULL));
    assert_ok(dx_publisher_open(scene.bus, &(dx_publisher_options_t){.fail_when_full = true},
                                &scene.answerer, NULL));
    *state = &scene;
    return 0;
}

static int scene_close(void **state)
{
    scene_t *const scene = *state;
    dx_publisher_close(scene->publisher);
    dx_publisher_close(scene->answerer);
    assert_ok(dx_bus_stop(scene->bus, LONG_NS, NULL));
    dx_bus_destroy(scene->bus);
    dx_tracer_destroy(scene->tracer, 0);
    collector_stop(&scene->collector);
    return 0;
}

static void await_handled(scene_t *scene, int64_t count)
{
    while (dx_load_acquire(&scene->handled) < count) {
        (void)usleep(100);
    }
}

/* The spans that have come, once `count` are there. */
static json_t *spans_of(scene_t *scene, size_t count)
{
    for (;;) {
        assert_ok(dx_tracer_flush(scene->tracer, LONG_NS));
        json_t *const spans = collector_spans(&scene->collector);
        if (json_array_size(spans) >= count) {
            assert_int_equal(json_array_size(spans), count);
            return spans;
        }
        json_decref(spans);
        (void)usleep(1000); /* the handler's span is recorded behind its return */
    }
}

/* The name of the span with this id; "" when there is none. */
static const char *name_of(const json_t *spans, const char *id)
{
    for (size_t i = 0; i < json_array_size(spans); i++) {
        const json_t *const span = json_array_get(spans, i);
        if (strcmp(span_text(span, "spanId"), id) == 0) {
            return span_text(span, "name");
        }
    }
    return "";
}

/* How many spans have this name, and a parent of that name ("": none that has come). */
static int count_below(const json_t *spans, const char *name, const char *parent)
{
    int count = 0;
    for (size_t i = 0; i < json_array_size(spans); i++) {
        const json_t *const span = json_array_get(spans, i);
        count += strcmp(span_text(span, "name"), name) == 0 &&
                 strcmp(name_of(spans, span_text(span, "parentSpanId")), parent) == 0;
    }
    return count;
}

static void check_one_trace(const json_t *spans)
{
    const char *const first = span_text(json_array_get(spans, 0), "traceId");
    for (size_t i = 0; i < json_array_size(spans); i++) {
        assert_string_equal(span_text(json_array_get(spans, i), "traceId"), first);
    }
}

/* ------------------------------------------------------------------------------------- handlers */

static int on_event(void *context, const dx_event_t *event)
{
    scene_t *const scene = context;
    dx_frame_trace_t here;
    (void)event;
    const int code = dx_trace_current(&here);
    (void)dx_fetch_add_relaxed(&scene->handled, code == DX_OK ? 1 : 1000);
    return DX_OK;
}

static int on_untraced(void *context, const dx_event_t *event)
{
    scene_t *const scene = context;
    dx_frame_trace_t here;
    (void)event;
    const int code = dx_trace_current(&here);
    (void)dx_fetch_add_relaxed(&scene->handled, code == DX_ENOTFOUND ? 1 : 1000);
    return DX_OK;
}

static int on_batch(void *context, const dx_event_t *events, int count)
{
    scene_t *const scene = context;
    (void)events;
    (void)dx_fetch_add_relaxed(&scene->handled, count);
    return count;
}

static int on_failing(void *context, const dx_event_t *event)
{
    scene_t *const scene = context;
    (void)dx_fetch_add_relaxed(&scene->handled, 1);
    return event->redelivered ? DX_OK : DX_ETIMEDOUT;
}

/* Publishes another event from inside of the handler. */
static int on_chain(void *context, const dx_event_t *event)
{
    scene_t *const scene = context;
    (void)event;
    (void)dx_fetch_add_relaxed(&scene->handled, 1);
    return dx_publish(scene->answerer, &(dx_message_t){.topic = "second"}, NULL);
}

static int on_request(void *context, const dx_event_t *event)
{
    scene_t *const scene = context;
    return dx_reply(scene->answerer, event, "yes", 3, NULL);
}

static dx_subscription_t *subscribe(scene_t *scene, dx_subscription_options_t options)
{
    dx_subscription_t *subscription = NULL;
    options.context = scene;
    assert_ok(dx_bus_subscribe(scene->bus, &options, &subscription, NULL));
    return subscription;
}

static void publish(scene_t *scene, const char *topic, const dx_frame_trace_t *trace)
{
    assert_ok(dx_publish(scene->publisher,
                         &(dx_message_t){.topic = topic, .data = "x", .bytes = 1, .trace = trace},
                         NULL));
}

static void an_event_is_one_tree_for_handlers_in_threads_and_in_the_shard(void **state)
{
    scene_t *const scene = *state;
    dx_subscription_t *const in_thread =
        subscribe(scene, (dx_subscription_options_t){.pattern = "a", .on_event = on_event});
    dx_subscription_t *const in_shard =
        subscribe(scene, (dx_subscription_options_t){
                             .pattern = "a", .on_event = on_event, .dispatch = DX_DISPATCH_SHARD});
    publish(scene, "a", NULL);
    await_handled(scene, 2);
    json_t *const spans = spans_of(scene, 6);
    check_one_trace(spans);
    assert_int_equal(count_below(spans, "publish a", ""), 1);
    assert_int_equal(count_below(spans, "queue a", "publish a"), 1);
    assert_int_equal(count_below(spans, "deliver a", "queue a"), 2);
    assert_int_equal(count_below(spans, "handle a", "deliver a"), 2);
    json_decref(spans);
    assert_ok(dx_subscription_close(in_thread, LONG_NS));
    assert_ok(dx_subscription_close(in_shard, LONG_NS));
}

static void the_context_of_a_publisher_decides_and_is_the_root(void **state)
{
    scene_t *const scene = *state;
    dx_frame_trace_t trace;
    dx_subscription_t *const reader =
        subscribe(scene, (dx_subscription_options_t){.pattern = "b.*", .on_event = on_event});
    assert_ok(dx_tracer_set_sample(scene->tracer, DX_TRACE_NEVER, NULL));
    assert_ok(dx_trace_parse(PARENT, strlen(PARENT), &trace, NULL));
    publish(scene, "b.sampled", &trace);
    await_handled(scene, 1);
    json_t *const spans = spans_of(scene, 4);
    check_one_trace(spans);
    for (size_t i = 0; i < 4; i++) {
        const json_t *const span = json_array_get(spans, i);
        assert_string_equal(span_text(span, "traceId"), "4bf92f3577b34da6a3ce929d0e0e4736");
        if (strcmp(span_text(span, "name"), "publish b.sampled") == 0) {
            assert_string_equal(span_text(span, "parentSpanId"), "00f067aa0ba902b7");
        }
    }
    json_decref(spans);
    assert_ok(dx_subscription_close(reader, LONG_NS));
}

static void what_is_not_sampled_is_not_recorded_and_its_context_arrives(void **state)
{
    scene_t *const scene = *state;
    dx_frame_trace_t trace;
    dx_subscription_t *const reader =
        subscribe(scene, (dx_subscription_options_t){.pattern = "b.*", .on_event = on_untraced});
    assert_ok(dx_trace_parse(UNSAMPLED, strlen(UNSAMPLED), &trace, NULL));
    publish(scene, "b.quiet", &trace);
    assert_ok(dx_tracer_set_sample(scene->tracer, DX_TRACE_NEVER, NULL));
    publish(scene, "b.none", NULL);
    await_handled(scene, 2);
    assert_int_equal(tracer_stats(scene->tracer).recorded, 0);
    assert_ok(dx_subscription_close(reader, LONG_NS));
}

static void what_a_handler_publishes_belongs_to_its_trace(void **state)
{
    scene_t *const scene = *state;
    assert_ok(dx_tracer_set_sample(scene->tracer, DX_TRACE_NEVER, NULL));
    dx_subscription_t *const first =
        subscribe(scene, (dx_subscription_options_t){.pattern = "first", .on_event = on_chain});
    dx_subscription_t *const second =
        subscribe(scene, (dx_subscription_options_t){.pattern = "second", .on_event = on_event});
    dx_frame_trace_t trace;
    dx_trace_make(&trace);
    publish(scene, "first", &trace);
    await_handled(scene, 2);
    json_t *const spans = spans_of(scene, 8);
    check_one_trace(spans);
    assert_int_equal(count_below(spans, "publish second", "handle first"), 1);
    assert_int_equal(count_below(spans, "handle second", "deliver second"), 1);
    json_decref(spans);
    assert_ok(dx_subscription_close(first, LONG_NS));
    assert_ok(dx_subscription_close(second, LONG_NS));
}

static void an_answer_is_below_the_handler_of_its_request(void **state)
{
    scene_t *const scene = *state;
    char answer[8];
    size_t bytes = sizeof answer;
    dx_subscription_t *const server =
        subscribe(scene, (dx_subscription_options_t){.pattern = "ask", .on_event = on_request});
    assert_ok(dx_request(scene->publisher, &(dx_message_t){.topic = "ask"}, LONG_NS, answer, &bytes,
                         NULL));
    assert_int_equal(bytes, 3);
    json_t *const spans = spans_of(scene, 8);
    check_one_trace(spans);
    assert_int_equal(count_below(spans, "publish $inbox", "handle ask"), 1);
    assert_int_equal(count_below(spans, "handle $inbox", "deliver $inbox"), 1);
    json_decref(spans);
    assert_ok(dx_subscription_close(server, LONG_NS));
}

static void events_of_a_batch_have_a_span_each(void **state)
{
    scene_t *const scene = *state;
    enum { EVENTS = 20 };
    dx_subscription_t *const reader =
        subscribe(scene, (dx_subscription_options_t){.pattern = "many", .on_batch = on_batch});
    for (int i = 0; i < EVENTS; i++) {
        publish(scene, "many", NULL);
    }
    await_handled(scene, EVENTS);
    json_t *const spans = spans_of(scene, 4 * EVENTS);
    assert_int_equal(count_below(spans, "handle many", "deliver many"), EVENTS);
    json_decref(spans);
    assert_ok(dx_subscription_close(reader, LONG_NS));
}

static void each_attempt_has_its_spans_and_a_failed_one_says_why(void **state)
{
    scene_t *const scene = *state;
    dx_subscription_t *const reader =
        subscribe(scene, (dx_subscription_options_t){.pattern = "retry",
                                                     .on_event = on_failing,
                                                     .ack = DX_ACK_AUTO,
                                                     .backoff_ns = DX_NS_PER_MS});
    publish(scene, "retry", NULL);
    await_handled(scene, 2);
    json_t *const spans = spans_of(scene, 6);
    check_one_trace(spans);
    assert_int_equal(count_below(spans, "queue retry", "publish retry"), 1);
    assert_int_equal(count_below(spans, "deliver retry", "queue retry"), 2);
    int failed = 0;
    for (size_t i = 0; i < 6; i++) {
        const json_t *const status = json_object_get(json_array_get(spans, i), "status");
        failed += json_integer_value(json_object_get(status, "code")) == 2;
    }
    assert_int_equal(failed, 1);
    json_decref(spans);
    assert_ok(dx_subscription_close(reader, LONG_NS));
}

static void an_event_that_waits_for_a_slow_handler_is_in_the_queue_once(void **state)
{
    scene_t *const scene = *state;
    enum { EVENTS = 50 };
    const dx_topic_options_t none = {.retain_events = DX_RETAIN_NONE};
    assert_ok(dx_bus_topic_create(scene->bus, "slow", &none, NULL));
    dx_subscription_t *const reader =
        subscribe(scene, (dx_subscription_options_t){.pattern = "slow",
                                                     .on_event = on_event,
                                                     .slow = DX_SLOW_BLOCK,
                                                     .slow_block_ns = LONG_NS,
                                                     .queue_events = 1});
    for (int i = 0; i < EVENTS; i++) {
        publish(scene, "slow", NULL);
    }
    await_handled(scene, EVENTS);
    json_t *const spans = spans_of(scene, 4 * EVENTS);
    assert_int_equal(count_below(spans, "queue slow", "publish slow"), EVENTS);
    assert_int_equal(count_below(spans, "handle slow", "deliver slow"), EVENTS);
    json_decref(spans);
    assert_ok(dx_subscription_close(reader, LONG_NS));
}

static void a_publication_that_is_refused_has_a_span_that_says_so(void **state)
{
    scene_t *const scene = *state;
    static char large[1 << 20];
    const dx_message_t message = {.topic = "large", .data = large, .bytes = sizeof large};
    assert_int_equal(dx_publish(scene->publisher, &message, NULL), DX_ELIMIT);
    json_t *const spans = spans_of(scene, 1);
    const json_t *const status = json_object_get(json_array_get(spans, 0), "status");
    assert_int_equal(json_integer_value(json_object_get(status, "code")), 2);
    json_decref(spans);
}

#define scene_test(function) cmocka_unit_test_setup_teardown(function, scene_open, scene_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        scene_test(an_event_is_one_tree_for_handlers_in_threads_and_in_the_shard),
        scene_test(the_context_of_a_publisher_decides_and_is_the_root),
        scene_test(what_is_not_sampled_is_not_recorded_and_its_context_arrives),
        scene_test(what_a_handler_publishes_belongs_to_its_trace),
        scene_test(an_answer_is_below_the_handler_of_its_request),
        scene_test(events_of_a_batch_have_a_span_each),
        scene_test(each_attempt_has_its_spans_and_a_failed_one_says_why),
        scene_test(an_event_that_waits_for_a_slow_handler_is_in_the_queue_once),
        scene_test(a_publication_that_is_refused_has_a_span_that_says_so),
    };
    return cmocka_run_group_tests_name("trace bus", tests, NULL, NULL);
}
