/* log_line.c - one log line as text or JSON.
 *
 * DESIGN
 *
 * A line is head, message, tail. The tail (place, thread, suppressed count) is written first, into
 * a buffer of its own, so that the room for the message is known; the message then goes in unit by
 * unit, a unit being one character or its escape, until the room is used up.
 *
 * INVARIANTS
 *
 *   I1  a line has exactly one newline, its last byte
 *   I2  a line is valid UTF-8, and a JSON line is one valid JSON object, whatever the message holds
 *   I3  no unit is cut, and a cut message ends in "..."
 *   I4  head + tail leave at least half of DX_LOG_LINE_BYTES_MAX for the message
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/log_line.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "disruptorx/clock.h"

enum { TAIL_BYTES = 1536, FILE_BYTES_MAX = 200, UNIT_BYTES = 8 };

/* A bounded piece of a line. */
typedef struct piece {
    char *text;
    size_t length;
    size_t max; /* without a NUL */
    bool truncated;
} piece_t;

/* Adds bytes as a whole or, where they do not fit, not at all. */
static void append(piece_t *piece, const char *bytes, size_t count)
{
    if (piece->truncated || count > piece->max - piece->length) {
        piece->truncated = true;
        return;
    }
    memcpy(piece->text + piece->length, bytes, count);
    piece->length += count;
}

static void append_text(piece_t *piece, const char *text)
{
    append(piece, text, strlen(text));
}

static void append_number(piece_t *piece, int64_t number)
{
    char text[24];
    const int length = snprintf(text, sizeof(text), "%" PRId64, number);
    append(piece, text, (size_t)length);
}

size_t dxi_utf8_length(const char *text, size_t bytes)
{
    const unsigned char *const b = (const unsigned char *)text;
    size_t length = 0;
    uint32_t point = 0;
    if (bytes == 0) {
        return 0;
    }
    if (b[0] < 0x80) {
        return 1;
    }
    if (b[0] >= 0xC2 && b[0] <= 0xDF) {
        length = 2;
        point = b[0] & 0x1FU;
    } else if (b[0] >= 0xE0 && b[0] <= 0xEF) {
        length = 3;
        point = b[0] & 0x0FU;
    } else if (b[0] >= 0xF0 && b[0] <= 0xF4) {
        length = 4;
        point = b[0] & 0x07U;
    }
    if (length == 0 || length > bytes) {
        return 0;
    }
    for (size_t i = 1; i < length; i++) {
        if ((b[i] & 0xC0U) != 0x80U) {
            return 0;
        }
        point = point << 6 | (b[i] & 0x3FU);
    }
    const bool overlong = (length == 3 && point < 0x800) || (length == 4 && point < 0x10000);
    const bool surrogate = point >= 0xD800 && point <= 0xDFFF;
    return overlong || surrogate || point > 0x10FFFF ? 0 : length;
}

/* The short escape of a character, or 0. */
static char short_escape(unsigned char c)
{
    switch (c) {
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return 0;
    }
}

/* Turns what stands at `text` into a unit for the line. Returns the bytes of `text` it took. */
static size_t unit_of(dx_log_format_t format, const char *text, size_t bytes, char *unit_out)
{
    const bool json = format == DX_LOG_FORMAT_JSON;
    const unsigned char c = (unsigned char)text[0];
    const size_t length = dxi_utf8_length(text, bytes);
    const bool is_c1 = length == 2 && c == 0xC2 && (unsigned char)text[1] < 0xA0;
    if (length == 0) { /* JSON has no bytes, so it gets the replacement character */
        (void)snprintf(unit_out, UNIT_BYTES, json ? "\\ufffd" : "\\x%02x", c);
        return 1;
    }
    if (is_c1) { /* terminals take U+0080 to U+009F for commands */
        (void)snprintf(unit_out, UNIT_BYTES, "\\u%04x", (unsigned)(unsigned char)text[1]);
    } else if (short_escape(c) != 0) {
        (void)snprintf(unit_out, UNIT_BYTES, "\\%c", short_escape(c));
    } else if (c < 0x20 || c == 0x7F) {
        (void)snprintf(unit_out, UNIT_BYTES, json ? "\\u%04x" : "\\x%02x", c);
    } else if (json && (c == '"' || c == '\\')) {
        (void)snprintf(unit_out, UNIT_BYTES, "\\%c", c);
    } else {
        memcpy(unit_out, text, length);
        unit_out[length] = '\0';
    }
    return length;
}

/* Adds `bytes` of text, escaped; cut with "..." where it does not fit (I3). */
static void append_escaped(piece_t *piece, dx_log_format_t format, const char *text, size_t bytes)
{
    static const char mark[] = "...";
    const size_t mark_bytes = sizeof(mark) - 1;
    size_t cut = piece->length; /* the last place where the mark still fits */
    for (size_t i = 0; i < bytes;) {
        char unit[UNIT_BYTES];
        i += unit_of(format, text + i, bytes - i, unit);
        append_text(piece, unit);
        if (piece->truncated) {
            piece->truncated = false;
            piece->length = cut;
            append(piece, mark, mark_bytes);
            return;
        }
        if (piece->length + mark_bytes <= piece->max) {
            cut = piece->length;
        }
    }
}

