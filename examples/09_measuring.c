/* 09_measuring.c - how long events take from publish to handler.
 *
 * Teaches: stamping events with the processor's counter, which costs less than a clock; recording
 * in a histogram; the .hgrm file that HdrHistogram's plotter reads; what coordinated omission hides
 * and how it is put back; merging the histograms of several threads.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <disruptorx/clock.h>
#include <disruptorx/disruptor.h>
#include <disruptorx/histogram.h>

#define EVENTS 2000

static dx_error_t error; /* of the main thread */

static void require(bool condition, const char *sentence)
{
    if (!condition) {
        fprintf(stderr, "09_measuring: %s\n", sentence);
        exit(1);
    }
}

static void must(int code)
{
    require(code == DX_OK, error.code == code ? error.message : dx_error_text(code));
}

typedef struct meter {
    const dx_tsc_t *tsc;
    dx_histogram_t *latency; /* one thread records, any thread may read */
} meter_t;

/* The event is the tick count at which it was published. */
static int on_event(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    const meter_t *meter = context;
    const uint64_t now = dx_tsc_ticks(meter->tsc);
    (void)sequence, (void)end_of_batch;
    dx_histogram_record(meter->latency, dx_tsc_to_ns(meter->tsc, now) -
                                            dx_tsc_to_ns(meter->tsc, *(uint64_t *)event));
    return DX_HANDLER_CONTINUE;
}

static void measure(dx_histogram_t *latency)
{
    meter_t meter = {.tsc = dx_tsc_default(), .latency = latency};
    dx_disruptor_t *disruptor = NULL;
    dx_producer_t producer;
    const dx_disruptor_options_t options = {.ring = {.slot_count = 64, .event_bytes = 8}};
    const dx_handler_t handler = {.context = &meter, .on_event = on_event};
    must(dx_disruptor_create(&options, &disruptor, &error));
    must(dx_disruptor_handle_events_with(disruptor, &handler, 1, NULL, &error));
    must(dx_disruptor_start(disruptor, &error));
    must(dx_producer_open(&producer, dx_disruptor_ring(disruptor), NULL, &error));
    for (int i = 0; i < EVENTS; i++) {
        const uint64_t now = dx_tsc_ticks(meter.tsc);
        const int64_t sequence = dx_producer_publish_copy(&producer, &now, sizeof(now));
        require(sequence >= 0, dx_error_text((int)sequence));
    }
    dx_producer_close(&producer);
    must(dx_disruptor_shutdown(disruptor, DX_FOREVER, &error));
    dx_disruptor_destroy(disruptor);
}

static void report(dx_histogram_t *latency)
{
    dx_histogram_summary_t summary;
    char json[512];
    dx_histogram_summarize(latency, &summary);
    (void)dx_histogram_summary_json(&summary, json, sizeof(json));
    fprintf(stderr, "latency in ns: %s\n", json);
    require(summary.count == EVENTS, "an event was not measured");
    require(summary.min <= summary.p50 && summary.p50 <= summary.p99, "percentiles fall");
    require(dx_histogram_value_at(latency, 99) == summary.p99, "two ways, two answers");

    FILE *file = tmpfile(); /* an application: fopen("latency.hgrm", "w") */
    require(file != NULL, "no temporary file can be made");
    must(dx_histogram_write_hgrm(latency, file, 5, 1000, &error)); /* in microseconds */
    char line[64] = "";
    rewind(file);
    require(fgets(line, sizeof(line), file) != NULL && strstr(line, "Value") != NULL, "no .hgrm");
    (void)fclose(file);
}

/* One slow answer hides those that were not even asked for: 1 ms expected between requests, one of
 * 5 ms, so four more were late. Then two histograms become one. */
static void correct(dx_histogram_t *total)
{
    dx_histogram_t *other = NULL;
    must(dx_histogram_create(&other, &error));
    dx_histogram_record_corrected(other, 5 * DX_NS_PER_MS, DX_NS_PER_MS); /* 5, 4, 3, 2 and 1 ms */
    dx_histogram_record_n(other, -1, 2);                                  /* out of range, twice */
    require(dx_histogram_underflow_count(other) == 2, "what was cut off must be said");
    require(dx_histogram_overflow_count(other) == 0, "nothing took 100 s");
    dx_histogram_add(total, other);
    dx_histogram_destroy(other);
    require(dx_histogram_count(total) == 7 && dx_histogram_max(total) == 5 * DX_NS_PER_MS,
            "merging lost something");
    require(dx_histogram_mean(total) > 2e6 && dx_histogram_stddev(total) > 1e6, "wrong moments");
    dx_histogram_reset(total);
    require(dx_histogram_min(total) == 0 && dx_histogram_count(total) == 0, "reset empties it");
}

static int print_line(void *context, const dx_percentile_t *line)
{
    (void)context;
    fprintf(stderr, "%7.3f %% took at most %" PRId64 " ns\n", line->percentile, line->value);
    return 0; /* anything else ends the walk */
}

/* Values are kept in steps of one part in a thousand. */
static void look_at_steps(dx_histogram_t *histogram)
{
    dx_histogram_record(histogram, 1000000);
    const int64_t low = dx_histogram_lowest_equivalent(1000000);
    const int64_t high = dx_histogram_highest_equivalent(1000000);
    require(low <= 1000000 && 1000000 <= high && high - low < 1000, "a step is too wide");
    require(dx_histogram_index(low) == dx_histogram_index(high), "a step has two places");
    require(dx_histogram_count_at(histogram, high) == 1, "the value is not in its step");
}

int main(void)
{
    dx_histogram_t *latency = NULL;
    must(dx_histogram_create(&latency, &error));
    measure(latency);
    report(latency);
    must(dx_histogram_percentiles(latency, 1, print_line, NULL));
    dx_histogram_reset(latency);
    correct(latency);
    look_at_steps(latency);
    dx_histogram_destroy(latency);
    printf("%d events measured\n", EVENTS);
    return 0;
}
