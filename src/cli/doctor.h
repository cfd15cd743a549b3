/* cli/doctor.h - what `dx doctor` looks at: is this machine fit for a node?
 *
 * Each check is one row of a table and one function that fills in a finding: what it found, whether
 * that is well, and what to do about it. Checks read files below two roots, so that a test can give
 * a machine of its own; what is no file (limits of a file system, the state of the clock, measured
 * times) is put into `dxi_doctor_t` beforehand.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_DOCTOR_H
#define DXI_CLI_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "disruptorx/error.h"
#include "disruptorx/platform.h"

typedef enum dxi_verdict {
    DXI_DOCTOR_OK = 0,
    DXI_DOCTOR_ADVICE = 1, /* it works; it would work better */
    DXI_DOCTOR_BAD = 2     /* a node would suffer */
} dxi_verdict_t;

#define DXI_FINDING_NUMBERS_MAX 4

typedef struct dxi_finding {
    const char *name;
    dxi_verdict_t verdict;
    char found[200];
    char advice[300];  /* why, one sentence; "": nothing to do */
    char command[300]; /* that does it, for a shell; "": none */
    int number_count;  /* for programs */
    struct {
        const char *key;
        int64_t value;
    } numbers[DXI_FINDING_NUMBERS_MAX];
} dxi_finding_t;

/* Times of something that was done again and again. */
typedef struct dxi_measured {
    int32_t code; /* DX_OK, or why there is none */
    int32_t count;
    int64_t p50_ns;
    int64_t p99_ns;
    int64_t max_ns;
    char problem[160];
} dxi_measured_t;

typedef struct dxi_doctor {
    const char *proc; /* "/proc" */
    const char *sys;  /* "/sys" */

    /* What the node will need. */
    int64_t connections;
    int64_t memory_bytes;

    /* What is no file. */
    const char *folder; /* of the data */
    int64_t disk_bytes; /* 0: not known */
    int64_t disk_free_bytes;
    int disk_error; /* errno of looking at the folder; 0: none */
    bool clock_known;
    bool clock_synced;
    int64_t clock_error_us;
    bool is_root;

    bool measures; /* false: the next three are left out */
    dxi_measured_t sync;
    dxi_measured_t wake;
    dxi_measured_t loopback;
} dxi_doctor_t;

typedef struct dxi_doctor_check {
    const char *name;
    void (*check)(const dxi_doctor_t *doctor, dxi_finding_t *finding);
    bool is_measured;
} dxi_doctor_check_t;

/* The table. Threads: any. */
const dxi_doctor_check_t *dxi_doctor_checks(size_t *count_out);

/* One check by its name, as above. Threads: any. */
void dxi_doctor_look(const dxi_doctor_t *doctor, const dxi_doctor_check_t *check,
                     dxi_finding_t *finding_out);

/* Looks at all of it and writes the report as JSON; `config` may be NULL. False when the
 * configuration can't be read, which is said. Threads: main. */
bool dxi_doctor_write(FILE *stream, const char *folder, const char *config, bool measures);

/* "ok", "advice", "bad". Threads: any. */
const char *dxi_verdict_name(dxi_verdict_t verdict);

/* The checks that read files of the kernel's own: doctor_machine.c; limits, network, clock and what
 * was measured: doctor_limits.c. */
void dxi_check_kernel(const dxi_doctor_t *doctor, dxi_finding_t *finding);
void dxi_check_cpus(const dxi_doctor_t *doctor, dxi_finding_t *finding);
void dxi_check_governor(const dxi_doctor_t *doctor, dxi_finding_t *finding);
void dxi_check_isolated(const dxi_doctor_t *doctor, dxi_finding_t *finding);
void dxi_check_steal(const dxi_doctor_t *doctor, dxi_finding_t *finding);
void dxi_check_numa(const dxi_doctor_t *doctor, dxi_finding_t *finding);
void dxi_check_memory(const dxi_doctor_t *doctor, dxi_finding_t *finding);
void dxi_check_swap(const dxi_doctor_t *doctor, dxi_finding_t *finding);
void dxi_check_huge_pages(const dxi_doctor_t *doctor, dxi_finding_t *finding);
void dxi_check_transparent(const dxi_doctor_t *doctor, dxi_finding_t *finding);
void dxi_check_descriptors(const dxi_doctor_t *doctor, dxi_finding_t *finding);
void dxi_check_memlock(const dxi_doctor_t *doctor, dxi_finding_t *finding);
void dxi_check_clock_source(const dxi_doctor_t *doctor, dxi_finding_t *finding);
void dxi_check_tsc(const dxi_doctor_t *doctor, dxi_finding_t *finding);
void dxi_check_clock_sync(const dxi_doctor_t *doctor, dxi_finding_t *finding);
void dxi_check_somaxconn(const dxi_doctor_t *doctor, dxi_finding_t *finding);
void dxi_check_socket_buffers(const dxi_doctor_t *doctor, dxi_finding_t *finding);
void dxi_check_disk_free(const dxi_doctor_t *doctor, dxi_finding_t *finding);
void dxi_check_disk_sync(const dxi_doctor_t *doctor, dxi_finding_t *finding);
void dxi_check_futex_wake(const dxi_doctor_t *doctor, dxi_finding_t *finding);
void dxi_check_loopback(const dxi_doctor_t *doctor, dxi_finding_t *finding);

/* For checks: fill parts of a finding in. */
DX_PRINTF(2, 3) void dxi_found(dxi_finding_t *finding, const char *format, ...);
DX_PRINTF(3, 4)
void dxi_advise(dxi_finding_t *finding, dxi_verdict_t verdict, const char *format, ...);
DX_PRINTF(2, 3) void dxi_command_for(dxi_finding_t *finding, const char *format, ...);
void dxi_number_for(dxi_finding_t *finding, const char *key, int64_t value);

/* The number behind "key" in a file of lines such as "MemTotal:  16384 kB"; -1 when there is none.
 * Threads: any. */
int64_t dxi_proc_field(const char *text, const char *key);

/* Numbers with blanks, tabs or a point between them. Returns how many there are, at most `room`.
 * Threads: any. */
int dxi_numbers_read(const char *text, int64_t *numbers_out, int room);

/* Measures (doctor_measure.c). Each takes at most about a second; `stop` ends it early.
 * Threads: main. */
void dxi_measure_sync(const char *folder, bool (*stop)(int done, int all), dxi_measured_t *out);
void dxi_measure_wake(bool (*stop)(int done, int all), dxi_measured_t *out);
void dxi_measure_loopback(bool (*stop)(int done, int all), dxi_measured_t *out);

#endif
