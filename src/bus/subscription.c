/* subscription.c - subscriptions of this process: handlers in a shard's thread or in their own.
 *
 * DESIGN
 *
 *     DX_DISPATCH_SHARD   shard -> deliver() -> handler
 *     DX_DISPATCH_THREAD  shard -> deliver() -> queue -> thread -> handler       (delivery.c)
 *
 * The queue is a ring of spans whose producers are the loops. Its bounds are queue_events and the
 * ring's bytes; when there is no room deliver() says DX_EAGAIN, the shard lets the subscription
 * lag, and the thread feeds it again when half of the queue is free.
 *
 * Ending, whoever wants it:  closing (deliver() refuses) -> the thread finishes what is queued ->
 * detached from all lanes -> on_end(), once, as the last call -> freed by dx_subscription_close().
 *
 * INVARIANTS
 *
 *   C1  handled <= pushed; pushed - handled is at most queue_events and one for each loop
 *   C2  on_end() is called once, and after it nothing else
 *   C3  a subscription is freed only when it is detached, its thread has ended, and no command of
 *       it is on its way
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <time.h>

#include "base/fail.h"
#include "bus/options.h"
#include "bus/subscription_internal.h"

#define QUEUE_EVENTS_DEFAULT 8192
#define QUEUE_EVENTS_MAX UINT32_C(16777216)
#define QUEUE_BYTES_DEFAULT UINT32_C(4194304)
#define QUEUE_BYTES_MIN UINT32_C(4096)
#define QUEUE_BYTES_MAX UINT32_C(1073741824)

/* -------------------------------------------------------------------------------------- options */

static int handlers_check(const dx_subscription_options_t *options, dx_error_t *error)
{
    if ((options->on_event == NULL) == (options->on_batch == NULL)) {
        return dxi_fail(error, DX_EINVAL, "%s, must be one of them",
                        options->on_event == NULL ? "neither on_event nor on_batch is set"
                                                  : "on_event and on_batch are both set");
    }
    if ((int)options->dispatch < 0 || options->dispatch > DX_DISPATCH_SHARD) {
        return dxi_fail(error, DX_EINVAL, "dispatch is %d, must be 0 (thread) or 1 (shard)",
                        (int)options->dispatch);
    }
    if (options->queue_events > QUEUE_EVENTS_MAX) {
        return dxi_fail(error, DX_EINVAL, "queue_events is %u, must be at most %u",
                        options->queue_events, QUEUE_EVENTS_MAX);
    }
    if (options->queue_bytes != 0 &&
        (options->queue_bytes < QUEUE_BYTES_MIN || options->queue_bytes > QUEUE_BYTES_MAX)) {
        return dxi_fail(error, DX_EINVAL, "queue_bytes is %u, must be from %u to %u",
                        options->queue_bytes, QUEUE_BYTES_MIN, QUEUE_BYTES_MAX);
    }
    return dxi_subscription_options_check(options, error);
}

/* --------------------------------------------------------------------------------------- making */

static uint32_t queue_slots(uint32_t bytes)
{
    uint32_t slots = QUEUE_BYTES_MIN / DX_RING_SPAN_SLOT_BYTES;
    while ((uint64_t)slots * DX_RING_SPAN_SLOT_BYTES < bytes) {
        slots *= 2;
    }
    return slots;
}

static int queue_create(dx_subscription_t *subscription, dx_error_t *error)
{
    dx_bus_t *bus = subscription->base.bus;
    const dx_subscription_options_t *options = &subscription->base.options;
    const uint32_t bytes = options->queue_bytes != 0 ? options->queue_bytes : QUEUE_BYTES_DEFAULT;
    subscription->queue_events =
        options->queue_events != 0 ? options->queue_events : QUEUE_EVENTS_DEFAULT;
    int code = dx_ring_create(
        &(dx_ring_options_t){.name = "subscription",
                             .slot_count = queue_slots(bytes),
                             .mode = bus->loop_count == 1 ? DX_RING_SINGLE : DX_RING_MULTI,
                             .consumers_max = 1,
                             .producers_max = bus->loop_count == 1 ? 0 : bus->loop_count,
                             .spans = true},
        &subscription->queue, error);
    if (code != DX_OK) {
        return code;
    }
    const dx_wait_kind_t wait = bus->options.busy_poll ? DX_WAIT_BUSY_SPIN : DX_WAIT_BLOCKING;
    code = dx_consumer_open(&subscription->consumer, subscription->queue,
                            &(dx_consumer_options_t){.name = "handler", .wait = {.kind = wait}},
                            error);
    subscription->producers = dxi_alloc_zeroed(bus->loop_count, sizeof(dx_producer_t));
    if (code == DX_OK && subscription->producers == NULL) {
        (void)dxi_fail(error, DX_ENOMEM, "no memory for a subscription");
        return DX_ENOMEM;
    }
    for (uint32_t i = 0; code == DX_OK && i < bus->loop_count; i++) {
        code = dx_producer_open(&subscription->producers[i], subscription->queue,
                                &(dx_producer_options_t){.full = DX_FULL_FAIL}, error);
    }
    if (code == DX_OK && options->on_batch != NULL) {
        subscription->batch = dxi_alloc_zeroed(1, sizeof *subscription->batch);
        if (subscription->batch == NULL) {
            code = dxi_fail(error, DX_ENOMEM, "no memory for a subscription");
        }
    }
    return code;
}

