/* ask.c - questions to a node.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/ask.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/fail.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/target.h"
#include "cli/topic_print.h"
#include "disruptorx/clock.h"

/* Room for an answer: it grows when one does not fit. The first is more than any answer to a
 * question that changes something (at most each option, before and after), so that none of these is
 * asked twice; what is not used of it costs nothing. */
#define ANSWER_BYTES_FIRST 1048576
#define ANSWER_BYTES_MAX 134217728 /* more than a node sends */

json_t *dxi_ask(dx_client_t *client, const char *question, const char *argument, dx_error_t *error)
{
    json_error_t problem;
    char *text = NULL;
    int result = DX_OK;
    bool too_small = true;
    for (size_t bytes = ANSWER_BYTES_FIRST; too_small && bytes <= ANSWER_BYTES_MAX; bytes *= 8) {
        free(text);
        text = malloc(bytes);
        if (text == NULL) {
            result = dxi_fail(error, DX_ENOMEM, "no memory for the answer to %s", question);
            break;
        }
        result = dx_client_ask(client, question, argument, text, bytes, error);
        /* Without the beginning of an answer it is the node that has reached a limit. */
        too_small = result == DX_ELIMIT && text[0] != '\0';
    }
    json_t *const root = result == DX_OK ? json_loads(text, 0, &problem) : NULL;
    if (result == DX_OK && root == NULL) {
        (void)dxi_fail(error, DX_EPARSE, "the answer of the node is no JSON: %.100s", problem.text);
    }
    free(text);
    return root;
}

json_t *dxi_ask_topics(dx_client_t *client, dx_error_t *error)
{
    dxi_topic_list_t list = {0};
    char *text = NULL;
    size_t bytes = 0;
    json_t *topics = NULL;
    const int result = dx_client_topic_list(client, NULL, dxi_topic_list_add, &list, error);
    FILE *const stream = result < 0 ? NULL : open_memstream(&text, &bytes);
    if (stream != NULL) {
        const int written = dxi_topic_list_json(&list, stream);
        if (fclose(stream) == 0 && written == DXI_EXIT_OK && !list.out_of_memory) {
            topics = json_loadb(text, bytes, 0, NULL);
        }
        free(text);
    }
    if (result >= 0 && topics == NULL) {
        (void)dxi_fail(error, DX_ENOMEM, "no memory for the topics of the node");
    }
    dxi_topic_list_free(&list);
    return topics;
}

json_t *dxi_node_question(const char *speaker, const char *question, const char *argument,
                          int *exit_code_out)
{
    dx_client_t *client = NULL;
    dx_error_t error = {0};
    dxi_interrupt_catch();
    *exit_code_out = dxi_target_connect(speaker, NULL, &client);
    if (*exit_code_out != DXI_CONNECTED) {
        return NULL;
    }
    json_t *const root = dxi_ask(client, question, argument, &error);
    (void)dx_client_close(client, DX_NS_PER_S);
    *exit_code_out = DXI_EXIT_OK;
    if (root == NULL) {
        dxi_complain_error(speaker, &error);
        /* Without an argument it is something of the node's that is wrong or gone. */
        const bool is_usage =
            argument[0] != '\0' && (error.code == DX_EINVAL || error.code == DX_ENOTFOUND);
        *exit_code_out = is_usage ? DXI_EXIT_USAGE : dxi_target_exit_code(error.code);
    }
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
