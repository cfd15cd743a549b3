/* connection_batch_out.c - what waits to be written, as BATCH frames where that pays.
 *
 * DESIGN
 *
 *     sending ring   head                                                    head + window
 *     before          | a a a a a a a | b b b | a a a a a | PING | a a a a a |
 *     units           |  lz4          | plain | lz4       | plain            |
 *     after                       head| BATCH | b b b |BATCH| PING | a a a a a|
 *
 * Just before a write, and never for its sake alone, the frames that wait (the window) are parted
 * into units: neighbours whose topics compress with the same codec. Each unit is compressed into
 * the loop's memory and put back as one BATCH, as far behind as it goes; so the window stays one
 * piece, its beginning moves forward, and one write sends it. Nothing is kept outside of the ring.
 * A unit that gains nothing stays as it is.
 *
 * Which codec a topic's frames try, if any, a chooser says (chooser.c), one for each of the topics
 * that were sent last. Frames without a topic, and DELIVER, go with their neighbours. Only what
 * connection_batch_in.c takes goes into a BATCH.
 *
 * A lone small frame is never touched: with less than BYTES_MIN waiting nothing is looked at. So a
 * connection with little to do has the latency that it has without compression.
 *
 * INVARIANTS
 *
 *   K1  a window begins and ends between frames, and is written before the next is looked at
 *   K2  frames keep their order
 *   K3  a unit, and what a BATCH comes to, is at most DXI_BATCH_BYTES_MAX; a BATCH is smaller than
 *       the unit, and at most what the peer accepts as a frame
 *   K4  bytes count as written (dxi_batch_out_written()) when all of their window is
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "disruptorx/frame_batch.h"
#include "net/capability.h"
#include "net/connection_internal.h"
#include "wire/batch_internal.h"

#define BYTES_MIN 1024
#define TOPICS 32 /* a power of two: remembered, by the hash of their names */
#define UNITS 64  /* of a window */
#define ZSTD_UNIT_BYTES_MIN (16 * 1024)
#define PLAIN DX_CODEC_NONE
#define UNDECIDED DX_CODEC_COUNT /* nothing but frames that go with their neighbours */

_Static_assert(TOPICS <= 32, "a unit has a bit for each topic");

typedef struct topic {
    uint64_t window; /* in which `codec` was chosen */
    uint32_t hash;
    uint32_t name_bytes; /* 0: free */
    dx_codec_t codec;
    dx_codec_chooser_t chooser;
} topic_t;

typedef struct unit {
    uint32_t bytes;
    uint32_t count;
    uint32_t topics; /* bits */
    int codec;
} unit_t;

struct dxi_batcher {
    dx_codec_options_t options;
    uint64_t window; /* how many there were */
    size_t left;     /* bytes of this one that wait to be written */
    size_t raw;      /* what they came to, before they were packed; 0: they were not */
    uint64_t written;
    uint64_t batches, bytes, raw_bytes;
    uint32_t unit_count;
    unit_t units[UNITS];
    topic_t topics[TOPICS];
};

/* -------------------------------------------------------------------------------------- wishes */

uint64_t dxi_batch_out_capabilities(dx_compression_t compression)
{
    switch (compression) {
    case DX_COMPRESSION_AUTO:
        return DXI_CAPABILITY_LZ4 | DXI_CAPABILITY_ZSTD;
    case DX_COMPRESSION_LZ4:
        return DXI_CAPABILITY_LZ4 | DXI_CAPABILITY_COMPRESS;
    case DX_COMPRESSION_ZSTD:
        return DXI_CAPABILITY_ZSTD | DXI_CAPABILITY_COMPRESS;
    default:
        return 0;
    }
}

/* Whether the peer is on this host, where bytes cost nothing. */
static bool peer_is_near(const dxi_connection_t *connection)
{
    struct sockaddr_storage address = {0};
    socklen_t bytes = sizeof address;
    if (getpeername(connection->fd, (struct sockaddr *)&address, &bytes) != 0) {
        return true;
    }
    if (address.ss_family == AF_INET) {
        const struct sockaddr_in *const v4 = (const void *)&address;
        return ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    }
    if (address.ss_family == AF_INET6) {
        const struct in6_addr *const v6 =
            &((const struct sockaddr_in6 *)(const void *)&address)->sin6_addr;
        return IN6_IS_ADDR_LOOPBACK(v6) ||
               (IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == IN_LOOPBACKNET);
    }
    return true;
}

