/* demo_shared.c - `dx demo shared`: three processes on one ring, to be looked at and killed.
 *
 * This process only watches: it has no part in the ring but an observer's view of it, so that
 * nothing of it can help the others along.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/demo_shared.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/format.h"
#include "cli/commands.h"
#include "cli/json.h"
#include "cli/output.h"
#include "disruptorx/clock.h"

#define COMMAND "dx demo shared"
#define LOOK_NS INT64_C(20000000)
#define GRACE_NS INT64_C(5000000000) /* for the members to end; then they are killed */
#define SLOTS 4096
#define SECONDS_DEFAULT 30
#define RATE_DEFAULT 10000

typedef struct settings {
    const char *name;
    const char *folder;
    int64_t seconds;
    int64_t rate;
    int64_t detect_ns;
} settings_t;

static const dxi_option_t OPTIONS[] = {
    {.name = "seconds",
     .kind = DXI_OPTION_INTEGER,
     .value_name = "N",
     .offset = offsetof(settings_t, seconds),
     .low = 1,
     .high = 86400,
     .help = "how long; default 30"},
    {.name = "rate",
     .kind = DXI_OPTION_INTEGER,
     .value_name = "N",
     .offset = offsetof(settings_t, rate),
     .low = 0,
     .high = 1000000000,
     .help = "events per second (50k, 2M); default 10000; 0: as fast as it goes"},
    {.name = "detect",
     .kind = DXI_OPTION_DURATION,
     .value_name = "TIME",
     .offset = offsetof(settings_t, detect_ns),
     .low = DX_RING_DETECT_NS_MIN,
     .high = DX_RING_DETECT_NS_MAX,
     .help = "a death is noticed within this time; default 1s"},
    {.name = "name",
     .kind = DXI_OPTION_TEXT,
     .value_name = "NAME",
     .offset = offsetof(settings_t, name),
     .help = "of the ring; default demo"},
    DXI_FOLDER_OPTION(settings_t, folder),
};

static const dxi_usage_t USAGE = {
    .command = COMMAND,
    .description =
        "Runs a producer (feed) and two consumers (ledger, audit) as three processes on\n"
        "one shared ring, to be looked at with dx stat, and killed or stopped, one or the\n"
        "other. Says what happens to them and, at the end, whether every event came to\n"
        "every consumer that lived, once and in order, but for what one was told it\n"
        "missed while it was stopped and evicted. Exit code 1: it did not.\n",
    .options = OPTIONS,
    .option_count = sizeof OPTIONS / sizeof OPTIONS[0],
    .examples = "  dx demo shared\n"
                "  dx demo shared --seconds 300 --rate 2M\n"
                "  dx stat demo                                 in another terminal\n"
                "  dx ring dump demo -l '" DXI_DEMO_LAYOUT "'\n",
};

typedef enum life { ALIVE, ENDED, KILLED } life_t;

/* One run. */
typedef struct demo {
    dxi_demo_plan_t plan;
    int64_t started_ns;
    int64_t seconds;
    pid_t pid[DXI_DEMO_MEMBERS];
    life_t life[DXI_DEMO_MEMBERS];
    bool stopped[DXI_DEMO_MEMBERS];
    int32_t alive;
    bool has_view;
    dxi_ring_view_t view;
    dx_ring_stat_t seen; /* of the counters of recovery: what was said already */
} demo_t;

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

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

/* ---------------------------------------------------------------------------------- beginning */

/* Makes a process and waits until it is attached. */
static int member_start(demo_t *demo, int member, dx_error_t *error)
{
    int ready[2];
    if (pipe(ready) != 0) {
        const int os = errno;
        return dxi_fail_os(error, dxi_code_of_errno(os), os, "no pipe");
    }
    fflush(NULL); /* nothing of it is printed twice */
    const pid_t pid = fork();
    if (pid == 0) {
        (void)close(ready[0]);
        dxi_demo_member_run(&demo->plan, member, ready[1]);
    }
    const int os = errno;
    (void)close(ready[1]);
    char byte = 0;
    const bool is_ready = pid > 0 && read(ready[0], &byte, 1) == 1;
    (void)close(ready[0]);
    if (pid < 0) {
        return dxi_fail_os(error, dxi_code_of_errno(os), os, "no process for %s",
                           dxi_demo_member_name(member));
    }
    demo->pid[member] = pid;
    demo->life[member] = ALIVE;
    demo->alive++;
    /* It has said itself why not. */
    return is_ready
               ? DX_OK
               : dxi_fail(error, DX_ECANCELLED, "%s did not start", dxi_demo_member_name(member));
}

