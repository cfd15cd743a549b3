/* cli/bench_plan.c - from options to rows, and through all rounds.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/bench_plan.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "disruptorx/clock.h"

#define ROUNDS_DEFAULT 5
#define ROUNDS_QUICK 3
#define RUN_NS_DEFAULT (DX_NS_PER_S / 2)
#define RUN_NS_QUICK (DX_NS_PER_S / 10)
#define IDLE_RUNS 4 /* the idle scenario takes so many times as long as the others */

/* Calibration: grow until a run is long enough to tell the rate. */
#define CALIBRATION_SECONDS 0.02
#define CALIBRATION_EVENTS 20000
#define CALIBRATION_LATENCY_EVENTS 100
#define CALIBRATION_GROWTH 4
#define CALIBRATION_PROBES 3
#define WARMUP_SHARE 10

#define ATTEMPTS_MORE 2 /* of a run that others disturbed */

/* Rows ----------------------------------------------------------------------------------------- */

static void row_params(const dxi_bench_settings_t *settings, const dxi_bench_plan_t *plan,
                       dxi_bench_row_t *row)
{
    dxi_bench_params_t *const p = &row->params;
    dxi_bench_params_default(row->scenario, p);
    p->cpus = settings->cpus.cpus;
    p->cpu_count = settings->cpus.count;
    p->producers = 2 * settings->cpus.count;
    if (p->producers > DXI_BENCH_CONSUMERS_MAX) {
        p->producers = DXI_BENCH_CONSUMERS_MAX;
    }
    p->per_event = settings->handler == 1;
    p->follow_slots = (int32_t)settings->follow;
    if (settings->capacity != 0) {
        p->capacity = (uint32_t)settings->capacity;
    }
    if (settings->pace_ns >= 0 && row->scenario->any_pace) {
        p->pace_ns = settings->pace_ns;
    }
    if (row->scenario->kind == DXI_BENCH_IDLE) {
        p->events = (uint64_t)(IDLE_RUNS * plan->run_ns / DX_NS_PER_MS) + 1;
    } else if (settings->events != 0) {
        p->events = (uint64_t)settings->events;
        p->warmup = p->events / WARMUP_SHARE;
    }
}

/* Says what keeps a row from being measured, and what a crowded run needs. */
static void row_place(const dxi_bench_settings_t *settings, dxi_bench_row_t *row)
{
    const uint32_t threads = dxi_bench_thread_count(row->scenario, &row->params);
    if (row->scenario->crowded || threads <= settings->cpus.count) {
        return;
    }
    if (!settings->oversubscribe) {
        (void)snprintf(row->reason, sizeof row->reason, "needs %u cores, has %u", threads,
                       settings->cpus.count);
    } else if (settings->waits.count == 0 && row->params.wait == DX_WAIT_BUSY_SPIN) {
        row->params.wait = DX_WAIT_ADAPTIVE;
    }
}

/* Adds a row; a value of 0 (for wait: DX_WAIT_KIND_COUNT) stands for the scenario's own. */
static int row_add(const dxi_bench_settings_t *settings, dxi_bench_plan_t *plan,
                   const dxi_bench_scenario_t *scenario, uint32_t batch, uint32_t event_bytes,
                   uint32_t wait, dx_error_t *error)
{
    if (plan->row_count == DXI_BENCH_ROWS_MAX) {
        return dxi_fail(error, DX_ELIMIT, "more than %u rows: list fewer values",
                        DXI_BENCH_ROWS_MAX);
    }
    dxi_bench_row_t *const row = &plan->rows[plan->row_count];
    row->scenario = scenario;
    row_params(settings, plan, row);
    row->params.batch = batch != 0 ? batch : row->params.batch;
    row->params.event_bytes = event_bytes != 0 ? event_bytes : row->params.event_bytes;
    row->params.wait = wait != DX_WAIT_KIND_COUNT ? (dx_wait_kind_t)wait : row->params.wait;
    row_place(settings, row);
    int result = dxi_bench_params_check(scenario, &row->params, error);
    if (result == DX_OK && scenario->kind == DXI_BENCH_LATENCY) {
        result = dx_histogram_create(&row->latency, error);
    }
    plan->row_count++;
    return result;
}

/* The same row once more, between processes. */
static int row_add_far(dxi_bench_plan_t *plan, dx_error_t *error)
{
    if (plan->row_count == DXI_BENCH_ROWS_MAX) {
        return dxi_fail(error, DX_ELIMIT, "more than %u rows: list fewer values",
                        DXI_BENCH_ROWS_MAX);
    }
    dxi_bench_row_t *const row = &plan->rows[plan->row_count];
    *row = row[-1];
    row->base = row - 1;
    row->latency = NULL;
    row->params.shared = true;
    const int result = dxi_bench_params_check(row->scenario, &row->params, error);
    if (result == DX_OK) {
        plan->row_count++;
    }
    return result == DX_OK && row->scenario->kind == DXI_BENCH_LATENCY
               ? dx_histogram_create(&row->latency, error)
               : result;
}

