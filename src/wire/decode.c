/* decode.c - bytes from anywhere become a view, or a refusal.
 *
 * DESIGN
 *
 * Nothing is believed before its checksum was computed: the 64 bytes of the header first, then its
 * lengths, then, when as many bytes are there, the body, then the numbers in the body. Nothing is
 * copied; a view is pointers and the places of the known parts.
 *
 * INVARIANTS
 *
 *   D1  no byte outside [buffer, buffer + bytes) is read
 *   D2  the body checksum is computed over exactly the bytes that the checked header names
 *   D3  a view that was returned with DX_OK has every part inside the frame, each part's value
 *       within its limits, and the payload between the last part and the zeros
 *   D4  a refusal that leaves the next frame's place known sets view->bytes, every other one
 *       leaves it 0
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/fail.h"
#include "wire/frame_internal.h"
#include "wire/pack.h"

#define FIXED_BYTES (DX_FRAME_HEADER_BYTES - DX_FRAME_SPAN_BYTES) /* of `length`, always there */

/* ------------------------------------------------------------------------------------ sentences */

DX_NOINLINE static int header_corrupt(const dx_frame_header_t *header, uint32_t computed,
                                      dx_error_t *error)
{
    return dxi_fail(error, DX_ECORRUPT,
                    "the header's checksum is 0x%08x, computed is 0x%08x: damaged, or no frame",
                    header->header_checksum, computed);
}

DX_NOINLINE static int body_corrupt(const dx_frame_header_t *header, uint64_t computed,
                                    dx_error_t *error)
{
    return dxi_fail(error, DX_ECORRUPT,
                    "the body's checksum is 0x%016llx, computed is 0x%016llx: damaged",
                    (unsigned long long)header->body_checksum, (unsigned long long)computed);
}

DX_NOINLINE static int version_unknown(dx_frame_view_t *view, dx_error_t *error)
{
    view->refused = view->header->version;
    return dxi_fail(error, DX_EVERSION, "the frame has version %u, this library reads version %d",
                    view->header->version, DX_FRAME_VERSION);
}

DX_NOINLINE static int lengths_wrong(const dx_frame_header_t *header, uint32_t bytes_max,
                                     dx_error_t *error)
{
    if (header->length > bytes_max - DX_FRAME_SPAN_BYTES) {
        return dxi_fail(error, DX_ELIMIT, "the frame takes %llu bytes, must take at most %u",
                        (unsigned long long)header->length + DX_FRAME_SPAN_BYTES, bytes_max);
    }
    return dxi_fail(error, DX_ECORRUPT,
                    "the frame's length is %u and its layout 0x%04x, which contradict each other",
                    header->length, header->layout);
}

DX_NOINLINE static int alignment_wrong(dx_error_t *error)
{
    return dxi_fail(error, DX_EINVAL, "the frame is not aligned to %d bytes", DX_FRAME_ALIGN);
}

DX_NOINLINE static int incomplete(size_t bytes, uint32_t needed, dx_error_t *error)
{
    return dxi_fail(error, DX_EAGAIN, "%zu bytes are there, the frame needs %u", bytes, needed);
}

/* A part that can't be: `number` with its top bit, its `bytes`, and the rule for it or NULL. */
DX_NOINLINE static int part_wrong(uint64_t head, uint32_t last, uint32_t left, dx_error_t *error)
{
    const uint32_t number = head & 0x7fff;
    const uint32_t bytes = (head >> 16) & 0xffff;
    if (head >> 32 != 0) {
        return dxi_fail(error, DX_EINVAL, "part %u has 0x%08x behind its length, must be 0", number,
                        (uint32_t)(head >> 32));
    }
    if (number <= last) {
        return dxi_fail(error, DX_EINVAL, "part %u stands behind part %u, must stand before it",
                        number, last);
    }
    if (DXI_PART_HEAD_BYTES + dxi_align8(bytes) > left) {
        return dxi_fail(error, DX_EINVAL, "part %u has %u bytes, only %u are left for parts",
                        number, bytes, left - DXI_PART_HEAD_BYTES);
    }
    return dxi_fail(error, DX_EINVAL, "part %u is followed by bytes that must be zero", number);
}

DX_NOINLINE static int known_part_wrong(const dxi_part_rule_t *rule, uint32_t wire_number,
                                        uint32_t bytes, dx_error_t *error)
{
    if (wire_number != rule->number) {
        return dxi_fail(error, DX_EINVAL, "part %s has number 0x%04x, must be 0x%04x", rule->name,
                        wire_number, rule->number);
    }
    return dxi_fail(error, DX_EINVAL, "part %s has %u bytes, must have from %u to %u", rule->name,
                    bytes, rule->least, rule->most);
}

/* ---------------------------------------------------------------------------------------- parts */

