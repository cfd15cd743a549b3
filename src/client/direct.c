/* direct.c - publishing to direct topics: into their rings, without the node on the way.
 *
 * DESIGN
 *
 * A client whose connection is local (unix://, shm://) to a node that has direct topics asks for
 * their names with its first publication on the connection, and for a topic's ring with the first
 * publication to it. From then on the topic has an outlet here: a producer of the ring, used by one
 * thread at a time.
 *
 *     publish -> outlet? --no--> window, connection, node
 *                  | yes
 *                  +--> claim, fill the slots, publish
 *
 * ORDER. What a thread has published over the connection before is in the ring before it publishes
 * there itself: the window is flushed, and the node answers the question for the ring only when all
 * that it has received before it is in the ring (src/bus/direct.c).
 *
 * While there is no connection the window takes publications, as for every topic; the ring of a
 * node that may be gone is no place for them. When the ring is closed (its topic was deleted, the
 * node ends) the node is asked again.
 *
 * INVARIANTS
 *
 *   O1  an outlet's producer is used under its lock, and only in the generation (the connection) in
 *       which the node has named its ring. With single_publisher the lock is a plain word: two
 *       locked instructions would be a third of what publishing one event takes
 *   O2  outlets are only added, at the head of a list: who reads it needs no lock
 *
 * Threads: any.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "client/direct_internal.h"
#include "client/internal.h"
#include "disruptorx/clock.h"
#include "disruptorx/producer.h"

#define CHUNK 256 /* messages in one claim */
#define ANSWER_BYTES 1024
#define NAMES_BYTES 262144

struct dxi_direct_outlet {
    pthread_mutex_t lock;
    dx_atomic32_t taken; /* the lock of a single publisher */
    int64_t generation;  /* 0: to be asked for; O1 */
    bool attached;       /* in that generation; else it goes over the connection */
    dx_ring_t *ring;
    dx_producer_t producer;
    dx_atomic64_t published; /* written under the lock, read by any */
    dxi_direct_clock_t clock;
    uint32_t slot_bytes;
    uint16_t shard;
    char ring_name[DX_RING_NAME_MAX + 1];
    dxi_direct_outlet_t *next;
    char topic[DX_TOPIC_BYTES_MAX + 1];
};

void dxi_directs_init(dxi_directs_t *directs)
{
    (void)pthread_mutex_init(&directs->lock, NULL);
}

static void outlet_detach(dxi_direct_outlet_t *outlet)
{
    if (outlet->ring != NULL) {
        dx_producer_close(&outlet->producer);
        dx_ring_destroy(outlet->ring);
        outlet->ring = NULL;
    }
    outlet->attached = false;
}

static dxi_direct_outlet_t *first_of(dx_client_t *client)
{
    return (dxi_direct_outlet_t *)(uintptr_t)dx_load_acquire(&client->directs.outlets); /* O2 */
}

void dxi_directs_outlets_close(dx_client_t *client)
{
    dxi_direct_outlet_t *outlet = first_of(client);
    while (outlet != NULL) {
        dxi_direct_outlet_t *const next = outlet->next;
        outlet_detach(outlet);
        (void)pthread_mutex_destroy(&outlet->lock);
        dxi_free(outlet);
        outlet = next;
    }
    (void)pthread_mutex_destroy(&client->directs.lock);
}

void dxi_directs_opened(dx_client_t *client, bool able)
{
    dx_store_relaxed(&client->directs.generation, dx_load_relaxed(&client->directs.generation) + 1);
    dx_store32_release(&client->directs.on, able);
}

void dxi_directs_broken(dx_client_t *client)
{
    dx_store_relaxed(&client->directs.generation, dx_load_relaxed(&client->directs.generation) + 1);
}

/* ------------------------------------------------------------------------------------ the names */

static dxi_direct_outlet_t *find(dx_client_t *client, const char *topic)
{
    dxi_direct_outlet_t *outlet = first_of(client);
    while (outlet != NULL && strcmp(outlet->topic, topic) != 0) {
        outlet = outlet->next;
    }
    return outlet;
}

/* Under the lock of the list. */
static void name_take(void *context, const char *name)
{
    dx_client_t *const client = context;
    if (strlen(name) > DX_TOPIC_BYTES_MAX || find(client, name) != NULL) {
        return;
    }
    dxi_direct_outlet_t *const outlet = dxi_alloc_zeroed(1, sizeof *outlet);
    if (outlet == NULL) {
        return; /* over the connection then */
    }
    (void)pthread_mutex_init(&outlet->lock, NULL);
    memcpy(outlet->topic, name, strlen(name) + 1);
    outlet->next = first_of(client);
    /* RELEASE, pairs with first_of(): who sees the outlet sees it whole. */
    dx_store_release(&client->directs.outlets, (int64_t)(uintptr_t)outlet);
}

