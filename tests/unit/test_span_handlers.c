/* test_span_handlers.c - handlers of spans: batches, results, workers, keys, damage.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disruptor_test.h"
#include "disruptorx/span.h"

#define SLOTS 64u

/* What a span of this number is like: from 1 to 16 slots, never the same length twice in a row. */
static uint32_t bytes_of(int64_t number)
{
    return (uint32_t)(sizeof(event_t) + (uint64_t)number * 389 % (1016 - sizeof(event_t) + 1));
}

static dx_disruptor_t *make_span_disruptor(dx_ring_mode_t mode, int64_t first_sequence)
{
    dx_disruptor_t *disruptor = NULL;
    assert_ok(
        dx_disruptor_create(&(dx_disruptor_options_t){.ring = {.slot_count = SLOTS,
                                                               .mode = mode,
                                                               .spans = true,
                                                               .first_sequence = first_sequence}},
                            &disruptor, NULL));
    return disruptor;
}

/* Publishes a span that begins as the event of its sequence and goes on with a pattern. */
static int64_t publish_span(dx_producer_t *producer, uint32_t bytes, int64_t key)
{
    const int64_t sequence = dx_producer_claim_span(producer, bytes);
    if (sequence < 0) {
        return sequence;
    }
    dx_span_t *span = dx_producer_span(producer, sequence);
    char *payload = dx_span_payload(span);
    span->tag = (uint32_t)sequence;
    memset(payload, (char)sequence, bytes);
    const event_t event = {.value = value_of(sequence), .key = key};
    memcpy(payload, &event, sizeof(event));
    const int code = dx_producer_publish_span(producer, sequence);
    return code == DX_OK ? sequence : code;
}

static bool is_right(const dx_span_t *span, int64_t sequence)
{
    const char *payload = dx_span_payload(span);
    const event_t *event = (const event_t *)(const void *)payload;
    bool right = span->tag == (uint32_t)sequence && event->value == value_of(sequence);
    for (uint32_t i = sizeof(event_t); i < span->bytes; i++) {
        right = right && payload[i] == (char)sequence;
    }
    return right;
}

/* Publishes spans of these lengths with a producer of its own. */
static void publish_lengths(dx_disruptor_t *disruptor, const uint32_t *bytes, int count)
{
    dx_producer_t producer;
    assert_ok(dx_producer_open(&producer, dx_disruptor_ring(disruptor), NULL, NULL));
    for (int i = 0; i < count; i++) {
        if (publish_span(&producer, bytes[i], i) < 0) {
            fail_msg("span %d was not published", i);
        }
    }
    dx_producer_close(&producer);
}

/* Sequences 0, 1, 5, 6, 16 and 18; 20 slots in all. */
static const uint32_t SIX[] = {24, 200, 56, 600, 100, 57};

static int span_event(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    probe_t *probe = context;
    const dx_span_t *span = event;
    if (!is_right(span, sequence)) {
        count_up(&probe->wrong);
    }
    return probe_decide(probe, dx_span_payload(span), sequence, end_of_batch);
}

static int span_batch(void *context, dx_batch_t *batch)
{
    probe_t *probe = context;
    dx_spans_t spans = dx_batch_spans(batch);
    for (dx_span_t *span; (span = dx_spans_next(&spans)) != NULL;) {
        const bool last = batch->end_of_batch && spans.next > batch->last;
        const int result = span_event(probe, span, spans.sequence, last);
        if (result != DX_HANDLER_CONTINUE) {
            batch->done = spans.sequence - 1;
            return result;
        }
    }
    return spans.code;
}

static dx_handler_t span_handler(probe_t *probe, bool batches)
{
    dx_handler_t handler = probe_handler(probe, "probe");
    handler.on_event = batches ? NULL : span_event;
    handler.on_batch = batches ? span_batch : NULL;
    return handler;
}

typedef enum way {
    BY_EVENT,      /* on_event alone: the loop that does not count in advance */
    BY_COUNTED,    /* with on_batch_start */
    BY_BATCH,      /* on_batch */
    BY_HIDDEN,     /* on_event, with a hidden span somewhere */
    BY_HIDDEN_RUNS /* on_batch, the same */
} way_t;

#define FOR_EACH_WAY(way) for (way_t way = BY_EVENT; way <= BY_HIDDEN_RUNS; way++)

