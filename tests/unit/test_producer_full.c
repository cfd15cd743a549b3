/* test_producer_full.c - the full ring: policies, waits and what ends them, and claims that race.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ring_test.h"

/* --------------------------------------------------------------------------- claims that race */

/* Claims by the slow path: as if the room that the handle knows of were used up. */
static int64_t claim_slowly(dx_producer_t *producer, int64_t count)
{
    producer->limit = -1;
    return dx_producer_try_claim_n(producer, count);
}

typedef struct joining {
    dx_ring_t *ring;
    dx_consumer_t *first; /* there already; NULL: nobody */
    dx_consumer_t *consumer;
    dx_producer_t *other;
    bool done;
} joining_t;

/* Between the look at who gates and the look at how far they are: a consumer joins, and another
 * producer fills the ring in front of it. */
static void join_and_fill(const char *point, void *context)
{
    joining_t *joining = context;
    if (strcmp(point, "gating:mask-read") != 0 || joining->done) {
        return;
    }
    joining->done = true;
    open_consumer(joining->consumer, joining->ring, 0);
    publish_many(joining->other, 64);
    if (joining->first != NULL) {
        (void)consume_all(joining->first);
    }
}

/* Fails when: dxi_gating_minimum() does not look again whether a consumer has joined. */
static void a_limit_computed_while_a_consumer_joins_does_not_pass_it(void **state)
{
    (void)state;
    NEEDS_TEST_HOOKS();
    for (int consumers = 0; consumers < 2; consumers++) {
        dx_ring_t *ring = ring_of(DX_RING_MULTI, 64);
        dx_consumer_t first;
        if (consumers > 0) {
            open_consumer(&first, ring, 0);
        }
        dx_producer_t slow;
        dx_producer_t other;
        open_producer(&slow, ring, DX_FULL_FAIL);
        open_producer(&other, ring, DX_FULL_FAIL);
        dx_consumer_t consumer;
        joining_t joining = {.ring = ring,
                             .first = consumers > 0 ? &first : NULL,
                             .consumer = &consumer,
                             .other = &other};
        dxi_point_set(join_and_fill, &joining);
        const int64_t claimed = claim_slowly(&slow, 1);
        dxi_point_set(NULL, NULL);
        assert_true(joining.done);
        assert_code(claimed, DX_EAGAIN);
        assert_number(consume_all(&consumer), 64);
        dx_ring_destroy(ring);
    }
}

typedef struct rival {
    dx_producer_t *other;
    int64_t claimed;
    int looks;
} rival_t;

static void claim_before_swap(const char *point, void *context)
{
    rival_t *rival = context;
    if (strcmp(point, "claim:before-swap") == 0 && ++rival->looks == 1) {
        rival->claimed = claim_slowly(rival->other, 2);
    }
}

/* Fails when: claim_once() stores instead of swapping, or does not look at the room again. */
static void a_claim_that_loses_the_swap_starts_again(void **state)
{
    (void)state;
    NEEDS_TEST_HOOKS();
    static const struct {
        int64_t count;
        int64_t result;
    } rows[] = {{1, 2}, {6, 7}, {7, DX_EAGAIN}, {8, DX_EAGAIN}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        dx_ring_t *ring = ring_of(DX_RING_MULTI, 8);
        dx_producer_t one;
        dx_producer_t two;
        open_producer(&one, ring, DX_FULL_FAIL);
        open_producer(&two, ring, DX_FULL_FAIL);
        rival_t rival = {.other = &two};
        dxi_point_set(claim_before_swap, &rival);
        const int64_t claimed = claim_slowly(&one, rows[i].count);
        dxi_point_set(NULL, NULL);
        assert_number(rival.claimed, 1);
        assert_number(claimed, rows[i].result);
        dx_ring_destroy(ring);
    }
}

#define RACE_SLOTS 256
#define RACE_PRODUCERS 4
#define RACE_ROUNDS 4000
#define FREE_SLOT (-7)

