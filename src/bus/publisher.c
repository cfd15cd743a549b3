/* publisher.c - publishing from threads of this process.
 *
 * DESIGN
 *
 * A publisher is a handle of one thread with a producer in the ring of each shard that it has used.
 * A message becomes a frame in the span that was claimed for it, and is not touched again before
 * its shard stamps it. Whoever waits for an answer waits in a mailbox, a place of the bus that
 * outlives the publisher: the shard's thread finds it by the event's origin.
 *
 * What was found out about a topic (its hash, that its name is good, what was declared about it) is
 * kept for the last few topics, and found out anew when any topic was declared or changed.
 *
 * INVARIANTS
 *
 *   P1  a mailbox takes an answer only for the count, and the sequence or correlation, that wait
 *   P2  nothing is written to a caller's memory after its call has returned
 *   P3  the sequence of a publisher grows only with messages that went into a ring
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "bus/trace.h"
#include "wire/topic_name.h"

#define CLAIM_SLICE_NS DX_NS_PER_S /* a waiting claim looks at the bus's state again */
#define SPIN_NS INT64_C(3000)      /* an answer is looked for before the thread sleeps */

/* -------------------------------------------------------------------------------------- mailbox */

int dxi_mailbox_init(dxi_mailbox_t *mailbox)
{
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&mailbox->mutex, NULL);
    (void)pthread_cond_init(&mailbox->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    return DX_OK;
}

void dxi_mailbox_close(dxi_mailbox_t *mailbox)
{
    (void)pthread_mutex_destroy(&mailbox->mutex);
    (void)pthread_cond_destroy(&mailbox->changed);
}

/* Ends the wait. Under the mutex. */
static void mailbox_answered(dxi_mailbox_t *mailbox)
{
    mailbox->waiting = false;
    dx_store32_release(&mailbox->answered, 1);
    (void)pthread_cond_signal(&mailbox->changed);
}

void dxi_publisher_answer(dx_bus_t *bus, uint64_t origin, const dxi_answer_t *answer)
{
    dxi_mailbox_t *mailbox = &bus->mailboxes[dxi_origin_place(origin)];
    (void)pthread_mutex_lock(&mailbox->mutex);
    if (mailbox->waiting && mailbox->count == (uint32_t)origin &&
        (mailbox->correlation != 0
             ? answer->code != DX_OK && answer->correlation == mailbox->correlation
             : answer->producer_sequence == mailbox->producer_sequence)) {
        mailbox->receipt = (dx_receipt_t){.code = answer->code,
                                          .shard = answer->shard,
                                          .term = answer->term,
                                          .sequence = answer->sequence,
                                          .timestamp_ns = answer->timestamp_ns,
                                          .duplicate = answer->duplicate};
        (void)snprintf(mailbox->sentence, sizeof mailbox->sentence, "%s",
                       answer->sentence != NULL ? answer->sentence : dx_error_text(answer->code));
        mailbox_answered(mailbox);
    }
    (void)pthread_mutex_unlock(&mailbox->mutex);
}

void dxi_publisher_replied(dxi_mailbox_t *mailbox, const dx_event_t *event)
{
    (void)pthread_mutex_lock(&mailbox->mutex);
    if (mailbox->waiting && mailbox->correlation != 0 &&
        mailbox->correlation == event->correlation) {
        const size_t fits = event->bytes < mailbox->reply_room ? event->bytes : mailbox->reply_room;
        if (fits != 0) {
            memcpy(mailbox->reply, event->data, fits);
        }
        mailbox->reply_bytes = event->bytes;
        mailbox->receipt = (dx_receipt_t){.code = DX_OK, .sequence = event->sequence};
        mailbox_answered(mailbox);
    }
    (void)pthread_mutex_unlock(&mailbox->mutex);
}

