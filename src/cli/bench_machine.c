/* cli/bench_machine.c - a few lines about the machine, from /proc and /sys.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/bench_machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "disruptorx/clock.h"

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

/* Columns of the line "cpu" in /proc/stat: user, nice, system, idle, iowait, irq, softirq,
 * steal. */
enum { STAT_IDLE = 3, STAT_WAIT = 4, STAT_STEAL = 7, STAT_COUNT = 8 };

/* The rest of the first line of a file that begins with `key` and has a colon, or the whole first
 * line for a NULL key. */
static void line_read(const char *path, const char *key, char *text_out, size_t text_bytes)
{
    FILE *const file = fopen(path, "re");
    if (file == NULL) {
        return;
    }
    char line[512];
    while (fgets(line, sizeof line, file) != NULL) {
        const char *value = line;
        if (key != NULL) {
            const char *const colon = strchr(line, ':');
            if (strncmp(line, key, strlen(key)) != 0 || colon == NULL) {
                continue;
            }
            value = colon + 1 + strspn(colon + 1, " \t");
        }
        (void)snprintf(text_out, text_bytes, "%.*s", (int)strcspn(value, "\n"), value);
        break;
    }
    (void)fclose(file);
}

/* The first numbers of a text such as "cpu  123 4 56". Returns how many there were. */
static size_t numbers_read(const char *text, unsigned long long *numbers_out, size_t max)
{
    size_t count = 0;
    const char *at = text + strcspn(text, "0123456789");
    while (count < max && *at != '\0') {
        char *end = NULL;
        numbers_out[count++] = strtoull(at, &end, 10);
        at = end + strcspn(end, "0123456789");
    }
    return count;
}

static int64_t cpu_ms(const struct rusage *usage)
{
    return ((int64_t)usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000 +
           ((int64_t)usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) / 1000;
}

void dxi_bench_load_read(dxi_bench_load_t *load_out)
{
    char line[256] = "";
    line_read("/proc/stat", NULL, line, sizeof line);
    unsigned long long ticks[STAT_COUNT] = {0};
    const size_t count = numbers_read(line, ticks, STAT_COUNT);
    const int64_t ticks_per_second = sysconf(_SC_CLK_TCK);
    struct rusage usage;
    struct rusage ended; /* the other processes of shared runs, which have been waited for */
    (void)getrusage(RUSAGE_SELF, &usage);
    (void)getrusage(RUSAGE_CHILDREN, &ended);
    *load_out = (dxi_bench_load_t){
        .busy_ms = -1,
        .now_ms = dx_clock_ns() / DX_NS_PER_MS,
        .own_ms = cpu_ms(&usage) + cpu_ms(&ended),
    };
    if (count == STAT_COUNT && ticks_per_second > 0) {
        unsigned long long busy = 0;
        for (size_t i = 0; i < STAT_COUNT; i++) {
            busy += i == STAT_IDLE || i == STAT_WAIT || i == STAT_STEAL ? 0 : ticks[i];
        }
        load_out->busy_ms = (int64_t)busy * 1000 / ticks_per_second;
        load_out->steal_ms = (int64_t)ticks[STAT_STEAL] * 1000 / ticks_per_second;
    }
}

double dxi_bench_load_others(const dxi_bench_load_t *since)
{
    dxi_bench_load_t now;
    dxi_bench_load_read(&now);
    const int64_t elapsed_ms = (now.now_ms - since->now_ms) * sysconf(_SC_NPROCESSORS_ONLN);
    if (now.busy_ms < 0 || since->busy_ms < 0 || elapsed_ms <= 0) {
        return -1;
    }
    const int64_t others_ms = now.busy_ms - since->busy_ms + (now.steal_ms - since->steal_ms) -
                              (now.own_ms - since->own_ms);
    return others_ms <= 0 ? 0 : 100.0 * (double)others_ms / (double)elapsed_ms;
}

void dxi_bench_machine_read(const dxi_bench_cpus_t *cpus, dxi_bench_machine_t *machine_out)
{
    dxi_bench_machine_t *const m = machine_out;
    *m = (dxi_bench_machine_t){
        .model = "unknown", .kernel = "unknown", .governor = "unknown", .compiler = COMPILER};
    line_read("/proc/cpuinfo", "model name", m->model, sizeof m->model);
    struct utsname name;
    if (uname(&name) == 0) {
        (void)snprintf(m->kernel, sizeof m->kernel, "%.30s %.40s %.20s", name.sysname, name.release,
                       name.machine);
    }
    char path[96];
    (void)snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/cpufreq/scaling_governor",
                   cpus->count > 0 ? cpus->cpus[0] : 0);
    line_read(path, NULL, m->governor, sizeof m->governor);
    char flags[4096] = "";
    line_read("/proc/cpuinfo", "flags", flags, sizeof flags);
    m->hypervisor = strstr(flags, " hypervisor") != NULL;
    m->cores = cpus->count;
    dxi_bench_load_read(&m->load);
#ifndef NDEBUG
    m->assertions = true;
#endif
}

void dxi_bench_machine_print(const dxi_bench_machine_t *since)
{
    printf("machine   %s, %u cores%s, %s, governor %s\n", since->model, since->cores,
           since->hypervisor ? " (guest)" : "", since->kernel, since->governor);
    printf("build     %s%s", since->compiler, since->assertions ? ", WITH ASSERTIONS" : "");
    const double others = dxi_bench_load_others(&since->load);
    if (others >= 0) {
        printf("; other programs and the host used %.1f %% of the CPU time", others);
    }
    putchar('\n');
}

void dxi_bench_machine_json(const dxi_bench_machine_t *since, dxi_json_t *json)
{
    dxi_json_object_begin(json, "machine");
    dxi_json_text(json, "model", since->model);
    dxi_json_integer(json, "cores", since->cores);
    dxi_json_boolean(json, "guest", since->hypervisor);
    dxi_json_text(json, "kernel", since->kernel);
    dxi_json_text(json, "governor", since->governor);
    dxi_json_text(json, "compiler", since->compiler);
    dxi_json_boolean(json, "assertions", since->assertions);
    dxi_json_real(json, "others_percent", dxi_bench_load_others(&since->load));
    dxi_json_object_end(json);
}
