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

#endif
