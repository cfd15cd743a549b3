/* test_net_shm.c - connections over shared memory: who gets it, and peers that break its rules.
 *
 * That frames come whole and in order, and all the rest that is as over any other transport, is
 * tested by shm.net_connection and shm.client_*.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "net_shm_test.h"

/* A client that is refused, with this code and words. */
static void refused_with(rig_t *rig, int code, const char *words)
{
    dxi_loop_t *const loop = loop_started("client");
    side_t client;
    side_init(&client);
    connect_to(loop, &rig->shm, NULL, &client);
    side_wait(&client, client.closes == 1);
    assert_int_equal(client.opens, 0);
    assert_string_equal(dx_error_name(client.why.code), dx_error_name(code));
    assert_contains(client.why.message, words);
    dxi_loop_destroy(loop);
}

/* --------------------------------------------------------------------------------- who gets it */

static void where_it_is_off_a_client_is_told_what_works(void **state)
{
    (void)state;
    rig_t rig;
    rig_begin(&rig, &(dxi_connection_options_t){.shm = false});
    refused_with(&rig, DX_ENOTSUP,
                 "shared memory is off at this node (local.enabled); unix:// works");
    assert_int_equal(rig_stat(&rig).shm_refused, 1);
    assert_int_equal(rig_stat(&rig).shm_granted, 0);
    rig_end(&rig);
}

static void where_there_is_no_memory_a_client_is_told_so_and_the_next_gets_it(void **state)
{
    (void)state;
#if DX_TEST_HOOKS
    rig_t rig;
    rig_begin(&rig, &ALLOWED);
    dxi_loop_t *const loop = loop_started("client");
    bool file_refused = false;
    for (int64_t n = 0; n < 40 && !file_refused; n++) {
        side_t client;
        side_init(&client);
        dx_error_t error = {0};
        const dxi_connection_events_t events = side_events(&client);
        const int accepts = rig.side.accepts;
        dxi_fault_arm(n);
        const int code =
            connect_try(loop, &rig.shm, &(dxi_connection_options_t){0}, &events, &error);
        if (code == DX_OK) {
            side_wait(&client, client.opens + client.closes != 0);
        }
        const char *const fired = dxi_fault_fired();
        dxi_fault_disarm();
        file_refused = code == DX_OK && client.closes == 1 && rig_stat(&rig).shm_refused == 1;
        if (file_refused) {
            assert_string_equal(dx_error_name(client.why.code), "DX_ENOMEM");
            assert_contains(client.why.message, "memory");
            assert_non_null(fired);
        }
        if (client.opens == 1) {
            side_close(loop, &client, DX_ECLOSED, "next");
        }
        if (code == DX_OK) {
            side_wait(&client, client.closes == 1);
        }
        side_wait(&rig.side, rig.side.closes == rig.side.accepts);
        (void)accepts;
    }
    assert_true(file_refused);
    side_t client;
    side_init(&client);
    connect_to(loop, &rig.shm, NULL, &client);
    side_wait(&client, client.opens == 1);
    dxi_loop_destroy(loop);
    rig_end(&rig);
#else
    SKIP_BECAUSE("this build can't make system calls fail");
#endif
}

static void whoever_comes_by_tcp_does_not_get_it(void **state)
{
    (void)state;
    dxi_loop_t *const loop = loop_started("tcp");
    side_t side;
    side_init(&side);
    const dxi_listener_options_t options = {
        .connection = ALLOWED, .events = side_events(&side), .on_accept = side_on_accept};
    dxi_listener_t *const listener = listen_on(loop, "tcp://127.0.0.1:0", &options);
    const int fd = raw_connect(dxi_listener_address(listener));
    script_t script = {.count = 0};
    script_t answers;
    dx_frame_view_t view;
    script_hello(&script, DXI_CAPABILITY_SHM);
    assert_true(raw_send(fd, script.bytes, script.count));
    assert_true(raw_read_until(fd, DX_FRAME_ERROR, &answers, &view));
    uint32_t bytes = 0;
    const dx_frame_code_t *const code = dx_frame_part(&view, DX_PART_CODE, &bytes);
    assert_string_equal(dx_error_name(code->code), "DX_ENOTSUP");
    (void)close(fd);
    listener_end(loop, listener);
    dxi_loop_destroy(loop);
}

