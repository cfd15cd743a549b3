/* publish.c - messages become frames in the window.
 *
 * DESIGN
 *
 * A message with a topic and nothing else (a plain one), that nobody wants a receipt for, is put
 * into the window as its payload and the number of its topic (plain.h). Each thread keeps the last
 * topics that it used, with what a frame of theirs has behind its header (the template); what has
 * been checked once is not checked again.
 *
 * Of all other messages the frame is made here: its header, its parts, and the payload. The parts
 * are the template's, or are encoded by dx_frame_begin() into memory of the caller's stack:
 *
 *     claim room in the window  ->  header, parts, payload, both checksums  ->  note, bell
 *
 * A publication with a receipt is a record that names who is to be told, and the frame behind it,
 * without a header checksum: the client's thread numbers it as it takes it, so that the producer's
 * sequence is the order of the window, and computes the checksum over the number (send.c).
 *
 * INVARIANTS
 *
 *   P1  nothing can fail between a claim and its note
 *   P2  a frame is at most a DXI_WINDOW_SHARE-th of the window, and at most what the node accepts
 *   P3  a template holds a topic that dxi_topic_check() has accepted
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "base/options.h"
#include "bus/shard.h"
#include "client/trace.h"
#include "disruptorx/clock.h"
#include "wire/frame_internal.h"

#define TEMPLATES 8 /* of a thread; a power of two */
#define BATCH_CHUNK 64
#define LAZY_DEADLINE (-1)

/* All parts but HEADERS that a message can have, and HEADERS. */
#define PARTS_BYTES_MAX                                                                            \
    ((8 + 256) + (8 + DX_FRAME_KEY_BYTES_MAX) + (8 + 8) + (8 + 32) + (8 + 256) +                   \
     (8 + DX_FRAME_HEADERS_BYTES_MAX))

/* The parts of a message as they stand in a frame. */
typedef struct parts {
    const char *at;
    uint32_t bytes; /* a multiple of 8 */
    uint32_t key_hash;
} parts_t;

typedef struct template
{
    uint64_t serial; /* of the client that gave the topic this number */
    uint32_t number;
    dxi_plain_topic_t topic; /* parts_bytes 0: empty */
}
template_t;

static _Thread_local template_t templates[TEMPLATES];

/* Where the template of a topic would be. By its address: programs name topics by constants. */
DX_INLINE template_t *template_place(const char *topic)
{
    const uintptr_t address = (uintptr_t)topic;
    return &templates[(address ^ address >> 4 ^ address >> 9) & (TEMPLATES - 1)];
}

DX_INLINE bool template_is(const template_t *place, const char *topic)
{
    return place->topic.parts_bytes != 0 && strcmp(place->topic.name, topic) == 0;
}

DX_NOINLINE static int template_make(template_t *place, const char *topic, dx_error_t *error)
{
    const size_t bytes = strnlen(topic, DX_TOPIC_BYTES_MAX + 1);
    const int code = dxi_topic_check(topic, bytes, error); /* P3 */
    if (code != DX_OK) {
        return code;
    }
    const dx_frame_part_t part = dx_frame_part_of(DX_PART_TOPIC, topic, bytes);
    const dx_frame_draft_t draft = {.type = DX_FRAME_PUBLISH, .parts = &part, .part_count = 1};
    _Alignas(8) char frame[DX_FRAME_HEADER_BYTES + sizeof place->topic.parts];
    void *payload = NULL;
    const int64_t frame_bytes = dx_frame_begin(frame, sizeof frame, &draft, &payload, error);
    if (frame_bytes < 0) {
        return (int)frame_bytes;
    }
    dxi_plain_topic_t *const made = &place->topic;
    made->parts_bytes = (uint32_t)frame_bytes - DX_FRAME_HEADER_BYTES;
    made->key_hash = dx_frame_key_hash(topic, bytes);
    memcpy(made->name, topic, bytes + 1);
    memcpy(made->parts, frame + DX_FRAME_HEADER_BYTES, made->parts_bytes);
    place->serial = 0;
    return DX_OK;
}

