/* attachment.c - one subscription's parts in the lanes: attaching, answers.
 *
 * DESIGN
 *
 * An attachment is what a local subscription and one of a session have in common: a copy of the
 * options and a part in each lane that it listens to. A pattern without wildcards needs the lane of
 * its topic only; when that topic is declared as keyed later, the attachment is spread over all.
 *
 * Answers go into a buffer of the part, where consecutive ones become one record; the loop swaps
 * the buffer for an empty one.
 *
 * INVARIANTS
 *
 *   A1  a part's subscriber is read and written by its lane's loop only
 *   A2  a task of a part is posted by who changed its `posted` word from 0 to 1, and by nobody else
 *   A3  after detaching no task of a part is on its way
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/alloc.h"
#include "base/fail.h"
#include "base/options.h"
#include "bus/runtime.h"

#define ACKS_BYTES_MAX ((size_t)262144) /* waiting per part, of explicit answers */
#define ACKS_BYTES_FIRST ((size_t)1024)

/* One range of answers; the topic lies behind it. */
typedef struct dxi_ack_record {
    uint64_t first;
    uint64_t last;
    int32_t code;
    uint32_t topic_bytes;
} dxi_ack_record_t;

/* -------------------------------------------------------------------------------------- options */

/* Copies the texts that the options point to. */
static int options_copy(dxi_attachment_t *attachment, const dx_subscription_options_t *options,
                        dx_error_t *error)
{
    attachment->options = *options;
    dx_subscription_options_t *copy = &attachment->options;
    const char **fields[] = {&copy->pattern, &copy->group,       &copy->name,
                             &copy->filter,  &copy->dead_letter, &copy->thread.name};
    size_t bytes = 1;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        bytes += dxi_text_bytes(*fields[i]);
    }
    attachment->texts = dxi_alloc_zeroed(1, bytes);
    if (attachment->texts == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a subscription");
    }
    char *next = attachment->texts;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        *fields[i] = dxi_text_keep(&next, *fields[i]);
    }
    return DX_OK;
}

/* ---------------------------------------------------------------------------------------- parts */

static void part_ready(void *context);
static void part_take_acks(void *context);

static int part_create(dxi_attachment_t *attachment, dxi_lane_t *lane, dx_error_t *error)
{
    if (dxi_attachment_part(attachment, lane->index) != NULL) {
        return DX_OK;
    }
    dxi_part_t *part = dxi_alloc_zeroed(1, sizeof *part);
    if (part == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a subscription");
    }
    part->attachment = attachment;
    part->lane = lane;
    part->ready = (dxi_task_t){.run = part_ready, .context = part};
    part->acks.task = (dxi_task_t){.run = part_take_acks, .context = part};
    (void)pthread_mutex_init(&part->acks.mutex, NULL);
    /* RELEASE, pairs with dxi_attachment_part(): an attachment may be spread while it is used. */
    dx_store_release(&attachment->parts[lane->index], (int64_t)(uintptr_t)part);
    return DX_OK;
}

static void part_destroy(dxi_part_t *part)
{
    if (part != NULL) {
        (void)pthread_mutex_destroy(&part->acks.mutex);
        dxi_free(part->acks.fill);
        dxi_free(part->acks.take);
        dxi_free(part);
    }
}

static bool is_literal(const char *pattern)
{
    return strchr(pattern, '*') == NULL && strchr(pattern, '>') == NULL;
}

int dxi_attachment_init(dxi_attachment_t *attachment, dx_bus_t *bus,
                        const dx_subscription_options_t *options, bool remote, dx_error_t *error)
{
    attachment->bus = bus;
    attachment->remote = remote;
    if (options->pattern == NULL) {
        return dxi_fail(error, DX_EINVAL, "pattern is NULL, must be a topic or pattern");
    }
    int code = dxi_pattern_check(options->pattern, strlen(options->pattern), error);
    if (code != DX_OK) {
        return code;
    }
    code = options_copy(attachment, options, error);
    if (code != DX_OK) {
        return code;
    }
    attachment->literal = is_literal(options->pattern);
    attachment->parts = dxi_alloc_zeroed(bus->options.shards, sizeof(dx_atomic64_t));
    if (attachment->parts == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a subscription");
    }
    return DX_OK;
}

void dxi_attachment_close(dxi_attachment_t *attachment)
{
    if (attachment->parts != NULL) {
        for (uint32_t i = 0; i < attachment->bus->options.shards; i++) {
            part_destroy(dxi_attachment_part(attachment, i));
        }
        dxi_free(attachment->parts);
        attachment->parts = NULL;
    }
    dxi_free(attachment->texts);
    attachment->texts = NULL;
}

