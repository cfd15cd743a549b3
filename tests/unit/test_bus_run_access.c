/* test_bus_run_access.c - sessions of users, frame by frame: what a client that breaks the rules
 * can't do, and what it is told.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "session_test.h"

#define RATE 200

static dxi_access_t *access_live;

static void users_set(const char *rules)
{
    uint8_t hash[DXI_ACCESS_HASH_BYTES];
    char text[2048], hexadecimal[2 * DXI_ACCESS_HASH_BYTES + 1];
    dxi_access_table_t *table = NULL;
    size_t used = (size_t)snprintf(text, sizeof text, "users:\n");
    for (const char *name = "a\0b\0"; *name != '\0'; name += 2) {
        assert_ok(dxi_access_token_hash(name, 1, hash));
        for (size_t i = 0; i < sizeof hash; i++) {
            (void)snprintf(hexadecimal + 2 * i, 3, "%02x", hash[i]);
        }
        used += (size_t)snprintf(text + used, sizeof text - used,
                                 "  %s: {token_sha256: \"%s\", %s}\n", name, hexadecimal, rules);
    }
    check_said(dxi_access_table_parse(text, used, "users", &table, &said), "users");
    dxi_access_set(access_live, table);
}

static void begin(node_t *node, const char *rules)
{
    assert_ok(dxi_access_create(NULL, &access_live, NULL));
    users_set(rules);
    node_open(node, &(dx_bus_options_t){.shards = 2, .loops = 2},
              &(dxi_session_policy_t){.access = access_live});
}

static void end(node_t *node)
{
    node_end(node);
    dxi_access_destroy(access_live);
}

static void auth_send(const raw_t *raw, const char *token)
{
    const dx_frame_part_t part = dx_frame_part_text(DX_PART_MECHANISM, "token");
    raw_send(raw,
             &(dx_frame_draft_t){.type = DX_FRAME_AUTH,
                                 .parts = &part,
                                 .part_count = 1,
                                 .payload_bytes = (uint32_t)strlen(token)},
             token);
}

static void open_as(raw_t *raw, const node_t *node, const char *token)
{
    raw_connect(raw, node);
    raw_hello(raw);
    auth_send(raw, token);
    (void)raw_expect(raw, DX_FRAME_WELCOME);
}

/* The next answer is a refusal with this code and this in its sentence. */
static void expect_refusal(raw_t *raw, int type, int code, const char *text)
{
    char sentence[512];
    const dx_frame_view_t *const view = raw_expect(raw, type);
    (void)snprintf(sentence, sizeof sentence, "%.*s", (int)view->payload_bytes,
                   (const char *)view->payload);
    assert_string_equal(dx_error_name(raw_code(raw)), dx_error_name(code));
    assert_contains(sentence, text);
}

static void request_send(const raw_t *raw, const char *topic, const char *reply_to)
{
    const uint64_t correlation = 5;
    const dx_frame_part_t parts[] = {
        dx_frame_part_text(DX_PART_TOPIC, topic),
        dx_frame_part_of(DX_PART_CORRELATION, &correlation, 8),
        dx_frame_part_text(DX_PART_REPLY_TO, reply_to),
    };
    raw_send(raw, &(dx_frame_draft_t){.type = DX_FRAME_REQUEST, .parts = parts, .part_count = 3},
             NULL);
}

static void a_request_names_an_inbox_of_its_own_connection(void **state)
{
    (void)state;
    node_t node;
    raw_t a, b;
    begin(&node, "request: t, subscribe: t, publish: t");
    open_as(&a, &node, "a");
    open_as(&b, &node, "b");
    raw_subscribed(&a, 1, "$inbox.a", NULL, "");
    raw_subscribed(&b, 1, "t", NULL, "");
    request_send(&b, "t", "$inbox.a");
    expect_refusal(&b, DX_FRAME_NACK, DX_EPERM, "it is no inbox of this connection");
    request_send(&a, "t", "$dead.t");
    expect_refusal(&a, DX_FRAME_NACK, DX_EPERM, "it is no inbox of this connection");
    request_send(&a, "other", "$inbox.a");
    expect_refusal(&a, DX_FRAME_NACK, DX_EPERM, "user a may not send requests to \"other\"");
    request_send(&a, "t", "$inbox.a");
    (void)raw_expect(&b, DX_FRAME_DELIVER);
    (void)raw_expect(&b, DX_FRAME_EVENT);
    raw_subscribe(&b, 2, "$inbox.a", NULL, "");
    expect_refusal(&b, DX_FRAME_NACK, DX_EPERM, "it is another's inbox");
    dxi_access_stat_t stat;
    dxi_access_stat(access_live, &stat);
    assert_int_equal(stat.refused[DXI_ACCESS_REQUEST], 3);
    assert_int_equal(stat.refused[DXI_ACCESS_SUBSCRIBE], 1);
    raw_close(&a);
    raw_close(&b);
    end(&node);
}

