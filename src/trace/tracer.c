/* tracer.c - a tracer: made, its buffers, recording, figures.
 *
 * DESIGN
 *
 *     thread --> ring of its own --\
 *     thread --> ring of its own ---+--> exporter: batch --> JSON --> HTTP
 *     thread --> ring of its own --/
 *
 * A thread that records its first span takes a buffer: a ring of one producer, which only the
 * exporter empties. A span is one event of it: copied in, published, done; nobody is woken, the
 * exporter looks by itself. A full ring, or no buffer left, drops the span and counts it.
 *
 * When a thread ends, its buffer goes to the next thread that needs one, with what is in it. The
 * system's thread-specific data says that it ends; since the tracer may be gone by then, it is
 * looked up in a registry of the process, by a number that is never used again.
 *
 * INVARIANTS
 *
 *   T1  a buffer has one producer at a time: `taken` changes under the registry's mutex only
 *   T2  recording takes no lock, but for a thread's first span
 *   T3  every span is counted once: recorded or dropped, and what was recorded ends as exported,
 *       rejected or failed
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "base/options.h"
#include "base/secret.h"
#include "disruptorx/clock.h"
#include "trace/context.h"
#include "trace/tracer_internal.h"
#include "wire/pack.h"

#define SAMPLE_DEFAULT 1000
#define BUFFER_SPANS_DEFAULT 1024
#define BATCH_SPANS_DEFAULT 512
#define BATCH_BYTES_DEFAULT 524288
#define DURATION_NS_MIN (10 * DX_NS_PER_MS)
#define DURATION_NS_MAX (60 * DX_NS_PER_S)
#define TEXT_BYTES_MAX 4096
#define PAUSE_LEAST_NS (200 * DX_NS_PER_MS)

static pthread_mutex_t registry_mutex = PTHREAD_MUTEX_INITIALIZER;
static dx_tracer_t *registry;   /* under it */
static uintptr_t registry_uses; /* under it: buffers taken so far */

/* -------------------------------------------------------------------------------------- buffers */

/* A thread that had a buffer has ended. */
static void thread_ended(void *value)
{
    const uintptr_t id = (uintptr_t)value;
    (void)pthread_mutex_lock(&registry_mutex);
    for (dx_tracer_t *tracer = registry; tracer != NULL; tracer = tracer->next) {
        dxi_trace_buffer_t *const buffer = dxi_trace_buffer_at(tracer, id % DX_TRACE_BUFFERS_MAX);
        if (buffer != NULL && buffer->id == id) {
            buffer->taken = false;
        }
    }
    (void)pthread_mutex_unlock(&registry_mutex);
}

static void buffer_destroy(dxi_trace_buffer_t *buffer)
{
    if (buffer == NULL) {
        return;
    }
    dx_producer_close(&buffer->producer);
    if (buffer->consumer.ring != NULL) {
        dx_consumer_close(&buffer->consumer);
    }
    dx_ring_destroy(buffer->ring);
    dxi_free(buffer);
}

static dxi_trace_buffer_t *buffer_make(dx_tracer_t *tracer, uint32_t place)
{
    dxi_trace_buffer_t *const buffer = dxi_alloc_zeroed(1, sizeof *buffer);
    if (buffer == NULL) {
        return NULL;
    }
    if (dx_ring_create(&(dx_ring_options_t){.name = "spans",
                                            .slot_count = tracer->buffer_spans,
                                            .event_bytes = sizeof(dxi_trace_span_t),
                                            .mode = DX_RING_SINGLE,
                                            .consumers_max = 1},
                       &buffer->ring, NULL) != DX_OK ||
        dx_consumer_open(&buffer->consumer, buffer->ring, NULL, NULL) != DX_OK ||
        dx_producer_open(&buffer->producer, buffer->ring,
                         &(dx_producer_options_t){.full = DX_FULL_FAIL}, NULL) != DX_OK) {
        buffer_destroy(buffer);
        return NULL;
    }
    /* RELEASE, pairs with the acquire in dxi_trace_buffer_at(). */
    dx_store_release(&tracer->buffers[place], (int64_t)(uintptr_t)buffer);
    return buffer;
}

