/* test_bus_keep.c - what a shard keeps: events of a topic, receipts of a producer, rates and times.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bus/dedup.h"
#include "bus/rates.h"
#include "bus/retain.h"
#include "shard_test.h"

/* --------------------------------------------------------------------------------------- retain */

static dx_atomic64_t memory;
static __attribute__((aligned(8))) char frame[70000];

/* A frame whose whole size is `bytes`, as event `sequence`. */
static void keep(dxi_retain_t *retain, const dxi_retain_limits_t *limits, uint32_t bytes)
{
    dx_frame_header_t *const header = (dx_frame_header_t *)(void *)frame;
    memset(frame, (int)(retain->next & 0xff), bytes);
    header->length = bytes - 8;
    header->flags = 0;
    header->sequence = retain->next;
    header->timestamp_ns = retain->next * 10;
    dxi_retain_keep(retain, limits, frame, bytes);
    dxi_retain_check(retain, limits);
    for (uint64_t s = retain->first; s < retain->next; s++) {
        const dx_frame_header_t *const kept = dxi_retain_at(retain, s);
        assert_int_equal(((const char *)kept)[dx_frame_header_frame_bytes(kept) - 1],
                         (char)(s & 0xff));
    }
}

static dxi_retain_limits_t limits_of(uint64_t events, uint64_t bytes)
{
    dx_store_relaxed(&memory, 0);
    return (dxi_retain_limits_t){
        .events_max = events, .bytes_max = bytes, .memory = &memory, .memory_max = 1 << 20};
}

static void the_newest_are_kept_up_to_the_number_of_events(void **state)
{
    (void)state;
    const dxi_retain_limits_t limits = limits_of(5, 1 << 20);
    dxi_retain_t retain;
    dxi_retain_init(&retain);
    for (int i = 1; i <= 20; i++) {
        keep(&retain, &limits, 64 + 8 * (uint32_t)(i % 7));
        assert_int_equal(retain.next - retain.first, i < 5 ? i : 5);
    }
    assert_true(dxi_retain_has(&retain, 16) && !dxi_retain_has(&retain, 15));
    assert_int_equal(retain.capacity, 1024); /* no more than it needs */
    dxi_retain_close(&retain, &limits);
    assert_int_equal(dx_load_relaxed(&memory), 0);
}

static void the_newest_are_kept_up_to_the_number_of_bytes(void **state)
{
    (void)state;
    const dxi_retain_limits_t limits = limits_of(1000, 1000);
    dxi_retain_t retain;
    dxi_retain_init(&retain);
    uint64_t seed = 7;
    for (int i = 0; i < 2000; i++) {
        keep(&retain, &limits, 64 + 8 * (uint32_t)(random_next(&seed) >> 59));
        assert_true(retain.used <= 1000);
        assert_true(retain.used > 1000 - 2 * 320 || i < 10);
    }
    keep(&retain, &limits, 1000); /* as large as all together */
    assert_int_equal(retain.next - retain.first, 1);
    keep(&retain, &limits, 1008); /* too large: nothing is kept, without a hole */
    assert_int_equal(retain.next, retain.first);
    keep(&retain, &limits, 64);
    assert_int_equal(retain.next - retain.first, 1);
    dxi_retain_close(&retain, &limits);
}

static void of_a_pack_that_is_too_large_the_last_events_are_kept(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {100, 900, 8, 0, 100, 2000, 64, 120, 200, 40};
    for (int too_large = 0; too_large <= 1; too_large++) {
        const dxi_retain_limits_t limits = limits_of(3 + 997 * (uint64_t)(too_large == 0), 1000);
        dxi_retain_t retain;
        dxi_retain_init(&retain);
        keep(&retain, &limits, 64);
        const uint32_t bytes = rig_pack("t", sizes, COUNT_OF(sizes), frame, sizeof frame);
        ((dx_frame_header_t *)(void *)frame)->sequence = retain.next;
        dxi_retain_keep(&retain, &limits, frame, bytes);
        dxi_retain_check(&retain, &limits);
        assert_int_equal(retain.next, 2 + COUNT_OF(sizes));
        assert_int_equal(retain.first, too_large == 0 ? 8 : 9); /* behind the one of 2000 */
        for (uint64_t s = retain.first; s < retain.next; s++) {
            dx_frame_view_t view;
            const dx_frame_header_t *const kept = dxi_retain_at(&retain, s);
            assert_int_equal(kept->sequence, s);
            assert_ok(dx_frame_view(kept, dx_frame_header_frame_bytes(kept), &view, NULL));
            assert_int_equal(view.payload_bytes, sizes[s - 2]);
            assert_int_equal(*(const char *)view.payload, 'a' + (int)(s - 2));
        }
        keep(&retain, &limits, 1000); /* and goes on */
        dxi_retain_close(&retain, &limits);
        assert_int_equal(dx_load_relaxed(&memory), 0);
    }
}

