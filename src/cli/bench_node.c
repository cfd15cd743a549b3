/* bench_node.c - `dx bench pub`, `dx bench sub` and `dx bench e2e`: load on a node.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/bench_node.h"

#include <inttypes.h>
#include <string.h>

#include "base/fail.h"
#include "base/values.h"
#include "cli/bench.h"
#include "cli/commands.h"
#include "cli/dev_node.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/pace.h"
#include "cli/picture.h"
#include "cli/target.h"

#define SECONDS_DEFAULT 5
#define BYTES_DEFAULT 128

typedef struct settings {
    dxi_node_bench_t bench;
    const char *hgrm;
} settings_t;

static const char *const TRANSPORTS[] = DXI_DEV_TRANSPORTS;
static const char *const SLOW[] = {"block", "drop", NULL};

#define MEMBER(member) .offset = offsetof(settings_t, member)

/* Rows shared by the three; each takes those that concern it. */
#define SECONDS_ROW                                                                                \
    {                                                                                              \
        .name = "seconds", .letter = 's', .kind = DXI_OPTION_CUSTOM, .value_name = "N",            \
        MEMBER(bench.ns), .parse = seconds_parse, .help = "how long; default 5"                    \
    }
#define BYTES_ROW                                                                                  \
    {                                                                                              \
        .name = "bytes", .letter = 'b', .kind = DXI_OPTION_INTEGER, .value_name = "N",             \
        MEMBER(bench.bytes), .low = DXI_LOAD_BYTES_MIN, .high = DXI_LOAD_BYTES_MAX,                \
        .help = "of each payload; default 128"                                                     \
    }
#define CLIENTS_ROW                                                                                \
    {                                                                                              \
        .name = "clients", .letter = 'c', .kind = DXI_OPTION_INTEGER, .value_name = "N",           \
        MEMBER(bench.publishers), .low = 1, .high = DXI_NODE_BENCH_CLIENTS_MAX,                    \
        .help = "publishing clients; default 1"                                                    \
    }
#define SUBSCRIBERS_ROW                                                                            \
    {                                                                                              \
        .name = "subscribers", .kind = DXI_OPTION_INTEGER, .value_name = "N",                      \
        MEMBER(bench.subscribers), .low = 1, .high = DXI_NODE_BENCH_CLIENTS_MAX,                   \
        .help = "subscribing clients, each of which gets every event; default 1"                   \
    }
#define RATE_ROW                                                                                   \
    {                                                                                              \
        .name = "rate", .letter = 'r', .kind = DXI_OPTION_INTEGER, .value_name = "N",              \
        MEMBER(bench.rate), .low = 0, .high = DXI_PACE_RATE_MAX,                                   \
        .help = "events a second of all publishers together; default 0: as fast as it goes"        \
    }
#define BATCH_ROW                                                                                  \
    {                                                                                              \
        .name = "batch", .kind = DXI_OPTION_INTEGER, .value_name = "N", MEMBER(bench.batch),       \
        .low = 1, .high = DXI_NODE_BENCH_BATCH_MAX,                                                \
        .help = "events that are published by one call; default 1"                                 \
    }
#define TOPICS_ROW                                                                                 \
    {                                                                                              \
        .name = "topics", .kind = DXI_OPTION_INTEGER, .value_name = "N", MEMBER(bench.topics),     \
        .low = 1, .high = DXI_NODE_BENCH_TOPICS_MAX,                                               \
        .help = "each publisher takes them in turn; default 1"                                     \
    }
#define COUNT_ROW                                                                                  \
    {                                                                                              \
        .name = "count", .letter = 'n', .kind = DXI_OPTION_INTEGER, .value_name = "N",             \
        MEMBER(bench.count), .low = 1, .high = INT64_C(1000000000000),                             \
        .help = "events of all publishers together, instead of --seconds"                          \
    }
#define ACK_ROW                                                                                    \
    {                                                                                              \
        .name = "ack", .kind = DXI_OPTION_FLAG, MEMBER(bench.ack),                                 \
        .help = "each is acknowledged by the node; up to 65,536 are on their way"                  \
    }
#define BUSY_ROW                                                                                   \
    {                                                                                              \
        .name = "busy-poll", .kind = DXI_OPTION_FLAG, MEMBER(bench.busy_poll),                     \
        .help = "the clients' threads spin instead of sleeping"                                    \
    }
#define DEV_ROW                                                                                    \
    {                                                                                              \
        .name = "dev", .kind = DXI_OPTION_FLAG, MEMBER(bench.own_node),                            \
        .help = "with a node of its own, in this process"                                          \
    }
