/* cli/orders_csv.h - order messages from text: `time,type,order id,size,price,direction`.
 *
 * The form of the LOBSTER message files (https://lobsterdata.com): one message per line, ended by
 * LF or CRLF; time in seconds after midnight with up to nine decimals; price in dollars x 10,000;
 * the direction 1 buys, -1 sells. A byte-order mark at the start is passed over.
 *
 * A line is bad when it has not this form. What the numbers mean is not judged here but by the
 * pipeline's own validation (cli/orders.h): a price of -1 is a fine number.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_ORDERS_CSV_H
#define DXI_CLI_ORDERS_CSV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/orders.h"
#include "disruptorx/atomic.h"
#include "disruptorx/error.h"
#include "disruptorx/platform.h"

/* Limits. Each is tested at its value and one beyond. */
#define DXI_CSV_LINE_MAX 256                      /* bytes, without the line's end */
#define DXI_CSV_LINES_MAX 4194304                 /* messages of one input, kept in memory */
#define DXI_CSV_NUMBER_MAX INT64_C(1000000000000) /* |id|, |size|, |price| */
#define DXI_CSV_TIME_S_MAX 86400
#define DXI_CSV_TYPE_MAX 7
#define DXI_CSV_REPORTS_MAX 10

/* Reads one line without its end.
 * Returns DX_OK, DX_EPARSE with the field, its value and the rule.
 * Threads: any. */
DX_NODISCARD int dxi_csv_line_parse(const char *line, size_t bytes,
                                    dxi_order_message_t *message_out, dx_error_t *error);

typedef struct dxi_csv_options {
    const char *path;          /* "-": standard input */
    bool strict;               /* fail at the first bad line */
    int64_t lines_max;         /* 0: DXI_CSV_LINES_MAX */
    const dx_atomic32_t *stop; /* NULL, or: reading ends when it becomes 1 */
} dxi_csv_options_t;

/* A line that was passed over. */
typedef struct dxi_csv_report {
    int64_t line; /* from 1 */
    char message[DX_ERROR_MESSAGE_BYTES];
} dxi_csv_report_t;

/* A whole input. */
typedef struct dxi_csv_orders {
    dxi_order_message_t *messages;
    int64_t count;
    int64_t lines;
    int64_t bad_lines;
    int64_t id_max;                                /* the highest id, 0 when there is none above */
    dxi_csv_report_t reports[DXI_CSV_REPORTS_MAX]; /* the first bad lines */
} dxi_csv_orders_t;

/* Reads an input to its end. Free what it gave with dxi_csv_free(), also after a failure.
 * Returns DX_OK; DX_ENOTFOUND, DX_EPERM, DX_EIO when it can't be read; DX_EINVAL for a folder;
 * DX_EPARSE when it is empty, compressed, binary, has no good line, or has a bad line and `strict`
 * is set; DX_ELIMIT above lines_max; DX_ENOMEM; DX_ECANCELLED by `stop`.
 * Threads: any. */
DX_NODISCARD int dxi_csv_load(const dxi_csv_options_t *options, dxi_csv_orders_t *orders_out,
                              dx_error_t *error);

void dxi_csv_free(dxi_csv_orders_t *orders);

#endif
