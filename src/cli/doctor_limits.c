/* doctor_limits.c - checks of limits, clock, network and disk, and of what was measured.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "base/sysfs.h"
#include "cli/doctor.h"

#define MIB INT64_C(1048576)
#define GIB (1024 * MIB)
#define US INT64_C(1000)
#define MS (1000 * US)
#define DESCRIPTORS_OF_OUR_OWN 64
#define BACKLOG_WANTED 1024
#define TCP_BUFFER_WANTED (4 * MIB)
#define UNIX_BUFFER_WANTED 212992 /* the usual default: less was made so by somebody */

static const char *bytes_text(dxi_text_t *text, int64_t bytes)
{
    return dxi_format_bytes(text, (uint64_t)(bytes > 0 ? bytes : 0));
}

/* --------------------------------------------------------------------------------------- limits */

/* Soft and hard limit of a line of /proc/self/limits; INT64_MAX: unlimited; false: not there. */
static bool limit_read(const dxi_doctor_t *doctor, const char *name, int64_t *soft_out,
                       int64_t *hard_out)
{
    char text[8192];
    char soft[32] = "";
    char hard[32] = "";
    (void)dxi_sysfs_read(doctor->proc, text, sizeof text, "self/limits");
    const char *const line = strstr(text, name);
    if (line == NULL || sscanf(line + strlen(name), "%31s %31s", soft, hard) != 2) {
        return false;
    }
    *soft_out = strcmp(soft, "unlimited") == 0 ? INT64_MAX : strtoll(soft, NULL, 10);
    *hard_out = strcmp(hard, "unlimited") == 0 ? INT64_MAX : strtoll(hard, NULL, 10);
    return true;
}

void dxi_check_descriptors(const dxi_doctor_t *doctor, dxi_finding_t *finding)
{
    int64_t soft = 0;
    int64_t hard = 0;
    const int64_t needed = doctor->connections + DESCRIPTORS_OF_OUR_OWN;
    if (!limit_read(doctor, "Max open files", &soft, &hard)) {
        dxi_found(finding, "not known");
        return;
    }
    dxi_number_for(finding, "hard", hard);
    dxi_number_for(finding, "needed", needed);
    dxi_found(finding, "%s (dx server raises %s to that), %s needed for %s connections",
              hard == INT64_MAX ? "unlimited" : dxi_format_count(&(dxi_text_t){0}, hard),
              soft == INT64_MAX ? "unlimited" : dxi_format_count(&(dxi_text_t){0}, soft),
              dxi_format_count(&(dxi_text_t){0}, needed),
              dxi_format_count(&(dxi_text_t){0}, doctor->connections));
    if (hard < needed) {
        dxi_advise(finding, hard < 1024 ? DXI_DOCTOR_BAD : DXI_DOCTOR_ADVICE,
                   "Connections beyond it are refused: LimitNOFILE= of the unit, or a line in "
                   "/etc/security/limits.d.");
        dxi_command_for(finding, "sudo prlimit --pid $$ --nofile=%" PRId64 ":%" PRId64, needed,
                        needed);
    }
}

void dxi_check_memlock(const dxi_doctor_t *doctor, dxi_finding_t *finding)
{
    int64_t soft = 0;
    int64_t hard = 0;
    if (!limit_read(doctor, "Max locked memory", &soft, &hard)) {
        dxi_found(finding, "not known");
        return;
    }
    if (soft == INT64_MAX || doctor->is_root) {
        dxi_found(finding, doctor->is_root ? "no limit for root" : "unlimited");
        return;
    }
    dxi_found(finding, "%s", bytes_text(&(dxi_text_t){0}, soft));
    dxi_number_for(finding, "soft_bytes", soft);
    if (soft < 64 * MIB) {
        dxi_advise(finding, DXI_DOCTOR_ADVICE,
                   "Rings can't be locked in memory (ring options, memory.lock): LimitMEMLOCK= of "
                   "the unit.");
        dxi_command_for(finding, "sudo prlimit --pid $$ --memlock=unlimited:unlimited");
    }
}

