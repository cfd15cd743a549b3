/* context.c - trace contexts: as text, in frames, of the running handler, and new ones.
 *
 * DESIGN
 *
 * A context in a frame is its part TRACE. A frame that is traced has the flag TRACED as well, so
 * that who has only the header in hand sees it with one comparison. On its way through a node the
 * span id of the frame is that of the last span that was begun (dxi_trace_frame_step()), so that
 * the next one knows its parent, and the spans of an event are one tree. The body's checksum covers
 * the parts and is computed again; that happens to sampled events only.
 *
 * Ids are random numbers of a generator of each thread (xorshift64*: Vigna, "An experimental
 * exploration of Marsaglia's xorshift generators, scrambled", 2016) that is seeded by the kernel.
 *
 * INVARIANTS
 *
 *   C1  an id that we make is never all zero, which W3C Trace Context makes invalid
 *   C2  a frame that was copied or stepped is sound: its checksums hold
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "trace/context.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/fail.h"
#include "disruptorx/clock.h"

#define VERSION_00_BYTES 55
#define TRACE_PART_HEAD 8
#define TRACE_PART_BYTES (TRACE_PART_HEAD + 32) /* in a frame: 25 bytes, and zeros */
#define PARTS_AT DX_FRAME_HEADER_BYTES

/* --------------------------------------------------------------------------------- new contexts */

uint64_t dxi_trace_random(void)
{
    static _Thread_local uint64_t state;
    if (DX_UNLIKELY(state == 0)) {
        uint64_t seed = 0;
        if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed) {
            seed = (uint64_t)dx_clock_realtime_ns() ^ (uint64_t)(uintptr_t)&state;
        }
        state = seed != 0 ? seed : 1;
    }
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    const uint64_t number = state * UINT64_C(0x2545f4914f6cdd1d); /* odd: 0 only of 0 */
    assert(number != 0);
    return number;
}

void dxi_trace_span_make(uint8_t id_out[8])
{
    const uint64_t number = dxi_trace_random(); /* C1 */
    memcpy(id_out, &number, sizeof number);
}

void dx_trace_make(dx_frame_trace_t *trace_out)
{
    dxi_trace_span_make(trace_out->trace_id);
    dxi_trace_span_make(trace_out->trace_id + 8);
    dxi_trace_span_make(trace_out->span_id);
    trace_out->flags = DX_TRACE_SAMPLED;
}

/* ------------------------------------------------------------------------------------ as a text */

/* The value of a digit; -1: it is none. Upper case is not allowed. */
static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads `count` bytes of two digits each. False: something else stands there. */
static bool hex_read(const char *text, uint8_t *bytes_out, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const int high = digit_of(text[2 * i]);
        const int low = digit_of(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        bytes_out[i] = (uint8_t)(high * 16 + low);
    }
    return true;
}

static bool all_zero(const uint8_t *bytes, size_t count)
{
    uint8_t any = 0;
    for (size_t i = 0; i < count; i++) {
        any |= bytes[i];
    }
    return any == 0;
}

int dx_trace_parse(const char *text, size_t bytes, dx_frame_trace_t *trace_out, dx_error_t *error)
{
    uint8_t version = 0;
    dx_frame_trace_t trace = {.flags = 0};
    *trace_out = trace;
    if (bytes < VERSION_00_BYTES) {
        return dxi_fail(error, DX_EPARSE, "a traceparent has %zu bytes, must have %d", bytes,
                        VERSION_00_BYTES);
    }
    if (text[2] != '-' || text[35] != '-' || text[52] != '-' || !hex_read(text, &version, 1) ||
        !hex_read(text + 3, trace.trace_id, 16) || !hex_read(text + 36, trace.span_id, 8) ||
        !hex_read(text + 53, &trace.flags, 1)) {
        return dxi_fail(error, DX_EPARSE,
                        "a traceparent must be 00-<32 digits>-<16 digits>-<2 digits>, in lower "
                        "case, and is \"%.55s\"",
                        text);
    }
    if (version == 0xff || (version == 0 && bytes != VERSION_00_BYTES) ||
        (bytes > VERSION_00_BYTES && text[VERSION_00_BYTES] != '-')) {
        return dxi_fail(error, DX_EPARSE,
                        "a traceparent of version %02x has %zu bytes, which it can't", version,
                        bytes);
    }
    if (all_zero(trace.trace_id, 16) || all_zero(trace.span_id, 8)) {
        return dxi_fail(error, DX_EPARSE, "a traceparent must not have an id that is all zero");
    }
    *trace_out = trace;
    return DX_OK;
}

static char *hex_write(char *to, const uint8_t *bytes, size_t count)
{
    static const char DIGITS[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        *to++ = DIGITS[bytes[i] >> 4];
        *to++ = DIGITS[bytes[i] & 15];
    }
    return to;
}

void dx_trace_format(const dx_frame_trace_t *trace, char text_out[DX_TRACE_TEXT_BYTES])
{
    char *at = text_out;
    *at++ = '0';
    *at++ = '0';
    *at++ = '-';
    at = hex_write(at, trace->trace_id, 16);
    *at++ = '-';
    at = hex_write(at, trace->span_id, 8);
    *at++ = '-';
    at = hex_write(at, &trace->flags, 1);
    *at = '\0';
}

