/* node/api_node.h - parts of the node's numbers that stand in several answers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_NODE_API_NODE_H
#define DXI_NODE_API_NODE_H

#include <jansson.h>

#include "node/figures.h"

/* Threads: any. NULL: no memory. */
json_t *dxi_api_latency(const dxi_figures_t *figures);
json_t *dxi_api_process(const dxi_process_t *process);
/* Puts the counts into an object, as dxi_api_fields(). */
json_t *dxi_api_counts(json_t *object, const dxi_figures_t *figures);

#endif
