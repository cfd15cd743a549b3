/* test_node_client.c - a node and its clients: who may connect, limits, questions, certificates,
 * and the drain.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disruptorx/client.h"
#include "disruptorx/clock.h"
#include "node/node_internal.h"

#include "net_certificates.h"
#include "node_test.h"

#define WAIT_NS (30 * DX_NS_PER_S)

static const char *address_of(const dx_node_t *node)
{
    return dx_node_address(node, 0);
}

static int connect_as(dx_node_t *node, const char *token, dx_client_t **client_out,
                      dx_error_t *error)
{
    return dx_client_connect(
        &(dx_client_options_t){
            .address = address_of(node), .name = "tester", .token = token, .timeout_ns = WAIT_NS},
        client_out, error);
}

static dx_client_t *connected(dx_node_t *node, const char *token)
{
    dx_client_t *client = NULL;
    dx_error_t error = {0};
    if (connect_as(node, token, &client, &error) != DX_OK) {
        fail_msg("%s", error.message);
    }
    return client;
}

static dx_node_info_t info_of(dx_node_t *node)
{
    dx_node_info_t info;
    assert_ok(dx_node_info(node, &info, NULL));
    return info;
}

static void set_live(dx_node_t *node, const char *name, const char *value)
{
    dx_error_t error = {0};
    if (dxi_node_set(node, name, value, NULL, NULL, &error) < 0) {
        fail_msg("%s", error.message);
    }
}

/* ------------------------------------------------------------------------------ who may connect */

static void only_who_shows_the_token_may_connect(void **state)
{
    (void)state;
    dx_config_t *const config = config_small();
    config_put(config, "auth.token", "open sesame");
    dx_node_t *const node = node_started(config);
    dx_client_t *client = NULL;
    dx_error_t error = {0};
    assert_fails(connect_as(node, "open barley", &client, &error), DX_EPERM, error,
                 "the token is wrong");
    assert_null(client);
    client = connected(node, "open sesame");
    assert_int_equal(info_of(node).connections, 1);
    assert_int_equal(info_of(node).handshake_failures, 1);
    assert_int_equal(dxi_auth_refused(&node->auth), 1);
    assert_contains(text_of_file(node_log_file), "showed a wrong token");
    assert_null(strstr(text_of_file(node_log_file), "sesame"));
    assert_null(strstr(text_of_file(node_log_file), "barley"));
    assert_ok(dx_client_close(client, WAIT_NS));
    node_end(node);
    dx_config_destroy(config);
}

static void a_new_token_is_for_connections_that_come(void **state)
{
    (void)state;
    dx_config_t *const config = config_small();
    dx_node_t *const node = node_started(config);
    dx_client_t *const early = connected(node, NULL), *client = NULL;
    dx_error_t error = {0};
    dx_receipt_t receipt;
    set_live(node, "auth.token", "open sesame");
    assert_fails(connect_as(node, "open barley", &client, &error), DX_EPERM, error, "token");
    client = connected(node, "open sesame");
    assert_ok(dx_client_publish_wait(early, &(dx_message_t){.topic = "a", .data = "x", .bytes = 1},
                                     &receipt, NULL));
    assert_ok(dx_client_close(early, WAIT_NS));
    assert_ok(dx_client_close(client, WAIT_NS));
    node_end(node);
    dx_config_destroy(config);
}

/* Files of an authority, and a node and a client that it has signed. */
typedef struct papers {
    char authority[80], certificate[80], key[80], client_certificate[80], client_key[80];
} papers_t;

