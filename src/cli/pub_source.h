/* cli/pub_source.h - where `dx pub` gets its events from: one text with places to fill in, or the
 * lines of a file or of standard input.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_PUB_SOURCE_H
#define DXI_CLI_PUB_SOURCE_H

#include <stdio.h>

#include "cli/template.h"
#include "disruptorx/bus.h"

typedef struct dxi_pub_source {
    /* Filled by the caller: */
    const char *data;     /* the text; NULL: lines */
    const char *path;     /* of lines; NULL or "-": standard input */
    int64_t count;        /* events at most; 0: one of a text, all lines */
    bool fill_lines;      /* places in lines are filled in, too */
    const char *key;      /* with places; NULL: none */
    const char **headers; /* "name=value", the values with places */
    int32_t header_count;

    /* Private. */
    FILE *file;
    dxi_template_t template;
    dxi_template_t key_template;
    dxi_template_t *header_templates;
    dxi_template_values_t values;
    dxi_room_t data_room;
    dxi_room_t key_room;
    dxi_room_t *header_rooms;
    dx_frame_pair_t *pairs;
    char *line;
    size_t line_capacity;
} dxi_pub_source_t;

/* Opens the file and reads the places.
 * Returns DX_OK; DX_EINVAL for a text or header; DX_ENOTFOUND, DX_EPERM, DX_EIO for a file;
 * DX_ENOMEM. Threads: main. */
DX_NODISCARD int dxi_pub_source_open(dxi_pub_source_t *source, dx_error_t *error);

/* Fills data, key and headers of the next message, which are valid until the next call.
 * Returns 1; 0 at the end, or when interrupted; DX_EIO, DX_ENOMEM, DX_EINVAL for a line.
 * Threads: main. */
DX_NODISCARD int dxi_pub_source_next(dxi_pub_source_t *source, dx_message_t *message,
                                     dx_error_t *error);

/* Threads: main. */
void dxi_pub_source_close(dxi_pub_source_t *source);

#endif