static void all_topics_share_the_memory(void **state)
{
    (void)state;
    dxi_retain_limits_t limits = limits_of(1000, 1 << 20);
    limits.memory_max = 3000;
    dxi_retain_t a, b, c;
    dxi_retain_init(&a);
    dxi_retain_init(&b);
    dxi_retain_init(&c);
    for (int i = 0; i < 40; i++) {
        keep(&a, &limits, 100 - 100 % 8);
        keep(&b, &limits, 200);
    }
    assert_true(dx_load_relaxed(&memory) <= 3000);
    assert_int_equal(a.capacity + b.capacity, dx_load_relaxed(&memory));
    assert_true(a.next - a.first >= 10 && b.next - b.first >= 4);
    keep(&c, &limits, 64); /* nothing is left for it */
    assert_int_equal(c.next, c.first);
    dxi_retain_close(&a, &limits);
    keep(&c, &limits, 64);
    assert_int_equal(c.next - c.first, 1);
    dxi_retain_close(&b, &limits);
    dxi_retain_close(&c, &limits);
    assert_int_equal(dx_load_relaxed(&memory), 0);
}

static void old_events_go_and_times_are_found(void **state)
{
    (void)state;
    const dxi_retain_limits_t limits = limits_of(100, 1 << 20);
    dxi_retain_t retain;
    dxi_retain_init(&retain);
    assert_int_equal(dxi_retain_find(&retain, 0), 1);
    for (int i = 0; i < 10; i++) {
        keep(&retain, &limits, 72);
    }
    assert_int_equal(dxi_retain_find(&retain, 0), 1);
    assert_int_equal(dxi_retain_find(&retain, 50), 5);
    assert_int_equal(dxi_retain_find(&retain, 51), 6);
    assert_int_equal(dxi_retain_find(&retain, 101), 11);
    assert_int_equal(dxi_retain_expire(&retain, 41), 4);
    assert_int_equal(retain.first, 5);
    dxi_retain_limits_t fewer = limits;
    fewer.events_max = 2;
    dxi_retain_trim(&retain, &fewer);
    assert_int_equal(retain.first, 9);
    assert_int_equal(dxi_retain_expire(&retain, UINT64_MAX), 2);
    dxi_retain_close(&retain, &limits);
}

static int retain_attempt(void)
{
    const dxi_retain_limits_t limits = limits_of(1000, 1 << 20);
    dxi_retain_t retain;
    dxi_retain_init(&retain);
    for (int i = 0; i < 100; i++) {
        keep(&retain, &limits, 200); /* without memory fewer are kept */
    }
    assert_int_equal(retain.next, 101);
    assert_true(retain.next - retain.first >= 4);
    dxi_retain_close(&retain, &limits);
    return DX_OK;
}

static void without_memory_fewer_are_kept(void **state)
{
    (void)state;
    assert_true(fault_sweep(retain_attempt) >= 6);
}

/* ---------------------------------------------------------------------------------------- dedup */

static bool is_seen(dxi_dedup_t *dedup, uint64_t id, uint64_t number, dxi_seen_t expected)
{
    dxi_producer_t *const producer = dxi_dedup_producer(dedup, 0, id);
    assert_non_null(producer);
    dxi_receipt_t receipt = {0};
    const dxi_seen_t seen = dxi_dedup_seen(producer, number, &receipt);
    if (seen == DXI_SEEN) {
        assert_int_equal(receipt.producer_sequence, number);
        assert_int_equal(receipt.sequence, number * 3 + id);
        assert_int_equal(receipt.timestamp_ns, number + 7);
    }
    dxi_dedup_check(dedup);
    return seen == expected;
}

