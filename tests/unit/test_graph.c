/* test_graph.c - saying who follows whom: every shape, every refusal, every limit.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disruptor_test.h"

/* -------------------------------------------------------------------------- graphs of any shape */

#define NODES_MAX 10

/* Each stage writes its own mark, and checks the marks of all that it follows. */
typedef struct marked {
    int64_t marks[NODES_MAX]; /* sequence + 1 once that stage has handled the event */
} marked_t;

typedef struct dag dag_t;

typedef struct node {
    dag_t *dag;
    int index;
    dx_atomic64_t events;
    dx_atomic64_t wrong;
} node_t;

struct dag {
    int count;
    uint32_t upstream[NODES_MAX]; /* bit i: follows node i; only nodes before it */
    node_t nodes[NODES_MAX];
};

static int node_event(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    node_t *node = context;
    marked_t *marked = event;
    (void)end_of_batch;
    for (int i = 0; i < node->dag->count; i++) {
        if ((node->dag->upstream[node->index] >> i & 1) != 0 && marked->marks[i] != sequence + 1) {
            count_up(&node->wrong);
        }
    }
    if (sequence != dx_load_relaxed(&node->events)) {
        count_up(&node->wrong);
    }
    marked->marks[node->index] = sequence + 1;
    count_up(&node->events);
    return DX_HANDLER_CONTINUE;
}

static const char *const node_names[NODES_MAX] = {"n0", "n1", "n2", "n3", "n4",
                                                  "n5", "n6", "n7", "n8", "n9"};

typedef enum way {
    WAY_AND = 0,     /* groups joined by dx_group_and() */
    WAY_AFTER = 1,   /* groups found by name */
    WAY_CONNECT = 2, /* everything behind the publication first, then the edges */
    WAY_COUNT = 3
} way_t;

static void add_node(dag_t *dag, int index, way_t way, dx_disruptor_t *disruptor)
{
    node_t *node = &dag->nodes[index];
    *node = (node_t){.dag = dag, .index = index};
    const dx_handler_t handler = {
        .name = node_names[index],
        .context = node,
        .on_event = node_event,
        .wait = {.kind = index % 2 == 0 ? DX_WAIT_BLOCKING : DX_WAIT_ADAPTIVE}};
    if (way == WAY_CONNECT || dag->upstream[index] == 0) {
        add_handlers_ok(disruptor, &handler, 1, NULL);
        return;
    }
    dx_group_t group = {.disruptor = disruptor};
    const char *names[NODES_MAX];
    uint32_t name_count = 0;
    for (int i = 0; i < index; i++) {
        if ((dag->upstream[index] >> i & 1) != 0) {
            names[name_count++] = node_names[i];
            const dx_group_t one = {.disruptor = disruptor, .members = UINT64_C(1) << i};
            assert_ok(dx_group_and(group, one, &group, NULL));
        }
    }
    if (way == WAY_AFTER) {
        assert_ok(dx_disruptor_after(disruptor, names, name_count, &group, NULL));
    }
    assert_ok(dx_group_then(group, &handler, 1, NULL, NULL));
}

static void connect_nodes(const dag_t *dag, dx_disruptor_t *disruptor)
{
    for (int i = dag->count - 1; i > 0; i--) {
        for (int j = 0; j < i; j++) {
            if ((dag->upstream[i] >> j & 1) != 0) {
                const dx_group_t ahead = {.disruptor = disruptor, .members = UINT64_C(1) << j};
                const dx_group_t behind = {.disruptor = disruptor, .members = UINT64_C(1) << i};
                assert_ok(dx_disruptor_connect(disruptor, ahead, behind, NULL));
            }
        }
    }
}

/* Builds the graph, runs events through it, and checks every stage and who gates. */
static void run_dag(dag_t *dag, way_t way, dx_ring_mode_t mode)
{
    dx_disruptor_t *disruptor = NULL;
    assert_ok(dx_disruptor_create(
        &(dx_disruptor_options_t){
            .ring = {.slot_count = 16, .event_bytes = sizeof(marked_t), .mode = mode}},
        &disruptor, NULL));
    uint32_t followed = 0;
    for (int i = 0; i < dag->count; i++) {
        add_node(dag, i, way, disruptor);
        followed |= dag->upstream[i];
    }
    if (way == WAY_CONNECT) {
        connect_nodes(dag, disruptor);
    }
    for (int i = 0; i < dag->count; i++) {
        assert_int_equal(stat_of(disruptor, i).upstream, dag->upstream[i]);
        assert_int_equal(stat_of(disruptor, i).gating, (followed >> i & 1) == 0);
    }
    assert_ok(dx_disruptor_start(disruptor, NULL));
    dx_producer_t producer;
    assert_ok(dx_producer_open(&producer, dx_disruptor_ring(disruptor), NULL, NULL));
    for (int i = 0; i < 100; i++) {
        const int64_t sequence = dx_producer_claim(&producer);
        assert_int_equal(sequence, i);
        assert_ok(dx_producer_publish(&producer, sequence));
    }
    dx_producer_close(&producer);
    shutdown_ok(disruptor);
    for (int i = 0; i < dag->count; i++) {
        assert_int_equal(dx_load_relaxed(&dag->nodes[i].events), 100);
        assert_int_equal(dx_load_relaxed(&dag->nodes[i].wrong), 0);
    }
    dx_disruptor_destroy(disruptor);
}

