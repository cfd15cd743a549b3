/* test_change.c - graphs of handlers that change while they run: added, inserted, removed, workers
 * that join and leave.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disruptor_test.h"

#include <sched.h>

#include "ring/disruptor_internal.h"

#define SLOTS 64

/* A handler that must get every event from its first one on, in order, each once. */
typedef struct reader {
    dx_atomic64_t first; /* -1: none yet */
    dx_atomic64_t next;
    dx_atomic64_t wrong;
    dx_atomic64_t marked; /* events that a writer before it had marked */
    bool last_marked;
    int turns;
} reader_t;

static int read_event(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    reader_t *reader = context;
    event_t *e = event;
    (void)end_of_batch;
    if (dx_load_relaxed(&reader->first) < 0) {
        dx_store_relaxed(&reader->first, sequence);
    } else if (sequence != dx_load_relaxed(&reader->next)) {
        count_up(&reader->wrong);
    }
    if (e->value != value_of(sequence)) {
        count_up(&reader->wrong);
    }
    dx_store_release(&reader->next, sequence + 1);
    return DX_HANDLER_CONTINUE;
}

/* Writes into the event: whoever reads that must be behind it. */
static int mark_event(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    ((event_t *)event)->stages = 1;
    return read_event(context, event, sequence, end_of_batch);
}

static int read_mark(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    reader_t *reader = context;
    const bool marked = ((const event_t *)event)->stages != 0;
    reader->turns += marked != reader->last_marked;
    reader->last_marked = marked;
    (void)dx_fetch_add_relaxed(&reader->marked, marked);
    return read_event(context, event, sequence, end_of_batch);
}

static dx_handler_t reader_handler(reader_t *reader, const char *name)
{
    *reader = (reader_t){0};
    dx_store_relaxed(&reader->first, -1);
    return (dx_handler_t){.name = name, .context = reader, .on_event = read_event};
}

static void reads_on(reader_t *reader)
{
    const int64_t next = dx_load_acquire(&reader->next);
    wait_until(dx_load_acquire(&reader->next) >= next + 2 * SLOTS);
}

/* --------------------------------------------------------------------------------------- a load */

#define PRODUCERS 2

typedef struct load {
    dx_disruptor_t *disruptor;
    dx_atomic32_t stop;
    dx_atomic32_t wrong;
    pthread_t threads[PRODUCERS];
    int producers;
} load_t;

static void *load_run(void *context)
{
    load_t *load = context;
    dx_producer_t producer;
    if (dx_producer_open(&producer, dx_disruptor_ring(load->disruptor), NULL, NULL) != DX_OK) {
        dx_store32_relaxed(&load->wrong, 1);
        return NULL;
    }
    while (dx_load32_acquire(&load->stop) == 0) {
        if (publish_one(&producer) < 0) {
            dx_store32_relaxed(&load->wrong, 1);
            break;
        }
    }
    dx_producer_close(&producer);
    return NULL;
}

static void load_start(load_t *load, dx_disruptor_t *disruptor, dx_ring_mode_t mode)
{
    *load = (load_t){.disruptor = disruptor, .producers = mode == DX_RING_MULTI ? PRODUCERS : 1};
    for (int i = 0; i < load->producers; i++) {
        assert_int_equal(pthread_create(&load->threads[i], NULL, load_run, load), 0);
    }
}

/* Ends the load and returns how many events there were. */
static int64_t load_end(load_t *load)
{
    dx_store32_release(&load->stop, 1);
    for (int i = 0; i < load->producers; i++) {
        assert_int_equal(pthread_join(load->threads[i], NULL), 0);
    }
    assert_int_equal(dx_load32_relaxed(&load->wrong), 0);
    return dx_ring_published(dx_disruptor_ring(load->disruptor)) + 1;
}

static void reader_is_right(const reader_t *reader, int64_t end)
{
    assert_int_equal(dx_load_relaxed(&reader->wrong), 0);
    assert_int_equal(dx_load_relaxed(&reader->next), end);
}

