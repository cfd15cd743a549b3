/* test_metrics.c - the text format of Prometheus, and which topics have a label of their own.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bus/rates.h"
#include "node/metrics.h"

#include "base_test.h"

/* ---------------------------------------------------------------------------------------- text */

static void names_labels_and_numbers_are_written_as_prometheus_reads_them(void **state)
{
    dxi_metrics_text_t text = {.bytes = NULL};
    const char *const labels[] = {"a", "x\"\\\ny", "b", "", NULL};
    (void)state;
    dxi_metrics_head(&text, "things", "gauge", "What \"a\\b\"\nis.");
    dxi_metrics_sample(&text, "things", labels, 1e15);
    dxi_metrics_sample(&text, "things", labels, -0.5);
    dxi_metrics_one(&text, "process_cpu_seconds_total", "counter", "CPU.", 0.25);
    assert_string_equal(text.bytes,
                        "# HELP disruptorx_things What \"a\\\\b\"\\nis.\n"
                        "# TYPE disruptorx_things gauge\n"
                        "disruptorx_things{a=\"x\\\"\\\\\\ny\",b=\"\"} 1000000000000000\n"
                        "disruptorx_things{a=\"x\\\"\\\\\\ny\",b=\"\"} -0.5\n"
                        "# HELP process_cpu_seconds_total CPU.\n"
                        "# TYPE process_cpu_seconds_total counter\n"
                        "process_cpu_seconds_total 0.25\n");
    assert_int_equal(text.used, strlen(text.bytes));
    free(text.bytes);
}

static void a_histogram_adds_up_and_puts_each_time_below_its_bound(void **state)
{
    dxi_metrics_text_t text = {.bytes = NULL};
    uint64_t counts[DXI_LATENCY_CLASSES] = {0};
    (void)state;
    counts[dxi_latency_class(10)] = 1;      /* below 1 us */
    counts[dxi_latency_class(1900)] = 2;    /* its class ends above 2 us */
    counts[dxi_latency_class(9999999)] = 4; /* 10 ms */
    counts[DXI_LATENCY_CLASSES - 1] = 8;    /* longer than all bounds */
    dxi_metrics_histogram(&text, "d_seconds", "Times.", "k", "v", counts);
    assert_contains(text.bytes, "d_seconds_bucket{k=\"v\",le=\"1e-06\"} 1\n");
    assert_contains(text.bytes, "d_seconds_bucket{k=\"v\",le=\"5e-06\"} 3\n");
    assert_contains(text.bytes, "d_seconds_bucket{k=\"v\",le=\"0.02\"} 7\n");
    assert_contains(text.bytes, "d_seconds_bucket{k=\"v\",le=\"10\"} 7\n");
    assert_contains(text.bytes, "d_seconds_bucket{k=\"v\",le=\"+Inf\"} 15\n");
    assert_contains(text.bytes, "d_seconds_count{k=\"v\"} 15\n");
    free(text.bytes);
}

/* -------------------------------------------------------------------------------------- topics */

enum { TOPICS = 12 };

/* A bus of topics that a test moves: counters of those that are there, and totals. */
typedef struct model {
    dx_topic_stats_t topics[TOPICS];
    bool there[TOPICS];
    uint64_t totals[DXI_METRICS_COUNTS];
} model_t;

static void model_name(model_t *model, int number)
{
    (void)snprintf(model->topics[number].name, sizeof model->topics[number].name, "t.%02d", number);
}

static void model_publish(model_t *model, int number, uint64_t events)
{
    model->there[number] = true;
    model_name(model, number);
    model->topics[number].published += events;
    model->topics[number].published_bytes += 3 * events;
    model->totals[DXI_METRICS_RECEIVED] += events;
    model->totals[DXI_METRICS_BYTES] += 3 * events;
}

static void model_delete(model_t *model, int number)
{
    model->topics[number] = (dx_topic_stats_t){.published = 0};
    model->there[number] = false;
}

static void look(dxi_metrics_topics_t *topics, const model_t *model, uint32_t most)
{
    dxi_metrics_topics_begin(topics, most);
    for (int i = 0; i < TOPICS; i++) {
        if (model->there[i]) {
            dxi_metrics_topics_see(topics, &model->topics[i]);
        }
    }
    dxi_metrics_topics_end(topics, model->totals);
}

/* A counter of a name; UINT64_MAX: it has none. */
static uint64_t received(const dxi_metrics_topics_t *topics, const char *name)
{
    const dxi_metrics_topic_t *topic = NULL;
    for (size_t i = 0; (topic = dxi_metrics_topics_at(topics, i)) != NULL; i++) {
        if (strcmp(topic->name, name) == 0) {
            return topic->counts[DXI_METRICS_RECEIVED];
        }
    }
    return UINT64_MAX;
}

