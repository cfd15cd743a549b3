/* direct_inlet.c - reading from direct topics: out of their rings, without the node on the way.
 *
 * DESIGN
 *
 * A subscription to a direct topic has a consumer in the topic's ring, and a thread of its own that
 * follows it and calls the handler; or the program does that itself with dx_client_poll().
 *
 *     ring --copy of some slots--> room here --> events --> handler
 *              |
 *              +-- not taken out of the ring meanwhile? release them
 *
 * Slots are copied before they are looked at and released before they are handled. So a handler
 * never sees what is written at the same time, by whom ever, and is no reason why a publisher waits
 * for a slot that was read already.
 *
 * The sequence in the ring is the sequence in the topic. One that is missing was voided (its
 * publisher died) or overwritten after the node had taken us out of the ring (slow consumers:
 * src/bus/direct.c): a gap, told with the next event or when we are back.
 *
 *     ATTACHED --(evicted)--> opened again at the newest event, behind a gap
 *         |  \-----(evicted, DX_SLOW_DISCONNECT)--> ENDED
 *         +--(ring closed, or another connection: the node is asked)--> ATTACHED to what it names
 *         |                                                        \--> MOVED to the connection
 *         +--(client closed for good)--> ENDED
 *
 * INVARIANTS
 *
 *   N1  sequences given to the handler and told as gaps are dense, as long as the ring is the same,
 *       and in the next ring (its topic was made anew, or its node) from 1 on
 *   N2  the handler runs in one thread at a time: the inlet's, or who polls; after MOVED in the
 *       client's
 *   N3  what stands in a slot is believed when it has been checked, in the copy
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <time.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "client/direct_internal.h"
#include "client/internal.h"
#include "client/trace.h"
#include "disruptorx/clock.h"
#include "disruptorx/consumer.h"
#include "disruptorx/thread.h"
#include "wire/pack.h"

#define CHUNK 64           /* slots copied at a time, */
#define CHUNK_BYTES 16384u /* and their bytes, but one at least */
#define BUSY_STEPS 4       /* after a step with all that can be copied: so many short ones wait, */
#define MOMENT_PAUSES 16   /* for half a microsecond or so */
#define IDLE_MASK 255u     /* steps that find nothing, to one that looks at the clock */
#define WAIT_NS INT64_C(50000000)
#define PAUSE_NS INT64_C(20000000) /* before the node is asked again */

enum inlet_state { INLET_ATTACHED = 1, INLET_MOVED = 2, INLET_ENDED = 3 };

struct dxi_direct_inlet {
    dx_client_subscription_t *subscription;
    dx_client_t *client;
    dxi_direct_inlet_t *next; /* of the client */
    int state;
    int64_t generation; /* of the connection on which the node named the ring */
    int64_t ask_ns;     /* not before */
    dx_ring_t *ring;    /* NULL: none, to be asked for */
    dx_consumer_t consumer;
    uint64_t expected; /* the sequence behind the last one that was given, or told as a gap */
    uint32_t slot_bytes, slots_max;
    uint16_t shard;
    char ring_name[DX_RING_NAME_MAX + 1];
    char consumer_name[DX_RING_NAME_MAX + 1];
    char *slots; /* copies */
    dxi_direct_clock_t clock;
    dx_thread_t *thread;
    dx_atomic32_t stop;
    dx_atomic64_t stop_ns; /* handles what is there until then */
    int64_t stop_at;       /* up to before this sequence; 0: not told to stop */
    int busy;              /* steps that may wait for more */
    uint32_t idle;         /* steps that found nothing */
    bool left_over;        /* it stopped with events left */

    /* Of the events in hand. All but data, bytes, sequence and time stand there already. */
    int count;
    bool special[CHUNK]; /* its fields are others */
    bool any_special;    /* one of them is */
    dx_frame_header_t plain_header;
    dx_frame_view_t plain;
    dx_event_t events[CHUNK];
    dx_frame_view_t views[CHUNK];
};

static _Thread_local const dxi_direct_inlet_t *handler_of; /* whose handler runs; NULL: none */

bool dxi_direct_in_handler(void)
{
    return handler_of != NULL;
}

