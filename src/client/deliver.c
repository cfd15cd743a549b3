/* deliver.c - events that arrive: put together to batches, handed to handlers, answered, and paid
 * for with new credit.
 *
 * DESIGN
 *
 * A DELIVER says for which subscriptions the next EVENT frames are (the set). Events of the same
 * set are put together, where they lie in the receive buffer, until another set comes, the batch is
 * full or the buffer holds no more whole frame. Then each subscription of the set gets them. So
 * `dx_event_t` and its frame are views, and no payload is copied.
 *
 * A full batch is handed over when the next event is there, never before: so the last event of what
 * has arrived always says end_of_batch.
 *
 * INVARIANTS
 *
 *   D1  events of one subscription are handed over in the order of their arrival
 *   D2  no event is taken without room in the sending ring for all the answers of a batch
 *   D3  the batch is empty when the connection reads again
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "base/fail.h"
#include "client/trace.h"
#include "disruptorx/clock.h"
#include "wire/pack.h"

/* What the answers of a whole batch take at most, and credit. */
#define ANSWER_BYTES_MAX (64 + 8 + 256 + 16 + 24 + 16 + 8)
#define ANSWERS_ROOM ((size_t)(DXI_CLIENT_BATCH + 2) * ANSWER_BYTES_MAX)

/* -------------------------------------------------------------------------------------- handing */

/* Calls the handler with one event, where there is a tracer. */
DX_NOINLINE static int event_trace(const dx_client_subscription_t *subscription,
                                   const dx_event_t *event)
{
    const dx_subscription_options_t *const o = &subscription->options;
    dxi_client_call_t call;
    dxi_client_handle_begin(subscription->client, event, dx_clock_realtime_ns(), 0, &call);
    const int code = o->on_event(o->context, event);
    dxi_client_handle_end(subscription->client, &call, code);
    return code;
}

/* Calls the handler of one subscription until all events of the batch are done with. */
static void batch_handle(dx_client_subscription_t *subscription, const dxi_batch_t *batch)
{
    const dx_subscription_options_t *const o = &subscription->options;
    const bool automatic = o->ack == DX_ACK_AUTO;
    const bool traces = subscription->client->options.tracer != NULL && !subscription->inbox;
    int at = 0;
    while (at < batch->count) {
        const dx_event_t *const events = &batch->events[at];
        const int left = batch->count - at;
        int done = 0;
        int code = DX_OK;
        if (o->on_batch != NULL) {
            const int64_t start_unix_ns = DX_UNLIKELY(traces) ? dx_clock_realtime_ns() : 0;
            done = o->on_batch(o->context, events, left);
            code = done < 0 ? done : DX_EAGAIN;
            done = done < 0 ? 0 : done < left ? done : left;
            if (DX_UNLIKELY(traces)) {
                dxi_client_handled(subscription->client, events, left, done, code, start_unix_ns);
            }
        } else {
            code = DX_UNLIKELY(traces) ? event_trace(subscription, events)
                                       : o->on_event(o->context, events);
            done = code < 0 ? 0 : 1;
        }
        for (int i = 0; automatic && i < done; i++) {
            dxi_ack_handled(subscription, &events[i]);
        }
        at += done;
        if (done < left && (o->on_batch != NULL || done == 0)) {
            if (automatic) {
                dxi_ack_refused(subscription, &events[done], code);
            }
            at++;
        }
    }
}

static void batch_give(dx_client_subscription_t *subscription, const dxi_batch_t *batch)
{
    const dx_subscription_options_t *const o = &subscription->options;
    dx_client_t *const client = subscription->client;
    const bool before = subscription->unacknowledged.entries != NULL;
    if (before) { /* the handler may acknowledge at once */
        for (int i = 0; i < batch->count; i++) {
            dxi_ack_delivered(subscription, &batch->events[i]);
        }
    }
    batch_handle(subscription, batch);
    if (!before && subscription->literal) {
        for (int i = 0; i < batch->count; i++) {
            dxi_ack_delivered(subscription, &batch->events[i]);
        }
    }
    if (!subscription->inbox) {
        dxi_count(&client->counts.received, batch->count);
    }
    subscription->taken_events += (uint64_t)batch->count;
    subscription->taken_bytes += batch->bytes;
    /* Signed: the last event may reach beyond the credit in bytes. */
    const int64_t events_left =
        (int64_t)(subscription->granted_events - subscription->taken_events);
    const int64_t bytes_left = (int64_t)(subscription->granted_bytes - subscription->taken_bytes);
    if (events_left <= o->queue_events / 2 || bytes_left <= o->queue_bytes / 2) {
        subscription->credit_due = true;
        client->subscriptions_due = true;
    }
}

