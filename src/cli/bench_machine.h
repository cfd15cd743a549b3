/* cli/bench_machine.h - the machine a benchmark ran on, for its report; and where its threads go.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_BENCH_MACHINE_H
#define DXI_CLI_BENCH_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/json.h"
#include "disruptorx/error.h"
#include "disruptorx/platform.h"

#define DXI_BENCH_CPUS_MAX 256u

/* CPUs in the order of the threads that go there. */
typedef struct dxi_bench_cpus {
    uint32_t count;
    uint32_t cpus[DXI_BENCH_CPUS_MAX];
} dxi_bench_cpus_t;

/* Reads a list such as "2,0" or "4-7", keeping its order: thread i goes to the i-th.
 * Returns DX_OK, DX_EPARSE, DX_ELIMIT.
 * Threads: any. */
DX_NODISCARD int dxi_bench_cpus_parse(const char *text, dxi_bench_cpus_t *cpus_out,
                                      dx_error_t *error);

/* The CPUs this process may use, one hardware thread of each core first, then the siblings.
 * Returns DX_OK, or what dx_topology_create() returns.
 * Threads: any. */
DX_NODISCARD int dxi_bench_cpus_default(dxi_bench_cpus_t *cpus_out, dx_error_t *error);

/* CPU time used so far, in milliseconds; `busy_ms` is -1 where /proc/stat is unreadable. */
typedef struct dxi_bench_load {
    int64_t busy_ms;  /* by everybody on this machine */
    int64_t steal_ms; /* taken by the host */
    int64_t own_ms;   /* by this process and its children that have ended */
    int64_t now_ms;   /* the time */
} dxi_bench_load_t;

/* Threads: any. */
void dxi_bench_load_read(dxi_bench_load_t *load_out);

/* What other programs and the host used since `since`, in per cent of the machine's CPU time; -1
 * when unknown. Good to 10 ms: use it for runs that are longer.
 * Threads: any. */
double dxi_bench_load_others(const dxi_bench_load_t *since);

typedef struct dxi_bench_machine {
    char model[96];    /* of the processor; "unknown" where the system does not say */
    char kernel[96];   /* "Linux 6.18.5 x86_64" */
    char governor[32]; /* of the first CPU used; "unknown" in most guests */
    char compiler[64];
    uint32_t cores;        /* this process may use */
    bool hypervisor;       /* a guest: neighbours may take time from it */
    bool assertions;       /* a debug build: its numbers say nothing about a release */
    dxi_bench_load_t load; /* at the time of the reading */
} dxi_bench_machine_t;

/* Looks at the machine as it is now. Never fails: what is unreadable is "unknown".
 * Threads: any. */
void dxi_bench_machine_read(const dxi_bench_cpus_t *cpus, dxi_bench_machine_t *machine_out);

/* Two lines for eyes, on standard output. `since` is an earlier reading. */
void dxi_bench_machine_print(const dxi_bench_machine_t *since);

/* The object "machine". */
void dxi_bench_machine_json(const dxi_bench_machine_t *since, dxi_json_t *json);

#endif
