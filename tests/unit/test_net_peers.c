/* test_net_peers.c - peers that break the rules, fall silent, or never read.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/connection_internal.h"
#include "net_raw.h"

#define MS INT64_C(1000000)

/* A listener for plain peers. */
typedef struct rig {
    dxi_loop_t *loop;
    dxi_listener_t *listener;
    side_t side;
    int64_t live_before;
} rig_t;

static void rig_begin(rig_t *rig, const dxi_connection_options_t *connection)
{
    *rig = (rig_t){0};
#if DX_TEST_HOOKS
    rig->live_before = dxi_live_count();
#endif
    side_init(&rig->side);
    rig->loop = loop_started("peers");
    const dxi_listener_options_t options = {
        .connection = *connection, .events = side_events(&rig->side), .on_accept = side_on_accept};
    rig->listener = listen_on(rig->loop, "tcp://127.0.0.1:0", &options);
}

static int rig_connect(rig_t *rig)
{
    return raw_connect(dxi_listener_address(rig->listener));
}

/* A plain peer that has been greeted. */
static int rig_open(rig_t *rig)
{
    script_t script = {.count = 0};
    script_t answers;
    dx_frame_view_t view;
    const int fd = rig_connect(rig);
    script_greet(&script, DX_FRAME_HELLO, 1, 1);
    assert_true(raw_send(fd, script.bytes, script.count));
    assert_true(raw_read_until(fd, DX_FRAME_WELCOME, &answers, &view));
    return fd;
}

static void rig_end(rig_t *rig)
{
    listener_end(rig->loop, rig->listener);
    dxi_loop_destroy(rig->loop);
    assert_int_equal(rig->side.closes, rig->side.accepts);
#if DX_TEST_HOOKS
    assert_int_equal(dxi_live_count(), rig->live_before);
#endif
}

static int error_code(const dx_frame_view_t *view)
{
    uint32_t bytes = 0;
    const dx_frame_code_t *const code = dx_frame_part(view, DX_PART_CODE, &bytes);
    assert_non_null(code);
    return code->code;
}

/* ------------------------------------------------------------------------------- broken rules */

/* What a case does to a conversation of HELLO and one PUBLISH. */
typedef enum damage {
    VERSIONS_OF_TOMORROW,
    VERSION_OF_THE_FRAME,
    HEADER_CHECKSUM,
    BODY_CHECKSUM,
    TOO_LARGE,
    TOO_LARGE_TO_BEGIN_WITH,
    GARBAGE,
    NO_HELLO,
    UNKNOWN_TYPE_BEFORE_HELLO,
    TINY_FRAMES,
} damage_t;

static void script_damage(script_t *script, damage_t damage)
{
    const size_t hello = script->count;
    dx_frame_header_t *header = NULL;
    if (damage == NO_HELLO || damage == GARBAGE || damage == UNKNOWN_TYPE_BEFORE_HELLO) {
        memset(script->bytes, 'G', 512);
        script->count = damage == GARBAGE ? 512 : 0;
        if (damage == NO_HELLO) {
            script_publish(script, 1, 10);
        } else if (damage == UNKNOWN_TYPE_BEFORE_HELLO) {
            script_plain(script, DX_FRAME_PING, "x");
            header = (dx_frame_header_t *)script->bytes;
            header->type = 250;
            frame_repair(header, script->count);
        }
        return;
    }
    if (damage == TOO_LARGE_TO_BEGIN_WITH) { /* nobody has let it in yet */
        script_plain(script, DX_FRAME_PING, "x");
        header = (dx_frame_header_t *)script->bytes;
        header->length = 69632;
        const dxi_header_words_t words = dxi_header_load((const void *)header);
        header->header_checksum = dxi_header_checksum(&words);
        return;
    }
    if (damage == TINY_FRAMES) { /* it takes less than a greeting and a refusal may need */
        header = (dx_frame_header_t *)script->bytes;
        memcpy(script->bytes + 64 + 8 + 8, &(uint32_t){4095}, 4);
        frame_repair(header, hello);
        return;
    }
    script_publish(script, 1, 100);
    header = (dx_frame_header_t *)(script->bytes + hello);
    if (damage == VERSION_OF_THE_FRAME) {
        header->version = 2;
        frame_repair(header, script->count - hello);
    } else if (damage == HEADER_CHECKSUM) {
        header->sequence ^= 1;
    } else if (damage == BODY_CHECKSUM) {
        script->bytes[script->count - 9] ^= 1;
    } else if (damage == TOO_LARGE) {
        header->length = 139992;
        const dxi_header_words_t words = dxi_header_load((const void *)header);
        header->header_checksum = dxi_header_checksum(&words);
    }
}

