/* test_net_connection.c - two sides that talk, over TCP and a UNIX socket; and once more through
 * shared memory (shm.net_connection).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/capability.h"
#include "net/connection_internal.h"
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
        side_wait(&pair.node, pair.node.pauses > 0);
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

/* --------------------------------------------------------------------------------- the greeting */

static void both_sides_know_each_other_after_the_greeting(void **state)
{
    (void)state;
    pair_t pair;
    const dxi_listener_options_t listener = {
        .connection = {
            .name = "node-1", .node_id = 77, .capabilities = 0x500, .frame_bytes_max = 8192}};
    const dxi_connection_options_t client = {.name = "pump", .capabilities = 0x100};
    pair_open(&pair, unix_address, &listener, &client);
    const dxi_connection_info_t node = info_of(pair.client_loop, &pair.client);
    const dxi_connection_info_t pump = info_of(pair.node_loop, &pair.node);
    assert_string_equal(node.peer_name, "node-1");
    assert_int_equal(node.peer_node_id, 77);
    const uint64_t shm = test_over_shm() ? DXI_CAPABILITY_SHM : 0;
    assert_int_equal(node.peer_capabilities, 0x503 | shm);
    assert_int_equal(node.peer_frame_bytes_max, 8192);
    assert_string_equal(pump.peer_name, "pump");
    assert_int_equal(pump.peer_capabilities, 0x103 | shm);
    assert_int_equal(pump.peer_frame_bytes_max, 4 * 1024 * 1024);
    assert_contains(pump.peer_address, test_over_shm() ? "shm:// pid " : "unix:// pid ");
    assert_true(pump.shm == test_over_shm() && node.shm == test_over_shm());
    assert_true(node.open && pump.open && !node.tls && node.id != pump.id);
    assert_string_equal(node.tls_subject, "");
    pair_end(&pair);
}

/* A pair whose node asks for a token and answers so. */
static void pair_begin_auth(pair_t *pair, int answer, int64_t timeout_ns,
                            const dxi_connection_options_t *client)
{
    const dxi_listener_options_t listener = {
        .connection = {.handshake_timeout_ns = timeout_ns, .drain_timeout_ns = timeout_ns},
        .events = {.on_auth = side_on_auth}};
    pair_auth_answer = answer;
    pair_begin(pair, "tcp://127.0.0.1:0", &listener, client);
}

static void a_token_is_shown_in_the_greeting(void **state)
{
    (void)state;
    const dxi_connection_options_t client = {.mechanism = "token", .proof = "s3cret"};
    pair_t pair;
    pair_begin_auth(&pair, DX_OK, 0, &client);
    side_wait(&pair.client, pair.client.opens == 1);
    side_wait(&pair.node, pair.node.opens == 1);
    assert_int_equal(pair.node.auths, 2); /* without a mechanism first */
    assert_string_equal(pair.node.mechanism, "token");
    assert_string_equal(pair.node.proof, "s3cret");
    pair_end(&pair);
}

static void a_wrong_token_is_refused_with_the_reason(void **state)
{
    (void)state;
    const dxi_connection_options_t client = {.mechanism = "token", .proof = "wrong"};
    pair_t pair;
    dxi_listener_stat_t stat;
    pair_begin_auth(&pair, DX_EPERM, 0, &client);
    side_wait(&pair.client, pair.client.closes == 1);
    side_wait(&pair.node, pair.node.closes == 1);
    assert_string_equal(dx_error_name(pair.client.why.code), "DX_EPERM");
    assert_contains(pair.client.why.message, "authentication refused");
    assert_int_equal(pair.client.opens + pair.node.opens, 0);
    dxi_listener_stat(pair.listener, &stat);
    assert_int_equal(stat.handshake_failures, 1);
    pair_end(&pair);
}

static void who_shows_no_token_where_one_is_wanted_times_out(void **state)
{
    (void)state;
    pair_t pair;
    pair_begin_auth(&pair, DX_OK, 30000000, NULL);
    side_wait(&pair.client, pair.client.closes == 1);
    assert_string_equal(dx_error_name(pair.client.why.code), "DX_ETIMEDOUT");
    pair_end(&pair);
}

