/* test_bus_run_session.c - clients of a bus, spoken by hand: subscribing, credit, deliveries,
 * answers, commands; with one loop, two and three.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "session_test.h"

#define FOR_EACH_LOOPS(loops) for (uint32_t loops = 1; loops <= 3; loops++)

static void a_client_gets_what_another_one_publishes(void **state)
{
    (void)state;
    FOR_EACH_LOOPS(loops)
    {
        node_t node;
        raw_t in;
        raw_t out;
        node_start(&node, loops);
        raw_open(&in, &node);
        raw_open(&out, &node);
        raw_subscribed(&out, 5, "a.*", NULL, "");
        for (uint64_t i = 1; i <= 2000; i++) {
            raw_publish(&in, i % 2 == 0 ? "a.x" : "a.y", i % 100 == 0 ? i / 100 : 0, &i, 8);
        }
        uint64_t last[2] = {0, 0};
        for (int i = 0; i < 2000;) {
            const dx_frame_view_t *view = raw_next(&out);
            if (view->header->type == DX_FRAME_EVENT) {
                uint64_t number = 0;
                memcpy(&number, view->payload, 8);
                assert_true(number > last[number % 2]);
                last[number % 2] = number;
                assert_int_equal(view->header->sequence, (number + 1) / 2);
                i++;
            } else {
                assert_int_equal(view->header->type, DX_FRAME_DELIVER);
                assert_int_equal(dx_frame_part_u64(view, DX_PART_SUBSCRIPTION, 0), 5);
            }
        }
        raw_acknowledged(&in, 20);
        assert_int_equal(node_stat(&node).events_in, 2000);
        assert_int_equal(node_stat(&node).events_out, 2000);
        assert_int_equal(node_stat(&node).opened, 2);
        raw_close(&in);
        raw_close(&out);
        node_quiet(&node);
        node_end(&node);
    }
}

static void credit_bounds_what_is_delivered(void **state)
{
    (void)state;
    FOR_EACH_LOOPS(loops)
    {
        node_t node;
        raw_t raw;
        node_start(&node, loops);
        raw_open(&raw, &node);
        raw_subscribe(&raw, 1, "t", NULL, "");
        (void)raw_expect(&raw, DX_FRAME_ACK);
        for (uint64_t i = 1; i <= 10; i++) {
            raw_publish(&raw, "t", i, &i, 8);
        }
        raw_acknowledged(&raw, 10);
        raw_expect_nothing(&raw);
        for (uint64_t i = 1; i <= 3; i++) {
            raw_credit(&raw, 1, i, MUCH);
            (void)raw_expect(&raw, DX_FRAME_DELIVER);
            assert_int_equal(raw_expect(&raw, DX_FRAME_EVENT)->header->sequence, i);
        }
        raw_credit(&raw, 1, 2, 1); /* a position that was there before changes nothing */
        raw_expect_nothing(&raw);
        raw_credit(&raw, 1, MUCH, 0);
        for (uint64_t i = 4; i <= 10;) {
            const dx_frame_view_t *view = raw_next(&raw);
            if (view->header->type == DX_FRAME_EVENT) {
                assert_int_equal(view->header->sequence, i++);
            }
        }
        raw_close(&raw);
        node_end(&node);
    }
}

static void credit_counts_bytes_as_well(void **state)
{
    (void)state;
    FOR_EACH_LOOPS(loops)
    {
        node_t node;
        raw_t raw;
        node_start(&node, loops);
        raw_open(&raw, &node);
        raw_subscribe(&raw, 1, "t", NULL, "");
        (void)raw_expect(&raw, DX_FRAME_ACK);
        for (uint64_t i = 1; i <= 4; i++) {
            raw_publish(&raw, "t", i, &i, 8);
        }
        raw_acknowledged(&raw, 4);
        raw_credit(&raw, 1, MUCH, 1); /* an event may begin below the position */
        (void)raw_expect(&raw, DX_FRAME_DELIVER);
        const uint32_t bytes = raw_expect(&raw, DX_FRAME_EVENT)->bytes;
        raw_credit(&raw, 1, MUCH, bytes);
        raw_expect_nothing(&raw);
        raw_credit(&raw, 1, MUCH, (uint64_t)bytes * 2);
        (void)raw_expect(&raw, DX_FRAME_DELIVER);
        assert_int_equal(raw_expect(&raw, DX_FRAME_EVENT)->header->sequence, 2);
        raw_expect_nothing(&raw);
        raw_close(&raw);
        node_end(&node);
    }
}

