/* test_relink.c - who follows whom, changed while others run: consumers driven by hand, step by
 * step.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ring_test.h"

#define SLOTS 8

/* A ring with one producer handle and a few consumers. */
typedef struct graph {
    dx_ring_t *ring;
    dx_ring_block_t *block;
    dx_producer_t producer;
    dx_consumer_t consumers[6];
    const dx_consumer_t *busy; /* it is in a call: its thread can't be in another */
} graph_t;

static void graph_make(graph_t *graph, dx_ring_mode_t mode)
{
    memset(graph, 0, sizeof(*graph));
    graph->ring = ring_of(mode, SLOTS);
    graph->block = dx_ring_block(graph->ring);
    open_producer(&graph->producer, graph->ring, DX_FULL_FAIL);
}

static uint64_t gating_of(const graph_t *graph)
{
    return (uint64_t)dx_load_relaxed(&graph->block->gating);
}

static uint64_t bound_of(const dx_consumer_t *consumer)
{
    return (uint64_t)dx_load_relaxed(&consumer->entry->bound);
}

static int32_t state_of(const graph_t *graph, int32_t index)
{
    return dx_load32_relaxed(&dxi_block_consumers(graph->block)[index].state);
}

static int64_t publish_all(graph_t *graph)
{
    int64_t count = 0;
    while (publish_one(&graph->producer) >= 0) {
        count++;
    }
    return count;
}

/* ----------------------------------------------------------------------------- where to start */

static void a_consumer_starts_at_a_sequence(void **state)
{
    (void)state;
    static const struct {
        int64_t start;
        int code;
        int64_t next;  /* where it stands */
        int64_t shown; /* of the events to 19 */
    } rows[] = {{3, DX_ELIMIT, 0, 0}, {4, DX_OK, 4, 16},           {5, DX_OK, 5, 15},
                {9, DX_OK, 9, 11},    {10, DX_OK, 10, 10},         {11, DX_OK, 10, 9},
                {18, DX_OK, 10, 2},   {19, DX_ELIMIT, 0, 0},       {-1, DX_ELIMIT, 0, 0},
                {0, DX_ELIMIT, 0, 0}, {INT64_MAX, DX_ELIMIT, 0, 0}};
    FOR_EACH_MODE(mode)
    {
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
            graph_t graph;
            graph_make(&graph, mode);
            dx_consumer_t *slow = &graph.consumers[0];
            dx_consumer_t *late = &graph.consumers[1];
            open_consumer(slow, graph.ring, 0);
            publish_many(&graph.producer, 8);
            dx_consumer_release(slow, 3);
            publish_many(&graph.producer, 2); /* 0 to 9 are published, 4 is the oldest */
            const dx_consumer_options_t options = {.start = DX_START_SEQUENCE,
                                                   .start_sequence = rows[i].start};
            dx_error_t error = {0};
            assert_code(dx_consumer_open(late, graph.ring, &options, &error), rows[i].code);
            if (rows[i].code != DX_OK) {
                char sentence[160];
                (void)snprintf(sentence, sizeof(sentence),
                               "start_sequence is %lld, must be from 4, the oldest event that is "
                               "kept, to 18, one ring beyond the next",
                               (long long)rows[i].start);
                assert_string_equal(error.message, sentence);
                assert_number(dx_load_relaxed(&graph.block->active), 1); /* as before */
                assert_number((int64_t)gating_of(&graph), 1);
                dx_ring_destroy(graph.ring);
                continue;
            }
            assert_number(late->next, rows[i].next);
            int64_t shown = 0;
            for (int64_t published = 10; published <= 20; published++) {
                (void)consume_all(slow);
                shown += consume_all(late);
                if (published < 20) {
                    publish_many(&graph.producer, 1);
                }
            }
            assert_number(shown, rows[i].shown);
            dx_ring_destroy(graph.ring);
        }
    }
}

