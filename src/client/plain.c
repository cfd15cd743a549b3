/* plain.c - plain messages become frames and packs. Design: plain.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "client/plain.h"

#include <string.h>

#include "base/alloc.h"
#include "client/internal.h"
#include "wire/pack.h"

/* A pack that is shorter took all that was there: what came meanwhile is for the next turn. */
#define FULL_EVENTS 64

/* --------------------------------------------------------------------------------------- topics */

void dxi_plain_open(dxi_plain_topics_t *topics)
{
    static dx_atomic64_t serials;
    topics->serial = (uint64_t)dx_fetch_add_relaxed(&serials, 1) + 1;
}

void dxi_plain_close(dxi_plain_topics_t *topics)
{
    for (uint32_t i = 0; i < topics->count; i++) {
        dxi_free(topics->topics[i]);
    }
    topics->count = 0;
}

uint32_t dxi_plain_topic(dxi_plain_topics_t *topics, const dxi_plain_topic_t *topic)
{
    for (uint32_t i = 0; i < topics->count; i++) {
        if (topics->topics[i]->key_hash == topic->key_hash &&
            strcmp(topics->topics[i]->name, topic->name) == 0) {
            return i;
        }
    }
    dxi_plain_topic_t *const copy =
        topics->count < DXI_PLAIN_TOPICS_MAX ? dxi_alloc_zeroed(1, sizeof *copy) : NULL;
    if (copy == NULL) {
        return DXI_PLAIN_NONE;
    }
    *copy = *topic;
    topics->topics[topics->count] = copy;
    return topics->count++;
}

/* -------------------------------------------------------------------------------------- sending */

/* The plain record at a place in the window; NULL: there is none, or it is of another topic. */
DX_INLINE const dxi_plain_record_t *record_at(const dx_client_t *client, uint32_t n,
                                              int64_t position, uint32_t topic, int64_t *bytes_out)
{
    const uint32_t note = dxi_window_peek(&client->window, n);
    if ((note & DXI_RECORD_PLAIN) == 0) {
        return NULL;
    }
    const dxi_plain_record_t *const record =
        (const dxi_plain_record_t *)(const void *)dxi_window_at(&client->window, position);
    *bytes_out = dxi_record_bytes(note);
    return topic == DXI_PLAIN_NONE || record->topic == topic ? record : NULL;
}

/* The records are frames of `bytes` in the sending ring now. */
static void sent(dx_client_t *client, int64_t record_bytes, uint32_t events, int64_t bytes)
{
    dxi_connection_commit(client->connection, (size_t)bytes);
    dxi_window_take(&client->window, record_bytes, events);
    client->unconfirmed += events;
    client->sent_events += events;
    client->sent_bytes += (uint64_t)bytes;
    client->ring_bytes += (uint64_t)bytes;
    dxi_send_mark(client);
}

static int one_send(dx_client_t *client, const dxi_plain_record_t *record, int64_t record_bytes,
                    int64_t room)
{
    const dxi_plain_topic_t *const topic = client->plain.topics[record->topic];
    const int64_t bytes =
        DX_FRAME_HEADER_BYTES + topic->parts_bytes + (int64_t)((record->bytes + 7u) & ~7u);
    if (DX_UNLIKELY(bytes > dx_load_relaxed(&client->counts.frame_bytes_max))) {
        dxi_window_take(&client->window, record_bytes, 1); /* for another node */
        dxi_count(&client->counts.refused, 1);
        return 1;
    }
    if ((bytes > room && dxi_connection_pending(client->connection) != 0) ||
        client->sent_events >= client->credit_events ||
        client->sent_bytes >= client->credit_bytes) { /* N5 of send.c */
        return 0;
    }
    char *const to = dxi_connection_claim(client->connection, (size_t)bytes);
    if (to == NULL) {
        return 0;
    }
    dxi_publish_frame(to, topic, record + 1, record->bytes);
    sent(client, record_bytes, 1, bytes);
    return 1;
}