/* ---------------------------------------------------------------------------------------- clock */

void dxi_check_clock_source(const dxi_doctor_t *doctor, dxi_finding_t *finding)
{
    static const char *const quick[] = {"tsc", "kvm-clock", "hyperv_clocksource_tsc_page",
                                        "arch_sys_counter", "xen"};
    char text[64];
    (void)dxi_sysfs_read(doctor->sys, text, sizeof text,
                         "devices/system/clocksource/clocksource0/current_clocksource");
    dxi_found(finding, "%s", text[0] != '\0' ? text : "not known");
    for (size_t i = 0; i < sizeof quick / sizeof quick[0]; i++) {
        if (text[0] == '\0' || strcmp(text, quick[i]) == 0) {
            return;
        }
    }
    dxi_advise(finding, DXI_DOCTOR_BAD,
               "Each look at the clock is a system call and more: about a microsecond.");
    dxi_command_for(finding, "echo tsc | sudo tee "
                             "/sys/devices/system/clocksource/clocksource0/current_clocksource");
}

/* Whether a word stands in a line of words. */
static bool has_word(const char *line, const char *word)
{
    const size_t bytes = strlen(word);
    for (const char *at = line; (at = strstr(at, word)) != NULL; at += bytes) {
        const char *const end = strchr(line, '\n');
        if (end != NULL && at > end) {
            return false;
        }
        if (at > line && at[-1] == ' ' &&
            (at[bytes] == ' ' || at[bytes] == '\n' || at[bytes] == '\0')) {
            return true;
        }
    }
    return false;
}

void dxi_check_tsc(const dxi_doctor_t *doctor, dxi_finding_t *finding)
{
    static char text[65536]; /* the first processor is enough, and may be cut behind it */
    (void)dxi_sysfs_read(doctor->proc, text, sizeof text, "cpuinfo");
    const char *const flags = strstr(text, "\nflags");
    if (flags == NULL) {
        dxi_found(finding, "no x86 processor: its counter is even by design");
        return;
    }
    const bool constant = has_word(flags + 1, "constant_tsc");
    const bool nonstop = has_word(flags + 1, "nonstop_tsc");
    dxi_found(finding, "%s, %s", constant ? "constant" : "not constant",
              nonstop ? "never stops" : "may stop");
    if (!constant || !nonstop) {
        dxi_advise(finding, DXI_DOCTOR_ADVICE,
                   "Latencies are measured by the system's clock instead, 20 to 50 ns a look. A "
                   "virtual machine may hide what its processor can: cpu host-passthrough.");
    }
}

void dxi_check_clock_sync(const dxi_doctor_t *doctor, dxi_finding_t *finding)
{
    if (!doctor->clock_known) {
        dxi_found(finding, "not known");
        return;
    }
    dxi_number_for(finding, "error_us", doctor->clock_error_us);
    if (doctor->clock_synced) {
        dxi_found(finding, "synchronised, off by at most %s",
                  dxi_format_ns(&(dxi_text_t){0}, doctor->clock_error_us * US));
        return;
    }
    dxi_found(finding, "not synchronised");
    dxi_advise(finding, DXI_DOCTOR_ADVICE,
               "Times of events, logs and traces of several machines don't fit together.");
    dxi_command_for(finding, "sudo timedatectl set-ntp true");
}

/* -------------------------------------------------------------------------------------- network */

void dxi_check_somaxconn(const dxi_doctor_t *doctor, dxi_finding_t *finding)
{
    char text[32];
    (void)dxi_sysfs_read(doctor->proc, text, sizeof text, "sys/net/core/somaxconn");
    const int32_t backlog = dxi_sysfs_number(text, -1);
    dxi_number_for(finding, "backlog", backlog);
    if (backlog < 0) {
        dxi_found(finding, "not known");
        return;
    }
    dxi_found(finding, "%d connections may wait to be accepted", backlog);
    if (backlog < BACKLOG_WANTED) {
        dxi_advise(finding, DXI_DOCTOR_ADVICE,
                   "When all clients come back at once, some wait for a second and try again.");
        dxi_command_for(finding, "sudo sysctl net.core.somaxconn=4096");
    }
}