/* Without anybody who gates, producers may be anywhere: only what is yet to come can be had. */
static void in_a_ring_without_consumers_only_the_next_event_is_sure(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        graph_t graph;
        graph_make(&graph, mode);
        publish_many(&graph.producer, 5);
        dx_consumer_options_t options = {.start = DX_START_SEQUENCE, .start_sequence = 4};
        dx_error_t error = {0};
        assert_fails(dx_consumer_open(&graph.consumers[0], graph.ring, &options, &error), DX_ELIMIT,
                     error, "must be from 5, the oldest");
        options.start_sequence = 5;
        assert_ok(dx_consumer_open(&graph.consumers[0], graph.ring, &options, &error));
        publish_many(&graph.producer, SLOTS);
        assert_code(dx_producer_claim(&graph.producer), DX_EAGAIN);
        assert_number(consume_all(&graph.consumers[0]), SLOTS);
        dx_ring_destroy(graph.ring);
    }
}

/* -------------------------------------------------------------------------------------- leaving */

/* L3. Fails when: entry_find() does not look at what others are bound to, or bound is written
 * before the consumer reads by it. */
static void the_entry_of_who_left_is_kept_until_those_behind_have_noticed(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        graph_t graph;
        graph_make(&graph, mode);
        dx_consumer_t *first = &graph.consumers[0];
        dx_consumer_t *middle = &graph.consumers[1];
        dx_consumer_t *last = &graph.consumers[2];
        dx_consumer_t *other = &graph.consumers[3];
        open_consumer(first, graph.ring, 0);
        open_consumer(middle, graph.ring, bit_of(first));
        open_consumer(last, graph.ring, bit_of(middle));
        publish_many(&graph.producer, 6);
        assert_number(consume_all(first), 6);
        dx_consumer_release(middle, 2);
        const int32_t gone = middle->index;
        dx_consumer_close(middle);
        assert_int_equal(state_of(&graph, gone), DX_CONSUMER_LEFT);
        assert_number((int64_t)gating_of(&graph), (int64_t)(bit_of(first) | bit_of(last)));

        open_consumer(other, graph.ring, 0); /* takes another entry */
        assert_int_equal(other->index, 3);
        assert_number(dx_consumer_poll(last), 2); /* what the middle one had finished */
        assert_number((int64_t)bound_of(last), 2);
        dx_consumer_release(last, 2);
        assert_number(dx_consumer_poll(last), 5); /* nothing there, so it looks whom to follow */
        assert_number((int64_t)bound_of(last), 1);
        assert_int_equal(state_of(&graph, gone), DX_CONSUMER_FREE);
        assert_number((int64_t)gating_of(&graph), (int64_t)(bit_of(other) | bit_of(last)));
        dx_consumer_close(other);
        open_consumer(other, graph.ring, 0);
        assert_int_equal(other->index, gone);
        assert_number(consume_all(last), 3);
        dx_ring_destroy(graph.ring);
    }
}

/* The graph goes from its front to its end: each takes the place of the one before. */
static void one_after_the_other_leaves_at_the_front(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        graph_t graph;
        graph_make(&graph, mode);
        for (int i = 0; i < 5; i++) {
            open_consumer(&graph.consumers[i], graph.ring,
                          i > 0 ? bit_of(&graph.consumers[i - 1]) : 0);
        }
        publish_many(&graph.producer, 6);
        for (int i = 0; i < 4; i++) { /* the last one reads nothing meanwhile */
            dx_consumer_release(&graph.consumers[i], 4 - i);
        }
        for (int i = 0; i < 4; i++) {
            dx_consumer_close(&graph.consumers[i]);
        }
        dx_consumer_t *last = &graph.consumers[4];
        assert_number(dx_consumer_poll(last), 1); /* still by the word of the one that left */
        assert_number(consume_all(last), 2);
        assert_number(consume_all(last), 4); /* now the publication */
        assert_number((int64_t)bound_of(last), 0);
        publish_many(&graph.producer, SLOTS);
        assert_code(dx_producer_claim(&graph.producer), DX_EAGAIN);
        assert_number(consume_all(last), SLOTS);
        dx_ring_destroy(graph.ring);
    }
}