static void subscription_free(dx_subscription_t *subscription)
{
    dx_bus_t *bus = subscription->base.bus;
    if (subscription->producers != NULL) {
        for (uint32_t i = 0; i < bus->loop_count; i++) {
            dx_producer_close(&subscription->producers[i]);
        }
    }
    if (subscription->consumer.ring != NULL) {
        dxi_queue_drop(&subscription->consumer);
        dx_consumer_close(&subscription->consumer);
    }
    dx_ring_destroy(subscription->queue);
    dxi_free(subscription->producers);
    dxi_free(subscription->batch);
    dxi_attachment_close(&subscription->base);
    (void)pthread_mutex_destroy(&subscription->mutex);
    (void)pthread_cond_destroy(&subscription->changed);
    dxi_free(subscription);
}

static void list_add(dx_subscription_t *subscription)
{
    dx_bus_t *bus = subscription->base.bus;
    subscription->next = bus->subscriptions;
    if (subscription->next != NULL) {
        subscription->next->previous = subscription;
    }
    bus->subscriptions = subscription;
}

static void list_remove(dx_subscription_t *subscription)
{
    dx_bus_t *bus = subscription->base.bus;
    if (subscription->previous != NULL) {
        subscription->previous->next = subscription->next;
    } else {
        bus->subscriptions = subscription->next;
    }
    if (subscription->next != NULL) {
        subscription->next->previous = subscription->previous;
    }
}

/* Starts the thread, if it has one, and attaches. */
static int subscription_start(dx_subscription_t *subscription, dx_error_t *error)
{
    dx_bus_t *bus = subscription->base.bus;
    dx_thread_options_t thread = subscription->base.options.thread;
    if (thread.name == NULL) {
        thread.name = "subscription";
    }
    int code = DX_OK;
    if (subscription->queue != NULL) {
        code =
            dx_thread_start(&thread, dxi_local_thread, subscription, &subscription->thread, error);
    }
    if (code != DX_OK) {
        return code;
    }
    (void)pthread_mutex_lock(&bus->command_mutex);
    if (!dxi_bus_runs(bus)) {
        (void)dxi_bus_not_running(bus, error);
        code = DX_ESTATE;
    } else {
        code = dxi_attachment_attach(&subscription->base, error);
    }
    if (code == DX_OK) {
        list_add(subscription);
    }
    (void)pthread_mutex_unlock(&bus->command_mutex);
    return code;
}

int dx_bus_subscribe(dx_bus_t *bus, const dx_subscription_options_t *options,
                     dx_subscription_t **subscription_out, dx_error_t *error)
{
    *subscription_out = NULL;
    int code = handlers_check(options, error);
    if (code != DX_OK) {
        return code;
    }
    if (!dxi_bus_runs(bus)) {
        (void)dxi_bus_not_running(bus, error);
        return DX_ESTATE;
    }
    dx_subscription_t *subscription = dxi_alloc_zeroed(1, sizeof *subscription);
    if (subscription == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a subscription");
    }
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&subscription->mutex, NULL);
    (void)pthread_cond_init(&subscription->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    code = dxi_attachment_init(&subscription->base, bus, options, false, error);
    dxi_local_actions(subscription);
    if (code == DX_OK && options->dispatch == DX_DISPATCH_THREAD) {
        code = queue_create(subscription, error);
    }
    if (code == DX_OK) {
        *subscription_out = subscription; /* before a handler that acknowledges may want it */
        code = subscription_start(subscription, error);
    }
    if (code != DX_OK) {
        *subscription_out = NULL;
        subscription->quiet = true;
        (void)dxi_local_finish(subscription, code, "", 0);
        subscription_free(subscription);
    }
    return code;
}

int dx_bus_on(dx_bus_t *bus, const char *pattern, dx_event_fn on_event, void *context,
              dx_subscription_t **subscription_out, dx_error_t *error)
{
    return dx_bus_filter(bus, pattern, NULL, on_event, context, subscription_out, error);
}

