/* slot_layout.c - reads the text of a layout, and values by it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/slot_layout.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fail.h"
#include "base/nearest.h"

typedef struct type {
    const char *name;
    dxi_field_kind_t kind;
    uint32_t bytes;
} type_t;

static const type_t TYPES[] = {
    {"i8", DXI_FIELD_SIGNED, 1},    {"i16", DXI_FIELD_SIGNED, 2},   {"i32", DXI_FIELD_SIGNED, 4},
    {"i64", DXI_FIELD_SIGNED, 8},   {"u8", DXI_FIELD_UNSIGNED, 1},  {"u16", DXI_FIELD_UNSIGNED, 2},
    {"u32", DXI_FIELD_UNSIGNED, 4}, {"u64", DXI_FIELD_UNSIGNED, 8}, {"f32", DXI_FIELD_REAL, 4},
    {"f64", DXI_FIELD_REAL, 8},
};

#define TYPE_COUNT (sizeof TYPES / sizeof TYPES[0])
#define BLANKS " \t\n"
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
#define DIGITS "0123456789"

/* A place in the text. */
typedef struct reader {
    const char *text;
    size_t at;
} reader_t;

static int fail_at(size_t at, dx_error_t *error, const char *sentence)
{
    return dxi_fail(error, DX_EPARSE, "column %zu: %s", at + 1, sentence);
}

static void skip_blanks(reader_t *reader)
{
    reader->at += strspn(reader->text + reader->at, BLANKS);
}

/* Takes the letters, digits and underlines that come next, cut to `bytes`. Returns how many there
 * are. */
static size_t take_word(reader_t *reader, char *word_out, size_t bytes)
{
    const char *const begin = reader->text + reader->at;
    const size_t length = strspn(begin, LETTERS DIGITS);
    snprintf(word_out, bytes, "%.*s", (int)length, begin);
    reader->at += length;
    return length;
}

/* Takes digits: 1 to DXI_FIELD_BYTES_MAX. */
static int take_bytes(reader_t *reader, uint32_t *bytes_out, dx_error_t *error)
{
    const char *const begin = reader->text + reader->at;
    const size_t length = strspn(begin, DIGITS);
    uint64_t value = 0;
    for (size_t i = 0; i < length && value <= DXI_FIELD_BYTES_MAX; i++) {
        value = value * 10 + (uint64_t)(begin[i] - '0');
    }
    if (length == 0 || value < 1 || value > DXI_FIELD_BYTES_MAX) {
        return dxi_fail(error, DX_EPARSE,
                        "column %zu: a number of bytes must stand here, from 1 to %u",
                        reader->at + 1, DXI_FIELD_BYTES_MAX);
    }
    reader->at += length;
    *bytes_out = (uint32_t)value;
    return DX_OK;
}

static int unknown_type(size_t at, const char *word, dx_error_t *error)
{
    if (word[0] == '\0') {
        return fail_at(at, error, "a type must stand here, as in: i64 price, char[8] symbol");
    }
    dxi_nearest_t nearest = {.word = word};
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        dxi_nearest_offer(&nearest, TYPES[i].name);
    }
    dxi_nearest_offer(&nearest, "char");
    dxi_nearest_offer(&nearest, "pad");
    return dxi_fail(error, DX_EPARSE,
                    "column %zu: %.40s is no type, must be i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 "
                    "char[N] or pad N%s%s%s",
                    at + 1, word, nearest.best != NULL ? "; did you mean " : "",
                    nearest.best != NULL ? nearest.best : "", nearest.best != NULL ? "?" : "");
}

/* Takes "[8]". */
static int take_length(reader_t *reader, uint32_t *bytes_out, dx_error_t *error)
{
    if (reader->text[reader->at] != '[') {
        return fail_at(reader->at, error, "char needs its length, as in char[8]");
    }
    reader->at++;
    const int code = take_bytes(reader, bytes_out, error);
    if (code == DX_OK && reader->text[reader->at] != ']') {
        return fail_at(reader->at, error, "a ] must stand here, as in char[8]");
    }
    reader->at += code == DX_OK;
    return code;
}

