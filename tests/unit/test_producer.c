/* test_producer.c - claiming, filling, publishing and giving up, in one thread.
 *
 * What happens when the ring is full is in test_producer_full.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ring_test.h"

/* ------------------------------------------------------------------------------------- claims */

static void a_claim_returns_the_last_of_its_sequences(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = ring_of(mode, 64);
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_FAIL);
        assert_number(dx_producer_claim(&producer), 0);
        assert_number(dx_producer_claim_n(&producer, 1), 1);
        assert_number(dx_producer_claim_n(&producer, 7), 8);
        assert_number(dx_producer_try_claim_n(&producer, 3), 11);
        assert_number(dx_producer_claim_timed(&producer, 4, 0), 15);
        assert_number(dx_producer_claim_n(&producer, 48), 63);
        assert_code(dx_producer_claim(&producer), DX_EAGAIN);
        dx_ring_destroy(ring);
    }
}

/* All the ways to claim, as one function. */
enum { CLAIM_N, CLAIM_TRY, CLAIM_TIMED, CLAIM_EVENTS, CLAIM_WAYS };

static int translate_nothing(void *event, int64_t sequence, void *context)
{
    (void)event;
    (void)sequence;
    (void)context;
    return DX_OK;
}

static int64_t claim_by(dx_producer_t *producer, int way, int64_t count)
{
    switch (way) {
    case CLAIM_N:
        return dx_producer_claim_n(producer, count);
    case CLAIM_TRY:
        return dx_producer_try_claim_n(producer, count);
    case CLAIM_TIMED:
        return dx_producer_claim_timed(producer, count, SECOND_NS);
    default:
        return dx_producer_publish_events(producer, count, translate_nothing, NULL);
    }
}

/* Fails when: dx_producer_claim_n() adds the count before it looks at it (INT64_MAX wraps). */
static void a_batch_of_no_or_too_many_events_is_refused_and_claims_nothing(void **state)
{
    (void)state;
    static const int64_t counts[] = {0, -1, INT64_MIN, 9, 16, INT64_MAX, INT64_MAX - 1};
    FOR_EACH_MODE(mode)
    {
        for (int way = 0; way < CLAIM_WAYS; way++) {
            dx_ring_t *ring = ring_of(mode, 8);
            dx_producer_t producer;
            open_producer(&producer, ring, DX_FULL_WAIT);
            publish_many(&producer, 2);
            for (size_t i = 0; i < COUNT_OF(counts); i++) {
                assert_code(claim_by(&producer, way, counts[i]), DX_EINVAL);
                assert_false(dx_producer_has_available(&producer, counts[i]));
            }
            assert_number(dx_ring_published(ring), 1);
            assert_number(dx_producer_claim(&producer), 2);
            dx_ring_destroy(ring);
        }
    }
}

static void a_batch_as_large_as_the_ring_is_allowed(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {2, 8, 1024};
    FOR_EACH_MODE(mode)
    {
        for (size_t i = 0; i < COUNT_OF(sizes) * CLAIM_WAYS; i++) {
            const int64_t size = sizes[i / CLAIM_WAYS];
            dx_ring_t *ring = ring_of(mode, (uint32_t)size);
            dx_producer_t producer;
            open_producer(&producer, ring, DX_FULL_WAIT);
            assert_number(claim_by(&producer, (int)(i % CLAIM_WAYS), size), size - 1);
            dx_ring_destroy(ring);
        }
    }
}

static void has_available_is_exact_and_moves_nothing(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = ring_of(mode, 8);
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_FAIL);
        dx_consumer_t consumer;
        open_consumer(&consumer, ring, 0);
        for (int64_t used = 0; used <= 8; used++) {
            const dx_producer_t before = producer;
            for (int64_t count = 1; count <= 9; count++) {
                assert_int_equal(dx_producer_has_available(&producer, count), count <= 8 - used);
            }
            assert_memory_equal(&producer, &before, sizeof(before));
            assert_number(dx_ring_published(ring), -1);
            if (used < 8) {
                assert_number(dx_producer_claim(&producer), used);
            }
        }
        assert_int_equal(dx_producer_publish_range(&producer, 0, 7), DX_OK);
        assert_false(dx_producer_has_available(&producer, 1));
        dx_consumer_release(&consumer, 2);
        assert_true(dx_producer_has_available(&producer, 3));
        assert_false(dx_producer_has_available(&producer, 4));
        dx_ring_destroy(ring);
    }
}

