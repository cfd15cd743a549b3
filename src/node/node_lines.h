/* node/node_lines.h - the newest lines of the log, for people who look at the node from outside.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_NODE_LINES_H
#define DXI_NODE_LINES_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "disruptorx/log.h"

#define DXI_LINES_MAX 512      /* kept */
#define DXI_LINE_BYTES_MAX 511 /* of a message; a longer one is cut */

typedef struct dxi_line {
    uint64_t sequence; /* from 1 */
    int64_t unix_ns;
    dx_log_level_t level;
    char component[DX_LOG_COMPONENT_MAX + 1];
    char message[DXI_LINE_BYTES_MAX + 1];
} dxi_line_t;

typedef struct dxi_lines {
    dx_log_t *log;
    pthread_mutex_t mutex;
    dxi_line_t *lines; /* DXI_LINES_MAX, a circle */
    uint64_t newest;   /* 0: none */
} dxi_lines_t;

/* Keeps lines of info and above from now on, until the close, which is before the log's end.
 * Returns DX_OK, DX_ENOMEM. Threads: owner. */
DX_NODISCARD int dxi_lines_open(dxi_lines_t *lines, dx_log_t *log, dx_error_t *error);
void dxi_lines_close(dxi_lines_t *lines);

/* The newest sequence. Threads: any. */
uint64_t dxi_lines_newest(dxi_lines_t *lines);

/* Copies the first line behind `after` of this level or above. False: there is none. `*lost_out`
 * grows by lines that are not kept any more. Threads: any. */
bool dxi_lines_next(dxi_lines_t *lines, uint64_t after, dx_log_level_t level, dxi_line_t *line_out,
                    uint64_t *lost_out);

#endif
