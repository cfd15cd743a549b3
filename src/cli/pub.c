/* pub.c - `dx pub`: publishes a text, lines, or many events at a rate, and says what became of
 * them.
 *
 * Threads: the main one publishes; receipts come in the client's, which only counts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/format.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/pace.h"
#include "cli/pub_source.h"
#include "cli/target.h"

#define COMMAND "dx pub"
#define PROGRESS_NS (200 * DX_NS_PER_MS)
#define SPIN_NS (60 * DX_NS_PER_US)
#define COUNT_MAX INT64_C(1000000000000)

typedef struct settings {
    const char *file;
    const char *key;
    const char *reply_to;
    dxi_texts_t headers;
    int64_t count;
    int64_t rate;
    int64_t timeout_ns;
    bool ack;
    bool templates;
    bool progress;
} settings_t;

static const dxi_option_t OPTIONS[] = {
    {.name = "count",
     .letter = 'n',
     .kind = DXI_OPTION_INTEGER,
     .value_name = "N",
     .offset = offsetof(settings_t, count),
     .low = 1,
     .high = COUNT_MAX,
     .help = "publish DATA N times, or at most N lines"},
    {.name = "rate",
     .kind = DXI_OPTION_INTEGER,
     .value_name = "N",
     .offset = offsetof(settings_t, rate),
     .low = 1,
     .high = DXI_PACE_RATE_MAX,
     .help = "events a second; default: as fast as it goes"},
    {.name = "file",
     .letter = 'f',
     .kind = DXI_OPTION_TEXT,
     .value_name = "FILE",
     .offset = offsetof(settings_t, file),
     .help = "each line is an event; - is standard input, which is also used without DATA"},
    {.name = "key",
     .letter = 'k',
     .kind = DXI_OPTION_TEXT,
     .value_name = "K",
     .offset = offsetof(settings_t, key),
     .help = "events with the same key keep their order wherever they go"},
    {.name = "header",
     .letter = 'H',
     .kind = DXI_OPTION_CUSTOM,
     .value_name = "NAME=VALUE",
     .offset = offsetof(settings_t, headers),
     .parse = dxi_texts_parse,
     .help = "may be given several times"},
    {.name = "reply-to",
     .kind = DXI_OPTION_TEXT,
     .value_name = "TOPIC",
     .offset = offsetof(settings_t, reply_to),
     .help = "where answers should go to; dx request waits for one"},
    {.name = "ack",
     .kind = DXI_OPTION_FLAG,
     .offset = offsetof(settings_t, ack),
     .help = "wait until the node has taken each; what it refused is counted and told"},
    {.name = "templates",
     .kind = DXI_OPTION_FLAG,
     .offset = offsetof(settings_t, templates),
     .help = "fill in places in lines, too"},
    {.name = "timeout",
     .letter = 't',
     .kind = DXI_OPTION_DURATION,
     .value_name = "TIME",
     .offset = offsetof(settings_t, timeout_ns),
     .low = DX_NS_PER_MS,
     .high = 3600 * DX_NS_PER_S,
     .help = "how long to wait for a node that takes nothing; default 5s"},
    {.name = "progress",
     .kind = DXI_OPTION_FLAG,
     .offset = offsetof(settings_t, progress),
     .help = "show the progress also where standard error is no terminal"},
};

static int settings_check(const void *target, const dxi_operands_t *operands, dx_error_t *error)
{
    const settings_t *const settings = target;
    if (operands->count == 2 && settings->file != NULL) {
        return dxi_fail(error, DX_EINVAL, "DATA and --file exclude each other");
    }
    if (settings->headers.count > DX_FRAME_HEADERS_MAX) {
        return dxi_fail(error, DX_EINVAL, "--header is there %d times, at most %d",
                        settings->headers.count, DX_FRAME_HEADERS_MAX);
    }
    return DX_OK;
}

static const dxi_usage_t USAGE = {
    .command = COMMAND,
    .operands = "TOPIC [DATA]",
    .description =
        "Publishes events: DATA once, or --count times; without DATA each line of --file\n"
        "or of standard input.\n"
        "\n"
        "Places in TOPIC, DATA, --key and --header are filled in for each event:\n"
        "  {{.Count}} 1, 2, 3 ...       {{.Time}} now       {{.UnixNano}} in nanoseconds\n"
        "  {{.Random N}} N letters and digits\n"
        "\n"
        "Without --ack an event is sent and not waited for: the node may still refuse it.\n",
    .options = OPTIONS,
    .option_count = sizeof OPTIONS / sizeof OPTIONS[0],
    .examples = "  dx pub orders.new '{\"id\": 7}'\n"
                "  dx pub orders.new '{\"id\": {{.Count}}}' --count 10 --ack\n"
                "  dx pub 'prices.{{.Random 3}}' x -n 100k --rate 10k\n"
                "  dx pub logs.app --file /var/log/syslog --key web -H kind=log\n",
    .operands_max = 2,
    .uses_node = 1,
    .question = "which topic?",
    .check = settings_check,
};

/* ---------------------------------------------------------------------------------------- a run */

