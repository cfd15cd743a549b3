/* demo.c - `dx demo`: the list of demonstrations. A new one is a row in DEMOS.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stddef.h>

#include "cli/commands.h"
#include "cli/options.h"

static const dxi_command_t DEMOS[] = {
    {"orders", "orders through a node: validate -> inventory, payment -> fulfil", dxi_demo_orders},
    {"shared", "a producer and two consumers, each a process: look at them, kill one",
     dxi_demo_shared},
    {NULL, NULL, NULL},
};

static const dxi_usage_t USAGE = {
    .command = "dx demo",
    .operands = "NAME ...",
    .description = "Runs a demonstration. `dx help demo NAME` explains it.\n",
    .examples = "  dx demo orders\n  dx help demo orders\n",
    .stops_at_operands = 1,
    .actions = DEMOS,
    .noun = "demonstration",
};

int dxi_cli_demo(int argc, char **argv)
{
    return dxi_command_group(&USAGE, argc, argv);
}
