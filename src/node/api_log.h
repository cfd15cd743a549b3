/* node/api_log.h - a line of the log as an object.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_NODE_API_LOG_H
#define DXI_NODE_API_LOG_H

#include <jansson.h>

#include "node/node_lines.h"

/* Threads: any. NULL: no memory. */
json_t *dxi_api_line(const dxi_line_t *line);

/* Lines behind `after` of this level or above, the newest `limit` of them; `*lost` grows by those
 * that are not kept any more. Threads: any. NULL: no memory. */
json_t *dxi_api_lines(dxi_lines_t *lines, uint64_t after, dx_log_level_t level, size_t limit,
                      uint64_t *lost);

#endif