/* ------------------------------------------------------------------------------------- handing */

/* The fields of an event in hand that all payloads have alike. */
static void event_reset(dxi_direct_inlet_t *inlet, int index)
{
    const char *topic = inlet->subscription->options.pattern;
    inlet->special[index] = false;
    inlet->events[index] = (dx_event_t){.topic = topic,
                                        .topic_bytes = (uint32_t)strlen(topic),
                                        .shard = inlet->shard,
                                        .frame = &inlet->plain};
}

/* Those in hand were handled: all are as payloads want them again. */
DX_NOINLINE static void special_reset(dxi_direct_inlet_t *inlet)
{
    for (int i = 0; i < CHUNK; i++) {
        if (inlet->special[i]) {
            event_reset(inlet, i);
        }
    }
    inlet->any_special = false;
}

/* Calls the handler with one event. */
static void event_handle(const dxi_direct_inlet_t *inlet, const dx_event_t *event)
{
    const dx_subscription_options_t *o = &inlet->subscription->options;
    if (DX_LIKELY(inlet->client->options.tracer == NULL)) {
        (void)o->on_event(o->context, event);
        return;
    }
    dxi_client_call_t call;
    dxi_client_handle_begin(inlet->client, event, dx_clock_realtime_ns(), 0, &call);
    const int code = o->on_event(o->context, event);
    dxi_client_handle_end(inlet->client, &call, code);
}

/* Calls the handler until all that is in hand is done with. */
static void events_handle(dxi_direct_inlet_t *inlet, bool more)
{
    const dx_subscription_options_t *o = &inlet->subscription->options;
    const int count = inlet->count;
    if (count == 0) {
        return;
    }
    inlet->events[count - 1].end_of_batch = !more;
    const dxi_direct_inlet_t *const outer = handler_of;
    handler_of = inlet;
    for (int at = 0; at < count;) {
        if (o->on_event != NULL) {
            event_handle(inlet, &inlet->events[at++]);
            continue;
        }
        const bool traces = inlet->client->options.tracer != NULL;
        const int64_t start_unix_ns = DX_UNLIKELY(traces) ? dx_clock_realtime_ns() : 0;
        const int done = o->on_batch(o->context, &inlet->events[at], count - at);
        if (DX_UNLIKELY(traces)) {
            dxi_client_handled(inlet->client, &inlet->events[at], count - at, done < 0 ? 0 : done,
                               done < 0 ? done : DX_EAGAIN, start_unix_ns);
        }
        at += done < 0            ? 1
              : done < count - at ? done + 1
                                  : count - at; /* one is refused: it is
                                                                          * passed over */
    }
    handler_of = outer;
    inlet->events[count - 1].end_of_batch = false;
    (void)dx_fetch_add_relaxed(&inlet->client->directs.received, count);
    inlet->count = 0;
    if (DX_UNLIKELY(inlet->any_special)) {
        special_reset(inlet);
    }
}

/* N1: up to `last` none will come. */
static void gap_tell(dxi_direct_inlet_t *inlet, uint64_t last)
{
    const dx_subscription_options_t *o = &inlet->subscription->options;
    if (last < inlet->expected) {
        return;
    }
    events_handle(inlet, true);
    const dx_gap_t gap = {.topic = o->pattern,
                          .topic_bytes = (uint32_t)strlen(o->pattern),
                          .shard = inlet->shard,
                          .first = inlet->expected,
                          .last = last};
    (void)dx_fetch_add_relaxed(&inlet->client->directs.gaps, 1);
    (void)dx_fetch_add_relaxed(&inlet->client->directs.gap_events,
                               (int64_t)(last - inlet->expected + 1));
    inlet->expected = last + 1;
    if (o->on_gap != NULL) {
        const dxi_direct_inlet_t *const outer = handler_of;
        handler_of = inlet;
        o->on_gap(o->context, &gap);
        handler_of = outer;
    }
}

static void inlet_end(dxi_direct_inlet_t *inlet, int code, const char *sentence)
{
    const dx_subscription_options_t *o = &inlet->subscription->options;
    inlet->state = INLET_ENDED;
    if (o->on_end != NULL) {
        o->on_end(o->context, code, sentence);
    }
}