/* PUBLISH with three events of 5, 6 and 7 bytes. */
static void raw_publish_pack(const raw_t *raw, const char *topic)
{
    static const char payload[] = "\3\0\0\0\22\0\0\0"
                                  "\5\0\0\0\0\0\0\0aaaaa\0\0\0"
                                  "\6\0\0\0\0\0\0\0bbbbbb\0\0"
                                  "\7\0\0\0\0\0\0\0ccccccc";
    const dx_frame_part_t part = dx_frame_part_text(DX_PART_TOPIC, topic);
    raw_send(raw,
             &(dx_frame_draft_t){.type = DX_FRAME_PUBLISH,
                                 .flags = DX_FRAME_PACKED,
                                 .payload_bytes = sizeof payload,
                                 .key_hash = dx_frame_key_hash(topic, strlen(topic)),
                                 .parts = &part,
                                 .part_count = 1},
             payload);
}

static void packs_go_to_who_reads_them_and_has_credit_for_the_whole(void **state)
{
    (void)state;
    FOR_EACH_LOOPS(loops)
    {
        node_t node;
        raw_t in;
        raw_t whole;
        raw_t single;
        node_start(&node, loops);
        raw_open(&in, &node);
        raw_open_can(&whole, &node, DXI_CAPABILITY_PACK);
        raw_open(&single, &node);
        raw_subscribe(&whole, 1, "t", NULL, "");
        (void)raw_expect(&whole, DX_FRAME_ACK);
        raw_credit(&whole, 1, 5, MUCH);
        raw_expect_nothing(&whole);
        raw_subscribed(&single, 1, "t", NULL, "");
        raw_publish_pack(&in, "t");
        raw_publish_pack(&in, "t");
        raw_publish(&in, "t", 1, "d", 1);
        for (uint64_t i = 1; i <= 7;) {
            const dx_frame_view_t *view = raw_next(&single);
            if (view->header->type == DX_FRAME_EVENT) {
                assert_int_equal(view->header->flags & DX_FRAME_PACKED, 0);
                assert_int_equal(view->header->sequence, i);
                assert_int_equal(view->payload_bytes, i == 7 ? 1 : 5 + (i - 1) % 3);
                i++;
            }
        }
        /* Credit for five events: a whole pack, and two of the next one. */
        (void)raw_expect(&whole, DX_FRAME_DELIVER);
        assert_int_equal(dxi_frame_events(raw_expect(&whole, DX_FRAME_EVENT)->header), 3);
        for (uint64_t i = 4; i <= 7;) {
            const dx_frame_view_t *view = raw_next(&whole);
            if (view->header->type != DX_FRAME_EVENT) {
                continue;
            }
            assert_int_equal(view->header->sequence, i);
            i++;
            if (i == 6) {
                raw_expect_nothing(&whole);
                raw_credit(&whole, 1, MUCH, MUCH);
            }
        }
        assert_int_equal(node_stat(&node).events_in, 7);
        assert_int_equal(node_stat(&node).events_out, 14);
        raw_close(&in);
        raw_close(&whole);
        raw_close(&single);
        node_quiet(&node);
        node_end(&node);
    }
}

static void what_is_no_longer_kept_comes_as_a_gap(void **state)
{
    (void)state;
    FOR_EACH_LOOPS(loops)
    {
        node_t node;
        raw_t raw;
        node_start(&node, loops);
        raw_open(&raw, &node);
        raw_command(&raw, DX_FRAME_TOPIC_CREATE, "t", "{\"retain_events\":3}");
        (void)raw_expect(&raw, DX_FRAME_ACK);
        raw_subscribe(&raw, 1, "t", NULL, "");
        (void)raw_expect(&raw, DX_FRAME_ACK);
        for (uint64_t i = 1; i <= 10; i++) {
            raw_publish(&raw, "t", i, &i, 8);
        }
        raw_acknowledged(&raw, 10);
        raw_credit(&raw, 1, MUCH, MUCH);
        const dx_frame_view_t *gap = raw_expect(&raw, DX_FRAME_GAP);
        uint32_t bytes = 0;
        const dx_frame_range_t *range = dx_frame_part(gap, DX_PART_RANGE, &bytes);
        assert_int_equal(range->first, 1);
        assert_int_equal(range->last, 7);
        assert_int_equal(dx_frame_part_u64(gap, DX_PART_SUBSCRIPTION, 0), 1);
        assert_memory_equal(dx_frame_part(gap, DX_PART_TOPIC, &bytes), "t", 1);
        (void)raw_expect(&raw, DX_FRAME_DELIVER);
        assert_int_equal(raw_expect(&raw, DX_FRAME_EVENT)->header->sequence, 8);
        assert_int_equal(node_stat(&node).gaps, 1);
        raw_close(&raw);
        node_end(&node);
    }
}

