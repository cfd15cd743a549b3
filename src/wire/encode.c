/* encode.c - a draft becomes a frame, in place.
 *
 * DESIGN
 *
 *     dx_frame_bytes()   check the draft, add up      -> the caller claims a span of that size
 *     dx_frame_begin()   header without checksums, parts, zeros
 *                        the caller fills the payload where it will stay
 *     dx_frame_seal()    body checksum, then header checksum, which covers it
 *     dx_frame_stamp()   later, by the leader: fields of the header, header checksum again
 *
 * INVARIANTS
 *
 *   E1  every byte of a frame is determined by its draft and payload: zeros between parts and at
 *       the end are written, so nothing of what the memory held before leaves the process
 *   E2  what dx_frame_begin() accepts dx_frame_decode() accepts: both ask rules.c
 *   E3  the body checksum is never computed again; the header checksum only by who has checked it
 *   E4  nothing is written when an error is returned
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>

#include "base/fail.h"
#include "wire/frame_internal.h"

/* What a draft comes to. */
typedef struct measure {
    uint32_t parts;        /* their bits */
    uint32_t parts_bytes;  /* of all of them, with heads and zeros */
    uint32_t header_bytes; /* of the value of HEADERS */
    uint32_t frame_bytes;
} measure_t;

DX_INLINE int part_measure(const dx_frame_part_t *part, int last, measure_t *m, dx_error_t *error)
{
    const int number = part->part;
    const dxi_part_rule_t *const rule = &dxi_part_rules[number % DX_FRAME_PARTS];
    if (DX_UNLIKELY(number >= DX_FRAME_PARTS || rule->name == NULL)) {
        return dxi_fail(error, DX_ENOTSUP, "part %d is not known", number);
    }
    if (DX_UNLIKELY(number == DX_PART_HEADERS)) {
        return dxi_fail(error, DX_EINVAL, "part HEADERS is among the parts; give it as headers");
    }
    if (DX_UNLIKELY(number <= last)) {
        return dxi_fail(error, DX_EINVAL, "part %s stands behind part %s, must stand before it",
                        rule->name, dx_frame_part_name(last));
    }
    if (DX_UNLIKELY(part->bytes < rule->least || part->bytes > rule->most)) {
        return dxi_fail(error, DX_ELIMIT, "part %s has %u bytes, must have from %u to %u",
                        rule->name, part->bytes, rule->least, rule->most);
    }
    if (DX_UNLIKELY(part->value == NULL)) {
        return dxi_fail(error, DX_EINVAL, "the value of part %s is NULL", rule->name);
    }
    m->parts |= DX_PART_BIT(number);
    m->parts_bytes += DXI_PART_HEAD_BYTES + dxi_align8(part->bytes);
    return dxi_part_value_check(number, part->value, part->bytes, error);
}

DX_NOINLINE static int headers_measure(const dx_frame_draft_t *draft, measure_t *m,
                                       dx_error_t *error)
{
    if (draft->header_count > DX_FRAME_HEADERS_MAX) {
        return dxi_fail(error, DX_ELIMIT, "there are %u headers, must be at most %d",
                        draft->header_count, DX_FRAME_HEADERS_MAX);
    }
    if (draft->headers == NULL) {
        return dxi_fail(error, DX_EINVAL, "headers is NULL, header_count is %u",
                        draft->header_count);
    }
    for (uint32_t i = 0; i < draft->header_count; i++) {
        const dx_frame_pair_t *const pair = &draft->headers[i];
        if (pair->name_bytes < 1 || pair->name_bytes > DX_FRAME_HEADER_NAME_BYTES_MAX) {
            return dxi_fail(error, DX_EINVAL,
                            "the name of header %u has %u bytes, must have from 1 to %d", i,
                            pair->name_bytes, DX_FRAME_HEADER_NAME_BYTES_MAX);
        }
        if (pair->name == NULL || (pair->value == NULL && pair->value_bytes != 0)) {
            return dxi_fail(error, DX_EINVAL, "the name or the value of header %u is NULL", i);
        }
        m->header_bytes += 4u + pair->name_bytes + pair->value_bytes;
    }
    if (m->header_bytes > DX_FRAME_HEADERS_BYTES_MAX) {
        return dxi_fail(error, DX_ELIMIT, "the headers take %u bytes, must take at most %d",
                        m->header_bytes, DX_FRAME_HEADERS_BYTES_MAX);
    }
    m->parts |= DX_PART_BIT(DX_PART_HEADERS);
    m->parts_bytes += DXI_PART_HEAD_BYTES + dxi_align8(m->header_bytes);
    return DX_OK;
}

