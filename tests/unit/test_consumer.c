/* test_consumer.c - the consumer table: joining, following, leaving; the poller.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ring_test.h"

/* ------------------------------------------------------------------------------------ options */

static void each_bad_option_is_refused_with_its_sentence(void **state)
{
    (void)state;
    static const struct {
        dx_consumer_options_t options;
        int code;
        const char *sentence;
    } rows[] = {
        {{.name = "a name that is one byte too long"},
         DX_EINVAL,
         "name has 32 bytes, must have at most 31"},
        {{.start = (dx_start_t)3},
         DX_EINVAL,
         "start is 3, must be DX_START_CURSOR, DX_START_OLDEST or DX_START_SEQUENCE"},
        {{.start = (dx_start_t)-1},
         DX_EINVAL,
         "start is -1, must be DX_START_CURSOR, DX_START_OLDEST or DX_START_SEQUENCE"},
        {{.start = DX_START_OLDEST, .start_sequence = 4},
         DX_EINVAL,
         "start_sequence is 4, must be 0 unless start is DX_START_SEQUENCE"},
        {{.upstream = 2}, DX_ENOTFOUND, "upstream names consumer 1, which does not exist"},
        {{.upstream = 1 | UINT64_C(1) << 63},
         DX_ENOTFOUND,
         "upstream names consumer 63, which does not exist"},
        {{.reserved = {5}},
         DX_EINVAL,
         "reserved[0] is 5, must be 0: this library does not know the option"},
        {{.reserved = {0, 6}},
         DX_EINVAL,
         "reserved[1] is 6, must be 0: this library does not know the option"},
        {{.reserved = {0, 0, 7}},
         DX_EINVAL,
         "reserved[2] is 7, must be 0: this library does not know the option"},
        {{.reserved = {0, 0, 0, 8}},
         DX_EINVAL,
         "reserved[3] is 8, must be 0: this library does not know the option"},
        {{.wait = {.reserved_0 = 1}}, DX_EINVAL, "wait.reserved_0 is 1, must be zero"},
    };
    dx_ring_t *ring = ring_of(DX_RING_SINGLE, 8);
    dx_consumer_t first;
    open_consumer(&first, ring, 0);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        dx_consumer_t consumer;
        dx_error_t error = {0};
        assert_code(dx_consumer_open(&consumer, ring, &rows[i].options, &error), rows[i].code);
        assert_string_equal(error.message, rows[i].sentence);
        dx_consumer_close(&consumer); /* allowed: it is not open */
    }
    dx_consumer_t named;
    assert_ok(dx_consumer_open(
        &named, ring, &(dx_consumer_options_t){.name = "a name of exactly 31 characters"}, NULL));
    dx_consumer_stat_t stat;
    assert_ok(dx_ring_consumer_stat(ring, named.index, &stat));
    assert_string_equal(stat.name, "a name of exactly 31 characters");
    assert_ok(dx_ring_consumer_stat(ring, first.index, &stat));
    assert_string_equal(stat.name, "consumer");
    dx_ring_destroy(ring);
}

static void as_many_consumers_open_as_the_ring_was_made_for(void **state)
{
    (void)state;
    static const uint32_t limits[] = {0, 1, 3, DX_RING_CONSUMERS_MAX};
    static dx_consumer_t consumers[DX_RING_CONSUMERS_MAX];
    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        dx_ring_t *ring = ring_from(&(dx_ring_options_t){
            .slot_count = 8, .event_bytes = sizeof(event_t), .consumers_max = limits[i]});
        const uint32_t limit = limits[i] != 0 ? limits[i] : 16;
        for (uint32_t c = 0; c < limit; c++) {
            open_consumer(&consumers[c], ring, 0);
            assert_int_equal(consumers[c].index, c);
        }
        char sentence[100];
        (void)snprintf(sentence, sizeof(sentence),
                       "ring 'ring' has %u consumers, the most it was made for (consumers_max)",
                       limit);
        dx_error_t error = {0};
        dx_consumer_t more;
        assert_fails(dx_consumer_open(&more, ring, NULL, &error), DX_ELIMIT, error, sentence);
        const uint32_t gone = limit / 2;
        dx_consumer_close(&consumers[gone]);
        assert_ok(dx_consumer_open(&more, ring, NULL, &error));
        assert_int_equal(more.index, gone);
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_FAIL);
        publish_many(&producer, 8);
        for (uint32_t c = 0; c < limit; c++) {
            assert_code(dx_producer_claim(&producer), DX_EAGAIN);
            assert_number(consume_all(c == gone ? &more : &consumers[c]), 8);
        }
        assert_number(publish_one(&producer), 8);
        dx_ring_destroy(ring);
    }
}