int dx_bus_filter(dx_bus_t *bus, const char *pattern, dx_predicate_fn predicate,
                  dx_event_fn on_event, void *context, dx_subscription_t **subscription_out,
                  dx_error_t *error)
{
    return dx_bus_subscribe(
        bus,
        &(dx_subscription_options_t){
            .pattern = pattern, .predicate = predicate, .on_event = on_event, .context = context},
        subscription_out, error);
}

/* --------------------------------------------------------------------------------------- ending */

/* Keeps the first reason. Under the mutex. */
static void end_reason(dx_subscription_t *subscription, int code, const char *sentence)
{
    if (!subscription->reasoned) {
        subscription->reasoned = true;
        subscription->end_code = code;
        (void)snprintf(subscription->end_sentence, sizeof subscription->end_sentence, "%s",
                       sentence == NULL ? "" : sentence);
    }
}

/* Waits until the thread has ended by itself, at most until the deadline. */
static void wait_finished(dx_subscription_t *subscription, int64_t deadline_ns)
{
    const struct timespec until = {.tv_sec = deadline_ns / DX_NS_PER_S,
                                   .tv_nsec = deadline_ns % DX_NS_PER_S};
    int result = 0;
    while (!subscription->finished && result == 0) {
        result = pthread_cond_timedwait(&subscription->changed, &subscription->mutex, &until);
    }
}

int dxi_local_finish(dx_subscription_t *subscription, int code, const char *sentence,
                     int64_t deadline_ns)
{
    dx_bus_t *bus = subscription->base.bus;
    (void)pthread_mutex_lock(&subscription->mutex);
    end_reason(subscription, code, sentence);
    int32_t open = 0;
    (void)dx_compare_exchange32_acq_rel(&subscription->closing, &open, DXI_LOCAL_CLOSING);
    if (subscription->thread != NULL) {
        dx_store32_release(&subscription->ending,
                           deadline_ns <= dx_clock_ns() ? DXI_END_NOW : DXI_END_EMPTY);
        dx_consumer_cancel(&subscription->consumer);
        wait_finished(subscription, deadline_ns);
        dx_store32_release(&subscription->ending, DXI_END_NOW);
        dx_consumer_cancel(&subscription->consumer);
        while (!subscription->finished) {
            (void)pthread_cond_wait(&subscription->changed, &subscription->mutex);
        }
        (void)dx_thread_join(subscription->thread);
        subscription->thread = NULL;
    }
    while (subscription->commanded) { /* C3 */
        (void)pthread_cond_wait(&subscription->changed, &subscription->mutex);
    }
    (void)pthread_mutex_unlock(&subscription->mutex);
    (void)pthread_mutex_lock(&bus->command_mutex);
    dxi_attachment_detach(&subscription->base);
    (void)pthread_mutex_unlock(&bus->command_mutex);
    dx_store32_release(&subscription->closing, DXI_LOCAL_DETACHED);
    dxi_local_say_end(subscription);
    return dx_load_relaxed(&subscription->pushed) > dx_load_relaxed(&subscription->handled)
               ? DX_ETIMEDOUT
               : DX_OK;
}

void dxi_local_say_end(dx_subscription_t *subscription)
{
    const dx_subscription_options_t *options = &subscription->base.options;
    (void)pthread_mutex_lock(&subscription->mutex);
    const bool first = !subscription->ended;
    subscription->ended = true;
    (void)pthread_mutex_unlock(&subscription->mutex);
    if (first && !subscription->quiet && options->on_end != NULL) {
        options->on_end(options->context, subscription->end_code, subscription->end_sentence);
    }
}

/* The shard has ended it: what has to wait for loops is done in the commands' thread. */
static void end_command(dxi_command_t *command)
{
    dx_subscription_t *subscription = (dx_subscription_t *)(void *)command;
    dx_bus_t *bus = subscription->base.bus;
    (void)pthread_mutex_lock(&bus->command_mutex);
    dxi_attachment_detach(&subscription->base);
    (void)pthread_mutex_unlock(&bus->command_mutex);
    dx_store32_release(&subscription->closing, DXI_LOCAL_DETACHED);
    if (subscription->queue == NULL) {
        dxi_local_say_end(subscription);
    }
    (void)pthread_mutex_lock(&subscription->mutex);
    if (subscription->queue != NULL) {
        /* Its thread handles what is queued, says the end, and waits to be joined. */
        int32_t going_on = DXI_END_NOT;
        (void)dx_compare_exchange32_acq_rel(&subscription->ending, &going_on, DXI_END_EMPTY);
        dx_consumer_cancel(&subscription->consumer);
    }
    subscription->commanded = false;
    (void)pthread_cond_broadcast(&subscription->changed);
    (void)pthread_mutex_unlock(&subscription->mutex);
}

