/* cli/stat_print.h - one ring, or a list of rings, for eyes and for programs.
 *
 * Threads: main.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_STAT_PRINT_H
#define DXI_CLI_STAT_PRINT_H

#include <stdio.h>

#include "base/format.h"
#include "cli/json.h"
#include "cli/stat_look.h"

/* The ring at `place`. `before` is the look before, for the rates; NULL: none. `is_gone` says that
 * the file has lost its name since. */
void dxi_stat_print(FILE *stream, const dxi_ring_place_t *place, const dxi_stat_look_t *before,
                    const dxi_stat_look_t *now, bool is_gone);
void dxi_stat_json(dxi_json_t *json, const dxi_ring_place_t *place, const dxi_stat_look_t *before,
                   const dxi_stat_look_t *now, bool is_gone);

/* "[#####-----]", `width` columns wide with its brackets. */
const char *dxi_fill_bar(char *text_out, size_t text_bytes, int64_t part, int64_t whole,
                         int32_t width);

/* "1,234 /s", "-" when it is not known. */
const char *dxi_format_rate(dxi_text_t *text, double per_second);

#endif
