/* test_processor.c - the event processor: its life, its batches, what becomes visible when, and how
 * it ends.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disruptor_test.h"

/* -------------------------------------------------------------------------------------- batches */

typedef struct batch_row {
    int64_t count;
    uint32_t voids; /* bit s: the claim of sequence s is aborted */
    int64_t batch_max;
    const char *trace;
    int64_t batches;
    int64_t batch_most; /* the largest */
} batch_row_t;

static const batch_row_t batch_rows[] = {
    {0, 0, 0, "< > ", 0, 0},
    {1, 0, 0, "< [1/1 0* > ", 1, 1},
    {5, 0, 0, "< [5/5 0 1 2 3 4* > ", 1, 5},
    {5, 0, 3, "< [3/5 0 1 2* [2/2 3 4* > ", 2, 3},
    {5, 0, 1, "< [1/5 0* [1/4 1* [1/3 2* [1/2 3* [1/1 4* > ", 5, 1},
    {5, 0, 5, "< [5/5 0 1 2 3 4* > ", 1, 5},
    {5, 0, DX_HANDLER_BATCH_MAX, "< [5/5 0 1 2 3 4* > ", 1, 5},
    {4, 1u << 0, 0, "< [3/4 1 2 3* > ", 1, 3},
    {4, 1u << 2, 0, "< [3/4 0 1 3* > ", 1, 3},
    {4, 1u << 3, 0, "< [3/4 0 1 2* > ", 1, 3},
    {4, 1u << 1 | 1u << 2 | 1u << 3, 0, "< [1/4 0* > ", 1, 1},
    {4, 0xf, 0, "< > ", 0, 0},
    {4, 1u << 1, 2, "< [1/4 0* [2/2 2 3* > ", 2, 2},
    {6, 1u << 2 | 1u << 3, 2, "< [2/6 0 1* [2/2 4 5* > ", 2, 2},
};

/* Claims all, then publishes or aborts each. The claim behind the last keeps an abort of it from
 * being taken back (single), and vanishes with the handle. */
static void publish_with_voids(dx_disruptor_t *disruptor, int64_t count, uint32_t voids)
{
    dx_producer_t producer;
    assert_ok(dx_producer_open(&producer, dx_disruptor_ring(disruptor), NULL, NULL));
    const bool single = dx_ring_block(dx_disruptor_ring(disruptor))->mode == DX_RING_SINGLE;
    assert_int_equal(dx_producer_claim_n(&producer, count + single), count + single - 1);
    for (int64_t sequence = 0; sequence < count; sequence++) {
        if ((voids >> sequence & 1) != 0) {
            assert_ok(dx_producer_abort(&producer, sequence, sequence));
        } else {
            DX_PRODUCER_EVENT(&producer, sequence, event_t)->value = value_of(sequence);
            assert_ok(dx_producer_publish(&producer, sequence));
        }
    }
    dx_producer_close(&producer);
}

static void check_batches(const batch_row_t *row, bool batches, dx_ring_mode_t mode)
{
    probe_t probe = {0};
    dx_disruptor_t *disruptor = make_disruptor(mode, 8);
    dx_handler_t handler = probe_handler(&probe, "probe");
    handler.batch_max = row->batch_max;
    if (batches) {
        handler.on_event = NULL;
        handler.on_batch = probe_batch;
    }
    add_handlers_ok(disruptor, &handler, 1, NULL);
    if (row->count > 0) {
        publish_with_voids(disruptor, row->count, row->voids);
    }
    assert_ok(dx_disruptor_start(disruptor, NULL));
    shutdown_ok(disruptor);
    assert_trace(&probe, row->trace);

    const dx_consumer_stat_t stat = stat_of(disruptor, 0);
    const int64_t voids = __builtin_popcount(row->voids);
    assert_int_equal(stat.sequence, row->count - 1);
    assert_int_equal(stat.events, row->count - voids);
    assert_int_equal(stat.voids, voids);
    assert_int_equal(stat.batches, row->batches);
    assert_int_equal(stat.batch_max, row->batch_most);
    assert_int_equal(dx_load_relaxed(&probe.wrong), 0);
    dx_disruptor_destroy(disruptor);
}

