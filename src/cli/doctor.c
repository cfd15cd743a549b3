/* doctor.c - `dx doctor`: is this machine fit for a node, and what to do about it.
 *
 * It needs no rights, changes nothing but a temporary file, and asks no node.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/doctor.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/output.h"
#include "disruptorx/config.h"

#define COMMAND "dx doctor"
#define NODE_BYTES (INT64_C(64) << 20)  /* of a node beside its rings and topics */
#define RECEIPTS_BYTES INT64_C(8388608) /* of publishers, in each shard: src/bus/dedup.c */

static const dxi_doctor_check_t CHECKS[] = {
    {"kernel", dxi_check_kernel, false},
    {"cpus", dxi_check_cpus, false},
    {"cpu governor", dxi_check_governor, false},
    {"isolated cpus", dxi_check_isolated, false},
    {"steal", dxi_check_steal, false},
    {"numa", dxi_check_numa, false},
    {"memory", dxi_check_memory, false},
    {"swap", dxi_check_swap, false},
    {"huge pages", dxi_check_huge_pages, false},
    {"transparent", dxi_check_transparent, false},
    {"descriptors", dxi_check_descriptors, false},
    {"locked memory", dxi_check_memlock, false},
    {"clock source", dxi_check_clock_source, false},
    {"tsc", dxi_check_tsc, false},
    {"clock sync", dxi_check_clock_sync, false},
    {"somaxconn", dxi_check_somaxconn, false},
    {"socket buffers", dxi_check_socket_buffers, false},
    {"disk free", dxi_check_disk_free, false},
    {"disk sync", dxi_check_disk_sync, true},
    {"futex wake", dxi_check_futex_wake, true},
    {"tcp loopback", dxi_check_loopback, true},
};

#define CHECK_COUNT (sizeof CHECKS / sizeof CHECKS[0])

const dxi_doctor_check_t *dxi_doctor_checks(size_t *count_out)
{
    *count_out = CHECK_COUNT;
    return CHECKS;
}

const char *dxi_verdict_name(dxi_verdict_t verdict)
{
    static const char *const names[] = {"ok", "advice", "bad"};
    return names[verdict];
}

void dxi_doctor_look(const dxi_doctor_t *doctor, const dxi_doctor_check_t *check,
                     dxi_finding_t *finding_out)
{
    memset(finding_out, 0, sizeof *finding_out);
    finding_out->name = check->name;
    check->check(doctor, finding_out);
}

/* ------------------------------------------------------------------------------------- findings */

void dxi_found(dxi_finding_t *finding, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(finding->found, sizeof finding->found, format, arguments);
    va_end(arguments);
}

void dxi_advise(dxi_finding_t *finding, dxi_verdict_t verdict, const char *format, ...)
{
    va_list arguments;
    finding->verdict = verdict > finding->verdict ? verdict : finding->verdict;
    va_start(arguments, format);
    (void)vsnprintf(finding->advice, sizeof finding->advice, format, arguments);
    va_end(arguments);
}

void dxi_command_for(dxi_finding_t *finding, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(finding->command, sizeof finding->command, format, arguments);
    va_end(arguments);
}

void dxi_number_for(dxi_finding_t *finding, const char *key, int64_t value)
{
    if (finding->number_count < DXI_FINDING_NUMBERS_MAX) {
        finding->numbers[finding->number_count].key = key;
        finding->numbers[finding->number_count++].value = value;
    }
}

/* -------------------------------------------------------------------------------------- options */

typedef struct settings {
    const char *data;
    const char *config;
    bool quick;
} settings_t;

static const dxi_option_t OPTIONS[] = {
    {.name = "data",
     .letter = 'd',
     .kind = DXI_OPTION_TEXT,
     .value_name = "DIR",
     .offset = offsetof(settings_t, data),
     .help = "where the node would write: its disk is looked at; default: the current folder"},
    {.name = "config",
     .letter = 'c',
     .kind = DXI_OPTION_TEXT,
     .value_name = "FILE",
     .offset = offsetof(settings_t, config),
     .help = "what the node needs follows from this configuration instead of the defaults"},
    {.name = "quick",
     .letter = 'q',
     .kind = DXI_OPTION_FLAG,
     .offset = offsetof(settings_t, quick),
     .help = "measure nothing: without disk sync, futex wake and tcp loopback"},
};

