/* config_yaml.c - a YAML file over a configuration.
 *
 * DESIGN
 *
 * A configuration is a small part of YAML: one document, a mapping of sections, each a mapping of
 * options to a scalar or a list of scalars. libyaml finds the tokens; this file walks its events
 * and knows no option by name: it asks the table.
 *
 *     root --key--> section --key--> value: scalar, or [ scalar ... ]
 *
 * Anchors, aliases, tags and further documents are refused: what stands in the file is what counts,
 * and nothing grows while it is read. Two things are looked at before libyaml sees the text,
 * because its own sentences about them have no line or help nobody: bytes that are no UTF-8 text,
 * and tabs in the indentation.
 *
 * INVARIANTS
 *
 *   Y1  a sentence begins with name:line
 *   Y2  the depth of the walk is bounded by this code, not by the text
 *   Y3  each section and each option stands in the file at most once
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>
#include <yaml.h>

#include "base/fail.h"
#include "base/log_line.h"
#include "base/nearest.h"
#include "node/config_internal.h"

#define SECTIONS_MAX 32

typedef struct reader {
    yaml_parser_t parser;
    const char *name; /* of the file */
    dx_config_t *config;
    int section_lines[SECTIONS_MAX]; /* where each was met; 0: not yet */
    int row_lines[DXI_CONFIG_ROWS_MAX];
    dx_error_t *error;
} reader_t;

static int line_of(const yaml_event_t *event)
{
    return (int)event->start_mark.line + 1;
}

/* ---------------------------------------------------------------------------- before the parser */

/* Bytes that are no text, and tabs in the indentation. */
static int text_check(const char *text, size_t bytes, const char *name, dx_error_t *error)
{
    int line = 1;
    bool indentation = true;
    for (size_t i = 0; i < bytes;) {
        const unsigned char c = (unsigned char)text[i];
        const size_t length = dxi_utf8_length(text + i, bytes - i);
        if (length == 0) {
            return dxi_fail(error, DX_EPARSE, "%s:%d: is not UTF-8 (byte 0x%02x)", name, line, c);
        }
        if ((c < 0x20 && c != '\n' && c != '\r' && c != '\t') || c == 0x7f) {
            return dxi_fail(error, DX_EPARSE, "%s:%d: has a control character (0x%02x)", name, line,
                            c);
        }
        if (c == '\t' && indentation) {
            return dxi_fail(error, DX_EPARSE,
                            "%s:%d: has a tab in its indentation, which YAML does not allow; use "
                            "blanks",
                            name, line);
        }
        indentation = c == '\n' || (indentation && c == ' ');
        line += c == '\n';
        i += length;
    }
    return DX_OK;
}

/* ----------------------------------------------------------------------------------- the events */

/* The next event, without what is never allowed. The caller deletes it, except on failure. */
static int event_next(reader_t *reader, yaml_event_t *event)
{
    yaml_parser_t *const parser = &reader->parser;
    if (!yaml_parser_parse(parser, event)) {
        if (parser->error == YAML_MEMORY_ERROR) {
            return dxi_fail(reader->error, DX_ENOMEM, "no memory for %s", reader->name);
        }
        return dxi_fail(reader->error, DX_EPARSE, "%s:%d: is no YAML: %s%s%s", reader->name,
                        (int)parser->problem_mark.line + 1,
                        parser->problem != NULL ? parser->problem : "can't be read",
                        parser->context != NULL ? " " : "",
                        parser->context != NULL ? parser->context : "");
    }
    const yaml_char_t *anchor = NULL, *tag = NULL;
    if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    }
    const char *const what = event->type == YAML_ALIAS_EVENT ? "an alias (*)"
                             : anchor != NULL                ? "an anchor (&)"
                             : tag != NULL                   ? "a tag (!)"
                                                             : NULL;
    if (what != NULL) {
        const int line = line_of(event);
        yaml_event_delete(event);
        return dxi_fail(reader->error, DX_EPARSE,
                        "%s:%d: has %s, which a configuration does not need and may not use",
                        reader->name, line, what);
    }
    return DX_OK;
}