/* The number of the topic in this client. */
DX_NOINLINE static void template_number(template_t *place, dx_client_t *client)
{
    (void)pthread_mutex_lock(&client->lock);
    place->number = dxi_plain_topic(&client->plain, &place->topic);
    (void)pthread_mutex_unlock(&client->lock);
    place->serial = client->plain.serial;
}

DX_INLINE parts_t template_parts(const dxi_plain_topic_t *topic)
{
    return (parts_t){.at = topic->parts, .bytes = topic->parts_bytes, .key_hash = topic->key_hash};
}

/* A topic, its payload, and nothing else. */
DX_INLINE bool message_is_plain(const dx_message_t *message)
{
    return ((uintptr_t)message->key | message->key_bytes | message->header_count |
            (uintptr_t)message->trace | message->correlation | (uintptr_t)message->reply_to |
            message->reserved[0] | message->reserved[1] | message->reserved[2] |
            message->reserved[3]) == 0 &&
           message->topic != NULL;
}

/* Encodes the parts of any message behind a header in `frame`. */
DX_NOINLINE static int parts_make(const dx_message_t *message, uint8_t type, char *frame,
                                  size_t room, parts_t *parts_out, dx_error_t *error)
{
    int code = dxi_options_reserved(error, message->reserved, 4);
    if (code != DX_OK) {
        return code;
    }
    if (message->topic == NULL) {
        return dxi_fail(error, DX_EINVAL, "topic is NULL, must be the name of a topic");
    }
    const size_t topic_bytes = strnlen(message->topic, DX_TOPIC_BYTES_MAX + 1);
    code = dxi_topic_check(message->topic, topic_bytes, error);
    if (code != DX_OK) {
        return code;
    }
    if (message->key_bytes > DX_FRAME_KEY_BYTES_MAX) {
        return dxi_fail(error, DX_ELIMIT, "key_bytes is %zu, must be at most %d",
                        message->key_bytes, DX_FRAME_KEY_BYTES_MAX);
    }
    dx_frame_part_t parts[5];
    dx_frame_draft_t draft = {.type = type, .parts = parts, .headers = message->headers};
    draft.header_count = message->header_count;
    parts[draft.part_count++] = dx_frame_part_of(DX_PART_TOPIC, message->topic, topic_bytes);
    if (message->key_bytes != 0) {
        parts[draft.part_count++] = dx_frame_part_of(DX_PART_KEY, message->key, message->key_bytes);
    }
    if (message->correlation != 0) {
        parts[draft.part_count++] = dx_frame_part_of(DX_PART_CORRELATION, &message->correlation, 8);
    }
    if (message->trace != NULL) {
        parts[draft.part_count++] =
            dx_frame_part_of(DX_PART_TRACE, message->trace, sizeof *message->trace);
    }
    if (message->reply_to != NULL) {
        const size_t reply_bytes = strnlen(message->reply_to, DX_TOPIC_BYTES_MAX + 1);
        code = dxi_topic_check(message->reply_to, reply_bytes, error);
        if (code != DX_OK) {
            (void)dxi_fail_context(error, "reply_to");
            return code;
        }
        parts[draft.part_count++] =
            dx_frame_part_of(DX_PART_REPLY_TO, message->reply_to, reply_bytes);
    }
    void *payload = NULL;
    const int64_t bytes = dx_frame_begin(frame, room, &draft, &payload, error);
    if (bytes < 0) {
        return (int)bytes;
    }
    parts_out->at = frame + DX_FRAME_HEADER_BYTES;
    parts_out->bytes = (uint32_t)bytes - DX_FRAME_HEADER_BYTES;
    parts_out->key_hash = message->key_bytes != 0
                              ? dx_frame_key_hash(message->key, message->key_bytes)
                              : dx_frame_key_hash(message->topic, topic_bytes);
    return DX_OK;
}

