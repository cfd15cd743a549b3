/* test_span.c - events of any size, by hand: claiming, walking, the wrap, damage, the limits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "span_test.h"

/* Publishes spans of nothing until the next sequence is `sequence`, and consumes them. */
static void go_to(dx_producer_t *producer, dx_consumer_t *consumer, int64_t sequence)
{
    while (consumer->next < sequence) {
        const int64_t gap = sequence - consumer->next;
        const int64_t slots = gap < SLOTS_PER_SPAN_MAX ? gap : SLOTS_PER_SPAN_MAX;
        const int64_t at = dx_producer_claim_span(
            producer, (size_t)slots * DX_RING_SPAN_SLOT_BYTES - sizeof(dx_span_t));
        assert_number(at, consumer->next);
        assert_code(dx_producer_publish_span(producer, at), DX_OK);
        assert_number(dx_consumer_poll(consumer), at + slots - 1);
        dx_consumer_release(consumer, at + slots - 1);
    }
}

static void every_size_at_every_place_of_the_wrap(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = span_ring(mode, 0);
        dx_producer_t producer;
        dx_consumer_t consumer;
        open_consumer(&consumer, ring, 0);
        open_producer(&producer, ring, DX_FULL_FAIL);
        int64_t next = 0;
        for (uint32_t bytes = 0; bytes <= BYTES_MAX; bytes++) {
            for (int place = 0; place < SLOTS; place++) {
                go_to(&producer, &consumer, next);
                assert_number(consumer.next % SLOTS, place);
                const int64_t sequence = span_publish(&producer, bytes);
                assert_number(sequence, next);
                const dx_span_t *span = dx_producer_span(&producer, sequence);
                assert_int_equal((uintptr_t)dx_span_payload(span) % 8, 0);
                assert_number(span->bytes, bytes);
                assert_number(dx_ring_published(ring), sequence + dx_span_slots(bytes) - 1);
                assert_number(span_consume(&consumer), 1);
                next = (consumer.next / SLOTS + 1) * SLOTS + (place + 1) % SLOTS;
            }
        }
        dx_ring_destroy(ring);
    }
}

static void slots_of_a_payload(void **state)
{
    (void)state;
    const struct {
        uint32_t bytes;
        int64_t slots;
    } table[] = {{0, 1}, {1, 1}, {56, 1}, {57, 2}, {120, 2}, {121, 3}, {UINT32_MAX, 67108865}};
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        assert_number(dx_span_slots(table[i].bytes), table[i].slots);
    }
}

static int never(void *event, int64_t sequence, void *context)
{
    (void)event;
    (void)sequence;
    (void)context;
    fail_msg("the translator of a refused claim was called");
    return DX_OK;
}

static void a_span_has_a_longest_payload(void **state)
{
    (void)state;
    static const char payload[BYTES_MAX + 1];
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = span_ring(mode, 0);
        dx_producer_t producer;
        dx_consumer_t consumer;
        open_consumer(&consumer, ring, 0);
        open_producer(&producer, ring, DX_FULL_FAIL);
        assert_number(dx_ring_span_bytes_max(ring), BYTES_MAX);
        const size_t too_long[] = {BYTES_MAX + 1, UINT32_MAX, (size_t)UINT32_MAX + 1, SIZE_MAX};
        for (size_t i = 0; i < COUNT_OF(too_long); i++) {
            assert_code(dx_producer_claim_span(&producer, too_long[i]), DX_EINVAL);
            assert_code(dx_producer_try_claim_span(&producer, too_long[i]), DX_EINVAL);
            assert_code(dx_producer_claim_span_timed(&producer, too_long[i], 1000), DX_EINVAL);
            assert_code(dx_producer_publish_span_event(&producer, too_long[i], never, NULL),
                        DX_EINVAL);
            /* A length that is too long is never read. */
            assert_code(dx_producer_publish_span_copy(&producer, 0, payload, too_long[i]),
                        DX_EINVAL);
        }
        const uint32_t bytes[] = {0, BYTES_MAX + 1, 0};
        assert_code(dx_producer_claim_spans(&producer, bytes, 3), DX_EINVAL);
        assert_code(dx_producer_claim_spans(&producer, bytes, 0), DX_EINVAL);
        assert_number(dx_producer_remaining(&producer), SLOTS);
        assert_number(span_publish(&producer, BYTES_MAX), 0);
        assert_number(span_publish(&producer, BYTES_MAX), SLOTS_PER_SPAN_MAX);
        assert_number(span_consume(&consumer), 2);
        dx_ring_destroy(ring);
    }
}

