/* test_net_shm_run.c - connections over shared memory at work: sleep and bells, a peer that does
 * not read, many of them on one loop, and descriptors that go with a frame.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net_shm_test.h"

/* ------------------------------------------------------------------------------ sleep and bells */

static void frames_there_and_back(rig_t *rig, dxi_loop_t *loop, side_t *client, int count)
{
    side_lock(&rig->side);
    rig->side.echo = true;
    side_unlock(&rig->side);
    for (int i = 1; i <= count; i++) {
        assert_int_equal(side_send(loop, client, (uint64_t)i, 1, 32), 1);
        side_wait(client, client->frames == i);
    }
    assert_true(client->ordered);
}

static void loops_that_never_sleep_make_no_system_call_for_each_other(void **state)
{
    (void)state;
    rig_t rig;
    rig_begin_loop(&rig, &ALLOWED, &(dxi_loop_options_t){.name = "node", .busy_poll = true});
    dxi_loop_t *loop = NULL;
    dx_error_t error = {0};
    assert_ok(
        dxi_loop_create(&(dxi_loop_options_t){.name = "client", .busy_poll = true}, &loop, &error));
    assert_ok(dxi_loop_start(loop, &error));
    side_t client;
    side_init(&client);
    connect_to(loop, &rig.shm, NULL, &client);
    side_wait(&client, client.opens == 1);
    frames_there_and_back(&rig, loop, &client, 500);
    assert_int_equal(info_of(loop, &client).bells_out, 0);
    assert_int_equal(info_of(rig.loop, &rig.side).bells_out, 0);
    dxi_loop_destroy(loop);
    rig_end(&rig);
}

static void loops_that_sleep_are_rung_for(void **state)
{
    (void)state;
    rig_t rig;
    rig_begin(&rig, &ALLOWED);
    dxi_loop_t *const loop = loop_started("client");
    side_t client;
    side_init(&client);
    connect_to(loop, &rig.shm, NULL, &client);
    side_wait(&client, client.opens == 1);
    frames_there_and_back(&rig, loop, &client, 500);
    const dxi_connection_info_t info = info_of(loop, &client);
    assert_true(info.bells_out > 0 && info.bells_out <= 500); /* one for a sleep, at most */
    dxi_loop_destroy(loop);
    rig_end(&rig);
}

static void resume_run(void *context)
{
    side_t *const side = context;
    side_lock(side);
    side->answer = DX_OK;
    side_unlock(side);
    dxi_connection_resume(side->connection);
}

/* Whoever does not read fills one ring and one buffer, and no more; then all comes. */
static void a_peer_that_does_not_read_is_waited_for(void **state)
{
    (void)state;
    rig_t rig;
    rig_begin(&rig, &ALLOWED);
    dxi_loop_t *const loop = loop_started("client");
    side_t client;
    side_init(&client);
    rig.side.answer = DX_EAGAIN;
    connect_to(loop, &rig.shm, &(dxi_connection_options_t){.send_bytes = 65536}, &client);
    side_wait(&client, client.opens == 1);
    side_wait(&rig.side, rig.side.opens == 1);
    int sent = 0;
    for (int in_vain = 0; in_vain < 50; in_vain++) { /* nothing moves any more */
        const int more = side_send(loop, &client, (uint64_t)sent + 1, 100, 1000);
        in_vain = more != 0 ? 0 : in_vain;
        sent += more;
        assert_true(sent < 1000); /* 64 KiB of ours, 64 KiB shared, 256 KiB of theirs */
        (void)usleep(1000);
    }
    assert_int_equal(rig.side.frames, 0);
    const int told = client.writables;
    dxi_loop_call(rig.loop, resume_run, &rig.side);
    side_wait(&rig.side, rig.side.frames == sent);
    assert_true(rig.side.ordered);
    side_wait(&client, client.writables > told);
    assert_int_equal(side_send(loop, &client, (uint64_t)sent + 1, 1, 16), 1);
    side_wait(&rig.side, rig.side.frames == sent + 1);
    dxi_loop_destroy(loop);
    rig_end(&rig);
}

/* More than a loop looks at: some have to ring although it is awake, and none is forgotten. */
#define MANY (DXI_WATCHED_MAX + 12)

static void more_than_a_loop_looks_at_are_all_served(void **state)
{
    (void)state;
    rig_t rig;
    rig_begin_loop(&rig, &ALLOWED, &(dxi_loop_options_t){.name = "many", .spin_ns = 100000});
    static raw_t many[MANY];
    for (int i = 0; i < MANY; i++) {
        raw_open(&rig, &many[i]);
    }
    uint64_t random = 3;
    script_t script = {.count = 0};
    script_publish(&script, 1, 16);
    for (int i = 0; i < 3000; i++) {
        raw_t *const raw = &many[random_next(&random) % MANY];
        assert_int_equal(dxi_shm_write(&raw->shm->out, script.bytes, script.count), script.count);
        if (dxi_shm_must_ring_reader(&raw->shm->out)) {
            raw_bell(raw);
        }
        if (i % 100 == 99) {
            side_wait(&rig.side, rig.side.frames == i + 1);
        }
    }
    for (int i = 0; i < MANY; i++) {
        raw_close(&many[i]);
    }
    side_wait(&rig.side, rig.side.closes == MANY);
    rig_end(&rig);
}

