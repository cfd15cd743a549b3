/* demo_orders.c - `dx demo orders`: reads the orders, runs them through a node (or, with --ring,
 * through one ring), reports.
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
#include "cli/orders_bus_report.h"
#include "cli/orders_pipeline.h"
#include "cli/orders_report.h"
#include "cli/output.h"
#include "cli/sample.h"

#define COMMAND "dx demo orders"

#define CAPACITY_DEFAULT 1024
#define WINDOW_DEFAULT 4096
#define RING_REPEAT_DEFAULT 200 /* makes the sample last about a second */
#define BUS_REPEAT_DEFAULT 100  /* two or three, through the bus */

typedef struct settings {
    const char *orders; /* NULL: the sample */
    int64_t repeat;     /* 0: not given */
    int64_t capacity;   /* 0: not given, as batch, window; -1: wait, transport */
    int64_t batch;
    int64_t rate;
    int64_t window;
    int32_t wait; /* a dx_wait_kind_t */
    int32_t transport;
    dx_cpu_set_t cpus;
    bool ring;
    bool strict;
    bool check;
    bool progress;
} settings_t;

static int wait_parse(const char *text, void *member_out, dx_error_t *error)
{
    dx_wait_kind_t kind = DX_WAIT_ADAPTIVE;
    const int result = dx_wait_kind_parse(text, &kind, error);
    *(int32_t *)member_out = (int32_t)kind;
    return result;
}