static papers_t papers_make(const char *prefix)
{
    papers_t papers;
    const struct {
        char *path;
        const char *name;
    } paths[] = {{papers.authority, "ca"},
                 {papers.certificate, "node"},
                 {papers.key, "node-key"},
                 {papers.client_certificate, "client"},
                 {papers.client_key, "client-key"}};
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        (void)snprintf(paths[i].path, sizeof papers.authority, "%s/%s%s.pem", node_folder, prefix,
                       paths[i].name);
    }
    identity_t authority = identity_make("authority", NULL, NULL, 3600);
    identity_t node = identity_make("node", "DNS:localhost,IP:127.0.0.1", &authority, 3600);
    identity_t client = identity_make("alice", NULL, &authority, 3600);
    certificate_write(&authority, papers.authority);
    certificate_write(&node, papers.certificate);
    key_write(&node, papers.key);
    certificate_write(&client, papers.client_certificate);
    key_write(&client, papers.client_key);
    identity_free(&authority);
    identity_free(&node);
    identity_free(&client);
    return papers;
}

static dx_config_t *config_tls(const papers_t *papers)
{
    dx_config_t *const config = config_small();
    config_put(config, "listen.addresses", "tls://127.0.0.1:0");
    config_put(config, "tls.certificate_file", papers->certificate);
    config_put(config, "tls.key_file", papers->key);
    return config;
}

static void a_client_with_a_certificate_needs_no_token(void **state)
{
    (void)state;
    const papers_t papers = papers_make("");
    dx_config_t *const config = config_tls(&papers);
    config_put(config, "tls.authority_file", papers.authority);
    config_put(config, "tls.verify_peer", "true");
    config_put(config, "auth.token", "open sesame");
    dx_node_t *const node = node_started(config);
    dx_client_t *client = NULL;
    dx_error_t error = {0};
    char answer[8192];
    dx_client_options_t options = {.address = address_of(node),
                                   .timeout_ns = WAIT_NS,
                                   .token = "open sesame",
                                   .tls_authority_file = papers.authority};
    assert_true(dx_client_connect(&options, &client, &error) < 0); /* a token is not enough */
    assert_null(client);
    options.token = NULL;
    options.tls_certificate_file = papers.client_certificate;
    options.tls_key_file = papers.client_key;
    assert_ok(dx_client_connect(&options, &client, &error));
    assert_ok(dx_client_ask(client, "connections", NULL, answer, sizeof answer, &error));
    assert_contains(answer, "alice");
    assert_ok(dx_client_close(client, WAIT_NS));
    node_end(node);
    dx_config_destroy(config);
}

static int connect_trusting(dx_node_t *node, const char *authority, dx_client_t **client_out)
{
    return dx_client_connect(&(dx_client_options_t){.address = address_of(node),
                                                    .timeout_ns = WAIT_NS,
                                                    .tls_authority_file = authority},
                             client_out, NULL);
}

static void certificates_are_read_again_without_a_restart(void **state)
{
    (void)state;
    const papers_t papers = papers_make(""), later = papers_make("later-");
    dx_config_t *const config = config_tls(&papers);
    dx_node_t *const node = node_started(config);
    dx_client_t *early = NULL, *client = NULL;
    dx_error_t error = {0};
    dx_receipt_t receipt;
    assert_ok(connect_trusting(node, papers.authority, &early));
    text_to_file(papers.certificate, "no certificate\n");
    assert_true(dx_node_reload(node, &error) < 0); /* nothing changes */
    assert_contains(error.message, papers.certificate);
    assert_ok(connect_trusting(node, papers.authority, &client));
    assert_ok(dx_client_close(client, WAIT_NS));
    assert_int_equal(rename(later.certificate, papers.certificate), 0);
    assert_int_equal(rename(later.key, papers.key), 0);
    assert_int_equal(dx_node_reload(node, &error), 0);
    assert_true(connect_trusting(node, papers.authority, &client) < 0);
    assert_ok(connect_trusting(node, later.authority, &client));
    assert_ok(dx_client_publish_wait(/* who was there before stays */
                                     early, &(dx_message_t){.topic = "a", .data = "x", .bytes = 1},
                                     &receipt, &error));
    assert_ok(dx_client_close(client, WAIT_NS));
    assert_ok(dx_client_close(early, WAIT_NS));
    node_end(node);
    dx_config_destroy(config);
}

/* --------------------------------------------------------------------------------------- limits */

