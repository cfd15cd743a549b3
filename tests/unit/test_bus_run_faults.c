/* test_bus_run_faults.c - clients of a bus that misbehave: that never read, that go at any moment,
 * that send anything; and what others notice of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "session_test.h"

#define FOR_EACH_LOOPS(loops) for (uint32_t loops = 1; loops <= 3; loops++)
#define BLOCK 4096

/* Reads events of one subscription until `last`, in order; gaps count. Returns how many came. */
static uint64_t read_until(raw_t *raw, uint64_t last)
{
    uint64_t next = 1;
    uint64_t events = 0;
    while (next <= last) {
        const dx_frame_view_t *view = raw_next(raw);
        uint32_t bytes = 0;
        if (view->header->type == DX_FRAME_EVENT) {
            assert_int_equal(view->header->sequence, next);
            next++;
            events++;
        } else if (view->header->type == DX_FRAME_GAP) {
            const dx_frame_range_t *range = dx_frame_part(view, DX_PART_RANGE, &bytes);
            assert_int_equal(range->first, next);
            next = range->last + 1;
        }
    }
    return events;
}

/* Twenty times what fits into all buffers on the way goes to one that does not read. Those beside
 * it get everything, and it gets the rest, in order, with gaps told. */
static void a_client_that_does_not_read_harms_only_itself(void **state)
{
    (void)state;
    FOR_EACH_LOOPS(loops)
    {
        node_t node;
        raw_t in;
        raw_t stalled;
        raw_t well[3];
        static char data[BLOCK];
        const uint64_t count = 5000;
        node_start(&node, loops);
        raw_open(&stalled, &node);
        raw_open(&in, &node);
        raw_subscribed(&stalled, 1, "t", NULL, "");
        for (int i = 0; i < 3; i++) {
            raw_open(&well[i], &node);
            raw_subscribed(&well[i], 1, "t", NULL, "");
        }
        for (uint64_t i = 1; i <= count; i++) {
            raw_publish(&in, "t", i, data, BLOCK);
            if (i % 50 == 0) { /* so that the retained part always reaches those who read */
                for (int w = 0; w < 3; w++) {
                    for (int events = 0; events < 50;) {
                        const int type = raw_next(&well[w])->header->type;
                        assert_int_not_equal(type, DX_FRAME_GAP);
                        events += type == DX_FRAME_EVENT;
                    }
                }
            }
        }
        raw_acknowledged(&in, count);
        assert_in_range(read_until(&stalled, count), 1, count - 1);
        raw_close(&in);
        raw_close(&stalled);
        for (int i = 0; i < 3; i++) {
            raw_close(&well[i]);
        }
        node_end(&node);
    }
}

static void publishers_wait_for_a_subscription_that_blocks(void **state)
{
    (void)state;
    FOR_EACH_LOOPS(loops)
    {
        node_t node;
        raw_t out;
        static char data[BLOCK];
        node_start(&node, loops);
        raw_open(&out, &node);
        raw_subscribed(&out, 1, "t", NULL, "{\"slow\":\"block\",\"slow_block_ns\":60000000000}");
        dx_publisher_t *publisher = NULL;
        assert_ok(dx_publisher_open(node.bus, &(dx_publisher_options_t){.fail_when_full = true},
                                    &publisher, &said));
        const dx_message_t message = {.topic = "t", .data = data, .bytes = BLOCK};
        uint64_t taken = 0;
        const uint64_t count = 3000;
        uint64_t received = 0;
        bool full = false;
        while (received < count) {
            int code = DX_OK;
            while (taken < count && code == DX_OK) {
                code = dx_publish(publisher, &message, &said);
                taken += code == DX_OK;
            }
            full = full || code == DX_EAGAIN;
            const dx_frame_view_t *view = raw_next(&out);
            if (view->header->type == DX_FRAME_EVENT) {
                assert_int_equal(view->header->sequence, ++received);
            } else {
                assert_int_not_equal(view->header->type, DX_FRAME_GAP);
            }
        }
        assert_true(full);
        dx_publisher_close(publisher);
        raw_close(&out);
        node_end(&node);
    }
}

