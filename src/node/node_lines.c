/* node_lines.c - the newest lines of the log, in a circle.
 *
 * Whoever logs copies one line under a mutex that is held for copies only; that is so rare that no
 * loop feels it, for a place in the code that logs often is silenced by the log.
 *
 * INVARIANTS
 *
 *   L1  line s lies at s mod DXI_LINES_MAX, for newest - DXI_LINES_MAX < s <= newest
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "node/node_lines.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "base/log_line.h"

/* Copies a text up to a bound, cut between two characters. */
static void text_copy(char *to, size_t room, const char *from)
{
    size_t bytes = strlen(from);
    if (bytes >= room) {
        bytes = room - 1;
        while (bytes > 0 && ((unsigned char)from[bytes] & 0xc0) == 0x80) {
            bytes--;
        }
    }
    memcpy(to, from, bytes);
    to[bytes] = '\0';
}

static void on_line(void *context, const dxi_log_record_t *record)
{
    dxi_lines_t *const lines = context;
    if (record->site->level < DX_LOG_LEVEL_INFO) {
        return;
    }
    (void)pthread_mutex_lock(&lines->mutex);
    dxi_line_t *const line = &lines->lines[++lines->newest % DXI_LINES_MAX];
    line->sequence = lines->newest;
    line->unix_ns = record->realtime_ns;
    line->level = record->site->level;
    text_copy(line->component, sizeof line->component, record->site->component);
    text_copy(line->message, sizeof line->message, record->message);
    (void)pthread_mutex_unlock(&lines->mutex);
}

int dxi_lines_open(dxi_lines_t *lines, dx_log_t *log, dx_error_t *error)
{
    lines->lines = dxi_alloc_zeroed(DXI_LINES_MAX, sizeof *lines->lines);
    if (lines->lines == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for %d lines of the log", DXI_LINES_MAX);
    }
    (void)pthread_mutex_init(&lines->mutex, NULL);
    lines->log = log;
    dxi_log_watch(log, on_line, lines);
    return DX_OK;
}

void dxi_lines_close(dxi_lines_t *lines)
{
    if (lines->lines != NULL) {
        dxi_log_watch(lines->log, NULL, NULL);
        (void)pthread_mutex_destroy(&lines->mutex);
        dxi_free(lines->lines);
        lines->lines = NULL;
    }
}

uint64_t dxi_lines_newest(dxi_lines_t *lines)
{
    (void)pthread_mutex_lock(&lines->mutex);
    const uint64_t newest = lines->newest;
    (void)pthread_mutex_unlock(&lines->mutex);
    return newest;
}

bool dxi_lines_next(dxi_lines_t *lines, uint64_t after, dx_log_level_t level, dxi_line_t *line_out,
                    uint64_t *lost_out)
{
    bool found = false;
    (void)pthread_mutex_lock(&lines->mutex);
    const uint64_t oldest = lines->newest >= DXI_LINES_MAX ? lines->newest - DXI_LINES_MAX + 1 : 1;
    uint64_t at = after + 1;
    if (at < oldest) {
        *lost_out += oldest - at;
        at = oldest;
    }
    for (; at <= lines->newest && !found; at++) { /* L1 */
        const dxi_line_t *const line = &lines->lines[at % DXI_LINES_MAX];
        if (line->level >= level) {
            *line_out = *line;
            found = true;
        }
    }
    (void)pthread_mutex_unlock(&lines->mutex);
    return found;
}