static void as_many_consumers_may_skip_as_there_are_bits(void **state)
{
    (void)state;
    static dx_consumer_t consumers[DX_RING_SKIPPERS_MAX];
    dx_ring_t *ring = ring_from(&(dx_ring_options_t){
        .slot_count = 8, .event_bytes = sizeof(event_t), .consumers_max = DX_RING_CONSUMERS_MAX});
    const dx_consumer_options_t options = {.may_skip = true};
    int64_t bits = 0;
    for (uint32_t c = 0; c < DX_RING_SKIPPERS_MAX; c++) {
        assert_ok(dx_consumer_open(&consumers[c], ring, &options, NULL));
        assert_number(bits & consumers[c].entry->skip_bit, 0);
        bits |= consumers[c].entry->skip_bit;
    }
    assert_number(bits, 0xffff);
    dx_error_t error = {0};
    dx_consumer_t more;
    assert_fails(dx_consumer_open(&more, ring, &options, &error), DX_ELIMIT, error,
                 "ring 'ring' has 16 consumers that may skip, the most");
    open_consumer(&more, ring, 0); /* one that never skips is welcome */
    dx_consumer_close(&consumers[5]);
    assert_ok(dx_consumer_open(&consumers[5], ring, &options, &error));
    dx_ring_destroy(ring);
}

/* ----------------------------------------------------------------------------- where to start */

static void a_new_consumer_starts_behind_what_is_published(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = ring_of(mode, 8);
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_FAIL);
        publish_many(&producer, 6);
        dx_consumer_t consumer;
        open_consumer(&consumer, ring, 0);
        dx_consumer_stat_t stat;
        assert_ok(dx_ring_consumer_stat(ring, consumer.index, &stat));
        assert_number(stat.sequence, 5);
        assert_number(consumer.next, 6);
        assert_number(dx_consumer_poll(&consumer), 5);
        /* It is there, so it gates. */
        publish_many(&producer, 8);
        assert_code(dx_producer_claim(&producer), DX_EAGAIN);
        assert_number(consume_all(&consumer), 8);
        dx_ring_destroy(ring);
    }
}

static void events_published_before_anybody_reads_are_kept_for_who_is_there(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = ring_of(mode, 8);
        dx_consumer_t consumer;
        open_consumer(&consumer, ring, 0);
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_FAIL);
        publish_many(&producer, 8);
        assert_number(consume_all(&consumer), 8);
        dx_ring_destroy(ring);
    }
}

static void the_oldest_event_is_the_one_that_nobody_has_released(void **state)
{
    (void)state;
    const dx_consumer_options_t oldest = {.start = DX_START_OLDEST};
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = ring_of(mode, 8);
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_FAIL);
        publish_many(&producer, 3);
        dx_consumer_t alone; /* nobody keeps anything: as with the cursor */
        assert_ok(dx_consumer_open(&alone, ring, &oldest, NULL));
        assert_number(alone.next, 3);
        dx_consumer_t slow;
        open_consumer(&slow, ring, 0);
        publish_many(&producer, 5);
        assert_number(consume_all(&alone), 5);
        dx_consumer_release(&slow, 4);
        dx_consumer_t late;
        assert_ok(dx_consumer_open(&late, ring, &oldest, NULL));
        assert_number(late.next, 5);
        assert_number(consume_all(&late), 3);
        dx_ring_destroy(ring);
    }
}

