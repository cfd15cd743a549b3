/* audit.c - the audit log: lines in a bounded buffer, and a thread that writes them.
 *
 * DESIGN
 *
 *     loops, commands, HTTP --put: a line--> buffer (1 MiB) --thread "audit"--> file
 *
 * Who does something leaves a line and goes on: it takes a mutex for as long as a copy, and never
 * waits for a disk. The thread takes out what is there, up to half of the buffer, and writes it.
 * When the disk refuses (it is full), it tries again each second, and lines collect; when the
 * buffer has no room for one, it is lost and counted. The first thing that is written when there is
 * room again is how many were lost. The log says once that writing fails, and once that it goes on.
 *
 * Refusals ("refused", "connect_refused") are what strangers can have written as often as they
 * like, so they are bounded: DXI_AUDIT_REFUSALS_PER_S of one user at one host. A few places count
 * them, by a hash of both; who shares a place shares its bound, so that no number of hosts fills
 * the disk. How many were left out is written, and logged, a second after it began, and at the end.
 *
 *     {"time":"2026-01-31T09:30:00.123456789Z","event":"refused","user":"pump-7", ...}
 *
 * Another file (dxi_audit_move()) is taken between two lines: a line of which a part was written to
 * the old file is written to the new one as a whole.
 *
 * INVARIANTS
 *
 *   A1  nobody who puts a line waits for the file
 *   A2  lines of a file are whole JSON objects, but for the last one of a file that was full
 *   A3  written + lost + waiting = put; what is suppressed was not put
 *
 * THREADS. `mutex` guards everything but the batch, which is the thread's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/audit.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "base/log_line.h"
#include "disruptorx/clock.h"
#include "disruptorx/thread.h"

#define BATCH_BYTES (DXI_AUDIT_BUFFER_BYTES / 2)
#define SECOND_NS INT64_C(1000000000)
#define RETRY_NS SECOND_NS
#define TEXT_BYTES_MAX 700 /* of one text in a line, escaped */
#define PLACES 16          /* that refusals are counted in; a power of two */

typedef struct place {
    int64_t since_ns; /* the second that is counted; 0: none was yet */
    uint32_t lines;
} place_t;

struct dxi_audit {
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* lines, a file, the end; lines that were written */
    dx_log_t *log;
    dx_thread_t *thread;
    int fd;      /* -1: no file */
    int next_fd; /* to be taken; meaningful when `moves` */
    bool moves, ends;
    char *buffer; /* lines, one behind the other */
    size_t used;
    uint64_t put, lost, lost_told; /* lines */
    place_t places[PLACES];
    uint64_t suppressed, suppressed_told; /* refusals that were left out */
    int64_t suppressed_ns;                /* when the first of those that were not told was */
    dxi_audit_stat_t stat;

    /* The thread's. */
    char *batch;
    size_t batch_bytes, batch_at;
    uint64_t batch_lines;
};

/* --------------------------------------------------------------------------------------- a line */

typedef struct line {
    char *text;
    size_t used;
} line_t;

static void add(line_t *line, const char *text)
{
    const size_t bytes = strlen(text);
    memcpy(line->text + line->used, text, bytes + 1);
    line->used += bytes;
}

static void add_text(line_t *line, const char *key, const char *value)
{
    if (value == NULL) {
        return;
    }
    add(line, ",\"");
    add(line, key);
    add(line, "\":\"");
    line->used += dxi_log_escape(DX_LOG_FORMAT_JSON, value, strlen(value), line->text + line->used,
                                 TEXT_BYTES_MAX);
    add(line, "\"");
}

static void add_number(line_t *line, const char *key, uint64_t value)
{
    char text[96];
    (void)snprintf(text, sizeof text, ",\"%s\":%" PRIu64, key, value);
    add(line, text);
}

/* Five texts at most, and what stands around them. */
_Static_assert(5 * TEXT_BYTES_MAX + 512 <= DXI_AUDIT_LINE_BYTES_MAX, "a line has room");

size_t dxi_audit_line(const dxi_access_event_t *event, int64_t realtime_ns,
                      char line_out[DXI_AUDIT_LINE_BYTES_MAX])
{
    char time[DXI_TIMESTAMP_BYTES];
    line_t line = {.text = line_out};
    dxi_timestamp_format(realtime_ns, time);
    add(&line, "{\"time\":\"");
    add(&line, time);
    add(&line, "\",\"event\":\"");
    add(&line, event->event);
    add(&line, "\"");
    add_text(&line, "user", event->user);
    add_text(&line, "address", event->address);
    add_text(&line, "action", event->action);
    add_text(&line, "object", event->object);
    add(&line, ",\"result\":\"");
    add(&line, event->code >= 0 ? "DX_OK" : dx_error_name(event->code));
    add(&line, "\"");
    add_text(&line, "reason", event->reason);
    if (event->repeated != 0) {
        add_number(&line, "repeated", event->repeated);
    }
    add(&line, "}\n");
    return line.used;
}

