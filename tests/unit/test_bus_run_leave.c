/* test_bus_run_leave.c - who says GOODBYE is answered first, and then gets one back.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "session_test.h"

static void goodbye(const raw_t *raw)
{
    raw_send(raw, &(dx_frame_draft_t){.type = DX_FRAME_GOODBYE}, NULL);
}

static void who_has_nothing_under_way_is_let_go_at_once(void **state)
{
    (void)state;
    node_t node;
    raw_t raw;
    node_start(&node, 2);
    raw_open(&raw, &node);
    goodbye(&raw);
    (void)raw_expect(&raw, DX_FRAME_GOODBYE);
    raw_close(&raw);
    node_end(&node);
}

static void publications_and_commands_are_answered_before_the_goodbye(void **state)
{
    (void)state;
    for (uint32_t loops = 1; loops <= 2; loops++) {
        node_t node;
        raw_t raw;
        node_start(&node, loops);
        raw_open(&raw, &node);
        for (uint64_t i = 1; i <= 500; i++) {
            raw_publish(&raw, "leave.a", i, "x", 1);
        }
        raw_command(&raw, DX_FRAME_TOPIC_STATS, "leave.a", "");
        goodbye(&raw);
        uint64_t last = 0;
        bool commanded = false;
        const dx_frame_view_t *frame = raw_next(&raw);
        for (; frame->header->type != DX_FRAME_GOODBYE; frame = raw_next(&raw)) {
            const bool ack = frame->header->type == DX_FRAME_ACK;
            last = ack && frame->header->producer_id != 0 ? frame->header->producer_sequence : last;
            commanded = commanded || frame->header->type == DX_FRAME_TOPIC_INFO ||
                        frame->header->type == DX_FRAME_NACK;
        }
        assert_int_equal(last, 500);
        assert_true(commanded);
        raw_close(&raw);
        node_end(&node);
    }
}

/* A topic that keeps nothing, and a subscription without credit that blocks it. */
static void block(raw_t *slow, const node_t *node)
{
    check_said(dx_bus_topic_create(node->bus, "held.a",
                                   &(dx_topic_options_t){.retain_events = DX_RETAIN_NONE}, &said),
               "dx_bus_topic_create()");
    raw_open(slow, node);
    raw_subscribe(slow, 7, "held.a", NULL, "{\"slow\":\"block\",\"slow_block_ns\":60000000000}");
    (void)raw_expect(slow, DX_FRAME_ACK);
}

static void what_a_slow_subscriber_holds_up_is_answered_when_it_goes_on(void **state)
{
    (void)state;
    for (uint32_t loops = 1; loops <= 2; loops++) {
        node_t node;
        raw_t raw, slow;
        node_start(&node, loops);
        block(&slow, &node);
        raw_open(&raw, &node);
        raw_publish(&raw, "held.a", 1, "x", 1);
        goodbye(&raw);
        /* Another client is served meanwhile; this one has heard nothing. */
        raw_t other;
        raw_open(&other, &node);
        raw_publish(&other, "free.a", 1, "x", 1);
        raw_acknowledged(&other, 1);
        assert_int_equal(recv(raw.fd, &(char){0}, 1, MSG_PEEK | MSG_DONTWAIT), -1);
        raw_credit(&slow, 7, 10, 100000);
        raw_acknowledged(&raw, 1);
        (void)raw_expect(&raw, DX_FRAME_GOODBYE);
        raw_close(&raw);
        raw_close(&slow);
        raw_close(&other);
        node_end(&node);
    }
}

static void nobody_is_waited_for_without_end(void **state)
{
    (void)state;
    node_t node;
    raw_t raw, slow;
    node_drain_ns = 20000000;
    node_start(&node, 1);
    node_drain_ns = 0;
    block(&slow, &node);
    raw_open(&raw, &node);
    raw_publish(&raw, "held.a", 1, "x", 1);
    goodbye(&raw);
    (void)raw_expect(&raw, DX_FRAME_GOODBYE); /* after drain_timeout_ns */
    raw_close(&raw);
    raw_close(&slow);
    node_end(&node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_nothing_under_way_is_let_go_at_once),
        cmocka_unit_test(publications_and_commands_are_answered_before_the_goodbye),
        cmocka_unit_test(what_a_slow_subscriber_holds_up_is_answered_when_it_goes_on),
        cmocka_unit_test(nobody_is_waited_for_without_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
