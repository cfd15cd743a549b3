/* topic.c - `dx topic`: create, change, ls, info, tail, rm.
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
#include "cli/topic_print.h"
#include "disruptorx/clock.h"

#define TOPICS_MAX 256 /* of one `dx topic rm` */

/* Connects, or returns the exit code. */
static int node_open(const char *speaker, dx_client_t **client_out)
{
    dxi_interrupt_catch();
    return dxi_target_connect(speaker, NULL, client_out);
}

static int failure(const char *speaker, int code, const dx_error_t *error)
{
    dxi_complain_error(speaker, error);
    if (code == DX_EEXIST) {
        fputs(
            "Next: dx topic info shows its options, dx topic change changes them; for --direct and "
            "--shard-by dx topic rm has to forget it first, with its events\n",
            stderr);
    }
    return code == DX_EINVAL ? DXI_EXIT_USAGE : dxi_target_exit_code(code);
}

/* ------------------------------------------------------------------------- create and change */

typedef struct settings {
    int32_t shard_by;
    int32_t full;
    int64_t retain_events;
    int64_t retain_bytes;
    int64_t retain_age_ns;
    int64_t event_bytes_max;
    int64_t direct_bytes;
} settings_t;

#define NOT_GIVEN (-1)

static const char *const SHARD_BY[] = {"topic", "key", NULL};
static const char *const FULL[] = {"wait", "fail", NULL};

static const dxi_option_t OPTIONS[] = {
    {.name = "retain-events",
     .kind = DXI_OPTION_INTEGER,
     .value_name = "N",
     .offset = offsetof(settings_t, retain_events),
     .low = 0,
     .high = (int64_t)DX_RETAIN_EVENTS_MAX,
     .help = "events kept in memory for those who start behind; 0: none; default: the node's"},
    {.name = "retain-bytes",
     .kind = DXI_OPTION_INTEGER,
     .value_name = "N",
     .offset = offsetof(settings_t, retain_bytes),
     .low = 1,
     .high = (int64_t)DX_RETAIN_BYTES_MAX,
     .help = "and their bytes (1Mi)"},
    {.name = "retain-age",
     .kind = DXI_OPTION_DURATION,
     .value_name = "TIME",
     .offset = offsetof(settings_t, retain_age_ns),
     .low = DX_NS_PER_MS,
     .high = INT64_C(31536000000000000),
     .help = "and their age (10m)"},
    {.name = "max-bytes",
     .kind = DXI_OPTION_INTEGER,
     .value_name = "N",
     .offset = offsetof(settings_t, event_bytes_max),
     .low = 1,
     .high = DX_FRAME_BYTES_MAX,
     .help = "of one event's payload; a larger one is refused"},
    {.name = "full",
     .kind = DXI_OPTION_CHOICE,
     .value_name = "POLICY",
     .choices = FULL,
     .offset = offsetof(settings_t, full),
     .help =
         "what a program that publishes inside the node's own process meets when the node has no "
         "room: wait (default) or fail; clients wait, or fail, as their own options say"},
    /* Last: dx topic change has all but these two. */
    {.name = "direct",
     .kind = DXI_OPTION_INTEGER,
     .value_name = "BYTES",
     .offset = offsetof(settings_t, direct_bytes),
     .low = DX_DIRECT_BYTES_MIN,
     .high = DX_DIRECT_BYTES_MAX,
     .help = "a ring of its own of so many bytes in shared memory (a power of two: 4Mi), which "
             "programs of the node's user on its host use without the node; --max-bytes is the "
             "size of its slots"},
    {.name = "shard-by",
     .kind = DXI_OPTION_CHOICE,
     .value_name = "WHAT",
     .choices = SHARD_BY,
     .offset = offsetof(settings_t, shard_by),
     .help = "topic (default): one order for all events; key: spread over the shards, one order "
             "per key"},
};

#define OPTION_COUNT (sizeof OPTIONS / sizeof OPTIONS[0])

static const dxi_usage_t CREATE_USAGE = {
    .command = "dx topic create",
    .operands = "NAME",
    .description =
        "Declares a topic. One that is not declared is made by its first event, with the\n"
        "defaults of the node.\n",
    .options = OPTIONS,
    .option_count = OPTION_COUNT,
    .examples = "  dx topic create orders.created --retain-events 100k --retain-age 10m\n"
                "  dx topic create prices --shard-by key --max-bytes 1Ki --full fail\n"
                "  dx topic create ticks --direct 4Mi --max-bytes 32\n",
    .operands_max = 1,
    .uses_node = 1,
    .question = "which topic?",
};