/* -------------------------------------------------------------------------------------- putting */

/* Under the mutex. */
static bool line_put(dxi_audit_t *audit, const char *line, size_t bytes)
{
    if (bytes > DXI_AUDIT_BUFFER_BYTES - audit->used) {
        return false;
    }
    memcpy(audit->buffer + audit->used, line, bytes);
    audit->used += bytes;
    return true;
}

/* How many lines were lost since it was last said. Under the mutex; false: no room yet. */
static bool loss_put(dxi_audit_t *audit)
{
    char text[DXI_AUDIT_LINE_BYTES_MAX];
    char reason[96];
    if (audit->lost == audit->lost_told) {
        return true;
    }
    (void)snprintf(reason, sizeof reason, "%" PRIu64 " lines found no room and are not here",
                   audit->lost - audit->lost_told);
    const dxi_access_event_t event = {.event = "lost", .code = DX_EDROPPED, .reason = reason};
    if (!line_put(audit, text, dxi_audit_line(&event, dx_clock_realtime_ns(), text))) {
        return false;
    }
    audit->put++;
    audit->lost_told = audit->lost;
    return true;
}

/* FNV-1a. */
static uint32_t hash_more(uint32_t hash, const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        hash = (hash ^ (unsigned char)text[i]) * UINT32_C(16777619);
    }
    return hash;
}

/* That of its user and host: an address without the port, which changes. */
static place_t *place_of(dxi_audit_t *audit, const dxi_access_event_t *event)
{
    const char *const user = event->user != NULL ? event->user : "";
    const char *const address = event->address != NULL ? event->address : "";
    const char *const port = strrchr(address, ':');
    uint32_t hash = hash_more(UINT32_C(2166136261), user, strlen(user) + 1);
    hash = hash_more(hash, address, port != NULL ? (size_t)(port - address) : strlen(address));
    return &audit->places[(hash ^ hash >> 16) % PLACES];
}

/* Whether it is a refusal beyond what is written of one user at one host. Under the mutex. */
static bool is_too_much(dxi_audit_t *audit, const dxi_access_event_t *event)
{
    if (strcmp(event->event, "refused") != 0 && strcmp(event->event, "connect_refused") != 0) {
        return false;
    }
    place_t *const place = place_of(audit, event);
    const int64_t now_ns = dx_clock_ns();
    if (place->since_ns == 0 || now_ns - place->since_ns >= SECOND_NS) {
        *place = (place_t){.since_ns = now_ns};
    }
    if (place->lines < DXI_AUDIT_REFUSALS_PER_S) {
        place->lines++;
        return false;
    }
    if (audit->suppressed == audit->suppressed_told) {
        audit->suppressed_ns = now_ns;
    }
    audit->suppressed += 1 + event->repeated;
    return true;
}

/* How many refusals were left out, when the first of them is a second ago. Under the mutex. */
static void suppressed_put(dxi_audit_t *audit)
{
    char text[DXI_AUDIT_LINE_BYTES_MAX];
    char reason[128];
    const uint64_t count = audit->suppressed - audit->suppressed_told;
    if (count == 0 || (!audit->ends && dx_clock_ns() - audit->suppressed_ns < SECOND_NS)) {
        return;
    }
    (void)snprintf(reason, sizeof reason,
                   "%" PRIu64 " refusals are not here: more than %d a second of one user and host",
                   count, DXI_AUDIT_REFUSALS_PER_S);
    const dxi_access_event_t event = {
        .event = "suppressed", .code = DX_EDROPPED, .reason = reason, .repeated = count};
    if (line_put(audit, text, dxi_audit_line(&event, dx_clock_realtime_ns(), text))) {
        audit->put++;
        audit->suppressed_told = audit->suppressed;
        DX_LOG_WARN(audit->log, "access", "the audit log: %s", reason);
    }
}

