/* bench_node_report.c - the scenario and the result of load on a node.
 *
 * The keys of the JSON are a promise to programs: more may come, none goes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/format.h"
#include "cli/bench_node.h"
#include "cli/dev_node.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/picture.h"

static int64_t per_second(int64_t count, int64_t ns)
{
    return ns > 0 ? (int64_t)((double)count * 1e9 / (double)ns) : 0;
}

static void line(const char *name, const char *text)
{
    printf("%-10s", name);
    const int32_t width = dxi_output_width(stdout);
    dxi_print_wrapped(stdout, text, 10, 10, width > 0 ? width : 100);
}

static void who(const dxi_node_bench_t *bench, char *text, size_t bytes)
{
    switch (bench->kind) {
    case DXI_NODE_BENCH_PUB:
        snprintf(text, bytes, "%" PRId64 " publishing clients, a thread and a connection each",
                 bench->publishers);
        break;
    case DXI_NODE_BENCH_SUB:
        snprintf(text, bytes, "%" PRId64 " subscribing clients, a thread and a connection each",
                 bench->subscribers);
        break;
    case DXI_NODE_BENCH_ROUND_TRIP:
        snprintf(text, bytes, "one client on one connection publishes and receives its own events");
        break;
    case DXI_NODE_BENCH_E2E:
    default:
        snprintf(text, bytes,
                 "%" PRId64 " publishing and %" PRId64
                 " subscribing clients, a thread and a connection each; %s",
                 bench->publishers, bench->subscribers,
                 bench->group ? "the subscribers are a group, and each event goes to one of them"
                              : "each subscriber gets every event");
        break;
    }
}

static void pacing(const dxi_node_bench_t *bench, char *text, size_t bytes)
{
    if (bench->rate > 0) {
        snprintf(text, bytes,
                 "%s events/s, each at its own time; latency counts from when an event was due",
                 dxi_format_count(&(dxi_text_t){0}, bench->rate));
    } else {
        snprintf(text, bytes,
                 "as fast as it goes; latency counts from the call and is mostly the "
                 "queue (use --rate)");
    }
}

void dxi_node_bench_print_scenario(const dxi_node_bench_t *bench)
{
    char text[256];
    if (dxi_output_is_json()) {
        return;
    }
    printf("%sScenario%s\n", dxi_style(stdout, DXI_STYLE_HEADING),
           dxi_style(stdout, DXI_STYLE_PLAIN));
    who(bench, text, sizeof text);
    line("clients", text);
    if (bench->kind != DXI_NODE_BENCH_SUB) {
        snprintf(text, sizeof text, "%s bytes in %s topic%s, %s a call, %s",
                 dxi_format_count(&(dxi_text_t){0}, bench->bytes),
                 dxi_format_count(&(dxi_text_t){0}, bench->topics), bench->topics == 1 ? "" : "s",
                 dxi_format_count(&(dxi_text_t){0}, bench->batch),
                 bench->ack ? "each acknowledged" : "not acknowledged");
        line("events", text);
        pacing(bench, text, sizeof text);
        line("pacing", text);
    }
    if (bench->own_node) {
        snprintf(text, sizeof text, "in this process, over %s",
                 dxi_dev_transport_text((dxi_dev_transport_t)bench->transport));
        line("node", text);
    }
    fflush(stdout);
}

static void published_print(const dxi_node_bench_t *bench, const dxi_node_result_t *result)
{
    printf("%-10s%s events, %s%s events/s%s, %s/s of payload\n", "published",
           dxi_format_count(&(dxi_text_t){0}, result->published),
           dxi_style(stdout, DXI_STYLE_HEADING),
           dxi_format_count(&(dxi_text_t){0}, per_second(result->published, result->publish_ns)),
           dxi_style(stdout, DXI_STYLE_PLAIN),
           dxi_format_bytes(&(dxi_text_t){0}, (uint64_t)per_second(result->published * bench->bytes,
                                                                   result->publish_ns)));
}

static void received_print(const dxi_node_result_t *result)
{
    printf("%-10s%s events, %s%s events/s%s\n", "received",
           dxi_format_count(&(dxi_text_t){0}, result->received),
           dxi_style(stdout, DXI_STYLE_HEADING),
           dxi_format_count(&(dxi_text_t){0}, per_second(result->received, result->receive_ns)),
           dxi_style(stdout, DXI_STYLE_PLAIN));
}

/* What it took on the wire, acknowledgements and all. */
static void wire_print(const dxi_node_result_t *result)
{
    const int64_t sent = result->published > 0 ? result->published : 1;
    const int64_t came = result->received > 0 ? result->received : 1;
    printf("%-10s", "wire");
    if (result->published > 0) {
        printf("%.1f bytes sent an event%s", (double)result->wire_out / (double)sent,
               result->received > 0 ? ", " : "");
    }
    if (result->received > 0) {
        printf("%.1f received", (double)result->wire_in / (double)came);
    }
    printf(", %s compressed batches\n", dxi_format_count(&(dxi_text_t){0}, result->batches));
}

