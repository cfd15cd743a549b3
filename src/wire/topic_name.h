/* wire/topic_name.h - names of topics, and patterns of subscriptions.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_WIRE_TOPIC_NAME_H
#define DXI_WIRE_TOPIC_NAME_H

#include <stdbool.h>
#include <stddef.h>

#include "disruptorx/error.h"
#include "disruptorx/frame.h"

#define DXI_TOPIC_TOKENS_MAX 32 /* parts between dots; DX_TOPIC_TOKENS_MAX */

/* Returns DX_OK, or DX_EINVAL with the sentence. Threads: any. */
DX_NODISCARD int dxi_topic_check(const char *name, size_t bytes, dx_error_t *error);
DX_NODISCARD int dxi_pattern_check(const char *pattern, size_t bytes, dx_error_t *error);
bool dxi_pattern_matches(const char *pattern, size_t pattern_bytes, const char *name,
                         size_t name_bytes);

#endif
