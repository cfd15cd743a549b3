/* test_pack.c - several events in one frame: what a pack must be, and one event out of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "shard_test.h"
#include "wire/pack.h"

static __attribute__((aligned(8))) char memory[1 << 20];

static uint32_t pack_make(const uint32_t *sizes, uint32_t count)
{
    return rig_pack("a.b", sizes, count, memory, sizeof memory);
}

static dx_frame_header_t *header_of(char *frame)
{
    return (dx_frame_header_t *)(void *)frame;
}

static void a_pack_is_read_as_it_was_made(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {0, 1, 7, 8, 9, 1000, 0};
    const uint32_t bytes = pack_make(sizes, COUNT_OF(sizes));
    dx_frame_view_t view;
    assert_ok(dx_frame_decode(memory, bytes, &view, NULL));
    assert_int_equal(dxi_frame_events(view.header), COUNT_OF(sizes));
    assert_int_equal(dxi_pack_head(view.header)->data_bytes, 0 + 1 + 7 + 8 + 9 + 1000 + 0);
    assert_int_equal(dxi_pack_largest(view.header), 1000);
    dxi_pack_t pack = dxi_pack_begin(view.header);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        uint32_t one = UINT32_MAX;
        const char *const payload = dxi_pack_next(&pack, &one);
        assert_int_equal(one, sizes[i]);
        assert_int_equal((uintptr_t)payload & 7, 0);
        for (uint32_t b = 0; b < one; b++) {
            assert_int_equal(payload[b], 'a' + (int)i);
        }
    }
    assert_int_equal(pack.left, 0);
    assert_ptr_equal(pack.at, memory + bytes);
}

static void an_event_of_a_pack_becomes_the_frame_it_would_have_been(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {3, 16, 0};
    (void)pack_make(sizes, COUNT_OF(sizes));
    const dx_frame_stamp_t stamp = {
        .type = DX_FRAME_EVENT, .shard = 4, .term = 9, .sequence = 70, .timestamp_ns = 1234};
    assert_ok(dx_frame_stamp(memory, &stamp));
    const dx_frame_header_t *const frame = header_of(memory);
    dxi_pack_t pack = dxi_pack_begin(frame);
    for (uint32_t i = 0; i < COUNT_OF(sizes); i++) {
        uint32_t bytes = 0;
        const void *const payload = dxi_pack_next(&pack, &bytes);
        const dx_frame_part_t part = dx_frame_part_text(DX_PART_TOPIC, "a.b");
        const dx_frame_draft_t draft = {.type = DX_FRAME_EVENT,
                                        .shard = 4,
                                        .term = 9,
                                        .key_hash = dx_frame_key_hash("a.b", 3),
                                        .payload_bytes = bytes,
                                        .sequence = 70 + i,
                                        .timestamp_ns = 1234,
                                        .parts = &part,
                                        .part_count = 1};
        static __attribute__((aligned(8))) char expected[256];
        static __attribute__((aligned(8))) char made[256];
        memset(made, 0x5a, sizeof made);
        const int64_t expected_bytes =
            dx_frame_encode(expected, sizeof expected, &draft, payload, NULL);
        assert_int_equal(dxi_pack_expanded_bytes(frame, bytes), expected_bytes);
        dxi_pack_expand(frame, payload, bytes, 70 + i, made);
        assert_memory_equal(made, expected, (size_t)expected_bytes);
        assert_int_equal(made[expected_bytes], 0x5a); /* and no byte more */
    }
}

/* A change of a pack that is sealed again: its checksums are right, and it is refused. */
static void what_contradicts_itself_is_refused(void **state)
{
    (void)state;
    static const struct {
        uint32_t offset; /* in the payload */
        uint32_t value;
        const char *says;
    } rows[] = {
        {0, 0, "a pack has 0 events, must have from 1 to 1024"},
        {0, 1025, "a pack has 1025 events"},
        {0, 1, "has 5 bytes of data and 16 bytes too many, says 8"},
        {0, 3, "a pack of 3 events ends in event 2"},
        {4, 9, "0 bytes too many, says 9"},
        {8, 6, "says 8"},
        {8, 9, "event 1 of the pack has"}, /* what it reads as lengths is payload */
        {8, 4, "event 0 of the pack is followed by bytes that must be zero"},
        {8, 1000, "event 0 of the pack has 1000 bytes, only 32 are left"},
        {8, UINT32_MAX, "event 0 of the pack has 4294967295 bytes, only 32 are left"},
        {12, 1, "event 0 of the pack has 0x00000001 behind its length, must be 0"},
        {28, 7, "event 1 of the pack has 0x00000007 behind its length, must be 0"},
    };
    static const uint32_t sizes[] = {5, 3};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const uint32_t bytes = pack_make(sizes, COUNT_OF(sizes));
        char *const payload = memory + bytes - (8 + 16 + 16);
        memcpy(payload + rows[i].offset, &rows[i].value, sizeof rows[i].value);
        dx_frame_seal(memory);
        dx_frame_view_t view;
        dx_error_t error = {0};
        assert_fails(dx_frame_decode(memory, bytes, &view, &error), DX_EINVAL, error, rows[i].says);
        assert_int_equal(view.bytes, bytes); /* the next frame is found */
    }
}

