/* request.c - request and reply in this process.
 *
 * Each publisher that asks has an inbox: a topic "$inbox.<16 digits>" of its own, on which it
 * listens in the shard's thread. The handler finds the waiting call by the correlation and copies
 * the answer into its memory (publisher.c, P2).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>

#include "base/fail.h"
#include "bus/publisher.h"
#include "trace/context.h"

static int on_reply(void *context, const dx_event_t *event)
{
    dxi_publisher_replied(context, event);
    return DX_OK;
}

/* Opens the inbox with the first request. */
static int inbox_open(dx_publisher_t *publisher, dx_error_t *error)
{
    if (publisher->inbox != NULL) {
        return DX_OK;
    }
    (void)snprintf(publisher->inbox_topic, sizeof publisher->inbox_topic,
                   DXI_INBOX_PREFIX "%016llx", (unsigned long long)publisher->next_correlation);
    return dx_bus_subscribe(publisher->bus,
                            &(dx_subscription_options_t){.pattern = publisher->inbox_topic,
                                                         .name = "inbox",
                                                         .context = publisher->mailbox,
                                                         .on_event = on_reply,
                                                         .dispatch = DX_DISPATCH_SHARD},
                            &publisher->inbox, error);
}

int dx_request(dx_publisher_t *publisher, const dx_message_t *message, int64_t timeout_ns,
               void *data_out, size_t *bytes_inout, dx_error_t *error)
{
    if (timeout_ns <= 0) {
        return dxi_fail(error, DX_EINVAL, "timeout_ns is %lld, must be more than 0",
                        (long long)timeout_ns);
    }
    int code = inbox_open(publisher, error);
    if (code != DX_OK) {
        return code;
    }
    const int64_t now_ns = dx_clock_ns();
    const int64_t deadline_ns = timeout_ns > INT64_MAX - now_ns ? INT64_MAX : now_ns + timeout_ns;
    const size_t room = *bytes_inout;
    dx_message_t asked = *message;
    asked.reply_to = publisher->inbox_topic;
    const dxi_how_t how = {.type = DX_FRAME_REQUEST,
                           .correlation = publisher->next_correlation++,
                           .timeout_ns = timeout_ns};
    dxi_lane_t *lane = NULL;
    *bytes_inout = 0;
    dxi_mailbox_expect(publisher->mailbox, 0, how.correlation, data_out, room);
    code = dxi_publisher_put(publisher, &asked, &how, &lane, error);
    if (code != DX_OK) {
        dxi_mailbox_forget(publisher->mailbox);
        return code;
    }
    dxi_loop_bell(lane->owner->loop, lane->owner->bell);
    dx_receipt_t receipt;
    code = dxi_mailbox_wait(publisher->mailbox, deadline_ns, &receipt, error);
    if (code != DX_OK) {
        return code;
    }
    *bytes_inout = publisher->mailbox->reply_bytes;
    if (*bytes_inout > room) {
        return dxi_fail(error, DX_ELIMIT, "the answer has %zu bytes, there is room for %zu",
                        *bytes_inout, room);
    }
    return DX_OK;
}

int dx_reply(dx_publisher_t *publisher, const dx_event_t *event, const void *data, size_t bytes,
             dx_error_t *error)
{
    uint32_t topic_bytes = 0;
    const char *reply_to =
        event->frame == NULL ? NULL : dx_frame_part(event->frame, DX_PART_REPLY_TO, &topic_bytes);
    if (reply_to == NULL || topic_bytes > DX_TOPIC_BYTES_MAX || event->correlation == 0) {
        return dxi_fail(error, DX_EINVAL, "the event is no request: it has no reply_to");
    }
    char topic[DX_TOPIC_BYTES_MAX + 1];
    memcpy(topic, reply_to, topic_bytes);
    topic[topic_bytes] = '\0';
    const dxi_how_t how = {
        .type = DX_FRAME_REPLY, .internal = true, .correlation = event->correlation};
    dxi_lane_t *lane = NULL;
    dx_frame_trace_t trace;
    const dx_message_t answer = {.topic = topic,
                                 .data = data,
                                 .bytes = bytes,
                                 .trace = dxi_trace_answer(event->frame, &trace) ? &trace : NULL};
    const int code = dxi_publisher_put(publisher, &answer, &how, &lane, error);
    if (code == DX_OK) {
        dxi_loop_bell(lane->owner->loop, lane->owner->bell);
    }
    return code;
}
