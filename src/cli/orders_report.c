/* orders_report.c - what `dx demo orders` prints.
 *
 * The keys of the JSON result are a promise: programs read them. A new key may come, none goes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/orders_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/format.h"
#include "cli/output.h"
#include "cli/table.h"

#define TEXT_WIDTH 100 /* of running text where there is no terminal */

static int64_t events_per_second(const dxi_pipeline_result_t *result)
{
    if (result->elapsed_ns <= 0) {
        return 0;
    }
    return (int64_t)((double)result->totals.orders * 1e9 / (double)result->elapsed_ns);
}

static double batch_average(const dx_consumer_stat_t *stage)
{
    return stage->batches > 0 ? (double)stage->events / (double)stage->batches : 0;
}

/* ------------------------------------------------------------------------------------- JSON */

void dxi_orders_report_json_latency(dxi_json_t *json, const dxi_orders_report_t *report)
{
    const dxi_pipeline_result_t *const result = report->result;
    dxi_json_object_begin(json, "latency_ns");
    for (int i = 0; i < DXI_LATENCY_COUNT; i++) {
        const dx_histogram_summary_t *const latency = &result->latency[i];
        dxi_json_object_begin(json, dxi_latency_name((dxi_latency_t)i));
        dxi_json_integer(json, "count", latency->count);
        dxi_json_integer(json, "min", latency->min);
        dxi_json_real(json, "mean", latency->mean);
        dxi_json_integer(json, "p50", latency->p50);
        dxi_json_integer(json, "p90", latency->p90);
        dxi_json_integer(json, "p99", latency->p99);
        dxi_json_integer(json, "p999", latency->p999);
        dxi_json_integer(json, "max", latency->max);
        dxi_json_object_end(json);
    }
    dxi_json_object_end(json);
}

static void json_stages(dxi_json_t *json, const dxi_pipeline_result_t *result)
{
    dxi_json_array_begin(json, "stages");
    for (int i = 0; i < DXI_STAGE_COUNT; i++) {
        const dx_consumer_stat_t *const stage = &result->stages[i];
        dxi_json_object_begin(json, NULL);
        dxi_json_text(json, "name", stage->name);
        dxi_json_integer(json, "events", stage->events);
        dxi_json_integer(json, "batches", stage->batches);
        dxi_json_real(json, "batch_average", batch_average(stage));
        dxi_json_integer(json, "batch_max", stage->batch_max);
        dxi_json_integer(json, "lag", stage->lag);
        dxi_json_integer(json, "waits", stage->waits);
        dxi_json_integer(json, "sleeps", stage->sleeps);
        dxi_json_integer(json, "wakes", stage->wakes);
        dxi_json_integer(json, "errors", stage->errors);
        dxi_json_object_end(json);
    }
    dxi_json_array_end(json);
}

void dxi_orders_report_json_totals(dxi_json_t *json, const dxi_orders_report_t *report)
{
    const dxi_fulfilment_t *const totals = &report->result->totals;
    char checksum[24];
    snprintf(checksum, sizeof checksum, "%016" PRIx64, totals->checksum);
    dxi_json_integer(json, "events", totals->orders);
    dxi_json_integer(json, "accepted", totals->counts[DXI_REFUSAL_none]);
    dxi_json_integer(json, "rejected", totals->orders - totals->counts[DXI_REFUSAL_none]);
    dxi_json_object_begin(json, "rejected_by_reason");
    for (int i = DXI_REFUSAL_none + 1; i < DXI_REFUSAL_COUNT; i++) {
        dxi_json_integer(json, dxi_refusal_name((dxi_refusal_t)i), totals->counts[i]);
    }
    dxi_json_object_end(json);
    dxi_json_integer(json, "notional_dollars", totals->dollars);
    dxi_json_text(json, "checksum", checksum);
    if (report->check == DXI_CHECK_NONE) {
        dxi_json_null(json, "check");
    } else {
        dxi_json_text(json, "check", report->check == DXI_CHECK_SAME ? "same" : "different");
    }
}