void dxi_publishers_wake(dx_bus_t *bus)
{
    for (uint32_t i = 0; i < DX_BUS_PUBLISHERS_MAX; i++) {
        dxi_mailbox_t *mailbox = &bus->mailboxes[i];
        (void)pthread_mutex_lock(&mailbox->mutex);
        if (mailbox->waiting) {
            mailbox->receipt = (dx_receipt_t){.code = DX_ECLOSED};
            (void)snprintf(mailbox->sentence, sizeof mailbox->sentence, "the bus stops");
            mailbox_answered(mailbox);
        }
        (void)pthread_mutex_unlock(&mailbox->mutex);
    }
}

void dxi_mailbox_expect(dxi_mailbox_t *mailbox, uint64_t producer_sequence, uint64_t correlation,
                        void *reply, size_t reply_room)
{
    (void)pthread_mutex_lock(&mailbox->mutex);
    mailbox->waiting = true;
    mailbox->producer_sequence = producer_sequence;
    mailbox->correlation = correlation;
    mailbox->reply = reply;
    mailbox->reply_room = reply_room;
    mailbox->reply_bytes = 0;
    dx_store32_relaxed(&mailbox->answered, 0);
    (void)pthread_mutex_unlock(&mailbox->mutex);
}

void dxi_mailbox_forget(dxi_mailbox_t *mailbox)
{
    (void)pthread_mutex_lock(&mailbox->mutex);
    mailbox->waiting = false;
    (void)pthread_mutex_unlock(&mailbox->mutex);
}

int dxi_mailbox_wait(dxi_mailbox_t *mailbox, int64_t deadline_ns, dx_receipt_t *receipt_out,
                     dx_error_t *error)
{
    const int64_t spin_until_ns = dx_clock_ns() + SPIN_NS;
    /* RELAXED: only a hint; the mutex orders what is read. */
    while (dx_load32_relaxed(&mailbox->answered) == 0 && dx_clock_ns() < spin_until_ns) {
    }
    const struct timespec until = {.tv_sec = deadline_ns / DX_NS_PER_S,
                                   .tv_nsec = deadline_ns % DX_NS_PER_S};
    int result = 0;
    (void)pthread_mutex_lock(&mailbox->mutex);
    while (mailbox->waiting && result == 0) {
        result = deadline_ns == INT64_MAX
                     ? pthread_cond_wait(&mailbox->changed, &mailbox->mutex)
                     : pthread_cond_timedwait(&mailbox->changed, &mailbox->mutex, &until);
    }
    int code = DX_ETIMEDOUT;
    if (!mailbox->waiting) {
        *receipt_out = mailbox->receipt;
        code = receipt_out->code;
    }
    mailbox->waiting = false;
    char sentence[DX_ERROR_MESSAGE_BYTES];
    memcpy(sentence, mailbox->sentence, sizeof sentence);
    (void)pthread_mutex_unlock(&mailbox->mutex);
    if (code == DX_ETIMEDOUT && result != 0) {
        receipt_out->code = DX_ETIMEDOUT;
        return dxi_fail(error, DX_ETIMEDOUT, "no answer in time; the event may have been taken");
    }
    return code == DX_OK ? DX_OK : dxi_fail(error, code, "%s", sentence);
}

/* ---------------------------------------------------------------------------------- open, close */

/* A number that no other publisher has. */
static uint64_t unique_number(const void *salt)
{
    uint64_t number = 0;
    if (getrandom(&number, sizeof number, GRND_NONBLOCK) != sizeof number) {
        number = (uint64_t)dx_clock_realtime_ns() * UINT64_C(0x9E3779B97F4A7C15) ^
                 (uint64_t)(uintptr_t)salt;
    }
    return number | 1; /* never 0 */
}

static dxi_mailbox_t *mailbox_take(dx_bus_t *bus, uint32_t *place_out)
{
    for (uint32_t i = 0; i < DX_BUS_PUBLISHERS_MAX; i++) {
        dxi_mailbox_t *mailbox = &bus->mailboxes[i];
        (void)pthread_mutex_lock(&mailbox->mutex);
        const bool got = !mailbox->taken;
        if (got) {
            mailbox->taken = true;
            mailbox->count++;
        }
        (void)pthread_mutex_unlock(&mailbox->mutex);
        if (got) {
            *place_out = i;
            return mailbox;
        }
    }
    return NULL;
}

