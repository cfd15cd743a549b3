/* test_frame.c - what was put into a frame comes out of it; every limit and every rule of a draft.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "frame_test.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

static __attribute__((aligned(64))) char memory[DX_FRAME_BYTES_MAX + 64];

/* ----------------------------------------------------------------------------------- the tables */

/* Written out once more: a changed number breaks every frame that was ever stored. */
static void types_and_parts_keep_their_numbers(void **state)
{
    (void)state;
    static const struct {
        int number;
        const char *name;
    } types[] = {
        {1, "HELLO"},
        {2, "WELCOME"},
        {3, "AUTH"},
        {4, "PING"},
        {5, "PONG"},
        {6, "CREDIT"},
        {7, "ERROR"},
        {8, "GOODBYE"},
        {9, "MOVED"},
        {16, "PUBLISH"},
        {17, "EVENT"},
        {18, "DELIVER"},
        {19, "ACK"},
        {20, "NACK"},
        {21, "GAP"},
        {22, "BATCH"},
        {23, "REQUEST"},
        {24, "REPLY"},
        {25, "SUBSCRIBE"},
        {26, "UNSUBSCRIBE"},
        {32, "TOPIC_CREATE"},
        {33, "TOPIC_CHANGE"},
        {34, "TOPIC_DELETE"},
        {35, "TOPIC_LIST"},
        {36, "TOPIC_STATS"},
        {37, "TOPIC_INFO"},
        {38, "ASK"},
        {39, "ANSWER"},
        {64, "RAFT_VOTE"},
        {65, "RAFT_VOTE_RESULT"},
        {66, "RAFT_APPEND"},
        {67, "RAFT_APPEND_RESULT"},
        {68, "RAFT_SNAPSHOT"},
        {69, "RAFT_SNAPSHOT_RESULT"},
        {70, "RAFT_TIMEOUT_NOW"},
        {71, "RAFT_READ_INDEX"},
        {72, "RAFT_READ_INDEX_RESULT"},
        {80, "HEARTBEAT"},
        {81, "SUSPECT"},
        {82, "GOSSIP"},
        {83, "ROUTES"},
    };
    static const char *const parts[] = {
        NULL,        "TOPIC",   "TOPIC_ID",     "KEY",     "CORRELATION", "TRACE",
        "REPLY_TO",  "TIMEOUT", "SUBSCRIPTION", "GROUP",   "FILTER",      "START",
        "RANGE",     "CREDIT",  "ATTEMPT",      "CODE",    "BATCH",       "CAPABILITIES",
        "MECHANISM", "NAME",    "NODE",         "ADDRESS", "COUNT",
    };
#define ONE(...) +1
    assert_int_equal(COUNT_OF(types), 0 DX_FRAME_TYPE_LIST(ONE));
    assert_int_equal(COUNT_OF(parts), 0 DX_FRAME_PART_LIST(ONE)); /* 0 is none, HEADERS is below */
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        assert_string_equal(dx_frame_type_name(types[i].number), types[i].name);
    }
    for (int i = 1; i < (int)COUNT_OF(parts); i++) {
        assert_string_equal(dx_frame_part_name(i), parts[i]);
    }
    assert_string_equal(dx_frame_part_name(31), "HEADERS");
    static const int unknown[] = {-1, 0, 10, 200, 256, INT32_MAX};
    for (size_t i = 0; i < COUNT_OF(unknown); i++) {
        assert_string_equal(dx_frame_type_name(unknown[i]), "UNKNOWN");
    }
    assert_string_equal(dx_frame_part_name(0), "UNKNOWN");
    assert_string_equal(dx_frame_part_name(23), "UNKNOWN");
    assert_string_equal(dx_frame_part_name(32), "UNKNOWN");
    assert_string_equal(dx_frame_part_name(-1), "UNKNOWN");
}