/* Fails when: dx_producer_remaining() does not know the handle's own unpublished claims. */
static void remaining_counts_claims_published_or_not(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = ring_of(mode, 8);
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_FAIL);
        dx_consumer_t consumer;
        open_consumer(&consumer, ring, 0);
        for (int64_t used = 0; used < 8; used++) {
            assert_number(dx_producer_remaining(&producer), 8 - used);
            (void)dx_producer_claim(&producer);
        }
        assert_number(dx_producer_remaining(&producer), 0);
        for (int64_t sequence = 0; sequence < 8; sequence++) {
            assert_int_equal(dx_producer_publish(&producer, sequence), DX_OK);
            assert_number(dx_producer_remaining(&producer), 0);
            assert_number(dx_ring_remaining(ring), mode == DX_RING_SINGLE ? 7 - sequence : 0);
        }
        for (int64_t sequence = 0; sequence < 8; sequence++) {
            dx_consumer_release(&consumer, sequence);
            assert_number(dx_producer_remaining(&producer), sequence + 1);
            assert_number(dx_ring_remaining(ring), sequence + 1);
        }
        dx_ring_destroy(ring);
    }
}

/* LMAX's next() moves the cursor on its slow path: next(10), next(10) on 16 slots publishes ten
 * events that nobody has written. */
static void claims_never_publish(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = ring_of(mode, 16);
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_FAIL);
        dx_consumer_t consumer;
        open_consumer(&consumer, ring, 0);
        assert_number(dx_producer_claim_n(&producer, 10), 9);
        assert_code(dx_producer_claim_n(&producer, 10), DX_EAGAIN);
        assert_number(dx_producer_claim_n(&producer, 6), 15);
        assert_code(dx_producer_try_claim_n(&producer, 1), DX_EAGAIN);
        assert_code(dx_producer_claim_timed(&producer, 1, 1),
                    mode == DX_RING_SINGLE ? DX_EDEADLOCK : DX_ETIMEDOUT);
        assert_number(dx_ring_published(ring), -1);
        assert_number(dx_consumer_poll(&consumer), -1);
        for (int64_t sequence = 0; sequence < 16; sequence++) {
            assert_false(dx_ring_is_available(ring, sequence));
        }
        dx_ring_destroy(ring);
    }
}

static void claims_never_pass_the_slowest_consumer(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = ring_of(mode, 4);
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_FAIL);
        dx_consumer_t fast;
        dx_consumer_t slow;
        open_consumer(&fast, ring, 0);
        open_consumer(&slow, ring, 0);
        publish_many(&producer, 4);
        assert_number(consume_all(&fast), 4);
        assert_code(dx_producer_try_claim_n(&producer, 1), DX_EAGAIN);
        dx_consumer_release(&slow, 0);
        assert_code(dx_producer_try_claim_n(&producer, 2), DX_EAGAIN);
        assert_number(publish_one(&producer), 4);
        assert_code(publish_one(&producer), DX_EAGAIN);
        for (int64_t sequence = 1; sequence < 20; sequence++) {
            assert_true(event_is_right(&slow, sequence));
            dx_consumer_release(&slow, sequence);
            (void)consume_all(&fast);
            assert_number(publish_one(&producer), sequence + 4);
            assert_code(publish_one(&producer), DX_EAGAIN);
        }
        dx_ring_destroy(ring);
    }
}

static void without_consumers_producers_run_freely(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = ring_of(mode, 4);
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_FAIL);
        publish_many(&producer, 1000);
        assert_number(dx_ring_published(ring), 999);
        assert_number(dx_ring_consumed(ring), 999);
        assert_number(dx_ring_remaining(ring), 4);
        dx_ring_destroy(ring);
    }
}

/* ------------------------------------------------------------------------------------- events */

static void the_slot_of_a_sequence_comes_again_each_lap(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 8, 9, 24, 100};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        const size_t stride = (sizes[i] + 7) / 8 * 8;
        dx_ring_t *ring = ring_from(&(dx_ring_options_t){.slot_count = 4, .event_bytes = sizes[i]});
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_FAIL);
        char *first = dx_producer_event(&producer, 0);
        for (int64_t sequence = 0; sequence < 12; sequence++) {
            char *event = dx_producer_event(&producer, sequence);
            assert_ptr_equal(event, first + (size_t)(sequence % 4) * stride);
            assert_int_equal((uintptr_t)event % 8, 0);
        }
        dx_ring_destroy(ring);
    }
}