static void what_can_not_be_read_is_answered_and_ends_the_connection(void **state)
{
    (void)state;
    const struct {
        damage_t damage;
        int code;
        const char *said;
    } cases[] = {
        {VERSIONS_OF_TOMORROW, DX_EVERSION, "versions 2 to 3 are offered"},
        {VERSION_OF_THE_FRAME, DX_EVERSION, "version"},
        {HEADER_CHECKSUM, DX_ECORRUPT, "checksum"},
        {BODY_CHECKSUM, DX_ECORRUPT, "checksum"},
        {TOO_LARGE, DX_ELIMIT, "140000"},
        {TOO_LARGE_TO_BEGIN_WITH, DX_ELIMIT, "69640"},
        {GARBAGE, DX_ECORRUPT, "checksum"},
        {NO_HELLO, DX_ESTATE, "PUBLISH came where HELLO belongs"},
        {UNKNOWN_TYPE_BEFORE_HELLO, DX_ENOTSUP, "250"},
        {TINY_FRAMES, DX_EINVAL, "frame_bytes_max is 4095, must be 4096 or more"},
    };
    const dxi_connection_options_t options = {.frame_bytes_max = 131072};
    rig_t rig;
    rig_begin(&rig, &options);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const bool tomorrow = cases[i].damage == VERSIONS_OF_TOMORROW;
        script_t script = {.count = 0};
        script_t answers;
        dx_frame_view_t view;
        script_greet(&script, DX_FRAME_HELLO, tomorrow ? 2 : 1, tomorrow ? 3 : 1);
        script_damage(&script, cases[i].damage);
        const int fd = rig_connect(&rig);
        assert_true(raw_send(fd, script.bytes, script.count));
        if (!raw_read_until(fd, DX_FRAME_ERROR, &answers, &view)) {
            fail_msg("case %zu was not answered", i);
        }
        assert_string_equal(dx_error_name(error_code(&view)), dx_error_name(cases[i].code));
        char text[256];
        (void)snprintf(text, sizeof text, "%.*s", (int)view.payload_bytes,
                       (const char *)view.payload);
        assert_contains(text, cases[i].said);
        assert_false(raw_read_until(fd, DX_FRAME_ERROR, &answers, &view)); /* and its end */
        assert_int_equal(close(fd), 0);
        side_wait(&rig.side, rig.side.closes == (int)i + 1);
        assert_string_equal(dx_error_name(rig.side.why.code), dx_error_name(cases[i].code));
        assert_int_equal(rig.side.frames, 0);
    }
    rig_end(&rig);
}

static void refused_run(void *context)
{
    side_t *const side = ((void **)context)[0];
    dxi_connection_info_t info = {0};
    dxi_connection_info(side->connection, &info);
    *(uint64_t *)((void **)context)[1] = info.refused;
}

