/* test_span_walk.c - finding the way from span to span while others run: the cursor, walks that are
 * overtaken, stamps, lone spans.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "span_test.h"

static void a_new_consumer_begins_at_a_span(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = span_ring(mode, 0);
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_FAIL);
        /* Without consumers producers go round and round. */
        for (uint32_t i = 0; i < 1000; i++) {
            assert_true(span_publish(&producer, i * 31 % (BYTES_MAX + 1)) >= 0);
        }
        dx_consumer_t first;
        open_consumer(&first, ring, 0);
        for (int i = 0; i < 3; i++) {
            assert_true(span_publish(&producer, 200) >= 0);
        }
        dx_consumer_t oldest;
        dx_error_t error;
        assert_code(dx_consumer_open(&oldest, ring,
                                     &(dx_consumer_options_t){.start = DX_START_OLDEST}, &error),
                    DX_OK);
        assert_number(span_consume(&first), 3);
        assert_number(span_consume(&oldest), 3);
        dx_consumer_close(&first);
        dx_consumer_close(&oldest);
        for (uint32_t i = 0; i < 1000; i++) {
            assert_true(span_publish(&producer, i * 17 % (BYTES_MAX + 1)) >= 0);
        }
        open_consumer(&first, ring, 0);
        assert_number(span_consume(&first), 0);
        assert_true(span_publish(&producer, BYTES_MAX) >= 0);
        assert_number(span_consume(&first), 1);
        dx_ring_destroy(ring);
    }
}

static void the_cursor_follows_the_walkers(void **state)
{
    (void)state;
    dx_ring_t *ring = span_ring(DX_RING_MULTI, 0);
    dx_producer_t producer;
    dx_consumer_t consumer;
    open_consumer(&consumer, ring, 0);
    open_producer(&producer, ring, DX_FULL_FAIL);
    for (uint32_t i = 0; i < 1000; i++) {
        const int64_t sequence = span_publish(&producer, i * 31 % (BYTES_MAX + 1));
        assert_number(span_consume(&consumer), 1);
        /* S2 */
        assert_number(dx_load_relaxed(&dx_ring_block(ring)->cursor), consumer.next - 1);
        assert_number(dx_ring_published(ring),
                      sequence + dx_span_slots(i * 31 % (BYTES_MAX + 1)) - 1);
    }
    dx_ring_destroy(ring);
}

/* What others do at a named point of a walk. */
typedef struct lap {
    const char *point;
    dx_producer_t *producer;
    dx_consumer_t *consumer;
    dx_atomic64_t *word; /* to be moved on as well */
    int times;
    int64_t published;
} lap_t;

static void run_a_lap(const char *point, void *context)
{
    lap_t *lap = context;
    if (strcmp(point, lap->point) != 0 || lap->times == 0) {
        return;
    }
    lap->times--;
    const char *const watched = lap->point;
    lap->point = "";         /* not in what we do here */
    if (lap->word != NULL) { /* a worker that has claimed and handled all there was */
        dx_store_release(lap->word, dx_ring_published(lap->consumer->ring));
    }
    for (int i = 0; i < 2 * SLOTS; i += 4) {
        (void)span_consume(lap->consumer);
        if (lap->word != NULL) {
            dx_store_release(lap->word, lap->consumer->next - 1);
        }
        /* The payloads are long headers; they lie where the headers of the lap before did. */
        const int64_t sequence = dx_producer_claim_span(lap->producer, 4 * 64 - 8);
        dx_span_t *span = dx_producer_span(lap->producer, sequence);
        memset(dx_span_payload(span), 0x7f, span->bytes);
        assert_code(dx_producer_publish_span(lap->producer, sequence), DX_OK);
        (void)dx_consumer_poll(lap->consumer);
        dx_consumer_release(lap->consumer, sequence + 3);
        lap->published = sequence + 3;
    }
    lap->point = watched;
}

static void a_walk_that_is_overtaken_goes_on_from_the_cursor(void **state)
{
    (void)state;
    NEEDS_TEST_HOOKS();
    for (int times = 1; times <= 3; times++) {
        for (uint32_t spans = 0; spans < 8; spans++) {
            dx_ring_t *ring = span_ring(DX_RING_MULTI, 1); /* boundaries that the laps don't have */
            dx_producer_t producer;
            dx_consumer_t consumer;
            open_consumer(&consumer, ring, 0);
            open_producer(&producer, ring, DX_FULL_FAIL);
            for (uint32_t i = 0; i < spans; i++) {
                assert_true(span_publish(&producer, 100 * i) >= 0);
            }
            lap_t lap = {.point = "span:header-read",
                         .producer = &producer,
                         .consumer = &consumer,
                         .times = times};
            dxi_point_set(run_a_lap, &lap);
            const int64_t published = dx_ring_published(ring);
            dxi_point_set(NULL, NULL);
            assert_number(lap.times, 0);
            assert_number(published, lap.published);
            dx_ring_destroy(ring);
        }
    }
}

