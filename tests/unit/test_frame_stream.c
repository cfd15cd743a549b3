/* test_frame_stream.c - frames out of bytes, however these are cut.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "frame_test.h"

#define FRAMES 40

/* A conversation: frames one behind the other. */
typedef struct conversation {
    char *bytes;
    size_t count;
    size_t ends[FRAMES]; /* where each frame ends */
} conversation_t;

static conversation_t conversation_make(uint64_t seed)
{
    static random_draft_t r;
    conversation_t c = {.bytes = aligned_alloc(64, FRAMES * 16384)};
    assert_non_null(c.bytes);
    for (size_t i = 0; i < FRAMES; i++) {
        random_draft_make(&seed, &r);
        const int64_t bytes = dx_frame_encode(c.bytes + c.count, 16384, &r.draft, r.payload, NULL);
        assert_true(bytes > 0);
        c.count += (size_t)bytes;
        c.ends[i] = c.count;
    }
    return c;
}

/* A receive buffer as a connection has one: bytes arrive behind, frames go from the front, and what
 * is left moves to the start. Feeds `c` in pieces of `piece` bytes (0: random) and expects its
 * frames, in order, the moment the last byte of each is there. */
static void pieces_expect(const conversation_t *c, size_t piece, uint64_t seed)
{
    char *const buffer = aligned_alloc(8, c->count + 8);
    assert_non_null(buffer);
    dx_frame_stream_t stream;
    assert_ok(dx_frame_stream_init(&stream, 0));
    size_t fed = 0, there = 0, frame = 0;
    while (fed < c->count) {
        size_t n = piece != 0 ? piece : 1 + random_next(&seed) % 300;
        n = n < c->count - fed ? n : c->count - fed;
        memcpy(buffer + there, c->bytes + fed, n);
        fed += n;
        there += n;
        size_t at = 0;
        dx_frame_view_t view;
        dx_error_t error = {0};
        int code = DX_OK;
        while ((code = dx_frame_stream_next(&stream, buffer + at, there - at, &view, &error)) ==
               DX_OK) {
            const size_t begin = frame == 0 ? 0 : c->ends[frame - 1];
            assert_int_equal(stream.frame_bytes, c->ends[frame] - begin);
            assert_memory_equal(view.header, c->bytes + begin, stream.frame_bytes);
            at += stream.frame_bytes;
            frame++;
        }
        assert_int_equal(code, DX_EAGAIN);
        assert_true(stream.needed > there - at);
        assert_true(frame == FRAMES || fed < c->ends[frame]);
        memmove(buffer, buffer + at, there - at);
        there -= at;
    }
    assert_int_equal(frame, FRAMES);
    assert_int_equal(there, 0);
    assert_int_equal(stream.position, c->count);
    free(buffer);
}

static void frames_arrive_whole_however_they_are_cut(void **state)
{
    (void)state;
    conversation_t c = conversation_make(5);
    for (size_t piece = 1; piece < 80; piece++) {
        pieces_expect(&c, piece, 0);
    }
    for (uint64_t seed = 1; seed < 50; seed++) {
        pieces_expect(&c, 0, seed);
    }
    pieces_expect(&c, c.count, 0);
    free(c.bytes);
}

static void needed_says_how_much_more_is_worth_a_call(void **state)
{
    (void)state;
    int64_t bytes = 0;
    char *const frame = publish_make(100, &bytes);
    dx_frame_stream_t stream;
    dx_frame_view_t view;
    assert_ok(dx_frame_stream_init(&stream, 0));
    assert_int_equal(stream.needed, 64);
    assert_int_equal(dx_frame_stream_next(&stream, frame, 10, &view, NULL), DX_EAGAIN);
    assert_int_equal(stream.needed, 64);
    assert_int_equal(dx_frame_stream_next(&stream, frame, 64, &view, NULL), DX_EAGAIN);
    assert_int_equal(stream.needed, bytes);
    assert_int_equal(dx_frame_stream_next(&stream, frame, (size_t)bytes - 1, &view, NULL),
                     DX_EAGAIN);
    assert_int_equal(stream.frame_bytes, 0);
    /* Until then no byte is looked at again. */
    assert_int_equal(dx_frame_stream_next(&stream, NULL, (size_t)bytes - 1, &view, NULL),
                     DX_EAGAIN);
    assert_ok(dx_frame_stream_next(&stream, frame, (size_t)bytes, &view, NULL));
    assert_int_equal(stream.frame_bytes, bytes);
    assert_int_equal(stream.needed, 64);
    free(frame);
}

/* A refused frame between two good ones; its type is `type`, its flags `flags`. */
static void refusal_expect(uint8_t type, uint16_t flags, int expected, const char *text)
{
    int64_t bytes = 0;
    char *const good = publish_make(8, &bytes);
    __attribute__((aligned(8))) char all[1024];
    for (int i = 0; i < 3; i++) {
        memcpy(all + i * bytes, good, (size_t)bytes);
    }
    dx_frame_header_t *const header = (dx_frame_header_t *)(void *)(all + bytes);
    header->type = type;
    header->flags = flags;
    frame_repair(header, (size_t)bytes);
    dx_frame_stream_t stream;
    dx_frame_view_t view;
    dx_error_t error = {0};
    assert_ok(dx_frame_stream_init(&stream, 0));
    size_t at = 0;
    const size_t all_bytes = (size_t)bytes * 3;
    assert_ok(dx_frame_stream_next(&stream, all, all_bytes, &view, &error));
    at += stream.frame_bytes;
    assert_fails(dx_frame_stream_next(&stream, all + at, all_bytes - at, &view, &error), expected,
                 error, text);
    assert_contains(error.message, "frame at byte 96 of the stream: ");
    assert_int_equal(stream.failed, DX_OK);
    assert_int_equal(stream.frame_bytes, bytes);
    at += stream.frame_bytes;
    assert_ok(dx_frame_stream_next(&stream, all + at, all_bytes - at, &view, &error));
    free(good);
}

