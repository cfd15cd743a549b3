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