static void a_stage_sees_an_event_after_all_it_follows_and_only_the_ends_gate(void **state)
{
    (void)state;
    static const dag_t shapes[] = {
        {.count = 1, .upstream = {0}},
        {.count = 3, .upstream = {0, 0, 0}},                /* multicast */
        {.count = 4, .upstream = {0, 1, 2, 4}},             /* pipeline */
        {.count = 3, .upstream = {0, 0, 3}},                /* diamond */
        {.count = 4, .upstream = {0, 1, 1, 6}},             /* diamond behind one */
        {.count = 5, .upstream = {0, 0, 1, 2, 12}},         /* two branches joined */
        {.count = 4, .upstream = {0, 1, 2, 1 | 2 | 4}},     /* and shortcuts */
        {.count = 6, .upstream = {0, 0, 3, 3, 12, 1 | 16}}, /* two diamonds in a row */
    };
    for (size_t i = 0; i < COUNT_OF(shapes); i++) {
        for (int way = 0; way < WAY_COUNT; way++) {
            dag_t dag = shapes[i];
            run_dag(&dag, (way_t)way, way % 2 == 0 ? DX_RING_SINGLE : DX_RING_MULTI);
        }
    }
}

static void any_directed_graph_without_cycles_can_be_said(void **state)
{
    (void)state;
    uint64_t random = 2024;
    for (int run = 0; run < 60; run++) {
        dag_t dag = {.count = 2 + (int)(random_next(&random) % (NODES_MAX - 1))};
        for (int i = 1; i < dag.count; i++) {
            const uint32_t before = (1u << i) - 1;
            dag.upstream[i] = (uint32_t)(random_next(&random) & random_next(&random)) & before;
        }
        run_dag(&dag, (way_t)(run % WAY_COUNT), run % 2 == 0 ? DX_RING_SINGLE : DX_RING_MULTI);
    }
}

/* ------------------------------------------------------------------------------------- refusals */

static int accept_event(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    (void)event;
    (void)sequence;
    (void)end_of_batch;
    if (context != NULL) {
        count_up(context);
    }
    return DX_HANDLER_CONTINUE;
}

static int accept_batch(void *context, dx_batch_t *batch)
{
    (void)context;
    (void)batch;
    return DX_HANDLER_CONTINUE;
}

#define NAME_31 "0123456789012345678901234567890"
#define NAME_32 NAME_31 "1"

