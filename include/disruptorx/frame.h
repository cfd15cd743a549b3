/* disruptorx/frame.h - the frame: one layout in memory, on disk and on the network.
 *
 * A frame is 64 bytes of header (one cache line), optional parts, a payload, and zeros up to the
 * next multiple of 8. All numbers are little-endian.
 *
 *      0         4        5       6        8                  12       14
 *     +---------+--------+-------+--------+------------------+--------+---------+
 *     | length  | version| type  | flags  | header checksum  | shard  | layout  |
 *     +---------+--------+-------+--------+------------------+--------+---------+
 *  16 | body checksum                     | 24 sequence                         |
 *  32 | timestamp, ns                     | 40 producer id                      |
 *  48 | producer sequence                 | 56 term          | 60 key hash      |
 *     +-----------------------------------+-------------------------------------+
 *  64 | part | part | ...       each: number 2, bytes 2, zero 4, value, zeros to a multiple of 8
 *     | payload                         zeros to a multiple of 8
 *
 * Its first 8 bytes are the header of a span of a ring (disruptorx/span.h: bytes, tag), so a frame
 * that is encoded into a claimed span is, as it stands there, what writev() sends, what the journal
 * writes and what a subscriber reads:
 *
 *     dx_frame_draft_t draft = {.type = DX_FRAME_PUBLISH, .parts = parts, .part_count = 1,
 *                               .payload_bytes = 128};
 *     const int64_t bytes = dx_frame_bytes(&draft, &error);
 *     const int64_t sequence = dx_producer_claim_span(&producer, (size_t)bytes - 8);
 *     void *payload = NULL;
 *     dx_frame_begin(dx_producer_span(&producer, sequence), (size_t)bytes, &draft, &payload, NULL);
 *     ... fill the payload in place ...
 *     dx_frame_seal(dx_producer_span(&producer, sequence));
 *
 * Two checksums, XXH3-64. The body's covers everything behind the header, is computed once by
 * whoever makes the frame, and is never computed again. The header's (its low 32 bits, the field
 * itself taken as zero) covers the 64 bytes of the header, the body's checksum among them; whoever
 * changes a field of the header, as the leader of a shard does when it fills in shard, term,
 * sequence and timestamp, checks it and computes it again: one cache line, whatever the payload
 * (dx_frame_stamp()). So the two together vouch for the whole frame from its publisher to its last
 * reader.
 *
 * Byte by byte, with the rules of evolution: docs/protocol.md. Test vectors for other languages:
 * tests/vectors/. Many frames in one, compressed: disruptorx/frame_batch.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DISRUPTORX_FRAME_H
#define DISRUPTORX_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "disruptorx/error.h"
#include "disruptorx/platform.h"

DX_EXTERN_C_BEGIN

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "A frame is read in place, so the machine has to be little-endian."
#endif

/* -------------------------------------------------------------------------------------- limits */

#define DX_FRAME_VERSION 1
#define DX_FRAME_HEADER_BYTES 64
#define DX_FRAME_SPAN_BYTES 8          /* in front of what `length` counts */
#define DX_FRAME_ALIGN 8               /* of a frame, of each part, of the payload */
#define DX_FRAME_BYTES_MAX 16777216    /* 16 MiB: of a whole frame */
#define DX_FRAME_PARTS_BYTES_MAX 65528 /* of all parts together */
#define DX_FRAME_PART_BYTES_MAX 65512  /* of the value of one part */
#define DX_FRAME_TOPIC_BYTES_MAX 255
#define DX_FRAME_KEY_BYTES_MAX 1024
#define DX_FRAME_HEADERS_MAX 64          /* pairs of name and value */
#define DX_FRAME_HEADERS_BYTES_MAX 16384 /* all pairs, with 4 bytes each for the lengths */
#define DX_FRAME_HEADER_NAME_BYTES_MAX 255
#define DX_FRAME_PACKED_EVENTS_MAX 1024 /* in one frame with DX_FRAME_PACKED */

