/* test_evict.c - consumers of shared rings whose process dies, or stops and comes back.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disruptorx/disruptor.h"
#include "share_test.h"

#define SLOTS 8

static dx_consumer_stat_t stat_of(const dx_ring_t *ring, int32_t index)
{
    dx_consumer_stat_t stat;
    return dx_ring_consumer_stat(ring, index, &stat) == DX_OK ? stat : (dx_consumer_stat_t){0};
}

static dx_ring_stat_t numbers(const dx_ring_t *ring)
{
    dx_ring_stat_t stat;
    dx_ring_stat(ring, &stat);
    return stat;
}

/* A child that opens a consumer, handles `handled` events and then does nothing any more. */
static pid_t start_consumer(share_word_t *word, const dx_consumer_options_t *options,
                            int64_t handled)
{
    const pid_t child = fork();
    if (child != 0) {
        wait_until(dx_load_acquire(&word->value) >= 1);
        return child;
    }
    dx_ring_t *ring = child_attach();
    dx_consumer_t consumer;
    child_must(dx_consumer_open(&consumer, ring, options, NULL));
    dx_store_release(&word->value, 1);
    for (int64_t count = 0; count < handled; count++) {
        child_must(dx_consumer_wait(&consumer));
        dx_consumer_release(&consumer, consumer.next);
    }
    dx_store_release(&word->value, 2);
    child_await(word, INT64_MAX);
    _exit(0);
}

static void publish_n(dx_producer_t *producer, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        const int64_t sequence = publish_one(producer);
        if (sequence < 0) {
            fail_msg("%s", dx_error_name((int)sequence));
        }
    }
}

static void producers_go_on_without_a_dead_consumer(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = share_ring(mode, SLOTS, DX_ON_STALL_EVICT);
        share_word_t *word = share_word();
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_WAIT);
        const pid_t child = start_consumer(word, &(dx_consumer_options_t){.name = "trader"}, 0);
        publish_n(&producer, SLOTS); /* full */
        share_kill(child);
        publish_n(&producer, 3 * SLOTS); /* waits for the guard, not for ever */
        const dx_ring_stat_t stat = numbers(ring);
        assert_number(stat.deaths, 1);
        assert_number(stat.evictions, 1);
        assert_int_equal(stat.consumers, 0);
        dx_producer_close(&producer);
        share_word_free(word);
        dx_ring_destroy(ring);
    }
}

static void a_dead_consumer_that_blocks_keeps_its_place_until_it_is_resumed(void **state)
{
    (void)state;
    const dx_consumer_options_t options = {
        .name = "journal", .on_death = DX_ON_DEATH_BLOCK, .resume = true};
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = share_ring(mode, SLOTS, DX_ON_STALL_EVICT);
        share_word_t *word = share_word();
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_FAIL);
        const pid_t child = start_consumer(word, &options, 3);
        publish_n(&producer, SLOTS);
        wait_until(dx_load_acquire(&word->value) == 2);
        dx_consumer_t consumer;
        dx_error_t error = {0};
        assert_code(dx_consumer_open(&consumer, ring, &options, &error), DX_EBUSY);
        assert_non_null(strstr(error.message, "'journal'"));
        share_kill(child);
        wait_until(stat_of(ring, 0).state == DX_CONSUMER_DEAD);
        publish_n(&producer, 3);
        assert_code(dx_producer_claim(&producer), DX_EAGAIN);

        assert_code(dx_consumer_open(&consumer, ring, &options, NULL), DX_OK);
        int64_t first = 0;
        int64_t last = 0;
        assert_number(dx_consumer_missed(&consumer, &first, &last), 0);
        assert_number(consumer.next, 3);
        assert_number(dx_consumer_wait(&consumer), SLOTS + 2);
        for (int64_t s = 3; s <= SLOTS + 2; s++) {
            assert_number(DX_CONSUMER_EVENT(&consumer, s, event_t)->value, s);
        }
        dx_consumer_release(&consumer, SLOTS + 2);
        publish_n(&producer, SLOTS);
        assert_number(numbers(ring).evictions, 0);
        dx_producer_close(&producer);
        dx_consumer_close(&consumer);
        share_word_free(word);
        dx_ring_destroy(ring);
    }
}

