/* cli/bench_stats.c - medians and quartiles.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/bench_stats.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
    const double left = *(const double *)a;
    const double right = *(const double *)b;
    return (left > right) - (left < right);
}

/* `sorted` has `count` values, at least one. */
static double quantile(const double *sorted, uint32_t count, double fraction)
{
    const double position = (double)(count - 1) * fraction;
    const uint32_t below = (uint32_t)position;
    const uint32_t above = below + 1 < count ? below + 1 : below;
    return sorted[below] + (sorted[above] - sorted[below]) * (position - (double)below);
}

dxi_bench_quartiles_t dxi_bench_quartiles(const double *values, uint32_t count)
{
    if (count == 0) {
        return (dxi_bench_quartiles_t){0};
    }
    double sorted[DXI_BENCH_ROUNDS_MAX];
    if (count > DXI_BENCH_ROUNDS_MAX) {
        count = DXI_BENCH_ROUNDS_MAX;
    }
    memcpy(sorted, values, count * sizeof *values);
    qsort(sorted, count, sizeof *sorted, compare);
    dxi_bench_quartiles_t q = {
        .q1 = quantile(sorted, count, 0.25),
        .median = quantile(sorted, count, 0.5),
        .q3 = quantile(sorted, count, 0.75),
    };
    q.spread_percent = q.median > 0 ? 100 * (q.q3 - q.q1) / q.median : 0;
    return q;
}

void dxi_bench_quartiles_json(dxi_json_t *json, const char *key, const dxi_bench_quartiles_t *q)
{
    dxi_json_object_begin(json, key);
    dxi_json_real(json, "median", q->median);
    dxi_json_real(json, "q1", q->q1);
    dxi_json_real(json, "q3", q->q3);
    dxi_json_real(json, "spread_percent", q->spread_percent);
    dxi_json_object_end(json);
}
