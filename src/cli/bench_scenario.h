/* cli/bench_scenario.h - scenarios: who produces, who consumes, behind whom, and how it is
 * measured.
 *
 * A scenario is a row of dxi_bench_scenarios. Running it builds its rings and threads, sends the
 * warm-up and then the measured events through them, checks what every consumer saw against a
 * closed form, and takes everything down again. A run that lost, doubled or tore an event fails;
 * there is no result then.
 *
 * Shared by `dx bench ring` and by bench/bench_ring_peer.c, so that both measure the same code.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_BENCH_SCENARIO_H
#define DXI_CLI_BENCH_SCENARIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "disruptorx/error.h"
#include "disruptorx/histogram.h"
#include "disruptorx/wait.h"

#define DXI_BENCH_PRODUCERS_MAX 64u
#define DXI_BENCH_CONSUMERS_MAX 56u
#define DXI_BENCH_EVENTS_MAX (UINT64_C(1) << 40)
#define DXI_BENCH_PACE_NS_MAX INT64_C(1000000000)
#define DXI_BENCH_ATTACHED_MAX 60u

typedef struct dxi_bench_run dxi_bench_run_t; /* cli/bench_run.h */

typedef enum dxi_bench_kind {
    DXI_BENCH_THROUGHPUT = 0, /* events per second and the average batch */
    DXI_BENCH_LATENCY = 1,    /* a histogram */
    DXI_BENCH_IDLE = 2        /* CPU time used while nothing happens; `events` are milliseconds */
} dxi_bench_kind_t;

/* How the consumers of the graph scenarios stand to each other. */
typedef enum dxi_bench_shape {
    DXI_BENCH_PARALLEL = 0, /* each sees every event at once */
    DXI_BENCH_PIPELINE = 1, /* each behind the one before */
    DXI_BENCH_DIAMOND = 2,  /* the last behind all the others */
    DXI_BENCH_POOL = 3,     /* each event goes to one of them */
    DXI_BENCH_KEYED = 4     /* the same, and a key always to the same one */
} dxi_bench_shape_t;

/* What proves that a run was right. */
typedef enum dxi_bench_check {
    DXI_BENCH_SUM_EACH = 0,   /* every consumer adds up all events */
    DXI_BENCH_SUM_SHARED = 1, /* all consumers together do */
    DXI_BENCH_COUNT = 2,      /* no payload: the number of events */
    DXI_BENCH_STAMPS = 3      /* the last consumer adds up what the producer wrote */
} dxi_bench_check_t;

typedef struct dxi_bench_scenario {
    const char *name;
    const char *title;
    dxi_bench_kind_t kind;
    dxi_bench_shape_t shape;
    dxi_bench_check_t check;
    uint32_t producers; /* threads; 0: params.producers */
    uint32_t consumers; /* threads; 0: as many as producers */
    /* Defaults; the flags say which of them a user may change. */
    uint32_t batch;
    uint32_t event_bytes;
    uint32_t capacity;
    dx_wait_kind_t wait;
    int64_t pace_ns; /* between events of a latency scenario; 0: as fast as it goes */
    bool any_batch;
    bool any_size;
    bool any_wait;
    bool any_pace;
    bool any_attached;  /* measures processes that are attached to a shared ring and idle */
    bool multi;         /* a multi-producer ring, however many producers there are */
    bool crowded;       /* has more threads than cores on purpose: never pinned */
    bool own_consumers; /* consumers run `thread`, too */
    uint32_t far;       /* bit i: thread i runs in the other process when the rings are shared; 0:
                         * not between processes. Handlers and latencies are in the first */
    bool spans;         /* its ring has spans */
    bool apart;         /* only when named, or with --spans */

    /* Builds what the run needs; what it made before a failure is taken down by the caller. */
    int (*open)(dxi_bench_run_t *run, dx_error_t *error);
    /* The body of thread `index`: producers first, then consumers that no disruptor runs. */
    int (*thread)(dxi_bench_run_t *run, uint32_t index);
} dxi_bench_scenario_t;

extern const dxi_bench_scenario_t dxi_bench_scenarios[];
extern const size_t dxi_bench_scenario_count;

/* NULL when there is none of that name.
 * Threads: any. */
const dxi_bench_scenario_t *dxi_bench_scenario_find(const char *name);

typedef struct dxi_bench_params {
    uint64_t events; /* measured; rounded up to whole batches of every producer */
    uint64_t warmup; /* sent before and not measured */
    uint32_t batch;
    uint32_t event_bytes;
    uint32_t capacity;
    uint32_t producers;   /* for the scenarios that do not fix it */
    dx_wait_kind_t wait;  /* of consumers and producers */
    int32_t follow_slots; /* dx_wait_options_t */
    int64_t pace_ns;
    bool per_event;       /* handlers get one event a call instead of a batch */
    bool shared;          /* two processes over shared rings */
    uint32_t attached;    /* shared: so many more processes are attached and do nothing */
    const uint32_t *cpus; /* thread i runs on cpus[i]; fewer than threads: not pinned */
    uint32_t cpu_count;
} dxi_bench_params_t;

/* The scenario's own values, for the caller to change.
 * Threads: any. */
void dxi_bench_params_default(const dxi_bench_scenario_t *scenario, dxi_bench_params_t *params_out);

/* Checks the parameters, and against the scenario.
 * Returns DX_OK, DX_EINVAL with the first value that breaks a rule.
 * Threads: any. */
DX_NODISCARD int dxi_bench_params_check(const dxi_bench_scenario_t *scenario,
                                        const dxi_bench_params_t *params, dx_error_t *error);

/* How many threads run at once; a scenario measures something only with a core for each.
 * Threads: any. */
uint32_t dxi_bench_thread_count(const dxi_bench_scenario_t *scenario,
                                const dxi_bench_params_t *params);

typedef struct dxi_bench_result {
    uint64_t events;
    uint64_t handled; /* by all consumers together */
    uint64_t batches; /* of all consumers together; 0 where it does not apply */
    uint32_t producers;
    uint32_t consumers;
    double seconds;
    double cpu_percent; /* DXI_BENCH_IDLE: of one core, used by one process */
    bool pinned;
} dxi_bench_result_t;

/* Runs once. `latency` is emptied and receives the measured values of a latency scenario; it may be
 * NULL for the others.
 * Returns DX_OK; DX_ECORRUPT when a consumer saw something else than was sent; DX_ETIMEDOUT when
 * consumers did not finish; what the library returned.
 * Threads: any. */
DX_NODISCARD int dxi_bench_run(const dxi_bench_scenario_t *scenario,
                               const dxi_bench_params_t *params, dx_histogram_t *latency,
                               dxi_bench_result_t *result_out, dx_error_t *error);

/* What one reading of the clock costs in nanoseconds: about as much is in every latency.
 * Threads: any. */
double dxi_bench_timer_ns(void);

#endif