/* The answer to a publication; whether it was taken before. */
static bool was_taken_before(raw_t *raw, uint64_t producer_sequence)
{
    const dx_frame_header_t *const header = raw_expect(raw, DX_FRAME_ACK)->header;
    assert_int_equal(header->producer_id, 77); /* of raw_publish() */
    assert_int_equal(header->producer_sequence, producer_sequence);
    return (header->flags & DX_FRAME_RETRY) != 0;
}

static void a_producer_id_is_of_one_user(void **state)
{
    (void)state;
    node_t node;
    raw_t a, b, again;
    begin(&node, "publish: t");
    open_as(&a, &node, "a");
    open_as(&b, &node, "b");
    raw_publish(&a, "t", 1, "x", 1);
    assert_false(was_taken_before(&a, 1));
    raw_publish(&b, "t", 1000000, "x", 1); /* under the id that a has */
    assert_false(was_taken_before(&b, 1000000));
    raw_publish(&a, "t", 2, "x", 1);
    assert_false(was_taken_before(&a, 2));
    raw_close(&a);
    users_set("publish: [t, u]"); /* the user stays the same */
    dxi_bus_access_renew(node.bus);
    open_as(&again, &node, "a");
    raw_publish(&again, "t", 2, "x", 1);
    assert_true(was_taken_before(&again, 2));
    raw_publish(&again, "t", 3, "x", 1);
    assert_false(was_taken_before(&again, 3));
    dx_topic_stats_t stats;
    assert_ok(dx_bus_topic_stats(node.bus, "t", &stats, &said));
    assert_int_equal(stats.published, 4);
    assert_int_equal(stats.duplicates, 1);
    raw_close(&again);
    raw_close(&b);
    end(&node);
}

static void dead_letters_go_only_where_the_user_may_publish(void **state)
{
    (void)state;
    node_t node;
    raw_t raw;
    begin(&node, "subscribe: t, publish: d");
    open_as(&raw, &node, "a");
    raw_subscribe(&raw, 1, "t", "g", "{\"dead_letter\":\"t\"}");
    expect_refusal(&raw, DX_FRAME_NACK, DX_EPERM, "user a may not publish to \"t\"");
    raw_subscribe(&raw, 1, "t", "g", "{\"dead_letter\":\"$inbox.b\"}");
    expect_refusal(&raw, DX_FRAME_NACK, DX_EPERM, "user a may not publish to \"$inbox.b\"");
    raw_subscribed(&raw, 1, "t", "g", "{\"dead_letter\":\"d\"}");
    raw_close(&raw);
    end(&node);
}

static void a_reload_ends_subscriptions_whose_dead_letters_may_not_go_there(void **state)
{
    (void)state;
    node_t node;
    raw_t raw;
    begin(&node, "subscribe: t, publish: d");
    open_as(&raw, &node, "a");
    raw_subscribed(&raw, 1, "t", "g", "{\"dead_letter\":\"d\"}");
    raw_subscribed(&raw, 2, "t", "h", "");
    users_set("subscribe: t");
    dxi_bus_access_renew(node.bus);
    expect_refusal(&raw, DX_FRAME_NACK, DX_EPERM, "user a may not publish to \"d\"");
    assert_int_equal(dx_frame_part_u64(&raw.view, DX_PART_SUBSCRIPTION, 0), 1);
    raw_expect_nothing(&raw);
    raw_close(&raw);
    end(&node);
}