static void a_batch_may_take_the_whole_ring_and_no_more(void **state)
{
    (void)state;
    uint32_t bytes[SLOTS + 1] = {0};
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = span_ring(mode, 0);
        dx_producer_t producer;
        dx_consumer_t consumer;
        open_consumer(&consumer, ring, 0);
        open_producer(&producer, ring, DX_FULL_FAIL);
        assert_code(dx_producer_claim_spans(&producer, bytes, SLOTS + 1), DX_EINVAL);
        assert_number(dx_producer_claim_spans(&producer, bytes, SLOTS), 0);
        assert_code(dx_producer_try_claim_span(&producer, 0), DX_EAGAIN);
        for (int64_t sequence = 0; sequence < SLOTS; sequence++) {
            span_fill(dx_producer_span(&producer, sequence), sequence);
        }
        assert_code(dx_producer_publish_spans(&producer, 0, SLOTS - 1), DX_OK);
        assert_number(span_consume(&consumer), SLOTS);
        dx_ring_destroy(ring);
    }
}

static void a_batch_becomes_readable_at_once(void **state)
{
    (void)state;
    const uint32_t bytes[] = {0, 300, 56, 57, BYTES_MAX};
    FOR_EACH_MODE(mode)
    {
        /* 60: the batch goes across the wrap. */
        dx_ring_t *ring = span_ring(mode, 60);
        dx_producer_t producer;
        dx_consumer_t consumer;
        open_consumer(&consumer, ring, 0);
        open_producer(&producer, ring, DX_FULL_FAIL);
        const int64_t first = dx_producer_claim_spans(&producer, bytes, COUNT_OF(bytes));
        assert_number(first, 60);
        int64_t sequence = first;
        int64_t last = first;
        for (size_t i = 0; i < COUNT_OF(bytes); i++) {
            dx_span_t *span = dx_producer_span(&producer, sequence);
            assert_number(span->bytes, bytes[i]);
            assert_number(span->tag, 0);
            span_fill(span, sequence);
            last = sequence;
            sequence += dx_span_slots(bytes[i]);
        }
        assert_number(span_consume(&consumer), 0);
        assert_code(dx_producer_publish_spans(&producer, first, last), DX_OK);
        assert_number(dx_ring_published(ring), sequence - 1);
        assert_number(span_consume(&consumer), COUNT_OF(bytes));
        dx_ring_destroy(ring);
    }
}

static void single_claims_in_a_row_are_published_with_one_store(void **state)
{
    (void)state;
    dx_ring_t *ring = span_ring(DX_RING_SINGLE, 0);
    dx_producer_t producer;
    dx_consumer_t consumer;
    open_consumer(&consumer, ring, 0);
    open_producer(&producer, ring, DX_FULL_FAIL);
    int64_t sequences[3];
    for (uint32_t i = 0; i < 3; i++) {
        sequences[i] = dx_producer_claim_span(&producer, 100 * (i + 1));
        span_fill(dx_producer_span(&producer, sequences[i]), sequences[i]);
        assert_number(dx_consumer_poll(&consumer), -1);
    }
    assert_code(dx_producer_publish_spans(&producer, sequences[0], sequences[2]), DX_OK);
    assert_number(dx_load_relaxed(&dx_ring_block(ring)->cursor), 2 + 4 + 5 - 1);
    assert_number(span_consume(&consumer), 3);
    dx_ring_destroy(ring);
}

static void one_store_publishes_a_span_of_many_slots(void **state)
{
    (void)state;
    dx_ring_t *ring = span_ring(DX_RING_MULTI, 0);
    dx_producer_t early;
    dx_producer_t late;
    dx_consumer_t consumer;
    open_consumer(&consumer, ring, 0);
    open_producer(&early, ring, DX_FULL_FAIL);
    open_producer(&late, ring, DX_FULL_FAIL);
    const int64_t first = dx_producer_claim_span(&early, 500);
    assert_number(span_publish(&late, 200), 8);
    assert_number(span_consume(&consumer), 0); /* it lies behind one that is not published */
    assert_number(dx_ring_published(ring), -1);
    span_fill(dx_producer_span(&early, first), first);
    assert_code(dx_producer_publish_span(&early, first), DX_OK);
    const dx_atomic32_t *stamps = dxi_block_stamps(dx_ring_block(ring));
    for (int i = 0; i < 12; i++) {
        assert_number(dx_load32_relaxed(&stamps[i]), i == 0 || i == 8 ? 0 : -1);
    }
    assert_number(dx_ring_published(ring), 11);
    assert_number(span_consume(&consumer), 2);
    assert_number(dx_producer_remaining(&early), SLOTS);
    dx_ring_destroy(ring);
}