static void batches_are_announced_limited_and_end_exactly_on_their_last_event(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(batch_rows); i++) {
        for (int variant = 0; variant < 4; variant++) {
            check_batches(&batch_rows[i], (variant & 1) != 0,
                          variant < 2 ? DX_RING_SINGLE : DX_RING_MULTI);
        }
    }
}

static void skipped_events_are_hidden_from_those_behind_and_not_from_those_beside(void **state)
{
    (void)state;
    /* skipper and sibling side by side; behind follows the skipper, after_both follows both, and
     * after_sibling only the sibling. */
    probe_t probes[5] = {0};
    probes[0].rules[0] = (rule_t){1, 0, DX_HANDLER_SKIP};
    probes[0].rules[1] = (rule_t){3, 0, DX_HANDLER_SKIP};
    dx_disruptor_t *disruptor = make_disruptor(DX_RING_SINGLE, 8);
    dx_handler_t skipper = probe_handler(&probes[0], "skipper");
    skipper.may_skip = true;
    const dx_handler_t sibling = probe_handler(&probes[1], "sibling");
    const dx_handler_t behind = probe_handler(&probes[2], "behind");
    dx_handler_t after_both = probe_handler(&probes[3], "after_both");
    after_both.on_event = NULL;
    after_both.on_batch = probe_batch;
    const dx_handler_t after_sibling = probe_handler(&probes[4], "after_sibling");
    dx_group_t a;
    dx_group_t b;
    dx_group_t both;
    add_handlers_ok(disruptor, &skipper, 1, &a);
    add_handlers_ok(disruptor, &sibling, 1, &b);
    assert_ok(dx_group_and(a, b, &both, NULL));
    assert_ok(dx_group_then(a, &behind, 1, NULL, NULL));
    assert_ok(dx_group_then(both, &after_both, 1, NULL, NULL));
    assert_ok(dx_group_then(b, &after_sibling, 1, NULL, NULL));
    publish(disruptor, 4);
    assert_ok(dx_disruptor_start(disruptor, NULL));
    shutdown_ok(disruptor);
    assert_trace(&probes[0], "< [4/4 0 1 2 3* > ");
    assert_trace(&probes[1], "< [4/4 0 1 2 3* > ");
    assert_trace(&probes[2], "< [2/4 0 2* > ");
    assert_trace(&probes[3], "< [2/4 0 2* > ");
    assert_trace(&probes[4], "< [4/4 0 1 2 3* > ");
    assert_int_equal(stat_of(disruptor, 2).skips, 2);
    assert_int_equal(stat_of(disruptor, 3).skips, 2);
    assert_int_equal(stat_of(disruptor, 4).skips, 0);
    dx_disruptor_destroy(disruptor);
}

/* ----------------------------------------------------------------------------------- visibility */

/* A stage in front and a stage behind it; the front one stands still at event 2. */
typedef struct two_stages {
    probe_t front;
    probe_t behind;
    dx_disruptor_t *disruptor;
} two_stages_t;

static void two_stages_start(two_stages_t *stages, int64_t batch_max)
{
    stages->disruptor = make_disruptor(DX_RING_SINGLE, 4);
    dx_handler_t front = probe_handler(&stages->front, "front");
    front.batch_max = batch_max;
    const dx_handler_t behind = probe_handler(&stages->behind, "behind");
    dx_group_t group;
    add_handlers_ok(stages->disruptor, &front, 1, &group);
    assert_ok(dx_group_then(group, &behind, 1, NULL, NULL));
    probe_hold(&stages->front, 2);
    publish(stages->disruptor, 4);
    assert_ok(dx_disruptor_start(stages->disruptor, NULL));
    wait_until(probe_holds(&stages->front));
}

static void two_stages_end(two_stages_t *stages)
{
    probe_let_go(&stages->front);
    shutdown_ok(stages->disruptor);
    assert_int_equal(dx_load_acquire(&stages->behind.events), 4);
    dx_disruptor_destroy(stages->disruptor);
}

