/* cli/bench_ring.c - `dx bench ring`.
 *
 * QUESTION   How fast does the ring move events in each topology, how long does one event take, and
 * what does waiting cost, on this machine?
 *
 * METHOD     See bench_run.c (a run) and bench_plan.c (rounds): verified work, warm-up on the same
 * ring and threads, interleaved rounds, medians and quartiles, pinned threads where there is a core
 * for each. Scenarios that need more cores than there are, are named and not measured.
 *
 * NOT MEASURED   The application's work per event, NUMA and hardware threads (whatever the machine
 * gives), start and stop.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/fail.h"
#include "base/nearest.h"
#include "cli/bench.h"
#include "cli/bench_plan.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/output.h"
#include "disruptorx/clock.h"
#include "disruptorx/ring.h"

#define COMMAND "dx bench ring"
#define HGRM_TICKS 5
#define SECONDS_TEXT_BYTES 32

/* Lists ---------------------------------------------------------------------------------------- */

#define WORD_BYTES 48

/* Calls `read` for each word between commas. */
static int words_read(const char *text, dxi_bench_list_t *list,
                      int (*read)(const char *word, uint32_t *value_out, dx_error_t *error),
                      dx_error_t *error)
{
    list->count = 0;
    for (const char *at = text;;) {
        const size_t bytes = strcspn(at, ",");
        char word[WORD_BYTES] = {0};
        if (bytes == 0 || bytes >= sizeof word) {
            return dxi_fail(error, DX_EINVAL, "\"%.40s\" must be a list with commas", text);
        }
        if (list->count == DXI_BENCH_LIST_MAX) {
            return dxi_fail(error, DX_EINVAL, "more than %u values", DXI_BENCH_LIST_MAX);
        }
        memcpy(word, at, bytes);
        const int result = read(word, &list->values[list->count++], error);
        if (result != DX_OK || at[bytes] == '\0') {
            return result;
        }
        at += bytes + 1;
    }
}

static void list_all(dxi_bench_list_t *list, uint32_t count)
{
    for (uint32_t i = 0; i < count && i < DXI_BENCH_LIST_MAX; i++) {
        list->values[i] = i;
    }
    list->count = count;
}

static int scenario_read(const char *word, uint32_t *value_out, dx_error_t *error)
{
    dxi_nearest_t nearest = {.word = word};
    for (uint32_t i = 0; i < dxi_bench_scenario_count; i++) {
        if (strcmp(word, dxi_bench_scenarios[i].name) == 0) {
            *value_out = i;
            return DX_OK;
        }
        dxi_nearest_offer(&nearest, dxi_bench_scenarios[i].name);
    }
    if (nearest.best != NULL) {
        return dxi_fail(error, DX_EINVAL, "there is no \"%s\"; did you mean \"%s\"?", word,
                        nearest.best);
    }
    return dxi_fail(error, DX_EINVAL, "there is no \"%s\"; " COMMAND " --list names them all",
                    word);
}

static int scenarios_parse(const char *text, void *member_out, dx_error_t *error)
{
    if (strcmp(text, "all") == 0) {
        return DX_OK; /* as when none is named */
    }
    return words_read(text, member_out, scenario_read, error);
}

static int wait_read(const char *word, uint32_t *value_out, dx_error_t *error)
{
    dx_wait_kind_t kind = DX_WAIT_ADAPTIVE;
    const int result = dx_wait_kind_parse(word, &kind, error);
    *value_out = (uint32_t)kind;
    return result;
}

static int waits_parse(const char *text, void *member_out, dx_error_t *error)
{
    if (strcmp(text, "all") == 0) {
        list_all(member_out, DX_WAIT_KIND_COUNT);
        return DX_OK;
    }
    return words_read(text, member_out, wait_read, error);
}

static int number_read(const char *word, int64_t low, int64_t high, uint32_t *value_out,
                       dx_error_t *error)
{
    int64_t value = 0;
    const int result = dxi_integer_parse("the value", word, low, high, &value, error);
    *value_out = (uint32_t)value;
    return result;
}

