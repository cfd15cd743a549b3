/* cli/bench_run.h - one run of a scenario, shared by the files that implement scenarios.
 *
 *     bench_scenario.c   the table, phases, threads, verification
 *     bench_loops.c      the hot loops, one instance per event size
 *     bench_graph.c      scenarios whose consumers are handlers of a disruptor
 *     bench_rings.c      scenarios whose consumers are loops over rings
 *     bench_spans.c      events of any size, and what to compare them with
 *     bench_latency.c    scenarios that time single events, and the idle one
 *     bench_process.c    the processes of a run over shared rings
 *     bench_churn.c      scenarios that change the graph under load
 *
 * WHO TOUCHES WHAT. A tally belongs to its consumer while a phase runs and to the main thread
 * between phases: the producers' publications order the one hand-over, `handled` (release, acquire)
 * the other.
 *
 * TWO PROCESSES. With params.shared, fork() makes the far side before anything else: it has a copy
 * of the run, opens the same rings by name, and runs the bodies that the scenario puts there. What
 * both sides need to see is in dxi_bench_common_t; all else belongs to the side that has it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_BENCH_RUN_H
#define DXI_CLI_BENCH_RUN_H

#include <signal.h>

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

/* What the sides of a run share: in memory that fork() does not copy. */
typedef struct dxi_bench_common {
    DX_ISOLATED dx_atomic32_t ready; /* threads that wait for the start, of both sides */
    dx_atomic32_t failed;            /* the first DX_E* of a thread */
    dx_atomic32_t change;            /* the futex of what follows: it changes with each */
    dx_atomic32_t made;              /* 1: the rings are there */
    dx_atomic32_t attached;          /* processes that have attached */
    dx_atomic32_t phase;             /* the phase that has begun, from 1 */
    dx_atomic32_t far_phase;         /* the phase that the far side has ended */
    dx_atomic32_t over;              /* 1: those who only wait may go */
    dx_atomic32_t explained;         /* 1: somebody writes `error` */
    dx_error_t error;                /* of the first failure; valid when all others have ended */
    int64_t far_started_ns;          /* the far side's, valid with far_phase */
    int64_t far_ended_ns;
    double cpu_percent;
    DX_ISOLATED dx_atomic64_t acknowledged; /* wakeup: events the consumer has handled */
    DX_ISOLATED dx_atomic32_t futex_word;
    uint64_t futex_stamp;
    uint64_t stamp_sum; /* what the producer of a stamped scenario wrote; valid after its end */
} dxi_bench_common_t;

#define DXI_BENCH_PROCESSES_MAX (1 + DXI_BENCH_ATTACHED_MAX)

struct dxi_bench_run {
    const dxi_bench_scenario_t *scenario;
    const dxi_bench_params_t *params;
    uint32_t producer_count;
    uint32_t consumer_count;
    bool pinned;
    bool measured;      /* false: the warm-up */
    uint64_t events;    /* of this phase */
    uint64_t published; /* in earlier phases, by all producers together */
    int32_t phase;
    bool far; /* this is the far side */
    dxi_bench_common_t *common;
    uint32_t process_count; /* other processes, of which the first is the far side */
    int32_t processes[DXI_BENCH_PROCESSES_MAX]; /* their ids; 0: it has been waited for */
    sigset_t signals;                           /* that were blocked before the run */
    char share_names[DXI_BENCH_RINGS_MAX][DX_RING_NAME_MAX + 1];
    dx_disruptor_t *disruptor;
    dx_ring_t *rings[DXI_BENCH_RINGS_MAX];
    dx_histogram_t *latency;
    int64_t started_ns;
    int64_t ended_ns;
    dx_atomic32_t unfinished; /* bodies of this side that run; a futex */
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
    return dx_load32_relaxed(&run->common->failed) != 0;
}

/* True when body `index` runs on this side. */
DX_INLINE bool dxi_bench_is_mine(const dxi_bench_run_t *run, uint32_t index)
{
    return !run->params->shared || ((run->scenario->far >> index & 1) != 0) == run->far;
}

/* bench_run.c */

/* Opens what belongs to this side, which rings that the other has made are attached to. */
DX_NODISCARD int dxi_bench_producer_open(dxi_bench_run_t *run, uint32_t index, dx_ring_t *ring,
                                         dx_error_t *error);

/* This side's part of the warm-up and of the measured phase. */
DX_NODISCARD int dxi_bench_phases_run(dxi_bench_run_t *run, dx_error_t *error);

