/* histogram.c - reading, merging and correcting a histogram; recording is inline in the header.
 *
 * DESIGN
 *
 * The step of a value v is its top 11 bits. Step numbers run without gaps:
 *
 *     index      0 .. 2047   2048 .. 3071   3072 .. 4095   ...   27648 .. 28671
 *     values     0 .. 2047   2048 .. 4095   4096 .. 8191   ...   2^36  .. 2^37 - 1
 *     step width      1            2              4                   2^26
 *
 * Each power of two from 2048 up has 1024 steps, so a step is at most 1/1024 of its values wide.
 * The total is not stored but summed from the counts: a reader then has one consistent idea of it
 * within one walk, and recording has one word less to write.
 *
 * INVARIANTS
 *
 *   I1  lowest_of(index(v)) <= v <= highest_of(index(v)), for v in 0 .. DX_HISTOGRAM_VALUE_MAX
 *   I2  highest_of(i) + 1 == lowest_of(i + 1)
 *   I3  overflow + underflow <= the sum of counts: a clamped value is counted there as well
 *   I4  one thread stores; every access is a relaxed atomic
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disruptorx/histogram.h"

#include <assert.h>

#include "base/alloc.h"
#include "base/fail.h"

enum { SUB_BUCKET_HALF = DX_HISTOGRAM_SUB_BUCKET_COUNT / 2 };

static int32_t shift_of(int32_t index)
{
    const int32_t half_bits = DX_HISTOGRAM_SUB_BUCKET_BITS - 1;
    return index < DX_HISTOGRAM_SUB_BUCKET_COUNT ? 0 : (index >> half_bits) - 1;
}

static int64_t lowest_of(int32_t index)
{
    const int32_t shift = shift_of(index);
    return (int64_t)(index - shift * SUB_BUCKET_HALF) << shift;
}

static int64_t highest_of(int32_t index)
{
    return lowest_of(index) + (INT64_C(1) << shift_of(index)) - 1;
}

static int64_t into_range(int64_t value)
{
    if (value < 0) {
        return 0;
    }
    return value > DX_HISTOGRAM_VALUE_MAX ? DX_HISTOGRAM_VALUE_MAX : value;
}

static int64_t count_of(const dx_histogram_t *histogram, int32_t index)
{
    return dx_load_relaxed(&histogram->counts[index]);
}

static void increase(dx_atomic64_t *word, int64_t delta)
{
    dx_store_relaxed(word, dx_load_relaxed(word) + delta); /* I4: one thread stores */
}

int dx_histogram_create(dx_histogram_t **histogram_out, dx_error_t *error)
{
    *histogram_out = NULL;
    dx_histogram_t *const histogram = dxi_alloc_zeroed(1, sizeof(*histogram));
    if (histogram == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a histogram of %zu bytes",
                        sizeof(*histogram));
    }
    dx_histogram_reset(histogram);
    *histogram_out = histogram;
    return DX_OK;
}

void dx_histogram_destroy(dx_histogram_t *histogram)
{
    dxi_free(histogram);
}

void dx_histogram_reset(dx_histogram_t *histogram)
{
    for (int32_t i = 0; i < DX_HISTOGRAM_COUNTS; i++) {
        dx_store_relaxed(&histogram->counts[i], 0);
    }
    dx_store_relaxed(&histogram->min, INT64_MAX);
    dx_store_relaxed(&histogram->max, 0);
    dx_store_relaxed(&histogram->overflow, 0);
    dx_store_relaxed(&histogram->underflow, 0);
}

int64_t dx_histogram_clamp(dx_histogram_t *histogram, int64_t value, int64_t n)
{
    if (n > 0) {
        increase(value < 0 ? &histogram->underflow : &histogram->overflow, n);
    }
    return into_range(value);
}

