/* test_mark.c - aborted and skipped events: the words themselves, and consumers that pass them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ring_test.h"

#define SKIP(n) (INT64_C(1) << (n))

static void a_sequence_without_a_mark_has_no_bits(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = ring_of(mode, 8);
        const dx_ring_block_t *block = dx_ring_block(ring);
        for (int64_t sequence = 0; sequence < 100; sequence++) {
            assert_number(dxi_mark_bits(block, sequence), 0);
        }
        dx_ring_destroy(ring);
    }
}

/* Laps that differ in low bits, in the 32nd bit, and where the mark's 47 bits of lap are used up to
 * the top. */
static const int64_t laps[] = {0,
                               1,
                               2,
                               INT32_MAX,
                               INT64_C(1) << 31,
                               (INT64_C(1) << 32) - 1,
                               INT64_C(1) << 32,
                               (INT64_C(1) << 46) - 1,
                               INT64_C(1) << 46,
                               (INT64_C(1) << 47) - 1};

static void a_mark_is_about_one_lap_only(void **state)
{
    (void)state;
    dx_ring_t *ring = ring_of(DX_RING_SINGLE, 8);
    dx_ring_block_t *block = dx_ring_block(ring);
    for (size_t i = 0; i < COUNT_OF(laps); i++) {
        const int64_t sequence = laps[i] * 8 + 5;
        dxi_mark(block, sequence, DXI_MARK_VOID);
        for (size_t other = 0; other < COUNT_OF(laps); other++) {
            assert_number(dxi_mark_bits(block, laps[other] * 8 + 5),
                          other == i ? DXI_MARK_VOID : 0);
            assert_number(dxi_mark_bits(block, laps[other] * 8 + 4), 0);
        }
        assert_number(dx_load_relaxed(&block->marks_last), sequence);
    }
    dx_ring_destroy(ring);
}

static void bits_of_one_lap_are_added_and_those_of_an_older_one_forgotten(void **state)
{
    (void)state;
    dx_ring_t *ring = ring_of(DX_RING_MULTI, 4);
    dx_ring_block_t *block = dx_ring_block(ring);
    dxi_mark(block, 3, SKIP(0));
    dxi_mark(block, 3, SKIP(15));
    assert_number(dxi_mark_bits(block, 3), SKIP(0) | SKIP(15));
    dxi_mark(block, 3, DXI_MARK_VOID);
    dxi_mark(block, 3, SKIP(15));
    assert_number(dxi_mark_bits(block, 3), SKIP(0) | SKIP(15) | DXI_MARK_VOID);
    dxi_mark(block, 7, SKIP(2));
    assert_number(dxi_mark_bits(block, 7), SKIP(2));
    assert_number(dxi_mark_bits(block, 3), 0);
    dx_ring_destroy(ring);
}

static void the_highest_marked_sequence_only_rises(void **state)
{
    (void)state;
    dx_ring_t *ring = ring_of(DX_RING_SINGLE, 8);
    dx_ring_block_t *block = dx_ring_block(ring);
    static const struct {
        int64_t mark;
        int64_t last;
    } rows[] = {{3, 3}, {1, 3}, {3, 3}, {6, 6}, {5, 6}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        dxi_mark(block, rows[i].mark, SKIP(1));
        assert_number(dx_load_relaxed(&block->marks_last), rows[i].last);
    }
    dx_ring_destroy(ring);
}

#define RACE_LAPS 20000

typedef struct marking {
    dx_ring_block_t *block;
    int64_t bit;
    dx_atomic64_t lap; /* both threads mark the same lap at once */
    dx_atomic32_t done;
} marking_t;

static void *mark_each_lap(void *context)
{
    marking_t *marking = context;
    for (int64_t lap = 0; lap < RACE_LAPS; lap++) {
        while (dx_load_acquire(&marking->lap) < lap) {
            (void)sched_yield();
        }
        dxi_mark(marking->block, lap * 2, marking->bit);
        (void)dx_fetch_add32_acq_rel(&marking->done, 1);
    }
    return NULL;
}