static void introduce(const demo_t *demo)
{
    fprintf(stderr, "Ring \"%s\" in %s, with a process for each of these:\n", demo->plan.place.name,
            demo->plan.place.folder);
    for (int i = 0; i < DXI_DEMO_MEMBERS; i++) {
        fprintf(stderr, "  %-7s process %-8d %s\n", dxi_demo_member_name(i), (int)demo->pid[i],
                i == DXI_DEMO_PRODUCER ? "publishes" : "is given every event");
    }
    const bool is_usual = strcmp(demo->plan.place.folder, DX_RING_FOLDER) == 0;
    fprintf(stderr,
            "\nIn another terminal:\n"
            "  dx stat %s%s%s\n"
            "  kill -9 %d       and see the others go on\n"
            "  kill -STOP %d    and later kill -CONT %d\n"
            "It takes %" PRId64 " s; Ctrl-C ends it before.\n\n",
            demo->plan.place.name, is_usual ? "" : " --folder ",
            is_usual ? "" : demo->plan.place.folder, (int)demo->pid[2], (int)demo->pid[1],
            (int)demo->pid[1], demo->seconds);
}

/* ----------------------------------------------------------------------------------- watching */

DX_PRINTF(2, 3) static void say(const demo_t *demo, const char *format, ...);