void dxi_batch_out_open(dxi_connection_t *connection)
{
    const uint64_t own = dxi_batch_out_capabilities(connection->settings->options.compression);
    const uint64_t peer = connection->peer_capabilities;
    const uint64_t codecs = own & peer & (DXI_CAPABILITY_LZ4 | DXI_CAPABILITY_ZSTD);
    const bool asked = ((own | peer) & DXI_CAPABILITY_COMPRESS) != 0;
    if (codecs == 0 || connection->shm != NULL || (!asked && peer_is_near(connection))) {
        return; /* through memory it would only be work */
    }
    dxi_batcher_t *const batcher = dxi_alloc_zeroed(1, sizeof *batcher);
    if (batcher == NULL) {
        DX_LOG_WARN(connection->settings->options.log, "net",
                    "no memory to compress what goes to %s", connection->peer_address);
        return;
    }
    batcher->options = (dx_codec_options_t){.bytes_min = BYTES_MIN,
                                            .no_lz4 = (codecs & DXI_CAPABILITY_LZ4) == 0,
                                            .no_zstd = (codecs & DXI_CAPABILITY_ZSTD) == 0};
    if (batcher->options.no_lz4) {
        batcher->options.zstd_bytes_min = BYTES_MIN; /* nothing stands in for it */
    }
    batcher->left = dxi_send_ring_pending(&connection->out); /* the greeting, perhaps in part */
    batcher->written = connection->bytes_out;
    connection->batcher = batcher;
}

void dxi_batch_out_close(dxi_connection_t *connection)
{
    dxi_free(connection->batcher);
    connection->batcher = NULL;
}

/* --------------------------------------------------------------------------------------- topics */

/* The topic of a frame: its first part. NULL: it has none. */
static const char *topic_of(const dx_frame_header_t *frame, uint32_t *bytes_out)
{
    const char *const part = (const char *)(frame + 1);
    uint16_t words[2];
    if (frame->layout < 8) {
        return NULL;
    }
    memcpy(words, part, sizeof words);
    *bytes_out = words[1];
    return (words[0] & ~DX_PART_MUST) == DX_PART_TOPIC ? part + 8 : NULL;
}

/* The place of a topic; NULL when others that are in this window have it. */
static topic_t *topic_place(dxi_batcher_t *batcher, uint32_t hash, uint32_t name_bytes)
{
    for (uint32_t i = 0; i < 2; i++) {
        topic_t *const at = &batcher->topics[(hash & (TOPICS - 1)) ^ i];
        if (at->hash == hash && at->name_bytes == name_bytes) {
            return at;
        }
    }
    for (uint32_t i = 0; i < 2; i++) {
        topic_t *const at = &batcher->topics[(hash & (TOPICS - 1)) ^ i];
        if (at->window != batcher->window &&
            dx_codec_chooser_init(&at->chooser, &batcher->options, NULL) == DX_OK) {
            at->hash = hash;
            at->name_bytes = name_bytes;
            return at;
        }
    }
    return NULL;
}

/* The topic of a frame and, for the first in a window, its codec. */
static topic_t *topic_find(dxi_batcher_t *batcher, const char *name, uint32_t name_bytes,
                           uint32_t window_bytes)
{
    topic_t *const topic = topic_place(batcher, dx_frame_key_hash(name, name_bytes), name_bytes);
    if (topic != NULL && topic->window != batcher->window) {
        topic->window = batcher->window;
        topic->codec = dx_codec_choose(&topic->chooser, window_bytes);
    }
    return topic;
}

/* ---------------------------------------------------------------------------------------- units */

/* What goes into a BATCH: see connection_batch_in.c. */
static bool may_be_packed(uint8_t type)
{
    return (type >= DX_FRAME_PUBLISH && type <= DX_FRAME_REPLY && type != DX_FRAME_BATCH) ||
           type == DX_FRAME_CREDIT;
}

/* The frames of the window, from one to the next. */
typedef struct walk {
    dxi_batcher_t *batcher;
    const char *name; /* the last topic, so that it is not looked for again and again */
    uint32_t name_bytes;
    topic_t *topic;
    uint32_t window_bytes;
} walk_t;

