/* bench_bus.c - `dx bench bus`: from publish to handler, through the bus, in one process.
 *
 * QUESTION. How long is it from when an event was due to be published until its handler runs, at a
 * given rate, without a network?
 *
 * METHOD. Each publisher thread publishes event n at begin + n / rate, whatever became of those
 * before it (no coordinated omission), and spins until then. The handler reads the clock and takes
 * the difference. Every event is numbered; each subscription checks that every one came once, in
 * order, unchanged.
 *
 * NOT MEASURED. Connections, frames on a network, more than one process.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "base/format.h"
#include "base/values.h"
#include "cli/bench.h"
#include "cli/bench_load.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/pace.h"
#include "cli/picture.h"
#include "disruptorx/bus.h"
#include "disruptorx/histogram.h"

#define COMMAND "dx bench bus"
#define SIDES_MAX 32
#define TOPICS_MAX 256
#define BEGIN_NS (20 * DX_NS_PER_MS)
#define DRAIN_NS (10 * DX_NS_PER_S)
#define SPIN_NS DX_NS_PER_S /* always: a sleep would be late */
#define RUN 1

typedef struct settings {
    const char *hgrm;
    int64_t publishers;
    int64_t subscribers;
    int64_t bytes;
    int64_t ns;
    int64_t rate;
    int64_t topics;
    int64_t shards;
    int64_t loops;
    int32_t dispatch; /* 0: shard, 1: thread */
    bool busy_poll;
} settings_t;

static int seconds_parse(const char *text, void *member_out, dx_error_t *error)
{
    int64_t *const ns = member_out;
    if (text[strspn(text, "0123456789")] == '\0') {
        const int result = dxi_integer_parse("it", text, 1, 86400, ns, error);
        *ns *= DX_NS_PER_S;
        return result;
    }
    return dxi_duration_parse("it", text, 10 * DX_NS_PER_MS, 86400 * DX_NS_PER_S, ns, error);
}

static const char *const DISPATCH[] = {"shard", "thread", NULL};

#define ROW_INTEGER(option, letter_, member, from, to, text)                                       \
    {                                                                                              \
        .name = (option), .letter = (letter_), .kind = DXI_OPTION_INTEGER, .value_name = "N",      \
        .offset = offsetof(settings_t, member), .low = (from), .high = (to), .help = (text)        \
    }

static const dxi_option_t OPTIONS[] = {
    ROW_INTEGER("rate", 'r', rate, 0, DXI_PACE_RATE_MAX,
                "events a second of all publishers together; default 1M; 0: as fast as it goes"),
    {.name = "seconds",
     .letter = 's',
     .kind = DXI_OPTION_CUSTOM,
     .value_name = "N",
     .offset = offsetof(settings_t, ns),
     .parse = seconds_parse,
     .help = "how long; default 5"},
    ROW_INTEGER("bytes", 'b', bytes, DXI_LOAD_BYTES_MIN, DXI_LOAD_BYTES_MAX,
                "of each payload; default 128"),
    ROW_INTEGER("publishers", 'c', publishers, 1, SIDES_MAX, "threads that publish; default 1"),
    ROW_INTEGER("subscribers", 0, subscribers, 1, SIDES_MAX,
                "subscriptions, each of which gets every event; default 1"),
    ROW_INTEGER("topics", 0, topics, 1, TOPICS_MAX, "each publisher takes them in turn; default 1"),
    ROW_INTEGER("shards", 0, shards, 1, DX_BUS_SHARDS_MAX,
                "of the bus, a power of two; default 16"),
    ROW_INTEGER("loops", 0, loops, 1, DX_BUS_LOOPS_MAX,
                "threads of the bus; default half of the processors"),
    {.name = "dispatch",
     .kind = DXI_OPTION_CHOICE,
     .value_name = "WHERE",
     .choices = DISPATCH,
     .offset = offsetof(settings_t, dispatch),
     .help = "where handlers run: shard (default), in the shard's thread on the event in its ring; "
             "thread, one of their own"},
    {.name = "busy-poll",
     .kind = DXI_OPTION_FLAG,
     .offset = offsetof(settings_t, busy_poll),
     .help = "the threads of the bus spin instead of sleeping"},
    {.name = "hgrm",
     .kind = DXI_OPTION_TEXT,
     .value_name = "FILE",
     .offset = offsetof(settings_t, hgrm),
     .help = "write the distribution for HdrHistogram's plotter, in microseconds"},
};

