/* test_frame_damage.c - nothing that is not exactly a frame is taken for one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <sys/mman.h>
#include <unistd.h>

#include "frame_test.h"

/* Memory whose last byte is followed by a page that nobody may read: `bytes` of it, aligned to 8. A
 * decoder that reads too far ends the program. */
typedef struct fence {
    char *map;
    size_t map_bytes;
    char *end;
} fence_t;

static fence_t fence_make(void)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    fence_t fence = {.map_bytes = 17 * page};
    fence.map =
        mmap(NULL, fence.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(fence.map, MAP_FAILED);
    fence.end = fence.map + 16 * page;
    assert_int_equal(mprotect(fence.end, page, PROT_NONE), 0);
    return fence;
}

static void every_truncation_needs_more(void **state)
{
    (void)state;
    static random_draft_t r;
    const fence_t fence = fence_make();
    __attribute__((aligned(8))) static char frame[1 << 16];
    uint64_t seed = 3;
    for (int i = 0; i < 30; i++) {
        random_draft_make(&seed, &r);
        const int64_t bytes = dx_frame_encode(frame, sizeof frame, &r.draft, r.payload, NULL);
        assert_true(bytes > 0);
        for (int64_t there = 0; there <= bytes; there += 1) {
            char *const at = fence.end - (there + 7) / 8 * 8; /* up to 7 bytes short of the fence */
            memcpy(at, frame, (size_t)there);
            dx_frame_view_t view;
            dx_error_t error = {0};
            const int code = dx_frame_decode(at, (size_t)there, &view, &error);
            if (there == bytes) {
                assert_int_equal(code, DX_OK);
            } else {
                assert_int_equal(code, DX_EAGAIN);
                assert_int_equal(error.code, DX_EAGAIN);
                assert_int_equal(view.bytes, 0);
            }
        }
    }
    assert_int_equal(munmap(fence.map, fence.map_bytes), 0);
}

static void every_flipped_bit_is_found(void **state)
{
    (void)state;
    static const uint32_t payloads[] = {0, 1, 7, 8, 100, 128, 200, 600, 1500};
    for (size_t i = 0; i < COUNT_OF(payloads); i++) {
        int64_t bytes = 0;
        char *const frame = publish_make(payloads[i], &bytes);
        for (size_t bit = 0; bit < (size_t)bytes * 8; bit++) {
            frame[bit / 8] = (char)(frame[bit / 8] ^ (1 << bit % 8));
            dx_frame_view_t view;
            assert_int_equal(dx_frame_decode(frame, (size_t)bytes, &view, NULL), DX_ECORRUPT);
            assert_int_equal(view.bytes, 0);
            frame[bit / 8] = (char)(frame[bit / 8] ^ (1 << bit % 8));
        }
        dx_frame_view_t view;
        assert_ok(dx_frame_decode(frame, (size_t)bytes, &view, NULL));
        free(frame);
    }
}

/* With both checksums made right again, damage is a frame that somebody made wrong: it may be read
 * or refused, but not read beyond its end, and what is said of it must hold. */
static void frames_made_wrong_are_read_within_their_bounds(void **state)
{
    (void)state;
    static random_draft_t r;
    const fence_t fence = fence_make();
    __attribute__((aligned(8))) static char frame[1 << 16];
    uint64_t seed = 99;
    int64_t read = 0, refused = 0;
    for (int i = 0; i < 20000; i++) {
        if (i % 20 == 0) {
            random_draft_make(&seed, &r);
        }
        const int64_t bytes = dx_frame_encode(frame, sizeof frame, &r.draft, r.payload, NULL);
        char *const at = fence.end - bytes;
        memcpy(at, frame, (size_t)bytes);
        for (uint64_t changes = 1 + random_next(&seed) % 3; changes != 0; changes--) {
            const uint64_t near = random_next(&seed) % 2 == 0 ? 128 : (uint64_t)bytes;
            at[(random_next(&seed) >> 8) % (near < (uint64_t)bytes ? near : (uint64_t)bytes)] =
                (char)random_next(&seed);
        }
        frame_repair(at, (size_t)bytes);
        dx_frame_view_t view;
        const int code = dx_frame_decode(at, (size_t)bytes, &view, NULL);
        if (code == DX_OK || code == DX_EINVAL || code == DX_ENOTSUP) {
            assert_in_range(view.bytes, DX_FRAME_HEADER_BYTES, bytes);
        } else {
            assert_int_equal(view.bytes, 0);
        }
        read += code == DX_OK;
        refused += code != DX_OK;
        if (code == DX_OK) {
            assert_true((const char *)view.payload + view.payload_bytes <= at + view.bytes);
            dx_frame_pair_t pair;
            for (dx_frame_headers_t h = dx_frame_headers(&view);
                 dx_frame_headers_next(&h, &pair);) {
                assert_true((const char *)pair.value + pair.value_bytes <= at + view.bytes);
            }
        }
        const int unverified = dx_frame_view(at, (size_t)bytes, &view, NULL);
        assert_true(unverified == code || code == DX_ECORRUPT);
    }
    assert_true(read > 1000 && refused > 1000);
    assert_int_equal(munmap(fence.map, fence.map_bytes), 0);
}