/* Bytes of a pack that can be sent now: of the frame. */
static int64_t pack_most(const dx_client_t *client, int64_t head_bytes, int64_t room)
{
    const int64_t credit = (int64_t)(client->credit_bytes - client->sent_bytes);
    const int64_t accepted = dx_load_relaxed(&client->counts.frame_bytes_max);
    int64_t most = head_bytes + DXI_PACK_BYTES_MAX;
    most = most < accepted ? most : accepted;
    most = most < credit ? most : credit;
    const bool wait = most > room && dxi_connection_pending(client->connection) != 0; /* V2 */
    return wait ? 0 : most;
}

/* Writes the header and the sums of a pack whose events are in place. */
static void pack_seal(char *frame, const dxi_plain_topic_t *topic, uint32_t events,
                      uint32_t data_bytes, int64_t bytes)
{
    dx_frame_header_t *const header = (dx_frame_header_t *)(void *)frame;
    *header = (dx_frame_header_t){.length = (uint32_t)bytes - DX_FRAME_SPAN_BYTES,
                                  .version = DX_FRAME_VERSION,
                                  .type = DX_FRAME_PUBLISH,
                                  .flags = DX_FRAME_PACKED,
                                  .layout = (uint16_t)topic->parts_bytes,
                                  .key_hash = topic->key_hash};
    memcpy(frame + sizeof *header, topic->parts, topic->parts_bytes);
    const dxi_pack_head_t head = {events, data_bytes};
    memcpy(frame + sizeof *header + topic->parts_bytes, &head, sizeof head);
    dx_frame_seal(frame);
}

/* Packs the records from the head on. Returns how many; 0: it has to wait, or there is one only. */
static int pack_send(dx_client_t *client, uint32_t number, int64_t room)
{
    const dxi_plain_topic_t *const topic = client->plain.topics[number];
    const int64_t head_bytes =
        DX_FRAME_HEADER_BYTES + topic->parts_bytes + (int64_t)sizeof(dxi_pack_head_t);
    const int64_t most = pack_most(client, head_bytes, room);
    const uint64_t credit = client->credit_events - client->sent_events;
    const uint32_t events_most =
        credit < DX_FRAME_PACKED_EVENTS_MAX ? (uint32_t)credit : DX_FRAME_PACKED_EVENTS_MAX;
    char *const frame = most > head_bytes
                            ? dxi_connection_claim(client->connection, (size_t)most & ~(size_t)7)
                            : NULL;
    if (frame == NULL) {
        return 0;
    }
    uint32_t events = 0;
    uint32_t data_bytes = 0;
    int64_t bytes = head_bytes;
    int64_t records = 0;
    for (; events < events_most; events++) {
        int64_t record_bytes = 0;
        const dxi_plain_record_t *const record =
            record_at(client, events, client->window.head + records, number, &record_bytes);
        if (record == NULL) {
            break;
        }
        const int64_t event_bytes = (int64_t)dxi_pack_event_bytes(record->bytes);
        if (bytes + event_bytes > most) {
            break;
        }
        const dxi_pack_event_t event = {record->bytes, 0};
        memcpy(frame + bytes, &event, sizeof event);
        memcpy(frame + bytes + sizeof event, record + 1, (size_t)event_bytes - sizeof event);
        data_bytes += record->bytes;
        bytes += event_bytes;
        records += record_bytes;
    }
    if (events < 2) {
        dxi_connection_commit(client->connection, 0);
        return 0;
    }
    pack_seal(frame, topic, events, data_bytes, bytes);
    sent(client, records, events, bytes);
    return (int)events;
}

int dxi_plain_send(dx_client_t *client, int64_t room, bool *drained_out)
{
    int64_t bytes = 0;
    const int64_t head = client->window.head;
    const dxi_plain_record_t *const first = record_at(client, 0, head, DXI_PLAIN_NONE, &bytes);
    if (first == NULL) {
        return 0;
    }
    int64_t ignored = 0;
    int count = 0;
    if (client->packs && record_at(client, 1, head + bytes, first->topic, &ignored) != NULL) {
        count = pack_send(client, first->topic, room);
        *drained_out = count != 0 && count < FULL_EVENTS;
    }
    return count != 0 ? count : one_send(client, first, bytes, room);
}
