/* stress_changes.c - graphs that change under load: pollers come and go, groups pause and resume.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "stress.h"

#include <sched.h>

/* -------------------------------------------------------------------------- pollers come and go */

/* Two producers (or one) publish as long as pollers come and go. One consumer sees everything. A
 * poller must see every event that was published after it was opened, each once, in order. */
typedef struct pollers {
    stress_run_t *run;
    dx_ring_t *ring;
    dx_consumer_t base;
    dx_producer_t producers[2];
    int producer_count;
    dx_atomic32_t visitors_left;
    dx_atomic32_t producers_left;
    dx_atomic64_t published;
} pollers_t;

typedef struct pollers_thread {
    pollers_t *pollers;
    int index;
    uint64_t random;
} pollers_thread_t;

static void *pollers_produce(void *context)
{
    const pollers_thread_t *thread = context;
    pollers_t *pollers = thread->pollers;
    dx_producer_t *producer = &pollers->producers[thread->index];
    for (int64_t number = 0; dx_load32_acquire(&pollers->visitors_left) > 0;) {
        if (stress_is_broken(pollers->run)) {
            break;
        }
        const int64_t sequence = dx_producer_claim(producer);
        if (sequence < 0) {
            continue; /* its timeout, perhaps */
        }
        stress_fill(DX_PRODUCER_EVENT(producer, sequence, stress_event_t), sequence, thread->index,
                    number++);
        (void)dx_producer_publish(producer, sequence);
        (void)dx_fetch_add_relaxed(&pollers->published, 1);
    }
    (void)dx_fetch_add32_acq_rel(&pollers->producers_left, -1);
    return stress_end(pollers->run);
}

/* Checks what is readable now, at most `limit` events, and releases it. Returns how many. */
static int64_t pollers_read(dx_consumer_t *consumer, stress_checker_t *checker, int64_t limit)
{
    int64_t last = dx_consumer_wait(consumer);
    if (last < consumer->next) {
        if (last != DX_ETIMEDOUT) {
            stress_break(checker->run, "%s: the wait gives %lld", checker->name, (long long)last);
        }
        return 0;
    }
    last = last - consumer->next >= limit ? consumer->next + limit - 1 : last;
    const int64_t seen = checker->seen;
    for (int64_t sequence = consumer->next; sequence <= last; sequence++) {
        if (!dx_consumer_is_hidden(consumer, sequence)) {
            stress_check(checker, DX_CONSUMER_EVENT(consumer, sequence, stress_event_t), sequence);
        }
    }
    dx_consumer_release(consumer, last);
    return checker->seen - seen;
}

static void *pollers_base(void *context)
{
    pollers_t *pollers = context;
    stress_checker_t checker;
    stress_checker_init(&checker, pollers->run, "base", 0);
    while (!stress_is_broken(pollers->run)) {
        const bool all_is_published = dx_load32_acquire(&pollers->producers_left) == 0;
        if (all_is_published && checker.seen == dx_load_relaxed(&pollers->published)) {
            break;
        }
        const int64_t read = pollers_read(&pollers->base, &checker, INT64_MAX);
        (void)dx_fetch_add_relaxed(&pollers->run->progress, read);
    }
    return stress_end(pollers->run);
}

/* Opens a poller, reads some events and closes it again. */
static void pollers_visit(pollers_thread_t *thread, const char *name)
{
    pollers_t *pollers = thread->pollers;
    uint64_t *random = &thread->random;
    dx_wait_options_t wait = stress_wait(random);
    wait.timeout_ns = DX_NS_PER_MS; /* the producers may have stopped */
    const bool behind = stress_random(random, 3) == 0;
    const dx_consumer_options_t options = {
        .upstream = behind ? UINT64_C(1) << pollers->base.index : 0,
        .start = stress_random(random, 3) == 0 ? DX_START_OLDEST : DX_START_CURSOR,
        .wait = wait};
    dx_consumer_t consumer;
    dx_error_t error = {0};
    if (dx_consumer_open(&consumer, pollers->ring, &options, &error) != DX_OK) {
        stress_break(pollers->run, "%s: %s", name, error.message);
        return;
    }
    const int64_t published = dx_ring_published(pollers->ring);
    const int64_t start = dx_load_relaxed(&consumer.entry->start_sequence);
    if (start > published || consumer.next > start + 1) {
        stress_break(pollers->run, "%s: begins at %lld and stands at %lld when %lld is published",
                     name, (long long)start + 1, (long long)consumer.next, (long long)published);
    }
    stress_checker_t checker;
    stress_checker_init(&checker, pollers->run, name, -1);
    const int64_t wanted = 1 + stress_random(random, 200);
    while (checker.seen < wanted && !stress_is_broken(pollers->run)) {
        if (pollers_read(&consumer, &checker, wanted - checker.seen) == 0 &&
            dx_load32_acquire(&pollers->producers_left) == 0) {
            break;
        }
    }
    (void)dx_fetch_add_relaxed(&pollers->run->progress, checker.seen);
    dx_consumer_close(&consumer);
}