/* ------------------------------------------------------------------------------------ in frames */

bool dxi_trace_sampled(const dx_frame_trace_t *trace)
{
    return (trace->flags & DX_TRACE_SAMPLED) != 0 && !all_zero(trace->trace_id, 16) &&
           !all_zero(trace->span_id, 8);
}

bool dxi_trace_of(const dx_frame_view_t *view, dx_frame_trace_t *trace_out)
{
    uint32_t bytes = 0;
    const void *const part = dx_frame_part(view, DX_PART_TRACE, &bytes);
    if (bytes != sizeof *trace_out) {
        return false;
    }
    memcpy(trace_out, part, sizeof *trace_out);
    return true;
}

/* Bytes of all parts of a frame. */
static uint32_t parts_bytes(const dx_frame_header_t *header)
{
    return header->layout & ~7u;
}

uint32_t dxi_trace_frame_bytes(const dx_frame_view_t *view)
{
    if (dx_frame_has(view, DX_PART_TRACE)) {
        return view->bytes;
    }
    const bool fits = parts_bytes(view->header) + TRACE_PART_BYTES <= DX_FRAME_PARTS_BYTES_MAX &&
                      view->bytes + TRACE_PART_BYTES <= DX_FRAME_BYTES_MAX;
    return fits ? view->bytes + TRACE_PART_BYTES : 0;
}

/* Where the part TRACE belongs: behind those with lower numbers. */
static uint32_t trace_place(const dx_frame_view_t *view)
{
    uint32_t place = PARTS_AT;
    for (int part = 1; part < DX_PART_TRACE; part++) {
        uint32_t bytes = 0;
        const char *const value = dx_frame_part(view, part, &bytes);
        if (value != NULL) {
            place = (uint32_t)(value - (const char *)view->header) + ((bytes + 7) & ~7u);
        }
    }
    return place;
}

/* Writes the part, with its head. */
static void part_write(char *to, const dx_frame_trace_t *trace)
{
    const uint16_t head[2] = {DX_PART_TRACE, sizeof *trace};
    memset(to, 0, TRACE_PART_BYTES);
    memcpy(to, head, sizeof head);
    memcpy(to + TRACE_PART_HEAD, trace, sizeof *trace);
}

void dxi_trace_frame_copy(const dx_frame_view_t *view, const dx_frame_trace_t *trace, void *to)
{
    const char *const from = (const char *)view->header;
    char *const copy = to;
    uint32_t bytes = 0;
    const char *const part = dx_frame_part(view, DX_PART_TRACE, &bytes);
    dx_frame_header_t header = *view->header;
    if (part != NULL) {
        memcpy(copy, from, view->bytes);
        memcpy(copy + (part - from), trace, sizeof *trace);
    } else {
        const uint32_t place = trace_place(view);
        memcpy(copy, from, place);
        part_write(copy + place, trace);
        memcpy(copy + place + TRACE_PART_BYTES, from + place, view->bytes - place);
        header.length += TRACE_PART_BYTES;
        header.layout = (uint16_t)(header.layout + TRACE_PART_BYTES);
    }
    header.flags |= DX_FRAME_TRACED;
    memcpy(copy, &header, sizeof header);
    dx_frame_seal(copy); /* C2 */
}

bool dxi_trace_frame_step(void *frame, uint32_t bytes, const uint8_t span_id[8],
                          dx_frame_trace_t *was_out)
{
    dx_frame_view_t view;
    uint32_t part_bytes = 0;
    if (dx_frame_view(frame, bytes, &view, NULL) != DX_OK || !dxi_trace_of(&view, was_out) ||
        !dxi_trace_sampled(was_out)) {
        return false;
    }
    dx_frame_trace_t *const part =
        (dx_frame_trace_t *)(uintptr_t)dx_frame_part(&view, DX_PART_TRACE, &part_bytes);
    memcpy(part->span_id, span_id, sizeof part->span_id);
    dx_frame_seal(frame); /* C2 */
    return true;
}

/* ----------------------------------------------------------------------- of the running handler */

static _Thread_local dx_frame_trace_t current;
static _Thread_local bool has_current;

void dxi_trace_current_set(const dx_frame_trace_t *trace)
{
    has_current = trace != NULL;
    if (has_current) {
        current = *trace;
    }
}

int dx_trace_current(dx_frame_trace_t *trace_out)
{
    if (!has_current) {
        return DX_ENOTFOUND;
    }
    *trace_out = current;
    return DX_OK;
}

bool dxi_trace_answer(const dx_frame_view_t *asked, dx_frame_trace_t *trace_out)
{
    if (!dxi_trace_of(asked, trace_out)) {
        return false;
    }
    if (has_current &&
        memcmp(current.trace_id, trace_out->trace_id, sizeof current.trace_id) == 0) {
        *trace_out = current;
    }
    return true;
}
