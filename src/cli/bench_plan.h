/* cli/bench_plan.h - what `dx bench ring` is asked for, and the rows it makes of that.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_BENCH_PLAN_H
#define DXI_CLI_BENCH_PLAN_H

#include "cli/bench_machine.h"
#include "cli/bench_scenario.h"
#include "cli/bench_stats.h"

#define DXI_BENCH_LIST_MAX 32u
#define DXI_BENCH_ROWS_MAX 200u

/* A shared ring must be so close to a private one: the quotient of rates, or the inverse one of
 * times. */
#define DXI_BENCH_CLOSE 0.95

/* A run in which other programs used more of the machine than this is disturbed: it is repeated,
 * and a round whose repetitions were disturbed, too, is counted as such. */
#define DXI_BENCH_OTHERS_PERCENT 8.0

/* Numbers of an option that takes a list; empty: not given. */
typedef struct dxi_bench_list {
    uint32_t count;
    uint32_t values[DXI_BENCH_LIST_MAX];
} dxi_bench_list_t;

/* The options of the command. */
typedef struct dxi_bench_settings {
    dxi_bench_list_t scenarios; /* indexes into dxi_bench_scenarios */
    dxi_bench_list_t batches;
    dxi_bench_list_t event_bytes;
    dxi_bench_list_t waits; /* dx_wait_kind_t */
    dxi_bench_list_t attached;
    dxi_bench_cpus_t cpus;
    int64_t capacity; /* 0: the scenario's */
    int64_t events;   /* 0: as many as make `run_ns` */
    int64_t rounds;   /* 0: 5, or 3 when quick */
    int64_t run_ns;   /* 0: 0.5 s, or 0.1 s when quick */
    int64_t pace_ns;  /* -1: the scenario's */
    int64_t follow;   /* dx_wait_options_t.follow_slots */
    int32_t handler;  /* 0 batch, 1 event */
    const char *hgrm; /* NULL: none */
    bool quick;
    bool oversubscribe;
    bool shared; /* each scenario in one process and between two, next to each other */
    bool spans;  /* the rows that are about spans, and no others */
    bool list;
} dxi_bench_settings_t;

/* One line of the report: a scenario with its parameters, and what was measured. */
typedef struct dxi_bench_row {
    const dxi_bench_scenario_t *scenario;
    dxi_bench_params_t params;
    char reason[48];                  /* why it is not measured; "" when it is */
    const struct dxi_bench_row *base; /* the row to compare it with; NULL: none */
    uint32_t rounds;                  /* measured so far */
    uint32_t disturbed;               /* rounds */
    dxi_bench_result_t last;
    double rates[DXI_BENCH_ROUNDS_MAX];
    double average_batches[DXI_BENCH_ROUNDS_MAX];
    double medians_ns[DXI_BENCH_ROUNDS_MAX]; /* latency: the p50 of each round */
    double cpu_percents[DXI_BENCH_ROUNDS_MAX];
    dx_histogram_t *latency; /* of all rounds; NULL: no latency scenario */
} dxi_bench_row_t;

typedef struct dxi_bench_plan {
    uint32_t row_count;
    uint32_t rounds;
    int64_t run_ns;
    double timer_ns;
    dxi_bench_machine_t machine;
    dxi_bench_row_t rows[DXI_BENCH_ROWS_MAX];
} dxi_bench_plan_t;

/* Makes the rows: every combination of what was listed, or, where nothing was, every scenario as it
 * is and variations of the first. `settings->cpus` must be filled and must outlive the plan.
 * Returns DX_OK, DX_EINVAL for what a scenario cannot do, DX_ELIMIT for too many rows, DX_ENOMEM.
 * Threads: main. */
DX_NODISCARD int dxi_bench_plan_create(const dxi_bench_settings_t *settings,
                                       dxi_bench_plan_t **plan_out, dx_error_t *error);

/* NULL is allowed. */
void dxi_bench_plan_destroy(dxi_bench_plan_t *plan);

/* Measures: finds the number of events of each row, then runs every row once per round, so that a
 * slow minute of the machine touches all rows alike. The first wrong sum ends it.
 * Returns DX_OK, or what dxi_bench_run() returned.
 * Threads: main. */
DX_NODISCARD int dxi_bench_plan_run(const dxi_bench_settings_t *settings, dxi_bench_plan_t *plan,
                                    dx_error_t *error);

/* The row's rate, or the time of its median event, in `round`. */
double dxi_bench_row_value(const dxi_bench_row_t *row, uint32_t round);

/* The row by its base, round by round: rates above 1 and times below 1 are better than it. The row
 * must have one, and both must have been measured. */
dxi_bench_quartiles_t dxi_bench_row_ratio(const dxi_bench_row_t *row);

/* bench_report.c: prints the plan's results as a table or as JSON. Returns an exit code. */
int dxi_bench_report(const dxi_bench_plan_t *plan);

#endif