/* ------------------------------------------------------------------------------------ following */

static void a_change_that_can_not_be_is_refused_with_its_sentence(void **state)
{
    (void)state;
    graph_t graph;
    graph_make(&graph, DX_RING_SINGLE);
    static const char *const names[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++) {
        const dx_consumer_options_t options = {
            .name = names[i], .upstream = i > 0 ? bit_of(&graph.consumers[i - 1]) : 0};
        assert_ok(dx_consumer_open(&graph.consumers[i], graph.ring, &options, NULL));
    }
    static const struct {
        int32_t index;
        uint64_t upstream;
        int code;
        const char *sentence;
    } rows[] = {
        {-1, 0, DX_ENOTFOUND, "consumer -1 does not exist"},
        {3, 0, DX_ENOTFOUND, "consumer 3 does not exist"},
        {16, 0, DX_ENOTFOUND, "consumer 16 does not exist"},
        {64, 0, DX_ENOTFOUND, "consumer 64 does not exist"},
        {0, 8, DX_ENOTFOUND, "upstream names consumer 3, which does not exist"},
        {1, UINT64_C(1) << 63, DX_ENOTFOUND, "upstream names consumer 63, which does not exist"},
        {0, 1, DX_EINVAL, "'a' behind 'a' would close a cycle: 'a' already follows 'a'"},
        {0, 2, DX_EINVAL, "'a' behind 'b' would close a cycle: 'b' already follows 'a'"},
        {0, 4, DX_EINVAL, "'a' behind 'c' would close a cycle: 'c' already follows 'a'"},
        {1, 5, DX_EINVAL, "'b' behind 'c' would close a cycle: 'c' already follows 'b'"},
        {2, 3, DX_OK, ""},
        {2, 0, DX_OK, ""},
        {0, 4, DX_OK, ""},
        {1, 0, DX_OK, ""},
        {0, 6, DX_OK, ""},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const uint64_t gating = gating_of(&graph);
        dx_error_t error = {0};
        assert_code(dx_consumer_follow(graph.ring, rows[i].index, rows[i].upstream, &error),
                    rows[i].code);
        assert_string_equal(error.message, rows[i].sentence);
        if (rows[i].code != DX_OK) {
            assert_number((int64_t)gating_of(&graph), (int64_t)gating);
        } else {
            dx_consumer_stat_t stat;
            assert_ok(dx_ring_consumer_stat(graph.ring, rows[i].index, &stat));
            assert_number((int64_t)stat.upstream, (int64_t)rows[i].upstream);
            for (int c = 0; c < 3; c++) {
                (void)dx_consumer_poll(&graph.consumers[c]);
            }
            assert_ok(dx_ring_consumer_stat(graph.ring, rows[i].index, &stat));
            assert_number((int64_t)stat.bound, (int64_t)rows[i].upstream);
        }
    }
    dx_ring_destroy(graph.ring);
}

/* L1. Fails when: an edge that was taken away still covers what is behind it. */
static void who_is_no_longer_followed_holds_producers_back_at_once(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        graph_t graph;
        graph_make(&graph, mode);
        dx_consumer_t *first = &graph.consumers[0];
        dx_consumer_t *last = &graph.consumers[1];
        open_consumer(first, graph.ring, 0);
        open_consumer(last, graph.ring, bit_of(first));
        publish_many(&graph.producer, SLOTS);
        assert_number((int64_t)gating_of(&graph), 2);
        assert_ok(dx_consumer_follow(graph.ring, last->index, 0, NULL));
        assert_number((int64_t)gating_of(&graph), 3); /* before the last one knows */
        assert_number(consume_all(last), SLOTS);
        assert_code(dx_producer_claim(&graph.producer), DX_EAGAIN);
        assert_number(consume_all(first), SLOTS);
        /* And back again: the edge counts when the last one reads by it. */
        assert_ok(dx_consumer_follow(graph.ring, last->index, bit_of(first), NULL));
        assert_number((int64_t)gating_of(&graph), 3);
        assert_number(consume_all(last), 0);
        assert_number((int64_t)gating_of(&graph), 2);
        dx_ring_destroy(graph.ring);
    }
}

