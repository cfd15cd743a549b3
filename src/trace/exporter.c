/* exporter.c - the thread of a tracer: it empties the buffers, and sends batches.
 *
 * DESIGN
 *
 *     look       every LOOK_NS: what is in the buffers goes into the batch, as far as it fits
 *     send       the batch is full, or its first span has waited interval_ns, or somebody flushes
 *     2xx        exported; what the answer says was not taken is `rejected`
 *     429, 502, 503, 504, no answer
 *                the same batch again after a pause, which doubles and is jittered, up to
 *                PAUSE_NS_MAX; after ATTEMPTS_MAX it is given up: `failed`
 *     else       given up at once: `failed`
 *
 * That is the table of the OTLP specification. While a batch waits nothing is taken from the
 * buffers, so that memory is bounded: they fill, and further spans are dropped where they are
 * recorded. Pauses grow over batches, and end with the first answer that is good.
 *
 * INVARIANTS
 *
 *   E1  a batch is sealed before it is sent, and stays as it is until it is settled
 *   E2  once it ends, the thread is gone soon after the deadline: a request is given up by then,
 *       and nothing waits longer
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>
#include <time.h>

#include "base/secret.h"
#include "disruptorx/clock.h"
#include "trace/context.h"
#include "trace/tracer_internal.h"

#define LOOK_NS (50 * DX_NS_PER_MS)
#define ATTEMPTS_MAX 5
#define PAUSE_NS_MAX (30 * DX_NS_PER_S)

static void count(dx_atomic64_t *figure, uint64_t delta)
{
    dx_store_relaxed(figure, dx_load_relaxed(figure) + (int64_t)delta);
}

/* ---------------------------------------------------------------------------------------- batch */

static void batch_begin(dx_tracer_t *tracer)
{
    dxi_otlp_begin(&tracer->batch, tracer->text, tracer->batch_bytes, tracer->service,
                   tracer->instance);
    tracer->sealed = false;
    tracer->attempts = 0;
}

/* Takes what a buffer has. False: the batch is full. */
static bool buffer_empty(dx_tracer_t *tracer, dxi_trace_buffer_t *buffer)
{
    const int64_t last = dx_consumer_poll(&buffer->consumer);
    int64_t sequence = buffer->consumer.next;
    bool fits = true;
    for (; sequence <= last; sequence++) {
        fits = tracer->batch.spans < tracer->batch_spans &&
               dxi_otlp_add(&tracer->batch, dx_consumer_event(&buffer->consumer, sequence));
        if (!fits) {
            break;
        }
    }
    if (sequence != buffer->consumer.next) {
        dx_consumer_release(&buffer->consumer, sequence - 1);
    }
    return fits;
}

/* Takes what is there. False: the batch is full. */
static bool buffers_empty(dx_tracer_t *tracer)
{
    const bool none = tracer->batch.spans == 0;
    bool fits = true;
    for (uint32_t i = 0; i < DX_TRACE_BUFFERS_MAX && fits; i++) {
        dxi_trace_buffer_t *const buffer = dxi_trace_buffer_at(tracer, i);
        if (buffer == NULL) {
            break; /* they are made in their order */
        }
        fits = buffer_empty(tracer, buffer);
    }
    if (none && tracer->batch.spans != 0) {
        tracer->first_ns = dx_clock_ns();
    }
    return fits;
}

/* -------------------------------------------------------------------------------------- answers */

static bool again_later(int status)
{
    return status == 0 || status == 429 || (status >= 502 && status <= 504);
}

/* The batch is given up. */
static void batch_lose(dx_tracer_t *tracer)
{
    count(&tracer->failed, tracer->batch.spans);
    tracer->lost += tracer->batch.spans;
    batch_begin(tracer);
}

static void taken(dx_tracer_t *tracer, const dxi_post_answer_t *answer)
{
    const uint64_t spans = tracer->batch.spans;
    uint64_t rejected = dxi_otlp_rejected(answer->text, answer->bytes);
    rejected = rejected < spans ? rejected : spans;
    count(&tracer->exported, spans - rejected);
    count(&tracer->rejected, rejected);
    if (tracer->pause_ns != 0) {
        DX_LOG_INFO(tracer->log, "trace", "%s takes spans again; %llu were given up", tracer->url,
                    (unsigned long long)tracer->lost);
    }
    if (rejected != 0) {
        DX_LOG_WARN(tracer->log, "trace", "%s did not take %llu of %llu spans", tracer->url,
                    (unsigned long long)rejected, (unsigned long long)spans);
    }
    tracer->pause_ns = 0;
    tracer->lost = 0;
    batch_begin(tracer);
}

/* How long to wait, at least half of the pause. */
static int64_t pause_next(dx_tracer_t *tracer, int64_t retry_after_s)
{
    const int64_t longer = tracer->pause_ns == 0 ? tracer->pause_least_ns : tracer->pause_ns * 2;
    tracer->pause_ns = longer < PAUSE_NS_MAX ? longer : PAUSE_NS_MAX;
    const int64_t half = tracer->pause_ns / 2;
    const int64_t jittered = half + (int64_t)(dxi_trace_random() % (uint64_t)(half + 1));
    const int64_t asked =
        retry_after_s < PAUSE_NS_MAX / DX_NS_PER_S ? retry_after_s * DX_NS_PER_S : PAUSE_NS_MAX;
    return asked > jittered ? asked : jittered;
}