/* C3. What is in flight when it joins comes to it, even what lies behind the first hole. */
static void a_consumer_that_joins_among_claims_in_flight_gets_them(void **state)
{
    (void)state;
    static const struct {
        uint32_t before; /* of four claims: published before it joins */
        int64_t start;
    } rows[] = {{0x0, -1}, {0x1, 0}, {0x2, -1}, {0x5, 0}, {0x7, 2}, {0xe, -1}, {0xf, 3}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        dx_ring_t *ring = ring_of(DX_RING_MULTI, 8);
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_FAIL);
        assert_number(dx_producer_claim_n(&producer, 4), 3);
        for (int64_t sequence = 0; sequence < 4; sequence++) {
            fill(&producer, sequence);
            if ((rows[i].before >> sequence & 1) != 0) {
                assert_int_equal(dx_producer_publish(&producer, sequence), DX_OK);
            }
        }
        dx_consumer_t consumer;
        open_consumer(&consumer, ring, 0);
        assert_number(consumer.next, rows[i].start + 1);
        for (int64_t sequence = 3; sequence >= 0; sequence--) {
            if ((rows[i].before >> sequence & 1) == 0) {
                assert_int_equal(dx_producer_publish(&producer, sequence), DX_OK);
            }
        }
        assert_number(consume_all(&consumer), 3 - rows[i].start);
        dx_ring_destroy(ring);
    }
}

typedef struct joining {
    const char *point;
    dx_producer_t *producer;
    int64_t first; /* the first sequence published at the point */
} joining_t;

static void publish_at_point(const char *point, void *context)
{
    joining_t *joining = context;
    if (joining->first < 0 && strcmp(point, joining->point) == 0) {
        joining->first = publish_one(joining->producer);
        for (int64_t sequence = 0; sequence >= 0;) { /* as many as go in */
            sequence = publish_one(joining->producer);
        }
    }
}

/* Producers publish as much as they can while a consumer joins, at each point of it.
 * Fails when: open_locked() reads where to start before it enters the gating mask: the producer
 * then passes it. */
static void producers_that_run_while_a_consumer_joins_do_not_pass_it(void **state)
{
    (void)state;
    NEEDS_TEST_HOOKS();
    static const char *const points[] = {"open:before-fence", "open:before-start"};
    FOR_EACH_MODE(mode)
    {
        for (size_t i = 0; i < COUNT_OF(points) * 2; i++) {
            dx_ring_t *ring = ring_of(mode, 8);
            dx_producer_t producer;
            open_producer(&producer, ring, DX_FULL_FAIL);
            publish_many(&producer, 5);
            dx_consumer_t first;
            if (i % 2 != 0) {
                open_consumer(&first, ring, 0);
                publish_many(&producer, 3);
            }
            joining_t joining = {.point = points[i / 2], .producer = &producer, .first = -1};
            dxi_point_set(publish_at_point, &joining);
            dx_consumer_t consumer;
            open_consumer(&consumer, ring, 0);
            dxi_point_set(NULL, NULL);
            assert_true(joining.first >= 0);
            const int64_t before = consumer.next;
            int64_t published = 0;
            while (publish_one(&producer) >= 0) {
                published++;
            }
            assert_true(published <= 8);
            assert_number(consume_all(&consumer), dx_ring_published(ring) + 1 - before);
            dx_ring_destroy(ring);
        }
    }
}

/* C2 and C3. What it follows is behind the publication: it stands there, and is not shown what was
 * published before it came. */
static void a_consumer_that_joins_behind_a_slow_one_sees_only_new_events(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        for (int64_t behind = 0; behind <= 6; behind++) {
            dx_ring_t *ring = ring_of(mode, 8);
            dx_producer_t producer;
            open_producer(&producer, ring, DX_FULL_FAIL);
            dx_consumer_t slow;
            open_consumer(&slow, ring, 0);
            publish_many(&producer, 6);
            dx_consumer_release(&slow, behind - 1);
            dx_consumer_t late;
            open_consumer(&late, ring, bit_of(&slow));
            assert_number(late.next, behind);
            publish_many(&producer, 2);
            assert_number(dx_consumer_poll(&late), behind - 1);
            assert_number(consume_all(&slow), 8 - behind);
            assert_number(dx_consumer_poll(&late), 7);
            for (int64_t sequence = behind; sequence < 8; sequence++) {
                assert_int_equal(dx_consumer_is_hidden(&late, sequence), sequence < 6);
            }
            assert_number(consume_all(&late), 2);
            dx_ring_destroy(ring);
        }
    }
}

/* ---------------------------------------------------------------------------------- following */

