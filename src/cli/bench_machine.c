/* cli/bench_machine.c - a few lines about the machine, from /proc and /sys.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/bench_machine.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli/output.h"

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

#define STEAL_COLUMN 8 /* of the line "cpu" in /proc/stat */

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

static int64_t steal_ms_read(void)
{
    char line[256] = "";
    line_read("/proc/stat", NULL, line, sizeof line);
    unsigned long long ticks[STEAL_COLUMN] = {0};
    const int read =
        sscanf(line, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &ticks[0], &ticks[1], &ticks[2],
               &ticks[3], &ticks[4], &ticks[5], &ticks[6], &ticks[7]);
    const long ticks_per_second = sysconf(_SC_CLK_TCK);
    if (read != STEAL_COLUMN || ticks_per_second <= 0) {
        return -1;
    }
    return (int64_t)ticks[STEAL_COLUMN - 1] * 1000 / ticks_per_second;
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
    m->steal_ms = steal_ms_read();
#ifndef NDEBUG
    m->assertions = true;
#endif
}

/* What the host took since `since`, -1 when unknown. */
static int64_t stolen_since(const dxi_bench_machine_t *since)
{
    const int64_t now = steal_ms_read();
    return now < 0 || since->steal_ms < 0 ? -1 : now - since->steal_ms;
}

void dxi_bench_machine_print(const dxi_bench_machine_t *since)
{
    printf("machine   %s, %u cores%s, %s, governor %s\n", since->model, since->cores,
           since->hypervisor ? " (guest)" : "", since->kernel, since->governor);
    const int64_t stolen = stolen_since(since);
    printf("build     %s%s", since->compiler, since->assertions ? ", WITH ASSERTIONS" : "");
    if (stolen >= 0) {
        printf("; the host took %lld ms of CPU time during the run", (long long)stolen);
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
    dxi_json_integer(json, "stolen_ms", stolen_since(since));
    dxi_json_object_end(json);
}