/* ---------------------------------------------------------------------------------------- parts */

/* What a receiver does with a part whose number it does not know: DX_PART_SKIP, or refuse the
 * frame. The choice is the top bit of the number in the frame. */
#define DX_PART_SKIP 0
#define DX_PART_MUST 0x8000

/* X(name, number, DX_PART_SKIP or DX_PART_MUST, least bytes, most bytes): the only list of parts.
 * Numbers never change and are never reused. In a frame parts stand in the order of their numbers,
 * each at most once. What each means: docs/protocol.md. */
#define DX_FRAME_PART_LIST(X)                                                                      \
    X(TOPIC, 1, DX_PART_MUST, 1, DX_FRAME_TOPIC_BYTES_MAX)                                         \
    X(TOPIC_ID, 2, DX_PART_MUST, 8, 8)                                                             \
    X(KEY, 3, DX_PART_SKIP, 1, DX_FRAME_KEY_BYTES_MAX)                                             \
    X(CORRELATION, 4, DX_PART_SKIP, 8, 8)                                                          \
    X(TRACE, 5, DX_PART_SKIP, 25, 25)                                                              \
    X(REPLY_TO, 6, DX_PART_MUST, 1, DX_FRAME_TOPIC_BYTES_MAX)                                      \
    X(TIMEOUT, 7, DX_PART_SKIP, 8, 8)                                                              \
    X(SUBSCRIPTION, 8, DX_PART_MUST, 8, 512)                                                       \
    X(GROUP, 9, DX_PART_MUST, 1, 255)                                                              \
    X(FILTER, 10, DX_PART_MUST, 1, 1024)                                                           \
    X(START, 11, DX_PART_MUST, 16, 16)                                                             \
    X(RANGE, 12, DX_PART_MUST, 16, 16)                                                             \
    X(CREDIT, 13, DX_PART_MUST, 16, 16)                                                            \
    X(ATTEMPT, 14, DX_PART_SKIP, 4, 4)                                                             \
    X(CODE, 15, DX_PART_MUST, 8, 8)                                                                \
    X(BATCH, 16, DX_PART_MUST, 16, 16)                                                             \
    X(CAPABILITIES, 17, DX_PART_MUST, 16, 16)                                                      \
    X(MECHANISM, 18, DX_PART_MUST, 1, 32)                                                          \
    X(NAME, 19, DX_PART_SKIP, 1, 255)                                                              \
    X(NODE, 20, DX_PART_MUST, 8, 8)                                                                \
    X(ADDRESS, 21, DX_PART_SKIP, 1, 255)                                                           \
    X(COUNT, 22, DX_PART_MUST, 8, 8)                                                               \
    X(HEADERS, 31, DX_PART_SKIP, 5, DX_FRAME_HEADERS_BYTES_MAX)

#define DX_FRAME_PART_ENUMERATOR(name, number, must, least, most) DX_PART_##name = (number),
enum dx_frame_part_number { DX_FRAME_PART_LIST(DX_FRAME_PART_ENUMERATOR) };
#undef DX_FRAME_PART_ENUMERATOR

#define DX_FRAME_PARTS 32 /* one more than the highest number of this version */
#define DX_PART_BIT(part) (UINT32_C(1) << (part))

/* The values of the parts that have more than one field. They lie aligned in the frame. */
typedef struct dx_frame_trace { /* DX_PART_TRACE: the fields of a W3C traceparent, version 00 */
    uint8_t trace_id[16];
    uint8_t span_id[8];
    uint8_t flags;
} dx_frame_trace_t;

typedef struct dx_frame_start { /* DX_PART_START: where a subscription begins */
    uint32_t from;              /* a dx_frame_from */
    uint32_t zero;
    uint64_t value; /* a sequence, or ns since 1970 */
} dx_frame_start_t;

enum dx_frame_from {
    DX_FRAME_FROM_LATEST = 0,
    DX_FRAME_FROM_EARLIEST = 1,
    DX_FRAME_FROM_SEQUENCE = 2,
    DX_FRAME_FROM_TIME = 3,
};

