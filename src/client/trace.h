/* client/trace.h - a client's spans: publish and handle.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLIENT_TRACE_H
#define DXI_CLIENT_TRACE_H

#include "client/internal.h"
#include "trace/context.h"
#include "trace/span.h"

/* A publication that is traced: the message with its context, and the span. */
typedef struct dxi_client_traced {
    dx_message_t message;
    dx_frame_trace_t self;
    dxi_trace_span_t span;
} dxi_client_traced_t;

/* Whether a message is traced. Threads: any. */
bool dxi_client_trace_begin(const dx_client_t *client, const dx_message_t *message,
                            dxi_client_traced_t *traced);

/* It is in the window, or (code) it is not. Threads: the same. */
void dxi_client_trace_end(const dx_client_t *client, dxi_client_traced_t *traced, int code);

/* A handler that is about to be called with one event. */
typedef struct dxi_client_call {
    dxi_trace_span_t span;
    bool recorded; /* the event is traced */
} dxi_client_call_t;

/* `batch_events` of the call; 0: the event is alone. Threads: the client's. */
void dxi_client_handle_begin(const dx_client_t *client, const dx_event_t *event,
                             int64_t start_unix_ns, uint32_t batch_events, dxi_client_call_t *call);
void dxi_client_handle_end(const dx_client_t *client, dxi_client_call_t *call, int code);

/* The same for several events that were handed over at `start_unix_ns`: the first `done` are
 * handled, and the next one, when there is one, has failed with `code`. Threads: the client's. */
void dxi_client_handled(const dx_client_t *client, const dx_event_t *events, int count, int done,
                        int code, int64_t start_unix_ns);

#endif
