/* delivery.c - how events reach handlers of this process.
 *
 * DESIGN: see subscription.c. The two halves of the queue meet in two places: room (starve.c, F1)
 * and the counts of events. A handler in its own thread gets what is there as one batch; the
 * ring is released in steps, so that the shard goes on meanwhile.
 *
 * Acknowledging. DX_ACK_AUTO answers behind each handler's return; consecutive answers become one
 * record (attachment.c), and the loop is told at the end of a step.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bus/subscription_internal.h"
#include "bus/trace.h"

enum { STEP_RECORDS = 64 };

/* --------------------------------------------------------------------------------- in the shard */

/* What becomes of an event whose handler has returned `result`. */
static void answer_auto(dxi_part_t *part, const dx_event_t *event, int result)
{
    const int code = dxi_part_ack(part, event->topic, event->topic_bytes, event->sequence,
                                  event->sequence, result < 0 ? result : DX_OK, false);
    /* Without memory for the answer the event stays pending, and comes again when its time is
     * up. */
    (void)code;
}

static bool acks_automatically(const dx_subscription_options_t *options)
{
    return options->ack == DX_ACK_AUTO ||
           (options->ack == DX_ACK_DEFAULT && options->group != NULL);
}

static int call_one(const dx_subscription_options_t *options, const dx_event_t *event)
{
    if (options->on_event != NULL) {
        return options->on_event(options->context, event);
    }
    const int done = options->on_batch(options->context, event, 1);
    return done < 0 ? done : (done == 0 ? DX_EAGAIN : DX_OK);
}

/* The same with a traced event. */
DX_NOINLINE static int call_traced(const dxi_part_t *part, const dx_event_t *event)
{
    dxi_trace_call_t call;
    dxi_trace_handle_begin(part->attachment->bus, event, &call);
    const int result = call_one(&part->attachment->options, event);
    dxi_trace_handle_end(part->attachment->bus, &call, result);
    return result;
}

static int deliver_in_shard(dxi_part_t *part, const dxi_delivery_t *delivery)
{
    dx_subscription_t *subscription = dxi_local_of(part);
    const dx_subscription_options_t *options = &part->attachment->options;
    if (DX_UNLIKELY(dx_load32_acquire(&subscription->closing) != 0)) {
        return DX_ECLOSED;
    }
    dx_frame_view_t space;
    const dx_frame_view_t *view =
        dxi_lane_view(part->lane, delivery->frame, delivery->bytes, &space);
    if (view == NULL) {
        return DX_OK;
    }
    dx_event_t event;
    dxi_event_fill(&event, view, delivery);
    const int result =
        dxi_is_traced(delivery->frame) ? call_traced(part, &event) : call_one(options, &event);
    if (!acks_automatically(options)) {
        return DX_OK;
    }
    /* These two mean something else to the shard. */
    return result >= 0 ? DXI_DELIVER_DONE
                       : (result == DX_EAGAIN || result == DX_ECLOSED ? DX_ECANCELLED : result);
}

static int gap_in_shard(dxi_part_t *part, const dx_gap_t *gap)
{
    const dx_subscription_options_t *options = &part->attachment->options;
    if (options->on_gap != NULL && dx_load32_acquire(&dxi_local_of(part)->closing) == 0) {
        options->on_gap(options->context, gap);
    }
    return DX_OK;
}

/* ------------------------------------------------------------------------------- into the queue */

/* One more, or one less, that went in. With one loop nobody else writes the word. */
static void count_pushed(dx_subscription_t *subscription, int64_t delta)
{
    if (subscription->base.bus->loop_count == 1) {
        dx_store_relaxed(&subscription->pushed, dx_load_relaxed(&subscription->pushed) + delta);
    } else {
        (void)dx_fetch_add_relaxed(&subscription->pushed, delta);
    }
}