static void an_evicted_consumer_that_returns_is_told_what_it_missed(void **state)
{
    (void)state;
    const dx_consumer_options_t options = {.name = "audit", .resume = true};
    dx_ring_t *ring = share_ring(DX_RING_SINGLE, SLOTS, DX_ON_STALL_EVICT);
    share_word_t *word = share_word();
    dx_producer_t producer;
    open_producer(&producer, ring, DX_FULL_WAIT);
    const pid_t child = start_consumer(word, &options, 2); /* 0 and 1 */
    publish_n(&producer, 2);
    wait_until(dx_load_acquire(&word->value) == 2);
    share_kill(child);
    wait_until(numbers(ring).evictions == 1);
    dx_consumer_t other;
    publish_n(&producer, 10); /* 2 to 11: nobody keeps them */
    open_consumer(&other, ring, 0);
    publish_n(&producer, 3); /* 12 to 14 are kept */

    dx_consumer_t consumer;
    assert_code(dx_consumer_open(&consumer, ring, &options, NULL), DX_OK);
    int64_t first = 0;
    int64_t last = 0;
    assert_number(dx_consumer_missed(&consumer, &first, &last), 10);
    assert_number(first, 2);
    assert_number(last, 11);
    assert_number(dx_consumer_wait(&consumer), 14);
    assert_number(consumer.next, 12);
    assert_false(dx_consumer_is_hidden(&consumer, 12));
    dx_consumer_close(&consumer);
    dx_consumer_close(&other);
    dx_producer_close(&producer);
    share_word_free(word);
    dx_ring_destroy(ring);
}

/* ------------------------------------------------------------------------------------- stopped */

/* How a stopped consumer finds out. */
typedef enum way { WAY_WAIT, WAY_POLL, WAY_DRAIN, WAY_RELEASE } way_t;

static int count_event(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    (void)event;
    (void)sequence;
    (void)end_of_batch;
    ++*(int *)context;
    return 0;
}

static void child_finds_out(share_word_t *word, way_t way)
{
    dx_ring_t *ring = child_attach();
    dx_consumer_t consumer;
    int count = 0;
    child_must(dx_consumer_open(&consumer, ring, &(dx_consumer_options_t){.name = "c"}, NULL));
    dx_store_release(&word->value, 1);
    if (way == WAY_RELEASE) { /* in the middle of a batch */
        child_must(dx_consumer_wait(&consumer));
    }
    child_await(word, 1); /* it is stopped here, and evicted */
    int64_t code = 0;
    if (way == WAY_POLL) {
        for (int i = 0; i < 10; i++) {
            const int64_t last = dx_consumer_poll(&consumer);
            dx_consumer_release(&consumer, last);
        }
    } else if (way == WAY_RELEASE) {
        dx_consumer_release(&consumer, consumer.next);
        if (dx_consumer_poll(&consumer) != consumer.next - 1) {
            _exit(97);
        }
    } else if (way == WAY_DRAIN) {
        code = dx_consumer_drain(&consumer, count_event, &count, 0);
    }
    code = code != 0 ? code : dx_consumer_wait(&consumer);
    dx_consumer_close(&consumer);
    dx_ring_destroy(ring);
    _exit(code == DX_EEVICTED ? 0 : 96);
}

static void a_stopped_consumer_is_evicted_and_finds_out_when_it_returns(void **state)
{
    (void)state;
    for (way_t way = WAY_WAIT; way <= WAY_RELEASE; way++) {
        dx_ring_t *ring = share_ring(DX_RING_MULTI, SLOTS, DX_ON_STALL_EVICT);
        share_word_t *word = share_word();
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_WAIT);
        const pid_t child = fork();
        if (child == 0) {
            child_finds_out(word, way);
        }
        wait_until(dx_load_acquire(&word->value) == 1);
        publish_n(&producer, SLOTS);
        assert_int_equal(kill(child, SIGSTOP), 0);
        publish_n(&producer, 2 * SLOTS);
        assert_number(numbers(ring).evictions, 1);
        assert_number(numbers(ring).stalls, 1);
        assert_number(numbers(ring).deaths, 0);
        dx_store_release(&word->step, 1);
        assert_int_equal(kill(child, SIGCONT), 0);
        share_reap(child, 0);
        dx_producer_close(&producer);
        share_word_free(word);
        dx_ring_destroy(ring);
    }
}

static void a_stopped_process_that_holds_a_claim_is_killed(void **state)
{
    (void)state;
    dx_ring_t *ring = share_ring(DX_RING_MULTI, SLOTS, DX_ON_STALL_EVICT);
    share_word_t *word = share_word();
    dx_consumer_t consumer;
    open_consumer(&consumer, ring, 0);
    const pid_t child = fork();
    if (child == 0) {
        dx_ring_t *own = child_attach();
        dx_producer_t producer;
        child_must(dx_producer_open(&producer, own, NULL, NULL));
        child_must(dx_producer_claim_n(&producer, 2));
        dx_store_release(&word->value, 1);
        (void)raise(SIGSTOP);
        _exit(0);
    }
    wait_until(dx_load_acquire(&word->value) == 1);
    dx_producer_t producer;
    open_producer(&producer, ring, DX_FULL_WAIT);
    publish_n(&producer, 1);
    assert_number(dx_consumer_wait(&consumer), 2); /* over what the other held */
    assert_true(dx_consumer_is_hidden(&consumer, 0) && dx_consumer_is_hidden(&consumer, 1));
    share_reap(child, SIGKILL);
    assert_number(numbers(ring).kills, 1);
    assert_number(numbers(ring).voided, 2);
    dx_producer_close(&producer);
    dx_consumer_close(&consumer);
    share_word_free(word);
    dx_ring_destroy(ring);
}

