/* ack.c - answers to events: from handlers (AUTO) and from any thread (EXPLICIT), joined to ranges.
 *
 * DESIGN
 *
 * A subscription has one run: consecutive sequences of one topic and shard that were handled. The
 * next one extends it, or it is sent and another begins; at the end of a turn it is sent. Only
 * consecutive ones are joined, though the events of a group's member have holes between them: what
 * lies in a hole may be on its way to this very member, a second time.
 *
 * Answers from other threads are records in a buffer under a lock; the client's thread swaps it for
 * an empty one and works through it.
 *
 * Of a topic whose events are acknowledged it is written down what was delivered and what became of
 * it (unacknowledged.h), so that after a reconnect it is known where to begin: the node forgets a
 * subscription that is alone with its connection. A group's place it keeps for a while. Not all
 * that was given before what came last need have come: an event waits for an earlier one of its
 * key, or for room. Each DELIVER says which is the first of those (`held`).
 *
 * INVARIANTS
 *
 *   A1  each event is answered at most once by AUTO, after its handler has returned
 *   A2  answers of one thread are sent in their order
 *   A3  the buffer has at most DXI_CLIENT_ACK_BYTES_MAX; who finds it full gets DX_EAGAIN
 *   A4  on a node that was started anew nothing is answered that an earlier one has given:
 *       sequences count from 1 again there, and what is older than that node is not its own
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "client/internal.h"

#define ATTEMPTS_DEFAULT 5

/* An answer on its way; its topic, padded to 8, stands behind it. */
typedef struct ack_record {
    uint64_t number;
    uint64_t sequence;
    uint64_t timestamp_ns; /* of the event */
    int32_t code;
    uint32_t attempt;
    uint16_t shard;
    uint16_t topic_bytes;
    uint32_t zero;
} ack_record_t;

int dxi_acks_open(dxi_acks_t *acks, dx_error_t *error)
{
    (void)pthread_mutex_lock(&acks->lock);
    if (acks->bytes_at == NULL) {
        acks->memory = dxi_alloc_zeroed(2, DXI_CLIENT_ACK_BYTES_MAX);
        acks->bytes_at = acks->memory;
        acks->spare = acks->memory != NULL ? acks->memory + DXI_CLIENT_ACK_BYTES_MAX : NULL;
    }
    const bool there = acks->bytes_at != NULL;
    (void)pthread_mutex_unlock(&acks->lock);
    return there ? DX_OK : dxi_fail(error, DX_ENOMEM, "no memory for answers to events");
}

void dxi_acks_close(dxi_acks_t *acks)
{
    dxi_free(acks->memory);
    acks->memory = acks->bytes_at = acks->spare = NULL;
}

static size_t record_bytes(size_t topic_bytes)
{
    return sizeof(ack_record_t) + ((topic_bytes + 7) & ~(size_t)7);
}

static int ack_put(dx_client_subscription_t *subscription, const dx_event_t *event, int code)
{
    if (subscription == NULL || event == NULL || event->topic == NULL || event->sequence == 0 ||
        event->topic_bytes == 0 || event->topic_bytes > DX_TOPIC_BYTES_MAX ||
        subscription->options.ack != DX_ACK_EXPLICIT) {
        return DX_EINVAL;
    }
    dx_client_t *const client = subscription->client;
    if (dx_load32_relaxed(&client->closed) != 0) {
        return DX_ECLOSED;
    }
    const ack_record_t record = {.number = subscription->number,
                                 .sequence = event->sequence,
                                 .timestamp_ns = event->timestamp_ns,
                                 .code = code,
                                 .attempt = event->attempt,
                                 .shard = event->shard,
                                 .topic_bytes = (uint16_t)event->topic_bytes};
    dxi_acks_t *const acks = &client->acks;
    const size_t bytes = record_bytes(record.topic_bytes);
    (void)pthread_mutex_lock(&acks->lock);
    const bool full = acks->bytes + bytes > DXI_CLIENT_ACK_BYTES_MAX; /* A3 */
    if (!full) {
        memcpy(acks->bytes_at + acks->bytes, &record, sizeof record);
        memcpy(acks->bytes_at + acks->bytes + sizeof record, event->topic, record.topic_bytes);
        acks->bytes += bytes;
        dx_store32_release(&acks->waiting, 1);
    }
    (void)pthread_mutex_unlock(&acks->lock);
    dxi_client_ring(client);
    return full ? DX_EAGAIN : DX_OK;
}

