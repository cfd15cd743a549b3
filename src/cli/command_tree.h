/* cli/command_tree.h - all commands with what they say of themselves, for the manual's pages and
 * completions.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_COMMAND_TREE_H
#define DXI_CLI_COMMAND_TREE_H

#include "cli/commands.h"
#include "cli/options.h"

/* What a command prints for --help, as its usage. NULL when it has none, which is a defect.
 * Threads: main. */
const dxi_usage_t *dxi_command_usage(const dxi_command_t *command);

/* The actions of a usage; an empty table where it has none. Threads: any. */
const dxi_command_t *dxi_command_actions(const dxi_usage_t *usage);

/* Calls `visit` for `dx` itself and every command under it, parents first. How it is called
 * stands in its usage: "dx topic ls".
 * Threads: main. */
typedef void (*dxi_command_visitor_t)(void *context, const char *summary, const dxi_usage_t *usage);
void dxi_command_walk(dxi_command_visitor_t visit, void *context);

#endif