typedef struct run {
    const settings_t *settings;
    const char *topic;
    dx_client_t *client;
    dxi_pub_source_t source;
    int64_t sent;
    int64_t bytes;
    int64_t begin_ns;
    int64_t end_ns;
    bool with_progress;
    int64_t progress_ns; /* when it is shown next */

    /* Written by the client's thread alone; read by the main thread while it runs. */
    dx_atomic64_t acknowledged;
    dx_atomic64_t refused;
    dx_atomic64_t duplicates;
    dx_atomic64_t last_sequence;
    dx_atomic32_t first_code; /* of what was refused, and why: read when all is answered */
    char first_sentence[DX_ERROR_MESSAGE_BYTES];
} run_t;

/* RELAXED here: each word is a number of its own with one writer; dx_client_flush() orders the last
 * ones before the report. */
static void on_receipt(void *context, const dx_receipt_t *receipt)
{
    run_t *const run = context;
    if (receipt->code != DX_OK) {
        if (dx_load_relaxed(&run->refused) == 0) {
            dx_store32_relaxed(&run->first_code, receipt->code);
            (void)snprintf(run->first_sentence, sizeof run->first_sentence, "%s",
                           receipt->sentence);
        }
        dx_store_relaxed(&run->refused, dx_load_relaxed(&run->refused) + 1);
        return;
    }
    dx_store_relaxed(&run->acknowledged, dx_load_relaxed(&run->acknowledged) + 1);
    dx_store_relaxed(&run->last_sequence, (int64_t)receipt->sequence);
    if (receipt->duplicate) {
        dx_store_relaxed(&run->duplicates, dx_load_relaxed(&run->duplicates) + 1);
    }
}

/* Events a second until `end_ns`, to the nearest whole number. */
static int64_t rate_of(const run_t *run, int64_t end_ns)
{
    const int64_t ns = end_ns - run->begin_ns;
    return ns > 0 ? (int64_t)((double)run->sent * 1e9 / (double)ns + 0.5) : 0;
}

static void progress_show(run_t *run)
{
    const bool terminal = isatty(STDERR_FILENO) != 0;
    const int64_t now_ns = dx_clock_ns();
    if (!run->with_progress || now_ns < run->progress_ns) {
        return;
    }
    fprintf(stderr, "%s%s published, %s events/s%s", terminal ? "\r\x1b[K" : "",
            dxi_format_count(&(dxi_text_t){0}, run->sent),
            dxi_format_count(&(dxi_text_t){0}, rate_of(run, now_ns)), terminal ? "" : "\n");
    fflush(stderr);
    run->progress_ns = now_ns + PROGRESS_NS;
}

static void progress_end(const run_t *run)
{
    if (run->with_progress && isatty(STDERR_FILENO)) {
        fputs("\r\x1b[K", stderr);
        fflush(stderr);
    }
}

