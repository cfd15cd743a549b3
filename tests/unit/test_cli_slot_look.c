/* test_cli_slot_look.c - looking at events that others use: each state, and what happens between
 * the copy and the look after it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/slot_look.h"

#include "disruptorx/span.h"
#include "ring_test.h"

#define SLOTS 8

static int64_t claim(dx_producer_t *producer)
{
    const int64_t sequence = dx_producer_claim(producer);
    assert_true(sequence >= 0);
    fill(producer, sequence);
    return sequence;
}

static void publish(dx_producer_t *producer, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        assert_true(publish_one(producer) >= 0);
    }
}

static dxi_slot_look_t look_at(const dx_ring_t *ring, int64_t sequence, event_t *event_out)
{
    dxi_slot_look_t look;
    memset(event_out, 0xee, sizeof *event_out);
    dxi_slot_look(ring, sequence, false, event_out, sizeof *event_out, &look);
    assert_int_equal(look.sequence, sequence);
    assert_int_equal(look.slots, 1);
    return look;
}

static void assert_state(const dx_ring_t *ring, int64_t sequence, dxi_slot_state_t state)
{
    event_t event;
    const dxi_slot_look_t look = look_at(ring, sequence, &event);
    assert_string_equal(dxi_slot_state_name(look.state), dxi_slot_state_name(state));
}

static void events_are_published_then_released_then_overwritten(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = ring_of(mode, SLOTS);
        dx_producer_t producer;
        dx_consumer_t consumer;
        event_t event;
        open_producer(&producer, ring, DX_FULL_FAIL);
        open_consumer(&consumer, ring, 0);
        assert_int_equal(dxi_slot_range(ring).last, -1);
        publish(&producer, 5);
        assert_int_equal(dxi_slot_range(ring).first, 0);
        assert_int_equal(dxi_slot_range(ring).last, 4);
        dxi_slot_look_t look = look_at(ring, 4, &event);
        assert_int_equal(look.state, DXI_SLOT_PUBLISHED);
        assert_true(look.certain && look.has_bytes && look.bytes == sizeof event);
        assert_int_equal(event.value, 4);
        assert_state(ring, 5, DXI_SLOT_UNPUBLISHED);

        dx_consumer_release(&consumer, 3);
        look = look_at(ring, 3, &event);
        assert_int_equal(look.state, DXI_SLOT_RELEASED);
        assert_int_equal(event.value, 3);
        /* A single producer may have claimed the slot again: nobody can tell. */
        assert_int_equal(look.certain, mode == DX_RING_MULTI);
        assert_state(ring, 4, DXI_SLOT_PUBLISHED);

        publish(&producer, 6); /* to 10, which takes the slot of 2 */
        assert_int_equal(dxi_slot_range(ring).first, 3);
        look = look_at(ring, 2, &event);
        assert_int_equal(look.state, DXI_SLOT_OVERWRITTEN);
        assert_false(look.has_bytes);
        assert_state(ring, 3, DXI_SLOT_RELEASED);
        dx_consumer_close(&consumer);
        dx_producer_close(&producer);
        dx_ring_destroy(ring);
    }
}

static void a_claim_names_its_holder_and_spoils_what_its_slot_held(void **state)
{
    (void)state;
    dx_ring_t *ring = ring_of(DX_RING_MULTI, SLOTS);
    dx_producer_t first;
    dx_producer_t second;
    event_t event;
    open_producer(&first, ring, DX_FULL_FAIL);
    open_producer(&second, ring, DX_FULL_FAIL);
    publish(&first, SLOTS);
    assert_state(ring, 0, DXI_SLOT_RELEASED);
    const int64_t sequence = claim(&second);
    const dxi_slot_look_t look = look_at(ring, sequence, &event);
    assert_int_equal(look.state, DXI_SLOT_UNPUBLISHED);
    assert_false(look.has_bytes);
    assert_int_equal(look.holder, 1);
    assert_state(ring, 0, DXI_SLOT_OVERWRITTEN); /* though its stamp still stands */
    assert_code(dx_producer_publish(&second, sequence), DX_OK);
    assert_state(ring, sequence, DXI_SLOT_RELEASED);
    dx_producer_close(&second);
    dx_producer_close(&first);
    dx_ring_destroy(ring);
}