typedef struct dx_frame_range { /* DX_PART_RANGE: both ends belong to it */
    uint64_t first;
    uint64_t last;
} dx_frame_range_t;

typedef struct dx_frame_credit { /* DX_PART_CREDIT: positions, counted from the start, not deltas */
    uint64_t events;
    uint64_t bytes;
} dx_frame_credit_t;

typedef struct dx_frame_code { /* DX_PART_CODE */
    int32_t code;              /* a dx_error_code */
    uint32_t number;           /* of what was refused: a type, a part, a version; else 0 */
} dx_frame_code_t;

typedef struct dx_frame_batch_info { /* DX_PART_BATCH */
    uint32_t codec;                  /* a dx_codec */
    uint32_t count;                  /* frames */
    uint32_t raw_bytes;              /* of the frames, before compression */
    uint32_t zero;
} dx_frame_batch_info_t;

typedef struct dx_frame_capabilities { /* DX_PART_CAPABILITIES */
    uint64_t bits;
    uint32_t frame_bytes_max; /* what its sender accepts */
    uint16_t version_min;     /* versions of the frame that its sender reads */
    uint16_t version_max;
} dx_frame_capabilities_t;

/* ---------------------------------------------------------------------------------------- types */

enum dx_frame_payload { DX_PAYLOAD_NONE, DX_PAYLOAD_ANY, DX_PAYLOAD_SOME };

#define DX_PARTS_NOTHING 0
#define DX_PARTS_TOPIC (DX_PART_BIT(DX_PART_TOPIC) | DX_PART_BIT(DX_PART_TOPIC_ID))

/* X(name, number, all of these parts, at least one of these, payload): the only list of types, and
 * what each must carry. Any other known part may be there too. Numbers never change and are never
 * reused: 1-15 connection, 16-31 events, 32-47 topics, 64-79 consensus, 80-95 membership, 96-111
 * workflows (none yet), 240-255 never given, for experiments. */
