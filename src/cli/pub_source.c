/* pub_source.c - events from a text, or from lines.
 *
 * A line ends with LF or CRLF, which are not part of the event; an empty line is an empty event.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/pub_source.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "cli/interrupt.h"
#include "disruptorx/clock.h"

static int file_open(dxi_pub_source_t *source, dx_error_t *error)
{
    struct stat status;
    if (source->path == NULL || strcmp(source->path, "-") == 0) {
        source->file = stdin;
        return DX_OK;
    }
    source->file = fopen(source->path, "re");
    if (source->file == NULL) {
        return dxi_fail_os(error, dxi_code_of_errno(errno), errno, "%.150s cannot be opened",
                           source->path);
    }
    if (fstat(fileno(source->file), &status) == 0 && S_ISDIR(status.st_mode)) {
        return dxi_fail(error, DX_EINVAL, "%.150s is a folder, must be a file of lines",
                        source->path);
    }
    return DX_OK;
}

static int headers_parse(dxi_pub_source_t *source, dx_error_t *error)
{
    const size_t count = (size_t)source->header_count;
    if (count == 0) {
        return DX_OK;
    }
    source->header_templates = dxi_alloc_zeroed(count, sizeof *source->header_templates);
    source->header_rooms = dxi_alloc_zeroed(count, sizeof *source->header_rooms);
    source->pairs = dxi_alloc_zeroed(count, sizeof *source->pairs);
    if (source->header_templates == NULL || source->header_rooms == NULL || source->pairs == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for %zu headers", count);
    }
    for (size_t i = 0; i < count; i++) {
        const char *const text = source->headers[i];
        const char *const equals = strchr(text, '=');
        if (equals == NULL || equals == text || equals - text > DX_FRAME_HEADER_NAME_BYTES_MAX) {
            return dxi_fail(error, DX_EINVAL,
                            "--header is %.60s, must be NAME=VALUE with a name of 1 to %d bytes",
                            text, DX_FRAME_HEADER_NAME_BYTES_MAX);
        }
        source->pairs[i].name = text;
        source->pairs[i].name_bytes = (uint16_t)(equals - text);
        const int result = dxi_template_parse(equals + 1, &source->header_templates[i], error);
        if (result != DX_OK) {
            dxi_fail_context(error, "--header");
            return result;
        }
    }
    return DX_OK;
}

int dxi_pub_source_open(dxi_pub_source_t *source, dx_error_t *error)
{
    int result = headers_parse(source, error);
    if (result == DX_OK && source->key != NULL) {
        result = dxi_template_parse(source->key, &source->key_template, error);
        if (result != DX_OK) {
            dxi_fail_context(error, "--key");
        }
    }
    source->values.random_state = (uint64_t)dx_clock_realtime_ns() * 2 + (uint64_t)getpid() * 2 + 1;
    if (result == DX_OK && source->data != NULL) {
        return dxi_template_parse(source->data, &source->template, error);
    }
    return result == DX_OK ? file_open(source, error) : result;
}

/* The next line without its end, as the text of `source->template` and in `*bytes_out`.
 * Returns 1, 0 at the end, DX_EIO. */
static int line_read(dxi_pub_source_t *source, size_t *bytes_out, dx_error_t *error)
{
    errno = 0;
    const ssize_t bytes = getline(&source->line, &source->line_capacity, source->file);
    if (bytes < 0) {
        if (feof(source->file) || dxi_interrupted()) {
            return 0;
        }
        return dxi_fail_os(error, DX_EIO, errno, "line %" PRId64 " cannot be read",
                           source->values.count);
    }
    size_t length = (size_t)bytes;
    if (length > 0 && source->line[length - 1] == '\n') {
        length--;
    }
    if (length > 0 && source->line[length - 1] == '\r') {
        length--;
    }
    source->line[length] = '\0';
    *bytes_out = length;
    return 1;
}

/* Puts the data of the next event into the message. Returns as dxi_pub_source_next(). */
static int data_next(dxi_pub_source_t *source, dx_message_t *message, dx_error_t *error)
{
    if (source->data == NULL) {
        size_t bytes = 0;
        int result = line_read(source, &bytes, error);
        if (result <= 0) {
            return result;
        }
        if (!source->fill_lines) {
            message->data = source->line;
            message->bytes = bytes;
            return 1;
        }
        result = dxi_template_parse(source->line, &source->template, error);
        if (result != DX_OK) {
            dxi_fail_context(error, "line %" PRId64, source->values.count);
            return result;
        }
    }
    if (dxi_template_fill(&source->template, &source->values, &source->data_room) != DX_OK) {
        return dxi_fail(error, DX_ENOMEM, "no memory for an event");
    }
    message->data = source->data_room.bytes;
    message->bytes = source->data_room.used;
    return 1;
}

int dxi_pub_source_next(dxi_pub_source_t *source, dx_message_t *message, dx_error_t *error)
{
    const int64_t count = source->count == 0 && source->data != NULL ? 1 : source->count;
    if ((count > 0 && source->values.count == count) || dxi_interrupted()) {
        return 0;
    }
    source->values.count++;
    source->values.time_ns = dx_clock_realtime_ns();
    const int result = data_next(source, message, error);
    if (result <= 0) {
        return result;
    }
    bool filled = true;
    if (source->key != NULL) {
        filled =
            dxi_template_fill(&source->key_template, &source->values, &source->key_room) == DX_OK;
        message->key = source->key_room.bytes;
        message->key_bytes = source->key_room.used;
    }
    for (int32_t i = 0; i < source->header_count && filled; i++) {
        filled = dxi_template_fill(&source->header_templates[i], &source->values,
                                   &source->header_rooms[i]) == DX_OK;
        if (filled && source->header_rooms[i].used > DX_FRAME_HEADERS_BYTES_MAX) {
            return dxi_fail(error, DX_EINVAL, "--header: the value has %zu bytes, at most %d",
                            source->header_rooms[i].used, DX_FRAME_HEADERS_BYTES_MAX);
        }
        source->pairs[i].value = source->header_rooms[i].bytes;
        source->pairs[i].value_bytes = (uint16_t)source->header_rooms[i].used;
    }
    message->headers = source->pairs;
    message->header_count = (uint16_t)source->header_count;
    return filled ? 1 : dxi_fail(error, DX_ENOMEM, "no memory for an event");
}

void dxi_pub_source_close(dxi_pub_source_t *source)
{
    if (source->file != NULL && source->file != stdin) {
        (void)fclose(source->file);
    }
    for (int32_t i = 0; i < source->header_count && source->header_rooms != NULL; i++) {
        dxi_room_free(&source->header_rooms[i]);
    }
    dxi_room_free(&source->data_room);
    dxi_room_free(&source->key_room);
    dxi_free(source->header_templates);
    dxi_free(source->header_rooms);
    dxi_free(source->pairs);
    free(source->line);
}