/* Closes what this side has opened, and frees the run. */
void dxi_bench_close(dxi_bench_run_t *run);

/* Notes the first failure, with its sentence if there is one: all loops of all sides end. */
void dxi_bench_fail(dxi_bench_run_t *run, int code, const dx_error_t *error);

/* bench_process.c */

/* Makes run->common and, for a shared run, the other processes, which wait until the rings are
 * made. dxi_bench_processes_end() takes down what this made, also when it failed. */
DX_NODISCARD int dxi_bench_processes_start(dxi_bench_run_t *run, dx_error_t *error);

/* Says that the rings are made, waits until all have attached, and takes away the names: whatever
 * happens from now on, no file is left. */
DX_NODISCARD int dxi_bench_processes_meet(dxi_bench_run_t *run, dx_error_t *error);

void dxi_bench_common_unmap(dxi_bench_run_t *run);

/* Waits for their ends; `result` is how the run went so far. Returns `result`, or how they failed.
 */
DX_NODISCARD int dxi_bench_processes_end(dxi_bench_run_t *run, int result, dx_error_t *error);

/* Waits until a word of run->common is at least `value`. DX_ECANCELLED when the run has failed. */
DX_NODISCARD int dxi_bench_common_wait(dxi_bench_run_t *run, const dx_atomic32_t *word,
                                       int32_t value);

/* Sets a word of run->common and wakes who waits. */
void dxi_bench_common_set(dxi_bench_run_t *run, dx_atomic32_t *word, int32_t value);

/* Waits until this side's bodies have ended, each by dxi_bench_body_ended(); meanwhile looks at the
 * other processes. */
void dxi_bench_bodies_wait(dxi_bench_run_t *run);
void dxi_bench_body_ended(dxi_bench_run_t *run);

/* The same ring for both sides: how it is made, and how the far side gets it. */
dx_share_options_t dxi_bench_share_options(const dxi_bench_run_t *run, uint32_t ring);
DX_NODISCARD int dxi_bench_attach(dxi_bench_run_t *run, uint32_t ring, dx_error_t *error);

/* bench_graph.c */
int dxi_bench_graph_open(dxi_bench_run_t *run, dx_error_t *error);
int dxi_bench_graph_thread(dxi_bench_run_t *run, uint32_t index);
int dxi_bench_translator_thread(dxi_bench_run_t *run, uint32_t index);

/* Makes the disruptor of a run with `handlers` in the scenario's shape, starts it, and opens the
 * producers. */
DX_NODISCARD int dxi_bench_graph_build(dxi_bench_run_t *run, dx_handler_t *handlers,
                                       dx_error_t *error);

/* bench_spans.c */
int dxi_bench_spans_thread(dxi_bench_run_t *run, uint32_t index);
int dxi_bench_copy_open(dxi_bench_run_t *run, dx_error_t *error);
int dxi_bench_copy_thread(dxi_bench_run_t *run, uint32_t index);

/* bench_rings.c */
int dxi_bench_poller_open(dxi_bench_run_t *run, dx_error_t *error);
int dxi_bench_poller_thread(dxi_bench_run_t *run, uint32_t index);
int dxi_bench_raw_thread(dxi_bench_run_t *run, uint32_t index);
int dxi_bench_three_rings_open(dxi_bench_run_t *run, dx_error_t *error);
int dxi_bench_three_rings_thread(dxi_bench_run_t *run, uint32_t index);

/* bench_churn.c */
int dxi_bench_churn_open(dxi_bench_run_t *run, dx_error_t *error);
int dxi_bench_churn_thread(dxi_bench_run_t *run, uint32_t index);
int dxi_bench_churn_still_thread(dxi_bench_run_t *run, uint32_t index);

/* bench_latency.c */
int dxi_bench_pingpong_open(dxi_bench_run_t *run, dx_error_t *error);
int dxi_bench_pingpong_thread(dxi_bench_run_t *run, uint32_t index);
int dxi_bench_span_pingpong_thread(dxi_bench_run_t *run, uint32_t index);
int dxi_bench_stamped_open(dxi_bench_run_t *run, dx_error_t *error);
int dxi_bench_paced_thread(dxi_bench_run_t *run, uint32_t index);
int dxi_bench_wakeup_thread(dxi_bench_run_t *run, uint32_t index);
int dxi_bench_futex_open(dxi_bench_run_t *run, dx_error_t *error);
int dxi_bench_futex_thread(dxi_bench_run_t *run, uint32_t index);
int dxi_bench_idle_thread(dxi_bench_run_t *run, uint32_t index);

#endif