/* Each side answers the other's AUTH with another one, for ever. */
static int challenge(void *context, dxi_connection_t *connection, const char *mechanism,
                     const void *proof, size_t proof_bytes, dx_error_t *error)
{
    side_t *const side = context;
    (void)proof;
    (void)proof_bytes;
    side_lock(side);
    side->auths++;
    side_unlock(side);
    if (mechanism != NULL) {
        const dx_frame_part_t part = dx_frame_part_text(DX_PART_MECHANISM, mechanism);
        const dx_frame_draft_t draft = {.type = DX_FRAME_AUTH, .parts = &part, .part_count = 1};
        const int code = dxi_connection_encode(connection, &draft, NULL, error);
        return code != DX_OK ? code : DX_EAGAIN;
    }
    return DX_EAGAIN;
}

static void authentication_has_a_bounded_number_of_rounds(void **state)
{
    (void)state;
    const dxi_connection_options_t client = {.mechanism = "ping-pong", .proof = ""};
    const dxi_listener_options_t listener = {.events = {.on_auth = challenge}};
    pair_t pair;
    pair_client_auth = challenge;
    pair_begin(&pair, "tcp://127.0.0.1:0", &listener, &client);
    pair_client_auth = NULL;
    side_wait(&pair.client, pair.client.closes == 1);
    side_wait(&pair.node, pair.node.closes == 1);
    assert_string_equal(dx_error_name(pair.client.why.code), "DX_ELIMIT");
    assert_int_equal(pair.node.auths, 1 + DXI_AUTH_ROUNDS_MAX);
    pair_end(&pair);
}

/* -------------------------------------------------------------------------------------- frames */

static void large_frames_make_both_buffers_grow(void **state)
{
    (void)state;
    pair_t pair;
    const dxi_listener_options_t listener = {.connection = {.frame_bytes_max = 1024 * 1024}};
    const dxi_connection_options_t client = {.send_bytes = DXI_SEND_BYTES_MIN};
    pair_open(&pair, "tcp://127.0.0.1:0", &listener, &client);
    const uint32_t largest = 1024 * 1024 - 88; /* header and topic are the rest */
    const uint32_t sizes[] = {100, 65536, largest, 100, 700000, 64};
    uint64_t payload = 0;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        send_call_t call = {
            .side = &pair.client, .first = i + 1, .count = 1, .payload_bytes = sizes[i]};
        const int64_t limit_ns = dx_clock_ns() + HUNG_S * DX_NS_PER_S;
        do { /* a large one waits until the ring is empty */
            dxi_loop_call(pair.client_loop, send_run, &call);
        } while (call.sent == 0 && dx_clock_ns() < limit_ns);
        assert_int_equal(call.sent, 1);
        payload += sizes[i];
    }
    side_wait(&pair.node, pair.node.sum == COUNT_OF(sizes));
    assert_true(pair.node.ordered);
    assert_int_equal(pair.node.payload, payload);

    send_call_t call = {.side = &pair.client, .first = 7, .count = 1, .payload_bytes = largest + 8};
    dxi_loop_call(pair.client_loop, send_run, &call); /* more than the node accepts */
    assert_string_equal(dx_error_name(call.code), "DX_ELIMIT");
    pair_end(&pair);
}

static void buffer_run(void *context)
{
    side_t *const side = ((void **)context)[0];
    *(size_t *)((void **)context)[1] = side->connection->in_bytes;
}

static void a_buffer_grows_to_the_largest_frame_and_no_further(void **state)
{
    (void)state;
    pair_t pair;
    const dxi_listener_options_t listener = {.connection = {.frame_bytes_max = 700000}};
    pair_open(&pair, unix_address, &listener, NULL);
    for (uint64_t i = 1; i <= 3; i++) {
        send_call_t call = {.side = &pair.client,
                            .first = i,
                            .count = 1,
                            .payload_bytes = 700000 - 88}; /* header and topic are the rest */
        dxi_loop_call(pair.client_loop, send_run, &call);
        assert_int_equal(call.sent, 1);
        side_wait(&pair.node, pair.node.frames == (int)i);
    }
    size_t bytes = 0;
    dxi_loop_call(pair.node_loop, buffer_run, (void *[]){&pair.node, &bytes});
    assert_in_range(bytes, 700000, 700000 + 65536);
    pair_end(&pair);
}