static int try_push(dx_subscription_t *subscription, dxi_part_t *part, const dxi_record_t *record,
                    const void *head, uint32_t head_bytes, const void *tail, uint32_t tail_bytes)
{
    /* ACQUIRE, pairs with the release in step_end(): C1. */
    if (dx_load_relaxed(&subscription->pushed) - dx_load_acquire(&subscription->handled) >=
        (int64_t)subscription->queue_events) {
        return DX_EAGAIN;
    }
    count_pushed(subscription, 1);
    const int code = dxi_queue_push_two(&subscription->producers[part->lane->owner->index], record,
                                        head, head_bytes, tail, tail_bytes);
    if (DX_UNLIKELY(code != DX_OK)) {
        count_pushed(subscription, -1);
        return code == DX_ECLOSED ? DX_ECLOSED : DX_EAGAIN;
    }
    return DX_OK;
}

static int push(dxi_part_t *part, const dxi_record_t *record, const void *head, uint32_t head_bytes,
                const void *tail, uint32_t tail_bytes)
{
    dx_subscription_t *subscription = dxi_local_of(part);
    if (DX_UNLIKELY(dx_load32_acquire(&subscription->closing) != 0)) {
        return DX_ECLOSED;
    }
    int code = try_push(subscription, part, record, head, head_bytes, tail, tail_bytes);
    if (DX_UNLIKELY(code == DX_EAGAIN)) {
        dxi_part_starve(part);
        code = try_push(subscription, part, record, head, head_bytes, tail, tail_bytes);
    }
    return code;
}

static int deliver_to_queue(dxi_part_t *part, const dxi_delivery_t *delivery)
{
    const dxi_record_t record = {.to = (uint64_t)(uintptr_t)part,
                                 .kind = DXI_RECORD_EVENT,
                                 .attempt = delivery->attempt,
                                 .redelivered = delivery->redelivered,
                                 .bytes = delivery->bytes};
    return push(part, &record, delivery->frame, delivery->bytes, NULL, 0);
}

static int gap_to_queue(dxi_part_t *part, const dx_gap_t *gap)
{
    const dxi_record_gap_t head = {gap->first, gap->last, gap->shard, gap->topic_bytes};
    const dxi_record_t record = {.to = (uint64_t)(uintptr_t)part,
                                 .kind = DXI_RECORD_GAP,
                                 .bytes = (uint32_t)sizeof head + gap->topic_bytes};
    return push(part, &record, &head, sizeof head, gap->topic, gap->topic_bytes);
}

void dxi_local_actions(dx_subscription_t *subscription)
{
    const bool in_shard = subscription->base.options.dispatch == DX_DISPATCH_SHARD;
    subscription->base.deliver = in_shard ? deliver_in_shard : deliver_to_queue;
    subscription->base.gap = in_shard ? gap_in_shard : gap_to_queue;
    subscription->base.end = dxi_local_end;
}

/* -------------------------------------------------------------------------------- in the thread */

/* The thread's walk through what is readable. */
typedef struct walk {
    dx_subscription_t *subscription;
    dx_spans_t spans;
    int64_t records;   /* since the last step */
    int64_t first;     /* of the step: spans from here on are not released */
    dxi_part_t *acked; /* its loop has to be told of answers */
    bool acks;
} walk_t;

static void acked(walk_t *walk, dxi_part_t *part)
{
    if (walk->acked != NULL && walk->acked != part) {
        dxi_part_ack_post(walk->acked);
    }
    walk->acked = part;
}

/* Frees records that lie aside, in the spans of the step. */
static void step_drop(walk_t *walk, int64_t last)
{
    dx_spans_t spans = dx_consumer_spans(&walk->subscription->consumer, last);
    for (dx_span_t *span; (span = dx_spans_next(&spans)) != NULL;) {
        dxi_record_done(dx_span_payload(span));
    }
}

