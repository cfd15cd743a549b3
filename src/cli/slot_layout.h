/* cli/slot_layout.h - the fields of an event, by a text such as
 *
 *     i64 price, u32 qty, pad 4, char[8] symbol
 *
 * Types are i8 i16 i32 i64, u8 u16 u32 u64, f32 f64 and char[N]; `pad N` skips N bytes. Fields
 * follow each other without gaps, in the byte order of this machine: where a C struct has padding,
 * the text says so.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_SLOT_LAYOUT_H
#define DXI_CLI_SLOT_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include "cli/json.h"
#include "disruptorx/error.h"
#include "disruptorx/platform.h"

#define DXI_FIELDS_MAX 64
#define DXI_FIELD_NAME_MAX 31
#define DXI_FIELD_BYTES_MAX (1u << 20) /* of char[N] and pad N */

typedef enum dxi_field_kind {
    DXI_FIELD_SIGNED,
    DXI_FIELD_UNSIGNED,
    DXI_FIELD_REAL,
    DXI_FIELD_CHARS
} dxi_field_kind_t;

typedef struct dxi_field {
    dxi_field_kind_t kind;
    uint32_t offset;
    uint32_t bytes;
    char name[DXI_FIELD_NAME_MAX + 1];
} dxi_field_t;

typedef struct dxi_slot_layout {
    uint32_t count;
    uint32_t bytes; /* of all fields, padding included */
    dxi_field_t fields[DXI_FIELDS_MAX];
} dxi_slot_layout_t;

/* Reads the text. What is wrong is said with its place: "column 12: ...".
 * Returns DX_OK, DX_EPARSE; DX_ELIMIT for too many fields or bytes.
 * Threads: any. */
DX_NODISCARD int dxi_slot_layout_parse(const char *text, dxi_slot_layout_t *layout_out,
                                       dx_error_t *error);

#define DXI_FIELD_TEXT_BYTES 512 /* a longer text is cut and ends in "..." */

/* The value of a field for eyes: a number, or a text in quotes with everything that a terminal
 * could take for a command written as \xNN. `event` has at least layout->bytes.
 * Threads: any. */
const char *dxi_field_format(const dxi_field_t *field, const void *event,
                             char text_out[DXI_FIELD_TEXT_BYTES]);

/* Writes it as a member of a JSON object. Numbers keep all their digits.
 * Threads: any. */
void dxi_field_json(const dxi_field_t *field, const void *event, dxi_json_t *json);

#endif