/* Fails when: an edge covers while the one ahead is still behind, or for ever after does not. */
static void who_is_ahead_of_what_it_follows_waits_for_it(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        for (int by_wait = 0; by_wait < 2; by_wait++) {
            graph_t graph;
            graph_make(&graph, mode);
            dx_consumer_t *last = &graph.consumers[0];
            dx_consumer_t *between = &graph.consumers[1];
            const dx_consumer_options_t options = {
                .wait = {.kind = DX_WAIT_TIMEOUT_BLOCKING, .timeout_ns = 1000}};
            assert_ok(dx_consumer_open(last, graph.ring, &options, NULL));
            open_consumer(between, graph.ring, 0);
            publish_many(&graph.producer, 6);
            assert_number(consume_all(last), 6);
            assert_ok(dx_consumer_follow(graph.ring, last->index, bit_of(between), NULL));
            publish_many(&graph.producer, 2);
            assert_number(consume_all(last), 2); /* it was there before it looked */
            assert_number(consume_all(last), 0);
            assert_number((int64_t)gating_of(&graph), 3);
            dx_consumer_release(between, 4);
            assert_number(dx_consumer_poll(last), 7);
            publish_many(&graph.producer, 5);
            assert_code(dx_producer_claim(&graph.producer), DX_EAGAIN);
            (void)consume_all(between);
            assert_number(dx_consumer_poll(last), 12);
            if (by_wait) {
                assert_number(dx_consumer_wait(last), 12);
                assert_number(consume_all(last), 5);
                assert_code(dx_consumer_wait(last), DX_ETIMEDOUT);
            } else {
                assert_number(consume_all(last), 5);
                assert_int_equal(dx_consumer_drain(last, NULL, NULL, 0), DX_POLL_IDLE);
            }
            assert_number((int64_t)gating_of(&graph), 1); /* it covers the one in between now */
            dx_ring_destroy(graph.ring);
        }
    }
}

/* Whoever changes the tables has the lock: the consumer goes on as it was. */
static void a_consumer_does_not_wait_for_the_lock(void **state)
{
    (void)state;
    graph_t graph;
    graph_make(&graph, DX_RING_SINGLE);
    dx_consumer_t *first = &graph.consumers[0];
    dx_consumer_t *last = &graph.consumers[1];
    const dx_consumer_options_t options = {
        .wait = {.kind = DX_WAIT_TIMEOUT_BLOCKING, .timeout_ns = 1000}};
    open_consumer(first, graph.ring, 0);
    assert_ok(dx_consumer_open(last, graph.ring, &options, NULL));
    assert_ok(dx_consumer_follow(graph.ring, last->index, bit_of(first), NULL));
    publish_many(&graph.producer, 2);
    assert_ok(dxi_table_lock(graph.ring, NULL));
    assert_number(dx_consumer_wait(last), 1);
    assert_number(consume_all(last), 2);
    assert_number(dx_consumer_poll(last), 1);
    assert_code(dx_consumer_wait(last), DX_ETIMEDOUT);
    assert_number((int64_t)bound_of(last), 0);
    dxi_table_unlock(graph.ring);
    assert_code(dx_consumer_wait(last), DX_ETIMEDOUT);
    assert_number((int64_t)bound_of(last), (int64_t)bit_of(first));
    dx_ring_destroy(graph.ring);
}

/* What a process leaves behind that dies in the middle of a change.
 * Fails when: dxi_graph_repair() leaves one of it out. */
