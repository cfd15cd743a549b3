/* cli/picture.h - latencies for eyes: percentiles, and how many fell where.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_PICTURE_H
#define DXI_CLI_PICTURE_H

#include <stdio.h>

#include "cli/json.h"
#include "disruptorx/histogram.h"

/* "p50 1.2 us  p90 ... max ..." and the end of the line; `width` columns (0: no limit) decide
 * whether p99.99 is there. Threads: any. */
void dxi_picture_percentiles(FILE *stream, const dx_histogram_t *histogram, int32_t width);

/* One line for each step of 1, 2, 5 x 10^n that has values: from, to, how many, a bar. The longest
 * bar has what `width` columns leave; a step with any value has at least one mark. Threads: any. */
void dxi_picture_bars(FILE *stream, const dx_histogram_t *histogram, int32_t width);

/* An object with count, min, mean, p50, p90, p99, p999, p9999, max, in ns. Threads: any. */
void dxi_picture_json(dxi_json_t *json, const char *key, const dx_histogram_t *histogram);

/* Before anything is printed: with a path of "-" standard output is for the distribution alone,
 * and the report goes to standard error from here on. `path` may be NULL.
 * Returns DX_OK, DX_EINVAL with -o json, which wants standard output, too; DX_EIO.
 * Threads: main. */
DX_NODISCARD int dxi_picture_hgrm_begin(const char *path, dx_error_t *error);

/* Writes the .hgrm file that HdrHistogram's plotter reads, in microseconds. A path of "-" is
 * standard output.
 * Returns DX_OK, DX_EIO, DX_EPERM. Threads: main, after dxi_picture_hgrm_begin(). */
DX_NODISCARD int dxi_picture_hgrm(const dx_histogram_t *histogram, const char *path,
                                  dx_error_t *error);

#endif