/* Bytes of the frame, or why there can't be one. */
DX_INLINE int64_t frame_size(dx_client_t *client, const dx_message_t *message, uint32_t parts_bytes,
                             dx_error_t *error)
{
    const uint64_t bytes = DX_FRAME_HEADER_BYTES + (uint64_t)parts_bytes +
                           (((uint64_t)message->bytes + 7) & ~UINT64_C(7));
    const int64_t most = dx_load_relaxed(&client->counts.frame_bytes_max); /* P2 */
    if (DX_UNLIKELY(message->bytes > DX_FRAME_BYTES_MAX || (int64_t)bytes > most)) {
        return dxi_fail(error, DX_ELIMIT,
                        "the message takes a frame of %llu bytes, must take at most %lld (of the "
                        "node, and half of window_bytes)",
                        (unsigned long long)bytes, (long long)most);
    }
    if (DX_UNLIKELY(message->data == NULL && message->bytes != 0)) {
        return dxi_fail(error, DX_EINVAL, "data is NULL, and bytes is %zu", message->bytes);
    }
    return (int64_t)bytes;
}

/* Writes a frame and returns its bytes. With `producer_id` it is left to the client's thread to
 * number it and to compute the header's checksum. */
DX_INLINE int64_t frame_write(char *at, uint8_t type, const parts_t *parts, uint64_t producer_id,
                              const dx_message_t *message)
{
    const uint32_t payload_bytes = (uint32_t)message->bytes;
    const uint32_t padded = dxi_align8(payload_bytes);
    const uint32_t zeros = padded - payload_bytes;
    const uint32_t frame_bytes = DX_FRAME_HEADER_BYTES + parts->bytes + padded;
    char *const body = at + DX_FRAME_HEADER_BYTES;
    for (uint32_t i = 0; i < parts->bytes; i += 8) {
        dxi_store64(body + i, dxi_load64(parts->at + i));
    }
    if (payload_bytes != 0) {
        if (zeros != 0) {
            dxi_store64(body + parts->bytes + padded - 8, 0);
        }
        memcpy(body + parts->bytes, message->data, payload_bytes);
    }
    dxi_header_words_t words = {
        .length = (uint64_t)(frame_bytes - DX_FRAME_SPAN_BYTES) | (uint64_t)DX_FRAME_VERSION << 32 |
                  (uint64_t)type << 40 |
                  (uint64_t)(producer_id != 0 ? DX_FRAME_ACK_WANTED : 0) << 48,
        .checksum = (uint64_t)(parts->bytes | zeros) << 48,
        .body_checksum = dxi_body_checksum(body, frame_bytes - DX_FRAME_HEADER_BYTES),
        .producer_id = producer_id,
        .term = (uint64_t)parts->key_hash << 32};
    if (producer_id == 0) {
        words.checksum |= dxi_header_checksum(&words);
    }
    dxi_store64(at, words.length);
    dxi_store64(at + 8, words.checksum);
    dxi_store64(at + 16, words.body_checksum);
    dxi_store64(at + 24, 0);
    dxi_store64(at + 32, 0);
    dxi_store64(at + 40, words.producer_id);
    dxi_store64(at + 48, 0);
    dxi_store64(at + 56, words.term);
    return (int64_t)frame_bytes;
}

void dxi_publish_frame(char *to, const dxi_plain_topic_t *topic, const void *payload,
                       uint32_t bytes)
{
    const parts_t parts = template_parts(topic);
    (void)frame_write(to, DX_FRAME_PUBLISH, &parts, 0,
                      &(dx_message_t){.data = payload, .bytes = bytes});
}