/* A pool of which we are an idle worker, on the stamps of a multi-producer ring. */
static void a_worker_that_is_overtaken_takes_nothing(void **state)
{
    (void)state;
    NEEDS_TEST_HOOKS();
    dx_ring_t *ring = span_ring(DX_RING_MULTI, 1);
    dx_producer_t producer;
    dx_consumer_t consumer; /* who holds the producers back */
    dx_consumer_t pool;
    dx_consumer_t worker;
    open_consumer(&consumer, ring, 0);
    open_consumer(&pool, ring, 0);
    open_consumer(&worker, ring, 0);
    open_producer(&producer, ring, DX_FULL_FAIL);
    pool.entry->kind = DX_CONSUMER_POOL;
    worker.entry->kind = DX_CONSUMER_WORKER;
    worker.entry->pool = pool.index;
    dx_store_relaxed(&worker.entry->sequence, DX_SEQUENCE_IDLE);
    for (uint32_t i = 0; i < 5; i++) {
        assert_true(span_publish(&producer, 100 * i) >= 0);
    }
    lap_t lap = {.point = "span:walked",
                 .producer = &producer,
                 .consumer = &consumer,
                 .word = &pool.entry->sequence,
                 .times = 1};
    dxi_point_set(run_a_lap, &lap);
    assert_number(dx_consumer_poll(&worker), worker.next); /* to be tried, in vain */
    dxi_point_set(NULL, NULL);
    assert_number(lap.times, 0);
    assert_number(worker.available, worker.next - 1);
    assert_number(dx_load_relaxed(&dx_ring_block(ring)->cursor), lap.published);

    worker.next = dx_load_relaxed(&pool.entry->sequence) + 1;
    assert_true(span_publish(&producer, 500) >= 0);
    assert_number(dx_consumer_poll(&worker), lap.published + 8);
    dx_ring_destroy(ring);
}

static void evict(const char *point, void *context)
{
    if (strcmp(point, "span:walked") == 0) {
        (void)dx_fetch_or32_acq_rel(context, DXI_CONTROL_EVICTED);
    }
}

static void who_is_evicted_while_it_walks_takes_nothing(void **state)
{
    (void)state;
    NEEDS_TEST_HOOKS();
    dx_ring_t *ring = span_ring(DX_RING_MULTI, 0);
    dx_producer_t producer;
    dx_consumer_t consumer;
    open_consumer(&consumer, ring, 0);
    open_producer(&producer, ring, DX_FULL_FAIL);
    assert_true(span_publish(&producer, 500) >= 0);
    dxi_point_set(evict, &consumer.entry->control);
    assert_number(dx_consumer_poll(&consumer), -1);
    dxi_point_set(NULL, NULL);
    assert_number(dx_load_relaxed(&dx_ring_block(ring)->cursor), -1);
    dx_ring_destroy(ring);
}

static void a_start_in_the_middle_of_a_span_means_the_next(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = span_ring(mode, 0);
        dx_producer_t producer;
        dx_consumer_t slowest;
        dx_error_t error;
        open_consumer(&slowest, ring, 0);
        open_producer(&producer, ring, DX_FULL_FAIL);
        for (int i = 0; i < 4; i++) {
            assert_number(span_publish(&producer, 300), 5 * i);
        }
        for (int64_t start = 0; start <= 25; start++) {
            dx_consumer_t consumer;
            const dx_consumer_options_t options = {.start = DX_START_SEQUENCE,
                                                   .start_sequence = start};
            assert_code(dx_consumer_open(&consumer, ring, &options, &error), DX_OK);
            const int64_t later = start <= 20 ? start : 20;
            assert_number(span_consume(&consumer), 4 - (later + 4) / 5);
            assert_number(consumer.next, 20);
            dx_consumer_close(&consumer);
        }
        dx_ring_destroy(ring);
    }
}