static int open_check(dx_bus_t *bus, const dx_publisher_options_t *options, dx_error_t *error)
{
    if (!dxi_bus_runs(bus)) {
        (void)dxi_bus_not_running(bus, error);
        return DX_ESTATE;
    }
    if (options->timeout_ns < 0) {
        return dxi_fail(error, DX_EINVAL, "timeout_ns is %lld, must not be negative",
                        (long long)options->timeout_ns);
    }
    for (int i = 0; i < 4; i++) {
        if (options->reserved[i] != 0) {
            return dxi_fail(error, DX_EINVAL, "reserved[%d] is %llu, must be zero", i,
                            (unsigned long long)options->reserved[i]);
        }
    }
    return DX_OK;
}

int dx_publisher_open(dx_bus_t *bus, const dx_publisher_options_t *options,
                      dx_publisher_t **publisher_out, dx_error_t *error)
{
    const dx_publisher_options_t defaults = {0};
    *publisher_out = NULL;
    options = options != NULL ? options : &defaults;
    const int code = open_check(bus, options, error);
    if (code != DX_OK) {
        return code;
    }
    dx_publisher_t *publisher = dxi_alloc_zeroed(1, sizeof *publisher);
    if (publisher == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a publisher");
    }
    publisher->producers = dxi_alloc_zeroed(bus->options.shards, sizeof(dx_producer_t));
    if (publisher->producers == NULL) {
        dxi_free(publisher);
        return dxi_fail(error, DX_ENOMEM, "no memory for a publisher");
    }
    uint32_t place = 0;
    publisher->mailbox = mailbox_take(bus, &place);
    if (publisher->mailbox == NULL) {
        dxi_free(publisher->producers);
        dxi_free(publisher);
        return dxi_fail(error, DX_ELIMIT, "%d publishers are open, which is the limit",
                        DX_BUS_PUBLISHERS_MAX);
    }
    publisher->bus = bus;
    publisher->options = *options;
    publisher->origin = dxi_origin_make(DXI_ORIGIN_PUBLISHER, 0, place, publisher->mailbox->count);
    publisher->idempotent = options->producer_id != 0;
    publisher->producer_id =
        options->producer_id != 0 ? options->producer_id : unique_number(publisher);
    publisher->next_sequence = options->first_sequence != 0 ? options->first_sequence : 1;
    publisher->next_correlation = unique_number(&publisher->next_correlation);
    (void)pthread_mutex_lock(&bus->shared_mutex);
    publisher->next = bus->publishers;
    if (publisher->next != NULL) {
        publisher->next->previous = publisher;
    }
    bus->publishers = publisher;
    (void)pthread_mutex_unlock(&bus->shared_mutex);
    *publisher_out = publisher;
    return DX_OK;
}

void dx_publisher_close(dx_publisher_t *publisher)
{
    if (publisher == NULL) {
        return;
    }
    dx_bus_t *bus = publisher->bus;
    if (publisher->inbox != NULL) {
        (void)dx_subscription_close(publisher->inbox, 0);
    }
    (void)pthread_mutex_lock(&bus->shared_mutex);
    if (publisher->previous != NULL) {
        publisher->previous->next = publisher->next;
    } else {
        bus->publishers = publisher->next;
    }
    if (publisher->next != NULL) {
        publisher->next->previous = publisher->previous;
    }
    (void)pthread_mutex_unlock(&bus->shared_mutex);
    for (uint32_t i = 0; i < bus->options.shards; i++) {
        dx_producer_close(&publisher->producers[i]);
    }
    (void)pthread_mutex_lock(&publisher->mailbox->mutex);
    publisher->mailbox->taken = false;
    publisher->mailbox->waiting = false;
    (void)pthread_mutex_unlock(&publisher->mailbox->mutex);
    dxi_free(publisher->producers);
    dxi_free(publisher);
}

void dxi_publishers_destroy(dx_bus_t *bus)
{
    while (bus->publishers != NULL) {
        dx_publisher_close(bus->publishers);
    }
    bus->shared = NULL;
}

/* ------------------------------------------------------------------------------------ a message */