/* ------------------------------------------------------------------------------------- reading */

/* An event that is more than a payload: a frame (N3). False: damaged. */
static bool frame_take(dxi_direct_inlet_t *inlet, const dxi_direct_event_t *slot, dx_event_t *event)
{
    dx_frame_view_t *view = &inlet->views[inlet->count];
    if (dx_frame_decode(slot->data, slot->bytes, view, NULL) != DX_OK ||
        view->header->type != DX_FRAME_EVENT || dxi_frame_packed(view->header)) {
        return false;
    }
    inlet->special[inlet->count] = inlet->any_special = true;
    event->data = view->payload;
    event->bytes = view->payload_bytes;
    event->key = dx_frame_part(view, DX_PART_KEY, &event->key_bytes);
    event->correlation = dx_frame_part_u64(view, DX_PART_CORRELATION, 0);
    event->frame = view;
    return true;
}

/* One slot among the events in hand. */
DX_INLINE void slot_take(dxi_direct_inlet_t *inlet, const char *at, uint64_t sequence,
                         uint64_t now_us)
{
    dxi_direct_event_t slot;
    if (DX_UNLIKELY(dxi_direct_read(at, inlet->slot_bytes, now_us, &slot) != DX_OK)) {
        return; /* a gap, when the next one comes */
    }
    if (DX_UNLIKELY(sequence != inlet->expected)) {
        gap_tell(inlet, sequence - 1);
    }
    dx_event_t *const event = &inlet->events[inlet->count];
    event->sequence = sequence;
    event->timestamp_ns = slot.timestamp_ns;
    event->data = slot.data;
    event->bytes = slot.bytes;
    if (DX_UNLIKELY(slot.kind != DXI_DIRECT_PLAIN) && !frame_take(inlet, &slot, event)) {
        return;
    }
    inlet->count++;
    inlet->expected = sequence + 1;
}

/* The slots in front that are payloads, one behind the other, as nearly all are: without a look at
 * anything else. Returns how many. */
DX_INLINE int64_t payloads_take(dxi_direct_inlet_t *inlet, int64_t first, int64_t count,
                                uint64_t now_us)
{
    if (DX_UNLIKELY((uint64_t)first != inlet->expected)) {
        return 0;
    }
    const char *at = inlet->slots;
    dx_event_t *event = inlet->events;
    int64_t taken = 0;
    for (; taken < count; taken++, event++, at += inlet->slot_bytes) {
        dxi_direct_event_t slot;
        if (DX_UNLIKELY(dxi_direct_read(at, inlet->slot_bytes, now_us, &slot) != DX_OK ||
                        slot.kind != DXI_DIRECT_PLAIN)) {
            break;
        }
        event->sequence = (uint64_t)(first + taken);
        event->timestamp_ns = slot.timestamp_ns;
        event->data = slot.data;
        event->bytes = slot.bytes;
    }
    inlet->count = (int)taken;
    inlet->expected = (uint64_t)(first + taken);
    return taken;
}

/* Copies slots out of the ring: one or two pieces. */
static void slots_copy(dxi_direct_inlet_t *inlet, int64_t first, int64_t count)
{
    const dx_consumer_t *consumer = &inlet->consumer;
    const size_t each = inlet->slot_bytes;
    const int64_t place = first & consumer->mask;
    const int64_t behind = consumer->mask + 1 - place;
    const int64_t piece = count < behind ? count : behind;
    memcpy(inlet->slots, consumer->slots + (size_t)place * each, (size_t)piece * each);
    if (DX_UNLIKELY(piece < count)) {
        memcpy(inlet->slots + (size_t)piece * each, consumer->slots,
               (size_t)(count - piece) * each);
    }
}

static bool is_evicted(const dx_consumer_t *consumer)
{
    /* ACQUIRE fence: what was copied is read before the flag. Whoever evicts sets it before others
     * may overwrite (src/ring/evict.c), so without the flag the copy is whole. */
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return (dx_load32_relaxed(&consumer->entry->control) & DXI_CONTROL_EVICTED) != 0;
}