static void say(const demo_t *demo, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%7.2f s  ", (double)(dx_clock_ns() - demo->started_ns) / 1e9);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

static void member_changed(demo_t *demo, int member, int status)
{
    const char *const name = dxi_demo_member_name(member);
    if (WIFSTOPPED(status)) {
        demo->stopped[member] = true;
        say(demo, "%s (process %d) was stopped", name, (int)demo->pid[member]);
    } else if (WIFCONTINUED(status)) {
        demo->stopped[member] = false;
        say(demo, "%s (process %d) runs again", name, (int)demo->pid[member]);
    } else {
        demo->alive--;
        demo->life[member] = WIFSIGNALED(status) ? KILLED : ENDED;
        if (WIFSIGNALED(status)) {
            say(demo, "%s (process %d) was killed by signal %d", name, (int)demo->pid[member],
                WTERMSIG(status));
        }
    }
}

/* Takes notice of members that ended, stopped or go on. */
static void look_at_members(demo_t *demo)
{
    int status = 0;
    for (int i = 0; i < DXI_DEMO_MEMBERS; i++) {
        if (demo->life[i] == ALIVE && demo->pid[i] > 0 &&
            waitpid(demo->pid[i], &status, WNOHANG | WUNTRACED | WCONTINUED) == demo->pid[i]) {
            member_changed(demo, i, status);
        }
    }
}

static void say_growth(const demo_t *demo, const char *what, int64_t before, int64_t now)
{
    if (now > before) {
        say(demo, "the ring: %s, %" PRId64 " so far", what, now);
    }
}

/* Takes notice of what the members found out about each other. */
static void look_at_ring(demo_t *demo)
{
    dx_ring_stat_t now;
    if (!demo->has_view) {
        return;
    }
    dx_ring_stat(demo->view.ring, &now);
    say_growth(demo, "a process was found dead", demo->seen.deaths, now.deaths);
    say_growth(demo, "a process was found stalled", demo->seen.stalls, now.stalls);
    say_growth(demo, "a stalled process was killed, for it held a claim", demo->seen.kills,
               now.kills);
    say_growth(demo, "events of the dead were voided", demo->seen.voided, now.voided);
    say_growth(demo, "a consumer was evicted", demo->seen.evictions, now.evictions);
    demo->seen = now;
}

static void look(demo_t *demo)
{
    const struct timespec time = {.tv_nsec = LOOK_NS};
    look_at_members(demo);
    look_at_ring(demo);
    (void)nanosleep(&time, NULL);
}

static void members_kill(const demo_t *demo, int first, int count)
{
    for (int i = first; i < first + count; i++) {
        if (demo->life[i] == ALIVE && demo->pid[i] > 0) {
            (void)kill(demo->pid[i], SIGKILL);
        }
    }
}

static bool any_alive(const demo_t *demo, int first, int count)
{
    for (int i = first; i < first + count; i++) {
        if (demo->life[i] == ALIVE && demo->pid[i] > 0) {
            return true;
        }
    }
    return false;
}

/* Waits until these members have ended; kills them when they do not in time. */
static void members_await(demo_t *demo, int first, int count)
{
    const int64_t until_ns = dx_clock_ns() + GRACE_NS;
    while (any_alive(demo, first, count)) {
        if (dx_clock_ns() > until_ns) {
            members_kill(demo, first, count);
        }
        look(demo);
    }
}

/* The producer first, then the consumers when they have all of it. */
static void end(demo_t *demo)
{
    dx_store32_release(&demo->plan.board->end, 1);
    members_await(demo, DXI_DEMO_PRODUCER, 1);
    dx_store32_release(&demo->plan.board->no_more, 1);
    members_await(demo, 1, DXI_DEMO_MEMBERS - 1);
}

static int begin(demo_t *demo, dx_error_t *error)
{
    int code = DX_OK;
    for (int i = 0; i < DXI_DEMO_MEMBERS && code == DX_OK; i++) {
        code = member_start(demo, i, error);
    }
    if (code == DX_OK) {
        code = dxi_ring_view_open(&demo->plan.place, false, &demo->view, error);
        demo->has_view = code == DX_OK;
    }
    return code;
}

/* ----------------------------------------------------------------------------------- reporting */

/* A consumer that lived to the end must have been given all; one that was evicted, all but what it
 * was told it missed. */
static bool is_complete(const demo_t *demo, int member)
{
    const dxi_demo_board_t *const board = demo->plan.board;
    const dxi_demo_report_t *const report = &board->report[member];
    const int64_t published = dx_load_relaxed(&board->report[DXI_DEMO_PRODUCER].events);
    const int64_t missing = dx_load_relaxed(&report->missing);
    const int64_t events = dx_load_relaxed(&report->events);
    const bool came_again = dx_load_relaxed(&report->again) > 0;
    if (missing > dx_load_relaxed(&report->missed) ||
        (came_again && dx_load_relaxed(&report->evictions) == 0)) {
        return false;
    }
    /* A killed producer may have published one more than it could count. */
    return demo->life[member] == KILLED || events + missing == published ||
           (demo->life[DXI_DEMO_PRODUCER] == KILLED && events + missing == published + 1);
}

static const char *end_name(const demo_t *demo, int member)
{
    return demo->life[member] == KILLED ? "killed" : "ended";
}

/* Whether a consumer got what it should. */
static void report_judgement(const demo_t *demo, int member)
{
    const dxi_demo_report_t *const report = &demo->plan.board->report[member];
    const int64_t evictions = dx_load_relaxed(&report->evictions);
    if (!is_complete(demo, member)) {
        fputs(", INCOMPLETE", stdout);
    } else if (evictions == 0) {
        fputs(", each once and in order", stdout);
    } else {
        printf(", in order; evicted %s and come back, it missed %s, as it was told",
               evictions == 1 ? "once" : "several times",
               dxi_format_count(&(dxi_text_t){0}, dx_load_relaxed(&report->missed)));
    }
}

static void report_text(const demo_t *demo)
{
    const dxi_demo_board_t *const board = demo->plan.board;
    for (int i = 0; i < DXI_DEMO_MEMBERS; i++) {
        printf("%-7s %s %s events, %s", dxi_demo_member_name(i),
               i == DXI_DEMO_PRODUCER ? "published" : "was given",
               dxi_format_count(&(dxi_text_t){0}, dx_load_relaxed(&board->report[i].events)),
               end_name(demo, i));
        if (i != DXI_DEMO_PRODUCER) {
            report_judgement(demo, i);
        }
        fputc('\n', stdout);
    }
    printf("Recovery: deaths %" PRId64 ", stalls %" PRId64 ", kills %" PRId64 ", voided %" PRId64
           ", evictions %" PRId64 "\n",
           demo->seen.deaths, demo->seen.stalls, demo->seen.kills, demo->seen.voided,
           demo->seen.evictions);
}

static int report_json(const demo_t *demo)
{
    dxi_json_t json;
    dxi_json_begin(&json, stdout);
    dxi_json_object_begin(&json, NULL);
    dxi_json_text(&json, "ring", demo->plan.place.name);
    dxi_json_array_begin(&json, "members");
    for (int i = 0; i < DXI_DEMO_MEMBERS; i++) {
        const dxi_demo_report_t *const report = &demo->plan.board->report[i];
        dxi_json_object_begin(&json, NULL);
        dxi_json_text(&json, "name", dxi_demo_member_name(i));
        dxi_json_integer(&json, "process_id", demo->pid[i]);
        dxi_json_text(&json, "end", end_name(demo, i));
        dxi_json_integer(&json, "events", dx_load_relaxed(&report->events));
        dxi_json_integer(&json, "missing", dx_load_relaxed(&report->missing));
        dxi_json_integer(&json, "missed", dx_load_relaxed(&report->missed));
        dxi_json_integer(&json, "again", dx_load_relaxed(&report->again));
        dxi_json_integer(&json, "evictions", dx_load_relaxed(&report->evictions));
        dxi_json_boolean(&json, "complete", i == DXI_DEMO_PRODUCER || is_complete(demo, i));
        dxi_json_object_end(&json);
    }
    dxi_json_array_end(&json);
    dxi_json_integer(&json, "deaths", demo->seen.deaths);
    dxi_json_integer(&json, "stalls", demo->seen.stalls);
    dxi_json_integer(&json, "kills", demo->seen.kills);
    dxi_json_integer(&json, "voided", demo->seen.voided);
    dxi_json_integer(&json, "evictions", demo->seen.evictions);
    dxi_json_object_end(&json);
    return dxi_json_finish(&json);
}

/* ----------------------------------------------------------------------------------------- run */

static int demo_run(demo_t *demo)
{
    dx_error_t error = {0};
    if (begin(demo, &error) != DX_OK) {
        members_kill(demo, 0, DXI_DEMO_MEMBERS);
        members_await(demo, 0, DXI_DEMO_MEMBERS);
        dxi_complain(COMMAND, "%s", error.message);
        return DXI_EXIT_FAILED;
    }
    introduce(demo);
    demo->started_ns = dx_clock_ns();
    dx_store32_release(&demo->plan.board->begin, 1);
    const int64_t until_ns = demo->started_ns + demo->seconds * 1000000000;
    while (interrupted == 0 && demo->alive > 0 && dx_clock_ns() < until_ns) {
        look(demo);
    }
    end(demo);
    look_at_ring(demo);
    dxi_ring_view_close(&demo->view);
    bool complete = true;
    for (int i = 1; i < DXI_DEMO_MEMBERS; i++) {
        complete = complete && is_complete(demo, i);
    }
    if (dxi_output_is_json()) {
        return report_json(demo) == DX_OK && complete ? DXI_EXIT_OK : DXI_EXIT_FAILED;
    }
    report_text(demo);
    return complete ? DXI_EXIT_OK : DXI_EXIT_FAILED;
}

int dxi_demo_shared(int argc, char **argv)
{
    settings_t settings = {.name = "demo",
                           .folder = DX_RING_FOLDER,
                           .seconds = SECONDS_DEFAULT,
                           .rate = RATE_DEFAULT,
                           .detect_ns = INT64_C(1000000000)};
    dxi_operands_t operands;
    dx_error_t error = {0};
    const int begun = dxi_arguments_begin(&USAGE, argc, argv, &settings, &operands);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    demo_t demo = {
        .seconds = settings.seconds,
        .plan = {.rate = settings.rate, .slots = SLOTS, .detect_ns = settings.detect_ns}};
    if (dxi_ring_place_parse(settings.name, settings.folder, &demo.plan.place, &error) != DX_OK) {
        return dxi_usage_error(&USAGE, &error);
    }
    demo.plan.board = mmap(NULL, sizeof *demo.plan.board, PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (demo.plan.board == MAP_FAILED) {
        dxi_complain(COMMAND, "no memory: %s", strerror(errno));
        return DXI_EXIT_FAILED;
    }
    signals_catch();
    const int exit_code = demo_run(&demo);
    (void)munmap(demo.plan.board, sizeof *demo.plan.board);
    return exit_code;
}