#define TRANSPORT_ROW                                                                              \
    {                                                                                              \
        .name = "transport", .kind = DXI_OPTION_CHOICE, .value_name = "KIND",                      \
        .choices = TRANSPORTS, MEMBER(bench.transport),                                            \
        .help = "to the node of --dev: unix (default), tcp or shm"                                 \
    }
#define TOPIC_ROW                                                                                  \
    {                                                                                              \
        .name = "topic", .kind = DXI_OPTION_TEXT, .value_name = "PREFIX", MEMBER(bench.topic),     \
        .help = "PREFIX.0, PREFIX.1 ... are the topics; default dx.bench"                          \
    }
#define HGRM_ROW                                                                                   \
    {                                                                                              \
        .name = "hgrm", .kind = DXI_OPTION_TEXT, .value_name = "FILE", MEMBER(hgrm),               \
        .help = "write the distribution for HdrHistogram's plotter, in microseconds"               \
    }

static int seconds_parse(const char *text, void *member_out, dx_error_t *error)
{
    int64_t *const ns = member_out;
    if (text[strspn(text, "0123456789")] == '\0') {
        const int result = dxi_integer_parse("it", text, 1, DXI_NODE_BENCH_SECONDS_MAX, ns, error);
        *ns *= DX_NS_PER_S;
        return result;
    }
    return dxi_duration_parse("it", text, 10 * DX_NS_PER_MS,
                              DXI_NODE_BENCH_SECONDS_MAX * DX_NS_PER_S, ns, error);
}

static const dxi_option_t E2E_OPTIONS[] = {
    CLIENTS_ROW,
    SUBSCRIBERS_ROW,
    BYTES_ROW,
    SECONDS_ROW,
    COUNT_ROW,
    RATE_ROW,
    BATCH_ROW,
    TOPICS_ROW,
    ACK_ROW,
    BUSY_ROW,
    DEV_ROW,
    TRANSPORT_ROW,
    {.name = "group",
     .kind = DXI_OPTION_FLAG,
     MEMBER(bench.group),
     .help = "the subscribers are one group and share the events, each of which is acknowledged"},
    {.name = "slow",
     .kind = DXI_OPTION_CHOICE,
     .value_name = "POLICY",
     .choices = SLOW,
     MEMBER(bench.slow),
     .help = "what the node does when a subscriber is behind: block the publishers (default), or "
             "drop what it no longer keeps, which then counts as lost"},
    HGRM_ROW};
static const dxi_option_t PUB_OPTIONS[] = {
    CLIENTS_ROW, BYTES_ROW, SECONDS_ROW, COUNT_ROW,     RATE_ROW,  BATCH_ROW, TOPICS_ROW,
    ACK_ROW,     BUSY_ROW,  DEV_ROW,     TRANSPORT_ROW, TOPIC_ROW, HGRM_ROW};
static const dxi_option_t SUB_OPTIONS[] = {SUBSCRIBERS_ROW, SECONDS_ROW, BUSY_ROW, TOPIC_ROW,
                                           HGRM_ROW};

static const dxi_usage_t E2E_USAGE = {
    .command = "dx bench e2e",
    .description =
        "From publishers through a node to subscribers, all clients in this process.\n"
        "Every event carries its number and the time it was due; subscribers check that\n"
        "each comes once, in order, unchanged. Latency is from due to handled.\n"
        "\n"
        "Ends with 1 when an event is missing, repeated or changed.\n",
    .options = E2E_OPTIONS,
    .option_count = sizeof E2E_OPTIONS / sizeof E2E_OPTIONS[0],
    .examples = "  dx bench e2e --dev\n"
                "  dx bench e2e --bytes 16 --batch 64 --seconds 10\n"
                "  dx bench e2e --clients 2 --subscribers 4 --topics 8 --rate 100k -o json\n",
    .uses_node = 1,
};
static const dxi_usage_t PUB_USAGE = {
    .command = "dx bench pub",
    .description = "Publishes to a node as fast as it goes, or at a rate. With --ack, latency is\n"
                   "from due to acknowledged. dx bench sub in another process can receive it.\n",
    .options = PUB_OPTIONS,
    .option_count = sizeof PUB_OPTIONS / sizeof PUB_OPTIONS[0],
    .examples = "  dx bench pub --seconds 10\n  dx bench pub --ack --rate 50k --clients 2\n",
    .uses_node = 1,
};
static const dxi_usage_t SUB_USAGE = {
    .command = "dx bench sub",
    .description =
        "Receives what dx bench pub publishes, for --seconds from the first event on, and\n"
        "checks order and content. Latency is only right when the publishers run on this\n"
        "machine: it compares the clocks of both.\n",
    .options = SUB_OPTIONS,
    .option_count = sizeof SUB_OPTIONS / sizeof SUB_OPTIONS[0],
    .examples = "  dx bench sub --seconds 10\n  dx bench sub --subscribers 4 -o json\n",
    .uses_node = 1,
};