typedef struct odd {
    int32_t parts[5];
} odd_t; /* 20 bytes in a slot of 24 */

static void typed_access_gives_the_same_slot_to_both_sides(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = ring_from(&(dx_ring_options_t){
            .slot_count = 8, .event_bytes = sizeof(odd_t), .mode = mode, .first_sequence = 5});
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_FAIL);
        dx_consumer_t consumer;
        open_consumer(&consumer, ring, 0);
        for (int64_t sequence = 5; sequence < 30; sequence++) {
            assert_number(dx_producer_claim(&producer), sequence);
            odd_t *written = DX_PRODUCER_EVENT(&producer, sequence, odd_t);
            assert_ptr_equal(written, dx_producer_event(&producer, sequence));
            written->parts[4] = (int32_t)sequence;
            assert_int_equal(dx_producer_publish(&producer, sequence), DX_OK);
            dx_producer_prefetch(&producer, sequence);
            assert_number(dx_consumer_poll(&consumer), sequence);
            const odd_t *read = DX_CONSUMER_EVENT(&consumer, sequence, odd_t);
            assert_ptr_equal(read, dx_consumer_event(&consumer, sequence));
            assert_int_equal(read->parts[4], sequence);
            dx_consumer_release(&consumer, sequence);
        }
        dx_ring_destroy(ring);
    }
}

/* --------------------------------------------------------------------------------- publishing */

static void a_published_batch_is_readable_up_to_its_end(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = ring_of(mode, 16);
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_FAIL);
        dx_consumer_t consumer;
        open_consumer(&consumer, ring, 0);
        for (int64_t first = 0; first < 160; first += 10) {
            assert_number(dx_producer_claim_n(&producer, 10), first + 9);
            for (int64_t sequence = first; sequence < first + 10; sequence++) {
                fill(&producer, sequence);
            }
            assert_int_equal(dx_producer_publish_range(&producer, first, first + 3), DX_OK);
            assert_number(dx_consumer_poll(&consumer), first + 3);
            assert_int_equal(dx_producer_publish_range(&producer, first + 4, first + 9), DX_OK);
            assert_number(dx_consumer_poll(&consumer), first + 9);
            assert_number(consume_all(&consumer), 10);
        }
        dx_ring_destroy(ring);
    }
}

static void several_producers_may_publish_in_any_order(void **state)
{
    (void)state;
    static const struct {
        int order[4];
        int readable[4]; /* the last readable sequence after each */
    } rows[] = {{{0, 1, 2, 3}, {0, 1, 2, 3}},
                {{3, 2, 1, 0}, {-1, -1, -1, 3}},
                {{1, 0, 3, 2}, {-1, 1, 1, 3}},
                {{2, 0, 1, 3}, {-1, 0, 2, 3}}};
    dx_ring_t *ring = ring_of(DX_RING_MULTI, 4);
    dx_producer_t producer;
    open_producer(&producer, ring, DX_FULL_FAIL);
    dx_consumer_t consumer;
    open_consumer(&consumer, ring, 0);
    for (size_t lap = 0; lap < 3 * COUNT_OF(rows); lap++) {
        const size_t row = lap % COUNT_OF(rows);
        const int64_t base = (int64_t)lap * 4;
        assert_number(dx_producer_claim_n(&producer, 4), base + 3);
        for (int i = 0; i < 4; i++) {
            const int64_t sequence = base + rows[row].order[i];
            fill(&producer, sequence);
            assert_false(dx_ring_is_available(ring, sequence));
            assert_int_equal(dx_producer_publish(&producer, sequence), DX_OK);
            assert_true(dx_ring_is_available(ring, sequence));
            assert_number(dx_ring_published(ring), base + rows[row].readable[i]);
            assert_number(dx_consumer_poll(&consumer), base + rows[row].readable[i]);
        }
        assert_number(consume_all(&consumer), 4);
    }
    dx_ring_destroy(ring);
}

static void publishing_one_of_several_claims_publishes_no_other(void **state)
{
    (void)state;
    dx_ring_t *ring = ring_of(DX_RING_MULTI, 16);
    dx_producer_t producer;
    open_producer(&producer, ring, DX_FULL_FAIL);
    publish_many(&producer, 3);
    assert_number(dx_producer_claim_n(&producer, 3), 5);
    assert_int_equal(dx_producer_publish(&producer, 5), DX_OK);
    assert_false(dx_ring_is_available(ring, 3));
    assert_false(dx_ring_is_available(ring, 4));
    assert_true(dx_ring_is_available(ring, 5));
    assert_number(dx_ring_published(ring), 2);
    dx_ring_destroy(ring);
}