static void with_wait_a_stopped_consumer_is_reported_and_waited_for(void **state)
{
    (void)state;
    dx_ring_t *ring = share_ring(DX_RING_SINGLE, SLOTS, DX_ON_STALL_WAIT);
    share_word_t *word = share_word();
    dx_producer_t producer;
    open_producer(&producer, ring, DX_FULL_FAIL);
    const pid_t child = start_consumer(word, &(dx_consumer_options_t){.name = "c"}, INT64_MAX);
    assert_int_equal(kill(child, SIGSTOP), 0);
    dx_process_stat_t process = {.state = DX_PROCESS_FREE};
    wait_until(dx_ring_process_stat(ring, 1, &process) == DX_OK &&
               process.state == DX_PROCESS_STALLED);
    publish_n(&producer, SLOTS);
    assert_code(dx_producer_claim(&producer), DX_EAGAIN);
    assert_number(numbers(ring).evictions, 0);
    assert_int_equal(kill(child, SIGCONT), 0);
    wait_until(dx_ring_process_stat(ring, 1, &process) == DX_OK &&
               process.state == DX_PROCESS_ATTACHED);
    wait_until(dx_producer_has_available(&producer, SLOTS));
    share_kill(child);
    dx_producer_close(&producer);
    share_word_free(word);
    dx_ring_destroy(ring);
}

/* ---------------------------------------------------------------------------------- in a graph */

/* Counts the events of its process's word, and stops at one that is not the next: an event whose
 * handling a death interrupted comes again, and nothing is left out. */
static int follow_in_order(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    share_word_t *word = context;
    (void)end_of_batch;
    if (((const event_t *)event)->value != sequence || sequence > dx_load_relaxed(&word->value)) {
        _exit(95);
    }
    dx_store_release(&word->value, sequence + 1);
    return DX_HANDLER_CONTINUE;
}

static void those_behind_a_dead_stage_follow_what_it_followed(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = share_ring(mode, SLOTS, DX_ON_STALL_EVICT);
        share_word_t *word = share_word();
        dx_consumer_t first;
        open_consumer(&first, ring, 0);
        const dx_consumer_options_t middle = {.name = "middle", .upstream = bit_of(&first)};
        const pid_t child = start_consumer(word, &middle, 1);
        dx_consumer_t behind;
        open_consumer(&behind, ring, UINT64_C(1) << 1);
        dx_producer_t producer;
        open_producer(&producer, ring, DX_FULL_WAIT);
        publish_n(&producer, 4);
        dx_consumer_release(&first, 2);
        wait_until(dx_load_acquire(&word->value) == 2);
        assert_number(dx_consumer_wait(&behind), 0);
        dx_consumer_release(&behind, 0);
        share_kill(child);
        assert_number(dx_consumer_wait(&behind), 2); /* what `first` has done */
        dx_consumer_release(&behind, 2);
        dx_consumer_release(&first, 3);
        assert_number(dx_consumer_wait(&behind), 3);
        dx_consumer_close(&behind);
        dx_consumer_close(&first);
        dx_producer_close(&producer);
        share_word_free(word);
        dx_ring_destroy(ring);
    }
}

/* A process with a handler of its own, that says how far it is. */
static pid_t start_handler(share_word_t *word, const char *name, const char *behind)
{
    const pid_t child = fork();
    if (child != 0) {
        return child;
    }
    dx_disruptor_t *disruptor = NULL;
    dx_group_t group = {0};
    const dx_disruptor_options_t options = {.ring = {.slot_count = SLOTS,
                                                     .event_bytes = sizeof(event_t),
                                                     .mode = DX_RING_MULTI,
                                                     .share = {.name = "r",
                                                               .folder = share_folder,
                                                               .detect_ns = DETECT_NS,
                                                               .existing = DX_SHARE_ATTACH}}};
    child_must(dx_disruptor_create(&options, &disruptor, NULL));
    const dx_handler_t handler = {.name = name,
                                  .context = word,
                                  .on_event = follow_in_order,
                                  .on_death = DX_ON_DEATH_BLOCK,
                                  .resume = true};
    if (behind != NULL) {
        child_must(dx_disruptor_after(disruptor, &behind, 1, &group, NULL));
        child_must(dx_group_then(group, &handler, 1, NULL, NULL));
    } else {
        child_must(dx_disruptor_handle_events_with(disruptor, &handler, 1, NULL, NULL));
    }
    child_must(dx_disruptor_start(disruptor, NULL));
    dx_store_release(&word->step, 1);
    for (;;) {
        (void)usleep(1000);
    }
}