#define FOR_EACH_MODE(mode)                                                                        \
    for (dx_ring_mode_t mode = DX_RING_SINGLE; mode <= DX_RING_MULTI; mode++)

/* -------------------------------------------------------------------------- adding, removing */

static int run_custom(void *context, dx_consumer_t *consumer)
{
    for (;;) {
        const int64_t last = dx_consumer_wait(consumer);
        if (last < 0) {
            return (int)last;
        }
        for (int64_t sequence = consumer->next; sequence <= last; sequence++) {
            if (!dx_consumer_is_hidden(consumer, sequence)) {
                (void)read_event(context, dx_consumer_event(consumer, sequence), sequence, false);
            }
        }
        dx_consumer_release(consumer, last);
    }
}

typedef struct polling {
    dx_consumer_t *poller;
    reader_t *reader;
    dx_atomic32_t stop;
} polling_t;

static void *poll_on(void *context)
{
    polling_t *polling = context;
    while (dx_load32_acquire(&polling->stop) == 0) {
        if (dx_consumer_drain(polling->poller, read_event, polling->reader, 0) < 0) {
            count_up(&polling->reader->wrong);
        }
        (void)sched_yield();
    }
    return NULL;
}

static void whatever_is_added_while_it_runs_gets_every_event_from_then_on(void **state)
{
    (void)state;
    static reader_t readers[5];
    FOR_EACH_MODE(mode)
    {
        dx_disruptor_t *disruptor = make_disruptor(mode, SLOTS);
        dx_ring_t *ring = dx_disruptor_ring(disruptor);
        dx_group_t first;
        dx_handler_t handlers[2] = {reader_handler(&readers[0], NULL)};
        add_handlers_ok(disruptor, handlers, 1, &first);
        assert_ok(dx_disruptor_start(disruptor, NULL));
        load_t load;
        load_start(&load, disruptor, mode);
        reads_on(&readers[0]);

        handlers[0] = reader_handler(&readers[1], NULL);
        handlers[1] = reader_handler(&readers[2], "behind");
        dx_group_t second;
        int64_t before = dx_ring_published(ring);
        add_handlers_ok(disruptor, &handlers[0], 1, &second);
        assert_ok(dx_group_and(first, second, &second, NULL));
        assert_ok(dx_group_then(second, &handlers[1], 1, &second, NULL));
        const int64_t after = dx_ring_published(ring);
        reads_on(&readers[1]);
        reads_on(&readers[2]);
        assert_true(dx_load_relaxed(&readers[1].first) > before);
        assert_true(dx_load_relaxed(&readers[2].first) <= after + 1);

        (void)reader_handler(&readers[3], NULL);
        const dx_custom_processor_t custom = {.context = &readers[3], .run = run_custom};
        assert_ok(dx_group_then_custom(second, &custom, NULL, NULL));
        reads_on(&readers[3]);
        (void)reader_handler(&readers[4], NULL);
        dx_consumer_t *poller = NULL;
        assert_ok(dx_group_then_poller(second, NULL, &poller, NULL, NULL));
        polling_t polling = {.poller = poller, .reader = &readers[4]};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, poll_on, &polling), 0);
        reads_on(&readers[4]);
        const int64_t end = load_end(&load);
        shutdown_ok(disruptor);
        dx_store32_release(&polling.stop, 1);
        assert_int_equal(pthread_join(thread, NULL), 0);
        for (size_t i = 0; i < COUNT_OF(readers); i++) {
            reader_is_right(&readers[i], end);
        }
        dx_disruptor_destroy(disruptor);
    }
}

