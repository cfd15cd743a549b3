/* cli/bench_report.c - the results of `dx bench ring` for eyes and for programs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>

#include "base/fail.h"
#include "base/format.h"
#include "cli/bench_plan.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/table.h"

#define LABEL_BYTES 40

static bool is_measured(const dxi_bench_row_t *row)
{
    return row->reason[0] == '\0' && row->rounds != 0;
}

static void heading(const char *text)
{
    printf("\n%s%s%s\n", dxi_style(stdout, DXI_STYLE_HEADING), text,
           dxi_style(stdout, DXI_STYLE_PLAIN));
}

/* Tables --------------------------------------------------------------------------------------- */

static const dxi_column_t RATE_COLUMNS[] = {
    {"scenario", DXI_ALIGN_LEFT, 0},    {"wait", DXI_ALIGN_LEFT, 0},
    {"batch", DXI_ALIGN_RIGHT, 0},      {"bytes", DXI_ALIGN_RIGHT, 0},
    {"median M/s", DXI_ALIGN_RIGHT, 0}, {"q1", DXI_ALIGN_RIGHT, 0},
    {"q3", DXI_ALIGN_RIGHT, 0},         {"spread %", DXI_ALIGN_RIGHT, 2},
    {"ns/event", DXI_ALIGN_RIGHT, 1},   {"avg batch", DXI_ALIGN_RIGHT, 0},
    {"events", DXI_ALIGN_RIGHT, 3},     {"pinned", DXI_ALIGN_LEFT, 4},
    {"disturbed", DXI_ALIGN_RIGHT, 0},
};

static const dxi_column_t LATENCY_COLUMNS[] = {
    {"scenario", DXI_ALIGN_LEFT, 0},   {"wait", DXI_ALIGN_LEFT, 0},
    {"p50", DXI_ALIGN_RIGHT, 0},       {"p90", DXI_ALIGN_RIGHT, 0},
    {"p99", DXI_ALIGN_RIGHT, 0},       {"p99.9", DXI_ALIGN_RIGHT, 0},
    {"p99.99", DXI_ALIGN_RIGHT, 0},    {"max", DXI_ALIGN_RIGHT, 0},
    {"mean", DXI_ALIGN_RIGHT, 2},      {"p50 of rounds, q1-q3", DXI_ALIGN_RIGHT, 3},
    {"samples", DXI_ALIGN_RIGHT, 1},   {"pace", DXI_ALIGN_RIGHT, 4},
    {"disturbed", DXI_ALIGN_RIGHT, 0},
};

static const dxi_column_t IDLE_COLUMNS[] = {
    {"scenario", DXI_ALIGN_LEFT, 0},
    {"wait", DXI_ALIGN_LEFT, 0},
    {"CPU % of a core, median", DXI_ALIGN_RIGHT, 0},
    {"q1", DXI_ALIGN_RIGHT, 0},
    {"q3", DXI_ALIGN_RIGHT, 0},
    {"seconds a run", DXI_ALIGN_RIGHT, 0},
};

static const dxi_column_t RATIO_COLUMNS[] = {
    {"scenario", DXI_ALIGN_LEFT, 0},   {"wait", DXI_ALIGN_LEFT, 0},
    {"batch", DXI_ALIGN_RIGHT, 0},     {"bytes", DXI_ALIGN_RIGHT, 0},
    {"against", DXI_ALIGN_LEFT, 0},    {"its median", DXI_ALIGN_RIGHT, 0},
    {"median", DXI_ALIGN_RIGHT, 0},    {"ratio", DXI_ALIGN_RIGHT, 0},
    {"q1", DXI_ALIGN_RIGHT, 0},        {"q3", DXI_ALIGN_RIGHT, 0},
    {"within 5 %", DXI_ALIGN_LEFT, 0},
};

/* The scenario's name, and between whom. */
static const char *label(dxi_text_t *text, const dxi_bench_row_t *row)
{
    const dxi_bench_params_t *const p = &row->params;
    if (!p->shared) {
        return row->scenario->name;
    }
    if (row->scenario->any_attached) {
        (void)snprintf(text->bytes, sizeof text->bytes, "%s, +%u", row->scenario->name,
                       p->attached);
    } else {
        (void)snprintf(text->bytes, sizeof text->bytes, "%s, shared", row->scenario->name);
    }
    return text->bytes;
}