typedef struct race {
    dx_ring_t *ring;
    dx_atomic64_t published; /* events that are not void */
    dx_atomic32_t running;
    dx_atomic64_t overwritten; /* slots claimed before the consumer had released them */
    dx_atomic64_t beyond;      /* claims beyond consumed + slot_count */
    dx_atomic64_t failures;
    dx_atomic64_t seed;
} race_t;

static void race_fill(race_t *race, dx_producer_t *producer, int64_t first, int64_t last)
{
    for (int64_t sequence = first; sequence <= last; sequence++) {
        if (DX_PRODUCER_EVENT(producer, sequence, event_t)->value != FREE_SLOT) {
            (void)dx_fetch_add_relaxed(&race->overwritten, 1);
        }
        fill(producer, sequence);
    }
    if (last - RACE_SLOTS > dx_ring_consumed(race->ring)) {
        (void)dx_fetch_add_relaxed(&race->beyond, 1);
    }
}

/* Claims of 1 to 40 events: up to 16 by fetch-add, more by compare-and-swap. Some are given up. */
static void *race_produce(void *context)
{
    race_t *race = context;
    uint64_t random = (uint64_t)dx_fetch_add_relaxed(&race->seed, 1) * 977 + 1;
    dx_producer_t producer;
    const dx_producer_options_t options = {.full = random % 2 != 0 ? DX_FULL_WAIT : DX_FULL_FAIL};
    int64_t last = dx_producer_open(&producer, race->ring, &options, NULL);
    for (int round = 0; round < RACE_ROUNDS && last >= 0;) {
        const int64_t count = 1 + (int64_t)(random_next(&random) % 40);
        last = dx_producer_claim_n(&producer, count);
        if (last == DX_EAGAIN) {
            last = 0;
            (void)sched_yield();
            continue;
        }
        if (last < 0) {
            break;
        }
        const int64_t first = last - count + 1;
        race_fill(race, &producer, first, last);
        const int64_t split = first + (int64_t)(random_next(&random) % (uint64_t)count);
        if (round % 8 == 0) {
            for (int64_t sequence = first; sequence < split; sequence++) {
                DX_PRODUCER_EVENT(&producer, sequence, event_t)->value = -1;
            }
            (void)(split > first ? dx_producer_abort(&producer, first, split - 1) : DX_OK);
            (void)dx_producer_publish_range(&producer, split, last);
            (void)dx_fetch_add_relaxed(&race->published, last - split + 1);
        } else {
            (void)dx_producer_publish_range(&producer, first, last);
            (void)dx_fetch_add_relaxed(&race->published, count);
        }
        round++;
    }
    if (last < 0) {
        (void)dx_fetch_add_relaxed(&race->failures, 1);
    }
    dx_producer_close(&producer);
    (void)dx_fetch_add32_acq_rel(&race->running, -1);
    return NULL;
}

/* Looks from outside, all the time. */
static void *race_watch(void *context)
{
    race_t *race = context;
    dx_ring_block_t *block = dx_ring_block(race->ring);
    while (dx_load32_acquire(&race->running) > 0) {
        const int64_t remaining = dx_ring_remaining(race->ring);
        const int64_t claimed = dx_load_acquire(&block->claimed);
        const int64_t published = dx_ring_published(race->ring);
        const int64_t consumed = dx_ring_consumed(race->ring);
        if (remaining < 0 || remaining > RACE_SLOTS || claimed > consumed + RACE_SLOTS ||
            published > consumed + RACE_SLOTS) {
            (void)dx_fetch_add_relaxed(&race->beyond, 1);
        }
    }
    return NULL;
}

static void mark_free(void *context, void *event, int64_t index)
{
    (void)context;
    (void)index;
    ((event_t *)event)->value = FREE_SLOT;
}

/* I3. Fails when: a claim is given out without regard to the consumers (claim_once() or
 * dx_producer_claim_n() without its test), or dxi_block_remaining() loses its limits. */