/* The third number of tcp_rmem and tcp_wmem: what a connection may have at most. */
static int64_t tcp_most(const dxi_doctor_t *doctor, const char *name)
{
    char text[128];
    int64_t numbers[3];
    (void)dxi_sysfs_read(doctor->proc, text, sizeof text, "sys/net/ipv4/%s", name);
    return dxi_numbers_read(text, numbers, 3) == 3 ? numbers[2] : -1;
}

void dxi_check_socket_buffers(const dxi_doctor_t *doctor, dxi_finding_t *finding)
{
    char text[32];
    const int64_t in = tcp_most(doctor, "tcp_rmem");
    const int64_t out = tcp_most(doctor, "tcp_wmem");
    (void)dxi_sysfs_read(doctor->proc, text, sizeof text, "sys/net/core/wmem_default");
    const int64_t local = dxi_sysfs_number(text, -1);
    dxi_number_for(finding, "tcp_rmem_max_bytes", in);
    dxi_number_for(finding, "tcp_wmem_max_bytes", out);
    dxi_number_for(finding, "wmem_default_bytes", local);
    if (in < 0 || out < 0 || local < 0) {
        dxi_found(finding, "not known");
        return;
    }
    dxi_found(finding, "TCP up to %s in and %s out, UNIX sockets %s",
              bytes_text(&(dxi_text_t){0}, in), bytes_text(&(dxi_text_t){0}, out),
              bytes_text(&(dxi_text_t){0}, local));
    if (in < TCP_BUFFER_WANTED || out < TCP_BUFFER_WANTED) {
        dxi_advise(finding, DXI_DOCTOR_ADVICE,
                   "Over a line with 10 ms of delay they allow less than 400 MB/s a connection.");
        dxi_command_for(finding, "sudo sysctl net.ipv4.tcp_rmem='4096 131072 6291456' "
                                 "net.ipv4.tcp_wmem='4096 16384 4194304'");
    } else if (local < UNIX_BUFFER_WANTED) {
        dxi_advise(finding, DXI_DOCTOR_ADVICE,
                   "Sender and receiver on a UNIX socket wait for each other more often.");
        dxi_command_for(finding, "sudo sysctl net.core.wmem_default=%d", UNIX_BUFFER_WANTED);
    }
}

/* ----------------------------------------------------------------------------------------- disk */

void dxi_check_disk_free(const dxi_doctor_t *doctor, dxi_finding_t *finding)
{
    const int64_t left = doctor->disk_free_bytes;
    dxi_number_for(finding, "free_bytes", left);
    if (doctor->disk_bytes <= 0 && doctor->disk_error == 0) {
        dxi_found(finding, "%.100s: not known", doctor->folder);
        return;
    }
    if (doctor->disk_bytes <= 0) {
        dxi_found(finding, "%.100s: not known: %s", doctor->folder, strerror(doctor->disk_error));
        dxi_advise(finding, DXI_DOCTOR_ADVICE, "Name the folder in which the node writes.");
        dxi_command_for(finding, "dx doctor --data FOLDER");
        return;
    }
    const int64_t percent = left * 100 / doctor->disk_bytes;
    dxi_found(finding, "%s of %s at %.60s, %" PRId64 " %%", bytes_text(&(dxi_text_t){0}, left),
              bytes_text(&(dxi_text_t){0}, doctor->disk_bytes), doctor->folder, percent);
    if (percent < 5 || left < GIB / 4) {
        dxi_advise(finding, DXI_DOCTOR_BAD,
                   "Logs will soon have no room; what they can't take is dropped and counted.");
        dxi_command_for(finding, "du -xh -d 2 %.200s | sort -h | tail", doctor->folder);
    } else if (percent < 15) {
        dxi_advise(finding, DXI_DOCTOR_ADVICE, "The alert for disks is at 15 %%.");
        dxi_command_for(finding, "du -xh -d 2 %.200s | sort -h | tail", doctor->folder);
    }
}