static const dxi_usage_t USAGE = {
    .command = COMMAND,
    .description = "From publish to handler through the bus, in this process, without a network.\n"
                   "Latency is from when an event was due until its handler ran; every event is\n"
                   "checked. Ends with 1 when one is missing, repeated or changed.\n",
    .options = OPTIONS,
    .option_count = sizeof OPTIONS / sizeof OPTIONS[0],
    .examples = "  dx bench bus\n"
                "  dx bench bus --rate 1M --seconds 60 --busy-poll --hgrm bus.hgrm\n"
                "  dx bench bus --rate 0 --dispatch thread --subscribers 4 -o json\n",
};

/* ---------------------------------------------------------------------------------------- sides */

typedef struct bus_publisher {
    const struct bench *bench;
    uint32_t index;
    dx_thread_t *thread;
    int64_t published;
    int64_t end_ns;
    uint64_t checksum;
    int code;
    dx_error_t error;
    uint64_t numbers[TOPICS_MAX];
    char *payload;
} bus_publisher_t;

typedef struct bus_subscriber {
    dx_subscription_t *subscription;
    dx_histogram_t *latency;
    dxi_load_check_t check;
    int64_t gaps;
    dx_atomic64_t received; /* RELAXED: a number for the main thread to wait by */
    dx_atomic64_t last_ns;
} bus_subscriber_t;

typedef struct bench {
    const settings_t *settings;
    dx_bus_t *bus;
    int64_t begin_ns;
    char topics[TOPICS_MAX][32];
    bus_publisher_t publishers[SIDES_MAX];
    bus_subscriber_t subscribers[SIDES_MAX];
    dx_histogram_t *latency; /* of all */
    int64_t published;
    int64_t received;
    int64_t publish_ns;
    int64_t receive_ns;
    bool good;
} bench_t;

static int on_event(void *context, const dx_event_t *event)
{
    bus_subscriber_t *const subscriber = context;
    dxi_load_head_t head;
    if (dxi_load_take(&subscriber->check, event->data, event->bytes, &head)) {
        const int64_t now_ns = dx_clock_ns();
        dx_histogram_record(subscriber->latency, now_ns - head.due_ns);
        dx_store_relaxed(&subscriber->last_ns, now_ns);
        dx_store_relaxed(&subscriber->received, subscriber->check.events);
    }
    return DX_OK;
}

static void on_gap(void *context, const dx_gap_t *gap)
{
    bus_subscriber_t *const subscriber = context;
    subscriber->gaps += (int64_t)(gap->last - gap->first + 1);
}

static int events_publish(bus_publisher_t *side, dx_publisher_t *publisher)
{
    const bench_t *const bench = side->bench;
    const settings_t *const settings = bench->settings;
    const uint32_t topics = (uint32_t)settings->topics;
    const int64_t rate = settings->rate / settings->publishers;
    const int64_t end_ns = bench->begin_ns + settings->ns;
    dx_message_t message = {.data = side->payload, .bytes = (size_t)settings->bytes};
    for (int64_t i = 0; !dxi_interrupted(); i++) {
        int64_t due_ns = 0;
        if (rate > 0) {
            due_ns = dxi_pace_due_ns(bench->begin_ns, rate, i);
            if (due_ns >= end_ns || !dxi_pace_wait(due_ns, SPIN_NS, dxi_interrupt_word())) {
                break;
            }
        } else {
            due_ns = dx_clock_ns();
            if (due_ns >= end_ns) {
                break;
            }
        }
        const uint32_t topic = (uint32_t)(i % topics);
        const dxi_load_head_t head = {
            .word = dxi_load_word(RUN, side->index * topics + topic, side->numbers[topic]++),
            .due_ns = due_ns};
        memcpy(side->payload, &head, sizeof head);
        message.topic = bench->topics[topic];
        const int result = dx_publish(publisher, &message, &side->error);
        if (result != DX_OK) {
            return result;
        }
        side->checksum += dxi_load_mix(head.word);
        side->published++;
    }
    return DX_OK;
}