/* Publishes SIX, of which the handler sees the last one hidden in some ways, runs it to the end,
 * and compares what it saw. `rules` of the probe are set before. */
static void run_six(probe_t *probe, dx_ring_mode_t mode, way_t way, const dx_handler_t *options,
                    const char *expected, const dx_consumer_stat_t *counted)
{
    dx_disruptor_t *disruptor = make_span_disruptor(mode, 0);
    dx_handler_t handler = span_handler(probe, way == BY_BATCH || way == BY_HIDDEN_RUNS);
    handler.on_batch_start = way == BY_COUNTED ? probe_batch_start : NULL;
    handler.retry = options->retry;
    handler.retry.pause = DX_RETRY_AT_ONCE;
    handler.batch_max = options->batch_max;
    handler.may_skip = options->may_skip;
    handler.on_error_policy = options->on_error_policy;
    add_handlers_ok(disruptor, &handler, 1, NULL);
    publish_lengths(disruptor, SIX, 6);
    if (way >= BY_HIDDEN) { /* void behind all of them */
        dx_producer_t producer;
        assert_ok(dx_producer_open(&producer, dx_disruptor_ring(disruptor), NULL, NULL));
        const int64_t first = dx_producer_claim_span(&producer, 300);
        const int64_t second = dx_producer_claim_span(&producer, 300);
        memset(dx_span_payload(dx_producer_span(&producer, first)), 0xff, 300);
        assert_ok(dx_producer_abort_span(&producer, first));
        memset(dx_producer_span(&producer, first), 0xff, sizeof(dx_span_t));
        assert_ok(dx_producer_abort_span(&producer, second));
        dx_producer_close(&producer);
    }
    assert_ok(dx_disruptor_start(disruptor, NULL));
    const int code = dx_disruptor_shutdown(disruptor, DEADLINE_NS, NULL);
    assert_true(code == DX_OK || code == DX_ECONSUMER); /* some rules end the handler early */
    assert_trace(probe, expected);
    assert_int_equal(dx_load_relaxed(&probe->wrong), 0);
    const dx_consumer_stat_t stat = stat_of(disruptor, 0);
    assert_int_equal(stat.events, counted->events);
    assert_int_equal(stat.skips, counted->skips);
    assert_int_equal(stat.errors, counted->errors);
    assert_int_equal(stat.sequence >= counted->sequence, 1);
    dx_disruptor_destroy(disruptor);
}

static void each_result_means_the_same_as_for_events(void **state)
{
    (void)state;
    const struct {
        rule_t rules[RULES_MAX];
        dx_error_policy_t policy;
        const char *expected;
        int64_t events;
        int64_t errors;
        int64_t sequence;
    } table[] = {
        {{{0}}, 0, "< 0 1 5 6 16 18* > ", 6, 0, 19},
        {{{5, 2, DX_HANDLER_RETRY}}, 0, "< 0 1 5 5 5 6 16 18* > ", 6, 0, 19},
        {{{18, 1, DX_HANDLER_RETRY}}, 0, "< 0 1 5 6 16 18* 18* > ", 6, 0, 19},
        {{{6, 1, DX_HANDLER_REWIND}}, 0, "< 0 1 5 6 0 1 5 6 16 18* > ", 6, 0, 19},
        {{{6, 1, DX_HANDLER_RELEASE}, {16, 1, DX_HANDLER_RELEASE}},
         0,
         "< 0 1 5 6 16 18* > ",
         6,
         0,
         19},
        {{{18, 1, DX_HANDLER_RELEASE}}, 0, "< 0 1 5 6 16 18* > ", 6, 0, 19},
        {{{1, 1, DX_HANDLER_SKIP}, {6, 1, DX_HANDLER_SKIP}}, 0, "< 0 1 5 6 16 18* > ", 6, 0, 19},
        {{{6, 1, DX_HANDLER_STOP}}, 0, "< 0 1 5 6 > ", 4, 0, 15},
        {{{6, 0, DX_EIO}}, DX_ON_ERROR_SKIP, "< 0 1 5 6 16 18* > ", 6, 1, 19},
        {{{6, 0, DX_EIO}}, DX_ON_ERROR_STOP, "< 0 1 5 6 > ", 3, 1, 5},
        {{{6, 0, DX_EIO}}, DX_ON_ERROR_FATAL, "< 0 1 5 6 > ", 3, 1, 5},
        {{{6, 1, DX_EIO}}, DX_ON_ERROR_RETRY, "< 0 1 5 6 6 16 18* > ", 6, 1, 19},
    };
    FOR_EACH_WAY(way)
    {
        for (size_t i = 0; i < COUNT_OF(table); i++) {
            probe_t probe = {0};
            memcpy(probe.rules, table[i].rules, sizeof(probe.rules));
            char expected[128] = "";
            (void)snprintf(expected, sizeof(expected), "%s%s",
                           way == BY_COUNTED ? "< [6/20 " : "< ", table[i].expected + 2);
            char *again = strstr(expected, "6 0 1"); /* a rewind announces the batch again */
            if (way == BY_COUNTED && again != NULL) {
                (void)snprintf(expected, sizeof(expected),
                               "< [6/20 0 1 5 6 [6/20 0 1 5 6 16 18* > ");
            }
            const dx_handler_t options = {.may_skip = true, .on_error_policy = table[i].policy};
            const dx_consumer_stat_t counted = {.events = table[i].events,
                                                .errors = table[i].errors,
                                                .sequence = table[i].sequence};
            run_six(&probe, way % 2 == 0 ? DX_RING_SINGLE : DX_RING_MULTI, way, &options, expected,
                    &counted);
        }
    }
}

