/* peer.c - the cold half of peer.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "peer.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void usage_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(PEER_EXIT_USAGE);
}

static uint64_t number_parse(const char *name, const char *text, uint64_t min, uint64_t max)
{
    char *end = NULL;
    const unsigned long long value = strtoull(text, &end, 10);
    if (end == text || *end != '\0' || value < min || value > max) {
        usage_fail("%s is %s, must be from %llu to %llu", name, text, (unsigned long long)min,
                   (unsigned long long)max);
    }
    return value;
}

static void cpus_parse(const char *text, peer_options_t *options)
{
    options->cpu_count = 0;
    for (const char *at = text; *at != '\0';) {
        char *end = NULL;
        const long cpu = strtol(at, &end, 10);
        if (end == at || cpu < 0 || cpu >= CPU_SETSIZE || options->cpu_count == PEER_CPUS_MAX) {
            usage_fail("--cpus is %s, must be a list such as 0,1", text);
        }
        options->cpus[options->cpu_count++] = (int)cpu;
        at = *end == ',' ? end + 1 : end;
    }
}

static peer_wait_t wait_parse(const char *text)
{
    static const struct {
        const char *name;
        peer_wait_t wait;
    } names[] = {
        {"busy-spin", PEER_WAIT_BUSY_SPIN},
        {"busy-spin-hint", PEER_WAIT_BUSY_SPIN_HINT},
        {"yielding", PEER_WAIT_YIELDING},
        {"blocking", PEER_WAIT_BLOCKING},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i].name) == 0) {
            return names[i].wait;
        }
    }
    usage_fail("--wait is %s, must be busy-spin, busy-spin-hint, yielding or blocking", text);
    return PEER_WAIT_BUSY_SPIN;
}

void peer_options_parse(int argc, char **argv, peer_options_t *options_out)
{
    peer_options_t *const o = options_out;
    *o = (peer_options_t){.scenario = "1p1c",
                          .wait_name = "busy-spin",
                          .events = 1000000,
                          .warmup = 100000,
                          .batch = 1,
                          .event_bytes = 8,
                          .capacity = 65536};
    for (int i = 1; i < argc; i += 2) {
        const char *const name = argv[i];
        if (i + 1 == argc) {
            usage_fail("%s needs a value", name);
        }
        const char *const value = argv[i + 1];
        if (strcmp(name, "--scenario") == 0) {
            o->scenario = value;
        } else if (strcmp(name, "--variant") == 0) {
            o->variant = value;
        } else if (strcmp(name, "--wait") == 0) {
            o->wait_name = value;
        } else if (strcmp(name, "--cpus") == 0) {
            cpus_parse(value, o);
        } else if (strcmp(name, "--events") == 0) {
            o->events = number_parse(name, value, 1, UINT64_C(1) << 40);
        } else if (strcmp(name, "--warmup") == 0) {
            o->warmup = number_parse(name, value, 0, UINT64_C(1) << 40);
        } else if (strcmp(name, "--batch") == 0) {
            o->batch = (uint32_t)number_parse(name, value, 1, PEER_BATCH_MAX);
        } else if (strcmp(name, "--event-bytes") == 0) {
            o->event_bytes = (uint32_t)number_parse(name, value, 8, 65536);
        } else if (strcmp(name, "--capacity") == 0) {
            o->capacity = (uint32_t)number_parse(name, value, 2, 1u << 24);
        } else if (strcmp(name, "--producers") == 0) {
            o->producers = (uint32_t)number_parse(name, value, 1, PEER_THREADS_MAX / 2);
        } else {
            usage_fail("%s is not an option of this program", name);
        }
    }
    o->wait = wait_parse(o->wait_name);
    o->pinned = o->cpu_count > 0 && !peer_scenario_is(o, "oversubscribed");
    if (o->event_bytes != 8 || (o->capacity & (o->capacity - 1)) != 0) {
        peer_unsupported();
    }
}

bool peer_scenario_is(const peer_options_t *options, const char *name)
{
    return strcmp(options->scenario, name) == 0;
}

void peer_unsupported(void)
{
    puts("{\"unsupported\":true}");
    exit(PEER_EXIT_UNSUPPORTED);
}

void peer_fail(const char *sentence)
{
    fprintf(stderr, "%s\n", sentence);
    exit(PEER_EXIT_WRONG);
}

void *peer_allocate(uint64_t bytes)
{
    const uint64_t rounded = (bytes + PEER_FALSE_SHARING_BYTES - 1) / PEER_FALSE_SHARING_BYTES *
                             PEER_FALSE_SHARING_BYTES;
    void *const memory = aligned_alloc(PEER_FALSE_SHARING_BYTES, rounded);
    if (memory == NULL) {
        peer_fail("out of memory");
    }
    return memset(memory, 0, rounded);
}

uint64_t peer_expected_sum(uint64_t n)
{
    return n % 2 == 0 ? n / 2 * (n + 1) : (n + 1) / 2 * n;
}

void peer_histogram_clear(peer_histogram_t *histogram)
{
    memset(histogram, 0, sizeof *histogram);
}

/* Threads ------------------------------------------------------------------------------------- */

typedef struct run {
    const peer_options_t *options;
    void (*body)(void *context, uint32_t thread);
    void *context;
    uint32_t count;
    _Atomic uint32_t ready;
} run_t;