static const dxi_usage_t CHANGE_USAGE = {
    .command = "dx topic change",
    .operands = "NAME",
    .description = "Changes what is given, and leaves the rest as it is.\n",
    .options = OPTIONS,
    .option_count = OPTION_COUNT - 2,
    .examples = "  dx topic change orders.created --retain-events 1M\n",
    .operands_max = 1,
    .uses_node = 1,
    .question = "which topic?",
};

/* Puts what was given over what is there. */
static void options_apply(const settings_t *settings, dx_topic_options_t *options)
{
    if (settings->shard_by != NOT_GIVEN) {
        options->shard_by = (dx_shard_by_t)settings->shard_by;
    }
    if (settings->full != NOT_GIVEN) {
        options->full = (dx_topic_full_t)settings->full;
    }
    if (settings->retain_events != NOT_GIVEN) {
        options->retain_events =
            settings->retain_events == 0 ? DX_RETAIN_NONE : (uint64_t)settings->retain_events;
    }
    if (settings->retain_bytes != NOT_GIVEN) {
        options->retain_bytes = (uint64_t)settings->retain_bytes;
    }
    if (settings->retain_age_ns != NOT_GIVEN) {
        options->retain_age_ns = settings->retain_age_ns;
    }
    if (settings->event_bytes_max != NOT_GIVEN) {
        options->event_bytes_max = (uint32_t)settings->event_bytes_max;
    }
    if (settings->direct_bytes != NOT_GIVEN) {
        options->direct_bytes = (uint32_t)settings->direct_bytes;
    }
}

static bool nothing_given(const settings_t *settings)
{
    return settings->full == NOT_GIVEN && settings->retain_events == NOT_GIVEN &&
           settings->retain_bytes == NOT_GIVEN && settings->retain_age_ns == NOT_GIVEN &&
           settings->event_bytes_max == NOT_GIVEN;
}

static int topic_make(const char *speaker, const char *name, const settings_t *settings,
                      bool is_change)
{
    dx_client_t *client = NULL;
    dx_error_t error = {0};
    dx_topic_options_t options = {0};
    int exit_code = node_open(speaker, &client);
    if (exit_code != DXI_CONNECTED) {
        return exit_code;
    }
    int result = DX_OK;
    if (is_change) {
        dx_topic_stats_t stats;
        result = dx_client_topic_stats(client, name, &stats, &error);
        options = result == DX_OK ? stats.options : options;
    }
    options_apply(settings, &options);
    if (result == DX_OK) {
        result = is_change ? dx_client_topic_change(client, name, &options, &error)
                           : dx_client_topic_create(client, name, &options, &error);
    }
    exit_code = result == DX_OK ? dxi_topic_done_print(name, is_change ? "changed" : "created")
                                : failure(speaker, result, &error);
    (void)dx_client_close(client, DX_NS_PER_S);
    return exit_code;
}

static int make_run(const dxi_usage_t *usage, bool is_change, int argc, char **argv)
{
    settings_t settings = {NOT_GIVEN, NOT_GIVEN, NOT_GIVEN, NOT_GIVEN,
                           NOT_GIVEN, NOT_GIVEN, NOT_GIVEN};
    dxi_operands_t operands;
    dx_error_t error = {0};
    const int begun = dxi_arguments_begin(usage, argc, argv, &settings, &operands);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    if (is_change && nothing_given(&settings)) {
        dxi_fail(&error, DX_EINVAL, "nothing to change: give one of the options");
        return dxi_usage_error(usage, &error);
    }
    return topic_make(usage->command, operands.texts[0], &settings, is_change);
}

static int create_run(int argc, char **argv)
{
    return make_run(&CREATE_USAGE, false, argc, argv);
}

static int change_run(int argc, char **argv)
{
    return make_run(&CHANGE_USAGE, true, argc, argv);
}

/* ------------------------------------------------------------------------------------ ls, info */