static void handlers_are_checked_at_each_limit(void **state)
{
    (void)state;
#define EVENTS .on_event = accept_event
    static const struct {
        dx_handler_t handler;
        const char *refusal; /* NULL: accepted */
    } rows[] = {
        {{EVENTS}, NULL},
        {{.on_batch = accept_batch}, NULL},
        {{0}, "none of on_event and on_batch are set"},
        {{EVENTS, .on_batch = accept_batch}, "both of on_event and on_batch are set"},
        {{EVENTS, .name = NAME_31}, NULL},
        {{EVENTS, .name = NAME_32}, "name has 32 bytes"},
        {{EVENTS, .batch_max = DX_HANDLER_BATCH_MAX}, NULL},
        {{EVENTS, .batch_max = DX_HANDLER_BATCH_MAX + 1}, "batch_max is 67108865"},
        {{EVENTS, .batch_max = -1}, "batch_max is -1"},
        {{EVENTS, .retry = {.attempts_max = DX_RETRY_ATTEMPTS_MAX}}, NULL},
        {{EVENTS, .retry = {.attempts_max = DX_RETRY_ATTEMPTS_MAX + 1}}, "attempts_max is 1000001"},
        {{EVENTS, .retry = {.attempts_max = -1}}, NULL},
        {{EVENTS, .retry = {.attempts_max = -2}}, "attempts_max is -2"},
        {{EVENTS, .retry = {.pause = (dx_retry_pause_t)3}}, "retry.pause is 3"},
        {{EVENTS, .retry = {.pause_ns = DX_WAIT_NS_MAX, .pause_max_ns = DX_WAIT_NS_MAX}}, NULL},
        {{EVENTS, .retry = {.pause_ns = DX_WAIT_NS_MAX + 1}}, "retry.pause_ns is 3600000000001"},
        {{EVENTS, .retry = {.pause_ns = -1}}, "retry.pause_ns is -1"},
        {{EVENTS, .retry = {.pause_max_ns = DX_WAIT_NS_MAX + 1}}, "retry.pause_max_ns is 36"},
        {{EVENTS, .retry = {.give_up = DX_ON_ERROR_RETRY}}, "must be FATAL, SKIP or STOP"},
        {{EVENTS, .retry = {.give_up = DX_ON_ERROR_ASK}}, "must be FATAL, SKIP or STOP"},
        {{EVENTS, .retry = {.reserved_0 = 1}}, "retry.reserved_0 is 1"},
        {{EVENTS, .on_error_policy = (dx_error_policy_t)9}, "on_error_policy is 9"},
        {{EVENTS, .on_error_policy = DX_ON_ERROR_ASK}, "on_error is NULL"},
        {{EVENTS, .wait = {.kind = DX_WAIT_KIND_COUNT}}, "wait.kind is 10"},
        {{EVENTS, .reserved = {0, 0, 0, 1}}, "reserved"},
    };
#undef EVENTS
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        dx_error_t error = {0};
        dx_disruptor_t *disruptor = make_disruptor(DX_RING_SINGLE, 4);
        const dx_handler_t two[] = {{.on_event = accept_event}, rows[i].handler};
        dx_ring_stat_t stat;
        if (rows[i].refusal == NULL) {
            assert_ok(dx_disruptor_handle_events_with(disruptor, two, 2, NULL, &error));
        } else {
            assert_fails(dx_disruptor_handle_events_with(disruptor, two, 2, NULL, &error),
                         DX_EINVAL, error, rows[i].refusal);
        }
        dx_ring_stat(dx_disruptor_ring(disruptor), &stat); /* all or nothing */
        assert_int_equal(stat.consumers, rows[i].refusal == NULL ? 2 : 0);
        dx_disruptor_destroy(disruptor);
    }
}

static void groups_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    dx_error_t error = {0};
    const dx_handler_t handler = {.on_event = accept_event};
    dx_disruptor_t *disruptor = make_disruptor(DX_RING_SINGLE, 4);
    dx_disruptor_t *foreign = make_disruptor(DX_RING_SINGLE, 4);
    dx_group_t group;
    dx_group_t other;
    add_handlers_ok(disruptor, &handler, 1, &group);
    add_handlers_ok(foreign, &handler, 1, &other);
    const dx_group_t empty = {.disruptor = disruptor};
    const dx_group_t unknown = {.disruptor = disruptor, .members = UINT64_C(1) << 63};
    const dx_group_t nothing = {0};

    assert_fails(dx_disruptor_handle_events_with(disruptor, NULL, 1, NULL, &error), DX_EINVAL,
                 error, "there are 0 handlers");
    assert_fails(dx_disruptor_handle_events_with(disruptor, &handler, 0, NULL, &error), DX_EINVAL,
                 error, "there are 0 handlers");
    assert_fails(dx_group_then(empty, &handler, 1, NULL, &error), DX_ENOTFOUND, error,
                 "the group is empty");
    assert_fails(dx_group_then(unknown, &handler, 1, NULL, &error), DX_ENOTFOUND, error,
                 "consumer 63, which does not exist");
    assert_fails(dx_group_then(nothing, &handler, 1, NULL, &error), DX_EINVAL, error,
                 "no disruptor");
    assert_fails(dx_group_and(group, other, &group, &error), DX_EINVAL, error,
                 "different disruptors");
    assert_fails(dx_group_and(nothing, nothing, &group, &error), DX_EINVAL, error, "different");
    assert_fails(dx_disruptor_connect(disruptor, group, other, &error), DX_EINVAL, error,
                 "not of this disruptor");
    assert_fails(dx_disruptor_connect(disruptor, group, unknown, &error), DX_ENOTFOUND, error,
                 "does not exist");
    assert_fails(dx_disruptor_connect(disruptor, empty, group, &error), DX_ENOTFOUND, error,
                 "empty");
    assert_fails(
        dx_disruptor_after(disruptor, (const char *[]){"handler-0", "nobody"}, 2, &group, &error),
        DX_ENOTFOUND, error, "no consumer is called 'nobody'");
    const dx_custom_processor_t custom = {.name = "no run"};
    assert_fails(dx_group_then_custom(empty, &custom, NULL, &error), DX_EINVAL, error,
                 "run is NULL");
    dx_consumer_t *poller = (dx_consumer_t *)&error;
    assert_fails(dx_group_then_poller(unknown, NULL, &poller, NULL, &error), DX_ENOTFOUND, error,
                 "does not exist");
    assert_null(poller);
    dx_disruptor_destroy(disruptor);
    dx_disruptor_destroy(foreign);
}