static void batch_hand_over(dx_client_t *client, bool more)
{
    dxi_batch_t *const batch = &client->batch;
    batch->events[batch->count - 1].end_of_batch = !more;
    for (int i = 0; i < batch->set_count; i++) {
        if (batch->set[i] != NULL) {
            batch_give(batch->set[i], batch);
        }
        if (batch->set[i] != NULL && batch->left == 0) { /* all that the last DELIVER has named */
            batch->set[i]->held = batch->held;
        }
    }
    batch->count = 0;
    batch->bytes = 0;
}

void dxi_deliver_flush(dx_client_t *client)
{
    dxi_batch_t *const batch = &client->batch;
    if (batch->count != 0) {
        batch_hand_over(client, false);
    }
    for (int i = 0; i < batch->set_count; i++) {
        if (batch->set[i] != NULL && client->open) {
            (void)dxi_ack_flush(batch->set[i]);
        }
    }
}

/* ------------------------------------------------------------------------------------ receiving */

/* The subscriptions that a DELIVER or GAP names. */
static int set_read(const dx_frame_view_t *frame, uint64_t numbers_out[DXI_CLIENT_SET_MAX])
{
    uint32_t bytes = 0;
    const void *const numbers = dx_frame_part(frame, DX_PART_SUBSCRIPTION, &bytes);
    memcpy(numbers_out, numbers, bytes); /* 8 to 512: the rules of the part */
    return (int)(bytes / sizeof(uint64_t));
}

/* Something waits from now on, or waits longer. That it does no more counts when it was given. */
static void held_lower(const dxi_batch_t *batch)
{
    for (int i = 0; batch->held != 0 && i < batch->set_count; i++) {
        dx_client_subscription_t *const one = batch->set[i];
        if (one != NULL && (one->held == 0 || batch->held < one->held)) {
            one->held = batch->held;
        }
    }
}

int dxi_deliver_begin(dx_client_t *client, const dx_frame_view_t *frame, dx_error_t *error)
{
    dxi_batch_t *const batch = &client->batch;
    if (batch->left != 0) {
        return dxi_fail(error, DX_EINVAL, "a DELIVER came while %llu EVENT frames were due",
                        (unsigned long long)batch->left);
    }
    uint64_t numbers[DXI_CLIENT_SET_MAX];
    const int count = set_read(frame, numbers);
    if (count != batch->set_count ||
        memcmp(numbers, batch->numbers, (size_t)count * sizeof numbers[0]) != 0) {
        dxi_deliver_flush(client); /* D1 */
        batch->set_count = count;
        memcpy(batch->numbers, numbers, (size_t)count * sizeof numbers[0]);
        for (int i = 0; i < count; i++) {
            batch->set[i] = dxi_subscription_find(client, numbers[i]);
        }
    }
    uint32_t bytes = 0;
    const void *const attempt = dx_frame_part(frame, DX_PART_ATTEMPT, &bytes);
    batch->attempt = 0;
    if (attempt != NULL) {
        memcpy(&batch->attempt, attempt, sizeof batch->attempt);
    }
    batch->redelivered = (frame->header->flags & DX_FRAME_REDELIVERED) != 0;
    batch->left = dx_frame_part_u64(frame, DX_PART_COUNT, 0);
    batch->held = frame->header->sequence;
    held_lower(batch);
    return DX_OK;
}