/* What is known of a topic; found out when it is not among the last ones. */
static const dxi_topic_known_t *topic_known(dx_publisher_t *publisher, const char *topic,
                                            bool internal, dx_error_t *error)
{
    dx_bus_t *bus = publisher->bus;
    if (topic == NULL) {
        (void)dxi_fail(error, DX_EINVAL, "the topic is NULL, must be a name");
        return NULL;
    }
    const size_t bytes = strnlen(topic, DX_TOPIC_BYTES_MAX + 1);
    const uint32_t hash = dx_frame_key_hash(topic, bytes);
    dxi_topic_known_t *known = &publisher->topics[hash % DXI_TOPICS_KNOWN];
    const int64_t version = dx_load_acquire(&bus->declared_version);
    if (DX_LIKELY(known->hash == hash && known->bytes == bytes && known->version == version &&
                  known->internal == internal && memcmp(known->name, topic, bytes) == 0)) {
        return known;
    }
    known->bytes = 0;
    if (dxi_topic_check(topic, bytes, error) != DX_OK) {
        return NULL;
    }
    if (topic[0] == '$' && !internal) {
        (void)dxi_fail(error, DX_EINVAL, "topic \"%s\" begins with '$', which is for the bus",
                       topic);
        return NULL;
    }
    dxi_topic_declared(bus, topic, bytes, hash, &known->keyed, &known->fail);
    known->hash = hash;
    known->bytes = (uint32_t)bytes;
    known->version = version;
    known->internal = internal;
    memcpy(known->name, topic, bytes);
    return known;
}

/* The parts of a message, in the order of their numbers. Returns how many. */
static uint16_t message_parts(const dx_message_t *message, const dxi_topic_known_t *topic,
                              const dxi_how_t *how, dx_frame_part_t *parts)
{
    uint16_t count = 0;
    parts[count++] = dx_frame_part_of(DX_PART_TOPIC, message->topic, topic->bytes);
    if (message->key_bytes != 0) {
        parts[count++] = dx_frame_part_of(DX_PART_KEY, message->key, message->key_bytes);
    }
    if (how->correlation != 0) {
        parts[count++] = dx_frame_part_of(DX_PART_CORRELATION, &how->correlation, 8);
    }
    if (message->trace != NULL) {
        parts[count++] = dx_frame_part_of(DX_PART_TRACE, message->trace, sizeof *message->trace);
    }
    if (message->reply_to != NULL) {
        parts[count++] = dx_frame_part_text(DX_PART_REPLY_TO, message->reply_to);
    }
    if (how->timeout_ns != 0) {
        parts[count++] = dx_frame_part_of(DX_PART_TIMEOUT, &how->timeout_ns, 8);
    }
    return count;
}

static int message_check(const dx_publisher_t *publisher, const dx_message_t *message,
                         dx_error_t *error)
{
    const uint32_t most = publisher->bus->options.event_bytes_max;
    if (DX_UNLIKELY(message->bytes > most)) {
        return dxi_fail(error, DX_ELIMIT, "the event has %zu bytes, event_bytes_max is %u",
                        message->bytes, most);
    }
    if (DX_UNLIKELY(message->key_bytes > DX_FRAME_KEY_BYTES_MAX)) {
        return dxi_fail(error, DX_ELIMIT, "the key has %zu bytes, must be at most %d",
                        message->key_bytes, DX_FRAME_KEY_BYTES_MAX);
    }
    if (DX_UNLIKELY((message->reserved[0] | message->reserved[1] | message->reserved[2] |
                     message->reserved[3]) != 0)) {
        return dxi_fail(error, DX_EINVAL, "a reserved field of the message is not zero");
    }
    if (DX_UNLIKELY((message->bytes != 0 && message->data == NULL) ||
                    (message->key_bytes != 0 && message->key == NULL) ||
                    (message->header_count != 0 && message->headers == NULL))) {
        return dxi_fail(error, DX_EINVAL, "a pointer of the message is NULL, its size is not 0");
    }
    if (DX_UNLIKELY(message->reply_to != NULL)) {
        const int code = dxi_topic_check(message->reply_to,
                                         strnlen(message->reply_to, DX_TOPIC_BYTES_MAX + 1), error);
        if (code != DX_OK) {
            (void)dxi_fail_context(error, "reply_to");
            return code;
        }
    }
    return DX_OK;
}