/* A buffer for the calling thread; NULL: there is none left, or no memory. */
DX_NOINLINE static dxi_trace_buffer_t *buffer_take(dx_tracer_t *tracer)
{
    dxi_trace_buffer_t *buffer = NULL;
    uint32_t place = 0;
    (void)pthread_mutex_lock(&registry_mutex); /* T1 */
    for (; place < DX_TRACE_BUFFERS_MAX; place++) {
        buffer = dxi_trace_buffer_at(tracer, place);
        if (buffer == NULL || !buffer->taken) {
            break;
        }
    }
    if (place == DX_TRACE_BUFFERS_MAX) {
        buffer = NULL;
    } else if (buffer == NULL) {
        buffer = buffer_make(tracer, place);
    }
    if (buffer != NULL) {
        const uintptr_t id = ++registry_uses * DX_TRACE_BUFFERS_MAX + place;
        if (pthread_setspecific(tracer->key, (void *)id) == 0) {
            buffer->id = id;
            buffer->taken = true;
        } else {
            buffer = NULL;
        }
    }
    (void)pthread_mutex_unlock(&registry_mutex);
    return buffer;
}

/* ------------------------------------------------------------------------------------ recording */

uint32_t dxi_trace_sample(const dx_tracer_t *tracer)
{
    return (uint32_t)dx_load32_relaxed(&tracer->sample);
}

void dxi_trace_record(dx_tracer_t *tracer, const dxi_trace_span_t *span)
{
    const uintptr_t id = (uintptr_t)pthread_getspecific(tracer->key);
    dxi_trace_buffer_t *buffer = NULL;
    if (DX_LIKELY(id != 0)) {
        buffer = dxi_trace_buffer_at(tracer, id % DX_TRACE_BUFFERS_MAX);
    } else {
        buffer = buffer_take(tracer);
    }
    if (DX_UNLIKELY(buffer == NULL)) {
        (void)dx_fetch_add_relaxed(&tracer->unbuffered, 1);
        return;
    }
    /* Opened with DX_FULL_FAIL: it never waits. */
    const int64_t sequence = dx_producer_claim(&buffer->producer);
    if (DX_UNLIKELY(sequence < 0)) {
        dx_store_relaxed(&buffer->dropped, dx_load_relaxed(&buffer->dropped) + 1);
        return;
    }
    memcpy(dx_producer_event(&buffer->producer, sequence), span, sizeof *span);
    /* Before the publish: so nothing is settled before it counts as recorded. */
    dx_store_relaxed(&buffer->recorded, dx_load_relaxed(&buffer->recorded) + 1);
    (void)dx_producer_publish(&buffer->producer, sequence);
}

void dxi_trace_span_event(dxi_trace_span_t *span, const dx_frame_view_t *view)
{
    uint32_t bytes = 0;
    const char *const topic = dx_frame_part(view, DX_PART_TOPIC, &bytes);
    if (topic != NULL) {
        memcpy(span->topic, topic, bytes); /* 1 to 255: the rules of the part */
        span->topic_bytes = (uint16_t)bytes;
    }
    span->sequence = view->header->sequence;
    span->shard = view->header->shard;
    span->placed = span->sequence != 0;
    span->bytes = view->payload_bytes;
    if (dxi_frame_packed(view->header)) {
        span->bytes = dxi_pack_head(view->header)->data_bytes;
        span->batch_events = dxi_pack_head(view->header)->count;
    }
}

void dxi_trace_span_begin(dxi_trace_span_t *span, dxi_span_operation_t operation,
                          dxi_span_kind_t kind, const dx_frame_trace_t *parent,
                          dx_frame_trace_t *self_out)
{
    dx_frame_trace_t self;
    dx_trace_make(&self);
    *span = (dxi_trace_span_t){.operation = (uint8_t)operation, .kind = (uint8_t)kind};
    if (parent != NULL) {
        memcpy(self.trace_id, parent->trace_id, sizeof self.trace_id);
        memcpy(span->parent_id, parent->span_id, sizeof span->parent_id);
        self.flags = parent->flags;
    }
    memcpy(span->trace_id, self.trace_id, sizeof span->trace_id);
    memcpy(span->span_id, self.span_id, sizeof span->span_id);
    *self_out = self;
}

/* -------------------------------------------------------------------------------------- options */