void dxi_audit_put(dxi_audit_t *audit, const dxi_access_event_t *event)
{
    char text[DXI_AUDIT_LINE_BYTES_MAX];
    (void)pthread_mutex_lock(&audit->mutex);
    bool wanted = audit->thread != NULL && (audit->moves ? audit->next_fd : audit->fd) >= 0;
    if (wanted && is_too_much(audit, event)) {
        wanted = false;
        (void)pthread_cond_broadcast(&audit->changed); /* the thread will say so */
    }
    (void)pthread_mutex_unlock(&audit->mutex);
    if (!wanted) {
        return;
    }
    const size_t bytes = dxi_audit_line(event, dx_clock_realtime_ns(), text);
    (void)pthread_mutex_lock(&audit->mutex);
    audit->put++;
    if (!loss_put(audit) || !line_put(audit, text, bytes)) {
        audit->lost++;
    }
    (void)pthread_cond_broadcast(&audit->changed);
    (void)pthread_mutex_unlock(&audit->mutex);
}

/* -------------------------------------------------------------------------------------- writing */

/* Takes another file. A line that was written in part begins again. Under the mutex. */
static void file_take(dxi_audit_t *audit)
{
    if (!audit->moves) {
        return;
    }
    while (audit->batch_at > 0 && audit->batch_at < audit->batch_bytes &&
           audit->batch[audit->batch_at - 1] != '\n') {
        audit->batch_at--;
    }
    if (audit->fd >= 0) {
        (void)close(audit->fd);
    }
    audit->fd = audit->next_fd;
    audit->moves = false;
}

/* Takes whole lines out of the buffer. Under the mutex. */
static void batch_take(dxi_audit_t *audit)
{
    size_t bytes = audit->used < BATCH_BYTES ? audit->used : BATCH_BYTES;
    while (audit->buffer[bytes - 1] != '\n') {
        bytes--;
    }
    memcpy(audit->batch, audit->buffer, bytes);
    memmove(audit->buffer, audit->buffer + bytes, audit->used - bytes);
    audit->used -= bytes;
    audit->batch_bytes = bytes;
    audit->batch_at = 0;
    audit->batch_lines = 0;
    for (size_t i = 0; i < bytes; i++) {
        audit->batch_lines += audit->batch[i] == '\n';
    }
}

/* Writes the batch. Returns 0, or the errno of what failed. Without the mutex. */
static int batch_write(dxi_audit_t *audit, int fd)
{
    while (audit->batch_at < audit->batch_bytes) {
        const ssize_t wrote =
            dxi_fault("audit write")
                ? (errno = ENOSPC, -1)
                : write(fd, audit->batch + audit->batch_at, audit->batch_bytes - audit->batch_at);
        if (wrote < 0 && errno != EINTR) {
            return errno;
        }
        audit->batch_at += wrote > 0 ? (size_t)wrote : 0;
    }
    return 0;
}

static void wait_for(dxi_audit_t *audit, int64_t timeout_ns)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ns / INT64_C(1000000000);
    until.tv_nsec += timeout_ns % INT64_C(1000000000);
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    (void)pthread_cond_timedwait(&audit->changed, &audit->mutex, &until);
}

/* Under the mutex: what a write has come to. */
static void outcome_note(dxi_audit_t *audit, int os_errno)
{
    if (os_errno == 0) {
        audit->stat.lines += audit->batch_lines;
        audit->batch_bytes = audit->batch_at = 0;
        if (audit->stat.failing) {
            audit->stat.failing = false;
            DX_LOG_INFO(audit->log, "access", "the audit log is written again");
        }
        (void)pthread_cond_broadcast(&audit->changed);
        return;
    }
    audit->stat.failures++;
    if (!audit->stat.failing) {
        audit->stat.failing = true;
        DX_LOG_ERROR(audit->log, "access",
                     "the audit log can't be written: %s; lines collect, up to %zu bytes",
                     strerror(os_errno), DXI_AUDIT_BUFFER_BYTES);
    }
}

/* Until there is something to do; at the latest when it is to be said what was left out. */
static void wait_idle(dxi_audit_t *audit)
{
    if (audit->fd < 0 || audit->suppressed == audit->suppressed_told) {
        (void)pthread_cond_wait(&audit->changed, &audit->mutex);
        return;
    }
    const int64_t left_ns = audit->suppressed_ns + SECOND_NS - dx_clock_ns();
    if (left_ns > 0) {
        wait_for(audit, left_ns);
    }
}

