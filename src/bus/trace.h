/* bus/trace.h - where the bus records spans. Each of these is called behind one comparison: of the
 * bus's tracer, or of the flag TRACED in the header that is in hand.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BUS_TRACE_H
#define DXI_BUS_TRACE_H

#include "bus/publisher.h"
#include "bus/session_internal.h"
#include "trace/context.h"
#include "trace/span.h"

/* Whether a header says that the event is traced. Threads: any. */
DX_INLINE bool dxi_is_traced(const void *frame)
{
    return DX_UNLIKELY((((const dx_frame_header_t *)frame)->flags & DX_FRAME_TRACED) != 0);
}

/* ----------------------------------------------------------------------------------- publishing */

/* A publication that is traced, and what is needed to record it. */
typedef struct dxi_traced {
    bool sampled;
    dx_frame_trace_t self; /* the context that goes with it */
    dxi_trace_span_t span;
} dxi_traced_t;

/* A client's frame, read at `ticks`: whether it is traced. Then `*frame_out` is a copy that carries
 * the context, to be freed with dxi_free(). Threads: the session's loop. */
bool dxi_trace_edge(dxi_session_t *session, const dx_frame_view_t *frame, uint64_t ticks,
                    dxi_traced_t *traced, dx_frame_header_t **frame_out, uint32_t *bytes_out);

/* A message of this process: whether it is traced. Threads: publisher. */
bool dxi_trace_message(dx_publisher_t *publisher, const dx_message_t *message,
                       dxi_traced_t *traced);

/* It is in the ring; or (code) it is not. Threads: as above. */
void dxi_trace_published(dx_bus_t *bus, dxi_sampler_t *sampler, dxi_traced_t *traced, int code);

/* -------------------------------------------------------------------------- in the shard's loop */

/* A traced event goes to the shard: `published_ns` is when it was claimed, or 0. */
void dxi_trace_queue(dxi_lane_t *lane, void *frame, uint32_t bytes, int64_t published_ns,
                     const dxi_times_t *times);

/* A copy of a traced event lies in the sending ring of a session, or in its outbox. */
void dxi_trace_sent(const dxi_session_t *session, void *copy, uint32_t bytes, uint32_t attempt);

/* ------------------------------------------------------------------------------------- handlers */

/* A handler that is about to be called with one traced event. */
typedef struct dxi_trace_call {
    dxi_trace_span_t span;
    bool recorded;
} dxi_trace_call_t;

/* The event reaches a handler of this process: deliver ends, handle begins.
 * Threads: the handler's. */
void dxi_trace_handle_begin(const dx_bus_t *bus, const dx_event_t *event, dxi_trace_call_t *call);
void dxi_trace_handle_end(const dx_bus_t *bus, dxi_trace_call_t *call, int code);

/* Several events were handed over at `start_unix_ns`, of which the first `done` are handled now,
 * and the next one, when there is one, has failed with `code`. Threads: the handler's. */
void dxi_trace_handled(const dx_bus_t *bus, const dx_event_t *events, int count, int done, int code,
                       int64_t start_unix_ns);

#endif