static void what_is_too_large_for_a_client_is_a_gap_and_counts_as_dropped(void **state)
{
    (void)state;
    FOR_EACH_LOOPS(loops)
    {
        node_t node;
        raw_t in;
        raw_t small;
        static const char data[8192];
        node_start(&node, loops);
        raw_open(&in, &node);
        raw_frame_bytes_max = 4096;
        raw_open(&small, &node);
        raw_frame_bytes_max = 1048576;
        raw_subscribed(&small, 1, "t", NULL, "");
        raw_publish(&in, "t", 1, "x", 1);
        raw_publish(&in, "t", 2, data, sizeof data);
        raw_publish(&in, "t", 3, "y", 1);
        raw_acknowledged(&in, 3);
        (void)raw_expect(&small, DX_FRAME_DELIVER);
        (void)raw_expect(&small, DX_FRAME_EVENT);
        const dx_frame_view_t *view = raw_expect(&small, DX_FRAME_GAP);
        uint32_t bytes = 0;
        const dx_frame_range_t *range = dx_frame_part(view, DX_PART_RANGE, &bytes);
        assert_true(range->first == 2 && range->last == 2);
        (void)raw_expect(&small, DX_FRAME_DELIVER);
        assert_int_equal(raw_expect(&small, DX_FRAME_EVENT)->header->sequence, 3);
        dx_topic_stats_t stats;
        check_said(dx_bus_topic_stats(node.bus, "t", &stats, &said), "dx_bus_topic_stats()");
        assert_int_equal(stats.delivered, 2);
        assert_int_equal(stats.dropped, 1);
        raw_close(&in);
        raw_close(&small);
        node_end(&node);
    }
}

static void answers_of_a_subscriber_count(void **state)
{
    (void)state;
    FOR_EACH_LOOPS(loops)
    {
        node_t node;
        raw_t raw;
        node_start(&node, loops);
        raw_open(&raw, &node);
        raw_subscribed(&raw, 9, "t", "g",
                       "{\"ack\":\"explicit\",\"backoff_ns\":1000000,\"attempts_max\":9}");
        for (uint64_t i = 1; i <= 3; i++) {
            raw_publish(&raw, "t", i, &i, 8);
        }
        uint16_t shard = 0;
        for (int events = 0; events < 3;) {
            const dx_frame_view_t *view = raw_next(&raw);
            shard = view->header->type == DX_FRAME_EVENT ? view->header->shard : shard;
            events += view->header->type == DX_FRAME_EVENT;
        }
        raw_answer(&raw, DX_FRAME_ACK, 9, "t", shard, 1, 1, 0);
        raw_answer(&raw, DX_FRAME_NACK, 9, "t", shard, 2, 2, DX_EBUSY);
        const dx_frame_view_t *view = raw_next(&raw);
        while (view->header->type != DX_FRAME_DELIVER) {
            view = raw_next(&raw); /* receipts */
        }
        uint32_t bytes = 0;
        uint32_t attempt = 0;
        memcpy(&attempt, dx_frame_part(view, DX_PART_ATTEMPT, &bytes), sizeof attempt);
        assert_int_equal(attempt, 2);
        assert_true((view->header->flags & DX_FRAME_REDELIVERED) != 0);
        assert_int_equal(raw_expect(&raw, DX_FRAME_EVENT)->header->sequence, 2);
        raw_answer(&raw, DX_FRAME_ACK, 9, "t", shard, 2, 3, 0);
        raw_answer(&raw, DX_FRAME_ACK, 10, "t", shard, 2, 3, 0); /* none of ours: no matter */
        raw_answer(&raw, DX_FRAME_ACK, 9, "t", 4000, 2, 3, 0);
        (void)raw_expect(&raw, DX_FRAME_ERROR);
        raw_answer(&raw, DX_FRAME_NACK, 9, "t", shard, 2, 3, 5);
        (void)raw_expect(&raw, DX_FRAME_ERROR);
        raw_answer(&raw, DX_FRAME_ACK, 9, "t", shard, 3, 2, 0);
        (void)raw_expect(&raw, DX_FRAME_ERROR);
        raw_answer(&raw, DX_FRAME_ACK, 9, "t", shard, 0, 3, 0);
        view = raw_expect(&raw, DX_FRAME_ERROR);
        char text[DX_ERROR_MESSAGE_BYTES];
        (void)snprintf(text, sizeof text, "%.*s", (int)view->payload_bytes,
                       (const char *)view->payload);
        assert_string_equal(text, "ACK needs SUBSCRIPTION, TOPIC and RANGE, from 1 on");
        raw_close(&raw);
        node_end(&node);
    }
}