static void members_come_and_go_under_load(void **state)
{
    (void)state;
    static reader_t readers[3];
    FOR_EACH_MODE(mode)
    {
        dx_disruptor_t *disruptor = make_disruptor(mode, SLOTS);
        dx_group_t first;
        dx_group_t last;
        dx_handler_t handler = reader_handler(&readers[0], "first");
        add_handlers_ok(disruptor, &handler, 1, &first);
        handler = reader_handler(&readers[1], "last");
        assert_ok(dx_group_then(first, &handler, 1, &last, NULL));
        assert_ok(dx_disruptor_start(disruptor, NULL));
        load_t load;
        load_start(&load, disruptor, mode);
        for (int round = 0; round < 60; round++) {
            dx_group_t guest;
            handler = reader_handler(&readers[2], "guest");
            switch (round % 3) {
            case 0:
                add_handlers_ok(disruptor, &handler, 1, &guest);
                break;
            case 1:
                assert_ok(dx_group_then(last, &handler, 1, &guest, NULL));
                break;
            default:
                assert_ok(dx_group_insert(first, last, &handler, 1, &guest, NULL));
                break;
            }
            if (round % 2 == 0) {
                reads_on(&readers[2]);
            }
            assert_ok(dx_group_remove(guest, NULL));
            assert_int_equal(dx_load_relaxed(&readers[2].wrong), 0);
        }
        const int64_t end = load_end(&load);
        shutdown_ok(disruptor);
        reader_is_right(&readers[0], end);
        reader_is_right(&readers[1], end);
        assert_int_equal(__builtin_popcountll(disruptor->members), 2);
        dx_disruptor_destroy(disruptor);
    }
}

/* Fails when: the new stage starts before those behind it have changed over, or they see one event
 * past it: the last reader would see marked and unmarked events in turns. */
static void an_inserted_stage_may_write_what_those_behind_it_read(void **state)
{
    (void)state;
    static reader_t readers[2];
    FOR_EACH_MODE(mode)
    {
        for (int round = 0; round < 20; round++) {
            dx_disruptor_t *disruptor = make_disruptor(mode, SLOTS);
            dx_group_t last;
            dx_handler_t handler = reader_handler(&readers[0], "last");
            handler.on_event = read_mark;
            add_handlers_ok(disruptor, &handler, 1, &last);
            assert_ok(dx_disruptor_start(disruptor, NULL));
            load_t load;
            load_start(&load, disruptor, mode);
            reads_on(&readers[0]);
            handler = reader_handler(&readers[1], "marks");
            handler.on_event = mark_event;
            handler.start = round % 2 == 0 ? DX_START_CURSOR : DX_START_OLDEST;
            const dx_group_t publication = {.disruptor = disruptor};
            dx_group_t marks;
            assert_ok(dx_group_insert(publication, last, &handler, 1, &marks, NULL));
            reads_on(&readers[0]);
            assert_ok(dx_group_remove(marks, NULL));
            reads_on(&readers[0]);
            const int64_t end = load_end(&load);
            shutdown_ok(disruptor);
            reader_is_right(&readers[0], end);
            assert_int_equal(dx_load_relaxed(&readers[1].wrong), 0);
            assert_int_equal(readers[0].turns, 2);
            dx_disruptor_destroy(disruptor);
        }
    }
}

static uint64_t key_of_event(void *context, const void *event)
{
    (void)context;
    return (uint64_t)((const event_t *)event)->key;
}