/* The codec of a frame, and the bit of its topic. */
static int frame_codec(walk_t *walk, const dx_frame_header_t *frame, uint32_t bytes,
                       uint32_t *bit_out)
{
    uint32_t name_bytes = 0;
    *bit_out = 0;
    if (!may_be_packed(frame->type) || bytes > DXI_BATCH_BYTES_MAX) {
        return PLAIN;
    }
    const char *const name = topic_of(frame, &name_bytes);
    if (name == NULL) {
        return UNDECIDED;
    }
    if (walk->name == NULL || walk->name_bytes != name_bytes ||
        memcmp(walk->name, name, name_bytes) != 0) {
        walk->name = name;
        walk->name_bytes = name_bytes;
        walk->topic = topic_find(walk->batcher, name, name_bytes, walk->window_bytes);
    }
    if (walk->topic == NULL) {
        return PLAIN;
    }
    *bit_out = UINT32_C(1) << (walk->topic - walk->batcher->topics);
    return (int)walk->topic->codec;
}

/* Adds a frame to the last unit, or begins another. False: the window is full. */
static bool unit_add(dxi_batcher_t *batcher, int codec, uint32_t bytes, uint32_t bit)
{
    unit_t *unit = batcher->unit_count != 0 ? &batcher->units[batcher->unit_count - 1] : NULL;
    const bool fits = unit != NULL && bytes <= DXI_BATCH_BYTES_MAX - unit->bytes;
    if (!fits || (unit->codec != codec && unit->codec != UNDECIDED && codec != UNDECIDED)) {
        if (batcher->unit_count == UNITS) {
            return false;
        }
        unit = &batcher->units[batcher->unit_count++];
        *unit = (unit_t){.codec = codec};
    }
    unit->codec = unit->codec == UNDECIDED ? codec : unit->codec;
    unit->bytes += bytes;
    unit->count++;
    unit->topics |= bit;
    return true;
}

/* Parts what waits into units. Returns the bytes of the window (K1). */
static size_t window_part(dxi_batcher_t *batcher, const char *from, size_t bytes)
{
    batcher->window++;
    batcher->unit_count = 0;
    const uint32_t window_bytes =
        bytes < DXI_BATCH_BYTES_MAX ? (uint32_t)bytes : DXI_BATCH_BYTES_MAX;
    walk_t walk = {.batcher = batcher, .window_bytes = window_bytes};
    size_t at = 0;
    while (at < bytes) {
        const dx_frame_header_t *const frame = (const void *)(from + at);
        const uint32_t frame_bytes = dx_frame_header_frame_bytes(frame);
        uint32_t bit = 0;
        if (at != 0 && at + frame_bytes > DXI_BATCH_BYTES_MAX) {
            break;
        }
        const int codec = frame_codec(&walk, frame, frame_bytes, &bit);
        if (!unit_add(batcher, codec, frame_bytes, bit)) {
            break;
        }
        at += frame_bytes;
    }
    assert(at != 0 && at <= bytes); /* K1 */
    return at;
}

/* -------------------------------------------------------------------------------------- packing */

static void unit_learn(dxi_batcher_t *batcher, const unit_t *unit, dx_codec_t codec, uint32_t bytes)
{
    for (uint32_t left = unit->topics; left != 0; left &= left - 1) {
        dx_codec_learn(&batcher->topics[__builtin_ctz(left)].chooser, codec, unit->bytes, bytes);
    }
}

/* The unit as a BATCH. Returns its bytes, or 0 when it stays as it is (K3). */
static uint32_t unit_pack(dxi_connection_t *connection, dx_frame_batch_t *batch, const unit_t *unit,
                          const char *frames, const void **frame_out)
{
    dxi_batcher_t *const batcher = connection->batcher;
    dx_codec_t codec = (dx_codec_t)unit->codec;
    if (codec == DX_CODEC_ZSTD && !batcher->options.no_lz4 && unit->bytes < ZSTD_UNIT_BYTES_MIN) {
        codec = DX_CODEC_LZ4;
    }
    uint32_t room = unit->bytes - DX_FRAME_ALIGN;
    room = room < connection->peer_frame_bytes_max ? room : connection->peer_frame_bytes_max;
    const uint32_t bytes =
        dxi_frame_batch_pack(batch, codec, frames, unit->bytes, unit->count, room, frame_out);
    unit_learn(batcher, unit, codec, bytes != 0 ? bytes : unit->bytes);
    return bytes;
}