/* What was handled so far, up to the slot before `next`, is released, and the shard fed. */
static void step_end(walk_t *walk, int64_t next)
{
    dx_subscription_t *subscription = walk->subscription;
    if (walk->records == 0) {
        return;
    }
    if (walk->acked != NULL) {
        dxi_part_ack_post(walk->acked);
        walk->acked = NULL;
    }
    step_drop(walk, next - 1);
    dx_consumer_release(&subscription->consumer, next - 1);
    /* RELEASE, pairs with the acquire in try_push(): room in the ring is there before the count
     * says so. */
    const int64_t handled = dx_load_relaxed(&subscription->handled) + walk->records;
    dx_store_release(&subscription->handled, handled);
    walk->records = 0;
    const int64_t queued = dx_load_relaxed(&subscription->pushed) - handled;
    if (queued <= (int64_t)subscription->queue_events / 2 &&
        dx_ring_remaining(subscription->queue) * 2 > subscription->consumer.mask) {
        dxi_attachment_feed(&subscription->base);
    }
}

/* Hands the batch over. What the handler has not done is as if one event had failed; those behind
 * it are handed over again. */
static void batch_flush(walk_t *walk, bool end_of_batch)
{
    dx_subscription_t *subscription = walk->subscription;
    const dx_subscription_options_t *options = &subscription->base.options;
    dxi_batch_t *batch = subscription->batch;
    if (batch == NULL || batch->count == 0) {
        return;
    }
    for (int i = 0; i < batch->count; i++) {
        batch->events[i].end_of_batch = end_of_batch && i == batch->count - 1;
    }
    for (int at = 0; at < batch->count;) {
        const int left = batch->count - at;
        const int64_t start_unix_ns = DX_UNLIKELY(batch->traced != 0) ? dx_clock_realtime_ns() : 0;
        const int result = options->on_batch(options->context, &batch->events[at], left);
        const int done = result < 0 ? 0 : (result > left ? left : result);
        if (DX_UNLIKELY(batch->traced != 0)) {
            dxi_trace_handled(subscription->base.bus, &batch->events[at], left, done,
                              result < 0 ? result : DX_EAGAIN, start_unix_ns);
        }
        const int failed = done < left ? at + done : -1;
        for (int i = at; walk->acks && i < at + done; i++) {
            answer_auto(batch->parts[i], &batch->events[i], DX_OK);
            acked(walk, batch->parts[i]);
        }
        if (walk->acks && failed >= 0) {
            answer_auto(batch->parts[failed], &batch->events[failed],
                        result < 0 ? result : DX_EAGAIN);
            acked(walk, batch->parts[failed]);
        }
        at += done + (failed >= 0);
    }
    batch->count = 0;
    batch->traced = 0;
}

static void handle_event(walk_t *walk, const dxi_record_t *record, bool end_of_batch)
{
    dx_subscription_t *subscription = walk->subscription;
    const dx_subscription_options_t *options = &subscription->base.options;
    dxi_part_t *part = (dxi_part_t *)(uintptr_t)record->to;
    dxi_batch_t *batch = subscription->batch;
    const dxi_delivery_t delivery = {.frame = dxi_record_body(record),
                                     .bytes = record->bytes,
                                     .attempt = record->attempt,
                                     .redelivered = record->redelivered};
    dx_frame_view_t space;
    dx_frame_view_t *view = batch != NULL ? &batch->views[batch->count] : &space;
    if (dx_frame_view(delivery.frame, delivery.bytes, view, NULL) != DX_OK) {
        return;
    }
    if (batch != NULL) {
        dxi_event_fill(&batch->events[batch->count], view, &delivery);
        batch->parts[batch->count++] = part;
        batch->traced += dxi_is_traced(delivery.frame);
        if (batch->count == DXI_HANDLER_EVENTS || end_of_batch) {
            batch_flush(walk, end_of_batch);
        }
        return;
    }
    dx_event_t event;
    dxi_event_fill(&event, view, &delivery);
    event.end_of_batch = end_of_batch;
    const int result = dxi_is_traced(delivery.frame) ? call_traced(part, &event)
                                                     : options->on_event(options->context, &event);
    if (walk->acks) {
        answer_auto(part, &event, result);
        acked(walk, part);
    }
}