static void what_can_not_be_changed_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    static reader_t readers[6];
    dx_error_t error = {0};
    dx_disruptor_t *disruptor = make_disruptor(DX_RING_SINGLE, SLOTS);
    dx_group_t first;
    dx_handler_t handlers[2] = {reader_handler(&readers[0], "first"),
                                reader_handler(&readers[1], "last")};
    add_handlers_ok(disruptor, &handlers[0], 1, &first);
    dx_group_t last;
    assert_ok(dx_group_then(first, &handlers[1], 1, &last, NULL));
    const dx_handler_t keyed_workers[2] = {reader_handler(&readers[2], "k0"),
                                           reader_handler(&readers[3], "k1")};
    const dx_pool_t keyed = {
        .name = "keyed", .workers = keyed_workers, .worker_count = 2, .key = key_of_event};
    dx_group_t keys;
    assert_ok(dx_disruptor_handle_events_with_pool(disruptor, &keyed, &keys, NULL));
    assert_ok(dx_disruptor_start(disruptor, NULL));
    const uint64_t members = disruptor->members;

    const dx_group_t nobody = {.disruptor = disruptor};
    const dx_group_t strangers = {.disruptor = disruptor, .members = UINT64_C(1) << 9};
    dx_group_t group;
    const dx_handler_t more = reader_handler(&readers[4], "more");
    assert_fails(dx_group_remove(nobody, &error), DX_ENOTFOUND, error, "no consumer");
    assert_fails(dx_group_remove(strangers, &error), DX_ENOTFOUND, error, "no consumer");
    assert_fails(dx_group_member(keys, "k2", &group, &error), DX_ENOTFOUND, error,
                 "no member of the group is called 'k2'");
    assert_ok(dx_group_member(keys, "k1", &group, &error));
    assert_fails(dx_group_remove(group, &error), DX_ENOTSUP, error,
                 "pool 'keyed' is by key, its workers can only be removed together");
    assert_fails(dx_group_add_worker(keys, &more, NULL, &error), DX_ENOTSUP, error,
                 "pool 'keyed' is by key");
    assert_fails(dx_group_add_worker(first, &more, NULL, &error), DX_ENOTFOUND, error,
                 "the group is not of one pool");
    assert_fails(dx_disruptor_connect(disruptor, last, first, &error), DX_EINVAL, error,
                 "'first' behind 'last' would close a cycle");
    assert_fails(dx_group_insert(last, first, &more, 1, NULL, &error), DX_EINVAL, error,
                 "would close a cycle");
    /* A thread that can't be made: on a processor that no machine has. */
    dx_handler_t homeless = more;
    dx_cpu_set_add(&homeless.thread.cpus, DX_CPU_MAX - 1);
    const dx_handler_t pair[2] = {reader_handler(&readers[5], "pair"), homeless};
    assert_fails(dx_group_then(first, pair, 2, NULL, &error), DX_ENOTFOUND, error,
                 "thread of consumer 'more'");
    assert_true(disruptor->members == members);
    assert_fails(dx_group_insert(first, last, &homeless, 1, NULL, &error), DX_ENOTFOUND, error,
                 "thread of consumer 'more'");
    assert_true(disruptor->members == members);
    publish(disruptor, 3 * SLOTS); /* and all of it goes on */
    assert_ok(dx_group_remove(keys, &error));
    shutdown_ok(disruptor);
    reader_is_right(&readers[0], 3 * SLOTS);
    reader_is_right(&readers[1], 3 * SLOTS);
    dx_disruptor_destroy(disruptor);
}

/* ------------------------------------------------------------------- from a handler, or failed */

typedef struct remover {
    dx_group_t group;
    dx_atomic32_t code;
} remover_t;

static int remove_itself(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    remover_t *remover = context;
    (void)event, (void)sequence, (void)end_of_batch;
    dx_store32_release(&remover->code, dx_group_remove(remover->group, NULL));
    return DX_HANDLER_CONTINUE;
}

static void a_handler_can_not_remove_itself(void **state)
{
    (void)state;
    remover_t remover = {0};
    dx_disruptor_t *disruptor = make_disruptor(DX_RING_SINGLE, SLOTS);
    const dx_handler_t handler = {.context = &remover, .on_event = remove_itself};
    add_handlers_ok(disruptor, &handler, 1, &remover.group);
    assert_ok(dx_disruptor_start(disruptor, NULL));
    publish(disruptor, 1);
    shutdown_ok(disruptor);
    assert_int_equal(dx_load32_relaxed(&remover.code), DX_EDEADLOCK);
    dx_disruptor_destroy(disruptor);
}

