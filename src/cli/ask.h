/* cli/ask.h - questions to a node, and its answers, for the commands that print them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_ASK_H
#define DXI_CLI_ASK_H

#include <jansson.h>

#include "disruptorx/client.h"

/* The answer to a question, which the caller gives back with json_decref(); NULL with a sentence.
 * Threads: any, no handler. */
json_t *dxi_ask(dx_client_t *client, const char *question, const char *argument, dx_error_t *error);

/* All topics but those of the bus itself, as dx topic ls -o json prints them.
 * Threads: any, no handler. */
json_t *dxi_ask_topics(dx_client_t *client, dx_error_t *error);

/* Connects and asks. Returns the answer, which the caller gives back with json_decref(); NULL when
 * it failed: then it is said, and `*exit_code_out` is what the program ends with.
 * Threads: main. */
json_t *dxi_node_question(const char *speaker, const char *question, const char *argument,
                          int *exit_code_out);

/* A text of an object, or "". Threads: any. */
const char *dxi_answer_text(const json_t *object, const char *key);

/* Prints an answer as JSON. Returns an exit code. Threads: main. */
int dxi_answer_print(const char *speaker, const json_t *root);

#endif