static void only_the_ends_of_the_graph_hold_producers_back(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = ring_of(mode, 8);
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_FAIL);
        dx_consumer_t left;
        dx_consumer_t right;
        dx_consumer_t join;
        open_consumer(&left, ring, 0);
        open_consumer(&right, ring, 0);
        dx_ring_block_t *block = dx_ring_block(ring);
        assert_number(dx_load_relaxed(&block->gating), 3);
        open_consumer(&join, ring, bit_of(&left) | bit_of(&right));
        assert_number(dx_load_relaxed(&block->gating), 4);
        assert_number(dx_load_relaxed(&block->active), 7);
        publish_many(&producer, 8);
        assert_number(consume_all(&left), 8);
        assert_number(dx_consumer_poll(&join), -1); /* the minimum of the two */
        dx_consumer_release(&right, 4);
        assert_number(dx_consumer_poll(&join), 4);
        assert_code(dx_producer_claim(&producer), DX_EAGAIN);
        assert_number(consume_all(&join), 5);
        publish_many(&producer, 5);
        assert_code(dx_producer_claim(&producer), DX_EAGAIN);
        dx_ring_destroy(ring);
    }
}

static void a_wait_returns_at_once_when_events_are_there(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        for (int kind = 0; kind < DX_WAIT_KIND_COUNT; kind++) {
            dx_ring_t *ring = ring_of(mode, 8);
            dx_producer_t producer;
            open_producer(&producer, ring, DX_FULL_FAIL);
            dx_consumer_t consumer;
            const dx_consumer_options_t options = {.wait = {.kind = (dx_wait_kind_t)kind}};
            assert_ok(dx_consumer_open(&consumer, ring, &options, NULL));
            publish_many(&producer, 3);
            assert_number(dx_consumer_wait(&consumer), 2);
            dx_consumer_release(&consumer, 0);
            assert_number(dx_consumer_wait(&consumer), 2);
            dx_ring_destroy(ring);
        }
    }
}

static void a_wait_behind_a_failed_consumer_says_so(void **state)
{
    (void)state;
    dx_ring_t *ring = ring_of(DX_RING_SINGLE, 8);
    dx_producer_t producer;
    open_producer(&producer, ring, DX_FULL_FAIL);
    dx_consumer_t first;
    dx_consumer_t second;
    open_consumer(&first, ring, 0);
    open_consumer(&second, ring, bit_of(&first));
    publish_many(&producer, 3);
    dx_consumer_release(&first, 1);
    dx_consumer_fail(&first, DX_EIO);
    assert_number(dx_consumer_wait(&second), 1); /* what it has finished is still there */
    assert_number(consume_all(&second), 2);
    assert_code(dx_consumer_wait(&second), DX_ECONSUMER);
    dx_consumer_stat_t stat;
    assert_ok(dx_ring_consumer_stat(ring, first.index, &stat));
    assert_code(stat.failure, DX_EIO);
    assert_int_equal(stat.state, DX_CONSUMER_FAILED);
    dx_ring_destroy(ring);
}

static void a_cancel_ends_one_wait(void **state)
{
    (void)state;
    for (int kind = 0; kind < DX_WAIT_KIND_COUNT; kind++) {
        dx_ring_t *ring = ring_of(DX_RING_SINGLE, 8);
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_FAIL);
        dx_consumer_t consumer;
        const dx_consumer_options_t options = {
            .wait = {.kind = (dx_wait_kind_t)kind, .timeout_ns = 1000}};
        assert_ok(dx_consumer_open(&consumer, ring, &options, NULL));
        dx_consumer_cancel(&consumer);
        assert_code(dx_consumer_wait(&consumer), DX_ECANCELLED);
        assert_code(dx_consumer_wait(&consumer), DX_ETIMEDOUT);
        publish_many(&producer, 1);
        dx_consumer_cancel(&consumer);
        assert_code(dx_consumer_wait(&consumer), DX_ECANCELLED);
        assert_number(dx_consumer_wait(&consumer), 0); /* the event was not lost */
        dxi_consumer_control(ring, consumer.index, DXI_CONTROL_HALT);
        assert_code(dx_consumer_wait(&consumer), DX_EALERTED);
        assert_code(dx_consumer_wait(&consumer), DX_EALERTED);
        dx_ring_destroy(ring);
    }
}

