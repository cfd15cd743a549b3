/* test_net_batch.c - compression on connections: what goes as a BATCH, what comes as one, and what
 * is refused.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>

#include "disruptorx/frame_batch.h"
#include "net/connection_internal.h"
#include "net_raw.h"

#define TCP "tcp://127.0.0.1:0"

/* -------------------------------------------------------------------------------------- looking */

static void written_run(void *context)
{
    uint64_t *const written = ((void **)context)[1];
    *written = dxi_connection_written(((side_t *)((void **)context)[0])->connection);
}

static void pair_with(pair_t *pair, dx_compression_t node, dx_compression_t client)
{
    pair_open(pair, TCP, &(dxi_listener_options_t){.connection = {.compression = node}},
              &(dxi_connection_options_t){.compression = client});
}

static void resume(void *connection)
{
    dxi_connection_resume(connection);
}

/* Ends a pair in order. */
static void pair_finish(pair_t *pair)
{
    side_close(pair->client_loop, &pair->client, DX_ECLOSED, "done");
    side_wait(&pair->client, pair->client.closes == 1);
    side_wait(&pair->node, pair->node.closes == 1);
    pair_end(pair);
}

/* -------------------------------------------------------------------------------------- sending */

/* Frames of several kinds, in one turn of the loop. */
typedef struct mixed {
    side_t *side;
    uint64_t next; /* sequence */
    uint64_t last; /* 0: without end */
    int count;
    uint32_t payload_bytes;
    bool random;
    bool several; /* topics, and frames that no BATCH takes */
    uint64_t raw_bytes;
    uint64_t state;
} mixed_t;

static void payload_fill(mixed_t *mixed, char *payload)
{
    for (uint32_t i = 0; i < mixed->payload_bytes; i++) {
        payload[i] =
            mixed->random ? (char)random_next(&mixed->state) : "order 4711 shipped, "[i % 20];
    }
}

static bool mixed_send_one(mixed_t *mixed)
{
    static const char *const topics[] = {"orders.created", "noise", "orders.created", "a.b"};
    static char payload[65536];
    const uint64_t number = 7;
    const uint64_t kind = mixed->several ? mixed->next % 8 : 0;
    const dx_frame_part_t topic =
        dx_frame_part_text(DX_PART_TOPIC, topics[mixed->several ? mixed->next / 8 % 4 : 0]);
    const dx_frame_part_t subscription = dx_frame_part_of(DX_PART_SUBSCRIPTION, &number, 8);
    dx_frame_draft_t draft = {
        .type = DX_FRAME_PUBLISH, .sequence = mixed->next, .parts = &topic, .part_count = 1};
    draft.payload_bytes = mixed->payload_bytes;
    if (kind == 3) {
        draft.type = DX_FRAME_UNSUBSCRIBE;
        draft.parts = &subscription;
        draft.payload_bytes = 0;
    } else if (kind == 5) {
        draft.type = DX_FRAME_ACK;
        draft.part_count = 0;
        draft.payload_bytes = 0;
    }
    payload_fill(mixed, payload);
    if (dxi_connection_encode(mixed->side->connection, &draft, payload, NULL) != DX_OK) {
        return false;
    }
    mixed->raw_bytes += (uint64_t)dx_frame_bytes(&draft, NULL);
    mixed->next++;
    return true;
}

static void mixed_run(void *context)
{
    mixed_t *const mixed = context;
    for (int i = 0; i < mixed->count && mixed->side->connection != NULL; i++) {
        if (mixed->next - 1 == mixed->last && mixed->last != 0) {
            return;
        }
        if (!mixed_send_one(mixed)) {
            return;
        }
    }
}

/* Sends until `last` was sent, turn by turn. */
static void mixed_send(dxi_loop_t *loop, mixed_t *mixed, uint64_t last)
{
    mixed->last = last;
    while (mixed->next <= last) {
        dxi_loop_call(loop, mixed_run, mixed);
    }
}

/* ------------------------------------------------------------------------------------ what pays */

