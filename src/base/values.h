/* base/values.h - numbers and durations as people write them: in options and configurations.
 *
 * Whole numbers may have a multiplier: k M G are powers of 1000, Ki Mi Gi of 1024. Durations have a
 * unit: ns us ms s m h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BASE_VALUES_H
#define DXI_BASE_VALUES_H

#include <stdint.h>

#include "disruptorx/error.h"
#include "disruptorx/platform.h"

/* `name` ("--rate", "limits.connections_max") begins the sentence.
 * Return DX_OK, DX_EINVAL.
 * Threads: any. */
DX_NODISCARD int dxi_integer_parse(const char *name, const char *text, int64_t low, int64_t high,
                                   int64_t *value_out, dx_error_t *error);
DX_NODISCARD int dxi_power_parse(const char *name, const char *text, int64_t low, int64_t high,
                                 int64_t *value_out, dx_error_t *error);
DX_NODISCARD int dxi_duration_parse(const char *name, const char *text, int64_t low, int64_t high,
                                    int64_t *ns_out, dx_error_t *error);

#endif