#define DX_FRAME_TYPE_LIST(X)                                                                      \
    X(HELLO, 1, DX_PART_BIT(DX_PART_CAPABILITIES), DX_PARTS_NOTHING, DX_PAYLOAD_ANY)               \
    X(WELCOME, 2, DX_PART_BIT(DX_PART_CAPABILITIES), DX_PARTS_NOTHING, DX_PAYLOAD_ANY)             \
    X(AUTH, 3, DX_PART_BIT(DX_PART_MECHANISM), DX_PARTS_NOTHING, DX_PAYLOAD_ANY)                   \
    X(PING, 4, DX_PARTS_NOTHING, DX_PARTS_NOTHING, DX_PAYLOAD_ANY)                                 \
    X(PONG, 5, DX_PARTS_NOTHING, DX_PARTS_NOTHING, DX_PAYLOAD_ANY)                                 \
    X(CREDIT, 6, DX_PART_BIT(DX_PART_CREDIT), DX_PARTS_NOTHING, DX_PAYLOAD_NONE)                   \
    X(ERROR, 7, DX_PART_BIT(DX_PART_CODE), DX_PARTS_NOTHING, DX_PAYLOAD_ANY)                       \
    X(GOODBYE, 8, DX_PARTS_NOTHING, DX_PARTS_NOTHING, DX_PAYLOAD_ANY)                              \
    X(MOVED, 9, DX_PART_BIT(DX_PART_ADDRESS), DX_PARTS_NOTHING, DX_PAYLOAD_NONE)                   \
    X(PUBLISH, 16, DX_PARTS_NOTHING, DX_PARTS_TOPIC, DX_PAYLOAD_ANY)                               \
    X(EVENT, 17, DX_PARTS_NOTHING, DX_PARTS_TOPIC, DX_PAYLOAD_ANY)                                 \
    X(DELIVER, 18, DX_PART_BIT(DX_PART_SUBSCRIPTION) | DX_PART_BIT(DX_PART_COUNT),                 \
      DX_PARTS_NOTHING, DX_PAYLOAD_NONE)                                                           \
    X(ACK, 19, DX_PARTS_NOTHING, DX_PARTS_NOTHING, DX_PAYLOAD_NONE)                                \
    X(NACK, 20, DX_PART_BIT(DX_PART_CODE), DX_PARTS_NOTHING, DX_PAYLOAD_ANY)                       \
    X(GAP, 21, DX_PART_BIT(DX_PART_SUBSCRIPTION) | DX_PART_BIT(DX_PART_RANGE), DX_PARTS_NOTHING,   \
      DX_PAYLOAD_NONE)                                                                             \
    X(BATCH, 22, DX_PART_BIT(DX_PART_BATCH), DX_PARTS_NOTHING, DX_PAYLOAD_SOME)                    \
    X(REQUEST, 23, DX_PART_BIT(DX_PART_CORRELATION), DX_PARTS_TOPIC, DX_PAYLOAD_ANY)               \
    X(REPLY, 24, DX_PART_BIT(DX_PART_CORRELATION), DX_PARTS_NOTHING, DX_PAYLOAD_ANY)               \
    X(SUBSCRIBE, 25, DX_PART_BIT(DX_PART_TOPIC) | DX_PART_BIT(DX_PART_SUBSCRIPTION),               \
      DX_PARTS_NOTHING, DX_PAYLOAD_ANY)                                                            \
    X(UNSUBSCRIBE, 26, DX_PART_BIT(DX_PART_SUBSCRIPTION), DX_PARTS_NOTHING, DX_PAYLOAD_NONE)       \
    X(TOPIC_CREATE, 32, DX_PART_BIT(DX_PART_TOPIC), DX_PARTS_NOTHING, DX_PAYLOAD_ANY)              \
    X(TOPIC_CHANGE, 33, DX_PARTS_NOTHING, DX_PARTS_TOPIC, DX_PAYLOAD_ANY)                          \
    X(TOPIC_DELETE, 34, DX_PARTS_NOTHING, DX_PARTS_TOPIC, DX_PAYLOAD_NONE)                         \
    X(TOPIC_LIST, 35, DX_PARTS_NOTHING, DX_PARTS_NOTHING, DX_PAYLOAD_NONE)                         \
    X(TOPIC_STATS, 36, DX_PARTS_NOTHING, DX_PARTS_TOPIC, DX_PAYLOAD_NONE)                          \
    X(TOPIC_INFO, 37, DX_PARTS_NOTHING, DX_PARTS_NOTHING, DX_PAYLOAD_ANY)                          \
    X(ASK, 38, DX_PART_BIT(DX_PART_CORRELATION), DX_PARTS_NOTHING, DX_PAYLOAD_SOME)                \
    X(ANSWER, 39, DX_PART_BIT(DX_PART_CORRELATION), DX_PARTS_NOTHING, DX_PAYLOAD_ANY)              \
    X(RAFT_VOTE, 64, DX_PART_BIT(DX_PART_NODE), DX_PARTS_NOTHING, DX_PAYLOAD_SOME)                 \
    X(RAFT_VOTE_RESULT, 65, DX_PART_BIT(DX_PART_NODE), DX_PARTS_NOTHING, DX_PAYLOAD_SOME)          \
    X(RAFT_APPEND, 66, DX_PART_BIT(DX_PART_NODE), DX_PARTS_NOTHING, DX_PAYLOAD_SOME)               \
    X(RAFT_APPEND_RESULT, 67, DX_PART_BIT(DX_PART_NODE), DX_PARTS_NOTHING, DX_PAYLOAD_SOME)        \
    X(RAFT_SNAPSHOT, 68, DX_PART_BIT(DX_PART_NODE), DX_PARTS_NOTHING, DX_PAYLOAD_SOME)             \
    X(RAFT_SNAPSHOT_RESULT, 69, DX_PART_BIT(DX_PART_NODE), DX_PARTS_NOTHING, DX_PAYLOAD_SOME)      \
    X(RAFT_TIMEOUT_NOW, 70, DX_PART_BIT(DX_PART_NODE), DX_PARTS_NOTHING, DX_PAYLOAD_ANY)           \
    X(RAFT_READ_INDEX, 71, DX_PART_BIT(DX_PART_NODE), DX_PARTS_NOTHING, DX_PAYLOAD_ANY)            \
    X(RAFT_READ_INDEX_RESULT, 72, DX_PART_BIT(DX_PART_NODE), DX_PARTS_NOTHING, DX_PAYLOAD_ANY)     \
    X(HEARTBEAT, 80, DX_PART_BIT(DX_PART_NODE), DX_PARTS_NOTHING, DX_PAYLOAD_ANY)                  \
    X(SUSPECT, 81, DX_PART_BIT(DX_PART_NODE), DX_PARTS_NOTHING, DX_PAYLOAD_SOME)                   \
    X(GOSSIP, 82, DX_PART_BIT(DX_PART_NODE), DX_PARTS_NOTHING, DX_PAYLOAD_SOME)                    \
    X(ROUTES, 83, DX_PART_BIT(DX_PART_NODE), DX_PARTS_NOTHING, DX_PAYLOAD_SOME)