static int sample_check(uint32_t sample, dx_error_t *error)
{
    if (sample > DX_TRACE_SAMPLE_MAX && sample != DX_TRACE_NEVER) {
        return dxi_fail(error, DX_EINVAL, "sample is %u, must be from 0 to %d, or DX_TRACE_NEVER",
                        sample, DX_TRACE_SAMPLE_MAX);
    }
    return DX_OK;
}

static uint32_t sample_of(uint32_t sample)
{
    return sample != 0 ? sample : SAMPLE_DEFAULT;
}

static int sizes_take(dx_tracer_t *tracer, const dx_tracer_options_t *o, dx_error_t *error)
{
    tracer->buffer_spans = o->buffer_spans != 0 ? o->buffer_spans : BUFFER_SPANS_DEFAULT;
    tracer->batch_spans = o->batch_spans != 0 ? o->batch_spans : BATCH_SPANS_DEFAULT;
    tracer->batch_bytes = o->batch_bytes != 0 ? o->batch_bytes : BATCH_BYTES_DEFAULT;
    tracer->interval_ns = o->interval_ns != 0 ? o->interval_ns : DX_NS_PER_S;
    int code = dxi_options_power_of_two(error, "buffer_spans", tracer->buffer_spans,
                                        DX_TRACE_BUFFER_SPANS_MIN, DX_TRACE_BUFFER_SPANS_MAX);
    if (code == DX_OK) {
        code = dxi_options_range(error, "batch_spans", tracer->batch_spans, 1,
                                 DX_TRACE_BATCH_SPANS_MAX);
    }
    if (code == DX_OK) {
        code = dxi_options_range(error, "batch_bytes", tracer->batch_bytes,
                                 DX_TRACE_BATCH_BYTES_MIN, DX_TRACE_BATCH_BYTES_MAX);
    }
    if (code == DX_OK) {
        code = dxi_options_range(error, "interval_ns", tracer->interval_ns, DURATION_NS_MIN,
                                 DURATION_NS_MAX);
    }
    if (code == DX_OK && o->timeout_ns != 0) {
        code =
            dxi_options_range(error, "timeout_ns", o->timeout_ns, DURATION_NS_MIN, DURATION_NS_MAX);
    }
    return code;
}

static int text_check(const char *name, const char *text, size_t most, dx_error_t *error)
{
    if (text != NULL && strnlen(text, most + 1) > most) {
        return dxi_fail(error, DX_ELIMIT, "%s has more than %zu bytes", name, most);
    }
    return DX_OK;
}

static int names_take(dx_tracer_t *tracer, const dx_tracer_options_t *o, dx_error_t *error)
{
    int code = text_check("service_name", o->service_name, DXI_OTLP_NAME_BYTES_MAX, error);
    if (code == DX_OK) {
        code = text_check("instance", o->instance, DXI_OTLP_NAME_BYTES_MAX, error);
    }
    if (code == DX_OK) {
        code = text_check("authority_file", o->authority_file, TEXT_BYTES_MAX, error);
    }
    if (code == DX_OK && o->authority_file != NULL && access(o->authority_file, R_OK) != 0) {
        code = dxi_fail_os(error, dxi_code_of_errno(errno), errno, "authority_file %.200s",
                           o->authority_file);
    }
    if (code != DX_OK) {
        return code;
    }
    (void)snprintf(tracer->service, sizeof tracer->service, "%s",
                   o->service_name != NULL ? o->service_name : program_invocation_short_name);
    if (o->instance != NULL) {
        (void)snprintf(tracer->instance, sizeof tracer->instance, "%s", o->instance);
        return DX_OK;
    }
    char host[128] = "localhost";
    (void)gethostname(host, sizeof host - 1);
    (void)snprintf(tracer->instance, sizeof tracer->instance, "%s:%d", host, (int)getpid());
    return DX_OK;
}

static int options_take(dx_tracer_t *tracer, const dx_tracer_options_t *o, dx_error_t *error)
{
    int code = dxi_options_reserved(error, o->reserved, sizeof o->reserved / sizeof *o->reserved);
    if (code == DX_OK && o->endpoint == NULL) {
        code = dxi_fail(error, DX_EINVAL, "endpoint is NULL, must be a URL");
    }
    if (code == DX_OK) {
        code = dxi_post_url(o->endpoint, tracer->url, error);
    }
    if (code == DX_OK) {
        code = sample_check(o->sample, error);
    }
    if (code == DX_OK) {
        code = sizes_take(tracer, o, error);
    }
    if (code == DX_OK) {
        code = names_take(tracer, o, error);
    }
    if (code == DX_OK && o->headers != NULL) {
        code = dxi_post_headers_check(o->headers, error);
    }
    tracer->log = o->log;
    tracer->pause_least_ns = PAUSE_LEAST_NS;
    dx_store32_relaxed(&tracer->sample, (int32_t)sample_of(o->sample));
    return code;
}