static void a_whole_frame_that_is_refused_leaves_the_connection_alive(void **state)
{
    (void)state;
    rig_t rig;
    rig_begin(&rig, &(dxi_connection_options_t){0});
    const int fd = rig_open(&rig);
    script_t script = {.count = 0};
    script_t answers;
    dx_frame_view_t view;
    const struct {
        uint8_t type; /* what the header says in the end */
        uint16_t flags;
        int code;
        uint32_t number;
    } cases[] = {{250, 0, DX_ENOTSUP, 250},
                 {DX_FRAME_PING, 0x8000, DX_ENOTSUP, 0x8000},
                 {DX_FRAME_PUBLISH, 0, DX_EINVAL, DX_FRAME_PUBLISH}, /* without a topic */
                 {DX_FRAME_HELLO, 0, DX_EINVAL, DX_FRAME_HELLO}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        script.count = 0;
        script_plain(&script, DX_FRAME_PING, "x");
        dx_frame_header_t *const header = (dx_frame_header_t *)script.bytes;
        header->type = cases[i].type;
        header->flags = cases[i].flags;
        frame_repair(header, script.count);
        assert_true(raw_send(fd, script.bytes, script.count));
        assert_true(raw_read_until(fd, DX_FRAME_ERROR, &answers, &view));
        uint32_t bytes = 0;
        const dx_frame_code_t *const code = dx_frame_part(&view, DX_PART_CODE, &bytes);
        assert_string_equal(dx_error_name(code->code), dx_error_name(cases[i].code));
        assert_int_equal(code->number, cases[i].number);
    }
    script.count = 0; /* a PING that would have us send as much as it likes */
    static char large[DXI_PING_BYTES_MAX + 2];
    memset(large, 'p', sizeof large - 1);
    script_plain(&script, DX_FRAME_PING, large);
    assert_true(raw_send(fd, script.bytes, script.count));
    assert_true(raw_read_until(fd, DX_FRAME_ERROR, &answers, &view));
    assert_string_equal(dx_error_name(error_code(&view)), "DX_ELIMIT");
    script.count = 0;
    script_plain(&script, DX_FRAME_PING, large + 1);
    assert_true(raw_send(fd, script.bytes, script.count));
    assert_true(raw_read_until(fd, DX_FRAME_PONG, &answers, &view));
    assert_int_equal(view.payload_bytes, DXI_PING_BYTES_MAX);
    script.count = 0; /* a second greeting is whole, but not now */
    script_greet(&script, DX_FRAME_HELLO, 1, 1);
    assert_true(raw_send(fd, script.bytes, script.count));
    assert_true(raw_read_until(fd, DX_FRAME_ERROR, &answers, &view));
    assert_string_equal(dx_error_name(error_code(&view)), "DX_ESTATE");
    script.count = 0;
    script_publish(&script, 1, 10);
    assert_true(raw_send(fd, script.bytes, script.count));
    side_wait(&rig.side, rig.side.frames == 1);
    uint64_t refused = 0;
    dxi_loop_call(rig.loop, refused_run, (void *[]){&rig.side, &refused});
    assert_int_equal(refused, COUNT_OF(cases) + 2);
    assert_int_equal(close(fd), 0);
    rig_end(&rig);
}

static void what_the_owner_refuses_is_answered_with_its_correlation(void **state)
{
    (void)state;
    rig_t rig;
    rig_begin(&rig, &(dxi_connection_options_t){0});
    const int fd = rig_open(&rig);
    script_t script = {.count = 0};
    script_t answers;
    dx_frame_view_t view;
    const uint64_t correlation = 4711;
    const dx_frame_part_t parts[] = {dx_frame_part_text(DX_PART_TOPIC, "a.b"),
                                     dx_frame_part_of(DX_PART_CORRELATION, &correlation, 8)};
    script_add(&script,
               &(dx_frame_draft_t){.type = DX_FRAME_REQUEST, .parts = parts, .part_count = 2},
               NULL);
    rig.side.answer = DX_EPERM;
    assert_true(raw_send(fd, script.bytes, script.count));
    assert_true(raw_read_until(fd, DX_FRAME_ERROR, &answers, &view));
    assert_string_equal(dx_error_name(error_code(&view)), "DX_EPERM");
    assert_int_equal(dx_frame_part_u64(&view, DX_PART_CORRELATION, 0), correlation);
    assert_int_equal(close(fd), 0);
    rig_end(&rig);
}

/* ------------------------------------------------------------------------------------ silence */

static void a_silent_peer_is_asked_and_then_given_up(void **state)
{
    (void)state;
    rig_t rig;
    rig_begin(&rig,
              &(dxi_connection_options_t){.keep_alive_ns = 20 * MS, .idle_timeout_ns = 200 * MS});
    script_t answers;
    dx_frame_view_t view;
    const int fd = rig_open(&rig); /* and it says nothing more, nor answers */
    assert_true(raw_read_until(fd, DX_FRAME_PING, &answers, &view));
    assert_true(view.header->timestamp_ns != 0);
    side_wait(&rig.side, rig.side.closes == 1);
    assert_string_equal(dx_error_name(rig.side.why.code), "DX_ETIMEDOUT");
    assert_contains(rig.side.why.message, "nothing heard");
    assert_int_equal(close(fd), 0);
    rig_end(&rig);
}