#define DX_FRAME_TYPE_ENUMERATOR(name, number, all, any, payload) DX_FRAME_##name = (number),
enum dx_frame_type { DX_FRAME_TYPE_LIST(DX_FRAME_TYPE_ENUMERATOR) };
#undef DX_FRAME_TYPE_ENUMERATOR

/* Flags. A receiver ignores those of the low byte that it does not know, and refuses a frame with
 * an unknown one of the high byte. */
enum dx_frame_flag {
    DX_FRAME_ACK_WANTED = 0x0001,  /* the publisher waits for an ACK or NACK */
    DX_FRAME_REDELIVERED = 0x0002, /* was given to a subscriber before */
    DX_FRAME_RETRY = 0x0004,       /* the publisher may have sent it before */
    DX_FRAME_TRACED = 0x0008,      /* has a TRACE with the flag "sampled": spans are recorded */
    DX_FRAME_SPREAD = 0x0010,      /* of an event: the topic has a sequence in each shard */
    DX_FRAME_HOLD = 0x0020,   /* of an UNSUBSCRIBE: only give nothing more, answers still count */
    DX_FRAME_MORE = 0x0100,   /* the answer goes on in the next frame with this correlation */
    DX_FRAME_PACKED = 0x0200, /* the payload is several events: docs/protocol.md */
};
#define DX_FRAME_FLAGS_IGNORABLE 0x00ff
#define DX_FRAME_FLAGS_MUST_KNOWN (DX_FRAME_MORE | DX_FRAME_PACKED)

/* "PUBLISH" for DX_FRAME_PUBLISH; "UNKNOWN" for a number that is none.
 * Threads: any. */
DX_API const char *dx_frame_type_name(int type);

/* "TOPIC" for DX_PART_TOPIC; "UNKNOWN" for a number that is none.
 * Threads: any. */
DX_API const char *dx_frame_part_name(int part);

/* --------------------------------------------------------------------------------------- header */

/* The first 64 bytes, as they lie in memory. Fields without a meaning for a type are 0. */
typedef struct dx_frame_header {
    uint32_t length; /* of what is behind the first 8 bytes: 56 + parts + payload + zeros */
    uint8_t version; /* DX_FRAME_VERSION */
    uint8_t type;    /* a dx_frame_type */
    uint16_t flags;  /* dx_frame_flag */
    uint32_t header_checksum; /* low half of XXH3-64 of these 64 bytes, this field taken as 0 */
    uint16_t shard;
    uint16_t layout;            /* bytes of all parts, a multiple of 8, + bytes of the last zeros */
    uint64_t body_checksum;     /* XXH3-64 of all bytes behind the header */
    uint64_t sequence;          /* per topic, from 1, given by the shard's leader; 0 before. Of a
                                 * DELIVER: the first that waits though a later one was given */
    uint64_t timestamp_ns;      /* since 1970, given by the shard's leader; 0 before */
    uint64_t producer_id;       /* 0: not idempotent */
    uint64_t producer_sequence; /* counts the frames of the producer, from 1 */
    uint32_t term;              /* of the leader that gave the sequence */
    uint32_t key_hash;          /* dx_frame_key_hash() of the key, or of the topic without one */
} dx_frame_header_t;