int64_t dxi_client_deadline(const dx_client_t *client, int64_t timeout_ns)
{
    if (timeout_ns < 0) {
        return INT64_MAX;
    }
    const int64_t wait_ns = timeout_ns != 0 ? timeout_ns : client->options.timeout_ns;
    const int64_t now_ns = dx_clock_ns();
    return wait_ns > INT64_MAX - now_ns ? INT64_MAX : now_ns + wait_ns;
}

int64_t dxi_publish_deadline(const dx_client_t *client)
{
    if (client->options.fail_when_full || dxi_client_in_loop(client) || dxi_direct_in_handler()) {
        return 0;
    }
    return dxi_client_deadline(client, 0);
}

/* The window has no room: waits, or not. */
DX_NOINLINE static int claim_otherwise(dx_client_t *client, int64_t bytes, int32_t events,
                                       int64_t deadline_ns, uint64_t *claim_out, dx_error_t *error)
{
    if (deadline_ns == LAZY_DEADLINE) {
        deadline_ns = dxi_publish_deadline(client);
    } else if (dxi_client_in_loop(client) || client->options.fail_when_full) {
        deadline_ns = 0;
    }
    if (deadline_ns != 0) {
        dxi_loop_will_wait(client->loop);
    }
    dxi_client_ring_published(client);
    const int code =
        dxi_window_claim_slow(&client->window, bytes, events, 1, deadline_ns, claim_out);
    if (code == DX_OK) {
        return DX_OK;
    }
    if (code == DX_ECLOSED) {
        return dxi_client_closed_fail(client, error);
    }
    if (code == DX_EAGAIN) {
        return dxi_fail(error, DX_EAGAIN,
                        "the window is full: window_bytes is %u, window_events is %u",
                        client->options.window_bytes, client->options.window_events);
    }
    return dxi_fail(error, DX_ETIMEDOUT,
                    "the window stayed full until the deadline: window_bytes is %u, "
                    "window_events is %u",
                    client->options.window_bytes, client->options.window_events);
}

/* The rest of a publication, once its parts are known. */
DX_INLINE int parts_publish(dx_client_t *client, uint8_t type, const parts_t *parts,
                            const dx_message_t *message, dx_receipt_fn on_receipt, void *context,
                            int64_t deadline_ns, dx_error_t *error)
{
    const int64_t bytes = frame_size(client, message, parts->bytes, error);
    if (DX_UNLIKELY(bytes < 0)) {
        return (int)bytes;
    }
    const bool wanted = on_receipt != NULL;
    const int64_t record_bytes = bytes + (wanted ? (int64_t)sizeof(dxi_receipt_record_t) : 0);
    uint64_t claim = 0;
    int code = wanted ? dxi_window_claim_slow(&client->window, record_bytes, 1, 1, 0, &claim)
                      : dxi_window_claim(&client->window, record_bytes, 1, &claim);
    if (DX_UNLIKELY(code != DX_OK)) {
        code = claim_otherwise(client, record_bytes, wanted ? 1 : 0, deadline_ns, &claim, error);
        if (code != DX_OK) {
            return code;
        }
    }
    char *at = dxi_window_place(&client->window, claim);
    uint32_t kind = type == DX_FRAME_REQUEST ? DXI_RECORD_REQUEST : 0;
    if (wanted) {
        *(dxi_receipt_record_t *)(void *)at =
            (dxi_receipt_record_t){.on_receipt = on_receipt, .context = context};
        at += sizeof(dxi_receipt_record_t);
        kind |= DXI_RECORD_RECEIPT;
    }
    frame_write(at, type, parts, wanted ? client->producer_id : 0, message);
    dxi_window_publish(&client->window, claim, record_bytes, kind); /* P1 */
    dxi_client_ring_published(client);
    return DX_OK;
}

