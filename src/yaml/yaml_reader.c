/* yaml_reader.c - a small part of YAML, and sentences that begin with name:line.
 *
 * DESIGN
 *
 * libyaml finds the tokens; who reads a file walks its events (dxi_yaml_next(), dxi_yaml_mapping())
 * and knows its keys. Two things are looked at before libyaml sees the text, because its own
 * sentences about them have no line or help nobody: bytes that are no UTF-8 text, and tabs in the
 * indentation.
 *
 * INVARIANTS
 *
 *   Y1  a sentence begins with name:line
 *   Y2  the depth of a walk is bounded by the code of who reads, not by the text
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "yaml/yaml_reader.h"

#include <string.h>

#include "base/fail.h"
#include "base/log_line.h"

int dxi_yaml_line(const yaml_event_t *event)
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

int dxi_yaml_next(dxi_yaml_reader_t *reader, yaml_event_t *event)
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
        const int line = dxi_yaml_line(event);
        yaml_event_delete(event);
        return dxi_fail(reader->error, DX_EPARSE,
                        "%s:%d: has %s, which %s does not need and may not use", reader->name, line,
                        what, reader->what);
    }
    return DX_OK;
}

/* The next event must be this one; it is deleted. */
static int event_expect(dxi_yaml_reader_t *reader, yaml_event_type_t type, const char *otherwise)
{
    yaml_event_t event;
    int code = dxi_yaml_next(reader, &event);
    if (code != DX_OK) {
        return code;
    }
    if (event.type != type) {
        code = dxi_fail(reader->error, DX_EPARSE, "%s:%d: %s", reader->name, dxi_yaml_line(&event),
                        otherwise);
    }
    yaml_event_delete(&event);
    return code;
}

/* libyaml can put a NUL into it ("\0"). */
int dxi_yaml_text(const dxi_yaml_reader_t *reader, const yaml_event_t *event, const char **text_out)
{
    *text_out = (const char *)event->data.scalar.value;
    if (strlen(*text_out) != event->data.scalar.length) {
        return dxi_fail(reader->error, DX_EINVAL, "%s:%d: has a control character (0x00)",
                        reader->name, dxi_yaml_line(event));
    }
    return DX_OK;
}

bool dxi_yaml_is_nothing(const yaml_event_t *event)
{
    return event->type == YAML_SCALAR_EVENT &&
           event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (event->data.scalar.length == 0 ||
            strcmp((const char *)event->data.scalar.value, "~") == 0 ||
            strcmp((const char *)event->data.scalar.value, "null") == 0);
}

/* ----------------------------------------------------------------------------------- the values */

int dxi_yaml_located(const dxi_yaml_reader_t *reader, int line, int code)
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

int dxi_yaml_once(const dxi_yaml_reader_t *reader, int *line_before, int line, const char *what,
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

int dxi_yaml_mapping(dxi_yaml_reader_t *reader, dxi_yaml_value_fn read_value, void *context)
{
    for (;;) {
        yaml_event_t event;
        int code = dxi_yaml_next(reader, &event);
        if (code != DX_OK) {
            return code;
        }
        const bool over = event.type == YAML_MAPPING_END_EVENT;
        const char *key = "";
        if (!over && event.type != YAML_SCALAR_EVENT) {
            code = dxi_fail(reader->error, DX_EPARSE,
                            "%s:%d: a key is a list or a section, must be a word", reader->name,
                            dxi_yaml_line(&event));
        } else if (!over) {
            code = dxi_yaml_text(reader, &event, &key);
        }
        if (code == DX_OK && !over) {
            code = read_value(context, key, dxi_yaml_line(&event));
        }
        yaml_event_delete(&event);
        if (over || code != DX_OK) {
            return code;
        }
    }
}

/* ------------------------------------------------------------------------------------- the text */

static int document_read(dxi_yaml_reader_t *reader, const char *otherwise,
                         dxi_yaml_value_fn read_value, void *context)
{
    yaml_event_t event;
    int code = dxi_yaml_next(reader, &event);
    if (code != DX_OK) {
        return code;
    }
    const bool nothing = dxi_yaml_is_nothing(&event);
    if (event.type == YAML_MAPPING_START_EVENT) {
        code = dxi_yaml_mapping(reader, read_value, context);
    } else if (!nothing) {
        code = dxi_fail(reader->error, DX_EPARSE, "%s:%d: %s", reader->name, dxi_yaml_line(&event),
                        otherwise);
    }
    yaml_event_delete(&event);
    if (code == DX_OK) {
        code = event_expect(reader, YAML_DOCUMENT_END_EVENT, "goes on where it should end");
    }
    if (code != DX_OK) {
        return code;
    }
    char second[128];
    (void)snprintf(second, sizeof second, "begins a second document; %s is one", reader->what);
    return event_expect(reader, YAML_STREAM_END_EVENT, second);
}

static int stream_read(dxi_yaml_reader_t *reader, const char *otherwise,
                       dxi_yaml_value_fn read_value, void *context)
{
    int code = event_expect(reader, YAML_STREAM_START_EVENT, "has no beginning");
    if (code != DX_OK) {
        return code;
    }
    yaml_event_t event;
    code = dxi_yaml_next(reader, &event);
    if (code != DX_OK) {
        return code;
    }
    const bool has_document = event.type == YAML_DOCUMENT_START_EVENT;
    yaml_event_delete(&event);
    return has_document ? document_read(reader, otherwise, read_value, context)
                        : DX_OK; /* else: nothing but comments */
}

int dxi_yaml_read(dxi_yaml_reader_t *reader, const char *text, size_t bytes, size_t bytes_max,
                  const char *otherwise, dxi_yaml_value_fn read_value, void *context)
{
    static const char BOM[] = "\xef\xbb\xbf";
    if (bytes > bytes_max) {
        return dxi_fail(reader->error, DX_ELIMIT, "%s is longer than %zu bytes", reader->name,
                        bytes_max);
    }
    if (bytes >= strlen(BOM) && memcmp(text, BOM, strlen(BOM)) == 0) {
        text += strlen(BOM);
        bytes -= strlen(BOM);
    }
    int code = text_check(text, bytes, reader->name, reader->error);
    if (code != DX_OK) {
        return code;
    }
    if (!yaml_parser_initialize(&reader->parser)) {
        return dxi_fail(reader->error, DX_ENOMEM, "no memory for %s", reader->name);
    }
    yaml_parser_set_encoding(&reader->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader->parser, (const unsigned char *)text, bytes);
    code = stream_read(reader, otherwise, read_value, context);
    /* Its copies of the text: there may be a secret in it. */
    yaml_parser_t *const parser = &reader->parser;
    explicit_bzero(parser->raw_buffer.start,
                   (size_t)(parser->raw_buffer.end - parser->raw_buffer.start));
    explicit_bzero(parser->buffer.start, (size_t)(parser->buffer.end - parser->buffer.start));
    yaml_parser_delete(parser);
    return code;
}
