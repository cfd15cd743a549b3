/* doctor_machine.c - checks of processors, memory and kernel.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "base/sysfs.h"
#include "cli/doctor.h"
#include "disruptorx/thread.h"

#define MIB INT64_C(1048576)
#define GIB (1024 * MIB)
#define TEXT_BYTES 16384 /* /proc/stat of a large machine is longer: its first line is enough */
#define CPUS_FOR_ISOLATION 4

static int64_t number_of(const char *text, int64_t fallback)
{
    char *end = NULL;
    const long long number = strtoll(text, &end, 10);
    return end == text ? fallback : (int64_t)number;
}

int dxi_numbers_read(const char *text, int64_t *numbers_out, int room)
{
    int count = 0;
    char *end = NULL;
    while (count < room) {
        const long long number = strtoll(text, &end, 10);
        if (end == text) {
            break;
        }
        numbers_out[count++] = (int64_t)number;
        text = end + (*end == '.');
    }
    return count;
}

int64_t dxi_proc_field(const char *text, const char *key)
{
    const size_t bytes = strlen(key);
    for (const char *line = text; line != NULL && *line != '\0'; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, bytes) == 0 && (line[bytes] == ':' || line[bytes] == ' ')) {
            const char *const number = line + bytes + strspn(line + bytes, ": \t");
            return number_of(number, -1);
        }
    }
    return -1;
}

/* A field of /proc/meminfo in bytes, -1 when there is none. */
static int64_t memory_field(const dxi_doctor_t *doctor, const char *key)
{
    char text[TEXT_BYTES];
    (void)dxi_sysfs_read(doctor->proc, text, sizeof text, "meminfo");
    const int64_t kib = dxi_proc_field(text, key);
    return kib < 0 ? -1 : kib * 1024;
}

static const char *bytes_text(dxi_text_t *text, int64_t bytes)
{
    return dxi_format_bytes(text, (uint64_t)(bytes > 0 ? bytes : 0));
}

/* --------------------------------------------------------------------------------------- kernel */

void dxi_check_kernel(const dxi_doctor_t *doctor, dxi_finding_t *finding)
{
    char release[128];
    int64_t version[2];
    if (dxi_sysfs_read(doctor->proc, release, sizeof release, "sys/kernel/osrelease") != DX_OK ||
        dxi_numbers_read(release, version, 2) != 2) {
        dxi_found(finding, "the version is not known");
        return;
    }
    const int64_t major = version[0];
    const int64_t minor = version[1];
    dxi_found(finding, "Linux %s", release);
    if (major < 4 || (major == 4 && minor < 14)) {
        dxi_advise(finding, DXI_DOCTOR_BAD,
                   "DisruptorX is tested from Linux 5.10 on; this one "
                   "lacks calls that it needs.");
    } else if (major < 5 || (major == 5 && minor < 10)) {
        dxi_advise(finding, DXI_DOCTOR_ADVICE, "DisruptorX is tested from Linux 5.10 on.");
    }
}

/* ----------------------------------------------------------------------------------- processors */

static int cpu_count(const dxi_doctor_t *doctor)
{
    char text[1024];
    dx_cpu_set_t cpus;
    if (dxi_sysfs_read(doctor->sys, text, sizeof text, "devices/system/cpu/online") != DX_OK ||
        dx_cpu_set_parse(text, &cpus, NULL) != DX_OK) {
        return 0;
    }
    return (int)dx_cpu_set_count(&cpus);
}

void dxi_check_cpus(const dxi_doctor_t *doctor, dxi_finding_t *finding)
{
    char text[4096];
    char group[1024];
    const int cpus = cpu_count(doctor);
    (void)dxi_sysfs_read(doctor->proc, text, sizeof text, "self/cgroup");
    dxi_cgroup_path(text, group, sizeof group);
    const uint32_t quota = dxi_cgroup_quota_millicpus(doctor->sys, group);
    dxi_number_for(finding, "cpus", cpus);
    dxi_number_for(finding, "quota_millicpus", quota);
    if (quota == 0) {
        dxi_found(finding, "%d, and no limit", cpus);
    } else {
        dxi_found(finding, "%d, of which a control group allows %.2f", cpus, quota / 1000.0);
        dxi_advise(finding, quota < 1000 ? DXI_DOCTOR_BAD : DXI_DOCTOR_ADVICE,
                   "A limit stops all threads until the next period when it is used up: "
                   "latencies of 100 ms. Give whole processors (a cpuset) instead.");
        dxi_command_for(finding, "sudo systemctl set-property disruptorx CPUQuota= "
                                 "AllowedCPUs=2-3");
    }
    if (cpus == 1) {
        dxi_advise(finding, DXI_DOCTOR_ADVICE,
                   "With one processor clients and node take turns: "
                   "each round trip waits for the scheduler.");
    }
}