/* A plain message that nobody wants a receipt for: as it is (plain.h). */
DX_INLINE void plain_write(dx_client_t *client, uint64_t claim, int64_t record_bytes,
                           uint32_t number, const dx_message_t *message)
{
    char *const at = dxi_window_place(&client->window, claim);
    const uint32_t payload_bytes = (uint32_t)message->bytes;
    dxi_store64(at, (uint64_t)payload_bytes | (uint64_t)number << 32);
    if (payload_bytes != 0) {
        if ((payload_bytes & 7u) != 0) {
            dxi_store64(at + sizeof(dxi_plain_record_t) + dxi_align8(payload_bytes) - 8, 0);
        }
        memcpy(at + sizeof(dxi_plain_record_t), message->data, payload_bytes);
    }
    dxi_window_publish(&client->window, claim, record_bytes, DXI_RECORD_PLAIN);
}

DX_INLINE int plain_publish(dx_client_t *client, const template_t *place,
                            const dx_message_t *message, int64_t deadline_ns, dx_error_t *error)
{
    const int64_t bytes = frame_size(client, message, place->topic.parts_bytes, error);
    if (DX_UNLIKELY(bytes < 0)) {
        return (int)bytes;
    }
    const int64_t record_bytes = dxi_plain_record_bytes(message->bytes);
    uint64_t claim = 0;
    if (DX_UNLIKELY(dxi_window_claim(&client->window, record_bytes, 1, &claim) != DX_OK)) {
        const int code = claim_otherwise(client, record_bytes, 0, deadline_ns, &claim, error);
        if (code != DX_OK) {
            return code;
        }
    }
    plain_write(client, claim, record_bytes, place->number, message); /* P1 */
    dxi_client_ring_published(client);
    return DX_OK;
}

/* A message that is more than a payload, as a frame into a direct topic's ring. Returns as
 * dxi_direct_publish(). */
static int direct_frame(dx_client_t *client, dxi_direct_outlet_t *outlet,
                        const dx_message_t *message, dx_receipt_t *receipt_out, dx_error_t *error)
{
    _Alignas(8) char space[DX_FRAME_HEADER_BYTES + PARTS_BYTES_MAX];
    parts_t parts = {.at = NULL};
    int code = parts_make(message, DX_FRAME_PUBLISH, space, sizeof space, &parts, error);
    if (code != DX_OK) {
        return code;
    }
    const int64_t bytes = frame_size(client, message, parts.bytes, error);
    if (bytes < 0) {
        return (int)bytes;
    }
    char *const frame = dxi_alloc_zeroed(1, (size_t)bytes);
    if (frame == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a message");
    }
    (void)frame_write(frame, DX_FRAME_PUBLISH, &parts, 0, message);
    code = dxi_direct_publish_frame(client, outlet, frame, (uint32_t)bytes, receipt_out, error);
    dxi_free(frame);
    return code;
}

/* The same. A slot that was made for the payload has no room for the trace beside it: then the
 * event goes without. */
static int direct_frame_or_payload(dx_client_t *client, dxi_direct_outlet_t *outlet,
                                   const dx_message_t *message, dx_receipt_t *receipt_out,
                                   dx_error_t *error)
{
    dx_error_t why = {0};
    dx_message_t bare = *message;
    bare.trace = NULL;
    int done = direct_frame(client, outlet, message, receipt_out, &why);
    if (done == DX_ELIMIT && message->trace != NULL && message_is_plain(&bare)) {
        done = dxi_direct_publish(client, outlet, &bare, 1, receipt_out, &why);
    }
    if (done < 0 && error != NULL) {
        *error = why;
    }
    return done;
}

/* Messages of the topic of the first, as many as follow each other, into its ring. Returns how
 * many; 0: the first one goes over the connection; or why not. */