static void verified_print(const dxi_node_bench_t *bench, const dxi_node_result_t *result)
{
    if (dxi_node_result_is_good(bench, result)) {
        const bool both =
            bench->kind == DXI_NODE_BENCH_E2E || bench->kind == DXI_NODE_BENCH_ROUND_TRIP;
        printf("%-10s%s%s%s\n", "verified", dxi_style(stdout, DXI_STYLE_GOOD),
               both && bench->group ? "every event came once, unchanged; checksums are equal"
               : both ? "every event came once, in order, unchanged; checksums are equal"
                      : "nothing refused, lost, repeated or changed",
               dxi_style(stdout, DXI_STYLE_PLAIN));
        return;
    }
    printf("%-10s%sNOT GOOD:%s %" PRId64 " refused, %" PRId64 " lost, %" PRId64
           " repeated, %" PRId64 " changed, %" PRId64 " told as gaps, %" PRId64
           " checksums differ\n",
           "verified", dxi_style(stdout, DXI_STYLE_ERROR), dxi_style(stdout, DXI_STYLE_PLAIN),
           result->refused + result->lost_by_client, result->lost, result->repeated,
           result->corrupt, result->gaps, result->checksums_differ);
}

void dxi_node_bench_print(const dxi_node_bench_t *bench, const dxi_node_result_t *result)
{
    printf("%-10s%s\n\n%sResult%s\n", "address", result->address,
           dxi_style(stdout, DXI_STYLE_HEADING), dxi_style(stdout, DXI_STYLE_PLAIN));
    if (bench->kind != DXI_NODE_BENCH_SUB) {
        published_print(bench, result);
    }
    if (bench->kind != DXI_NODE_BENCH_PUB) {
        received_print(result);
    }
    wire_print(result);
    verified_print(bench, result);
    if (dx_histogram_count(result->latency) > 0) {
        printf("%-10s", "latency");
        dxi_picture_percentiles(stdout, result->latency, dxi_output_width(stdout));
    }
    if (bench->rate > 0) {
        printf("%-10s", "sent late");
        dxi_picture_percentiles(stdout, result->lateness, dxi_output_width(stdout));
    }
    if (dx_histogram_count(result->latency) > 0) {
        putchar('\n');
        dxi_picture_bars(stdout, result->latency, dxi_output_width(stdout));
    }
    if (result->interrupted) {
        puts("Interrupted: shorter than it should be.");
    }
}

static void json_scenario(dxi_json_t *json, const dxi_node_bench_t *bench,
                          const dxi_node_result_t *result)
{
    dxi_json_object_begin(json, "scenario");
    dxi_json_text(json, "address", result->address);
    dxi_json_boolean(json, "own_node", bench->own_node);
    dxi_json_integer(json, "publishers", bench->kind == DXI_NODE_BENCH_SUB ? 0 : bench->publishers);
    dxi_json_integer(json, "subscribers",
                     bench->kind == DXI_NODE_BENCH_PUB ? 0 : bench->subscribers);
    dxi_json_integer(json, "bytes", bench->bytes);
    dxi_json_integer(json, "topics", bench->topics);
    dxi_json_integer(json, "batch", bench->batch);
    dxi_json_integer(json, "rate", bench->rate);
    dxi_json_integer(json, "duration_ns", bench->ns);
    dxi_json_boolean(json, "acknowledgements", bench->ack);
    dxi_json_boolean(json, "group", bench->group);
    dxi_json_boolean(json, "busy_poll", bench->busy_poll);
    dxi_json_boolean(json, "drive", bench->drive);
    dxi_json_text(json, "slow", bench->slow == 0 ? "block" : "drop");
    dxi_json_object_end(json);
}

void dxi_node_bench_json(const char *name, const dxi_node_bench_t *bench,
                         const dxi_node_result_t *result)
{
    char checksum[24];
    dxi_json_t json;
    dxi_json_begin(&json, stdout);
    dxi_json_object_begin(&json, NULL);
    dxi_json_text(&json, "bench", name);
    dxi_json_text(&json, "version", DX_VERSION_STRING);
    json_scenario(&json, bench, result);
    dxi_json_integer(&json, "published", result->published);
    dxi_json_integer(&json, "published_per_s", per_second(result->published, result->publish_ns));
    dxi_json_integer(&json, "received", result->received);
    dxi_json_integer(&json, "received_per_s", per_second(result->received, result->receive_ns));
    dxi_json_integer(&json, "acknowledged", result->acknowledged);
    dxi_json_integer(&json, "refused", result->refused);
    dxi_json_integer(&json, "lost_by_client", result->lost_by_client);
    dxi_json_integer(&json, "lost", result->lost);
    dxi_json_integer(&json, "repeated", result->repeated);
    dxi_json_integer(&json, "corrupt", result->corrupt);
    dxi_json_integer(&json, "gap_events", result->gaps);
    dxi_json_integer(&json, "reconnects", result->reconnects);
    dxi_json_integer(&json, "wire_bytes_out", result->wire_out);
    dxi_json_integer(&json, "wire_bytes_in", result->wire_in);
    dxi_json_integer(&json, "batches", result->batches);
    snprintf(checksum, sizeof checksum, "%016" PRIx64, result->checksum_sent);
    dxi_json_text(&json, "checksum_sent", checksum);
    snprintf(checksum, sizeof checksum, "%016" PRIx64, result->checksum_received);
    dxi_json_text(&json, "checksum_received", checksum);
    dxi_json_boolean(&json, "verified", dxi_node_result_is_good(bench, result));
    dxi_json_boolean(&json, "interrupted", result->interrupted);
    dxi_json_integer(&json, "publish_ns", result->publish_ns);
    dxi_json_integer(&json, "receive_ns", result->receive_ns);
    dxi_picture_json(&json, "latency_ns", result->latency);
    dxi_picture_json(&json, "sent_late_ns", result->lateness);
    dxi_json_object_end(&json);
    (void)dxi_json_finish(&json); /* main looks at standard output in the end */
}