/* In the middle of a burst, close behind a publisher: each look takes the line of stamps away from
 * it while it writes there, and finds a few events. After a moment they are many. Returns how many
 * there are then. */
DX_NOINLINE static int64_t more_after_a_moment(dxi_direct_inlet_t *inlet)
{
    inlet->busy--;
    for (int i = 0; i < MOMENT_PAUSES; i++) {
        dx_cpu_relax();
    }
    return dx_consumer_poll(&inlet->consumer) - inlet->consumer.next + 1;
}

/* Whoever publishes next writes there first and then the stamp that we look at: fetched while we
 * wait for that, the slot is on its way when the stamp arrives. */
DX_INLINE void slot_prefetch(const dxi_direct_inlet_t *inlet, int64_t sequence)
{
    const dx_consumer_t *consumer = &inlet->consumer;
    const char *slot = consumer->slots + (size_t)(sequence & consumer->mask) * inlet->slot_bytes;
    __builtin_prefetch(slot);
    __builtin_prefetch(slot + inlet->slot_bytes - 1); /* a short one may lie in two lines */
}

/* Handles some events. Returns how many slots, 0 when there are none, DX_EEVICTED. */
static int inlet_step(dxi_direct_inlet_t *inlet)
{
    dx_consumer_t *const consumer = &inlet->consumer;
    const int64_t last = dx_consumer_poll(consumer);
    const int64_t first = consumer->next;
    if (last < first) {
        if (inlet->busy == 0) {
            slot_prefetch(inlet, first);
        }
        return DX_UNLIKELY(consumer->evicted) ? DX_EEVICTED : 0;
    }
    int64_t count = last - first + 1;
    if (count < inlet->slots_max && inlet->busy > 0) {
        count = more_after_a_moment(inlet);
    }
    count = count < inlet->slots_max ? count : inlet->slots_max;
    inlet->busy = count == inlet->slots_max ? BUSY_STEPS : inlet->busy;
    slots_copy(inlet, first, count);
    uint64_t hidden = 0;
    if (DX_UNLIKELY(first <= dx_load_relaxed(&consumer->block->marks_last))) {
        for (int64_t i = 0; i < count; i++) {
            hidden |= (uint64_t)dx_consumer_is_hidden(consumer, first + i) << i;
        }
    }
    if (DX_UNLIKELY(is_evicted(consumer))) {
        return DX_EEVICTED;
    }
    dx_consumer_release(consumer, first + count - 1);
    const uint64_t now_us = inlet->clock.unix_us; /* near enough to complete the events' time */
    int64_t i = hidden == 0 ? payloads_take(inlet, first, count, now_us) : 0;
    const char *at = inlet->slots + (size_t)i * inlet->slot_bytes;
    for (; DX_UNLIKELY(i < count); i++, at += inlet->slot_bytes) {
        if (DX_LIKELY((hidden >> i & 1) == 0)) {
            slot_take(inlet, at, (uint64_t)(first + i), now_us);
        }
    }
    events_handle(inlet, last >= first + count);
    (void)dxi_direct_clock_us(&inlet->clock); /* here, where no event waits for it */
    return (int)count;
}

/* ------------------------------------------------------------------------------------ attaching */

static void inlet_detach(dxi_direct_inlet_t *inlet)
{
    if (inlet->ring != NULL) {
        dx_consumer_close(&inlet->consumer);
        dx_ring_destroy(inlet->ring);
        inlet->ring = NULL;
    }
}

static int consumer_open(dxi_direct_inlet_t *inlet, dx_error_t *error)
{
    const dx_consumer_options_t options = {
        .name = inlet->consumer_name,
        .wait = {.kind = inlet->client->options.busy_poll ? DX_WAIT_BUSY_SPIN : DX_WAIT_ADAPTIVE,
                 .timeout_ns = WAIT_NS}};
    return dx_consumer_open(&inlet->consumer, inlet->ring, &options, error);
}

