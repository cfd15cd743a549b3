/* test_ring.c - making, closing and resetting a ring; its laps; what it says of itself.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ring_test.h"

/* ------------------------------------------------------------------------------------ options */

#define GOOD .slot_count = 8, .event_bytes = sizeof(event_t)

static void each_bad_option_is_refused_with_its_sentence(void **state)
{
    (void)state;
    static const struct {
        dx_ring_options_t options;
        int code;
        const char *sentence;
    } rows[] = {
        {{.event_bytes = 8},
         DX_EINVAL,
         "slot_count is 0, must be a power of two from 2 to 67108864"},
        {{.event_bytes = 8, .slot_count = 1},
         DX_EINVAL,
         "slot_count is 1, must be a power of two from 2 to 67108864"},
        {{.event_bytes = 8, .slot_count = 1000},
         DX_EINVAL,
         "slot_count is 1000, must be a power of two from 2 to 67108864"},
        {{.event_bytes = 8, .slot_count = DX_RING_SLOT_COUNT_MAX + 1},
         DX_EINVAL,
         "slot_count is 67108865, must be a power of two from 2 to 67108864"},
        {{.event_bytes = 8, .slot_count = DX_RING_SLOT_COUNT_MAX * 2},
         DX_EINVAL,
         "slot_count is 134217728, must be a power of two from 2 to 67108864"},
        {{.slot_count = 8}, DX_EINVAL, "event_bytes is 0, must be from 1 to 1048576"},
        {{.slot_count = 8, .event_bytes = DX_RING_EVENT_BYTES_MAX + 1},
         DX_EINVAL,
         "event_bytes is 1048577, must be from 1 to 1048576"},
        {{GOOD, .mode = (dx_ring_mode_t)2},
         DX_EINVAL,
         "mode is 2, must be DX_RING_SINGLE or DX_RING_MULTI"},
        {{GOOD, .mode = (dx_ring_mode_t)-1},
         DX_EINVAL,
         "mode is -1, must be DX_RING_SINGLE or DX_RING_MULTI"},
        {{GOOD, .consumers_max = DX_RING_CONSUMERS_MAX + 1},
         DX_EINVAL,
         "consumers_max is 61, must be from 0 to 60"},
        {{GOOD, .producers_max = DX_RING_PRODUCERS_MAX + 1},
         DX_EINVAL,
         "producers_max is 257, must be from 0 to 256"},
        {{GOOD, .first_sequence = -1},
         DX_EINVAL,
         "first_sequence is -1, must be from 0 to 4611686018427387903"},
        {{GOOD, .first_sequence = INT64_MAX / 2 + 1},
         DX_EINVAL,
         "first_sequence is 4611686018427387904, must be from 0 to 4611686018427387903"},
        {{GOOD, .name = "a name that is one byte too long"},
         DX_EINVAL,
         "name has 32 bytes, must have at most 31"},
        {{GOOD, .reserved = {1}},
         DX_EINVAL,
         "reserved[0] is 1, must be 0: this library does not know the option"},
        {{GOOD, .reserved = {0, 2}},
         DX_EINVAL,
         "reserved[1] is 2, must be 0: this library does not know the option"},
        {{GOOD, .reserved = {0, 0, 3}},
         DX_EINVAL,
         "reserved[2] is 3, must be 0: this library does not know the option"},
        {{GOOD, .reserved = {0, 0, 0, 4}},
         DX_EINVAL,
         "reserved[3] is 4, must be 0: this library does not know the option"},
        {{GOOD, .memory = {.reserved = {9}}},
         DX_EINVAL,
         "ring of 8 slots: reserved[0] is 9, must be 0: this library does not know the option"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const int64_t live_before = dxi_live_count();
        dx_ring_t *ring = (dx_ring_t *)&rows;
        dx_error_t error = {0};
        assert_code(dx_ring_create(&rows[i].options, &ring, &error), rows[i].code);
        assert_string_equal(error.message, rows[i].sentence);
        assert_code(error.code, rows[i].code);
        assert_null(ring);
        assert_code(dx_ring_create(&rows[i].options, &ring, NULL), rows[i].code);
        assert_number(dxi_live_count(), live_before);
    }
}

static void a_ring_of_more_bytes_than_allowed_is_refused(void **state)
{
    (void)state;
    const dx_ring_options_t options = {.slot_count = 1u << 20, .event_bytes = 1u << 20};
    dx_ring_t *ring = NULL;
    dx_error_t error = {0};
    assert_fails(dx_ring_create(&options, &ring, &error), DX_ELIMIT, error,
                 "slot_count 1048576 of 1048576 bytes needs 10995");
    assert_contains(error.message, " bytes, must be at most 1099511627776");
    assert_null(ring);
}

/* The largest values would need more memory than a test may take. So the first allocation is made
 * to fail: a ring that gets so far has passed its checks. */
static void each_limit_is_accepted_at_its_value(void **state)
{
    (void)state;
    NEEDS_TEST_HOOKS();
    static const dx_ring_options_t rows[] = {
        {.slot_count = DX_RING_SLOT_COUNT_MIN, .event_bytes = 1},
        {.slot_count = DX_RING_SLOT_COUNT_MAX, .event_bytes = 1},
        {.slot_count = 2, .event_bytes = DX_RING_EVENT_BYTES_MAX},
        {.slot_count = 1u << 20, .event_bytes = DX_RING_EVENT_BYTES_MAX - 64},
        {GOOD, .consumers_max = DX_RING_CONSUMERS_MAX},
        {GOOD, .mode = DX_RING_MULTI, .producers_max = DX_RING_PRODUCERS_MAX},
        {GOOD, .first_sequence = INT64_MAX / 2},
        {GOOD, .name = "a name of exactly 31 characters"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        dx_ring_t *ring = NULL;
        dx_error_t error = {0};
        dxi_fault_arm(0);
        const int code = dx_ring_create(&rows[i], &ring, &error);
        dxi_fault_disarm();
        assert_code(code, DX_ENOMEM);
        assert_non_null(strstr(error.message, "no memory for a ring"));
        if (rows[i].slot_count <= 8) {
            ring = ring_from(&rows[i]);
            assert_number(dx_ring_remaining(ring), rows[i].slot_count);
            dx_ring_destroy(ring);
        }
    }
}

static int attempt_create(void)
{
    dx_ring_t *ring = NULL;
    const dx_ring_options_t options = {GOOD, .mode = DX_RING_MULTI};
    const int code = dx_ring_create(&options, &ring, NULL);
    assert_int_equal(ring != NULL, code == DX_OK);
    dx_ring_destroy(ring);
    return code;
}

static void a_ring_that_cannot_be_made_leaves_nothing_behind(void **state)
{
    (void)state;
    assert_in_range(fault_sweep(attempt_create), 3, 20);
}

static void destroying_nothing_is_allowed(void **state)
{
    (void)state;
    dx_ring_destroy(NULL);
}

/* ------------------------------------------------------------------------------------- layout */

static void what_different_threads_write_is_128_bytes_apart(void **state)
{
    (void)state;
    static const size_t isolated[] = {
        offsetof(dx_ring_block_t, cursor), offsetof(dx_ring_block_t, claimed),
        offsetof(dx_ring_block_t, signal), offsetof(dx_ring_block_t, space_epoch),
        sizeof(dx_ring_block_t)};
    static const size_t of_consumer[] = {
        offsetof(dx_consumer_entry_t, sequence), offsetof(dx_consumer_entry_t, waiters),
        offsetof(dx_consumer_entry_t, park),     offsetof(dx_consumer_entry_t, name),
        offsetof(dx_consumer_entry_t, counters), sizeof(dx_consumer_entry_t)};
    static const size_t of_producer[] = {offsetof(dx_producer_entry_t, in_use),
                                         offsetof(dx_producer_entry_t, held_first),
                                         sizeof(dx_producer_entry_t)};
    assert_int_equal(DX_FALSE_SHARING_BYTES, 128);
    for (size_t i = 0; i < COUNT_OF(isolated); i++) {
        assert_int_equal(isolated[i] % 128, 0);
        assert_true(i == 0 || isolated[i] >= isolated[i - 1] + 128);
    }
    for (size_t i = 0; i < COUNT_OF(of_consumer); i++) {
        assert_int_equal(of_consumer[i] % 128, 0);
        assert_true(i == 0 || of_consumer[i] >= of_consumer[i - 1] + 128);
    }
    for (size_t i = 0; i < COUNT_OF(of_producer); i++) {
        assert_int_equal(of_producer[i] % 128, 0);
    }
}

static void the_parts_of_the_block_follow_each_other(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 8, 9, 64, 1000};
    FOR_EACH_MODE(mode)
    {
        for (size_t i = 0; i < COUNT_OF(sizes); i++) {
            dx_ring_t *ring = ring_from(&(dx_ring_options_t){.name = "parts",
                                                             .slot_count = 16,
                                                             .event_bytes = sizes[i],
                                                             .mode = mode,
                                                             .consumers_max = 3,
                                                             .producers_max = 5});
            const dx_ring_block_t *block = dx_ring_block(ring);
            const uint64_t producers = mode == DX_RING_MULTI ? 5 : 1;
            assert_true(block->magic == DX_RING_MAGIC);
            assert_int_equal(memcmp(&block->magic, "DxRingx1", 8), 0);
            assert_int_equal(block->layout, DX_RING_LAYOUT);
            assert_string_equal(block->name, "parts");
            assert_int_equal(block->slot_bytes, (sizes[i] + 7) / 8 * 8);
            assert_int_equal(block->slot_shift, 4);
            assert_true(block->consumers_offset >= sizeof(dx_ring_block_t));
            assert_true(block->producers_offset ==
                        block->consumers_offset + 3 * sizeof(dx_consumer_entry_t));
            assert_true(block->stamps_offset ==
                        block->producers_offset + producers * sizeof(dx_producer_entry_t));
            assert_true(block->marks_offset >=
                        block->stamps_offset + (mode == DX_RING_MULTI ? 16 * 4 : 0));
            assert_true(block->slots_offset >= block->marks_offset + 16 * 8);
            assert_int_equal(block->slots_offset % 4096, 0);
            assert_true(block->block_bytes == block->slots_offset + 16ull * block->slot_bytes);
            assert_true(dx_ring_memory(ring)->size_bytes >= block->block_bytes);
            assert_ptr_equal(dx_ring_memory(ring)->address, block);
            dx_ring_destroy(ring);
        }
    }
}

typedef struct init_log {
    int64_t next;
    char *last;
} init_log_t;

static void initialise(void *context, void *event, int64_t index)
{
    init_log_t *log = context;
    assert_number(index, log->next++);
    assert_true(log->last == NULL || (char *)event == log->last + sizeof(event_t));
    log->last = event;
    *(event_t *)event = (event_t){.value = index * 3, .check = 7};
}

static void events_start_as_the_initialiser_leaves_them(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        init_log_t log = {0};
        dx_ring_t *with =
            ring_from(&(dx_ring_options_t){GOOD, .mode = mode, .first_sequence = 21,
                                           .initialise = initialise, .initialise_context = &log});
        assert_number(log.next, 8);
        dx_ring_t *without = ring_of(mode, 8);
        for (int64_t sequence = 21; sequence < 29; sequence++) {
            dx_producer_t producer;
            open_producer(&producer, with, DX_FULL_FAIL);
            const event_t *event = DX_PRODUCER_EVENT(&producer, sequence, event_t);
            assert_number(event->value, sequence % 8 * 3);
            assert_number(event->check, 7);
            dx_producer_close(&producer);
            open_producer(&producer, without, DX_FULL_FAIL);
            assert_number(DX_PRODUCER_EVENT(&producer, sequence, event_t)->value, 0);
            dx_producer_close(&producer);
        }
        dx_ring_destroy(with);
        dx_ring_destroy(without);
    }
}

