/* cli/orders_report.h - what `dx demo orders` prints: progress, bad lines, the result.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_ORDERS_REPORT_H
#define DXI_CLI_ORDERS_REPORT_H

#include "cli/json.h"
#include "cli/orders_csv.h"
#include "cli/orders_pipeline.h"

typedef enum dxi_check { DXI_CHECK_NONE, DXI_CHECK_SAME, DXI_CHECK_DIFFERENT } dxi_check_t;

/* All there is to report. */
typedef struct dxi_orders_report {
    const char *source; /* a file, or "standard input" */
    const dxi_csv_orders_t *orders;
    const dxi_pipeline_options_t *options;
    const dxi_pipeline_result_t *result;
    dxi_check_t check;
} dxi_orders_report_t;

/* Prints the result to standard output, as dxi_output() says.
 * Returns DX_OK, DX_EIO, DX_ENOMEM.
 * Threads: main. */
DX_NODISCARD int dxi_orders_report(const dxi_orders_report_t *report, dx_error_t *error);

/* Parts of it, for the report of the bus as well. Threads: main. */
void dxi_orders_report_totals(const dxi_orders_report_t *report, int32_t width);
DX_NODISCARD int dxi_orders_report_latency(const dxi_orders_report_t *report, int32_t width,
                                           dx_error_t *error);
void dxi_orders_report_checksum(const dxi_orders_report_t *report);
void dxi_orders_report_json_totals(dxi_json_t *json, const dxi_orders_report_t *report);
void dxi_orders_report_json_latency(dxi_json_t *json, const dxi_orders_report_t *report);

/* Prints the first bad lines, and how many more there are, to standard error.
 * Threads: main. */
void dxi_orders_report_bad_lines(const char *source, const dxi_csv_orders_t *orders);

/* Prints one line of progress to standard error: over the last one on a terminal.
 * Threads: main. */
void dxi_orders_report_progress(const dxi_pipeline_progress_t *progress);

/* Removes the line of progress from a terminal.
 * Threads: main. */
void dxi_orders_report_progress_end(void);

#endif