typedef struct runner {
    run_t *run;
    uint32_t index;
    uint64_t started_ns;
    uint64_t ended_ns;
    pthread_t thread;
} runner_t;

static void pin(const peer_options_t *options, uint32_t index)
{
    if (!options->pinned) {
        return;
    }
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(options->cpus[index % options->cpu_count], &set);
    if (pthread_setaffinity_np(pthread_self(), sizeof set, &set) != 0) {
        peer_fail("a thread cannot be pinned to its CPU: see --cpus");
    }
}

static void *runner_main(void *argument)
{
    runner_t *const runner = argument;
    run_t *const run = runner->run;
    pin(run->options, runner->index);
    atomic_fetch_add(&run->ready, 1);
    while (atomic_load(&run->ready) < run->count) {
        sched_yield();
    }
    runner->started_ns = peer_now_ns();
    run->body(run->context, runner->index);
    runner->ended_ns = peer_now_ns();
    return NULL;
}

double peer_run_threads(const peer_options_t *options, uint32_t count,
                        void (*body)(void *context, uint32_t thread), void *context)
{
    run_t run = {.options = options, .body = body, .context = context, .count = count};
    runner_t runners[PEER_THREADS_MAX] = {0};
    if (count > PEER_THREADS_MAX) {
        peer_fail("too many threads");
    }
    for (uint32_t i = 0; i < count; i++) {
        runners[i] = (runner_t){.run = &run, .index = i};
        if (pthread_create(&runners[i].thread, NULL, runner_main, &runners[i]) != 0) {
            peer_fail("a thread cannot be started");
        }
    }
    uint64_t started_ns = UINT64_MAX;
    uint64_t ended_ns = 0;
    for (uint32_t i = 0; i < count; i++) {
        pthread_join(runners[i].thread, NULL);
        started_ns = runners[i].started_ns < started_ns ? runners[i].started_ns : started_ns;
        ended_ns = runners[i].ended_ns > ended_ns ? runners[i].ended_ns : ended_ns;
    }
    return (double)(ended_ns - started_ns) / 1e9;
}

/* The line of JSON ---------------------------------------------------------------------------- */

/* The largest value of a bucket: a percentile is never reported smaller than it was. */
static uint64_t bucket_value(uint32_t bucket)
{
    if (bucket < 512) {
        return bucket;
    }
    const uint32_t shift = (bucket - 512) / 256 + 1;
    const uint64_t mantissa = (bucket - 512) % 256 + 256;
    return ((mantissa + 1) << shift) - 1;
}

static uint64_t percentile(const peer_histogram_t *histogram, double fraction)
{
    const uint64_t rank = (uint64_t)((double)histogram->samples * fraction);
    uint64_t seen = 0;
    for (uint32_t i = 0; i < PEER_HISTOGRAM_BUCKETS; i++) {
        seen += histogram->counts[i];
        if (seen > rank) {
            const uint64_t value = bucket_value(i);
            return value < histogram->max_ns ? value : histogram->max_ns;
        }
    }
    return histogram->max_ns;
}

/* What one reading of the clock costs: every latency sample contains about one. */
static double timer_cost_ns(void)
{
    enum { READINGS = 200000 };
    const uint64_t from = peer_now_ns();
    uint64_t last = from;
    for (int i = 0; i < READINGS; i++) {
        last = peer_now_ns();
    }
    return (double)(last - from) / READINGS;
}

static void latency_print(const peer_histogram_t *histogram)
{
    printf(",\"p50_ns\":%llu,\"p90_ns\":%llu,\"p99_ns\":%llu,\"p999_ns\":%llu,\"max_ns\":%llu",
           (unsigned long long)percentile(histogram, 0.5),
           (unsigned long long)percentile(histogram, 0.9),
           (unsigned long long)percentile(histogram, 0.99),
           (unsigned long long)percentile(histogram, 0.999), (unsigned long long)histogram->max_ns);
    printf(",\"mean_ns\":%.1f,\"samples\":%llu,\"timer_ns\":%.1f",
           (double)histogram->sum_ns / (double)histogram->samples,
           (unsigned long long)histogram->samples, timer_cost_ns());
}

int peer_report(const peer_options_t *options, const char *peer, const peer_result_t *result)
{
    const char *const variant = options->variant != NULL ? options->variant : options->wait_name;
    printf("{\"peer\":\"%s\",\"variant\":\"%s\",\"scenario\":\"%s\",\"batch\":%u", peer, variant,
           options->scenario, options->batch);
    printf(",\"event_bytes\":%u,\"producers\":%u,\"consumers\":%u,\"events\":%llu",
           options->event_bytes, result->producers, result->consumers,
           (unsigned long long)result->events);
    printf(",\"seconds\":%.6f,\"events_per_second\":%.0f", result->seconds,
           (double)result->events / result->seconds);
    if (result->batches != 0) {
        printf(",\"average_batch\":%.2f", (double)result->handled / (double)result->batches);
    }
    if (result->latency != NULL) {
        latency_print(result->latency);
    }
    printf(",\"checksum_ok\":%s}\n", result->checksum_ok ? "true" : "false");
    return result->checksum_ok ? PEER_EXIT_OK : PEER_EXIT_WRONG;
}