/* Bytes of a conversation, to be cut anywhere. */
typedef struct script {
    uint64_t words[1024];
    size_t bytes;
} script_t;

static void script_add(script_t *script, const dx_frame_draft_t *draft, const void *payload)
{
    const int64_t bytes =
        dx_frame_encode((char *)script->words + script->bytes, sizeof script->words - script->bytes,
                        draft, payload, &said);
    check_said(bytes < 0 ? (int)bytes : DX_OK, "dx_frame_encode()");
    script->bytes += (size_t)bytes;
}

static void script_fill(script_t *script)
{
    const dx_frame_capabilities_t can = {0, 1048576, 1, 1};
    const dx_frame_credit_t credit = {1000, 1000000};
    const uint64_t number = 1;
    const dx_frame_part_t hello = dx_frame_part_of(DX_PART_CAPABILITIES, &can, sizeof can);
    const dx_frame_part_t subscribe[] = {
        dx_frame_part_text(DX_PART_TOPIC, "t.*"),
        dx_frame_part_of(DX_PART_CORRELATION, &number, 8),
        dx_frame_part_of(DX_PART_SUBSCRIPTION, &number, 8),
    };
    const dx_frame_part_t credits[] = {
        dx_frame_part_of(DX_PART_SUBSCRIPTION, &number, 8),
        dx_frame_part_of(DX_PART_CREDIT, &credit, sizeof credit),
    };
    const dx_frame_part_t topic = dx_frame_part_text(DX_PART_TOPIC, "t.x");
    script->bytes = 0;
    script_add(script,
               &(dx_frame_draft_t){.type = DX_FRAME_HELLO, .parts = &hello, .part_count = 1}, NULL);
    script_add(script,
               &(dx_frame_draft_t){.type = DX_FRAME_SUBSCRIBE, .parts = subscribe, .part_count = 3},
               NULL);
    script_add(script,
               &(dx_frame_draft_t){.type = DX_FRAME_CREDIT, .parts = credits, .part_count = 2},
               NULL);
    for (uint64_t i = 1; i <= 3; i++) {
        script_add(script,
                   &(dx_frame_draft_t){.type = DX_FRAME_PUBLISH,
                                       .flags = DX_FRAME_ACK_WANTED,
                                       .producer_id = 5,
                                       .producer_sequence = i,
                                       .parts = &topic,
                                       .part_count = 1,
                                       .payload_bytes = 8},
                   &i);
    }
    script_add(
        script,
        &(dx_frame_draft_t){.type = DX_FRAME_TOPIC_LIST, .parts = &subscribe[1], .part_count = 1},
        NULL);
    script_add(
        script,
        &(dx_frame_draft_t){.type = DX_FRAME_UNSUBSCRIBE, .parts = &subscribe[2], .part_count = 1},
        NULL);
}

static void a_client_may_go_at_any_byte(void **state)
{
    (void)state;
    FOR_EACH_LOOPS(loops)
    {
        static script_t script;
        node_t node;
        node_start(&node, loops);
        script_fill(&script);
        for (size_t cut = 0; cut <= script.bytes; cut += loops == 1 ? 3 : 29) {
            raw_t raw;
            raw_connect(&raw, &node);
            assert_true(raw_write(&raw, script.words, cut));
            if (cut % 2 == 0) {
                (void)shutdown(raw.fd, SHUT_WR);
                while (raw_next_or_end(&raw) != NULL) {
                }
            }
            raw_close(&raw);
        }
        node_quiet(&node);
        raw_t raw; /* and it serves on */
        raw_open(&raw, &node);
        raw_subscribed(&raw, 1, "t.*", NULL, "");
        raw_publish(&raw, "t.y", 0, "x", 1);
        (void)raw_expect(&raw, DX_FRAME_DELIVER);
        raw_close(&raw);
        node_end(&node);
    }
}

