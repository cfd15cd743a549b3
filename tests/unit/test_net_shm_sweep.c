/* test_net_shm_sweep.c - a client over shared memory is killed, or stopped, after each instruction
 * of putting a frame in, and of taking bytes out; the node and the others go on.
 *
 * The client is a child that gets ready at full speed and then goes one instruction at a time under
 * ptrace(). Every STRIDE-th place is tried, or every one with DX_CRASH_FULL=1.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "net_shm_test.h"

#define STRIDE 37
#define STEPS_MAX 20000 /* of the operation: it is far shorter */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WATCHED_BY_OTHERS 1 /* the sanitizers need ptrace() free, and add instructions */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define WATCHED_BY_OTHERS 1
#endif
#endif

typedef void (*operation_fn)(raw_t *raw);

/* Frame 2, as a client does it. */
static void put_in(raw_t *raw)
{
    script_t script = {.count = 0};
    script_publish(&script, 2, 64);
    (void)raise(SIGSTOP); /* from here on one instruction at a time */
    (void)!dxi_shm_write(&raw->shm->out, script.bytes, script.count);
    if (dxi_shm_must_ring_reader(&raw->shm->out)) {
        raw_bell(raw);
    }
}

/* The last few bytes of the half of the ring behind which a node that sleeps on it is rung. */
static void take_out(raw_t *raw)
{
    static char bytes[32768];
    const int64_t all = (int64_t)raw->shm->in.bytes;
    (void)raise(SIGSTOP); /* the node fills it now */
    while (dxi_shm_there(&raw->shm->in) != all) {
    }
    (void)!dxi_shm_read(&raw->shm->in, bytes, sizeof bytes - 64);
    (void)raise(SIGSTOP);
    (void)!dxi_shm_read(&raw->shm->in, bytes, 64);
    if (dxi_shm_must_ring_writer(&raw->shm->in)) {
        raw_bell(raw);
    }
}

/* The child: connects, sends frame 1, and does the operation; it never returns. */
static void victim(rig_t *rig, operation_fn operation)
{
    static raw_t raw;
    script_t script = {.count = 0};
    raw_open(rig, &raw);
    script_publish(&script, 1, 64);
    raw_put(&raw, &script);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) {
        _exit(3);
    }
    operation(&raw);
    _exit(0);
}

/* Steps so far; false when the operation was over before. */
static bool step(pid_t child, int steps)
{
    int status = 0;
    for (int i = 0; i < steps; i++) {
        if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) != 0 ||
            waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) {
            return false;
        }
    }
    return true;
}

/* The others: a frame of a client that lives, there and back. */
static void good_one_is_served(dxi_loop_t *loop, side_t *good)
{
    const int frames = good->frames;
    assert_int_equal(side_send(loop, good, (uint64_t)frames + 1, 1, 32), 1);
    side_wait(good, good->frames == frames + 1);
}

static dx_atomic64_t good_id; /* of the connection that lives */

/* The node sends that one's frames back, and counts those of the others. */
static int echo_on_frame(void *context, dxi_connection_t *connection, const dx_frame_view_t *frame,
                         dx_error_t *error)
{
    if ((int64_t)dxi_connection_id(connection) == dx_load_acquire(&good_id)) {
        (void)!dxi_connection_send(connection, frame->header, frame->bytes);
        return DX_OK;
    }
    return side_on_frame(context, connection, frame, error);
}