static void memory_of_large_frames_is_given_back(void **state)
{
    (void)state;
    pair_t pair;
    const dxi_listener_options_t listener = {.connection = {.keep_alive_ns = 5000000}};
    pair_open(&pair, unix_address, &listener, NULL);
    send_call_t call = {.side = &pair.client, .first = 1, .count = 1, .payload_bytes = 900000};
    dxi_loop_call(pair.client_loop, send_run, &call);
    assert_int_equal(call.sent, 1);
    side_wait(&pair.node, pair.node.frames == 1);
    const int64_t limit_ns = dx_clock_ns() + HUNG_S * DX_NS_PER_S;
    size_t bytes = SIZE_MAX;
    while (bytes > 256 * 1024 && dx_clock_ns() < limit_ns) { /* two ticks later */
        dxi_loop_call(pair.node_loop, buffer_run, (void *[]){&pair.node, &bytes});
    }
    assert_int_equal(bytes, 256 * 1024);
    assert_int_equal(side_send(pair.client_loop, &pair.client, 2, 10, 500), 10);
    side_wait(&pair.node, pair.node.sum == 11);
    assert_true(pair.node.ordered);
    pair_end(&pair);
}

static void send_after_close_run(void *context)
{
    pair_t *const pair = context;
    dxi_connection_t *const connection = pair->client.connection;
    _Alignas(8) char frame[72] = {0};
    dx_error_t error = {0};
    const dx_frame_draft_t draft = {.type = DX_FRAME_PING};
    assert_int_equal(dx_frame_encode(frame, sizeof frame, &draft, NULL, NULL), 64);
    assert_ok(dxi_connection_send(connection, frame, 64));
    assert_true(dxi_connection_room(connection) > 0);
    dxi_connection_close(connection, DX_ECLOSED, "enough");
    dxi_connection_close(connection, DX_EIO, "not this");
    assert_null(dxi_connection_claim(connection, 64));
    assert_int_equal(dxi_connection_room(connection), 0);
    assert_int_equal(dxi_connection_send(connection, frame, 64), DX_ECLOSED);
    assert_fails(dxi_connection_encode(connection, &draft, NULL, &error), DX_ECLOSED, error,
                 "not open");
    assert_int_equal(pair->client.closes, 0); /* never inside */
}

static void after_close_nothing_is_taken_and_what_was_there_is_sent(void **state)
{
    (void)state;
    pair_t pair;
    pair_open(&pair, "tcp://127.0.0.1:0", NULL, NULL);
    assert_int_equal(side_send(pair.client_loop, &pair.client, 1, 500, 1000), 500);
    dxi_loop_call(pair.client_loop, send_after_close_run, &pair);
    side_wait(&pair.client, pair.client.closes == 1);
    side_wait(&pair.node, pair.node.closes == 1);
    assert_int_equal(pair.node.frames, 500);
    assert_string_equal(pair.client.why.message, "enough");
    assert_contains(pair.node.why.message, "enough");
    pair_end(&pair);
}

static void an_error_code_given_to_close_reaches_the_peer(void **state)
{
    (void)state;
    pair_t pair;
    pair_open(&pair, "tcp://127.0.0.1:0", NULL, NULL);
    side_close(pair.node_loop, &pair.node, DX_EEVICTED, "too slow");
    side_wait(&pair.client, pair.client.closes == 1);
    assert_string_equal(dx_error_name(pair.client.why.code), "DX_EEVICTED");
    assert_contains(pair.client.why.message, "too slow");
    assert_int_equal(pair.client.error.code, DX_EEVICTED); /* and its owner saw the frame */
    pair_end(&pair);
}

