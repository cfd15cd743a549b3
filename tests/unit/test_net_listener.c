/* test_net_listener.c - binding, limits, and what happens when descriptors or memory run out.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <sys/fsuid.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "net_raw.h"

static char folder[64];
static char path[128];
static char unix_text[160];

static int setup_all(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/dx-listen-XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/s", folder);
    (void)snprintf(unix_text, sizeof unix_text, "unix://%s", path);
    return 0;
}

static int teardown_all(void **state)
{
    (void)state;
    return rmdir(folder);
}

static int listen_try(dxi_loop_t *loop, const dxi_address_t *address,
                      const dxi_listener_options_t *options, dxi_listener_t **listener_out,
                      dx_error_t *error)
{
    listen_call_t call = {.loop = loop, .address = address, .options = options};
    dxi_loop_call(loop, listen_run, &call);
    *listener_out = call.listener;
    *error = call.error;
    return call.code;
}

static dxi_address_t address_of(const char *text)
{
    dxi_address_t address;
    dx_error_t error = {0};
    assert_ok(dxi_address_parse(text, &address, &error));
    return address;
}

/* -------------------------------------------------------------------------------------- binding */

static void an_address_in_use_is_refused(void **state)
{
    (void)state;
    const char *const texts[] = {"tcp://127.0.0.1:0", "tcp://[::1]:0", unix_text};
    dxi_loop_t *const loop = loop_started("bind");
    side_t side;
    side_init(&side);
    const dxi_listener_options_t options = {.events = side_events(&side)};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        dxi_listener_t *second = NULL;
        dx_error_t error = {0};
        dxi_listener_t *const first = listen_on(loop, texts[i], &options);
        const dxi_address_t address = *dxi_listener_address(first);
        assert_true(i == 2 || address.port != 0);
        assert_fails(listen_try(loop, &address, &options, &second, &error), DX_EBUSY, error,
                     "cannot listen on");
        assert_null(second);
        listener_end(loop, first);
        /* And when it is free again it can be had, once libuv has let it go. */
        assert_ok(listen_try(loop, &address, &options, &second, &error));
        listener_end(loop, second);
    }
    dxi_loop_destroy(loop);
    assert_int_equal(access(path, F_OK), -1);
}

static void a_listener_on_any_address_is_reached_by_both_families(void **state)
{
    (void)state;
    dxi_loop_t *const loop = loop_started("any");
    side_t node;
    side_init(&node);
    const dxi_listener_options_t options = {.events = side_events(&node)};
    dxi_listener_t *const listener = listen_on(loop, ":0", &options);
    const char *const hosts[] = {"127.0.0.1", "::1", "localhost", ""};
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        dxi_address_t address = *dxi_listener_address(listener);
        side_t side;
        side_init(&side);
        (void)snprintf(address.host, sizeof address.host, "%s", hosts[i]);
        connect_to(loop, &address, NULL, &side);
        side_wait(&side, side.opens == 1 || side.closes == 1);
        if (side.opens == 0) {
            fail_msg("%s: %s", hosts[i], side.why.message);
        }
        side_close(loop, &side, DX_ECLOSED, NULL);
        side_wait(&side, side.closes == 1);
    }
    listener_end(loop, listener);
    dxi_loop_destroy(loop);
}

static void a_stale_unix_socket_is_replaced_and_a_file_is_not(void **state)
{
    (void)state;
    dxi_loop_t *const loop = loop_started("stale");
    const dxi_address_t address = address_of(unix_text);
    side_t side;
    dxi_listener_t *listener = NULL;
    dx_error_t error = {0};
    struct stat file;
    side_init(&side);
    const dxi_listener_options_t options = {.events = side_events(&side)};

    struct sockaddr_un un = {.sun_family = AF_UNIX};
    memcpy(un.sun_path, path, strlen(path));
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&un, sizeof un), 0);
    assert_int_equal(close(fd), 0); /* and its file stays, as after a crash */
    assert_int_equal(access(path, F_OK), 0);
    assert_ok(listen_try(loop, &address, &options, &listener, &error));
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0600);
    listener_end(loop, listener);
    assert_int_equal(access(path, F_OK), -1);

    const int plain = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_int_equal(close(plain), 0);
    assert_fails(listen_try(loop, &address, &options, &listener, &error), DX_EBUSY, error,
                 "cannot listen on");
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(unlink(path), 0);
    dxi_loop_destroy(loop);
}

