/* trace.c - the bus's spans: publish, queue, deliver, handle.
 *
 * DESIGN
 *
 *     client's publish (its own span, or none)
 *       \-- publish    dx_publish(), or a client's frame until it is in the ring
 *             \-- queue     from the claim in the ring to the shard
 *                   |-- deliver   from the shard to the sending ring of a connection
 *                   |     \-- handle   in the client, when that traces
 *                   \-- deliver   from the shard to the thread of a handler of this process
 *                         \-- handle
 *
 * The span id in the frame is that of the last span above the one that comes next: publish while
 * it is in the ring, queue from the shard on, and deliver in the copy that one subscriber gets.
 *
 * Whether an event is traced is decided once, where it enters the bus: by its own context, or by
 * the sampler of the loop or publisher. From there on the flag TRACED of its header says so.
 *
 * INVARIANTS
 *
 *   T1  without a tracer no frame is changed, and no flag is looked at but in vain
 *   T2  a span that was recorded is the parent of those below it, or has none below
 *   T3  queue is recorded once, though the shard may want the event brought again
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bus/trace.h"

#include "wire/pack.h"

/* The clock now, in ns since 1970. */
static int64_t now_unix_ns(void)
{
    return dx_clock_realtime_ns();
}

/* ----------------------------------------------------------------------------------- publishing */

static uint32_t sample_of(const dx_bus_t *bus)
{
    return dxi_trace_sample(bus->options.tracer);
}

/* Whether one of so many events is traced that came with this context, or without (NULL). */
static bool wanted(const dx_bus_t *bus, dxi_sampler_t *sampler, const dx_frame_trace_t *context,
                   uint32_t events)
{
    if (context != NULL) {
        return dxi_trace_sampled(context);
    }
    if (DX_UNLIKELY(sampler->state == 0)) {
        sampler->state = dxi_trace_random();
    }
    return dxi_sampler_take(sampler, sample_of(bus), events);
}

bool dxi_trace_edge(dxi_session_t *session, const dx_frame_view_t *frame, uint64_t ticks,
                    dxi_traced_t *traced, dx_frame_header_t **frame_out, uint32_t *bytes_out)
{
    dx_bus_t *const bus = session->bus;
    dxi_session_table_t *const table = session->home->sessions;
    dx_frame_trace_t context;
    const bool has = dxi_trace_of(frame, &context);
    if (!wanted(bus, &table->sampler, has ? &context : NULL, dxi_frame_events(frame->header))) {
        return false;
    }
    const uint32_t bytes = dxi_trace_frame_bytes(frame);
    dx_frame_header_t *const copy = bytes != 0 ? dxi_alloc_zeroed(1, bytes) : NULL;
    if (copy == NULL) {
        return false;
    }
    /* What begins a trace is a producer; below a client's own span it is a part of the node. */
    dxi_trace_span_begin(&traced->span, DXI_SPAN_PUBLISH,
                         has ? DXI_SPAN_INTERNAL : DXI_SPAN_PRODUCER, has ? &context : NULL,
                         &traced->self);
    dxi_trace_span_event(&traced->span, frame);
    traced->span.connection = session->connection_id;
    traced->span.start_unix_ns = now_unix_ns() - (dx_tsc_to_ns(bus->tsc, dx_tsc_ticks(bus->tsc)) -
                                                  dx_tsc_to_ns(bus->tsc, ticks));
    dxi_trace_frame_copy(frame, &traced->self, copy);
    *frame_out = copy;
    *bytes_out = bytes;
    return true;
}

bool dxi_trace_message(dx_publisher_t *publisher, const dx_message_t *message, dxi_traced_t *traced)
{
    dx_frame_trace_t context;
    const dx_frame_trace_t *parent = message->trace;
    if (parent == NULL && dx_trace_current(&context) == DX_OK) {
        parent = &context; /* it is published by the handler of a traced event */
    }
    traced->sampled = wanted(publisher->bus, &publisher->sampler, parent, 1);
    if (!traced->sampled) {
        return false;
    }
    dxi_trace_span_begin(&traced->span, DXI_SPAN_PUBLISH, DXI_SPAN_PRODUCER, parent, &traced->self);
    traced->span.start_unix_ns = now_unix_ns();
    traced->span.bytes = (uint32_t)message->bytes;
    traced->span.topic_bytes = (uint16_t)strnlen(message->topic, DX_TOPIC_BYTES_MAX);
    memcpy(traced->span.topic, message->topic, traced->span.topic_bytes);
    return true;
}

void dxi_trace_published(dx_bus_t *bus, dxi_sampler_t *sampler, dxi_traced_t *traced, int code)
{
    static const uint8_t ROOT[8];
    if (code == DX_EAGAIN) { /* it comes again, and is traced then */
        if (memcmp(traced->span.parent_id, ROOT, sizeof ROOT) == 0) {
            dxi_sampler_again(sampler);
        }
        return;
    }
    traced->span.code = code;
    traced->span.end_unix_ns = now_unix_ns();
    dxi_trace_record(bus->options.tracer, &traced->span);
}

/* -------------------------------------------------------------------------- in the shard's loop */