static void racing_claims_never_take_a_slot_that_is_not_free(void **state)
{
    (void)state;
    race_t race = {.ring = ring_from(&(dx_ring_options_t){.slot_count = RACE_SLOTS,
                                                          .event_bytes = sizeof(event_t),
                                                          .mode = DX_RING_MULTI,
                                                          .producers_max = RACE_PRODUCERS,
                                                          .initialise = mark_free}),
                   .running = {RACE_PRODUCERS}};
    dx_consumer_t consumer;
    open_consumer(&consumer, race.ring, 0);
    pthread_t threads[RACE_PRODUCERS + 1];
    for (int i = 0; i < RACE_PRODUCERS; i++) {
        threads[i] = thread_start(race_produce, &race);
    }
    threads[RACE_PRODUCERS] = thread_start(race_watch, &race);
    int64_t consumed = 0;
    int64_t wrong = 0;
    const int64_t end_ns = dx_clock_ns() + PATIENCE_NS;
    for (bool running = true; running && dx_clock_ns() < end_ns;) {
        running = dx_load32_acquire(&race.running) > 0;
        const int64_t last = dx_consumer_poll(&consumer);
        running = running || last >= consumer.next;
        for (int64_t sequence = consumer.next; sequence <= last; sequence++) {
            if (!dx_consumer_is_hidden(&consumer, sequence)) {
                consumed++;
                wrong += !event_is_right(&consumer, sequence);
            }
            DX_CONSUMER_EVENT(&consumer, sequence, event_t)->value = FREE_SLOT;
            if (sequence % 16 == 0) {
                dx_consumer_release(&consumer, sequence);
            }
        }
        dx_consumer_release(&consumer, last);
        (void)sched_yield();
    }
    dx_ring_close(race.ring); /* nobody hangs, whatever went wrong */
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        thread_join(threads[i]);
    }
    assert_number(dx_load_relaxed(&race.overwritten), 0);
    assert_number(dx_load_relaxed(&race.beyond), 0);
    assert_number(dx_load_relaxed(&race.failures), 0);
    assert_number(wrong, 0);
    assert_number(consumed, dx_load_relaxed(&race.published));
    dx_ring_destroy(race.ring);
}

/* -------------------------------------------------------------------- policies of a full ring */

static void the_policy_says_what_a_full_ring_means(void **state)
{
    (void)state;
    static const struct {
        dx_producer_options_t options;
        int code;
        int64_t drops;
        int64_t refusals;
        int64_t waits;
    } rows[] = {
        {{.full = DX_FULL_FAIL}, DX_EAGAIN, 0, 2, 0},
        {{.full = DX_FULL_DROP}, DX_EDROPPED, 4, 0, 0},
        {{.full = DX_FULL_WAIT, .wait = {.timeout_ns = 1}}, DX_ETIMEDOUT, 0, 2, 2},
        {{.full = DX_FULL_WAIT, .wait = {.kind = DX_WAIT_TIMEOUT_BLOCKING}}, DX_ETIMEDOUT, 0, 2, 2},
    };
    FOR_EACH_MODE(mode)
    {
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
            dx_ring_t *ring = ring_of(mode, 4);
            dx_producer_t producer;
            assert_ok(dx_producer_open(&producer, ring, &rows[i].options, NULL));
            dx_consumer_t consumer;
            open_consumer(&consumer, ring, 0);
            publish_many(&producer, 4);
            assert_code(dx_producer_claim(&producer), rows[i].code);
            assert_code(dx_producer_claim_n(&producer, 3), rows[i].code);
            dx_ring_stat_t stat;
            dx_ring_stat(ring, &stat);
            assert_number(stat.drops, rows[i].drops);
            assert_number(stat.refusals, rows[i].refusals);
            assert_number(stat.claim_waits, rows[i].waits);
            assert_true((stat.claim_wait_ns > 0) == (rows[i].waits > 0));
            /* Whatever the policy, a try does not wait, and a timed claim waits that long. */
            assert_code(dx_producer_try_claim_n(&producer, 1), DX_EAGAIN);
            assert_code(dx_producer_claim_timed(&producer, 1, 1), DX_ETIMEDOUT);
            assert_code(dx_producer_claim_timed(&producer, 1, 0), DX_EAGAIN);
            assert_code(dx_producer_claim_timed(&producer, 1, INT64_MIN), DX_EAGAIN);
            assert_number(consume_all(&consumer), 4);
            assert_number(publish_one(&producer), 4);
            dx_ring_destroy(ring);
        }
    }
}