/* M3. Fails when: dxi_mark() loads and stores instead of swapping (a bit gets lost). */
static void two_consumers_may_skip_the_same_event_at_once(void **state)
{
    (void)state;
    dx_ring_t *ring = ring_of(DX_RING_SINGLE, 2);
    dx_ring_block_t *block = dx_ring_block(ring);
    marking_t marking = {.block = block, .bit = SKIP(3)};
    const pthread_t thread = thread_start(mark_each_lap, &marking);
    int64_t lost = 0;
    for (int64_t lap = 0; lap < RACE_LAPS; lap++) {
        dx_store_release(&marking.lap, lap);
        dxi_mark(block, lap * 2, SKIP(9));
        wait_until(dx_load32_acquire(&marking.done) == lap + 1);
        lost += dxi_mark_bits(block, lap * 2) != (SKIP(3) | SKIP(9));
    }
    thread_join(thread);
    assert_number(lost, 0);
    assert_number(dx_load_relaxed(&block->marks_last), (RACE_LAPS - 1) * 2);
    dx_ring_destroy(ring);
}

/* ---------------------------------------------------------------------------------- consumers */

#define BATCH 8

/* Publishes a batch in which the bits of `voids` are given up. */
static void publish_with_voids(dx_producer_t *producer, uint32_t voids)
{
    const int64_t last = dx_producer_claim_n(producer, BATCH);
    assert_true(last >= 0);
    const int64_t first = last - BATCH + 1;
    if (producer->stamps == NULL && (voids >> (BATCH - 1) & 1) != 0) {
        voids &= ~(1u << (BATCH - 1)); /* the newest would be taken back, not voided */
    }
    for (int64_t i = 0; i < BATCH; i++) {
        if ((voids >> i & 1) != 0) {
            assert_int_equal(dx_producer_abort(producer, first + i, first + i), DX_OK);
        } else {
            fill(producer, first + i);
            assert_int_equal(dx_producer_publish(producer, first + i), DX_OK);
        }
    }
}

static int collect(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    uint32_t *seen = context;
    assert_number(((event_t *)event)->value, sequence);
    *seen |= 1u << (sequence % BATCH);
    *seen |= end_of_batch ? 1u << BATCH : 0;
    return DX_OK;
}

/* Every pattern of voids in a batch of eight: at the start, in the middle, at the end, all of them;
 * with rings of one, one and a half and eight batches, so over many laps. */
static void voids_are_passed_wherever_they_lie_in_a_batch(void **state)
{
    (void)state;
    static const struct {
        uint32_t slots;
        int64_t first;
    } rows[] = {{8, 0}, {16, 8}, {64, 64 * INT64_C(0x7fffffff)}};
    FOR_EACH_MODE(mode)
    {
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
            dx_ring_t *ring = ring_from(&(dx_ring_options_t){.slot_count = rows[i].slots,
                                                             .event_bytes = sizeof(event_t),
                                                             .mode = mode,
                                                             .first_sequence = rows[i].first});
            dx_producer_t producer;
            open_producer(&producer, ring, DX_FULL_FAIL);
            dx_consumer_t consumer;
            open_consumer(&consumer, ring, 0);
            const uint32_t patterns = mode == DX_RING_MULTI ? 256 : 128;
            for (uint32_t voids = 0; voids < patterns; voids++) {
                publish_with_voids(&producer, voids);
                uint32_t seen = 0;
                assert_int_equal(dx_consumer_drain(&consumer, collect, &seen, 0),
                                 DX_POLL_PROCESSING);
                const uint32_t visible = ~voids & 0xff;
                assert_int_equal(seen, visible | (visible != 0 ? 1u << BATCH : 0));
                assert_number(consumer.next, rows[i].first + BATCH * (voids + 1));
            }
            dx_ring_destroy(ring);
        }
    }
}

