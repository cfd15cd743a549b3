/* json.c - the JSON writer.
 *
 * INVARIANTS
 *
 *   I1  the top holds exactly one value
 *   I2  a value in an object has a key, a value elsewhere has none
 *   I3  once something failed, nothing more is written
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/json.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "disruptorx/error.h"

static void fail(dxi_json_t *json, int code)
{
    if (json->failed == DX_OK) {
        json->failed = code;
    }
}

void dxi_json_begin(dxi_json_t *json, FILE *stream)
{
    memset(json, 0, sizeof *json);
    json->stream = stream;
}

void dxi_json_begin_line(dxi_json_t *json, FILE *stream)
{
    dxi_json_begin(json, stream);
    json->one_line = true;
}

/* Bytes of the UTF-8 character at `text`, 0 when it is none. Overlong forms, surrogates and what
 * lies above U+10FFFF are none (RFC 3629). */
static size_t utf8_bytes(const unsigned char *text)
{
    if (text[0] < 0x80) {
        return 1;
    }
    const size_t bytes = text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;
    if (text[0] < 0xc2 || text[0] > 0xf4) {
        return 0;
    }
    for (size_t i = 1; i < bytes; i++) {
        if ((text[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    const unsigned second = text[1];
    if ((text[0] == 0xe0 && second < 0xa0) || (text[0] == 0xed && second > 0x9f) ||
        (text[0] == 0xf0 && second < 0x90) || (text[0] == 0xf4 && second > 0x8f)) {
        return 0;
    }
    return bytes;
}

static void put_string(FILE *stream, const char *value)
{
    const unsigned char *text = (const unsigned char *)value;
    fputc('"', stream);
    while (*text != '\0') {
        const size_t bytes = utf8_bytes(text);
        if (bytes == 0) {
            fputs("\\ufffd", stream);
            text++;
            continue;
        }
        if (*text == '"' || *text == '\\') {
            fprintf(stream, "\\%c", *text);
        } else if (*text == '\n') {
            fputs("\\n", stream);
        } else if (*text == '\t') {
            fputs("\\t", stream);
        } else if (*text < 0x20 || *text == 0x7f) {
            fprintf(stream, "\\u%04x", (unsigned)*text);
        } else {
            fwrite(text, 1, bytes, stream);
        }
        text += bytes;
    }
    fputc('"', stream);
}

/* Begins a line, where the value is written on several. */
static void new_line(const dxi_json_t *json)
{
    if (!json->one_line) {
        fprintf(json->stream, "\n%*s", 2 * json->depth, "");
    }
}

/* What stands before a value: comma, line, key. False when the value may not stand here. */
static bool prefix(dxi_json_t *json, const char *key)
{
    const bool in_object = json->levels[json->depth].is_object;
    const bool second_top = json->depth == 0 && json->levels[0].has_members;
    if (in_object != (key != NULL) || second_top) {
        fail(json, DX_ESTATE); /* I1, I2 */
    }
    if (json->failed != DX_OK) {
        return false; /* I3 */
    }
    if (json->levels[json->depth].has_members) {
        fputs(json->one_line ? ", " : ",", json->stream);
    }
    json->levels[json->depth].has_members = true;
    if (json->depth > 0) {
        new_line(json);
    }
    if (key != NULL) {
        put_string(json->stream, key);
        fputs(": ", json->stream);
    }
    return true;
}

static void open_level(dxi_json_t *json, const char *key, bool is_object)
{
    if (json->depth == DXI_JSON_DEPTH_MAX) {
        fail(json, DX_ELIMIT);
    }
    if (!prefix(json, key)) {
        return;
    }
    fputc(is_object ? '{' : '[', json->stream);
    json->depth++;
    json->levels[json->depth].is_object = is_object;
    json->levels[json->depth].has_members = false;
}

static void close_level(dxi_json_t *json, bool is_object)
{
    if (json->depth == 0 || json->levels[json->depth].is_object != is_object) {
        fail(json, DX_ESTATE);
    }
    if (json->failed != DX_OK) {
        return;
    }
    json->depth--;
    if (json->levels[json->depth + 1].has_members) {
        new_line(json);
    }
    fputc(is_object ? '}' : ']', json->stream);
}

void dxi_json_object_begin(dxi_json_t *json, const char *key)
{
    open_level(json, key, true);
}

void dxi_json_object_end(dxi_json_t *json)
{
    close_level(json, true);
}

void dxi_json_array_begin(dxi_json_t *json, const char *key)
{
    open_level(json, key, false);
}

void dxi_json_array_end(dxi_json_t *json)
{
    close_level(json, false);
}

void dxi_json_text(dxi_json_t *json, const char *key, const char *value)
{
    if (value == NULL) {
        dxi_json_null(json, key);
    } else if (prefix(json, key)) {
        put_string(json->stream, value);
    }
}

void dxi_json_integer(dxi_json_t *json, const char *key, int64_t value)
{
    if (prefix(json, key)) {
        fprintf(json->stream, "%" PRId64, value);
    }
}

void dxi_json_number(dxi_json_t *json, const char *key, const char *number)
{
    if (number == NULL) {
        dxi_json_null(json, key);
    } else if (prefix(json, key)) {
        fputs(number, json->stream);
    }
}

void dxi_json_real(dxi_json_t *json, const char *key, double value)
{
    if (!isfinite(value)) {
        dxi_json_null(json, key);
    } else if (prefix(json, key)) {
        fprintf(json->stream, "%.10g", value);
    }
}

void dxi_json_boolean(dxi_json_t *json, const char *key, bool value)
{
    if (prefix(json, key)) {
        fputs(value ? "true" : "false", json->stream);
    }
}

void dxi_json_null(dxi_json_t *json, const char *key)
{
    if (prefix(json, key)) {
        fputs("null", json->stream);
    }
}

int dxi_json_finish(dxi_json_t *json)
{
    if (json->depth != 0 || !json->levels[0].has_members) {
        fail(json, DX_ESTATE);
    }
    if (json->failed == DX_OK) {
        fputc('\n', json->stream);
    }
    if (fflush(json->stream) != 0 || ferror(json->stream)) {
        fail(json, DX_EIO);
    }
    return json->failed;
}

int dxi_json_result(const char *kind, const char *name, const char *result)
{
    dxi_json_t json;
    dxi_json_begin_line(&json, stdout);
    dxi_json_object_begin(&json, NULL);
    dxi_json_text(&json, kind, name);
    dxi_json_text(&json, "result", result);
    dxi_json_object_end(&json);
    return dxi_json_finish(&json);
}
