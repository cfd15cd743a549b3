/* bus/options.h - what can be said about options without a bus.
 *
 * Used by both sides: the bus (src/bus) and the client (src/client), which so refuses before it
 * sends, with the same sentences.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BUS_OPTIONS_H
#define DXI_BUS_OPTIONS_H

#include "disruptorx/bus.h"

/* Numbers, choices, the texts of names. Not the pattern, the filter and the dead-letter topic.
 * Returns DX_OK, DX_EINVAL. Threads: any, here and below. */
DX_NODISCARD int dxi_subscription_options_check(const dx_subscription_options_t *options,
                                                dx_error_t *error);

/* Returns DX_OK, DX_EINVAL. */
DX_NODISCARD int dxi_topic_options_check(const dx_topic_options_t *options, dx_error_t *error);

#endif