static void a_timed_claim_waits_at_least_its_time(void **state)
{
    (void)state;
    for (int kind = 0; kind < DX_WAIT_KIND_COUNT; kind++) {
        dx_ring_t *ring = ring_of(DX_RING_SINGLE, 2);
        dx_producer_t producer;
        const dx_producer_options_t options = {.wait = {.kind = (dx_wait_kind_t)kind}};
        assert_ok(dx_producer_open(&producer, ring, &options, NULL));
        dx_consumer_t consumer;
        open_consumer(&consumer, ring, 0);
        publish_many(&producer, 2);
        const int64_t started_ns = dx_clock_ns();
        assert_code(dx_producer_claim_timed(&producer, 1, 2000000), DX_ETIMEDOUT);
        assert_true(dx_clock_ns() - started_ns >= 2000000);
        dx_ring_destroy(ring);
    }
}

/* ----------------------------------------------------------------------------- blocked claims */

typedef struct blocked {
    dx_ring_t *ring;
    dx_producer_t producer;
    dx_consumer_t consumer;
    int64_t result;
    dx_atomic32_t done;
} blocked_t;

static void *claim_and_block(void *context)
{
    blocked_t *blocked = context;
    blocked->result = dx_producer_claim_n(&blocked->producer, 2);
    dx_store32_release(&blocked->done, 1);
    return NULL;
}

static void end_by_release(blocked_t *blocked)
{
    dx_consumer_release(&blocked->consumer, 0); /* room for one: not enough */
    dx_consumer_release(&blocked->consumer, 1);
}
static void end_by_close(blocked_t *blocked)
{
    dx_ring_close(blocked->ring);
}
static void end_by_cancel(blocked_t *blocked)
{
    dx_producer_cancel(&blocked->producer);
}
static void end_by_failure(blocked_t *blocked)
{
    dx_consumer_fail(&blocked->consumer, DX_EIO);
}
static void end_by_leaving(blocked_t *blocked)
{
    dx_consumer_close(&blocked->consumer);
}

static const struct {
    const char *name;
    void (*end)(blocked_t *blocked);
    int64_t result;
} endings[] = {
    {"release", end_by_release, 5},           {"close", end_by_close, DX_ECLOSED},
    {"cancel", end_by_cancel, DX_ECANCELLED}, {"failure", end_by_failure, DX_ECONSUMER},
    {"leaving", end_by_leaving, 5},
};

static void block_and_end(dx_ring_mode_t mode, int kind, size_t ending)
{
    static blocked_t blocked;
    memset(&blocked, 0, sizeof(blocked));
    blocked.ring = ring_of(mode, 4);
    const dx_producer_options_t options = {
        .wait = {.kind = (dx_wait_kind_t)kind, .timeout_ns = PATIENCE_NS}};
    assert_ok(dx_producer_open(&blocked.producer, blocked.ring, &options, NULL));
    open_consumer(&blocked.consumer, blocked.ring, 0);
    publish_many(&blocked.producer, 4);
    const dx_producer_entry_t *entry = blocked.producer.entry;
    const pthread_t thread = thread_start(claim_and_block, &blocked);
    wait_until(dx_load_relaxed(&entry->waits) == 1);
    endings[ending].end(&blocked);
    wait_until(dx_load32_acquire(&blocked.done) != 0);
    thread_join(thread);
    if (blocked.result != endings[ending].result) {
        fail_msg("%s, %s: the claim returned %lld (%s)", dx_wait_kind_name((dx_wait_kind_t)kind),
                 endings[ending].name, (long long)blocked.result,
                 dx_error_name((int)blocked.result));
    }
    dx_ring_destroy(blocked.ring);
}

