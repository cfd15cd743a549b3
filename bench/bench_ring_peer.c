/* bench_ring_peer.c - DisruptorX under the protocol that all peers speak (bench/peers/README.md).
 *
 * QUESTION   How does our ring compare with the Disruptors and queues of others, on this machine
 * and in the same minutes?
 *
 * METHOD     One process, one scenario, one line of JSON: tools/bench_peers.py runs us and the
 * peers in turn and computes medians and ratios. The scenarios and loops are those of `dx bench
 * ring` (src/cli/bench_*.c), compiled again with the flags of the C peers (-O3 -march=native). The
 * warm-up runs on the same ring and threads and is not in the time. The time is from the start of
 * the first producer to the end of the last consumer's last batch; sums are checked.
 *
 * VARIANTS   Consumers are handlers of a disruptor and get a whole batch a call; with --variant
 * event they get one event a call, as in LMAX. With --shared, the two sides are two processes over
 * shared rings.
 *
 * NOT MEASURED   Start and stop of threads, allocation, several runs (the runner's work), loads
 * other than the one that goes as fast as it can.
 *
 * Exit codes: 0; 1 wrong or failed; 2 usage; 3 the scenario or variant is none of ours.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "cli/bench_machine.h"
#include "cli/bench_scenario.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/output.h"

#define NAME "bench_ring_peer"
#define EXIT_UNSUPPORTED 3

typedef struct settings {
    const char *scenario;
    const char *variant;
    const char *wait;
    int64_t events;
    int64_t warmup;
    int64_t batch;
    int64_t event_bytes;
    int64_t capacity;
    int64_t producers;
    int64_t follow;
    bool shared;
    dxi_bench_cpus_t cpus;
} settings_t;

static int cpus_read(const char *text, void *member_out, dx_error_t *error)
{
    return dxi_bench_cpus_parse(text, member_out, error);
}

#define INTEGER(text, member, lowest, highest, meaning)                                            \
    {                                                                                              \
        .name = (text), .kind = DXI_OPTION_INTEGER, .value_name = "N",                             \
        .offset = offsetof(settings_t, member), .low = (lowest), .high = (highest),                \
        .help = (meaning)                                                                          \
    }
#define TEXT(text, member, value, meaning)                                                         \
    {                                                                                              \
        .name = (text), .kind = DXI_OPTION_TEXT, .value_name = (value),                            \
        .offset = offsetof(settings_t, member), .help = (meaning)                                  \
    }

static const dxi_option_t OPTIONS[] = {
    TEXT("scenario", scenario, "NAME", "1p1c (default), pingpong, 2p1c ... as in dx bench ring"),
    TEXT("variant", variant, "NAME", "batch (default) or event: what a handler gets"),
    TEXT("wait", wait, "NAME", "wait strategy of all threads (default busy-spin)"),
    INTEGER("events", events, 1, (int64_t)DXI_BENCH_EVENTS_MAX, "measured (default 1M)"),
    INTEGER("warmup", warmup, 0, (int64_t)DXI_BENCH_EVENTS_MAX, "sent before (default 100k)"),
    INTEGER("batch", batch, 1, 1 << 26, "events per publication (default 1)"),
    INTEGER("event-bytes", event_bytes, 8, 1 << 20, "a multiple of 8 (default 8)"),
    INTEGER("capacity", capacity, 2, 1 << 26, "a power of two (default 65536)"),
    INTEGER("producers", producers, 1, 56, "oversubscribed: pairs of threads (default 4)"),
    INTEGER("follow", follow, -1, 1 << 20,
            "slots a consumer stays behind a busy producer (0 = default, -1 = none)"),
    {.name = "shared",
     .kind = DXI_OPTION_FLAG,
     .offset = offsetof(settings_t, shared),
     .help = "producers and consumers (or ping and pong) in two processes"},
    {.name = "cpus",
     .kind = DXI_OPTION_CUSTOM,
     .value_name = "LIST",
     .offset = offsetof(settings_t, cpus),
     .parse = cpus_read,
     .help = "thread i runs on the i-th of them (default: not pinned)"},
};

static const dxi_usage_t USAGE = {
    .command = NAME,
    .description =
        "Runs one scenario once and prints one line of JSON, for tools/bench_peers.py.\n",
    .options = OPTIONS,
    .option_count = sizeof OPTIONS / sizeof OPTIONS[0],
    .examples = "  " NAME " --scenario 1p1c --events 20M --batch 10 --cpus 0,1\n",
};

static void latency_print(const dx_histogram_t *histogram)
{
    dx_histogram_summary_t s;
    dx_histogram_summarize(histogram, &s);
    printf(",\"p50_ns\":%lld,\"p90_ns\":%lld,\"p99_ns\":%lld,\"p999_ns\":%lld,\"max_ns\":%lld",
           (long long)s.p50, (long long)s.p90, (long long)s.p99, (long long)s.p999,
           (long long)s.max);
    printf(",\"mean_ns\":%.1f,\"samples\":%lld,\"timer_ns\":%.1f", s.mean, (long long)s.count,
           dxi_bench_timer_ns());
}

static void line_print(const settings_t *settings, const dxi_bench_result_t *result,
                       const dx_histogram_t *latency)
{
    printf("{\"peer\":\"disruptorx\",\"variant\":\"%s\",\"scenario\":\"%s\",\"batch\":%lld",
           settings->variant != NULL ? settings->variant : settings->wait, settings->scenario,
           (long long)settings->batch);
    printf(",\"event_bytes\":%lld,\"producers\":%u,\"consumers\":%u,\"events\":%llu",
           (long long)settings->event_bytes, result->producers, result->consumers,
           (unsigned long long)result->events);
    printf(",\"seconds\":%.6f,\"events_per_second\":%.0f", result->seconds,
           (double)result->events / result->seconds);
    if (result->batches != 0) {
        printf(",\"average_batch\":%.2f", (double)result->handled / (double)result->batches);
    }
    if (latency != NULL) {
        latency_print(latency);
    }
    puts(",\"checksum_ok\":true}");
}

/* False when the scenario, the strategy or the variant is none of ours. */
static bool params_make(const settings_t *settings, const dxi_bench_scenario_t *scenario,
                        dxi_bench_params_t *params)
{
    const char *const variant = settings->variant != NULL ? settings->variant : "batch";
    params->per_event = strcmp(variant, "event") == 0;
    params->events = (uint64_t)settings->events;
    params->warmup = (uint64_t)settings->warmup;
    params->batch = (uint32_t)settings->batch;
    params->event_bytes = (uint32_t)settings->event_bytes;
    params->capacity = (uint32_t)settings->capacity;
    params->producers = (uint32_t)settings->producers;
    params->follow_slots = (int32_t)settings->follow;
    params->shared = settings->shared;
    params->cpus = settings->cpus.cpus;
    params->cpu_count = settings->cpus.count;
    return (params->per_event || strcmp(variant, "batch") == 0) &&
           scenario->kind != DXI_BENCH_IDLE && (!settings->shared || scenario->far != 0) &&
           dx_wait_kind_parse(settings->wait, &params->wait, NULL) == DX_OK;
}