static void what_waits_goes_as_batches_and_comes_out_as_it_was(void **state)
{
    (void)state;
    static const struct {
        dx_compression_t node, client;
    } rows[] = {{DX_COMPRESSION_AUTO, DX_COMPRESSION_LZ4},
                {DX_COMPRESSION_ZSTD, DX_COMPRESSION_AUTO},
                {DX_COMPRESSION_ZSTD, DX_COMPRESSION_ZSTD}};
    for (size_t i = 0; i < 3; i++) {
        pair_t pair;
        pair_with(&pair, rows[i].node, rows[i].client);
        mixed_t there = {.side = &pair.client, .next = 1, .count = 64, .payload_bytes = 300};
        mixed_t back = {.side = &pair.node, .next = 1, .count = 64, .payload_bytes = 300};
        mixed_send(pair.client_loop, &there, 6400);
        mixed_send(pair.node_loop, &back, 640);
        side_wait(&pair.node, pair.node.sum == 6400);
        side_wait(&pair.client, pair.client.sum == 640);
        assert_true(pair.node.ordered && pair.client.ordered);
        assert_int_equal(pair.node.payload, 6400 * 300);
        const dxi_connection_info_t client = info_of(pair.client_loop, &pair.client);
        const dxi_connection_info_t node = info_of(pair.node_loop, &pair.node);
        assert_true(client.batches_out > 50 && node.batches_out > 5);
        assert_int_equal(client.batches_out, node.batches_in);
        assert_int_equal(client.batch_bytes_out, node.batch_bytes_in);
        assert_int_equal(client.batch_raw_bytes_out, node.batch_raw_bytes_in);
        assert_true(client.bytes_out < there.raw_bytes / 3);
        assert_true(node.bytes_out < back.raw_bytes / 3);
        uint64_t written = 0;
        dxi_loop_call(pair.client_loop, written_run, (void *[]){&pair.client, &written});
        assert_true(written > there.raw_bytes && written < there.raw_bytes + 1000); /* K4 */
        pair_finish(&pair);
    }
}

static void nothing_is_packed_within_a_host_or_when_one_side_wants_none(void **state)
{
    (void)state;
    static const struct {
        dx_compression_t node, client;
    } rows[] = {{DX_COMPRESSION_AUTO, DX_COMPRESSION_AUTO},
                {DX_COMPRESSION_OFF, DX_COMPRESSION_ZSTD},
                {DX_COMPRESSION_LZ4, DX_COMPRESSION_OFF},
                {DX_COMPRESSION_LZ4, DX_COMPRESSION_ZSTD}};
    for (size_t i = 0; i < 4; i++) {
        pair_t pair;
        pair_with(&pair, rows[i].node, rows[i].client);
        mixed_t mixed = {.side = &pair.client, .next = 1, .count = 64, .payload_bytes = 300};
        mixed_send(pair.client_loop, &mixed, 640);
        side_wait(&pair.node, pair.node.sum == 640);
        const dxi_connection_info_t info = info_of(pair.client_loop, &pair.client);
        assert_int_equal(info.batches_out, 0);
        assert_true(info.bytes_out >= mixed.raw_bytes);
        pair_finish(&pair);
    }
}

static void what_can_not_be_compressed_is_tried_now_and_then_and_stays_as_it_is(void **state)
{
    (void)state;
    pair_t pair;
    pair_with(&pair, DX_COMPRESSION_LZ4, DX_COMPRESSION_AUTO);
    mixed_t mixed = {
        .side = &pair.client, .next = 1, .count = 64, .payload_bytes = 300, .random = true};
    mixed.state = 88172645463325252;
    mixed_send(pair.client_loop, &mixed, 6400);
    side_wait(&pair.node, pair.node.sum == 6400);
    const dxi_connection_info_t random = info_of(pair.client_loop, &pair.client);
    assert_true(random.batches_out <= 6400 / 64 / 32 + 2);
    mixed.random = false; /* the topic changes, which is noticed by a probe */
    mixed_send(pair.client_loop, &mixed, 6400 + 64 * 64 * 20);
    side_wait(&pair.node, pair.node.sum == 6400 + 64 * 64 * 20);
    assert_true(info_of(pair.client_loop, &pair.client).batches_out > random.batches_out + 50);
    pair_finish(&pair);
}

