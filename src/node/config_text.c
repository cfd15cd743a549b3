/* config_text.c - the table for people: deploy/node.yaml and docs/configuration.md.
 *
 * Both files are written by tests/tools/config_files.c, and a test fails when they are not what
 * this file writes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <string.h>

#include "base/format.h"
#include "node/config_internal.h"

#define COLUMNS 90

/* Writes words, wrapped, each line behind `prefix`. */
static void wrapped_write(FILE *stream, const char *prefix, const char *text)
{
    size_t column = 0;
    while (*text != '\0') {
        const size_t word = strcspn(text, " ");
        if (column != 0 && column + 1 + word > COLUMNS) {
            (void)fputc('\n', stream);
            column = 0;
        }
        if (column == 0) {
            column = strlen(prefix);
            (void)fprintf(stream, "%s", prefix);
        }
        (void)fprintf(stream, " %.*s", (int)word, text);
        column += 1 + word;
        text += word;
        text += strspn(text, " ");
    }
    (void)fputc('\n', stream);
}

/* A number in the spelling of its type. */
static const char *number_text(const dx_config_option_t *option, int64_t number,
                               char text_out[DX_CONFIG_TEXT_BYTES_MAX + 1])
{
    dxi_config_value_write(option, &(dxi_config_value_t){.integer = number}, text_out);
    return text_out;
}

/* "bytes, a power of two, 64Ki to 1Gi" */
void dxi_config_rule_write(FILE *stream, const dx_config_option_t *option)
{
    char low[DX_CONFIG_TEXT_BYTES_MAX + 1], high[DX_CONFIG_TEXT_BYTES_MAX + 1];
    switch (option->type) {
    case DX_CONFIG_BOOL:
        (void)fprintf(stream, "true or false");
        return;
    case DX_CONFIG_CHOICE:
        for (size_t i = 0; option->choices[i] != NULL; i++) {
            (void)fprintf(stream, "%s%s", i == 0 ? "" : ", ", option->choices[i]);
        }
        return;
    case DX_CONFIG_TEXT:
        (void)fprintf(stream, "text, ");
        if (option->low != 0) {
            (void)fprintf(stream, "%" PRId64 " to ", option->low);
        } else {
            (void)fprintf(stream, "at most ");
        }
        (void)fprintf(stream, "%" PRId64 " bytes", option->high);
        return;
    case DX_CONFIG_LIST:
        (void)fprintf(stream, "list, at most %" PRId64 " items", option->high);
        return;
    case DX_CONFIG_INTEGER:
    case DX_CONFIG_BYTES:
    case DX_CONFIG_DURATION:
        break;
    }
    (void)fprintf(stream, "%s%s%s to %s", option->type == DX_CONFIG_BYTES ? "bytes, " : "",
                  option->power_of_two ? "a power of two, " : "",
                  number_text(option, option->low, low), number_text(option, option->high, high));
}

/* The default as YAML. */
void dxi_config_default_write(FILE *stream, const dx_config_option_t *option)
{
    if (option->type == DX_CONFIG_LIST) {
        (void)fprintf(stream, "[%s]", option->default_text);
    } else if (option->type == DX_CONFIG_TEXT) {
        (void)fprintf(stream, "\"%s\"", option->default_text);
    } else {
        (void)fprintf(stream, "%s", option->default_text);
    }
}

static bool is_of(const dx_config_option_t *option, const char *section)
{
    const size_t bytes = strlen(section);
    return strncmp(option->name, section, bytes) == 0 && option->name[bytes] == '.';
}

static const char *own_name(const dx_config_option_t *option)
{
    return strchr(option->name, '.') + 1;
}

/* --------------------------------------------------------------------------------------- sample */

const char *dxi_config_effect(const dx_config_option_t *option)
{
    return option->reload_only ? "reload" : option->live ? "live" : "restart";
}

static void sample_row_write(FILE *stream, const dx_config_option_t *option)
{
    wrapped_write(stream, "  #", option->help);
    (void)fprintf(stream, "  # (");
    dxi_config_rule_write(stream, option);
    (void)fprintf(stream, "; %s)\n  #%s: ", dxi_config_effect(option), own_name(option));
    dxi_config_default_write(stream, option);
    (void)fputc('\n', stream);
}

