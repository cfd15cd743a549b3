/* demo_orders.c - `dx demo orders`: reads the orders, runs the pipeline, reports.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/format.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/orders_pipeline.h"
#include "cli/orders_report.h"
#include "cli/output.h"
#include "cli/sample.h"

#define COMMAND "dx demo orders"

#define CAPACITY_DEFAULT 1024
#define SAMPLE_REPEAT_DEFAULT 200 /* makes the sample last about a second */

typedef struct settings {
    const char *orders; /* NULL: the sample */
    int64_t repeat;     /* 0: not given */
    int64_t capacity;
    int64_t batch;
    int64_t rate;
    dx_wait_kind_t wait;
    dx_cpu_set_t cpus;
    bool strict;
    bool check;
    bool progress;
} settings_t;

static int wait_parse(const char *text, void *member_out, dx_error_t *error)
{
    return dx_wait_kind_parse(text, member_out, error);
}

static int cpus_parse(const char *text, void *member_out, dx_error_t *error)
{
    dx_cpu_set_t *const cpus = member_out;
    const int result = dx_cpu_set_parse(text, cpus, error);
    if (result == DX_OK && dx_cpu_set_count(cpus) == 0) {
        return dxi_fail(error, DX_EINVAL, "the list is empty, must be one such as 0,2-5");
    }
    return result;
}

static const dxi_option_t OPTIONS[] = {
    {.name = "orders",
     .kind = DXI_OPTION_TEXT,
     .value_name = "FILE",
     .offset = offsetof(settings_t, orders),
     .help = "orders to send, - for standard input; without it the sample that comes with the "
             "program"},
    {.name = "repeat",
     .kind = DXI_OPTION_INTEGER,
     .value_name = "N",
     .offset = offsetof(settings_t, repeat),
     .low = 1,
     .high = DXI_PIPELINE_REPEAT_MAX,
     .help = "send them N times, with other order ids each time; default 1, for the sample 200"},
    {.name = "capacity",
     .kind = DXI_OPTION_POWER,
     .value_name = "N",
     .offset = offsetof(settings_t, capacity),
     .low = DX_RING_SLOT_COUNT_MIN,
     .high = DXI_PIPELINE_CAPACITY_MAX,
     .help = "slots of the ring, a power of two; default 1024"},
    {.name = "batch",
     .kind = DXI_OPTION_INTEGER,
     .value_name = "N",
     .offset = offsetof(settings_t, batch),
     .low = 1,
     .high = DXI_PIPELINE_CAPACITY_MAX,
     .help = "orders claimed and published at a time; default 1"},
    {.name = "rate",
     .kind = DXI_OPTION_INTEGER,
     .value_name = "N",
     .offset = offsetof(settings_t, rate),
     .low = 0,
     .high = DXI_PIPELINE_RATE_MAX,
     .help = "orders per second (50000, 50k), each at its own time; latency then counts from when "
             "an order was due; default 0: as fast as it goes"},
    {.name = "wait",
     .kind = DXI_OPTION_CUSTOM,
     .value_name = "STRATEGY",
     .offset = offsetof(settings_t, wait),
     .parse = wait_parse,
     .help = "how every thread waits: adaptive (default), busy-spin, yielding, sleeping, blocking, "
             "lite-blocking, timeout-blocking, lite-timeout-blocking, phased-backoff, monitor"},
    {.name = "cpus",
     .kind = DXI_OPTION_CUSTOM,
     .value_name = "LIST",
     .offset = offsetof(settings_t, cpus),
     .parse = cpus_parse,
     .help = "CPUs for publisher, validate, inventory, payment, fulfil, in rising order and "
             "round-robin: 2-6"},
    {.name = "strict",
     .kind = DXI_OPTION_FLAG,
     .offset = offsetof(settings_t, strict),
     .help = "fail at the first bad line instead of passing over it"},
    {.name = "check",
     .kind = DXI_OPTION_FLAG,
     .offset = offsetof(settings_t, check),
     .help = "compute the result a second time without a ring, and fail when it differs"},
    {.name = "progress",
     .kind = DXI_OPTION_FLAG,
     .offset = offsetof(settings_t, progress),
     .help = "show the progress also where standard error is no terminal"},
};

static const dxi_usage_t USAGE = {
    .command = COMMAND,
    .description =
        "Sends orders through a graph of four handlers on one ring:\n"
        "\n"
        "                     +-> check inventory --+\n"
        "  ring -> validate --|                     |--> fulfil\n"
        "                     +-> verify payment ---+\n"
        "\n"
        "validate refuses what is no submission, breaks a limit or repeats one of the last\n"
        "65,536 order ids. inventory has 20,000 shares: buys take, sells bring. payment\n"
        "gives each of 64 accounts (order id mod 64) a credit of 250,000 dollars. fulfil\n"
        "counts. The totals and the checksum are the same in every run, whatever the\n"
        "strategy, the capacity and the speed.\n"
        "\n"
        "Input is CSV in the LOBSTER form, a price being dollars x 10,000:\n"
        "\n"
        "  time,type,order id,size,price,direction\n"
        "  34200.017459617,1,5213454,100,5859400,-1\n"
        "\n"
        "Ctrl-C stops the publisher, lets the ring run empty and prints the result.\n",
    .options = OPTIONS,
    .option_count = sizeof OPTIONS / sizeof OPTIONS[0],
    .examples = "  dx demo orders\n"
                "  dx demo orders --rate 50k --wait busy-spin --cpus 2-6\n"
                "  dx demo orders --orders orders.csv --check --strict\n"
                "  zcat orders.csv.gz | dx demo orders --orders - -o json\n",
};