static void rate_cells(dxi_table_t *table, const dxi_bench_row_t *row)
{
    const dxi_bench_quartiles_t rate = dxi_bench_quartiles(row->rates, row->rounds);
    const dxi_bench_quartiles_t batch = dxi_bench_quartiles(row->average_batches, row->rounds);
    dxi_table_cell(table, "%s", label(&(dxi_text_t){0}, row));
    dxi_table_cell(table, "%s", dx_wait_kind_name(row->params.wait));
    dxi_table_cell(table, "%u", row->params.batch);
    dxi_table_cell(table, "%u", row->params.event_bytes);
    dxi_table_cell(table, "%.1f", rate.median / 1e6);
    dxi_table_cell(table, "%.1f", rate.q1 / 1e6);
    dxi_table_cell(table, "%.1f", rate.q3 / 1e6);
    dxi_table_cell(table, "%.0f", rate.spread_percent);
    dxi_table_cell(table, "%.2f", 1e9 / rate.median);
    dxi_table_cell(table, "%.1f", batch.median);
    dxi_table_cell(table, "%s", dxi_format_count(&(dxi_text_t){0}, (int64_t)row->last.events));
    dxi_table_cell(table, "%s", row->last.pinned ? "yes" : "no");
    dxi_table_cell(table, "%u/%u", row->disturbed, row->rounds);
}

static void latency_cells(dxi_table_t *table, const dxi_bench_row_t *row)
{
    dx_histogram_summary_t s;
    dx_histogram_summarize(row->latency, &s);
    const int64_t times[] = {s.p50, s.p90, s.p99, s.p999, s.p9999, s.max};
    const dxi_bench_quartiles_t medians = dxi_bench_quartiles(row->medians_ns, row->rounds);
    dxi_table_cell(table, "%s", label(&(dxi_text_t){0}, row));
    dxi_table_cell(table, "%s", dx_wait_kind_name(row->params.wait));
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        dxi_table_cell(table, "%s", dxi_format_ns(&(dxi_text_t){0}, times[i]));
    }
    dxi_table_cell(table, "%s", dxi_format_ns(&(dxi_text_t){0}, (int64_t)s.mean));
    dxi_table_cell(table, "%s - %s", dxi_format_ns(&(dxi_text_t){0}, (int64_t)medians.q1),
                   dxi_format_ns(&(dxi_text_t){0}, (int64_t)medians.q3));
    dxi_table_cell(table, "%s", dxi_format_count(&(dxi_text_t){0}, s.count));
    dxi_table_cell(table, "%s",
                   row->params.pace_ns == 0 ? "none"
                                            : dxi_format_ns(&(dxi_text_t){0}, row->params.pace_ns));
    dxi_table_cell(table, "%u/%u", row->disturbed, row->rounds);
}

static void idle_cells(dxi_table_t *table, const dxi_bench_row_t *row)
{
    const dxi_bench_quartiles_t cpu = dxi_bench_quartiles(row->cpu_percents, row->rounds);
    dxi_table_cell(table, "%s", label(&(dxi_text_t){0}, row));
    dxi_table_cell(table, "%s", dx_wait_kind_name(row->params.wait));
    dxi_table_cell(table, "%.3f", cpu.median);
    dxi_table_cell(table, "%.3f", cpu.q1);
    dxi_table_cell(table, "%.3f", cpu.q3);
    dxi_table_cell(table, "%.1f", (double)row->params.events / 1e3);
}

/* A figure of a row: a rate in millions a second, a time, or a share of a core. */
static const char *figure(dxi_text_t *text, const dxi_bench_row_t *row, double value)
{
    switch (row->scenario->kind) {
    case DXI_BENCH_LATENCY:
        return dxi_format_ns(text, (int64_t)value);
    case DXI_BENCH_IDLE:
        (void)snprintf(text->bytes, sizeof text->bytes, "%.3f %%", value);
        return text->bytes;
    case DXI_BENCH_THROUGHPUT:
    default:
        (void)snprintf(text->bytes, sizeof text->bytes, "%.1f M/s", value / 1e6);
        return text->bytes;
    }
}

static double row_median(const dxi_bench_row_t *row)
{
    double values[DXI_BENCH_ROUNDS_MAX];
    for (uint32_t i = 0; i < row->rounds; i++) {
        values[i] = dxi_bench_row_value(row, i);
    }
    return dxi_bench_quartiles(values, row->rounds).median;
}

/* True when the row is as good as its base, but for a twentieth. */
static bool is_close(const dxi_bench_row_t *row, double ratio)
{
    const bool more_is_better = row->scenario->kind == DXI_BENCH_THROUGHPUT;
    return more_is_better ? ratio >= DXI_BENCH_CLOSE : ratio <= 1 / DXI_BENCH_CLOSE;
}