static void a_frame_that_is_refused_does_not_end_the_stream(void **state)
{
    (void)state;
    refusal_expect(199, 0, DX_ENOTSUP, "frame type 199");
    refusal_expect(DX_FRAME_PUBLISH, 0x8000, DX_ENOTSUP, "flags 0x8000");
    refusal_expect(DX_FRAME_HELLO, 0, DX_EINVAL, "a HELLO frame has no part CAPABILITIES");
    refusal_expect(DX_FRAME_UNSUBSCRIBE, 0, DX_EINVAL, "part SUBSCRIPTION");
}

/* The second of two frames is spoilt by `spoil`: after the error nothing is read any more. */
static void failure_expect(void (*spoil)(char *frame, size_t bytes), size_t there, int expected)
{
    int64_t bytes = 0;
    char *const good = publish_make(8, &bytes);
    __attribute__((aligned(8))) char all[1024];
    memcpy(all, good, (size_t)bytes);
    memcpy(all + bytes, good, (size_t)bytes);
    spoil(all + bytes, (size_t)bytes);
    dx_frame_stream_t stream;
    dx_frame_view_t view;
    dx_error_t error = {0};
    assert_ok(dx_frame_stream_init(&stream, 0));
    assert_ok(dx_frame_stream_next(&stream, all, (size_t)bytes * 2, &view, &error));
    assert_fails(dx_frame_stream_next(&stream, all + bytes, there, &view, &error), expected, error,
                 "frame at byte 96 of the stream: ");
    assert_int_equal(stream.failed, expected);
    assert_int_equal(stream.frame_bytes, 0);
    assert_fails(dx_frame_stream_next(&stream, good, (size_t)bytes, &view, &error), expected, error,
                 "the stream has failed at byte 96");
    free(good);
}

static void spoil_header(char *frame, size_t bytes)
{
    (void)bytes;
    frame[30] = (char)(frame[30] ^ 1);
}

static void spoil_body(char *frame, size_t bytes)
{
    frame[bytes - 1] = (char)(frame[bytes - 1] ^ 1);
}

static void spoil_version(char *frame, size_t bytes)
{
    ((dx_frame_header_t *)(void *)frame)->version = 2;
    frame_repair(frame, bytes);
}

static void spoil_length(char *frame, size_t bytes)
{
    ((dx_frame_header_t *)(void *)frame)->length = DX_FRAME_BYTES_MAX;
    frame_repair(frame, bytes);
}

static void an_unreadable_frame_ends_the_stream(void **state)
{
    (void)state;
    failure_expect(spoil_header, 64, DX_ECORRUPT); /* the header is enough to know */
    failure_expect(spoil_header, 96, DX_ECORRUPT);
    failure_expect(spoil_body, 96, DX_ECORRUPT);
    failure_expect(spoil_version, 64, DX_EVERSION);
    failure_expect(spoil_length, 64, DX_ELIMIT);
}

static void a_stream_has_a_limit_of_its_own(void **state)
{
    (void)state;
    int64_t bytes = 0;
    char *const frame = publish_make(1000, &bytes);
    dx_frame_stream_t stream;
    dx_frame_view_t view;
    dx_error_t error = {0};
    assert_ok(dx_frame_stream_init(&stream, (uint32_t)bytes));
    assert_ok(dx_frame_stream_next(&stream, frame, (size_t)bytes, &view, &error));
    assert_ok(dx_frame_stream_init(&stream, (uint32_t)bytes - 8));
    assert_fails(dx_frame_stream_next(&stream, frame, 64, &view, &error), DX_ELIMIT, error,
                 "takes 1088 bytes, must take at most 1080");
    assert_int_equal(dx_frame_stream_init(&stream, 63), DX_EINVAL);
    assert_ok(dx_frame_stream_init(&stream, 64));
    assert_ok(dx_frame_stream_init(&stream, DX_FRAME_BYTES_MAX));
    assert_int_equal(dx_frame_stream_init(&stream, DX_FRAME_BYTES_MAX + 1), DX_EINVAL);
    free(frame);
}

static void a_buffer_that_is_not_aligned_ends_the_stream(void **state)
{
    (void)state;
    int64_t bytes = 0;
    char *const frame = publish_make(100, &bytes);
    dx_frame_stream_t stream;
    dx_frame_view_t view;
    dx_error_t error = {0};
    assert_ok(dx_frame_stream_init(&stream, 0));
    assert_fails(dx_frame_stream_next(&stream, frame + 1, (size_t)bytes - 1, &view, &error),
                 DX_EINVAL, error, "not aligned");
    assert_int_equal(stream.failed, DX_EINVAL);
    free(frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_arrive_whole_however_they_are_cut),
        cmocka_unit_test(needed_says_how_much_more_is_worth_a_call),
        cmocka_unit_test(a_frame_that_is_refused_does_not_end_the_stream),
        cmocka_unit_test(an_unreadable_frame_ends_the_stream),
        cmocka_unit_test(a_stream_has_a_limit_of_its_own),
        cmocka_unit_test(a_buffer_that_is_not_aligned_ends_the_stream),
    };
    return cmocka_run_group_tests_name("frame_stream", tests, NULL, NULL);
}