static int inlet_attach(dxi_direct_inlet_t *inlet, const dxi_direct_answer_t *answer,
                        dx_error_t *error)
{
    const dx_attach_options_t attach = {.name = answer->ring, .folder = answer->folder};
    int code = dx_ring_attach(&attach, &inlet->ring, error);
    if (code == DX_OK) {
        code = consumer_open(inlet, error);
    }
    if (code != DX_OK) {
        dx_ring_destroy(inlet->ring);
        inlet->ring = NULL;
        return code;
    }
    inlet->slot_bytes = dx_ring_block(inlet->ring)->slot_bytes;
    const uint32_t fit = CHUNK_BYTES / inlet->slot_bytes;
    inlet->slots_max = fit < 1 ? 1 : fit < CHUNK ? fit : CHUNK;
    dxi_free(inlet->slots);
    inlet->slots = dxi_alloc_zeroed(inlet->slots_max, inlet->slot_bytes);
    if (inlet->slots == NULL) {
        inlet_detach(inlet);
        return dxi_fail(error, DX_ENOMEM, "no memory for a direct subscription");
    }
    inlet->shard = answer->shard;
    (void)dxi_direct_clock_us(&inlet->clock);
    for (int i = 0; i < CHUNK; i++) {
        event_reset(inlet, i);
    }
    if (strcmp(inlet->ring_name, answer->ring) != 0) {
        inlet->expected = inlet->ring_name[0] != 0 ? 1 : (uint64_t)inlet->consumer.next;
        memcpy(inlet->ring_name, answer->ring, sizeof inlet->ring_name);
    }
    gap_tell(inlet, (uint64_t)inlet->consumer.next - 1); /* N1 */
    return DX_OK;
}

/* Taken out of the ring for being slow: back in, at its newest event. */
static void inlet_rejoin(dxi_direct_inlet_t *inlet)
{
    dx_error_t error = {0};
    if (inlet->subscription->options.slow == DX_SLOW_DISCONNECT) {
        inlet_detach(inlet);
        inlet_end(inlet, DX_ELIMIT,
                  "the subscription was too slow: events that it had not got are overwritten");
        return;
    }
    dx_consumer_close(&inlet->consumer);
    if (consumer_open(inlet, &error) != DX_OK) {
        dx_ring_destroy(inlet->ring);
        inlet->ring = NULL;
        inlet->generation = 0;
        return;
    }
    gap_tell(inlet, (uint64_t)inlet->consumer.next - 1);
}

/* The subscription goes on over the connection. What it has read was in a ring; a topic of that
 * name without one is another, and began with 1 behind it. */
static void inlet_move(dxi_direct_inlet_t *inlet, bool direct)
{
    dx_client_t *const client = inlet->client;
    dx_client_subscription_t *const subscription = inlet->subscription;
    if (inlet->subscription->options.dispatch == DX_DISPATCH_POLL) {
        inlet_end(inlet, DX_ENOTSUP, "the topic is not direct any more, it can't be polled");
        return;
    }
    if (inlet->ring_name[0] != 0 && !direct) {
        subscription->again = subscription->anew = subscription->next = true;
    }
    dx_error_t error = {0};
    const int code = dxi_subscription_begin(client, subscription, &error);
    if (code == DX_OK) {
        inlet->state = INLET_MOVED;
        /* Of a ring that can't be had what was published in between is not known. */
        (void)dx_fetch_add_relaxed(&client->directs.gaps, direct ? 1 : 0);
    } else if (code != DX_ETIMEDOUT) {
        inlet_end(inlet, code, error.message);
    }
}

/* What the node says of the ring now. */
static void inlet_ask(dxi_direct_inlet_t *inlet, int64_t generation)
{
    dx_client_t *const client = inlet->client;
    const char *topic = inlet->subscription->options.pattern;
    dxi_direct_answer_t answer;
    if (dx_load32_acquire(&client->closed) != 0) {
        inlet_detach(inlet);
        inlet_end(inlet, DX_ECLOSED, "the client is closed");
        return;
    }
    inlet->ask_ns = dx_clock_ns() + PAUSE_NS;
    if ((generation & 1) == 0 ||
        dxi_direct_ask_node(client, "subscribe", topic, dxi_client_deadline(client, 0), &answer,
                            NULL) != DX_OK) {
        return; /* again in a while */
    }
    if (answer.direct && inlet->ring != NULL && !dxi_direct_is_closed(inlet->ring) &&
        strcmp(answer.ring, inlet->ring_name) == 0) {
        inlet->generation = generation;
        return;
    }
    inlet_detach(inlet);
    dx_error_t error = {0};
    if (!answer.direct || inlet_attach(inlet, &answer, &error) != DX_OK) {
        inlet_move(inlet, answer.direct);
        return;
    }
    inlet->generation = generation;
}

