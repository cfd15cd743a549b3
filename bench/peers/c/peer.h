/* peer.h - what every C and C++ peer program shares: arguments, pinned threads, clock, histogram
 * and the one line of JSON.
 *
 * The protocol is described in bench/peers/README.md. The Java and Rust peers implement the same
 * protocol, the same clock and the same histogram in their own languages.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef PEER_H
#define PEER_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PEER_INLINE static inline __attribute__((always_inline))
#define PEER_BATCH_MAX 1024
#define PEER_CPUS_MAX 256
#define PEER_THREADS_MAX 64

/* Two lines of 64 bytes: neighbouring lines are fetched in pairs. */
#define PEER_FALSE_SHARING_BYTES 128

enum peer_exit {
    PEER_EXIT_OK = 0,
    PEER_EXIT_WRONG = 1,
    PEER_EXIT_USAGE = 2,
    PEER_EXIT_UNSUPPORTED = 3
};

/* What a thread does when the queue is empty or full. A queue that blocks ignores it. */
typedef enum peer_wait {
    PEER_WAIT_BUSY_SPIN,
    PEER_WAIT_BUSY_SPIN_HINT,
    PEER_WAIT_YIELDING,
    PEER_WAIT_BLOCKING
} peer_wait_t;

typedef struct peer_options {
    const char *scenario;
    const char *variant; /* NULL: the wait strategy names the variant */
    const char *wait_name;
    peer_wait_t wait;
    uint64_t events;
    uint64_t warmup;
    uint32_t batch;
    uint32_t event_bytes;
    uint32_t capacity;
    uint32_t producers;
    uint32_t cpu_count;
    int cpus[PEER_CPUS_MAX];
    bool pinned; /* false for `oversubscribed` */
} peer_options_t;

/* Nanoseconds, log-linear: exact below 512, then 256 buckets for each power of two (0.4 %). */
#define PEER_HISTOGRAM_BUCKETS (512 + 55 * 256)
typedef struct peer_histogram {
    uint64_t samples;
    uint64_t sum_ns;
    uint64_t max_ns;
    uint64_t counts[PEER_HISTOGRAM_BUCKETS];
} peer_histogram_t;

typedef struct peer_result {
    uint64_t events;
    uint64_t handled; /* by all consumers together */
    uint64_t batches; /* polls of a consumer that returned something; 0 when it does not apply */
    uint32_t producers;
    uint32_t consumers;
    double seconds;
    bool checksum_ok;
    const peer_histogram_t *latency; /* NULL for a throughput scenario */
} peer_result_t;

/* Reads the arguments; prints a sentence and exits with PEER_EXIT_USAGE when one is wrong. */
void peer_options_parse(int argc, char **argv, peer_options_t *options_out);

/* Whether the scenario is `name`. */
bool peer_scenario_is(const peer_options_t *options, const char *name);

/* Prints {"unsupported":true} and exits with PEER_EXIT_UNSUPPORTED. */
void peer_unsupported(void) __attribute__((noreturn));

/* Prints a sentence and exits with PEER_EXIT_WRONG. */
void peer_fail(const char *sentence) __attribute__((noreturn));

/* Zeroed memory on a false-sharing boundary; ends the program when there is none. */
void *peer_allocate(uint64_t bytes);

/* Runs body(context, 0 .. count - 1), each on its own thread, thread i on the i-th listed CPU.
 * The threads start together. Returns the seconds from the first start to the last end. */
double peer_run_threads(const peer_options_t *options, uint32_t count,
                        void (*body)(void *context, uint32_t thread), void *context);

/* Prints the line of JSON and returns the exit status of the program. */
int peer_report(const peer_options_t *options, const char *peer, const peer_result_t *result);

/* The sum of 1 .. n modulo 2^64. */
uint64_t peer_expected_sum(uint64_t n);

PEER_INLINE uint64_t peer_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

PEER_INLINE void peer_cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("isb" ::: "memory");
#endif
}

/* One turn of waiting. `spins` starts at 0 for each wait. */
PEER_INLINE void peer_wait(peer_wait_t wait, uint32_t *spins)
{
    if (wait == PEER_WAIT_BUSY_SPIN_HINT) {
        peer_cpu_relax();
    } else if (wait == PEER_WAIT_YIELDING && ++*spins > 100) {
        sched_yield();
    }
}

PEER_INLINE void peer_pace_until(uint64_t deadline_ns)
{
    while (peer_now_ns() < deadline_ns) {
        peer_cpu_relax();
    }
}

PEER_INLINE uint32_t peer_histogram_bucket(uint64_t ns)
{
    if (ns < 512) {
        return (uint32_t)ns;
    }
    const uint32_t shift = 55 - (uint32_t)__builtin_clzll(ns); /* ns >> shift is in [256, 512) */
    return 512 + (shift - 1) * 256 + (uint32_t)((ns >> shift) - 256);
}

PEER_INLINE void peer_histogram_record(peer_histogram_t *histogram, uint64_t ns)
{
    histogram->samples++;
    histogram->sum_ns += ns;
    histogram->max_ns = ns > histogram->max_ns ? ns : histogram->max_ns;
    histogram->counts[peer_histogram_bucket(ns)]++;
}

void peer_histogram_clear(peer_histogram_t *histogram);

#ifdef __cplusplus
}
#endif
#endif
