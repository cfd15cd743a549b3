/* event_text.c - an event for eyes, or for programs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/event_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output.h"
#include "cli/template.h"

/* How many bytes the UTF-8 character at `text` has; 0 when it is none, or a control character that
 * a terminal could obey. */
static size_t character_bytes(const unsigned char *text, size_t left)
{
    if (text[0] < 0x80) {
        const bool harmless = text[0] >= 0x20 && text[0] != 0x7f;
        return harmless || text[0] == '\t' || text[0] == '\n' || text[0] == '\r';
    }
    const size_t bytes = text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;
    if (text[0] < 0xc2 || text[0] > 0xf4 || bytes > left) {
        return 0;
    }
    for (size_t i = 1; i < bytes; i++) {
        if ((text[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    const bool overlong =
        (text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xf0 && text[1] < 0x90);
    const bool surrogate = text[0] == 0xed && text[1] > 0x9f;
    const bool too_high = text[0] == 0xf4 && text[1] > 0x8f;
    const bool control = text[0] == 0xc2 && text[1] < 0xa0; /* U+0080 to U+009F */
    return overlong || surrogate || too_high || control ? 0 : bytes;
}

bool dxi_is_text(const void *bytes, size_t count)
{
    const unsigned char *const text = bytes;
    size_t at = 0;
    while (at < count) {
        const size_t taken = character_bytes(text + at, count - at);
        if (taken == 0) {
            return false;
        }
        at += taken;
    }
    return true;
}

static void hex_print(FILE *stream, const unsigned char *bytes, size_t count)
{
    const size_t shown = count < DXI_EVENT_HEX_MAX ? count : DXI_EVENT_HEX_MAX;
    fputs("hex ", stream);
    for (size_t i = 0; i < shown; i++) {
        fprintf(stream, "%02x", bytes[i]);
    }
    if (shown < count) {
        fprintf(stream, "... (%zu bytes)", count);
    }
}

void dxi_bytes_print(FILE *stream, const void *bytes, size_t count)
{
    const char *const text = bytes;
    if (!dxi_is_text(bytes, count)) {
        hex_print(stream, bytes, count);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        switch (text[i]) {
        case '\n':
            fputs("\\n", stream);
            break;
        case '\r':
            fputs("\\r", stream);
            break;
        case '\t':
            fputs("\\t", stream);
            break;
        default:
            fputc(text[i], stream);
            break;
        }
    }
}

static void pairs_print(FILE *stream, const dx_event_t *event)
{
    dx_frame_headers_t headers = dx_frame_headers(event->frame);
    dx_frame_pair_t pair;
    while (dx_frame_headers_next(&headers, &pair)) {
        fputc(' ', stream);
        dxi_bytes_print(stream, pair.name, pair.name_bytes);
        fputc('=', stream);
        dxi_bytes_print(stream, pair.value, pair.value_bytes);
    }
}

/* What --headers adds: "[2026-... key=7 kind=test]". */
static void details_print(FILE *stream, const dx_event_t *event)
{
    char time[DXI_TIME_TEXT_BYTES];
    fprintf(stream, "[%s shard=%u", dxi_format_time(time, (int64_t)event->timestamp_ns),
            event->shard);
    if (event->key_bytes > 0) {
        fputs(" key=", stream);
        dxi_bytes_print(stream, event->key, event->key_bytes);
    }
    if (event->attempt > 1) {
        fprintf(stream, " attempt=%u", event->attempt);
    }
    if (event->correlation != 0) {
        fprintf(stream, " correlation=%" PRIu64, event->correlation);
    }
    if (event->frame != NULL) {
        uint32_t bytes = 0;
        const void *const reply_to = dx_frame_part(event->frame, DX_PART_REPLY_TO, &bytes);
        if (reply_to != NULL) {
            fputs(" reply_to=", stream);
            dxi_bytes_print(stream, reply_to, bytes);
        }
        pairs_print(stream, event);
    }
    fputs("]  ", stream);
}

static void line_print(FILE *stream, const dx_event_t *event, bool with_details)
{
    fputs(dxi_style(stream, DXI_STYLE_HEADING), stream);
    dxi_bytes_print(stream, event->topic, event->topic_bytes);
    fprintf(stream, "%s  %" PRIu64 "  ", dxi_style(stream, DXI_STYLE_PLAIN), event->sequence);
    if (with_details) {
        details_print(stream, event);
    }
    dxi_bytes_print(stream, event->data, event->bytes);
    fputc('\n', stream);
}

/* ----------------------------------------------------------------------------------------- JSON */

void dxi_event_json_bytes(dxi_json_t *json, const char *key, const char *hex_key, const void *bytes,
                          size_t count)
{
    static const char digits[] = "0123456789abcdef";
    const bool text = dxi_is_text(bytes, count) && memchr(bytes, 0, count) == NULL;
    char *const copy = malloc(text ? count + 1 : 2 * count + 1);
    if (copy == NULL) {
        dxi_json_null(json, key);
        return;
    }
    if (text) {
        memcpy(copy, bytes, count);
        copy[count] = '\0';
    } else {
        for (size_t i = 0; i < count; i++) {
            copy[2 * i] = digits[((const unsigned char *)bytes)[i] >> 4];
            copy[2 * i + 1] = digits[((const unsigned char *)bytes)[i] & 15];
        }
        copy[2 * count] = '\0';
    }
    dxi_json_text(json, text ? key : hex_key, copy);
    free(copy);
}

static void json_unsigned(dxi_json_t *json, const char *key, uint64_t value)
{
    char number[24];
    snprintf(number, sizeof number, "%" PRIu64, value);
    dxi_json_number(json, key, number);
}

/* Headers as pairs in an array: a name may come twice. */
static void json_pairs(dxi_json_t *json, const dx_event_t *event)
{
    dx_frame_headers_t headers = dx_frame_headers(event->frame);
    dx_frame_pair_t pair;
    dxi_json_array_begin(json, "headers");
    while (dx_frame_headers_next(&headers, &pair)) {
        dxi_json_object_begin(json, NULL);
        dxi_event_json_bytes(json, "name", "name_hex", pair.name, pair.name_bytes);
        dxi_event_json_bytes(json, "value", "value_hex", pair.value, pair.value_bytes);
        dxi_json_object_end(json);
    }
    dxi_json_array_end(json);
}

static void json_print(FILE *stream, const dx_event_t *event)
{
    char time[DXI_TIME_TEXT_BYTES];
    dxi_json_t json;
    dxi_json_begin_line(&json, stream);
    dxi_json_object_begin(&json, NULL);
    dxi_event_json_bytes(&json, "topic", "topic_hex", event->topic, event->topic_bytes);
    json_unsigned(&json, "sequence", event->sequence);
    dxi_json_integer(&json, "shard", event->shard);
    dxi_json_text(&json, "time", dxi_format_time(time, (int64_t)event->timestamp_ns));
    json_unsigned(&json, "timestamp_ns", event->timestamp_ns);
    dxi_json_integer(&json, "attempt", event->attempt);
    if (event->key_bytes > 0) {
        dxi_event_json_bytes(&json, "key", "key_hex", event->key, event->key_bytes);
    }
    if (event->correlation != 0) {
        json_unsigned(&json, "correlation", event->correlation);
    }
    if (event->frame != NULL) {
        uint32_t bytes = 0;
        const void *const reply_to = dx_frame_part(event->frame, DX_PART_REPLY_TO, &bytes);
        if (reply_to != NULL) {
            dxi_event_json_bytes(&json, "reply_to", "reply_to_hex", reply_to, bytes);
        }
        json_pairs(&json, event);
    }
    dxi_json_integer(&json, "bytes", event->bytes);
    dxi_event_json_bytes(&json, "data", "data_hex", event->data != NULL ? event->data : "",
                         event->bytes);
    dxi_json_object_end(&json);
    (void)dxi_json_finish(&json); /* the stream keeps the error */
}

void dxi_event_print(FILE *stream, const dx_event_t *event, dxi_event_form_t form)
{
    switch (form) {
    case DXI_EVENT_RAW:
        if (event->bytes > 0) {
            fwrite(event->data, 1, event->bytes, stream);
        }
        fputc('\n', stream);
        break;
    case DXI_EVENT_JSON:
        json_print(stream, event);
        break;
    case DXI_EVENT_LINE:
    case DXI_EVENT_HEADERS:
    default:
        line_print(stream, event, form == DXI_EVENT_HEADERS);
        break;
    }
}