static void ratio_cells(dxi_table_t *table, const dxi_bench_row_t *row)
{
    const dxi_bench_quartiles_t ratio = dxi_bench_row_ratio(row);
    dxi_table_cell(table, "%s", label(&(dxi_text_t){0}, row));
    dxi_table_cell(table, "%s", dx_wait_kind_name(row->params.wait));
    dxi_table_cell(table, "%u", row->params.batch);
    dxi_table_cell(table, "%u", row->params.event_bytes);
    dxi_table_cell(table, "%s",
                   row->base->params.shared ? label(&(dxi_text_t){0}, row->base) : "one process");
    dxi_table_cell(table, "%s", figure(&(dxi_text_t){0}, row, row_median(row->base)));
    dxi_table_cell(table, "%s", figure(&(dxi_text_t){0}, row, row_median(row)));
    dxi_table_cell(table, "%.3f", ratio.median);
    dxi_table_cell(table, "%.3f", ratio.q1);
    dxi_table_cell(table, "%.3f", ratio.q3);
    dxi_table_cell(table, "%s", is_close(row, ratio.median) ? "yes" : "no");
}

typedef struct section {
    dxi_bench_kind_t kind;
    bool compares; /* rows with their bases, of any kind */
    const char *title;
    const dxi_column_t *columns;
    size_t column_count;
    void (*cells)(dxi_table_t *table, const dxi_bench_row_t *row);
} section_t;

#define COLUMNS(list) (list), sizeof(list) / sizeof(list)[0]
static const section_t SECTIONS[] = {
    {DXI_BENCH_THROUGHPUT, false, "Throughput, million events a second", COLUMNS(RATE_COLUMNS),
     rate_cells},
    {DXI_BENCH_LATENCY, false, "Latency, all rounds together", COLUMNS(LATENCY_COLUMNS),
     latency_cells},
    {DXI_BENCH_IDLE, false, "Waiting for nothing", COLUMNS(IDLE_COLUMNS), idle_cells},
    {DXI_BENCH_THROUGHPUT, true, "Compared, round by round", COLUMNS(RATIO_COLUMNS), ratio_cells},
};

static bool is_in(const section_t *section, const dxi_bench_row_t *row)
{
    if (section->compares) {
        return is_measured(row) && row->base != NULL;
    }
    return is_measured(row) && row->scenario->kind == section->kind;
}

static int section_print(const dxi_bench_plan_t *plan, const section_t *section)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < plan->row_count; i++) {
        count += is_in(section, &plan->rows[i]);
    }
    if (count == 0) {
        return DX_OK;
    }
    dxi_table_t *table = NULL;
    dx_error_t error = {0};
    const int result = dxi_table_create(section->columns, section->column_count, &table, &error);
    if (result != DX_OK) {
        dxi_complain_error("dx bench ring", &error);
        return result;
    }
    for (uint32_t i = 0; i < plan->row_count; i++) {
        if (is_in(section, &plan->rows[i])) {
            section->cells(table, &plan->rows[i]);
        }
    }
    heading(section->title);
    dxi_table_print(table, stdout, 0, dxi_output_width(stdout));
    dxi_table_destroy(table);
    return DX_OK;
}

static void missing_print(const dxi_bench_plan_t *plan)
{
    bool any = false;
    for (uint32_t i = 0; i < plan->row_count; i++) {
        const dxi_bench_row_t *const row = &plan->rows[i];
        if (row->reason[0] != '\0') {
            if (!any) {
                heading("Not measured");
                any = true;
            }
            printf("%-18s %s\n", label(&(dxi_text_t){0}, row), row->reason);
        }
    }
    if (any) {
        puts("With --oversubscribe they run all the same, not pinned: that says how threads share\n"
             "cores, and nothing about the ring at its best.");
    }
}

static int tables_print(const dxi_bench_plan_t *plan)
{
    dxi_bench_machine_print(&plan->machine);
    printf(
        "method    %u rounds, rows interleaved, about %.2f s a run after a warm-up; medians and\n"
        "          quartiles; every sum verified; one reading of the clock costs %.0f ns\n",
        plan->rounds, (double)plan->run_ns / 1e9, plan->timer_ns);
    int result = DX_OK;
    for (size_t i = 0; i < sizeof SECTIONS / sizeof SECTIONS[0] && result == DX_OK; i++) {
        result = section_print(plan, &SECTIONS[i]);
    }
    missing_print(plan);
    return result == DX_OK ? DXI_EXIT_OK : DXI_EXIT_FAILED;
}

/* JSON ----------------------------------------------------------------------------------------- */

static const char *kind_name(dxi_bench_kind_t kind)
{
    switch (kind) {
    case DXI_BENCH_LATENCY:
        return "latency";
    case DXI_BENCH_IDLE:
        return "idle";
    case DXI_BENCH_THROUGHPUT:
    default:
        return "throughput";
    }
}