/* The next event must be this one; it is deleted. */
static int event_expect(reader_t *reader, yaml_event_type_t type, const char *otherwise)
{
    yaml_event_t event;
    int code = event_next(reader, &event);
    if (code != DX_OK) {
        return code;
    }
    if (event.type != type) {
        code = dxi_fail(reader->error, DX_EPARSE, "%s:%d: %s", reader->name, line_of(&event),
                        otherwise);
    }
    yaml_event_delete(&event);
    return code;
}

/* The text of a scalar. libyaml can put a NUL into it ("\0"), which no value may have. */
static int scalar_text(const reader_t *reader, const yaml_event_t *event, const char **text_out)
{
    *text_out = (const char *)event->data.scalar.value;
    if (strlen(*text_out) != event->data.scalar.length) {
        return dxi_fail(reader->error, DX_EINVAL, "%s:%d: has a control character (0x00)",
                        reader->name, line_of(event));
    }
    return DX_OK;
}

static bool is_nothing(const yaml_event_t *event)
{
    return event->type == YAML_SCALAR_EVENT &&
           event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (event->data.scalar.length == 0 ||
            strcmp((const char *)event->data.scalar.value, "~") == 0 ||
            strcmp((const char *)event->data.scalar.value, "null") == 0);
}

/* ----------------------------------------------------------------------------------- the values */

/* Puts file:line before what a function below said. Where the name of an option is wrong, the text
 * is: DX_ENOTFOUND is for the file. */
static int located(const reader_t *reader, int line, int code)
{
    if (code == DX_OK) {
        return DX_OK;
    }
    (void)dxi_fail_context(reader->error, "%s:%d", reader->name, line);
    if (code == DX_ENOTFOUND) {
        code = DX_EINVAL;
    }
    if (reader->error != NULL) {
        reader->error->code = code;
    }
    return code;
}

static int items_read(reader_t *reader, const dx_config_option_t *option, dxi_config_value_t *value)
{
    for (;;) {
        yaml_event_t event;
        int code = event_next(reader, &event);
        if (code != DX_OK) {
            return code;
        }
        const char *text = NULL;
        const bool over = event.type == YAML_SEQUENCE_END_EVENT;
        if (!over && event.type != YAML_SCALAR_EVENT) {
            code = dxi_fail(reader->error, DX_EINVAL,
                            "%s:%d: %s has an item that is a list or a section; items are texts",
                            reader->name, line_of(&event), option->name);
        } else if (!over) {
            code = scalar_text(reader, &event, &text);
            if (code == DX_OK) {
                code =
                    located(reader, line_of(&event),
                            dxi_config_list_add(option, option->name, text, value, reader->error));
            }
        }
        yaml_event_delete(&event);
        if (over || code != DX_OK) {
            return code;
        }
    }
}

static int scalar_read(const reader_t *reader, const dx_config_option_t *option,
                       const yaml_event_t *event, dxi_config_value_t *value_out)
{
    if (is_nothing(event)) {
        return dxi_fail(reader->error, DX_EINVAL,
                        "%s:%d: %s has no value; leave the line out for the default (%s)",
                        reader->name, line_of(event), option->name,
                        option->default_text[0] != '\0' ? option->default_text : "\"\"");
    }
    const char *text = NULL;
    const int code = scalar_text(reader, event, &text);
    if (code != DX_OK) {
        return code;
    }
    return located(reader, line_of(event),
                   dxi_config_value_read(option, option->name, text, value_out, reader->error));
}