/* --------------------------------------------------------------------------------------- laps */

/* First sequences at the edges of the ring, of 32-bit laps, and of what is allowed. */
static const int64_t first_sequences[] = {0,
                                          1,
                                          7,
                                          8,
                                          1000003,
                                          INT64_C(8) * INT32_MAX - 5,
                                          INT64_C(8) * INT32_MAX + 3,
                                          (INT64_C(8) << 31) - 9,
                                          (INT64_C(8) << 32) - 11,
                                          (INT64_C(8) << 32) + 1,
                                          INT64_MAX / 2};

static void a_fresh_ring_has_published_nothing(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        for (size_t i = 0; i < COUNT_OF(first_sequences); i++) {
            const int64_t first = first_sequences[i];
            dx_ring_t *ring =
                ring_from(&(dx_ring_options_t){GOOD, .mode = mode, .first_sequence = first});
            assert_number(dx_ring_published(ring), first - 1);
            assert_number(dx_ring_consumed(ring), first - 1);
            assert_number(dx_ring_remaining(ring), 8);
            for (int64_t sequence = first; sequence < first + 20; sequence++) {
                assert_false(dx_ring_is_available(ring, sequence));
            }
            /* As if everything before had been published. */
            for (int64_t sequence = first - 8; sequence < first; sequence++) {
                assert_int_equal(dx_ring_is_available(ring, sequence), sequence >= 0);
            }
            assert_false(dx_ring_is_available(ring, first - 9));
            assert_false(dx_ring_is_available(ring, -1));
            assert_false(dx_ring_is_available(ring, INT64_MIN));
            dx_ring_stat_t stat;
            dx_ring_stat(ring, &stat);
            assert_string_equal(stat.name, "ring");
            assert_int_equal(stat.mode, mode);
            assert_int_equal(stat.slot_count, 8);
            assert_int_equal(stat.slot_bytes, sizeof(event_t));
            assert_false(stat.closed);
            assert_number(stat.published, first - 1);
            assert_number(stat.claimed, first - 1);
            assert_number(stat.consumed, first - 1);
            assert_number(stat.depth, 0);
            assert_number(stat.remaining, 8);
            assert_int_equal(stat.producers, 0);
            assert_int_equal(stat.consumers, 0);
            dx_ring_destroy(ring);
        }
    }
}