static void connections_are_limited_and_the_limit_may_change(void **state)
{
    (void)state;
    dx_config_t *const config = config_small();
    config_put(config, "limits.connections_max", "1");
    dx_node_t *const node = node_started(config);
    dx_client_t *const first = connected(node, NULL), *second = NULL;
    dx_error_t error = {0};
    assert_fails(connect_as(node, NULL, &second, &error), DX_ELIMIT, error,
                 "limits.connections_max is 1");
    assert_int_equal(info_of(node).connections_refused, 1);
    set_live(node, "limits.connections_max", "2");
    second = connected(node, NULL);
    assert_int_equal(info_of(node).connections, 2);
    assert_ok(dx_client_close(first, WAIT_NS));
    assert_ok(dx_client_close(second, WAIT_NS));
    wait_until(info_of(node).connections == 0);
    node_end(node);
    dx_config_destroy(config);
}

static int on_event(void *context, const dx_event_t *event)
{
    (void)event;
    (void)dx_fetch_add_relaxed((dx_atomic64_t *)context, 1);
    return DX_OK;
}

static void subscriptions_of_a_connection_and_events_are_limited(void **state)
{
    (void)state;
    static char large[65536 + 1];
    dx_config_t *const config = config_small();
    config_put(config, "limits.subscriptions_per_connection_max", "2");
    dx_node_t *const node = node_started(config);
    dx_client_t *const client = connected(node, NULL);
    dx_client_subscription_t *subscriptions[3] = {NULL};
    dx_atomic64_t events = {0};
    dx_error_t error = {0};
    dx_receipt_t receipt;
    const dx_subscription_options_t options = {
        .pattern = "a", .on_event = on_event, .context = &events};
    assert_ok(dx_client_subscribe(client, &options, &subscriptions[0], &error));
    assert_ok(dx_client_subscribe(client, &options, &subscriptions[1], &error));
    assert_int_equal(dx_client_subscribe(client, &options, &subscriptions[2], &error), DX_ELIMIT);
    assert_ok(dx_client_publish_wait(
        client, &(dx_message_t){.topic = "a", .data = large, .bytes = 65536}, &receipt, &error));
    assert_int_equal(
        dx_client_publish_wait(client, &(dx_message_t){.topic = "a", .data = large, .bytes = 65537},
                               &receipt, &error),
        DX_ELIMIT);
    wait_until(dx_load_relaxed(&events) == 2);
    assert_ok(dx_client_close(client, WAIT_NS));
    node_end(node);
    dx_config_destroy(config);
}

static void what_topics_keep_may_change(void **state)
{
    (void)state;
    dx_config_t *const config = config_small();
    config_put(config, "topics.retain_events", "10");
    dx_node_t *const node = node_started(config);
    dx_client_t *const client = connected(node, NULL);
    dx_topic_stats_t stats;
    dx_receipt_t receipt;
    for (int i = 0; i < 20; i++) {
        assert_ok(dx_client_publish_wait(
            client, &(dx_message_t){.topic = "a", .data = "x", .bytes = 1}, &receipt, NULL));
    }
    assert_ok(dx_bus_topic_stats(dx_node_bus(node), "a", &stats, NULL));
    assert_int_equal(stats.retained_events, 10);
    set_live(node, "topics.retain_events", "5");
    assert_ok(dx_bus_topic_stats(dx_node_bus(node), "a", &stats, NULL));
    assert_int_equal(stats.retained_events, 5);
    set_live(node, "topics.retain_events", "0");
    assert_ok(dx_bus_topic_stats(dx_node_bus(node), "a", &stats, NULL));
    assert_int_equal(stats.retained_events, 0);
    assert_ok(dx_client_close(client, WAIT_NS));
    node_end(node);
    dx_config_destroy(config);
}

