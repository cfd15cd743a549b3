/* cli/commands.h - the commands of the dx program.
 *
 * A command is one row of the table in commands.c and one function. It gets the arguments from its
 * own name on (argv[0] is "bench") and returns an exit code. `dx help NAME` calls it with --help,
 * so every command understands --help: dxi_arguments_begin() in cli/options.h does that.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_COMMANDS_H
#define DXI_CLI_COMMANDS_H

#include <stdio.h>

/* What the shell gets. */
enum dxi_exit {
    DXI_EXIT_OK = 0,
    DXI_EXIT_FAILED = 1,     /* it was understood and did not work */
    DXI_EXIT_USAGE = 2,      /* the command line is wrong; nothing was done */
    DXI_EXIT_UNREACHABLE = 3 /* nobody answered */
};

typedef struct dxi_command {
    const char *name;
    const char *summary; /* one line, for the list */
    int (*run)(int argc, char **argv);
} dxi_command_t;

/* The whole program: global options, then the command. Returns the exit code.
 * Threads: main. */
int dxi_cli_main(int argc, char **argv);

/* Looks a name up in a table that ends with a row of NULLs. NULL when there is none; then a
 * sentence with the nearest name is on standard error, said by `speaker` ("dx", "dx demo").
 * Threads: main. */
const dxi_command_t *dxi_command_find(const dxi_command_t *table, const char *speaker,
                                      const char *name);

/* Prints the names and summaries of such a table.
 * Threads: main. */
void dxi_command_list(const dxi_command_t *table, FILE *stream);

/* The table of `dx` itself, and `dx` as a command. Threads: any. */
const dxi_command_t *dxi_commands(void);
const struct dxi_usage *dxi_commands_usage(void);

struct dxi_usage;

/* A command that only chooses among its usage's actions, as `dx topic ls` does: --help lists them
 * too, and an unknown one is told the nearest. Returns an exit code.
 * Threads: main. */
int dxi_command_group(const struct dxi_usage *usage, int argc, char **argv);

int dxi_cli_bench(int argc, char **argv);
int dxi_cli_bundle(int argc, char **argv);
int dxi_cli_cheat(int argc, char **argv);
int dxi_cli_config(int argc, char **argv);
int dxi_cli_context(int argc, char **argv);
int dxi_cli_demo(int argc, char **argv);
int dxi_cli_doctor(int argc, char **argv);
int dxi_cli_errors(int argc, char **argv);
int dxi_cli_generate(int argc, char **argv);
int dxi_cli_latency(int argc, char **argv);
int dxi_cli_node(int argc, char **argv);
int dxi_cli_pub(int argc, char **argv);
int dxi_cli_reply(int argc, char **argv);
int dxi_cli_request(int argc, char **argv);
int dxi_cli_ring(int argc, char **argv);
int dxi_cli_server(int argc, char **argv);
int dxi_cli_stat(int argc, char **argv);
int dxi_cli_sub(int argc, char **argv);
int dxi_cli_top(int argc, char **argv);
int dxi_cli_topic(int argc, char **argv);
int dxi_cli_user(int argc, char **argv);
int dxi_cli_version(int argc, char **argv);

/* `dx demo orders`; argv[0] is "orders". */
int dxi_demo_orders(int argc, char **argv);

/* `dx demo shared`; argv[0] is "shared". */
int dxi_demo_shared(int argc, char **argv);

/* `dx ring dump`; argv[0] is "dump". */
int dxi_ring_dump(int argc, char **argv);

#endif
