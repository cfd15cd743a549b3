/* cli/topic_print.h - topics as a table, as a page, or as JSON.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_TOPIC_PRINT_H
#define DXI_CLI_TOPIC_PRINT_H

#include <stddef.h>
#include <stdio.h>

#include "disruptorx/bus.h"

/* Topics that were listed. All zero is an empty list. */
typedef struct dxi_topic_list {
    dx_topic_stats_t *items;
    size_t count;
    size_t capacity;
    bool out_of_memory;
} dxi_topic_list_t;

/* A dx_topic_visitor_t; `context` is the list. Threads: owner. */
void dxi_topic_list_add(void *context, const dx_topic_stats_t *stats);
void dxi_topic_list_free(dxi_topic_list_t *list);

/* Print to standard output as dxi_output() says; `pattern` is what was asked for, NULL: everything.
 * Return exit codes. Threads: main. */
int dxi_topic_list_print(const dxi_topic_list_t *list, const char *pattern);
int dxi_topic_info_print(const dx_topic_stats_t *stats);

/* A list as JSON. Returns an exit code. Threads: any. */
int dxi_topic_list_json(const dxi_topic_list_t *list, FILE *stream);

/* "orders.created: created", or the same as JSON. */
int dxi_topic_done_print(const char *name, const char *what);

#endif