static void the_other_kind_of_claim_is_refused(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *with = span_ring(mode, 0);
        dx_ring_t *without = ring_of(mode, SLOTS);
        dx_producer_t producer;
        dx_consumer_t consumer;
        open_consumer(&consumer, with, 0);
        open_producer(&producer, with, DX_FULL_WAIT);
        for (int i = 0; i < 2; i++) { /* before and after a claim that is in order */
            assert_code(dx_producer_claim(&producer), DX_EINVAL);
            assert_code(dx_producer_claim_n(&producer, 2), DX_EINVAL);
            assert_code(dx_producer_try_claim_n(&producer, 1), DX_EINVAL);
            assert_code(dx_producer_claim_timed(&producer, 1, 1000), DX_EINVAL);
            assert_code(dx_producer_publish_copy(&producer, "", 1), DX_EINVAL);
            assert_code(dx_producer_publish_event(&producer, never, NULL), DX_EINVAL);
            assert_code(dx_producer_publish_events(&producer, 2, never, NULL), DX_EINVAL);
            assert_true(span_publish(&producer, 100) >= 0);
        }
        assert_number(span_consume(&consumer), 2);
        dx_ring_destroy(with);

        assert_code(dx_ring_span_bytes_max(without), DX_EINVAL);
        open_consumer(&consumer, without, 0);
        open_producer(&producer, without, DX_FULL_WAIT);
        const uint32_t bytes[] = {0, 0};
        for (int i = 0; i < 2; i++) {
            assert_code(dx_producer_claim_span(&producer, 0), DX_EINVAL);
            assert_code(dx_producer_claim_span(&producer, 100), DX_EINVAL);
            assert_code(dx_producer_try_claim_span(&producer, 0), DX_EINVAL);
            assert_code(dx_producer_claim_span_timed(&producer, 0, 1000), DX_EINVAL);
            assert_code(dx_producer_claim_spans(&producer, bytes, 2), DX_EINVAL);
            assert_code(dx_producer_publish_span_copy(&producer, 0, "", 1), DX_EINVAL);
            assert_code(dx_producer_publish_span_event(&producer, 0, never, NULL), DX_EINVAL);
            publish_many(&producer, 1);
        }
        dx_spans_t spans = dx_consumer_spans(&consumer, dx_consumer_poll(&consumer));
        assert_null(dx_spans_next(&spans));
        assert_code(spans.code, DX_EINVAL);
        assert_number(spans.next, 0);
        assert_number(consume_all(&consumer), 2);
        dx_ring_destroy(without);
    }
}

static void the_newest_span_is_taken_back(void **state)
{
    (void)state;
    dx_ring_t *ring = span_ring(DX_RING_SINGLE, 0);
    dx_producer_t producer;
    dx_consumer_t consumer;
    open_consumer(&consumer, ring, 0);
    open_producer(&producer, ring, DX_FULL_FAIL);
    assert_number(dx_producer_claim_span(&producer, 10), 0);
    assert_number(dx_producer_claim_span(&producer, 500), 1);
    assert_number(dx_producer_claim_span(&producer, 100), 9);
    assert_code(dx_producer_abort_spans(&producer, 1, 9), DX_OK);
    assert_code(dx_producer_publish_span(&producer, 0), DX_OK);
    assert_number(span_publish(&producer, 0), 1);
    assert_number(dx_consumer_poll(&consumer), 1);
    dx_ring_stat_t stat;
    dx_ring_stat(ring, &stat);
    assert_number(stat.aborts, 2);
    dx_ring_destroy(ring);
}