/* --------------------------------------------------------------------------- translator calls */

typedef struct script {
    int64_t fail_at; /* the sequence on which the translator fails */
    int code;        /* how */
} script_t;

static int translate(void *event, int64_t sequence, void *context)
{
    const script_t *script = context;
    if (sequence == script->fail_at) {
        return script->code;
    }
    *(event_t *)event = (event_t){.value = sequence, .check = ~sequence};
    return DX_OK;
}

static void publish_event_claims_fills_and_publishes(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = ring_of(mode, 8);
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_FAIL);
        dx_consumer_t consumer;
        open_consumer(&consumer, ring, 0);
        script_t script = {.fail_at = -1};
        assert_number(dx_producer_publish_event(&producer, translate, &script), 0);
        assert_number(dx_producer_publish_events(&producer, 1, translate, &script), 1);
        assert_number(dx_producer_publish_events(&producer, 6, translate, &script), 7);
        assert_code(dx_producer_publish_event(&producer, translate, &script), DX_EAGAIN);
        assert_code(dx_producer_publish_events(&producer, 2, translate, &script), DX_EAGAIN);
        assert_number(consume_all(&consumer), 8);
        dx_ring_destroy(ring);
    }
}

static void a_failing_translator_publishes_nothing_and_leaves_the_ring_usable(void **state)
{
    (void)state;
    static const struct {
        int code;
        int returned;
    } rows[] = {{DX_EIO, DX_EIO}, {-1000, -1000}, {1, DX_EINVAL}};
    FOR_EACH_MODE(mode)
    {
        for (size_t i = 0; i < COUNT_OF(rows) * 4; i++) {
            dx_ring_t *ring = ring_of(mode, 8);
            dx_producer_t producer;
            open_producer(&producer, ring, DX_FULL_FAIL);
            dx_consumer_t consumer;
            open_consumer(&consumer, ring, 0);
            int64_t events = 0;
            for (int round = 0; round < 20; round++) {
                script_t script = {.code = rows[i / 4].code};
                const int64_t next = dx_ring_published(ring) + 1;
                script.fail_at = next + (int64_t)(i % 4);
                const int64_t result =
                    i % 4 == 0 ? dx_producer_publish_event(&producer, translate, &script)
                               : dx_producer_publish_events(&producer, 4, translate, &script);
                assert_number(result, rows[i / 4].returned);
                assert_number(consume_all(&consumer), 0);
                publish_many(&producer, 3);
                events += consume_all(&consumer);
            }
            assert_number(events, 60);
            dx_ring_destroy(ring);
        }
    }
}

static void publish_copy_takes_what_fits(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = ring_of(mode, 4);
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_FAIL);
        dx_consumer_t consumer;
        open_consumer(&consumer, ring, 0);
        const event_t bytes[2] = {{.value = 7, .check = 8}, {.value = 9, .check = 10}};
        assert_number(dx_producer_publish_copy(&producer, bytes, sizeof(event_t)), 0);
        assert_code(dx_producer_publish_copy(&producer, bytes, sizeof(event_t) + 1), DX_EINVAL);
        assert_number(dx_producer_publish_copy(&producer, bytes, 8), 1);
        assert_number(dx_producer_publish_copy(&producer, bytes, 0), 2);
        assert_number(dx_consumer_poll(&consumer), 2);
        assert_number(DX_CONSUMER_EVENT(&consumer, 0, event_t)->check, 8);
        assert_number(DX_CONSUMER_EVENT(&consumer, 1, event_t)->value, 7);
        assert_number(DX_CONSUMER_EVENT(&consumer, 1, event_t)->check, 0);
        assert_number(dx_producer_publish_copy(&producer, bytes, 8), 3);
        assert_code(dx_producer_publish_copy(&producer, bytes, 8), DX_EAGAIN);
        dx_ring_close(ring);
        assert_code(dx_producer_publish_copy(&producer, bytes, 8), DX_ECLOSED);
        dx_ring_destroy(ring);
    }
}

/* ----------------------------------------------------------------------------------- aborting */

