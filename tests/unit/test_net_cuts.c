/* test_net_cuts.c - a conversation cut at every byte: in two, into single bytes, and broken off.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net_raw.h"

/* A listener, or a client that connects to a plain socket; a side for each conversation. */
typedef struct rig {
    dxi_loop_t *loop;
    side_t side;
    dxi_listener_t *listener;
    dxi_address_t address;
    int raw_listener; /* -1: it is we who listen */
    int64_t live_before;
} rig_t;

static void rig_begin(rig_t *rig, bool client)
{
    *rig = (rig_t){.raw_listener = -1};
#if DX_TEST_HOOKS
    rig->live_before = dxi_live_count();
#endif
    side_init(&rig->side);
    rig->loop = loop_started("cuts");
    if (client) {
        rig->raw_listener = raw_listen(&rig->address);
        return;
    }
    const dxi_listener_options_t options = {.events = side_events(&rig->side),
                                            .on_accept = side_on_accept};
    rig->listener = listen_on(rig->loop, "tcp://127.0.0.1:0", &options);
    rig->address = *dxi_listener_address(rig->listener);
}

static void rig_end(rig_t *rig)
{
    if (rig->raw_listener < 0) {
        listener_end(rig->loop, rig->listener);
    } else {
        assert_int_equal(close(rig->raw_listener), 0);
    }
    dxi_loop_destroy(rig->loop);
#if DX_TEST_HOOKS
    assert_int_equal(dxi_live_count(), rig->live_before);
#endif
}

/* A new conversation. Returns the plain end of it. */
static int rig_talk(rig_t *rig)
{
    side_lock(&rig->side);
    rig->side.accepts = 0;
    rig->side.opens = 0;
    rig->side.frames = 0;
    rig->side.closes = 0;
    rig->side.sum = 0;
    rig->side.ordered = true;
    side_unlock(&rig->side);
    if (rig->raw_listener < 0) {
        const int fd = raw_connect(&rig->address);
        side_wait(&rig->side, rig->side.accepts == 1);
        return fd;
    }
    connect_to(rig->loop, &rig->address, NULL, &rig->side);
    return raw_accept(rig->raw_listener);
}

static script_t script_of(bool client)
{
    script_t script = {.count = 0};
    script_greet(&script, client ? DX_FRAME_WELCOME : DX_FRAME_HELLO, 1, 1);
    script_publish(&script, 1, 0);
    script_plain(&script, DX_FRAME_PING, "ping");
    script_publish(&script, 2, 61);
    script_publish(&script, 3, 0);
    script_plain(&script, DX_FRAME_GOODBYE, "bye");
    return script;
}

/* All of it was understood, once. */
static void whole_check(rig_t *rig, int fd)
{
    side_wait(&rig->side, rig->side.closes > 0 || rig->side.frames == 3);
    script_t answers;
    dx_frame_view_t view;
    assert_true(raw_read_until(fd, DX_FRAME_GOODBYE, &answers, &view));
    assert_int_equal(close(fd), 0);
    side_wait(&rig->side, rig->side.closes == 1);
    assert_int_equal(rig->side.opens, 1);
    assert_int_equal(rig->side.frames, 3);
    assert_true(rig->side.ordered);
    assert_string_equal(dx_error_name(rig->side.why.code), "DX_ECLOSED");
    assert_contains(rig->side.why.message, "bye");
}

static void single_bytes(bool client)
{
    rig_t rig;
    const script_t script = script_of(client);
    rig_begin(&rig, client);
    const int fd = rig_talk(&rig);
    for (size_t i = 0; i < script.count; i++) {
        assert_true(raw_send(fd, script.bytes + i, 1));
        side_lock(&rig.side);
        const bool there = !client || rig.side.connection != NULL;
        side_unlock(&rig.side);
        if (there) {
            side_wait_bytes(rig.loop, &rig.side, i + 1);
        }
    }
    whole_check(&rig, fd);
    rig_end(&rig);
}

static void a_conversation_may_come_byte_by_byte(void **state)
{
    (void)state;
    single_bytes(false);
    single_bytes(true);
}

static void two_parts(bool client)
{
    rig_t rig;
    const script_t script = script_of(client);
    rig_begin(&rig, client);
    for (size_t cut = 1; cut < script.count; cut++) {
        const int fd = rig_talk(&rig);
        assert_true(raw_send(fd, script.bytes, cut));
        if (!client || cut >= 120) { /* a client's connection is known when it is open */
            side_wait_bytes(rig.loop, &rig.side, client ? 0 : cut);
        }
        assert_true(raw_send(fd, script.bytes + cut, script.count - cut));
        whole_check(&rig, fd);
    }
    rig_end(&rig);
}

static void a_conversation_may_be_cut_anywhere(void **state)
{
    (void)state;
    two_parts(false);
    two_parts(true);
}

static void broken_off(bool client, bool reset)
{
    rig_t rig;
    const script_t script = script_of(client);
    const size_t goodbye = script.count - 72; /* header and "bye" */
    rig_begin(&rig, client);
    for (size_t cut = 0; cut < script.count; cut++) {
        const int fd = rig_talk(&rig);
        assert_true(raw_send(fd, script.bytes, cut));
        if (reset) {
            raw_reset(fd);
        } else {
            assert_int_equal(close(fd), 0);
        }
        side_wait(&rig.side, rig.side.closes > 0);
        assert_true(rig.side.opens <= 1);
        assert_true(rig.side.frames <= 3);
        assert_true(rig.side.ordered);
        assert_true(cut >= goodbye + 72 || rig.side.why.code == DX_EIO);
        assert_true(rig.side.why.message[0] != '\0');
    }
    rig_end(&rig);
    assert_int_equal(rig.side.closes, 1);
}

static void a_conversation_may_break_off_anywhere(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        broken_off((i & 1) != 0, (i & 2) != 0);
    }
}

static void a_loop_that_stops_closes_a_conversation_wherever_it_is(void **state)
{
    (void)state;
    const script_t script = script_of(false);
    for (size_t cut = 0; cut < script.count; cut += 37) {
        rig_t rig;
        rig_begin(&rig, false);
        const int fd = rig_talk(&rig);
        assert_true(raw_send(fd, script.bytes, cut));
        side_wait_bytes(rig.loop, &rig.side, cut);
        dxi_loop_stop(rig.loop);
        assert_int_equal(rig.side.closes, 1);
        assert_string_equal(dx_error_name(rig.side.why.code), "DX_ECANCELLED");
        rig_end(&rig);
        assert_int_equal(close(fd), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_conversation_may_come_byte_by_byte),
        cmocka_unit_test(a_conversation_may_be_cut_anywhere),
        cmocka_unit_test(a_conversation_may_break_off_anywhere),
        cmocka_unit_test(a_loop_that_stops_closes_a_conversation_wherever_it_is),
    };
    return cmocka_run_group_tests_name("net cuts", tests, NULL, NULL);
}