/* ------------------------------------------------------------------------------------- the ring */

static dx_producer_t *producer_of(dx_publisher_t *publisher, dxi_lane_t *lane, dx_error_t *error)
{
    dx_producer_t *producer = &publisher->producers[lane->index];
    if (DX_UNLIKELY(producer->core == NULL)) {
        const dx_wait_kind_t wait =
            publisher->bus->options.busy_poll ? DX_WAIT_YIELDING : DX_WAIT_ADAPTIVE;
        if (dx_producer_open(producer, lane->ring,
                             &(dx_producer_options_t){
                                 .name = "publisher", .full = DX_FULL_FAIL, .wait = {.kind = wait}},
                             error) != DX_OK) {
            return NULL;
        }
    }
    return producer;
}

/* Claims when the ring was full: as long as the publisher and the topic say. */
static int64_t claim_slowly(dx_publisher_t *publisher, dxi_lane_t *lane, dx_producer_t *producer,
                            size_t bytes, bool fail, dx_error_t *error)
{
    if (fail || publisher->options.fail_when_full) {
        return dxi_fail(error, DX_EAGAIN, "the ring of shard %u is full", lane->index);
    }
    const int64_t timeout_ns = publisher->options.timeout_ns;
    const int64_t deadline_ns = timeout_ns == 0 ? INT64_MAX : dx_clock_ns() + timeout_ns;
    int64_t sequence = DX_ETIMEDOUT;
    while (sequence == DX_ETIMEDOUT) {
        const int64_t left_ns = deadline_ns - dx_clock_ns();
        if (left_ns <= 0) {
            return dxi_fail(error, DX_ETIMEDOUT, "the ring of shard %u was full for %lld ns",
                            lane->index, (long long)timeout_ns);
        }
        dxi_loop_bell(lane->owner->loop, lane->owner->bell);
        sequence = dx_producer_claim_span_timed(
            producer, bytes, left_ns < CLAIM_SLICE_NS ? left_ns : CLAIM_SLICE_NS);
    }
    return sequence;
}

static int claim_failed(const dxi_lane_t *lane, int64_t code, int64_t bytes, dx_error_t *error)
{
    switch (code) {
    case DX_EINVAL:
        return dxi_fail(error, DX_ELIMIT, "the frame has %lld bytes, a shard takes at most %u",
                        (long long)bytes, lane->frame_bytes_max);
    case DX_ECLOSED:
        return dxi_fail(error, DX_ECLOSED, "the bus is stopped, or stops");
    case DX_EAGAIN:
    case DX_ETIMEDOUT:
        return (int)code;
    default:
        return dxi_fail(error, (int)code, "the ring of shard %u: %s", lane->index,
                        dx_error_text((int)code));
    }
}