static void as_many_topics_as_allowed_have_a_name_and_the_rest_is_other(void **state)
{
    (void)state;
    model_t model = {0};
    dxi_metrics_topics_t *const topics = dxi_metrics_topics_create();
    assert_non_null(topics);
    for (int i = 0; i < 5; i++) {
        model_publish(&model, i, (uint64_t)i + 1);
    }
    look(topics, &model, 3);
    assert_int_equal(received(topics, "t.00"), 1);
    assert_int_equal(received(topics, "t.02"), 3);
    assert_true(received(topics, "t.03") == UINT64_MAX);
    assert_int_equal(received(topics, "other"), 9);
    look(topics, &model, 0);
    assert_int_equal(received(topics, "other"), 15);
    assert_null(dxi_metrics_topics_at(topics, 1));
    dxi_metrics_topics_destroy(topics);
}

static void a_busy_topic_takes_the_name_of_an_idle_one_and_begins_with_nothing(void **state)
{
    (void)state;
    model_t model = {0};
    dxi_metrics_topics_t *const topics = dxi_metrics_topics_create();
    assert_non_null(topics);
    model_publish(&model, 0, 10);
    model_publish(&model, 1, 10);
    look(topics, &model, 2);
    model_publish(&model, 5, 100);
    model.topics[5].rate_1m = 50;
    model.topics[1].rate_1m = 3;
    look(topics, &model, 2);
    assert_true(received(topics, "t.00") == UINT64_MAX);
    assert_int_equal(received(topics, "t.01"), 10);
    assert_int_equal(received(topics, "t.05"), 0);
    assert_int_equal(received(topics, "other"), 110);
    model_publish(&model, 5, 7);
    look(topics, &model, 2);
    assert_int_equal(received(topics, "t.05"), 7);
    assert_int_equal(received(topics, "other"), 110);
    dxi_metrics_topics_destroy(topics);
}

static void a_topic_called_other_and_inboxes_have_no_name(void **state)
{
    (void)state;
    dxi_metrics_topics_t *const topics = dxi_metrics_topics_create();
    const uint64_t totals[DXI_METRICS_COUNTS] = {[DXI_METRICS_RECEIVED] = 9};
    assert_non_null(topics);
    dxi_metrics_topics_begin(topics, 10);
    dxi_metrics_topics_see(topics, &(dx_topic_stats_t){.name = "$inbox.1", .published = 4});
    dxi_metrics_topics_see(topics, &(dx_topic_stats_t){.name = "other", .published = 5});
    dxi_metrics_topics_end(topics, totals);
    assert_int_equal(received(topics, "other"), 9);
    assert_null(dxi_metrics_topics_at(topics, 1));
    dxi_metrics_topics_destroy(topics);
}

/* The counter that a name had at the last look, and whether it had one. */
typedef struct last {
    uint64_t received[TOPICS + 1];
    bool named[TOPICS + 1];
} last_t;

static void look_check(const dxi_metrics_topics_t *topics, const model_t *model, last_t *last)
{
    uint64_t sum = 0;
    for (int i = 0; i <= TOPICS; i++) {
        char name[8] = "other";
        if (i < TOPICS) {
            (void)snprintf(name, sizeof name, "t.%02d", i);
        }
        const uint64_t now = received(topics, name);
        if (now != UINT64_MAX) {
            if (last->named[i] && now < last->received[i]) { /* M2 */
                fail_msg("%s fell from %llu to %llu", name, (unsigned long long)last->received[i],
                         (unsigned long long)now);
            }
            sum += now;
        }
        last->named[i] = now != UINT64_MAX;
        last->received[i] = now;
    }
    assert_int_equal(sum, model->totals[DXI_METRICS_RECEIVED]); /* M1 */
}

static void nothing_falls_and_nothing_is_lost_whatever_topics_do(void **state)
{
    (void)state;
    model_t model = {0};
    last_t last = {.received = {0}};
    uint32_t seed = 11;
    dxi_metrics_topics_t *const topics = dxi_metrics_topics_create();
    assert_non_null(topics);
    for (int round = 0; round < 3000; round++) {
        for (int i = 0; i < 4; i++) {
            seed = seed * 1664525 + 1013904223;
            const int number = (int)(seed >> 8) % TOPICS;
            if (seed >> 28 == 0) {
                model_delete(&model, number);
            } else {
                model_publish(&model, number, (seed >> 16) % 100);
                model.topics[number].rate_1m = (double)((seed >> 12) % 64);
            }
        }
        look(topics, &model, (seed >> 20) % 64 == 0 ? 2 : 5);
        look_check(topics, &model, &last);
    }
    dxi_metrics_topics_destroy(topics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_labels_and_numbers_are_written_as_prometheus_reads_them),
        cmocka_unit_test(a_histogram_adds_up_and_puts_each_time_below_its_bound),
        cmocka_unit_test(as_many_topics_as_allowed_have_a_name_and_the_rest_is_other),
        cmocka_unit_test(a_busy_topic_takes_the_name_of_an_idle_one_and_begins_with_nothing),
        cmocka_unit_test(a_topic_called_other_and_inboxes_have_no_name),
        cmocka_unit_test(nothing_falls_and_nothing_is_lost_whatever_topics_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