static const char *const TRANSPORTS[] = DXI_DEV_TRANSPORTS;

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
    {.name = "ring",
     .kind = DXI_OPTION_FLAG,
     .offset = offsetof(settings_t, ring),
     .help = "the same steps as handlers on one ring, without a node: the library alone"},
    {.name = "repeat",
     .kind = DXI_OPTION_INTEGER,
     .value_name = "N",
     .offset = offsetof(settings_t, repeat),
     .low = 1,
     .high = DXI_PIPELINE_REPEAT_MAX,
     .help = "send them N times, with other order ids each time; default 1, for the sample 40, "
             "with --ring 200"},
    {.name = "transport",
     .kind = DXI_OPTION_CHOICE,
     .value_name = "KIND",
     .choices = TRANSPORTS,
     .offset = offsetof(settings_t, transport),
     .help = "between the clients and the node: unix (default), tcp or shm"},
    {.name = "window",
     .kind = DXI_OPTION_INTEGER,
     .value_name = "N",
     .offset = offsetof(settings_t, window),
     .low = 1,
     .high = DXI_ORDERS_BUS_WINDOW_MAX,
     .help = "orders on their way at most; default 4096"},
    {.name = "capacity",
     .kind = DXI_OPTION_POWER,
     .value_name = "N",
     .offset = offsetof(settings_t, capacity),
     .low = DX_RING_SLOT_COUNT_MIN,
     .high = DXI_PIPELINE_CAPACITY_MAX,
     .help = "with --ring: its slots, a power of two; default 1024"},
    {.name = "batch",
     .kind = DXI_OPTION_INTEGER,
     .value_name = "N",
     .offset = offsetof(settings_t, batch),
     .low = 1,
     .high = DXI_PIPELINE_CAPACITY_MAX,
     .help = "with --ring: orders claimed and published at a time; default 1"},
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
     .help = "with --ring: how every thread waits: adaptive (default), busy-spin, yielding, "
             "sleeping, blocking, "
             "lite-blocking, timeout-blocking, lite-timeout-blocking, phased-backoff, monitor"},
    {.name = "cpus",
     .kind = DXI_OPTION_CUSTOM,
     .value_name = "LIST",
     .offset = offsetof(settings_t, cpus),
     .parse = cpus_parse,
     .help = "with --ring: CPUs for publisher, validate, inventory, payment, fulfil, in rising "
             "order and "
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
        "Sends orders through a node, whose clients are the four steps of a pipeline:\n"
        "\n"
        "                               +-> inventory --+\n"
        "  source ->  validate  ->      |               |  ->  fulfil\n"
        "                               +-> payment ----+\n"
        "         created    validated    reserved, paid     (topics: orders.created ...)\n"
        "\n"
        "The node runs in this process; each step has a connection to it, as programs on\n"
        "other machines would. With --ring the steps are handlers on one ring instead.\n"
        "\n"
        "validate refuses what is no submission, breaks a limit or repeats one of the\n"
        "last 65,536 order ids. inventory has 20,000 shares: buys take, sells bring.\n"
        "payment gives each of 64 accounts (order id mod 64) a credit of 250,000 dollars.\n"
        "fulfil counts. The totals and the checksum are the same in every run, whatever\n"
        "the way, the strategy and the speed.\n"
        "\n"
        "Input is CSV in the LOBSTER form, a price being dollars x 10,000:\n"
        "\n"
        "  time,type,order id,size,price,direction\n"
        "  34200.017459617,1,5213454,100,5859400,-1\n"
        "\n"
        "Ctrl-C stops the publisher, lets the rest be fulfilled and prints the result.\n",
    .options = OPTIONS,
    .option_count = sizeof OPTIONS / sizeof OPTIONS[0],
    .examples = "  dx demo orders\n"
                "  dx demo orders --rate 20k --transport tcp --check\n"
                "  dx demo orders --ring --rate 50k --wait busy-spin --cpus 2-6\n"
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

/* Runs the orders through a node, and reports. Returns an exit code. */
static int bus_run(const settings_t *settings, const char *source, const dxi_csv_orders_t *orders)
{
    const dxi_orders_bus_options_t options = {
        .orders = orders,
        .repeat = settings->repeat,
        .rate = settings->rate,
        .window = settings->window > 0 ? settings->window : WINDOW_DEFAULT,
        .transport =
            settings->transport > 0 ? (dxi_dev_transport_t)settings->transport : DXI_DEV_UNIX,
        .stop = &stop,
    };
    dx_error_t error = {0};
    int64_t total = 0;
    if (dxi_pipeline_total(orders, settings->repeat, &total, &error) != DX_OK) {
        return dxi_usage_error(&USAGE, &error);
    }
    dxi_orders_bus_result_t result;
    int code = dxi_orders_bus_watch(&options, settings->progress, &result, &error);
    dxi_check_t checked = DXI_CHECK_NONE;
    if (code == DX_OK && settings->check) {
        dxi_fulfilment_t reference;
        code = dxi_pipeline_reference(orders, result.published, &reference, &error);
        checked = totals_equal(&reference, &result.totals) ? DXI_CHECK_SAME : DXI_CHECK_DIFFERENT;
    }
    if (code == DX_OK) {
        code = dxi_orders_bus_report(source, &options, &result, checked, &error);
    }
    if (code != DX_OK) {
        dxi_complain_error(COMMAND, &error);
        return DXI_EXIT_FAILED;
    }
    if (checked == DXI_CHECK_DIFFERENT) {
        dxi_complain(COMMAND, "the result differs from the sequential computation");
        return DXI_EXIT_FAILED;
    }
    return DXI_EXIT_OK;
}

/* Runs the pipeline on one ring, and reports. Returns an exit code. */
static int ring_run(const settings_t *settings, const char *source, const dxi_csv_orders_t *orders)
{
    const bool progress = settings->progress || isatty(STDERR_FILENO);
    const dxi_pipeline_options_t options = {
        .orders = orders,
        .repeat = settings->repeat,
        .capacity = settings->capacity,
        .batch = settings->batch,
        .rate = settings->rate,
        .wait = settings->wait < 0 ? DX_WAIT_ADAPTIVE : (dx_wait_kind_t)settings->wait,
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
        exit_code = settings->ring ? ring_run(settings, source, &orders)
                                   : bus_run(settings, source, &orders);
    } else {
        dxi_complain_error(COMMAND, &error);
    }
    dxi_csv_free(&orders);
    return exit_code;
}

/* Options of the other way are refused: they would do nothing. */
static int settings_check(settings_t *settings, dx_error_t *error)
{
    const struct {
        const char *name;
        bool given;
        bool of_ring;
    } options[] = {
        {"--capacity", settings->capacity != 0, true},
        {"--batch", settings->batch != 0, true},
        {"--wait", settings->wait >= 0, true},
        {"--cpus", dx_cpu_set_count(&settings->cpus) > 0, true},
        {"--window", settings->window != 0, false},
        {"--transport", settings->transport >= 0, false},
    };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (options[i].given && options[i].of_ring != settings->ring) {
            return dxi_fail(error, DX_EINVAL, "%s is only for a run %s --ring", options[i].name,
                            options[i].of_ring ? "with" : "without");
        }
    }
    settings->capacity = settings->capacity == 0 ? CAPACITY_DEFAULT : settings->capacity;
    settings->batch = settings->batch == 0 ? 1 : settings->batch;
    if (settings->batch > settings->capacity) {
        return dxi_fail(error, DX_EINVAL, "--batch is %lld, must be at most the capacity, %lld",
                        (long long)settings->batch, (long long)settings->capacity);
    }
    return DX_OK;
}

int dxi_demo_orders(int argc, char **argv)
{
    settings_t settings = {.wait = -1, .transport = -1};
    dxi_operands_t operands;
    dx_error_t error = {0};
    const int begun = dxi_arguments_begin(&USAGE, argc, argv, &settings, &operands);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    if (settings_check(&settings, &error) != DX_OK) {
        return dxi_usage_error(&USAGE, &error);
    }
    if (settings.repeat == 0) {
        const int64_t of_sample = settings.ring ? RING_REPEAT_DEFAULT : BUS_REPEAT_DEFAULT;
        settings.repeat = settings.orders == NULL ? of_sample : 1;
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