static void *pollers_come_and_go(void *context)
{
    pollers_thread_t *thread = context;
    char name[24];
    (void)snprintf(name, sizeof(name), "visitor %d", thread->index);
    for (int i = 0; i < 20 && !stress_is_broken(thread->pollers->run); i++) {
        pollers_visit(thread, name);
    }
    (void)dx_fetch_add32_acq_rel(&thread->pollers->visitors_left, -1);
    return stress_end(thread->pollers->run);
}

void stress_pollers(stress_run_t *run)
{
    static pollers_t pollers; /* outlives a test that fails */
    static pollers_thread_t threads[STRESS_CONSUMERS_MAX];
    memset(&pollers, 0, sizeof(pollers));
    uint64_t random = run->seed * UINT64_C(0x9e3779b97f4a7c15);
    pollers.run = run;
    pollers.producer_count = 1 + (int)stress_random(&random, 2);
    const dx_ring_options_t options = {.slot_count = UINT32_C(2) << stress_random(&random, 10),
                                       .event_bytes = sizeof(stress_event_t),
                                       .consumers_max = STRESS_CONSUMERS_MAX,
                                       .mode = pollers.producer_count == 1 ? DX_RING_SINGLE
                                                                           : DX_RING_MULTI};
    assert_ok(dx_ring_create(&options, &pollers.ring, NULL));
    dx_consumer_options_t base = {.wait = stress_wait(&random)};
    base.wait.timeout_ns = DX_NS_PER_MS;
    assert_ok(dx_consumer_open(&pollers.base, pollers.ring, &base, NULL));

    const int visitors = run->threads - 1 - pollers.producer_count;
    const int thread_count = visitors + pollers.producer_count;
    assert_true(thread_count < STRESS_CONSUMERS_MAX);
    dx_store32_release(&pollers.visitors_left, visitors);
    dx_store32_release(&pollers.producers_left, pollers.producer_count);
    for (int i = 0; i < thread_count; i++) {
        threads[i] = (pollers_thread_t){&pollers, i, random_next(&random)};
    }
    for (int i = 0; i < pollers.producer_count; i++) {
        const dx_producer_options_t waits = {.wait = stress_wait(&random)};
        assert_ok(dx_producer_open(&pollers.producers[i], pollers.ring, &waits, NULL));
    }
    stress_start(run, pollers_base, &pollers);
    for (int i = 0; i < thread_count; i++) {
        stress_start(run, i < pollers.producer_count ? pollers_produce : pollers_come_and_go,
                     &threads[i]);
    }
    if (!stress_join(run, NULL, NULL)) {
        stress_show(pollers.ring);
        return;
    }
    dx_consumer_close(&pollers.base);
    for (int i = 0; i < pollers.producer_count; i++) {
        dx_producer_close(&pollers.producers[i]);
    }
    dx_ring_destroy(pollers.ring);
}

/* ---------------------------------------------------------------------- groups pause and resume */

#define PAUSE_EVENTS 6000
#define PAUSE_HANDLERS 4
#define PAUSE_WORKERS 2

/* Two handlers side by side; a pool of two behind the first; a handler behind the pool and the
 * second; one behind all. */
typedef struct pauses {
    stress_run_t *run;
    dx_disruptor_t *disruptor;
    dx_group_t groups[PAUSE_HANDLERS + 1]; /* the last is the pool */
    dx_producer_t producers[STRESS_PRODUCERS_MAX];
    int producer_count;
    dx_atomic64_t pool_seen;
    dx_atomic32_t taken[PAUSE_EVENTS]; /* how often the pool has handled a sequence */
    uint64_t random;
} pauses_t;

