/* generate_man_config.c - dx-node.yaml(5), from the table of a node's options.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "cli/generate.h"
#include "node/config_internal.h"

static void text_write(FILE *stream, const char *text)
{
    dxi_roff_write(stream, text, strlen(text));
}

/* What `write` writes, as roff. */
static void written_write(FILE *stream, void (*write)(FILE *, const dx_config_option_t *),
                          const dx_config_option_t *option)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *const memory = open_memstream(&text, &bytes);
    if (memory == NULL) {
        return;
    }
    write(memory, option);
    if (fclose(memory) == 0) {
        dxi_roff_write(stream, text, bytes);
    }
    free(text);
}

static void option_write(FILE *stream, const dx_config_option_t *option)
{
    fputs(".TP\n\\fB", stream);
    text_write(stream, option->name);
    fputs("\\fR: ", stream);
    written_write(stream, dxi_config_default_write, option);
    fputc('\n', stream);
    text_write(stream, option->help);
    fputs("\n.br\n", stream);
    written_write(stream, dxi_config_rule_write, option);
    fprintf(stream, "; %s%s.\n", dxi_config_effect(option),
            option->secret ? "; never printed" : "");
}

static bool is_of(const dx_config_option_t *option, const char *section)
{
    const size_t bytes = strlen(section);
    return strncmp(option->name, section, bytes) == 0 && option->name[bytes] == '.';
}

void dxi_man_config_write(FILE *stream)
{
    size_t section_count = 0;
    size_t row_count = 0;
    const dxi_config_section_t *const sections = dxi_config_sections(&section_count);
    const dx_config_option_t *const rows = dx_config_options(&row_count);
    fputs(".SH DESCRIPTION\n"
          "A node runs without a configuration. A file in YAML changes it:\n"
          ".B dx server \\-c node.yaml\n"
          ".PP\n"
          "Over the defaults counts the file, over the file the environment, and over that\n"
          "what is set with \\fB\\-\\-set\\fR or \\fBdx config set\\fR. A variable of the\n"
          "environment is DX_ and the name in capitals, with an underscore for the dot:\n"
          "DX_LIMITS_CONNECTIONS_MAX=500.\n"
          ".PP\n"
          "Options that are live change by a reload (SIGHUP, \\fBdx config reload\\fR) or\n"
          "\\fBdx config set\\fR, those with reload by a reload only; others need a restart.\n"
          "\\fBdx config sample\\fR prints a file with all of them, \\fBdx config\n"
          "check\\fR says what is wrong with one.\n"
          ".PP\n"
          "The name of an option is its section and its key: limits.connections_max is\n"
          ".RS 2\n.nf\nlimits:\n  connections_max: 500\n.fi\n.RE\n",
          stream);
    for (size_t s = 0; s < section_count; s++) {
        fprintf(stream, ".SH %s\n", sections[s].name);
        text_write(stream, sections[s].help);
        fputc('\n', stream);
        for (size_t r = 0; r < row_count; r++) {
            if (is_of(&rows[r], sections[s].name)) {
                option_write(stream, &rows[r]);
            }
        }
    }
    fputs(".SH SEE ALSO\n.BR dx (1),\n.BR dx\\-server (1),\n.BR dx\\-config (1)\n", stream);
}
