/* orders_bus_report.c - what `dx demo orders` shows of a run through a node: live, and in the end.
 *
 * The keys of the JSON result are a promise: programs read them. A new key may come, none goes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/orders_bus_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/format.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/pace.h"
#include "cli/screen.h"
#include "cli/table.h"

#define LIVE_NS (200 * DX_NS_PER_MS)
#define POLL_NS (5 * DX_NS_PER_MS)
#define LINE_NS (500 * DX_NS_PER_MS)
#define BAR_WIDTH 40

/* ----------------------------------------------------------------------------------------- live */

static int64_t per_second(int64_t count, int64_t ns)
{
    return ns > 0 ? (int64_t)((double)count * 1e9 / (double)ns) : 0;
}

static void bar_print(FILE *frame, int64_t part, int64_t whole)
{
    const int filled = whole > 0 ? (int)(part * BAR_WIDTH / whole) : 0;
    fputc('[', frame);
    for (int i = 0; i < BAR_WIDTH; i++) {
        fputc(i < filled ? '#' : '.', frame);
    }
    fprintf(frame, "] %s\n", dxi_format_share(&(dxi_text_t){0}, part, whole));
}

static void step_row(dxi_table_t *table, const char *name, const char *topic, int64_t done,
                     int64_t rate, int64_t behind, int64_t refused)
{
    dxi_table_cell(table, "%s", name);
    dxi_table_cell(table, "%s", topic);
    dxi_table_cell(table, "%s", dxi_format_count(&(dxi_text_t){0}, done));
    dxi_table_cell(table, "%s", dxi_format_count(&(dxi_text_t){0}, rate));
    dxi_table_cell(table, "%s", dxi_format_count(&(dxi_text_t){0}, behind));
    dxi_table_cell(table, "%s", dxi_format_count(&(dxi_text_t){0}, refused));
}

static void steps_print(FILE *frame, const dxi_orders_bus_look_t *before,
                        const dxi_orders_bus_look_t *now)
{
    static const dxi_column_t columns[] = {
        {"step", DXI_ALIGN_LEFT, 0},     {"publishes to", DXI_ALIGN_LEFT, 1},
        {"orders", DXI_ALIGN_RIGHT, 0},  {"per second", DXI_ALIGN_RIGHT, 0},
        {"waiting", DXI_ALIGN_RIGHT, 0}, {"refused", DXI_ALIGN_RIGHT, 0},
    };
    static const char *const names[] = {"validate", "inventory", "payment", "fulfil"};
    static const char *const topics[] = {"orders.validated", "orders.reserved", "orders.paid",
                                         "orders.fulfilled"};
    const int64_t ns = now->taken_ns - before->taken_ns;
    const int64_t ready[] = {now->published, now->steps[0], now->steps[0],
                             now->steps[1] < now->steps[2] ? now->steps[1] : now->steps[2]};
    dxi_table_t *table = NULL;
    if (dxi_table_create(columns, 6, &table, NULL) != DX_OK) {
        return;
    }
    step_row(table, "source", "orders.created", now->published,
             per_second(now->published - before->published, ns), 0, 0);
    for (int i = 0; i < DXI_STAGE_COUNT; i++) {
        const int64_t behind = ready[i] - now->steps[i];
        step_row(table, names[i], topics[i], now->steps[i],
                 per_second(now->steps[i] - before->steps[i], ns), behind > 0 ? behind : 0,
                 now->refused[i]);
    }
    dxi_table_print(table, frame, 0, dxi_output_width(frame));
    dxi_table_destroy(table);
}

static void frame_show(const dxi_orders_bus_options_t *options, const dxi_orders_bus_look_t *before,
                       const dxi_orders_bus_look_t *now)
{
    FILE *const frame = dxi_screen_begin();
    if (frame == NULL) {
        return;
    }
    fprintf(frame, "%sOrders%s through a node in this process, over %s\n\n",
            dxi_style(frame, DXI_STYLE_HEADING), dxi_style(frame, DXI_STYLE_PLAIN),
            dxi_dev_transport_text(options->transport));
    bar_print(frame, now->steps[DXI_STAGE_FULFIL], now->total);
    fputc('\n', frame);
    steps_print(frame, before, now);
    fprintf(frame, "\nfrom due to fulfilled: p50 %s, p99 %s, max %s\n",
            dxi_format_ns(&(dxi_text_t){0}, now->end_to_end.p50),
            dxi_format_ns(&(dxi_text_t){0}, now->end_to_end.p99),
            dxi_format_ns(&(dxi_text_t){0}, now->end_to_end.max));
    fprintf(frame, "%sq or Ctrl-C stops the source and reports%s\n",
            dxi_style(frame, DXI_STYLE_QUIET), dxi_style(frame, DXI_STYLE_PLAIN));
    dxi_screen_show();
}

