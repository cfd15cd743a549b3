/* base/options.h - the checks that every options struct needs, with one wording.
 *
 * An options struct has zero as the default of each field and ends in `uint64_t reserved[4]`. A
 * later version turns a reserved word into a field whose zero means "as before": so a newer library
 * reads an older caller's struct, and an older library refuses, by the check below, what it would
 * not honour.
 *
 * Each check returns DX_OK, or DX_EINVAL with a sentence that names the field, its value and the
 * rule. Threads: any.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BASE_OPTIONS_H
#define DXI_BASE_OPTIONS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "disruptorx/error.h"
#include "disruptorx/platform.h"

/* `value` must be from `low` to `high`. */
DX_NODISCARD int dxi_options_range(dx_error_t *error, const char *field, int64_t value, int64_t low,
                                   int64_t high);

/* `value` must be a power of two from `low` to `high`. */
DX_NODISCARD int dxi_options_power_of_two(dx_error_t *error, const char *field, uint64_t value,
                                          uint64_t low, uint64_t high);

/* `value` must be a multiple of `unit` from `low` to `high`. */
DX_NODISCARD int dxi_options_multiple(dx_error_t *error, const char *field, uint64_t value,
                                      uint64_t unit, uint64_t low, uint64_t high);

/* All `count` reserved words must be zero. */
DX_NODISCARD int dxi_options_reserved(dx_error_t *error, const uint64_t *reserved, size_t count);

/* The texts of options are kept as copies in one piece of memory: what a text takes there, with its
 * NUL; 0 for NULL. */
DX_INLINE size_t dxi_text_bytes(const char *text)
{
    return text != NULL ? strlen(text) + 1 : 0;
}

/* A copy of `text` at `*room`, which moves on; NULL for NULL. */
DX_INLINE const char *dxi_text_keep(char **room, const char *text)
{
    const size_t bytes = dxi_text_bytes(text);
    char *const kept = *room;
    if (text == NULL) {
        return NULL;
    }
    memcpy(kept, text, bytes);
    *room += bytes;
    return kept;
}

#endif