/* Fails when: those behind a consumer that has failed are not freed of it. */
static void a_consumer_that_has_failed_can_be_removed(void **state)
{
    (void)state;
    static reader_t reader;
    probe_t probe = {.rules = {{.sequence = 3, .result = DX_EFATAL}}};
    dx_disruptor_t *disruptor = make_disruptor(DX_RING_SINGLE, SLOTS);
    dx_handler_t handler = probe_handler(&probe, "fails");
    dx_group_t fails;
    dx_group_t behind;
    add_handlers_ok(disruptor, &handler, 1, &fails);
    handler = reader_handler(&reader, "behind");
    assert_ok(dx_group_then(fails, &handler, 1, &behind, NULL));
    assert_ok(dx_disruptor_start(disruptor, NULL));
    publish(disruptor, 6);
    wait_until(stat_of(disruptor, 1).state == DX_CONSUMER_FAILED); /* it can't go on */
    assert_ok(dx_group_remove(fails, NULL));
    assert_ok(dx_group_resume(behind, NULL));
    publish(disruptor, 3 * SLOTS);
    shutdown_ok(disruptor);
    reader_is_right(&reader, 6 + 3 * SLOTS);
    dx_disruptor_destroy(disruptor);
}

/* -------------------------------------------------------------------------------------- workers */

#define POOL_EVENTS 4096
#define POOL_WORKERS 4

typedef struct crew {
    dx_disruptor_t *disruptor;
    dx_group_t pool;
    dx_group_t reader; /* behind the pool: it ends when it waits for a worker that has failed */
    dx_atomic32_t seen[POOL_EVENTS];
    dx_atomic64_t handled;
    dx_atomic64_t hold_at; /* the sequence at which a worker waits, plus 1 */
    dx_atomic64_t fail_at; /* or fails */
    dx_atomic32_t holding;
    dx_atomic32_t let_go;
    reader_t behind;
} crew_t;

static int crew_event(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    crew_t *crew = context;
    (void)event, (void)end_of_batch;
    int64_t at = sequence + 1;
    if (dx_compare_exchange_acq_rel(&crew->hold_at, &at, 0)) {
        stand_still(&crew->holding, &crew->let_go);
    }
    at = sequence + 1;
    if (dx_compare_exchange_acq_rel(&crew->fail_at, &at, 0)) {
        return DX_EFATAL;
    }
    if (sequence < POOL_EVENTS) {
        (void)dx_fetch_add32_acq_rel(&crew->seen[sequence], 1);
    }
    count_up(&crew->handled);
    return DX_HANDLER_CONTINUE;
}

static dx_handler_t crew_worker(crew_t *crew, const char *name)
{
    return (dx_handler_t){.name = name, .context = crew, .on_event = crew_event};
}

/* A pool and a reader behind it. */
static crew_t *crew_make(dx_ring_mode_t mode, uint32_t workers, int64_t claim_max)
{
    static const char *const names[] = {"w0", "w1", "w2", "w3"};
    crew_t *crew = calloc(1, sizeof(*crew));
    assert_non_null(crew);
    crew->disruptor = make_disruptor(mode, SLOTS);
    dx_handler_t handlers[POOL_WORKERS];
    for (uint32_t i = 0; i < workers; i++) {
        handlers[i] = crew_worker(crew, names[i]);
    }
    const dx_pool_t pool = {
        .name = "crew", .workers = handlers, .worker_count = workers, .claim_max = claim_max};
    assert_ok(dx_disruptor_handle_events_with_pool(crew->disruptor, &pool, &crew->pool, NULL));
    const dx_handler_t behind = reader_handler(&crew->behind, "behind");
    assert_ok(dx_group_then(crew->pool, &behind, 1, &crew->reader, NULL));
    return crew;
}

