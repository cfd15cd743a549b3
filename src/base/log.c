/* log.c - levels, the rate limit's place in the path of a line, and the sinks.
 *
 * DESIGN
 *
 *     level off? -> limit reached? -> format the message -> make the line -> lock, write, unlock
 *       return        count, return      (stack)              (stack)
 *
 * The two checks come first and take no lock, so a line that is not wanted costs a few ns. The lock
 * stands around the sink only: a callback is never called by two threads at once, and a line that
 * the kernel takes in two parts is not torn by another.
 *
 * A descriptor that takes only a part of a line and then refuses (a full pipe that does not block)
 * leaves an open end. The next line then begins with a newline, and the torn one counts as lost.
 *
 * INVARIANTS
 *
 *   I1  each line of an enabled level is written, or counted in suppressed_total or lost_total
 *   I2  lines of one thread keep their order
 *   I3  nothing is allocated after dx_log_create()
 *   I4  errno is the same after a log call as before
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disruptorx/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "base/log_line.h"
#include "base/log_sites.h"
#include "base/log_test.h"
#include "base/options.h"
#include "disruptorx/atomic.h"
#include "disruptorx/clock.h"
#include "disruptorx/thread.h"

struct dx_log {
    dx_atomic32_t level;
    dx_log_format_t format;
    int32_t fd;
    int32_t burst;
    dx_log_sink_fn sink;
    void *sink_context;
    int64_t (*monotonic_ns)(void);
    int64_t (*realtime_ns)(void);
    dx_atomic64_t suppressed_total;
    dx_atomic64_t lost_total;
    pthread_mutex_t lock; /* guards the sink, and what follows but the sites */
    bool torn;            /* the last line ended in its middle */
    dxi_log_watch_fn watch;
    void *watch_context;
    dxi_log_sites_t sites;
};

static const char *const level_names[] = {
    [DX_LOG_LEVEL_DEFAULT] = "default", [DX_LOG_LEVEL_TRACE] = "trace",
    [DX_LOG_LEVEL_DEBUG] = "debug",     [DX_LOG_LEVEL_INFO] = "info",
    [DX_LOG_LEVEL_WARN] = "warn",       [DX_LOG_LEVEL_ERROR] = "error",
    [DX_LOG_LEVEL_OFF] = "off",
};

const char *dx_log_level_name(dx_log_level_t level)
{
    const unsigned index = (unsigned)level;
    return index < sizeof(level_names) / sizeof(level_names[0]) ? level_names[index] : "unknown";
}

int dx_log_level_parse(const char *text, dx_log_level_t *level_out, dx_error_t *error)
{
    *level_out = DX_LOG_LEVEL_DEFAULT;
    for (int level = DX_LOG_LEVEL_TRACE; text != NULL && level <= DX_LOG_LEVEL_OFF; level++) {
        if (strcmp(text, level_names[level]) == 0) {
            *level_out = (dx_log_level_t)level;
            return DX_OK;
        }
    }
    return dxi_fail(error, DX_EPARSE,
                    "log level is \"%.40s\", must be trace, debug, info, warn, error or off",
                    text == NULL ? "" : text);
}

static int options_validate(const dx_log_options_t *o, dx_error_t *error)
{
    int rc = dxi_options_range(error, "level", (int64_t)o->level, DX_LOG_LEVEL_DEFAULT,
                               DX_LOG_LEVEL_OFF);
    if (rc == DX_OK) {
        rc = dxi_options_range(error, "format", (int64_t)o->format, DX_LOG_FORMAT_TEXT,
                               DX_LOG_FORMAT_JSON);
    }
    if (rc == DX_OK) {
        rc = dxi_options_range(error, "fd", o->fd, 0, INT32_MAX);
    }
    if (rc == DX_OK) {
        rc = dxi_options_range(error, "burst", o->burst, -1, DX_LOG_BURST_MAX);
    }
    if (rc == DX_OK) {
        rc = dxi_options_reserved(error, o->reserved, sizeof(o->reserved) / sizeof(o->reserved[0]));
    }
    return rc;
}

int dx_log_create(const dx_log_options_t *options, dx_log_t **log_out, dx_error_t *error)
{
    static const dx_log_options_t defaults = {0};
    const dx_log_options_t *const o = options == NULL ? &defaults : options;
    *log_out = NULL;
    const int rc = options_validate(o, error);
    if (rc != DX_OK) {
        return rc;
    }
    dx_log_t *const log = dxi_alloc_zeroed(1, sizeof(*log));
    if (log == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a log of %zu bytes", sizeof(*log));
    }
    const dx_log_level_t level = o->level == DX_LOG_LEVEL_DEFAULT ? DX_LOG_LEVEL_INFO : o->level;
    dx_store32_relaxed(&log->level, (int32_t)level);
    log->format = o->format;
    log->fd = o->fd == 0 ? STDERR_FILENO : o->fd;
    log->burst = o->burst == 0 ? DX_LOG_BURST_DEFAULT : o->burst;
    log->sink = o->sink;
    log->sink_context = o->sink_context;
    log->monotonic_ns = dx_clock_ns;
    log->realtime_ns = dx_clock_realtime_ns;
    (void)pthread_mutex_init(&log->lock, NULL); /* always 0 without attributes */
    *log_out = log;
    return DX_OK;
}