/* Any damage to a byte ends the connection or is refused, and nobody else notices. */
static void damaged_conversations_are_survived(void **state)
{
    (void)state;
    static script_t script;
    node_t node;
    uint64_t random = 20261126;
    node_start(&node, 2);
    for (int i = 0; i < 300; i++) {
        raw_t raw;
        script_fill(&script);
        ((unsigned char *)script.words)[random_next(&random) % script.bytes] ^=
            (unsigned char)(1u << (random_next(&random) % 8));
        raw_connect(&raw, &node);
        (void)raw_write(&raw, script.words, script.bytes);
        (void)shutdown(raw.fd, SHUT_WR);
        while (raw_next_or_end(&raw) != NULL) {
        }
        raw_close(&raw);
    }
    node_quiet(&node);
    node_end(&node);
}

/* Frames that are whole, and whose contents are anything. */
static void frames_of_any_content_are_survived(void **state)
{
    (void)state;
    static const uint8_t types[] = {
        DX_FRAME_CREDIT,       DX_FRAME_PUBLISH,      DX_FRAME_ACK,          DX_FRAME_NACK,
        DX_FRAME_REQUEST,      DX_FRAME_REPLY,        DX_FRAME_SUBSCRIBE,    DX_FRAME_UNSUBSCRIBE,
        DX_FRAME_TOPIC_CREATE, DX_FRAME_TOPIC_CHANGE, DX_FRAME_TOPIC_DELETE, DX_FRAME_TOPIC_LIST,
        DX_FRAME_TOPIC_STATS,  DX_FRAME_ASK,          DX_FRAME_GAP,          DX_FRAME_DELIVER,
    };
    static const char *const topics[] = {"t", "t.*", ">", "..", "$inbox.1", "t.u", "\1", "*"};
    node_t node;
    raw_t raw;
    uint64_t random = 4;
    node_start(&node, 2);
    raw_open(&raw, &node);
    const struct timeval soon = {.tv_usec = 1};
    for (int i = 0; i < 3000; i++) {
        dx_frame_part_t parts[10];
        dx_frame_draft_t draft = {.parts = parts};
        const uint64_t number = random_next(&random) % 8;
        const uint64_t pair[2] = {random_next(&random) % 4, random_next(&random)};
        char payload[32];
        uint64_t frame[512];
        draft.type = types[random_next(&random) % COUNT_OF(types)];
        draft.flags = (uint16_t)(random_next(&random) % 8);
        draft.shard = (uint16_t)(random_next(&random) % 10);
        draft.producer_id = random_next(&random) % 3;
        draft.producer_sequence = random_next(&random) % 50;
        parts[draft.part_count++] =
            dx_frame_part_text(DX_PART_TOPIC, topics[random_next(&random) % COUNT_OF(topics)]);
        parts[draft.part_count++] = dx_frame_part_of(DX_PART_CORRELATION, &number, 8);
        if (random_next(&random) % 2 == 0) {
            parts[draft.part_count++] = dx_frame_part_text(DX_PART_REPLY_TO, "$inbox.1");
        }
        if (random_next(&random) % 8 != 0) {
            parts[draft.part_count++] = dx_frame_part_of(DX_PART_SUBSCRIPTION, &number, 8);
        }
        if (random_next(&random) % 4 == 0) {
            parts[draft.part_count++] = dx_frame_part_text(DX_PART_GROUP, "g");
        }
        if (random_next(&random) % 4 == 0) {
            parts[draft.part_count++] = dx_frame_part_of(DX_PART_START, pair, 16);
        }
        parts[draft.part_count++] = dx_frame_part_of(DX_PART_RANGE, pair, 16);
        parts[draft.part_count++] = dx_frame_part_of(DX_PART_CREDIT, pair, 16);
        parts[draft.part_count++] = dx_frame_part_of(DX_PART_CODE, pair, 8);
        draft.payload_bytes = (uint32_t)(random_next(&random) % 3) * 2;
        memcpy(payload, "{}{}", 4);
        int64_t bytes = dx_frame_encode(frame, sizeof frame, &draft, payload, &said);
        if (bytes < 0) { /* this type has no payload */
            draft.payload_bytes = 0;
            bytes = dx_frame_encode(frame, sizeof frame, &draft, payload, &said);
        }
        if (bytes > 0) {
            assert_true(raw_write(&raw, frame, (size_t)bytes));
        }
        if (i % 64 == 0) { /* what came is read, so that nobody waits */
            char sink[65536];
            (void)setsockopt(raw.fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon);
            while (recv(raw.fd, sink, sizeof sink, MSG_DONTWAIT) > 0) {
            }
        }
    }
    raw_close(&raw);
    node_quiet(&node);
    node_end(&node);
}