/* Nothing is there to be read: is it still the right ring? */
DX_INLINE void inlet_look(dxi_direct_inlet_t *inlet)
{
    if (DX_UNLIKELY((++inlet->idle & IDLE_MASK) == 0)) {
        (void)dxi_direct_clock_us(&inlet->clock);
    }
    const int64_t generation = dx_load_relaxed(&inlet->client->directs.generation);
    if (DX_LIKELY(inlet->ring != NULL && inlet->generation == generation &&
                  !dxi_direct_is_closed(inlet->ring))) {
        return;
    }
    if (dx_clock_ns() >= inlet->ask_ns) {
        inlet_ask(inlet, generation);
    }
}

/* --------------------------------------------------------------------------------- its thread */

static void pause_a_while(void)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    (void)nanosleep(&pause, NULL);
}

/* One turn. Returns as inlet_step(). */
static int inlet_turn(dxi_direct_inlet_t *inlet)
{
    int done = inlet->ring != NULL ? inlet_step(inlet) : 0;
    if (DX_UNLIKELY(done == DX_EEVICTED)) {
        inlet_rejoin(inlet);
        done = 0;
    } else if (done == 0) {
        inlet_look(inlet);
    }
    return done;
}

/* Told to stop: whether it is over. What was published by then is handled before. */
static bool inlet_is_over(dxi_direct_inlet_t *inlet)
{
    if (inlet->stop_at == 0) {
        inlet->stop_at = inlet->ring != NULL ? dx_ring_published(inlet->ring) + 1 : INT64_MIN;
    }
    if (inlet->ring == NULL || inlet->consumer.next >= inlet->stop_at) {
        return true;
    }
    inlet->left_over = dx_clock_ns() >= dx_load_relaxed(&inlet->stop_ns);
    return inlet->left_over;
}

static void inlet_run(void *context)
{
    dxi_direct_inlet_t *inlet = context;
    while (inlet->state == INLET_ATTACHED) {
        const bool stop = dx_load32_acquire(&inlet->stop) != 0;
        if (stop && inlet_is_over(inlet)) {
            return;
        }
        const int done = inlet_turn(inlet);
        if (done != 0 || stop || inlet->state != INLET_ATTACHED) {
            continue;
        }
        if (inlet->ring == NULL || dxi_direct_is_closed(inlet->ring)) {
            pause_a_while();
        } else {
            const int64_t last = dx_consumer_wait(&inlet->consumer);
            (void)last; /* whatever ended it, the next turn sees it */
        }
    }
}

int dxi_direct_inlet_poll(dxi_direct_inlet_t *inlet)
{
    if (DX_UNLIKELY(inlet->state != INLET_ATTACHED)) {
        return DX_ECLOSED;
    }
    return inlet_turn(inlet);
}

/* ----------------------------------------------------------------------------- open and close */

bool dxi_direct_may_subscribe(const dx_client_t *client, const dx_subscription_options_t *options)
{
    return dx_load32_acquire(&client->directs.on) != 0 && options->group == NULL &&
           options->filter == NULL && options->from == DX_FROM_LATEST &&
           (options->ack == DX_ACK_NONE || options->ack == DX_ACK_DEFAULT) &&
           options->pattern != NULL && strpbrk(options->pattern, "*>") == NULL;
}

static int inlet_start(dxi_direct_inlet_t *inlet, dx_error_t *error)
{
    if (inlet->subscription->options.dispatch == DX_DISPATCH_POLL) {
        return DX_OK;
    }
    dx_thread_options_t thread = inlet->client->options.thread;
    thread.name = "dx.direct";
    return dx_thread_start(&thread, inlet_run, inlet, &inlet->thread, error);
}

