/* stat.c - `dx stat`: shared rings at work, from outside.
 *
 * It maps the memory of a ring read-only and reads words that are there anyhow: nothing on the hot
 * path knows of it, and no process has to answer. On a terminal it goes on until Ctrl-C; elsewhere
 * it prints once, or --count times.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "base/format.h"
#include "cli/commands.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/screen.h"
#include "cli/stat_list.h"
#include "cli/stat_print.h"

#define COMMAND "dx stat"
#define INTERVAL_DEFAULT INT64_C(1000000000)
#define FIRST_LOOK_NS INT64_C(250000000) /* between the first two looks, for the first rates */
#define COUNT_DEFAULT (-1)

typedef struct settings {
    const char *folder;
    int64_t interval_ns;
    int64_t count; /* 0: without end; COUNT_DEFAULT: as it fits the output */
    bool once;
    bool any_owner;
} settings_t;

static const dxi_option_t OPTIONS[] = {
    {.name = "interval",
     .letter = 'i',
     .kind = DXI_OPTION_DURATION,
     .value_name = "TIME",
     .offset = offsetof(settings_t, interval_ns),
     .low = 10000000,
     .high = INT64_C(3600000000000),
     .help = "between two looks; default 1s. Rates are of the time between two looks"},
    {.name = "count",
     .letter = 'n',
     .kind = DXI_OPTION_INTEGER,
     .value_name = "N",
     .offset = offsetof(settings_t, count),
     .low = 0,
     .high = 1000000000,
     .help = "end after N looks, 0 = never; default: never on a terminal, 1 elsewhere"},
    {.name = "once",
     .kind = DXI_OPTION_FLAG,
     .offset = offsetof(settings_t, once),
     .help = "print once and end, also on a terminal"},
    DXI_FOLDER_OPTION(settings_t, folder),
    DXI_ANY_OWNER_OPTION(settings_t, any_owner),
};

static const dxi_usage_t USAGE = {
    .command = COMMAND,
    .operands = "[NAME|FILE]",
    .description =
        "Shows a shared ring at work: how far it is published and consumed, how full it\n"
        "is, and its consumers, producers and processes, with those that are dead,\n"
        "stalled or stopped. Without a name it lists the rings of the folder. It only\n"
        "reads, and works also while those who use the ring hang.\n"
        "\n"
        "On a terminal it goes on until q or Ctrl-C; what does not fit is left out, -o\n"
        "json has it all.\n"
        "\n"
        "Processes: running; silent, not heard of for longer than the ring allows;\n"
        "stopped, by a signal or a debugger; stalled, the others go on without it; dead.\n",
    .options = OPTIONS,
    .option_count = sizeof OPTIONS / sizeof OPTIONS[0],
    .examples = "  dx stat\n"
                "  dx stat orders\n"
                "  dx stat orders --once\n"
                "  dx stat /mnt/huge/orders.dxring --interval 200ms\n"
                "  dx stat orders -o json --count 60 | jq -c '[.depth, .published_per_second]'\n",
    .operands_max = 1,
};

/* What is shown: one ring, or the list. */
typedef struct subject {
    const settings_t *settings;
    bool is_list;
    bool on_screen;
    bool one_line; /* JSON of more than one look */
    dxi_ring_view_t view;
    bool is_gone;
    dxi_stat_look_t *now;
    dxi_stat_look_t *before; /* taken_ns 0: none yet */
    dxi_stat_list_t *list;
} subject_t;

/* Looks once; the look before stays for the rates. Returns an exit code. */
static int look(subject_t *subject)
{
    if (subject->is_list) {
        dx_error_t error = {0};
        if (dxi_stat_list_look(subject->list, subject->settings->folder,
                               subject->settings->any_owner, &error) != DX_OK) {
            dxi_complain_error(COMMAND, &error);
            return DXI_EXIT_FAILED;
        }
        return DXI_EXIT_OK;
    }
    dxi_stat_look_t *const older = subject->before;
    subject->before = subject->now;
    subject->now = older;
    subject->is_gone = !dxi_ring_view_follow(&subject->view);
    dxi_stat_look(&subject->view, subject->now);
    return DXI_EXIT_OK;
}

static const dxi_stat_look_t *look_before(const subject_t *subject)
{
    return subject->before->taken_ns != 0 ? subject->before : NULL;
}

static void show_text(const subject_t *subject, FILE *stream)
{
    if (subject->is_list) {
        dxi_stat_list_print(subject->list, subject->settings->folder, stream);
    } else {
        dxi_stat_print(stream, &subject->view.place, look_before(subject), subject->now,
                       subject->is_gone);
    }
}