void dxi_local_end(dxi_part_t *part, int code, const char *sentence)
{
    dx_subscription_t *subscription = dxi_local_of(part);
    (void)pthread_mutex_lock(&subscription->mutex);
    const bool first = dx_load32_relaxed(&subscription->closing) == 0;
    if (first) {
        dx_store32_release(&subscription->closing, DXI_LOCAL_CLOSING);
        end_reason(subscription, code, sentence);
        subscription->commanded = true;
        subscription->command.run = end_command;
        dxi_command_post(subscription->base.bus, &subscription->command);
    }
    (void)pthread_mutex_unlock(&subscription->mutex);
}

int dx_subscription_close(dx_subscription_t *subscription, int64_t timeout_ns)
{
    dx_bus_t *bus = subscription->base.bus;
    if (dxi_local_handles_here(subscription)) {
        return DX_EDEADLOCK;
    }
    const int64_t now_ns = dx_clock_ns();
    const int64_t deadline_ns = timeout_ns > INT64_MAX - now_ns ? INT64_MAX : now_ns + timeout_ns;
    const int code = dxi_local_finish(subscription, DX_OK, "it was closed", deadline_ns);
    (void)pthread_mutex_lock(&bus->command_mutex);
    list_remove(subscription);
    (void)pthread_mutex_unlock(&bus->command_mutex);
    subscription_free(subscription);
    return code;
}

int64_t dxi_subscriptions_queued(dx_bus_t *bus)
{
    int64_t queued = 0;
    (void)pthread_mutex_lock(&bus->command_mutex);
    for (dx_subscription_t *it = bus->subscriptions; it != NULL; it = it->next) {
        queued += dx_load_relaxed(&it->pushed) - dx_load_acquire(&it->handled);
    }
    (void)pthread_mutex_unlock(&bus->command_mutex);
    return queued;
}

void dxi_subscriptions_end(dx_bus_t *bus, int64_t deadline_ns)
{
    for (;;) {
        (void)pthread_mutex_lock(&bus->command_mutex);
        dx_subscription_t *it = bus->subscriptions;
        while (it != NULL && it->swept) {
            it = it->next;
        }
        if (it != NULL) {
            it->swept = true;
        }
        (void)pthread_mutex_unlock(&bus->command_mutex);
        if (it == NULL) {
            return;
        }
        (void)dxi_local_finish(it, DX_ECLOSED, "the bus stops", deadline_ns);
    }
}

void dxi_subscriptions_destroy(dx_bus_t *bus)
{
    while (bus->subscriptions != NULL) {
        (void)dx_subscription_close(bus->subscriptions, 0);
    }
}

/* -------------------------------------------------------------------------------------- answers */

static int answer(dx_subscription_t *subscription, const dx_event_t *event, int code)
{
    dxi_attachment_t *base = &subscription->base;
    if (event->shard >= base->bus->options.shards ||
        dxi_attachment_part(base, event->shard) == NULL || base->options.ack != DX_ACK_EXPLICIT ||
        event->topic == NULL || event->topic_bytes > DX_TOPIC_BYTES_MAX) {
        return DX_EINVAL;
    }
    if (dx_load32_acquire(&subscription->closing) == DXI_LOCAL_DETACHED) {
        return DX_ECLOSED;
    }
    dxi_part_t *part = dxi_attachment_part(base, event->shard);
    const int result = dxi_part_ack(part, event->topic, event->topic_bytes, event->sequence,
                                    event->sequence, code, true);
    if (result == DX_OK) {
        dxi_part_ack_post(part);
    }
    return result;
}

int dx_subscription_ack(dx_subscription_t *subscription, const dx_event_t *event)
{
    return answer(subscription, event, DX_OK);
}

int dx_subscription_nack(dx_subscription_t *subscription, const dx_event_t *event, int code)
{
    return code >= 0 ? DX_EINVAL : answer(subscription, event, code);
}

int dx_subscription_stats(dx_subscription_t *subscription, dx_subscription_stats_t *stats_out)
{
    dx_bus_t *bus = subscription->base.bus;
    (void)pthread_mutex_lock(&bus->command_mutex);
    dxi_attachment_stats(&subscription->base, stats_out);
    (void)pthread_mutex_unlock(&bus->command_mutex);
    stats_out->lag += (uint64_t)(dx_load_relaxed(&subscription->pushed) -
                                 dx_load_acquire(&subscription->handled));
    return DX_OK;
}