/* ------------------------------------------------------------------------------------- measured */

/* "p50 12 us, p99 90 us, max 1.1 ms". False when there is nothing to judge. */
static bool measured_found(dxi_finding_t *finding, const dxi_measured_t *measured)
{
    if (measured->code != DX_OK || measured->count == 0) {
        dxi_found(finding, "could not be measured: %s", measured->problem);
        dxi_advise(finding, DXI_DOCTOR_ADVICE, "Without it nobody knows.");
        return false;
    }
    dxi_number_for(finding, "p50_ns", measured->p50_ns);
    dxi_number_for(finding, "p99_ns", measured->p99_ns);
    dxi_number_for(finding, "max_ns", measured->max_ns);
    dxi_number_for(finding, "count", measured->count);
    dxi_found(finding, "p50 %s, p99 %s, max %s of %d",
              dxi_format_ns(&(dxi_text_t){0}, measured->p50_ns),
              dxi_format_ns(&(dxi_text_t){0}, measured->p99_ns),
              dxi_format_ns(&(dxi_text_t){0}, measured->max_ns), measured->count);
    return true;
}

void dxi_check_disk_sync(const dxi_doctor_t *doctor, dxi_finding_t *finding)
{
    if (!measured_found(finding, &doctor->sync)) {
        dxi_command_for(finding, "dx doctor --data FOLDER");
        return;
    }
    if (doctor->sync.p99_ns >= 50 * MS) {
        dxi_advise(finding, DXI_DOCTOR_BAD,
                   "Whatever waits for the disk waits for that long: take a disk with a cache that "
                   "survives power loss, of its own.");
        dxi_command_for(finding, "iostat -x 1");
    } else if (doctor->sync.p99_ns >= 10 * MS) {
        dxi_advise(finding, DXI_DOCTOR_ADVICE,
                   "An SSD with a protected cache takes 0.1 ms; others share this one?");
        dxi_command_for(finding, "iostat -x 1");
    }
}

void dxi_check_futex_wake(const dxi_doctor_t *doctor, dxi_finding_t *finding)
{
    if (!measured_found(finding, &doctor->wake)) {
        return;
    }
    if (doctor->wake.p50_ns >= MS) {
        dxi_advise(finding, DXI_DOCTOR_BAD,
                   "A thread that sleeps is awake only after that long: the machine is overloaded, "
                   "or its processors sleep too deeply.");
        dxi_command_for(finding, "sudo cpupower idle-set -D 10");
    } else if (doctor->wake.p50_ns >= 50 * US) {
        dxi_advise(finding, DXI_DOCTOR_ADVICE,
                   "5 to 10 us is usual. Forbid deep sleep of processors, or let the loops spin "
                   "(bus.busy_poll).");
        dxi_command_for(finding, "sudo cpupower idle-set -D 10");
    }
}

void dxi_check_loopback(const dxi_doctor_t *doctor, dxi_finding_t *finding)
{
    if (!measured_found(finding, &doctor->loopback)) {
        return;
    }
    if (doctor->loopback.p50_ns >= 5 * MS) {
        dxi_advise(finding, DXI_DOCTOR_BAD,
                   "That is a hundred times the usual: the machine is overloaded, or filters "
                   "(nftables, security software) look at each packet.");
        dxi_command_for(finding, "sudo nft list ruleset");
    } else if (doctor->loopback.p50_ns >= 200 * US) {
        dxi_advise(finding, DXI_DOCTOR_ADVICE,
                   "20 to 60 us is usual. Clients of this machine are quicker over unix:// or "
                   "shm://.");
        dxi_command_for(finding, "dx latency --dev");
    }
}