static void rtt_run(void *context)
{
    side_t *const side = ((void **)context)[0];
    dxi_connection_info_t info = {0};
    if (side->connection != NULL) {
        dxi_connection_info(side->connection, &info);
    }
    *(int64_t *)((void **)context)[1] = info.rtt_ns;
}

static void a_peer_that_answers_is_kept_and_its_distance_measured(void **state)
{
    (void)state;
    pair_t pair;
    const dxi_listener_options_t listener = {
        .connection = {.keep_alive_ns = 5 * MS, .idle_timeout_ns = 20000 * MS}};
    pair_open(&pair, "tcp://127.0.0.1:0", &listener, NULL);
    int64_t rtt_ns = 0;
    const int64_t limit_ns = dx_clock_ns() + HUNG_S * DX_NS_PER_S;
    while (rtt_ns == 0 && dx_clock_ns() < limit_ns) {
        dxi_loop_call(pair.node_loop, rtt_run, (void *[]){&pair.node, &rtt_ns});
    }
    assert_true(rtt_ns > 0);
    assert_int_equal(pair.node.closes, 0);
    assert_int_equal(pair.client.frames, 0); /* PING is not the owner's */
    pair_end(&pair);
}

static void who_does_not_greet_in_time_is_told_so(void **state)
{
    (void)state;
    rig_t rig;
    rig_begin(&rig, &(dxi_connection_options_t){.handshake_timeout_ns = 30 * MS});
    script_t answers;
    dx_frame_view_t view;
    dxi_listener_stat_t stat;
    const int fd = rig_connect(&rig);
    assert_true(raw_read_until(fd, DX_FRAME_ERROR, &answers, &view));
    assert_string_equal(dx_error_name(error_code(&view)), "DX_ETIMEDOUT");
    assert_int_equal(close(fd), 0);
    side_wait(&rig.side, rig.side.closes == 1);
    assert_contains(rig.side.why.message, "for the greeting");
    dxi_listener_stat(rig.listener, &stat);
    assert_int_equal(stat.handshake_failures, 1);
    rig_end(&rig);
}

static void a_reason_of_no_code_of_ours_is_counted_as_another(void **state)
{
    (void)state;
    rig_t rig;
    rig_begin(&rig, &(dxi_connection_options_t){0});
    const int32_t codes[] = {INT32_MIN, DX_EPERM - DXI_END_CODES};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        const int fd = rig_connect(&rig);
        const dx_frame_code_t code = {.code = codes[i]};
        const dx_frame_part_t part = dx_frame_part_of(DX_PART_CODE, &code, sizeof code);
        script_t script = {.count = 0};
        script_add(&script,
                   &(dx_frame_draft_t){.type = DX_FRAME_ERROR, .parts = &part, .part_count = 1},
                   NULL);
        assert_true(raw_send(fd, script.bytes, script.count));
        side_wait(&rig.side, rig.side.closes == (int)i + 1);
        assert_int_equal(close(fd), 0);
    }
    dxi_listener_stat_t stat;
    dxi_listener_stat(rig.listener, &stat);
    assert_int_equal(stat.ended[-DX_EPERM], 0);
    assert_int_equal(stat.ended[DXI_END_CODES - 1], 2);
    rig_end(&rig);
}

static void a_node_that_does_not_answer_is_given_up(void **state)
{
    (void)state;
    dxi_address_t address;
    const int listener = raw_listen(&address);
    dxi_loop_t *const loop = loop_started("client");
    side_t side;
    side_init(&side);
    const dxi_connection_options_t options = {.handshake_timeout_ns = 30 * MS,
                                              .drain_timeout_ns = 10 * MS};
    connect_to(loop, &address, &options, &side);
    side_wait(&side, side.closes == 1);
    assert_string_equal(dx_error_name(side.why.code), "DX_ETIMEDOUT");
    assert_contains(side.why.message, "for the greeting");
    dxi_loop_destroy(loop);
    assert_int_equal(close(listener), 0);
}