static void topics_and_other_frames_keep_their_order(void **state)
{
    (void)state;
    pair_t pair;
    pair_with(&pair, DX_COMPRESSION_LZ4, DX_COMPRESSION_LZ4);
    mixed_t mixed = {
        .side = &pair.client, .next = 1, .count = 300, .payload_bytes = 700, .several = true};
    mixed_send(pair.client_loop, &mixed, 9000);
    side_wait(&pair.node, pair.node.sum == 9000);
    assert_true(pair.node.ordered);
    assert_true(info_of(pair.client_loop, &pair.client).batches_out > 30);
    pair_finish(&pair);
}

/* A window that is larger than a BATCH may be, and a frame that is. */
static void windows_and_frames_larger_than_a_batch_go_as_well(void **state)
{
    (void)state;
    pair_t pair;
    pair_open(&pair, TCP,
              &(dxi_listener_options_t){.connection = {.compression = DX_COMPRESSION_LZ4}},
              &(dxi_connection_options_t){.send_bytes = 8 * 1048576});
    side_lock(&pair.node);
    pair.node.answer = DX_EAGAIN; /* so that much waits */
    side_unlock(&pair.node);
    uint64_t next = 1;
    while (side_send(pair.client_loop, &pair.client, next, 1, 1048576 - 64) == 1) {
        next++;
    }
    mixed_t mixed = {.side = &pair.client, .next = next, .count = 64, .payload_bytes = 60000};
    dxi_loop_call(pair.client_loop, mixed_run, &mixed);
    side_lock(&pair.node);
    pair.node.answer = DX_OK;
    dxi_connection_t *const connection = pair.node.connection;
    side_unlock(&pair.node);
    dxi_loop_call(pair.node_loop, resume, connection);
    side_wait(&pair.node, pair.node.sum == mixed.next - 1);
    assert_true(pair.node.ordered);
    pair_finish(&pair);
}

/* A frame with a descriptor in the middle of others. */
static void pass_between(void *context)
{
    mixed_t *const mixed = context;
    dx_error_t error = {0};
    const int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(file >= 0);
    mixed->last = mixed->next + 49;
    mixed_run(mixed);
    assert_ok(dxi_connection_pass(mixed->side->connection, &file, 1, &error));
    mixed->last += 50;
    mixed_run(mixed);
}

static void frames_with_descriptors_go_between_batches(void **state)
{
    (void)state;
    char folder[] = "/tmp/dx-net-batch-XXXXXX";
    char address[64];
    assert_non_null(mkdtemp(folder));
    (void)snprintf(address, sizeof address, "unix://%s/s", folder);
    pair_t pair;
    pair_open(&pair, address,
              &(dxi_listener_options_t){.connection = {.compression = DX_COMPRESSION_LZ4}},
              &(dxi_connection_options_t){.takes_descriptors = true});
    mixed_t mixed = {.side = &pair.node, .next = 1, .count = 64, .payload_bytes = 300};
    for (int i = 0; i < DXI_CAME_MAX; i++) { /* which nobody takes here */
        const uint64_t before = mixed.next;
        dxi_loop_call(pair.node_loop, pass_between, &mixed);
        assert_int_equal(mixed.next, before + 100);
        side_wait(&pair.client, pair.client.sum == mixed.next - 1);
    }
    assert_true(pair.client.ordered);
    assert_true(info_of(pair.node_loop, &pair.node).batches_out != 0);
    pair_finish(&pair);
    assert_int_equal(rmdir(folder), 0);
}

/* ---------------------------------------------------------------------------------- what waits */

