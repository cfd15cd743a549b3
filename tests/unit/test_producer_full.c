/* test_producer_full.c - the full ring: policies, waits and what ends them, and claims that race.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ring_test.h"

/* ----------------------------------------------------------------------------- claims that race */

/* A producer that was interrupted between its look at block->claimed and its fetch-add: a negative
 * margin lets any look pass. */
static void interrupt_before_fetch_add(dx_producer_t *producer)
{
    assert_true(producer->fetch_add_max > 0);
    producer->fetch_add_margin = -1000000;
}

/* Fails when: dx_producer_claim_n() believes its fetch-add. It then owns slots that the consumer has
 * not read: others have filled the ring by compare-and-swap in the meantime. */
static void a_fetch_add_that_comes_late_does_not_pass_the_consumers(void **state)
{
    (void)state;
    static const struct {
        dx_full_policy_t full;
        int code;
    } rows[] = {
        {DX_FULL_FAIL, DX_EAGAIN}, {DX_FULL_DROP, DX_EDROPPED}, {DX_FULL_WAIT, DX_ETIMEDOUT}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        dx_ring_t *ring = ring_of(DX_RING_MULTI, 256);
        dx_producer_t late;
        assert_ok(dx_producer_open(
            &late, ring,
            &(dx_producer_options_t){.full = rows[i].full, .wait = {.timeout_ns = 1000}}, NULL));
        dx_producer_t other;
        open_producer(&other, ring, DX_FULL_FAIL);
        dx_consumer_t consumer;
        open_consumer(&consumer, ring, 0);
        interrupt_before_fetch_add(&late);
        publish_many(&other, 256);
        assert_code(dx_producer_claim_n(&late, 2), rows[i].code);
        assert_number(dx_load_relaxed(&dx_ring_block(ring)->claimed), 255);
        assert_number(dx_ring_published(ring), 255);
        dx_consumer_release(&consumer, 2);
        late.fetch_add_margin = 1000;
        assert_number(dx_producer_claim_n(&late, 2), 257);
        dx_ring_destroy(ring);
    }
}

/* Fails when: a late fetch-add takes back a claim that fits after all. */
static void a_fetch_add_that_comes_late_stands_when_there_is_room_by_now(void **state)
{
    (void)state;
    dx_ring_t *ring = ring_of(DX_RING_MULTI, 256);
    dx_consumer_t consumer;
    open_consumer(&consumer, ring, 0);
    dx_producer_t late;
    dx_producer_t other;
    open_producer(&late, ring, DX_FULL_FAIL);
    open_producer(&other, ring, DX_FULL_FAIL);
    interrupt_before_fetch_add(&late);
    publish_many(&other, 256);
    assert_number(consume_all(&consumer), 256);
    assert_number(publish_one(&late), 256);
    assert_number(consume_all(&consumer), 1);
    dx_ring_destroy(ring);
}

typedef struct undo {
    dx_ring_t *ring;
    dx_consumer_t *consumer;
    int64_t top;     /* what stands on top of the late claim: taken back at the second look */
    int64_t release; /* or, when not negative, the consumer moves on to here */
    int looks;
} undo_t;

static void undo_on_second_look(const char *point, void *context)
{
    undo_t *undo = context;
    if (strcmp(point, "claim:overshot") != 0 || ++undo->looks != 2) {
        return;
    }
    if (undo->release >= 0) {
        dx_consumer_release(undo->consumer, undo->release);
    } else {
        (void)dx_fetch_add_relaxed(&dx_ring_block(undo->ring)->claimed, -undo->top);
    }
}

/* Two late fetch-adds, one on top of the other: the lower one has to wait until the upper one is
 * taken back, or until there is room for both.
 * Fails when: the lower one gives its sequences back although others stand on top (the next claim
 * would get them twice), or gives up at the first look. */
static void late_fetch_adds_are_taken_back_from_the_top(void **state)
{
    (void)state;
    for (int with_room = 0; with_room < 2; with_room++) {
        dx_ring_t *ring = ring_of(DX_RING_MULTI, 256);
        dx_consumer_t consumer;
        open_consumer(&consumer, ring, 0);
        dx_producer_t late;
        dx_producer_t other;
        open_producer(&late, ring, DX_FULL_FAIL);
        open_producer(&other, ring, DX_FULL_FAIL);
        publish_many(&other, 256);
        undo_t undo = {
            .ring = ring, .consumer = &consumer, .top = 3, .release = with_room ? 10 : -1};
        /* Ours took 256 and 257, on top of it somebody took 258 to 260. */
        assert_number(dx_fetch_add_relaxed(&dx_ring_block(ring)->claimed, 2 + 3), 255);
        dxi_point_set(undo_on_second_look, &undo);
        const dxi_claim_t claim = dxi_claim_overshot(late.core, 257, 2);
        dxi_point_set(NULL, NULL);
        assert_int_equal(undo.looks, 2);
        if (with_room) {
            assert_number(claim.last, 257);
            assert_number(dx_load_relaxed(&dx_ring_block(ring)->claimed), 260);
        } else {
            assert_code(claim.last, DX_EAGAIN);
            assert_number(dx_load_relaxed(&dx_ring_block(ring)->claimed), 255);
        }
        dx_ring_destroy(ring);
    }
}

/* Fails when: dxi_published() trusts block->claimed: a fetch-add that is about to be taken back
 * stands above consumed + slot_count, and unpublished events would count as published. */
static void a_claim_about_to_be_taken_back_publishes_nothing(void **state)
{
    (void)state;
    dx_ring_t *ring = ring_of(DX_RING_MULTI, 256);
    dx_consumer_t consumer;
    open_consumer(&consumer, ring, 0);
    dx_producer_t producer;
    open_producer(&producer, ring, DX_FULL_FAIL);
    assert_number(dx_producer_claim_n(&producer, 256), 255); /* the first stays unpublished */
    assert_int_equal(dx_producer_publish_range(&producer, 1, 255), DX_OK);
    const int64_t margin = dx_ring_block(ring)->fetch_add_margin;
    assert_true(margin > 0);
    (void)dx_fetch_add_relaxed(&dx_ring_block(ring)->claimed, margin);
    assert_number(dx_ring_published(ring), -1);
    assert_number(dx_ring_remaining(ring), 0);
    (void)dx_fetch_add_relaxed(&dx_ring_block(ring)->claimed, -margin);
    assert_number(dx_ring_published(ring), -1);
    assert_int_equal(dx_producer_publish(&producer, 0), DX_OK);
    assert_number(dx_ring_published(ring), 255);
    dx_ring_destroy(ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fetch_add_that_comes_late_does_not_pass_the_consumers),
        cmocka_unit_test(a_fetch_add_that_comes_late_stands_when_there_is_room_by_now),
        cmocka_unit_test(late_fetch_adds_are_taken_back_from_the_top),
        cmocka_unit_test(a_claim_about_to_be_taken_back_publishes_nothing),
    };
    return cmocka_run_group_tests_name("producer_full", tests, NULL, NULL);
}