static void publish_keyed(const raw_t *raw, const char *key)
{
    const dx_frame_part_t parts[] = {dx_frame_part_text(DX_PART_TOPIC, "t"),
                                     dx_frame_part_text(DX_PART_KEY, key)};
    raw_send(raw,
             &(dx_frame_draft_t){.type = DX_FRAME_PUBLISH,
                                 .key_hash = dx_frame_key_hash(key, strlen(key)),
                                 .parts = parts,
                                 .part_count = 2},
             NULL);
}

/* The next event: its sequence, and what its DELIVER says of those that wait. */
static uint64_t event_and_held(raw_t *raw, uint64_t *held, uint16_t *shard_out)
{
    const dx_frame_view_t *view = raw_next(raw);
    while (view->header->type != DX_FRAME_EVENT) {
        *held = view->header->type == DX_FRAME_DELIVER ? view->header->sequence : *held;
        view = raw_next(raw);
    }
    *shard_out = view->header->shard;
    return view->header->sequence;
}

static void who_is_alone_is_told_of_what_waits_behind_a_refused_event(void **state)
{
    (void)state;
    FOR_EACH_LOOPS(loops)
    {
        node_t node;
        raw_t raw;
        node_start(&node, loops);
        raw_open(&raw, &node);
        raw_subscribed(&raw, 9, "t", NULL,
                       "{\"ack\":\"explicit\",\"backoff_ns\":100000000,\"attempts_max\":1000}");
        bool seen = false;
        uint64_t held = 0;
        uint16_t shard = 0;
        /* Until the node has refused the first before the second comes, and not given it again
         * before the third. */
        for (uint64_t first = 1, rounds = 1; !seen; first += 3, rounds++) {
            publish_keyed(&raw, "k");
            assert_int_equal(event_and_held(&raw, &held, &shard), first);
            assert_int_equal(held, 0);
            raw_answer(&raw, DX_FRAME_NACK, 9, "t", shard, first, first, DX_EBUSY);
            (void)usleep((useconds_t)(rounds % 16 * 2000));
            publish_keyed(&raw, "k");
            publish_keyed(&raw, "other");
            for (unsigned got = 1; got != 15;) {
                const uint64_t sequence = event_and_held(&raw, &held, &shard);
                if (sequence == first) { /* the second comes behind it, though it had come before */
                    got = (got & ~4u) | 2;
                } else {
                    got |= sequence == first + 1 ? 4 : 8;
                }
                if (sequence == first + 2 && held != 0) {
                    assert_in_range(held, first, first + 1); /* one of the two of its key */
                    seen = true;
                }
            }
            assert_int_equal(held, 0);
            raw_answer(&raw, DX_FRAME_ACK, 9, "t", shard, first, first + 2, 0);
        }
        raw_close(&raw);
        node_end(&node);
    }
}