static void a_pack_has_a_topic_and_nothing_else(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {5, 3};
    static const char key[] = "k";
    const dx_frame_part_t parts[] = {dx_frame_part_text(DX_PART_TOPIC, "a"),
                                     dx_frame_part_text(DX_PART_KEY, key)};
    const uint32_t bytes = pack_make(sizes, COUNT_OF(sizes));
    const char *const payload = memory + bytes - (8 + 16 + 16);
    const struct {
        dx_frame_draft_t draft;
        int code;
    } rows[] = {
        {{.type = DX_FRAME_PUBLISH, .part_count = 1}, DX_OK},
        {{.type = DX_FRAME_EVENT, .part_count = 1}, DX_OK},
        {{.type = DX_FRAME_PUBLISH, .part_count = 2}, DX_EINVAL},
        {{.type = DX_FRAME_PUBLISH, .part_count = 1, .producer_id = 1}, DX_EINVAL},
        {{.type = DX_FRAME_PUBLISH, .part_count = 1, .flags = DX_FRAME_ACK_WANTED}, DX_EINVAL},
        {{.type = DX_FRAME_PING, .part_count = 1}, DX_EINVAL},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        static __attribute__((aligned(8))) char frame[512];
        dx_frame_draft_t draft = rows[i].draft;
        draft.parts = parts;
        draft.flags |= DX_FRAME_PACKED;
        draft.payload_bytes = 8 + 16 + 16;
        const int64_t made = dx_frame_encode(frame, sizeof frame, &draft, payload, NULL);
        assert_true(made > 0);
        dx_frame_view_t view;
        dx_error_t error = {0};
        assert_int_equal(dx_frame_decode(frame, (size_t)made, &view, &error), rows[i].code);
        if (rows[i].code != DX_OK) {
            assert_contains(error.message, "must be a PUBLISH or EVENT with TOPIC");
        }
    }
}

static void a_pack_has_from_1_to_1024_events(void **state)
{
    (void)state;
    static const uint32_t sizes[DX_FRAME_PACKED_EVENTS_MAX + 1];
    dx_frame_view_t view;
    dx_error_t error = {0};
    assert_ok(dx_frame_decode(memory, pack_make(sizes, 1), &view, &error));
    assert_ok(dx_frame_decode(memory, pack_make(sizes, DX_FRAME_PACKED_EVENTS_MAX), &view, &error));
    assert_int_equal(dxi_frame_events(view.header), DX_FRAME_PACKED_EVENTS_MAX);
    assert_fails(
        dx_frame_decode(memory, pack_make(sizes, DX_FRAME_PACKED_EVENTS_MAX + 1), &view, &error),
        DX_EINVAL, error, "a pack has 1025 events");
    assert_fails(dxi_pack_check(memory, 7, &error), DX_EINVAL, error,
                 "a pack has 7 bytes, must have at least 8");
}

/* ------------------------------------------------------------------------------------- a shard */

