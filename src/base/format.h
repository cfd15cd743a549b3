/* base/format.h - numbers for eyes: thousands, durations, shares.
 *
 * Each function writes into a small buffer of the caller's and returns its text, so it can stand in
 * an argument list:
 *
 *     printf("%s events\n", dxi_format_count(&(dxi_text_t){0}, count));
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BASE_FORMAT_H
#define DXI_BASE_FORMAT_H

#include <stdint.h>

typedef struct dxi_text {
    char bytes[32];
} dxi_text_t;

/* "1,234,567". Threads: any. */
const char *dxi_format_count(dxi_text_t *text, int64_t value);

/* Three digits and a unit: "812 ns", "1.25 us", "17.4 ms", "3.02 s". Threads: any. */
const char *dxi_format_ns(dxi_text_t *text, int64_t ns);

/* "12.3 %" of `whole`; "-" when there is no whole. Threads: any. */
const char *dxi_format_share(dxi_text_t *text, int64_t part, int64_t whole);

/* One decimal and thousands: "1,234.5"; "-" for what is no number. Threads: any. */
const char *dxi_format_decimal(dxi_text_t *text, double value);

/* A name out of a ring's memory, at most 31 bytes of it, with "?" for each byte that a terminal
 * could take for a command. Threads: any. */
const char *dxi_format_name(dxi_text_t *text, const char *name);

/* Three digits and a unit: "512 B", "1.50 KiB", "392 MiB". Threads: any. */
const char *dxi_format_bytes(dxi_text_t *text, uint64_t bytes);

#endif