/* ------------------------------------------------------------------------------- slow readers */

static void pending_run(void *context)
{
    side_t *const side = ((void **)context)[0];
    size_t *const sizes = ((void **)context)[1];
    sizes[0] = dxi_connection_pending(side->connection);
    sizes[1] = dxi_connection_room(side->connection);
}

static int side_writables(side_t *side)
{
    side_lock(side);
    const int writables = side->writables;
    side_unlock(side);
    return writables;
}

static void a_peer_that_never_reads_fills_one_ring_and_no_more(void **state)
{
    (void)state;
    rig_t rig;
    rig_begin(&rig, &(dxi_connection_options_t){.send_bytes = DXI_SEND_BYTES_MIN});
    const int fd = rig_open(&rig);
    side_wait(&rig.side, rig.side.opens == 1);
    uint64_t sent = 0;
    int more = 0;
    do { /* until the kernel's buffers and the ring are full */
        more = side_send(rig.loop, &rig.side, sent + 1, 1000, 1000);
        sent += (uint64_t)more;
    } while (more == 1000);
    size_t sizes[2];
    dxi_loop_call(rig.loop, pending_run, (void *[]){&rig.side, sizes});
    assert_true(sizes[0] <= DXI_SEND_BYTES_MIN);
    assert_true(sizes[0] > DXI_SEND_BYTES_MIN / 2);
    assert_true(sizes[1] < 2000);
    assert_int_equal(side_writables(&rig.side), 0);

    char *const bytes = malloc(1 << 20); /* it reads after all */
    while (side_writables(&rig.side) == 0) {
        assert_true(recv(fd, bytes, 1 << 20, 0) > 0);
    }
    free(bytes);
    side_wait(&rig.side, rig.side.writables > 0);
    assert_true(side_send(rig.loop, &rig.side, sent + 1, 10, 1000) > 0);
    assert_int_equal(close(fd), 0);
    rig_end(&rig);
}

static void answers_have_room_when_the_owner_has_filled_the_ring(void **state)
{
    (void)state;
    rig_t rig;
    rig_begin(&rig, &(dxi_connection_options_t){.send_bytes = DXI_SEND_BYTES_MIN});
    const int fd = rig_open(&rig);
    side_wait(&rig.side, rig.side.opens == 1);
    while (side_send(rig.loop, &rig.side, 1, 1000, 1000) == 1000) {
    }
    /* More pings than the reserve has room for pongs: the rest waits, unread. */
    script_t script = {.count = 0};
    for (int i = 0; i < 40; i++) {
        script_plain(&script, DX_FRAME_PING, "0123456789");
    }
    for (int i = 0; i < 10; i++) {
        assert_true(raw_send(fd, script.bytes, script.count));
    }
    size_t sizes[2];
    dxi_loop_call(rig.loop, pending_run, (void *[]){&rig.side, sizes});
    assert_true(sizes[0] <= DXI_SEND_BYTES_MIN);
    int pongs = 0; /* all of them are answered when the peer reads */
    size_t begin = 0;
    size_t end = 0;
    _Alignas(8) static char bytes[262144];
    for (;;) {
        dx_frame_view_t view;
        while (dx_frame_decode(bytes + begin, end - begin, &view, NULL) == DX_OK) {
            pongs += view.header->type == DX_FRAME_PONG;
            begin += view.bytes;
        }
        memmove(bytes, bytes + begin, end - begin);
        end -= begin;
        begin = 0;
        if (pongs == 400) {
            break;
        }
        const ssize_t got = recv(fd, bytes + end, sizeof bytes - end, 0);
        assert_true(got > 0);
        end += (size_t)got;
    }
    assert_int_equal(close(fd), 0);
    rig_end(&rig);
}