static void topics_may_have_to_be_declared(void **state)
{
    (void)state;
    dx_config_t *const config = config_small();
    config_put(config, "bus.topic_creation", "false");
    dx_node_t *const node = node_started(config);
    dx_client_t *const client = connected(node, NULL);
    const dx_message_t message = {.topic = "a", .data = "x", .bytes = 1};
    dx_receipt_t receipt;
    dx_error_t error = {0};
    assert_int_equal(dx_client_publish_wait(client, &message, &receipt, &error), DX_ENOTFOUND);
    assert_ok(dx_client_topic_create(client, "a", NULL, &error));
    assert_ok(dx_client_publish_wait(client, &message, &receipt, &error));
    assert_ok(dx_client_close(client, WAIT_NS));
    node_end(node);
    dx_config_destroy(config);
}

/* ------------------------------------------------------------------------------------ questions */

static void a_client_may_ask_and_change(void **state)
{
    (void)state;
    dx_config_t *const config = config_small();
    config_put(config, "node.name", "n1");
    dx_node_t *const node = node_started(config);
    dx_client_t *const client = connected(node, NULL);
    dx_client_subscription_t *subscription = NULL;
    dx_atomic64_t events = {0};
    dx_error_t error = {0};
    char answer[65536];
    assert_ok(dx_client_subscribe(
        client,
        &(dx_subscription_options_t){
            .pattern = "orders.*", .name = "watcher", .on_event = on_event, .context = &events},
        &subscription, &error));
    assert_ok(dx_client_ask(client, "node", NULL, answer, sizeof answer, &error));
    assert_contains(answer, "\"name\":\"n1\"");
    assert_contains(answer, "\"connections\":1");
    assert_contains(answer, "\"subscriptions\":1");
    assert_ok(dx_client_ask(client, "config", "", answer, sizeof answer, &error));
    assert_contains(answer, "\"name\":\"listen.addresses\"");
    assert_ok(
        dx_client_ask(client, "config.set", "timeouts.drain_ms=3s", answer, sizeof answer, &error));
    assert_contains(answer, "\"from\":\"10s\",\"to\":\"3s\"");
    assert_ok(dx_client_ask(client, "connections", NULL, answer, sizeof answer, &error));
    assert_contains(answer, "\"name\":\"tester\"");
    assert_ok(dx_client_ask(client, "subscriptions", NULL, answer, sizeof answer, &error));
    assert_contains(answer, "\"pattern\":\"orders.*\"");
    /* Who asks knows by the room whether it was too small, or the node has said no. */
    assert_fails(dx_client_ask(client, "config", "", answer, 8, &error), DX_ELIMIT, error,
                 "there is room for 7");
    assert_int_equal(strlen(answer), 7);
    assert_fails(dx_client_ask(client, "conections", NULL, answer, sizeof answer, &error),
                 DX_ENOTFOUND, error, "did you mean connections?");
    assert_string_equal(answer, "");
    assert_fails(dx_client_ask(client, "config.set", "bus.shards=4", answer, sizeof answer, &error),
                 DX_EBUSY, error, "bus.shards can't change");
    assert_ok(dx_client_close(client, WAIT_NS));
    node_end(node);
    dx_config_destroy(config);
}

/* ---------------------------------------------------------------------------------------- drain */

typedef struct receipts {
    dx_atomic64_t taken, refused;
} receipts_t;

static void on_receipt(void *context, const dx_receipt_t *receipt)
{
    receipts_t *const receipts = context;
    (void)dx_fetch_add_relaxed(receipt->code == DX_OK ? &receipts->taken : &receipts->refused, 1);
}

static void subscriptions_of_a_connection_are_limited_and_the_limit_may_change(void **state)
{
    (void)state;
    dx_config_t *const config = config_small();
    config_put(config, "limits.subscriptions_per_connection_max", "1");
    dx_node_t *const node = node_started(config);
    dx_client_t *const client = connected(node, NULL);
    dx_client_subscription_t *first = NULL, *second = NULL;
    dx_error_t error = {0};
    dx_atomic64_t events = {0};
    const dx_subscription_options_t options = {
        .pattern = "a", .on_event = on_event, .context = &events};
    assert_ok(dx_client_subscribe(client, &options, &first, &error));
    assert_fails(dx_client_subscribe(client, &options, &second, &error), DX_ELIMIT, error,
                 "the connection has 1 subscriptions");
    set_live(node, "limits.subscriptions_per_connection_max", "2");
    assert_ok(dx_client_subscribe(client, &options, &second, &error));
    assert_ok(dx_client_close(client, WAIT_NS));
    node_end(node);
    dx_config_destroy(config);
}

