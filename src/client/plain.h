/* client/plain.h - messages that have a topic, a payload and nothing else, from the window on.
 *
 * DESIGN
 *
 * Most messages are plain, and nobody waits for a receipt of theirs. Such a message stands in the
 * window as its payload, behind 8 bytes that say its length and the number of its topic:
 *
 *     +-------+-------+--------------------+
 *     | bytes | topic | payload, zeros     |     at least DXI_WINDOW_RECORD_BYTES
 *     +-------+-------+--------------------+
 *
 * so its publisher makes no header and no checksum. The client's thread makes a frame of what it
 * finds: one message becomes a PUBLISH of its own, several of one topic in a row become a pack
 * (wire/pack.h), which is as long as what was waiting: no timer, no wish.
 *
 * A topic gets its number when it is first published to, and keeps it as long as the client is
 * there. When DXI_PLAIN_TOPICS_MAX have one, messages of further topics stand in the window as
 * whole frames.
 *
 * INVARIANTS
 *
 *   V1  topics[n] for n < count is never changed: a record that names it was published behind it
 *   V2  a pack has at most DX_FRAME_PACKED_EVENTS_MAX events and DXI_PACK_BYTES_MAX bytes; it is
 *       not cut short for want of room in the sending ring, which would leave a row of short ones
 *   V3  packs are sent to who has said that it reads them
 *
 * THREADS. dxi_plain_topic(): any, under the client's lock. dxi_plain_send(): the client's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLIENT_PLAIN_H
#define DXI_CLIENT_PLAIN_H

#include <stdint.h>

#include "client/window.h"
#include "disruptorx/bus.h"

#define DXI_PLAIN_TOPICS_MAX 1024
#define DXI_PLAIN_NONE UINT32_MAX

/* What a frame of the topic has behind its header, ready to be copied. */
typedef struct dxi_plain_topic {
    uint32_t parts_bytes; /* a multiple of 8 */
    uint32_t key_hash;
    char name[DX_TOPIC_BYTES_MAX + 1];
    _Alignas(8) char parts[8 + 256];
} dxi_plain_topic_t;

typedef struct dxi_plain_topics {
    uint64_t serial; /* of the client, never used again: what threads remember is of this one */
    uint32_t count;  /* under the client's lock */
    dxi_plain_topic_t *topics[DXI_PLAIN_TOPICS_MAX];
} dxi_plain_topics_t;

typedef struct dxi_plain_record {
    uint32_t bytes;
    uint32_t topic;
} dxi_plain_record_t;

DX_INLINE int64_t dxi_plain_record_bytes(size_t payload_bytes)
{
    const int64_t bytes =
        (int64_t)sizeof(dxi_plain_record_t) + (int64_t)((payload_bytes + 7) & ~(size_t)7);
    return bytes > DXI_WINDOW_RECORD_BYTES ? bytes : DXI_WINDOW_RECORD_BYTES;
}

/* Threads: owner. */
void dxi_plain_open(dxi_plain_topics_t *topics);
void dxi_plain_close(dxi_plain_topics_t *topics);

/* The number of a topic, which is given one if need be (the contents of `topic` are copied);
 * DXI_PLAIN_NONE when there are too many, or no memory. Threads: any, under the client's lock. */
uint32_t dxi_plain_topic(dxi_plain_topics_t *topics, const dxi_plain_topic_t *topic);

#endif