static void subscriptions_of_a_connection_have_the_users_limit(void **state)
{
    (void)state;
    node_t node;
    raw_t raw;
    begin(&node, "subscribe: \">\", subscriptions_max: 2");
    open_as(&raw, &node, "a");
    raw_subscribed(&raw, 1, "t", NULL, "");
    raw_subscribed(&raw, 2, "t", NULL, "");
    raw_subscribe(&raw, 3, "t", NULL, "");
    expect_refusal(&raw, DX_FRAME_NACK, DX_ELIMIT, "subscriptions_max is 2");
    raw_close(&raw);
    end(&node);
}

/* More topics than the session keeps answers for, allowed and refused ones in turn, and again. */
static void every_topic_is_asked_for_however_many_there_are(void **state)
{
    (void)state;
    node_t node;
    raw_t raw;
    uint64_t number = 0;
    begin(&node, "publish: \"in.*\", publish_deny: in.7");
    open_as(&raw, &node, "a");
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 200; i++) {
            char topic[32];
            const bool allowed = i % 2 == 0 && i != 7;
            (void)snprintf(topic, sizeof topic, "%s.%d", i % 2 == 0 ? "in" : "out", i);
            raw_publish(&raw, topic, ++number, "x", 1);
            (void)raw_expect(&raw, allowed ? DX_FRAME_ACK : DX_FRAME_NACK);
        }
    }
    raw_publish(&raw, "in.7", ++number, "x", 1);
    expect_refusal(&raw, DX_FRAME_NACK, DX_EPERM, "publish_deny \"in.7\"");
    raw_publish(&raw, "out.1", 0, "x", 1); /* nobody asked for an answer: an ERROR */
    expect_refusal(&raw, DX_FRAME_ERROR, DX_EPERM, "no rule allows it");
    raw_close(&raw);
    end(&node);
}

static void another_token_in_the_same_connection_ends_it(void **state)
{
    (void)state;
    node_t node;
    raw_t raw;
    begin(&node, "publish: t");
    open_as(&raw, &node, "a");
    auth_send(&raw, "a"); /* once more is no harm */
    auth_send(&raw, "");
    raw_expect_nothing(&raw);
    auth_send(&raw, "b");
    expect_refusal(&raw, DX_FRAME_ERROR, DX_EPERM, "the connection is user a by its token");
    assert_null(raw_next_or_end(&raw));
    raw_close(&raw);
    open_as(&raw, &node, "a");
    auth_send(&raw, "guess");
    expect_refusal(&raw, DX_FRAME_ERROR, DX_EPERM, "the token is wrong");
    raw_close(&raw);
    end(&node);
}

static const unsigned char *shown; /* where a proof was, in the receive buffer */
static size_t shown_bytes, shown_left;

static int proof_see(void *context, dxi_connection_t *connection, const char *mechanism,
                     const void *proof, size_t proof_bytes, dx_error_t *error)
{
    (void)context;
    (void)connection;
    (void)error;
    if (mechanism == NULL) {
        return DX_EAGAIN;
    }
    assert_memory_equal(proof, "secret", proof_bytes);
    shown = proof;
    shown_bytes = proof_bytes;
    return DX_OK;
}

static void proof_look(void *context)
{
    (void)context;
    for (size_t i = 0; i < shown_bytes; i++) {
        shown_left += shown[i] != 0;
    }
}

static void a_proof_is_wiped_out_of_the_receive_buffer(void **state)
{
    (void)state;
    node_t node;
    raw_t raw;
    shown_left = 0;
    node_open(&node, &(dx_bus_options_t){.shards = 2, .loops = 1},
              &(dxi_session_policy_t){.authenticate = proof_see});
    open_as(&raw, &node, "secret");
    assert_non_null(shown);
    dxi_loop_call(node.loop, proof_look, NULL);
    assert_int_equal(shown_left, 0);
    raw_close(&raw);
    node_end(&node);
}

/* A client that does not care for its credit is not read faster than its rate. */
static void who_sends_without_credit_waits_and_loses_nothing(void **state)
{
    (void)state;
    node_t node;
    raw_t raw;
    char rules[64];
    const uint64_t count = RATE / 10 + RATE / 5;
    (void)snprintf(rules, sizeof rules, "publish: t, publish_events_per_s: %d", RATE);
    begin(&node, rules);
    open_as(&raw, &node, "a");
    const int64_t begun_ns = dx_clock_ns();
    for (uint64_t i = 1; i <= count; i++) {
        raw_publish(&raw, "t", i, "x", 1);
    }
    raw_acknowledged(&raw, count);
    assert_true(dx_clock_ns() - begun_ns > INT64_C(150000000)); /* a tenth of a second at once */
    dxi_access_stat_t stat;
    dxi_access_stat(access_live, &stat);
    assert_true(stat.throttled > 0);
    raw_close(&raw);
    end(&node);
}

