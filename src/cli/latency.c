/* latency.c - `dx latency`: how long a round trip through a node takes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/latency.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "base/values.h"
#include "cli/bench_node.h"
#include "cli/commands.h"
#include "cli/dev_node.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/pace.h"
#include "cli/picture.h"

#define COMMAND "dx latency"
#define RATE_DEFAULT 10000
#define BYTES_DEFAULT 128
#define NS_DEFAULT (5 * DX_NS_PER_S)
#define THRESHOLD_DEFAULT 1000
#define WARMUP_SHARE 10 /* the first tenth is not counted */

typedef struct settings {
    const char *hgrm;
    int64_t rate;
    int64_t bytes;
    int64_t ns;
    int64_t threshold_ns;
    int32_t transport;
    bool intrinsic;
    bool dev;
    bool ack;
    bool busy_poll;
    bool drive;
} settings_t;

static const char *const TRANSPORTS[] = DXI_DEV_TRANSPORTS;

static int seconds_parse(const char *text, void *member_out, dx_error_t *error)
{
    int64_t *const ns = member_out;
    if (text[strspn(text, "0123456789")] == '\0') {
        const int result = dxi_integer_parse("it", text, 1, 86400, ns, error);
        *ns *= DX_NS_PER_S;
        return result;
    }
    return dxi_duration_parse("it", text, 10 * DX_NS_PER_MS, 86400 * DX_NS_PER_S, ns, error);
}

static const dxi_option_t OPTIONS[] = {
    {.name = "rate",
     .letter = 'r',
     .kind = DXI_OPTION_INTEGER,
     .value_name = "N",
     .offset = offsetof(settings_t, rate),
     .low = 1,
     .high = DXI_PACE_RATE_MAX,
     .help = "events a second; default 10000"},
    {.name = "bytes",
     .letter = 'b',
     .kind = DXI_OPTION_INTEGER,
     .value_name = "N",
     .offset = offsetof(settings_t, bytes),
     .low = DXI_LOAD_BYTES_MIN,
     .high = DXI_LOAD_BYTES_MAX,
     .help = "of each payload; default 128"},
    {.name = "seconds",
     .letter = 's',
     .kind = DXI_OPTION_CUSTOM,
     .value_name = "N",
     .offset = offsetof(settings_t, ns),
     .parse = seconds_parse,
     .help = "how long; default 5. The first tenth warms up and is not counted"},
    {.name = "ack",
     .kind = DXI_OPTION_FLAG,
     .offset = offsetof(settings_t, ack),
     .help = "each is acknowledged as well"},
    {.name = "busy-poll",
     .kind = DXI_OPTION_FLAG,
     .offset = offsetof(settings_t, busy_poll),
     .help = "the client's thread spins instead of sleeping"},
    {.name = "drive",
     .kind = DXI_OPTION_FLAG,
     .offset = offsetof(settings_t, drive),
     .help = "the publisher's thread spins and reads as well, the client's rests: see "
             "dx_client_drive()"},
    {.name = "dev",
     .kind = DXI_OPTION_FLAG,
     .offset = offsetof(settings_t, dev),
     .help = "with a node of its own, in this process"},
    {.name = "transport",
     .kind = DXI_OPTION_CHOICE,
     .value_name = "KIND",
     .choices = TRANSPORTS,
     .offset = offsetof(settings_t, transport),
     .help = "to the node of --dev: unix (default), tcp or shm"},
    {.name = "intrinsic",
     .kind = DXI_OPTION_FLAG,
     .offset = offsetof(settings_t, intrinsic),
     .help = "no node: what this machine alone costs. Look here first"},
    {.name = "threshold",
     .kind = DXI_OPTION_DURATION,
     .value_name = "TIME",
     .offset = offsetof(settings_t, threshold_ns),
     .low = 100,
     .high = DX_NS_PER_S,
     .help = "with --intrinsic: gaps from here on count as interruptions; default 1us"},
    {.name = "hgrm",
     .kind = DXI_OPTION_TEXT,
     .value_name = "FILE",
     .offset = offsetof(settings_t, hgrm),
     .help = "write the distribution for HdrHistogram's plotter, in microseconds; - is standard "
             "output, and the report goes to standard error"},
};

static const dxi_usage_t USAGE = {
    .command = COMMAND,
    .description =
        "The round trip through a node: one client publishes at a rate and receives its\n"
        "own events. Each counts from when it was due, so that a stall is not hidden by\n"
        "the events that waited for it. `sent late` is how late the publisher itself was.\n"
        "\n"
        "--intrinsic measures the machine: a thread that only reads the clock, and when\n"
        "it did not run.\n",
    .options = OPTIONS,
    .option_count = sizeof OPTIONS / sizeof OPTIONS[0],
    .examples = "  dx latency --intrinsic\n"
                "  dx latency --rate 10k --seconds 10\n"
                "  dx latency --dev --hgrm latency.hgrm -o json\n",
    .uses_node = 1,
};

static int round_trip(const settings_t *settings)
{
    const dxi_node_bench_t bench = {.kind = DXI_NODE_BENCH_ROUND_TRIP,
                                    .publishers = 1,
                                    .subscribers = 1,
                                    .bytes = settings->bytes,
                                    .ns = settings->ns,
                                    .warmup_ns = settings->ns / WARMUP_SHARE,
                                    .rate = settings->rate,
                                    .batch = 1,
                                    .topics = 1,
                                    .ack = settings->ack,
                                    .busy_poll = settings->busy_poll,
                                    .drive = settings->drive,
                                    .own_node = settings->dev,
                                    .transport = settings->transport};
    dxi_node_result_t result;
    dx_error_t error = {0};
    int exit_code = DXI_EXIT_OK;
    if (dxi_node_bench_check(&bench, &error) != DX_OK) {
        return dxi_usage_error(&USAGE, &error);
    }
    dxi_node_bench_print_scenario(&bench);
    if (dxi_node_bench_run(COMMAND, &bench, &result, &exit_code) == DX_OK) {
        if (dxi_output_is_json()) {
            dxi_node_bench_json("latency", &bench, &result);
        } else {
            dxi_node_bench_print(&bench, &result);
        }
        exit_code = dxi_node_result_is_good(&bench, &result) ? DXI_EXIT_OK : DXI_EXIT_FAILED;
        if (settings->hgrm != NULL &&
            dxi_picture_hgrm(result.latency, settings->hgrm, &error) != DX_OK) {
            dxi_complain_error(COMMAND, &error);
            exit_code = DXI_EXIT_FAILED;
        }
    }
    dxi_node_result_free(&result);
    return exit_code;
}

int dxi_cli_latency(int argc, char **argv)
{
    settings_t settings = {.rate = RATE_DEFAULT,
                           .bytes = BYTES_DEFAULT,
                           .ns = NS_DEFAULT,
                           .threshold_ns = THRESHOLD_DEFAULT};
    dxi_operands_t operands;
    const int begun = dxi_arguments_begin(&USAGE, argc, argv, &settings, &operands);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    dx_error_t error = {0};
    const int result = dxi_picture_hgrm_begin(settings.hgrm, &error);
    if (result != DX_OK) {
        return dxi_usage_error(&USAGE, &error);
    }
    dxi_interrupt_catch();
    return settings.intrinsic
               ? dxi_intrinsic_command(settings.ns, settings.threshold_ns, settings.hgrm)
               : round_trip(&settings);
}
