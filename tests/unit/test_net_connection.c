/* test_net_connection.c - two sides that talk, over TCP and a UNIX socket.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <sys/stat.h>

#include "net_test.h"

static char folder[64];
static char unix_address[128];

static int setup_all(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/dx-net-XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(unix_address, sizeof unix_address, "unix://%s/s", folder);
    return 0;
}

static int teardown_all(void **state)
{
    (void)state;
    return rmdir(folder);
}

/* A listener and a client, each on a loop of its own. */
typedef struct pair {
    dxi_loop_t *node_loop;
    dxi_loop_t *client_loop;
    dxi_listener_t *listener;
    side_t node;
    side_t client;
    int64_t live_before;
} pair_t;

static void pair_begin(pair_t *pair, const char *address, const dxi_listener_options_t *wishes,
                       const dxi_connection_options_t *client_options)
{
    dxi_listener_options_t options = wishes != NULL ? *wishes : (dxi_listener_options_t){0};
#if DX_TEST_HOOKS
    pair->live_before = dxi_live_count();
#endif
    side_init(&pair->node);
    side_init(&pair->client);
    pair->node_loop = loop_started("node");
    pair->client_loop = loop_started("client");
    options.events = side_events(&pair->node);
    options.events.on_auth = wishes != NULL ? wishes->events.on_auth : NULL;
    options.on_accept = side_on_accept;
    pair->listener = listen_on(pair->node_loop, address, &options);
    connect_to(pair->client_loop, dxi_listener_address(pair->listener), client_options,
               &pair->client);
}

static void pair_open(pair_t *pair, const char *address, const dxi_listener_options_t *wishes,
                      const dxi_connection_options_t *client_options)
{
    pair_begin(pair, address, wishes, client_options);
    side_wait(&pair->client, pair->client.opens == 1);
    side_wait(&pair->node, pair->node.opens == 1);
}

static void pair_end(pair_t *pair)
{
    listener_end(pair->node_loop, pair->listener);
    dxi_loop_destroy(pair->client_loop);
    dxi_loop_destroy(pair->node_loop);
    assert_int_equal(pair->client.closes, 1);
    assert_int_equal(pair->node.closes, pair->node.accepts);
#if DX_TEST_HOOKS
    assert_int_equal(dxi_live_count(), pair->live_before);
#endif
}

static const char *const ADDRESSES[] = {"tcp://127.0.0.1:0", unix_address, "tcp://[::1]:0"};

static void frames_come_in_order_and_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        pair_t pair;
        pair_open(&pair, ADDRESSES[i], NULL, NULL);
        uint64_t next = 1;
        while (next <= 20000) {
            next += (uint64_t)side_send(pair.client_loop, &pair.client, next, 100,
                                        (uint32_t)(next % 700));
        }
        side_wait(&pair.node, pair.node.sum == next - 1);
        assert_true(pair.node.ordered);
        assert_true(pair.node.pauses > 0);
        assert_int_equal(side_send(pair.node_loop, &pair.node, 1, 10, 16), 10);
        side_wait(&pair.client, pair.client.frames == 10);
        side_close(pair.client_loop, &pair.client, DX_ECLOSED, "done");
        side_wait(&pair.client, pair.client.closes == 1);
        side_wait(&pair.node, pair.node.closes == 1);
        assert_string_equal(dx_error_name(pair.client.why.code), "DX_ECLOSED");
        assert_string_equal(dx_error_name(pair.node.why.code), "DX_ECLOSED");
        assert_contains(pair.node.why.message, "done");
        pair_end(&pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_come_in_order_and_whole),
    };
    return cmocka_run_group_tests_name("net connection", tests, setup_all, teardown_all);
}
