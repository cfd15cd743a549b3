/* cli/event_text.h - an event for eyes, or for programs.
 *
 * Whatever bytes an event has, what is printed of it can't command a terminal: control characters
 * are escaped, and a payload that is no text (or has control characters other than tab and line
 * ends) is shown as hexadecimal digits. --raw writes the bytes themselves.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_EVENT_TEXT_H
#define DXI_CLI_EVENT_TEXT_H

#include <stdbool.h>
#include <stdio.h>

#include "cli/json.h"
#include "disruptorx/bus.h"

#define DXI_EVENT_HEX_MAX 1024 /* bytes of a payload that are shown in hexadecimal */

typedef enum dxi_event_form {
    DXI_EVENT_LINE = 0,    /* topic, sequence, payload */
    DXI_EVENT_HEADERS = 1, /* the same, with time, key, headers and the rest before the payload */
    DXI_EVENT_RAW = 2,     /* the payload and a line end */
    DXI_EVENT_JSON = 3     /* one object, on one line */
} dxi_event_form_t;

/* Prints one event.
 * Threads: one at a time per stream. */
void dxi_event_print(FILE *stream, const dx_event_t *event, dxi_event_form_t form);

/* True when `bytes` is UTF-8 without control characters other than tab, CR and LF.
 * Threads: any. */
bool dxi_is_text(const void *bytes, size_t count);

/* Prints bytes as text with every control character escaped (\n, \t, \x1b), or as hexadecimal
 * digits when they are no text.
 * Threads: one at a time per stream. */
void dxi_bytes_print(FILE *stream, const void *bytes, size_t count);

/* A member of bytes: under `key` when they are text, else in hexadecimal under `hex_key`.
 * Threads: owner of `json`. */
void dxi_event_json_bytes(dxi_json_t *json, const char *key, const char *hex_key, const void *bytes,
                          size_t count);

#endif