static void what_is_not_taken_waits_in_its_batch(void **state)
{
    (void)state;
    pair_t pair;
    pair_with(&pair, DX_COMPRESSION_ZSTD, DX_COMPRESSION_AUTO);
    mixed_t mixed = {.side = &pair.client, .next = 1, .count = 64, .payload_bytes = 300};
    mixed_send(pair.client_loop, &mixed, 64);
    for (int i = 0; i < 40; i++) {
        side_lock(&pair.node);
        pair.node.answer = DX_EAGAIN;
        dxi_connection_t *const connection = pair.node.connection;
        side_unlock(&pair.node);
        mixed_send(pair.client_loop, &mixed, mixed.next + 63);
        dxi_loop_call(pair.node_loop, resume, connection);
        side_lock(&pair.node);
        pair.node.answer = DX_OK;
        side_unlock(&pair.node);
        dxi_loop_call(pair.node_loop, resume, connection);
        side_wait(&pair.node, pair.node.sum == mixed.next - 1);
    }
    assert_true(pair.node.ordered);
    assert_int_equal(pair.node.frames, mixed.next - 1);
    pair_finish(&pair);
}

/* Closes its connection in the middle of a BATCH. */
static int frame_closes(void *context, dxi_connection_t *connection, const dx_frame_view_t *frame,
                        dx_error_t *error)
{
    (void)error;
    side_t *const side = context;
    if (frame->header->sequence == 70) {
        dxi_connection_close(connection, DX_EPERM, "enough");
        return DX_OK;
    }
    side_lock(side);
    side->frames++;
    side->sum = frame->header->sequence;
    side_unlock(side);
    return DX_OK;
}

static void an_owner_may_close_in_the_middle_of_a_batch(void **state)
{
    (void)state;
    pair_t pair;
#if DX_TEST_HOOKS
    pair.live_before = dxi_live_count();
#endif
    side_init(&pair.node);
    side_init(&pair.client);
    pair.node_loop = loop_started("node");
    pair.client_loop = loop_started("client");
    dxi_listener_options_t options = {.connection = {.compression = DX_COMPRESSION_LZ4},
                                      .events = side_events(&pair.node),
                                      .on_accept = side_on_accept};
    options.events.on_frame = frame_closes;
    pair.listener = listen_on(pair.node_loop, TCP, &options);
    connect_to(pair.client_loop, dxi_listener_address(pair.listener), NULL, &pair.client);
    side_wait(&pair.client, pair.client.opens == 1);
    mixed_t mixed = {.side = &pair.client, .next = 1, .count = 64, .payload_bytes = 300};
    mixed_send(pair.client_loop, &mixed, 128);
    side_wait(&pair.client, pair.client.closes == 1);
    side_wait(&pair.node, pair.node.closes == 1);
    assert_int_equal(pair.node.frames, 69);
    assert_int_equal(pair.client.why.code, DX_EPERM);
    pair_end(&pair);
}

/* ------------------------------------------------------------------------------ what is refused */

typedef struct bad {
    const char *what;
    int code;
    bool ends; /* the connection */
    const char *sentence;
} bad_t;

enum { BOMB, DAMAGED, NESTED, COMMAND, PING_IN, TOO_LARGE, MISCOUNTED, UNKNOWN, SHORT, BADS };

static const bad_t BAD[BADS] = {
    [BOMB] = {"says more than is allowed", DX_ELIMIT, false, "must come to at most 1048576"},
    [DAMAGED] = {"is damaged", DX_ECORRUPT, true, "does not come to"},
    [NESTED] = {"has a BATCH in it", DX_EINVAL, false, "there is a BATCH in the batch"},
    [COMMAND] = {"has a command in it", DX_EINVAL, false, "UNSUBSCRIBE may not be in a BATCH"},
    [PING_IN] = {"has a PING in it", DX_EINVAL, false, "PING may not be in a BATCH"},
    [TOO_LARGE] = {"has too large a frame", DX_ELIMIT, true, "must have at most 8192"},
    [MISCOUNTED] = {"has another number of frames", DX_ECORRUPT, true, "more frames to come"},
    [UNKNOWN] = {"has an unknown codec", DX_ENOTSUP, false, "codec 9 is not known"},
    [SHORT] = {"is longer than what it comes to", DX_EINVAL, false, "bytes of payload for"},
};