int dxi_node_bench_check(const dxi_node_bench_t *bench, dx_error_t *error)
{
    const dxi_target_words_t *const words = dxi_target_words();
    if (bench->own_node && (words->address != NULL || words->context != NULL)) {
        return dxi_fail(error, DX_EINVAL, "--dev is a node of its own: %s names another",
                        words->address != NULL ? "--address" : "--context");
    }
    if (!bench->own_node && bench->transport != DXI_DEV_UNIX) {
        return dxi_fail(error, DX_EINVAL,
                        "--transport is for the node of --dev; an --address says how to connect");
    }
    return DX_OK;
}

static int bench_check(const dxi_node_bench_t *bench, dx_error_t *error)
{
    if (bench->publishers * bench->topics > DXI_LOAD_STREAMS_MAX) {
        return dxi_fail(error, DX_EINVAL,
                        "--clients times --topics is %" PRId64 ", must be at most %d",
                        bench->publishers * bench->topics, DXI_LOAD_STREAMS_MAX);
    }
    if (bench->rate > 0 && bench->rate < bench->publishers) {
        return dxi_fail(error, DX_EINVAL, "--rate is %" PRId64 ", must be at least 1 per client",
                        bench->rate);
    }
    if (bench->count > 0 && bench->count < bench->publishers) {
        return dxi_fail(error, DX_EINVAL, "--count is %" PRId64 ", must be at least 1 per client",
                        bench->count);
    }
    if (bench->topic != NULL && strlen(bench->topic) > 48) {
        return dxi_fail(error, DX_EINVAL, "--topic has %zu bytes, at most 48",
                        strlen(bench->topic));
    }
    return DX_OK;
}

static int bench_run(const dxi_usage_t *usage, const char *name, dxi_node_bench_kind_t kind,
                     int argc, char **argv)
{
    settings_t settings = {.bench = {.kind = kind,
                                     .publishers = 1,
                                     .subscribers = 1,
                                     .bytes = BYTES_DEFAULT,
                                     .ns = SECONDS_DEFAULT * DX_NS_PER_S,
                                     .batch = 1,
                                     .topics = 1}};
    dxi_node_bench_t *const bench = &settings.bench;
    dxi_operands_t operands;
    dx_error_t error = {0};
    const int begun = dxi_arguments_begin(usage, argc, argv, &settings, &operands);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    if (kind != DXI_NODE_BENCH_E2E && bench->topic == NULL) {
        bench->topic = "dx.bench";
    }
    if (bench->count > 0) {
        bench->ns = DXI_NODE_BENCH_SECONDS_MAX * DX_NS_PER_S;
        bench->count -= bench->count % bench->publishers; /* the same for each */
    }
    if (dxi_node_bench_check(bench, &error) != DX_OK || bench_check(bench, &error) != DX_OK ||
        dxi_picture_hgrm_begin(settings.hgrm, &error) != DX_OK) {
        return dxi_usage_error(usage, &error);
    }
    dxi_interrupt_catch();
    dxi_node_bench_print_scenario(bench);
    dxi_node_result_t result;
    int exit_code = DXI_EXIT_OK;
    if (dxi_node_bench_run(usage->command, bench, &result, &exit_code) == DX_OK) {
        if (dxi_output_is_json()) {
            dxi_node_bench_json(name, bench, &result);
        } else {
            dxi_node_bench_print(bench, &result);
        }
        exit_code = dxi_node_result_is_good(bench, &result) ? DXI_EXIT_OK : DXI_EXIT_FAILED;
        if (settings.hgrm != NULL && dxi_picture_hgrm(result.latency, settings.hgrm, &error) < 0) {
            dxi_complain_error(usage->command, &error);
            exit_code = DXI_EXIT_FAILED;
        }
    }
    dxi_node_result_free(&result);
    return exit_code;
}

int dxi_bench_pub_command(int argc, char **argv)
{
    return bench_run(&PUB_USAGE, "pub", DXI_NODE_BENCH_PUB, argc, argv);
}

int dxi_bench_sub_command(int argc, char **argv)
{
    return bench_run(&SUB_USAGE, "sub", DXI_NODE_BENCH_SUB, argc, argv);
}

int dxi_bench_e2e_command(int argc, char **argv)
{
    return bench_run(&E2E_USAGE, "e2e", DXI_NODE_BENCH_E2E, argc, argv);
}