/* Fails when: dx_ring_close(), dx_producer_cancel(), dx_consumer_fail() or dx_consumer_close() does
 * not wake producers, or claim_hopeless() does not look at their word: the claim then times out. */
static void a_blocked_claim_ends_for_each_reason_in_each_strategy(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        for (int kind = 0; kind < DX_WAIT_KIND_COUNT; kind++) {
            for (size_t ending = 0; ending < COUNT_OF(endings); ending++) {
                block_and_end(mode, kind, ending);
            }
        }
    }
}

static void a_cancel_ends_one_claim_that_would_wait(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = ring_of(mode, 4);
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_WAIT);
        dx_consumer_t consumer;
        open_consumer(&consumer, ring, 0);
        dx_producer_cancel(&producer);
        publish_many(&producer, 4); /* there is room: it does not end these */
        assert_code(dx_producer_try_claim_n(&producer, 1), DX_EAGAIN);
        assert_code(dx_producer_claim(&producer), DX_ECANCELLED);
        assert_code(dx_producer_claim_timed(&producer, 1, 1), DX_ETIMEDOUT);
        dx_producer_cancel(&producer);
        dx_producer_close(&producer);
        open_producer(&producer, ring, DX_FULL_WAIT); /* a new handle has not been cancelled */
        assert_code(dx_producer_claim_timed(&producer, 1, 1), DX_ETIMEDOUT);
        dx_ring_destroy(ring);
    }
}

/* ------------------------------------------------------------------ consumers that have ended */

/* Fails when: claims ask only whether there is room; a loop of tries would go on for ever. */
static void a_failed_consumer_fails_the_claims_that_need_it(void **state)
{
    (void)state;
    static const dx_consumer_state_t ends[] = {DX_CONSUMER_FAILED, DX_CONSUMER_STOPPED};
    FOR_EACH_MODE(mode)
    {
        for (size_t i = 0; i < COUNT_OF(ends); i++) {
            dx_ring_t *ring = ring_of(mode, 4);
            dx_producer_t producer;
            open_producer(&producer, ring, DX_FULL_WAIT);
            dx_consumer_t consumer;
            open_consumer(&consumer, ring, 0);
            publish_many(&producer, 2);
            if (ends[i] == DX_CONSUMER_FAILED) {
                dx_consumer_fail(&consumer, DX_EIO);
            } else {
                dx_store32_release(&consumer.entry->state, DX_CONSUMER_STOPPED);
            }
            publish_many(&producer, 2); /* there is room without it */
            assert_code(dx_producer_claim(&producer), DX_ECONSUMER);
            assert_code(dx_producer_claim_timed(&producer, 1, SECOND_NS), DX_ECONSUMER);
            assert_code(dx_producer_try_claim_n(&producer, 1), DX_ECONSUMER);
            dx_consumer_close(&consumer);
            assert_number(publish_one(&producer), 4);
            dx_ring_destroy(ring);
        }
    }
}

static void a_failed_consumer_matters_only_from_where_it_stands(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = ring_of(mode, 4);
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_WAIT);
        dx_consumer_t first;
        dx_consumer_t second;
        open_consumer(&first, ring, 0);
        open_consumer(&second, ring, bit_of(&first));
        publish_many(&producer, 4);
        dx_consumer_release(&first, 1);
        dx_consumer_fail(&first, DX_EIO);
        /* The one behind it is alive and may still handle 0 and 1. */
        assert_code(dx_producer_claim_timed(&producer, 1, 1), DX_ETIMEDOUT);
        assert_number(consume_all(&second), 2);
        publish_many(&producer, 2);
        assert_code(dx_producer_claim(&producer), DX_ECONSUMER);
        dx_ring_destroy(ring);
    }
}