static void crew_end(crew_t *crew, int64_t events)
{
    for (int64_t sequence = 0; sequence < POOL_EVENTS && sequence < events; sequence++) {
        assert_int_equal(dx_load32_relaxed(&crew->seen[sequence]), 1);
    }
    assert_int_equal(dx_load_relaxed(&crew->handled), events);
    reader_is_right(&crew->behind, events);
    dx_disruptor_destroy(crew->disruptor);
    free(crew);
}

static dx_group_t member_of(dx_group_t group, const char *name)
{
    dx_group_t member;
    assert_ok(dx_group_member(group, name, &member, NULL));
    return member;
}

/* Fails when: a new worker takes the events that its pool had not claimed yet for older than
 * itself, or claims before those behind the pool read its word. */
static void workers_join_and_leave_under_load(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        crew_t *crew = crew_make(mode, 2, 4);
        assert_ok(dx_disruptor_start(crew->disruptor, NULL));
        load_t load;
        load_start(&load, crew->disruptor, mode);
        for (int round = 0; round < 60; round++) {
            dx_group_t more;
            const dx_handler_t worker = crew_worker(crew, NULL);
            assert_ok(dx_group_add_worker(crew->pool, &worker, &more, NULL));
            if (round % 3 != 0) {
                const int32_t index = __builtin_ctzll(more.members);
                wait_until(stat_of(crew->disruptor, index).events > 0);
            }
            assert_ok(dx_group_remove(more, NULL));
        }
        /* And one of the first. */
        assert_ok(dx_group_remove(member_of(crew->pool, "w0"), NULL));
        reads_on(&crew->behind);
        const int64_t end = load_end(&load);
        shutdown_ok(crew->disruptor);
        crew_end(crew, end);
    }
}

/* L4. */
static void a_new_worker_is_idle_until_those_behind_know_it(void **state)
{
    (void)state;
    crew_t *crew = crew_make(DX_RING_SINGLE, 1, 0);
    dx_consumer_t poller;
    assert_ok(dx_consumer_open(&poller, dx_disruptor_ring(crew->disruptor),
                               &(dx_consumer_options_t){.upstream = crew->pool.members}, NULL));
    assert_ok(dx_disruptor_start(crew->disruptor, NULL));
    dx_group_t more;
    const dx_handler_t worker = crew_worker(crew, "new");
    assert_ok(dx_group_add_worker(crew->pool, &worker, &more, NULL));
    const int32_t index = __builtin_ctzll(more.members);
    publish(crew->disruptor, SLOTS);
    wait_until(dx_load_acquire(&crew->behind.next) == SLOTS); /* the old worker has done it */
    assert_int_equal(stat_of(crew->disruptor, index).events, 0);
    assert_true((stat_of(crew->disruptor, poller.index).upstream & more.members) != 0);
    assert_true((stat_of(crew->disruptor, poller.index).bound & more.members) == 0);
    dx_consumer_release(&poller, dx_consumer_poll(&poller));
    (void)dx_consumer_poll(&poller); /* finds nothing, and looks */
    assert_true((stat_of(crew->disruptor, poller.index).bound & more.members) != 0);
    assert_ok(dx_group_pause(member_of(crew->pool, "w0"), NULL));
    publish(crew->disruptor, SLOTS);
    wait_until(dx_load_acquire(&crew->behind.next) == 2 * SLOTS);
    assert_int_equal(stat_of(crew->disruptor, index).events, SLOTS);
    dx_consumer_close(&poller);
    assert_ok(dx_disruptor_halt(crew->disruptor));
    crew_end(crew, 2 * SLOTS);
}