static void watch_live(const dxi_orders_bus_t *bus, const dxi_orders_bus_options_t *options)
{
    dxi_orders_bus_look_t before;
    dxi_orders_bus_look_t now;
    dxi_orders_bus_look(bus, &before);
    dxi_screen_enter();
    int64_t shown_ns = 0;
    while (!dxi_orders_bus_is_done(bus)) {
        dxi_orders_bus_look(bus, &now);
        if (now.taken_ns - shown_ns >= LIVE_NS) {
            frame_show(options, &before, &now);
            before = now;
            shown_ns = now.taken_ns;
        }
        if (dxi_screen_wait(POLL_NS * 4) == DXI_SCREEN_QUIT) {
            dx_store32_relaxed(options->stop, 1);
        }
    }
    (void)dxi_screen_begin(); /* an empty one: the report says more */
    dxi_screen_show();
    dxi_screen_leave();
}

static void line_show(const dxi_orders_bus_t *bus, bool terminal, int64_t begin_ns)
{
    dxi_orders_bus_look_t look;
    dxi_orders_bus_look(bus, &look);
    const int64_t fulfilled = look.steps[DXI_STAGE_FULFIL];
    fprintf(stderr, "%s%s of %s fulfilled, %s, %s orders/s%s", terminal ? "\r\x1b[K" : "",
            dxi_format_count(&(dxi_text_t){0}, fulfilled),
            dxi_format_count(&(dxi_text_t){0}, look.total),
            dxi_format_share(&(dxi_text_t){0}, fulfilled, look.total),
            dxi_format_count(&(dxi_text_t){0}, per_second(fulfilled, look.taken_ns - begin_ns)),
            terminal ? "" : "\n");
    fflush(stderr);
}

static void watch_line(const dxi_orders_bus_t *bus, bool wanted)
{
    const bool terminal = isatty(STDERR_FILENO) != 0;
    const int64_t begin_ns = dx_clock_ns();
    int64_t next_ns = begin_ns + LINE_NS;
    while (!dxi_orders_bus_is_done(bus)) {
        (void)dxi_pace_wait(dx_clock_ns() + POLL_NS, 0, &(dx_atomic32_t){0});
        if ((wanted || terminal) && dx_clock_ns() >= next_ns) {
            line_show(bus, terminal, begin_ns);
            next_ns += LINE_NS;
        }
    }
    if (terminal) {
        fputs("\r\x1b[K", stderr);
        fflush(stderr);
    }
}

int dxi_orders_bus_watch(const dxi_orders_bus_options_t *options, bool progress,
                         dxi_orders_bus_result_t *result_out, dx_error_t *error)
{
    dxi_orders_bus_t *bus = NULL;
    const int result = dxi_orders_bus_start(options, &bus, error);
    if (result != DX_OK) {
        return result;
    }
    if (dxi_screen_possible() && !dxi_output_is_json()) {
        watch_live(bus, options);
    } else {
        watch_line(bus, progress);
    }
    return dxi_orders_bus_end(bus, result_out, error);
}

/* --------------------------------------------------------------------------------------- report */

static void topics_json(dxi_json_t *json, const dxi_orders_bus_result_t *result)
{
    dxi_json_array_begin(json, "topics");
    for (int i = 0; i < DXI_ORDERS_BUS_TOPICS; i++) {
        const dxi_orders_bus_topic_t *const topic = &result->topics[i];
        dxi_json_object_begin(json, NULL);
        dxi_json_text(json, "name", topic->name);
        dxi_json_text(json, "from", topic->from);
        dxi_json_text(json, "to", topic->to);
        dxi_json_integer(json, "published", topic->published);
        dxi_json_integer(json, "delivered", topic->delivered);
        dxi_json_integer(json, "dropped", topic->dropped);
        dxi_json_integer(json, "latency_p50_ns", topic->latency_p50_ns);
        dxi_json_integer(json, "latency_p99_ns", topic->latency_p99_ns);
        dxi_json_object_end(json);
    }
    dxi_json_array_end(json);
}