static int batch_read(const char *word, uint32_t *value_out, dx_error_t *error)
{
    return number_read(word, 1, DX_RING_SLOT_COUNT_MAX, value_out, error);
}

static int size_read(const char *word, uint32_t *value_out, dx_error_t *error)
{
    return number_read(word, 8, DX_RING_EVENT_BYTES_MAX, value_out, error);
}

static int attached_read(const char *word, uint32_t *value_out, dx_error_t *error)
{
    return number_read(word, 0, DXI_BENCH_ATTACHED_MAX, value_out, error);
}

static int attached_parse(const char *text, void *member_out, dx_error_t *error)
{
    return words_read(text, member_out, attached_read, error);
}

static int batches_parse(const char *text, void *member_out, dx_error_t *error)
{
    return words_read(text, member_out, batch_read, error);
}

static int sizes_parse(const char *text, void *member_out, dx_error_t *error)
{
    return words_read(text, member_out, size_read, error);
}

static int cpus_parse(const char *text, void *member_out, dx_error_t *error)
{
    return dxi_bench_cpus_parse(text, member_out, error);
}

/* "0.5": seconds, without a unit. */
static int seconds_parse(const char *text, void *member_out, dx_error_t *error)
{
    char duration[SECONDS_TEXT_BYTES];
    const int bytes = snprintf(duration, sizeof duration, "%ss", text);
    if (bytes < 0 || (size_t)bytes >= sizeof duration ||
        dxi_duration_parse("", duration, DX_NS_PER_MS, 60 * DX_NS_PER_S, member_out, NULL) !=
            DX_OK) {
        return dxi_fail(error, DX_EINVAL, "\"%.40s\" must be a number from 0.001 to 60", text);
    }
    return DX_OK;
}

/* Options -------------------------------------------------------------------------------------- */

static const char *const HANDLERS[] = {"batch", "event", NULL};

#define MEMBER(member) .offset = offsetof(dxi_bench_settings_t, member)
#define LIST(text, member, reader, meaning)                                                        \
    {                                                                                              \
        .name = (text), .kind = DXI_OPTION_CUSTOM, .value_name = "LIST", MEMBER(member),           \
        .parse = (reader), .help = (meaning)                                                       \
    }
#define INTEGER(text, member, lowest, highest, meaning)                                            \
    {                                                                                              \
        .name = (text), .kind = DXI_OPTION_INTEGER, .value_name = "N", MEMBER(member),             \
        .low = (lowest), .high = (highest), .help = (meaning)                                      \
    }
#define FLAG(text, member, meaning)                                                                \
    {                                                                                              \
        .name = (text), .kind = DXI_OPTION_FLAG, MEMBER(member), .help = (meaning)                 \
    }

static const dxi_option_t OPTIONS[] = {
    LIST("scenario", scenarios, scenarios_parse, "which ones, with commas (default: all)"),
    LIST("batch", batches, batches_parse, "events per publication, such as 1,10,64"),
    LIST("event-bytes", event_bytes, sizes_parse, "size of an event, such as 8,64,256"),
    LIST("wait", waits, waits_parse,
         "wait strategies of all threads, or all: busy-spin, yielding, blocking, adaptive ..."),
    {.name = "capacity",
     .kind = DXI_OPTION_POWER,
     .value_name = "N",
     MEMBER(capacity),
     .low = DX_RING_SLOT_COUNT_MIN,
     .high = DX_RING_SLOT_COUNT_MAX,
     .help = "slots of the ring (default: 64 Ki, 8 Ki or 1 Ki, as LMAX's tests)"},
    {.name = "handler",
     .kind = DXI_OPTION_CHOICE,
     .value_name = "WHAT",
     MEMBER(handler),
     .choices = HANDLERS,
     .help = "what a handler gets a call: batch (default) or event"},
    INTEGER("events", events, 1, (int64_t)DXI_BENCH_EVENTS_MAX,
            "events a run, instead of --seconds"),
    {.name = "seconds",
     .kind = DXI_OPTION_CUSTOM,
     .value_name = "S",
     MEMBER(run_ns),
     .parse = seconds_parse,
     .help = "length of a run (default 0.5, quick 0.1)"},
    INTEGER("rounds", rounds, 1, DXI_BENCH_ROUNDS_MAX, "runs of each row (default 5, quick 3)"),
    LIST("cpus", cpus, cpus_parse,
         "thread i runs on the i-th of these CPUs (default: one of each "
         "core first)"),
    {.name = "pace",
     .kind = DXI_OPTION_DURATION,
     .value_name = "TIME",
     MEMBER(pace_ns),
     .low = 0,
     .high = DXI_BENCH_PACE_NS_MAX,
     .help = "time between events of the latency scenarios; pingpong: 0, as fast as it goes"},
    INTEGER("follow", follow, -1, 1 << 20,
            "slots a consumer stays behind a busy producer (0: the library's choice, -1: none)"),
    {.name = "hgrm",
     .kind = DXI_OPTION_TEXT,
     .value_name = "FILE",
     MEMBER(hgrm),
     .help = "write the latency distribution for HdrHistogram's plotter; one latency row only"},
    FLAG("shared", shared, "each scenario also between two processes, and the two compared"),
    LIST("attached", attached, attached_parse,
         "guard, guard-idle: processes that are attached and idle (default 0,2,8,32)"),
    FLAG("quick", quick, "a first look: 3 rounds of 0.1 s"),
    FLAG("spans", spans, "events of any size, and what they cost more than slots and memcpy()"),
    FLAG("oversubscribe", oversubscribe, "also run what needs more cores than there are"),
    FLAG("list", list, "name the scenarios and end"),
};