/* ------------------------------------------------------------------------------------ leaving */

static void when_the_last_one_leaves_producers_run_freely(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = ring_of(mode, 4);
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_FAIL);
        dx_consumer_t consumer;
        open_consumer(&consumer, ring, 0);
        publish_many(&producer, 4);
        assert_code(dx_producer_claim(&producer), DX_EAGAIN);
        dx_consumer_close(&consumer);
        dx_consumer_close(&consumer);
        publish_many(&producer, 100);
        dx_consumer_stat_t stat;
        assert_code(dx_ring_consumer_stat(ring, 0, &stat), DX_ENOTFOUND);
        open_consumer(&consumer, ring, 0);
        assert_number(consumer.index, 0);
        publish_many(&producer, 4);
        assert_code(dx_producer_claim(&producer), DX_EAGAIN);
        assert_number(consume_all(&consumer), 4);
        dx_ring_destroy(ring);
    }
}

static void when_an_end_leaves_what_it_followed_becomes_the_end(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = ring_of(mode, 8);
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_FAIL);
        dx_consumer_t first;
        dx_consumer_t left;
        dx_consumer_t right;
        open_consumer(&first, ring, 0);
        open_consumer(&left, ring, bit_of(&first));
        open_consumer(&right, ring, bit_of(&first));
        dx_ring_block_t *block = dx_ring_block(ring);
        dx_consumer_close(&left);
        assert_number(dx_load_relaxed(&block->gating), (int64_t)bit_of(&right));
        dx_consumer_close(&right);
        assert_number(dx_load_relaxed(&block->gating), (int64_t)bit_of(&first));
        publish_many(&producer, 8);
        assert_code(dx_producer_claim(&producer), DX_EAGAIN);
        assert_number(consume_all(&first), 8);
        dx_consumer_close(&first);
        assert_number(dx_load_relaxed(&block->gating), 0);
        assert_number(dx_load_relaxed(&block->active), 0);
        dx_ring_destroy(ring);
    }
}

/* Fails when: dx_consumer_close() changes the table and not the handles of those behind: they would
 * look at a word that nobody moves any more. */
static void when_one_in_the_middle_leaves_those_behind_follow_what_it_followed(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        for (int beside = 0; beside < 2; beside++) {
            dx_ring_t *ring = ring_of(mode, 8);
            dx_producer_t producer;
            open_producer(&producer, ring, DX_FULL_FAIL);
            dx_consumer_t first;
            dx_consumer_t middle;
            dx_consumer_t side;
            dx_consumer_t last;
            open_consumer(&first, ring, 0);
            open_consumer(&middle, ring, bit_of(&first));
            open_consumer(&side, ring, 0);
            open_consumer(&last, ring, bit_of(&middle) | (beside ? bit_of(&side) : 0));
            publish_many(&producer, 4);
            assert_number(consume_all(&first), 4);
            assert_number(consume_all(&side), 4);
            dx_consumer_release(&middle, 1);
            assert_number(consume_all(&last), 2);
            dx_consumer_close(&middle);
            dx_consumer_stat_t stat;
            assert_ok(dx_ring_consumer_stat(ring, last.index, &stat));
            assert_number((int64_t)stat.upstream,
                          (int64_t)(bit_of(&first) | (beside ? bit_of(&side) : 0)));
            assert_number(consume_all(&last), 2);
            publish_many(&producer, 4);
            assert_number(consume_all(&side), 4);
            assert_number(consume_all(&last), 0);
            assert_number(consume_all(&first), 4);
            assert_number(consume_all(&last), 4);
            dx_consumer_close(&first); /* now it follows the publication itself */
            publish_many(&producer, 2);
            assert_number(consume_all(&side), 2);
            assert_number(consume_all(&last), 2);
            dx_ring_destroy(ring);
        }
    }
}