/* With the policy DROP the producer goes on whoever has failed: that is what it is for. */
static void a_dropping_producer_drops_behind_a_failed_consumer_too(void **state)
{
    (void)state;
    dx_ring_t *ring = ring_of(DX_RING_SINGLE, 2);
    dx_producer_t producer;
    open_producer(&producer, ring, DX_FULL_DROP);
    dx_consumer_t consumer;
    open_consumer(&consumer, ring, 0);
    publish_many(&producer, 2);
    dx_consumer_fail(&consumer, 0);
    dx_consumer_stat_t stat;
    assert_ok(dx_ring_consumer_stat(ring, consumer.index, &stat));
    assert_code(stat.failure, DX_EFATAL); /* a failure without a reason has this one */
    assert_int_equal(stat.state, DX_CONSUMER_FAILED);
    assert_code(dx_producer_claim(&producer), DX_EDROPPED);
    dx_ring_destroy(ring);
}

/* ------------------------------------------------------------------------ waiting for oneself */

static void a_single_producer_does_not_wait_for_its_own_claims(void **state)
{
    (void)state;
    for (int consumers = 0; consumers < 2; consumers++) {
        dx_ring_t *ring = ring_of(DX_RING_SINGLE, 4);
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_WAIT);
        dx_consumer_t consumer;
        if (consumers > 0) {
            open_consumer(&consumer, ring, 0);
        }
        assert_number(dx_producer_claim_n(&producer, 3), 2);
        assert_code(dx_producer_claim_n(&producer, 2), DX_EDEADLOCK);
        assert_code(dx_producer_claim_timed(&producer, 2, PATIENCE_NS), DX_EDEADLOCK);
        assert_number(dx_producer_claim(&producer), 3); /* nothing was claimed */
        assert_int_equal(dx_producer_publish_range(&producer, 0, 3), DX_OK);
        if (consumers > 0) {
            /* Now it would wait for the consumer, which is another matter. */
            assert_code(dx_producer_claim_timed(&producer, 1, 1), DX_ETIMEDOUT);
        } else {
            assert_number(dx_producer_claim_n(&producer, 4), 7);
        }
        dx_ring_destroy(ring);
    }
}

static int publish_from_handler(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    (void)event;
    (void)sequence;
    (void)end_of_batch;
    blocked_t *blocked = context;
    blocked->result = dx_producer_claim_timed(&blocked->producer, 1, SECOND_NS / 100);
    return 1;
}

/* Fails when: dx_consumer_drain() does not say whose handler the thread runs. */
static void a_handler_does_not_wait_for_its_own_consumer(void **state)
{
    (void)state;
    static blocked_t blocked;
    FOR_EACH_MODE(mode)
    {
        for (int behind = 0; behind < 2; behind++) {
            memset(&blocked, 0, sizeof(blocked));
            blocked.ring = ring_of(mode, 4);
            open_producer(&blocked.producer, blocked.ring, DX_FULL_WAIT);
            open_consumer(&blocked.consumer, blocked.ring, 0);
            dx_consumer_t second;
            if (behind) {
                open_consumer(&second, blocked.ring, bit_of(&blocked.consumer));
            }
            publish_many(&blocked.producer, 4);
            assert_int_equal(
                dx_consumer_drain(&blocked.consumer, publish_from_handler, &blocked, 0),
                DX_POLL_PROCESSING);
            assert_code(blocked.result, DX_EDEADLOCK);
            /* Outside of the handler it is no handler. */
            assert_code(dx_producer_claim_timed(&blocked.producer, 4, 1), DX_ETIMEDOUT);
            dx_ring_destroy(blocked.ring);
        }
    }
}

/* Fails when: every claim by a handler counts as waiting for itself, whoever holds the ring. */
static void a_handler_waits_for_a_consumer_that_is_not_behind_it(void **state)
{
    (void)state;
    static blocked_t blocked;
    FOR_EACH_MODE(mode)
    {
        memset(&blocked, 0, sizeof(blocked));
        blocked.ring = ring_of(mode, 4);
        open_producer(&blocked.producer, blocked.ring, DX_FULL_WAIT);
        open_consumer(&blocked.consumer, blocked.ring, 0);
        dx_consumer_t beside;
        open_consumer(&beside, blocked.ring, 0);
        publish_many(&blocked.producer, 4);
        dx_consumer_release(&blocked.consumer, 1);
        assert_int_equal(dx_consumer_drain(&blocked.consumer, publish_from_handler, &blocked, 0),
                         DX_POLL_PROCESSING);
        assert_code(blocked.result, DX_ETIMEDOUT);
        dx_ring_destroy(blocked.ring);
    }
}