static void a_single_producer_takes_its_newest_claims_back(void **state)
{
    (void)state;
    dx_ring_t *ring = ring_of(DX_RING_SINGLE, 8);
    dx_producer_t producer;
    open_producer(&producer, ring, DX_FULL_FAIL);
    dx_consumer_t consumer;
    open_consumer(&consumer, ring, 0);
    assert_number(dx_producer_claim_n(&producer, 8), 7);
    assert_int_equal(dx_producer_abort(&producer, 5, 7), DX_OK);
    assert_number(dx_producer_claim(&producer), 5); /* again */
    for (int64_t sequence = 0; sequence < 6; sequence++) {
        fill(&producer, sequence);
    }
    assert_int_equal(dx_producer_publish_range(&producer, 0, 5), DX_OK);
    assert_number(consume_all(&consumer), 6);
    assert_number(dx_producer_claim(&producer), 6);
    assert_int_equal(dx_producer_abort(&producer, 6, 6), DX_OK);
    assert_number(dx_ring_published(ring), 5);
    dx_ring_stat_t stat;
    dx_ring_stat(ring, &stat);
    assert_number(stat.aborts, 4);
    dx_ring_destroy(ring);
}

static void an_older_claim_given_up_is_passed_over(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = ring_of(mode, 8);
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_FAIL);
        dx_consumer_t consumer;
        open_consumer(&consumer, ring, 0);
        for (int64_t first = 0; first < 40; first += 4) {
            assert_number(dx_producer_claim_n(&producer, 4), first + 3);
            fill(&producer, first + 2);
            fill(&producer, first + 3);
            assert_int_equal(dx_producer_abort(&producer, first, first + 1), DX_OK);
            assert_number(dx_consumer_poll(&consumer), first + 1); /* nobody is held up */
            assert_int_equal(dx_producer_publish_range(&producer, first + 2, first + 3), DX_OK);
            assert_number(consume_all(&consumer), 2);
        }
        dx_ring_destroy(ring);
    }
}

static void several_producers_give_claims_up_in_any_order(void **state)
{
    (void)state;
    dx_ring_t *ring = ring_of(DX_RING_MULTI, 8);
    dx_producer_t one;
    dx_producer_t two;
    open_producer(&one, ring, DX_FULL_FAIL);
    open_producer(&two, ring, DX_FULL_FAIL);
    dx_consumer_t consumer;
    open_consumer(&consumer, ring, 0);
    for (int64_t first = 0; first < 80; first += 4) {
        const int64_t held = dx_producer_claim(&one);
        assert_number(held, first);
        assert_number(dx_producer_claim_n(&two, 2), first + 2);
        assert_number(publish_one(&one), first + 3);
        assert_int_equal(dx_producer_abort(&two, first + 1, first + 2), DX_OK);
        assert_number(dx_consumer_poll(&consumer), first - 1);
        assert_int_equal(dx_producer_abort(&one, held, held), DX_OK);
        assert_number(dx_consumer_poll(&consumer), first + 3);
        assert_number(consume_all(&consumer), 1);
    }
    dx_ring_destroy(ring);
}

/* ------------------------------------------------------------------------------------ handles */

static void each_bad_option_is_refused_with_its_sentence(void **state)
{
    (void)state;
    static const struct {
        dx_producer_options_t options;
        const char *sentence;
    } rows[] = {
        {{.full = (dx_full_policy_t)3}, "full is 3, must be DX_FULL_WAIT, FAIL or DROP"},
        {{.full = (dx_full_policy_t)-1}, "full is -1, must be DX_FULL_WAIT, FAIL or DROP"},
        {{.name = "a name that is one byte too long"}, "name has 32 bytes, must have at most 31"},
        {{.reserved = {1}}, "reserved[0] is 1, must be 0: this library does not know the option"},
        {{.reserved = {0, 2}},
         "reserved[1] is 2, must be 0: this library does not know the option"},
        {{.reserved = {0, 0, 3}},
         "reserved[2] is 3, must be 0: this library does not know the option"},
        {{.reserved = {0, 0, 0, 4}},
         "reserved[3] is 4, must be 0: this library does not know the option"},
        {{.wait = {.timeout_ns = -5}}, "wait.timeout_ns is -5, must be from 0 to 3600000000000"},
    };
    dx_ring_t *ring = ring_of(DX_RING_SINGLE, 8);
    dx_producer_t producer;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        dx_error_t error = {0};
        assert_code(dx_producer_open(&producer, ring, &rows[i].options, &error), DX_EINVAL);
        assert_string_equal(error.message, rows[i].sentence);
        dx_producer_close(&producer); /* allowed: it is not open */
    }
    assert_ok(dx_producer_open(&producer, ring,
                               &(dx_producer_options_t){.name = "a name of exactly 31 characters"},
                               NULL));
    dx_ring_destroy(ring);
}