/* What stands behind the key of an option. */
static int value_read(reader_t *reader, const dx_config_option_t *option,
                      dxi_config_value_t *value_out)
{
    yaml_event_t event;
    int code = event_next(reader, &event);
    if (code != DX_OK) {
        return code;
    }
    *value_out = (dxi_config_value_t){.integer = 0};
    const int line = line_of(&event);
    if (event.type == YAML_SCALAR_EVENT) {
        code = scalar_read(reader, option, &event, value_out);
    } else if (event.type == YAML_SEQUENCE_START_EVENT && option->type == DX_CONFIG_LIST) {
        code = items_read(reader, option, value_out);
        if (code == DX_OK) {
            code = located(reader, line,
                           dxi_config_list_end(option, option->name, value_out, reader->error));
        }
    } else if (event.type == YAML_SEQUENCE_START_EVENT) {
        code = dxi_fail(reader->error, DX_EINVAL, "%s:%d: %s is a list, must be one value",
                        reader->name, line, option->name);
    } else {
        code = dxi_fail(reader->error, DX_EINVAL,
                        "%s:%d: %s is a section; there are two levels only, sections and options",
                        reader->name, line, option->name);
    }
    yaml_event_delete(&event);
    return code;
}

/* Remembers where a section or option was met. */
static int once(const reader_t *reader, int *line_before, int line, const char *what,
                const char *name)
{
    if (*line_before != 0) {
        return dxi_fail(reader->error, DX_EINVAL,
                        "%s:%d: %s %s is there for the second time, after line %d", reader->name,
                        line, what, name, *line_before);
    }
    *line_before = line;
    return DX_OK;
}

static int option_read(reader_t *reader, const char *section, const char *key, int line)
{
    char name[2 * DX_CONFIG_NAME_BYTES_MAX];
    (void)snprintf(name, sizeof name, "%s.%s", section, key);
    size_t count = 0;
    const dx_config_option_t *const rows = dx_config_options(&count);
    const int row = dxi_config_index(name, reader->error);
    if (row < 0) {
        return located(reader, line, row);
    }
    int code = once(reader, &reader->row_lines[row], line, "the option", name);
    if (code == DX_OK) {
        dxi_config_value_t value;
        code = value_read(reader, &rows[row], &value);
        if (code == DX_OK) {
            value.origin = DXI_CONFIG_FILE;
            reader->config->values[row] = value;
        }
    }
    return code;
}

/* A key, and then `read_value`, until the mapping ends. `section` is NULL for the root. */
static int mapping_read(reader_t *reader, const char *section,
                        int (*read_value)(reader_t *, const char *section, const char *key,
                                          int line))
{
    for (;;) {
        yaml_event_t event;
        int code = event_next(reader, &event);
        if (code != DX_OK) {
            return code;
        }
        const bool over = event.type == YAML_MAPPING_END_EVENT;
        const char *key = "";
        if (!over && event.type != YAML_SCALAR_EVENT) {
            code = dxi_fail(reader->error, DX_EPARSE,
                            "%s:%d: a key is a list or a section, must be a word", reader->name,
                            line_of(&event));
        } else if (!over) {
            code = scalar_text(reader, &event, &key);
        }
        if (code == DX_OK && !over) {
            code = read_value(reader, section, key, line_of(&event));
        }
        yaml_event_delete(&event);
        if (over || code != DX_OK) {
            return code;
        }
    }
}

/* ------------------------------------------------------------------------------------- sections */

static int section_unknown(const reader_t *reader, const char *key, int line)
{
    if (dxi_config_find(key) >= 0) {
        const int section_bytes = (int)strcspn(key, ".");
        return dxi_fail(reader->error, DX_EINVAL,
                        "%s:%d: write %s as %s, indented, below a line \"%.*s:\"", reader->name,
                        line, key, strchr(key, '.') + 1, section_bytes, key);
    }
    size_t count = 0;
    const dxi_config_section_t *const sections = dxi_config_sections(&count);
    dxi_nearest_t nearest = {.word = key};
    for (size_t i = 0; i < count; i++) {
        dxi_nearest_offer(&nearest, sections[i].name);
    }
    if (nearest.best != NULL) {
        return dxi_fail(reader->error, DX_EINVAL,
                        "%s:%d: the section %.60s is not known; did you mean %s?", reader->name,
                        line, key, nearest.best);
    }
    return dxi_fail(reader->error, DX_EINVAL,
                    "%s:%d: the section %.60s is not known; docs/configuration.md has all options",
                    reader->name, line, key);
}