/* Three laps from `first` on; the ring was there before. */
static void run_three_laps(dx_ring_t *ring, int64_t first)
{
    dx_producer_t producer;
    open_producer(&producer, ring, DX_FULL_FAIL);
    dx_consumer_t consumer;
    open_consumer(&consumer, ring, 0);
    for (int64_t sequence = first; sequence < first + 25; sequence++) {
        assert_false(dx_ring_is_available(ring, sequence));
        assert_number(publish_one(&producer), sequence);
        assert_true(dx_ring_is_available(ring, sequence));
        assert_false(dx_ring_is_available(ring, sequence + 8));
        assert_number(dx_ring_published(ring), sequence);
        if (sequence - first >= 8) { /* its slot has been used again */
            assert_false(dx_ring_is_available(ring, sequence - 8));
        }
        if (sequence % 3 == 0 || sequence - first >= 22) {
            (void)consume_all(&consumer);
            assert_number(dx_ring_consumed(ring), sequence);
            assert_number(dx_ring_remaining(ring), 8);
        }
    }
    assert_number(consumer.next, first + 25);
    dx_consumer_close(&consumer);
    dx_producer_close(&producer);
}

static void an_event_is_available_in_its_own_lap_only(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        for (size_t i = 0; i < COUNT_OF(first_sequences); i++) {
            dx_ring_t *ring = ring_from(
                &(dx_ring_options_t){GOOD, .mode = mode, .first_sequence = first_sequences[i]});
            run_three_laps(ring, first_sequences[i]);
            dx_ring_destroy(ring);
        }
    }
}

