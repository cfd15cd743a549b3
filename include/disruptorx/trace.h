/* disruptorx/trace.h - tracing: the W3C trace context of an event, and a tracer that exports spans.
 *
 * A trace follows one event from its publisher to its handlers, and on to the answers. Its context
 * (trace id, span id, flags) travels in the frame, DX_PART_TRACE, and in dx_message_t.trace:
 *
 *     dx_frame_trace_t trace;
 *     dx_trace_parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", 55, &trace, NULL);
 *     dx_publish(publisher, &(dx_message_t){.topic = "orders.new", .trace = &trace, ...}, NULL);
 *
 * Who has a tracer (a node by its configuration `trace.*`, a bus or a client by its options) also
 * records spans, and exports them as OTLP/HTTP JSON to a collector:
 *
 *     publish  PRODUCER  dx_publish() or dx_client_publish(), and the node's part of it
 *     queue    INTERNAL  from the shard's ring to the shard
 *     deliver  INTERNAL  from the shard to the connection, or to the handler's thread
 *     handle   CONSUMER  the handler
 *
 * An event is traced when its context says so (the flag "sampled"), or, where it has no context,
 * one of `sample` is. Without a tracer nothing is recorded, and contexts pass through untouched.
 *
 * docs/tracing.md has the whole picture; examples/24_trace.c is a program.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DISRUPTORX_TRACE_H
#define DISRUPTORX_TRACE_H

#include <stddef.h>
#include <stdint.h>

#include "disruptorx/frame.h"
#include "disruptorx/log.h"

DX_EXTERN_C_BEGIN

/* -------------------------------------------------------------------------------------- context */

#define DX_TRACE_TEXT_BYTES 56 /* of a traceparent of version 00, with its NUL */
#define DX_TRACE_SAMPLED 0x01  /* in dx_frame_trace_t.flags: spans are wanted */

/* Reads a traceparent (W3C Trace Context), such as an HTTP request brings. Of a later version than
 * 00 the first four fields are read, as the specification says.
 * Returns DX_OK, or DX_EPARSE with what is wrong; then `*trace_out` is zero.
 * Threads: any. */
DX_API DX_NODISCARD int dx_trace_parse(const char *text, size_t bytes, dx_frame_trace_t *trace_out,
                                       dx_error_t *error);

/* Writes it as a traceparent of version 00: 55 characters and NUL.
 * Threads: any. */
DX_API void dx_trace_format(const dx_frame_trace_t *trace, char text_out[DX_TRACE_TEXT_BYTES]);

/* A new trace that is sampled: random trace id and span id.
 * Threads: any. */
DX_API void dx_trace_make(dx_frame_trace_t *trace_out);

/* The context in which the calling thread's handler runs: its span is the parent of whatever the
 * handler begins. Only in a handler, of one event, that is traced by a tracer of this process.
 * Returns DX_OK, DX_ENOTFOUND.
 * Threads: any. */
DX_API DX_NODISCARD int dx_trace_current(dx_frame_trace_t *trace_out);

/* --------------------------------------------------------------------------------------- tracer */

typedef struct dx_tracer dx_tracer_t; /* opaque */

#define DX_TRACE_NEVER UINT32_MAX /* as `sample`: only events whose publisher says so */
#define DX_TRACE_SAMPLE_MAX 1000000000
#define DX_TRACE_BUFFERS_MAX 256 /* threads that record at a time; spans of more are dropped */
#define DX_TRACE_BUFFER_SPANS_MIN 64
#define DX_TRACE_BUFFER_SPANS_MAX 65536
#define DX_TRACE_BATCH_SPANS_MAX 8192
#define DX_TRACE_BATCH_BYTES_MIN 16384
#define DX_TRACE_BATCH_BYTES_MAX 16777216
#define DX_TRACE_HEADERS_MAX 16

/* Zero = default, but `endpoint`. Copied. */
typedef struct dx_tracer_options {
    const char *endpoint; /* "http://host:4318" or "https://..."; without a path it gets
                                 * /v1/traces */
    const char *headers;  /* of each request, as "name=value,name=value": a secret; NULL: none */
    const char *authority_file; /* PEM, whose certificates are believed; NULL: the system's */
    const char *service_name;   /* NULL: the program's */
    const char *instance;       /* service.instance.id; NULL: host and process id */
    uint32_t sample;            /* one event of so many is traced; 0 = 1000; 1: each;
                                 * DX_TRACE_NEVER */
    uint32_t buffer_spans;      /* of each thread that records; a power of two; 0 = 1024 */
    uint32_t batch_spans;       /* of one request, at most; 0 = 512 */
    uint32_t batch_bytes;       /* of one request, at most; 0 = 512 KiB */
    int64_t interval_ns;        /* a span waits so long for others, at most; 0 = 1 s */
    int64_t timeout_ns;         /* of one request; 0 = 5 s */
    dx_log_t *log;              /* NULL: none */
    uint64_t reserved[4];       /* must be zero */
} dx_tracer_options_t;

/* Makes a tracer, starts its thread ("trace"), and stores it in `*tracer_out` (NULL on failure).
 * Connects to nothing yet.
 * Returns DX_OK, DX_EINVAL, DX_ENOMEM, DX_ELIMIT, DX_EIO (no thread), and what the file says.
 * Threads: any. */
DX_API DX_NODISCARD int dx_tracer_create(const dx_tracer_options_t *options,
                                         dx_tracer_t **tracer_out, dx_error_t *error);

/* Exports what is there, for at most `timeout_ns`, ends the thread and frees the tracer; NULL is
 * allowed.
 * Threads: owner, after the end of every bus and client that has it. */
DX_API void dx_tracer_destroy(dx_tracer_t *tracer, int64_t timeout_ns);

/* Waits until what was recorded before the call is exported, or dropped, for at most `timeout_ns`.
 * Returns DX_OK, DX_ETIMEDOUT.
 * Threads: any. */
DX_API DX_NODISCARD int dx_tracer_flush(dx_tracer_t *tracer, int64_t timeout_ns);

/* Another `sample` from now on.
 * Returns DX_OK, DX_EINVAL.
 * Threads: any. */
DX_API DX_NODISCARD int dx_tracer_set_sample(dx_tracer_t *tracer, uint32_t sample,
                                             dx_error_t *error);

/* Other `headers` from the next request on.
 * Returns DX_OK, DX_EINVAL, DX_ENOMEM.
 * Threads: any. */
DX_API DX_NODISCARD int dx_tracer_set_headers(dx_tracer_t *tracer, const char *headers,
                                              dx_error_t *error);

/* recorded = exported + rejected + failed + what waits. `dropped` were never recorded. */
typedef struct dx_tracer_stats {
    uint64_t recorded; /* spans that found room in a buffer */
    uint64_t dropped;  /* spans that found none */
    uint64_t exported; /* spans that the collector took */
    uint64_t rejected; /* spans of requests that it took, and that it did not take */
    uint64_t failed;   /* spans given up: the collector refused them, or was away too long */
    uint64_t requests; /* that are over, retries among them */
    uint64_t failures; /* of those: no answer, or no good one */
    uint64_t waiting;  /* spans in buffers and in the batch, about */
} dx_tracer_stats_t;

/* Threads: any. */
DX_API void dx_tracer_stats(const dx_tracer_t *tracer, dx_tracer_stats_t *stats_out);

DX_EXTERN_C_END

#endif
