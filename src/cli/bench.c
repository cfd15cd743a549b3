/* cli/bench.c - `dx bench`: the list of benchmarks. A new one is a row in BENCHES.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/bench.h"

#include <stddef.h>

#include "cli/commands.h"
#include "cli/options.h"

static const dxi_command_t BENCHES[] = {
    {"ring", "throughput, latency and idle cost of the ring, in every topology",
     dxi_bench_ring_command},
    {"counter", "what a shared counter costs: plain, atomic, compare-and-swap, lock",
     dxi_bench_counter_command},
    {"bus", "from publish to handler through the bus, in one process", dxi_bench_bus_command},
    {"e2e", "through a node: publishers and subscribers", dxi_bench_e2e_command},
    {"local", "between two processes of this host, through a direct topic",
     dxi_bench_local_command},
    {"pub", "through a node: publishers only", dxi_bench_pub_command},
    {"sub", "through a node: subscribers only", dxi_bench_sub_command},
    {NULL, NULL, NULL},
};

static const dxi_usage_t USAGE = {
    .command = "dx bench",
    .operands = "NAME ...",
    .description = "Measures DisruptorX on this machine. `dx help bench NAME` explains what each\n"
                   "number means and what is not measured.\n",
    .examples = "  dx bench ring --quick\n  dx bench ring --scenario 1p1c,pingpong\n"
                "  dx help bench counter\n",
    .stops_at_operands = 1,
    .actions = BENCHES,
    .noun = "benchmark",
};

int dxi_cli_bench(int argc, char **argv)
{
    return dxi_command_group(&USAGE, argc, argv);
}