static void a_ring_of_two_slots_is_a_ring(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = ring_of(mode, 2);
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_FAIL);
        dx_consumer_t consumer;
        open_consumer(&consumer, ring, 0);
        for (int lap = 0; lap < 20; lap++) {
            publish_many(&producer, 2);
            assert_code(publish_one(&producer), DX_EAGAIN);
            assert_number(consume_all(&consumer), 2);
        }
        dx_ring_destroy(ring);
    }
}

/* -------------------------------------------------------------------------------------- reset */

static void a_reset_ring_starts_anew_anywhere(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        for (size_t i = 0; i < COUNT_OF(first_sequences); i++) {
            for (size_t to = 0; to < COUNT_OF(first_sequences); to++) {
                const int64_t first = first_sequences[to];
                dx_ring_t *ring = ring_from(
                    &(dx_ring_options_t){GOOD, .mode = mode, .first_sequence = first_sequences[i]});
                run_three_laps(ring, first_sequences[i]);
                assert_ok(dx_ring_reset(ring, first, NULL));
                assert_number(dx_ring_published(ring), first - 1);
                run_three_laps(ring, first);
                dx_ring_destroy(ring);
            }
        }
    }
}

static void a_reset_forgets_marks(void **state)
{
    (void)state;
    dx_ring_t *ring = ring_of(DX_RING_MULTI, 8);
    dx_producer_t producer;
    open_producer(&producer, ring, DX_FULL_FAIL);
    assert_number(dx_producer_claim_n(&producer, 8), 7);
    assert_int_equal(dx_producer_abort(&producer, 0, 7), DX_OK);
    dx_producer_close(&producer);
    assert_ok(dx_ring_reset(ring, 0, NULL));
    open_producer(&producer, ring, DX_FULL_FAIL);
    dx_consumer_t consumer;
    open_consumer(&consumer, ring, 0);
    publish_many(&producer, 8);
    assert_number(consume_all(&consumer), 8);
    dx_ring_destroy(ring);
}