/* The same row with other numbers of attached processes, each to be compared with the first. */
static int rows_of_attached(const dxi_bench_settings_t *settings, dxi_bench_plan_t *plan,
                            dx_error_t *error)
{
    static const dxi_bench_list_t usual = {.count = 4, .values = {0, 2, 8, 32}};
    const dxi_bench_list_t *const list =
        settings->attached.count != 0 ? &settings->attached : &usual;
    dxi_bench_row_t *const first = &plan->rows[plan->row_count - 1];
    first->params.attached = list->values[0];
    for (uint32_t i = 1; i < list->count; i++) {
        const int result = row_add_far(plan, error);
        if (result != DX_OK) {
            return result;
        }
        dxi_bench_row_t *const row = &plan->rows[plan->row_count - 1];
        row->base = first;
        row->params.attached = list->values[i];
    }
    return DX_OK;
}

/* What a scenario takes from a list: nothing from one that does not vary in it, unless the user
 * named the scenario; then the check of the row says why not. */
static uint32_t list_length(const dxi_bench_list_t *list, bool varies, bool named)
{
    return list->count != 0 && (varies || named) ? list->count : 1;
}

static uint32_t list_value(const dxi_bench_list_t *list, bool varies, bool named, uint32_t index,
                           uint32_t none)
{
    return list->count != 0 && (varies || named) ? list->values[index] : none;
}

static int rows_of_scenario(const dxi_bench_settings_t *settings, dxi_bench_plan_t *plan,
                            const dxi_bench_scenario_t *s, dx_error_t *error)
{
    const bool named = settings->scenarios.count != 0;
    const uint32_t batches = list_length(&settings->batches, s->any_batch, named);
    const uint32_t sizes = list_length(&settings->event_bytes, s->any_size, named);
    const uint32_t waits = list_length(&settings->waits, s->any_wait, named);
    int result = DX_OK;
    for (uint32_t i = 0; i < batches * sizes * waits && result == DX_OK; i++) {
        result = row_add(
            settings, plan, s,
            list_value(&settings->batches, s->any_batch, named, i / sizes / waits, 0),
            list_value(&settings->event_bytes, s->any_size, named, i / waits % sizes, 0),
            list_value(&settings->waits, s->any_wait, named, i % waits, DX_WAIT_KIND_COUNT), error);
        if (result == DX_OK && s->any_attached && (named || settings->attached.count != 0)) {
            result = rows_of_attached(settings, plan, error);
        } else if (result == DX_OK && settings->shared && !s->any_attached) {
            result = row_add_far(plan, error);
        }
    }
    return result;
}

/* Variations of the first scenario that show what batches, sizes and wait strategies do. */
static int rows_of_variations(const dxi_bench_settings_t *settings, dxi_bench_plan_t *plan,
                              dx_error_t *error)
{
    static const struct {
        uint32_t batch;
        uint32_t event_bytes;
    } shapes[] = {{64, 8}, {1, 64}, {10, 64}, {64, 64}, {1, 256}, {10, 256}, {64, 256}};
    const dxi_bench_scenario_t *const first = &dxi_bench_scenarios[0];
    int result = DX_OK;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0] && result == DX_OK; i++) {
        result = row_add(settings, plan, first, shapes[i].batch, shapes[i].event_bytes,
                         DX_WAIT_KIND_COUNT, error);
    }
    for (uint32_t wait = 0; wait < DX_WAIT_KIND_COUNT && result == DX_OK; wait++) {
        if (wait != (uint32_t)first->wait) {
            result = row_add(settings, plan, first, 0, 0, wait, error);
        }
    }
    if (result == DX_OK) {
        result =
            row_add(settings, plan, dxi_bench_scenario_find("idle"), 0, 0, DX_WAIT_ADAPTIVE, error);
    }
    return result;
}