static void batch_max_counts_spans(void **state)
{
    (void)state;
    FOR_EACH_WAY(way)
    {
        const char *const expected[] = {
            [BY_EVENT] = "< 0 1* 5 6* 16 18* > ",
            [BY_COUNTED] = "< [2/20 0 1* [2/19 5 6* [2/14 16 18* > ",
            [BY_BATCH] = "< 0 1* 5 6* 16 18* > ",
            [BY_HIDDEN] = "< 0 1* 5 6* 16 18* > ",
            [BY_HIDDEN_RUNS] = "< 0 1* 5 6* 16 18* > ",
        };
        probe_t probe = {0};
        const dx_handler_t options = {.batch_max = 2};
        const dx_consumer_stat_t counted = {.events = 6, .sequence = 19};
        /* The depth is in slots: 20, then 15 behind the first two. */
        const char *text =
            way == BY_COUNTED ? "< [2/20 0 1* [2/15 5 6* [2/4 16 18* > " : expected[way];
        run_six(&probe, DX_RING_SINGLE, way, &options, text, &counted);
    }
}

/* A ring of more slots than a batch takes by itself. */
static void a_batch_is_cut_behind_the_span_that_fills_it(void **state)
{
    (void)state;
    for (int batches = 0; batches < 2; batches++) {
        dx_disruptor_t *disruptor = NULL;
        probe_t probe = {0};
        assert_ok(dx_disruptor_create(
            &(dx_disruptor_options_t){.ring = {.slot_count = 2048, .spans = true}}, &disruptor,
            NULL));
        const dx_handler_t handler = span_handler(&probe, batches != 0);
        add_handlers_ok(disruptor, &handler, 1, NULL);
        /* 450 slots each: the third one reaches 1,024. */
        const uint32_t bytes[] = {450 * 64 - 8, 450 * 64 - 8, 450 * 64 - 8, 450 * 64 - 8};
        publish_lengths(disruptor, bytes, 4);
        assert_ok(dx_disruptor_start(disruptor, NULL));
        shutdown_ok(disruptor);
        assert_trace(&probe, "< [3/1800 0 450 900* [1/450 1350* > ");
        assert_int_equal(stat_of(disruptor, 0).batch_max, 3);
        assert_int_equal(stat_of(disruptor, 0).batches, 2);
        dx_disruptor_destroy(disruptor);
    }
}