static void a_ring_in_use_is_not_reset(void **state)
{
    (void)state;
    dx_ring_t *ring = ring_of(DX_RING_MULTI, 8);
    dx_error_t error = {0};
    assert_fails(dx_ring_reset(ring, -1, &error), DX_EINVAL, error,
                 "first_sequence is -1, must be from 0 to 4611686018427387903");
    assert_fails(dx_ring_reset(ring, INT64_MAX / 2 + 1, &error), DX_EINVAL, error,
                 "first_sequence is 4611686018427387904, must be from 0 to");
    dx_producer_t producers[2];
    open_producer(&producers[0], ring, DX_FULL_FAIL);
    open_producer(&producers[1], ring, DX_FULL_FAIL);
    publish_many(&producers[0], 3);
    assert_fails(dx_ring_reset(ring, 0, &error), DX_ESTATE, error,
                 "ring 'ring' has 2 open producers, must have none");
    dx_producer_close(&producers[0]);
    dx_producer_close(&producers[1]);
    dx_consumer_t consumer;
    assert_ok(dx_consumer_open(&consumer, ring, &(dx_consumer_options_t){.name = "eye"}, NULL));
    dx_store32_release(&consumer.entry->state, DX_CONSUMER_RUNNING);
    assert_fails(dx_ring_reset(ring, 0, &error), DX_ESTATE, error,
                 "consumer 'eye' runs, must be stopped");
    assert_number(dx_ring_published(ring), 2); /* nothing was reset */
    dx_store32_release(&consumer.entry->state, DX_CONSUMER_ADDED);
    assert_ok(dx_ring_reset(ring, 0, &error));
    assert_number(dx_ring_published(ring), -1);
    dx_ring_destroy(ring);
}

