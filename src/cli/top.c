/* top.c - `dx top`: a node at work, on the whole terminal; once, or as JSON, for programs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/top.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fail.h"
#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/target.h"
#include "cli/top_fetch.h"
#include "cli/top_terminal.h"
#include "disruptorx/clock.h"

#define COMMAND "dx top"
#define ANSWER_NS (2 * DX_NS_PER_S)        /* --timeout */
#define FIRST_LOOK_NS (250 * DX_NS_PER_MS) /* between the first two looks, for the first rates */
#define REDRAW_NS DX_NS_PER_S              /* how long there has been trouble is shown */
#define WIDTH_ELSEWHERE 132                /* columns where there is no terminal */

static const char *const SCREEN_NAMES[] = {"topics", "subscriptions", "connections",
                                           "rings",  "loops",         NULL};

typedef struct settings {
    int32_t screen;
    const char *sort;
    const char *filter;
    int64_t interval_ns;
    int64_t timeout_ns;
    int64_t count; /* 0: not given */
    bool once;
} settings_t;

static const dxi_option_t OPTIONS[] = {
    {.name = "screen",
     .letter = 's',
     .kind = DXI_OPTION_CHOICE,
     .value_name = "NAME",
     .choices = SCREEN_NAMES,
     .offset = offsetof(settings_t, screen),
     .help = "begin with topics (default), subscriptions, connections, rings or loops"},
    {.name = "sort",
     .kind = DXI_OPTION_TEXT,
     .value_name = "COLUMN",
     .offset = offsetof(settings_t, sort),
     .help = "sort by this column of the screen"},
    {.name = "filter",
     .letter = 'f',
     .kind = DXI_OPTION_TEXT,
     .value_name = "TEXT",
     .offset = offsetof(settings_t, filter),
     .help = "only what has this text in a name or pattern"},
    {.name = "interval",
     .letter = 'i',
     .kind = DXI_OPTION_DURATION,
     .value_name = "TIME",
     .offset = offsetof(settings_t, interval_ns),
     .low = DXI_TOP_INTERVAL_MIN_NS,
     .high = DXI_TOP_INTERVAL_MAX_NS,
     .help = "between two looks; default 1s"},
    {.name = "timeout",
     .letter = 't',
     .kind = DXI_OPTION_DURATION,
     .value_name = "TIME",
     .offset = offsetof(settings_t, timeout_ns),
     .low = 10 * DX_NS_PER_MS,
     .high = 60 * DX_NS_PER_S,
     .help = "how long the node may take to answer until it counts as lost; default 2s"},
    {.name = "once",
     .kind = DXI_OPTION_FLAG,
     .offset = offsetof(settings_t, once),
     .help = "print the screen once and end; so it does where there is no terminal"},
    {.name = "count",
     .letter = 'n',
     .kind = DXI_OPTION_INTEGER,
     .value_name = "N",
     .offset = offsetof(settings_t, count),
     .low = 1,
     .high = 1000000000,
     .help = "print it N times, one --interval apart, and end; -o json: one object a line"},
};

static int settings_check(const void *target, const dxi_operands_t *operands, dx_error_t *error)
{
    const settings_t *const settings = target;
    (void)operands;
    if (settings->filter != NULL && strlen(settings->filter) >= DXI_TOP_FILTER_BYTES) {
        return dxi_fail(error, DX_EINVAL, "--filter has %zu bytes, must have at most %d",
                        strlen(settings->filter), DXI_TOP_FILTER_BYTES - 1);
    }
    return DX_OK;
}

static const dxi_usage_t USAGE = {
    .command = COMMAND,
    .description =
        "Shows a node at work: its topics, subscriptions, connections, rings and loops,\n"
        "with rates, latency, lag and losses, on the whole terminal. Keys sort, filter,\n"
        "pause and show one of them in full; ? lists them. When the node is lost it says\n"
        "so, keeps what it showed last, and goes on when the node is back.\n"
        "\n"
        "Where there is no terminal, and with --once, it prints the screen once. -o json\n"
        "prints all that is known, rates included.\n",
    .options = OPTIONS,
    .option_count = sizeof OPTIONS / sizeof OPTIONS[0],
    .examples = "  dx top\n"
                "  dx top --screen subscriptions --sort lag\n"
                "  dx top --once --filter orders\n"
                "  dx top -o json | jq '.topics[] | {name, published_per_s}'\n",
    .uses_node = 1,
    .check = settings_check,
};