/* A topic is known to be direct from now on. Threads: any. */
void dxi_direct_know(dx_client_t *client, const char *topic)
{
    (void)pthread_mutex_lock(&client->directs.lock);
    name_take(client, topic);
    (void)pthread_mutex_unlock(&client->directs.lock);
}

/* Asks for the names, once per connection. False: there was no answer, and no time is left. */
DX_NOINLINE static bool names_ask(dx_client_t *client, int64_t generation)
{
    int code = DX_OK;
    char *const text = dxi_alloc_zeroed(1, NAMES_BYTES);
    (void)pthread_mutex_lock(&client->directs.lock);
    if (text != NULL && dx_load_relaxed(&client->directs.listed) != generation) {
        code = dx_client_ask(client, DXI_DIRECT_QUESTION, "", text, NAMES_BYTES, NULL);
        if (code == DX_OK) {
            const int read = dxi_direct_names_read(text, name_take, client, NULL);
            (void)read; /* a node that says what can't be read has no direct topics */
        }
    }
    dx_store_release(&client->directs.listed, generation);
    (void)pthread_mutex_unlock(&client->directs.lock);
    dxi_free(text);
    return code != DX_ETIMEDOUT;
}

dxi_direct_outlet_t *dxi_direct_outlet(dx_client_t *client, const char *topic)
{
    const int64_t generation = dx_load_relaxed(&client->directs.generation);
    if ((generation & 1) == 0 || topic == NULL) {
        return NULL;
    }
    if (DX_UNLIKELY(dx_load_acquire(&client->directs.listed) != generation) &&
        !dxi_client_in_loop(client) && !names_ask(client, generation)) {
        return NULL;
    }
    return find(client, topic);
}

uint64_t dxi_directs_published(const dx_client_t *client)
{
    const dxi_direct_outlet_t *outlet =
        (const dxi_direct_outlet_t *)(uintptr_t)dx_load_acquire(&client->directs.outlets); /* O2 */
    int64_t published = 0;
    for (; outlet != NULL; outlet = outlet->next) {
        published += dx_load_relaxed(&outlet->published);
    }
    return (uint64_t)published;
}

/* ------------------------------------------------------------------------------------ attaching */

int dxi_direct_ask_node(dx_client_t *client, const char *as, const char *topic, int64_t deadline_ns,
                        dxi_direct_answer_t *answer_out, dx_error_t *error)
{
    char argument[DX_TOPIC_BYTES_MAX + 16];
    char text[ANSWER_BYTES];
    (void)snprintf(argument, sizeof argument, "%s %s", as, topic);
    const int code = dxi_client_ask(client, DXI_DIRECT_QUESTION, argument, text, sizeof text,
                                    deadline_ns, error);
    return code == DX_OK ? dxi_direct_answer_read(text, answer_out, error) : code;
}

static int ring_attach(dx_client_t *client, dxi_direct_outlet_t *outlet,
                       const dxi_direct_answer_t *answer, dx_error_t *error)
{
    const dx_attach_options_t attach = {.name = answer->ring, .folder = answer->folder};
    int code = dx_ring_attach(&attach, &outlet->ring, error);
    if (code != DX_OK) {
        return code;
    }
    const dx_producer_options_t options = {
        .name = "client",
        .wait = {.kind = client->options.busy_poll ? DX_WAIT_BUSY_SPIN : DX_WAIT_ADAPTIVE}};
    code = dx_producer_open(&outlet->producer, outlet->ring, &options, error);
    if (code != DX_OK) {
        dx_ring_destroy(outlet->ring);
        outlet->ring = NULL;
        return code;
    }
    outlet->slot_bytes = dx_ring_block(outlet->ring)->slot_bytes;
    outlet->shard = answer->shard;
    memcpy(outlet->ring_name, answer->ring, sizeof outlet->ring_name);
    outlet->attached = true;
    return DX_OK;
}

/* Asks the node for the ring, and attaches to it if it is another than before. Under the lock. */
DX_NOINLINE static void outlet_ask(dx_client_t *client, dxi_direct_outlet_t *outlet,
                                   int64_t generation)
{
    dxi_direct_answer_t answer = {.direct = false};
    dx_error_t error = {0};
    const int64_t deadline_ns = dxi_client_deadline(client, 0); /* of both */
    int code = dx_client_flush(client, 0, &error);              /* ORDER */
    if (code == DX_OK) {
        code = dxi_direct_ask_node(client, "publish", outlet->topic, deadline_ns, &answer, &error);
    }
    const bool same = code == DX_OK && answer.direct && outlet->ring != NULL &&
                      !dxi_direct_is_closed(outlet->ring) &&
                      strcmp(answer.ring, outlet->ring_name) == 0;
    outlet->attached = same;
    if (!same) {
        outlet_detach(outlet);
    }
    if (code == DX_OK && answer.direct && !same) {
        code = ring_attach(client, outlet, &answer, &error);
    }
    outlet->generation = generation;
    if (code != DX_OK) {
        DX_LOG_WARN(client->options.log, "client",
                    "publications to direct topic %s go over the connection: %s", outlet->topic,
                    error.message);
    }
}