static void events_become_visible_behind_at_the_end_of_their_batch(void **state)
{
    (void)state;
    static const struct {
        int64_t batch_max;
        rule_t rule;
        int64_t visible; /* while the front stage is at event 2 */
    } rows[] = {
        {0, {0}, -1},
        {1, {0}, 1},
        {2, {0}, 1},
        {3, {0}, -1},
        {0, {0, 0, DX_HANDLER_RELEASE}, 0},
        {0, {1, 0, DX_HANDLER_RELEASE}, 1},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        two_stages_t stages = {0};
        stages.front.rules[0] = rows[i].rule;
        two_stages_start(&stages, rows[i].batch_max);
        assert_int_equal(stat_of(stages.disruptor, 0).sequence, rows[i].visible);
        wait_until(stat_of(stages.disruptor, 1).sequence == rows[i].visible);
        assert_int_equal(dx_load_acquire(&stages.behind.last), rows[i].visible + 1);
        two_stages_end(&stages);
    }
}

static void a_producer_goes_on_after_each_limited_batch(void **state)
{
    (void)state;
    static const struct {
        int64_t batch_max;
        int64_t room; /* events that fit while the only stage is at event 2 */
    } rows[] = {{0, 0}, {1, 2}, {2, 2}, {4, 0}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        probe_t probe = {0};
        probe_hold(&probe, 2);
        dx_disruptor_t *disruptor = make_disruptor(DX_RING_SINGLE, 4);
        dx_handler_t handler = probe_handler(&probe, "probe");
        handler.batch_max = rows[i].batch_max;
        add_handlers_ok(disruptor, &handler, 1, NULL);
        publish(disruptor, 4);
        assert_ok(dx_disruptor_start(disruptor, NULL));
        wait_until(probe_holds(&probe));
        assert_int_equal(dx_ring_remaining(dx_disruptor_ring(disruptor)), rows[i].room);
        publish(disruptor, rows[i].room); /* would fail, not block: the ring is big enough */
        probe_let_go(&probe);
        shutdown_ok(disruptor);
        assert_int_equal(dx_load_acquire(&probe.events), 4 + rows[i].room);
        dx_disruptor_destroy(disruptor);
    }
}

/* ---------------------------------------------------------------------------- waits and signals */

static void timeouts_report_the_last_event_handled(void **state)
{
    (void)state;
    static const dx_wait_options_t waits[] = {
        {.kind = DX_WAIT_TIMEOUT_BLOCKING},
        {.kind = DX_WAIT_LITE_TIMEOUT_BLOCKING, .timeout_ns = 500000},
        {.kind = DX_WAIT_BLOCKING, .timeout_ns = 500000},
        {.kind = DX_WAIT_ADAPTIVE, .timeout_ns = 500000},
        {.kind = DX_WAIT_SLEEPING, .timeout_ns = 500000},
        {.kind = DX_WAIT_YIELDING, .timeout_ns = 500000},
    };
    for (size_t i = 0; i < COUNT_OF(waits); i++) {
        probe_t probe = {0};
        dx_disruptor_t *disruptor = make_disruptor(DX_RING_SINGLE, 4);
        dx_handler_t handler = probe_handler(&probe, "probe");
        handler.on_batch_start = NULL;
        handler.on_timeout = probe_timeout;
        handler.wait = waits[i];
        add_handlers_ok(disruptor, &handler, 1, NULL);
        assert_ok(dx_disruptor_start(disruptor, NULL));
        wait_until(dx_load_acquire(&probe.timeouts) >= 3);
        publish(disruptor, 1);
        wait_until(dx_load_acquire(&probe.events) == 1);
        const int64_t timeouts = dx_load_acquire(&probe.timeouts);
        wait_until(dx_load_acquire(&probe.timeouts) >= timeouts + 2);
        shutdown_ok(disruptor);
        assert_trace(&probe, "< t-1 t-1 t-1 0* > ");
        assert_int_equal(stat_of(disruptor, 0).timeouts, dx_load_acquire(&probe.timeouts));
        dx_disruptor_destroy(disruptor);
    }
}