static void skipped_spans_are_hidden_from_those_behind(void **state)
{
    (void)state;
    FOR_EACH_WAY(way)
    {
        const dx_ring_mode_t mode = way % 2 == 0 ? DX_RING_MULTI : DX_RING_SINGLE;
        dx_disruptor_t *disruptor = make_span_disruptor(mode, 0);
        probe_t ahead = {.rules = {{1, 1, DX_HANDLER_SKIP}, {18, 1, DX_HANDLER_SKIP}}};
        probe_t behind = {0};
        dx_handler_t handler = span_handler(&ahead, way == BY_BATCH);
        handler.may_skip = true;
        handler.on_batch_start = NULL;
        dx_group_t group;
        add_handlers_ok(disruptor, &handler, 1, &group);
        handler = span_handler(&behind, way >= BY_BATCH);
        handler.on_batch_start = NULL;
        assert_ok(dx_group_then(group, &handler, 1, NULL, NULL));
        publish_lengths(disruptor, SIX, 6);
        assert_ok(dx_disruptor_start(disruptor, NULL));
        shutdown_ok(disruptor);
        assert_trace(&ahead, "< 0 1 5 6 16 18* > ");
        assert_trace(&behind, "< 0 5 6 16* > ");
        assert_int_equal(stat_of(disruptor, 1).events, 4);
        assert_int_equal(stat_of(disruptor, 1).skips, 2);
        assert_int_equal(dx_load_relaxed(&behind.wrong), 0);
        dx_disruptor_destroy(disruptor);
    }
}

static void a_damaged_span_ends_the_processor_before_it(void **state)
{
    (void)state;
    const uint32_t damage[] = {1017, UINT32_MAX, 257};
    FOR_EACH_WAY(way)
    {
        for (size_t i = 0; i < COUNT_OF(damage); i++) {
            dx_disruptor_t *disruptor = make_span_disruptor(DX_RING_SINGLE, 0);
            probe_t probe = {0};
            dx_handler_t handler = span_handler(&probe, way == BY_BATCH);
            handler.on_batch_start = way == BY_COUNTED ? probe_batch_start : NULL;
            handler.on_error_policy = DX_ON_ERROR_SKIP; /* nothing can be skipped here */
            add_handlers_ok(disruptor, &handler, 1, NULL);
            publish_lengths(disruptor, SIX, 6);
            char *slots = dxi_block_slots(dx_ring_block(dx_disruptor_ring(disruptor)));
            dxi_span_at(slots, SLOTS - 1, 16)->bytes = damage[i];
            assert_ok(dx_disruptor_start(disruptor, NULL));
            dx_error_t error;
            assert_fails(dx_disruptor_shutdown(disruptor, DEADLINE_NS, &error), DX_ECONSUMER, error,
                         "data corrupt");
            assert_int_equal(dx_disruptor_failure(disruptor, NULL), DX_ECORRUPT);
            const dx_consumer_stat_t stat = stat_of(disruptor, 0);
            assert_int_equal(stat.state, DX_CONSUMER_FAILED);
            assert_int_equal(stat.sequence, 15);
            assert_int_equal(stat.events, 4);
            assert_int_equal(dx_load_relaxed(&probe.wrong), 0);
            dx_disruptor_destroy(disruptor);
        }
    }
}

/* ------------------------------------------------------------- graphs under way, many threads */

#define SPANS 3000
#define PRODUCERS 2
#define WORKERS 3
#define KEYS 7

typedef struct scene {
    dx_disruptor_t *disruptor;
    dx_atomic64_t seen[PRODUCERS * SPANS]; /* per span, by its key */
    dx_atomic64_t wrong;
    dx_atomic64_t events;
    dx_atomic64_t owner[KEYS];
    dx_atomic32_t failed;
    int stop_every; /* a worker stops after every so many-th span; 0: never */
} scene_t;

typedef struct source {
    scene_t *scene;
    int id;
} source_t;

static void *produce(void *context)
{
    const source_t *source = context;
    dx_producer_t producer;
    if (dx_producer_open(&producer, dx_disruptor_ring(source->scene->disruptor), NULL, NULL) !=
        DX_OK) {
        dx_store32_relaxed(&source->scene->failed, 1);
        return NULL;
    }
    for (int64_t i = 0; i < SPANS; i++) {
        const int64_t key = source->id * SPANS + i;
        if (i % 16 == 5 && source->scene->stop_every == 0) { /* now and then one is given up */
            const int64_t sequence = dx_producer_claim_span(&producer, bytes_of(i + 3));
            if (sequence < 0) {
                dx_store32_relaxed(&source->scene->failed, 1);
                break;
            }
            dx_span_t *span = dx_producer_span(&producer, sequence);
            memset(dx_span_payload(span), 0xff, span->bytes);
            (void)dx_producer_abort_span(&producer, sequence);
        }
        int64_t sequence = publish_span(&producer, bytes_of(i), key);
        while (sequence == DX_ECONSUMER && source->scene->stop_every != 0) { /* it is resumed */
            breathe();
            sequence = publish_span(&producer, bytes_of(i), key);
        }
        if (sequence < 0) {
            dx_store32_relaxed(&source->scene->failed, 1);
            break;
        }
    }
    dx_producer_close(&producer);
    return NULL;
}

