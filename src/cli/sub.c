/* sub.c - `dx sub`: prints the events of a topic or pattern.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/receive.h"
#include "cli/target.h"
#include "disruptorx/clock.h"

#define COMMAND "dx sub"

typedef struct start {
    dx_start_from_t from;
    uint64_t value;
} start_t;

typedef struct settings {
    const char *group;
    const char *filter;
    start_t start;
    int64_t count;
    int64_t timeout_ns;
    bool ack;
    bool raw;
    bool headers;
} settings_t;

static int start_parse(const char *text, void *member_out, dx_error_t *error)
{
    start_t *const start = member_out;
    return dxi_start_parse(text, dx_clock_realtime_ns(), &start->from, &start->value, error);
}

static const dxi_option_t OPTIONS[] = {
    {.name = "group",
     .letter = 'g',
     .kind = DXI_OPTION_TEXT,
     .value_name = "NAME",
     .offset = offsetof(settings_t, group),
     .help = "share the events with the other members of this group: each goes to one"},
    {.name = "from",
     .kind = DXI_OPTION_CUSTOM,
     .value_name = "START",
     .offset = offsetof(settings_t, start),
     .parse = start_parse,
     .help = "latest (default), earliest: all that the node still has, a sequence, a time "
             "(2026-01-31T09:30:00Z), an age (5m)"},
    {.name = "count",
     .letter = 'n',
     .kind = DXI_OPTION_INTEGER,
     .value_name = "N",
     .offset = offsetof(settings_t, count),
     .low = 1,
     .high = INT64_MAX,
     .help = "end after N events; the members of a group must have the same N"},
    {.name = "timeout",
     .letter = 't',
     .kind = DXI_OPTION_DURATION,
     .value_name = "TIME",
     .offset = offsetof(settings_t, timeout_ns),
     .low = DX_NS_PER_MS,
     .high = INT64_C(86400000000000),
     .help = "end after this time; with --count that is a failure"},
    {.name = "filter",
     .kind = DXI_OPTION_TEXT,
     .value_name = "TEXT",
     .offset = offsetof(settings_t, filter),
     .help = "only events for which it holds, decided by the node: key = \"7\" and header.kind != "
             "\"test\""},
    {.name = "ack",
     .kind = DXI_OPTION_FLAG,
     .offset = offsetof(settings_t, ack),
     .help = "acknowledge each event once it is printed; what was not printed is given to another "
             "or again. The usual thing in a group"},
    {.name = "raw",
     .letter = 'r',
     .kind = DXI_OPTION_FLAG,
     .offset = offsetof(settings_t, raw),
     .help = "print the bytes of the payload as they are, and a line end"},
    {.name = "headers",
     .kind = DXI_OPTION_FLAG,
     .offset = offsetof(settings_t, headers),
     .help = "print time, shard, key and headers, too"},
};

static int settings_check(const void *target, const dxi_operands_t *operands, dx_error_t *error)
{
    const settings_t *const settings = target;
    (void)operands;
    if (settings->raw && (settings->headers || dxi_output_is_json())) {
        return dxi_fail(error, DX_EINVAL, "--raw excludes --headers and -o json");
    }
    return DX_OK;
}

static const dxi_usage_t USAGE = {
    .command = COMMAND,
    .operands = "PATTERN",
    .description =
        "Prints events as they come, one a line: topic, sequence, payload; until Ctrl-C,\n"
        "--count or --timeout. In a pattern, * stands for one part of a name and > for\n"
        "all the rest: orders.*, orders.>, >. Put it in quotes, because of the shell.\n"
        "\n"
        "A payload that is no text is printed as hexadecimal digits; what could command a\n"
        "terminal is escaped. -o json prints one object a line.\n",
    .options = OPTIONS,
    .option_count = sizeof OPTIONS / sizeof OPTIONS[0],
    .examples = "  dx sub 'orders.*'\n"
                "  dx sub orders.new --from earliest --count 10\n"
                "  dx sub 'orders.>' --group billing --ack\n"
                "  dx sub '>' -o json | jq -r .data\n",
    .operands_max = 1,
    .uses_node = 1,
    .question = "which topic or pattern? '>' is everything",
    .check = settings_check,
};

int dxi_cli_sub(int argc, char **argv)
{
    settings_t settings = {0};
    dxi_operands_t operands;
    const int begun = dxi_arguments_begin(&USAGE, argc, argv, &settings, &operands);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    dxi_receive_t receive = {
        .speaker = COMMAND,
        .subscription = {.pattern = operands.texts[0],
                         .group = settings.group,
                         .filter = settings.filter,
                         .from = settings.start.from,
                         .from_value = settings.start.value,
                         .ack = settings.ack ? DX_ACK_AUTO : DX_ACK_DEFAULT},
        .form = dxi_output_is_json() ? DXI_EVENT_JSON
                : settings.raw       ? DXI_EVENT_RAW
                : settings.headers   ? DXI_EVENT_HEADERS
                                     : DXI_EVENT_LINE,
        .count = settings.count,
        .timeout_ns = settings.timeout_ns,
    };
    if (settings.count > 0 && (settings.ack || settings.group != NULL)) {
        /* No more than it will print is taken from the others of the group. */
        receive.subscription.pending_events_max =
            settings.count < 1024 ? (uint32_t)settings.count : 1024;
    }
    static char speaker[] = COMMAND;
    const dx_client_options_t wishes = {.on_state = dxi_receive_on_state, .context = speaker};
    dx_client_t *client = NULL;
    dxi_interrupt_catch();
    int exit_code = dxi_target_connect(COMMAND, &wishes, &client);
    if (exit_code == DXI_CONNECTED) {
        exit_code = dxi_receive_run(client, &receive);
        (void)dx_client_close(client, DX_NS_PER_S);
    }
    return exit_code;
}
