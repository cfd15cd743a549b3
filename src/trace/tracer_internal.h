/* trace/tracer_internal.h - what the files of a tracer share.
 *
 *     tracer.c     making it, buffers of threads, recording, figures
 *     exporter.c   the thread that empties the buffers
 *     post.c       HTTP
 *     otlp.c       JSON
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_TRACE_TRACER_INTERNAL_H
#define DXI_TRACE_TRACER_INTERNAL_H

#include <pthread.h>

#include "disruptorx/consumer.h"
#include "disruptorx/producer.h"
#include "disruptorx/thread.h"
#include "trace/otlp.h"
#include "trace/post.h"

#define DXI_TRACE_SERVICE_BYTES 256

/* Of one thread. */
typedef struct dxi_trace_buffer {
    uintptr_t id; /* of who has it: never used again */
    bool taken;   /* under the registry's mutex */
    dx_ring_t *ring;
    DX_ISOLATED dx_producer_t producer; /* the thread's */
    dx_atomic64_t recorded, dropped;    /* written by the thread */
    DX_ISOLATED dx_consumer_t consumer; /* the exporter's */
} dxi_trace_buffer_t;

struct dx_tracer {
    /* Read-only. */
    uint32_t buffer_spans, batch_spans, batch_bytes;
    int64_t interval_ns;
    int64_t pause_least_ns; /* after a first failure */
    dx_log_t *log;
    char service[DXI_TRACE_SERVICE_BYTES];
    char instance[DXI_TRACE_SERVICE_BYTES];
    char url[DXI_POST_URL_BYTES_MAX + 1];
    pthread_key_t key; /* a thread's buffer, by its id */
    bool has_key, has_sync;
    dx_thread_t *thread;

    dx_atomic32_t sample;
    dx_atomic64_t buffers[DX_TRACE_BUFFERS_MAX]; /* dxi_trace_buffer_t *; made when first used */
    dx_atomic64_t unbuffered;                    /* dropped by threads without a buffer */
    dx_tracer_t *next;                           /* of the registry, under its mutex */

    /* Under `mutex`. */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint32_t flushing; /* who waits in dx_tracer_flush() */
    bool ends;
    char *headers; /* to be taken over, in memory that no core has; NULL: none */

    dx_atomic64_t deadline_ns; /* of requests: INT64_MAX until it ends */

    /* The exporter's. */
    dxi_post_t *post;
    char *text; /* batch_bytes */
    dxi_otlp_t batch;
    bool sealed;       /* the batch is whole, and on its way */
    int64_t first_ns;  /* when the first span was put into the batch */
    uint32_t attempts; /* of the batch */
    int64_t pause_ns;  /* before the next attempt; 0: the last one went well */
    int64_t not_before_ns;
    uint64_t lost; /* since the collector was there for the last time */
    /* Written by the exporter, read by any. RELAXED: figures. */
    dx_atomic64_t exported, rejected, failed, successes, failures;
};

/* The buffer at a place; NULL: none yet. Threads: any. */
DX_INLINE dxi_trace_buffer_t *dxi_trace_buffer_at(const dx_tracer_t *tracer, uint32_t place)
{
    /* ACQUIRE, pairs with the release in buffer_make(): the buffer before its address. */
    return (dxi_trace_buffer_t *)(uintptr_t)dx_load_acquire(&tracer->buffers[place]);
}

/* Spans that are no longer on their way. Threads: any. */
uint64_t dxi_trace_settled(const dx_tracer_t *tracer);

/* The exporter's thread. */
void dxi_trace_export(void *tracer);

#endif