/* --------------------------------------------------------------------------------- interrupts */

/* Set to 1 by the first SIGINT or SIGTERM; the second one has its usual effect. */
static dx_atomic32_t stop;

static void on_signal(int number)
{
    (void)number;
    /* RELAXED: the flag carries nothing else. A lock-free store is allowed in a handler. */
    dx_store32_relaxed(&stop, 1);
}

/* Without SA_RESTART, so that a read from a terminal or a pipe ends, too. */
static void signals_catch(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = (int)SA_RESETHAND;
    sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

/* --------------------------------------------------------------------------------------- run */

static bool totals_equal(const dxi_fulfilment_t *a, const dxi_fulfilment_t *b)
{
    return memcmp(a, b, sizeof *a) == 0; /* 64-bit words only: no padding */
}

static int check(const dxi_orders_report_t *report, dxi_check_t *check_out, dx_error_t *error)
{
    dxi_fulfilment_t reference;
    const int result =
        dxi_pipeline_reference(report->orders, report->result->published, &reference, error);
    if (result == DX_OK) {
        *check_out = totals_equal(&reference, &report->result->totals) ? DXI_CHECK_SAME
                                                                       : DXI_CHECK_DIFFERENT;
    }
    return result;
}

/* Runs the pipeline over what was read, and reports. Returns an exit code. */
static int orders_run(const settings_t *settings, const char *source,
                      const dxi_csv_orders_t *orders)
{
    const bool progress = settings->progress || isatty(STDERR_FILENO);
    const dxi_pipeline_options_t options = {
        .orders = orders,
        .repeat = settings->repeat,
        .capacity = settings->capacity,
        .batch = settings->batch,
        .rate = settings->rate,
        .wait = settings->wait,
        .cpus = settings->cpus,
        .stop = &stop,
        .progress = progress ? dxi_orders_report_progress : NULL,
    };
    dx_error_t error = {0};
    int64_t total = 0;
    if (dxi_pipeline_total(orders, settings->repeat, &total, &error) != DX_OK) {
        return dxi_usage_error(&USAGE, &error);
    }
    dxi_pipeline_result_t result;
    int code = dxi_pipeline_run(&options, &result, &error);
    if (progress) {
        dxi_orders_report_progress_end();
    }
    dxi_orders_report_t report = {
        .source = source, .orders = orders, .options = &options, .result = &result};
    if (code == DX_OK && settings->check) {
        code = check(&report, &report.check, &error);
    }
    if (code == DX_OK) {
        code = dxi_orders_report(&report, &error);
    }
    if (code != DX_OK) {
        dxi_complain_error(COMMAND, &error);
        return DXI_EXIT_FAILED;
    }
    if (report.check == DXI_CHECK_DIFFERENT) {
        dxi_complain(COMMAND, "the result differs from the sequential computation");
        return DXI_EXIT_FAILED;
    }
    return DXI_EXIT_OK;
}

/* Reads the orders and runs. Returns an exit code. */
static int orders_load_and_run(const settings_t *settings, const char *path)
{
    const dxi_csv_options_t options = {.path = path, .strict = settings->strict, .stop = &stop};
    const char *const source = strcmp(path, "-") == 0 ? "standard input" : path;
    dxi_csv_orders_t orders;
    dx_error_t error = {0};
    int exit_code = DXI_EXIT_FAILED;
    if (dxi_csv_load(&options, &orders, &error) == DX_OK) {
        dxi_orders_report_bad_lines(source, &orders);
        exit_code = orders_run(settings, source, &orders);
    } else {
        dxi_complain_error(COMMAND, &error);
    }
    dxi_csv_free(&orders);
    return exit_code;
}

int dxi_demo_orders(int argc, char **argv)
{
    settings_t settings = {.capacity = CAPACITY_DEFAULT, .batch = 1};
    dxi_operands_t operands;
    dx_error_t error = {0};
    const int begun = dxi_arguments_begin(&USAGE, argc, argv, &settings, &operands);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    if (settings.batch > settings.capacity) {
        dxi_fail(&error, DX_EINVAL, "--batch is %lld, must be at most the capacity, %lld",
                 (long long)settings.batch, (long long)settings.capacity);
        return dxi_usage_error(&USAGE, &error);
    }
    if (settings.repeat == 0) {
        settings.repeat = settings.orders == NULL ? SAMPLE_REPEAT_DEFAULT : 1;
    }
    char sample[PATH_MAX];
    if (settings.orders == NULL) {
        if (dxi_sample_find("orders.csv", sample, sizeof sample, &error) != DX_OK) {
            dxi_complain_error(COMMAND, &error);
            return DXI_EXIT_FAILED;
        }
    }
    signals_catch();
    return orders_load_and_run(&settings, settings.orders != NULL ? settings.orders : sample);
}