static void stamps_of_slots_in_the_middle_stay_young(void **state)
{
    (void)state;
    const int64_t lap = (INT64_C(1) << 24) - 4;
    dx_ring_t *ring = span_ring(DX_RING_MULTI, lap * SLOTS);
    dx_producer_t producer;
    dx_consumer_t consumer;
    open_consumer(&consumer, ring, 0);
    open_producer(&producer, ring, DX_FULL_FAIL);
    const dx_atomic32_t *stamps = dxi_block_stamps(dx_ring_block(ring));
    for (int laps = 0; laps < 6; laps++) {
        for (int i = 0; i < SLOTS; i += 16) {
            assert_true(span_publish(&producer, BYTES_MAX) >= 0);
            assert_number(span_consume(&consumer), 1);
        }
        for (int i = 0; i < SLOTS; i++) {
            const int64_t first = lap + laps;
            const int64_t middle = laps < 3 ? lap - 1 : (laps == 3 ? first - 1 : lap + 3);
            assert_number(dx_load32_relaxed(&stamps[i]), i % 16 == 0 ? first : middle);
        }
    }
    dx_ring_destroy(ring);
}

static void *wait_for_spans(void *context)
{
    dx_consumer_t *consumer = context;
    for (int i = 0; i < 20; i++) {
        const int64_t last = dx_consumer_wait(consumer);
        if (last < 0) {
            return consumer; /* not NULL: failed */
        }
        dx_consumer_release(consumer, last);
    }
    return NULL;
}

/* T3: following a busy producer must not delay an event that comes alone, however many slots it
 * has. */
static void a_lone_span_is_not_held_back(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = span_ring(mode, 0);
        dx_producer_t producer;
        dx_consumer_t consumer;
        dx_error_t error;
        assert_code(dx_consumer_open(&consumer, ring,
                                     &(dx_consumer_options_t){.wait = {.kind = DX_WAIT_BUSY_SPIN}},
                                     &error),
                    DX_OK);
        open_producer(&producer, ring, DX_FULL_FAIL);
        const dx_consumer_counters_t *counters = &consumer.entry->counters;
        const pthread_t thread = thread_start(wait_for_spans, &consumer);
        for (int64_t i = 1; i <= 20; i++) {
            wait_until(dx_load_relaxed(&counters->waits) == i);
            assert_true(span_publish(&producer, BYTES_MAX) >= 0);
        }
        void *failed = NULL;
        assert_int_equal(pthread_join(thread, &failed), 0);
        assert_null(failed);
        assert_number(dx_load_relaxed(&counters->follows), 0);
        dx_ring_destroy(ring);
    }
}

static void a_ring_is_reset_in_the_middle_of_nothing(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = span_ring(mode, 0);
        dx_producer_t producer;
        dx_consumer_t consumer;
        dx_error_t error;
        open_consumer(&consumer, ring, 0);
        open_producer(&producer, ring, DX_FULL_FAIL);
        assert_true(span_publish(&producer, 500) >= 0);
        dx_producer_close(&producer);
        assert_code(dx_ring_reset(ring, 1003, &error), DX_OK);
        open_producer(&producer, ring, DX_FULL_FAIL);
        assert_number(span_consume(&consumer), 0);
        assert_number(span_publish(&producer, 500), 1003);
        assert_number(span_consume(&consumer), 1);
        dx_ring_destroy(ring);
    }
}

/* A worker that was preempted before its swap, which will fail, announces what was overwritten long
 * ago. */
static void what_a_worker_only_announces_is_no_place_to_begin(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = span_ring(mode, 0);
        dx_producer_t producer;
        dx_consumer_t pool;
        dx_consumer_t worker;
        open_consumer(&pool, ring, 0);
        open_consumer(&worker, ring, 0);
        pool.entry->kind = DX_CONSUMER_POOL;
        worker.entry->kind = DX_CONSUMER_WORKER;
        worker.entry->pool = pool.index;
        dx_store_relaxed(&worker.entry->sequence, DX_SEQUENCE_IDLE);
        open_producer(&producer, ring, DX_FULL_FAIL);
        for (int i = 0; i < 40; i++) {
            assert_true(span_publish(&producer, 300) >= 0);
            assert_number(span_consume(&pool), 1);
        }
        assert_true(span_publish(&producer, 300) >= 0);
        dx_store_release(&worker.entry->sequence, 14);
        for (int behind = 0; behind < 2; behind++) {
            dx_consumer_t consumer;
            dx_error_t error;
            const dx_consumer_options_t options = {.start = DX_START_OLDEST,
                                                   .upstream = behind != 0 ? bit_of(&pool) : 0};
            assert_code(dx_consumer_open(&consumer, ring, &options, &error), DX_OK);
            assert_number(consumer.next, 200);
            assert_number(span_consume(&consumer), behind != 0 ? 0 : 1);
            dx_consumer_close(&consumer);
        }
        dx_ring_destroy(ring);
    }
}

/* ------------------------------------------------------------------------- claims nobody holds */