/* ------------------------------------------------------------------------------- closed rings */

static void a_closed_ring_refuses_every_claim(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = ring_of(mode, 256);
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_WAIT);
        dx_consumer_t consumer;
        open_consumer(&consumer, ring, 0);
        const int64_t held = dx_producer_claim_n(&producer, 4);
        assert_number(held, 3);
        dx_ring_close(ring);
        dx_ring_close(ring);
        assert_code(dx_producer_claim(&producer), DX_ECLOSED);
        assert_code(dx_producer_claim_n(&producer, 200), DX_ECLOSED);
        assert_code(dx_producer_try_claim_n(&producer, 1), DX_ECLOSED);
        assert_code(dx_producer_claim_timed(&producer, 1, SECOND_NS), DX_ECLOSED);
        assert_code(dx_producer_claim_n(&producer, 0), DX_EINVAL);
        /* What was claimed before still arrives, and the producer is told. */
        fill(&producer, 0);
        assert_code(dx_producer_publish(&producer, 0), DX_ECLOSED);
        assert_code(dx_producer_abort(&producer, 1, 2), DX_ECLOSED);
        assert_code(dx_producer_abort(&producer, 3, 3), DX_ECLOSED);
        assert_number(consume_all(&consumer), 1);
        assert_number(consumer.next, mode == DX_RING_SINGLE ? 3 : 4);
        dx_ring_reopen(ring);
        assert_number(publish_one(&producer), consumer.next);
        assert_number(consume_all(&consumer), 1);
        dx_ring_destroy(ring);
    }
}

static void a_closed_ring_opens_no_producer(void **state)
{
    (void)state;
    dx_ring_t *ring = ring_of(DX_RING_SINGLE, 4);
    dx_ring_close(ring);
    dx_producer_t producer;
    dx_error_t error = {0};
    assert_fails(dx_producer_open(&producer, ring, NULL, &error), DX_ECLOSED, error,
                 "ring 'ring' is closed");
    dx_ring_reopen(ring);
    assert_ok(dx_producer_open(&producer, ring, NULL, &error));
    assert_number(publish_one(&producer), 0);
    dx_ring_destroy(ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_limit_computed_while_a_consumer_joins_does_not_pass_it),
        cmocka_unit_test(a_claim_that_loses_the_swap_starts_again),
        cmocka_unit_test(racing_claims_never_take_a_slot_that_is_not_free),
        cmocka_unit_test(the_policy_says_what_a_full_ring_means),
        cmocka_unit_test(a_timed_claim_waits_at_least_its_time),
        cmocka_unit_test(a_blocked_claim_ends_for_each_reason_in_each_strategy),
        cmocka_unit_test(a_cancel_ends_one_claim_that_would_wait),
        cmocka_unit_test(a_failed_consumer_fails_the_claims_that_need_it),
        cmocka_unit_test(a_failed_consumer_matters_only_from_where_it_stands),
        cmocka_unit_test(a_dropping_producer_drops_behind_a_failed_consumer_too),
        cmocka_unit_test(a_single_producer_does_not_wait_for_its_own_claims),
        cmocka_unit_test(a_handler_does_not_wait_for_its_own_consumer),
        cmocka_unit_test(a_handler_waits_for_a_consumer_that_is_not_behind_it),
        cmocka_unit_test(a_closed_ring_refuses_every_claim),
        cmocka_unit_test(a_closed_ring_opens_no_producer),
    };
    return cmocka_run_group_tests_name("producer_full", tests, NULL, NULL);
}