static void publisher_run(void *context)
{
    bus_publisher_t *const side = context;
    dx_publisher_t *publisher = NULL;
    side->code = dx_publisher_open(side->bench->bus, NULL, &publisher, &side->error);
    if (side->code == DX_OK &&
        dxi_pace_wait(side->bench->begin_ns, SPIN_NS, dxi_interrupt_word())) {
        side->code = events_publish(side, publisher);
    }
    side->end_ns = dx_clock_ns();
    dx_publisher_close(publisher);
}

/* ------------------------------------------------------------------------------------------ run */

static int bench_make(bench_t *bench, dx_error_t *error)
{
    const settings_t *const settings = bench->settings;
    const dx_bus_options_t options = {.shards = (uint32_t)settings->shards,
                                      .loops = (uint32_t)settings->loops,
                                      .busy_poll = settings->busy_poll,
                                      .topic = {.retain_events = DX_RETAIN_NONE}};
    int result = dx_histogram_create(&bench->latency, error);
    for (int64_t i = 0; i < settings->topics; i++) {
        snprintf(bench->topics[i], sizeof bench->topics[i], "bench.%" PRId64, i);
    }
    for (int64_t i = 0; i < settings->publishers && result == DX_OK; i++) {
        bus_publisher_t *const side = &bench->publishers[i];
        side->bench = bench;
        side->index = (uint32_t)i;
        side->payload = dxi_alloc_zeroed(1, (size_t)settings->bytes);
        if (side->payload == NULL) {
            return dxi_fail(error, DX_ENOMEM, "no memory for a payload");
        }
        dxi_load_pattern(side->payload, (size_t)settings->bytes);
    }
    if (result == DX_OK) {
        result = dx_bus_create(&options, &bench->bus, error);
    }
    return result == DX_OK ? dx_bus_start(bench->bus, error) : result;
}

static int subscribe(bench_t *bench, bus_subscriber_t *subscriber, dx_error_t *error)
{
    const settings_t *const settings = bench->settings;
    const dx_subscription_options_t options = {
        .pattern = "bench.>",
        .context = subscriber,
        .on_event = on_event,
        .on_gap = on_gap,
        .slow = DX_SLOW_BLOCK,
        .slow_block_ns = DRAIN_NS,
        .dispatch = settings->dispatch == 0 ? DX_DISPATCH_SHARD : DX_DISPATCH_THREAD};
    if (dxi_load_check_init(&subscriber->check, RUN,
                            (uint32_t)(settings->publishers * settings->topics),
                            (size_t)settings->bytes) != DX_OK) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a subscriber");
    }
    const int result = dx_histogram_create(&subscriber->latency, error);
    return result == DX_OK
               ? dx_bus_subscribe(bench->bus, &options, &subscriber->subscription, error)
               : result;
}

static int publishers_run(bench_t *bench, dx_error_t *error)
{
    const dx_thread_options_t options = {.name = "dx-publisher"};
    int result = DX_OK;
    bench->begin_ns = dx_clock_ns() + BEGIN_NS;
    for (int64_t i = 0; i < bench->settings->publishers && result == DX_OK; i++) {
        result = dx_thread_start(&options, publisher_run, &bench->publishers[i],
                                 &bench->publishers[i].thread, error);
    }
    if (result != DX_OK) {
        dxi_interrupt_end();
    }
    for (int64_t i = 0; i < bench->settings->publishers; i++) {
        bus_publisher_t *const side = &bench->publishers[i];
        (void)dx_thread_join(side->thread);
        if (side->code != DX_OK && result == DX_OK) {
            result = side->code;
            *error = side->error;
            error->code = result;
        }
        bench->published += side->published;
        const int64_t ns = side->end_ns - bench->begin_ns;
        bench->publish_ns = ns > bench->publish_ns ? ns : bench->publish_ns;
    }
    return result;
}

/* Waits until every subscription has every event, or for DRAIN_NS. */
static void drain(const bench_t *bench)
{
    const int64_t until_ns = dx_clock_ns() + DRAIN_NS;
    for (int64_t i = 0; i < bench->settings->subscribers; i++) {
        while (dx_load_relaxed(&bench->subscribers[i].received) < bench->published &&
               dx_clock_ns() < until_ns) {
            (void)dxi_pace_wait(dx_clock_ns() + DX_NS_PER_MS, 0, &(dx_atomic32_t){0});
        }
    }
}

