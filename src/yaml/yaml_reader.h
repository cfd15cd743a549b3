/* yaml/yaml_reader.h - a small part of YAML, and sentences that begin with name:line.
 *
 * One document of mappings, lists and scalars. Anchors, aliases, tags and further documents are
 * refused: what stands in the file is what counts, and nothing grows while it is read. The caller
 * walks the events; the depth of its walk is its own, not the text's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_YAML_YAML_READER_H
#define DXI_YAML_YAML_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <yaml.h>

#include "disruptorx/error.h"
#include "disruptorx/platform.h"

typedef struct dxi_yaml_reader {
    yaml_parser_t parser;
    const char *name; /* of the file */
    const char *what; /* "a configuration": for sentences */
    dx_error_t *error;
} dxi_yaml_reader_t;

/* Reads a key's value, whose next event has not been taken. `line` is the key's. */
typedef int (*dxi_yaml_value_fn)(void *context, const char *key, int line);

/* A text from its beginning to its end: its mapping goes through `read_value`, key by key; an empty
 * one is no mapping and no failure. `otherwise` is said of a text that is something else.
 * Returns DX_OK, DX_EPARSE, DX_ELIMIT (more than `bytes_max`), DX_ENOMEM, what `read_value` says.
 * All of these: Threads: owner of the reader. */
DX_NODISCARD int dxi_yaml_read(dxi_yaml_reader_t *reader, const char *text, size_t bytes,
                               size_t bytes_max, const char *otherwise,
                               dxi_yaml_value_fn read_value, void *context);

/* The next event, without what is never allowed. The caller deletes it, except on failure.
 * Returns DX_OK, DX_EPARSE, DX_ENOMEM. */
DX_NODISCARD int dxi_yaml_next(dxi_yaml_reader_t *reader, yaml_event_t *event);

/* The rest of a mapping whose beginning was taken, key by key. */
DX_NODISCARD int dxi_yaml_mapping(dxi_yaml_reader_t *reader, dxi_yaml_value_fn read_value,
                                  void *context);

int dxi_yaml_line(const yaml_event_t *event);

/* The text of a scalar, as long as the event. Returns DX_OK, or DX_EINVAL for a NUL in it. */
DX_NODISCARD int dxi_yaml_text(const dxi_yaml_reader_t *reader, const yaml_event_t *event,
                               const char **text_out);

/* Whether it is a plain scalar that says nothing: "", "~", "null". */
bool dxi_yaml_is_nothing(const yaml_event_t *event);

/* Puts name:line before the sentence of another layer, where `code` is none of DX_OK. A name that
 * is not known (DX_ENOTFOUND) makes the text wrong (DX_EINVAL): DX_ENOTFOUND is for the file. */
int dxi_yaml_located(const dxi_yaml_reader_t *reader, int line, int code);

/* Remembers where a key was met (0: not yet). Returns DX_OK, or DX_EINVAL for the second time. */
int dxi_yaml_once(const dxi_yaml_reader_t *reader, int *line_before, int line, const char *what,
                  const char *name);

#endif