static void the_header_lies_where_the_protocol_says(void **state)
{
    (void)state;
    assert_int_equal(sizeof(dx_frame_header_t), 64);
#define AT(field, offset) assert_int_equal(offsetof(dx_frame_header_t, field), (offset))
    AT(length, 0);
    AT(version, 4);
    AT(type, 5);
    AT(flags, 6);
    AT(header_checksum, 8);
    AT(shard, 12);
    AT(layout, 14);
    AT(body_checksum, 16);
    AT(sequence, 24);
    AT(timestamp_ns, 32);
    AT(producer_id, 40);
    AT(producer_sequence, 48);
    AT(term, 56);
    AT(key_hash, 60);
    assert_int_equal(sizeof(dx_frame_trace_t), 25);
    assert_int_equal(sizeof(dx_frame_start_t), 16);
    assert_int_equal(sizeof(dx_frame_range_t), 16);
    assert_int_equal(sizeof(dx_frame_credit_t), 16);
    assert_int_equal(sizeof(dx_frame_code_t), 8);
    assert_int_equal(sizeof(dx_frame_batch_info_t), 16);
    assert_int_equal(sizeof(dx_frame_capabilities_t), 16);
}

static void checksums_are_those_of_xxhash(void **state)
{
    (void)state;
    uint64_t seed = 11;
    char bytes[1500];
    random_bytes(&seed, bytes, sizeof bytes);
    for (size_t i = 0; i + 64 <= sizeof bytes; i++) {
        char header[64];
        memcpy(header, bytes + i, sizeof header);
        const dxi_header_words_t words = dxi_header_load(header);
        memset(header + 8, 0, 4);
        assert_int_equal(dxi_header_checksum(&words), (uint32_t)XXH3_64bits(header, 64));
    }
    for (size_t count = 0; count <= sizeof bytes; count++) {
        assert_true(dxi_body_checksum(bytes, count) == XXH3_64bits(bytes, count));
        assert_int_equal(dx_frame_key_hash(bytes, count), (uint32_t)XXH3_64bits(bytes, count));
    }
    assert_int_equal(dx_frame_key_hash("orders.created", 14), 0xc2383777u);
}

/* ---------------------------------------------------------------------------------- round trips */

static void draft_expect(const random_draft_t *r, const dx_frame_view_t *view)
{
    const dx_frame_draft_t *const d = &r->draft;
    const dx_frame_header_t *const h = view->header;
    assert_int_equal(h->type, d->type);
    assert_int_equal(h->flags, d->flags);
    assert_int_equal(h->shard, d->shard);
    assert_int_equal(h->term, d->term);
    assert_int_equal(h->key_hash, d->key_hash);
    assert_true(h->sequence == d->sequence && h->timestamp_ns == d->timestamp_ns);
    assert_true(h->producer_id == d->producer_id);
    assert_true(h->producer_sequence == d->producer_sequence);
    assert_int_equal(view->payload_bytes, d->payload_bytes);
    assert_memory_equal(view->payload, r->payload, d->payload_bytes);
    uint32_t parts = 0, bytes = 0;
    for (uint32_t i = 0; i < d->part_count; i++) {
        parts |= DX_PART_BIT(d->parts[i].part);
        const void *const value = dx_frame_part(view, d->parts[i].part, &bytes);
        assert_int_equal(bytes, d->parts[i].bytes);
        assert_memory_equal(value, d->parts[i].value, bytes);
        assert_int_equal((uintptr_t)value % 8, 0);
    }
    parts |= d->header_count != 0 ? DX_PART_BIT(DX_PART_HEADERS) : 0;
    assert_int_equal(view->parts, parts);
    dx_frame_headers_t headers = dx_frame_headers(view);
    dx_frame_pair_t pair = {0};
    for (uint32_t i = 0; i < d->header_count; i++) {
        assert_true(dx_frame_headers_next(&headers, &pair));
        assert_int_equal(pair.name_bytes, d->headers[i].name_bytes);
        assert_memory_equal(pair.name, d->headers[i].name, pair.name_bytes);
        assert_int_equal(pair.value_bytes, d->headers[i].value_bytes);
        assert_memory_equal(pair.value, d->headers[i].value, pair.value_bytes);
    }
    assert_false(dx_frame_headers_next(&headers, &pair));
}