static void a_cycle_is_refused_with_the_names_on_its_path(void **state)
{
    (void)state;
    dag_t dag = {.count = 4, .upstream = {0, 1, 2, 0}};
    dx_error_t error = {0};
    dx_disruptor_t *disruptor = make_disruptor(DX_RING_SINGLE, 16);
    for (int i = 0; i < dag.count; i++) {
        add_node(&dag, i, WAY_AND, disruptor);
    }
    static const struct {
        uint64_t ahead;
        uint64_t behind;
        const char *text; /* NULL: no cycle */
    } rows[] = {
        {1, 1, "'n0' behind 'n0' would close a cycle"},
        {4, 1, "'n0' behind 'n2' would close a cycle: 'n2' already follows 'n0'"},
        {2, 1, "'n0' behind 'n1'"},
        {4 | 8, 1 | 8, "would close a cycle"},
        {4, 8, NULL},
        {8, 1, "'n0' behind 'n3' would close a cycle: 'n3' already follows 'n0'"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const dx_group_t ahead = {disruptor, rows[i].ahead};
        const dx_group_t behind = {disruptor, rows[i].behind};
        if (rows[i].text == NULL) {
            assert_ok(dx_disruptor_connect(disruptor, ahead, behind, NULL));
        } else {
            assert_fails(dx_disruptor_connect(disruptor, ahead, behind, &error), DX_EINVAL, error,
                         rows[i].text);
        }
    }
    assert_int_equal(stat_of(disruptor, 0).upstream, 0);
    dx_disruptor_destroy(disruptor);
}

static void a_consumer_that_is_put_behind_one_that_has_seen_less_waits_for_it(void **state)
{
    (void)state;
    dx_group_t old;
    dx_group_t young;
    const dx_handler_t handler = {.on_event = accept_event};
    dx_disruptor_t *disruptor = make_disruptor(DX_RING_SINGLE, 8);
    add_handlers_ok(disruptor, &handler, 1, &young);
    add_handlers_ok(disruptor, &handler, 1, &old);
    const dx_group_t all = {disruptor, young.members | old.members};
    publish(disruptor, 2);
    assert_ok(dx_disruptor_start(disruptor, NULL));
    assert_ok(dx_group_pause(young, NULL));
    publish(disruptor, 2);
    wait_until(stat_of(disruptor, 1).sequence == 3);
    assert_ok(dx_disruptor_halt(disruptor));
    assert_true(stat_of(disruptor, 0).sequence < 3);
    assert_ok(dx_disruptor_connect(disruptor, young, old, NULL));
    /* It does not cover what it follows before that has caught up: both hold producers back. */
    assert_true(stat_of(disruptor, 0).gating);
    assert_true(stat_of(disruptor, 1).gating);
    assert_ok(dx_disruptor_start(disruptor, NULL));
    publish(disruptor, 2);
    wait_until(stat_of(disruptor, 1).sequence == 5 && !stat_of(disruptor, 0).gating);
    shutdown_ok(disruptor);
    assert_int_equal(all.members, 3);
    assert_int_equal(stat_of(disruptor, 0).events, 6);
    assert_int_equal(stat_of(disruptor, 1).events, 6); /* none twice, none missed */
    dx_disruptor_destroy(disruptor);
}

/* --------------------------------------------------------------------------------------- limits */

static int add_many(dx_disruptor_t *disruptor, uint32_t count, dx_handler_t handler,
                    dx_error_t *error)
{
    int code = DX_OK;
    for (uint32_t i = 0; i < count && code == DX_OK; i++) {
        code = dx_disruptor_handle_events_with(disruptor, &handler, 1, NULL, error);
    }
    return code;
}

static void the_numbers_of_consumers_and_skippers_are_limited(void **state)
{
    (void)state;
    static const struct {
        uint32_t consumers_max;
        uint32_t most;
        bool may_skip;
        const char *text;
    } rows[] = {
        {1, 1, false, "has 1 consumers, the most"},
        {0, 16, false, "has 16 consumers, the most"},
        {DX_RING_CONSUMERS_MAX, DX_RING_CONSUMERS_MAX, false, "has 60 consumers, the most"},
        {DX_RING_CONSUMERS_MAX, DX_RING_SKIPPERS_MAX, true, "has 16 consumers that may skip"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        dx_error_t error = {0};
        dx_atomic64_t events = {0};
        dx_disruptor_t *disruptor = NULL;
        assert_ok(dx_disruptor_create(
            &(dx_disruptor_options_t){.ring = {.slot_count = 8,
                                               .event_bytes = sizeof(event_t),
                                               .consumers_max = rows[i].consumers_max},
                                      .wait = {.kind = DX_WAIT_BLOCKING}},
            &disruptor, NULL));
        const dx_handler_t handler = {
            .context = &events, .on_event = accept_event, .may_skip = rows[i].may_skip};
        assert_ok(add_many(disruptor, rows[i].most, handler, NULL));
        assert_fails(add_many(disruptor, 1, handler, &error), DX_ELIMIT, error, rows[i].text);
        assert_ok(dx_disruptor_start(disruptor, NULL));
        publish(disruptor, 10);
        shutdown_ok(disruptor);
        assert_int_equal(dx_load_relaxed(&events), (int64_t)rows[i].most * 10);
        dx_disruptor_destroy(disruptor);
    }
}

static uint64_t key_of(void *context, const void *event)
{
    (void)context;
    return (uint64_t)((const event_t *)event)->key;
}

static void pools_are_checked_at_each_limit(void **state)
{
    (void)state;
    static const dx_handler_t good[16] = {{.on_event = accept_event}, {.on_event = accept_event},
                                          {.on_event = accept_event}, {.on_event = accept_event},
                                          {.on_event = accept_event}, {.on_event = accept_event}};
    static const dx_handler_t batch[] = {{.on_batch = accept_batch}};
    static const dx_handler_t named[] = {{.on_event = accept_event},
                                         {.on_event = accept_event, .name = NAME_32}};
    static const struct {
        dx_pool_t pool;
        int code;
        const char *text;
        int32_t consumers;
    } rows[] = {
        {{.workers = good, .worker_count = 1}, DX_OK, NULL, 2},
        {{.workers = good, .worker_count = 4}, DX_OK, NULL, 5},
        {{.workers = good, .worker_count = 5}, DX_ELIMIT, "has 5 consumers, the most", 0},
        {{.workers = good, .worker_count = 5, .key = key_of}, DX_OK, NULL, 5},
        {{.workers = good, .worker_count = 6, .key = key_of}, DX_ELIMIT, "the most", 0},
        {{.workers = good}, DX_EINVAL, "pool 'pool': the pool has no workers", 0},
        {{.worker_count = 1}, DX_EINVAL, "no workers", 0},
        {{.workers = batch, .worker_count = 1}, DX_EINVAL, "worker 0 has on_batch", 0},
        {{.workers = named, .worker_count = 2}, DX_EINVAL, "name has 32 bytes", 0},
        {{.workers = good, .worker_count = 1, .name = NAME_31}, DX_OK, NULL, 2},
        {{.workers = good, .worker_count = 1, .name = NAME_32}, DX_EINVAL, "32 bytes", 0},
        {{.workers = good, .worker_count = 1, .claim_max = DX_RING_SLOT_COUNT_MAX}, DX_OK, NULL, 2},
        {{.workers = good, .worker_count = 1, .claim_max = DX_RING_SLOT_COUNT_MAX + INT64_C(1)},
         DX_EINVAL,
         "claim_max is 67108865",
         0},
        {{.workers = good, .worker_count = 1, .claim_max = -1}, DX_EINVAL, "claim_max is -1", 0},
        {{.workers = good, .worker_count = 1, .reserved = {1}}, DX_EINVAL, "reserved", 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        dx_error_t error = {0};
        dx_disruptor_t *disruptor = NULL;
        assert_ok(dx_disruptor_create(
            &(dx_disruptor_options_t){
                .ring = {.slot_count = 8, .event_bytes = 8, .consumers_max = 5}},
            &disruptor, NULL));
        const int code =
            dx_disruptor_handle_events_with_pool(disruptor, &rows[i].pool, NULL, &error);
        assert_code(code, rows[i].code);
        if (rows[i].text != NULL) {
            assert_contains(error.message, rows[i].text);
        }
        dx_ring_stat_t stat;
        dx_ring_stat(dx_disruptor_ring(disruptor), &stat);
        assert_int_equal(stat.consumers, rows[i].consumers);
        dx_disruptor_destroy(disruptor);
    }
}

/* ---------------------------------------------------------------- custom processors and pollers */

typedef struct custom {
    dx_atomic64_t events;
    dx_atomic64_t wrong;
    int64_t skip_at;
    int64_t leave_at; /* ends behind that sequence ... */
    int leave_code;   /* ... with that */
} custom_t;

static int custom_run(void *context, dx_consumer_t *consumer)
{
    custom_t *custom = context;
    for (;;) {
        const int64_t last = dx_consumer_wait(consumer);
        if (last < 0) {
            return (int)last;
        }
        for (int64_t sequence = consumer->next; sequence <= last; sequence++) {
            if (dx_consumer_is_hidden(consumer, sequence)) {
                continue;
            }
            if (DX_CONSUMER_EVENT(consumer, sequence, event_t)->value != value_of(sequence)) {
                count_up(&custom->wrong);
            }
            if (sequence == custom->skip_at && dx_consumer_skip(consumer, sequence) != DX_OK) {
                count_up(&custom->wrong);
            }
            count_up(&custom->events);
            if (sequence == custom->leave_at) {
                dx_consumer_release(consumer, sequence);
                return custom->leave_code;
            }
        }
        dx_consumer_release(consumer, last);
    }
}

static void a_custom_processor_stands_anywhere_in_the_graph(void **state)
{
    (void)state;
    custom_t customs[2] = {{.skip_at = 3, .leave_at = -1}, {.skip_at = -1, .leave_at = -1}};
    probe_t probe = {0};
    dx_disruptor_t *disruptor = make_disruptor(DX_RING_MULTI, 8);
    const dx_custom_processor_t first = {
        .name = "first", .context = &customs[0], .run = custom_run, .may_skip = true};
    const dx_custom_processor_t last = {
        .context = &customs[1], .run = custom_run, .wait = {.kind = DX_WAIT_BLOCKING}};
    dx_handler_t middle = probe_handler(&probe, "middle");
    middle.on_batch_start = NULL;
    dx_group_t group = {.disruptor = disruptor};
    assert_ok(dx_group_then_custom(group, &first, &group, NULL));
    assert_ok(dx_group_then(group, &middle, 1, &group, NULL));
    assert_ok(dx_group_then_custom(group, &last, NULL, NULL));
    assert_string_equal(stat_of(disruptor, 2).name, "custom-2");
    assert_int_equal(stat_of(disruptor, 2).wait_kind, DX_WAIT_BLOCKING);
    assert_ok(dx_disruptor_start(disruptor, NULL));
    publish(disruptor, 100);
    shutdown_ok(disruptor);
    assert_int_equal(dx_load_relaxed(&customs[0].events), 100);
    assert_int_equal(dx_load_relaxed(&probe.events), 99);
    assert_int_equal(dx_load_relaxed(&customs[1].events), 99);
    assert_int_equal(dx_load_relaxed(&customs[0].wrong) + dx_load_relaxed(&customs[1].wrong), 0);
    dx_disruptor_destroy(disruptor);
}

static void a_custom_processor_that_leaves_has_stopped_or_failed(void **state)
{
    (void)state;
    static const struct {
        int code;
        dx_consumer_state_t state;
        const char *text;
    } rows[] = {
        {DX_OK, DX_CONSUMER_STOPPED, "consumer 'custom' has stopped"},
        {DX_EIO, DX_CONSUMER_FAILED, "consumer 'custom' failed at sequence 2: input or output"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        dx_error_t error = {0};
        custom_t custom = {.skip_at = -1, .leave_at = 1, .leave_code = rows[i].code};
        dx_disruptor_t *disruptor = make_disruptor(DX_RING_SINGLE, 8);
        const dx_group_t group = {.disruptor = disruptor};
        const dx_custom_processor_t processor = {
            .name = "custom", .context = &custom, .run = custom_run};
        assert_ok(dx_group_then_custom(group, &processor, NULL, NULL));
        publish(disruptor, 4);
        assert_ok(dx_disruptor_start(disruptor, NULL));
        wait_until(stat_of(disruptor, 0).state == rows[i].state);
        assert_fails(dx_disruptor_shutdown(disruptor, DX_FOREVER, &error), DX_ECONSUMER, error,
                     rows[i].text);
        assert_ok(dx_disruptor_start(disruptor, NULL)); /* it goes on where it was */
        shutdown_ok(disruptor);
        assert_int_equal(dx_load_relaxed(&custom.events), 4);
        dx_disruptor_destroy(disruptor);
    }
}

typedef struct poll_thread {
    dx_consumer_t *consumer;
    custom_t custom;
    dx_atomic64_t result;
} poll_thread_t;

static void *poll_main(void *context)
{
    poll_thread_t *thread = context;
    dx_store_release(&thread->result, custom_run(&thread->custom, thread->consumer));
    return NULL;
}

static void a_poller_stands_anywhere_in_the_graph_and_shutdown_waits_for_it(void **state)
{
    (void)state;
    probe_t front = {0};
    probe_t behind = {0};
    poll_thread_t poller = {.custom = {.skip_at = -1, .leave_at = -1}};
    dx_disruptor_t *disruptor = make_disruptor(DX_RING_SINGLE, 8);
    dx_handler_t handlers[] = {probe_handler(&front, "front"), probe_handler(&behind, "behind")};
    handlers[0].on_batch_start = NULL;
    handlers[1].on_batch_start = NULL;
    dx_group_t group;
    add_handlers_ok(disruptor, &handlers[0], 1, &group);
    assert_ok(dx_group_then_poller(group, NULL, &poller.consumer, &group, NULL));
    assert_ok(dx_group_then(group, &handlers[1], 1, NULL, NULL));
    for (int64_t run = 1; run <= 2; run++) {
        assert_ok(dx_disruptor_start(disruptor, NULL));
        publish(disruptor, 3);
        assert_code(dx_disruptor_shutdown(disruptor, 1000000, NULL), DX_ETIMEDOUT);
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, poll_main, &poller), 0);
        shutdown_ok(disruptor);
        assert_int_equal(pthread_join(thread, NULL), 0); /* the halt reaches it, too */
        assert_code((int)dx_load_relaxed(&poller.result), DX_EALERTED);
        assert_int_equal(dx_load_relaxed(&poller.custom.events), 3 * run);
        assert_int_equal(dx_load_relaxed(&behind.events), 3 * run);
    }
    assert_int_equal(dx_load_relaxed(&poller.custom.wrong), 0);
    assert_ok(dx_ring_reset(dx_disruptor_ring(disruptor), 0, NULL));
    assert_int_equal(poller.consumer->next, 0);
    dx_disruptor_destroy(disruptor);
}

static void a_handler_added_late_starts_behind_what_was_published(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        probe_t probe = {0};
        dx_disruptor_t *disruptor = make_disruptor(i == 0 ? DX_RING_SINGLE : DX_RING_MULTI, 8);
        publish(disruptor, 6); /* nobody is there to see them */
        const dx_handler_t handler = probe_handler(&probe, "late");
        add_handlers_ok(disruptor, &handler, 1, NULL);
        assert_int_equal(stat_of(disruptor, 0).sequence, 5);
        publish(disruptor, 2);
        assert_ok(dx_disruptor_start(disruptor, NULL));
        shutdown_ok(disruptor);
        assert_trace(&probe, "< [2/2 6 7* > ");
        dx_disruptor_destroy(disruptor);
    }
}

/* ------------------------------------------------------------------------------ memory runs out */

static dx_atomic64_t sweep_calls; /* of any callback while start() has not succeeded */

static void sweep_start(void *context)
{
    (void)context;
    count_up(&sweep_calls);
}

static int sweep_custom(void *context, dx_consumer_t *consumer)
{
    (void)context;
    count_up(&sweep_calls);
    return (int)dx_consumer_wait(consumer);
}

static int32_t consumers_of(const dx_disruptor_t *disruptor)
{
    dx_ring_stat_t stat;
    dx_ring_stat(dx_disruptor_ring(disruptor), &stat);
    return stat.consumers;
}

/* Adds two handlers, two workers, a custom processor and a poller. What fails adds nothing. */
static int sweep_add(dx_disruptor_t *disruptor)
{
    const dx_handler_t two[] = {{.on_event = accept_event, .on_start = sweep_start},
                                {.on_event = accept_event, .on_start = sweep_start}};
    const dx_pool_t pool = {.workers = two, .worker_count = 2};
    const dx_custom_processor_t custom = {.run = sweep_custom};
    dx_consumer_t *poller;
    dx_group_t group = {.disruptor = disruptor};
    int32_t before = consumers_of(disruptor);
    int code = dx_disruptor_handle_events_with(disruptor, two, 2, &group, NULL);
    if (code == DX_OK) {
        before = consumers_of(disruptor);
        code = dx_group_then_pool(group, &pool, &group, NULL);
    }
    if (code == DX_OK) {
        before = consumers_of(disruptor);
        code = dx_group_then_custom(group, &custom, NULL, NULL);
    }
    if (code == DX_OK) {
        before = consumers_of(disruptor);
        code = dx_group_then_poller(group, NULL, &poller, NULL, NULL);
    }
    if (code != DX_OK) {
        assert_int_equal(consumers_of(disruptor), before);
    }
    return code;
}

static int sweep_attempt(void)
{
    dx_store_relaxed(&sweep_calls, 0);
    dx_disruptor_t *disruptor = NULL;
    int code = dx_disruptor_create(
        &(dx_disruptor_options_t){.ring = {.slot_count = 4, .event_bytes = sizeof(event_t)},
                                  .wait = {.kind = DX_WAIT_BLOCKING}},
        &disruptor, NULL);
    if (code != DX_OK) {
        assert_null(disruptor);
        return code;
    }
    code = sweep_add(disruptor);
    if (code == DX_OK) {
        code = dx_disruptor_start(disruptor, NULL);
        assert_int_equal(dx_disruptor_is_running(disruptor), code == DX_OK);
        if (code != DX_OK) { /* nothing ran, and the ring is not torn: start again */
            assert_int_equal(dx_load_acquire(&sweep_calls), 0);
            for (int i = 0; i < consumers_of(disruptor); i++) {
                assert_int_equal(stat_of(disruptor, i).state == DX_CONSUMER_RUNNING, 0);
            }
            assert_ok(dx_disruptor_start(disruptor, NULL));
        }
        assert_int_equal(dx_load_acquire(&sweep_calls) >= 4, 1);
        assert_ok(dx_disruptor_halt(disruptor));
    }
    dx_disruptor_destroy(disruptor);
    return code;
}

static void when_memory_or_threads_run_out_nothing_is_left_and_nothing_runs(void **state)
{
    (void)state;
    /* A disruptor, a ring and its mapping, seven processors, five threads: at least. */
    assert_true(fault_sweep(sweep_attempt) >= 3 + 7 + 5);
}

static void a_resume_that_fails_leaves_the_group_paused(void **state)
{
    (void)state;
#if DX_TEST_HOOKS
    dx_atomic64_t events = {0};
    dx_error_t error = {0};
    dx_disruptor_t *disruptor = make_disruptor(DX_RING_SINGLE, 8);
    const dx_handler_t handlers[] = {
        {.name = "a", .context = &events, .on_event = accept_event},
        {.name = "b", .context = &events, .on_event = accept_event},
    };
    dx_group_t group;
    add_handlers_ok(disruptor, handlers, 2, &group);
    assert_ok(dx_disruptor_start(disruptor, NULL));
    assert_ok(dx_group_pause(group, NULL));
    publish(disruptor, 2);
    for (int64_t n = 0;; n++) {
        dxi_fault_arm(n);
        const int code = dx_group_resume(group, &error);
        dxi_fault_disarm();
        if (code == DX_OK) {
            assert_true(n >= 2);
            break;
        }
        assert_code(code, DX_ENOMEM);
        assert_contains(error.message, "thread of consumer '");
        assert_int_equal(dx_load_acquire(&events), 0);
        assert_int_equal(stat_of(disruptor, 0).state, DX_CONSUMER_ADDED);
    }
    shutdown_ok(disruptor);
    assert_int_equal(dx_load_acquire(&events), 4);
    dxi_fault_arm(0); /* a restart that fails leaves the ring closed */
    assert_code(dx_disruptor_start(disruptor, NULL), DX_ENOMEM);
    dxi_fault_disarm();
    dx_ring_stat_t stat;
    dx_ring_stat(dx_disruptor_ring(disruptor), &stat);
    assert_true(stat.closed);
    dx_disruptor_destroy(disruptor);
#else
    SKIP_BECAUSE("this build has no named points");
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stage_sees_an_event_after_all_it_follows_and_only_the_ends_gate),
        cmocka_unit_test(any_directed_graph_without_cycles_can_be_said),
        cmocka_unit_test(handlers_are_checked_at_each_limit),
        cmocka_unit_test(groups_that_make_no_sense_are_refused),
        cmocka_unit_test(a_cycle_is_refused_with_the_names_on_its_path),
        cmocka_unit_test(a_consumer_that_is_put_behind_one_that_has_seen_less_waits_for_it),
        cmocka_unit_test(the_numbers_of_consumers_and_skippers_are_limited),
        cmocka_unit_test(pools_are_checked_at_each_limit),
        cmocka_unit_test(a_custom_processor_stands_anywhere_in_the_graph),
        cmocka_unit_test(a_custom_processor_that_leaves_has_stopped_or_failed),
        cmocka_unit_test(a_poller_stands_anywhere_in_the_graph_and_shutdown_waits_for_it),
        cmocka_unit_test(a_handler_added_late_starts_behind_what_was_published),
        cmocka_unit_test(when_memory_or_threads_run_out_nothing_is_left_and_nothing_runs),
        cmocka_unit_test(a_resume_that_fails_leaves_the_group_paused),
    };
    return cmocka_run_group_tests_name("graph", tests, NULL, NULL);
}