static void unsubscribing_ends_the_deliveries(void **state)
{
    (void)state;
    FOR_EACH_LOOPS(loops)
    {
        node_t node;
        raw_t raw;
        const uint64_t number = 3;
        const dx_frame_part_t parts[] = {
            dx_frame_part_of(DX_PART_CORRELATION, &number, 8),
            dx_frame_part_of(DX_PART_SUBSCRIPTION, &number, 8),
        };
        const dx_frame_draft_t leave = {
            .type = DX_FRAME_UNSUBSCRIBE, .parts = parts, .part_count = 2};
        node_start(&node, loops);
        raw_open(&raw, &node);
        raw_subscribed(&raw, number, ">", NULL, "");
        raw_send(&raw, &leave, NULL);
        (void)raw_expect(&raw, DX_FRAME_ACK);
        raw_publish(&raw, "t", 1, "x", 1);
        raw_acknowledged(&raw, 1);
        raw_expect_nothing(&raw);
        raw_send(&raw, &leave, NULL);
        (void)raw_expect(&raw, DX_FRAME_NACK);
        assert_int_equal(raw_code(&raw), DX_ENOTFOUND);
        /* At once after asking: both are answered, in this order. */
        raw_subscribe(&raw, number, "t", NULL, "");
        raw_send(&raw, &leave, NULL);
        (void)raw_expect(&raw, DX_FRAME_ACK);
        (void)raw_expect(&raw, DX_FRAME_ACK);
        /* The number can be used again. */
        raw_subscribed(&raw, number, "t", NULL, "");
        raw_close(&raw);
        node_end(&node);
    }
}

static void who_holds_is_given_nothing_more_and_its_answers_count(void **state)
{
    (void)state;
    FOR_EACH_LOOPS(loops)
    {
        node_t node;
        raw_t raw, other;
        const uint64_t number = 3;
        const dx_frame_part_t parts[] = {
            dx_frame_part_of(DX_PART_CORRELATION, &number, 8),
            dx_frame_part_of(DX_PART_SUBSCRIPTION, &number, 8),
        };
        dx_frame_draft_t leave = {
            .type = DX_FRAME_UNSUBSCRIBE, .flags = DX_FRAME_HOLD, .parts = parts, .part_count = 2};
        node_start(&node, loops);
        raw_open(&raw, &node);
        raw_open(&other, &node);
        raw_subscribed(&raw, number, "t", "g", "");
        raw_publish(&other, "t", 1, "a", 1);
        raw_publish(&other, "t", 2, "b", 1);
        raw_acknowledged(&other, 2);
        uint64_t held = 0;
        uint16_t shard = 0;
        assert_int_equal(event_and_held(&raw, &held, &shard), 1);
        assert_int_equal(event_and_held(&raw, &held, &shard), 2);
        raw_send(&raw, &leave, NULL);
        (void)raw_expect(&raw, DX_FRAME_ACK);
        raw_publish(&other, "t", 3, "c", 1);
        (void)raw_expect(&other, DX_FRAME_ACK);
        raw_expect_nothing(&raw);
        raw_subscribed(&other, 4, "t", "g", "");
        /* Not what is with the first one. */
        assert_int_equal(event_and_held(&other, &held, &shard), 3);
        raw_answer(&raw, DX_FRAME_ACK, number, "t", shard, 1, 1, 0);
        leave.flags = 0;
        raw_send(&raw, &leave, NULL);
        (void)raw_expect(&raw, DX_FRAME_ACK);
        assert_int_equal(event_and_held(&other, &held, &shard), 2); /* that it has not answered */
        raw_expect_nothing(&other);
        raw_close(&other);
        raw_close(&raw);
        node_end(&node);
    }
}