static void random_frames_come_back_as_they_were_made(void **state)
{
    (void)state;
    static random_draft_t r;
    uint64_t seed = 42;
    for (int i = 0; i < 3000; i++) {
        random_draft_make(&seed, &r);
        dx_error_t error = {0};
        const int64_t bytes = dx_frame_bytes(&r.draft, &error);
        if (bytes < 0) {
            fail_msg("draft %d: %s", i, error.message);
        }
        /* What the memory held before is not in the frame. */
        memset(memory, i % 2 == 0 ? 0xff : 0x55, (size_t)bytes + 64);
        assert_int_equal(dx_frame_encode(memory, (size_t)bytes, &r.draft, r.payload, &error),
                         bytes);
        assert_int_equal((unsigned char)memory[bytes], i % 2 == 0 ? 0xff : 0x55);
        char *const again = memory + DX_FRAME_BYTES_MAX / 2;
        memset(again, 0, (size_t)bytes);
        assert_int_equal(dx_frame_encode(again, (size_t)bytes, &r.draft, r.payload, &error), bytes);
        assert_memory_equal(memory, again, (size_t)bytes);

        dx_frame_view_t view;
        assert_ok(dx_frame_decode(memory, (size_t)bytes, &view, &error));
        assert_int_equal(view.bytes, bytes);
        draft_expect(&r, &view);
        assert_ok(dx_frame_view(memory, (size_t)bytes + 64, &view, &error));
        draft_expect(&r, &view);
    }
}

static void a_payload_is_filled_in_place_and_may_be_there_before(void **state)
{
    (void)state;
    for (uint32_t count = 0; count < 20; count++) {
        const dx_frame_part_t topic = dx_frame_part_text(DX_PART_TOPIC, "t");
        const dx_frame_draft_t draft = {
            .type = DX_FRAME_PUBLISH, .parts = &topic, .part_count = 1, .payload_bytes = count};
        const int64_t bytes = dx_frame_bytes(&draft, NULL);
        assert_int_equal(bytes, 64 + 16 + (count + 7) / 8 * 8);
        memset(memory, 0xee, (size_t)bytes);
        void *payload = NULL;
        assert_int_equal(dx_frame_begin(memory, (size_t)bytes, &draft, &payload, NULL), bytes);
        assert_ptr_equal(payload, memory + 80);
        for (uint32_t i = 0; i < count; i++) {
            assert_int_equal((unsigned char)memory[80 + i], 0xee);
        }
        memset(payload, 'p', count);
        dx_frame_seal(memory);
        dx_frame_view_t view;
        assert_ok(dx_frame_decode(memory, (size_t)bytes, &view, NULL));
        assert_ptr_equal(view.payload, payload);
        assert_int_equal(view.payload_bytes, count);
    }
}

static void headers_are_found_by_name(void **state)
{
    (void)state;
    static const dx_frame_pair_t pairs[] = {
        {"content-type", "a", 12, 1}, {"empty", NULL, 5, 0}, {"content-type", "bb", 12, 2}};
    const dx_frame_draft_t draft = {.type = DX_FRAME_PING, .headers = pairs, .header_count = 3};
    const int64_t bytes = dx_frame_encode(memory, sizeof memory, &draft, NULL, NULL);
    assert_true(bytes > 0);
    dx_frame_view_t view;
    assert_ok(dx_frame_decode(memory, (size_t)bytes, &view, NULL));
    dx_frame_pair_t pair;
    assert_ok(dx_frame_header_find(&view, "content-type", &pair));
    assert_int_equal(pair.value_bytes, 1);
    assert_memory_equal(pair.value, "a", 1);
    assert_ok(dx_frame_header_find(&view, "empty", &pair));
    assert_int_equal(pair.value_bytes, 0);
    assert_int_equal(dx_frame_header_find(&view, "content", &pair), DX_ENOTFOUND);
    assert_int_equal(dx_frame_header_find(&view, "", &pair), DX_ENOTFOUND);
    assert_int_equal(dx_frame_part_u64(&view, DX_PART_CORRELATION, 5), 5);
}

/* ---------------------------------------------------------------------------------------- stamp */

