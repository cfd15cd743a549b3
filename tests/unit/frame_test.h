/* frame_test.h - what the tests of src/wire share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FRAME_TEST_H
#define FRAME_TEST_H

#include "base_test.h"
#include "wire/frame_internal.h"

/* Both checksums again, over whatever the header and the body say now. */
static inline void frame_repair(void *frame, size_t bytes)
{
    dx_frame_header_t *const header = frame;
    header->body_checksum = dxi_body_checksum((const char *)frame + DX_FRAME_HEADER_BYTES,
                                              bytes - DX_FRAME_HEADER_BYTES);
    const dxi_header_words_t words = dxi_header_load(frame);
    header->header_checksum = dxi_header_checksum(&words);
}

/* A draft that random numbers made, with the memory that it points to. */
typedef struct random_draft {
    dx_frame_draft_t draft;
    dx_frame_part_t parts[DX_FRAME_PARTS];
    dx_frame_pair_t pairs[DX_FRAME_HEADERS_MAX];
    char bytes[4096]; /* parts and pairs point anywhere into it */
    char payload[2048];
} random_draft_t;

static inline void random_bytes(uint64_t *seed, char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bytes[i] = (char)(random_next(seed) >> 56);
    }
}

static inline void random_parts(uint64_t *seed, random_draft_t *r, uint32_t wanted)
{
    for (int number = 1; number < DX_PART_HEADERS; number++) {
        const dxi_part_rule_t *const rule = &dxi_part_rules[number];
        if (rule->name == NULL ||
            ((wanted & DX_PART_BIT(number)) == 0 && random_next(seed) >> 61 != 0)) {
            continue;
        }
        uint32_t bytes = rule->least + (uint32_t)((random_next(seed) >> 32) %
                                                  (uint32_t)(rule->most - rule->least + 1));
        bytes = number == DX_PART_SUBSCRIPTION ? dxi_align8(bytes) : bytes;
        const char *const value = r->bytes + random_next(seed) % (sizeof r->bytes - bytes);
        r->parts[r->draft.part_count++] = dx_frame_part_of(number, value, bytes);
    }
}

static inline void random_pairs(uint64_t *seed, random_draft_t *r)
{
    r->draft.header_count = (uint16_t)(random_next(seed) >> 61); /* 0 to 7 */
    for (uint32_t i = 0; i < r->draft.header_count; i++) {
        r->pairs[i] = (dx_frame_pair_t){
            .name = r->bytes + random_next(seed) % 1000,
            .name_bytes = (uint16_t)(1 + (random_next(seed) >> 32) % 255),
            .value = r->bytes + random_next(seed) % 1000,
            .value_bytes = (uint16_t)((random_next(seed) >> 32) % 500),
        };
    }
}

/* A draft of any type that keeps all rules. */
static inline void random_draft_make(uint64_t *seed, random_draft_t *r)
{
    random_bytes(seed, r->bytes, sizeof r->bytes);
    random_bytes(seed, r->payload, sizeof r->payload);
    r->draft = (dx_frame_draft_t){.flags = (uint16_t)(random_next(seed) & 0x01ff),
                                  .shard = (uint16_t)random_next(seed),
                                  .term = (uint32_t)random_next(seed),
                                  .key_hash = (uint32_t)random_next(seed),
                                  .sequence = random_next(seed),
                                  .timestamp_ns = random_next(seed),
                                  .producer_id = random_next(seed),
                                  .producer_sequence = random_next(seed),
                                  .parts = r->parts,
                                  .headers = r->pairs};
    do {
        r->draft.type = (uint8_t)(random_next(seed) >> 40);
    } while (dxi_type_rules[r->draft.type].name == NULL);
    const dxi_type_rule_t *const rule = &dxi_type_rules[r->draft.type];
    random_parts(seed, r, rule->all | rule->any);
    random_pairs(seed, r);
    r->draft.payload_bytes =
        rule->payload == DX_PAYLOAD_NONE ? 0 : 1 + (uint32_t)(random_next(seed) >> 32) % 2000;
}

/* A plain PUBLISH of `payload_bytes` bytes, aligned, whose bytes the caller frees. */
static inline char *publish_make(uint32_t payload_bytes, int64_t *bytes_out)
{
    const dx_frame_part_t topic = dx_frame_part_text(DX_PART_TOPIC, "orders.created");
    const dx_frame_draft_t draft = {.type = DX_FRAME_PUBLISH,
                                    .producer_id = 7,
                                    .producer_sequence = 1,
                                    .parts = &topic,
                                    .part_count = 1,
                                    .payload_bytes = payload_bytes};
    *bytes_out = dx_frame_bytes(&draft, NULL);
    assert_true(*bytes_out > 0);
    char *const frame = aligned_alloc(8, (size_t)*bytes_out);
    assert_non_null(frame);
    void *payload = NULL;
    assert_int_equal(dx_frame_begin(frame, (size_t)*bytes_out, &draft, &payload, NULL), *bytes_out);
    for (uint32_t i = 0; i < payload_bytes; i++) {
        ((char *)payload)[i] = (char)(i * 31 + 5);
    }
    dx_frame_seal(frame);
    return frame;
}

#endif