static void marks_are_shown(void **state)
{
    (void)state;
    dx_ring_t *ring = ring_of(DX_RING_MULTI, SLOTS);
    dx_producer_t producer;
    dx_consumer_t skipper;
    event_t event;
    const dx_consumer_options_t options = {.may_skip = true};
    open_producer(&producer, ring, DX_FULL_FAIL);
    assert_ok(dx_consumer_open(&skipper, ring, &options, NULL));
    publish(&producer, 2);
    assert_ok(dx_producer_abort(&producer, claim(&producer), 2));
    assert_int_equal(dx_consumer_poll(&skipper), 2);
    assert_ok(dx_consumer_skip(&skipper, 1));
    assert_state(ring, 0, DXI_SLOT_PUBLISHED);
    const dxi_slot_look_t look = look_at(ring, 1, &event);
    assert_int_equal(look.state, DXI_SLOT_SKIPPED);
    assert_int_equal(look.skippers, 1);
    assert_int_equal(event.value, 1);
    assert_state(ring, 2, DXI_SLOT_VOID);
    dx_consumer_close(&skipper);
    dx_producer_close(&producer);
    dx_ring_destroy(ring);
}

/* Goes round the ring once, between the copy and the look after it. */
static void overtake(const char *point, void *context)
{
    if (strcmp(point, "slot-look:copied") == 0) {
        dxi_point_set(NULL, NULL);
        publish(context, SLOTS);
    }
}

static void a_copy_that_was_overtaken_is_not_shown(void **state)
{
    (void)state;
    NEEDS_TEST_HOOKS();
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = ring_of(mode, SLOTS);
        dx_producer_t producer;
        event_t event;
        open_producer(&producer, ring, DX_FULL_FAIL);
        publish(&producer, SLOTS);
        assert_state(ring, 3, DXI_SLOT_RELEASED);
        dxi_point_set(overtake, &producer);
        const dxi_slot_look_t look = look_at(ring, 3, &event);
        dxi_point_set(NULL, NULL);
        assert_int_equal(look.state, DXI_SLOT_OVERWRITTEN);
        assert_false(look.has_bytes);
        dx_producer_close(&producer);
        dx_ring_destroy(ring);
    }
}

static void only_as_many_bytes_are_copied_as_wanted(void **state)
{
    (void)state;
    dx_ring_t *ring = ring_of(DX_RING_SINGLE, SLOTS);
    dx_producer_t producer;
    dxi_slot_look_t look;
    char bytes[sizeof(event_t)];
    open_producer(&producer, ring, DX_FULL_FAIL);
    publish(&producer, 4);
    for (size_t wanted = 0; wanted <= sizeof bytes; wanted++) {
        memset(bytes, 0x5a, sizeof bytes);
        dxi_slot_look(ring, 3, false, bytes, wanted, &look);
        assert_int_equal(look.copied, wanted);
        const event_t expected = {3, ~3};
        assert_memory_equal(bytes, &expected, wanted);
        for (size_t i = wanted; i < sizeof bytes; i++) {
            assert_int_equal(bytes[i], 0x5a);
        }
    }
    dx_producer_close(&producer);
    dx_ring_destroy(ring);
}

/* Publishes a span of `bytes` bytes, each of them `tag`. */
static int64_t publish_span(dx_producer_t *producer, size_t bytes, uint32_t tag)
{
    const int64_t sequence = dx_producer_claim_span(producer, bytes);
    assert_true(sequence >= 0);
    dx_span_t *span = dx_producer_span(producer, sequence);
    span->tag = tag;
    memset(dx_span_payload(span), (int)tag, bytes);
    assert_code(dx_producer_publish_span(producer, sequence), DX_OK);
    return sequence;
}