static int bench_run(bench_t *bench, dx_error_t *error)
{
    int result = bench_make(bench, error);
    for (int64_t i = 0; i < bench->settings->subscribers && result == DX_OK; i++) {
        result = subscribe(bench, &bench->subscribers[i], error);
    }
    if (result == DX_OK) {
        result = publishers_run(bench, error);
        drain(bench);
    }
    if (bench->bus != NULL) {
        (void)dx_bus_stop(bench->bus, DRAIN_NS, NULL); /* what is missing is counted below */
    }
    return result;
}

/* After the bus has stopped: nobody writes any more. */
static void results_add(bench_t *bench)
{
    uint64_t checksum = 0;
    bench->good = true;
    for (int64_t i = 0; i < bench->settings->publishers; i++) {
        checksum += bench->publishers[i].checksum;
    }
    for (int64_t i = 0; i < bench->settings->subscribers; i++) {
        const bus_subscriber_t *const subscriber = &bench->subscribers[i];
        const dxi_load_check_t *const check = &subscriber->check;
        const int64_t ns = dx_load_relaxed(&subscriber->last_ns) - bench->begin_ns;
        bench->receive_ns = ns > bench->receive_ns ? ns : bench->receive_ns;
        bench->received += check->events;
        bench->good = bench->good && check->events == bench->published &&
                      check->checksum == checksum && check->lost == 0 && check->repeated == 0 &&
                      check->corrupt == 0 && check->foreign == 0 && subscriber->gaps == 0;
        dx_histogram_add(bench->latency, subscriber->latency);
    }
}

static void bench_free(bench_t *bench)
{
    dx_bus_destroy(bench->bus);
    for (int i = 0; i < SIDES_MAX; i++) {
        dxi_free(bench->publishers[i].payload);
        dxi_load_check_free(&bench->subscribers[i].check);
        dx_histogram_destroy(bench->subscribers[i].latency);
    }
    dx_histogram_destroy(bench->latency);
    dxi_free(bench);
}

/* --------------------------------------------------------------------------------------- report */

static int64_t per_second(int64_t count, int64_t ns)
{
    return ns > 0 ? (int64_t)((double)count * 1e9 / (double)ns) : 0;
}

static void scenario_print(const settings_t *settings)
{
    printf("%sScenario%s\n%-10s%" PRId64 " publishing threads, %" PRId64
           " subscriptions, handlers in %s\n",
           dxi_style(stdout, DXI_STYLE_HEADING), dxi_style(stdout, DXI_STYLE_PLAIN), "sides",
           settings->publishers, settings->subscribers,
           settings->dispatch == 0 ? "the shard's thread" : "threads of their own");
    printf("%-10s%s bytes in %" PRId64 " topics, %s\n", "events",
           dxi_format_count(&(dxi_text_t){0}, settings->bytes), settings->topics,
           settings->busy_poll ? "the bus spins" : "the bus sleeps when idle");
    if (settings->rate > 0) {
        printf("%-10s%s events/s; latency counts from when an event was due\n\n", "pacing",
               dxi_format_count(&(dxi_text_t){0}, settings->rate));
    } else {
        printf("%-10sas fast as it goes; latency is mostly the queue\n\n", "pacing");
    }
    fflush(stdout);
}

static void result_print(const bench_t *bench)
{
    printf("%-10s%s events, %s/s\n", "published",
           dxi_format_count(&(dxi_text_t){0}, bench->published),
           dxi_format_count(&(dxi_text_t){0}, per_second(bench->published, bench->publish_ns)));
    printf("%-10s%s events, %s%s events/s%s\n", "handled",
           dxi_format_count(&(dxi_text_t){0}, bench->received),
           dxi_style(stdout, DXI_STYLE_HEADING),
           dxi_format_count(&(dxi_text_t){0}, per_second(bench->received, bench->receive_ns)),
           dxi_style(stdout, DXI_STYLE_PLAIN));
    printf("%-10s%s%s%s\n%-10s", "verified",
           dxi_style(stdout, bench->good ? DXI_STYLE_GOOD : DXI_STYLE_ERROR),
           bench->good ? "every event came once, in order, unchanged; checksums are equal"
                       : "NOT GOOD: events are missing, repeated or changed",
           dxi_style(stdout, DXI_STYLE_PLAIN), "latency");
    dxi_picture_percentiles(stdout, bench->latency, dxi_output_width(stdout));
    putchar('\n');
    dxi_picture_bars(stdout, bench->latency, dxi_output_width(stdout));
}