/* --------------------------------------------------------------------------------------- making */

static int sync_make(dx_tracer_t *tracer, dx_error_t *error)
{
    pthread_condattr_t attributes;
    if (pthread_key_create(&tracer->key, thread_ended) != 0) {
        return dxi_fail(error, DX_ELIMIT, "the process has no key for thread-specific data left");
    }
    tracer->has_key = true;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&tracer->mutex, NULL);
    (void)pthread_cond_init(&tracer->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    tracer->has_sync = true;
    return DX_OK;
}

static int parts_make(dx_tracer_t *tracer, const dx_tracer_options_t *o, dx_error_t *error)
{
    const int64_t timeout_ns = o->timeout_ns != 0 ? o->timeout_ns : 5 * DX_NS_PER_S;
    int code = sync_make(tracer, error);
    if (code == DX_OK) {
        code = dxi_post_create(tracer->url, o->authority_file, timeout_ns, &tracer->post, error);
    }
    if (code != DX_OK) {
        return code;
    }
    tracer->text = dxi_alloc_zeroed(1, tracer->batch_bytes);
    if (tracer->text == NULL ||
        dxi_post_set_headers(tracer->post, o->headers != NULL ? o->headers : "") != DX_OK) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a tracer");
    }
    dx_store_relaxed(&tracer->deadline_ns, INT64_MAX);
    return dx_thread_start(&(dx_thread_options_t){.name = "trace"}, dxi_trace_export, tracer,
                           &tracer->thread, error);
}

int dx_tracer_create(const dx_tracer_options_t *options, dx_tracer_t **tracer_out,
                     dx_error_t *error)
{
    *tracer_out = NULL;
    dx_tracer_t *const tracer = dxi_alloc_zeroed(1, sizeof *tracer);
    if (tracer == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a tracer");
    }
    int code = options_take(tracer, options, error);
    if (code == DX_OK) {
        code = parts_make(tracer, options, error);
    }
    if (code != DX_OK) {
        dx_tracer_destroy(tracer, 0);
        return code;
    }
    (void)pthread_mutex_lock(&registry_mutex);
    tracer->next = registry;
    registry = tracer;
    (void)pthread_mutex_unlock(&registry_mutex);
    *tracer_out = tracer;
    return DX_OK;
}

static void registry_remove(const dx_tracer_t *tracer)
{
    (void)pthread_mutex_lock(&registry_mutex);
    for (dx_tracer_t **at = &registry; *at != NULL; at = &(*at)->next) {
        if (*at == tracer) {
            *at = tracer->next;
            break;
        }
    }
    (void)pthread_mutex_unlock(&registry_mutex);
}

void dx_tracer_destroy(dx_tracer_t *tracer, int64_t timeout_ns)
{
    if (tracer == NULL) {
        return;
    }
    if (tracer->thread != NULL) {
        const int64_t now_ns = dx_clock_ns();
        (void)pthread_mutex_lock(&tracer->mutex);
        tracer->ends = true;
        dx_store_relaxed(&tracer->deadline_ns,
                         timeout_ns > INT64_MAX - now_ns ? INT64_MAX - 1 : now_ns + timeout_ns);
        (void)pthread_cond_broadcast(&tracer->changed);
        (void)pthread_mutex_unlock(&tracer->mutex);
        dx_thread_join(tracer->thread);
    }
    registry_remove(tracer);
    if (tracer->has_key) {
        (void)pthread_key_delete(tracer->key);
    }
    for (uint32_t i = 0; i < DX_TRACE_BUFFERS_MAX; i++) {
        buffer_destroy(dxi_trace_buffer_at(tracer, i));
    }
    dxi_post_destroy(tracer->post);
    dxi_secret_free(tracer->headers, DXI_POST_HEADERS_BYTES_MAX + 1);
    if (tracer->has_sync) {
        (void)pthread_mutex_destroy(&tracer->mutex);
        (void)pthread_cond_destroy(&tracer->changed);
    }
    dxi_free(tracer->text);
    dxi_free(tracer);
}