DX_NOINLINE static int direct_publish(dx_client_t *client, const dx_message_t *messages, int count,
                                      dx_receipt_t *receipt_out, dx_error_t *error)
{
    const char *const topic = messages->topic;
    dxi_direct_outlet_t *const outlet = dxi_direct_outlet(client, topic);
    if (outlet == NULL) {
        return 0;
    }
    if (DX_UNLIKELY(client->options.tracer != NULL)) {
        dxi_client_traced_t traced;
        if (dxi_client_trace_begin(client, messages, &traced)) {
            const int done =
                direct_frame_or_payload(client, outlet, &traced.message, receipt_out, error);
            if (done != 0) { /* else it goes over the connection */
                dxi_client_trace_end(client, &traced, done > 0 ? DX_OK : done);
            }
            return done;
        }
        count = 1; /* each is looked at by itself */
    }
    if (!message_is_plain(messages)) {
        return direct_frame_or_payload(client, outlet, messages, receipt_out, error);
    }
    int plain = 1;
    while (plain < count && messages[plain].topic == topic && message_is_plain(&messages[plain])) {
        plain++;
    }
    return dxi_direct_publish(client, outlet, messages, plain, receipt_out, error);
}

/* A receipt that is known already, on its way to the client's thread. */
typedef struct receipt_task {
    dxi_task_t task;
    dx_receipt_fn on_receipt;
    void *context;
    dx_receipt_t receipt;
} receipt_task_t;

static void receipt_tell(void *context)
{
    receipt_task_t *const it = context;
    it->on_receipt(it->context, &it->receipt);
    dxi_free(it);
}

/* Returns as direct_publish(), for one message. */
static int direct_publish_async(dx_client_t *client, const dx_message_t *message,
                                dx_receipt_fn on_receipt, void *context, dx_error_t *error)
{
    receipt_task_t *const it = dxi_alloc_zeroed(1, sizeof *it);
    if (it == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a receipt");
    }
    it->on_receipt = on_receipt;
    it->context = context;
    it->task = (dxi_task_t){.run = receipt_tell, .context = it};
    const int code = direct_publish(client, message, 1, &it->receipt, error);
    if (code <= 0) {
        dxi_free(it);
        return code;
    }
    dxi_loop_post(client->loop, &it->task);
    return code;
}

DX_INLINE bool may_be_direct(const dx_client_t *client)
{
    /* RELAXED: set while connecting, before anybody can publish. */
    return DX_UNLIKELY(dx_load32_relaxed(&client->directs.on) != 0) &&
           dx_load32_relaxed(&client->closed) == 0;
}

DX_NOINLINE static int publish_any(dx_client_t *client, uint8_t type, const dx_message_t *message,
                                   dx_receipt_fn on_receipt, void *context, int64_t deadline_ns,
                                   dx_error_t *error)
{
    _Alignas(8) char frame[DX_FRAME_HEADER_BYTES + PARTS_BYTES_MAX];
    parts_t parts = {.at = NULL};
    const int code = parts_make(message, type, frame, sizeof frame, &parts, error);
    if (code != DX_OK) {
        return code;
    }
    return parts_publish(client, type, &parts, message, on_receipt, context, deadline_ns, error);
}

/* A publication where there is a tracer. False: this one is not traced. */
DX_NOINLINE static bool publish_traced(dx_client_t *client, uint8_t type,
                                       const dx_message_t *message, dx_receipt_fn on_receipt,
                                       void *context, int64_t deadline_ns, int *code_out,
                                       dx_error_t *error)
{
    dxi_client_traced_t traced;
    if (!dxi_client_trace_begin(client, message, &traced)) {
        return false;
    }
    *code_out = publish_any(client, type, &traced.message, on_receipt, context, deadline_ns, error);
    dxi_client_trace_end(client, &traced, *code_out);
    return true;
}