static void an_aborted_span_is_seen_by_nobody(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = span_ring(mode, 50);
        dx_producer_t producer;
        dx_consumer_t consumer;
        dx_consumer_t behind;
        open_consumer(&consumer, ring, 0);
        open_consumer(&behind, ring, bit_of(&consumer));
        open_producer(&producer, ring, DX_FULL_FAIL);
        for (int round = 0; round < 8; round++) { /* twice around the ring */
            const uint32_t bytes[] = {10, 500, 100, 20};
            int64_t at[4];
            for (int i = 0; i < 4; i++) {
                at[i] = dx_producer_claim_span(&producer, bytes[i]);
                span_fill(dx_producer_span(&producer, at[i]), at[i]);
            }
            assert_code(dx_producer_publish_span(&producer, at[0]), DX_OK);
            /* Its memory may say anything: neither header nor payload of it count. */
            memset(dx_span_payload(dx_producer_span(&producer, at[1])), 0xff, 500);
            assert_code(dx_producer_abort_span(&producer, at[1]), DX_OK);
            dx_producer_span(&producer, at[1])->bytes = UINT32_MAX;
            assert_code(dx_producer_publish_span(&producer, at[2]), DX_OK);
            assert_code(dx_producer_publish_span(&producer, at[3]), DX_OK);
            assert_number(dx_ring_published(ring), at[3]);
            assert_number(span_consume(&consumer), 3);
            assert_number(span_consume(&behind), 3);
        }
        dx_ring_stat_t stat;
        dx_ring_stat(ring, &stat);
        assert_number(stat.aborts, 8);
        dx_ring_destroy(ring);
    }
}

static int refuse(void *event, int64_t sequence, void *context)
{
    dx_span_t *span = event;
    const int *result = context;
    if (*result == DX_OK) {
        span_fill(span, sequence);
    }
    return *result;
}

static void a_translator_may_refuse(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = span_ring(mode, 0);
        dx_producer_t producer;
        dx_consumer_t consumer;
        open_consumer(&consumer, ring, 0);
        open_producer(&producer, ring, DX_FULL_FAIL);
        int result = DX_EPARSE;
        assert_code(dx_producer_publish_span_event(&producer, 200, refuse, &result), DX_EPARSE);
        result = 3;
        assert_code(dx_producer_publish_span_event(&producer, 200, refuse, &result), DX_EINVAL);
        result = DX_OK;
        assert_true(dx_producer_publish_span_event(&producer, 200, refuse, &result) >= 0);
        assert_number(span_consume(&consumer), 1);
        dx_ring_destroy(ring);
    }
}

static void a_payload_is_copied(void **state)
{
    (void)state;
    dx_ring_t *ring = span_ring(DX_RING_SINGLE, 0);
    dx_producer_t producer;
    dx_consumer_t consumer;
    open_consumer(&consumer, ring, 0);
    open_producer(&producer, ring, DX_FULL_FAIL);
    assert_number(dx_producer_publish_span_copy(&producer, 7, "seven", 6), 0);
    assert_number(dx_producer_publish_span_copy(&producer, 8, NULL, 0), 1);
    dx_spans_t spans = dx_consumer_spans(&consumer, dx_consumer_poll(&consumer));
    const dx_span_t *span = dx_spans_next(&spans);
    assert_number(span->tag, 7);
    assert_number(span->bytes, 6);
    assert_string_equal(dx_span_payload(span), "seven");
    span = dx_spans_next(&spans);
    assert_number(span->tag, 8);
    assert_number(span->bytes, 0);
    assert_null(dx_spans_next(&spans));
    dx_ring_destroy(ring);
}

static void a_full_ring_refuses_by_its_policy(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = span_ring(mode, 3);
        dx_producer_t producer;
        dx_consumer_t consumer;
        open_consumer(&consumer, ring, 0);
        open_producer(&producer, ring, DX_FULL_DROP);
        for (int i = 0; i < 3; i++) {
            assert_true(span_publish(&producer, BYTES_MAX) >= 0);
        }
        assert_true(span_publish(&producer, 15 * 64 - 8) >= 0);
        /* One slot is left. */
        assert_code(dx_producer_claim_span(&producer, 57), DX_EDROPPED);
        assert_code(dx_producer_try_claim_span(&producer, 57), DX_EAGAIN);
        assert_code(dx_producer_claim_span_timed(&producer, 57, 0), DX_EAGAIN);
        assert_code(dx_producer_claim_span_timed(&producer, 57, 1000), DX_ETIMEDOUT);
        const uint32_t bytes[] = {0, 0};
        assert_code(dx_producer_claim_spans(&producer, bytes, 2), DX_EDROPPED);
        assert_true(span_publish(&producer, 56) >= 0);
        assert_code(dx_producer_claim_span(&producer, 0), DX_EDROPPED);
        dx_ring_stat_t stat;
        dx_ring_stat(ring, &stat);
        assert_number(stat.drops, 4); /* spans, not slots */
        assert_number(span_consume(&consumer), 5);
        assert_true(span_publish(&producer, BYTES_MAX) >= 0);
        dx_ring_close(ring);
        assert_code(dx_producer_claim_span(&producer, 0), DX_ECLOSED);
        dx_ring_destroy(ring);
    }
}