static void claims_of_a_closed_producer_are_voided(void **state)
{
    (void)state;
    dx_ring_t *ring = span_ring(DX_RING_MULTI, 50);
    dx_producer_t closed;
    dx_producer_t other;
    dx_consumer_t consumer;
    open_consumer(&consumer, ring, 0);
    open_producer(&other, ring, DX_FULL_FAIL);
    for (int round = 0; round < 4; round++) {
        open_producer(&closed, ring, DX_FULL_FAIL);
        const int64_t first = dx_producer_claim_span(&closed, 500);
        memset(dx_producer_span(&closed, first), 0xff, 8 * DX_RING_SPAN_SLOT_BYTES);
        assert_true(span_publish(&other, 300) >= 0);
        assert_true(dx_producer_claim_span(&closed, 200) >= 0);
        assert_number(span_consume(&consumer), 0);
        dx_producer_close(&closed);
        assert_number(span_consume(&consumer), 1);
        assert_true(span_publish(&other, 100) >= 0);
        assert_number(span_consume(&consumer), 1);
        assert_number(dx_producer_remaining(&other), SLOTS);
    }
    dx_ring_stat_t stat;
    dx_ring_stat(ring, &stat);
    assert_number(stat.voided, 4 * (8 + 4));
    dx_ring_destroy(ring);
}

/* The other producer publishes what it holds while somebody looks for holes, and moves on. */
typedef struct meanwhile {
    dx_producer_t *producer;
    int64_t sequence;
    bool done;
} meanwhile_t;

static void publish_meanwhile(const char *point, void *context)
{
    meanwhile_t *meanwhile = context;
    if (strcmp(point, "recover:before-records") != 0 || meanwhile->done ||
        dx_ring_is_available(meanwhile->producer->core->ring, meanwhile->sequence)) {
        return;
    }
    /* Only when it is about this one: what lies before it is voided by then. */
    if (dx_load_relaxed(&dx_ring_block(meanwhile->producer->core->ring)->voided) < 8) {
        return;
    }
    meanwhile->done = true;
    assert_code(dx_producer_publish_span(meanwhile->producer, meanwhile->sequence), DX_OK);
    assert_true(span_publish(meanwhile->producer, 0) >= 0); /* its record moves on */
}

static void the_middle_of_a_span_is_no_hole(void **state)
{
    (void)state;
    NEEDS_TEST_HOOKS();
    dx_ring_t *ring = span_ring(DX_RING_MULTI, 0);
    dx_producer_t closed;
    dx_producer_t other;
    dx_consumer_t consumer;
    open_consumer(&consumer, ring, 0);
    open_producer(&closed, ring, DX_FULL_FAIL);
    open_producer(&other, ring, DX_FULL_FAIL);
    assert_number(dx_producer_claim_span(&closed, 500), 0);
    const int64_t sequence = dx_producer_claim_span(&other, 500);
    span_fill(dx_producer_span(&other, sequence), sequence);
    assert_number(dx_producer_claim_span(&closed, 200), 16);
    meanwhile_t meanwhile = {.producer = &other, .sequence = sequence};
    dxi_point_set(publish_meanwhile, &meanwhile);
    dx_producer_close(&closed);
    dxi_point_set(NULL, NULL);
    assert_true(meanwhile.done);
    dx_ring_stat_t stat;
    dx_ring_stat(ring, &stat);
    assert_number(stat.voided, 8 + 4);
    for (int64_t i = sequence; i < sequence + 8; i++) {
        assert_number(dxi_mark_bits(dx_ring_block(ring), i), 0);
    }
    assert_number(span_consume(&consumer), 2);
    dx_ring_destroy(ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_consumer_begins_at_a_span),
        cmocka_unit_test(the_cursor_follows_the_walkers),
        cmocka_unit_test(a_walk_that_is_overtaken_goes_on_from_the_cursor),
        cmocka_unit_test(a_worker_that_is_overtaken_takes_nothing),
        cmocka_unit_test(who_is_evicted_while_it_walks_takes_nothing),
        cmocka_unit_test(a_start_in_the_middle_of_a_span_means_the_next),
        cmocka_unit_test(stamps_of_slots_in_the_middle_stay_young),
        cmocka_unit_test(a_lone_span_is_not_held_back),
        cmocka_unit_test(what_a_worker_only_announces_is_no_place_to_begin),
        cmocka_unit_test(claims_of_a_closed_producer_are_voided),
        cmocka_unit_test(the_middle_of_a_span_is_no_hole),
        cmocka_unit_test(a_ring_is_reset_in_the_middle_of_nothing),
    };
    return cmocka_run_group_tests_name("span_walk", tests, NULL, NULL);
}