static void kill_everywhere(operation_fn operation, bool node_is_blocked, int signal_number)
{
    rig_t rig = {0};
    side_init(&rig.side);
    rig.loop = loop_started("sweep");
    const dxi_listener_options_t options = {
        .connection = {.shm = true, .shm_ring_bytes = 65536, .send_bytes = 65536},
        .events = {.context = &rig.side,
                   .on_open = side_on_open,
                   .on_frame = echo_on_frame,
                   .on_close = side_on_close},
        .on_accept = side_on_accept};
    rig.listener = listen_on(rig.loop, address_text, &options);
    rig.shm = *dxi_listener_address(rig.listener);
    rig.shm.transport = DXI_SHM;
    dxi_loop_t *const loop = loop_started("good");
    side_t good;
    side_init(&good);
    connect_to(loop, &rig.shm, NULL, &good);
    side_wait(&rig.side, rig.side.opens == 1);
    side_lock(&rig.side);
    dx_store_release(&good_id, (int64_t)dxi_connection_id(rig.side.connection));
    side_unlock(&rig.side);
    side_wait(&good, good.opens == 1);

    const char *const full = getenv("DX_CRASH_FULL");
    const int stride = full != NULL && full[0] != '\0' ? 1 : STRIDE;
    bool inside = true;
    int places = 0;
    for (int steps = 0; inside && steps < STEPS_MAX; steps += stride) {
        side_lock(&rig.side);
        rig.side.frames = 0;
        rig.side.sum = 0;
        const int closes = rig.side.closes;
        side_unlock(&rig.side);
        const pid_t child = fork();
        if (child == 0) {
            victim(&rig, operation);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSTOPPED(status));
        side_wait(&rig.side, rig.side.sum == 1);
        if (node_is_blocked) {
            send_call_t call = {
                .side = &rig.side, .first = 1, .count = 1000, .payload_bytes = 1000};
            dxi_loop_call(rig.loop, send_run, &call); /* until the node's own ring is full, too */
            assert_true(call.sent < 1000);
            assert_int_equal(ptrace(PTRACE_CONT, child, NULL, NULL), 0);
            assert_int_equal(waitpid(child, &status, 0), child);
            assert_true(WIFSTOPPED(status));
        }
        inside = step(child, steps);
        if (inside && signal_number == SIGSTOP) { /* it stays as it is for a while */
            good_one_is_served(loop, &good);
        }
        (void)kill(child, SIGKILL);
        (void)waitpid(child, &status, 0);
        side_wait(&rig.side, rig.side.closes == closes + 1);
        side_lock(&rig.side);
        const uint64_t last = rig.side.sum;
        const bool ordered = rig.side.ordered;
        side_unlock(&rig.side);
        assert_true(ordered && (last == 1 || last == 2)); /* a whole frame, or none */
        assert_int_equal(rig_stat(&rig).shm_nonsense, 0);
        good_one_is_served(loop, &good);
        places++;
    }
    assert_true(!inside && places > 5);
    dxi_loop_destroy(loop);
    listener_end(rig.loop, rig.listener);
    dxi_loop_destroy(rig.loop);
    assert_int_equal(rig.side.closes, rig.side.accepts);
}

static void a_client_may_die_anywhere_in_putting_a_frame_in(void **state)
{
    (void)state;
#if WATCHED_BY_OTHERS
    SKIP_BECAUSE("a sanitizer watches the instructions that the test would step through");
#endif
    kill_everywhere(put_in, false, SIGKILL);
}

static void a_client_may_stop_anywhere_in_putting_a_frame_in(void **state)
{
    (void)state;
#if WATCHED_BY_OTHERS
    SKIP_BECAUSE("a sanitizer watches the instructions that the test would step through");
#endif
    kill_everywhere(put_in, false, SIGSTOP);
}

static void a_client_may_die_anywhere_in_taking_bytes_out_of_a_full_ring(void **state)
{
    (void)state;
#if WATCHED_BY_OTHERS
    SKIP_BECAUSE("a sanitizer watches the instructions that the test would step through");
#endif
    kill_everywhere(take_out, true, SIGKILL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_may_die_anywhere_in_putting_a_frame_in),
        cmocka_unit_test(a_client_may_stop_anywhere_in_putting_a_frame_in),
        cmocka_unit_test(a_client_may_die_anywhere_in_taking_bytes_out_of_a_full_ring),
    };
    return cmocka_run_group_tests_name("net shm sweep", tests, setup_all, teardown_all);
}