void dxi_check_governor(const dxi_doctor_t *doctor, dxi_finding_t *finding)
{
    char text[1024];
    char other[64] = "";
    dx_cpu_set_t cpus;
    int known = 0;
    int slow = 0;
    if (dxi_sysfs_read(doctor->sys, text, sizeof text, "devices/system/cpu/online") != DX_OK ||
        dx_cpu_set_parse(text, &cpus, NULL) != DX_OK) {
        dxi_found(finding, "the processors are not known");
        return;
    }
    for (int32_t cpu = dx_cpu_set_next(&cpus, 0); cpu >= 0;
         cpu = dx_cpu_set_next(&cpus, (uint32_t)cpu + 1)) {
        char governor[64];
        if (dxi_sysfs_read(doctor->sys, governor, sizeof governor,
                           "devices/system/cpu/cpu%d/cpufreq/scaling_governor", cpu) != DX_OK) {
            continue;
        }
        known++;
        if (strcmp(governor, "performance") != 0) {
            slow++;
            snprintf(other, sizeof other, "%s", governor);
        }
    }
    dxi_number_for(finding, "cpus_not_performance", slow);
    if (known == 0) {
        dxi_found(finding, "none: the host or the firmware decides");
    } else if (slow == 0) {
        dxi_found(finding, "performance");
    } else {
        dxi_found(finding, "%s on %d of %d processors", other, slow, known);
        dxi_advise(finding, DXI_DOCTOR_ADVICE,
                   "A processor that was idle is slow for its first milliseconds.");
        dxi_command_for(finding, "sudo cpupower frequency-set -g performance");
    }
}

void dxi_check_isolated(const dxi_doctor_t *doctor, dxi_finding_t *finding)
{
    char text[1024];
    const int cpus = cpu_count(doctor);
    (void)dxi_sysfs_read(doctor->sys, text, sizeof text, "devices/system/cpu/isolated");
    if (text[0] != '\0') {
        dxi_found(finding, "%s; give them to bus.cpus", text);
        return;
    }
    dxi_found(finding, "none");
    if (cpus >= CPUS_FOR_ISOLATION) {
        dxi_advise(finding, DXI_DOCTOR_ADVICE,
                   "Where the worst latency counts, keep everything else away from the loops' "
                   "processors: a kernel option, then bus.cpus.");
        dxi_command_for(finding,
                        "sudo sed -i 's/^GRUB_CMDLINE_LINUX=\"/&isolcpus=2-3 nohz_full=2-3 "
                        "rcu_nocbs=2-3 /' /etc/default/grub && sudo update-grub");
    }
}

void dxi_check_steal(const dxi_doctor_t *doctor, dxi_finding_t *finding)
{
    char text[TEXT_BYTES];
    int64_t ticks[8]; /* user, nice, system, idle, waiting, interrupts twice, stolen */
    (void)dxi_sysfs_read(doctor->proc, text, sizeof text, "stat");
    if (strncmp(text, "cpu ", 4) != 0 || dxi_numbers_read(text + 4, ticks, 8) != 8) {
        dxi_found(finding, "not known");
        return;
    }
    int64_t busy = -ticks[3] - ticks[4];
    for (int i = 0; i < 8; i++) {
        busy += ticks[i];
    }
    const double share = busy > 0 ? 100.0 * (double)ticks[7] / (double)busy : 0;
    dxi_found(finding, "%.1f %% of the busy time since the start", share);
    dxi_number_for(finding, "steal_permille", (int64_t)(share * 10));
    if (share >= 2) {
        dxi_advise(finding, share >= 20 ? DXI_DOCTOR_BAD : DXI_DOCTOR_ADVICE,
                   "The host gives the time of this machine to others: threads stand still in "
                   "the middle of anything. Take a machine with processors of its own.");
    }
}

void dxi_check_numa(const dxi_doctor_t *doctor, dxi_finding_t *finding)
{
    char text[256];
    char balancing[32];
    dx_cpu_set_t nodes;
    (void)dxi_sysfs_read(doctor->sys, text, sizeof text, "devices/system/node/online");
    const bool known = text[0] != '\0' && dx_cpu_set_parse(text, &nodes, NULL) == DX_OK;
    const int count = known ? (int)dx_cpu_set_count(&nodes) : 1;
    dxi_number_for(finding, "nodes", count);
    if (count <= 1) {
        dxi_found(finding, "one node: all memory is near");
        return;
    }
    (void)dxi_sysfs_read(doctor->proc, balancing, sizeof balancing, "sys/kernel/numa_balancing");
    const bool moves = balancing[0] == '1' || balancing[0] == '2' || balancing[0] == '3';
    dxi_found(finding, "%d nodes (%s), balancing %s", count, text, moves ? "on" : "off");
    if (moves) {
        dxi_advise(finding, DXI_DOCTOR_ADVICE,
                   "The kernel unmaps pages now and then to see who uses them. Keep the node on "
                   "one memory node (bus.cpus), and turn that off.");
        dxi_command_for(finding, "sudo sysctl kernel.numa_balancing=0");
    }
}