/* What --shared measures when no scenario is named: all that differs between processes. */
static int rows_of_shared(const dxi_bench_settings_t *settings, dxi_bench_plan_t *plan,
                          dx_error_t *error)
{
    static const struct {
        const char *scenario;
        uint32_t batch;
        uint32_t event_bytes;
    } rows[] = {{"1p1c", 1, 8},    {"1p1c", 64, 8},    {"1p1c", 1, 64},      {"1p1c", 64, 64},
                {"1p1c", 64, 256}, {"raw", 1, 8},      {"1p1c-multi", 1, 8}, {"1p1c-multi", 64, 8},
                {"2p1c", 1, 8},    {"pingpong", 1, 8}, {"one-way", 1, 8},    {"wakeup", 1, 8},
                {"futex", 1, 8}};
    int result = DX_OK;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0] && result == DX_OK; i++) {
        result = row_add(settings, plan, dxi_bench_scenario_find(rows[i].scenario), rows[i].batch,
                         rows[i].event_bytes, DX_WAIT_KIND_COUNT, error);
        if (result == DX_OK) {
            result = row_add_far(plan, error);
        }
    }
    return result;
}

static int rows_make(const dxi_bench_settings_t *settings, dxi_bench_plan_t *plan,
                     dx_error_t *error)
{
    const bool named = settings->scenarios.count != 0;
    const uint32_t count = named ? settings->scenarios.count : (uint32_t)dxi_bench_scenario_count;
    int result = DX_OK;
    if (settings->shared && !named) {
        return rows_of_shared(settings, plan, error);
    }
    for (uint32_t i = 0; i < count && result == DX_OK; i++) {
        const uint32_t index = named ? settings->scenarios.values[i] : i;
        if (named || dxi_bench_scenarios[index].apart == settings->spans) {
            result = rows_of_scenario(settings, plan, &dxi_bench_scenarios[index], error);
        }
    }
    const bool plain = !named && !settings->spans && settings->batches.count == 0 &&
                       settings->event_bytes.count == 0 && settings->waits.count == 0;
    return result == DX_OK && plain ? rows_of_variations(settings, plan, error) : result;
}

int dxi_bench_plan_create(const dxi_bench_settings_t *settings, dxi_bench_plan_t **plan_out,
                          dx_error_t *error)
{
    *plan_out = NULL;
    dxi_bench_plan_t *const plan = dxi_alloc_zeroed(1, sizeof *plan);
    if (plan == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for the plan");
    }
    plan->rounds = settings->rounds != 0 ? (uint32_t)settings->rounds
                   : settings->quick     ? ROUNDS_QUICK
                                         : ROUNDS_DEFAULT;
    plan->run_ns = settings->run_ns != 0 ? settings->run_ns
                   : settings->quick     ? RUN_NS_QUICK
                                         : RUN_NS_DEFAULT;
    const int result = rows_make(settings, plan, error);
    if (result != DX_OK) {
        dxi_bench_plan_destroy(plan);
        return result;
    }
    *plan_out = plan;
    return DX_OK;
}

void dxi_bench_plan_destroy(dxi_bench_plan_t *plan)
{
    if (plan == NULL) {
        return;
    }
    for (uint32_t i = 0; i < plan->row_count; i++) {
        dx_histogram_destroy(plan->rows[i].latency);
    }
    dxi_free(plan);
}

/* Rounds --------------------------------------------------------------------------------------- */

/* Runs the probe, and raises `*rate` to its rate. */
static int probe_run(const dxi_bench_row_t *row, const dxi_bench_params_t *probe,
                     dx_histogram_t *scratch, double *seconds_out, double *rate, dx_error_t *error)
{
    dxi_bench_result_t result = {0};
    const int code = dxi_bench_run(row->scenario, probe, scratch, &result, error);
    if (code == DX_OK) {
        const double now = (double)result.events / result.seconds;
        *rate = now > *rate ? now : *rate;
        *seconds_out = result.seconds;
    }
    return code;
}

/* Sets the number of events so that a run takes about the time wanted. The best of several probes
 * counts here, and only here: a probe that others disturbed would make all runs too short. */
static int row_calibrate(const dxi_bench_plan_t *plan, dxi_bench_row_t *row,
                         dx_histogram_t *scratch, dx_error_t *error)
{
    dxi_bench_params_t probe = row->params;
    probe.warmup = 0;
    probe.events =
        row->scenario->kind == DXI_BENCH_LATENCY ? CALIBRATION_LATENCY_EVENTS : CALIBRATION_EVENTS;
    double rate = 0;
    for (uint32_t long_enough = 0; long_enough < CALIBRATION_PROBES;) {
        double seconds = 0;
        const int code = probe_run(row, &probe, scratch, &seconds, &rate, error);
        if (code != DX_OK) {
            return code;
        }
        if (seconds >= CALIBRATION_SECONDS ||
            probe.events > DXI_BENCH_EVENTS_MAX / CALIBRATION_GROWTH) {
            long_enough++;
        } else {
            probe.events *= CALIBRATION_GROWTH;
        }
    }
    const double wanted = rate * (double)plan->run_ns / (double)DX_NS_PER_S;
    row->params.events = wanted < 1                              ? 1
                         : wanted > (double)DXI_BENCH_EVENTS_MAX ? DXI_BENCH_EVENTS_MAX
                                                                 : (uint64_t)wanted;
    row->params.warmup = row->params.events / WARMUP_SHARE;
    return DX_OK;
}

