/* test_frame_vectors.c - the frames of tests/vectors/frames.json, which a program in another
 * language made by docs/protocol.md: read as they say, refused as they say, and made again byte by
 * byte.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>

#include "disruptorx/frame_batch.h"
#include "frame_test.h"

#define FRAME_BYTES_MAX 65536
#define VECTORS_MIN 100

typedef struct vector {
    char name[64];
    char expect[32];
    char says[FRAME_BYTES_MAX];
    __attribute__((aligned(8))) char bytes[FRAME_BYTES_MAX];
    size_t count;
} vector_t;

/* The text of `"key": "..."` in a line; these hold no escapes. False when there is none. */
static bool line_text(const char *line, const char *key, char *out, size_t room)
{
    char wanted[40];
    (void)snprintf(wanted, sizeof wanted, "\"%s\": \"", key);
    const char *const found = strstr(line, wanted);
    if (found == NULL) {
        return false;
    }
    const char *const begin = found + strlen(wanted);
    const char *const end = strchr(begin, '"');
    assert_non_null(end);
    assert_true((size_t)(end - begin) < room);
    memcpy(out, begin, (size_t)(end - begin));
    out[end - begin] = '\0';
    return true;
}

static bool vector_read(FILE *file, vector_t *v)
{
    static char line[4 * FRAME_BYTES_MAX], hex[2 * FRAME_BYTES_MAX];
    do {
        if (fgets(line, sizeof line, file) == NULL) {
            return false;
        }
    } while (!line_text(line, "name", v->name, sizeof v->name));
    assert_true(line_text(line, "expect", v->expect, sizeof v->expect));
    assert_true(line_text(line, "hex", hex, sizeof hex));
    v->says[0] = '\0';
    (void)line_text(line, "says", v->says, sizeof v->says);
    v->count = strlen(hex) / 2;
    for (size_t i = 0; i < v->count; i++) {
        const char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        char *end = NULL;
        v->bytes[i] = (char)strtoul(digits, &end, 16);
        assert_ptr_equal(end, digits + 2);
    }
    return true;
}

static void each_vector(void (*check)(const vector_t *v))
{
    const char *const folder = getenv("DX_TEST_VECTORS");
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/frames.json", folder != NULL ? folder : "tests/vectors");
    FILE *const file = fopen(path, "r");
    if (file == NULL) {
        fail_msg("cannot open %s; DX_TEST_VECTORS names its folder", path);
        return;
    }
    static vector_t v;
    int count = 0;
    for (; vector_read(file, &v); count++) {
        check(&v);
    }
    (void)fclose(file);
    assert_true(count >= VECTORS_MIN);
}

/* ---------------------------------------------------------------------------- what a frame says */

static char *hex_write(char *at, const void *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        at += sprintf(at, "%02x", ((const unsigned char *)bytes)[i]);
    }
    return at;
}

static void says_write(char *at, const dx_frame_view_t *view)
{
    const dx_frame_header_t *const h = view->header;
    at += sprintf(at,
                  "%s flags=%u shard=%u sequence=%" PRIu64 " timestamp_ns=%" PRIu64
                  " producer_id=%" PRIu64 " producer_sequence=%" PRIu64 " term=%u key_hash=%u",
                  dx_frame_type_name(h->type), h->flags, h->shard, h->sequence, h->timestamp_ns,
                  h->producer_id, h->producer_sequence, h->term, h->key_hash);
    for (int number = 0; number < DX_FRAME_PARTS; number++) {
        if (dx_frame_has(view, number)) {
            uint32_t bytes = 0;
            const void *const value = dx_frame_part(view, number, &bytes);
            at += sprintf(at, " %s=", dx_frame_part_name(number));
            at = hex_write(at, value, bytes);
        }
    }
    at += sprintf(at, " payload=");
    (void)hex_write(at, view->payload, view->payload_bytes);
}

static void reading_expect(const vector_t *v)
{
    static char says[FRAME_BYTES_MAX];
    dx_frame_view_t view;
    dx_error_t error = {0};
    const int code = dx_frame_decode(v->bytes, v->count, &view, &error);
    if (strcmp(dx_error_name(code), v->expect) != 0) {
        fail_msg("%s: %s (%s), must be %s", v->name, dx_error_name(code), error.message, v->expect);
    }
    if (code == DX_OK) {
        says_write(says, &view);
        if (strcmp(says, v->says) != 0) {
            fail_msg("%s: read as\n%s\nmust be\n%s", v->name, says, v->says);
        }
        assert_int_equal(view.bytes, v->count);
    }
}

