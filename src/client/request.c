/* request.c - requests and replies.
 *
 * A request is a REQUEST frame in the window, with a call's correlation, that names the client's
 * inbox as the topic for answers. The inbox is a subscription of the client's own, made before the
 * first request and again after each reconnect; a REQUEST stays in the window until the node has it
 * (send.c). An answer is an event of the inbox with the correlation. A request is sent at most
 * once: one that was under way when the connection broke gets no answer, which its deadline tells.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "base/fail.h"
#include "client/internal.h"
#include "trace/context.h"
#include "wire/topic_name.h"

/* Publishes the REQUEST of a call. */
static int request_publish(dx_client_t *client, const dx_message_t *message, const dxi_call_t *call,
                           int64_t deadline_ns, dx_error_t *error)
{
    dx_message_t request = *message;
    request.correlation = dxi_call_correlation(call);
    request.reply_to = client->inbox;
    dx_store32_relaxed(&client->inbox_wanted, 1);
    return dxi_publish(client, DX_FRAME_REQUEST, &request, NULL, NULL, deadline_ns, error);
}

int dx_client_request(dx_client_t *client, const dx_message_t *message, int64_t timeout_ns,
                      void *data_out, size_t *bytes_inout, dx_error_t *error)
{
    const size_t room = *bytes_inout;
    *bytes_inout = 0;
    int code = dxi_client_may_wait(client, "dx_client_request()", error);
    if (code != DX_OK) {
        return code;
    }
    if (message->topic == NULL) {
        return dxi_fail(error, DX_EINVAL, "topic is NULL, must be the name of a topic");
    }
    code = dxi_topic_check(message->topic, strnlen(message->topic, DX_TOPIC_BYTES_MAX + 1), error);
    if (code != DX_OK) {
        return code; /* here: what is no name must not get into a sentence */
    }
    dxi_call_t *call = NULL;
    code = dxi_call_open(client, DXI_CALL_REQUEST, &call, error);
    if (code != DX_OK) {
        return code;
    }
    const int64_t deadline_ns = dxi_client_deadline(client, timeout_ns);
    call->data_out = data_out;
    call->room = data_out != NULL ? room : 0;
    code = request_publish(client, message, call, deadline_ns, error);
    if (code == DX_OK) {
        code = dxi_call_wait(client, call, deadline_ns, error);
    }
    if (code == DX_OK) {
        *bytes_inout = call->bytes;
        if (call->bytes > call->room) {
            code = dxi_fail(error, DX_ELIMIT, "the answer has %zu bytes, there is room for %zu",
                            call->bytes, call->room);
        }
    } else {
        (void)dxi_fail_context(error, "request to %s", message->topic);
    }
    dxi_call_close(client, call);
    return code;
}

int dx_client_request_async(dx_client_t *client, const dx_message_t *message, int64_t timeout_ns,
                            dx_reply_fn on_reply, void *context, dx_error_t *error)
{
    if (on_reply == NULL) {
        return dxi_fail(error, DX_EINVAL, "on_reply is NULL, must be a function");
    }
    dxi_call_t *call = NULL;
    int code = dxi_call_open(client, DXI_CALL_REQUEST, &call, error);
    if (code != DX_OK) {
        return code;
    }
    dxi_call_expect(client, call, on_reply, context, dxi_client_deadline(client, timeout_ns));
    const uint64_t correlation = dxi_call_correlation(call);
    code = request_publish(client, message, call, dxi_publish_deadline(client), error);
    if (code != DX_OK && !dxi_call_withdraw(client, correlation)) {
        return DX_OK; /* its time was over meanwhile, and on_reply() was told */
    }
    return code;
}

/* An answer to a request, with or without a receipt. */
static int reply(dx_client_t *client, const dx_event_t *event, const void *data, size_t bytes,
                 dx_receipt_fn on_receipt, void *context, dx_error_t *error)
{
    uint32_t topic_bytes = 0;
    const char *const reply_to = event != NULL && event->frame != NULL
                                     ? dx_frame_part(event->frame, DX_PART_REPLY_TO, &topic_bytes)
                                     : NULL;
    if (reply_to == NULL || event->correlation == 0) {
        return dxi_fail(error, DX_EINVAL, "the event is no request: it names no reply_to");
    }
    char topic[DX_TOPIC_BYTES_MAX + 1];
    memcpy(topic, reply_to, topic_bytes); /* 1 to 255: the rules of the part */
    topic[topic_bytes] = 0;
    dx_frame_trace_t trace;
    const dx_message_t message = {.topic = topic,
                                  .data = data,
                                  .bytes = bytes,
                                  .trace = dxi_trace_answer(event->frame, &trace) ? &trace : NULL,
                                  .correlation = event->correlation};
    return dxi_publish(client, DX_FRAME_REPLY, &message, on_receipt, context,
                       dxi_publish_deadline(client), error);
}

int dx_client_reply(dx_client_t *client, const dx_event_t *event, const void *data, size_t bytes,
                    dx_error_t *error)
{
    return reply(client, event, data, bytes, NULL, NULL, error);
}

int dx_client_reply_async(dx_client_t *client, const dx_event_t *event, const void *data,
                          size_t bytes, dx_receipt_fn on_receipt, void *context, dx_error_t *error)
{
    if (on_receipt == NULL) {
        return dxi_fail(error, DX_EINVAL, "on_receipt is NULL, must be a function");
    }
    return reply(client, event, data, bytes, on_receipt, context, error);
}

int dxi_reply_take(void *context, const dx_event_t *event)
{
    dx_client_t *const client = context;
    dxi_call_answer(client, event->correlation, DX_OK, event->frame, event);
    return DX_OK;
}