static void take(dxi_dedup_t *dedup, uint64_t id, uint64_t number)
{
    dxi_dedup_note(dedup, dxi_dedup_producer(dedup, 0, id),
                   &(dxi_receipt_t){number, number * 3 + id, number + 7});
    dxi_dedup_check(dedup);
}

static void what_was_taken_is_known_with_its_receipt(void **state)
{
    (void)state;
    dxi_dedup_t dedup;
    dxi_dedup_init(&dedup, 4);
    assert_true(is_seen(&dedup, 9, 1, DXI_SEEN_NEVER));
    take(&dedup, 9, 1);
    take(&dedup, 9, 3);
    take(&dedup, 9, 6);
    for (uint64_t number = 1; number <= 8; number++) {
        const bool taken = number == 1 || number == 3 || number == 6;
        assert_true(is_seen(&dedup, 9, number, taken ? DXI_SEEN : DXI_SEEN_NEVER));
        assert_true(is_seen(&dedup, 10, number, DXI_SEEN_NEVER));
    }
    take(&dedup, 9, 2); /* out of order */
    assert_true(is_seen(&dedup, 9, 2, DXI_SEEN));
    take(&dedup, 9, 1000);
    assert_true(is_seen(&dedup, 9, 2, DXI_SEEN)); /* its receipt still stands there */
    assert_true(is_seen(&dedup, 9, 4, DXI_SEEN_LONG));
    assert_true(is_seen(&dedup, 9, 999, DXI_SEEN_NEVER));
    dxi_dedup_close(&dedup);
}

static void a_busy_producer_has_a_longer_memory_and_forgets_nothing_by_growing(void **state)
{
    (void)state;
    dxi_dedup_t dedup;
    dxi_dedup_init(&dedup, 4);
    for (uint64_t number = 1; number <= 20000; number++) {
        assert_true(is_seen(&dedup, 5, number, DXI_SEEN_NEVER));
        take(&dedup, 5, number);
        assert_true(is_seen(&dedup, 5, number, DXI_SEEN));
        const uint64_t before = number > 10 ? number - 10 : 1;
        assert_true(is_seen(&dedup, 5, before, DXI_SEEN));
        dxi_receipt_t receipt;
        assert_int_not_equal(
            dxi_dedup_seen(dxi_dedup_producer(&dedup, 0, 5), (number + 1) / 2, &receipt),
            DXI_SEEN_NEVER);
    }
    assert_true(is_seen(&dedup, 5, 20000 - 4095, DXI_SEEN));
    assert_true(is_seen(&dedup, 5, 20000 - 4096, DXI_SEEN_LONG));
    dxi_dedup_close(&dedup);
}

static void who_was_not_heard_of_longest_makes_room(void **state)
{
    (void)state;
    dxi_dedup_t dedup;
    dxi_dedup_init(&dedup, 3);
    for (uint64_t id = 1; id <= 3; id++) {
        take(&dedup, id, 1);
    }
    assert_true(is_seen(&dedup, 1, 1, DXI_SEEN)); /* heard of again: now 2 is the oldest */
    take(&dedup, 4, 1);
    assert_int_equal(dedup.count, 3);
    assert_true(is_seen(&dedup, 1, 1, DXI_SEEN));
    assert_true(is_seen(&dedup, 3, 1, DXI_SEEN));
    assert_true(is_seen(&dedup, 2, 1, DXI_SEEN_NEVER));
    dxi_dedup_close(&dedup);
    dxi_dedup_init(&dedup, 100);
    for (uint64_t id = 1; id <= 1000; id++) {
        take(&dedup, id * 4096, 1);
        assert_true(is_seen(&dedup, id * 4096, 1, DXI_SEEN));
    }
    assert_int_equal(dedup.count, 100);
    dxi_dedup_close(&dedup);
}