static int run(const settings_t *settings)
{
    const dxi_bench_scenario_t *const scenario = dxi_bench_scenario_find(settings->scenario);
    dxi_bench_params_t params = {0};
    if (scenario != NULL) {
        dxi_bench_params_default(scenario, &params);
    }
    if (scenario == NULL || !params_make(settings, scenario, &params)) {
        puts("{\"unsupported\":true}");
        return EXIT_UNSUPPORTED;
    }
    dx_error_t error = {0};
    if (dxi_bench_params_check(scenario, &params, &error) != DX_OK) {
        return dxi_usage_error(&USAGE, &error);
    }
    dx_histogram_t *latency = NULL;
    int result = DX_OK;
    if (scenario->kind == DXI_BENCH_LATENCY) {
        result = dx_histogram_create(&latency, &error);
    }
    dxi_bench_result_t measured;
    if (result == DX_OK) {
        result = dxi_bench_run(scenario, &params, latency, &measured, &error);
    }
    if (result == DX_OK) {
        line_print(settings, &measured, latency);
    } else {
        dxi_complain_error(NAME, &error);
    }
    dx_histogram_destroy(latency);
    return result == DX_OK ? DXI_EXIT_OK : DXI_EXIT_FAILED;
}

int main(int argc, char **argv)
{
    settings_t settings = {.scenario = "1p1c",
                           .wait = "busy-spin",
                           .events = 1000000,
                           .warmup = 100000,
                           .batch = 1,
                           .event_bytes = 8,
                           .capacity = 65536,
                           .producers = 4};
    dxi_operands_t operands;
    const int begun = dxi_arguments_begin(&USAGE, argc, argv, &settings, &operands);
    return begun == DXI_GO_ON ? run(&settings) : begun;
}