/* One part of known number: limits, form, and its place in the view. */
static int part_known(dx_frame_view_t *view, const char *at, uint32_t wire_number, uint32_t bytes,
                      dx_error_t *error)
{
    const uint32_t number = wire_number & 0x7fff;
    const dxi_part_rule_t *const rule = &dxi_part_rules[number];
    if (DX_UNLIKELY(wire_number != rule->number || bytes < rule->least || bytes > rule->most)) {
        return known_part_wrong(rule, wire_number, bytes, error);
    }
    const int code = dxi_part_value_check((int)number, at + DXI_PART_HEAD_BYTES, bytes, error);
    if (DX_UNLIKELY(code != DX_OK)) {
        return code;
    }
    view->parts |= DX_PART_BIT(number);
    view->part_offsets[number] = (uint16_t)((size_t)(at - (const char *)view->header) / 8);
    return DX_OK;
}

/* All parts, which take `parts_bytes` (a multiple of 8) behind the header (D3). */
static int parts_check(dx_frame_view_t *view, uint32_t parts_bytes, dx_error_t *error)
{
    const char *at = (const char *)view->header + DX_FRAME_HEADER_BYTES;
    uint32_t last = 0;
    for (uint32_t left = parts_bytes; left != 0;) {
        const uint64_t head = dxi_load64(at); /* `left` is a multiple of 8, so they are there */
        const uint32_t wire_number = head & 0xffff;
        const uint32_t number = head & 0x7fff;
        const uint32_t bytes = (head >> 16) & 0xffff;
        const uint32_t part_bytes = DXI_PART_HEAD_BYTES + dxi_align8(bytes);
        if (DX_UNLIKELY(head >> 32 != 0 || number <= last || part_bytes > left)) {
            return part_wrong(head, last, left, error);
        }
        if ((bytes & 7u) != 0 &&
            DX_UNLIKELY(dxi_load64(at + part_bytes - 8) >> (8 * (bytes & 7u)) != 0)) {
            return part_wrong(head, last, left, error);
        }
        if (DX_LIKELY(number < DX_FRAME_PARTS && dxi_part_rules[number].name != NULL)) {
            const int code = part_known(view, at, wire_number, bytes, error);
            if (DX_UNLIKELY(code != DX_OK)) {
                return code;
            }
        } else if ((wire_number & DX_PART_MUST) != 0) {
            view->refused = number;
            return dxi_fail(error, DX_ENOTSUP, "part %u is not known and must be understood",
                            number);
        }
        last = number;
        at += part_bytes;
        left -= part_bytes;
    }
    return DX_OK;
}

/* The rules of a frame with several events: wire/pack.h, P1 and P2. */
DX_NOINLINE static int packed_check(const dx_frame_view_t *view, dx_error_t *error)
{
    const dx_frame_header_t *const header = view->header;
    if ((header->type != DX_FRAME_PUBLISH && header->type != DX_FRAME_EVENT) ||
        (view->parts & ~DX_PART_BIT(DX_PART_TRACE)) != DX_PART_BIT(DX_PART_TOPIC) ||
        header->producer_id != 0 || (header->flags & DX_FRAME_ACK_WANTED) != 0) {
        return dxi_fail(error, DX_EINVAL,
                        "a packed frame must be a PUBLISH or EVENT with TOPIC, and at most TRACE, "
                        "without a producer and without ACK_WANTED");
    }
    return dxi_pack_check(view->payload, view->payload_bytes, error);
}

/* What stands behind the header, whose checksum is right where there was one to check. */
DX_INLINE int content_check(dx_frame_view_t *view, dx_error_t *error)
{
    const dx_frame_header_t *const header = view->header;
    const uint32_t zeros = header->layout & DXI_LAYOUT_ZEROS;
    const uint32_t parts_bytes = header->layout - zeros;
    const uint32_t frame_bytes = dx_frame_header_frame_bytes(header);
    const char *const frame = (const char *)header;

    view->payload = frame + DX_FRAME_HEADER_BYTES + parts_bytes;
    view->payload_bytes = frame_bytes - DX_FRAME_HEADER_BYTES - parts_bytes - zeros;
    view->bytes = frame_bytes; /* D4: from here on the frame can be skipped */

    const uint32_t unknown =
        header->flags & ~(uint32_t)DX_FRAME_FLAGS_IGNORABLE & ~(uint32_t)DX_FRAME_FLAGS_MUST_KNOWN;
    if (DX_UNLIKELY(unknown != 0)) {
        view->refused = unknown;
        return dxi_fail(error, DX_ENOTSUP, "flags 0x%04x are not known and must be understood",
                        unknown);
    }
    if (DX_UNLIKELY(dxi_type_rules[header->type].name == NULL)) {
        view->refused = header->type; /* before its parts: they may be as new as it is */
        return dxi_fail(error, DX_ENOTSUP, "frame type %u is not known", header->type);
    }
    if (zeros != 0 && DX_UNLIKELY(dxi_load64(frame + frame_bytes - 8) >> (64 - 8 * zeros) != 0)) {
        return dxi_fail(error, DX_EINVAL, "the payload is followed by bytes that must be zero");
    }
    const int code = parts_check(view, parts_bytes, error);
    if (DX_UNLIKELY(code != DX_OK)) {
        return code;
    }
    if (dxi_frame_packed(header)) {
        return packed_check(view, error);
    }
    return dxi_frame_rules_check(header->type, view->parts, view->payload_bytes, error);
}

