/* options.c - the checks of options, each with its sentence.
 *
 * INVARIANT: a sentence names the field as the caller wrote it, the value found and the whole rule.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/options.h"

#include <inttypes.h>

#include "base/fail.h"

int dxi_options_range(dx_error_t *error, const char *field, int64_t value, int64_t low,
                      int64_t high)
{
    if (value < low || value > high) {
        return dxi_fail(error, DX_EINVAL, "%s is %" PRId64 ", must be from %" PRId64 " to %" PRId64,
                        field, value, low, high);
    }
    return DX_OK;
}

int dxi_options_power_of_two(dx_error_t *error, const char *field, uint64_t value, uint64_t low,
                             uint64_t high)
{
    if (value < low || value > high || value == 0 || (value & (value - 1)) != 0) {
        return dxi_fail(error, DX_EINVAL,
                        "%s is %" PRIu64 ", must be a power of two from %" PRIu64 " to %" PRIu64,
                        field, value, low, high);
    }
    return DX_OK;
}

int dxi_options_multiple(dx_error_t *error, const char *field, uint64_t value, uint64_t unit,
                         uint64_t low, uint64_t high)
{
    if (value < low || value > high || value % unit != 0) {
        return dxi_fail(error, DX_EINVAL,
                        "%s is %" PRIu64 ", must be a multiple of %" PRIu64 " from %" PRIu64
                        " to %" PRIu64,
                        field, value, unit, low, high);
    }
    return DX_OK;
}

int dxi_options_reserved(dx_error_t *error, const uint64_t *reserved, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (reserved[i] != 0) {
            return dxi_fail(error, DX_EINVAL,
                            "reserved[%zu] is %" PRIu64 ", must be 0: this library does not know "
                            "the option",
                            i, reserved[i]);
        }
    }
    return DX_OK;
}