/* Puts a BATCH around what is in `frames` into the script. */
static void script_batch(script_t *script, const script_t *frames, uint32_t count, int kind)
{
    dx_frame_batch_info_t info = {
        .codec = DX_CODEC_LZ4, .count = count, .raw_bytes = (uint32_t)frames->count};
    dx_frame_batch_t *batch = NULL;
    static uint64_t sealed[8192];
    assert_ok(dx_frame_batch_create(65536, &batch, NULL));
    for (size_t at = 0; at < frames->count;) {
        const dx_frame_header_t *const frame = (const void *)(frames->bytes + at);
        if (frame->type != DX_FRAME_BATCH) {
            assert_ok(dx_frame_batch_add(batch, frame));
        }
        at += dx_frame_header_frame_bytes(frame);
    }
    dx_frame_view_t view;
    const char *payload = frames->bytes;
    uint32_t payload_bytes = (uint32_t)frames->count;
    if (kind == NESTED || kind == MISCOUNTED) {
        info.codec = DX_CODEC_NONE; /* as they are */
    } else {
        assert_true(dx_frame_batch_seal(batch, DX_CODEC_LZ4, sealed, sizeof sealed, NULL) > 0);
        assert_ok(dx_frame_decode(sealed, sizeof sealed, &view, NULL));
        payload = view.payload;
        payload_bytes = view.payload_bytes;
        uint32_t bytes = 0;
        info.codec =
            ((const dx_frame_batch_info_t *)dx_frame_part(&view, DX_PART_BATCH, &bytes))->codec;
    }
    info.raw_bytes = kind == BOMB ? 1048576 + 8 : kind == SHORT ? 64 : info.raw_bytes;
    info.raw_bytes += kind == DAMAGED ? 8 : 0;
    info.count += kind == MISCOUNTED ? 1 : 0;
    info.count = kind == SHORT ? 1 : info.count;
    info.codec = kind == UNKNOWN ? 9 : info.codec;
    const dx_frame_part_t part = dx_frame_part_of(DX_PART_BATCH, &info, sizeof info);
    script_add(script,
               &(dx_frame_draft_t){.type = DX_FRAME_BATCH,
                                   .parts = &part,
                                   .part_count = 1,
                                   .payload_bytes = payload_bytes},
               payload);
    dx_frame_batch_destroy(batch);
}

/* What is in the BATCH. */
static uint32_t script_frames(script_t *frames, int kind)
{
    uint64_t number = 3;
    const dx_frame_part_t subscription = dx_frame_part_of(DX_PART_SUBSCRIPTION, &number, 8);
    const dx_frame_batch_info_t info = {.codec = DX_CODEC_NONE, .count = 1, .raw_bytes = 64};
    const dx_frame_part_t batch = dx_frame_part_of(DX_PART_BATCH, &info, sizeof info);
    script_publish(frames, 1, 600);
    if (kind == COMMAND) {
        script_add(frames,
                   &(dx_frame_draft_t){
                       .type = DX_FRAME_UNSUBSCRIBE, .parts = &subscription, .part_count = 1},
                   NULL);
    } else if (kind == PING_IN) {
        script_plain(frames, DX_FRAME_PING, "");
    } else if (kind == NESTED) {
        script_add(
            frames,
            &(dx_frame_draft_t){
                .type = DX_FRAME_BATCH, .parts = &batch, .part_count = 1, .payload_bytes = 64},
            (char[64]){0});
    } else {
        script_publish(frames, 2, 600);
        return 2;
    }
    script_publish(frames, 2, 600);
    return 3;
}

/* A small BATCH with a large frame. */
static void script_batch_large(script_t *script)
{
    static const char payload[20000];
    static uint64_t frame[4000], sealed[8192];
    dx_frame_batch_t *batch = NULL;
    const dx_frame_part_t topic = dx_frame_part_text(DX_PART_TOPIC, "a.b");
    const dx_frame_draft_t draft = {.type = DX_FRAME_PUBLISH,
                                    .parts = &topic,
                                    .part_count = 1,
                                    .payload_bytes = sizeof payload};
    assert_true(dx_frame_encode(frame, sizeof frame, &draft, payload, NULL) > 0);
    assert_ok(dx_frame_batch_create(65536, &batch, NULL));
    assert_ok(dx_frame_batch_add(batch, frame));
    const int64_t bytes = dx_frame_batch_seal(batch, DX_CODEC_LZ4, sealed, sizeof sealed, NULL);
    assert_in_range(bytes, 1, 2000);
    memcpy(script->bytes + script->count, sealed, (size_t)bytes);
    script->count += (size_t)bytes;
    dx_frame_batch_destroy(batch);
}