/* Takes a type. `is_pad_out` says that it is `pad N`, which has no name. */
static int take_type(reader_t *reader, dxi_field_t *field_out, bool *is_pad_out, dx_error_t *error)
{
    const size_t begin = reader->at;
    char word[DXI_NEAREST_BYTES_MAX + 1];
    take_word(reader, word, sizeof word);
    *is_pad_out = strcmp(word, "pad") == 0;
    if (*is_pad_out) {
        skip_blanks(reader);
        return take_bytes(reader, &field_out->bytes, error);
    }
    if (strcmp(word, "char") == 0) {
        field_out->kind = DXI_FIELD_CHARS;
        return take_length(reader, &field_out->bytes, error);
    }
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        if (strcmp(TYPES[i].name, word) == 0) {
            field_out->kind = TYPES[i].kind;
            field_out->bytes = TYPES[i].bytes;
            return DX_OK;
        }
    }
    return unknown_type(begin, word, error);
}

static int take_name(reader_t *reader, const dxi_slot_layout_t *layout, dxi_field_t *field_out,
                     dx_error_t *error)
{
    skip_blanks(reader);
    const size_t begin = reader->at;
    const char first = reader->text[begin];
    const size_t length = take_word(reader, field_out->name, sizeof field_out->name);
    if (length == 0 || strchr(DIGITS, first) != NULL) {
        return fail_at(begin, error, "a name must stand here: letters, digits and underlines");
    }
    if (length > DXI_FIELD_NAME_MAX) {
        return dxi_fail(error, DX_EPARSE, "column %zu: a name has %zu bytes, must have at most %d",
                        begin + 1, length, DXI_FIELD_NAME_MAX);
    }
    for (uint32_t i = 0; i < layout->count; i++) {
        if (strcmp(layout->fields[i].name, field_out->name) == 0) {
            return dxi_fail(error, DX_EPARSE, "column %zu: there is a field %s already", begin + 1,
                            field_out->name);
        }
    }
    return DX_OK;
}

/* Takes one field, or padding. */
static int take_field(reader_t *reader, dxi_slot_layout_t *layout, dx_error_t *error)
{
    const size_t begin = reader->at;
    dxi_field_t field = {.offset = layout->bytes};
    bool is_pad = false;
    int code = take_type(reader, &field, &is_pad, error);
    if (code == DX_OK && !is_pad) {
        code = take_name(reader, layout, &field, error);
    }
    if (code != DX_OK) {
        return code;
    }
    if (field.bytes > DXI_FIELD_BYTES_MAX - layout->bytes) {
        return dxi_fail(error, DX_ELIMIT, "column %zu: the layout has more than %u bytes",
                        begin + 1, DXI_FIELD_BYTES_MAX);
    }
    if (!is_pad && layout->count == DXI_FIELDS_MAX) {
        return dxi_fail(error, DX_ELIMIT, "column %zu: there are more than %d fields", begin + 1,
                        DXI_FIELDS_MAX);
    }
    layout->bytes += field.bytes;
    if (!is_pad) {
        layout->fields[layout->count++] = field;
    }
    return DX_OK;
}

int dxi_slot_layout_parse(const char *text, dxi_slot_layout_t *layout_out, dx_error_t *error)
{
    reader_t reader = {.text = text};
    memset(layout_out, 0, sizeof *layout_out);
    for (;;) {
        skip_blanks(&reader);
        const int code = take_field(&reader, layout_out, error);
        if (code != DX_OK) {
            return code;
        }
        skip_blanks(&reader);
        if (text[reader.at] == '\0') {
            break;
        }
        if (text[reader.at] != ',') {
            return fail_at(reader.at, error, "a comma must stand here, or nothing more");
        }
        reader.at++;
    }
    if (layout_out->count == 0) {
        return dxi_fail(error, DX_EPARSE, "there is padding only, must be at least one field");
    }
    return DX_OK;
}

/* -------------------------------------------------------------------------------------- values */

