/* cli/json.h - writes one JSON value to a stream, indented, with the keys in the order given.
 *
 *     dxi_json_t json;
 *     dxi_json_begin(&json, stdout);
 *     dxi_json_object_begin(&json, NULL);
 *     dxi_json_integer(&json, "events", 10895);
 *     dxi_json_object_end(&json);
 *     if (dxi_json_finish(&json) != DX_OK) { ... }
 *
 * Inside an object every call has a key; in an array, and at the top, the key is NULL. Misuse is
 * caught: the writer then writes nothing more and dxi_json_finish() says so. Text that is not UTF-8
 * is written with U+FFFD in place of each bad byte; a number that is not finite is null.
 *
 * Threads: one writer belongs to one thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_JSON_H
#define DXI_CLI_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define DXI_JSON_DEPTH_MAX 16

typedef struct dxi_json {
    FILE *stream;
    int32_t depth; /* open objects and arrays */
    bool one_line;
    int32_t failed; /* DX_OK, or the first DX_E* */
    struct {
        bool is_object;
        bool has_members;
    } levels[DXI_JSON_DEPTH_MAX + 1]; /* 0 is the top, which holds one value */
} dxi_json_t;

void dxi_json_begin(dxi_json_t *json, FILE *stream);

/* The same without indentation, the whole value on one line. */
void dxi_json_begin_line(dxi_json_t *json, FILE *stream);

void dxi_json_object_begin(dxi_json_t *json, const char *key);
void dxi_json_object_end(dxi_json_t *json);
void dxi_json_array_begin(dxi_json_t *json, const char *key);
void dxi_json_array_end(dxi_json_t *json);

void dxi_json_text(dxi_json_t *json, const char *key, const char *value); /* NULL: null */
void dxi_json_integer(dxi_json_t *json, const char *key, int64_t value);
/* A number in the caller's spelling, for what the other two can't hold; NULL: null. */
void dxi_json_number(dxi_json_t *json, const char *key, const char *number);
void dxi_json_real(dxi_json_t *json, const char *key, double value);
void dxi_json_boolean(dxi_json_t *json, const char *key, bool value);
void dxi_json_null(dxi_json_t *json, const char *key);

/* Ends the text with a newline.
 * Returns DX_OK; DX_ELIMIT when it was nested deeper than DXI_JSON_DEPTH_MAX; DX_ESTATE when
 * something was left open, closed twice, or had a key too many or too few; DX_EIO. */
int dxi_json_finish(dxi_json_t *json);

/* What became of something, as a line on standard output: {"topic": "a.b", "result": "created"}.
 * Returns DX_OK, DX_EIO. Threads: any, one at a time. */
int dxi_json_result(const char *kind, const char *name, const char *result);

#endif