void dxi_log_set_clocks(dx_log_t *log, int64_t (*monotonic_ns)(void), int64_t (*realtime_ns)(void))
{
    log->monotonic_ns = monotonic_ns;
    log->realtime_ns = realtime_ns;
}

int dx_log_set_level(dx_log_t *log, dx_log_level_t level)
{
    if ((int)level < DX_LOG_LEVEL_TRACE || level > DX_LOG_LEVEL_OFF) {
        return DX_EINVAL;
    }
    dx_store32_relaxed(&log->level, (int32_t)level);
    return DX_OK;
}

bool dx_log_enabled(const dx_log_t *log, dx_log_level_t level)
{
    /* RELAXED: a changed level may be seen a little late, and orders nothing. */
    return log != NULL && (int32_t)level >= dx_load32_relaxed(&log->level);
}

int64_t dx_log_suppressed_count(const dx_log_t *log)
{
    return dx_load_relaxed(&log->suppressed_total);
}

int64_t dx_log_lost_count(const dx_log_t *log)
{
    return dx_load_relaxed(&log->lost_total);
}

/* Writes all bytes to the descriptor. Returns how many it took. */
static size_t write_all(int fd, const char *bytes, size_t count)
{
    size_t done = 0;
    while (done < count) {
        const ssize_t wrote = write(fd, bytes + done, count - done);
        if (wrote > 0) {
            done += (size_t)wrote;
        } else if (wrote == 0 || errno != EINTR) {
            break;
        }
    }
    return done;
}

/* Hands one line to the sink. Under the lock. */
static void deliver(dx_log_t *log, dx_log_level_t level, const char *line, size_t line_bytes)
{
    if (log->sink != NULL) {
        log->sink(log->sink_context, level, line, line_bytes);
        return;
    }
    if (log->torn && write_all(log->fd, "\n", 1) == 1) {
        log->torn = false;
    }
    const size_t done = log->torn ? 0 : write_all(log->fd, line, line_bytes);
    if (done < line_bytes) {
        log->torn = log->torn || done > 0;
        (void)dx_fetch_add_relaxed(&log->lost_total, 1);
    }
}

static void emit(dx_log_t *log, const dx_log_site_t *site, int64_t suppressed, const char *message)
{
    char line[DX_LOG_LINE_BYTES_MAX];
    const dxi_log_record_t record = {
        .site = site,
        .realtime_ns = log->realtime_ns(),
        .suppressed = suppressed,
        .thread_id = dx_thread_self_id(),
        .message = message,
    };
    const size_t line_bytes = dxi_log_line(log->format, &record, line);
    (void)pthread_mutex_lock(&log->lock);
    deliver(log, site->level, line, line_bytes);
    if (log->watch != NULL) {
        log->watch(log->watch_context, &record);
    }
    (void)pthread_mutex_unlock(&log->lock);
}

void dxi_log_watch(dx_log_t *log, dxi_log_watch_fn watch, void *context)
{
    (void)pthread_mutex_lock(&log->lock);
    log->watch = watch;
    log->watch_context = context;
    (void)pthread_mutex_unlock(&log->lock);
}

void dx_log_write(dx_log_t *log, const dx_log_site_t *site, const char *format, ...)
{
    if (!dx_log_enabled(log, site->level)) {
        return;
    }
    const int saved_errno = errno;
    int64_t suppressed = 0;
    if (log->burst >= 0) {
        dxi_log_slot_t *const slot = dxi_log_sites_find(&log->sites, site);
        if (!dxi_log_slot_admit(slot, log->monotonic_ns(), log->burst)) {
            (void)dx_fetch_add_relaxed(&log->suppressed_total, 1);
            errno = saved_errno;
            return;
        }
        suppressed = dxi_log_slot_take(slot);
    }
    /* One byte more than a line has room for: a message cut here is cut again, with its mark. */
    char message[DX_LOG_LINE_BYTES_MAX + 1];
    va_list arguments;
    va_start(arguments, format);
    if (vsnprintf(message, sizeof(message), format, arguments) < 0) {
        (void)snprintf(message, sizeof(message), "(message not printable: %.200s)", format);
    }
    va_end(arguments);
    emit(log, site, suppressed, message);
    errno = saved_errno;
}

void dx_log_flush(dx_log_t *log)
{
    static const dx_log_site_t crowd = {__FILE__, __LINE__, DX_LOG_LEVEL_WARN, "log"};
    const int saved_errno = errno;
    for (int i = 0; i <= DXI_LOG_SITES; i++) {
        dxi_log_slot_t *const slot = &log->sites.slots[i];
        const int64_t suppressed = dxi_log_slot_take(slot);
        if (suppressed == 0) {
            continue;
        }
        const int64_t address = dx_load_acquire(&slot->site);
        const dx_log_site_t *site = NULL;
        memcpy(&site, &address, sizeof(address));
        if (site == NULL) {
            emit(log, &crowd, suppressed, "lines of call sites beyond the table were suppressed");
        } else {
            emit(log, site, suppressed, "lines of this call site were suppressed");
        }
    }
    errno = saved_errno;
}

void dx_log_destroy(dx_log_t *log)
{
    if (log == NULL) {
        return;
    }
    dx_log_flush(log);
    (void)pthread_mutex_destroy(&log->lock);
    dxi_free(log);
}