/* ------------------------------------------------------------------------------------ attaching */

typedef struct attach_call {
    dxi_attachment_t *attachment;
    dxi_bus_loop_t *loop;
    int code;
    dx_error_t *error;
} attach_call_t;

static void attach_in_loop(void *context)
{
    attach_call_t *call = context;
    for (uint32_t i = 0; i < call->loop->lane_count && call->code == DX_OK; i++) {
        dxi_lane_t *lane = call->loop->lanes[i];
        dxi_part_t *part = dxi_attachment_part(call->attachment, lane->index);
        if (part == NULL || part->subscriber != NULL) {
            continue;
        }
        lane->tick_due_ns = 0; /* who starts behind is fed by the next tick */
        call->code =
            dxi_shard_subscribe(lane->shard,
                                &(dxi_subscribe_t){.user = part,
                                                   .options = &call->attachment->options,
                                                   .remote = call->attachment->remote,
                                                   .group_member_id = call->attachment->member_id,
                                                   .known_ns = call->attachment->known_ns},
                                dx_clock_ns(), &part->subscriber, call->error);
    }
    dxi_bus_loop_settle(call->loop);
}

static void detach_in_loop(void *context)
{
    attach_call_t *call = context;
    for (uint32_t i = 0; i < call->loop->lane_count; i++) {
        dxi_lane_t *lane = call->loop->lanes[i];
        dxi_part_t *part = dxi_attachment_part(call->attachment, lane->index);
        if (part != NULL && part->subscriber != NULL) {
            part_take_acks(part); /* what was answered before counts */
            dxi_part_unwait(part);
            lane->touched = true;
            dxi_shard_unsubscribe(lane->shard, part->subscriber, dx_clock_ns());
            part->subscriber = NULL;
        }
    }
    dxi_bus_loop_settle(call->loop);
}

static bool has_part_in(const dxi_attachment_t *attachment, const dxi_bus_loop_t *loop)
{
    for (uint32_t i = 0; i < loop->lane_count; i++) {
        if (dxi_attachment_part(attachment, loop->lanes[i]->index) != NULL) {
            return true;
        }
    }
    return false;
}

/* Calls `run` in each loop in which the attachment has a part, one after the other. */
static int in_each_loop(dxi_attachment_t *attachment, void (*run)(void *context), dx_error_t *error)
{
    for (uint32_t i = 0; i < attachment->bus->loop_count; i++) {
        attach_call_t call = {attachment, &attachment->bus->loops[i], DX_OK, error};
        if (has_part_in(attachment, call.loop)) {
            dxi_loop_call(call.loop->loop, run, &call);
        }
        if (call.code != DX_OK) {
            return call.code;
        }
    }
    return DX_OK;
}

static int parts_create(dxi_attachment_t *attachment, bool everywhere, dx_error_t *error)
{
    dx_bus_t *bus = attachment->bus;
    const char *pattern = attachment->options.pattern;
    const size_t bytes = strlen(pattern);
    bool keyed = false;
    bool fail = false;
    if (attachment->literal && !everywhere) {
        dxi_topic_declared(bus, pattern, bytes, dx_frame_key_hash(pattern, bytes), &keyed, &fail);
        if (!keyed) {
            return part_create(attachment, dxi_bus_lane_of(bus, pattern, bytes, NULL, 0), error);
        }
    }
    for (uint32_t i = 0; i < bus->options.shards; i++) {
        const int code = part_create(attachment, bus->lanes[i], error);
        if (code != DX_OK) {
            return code;
        }
    }
    return DX_OK;
}

int dxi_attachment_attach(dxi_attachment_t *attachment, dx_error_t *error)
{
    dx_bus_t *bus = attachment->bus;
    if (bus->attachment_count >= bus->options.subscriptions_max) {
        return dxi_fail(error, DX_ELIMIT, "there are %u subscriptions, subscriptions_max is %u",
                        bus->attachment_count, bus->options.subscriptions_max);
    }
    int code = parts_create(attachment, false, error);
    if (code != DX_OK) {
        return code;
    }
    attachment->member_id = ++bus->members;
    code = in_each_loop(attachment, attach_in_loop, error);
    if (code != DX_OK) {
        (void)in_each_loop(attachment, detach_in_loop, NULL);
        return code;
    }
    attachment->listed = true;
    attachment->next = bus->attachments;
    if (attachment->next != NULL) {
        attachment->next->previous = attachment;
    }
    bus->attachments = attachment;
    bus->attachment_count++;
    return DX_OK;
}