static void a_stamp_changes_the_header_and_nothing_else(void **state)
{
    (void)state;
    static random_draft_t r;
    uint64_t seed = 7;
    for (int i = 0; i < 300; i++) {
        do {
            random_draft_make(&seed, &r);
        } while (r.draft.type != DX_FRAME_PUBLISH && r.draft.type != DX_FRAME_EVENT);
        const int64_t bytes = dx_frame_encode(memory, sizeof memory, &r.draft, r.payload, NULL);
        assert_true(bytes > 0);
        const uint64_t body = ((const dx_frame_header_t *)(void *)memory)->body_checksum;
        const dx_frame_stamp_t stamp = {.type = i % 2 == 0 ? 0 : DX_FRAME_EVENT,
                                        .spread = i % 3 == 0,
                                        .shard = (uint16_t)random_next(&seed),
                                        .term = (uint32_t)random_next(&seed),
                                        .sequence = random_next(&seed),
                                        .timestamp_ns = random_next(&seed)};
        assert_ok(dx_frame_stamp(memory, &stamp));
        r.draft.type = stamp.type != 0 ? stamp.type : r.draft.type;
        r.draft.flags = (uint16_t)((r.draft.flags & ~(uint32_t)DX_FRAME_SPREAD) |
                                   (stamp.spread ? DX_FRAME_SPREAD : 0));
        r.draft.shard = stamp.shard;
        r.draft.term = stamp.term;
        r.draft.sequence = stamp.sequence;
        r.draft.timestamp_ns = stamp.timestamp_ns;
        dx_frame_view_t view;
        assert_ok(dx_frame_decode(memory, (size_t)bytes, &view, NULL));
        draft_expect(&r, &view);
        assert_true(view.header->body_checksum == body);
    }
}

static void a_stamp_does_not_hide_damage(void **state)
{
    (void)state;
    int64_t bytes = 0;
    char *const frame = publish_make(20, &bytes);
    for (size_t bit = 0; bit < DX_FRAME_HEADER_BYTES * 8; bit++) {
        frame[bit / 8] = (char)(frame[bit / 8] ^ (1 << bit % 8));
        memcpy(memory, frame, (size_t)bytes);
        const dx_frame_stamp_t stamp = {
            .type = DX_FRAME_EVENT, .shard = 1, .term = 2, .sequence = 3, .timestamp_ns = 4};
        assert_int_equal(dx_frame_stamp(frame, &stamp), DX_ECORRUPT);
        assert_memory_equal(memory, frame, (size_t)bytes);
        frame[bit / 8] = (char)(frame[bit / 8] ^ (1 << bit % 8));
    }
    free(frame);
}

/* --------------------------------------------------------------------------------------- limits */

/* Each known part at its limits, and one byte beyond. */
static void each_part_has_its_limits(void **state)
{
    (void)state;
    static char value[70000];
    for (int number = 1; number < DX_PART_HEADERS; number++) {
        const dxi_part_rule_t *const rule = &dxi_part_rules[number];
        if (rule->name == NULL) {
            continue;
        }
        const int64_t sizes[] = {rule->least, rule->most, (int64_t)rule->least - 1,
                                 (int64_t)rule->most + 1};
        for (size_t i = 0; i < COUNT_OF(sizes); i++) {
            dx_frame_part_t part = dx_frame_part_of(number, value, (size_t)sizes[i]);
            const dx_frame_draft_t draft = {.type = DX_FRAME_PING, .parts = &part, .part_count = 1};
            dx_error_t error = {0};
            const int64_t bytes = dx_frame_encode(memory, sizeof memory, &draft, NULL, &error);
            if (i < 2) {
                assert_int_equal(bytes, 64 + 8 + (sizes[i] + 7) / 8 * 8);
                dx_frame_view_t view;
                assert_ok(dx_frame_decode(memory, (size_t)bytes, &view, &error));
            } else {
                assert_int_equal(bytes, DX_ELIMIT);
                assert_contains(error.message, rule->name);
            }
        }
    }
    const dx_frame_part_t huge = dx_frame_part_of(DX_PART_TOPIC, value, 65536 + 5);
    const dx_frame_draft_t draft = {.type = DX_FRAME_PUBLISH, .parts = &huge, .part_count = 1};
    assert_int_equal(dx_frame_bytes(&draft, NULL), DX_ELIMIT); /* not 5 bytes */
}