static void run(void *context)
{
    dxi_audit_t *const audit = context;
    (void)pthread_mutex_lock(&audit->mutex);
    for (;;) {
        file_take(audit);
        if (audit->batch_bytes == 0) {
            (void)loss_put(audit);
            suppressed_put(audit);
        }
        if (audit->batch_bytes == 0 && audit->used > 0) {
            batch_take(audit);
        }
        if (audit->batch_bytes == 0 || audit->fd < 0) {
            if (audit->ends) {
                break;
            }
            wait_idle(audit);
            continue;
        }
        const int fd = audit->fd; /* only this thread closes it */
        (void)pthread_mutex_unlock(&audit->mutex);
        const int os_errno = batch_write(audit, fd);
        (void)pthread_mutex_lock(&audit->mutex);
        outcome_note(audit, os_errno);
        if (os_errno != 0) {
            if (audit->ends) {
                break;
            }
            const int64_t until_ns = dx_clock_ns() + RETRY_NS;
            for (int64_t left = RETRY_NS; left > 0 && !audit->ends && !audit->moves;
                 left = until_ns - dx_clock_ns()) {
                wait_for(audit, left);
            }
        }
    }
    (void)pthread_mutex_unlock(&audit->mutex);
}

/* ----------------------------------------------------------------------------------------- life */

int dxi_audit_create(dx_log_t *log, dxi_audit_t **audit_out, dx_error_t *error)
{
    *audit_out = NULL;
    dxi_audit_t *const audit = dxi_alloc_zeroed(1, sizeof *audit);
    if (audit == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for the audit log");
    }
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&audit->mutex, NULL);
    (void)pthread_cond_init(&audit->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    audit->log = log;
    audit->fd = -1;
    *audit_out = audit;
    return DX_OK;
}

void dxi_audit_destroy(dxi_audit_t *audit)
{
    if (audit == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&audit->mutex);
    audit->ends = true;
    (void)pthread_cond_broadcast(&audit->changed);
    (void)pthread_mutex_unlock(&audit->mutex);
    (void)dx_thread_join(audit->thread);
    if (audit->moves && audit->next_fd >= 0) {
        (void)close(audit->next_fd);
    }
    if (audit->fd >= 0) {
        (void)close(audit->fd);
    }
    dxi_free(audit->buffer);
    dxi_free(audit->batch);
    (void)pthread_cond_destroy(&audit->changed);
    (void)pthread_mutex_destroy(&audit->mutex);
    dxi_free(audit);
}

/* With the first file. */
static int thread_begin(dxi_audit_t *audit, dx_error_t *error)
{
    audit->buffer = dxi_alloc_zeroed(1, DXI_AUDIT_BUFFER_BYTES);
    audit->batch = dxi_alloc_zeroed(1, BATCH_BYTES);
    dx_thread_t *thread = NULL;
    int code =
        audit->buffer == NULL || audit->batch == NULL
            ? dxi_fail(error, DX_ENOMEM, "no memory for the audit log")
            : dx_thread_start(&(dx_thread_options_t){.name = "audit"}, run, audit, &thread, error);
    if (code != DX_OK) {
        dxi_free(audit->buffer);
        dxi_free(audit->batch);
        audit->buffer = audit->batch = NULL;
        return code;
    }
    (void)pthread_mutex_lock(&audit->mutex);
    audit->thread = thread;
    (void)pthread_mutex_unlock(&audit->mutex);
    return DX_OK;
}

int dxi_audit_begin(dxi_audit_t *audit, dx_error_t *error)
{
    /* One caller at a time: nobody else changes it. */
    return audit->thread != NULL ? DX_OK : thread_begin(audit, error);
}

int dxi_audit_move(dxi_audit_t *audit, int fd, dx_error_t *error)
{
    if (fd < 0 && audit->thread == NULL) {
        return DX_OK;
    }
    const int code = dxi_audit_begin(audit, error);
    if (code != DX_OK) {
        (void)close(fd);
        return code;
    }
    (void)pthread_mutex_lock(&audit->mutex);
    if (audit->moves && audit->next_fd >= 0) {
        (void)close(audit->next_fd);
    }
    audit->next_fd = fd;
    audit->moves = true;
    (void)pthread_cond_broadcast(&audit->changed);
    (void)pthread_mutex_unlock(&audit->mutex);
    return DX_OK;
}

void dxi_audit_flush(dxi_audit_t *audit, int64_t timeout_ns)
{
    const int64_t until_ns = dx_clock_ns() + timeout_ns;
    (void)pthread_mutex_lock(&audit->mutex);
    const uint64_t wanted = audit->put - audit->lost;
    for (int64_t left = timeout_ns; audit->stat.lines < wanted && left > 0;
         left = until_ns - dx_clock_ns()) {
        wait_for(audit, left);
    }
    (void)pthread_mutex_unlock(&audit->mutex);
}

void dxi_audit_stat(dxi_audit_t *audit, dxi_audit_stat_t *stat_out)
{
    (void)pthread_mutex_lock(&audit->mutex);
    *stat_out = audit->stat;
    stat_out->lost = audit->lost;
    stat_out->suppressed = audit->suppressed;
    (void)pthread_mutex_unlock(&audit->mutex);
}