/* Fails when: a reset leaves a handle where it stood. */
static void an_open_poller_follows_a_reset(void **state)
{
    (void)state;
    for (int mode = 0; mode < 2; mode++) {
        dx_ring_t *ring = ring_of((dx_ring_mode_t)mode, 8);
        dx_consumer_t consumer;
        assert_ok(dx_consumer_open(&consumer, ring, NULL, NULL));
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_FAIL);
        publish_many(&producer, 5);
        assert_number(dx_consumer_poll(&consumer), 4);
        dx_producer_close(&producer);
        assert_ok(dx_ring_reset(ring, 20, NULL));
        assert_number(dx_consumer_poll(&consumer), 19);
        open_producer(&producer, ring, DX_FULL_FAIL);
        publish_many(&producer, 2);
        assert_number(consumer.next, 20);
        assert_number(dx_consumer_poll(&consumer), 21);
        dx_ring_destroy(ring);
    }
}

/* Fails when: a program that was compiled with other headers gets a handle of another shape. */
static void a_program_of_another_layout_is_refused(void **state)
{
    (void)state;
    dx_ring_t *ring = ring_of(DX_RING_SINGLE, 8);
    dx_error_t error = {0};
    dx_producer_t producer = {.claimed = 77};
    assert_fails(dxi_producer_open(&producer, ring, NULL, DXI_PRODUCER_LAYOUT + 8, &error),
                 DX_EVERSION, error, "the program was compiled for layout 0x");
    assert_number(producer.claimed, 77); /* not touched */
    dx_consumer_t consumer = {.next = 77};
    assert_fails(dxi_consumer_open(&consumer, ring, NULL, DXI_CONSUMER_LAYOUT - 8, &error),
                 DX_EVERSION, error, "the program was compiled for layout 0x");
    assert_number(consumer.next, 77);
    dx_ring_destroy(ring);
}

/* ------------------------------------------------------------------------------- from outside */

static void the_numbers_of_a_ring_agree(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = ring_of(mode, 8);
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_FAIL);
        dx_consumer_t consumer;
        open_consumer(&consumer, ring, 0);
        publish_many(&producer, 6);
        dx_consumer_release(&consumer, 1);
        (void)dx_producer_claim_n(&producer, 2);
        dx_ring_stat_t stat;
        dx_ring_stat(ring, &stat);
        const int64_t claimed = mode == DX_RING_MULTI ? 7 : 5; /* see dx_ring_remaining() */
        assert_number(stat.published, 5);
        assert_number(stat.claimed, claimed);
        assert_number(stat.consumed, 1);
        assert_number(stat.depth, 4);
        assert_number(stat.remaining, 8 - (claimed - 1));
        assert_int_equal(stat.producers, 1);
        assert_int_equal(stat.consumers, 1);
        dx_ring_close(ring);
        dx_ring_stat(ring, &stat);
        assert_true(stat.closed);
        dx_ring_reopen(ring);
        dx_ring_stat(ring, &stat);
        assert_false(stat.closed);
        dx_ring_destroy(ring);
    }
}

static void remaining_is_exact_from_empty_to_full(void **state)
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
            assert_number(dx_ring_remaining(ring), 8 - used);
            publish_many(&producer, 1);
        }
        for (int64_t used = 8; used > 0; used--) {
            assert_number(dx_ring_remaining(ring), 8 - used);
            dx_consumer_release(&consumer, 8 - used);
        }
        assert_number(dx_ring_remaining(ring), 8);
        dx_ring_destroy(ring);
    }
}