DX_INLINE int publish(dx_client_t *client, uint8_t type, const dx_message_t *message,
                      dx_receipt_fn on_receipt, void *context, int64_t deadline_ns,
                      dx_error_t *error)
{
    if (DX_UNLIKELY(dx_load32_relaxed(&client->closed) != 0)) {
        return dxi_client_closed_fail(client, error);
    }
    if (DX_UNLIKELY(client->options.tracer != NULL)) {
        int traced_code = DX_OK;
        if (publish_traced(client, type, message, on_receipt, context, deadline_ns, &traced_code,
                           error)) {
            return traced_code;
        }
    }
    if (DX_UNLIKELY(!message_is_plain(message))) {
        return publish_any(client, type, message, on_receipt, context, deadline_ns, error);
    }
    template_t *const place = template_place(message->topic);
    if (DX_UNLIKELY(!template_is(place, message->topic))) {
        const int code = template_make(place, message->topic, error);
        if (code != DX_OK) {
            return code;
        }
    }
    if (DX_LIKELY(type == DX_FRAME_PUBLISH && on_receipt == NULL)) {
        if (DX_UNLIKELY(place->serial != client->plain.serial)) {
            template_number(place, client);
        }
        if (DX_LIKELY(place->number != DXI_PLAIN_NONE)) {
            return plain_publish(client, place, message, deadline_ns, error);
        }
    }
    const parts_t parts = template_parts(&place->topic);
    return parts_publish(client, type, &parts, message, on_receipt, context, deadline_ns, error);
}

int dxi_publish(dx_client_t *client, uint8_t type, const dx_message_t *message,
                dx_receipt_fn on_receipt, void *context, int64_t deadline_ns, dx_error_t *error)
{
    return publish(client, type, message, on_receipt, context, deadline_ns, error);
}

int dx_client_publish(dx_client_t *client, const dx_message_t *message, dx_error_t *error)
{
    if (may_be_direct(client)) {
        const int done = direct_publish(client, message, 1, NULL, error);
        if (done != 0) {
            return done > 0 ? DX_OK : done;
        }
    }
    return publish(client, DX_FRAME_PUBLISH, message, NULL, NULL, LAZY_DEADLINE, error);
}

/* -------------------------------------------------------------------------------------- several */

/* How many of the messages, from the first on, are plain and go into one claim; their bytes. */
static int chunk_measure(dx_client_t *client, const dx_message_t *messages, int count,
                         uint32_t *numbers_out, int64_t *bytes_out)
{
    const int64_t most = client->window.bytes / DXI_WINDOW_SHARE / 2;
    int64_t bytes = 0;
    int taken = 0;
    for (; taken < count && taken < BATCH_CHUNK; taken++) {
        const dx_message_t *const message = &messages[taken];
        if (!message_is_plain(message)) {
            break;
        }
        template_t *const place = template_place(message->topic);
        if (!template_is(place, message->topic)) {
            /* Another message of the chunk may stand on this template. */
            if (taken != 0 || template_make(place, message->topic, NULL) != DX_OK) {
                break;
            }
        }
        if (place->serial != client->plain.serial) {
            template_number(place, client);
        }
        const int64_t record_bytes = dxi_plain_record_bytes(message->bytes);
        if (place->number == DXI_PLAIN_NONE || bytes + record_bytes > most ||
            frame_size(client, message, place->topic.parts_bytes, NULL) < 0) {
            break;
        }
        numbers_out[taken] = place->number;
        bytes += record_bytes;
    }
    *bytes_out = bytes;
    return taken;
}

/* Publishes the first few messages with one claim. Returns how many; 0: the first is a special case
 * or there is no room for all. */
static int chunk_publish(dx_client_t *client, const dx_message_t *messages, int count)
{
    uint32_t numbers[BATCH_CHUNK];
    int64_t bytes = 0;
    const int taken = chunk_measure(client, messages, count, numbers, &bytes);
    if (taken == 0) {
        return 0;
    }
    uint64_t claim = 0;
    if (dxi_window_claim(&client->window, bytes, taken, &claim) != DX_OK) {
        return 0;
    }
    for (int i = 0; i < taken; i++) {
        const int64_t record_bytes = dxi_plain_record_bytes(messages[i].bytes);
        plain_write(client, claim, record_bytes, numbers[i], &messages[i]);
        claim = dxi_window_further(claim, record_bytes, 1);
    }
    return taken;
}