void dxi_attachment_detach(dxi_attachment_t *attachment)
{
    const bool stopped = dx_load32_relaxed(&attachment->bus->state) == DXI_BUS_STOPPED;
    if (attachment->parts == NULL || (!attachment->listed && stopped)) {
        return;
    }
    /* A3. Twice, and also when it is detached already: a task that somebody posted meanwhile runs
     * before the call that is posted behind it. */
    (void)in_each_loop(attachment, detach_in_loop, NULL);
    (void)in_each_loop(attachment, detach_in_loop, NULL);
    if (!attachment->listed) {
        return;
    }
    dx_bus_t *bus = attachment->bus;
    if (attachment->previous != NULL) {
        attachment->previous->next = attachment->next;
    } else {
        bus->attachments = attachment->next;
    }
    if (attachment->next != NULL) {
        attachment->next->previous = attachment->previous;
    }
    attachment->next = NULL;
    attachment->previous = NULL;
    attachment->listed = false;
    bus->attachment_count--;
}

int dxi_attachments_spread(dx_bus_t *bus, const char *topic, dx_error_t *error)
{
    for (dxi_attachment_t *it = bus->attachments; it != NULL; it = it->next) {
        if (!it->literal || strcmp(it->options.pattern, topic) != 0) {
            continue;
        }
        int code = parts_create(it, true, error);
        if (code == DX_OK) {
            code = in_each_loop(it, attach_in_loop, error);
        }
        if (code != DX_OK) {
            return code;
        }
    }
    return DX_OK;
}

/* ----------------------------------------------------------------------------------------- room */

static void part_ready(void *context)
{
    dxi_part_t *part = context;
    (void)dx_exchange32_acq_rel(&part->ready_posted, 0);
    if (part->subscriber != NULL) {
        part->lane->touched = true;
        dxi_shard_ready(part->lane->shard, part->subscriber, dx_clock_ns());
        dxi_bus_loop_settle(part->lane->owner);
    }
}

/* -------------------------------------------------------------------------------------- answers */

static size_t record_bytes(uint32_t topic_bytes)
{
    return sizeof(dxi_ack_record_t) + (((size_t)topic_bytes + 7) & ~(size_t)7);
}

/* Makes room for a record, under the mutex. */
static int acks_grow(dxi_acks_t *acks, size_t bytes, bool limit)
{
    if (acks->used + bytes <= acks->room) {
        return DX_OK;
    }
    size_t room = acks->room == 0 ? ACKS_BYTES_FIRST : acks->room * 2;
    while (room < acks->used + bytes) {
        room *= 2;
    }
    if (limit && room > ACKS_BYTES_MAX) {
        return DX_EAGAIN;
    }
    char *grown = dxi_alloc_zeroed(1, room);
    if (grown == NULL) {
        return DX_ENOMEM;
    }
    if (acks->used != 0) {
        memcpy(grown, acks->fill, acks->used);
    }
    dxi_free(acks->fill);
    acks->fill = grown;
    acks->room = room;
    return DX_OK;
}

/* Whether the newest record goes on with this range. */
static bool acks_extend(dxi_acks_t *acks, const char *topic, uint32_t topic_bytes, uint64_t first,
                        uint64_t last, int code)
{
    if (acks->used == 0) {
        return false;
    }
    dxi_ack_record_t *record = (dxi_ack_record_t *)(void *)(acks->fill + acks->last);
    if (record->last + 1 != first || record->code != code || record->topic_bytes != topic_bytes ||
        memcmp(record + 1, topic, topic_bytes) != 0) {
        return false;
    }
    record->last = last;
    return true;
}

int dxi_part_ack(dxi_part_t *part, const char *topic, uint32_t topic_bytes, uint64_t first,
                 uint64_t last, int code, bool limit)
{
    dxi_acks_t *acks = &part->acks;
    int result = DX_OK;
    (void)pthread_mutex_lock(&acks->mutex);
    if (!acks_extend(acks, topic, topic_bytes, first, last, code)) {
        const size_t bytes = record_bytes(topic_bytes);
        result = acks_grow(acks, bytes, limit);
        if (result == DX_OK) {
            dxi_ack_record_t *record = (dxi_ack_record_t *)(void *)(acks->fill + acks->used);
            *record = (dxi_ack_record_t){first, last, code, topic_bytes};
            memcpy(record + 1, topic, topic_bytes);
            acks->last = acks->used;
            acks->used += bytes;
        }
    }
    (void)pthread_mutex_unlock(&acks->mutex);
    return result;
}

