/* client.c - making and ending a client; its thread's turn; waiting until all is sent; numbers.
 *
 * DESIGN
 *
 * The client's thread is a loop (net/loop.h) with one connection and one duty. A turn of the duty:
 *
 *     calls        frames that other threads ask for; subscriptions to add and remove
 *     subscriptions  SUBSCRIBE and CREDIT that are due
 *     answers      of subscribers, from other threads
 *     window       publications, as far as credit and room reach (send.c)
 *     flushes      who waits for them
 *     room         wakes publishers that wait for it
 *     time         the next attempt to connect, requests whose time is over
 *
 * The end: dx_client_close() waits for the window and its answers, has the connection ended in
 * order, then tells everybody who still waits, then ends the thread.
 *
 * INVARIANTS
 *
 *   K1  whoever waits is told: by an answer, at the deadline, or by the end of the client
 *   K2  callbacks are called one at a time, in the client's thread or in that of who drives it; the
 *       last on_state() in that of dx_client_close()
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "base/futex.h"
#include "client/internal.h"
#include "disruptorx/clock.h"

#define GOODBYE_NS DX_NS_PER_S /* how long the end of the connection may take beyond the deadline */

/* ----------------------------------------------------------------------------------- one's turn */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int duty_run(void *context, int64_t now_ns)
{
    dx_client_t *const client = context;
    int done = dxi_calls_pump(client);
    done += dxi_subscriptions_pump(client);
    done += dxi_acks_pump(client);
    done += dxi_send_window(client);
    done += dxi_calls_flushed(client);
    if (DX_UNLIKELY(dx_load32_relaxed(&client->closed) != 0 && !client->closing)) {
        dxi_send_fail(client); /* published while it gave up */
    }
    dxi_window_settle(&client->window);
    if (DX_UNLIKELY(client->reading_stopped) &&
        dxi_send_room(client, DXI_CLIENT_RESERVE_BYTES / 2)) {
        client->reading_stopped = false;
        dxi_connection_resume(client->connection);
    }
    int64_t due_ns = dxi_link_tick(client, now_ns);
    if (DX_UNLIKELY(dx_load_relaxed(&client->next_deadline_ns) != INT64_MAX)) {
        due_ns = earlier(due_ns, dxi_calls_expire(client, now_ns));
    }
    if (DX_UNLIKELY(due_ns != INT64_MAX)) {
        dxi_loop_wake_at(client->loop, due_ns);
    }
    return done;
}

/* --------------------------------------------------------------------------------------- making */

static uint64_t random_bits(void)
{
    uint64_t bits = 0;
    if (getrandom(&bits, sizeof bits, 0) != (ssize_t)sizeof bits || bits == 0) {
        bits = (uint64_t)dx_clock_realtime_ns() * UINT64_C(0x9E3779B97F4A7C15) | 1;
    }
    return bits;
}

static int memory_make(dx_client_t *client, dx_error_t *error)
{
    const dx_client_options_t *const o = &client->options;
    uint64_t room = 1;
    while (room < o->window_events) {
        room *= 2;
    }
    client->unanswered = dxi_alloc_zeroed(room, sizeof *client->unanswered);
    client->unanswered_mask = room - 1;
    if (client->unanswered == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for %u publications to be answered",
                        o->window_events);
    }
    return dxi_window_open(&client->window, o->window_bytes, o->window_events, error);
}

static int loop_make(dx_client_t *client, dx_error_t *error)
{
    const dx_client_options_t *const o = &client->options;
    const dxi_loop_options_t options = {.name =
                                            o->thread.name != NULL ? o->thread.name : "dx.client",
                                        .busy_poll = o->busy_poll,
                                        .spin_ns = o->spin_ns,
                                        .cpus = o->thread.cpus};
    const int code = dxi_loop_create(&options, &client->loop, error);
    if (code != DX_OK) {
        return code;
    }
    client->bell = dxi_loop_bell_of(client->loop);
    client->duty = (dxi_duty_t){.run = duty_run, .context = client};
    dxi_loop_add_duty(client->loop, &client->duty);
    return dxi_loop_start(client->loop, error);
}

static void client_free(dx_client_t *client)
{
    dxi_directs_close(client);
    if (client->loop != NULL) {
        dxi_loop_stop(client->loop);
        dxi_loop_destroy(client->loop);
    }
    for (uint32_t i = 0; i < client->subscription_room; i++) {
        dxi_subscription_destroy(client->subscriptions[i]);
    }
    dxi_free(client->subscriptions);
    for (uint32_t i = 0; i < client->chunk_count; i++) {
        dxi_free(client->chunks[i]);
    }
    dxi_acks_close(&client->acks);
    dxi_window_close(&client->window);
    dxi_free(client->unanswered);
    dxi_tls_destroy(client->tls);
    dxi_free(client->texts);
    (void)pthread_mutex_destroy(&client->acks.lock);
    (void)pthread_mutex_destroy(&client->lock);
    dxi_plain_close(&client->plain);
    dxi_free(client);
}