static void a_loop_may_end_while_a_name_is_resolved(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        dxi_loop_t *const loop = loop_started("names");
        const dxi_address_t address = {.transport = DXI_TCP, .port = 1, .host = "localhost"};
        side_t side;
        side_init(&side);
        connect_to(loop, &address, NULL, &side);
        dxi_loop_stop(loop);
        assert_int_equal(side.closes, 1);
        const dxi_connection_events_t events = side_events(&side);
        dx_error_t error = {0};
        assert_fails(connect_try(loop, &address, &(dxi_connection_options_t){0}, &events, &error),
                     DX_ESTATE, error, "has been stopped");
        dxi_loop_destroy(loop);
    }
}

/* ------------------------------------------------------------------------------- in callbacks */

/* Closes in the callback that `where` names. */
typedef struct closer {
    side_t side;
    int where; /* 0 on_open, 1 on_frame, 2 on_pause, 3 on_accept */
} closer_t;

static void closer_at(closer_t *closer, int where, dxi_connection_t *connection)
{
    if (closer->where == where) {
        dxi_connection_close(connection, DX_ECLOSED, "in a callback");
    }
}

static void closer_on_open(void *context, dxi_connection_t *connection)
{
    side_on_open(context, connection);
    closer_at(context, 0, connection);
}

static int closer_on_frame(void *context, dxi_connection_t *connection,
                           const dx_frame_view_t *frame, dx_error_t *error)
{
    const int code = side_on_frame(context, connection, frame, error);
    closer_at(context, 1, connection);
    return code;
}

static void closer_on_pause(void *context, dxi_connection_t *connection)
{
    side_on_pause(context, connection);
    closer_at(context, 2, connection);
}

static int closer_on_accept(void *context, dxi_connection_t *connection, dx_error_t *error)
{
    const int code = side_on_accept(context, connection, error);
    closer_at(context, 3, connection);
    return code;
}

static void any_callback_may_close(void **state)
{
    (void)state;
    for (int where = 0; where < 4; where++) {
        dxi_loop_t *const loop = loop_started("closer");
        closer_t closer = {.where = where};
        side_t client;
        side_init(&closer.side);
        side_init(&client);
        const dxi_listener_options_t options = {.events = {.context = &closer,
                                                           .on_open = closer_on_open,
                                                           .on_frame = closer_on_frame,
                                                           .on_pause = closer_on_pause,
                                                           .on_close = side_on_close},
                                                .on_accept = closer_on_accept};
        dxi_listener_t *const listener = listen_on(loop, "tcp://127.0.0.1:0", &options);
        connect_to(loop, dxi_listener_address(listener), NULL, &client);
        side_wait(&client, client.opens == 1 || client.closes == 1);
        (void)side_send(loop, &client, 1, 100, 100);
        side_wait(&client, client.closes == 1);
        side_wait(&closer.side, closer.side.closes == 1);
        assert_true(where != 1 || closer.side.frames == 1); /* none after it closed */
        listener_end(loop, listener);
        dxi_loop_destroy(loop);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_come_in_order_and_whole),
        cmocka_unit_test(both_sides_know_each_other_after_the_greeting),
        cmocka_unit_test(a_token_is_shown_in_the_greeting),
        cmocka_unit_test(a_wrong_token_is_refused_with_the_reason),
        cmocka_unit_test(who_shows_no_token_where_one_is_wanted_times_out),
        cmocka_unit_test(authentication_has_a_bounded_number_of_rounds),
        cmocka_unit_test(large_frames_make_both_buffers_grow),
        cmocka_unit_test(a_buffer_grows_to_the_largest_frame_and_no_further),
        cmocka_unit_test(memory_of_large_frames_is_given_back),
        cmocka_unit_test(a_loop_may_end_while_a_name_is_resolved),
        cmocka_unit_test(after_close_nothing_is_taken_and_what_was_there_is_sent),
        cmocka_unit_test(an_error_code_given_to_close_reaches_the_peer),
        cmocka_unit_test(any_callback_may_close),
    };
    return cmocka_run_group_tests_name("net connection", tests, setup_all, teardown_all);
}