void dxi_config_sample_write(FILE *stream)
{
    (void)fprintf(
        stream,
        "# node.yaml - the configuration of a DisruptorX node: every option, with its "
        "default.\n"
        "#\n"
        "# Take the \"#\" away in front of what you change.   dx config check node.yaml\n"
        "# \"live\" options change by a reload (SIGHUP, dx config reload) or dx config set,\n"
        "# \"reload\" ones by a reload only; others need a restart.\n"
        "# This file is generated (src/node/config_table.c).\n"
        "#\n"
        "# SPDX-License-Identifier: Apache-2.0\n");
    size_t section_count = 0, row_count = 0;
    const dxi_config_section_t *const sections = dxi_config_sections(&section_count);
    const dx_config_option_t *const rows = dx_config_options(&row_count);
    for (size_t s = 0; s < section_count; s++) {
        (void)fputc('\n', stream);
        wrapped_write(stream, "#", sections[s].help);
        (void)fprintf(stream, "%s:\n", sections[s].name);
        bool first = true;
        for (size_t r = 0; r < row_count; r++) {
            if (is_of(&rows[r], sections[s].name)) {
                (void)fprintf(stream, "%s", first ? "" : "\n");
                sample_row_write(stream, &rows[r]);
                first = false;
            }
        }
    }
}

/* --------------------------------------------------------------------------------------- manual */

static const char INTRODUCTION[] =
    "# Configuration of a node\n"
    "\n"
    "<!-- Generated from src/node/config_table.c by tests/tools/config_files.c; don't edit. -->\n"
    "\n"
    "A node runs without a configuration. What is said here changes it, and each later line of "
    "this "
    "list\n"
    "counts more than those before it:\n"
    "\n"
    "1. the defaults below;\n"
    "2. a YAML file, `dx server -c node.yaml`; [deploy/node.yaml](../deploy/node.yaml) has every "
    "option, commented;\n"
    "3. the environment: `DX_` and the name in capitals, with an underscore for the dot:\n"
    "   `DX_LIMITS_CONNECTIONS_MAX=500`. A variable that begins with `DX_` and a section's name "
    "but "
    "is no\n"
    "   option is refused;\n"
    "4. what a program sets by `dx_config_set()`, or a person by `dx config set`.\n"
    "\n"
    "```yaml\n"
    "listen:\n"
    "  addresses: [tcp://0.0.0.0:7400, unix:///run/dx.sock]\n"
    "auth:\n"
    "  token_file: /etc/dx/token\n"
    "limits:\n"
    "  connections_max: 500\n"
    "```\n"
    "\n"
    "**Numbers** may have a multiplier: `k M G` are powers of 1000, `Ki Mi Gi` of 1024. "
    "**Durations** have a\n"
    "unit: `ns us ms s m h`; a bare number has the unit that the option's name ends in. **Lists** "
    "are YAML\n"
    "lists, or, in the environment, one text with commas. Paths of files are relative to the "
    "working directory.\n"
    "\n"
    "An unknown or misspelt name, a value out of its bounds, or two options that contradict each "
    "other are\n"
    "refused with the file and the line, and nothing of the file is taken:\n"
    "\n"
    "```\n"
    "node.yaml:7: limits.conections_max is not known; did you mean limits.connections_max?\n"
    "```\n"
    "\n"
    "**Live** options take effect while the node runs: by SIGHUP or `dx config reload`, which read "
    "the file\n"
    "again, or by `dx config set`. Those that say `reload` name files: who may set options from "
    "elsewhere may not\n"
    "choose files of this host, so they change in the file, by a reload, only. A reload is all or "
    "nothing: when an\n"
    "option that is not live differs, it is refused with the names of those options, and nothing "
    "changes. What\n"
    "changed stands in the log.\n"
    "\n"
    "A file has at most 1 MiB, a value 1023 bytes. Of YAML, anchors, aliases, tags and several "
    "documents are\n"
    "refused.\n";

static void manual_row_write(FILE *stream, const dx_config_option_t *option)
{
    (void)fprintf(stream, "| `%s` | `", own_name(option));
    dxi_config_default_write(stream, option);
    (void)fprintf(stream, "` | ");
    dxi_config_rule_write(stream, option);
    (void)fprintf(stream, " | %s | %s%s |\n",
                  option->reload_only ? "reload"
                  : option->live      ? "yes"
                                      : "",
                  option->help, option->secret ? " Never printed." : "");
}

void dxi_config_manual_write(FILE *stream)
{
    (void)fprintf(stream, "%s", INTRODUCTION);
    size_t section_count = 0, row_count = 0;
    const dxi_config_section_t *const sections = dxi_config_sections(&section_count);
    const dx_config_option_t *const rows = dx_config_options(&row_count);
    for (size_t s = 0; s < section_count; s++) {
        (void)fprintf(stream,
                      "\n## %s\n\n%s\n\n| option | default | values | live | |\n|---|---|---|---|"
                      "---|\n",
                      sections[s].name, sections[s].help);
        for (size_t r = 0; r < row_count; r++) {
            if (is_of(&rows[r], sections[s].name)) {
                manual_row_write(stream, &rows[r]);
            }
        }
    }
}
