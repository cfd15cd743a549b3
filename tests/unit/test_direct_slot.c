/* test_direct_slot.c - the slots of a direct topic's ring, and the names of its consumers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base_test.h"

#include "bus/direct_ask.h"
#include "bus/direct_slot.h"

#define NOW_US UINT64_C(1760000000000000)
#define DAY_US UINT64_C(86400000000)

static void what_is_written_is_read(void **state)
{
    (void)state;
    static const uint32_t lengths[] = {0,  1,  7,  8,  9,  15, 16, 17,  31,  32,
                                       33, 48, 63, 64, 65, 96, 97, 200, 248, 1000};
    char data[1000];
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (char)(i * 7 + 1);
    }
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        _Alignas(8) char slot[1016];
        memset(slot, 0x55, sizeof slot);
        dxi_direct_write(slot, DXI_DIRECT_PLAIN, data, lengths[i], NOW_US);
        dxi_direct_event_t event;
        assert_int_equal(dxi_direct_read(slot, 1008, NOW_US + 5, &event), DX_OK);
        assert_int_equal(event.kind, DXI_DIRECT_PLAIN);
        assert_int_equal(event.bytes, lengths[i]);
        assert_int_equal(event.timestamp_ns, NOW_US * 1000);
        assert_memory_equal(event.data, data, lengths[i]);
        assert_int_equal(slot[8 + lengths[i]], 0x55); /* and not a byte more */
    }
}

static void a_slot_of_no_kind_or_longer_than_it_is_holds_no_event(void **state)
{
    (void)state;
    static const char data[40];
    _Alignas(8) char slot[48] = {0};
    dxi_direct_event_t event;
    assert_int_equal(dxi_direct_read(slot, sizeof slot, NOW_US, &event), DX_ECORRUPT);
    dxi_direct_write(slot, DXI_DIRECT_FRAME, data, 40, NOW_US);
    assert_int_equal(dxi_direct_read(slot, sizeof slot, NOW_US, &event), DX_OK);
    uint64_t head = dxi_direct_head(DXI_DIRECT_PLAIN, 41, NOW_US);
    memcpy(slot, &head, sizeof head);
    assert_int_equal(dxi_direct_read(slot, sizeof slot, NOW_US, &event), DX_ECORRUPT);
    head = dxi_direct_head(3, 1, NOW_US);
    memcpy(slot, &head, sizeof head);
    assert_int_equal(dxi_direct_read(slot, sizeof slot, NOW_US, &event), DX_ECORRUPT);
    head = UINT64_MAX;
    memcpy(slot, &head, sizeof head);
    assert_int_equal(dxi_direct_read(slot, sizeof slot, NOW_US, &event), DX_ECORRUPT);
}

static void a_time_is_found_again_from_one_25_days_before_or_after_it(void **state)
{
    (void)state;
    static const int64_t ages_us[] = {
        0, 1, 1000000, (int64_t)(25 * DAY_US), -1, -1000000, -(int64_t)(25 * DAY_US)};
    for (size_t i = 0; i < COUNT_OF(ages_us); i++) {
        const uint64_t time_us = NOW_US - (uint64_t)ages_us[i];
        const uint64_t head = dxi_direct_head(DXI_DIRECT_PLAIN, 0, time_us);
        assert_int_equal(dxi_direct_time_ns(head, NOW_US), time_us * 1000);
    }
    /* A clock that stands at the beginning of time does not give a time before it. */
    const uint64_t before = dxi_direct_head(DXI_DIRECT_PLAIN, 0, (uint64_t)-1000);
    assert_int_equal(dxi_direct_time_ns(before, 10), 0);
}