static int see(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    scene_t *scene = context;
    const dx_span_t *span = event;
    (void)end_of_batch;
    if (!is_right(span, sequence)) {
        count_up(&scene->wrong);
        return DX_HANDLER_CONTINUE;
    }
    const event_t *e = dx_span_payload(span);
    count_up(&scene->seen[e->key]);
    count_up(&scene->events);
    const int64_t events = dx_load_relaxed(&scene->events);
    return scene->stop_every != 0 && events % scene->stop_every == 0 ? DX_HANDLER_STOP
                                                                     : DX_HANDLER_CONTINUE;
}

static uint64_t key_of_span(void *context, const void *event)
{
    (void)context;
    const event_t *e = dx_span_payload(event);
    return (uint64_t)(e->key % KEYS);
}

typedef struct keyed_worker {
    scene_t *scene;
    int id;
} keyed_worker_t;

static int see_keyed(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    const keyed_worker_t *worker = context;
    const int64_t key = (int64_t)key_of_span(NULL, event);
    int64_t nobody = 0;
    (void)dx_compare_exchange_acq_rel(&worker->scene->owner[key], &nobody, worker->id + 1);
    if (dx_load_acquire(&worker->scene->owner[key]) != worker->id + 1) {
        count_up(&worker->scene->wrong);
    }
    return see(worker->scene, event, sequence, end_of_batch);
}

static scene_t *scene_make(dx_ring_mode_t mode)
{
    scene_t *scene = calloc(1, sizeof(*scene));
    assert_non_null(scene);
    scene->disruptor = make_span_disruptor(mode, 40);
    return scene;
}

/* Starts the graph, publishes from as many threads as the ring takes, shuts down; every span must
 * have been seen `times` times. */
