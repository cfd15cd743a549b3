/* command_tree.c - the tree of commands, found by asking each for its help.
 *
 * A command hands its usage to dxi_usage_print() when it is called with --help, and does nothing
 * else then. So there is no second table that could say something else.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/command_tree.h"

#include <stddef.h>
#include <stdio.h>

static void usage_take(void *context, const dxi_usage_t *usage)
{
    const dxi_usage_t **const taken = context;
    *taken = usage;
}

const dxi_usage_t *dxi_command_usage(const dxi_command_t *command)
{
    const dxi_usage_t *usage = NULL;
    static char help_option[] = "--help";
    char name[64];
    snprintf(name, sizeof name, "%s", command->name);
    char *words[] = {name, help_option, NULL};
    dxi_usage_listen(usage_take, &usage);
    (void)command->run(2, words); /* it is taken, so there is nothing that could fail */
    dxi_usage_listen(NULL, NULL);
    return usage;
}

const dxi_command_t *dxi_command_actions(const dxi_usage_t *usage)
{
    static const dxi_command_t none[] = {{NULL, NULL, NULL}};
    return usage->actions != NULL ? usage->actions : none;
}

#define DEPTH 3 /* of "dx generate completion bash" */

static void table_walk(const dxi_command_t *table, int depth, dxi_command_visitor_t visit,
                       void *context)
{
    for (; table->name != NULL; table++) {
        const dxi_usage_t *const usage = dxi_command_usage(table);
        if (usage == NULL) {
            continue;
        }
        visit(context, table->summary, usage);
        if (depth > 0) {
            table_walk(dxi_command_actions(usage), depth - 1, visit, context);
        }
    }
}

void dxi_command_walk(dxi_command_visitor_t visit, void *context)
{
    visit(context, "a native Disruptor and the node that is built on it", dxi_commands_usage());
    table_walk(dxi_commands(), DEPTH - 1, visit, context);
}