static void *publish_when_there_is_room(void *context)
{
    dx_producer_t *producer = context;
    for (uint32_t i = 0; i < 200; i++) {
        if (span_publish(producer, i * 37 % (BYTES_MAX + 1)) < 0) {
            return producer; /* not NULL: failed */
        }
    }
    return NULL;
}

static void a_claim_waits_for_room(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = span_ring(mode, 0);
        dx_producer_t producer;
        dx_consumer_t consumer;
        open_consumer(&consumer, ring, 0);
        open_producer(&producer, ring, DX_FULL_WAIT);
        const pthread_t thread = thread_start(publish_when_there_is_room, &producer);
        int64_t count = 0;
        wait_until((count += span_consume(&consumer)) == 200);
        void *failed = NULL;
        assert_int_equal(pthread_join(thread, &failed), 0);
        assert_null(failed);
        dx_ring_destroy(ring);
    }
}

static void damaged_headers_are_found(void **state)
{
    (void)state;
    const uint32_t damage[] = {121, BYTES_MAX, BYTES_MAX + 1, INT32_MAX, UINT32_MAX};
    FOR_EACH_MODE(mode)
    {
        for (size_t i = 0; i < COUNT_OF(damage); i++) {
            dx_ring_t *ring = span_ring(mode, 60);
            dx_producer_t producer;
            dx_consumer_t consumer;
            open_consumer(&consumer, ring, 0);
            open_producer(&producer, ring, DX_FULL_FAIL);
            assert_number(span_publish(&producer, 100), 60);
            assert_number(span_publish(&producer, 100), 62);
            assert_number(dx_consumer_poll(&consumer), 63);
            dx_producer_span(&producer, 62)->bytes = damage[i];
            dx_spans_t spans = dx_consumer_spans(&consumer, 63);
            assert_non_null(dx_spans_next(&spans));
            assert_null(dx_spans_next(&spans));
            assert_code(spans.code, DX_ECORRUPT);
            assert_number(spans.next, 62);
            assert_null(dx_spans_next(&spans)); /* and it stays at that */
            assert_code(spans.code, DX_ECORRUPT);
            assert_number(dx_ring_span_bytes_max(ring), BYTES_MAX);
            /* What walks the stamps ends, too. */
            assert_in_range(dx_ring_published(ring), 62, 62 + SLOTS);
            dx_ring_destroy(ring);
        }
    }
}

static void a_range_longer_than_the_ring_is_damage(void **state)
{
    (void)state;
    dx_ring_t *ring = span_ring(DX_RING_SINGLE, 0);
    dx_producer_t producer;
    dx_consumer_t consumer;
    open_consumer(&consumer, ring, 0);
    open_producer(&producer, ring, DX_FULL_FAIL);
    for (int i = 0; i < SLOTS; i++) {
        assert_number(span_publish(&producer, 0), i);
    }
    const int64_t lasts[] = {SLOTS, INT64_MAX};
    for (size_t i = 0; i < COUNT_OF(lasts); i++) {
        dx_store_relaxed(&dx_ring_block(ring)->cursor, lasts[i]);
        dx_spans_t spans = dx_consumer_spans(&consumer, dx_consumer_poll(&consumer));
        assert_null(dx_spans_next(&spans));
        assert_code(spans.code, DX_ECORRUPT);
        assert_number(spans.next, 0);
    }
    dx_spans_t spans = dx_consumer_spans(&consumer, DX_ETIMEDOUT); /* of a wait */
    assert_null(dx_spans_next(&spans));
    assert_code(spans.code, DX_OK);
    assert_number(spans.next, 0);
    dx_ring_destroy(ring);
}

