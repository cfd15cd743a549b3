/* cli/template.h - texts with places to fill in, once per event:
 *
 *     {{.Count}}      1, 2, 3 ...
 *     {{.Time}}       2026-01-31T09:30:00.123456Z, the time of publishing
 *     {{.UnixNano}}   the same in nanoseconds since 1970
 *     {{.Random N}}   N letters and digits, 1 to 65536
 *
 * Anything else between {{. and }} is refused; {{ without a dot stands for itself.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_TEMPLATE_H
#define DXI_CLI_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "disruptorx/error.h"
#include "disruptorx/platform.h"

#define DXI_TEMPLATE_PLACES_MAX 64
#define DXI_TEMPLATE_RANDOM_MAX 65536

typedef enum dxi_place_kind {
    DXI_PLACE_COUNT,
    DXI_PLACE_TIME,
    DXI_PLACE_UNIX_NANO,
    DXI_PLACE_RANDOM
} dxi_place_kind_t;

/* The text is the caller's and must stay. Private. */
typedef struct dxi_template {
    const char *text;
    size_t bytes;
    int32_t place_count;
    struct {
        dxi_place_kind_t kind;
        uint32_t random_bytes;
        size_t begin; /* of the {{ */
        size_t end;   /* behind the }} */
    } places[DXI_TEMPLATE_PLACES_MAX];
} dxi_template_t;

/* Finds the places.
 * Returns DX_OK, DX_EINVAL for an unknown one, with the nearest, DX_ELIMIT.
 * Threads: any. */
DX_NODISCARD int dxi_template_parse(const char *text, dxi_template_t *template_out,
                                    dx_error_t *error);

/* What is filled in. */
typedef struct dxi_template_values {
    int64_t count;
    int64_t time_ns;       /* since 1970 */
    uint64_t random_state; /* changed by each use; not 0 */
} dxi_template_values_t;

/* Where texts grow. All zero is an empty one; free it with dxi_room_free(). */
typedef struct dxi_room {
    char *bytes;
    size_t used;
    size_t capacity;
} dxi_room_t;

/* Writes the text with its places filled in over what `room` held, and a NUL behind it.
 * Returns DX_OK, DX_ENOMEM.
 * Threads: owner of `room` and `values`. */
DX_NODISCARD int dxi_template_fill(const dxi_template_t *template, dxi_template_values_t *values,
                                   dxi_room_t *room);

/* Appends bytes, and a NUL that is not counted. Returns DX_OK, DX_ENOMEM. Threads: owner. */
DX_NODISCARD int dxi_room_add(dxi_room_t *room, const void *bytes, size_t count);
void dxi_room_free(dxi_room_t *room);

/* "2026-01-31T09:30:00.123456Z" of ns since 1970. Threads: any. */
#define DXI_TIME_TEXT_BYTES 40
const char *dxi_format_time(char text_out[DXI_TIME_TEXT_BYTES], int64_t unix_ns);

#endif
