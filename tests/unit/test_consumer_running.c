/* test_consumer_running.c - consumers that join, follow and leave while producers run.
 *
 * Under the race checker these tests, and the race in test_producer_full.c, also fail when one of
 * the orders of ring.c is relaxed: (P) or (S) of a publication, (R) of a release, the load in
 * dx_consumer_poll(), in dxi_consumer_observe() or in dxi_minimum().
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ring_test.h"

#define SLOTS 64
#define PRODUCERS_MAX 2

typedef struct load {
    dx_ring_t *ring;
    int64_t voids_every; /* multi: each n-th claim is given up; 0: none */
    dx_atomic32_t stop;
    dx_atomic64_t wrong; /* by the anchor: events that were not what they must be */
    dx_consumer_t anchor;
    pthread_t threads[PRODUCERS_MAX + 1];
    int thread_count;
} load_t;

static void *produce(void *context)
{
    load_t *load = context;
    dx_producer_t producer;
    const int code = dx_producer_open(&producer, load->ring, NULL, NULL);
    if (code != DX_OK) {
        (void)dx_fetch_add_relaxed(&load->wrong, code != DX_ECLOSED); /* it began too late */
        return NULL;
    }
    for (int64_t round = 1; dx_load32_acquire(&load->stop) == 0; round++) {
        const int64_t count = 1 + round % 5;
        const int64_t last = dx_producer_claim_n(&producer, count);
        if (last < 0) {
            break; /* closed: the test is over */
        }
        for (int64_t sequence = last - count + 1; sequence <= last; sequence++) {
            fill(&producer, sequence);
        }
        if (load->voids_every != 0 && round % load->voids_every == 0) {
            (void)dx_producer_abort(&producer, last - count + 1, last);
        } else {
            (void)dx_producer_publish_range(&producer, last - count + 1, last);
        }
    }
    dx_producer_close(&producer);
    return NULL;
}

/* A consumer that is always there, at its own pace. */
static void *be_the_anchor(void *context)
{
    load_t *load = context;
    while (dx_load32_acquire(&load->stop) == 0) {
        const int64_t last = dx_consumer_poll(&load->anchor);
        for (int64_t sequence = load->anchor.next; sequence <= last; sequence++) {
            if (!dx_consumer_is_hidden(&load->anchor, sequence) &&
                !event_is_right(&load->anchor, sequence)) {
                (void)dx_fetch_add_relaxed(&load->wrong, 1);
            }
        }
        /* Half of what is there: those behind it stand behind the publication. */
        if (last >= load->anchor.next) {
            dx_consumer_release(&load->anchor, load->anchor.next + (last - load->anchor.next) / 2);
        }
        (void)sched_yield();
    }
    return NULL;
}

static void load_start(load_t *load, dx_ring_mode_t mode, bool with_anchor, int64_t voids_every)
{
    memset(load, 0, sizeof(*load));
    load->ring = ring_of(mode, SLOTS);
    load->voids_every = mode == DX_RING_MULTI ? voids_every : 0;
    if (with_anchor) {
        open_consumer(&load->anchor, load->ring, 0);
        load->threads[load->thread_count++] = thread_start(be_the_anchor, load);
    }
    for (int i = 0; i < (mode == DX_RING_MULTI ? PRODUCERS_MAX : 1); i++) {
        load->threads[load->thread_count++] = thread_start(produce, load);
    }
}

static void load_end(load_t *load)
{
    dx_store32_release(&load->stop, 1);
    dx_ring_close(load->ring);
    for (int i = 0; i < load->thread_count; i++) {
        thread_join(load->threads[i]);
    }
    assert_number(dx_load_relaxed(&load->wrong), 0);
    dx_ring_destroy(load->ring);
}

/* Joins, takes `count` events, leaves. Each event right, none missing since it joined, none from
 * before. */
