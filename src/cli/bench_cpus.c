/* cli/bench_cpus.c - which thread runs on which CPU.
 *
 * By default the hardware threads of different cores come first: two threads on one core share what
 * is measured. What a user lists is taken in that order.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "base/fail.h"
#include "cli/bench_machine.h"
#include "disruptorx/thread.h"

#define PIECE_BYTES 32

static int append(const dx_cpu_set_t *set, dxi_bench_cpus_t *cpus, dx_error_t *error)
{
    for (int32_t cpu = dx_cpu_set_next(set, 0); cpu >= 0;
         cpu = dx_cpu_set_next(set, (uint32_t)cpu + 1)) {
        if (cpus->count == DXI_BENCH_CPUS_MAX) {
            return dxi_fail(error, DX_ELIMIT, "more than %u CPUs are listed", DXI_BENCH_CPUS_MAX);
        }
        cpus->cpus[cpus->count++] = (uint32_t)cpu;
    }
    return DX_OK;
}

int dxi_bench_cpus_parse(const char *text, dxi_bench_cpus_t *cpus_out, dx_error_t *error)
{
    *cpus_out = (dxi_bench_cpus_t){0};
    for (const char *at = text;;) {
        const size_t bytes = strcspn(at, ",");
        char piece[PIECE_BYTES] = {0};
        if (bytes == 0 || bytes >= sizeof piece) {
            return dxi_fail(error, DX_EPARSE, "\"%.40s\" must be a list such as 0,2-5", text);
        }
        memcpy(piece, at, bytes);
        dx_cpu_set_t set;
        int result = dx_cpu_set_parse(piece, &set, error);
        if (result == DX_OK) {
            result = append(&set, cpus_out, error);
        }
        if (result != DX_OK || at[bytes] == '\0') {
            return result;
        }
        at += bytes + 1;
    }
}

int dxi_bench_cpus_default(dxi_bench_cpus_t *cpus_out, dx_error_t *error)
{
    *cpus_out = (dxi_bench_cpus_t){0};
    const dx_topology_t *topology = NULL;
    int result = dx_topology_create(NULL, &topology, error);
    if (result != DX_OK) {
        return result;
    }
    for (int32_t sibling = 0; sibling < 8 && result == DX_OK; sibling++) {
        dx_cpu_set_t set = {0};
        for (int32_t cpu = dx_cpu_set_next(&topology->allowed, 0); cpu >= 0;
             cpu = dx_cpu_set_next(&topology->allowed, (uint32_t)cpu + 1)) {
            const int32_t index = topology->cpus[cpu].smt_index;
            if (index == sibling || (sibling == 0 && index < 0)) {
                dx_cpu_set_add(&set, (uint32_t)cpu);
            }
        }
        result = append(&set, cpus_out, error);
    }
    dx_topology_destroy(topology);
    return result;
}