static int report_json(const dxi_orders_report_t *report)
{
    const dxi_pipeline_result_t *const result = report->result;
    dxi_json_t json;
    dxi_json_begin(&json, stdout);
    dxi_json_object_begin(&json, NULL);
    dxi_json_text(&json, "demo", "orders");
    dxi_json_text(&json, "source", report->source);
    dxi_json_integer(&json, "lines", report->orders->lines);
    dxi_json_integer(&json, "bad_lines", report->orders->bad_lines);
    dxi_json_integer(&json, "repeat", report->options->repeat);
    dxi_json_integer(&json, "capacity", report->options->capacity);
    dxi_json_integer(&json, "batch", report->options->batch);
    dxi_json_integer(&json, "rate", report->options->rate);
    dxi_json_text(&json, "wait", dx_wait_kind_name(report->options->wait));
    dxi_json_boolean(&json, "interrupted", result->published < result->total);
    dxi_orders_report_json_totals(&json, report);
    dxi_json_integer(&json, "elapsed_ns", result->elapsed_ns);
    dxi_json_integer(&json, "events_per_s", events_per_second(result));
    dxi_orders_report_json_latency(&json, report);
    json_stages(&json, result);
    dxi_json_object_begin(&json, "publisher");
    dxi_json_integer(&json, "claim_waits", result->ring.claim_waits);
    dxi_json_integer(&json, "claim_wait_ns", result->ring.claim_wait_ns);
    dxi_json_integer(&json, "wakes", result->ring.wakes);
    dxi_json_object_end(&json);
    dxi_json_object_end(&json);
    return dxi_json_finish(&json);
}

/* ------------------------------------------------------------------------------------- table */

static void heading(const char *text)
{
    printf("\n%s%s%s\n", dxi_style(stdout, DXI_STYLE_HEADING), text,
           dxi_style(stdout, DXI_STYLE_PLAIN));
}

static void print_head(const dxi_orders_report_t *report, int32_t width)
{
    char line[512];
    snprintf(line, sizeof line, "%s; ring of %s, batch %s, wait %s", report->source,
             dxi_format_count(&(dxi_text_t){0}, report->options->capacity),
             dxi_format_count(&(dxi_text_t){0}, report->options->batch),
             dx_wait_kind_name(report->options->wait));
    printf("%sOrders%s  validate -> (check inventory || verify payment) -> fulfil\n        ",
           dxi_style(stdout, DXI_STYLE_HEADING), dxi_style(stdout, DXI_STYLE_PLAIN));
    dxi_print_wrapped(stdout, line, 8, 8, width > 0 ? width : TEXT_WIDTH);
}

/* Writes "460 not a submission, 9 bad id" for what `by` refused: the number only where there are
 * several reasons. Returns how many orders that were. */
static int64_t refusals_of(const dxi_fulfilment_t *totals, const char *by, char *text,
                           size_t text_bytes)
{
    int64_t count = 0;
    size_t used = 0;
    int reasons = 0;
    text[0] = '\0';
    for (int r = DXI_REFUSAL_none + 1; r < DXI_REFUSAL_COUNT; r++) {
        const dxi_refusal_t refusal = (dxi_refusal_t)r;
        if (totals->counts[r] == 0 || strcmp(dxi_refusal_by(refusal), by) != 0) {
            continue;
        }
        count += totals->counts[r];
        reasons++;
        used += (size_t)snprintf(text + used, text_bytes - used, "%s%s %s", used > 0 ? ", " : "",
                                 dxi_format_count(&(dxi_text_t){0}, totals->counts[r]),
                                 dxi_refusal_text(refusal));
        used = used < text_bytes ? used : text_bytes - 1;
    }
    if (reasons == 1) {
        memmove(text, strchr(text, ' ') + 1, strlen(strchr(text, ' ')));
    }
    return count;
}

/* One line (or more, where the terminal is narrow) for each who refused. */
static void print_refusals(const dxi_fulfilment_t *totals, int32_t width)
{
    static const char *const refusers[] = {"validate", "inventory", "payment", "both"};
    for (size_t i = 0; i < sizeof refusers / sizeof refusers[0]; i++) {
        char reasons[512];
        const int64_t count = refusals_of(totals, refusers[i], reasons, sizeof reasons);
        if (count > 0) {
            printf("  by %-9s %12s   ", refusers[i], dxi_format_count(&(dxi_text_t){0}, count));
            dxi_print_wrapped(stdout, reasons, 30, 30, width > 0 ? width : TEXT_WIDTH);
        }
    }
}