static void bad_batches_are_refused_and_counted(void **state)
{
    (void)state;
    dxi_loop_t *const loop = loop_started("node");
    for (int kind = 0; kind < BADS; kind++) {
        side_t side;
        side_init(&side);
        dxi_listener_options_t options = {.connection = {.frame_bytes_max = 8192},
                                          .events = side_events(&side),
                                          .on_accept = side_on_accept};
        dxi_listener_t *const listener = listen_on(loop, TCP, &options);
        const int fd = raw_connect(dxi_listener_address(listener));
        script_t frames = {.count = 0}, script = {.count = 0}, heard = {.count = 0};
        dx_frame_view_t view;
        if (kind == TOO_LARGE) {
            script_greet(&script, DX_FRAME_HELLO, 1, 1);
            script_batch_large(&script);
        } else {
            const uint32_t count = script_frames(&frames, kind);
            script_greet(&script, DX_FRAME_HELLO, 1, 1);
            script_batch(&script, &frames, count, kind);
        }
        script_publish(&script, 9, 8);
        assert_true(raw_send(fd, script.bytes, script.count));
        if (!raw_read_until(fd, DX_FRAME_ERROR, &heard, &view)) {
            fail_msg("no ERROR for a BATCH that %s", BAD[kind].what);
        }
        uint32_t bytes = 0;
        const dx_frame_code_t *const code = dx_frame_part(&view, DX_PART_CODE, &bytes);
        char sentence[300];
        (void)snprintf(sentence, sizeof sentence, "%.*s", (int)view.payload_bytes,
                       (const char *)view.payload);
        assert_int_equal(code->code, BAD[kind].code);
        assert_contains(sentence, BAD[kind].sentence);
        if (BAD[kind].ends) {
            assert_int_equal(close(fd), 0);
            side_wait(&side, side.closes == 1);
            assert_int_equal(side.why.code, BAD[kind].code);
        } else {
            side_wait(&side, side.sum == 9); /* the connection lives */
            assert_int_equal(info_of(loop, &side).refused, 1);
            const bool rest_counts = kind == NESTED || kind == COMMAND || kind == PING_IN;
            assert_int_equal(side.frames, rest_counts ? 3 : 1);
            assert_int_equal(close(fd), 0);
            side_wait(&side, side.closes == 1);
        }
        listener_end(loop, listener);
    }
    dxi_loop_destroy(loop);
}

static void a_batch_that_was_not_asked_for_is_refused(void **state)
{
    (void)state;
    static const struct {
        dx_compression_t node;
        bool taken;
    } rows[] = {
        {DX_COMPRESSION_OFF, false}, {DX_COMPRESSION_ZSTD, false}, {DX_COMPRESSION_AUTO, true}};
    dxi_loop_t *const loop = loop_started("node");
    for (size_t i = 0; i < 3; i++) {
        side_t side;
        side_init(&side);
        dxi_listener_options_t options = {.connection = {.compression = rows[i].node},
                                          .events = side_events(&side),
                                          .on_accept = side_on_accept};
        dxi_listener_t *const listener = listen_on(loop, TCP, &options);
        const int fd = raw_connect(dxi_listener_address(listener));
        script_t frames = {.count = 0}, script = {.count = 0};
        const uint32_t count = script_frames(&frames, BADS);
        script_greet(&script, DX_FRAME_HELLO, 1, 1);
        script_batch(&script, &frames, count, BADS);
        script_publish(&script, 3, 8);
        assert_true(raw_send(fd, script.bytes, script.count));
        side_wait(&side, side.sum == 3);
        assert_int_equal(side.frames, rows[i].taken ? 3 : 1);
        assert_int_equal(info_of(loop, &side).refused, rows[i].taken ? 0 : 1);
        assert_int_equal(info_of(loop, &side).batches_in, rows[i].taken ? 1 : 0);
        assert_int_equal(close(fd), 0);
        side_wait(&side, side.closes == 1);
        listener_end(loop, listener);
    }
    dxi_loop_destroy(loop);
}