void dxi_part_ack_post(dxi_part_t *part)
{
    if (dx_load32_relaxed(&part->acks.posted) == 0 &&
        dx_exchange32_acq_rel(&part->acks.posted, 1) == 0) {
        dxi_loop_post(part->lane->owner->loop, &part->acks.task);
    }
}

static void part_take_acks(void *context)
{
    dxi_part_t *part = context;
    dxi_acks_t *acks = &part->acks;
    (void)dx_exchange32_acq_rel(&acks->posted, 0);
    (void)pthread_mutex_lock(&acks->mutex);
    char *taken = acks->fill;
    const size_t taken_room = acks->room;
    const size_t used = acks->used;
    acks->fill = acks->take;
    acks->room = acks->take_room;
    acks->used = 0;
    (void)pthread_mutex_unlock(&acks->mutex);
    acks->take = taken;
    acks->take_room = taken_room;
    if (part->subscriber == NULL) {
        return;
    }
    const int64_t now_ns = dx_clock_ns();
    part->lane->touched = true;
    for (size_t at = 0; at < used;) {
        const dxi_ack_record_t *record = (const dxi_ack_record_t *)(const void *)(taken + at);
        /* What is not pending any more was answered before, or given to somebody else. */
        const int code = dxi_shard_acknowledge(part->lane->shard, part->subscriber,
                                               (const char *)(record + 1), record->topic_bytes,
                                               record->first, record->last, record->code, now_ns);
        (void)code;
        at += record_bytes(record->topic_bytes);
    }
    dxi_bus_loop_settle(part->lane->owner);
}

/* -------------------------------------------------------------------------------------- figures */

typedef struct stats_call {
    dxi_attachment_t *attachment;
    dxi_bus_loop_t *loop;
    dx_subscription_stats_t *sum;
} stats_call_t;

static void stats_in_loop(void *context)
{
    stats_call_t *call = context;
    dx_subscription_stats_t *sum = call->sum;
    for (uint32_t i = 0; i < call->loop->lane_count; i++) {
        dxi_part_t *part = dxi_attachment_part(call->attachment, call->loop->lanes[i]->index);
        if (part == NULL || part->subscriber == NULL) {
            continue;
        }
        dx_subscription_stats_t one;
        memset(&one, 0, sizeof one);
        dxi_shard_subscriber_stats(part->subscriber, &one);
        memcpy(sum->name, one.name, sizeof sum->name);
        memcpy(sum->pattern, one.pattern, sizeof sum->pattern);
        memcpy(sum->group, one.group, sizeof sum->group);
        sum->remote = one.remote;
        sum->delivered += one.delivered;
        sum->redelivered += one.redelivered;
        sum->acknowledged += one.acknowledged;
        sum->refused += one.refused;
        sum->dropped += one.dropped;
        sum->gaps += one.gaps;
        sum->dead += one.dead;
        sum->filtered += one.filtered;
        sum->pending += one.pending;
        sum->lag += one.lag;
        sum->lag_unix_ns = dxi_older(sum->lag_unix_ns, one.lag_unix_ns);
    }
}

void dxi_attachment_stats(dxi_attachment_t *attachment, dx_subscription_stats_t *stats_out)
{
    memset(stats_out, 0, sizeof *stats_out);
    for (uint32_t i = 0; i < attachment->bus->loop_count; i++) {
        stats_call_t call = {attachment, &attachment->bus->loops[i], stats_out};
        if (has_part_in(attachment, call.loop)) {
            dxi_loop_call(call.loop->loop, stats_in_loop, &call);
        }
    }
}

void dxi_event_fill(dx_event_t *event, const dx_frame_view_t *view, const dxi_delivery_t *delivery)
{
    const dx_frame_header_t *header = view->header;
    uint32_t topic_bytes = 0;
    uint32_t key_bytes = 0;
    event->topic = dx_frame_part(view, DX_PART_TOPIC, &topic_bytes);
    event->key = dx_frame_part(view, DX_PART_KEY, &key_bytes);
    event->topic_bytes = topic_bytes;
    event->key_bytes = key_bytes;
    event->data = view->payload;
    event->bytes = view->payload_bytes;
    event->sequence = header->sequence;
    event->timestamp_ns = header->timestamp_ns;
    event->shard = header->shard;
    event->term = header->term;
    event->redelivered = delivery->redelivered;
    event->attempt = delivery->attempt == 0 ? 1 : delivery->attempt;
    event->end_of_batch = !delivery->more;
    event->correlation = dx_frame_part_u64(view, DX_PART_CORRELATION, 0);
    event->frame = view;
}
