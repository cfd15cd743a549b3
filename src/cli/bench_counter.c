/* cli/bench_counter.c - `dx bench counter`: what one shared counter costs.
 *
 * QUESTION   The experiment of the LMAX paper ("Disruptor: High performance alternative to bounded
 * queues", 2011, section 2.1): how much dearer than a plain increment is one that other threads may
 * see, that several threads may do, that takes a lock; and what does a second thread do to it?
 *
 * METHOD     A 64-bit counter alone on its lines is incremented many times in a tight loop that the
 * compiler may not shorten: each increment loads and stores memory. With two threads each does
 * half. Kinds are interleaved over the rounds; nanoseconds are the time of the whole divided by all
 * increments; medians and quartiles over the rounds; the counter is checked at the end of each run.
 * Slow kinds do a part of the increments (`share` in KINDS, and printed): their time per increment
 * does not depend on it.
 *
 * NOT MEASURED   More than two threads, two threads that store without an atomic operation
 * (increments would be lost), other work between increments (which would make every kind look
 * better).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <pthread.h>
#include <stdio.h>

#include "base/fail.h"
#include "base/format.h"
#include "cli/bench.h"
#include "cli/bench_machine.h"
#include "cli/bench_stats.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/table.h"
#include "disruptorx/atomic.h"
#include "disruptorx/clock.h"
#include "disruptorx/thread.h"

#define COMMAND "dx bench counter"
#define INCREMENTS_DEFAULT INT64_C(500000000)
#define INCREMENTS_QUICK INT64_C(5000000)
#define ROUNDS_DEFAULT 3
#define THREADS_MAX 2

typedef struct counter {
    DX_ISOLATED dx_atomic64_t word;
    DX_ISOLATED pthread_mutex_t mutex;
    DX_ISOLATED dx_atomic32_t ready;
} counter_t;

static counter_t counter;

static void count_plain(int64_t times)
{
    for (int64_t i = 0; i < times; i++) {
        counter.word.word++;
        /* The compiler must store now and load again: nothing else costs here. */
        __asm__ __volatile__("" ::: "memory");
    }
}

static void count_release(int64_t times)
{
    for (int64_t i = 0; i < times; i++) {
        /* RELEASE: what a single-writer sequence is published with; it pairs with the acquire of
         * readers, of which this experiment has none. A plain store on x86. */
        dx_store_release(&counter.word, dx_load_relaxed(&counter.word) + 1);
    }
}

static void count_sequential(int64_t times)
{
    for (int64_t i = 0; i < times; i++) {
        /* What Java's volatile and C's default atomic store do: xchg on x86, a full fence. */
        __atomic_store_n(&counter.word.word, dx_load_relaxed(&counter.word) + 1, __ATOMIC_SEQ_CST);
    }
}

static void count_fetch_add(int64_t times)
{
    for (int64_t i = 0; i < times; i++) {
        (void)dx_fetch_add_relaxed(&counter.word, 1);
    }
}

static void count_cas(int64_t times)
{
    for (int64_t i = 0; i < times; i++) {
        int64_t seen = dx_load_relaxed(&counter.word);
        while (!dx_compare_exchange_acq_rel(&counter.word, &seen, seen + 1)) {
        }
    }
}

static void count_lock(int64_t times)
{
    for (int64_t i = 0; i < times; i++) {
        (void)pthread_mutex_lock(&counter.mutex);
        counter.word.word++;
        (void)pthread_mutex_unlock(&counter.mutex);
    }
}

typedef struct kind {
    const char *name;
    uint32_t threads;
    int64_t share; /* does one in so many of the increments */
    void (*count)(int64_t times);
} kind_t;

static const kind_t KINDS[] = {
    {"plain", 1, 1, count_plain},
    {"store, release", 1, 1, count_release},
    {"store, sequentially consistent", 1, 5, count_sequential},
    {"fetch-and-add", 1, 5, count_fetch_add},
    {"compare-and-swap", 1, 5, count_cas},
    {"lock", 1, 10, count_lock},
    {"fetch-and-add", 2, 10, count_fetch_add},
    {"compare-and-swap", 2, 20, count_cas},
    {"lock", 2, 50, count_lock},
};
#define KIND_COUNT (sizeof KINDS / sizeof KINDS[0])

/* Runs ------------------------------------------------------------------------------------------*/

typedef struct settings {
    int64_t increments; /* 0: the default */
    int64_t rounds;
    dxi_bench_cpus_t cpus;
    bool quick;
} settings_t;

typedef struct measurement {
    int64_t increments; /* of a run; 0: not measured */
    double ns[DXI_BENCH_ROUNDS_MAX];
} measurement_t;

typedef struct worker {
    const kind_t *kind;
    int64_t times;
    int64_t started_ns;
    int64_t ended_ns;
    dx_thread_t *thread;
} worker_t;

static void work(void *context)
{
    worker_t *const w = context;
    (void)dx_fetch_add32_acq_rel(&counter.ready, 1);
    while (dx_load32_acquire(&counter.ready) < (int32_t)w->kind->threads) {
        dx_cpu_relax();
    }
    w->started_ns = dx_clock_ns();
    w->kind->count(w->times);
    w->ended_ns = dx_clock_ns();
}