static void a_single_producer_ring_has_one_producer_at_a_time(void **state)
{
    (void)state;
    dx_ring_t *ring = ring_from(
        &(dx_ring_options_t){.name = "orders", .slot_count = 8, .event_bytes = sizeof(event_t)});
    dx_producer_t first;
    dx_producer_t second;
    open_producer(&first, ring, DX_FULL_FAIL);
    dx_error_t error = {0};
    assert_fails(dx_producer_open(&second, ring, NULL, &error), DX_EBUSY, error,
                 "ring 'orders' is a single-producer ring and has its producer; close it first or "
                 "make the ring with DX_RING_MULTI");
    publish_many(&first, 3);
    (void)dx_producer_claim_n(&first, 4); /* vanishes with the handle */
    dx_producer_close(&first);
    dx_producer_close(&first);
    assert_ok(dx_producer_open(&second, ring, NULL, &error));
    assert_number(publish_one(&second), 3);
    dx_ring_destroy(ring);
}

static void as_many_producers_open_as_the_ring_was_made_for(void **state)
{
    (void)state;
    static const uint32_t limits[] = {0, 1, 3, DX_RING_PRODUCERS_MAX};
    static dx_producer_t producers[DX_RING_PRODUCERS_MAX];
    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        dx_ring_t *ring = ring_from(&(dx_ring_options_t){.slot_count = 8,
                                                         .event_bytes = sizeof(event_t),
                                                         .mode = DX_RING_MULTI,
                                                         .producers_max = limits[i]});
        const uint32_t limit = limits[i] != 0 ? limits[i] : 16;
        for (uint32_t p = 0; p < limit; p++) {
            open_producer(&producers[p], ring, DX_FULL_FAIL);
        }
        char sentence[100];
        (void)snprintf(sentence, sizeof(sentence),
                       "ring 'ring' has %u producers, the most it was made for", limit);
        dx_error_t error = {0};
        dx_producer_t more;
        assert_fails(dx_producer_open(&more, ring, NULL, &error), DX_ELIMIT, error, sentence);
        dx_producer_close(&producers[limit / 2]);
        assert_ok(dx_producer_open(&more, ring, NULL, &error));
        assert_number(publish_one(&more), 0);
        dx_ring_destroy(ring);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_claim_returns_the_last_of_its_sequences),
        cmocka_unit_test(a_batch_of_no_or_too_many_events_is_refused_and_claims_nothing),
        cmocka_unit_test(a_batch_as_large_as_the_ring_is_allowed),
        cmocka_unit_test(has_available_is_exact_and_moves_nothing),
        cmocka_unit_test(remaining_counts_claims_published_or_not),
        cmocka_unit_test(claims_never_publish),
        cmocka_unit_test(claims_never_pass_the_slowest_consumer),
        cmocka_unit_test(without_consumers_producers_run_freely),
        cmocka_unit_test(the_slot_of_a_sequence_comes_again_each_lap),
        cmocka_unit_test(typed_access_gives_the_same_slot_to_both_sides),
        cmocka_unit_test(a_published_batch_is_readable_up_to_its_end),
        cmocka_unit_test(several_producers_may_publish_in_any_order),
        cmocka_unit_test(publishing_one_of_several_claims_publishes_no_other),
        cmocka_unit_test(publish_event_claims_fills_and_publishes),
        cmocka_unit_test(a_failing_translator_publishes_nothing_and_leaves_the_ring_usable),
        cmocka_unit_test(publish_copy_takes_what_fits),
        cmocka_unit_test(a_single_producer_takes_its_newest_claims_back),
        cmocka_unit_test(an_older_claim_given_up_is_passed_over),
        cmocka_unit_test(several_producers_give_claims_up_in_any_order),
        cmocka_unit_test(each_bad_option_is_refused_with_its_sentence),
        cmocka_unit_test(a_single_producer_ring_has_one_producer_at_a_time),
        cmocka_unit_test(as_many_producers_open_as_the_ring_was_made_for),
    };
    return cmocka_run_group_tests_name("producer", tests, NULL, NULL);
}