/* Scheduling, which loops know nothing of. */
typedef struct scheduling {
    const dx_thread_options_t *options;
    dx_error_t error;
    int code;
} scheduling_t;

static void sched_set(void *context)
{
    scheduling_t *const s = context;
    s->code = dx_thread_sched_self(s->options->sched, s->options->priority, &s->error);
}

/* Starts to connect and waits for the outcome of the first round. */
static int link_make(dx_client_t *client, dx_error_t *error)
{
    if (client->options.thread.sched != DX_SCHED_INHERIT) {
        scheduling_t scheduling = {.options = &client->options.thread};
        dxi_loop_call(client->loop, sched_set, &scheduling);
        if (scheduling.code != DX_OK) {
            return dxi_fail(error, scheduling.code, "%s", scheduling.error.message);
        }
    }
    dxi_loop_call(client->loop, dxi_link_start, client);
    if (client->options.connect_later) {
        return DX_OK;
    }
    int32_t outcome = 0;
    while ((outcome = dx_load32_acquire(&client->outcome)) == 0) {
        dxi_futex_wait(&client->outcome, 0, INT64_MAX); /* connect_timeout_ns ends it (K1) */
    }
    if (outcome == 1) {
        return DX_OK;
    }
    (void)pthread_mutex_lock(&client->lock);
    const dx_error_t why = client->last_error;
    (void)pthread_mutex_unlock(&client->lock);
    if (error != NULL) {
        *error = why;
    }
    return why.code;
}

int dx_client_connect(const dx_client_options_t *options, dx_client_t **client_out,
                      dx_error_t *error)
{
    *client_out = NULL;
    dx_client_t *const client = dxi_alloc_zeroed(1, sizeof *client);
    if (client == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a client");
    }
    (void)pthread_mutex_init(&client->lock, NULL);
    (void)pthread_mutex_init(&client->acks.lock, NULL);
    dxi_plain_open(&client->plain);
    dxi_directs_init(&client->directs);
    client->oldest = client->next = client->resend = 1;
    client->next_attempt_ns = INT64_MAX;
    dx_store_relaxed(&client->next_deadline_ns, INT64_MAX);
    dx_store_relaxed(&client->counts.state, DX_CLIENT_CONNECTING);
    int code = dxi_client_options_take(client, options, error);
    if (code == DX_OK) {
        client->random = random_bits();
        client->producer_id =
            client->options.producer_id != 0 ? client->options.producer_id : random_bits();
        (void)snprintf(client->inbox, sizeof client->inbox, "$inbox.%016llx",
                       (unsigned long long)random_bits());
        code = memory_make(client, error);
    }
    if (code == DX_OK) {
        dx_store_relaxed(&client->counts.frame_bytes_max,
                         client->window.bytes / DXI_WINDOW_SHARE -
                             (int64_t)sizeof(dxi_receipt_record_t));
        code = loop_make(client, error);
    }
    if (code == DX_OK) {
        code = link_make(client, error);
    }
    if (code != DX_OK) {
        client_free(client);
        return code;
    }
    *client_out = client;
    return DX_OK;
}

/* --------------------------------------------------------------------------------------- ending */

/* Everybody who still waits is told (K1). */
static void last_words(void *context)
{
    dx_client_t *const client = context;
    dxi_send_fail(client);
    dxi_calls_fail(client, DX_ECLOSED, "the client was closed");
}

/* Whether a flush that found no time would have waited for anything. */
static bool nothing_is_left(const dx_client_t *client)
{
    dx_client_stats_t stats;
    dx_client_stats(client, &stats);
    return stats.window_bytes == 0 && stats.window_events == 0;
}

int dx_client_close(dx_client_t *client, int64_t timeout_ns)
{
    if (client == NULL) {
        return DX_OK;
    }
    if (dxi_client_in_loop(client) || dxi_direct_in_handler()) {
        return DX_EDEADLOCK;
    }
    const int64_t deadline_ns =
        timeout_ns == 0 ? dx_clock_ns() : dxi_client_deadline(client, timeout_ns);
    int code = dx_load32_acquire(&client->closed) != 0
                   ? DX_OK
                   : dx_client_flush(client, timeout_ns == 0 ? 1 : timeout_ns, NULL);
    if (code == DX_ETIMEDOUT && nothing_is_left(client)) {
        code = DX_OK;
    }
    dx_store32_release(&client->closed, 1);
    dxi_window_shut(&client->window);
    dxi_loop_call(client->loop, dxi_link_stop, client);
    int64_t left_ns = 0;
    while (dx_load32_acquire(&client->gone) == 0 &&
           (left_ns = deadline_ns == INT64_MAX ? INT64_MAX
                                               : deadline_ns + GOODBYE_NS - dx_clock_ns()) > 0) {
        dxi_futex_wait(&client->gone, 0, left_ns);
    }
    dxi_loop_call(client->loop, last_words, client);
    if (dx_load_relaxed(&client->counts.state) != DX_CLIENT_CLOSED &&
        client->options.on_state != NULL) {
        client->options.on_state(client->options.context, DX_CLIENT_CLOSED, DX_OK, "closed");
    }
    client_free(client);
    return code == DX_ETIMEDOUT ? DX_ETIMEDOUT : DX_OK;
}