static void handle_gap(walk_t *walk, const dxi_record_t *record)
{
    const dx_subscription_options_t *options = &walk->subscription->base.options;
    const dxi_record_gap_t *head = dxi_record_body(record);
    batch_flush(walk, true);
    if (options->on_gap != NULL) {
        options->on_gap(options->context, &(dx_gap_t){.topic = (const char *)(head + 1),
                                                      .topic_bytes = head->topic_bytes,
                                                      .shard = (uint16_t)head->shard,
                                                      .first = head->first,
                                                      .last = head->last});
    }
}

/* Handles what is readable, up to `last`. */
static void handle_range(dx_subscription_t *subscription, int64_t last)
{
    walk_t walk = {.subscription = subscription,
                   .spans = dx_consumer_spans(&subscription->consumer, last),
                   .acks = acks_automatically(&subscription->base.options)};
    dx_span_t *span = dx_spans_next(&walk.spans);
    while (span != NULL && dx_load32_relaxed(&subscription->ending) != DXI_END_NOW) {
        const dxi_record_t *record = dx_span_payload(span);
        const int64_t next = walk.spans.next;
        span = dx_spans_next(&walk.spans);
        const dxi_record_t *behind = span != NULL ? dx_span_payload(span) : NULL;
        if (record->kind == DXI_RECORD_EVENT) {
            /* A gap behind it is no event, so this is the time to flush as well. */
            handle_event(&walk, record, behind == NULL || behind->kind != DXI_RECORD_EVENT);
        } else {
            handle_gap(&walk, record);
        }
        walk.records++;
        if (walk.records >= STEP_RECORDS &&
            (subscription->batch == NULL || subscription->batch->count == 0)) {
            step_end(&walk, next);
        }
        walk.first = next;
    }
    if (subscription->batch != NULL && subscription->batch->count != 0) {
        /* Told to end now: what was put together and not handed over stays in the queue. */
        subscription->batch->count = 0;
        subscription->batch->traced = 0;
        return;
    }
    step_end(&walk, walk.first);
}

/* Whose thread this is; NULL: no subscription's. */
static _Thread_local const dx_subscription_t *here;

bool dxi_local_handles_here(const dx_subscription_t *subscription)
{
    const dx_bus_t *const bus = subscription->base.bus;
    bool loop = false;
    if (subscription->base.options.dispatch == DX_DISPATCH_SHARD) {
        for (uint32_t i = 0; i < bus->loop_count; i++) {
            loop = loop || dxi_loop_is_current(bus->loops[i].loop);
        }
    }
    return loop || here == subscription;
}

void dxi_local_thread(void *context)
{
    dx_subscription_t *subscription = context;
    here = subscription;
    int32_t ending = DXI_END_NOT;
    for (;;) {
        if (ending == DXI_END_NOT) { /* a cancel ends one wait only */
            const int64_t waited = dx_consumer_wait(&subscription->consumer);
            (void)waited; /* whatever ended it */
        }
        /* ACQUIRE, pairs with the release by who ends it: what was queued before is seen below. */
        ending = dx_load32_acquire(&subscription->ending);
        const int64_t last = dx_consumer_poll(&subscription->consumer);
        if (ending == DXI_END_NOW) {
            break;
        }
        if (last >= subscription->consumer.next) {
            handle_range(subscription, last);
        } else if (ending == DXI_END_EMPTY) {
            break;
        }
    }
    dxi_local_say_end(subscription);
    (void)pthread_mutex_lock(&subscription->mutex);
    subscription->finished = true;
    (void)pthread_cond_broadcast(&subscription->changed);
    (void)pthread_mutex_unlock(&subscription->mutex);
}