/* The client's credit is what the option says when it is renewed. */
static void the_publishing_window_may_change(void **state)
{
    (void)state;
    dx_config_t *const config = config_small();
    config_put(config, "limits.publish_credit_events", "16");
    dx_node_t *const node = node_started(config);
    dx_client_t *const client = connected(node, NULL);
    dx_receipt_t receipt;
    const dx_message_t message = {.topic = "a", .data = "x", .bytes = 1};
    for (int i = 0; i < 100; i++) { /* more than the window: it is renewed */
        assert_ok(dx_client_publish_wait(client, &message, &receipt, NULL));
    }
    set_live(node, "limits.publish_credit_events", "4096");
    for (int i = 0; i < 100; i++) {
        assert_ok(dx_client_publish_wait(client, &message, &receipt, NULL));
    }
    assert_int_equal(receipt.sequence, 200);
    set_live(node, "limits.publish_credit_events", "16");
    for (int i = 0; i < 5000; i++) { /* beyond what was granted before */
        assert_ok(dx_client_publish(client, &message, NULL));
    }
    assert_ok(dx_client_publish_wait(client, &message, &receipt, NULL));
    assert_int_equal(receipt.sequence, 5201);
    assert_ok(dx_client_close(client, WAIT_NS));
    node_end(node);
    dx_config_destroy(config);
}

static void a_node_that_stops_delivers_and_answers_what_it_has(void **state)
{
    (void)state;
    enum { MESSAGES = 5000 };
    dx_config_t *const config = config_small();
    dx_node_t *const node = node_started(config);
    dx_client_t *const client = connected(node, NULL);
    dx_subscription_t *subscription = NULL;
    receipts_t receipts = {.taken = {0}};
    dx_atomic64_t events = {0};
    dx_error_t error = {0};
    assert_ok(dx_bus_on(dx_node_bus(node), "a", on_event, &events, &subscription, NULL));
    for (int i = 0; i < MESSAGES; i++) {
        assert_ok(dx_client_publish_async(client,
                                          &(dx_message_t){.topic = "a", .data = "x", .bytes = 1},
                                          on_receipt, &receipts, &error));
    }
    wait_until(dx_load_relaxed(&receipts.taken) >
               0); /* some are through, the others on their way */
    assert_ok(dx_node_stop(node, WAIT_NS, &error));
    (void)dx_client_close(client, 0); /* answers those that the node did not take */
    assert_int_equal(dx_load_relaxed(&receipts.taken) + dx_load_relaxed(&receipts.refused),
                     MESSAGES);
    /* What was acknowledged was delivered. An answer may have been lost with the connection. */
    assert_true(dx_load_relaxed(&events) >= dx_load_relaxed(&receipts.taken));
    dx_node_destroy(node);
    dx_config_destroy(config);
}

static void a_remote_subscriber_gets_everything_before_goodbye(void **state)
{
    (void)state;
    enum { MESSAGES = 2000 };
    dx_config_t *const config = config_small();
    dx_node_t *const node = node_started(config);
    dx_client_t *const client = connected(node, NULL);
    dx_client_subscription_t *subscription = NULL;
    dx_atomic64_t events = {0};
    dx_error_t error = {0};
    assert_ok(dx_client_subscribe(
        client,
        &(dx_subscription_options_t){.pattern = ">", .on_event = on_event, .context = &events},
        &subscription, &error));
    for (int i = 0; i < MESSAGES; i++) {
        assert_ok(dx_bus_publish(dx_node_bus(node), "orders.created", "x", 1, &error));
    }
    assert_ok(dx_node_stop(node, WAIT_NS, &error));
    wait_until(dx_load_relaxed(&events) == MESSAGES); /* they are in its socket */
    (void)dx_client_close(client, 0);
    dx_node_destroy(node);
    dx_config_destroy(config);
}

