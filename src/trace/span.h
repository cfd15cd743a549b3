/* trace/span.h - a span as it is recorded, and how to record it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_TRACE_SPAN_H
#define DXI_TRACE_SPAN_H

#include "disruptorx/trace.h"

typedef enum dxi_span_operation {
    DXI_SPAN_PUBLISH = 0,
    DXI_SPAN_QUEUE = 1,
    DXI_SPAN_DELIVER = 2,
    DXI_SPAN_HANDLE = 3
} dxi_span_operation_t;

/* The numbers are those of OTLP. */
typedef enum dxi_span_kind {
    DXI_SPAN_INTERNAL = 1,
    DXI_SPAN_PRODUCER = 4,
    DXI_SPAN_CONSUMER = 5
} dxi_span_kind_t;

/* One span: an event of the ring of its thread. Zero means absent. */
typedef struct dxi_trace_span {
    uint8_t trace_id[16];
    uint8_t span_id[8];
    uint8_t parent_id[8]; /* all zero: the root of its trace */
    int64_t start_unix_ns;
    int64_t end_unix_ns;
    uint64_t sequence;   /* of the event; 0: it has none yet */
    uint64_t connection; /* of a client; 0: this process */
    uint32_t bytes;      /* of the payload */
    uint32_t attempt;
    uint32_t batch_events; /* of the frame, or of the call of the handler; 0: one */
    int32_t code;          /* 0: it went well */
    uint16_t topic_bytes;
    uint16_t shard;
    uint8_t operation; /* a dxi_span_operation_t */
    uint8_t kind;      /* a dxi_span_kind_t */
    bool placed;       /* the shard is known */
    uint8_t zero;
    char topic[DX_FRAME_TOPIC_BYTES_MAX + 1]; /* not ended by NUL */
} dxi_trace_span_t;

/* Fills in what the event's frame says: topic, sequence, shard, bytes. Threads: any. */
void dxi_trace_span_event(dxi_trace_span_t *span, const dx_frame_view_t *view);

/* And its place in a trace: `trace` is the parent's context; of a root it is NULL. `self_out` gets
 * the context of the span itself. Threads: any. */
void dxi_trace_span_begin(dxi_trace_span_t *span, dxi_span_operation_t operation,
                          dxi_span_kind_t kind, const dx_frame_trace_t *parent,
                          dx_frame_trace_t *self_out);

/* Puts a span into the buffer of this thread. Never waits; where there is no room it is dropped and
 * counted. Threads: any. */
void dxi_trace_record(dx_tracer_t *tracer, const dxi_trace_span_t *span);

/* `sample` as it is now. Threads: any. */
uint32_t dxi_trace_sample(const dx_tracer_t *tracer);

#endif