/* Checks a draft and adds up. */
DX_INLINE int draft_measure(const dx_frame_draft_t *draft, measure_t *m, dx_error_t *error)
{
    *m = (measure_t){.parts = 0};
    int last = 0;
    for (uint32_t i = 0; i < draft->part_count; i++) {
        const int code = part_measure(&draft->parts[i], last, m, error);
        if (DX_UNLIKELY(code != DX_OK)) {
            return code;
        }
        last = draft->parts[i].part;
    }
    if (draft->header_count != 0) {
        const int code = headers_measure(draft, m, error);
        if (DX_UNLIKELY(code != DX_OK)) {
            return code;
        }
    }
    const int code = dxi_frame_rules_check(draft->type, m->parts, draft->payload_bytes, error);
    if (DX_UNLIKELY(code != DX_OK)) {
        return code;
    }
    const uint32_t unknown =
        draft->flags & ~(uint32_t)DX_FRAME_FLAGS_MUST_KNOWN & ~(uint32_t)DX_FRAME_FLAGS_IGNORABLE;
    if (DX_UNLIKELY(unknown != 0)) {
        return dxi_fail(error, DX_ENOTSUP, "flags 0x%04x are not known", unknown);
    }
    const uint64_t bytes = DX_FRAME_HEADER_BYTES + (uint64_t)m->parts_bytes +
                           (((uint64_t)draft->payload_bytes + 7) & ~UINT64_C(7));
    if (DX_UNLIKELY(bytes > DX_FRAME_BYTES_MAX)) {
        return dxi_fail(error, DX_ELIMIT, "the frame takes %llu bytes, must take at most %d",
                        (unsigned long long)bytes, DX_FRAME_BYTES_MAX);
    }
    m->frame_bytes = (uint32_t)bytes;
    return DX_OK;
}

int64_t dx_frame_bytes(const dx_frame_draft_t *draft, dx_error_t *error)
{
    measure_t m;
    const int code = draft_measure(draft, &m, error);
    return code != DX_OK ? (int64_t)code : (int64_t)m.frame_bytes;
}

DX_INLINE char *part_head_write(char *at, uint32_t wire_number, uint32_t bytes)
{
    dxi_store64(at, wire_number | (uint64_t)bytes << 16);
    return at + DXI_PART_HEAD_BYTES;
}

/* Copies `bytes`, and zeros up to the next multiple of 8 (E1), in whole words: the checksum, which
 * reads them at once, then waits for no store that it has to put together. Returns the end. */
DX_INLINE char *words_write(char *at, const char *value, uint32_t bytes)
{
    const uint32_t rest = bytes & 7u;
    const char *const end = value + (bytes - rest);
    for (; value != end; value += 8, at += 8) {
        dxi_store64(at, dxi_load64(value));
    }
    if (rest == 0) {
        return at;
    }
    uint64_t last = 0;
    if (bytes >= 8) {
        last = dxi_load64(value + rest - 8) >> (64 - 8 * rest);
    } else {
        for (uint32_t i = 0; i < rest; i++) {
            last |= (uint64_t)(uint8_t)value[i] << (8 * i);
        }
    }
    dxi_store64(at, last);
    return at + 8;
}

/* The pairs, and zeros up to the next multiple of 8. Returns the end. */
static char *pairs_write(char *at, const dx_frame_draft_t *draft)
{
    for (uint32_t i = 0; i < draft->header_count; i++) {
        const dx_frame_pair_t *const pair = &draft->headers[i];
        const uint16_t lengths[2] = {pair->name_bytes, pair->value_bytes};
        memcpy(at, lengths, sizeof lengths);
        at += sizeof lengths;
        memcpy(at, pair->name, pair->name_bytes);
        at += pair->name_bytes;
        if (pair->value_bytes != 0) {
            memcpy(at, pair->value, pair->value_bytes);
            at += pair->value_bytes;
        }
    }
    while (((uintptr_t)at & (DX_FRAME_ALIGN - 1)) != 0) {
        *at++ = 0;
    }
    return at;
}

/* Writes a frame but its payload, which it leaves as it is, and its checksums. Returns where the
 * payload belongs. */
DX_INLINE char *frame_write(char *frame, const dx_frame_draft_t *draft, const measure_t *m)
{
    const uint32_t zeros = dxi_align8(draft->payload_bytes) - draft->payload_bytes;
    dx_frame_header_t *const header = (dx_frame_header_t *)(void *)frame;
    dxi_store64(frame, (uint64_t)(m->frame_bytes - DX_FRAME_SPAN_BYTES) |
                           (uint64_t)DX_FRAME_VERSION << 32 | (uint64_t)draft->type << 40 |
                           (uint64_t)draft->flags << 48);
    dxi_store64(&header->header_checksum,
                (uint64_t)draft->shard << 32 | (uint64_t)(m->parts_bytes | zeros) << 48);
    header->body_checksum = 0;
    header->sequence = draft->sequence;
    header->timestamp_ns = draft->timestamp_ns;
    header->producer_id = draft->producer_id;
    header->producer_sequence = draft->producer_sequence;
    dxi_store64(&header->term, (uint64_t)draft->term | (uint64_t)draft->key_hash << 32);

    char *at = frame + DX_FRAME_HEADER_BYTES;
    for (uint32_t i = 0; i < draft->part_count; i++) {
        const dx_frame_part_t *const part = &draft->parts[i];
        at = part_head_write(at, dxi_part_rules[part->part].number, part->bytes);
        at = words_write(at, part->value, part->bytes);
    }
    if (draft->header_count != 0) {
        at = part_head_write(at, dxi_part_rules[DX_PART_HEADERS].number, m->header_bytes);
        at = pairs_write(at, draft);
    }
    if (zeros != 0) { /* the payload's own bytes stay: they may be there already */
        char *const end = frame + m->frame_bytes - 8;
        dxi_store64(end, dxi_load64(end) & (UINT64_MAX >> (8 * zeros)));
    }
    return at;
}