static void what_is_left_at_the_end_of_the_drain_is_told(void **state)
{
    (void)state;
    dx_config_t *const config = config_small();
    dx_node_t *const node = node_started(config);
    dx_subscription_t *subscription = NULL;
    dx_atomic64_t events = {0};
    dx_error_t error = {0};
    assert_ok(dx_bus_subscribe(
        dx_node_bus(node),
        &(dx_subscription_options_t){
            .pattern = "a", .ack = DX_ACK_EXPLICIT, .on_event = on_event, .context = &events},
        &subscription, &error));
    assert_ok(dx_bus_publish(dx_node_bus(node), "a", "x", 1, &error));
    wait_until(dx_load_relaxed(&events) > 0); /* and nobody acknowledges it */
    assert_fails(dx_node_stop(node, 1000000, &error), DX_ETIMEDOUT, error, "not acknowledged");
    assert_contains(text_of_file(node_log_file), "not acknowledged");
    assert_ok(dx_node_stop(node, 0, &error));
    dx_node_destroy(node);
    dx_config_destroy(config);
}

/* Asks until the node is gone. */
static void ask_without_end(void *client)
{
    static const char *const QUESTIONS[] = {"node", "config.reload", "subscriptions"};
    char answer[65536];
    int code = DX_OK;
    for (size_t i = 0; code == DX_OK; i++) {
        code = dx_client_ask(client, QUESTIONS[i % COUNT_OF(QUESTIONS)], NULL, answer,
                             sizeof answer, NULL);
    }
}

static void it_stops_while_it_is_asked(void **state)
{
    (void)state;
    dx_config_t *const config = config_small();
    for (int round = 0; round < 5; round++) {
        dx_node_t *const node = node_started(config);
        dx_client_t *client = NULL;
        dx_thread_t *thread = NULL;
        dx_error_t error = {0};
        assert_ok(dx_client_connect(
            &(dx_client_options_t){.address = address_of(node), .timeout_ns = DX_NS_PER_S / 4},
            &client, &error));
        assert_ok(dx_thread_start(NULL, ask_without_end, client, &thread, &error));
        wait_until(info_of(node).config_reloads > 2);
        assert_ok(dx_node_stop(node, WAIT_NS, &error));
        assert_ok(dx_thread_join(thread));
        (void)dx_client_close(client, 0);
        dx_node_destroy(node);
    }
    dx_config_destroy(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_who_shows_the_token_may_connect),
        cmocka_unit_test(a_new_token_is_for_connections_that_come),
        cmocka_unit_test(a_client_with_a_certificate_needs_no_token),
        cmocka_unit_test(certificates_are_read_again_without_a_restart),
        cmocka_unit_test(connections_are_limited_and_the_limit_may_change),
        cmocka_unit_test(subscriptions_of_a_connection_and_events_are_limited),
        cmocka_unit_test(what_topics_keep_may_change),
        cmocka_unit_test(topics_may_have_to_be_declared),
        cmocka_unit_test(a_client_may_ask_and_change),
        cmocka_unit_test(subscriptions_of_a_connection_are_limited_and_the_limit_may_change),
        cmocka_unit_test(the_publishing_window_may_change),
        cmocka_unit_test(a_node_that_stops_delivers_and_answers_what_it_has),
        cmocka_unit_test(a_remote_subscriber_gets_everything_before_goodbye),
        cmocka_unit_test(what_is_left_at_the_end_of_the_drain_is_told),
        cmocka_unit_test(it_stops_while_it_is_asked),
    };
    return cmocka_run_group_tests(tests, node_folder_make, node_folder_remove);
}