/* The bytes of a whole frame.
 * Threads: any. */
DX_INLINE uint32_t dx_frame_header_frame_bytes(const dx_frame_header_t *header)
{
    return header->length + DX_FRAME_SPAN_BYTES;
}

/* The low half of XXH3-64: how keys and topics are spread over shards and members, in every
 * language.
 * Threads: any. */
DX_API uint32_t dx_frame_key_hash(const void *key, size_t bytes);

/* --------------------------------------------------------------------------------------- making */

/* One part to write. `value` is copied by the encoder. */
typedef struct dx_frame_part {
    uint16_t part; /* a dx_frame_part_number, but DX_PART_HEADERS */
    uint16_t bytes;
    const void *value;
} dx_frame_part_t;

/* A pair of name and value among the headers. Neither ends in NUL. */
typedef struct dx_frame_pair {
    const char *name;
    const void *value;
    uint16_t name_bytes;
    uint16_t value_bytes;
} dx_frame_pair_t;

/* What a frame is to hold. Zero means absent; all of it may be on the stack. */
typedef struct dx_frame_draft {
    uint8_t type;
    uint16_t flags;
    uint16_t shard;
    uint16_t part_count;
    uint16_t header_count;
    uint32_t term;
    uint32_t key_hash;
    uint32_t payload_bytes;
    uint64_t sequence;
    uint64_t timestamp_ns;
    uint64_t producer_id;
    uint64_t producer_sequence;
    const dx_frame_part_t *parts;   /* in the order of their numbers */
    const dx_frame_pair_t *headers; /* any order, which is kept */
} dx_frame_draft_t;

/* A part with these bytes.
 * Threads: any. */
DX_INLINE dx_frame_part_t dx_frame_part_of(int part, const void *value, size_t bytes)
{
    dx_frame_part_t made;
    made.part = (uint16_t)part;
    made.bytes = bytes > DX_FRAME_PART_BYTES_MAX ? UINT16_MAX : (uint16_t)bytes; /* refused later */
    made.value = value;
    return made;
}

/* A part with this text, without its NUL.
 * Threads: any. */
DX_INLINE dx_frame_part_t dx_frame_part_text(int part, const char *text)
{
    return dx_frame_part_of(part, text, strlen(text));
}

/* Checks a draft by the rules of its type and all limits.
 * Returns the bytes of the whole frame, a multiple of 8; DX_EINVAL, DX_ELIMIT, or DX_ENOTSUP for a
 * type or part without a meaning.
 * Threads: any. */
DX_API DX_NODISCARD int64_t dx_frame_bytes(const dx_frame_draft_t *draft, dx_error_t *error);

/* Writes everything but the payload and the checksums, and stores where the payload belongs: room
 * for draft->payload_bytes, aligned to 8. `frame` is aligned to 8 and has `room` bytes.
 * Returns as dx_frame_bytes(); DX_EINVAL also for a bad alignment, DX_ELIMIT for too little room.
 * Threads: any. */
DX_API DX_NODISCARD int64_t dx_frame_begin(void *frame, size_t room, const dx_frame_draft_t *draft,
                                           void **payload_out, dx_error_t *error);

/* Computes both checksums of a frame that dx_frame_begin() began and whose payload is in place.
 * Threads: any. */
DX_API void dx_frame_seal(void *frame);

/* Both, with a copy of `payload` between them (which may be NULL when it is to have no bytes).
 * Returns as dx_frame_begin().
 * Threads: any. */