static void a_change_that_was_not_ended_is_ended_by_others(void **state)
{
    (void)state;
    graph_t graph;
    graph_make(&graph, DX_RING_SINGLE);
    dx_consumer_t *first = &graph.consumers[0];
    dx_consumer_t *last = &graph.consumers[1];
    open_consumer(first, graph.ring, 0);
    open_consumer(last, graph.ring, bit_of(first));
    publish_many(&graph.producer, 3);
    dx_store_release(&last->entry->upstream, 0);
    (void)dx_fetch_or_acq_rel(&graph.block->gating, (int64_t)bit_of(first)); /* and no more */
    const int64_t joins = dx_load_relaxed(&graph.block->joins);
    assert_ok(dxi_table_lock(graph.ring, NULL));
    dxi_graph_repair(graph.block);
    dxi_table_unlock(graph.ring);
    assert_true(dx_load_relaxed(&graph.block->joins) > joins);
    assert_number((int64_t)gating_of(&graph), 3);
    assert_number(consume_all(last), 3);
    dx_ring_destroy(graph.ring);
}

/* --------------------------------------------------------------------------- named points: it */

typedef enum change {
    END_FOLLOWS_THE_PUBLICATION,
    END_FOLLOWS_THE_FIRST,
    END_LEAVES,
    MIDDLE_LEAVES,
    FIRST_LEAVES,
    ALL_BUT_THE_MIDDLE_LEAVE,
    NEWCOMER_TAKES_THE_PLACE_OF_THE_END,
    STAGE_IS_INSERTED,
    CHANGE_COUNT
} change_t;

static void leave(graph_t *graph, dx_consumer_t *consumer)
{
    graph->busy = consumer;
    dx_consumer_close(consumer);
}

static void read_on(graph_t *graph, dx_consumer_t *consumer)
{
    graph->busy = consumer;
    (void)consume_all(consumer);
}

/* Three in a row; the change is made, and whoever may then run ahead does. */
static void change_make(graph_t *graph, change_t change)
{
    dx_consumer_t *first = &graph->consumers[0];
    dx_consumer_t *middle = &graph->consumers[1];
    dx_consumer_t *end = &graph->consumers[2];
    dx_consumer_t *more = &graph->consumers[3];
    graph->busy = NULL;
    switch (change) {
    case END_FOLLOWS_THE_PUBLICATION:
        assert_ok(dx_consumer_follow(graph->ring, end->index, 0, NULL));
        break;
    case END_FOLLOWS_THE_FIRST:
        assert_ok(dx_consumer_follow(graph->ring, end->index, bit_of(first), NULL));
        read_on(graph, first);
        break;
    case END_LEAVES:
        leave(graph, end);
        read_on(graph, first);
        break;
    case MIDDLE_LEAVES:
        leave(graph, middle);
        read_on(graph, first);
        break;
    case FIRST_LEAVES:
        leave(graph, first);
        read_on(graph, middle);
        read_on(graph, middle);
        break;
    case ALL_BUT_THE_MIDDLE_LEAVE:
        leave(graph, first);
        leave(graph, end);
        break;
    case NEWCOMER_TAKES_THE_PLACE_OF_THE_END: {
        const int32_t index = end->index;
        leave(graph, end);
        open_consumer(more, graph->ring, 0);
        assert_int_equal(more->index, index);
        break;
    }
    case STAGE_IS_INSERTED:
        assert_ok(dx_consumer_open(
            more, graph->ring,
            &(dx_consumer_options_t){.upstream = bit_of(middle), .start = DX_START_OLDEST}, NULL));
        assert_ok(dx_consumer_follow(graph->ring, end->index, bit_of(more), NULL));
        read_on(graph, first);
        read_on(graph, middle);
        break;
    case CHANGE_COUNT:
        break;
    }
    for (int i = 0; i < 4 && change != STAGE_IS_INSERTED && end->entry != NULL; i++) {
        read_on(graph, end);
    }
}

/* R1, R5: the producer's limit does not reach beyond the slot of what somebody has yet to read. */
static void nobody_is_passed(graph_t *graph, const char *where)
{
    const dx_consumer_entry_t *entries = dxi_block_consumers(graph->block);
    for (uint64_t rest = (uint64_t)dx_load_relaxed(&graph->block->active); rest != 0;
         rest &= rest - 1) {
        const int index = __builtin_ctzll(rest);
        const int64_t sequence = dx_load_relaxed(&entries[index].sequence);
        if (graph->producer.limit > sequence + SLOTS) {
            fail_msg("%s: the limit is %lld, consumer %d stands at %lld", where,
                     (long long)graph->producer.limit, index, (long long)sequence);
        }
    }
}