static void a_listener_leaves_the_file_of_its_successor(void **state)
{
    (void)state;
    dxi_loop_t *const loop = loop_started("successor");
    side_t side;
    side_init(&side);
    const dxi_listener_options_t options = {.events = side_events(&side), .unix_mode = 0660};
    dxi_listener_t *const first = listen_on(loop, unix_text, &options);
    assert_int_equal(unlink(path), 0);
    dxi_listener_t *const second = listen_on(loop, unix_text, &options);
    struct stat file;
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0660);
    listener_end(loop, first);
    assert_int_equal(access(path, F_OK), 0);
    listener_end(loop, second);
    assert_int_equal(access(path, F_OK), -1);
    dxi_loop_destroy(loop);
}

/* In a thread of its own, whose rights on files it may give up: a test may run as root. */
typedef struct weak {
    dxi_address_t address;
    int code;
    dx_error_t error;
} weak_t;

static void weak_run(void *context)
{
    weak_t *const weak = context;
    dxi_loop_t *const loop = loop_make("weak");
    side_t side;
    dxi_listener_t *listener = NULL;
    side_init(&side);
    const dxi_listener_options_t options = {.events = side_events(&side)};
    (void)setfsuid(65534);
    weak->code = dxi_listener_create(loop, &weak->address, &options, &listener, &weak->error);
    dxi_loop_destroy(loop);
}

static void addresses_that_are_not_ours_are_refused(void **state)
{
    (void)state;
    const struct {
        const char *text;
        int code;
    } cases[] = {{unix_text, DX_EPERM},
                 {"unix:///nonexistent-folder/s", DX_ENOTFOUND},
                 {"tcp://192.0.2.1:0", DX_EINVAL}, /* nobody's: RFC 5737 */
                 {"tcp://a..b:1", DX_EINVAL}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        weak_t weak = {.address = address_of(cases[i].text)};
        dx_thread_t *thread = NULL;
        dx_error_t error = {0};
        assert_ok(dx_thread_start(NULL, weak_run, &weak, &thread, &error));
        (void)dx_thread_join(thread);
        assert_string_equal(dx_error_name(weak.code), dx_error_name(cases[i].code));
        assert_true(weak.error.message[0] != '\0');
    }
}