/* --------------------------------------------------------------------------------------- header */

/* Version and lengths of a header that can be believed. */
DX_INLINE int lengths_check(dx_frame_view_t *view, uint32_t bytes_max, dx_error_t *error)
{
    const dx_frame_header_t *const header = view->header;
    if (DX_UNLIKELY(header->version != DX_FRAME_VERSION)) {
        return version_unknown(view, error);
    }
    const uint32_t zeros = header->layout & DXI_LAYOUT_ZEROS;
    const uint32_t fixed = FIXED_BYTES + header->layout - zeros; /* and the parts */
    if (DX_UNLIKELY(header->length > bytes_max - DX_FRAME_SPAN_BYTES || header->length < fixed ||
                    header->length % DX_FRAME_ALIGN != 0 ||
                    (zeros != 0 && header->length == fixed))) {
        return lengths_wrong(header, bytes_max, error);
    }
    return DX_OK;
}

DX_INLINE void view_begin(dx_frame_view_t *view, const void *buffer)
{
    view->header = buffer;
    view->payload = NULL;
    view->payload_bytes = 0;
    view->bytes = 0;
    view->parts = 0;
    view->refused = 0;
}

int dxi_frame_header_check(const void *buffer, uint32_t bytes_max, dx_frame_view_t *view_out,
                           dx_error_t *error)
{
    view_begin(view_out, buffer);
    const dxi_header_words_t words = dxi_header_load(buffer);
    const uint32_t computed = dxi_header_checksum(&words);
    if (DX_UNLIKELY((uint32_t)words.checksum != computed)) {
        return header_corrupt(view_out->header, computed, error);
    }
    return lengths_check(view_out, bytes_max, error);
}

int dxi_frame_body_check(dx_frame_view_t *view, dx_error_t *error)
{
    const dx_frame_header_t *const header = view->header;
    const uint64_t computed = dxi_body_checksum((const char *)header + DX_FRAME_HEADER_BYTES,
                                                header->length - FIXED_BYTES); /* D2 */
    if (DX_UNLIKELY(computed != header->body_checksum)) {
        return body_corrupt(header, computed, error);
    }
    return content_check(view, error);
}

/* --------------------------------------------------------------------------------------- public */

/* What both public calls ask first: alignment, and room for a header. */
DX_INLINE int buffer_check(const void *buffer, size_t bytes, dx_frame_view_t *view,
                           dx_error_t *error)
{
    if (DX_UNLIKELY(((uintptr_t)buffer & (DX_FRAME_ALIGN - 1)) != 0)) {
        view_begin(view, buffer);
        return alignment_wrong(error);
    }
    if (DX_UNLIKELY(bytes < DX_FRAME_HEADER_BYTES)) {
        view_begin(view, buffer);
        return incomplete(bytes, DX_FRAME_HEADER_BYTES, error);
    }
    return DX_OK;
}

int dx_frame_decode(const void *buffer, size_t bytes, dx_frame_view_t *view_out, dx_error_t *error)
{
    int code = buffer_check(buffer, bytes, view_out, error);
    if (DX_UNLIKELY(code != DX_OK)) {
        return code;
    }
    code = dxi_frame_header_check(buffer, DX_FRAME_BYTES_MAX, view_out, error);
    if (DX_UNLIKELY(code != DX_OK)) {
        return code;
    }
    const uint32_t needed = dx_frame_header_frame_bytes(view_out->header);
    if (DX_UNLIKELY(bytes < needed)) { /* D1 */
        return incomplete(bytes, needed, error);
    }
    return dxi_frame_body_check(view_out, error);
}

int dx_frame_view(const void *buffer, size_t bytes, dx_frame_view_t *view_out, dx_error_t *error)
{
    int code = buffer_check(buffer, bytes, view_out, error);
    if (DX_UNLIKELY(code != DX_OK)) {
        return code;
    }
    view_begin(view_out, buffer);
    code = lengths_check(view_out, DX_FRAME_BYTES_MAX, error);
    if (DX_UNLIKELY(code != DX_OK)) {
        return code;
    }
    const uint32_t needed = dx_frame_header_frame_bytes(view_out->header);
    if (DX_UNLIKELY(bytes < needed)) {
        return incomplete(bytes, needed, error);
    }
    return content_check(view_out, error);
}

int dx_frame_header_find(const dx_frame_view_t *view, const char *name, dx_frame_pair_t *pair_out)
{
    const size_t name_bytes = strlen(name);
    dx_frame_pair_t pair;
    for (dx_frame_headers_t headers = dx_frame_headers(view);
         dx_frame_headers_next(&headers, &pair);) {
        if (pair.name_bytes == name_bytes && memcmp(pair.name, name, name_bytes) == 0) {
            *pair_out = pair;
            return DX_OK;
        }
    }
    return DX_ENOTFOUND;
}