typedef struct meanwhile {
    graph_t *graph;
    const char *point;
    int passages; /* before it happens */
    change_t change;
    bool done;
} meanwhile_t;

static void change_at_point(const char *point, void *context)
{
    meanwhile_t *meanwhile = context;
    if (!meanwhile->done && strcmp(point, meanwhile->point) == 0 && meanwhile->passages-- == 0) {
        meanwhile->done = true;
        change_make(meanwhile->graph, meanwhile->change);
    }
}

/* L1. A producer looks how far it may go, and in the middle of that the graph changes and runs on.
 * Fails when: dxi_gating_update() does not count what it adds, clears before it adds, or counts
 * first; or a newcomer's first sequence is stored so that who reads it need not see the count. */
static void a_producer_that_looks_while_the_graph_changes_passes_nobody(void **state)
{
    (void)state;
    NEEDS_TEST_HOOKS();
    static const char *const points[] = {"gating:mask-read", "minimum:one-read"};
    int happened = 0;
    FOR_EACH_MODE(mode)
    {
        for (size_t i = 0; i < COUNT_OF(points) * CHANGE_COUNT * 3; i++) {
            graph_t graph;
            graph_make(&graph, mode);
            for (int c = 0; c < 3; c++) {
                open_consumer(&graph.consumers[c], graph.ring,
                              c > 0 ? bit_of(&graph.consumers[c - 1]) : 0);
            }
            publish_many(&graph.producer, SLOTS);
            meanwhile_t meanwhile = {.graph = &graph,
                                     .point = points[i % COUNT_OF(points)],
                                     .passages = (int)(i / COUNT_OF(points) / CHANGE_COUNT),
                                     .change = (change_t)(i / COUNT_OF(points) % CHANGE_COUNT)};
            dxi_point_set(change_at_point, &meanwhile);
            (void)publish_one(&graph.producer);
            dxi_point_set(NULL, NULL);
            happened += meanwhile.done;
            nobody_is_passed(&graph, meanwhile.point);
            dx_ring_destroy(graph.ring);
        }
    }
    assert_true(happened >= 2 * CHANGE_COUNT * 2);
}

/* ----------------------------------------------------------------------- named points: others */

static void run_at_point(const char *point, void *context)
{
    meanwhile_t *meanwhile = context;
    graph_t *graph = meanwhile->graph;
    if (meanwhile->done || strcmp(point, meanwhile->point) != 0 || meanwhile->passages-- != 0) {
        return;
    }
    meanwhile->done = true;
    for (int round = 0; round < 3; round++) {
        (void)publish_all(graph);
        nobody_is_passed(graph, point);
        for (int c = 0; c < 3; c++) {
            if (graph->consumers[c].entry != NULL && graph->busy != &graph->consumers[c]) {
                (void)consume_all(&graph->consumers[c]);
            }
        }
    }
}

/* The others run as far as they can at each step of each change. consume_all() checks each event.
 * Fails when: a change clears a bit of gating before it has added those it stands for, an entry is
 * given away that somebody reads, or a consumer binds without the lock. */