static void headers_have_their_limits(void **state)
{
    (void)state;
    static char value[DX_FRAME_HEADERS_BYTES_MAX];
    static char name[DX_FRAME_HEADER_NAME_BYTES_MAX + 1];
    static dx_frame_pair_t pairs[DX_FRAME_HEADERS_MAX + 1];
    dx_frame_draft_t draft = {.type = DX_FRAME_PING, .headers = pairs};
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        pairs[i] = (dx_frame_pair_t){name, value, 1, 0};
    }
    dx_error_t error = {0};
    draft.header_count = DX_FRAME_HEADERS_MAX;
    const int64_t bytes = dx_frame_encode(memory, sizeof memory, &draft, NULL, &error);
    assert_int_equal(bytes, 64 + 8 + 5 * DX_FRAME_HEADERS_MAX);
    dx_frame_view_t view;
    assert_ok(dx_frame_decode(memory, (size_t)bytes, &view, &error));
    draft.header_count = DX_FRAME_HEADERS_MAX + 1;
    assert_fails((int)dx_frame_bytes(&draft, &error), DX_ELIMIT, error, "65 headers");

    draft.header_count = 1;
    pairs[0].name_bytes = DX_FRAME_HEADER_NAME_BYTES_MAX;
    assert_true(dx_frame_bytes(&draft, &error) > 0);
    pairs[0].name_bytes = DX_FRAME_HEADER_NAME_BYTES_MAX + 1;
    assert_fails((int)dx_frame_bytes(&draft, &error), DX_EINVAL, error, "256 bytes");
    pairs[0].name_bytes = 0;
    assert_fails((int)dx_frame_bytes(&draft, &error), DX_EINVAL, error, "0 bytes");

    pairs[0].name_bytes = 1;
    pairs[0].value_bytes = DX_FRAME_HEADERS_BYTES_MAX - 5;
    assert_int_equal(dx_frame_encode(memory, sizeof memory, &draft, NULL, &error),
                     64 + 8 + DX_FRAME_HEADERS_BYTES_MAX);
    assert_ok(dx_frame_decode(memory, sizeof memory, &view, &error));
    pairs[0].value_bytes++;
    assert_fails((int)dx_frame_bytes(&draft, &error), DX_ELIMIT, error, "16385 bytes");

    pairs[0] = (dx_frame_pair_t){NULL, value, 1, 0};
    assert_fails((int)dx_frame_bytes(&draft, &error), DX_EINVAL, error, "NULL");
    pairs[0] = (dx_frame_pair_t){name, NULL, 1, 1};
    assert_fails((int)dx_frame_bytes(&draft, &error), DX_EINVAL, error, "NULL");
}

static void a_frame_has_its_largest_size(void **state)
{
    (void)state;
    dx_frame_draft_t draft = {.type = DX_FRAME_PING,
                              .payload_bytes = DX_FRAME_BYTES_MAX - DX_FRAME_HEADER_BYTES};
    dx_error_t error = {0};
    void *payload = NULL;
    assert_int_equal(dx_frame_begin(memory, sizeof memory, &draft, &payload, &error),
                     DX_FRAME_BYTES_MAX);
    dx_frame_seal(memory);
    dx_frame_view_t view;
    assert_ok(dx_frame_decode(memory, sizeof memory, &view, &error));
    assert_int_equal(view.payload_bytes, draft.payload_bytes);
    draft.payload_bytes++;
    assert_fails((int)dx_frame_bytes(&draft, &error), DX_ELIMIT, error, "at most 16777216");
    draft.payload_bytes = UINT32_MAX;
    assert_fails((int)dx_frame_bytes(&draft, &error), DX_ELIMIT, error, "4294967360 bytes");
}