static void handlers_of_other_processes_are_followed_and_resumed(void **state)
{
    (void)state;
    dx_ring_t *ring = share_ring(DX_RING_MULTI, SLOTS, DX_ON_STALL_WAIT);
    share_word_t *ahead = share_word();
    share_word_t *behind = share_word();
    dx_producer_t producer;
    open_producer(&producer, ring, DX_FULL_WAIT);
    pid_t journal = start_handler(ahead, "journal", NULL);
    wait_until(dx_load_acquire(&ahead->step) == 1);
    const pid_t trader = start_handler(behind, "trader", "journal");
    wait_until(dx_load_acquire(&behind->step) == 1);
    const int32_t index = dx_ring_consumer_find(ring, "journal");
    assert_number(dx_ring_consumer_find(ring, "trader"), 1);
    assert_number(dx_ring_consumer_find(ring, "nobody"), DX_ENOTFOUND);
    assert_int_equal(stat_of(ring, 1).upstream, UINT64_C(1) << index);

    publish_n(&producer, 3 * SLOTS);
    wait_until(dx_load_acquire(&behind->value) == 3 * SLOTS);
    share_kill(journal);
    publish_n(&producer, SLOTS); /* full: the journal keeps its place */
    wait_until(stat_of(ring, index).state == DX_CONSUMER_DEAD);
    assert_code(dx_producer_try_claim_n(&producer, 1), DX_EAGAIN);
    assert_number(dx_load_acquire(&behind->value), 3 * SLOTS); /* and the trader waits for it */

    dx_store_release(&ahead->step, 0);
    journal = start_handler(ahead, "journal", NULL);
    publish_n(&producer, SLOTS);
    wait_until(dx_load_acquire(&behind->value) == 5 * SLOTS);
    assert_number(dx_load_acquire(&ahead->value), 5 * SLOTS);
    assert_number(dx_ring_consumer_find(ring, "journal"), index);
    share_kill(journal);
    share_kill(trader);
    dx_producer_close(&producer);
    share_word_free(ahead);
    share_word_free(behind);
    dx_ring_destroy(ring);
}

static void one_consumer_is_taken_out_of_the_way(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        dx_ring_t *ring = share_ring(mode, SLOTS, DX_ON_STALL_EVICT);
        dx_producer_t producer;
        dx_consumer_t slow;
        dx_consumer_t quick;
        open_producer(&producer, ring, DX_FULL_FAIL);
        open_consumer(&slow, ring, 0);
        open_consumer(&quick, ring, 0);
        publish_n(&producer, SLOTS);
        assert_int_equal(consume_all(&quick), SLOTS);
        assert_int_equal(publish_one(&producer), DX_EAGAIN);
        assert_int_equal(dxi_ring_evict(ring, slow.index), DX_OK);
        assert_int_equal(numbers(ring).evictions, 1);
        publish_n(&producer, SLOTS);
        assert_int_equal(consume_all(&quick), SLOTS);
        assert_int_equal(dx_consumer_wait(&slow), DX_EEVICTED);
        assert_int_equal(dxi_ring_evict(ring, slow.index), DX_ENOTFOUND);
        assert_int_equal(dxi_ring_evict(ring, -1), DX_ENOTFOUND);
        assert_int_equal(dxi_ring_evict(ring, DX_RING_CONSUMERS_MAX), DX_ENOTFOUND);
        dx_consumer_close(&slow);
        open_consumer(&slow, ring, 0); /* and comes back at the newest event */
        publish_n(&producer, 1);
        assert_int_equal(consume_all(&slow), 1);
        dx_consumer_close(&slow);
        dx_consumer_close(&quick);
        dx_producer_close(&producer);
        dx_ring_destroy(ring);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHARED(one_consumer_is_taken_out_of_the_way),
        SHARED(producers_go_on_without_a_dead_consumer),
        SHARED(a_dead_consumer_that_blocks_keeps_its_place_until_it_is_resumed),
        SHARED(an_evicted_consumer_that_returns_is_told_what_it_missed),
        SHARED(a_stopped_consumer_is_evicted_and_finds_out_when_it_returns),
        SHARED(a_stopped_process_that_holds_a_claim_is_killed),
        SHARED(with_wait_a_stopped_consumer_is_reported_and_waited_for),
        SHARED(those_behind_a_dead_stage_follow_what_it_followed),
        SHARED(handlers_of_other_processes_are_followed_and_resumed),
    };
    return cmocka_run_group_tests_name("evict", tests, NULL, NULL);
}