static void others_that_run_during_a_change_lose_nothing(void **state)
{
    (void)state;
    NEEDS_TEST_HOOKS();
    static const char *const points[] = {
        "open:before-fence",   "open:before-start",    "leave:before-inactive",
        "leave:before-wake",   "follow:before-gating", "follow:before-wake",
        "gating:before-clear", "rebind:before-lock",   "rebind:done"};
    int happened = 0;
    FOR_EACH_MODE(mode)
    {
        for (size_t i = 0; i < COUNT_OF(points) * CHANGE_COUNT * 3; i++) {
            graph_t graph;
            graph_make(&graph, mode);
            for (int c = 0; c < 3; c++) {
                open_consumer(&graph.consumers[c], graph.ring,
                              c > 0 ? bit_of(&graph.consumers[c - 1]) : 0);
            }
            publish_many(&graph.producer, SLOTS);
            dx_consumer_release(&graph.consumers[0], 5);
            dx_consumer_release(&graph.consumers[1], 3);
            dx_consumer_release(&graph.consumers[2], 1);
            meanwhile_t meanwhile = {.graph = &graph,
                                     .point = points[i % COUNT_OF(points)],
                                     .passages = (int)(i / COUNT_OF(points) / CHANGE_COUNT)};
            dxi_point_set(run_at_point, &meanwhile);
            change_make(&graph, (change_t)(i / COUNT_OF(points) % CHANGE_COUNT));
            dxi_point_set(NULL, NULL);
            happened += meanwhile.done;
            for (int round = 0; round < 10; round++) { /* all of it comes to everybody */
                nobody_is_passed(&graph, meanwhile.point);
                for (int c = 0; c < 4; c++) {
                    if (graph.consumers[c].entry != NULL) {
                        (void)consume_all(&graph.consumers[c]);
                    }
                }
                (void)publish_one(&graph.producer);
            }
            const int64_t published = dx_ring_published(graph.ring);
            assert_true(published >= SLOTS + 9);
            for (int c = 0; c < 4; c++) {
                for (int round = 0; round < 4 && graph.consumers[c].entry != NULL; round++) {
                    (void)consume_all(&graph.consumers[c]);
                }
            }
            dx_ring_destroy(graph.ring);
        }
    }
    assert_true(happened > 2 * CHANGE_COUNT * 3);
}

/* ---------------------------------------------------------------------------------------- skips */

static uint64_t seen_of(dx_consumer_t *consumer)
{
    uint64_t seen = 0;
    const int64_t last = dx_consumer_poll(consumer);
    for (int64_t sequence = consumer->next; sequence <= last; sequence++) {
        seen |= dx_consumer_is_hidden(consumer, sequence) ? 0 : UINT64_C(1) << sequence;
    }
    dx_consumer_release(consumer, last);
    return seen;
}

static void skip_odd(dx_consumer_t *skipper)
{
    const int64_t last = dx_consumer_poll(skipper);
    for (int64_t sequence = skipper->next; sequence <= last; sequence++) {
        if (sequence % 2 != 0) {
            assert_int_equal(dx_consumer_skip(skipper, sequence), DX_OK);
        }
    }
    dx_consumer_release(skipper, last);
}

/* What a consumer hides, it hides from those behind it from the event on at which they were linked
 * behind it, to the event at which it left. Those further behind see what those before them saw.
 * Fails when: a change of the skips counts for events before it, or for none. */
static void skips_begin_and_end_with_the_edge(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        graph_t graph;
        graph_make(&graph, mode);
        dx_consumer_t *skipper = &graph.consumers[0];
        dx_consumer_t *last = &graph.consumers[1];
        dx_consumer_t *behind = &graph.consumers[2];
        const dx_consumer_options_t skips = {.may_skip = true};
        assert_ok(dx_consumer_open(skipper, graph.ring, &skips, NULL));
        open_consumer(last, graph.ring, 0);
        open_consumer(behind, graph.ring, bit_of(last));
        publish_many(&graph.producer, 6);
        skip_odd(skipper);                           /* 1, 3, 5 */
        assert_number((int64_t)seen_of(last), 0x3f); /* it does not follow the skipper */
        assert_ok(dx_consumer_follow(graph.ring, last->index, bit_of(skipper), NULL));
        assert_number((int64_t)seen_of(last), 0); /* looks */
        publish_many(&graph.producer, 2);
        skip_odd(skipper);
        assert_number((int64_t)seen_of(last), 0x40);
        assert_number((int64_t)seen_of(behind),
                      0x7f); /* all but the 7th, though 1, 3, 5 bear marks */
        publish_many(&graph.producer, 4);
        skip_odd(skipper); /* 9, 11 */
        dx_consumer_close(skipper);
        publish_many(&graph.producer, 4);
        assert_true(dxi_consumer_rebind(last)); /* as at a wait: before it has come to the end */
        assert_number((int64_t)seen_of(last), 0xf500);
        assert_number((int64_t)seen_of(behind), 0xf500);
        /* Its bit is free again, and marks of before mean nothing. */
        assert_ok(dx_consumer_open(skipper, graph.ring, &skips, NULL));
        assert_number(skipper->entry->skip_bit, 1);
        dx_ring_destroy(graph.ring);
    }
}

