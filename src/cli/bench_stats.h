/* cli/bench_stats.h - what several runs of one thing say: never the best of them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_BENCH_STATS_H
#define DXI_CLI_BENCH_STATS_H

#include <stdint.h>

#include "cli/json.h"

#define DXI_BENCH_ROUNDS_MAX 101u

typedef struct dxi_bench_quartiles {
    double q1;
    double median;
    double q3;
    double spread_percent; /* the distance of the quartiles in per cent of the median */
} dxi_bench_quartiles_t;

/* Quartiles of `count` values (1 to DXI_BENCH_ROUNDS_MAX), linear between neighbours, as
 * spreadsheets and bench/peers/figures.py do. All zero for no value.
 * Threads: any. */
dxi_bench_quartiles_t dxi_bench_quartiles(const double *values, uint32_t count);

/* The object `key` with the four numbers. */
void dxi_bench_quartiles_json(dxi_json_t *json, const char *key, const dxi_bench_quartiles_t *q);

#endif