static void a_goodbye_to_who_never_reads_ends_in_time(void **state)
{
    (void)state;
    rig_t rig;
    rig_begin(&rig, &(dxi_connection_options_t){.send_bytes = DXI_SEND_BYTES_MIN,
                                                .drain_timeout_ns = 30 * MS});
    const int fd = rig_open(&rig);
    side_wait(&rig.side, rig.side.opens == 1);
    while (side_send(rig.loop, &rig.side, 1, 1000, 1000) == 1000) {
    }
    side_close(rig.loop, &rig.side, DX_ECLOSED, "the node stops");
    assert_int_equal(side_send(rig.loop, &rig.side, 1, 1, 10), 0);
    side_wait(&rig.side, rig.side.closes == 1);
    assert_string_equal(rig.side.why.message, "the node stops");
    assert_int_equal(close(fd), 0);
    rig_end(&rig);
}

/* ------------------------------------------------------------------------------ back pressure */

static void resume_run(void *context)
{
    side_t *const side = context;
    dxi_connection_resume(side->connection);
}

static void frames_that_can_not_be_taken_wait_where_they_are(void **state)
{
    (void)state;
    rig_t rig;
    rig_begin(&rig, &(dxi_connection_options_t){.receive_bytes = DXI_RECEIVE_BYTES_MIN});
    const int fd = rig_open(&rig);
    side_wait(&rig.side, rig.side.opens == 1);
    side_lock(&rig.side);
    rig.side.answer = DX_EAGAIN;
    side_unlock(&rig.side);
    /* The peer sends until nothing goes any more: the buffer here and the kernel's are full. */
    uint64_t sent = 0;
    script_t script = {.count = 0};
    script_publish(&script, 1, 1000);
    const size_t frame_bytes = script.count;
    bytes_call_t call = {.side = &rig.side};
    for (int quiet = 0; quiet < 20;) {
        dx_frame_header_t *const header = (dx_frame_header_t *)script.bytes;
        header->sequence = sent + 1;
        frame_repair(header, frame_bytes);
        const ssize_t taken = send(fd, script.bytes, frame_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (taken < 0) {
            assert_int_equal(errno, EAGAIN);
            quiet++;
            (void)usleep(1000);
            continue;
        }
        quiet = 0;
        if ((size_t)taken < frame_bytes) { /* the rest of it goes when there is room again */
            side_lock(&rig.side);
            rig.side.answer = DX_OK;
            side_unlock(&rig.side);
            dxi_loop_call(rig.loop, resume_run, &rig.side);
            assert_true(raw_send(fd, script.bytes + taken, frame_bytes - (size_t)taken));
            sent++;
            break;
        }
        sent++;
        if (sent == 100000) {
            fail_msg("nothing stops the peer");
        }
    }
    dxi_loop_call(rig.loop, bytes_run, &call);
    side_lock(&rig.side);
    rig.side.answer = DX_OK;
    side_unlock(&rig.side);
    dxi_loop_call(rig.loop, resume_run, &rig.side);
    side_wait(&rig.side, rig.side.sum == sent);
    assert_true(rig.side.ordered);
    assert_int_equal(rig.side.frames, sent);
    assert_int_equal(close(fd), 0);
    rig_end(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_can_not_be_read_is_answered_and_ends_the_connection),
        cmocka_unit_test(a_whole_frame_that_is_refused_leaves_the_connection_alive),
        cmocka_unit_test(what_the_owner_refuses_is_answered_with_its_correlation),
        cmocka_unit_test(a_silent_peer_is_asked_and_then_given_up),
        cmocka_unit_test(a_peer_that_answers_is_kept_and_its_distance_measured),
        cmocka_unit_test(who_does_not_greet_in_time_is_told_so),
        cmocka_unit_test(a_reason_of_no_code_of_ours_is_counted_as_another),
        cmocka_unit_test(a_node_that_does_not_answer_is_given_up),
        cmocka_unit_test(a_peer_that_never_reads_fills_one_ring_and_no_more),
        cmocka_unit_test(answers_have_room_when_the_owner_has_filled_the_ring),
        cmocka_unit_test(a_goodbye_to_who_never_reads_ends_in_time),
        cmocka_unit_test(frames_that_can_not_be_taken_wait_where_they_are),
    };
    return cmocka_run_group_tests_name("net peers", tests, NULL, NULL);
}