/* Whether the outlet can be used; asks when that is not known. Under the lock. */
DX_INLINE bool outlet_ready(dx_client_t *client, dxi_direct_outlet_t *outlet)
{
    const int64_t generation = dx_load_relaxed(&client->directs.generation);
    if (DX_LIKELY(outlet->generation == generation)) {
        return outlet->attached;
    }
    if ((generation & 1) == 0 || dxi_client_in_loop(client)) {
        return false;
    }
    outlet_ask(client, outlet, generation);
    return outlet->attached;
}

/* --------------------------------------------------------------------------------- publishing */

/* Handlers wait for nobody: who is there already has the lock for as long as it waits for room,
 * which may be the handler's to make. */
static int outlet_lock_shared(const dx_client_t *client, dxi_direct_outlet_t *outlet,
                              dx_error_t *error)
{
    if (DX_LIKELY(pthread_mutex_trylock(&outlet->lock) == 0)) {
        return DX_OK;
    }
    if (dxi_direct_in_handler() || dxi_client_in_loop(client)) {
        return dxi_fail(error, DX_EAGAIN, "direct topic %s is in use by another thread",
                        outlet->topic);
    }
    (void)pthread_mutex_lock(&outlet->lock);
    return DX_OK;
}

DX_INLINE int outlet_lock(const dx_client_t *client, dxi_direct_outlet_t *outlet, dx_error_t *error)
{
    if (!client->options.single_publisher) {
        return outlet_lock_shared(client, outlet, error);
    }
    if (DX_UNLIKELY(dx_load32_relaxed(&outlet->taken) != 0)) {
        return dxi_fail(error, DX_EBUSY,
                        "two threads publish to direct topic %s at a time, but the client's "
                        "single_publisher says that one does",
                        outlet->topic);
    }
    dx_store32_relaxed(&outlet->taken, 1);
    return DX_OK;
}

DX_INLINE void outlet_unlock(const dx_client_t *client, dxi_direct_outlet_t *outlet)
{
    if (client->options.single_publisher) {
        dx_store32_relaxed(&outlet->taken, 0);
    } else {
        (void)pthread_mutex_unlock(&outlet->lock);
    }
}

/* Claims `count` slots: the last of them, 0 when the ring is gone, or a code with its sentence. */
static int64_t outlet_claim(dx_client_t *client, dxi_direct_outlet_t *outlet, int count,
                            dx_error_t *error)
{
    int64_t last = dx_producer_try_claim_n(&outlet->producer, count);
    if (DX_LIKELY(last >= 0)) {
        return last;
    }
    if (last == DX_EAGAIN) {
        const int64_t deadline_ns = dxi_publish_deadline(client);
        if (deadline_ns == 0) {
            return dxi_fail(error, DX_EAGAIN, "the ring of direct topic %s is full", outlet->topic);
        }
        const int64_t left_ns = deadline_ns == INT64_MAX ? INT64_MAX : deadline_ns - dx_clock_ns();
        last = dx_producer_claim_timed(&outlet->producer, count, left_ns > 0 ? left_ns : 1);
        outlet->clock.ticks = 0; /* what was read before is old */
    }
    if (last >= 0) {
        return last;
    }
    if (last == DX_ECLOSED) {
        outlet->generation = 0; /* asked for once more */
        return 0;
    }
    return dxi_fail(error, (int)last,
                    "the ring of direct topic %s stayed full until the deadline: %s", outlet->topic,
                    dx_error_text((int)last));
}

static void receipt_fill(dx_receipt_t *receipt, const dxi_direct_outlet_t *outlet, int64_t sequence,
                         uint64_t unix_us)
{
    *receipt = (dx_receipt_t){.code = DX_OK,
                              .shard = outlet->shard,
                              .sequence = (uint64_t)sequence,
                              .timestamp_ns = unix_us * 1000};
}

static int too_long(const dxi_direct_outlet_t *outlet, size_t bytes, dx_error_t *error)
{
    return dxi_fail(error, DX_ELIMIT,
                    "the message takes %zu bytes, must take at most the %u of the slots of direct "
                    "topic %s (its event_bytes_max)",
                    bytes, outlet->slot_bytes - DXI_DIRECT_HEAD_BYTES, outlet->topic);
}