static const dxi_usage_t USAGE = {
    .command = COMMAND,
    .description =
        "Looks whether this machine is fit for a node, and says for each thing what it\n"
        "found, whether that is well, and the command that makes it better. It needs no\n"
        "rights and changes nothing; it measures the disk in a temporary file of --data,\n"
        "the wake-up of a thread and a round trip over 127.0.0.1, at most a second each.\n"
        "\n"
        "Exit codes: 0 all is well, or there is only advice; 1 something is bad.\n",
    .options = OPTIONS,
    .option_count = sizeof OPTIONS / sizeof OPTIONS[0],
    .examples = "  dx doctor\n"
                "  dx doctor --data /var/lib/disruptorx -c /etc/disruptorx/node.yaml\n"
                "  dx doctor -o json | jq -r '.checks[] | select(.verdict != \"ok\") | .command'\n",
};

/* ------------------------------------------------------------------------------------ gathering */

/* What a node may use, by its configuration. Returns an exit code, or DXI_GO_ON. */
static int needs_read(const settings_t *settings, dxi_doctor_t *doctor)
{
    dx_config_t *config = NULL;
    dx_error_t error = {0};
    int result = dx_config_create(&config, &error);
    if (result == DX_OK && settings->config != NULL) {
        result = dx_config_load(config, settings->config, &error);
    }
    if (result != DX_OK) {
        dxi_complain_error(COMMAND, &error);
        dx_config_destroy(config);
        return DXI_EXIT_FAILED;
    }
    doctor->connections = dx_config_integer(config, "limits.connections_max");
    const int64_t shard_bytes = dx_config_integer(config, "bus.shard_ring_bytes") + RECEIPTS_BYTES;
    doctor->memory_bytes = NODE_BYTES + dx_config_integer(config, "topics.retain_bytes_max") +
                           dx_config_integer(config, "bus.shards") * shard_bytes;
    dx_config_destroy(config);
    return DXI_GO_ON;
}

static void facts_read(dxi_doctor_t *doctor)
{
    struct statvfs disk;
    struct timex clock = {.modes = 0};
    if (statvfs(doctor->folder, &disk) == 0) {
        doctor->disk_bytes = (int64_t)disk.f_blocks * (int64_t)disk.f_frsize;
        doctor->disk_free_bytes = (int64_t)disk.f_bavail * (int64_t)disk.f_frsize;
    } else {
        doctor->disk_error = errno;
    }
    const int state = adjtimex(&clock);
    doctor->clock_known = state >= 0;
    doctor->clock_synced = state >= 0 && (clock.status & STA_UNSYNC) == 0;
    doctor->clock_error_us = clock.maxerror;
    doctor->is_root = geteuid() == 0;
}

static const char *measuring; /* for the progress */

/* Shows how far it is. True when somebody wants it to end. */
static bool progress(int done, int all)
{
    if (isatty(STDERR_FILENO) && !dxi_output_is_json() && done % (all / 20) == 0) {
        fprintf(stderr, "\r\x1b[Kmeasuring: %s %d %%", measuring, done * 100 / all);
        fflush(stderr);
    }
    return dxi_interrupted();
}

static void measure(dxi_doctor_t *doctor)
{
    measuring = "disk sync";
    dxi_measure_sync(doctor->folder, progress, &doctor->sync);
    measuring = "futex wake";
    dxi_measure_wake(progress, &doctor->wake);
    measuring = "tcp loopback";
    dxi_measure_loopback(progress, &doctor->loopback);
    if (isatty(STDERR_FILENO) && !dxi_output_is_json()) {
        fputs("\r\x1b[K", stderr);
        fflush(stderr);
    }
}

/* ------------------------------------------------------------------------------------- printing */

static void finding_print(const dxi_finding_t *finding)
{
    static const dxi_style_t styles[] = {DXI_STYLE_GOOD, DXI_STYLE_WARNING, DXI_STYLE_ERROR};
    static const char *const words[] = {"ok", "advice", "BAD"};
    const int32_t width = dxi_output_width(stdout);
    printf("%s%-7s%s %-15s ", dxi_style(stdout, styles[finding->verdict]), words[finding->verdict],
           dxi_style(stdout, DXI_STYLE_PLAIN), finding->name);
    dxi_print_wrapped(stdout, finding->found, 24, 24, width);
    if (finding->advice[0] != '\0') {
        printf("%24s", "");
        dxi_print_wrapped(stdout, finding->advice, 24, 24, width);
    }
    if (finding->command[0] != '\0') { /* never broken: it is to be copied */
        printf("%24s%s%s%s\n", "", dxi_style(stdout, DXI_STYLE_HEADING), finding->command,
               dxi_style(stdout, DXI_STYLE_PLAIN));
    }
}