static int dedup_attempt(void)
{
    dxi_dedup_t dedup;
    int code = DX_OK;
    dxi_dedup_init(&dedup, 100);
    for (uint64_t number = 1; number <= 40 && code == DX_OK; number++) {
        dxi_producer_t *const producer = dxi_dedup_producer(&dedup, 0, 1 + number % 2);
        code = producer != NULL ? DX_OK : DX_ENOMEM;
        if (producer != NULL) {
            dxi_dedup_note(&dedup, producer, &(dxi_receipt_t){number, number, number});
        }
        dxi_dedup_check(&dedup);
    }
    dxi_dedup_close(&dedup);
    return code;
}

static void without_memory_a_producer_is_not_made(void **state)
{
    (void)state;
    assert_true(fault_sweep(dedup_attempt) >= 7);
}

/* ---------------------------------------------------------------------------------------- rates */

static void rates_follow_what_comes_and_fade(void **state)
{
    (void)state;
    dxi_rates_t rates = {0};
    uint64_t events = 0;
    for (int i = 0; i < 12; i++) {
        events += 500;
        assert_true(dxi_rates_tick(&rates, events, DXI_RATES_INTERVAL_NS));
        for (int j = 0; j < 3; j++) {
            assert_true(rates.per_s[j] > 99.9 && rates.per_s[j] < 100.1);
        }
    }
    for (int i = 0; i < 12; i++) { /* a minute of silence */
        assert_true(dxi_rates_tick(&rates, events, DXI_RATES_INTERVAL_NS));
    }
    assert_true(rates.per_s[0] > 36.7 && rates.per_s[0] < 36.9);  /* 100 / e */
    assert_true(rates.per_s[1] > 81.8 && rates.per_s[1] < 81.95); /* 100 / e^(1/5) */
    assert_true(rates.per_s[2] > 93.5 && rates.per_s[2] < 93.6);  /* 100 / e^(1/15) */
    int ticks = 0;
    while (dxi_rates_tick(&rates, events, DXI_RATES_INTERVAL_NS)) {
        assert_true(++ticks < 10000);
    }
    assert_true(rates.per_s[2] == 0);
    assert_false(dxi_rates_tick(&rates, events, 1000 * DXI_RATES_INTERVAL_NS));
}

static void latencies_have_percentiles_near_enough(void **state)
{
    (void)state;
    static dxi_latency_t latency;
    assert_int_equal(dxi_latency_percentile(&latency, 0.5), 0);
    for (int64_t ns = 1; ns <= 100000; ns++) {
        dxi_latency_record(&latency, ns, 1);
    }
    const struct {
        double part;
        int64_t exact_ns;
    } cases[] = {{0.1, 10000}, {0.5, 50000}, {0.9, 90000}, {0.99, 99000}, {1, 100000}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const int64_t told_ns = dxi_latency_percentile(&latency, cases[i].part);
        assert_true(told_ns >= cases[i].exact_ns && told_ns <= cases[i].exact_ns * 5 / 4);
    }
    assert_int_equal(dxi_latency_max(&latency), 100000);
    dxi_latency_record(&latency, -5, 1);
    dxi_latency_record(&latency, INT64_MAX, 1);
    assert_true(dxi_latency_max(&latency) == INT64_MAX);
    dxi_latency_turn(&latency);
    assert_true(dxi_latency_percentile(&latency, 0.5) > 0);
    dxi_latency_turn(&latency);
    assert_int_equal(dxi_latency_percentile(&latency, 0.5), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_are_kept_up_to_the_number_of_events),
        cmocka_unit_test(the_newest_are_kept_up_to_the_number_of_bytes),
        cmocka_unit_test(of_a_pack_that_is_too_large_the_last_events_are_kept),
        cmocka_unit_test(all_topics_share_the_memory),
        cmocka_unit_test(old_events_go_and_times_are_found),
        cmocka_unit_test(without_memory_fewer_are_kept),
        cmocka_unit_test(what_was_taken_is_known_with_its_receipt),
        cmocka_unit_test(a_busy_producer_has_a_longer_memory_and_forgets_nothing_by_growing),
        cmocka_unit_test(who_was_not_heard_of_longest_makes_room),
        cmocka_unit_test(without_memory_a_producer_is_not_made),
        cmocka_unit_test(rates_follow_what_comes_and_fade),
        cmocka_unit_test(latencies_have_percentiles_near_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