/* An optional part that no version knows yet: in front of, between and behind the known ones. */
static void unknown_parts_are_skipped_or_refused_by_their_bit(void **state)
{
    (void)state;
    static const uint16_t numbers[] = {23, 30, 32, 100, 0x7fff};
    static const uint16_t sizes[] = {0, 1, 8, 9, 40};
    for (size_t i = 0; i < COUNT_OF(numbers) * COUNT_OF(sizes) * 2; i++) {
        const uint16_t number = numbers[i % COUNT_OF(numbers)];
        const uint16_t size = sizes[i / COUNT_OF(numbers) % COUNT_OF(sizes)];
        const bool must = i >= COUNT_OF(numbers) * COUNT_OF(sizes);
        __attribute__((aligned(8))) char frame[256] = {0};
        const dx_frame_part_t topic = dx_frame_part_text(DX_PART_TOPIC, "t");
        const dx_frame_draft_t draft = {.type = DX_FRAME_PUBLISH, .parts = &topic, .part_count = 1};
        int64_t bytes = dx_frame_encode(frame, sizeof frame, &draft, NULL, NULL);
        const uint16_t head[2] = {(uint16_t)(number | (must ? DX_PART_MUST : 0)), size};
        memcpy(frame + bytes, head, sizeof head);
        memset(frame + bytes + 8, 'u', size);
        const uint32_t part_bytes = 8u + dxi_align8(size);
        dx_frame_header_t *const header = (dx_frame_header_t *)(void *)frame;
        bytes += part_bytes;
        header->length += part_bytes;
        header->layout = (uint16_t)(header->layout + part_bytes);
        frame_repair(frame, (size_t)bytes);
        dx_frame_view_t view;
        dx_error_t error = {0};
        if (must) {
            char sentence[40];
            (void)snprintf(sentence, sizeof sentence, "part %u is not known", number);
            assert_fails(dx_frame_decode(frame, (size_t)bytes, &view, &error), DX_ENOTSUP, error,
                         sentence);
            assert_int_equal(view.refused, number);
        } else {
            assert_ok(dx_frame_decode(frame, (size_t)bytes, &view, &error));
            assert_int_equal(view.parts, DX_PART_BIT(DX_PART_TOPIC));
        }
        assert_int_equal(view.bytes, bytes);
    }
}

/* The parts of a frame may take all the room there is for them, and the payload begins right. */
static void parts_may_take_all_their_room(void **state)
{
    (void)state;
    const uint32_t bytes = DX_FRAME_HEADER_BYTES + DX_FRAME_PARTS_BYTES_MAX + 8;
    char *const frame = aligned_alloc(8, bytes);
    assert_non_null(frame);
    memset(frame, 0, bytes);
    const dx_frame_draft_t draft = {.type = DX_FRAME_PING};
    assert_int_equal(dx_frame_encode(frame, bytes, &draft, NULL, NULL), 64);
    dx_frame_header_t *const header = (dx_frame_header_t *)(void *)frame;
    header->length = bytes - 8;
    header->layout = DX_FRAME_PARTS_BYTES_MAX | 3;
    const uint16_t first[2] = {DX_PART_NAME, 5};
    memcpy(frame + 64, first, sizeof first);
    memcpy(frame + 72, "first", 5);
    const uint16_t second[2] = {100, DX_FRAME_PARTS_BYTES_MAX - 16 - 8};
    memcpy(frame + 80, second, sizeof second);
    memcpy(frame + bytes - 8, "12345", 5);
    frame_repair(frame, bytes);
    dx_frame_view_t view;
    dx_error_t error = {0};
    assert_ok(dx_frame_decode(frame, bytes, &view, &error));
    assert_int_equal(view.payload_bytes, 5);
    assert_memory_equal(view.payload, "12345", 5);
    free(frame);
}