static int failed(const dx_error_t *error)
{
    dxi_complain_error(COMMAND, error);
    return dxi_target_exit_code(error->code);
}

/* ---------------------------------------------------------------------- without a terminal */

static int look_take(dxi_top_t *top, dx_client_t *client, dx_error_t *error)
{
    json_t *const look = dxi_top_look(client, error);
    if (look == NULL) {
        return error->code;
    }
    return dxi_top_take(top, look, dx_clock_ns(), "") == DX_OK
               ? DX_OK
               : dxi_fail(error, DX_ENOMEM, "no memory for a look");
}

static int print(dxi_top_t *top, bool one_line, int64_t printed)
{
    if (!dxi_output_is_json()) {
        const int32_t width = dxi_output_width(stdout);
        fputs(printed > 0 ? "\n" : "", stdout);
        if (dxi_top_print(top, stdout, width > 0 ? width : WIDTH_ELSEWHERE) != DX_OK) {
            dxi_complain(COMMAND, "no memory to print it");
            return DXI_EXIT_FAILED;
        }
        return fflush(stdout) == 0 ? DXI_EXIT_OK : DXI_EXIT_FAILED;
    }
    json_t *const root = dxi_top_json(&top->model);
    const int written =
        root == NULL ? -1 : json_dumpf(root, stdout, one_line ? JSON_COMPACT : JSON_INDENT(2));
    json_decref(root);
    putchar('\n');
    return written == 0 && fflush(stdout) == 0 ? DXI_EXIT_OK : DXI_EXIT_FAILED;
}

static int print_run(dxi_top_t *top, dx_client_t *client, int64_t count)
{
    dx_error_t error = {0};
    int exit_code = DXI_EXIT_OK;
    if (look_take(top, client, &error) != DX_OK) {
        return failed(&error);
    }
    int64_t pause_ns = FIRST_LOOK_NS;
    for (int64_t printed = 0; printed < count && exit_code == DXI_EXIT_OK; printed++) {
        if (dxi_interrupt_wait(pause_ns) == DXI_WOKEN_INTERRUPT) {
            break;
        }
        exit_code = look_take(top, client, &error) == DX_OK ? print(top, count > 1, printed)
                                                            : failed(&error);
        pause_ns = top->interval_ns;
    }
    return exit_code;
}

/* -------------------------------------------------------------------------------- on a terminal */

typedef struct live {
    dxi_top_t *top;
    dxi_top_fetch_t *fetch;
    dxi_grid_t grid;
    bool has_ended;
} live_t;

static int draw(live_t *live)
{
    int rows = 0;
    int columns = 0;
    dxi_terminal_size(&rows, &columns);
    if (rows != live->grid.rows || columns != live->grid.columns) {
        dxi_grid_close(&live->grid);
        if (dxi_grid_init(&live->grid, rows, columns) != DX_OK) {
            return DX_ENOMEM;
        }
    }
    dxi_top_draw(live->top, &live->grid, dx_clock_ns());
    dxi_terminal_show(&live->grid);
    return DX_OK;
}

static int look_fetch(live_t *live)
{
    dxi_top_fetched_t fetched;
    const int code = dxi_top_fetch_take(live->fetch, &fetched);
    if (code > 0) {
        return dxi_top_take(live->top, fetched.look, fetched.taken_ns, fetched.clock);
    }
    if (code < 0) {
        dxi_top_trouble(live->top, fetched.trouble, dx_clock_ns());
    }
    return DX_OK;
}