/* dx_frame_begin(), with the place of the payload as its result: NULL after an error, whose code is
 * in `bytes_out`. */
DX_INLINE char *frame_begin(void *frame, size_t room, const dx_frame_draft_t *draft,
                            int64_t *bytes_out, dx_error_t *error)
{
    measure_t m;
    const int code = draft_measure(draft, &m, error);
    if (DX_UNLIKELY(code != DX_OK)) {
        *bytes_out = code;
        return NULL;
    }
    if (DX_UNLIKELY(((uintptr_t)frame & (DX_FRAME_ALIGN - 1)) != 0)) {
        *bytes_out =
            dxi_fail(error, DX_EINVAL, "the frame is not aligned to %d bytes", DX_FRAME_ALIGN);
        return NULL;
    }
    if (DX_UNLIKELY(room < m.frame_bytes)) {
        *bytes_out = dxi_fail(error, DX_ELIMIT, "the frame takes %u bytes, there is room for %zu",
                              m.frame_bytes, room);
        return NULL;
    }
    *bytes_out = m.frame_bytes;
    return frame_write(frame, draft, &m);
}

int64_t dx_frame_begin(void *frame, size_t room, const dx_frame_draft_t *draft, void **payload_out,
                       dx_error_t *error)
{
    int64_t bytes = 0;
    *payload_out = frame_begin(frame, room, draft, &bytes, error);
    return bytes;
}

void dx_frame_seal(void *frame)
{
    char *const bytes = frame;
    dx_frame_header_t *const header = frame;
    assert(header->version == DX_FRAME_VERSION && header->length % 8 == 0 &&
           "no frame was begun here");
    const uint64_t body =
        dxi_body_checksum(bytes + DX_FRAME_HEADER_BYTES,
                          header->length - (DX_FRAME_HEADER_BYTES - DX_FRAME_SPAN_BYTES));
    dxi_header_words_t words = dxi_header_load(bytes);
    words.body_checksum = body;
    header->body_checksum = body;
    header->header_checksum = dxi_header_checksum(&words);
}

int64_t dx_frame_encode(void *frame, size_t room, const dx_frame_draft_t *draft,
                        const void *payload, dx_error_t *error)
{
    int64_t bytes = 0;
    char *const place = frame_begin(frame, room, draft, &bytes, error);
    if (DX_UNLIKELY(place == NULL)) {
        return bytes;
    }
    if (draft->payload_bytes != 0) {
        memcpy(place, payload, draft->payload_bytes);
    }
    dx_frame_seal(frame);
    return bytes;
}

int dx_frame_stamp(void *frame, const dx_frame_stamp_t *stamp)
{
    dx_frame_header_t *const header = frame;
    dxi_header_words_t words = dxi_header_load(frame);
    if (DX_UNLIKELY((uint32_t)words.checksum != dxi_header_checksum(&words))) {
        return DX_ECORRUPT; /* a new checksum would hide it (E3) */
    }
    if (stamp->type != 0) {
        words.length = (words.length & ~(UINT64_C(0xff) << 40)) | (uint64_t)stamp->type << 40;
    }
    words.length = (words.length & ~((uint64_t)DX_FRAME_SPREAD << 48)) |
                   (stamp->spread ? (uint64_t)DX_FRAME_SPREAD << 48 : 0);
    words.checksum = (words.checksum & UINT64_C(0xffff) << 48) | (uint64_t)stamp->shard << 32;
    words.sequence = stamp->sequence;
    words.timestamp_ns = stamp->timestamp_ns;
    words.term = (words.term & ~(uint64_t)UINT32_MAX) | stamp->term;
    words.checksum |= dxi_header_checksum(&words);
    dxi_store64(frame, words.length);
    dxi_store64(&header->header_checksum, words.checksum);
    dxi_store64(&header->sequence, words.sequence);
    dxi_store64(&header->timestamp_ns, words.timestamp_ns);
    dxi_store64(&header->term, words.term);
    return DX_OK;
}