/* -------------------------------------------------------------------------------------- changes */

int dx_tracer_set_sample(dx_tracer_t *tracer, uint32_t sample, dx_error_t *error)
{
    const int code = sample_check(sample, error);
    if (code == DX_OK) {
        dx_store32_relaxed(&tracer->sample, (int32_t)sample_of(sample));
    }
    return code;
}

int dx_tracer_set_headers(dx_tracer_t *tracer, const char *headers, dx_error_t *error)
{
    const int code = dxi_post_headers_check(headers != NULL ? headers : "", error);
    if (code != DX_OK) {
        return code;
    }
    char *const copy = dxi_secret_alloc(DXI_POST_HEADERS_BYTES_MAX + 1);
    if (copy == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for the headers of a tracer");
    }
    (void)snprintf(copy, DXI_POST_HEADERS_BYTES_MAX + 1, "%s", headers != NULL ? headers : "");
    (void)pthread_mutex_lock(&tracer->mutex);
    char *const old = tracer->headers;
    tracer->headers = copy;
    (void)pthread_mutex_unlock(&tracer->mutex);
    dxi_secret_free(old, DXI_POST_HEADERS_BYTES_MAX + 1);
    return DX_OK;
}

/* -------------------------------------------------------------------------------------- figures */

uint64_t dxi_trace_settled(const dx_tracer_t *tracer)
{
    return (uint64_t)(dx_load_relaxed(&tracer->exported) + dx_load_relaxed(&tracer->rejected) +
                      dx_load_relaxed(&tracer->failed));
}

void dx_tracer_stats(const dx_tracer_t *tracer, dx_tracer_stats_t *stats_out)
{
    /* One look at it: what went well is the difference, and that must not fall. */
    const uint64_t failures = (uint64_t)dx_load_relaxed(&tracer->failures);
    *stats_out = (dx_tracer_stats_t){
        .exported = (uint64_t)dx_load_relaxed(&tracer->exported),
        .rejected = (uint64_t)dx_load_relaxed(&tracer->rejected),
        .failed = (uint64_t)dx_load_relaxed(&tracer->failed),
        .requests = (uint64_t)dx_load_relaxed(&tracer->successes) + failures,
        .failures = failures,
        .dropped = (uint64_t)dx_load_relaxed(&tracer->unbuffered),
    };
    for (uint32_t i = 0; i < DX_TRACE_BUFFERS_MAX; i++) {
        const dxi_trace_buffer_t *const buffer = dxi_trace_buffer_at(tracer, i);
        if (buffer == NULL) {
            break; /* they are made in their order */
        }
        stats_out->recorded += (uint64_t)dx_load_relaxed(&buffer->recorded);
        stats_out->dropped += (uint64_t)dx_load_relaxed(&buffer->dropped);
    }
    const uint64_t settled = stats_out->exported + stats_out->rejected + stats_out->failed;
    stats_out->waiting = stats_out->recorded > settled ? stats_out->recorded - settled : 0;
}

int dx_tracer_flush(dx_tracer_t *tracer, int64_t timeout_ns)
{
    dx_tracer_stats_t stats;
    dx_tracer_stats(tracer, &stats);
    const int64_t now_ns = dx_clock_ns();
    const int64_t deadline_ns = timeout_ns > INT64_MAX - now_ns ? INT64_MAX : now_ns + timeout_ns;
    const struct timespec until = {.tv_sec = deadline_ns / DX_NS_PER_S,
                                   .tv_nsec = deadline_ns % DX_NS_PER_S};
    int code = DX_OK;
    (void)pthread_mutex_lock(&tracer->mutex);
    tracer->flushing++;
    (void)pthread_cond_broadcast(&tracer->changed);
    while (dxi_trace_settled(tracer) < stats.recorded && code == DX_OK) {
        if (pthread_cond_timedwait(&tracer->changed, &tracer->mutex, &until) == ETIMEDOUT) {
            code = DX_ETIMEDOUT;
        }
    }
    tracer->flushing--;
    (void)pthread_mutex_unlock(&tracer->mutex);
    return code;
}
