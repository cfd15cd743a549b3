/* test_bus_run_order.c - what happens to a client while its commands have not run yet: it goes, it
 * changes its mind, its events wait.
 *
 * Commands take the bus's command mutex: a test that holds it keeps them where they are.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "session_test.h"

#include "bus/session_internal.h"

static void commands_hold(const node_t *node)
{
    (void)pthread_mutex_lock(&node->bus->command_mutex);
}

static void commands_go_on(const node_t *node)
{
    (void)pthread_mutex_unlock(&node->bus->command_mutex);
}

static bool no_command_waits(const node_t *node)
{
    (void)pthread_mutex_lock(&node->bus->queue_mutex);
    const bool none = node->bus->queue_first == NULL;
    (void)pthread_mutex_unlock(&node->bus->queue_mutex);
    return none;
}

#define WAIT_UNTIL(condition)                                                                      \
    for (const int64_t until_ = dx_clock_ns() + SOON_NS; !(condition);) {                          \
        if (dx_clock_ns() > until_) {                                                              \
            fail_msg("waited in vain until %s", #condition);                                       \
        }                                                                                          \
    }

/* The connection is closed, and its subscription not yet detached, when it loses events. */
static void a_subscription_that_ends_behind_its_connection_is_left_once(void **state)
{
    (void)state;
    node_t node;
    raw_t in;
    raw_t slow;
    node_start(&node, 1);
    check_said(dx_bus_topic_create(node.bus, "t", &(dx_topic_options_t){.retain_events = 1}, &said),
               "dx_bus_topic_create()");
    raw_open(&in, &node);
    raw_open(&slow, &node);
    raw_subscribe(&slow, 1, "t", NULL, "{\"slow\":\"disconnect\"}");
    (void)raw_expect(&slow, DX_FRAME_ACK);
    raw_publish(&in, "t", 1, "x", 1); /* no credit: it lags from here on */
    raw_acknowledged(&in, 1);
    commands_hold(&node);
    raw_close(&slow);
    WAIT_UNTIL(node_stat(&node).open == 1);
    raw_expect_nothing(&in);
    WAIT_UNTIL(no_command_waits(&node)); /* the last one of the session is being run */
    raw_publish(&in, "t", 2, "x", 1);
    (void)raw_expect(&in, DX_FRAME_ACK);
    raw_publish(&in, "t", 3, "x", 1);
    (void)raw_expect(&in, DX_FRAME_ACK);
    const bool none = no_command_waits(&node);
    commands_go_on(&node);
    assert_true(none);
    raw_close(&in);
    node_quiet(&node);
    node_end(&node);
}

static void who_unsubscribes_from_what_is_then_refused_hears_of_both(void **state)
{
    (void)state;
    for (uint32_t loops = 1; loops <= 2; loops++) {
        node_t node;
        raw_t raw;
        const uint64_t number = 2;
        const uint64_t correlation = 99;
        const dx_frame_part_t parts[] = {
            dx_frame_part_of(DX_PART_CORRELATION, &correlation, 8),
            dx_frame_part_of(DX_PART_SUBSCRIPTION, &number, 8),
        };
        node_open(&node, &(dx_bus_options_t){.shards = 2, .loops = loops, .subscriptions_max = 1},
                  NULL);
        raw_open(&raw, &node);
        raw_subscribed(&raw, 1, "t", NULL, "");
        commands_hold(&node);
        raw_subscribe(&raw, number, "t", NULL, "");
        raw_send(&raw,
                 &(dx_frame_draft_t){.type = DX_FRAME_UNSUBSCRIBE, .parts = parts, .part_count = 2},
                 NULL);
        raw_expect_nothing(&raw);
        commands_go_on(&node);
        const dx_frame_view_t *view = raw_expect(&raw, DX_FRAME_NACK);
        assert_int_equal(raw_code(&raw), DX_ELIMIT);
        assert_int_equal(dx_frame_part_u64(view, DX_PART_CORRELATION, 0), number);
        raw_send(&raw, &(dx_frame_draft_t){.type = DX_FRAME_PING}, NULL);
        view = raw_next(&raw);
        assert_int_equal(view->header->type, DX_FRAME_NACK);
        assert_int_equal(raw_code(&raw), DX_ENOTFOUND);
        assert_int_equal(dx_frame_part_u64(view, DX_PART_CORRELATION, 0), correlation);
        raw_close(&raw);
        node_end(&node);
    }
}

#define EVENT_BYTES 32768
#define EVENTS 64 /* twice what fits into a ring, of 1 MiB */