static void spans_hidden_by_those_ahead_are_left_out(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = span_ring(mode, 55);
        dx_producer_t producer;
        dx_consumer_t ahead;
        dx_consumer_t behind;
        dx_consumer_t beside;
        dx_error_t error;
        assert_code(
            dx_consumer_open(&ahead, ring, &(dx_consumer_options_t){.may_skip = true}, &error),
            DX_OK);
        open_consumer(&behind, ring, bit_of(&ahead));
        open_consumer(&beside, ring, 0);
        open_producer(&producer, ring, DX_FULL_FAIL);
        for (int i = 0; i < 5; i++) {
            assert_true(span_publish(&producer, 300) >= 0);
        }
        assert_code(dx_consumer_skip(&ahead, 60), DX_OK);
        assert_code(dx_consumer_skip(&ahead, 75), DX_OK);
        assert_code(dx_consumer_skip(&ahead, 80), DX_EINVAL);
        assert_number(span_consume(&ahead), 5);
        for (int64_t sequence = 60; sequence < 65; sequence++) {
            assert_true(dx_consumer_is_hidden(&behind, sequence));
        }
        assert_false(dx_consumer_is_hidden(&behind, 65));
        assert_number(span_consume(&behind), 3);
        assert_number(behind.next, 80);
        assert_number(span_consume(&beside), 5);
        dx_ring_destroy(ring);
    }
}

static void a_published_span_is_available_until_its_slots_are_claimed(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = span_ring(mode, 0);
        dx_producer_t producer;
        dx_consumer_t consumer;
        open_consumer(&consumer, ring, 0);
        open_producer(&producer, ring, DX_FULL_FAIL);
        assert_false(dx_ring_is_available(ring, 0));
        assert_number(span_publish(&producer, 0), 0);
        assert_number(span_publish(&producer, 100), 1);
        assert_true(dx_ring_is_available(ring, 0));
        assert_true(dx_ring_is_available(ring, 1));
        assert_false(dx_ring_is_available(ring, 3));
        assert_number(span_consume(&consumer), 2);
        go_to(&producer, &consumer, SLOTS - 1);
        assert_true(dx_ring_is_available(ring, 0));
        assert_true(dx_ring_is_available(ring, 1));
        assert_number(span_publish(&producer, 300), SLOTS - 1); /* slots 0 and 1 in its middle */
        assert_false(dx_ring_is_available(ring, 0));
        assert_false(dx_ring_is_available(ring, 1));
        assert_true(dx_ring_is_available(ring, SLOTS - 1));
        dx_ring_destroy(ring);
    }
}

static void a_span_asks_for_its_lines_in_advance(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = span_ring(mode, SLOTS - 9);
        dx_producer_t producer;
        dx_consumer_t consumer;
        open_consumer(&consumer, ring, 0);
        open_producer(&producer, ring, DX_FULL_FAIL);
        for (int i = 0; i < 20; i++) { /* also across the wrap, where the mirror is touched */
            const int64_t sequence = dx_producer_claim_span(&producer, 400);
            dx_producer_prefetch_span(&producer, sequence);
            span_fill(dx_producer_span(&producer, sequence), sequence);
            assert_code(dx_producer_publish_span(&producer, sequence), DX_OK);
            assert_number(span_consume(&consumer), 1);
        }
        dx_ring_destroy(ring);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_of_a_payload),
        cmocka_unit_test(every_size_at_every_place_of_the_wrap),
        cmocka_unit_test(a_span_has_a_longest_payload),
        cmocka_unit_test(a_batch_may_take_the_whole_ring_and_no_more),
        cmocka_unit_test(a_batch_becomes_readable_at_once),
        cmocka_unit_test(single_claims_in_a_row_are_published_with_one_store),
        cmocka_unit_test(one_store_publishes_a_span_of_many_slots),
        cmocka_unit_test(the_other_kind_of_claim_is_refused),
        cmocka_unit_test(the_newest_span_is_taken_back),
        cmocka_unit_test(an_aborted_span_is_seen_by_nobody),
        cmocka_unit_test(a_translator_may_refuse),
        cmocka_unit_test(a_payload_is_copied),
        cmocka_unit_test(a_full_ring_refuses_by_its_policy),
        cmocka_unit_test(a_claim_waits_for_room),
        cmocka_unit_test(damaged_headers_are_found),
        cmocka_unit_test(a_range_longer_than_the_ring_is_damage),
        cmocka_unit_test(spans_hidden_by_those_ahead_are_left_out),
        cmocka_unit_test(a_published_span_is_available_until_its_slots_are_claimed),
        cmocka_unit_test(a_span_asks_for_its_lines_in_advance),
    };
    return cmocka_run_group_tests_name("span", tests, NULL, NULL);
}