static void a_connection_that_nobody_takes_says_why(void **state)
{
    (void)state;
    dxi_loop_t *const loop = loop_started("nobody");
    dxi_address_t closed;
    const int fd = raw_listen(&closed);
    assert_int_equal(close(fd), 0);
    dxi_address_t no_name = address_of("tcp://a..b:1");
    const struct {
        dxi_address_t address;
        int code;
        const char *said;
    } cases[] = {{closed, DX_EIO, "Connection refused"},
                 {address_of(unix_text), DX_ENOTFOUND, "cannot connect to unix://"},
                 {no_name, DX_ENOTFOUND, "cannot find the address of 'a..b'"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        side_t side;
        side_init(&side);
        connect_to(loop, &cases[i].address, NULL, &side);
        side_wait(&side, side.closes == 1);
        assert_string_equal(dx_error_name(side.why.code), dx_error_name(cases[i].code));
        assert_contains(side.why.message, cases[i].said);
        assert_int_equal(side.opens, 0);
    }
    dxi_loop_destroy(loop);
}

/* --------------------------------------------------------------------------------------- limits */

static void more_connections_than_allowed_are_told_so(void **state)
{
    (void)state;
    dxi_loop_t *const loop = loop_started("limit");
    side_t node;
    side_t sides[3];
    dxi_listener_stat_t stat;
    side_init(&node);
    const dxi_listener_options_t options = {
        .events = side_events(&node), .on_accept = side_on_accept, .connections_max = 2};
    dxi_listener_t *const listener = listen_on(loop, "tcp://127.0.0.1:0", &options);
    for (int i = 0; i < 3; i++) {
        side_init(&sides[i]);
        connect_to(loop, dxi_listener_address(listener), NULL, &sides[i]);
        side_wait(&sides[i], sides[i].opens == 1 || sides[i].closes == 1);
    }
    assert_int_equal(sides[1].opens, 1);
    assert_int_equal(sides[2].opens, 0);
    assert_string_equal(dx_error_name(sides[2].why.code), "DX_ELIMIT");
    assert_contains(sides[2].why.message, "2 connections are open, the limit");
    assert_int_equal(node.accepts, 2);

    side_close(loop, &sides[0], DX_ECLOSED, NULL); /* one goes, another may come */
    side_wait(&node, node.closes == 1);
    do {
        dxi_listener_stat(listener, &stat);
    } while (stat.open != 1);
    side_init(&sides[2]);
    connect_to(loop, dxi_listener_address(listener), NULL, &sides[2]);
    side_wait(&sides[2], sides[2].opens == 1);
    dxi_listener_stat(listener, &stat);
    assert_int_equal(stat.accepted, 3);
    assert_int_equal(stat.refused, 1);
    assert_int_equal(stat.open, 2);
    assert_int_equal(stat.handshake_failures, 0);
    listener_end(loop, listener);
    dxi_loop_destroy(loop);
    assert_int_equal(node.closes, 3);
}

static int refuse_all(void *context, dxi_connection_t *connection, dx_error_t *error)
{
    (void)context;
    (void)connection;
    (void)error;
    return DX_EPERM;
}

static void who_is_refused_at_the_door_never_comes_to_the_owner(void **state)
{
    (void)state;
    dxi_loop_t *const loop = loop_started("door");
    side_t node;
    side_t client;
    side_init(&node);
    side_init(&client);
    const dxi_listener_options_t options = {.events = side_events(&node), .on_accept = refuse_all};
    dxi_listener_t *const listener = listen_on(loop, unix_text, &options);
    connect_to(loop, dxi_listener_address(listener), NULL, &client);
    side_wait(&client, client.closes == 1);
    assert_string_equal(dx_error_name(client.why.code), "DX_EPERM");
    listener_end(loop, listener);
    dxi_loop_destroy(loop);
    assert_int_equal(node.closes, 0);
}

static void connections_go_to_loops_in_turns(void **state)
{
    (void)state;
    dxi_loop_t *loops[3];
    side_t node;
    side_t sides[6];
    side_init(&node);
    for (size_t i = 0; i < COUNT_OF(loops); i++) {
        loops[i] = loop_started("turns");
    }
    const dxi_listener_options_t options = {
        .events = side_events(&node), .on_accept = side_on_accept, .loops = loops, .loop_count = 3};
    dxi_listener_t *const listener = listen_on(loops[0], "tcp://127.0.0.1:0", &options);
    int seen[3] = {0};
    for (int i = 0; i < 6; i++) {
        side_init(&sides[i]);
        connect_to(loops[0], dxi_listener_address(listener), NULL, &sides[i]);
        side_wait(&node, node.opens == i + 1);
        side_lock(&node);
        const dxi_loop_t *const loop = dxi_connection_loop(node.connection);
        side_unlock(&node);
        for (int j = 0; j < 3; j++) {
            seen[j] += loop == loops[j];
        }
    }
    assert_int_equal(seen[0], 2);
    assert_int_equal(seen[1], 2);
    assert_int_equal(seen[2], 2);
    listener_end(loops[0], listener);
    for (size_t i = 0; i < COUNT_OF(loops); i++) {
        dxi_loop_destroy(loops[i]);
    }
    assert_int_equal(node.closes, 6);
}

static void options_out_of_bounds_are_refused(void **state)
{
    (void)state;
    dxi_loop_t *const loop = loop_make("bounds");
    const dxi_address_t address = address_of("tcp://127.0.0.1:0");
    char name[257];
    char mechanism[34];
    side_t side;
    side_init(&side);
    memset(name, 'n', sizeof name - 1);
    name[256] = '\0';
    memset(mechanism, 'm', sizeof mechanism - 1);
    mechanism[33] = '\0';
    const struct {
        dxi_connection_options_t options;
        const char *said; /* NULL: it is allowed */
    } cases[] = {
        {{.receive_bytes = DXI_RECEIVE_BYTES_MIN, .send_bytes = DXI_SEND_BYTES_MIN}, NULL},
        {{.receive_bytes = DXI_RECEIVE_BYTES_MIN - 1}, "receive_bytes is 65535"},
        {{.receive_bytes = DX_FRAME_BYTES_MAX}, NULL},
        {{.receive_bytes = DX_FRAME_BYTES_MAX + 1}, "receive_bytes is 16777217"},
        {{.send_bytes = DXI_SEND_BYTES_MIN / 2}, "send_bytes is 32768"},
        {{.send_bytes = DXI_SEND_BYTES_MIN + 4096}, "must be a power of two"},
        {{.send_bytes = UINT32_C(0x80000000)}, "send_bytes is 2147483648"},
        {{.frame_bytes_max = 4096}, NULL},
        {{.frame_bytes_max = 4095}, "frame_bytes_max is 4095"},
        {{.frame_bytes_max = DX_FRAME_BYTES_MAX}, NULL},
        {{.frame_bytes_max = DX_FRAME_BYTES_MAX + 1}, "frame_bytes_max is 16777217"},
        {{.handshake_timeout_ns = -1}, "handshake_timeout_ns is -1"},
        {{.keep_alive_ns = -1, .idle_timeout_ns = -1}, NULL},
        {{.keep_alive_ns = -2}, "keep_alive_ns is -2"},
        {{.idle_timeout_ns = -2}, "idle_timeout_ns is -2"},
        {{.drain_timeout_ns = -1}, "drain_timeout_ns is -1"},
        {{.name = name + 1}, NULL},
        {{.name = name}, "name has 256 bytes, must have 1 to 255"},
        {{.name = ""}, "name has 0 bytes"},
        {{.mechanism = mechanism + 1, .proof = ""}, NULL},
        {{.mechanism = mechanism}, "mechanism has 33 bytes"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const dxi_listener_options_t options = {.connection = cases[i].options,
                                                .events = side_events(&side)};
        dxi_listener_t *listener = NULL;
        dx_error_t error = {0};
        if (cases[i].said != NULL) {
            assert_fails(listen_try(loop, &address, &options, &listener, &error), DX_EINVAL, error,
                         cases[i].said);
            assert_null(listener);
            continue;
        }
        if (listen_try(loop, &address, &options, &listener, &error) != DX_OK) {
            fail_msg("case %zu: %s", i, error.message);
        }
        listener_end(loop, listener);
    }
    dxi_listener_t *listener = NULL;
    dx_error_t error = {0};
    dxi_listener_options_t options = {.events = side_events(&side), .unix_mode = 01000};
    assert_fails(listen_try(loop, &address, &options, &listener, &error), DX_EINVAL, error,
                 "unix_mode is 01000");
    options =
        (dxi_listener_options_t){.events = side_events(&side), .loops = &(dxi_loop_t *){NULL}};
    assert_fails(listen_try(loop, &address, &options, &listener, &error), DX_EINVAL, error,
                 "loop_count is 0");
    options = (dxi_listener_options_t){0};
    assert_fails(listen_try(loop, &address, &options, &listener, &error), DX_EINVAL, error,
                 "must be there");
    dxi_listener_close(NULL);
    dxi_loop_destroy(loop);
}

/* --------------------------------------------------------------------------- nothing is left */

static void when_descriptors_run_out_the_others_live_on(void **state)
{
    (void)state;
    dxi_loop_t *const loop = loop_started("emfile");
    side_t node;
    side_t first;
    dxi_listener_stat_t stat;
    struct rlimit before;
    side_init(&node);
    side_init(&first);
    const dxi_listener_options_t options = {.events = side_events(&node),
                                            .on_accept = side_on_accept};
    dxi_listener_t *const listener = listen_on(loop, "tcp://127.0.0.1:0", &options);
    const dxi_address_t address = *dxi_listener_address(listener);
    connect_to(loop, &address, NULL, &first);
    side_wait(&first, first.opens == 1);
    side_wait(&node, node.opens == 1);

    /* A socket is made while there are descriptors; then no number below the limit is free. */
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int highest = dup(fd);
    assert_true(highest > fd);
    assert_int_equal(close(highest), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    const struct rlimit low = {.rlim_cur = (rlim_t)highest, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    struct sockaddr_storage storage;
    socklen_t bytes = 0;
    (void)dxi_socket_address(&address, &storage, &bytes);
    assert_int_equal(connect(fd, (const struct sockaddr *)&storage, bytes), 0); /* the backlog */
    const int64_t limit_ns = dx_clock_ns() + HUNG_S * DX_NS_PER_S;
    do {
        dxi_listener_stat(listener, &stat);
    } while (stat.accept_errors == 0 && dx_clock_ns() < limit_ns);
    assert_true(stat.accept_errors > 0);
    assert_int_equal(side_send(loop, &first, 1, 1, 16), 1);
    side_wait(&node, node.frames == 1);
    side_t second;
    dx_error_t error = {0};
    side_init(&second);
    const dxi_connection_events_t events = side_events(&second);
    assert_int_equal(connect_try(loop, &address, &(dxi_connection_options_t){0}, &events, &error),
                     DX_ELIMIT);

    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    script_t script = {.count = 0};
    script_t answers;
    dx_frame_view_t view;
    script_greet(&script, DX_FRAME_HELLO, 1, 1);
    assert_true(raw_send(fd, script.bytes, script.count));
    assert_true(raw_read_until(fd, DX_FRAME_WELCOME, &answers, &view));
    assert_int_equal(close(fd), 0);
    listener_end(loop, listener);
    dxi_loop_destroy(loop);
    assert_int_equal(node.closes, 2);
}

/* Everything once, on two loops that start and end. */
static int everything(void)
{
    dxi_loop_t *loop = NULL;
    dxi_listener_t *listener = NULL;
    dxi_address_t address = address_of("tcp://127.0.0.1:0");
    side_t node;
    side_t client;
    dx_error_t error = {0};
    side_init(&node);
    side_init(&client);
    int code = dxi_loop_create(&(dxi_loop_options_t){.name = "sweep"}, &loop, &error);
    if (code == DX_OK) {
        code = dxi_loop_start(loop, &error);
    }
    const dxi_listener_options_t options = {.events = side_events(&node)};
    if (code == DX_OK) {
        code = listen_try(loop, &address, &options, &listener, &error);
    }
    if (code == DX_OK) {
        const dxi_connection_options_t wishes = {.name = "client"};
        const dxi_connection_events_t events = side_events(&client);
        address = *dxi_listener_address(listener);
        (void)snprintf(address.host, sizeof address.host, "localhost");
        code = connect_try(loop, &address, &wishes, &events, &error);
        if (code == DX_OK) {
            side_wait(&client, client.opens == 1 || client.closes == 1);
            code = client.opens == 1 ? DX_OK : client.why.code;
            /* The node was short of memory, not we: it has closed at once. */
            code = code == DX_EIO ? DX_ENOMEM : code;
        }
    }
    if (listener != NULL) {
        listener_end(loop, listener);
    }
    dxi_loop_destroy(loop);
    return code == DX_ELIMIT ? DX_ENOMEM : code; /* a file in memory is a descriptor as well */
}

static void whatever_runs_out_nothing_is_left_behind(void **state)
{
    (void)state;
    assert_true(fault_sweep(everything) >= 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_in_use_is_refused),
        cmocka_unit_test(a_listener_on_any_address_is_reached_by_both_families),
        cmocka_unit_test(a_stale_unix_socket_is_replaced_and_a_file_is_not),
        cmocka_unit_test(a_listener_leaves_the_file_of_its_successor),
        cmocka_unit_test(addresses_that_are_not_ours_are_refused),
        cmocka_unit_test(a_connection_that_nobody_takes_says_why),
        cmocka_unit_test(more_connections_than_allowed_are_told_so),
        cmocka_unit_test(who_is_refused_at_the_door_never_comes_to_the_owner),
        cmocka_unit_test(connections_go_to_loops_in_turns),
        cmocka_unit_test(options_out_of_bounds_are_refused),
        cmocka_unit_test(when_descriptors_run_out_the_others_live_on),
        cmocka_unit_test(whatever_runs_out_nothing_is_left_behind),
    };
    return cmocka_run_group_tests_name("net listener", tests, setup_all, teardown_all);
}
