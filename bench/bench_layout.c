/* bench_layout.c - how far apart must two words be that two threads write?
 *
 * QUESTION   A cache line is 64 bytes. Is 64 enough between words of different threads, or must it
 * be 128 (DX_FALSE_SHARING_BYTES in disruptorx/platform.h)?
 *
 * METHOD     Two pinned threads increment a word each, with a plain load and a plain store, so that
 * nothing but the transfer of lines can slow them down; the words are 8, 64, 128 and 256 bytes
 * apart. For 64 both cases are measured: the two lines of one aligned pair of lines (which
 * processors with an adjacent-line prefetcher fetch together), and two neighbours of different
 * pairs. A second workload has one thread write a word and the other read its neighbour while it
 * writes a third: closer to a ring, where the reader's traffic pulls lines. Distances are
 * interleaved over the rounds; medians and quartiles over the rounds; the words are checked at the
 * end.
 *
 * WHAT IT SAYS   Where 64 bytes in one pair is slower than 128, isolation by 64 costs something on
 * this machine. Where they are equal, 128 costs only memory: it stays, because machines differ
 * (Intel fetches pairs, some arm64 cores have lines of 128 bytes).
 *
 * NOT MEASURED   More than two threads, more than one socket, hardware threads of one core, and
 * what the padding costs in cache capacity.
 *
 * Options: --quick (a hundredth of the work, for tests).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "disruptorx/atomic.h"
#include "disruptorx/clock.h"
#include "disruptorx/thread.h"

#define ROUNDS 9
#define INCREMENTS INT64_C(20000000)
#define QUICK_INCREMENTS INT64_C(200000)
#define ARENA_BYTES 1024

typedef struct layout {
    const char *name;
    size_t first_offset; /* from a multiple of 256 */
    size_t second_offset;
} layout_t;

static const layout_t LAYOUTS[] = {
    {"8 bytes: the same line", 0, 8},
    {"64 bytes: the two lines of a pair", 0, 64},
    {"64 bytes: neighbours in two pairs", 64, 128},
    {"128 bytes", 0, 128},
    {"256 bytes", 0, 256},
};
#define LAYOUT_COUNT (sizeof LAYOUTS / sizeof LAYOUTS[0])

typedef enum workload { WRITE_WRITE, WRITE_READ, WORKLOAD_COUNT } workload_t;

static const char *const WORKLOADS[WORKLOAD_COUNT] = {
    "each thread increments its own word",
    "one thread increments; the other reads the neighbour word and increments a third",
};

typedef struct shared {
    DX_ISOLATED dx_atomic32_t ready;
    DX_ISOLATED char arena[ARENA_BYTES] __attribute__((aligned(256)));
    DX_ISOLATED dx_atomic64_t third;
    DX_ISOLATED dx_atomic64_t unused; /* keeps `third` alone */
} shared_t;

static shared_t shared;

typedef struct worker {
    const layout_t *layout;
    workload_t workload;
    bool second;
    int64_t increments;
    int64_t sum; /* of what was read: keeps the loads */
    int64_t elapsed_ns;
} worker_t;

static dx_atomic64_t *word_at(size_t offset)
{
    return (dx_atomic64_t *)(void *)(shared.arena + offset);
}

/* A load and a store. Relaxed: the words are statistics of one writer each, nothing is ordered. */
static void increment(dx_atomic64_t *word, int64_t times)
{
    for (int64_t i = 0; i < times; i++) {
        dx_store_relaxed(word, dx_load_relaxed(word) + 1);
    }
}

static void work(void *context)
{
    worker_t *const w = context;
    dx_atomic64_t *const own =
        word_at(w->second ? w->layout->second_offset : w->layout->first_offset);
    (void)dx_fetch_add32_acq_rel(&shared.ready, 1);
    while (dx_load32_acquire(&shared.ready) < 2) {
        (void)sched_yield();
    }
    const int64_t from_ns = dx_clock_ns();
    if (w->second && w->workload == WRITE_READ) {
        for (int64_t i = 0; i < w->increments; i++) {
            w->sum += dx_load_relaxed(own);
            dx_store_relaxed(&shared.third, dx_load_relaxed(&shared.third) + 1);
        }
    } else {
        increment(own, w->increments);
    }
    w->elapsed_ns = dx_clock_ns() - from_ns;
}