int dx_client_ack(dx_client_subscription_t *subscription, const dx_event_t *event)
{
    return ack_put(subscription, event, DX_OK);
}

int dx_client_nack(dx_client_subscription_t *subscription, const dx_event_t *event, int code)
{
    return ack_put(subscription, event, code < 0 ? code : DX_EAGAIN);
}

/* ------------------------------------------------------------------------------- what was given */

void dxi_ack_delivered(dx_client_subscription_t *subscription, const dx_event_t *event)
{
    subscription->anew = false;
    if (!subscription->literal) {
        return;
    }
    if (DX_UNLIKELY((event->frame->header->flags & DX_FRAME_SPREAD) != 0)) {
        subscription->several_shards = true;
    }
    if (subscription->unacknowledged.entries != NULL) {
        dxi_unacknowledged_add(&subscription->unacknowledged, event->sequence);
    }
    /* A redelivery is no step back; but a topic that begins again, on a node that was started anew,
     * does. */
    if (event->sequence > subscription->last_sequence || event->attempt <= 1) {
        subscription->last_sequence = event->sequence;
        subscription->last_time_ns = event->timestamp_ns;
    }
}

/* Sequences of a node that is no more. */
void dxi_ack_forget(dx_client_subscription_t *subscription)
{
    subscription->last_sequence = subscription->last_time_ns = 0;
    subscription->several_shards = false;
    subscription->held = 0;
    dxi_unacknowledged_forget(&subscription->unacknowledged);
}

uint64_t dxi_ack_next_sequence(const dx_client_subscription_t *subscription)
{
    if (!subscription->literal || subscription->several_shards ||
        subscription->last_sequence == 0) {
        return 0;
    }
    uint64_t next = subscription->last_sequence + 1;
    const uint64_t first = dxi_unacknowledged_first(&subscription->unacknowledged);
    next = first < next ? first : next;
    return subscription->held != 0 && subscription->held < next ? subscription->held : next;
}

/* --------------------------------------------------------------------------------------- frames */

/* Sends an ACK, or a NACK with its code, for a range. */
static int answer_send(dx_client_subscription_t *subscription, const dxi_ack_run_t *run, int code)
{
    const dx_frame_range_t range = {.first = run->first, .last = run->last};
    const dx_frame_code_t reason = {.code = code};
    dx_frame_part_t parts[4];
    dx_frame_draft_t draft = {
        .type = code == DX_OK ? DX_FRAME_ACK : DX_FRAME_NACK, .parts = parts, .shard = run->shard};
    parts[draft.part_count++] = dx_frame_part_of(DX_PART_TOPIC, run->topic, run->topic_bytes);
    parts[draft.part_count++] = dx_frame_part_of(DX_PART_SUBSCRIPTION, &subscription->number, 8);
    parts[draft.part_count++] = dx_frame_part_of(DX_PART_RANGE, &range, sizeof range);
    if (code != DX_OK) {
        parts[draft.part_count++] = dx_frame_part_of(DX_PART_CODE, &reason, sizeof reason);
    }
    return dxi_send_frame(subscription->client, &draft, NULL);
}

int dxi_ack_flush(dx_client_subscription_t *subscription)
{
    if (subscription->run.first == 0) {
        return DX_OK;
    }
    const int code = answer_send(subscription, &subscription->run, DX_OK);
    if (code == DX_OK) {
        subscription->run.first = 0;
    }
    return code;
}

static void run_begin(dxi_ack_run_t *run, const char *topic, uint32_t topic_bytes, uint16_t shard,
                      uint64_t sequence)
{
    run->first = run->last = sequence;
    run->shard = shard;
    run->topic_bytes = (uint16_t)topic_bytes;
    memcpy(run->topic, topic, topic_bytes);
}

/* Joins an event to the run, or sends the run and begins another. DX_OK, DX_EAGAIN. */
static int run_add(dx_client_subscription_t *subscription, const char *topic, uint32_t topic_bytes,
                   uint16_t shard, uint64_t sequence)
{
    dxi_ack_run_t *const run = &subscription->run;
    if (run->first != 0 && sequence == run->last + 1 && shard == run->shard &&
        topic_bytes == run->topic_bytes && memcmp(topic, run->topic, topic_bytes) == 0) {
        run->last = sequence;
        return DX_OK;
    }
    const int code = dxi_ack_flush(subscription);
    if (code == DX_OK) {
        run_begin(run, topic, topic_bytes, shard, sequence);
    }
    return code;
}

