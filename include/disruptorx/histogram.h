/* disruptorx/histogram.h - how long things took: counts by value, three significant digits.
 *
 * The layout is that of HdrHistogram (Gil Tene, http://hdrhistogram.org): 1024 equal steps per
 * power of two, so a value read back differs from the one recorded by less than one part in 1000,
 * from 1 ns to 100 s, in 229 kB. Values below 2048 are exact.
 *
 * Values outside 0 .. DX_HISTOGRAM_VALUE_MAX are recorded at the nearer end and counted apart, by
 * dx_histogram_overflow_count() and dx_histogram_underflow_count(): a reader sees that the tail was
 * cut.
 *
 * THREADS. One thread records (and resets); any thread reads at any time. Every word is a relaxed
 * atomic, so a reader sees each count at some recent moment, not all at the same one: percentiles
 * read while recording goes on are those of a state a few events old or new. For several writers,
 * give each its own histogram and add them.
 *
 * The unit is the caller's; names and limits here say nanoseconds.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DISRUPTORX_HISTOGRAM_H
#define DISRUPTORX_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "disruptorx/atomic.h"
#include "disruptorx/error.h"
#include "disruptorx/platform.h"

DX_EXTERN_C_BEGIN

#define DX_HISTOGRAM_VALUE_MAX INT64_C(100000000000) /* 100 s in nanoseconds */
#define DX_HISTOGRAM_SUB_BUCKET_BITS 11              /* 2048 steps: 3 significant digits */
#define DX_HISTOGRAM_SUB_BUCKET_COUNT (1 << DX_HISTOGRAM_SUB_BUCKET_BITS)
#define DX_HISTOGRAM_BUCKET_COUNT 27 /* 2048 << 26 is the first power above 100 s */
#define DX_HISTOGRAM_COUNTS ((DX_HISTOGRAM_BUCKET_COUNT + 1) * (DX_HISTOGRAM_SUB_BUCKET_COUNT / 2))

/* Transparent so that recording inlines; read it through the functions only. */
typedef struct dx_histogram {
    dx_atomic64_t min;       /* INT64_MAX while empty */
    dx_atomic64_t max;       /* 0 while empty */
    dx_atomic64_t overflow;  /* values above DX_HISTOGRAM_VALUE_MAX */
    dx_atomic64_t underflow; /* values below 0 */
    dx_atomic64_t counts[DX_HISTOGRAM_COUNTS];
} dx_histogram_t;

/* Allocates an empty histogram and stores it in `*histogram_out` (NULL on failure). The caller ends
 * it with dx_histogram_destroy().
 * Returns DX_OK, DX_ENOMEM.
 * Threads: any. */
DX_API DX_NODISCARD int dx_histogram_create(dx_histogram_t **histogram_out, dx_error_t *error);

/* Frees it; NULL is allowed.
 * Threads: owner. */
DX_API void dx_histogram_destroy(dx_histogram_t *histogram);

/* Makes a histogram of memory of the caller's (shared memory, for one), or empties one.
 * Threads: the one that records. */
DX_API void dx_histogram_reset(dx_histogram_t *histogram);

/* The place of a value from 0 to DX_HISTOGRAM_VALUE_MAX in `counts`.
 * Threads: any. */
DX_INLINE int32_t dx_histogram_index(int64_t value)
{
    /* The OR makes every value below 2048 share the first bucket. */
    const int32_t bits =
        64 - __builtin_clzll((uint64_t)value | (DX_HISTOGRAM_SUB_BUCKET_COUNT - 1));
    const int32_t bucket = bits - DX_HISTOGRAM_SUB_BUCKET_BITS;
    return (bucket << (DX_HISTOGRAM_SUB_BUCKET_BITS - 1)) + (int32_t)(value >> bucket);
}

/* The out-of-range half of recording: counts `n` values as overflow or underflow and returns the
 * end of the range to record them at. */
DX_API int64_t dx_histogram_clamp(dx_histogram_t *histogram, int64_t value, int64_t n);

/* Records `n` (>= 0) values that are all `value`. Wait-free, no call in range.
 * Threads: the one that records. */
DX_INLINE void dx_histogram_record_n(dx_histogram_t *histogram, int64_t value, int64_t n)
{
    if (DX_UNLIKELY((uint64_t)value > (uint64_t)DX_HISTOGRAM_VALUE_MAX)) {
        value = dx_histogram_clamp(histogram, value, n);
    }
    if (DX_UNLIKELY(n <= 0)) {
        return;
    }
    /* RELAXED load and store, not an atomic add: one thread writes, and a reader needs no order
     * between one count and another. Cost: those of a plain increment. */
    dx_atomic64_t *const count = &histogram->counts[dx_histogram_index(value)];
    dx_store_relaxed(count, dx_load_relaxed(count) + n);
    if (DX_UNLIKELY(value > dx_load_relaxed(&histogram->max))) {
        dx_store_relaxed(&histogram->max, value);
    }
    if (DX_UNLIKELY(value < dx_load_relaxed(&histogram->min))) {
        dx_store_relaxed(&histogram->min, value);
    }
}

