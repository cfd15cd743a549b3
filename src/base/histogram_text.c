/* histogram_text.c - a histogram as text: the .hgrm form and JSON.
 *
 * The .hgrm form is what HdrHistogram's plotter (https://hdrhistogram.github.io/HdrHistogram/
 * plotFiles.html) reads: four columns, and three lines that start with '#'.
 *
 * INVARIANT: no number goes through the locale, so a decimal point is a point everywhere.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disruptorx/histogram.h"

#include <errno.h>
#include <inttypes.h>

#include "base/fail.h"

/* Room for one number of number_format(). */
enum { NUMBER_BYTES = 40 };

/* Writes `value` (0 to 1e18 / scale) rounded to `digits` decimals, right-aligned to `width`. */
static const char *number_format(double value, int digits, int width, char *text_out)
{
    uint64_t scale = 1;
    for (int i = 0; i < digits; i++) {
        scale *= 10;
    }
    const uint64_t fixed = (uint64_t)(value * (double)scale + 0.5);
    (void)snprintf(text_out, NUMBER_BYTES, "%*" PRIu64 ".%0*" PRIu64, width - digits - 1,
                   fixed / scale, digits, fixed % scale);
    return text_out;
}

typedef struct hgrm {
    FILE *stream;
    double unit;
} hgrm_t;

static int hgrm_line(void *context, const dx_percentile_t *line)
{
    const hgrm_t *const hgrm = context;
    char value[NUMBER_BYTES];
    char level[NUMBER_BYTES];
    (void)number_format((double)line->value / hgrm->unit, 3, 12, value);
    (void)number_format(line->percentile / 100.0, 12, 14, level);
    int written = 0;
    if (line->percentile < 100.0) {
        char inverse[NUMBER_BYTES];
        (void)number_format(100.0 / (100.0 - line->percentile), 2, 14, inverse);
        written =
            fprintf(hgrm->stream, "%s %s %10" PRId64 " %s\n", value, level, line->count, inverse);
    } else {
        written = fprintf(hgrm->stream, "%s %s %10" PRId64 "\n", value, level, line->count);
    }
    return written < 0 ? DX_EIO : DX_OK;
}

static int hgrm_footer(const dx_histogram_t *histogram, const hgrm_t *hgrm)
{
    char mean[NUMBER_BYTES];
    char stddev[NUMBER_BYTES];
    char max[NUMBER_BYTES];
    (void)number_format(dx_histogram_mean(histogram) / hgrm->unit, 3, 12, mean);
    (void)number_format(dx_histogram_stddev(histogram) / hgrm->unit, 3, 12, stddev);
    (void)number_format((double)dx_histogram_max(histogram) / hgrm->unit, 3, 12, max);
    const int written = fprintf(hgrm->stream,
                                "#[Mean    = %s, StdDeviation   = %s]\n"
                                "#[Max     = %s, Total count    = %12" PRId64 "]\n"
                                "#[Buckets = %12d, SubBuckets     = %12d]\n",
                                mean, stddev, max, dx_histogram_count(histogram),
                                DX_HISTOGRAM_BUCKET_COUNT, DX_HISTOGRAM_SUB_BUCKET_COUNT);
    return written < 0 ? DX_EIO : DX_OK;
}

int dx_histogram_write_hgrm(const dx_histogram_t *histogram, FILE *stream, int32_t ticks_per_half,
                            double unit, dx_error_t *error)
{
    if (ticks_per_half < 1 || ticks_per_half > 1000) {
        return dxi_fail(error, DX_EINVAL, "ticks_per_half is %" PRId32 ", must be from 1 to 1000",
                        ticks_per_half);
    }
    if (!(unit >= 0.001 && unit <= 1e12)) {
        return dxi_fail(error, DX_EINVAL, "unit is %g, must be from 0.001 to 1e12", unit);
    }
    hgrm_t hgrm = {.stream = stream, .unit = unit};
    errno = 0;
    int rc = fprintf(stream, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount",
                     "1/(1-Percentile)") < 0
                 ? DX_EIO
                 : DX_OK;
    if (rc == DX_OK) {
        rc = dx_histogram_percentiles(histogram, ticks_per_half, hgrm_line, &hgrm);
    }
    if (rc == DX_OK) {
        rc = hgrm_footer(histogram, &hgrm);
    }
    if (rc != DX_OK || fflush(stream) != 0) {
        return dxi_fail_os(error, DX_EIO, errno, "cannot write the percentiles");
    }
    return DX_OK;
}

size_t dx_histogram_summary_json(const dx_histogram_summary_t *summary, char *text_out,
                                 size_t text_bytes)
{
    char mean[NUMBER_BYTES];
    char stddev[NUMBER_BYTES];
    const int length = snprintf(
        text_out, text_bytes,
        "{\"count\":%" PRId64 ",\"overflow_count\":%" PRId64 ",\"underflow_count\":%" PRId64
        ",\"min\":%" PRId64 ",\"max\":%" PRId64 ",\"p50\":%" PRId64 ",\"p90\":%" PRId64
        ",\"p99\":%" PRId64 ",\"p999\":%" PRId64 ",\"p9999\":%" PRId64
        ",\"mean\":%s,\"stddev\":%s}",
        summary->count, summary->overflow_count, summary->underflow_count, summary->min,
        summary->max, summary->p50, summary->p90, summary->p99, summary->p999, summary->p9999,
        number_format(summary->mean, 3, 5, mean), number_format(summary->stddev, 3, 5, stddev));
    return length < 0 ? 0 : (size_t)length;
}