static void bad_subscriptions_are_refused_with_a_sentence(void **state)
{
    (void)state;
    const struct {
        const char *pattern, *json;
        int code;
        const char *text;
    } table[] = {
        {"a..b", "", DX_EINVAL, ""},
        {"a", "{", DX_EPARSE, "JSON"},
        {"a", "[]", DX_EPARSE, "object"},
        {"a", "{\"speed\":1}", DX_EINVAL, "speed"},
        {"a", "{\"ack\":\"maybe\"}", DX_EINVAL, "explicit"},
        {"a", "{\"attempts_max\":1000001}", DX_EINVAL, "attempts_max"},
        {"a", "{\"slow_block_ns\":-1}", DX_EINVAL, "slow_block_ns"},
    };
    node_t node;
    raw_t raw;
    node_open(&node, &(dx_bus_options_t){.shards = 2, .loops = 1},
              &(dxi_session_policy_t){.subscriptions_max = {2}});
    raw_open(&raw, &node);
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        raw_subscribe(&raw, i, table[i].pattern, NULL, table[i].json);
        const dx_frame_view_t *view = raw_expect(&raw, DX_FRAME_NACK);
        assert_string_equal(dx_error_name(raw_code(&raw)), dx_error_name(table[i].code));
        assert_int_equal(dx_frame_part_u64(view, DX_PART_CORRELATION, 99), i);
        char text[512];
        (void)snprintf(text, sizeof text, "%.*s", (int)view->payload_bytes,
                       (const char *)view->payload);
        assert_contains(text, table[i].text);
    }
    raw_subscribed(&raw, 1, "a", NULL, "");
    raw_subscribe(&raw, 1, "b", NULL, "");
    (void)raw_expect(&raw, DX_FRAME_NACK);
    assert_int_equal(raw_code(&raw), DX_EEXIST);
    raw_subscribed(&raw, 2, "a", NULL, "");
    raw_subscribe(&raw, 3, "a", NULL, "");
    (void)raw_expect(&raw, DX_FRAME_NACK);
    assert_int_equal(raw_code(&raw), DX_ELIMIT);
    raw_close(&raw);
    node_end(&node);
}

static void frames_that_are_not_a_clients_are_refused(void **state)
{
    (void)state;
    node_t node;
    raw_t raw;
    node_start(&node, 1);
    raw_open(&raw, &node);
    const dx_frame_part_t topic = dx_frame_part_text(DX_PART_TOPIC, "t");
    raw_send(&raw, &(dx_frame_draft_t){.type = DX_FRAME_EVENT, .parts = &topic, .part_count = 1},
             NULL);
    (void)raw_expect(&raw, DX_FRAME_ERROR);
    assert_int_equal(raw_code(&raw), DX_ENOTSUP);
    assert_int_equal(raw_code_number(&raw), DX_FRAME_EVENT);
    raw_publish(&raw, "$dead.x", 0, "x", 1);
    (void)raw_expect(&raw, DX_FRAME_ERROR);
    assert_int_equal(raw_code(&raw), DX_EPERM);
    assert_int_equal(dx_frame_part_u64(&raw.view, DX_PART_COUNT, 1), 1);
    raw_publish_pack(&raw, "$dead.x");
    (void)raw_expect(&raw, DX_FRAME_ERROR);
    assert_int_equal(dx_frame_part_u64(&raw.view, DX_PART_COUNT, 1), 3);
    raw_publish_pack(&raw, "a..b"); /* the shard refuses it */
    (void)raw_expect(&raw, DX_FRAME_NACK);
    assert_int_equal(raw_code(&raw), DX_EINVAL);
    assert_int_equal(raw.view.header->producer_id, 0);
    assert_int_equal(dx_frame_part_u64(&raw.view, DX_PART_COUNT, 1), 3);
    raw_publish(&raw, "$dead.x", 1, "x", 1);
    (void)raw_expect(&raw, DX_FRAME_NACK);
    assert_int_equal(raw_code(&raw), DX_EPERM);
    assert_int_equal(raw.view.header->producer_sequence, 1);
    raw_publish(&raw, "a..b", 2, "x", 1);
    (void)raw_expect(&raw, DX_FRAME_NACK);
    assert_int_equal(raw_code(&raw), DX_EINVAL);
    char *large = calloc(1, 70000);
    raw_publish(&raw, "t", 3, large, 70000);
    free(large);
    (void)raw_expect(&raw, DX_FRAME_NACK);
    assert_int_equal(raw_code(&raw), DX_ELIMIT);
    raw_publish(&raw, "t", 4, "x", 1);
    (void)raw_expect(&raw, DX_FRAME_ACK);
    raw_close(&raw);
    node_end(&node);
}

static int answer_question(void *context, const char *question, const char *argument,
                           char **text_out, dx_error_t *error)
{
    (void)context;
    (void)error;
    if (strcmp(question, "info") != 0) {
        return DX_ENOTFOUND;
    }
    *text_out = malloc(64);
    (void)snprintf(*text_out, 64, "{\"of\":\"%s\"}", argument);
    return DX_OK;
}