/* Records one value.
 * Threads: the one that records. */
DX_INLINE void dx_histogram_record(dx_histogram_t *histogram, int64_t value)
{
    dx_histogram_record_n(histogram, value, 1);
}

/* Records a value, and for a stall longer than `expected_interval` also the values that a load
 * generator which waited for it failed to measure: value - interval, value - 2 * interval ... down
 * to the interval (the correction of coordinated omission). An interval of 0 or less corrects
 * nothing.
 * Threads: the one that records. */
DX_API void dx_histogram_record_corrected(dx_histogram_t *histogram, int64_t value,
                                          int64_t expected_interval);

/* Adds every count of `source` to `target`.
 * Threads: the one that records into `target`; `source` may be in use. */
DX_API void dx_histogram_add(dx_histogram_t *target, const dx_histogram_t *source);

/* How many values were recorded, clamped ones included. Walks the counts, as all below do.
 * Threads: any. */
DX_API int64_t dx_histogram_count(const dx_histogram_t *histogram);

/* How many values were above DX_HISTOGRAM_VALUE_MAX, or below 0.
 * Threads: any. */
DX_API int64_t dx_histogram_overflow_count(const dx_histogram_t *histogram);
DX_API int64_t dx_histogram_underflow_count(const dx_histogram_t *histogram);

/* The smallest and largest value recorded, exact; 0 while empty.
 * Threads: any. */
DX_API int64_t dx_histogram_min(const dx_histogram_t *histogram);
DX_API int64_t dx_histogram_max(const dx_histogram_t *histogram);

/* Mean and standard deviation, each value taken at the middle of its step; 0 while empty.
 * Threads: any. */
DX_API double dx_histogram_mean(const dx_histogram_t *histogram);
DX_API double dx_histogram_stddev(const dx_histogram_t *histogram);

/* The largest value that is equivalent to the one at this percentile: at least `percentile` percent
 * of the values are at or below it. Never above dx_histogram_max(). A percentile below 0 is taken
 * as 0, one above 100 (or NaN) as 100. 0 while empty.
 * Threads: any. */
DX_API int64_t dx_histogram_value_at(const dx_histogram_t *histogram, double percentile);

/* How many values are equivalent to `value` (the same step); 0 outside the range.
 * Threads: any. */
DX_API int64_t dx_histogram_count_at(const dx_histogram_t *histogram, int64_t value);

/* The smallest and largest value that share the step of `value`, which is taken into the range.
 * Threads: any. */
DX_API int64_t dx_histogram_lowest_equivalent(int64_t value);
DX_API int64_t dx_histogram_highest_equivalent(int64_t value);

/* One line of a percentile distribution. */
typedef struct dx_percentile {
    int64_t value;     /* the largest of its step, or the maximum */
    double percentile; /* 0 to 100: the level this line answers */
    int64_t count;     /* values at or below `value` */
} dx_percentile_t;

/* Calls `visit` for rising percentiles, with `ticks_per_half` lines for each halving of the
 * distance to 100 (5 is usual; 1 to 1000), and last for 100. Stops early when `visit` returns
 * non-zero, and returns that. DX_EINVAL for bad ticks. An empty histogram gives no line.
 * Threads: any. */
DX_API int dx_histogram_percentiles(const dx_histogram_t *histogram, int32_t ticks_per_half,
                                    int (*visit)(void *context, const dx_percentile_t *line),
                                    void *context);

/* Writes the distribution in the .hgrm text form that HdrHistogram's plotter reads, each value
 * divided by `unit` (1000 for microseconds out of nanoseconds; 0.001 to 1e12).
 * Returns DX_OK, DX_EINVAL, DX_EIO when the stream refuses.
 * Threads: any. */
DX_API DX_NODISCARD int dx_histogram_write_hgrm(const dx_histogram_t *histogram, FILE *stream,
                                                int32_t ticks_per_half, double unit,
                                                dx_error_t *error);

/* The usual numbers, for a report or a metric. */
typedef struct dx_histogram_summary {
    int64_t count;
    int64_t overflow_count;
    int64_t underflow_count;
    int64_t min;
    int64_t max;
    int64_t p50;
    int64_t p90;
    int64_t p99;
    int64_t p999;
    int64_t p9999;
    double mean;
    double stddev;
} dx_histogram_summary_t;

/* Fills `*summary_out`.
 * Threads: any. */
DX_API void dx_histogram_summarize(const dx_histogram_t *histogram,
                                   dx_histogram_summary_t *summary_out);

/* Writes the summary as one JSON object with the field names above, with its NUL. Returns its
 * length, which may be more than fits: text_bytes - 1 of it are stored then.
 * Threads: any. */
DX_API size_t dx_histogram_summary_json(const dx_histogram_summary_t *summary, char *text_out,
                                        size_t text_bytes);

DX_EXTERN_C_END

#endif