static void latency_json(const dxi_bench_row_t *row, dxi_json_t *json)
{
    dx_histogram_summary_t s;
    dx_histogram_summarize(row->latency, &s);
    const dxi_bench_quartiles_t medians = dxi_bench_quartiles(row->medians_ns, row->rounds);
    dxi_json_object_begin(json, "latency_ns");
    dxi_json_integer(json, "samples", s.count);
    dxi_json_integer(json, "min", s.min);
    dxi_json_integer(json, "p50", s.p50);
    dxi_json_integer(json, "p90", s.p90);
    dxi_json_integer(json, "p99", s.p99);
    dxi_json_integer(json, "p99.9", s.p999);
    dxi_json_integer(json, "p99.99", s.p9999);
    dxi_json_integer(json, "max", s.max);
    dxi_json_real(json, "mean", s.mean);
    dxi_bench_quartiles_json(json, "p50_of_rounds", &medians);
    dxi_json_object_end(json);
}

static void measured_json(const dxi_bench_row_t *row, dxi_json_t *json)
{
    const dxi_bench_quartiles_t rate = dxi_bench_quartiles(row->rates, row->rounds);
    const dxi_bench_quartiles_t batch = dxi_bench_quartiles(row->average_batches, row->rounds);
    const dxi_bench_quartiles_t cpu = dxi_bench_quartiles(row->cpu_percents, row->rounds);
    dxi_json_boolean(json, "verified", true);
    dxi_json_boolean(json, "pinned", row->last.pinned);
    dxi_json_integer(json, "rounds", row->rounds);
    dxi_json_integer(json, "disturbed_rounds", row->disturbed);
    dxi_json_integer(json, "events", (int64_t)row->last.events);
    if (row->base != NULL) {
        const dxi_bench_quartiles_t ratio = dxi_bench_row_ratio(row);
        dxi_bench_quartiles_json(json, row->base->params.shared ? "by_the_first" : "by_one_process",
                                 &ratio);
        dxi_json_boolean(json, "within_5_percent", is_close(row, ratio.median));
    }
    switch (row->scenario->kind) {
    case DXI_BENCH_LATENCY:
        latency_json(row, json);
        break;
    case DXI_BENCH_IDLE:
        dxi_bench_quartiles_json(json, "cpu_percent", &cpu);
        dxi_json_real(json, "seconds", (double)row->params.events / 1e3);
        break;
    case DXI_BENCH_THROUGHPUT:
    default:
        dxi_bench_quartiles_json(json, "events_per_second", &rate);
        dxi_json_real(json, "ns_per_event", 1e9 / rate.median);
        if (batch.median > 0) {
            dxi_bench_quartiles_json(json, "average_batch", &batch);
        }
        break;
    }
}

static void row_json(const dxi_bench_row_t *row, dxi_json_t *json)
{
    const dxi_bench_params_t *const p = &row->params;
    const uint32_t threads = dxi_bench_thread_count(row->scenario, p);
    const uint32_t producers =
        row->scenario->producers != 0 ? row->scenario->producers : p->producers;
    dxi_json_object_begin(json, NULL);
    dxi_json_text(json, "scenario", row->scenario->name);
    dxi_json_text(json, "title", row->scenario->title);
    dxi_json_text(json, "kind", kind_name(row->scenario->kind));
    dxi_json_text(json, "wait", dx_wait_kind_name(p->wait));
    dxi_json_text(json, "handler", p->per_event ? "event" : "batch");
    dxi_json_integer(json, "batch", p->batch);
    dxi_json_integer(json, "event_bytes", p->event_bytes);
    dxi_json_integer(json, "capacity", p->capacity);
    dxi_json_integer(json, "pace_ns", p->pace_ns);
    dxi_json_integer(json, "producers", producers);
    dxi_json_integer(json, "consumers", threads - producers);
    dxi_json_boolean(json, "shared", p->shared);
    if (p->shared) {
        dxi_json_integer(json, "attached", p->attached);
    }
    if (is_measured(row)) {
        measured_json(row, json);
    } else {
        dxi_json_text(json, "not_measured", row->reason);
    }
    dxi_json_object_end(json);
}

static int json_print(const dxi_bench_plan_t *plan)
{
    dxi_json_t json;
    dxi_json_begin(&json, stdout);
    dxi_json_object_begin(&json, NULL);
    dxi_json_text(&json, "bench", "ring");
    dxi_json_text(&json, "version", DX_VERSION_STRING);
    dxi_bench_machine_json(&plan->machine, &json);
    dxi_json_real(&json, "timer_ns", plan->timer_ns);
    dxi_json_array_begin(&json, "rows");
    for (uint32_t i = 0; i < plan->row_count; i++) {
        row_json(&plan->rows[i], &json);
    }
    dxi_json_array_end(&json);
    dxi_json_object_end(&json);
    return dxi_json_finish(&json) == DX_OK ? DXI_EXIT_OK : DXI_EXIT_FAILED;
}

int dxi_bench_report(const dxi_bench_plan_t *plan)
{
    return dxi_output_is_json() ? json_print(plan) : tables_print(plan);
}