/* W5. What a worker has claimed and can't handle goes to another that runs, or to a paused one. */
static void what_a_leaving_worker_has_claimed_is_taken_over(void **state)
{
    (void)state;
    for (int paused = 0; paused < 2; paused++) {
        crew_t *crew = crew_make(DX_RING_SINGLE, 2, 8);
        dx_error_t error = {0};
        const dx_group_t one = member_of(crew->pool, "w0");
        const dx_group_t other = member_of(crew->pool, "w1");
        assert_ok(dx_disruptor_start(crew->disruptor, NULL));
        assert_ok(dx_group_pause(other, NULL));
        dx_store_release(&crew->fail_at, 2 + 1);
        publish(crew->disruptor, 6);
        const int32_t index = __builtin_ctzll(one.members);
        wait_until(stat_of(crew->disruptor, index).state == DX_CONSUMER_FAILED);
        assert_int_equal(dx_load_relaxed(&crew->handled), 2);
        if (!paused) {
            assert_ok(dx_group_resume(other, NULL));
        }
        if (dx_group_remove(one, &error) != DX_OK) {
            fail_msg("%s", error.message);
        }
        assert_ok(dx_group_resume(other, NULL));
        assert_ok(dx_group_resume(crew->reader, NULL));
        publish(crew->disruptor, 6);
        shutdown_ok(crew->disruptor);
        assert_int_equal(dx_load_relaxed(&crew->handled), 12);
        crew_end(crew, 12);
    }
}

static void a_worker_whose_events_nobody_can_take_stays(void **state)
{
    (void)state;
    crew_t *crew = crew_make(DX_RING_SINGLE, 2, 8);
    dx_error_t error = {0};
    assert_ok(dx_disruptor_start(crew->disruptor, NULL));
    const dx_group_t one = member_of(crew->pool, "w0");
    const dx_group_t other = member_of(crew->pool, "w1");
    assert_ok(dx_group_pause(other, NULL));
    dx_store_release(&crew->fail_at, 2 + 1);
    publish(crew->disruptor, 6);
    wait_until(stat_of(crew->disruptor, __builtin_ctzll(one.members)).state == DX_CONSUMER_FAILED);
    assert_ok(dx_group_pause(one, NULL));
    assert_ok(dx_group_resume(other, NULL));
    dx_store_release(&crew->fail_at, 7 + 1);
    publish(crew->disruptor, 3);
    wait_until(stat_of(crew->disruptor, __builtin_ctzll(other.members)).state ==
               DX_CONSUMER_FAILED);
    const uint64_t members = crew->disruptor->members;
    /* Up to which event: as many as were published when it looked. */
    assert_fails(dx_group_remove(one, &error), DX_ECONSUMER, error,
                 "worker 'w0' has claimed the events 2 to ");
    assert_contains(error.message, "not handled them, and no other worker of its pool runs");
    assert_true(crew->disruptor->members == members);
    assert_ok(dx_group_resume(crew->pool, NULL));
    assert_ok(dx_group_resume(crew->reader, NULL));
    shutdown_ok(crew->disruptor);
    crew_end(crew, 9);
}

/* With the last running worker the pool has ended: those who wait for it are told.
 * Fails when: dx_group_remove() does not look at the pool that stays. */
static void a_pool_whose_running_workers_leave_has_ended(void **state)
{
    (void)state;
    crew_t *crew = crew_make(DX_RING_SINGLE, 2, 1);
    assert_ok(dx_disruptor_start(crew->disruptor, NULL));
    const dx_group_t other = member_of(crew->pool, "w1");
    assert_ok(dx_group_pause(other, NULL));
    dx_store_release(&crew->fail_at, 0 + 1);
    publish(crew->disruptor, 1);
    const int32_t pool = __builtin_ctzll(crew->pool.members);
    wait_until(stat_of(crew->disruptor, pool + 1).state == DX_CONSUMER_FAILED);
    assert_int_equal(stat_of(crew->disruptor, pool).state, DX_CONSUMER_RUNNING);
    assert_ok(dx_group_resume(other, NULL));
    assert_ok(dx_group_remove(other, NULL));
    assert_int_equal(stat_of(crew->disruptor, pool).state, DX_CONSUMER_STOPPED);
    const dx_handler_t worker = crew_worker(crew, "new");
    static const char *const name = "crew"; /* the group of before has a member that is gone */
    assert_ok(dx_disruptor_after(crew->disruptor, &name, 1, &crew->pool, NULL));
    const dx_group_t failed = member_of(crew->pool, "w0");
    assert_ok(dx_group_add_worker(failed, &worker, NULL, NULL));
    assert_int_equal(stat_of(crew->disruptor, pool).state, DX_CONSUMER_RUNNING);
    assert_ok(dx_group_remove(failed, NULL)); /* the new one takes its event */
    assert_ok(dx_group_resume(crew->reader, NULL));
    publish(crew->disruptor, SLOTS);
    shutdown_ok(crew->disruptor);
    crew_end(crew, SLOTS + 1);
}