/* ---------------------------------------------------------------------------------- descriptors */

/* A node that sends files with its frames, and a client that takes them. */
typedef struct passing {
    side_t *node;
    uint64_t number; /* of the frame */
    int code;
} passing_t;

static void pass_run(void *context)
{
    passing_t *const passing = context;
    dx_error_t error = {0};
    char text[32];
    int file = dxi_sealed_create("dx-test", 4096, &error);
    (void)snprintf(text, sizeof text, "file %d", (int)passing->number);
    (void)!pwrite(file, text, sizeof text, 0);
    passing->code = dxi_connection_pass(passing->node->connection, &file, 1, &error);
    if (passing->code != DX_OK) {
        (void)close(file);
        return;
    }
    send_call_t call = {
        .side = passing->node, .first = passing->number, .count = 1, .payload_bytes = 8};
    send_run(&call);
    passing->code = call.code;
}

static int files_taken;
static char file_text[32];

static int take_on_frame(void *context, dxi_connection_t *connection, const dx_frame_view_t *frame,
                         dx_error_t *error)
{
    if (frame->header->sequence % 3 == 0) { /* as the test sends them */
        int file = -1;
        if (dxi_connection_take(connection, &file, 1) == DX_OK) {
            (void)!pread(file, file_text, sizeof file_text, 0);
            (void)close(file);
            files_taken++;
        }
    }
    return side_on_frame(context, connection, frame, error);
}

static void a_frame_may_carry_descriptors(void **state)
{
    (void)state;
    for (int over_shm = 0; over_shm < 2; over_shm++) {
        rig_t rig;
        rig_begin(&rig, &ALLOWED);
        dxi_loop_t *const loop = loop_started("client");
        side_t client;
        side_init(&client);
        dxi_address_t address = rig.shm;
        address.transport = over_shm != 0 ? DXI_SHM : DXI_UNIX;
        dxi_connection_events_t events = side_events(&client);
        events.on_frame = take_on_frame;
        dx_error_t error = {0};
        assert_ok(connect_try(loop, &address,
                              &(dxi_connection_options_t){.takes_descriptors = true}, &events,
                              &error));
        side_wait(&client, client.opens == 1);
        side_wait(&rig.side, rig.side.opens == 1);
        files_taken = 0;
        for (uint64_t i = 1; i <= 60; i++) {
            passing_t passing = {.node = &rig.side, .number = i};
            if (i % 3 == 0) {
                do {
                    dxi_loop_call(rig.loop, pass_run, &passing);
                } while (passing.code == DX_EAGAIN); /* the one before is on its way */
                assert_ok(passing.code);
            } else {
                assert_int_equal(side_send(rig.loop, &rig.side, i, 1, 100), 1);
            }
        }
        side_wait(&client, client.frames == 60);
        assert_true(client.ordered);
        assert_int_equal(files_taken, 20);
        assert_string_equal(file_text, "file 60");
        dxi_loop_destroy(loop);
        rig_end(&rig);
    }
}

static void pass_on_tcp_run(void *context)
{
    passing_t *const passing = context;
    int file = 0;
    dx_error_t error = {0};
    passing->code = dxi_connection_pass(passing->node->connection, &file, 1, &error);
    assert_contains(error.message, "descriptors can't be passed");
}

static void descriptors_go_to_processes_of_this_host_only(void **state)
{
    (void)state;
    pair_t pair;
    pair_open(&pair, "tcp://127.0.0.1:0", NULL, NULL);
    passing_t passing = {.node = &pair.node};
    dxi_loop_call(pair.node_loop, pass_on_tcp_run, &passing);
    assert_string_equal(dx_error_name(passing.code), "DX_ENOTSUP");
    pair_end(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loops_that_never_sleep_make_no_system_call_for_each_other),
        cmocka_unit_test(loops_that_sleep_are_rung_for),
        cmocka_unit_test(a_peer_that_does_not_read_is_waited_for),
        cmocka_unit_test(more_than_a_loop_looks_at_are_all_served),
        cmocka_unit_test(a_frame_may_carry_descriptors),
        cmocka_unit_test(descriptors_go_to_processes_of_this_host_only),
    };
    return cmocka_run_group_tests_name("net shm run", tests, setup_all, teardown_all);
}