static void who_reads_packs_gets_them_whole_and_others_event_by_event(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 2, 3};
    static rig_t rig;
    static reader_t whole;
    static reader_t single;
    static reader_t keyed;
    rig_open(&rig, NULL);
    rig_subscribe(&rig, &whole, &(dx_subscription_options_t){.pattern = "a.b"});
    rig_subscribe(&rig, &single, &(dx_subscription_options_t){.pattern = "a.*"});
    rig_subscribe(&rig, &keyed,
                  &(dx_subscription_options_t){.pattern = ">", .filter = "exists key"});
    whole.packs = keyed.packs = true;
    rig_publish(&rig, "a.b", 1);
    const uint32_t bytes = pack_make(sizes, COUNT_OF(sizes));
    assert_ok(dxi_shard_event(rig.shard, memory, bytes, 42, rig.clock_ns - 1000, rig.clock_ns,
                              RIG_UNIX_NS));
    rig_publish(&rig, "a.b", 1);
    assert_string_equal(rig_text(&whole), "1 2 3 4 5");
    assert_int_equal(whole.whole, 1);
    assert_string_equal(rig_text(&single), "1 2 3 4 5");
    assert_string_equal(single.notes[3].payload, "ccc");
    assert_int_equal(keyed.count, 0);
    const dx_topic_stats_t stats = rig_topic(&rig, "a.b");
    assert_int_equal(stats.published, 5);
    assert_int_equal(stats.published_bytes, 1 + 1 + 2 + 3 + 1);
    assert_int_equal(stats.delivered, 10);
    assert_int_equal(stats.filtered, 5);
    assert_int_equal(stats.retained_events, 5);
    rig_close(&rig);
}

static void who_starts_in_the_middle_of_a_pack_gets_the_rest_of_it(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 2, 3, 4};
    static rig_t rig;
    static reader_t reader;
    rig_open(&rig, NULL);
    for (int i = 0; i < 2; i++) {
        const uint32_t bytes = pack_make(sizes, COUNT_OF(sizes));
        assert_ok(dxi_shard_event(rig.shard, memory, bytes, 42, 0, rig.clock_ns, RIG_UNIX_NS));
    }
    rig_subscribe(
        &rig, &reader,
        &(dx_subscription_options_t){.pattern = "a.b", .from = DX_FROM_SEQUENCE, .from_value = 3});
    reader.packs = true;
    (void)rig_tick(&rig, 0);
    assert_string_equal(rig_text(&reader), "3 4 5 6 7 8");
    assert_string_equal(reader.notes[0].payload, "ccc");
    assert_int_equal(reader.whole, 1); /* the second one */
    rig_close(&rig);
}

static void an_event_that_is_too_large_for_its_topic_takes_its_pack_with_it(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {10, 101, 10};
    static rig_t rig;
    rig_open(&rig, NULL);
    const dx_topic_options_t options = {.event_bytes_max = 100};
    assert_ok(dxi_shard_topic_create(rig.shard, "a.b", &options, NULL));
    const uint32_t bytes = pack_make(sizes, COUNT_OF(sizes));
    assert_ok(dxi_shard_event(rig.shard, memory, bytes, 42, 0, rig.clock_ns, RIG_UNIX_NS));
    assert_contains(rig.sentence, "an event of the pack has 101 bytes, must have at most 100");
    assert_int_equal(rig.answer.code, DX_ELIMIT);
    assert_int_equal(rig.answer.events, 3);
    assert_int_equal(rig_topic(&rig, "a.b").refused, 3);
    assert_int_equal(rig_topic(&rig, "a.b").published, 0);
    rig_close(&rig);
}

static void a_pack_without_a_topic_is_refused_event_by_event(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {10, 11, 12};
    static rig_t rig;
    rig_open(&rig, &(dx_bus_options_t){.no_topic_creation = true});
    const uint32_t bytes = pack_make(sizes, COUNT_OF(sizes));
    assert_ok(dxi_shard_event(rig.shard, memory, bytes, 42, 0, rig.clock_ns, RIG_UNIX_NS));
    assert_int_equal(rig.answer.code, DX_ENOTFOUND);
    dxi_shard_totals_t totals = {.topics = 0};
    dxi_shard_walk_t walk;
    dxi_shard_walk_begin(rig.shard, &walk);
    assert_false(dxi_shard_walk_step(rig.shard, &walk, 1, &totals, NULL, NULL, NULL));
    assert_int_equal(totals.sums.refused, 3);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pack_is_read_as_it_was_made),
        cmocka_unit_test(an_event_of_a_pack_becomes_the_frame_it_would_have_been),
        cmocka_unit_test(what_contradicts_itself_is_refused),
        cmocka_unit_test(a_pack_has_a_topic_and_nothing_else),
        cmocka_unit_test(a_pack_has_from_1_to_1024_events),
        cmocka_unit_test(who_reads_packs_gets_them_whole_and_others_event_by_event),
        cmocka_unit_test(who_starts_in_the_middle_of_a_pack_gets_the_rest_of_it),
        cmocka_unit_test(an_event_that_is_too_large_for_its_topic_takes_its_pack_with_it),
        cmocka_unit_test(a_pack_without_a_topic_is_refused_event_by_event),
    };
    return cmocka_run_group_tests_name("pack", tests, NULL, NULL);
}