static void spans_are_walked_by_their_sizes_also_across_the_wrap(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring =
            ring_from(&(dx_ring_options_t){.slot_count = 64, .mode = mode, .spans = true});
        dx_producer_t producer;
        dx_consumer_t consumer;
        open_producer(&producer, ring, DX_FULL_FAIL);
        open_consumer(&consumer, ring, 0);
        char bytes[1024];
        /* 1 + 4 + 16 slots: the fourth round goes over the end. */
        static const size_t sizes[] = {0, 200, 1000};
        for (uint32_t round = 1; round <= 5; round++) {
            const int64_t first = publish_span(&producer, sizes[0], round);
            (void)publish_span(&producer, sizes[1], round + 10);
            (void)publish_span(&producer, sizes[2], round + 20);
            int64_t at = dxi_slot_span_begin(ring, consumer.next);
            assert_int_equal(at, first);
            for (size_t i = 0; i < COUNT_OF(sizes); i++) {
                dxi_slot_look_t look;
                dxi_slot_look(ring, at, true, bytes, sizeof bytes, &look);
                assert_int_equal(look.state, DXI_SLOT_PUBLISHED);
                assert_int_equal(look.bytes, sizes[i]);
                assert_int_equal(look.copied, sizes[i]);
                assert_int_equal(look.tag, round + 10 * i);
                for (size_t k = 0; k < sizes[i]; k++) {
                    assert_int_equal(bytes[k], look.tag);
                }
                at += look.slots;
            }
            assert_int_equal(dx_consumer_poll(&consumer), at - 1);
            dx_consumer_release(&consumer, at - 1);
        }
        dx_consumer_close(&consumer);
        dx_producer_close(&producer);
        dx_ring_destroy(ring);
    }
}

static void unpublished_and_void_spans_are_told_apart(void **state)
{
    (void)state;
    dx_ring_t *ring =
        ring_from(&(dx_ring_options_t){.slot_count = 64, .mode = DX_RING_MULTI, .spans = true});
    dx_producer_t first;
    dx_producer_t second;
    dxi_slot_look_t look;
    open_producer(&first, ring, DX_FULL_FAIL);
    open_producer(&second, ring, DX_FULL_FAIL);
    const int64_t open = dx_producer_claim_span(&first, 200);
    const int64_t behind = publish_span(&second, 100, 7);
    dxi_slot_look(ring, open, true, NULL, 0, &look);
    assert_int_equal(look.state, DXI_SLOT_UNPUBLISHED);
    assert_int_equal(look.slots, behind - open);
    assert_int_equal(look.holder, 0);
    assert_int_equal(dxi_slot_span_next(ring, open), behind);
    dxi_slot_look(ring, behind + 1, false, NULL, 0, &look); /* not reached yet: a hole before it */
    assert_int_equal(look.state, DXI_SLOT_UNPUBLISHED);
    assert_int_equal(dxi_slot_span_begin(ring, behind + 1), behind);
    assert_code(dx_producer_abort_span(&first, open), DX_OK);
    dxi_slot_look(ring, open, true, NULL, 0, &look);
    assert_int_equal(look.state, DXI_SLOT_VOID);
    assert_int_equal(look.slots, 1);
    dxi_slot_look(ring, behind + 1, false, NULL, 0, &look); /* the second slot of a span */
    assert_string_equal(dxi_slot_state_name(look.state), "released");
    dx_producer_close(&second);
    dx_producer_close(&first);
    dx_ring_destroy(ring);
}

static void a_size_that_cannot_be_is_broken_and_leads_nowhere(void **state)
{
    (void)state;
    dx_ring_t *ring =
        ring_from(&(dx_ring_options_t){.slot_count = 64, .mode = DX_RING_MULTI, .spans = true});
    dx_producer_t producer;
    dxi_slot_look_t look;
    char bytes[64];
    open_producer(&producer, ring, DX_FULL_FAIL);
    const int64_t sequence = publish_span(&producer, 10, 1);
    static const uint32_t sizes[] = {16 * 64 - 7, UINT32_MAX};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        dx_producer_span(&producer, sequence)->bytes = sizes[i];
        dxi_slot_look(ring, sequence, true, bytes, sizeof bytes, &look);
        assert_int_equal(look.state, DXI_SLOT_BROKEN);
        assert_false(look.has_bytes);
        assert_int_equal(look.slots, 1);
    }
    dx_producer_span(&producer, sequence)->bytes = 10;
    dx_producer_close(&producer);
    dx_ring_destroy(ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_published_then_released_then_overwritten),
        cmocka_unit_test(a_claim_names_its_holder_and_spoils_what_its_slot_held),
        cmocka_unit_test(marks_are_shown),
        cmocka_unit_test(a_copy_that_was_overtaken_is_not_shown),
        cmocka_unit_test(only_as_many_bytes_are_copied_as_wanted),
        cmocka_unit_test(spans_are_walked_by_their_sizes_also_across_the_wrap),
        cmocka_unit_test(unpublished_and_void_spans_are_told_apart),
        cmocka_unit_test(a_size_that_cannot_be_is_broken_and_leads_nowhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