static int report_json(const dxi_orders_report_t *report, const dxi_orders_bus_options_t *options,
                       const dxi_orders_bus_result_t *result)
{
    dxi_json_t json;
    dxi_json_begin(&json, stdout);
    dxi_json_object_begin(&json, NULL);
    dxi_json_text(&json, "demo", "orders");
    dxi_json_text(&json, "through", "bus");
    dxi_json_text(&json, "address", result->address);
    dxi_json_text(&json, "source", report->source);
    dxi_json_integer(&json, "lines", report->orders->lines);
    dxi_json_integer(&json, "bad_lines", report->orders->bad_lines);
    dxi_json_integer(&json, "repeat", options->repeat);
    dxi_json_integer(&json, "rate", options->rate);
    dxi_json_integer(&json, "window", options->window);
    dxi_json_boolean(&json, "interrupted", result->published < result->total);
    dxi_orders_report_json_totals(&json, report);
    dxi_json_integer(&json, "elapsed_ns", result->elapsed_ns);
    dxi_json_integer(&json, "events_per_s", per_second(result->totals.orders, result->elapsed_ns));
    dxi_json_integer(&json, "unannounced", result->unannounced);
    dxi_orders_report_json_latency(&json, report);
    topics_json(&json, result);
    dxi_json_object_end(&json);
    return dxi_json_finish(&json);
}

static int topics_print(const dxi_orders_bus_result_t *result, int32_t width, dx_error_t *error)
{
    static const dxi_column_t columns[] = {
        {"topic", DXI_ALIGN_LEFT, 0},        {"from", DXI_ALIGN_LEFT, 3},
        {"to", DXI_ALIGN_LEFT, 2},           {"published", DXI_ALIGN_RIGHT, 0},
        {"delivered", DXI_ALIGN_RIGHT, 0},   {"dropped", DXI_ALIGN_RIGHT, 1},
        {"p50 in node", DXI_ALIGN_RIGHT, 4},
    };
    dxi_table_t *table = NULL;
    const int created = dxi_table_create(columns, 7, &table, error);
    if (created != DX_OK) {
        return created;
    }
    for (int i = 0; i < DXI_ORDERS_BUS_TOPICS; i++) {
        const dxi_orders_bus_topic_t *const topic = &result->topics[i];
        dxi_table_cell(table, "%s", topic->name);
        dxi_table_cell(table, "%s", topic->from);
        dxi_table_cell(table, "%s", topic->to);
        dxi_table_cell(table, "%s", dxi_format_count(&(dxi_text_t){0}, topic->published));
        dxi_table_cell(table, "%s", dxi_format_count(&(dxi_text_t){0}, topic->delivered));
        dxi_table_cell(table, "%s", dxi_format_count(&(dxi_text_t){0}, topic->dropped));
        dxi_table_cell(table, "%s", dxi_format_ns(&(dxi_text_t){0}, topic->latency_p50_ns));
    }
    putchar('\n');
    dxi_table_print(table, stdout, 0, width);
    dxi_table_destroy(table);
    return DX_OK;
}

static int report_text(const dxi_orders_report_t *report, const dxi_orders_bus_options_t *options,
                       const dxi_orders_bus_result_t *result, dx_error_t *error)
{
    const int32_t width = dxi_output_width(stdout);
    char line[512];
    snprintf(line, sizeof line, "%s; node at %s, five clients, at most %s orders on their way",
             report->source, result->address, dxi_format_count(&(dxi_text_t){0}, options->window));
    printf("%sOrders%s  validate -> (check inventory || verify payment) -> fulfil\n        ",
           dxi_style(stdout, DXI_STYLE_HEADING), dxi_style(stdout, DXI_STYLE_PLAIN));
    dxi_print_wrapped(stdout, line, 8, 8, width > 0 ? width : 100);
    dxi_orders_report_totals(report, width);
    int code = dxi_orders_report_latency(report, width, error);
    if (code == DX_OK) {
        code = topics_print(result, width, error);
    }
    if (code == DX_OK && result->unannounced > 0) {
        printf("%s orders were fulfilled and not published to orders.fulfilled: no room\n",
               dxi_format_count(&(dxi_text_t){0}, result->unannounced));
    }
    if (code == DX_OK) {
        dxi_orders_report_checksum(report);
    }
    return code;
}

int dxi_orders_bus_report(const char *source, const dxi_orders_bus_options_t *options,
                          const dxi_orders_bus_result_t *result, dxi_check_t check,
                          dx_error_t *error)
{
    const dxi_pipeline_options_t as_ring = {
        .orders = options->orders, .repeat = options->repeat, .rate = options->rate};
    dxi_pipeline_result_t totals = {.total = result->total,
                                    .published = result->published,
                                    .elapsed_ns = result->elapsed_ns,
                                    .totals = result->totals};
    memcpy(totals.latency, result->latency, sizeof totals.latency);
    const dxi_orders_report_t report = {.source = source,
                                        .orders = options->orders,
                                        .options = &as_ring,
                                        .result = &totals,
                                        .check = check};
    return dxi_output_is_json() ? report_json(&report, options, result)
                                : report_text(&report, options, result, error);
}