static void result_json(const bench_t *bench)
{
    const settings_t *const settings = bench->settings;
    dxi_json_t json;
    dxi_json_begin(&json, stdout);
    dxi_json_object_begin(&json, NULL);
    dxi_json_text(&json, "bench", "bus");
    dxi_json_text(&json, "version", DX_VERSION_STRING);
    dxi_json_object_begin(&json, "scenario");
    dxi_json_integer(&json, "publishers", settings->publishers);
    dxi_json_integer(&json, "subscribers", settings->subscribers);
    dxi_json_integer(&json, "bytes", settings->bytes);
    dxi_json_integer(&json, "topics", settings->topics);
    dxi_json_integer(&json, "rate", settings->rate);
    dxi_json_integer(&json, "duration_ns", settings->ns);
    dxi_json_text(&json, "dispatch", DISPATCH[settings->dispatch]);
    dxi_json_boolean(&json, "busy_poll", settings->busy_poll);
    dxi_json_object_end(&json);
    dxi_json_integer(&json, "published", bench->published);
    dxi_json_integer(&json, "published_per_s", per_second(bench->published, bench->publish_ns));
    dxi_json_integer(&json, "received", bench->received);
    dxi_json_integer(&json, "received_per_s", per_second(bench->received, bench->receive_ns));
    dxi_json_boolean(&json, "verified", bench->good);
    dxi_json_boolean(&json, "interrupted", dxi_interrupted());
    dxi_picture_json(&json, "latency_ns", bench->latency);
    dxi_json_object_end(&json);
    (void)dxi_json_finish(&json); /* main looks at standard output in the end */
}

static int bench_report(bench_t *bench)
{
    dx_error_t error = {0};
    results_add(bench);
    if (dxi_output_is_json()) {
        result_json(bench);
    } else {
        result_print(bench);
    }
    if (bench->settings->hgrm != NULL &&
        dxi_picture_hgrm(bench->latency, bench->settings->hgrm, &error) != DX_OK) {
        dxi_complain_error(COMMAND, &error);
        return DXI_EXIT_FAILED;
    }
    return bench->good ? DXI_EXIT_OK : DXI_EXIT_FAILED;
}

int dxi_bench_bus_command(int argc, char **argv)
{
    settings_t settings = {.publishers = 1,
                           .subscribers = 1,
                           .bytes = 128,
                           .ns = 5 * DX_NS_PER_S,
                           .rate = 1000000,
                           .topics = 1};
    dxi_operands_t operands;
    dx_error_t error = {0};
    const int begun = dxi_arguments_begin(&USAGE, argc, argv, &settings, &operands);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    if (settings.rate > 0 && settings.rate < settings.publishers) {
        dxi_fail(&error, DX_EINVAL, "--rate is %" PRId64 ", must be at least 1 per publisher",
                 settings.rate);
        return dxi_usage_error(&USAGE, &error);
    }
    if (dxi_picture_hgrm_begin(settings.hgrm, &error) != DX_OK) {
        return dxi_usage_error(&USAGE, &error);
    }
    bench_t *const bench = dxi_alloc_zeroed(1, sizeof *bench);
    if (bench == NULL) {
        dxi_complain(COMMAND, "no memory for the benchmark");
        return DXI_EXIT_FAILED;
    }
    bench->settings = &settings;
    dxi_interrupt_catch();
    if (!dxi_output_is_json()) {
        scenario_print(&settings);
    }
    int exit_code = DXI_EXIT_FAILED;
    if (bench_run(bench, &error) == DX_OK) {
        exit_code = bench_report(bench);
    } else {
        dxi_complain_error(COMMAND, &error);
    }
    bench_free(bench);
    return exit_code;
}
