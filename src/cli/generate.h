/* cli/generate.h - what `dx generate` writes that is made of tables.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_GENERATE_H
#define DXI_CLI_GENERATE_H

#include <stdio.h>

#include "cli/commands.h"

/* A page of the manual: "dx", "dx-topic", "dx-node.yaml". Returns 0 when there is no such page,
 * else its section. Threads: main. */
int dxi_man_write(FILE *stream, const char *page);

/* Calls `visit` with the name and section of each page. Threads: main. */
void dxi_man_each(void (*visit)(void *context, const char *page, int section), void *context);

/* dx-node.yaml(5), without the head that all pages have (generate_man_config.c). Threads: main. */
void dxi_man_config_write(FILE *stream);

/* A text as roff: what would be a request or an escape is harmless, `words` in back quotes are
 * bold. Threads: any. */
void dxi_roff_write(FILE *stream, const char *text, size_t bytes);

/* Completions of a shell. Threads: main. */
void dxi_completion_bash(FILE *stream);
void dxi_completion_zsh(FILE *stream);
void dxi_completion_fish(FILE *stream);

/* `dx generate man`; argv[0] is "man". */
int dxi_generate_man(int argc, char **argv);

/* `dx generate completion`; argv[0] is "completion". */
int dxi_generate_completion(int argc, char **argv);

#endif