DX_INLINE int message_put(dx_publisher_t *publisher, const dx_message_t *message,
                          const dxi_how_t *how, dxi_lane_t **lane_out, dx_error_t *error)
{
    dx_bus_t *bus = publisher->bus;
    if (DX_UNLIKELY(!dxi_bus_runs(bus))) {
        (void)dxi_bus_not_running(bus, error);
        return DX_ECLOSED;
    }
    int code = message_check(publisher, message, error);
    if (code != DX_OK) {
        return code;
    }
    const dxi_topic_known_t *topic = topic_known(publisher, message->topic, how->internal, error);
    if (topic == NULL) {
        return DX_EINVAL;
    }
    const uint32_t key_hash =
        message->key_bytes != 0 ? dx_frame_key_hash(message->key, message->key_bytes) : topic->hash;
    dxi_lane_t *lane =
        bus->lanes[(topic->keyed ? key_hash : topic->hash) & (bus->options.shards - 1)];
    dx_frame_part_t parts[6];
    const dx_frame_draft_t draft = {.type = how->type,
                                    .flags = how->flags,
                                    .key_hash = key_hash,
                                    .payload_bytes = (uint32_t)message->bytes,
                                    .producer_id = how->producer_id,
                                    .producer_sequence = how->producer_sequence,
                                    .parts = parts,
                                    .part_count = message_parts(message, topic, how, parts),
                                    .headers = message->headers,
                                    .header_count = message->header_count};
    const int64_t bytes = dx_frame_bytes(&draft, error);
    if (DX_UNLIKELY(bytes < 0)) {
        return (int)bytes;
    }
    dx_producer_t *producer = producer_of(publisher, lane, error);
    if (DX_UNLIKELY(producer == NULL)) {
        return DX_ECLOSED;
    }
    const uint64_t ticks = dx_tsc_ticks(bus->tsc);
    int64_t sequence = dx_producer_claim_span(producer, (size_t)bytes - DX_FRAME_SPAN_BYTES);
    if (DX_UNLIKELY(sequence == DX_EAGAIN)) {
        sequence = claim_slowly(publisher, lane, producer, (size_t)bytes - DX_FRAME_SPAN_BYTES,
                                topic->fail, error);
    }
    if (DX_UNLIKELY(sequence < 0)) {
        return claim_failed(lane, sequence, bytes, error);
    }
    void *payload = NULL;
    void *span = dx_producer_span(producer, sequence);
    const int64_t begun = dx_frame_begin(span, (size_t)bytes, &draft, &payload, error);
    if (DX_UNLIKELY(begun < 0)) {
        (void)dx_producer_abort_span(producer, sequence);
        return (int)begun;
    }
    if (message->bytes != 0) {
        memcpy(payload, message->data, message->bytes);
    }
    dx_frame_seal(span);
    lane->notes[sequence & lane->notes_mask] = (dxi_lane_note_t){publisher->origin, ticks};
    /* DX_ECLOSED says that the ring has closed since: dx_bus_stop() handles it all the same. */
    (void)dx_producer_publish_span(producer, sequence);
    *lane_out = lane;
    return DX_OK;
}

/* The same where there is a tracer. */
DX_NOINLINE static int message_trace(dx_publisher_t *publisher, const dx_message_t *message,
                                     const dxi_how_t *how, dxi_lane_t **lane_out, dx_error_t *error)
{
    dxi_traced_t traced;
    if (message->topic == NULL || !dxi_trace_message(publisher, message, &traced)) {
        return message_put(publisher, message, how, lane_out, error);
    }
    dx_message_t with_context = *message;
    with_context.trace = &traced.self;
    dxi_how_t marked = *how;
    marked.flags |= DX_FRAME_TRACED;
    const int code = message_put(publisher, &with_context, &marked, lane_out, error);
    dxi_trace_published(publisher->bus, &publisher->sampler, &traced, code);
    return code;
}

int dxi_publisher_put(dx_publisher_t *publisher, const dx_message_t *message, const dxi_how_t *how,
                      dxi_lane_t **lane_out, dx_error_t *error)
{
    return DX_UNLIKELY(publisher->bus->options.tracer != NULL)
               ? message_trace(publisher, message, how, lane_out, error)
               : message_put(publisher, message, how, lane_out, error);
}

/* -------------------------------------------------------------------------------------- publish */

/* How the next message of a publisher goes out. */
static dxi_how_t how_next(const dx_publisher_t *publisher, const dx_message_t *message, bool wait)
{
    const bool numbered = publisher->idempotent || wait;
    return (dxi_how_t){.type = DX_FRAME_PUBLISH,
                       .flags = wait ? DX_FRAME_ACK_WANTED : 0,
                       .producer_id = numbered ? publisher->producer_id : 0,
                       .producer_sequence = numbered ? publisher->next_sequence : 0,
                       .correlation = message->correlation};
}

static void bell(const dxi_lane_t *lane)
{
    assert(lane != NULL);
    dxi_loop_bell(lane->owner->loop, lane->owner->bell);
}