static const char DESCRIPTION[] =
    "Measures the ring in the topologies of LMAX's performance tests, and in some\n"
    "that they lack. Every consumer adds up all words of its events; a run whose\n"
    "sums are wrong fails.\n"
    "\n"
    "Throughput. `median M/s` is the median over the rounds of events published a\n"
    "second, from the start of the first producer until the last consumer is done;\n"
    "q1 and q3 are quartiles, spread is their distance in per cent of the median:\n"
    "above 20 the machine was busy and the row says little. `avg batch` is how many\n"
    "events a consumer got at once: rows with very different batches ran in\n"
    "different regimes, and their rates compare badly. `ns/event` is 1 / rate, not\n"
    "how long an event takes.\n"
    "\n"
    "Latency. Percentiles over all rounds, of single events, with one reading of the\n"
    "clock inside. pingpong is a round trip over two rings; with --pace, stalls are\n"
    "corrected for coordinated omission. one-way counts from the time an event was\n"
    "due, so a late producer counts as well. pipeline3-latency is a third of the way\n"
    "through three stages, from publication. wakeup is from publication to a handler\n"
    "whose thread slept; futex is the same without a ring: judge one by the other.\n"
    "churn is the longest gap between two publications while a consumer is added and\n"
    "removed; churn-still is the same while nothing changes.\n"
    "\n"
    "Spans (--spans). Payloads of 32, 56 and 1,024 bytes in spans, beside slots of\n"
    "the same size; copy-1k is one thread that copies as much with memcpy(). Both\n"
    "sides touch every byte: event-bytes times rate is the bandwidth.\n"
    "\n"
    "Idle. CPU time of the process in per cent of one core while a consumer waits.\n"
    "\n"
    "Shared. With --shared, every row is measured twice in each round: between\n"
    "threads of one process over a private ring, and between two processes over a\n"
    "shared one. `ratio` is the median over the rounds of the second by the first: of\n"
    "rates, more is better; of times (their p50), less. Within 5 % is the target. The\n"
    "scenarios guard and guard-idle say what it costs that processes look after each\n"
    "other.\n"
    "\n"
    "A run in which other programs used more than 8 % of the machine is repeated\n"
    "twice at most; `disturbed` counts the rounds in which that did not help: measure\n"
    "again when it is quiet.\n"
    "\n"
    "Not measured: your handlers' work; starting and stopping; memory of other NUMA\n"
    "nodes; rows that need more cores than there are (named at the end).\n"
    "Frequency scaling, neighbours on the host and other programs are in every\n"
    "number: compare rows of one report, and reports of one machine.\n";

