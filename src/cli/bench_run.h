/* cli/bench_run.h - one run of a scenario, shared by the files that implement scenarios.
 *
 *     bench_scenario.c   the table, phases, threads, verification
 *     bench_loops.c      the hot loops, one instance per event size
 *     bench_graph.c      scenarios whose consumers are handlers of a disruptor
 *     bench_rings.c      scenarios whose consumers are loops over rings
 *     bench_latency.c    scenarios that time single events, and the idle one
 *
 * WHO TOUCHES WHAT. A tally belongs to its consumer while a phase runs and to the main thread
 * between phases: the producers' publications order the one hand-over, `handled` (release, acquire)
 * the other.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_BENCH_RUN_H
#define DXI_CLI_BENCH_RUN_H

#include "cli/bench_scenario.h"
#include "disruptorx/clock.h"
#include "disruptorx/disruptor.h"

#define DXI_BENCH_RINGS_MAX 3u
#define DXI_BENCH_KEYS 64u /* the keyed pool: a bit for each in dxi_bench_tally_t.keys */

/* What one consumer found. */
typedef struct dxi_bench_tally {
    DX_ISOLATED uint64_t sum;
    uint64_t events;
    uint64_t batches;
    uint64_t keys;
    int64_t end_sequence; /* from here on the end of a batch may be the end of the phase */
    int64_t end_ns;
    dx_histogram_t *latency; /* NULL: not this consumer */
    dx_atomic64_t handled;   /* `events`, for the thread that waits */
    dxi_bench_run_t *run;
} dxi_bench_tally_t;

struct dxi_bench_run {
    const dxi_bench_scenario_t *scenario;
    const dxi_bench_params_t *params;
    uint32_t producer_count;
    uint32_t consumer_count;
    bool pinned;
    bool measured;      /* false: the warm-up */
    uint64_t events;    /* of this phase */
    uint64_t published; /* in earlier phases, by all producers together */
    uint64_t stamp_sum; /* what the producer of a stamped scenario wrote; valid after its end */
    dx_disruptor_t *disruptor;
    dx_ring_t *rings[DXI_BENCH_RINGS_MAX];
    uint32_t open_producers; /* the first so many handles are open */
    uint32_t open_consumers;
    dx_histogram_t *latency;
    int64_t started_ns;
    int64_t ended_ns;
    double cpu_percent;
    dx_atomic32_t ready;                    /* threads that wait for the start */
    dx_atomic32_t failed;                   /* the first DX_E* of a thread */
    DX_ISOLATED dx_atomic64_t acknowledged; /* wakeup: events the consumer has handled */
    DX_ISOLATED dx_atomic32_t futex_word;
    uint64_t futex_stamp;
    dxi_bench_tally_t tallies[DXI_BENCH_CONSUMERS_MAX];
    dx_producer_t producers[DXI_BENCH_PRODUCERS_MAX];
    dx_consumer_t consumers[DXI_BENCH_RINGS_MAX];
};

/* The loops for one size of event. */
typedef struct dxi_bench_loops {
    uint32_t event_bytes; /* 0: any */
    dx_batch_handler_t on_batch;
    dx_event_handler_t on_event;
    dx_event_handler_t on_keyed_event;
    /* Publishes the values first to first + count - 1, `batch` at a time. */
    int (*produce)(dx_producer_t *producer, uint64_t first, uint64_t count, int64_t batch);
    int (*produce_translated)(dx_producer_t *producer, uint64_t first, uint64_t count,
                              int64_t batch);
    /* Adds up the events next to `last` and releases them. */
    void (*drain)(dxi_bench_tally_t *tally, dx_consumer_t *consumer, int64_t last);
} dxi_bench_loops_t;

const dxi_bench_loops_t *dxi_bench_loops_find(uint32_t event_bytes);

/* The values that a producer publishes in this phase: `*first_out` to `*first_out` + the result -
 * 1.
 */
uint64_t dxi_bench_share(const dxi_bench_run_t *run, uint32_t producer, uint64_t *first_out);

/* Makes ring `index` of a scenario without a disruptor, with its producer handles. */
DX_NODISCARD int dxi_bench_ring_open(dxi_bench_run_t *run, uint32_t index, uint32_t first_producer,
                                     uint32_t producer_count, dx_error_t *error);
DX_NODISCARD int dxi_bench_consumer_open(dxi_bench_run_t *run, uint32_t index, dx_error_t *error);

/* How handlers wait; and how producers and loops over rings do: the same, but for the strategies
 * that report timeouts, which would end a claim. */
dx_wait_options_t dxi_bench_wait(const dxi_bench_run_t *run);
dx_wait_options_t dxi_bench_wait_endless(const dxi_bench_run_t *run);

/* Where thread `index` runs; empty when nothing is pinned. */
dx_cpu_set_t dxi_bench_cpus(const dxi_bench_run_t *run, uint32_t index);

/* Ends a batch: counts, tells the waiting thread, and takes the time when it may be the last. */
DX_INLINE void dxi_bench_batch_end(dxi_bench_tally_t *tally, int64_t sequence)
{
    tally->batches++;
    if (DX_UNLIKELY(sequence >= tally->end_sequence)) {
        tally->end_ns = dx_clock_ns();
    }
    /* RELEASE, pairs with the acquire in dxi_bench_wait_handled(): the waiting thread reads the
     * rest of the tally once all events are handled. A plain store on x86. */
    dx_store_release(&tally->handled, (int64_t)tally->events);
}

/* True when another thread of the run has failed: for loops that would otherwise wait for ever. */
DX_INLINE bool dxi_bench_is_failed(const dxi_bench_run_t *run)
{
    return dx_load32_relaxed(&run->failed) != 0;
}

/* bench_graph.c */
int dxi_bench_graph_open(dxi_bench_run_t *run, dx_error_t *error);
int dxi_bench_graph_thread(dxi_bench_run_t *run, uint32_t index);
int dxi_bench_translator_thread(dxi_bench_run_t *run, uint32_t index);

/* Makes the disruptor of a run with `handlers` in the scenario's shape, starts it, and opens the
 * producers. */
DX_NODISCARD int dxi_bench_graph_build(dxi_bench_run_t *run, dx_handler_t *handlers,
                                       dx_error_t *error);

/* bench_rings.c */
int dxi_bench_poller_open(dxi_bench_run_t *run, dx_error_t *error);
int dxi_bench_poller_thread(dxi_bench_run_t *run, uint32_t index);
int dxi_bench_raw_thread(dxi_bench_run_t *run, uint32_t index);
int dxi_bench_three_rings_open(dxi_bench_run_t *run, dx_error_t *error);
int dxi_bench_three_rings_thread(dxi_bench_run_t *run, uint32_t index);

/* bench_latency.c */
int dxi_bench_pingpong_open(dxi_bench_run_t *run, dx_error_t *error);
int dxi_bench_pingpong_thread(dxi_bench_run_t *run, uint32_t index);
int dxi_bench_stamped_open(dxi_bench_run_t *run, dx_error_t *error);
int dxi_bench_paced_thread(dxi_bench_run_t *run, uint32_t index);
int dxi_bench_wakeup_thread(dxi_bench_run_t *run, uint32_t index);
int dxi_bench_futex_open(dxi_bench_run_t *run, dx_error_t *error);
int dxi_bench_futex_thread(dxi_bench_run_t *run, uint32_t index);
int dxi_bench_idle_thread(dxi_bench_run_t *run, uint32_t index);

#endif