/* Fails when: what a consumer hid comes to light when it leaves before those behind it came by. */
static void what_one_skipped_stays_hidden_after_it_has_left(void **state)
{
    (void)state;
    dx_ring_t *ring = ring_of(DX_RING_MULTI, 8);
    dx_producer_t producer;
    open_producer(&producer, ring, DX_FULL_FAIL);
    dx_consumer_t skipper;
    assert_ok(dx_consumer_open(&skipper, ring, &(dx_consumer_options_t){.may_skip = true}, NULL));
    dx_consumer_t behind;
    open_consumer(&behind, ring, bit_of(&skipper));
    publish_many(&producer, 4);
    assert_int_equal(dx_consumer_skip(&skipper, 2), DX_OK);
    assert_number(consume_all(&skipper), 4);
    dx_consumer_close(&skipper);
    assert_number(consume_all(&behind), 3);
    publish_many(&producer, 8);
    assert_number(consume_all(&behind), 8);
    dx_ring_destroy(ring);
}

/* ------------------------------------------------------------------------------------ polling */

typedef struct seen {
    int64_t first;
    int64_t count;
    int64_t ends;    /* how often end_of_batch was true */
    int64_t stop_at; /* the sequence at which `code` is returned */
    int code;
} seen_t;

static int see(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    seen_t *seen = context;
    if (sequence == seen->stop_at && seen->code < 0) {
        return seen->code;
    }
    assert_number(((const event_t *)event)->value, sequence);
    seen->first = seen->count == 0 ? sequence : seen->first;
    assert_number(sequence, seen->first + seen->count);
    seen->count++;
    seen->ends += end_of_batch;
    return sequence == seen->stop_at ? seen->code : DX_OK;
}

static void a_poller_says_what_it_found(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = ring_of(mode, 8);
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_FAIL);
        dx_consumer_t first;
        dx_consumer_t second;
        open_consumer(&first, ring, 0);
        open_consumer(&second, ring, bit_of(&first));
        for (int lap = 0; lap < 10; lap++) {
            seen_t seen = {.stop_at = -1};
            assert_int_equal(dx_consumer_drain(&first, see, &seen, 0), DX_POLL_IDLE);
            assert_int_equal(dx_consumer_drain(&second, see, &seen, 0), DX_POLL_IDLE);
            publish_many(&producer, 8);
            assert_int_equal(dx_consumer_drain(&second, see, &seen, 0), DX_POLL_GATING);
            assert_number(seen.count, 0);
            assert_int_equal(dx_consumer_drain(&first, see, &seen, 0), DX_POLL_PROCESSING);
            assert_number(seen.count, 8);
            assert_number(seen.ends, 1);
            seen = (seen_t){.stop_at = -1};
            assert_int_equal(dx_consumer_drain(&second, see, &seen, 0), DX_POLL_PROCESSING);
            assert_number(seen.first, lap * 8);
            assert_number(seen.count, 8);
        }
        dx_ring_destroy(ring);
    }
}

static void a_poller_takes_at_most_its_limit(void **state)
{
    (void)state;
    static const struct {
        int64_t limit;
        int64_t counts[4];
    } rows[] = {{0, {7, 0, 0, 0}}, {1, {1, 1, 1, 1}},         {3, {3, 3, 1, 0}},
                {7, {7, 0, 0, 0}}, {INT64_MAX, {7, 0, 0, 0}}, {6, {6, 1, 0, 0}}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        dx_ring_t *ring = ring_of(DX_RING_MULTI, 8);
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_FAIL);
        dx_consumer_t consumer;
        open_consumer(&consumer, ring, 0);
        publish_many(&producer, 7);
        for (size_t drain = 0; drain < COUNT_OF(rows[i].counts); drain++) {
            seen_t seen = {.stop_at = -1};
            const int64_t count = rows[i].counts[drain];
            assert_int_equal(dx_consumer_drain(&consumer, see, &seen, rows[i].limit),
                             count > 0 ? DX_POLL_PROCESSING : DX_POLL_IDLE);
            assert_number(seen.count, count);
            assert_number(seen.ends, count > 0);
        }
        dx_ring_destroy(ring);
    }
}

