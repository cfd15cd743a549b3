/* cli/ask.h - questions to a node, and its answers, for the commands that print them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_ASK_H
#define DXI_CLI_ASK_H

#include <jansson.h>

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
