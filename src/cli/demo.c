/* demo.c - `dx demo`: the list of demonstrations. A new one is a row in DEMOS.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stddef.h>
#include <stdio.h>

#include "cli/commands.h"
#include "cli/options.h"
#include "cli/output.h"

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
};

static void demos_print(void)
{
    printf("\n%sDemonstrations%s\n", dxi_style(stdout, DXI_STYLE_HEADING),
           dxi_style(stdout, DXI_STYLE_PLAIN));
    dxi_command_list(DEMOS);
}

int dxi_cli_demo(int argc, char **argv)
{
    dxi_operands_t operands;
    dx_error_t error = {0};
    const int parsed = dxi_arguments_parse(&USAGE, argc, argv, NULL, &operands, &error);
    if (parsed == DXI_PARSED_HELP) {
        dxi_usage_print(&USAGE, stdout);
        demos_print();
        return DXI_EXIT_OK;
    }
    if (parsed != DX_OK) {
        return dxi_usage_error(&USAGE, &error);
    }
    if (operands.count == 0) {
        dxi_complain("dx demo", "which demonstration? There are: orders, shared");
        fputs("Help: dx demo --help\n", stderr);
        return DXI_EXIT_USAGE;
    }
    const dxi_command_t *const demo = dxi_command_find(DEMOS, "dx demo", operands.texts[0]);
    return demo == NULL ? DXI_EXIT_USAGE : demo->run(operands.count, operands.texts);
}