static void a_poller_stops_behind_or_before_an_event_as_its_handler_says(void **state)
{
    (void)state;
    static const struct {
        int code;
        int result;
        int64_t stop_at;
        int64_t next;
    } rows[] = {{1, DX_POLL_PROCESSING, 0, 1}, {1, DX_POLL_PROCESSING, 3, 4},
                {1, DX_POLL_PROCESSING, 5, 6}, {DX_EIO, DX_EIO, 0, 0},
                {DX_EIO, DX_EIO, 3, 3},        {-1000, -1000, 5, 5}};
    FOR_EACH_MODE(mode)
    {
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
            dx_ring_t *ring = ring_of(mode, 8);
            dx_producer_t producer;
            open_producer(&producer, ring, DX_FULL_FAIL);
            dx_consumer_t consumer;
            open_consumer(&consumer, ring, 0);
            publish_many(&producer, 6);
            seen_t seen = {.stop_at = rows[i].stop_at, .code = rows[i].code};
            for (int again = 0; again < (rows[i].code < 0 ? 3 : 1); again++) {
                assert_number(dx_consumer_drain(&consumer, see, &seen, 0), rows[i].result);
                assert_number(consumer.next, rows[i].next);
                assert_number(seen.count, rows[i].next);
                assert_number(dx_ring_consumed(ring), rows[i].next - 1);
            }
            assert_number(consume_all(&consumer), 6 - rows[i].next); /* each once, none lost */
            dx_ring_destroy(ring);
        }
    }
}

static void a_poller_of_hidden_events_moves_on_without_its_handler(void **state)
{
    (void)state;
    dx_ring_t *ring = ring_of(DX_RING_MULTI, 8);
    dx_producer_t producer;
    open_producer(&producer, ring, DX_FULL_FAIL);
    dx_consumer_t consumer;
    open_consumer(&consumer, ring, 0);
    assert_number(dx_producer_claim_n(&producer, 8), 7);
    assert_int_equal(dx_producer_abort(&producer, 0, 7), DX_OK);
    seen_t seen = {.stop_at = -1};
    assert_int_equal(dx_consumer_drain(&consumer, see, &seen, 3), DX_POLL_PROCESSING);
    assert_number(consumer.next, 3);
    assert_int_equal(dx_consumer_drain(&consumer, see, &seen, 0), DX_POLL_PROCESSING);
    assert_number(consumer.next, 8);
    assert_number(seen.count, 0);
    assert_int_equal(dx_consumer_drain(&consumer, see, &seen, 0), DX_POLL_IDLE);
    publish_many(&producer, 8);
    dx_ring_destroy(ring);
}

/* A long run is polled in pieces, and no event of it twice. */
static void a_poll_looks_at_a_long_run_in_pieces(void **state)
{
    (void)state;
    dx_ring_t *ring = ring_of(DX_RING_MULTI, 4096);
    dx_producer_t producer;
    open_producer(&producer, ring, DX_FULL_FAIL);
    dx_consumer_t consumer;
    open_consumer(&consumer, ring, 0);
    for (int lap = 0; lap < 3; lap++) {
        publish_many(&producer, 4096);
        int64_t count = 0;
        for (int polls = 0; count < 4096 && polls < 4096; polls++) {
            count += consume_all(&consumer);
        }
        assert_number(count, 4096);
        assert_number(consume_all(&consumer), 0);
    }
    dx_ring_destroy(ring);
}

/* Fails when: dx_consumer_drain() forgets a counter. */
static void a_poller_counts_what_it_did(void **state)
{
    (void)state;
    dx_ring_t *ring = ring_of(DX_RING_SINGLE, 8);
    dx_producer_t producer;
    open_producer(&producer, ring, DX_FULL_FAIL);
    dx_consumer_t consumer;
    open_consumer(&consumer, ring, 0);
    seen_t seen = {.stop_at = -1};
    static const int sizes[] = {3, 8, 1};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        publish_many(&producer, sizes[i]);
        assert_int_equal(dx_consumer_drain(&consumer, see, &seen, 0), DX_POLL_PROCESSING);
        assert_int_equal(dx_consumer_drain(&consumer, see, &seen, 0), DX_POLL_IDLE);
    }
    dx_consumer_stat_t stat;
    assert_ok(dx_ring_consumer_stat(ring, consumer.index, &stat));
    assert_number(stat.events, 12);
    assert_number(stat.batches, 3);
    assert_number(stat.batch_max, 8);
    assert_number(stat.voids, 0);
    dx_ring_destroy(ring);
}