/* A topic that keeps nothing, and a subscription without credit that blocks it. */
static void block(raw_t *slow, const node_t *node, const char *topic)
{
    check_said(dx_bus_topic_create(node->bus, topic,
                                   &(dx_topic_options_t){.retain_events = DX_RETAIN_NONE}, &said),
               "dx_bus_topic_create()");
    raw_open(slow, node);
    raw_subscribe(slow, 7, topic, NULL, "{\"slow\":\"block\",\"slow_block_ns\":600000000000}");
    (void)raw_expect(slow, DX_FRAME_ACK);
}

/* More than the topic's shard takes now; the rest stands aside. */
static void fill(raw_t *raw, const node_t *node, const char *topic)
{
    static const char data[EVENT_BYTES];
    raw_subscribed(raw, 1, "else", NULL, ""); /* who has none waits in the connection */
    for (int i = 0; i < EVENTS; i++) {
        raw_publish(raw, topic, 0, data, sizeof data);
    }
    raw_expect_nothing(raw);
    assert_true(dx_load_relaxed(&node->bus->aside_bytes) > 0);
}

/* All that fill() has published. */
static void expect_events(raw_t *raw)
{
    for (uint64_t i = 1; i <= EVENTS;) {
        const dx_frame_view_t *view = raw_next(raw);
        if (view->header->type == DX_FRAME_EVENT) {
            assert_int_equal(view->header->sequence, i++);
        }
    }
}

static void what_a_client_has_published_goes_on_although_it_is_gone_with_much_under_way(
    void **state)
{
    (void)state;
    for (uint32_t loops = 1; loops <= 2; loops++) {
        node_t node;
        raw_t raw;
        raw_t slow;
        node_start(&node, loops);
        block(&slow, &node, "t");
        raw_open(&raw, &node);
        fill(&raw, &node, "t");
        commands_hold(&node);
        for (int i = 0; i < 256; i++) { /* as many as may be under way */
            raw_command(&raw, DX_FRAME_TOPIC_CREATE, "new", "");
        }
        raw_expect_nothing(&raw);
        raw_close(&raw);
        commands_go_on(&node);
        raw_credit(&slow, 7, MUCH, MUCH);
        expect_events(&slow);
        WAIT_UNTIL(node_stat(&node).open == 1);
        raw_close(&slow);
        node_end(&node);
    }
}

static void ask_direct(const raw_t *raw, uint64_t correlation, const char *argument)
{
    char text[64];
    const int bytes = snprintf(text, sizeof text, "direct%c%s", '\0', argument);
    const dx_frame_part_t part = dx_frame_part_of(DX_PART_CORRELATION, &correlation, 8);
    raw_send(raw,
             &(dx_frame_draft_t){.type = DX_FRAME_ASK,
                                 .parts = &part,
                                 .part_count = 1,
                                 .payload_bytes = (uint32_t)bytes},
             text);
}

static void who_asks_where_to_publish_is_answered_behind_its_events(void **state)
{
    (void)state;
    for (uint32_t loops = 1; loops <= 2; loops++) {
        node_t node;
        raw_t raw;
        node_start(&node, loops);
        block(&raw, &node, "t"); /* it waits for itself */
        fill(&raw, &node, "t");
        ask_direct(&raw, 1, "publish t");
        ask_direct(&raw, 2, "subscribe t");
        const dx_frame_view_t *view = raw_expect(&raw, DX_FRAME_ANSWER);
        assert_int_equal(dx_frame_part_u64(view, DX_PART_CORRELATION, 0), 2);
        raw_expect_nothing(&raw);
        raw_credit(&raw, 7, MUCH, MUCH);
        bool answered = false;
        for (uint64_t i = 1; i <= EVENTS || !answered;) {
            view = raw_next(&raw);
            if (view->header->type == DX_FRAME_EVENT) {
                assert_int_equal(view->header->sequence, i++);
            } else if (view->header->type == DX_FRAME_ANSWER) {
                assert_int_equal(dx_frame_part_u64(view, DX_PART_CORRELATION, 0), 1);
                answered = true;
            }
        }
        raw_close(&raw);
        node_end(&node);
    }
}

static void who_goes_while_its_question_waits_leaves_nothing(void **state)
{
    (void)state;
#if DX_TEST_HOOKS
    const int64_t live = dxi_live_count();
#endif
    node_t node;
    raw_t raw;
    raw_t slow;
    node_start(&node, 1);
    block(&slow, &node, "t");
    raw_open(&raw, &node);
    fill(&raw, &node, "t");
    ask_direct(&raw, 1, "publish t");
    raw_expect_nothing(&raw);
    raw_close(&raw);
    raw_credit(&slow, 7, MUCH, MUCH);
    expect_events(&slow);
    WAIT_UNTIL(node_stat(&node).open == 1);
    raw_close(&slow);
    node_end(&node);
#if DX_TEST_HOOKS
    assert_int_equal(dxi_live_count(), live);
#endif
}