static void ignore_signal(int number)
{
    (void)number;
}

typedef struct signalled {
    probe_t probe;
    pthread_t thread;
} signalled_t;

static void signalled_start(void *context)
{
    ((signalled_t *)context)->thread = pthread_self();
}

static int signalled_event(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    probe_t *probe = &((signalled_t *)context)->probe;
    (void)end_of_batch;
    if (((const event_t *)event)->value != value_of(sequence) ||
        dx_load_relaxed(&probe->last) != sequence) {
        count_up(&probe->wrong);
    }
    dx_store_release(&probe->last, sequence + 1);
    return DX_HANDLER_CONTINUE;
}

static void a_signal_during_a_wait_loses_no_event(void **state)
{
    (void)state;
    const struct sigaction action = {.sa_handler = ignore_signal}; /* no SA_RESTART */
    struct sigaction before;
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    static const dx_wait_kind_t kinds[] = {DX_WAIT_ADAPTIVE, DX_WAIT_BLOCKING, DX_WAIT_SLEEPING,
                                           DX_WAIT_TIMEOUT_BLOCKING, DX_WAIT_PHASED_BACKOFF};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        signalled_t signalled = {0};
        dx_disruptor_t *disruptor = make_disruptor(DX_RING_MULTI, 64);
        const dx_handler_t handler = {.context = &signalled,
                                      .on_event = signalled_event,
                                      .on_start = signalled_start,
                                      .wait = {.kind = kinds[i]}};
        add_handlers_ok(disruptor, &handler, 1, NULL);
        assert_ok(dx_disruptor_start(disruptor, NULL));
        for (int64_t published = 0; published < 200; published += 2) {
            assert_int_equal(pthread_kill(signalled.thread, SIGUSR1), 0);
            assert_true(stat_of(disruptor, 0).sequence < published);
            publish(disruptor, 2);
            assert_int_equal(pthread_kill(signalled.thread, SIGUSR1), 0);
            if (published % 4 == 0) { /* now and then from an idle wait */
                wait_until(dx_load_acquire(&signalled.probe.last) == published + 2);
            }
        }
        shutdown_ok(disruptor);
        assert_int_equal(dx_load_acquire(&signalled.probe.last), 200);
        assert_int_equal(dx_load_relaxed(&signalled.probe.wrong), 0);
        dx_disruptor_destroy(disruptor);
    }
    assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
}