static void what_was_not_understood_is_named(void **state)
{
    (void)state;
    int64_t bytes = 0;
    char *const frame = publish_make(8, &bytes);
    dx_frame_header_t *const header = (dx_frame_header_t *)(void *)frame;
    dx_frame_view_t view;
    dx_error_t error = {0};

    header->type = 250;
    frame_repair(frame, (size_t)bytes);
    assert_fails(dx_frame_decode(frame, (size_t)bytes, &view, &error), DX_ENOTSUP, error,
                 "frame type 250 is not known");
    assert_int_equal(view.refused, 250);
    header->type = DX_FRAME_PUBLISH;
    header->flags = 0x4001;
    frame_repair(frame, (size_t)bytes);
    assert_fails(dx_frame_decode(frame, (size_t)bytes, &view, &error), DX_ENOTSUP, error,
                 "flags 0x4000");
    assert_int_equal(view.refused, 0x4000);
    header->flags = 0;
    header->version = 9;
    frame_repair(frame, (size_t)bytes);
    assert_fails(dx_frame_decode(frame, (size_t)bytes, &view, &error), DX_EVERSION, error,
                 "the frame has version 9, this library reads version 1");
    assert_int_equal(view.refused, 9);
    assert_fails(dx_frame_view(frame, (size_t)bytes, &view, &error), DX_EVERSION, error,
                 "version 9");
    header->version = DX_FRAME_VERSION;
    header->length = DX_FRAME_BYTES_MAX;
    frame_repair(frame, (size_t)bytes);
    assert_fails(dx_frame_decode(frame, (size_t)bytes, &view, &error), DX_ELIMIT, error,
                 "takes 16777224 bytes, must take at most 16777216");
    free(frame);
}

/* A PING whose parts are these bytes; more of them as payload, which a part must not reach into. */
static void parts_expect(const void *parts, uint32_t parts_bytes, const char *text)
{
    __attribute__((aligned(8))) char frame[256] = {0};
    const uint32_t bytes = DX_FRAME_HEADER_BYTES + parts_bytes + 64;
    const dx_frame_draft_t draft = {.type = DX_FRAME_PING, .payload_bytes = parts_bytes + 64};
    assert_int_equal(dx_frame_begin(frame, sizeof frame, &draft, &(void *){NULL}, NULL), bytes);
    memcpy(frame + DX_FRAME_HEADER_BYTES, parts, parts_bytes);
    ((dx_frame_header_t *)(void *)frame)->layout = (uint16_t)parts_bytes;
    frame_repair(frame, bytes);
    dx_frame_view_t view;
    dx_error_t error = {0};
    assert_fails(dx_frame_decode(frame, bytes, &view, &error), DX_EINVAL, error, text);
    assert_int_equal(view.bytes, bytes);
}

static void a_length_inside_a_part_is_checked_to_the_byte(void **state)
{
    (void)state;
    /* NAME of 8 bytes where there is room for none, and one of 9 where there is room for 8. */
    parts_expect("\x13\0\x08\0\0\0\0\0", 8, "part 19 has 8 bytes, only 0 are left");
    parts_expect("\x13\0\x09\0\0\0\0\0abcdefgh", 16, "part 19 has 9 bytes, only 8 are left");
    /* HEADERS: a value one byte too long, and one, two, three bytes of the next pair. */
    parts_expect("\x1f\0\x06\0\0\0\0\0\x01\0\x02\0nv\0\0", 16,
                 "header 0 takes 7 bytes, only 6 are left");
    parts_expect("\x1f\0\x06\0\0\0\0\0\x01\0\0\0n\x01\0\0", 16, "header 1 is cut off");
    parts_expect("\x1f\0\x07\0\0\0\0\0\x01\0\0\0n\x01\x01\0", 16, "header 1 is cut off");
    parts_expect("\x1f\0\x08\0\0\0\0\0\x01\0\0\0n\x01\0\x01", 16, "header 1 is cut off");
}

static void a_buffer_that_is_not_aligned_is_refused(void **state)
{
    (void)state;
    int64_t bytes = 0;
    char *const frame = publish_make(8, &bytes);
    dx_frame_view_t view;
    dx_error_t error = {0};
    assert_fails(dx_frame_decode(frame + 1, (size_t)bytes - 1, &view, &error), DX_EINVAL, error,
                 "not aligned");
    assert_int_equal(view.bytes, 0);
    assert_fails(dx_frame_view(frame + 4, (size_t)bytes - 4, &view, &error), DX_EINVAL, error,
                 "not aligned");
    assert_int_equal(dx_frame_view(frame, 63, &view, &error), DX_EAGAIN);
    assert_int_equal(dx_frame_view(frame, (size_t)bytes - 1, &view, &error), DX_EAGAIN);
    assert_ok(dx_frame_view(frame, (size_t)bytes, &view, &error));
    free(frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_truncation_needs_more),
        cmocka_unit_test(every_flipped_bit_is_found),
        cmocka_unit_test(frames_made_wrong_are_read_within_their_bounds),
        cmocka_unit_test(unknown_parts_are_skipped_or_refused_by_their_bit),
        cmocka_unit_test(parts_may_take_all_their_room),
        cmocka_unit_test(what_was_not_understood_is_named),
        cmocka_unit_test(a_length_inside_a_part_is_checked_to_the_byte),
        cmocka_unit_test(a_buffer_that_is_not_aligned_is_refused),
    };
    return cmocka_run_group_tests_name("frame_damage", tests, NULL, NULL);
}