static int show_json(const subject_t *subject)
{
    dxi_json_t json;
    if (subject->one_line) {
        dxi_json_begin_line(&json, stdout);
    } else {
        dxi_json_begin(&json, stdout);
    }
    if (subject->is_list) {
        dxi_stat_list_json(subject->list, subject->settings->folder, &json);
    } else {
        dxi_stat_json(&json, &subject->view.place, look_before(subject), subject->now,
                      subject->is_gone);
    }
    return dxi_json_finish(&json) == DX_OK ? DXI_EXIT_OK : DXI_EXIT_FAILED;
}

static int show(const subject_t *subject, int64_t shown)
{
    if (dxi_output_is_json()) {
        return show_json(subject);
    }
    if (!subject->on_screen) {
        fputs(shown > 0 ? "\n" : "", stdout);
        show_text(subject, stdout);
        return fflush(stdout) == 0 ? DXI_EXIT_OK : DXI_EXIT_FAILED;
    }
    FILE *const frame = dxi_screen_begin();
    if (frame != NULL) {
        show_text(subject, frame);
        fprintf(frame, "\n%sEvery %s; q ends it%s\n", dxi_style(frame, DXI_STYLE_QUIET),
                dxi_format_ns(&(dxi_text_t){0}, subject->settings->interval_ns),
                dxi_style(frame, DXI_STYLE_PLAIN));
        dxi_screen_show();
    }
    return DXI_EXIT_OK;
}

/* False when somebody wants it to end. */
static bool wait_for(const subject_t *subject, int64_t ns)
{
    if (subject->on_screen) {
        return dxi_screen_wait(ns) != DXI_SCREEN_QUIT;
    }
    const struct timespec time = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    (void)nanosleep(&time, NULL);
    return true;
}

/* Looks and shows `count` times (0 = without end). */
static int run(subject_t *subject, int64_t count)
{
    const int64_t interval_ns = subject->settings->interval_ns;
    int exit_code = look(subject);
    bool goes_on = exit_code == DXI_EXIT_OK &&
                   wait_for(subject, interval_ns < FIRST_LOOK_NS ? interval_ns : FIRST_LOOK_NS);
    for (int64_t shown = 0; goes_on; shown++) {
        exit_code = look(subject);
        exit_code = exit_code == DXI_EXIT_OK ? show(subject, shown) : exit_code;
        goes_on = exit_code == DXI_EXIT_OK && (count == 0 || shown + 1 < count) &&
                  wait_for(subject, interval_ns);
    }
    return exit_code;
}

static int run_where_it_fits(subject_t *subject)
{
    const settings_t *const settings = subject->settings;
    const bool live = !dxi_output_is_json() && dxi_screen_possible() && !settings->once;
    const int64_t count = settings->once                     ? 1
                          : settings->count != COUNT_DEFAULT ? settings->count
                          : live                             ? 0
                                                             : 1;
    subject->one_line = count != 1;
    subject->on_screen = live;
    if (live) {
        dxi_screen_enter();
    }
    const int exit_code = run(subject, count);
    if (live) {
        dxi_screen_leave();
    }
    return exit_code;
}

static int stat_list(const settings_t *settings)
{
    subject_t subject = {.settings = settings, .is_list = true};
    subject.list = dxi_alloc_zeroed(1, sizeof *subject.list);
    if (subject.list == NULL) {
        dxi_complain(COMMAND, "no memory for a list of rings");
        return DXI_EXIT_FAILED;
    }
    const int exit_code = run_where_it_fits(&subject);
    dxi_free(subject.list);
    return exit_code;
}

static int stat_ring(const settings_t *settings, const dxi_ring_place_t *place)
{
    subject_t subject = {.settings = settings};
    dx_error_t error = {0};
    if (dxi_ring_view_open(place, settings->any_owner, &subject.view, &error) != DX_OK) {
        return dxi_ring_complain(COMMAND, place, &error);
    }
    int exit_code = DXI_EXIT_FAILED;
    subject.now = dxi_alloc_zeroed(1, sizeof *subject.now);
    subject.before = dxi_alloc_zeroed(1, sizeof *subject.before);
    if (subject.now != NULL && subject.before != NULL) {
        exit_code = run_where_it_fits(&subject);
    } else {
        dxi_complain(COMMAND, "no memory for two looks");
    }
    dxi_free(subject.now);
    dxi_free(subject.before);
    dxi_ring_view_close(&subject.view);
    return exit_code;
}

int dxi_cli_stat(int argc, char **argv)
{
    settings_t settings = {
        .folder = DX_RING_FOLDER, .interval_ns = INTERVAL_DEFAULT, .count = COUNT_DEFAULT};
    dxi_operands_t operands;
    dx_error_t error = {0};
    const int begun = dxi_arguments_begin(&USAGE, argc, argv, &settings, &operands);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    if (operands.count == 0) {
        return stat_list(&settings);
    }
    dxi_ring_place_t place;
    if (dxi_ring_place_parse(operands.texts[0], settings.folder, &place, &error) != DX_OK) {
        return dxi_usage_error(&USAGE, &error);
    }
    return stat_ring(&settings, &place);
}