static void commands_are_answered(void **state)
{
    (void)state;
    FOR_EACH_LOOPS(loops)
    {
        node_t node;
        raw_t raw;
        node_open(&node, &(dx_bus_options_t){.shards = 4, .loops = loops},
                  &(dxi_session_policy_t){.ask = answer_question});
        raw_open(&raw, &node);
        raw_command(&raw, DX_FRAME_TOPIC_LIST, NULL, "");
        assert_int_equal(raw_expect(&raw, DX_FRAME_TOPIC_INFO)->payload_bytes, 0);
        raw_command(&raw, DX_FRAME_TOPIC_CREATE, "b", "{\"shard_by\":\"key\"}");
        (void)raw_expect(&raw, DX_FRAME_ACK);
        raw_command(&raw, DX_FRAME_TOPIC_CREATE, "a", "");
        (void)raw_expect(&raw, DX_FRAME_ACK);
        raw_command(&raw, DX_FRAME_TOPIC_CREATE, "b", "{}");
        (void)raw_expect(&raw, DX_FRAME_NACK);
        assert_int_equal(raw_code(&raw), DX_EEXIST);
        raw_command(&raw, DX_FRAME_TOPIC_CREATE, "c", "{\"retain\":1}");
        (void)raw_expect(&raw, DX_FRAME_NACK);
        raw_command(&raw, DX_FRAME_TOPIC_LIST, NULL, "");
        const dx_frame_view_t *view = raw_expect(&raw, DX_FRAME_TOPIC_INFO);
        assert_true((view->header->flags & DX_FRAME_MORE) != 0);
        assert_int_equal(dx_frame_part_u64(view, DX_PART_CORRELATION, 0), 4711);
        assert_memory_equal(view->payload, "{\"name\":\"a\"", 11);
        view = raw_expect(&raw, DX_FRAME_TOPIC_INFO);
        assert_true((view->header->flags & DX_FRAME_MORE) == 0);
        assert_memory_equal(view->payload, "{\"name\":\"b\"", 11);
        raw_command(&raw, DX_FRAME_TOPIC_CHANGE, "b", "{\"retain_events\":\"none\"}");
        (void)raw_expect(&raw, DX_FRAME_ACK);
        raw_command(&raw, DX_FRAME_TOPIC_STATS, "b", "");
        (void)raw_expect(&raw, DX_FRAME_TOPIC_INFO);
        raw_command(&raw, DX_FRAME_TOPIC_DELETE, "b", "");
        (void)raw_expect(&raw, DX_FRAME_ACK);
        raw_command(&raw, DX_FRAME_TOPIC_STATS, "b", "");
        (void)raw_expect(&raw, DX_FRAME_NACK);
        assert_int_equal(raw_code(&raw), DX_ENOTFOUND);
        raw_command(&raw, DX_FRAME_ASK, NULL, "info");
        view = raw_expect(&raw, DX_FRAME_ANSWER);
        assert_memory_equal(view->payload, "{\"of\":\"\"}", view->payload_bytes);
        raw_command(&raw, DX_FRAME_ASK, NULL, "what");
        (void)raw_expect(&raw, DX_FRAME_NACK);
        assert_int_equal(raw_code(&raw), DX_ENOTFOUND);
        raw_close(&raw);
        node_end(&node);
    }
}

static void requests_find_their_replies(void **state)
{
    (void)state;
    FOR_EACH_LOOPS(loops)
    {
        node_t node;
        raw_t asks;
        raw_t answers;
        const uint64_t correlation = 12;
        node_start(&node, loops);
        raw_open(&asks, &node);
        raw_open(&answers, &node);
        raw_subscribed(&asks, 1, "$inbox.00000000000000ff", NULL, "");
        const dx_frame_part_t parts[] = {
            dx_frame_part_text(DX_PART_TOPIC, "q"),
            dx_frame_part_of(DX_PART_CORRELATION, &correlation, 8),
            dx_frame_part_text(DX_PART_REPLY_TO, "$inbox.00000000000000ff"),
        };
        const dx_frame_draft_t request = {
            .type = DX_FRAME_REQUEST, .parts = parts, .part_count = 3, .payload_bytes = 3};
        raw_send(&asks, &request, "why");
        (void)raw_expect(&asks, DX_FRAME_NACK);
        assert_int_equal(raw_code(&asks), DX_ENOTFOUND);
        assert_int_equal(dx_frame_part_u64(&asks.view, DX_PART_CORRELATION, 0), 12);
        raw_subscribed(&answers, 2, "q", NULL, "");
        raw_send(&asks, &request, "why");
        (void)raw_expect(&answers, DX_FRAME_DELIVER);
        const dx_frame_view_t *question = raw_expect(&answers, DX_FRAME_EVENT);
        uint32_t bytes = 0;
        const char *reply_to = dx_frame_part(question, DX_PART_REPLY_TO, &bytes);
        const uint64_t asked = dx_frame_part_u64(question, DX_PART_CORRELATION, 0);
        const dx_frame_part_t back[] = {
            dx_frame_part_of(DX_PART_TOPIC, reply_to, bytes),
            dx_frame_part_of(DX_PART_CORRELATION, &asked, 8),
        };
        raw_send(&answers,
                 &(dx_frame_draft_t){
                     .type = DX_FRAME_REPLY, .parts = back, .part_count = 2, .payload_bytes = 4},
                 "so\0!");
        (void)raw_expect(&asks, DX_FRAME_DELIVER);
        const dx_frame_view_t *reply = raw_expect(&asks, DX_FRAME_EVENT);
        assert_int_equal(dx_frame_part_u64(reply, DX_PART_CORRELATION, 0), 12);
        assert_memory_equal(reply->payload, "so\0!", 4);
        raw_close(&asks);
        raw_close(&answers);
        node_end(&node);
    }
}

