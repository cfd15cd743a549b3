/* trace.c - a client's spans: publish, from the call until the frame is in the window; handle, the
 * handler.
 *
 * A message whose context is sampled, or that the sampler of the calling thread takes, goes out
 * with a context of its own span; the node's spans are below that. An event that comes with a
 * context is handled below the span that its context names: the node's deliver, or, where the node
 * does not trace, the publisher's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "client/trace.h"

#include <string.h>

#include "disruptorx/clock.h"
#include "trace/sampler.h"
#include "wire/pack.h"

static bool wanted(const dx_client_t *client, const dx_frame_trace_t *context)
{
    static _Thread_local dxi_sampler_t sampler;
    if (context != NULL) {
        return dxi_trace_sampled(context);
    }
    if (DX_UNLIKELY(sampler.state == 0)) {
        sampler.state = dxi_trace_random();
    }
    return dxi_sampler_take(&sampler, dxi_trace_sample(client->options.tracer), 1);
}

bool dxi_client_trace_begin(const dx_client_t *client, const dx_message_t *message,
                            dxi_client_traced_t *traced)
{
    dx_frame_trace_t context;
    const dx_frame_trace_t *parent = message->trace;
    if (parent == NULL && dx_trace_current(&context) == DX_OK) {
        parent = &context; /* it is published by the handler of a traced event */
    }
    if (message->topic == NULL || !wanted(client, parent)) {
        return false;
    }
    dxi_trace_span_begin(&traced->span, DXI_SPAN_PUBLISH, DXI_SPAN_PRODUCER, parent, &traced->self);
    traced->span.start_unix_ns = dx_clock_realtime_ns();
    traced->span.bytes = (uint32_t)message->bytes;
    traced->span.topic_bytes = (uint16_t)strnlen(message->topic, DX_TOPIC_BYTES_MAX);
    memcpy(traced->span.topic, message->topic, traced->span.topic_bytes);
    traced->message = *message;
    traced->message.trace = &traced->self;
    return true;
}

void dxi_client_trace_end(const dx_client_t *client, dxi_client_traced_t *traced, int code)
{
    traced->span.code = code;
    traced->span.end_unix_ns = dx_clock_realtime_ns();
    dxi_trace_record(client->options.tracer, &traced->span);
}

void dxi_client_handle_begin(const dx_client_t *client, const dx_event_t *event,
                             int64_t start_unix_ns, uint32_t batch_events, dxi_client_call_t *call)
{
    dx_frame_trace_t parent;
    dx_frame_trace_t self;
    (void)client;
    /* Of a pack only the first event is traced. */
    call->recorded = (!dxi_frame_packed(event->frame->header) ||
                      event->sequence == event->frame->header->sequence) &&
                     dxi_trace_of(event->frame, &parent) && dxi_trace_sampled(&parent);
    if (!call->recorded) {
        return;
    }
    dxi_trace_span_begin(&call->span, DXI_SPAN_HANDLE, DXI_SPAN_CONSUMER, &parent, &self);
    dxi_trace_span_event(&call->span, event->frame);
    call->span.attempt = event->redelivered ? event->attempt : 0;
    call->span.sequence = event->sequence; /* of a direct topic it does not stand in the frame */
    call->span.shard = event->shard;
    call->span.placed = true;
    call->span.bytes = event->bytes;
    call->span.batch_events = batch_events;
    call->span.start_unix_ns = start_unix_ns;
    if (batch_events == 0) {
        dxi_trace_current_set(&self);
    }
}

void dxi_client_handle_end(const dx_client_t *client, dxi_client_call_t *call, int code)
{
    if (!call->recorded) {
        return;
    }
    if (call->span.batch_events == 0) {
        dxi_trace_current_set(NULL);
    }
    call->span.code = code < 0 ? code : DX_OK;
    call->span.end_unix_ns = dx_clock_realtime_ns();
    dxi_trace_record(client->options.tracer, &call->span);
}

void dxi_client_handled(const dx_client_t *client, const dx_event_t *events, int count, int done,
                        int code, int64_t start_unix_ns)
{
    for (int i = 0; i < count && i <= done; i++) {
        dxi_client_call_t call;
        dxi_client_handle_begin(client, &events[i], start_unix_ns, (uint32_t)count, &call);
        dxi_client_handle_end(client, &call, i == done ? code : DX_OK);
    }
}