/* Whether the node gives an event up that is refused with `code`. */
static bool is_given_up(const dx_client_subscription_t *subscription, int code, uint32_t attempt)
{
    const uint32_t most = subscription->options.attempts_max;
    return code == DX_EFATAL || attempt >= (most != 0 ? most : ATTEMPTS_DEFAULT);
}

void dxi_ack_handled(dx_client_subscription_t *subscription, const dx_event_t *event)
{
    dxi_unacknowledged_done(&subscription->unacknowledged, event->sequence);
    /* There is room: deliver.c takes no event without it. Where there is none the node delivers it
     * once more. */
    (void)run_add(subscription, event->topic, event->topic_bytes, event->shard, event->sequence);
}

void dxi_ack_refused(dx_client_subscription_t *subscription, const dx_event_t *event, int code)
{
    if (is_given_up(subscription, code, event->attempt)) {
        dxi_unacknowledged_done(&subscription->unacknowledged, event->sequence);
    }
    dxi_ack_run_t one;
    run_begin(&one, event->topic, event->topic_bytes, event->shard, event->sequence);
    (void)dxi_ack_flush(subscription);
    (void)answer_send(subscription, &one, code);
}

/* ----------------------------------------------------------------------------- of other threads */

/* Whether an event was given by a node that is no more: its sequence is another event's now (A4).
 */
static bool is_stale(const dx_client_t *client, const ack_record_t *record)
{
    return client->nodes_before != 0 && record->timestamp_ns != 0 &&
           record->timestamp_ns < client->node_started_unix_ns;
}

static int record_take(dx_client_t *client, const ack_record_t *record, const char *topic)
{
    dx_client_subscription_t *const subscription = dxi_subscription_find(client, record->number);
    if (subscription == NULL || subscription->state == DXI_SUBSCRIPTION_ENDED) {
        return DX_OK;
    }
    if (is_stale(client, record)) {
        dxi_count(&client->counts.acks_ignored, 1);
        return DX_OK;
    }
    if (!client->open) {
        /* The node gives it again to the next connection. */
        if (record->code == DX_OK) {
            dxi_unacknowledged_done(&subscription->unacknowledged, record->sequence);
        }
        return DX_OK;
    }
    int code = DX_OK;
    if (record->code == DX_OK) {
        code = run_add(subscription, topic, record->topic_bytes, record->shard, record->sequence);
    } else {
        code = dxi_ack_flush(subscription);
        if (code == DX_OK) {
            dxi_ack_run_t one;
            run_begin(&one, topic, record->topic_bytes, record->shard, record->sequence);
            code = answer_send(subscription, &one, record->code);
        }
    }
    if (code == DX_OK &&
        (record->code == DX_OK || is_given_up(subscription, record->code, record->attempt))) {
        dxi_unacknowledged_done(&subscription->unacknowledged, record->sequence);
    }
    return code;
}

static void runs_flush(dx_client_t *client)
{
    for (uint32_t i = 0; i < client->subscription_room; i++) {
        if (client->subscriptions[i] != NULL) {
            (void)dxi_ack_flush(client->subscriptions[i]);
        }
    }
}

int dxi_acks_pump(dx_client_t *client)
{
    dxi_acks_t *const acks = &client->acks;
    if (acks->spare_bytes == 0) {
        if (dx_load32_acquire(&acks->waiting) == 0) {
            return 0;
        }
        (void)pthread_mutex_lock(&acks->lock);
        char *const full = acks->bytes_at;
        acks->bytes_at = acks->spare;
        acks->spare = full;
        acks->spare_bytes = acks->bytes;
        acks->spare_done = 0;
        acks->bytes = 0;
        dx_store32_relaxed(&acks->waiting, 0);
        (void)pthread_mutex_unlock(&acks->lock);
    }
    int done = 0;
    while (acks->spare_done < acks->spare_bytes) { /* A2 */
        ack_record_t record;
        memcpy(&record, acks->spare + acks->spare_done, sizeof record);
        const char *const topic = acks->spare + acks->spare_done + sizeof record;
        if (record_take(client, &record, topic) != DX_OK) {
            return done;
        }
        acks->spare_done += record_bytes(record.topic_bytes);
        done++;
    }
    acks->spare_bytes = 0;
    runs_flush(client);
    return done;
}
