/* cli/orders_bus_report.h - what `dx demo orders` shows of a run through a node.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_ORDERS_BUS_REPORT_H
#define DXI_CLI_ORDERS_BUS_REPORT_H

#include "cli/orders_bus.h"
#include "cli/orders_report.h"

/* Runs it and shows it while it runs: a live table where standard output is a terminal, else one
 * line on standard error where that is one or `progress`.
 * Returns as dxi_orders_bus_start() and dxi_orders_bus_end().
 * Threads: main. */
DX_NODISCARD int dxi_orders_bus_watch(const dxi_orders_bus_options_t *options, bool progress,
                                      dxi_orders_bus_result_t *result_out, dx_error_t *error);

/* Prints the result to standard output, as dxi_output() says.
 * Returns DX_OK, DX_EIO, DX_ENOMEM.
 * Threads: main. */
DX_NODISCARD int dxi_orders_bus_report(const char *source, const dxi_orders_bus_options_t *options,
                                       const dxi_orders_bus_result_t *result, dxi_check_t check,
                                       dx_error_t *error);

#endif
