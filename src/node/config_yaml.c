/* config_yaml.c - a YAML file over a configuration.
 *
 * DESIGN
 *
 * A configuration is a small part of YAML: one document, a mapping of sections, each a mapping of
 * options to a scalar or a list of scalars. yaml/yaml_reader.h reads the text; this file walks its
 * events and knows no option by name: it asks the table.
 *
 *     root --key--> section --key--> value: scalar, or [ scalar ... ]
 *
 * INVARIANTS (Y1, Y2: yaml_reader.c)
 *
 *   Y3  each section and each option stands in the file at most once
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "base/fail.h"
#include "base/nearest.h"
#include "node/config_internal.h"
#include "yaml/yaml_reader.h"

#define SECTIONS_MAX 32

typedef struct reader {
    dxi_yaml_reader_t yaml;
    dx_config_t *config;
    const char *section;             /* that is read now */
    int section_lines[SECTIONS_MAX]; /* where each was met; 0: not yet */
    int row_lines[DXI_CONFIG_ROWS_MAX];
} reader_t;

/* ----------------------------------------------------------------------------------- the values */

static int items_read(reader_t *reader, const dx_config_option_t *option, dxi_config_value_t *value)
{
    for (;;) {
        yaml_event_t event;
        int code = dxi_yaml_next(&reader->yaml, &event);
        if (code != DX_OK) {
            return code;
        }
        const char *text = NULL;
        const bool over = event.type == YAML_SEQUENCE_END_EVENT;
        if (!over && event.type != YAML_SCALAR_EVENT) {
            code = dxi_fail(reader->yaml.error, DX_EINVAL,
                            "%s:%d: %s has an item that is a list or a section; items are texts",
                            reader->yaml.name, dxi_yaml_line(&event), option->name);
        } else if (!over) {
            code = dxi_yaml_text(&reader->yaml, &event, &text);
            if (code == DX_OK) {
                code = dxi_yaml_located(
                    &reader->yaml, dxi_yaml_line(&event),
                    dxi_config_list_add(option, option->name, text, value, reader->yaml.error));
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
    if (dxi_yaml_is_nothing(event)) {
        return dxi_fail(reader->yaml.error, DX_EINVAL,
                        "%s:%d: %s has no value; leave the line out for the default (%s)",
                        reader->yaml.name, dxi_yaml_line(event), option->name,
                        option->default_text[0] != '\0' ? option->default_text : "\"\"");
    }
    const char *text = NULL;
    const int code = dxi_yaml_text(&reader->yaml, event, &text);
    if (code != DX_OK) {
        return code;
    }
    return dxi_yaml_located(
        &reader->yaml, dxi_yaml_line(event),
        dxi_config_value_read(option, option->name, text, value_out, reader->yaml.error));
}

/* What stands behind the key of an option. */
static int value_read(reader_t *reader, const dx_config_option_t *option,
                      dxi_config_value_t *value_out)
{
    yaml_event_t event;
    int code = dxi_yaml_next(&reader->yaml, &event);
    if (code != DX_OK) {
        return code;
    }
    *value_out = (dxi_config_value_t){.integer = 0};
    const int line = dxi_yaml_line(&event);
    if (event.type == YAML_SCALAR_EVENT) {
        code = scalar_read(reader, option, &event, value_out);
    } else if (event.type == YAML_SEQUENCE_START_EVENT && option->type == DX_CONFIG_LIST) {
        code = items_read(reader, option, value_out);
        if (code == DX_OK) {
            code = dxi_yaml_located(
                &reader->yaml, line,
                dxi_config_list_end(option, option->name, value_out, reader->yaml.error));
        }
    } else if (event.type == YAML_SEQUENCE_START_EVENT) {
        code = dxi_fail(reader->yaml.error, DX_EINVAL, "%s:%d: %s is a list, must be one value",
                        reader->yaml.name, line, option->name);
    } else {
        code = dxi_fail(reader->yaml.error, DX_EINVAL,
                        "%s:%d: %s is a section; there are two levels only, sections and options",
                        reader->yaml.name, line, option->name);
    }
    if (option->secret && event.type == YAML_SCALAR_EVENT) {
        explicit_bzero(event.data.scalar.value, event.data.scalar.length);
    }
    yaml_event_delete(&event);
    return code;
}

static int option_read(void *context, const char *key, int line)
{
    reader_t *const reader = context;
    char name[2 * DX_CONFIG_NAME_BYTES_MAX];
    (void)snprintf(name, sizeof name, "%s.%s", reader->section, key);
    size_t count = 0;
    const dx_config_option_t *const rows = dx_config_options(&count);
    const int row = dxi_config_index(name, reader->yaml.error);
    if (row < 0) {
        return dxi_yaml_located(&reader->yaml, line, row);
    }
    int code = dxi_yaml_once(&reader->yaml, &reader->row_lines[row], line, "the option", name);
    if (code == DX_OK) {
        dxi_config_value_t value;
        code = value_read(reader, &rows[row], &value);
        if (code == DX_OK) {
            value.origin = DXI_CONFIG_FILE;
            reader->config->values[row] = value;
        }
        explicit_bzero(&value, sizeof value); /* it may be a secret */
    }
    return code;
}

/* ------------------------------------------------------------------------------------- sections */

static int section_unknown(const reader_t *reader, const char *key, int line)
{
    if (dxi_config_find(key) >= 0) {
        const int section_bytes = (int)strcspn(key, ".");
        return dxi_fail(reader->yaml.error, DX_EINVAL,
                        "%s:%d: write %s as %s, indented, below a line \"%.*s:\"",
                        reader->yaml.name, line, key, strchr(key, '.') + 1, section_bytes, key);
    }
    size_t count = 0;
    const dxi_config_section_t *const sections = dxi_config_sections(&count);
    dxi_nearest_t nearest = {.word = key};
    for (size_t i = 0; i < count; i++) {
        dxi_nearest_offer(&nearest, sections[i].name);
    }
    if (nearest.best != NULL) {
        return dxi_fail(reader->yaml.error, DX_EINVAL,
                        "%s:%d: the section %.60s is not known; did you mean %s?",
                        reader->yaml.name, line, key, nearest.best);
    }
    return dxi_fail(reader->yaml.error, DX_EINVAL,
                    "%s:%d: the section %.60s is not known; docs/configuration.md has all options",
                    reader->yaml.name, line, key);
}

static int section_read(void *context, const char *key, int line)
{
    reader_t *const reader = context;
    size_t count = 0;
    const dxi_config_section_t *const sections = dxi_config_sections(&count);
    size_t at = 0;
    while (at < count && strcmp(sections[at].name, key) != 0) {
        at++;
    }
    if (at == count) {
        return section_unknown(reader, key, line);
    }
    int code = dxi_yaml_once(&reader->yaml, &reader->section_lines[at], line, "the section", key);
    if (code != DX_OK) {
        return code;
    }
    yaml_event_t event;
    code = dxi_yaml_next(&reader->yaml, &event);
    if (code != DX_OK) {
        return code;
    }
    if (event.type == YAML_MAPPING_START_EVENT) {
        reader->section = sections[at].name;
        code = dxi_yaml_mapping(&reader->yaml, option_read, reader);
    } else if (!dxi_yaml_is_nothing(
                   &event)) { /* a section whose lines are all comments is nothing */
        code = dxi_fail(reader->yaml.error, DX_EINVAL,
                        "%s:%d: %s is a section, and must have its options below it, indented",
                        reader->yaml.name, dxi_yaml_line(&event), key);
    }
    yaml_event_delete(&event);
    return code;
}

int dxi_config_yaml_read(dx_config_t *config, const char *text, size_t bytes, const char *name,
                         dx_error_t *error)
{
    reader_t reader = {.yaml = {.name = name, .what = "a configuration", .error = error},
                       .config = config};
    return dxi_yaml_read(&reader.yaml, text, bytes, DX_CONFIG_FILE_BYTES_MAX,
                         "must have sections (\"listen:\") with options below them", section_read,
                         &reader);
}