/* Nanoseconds per increment, or a negative code. */
static int kind_run(const kind_t *kind, int64_t increments, const dxi_bench_cpus_t *cpus,
                    double *ns_out, dx_error_t *error)
{
    worker_t workers[THREADS_MAX] = {0};
    dx_store_relaxed(&counter.word, 0);
    dx_store32_relaxed(&counter.ready, 0);
    const int64_t times = increments / kind->threads;
    const int64_t all = times * kind->threads;
    int result = DX_OK;
    for (uint32_t i = 0; i < kind->threads && result == DX_OK; i++) {
        dx_thread_options_t options = {.name = "dx-counter"};
        dx_cpu_set_add(&options.cpus, cpus->cpus[i]);
        workers[i] = (worker_t){.kind = kind, .times = times};
        result = dx_thread_start(&options, work, &workers[i], &workers[i].thread, error);
    }
    if (result != DX_OK) {
        dx_store32_release(&counter.ready, THREADS_MAX); /* lets those that run end */
    }
    int64_t from_ns = INT64_MAX;
    int64_t to_ns = 0;
    for (uint32_t i = 0; i < kind->threads; i++) {
        (void)dx_thread_join(workers[i].thread);
        from_ns = workers[i].started_ns < from_ns ? workers[i].started_ns : from_ns;
        to_ns = workers[i].ended_ns > to_ns ? workers[i].ended_ns : to_ns;
    }
    const int64_t counted = dx_load_relaxed(&counter.word);
    if (result == DX_OK && counted != all) {
        result = dxi_fail(error, DX_ECORRUPT, "%s: the counter is %lld, not %lld", kind->name,
                          (long long)counted, (long long)all);
    }
    *ns_out = (double)(to_ns - from_ns) / (double)all;
    return result;
}

static int rounds_run(const settings_t *settings, measurement_t *measurements, dx_error_t *error)
{
    for (int64_t round = 0; round < settings->rounds; round++) {
        for (size_t i = 0; i < KIND_COUNT; i++) {
            if (KINDS[i].threads > settings->cpus.count) {
                continue;
            }
            const int64_t part = settings->increments / KINDS[i].share;
            measurements[i].increments = part < THREADS_MAX ? THREADS_MAX : part;
            const int result = kind_run(&KINDS[i], measurements[i].increments, &settings->cpus,
                                        &measurements[i].ns[round], error);
            if (result != DX_OK) {
                return result;
            }
        }
    }
    return DX_OK;
}

/* Reports -------------------------------------------------------------------------------------- */

static int table_print(const settings_t *settings, const measurement_t *measurements)
{
    static const dxi_column_t columns[] = {
        {"increment", DXI_ALIGN_LEFT, 0},   {"threads", DXI_ALIGN_RIGHT, 0},
        {"ns/op", DXI_ALIGN_RIGHT, 0},      {"q1", DXI_ALIGN_RIGHT, 0},
        {"q3", DXI_ALIGN_RIGHT, 0},         {"x plain", DXI_ALIGN_RIGHT, 0},
        {"increments", DXI_ALIGN_RIGHT, 1}, {"of 500 M", DXI_ALIGN_RIGHT, 0},
    };
    dxi_table_t *table = NULL;
    dx_error_t error = {0};
    if (dxi_table_create(columns, sizeof columns / sizeof columns[0], &table, &error) != DX_OK) {
        dxi_complain_error(COMMAND, &error);
        return DXI_EXIT_FAILED;
    }
    const uint32_t rounds = (uint32_t)settings->rounds;
    const double plain = dxi_bench_quartiles(measurements[0].ns, rounds).median;
    for (size_t i = 0; i < KIND_COUNT; i++) {
        if (measurements[i].increments == 0) {
            continue;
        }
        const dxi_bench_quartiles_t q = dxi_bench_quartiles(measurements[i].ns, rounds);
        dxi_table_cell(table, "%s", KINDS[i].name);
        dxi_table_cell(table, "%u", KINDS[i].threads);
        dxi_table_cell(table, "%.2f", q.median);
        dxi_table_cell(table, "%.2f", q.q1);
        dxi_table_cell(table, "%.2f", q.q3);
        dxi_table_cell(table, "%.1f", q.median / plain);
        dxi_table_cell(table, "%s", dxi_format_count(&(dxi_text_t){0}, measurements[i].increments));
        dxi_table_cell(table, "%.2f s", q.median * (double)INCREMENTS_DEFAULT / 1e9);
    }
    putchar('\n');
    dxi_table_print(table, stdout, 0, dxi_output_width(stdout));
    dxi_table_destroy(table);
    if (settings->cpus.count < THREADS_MAX) {
        puts("\nTwo threads: needs 2 cores, has 1: not measured.");
    }
    return DXI_EXIT_OK;
}