static int events_send(run_t *run, dx_error_t *error)
{
    const settings_t *const settings = run->settings;
    dx_message_t message = {.topic = run->topic, .reply_to = settings->reply_to};
    dxi_template_t topic;
    dxi_room_t topic_room = {0};
    int result = dxi_template_parse(run->topic, &topic, error);
    while (result == DX_OK) {
        if (settings->rate > 0 &&
            !dxi_pace_wait(dxi_pace_due_ns(run->begin_ns, settings->rate, run->sent), SPIN_NS,
                           dxi_interrupt_word())) {
            break;
        }
        result = dxi_pub_source_next(&run->source, &message, error);
        if (result <= 0) {
            break;
        }
        if (topic.place_count > 0) {
            result = dxi_template_fill(&topic, &run->source.values, &topic_room);
            message.topic = topic_room.bytes;
        }
        if (result >= 0) {
            result = settings->ack
                         ? dx_client_publish_async(run->client, &message, on_receipt, run, error)
                         : dx_client_publish(run->client, &message, error);
        }
        if (result == DX_OK) {
            run->sent++;
            run->bytes += (int64_t)message.bytes;
            progress_show(run);
        }
    }
    dxi_room_free(&topic_room);
    return result;
}

/* What the node said no to, as far as it is known. */
static int64_t refused_of(const run_t *run, const dx_client_stats_t *stats)
{
    return run->settings->ack ? dx_load_relaxed(&run->refused) : (int64_t)stats->refused;
}

static int report_json(run_t *run, const dx_client_stats_t *stats)
{
    dxi_json_t json;
    dxi_json_begin(&json, stdout);
    dxi_json_object_begin(&json, NULL);
    dxi_json_text(&json, "topic", run->topic);
    dxi_json_text(&json, "address", stats->address);
    dxi_json_integer(&json, "published", run->sent);
    dxi_json_integer(&json, "bytes", run->bytes);
    dxi_json_boolean(&json, "acknowledgements", run->settings->ack);
    dxi_json_integer(&json, "acknowledged", dx_load_relaxed(&run->acknowledged));
    dxi_json_integer(&json, "duplicates", dx_load_relaxed(&run->duplicates));
    dxi_json_integer(&json, "refused", refused_of(run, stats));
    dxi_json_integer(&json, "lost", (int64_t)stats->lost);
    dxi_json_integer(&json, "last_sequence", dx_load_relaxed(&run->last_sequence));
    dxi_json_boolean(&json, "interrupted", dxi_interrupted());
    dxi_json_integer(&json, "elapsed_ns", run->end_ns - run->begin_ns);
    dxi_json_integer(&json, "events_per_s", rate_of(run, run->end_ns));
    dxi_json_object_end(&json);
    return dxi_json_finish(&json) == DX_OK ? DXI_EXIT_OK : DXI_EXIT_FAILED;
}

static void report_text(run_t *run, const dx_client_stats_t *stats)
{
    printf("Published %s event%s to %s, %s, in %s", dxi_format_count(&(dxi_text_t){0}, run->sent),
           run->sent == 1 ? "" : "s", run->topic,
           dxi_format_bytes(&(dxi_text_t){0}, (uint64_t)run->bytes),
           dxi_format_ns(&(dxi_text_t){0}, run->end_ns - run->begin_ns));
    if (run->sent > 1) {
        printf(", %s events/s", dxi_format_count(&(dxi_text_t){0}, rate_of(run, run->end_ns)));
    }
    putchar('\n');
    if (run->settings->ack && dx_load_relaxed(&run->acknowledged) > 0) {
        printf("Acknowledged %s, the last with sequence %s\n",
               dxi_format_count(&(dxi_text_t){0}, dx_load_relaxed(&run->acknowledged)),
               dxi_format_count(&(dxi_text_t){0}, dx_load_relaxed(&run->last_sequence)));
    }
    if (stats->lost > 0) {
        printf("Unknown: %s were on their way when the connection broke\n",
               dxi_format_count(&(dxi_text_t){0}, (int64_t)stats->lost));
    }
}