static void refused(dx_tracer_t *tracer, const dxi_post_answer_t *answer)
{
    count(&tracer->failures, 1);
    if (tracer->pause_ns == 0) {
        if (answer->status == 0) {
            DX_LOG_WARN(tracer->log, "trace", "%s takes no spans: %s", tracer->url,
                        answer->sentence);
        } else {
            DX_LOG_WARN(tracer->log, "trace", "%s takes no spans: HTTP status %d", tracer->url,
                        answer->status);
        }
    }
    tracer->not_before_ns = dx_clock_ns() + pause_next(tracer, answer->retry_after_s);
    if (!again_later(answer->status) || tracer->attempts >= ATTEMPTS_MAX) {
        batch_lose(tracer);
    }
}

static void headers_take(dx_tracer_t *tracer)
{
    (void)pthread_mutex_lock(&tracer->mutex);
    char *const headers = tracer->headers;
    tracer->headers = NULL;
    (void)pthread_mutex_unlock(&tracer->mutex);
    if (headers == NULL) {
        return;
    }
    if (dxi_post_set_headers(tracer->post, headers) != DX_OK) {
        DX_LOG_ERROR(tracer->log, "trace", "no memory for other headers: they stay as they were");
    }
    dxi_secret_free(headers, DXI_POST_HEADERS_BYTES_MAX + 1);
}

static void batch_send(dx_tracer_t *tracer)
{
    dxi_post_answer_t answer;
    headers_take(tracer);
    if (!tracer->sealed) {
        dxi_otlp_end(&tracer->batch); /* E1 */
        tracer->sealed = true;
    }
    tracer->attempts++;
    dxi_post_send(tracer->post, tracer->batch.text, tracer->batch.used, &tracer->deadline_ns,
                  &answer);
    if (answer.status >= 200 && answer.status < 300) {
        count(&tracer->successes, 1);
        taken(tracer, &answer);
    } else {
        refused(tracer, &answer);
    }
    (void)pthread_mutex_lock(&tracer->mutex);
    (void)pthread_cond_broadcast(&tracer->changed);
    (void)pthread_mutex_unlock(&tracer->mutex);
}

/* --------------------------------------------------------------------------------------- thread */

/* Waits until it is time to look, somebody flushes, or it ends. Returns whether it ends. */
static bool look_wait(dx_tracer_t *tracer, bool *flush_out)
{
    const int64_t now_ns = dx_clock_ns();
    int64_t until_ns = now_ns + LOOK_NS;
    if (tracer->sealed && tracer->not_before_ns > until_ns) {
        until_ns = tracer->not_before_ns;
    }
    const struct timespec until = {.tv_sec = until_ns / DX_NS_PER_S,
                                   .tv_nsec = until_ns % DX_NS_PER_S};
    (void)pthread_mutex_lock(&tracer->mutex);
    if (!tracer->ends && (tracer->flushing == 0 || now_ns < tracer->not_before_ns)) {
        (void)pthread_cond_timedwait(&tracer->changed, &tracer->mutex, &until);
    }
    const bool ends = tracer->ends;
    *flush_out = tracer->flushing != 0 || ends;
    (void)pthread_mutex_unlock(&tracer->mutex);
    return ends;
}

/* What is left when it ends, as long as it may take and the collector takes it. */
static void last_ones(dx_tracer_t *tracer)
{
    for (;;) {
        if (!tracer->sealed) {
            (void)buffers_empty(tracer);
        }
        if (tracer->batch.spans == 0) {
            return;
        }
        const int64_t failures = dx_load_relaxed(&tracer->failures);
        if (dx_clock_ns() < dx_load_relaxed(&tracer->deadline_ns)) {
            batch_send(tracer);
        }
        if (dx_load_relaxed(&tracer->failures) != failures ||
            dx_clock_ns() >= dx_load_relaxed(&tracer->deadline_ns)) {
            break;
        }
    }
    do { /* E2: counted as given up */
        batch_lose(tracer);
        (void)buffers_empty(tracer);
    } while (tracer->batch.spans != 0);
    DX_LOG_WARN(tracer->log, "trace", "%llu spans were given up at the end",
                (unsigned long long)tracer->lost);
}

void dxi_trace_export(void *tracer_of_thread)
{
    dx_tracer_t *const tracer = tracer_of_thread;
    batch_begin(tracer);
    for (;;) {
        bool flush = false;
        if (look_wait(tracer, &flush)) {
            break;
        }
        const bool fits = tracer->sealed || buffers_empty(tracer);
        const int64_t now_ns = dx_clock_ns();
        const bool due =
            tracer->batch.spans != 0 &&
            (tracer->sealed || !fits || flush || now_ns - tracer->first_ns >= tracer->interval_ns);
        if (due && now_ns >= tracer->not_before_ns) {
            batch_send(tracer);
        }
    }
    last_ones(tracer);
}