#define TOPICS 10000 /* a list of them is longer than what is kept for who does not read */
#define NAME_BYTES 240

static void many_topics(const raw_t *raw)
{
    char name[NAME_BYTES + 1];
    memset(name, 'n', NAME_BYTES);
    for (int i = 0; i < TOPICS; i++) {
        (void)snprintf(name + NAME_BYTES - 6, 7, "%06d", i);
        raw_publish(raw, name, 0, "x", 1);
    }
}

/* What waits in the node for the only client, and how many of its commands are under way. */
typedef struct waiting {
    dxi_bus_loop_t *loop;
    size_t outbox;
    uint32_t commands;
    bool list;
} waiting_t;

static void look(void *context)
{
    waiting_t *const waiting = context;
    const dxi_session_t *const session = waiting->loop->sessions->all;
    waiting->outbox = session->outbox.end - session->outbox.begin;
    waiting->commands = session->commands;
    waiting->list = session->answer != NULL;
}

static waiting_t waiting_of(const node_t *node)
{
    waiting_t waiting = {.loop = &node->bus->loops[0]};
    dxi_loop_call(waiting.loop->loop, look, &waiting);
    return waiting;
}

/* The answer to a TOPIC_LIST: all topics, in their order. */
static void expect_list(raw_t *raw)
{
    char name[8];
    for (int i = 0; i < TOPICS; i++) {
        const dx_frame_view_t *const view = raw_expect(raw, DX_FRAME_TOPIC_INFO);
        assert_int_equal((view->header->flags & DX_FRAME_MORE) != 0, i + 1 < TOPICS);
        (void)snprintf(name, sizeof name, "%06d\"", i);
        const size_t at = strlen("{\"name\":\"") + NAME_BYTES - 6;
        assert_memory_equal((const char *)view->payload + at, name, 7);
    }
}

static void a_long_list_comes_as_the_client_reads(void **state)
{
    (void)state;
    node_t node;
    raw_t raw;
    node_open(&node, &(dx_bus_options_t){.shards = 2, .loops = 1, .topics_max = TOPICS}, NULL);
    raw_open(&raw, &node);
    many_topics(&raw);
    raw_expect_nothing(&raw);
    raw_command(&raw, DX_FRAME_TOPIC_LIST, NULL, "");
    raw_command(&raw, DX_FRAME_TOPIC_LIST, NULL, "");
    raw_command(&raw, DX_FRAME_TOPIC_STATS, "none", "");
    WAIT_UNTIL(waiting_of(&node).list);
    const waiting_t waiting = waiting_of(&node);
    assert_int_equal(waiting.commands, 3);
    assert_in_range(waiting.outbox, 1, 2 * DXI_OUTBOX_WAIT_BYTES);
    expect_list(&raw);
    expect_list(&raw);
    (void)raw_expect(&raw, DX_FRAME_NACK); /* answers keep their order */
    assert_int_equal(waiting_of(&node).commands, 0);
    raw_close(&raw);
    node_end(&node);
}

static void who_goes_in_the_middle_of_a_list_leaves_nothing(void **state)
{
    (void)state;
#if DX_TEST_HOOKS
    const int64_t live = dxi_live_count();
#endif
    node_t node;
    raw_t raw;
    node_open(&node, &(dx_bus_options_t){.shards = 2, .loops = 1, .topics_max = TOPICS}, NULL);
    raw_open(&raw, &node);
    many_topics(&raw);
    raw_expect_nothing(&raw);
    raw_command(&raw, DX_FRAME_TOPIC_LIST, NULL, "");
    raw_command(&raw, DX_FRAME_TOPIC_LIST, NULL, "");
    WAIT_UNTIL(waiting_of(&node).list);
    raw_close(&raw);
    node_quiet(&node);
    node_end(&node);
#if DX_TEST_HOOKS
    assert_int_equal(dxi_live_count(), live);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_subscription_that_ends_behind_its_connection_is_left_once),
        cmocka_unit_test(who_unsubscribes_from_what_is_then_refused_hears_of_both),
        cmocka_unit_test(
            what_a_client_has_published_goes_on_although_it_is_gone_with_much_under_way),
        cmocka_unit_test(who_asks_where_to_publish_is_answered_behind_its_events),
        cmocka_unit_test(who_goes_while_its_question_waits_leaves_nothing),
        cmocka_unit_test(a_long_list_comes_as_the_client_reads),
        cmocka_unit_test(who_goes_in_the_middle_of_a_list_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