static void join_and_leave(load_t *load, uint64_t upstream, int64_t count)
{
    const int64_t before = dx_ring_published(load->ring);
    dx_consumer_t consumer;
    open_consumer(&consumer, load->ring, upstream);
    const int64_t after = dx_ring_published(load->ring);
    int64_t start = consumer.next - 1;
    while (dx_consumer_is_hidden(&consumer, start + 1) &&
           start + 1 <= dx_load_relaxed(&consumer.entry->start_sequence)) {
        start++; /* published before, shown to nobody */
    }
    assert_in_range(start - before, 0, after - before);
    const int64_t end_ns = dx_clock_ns() + PATIENCE_NS;
    for (int64_t taken = 0; taken < count;) {
        const int64_t last = dx_consumer_poll(&consumer);
        for (int64_t sequence = consumer.next; sequence <= last; sequence++) {
            if (!dx_consumer_is_hidden(&consumer, sequence)) {
                assert_true(sequence > start);
                assert_number(DX_CONSUMER_EVENT(&consumer, sequence, event_t)->value, sequence);
                assert_number(DX_CONSUMER_EVENT(&consumer, sequence, event_t)->check, ~sequence);
                taken++;
            } else if (load->voids_every == 0) {
                assert_true(sequence <= start);
            }
        }
        dx_consumer_release(&consumer, last);
        if (dx_clock_ns() > end_ns) {
            fail_msg("%lld of %lld events", (long long)taken, (long long)count);
        }
        (void)sched_yield();
    }
    dx_consumer_close(&consumer);
}

/* C3. Fails when: open_locked() does not enter the gating mask before it looks for its start, or
 * dxi_gating_minimum() does not look at the mask again. */
static void consumers_join_and_leave_while_producers_run(void **state)
{
    (void)state;
    static load_t load;
    FOR_EACH_MODE(mode)
    {
        for (int anchor = 0; anchor < 2; anchor++) {
            load_start(&load, mode, anchor != 0, 3);
            for (int round = 0; round < 300; round++) {
                join_and_leave(&load, 0, round % 100);
            }
            load_end(&load);
        }
    }
}

/* Fails when: start_place() takes the place of what it follows for the start: old events are shown.
 * Or the publication: events are read before what it follows has finished them. */
static void consumers_join_and_leave_behind_a_running_one(void **state)
{
    (void)state;
    static load_t load;
    FOR_EACH_MODE(mode)
    {
        load_start(&load, mode, true, 0);
        for (int round = 0; round < 300; round++) {
            join_and_leave(&load, bit_of(&load.anchor), round % 100);
        }
        load_end(&load);
    }
}

/* ------------------------------------------------------------------------- what producers see */

static void *watch(void *context)
{
    load_t *load = context;
    while (dx_load32_acquire(&load->stop) == 0) {
        const int64_t remaining = dx_ring_remaining(load->ring);
        dx_ring_stat_t stat;
        dx_ring_stat(load->ring, &stat);
        if (remaining < 0 || remaining > SLOTS || stat.remaining < 0 || stat.remaining > SLOTS ||
            stat.depth < 0 || stat.claimed < stat.published) {
            (void)dx_fetch_add_relaxed(&load->wrong, 1);
        }
    }
    return NULL;
}

/* Fails when: dxi_block_remaining() loses a limit. */
static void the_numbers_stay_within_their_bounds_while_all_run(void **state)
{
    (void)state;
    static load_t load;
    FOR_EACH_MODE(mode)
    {
        load_start(&load, mode, true, 4);
        const pthread_t watcher = thread_start(watch, &load);
        wait_until(dx_ring_published(load.ring) > 20000);
        dx_store32_release(&load.stop, 1);
        thread_join(watcher);
        load_end(&load);
    }
}

/* ----------------------------------------------------------------------------- several stages */

typedef struct parts {
    int64_t value;
    int64_t left;
    int64_t right;
} parts_t;

typedef struct stage {
    dx_consumer_t consumer;
    bool is_left;
    int64_t end; /* it ends when it has finished this one */
} stage_t;

static void *compute_part(void *context)
{
    stage_t *stage = context;
    while (stage->consumer.next <= stage->end) {
        const int64_t last = dx_consumer_wait(&stage->consumer);
        if (last < 0) {
            break;
        }
        for (int64_t sequence = stage->consumer.next; sequence <= last; sequence++) {
            parts_t *parts = DX_CONSUMER_EVENT(&stage->consumer, sequence, parts_t);
            *(stage->is_left ? &parts->left : &parts->right) =
                parts->value + (stage->is_left ? 1 : 2);
        }
        dx_consumer_release(&stage->consumer, last);
    }
    return NULL;
}

/* The diamond: two work on the same event at once, in fields of their own; the third sees both.
 * Fails when: a consumer behind two follows the faster one. */