static int json_print(const settings_t *settings, const dxi_bench_machine_t *machine,
                      const measurement_t *measurements)
{
    const uint32_t rounds = (uint32_t)settings->rounds;
    const double plain = dxi_bench_quartiles(measurements[0].ns, rounds).median;
    dxi_json_t json;
    dxi_json_begin(&json, stdout);
    dxi_json_object_begin(&json, NULL);
    dxi_json_text(&json, "bench", "counter");
    dxi_json_text(&json, "version", DX_VERSION_STRING);
    dxi_bench_machine_json(machine, &json);
    dxi_json_array_begin(&json, "rows");
    for (size_t i = 0; i < KIND_COUNT; i++) {
        const dxi_bench_quartiles_t q = dxi_bench_quartiles(measurements[i].ns, rounds);
        dxi_json_object_begin(&json, NULL);
        dxi_json_text(&json, "increment", KINDS[i].name);
        dxi_json_integer(&json, "threads", KINDS[i].threads);
        if (measurements[i].increments == 0) {
            dxi_json_text(&json, "not_measured", "needs 2 cores, has 1");
        } else {
            dxi_json_integer(&json, "increments", measurements[i].increments);
            dxi_json_integer(&json, "rounds", rounds);
            dxi_bench_quartiles_json(&json, "ns_per_increment", &q);
            dxi_json_real(&json, "times_plain", q.median / plain);
        }
        dxi_json_object_end(&json);
    }
    dxi_json_array_end(&json);
    dxi_json_object_end(&json);
    return dxi_json_finish(&json) == DX_OK ? DXI_EXIT_OK : DXI_EXIT_FAILED;
}

/* The command ---------------------------------------------------------------------------------- */

static int cpus_parse(const char *text, void *member_out, dx_error_t *error)
{
    return dxi_bench_cpus_parse(text, member_out, error);
}

#define MEMBER(member) .offset = offsetof(settings_t, member)
static const dxi_option_t OPTIONS[] = {
    {.name = "increments",
     .kind = DXI_OPTION_INTEGER,
     .value_name = "N",
     MEMBER(increments),
     .low = 1000,
     .high = INT64_C(1000000000000),
     .help = "of the fast kinds; slow ones do a fixed part of it (default 500M, quick 5M)"},
    {.name = "rounds",
     .kind = DXI_OPTION_INTEGER,
     .value_name = "N",
     MEMBER(rounds),
     .low = 1,
     .high = DXI_BENCH_ROUNDS_MAX,
     .help = "runs of each kind (default 3)"},
    {.name = "cpus",
     .kind = DXI_OPTION_CUSTOM,
     .value_name = "LIST",
     MEMBER(cpus),
     .parse = cpus_parse,
     .help = "the first two are used (default: two cores)"},
    {.name = "quick", .kind = DXI_OPTION_FLAG, MEMBER(quick), .help = "a hundredth of the work"},
};

static const dxi_usage_t USAGE = {
    .command = COMMAND,
    .description =
        "The experiment of the LMAX paper: 500 million increments of one counter.\n"
        "\n"
        "`ns/op` is the time of the whole run divided by all increments of all threads\n"
        "(median over the rounds, with quartiles); `x plain` is the ratio to the plain\n"
        "increment of one thread; `of 500 M` is how long 500 million would take. The\n"
        "kinds that are slow did only a part of them: `increments` says how many.\n"
        "\n"
        "A release store is what publishes a sequence of the ring; compare-and-swap and\n"
        "lock are what it avoids. Not measured: more than two threads, and work between\n"
        "the increments.\n",
    .options = OPTIONS,
    .option_count = sizeof OPTIONS / sizeof OPTIONS[0],
    .examples = "  dx bench counter --quick\n  dx bench counter --increments 100M -o json\n",
};

static int run(const settings_t *settings)
{
    static measurement_t measurements[KIND_COUNT];
    dxi_bench_machine_t machine;
    dx_error_t error = {0};
    dxi_bench_machine_read(&settings->cpus, &machine);
    (void)pthread_mutex_init(&counter.mutex, NULL);
    const int result = rounds_run(settings, measurements, &error);
    (void)pthread_mutex_destroy(&counter.mutex);
    if (result != DX_OK) {
        dxi_complain_error(COMMAND, &error);
        return DXI_EXIT_FAILED;
    }
    if (dxi_output_is_json()) {
        return json_print(settings, &machine, measurements);
    }
    dxi_bench_machine_print(&machine);
    printf(
        "method    %lld rounds, kinds interleaved, threads pinned; medians and quartiles; every\n"
        "          count verified\n",
        (long long)settings->rounds);
    return table_print(settings, measurements);
}

int dxi_bench_counter_command(int argc, char **argv)
{
    settings_t settings = {.rounds = ROUNDS_DEFAULT};
    dxi_operands_t operands;
    const int begun = dxi_arguments_begin(&USAGE, argc, argv, &settings, &operands);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    if (settings.increments == 0) {
        settings.increments = settings.quick ? INCREMENTS_QUICK : INCREMENTS_DEFAULT;
    }
    dx_error_t error = {0};
    if (settings.cpus.count == 0 && dxi_bench_cpus_default(&settings.cpus, &error) != DX_OK) {
        dxi_complain_error(COMMAND, &error);
        return DXI_EXIT_FAILED;
    }
    return run(&settings);
}