/* --------------------------------------------------------------------------------------- memory */

void dxi_check_memory(const dxi_doctor_t *doctor, dxi_finding_t *finding)
{
    const int64_t all = memory_field(doctor, "MemTotal");
    const int64_t available = memory_field(doctor, "MemAvailable");
    dxi_number_for(finding, "available_bytes", available);
    dxi_number_for(finding, "needed_bytes", doctor->memory_bytes);
    if (available < 0) {
        dxi_found(finding, "not known");
        return;
    }
    dxi_found(finding, "%s of %s available; a node with its defaults, or --config, may use %s",
              bytes_text(&(dxi_text_t){0}, available), bytes_text(&(dxi_text_t){0}, all),
              bytes_text(&(dxi_text_t){0}, doctor->memory_bytes));
    if (available < doctor->memory_bytes / 2) {
        dxi_advise(finding, DXI_DOCTOR_BAD,
                   "The node would be killed for want of memory when its topics are full: lower "
                   "topics.retain_bytes_max, or take a larger machine.");
    } else if (available < doctor->memory_bytes) {
        dxi_advise(finding, DXI_DOCTOR_ADVICE,
                   "Full topics would take nearly all of it: lower topics.retain_bytes_max.");
    }
}

void dxi_check_swap(const dxi_doctor_t *doctor, dxi_finding_t *finding)
{
    char text[32];
    const int64_t swap = memory_field(doctor, "SwapTotal");
    (void)dxi_sysfs_read(doctor->proc, text, sizeof text, "sys/vm/swappiness");
    const int64_t swappiness = number_of(text, 60);
    dxi_number_for(finding, "swap_bytes", swap);
    if (swap <= 0) {
        dxi_found(finding, "none");
        return;
    }
    dxi_found(finding, "%s, swappiness %lld", bytes_text(&(dxi_text_t){0}, swap),
              (long long)swappiness);
    if (swappiness > 10) {
        dxi_advise(finding, DXI_DOCTOR_ADVICE,
                   "Rings that are swapped out cost milliseconds when they are touched again.");
        dxi_command_for(finding, "sudo sysctl vm.swappiness=1");
    }
}

void dxi_check_huge_pages(const dxi_doctor_t *doctor, dxi_finding_t *finding)
{
    char text[TEXT_BYTES];
    (void)dxi_sysfs_read(doctor->proc, text, sizeof text, "meminfo");
    const int64_t all = dxi_proc_field(text, "HugePages_Total");
    const int64_t left = dxi_proc_field(text, "HugePages_Free");
    const int64_t kib = dxi_proc_field(text, "Hugepagesize");
    dxi_number_for(finding, "total", all);
    dxi_number_for(finding, "free", left);
    if (all < 0 || kib <= 0) {
        dxi_found(finding, "this kernel has none");
        return;
    }
    dxi_found(finding, "%lld of %lld free, %s each", (long long)left, (long long)all,
              bytes_text(&(dxi_text_t){0}, kib * 1024));
    if (left == 0) {
        dxi_advise(finding, DXI_DOCTOR_ADVICE,
                   "Rings in huge pages miss the TLB less. Some for rings: 64 pages.");
        dxi_command_for(finding, "sudo sysctl vm.nr_hugepages=%lld", (long long)all + 64);
    }
}

/* The word in brackets: "always [madvise] never". */
static void chosen(const char *text, char room[32])
{
    const char *const open = strchr(text, '[');
    const char *const close = open == NULL ? NULL : strchr(open, ']');
    snprintf(room, 32, "%.*s", close == NULL ? 0 : (int)(close - open - 1),
             close == NULL ? "" : open + 1);
}

void dxi_check_transparent(const dxi_doctor_t *doctor, dxi_finding_t *finding)
{
    char text[128];
    char enabled[32];
    char defrag[32];
    (void)dxi_sysfs_read(doctor->sys, text, sizeof text, "kernel/mm/transparent_hugepage/enabled");
    chosen(text, enabled);
    (void)dxi_sysfs_read(doctor->sys, text, sizeof text, "kernel/mm/transparent_hugepage/defrag");
    chosen(text, defrag);
    if (enabled[0] == '\0') {
        dxi_found(finding, "this kernel has none");
        return;
    }
    dxi_found(finding, "%s, defrag %s", enabled, defrag[0] != '\0' ? defrag : "not known");
    if (strcmp(enabled, "always") == 0 && strcmp(defrag, "always") == 0) {
        dxi_advise(finding, DXI_DOCTOR_ADVICE,
                   "Any thread that touches new memory may have to wait until the kernel has "
                   "made a huge page of it. DisruptorX asks for them where they help.");
        dxi_command_for(finding,
                        "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled");
    } else if (strcmp(enabled, "never") == 0) {
        dxi_advise(finding, DXI_DOCTOR_ADVICE,
                   "Rings get small pages. DisruptorX asks for huge ones where they help.");
        dxi_command_for(finding,
                        "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled");
    }
}