static void a_bad_draft_is_refused_with_its_sentence(void **state)
{
    (void)state;
    const uint64_t word = 1;
    const dx_frame_part_t topic = dx_frame_part_text(DX_PART_TOPIC, "t");
    const dx_frame_part_t key = dx_frame_part_text(DX_PART_KEY, "k");
    const dx_frame_part_t no_value = {DX_PART_KEY, 1, NULL};
    const dx_frame_part_t subscription = dx_frame_part_of(DX_PART_SUBSCRIPTION, "123456789", 9);
    const dx_frame_part_t lists[][2] = {
        {topic, topic},
        {key, topic},
        {topic, {23, 1, "x"}},
        {topic, {32, 1, "x"}},
        {topic, {0xffff, 1, "x"}},
        {topic, {DX_PART_HEADERS, 8, &word}},
        {topic, no_value},
        {topic, subscription},
        {key, {DX_PART_CORRELATION, 8, &word}},
    };
    static const struct {
        int code;
        const char *text;
    } expected[] = {
        {DX_EINVAL, "part TOPIC stands behind part TOPIC"},
        {DX_EINVAL, "part TOPIC stands behind part KEY"},
        {DX_ENOTSUP, "part 23 is not known"},
        {DX_ENOTSUP, "part 32 is not known"},
        {DX_ENOTSUP, "part 65535 is not known"},
        {DX_EINVAL, "part HEADERS is among the parts"},
        {DX_EINVAL, "the value of part KEY is NULL"},
        {DX_EINVAL, "multiple of 8"},
        {DX_EINVAL, "a PUBLISH frame has neither part TOPIC nor part TOPIC_ID"},
    };
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        const dx_frame_draft_t draft = {
            .type = DX_FRAME_PUBLISH, .parts = lists[i], .part_count = 2};
        dx_error_t error = {0};
        void *payload = NULL;
        assert_fails((int)dx_frame_bytes(&draft, &error), expected[i].code, error,
                     expected[i].text);
        memset(memory, 1, 64);
        assert_fails((int)dx_frame_begin(memory, sizeof memory, &draft, &payload, &error),
                     expected[i].code, error, expected[i].text);
        assert_int_equal(memory[0], 1); /* E4 */
        assert_int_equal(dx_frame_encode(memory, sizeof memory, &draft, NULL, NULL),
                         expected[i].code);
    }
}

static void a_draft_must_keep_the_rules_of_its_type(void **state)
{
    (void)state;
    static const struct {
        dx_frame_draft_t draft;
        int code;
        const char *text;
    } rows[] = {
        {{.type = 0}, DX_ENOTSUP, "frame type 0 is not known"},
        {{.type = 255}, DX_ENOTSUP, "frame type 255 is not known"},
        {{.type = DX_FRAME_HELLO}, DX_EINVAL, "a HELLO frame has no part CAPABILITIES"},
        {{.type = DX_FRAME_ACK, .payload_bytes = 1}, DX_EINVAL, "a payload of 1 bytes"},
        {{.type = DX_FRAME_PING, .flags = 0x0400}, DX_ENOTSUP, "flags 0x0400"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        dx_error_t error = {0};
        assert_fails((int)dx_frame_bytes(&rows[i].draft, &error), rows[i].code, error,
                     rows[i].text);
    }
    const uint64_t node = 1;
    const dx_frame_part_t part = dx_frame_part_of(DX_PART_NODE, &node, sizeof node);
    const dx_frame_draft_t raft = {.type = DX_FRAME_RAFT_VOTE, .parts = &part, .part_count = 1};
    dx_error_t error = {0};
    assert_fails((int)dx_frame_bytes(&raft, &error), DX_EINVAL, error, "has no payload");
}

static void too_little_room_and_a_bad_place_are_refused(void **state)
{
    (void)state;
    const dx_frame_draft_t draft = {.type = DX_FRAME_PING, .payload_bytes = 3};
    dx_error_t error = {0};
    void *payload = NULL;
    assert_int_equal(dx_frame_begin(memory, 72, &draft, &payload, &error), 72);
    assert_fails((int)dx_frame_begin(memory, 71, &draft, &payload, &error), DX_ELIMIT, error,
                 "takes 72 bytes, there is room for 71");
    assert_fails((int)dx_frame_begin(memory + 4, 72, &draft, &payload, &error), DX_EINVAL, error,
                 "not aligned");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_and_parts_keep_their_numbers),
        cmocka_unit_test(the_header_lies_where_the_protocol_says),
        cmocka_unit_test(checksums_are_those_of_xxhash),
        cmocka_unit_test(random_frames_come_back_as_they_were_made),
        cmocka_unit_test(a_payload_is_filled_in_place_and_may_be_there_before),
        cmocka_unit_test(headers_are_found_by_name),
        cmocka_unit_test(a_stamp_changes_the_header_and_nothing_else),
        cmocka_unit_test(a_stamp_does_not_hide_damage),
        cmocka_unit_test(each_part_has_its_limits),
        cmocka_unit_test(headers_have_their_limits),
        cmocka_unit_test(a_frame_has_its_largest_size),
        cmocka_unit_test(a_bad_draft_is_refused_with_its_sentence),
        cmocka_unit_test(a_draft_must_keep_the_rules_of_its_type),
        cmocka_unit_test(too_little_room_and_a_bad_place_are_refused),
    };
    return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