static void finding_json(dxi_json_t *json, const dxi_finding_t *finding)
{
    dxi_json_object_begin(json, NULL);
    dxi_json_text(json, "name", finding->name);
    dxi_json_text(json, "verdict", dxi_verdict_name(finding->verdict));
    dxi_json_text(json, "found", finding->found);
    dxi_json_text(json, "advice", finding->advice);
    dxi_json_text(json, "command", finding->command);
    dxi_json_object_begin(json, "numbers");
    for (int i = 0; i < finding->number_count; i++) {
        dxi_json_integer(json, finding->numbers[i].key, finding->numbers[i].value);
    }
    dxi_json_object_end(json);
    dxi_json_object_end(json);
}

static void report_json(FILE *stream, const dxi_finding_t *findings, size_t count,
                        const int counts[3])
{
    dxi_json_t json;
    dxi_json_begin(&json, stream);
    dxi_json_object_begin(&json, NULL);
    dxi_json_array_begin(&json, "checks");
    for (size_t i = 0; i < count; i++) {
        finding_json(&json, &findings[i]);
    }
    dxi_json_array_end(&json);
    for (int i = 0; i < 3; i++) {
        dxi_json_integer(&json, dxi_verdict_name((dxi_verdict_t)i), counts[i]);
    }
    dxi_json_object_end(&json);
    (void)dxi_json_finish(&json); /* who has the stream looks at it in the end */
}

static void report_text(const dxi_finding_t *findings, size_t count, const int counts[3])
{
    for (size_t i = 0; i < count; i++) {
        finding_print(&findings[i]);
    }
    printf("\n%d ok, %d with advice, %d bad\n", counts[DXI_DOCTOR_OK], counts[DXI_DOCTOR_ADVICE],
           counts[DXI_DOCTOR_BAD]);
}

/* ------------------------------------------------------------------------------------- commands */

/* All findings of a machine. Returns an exit code, or DXI_GO_ON. */
static int examine(const settings_t *settings, dxi_finding_t findings[CHECK_COUNT],
                   size_t *count_out, int counts_out[3])
{
    dxi_doctor_t doctor = {
        .proc = "/proc", .sys = "/sys", .folder = settings->data, .measures = !settings->quick};
    const int needs = needs_read(settings, &doctor);
    *count_out = 0;
    memset(counts_out, 0, 3 * sizeof *counts_out);
    if (needs != DXI_GO_ON) {
        return needs;
    }
    facts_read(&doctor);
    if (doctor.measures) {
        measure(&doctor);
    }
    for (size_t i = 0; i < CHECK_COUNT; i++) {
        if (doctor.measures || !CHECKS[i].is_measured) {
            dxi_finding_t *const finding = &findings[(*count_out)++];
            dxi_doctor_look(&doctor, &CHECKS[i], finding);
            counts_out[finding->verdict]++;
        }
    }
    return DXI_GO_ON;
}

bool dxi_doctor_write(FILE *stream, const char *folder, const char *config, bool measures)
{
    static dxi_finding_t findings[CHECK_COUNT];
    const settings_t settings = {.data = folder, .config = config, .quick = !measures};
    size_t count = 0;
    int counts[3];
    if (examine(&settings, findings, &count, counts) != DXI_GO_ON) {
        return false;
    }
    report_json(stream, findings, count, counts);
    return true;
}

int dxi_cli_doctor(int argc, char **argv)
{
    static dxi_finding_t findings[CHECK_COUNT];
    settings_t settings = {.data = "."};
    dxi_operands_t operands;
    size_t count = 0;
    int counts[3];
    int result = dxi_arguments_begin(&USAGE, argc, argv, &settings, &operands);
    if (result != DXI_GO_ON) {
        return result;
    }
    dxi_interrupt_catch();
    result = examine(&settings, findings, &count, counts);
    if (result != DXI_GO_ON) {
        return result;
    }
    if (dxi_interrupted()) {
        dxi_complain(COMMAND, "interrupted");
        return DXI_EXIT_FAILED;
    }
    if (dxi_output_is_json()) {
        report_json(stdout, findings, count, counts);
    } else {
        report_text(findings, count, counts);
    }
    return counts[DXI_DOCTOR_BAD] > 0 ? DXI_EXIT_FAILED : DXI_EXIT_OK;
}