static void die(const char *what, const dx_error_t *error)
{
    fprintf(stderr, "bench_layout: %s: %s\n", what, error->message);
    exit(1);
}

/* Nanoseconds per operation of the slower thread. */
static double measure(const layout_t *layout, workload_t workload, int64_t increments,
                      const dx_cpu_set_t *cpus)
{
    memset(&shared, 0, sizeof shared);
    worker_t workers[2] = {{layout, workload, false, increments, 0, 0},
                           {layout, workload, true, increments, 0, 0}};
    dx_thread_t *threads[2] = {NULL, NULL};
    dx_error_t error = {0};
    for (int i = 0; i < 2; i++) {
        const dx_thread_options_t options = {.name = "dx-layout", .cpus = cpus[i]};
        if (dx_thread_start(&options, work, &workers[i], &threads[i], &error) != DX_OK) {
            die("no thread", &error);
        }
    }
    for (int i = 0; i < 2; i++) {
        (void)dx_thread_join(threads[i]);
    }
    const dx_atomic64_t *const second =
        workload == WRITE_READ ? &shared.third : word_at(layout->second_offset);
    if (dx_load_relaxed(word_at(layout->first_offset)) != increments ||
        dx_load_relaxed(second) != increments) {
        fprintf(stderr, "bench_layout: the words do not hold the number of increments\n");
        exit(1);
    }
    const int64_t slower = workers[0].elapsed_ns > workers[1].elapsed_ns ? workers[0].elapsed_ns
                                                                         : workers[1].elapsed_ns;
    return (double)slower / (double)increments;
}

static int compare(const void *a, const void *b)
{
    const double left = *(const double *)a;
    const double right = *(const double *)b;
    return (left > right) - (left < right);
}

static void workload_run(workload_t workload, int64_t increments, const dx_cpu_set_t *cpus)
{
    double ns[LAYOUT_COUNT][ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < LAYOUT_COUNT; i++) {
            ns[i][round] = measure(&LAYOUTS[i], workload, increments, cpus);
        }
    }
    printf("\n%s\n%-36s %8s %8s %8s\n", WORKLOADS[workload], "ns per operation", "median", "q1",
           "q3");
    for (size_t i = 0; i < LAYOUT_COUNT; i++) {
        qsort(ns[i], ROUNDS, sizeof ns[i][0], compare);
        printf("%-36s %8.2f %8.2f %8.2f\n", LAYOUTS[i].name, ns[i][ROUNDS / 2], ns[i][ROUNDS / 4],
               ns[i][ROUNDS * 3 / 4]);
    }
}

int main(int argc, char **argv)
{
    const bool quick = argc == 2 && strcmp(argv[1], "--quick") == 0;
    if (argc > 1 && !quick) {
        fprintf(stderr, "usage: bench_layout [--quick]\n");
        return 2;
    }
    dx_cpu_set_t allowed;
    dx_error_t error = {0};
    if (dx_cpu_allowed(&allowed, &error) != DX_OK) {
        die("the allowed CPUs", &error);
    }
    if (dx_cpu_set_count(&allowed) < 2) {
        printf("needs 2 cores, has 1: not measured\n");
        return 0;
    }
    dx_cpu_set_t cpus[2] = {0};
    const int32_t first = dx_cpu_set_next(&allowed, 0);
    const int32_t second = dx_cpu_set_next(&allowed, (uint32_t)first + 1);
    dx_cpu_set_add(&cpus[0], (uint32_t)first);
    dx_cpu_set_add(&cpus[1], (uint32_t)second);
    const int64_t increments = quick ? QUICK_INCREMENTS : INCREMENTS;
    printf("bench_layout: threads on CPUs %d and %d, %" PRId64 " operations a run, %d rounds\n",
           first, second, increments, ROUNDS);
    for (int workload = 0; workload < WORKLOAD_COUNT; workload++) {
        workload_run((workload_t)workload, increments, cpus);
    }
    return 0;
}
