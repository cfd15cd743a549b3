/* ask.c - questions to a node.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/ask.h"

#include <stdio.h>

#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/target.h"
#include "disruptorx/clock.h"

#define ANSWER_BYTES 4194304 /* a node with many connections has much to say */

json_t *dxi_node_question(const char *speaker, const char *question, const char *argument,
                          int *exit_code_out)
{
    static char text[ANSWER_BYTES];
    dx_client_t *client = NULL;
    dx_error_t error = {0};
    json_error_t problem;
    dxi_interrupt_catch();
    *exit_code_out = dxi_target_connect(speaker, NULL, &client);
    if (*exit_code_out != DXI_CONNECTED) {
        return NULL;
    }
    const int result = dx_client_ask(client, question, argument, text, sizeof text, &error);
    (void)dx_client_close(client, DX_NS_PER_S);
    if (result != DX_OK) {
        dxi_complain_error(speaker, &error);
        *exit_code_out = result == DX_EINVAL || result == DX_ENOTFOUND
                             ? DXI_EXIT_USAGE
                             : dxi_target_exit_code(result);
        return NULL;
    }
    json_t *const root = json_loads(text, 0, &problem);
    if (root == NULL) {
        dxi_complain(speaker, "the answer of the node is no JSON: %s", problem.text);
        *exit_code_out = DXI_EXIT_FAILED;
        return NULL;
    }
    *exit_code_out = DXI_EXIT_OK;
    return root;
}

const char *dxi_answer_text(const json_t *object, const char *key)
{
    const char *const text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

int dxi_answer_print(const char *speaker, const json_t *root)
{
    if (json_dumpf(root, stdout, JSON_INDENT(2)) != 0) {
        dxi_complain(speaker, "the answer can't be printed");
        return DXI_EXIT_FAILED;
    }
    putchar('\n');
    return DXI_EXIT_OK;
}