static void the_numbers_of_a_consumer_are_its_own(void **state)
{
    (void)state;
    dx_ring_t *ring = ring_of(DX_RING_SINGLE, 8);
    dx_producer_t producer;
    open_producer(&producer, ring, DX_FULL_FAIL);
    dx_consumer_t first;
    dx_consumer_t second;
    open_consumer(&first, ring, 0);
    const dx_consumer_options_t options = {
        .name = "second", .upstream = bit_of(&first), .wait = {.kind = DX_WAIT_SLEEPING}};
    assert_ok(dx_consumer_open(&second, ring, &options, NULL));
    publish_many(&producer, 5);
    dx_consumer_release(&first, 3);
    dx_consumer_stat_t stat;
    assert_ok(dx_ring_consumer_stat(ring, second.index, &stat));
    assert_string_equal(stat.name, "second");
    assert_int_equal(stat.index, 1);
    assert_int_equal(stat.kind, DX_CONSUMER_POLLER);
    assert_int_equal(stat.state, DX_CONSUMER_ADDED);
    assert_int_equal(stat.wait_kind, DX_WAIT_SLEEPING);
    assert_true(stat.gating);
    assert_false(stat.asleep);
    assert_int_equal(stat.failure, 0);
    assert_number(stat.sequence, -1);
    assert_number(stat.lag, 5);
    assert_true(stat.upstream == bit_of(&first));
    assert_ok(dx_ring_consumer_stat(ring, first.index, &stat));
    assert_false(stat.gating);
    assert_number(stat.sequence, 3);
    assert_number(stat.lag, 1);
    assert_true(stat.upstream == 0);
    static const int32_t absent[] = {-1, 2, 15, 16, 1000, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < COUNT_OF(absent); i++) {
        memset(&stat, 1, sizeof(stat));
        assert_code(dx_ring_consumer_stat(ring, absent[i], &stat), DX_ENOTFOUND);
        assert_string_equal(stat.name, "");
    }
    dx_ring_destroy(ring);
}

/* An idle worker's word says INT64_MAX; a reader gets the publication instead. */
static void an_idle_worker_has_no_lag(void **state)
{
    (void)state;
    dx_ring_t *ring = ring_of(DX_RING_SINGLE, 8);
    dx_producer_t producer;
    open_producer(&producer, ring, DX_FULL_FAIL);
    dx_consumer_t worker;
    open_consumer(&worker, ring, 0);
    publish_many(&producer, 5);
    dx_store_release(&worker.entry->sequence, DX_SEQUENCE_IDLE);
    dx_consumer_stat_t stat;
    assert_ok(dx_ring_consumer_stat(ring, worker.index, &stat));
    assert_number(stat.sequence, 4);
    assert_number(stat.lag, 0);
    dx_ring_destroy(ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_bad_option_is_refused_with_its_sentence),
        cmocka_unit_test(a_ring_of_more_bytes_than_allowed_is_refused),
        cmocka_unit_test(each_limit_is_accepted_at_its_value),
        cmocka_unit_test(a_ring_that_cannot_be_made_leaves_nothing_behind),
        cmocka_unit_test(destroying_nothing_is_allowed),
        cmocka_unit_test(what_different_threads_write_is_128_bytes_apart),
        cmocka_unit_test(the_parts_of_the_block_follow_each_other),
        cmocka_unit_test(events_start_as_the_initialiser_leaves_them),
        cmocka_unit_test(a_fresh_ring_has_published_nothing),
        cmocka_unit_test(an_event_is_available_in_its_own_lap_only),
        cmocka_unit_test(a_ring_of_two_slots_is_a_ring),
        cmocka_unit_test(a_reset_ring_starts_anew_anywhere),
        cmocka_unit_test(a_reset_forgets_marks),
        cmocka_unit_test(a_ring_in_use_is_not_reset),
        cmocka_unit_test(an_open_poller_follows_a_reset),
        cmocka_unit_test(a_program_of_another_layout_is_refused),
        cmocka_unit_test(the_numbers_of_a_ring_agree),
        cmocka_unit_test(remaining_is_exact_from_empty_to_full),
        cmocka_unit_test(the_numbers_of_a_consumer_are_its_own),
        cmocka_unit_test(an_idle_worker_has_no_lag),
    };
    return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