int dx_client_publish_batch(dx_client_t *client, const dx_message_t *messages, int count,
                            dx_error_t *error)
{
    if (count < 0 || (messages == NULL && count != 0)) {
        return dxi_fail(error, DX_EINVAL, "count is %d, must be the number of messages", count);
    }
    if (dx_load32_relaxed(&client->closed) != 0) {
        return dxi_client_closed_fail(client, error);
    }
    int64_t deadline_ns = LAZY_DEADLINE;
    int done = 0;
    while (done < count) {
        if (may_be_direct(client)) {
            const int direct = direct_publish(client, &messages[done], count - done, NULL, error);
            if (direct < 0) {
                return done != 0 ? done : direct;
            }
            done += direct;
            if (direct != 0) {
                continue;
            }
        }
        /* With a tracer each message is looked at by itself. */
        int taken = DX_UNLIKELY(client->options.tracer != NULL)
                        ? 0
                        : chunk_publish(client, &messages[done], count - done);
        if (taken == 0) {
            if (deadline_ns == LAZY_DEADLINE) {
                deadline_ns = dxi_publish_deadline(client);
            }
            const int code =
                publish(client, DX_FRAME_PUBLISH, &messages[done], NULL, NULL, deadline_ns, error);
            if (code != DX_OK) {
                return done != 0 ? done : code;
            }
            taken = 1;
        }
        dxi_client_ring_published(client);
        done += taken;
    }
    return done;
}

/* ------------------------------------------------------------------------------- with a receipt */

int dx_client_publish_async(dx_client_t *client, const dx_message_t *message,
                            dx_receipt_fn on_receipt, void *context, dx_error_t *error)
{
    if (on_receipt == NULL) {
        return dxi_fail(error, DX_EINVAL, "on_receipt is NULL, must be a function");
    }
    if (may_be_direct(client)) {
        const int done = direct_publish_async(client, message, on_receipt, context, error);
        if (done != 0) {
            return done > 0 ? DX_OK : done;
        }
    }
    return publish(client, DX_FRAME_PUBLISH, message, on_receipt, context, LAZY_DEADLINE, error);
}

/* Its code is what is returned. */
static int publish_and_wait(dx_client_t *client, const dx_message_t *message,
                            dx_receipt_t *receipt_out, dx_error_t *error)
{
    int code = dxi_client_may_wait(client, "dx_client_publish_wait()", error);
    if (code != DX_OK) {
        return code;
    }
    const int64_t deadline_ns = dxi_client_deadline(client, 0); /* asking for a ring included */
    if (may_be_direct(client)) {
        code = direct_publish(client, message, 1, receipt_out, error);
        if (code != 0) {
            return code > 0 ? DX_OK : code;
        }
    }
    dxi_call_t *call = NULL;
    code = dxi_call_open(client, DXI_CALL_RECEIPT, &call, error);
    if (code != DX_OK) {
        return code;
    }
    /* The context is the call's number and not its address: a receipt that comes after the deadline
     * finds nobody. */
    void *const context = (void *)(uintptr_t)dxi_call_correlation(call);
    code =
        publish(client, DX_FRAME_PUBLISH, message, dxi_call_receipt, context, deadline_ns, error);
    if (code == DX_OK) {
        code = dxi_call_wait(client, call, deadline_ns, error);
        if (code != DX_ETIMEDOUT) {
            *receipt_out = call->receipt;
        }
    }
    dxi_call_close(client, call);
    return code;
}

int dx_client_publish_wait(dx_client_t *client, const dx_message_t *message,
                           dx_receipt_t *receipt_out, dx_error_t *error)
{
    dx_receipt_t receipt = {.code = DX_OK};
    receipt.code = publish_and_wait(client, message, &receipt, error);
    if (receipt_out != NULL) {
        *receipt_out = receipt;
    }
    return receipt.code;
}
