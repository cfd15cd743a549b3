/* output.c - styles, widths, wrapped text and complaints.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/output.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define WIDTH_MIN 20
#define WIDTH_MAX 1000

static dxi_output_t settings;
static FILE *composed; /* stands for stdout */

dxi_output_t *dxi_output(void)
{
    return &settings;
}

bool dxi_output_is_json(void)
{
    return settings.format == DXI_OUTPUT_JSON;
}

void dxi_output_compose(FILE *stream)
{
    composed = stream;
}

/* Where a stream leads in the end. */
static FILE *destination(FILE *stream)
{
    return stream == composed && stream != NULL ? stdout : stream;
}

static bool wants_color(FILE *stream)
{
    const char *const no_color = getenv("NO_COLOR");
    const char *const term = getenv("TERM");
    if (settings.no_color || (no_color != NULL && no_color[0] != '\0')) {
        return false;
    }
    return isatty(fileno(destination(stream))) && term != NULL && strcmp(term, "dumb") != 0;
}

const char *dxi_style(FILE *stream, dxi_style_t style)
{
    static const char *const codes[] = {
        [DXI_STYLE_PLAIN] = "\x1b[0m",    [DXI_STYLE_HEADING] = "\x1b[1m",
        [DXI_STYLE_QUIET] = "\x1b[2m",    [DXI_STYLE_GOOD] = "\x1b[32m",
        [DXI_STYLE_WARNING] = "\x1b[33m", [DXI_STYLE_ERROR] = "\x1b[1;31m",
    };
    return wants_color(stream) ? codes[style] : "";
}

int32_t dxi_output_width(FILE *stream)
{
    const char *const columns = getenv("COLUMNS");
    if (columns != NULL) {
        char *end = NULL;
        const long width = strtol(columns, &end, 10);
        if (end != columns && *end == '\0' && width >= WIDTH_MIN && width <= WIDTH_MAX) {
            return (int32_t)width;
        }
    }
    struct winsize size = {0};
    const int fd = fileno(destination(stream));
    if (!isatty(fd) || ioctl(fd, TIOCGWINSZ, &size) != 0) {
        return 0;
    }
    const int32_t width = size.ws_col >= WIDTH_MIN && size.ws_col <= WIDTH_MAX ? size.ws_col : 80;
    /* The last column is left free where the rest of each line is cleared behind its text. */
    return stream == composed ? width - 1 : width;
}

void dxi_print_wrapped(FILE *stream, const char *text, int32_t column, int32_t indent,
                       int32_t width)
{
    bool line_begins = true;
    while (*text != '\0') {
        const int32_t word = (int32_t)strcspn(text, " ");
        if (!line_begins && width > 0 && column + 1 + word > width) {
            fprintf(stream, "\n%*s", indent, "");
            column = indent;
            line_begins = true;
        }
        if (!line_begins) {
            fputc(' ', stream);
            column++;
        }
        fwrite(text, 1, (size_t)word, stream);
        column += word;
        line_begins = false;
        text += word;
        text += strspn(text, " ");
    }
    fputc('\n', stream);
}

void dxi_complain(const char *speaker, const char *format, ...)
{
    char sentence[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    /* What was printed before stands before the complaint, also when both go to one place. */
    fflush(stdout);
    fprintf(stderr, "%s%s:%s %s\n", dxi_style(stderr, DXI_STYLE_ERROR), speaker,
            dxi_style(stderr, DXI_STYLE_PLAIN), sentence);
}

void dxi_complain_output(const char *speaker, int number)
{
    static bool said; /* of the main thread */
    if (!said) {
        said = true;
        dxi_complain(speaker, "the output could not be written%s%s", number != 0 ? ": " : "",
                     number != 0 ? strerror(number) : "");
    }
}

void dxi_complain_error(const char *speaker, const dx_error_t *error)
{
    dxi_complain(speaker, "%s (%s)", error->message, dx_error_name(error->code));
}