static void compression_out_of_range_is_refused(void **state)
{
    (void)state;
    dxi_settings_t *settings = NULL;
    dx_error_t error = {0};
    side_t side;
    side_init(&side);
    const dxi_connection_events_t events = side_events(&side);
    dxi_connection_options_t options = {.compression = (dx_compression_t)4};
    assert_fails(dxi_settings_create(&options, &events, &settings, &error), DX_EINVAL, error,
                 "compression is 4, must be from 0 to 3");
}

#if DX_TEST_HOOKS
static void without_memory_what_is_sent_stays_as_it_is(void **state)
{
    (void)state;
    pair_t pair;
    pair_with(&pair, DX_COMPRESSION_LZ4, DX_COMPRESSION_LZ4);
    mixed_t mixed = {.side = &pair.client, .next = 1, .count = 64, .payload_bytes = 300};
    dxi_fault_arm(0);
    mixed_send(pair.client_loop, &mixed, 64);
    side_wait(&pair.node, pair.node.sum == 64);
    assert_non_null(dxi_fault_fired());
    dxi_fault_disarm();
    assert_int_equal(info_of(pair.client_loop, &pair.client).batches_out, 0);
    mixed_send(pair.client_loop, &mixed, 6400); /* until the next probe */
    side_wait(&pair.node, pair.node.sum == 6400);
    assert_true(info_of(pair.client_loop, &pair.client).batches_out != 0);
    pair_finish(&pair);
}

static void without_memory_a_batch_that_comes_ends_the_connection(void **state)
{
    (void)state;
    dxi_loop_t *const loop = loop_started("node");
    side_t side;
    side_init(&side);
    dxi_listener_options_t options = {.events = side_events(&side), .on_accept = side_on_accept};
    dxi_listener_t *const listener = listen_on(loop, TCP, &options);
    const int fd = raw_connect(dxi_listener_address(listener));
    script_t frames = {.count = 0}, hello = {.count = 0}, batch = {.count = 0};
    const uint32_t count = script_frames(&frames, BADS);
    script_greet(&hello, DX_FRAME_HELLO, 1, 1);
    script_batch(&batch, &frames, count, BADS);
    assert_true(raw_send(fd, hello.bytes, hello.count));
    side_wait(&side, side.opens == 1);
    dxi_fault_arm(0);
    assert_true(raw_send(fd, batch.bytes, batch.count));
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    side_wait(&side, side.closes == 1);
    dxi_fault_disarm();
    assert_int_equal(side.why.code, DX_ENOMEM);
    assert_int_equal(close(fd), 0);
    listener_end(loop, listener);
    dxi_loop_destroy(loop);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_waits_goes_as_batches_and_comes_out_as_it_was),
        cmocka_unit_test(nothing_is_packed_within_a_host_or_when_one_side_wants_none),
        cmocka_unit_test(what_can_not_be_compressed_is_tried_now_and_then_and_stays_as_it_is),
        cmocka_unit_test(topics_and_other_frames_keep_their_order),
        cmocka_unit_test(windows_and_frames_larger_than_a_batch_go_as_well),
        cmocka_unit_test(frames_with_descriptors_go_between_batches),
        cmocka_unit_test(what_is_not_taken_waits_in_its_batch),
        cmocka_unit_test(an_owner_may_close_in_the_middle_of_a_batch),
        cmocka_unit_test(bad_batches_are_refused_and_counted),
        cmocka_unit_test(a_batch_that_was_not_asked_for_is_refused),
        cmocka_unit_test(compression_out_of_range_is_refused),
#if DX_TEST_HOOKS
        cmocka_unit_test(without_memory_what_is_sent_stays_as_it_is),
        cmocka_unit_test(without_memory_a_batch_that_comes_ends_the_connection),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
