/* base/log_line.h - how one log line is put together, apart from where it goes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BASE_LOG_LINE_H
#define DXI_BASE_LOG_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "disruptorx/log.h"
#include "disruptorx/platform.h"

/* "2026-01-31T09:30:00.123456789Z" and its NUL. */
#define DXI_TIMESTAMP_BYTES 31

/* Everything a line says. */
typedef struct dxi_log_record {
    const dx_log_site_t *site;
    int64_t realtime_ns; /* since 1970, not negative */
    int64_t suppressed;  /* lines of this site left out before this one */
    int32_t thread_id;
    const char *message;
} dxi_log_record_t;

/* Is given each line of a log beside its sink, in the thread that logs, by one thread at a time. It
 * must not log to the same log, nor wait. */
typedef void (*dxi_log_watch_fn)(void *context, const dxi_log_record_t *record);

/* Sets who watches; NULL: nobody. When it returns, who watched before is not called any more.
 * Threads: any. */
void dxi_log_watch(dx_log_t *log, dxi_log_watch_fn watch, void *context);

/* Writes RFC 3339 in UTC, for the years 1970 to 2261.
 * Threads: any. */
void dxi_timestamp_format(int64_t realtime_ns, char text_out[DXI_TIMESTAMP_BYTES]);

/* Writes the line with its newline and a NUL. A message that does not fit is cut between two
 * characters and marked "..."; what follows it in the line is always there. Returns the length,
 * which is below DX_LOG_LINE_BYTES_MAX.
 * Threads: any. */
size_t dxi_log_line(dx_log_format_t format, const dxi_log_record_t *record,
                    char line_out[DX_LOG_LINE_BYTES_MAX]);

/* Writes a text as a line has it, escaped, without quotes, cut with "..." where it does not fit,
 * and a NUL: `room` (at least 8) bytes at most. Returns the length.
 * Threads: any. */
size_t dxi_log_escape(dx_log_format_t format, const char *text, size_t bytes, char *text_out,
                      size_t room);

/* The length of the UTF-8 character at `text`, 1 to 4, of at most `bytes` bytes; 0 when there is
 * none: a stray byte, a cut, an overlong form, a surrogate, or beyond U+10FFFF.
 * Threads: any. */
size_t dxi_utf8_length(const char *text, size_t bytes);

#endif