static void scene_run(scene_t *scene, dx_ring_mode_t mode, int times)
{
    const int producers = mode == DX_RING_SINGLE ? 1 : PRODUCERS;
    source_t sources[PRODUCERS];
    pthread_t threads[PRODUCERS];
    assert_ok(dx_disruptor_start(scene->disruptor, NULL));
    for (int i = 0; i < producers; i++) {
        sources[i] = (source_t){.scene = scene, .id = i};
        assert_int_equal(pthread_create(&threads[i], NULL, produce, &sources[i]), 0);
    }
    const int64_t deadline_ns = dx_clock_ns() + DEADLINE_NS;
    const int64_t expected = (int64_t)producers * SPANS * times;
    while (scene->stop_every != 0 && dx_load_acquire(&scene->events) < expected) {
        /* Stopped workers go on with what they had claimed. */
        const dx_group_t all = {.disruptor = scene->disruptor,
                                .members = (UINT64_C(1) << (WORKERS + 1)) - 1};
        assert_ok(dx_group_resume(all, NULL));
        if (dx_clock_ns() > deadline_ns) {
            fail_msg("%" PRId64 " of %" PRId64 " spans were handled",
                     dx_load_acquire(&scene->events), expected);
        }
        breathe();
    }
    for (int i = 0; i < producers; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    if (scene->stop_every == 0) {
        shutdown_ok(scene->disruptor);
    }
    assert_int_equal(dx_load32_relaxed(&scene->failed), 0);
    assert_int_equal(dx_load_relaxed(&scene->wrong), 0);
    assert_int_equal(dx_load_relaxed(&scene->events), expected);
    for (int64_t i = 0; i < (int64_t)producers * SPANS; i++) {
        assert_int_equal(dx_load_relaxed(&scene->seen[i]), times);
    }
    dx_disruptor_destroy(scene->disruptor);
    free(scene);
}

#define FOR_BOTH_MODES(mode)                                                                       \
    for (dx_ring_mode_t mode = DX_RING_SINGLE; mode <= DX_RING_MULTI; mode++)

static void every_handler_of_a_graph_sees_every_span(void **state)
{
    (void)state;
    FOR_BOTH_MODES(mode)
    {
        scene_t *scene = scene_make(mode);
        const dx_handler_t handlers[] = {{.context = scene, .on_event = see},
                                         {.context = scene, .on_event = see, .batch_max = 3}};
        dx_group_t group;
        add_handlers_ok(scene->disruptor, handlers, 2, &group);
        assert_ok(dx_group_then(group, handlers, 1, NULL, NULL));
        scene_run(scene, mode, 3);
    }
}

static void an_aggregate_gets_spans(void **state)
{
    (void)state;
    scene_t *scene = scene_make(DX_RING_MULTI);
    const dx_handler_t handlers[] = {{.context = scene, .on_event = see},
                                     {.context = scene, .on_event = see}};
    const dx_aggregate_t aggregate = {.handlers = handlers, .count = 2};
    dx_handler_t handler;
    assert_ok(dx_aggregate_handler(&aggregate, &handler, NULL));
    add_handlers_ok(scene->disruptor, &handler, 1, NULL);
    scene_run(scene, DX_RING_MULTI, 2);
}

static void each_span_goes_to_one_worker(void **state)
{
    (void)state;
    const int64_t claims[] = {1, 16};
    FOR_BOTH_MODES(mode)
    {
        for (size_t i = 0; i < COUNT_OF(claims); i++) {
            for (int behind = 0; behind < 2; behind++) {
                scene_t *scene = scene_make(mode);
                const dx_handler_t handler = {.context = scene, .on_event = see, .batch_max = 5};
                const dx_handler_t workers[WORKERS] = {handler, handler, handler};
                const dx_pool_t pool = {
                    .workers = workers, .worker_count = WORKERS, .claim_max = claims[i]};
                dx_group_t group = {.disruptor = scene->disruptor};
                if (behind != 0) {
                    add_handlers_ok(scene->disruptor, &handler, 1, &group);
                    assert_ok(dx_group_then_pool(group, &pool, NULL, NULL));
                } else {
                    assert_ok(
                        dx_disruptor_handle_events_with_pool(scene->disruptor, &pool, NULL, NULL));
                }
                scene_run(scene, mode, 1 + behind);
            }
        }
    }
}

static void a_worker_that_stops_keeps_the_spans_it_claimed(void **state)
{
    (void)state;
    scene_t *scene = scene_make(DX_RING_MULTI);
    scene->stop_every = 50;
    const dx_handler_t handler = {.context = scene, .on_event = see};
    const dx_handler_t workers[WORKERS] = {handler, handler, handler};
    const dx_pool_t pool = {.workers = workers, .worker_count = WORKERS, .claim_max = 4};
    assert_ok(dx_disruptor_handle_events_with_pool(scene->disruptor, &pool, NULL, NULL));
    scene_run(scene, DX_RING_MULTI, 1);
}

static void spans_of_a_key_go_to_the_same_worker(void **state)
{
    (void)state;
    FOR_BOTH_MODES(mode)
    {
        scene_t *scene = scene_make(mode);
        keyed_worker_t keyed[WORKERS];
        dx_handler_t workers[WORKERS];
        for (int i = 0; i < WORKERS; i++) {
            keyed[i] = (keyed_worker_t){.scene = scene, .id = i};
            workers[i] = (dx_handler_t){.context = &keyed[i], .on_event = see_keyed};
        }
        const dx_pool_t pool = {.workers = workers, .worker_count = WORKERS, .key = key_of_span};
        assert_ok(dx_disruptor_handle_events_with_pool(scene->disruptor, &pool, NULL, NULL));
        scene_run(scene, mode, 1);
    }
}

static int run_by_hand(void *context, dx_consumer_t *consumer)
{
    for (;;) {
        const int64_t last = dx_consumer_wait(consumer);
        if (last < 0) {
            return (int)last;
        }
        dx_spans_t spans = dx_consumer_spans(consumer, last);
        for (dx_span_t *span; (span = dx_spans_next(&spans)) != NULL;) {
            (void)see(context, span, spans.sequence, false);
            dx_consumer_release(consumer, spans.next - 1);
        }
        if (spans.code != DX_OK) {
            return spans.code;
        }
        dx_consumer_release(consumer, last); /* with what was hidden at its end */
    }
}

static void a_loop_of_the_users_own_gets_spans(void **state)
{
    (void)state;
    FOR_BOTH_MODES(mode)
    {
        scene_t *scene = scene_make(mode);
        const dx_custom_processor_t custom = {.context = scene, .run = run_by_hand};
        assert_ok(
            dx_group_then_custom((dx_group_t){.disruptor = scene->disruptor}, &custom, NULL, NULL));
        scene_run(scene, mode, 1);
    }
}

/* -------------------------------------------------------------------------------------- drains */

static int drain_event(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    return span_event(context, event, sequence, end_of_batch);
}

static void a_drain_gives_spans(void **state)
{
    (void)state;
    FOR_BOTH_MODES(mode)
    {
        dx_disruptor_t *disruptor = make_span_disruptor(mode, 0);
        dx_consumer_t consumer;
        assert_ok(dx_consumer_open(&consumer, dx_disruptor_ring(disruptor), NULL, NULL));
        probe_t probe = {.rules = {{5, 1, 1}, {16, 1, DX_EIO}}};
        assert_int_equal(dx_consumer_drain(&consumer, drain_event, &probe, 0), DX_POLL_IDLE);
        publish_lengths(disruptor, SIX, 6);
        dx_producer_t producer;
        assert_ok(dx_producer_open(&producer, dx_disruptor_ring(disruptor), NULL, NULL));
        const int64_t sequence = dx_producer_claim_span(&producer, 300);
        const int64_t newest = dx_producer_claim_span(&producer, 0);
        assert_ok(dx_producer_abort_span(&producer, sequence));
        /* Two of them; up to the one that wants to stop; up to the one that fails; the rest. */
        assert_int_equal(dx_consumer_drain(&consumer, drain_event, &probe, 2), DX_POLL_PROCESSING);
        assert_int_equal(consumer.next, 5);
        assert_int_equal(dx_consumer_drain(&consumer, drain_event, &probe, 0), DX_POLL_PROCESSING);
        assert_int_equal(consumer.next, 6);
        assert_int_equal(dx_consumer_drain(&consumer, drain_event, &probe, 0), DX_EIO);
        assert_int_equal(consumer.next, 16);
        assert_int_equal(dx_consumer_drain(&consumer, drain_event, &probe, 0), DX_POLL_PROCESSING);
        assert_int_equal(consumer.next, newest);
        assert_int_equal(dx_consumer_drain(&consumer, drain_event, &probe, 0), DX_POLL_IDLE);
        assert_trace(&probe, "0 1* 5 6 16 16 18* ");
        assert_int_equal(dx_load_relaxed(&probe.wrong), 0);
        const dx_consumer_stat_t stat = stat_of(disruptor, 0);
        assert_int_equal(stat.events, 6);
        assert_int_equal(stat.voids, 5); /* slots of the aborted span */
        assert_int_equal(stat.batch_max, 2);

        assert_ok(dx_producer_publish_span(&producer, newest));
        dxi_span_at(consumer.slots, consumer.mask, newest)->bytes = 2000;
        assert_int_equal(dx_consumer_drain(&consumer, drain_event, &probe, 0), DX_ECORRUPT);
        assert_int_equal(consumer.next, newest);
        dx_producer_close(&producer);
        dx_disruptor_destroy(disruptor);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_result_means_the_same_as_for_events),
        cmocka_unit_test(batch_max_counts_spans),
        cmocka_unit_test(a_batch_is_cut_behind_the_span_that_fills_it),
        cmocka_unit_test(skipped_spans_are_hidden_from_those_behind),
        cmocka_unit_test(a_damaged_span_ends_the_processor_before_it),
        cmocka_unit_test(every_handler_of_a_graph_sees_every_span),
        cmocka_unit_test(an_aggregate_gets_spans),
        cmocka_unit_test(each_span_goes_to_one_worker),
        cmocka_unit_test(a_worker_that_stops_keeps_the_spans_it_claimed),
        cmocka_unit_test(spans_of_a_key_go_to_the_same_worker),
        cmocka_unit_test(a_loop_of_the_users_own_gets_spans),
        cmocka_unit_test(a_drain_gives_spans),
    };
    return cmocka_run_group_tests_name("span_handlers", tests, NULL, NULL);
}
