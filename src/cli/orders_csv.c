/* orders_csv.c - order messages from text.
 *
 * DESIGN
 *
 * The whole input is read before the pipeline starts: a run can then repeat it, and parsing never
 * shows in a latency. Lines are read byte by byte into a fixed buffer, so a line without an end (a
 * device, a picture) costs no memory. What looks like no text at all ends the reading with one
 * sentence instead of a thousand bad lines.
 *
 * Text from the file that goes into a message is cut and has its control characters replaced: a bad
 * file must not steer the terminal.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/orders_csv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "base/format.h"

/* --------------------------------------------------------------------------------- one line */

#define FIELD_COUNT 6
#define SHOWN_BYTES 24          /* of a field, in a message */
#define TEXT_LINE_MAX (1 << 20) /* bytes; an input with a longer line is not read on */

static const char *const FIELD_NAMES[FIELD_COUNT] = {"time", "type",  "order id",
                                                     "size", "price", "direction"};

typedef struct field {
    const char *text;
    size_t bytes;
} field_t;

/* A field as it may be shown. */
typedef struct shown {
    char text[SHOWN_BYTES + 4];
} shown_t;

static shown_t show(field_t field)
{
    shown_t shown = {""};
    const size_t bytes = field.bytes < SHOWN_BYTES ? field.bytes : SHOWN_BYTES;
    for (size_t i = 0; i < bytes; i++) {
        const unsigned char c = (unsigned char)field.text[i];
        shown.text[i] = c >= 0x20 && c < 0x7f ? (char)c : '?';
    }
    if (field.bytes > SHOWN_BYTES) {
        memcpy(shown.text + bytes, "...", sizeof "...");
    }
    return shown;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads "[-]digits" with nothing around it, from -high to high. */
static bool integer_parse(field_t field, int64_t high, int64_t *value_out)
{
    size_t at = 0;
    const bool negative = field.bytes > 0 && field.text[0] == '-';
    at += negative;
    if (at == field.bytes) {
        return false;
    }
    int64_t value = 0;
    for (; at < field.bytes; at++) {
        if (!is_digit(field.text[at])) {
            return false;
        }
        value = value * 10 + (field.text[at] - '0');
        if (value > high) {
            return false; /* checked in each step, so it never overflows */
        }
    }
    *value_out = negative ? -value : value;
    return true;
}

/* Reads "seconds[.decimals]". */
static bool time_parse(field_t field, int64_t *ns_out)
{
    const char *const dot = memchr(field.text, '.', field.bytes);
    const size_t whole_bytes = dot == NULL ? field.bytes : (size_t)(dot - field.text);
    int64_t seconds = 0;
    int64_t ns = 0;
    if (!integer_parse((field_t){field.text, whole_bytes}, DXI_CSV_TIME_S_MAX, &seconds) ||
        field.text[0] == '-') {
        return false;
    }
    if (dot != NULL) {
        const size_t decimals = field.bytes - whole_bytes - 1;
        if (decimals < 1 || decimals > 9) {
            return false;
        }
        for (size_t i = 0; i < 9; i++) {
            if (i < decimals && !is_digit(dot[1 + i])) {
                return false;
            }
            ns = ns * 10 + (i < decimals ? dot[1 + i] - '0' : 0);
        }
    }
    *ns_out = seconds * INT64_C(1000000000) + ns;
    return *ns_out <= DXI_CSV_TIME_S_MAX * INT64_C(1000000000);
}

/* Cuts a line into fields. Returns how many there are, FIELD_COUNT + 1 for "more". */
static size_t fields_split(const char *line, size_t bytes, field_t fields[FIELD_COUNT])
{
    size_t count = 0;
    size_t begin = 0;
    for (size_t i = 0; i <= bytes; i++) {
        if (i < bytes && line[i] != ',') {
            continue;
        }
        if (count == FIELD_COUNT) {
            return FIELD_COUNT + 1;
        }
        fields[count++] = (field_t){line + begin, i - begin};
        begin = i + 1;
    }
    return count;
}

static int field_refuse(int index, field_t field, const char *rule, dx_error_t *error)
{
    return dxi_fail(error, DX_EPARSE, "%s is \"%s\", must be %s", FIELD_NAMES[index],
                    show(field).text, rule);
}

static int number_refuse(int index, field_t field, dx_error_t *error)
{
    char rule[80];
    snprintf(rule, sizeof rule, "a whole number from %" PRId64 " to %" PRId64, -DXI_CSV_NUMBER_MAX,
             DXI_CSV_NUMBER_MAX);
    return field_refuse(index, field, rule, error);
}

int dxi_csv_line_parse(const char *line, size_t bytes, dxi_order_message_t *message_out,
                       dx_error_t *error)
{
    field_t fields[FIELD_COUNT];
    if (bytes == 0) {
        return dxi_fail(error, DX_EPARSE, "the line is empty");
    }
    if (bytes > DXI_CSV_LINE_MAX) {
        return dxi_fail(error, DX_EPARSE, "the line has more than %d bytes", DXI_CSV_LINE_MAX);
    }
    const size_t count = fields_split(line, bytes, fields);
    if (count != FIELD_COUNT) {
        return dxi_fail(error, DX_EPARSE,
                        "%s%zu fields, must be 6: time,type,order id,size,price,direction",
                        count > FIELD_COUNT ? "more than " : "",
                        count > FIELD_COUNT ? (size_t)FIELD_COUNT : count);
    }
    int64_t type = 0;
    int64_t direction = 0;
    if (!time_parse(fields[0], &message_out->time_ns)) {
        return field_refuse(
            0, fields[0], "seconds after midnight from 0 to 86400, with at most 9 decimals", error);
    }
    if (!integer_parse(fields[1], DXI_CSV_TYPE_MAX, &type) || type < 1) {
        return field_refuse(1, fields[1], "from 1 (submission) to 7", error);
    }
    int64_t *const numbers[] = {&message_out->id, &message_out->size, &message_out->price};
    for (int i = 0; i < 3; i++) {
        if (!integer_parse(fields[2 + i], DXI_CSV_NUMBER_MAX, numbers[i])) {
            return number_refuse(2 + i, fields[2 + i], error);
        }
    }
    if (!integer_parse(fields[5], 1, &direction)) {
        return field_refuse(5, fields[5], "1 (buy) or -1 (sell)", error);
    }
    message_out->type = (int32_t)type;
    message_out->direction = (int32_t)direction;
    return DX_OK;
}

/* -------------------------------------------------------------------------------- the input */

typedef struct reader {
    const dxi_csv_options_t *options;
    const char *name; /* for messages */
    FILE *stream;
    int64_t capacity; /* of orders->messages */
    int64_t lines_max;
    size_t bytes; /* of the line, also those that did not fit */
    bool has_nul;
    bool opened;                     /* and to be closed */
    char line[DXI_CSV_LINE_MAX + 2]; /* room for a CR, and to see that a line is too long */
} reader_t;

/* What a file begins with that is surely no CSV. */
static const struct magic {
    const char *bytes;
    size_t count;
    const char *what;
    const char *program; /* that prints it as text */
} MAGICS[] = {
    {"\x1f\x8b", 2, "gzip", "zcat"},
    {"\x28\xb5\x2f\xfd", 4, "zstd", "zstdcat"},
    {"\xfd"
     "7zXZ",
     5, "xz", "xzcat"},
    {"BZh", 3, "bzip2", "bzcat"},
};

static int magic_check(const reader_t *reader, dx_error_t *error)
{
    for (size_t i = 0; i < sizeof MAGICS / sizeof MAGICS[0]; i++) {
        const struct magic *const magic = &MAGICS[i];
        if (reader->bytes >= magic->count &&
            memcmp(reader->line, magic->bytes, magic->count) == 0) {
            return dxi_fail(error, DX_EPARSE,
                            "%s is compressed with %s; unpack it on the way: "
                            "%s FILE | dx demo orders --orders -",
                            reader->name, magic->what, magic->program);
        }
    }
    return DX_OK;
}

/* Reads the next line into reader->line, up to its end or to a byte that shows that this is no
 * text: a NUL, or one too many. False at the end of the input, or when reading failed. */
static bool line_read(reader_t *reader)
{
    int c;
    reader->bytes = 0;
    reader->has_nul = false;
    while ((c = getc_unlocked(reader->stream)) != EOF && c != '\n') {
        if (reader->bytes < sizeof reader->line) {
            reader->line[reader->bytes] = (char)c;
        }
        reader->bytes++;
        reader->has_nul = c == '\0';
        if (reader->has_nul || reader->bytes > TEXT_LINE_MAX) {
            break;
        }
    }
    return reader->bytes > 0 ? !ferror(reader->stream) : c == '\n';
}

/* Drops the byte-order mark of the first line and the CR of any. */
static void line_trim(reader_t *reader, int64_t number)
{
    if (number == 1 && reader->bytes >= 3 && memcmp(reader->line, "\xef\xbb\xbf", 3) == 0) {
        reader->bytes -= 3;
        memmove(reader->line, reader->line + 3, sizeof reader->line - 3);
    }
    if (reader->bytes > 0 && reader->bytes <= sizeof reader->line &&
        reader->line[reader->bytes - 1] == '\r') {
        reader->bytes--;
    }
}

/* Makes room for one more message. */
static int room_make(reader_t *reader, dxi_csv_orders_t *orders, dx_error_t *error)
{
    if (orders->count < reader->capacity) {
        return DX_OK;
    }
    const int64_t capacity = reader->capacity == 0 ? 8192 : 2 * reader->capacity;
    dxi_order_message_t *const larger = dxi_alloc_zeroed((size_t)capacity, sizeof *larger);
    if (larger == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for %" PRId64 " orders", capacity);
    }
    if (orders->count > 0) {
        memcpy(larger, orders->messages, (size_t)orders->count * sizeof *larger);
    }
    dxi_free(orders->messages);
    orders->messages = larger;
    reader->capacity = capacity;
    return DX_OK;
}

static int line_refuse(const reader_t *reader, dxi_csv_orders_t *orders, const dx_error_t *why,
                       dx_error_t *error)
{
    if (reader->options->strict) {
        return dxi_fail(error, DX_EPARSE, "%s:%" PRId64 ": %s", reader->name, orders->lines,
                        why->message);
    }
    if (orders->bad_lines < DXI_CSV_REPORTS_MAX) {
        dxi_csv_report_t *const report = &orders->reports[orders->bad_lines];
        report->line = orders->lines;
        memcpy(report->message, why->message, sizeof report->message);
    }
    orders->bad_lines++;
    return DX_OK;
}

/* Takes the line that was read. */
static int line_take(reader_t *reader, dxi_csv_orders_t *orders, dx_error_t *error)
{
    orders->lines++;
    if (orders->lines == 1 && magic_check(reader, error) != DX_OK) {
        return DX_EPARSE;
    }
    if (reader->has_nul) {
        return dxi_fail(error, DX_EPARSE,
                        "%s is binary (a NUL byte in line %" PRId64 "), must be CSV text",
                        reader->name, orders->lines);
    }
    if (reader->bytes > TEXT_LINE_MAX) {
        return dxi_fail(error, DX_EPARSE,
                        "line %" PRId64 " of %s has more than %d bytes: this is no CSV text",
                        orders->lines, reader->name, TEXT_LINE_MAX);
    }
    line_trim(reader, orders->lines);
    dx_error_t why = {0};
    dxi_order_message_t message = {0};
    if (dxi_csv_line_parse(reader->line, reader->bytes, &message, &why) != DX_OK) {
        return line_refuse(reader, orders, &why, error);
    }
    if (orders->count == reader->lines_max) {
        return dxi_fail(error, DX_ELIMIT, "%s has more than %s orders; give it in parts",
                        reader->name, dxi_format_count(&(dxi_text_t){0}, reader->lines_max));
    }
    const int result = room_make(reader, orders, error);
    if (result == DX_OK) {
        orders->messages[orders->count++] = message;
        orders->id_max = message.id > orders->id_max ? message.id : orders->id_max;
    }
    return result;
}

static bool is_stopped(const reader_t *reader)
{
    return reader->options->stop != NULL && dx_load32_relaxed(reader->options->stop) != 0;
}

static int input_end(const reader_t *reader, const dxi_csv_orders_t *orders, dx_error_t *error)
{
    const int os_errno = errno;
    if (is_stopped(reader)) {
        return dxi_fail(error, DX_ECANCELLED, "interrupted while reading %s", reader->name);
    }
    if (ferror(reader->stream)) {
        return dxi_fail_os(error, DX_EIO, os_errno, "%s cannot be read", reader->name);
    }
    if (orders->lines == 0) {
        return dxi_fail(error, DX_EPARSE, "%s is empty", reader->name);
    }
    if (orders->count == 0) {
        return dxi_fail(error, DX_EPARSE, "%s has no good line; line %" PRId64 ": %s", reader->name,
                        orders->reports[0].line, orders->reports[0].message);
    }
    return DX_OK;
}

static int input_read(reader_t *reader, dxi_csv_orders_t *orders, dx_error_t *error)
{
    while (line_read(reader)) {
        const int result = line_take(reader, orders, error);
        if (result != DX_OK) {
            return result;
        }
        if (is_stopped(reader)) {
            break;
        }
    }
    return input_end(reader, orders, error);
}

static int input_open(reader_t *reader, dx_error_t *error)
{
    if (strcmp(reader->options->path, "-") == 0) {
        reader->name = "standard input";
        reader->stream = stdin;
    } else {
        reader->name = reader->options->path;
        reader->stream = fopen(reader->options->path, "r");
        reader->opened = reader->stream != NULL;
    }
    if (reader->stream == NULL) {
        const int os_errno = errno;
        return dxi_fail_os(error, dxi_code_of_errno(os_errno), os_errno, "%s cannot be opened",
                           reader->name);
    }
    struct stat status;
    if (fstat(fileno(reader->stream), &status) == 0 && S_ISDIR(status.st_mode)) {
        return dxi_fail(error, DX_EINVAL, "%s is a folder, must be a CSV file", reader->name);
    }
    return DX_OK;
}

int dxi_csv_load(const dxi_csv_options_t *options, dxi_csv_orders_t *orders_out, dx_error_t *error)
{
    memset(orders_out, 0, sizeof *orders_out);
    reader_t reader = {.options = options};
    reader.lines_max = options->lines_max == 0 ? DXI_CSV_LINES_MAX : options->lines_max;
    int result = input_open(&reader, error);
    if (result == DX_OK) {
        result = input_read(&reader, orders_out, error);
    }
    if (reader.opened) {
        fclose(reader.stream);
    }
    return result;
}

void dxi_csv_free(dxi_csv_orders_t *orders)
{
    dxi_free(orders->messages);
    orders->messages = NULL;
}