static void a_reload_reaches_sessions_in_all_loops(void **state)
{
    (void)state;
    node_t node;
    raw_t raw[4];
    begin(&node, "publish: t, subscribe: s");
    for (size_t i = 0; i < COUNT_OF(raw); i++) {
        open_as(&raw[i], &node, i % 2 == 0 ? "a" : "b");
        raw_publish(&raw[i], "t", 1, "x", 1);
        (void)raw_expect(&raw[i], DX_FRAME_ACK);
        raw_subscribed(&raw[i], 1, "s", NULL, "");
    }
    users_set("publish: u, subscribe: t");
    dxi_bus_access_renew(node.bus);
    for (size_t i = 0; i < COUNT_OF(raw); i++) {
        expect_refusal(&raw[i], DX_FRAME_NACK, DX_EPERM, "may not subscribe to \"s\"");
        raw_publish(&raw[i], "t", 2, "x", 1);
        expect_refusal(&raw[i], DX_FRAME_NACK, DX_EPERM, "may not publish to \"t\"");
        raw_publish(&raw[i], "u", 3, "x", 1);
        (void)raw_expect(&raw[i], DX_FRAME_ACK);
    }
    dxi_access_table_t *nobody = NULL;
    assert_ok(dxi_access_table_parse("users:\n", 7, "users", &nobody, NULL));
    dxi_access_set(access_live, nobody);
    dxi_bus_access_renew(node.bus);
    for (size_t i = 0; i < COUNT_OF(raw); i++) {
        expect_refusal(&raw[i], DX_FRAME_ERROR, DX_EPERM, "is no longer one of this node");
        assert_null(raw_next_or_end(&raw[i]));
        raw_close(&raw[i]);
    }
    end(&node);
}

/* Each allocation of a session fails once: the client is told, or what could be kept is asked for
 * again, and nothing is left. */
static void without_memory_a_session_is_refused_or_goes_on(void **state)
{
    (void)state;
#if DX_TEST_HOOKS
    node_t node;
    begin(&node, "publish: t, subscribe: s");
    for (int64_t n = 0; n < 40; n++) {
        raw_t raw;
        raw_connect(&raw, &node);
        dxi_fault_arm(n);
        raw_hello(&raw);
        auth_send(&raw, "a");
        const dx_frame_view_t *view = raw_next_or_end(&raw);
        if (view != NULL && view->header->type == DX_FRAME_WELCOME) {
            raw_publish(&raw, "t", 1, "x", 1);
            raw_publish(&raw, "x", 2, "x", 1);
            (void)raw_next_or_end(&raw);
        }
        dxi_fault_disarm();
        raw_close(&raw);
    }
    node_quiet(&node);
    raw_t raw;
    open_as(&raw, &node, "a");
    raw_publish(&raw, "t", 1000, "x", 1);
    (void)raw_expect(&raw, DX_FRAME_ACK);
    raw_close(&raw);
    end(&node);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_names_an_inbox_of_its_own_connection),
        cmocka_unit_test(a_producer_id_is_of_one_user),
        cmocka_unit_test(dead_letters_go_only_where_the_user_may_publish),
        cmocka_unit_test(a_reload_ends_subscriptions_whose_dead_letters_may_not_go_there),
        cmocka_unit_test(subscriptions_of_a_connection_have_the_users_limit),
        cmocka_unit_test(every_topic_is_asked_for_however_many_there_are),
        cmocka_unit_test(another_token_in_the_same_connection_ends_it),
        cmocka_unit_test(a_proof_is_wiped_out_of_the_receive_buffer),
        cmocka_unit_test(who_sends_without_credit_waits_and_loses_nothing),
        cmocka_unit_test(a_reload_reaches_sessions_in_all_loops),
        cmocka_unit_test(without_memory_a_session_is_refused_or_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