static int ls_run(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx topic ls",
        .operands = "[PATTERN]",
        .description =
            "Lists topics with what was published, kept, and is behind. Those of the bus\n"
            "itself begin with $ and are only listed by a pattern that does: '$>'.\n",
        .examples = "  dx topic ls\n  dx topic ls 'orders.>'\n  dx topic ls '$dead.>' -o json\n",
        .operands_max = 1,
        .uses_node = 1,
    };
    dxi_operands_t operands;
    dx_error_t error = {0};
    dx_client_t *client = NULL;
    const int begun = dxi_arguments_begin(&usage, argc, argv, NULL, &operands);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    int exit_code = node_open(usage.command, &client);
    if (exit_code != DXI_CONNECTED) {
        return exit_code;
    }
    dxi_topic_list_t list = {0};
    const char *const pattern = operands.count > 0 ? operands.texts[0] : NULL;
    const int result = dx_client_topic_list(client, pattern, dxi_topic_list_add, &list, &error);
    exit_code =
        result >= 0 ? dxi_topic_list_print(&list, pattern) : failure(usage.command, result, &error);
    dxi_topic_list_free(&list);
    (void)dx_client_close(client, DX_NS_PER_S);
    return exit_code;
}

static int info_run(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx topic info",
        .operands = "NAME",
        .description = "Shows the options and the numbers of one topic.\n",
        .examples = "  dx topic info orders.created\n  dx topic info orders.created -o json\n",
        .operands_max = 1,
        .uses_node = 1,
        .question = "which topic?",
    };
    dxi_operands_t operands;
    dx_error_t error = {0};
    dx_client_t *client = NULL;
    const int begun = dxi_arguments_begin(&usage, argc, argv, NULL, &operands);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    int exit_code = node_open(usage.command, &client);
    if (exit_code != DXI_CONNECTED) {
        return exit_code;
    }
    dx_topic_stats_t stats;
    const int result = dx_client_topic_stats(client, operands.texts[0], &stats, &error);
    exit_code =
        result == DX_OK ? dxi_topic_info_print(&stats) : failure(usage.command, result, &error);
    (void)dx_client_close(client, DX_NS_PER_S);
    return exit_code;
}

/* ---------------------------------------------------------------------------------------- tail */

typedef struct tail_settings {
    int64_t count;
    bool follow;
    bool raw;
    bool headers;
} tail_settings_t;

static const dxi_option_t TAIL_OPTIONS[] = {
    {.name = "count",
     .letter = 'n',
     .kind = DXI_OPTION_INTEGER,
     .value_name = "N",
     .offset = offsetof(tail_settings_t, count),
     .low = 1,
     .high = (int64_t)DX_RETAIN_EVENTS_MAX,
     .help = "the last N events; default 10"},
    {.name = "follow",
     .letter = 'f',
     .kind = DXI_OPTION_FLAG,
     .offset = offsetof(tail_settings_t, follow),
     .help = "go on with what comes, until Ctrl-C"},
    {.name = "raw",
     .letter = 'r',
     .kind = DXI_OPTION_FLAG,
     .offset = offsetof(tail_settings_t, raw),
     .help = "print the bytes of the payload as they are, and a line end"},
    {.name = "headers",
     .kind = DXI_OPTION_FLAG,
     .offset = offsetof(tail_settings_t, headers),
     .help = "print time, shard, key and headers, too"},
};

static const dxi_usage_t TAIL_USAGE = {
    .command = "dx topic tail",
    .operands = "NAME",
    .description = "Prints the last events that the node still has of a topic.\n",
    .options = TAIL_OPTIONS,
    .option_count = sizeof TAIL_OPTIONS / sizeof TAIL_OPTIONS[0],
    .examples = "  dx topic tail orders.created\n  dx topic tail orders.created -n 100 -f\n",
    .operands_max = 1,
    .uses_node = 1,
};

#define TAIL_IDLE_NS (2 * DX_NS_PER_S) /* events may have been dropped since they were counted */