/* How many of the messages fit into slots, at most CHUNK. */
DX_INLINE int chunk_measure(const dxi_direct_outlet_t *outlet, const dx_message_t *messages,
                            int count)
{
    const size_t most = outlet->slot_bytes - DXI_DIRECT_HEAD_BYTES;
    int taken = 0;
    while (taken < count && taken < CHUNK && messages[taken].bytes <= most &&
           (messages[taken].data != NULL || messages[taken].bytes == 0)) {
        taken++;
    }
    return taken;
}

static int chunk_publish(dx_client_t *client, dxi_direct_outlet_t *outlet,
                         const dx_message_t *messages, int count, uint64_t ticks,
                         dx_receipt_t *receipt_out, dx_error_t *error)
{
    const int taken = chunk_measure(outlet, messages, count);
    if (DX_UNLIKELY(taken == 0)) {
        return messages->data == NULL
                   ? dxi_fail(error, DX_EINVAL, "data is NULL, and bytes is %zu", messages->bytes)
                   : too_long(outlet, messages->bytes, error);
    }
    const int64_t last = outlet_claim(client, outlet, taken, error);
    if (DX_UNLIKELY(last <= 0)) {
        return (int)last;
    }
    const int64_t first = last - taken + 1;
    const uint64_t unix_us = dxi_direct_clock_at(&outlet->clock, ticks);
    for (int i = 0; i < taken; i++) {
        dxi_direct_write(dx_producer_event(&outlet->producer, first + i), DXI_DIRECT_PLAIN,
                         messages[i].data, (uint32_t)messages[i].bytes, unix_us);
    }
    if (DX_UNLIKELY(receipt_out != NULL)) {
        receipt_fill(receipt_out, outlet, first, unix_us);
    }
    const int code = dx_producer_publish_range(&outlet->producer, first, last);
    (void)code; /* DX_ECLOSED: those who read may have left; the next claim finds out */
    return taken;
}

int dxi_direct_publish(dx_client_t *client, dxi_direct_outlet_t *outlet,
                       const dx_message_t *messages, int count, dx_receipt_t *receipt_out,
                       dx_error_t *error)
{
    uint64_t ticks = dx_tsc_now(); /* it takes its while beside the lock, and not behind it */
    int code = outlet_lock(client, outlet, error);
    if (code != DX_OK) {
        return code;
    }
    int done = 0;
    while (done < count && outlet_ready(client, outlet)) {
        code =
            chunk_publish(client, outlet, &messages[done], count - done, ticks, receipt_out, error);
        if (DX_UNLIKELY(code < 0)) {
            break;
        }
        done += code; /* 0: the ring is gone, and the node will be asked */
        ticks = done < count ? dx_tsc_now() : ticks;
    }
    /* No locked instruction here: it would wait until all slots are written. */
    dxi_count(&outlet->published, done);
    outlet_unlock(client, outlet);
    return done != 0 || code >= 0 ? done : code;
}

/* One frame into a slot; 0: the ring is gone. */
static int frame_publish(dx_client_t *client, dxi_direct_outlet_t *outlet, void *frame,
                         uint32_t bytes, dx_receipt_t *receipt_out, dx_error_t *error)
{
    if (bytes > outlet->slot_bytes - DXI_DIRECT_HEAD_BYTES) {
        return too_long(outlet, bytes, error);
    }
    const int64_t sequence = outlet_claim(client, outlet, 1, error);
    if (sequence <= 0) {
        return (int)sequence;
    }
    const uint64_t unix_us = dxi_direct_clock_us(&outlet->clock);
    const dx_frame_stamp_t stamp = {.type = DX_FRAME_EVENT,
                                    .shard = outlet->shard,
                                    .sequence = (uint64_t)sequence,
                                    .timestamp_ns = unix_us * 1000};
    int code = dx_frame_stamp(frame, &stamp);
    if (code != DX_OK) { /* we have made it: a defect */
        (void)dx_producer_abort(&outlet->producer, sequence, sequence);
        return dxi_fail(error, code, "the frame's header is damaged");
    }
    dxi_direct_write(dx_producer_event(&outlet->producer, sequence), DXI_DIRECT_FRAME, frame, bytes,
                     unix_us);
    if (receipt_out != NULL) {
        receipt_fill(receipt_out, outlet, sequence, unix_us);
    }
    code = dx_producer_publish(&outlet->producer, sequence);
    (void)code;
    return 1;
}

int dxi_direct_publish_frame(dx_client_t *client, dxi_direct_outlet_t *outlet, void *frame,
                             uint32_t bytes, dx_receipt_t *receipt_out, dx_error_t *error)
{
    int code = outlet_lock(client, outlet, error);
    if (code != DX_OK) {
        return code;
    }
    while (code == 0 && outlet_ready(client, outlet)) {
        code = frame_publish(client, outlet, frame, bytes, receipt_out, error);
    }
    dxi_count(&outlet->published, code > 0 ? 1 : 0);
    outlet_unlock(client, outlet);
    return code;
}