/* The kernel says who the client is: a child that has become somebody else. */
static void another_user_gets_it_only_where_that_is_allowed(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        SKIP_BECAUSE("only root can become another user");
    }
    assert_int_equal(chmod(folder, 0755), 0);
    for (int allowed = 0; allowed < 2; allowed++) {
        rig_t rig;
        dxi_connection_options_t connection = ALLOWED;
        connection.shm_any_user = allowed != 0;
        rig_begin(&rig, &connection);
        char path[96];
        (void)snprintf(path, sizeof path, "%s/s", folder);
        assert_int_equal(chmod(path, 0666), 0);
        const pid_t child = fork();
        if (child == 0) {
            script_t script = {.count = 0};
            script_t answers;
            dx_frame_view_t view;
            if (setuid(65534) != 0) {
                _exit(2);
            }
            const int fd = raw_connect(dxi_listener_address(rig.listener));
            script_hello(&script, DXI_CAPABILITY_SHM);
            (void)raw_send(fd, script.bytes, script.count);
            const int type = allowed != 0 ? DX_FRAME_WELCOME : DX_FRAME_ERROR;
            bool came = raw_read_until(fd, type, &answers, &view);
            if (came && type == DX_FRAME_ERROR) {
                uint32_t bytes = 0;
                const dx_frame_code_t *const code = dx_frame_part(&view, DX_PART_CODE, &bytes);
                came = code != NULL && code->code == DX_EPERM;
            }
            _exit(came ? 0 : 1);
        }
        int status = -1;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        side_wait(&rig.side, rig.side.closes == 1);
        rig_end(&rig);
    }
}

/* Nodes that do not do what was asked for: one that does not know it, and ones that say they do. */
static void a_node_that_gives_no_memory_is_left_with_a_reason(void **state)
{
    (void)state;
    const struct {
        uint64_t bits;
        int what; /* 0: nothing is passed; 1: a socket; 2: a plain file in memory */
        int code;
        const char *words;
    } cases[] = {
        {0, 0, DX_ENOTSUP, "has no shared memory; use unix://"},
        {DXI_CAPABILITY_SHM, 0, DX_EINVAL, "has sent no shared memory"},
        {DXI_CAPABILITY_SHM, 1, DX_EINVAL, "no file in memory"},
        {DXI_CAPABILITY_SHM, 2, DX_EINVAL, "shrink or grow"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        dxi_address_t address;
        dx_error_t error = {0};
        assert_ok(dxi_address_parse(address_text, &address, &error));
        struct sockaddr_storage storage;
        socklen_t bytes = 0;
        assert_true(dxi_socket_address(&address, &storage, &bytes));
        const int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(listening, (const struct sockaddr *)&storage, bytes), 0);
        assert_int_equal(listen(listening, 1), 0);
        dxi_loop_t *const loop = loop_started("client");
        side_t client;
        side_init(&client);
        address.transport = DXI_SHM;
        connect_to(loop, &address, NULL, &client);
        const int fd = raw_accept(listening);
        script_t script = {.count = 0};
        const dx_frame_capabilities_t capabilities = {
            .bits = cases[i].bits, .frame_bytes_max = 1048576, .version_min = 1, .version_max = 1};
        const dx_frame_part_t part =
            dx_frame_part_of(DX_PART_CAPABILITIES, &capabilities, sizeof capabilities);
        script_add(&script,
                   &(dx_frame_draft_t){.type = DX_FRAME_WELCOME, .parts = &part, .part_count = 1},
                   NULL);
        const int file = memfd_create("dx-test", MFD_CLOEXEC);
        const int passed = cases[i].what == 1 ? listening : file;
        assert_int_equal(dxi_descriptors_send(fd, script.bytes, script.count, &passed,
                                              cases[i].what != 0 ? 1 : 0),
                         script.count);
        (void)close(file);
        script_t answers;
        dx_frame_view_t view;
        assert_true(raw_read_until(fd, DX_FRAME_ERROR, &answers, &view)); /* it says why */
        (void)close(fd);
        side_wait(&client, client.closes == 1);
        assert_int_equal(client.opens, 0);
        assert_string_equal(dx_error_name(client.why.code), dx_error_name(cases[i].code));
        assert_contains(client.why.message, cases[i].words);
        dxi_loop_destroy(loop);
        (void)close(listening);
        assert_int_equal(unlink(address.host), 0);
    }
}

/* ---------------------------------------------------------------------------------- plain peers */