static void voids_are_counted_by_who_passes_them(void **state)
{
    (void)state;
    dx_ring_t *ring = ring_of(DX_RING_MULTI, 8);
    dx_producer_t producer;
    open_producer(&producer, ring, DX_FULL_FAIL);
    dx_consumer_t consumer;
    open_consumer(&consumer, ring, 0);
    publish_with_voids(&producer, 0x83);
    uint32_t seen = 0;
    assert_int_equal(dx_consumer_drain(&consumer, collect, &seen, 0), DX_POLL_PROCESSING);
    dx_consumer_stat_t stat;
    assert_ok(dx_ring_consumer_stat(ring, consumer.index, &stat));
    assert_number(stat.events, 5);
    assert_number(stat.voids, 3);
    assert_number(stat.skips, 0);
    dx_ring_stat_t ring_stat;
    dx_ring_stat(ring, &ring_stat);
    assert_number(ring_stat.aborts, 3);
    dx_ring_destroy(ring);
}

/* Consumers behind each other see the same voids. */
static void a_void_is_hidden_from_every_consumer(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = ring_of(mode, 16);
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_FAIL);
        dx_consumer_t first;
        dx_consumer_t second;
        open_consumer(&first, ring, 0);
        open_consumer(&second, ring, bit_of(&first));
        for (int round = 0; round < 10; round++) {
            publish_with_voids(&producer, 0x29);
            assert_number(consume_all(&first), 5);
            assert_number(consume_all(&second), 5);
        }
        dx_ring_destroy(ring);
    }
}

/* ----------------------------------------------------------------------------- skipped events */

static void open_skipper(dx_consumer_t *consumer, dx_ring_t *ring, uint64_t upstream)
{
    assert_ok(dx_consumer_open(
        consumer, ring, &(dx_consumer_options_t){.upstream = upstream, .may_skip = true}, NULL));
}

static void a_skipped_event_is_hidden_from_those_behind_only(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = ring_of(mode, 8);
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_FAIL);
        dx_consumer_t skipper;
        dx_consumer_t beside;
        dx_consumer_t behind;
        dx_consumer_t far_behind;
        open_skipper(&skipper, ring, 0);
        open_consumer(&beside, ring, 0);
        open_consumer(&behind, ring, bit_of(&skipper));
        open_consumer(&far_behind, ring, bit_of(&behind) | bit_of(&beside));
        for (int64_t first = 0; first < 64; first += 4) {
            publish_many(&producer, 4);
            (void)dx_consumer_poll(&skipper);
            assert_int_equal(dx_consumer_skip(&skipper, first + 1), DX_OK);
            assert_int_equal(dx_consumer_skip(&skipper, first + 3), DX_OK);
            assert_false(dx_consumer_is_hidden(&skipper, first + 1));
            assert_number(consume_all(&skipper), 4);
            assert_number(consume_all(&beside), 4);
            assert_number(consume_all(&behind), 2);
            assert_number(consume_all(&far_behind), 2);
        }
        dx_ring_destroy(ring);
    }
}

static void events_skipped_by_either_of_two_are_hidden_behind_both(void **state)
{
    (void)state;
    dx_ring_t *ring = ring_of(DX_RING_MULTI, 8);
    dx_producer_t producer;
    open_producer(&producer, ring, DX_FULL_FAIL);
    dx_consumer_t left;
    dx_consumer_t right;
    dx_consumer_t behind_left;
    dx_consumer_t behind_both;
    open_skipper(&left, ring, 0);
    open_skipper(&right, ring, 0);
    open_consumer(&behind_left, ring, bit_of(&left));
    open_consumer(&behind_both, ring, bit_of(&left) | bit_of(&right));
    publish_many(&producer, 4);
    assert_int_equal(dx_consumer_skip(&left, 0), DX_OK);
    assert_int_equal(dx_consumer_skip(&left, 2), DX_OK);
    assert_int_equal(dx_consumer_skip(&right, 1), DX_OK);
    assert_int_equal(dx_consumer_skip(&right, 2), DX_OK);
    assert_number(consume_all(&left), 4);
    assert_number(consume_all(&right), 4);
    assert_number(consume_all(&behind_left), 2);
    assert_number(consume_all(&behind_both), 1);
    dx_ring_destroy(ring);
}