static void sessions_come_and_go_while_events_flow(void **state)
{
    (void)state;
    FOR_EACH_LOOPS(loops)
    {
        node_t node;
        node_start(&node, loops);
        dx_publisher_t *publisher = publisher_opened(node.bus);
        uint64_t number = 0;
        for (int i = 0; i < 40; i++) {
            raw_t raw;
            raw_open(&raw, &node);
            raw_subscribe(&raw, 1, i % 2 == 0 ? "t.x" : "t.>", i % 3 == 0 ? "g" : NULL, "");
            raw_subscribe(&raw, 2, "t.x", NULL, "");
            raw_credit(&raw, 1, MUCH, MUCH);
            raw_credit(&raw, 2, MUCH, MUCH);
            for (int acks = 0; acks < 2;) { /* the group may have something for it at once */
                acks += raw_next(&raw)->header->type == DX_FRAME_ACK;
            }
            for (int n = 0; n < 50; n++) {
                number++;
                assert_ok(publish_number(publisher, "t.x", number));
            }
            for (int n = 0; n < 20; n++) {
                (void)raw_next(&raw);
            }
            raw_close(&raw);
        }
        dx_publisher_close(publisher);
        node_end(&node);
    }
}

static void note_session(void *context, const dxi_session_info_t *info)
{
    *(uint64_t *)context += info->subscriptions * 1000 + info->events_in;
}

static void sessions_and_subscriptions_can_be_looked_at(void **state)
{
    (void)state;
    FOR_EACH_LOOPS(loops)
    {
        node_t node;
        raw_t one;
        raw_t other;
        uint64_t sum = 0;
        int remote = 0;
        node_start(&node, loops);
        raw_open(&one, &node);
        raw_open(&other, &node);
        raw_subscribed(&one, 1, "a", NULL, "");
        raw_subscribed(&one, 2, "b", NULL, "");
        raw_subscribed(&other, 1, "c", NULL, "");
        raw_publish(&other, "x", 1, "y", 1);
        raw_acknowledged(&other, 1);
        assert_int_equal(dxi_bus_sessions_each(node.bus, note_session, &sum), 2);
        assert_int_equal(sum, 3001);
        assert_int_equal(dxi_bus_subscriptions_each(node.bus, count_subscription, &remote), 3);
        assert_int_equal(remote, 3);
        raw_close(&one);
        raw_close(&other);
        node_end(&node);
    }
}

static void stopping_says_goodbye(void **state)
{
    (void)state;
    FOR_EACH_LOOPS(loops)
    {
        node_t node;
        raw_t raw;
        node_drain_ns = 20000000; /* this client does not close its end */
        node_start(&node, loops);
        node_drain_ns = 0;
        raw_open(&raw, &node);
        raw_subscribed(&raw, 1, "a", NULL, "");
        node_end(&node);
        while (raw_next_or_end(&raw) != NULL) {
        }
        assert_int_equal(raw.view.header->type, DX_FRAME_GOODBYE);
        raw_close(&raw);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_that_does_not_read_harms_only_itself),
        cmocka_unit_test(publishers_wait_for_a_subscription_that_blocks),
        cmocka_unit_test(a_client_may_go_at_any_byte),
        cmocka_unit_test(damaged_conversations_are_survived),
        cmocka_unit_test(frames_of_any_content_are_survived),
        cmocka_unit_test(sessions_come_and_go_while_events_flow),
        cmocka_unit_test(sessions_and_subscriptions_can_be_looked_at),
        cmocka_unit_test(stopping_says_goodbye),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