/* A stream of this frame and a PING behind it: both codes of reading agree. */
static void stream_expect(const vector_t *v)
{
    static __attribute__((aligned(8))) char two[FRAME_BYTES_MAX + 64];
    const size_t first = v->count / 8 * 8; /* a cut vector has no frame behind it */
    memcpy(two, v->bytes, v->count);
    size_t count = v->count;
    if (first == v->count && strcmp(v->expect, "DX_EAGAIN") != 0) {
        const dx_frame_draft_t ping = {.type = DX_FRAME_PING};
        count += (size_t)dx_frame_encode(two + count, 64, &ping, NULL, NULL);
    }
    dx_frame_stream_t stream;
    dx_frame_view_t view;
    assert_ok(dx_frame_stream_init(&stream, 0));
    const int code = dx_frame_stream_next(&stream, two, count, &view, NULL);
    if (strcmp(dx_error_name(code), v->expect) != 0) {
        fail_msg("%s in a stream: %s, must be %s", v->name, dx_error_name(code), v->expect);
    }
    if (code == DX_OK || code == DX_ENOTSUP || code == DX_EINVAL) {
        assert_int_equal(stream.frame_bytes, v->count);
        assert_ok(dx_frame_stream_next(&stream, two + v->count, count - v->count, &view, NULL));
    }
}

/* What was read, written again: the same bytes. A part that was skipped can't be written. */
static void writing_expect(const vector_t *v)
{
    dx_frame_view_t view;
    if (strcmp(v->expect, "DX_OK") != 0 || strstr(v->name, "skipped") != NULL) {
        return;
    }
    assert_ok(dx_frame_decode(v->bytes, v->count, &view, NULL));
    const dx_frame_header_t *const h = view.header;
    dx_frame_part_t parts[DX_FRAME_PARTS];
    dx_frame_pair_t pairs[DX_FRAME_HEADERS_MAX];
    dx_frame_draft_t draft = {.type = h->type,
                              .flags = h->flags,
                              .shard = h->shard,
                              .term = h->term,
                              .key_hash = h->key_hash,
                              .payload_bytes = view.payload_bytes,
                              .sequence = h->sequence,
                              .timestamp_ns = h->timestamp_ns,
                              .producer_id = h->producer_id,
                              .producer_sequence = h->producer_sequence,
                              .parts = parts,
                              .headers = pairs};
    for (int number = 0; number < DX_PART_HEADERS; number++) {
        if (dx_frame_has(&view, number)) {
            uint32_t bytes = 0;
            const void *const value = dx_frame_part(&view, number, &bytes);
            parts[draft.part_count++] = dx_frame_part_of(number, value, bytes);
        }
    }
    for (dx_frame_headers_t headers = dx_frame_headers(&view);
         dx_frame_headers_next(&headers, &pairs[draft.header_count]);) {
        draft.header_count++;
    }
    static __attribute__((aligned(8))) char again[FRAME_BYTES_MAX];
    dx_error_t error = {0};
    const int64_t bytes = dx_frame_encode(again, sizeof again, &draft, view.payload, &error);
    if (bytes != (int64_t)v->count || memcmp(again, v->bytes, v->count) != 0) {
        fail_msg("%s is written as other bytes (%s)", v->name, bytes < 0 ? error.message : "");
    }
}

static void batch_expect(const vector_t *v)
{
    if (strncmp(v->name, "batch-", 6) != 0 || strcmp(v->expect, "DX_OK") != 0) {
        return;
    }
    dx_frame_view_t view;
    dx_error_t error = {0};
    dx_frame_batch_t *batch = NULL;
    assert_ok(dx_frame_batch_create(0, &batch, &error));
    assert_ok(dx_frame_decode(v->bytes, v->count, &view, &error));
    assert_ok(dx_frame_batch_open(batch, &view, &error));
    for (uint64_t i = 1; i <= 8; i++) {
        char payload[20];
        dx_frame_view_t event;
        (void)snprintf(payload, sizeof payload, "order %" PRIu64, i);
        assert_ok(dx_frame_batch_next(batch, &event, &error));
        assert_int_equal(event.header->type, DX_FRAME_EVENT);
        assert_int_equal(event.header->sequence, i);
        assert_int_equal(event.payload_bytes, strlen(payload));
        assert_memory_equal(event.payload, payload, strlen(payload));
    }
    assert_int_equal(dx_frame_batch_next(batch, &view, &error), DX_ENOTFOUND);
    dx_frame_batch_destroy(batch);
}

static void every_vector_is_read_as_it_says(void **state)
{
    (void)state;
    each_vector(reading_expect);
}

static void every_vector_is_the_same_in_a_stream(void **state)
{
    (void)state;
    each_vector(stream_expect);
}

static void every_good_vector_is_written_again_byte_by_byte(void **state)
{
    (void)state;
    each_vector(writing_expect);
}

static void batches_of_each_codec_hold_the_same_events(void **state)
{
    (void)state;
    each_vector(batch_expect);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_vector_is_read_as_it_says),
        cmocka_unit_test(every_vector_is_the_same_in_a_stream),
        cmocka_unit_test(every_good_vector_is_written_again_byte_by_byte),
        cmocka_unit_test(batches_of_each_codec_hold_the_same_events),
    };
    return cmocka_run_group_tests_name("frame_vectors", tests, NULL, NULL);
}