static void events_from_before_it_came_are_in_no_counter(void **state)
{
    (void)state;
    dx_ring_t *ring = ring_of(DX_RING_SINGLE, 8);
    dx_producer_t producer;
    open_producer(&producer, ring, DX_FULL_FAIL);
    dx_consumer_t slow;
    open_consumer(&slow, ring, 0);
    publish_many(&producer, 5);
    dx_consumer_t late;
    open_consumer(&late, ring, bit_of(&slow));
    publish_many(&producer, 2);
    assert_number(consume_all(&slow), 7);
    seen_t seen = {.stop_at = -1};
    assert_int_equal(dx_consumer_drain(&late, see, &seen, 0), DX_POLL_PROCESSING);
    assert_number(seen.first, 5);
    assert_number(seen.count, 2);
    dx_consumer_stat_t stat;
    assert_ok(dx_ring_consumer_stat(ring, late.index, &stat));
    assert_number(stat.events, 2);
    assert_number(stat.voids, 0);
    assert_number(stat.skips, 0);
    dx_ring_destroy(ring);
}

/* Of a batch that is all hidden, or that failed at once, no event was handled. */
static void a_batch_without_an_event_is_not_counted(void **state)
{
    (void)state;
    dx_ring_t *ring = ring_of(DX_RING_MULTI, 8);
    dx_producer_t producer;
    open_producer(&producer, ring, DX_FULL_FAIL);
    dx_consumer_t consumer;
    open_consumer(&consumer, ring, 0);
    assert_number(dx_producer_claim_n(&producer, 2), 1);
    assert_int_equal(dx_producer_abort(&producer, 0, 1), DX_OK);
    publish_many(&producer, 1);
    seen_t seen = {.stop_at = 2, .code = DX_EIO};
    assert_int_equal(dx_consumer_drain(&consumer, see, &seen, 0), DX_EIO);
    dx_consumer_stat_t stat;
    assert_ok(dx_ring_consumer_stat(ring, consumer.index, &stat));
    assert_number(stat.events, 0);
    assert_number(stat.batches, 0);
    assert_number(stat.voids, 2);
    dx_ring_destroy(ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_bad_option_is_refused_with_its_sentence),
        cmocka_unit_test(as_many_consumers_open_as_the_ring_was_made_for),
        cmocka_unit_test(as_many_consumers_may_skip_as_there_are_bits),
        cmocka_unit_test(a_new_consumer_starts_behind_what_is_published),
        cmocka_unit_test(events_published_before_anybody_reads_are_kept_for_who_is_there),
        cmocka_unit_test(the_oldest_event_is_the_one_that_nobody_has_released),
        cmocka_unit_test(a_consumer_that_joins_among_claims_in_flight_gets_them),
        cmocka_unit_test(producers_that_run_while_a_consumer_joins_do_not_pass_it),
        cmocka_unit_test(a_consumer_that_joins_behind_a_slow_one_sees_only_new_events),
        cmocka_unit_test(only_the_ends_of_the_graph_hold_producers_back),
        cmocka_unit_test(a_wait_returns_at_once_when_events_are_there),
        cmocka_unit_test(a_wait_behind_a_failed_consumer_says_so),
        cmocka_unit_test(a_cancel_ends_one_wait),
        cmocka_unit_test(when_the_last_one_leaves_producers_run_freely),
        cmocka_unit_test(when_an_end_leaves_what_it_followed_becomes_the_end),
        cmocka_unit_test(when_one_in_the_middle_leaves_those_behind_follow_what_it_followed),
        cmocka_unit_test(what_one_skipped_stays_hidden_after_it_has_left),
        cmocka_unit_test(a_poller_says_what_it_found),
        cmocka_unit_test(a_poller_takes_at_most_its_limit),
        cmocka_unit_test(a_poller_stops_behind_or_before_an_event_as_its_handler_says),
        cmocka_unit_test(a_poller_of_hidden_events_moves_on_without_its_handler),
        cmocka_unit_test(a_poll_looks_at_a_long_run_in_pieces),
        cmocka_unit_test(a_poller_counts_what_it_did),
        cmocka_unit_test(events_from_before_it_came_are_in_no_counter),
        cmocka_unit_test(a_batch_without_an_event_is_not_counted),
    };
    return cmocka_run_group_tests_name("consumer", tests, NULL, NULL);
}