static uint64_t unsigned_of(const dxi_field_t *field, const void *event)
{
    const char *const at = (const char *)event + field->offset;
    uint8_t value8 = 0;
    uint16_t value16 = 0;
    uint32_t value32 = 0;
    uint64_t value64 = 0;
    switch (field->bytes) {
    case 1:
        memcpy(&value8, at, sizeof value8);
        return value8;
    case 2:
        memcpy(&value16, at, sizeof value16);
        return value16;
    case 4:
        memcpy(&value32, at, sizeof value32);
        return value32;
    default:
        memcpy(&value64, at, sizeof value64);
        return value64;
    }
}

static int64_t signed_of(const dxi_field_t *field, const void *event)
{
    const uint64_t value = unsigned_of(field, event);
    switch (field->bytes) {
    case 1:
        return (int8_t)value;
    case 2:
        return (int16_t)value;
    case 4:
        return (int32_t)value;
    default:
        return (int64_t)value;
    }
}

/* The fewest digits from which the same number is read again. */
static void real_format(const dxi_field_t *field, const void *event, char *text_out, size_t bytes)
{
    const char *const at = (const char *)event + field->offset;
    if (field->bytes == sizeof(float)) {
        float value = 0;
        memcpy(&value, at, sizeof value);
        for (int digits = 6; digits <= 9; digits++) {
            snprintf(text_out, bytes, "%.*g", digits, (double)value);
            if (strtof(text_out, NULL) == value) {
                break;
            }
        }
        return;
    }
    double value = 0;
    memcpy(&value, at, sizeof value);
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text_out, bytes, "%.*g", digits, value);
        if (strtod(text_out, NULL) == value) {
            break;
        }
    }
}

static void number_format(const dxi_field_t *field, const void *event, char *text_out, size_t bytes)
{
    switch (field->kind) {
    case DXI_FIELD_SIGNED:
        snprintf(text_out, bytes, "%" PRId64, signed_of(field, event));
        return;
    case DXI_FIELD_UNSIGNED:
        snprintf(text_out, bytes, "%" PRIu64, unsigned_of(field, event));
        return;
    case DXI_FIELD_REAL:
    case DXI_FIELD_CHARS:
    default:
        real_format(field, event, text_out, bytes);
        return;
    }
}

/* Up to the first NUL. */
static size_t chars_length(const dxi_field_t *field, const void *event)
{
    return strnlen((const char *)event + field->offset, field->bytes);
}

static void chars_format(const dxi_field_t *field, const void *event, char *text_out, size_t bytes)
{
    const unsigned char *const at = (const unsigned char *)event + field->offset;
    const size_t length = chars_length(field, event);
    size_t used = (size_t)snprintf(text_out, bytes, "\"");
    for (size_t i = 0; i < length; i++) {
        if (used + sizeof "\\x00\"..." > bytes) {
            snprintf(text_out + used, bytes - used, "\"...");
            return;
        }
        const unsigned char c = at[i];
        const bool plain = c >= 0x20 && c < 0x7f;
        const char *const escape = c == '"' || c == '\\' ? "\\" : "";
        used += (size_t)(plain ? snprintf(text_out + used, bytes - used, "%s%c", escape, c)
                               : snprintf(text_out + used, bytes - used, "\\x%02x", c));
    }
    snprintf(text_out + used, bytes - used, "\"");
}

const char *dxi_field_format(const dxi_field_t *field, const void *event,
                             char text_out[DXI_FIELD_TEXT_BYTES])
{
    if (field->kind == DXI_FIELD_CHARS) {
        chars_format(field, event, text_out, DXI_FIELD_TEXT_BYTES);
    } else {
        number_format(field, event, text_out, DXI_FIELD_TEXT_BYTES);
    }
    return text_out;
}

void dxi_field_json(const dxi_field_t *field, const void *event, dxi_json_t *json)
{
    if (field->kind == DXI_FIELD_CHARS) {
        char *const text = strndup((const char *)event + field->offset, field->bytes);
        dxi_json_text(json, field->name, text);
        free(text);
        return;
    }
    char text[DXI_FIELD_TEXT_BYTES];
    number_format(field, event, text, sizeof text);
    const bool finite = field->kind != DXI_FIELD_REAL || isfinite(strtod(text, NULL));
    dxi_json_number(json, field->name, finite ? text : NULL);
}