void dxi_orders_report_totals(const dxi_orders_report_t *report, int32_t width)
{
    const dxi_pipeline_result_t *const result = report->result;
    const dxi_fulfilment_t *const totals = &result->totals;
    const int64_t accepted = totals->counts[DXI_REFUSAL_none];
    const int64_t rejected = totals->orders - accepted;
    printf("\n%-14s %12s   in %s, %s%s events/s%s\n", "Events",
           dxi_format_count(&(dxi_text_t){0}, totals->orders),
           dxi_format_ns(&(dxi_text_t){0}, result->elapsed_ns),
           dxi_style(stdout, DXI_STYLE_HEADING),
           dxi_format_count(&(dxi_text_t){0}, events_per_second(result)),
           dxi_style(stdout, DXI_STYLE_PLAIN));
    printf("%-14s %12s   %s, worth $ %s\n", "Accepted",
           dxi_format_count(&(dxi_text_t){0}, accepted),
           dxi_format_share(&(dxi_text_t){0}, accepted, totals->orders),
           dxi_format_count(&(dxi_text_t){0}, totals->dollars));
    printf("%-14s %12s   %s\n", "Rejected", dxi_format_count(&(dxi_text_t){0}, rejected),
           dxi_format_share(&(dxi_text_t){0}, rejected, totals->orders));
    print_refusals(totals, width);
    if (report->orders->bad_lines > 0) {
        printf("%-14s %12s   not sent\n", "Bad lines",
               dxi_format_count(&(dxi_text_t){0}, report->orders->bad_lines));
    }
}

int dxi_orders_report_latency(const dxi_orders_report_t *report, int32_t width, dx_error_t *error)
{
    static const dxi_column_t columns[] = {
        {"", DXI_ALIGN_LEFT, 0},        {"p50", DXI_ALIGN_RIGHT, 0},   {"p90", DXI_ALIGN_RIGHT, 1},
        {"p99", DXI_ALIGN_RIGHT, 0},    {"p99.9", DXI_ALIGN_RIGHT, 0}, {"max", DXI_ALIGN_RIGHT, 0},
        {"of what", DXI_ALIGN_LEFT, 2},
    };
    static const char *const meanings[DXI_LATENCY_COUNT] = {
        "sent -> validated",      "validated -> checked",        "validated -> verified",
        "both done -> fulfilled", "due to be sent -> fulfilled", "due to be sent -> sent"};
    static const char *const names[DXI_LATENCY_COUNT] = {"validate", "inventory",  "payment",
                                                         "fulfil",   "end to end", "send"};
    dxi_table_t *table = NULL;
    const int result = dxi_table_create(columns, 7, &table, error);
    if (result != DX_OK) {
        return result;
    }
    const int rows = report->options->rate > 0 ? DXI_LATENCY_COUNT : DXI_LATENCY_SEND;
    for (int i = 0; i < rows; i++) {
        const dx_histogram_summary_t *const latency = &report->result->latency[i];
        dxi_table_cell(table, "%s", names[i]);
        dxi_table_cell(table, "%s", dxi_format_ns(&(dxi_text_t){0}, latency->p50));
        dxi_table_cell(table, "%s", dxi_format_ns(&(dxi_text_t){0}, latency->p90));
        dxi_table_cell(table, "%s", dxi_format_ns(&(dxi_text_t){0}, latency->p99));
        dxi_table_cell(table, "%s", dxi_format_ns(&(dxi_text_t){0}, latency->p999));
        dxi_table_cell(table, "%s", dxi_format_ns(&(dxi_text_t){0}, latency->max));
        dxi_table_cell(table, "%s", meanings[i]);
    }
    char title[96];
    if (report->options->rate > 0) {
        snprintf(title, sizeof title, "Latency at %s events/s",
                 dxi_format_count(&(dxi_text_t){0}, report->options->rate));
    } else {
        snprintf(title, sizeof title, "Latency at full speed: mostly the queue (use --rate)");
    }
    heading(title);
    dxi_table_print(table, stdout, 0, width);
    dxi_table_destroy(table);
    return DX_OK;
}

static int print_stages(const dxi_pipeline_result_t *result, int32_t width, dx_error_t *error)
{
    static const dxi_column_t columns[] = {
        {"stage", DXI_ALIGN_LEFT, 0},      {"events", DXI_ALIGN_RIGHT, 0},
        {"batches", DXI_ALIGN_RIGHT, 2},   {"avg batch", DXI_ALIGN_RIGHT, 0},
        {"max batch", DXI_ALIGN_RIGHT, 0}, {"waits", DXI_ALIGN_RIGHT, 0},
        {"sleeps", DXI_ALIGN_RIGHT, 0},    {"lag", DXI_ALIGN_RIGHT, 1},
    };
    dxi_table_t *table = NULL;
    const int created = dxi_table_create(columns, 8, &table, error);
    if (created != DX_OK) {
        return created;
    }
    for (int i = 0; i < DXI_STAGE_COUNT; i++) {
        const dx_consumer_stat_t *const stage = &result->stages[i];
        dxi_table_cell(table, "%s", stage->name);
        dxi_table_cell(table, "%s", dxi_format_count(&(dxi_text_t){0}, stage->events));
        dxi_table_cell(table, "%s", dxi_format_count(&(dxi_text_t){0}, stage->batches));
        dxi_table_cell(table, "%s", dxi_format_decimal(&(dxi_text_t){0}, batch_average(stage)));
        dxi_table_cell(table, "%s", dxi_format_count(&(dxi_text_t){0}, stage->batch_max));
        dxi_table_cell(table, "%s", dxi_format_count(&(dxi_text_t){0}, stage->waits));
        dxi_table_cell(table, "%s", dxi_format_count(&(dxi_text_t){0}, stage->sleeps));
        dxi_table_cell(table, "%s", dxi_format_count(&(dxi_text_t){0}, stage->lag));
    }
    putchar('\n');
    dxi_table_print(table, stdout, 0, width);
    dxi_table_destroy(table);
    return DX_OK;
}