/* Fails when: dx_consumer_drain() counts every hidden event as a void. */
static void skips_are_counted_by_who_passes_them(void **state)
{
    (void)state;
    dx_ring_t *ring = ring_of(DX_RING_MULTI, 8);
    dx_producer_t producer;
    open_producer(&producer, ring, DX_FULL_FAIL);
    dx_consumer_t skipper;
    dx_consumer_t behind;
    open_skipper(&skipper, ring, 0);
    open_consumer(&behind, ring, bit_of(&skipper));
    publish_with_voids(&producer, 0x01);
    assert_int_equal(dx_consumer_skip(&skipper, 3), DX_OK);
    assert_int_equal(dx_consumer_skip(&skipper, 7), DX_OK);
    assert_number(consume_all(&skipper), 7);
    uint32_t seen = 0;
    assert_int_equal(dx_consumer_drain(&behind, collect, &seen, 0), DX_POLL_PROCESSING);
    dx_consumer_stat_t stat;
    assert_ok(dx_ring_consumer_stat(ring, behind.index, &stat));
    assert_number(stat.events, 5);
    assert_number(stat.voids, 1);
    assert_number(stat.skips, 2);
    dx_ring_destroy(ring);
}

static void only_who_may_skip_skips_and_only_what_it_holds(void **state)
{
    (void)state;
    dx_ring_t *ring = ring_of(DX_RING_MULTI, 8);
    dx_producer_t producer;
    open_producer(&producer, ring, DX_FULL_FAIL);
    dx_consumer_t plain;
    dx_consumer_t skipper;
    open_consumer(&plain, ring, 0);
    open_skipper(&skipper, ring, 0);
    publish_many(&producer, 4);
    assert_code(dx_consumer_skip(&plain, 0), DX_ESTATE);
    dx_consumer_release(&skipper, 1);
    assert_code(dx_consumer_skip(&skipper, 1), DX_EINVAL); /* released */
    assert_code(dx_consumer_skip(&skipper, 4), DX_EINVAL); /* not published */
    assert_code(dx_consumer_skip(&skipper, INT64_MIN), DX_EINVAL);
    assert_code(dx_consumer_skip(&skipper, INT64_MAX), DX_EINVAL);
    assert_code(dx_consumer_skip(&skipper, 2), DX_OK);
    assert_code(dx_consumer_skip(&skipper, 3), DX_OK);
    dx_ring_destroy(ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sequence_without_a_mark_has_no_bits),
        cmocka_unit_test(a_mark_is_about_one_lap_only),
        cmocka_unit_test(bits_of_one_lap_are_added_and_those_of_an_older_one_forgotten),
        cmocka_unit_test(the_highest_marked_sequence_only_rises),
        cmocka_unit_test(two_consumers_may_skip_the_same_event_at_once),
        cmocka_unit_test(voids_are_passed_wherever_they_lie_in_a_batch),
        cmocka_unit_test(voids_are_counted_by_who_passes_them),
        cmocka_unit_test(a_void_is_hidden_from_every_consumer),
        cmocka_unit_test(a_skipped_event_is_hidden_from_those_behind_only),
        cmocka_unit_test(events_skipped_by_either_of_two_are_hidden_behind_both),
        cmocka_unit_test(skips_are_counted_by_who_passes_them),
        cmocka_unit_test(only_who_may_skip_skips_and_only_what_it_holds),
    };
    return cmocka_run_group_tests_name("mark", tests, NULL, NULL);
}