void dxi_trace_queue(dxi_lane_t *lane, void *frame, uint32_t bytes, int64_t published_ns,
                     const dxi_times_t *times)
{
    dx_frame_view_t view;
    dx_frame_trace_t parent;
    dx_frame_trace_t self;
    dxi_trace_span_t span;
    if (lane->bus->options.tracer == NULL || dx_frame_view(frame, bytes, &view, NULL) != DX_OK ||
        !dxi_trace_of(&view, &parent) ||
        memcmp(parent.span_id, lane->queue_span, sizeof parent.span_id) == 0) {
        return; /* T1, T3 */
    }
    dxi_trace_span_begin(&span, DXI_SPAN_QUEUE, DXI_SPAN_INTERNAL, &parent, &self);
    if (!dxi_trace_frame_step(frame, bytes, self.span_id, &parent)) {
        return;
    }
    dxi_trace_span_event(&span, &view);
    span.shard = lane->index;
    span.placed = true;
    span.end_unix_ns = now_unix_ns();
    span.start_unix_ns =
        published_ns != 0 ? times->unix_ns - (times->clock_ns - published_ns) : span.end_unix_ns;
    memcpy(lane->queue_span, self.span_id, sizeof lane->queue_span);
    dxi_trace_record(lane->bus->options.tracer, &span);
}

/* Records the span from the shard until `end_unix_ns`. Its own context is in `self_out`. */
static void delivered(const dx_bus_t *bus, const dx_frame_view_t *view,
                      const dx_frame_trace_t *parent, uint64_t connection, uint32_t attempt,
                      int64_t end_unix_ns, dx_frame_trace_t *self_out)
{
    dxi_trace_span_t span;
    dxi_trace_span_begin(&span, DXI_SPAN_DELIVER, DXI_SPAN_INTERNAL, parent, self_out);
    dxi_trace_span_event(&span, view);
    span.connection = connection;
    span.attempt = attempt;
    span.start_unix_ns = (int64_t)view->header->timestamp_ns; /* when the shard had it */
    span.end_unix_ns = end_unix_ns;
    dxi_trace_record(bus->options.tracer, &span);
}

void dxi_trace_sent(const dxi_session_t *session, void *copy, uint32_t bytes, uint32_t attempt)
{
    dx_frame_view_t view;
    dx_frame_trace_t parent;
    dx_frame_trace_t self;
    if (session->bus->options.tracer == NULL || dx_frame_view(copy, bytes, &view, NULL) != DX_OK ||
        !dxi_trace_of(&view, &parent) || !dxi_trace_sampled(&parent)) {
        return; /* T1 */
    }
    delivered(session->bus, &view, &parent, session->connection_id, attempt, now_unix_ns(), &self);
    (void)dxi_trace_frame_step(copy, bytes, self.span_id, &parent);
}

/* ------------------------------------------------------------------------------------- handlers */

/* Begins handle, at `start_unix_ns`, and records deliver. Its own context is in `self_out`. */
static void handle_begin(const dx_bus_t *bus, const dx_event_t *event, int64_t start_unix_ns,
                         dxi_trace_call_t *call, dx_frame_trace_t *self_out)
{
    dx_frame_trace_t queue;
    dx_frame_trace_t deliver;
    call->recorded = bus->options.tracer != NULL && dxi_trace_of(event->frame, &queue) &&
                     dxi_trace_sampled(&queue);
    if (!call->recorded) {
        return; /* T1 */
    }
    const uint32_t attempt = event->redelivered ? event->attempt : 0;
    delivered(bus, event->frame, &queue, 0, attempt, start_unix_ns, &deliver);
    dxi_trace_span_begin(&call->span, DXI_SPAN_HANDLE, DXI_SPAN_CONSUMER, &deliver, self_out);
    dxi_trace_span_event(&call->span, event->frame);
    call->span.attempt = attempt;
    call->span.start_unix_ns = start_unix_ns;
}

void dxi_trace_handle_begin(const dx_bus_t *bus, const dx_event_t *event, dxi_trace_call_t *call)
{
    dx_frame_trace_t self;
    handle_begin(bus, event, now_unix_ns(), call, &self);
    if (call->recorded) {
        dxi_trace_current_set(&self);
    }
}

void dxi_trace_handle_end(const dx_bus_t *bus, dxi_trace_call_t *call, int code)
{
    if (!call->recorded) {
        return;
    }
    dxi_trace_current_set(NULL);
    call->span.code = code < 0 ? code : DX_OK;
    call->span.end_unix_ns = now_unix_ns();
    dxi_trace_record(bus->options.tracer, &call->span);
}

void dxi_trace_handled(const dx_bus_t *bus, const dx_event_t *events, int count, int done, int code,
                       int64_t start_unix_ns)
{
    const int64_t end_unix_ns = now_unix_ns();
    for (int i = 0; i < count && i <= done; i++) {
        dxi_trace_call_t call;
        dx_frame_trace_t self;
        if (!dxi_is_traced(events[i].frame->header)) {
            continue;
        }
        handle_begin(bus, &events[i], start_unix_ns, &call, &self);
        if (call.recorded) {
            call.span.batch_events = (uint32_t)count;
            call.span.code = i == done ? code : DX_OK;
            call.span.end_unix_ns = end_unix_ns;
            dxi_trace_record(bus->options.tracer, &call.span);
        }
    }
}