static void a_halt_ends_a_wait_in_every_strategy_and_phase(void **state)
{
    (void)state;
    static const struct {
        dx_wait_options_t wait;
        bool sleeps; /* it comes to that: wait for it */
    } rows[] = {
        {{.kind = DX_WAIT_ADAPTIVE}, true},
        {{.kind = DX_WAIT_BUSY_SPIN}, false},
        {{.kind = DX_WAIT_YIELDING}, false},
        {{.kind = DX_WAIT_SLEEPING, .sleep_ns = DX_WAIT_NS_MAX}, true},
        {{.kind = DX_WAIT_BLOCKING}, true},
        {{.kind = DX_WAIT_LITE_BLOCKING}, true},
        {{.kind = DX_WAIT_TIMEOUT_BLOCKING, .timeout_ns = DX_WAIT_NS_MAX}, true},
        {{.kind = DX_WAIT_LITE_TIMEOUT_BLOCKING, .timeout_ns = DX_WAIT_NS_MAX}, true},
        {{.kind = DX_WAIT_PHASED_BACKOFF, .spin_ns = DX_WAIT_NS_MAX}, false},
        {{.kind = DX_WAIT_PHASED_BACKOFF, .spin_ns = 1, .yield_ns = DX_WAIT_NS_MAX}, false},
        {{.kind = DX_WAIT_PHASED_BACKOFF, .spin_ns = 1, .yield_ns = 1}, true},
        {{.kind = DX_WAIT_PHASED_BACKOFF,
          .spin_ns = 1,
          .yield_ns = 1,
          .sleep_ns = DX_WAIT_NS_MAX,
          .fallback = DX_WAIT_SLEEPING},
         true},
        {{.kind = DX_WAIT_MONITOR}, false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        probe_t probes[2] = {0}; /* the second waits for a consumer, not for the publication */
        dx_disruptor_t *disruptor = make_disruptor(DX_RING_SINGLE, 4);
        dx_handler_t handlers[] = {probe_handler(&probes[0], "front"),
                                   probe_handler(&probes[1], "behind")};
        handlers[0].wait = rows[i].wait;
        handlers[1].wait = rows[i].wait;
        dx_group_t group;
        add_handlers_ok(disruptor, &handlers[0], 1, &group);
        assert_ok(dx_group_then(group, &handlers[1], 1, NULL, NULL));
        assert_ok(dx_disruptor_start(disruptor, NULL));
        for (int32_t index = 0; index < 2; index++) {
            wait_until(stat_of(disruptor, index).waits > 0);
            wait_until(stat_of(disruptor, index).asleep || !rows[i].sleeps);
        }
        const int64_t halt_ns = dx_clock_ns();
        assert_ok(dx_disruptor_halt(disruptor));
        assert_true(dx_clock_ns() - halt_ns < DEADLINE_NS);
        assert_trace(&probes[0], "< > ");
        assert_trace(&probes[1], "< > ");
        dx_disruptor_destroy(disruptor);
    }
}

/* ----------------------------------------------------------------------------------------- ends */

typedef struct publisher {
    dx_disruptor_t *disruptor;
    dx_wait_kind_t kind;
    pthread_t thread;
    dx_atomic64_t published;
    dx_atomic64_t result; /* what ended it */
} publisher_t;

static void *publisher_main(void *context)
{
    publisher_t *publisher = context;
    dx_producer_t producer;
    const dx_producer_options_t options = {.wait = {.kind = publisher->kind}};
    int64_t result =
        dx_producer_open(&producer, dx_disruptor_ring(publisher->disruptor), &options, NULL);
    while (result >= 0) {
        result = publish_one(&producer);
        if (result >= 0) {
            count_up(&publisher->published);
        }
    }
    dx_producer_close(&producer);
    dx_store_release(&publisher->result, result);
    return NULL;
}

static void publisher_start(publisher_t *publisher, dx_disruptor_t *disruptor, dx_wait_kind_t kind)
{
    *publisher = (publisher_t){.disruptor = disruptor, .kind = kind};
    assert_int_equal(pthread_create(&publisher->thread, NULL, publisher_main, publisher), 0);
}

/* Fails when: dx_consumer_fail() wakes no producer, or claims do not look at ended consumers. */
static void producers_are_released_when_a_consumer_has_failed(void **state)
{
    (void)state;
    static const dx_wait_kind_t kinds[] = {DX_WAIT_ADAPTIVE, DX_WAIT_BLOCKING, DX_WAIT_SLEEPING,
                                           DX_WAIT_YIELDING};
    for (size_t i = 0; i < COUNT_OF(kinds) * 2; i++) {
        probe_t front = {0};
        probe_t behind = {0};
        probe_t *failing = i % 2 == 0 ? &front : &behind;
        failing->rules[0] = (rule_t){0, 0, DX_EIO};
        probe_hold(failing, 0);
        dx_disruptor_t *disruptor = make_disruptor(DX_RING_MULTI, 4);
        const dx_handler_t handlers[] = {probe_handler(&front, "front"),
                                         probe_handler(&behind, "behind")};
        dx_group_t group;
        add_handlers_ok(disruptor, &handlers[0], 1, &group);
        assert_ok(dx_group_then(group, &handlers[1], 1, NULL, NULL));
        assert_ok(dx_disruptor_start(disruptor, NULL));
        publisher_t publisher;
        publisher_start(&publisher, disruptor, kinds[i / 2]);
        wait_until(probe_holds(failing) && dx_load_acquire(&publisher.published) == 4);
        dx_ring_stat_t stat; /* full, and the producer waits */
        do {
            dx_ring_stat(dx_disruptor_ring(disruptor), &stat);
            breathe();
        } while (stat.claim_waits == 0);
        probe_let_go(failing);
        wait_until(dx_load_acquire(&publisher.result) != 0);
        assert_code((int)dx_load_acquire(&publisher.result), DX_ECONSUMER);
        assert_int_equal(pthread_join(publisher.thread, NULL), 0);

        dx_producer_t late; /* one that comes later is refused at once */
        assert_ok(dx_producer_open(&late, dx_disruptor_ring(disruptor), NULL, NULL));
        assert_code((int)dx_producer_claim(&late), DX_ECONSUMER);
        dx_producer_close(&late);
        assert_code(dx_disruptor_shutdown(disruptor, DX_FOREVER, NULL), DX_ECONSUMER);
        dx_disruptor_destroy(disruptor);
    }
}

static void those_behind_a_consumer_that_ended_end_and_a_restart_delivers_the_rest(void **state)
{
    (void)state;
    static const struct {
        rule_t rule;
        const char *front;
        const char *behind;
        dx_consumer_state_t state;
        const char *front_again;
        const char *behind_again;
    } rows[] = {
        {{1, 1, DX_EIO},
         "< [3/3 0 1 > ",
         "< [1/1 0* > ",
         DX_CONSUMER_FAILED,
         "< [2/2 1 2* > ",
         "< [2/2 1 2* > "},
        {{1, 1, DX_HANDLER_STOP},
         "< [3/3 0 1 > ",
         "< [2/2 0 1* > ",
         DX_CONSUMER_STOPPED,
         "< [1/1 2* > ",
         "< [1/1 2* > "},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        probe_t probes[3] = {{.rules = {rows[i].rule}}};
        dx_disruptor_t *disruptor = make_disruptor(DX_RING_SINGLE, 4);
        dx_group_t group;
        for (int stage = 0; stage < 3; stage++) {
            const dx_handler_t handler = probe_handler(&probes[stage], NULL);
            if (stage == 0) {
                add_handlers_ok(disruptor, &handler, 1, &group);
            } else {
                assert_ok(dx_group_then(group, &handler, 1, &group, NULL));
            }
        }
        publish(disruptor, 3);
        assert_ok(dx_disruptor_start(disruptor, NULL));
        for (int stage = 0; stage < 3; stage++) { /* all end without a halt */
            wait_until(dx_load_acquire(&probes[stage].shutdowns) == 1);
        }
        assert_int_equal(stat_of(disruptor, 0).state, rows[i].state);
        for (int stage = 1; stage < 3; stage++) {
            assert_int_equal(stat_of(disruptor, stage).state, DX_CONSUMER_FAILED);
            assert_code(stat_of(disruptor, stage).failure, DX_ECONSUMER);
        }
        assert_code(dx_disruptor_shutdown(disruptor, DX_FOREVER, NULL), DX_ECONSUMER);
        assert_trace(&probes[0], rows[i].front);
        assert_trace(&probes[1], rows[i].behind);
        assert_trace(&probes[2], rows[i].behind);
        for (int stage = 0; stage < 3; stage++) {
            memset(&probes[stage], 0, sizeof(probes[stage]));
        }
        assert_ok(dx_disruptor_start(disruptor, NULL));
        shutdown_ok(disruptor);
        assert_trace(&probes[0], rows[i].front_again);
        assert_trace(&probes[2], rows[i].behind_again);
        dx_disruptor_destroy(disruptor);
    }
}

/* A keyed worker releases 0, 1 and 2 early and stands still at 3; the slots of 0 and 1 are reused.
 * From then on only 3 and what follows are its to look at, and counting them needs their keys.
 * Fails when: events are counted by looking at them after their release. */
typedef struct keys {
    dx_atomic32_t watching;
    dx_atomic64_t wrong;
} keys_t;

static uint64_t watched_key(void *context, const void *event)
{
    keys_t *keys = context;
    const int64_t key = ((const event_t *)event)->key; /* the sequence */
    if (dx_load32_acquire(&keys->watching) != 0 && key < 3) {
        count_up(&keys->wrong);
    }
    return (uint64_t)key;
}

static void a_released_event_is_not_looked_at_again(void **state)
{
    (void)state;
    keys_t keys = {0};
    probe_t probe = {0};
    for (int i = 0; i < 4; i++) {
        probe.rules[i] = (rule_t){i, 0, DX_HANDLER_RELEASE};
    }
    probe_hold(&probe, 3);
    dx_disruptor_t *disruptor = make_disruptor(DX_RING_SINGLE, 4);
    const dx_handler_t worker = probe_handler(&probe, "worker");
    const dx_pool_t pool = {
        .workers = &worker, .worker_count = 1, .key = watched_key, .key_context = &keys};
    assert_ok(dx_disruptor_handle_events_with_pool(disruptor, &pool, NULL, NULL));
    publish(disruptor, 4);
    assert_ok(dx_disruptor_start(disruptor, NULL));
    wait_until(probe_holds(&probe));
    publish(disruptor, 2);
    dx_store32_release(&keys.watching, 1);
    probe_let_go(&probe);
    shutdown_ok(disruptor);
    assert_int_equal(dx_load_acquire(&keys.wrong), 0);
    assert_trace(&probe, "< [4/4 0 1 2 3* [2/2 4 5* > ");
    assert_int_equal(stat_of(disruptor, 0).events, 6);
    dx_disruptor_destroy(disruptor);
}

/* -------------------------------------------------------------------------------------- threads */

typedef struct whereabouts {
    char name[32];
    dx_cpu_set_t cpus;
    bool ran;
} whereabouts_t;

static void note_whereabouts(void *context)
{
    whereabouts_t *here = context;
    (void)pthread_getname_np(pthread_self(), here->name, sizeof(here->name));
    here->ran = dx_cpu_allowed(&here->cpus, NULL) == DX_OK;
}

static void threads_get_their_names_and_cpus(void **state)
{
    (void)state;
    dx_cpu_set_t allowed;
    dx_cpu_set_t one = {0};
    assert_ok(dx_cpu_allowed(&allowed, NULL));
    dx_cpu_set_add(&one, (uint32_t)dx_cpu_set_next(&allowed, 0));
    whereabouts_t here[3] = {0};
    const dx_handler_t handlers[] = {
        {.name = "short", .thread = {.cpus = one}},
        {.name = "a-name-longer-than-the-kernels"},
        {.name = "consumer", .thread = {.name = "thread"}},
    };
    static const char *const names[] = {"short", "a-name-longer-t", "thread"};
    dx_disruptor_t *disruptor = make_disruptor(DX_RING_SINGLE, 8);
    for (size_t i = 0; i < COUNT_OF(handlers); i++) {
        dx_handler_t handler = handlers[i];
        handler.context = &here[i];
        handler.on_event = probe_event; /* never called: nothing is published */
        handler.on_start = note_whereabouts;
        add_handlers_ok(disruptor, &handler, 1, NULL);
    }
    assert_ok(dx_disruptor_start(disruptor, NULL));
    assert_ok(dx_disruptor_halt(disruptor));
    for (size_t i = 0; i < COUNT_OF(handlers); i++) {
        assert_true(here[i].ran);
        assert_string_equal(here[i].name, names[i]);
        assert_true(dx_cpu_set_equal(&here[i].cpus, i == 0 ? &one : &allowed));
        assert_string_equal(stat_of(disruptor, (int32_t)i).name, handlers[i].name);
    }
    dx_disruptor_destroy(disruptor);
}

static void a_start_on_a_cpu_that_is_not_there_fails_and_runs_nothing(void **state)
{
    (void)state;
    probe_t probe = {0};
    dx_error_t error = {0};
    dx_disruptor_t *disruptor = make_disruptor(DX_RING_SINGLE, 8);
    dx_handler_t handlers[] = {probe_handler(&probe, "good"), probe_handler(&probe, "lost")};
    dx_cpu_set_add(&handlers[1].thread.cpus, DX_CPU_MAX - 1);
    add_handlers_ok(disruptor, handlers, 2, NULL);
    assert_fails(dx_disruptor_start(disruptor, &error), DX_ENOTFOUND, error,
                 "thread of consumer 'lost'");
    assert_false(dx_disruptor_is_running(disruptor));
    assert_trace(&probe, "");
    dx_disruptor_destroy(disruptor);
}

static void the_failure_that_is_reported_is_the_first_that_is_not_a_consequence(void **state)
{
    (void)state;
    probe_t probes[4] = {
        [1] = {.rules = {{0, 1, DX_HANDLER_STOP}}}, [3] = {.rules = {{1, 1, DX_ECORRUPT}}}};
    dx_error_t error = {0};
    dx_disruptor_t *disruptor = make_disruptor(DX_RING_SINGLE, 8);
    dx_handler_t handlers[4];
    for (int i = 0; i < 4; i++) {
        handlers[i] = probe_handler(&probes[i], NULL);
    }
    add_handlers_ok(disruptor, handlers, 4, NULL);
    /* 0 and 2 follow 1, which stops; 3 fails by itself. */
    const dx_group_t stopping = {disruptor, 1u << 1};
    const dx_group_t following = {disruptor, 1u << 0 | 1u << 2};
    assert_ok(dx_disruptor_connect(disruptor, stopping, following, NULL));
    assert_code(dx_disruptor_failure(disruptor, NULL), DX_OK);
    publish(disruptor, 1);
    assert_ok(dx_disruptor_start(disruptor, NULL));
    wait_until(stat_of(disruptor, 0).state == DX_CONSUMER_FAILED);
    wait_until(stat_of(disruptor, 2).state == DX_CONSUMER_FAILED);
    assert_fails(dx_disruptor_failure(disruptor, &error), DX_ECONSUMER, error,
                 "consumer 'handler-0' failed at sequence 1: a gating consumer failed");
    publish(disruptor, 1);
    wait_until(stat_of(disruptor, 3).state == DX_CONSUMER_FAILED);
    assert_fails(dx_disruptor_failure(disruptor, &error), DX_ECORRUPT, error,
                 "consumer 'handler-3' failed at sequence 1: data corrupt");
    assert_ok(dx_disruptor_halt(disruptor));
    assert_ok(dx_disruptor_start(disruptor, NULL));
    assert_code(dx_disruptor_failure(disruptor, NULL), DX_OK);
    shutdown_ok(disruptor);
    assert_code(dx_disruptor_failure(disruptor, NULL), DX_OK);
    dx_disruptor_destroy(disruptor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_are_announced_limited_and_end_exactly_on_their_last_event),
        cmocka_unit_test(skipped_events_are_hidden_from_those_behind_and_not_from_those_beside),
        cmocka_unit_test(events_become_visible_behind_at_the_end_of_their_batch),
        cmocka_unit_test(a_producer_goes_on_after_each_limited_batch),
        cmocka_unit_test(timeouts_report_the_last_event_handled),
        cmocka_unit_test(a_signal_during_a_wait_loses_no_event),
        cmocka_unit_test(a_halt_ends_a_wait_in_every_strategy_and_phase),
        cmocka_unit_test(producers_are_released_when_a_consumer_has_failed),
        cmocka_unit_test(those_behind_a_consumer_that_ended_end_and_a_restart_delivers_the_rest),
        cmocka_unit_test(a_released_event_is_not_looked_at_again),
        cmocka_unit_test(threads_get_their_names_and_cpus),
        cmocka_unit_test(a_start_on_a_cpu_that_is_not_there_fails_and_runs_nothing),
        cmocka_unit_test(the_failure_that_is_reported_is_the_first_that_is_not_a_consequence),
    };
    return cmocka_run_group_tests_name("processor", tests, NULL, NULL);
}