/* Says what went wrong. Returns the exit code. */
static int outcome(const run_t *run, const dx_client_stats_t *stats, int result,
                   const dx_error_t *error)
{
    const int64_t refused = refused_of(run, stats);
    if (result < 0) {
        dxi_complain_error(COMMAND, error);
        return result == DX_EINVAL && run->sent == 0 ? DXI_EXIT_USAGE
                                                     : dxi_target_exit_code(result);
    }
    if (refused > 0 && run->settings->ack) {
        const int code = dx_load32_relaxed(&run->first_code);
        dxi_complain(COMMAND,
                     "the node refused %s of %s events, the first with %s: %s; next: dx "
                     "errors %s",
                     dxi_format_count(&(dxi_text_t){0}, refused),
                     dxi_format_count(&(dxi_text_t){0}, run->sent), dx_error_name(code),
                     run->first_sentence, dx_error_name(code));
        return DXI_EXIT_FAILED;
    }
    if (refused > 0) {
        dxi_complain(COMMAND, "the node refused %s event%s; next: --ack says why",
                     dxi_format_count(&(dxi_text_t){0}, refused), refused == 1 ? "" : "s");
        return DXI_EXIT_FAILED;
    }
    return DXI_EXIT_OK;
}

static int run_connected(run_t *run)
{
    dx_error_t error = {0};
    dx_client_stats_t stats;
    run->with_progress = run->settings->progress || isatty(STDERR_FILENO);
    run->begin_ns = dx_clock_ns();
    run->progress_ns = run->begin_ns + PROGRESS_NS;
    int result = events_send(run, &error);
    const int64_t timeout_ns =
        run->settings->timeout_ns > 0 ? run->settings->timeout_ns : 5 * DX_NS_PER_S;
    dx_error_t flush_error = {0};
    const int flushed = dx_client_flush(run->client, timeout_ns, &flush_error);
    if (result >= 0 && flushed != DX_OK) {
        result = flushed;
        error = flush_error;
        error.code = flushed;
    }
    run->end_ns = dx_clock_ns();
    progress_end(run);
    dx_client_stats(run->client, &stats);
    if (run->sent == 0 && result < 0) {
        return outcome(run, &stats, result, &error);
    }
    const int written = dxi_output_is_json() ? report_json(run, &stats) : DXI_EXIT_OK;
    if (!dxi_output_is_json()) {
        report_text(run, &stats);
    }
    const int exit_code = outcome(run, &stats, result, &error);
    return exit_code != DXI_EXIT_OK ? exit_code : written;
}

int dxi_cli_pub(int argc, char **argv)
{
    settings_t settings = {0};
    dxi_operands_t operands;
    dx_error_t error = {0};
    const int begun = dxi_arguments_begin(&USAGE, argc, argv, &settings, &operands);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    run_t run = {.settings = &settings, .topic = operands.texts[0]};
    run.source = (dxi_pub_source_t){.data = operands.count > 1 ? operands.texts[1] : NULL,
                                    .path = settings.file,
                                    .count = settings.count,
                                    .fill_lines = settings.templates,
                                    .key = settings.key,
                                    .headers = settings.headers.texts,
                                    .header_count = settings.headers.count};
    dxi_interrupt_catch();
    const int opened = dxi_pub_source_open(&run.source, &error);
    if (opened != DX_OK) {
        dxi_pub_source_close(&run.source);
        if (opened == DX_EINVAL) {
            return dxi_usage_error(&USAGE, &error);
        }
        dxi_complain_error(COMMAND, &error);
        return DXI_EXIT_FAILED;
    }
    const dx_client_options_t wishes = {.timeout_ns = settings.timeout_ns,
                                        .window_bytes = DXI_WINDOW_BYTES_LARGE};
    int exit_code = dxi_target_connect(COMMAND, &wishes, &run.client);
    if (exit_code == DXI_CONNECTED) {
        exit_code = run_connected(&run);
        (void)dx_client_close(run.client, DX_NS_PER_S);
    }
    dxi_pub_source_close(&run.source);
    return exit_code;
}