static void the_ring_has_as_many_slots_as_fit(void **state)
{
    (void)state;
    static const struct {
        dx_topic_options_t options;
        uint32_t slot_bytes, slots;
        const char *sentence;
    } rows[] = {
        {{.direct_bytes = 65536}, 256, 256, NULL},
        {{.direct_bytes = 4194304, .event_bytes_max = 32}, 40, 65536, NULL},
        {{.direct_bytes = 65536, .event_bytes_max = 1}, 16, 4096, NULL},
        {{.direct_bytes = DX_DIRECT_BYTES_MAX, .event_bytes_max = 65528}, 65536, 16384, NULL},
        {{.direct_bytes = DX_DIRECT_BYTES_MAX, .event_bytes_max = 65529}, 0, 0, "at most 65528"},
        {{.direct_bytes = 65536, .event_bytes_max = 1016}, 1024, 64, NULL},
        {{.direct_bytes = 65536, .event_bytes_max = 1017}, 0, 0, "room for 64 events"},
        {{.direct_bytes = 65535}, 0, 0, "power of two from 65536"},
        {{.direct_bytes = 98304}, 0, 0, "power of two"},
        {{.direct_bytes = 32768}, 0, 0, "power of two"},
        {{.direct_bytes = 2 * DX_DIRECT_BYTES_MAX}, 0, 0, "to 1073741824"},
        {{.direct_bytes = 65536, .shard_by = DX_SHARD_BY_KEY}, 0, 0, "shard_by"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        dx_error_t error = {0};
        uint32_t slot_bytes = 0;
        uint32_t slots = 0;
        const int code = dxi_direct_geometry(&rows[i].options, &slot_bytes, &slots, &error);
        assert_int_equal(code, rows[i].sentence == NULL ? DX_OK : DX_EINVAL);
        if (rows[i].sentence != NULL) {
            assert_non_null(strstr(error.message, rows[i].sentence));
        } else {
            assert_int_equal(slot_bytes, rows[i].slot_bytes);
            assert_int_equal(slots, rows[i].slots);
        }
    }
}

static void a_name_says_the_policy(void **state)
{
    (void)state;
    static const struct {
        dxi_direct_policy_t policy, read;
        const char *name;
    } rows[] = {
        {{DX_SLOW_DROP, 0}, {DX_SLOW_DROP, 0}, "d0.n"},
        {{DX_SLOW_DISCONNECT, 5}, {DX_SLOW_DISCONNECT, 0}, "x0.n"},
        {{DX_SLOW_BLOCK, 0}, {DX_SLOW_BLOCK, 1000000000}, "b0.n"},
        {{DX_SLOW_BLOCK, 25000000}, {DX_SLOW_BLOCK, 25000000}, "b25.n"},
        {{DX_SLOW_BLOCK, INT64_MAX}, {DX_SLOW_BLOCK, INT64_C(3600000000000)}, "b3600000.n"},
    };
    char name[DX_RING_NAME_MAX + 1];
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        dxi_direct_name(&rows[i].policy, "n", name);
        assert_string_equal(name, rows[i].name);
        const dxi_direct_policy_t read = dxi_direct_name_read(name);
        assert_int_equal(read.slow, rows[i].read.slow);
        assert_int_equal(read.slow_block_ns, rows[i].read.slow_block_ns);
    }
    dxi_direct_name(&rows[3].policy, "a name that is much too long for a consumer", name);
    assert_int_equal(strlen(name), DX_RING_NAME_MAX);
    assert_int_equal(dxi_direct_name_read(name).slow_block_ns, 25000000);
    static const char *const others[] = {"",    "b",    "b.",   "bx",
                                         "b12", "b12x", "node", "b99999999999"};
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        const dxi_direct_policy_t policy = dxi_direct_name_read(others[i]);
        assert_int_equal(policy.slow, DX_SLOW_DROP);
        assert_int_equal(policy.slow_block_ns, 0);
    }
}

static void count_name(void *context, const char *name)
{
    *(int *)context += (int)strlen(name);
}

static void answers_that_cant_be_read_are_refused(void **state)
{
    (void)state;
    dxi_direct_answer_t answer;
    assert_int_equal(dxi_direct_answer_read("{\"direct\":false}", &answer, NULL), DX_OK);
    assert_false(answer.direct);
    assert_int_equal(
        dxi_direct_answer_read("{\"direct\":true,\"shard\":3,\"ring\":\"dxd-1\",\"folder\":\"/f\"}",
                               &answer, NULL),
        DX_OK);
    assert_true(answer.direct);
    assert_int_equal(answer.shard, 3);
    assert_string_equal(answer.ring, "dxd-1");
    assert_string_equal(answer.folder, "/f");
    static const char *const bad[] = {
        "",
        "x",
        "[]",
        "{}",
        "{\"direct\":1}",
        "{\"direct\":true}",
        "{\"direct\":true,\"shard\":3,\"ring\":\"\",\"folder\":\"/f\"}",
        "{\"direct\":true,\"shard\":-1,\"ring\":\"r\",\"folder\":\"/f\"}",
        "{\"direct\":true,\"shard\":65536,\"ring\":\"r\",\"folder\":\"/f\"}",
        ("{\"direct\":true,\"shard\":3,\"ring\":\"0123456789012345678901234567890123456789\","
         "\"folder\":\"/f\"}"),
        "{\"direct\":true,\"shard\":3,\"ring\":\"r\"}"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(dxi_direct_answer_read(bad[i], &answer, NULL), DX_ECORRUPT);
        assert_false(answer.direct);
    }
    int bytes = 0;
    assert_int_equal(
        dxi_direct_names_read("{\"topics\":[\"a\",\"bc\",3]}", count_name, &bytes, NULL), DX_OK);
    assert_int_equal(bytes, 3);
    assert_int_equal(dxi_direct_names_read("{\"topics\":7}", count_name, &bytes, NULL),
                     DX_ECORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(a_slot_of_no_kind_or_longer_than_it_is_holds_no_event),
        cmocka_unit_test(a_time_is_found_again_from_one_25_days_before_or_after_it),
        cmocka_unit_test(the_ring_has_as_many_slots_as_fit),
        cmocka_unit_test(a_name_says_the_policy),
        cmocka_unit_test(answers_that_cant_be_read_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