/* Runs once more while others use the machine, but not for ever: the last run counts, and says
 * so. */
static int row_run(dxi_bench_row_t *row, dx_histogram_t *scratch, dx_error_t *error)
{
    for (uint32_t attempt = 0;; attempt++) {
        dxi_bench_load_t load;
        dxi_bench_load_read(&load);
        const int code = dxi_bench_run(row->scenario, &row->params, scratch, &row->last, error);
        const bool quiet = dxi_bench_load_others(&load) <= DXI_BENCH_OTHERS_PERCENT;
        if (code != DX_OK || quiet || attempt == ATTEMPTS_MORE) {
            row->disturbed += !quiet;
            return code;
        }
    }
}

static int row_measure(dxi_bench_row_t *row, dx_histogram_t *scratch, dx_error_t *error)
{
    const int code = row_run(row, scratch, error);
    if (code != DX_OK) {
        return code;
    }
    const dxi_bench_result_t *const r = &row->last;
    row->rates[row->rounds] = (double)r->events / r->seconds;
    row->average_batches[row->rounds] =
        r->batches != 0 ? (double)r->handled / (double)r->batches : 0;
    row->cpu_percents[row->rounds] = r->cpu_percent;
    if (row->latency != NULL) {
        row->medians_ns[row->rounds] = (double)dx_histogram_value_at(scratch, 50);
        dx_histogram_add(row->latency, scratch);
    }
    row->rounds++;
    return DX_OK;
}

double dxi_bench_row_value(const dxi_bench_row_t *row, uint32_t round)
{
    return row->latency != NULL                    ? row->medians_ns[round]
           : row->scenario->kind == DXI_BENCH_IDLE ? row->cpu_percents[round]
                                                   : row->rates[round];
}

dxi_bench_quartiles_t dxi_bench_row_ratio(const dxi_bench_row_t *row)
{
    double ratios[DXI_BENCH_ROUNDS_MAX];
    for (uint32_t i = 0; i < row->rounds; i++) {
        const double base = dxi_bench_row_value(row->base, i);
        ratios[i] = base > 0 ? dxi_bench_row_value(row, i) / base : 0;
    }
    return dxi_bench_quartiles(ratios, row->rounds);
}

static void progress(const char *what, uint32_t now, uint32_t all)
{
    if (isatty(STDERR_FILENO)) {
        fprintf(stderr, "\r%s %u of %u ... ", what, now, all);
    }
}

static int rounds_run(const dxi_bench_settings_t *settings, dxi_bench_plan_t *plan,
                      dx_histogram_t *scratch, dx_error_t *error)
{
    int result = DX_OK;
    for (uint32_t i = 0; i < plan->row_count && settings->events == 0 && result == DX_OK; i++) {
        dxi_bench_row_t *const row = &plan->rows[i];
        progress("calibrating row", i + 1, plan->row_count);
        if (row->base != NULL) { /* the same work */
            row->params.events = row->base->params.events;
            row->params.warmup = row->base->params.warmup;
        } else if (row->reason[0] == '\0' && row->scenario->kind != DXI_BENCH_IDLE) {
            result = row_calibrate(plan, row, scratch, error);
        }
    }
    for (uint32_t round = 0; round < plan->rounds && result == DX_OK; round++) {
        progress("           round", round + 1, plan->rounds);
        for (uint32_t i = 0; i < plan->row_count && result == DX_OK; i++) {
            if (plan->rows[i].reason[0] == '\0') {
                result = row_measure(&plan->rows[i], scratch, error);
            }
        }
    }
    if (isatty(STDERR_FILENO)) {
        fputs("\r\033[K", stderr);
    }
    return result;
}

int dxi_bench_plan_run(const dxi_bench_settings_t *settings, dxi_bench_plan_t *plan,
                       dx_error_t *error)
{
    dxi_bench_machine_read(&settings->cpus, &plan->machine);
    plan->timer_ns = dxi_bench_timer_ns();
    dx_histogram_t *scratch = NULL;
    int result = dx_histogram_create(&scratch, error);
    if (result == DX_OK) {
        result = rounds_run(settings, plan, scratch, error);
    }
    dx_histogram_destroy(scratch);
    return result;
}
