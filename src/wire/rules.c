/* rules.c - the lists of types and parts as tables, and the checks that both directions share.
 *
 * DESIGN
 *
 * What a frame must carry is said once, in the lists of disruptorx/frame.h. The encoder and the
 * decoder ask the same functions, so that neither makes what the other refuses.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/fail.h"
#include "wire/frame_internal.h"

#define PART_ROW(part, number_, must, least_, most_)                                               \
    [number_] = {.name = #part, .number = (must) | (number_), .least = (least_), .most = (most_)},
const dxi_part_rule_t dxi_part_rules[DX_FRAME_PARTS] = {DX_FRAME_PART_LIST(PART_ROW)};

#define TYPE_ROW(type, number, all_, any_, payload_)                                               \
    [number] = {.name = #type, .all = (all_), .any = (any_), .payload = (payload_)},
const dxi_type_rule_t dxi_type_rules[256] = {DX_FRAME_TYPE_LIST(TYPE_ROW)};

/* All parts of this version at their limits fit: the encoder needs no check of the sum. */
#define PART_MEMBER(part, number, must, least, most)                                               \
    char part##_[DXI_PART_HEAD_BYTES + (((most) + 7) & ~7)];
struct parts_at_their_limits {
    DX_FRAME_PART_LIST(PART_MEMBER)
};
_Static_assert(sizeof(struct parts_at_their_limits) <= DX_FRAME_PARTS_BYTES_MAX, "parts have room");

const char *dx_frame_type_name(int type)
{
    const char *name = type >= 0 && type < 256 ? dxi_type_rules[type].name : NULL;
    return name != NULL ? name : "UNKNOWN";
}

const char *dx_frame_part_name(int part)
{
    const char *name = part >= 0 && part < DX_FRAME_PARTS ? dxi_part_rules[part].name : NULL;
    return name != NULL ? name : "UNKNOWN";
}

/* The sentence for a type whose parts are not all there. */
DX_NOINLINE static int parts_missing(const dxi_type_rule_t *rule, uint32_t parts, dx_error_t *error)
{
    const uint32_t missing = rule->all & ~parts;
    if (missing != 0) {
        return dxi_fail(error, DX_EINVAL, "a %s frame has no part %s, which it must have",
                        rule->name, dx_frame_part_name(__builtin_ctz(missing)));
    }
    return dxi_fail(error, DX_EINVAL, "a %s frame has neither part %s nor part %s", rule->name,
                    dx_frame_part_name(__builtin_ctz(rule->any)),
                    dx_frame_part_name(31 - __builtin_clz(rule->any)));
}

int dxi_frame_rules_refuse(int type, uint32_t parts, uint32_t payload_bytes, dx_error_t *error)
{
    const dxi_type_rule_t *const rule = &dxi_type_rules[type & 0xff];
    if (rule->name == NULL) {
        return dxi_fail(error, DX_ENOTSUP, "frame type %d is not known", type);
    }
    if ((rule->all & ~parts) != 0 || (rule->any != 0 && (rule->any & parts) == 0)) {
        return parts_missing(rule, parts, error);
    }
    if (rule->payload == DX_PAYLOAD_NONE) {
        return dxi_fail(error, DX_EINVAL, "a %s frame has a payload of %u bytes, must have none",
                        rule->name, payload_bytes);
    }
    return dxi_fail(error, DX_EINVAL, "a %s frame has no payload, must have one", rule->name);
}

/* HEADERS: pairs of two lengths, a name and a value, without anything between them. */
static int pairs_check(const char *at, uint32_t bytes, dx_error_t *error)
{
    uint32_t count = 0;
    for (uint32_t left = bytes; left != 0; count++) {
        uint16_t lengths[2] = {0, 0};
        if (left < sizeof lengths) {
            return dxi_fail(error, DX_EINVAL, "header %u is cut off", count);
        }
        memcpy(lengths, at, sizeof lengths);
        if (lengths[0] < 1 || lengths[0] > DX_FRAME_HEADER_NAME_BYTES_MAX) {
            return dxi_fail(error, DX_EINVAL,
                            "the name of header %u has %u bytes, must have from 1 to %d", count,
                            lengths[0], DX_FRAME_HEADER_NAME_BYTES_MAX);
        }
        const uint32_t pair_bytes = (uint32_t)sizeof lengths + lengths[0] + lengths[1];
        if (pair_bytes > left) {
            return dxi_fail(error, DX_EINVAL, "header %u takes %u bytes, only %u are left", count,
                            pair_bytes, left);
        }
        at += pair_bytes;
        left -= pair_bytes;
    }
    if (count > DX_FRAME_HEADERS_MAX) {
        return dxi_fail(error, DX_EINVAL, "there are %u headers, must be at most %d", count,
                        DX_FRAME_HEADERS_MAX);
    }
    return DX_OK;
}

int dxi_part_form_check(int part, const void *value, uint32_t bytes, dx_error_t *error)
{
    if (part == DX_PART_HEADERS) {
        return pairs_check(value, bytes, error);
    }
    if (part == DX_PART_SUBSCRIPTION && bytes % sizeof(uint64_t) != 0) {
        return dxi_fail(error, DX_EINVAL, "part SUBSCRIPTION has %u bytes, must be a multiple of 8",
                        bytes);
    }
    return DX_OK;
}