/* -------------------------------------------------------------------------------- other threads */

int dx_client_drive(dx_client_t *client)
{
    if (DX_UNLIKELY(dx_load32_relaxed(&client->closed) != 0)) {
        return DX_ECLOSED;
    }
    return DX_UNLIKELY(dxi_direct_in_handler()) ? DX_EDEADLOCK : dxi_loop_drive(client->loop);
}

int dxi_client_closed_fail(dx_client_t *client, dx_error_t *error)
{
    (void)pthread_mutex_lock(&client->lock);
    const dx_error_t why = client->last_error;
    (void)pthread_mutex_unlock(&client->lock);
    if (why.message[0] != 0 && dx_load_relaxed(&client->counts.state) == DX_CLIENT_CLOSED) {
        return dxi_fail(error, DX_ECLOSED, "the client has given up: %s", why.message);
    }
    return dxi_fail(error, DX_ECLOSED, "the client is closed");
}

int dxi_client_may_wait(dx_client_t *client, const char *what, dx_error_t *error)
{
    if (dxi_client_in_loop(client)) {
        return dxi_fail(error, DX_EDEADLOCK,
                        "%s was called by a handler: it would wait for the thread it runs in",
                        what);
    }
    if (dx_load32_acquire(&client->closed) != 0) {
        return dxi_client_closed_fail(client, error);
    }
    return DX_OK;
}

int dx_client_flush(dx_client_t *client, int64_t timeout_ns, dx_error_t *error)
{
    int code = dxi_client_may_wait(client, "dx_client_flush()", error);
    if (code != DX_OK) {
        return code;
    }
    dxi_call_t *call = NULL;
    code = dxi_call_open(client, DXI_CALL_FLUSH, &call, error);
    if (code != DX_OK) {
        return code;
    }
    /* RELAXED: what this thread has published it has claimed before. */
    call->position = dxi_window_claimed(&client->window);
    dxi_call_submit(client, call);
    code = dxi_call_wait(client, call, dxi_client_deadline(client, timeout_ns), error);
    dxi_call_close(client, call);
    return code;
}

void dx_client_stats(const dx_client_t *client, dx_client_stats_t *stats_out)
{
    const dxi_client_counts_t *const c = &client->counts;
    const dxi_window_t *const w = &client->window;
    const dxi_directs_t *const d = &client->directs;
    *stats_out = (dx_client_stats_t){
        .state = (dx_client_state_t)dx_load_relaxed(&c->state),
        .published = dxi_window_published(w) + dxi_directs_published(client),
        .acknowledged = (uint64_t)dx_load_relaxed(&c->acknowledged),
        .refused = (uint64_t)dx_load_relaxed(&c->refused),
        .retried = (uint64_t)dx_load_relaxed(&c->retried),
        .received = (uint64_t)(dx_load_relaxed(&c->received) + dx_load_relaxed(&d->received)),
        .gaps = (uint64_t)(dx_load_relaxed(&c->gaps) + dx_load_relaxed(&d->gaps)),
        .gap_events = (uint64_t)(dx_load_relaxed(&c->gap_events) + dx_load_relaxed(&d->gap_events)),
        .reconnects = (uint64_t)dx_load_relaxed(&c->reconnects),
        .lost = (uint64_t)dx_load_relaxed(&c->lost),
        .window_events = (uint64_t)dx_load_relaxed(&w->events),
        .acks_ignored = (uint64_t)dx_load_relaxed(&c->acks_ignored),
        .rtt_ns = dx_load_relaxed(&c->rtt_ns),
        .bytes_in = (uint64_t)dx_load_relaxed(&c->bytes_in),
        .bytes_out = (uint64_t)dx_load_relaxed(&c->bytes_out),
        .batches_in = (uint64_t)dx_load_relaxed(&c->batches_in),
        .batches_out = (uint64_t)dx_load_relaxed(&c->batches_out)};
    /* `released` first: it may be behind, and the difference is never negative. */
    const int64_t released = dx_load_acquire(&w->released);
    stats_out->window_bytes = (uint64_t)(dxi_window_claimed(w) - released);
    pthread_mutex_t *const lock = (pthread_mutex_t *)(uintptr_t)&client->lock;
    (void)pthread_mutex_lock(lock);
    memcpy(stats_out->address, client->address_text, sizeof stats_out->address);
    memcpy(stats_out->node_name, client->node_name, sizeof stats_out->node_name);
    (void)pthread_mutex_unlock(lock);
}