static void inlet_free(dxi_direct_inlet_t *inlet)
{
    inlet_detach(inlet);
    dxi_free(inlet->slots);
    dxi_free(inlet);
}

int dxi_direct_inlet_open(dx_client_subscription_t *subscription, dxi_direct_inlet_t **inlet_out,
                          dx_error_t *error)
{
    dx_client_t *const client = subscription->client;
    const dx_subscription_options_t *o = &subscription->options;
    const int64_t generation = dx_load_relaxed(&client->directs.generation);
    dxi_direct_answer_t answer;
    *inlet_out = NULL;
    int code = dxi_direct_ask_node(client, "subscribe", o->pattern, dxi_client_deadline(client, 0),
                                   &answer, error);
    if (code != DX_OK || !answer.direct) {
        return code != DX_OK ? code
                             : dxi_fail(error, DX_ENOTSUP, "topic %s is not direct", o->pattern);
    }
    dxi_direct_know(client, o->pattern);
    dxi_direct_inlet_t *const inlet = dxi_alloc_zeroed(1, sizeof *inlet);
    if (inlet == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a direct subscription");
    }
    inlet->subscription = subscription;
    inlet->client = client;
    inlet->state = INLET_ATTACHED;
    inlet->generation = generation;
    inlet->plain_header.type = DX_FRAME_EVENT;
    inlet->plain = (dx_frame_view_t){.header = &inlet->plain_header};
    dxi_direct_name(&(dxi_direct_policy_t){.slow = o->slow, .slow_block_ns = o->slow_block_ns},
                    o->name != NULL ? o->name : client->options.name, inlet->consumer_name);
    code = inlet_attach(inlet, &answer, error);
    if (code == DX_OK) {
        code = inlet_start(inlet, error);
    }
    if (code != DX_OK) {
        inlet_free(inlet);
        return dxi_fail(error, DX_ENOTSUP, "the ring of direct topic %s can't be used: %s",
                        o->pattern, dx_error_text(code));
    }
    (void)pthread_mutex_lock(&client->directs.lock);
    inlet->next = client->directs.inlets;
    client->directs.inlets = inlet;
    (void)pthread_mutex_unlock(&client->directs.lock);
    *inlet_out = inlet;
    return DX_OK;
}

static void list_remove(dxi_direct_inlet_t *inlet)
{
    dx_client_t *const client = inlet->client;
    (void)pthread_mutex_lock(&client->directs.lock);
    for (dxi_direct_inlet_t **at = &client->directs.inlets; *at != NULL; at = &(*at)->next) {
        if (*at == inlet) {
            *at = inlet->next;
            break;
        }
    }
    (void)pthread_mutex_unlock(&client->directs.lock);
}

int dxi_direct_inlet_close(dxi_direct_inlet_t *inlet, int64_t deadline_ns, bool *moved_out)
{
    if (handler_of == inlet) {
        return DX_EDEADLOCK;
    }
    dx_store_relaxed(&inlet->stop_ns, deadline_ns);
    dx_store32_release(&inlet->stop, 1); /* pairs with inlet_run(); the wait ends by itself */
    (void)dx_thread_join(inlet->thread);
    while (inlet->thread == NULL && inlet->state == INLET_ATTACHED && !inlet_is_over(inlet)) {
        (void)inlet_turn(inlet);
    }
    const bool left = inlet->left_over;
    *moved_out = inlet->state == INLET_MOVED;
    list_remove(inlet);
    inlet_free(inlet);
    return left ? DX_ETIMEDOUT : DX_OK;
}

void dxi_directs_close(dx_client_t *client)
{
    while (client->directs.inlets != NULL) {
        dxi_direct_inlet_t *const inlet = client->directs.inlets;
        dx_client_subscription_t *const subscription = inlet->subscription;
        bool moved = false;
        (void)dxi_direct_inlet_close(inlet, 0, &moved);
        subscription->direct = NULL;
        if (!moved) { /* else it is in the client's table */
            dxi_subscription_destroy(subscription);
        }
    }
    dxi_directs_outlets_close(client);
}
