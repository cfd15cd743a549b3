/* disruptorx/log.h - lines for people (text) or machines (JSON), limited per call site.
 *
 *     DX_LOG_WARN(log, "journal", "sync took %lld us", (long long)took_us);
 *
 * gives, in the two formats,
 *
 *     2026-01-31T09:30:00.123456789Z WARN  journal: sync took 1207 us (src/store/journal.c:88)
 *     {"ts":"2026-01-31T09:30:00.123456789Z","level":"warn","component":"journal", (one line)
 *      "message":"sync took 1207 us","file":"src/store/journal.c","line":88,"tid":4711}
 *
 * A call site that logs more than `burst` lines in a second is silenced for the rest of it. Nothing
 * is silent for good: its next line carries the number left out (`[+17 suppressed]`, or
 * `"suppressed":17`), and dx_log_flush() and dx_log_destroy() tell those that had no next line.
 *
 * A line is one write to the sink, and nothing is allocated. Control characters and invalid UTF-8
 * in a message are escaped in both formats, so no message can forge a line. A line above
 * DX_LOG_LINE_BYTES_MAX is cut and marked with "...".
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DISRUPTORX_LOG_H
#define DISRUPTORX_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "disruptorx/error.h"
#include "disruptorx/platform.h"

DX_EXTERN_C_BEGIN

typedef struct dx_log dx_log_t; /* opaque */

/* How much a line matters. */
typedef enum dx_log_level {
    DX_LOG_LEVEL_DEFAULT = 0, /* in options only: INFO */
    DX_LOG_LEVEL_TRACE = 1,
    DX_LOG_LEVEL_DEBUG = 2,
    DX_LOG_LEVEL_INFO = 3,
    DX_LOG_LEVEL_WARN = 4,
    DX_LOG_LEVEL_ERROR = 5,
    DX_LOG_LEVEL_OFF = 6 /* in options only: no line at all */
} dx_log_level_t;

/* How a line looks. */
typedef enum dx_log_format { DX_LOG_FORMAT_TEXT = 0, DX_LOG_FORMAT_JSON = 1 } dx_log_format_t;

#define DX_LOG_LINE_BYTES_MAX 4096 /* with its newline */
#define DX_LOG_COMPONENT_MAX 31    /* bytes; a longer one is cut */
#define DX_LOG_BURST_DEFAULT 10    /* lines a second of one call site */
#define DX_LOG_BURST_MAX 1000000000

/* Receives a whole line, which ends in a newline (and a NUL that `line_bytes` does not count).
 * Called by one thread at a time; it must not log to the same log. */
typedef void (*dx_log_sink_fn)(void *context, dx_log_level_t level, const char *line,
                               size_t line_bytes);

/* How to log. All zero, or a NULL pointer: text to standard error, INFO and above. */
typedef struct dx_log_options {
    dx_log_level_t level;
    dx_log_format_t format;
    int32_t fd;          /* where lines go without a sink; 0: standard error. Stays the caller's */
    int32_t burst;       /* lines a second of one call site; 0: 10; -1: no limit */
    dx_log_sink_fn sink; /* takes the place of `fd` */
    void *sink_context;
    uint64_t reserved[4]; /* zero */
} dx_log_options_t;

/* A place in the code that logs. Made by the macros below; constant. */
typedef struct dx_log_site {
    const char *file;
    int32_t line;
    dx_log_level_t level;
    const char *component;
} dx_log_site_t;

/* Makes a log and stores it in `*log_out` (NULL on failure). The caller ends it with
 * dx_log_destroy().
 * Returns DX_OK, DX_EINVAL, DX_ENOMEM.
 * Threads: any. */
DX_API DX_NODISCARD int dx_log_create(const dx_log_options_t *options, dx_log_t **log_out,
                                      dx_error_t *error);

/* Tells what was suppressed and frees the log; NULL is allowed.
 * Threads: owner, after everybody's last line. */
DX_API void dx_log_destroy(dx_log_t *log);

/* Changes the level while in use. DX_EINVAL for none of TRACE .. OFF.
 * Threads: any. */
DX_API int dx_log_set_level(dx_log_t *log, dx_log_level_t level);

/* Whether a line of this level would be written; false when `log` is NULL.
 * Threads: any. */
DX_API bool dx_log_enabled(const dx_log_t *log, dx_log_level_t level);

/* Writes a line for each call site that suppressed lines and had no line since.
 * Threads: any. */
DX_API void dx_log_flush(dx_log_t *log);

/* Lines suppressed by the limit since the start, and lines the sink's descriptor did not take.
 * Threads: any. */
DX_API int64_t dx_log_suppressed_count(const dx_log_t *log);
DX_API int64_t dx_log_lost_count(const dx_log_t *log);

/* Reads a level's name ("trace", "debug", "info", "warn", "error", "off"), as in a configuration.
 * Returns DX_OK, DX_EPARSE.
 * Threads: any. */
DX_API DX_NODISCARD int dx_log_level_parse(const char *text, dx_log_level_t *level_out,
                                           dx_error_t *error);

/* The name of a level, in lower case; "unknown" for another number.
 * Threads: any. */
DX_API const char *dx_log_level_name(dx_log_level_t level);

/* Writes one line. Use the macros. `site` must live as long as the log; `log` may be NULL.
 * Threads: any. */
DX_API DX_PRINTF(3, 4) void dx_log_write(dx_log_t *log, const dx_log_site_t *site,
                                         const char *format, ...);

/* DX_LOG_*(log, "component", "format", ...) */
#define DX_LOG(log, log_level, component_text, ...)                                                \
    do {                                                                                           \
        static const dx_log_site_t dx_log_site_here = {__FILE__, __LINE__, (log_level),            \
                                                       (component_text)};                          \
        dx_log_write((log), &dx_log_site_here, __VA_ARGS__);                                       \
    } while (0)
#define DX_LOG_TRACE(log, component, ...) DX_LOG(log, DX_LOG_LEVEL_TRACE, component, __VA_ARGS__)
#define DX_LOG_DEBUG(log, component, ...) DX_LOG(log, DX_LOG_LEVEL_DEBUG, component, __VA_ARGS__)
#define DX_LOG_INFO(log, component, ...) DX_LOG(log, DX_LOG_LEVEL_INFO, component, __VA_ARGS__)
#define DX_LOG_WARN(log, component, ...) DX_LOG(log, DX_LOG_LEVEL_WARN, component, __VA_ARGS__)
#define DX_LOG_ERROR(log, component, ...) DX_LOG(log, DX_LOG_LEVEL_ERROR, component, __VA_ARGS__)

DX_EXTERN_C_END

#endif
