/* topics.c - topics of the node, and questions to it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "bus/options.h"
#include "bus/shard.h"
#include "bus/texts.h"
#include "client/internal.h"

/* Opens a call and has it answered. The caller closes `*call_out` when it is not NULL. */
static int ask(dx_client_t *client, const char *what, uint8_t type, const char *topic,
               const void *payload, size_t payload_bytes, dxi_call_t **call_out, dx_error_t *error)
{
    *call_out = NULL;
    int code = dxi_client_may_wait(client, what, error);
    if (code == DX_OK) {
        code = dxi_call_open(client, DXI_CALL_CONTROL, call_out, error);
    }
    if (code == DX_OK) {
        code = dxi_call_control(client, *call_out, type, topic, payload, payload_bytes,
                                dxi_client_deadline(client, 0), error);
    }
    return code;
}

static void done_with(dx_client_t *client, dxi_call_t *call)
{
    if (call != NULL) {
        dxi_call_close(client, call);
    }
}

static int name_check(const char *name, dx_error_t *error)
{
    if (name == NULL) {
        return dxi_fail(error, DX_EINVAL, "name is NULL, must be the name of a topic");
    }
    return dxi_topic_check(name, strnlen(name, DX_TOPIC_BYTES_MAX + 1), error);
}

static int declare(dx_client_t *client, const char *what, uint8_t type, const char *name,
                   const dx_topic_options_t *options, dx_error_t *error)
{
    int code = name_check(name, error);
    if (code == DX_OK && options != NULL) {
        code = dxi_topic_options_check(options, error);
    }
    if (code != DX_OK) {
        return code;
    }
    char *const text = dxi_alloc_zeroed(1, DXI_TEXT_BYTES_MAX);
    if (text == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for the options of a topic");
    }
    const dx_topic_options_t none = {.retain_events = 0};
    const int64_t bytes =
        dxi_topic_options_write(options != NULL ? options : &none, text, DXI_TEXT_BYTES_MAX);
    dxi_call_t *call = NULL;
    code = bytes < 0 ? dxi_fail(error, (int)bytes, "the options of topic %s are too long", name)
                     : ask(client, what, type, name, text, (size_t)bytes, &call, error);
    done_with(client, call);
    dxi_free(text);
    return code;
}

int dx_client_topic_create(dx_client_t *client, const char *name, const dx_topic_options_t *options,
                           dx_error_t *error)
{
    return declare(client, "dx_client_topic_create()", DX_FRAME_TOPIC_CREATE, name, options, error);
}

int dx_client_topic_change(dx_client_t *client, const char *name, const dx_topic_options_t *options,
                           dx_error_t *error)
{
    return declare(client, "dx_client_topic_change()", DX_FRAME_TOPIC_CHANGE, name, options, error);
}

int dx_client_topic_delete(dx_client_t *client, const char *name, dx_error_t *error)
{
    int code = name_check(name, error);
    if (code != DX_OK) {
        return code;
    }
    dxi_call_t *call = NULL;
    code =
        ask(client, "dx_client_topic_delete()", DX_FRAME_TOPIC_DELETE, name, NULL, 0, &call, error);
    done_with(client, call);
    return code;
}

int dx_client_topic_stats(dx_client_t *client, const char *name, dx_topic_stats_t *stats_out,
                          dx_error_t *error)
{
    memset(stats_out, 0, sizeof *stats_out);
    int code = name_check(name, error);
    if (code != DX_OK) {
        return code;
    }
    dxi_call_t *call = NULL;
    code =
        ask(client, "dx_client_topic_stats()", DX_FRAME_TOPIC_STATS, name, NULL, 0, &call, error);
    if (code == DX_OK) {
        code = call->list_bytes == 0
                   ? dxi_fail(error, DX_ENOTFOUND, "the node said nothing of topic %s", name)
                   : dxi_topic_stats_read(call->list, call->list_bytes - 1, stats_out, error);
    }
    done_with(client, call);
    return code;
}

/* Calls `visit` for each text of a list. Returns how many, or why one could not be read. */
static int list_visit(const dxi_call_t *call, dx_topic_visitor_t visit, void *context,
                      dx_error_t *error)
{
    int count = 0;
    for (size_t at = 0; at < call->list_bytes; count++) {
        const size_t bytes = strlen(call->list + at);
        dx_topic_stats_t stats;
        const int code = dxi_topic_stats_read(call->list + at, bytes, &stats, error);
        if (code != DX_OK) {
            return code;
        }
        visit(context, &stats);
        at += bytes + 1;
    }
    return count;
}

int dx_client_topic_list(dx_client_t *client, const char *pattern, dx_topic_visitor_t visit,
                         void *context, dx_error_t *error)
{
    if (visit == NULL) {
        return dxi_fail(error, DX_EINVAL, "visit is NULL, must be a function");
    }
    int code = DX_OK;
    if (pattern != NULL) {
        code = dxi_pattern_check(pattern, strnlen(pattern, DX_TOPIC_BYTES_MAX + 1), error);
        if (code != DX_OK) {
            return code;
        }
    }
    dxi_call_t *call = NULL;
    code =
        ask(client, "dx_client_topic_list()", DX_FRAME_TOPIC_LIST, pattern, NULL, 0, &call, error);
    if (code == DX_OK) {
        code = list_visit(call, visit, context, error);
    }
    done_with(client, call);
    return code;
}

/* ------------------------------------------------------------------------------------ questions */

#define QUESTION_BYTES_MAX 4096 /* question and argument */

int dx_client_ask(dx_client_t *client, const char *question, const char *argument, char *text_out,
                  size_t text_bytes, dx_error_t *error)
{
    return dxi_client_ask(client, question, argument, text_out, text_bytes,
                          dxi_client_deadline(client, 0), error);
}

int dxi_client_ask(dx_client_t *client, const char *question, const char *argument, char *text_out,
                   size_t text_bytes, int64_t deadline_ns, dx_error_t *error)
{
    if (question == NULL || question[0] == 0 || text_out == NULL || text_bytes == 0) {
        return dxi_fail(error, DX_EINVAL, "question and text_out must be there");
    }
    text_out[0] = 0;
    const char *const said = argument != NULL ? argument : "";
    const size_t question_bytes = strlen(question) + 1;
    const size_t bytes = question_bytes + strlen(said);
    char payload[QUESTION_BYTES_MAX];
    if (bytes > sizeof payload) {
        return dxi_fail(error, DX_ELIMIT, "question and argument have %zu bytes, at most %d", bytes,
                        QUESTION_BYTES_MAX);
    }
    memcpy(payload, question, question_bytes);
    memcpy(payload + question_bytes, said, bytes - question_bytes);
    int code = dxi_client_may_wait(client, "dx_client_ask()", error);
    if (code != DX_OK) {
        return code;
    }
    dxi_call_t *call = NULL;
    code = dxi_call_open(client, DXI_CALL_CONTROL, &call, error);
    if (code != DX_OK) {
        return code;
    }
    call->data_out = text_out;
    call->room = text_bytes - 1;
    code = dxi_call_control(client, call, DX_FRAME_ASK, NULL, payload, bytes, deadline_ns, error);
    if (code == DX_OK) {
        text_out[call->bytes < text_bytes - 1 ? call->bytes : text_bytes - 1] = 0;
        if (call->bytes >= text_bytes) {
            code = dxi_fail(error, DX_ELIMIT, "the answer has %zu bytes, there is room for %zu",
                            call->bytes, text_bytes - 1);
        }
    } else {
        text_out[0] = 0;
    }
    dxi_call_close(client, call);
    return code;
}