void dxi_orders_report_checksum(const dxi_orders_report_t *report)
{
    printf("\nChecksum %016" PRIx64, report->result->totals.checksum);
    if (report->check == DXI_CHECK_SAME) {
        printf("   %ssame as the sequential computation%s", dxi_style(stdout, DXI_STYLE_GOOD),
               dxi_style(stdout, DXI_STYLE_PLAIN));
    } else if (report->check == DXI_CHECK_DIFFERENT) {
        printf("   %sDIFFERENT from the sequential computation%s",
               dxi_style(stdout, DXI_STYLE_ERROR), dxi_style(stdout, DXI_STYLE_PLAIN));
    }
    putchar('\n');
    if (report->result->published < report->result->total) {
        printf("%sInterrupted%s after %s of %s events; all of them were fulfilled.\n",
               dxi_style(stdout, DXI_STYLE_WARNING), dxi_style(stdout, DXI_STYLE_PLAIN),
               dxi_format_count(&(dxi_text_t){0}, report->result->published),
               dxi_format_count(&(dxi_text_t){0}, report->result->total));
    }
}

int dxi_orders_report(const dxi_orders_report_t *report, dx_error_t *error)
{
    if (dxi_output_is_json()) {
        return report_json(report);
    }
    const int32_t width = dxi_output_width(stdout);
    print_head(report, width);
    dxi_orders_report_totals(report, width);
    int result = dxi_orders_report_latency(report, width, error);
    if (result == DX_OK) {
        result = print_stages(report->result, width, error);
    }
    if (result == DX_OK) {
        dxi_orders_report_checksum(report);
    }
    return result;
}

/* ----------------------------------------------------------------------------- standard error */

void dxi_orders_report_bad_lines(const char *source, const dxi_csv_orders_t *orders)
{
    const int64_t shown =
        orders->bad_lines < DXI_CSV_REPORTS_MAX ? orders->bad_lines : DXI_CSV_REPORTS_MAX;
    for (int64_t i = 0; i < shown; i++) {
        fprintf(stderr, "%s%s:%" PRId64 ":%s %s\n", dxi_style(stderr, DXI_STYLE_WARNING), source,
                orders->reports[i].line, dxi_style(stderr, DXI_STYLE_PLAIN),
                orders->reports[i].message);
    }
    if (orders->bad_lines > shown) {
        fprintf(stderr, "%s: %s more bad lines\n", source,
                dxi_format_count(&(dxi_text_t){0}, orders->bad_lines - shown));
    }
}

void dxi_orders_report_progress(const dxi_pipeline_progress_t *progress)
{
    const bool terminal = isatty(STDERR_FILENO) != 0;
    const double seconds = (double)progress->elapsed_ns / 1e9;
    const int64_t rate = seconds > 0 ? (int64_t)((double)progress->fulfilled / seconds) : 0;
    fprintf(stderr, "%s%s of %s fulfilled, %s, %s events/s, %s in the ring%s",
            terminal ? "\r\x1b[K" : "", dxi_format_count(&(dxi_text_t){0}, progress->fulfilled),
            dxi_format_count(&(dxi_text_t){0}, progress->total),
            dxi_format_share(&(dxi_text_t){0}, progress->fulfilled, progress->total),
            dxi_format_count(&(dxi_text_t){0}, rate),
            dxi_format_count(&(dxi_text_t){0}, progress->depth), terminal ? "" : "\n");
    fflush(stderr);
}

void dxi_orders_report_progress_end(void)
{
    if (isatty(STDERR_FILENO)) {
        fputs("\r\x1b[K", stderr);
        fflush(stderr);
    }
}