static int section_read(reader_t *reader, const char *root, const char *key, int line)
{
    (void)root;
    size_t count = 0;
    const dxi_config_section_t *const sections = dxi_config_sections(&count);
    size_t at = 0;
    while (at < count && strcmp(sections[at].name, key) != 0) {
        at++;
    }
    if (at == count) {
        return section_unknown(reader, key, line);
    }
    int code = once(reader, &reader->section_lines[at], line, "the section", key);
    if (code != DX_OK) {
        return code;
    }
    yaml_event_t event;
    code = event_next(reader, &event);
    if (code != DX_OK) {
        return code;
    }
    if (event.type == YAML_MAPPING_START_EVENT) {
        code = mapping_read(reader, sections[at].name, option_read);
    } else if (!is_nothing(&event)) { /* a section whose lines are all comments is nothing */
        code = dxi_fail(reader->error, DX_EINVAL,
                        "%s:%d: %s is a section, and must have its options below it, indented",
                        reader->name, line_of(&event), key);
    }
    yaml_event_delete(&event);
    return code;
}

/* ------------------------------------------------------------------------------------- the text */

static int document_read(reader_t *reader)
{
    yaml_event_t event;
    int code = event_next(reader, &event);
    if (code != DX_OK) {
        return code;
    }
    const bool nothing = is_nothing(&event);
    if (event.type == YAML_MAPPING_START_EVENT) {
        code = mapping_read(reader, NULL, section_read);
    } else if (!nothing) {
        code = dxi_fail(reader->error, DX_EPARSE,
                        "%s:%d: must have sections (\"listen:\") with options below them",
                        reader->name, line_of(&event));
    }
    yaml_event_delete(&event);
    if (code == DX_OK) {
        code = event_expect(reader, YAML_DOCUMENT_END_EVENT, "goes on where it should end");
    }
    if (code == DX_OK) {
        code = event_expect(reader, YAML_STREAM_END_EVENT,
                            "begins a second document; a configuration is one");
    }
    return code;
}

static int stream_read(reader_t *reader)
{
    int code = event_expect(reader, YAML_STREAM_START_EVENT, "has no beginning");
    if (code != DX_OK) {
        return code;
    }
    yaml_event_t event;
    code = event_next(reader, &event);
    if (code != DX_OK) {
        return code;
    }
    const bool has_document = event.type == YAML_DOCUMENT_START_EVENT;
    yaml_event_delete(&event);
    return has_document ? document_read(reader) : DX_OK; /* else: nothing but comments */
}

int dxi_config_yaml_read(dx_config_t *config, const char *text, size_t bytes, const char *name,
                         dx_error_t *error)
{
    static const char BOM[] = "\xef\xbb\xbf";
    if (bytes > DX_CONFIG_FILE_BYTES_MAX) {
        return dxi_fail(error, DX_ELIMIT, "%s is longer than %d bytes", name,
                        DX_CONFIG_FILE_BYTES_MAX);
    }
    if (bytes >= strlen(BOM) && memcmp(text, BOM, strlen(BOM)) == 0) {
        text += strlen(BOM);
        bytes -= strlen(BOM);
    }
    int code = text_check(text, bytes, name, error);
    if (code != DX_OK) {
        return code;
    }
    reader_t reader = {.name = name, .config = config, .error = error};
    if (!yaml_parser_initialize(&reader.parser)) {
        return dxi_fail(error, DX_ENOMEM, "no memory for %s", name);
    }
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, bytes);
    code = stream_read(&reader);
    yaml_parser_delete(&reader.parser);
    return code;
}