static void a_retry_is_acknowledged_as_a_duplicate(void **state)
{
    (void)state;
    node_t node;
    raw_t raw;
    node_start(&node, 2);
    raw_open(&raw, &node);
    raw_publish(&raw, "t", 1, "x", 1);
    assert_int_equal(raw_expect(&raw, DX_FRAME_ACK)->header->sequence, 1);
    raw_publish(&raw, "t", 1, "x", 1);
    const dx_frame_view_t *again = raw_expect(&raw, DX_FRAME_ACK);
    assert_int_equal(again->header->sequence, 1);
    assert_true((again->header->flags & DX_FRAME_RETRY) != 0);
    raw_close(&raw);
    node_end(&node);
}

static void a_disconnecting_policy_is_told(void **state)
{
    (void)state;
    FOR_EACH_LOOPS(loops)
    {
        node_t node;
        raw_t raw;
        node_start(&node, loops);
        raw_open(&raw, &node);
        raw_command(&raw, DX_FRAME_TOPIC_CREATE, "t", "{\"retain_events\":\"none\"}");
        (void)raw_expect(&raw, DX_FRAME_ACK);
        raw_subscribe(&raw, 6, "t", NULL, "{\"slow\":\"disconnect\"}");
        (void)raw_expect(&raw, DX_FRAME_ACK);
        for (uint64_t i = 1; i <= 3; i++) {
            raw_publish(&raw, "t", 0, &i, 8);
        }
        const dx_frame_view_t *end = raw_expect(&raw, DX_FRAME_NACK);
        assert_int_equal(raw_code(&raw), DX_ELIMIT);
        assert_int_equal(dx_frame_part_u64(end, DX_PART_SUBSCRIPTION, 0), 6);
        assert_false(dx_frame_has(end, DX_PART_RANGE));
        raw_close(&raw);
        node_end(&node);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_gets_what_another_one_publishes),
        cmocka_unit_test(credit_bounds_what_is_delivered),
        cmocka_unit_test(credit_counts_bytes_as_well),
        cmocka_unit_test(packs_go_to_who_reads_them_and_has_credit_for_the_whole),
        cmocka_unit_test(what_is_no_longer_kept_comes_as_a_gap),
        cmocka_unit_test(what_is_too_large_for_a_client_is_a_gap_and_counts_as_dropped),
        cmocka_unit_test(answers_of_a_subscriber_count),
        cmocka_unit_test(who_is_alone_is_told_of_what_waits_behind_a_refused_event),
        cmocka_unit_test(unsubscribing_ends_the_deliveries),
        cmocka_unit_test(who_holds_is_given_nothing_more_and_its_answers_count),
        cmocka_unit_test(bad_subscriptions_are_refused_with_a_sentence),
        cmocka_unit_test(frames_that_are_not_a_clients_are_refused),
        cmocka_unit_test(commands_are_answered),
        cmocka_unit_test(requests_find_their_replies),
        cmocka_unit_test(a_retry_is_acknowledged_as_a_duplicate),
        cmocka_unit_test(a_disconnecting_policy_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