void dx_histogram_record_corrected(dx_histogram_t *histogram, int64_t value,
                                   int64_t expected_interval)
{
    dx_histogram_record(histogram, value);
    if (expected_interval <= 0 || value < 0) {
        return;
    }
    /* Step by step and not value by value, so that the work is bounded by the number of steps: all
     * missed values of one step are recorded at once, and the lowest apart, for the minimum. */
    int64_t missed = value - expected_interval;
    while (missed >= expected_interval) {
        int64_t floor = expected_interval;
        if (missed > DX_HISTOGRAM_VALUE_MAX) {
            floor = DX_HISTOGRAM_VALUE_MAX + 1 > floor ? DX_HISTOGRAM_VALUE_MAX + 1 : floor;
        } else {
            const int64_t lowest = dx_histogram_lowest_equivalent(missed);
            floor = lowest > floor ? lowest : floor;
        }
        const int64_t further = (missed - floor) / expected_interval;
        const int64_t last = missed - further * expected_interval;
        dx_histogram_record_n(histogram, missed, further);
        dx_histogram_record(histogram, last);
        missed = last - expected_interval;
    }
}

void dx_histogram_add(dx_histogram_t *target, const dx_histogram_t *source)
{
    for (int32_t i = 0; i < DX_HISTOGRAM_COUNTS; i++) {
        const int64_t count = count_of(source, i);
        if (count != 0) {
            increase(&target->counts[i], count);
        }
    }
    increase(&target->overflow, dx_load_relaxed(&source->overflow));
    increase(&target->underflow, dx_load_relaxed(&source->underflow));
    const int64_t max = dx_load_relaxed(&source->max);
    if (max > dx_load_relaxed(&target->max)) {
        dx_store_relaxed(&target->max, max);
    }
    const int64_t min = dx_load_relaxed(&source->min);
    if (min < dx_load_relaxed(&target->min)) {
        dx_store_relaxed(&target->min, min);
    }
}

int64_t dx_histogram_count(const dx_histogram_t *histogram)
{
    int64_t total = 0;
    for (int32_t i = 0; i < DX_HISTOGRAM_COUNTS; i++) {
        total += count_of(histogram, i);
    }
    return total;
}

int64_t dx_histogram_overflow_count(const dx_histogram_t *histogram)
{
    return dx_load_relaxed(&histogram->overflow);
}

int64_t dx_histogram_underflow_count(const dx_histogram_t *histogram)
{
    return dx_load_relaxed(&histogram->underflow);
}

int64_t dx_histogram_min(const dx_histogram_t *histogram)
{
    const int64_t min = dx_load_relaxed(&histogram->min);
    return min == INT64_MAX ? 0 : min;
}

int64_t dx_histogram_max(const dx_histogram_t *histogram)
{
    return dx_load_relaxed(&histogram->max);
}

/* The middle of a step, which stands for its values in mean and deviation. */
static double middle_of(int32_t index)
{
    return (double)(lowest_of(index) + ((INT64_C(1) << shift_of(index)) >> 1));
}

double dx_histogram_mean(const dx_histogram_t *histogram)
{
    double sum = 0;
    int64_t total = 0;
    for (int32_t i = 0; i < DX_HISTOGRAM_COUNTS; i++) {
        const int64_t count = count_of(histogram, i);
        if (count != 0) {
            total += count;
            sum += (double)count * middle_of(i);
        }
    }
    return total == 0 ? 0.0 : sum / (double)total;
}

/* Newton's iteration: sqrt() would need libm, and this layer needs libc only. */
static double square_root(double x)
{
    double root = x > 1.0 ? x : 1.0; /* at or above the root, so the iteration falls */
    for (;;) {
        const double next = (root + x / root) / 2;
        if (!(next < root)) {
            return x > 0 ? root : 0.0;
        }
        root = next;
    }
}

double dx_histogram_stddev(const dx_histogram_t *histogram)
{
    const double mean = dx_histogram_mean(histogram);
    double sum = 0;
    int64_t total = 0;
    for (int32_t i = 0; i < DX_HISTOGRAM_COUNTS; i++) {
        const int64_t count = count_of(histogram, i);
        if (count != 0) {
            const double deviation = middle_of(i) - mean;
            total += count;
            sum += (double)count * deviation * deviation;
        }
    }
    return total == 0 ? 0.0 : square_root(sum / (double)total);
}

/* How many of `total` values must be at or below the value at this percentile: at least one. */
static int64_t rank_of(double percentile, int64_t total)
{
    double level = percentile;
    if (!(level <= 100.0)) { /* NaN too */
        level = 100.0;
    }
    if (level < 0.0) {
        level = 0.0;
    }
    /* 99.9 % of 1000 is 999, but computes as 999.0000000000001: the part below a millionth of a
     * value, or of the precision of a double, is such noise and not one value more. */
    const double exact = level / 100.0 * (double)total;
    const double noise = 1e-6 + exact * 4e-16;
    int64_t rank = (int64_t)(exact - noise < 0 ? 0 : exact - noise) + 1;
    if (rank > total) {
        rank = total;
    }
    return rank;
}