/* The event of a frame that lies in the receive buffer. */
static void event_fill(dxi_batch_t *batch, const dx_frame_view_t *frame)
{
    dx_frame_view_t *const view = &batch->views[batch->count];
    *view = *frame;
    uint32_t topic_bytes = 0;
    uint32_t key_bytes = 0;
    const dx_frame_header_t *const header = frame->header;
    const char *const topic = dx_frame_part(frame, DX_PART_TOPIC, &topic_bytes);
    const void *const key = dx_frame_part(frame, DX_PART_KEY, &key_bytes);
    const bool acknowledged =
        batch->set_count == 1 && batch->set[0] != NULL && batch->set[0]->options.ack != DX_ACK_NONE;
    /* One by one: a literal would be cleared first, word by word, for a third of the time here. */
    dx_event_t *const event = &batch->events[batch->count];
    event->topic = topic;
    event->topic_bytes = topic_bytes;
    event->bytes = frame->payload_bytes;
    event->data = frame->payload;
    event->sequence = header->sequence;
    event->timestamp_ns = header->timestamp_ns;
    event->shard = header->shard;
    event->redelivered = batch->redelivered;
    event->end_of_batch = false;
    event->attempt = batch->attempt == 0 && acknowledged ? 1 : batch->attempt;
    event->term = header->term;
    event->key = key;
    event->key_bytes = key_bytes;
    event->correlation = dx_frame_part_u64(frame, DX_PART_CORRELATION, 0);
    event->frame = view;
    batch->bytes += frame->bytes;
    batch->count++;
}

/* The events of a pack, as many as the batch takes; the frame's bytes count with the first ones.
 * Only subscriptions without acknowledgement get packs, so there is always room for the answers. */
static void pack_fill(dx_client_t *client, const dx_frame_view_t *frame)
{
    dxi_batch_t *const batch = &client->batch;
    const dx_frame_header_t *const header = frame->header;
    uint64_t sequence = header->sequence;
    for (dxi_pack_t pack = dxi_pack_begin(header); pack.left != 0; sequence++) {
        if (batch->count == DXI_CLIENT_BATCH) {
            batch_hand_over(client, true);
        }
        const int at = batch->count;
        if (at == 0 || sequence == header->sequence) {
            event_fill(batch, frame);
        } else {
            batch->events[at] = batch->events[at - 1];
            batch->views[at] = batch->views[at - 1];
            batch->events[at].frame = &batch->views[at];
            batch->count++;
        }
        if (at == 0 && sequence != header->sequence) {
            batch->bytes -= frame->bytes;
        }
        dx_event_t *const event = &batch->events[at];
        event->data = dxi_pack_next(&pack, &event->bytes);
        event->sequence = sequence;
        batch->views[at].payload = event->data;
        batch->views[at].payload_bytes = event->bytes;
    }
}

int dxi_deliver_event(dx_client_t *client, const dx_frame_view_t *frame, dx_error_t *error)
{
    dxi_batch_t *const batch = &client->batch;
    const uint32_t events = dxi_frame_events(frame->header);
    if (batch->left < events) {
        return batch->left == 0 ? dxi_fail(error, DX_EINVAL, "an EVENT came without a DELIVER")
                                : dxi_fail(error, DX_EINVAL, "a pack has %u events, %llu were due",
                                           events, (unsigned long long)batch->left);
    }
    if (batch->count == DXI_CLIENT_BATCH) {
        batch_hand_over(client, true);
    }
    if (batch->count == 0 && !dxi_send_room(client, ANSWERS_ROOM)) { /* D2 */
        client->reading_stopped = true;
        return DX_EAGAIN;
    }
    batch->left -= events;
    if (dxi_frame_packed(frame->header)) {
        pack_fill(client, frame);
    } else {
        event_fill(batch, frame);
    }
    return DX_OK;
}

void dxi_deliver_gap(dx_client_t *client, const dx_frame_view_t *frame)
{
    dxi_deliver_flush(client); /* D1 */
    uint64_t numbers[DXI_CLIENT_SET_MAX];
    const int count = set_read(frame, numbers);
    uint32_t bytes = 0;
    const dx_frame_range_t *const range = dx_frame_part(frame, DX_PART_RANGE, &bytes);
    dx_gap_t gap = {.shard = frame->header->shard, .first = range->first, .last = range->last};
    gap.topic = dx_frame_part(frame, DX_PART_TOPIC, &gap.topic_bytes);
    for (int i = 0; i < count; i++) {
        dx_client_subscription_t *const subscription = dxi_subscription_find(client, numbers[i]);
        if (subscription == NULL || range->last < range->first) {
            continue;
        }
        dxi_count(&client->counts.gaps, 1);
        dxi_count(&client->counts.gap_events, (int64_t)(range->last - range->first + 1));
        /* Only behind an event: before one it is not known whether there are several sequences. */
        if (subscription->last_sequence != 0 && range->last > subscription->last_sequence) {
            subscription->last_sequence = range->last;
        }
        if (subscription->options.on_gap != NULL) {
            subscription->options.on_gap(subscription->options.context, &gap);
        }
    }
}
