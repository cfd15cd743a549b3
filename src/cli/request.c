/* request.c - `dx request`: publishes a request and prints the answer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "base/format.h"
#include "cli/commands.h"
#include "cli/event_text.h"
#include "cli/interrupt.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/pub_source.h"
#include "cli/target.h"
#include "disruptorx/clock.h"

#define COMMAND "dx request"
#define TIMEOUT_DEFAULT (5 * DX_NS_PER_S)

typedef struct settings {
    const char *key;
    dxi_texts_t headers;
    int64_t timeout_ns;
    int64_t count;
    bool raw;
} settings_t;

static const dxi_option_t OPTIONS[] = {
    {.name = "timeout",
     .letter = 't',
     .kind = DXI_OPTION_DURATION,
     .value_name = "TIME",
     .offset = offsetof(settings_t, timeout_ns),
     .low = DX_NS_PER_MS,
     .high = 3600 * DX_NS_PER_S,
     .help = "how long to wait for the answer; default 5s"},
    {.name = "count",
     .letter = 'n',
     .kind = DXI_OPTION_INTEGER,
     .value_name = "N",
     .offset = offsetof(settings_t, count),
     .low = 1,
     .high = 1000000000,
     .help = "ask N times, one after the other"},
    {.name = "key",
     .letter = 'k',
     .kind = DXI_OPTION_TEXT,
     .value_name = "K",
     .offset = offsetof(settings_t, key),
     .help = "the key of the request"},
    {.name = "header",
     .letter = 'H',
     .kind = DXI_OPTION_CUSTOM,
     .value_name = "NAME=VALUE",
     .offset = offsetof(settings_t, headers),
     .parse = dxi_texts_parse,
     .help = "may be given several times"},
    {.name = "raw",
     .letter = 'r',
     .kind = DXI_OPTION_FLAG,
     .offset = offsetof(settings_t, raw),
     .help = "print the bytes of the answer as they are, and a line end"},
};

static const dxi_usage_t USAGE = {
    .command = COMMAND,
    .operands = "TOPIC [DATA]",
    .description = "Publishes a request and prints the first answer. Ends with 3 when nobody\n"
                   "answers: at once when nobody subscribes to the topic, else after --timeout.\n"
                   "DATA may have the places of dx pub; without it the request is empty.\n",
    .options = OPTIONS,
    .option_count = sizeof OPTIONS / sizeof OPTIONS[0],
    .examples =
        "  dx request time.now\n"
        "  dx request math.square 12 --timeout 500ms\n"
        "  dx reply math.square --command 'awk \"{print \\$1*\\$1}\"'   in another window\n",
    .operands_max = 2,
    .uses_node = 1,
    .question = "which topic?",
};

static int answer_print(const settings_t *settings, const void *data, size_t bytes, int64_t ns)
{
    if (!dxi_output_is_json()) {
        if (settings->raw) {
            fwrite(data, 1, bytes, stdout);
        } else {
            dxi_bytes_print(stdout, data, bytes);
        }
        putchar('\n');
        return DXI_EXIT_OK;
    }
    dxi_json_t json;
    dxi_json_begin_line(&json, stdout);
    dxi_json_object_begin(&json, NULL);
    dxi_json_integer(&json, "bytes", (int64_t)bytes);
    dxi_json_integer(&json, "elapsed_ns", ns);
    dxi_event_json_bytes(&json, "data", "data_hex", data, bytes);
    dxi_json_object_end(&json);
    return dxi_json_finish(&json) == DX_OK ? DXI_EXIT_OK : DXI_EXIT_FAILED;
}

static int failure(const char *topic, const settings_t *settings, int code, const dx_error_t *error)
{
    switch (code) {
    case DX_ENOTFOUND:
        dxi_complain(COMMAND, "nobody subscribes to %.100s (%s); next: dx reply %.100s --echo",
                     topic, dx_error_name(code), topic);
        return DXI_EXIT_UNREACHABLE;
    case DX_ETIMEDOUT:
        dxi_complain(COMMAND, "no answer from %.100s within %s (%s); next: --timeout for more",
                     topic, dxi_format_ns(&(dxi_text_t){0}, settings->timeout_ns),
                     dx_error_name(code));
        return DXI_EXIT_UNREACHABLE;
    case DX_EINVAL:
        dxi_complain_error(COMMAND, error);
        return DXI_EXIT_USAGE;
    default:
        dxi_complain_error(COMMAND, error);
        return dxi_target_exit_code(code);
    }
}

static int requests_run(dx_client_t *client, const char *topic, const settings_t *settings,
                        dxi_pub_source_t *source, char *room, size_t room_bytes)
{
    dx_message_t message = {.topic = topic};
    dx_error_t error = {0};
    int exit_code = DXI_EXIT_OK;
    int result = dxi_pub_source_next(source, &message, &error);
    while (result > 0 && exit_code == DXI_EXIT_OK) {
        size_t bytes = room_bytes;
        const int64_t begin_ns = dx_clock_ns();
        const int code =
            dx_client_request(client, &message, settings->timeout_ns, room, &bytes, &error);
        exit_code = code == DX_OK ? answer_print(settings, room, bytes, dx_clock_ns() - begin_ns)
                                  : failure(topic, settings, code, &error);
        result = dxi_pub_source_next(source, &message, &error);
    }
    if (result < 0) {
        dxi_complain_error(COMMAND, &error);
        return DXI_EXIT_FAILED;
    }
    return exit_code;
}

static int connected(const char *topic, const settings_t *settings, dxi_pub_source_t *source)
{
    const dx_client_options_t wishes = {.window_bytes = DXI_WINDOW_BYTES_LARGE};
    dx_client_t *client = NULL;
    int exit_code = dxi_target_connect(COMMAND, &wishes, &client);
    if (exit_code != DXI_CONNECTED) {
        return exit_code;
    }
    char *const room = dxi_alloc_zeroed(1, DX_FRAME_BYTES_MAX);
    if (room == NULL) {
        dxi_complain(COMMAND, "no memory for the answer");
        exit_code = DXI_EXIT_FAILED;
    } else {
        exit_code = requests_run(client, topic, settings, source, room, DX_FRAME_BYTES_MAX);
    }
    dxi_free(room);
    (void)dx_client_close(client, DX_NS_PER_S);
    return exit_code;
}

int dxi_cli_request(int argc, char **argv)
{
    settings_t settings = {.timeout_ns = TIMEOUT_DEFAULT, .count = 1};
    dxi_operands_t operands;
    dx_error_t error = {0};
    const int begun = dxi_arguments_begin(&USAGE, argc, argv, &settings, &operands);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    dxi_pub_source_t source = {.data = operands.count > 1 ? operands.texts[1] : "",
                               .count = settings.count,
                               .key = settings.key,
                               .headers = settings.headers.texts,
                               .header_count = settings.headers.count};
    dxi_interrupt_catch();
    const int opened = dxi_pub_source_open(&source, &error);
    const int exit_code = opened == DX_OK ? connected(operands.texts[0], &settings, &source)
                                          : dxi_usage_error(&USAGE, &error);
    dxi_pub_source_close(&source);
    return exit_code;
}