/* Packs the units of a window from the last to the first. Returns how many bytes that saves. */
static size_t window_pack(dxi_connection_t *connection, dx_frame_batch_t *batch, char *from,
                          size_t window_bytes)
{
    dxi_batcher_t *const batcher = connection->batcher;
    char *to = from + window_bytes;
    char *at = to;
    for (uint32_t i = batcher->unit_count; i-- != 0;) {
        const unit_t *const unit = &batcher->units[i];
        const void *frame = NULL;
        at -= unit->bytes;
        const bool tried =
            unit->codec != PLAIN && unit->codec != UNDECIDED && unit->bytes >= BYTES_MIN;
        const uint32_t bytes = tried ? unit_pack(connection, batch, unit, at, &frame) : 0;
        if (bytes != 0) {
            to -= bytes;
            memcpy(to, frame, bytes);
            batcher->batches++;
            batcher->bytes += bytes;
            batcher->raw_bytes += unit->bytes;
        } else {
            to -= unit->bytes;
            if (to != at) {
                memmove(to, at, unit->bytes);
            }
        }
    }
    assert(at == from && to >= from);
    return (size_t)(to - from);
}

/* Whether any unit is worth a try. */
static bool window_may_gain(const dxi_batcher_t *batcher)
{
    for (uint32_t i = 0; i < batcher->unit_count; i++) {
        const unit_t *const unit = &batcher->units[i];
        if (unit->codec != PLAIN && unit->codec != UNDECIDED && unit->bytes >= BYTES_MIN) {
            return true;
        }
    }
    return false;
}

size_t dxi_batch_out_next(dxi_connection_t *connection, size_t bytes)
{
    dxi_batcher_t *const batcher = connection->batcher;
    if (batcher->left != 0) {
        assert(batcher->left <= bytes);
        return batcher->left;
    }
    batcher->left = bytes;
    batcher->raw = 0;
    if (bytes < BYTES_MIN) {
        if (connection->passing_count != 0 && connection->passing_at == connection->out.head) {
            /* A header, with descriptors; the rest of its frame follows as it is (K1). */
            const void *const frame = dxi_send_ring_head(&connection->out);
            batcher->left = dx_frame_header_frame_bytes(frame);
        }
        return bytes;
    }
    char *const from = (char *)(uintptr_t)dxi_send_ring_head(&connection->out);
    batcher->left = window_part(batcher, from, bytes);
    dx_frame_batch_t *const batch =
        window_may_gain(batcher) ? dxi_loop_batch_take(connection->loop) : NULL;
    if (batch == NULL) {
        return batcher->left;
    }
    const size_t saved = window_pack(connection, batch, from, batcher->left);
    dxi_loop_batch_give(connection->loop, batch);
    if (saved != 0) {
        batcher->raw = batcher->left;
        batcher->left -= saved;
        dxi_send_ring_take(&connection->out, saved);
    }
    return batcher->left;
}

/* -------------------------------------------------------------------------------------- figures */

void dxi_batch_out_took(dxi_connection_t *connection, size_t bytes)
{
    dxi_batcher_t *const batcher = connection->batcher;
    assert(bytes <= batcher->left);
    batcher->left -= bytes;
    if (batcher->raw == 0) {
        batcher->written += bytes;
    } else if (batcher->left == 0) {
        batcher->written += batcher->raw; /* K4 */
    }
}

uint64_t dxi_batch_out_written(const dxi_connection_t *connection)
{
    return connection->batcher != NULL ? connection->batcher->written : connection->bytes_out;
}

void dxi_batch_out_info(const dxi_connection_t *connection, dxi_connection_info_t *info_out)
{
    info_out->batches_in = connection->batches_in;
    info_out->batch_bytes_in = connection->batch_bytes_in;
    info_out->batch_raw_bytes_in = connection->batch_raw_bytes_in;
    if (connection->batcher != NULL) {
        info_out->batches_out = connection->batcher->batches;
        info_out->batch_bytes_out = connection->batcher->bytes;
        info_out->batch_raw_bytes_out = connection->batcher->raw_bytes;
    }
}

dxi_connection_traffic_t dxi_connection_traffic(const dxi_connection_t *connection)
{
    return (dxi_connection_traffic_t){
        .bytes_in = connection->bytes_in,
        .bytes_out = connection->bytes_out,
        .batches_in = connection->batches_in,
        .batches_out = connection->batcher != NULL ? connection->batcher->batches : 0};
}