typedef struct pause_handler {
    pauses_t *pauses;
    stress_checker_t checker;
    char name[24];
    uint64_t random;
    int64_t retried; /* the last sequence that it asked for again */
} pause_handler_t;

typedef struct pause_producer {
    pauses_t *pauses;
    int index;
} pause_producer_t;

/* In order, each once; now and then asks for an event again, or releases early. */
static int pause_on_event(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    pause_handler_t *handler = context;
    (void)end_of_batch;
    if (handler->retried != sequence && stress_random(&handler->random, 50) == 0) {
        handler->retried = sequence;
        return DX_HANDLER_RETRY;
    }
    stress_check(&handler->checker, event, sequence);
    (void)dx_fetch_add_relaxed(&handler->pauses->run->progress, 1);
    return stress_random(&handler->random, 50) == 0 ? DX_HANDLER_RELEASE : DX_HANDLER_CONTINUE;
}

/* In any order, each once. */
static int pause_on_pool_event(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    pause_handler_t *handler = context;
    const stress_event_t *read = event;
    (void)end_of_batch;
    if (read->sequence != sequence) {
        stress_break(handler->pauses->run, "pool: at %lld stands the event of %lld",
                     (long long)sequence, (long long)read->sequence);
    } else if (dx_fetch_add32_acq_rel(&handler->pauses->taken[sequence], 1) != 0) {
        stress_break(handler->pauses->run, "pool: event %lld came twice", (long long)sequence);
    }
    (void)dx_fetch_add_relaxed(&handler->pauses->pool_seen, 1);
    return DX_HANDLER_CONTINUE;
}

static void *pause_produce(void *context)
{
    const pause_producer_t *producer = context;
    pauses_t *pauses = producer->pauses;
    dx_producer_t *handle = &pauses->producers[producer->index];
    const int64_t events = PAUSE_EVENTS / pauses->producer_count;
    for (int64_t number = 0; number < events && !stress_is_broken(pauses->run);) {
        const int64_t sequence = dx_producer_claim(handle);
        if (sequence < 0) {
            if (sequence != DX_ETIMEDOUT) {
                stress_break(pauses->run, "a claim gives %s", dx_error_name((int)sequence));
            }
            continue;
        }
        stress_fill(DX_PRODUCER_EVENT(handle, sequence, stress_event_t), sequence, producer->index,
                    number++);
        (void)dx_producer_publish(handle, sequence);
    }
    return stress_end(pauses->run);
}

static void pause_somebody(void *context)
{
    pauses_t *pauses = context;
    const dx_group_t group = pauses->groups[stress_random(&pauses->random, PAUSE_HANDLERS + 1)];
    dx_error_t error = {0};
    if (dx_group_pause(group, &error) != DX_OK) {
        stress_break(pauses->run, "pause: %s", error.message);
    }
    if (stress_random(&pauses->random, 2) == 0) {
        (void)sched_yield();
    }
    if (dx_group_resume(group, &error) != DX_OK) {
        stress_break(pauses->run, "resume: %s", error.message);
    }
}