static void keys_take(live_t *live)
{
    for (int key = dxi_terminal_key(); key >= 0 && !live->has_ended; key = dxi_terminal_key()) {
        switch (dxi_top_key(live->top, key)) {
        case DXI_TOP_QUIT:
            live->has_ended = true;
            break;
        case DXI_TOP_LOOK:
            dxi_top_fetch_again(live->fetch, live->top->interval_ns);
            break;
        case DXI_TOP_DRAW:
        default:
            break;
        }
    }
}

static int live_run(live_t *live)
{
    int result = draw(live);
    while (result == DX_OK && !live->has_ended) {
        const dxi_woken_t woken = dxi_interrupt_wait_input(STDIN_FILENO, REDRAW_NS);
        if (woken == DXI_WOKEN_INTERRUPT) {
            break;
        }
        keys_take(live);
        result = look_fetch(live);
        result = result == DX_OK && !live->has_ended ? draw(live) : result;
    }
    return result;
}

static int terminal_run(dxi_top_t *top, dxi_top_fetch_t *fetch, dx_client_t *client)
{
    live_t live = {.top = top, .fetch = fetch};
    dx_error_t error = {0};
    if (dxi_top_fetch_start(fetch, client, top->interval_ns, &error) != DX_OK) {
        return failed(&error);
    }
    int result = dxi_terminal_open(dxi_style(stdout, DXI_STYLE_HEADING)[0] != '\0');
    if (result != DX_OK) {
        dxi_top_fetch_stop(fetch);
        dxi_complain(COMMAND, "TERM is %.30s, which can't be drawn on; next: --once",
                     getenv("TERM") != NULL ? getenv("TERM") : "not set");
        return DXI_EXIT_FAILED;
    }
    result = live_run(&live);
    dxi_terminal_close(); /* first: the thread may wait for an answer */
    dxi_top_fetch_stop(fetch);
    dxi_grid_close(&live.grid);
    if (result != DX_OK) {
        dxi_complain(COMMAND, "no memory for the screen");
        return DXI_EXIT_FAILED;
    }
    return DXI_EXIT_OK;
}

/* -------------------------------------------------------------------------------------- command */

static int connected(const settings_t *settings, dxi_top_t *top, dxi_top_fetch_t *fetch,
                     dx_client_t *client)
{
    dx_client_stats_t stats;
    dx_client_stats(client, &stats);
    snprintf(top->address, sizeof top->address, "%s", stats.address);
    const bool prints = settings->once || settings->count > 0 || dxi_output_is_json() ||
                        !isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO);
    return prints ? print_run(top, client, settings->count > 0 ? settings->count : 1)
                  : terminal_run(top, fetch, client);
}

int dxi_cli_top(int argc, char **argv)
{
    static dxi_top_t top; /* large */
    settings_t settings = {.interval_ns = DX_NS_PER_S, .timeout_ns = ANSWER_NS};
    dxi_operands_t operands;
    dx_error_t error = {0};
    dxi_top_fetch_t *fetch = NULL;
    dx_client_t *client = NULL;
    const int begun = dxi_arguments_begin(&USAGE, argc, argv, &settings, &operands);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    dxi_top_init(&top);
    top.screen = (dxi_top_screen_t)settings.screen;
    top.interval_ns = settings.interval_ns;
    snprintf(top.filter, sizeof top.filter, "%s", settings.filter != NULL ? settings.filter : "");
    if (settings.sort != NULL && dxi_top_sort(&top, settings.sort, &error) != DX_OK) {
        return dxi_usage_error(&USAGE, &error);
    }
    dxi_interrupt_catch();
    if (dxi_top_fetch_create(&fetch, &error) != DX_OK) {
        return failed(&error);
    }
    const dx_client_options_t wishes = {.timeout_ns = settings.timeout_ns,
                                        .reconnect_max_ns = DX_NS_PER_S,
                                        .on_state = dxi_top_fetch_on_state,
                                        .context = fetch};
    int exit_code = dxi_target_connect(COMMAND, &wishes, &client);
    if (exit_code == DXI_CONNECTED) {
        exit_code = connected(&settings, &top, fetch, client);
        (void)dx_client_close(client, 0); /* it has nothing under way */
    }
    dxi_top_fetch_destroy(fetch);
    dxi_top_close(&top);
    return exit_code;
}