/* ------------------------------------------------------------------------------------- sleepers */

typedef struct sleeper {
    dx_consumer_t consumer;
    dx_atomic64_t seen;
    int64_t end;
} sleeper_t;

static void *sleep_and_read(void *context)
{
    sleeper_t *sleeper = context;
    while (sleeper->consumer.next <= sleeper->end) {
        const int64_t last = dx_consumer_wait(&sleeper->consumer);
        if (last < 0) {
            break;
        }
        dx_consumer_release(&sleeper->consumer, last);
        dx_store_release(&sleeper->seen, last);
    }
    return NULL;
}

/* Fails when: the change of a consumer that sleeps does not wake it. */
static void who_waits_behind_one_that_leaves_goes_on(void **state)
{
    (void)state;
    static sleeper_t sleeper;
    FOR_EACH_MODE(mode)
    {
        for (int kind = 0; kind < DX_WAIT_KIND_COUNT * 2; kind++) {
            dx_ring_t *ring = ring_of(mode, SLOTS);
            dx_producer_t producer;
            open_producer(&producer, ring, DX_FULL_FAIL);
            dx_consumer_t middle;
            open_consumer(&middle, ring, 0);
            memset(&sleeper, 0, sizeof(sleeper));
            sleeper.end = 5;
            const dx_wait_kind_t wait = (dx_wait_kind_t)(kind / 2);
            const dx_consumer_options_t options = {
                .upstream = bit_of(&middle), .wait = {.kind = wait, .timeout_ns = PATIENCE_NS}};
            assert_ok(dx_consumer_open(&sleeper.consumer, ring, &options, NULL));
            const pthread_t thread = thread_start(sleep_and_read, &sleeper);
            publish_many(&producer, 6);
            dx_consumer_release(&middle, 2);
            wait_until(dx_load_acquire(&sleeper.seen) == 2);
            if (kind % 2 == 0) {
                dx_consumer_close(&middle);
            } else {
                assert_ok(dx_consumer_follow(ring, sleeper.consumer.index, 0, NULL));
            }
            wait_until(dx_load_acquire(&sleeper.seen) == 5);
            thread_join(thread);
            dx_ring_destroy(ring);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_consumer_starts_at_a_sequence),
        cmocka_unit_test(in_a_ring_without_consumers_only_the_next_event_is_sure),
        cmocka_unit_test(the_entry_of_who_left_is_kept_until_those_behind_have_noticed),
        cmocka_unit_test(one_after_the_other_leaves_at_the_front),
        cmocka_unit_test(a_change_that_can_not_be_is_refused_with_its_sentence),
        cmocka_unit_test(who_is_no_longer_followed_holds_producers_back_at_once),
        cmocka_unit_test(who_is_ahead_of_what_it_follows_waits_for_it),
        cmocka_unit_test(a_consumer_does_not_wait_for_the_lock),
        cmocka_unit_test(a_change_that_was_not_ended_is_ended_by_others),
        cmocka_unit_test(a_producer_that_looks_while_the_graph_changes_passes_nobody),
        cmocka_unit_test(others_that_run_during_a_change_lose_nothing),
        cmocka_unit_test(skips_begin_and_end_with_the_edge),
        cmocka_unit_test(who_waits_behind_one_that_leaves_goes_on),
    };
    return cmocka_run_group_tests_name("relink", tests, NULL, NULL);
}