typedef struct take {
    crew_t *crew;
    int passages;
    bool done;
} take_t;

#if DX_TEST_HOOKS
static void take_at_point(const char *point, void *context)
{
    take_t *take = context;
    if (!take->done && strcmp(point, "minimum:one-read") == 0 && take->passages-- == 0) {
        take->done = true;
        dxi_processor_t *const *processors = take->crew->disruptor->processors;
        dxi_worker_hand_over(processors[2], processors[1]);
    }
}
#endif

/* W5. A follower, or a producer, reads the words of a pool one by one, and in the middle of that a
 * worker with a lower index takes over. Fails when: the hand-over is not counted, or the reader
 * does not look at the count. */
static void who_reads_during_a_take_over_sees_the_rest_held(void **state)
{
    (void)state;
#if DX_TEST_HOOKS
    for (int i = 0; i < 8; i++) {
        crew_t *crew = crew_make(DX_RING_SINGLE, 2, 8);
        dx_ring_t *ring = dx_disruptor_ring(crew->disruptor);
        dx_consumer_t *behind = &crew->disruptor->processors[3]->consumer;
        publish(crew->disruptor, 6);
        /* As if the second worker had claimed all and handled two. */
        dxi_processor_t *second = crew->disruptor->processors[2];
        dx_consumer_entry_t *entries = dxi_block_consumers(dx_ring_block(ring));
        dx_store_release(&entries[0].sequence, 5);
        dx_store_release(&entries[2].sequence, 1);
        second->pending_first = 2;
        second->pending_last = 5;
        take_t take = {.crew = crew, .passages = i / 2};
        if (i % 2 == 0) {
            dxi_point_set(take_at_point, &take);
            assert_int_equal(dx_consumer_poll(behind), 1);
        } else {
            dx_consumer_close(behind); /* then the pool gates */
            behind->entry = NULL;
            dxi_point_set(take_at_point, &take);
            assert_int_equal(dxi_gating_minimum(dx_ring_block(ring)), 1);
        }
        dxi_point_set(NULL, NULL);
        assert_true(take.done || i >= 6);
        assert_int_equal(dxi_worker_holds(crew->disruptor->processors[1]), take.done);
        dx_disruptor_destroy(crew->disruptor);
        free(crew);
    }
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_is_added_while_it_runs_gets_every_event_from_then_on),
        cmocka_unit_test(members_come_and_go_under_load),
        cmocka_unit_test(an_inserted_stage_may_write_what_those_behind_it_read),
        cmocka_unit_test(what_can_not_be_changed_is_refused_and_changes_nothing),
        cmocka_unit_test(a_handler_can_not_remove_itself),
        cmocka_unit_test(a_consumer_that_has_failed_can_be_removed),
        cmocka_unit_test(workers_join_and_leave_under_load),
        cmocka_unit_test(a_new_worker_is_idle_until_those_behind_know_it),
        cmocka_unit_test(what_a_leaving_worker_has_claimed_is_taken_over),
        cmocka_unit_test(a_worker_whose_events_nobody_can_take_stays),
        cmocka_unit_test(a_pool_whose_running_workers_leave_has_ended),
        cmocka_unit_test(who_reads_during_a_take_over_sees_the_rest_held),
    };
    return cmocka_run_group_tests_name("change", tests, NULL, NULL);
}