static void a_plain_peer_talks_through_memory(void **state)
{
    (void)state;
    rig_t rig;
    static raw_t raw;
    dx_frame_view_t view;
    script_t script = {.count = 0};
    rig_begin(&rig, &ALLOWED);
    raw_open(&rig, &raw);
    assert_true(raw_wait(&raw, DX_FRAME_PONG, &view));
    assert_int_equal(view.payload_bytes, 4);
    script_publish(&script, 1, 100);
    script_publish(&script, 2, 200);
    raw_put(&raw, &script);
    side_wait(&rig.side, rig.side.sum == 2);
    /* What was put in before the end counts, also a frame of which a part is missing. */
    script.count = 0;
    script_publish(&script, 3, 100);
    script_publish(&script, 4, 100);
    script.count -= 8;
    raw_put(&raw, &script);
    raw_close(&raw);
    side_wait(&rig.side, rig.side.closes == 1);
    assert_int_equal(rig.side.sum, 3);
    assert_true(rig.side.ordered);
    assert_int_equal(rig_stat(&rig).shm_granted, 1);
    rig_end(&rig);
}

static void what_is_sent_before_the_change_over_is_read_before_what_is_in_memory(void **state)
{
    (void)state;
    rig_t rig;
    static raw_t raw;
    script_t script = {.count = 0};
    dx_frame_view_t view;
    rig_begin(&rig, &ALLOWED);
    raw_open(&rig, &raw); /* has sent PING */
    assert_true(raw_wait(&raw, DX_FRAME_PONG, &view));
    script_publish(&script, 1, 16);
    assert_true(raw_send(raw.fd, script.bytes, script.count)); /* bells, whatever they look like */
    raw_put(&raw, &script);
    side_wait(&rig.side, rig.side.frames == 1);
    assert_true(raw_send(raw.fd, script.bytes, script.count));
    script.count = 0;
    script_publish(&script, 2, 16);
    raw_put(&raw, &script);
    side_wait(&rig.side, rig.side.frames == 2);
    assert_true(rig.side.ordered);
    raw_close(&raw);
    side_wait(&rig.side, rig.side.closes == 1);
    rig_end(&rig);
}

/* Each breaks the rules in its way; the node says so, counts it, and serves others. */
static void nonsense_ends_the_connection_with_a_reason(void **state)
{
    (void)state;
    enum { TAIL_FAR, TAIL_BACK, TAIL_NEGATIVE, HEAD_FAR, HEAD_BACK, GARBAGE, CASES };
    rig_t rig;
    rig_begin(&rig, &ALLOWED);
    static raw_t good;
    raw_open(&rig, &good);
    for (int i = 0; i < CASES; i++) {
        static raw_t raw;
        dx_frame_view_t view;
        script_t script = {.count = 0};
        const int64_t counted = rig_stat(&rig).shm_nonsense;
        raw_open(&rig, &raw);
        assert_true(raw_wait(&raw, DX_FRAME_PONG, &view));
        script_publish(&script, 1, 16);
        raw_put(&raw, &script);
        dxi_shm_words_t *const to_node = raw.shm->out.words;
        dxi_shm_words_t *const to_client = raw.shm->in.words;
        switch (i) {
        case TAIL_FAR:
            dx_store_release(&to_node->tail, (int64_t)(raw.shm->out.own + 65536 + 1));
            break;
        case TAIL_BACK:
            side_wait(&rig.side, rig.side.sum == 1);
            dx_store_release(&to_node->tail, 8);
            break;
        case TAIL_NEGATIVE:
            dx_store_release(&to_node->tail, INT64_MIN);
            break;
        case HEAD_FAR:
            dx_store_release(&to_client->head, (int64_t)raw.shm->in.own + 1048576);
            break;
        case HEAD_BACK:
            dx_store_release(&to_client->head, -8);
            break;
        default:
            memset(script.bytes, 0x5a, 256);
            script.count = 256;
            raw_put(&raw, &script);
            break;
        }
        if (i == HEAD_FAR || i == HEAD_BACK) {
            /* The node finds out when its ring is full by what it knows. */
            for (int ping = 0; ping < 200; ping++) {
                static char payload[1000];
                memset(payload, 'x', sizeof payload - 1);
                script.count = 0;
                script_plain(&script, DX_FRAME_PING, payload);
                const int64_t limit_ns = dx_clock_ns() + HUNG_S * DX_NS_PER_S;
                while (dxi_shm_room(&raw.shm->out) < (int64_t)script.count &&
                       side_closes(&rig.side) == i && dx_clock_ns() < limit_ns) {
                }
                if (dxi_shm_room(&raw.shm->out) < (int64_t)script.count) {
                    break;
                }
                raw_put(&raw, &script);
            }
        } else {
            raw_bell(&raw);
            assert_true(raw_wait(&raw, DX_FRAME_ERROR, &view));
            uint32_t bytes = 0;
            const dx_frame_code_t *const code = dx_frame_part(&view, DX_PART_CODE, &bytes);
            assert_string_equal(dx_error_name(code->code), "DX_ECORRUPT");
        }
        side_wait(&rig.side, rig.side.closes == i + 1 || i == GARBAGE);
        raw_close(&raw);
        side_wait(&rig.side, rig.side.closes == i + 1);
        assert_string_equal(dx_error_name(rig.side.why.code), "DX_ECORRUPT");
        if (i != GARBAGE) {
            assert_contains(rig.side.why.message, "has stored a position in shared memory");
        }
        assert_int_equal(rig_stat(&rig).shm_nonsense, counted + (i != GARBAGE));
        side_lock(&rig.side);
        rig.side.sum = 0;
        side_unlock(&rig.side);
    }
    script_t script = {.count = 0};
    script_publish(&script, 1, 16);
    const int frames = rig.side.frames;
    raw_put(&good, &script);
    side_wait(&rig.side, rig.side.frames == frames + 1);
    raw_close(&good);
    rig_end(&rig);
}