static void branches_join_when_both_are_done(void **state)
{
    (void)state;
    enum { EVENTS = 5000 };
    static stage_t stages[2];
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = ring_from(&(dx_ring_options_t){
            .slot_count = SLOTS, .event_bytes = sizeof(parts_t), .mode = mode});
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_FAIL);
        pthread_t threads[2];
        for (int i = 0; i < 2; i++) {
            stages[i] = (stage_t){.is_left = i == 0, .end = EVENTS - 1};
            const dx_consumer_options_t options = {.wait = {.timeout_ns = PATIENCE_NS}};
            assert_ok(dx_consumer_open(&stages[i].consumer, ring, &options, NULL));
        }
        dx_consumer_t join;
        open_consumer(&join, ring, bit_of(&stages[0].consumer) | bit_of(&stages[1].consumer));
        for (int i = 0; i < 2; i++) {
            threads[i] = thread_start(compute_part, &stages[i]);
        }
        const int64_t end_ns = dx_clock_ns() + PATIENCE_NS;
        for (int64_t next = 0; join.next < EVENTS && dx_clock_ns() < end_ns;) {
            if (next < EVENTS && dx_producer_try_claim_n(&producer, 1) == next) {
                *DX_PRODUCER_EVENT(&producer, next, parts_t) = (parts_t){.value = next};
                assert_int_equal(dx_producer_publish(&producer, next), DX_OK);
                next++;
            }
            const int64_t last = dx_consumer_poll(&join);
            for (int64_t sequence = join.next; sequence <= last; sequence++) {
                const parts_t *parts = DX_CONSUMER_EVENT(&join, sequence, parts_t);
                assert_number(parts->value, sequence);
                assert_number(parts->left, sequence + 1);
                assert_number(parts->right, sequence + 2);
            }
            dx_consumer_release(&join, last);
        }
        assert_number(join.next, EVENTS);
        for (int i = 0; i < 2; i++) {
            thread_join(threads[i]);
        }
        dx_ring_destroy(ring);
    }
}

/* Moves events from one ring to the next while there is room: a stage between two rings. */
static int64_t carry_over(dx_consumer_t *from, dx_producer_t *to)
{
    int64_t count = 0;
    const int64_t last = dx_consumer_poll(from);
    while (from->next <= last) {
        const int64_t sequence = dx_producer_try_claim_n(to, 1);
        if (sequence < 0) {
            assert_code(sequence, DX_EAGAIN);
            break;
        }
        *DX_PRODUCER_EVENT(to, sequence, event_t) = *DX_CONSUMER_EVENT(from, from->next, event_t);
        assert_int_equal(dx_producer_publish(to, sequence), DX_OK);
        dx_consumer_release(from, from->next);
        count++;
    }
    return count;
}

static void a_reader_that_stands_still_is_felt_through_two_rings(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *first = ring_of(mode, 8);
        dx_ring_t *second = ring_of(mode, 4);
        dx_producer_t source;
        dx_producer_t relay;
        open_producer(&source, first, DX_FULL_FAIL);
        open_producer(&relay, second, DX_FULL_FAIL);
        dx_consumer_t stage;
        dx_consumer_t sink;
        open_consumer(&stage, first, 0);
        open_consumer(&sink, second, 0);
        int64_t published = 0;
        for (int round = 0; round < 20; round++) { /* the sink does not read */
            published += publish_one(&source) >= 0;
            (void)carry_over(&stage, &relay);
        }
        assert_number(published, 8 + 4);
        int64_t read = 0;
        for (int round = 0; round < 40; round++) {
            published += publish_one(&source) >= 0;
            (void)carry_over(&stage, &relay);
            read += consume_all(&sink);
        }
        assert_number(read, published);
        assert_true(published > 40);
        dx_ring_destroy(first);
        dx_ring_destroy(second);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(consumers_join_and_leave_while_producers_run),
        cmocka_unit_test(consumers_join_and_leave_behind_a_running_one),
        cmocka_unit_test(the_numbers_stay_within_their_bounds_while_all_run),
        cmocka_unit_test(branches_join_when_both_are_done),
        cmocka_unit_test(a_reader_that_stands_still_is_felt_through_two_rings),
    };
    return cmocka_run_group_tests_name("consumer_running", tests, NULL, NULL);
}
