/* cli/bench.h - the benchmarks of `dx bench`, each a command of its own.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_BENCH_H
#define DXI_CLI_BENCH_H

/* `dx bench ring`; argv[0] is "ring". Returns an exit code. Threads: main. */
int dxi_bench_ring_command(int argc, char **argv);

/* `dx bench counter`; argv[0] is "counter". Returns an exit code. Threads: main. */
int dxi_bench_counter_command(int argc, char **argv);

/* `dx bench bus`, and `dx bench pub`, `sub` and `e2e` on a node. Return exit codes. Threads:
 * main. */
int dxi_bench_bus_command(int argc, char **argv);
int dxi_bench_pub_command(int argc, char **argv);
int dxi_bench_sub_command(int argc, char **argv);
int dxi_bench_e2e_command(int argc, char **argv);

/* `dx bench local`: a direct topic between two processes. Returns an exit code. Threads: main. */
int dxi_bench_local_command(int argc, char **argv);

#endif