/* A process that changes all the data that it can reach, all the time. */
typedef struct scribbler {
    dxi_shm_t *shm;
    dx_atomic32_t stop;
} scribbler_t;

static void *scribble(void *context)
{
    scribbler_t *const scribbler = context;
    uint64_t random = 99;
    while (dx_load32_acquire(&scribbler->stop) == 0) {
        char *const data = scribbler->shm->out.data;
        for (int i = 0; i < 64; i++) {
            const uint64_t at = random_next(&random);
            __atomic_store_n(&data[at % 131072], (char)(at >> 32), __ATOMIC_RELAXED);
        }
    }
    return NULL;
}

static void bytes_that_change_under_the_node_do_no_harm(void **state)
{
    (void)state;
    rig_t rig;
    dxi_connection_options_t connection = ALLOWED;
    connection.drain_timeout_ns = 1000000; /* the peer does not end */
    rig_begin(&rig, &connection);
    for (int round = 0; round < 20; round++) {
        static raw_t raw;
        script_t script = {.count = 0};
        pthread_t thread;
        raw_open(&rig, &raw);
        scribbler_t scribbler = {.shm = NULL};
        dx_error_t error = {0};
        assert_ok(dxi_shm_attach(raw.file, &scribbler.shm, &error));
        assert_int_equal(pthread_create(&thread, NULL, scribble, &scribbler), 0);
        for (uint64_t i = 0; i < 8; i++) {
            script_publish(&script, i + 1, 300);
        }
        const int64_t limit_ns = dx_clock_ns() + HUNG_S * DX_NS_PER_S;
        while (side_closes(&rig.side) == round && dx_clock_ns() < limit_ns) {
            if (dxi_shm_room(&raw.shm->out) < 0) {
                break; /* the node's position was scribbled over: it is the peer's own loss */
            }
            (void)dxi_shm_write(&raw.shm->out, script.bytes, script.count);
            raw_bell(&raw);
        }
        dx_store32_release(&scribbler.stop, 1);
        (void)pthread_join(thread, NULL);
        dxi_shm_destroy(scribbler.shm);
        raw_close(&raw);
        side_wait(&rig.side, rig.side.closes == round + 1);
    }
    rig_end(&rig);
}

static void nobody_listens_on_shared_memory(void **state)
{
    (void)state;
    dxi_loop_t *const loop = loop_started("listen");
    side_t side;
    side_init(&side);
    const dxi_listener_options_t options = {.events = side_events(&side)};
    const dxi_address_t address = {.transport = DXI_SHM, .host = "/tmp/s"};
    listen_call_t call = {.loop = loop, .address = &address, .options = &options};
    dxi_loop_call(loop, listen_run, &call);
    assert_fails(call.code, DX_EINVAL, call.error, "listen on unix:///tmp/s");
    dxi_loop_destroy(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_it_is_off_a_client_is_told_what_works),
        cmocka_unit_test(where_there_is_no_memory_a_client_is_told_so_and_the_next_gets_it),
        cmocka_unit_test(whoever_comes_by_tcp_does_not_get_it),
        cmocka_unit_test(another_user_gets_it_only_where_that_is_allowed),
        cmocka_unit_test(a_node_that_gives_no_memory_is_left_with_a_reason),
        cmocka_unit_test(a_plain_peer_talks_through_memory),
        cmocka_unit_test(what_is_sent_before_the_change_over_is_read_before_what_is_in_memory),
        cmocka_unit_test(nonsense_ends_the_connection_with_a_reason),
        cmocka_unit_test(bytes_that_change_under_the_node_do_no_harm),
        cmocka_unit_test(nobody_listens_on_shared_memory),
    };
    return cmocka_run_group_tests_name("net shm", tests, setup_all, teardown_all);
}