static void pause_arrange(pauses_t *pauses, pause_handler_t *handlers, stress_run_t *run)
{
    uint64_t *random = &pauses->random;
    const dx_disruptor_options_t options = {
        .ring = {.slot_count = UINT32_C(2) << stress_random(random, 8),
                 .event_bytes = sizeof(stress_event_t),
                 .mode = pauses->producer_count == 1 ? DX_RING_SINGLE : DX_RING_MULTI}};
    assert_ok(dx_disruptor_create(&options, &pauses->disruptor, NULL));
    dx_handler_t rows[PAUSE_HANDLERS + PAUSE_WORKERS];
    for (int i = 0; i < PAUSE_HANDLERS + PAUSE_WORKERS; i++) {
        pause_handler_t *handler = &handlers[i];
        (void)snprintf(handler->name, sizeof(handler->name), "handler %d", i);
        handler->pauses = pauses;
        handler->random = random_next(random);
        handler->retried = -1;
        stress_checker_init(&handler->checker, run, handler->name, 0);
        rows[i] =
            (dx_handler_t){.name = handler->name,
                           .context = handler,
                           .on_event = i < PAUSE_HANDLERS ? pause_on_event : pause_on_pool_event,
                           .retry = {.attempts_max = -1},
                           .batch_max = stress_random(random, 10),
                           .wait = stress_wait(random)};
    }
    dx_group_t *groups = pauses->groups;
    const dx_pool_t pool = {.workers = &rows[PAUSE_HANDLERS],
                            .worker_count = PAUSE_WORKERS,
                            .claim_max = 1 + stress_random(random, 8)};
    dx_group_t both;
    dx_group_t all;
    assert_ok(dx_disruptor_handle_events_with(pauses->disruptor, &rows[0], 1, &groups[0], NULL));
    assert_ok(dx_disruptor_handle_events_with(pauses->disruptor, &rows[1], 1, &groups[1], NULL));
    assert_ok(dx_group_then_pool(groups[0], &pool, &groups[PAUSE_HANDLERS], NULL));
    assert_ok(dx_group_and(groups[PAUSE_HANDLERS], groups[1], &both, NULL));
    assert_ok(dx_group_then(both, &rows[2], 1, &groups[2], NULL));
    assert_ok(dx_group_and(both, groups[2], &all, NULL));
    assert_ok(dx_group_then(all, &rows[3], 1, &groups[3], NULL));
}

/* Everything that was published has been handled: shut down and count. */
static void pause_conclude(pauses_t *pauses, const pause_handler_t *handlers)
{
    const int64_t total = (int64_t)(PAUSE_EVENTS / pauses->producer_count) * pauses->producer_count;
    dx_error_t error = {0};
    if (dx_disruptor_shutdown(pauses->disruptor, deadline_ns(), &error) != DX_OK) {
        stress_break(pauses->run, "shutdown: %s", error.message);
        return;
    }
    for (int i = 0; i < PAUSE_HANDLERS; i++) {
        if (handlers[i].checker.seen != total) {
            stress_break(pauses->run, "%s has seen %lld of %lld", handlers[i].name,
                         (long long)handlers[i].checker.seen, (long long)total);
        }
    }
    if (dx_load_relaxed(&pauses->pool_seen) != total) {
        stress_break(pauses->run, "the pool has seen %lld of %lld",
                     (long long)dx_load_relaxed(&pauses->pool_seen), (long long)total);
    }
}

void stress_pauses(stress_run_t *run)
{
    static pauses_t pauses; /* outlive a test that fails */
    static pause_handler_t handlers[PAUSE_HANDLERS + PAUSE_WORKERS];
    static pause_producer_t threads[STRESS_PRODUCERS_MAX];
    memset(&pauses, 0, sizeof(pauses));
    memset(handlers, 0, sizeof(handlers));
    pauses.run = run;
    pauses.random = run->seed * UINT64_C(0x9e3779b97f4a7c15);
    const int64_t most = run->threads - PAUSE_HANDLERS - PAUSE_WORKERS;
    pauses.producer_count =
        1 + (int)stress_random(&pauses.random, most < 1 ? 1 : (most > 15 ? 15 : most));
    pause_arrange(&pauses, handlers, run);
    assert_ok(dx_disruptor_start(pauses.disruptor, NULL));
    for (int i = 0; i < pauses.producer_count; i++) {
        const dx_producer_options_t waits = {.wait = stress_wait(&pauses.random)};
        assert_ok(dx_producer_open(&pauses.producers[i], dx_disruptor_ring(pauses.disruptor),
                                   &waits, NULL));
        threads[i] = (pause_producer_t){&pauses, i};
    }
    for (int i = 0; i < pauses.producer_count; i++) {
        stress_start(run, pause_produce, &threads[i]);
    }
    if (!stress_join(run, pause_somebody, &pauses)) {
        stress_show(dx_disruptor_ring(pauses.disruptor));
        return;
    }
    for (int i = 0; i < pauses.producer_count; i++) {
        dx_producer_close(&pauses.producers[i]);
    }
    pause_conclude(&pauses, handlers);
    if (!stress_is_broken(run)) {
        dx_disruptor_destroy(pauses.disruptor);
    }
}