DX_API DX_NODISCARD int64_t dx_frame_encode(void *frame, size_t room, const dx_frame_draft_t *draft,
                                            const void *payload, dx_error_t *error);

/* What the leader of a shard fills in. */
typedef struct dx_frame_stamp {
    uint8_t type; /* DX_FRAME_EVENT for what was a PUBLISH; 0 keeps the type */
    bool spread;  /* DX_FRAME_SPREAD is set, else cleared */
    uint16_t shard;
    uint32_t term;
    uint64_t sequence;
    uint64_t timestamp_ns;
} dx_frame_stamp_t;

/* Checks the header's checksum, fills in, and computes it again. Touches one cache line. Readers of
 * the frame must not run yet.
 * Returns DX_OK, or DX_ECORRUPT: then nothing was changed.
 * Threads: the frame's only writer. */
DX_API DX_NODISCARD int dx_frame_stamp(void *frame, const dx_frame_stamp_t *stamp);

/* -------------------------------------------------------------------------------------- reading */

/* A frame that was checked: pointers into it, valid as long as its bytes are. */
typedef struct dx_frame_view {
    const dx_frame_header_t *header;
    const void *payload; /* aligned to 8 */
    uint32_t payload_bytes;
    uint32_t bytes;   /* of the whole frame */
    uint32_t parts;   /* bit n: part n is there */
    uint32_t refused; /* after DX_ENOTSUP: the number of the type, part or flags not known */
    uint16_t part_offsets[DX_FRAME_PARTS]; /* in units of 8 bytes from the frame; private */
} dx_frame_view_t;

/* Checks the frame at the start of `buffer`, which is aligned to 8 and may hold more behind it:
 * header checksum, version, lengths, body checksum, parts, the rules of its type; in this order, so
 * that nothing is believed before its checksum was. Copies nothing.
 * Returns DX_OK;
 *   DX_EAGAIN    `bytes` is less than the frame;
 *   DX_ECORRUPT  a checksum is wrong, or the lengths contradict each other;
 *   DX_EVERSION  made by another version; view_out->refused is which;
 *   DX_ELIMIT    longer than DX_FRAME_BYTES_MAX;
 *   DX_ENOTSUP   whole, but its type or a part that must be understood is not known;
 *   DX_EINVAL    whole, but its parts or payload break a rule; or `buffer` is not aligned.
 * After DX_ENOTSUP and DX_EINVAL view_out->bytes says how much to skip, or is 0.
 * Threads: any. */
DX_API DX_NODISCARD int dx_frame_decode(const void *buffer, size_t bytes, dx_frame_view_t *view_out,
                                        dx_error_t *error);

/* The same without both checksums, for a frame in memory that only code of this process has written
 * since it was checked or made: events in a ring.
 * Threads: any. */
DX_API DX_NODISCARD int dx_frame_view(const void *buffer, size_t bytes, dx_frame_view_t *view_out,
                                      dx_error_t *error);

/* Whether a part is there.
 * Threads: any. */
DX_INLINE bool dx_frame_has(const dx_frame_view_t *view, int part)
{
    return (view->parts & DX_PART_BIT(part)) != 0;
}

/* The value of a part, aligned to 8, and its bytes; NULL and 0 when it is not there. A part that is
 * a struct above may be read through a pointer to it.
 * Threads: any. */
DX_INLINE const void *dx_frame_part(const dx_frame_view_t *view, int part, uint32_t *bytes_out)
{
    if (!dx_frame_has(view, part)) {
        *bytes_out = 0;
        return NULL;
    }
    const char *head = (const char *)view->header + (size_t)view->part_offsets[part] * 8;
    uint16_t bytes = 0;
    memcpy(&bytes, head + 2, sizeof bytes);
    *bytes_out = bytes;
    return head + 8;
}

/* The value of a part of 8 bytes, or `otherwise` when it is not there.
 * Threads: any. */