int dx_publish(dx_publisher_t *publisher, const dx_message_t *message, dx_error_t *error)
{
    const dxi_how_t how = how_next(publisher, message, false);
    dxi_lane_t *lane = NULL;
    const int code = dxi_publisher_put(publisher, message, &how, &lane, error);
    if (DX_LIKELY(code == DX_OK)) {
        publisher->next_sequence += how.producer_sequence != 0;
        bell(lane);
    }
    return code;
}

int dx_publish_batch(dx_publisher_t *publisher, const dx_message_t *messages, int count,
                     dx_error_t *error)
{
    dxi_lane_t *last = NULL;
    int code =
        count < 0 ? dxi_fail(error, DX_EINVAL, "count is %d, must not be negative", count) : DX_OK;
    int done = 0;
    for (; done < count && code == DX_OK; done++) {
        const dxi_how_t how = how_next(publisher, &messages[done], false);
        dxi_lane_t *lane = NULL;
        code = dxi_publisher_put(publisher, &messages[done], &how, &lane, error);
        if (code != DX_OK) {
            break;
        }
        publisher->next_sequence += how.producer_sequence != 0;
        assert(lane != NULL);
        if (last != NULL && lane->owner != last->owner) {
            bell(last);
        }
        last = lane;
    }
    if (last != NULL) {
        bell(last);
    }
    return done > 0 ? done : code;
}

/* Publishes and waits for the shard's answer. */
static int publish_and_wait(dx_publisher_t *publisher, const dx_message_t *message,
                            const dxi_how_t *how, dx_receipt_t *receipt_out, dx_error_t *error)
{
    const int64_t timeout_ns = publisher->options.timeout_ns;
    const int64_t deadline_ns = timeout_ns == 0 ? INT64_MAX : dx_clock_ns() + timeout_ns;
    dxi_lane_t *lane = NULL;
    dx_receipt_t nobodys;
    receipt_out = receipt_out != NULL ? receipt_out : &nobodys;
    *receipt_out = (dx_receipt_t){0};
    dxi_mailbox_expect(publisher->mailbox, how->producer_sequence, 0, NULL, 0);
    const int code = dxi_publisher_put(publisher, message, how, &lane, error);
    if (code != DX_OK) {
        dxi_mailbox_forget(publisher->mailbox);
        receipt_out->code = code;
        return code;
    }
    if (how->producer_sequence == publisher->next_sequence) {
        publisher->next_sequence++;
    }
    publisher->waited_sequence = how->producer_sequence;
    bell(lane);
    return dxi_mailbox_wait(publisher->mailbox, deadline_ns, receipt_out, error);
}

int dx_publish_wait(dx_publisher_t *publisher, const dx_message_t *message,
                    dx_receipt_t *receipt_out, dx_error_t *error)
{
    const dxi_how_t how = how_next(publisher, message, true);
    return publish_and_wait(publisher, message, &how, receipt_out, error);
}

int dx_publish_retry(dx_publisher_t *publisher, const dx_message_t *message,
                     dx_receipt_t *receipt_out, dx_error_t *error)
{
    dxi_how_t how = how_next(publisher, message, true);
    how.flags |= DX_FRAME_RETRY;
    how.producer_sequence =
        publisher->idempotent ? publisher->next_sequence - 1 : publisher->waited_sequence;
    if (how.producer_sequence == 0) {
        if (receipt_out != NULL) {
            *receipt_out = (dx_receipt_t){.code = DX_ESTATE};
        }
        return dxi_fail(error, DX_ESTATE, "nothing was published that could be tried again");
    }
    return publish_and_wait(publisher, message, &how, receipt_out, error);
}

int dx_bus_publish(dx_bus_t *bus, const char *topic, const void *data, size_t bytes,
                   dx_error_t *error)
{
    (void)pthread_mutex_lock(&bus->shared_use);
    int code = DX_OK;
    if (bus->shared == NULL) {
        code = dx_publisher_open(bus, NULL, &bus->shared, error);
    }
    if (code == DX_OK) {
        code = dx_publish(bus->shared,
                          &(dx_message_t){.topic = topic, .data = data, .bytes = bytes}, error);
    }
    (void)pthread_mutex_unlock(&bus->shared_use);
    return code;
}