static int tail_print(dx_client_t *client, const dx_topic_stats_t *stats,
                      const tail_settings_t *settings)
{
    const int64_t kept = (int64_t)stats->retained_events;
    const int64_t wanted = settings->count < kept ? settings->count : kept;
    dxi_receive_t receive = {
        .speaker = TAIL_USAGE.command,
        .subscription = {.pattern = stats->name, .from = DX_FROM_EARLIEST},
        .form = dxi_output_is_json() ? DXI_EVENT_JSON
                : settings->raw      ? DXI_EVENT_RAW
                : settings->headers  ? DXI_EVENT_HEADERS
                                     : DXI_EVENT_LINE,
        .count = settings->follow ? 0 : wanted,
        .idle_ns = settings->follow ? 0 : TAIL_IDLE_NS,
    };
    if (wanted == 0 && !settings->follow) {
        fprintf(stderr, "%s keeps no event\n", stats->name);
        return DXI_EXIT_OK;
    }
    if (stats->shards <= 1 && stats->last_sequence > 0) {
        receive.subscription.from = DX_FROM_SEQUENCE;
        receive.subscription.from_value = stats->last_sequence + 1 - (uint64_t)wanted;
        receive.until = settings->follow ? 0 : stats->last_sequence;
    } else {
        receive.skip = kept - wanted; /* each shard has sequences of its own */
    }
    return dxi_receive_run(client, &receive);
}

static int tail_run(int argc, char **argv)
{
    tail_settings_t settings = {.count = 10};
    dxi_operands_t operands;
    dx_error_t error = {0};
    dx_client_t *client = NULL;
    const int begun = dxi_arguments_begin(&TAIL_USAGE, argc, argv, &settings, &operands);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    if (operands.count == 0 || (settings.raw && (settings.headers || dxi_output_is_json()))) {
        dxi_fail(&error, DX_EINVAL, "%s",
                 operands.count == 0 ? "which topic?" : "--raw excludes --headers and -o json");
        return dxi_usage_error(&TAIL_USAGE, &error);
    }
    int exit_code = node_open(TAIL_USAGE.command, &client);
    if (exit_code != DXI_CONNECTED) {
        return exit_code;
    }
    dx_topic_stats_t stats;
    const int result = dx_client_topic_stats(client, operands.texts[0], &stats, &error);
    exit_code = result == DX_OK ? tail_print(client, &stats, &settings)
                                : failure(TAIL_USAGE.command, result, &error);
    (void)dx_client_close(client, DX_NS_PER_S);
    return exit_code;
}

/* ------------------------------------------------------------------------------------------ rm */

static int rm_run(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx topic rm",
        .operands = "NAME ...",
        .description =
            "Forgets topics: their events and their sequences, which begin with 1 again.\n"
            "Subscriptions stay.\n",
        .examples = "  dx topic rm orders.created\n",
        .operands_max = TOPICS_MAX,
        .uses_node = 1,
        .question = "which topic?",
    };
    dxi_operands_t operands;
    dx_error_t error = {0};
    dx_client_t *client = NULL;
    const int begun = dxi_arguments_begin(&usage, argc, argv, NULL, &operands);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    int exit_code = node_open(usage.command, &client);
    if (exit_code != DXI_CONNECTED) {
        return exit_code;
    }
    exit_code = DXI_EXIT_OK;
    for (int i = 0; i < operands.count; i++) {
        const int result = dx_client_topic_delete(client, operands.texts[i], &error);
        const int code = result == DX_OK ? dxi_topic_done_print(operands.texts[i], "removed")
                                         : failure(usage.command, result, &error);
        exit_code = code != DXI_EXIT_OK ? code : exit_code;
    }
    (void)dx_client_close(client, DX_NS_PER_S);
    return exit_code;
}

/* ----------------------------------------------------------------------------------- dx topic */

static const dxi_command_t ACTIONS[] = {
    {"create", "declare a topic, with its options", create_run},
    {"change", "change the options of a topic", change_run},
    {"ls", "list topics", ls_run},
    {"info", "show the options and numbers of one", info_run},
    {"tail", "print the last events of one", tail_run},
    {"rm", "forget topics", rm_run},
    {NULL, NULL, NULL},
};

int dxi_cli_topic(int argc, char **argv)
{
    static const dxi_usage_t usage = {
        .command = "dx topic",
        .operands = "ACTION ...",
        .description = "The topics of a node. `dx help topic ACTION` explains an action.\n",
        .examples =
            "  dx topic ls\n  dx topic info orders.created\n  dx topic tail orders.created\n",
        .stops_at_operands = 1,
        .actions = ACTIONS,
    };
    return dxi_command_group(&usage, argc, argv);
}
