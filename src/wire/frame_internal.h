/* wire/frame_internal.h - what the files of this layer share: the two tables, the two checksums,
 * and the header as eight words.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_WIRE_FRAME_INTERNAL_H
#define DXI_WIRE_FRAME_INTERNAL_H

#include "disruptorx/frame.h"

/* ---------------------------------------------------------------------------------- the tables */

typedef struct dxi_part_rule {
    const char *name; /* NULL: no part has this number */
    uint16_t number;  /* as it stands in a frame: with DX_PART_MUST where the list says so */
    uint16_t least;
    uint16_t most;
} dxi_part_rule_t;

typedef struct dxi_type_rule {
    const char *name; /* NULL: no type has this number */
    uint32_t all;
    uint32_t any;
    uint32_t payload; /* a dx_frame_payload */
} dxi_type_rule_t;

extern const dxi_part_rule_t dxi_part_rules[DX_FRAME_PARTS];
extern const dxi_type_rule_t dxi_type_rules[256];

/* The sentence for what dxi_frame_rules_check() refuses, and its code.
 * Threads: any. */
int dxi_frame_rules_refuse(int type, uint32_t parts, uint32_t payload_bytes, dx_error_t *error);

/* Whether these parts and this payload are what the type must carry: the one check of the encoder
 * and the decoder.
 * Returns DX_OK, DX_ENOTSUP for an unknown type, DX_EINVAL.
 * Threads: any. */
DX_INLINE int dxi_frame_rules_check(int type, uint32_t parts, uint32_t payload_bytes,
                                    dx_error_t *error)
{
    const dxi_type_rule_t *const rule = &dxi_type_rules[type & 0xff];
    if (DX_UNLIKELY(rule->name == NULL || (rule->all & ~parts) != 0 ||
                    (rule->any != 0 && (rule->any & parts) == 0) ||
                    (rule->payload != DX_PAYLOAD_ANY &&
                     (rule->payload == DX_PAYLOAD_NONE) != (payload_bytes == 0)))) {
        return dxi_frame_rules_refuse(type, parts, payload_bytes, error);
    }
    return DX_OK;
}

/* Whether a value has the form that the list can't say: whole numbers in SUBSCRIPTION, pairs in
 * HEADERS. `bytes` is within the part's limits already.
 * Returns DX_OK, DX_EINVAL.
 * Threads: any. */
int dxi_part_form_check(int part, const void *value, uint32_t bytes, dx_error_t *error);

DX_INLINE int dxi_part_value_check(int part, const void *value, uint32_t bytes, dx_error_t *error)
{
    if (DX_LIKELY(part != DX_PART_SUBSCRIPTION && part != DX_PART_HEADERS)) {
        return DX_OK;
    }
    return dxi_part_form_check(part, value, bytes, error);
}

/* ------------------------------------------------------------------------------- the checksums */

/* The header as words in registers. */
typedef struct dxi_header_words {
    uint64_t length;   /* length, version, type, flags */
    uint64_t checksum; /* header_checksum, shard, layout */
    uint64_t body_checksum;
    uint64_t sequence;
    uint64_t timestamp_ns;
    uint64_t producer_id;
    uint64_t producer_sequence;
    uint64_t term; /* term, key_hash */
} dxi_header_words_t;

/* One step of XXH3 for 16 bytes, given as two words that are already mixed with its secret. */
DX_INLINE uint64_t dxi_fold_product(uint64_t left, uint64_t right)
{
    __extension__ typedef unsigned __int128 product_t;
    const product_t product = (product_t)left * right;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* The checksum of a header given as its words: the low half of XXH3-64 of the 64 bytes, those of
 * the checksum taken as 0. This is XXH3 for exactly this length, with the words of its secret at
 * offsets 0 to 56 as constants: a third of the time of the general function, most of all because
 * the words are never stored and loaded again. Equal to the library's: tests/unit/test_frame.c.
 * Threads: any. */
DX_INLINE uint32_t dxi_header_checksum(const dxi_header_words_t *w)
{
    uint64_t hash = UINT64_C(64) * UINT64_C(0x9E3779B185EBCA87);
    hash += dxi_fold_product(w->body_checksum ^ UINT64_C(0x78e5c0cc4ee679cb),
                             w->sequence ^ UINT64_C(0x2172ffcc7dd05a82));
    hash += dxi_fold_product(w->timestamp_ns ^ UINT64_C(0x8e2443f7744608b8),
                             w->producer_id ^ UINT64_C(0x4c263a81e69035e0));
    hash += dxi_fold_product(w->length ^ UINT64_C(0xbe4ba423396cfeb8),
                             (w->checksum & ~(uint64_t)UINT32_MAX) ^ UINT64_C(0x1cad21f72c81017c));
    hash += dxi_fold_product(w->producer_sequence ^ UINT64_C(0xdb979083e96dd4de),
                             w->term ^ UINT64_C(0x1f67b3b7a4a44072));
    hash ^= hash >> 37;
    hash *= UINT64_C(0x165667919E3779F9);
    return (uint32_t)(hash ^ (hash >> 32));
}

/* The checksum of the bytes behind a header.
 * Threads: any. */
uint64_t dxi_body_checksum(const void *body, size_t bytes);

/* ------------------------------------------------------------------------------- small helpers */

#define DXI_PART_HEAD_BYTES 8
#define DXI_LAYOUT_ZEROS 7u /* the bits of `layout` that count the last zeros */

DX_INLINE uint32_t dxi_align8(uint32_t bytes)
{
    return (bytes + 7u) & ~7u;
}

DX_INLINE uint64_t dxi_load64(const void *from)
{
    uint64_t word = 0;
    memcpy(&word, from, sizeof word);
    return word;
}

DX_INLINE void dxi_store64(void *to, uint64_t word)
{
    memcpy(to, &word, sizeof word);
}

DX_INLINE dxi_header_words_t dxi_header_load(const char *frame)
{
    dxi_header_words_t w;
    w.length = dxi_load64(frame);
    w.checksum = dxi_load64(frame + 8);
    w.body_checksum = dxi_load64(frame + 16);
    w.sequence = dxi_load64(frame + 24);
    w.timestamp_ns = dxi_load64(frame + 32);
    w.producer_id = dxi_load64(frame + 40);
    w.producer_sequence = dxi_load64(frame + 48);
    w.term = dxi_load64(frame + 56);
    return w;
}

/* The first half of dx_frame_decode(): the header alone, of which 64 bytes are there. Stores header
 * and bytes in the view.
 * Threads: any. */
int dxi_frame_header_check(const void *buffer, uint32_t bytes_max, dx_frame_view_t *view_out,
                           dx_error_t *error);

/* The second half: the rest of a frame that is there as a whole.
 * Threads: any. */
int dxi_frame_body_check(dx_frame_view_t *view, dx_error_t *error);

#endif