DX_INLINE uint64_t dx_frame_part_u64(const dx_frame_view_t *view, int part, uint64_t otherwise)
{
    uint32_t bytes = 0;
    const void *value = dx_frame_part(view, part, &bytes);
    if (bytes == sizeof otherwise) {
        memcpy(&otherwise, value, sizeof otherwise);
    }
    return otherwise;
}

/* Goes through the headers of a frame. Private. */
typedef struct dx_frame_headers {
    const char *next;
    const char *end;
} dx_frame_headers_t;

/* Before the first header; none when the frame has none.
 * Threads: any. */
DX_INLINE dx_frame_headers_t dx_frame_headers(const dx_frame_view_t *view)
{
    uint32_t bytes = 0;
    dx_frame_headers_t headers;
    headers.next = (const char *)dx_frame_part(view, DX_PART_HEADERS, &bytes);
    headers.end = bytes != 0 ? headers.next + bytes : headers.next;
    return headers;
}

/* The next header, in the order in which they were written; false behind the last.
 * Threads: any. */
DX_INLINE bool dx_frame_headers_next(dx_frame_headers_t *headers, dx_frame_pair_t *pair_out)
{
    if (headers->next == headers->end) {
        return false;
    }
    memcpy(&pair_out->name_bytes, headers->next, sizeof pair_out->name_bytes);
    memcpy(&pair_out->value_bytes, headers->next + 2, sizeof pair_out->value_bytes);
    pair_out->name = headers->next + 4;
    pair_out->value = pair_out->name + pair_out->name_bytes;
    headers->next = pair_out->name + pair_out->name_bytes + pair_out->value_bytes;
    return true;
}

/* The first header of this name, compared byte by byte.
 * Returns DX_OK or DX_ENOTFOUND.
 * Threads: any. */
DX_API int dx_frame_header_find(const dx_frame_view_t *view, const char *name,
                                dx_frame_pair_t *pair_out);

/* --------------------------------------------------------------------------------------- stream */

/* Frames one after the other in what a connection or a file gives, however it is cut. The bytes
 * stay in the caller's buffer; the parser keeps only what it has found out about the frame at its
 * start, so that no byte is looked at twice while the frame is not whole. */
typedef struct dx_frame_stream {
    uint64_t position;        /* bytes of whole frames that lie behind: for messages */
    uint32_t frame_bytes_max; /* the limit of this stream */
    uint32_t needed;          /* after DX_EAGAIN: the frame is whole with this many bytes, or more
                               * is known about it then */
    uint32_t frame_bytes;     /* after anything else: how much of the buffer the frame took */
    int failed;               /* DX_OK, or the error after which nothing can be read any more */
} dx_frame_stream_t;

/* Before the first byte. `frame_bytes_max` 0 means DX_FRAME_BYTES_MAX.
 * Returns DX_OK, or DX_EINVAL for a limit below DX_FRAME_HEADER_BYTES or above DX_FRAME_BYTES_MAX.
 * Threads: owner. */
DX_API DX_NODISCARD int dx_frame_stream_init(dx_frame_stream_t *stream, uint32_t frame_bytes_max);

/* Looks for the next frame at the start of `buffer`, aligned to 8, with `bytes` received bytes.
 * Returns
 *   DX_OK       `view_out` is it; the caller goes on stream->frame_bytes further;
 *   DX_EAGAIN   not whole: call again, with the same start, when stream->needed bytes are there;
 *   DX_ENOTSUP, DX_EINVAL  this frame must be refused, the stream goes on: the caller answers with
 *               an ERROR, and goes on stream->frame_bytes further;
 *   DX_ECORRUPT, DX_EVERSION, DX_ELIMIT  it is not known where the next frame begins, or it may not
 *               be read: end the connection. Every later call returns the same.
 * Threads: owner. */
DX_API DX_NODISCARD int dx_frame_stream_next(dx_frame_stream_t *stream, const void *buffer,
                                             size_t bytes, dx_frame_view_t *view_out,
                                             dx_error_t *error);

DX_EXTERN_C_END

#endif