/* The values at `count` rising percentiles, in one walk. */
static void values_at(const dx_histogram_t *histogram, const double *percentiles, int32_t count,
                      int64_t *values_out)
{
    const int64_t total = dx_histogram_count(histogram);
    const int64_t max = dx_histogram_max(histogram);
    int64_t seen = 0;
    int32_t next = 0;
    for (int32_t i = 0; i < DX_HISTOGRAM_COUNTS && next < count && total > 0; i++) {
        seen += count_of(histogram, i);
        while (next < count && seen >= rank_of(percentiles[next], total)) {
            const int64_t highest = highest_of(i);
            values_out[next] = highest < max ? highest : max;
            next++;
        }
    }
    for (; next < count; next++) { /* empty, or emptied during the walk */
        values_out[next] = total > 0 ? max : 0;
    }
}

int64_t dx_histogram_value_at(const dx_histogram_t *histogram, double percentile)
{
    int64_t value = 0;
    values_at(histogram, &percentile, 1, &value);
    return value;
}

int64_t dx_histogram_count_at(const dx_histogram_t *histogram, int64_t value)
{
    if (value != into_range(value)) {
        return 0;
    }
    return count_of(histogram, dx_histogram_index(value));
}

int64_t dx_histogram_lowest_equivalent(int64_t value)
{
    return lowest_of(dx_histogram_index(into_range(value)));
}

int64_t dx_histogram_highest_equivalent(int64_t value)
{
    return highest_of(dx_histogram_index(into_range(value)));
}

void dx_histogram_summarize(const dx_histogram_t *histogram, dx_histogram_summary_t *summary_out)
{
    enum { LEVELS = 5 };
    static const double levels[LEVELS] = {50.0, 90.0, 99.0, 99.9, 99.99};
    int64_t values[LEVELS];
    values_at(histogram, levels, LEVELS, values);
    *summary_out = (dx_histogram_summary_t){
        .count = dx_histogram_count(histogram),
        .overflow_count = dx_histogram_overflow_count(histogram),
        .underflow_count = dx_histogram_underflow_count(histogram),
        .min = dx_histogram_min(histogram),
        .max = dx_histogram_max(histogram),
        .p50 = values[0],
        .p90 = values[1],
        .p99 = values[2],
        .p999 = values[3],
        .p9999 = values[4],
        .mean = dx_histogram_mean(histogram),
        .stddev = dx_histogram_stddev(histogram),
    };
}

/* The next level to report after `level`. While the distance to 100 is in (100 / 2^(k+1),
 * 100 / 2^k], a step is 100 / 2^(k+1) / ticks: `ticks` lines for each halving. */
static double level_after(double level, int32_t ticks)
{
    double half = 50.0;
    while (100.0 - level <= half && half > 1e-12) {
        half /= 2;
    }
    return level + half / ticks;
}

int dx_histogram_percentiles(const dx_histogram_t *histogram, int32_t ticks_per_half,
                             int (*visit)(void *context, const dx_percentile_t *line),
                             void *context)
{
    if (ticks_per_half < 1 || ticks_per_half > 1000) {
        return DX_EINVAL;
    }
    const int64_t total = dx_histogram_count(histogram);
    const int64_t max = dx_histogram_max(histogram);
    dx_percentile_t line = {0};
    double level = 0.0;
    for (int32_t i = 0; i < DX_HISTOGRAM_COUNTS && line.count < total; i++) {
        const int64_t count = count_of(histogram, i);
        if (count == 0) {
            continue;
        }
        line.count += count;
        line.value = highest_of(i) < max ? highest_of(i) : max;
        const double reached = 100.0 * (double)line.count / (double)total;
        while (level <= reached && level < 100.0) {
            line.percentile = level;
            const int stop = visit(context, &line);
            if (stop != 0) {
                return stop;
            }
            level = level_after(level, ticks_per_half);
            if (line.count >= total) {
                break; /* the last step has one line, and the one for 100 */
            }
        }
    }
    if (total == 0) {
        return DX_OK;
    }
    line.percentile = 100.0;
    return visit(context, &line);
}
