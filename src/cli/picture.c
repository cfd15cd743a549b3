/* picture.c - latencies for eyes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/picture.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/format.h"
#include "cli/output.h"

#define STEPS 36 /* 1, 2, 5 ... from 1 ns to above DX_HISTOGRAM_VALUE_MAX */
#define WIDE 96  /* columns for all percentiles, with what callers put before them */
#define BAR_MAX 50
#define BAR_COLUMN 47 /* what stands before a bar */

void dxi_picture_percentiles(FILE *stream, const dx_histogram_t *histogram, int32_t width)
{
    static const struct {
        const char *name;
        double percentile;
    } rows[] = {{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99.9", 99.9}, {"p99.99", 99.99}};
    const size_t all = sizeof rows / sizeof rows[0];
    const size_t count = width > 0 && width < WIDE ? all - 1 : all;
    for (size_t i = 0; i < count; i++) {
        const int64_t ns = dx_histogram_value_at(histogram, rows[i].percentile);
        fprintf(stream, "%s %s  ", rows[i].name, dxi_format_ns(&(dxi_text_t){0}, ns));
    }
    fprintf(stream, "max %s\n", dxi_format_ns(&(dxi_text_t){0}, dx_histogram_max(histogram)));
}

/* The upper ends of the steps: 1, 2, 5, 10, 20 ... ns. */
static int64_t step_end(int step)
{
    static const int64_t factors[] = {1, 2, 5};
    int64_t power = 1;
    for (int i = 0; i < step / 3; i++) {
        power *= 10;
    }
    return factors[step % 3] * power;
}

/* Values above step_end(step - 1) and up to step_end(step). */
static void steps_count(const dx_histogram_t *histogram, int64_t counts_out[STEPS])
{
    int64_t value = 0;
    int step = 0;
    memset(counts_out, 0, STEPS * sizeof *counts_out);
    const int64_t max = dx_histogram_max(histogram);
    while (value <= max && value <= DX_HISTOGRAM_VALUE_MAX) {
        while (step < STEPS - 1 && value > step_end(step)) {
            step++;
        }
        counts_out[step] += dx_histogram_count_at(histogram, value);
        value = dx_histogram_highest_equivalent(value) + 1;
        if (dx_histogram_highest_equivalent(value - 1) < value - 1) {
            break; /* the end of the range */
        }
    }
}

void dxi_picture_bars(FILE *stream, const dx_histogram_t *histogram, int32_t width)
{
    int64_t counts[STEPS];
    int64_t most = 0;
    int64_t total = 0;
    int first = STEPS;
    int last = -1;
    steps_count(histogram, counts);
    for (int i = 0; i < STEPS; i++) {
        most = counts[i] > most ? counts[i] : most;
        total += counts[i];
        first = counts[i] > 0 && first == STEPS ? i : first;
        last = counts[i] > 0 ? i : last;
    }
    const int32_t room = width > 0 && width - BAR_COLUMN < BAR_MAX ? width - BAR_COLUMN : BAR_MAX;
    for (int i = first; i <= last; i++) {
        const double share = (double)counts[i] / (double)most;
        int bar = (int)(share * (double)(room > 1 ? room : 1) + 0.5);
        bar = counts[i] > 0 && bar == 0 ? 1 : bar;
        fprintf(stream, "%8s .. %-8s %12s %8s  ",
                i == 0 ? "0" : dxi_format_ns(&(dxi_text_t){0}, step_end(i - 1)),
                dxi_format_ns(&(dxi_text_t){0}, step_end(i)),
                dxi_format_count(&(dxi_text_t){0}, counts[i]),
                dxi_format_share(&(dxi_text_t){0}, counts[i], total));
        for (int mark = 0; mark < bar; mark++) {
            fputc('#', stream);
        }
        fputc('\n', stream);
    }
}

void dxi_picture_json(dxi_json_t *json, const char *key, const dx_histogram_t *histogram)
{
    dx_histogram_summary_t summary;
    dx_histogram_summarize(histogram, &summary);
    dxi_json_object_begin(json, key);
    dxi_json_integer(json, "count", summary.count);
    dxi_json_integer(json, "min", summary.min);
    dxi_json_real(json, "mean", summary.mean);
    dxi_json_integer(json, "p50", summary.p50);
    dxi_json_integer(json, "p90", summary.p90);
    dxi_json_integer(json, "p99", summary.p99);
    dxi_json_integer(json, "p999", summary.p999);
    dxi_json_integer(json, "p9999", summary.p9999);
    dxi_json_integer(json, "max", summary.max);
    dxi_json_integer(json, "above_100_s", summary.overflow_count);
    dxi_json_object_end(json);
}

static FILE *hgrm_output; /* what standard output was, for a path of "-" */

int dxi_picture_hgrm_begin(const char *path, dx_error_t *error)
{
    if (path == NULL || strcmp(path, "-") != 0) {
        return DX_OK;
    }
    if (dxi_output_is_json()) {
        return dxi_fail(error, DX_EINVAL,
                        "--hgrm - and -o json both want standard output; give --hgrm a file");
    }
    fflush(stdout);
    const int fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    hgrm_output = fd < 0 ? NULL : fdopen(fd, "w");
    if (hgrm_output == NULL || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
        return dxi_fail_os(error, DX_EIO, errno, "standard output can't be used");
    }
    return DX_OK;
}

int dxi_picture_hgrm(const dx_histogram_t *histogram, const char *path, dx_error_t *error)
{
    FILE *const file = hgrm_output != NULL ? hgrm_output : fopen(path, "we");
    hgrm_output = NULL;
    if (file == NULL) {
        return dxi_fail_os(error, dxi_code_of_errno(errno), errno, "%.150s cannot be written",
                           path);
    }
    int result = dx_histogram_write_hgrm(histogram, file, 5, 1000, error);
    if (fclose(file) != 0 && result == DX_OK) {
        result = dxi_fail_os(error, DX_EIO, errno, "%.150s cannot be written", path);
    }
    return result;
}