/* Year, month and day out of days since 1970-01-01, by counting. */
static void date_of(int64_t days, int *year_out, int *month_out, int *day_out)
{
    static const int month_days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = 1970;
    for (;;) {
        const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        const int year_days = leap ? 366 : 365;
        if (days < year_days) {
            int month = 0;
            while (days >= month_days[month] + (month == 1 && leap ? 1 : 0)) {
                days -= month_days[month] + (month == 1 && leap ? 1 : 0);
                month++;
            }
            *year_out = year;
            *month_out = month + 1;
            *day_out = (int)days + 1;
            return;
        }
        days -= year_days;
        year++;
    }
}

void dxi_timestamp_format(int64_t realtime_ns, char text_out[DXI_TIMESTAMP_BYTES])
{
    const int64_t ns = realtime_ns < 0 ? 0 : realtime_ns; /* a clock before 1970 is not set */
    const int64_t seconds = ns / DX_NS_PER_S;
    const int second_of_day = (int)(seconds % 86400);
    int year = 0;
    int month = 0;
    int day = 0;
    date_of(seconds / 86400, &year, &month, &day);
    char text[80];
    (void)snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%09" PRId64 "Z", year, month,
                   day, second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60,
                   ns % DX_NS_PER_S);
    memcpy(text_out, text, DXI_TIMESTAMP_BYTES);
}

/* Adds at most `max` bytes of a name that the code gives: a component or a file. */
static void append_name(piece_t *piece, dx_log_format_t format, const char *name, size_t max)
{
    append_escaped(piece, format, name == NULL ? "" : name, name == NULL ? 0 : strnlen(name, max));
}

static void json_head(piece_t *line, const dxi_log_record_t *record, const char *timestamp)
{
    append_text(line, "{\"ts\":\"");
    append_text(line, timestamp);
    append_text(line, "\",\"level\":\"");
    append_text(line, dx_log_level_name(record->site->level));
    append_text(line, "\",\"component\":\"");
    append_name(line, DX_LOG_FORMAT_JSON, record->site->component, DX_LOG_COMPONENT_MAX);
    append_text(line, "\",\"message\":\"");
}

static void json_tail(piece_t *tail, const dxi_log_record_t *record)
{
    append_text(tail, "\",\"file\":\"");
    append_name(tail, DX_LOG_FORMAT_JSON, record->site->file, FILE_BYTES_MAX);
    append_text(tail, "\",\"line\":");
    append_number(tail, record->site->line);
    append_text(tail, ",\"tid\":");
    append_number(tail, record->thread_id);
    if (record->suppressed > 0) {
        append_text(tail, ",\"suppressed\":");
        append_number(tail, record->suppressed);
    }
    append_text(tail, "}\n");
}

static void text_head(piece_t *line, const dxi_log_record_t *record, const char *timestamp)
{
    static const char *const columns[] = {"     ", "TRACE", "DEBUG", "INFO ", "WARN ", "ERROR"};
    const unsigned level = (unsigned)record->site->level;
    append_text(line, timestamp);
    append_text(line, " ");
    append_text(line, columns[level < sizeof(columns) / sizeof(columns[0]) ? level : 0]);
    append_text(line, " ");
    append_name(line, DX_LOG_FORMAT_TEXT, record->site->component, DX_LOG_COMPONENT_MAX);
    append_text(line, ": ");
}

static void text_tail(piece_t *tail, const dxi_log_record_t *record)
{
    append_text(tail, " (");
    append_name(tail, DX_LOG_FORMAT_TEXT, record->site->file, FILE_BYTES_MAX);
    append_text(tail, ":");
    append_number(tail, record->site->line);
    append_text(tail, ")");
    if (record->suppressed > 0) {
        append_text(tail, " [+");
        append_number(tail, record->suppressed);
        append_text(tail, " suppressed]");
    }
    append_text(tail, "\n");
}

size_t dxi_log_line(dx_log_format_t format, const dxi_log_record_t *record,
                    char line_out[DX_LOG_LINE_BYTES_MAX])
{
    const bool json = format == DX_LOG_FORMAT_JSON;
    char timestamp[DXI_TIMESTAMP_BYTES];
    dxi_timestamp_format(record->realtime_ns, timestamp);
    char tail_text[TAIL_BYTES];
    piece_t tail = {.text = tail_text, .max = sizeof(tail_text)};
    piece_t line = {.text = line_out, .max = DX_LOG_LINE_BYTES_MAX - 1};
    if (json) {
        json_head(&line, record, timestamp);
        json_tail(&tail, record);
    } else {
        text_head(&line, record, timestamp);
        text_tail(&tail, record);
    }
    assert(!tail.truncated);
    assert(line.length + tail.length <= DX_LOG_LINE_BYTES_MAX / 2); /* I4 */
    line.max -= tail.length;
    append_escaped(&line, format, record->message, strlen(record->message));
    line.max += tail.length;
    append(&line, tail.text, tail.length);
    line_out[line.length] = '\0';
    return line.length;
}

size_t dxi_log_escape(dx_log_format_t format, const char *text, size_t bytes, char *text_out,
                      size_t room)
{
    piece_t piece = {.text = text_out, .max = room - 1};
    append_escaped(&piece, format, text, bytes);
    text_out[piece.length] = '\0';
    return piece.length;
}