static const dxi_usage_t USAGE = {
    .command = COMMAND,
    .description = DESCRIPTION,
    .options = OPTIONS,
    .option_count = sizeof OPTIONS / sizeof OPTIONS[0],
    .examples = "  dx bench ring --quick\n"
                "  dx bench ring --scenario 1p1c --batch 1,10,64 --event-bytes 8,64,256\n"
                "  dx bench ring --scenario pingpong --wait all\n"
                "  dx bench ring --scenario wakeup,futex --rounds 9\n"
                "  dx bench ring --scenario one-way --pace 10us --hgrm one-way.hgrm\n"
                "  dx bench ring --shared --rounds 9 --seconds 0.2\n"
                "  dx bench ring --scenario guard,guard-idle\n"
                "  dx bench ring --quick -o json\n",
};

/* The command ---------------------------------------------------------------------------------- */

static int scenarios_print(void)
{
    for (size_t i = 0; i < dxi_bench_scenario_count; i++) {
        printf("%-18s %s\n", dxi_bench_scenarios[i].name, dxi_bench_scenarios[i].title);
    }
    return DXI_EXIT_OK;
}

/* The only latency row that is measured; NULL when there is none, or more than one. */
static const dxi_bench_row_t *hgrm_row(const dxi_bench_plan_t *plan)
{
    const dxi_bench_row_t *found = NULL;
    for (uint32_t i = 0; i < plan->row_count; i++) {
        const dxi_bench_row_t *const row = &plan->rows[i];
        if (row->latency != NULL && row->reason[0] == '\0') {
            if (found != NULL) {
                return NULL;
            }
            found = row;
        }
    }
    return found;
}

static int hgrm_write(const char *path, const dxi_bench_plan_t *plan, dx_error_t *error)
{
    FILE *const file = fopen(path, "we");
    if (file == NULL) {
        return dxi_fail_os(error, DX_EIO, errno, "%.100s cannot be written", path);
    }
    int result = dx_histogram_write_hgrm(hgrm_row(plan)->latency, file, HGRM_TICKS,
                                         (double)DX_NS_PER_US, error);
    if (fclose(file) != 0 && result == DX_OK) {
        result = dxi_fail_os(error, DX_EIO, errno, "%.100s cannot be written", path);
    }
    return result;
}

static int plan_execute(const dxi_bench_settings_t *settings, dxi_bench_plan_t *plan)
{
    dx_error_t error = {0};
    if (settings->hgrm != NULL && hgrm_row(plan) == NULL) {
        (void)dxi_fail(&error, DX_EINVAL,
                       "--hgrm needs exactly one latency row, such as "
                       "--scenario pingpong");
        return dxi_usage_error(&USAGE, &error);
    }
    int result = dxi_bench_plan_run(settings, plan, &error);
    if (result == DX_OK && settings->hgrm != NULL) {
        result = hgrm_write(settings->hgrm, plan, &error);
    }
    if (result != DX_OK) {
        dxi_complain_error(COMMAND, &error);
        return DXI_EXIT_FAILED;
    }
    return dxi_bench_report(plan);
}

int dxi_bench_ring_command(int argc, char **argv)
{
    dxi_bench_settings_t settings = {.pace_ns = -1};
    dxi_operands_t operands;
    const int begun = dxi_arguments_begin(&USAGE, argc, argv, &settings, &operands);
    if (begun != DXI_GO_ON) {
        return begun;
    }
    if (settings.list) {
        return scenarios_print();
    }
    dx_error_t error = {0};
    dxi_bench_plan_t *plan = NULL;
    int result = DX_OK;
    if (settings.cpus.count == 0) {
        result = dxi_bench_cpus_default(&settings.cpus, &error);
    }
    if (result == DX_OK) {
        result = dxi_bench_plan_create(&settings, &plan, &error);
    }
    if (result == DX_EINVAL || result == DX_ELIMIT) {
        return dxi_usage_error(&USAGE, &error);
    }
    if (result != DX_OK) {
        dxi_complain_error(COMMAND, &error);
        return DXI_EXIT_FAILED;
    }
    result = plan_execute(&settings, plan);
    dxi_bench_plan_destroy(plan);
    return result;
}
