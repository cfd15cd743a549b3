/* test_frame_batch.c - many frames in one: all codecs, bombs, and the choice of the codec.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disruptorx/frame_batch.h"
#include "frame_test.h"

#define RAW_MAX 65536

typedef struct fixture {
    dx_frame_batch_t *writer;
    dx_frame_batch_t *reader;
    char *out;
    size_t room;
    dx_error_t error;
} fixture_t;

static int fixture_make(void **state)
{
    fixture_t *const f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->room = RAW_MAX + 4096;
    f->out = aligned_alloc(8, f->room);
    assert_non_null(f->out);
    assert_ok(dx_frame_batch_create(RAW_MAX, &f->writer, &f->error));
    assert_ok(dx_frame_batch_create(RAW_MAX, &f->reader, &f->error));
    *state = f;
    return 0;
}

static int fixture_close(void **state)
{
    fixture_t *const f = *state;
    dx_frame_batch_destroy(f->writer);
    dx_frame_batch_destroy(f->reader);
    free(f->out);
    free(f);
    return 0;
}

/* Adds frames of 100 to 300 bytes until the batch has `count` or is full; random bytes can't be
 * compressed, the others can. */
static uint32_t frames_add(fixture_t *f, uint32_t count, bool random, uint64_t seed)
{
    __attribute__((aligned(8))) char frame[1024];
    char payload[256];
    dx_frame_batch_reset(f->writer);
    for (uint32_t i = 0; i < count; i++) {
        memset(payload, 'p', sizeof payload);
        if (random) {
            random_bytes(&seed, payload, sizeof payload);
        }
        const dx_frame_part_t topic = dx_frame_part_text(DX_PART_TOPIC, "orders.created");
        const dx_frame_draft_t draft = {
            .type = DX_FRAME_EVENT,
            .sequence = i + 1,
            .parts = &topic,
            .part_count = 1,
            .payload_bytes = random ? 250 : 1 + (uint32_t)(random_next(&seed) >> 32) % 200};
        assert_true(dx_frame_encode(frame, sizeof frame, &draft, payload, NULL) > 0);
        const int code = dx_frame_batch_add(f->writer, frame);
        if (code == DX_EAGAIN) {
            return i;
        }
        assert_int_equal(code, DX_OK);
    }
    return count;
}

/* Opens the frame in `out` and expects sequences 1 to count. */
static void batch_read_expect(fixture_t *f, int64_t bytes, uint32_t count)
{
    dx_frame_view_t view, event;
    if (bytes < 0 || dx_frame_decode(f->out, (size_t)bytes, &view, &f->error) != DX_OK ||
        dx_frame_batch_open(f->reader, &view, &f->error) != DX_OK) {
        fail_msg("%s", f->error.message);
    }
    for (uint32_t i = 1; i <= count; i++) {
        assert_ok(dx_frame_batch_next(f->reader, &event, &f->error));
        assert_int_equal(event.header->sequence, i);
    }
    assert_int_equal(dx_frame_batch_next(f->reader, &event, &f->error), DX_ENOTFOUND);
    assert_int_equal(dx_frame_batch_next(f->reader, &event, &f->error), DX_ENOTFOUND);
}

static const dx_frame_batch_info_t *info_in(const char *out)
{
    return (const dx_frame_batch_info_t *)(const void *)(out + 72);
}

static void frames_come_back_with_each_codec(void **state)
{
    fixture_t *const f = *state;
    static const uint32_t counts[] = {1, 2, 7, 100, 100000};
    for (int codec = 0; codec < DX_CODEC_COUNT; codec++) {
        for (size_t i = 0; i < COUNT_OF(counts); i++) {
            for (int random = 0; random < 2; random++) {
                const uint32_t count = frames_add(f, counts[i], random != 0, i + 1);
                assert_int_equal(dx_frame_batch_count(f->writer), count);
                const uint32_t raw_bytes = dx_frame_batch_raw_bytes(f->writer);
                const uint32_t room = dx_frame_batch_room(f->writer);
                assert_int_equal(room, raw_bytes + 88);
                f->out[room] = 'e';
                const int64_t bytes =
                    dx_frame_batch_seal(f->writer, (dx_codec_t)codec, f->out, room, &f->error);
                assert_int_equal(f->out[room], 'e');
                assert_true(bytes <= room);
                assert_int_equal(info_in(f->out)->raw_bytes, raw_bytes);
                if (codec != DX_CODEC_NONE && random == 0 && count >= 100) {
                    assert_int_equal(info_in(f->out)->codec, codec);
                    assert_true(bytes < raw_bytes / 3);
                }
                batch_read_expect(f, bytes, count);
            }
        }
    }
}

static void what_gains_nothing_goes_in_as_it_is(void **state)
{
    fixture_t *const f = *state;
    for (int codec = 0; codec < DX_CODEC_COUNT; codec++) {
        __attribute__((aligned(8))) char frame[1024];
        char payload[512];
        uint64_t seed = 77;
        random_bytes(&seed, payload, sizeof payload);
        const dx_frame_draft_t draft = {.type = DX_FRAME_PING, .payload_bytes = sizeof payload};
        assert_true(dx_frame_encode(frame, sizeof frame, &draft, payload, NULL) > 0);
        dx_frame_header_t *const header = (dx_frame_header_t *)(void *)frame;
        random_bytes(&seed, (char *)&header->sequence, 32); /* a header that can't be packed */
        dx_frame_seal(frame);
        dx_frame_batch_reset(f->writer);
        assert_ok(dx_frame_batch_add(f->writer, frame));
        const int64_t bytes =
            dx_frame_batch_seal(f->writer, (dx_codec_t)codec, f->out, f->room, &f->error);
        assert_int_equal(info_in(f->out)->codec, DX_CODEC_NONE);
        assert_int_equal(bytes, 88 + 64 + 512);
    }
}

static void a_batch_takes_what_there_is_room_for(void **state)
{
    fixture_t *const f = *state;
    char *const big = aligned_alloc(8, RAW_MAX + 8);
    assert_non_null(big);
    const dx_frame_draft_t draft = {.type = DX_FRAME_PING, .payload_bytes = RAW_MAX - 64};
    memset(big, 'b', RAW_MAX + 8);
    void *payload = NULL;
    assert_int_equal(dx_frame_begin(big, RAW_MAX, &draft, &payload, NULL), RAW_MAX);
    dx_frame_seal(big);
    assert_ok(dx_frame_batch_add(f->writer, big)); /* exactly full */
    assert_int_equal(dx_frame_batch_add(f->writer, big), DX_EAGAIN);
    assert_int_equal(dx_frame_batch_count(f->writer), 1);
    const uint32_t room = dx_frame_batch_room(f->writer);
    assert_fails((int)dx_frame_batch_seal(f->writer, DX_CODEC_LZ4, f->out, room - 1, &f->error),
                 DX_ELIMIT, f->error, "there is room for 65623");
    assert_fails((int)dx_frame_batch_seal(f->writer, (dx_codec_t)3, f->out, room, &f->error),
                 DX_EINVAL, f->error, "codec is 3");
    assert_int_equal(dx_frame_batch_seal(f->writer, DX_CODEC_NONE, f->out + 4, room, &f->error),
                     DX_EINVAL);
    dx_frame_batch_reset(f->writer);
    assert_fails((int)dx_frame_batch_seal(f->writer, DX_CODEC_LZ4, f->out, room, &f->error),
                 DX_ESTATE, f->error, "no frames");
    free(big);
}

static void the_size_of_a_batch_has_its_limits(void **state)
{
    (void)state;
    dx_frame_batch_t *batch = NULL;
    dx_error_t error = {0};
    static const uint32_t good[] = {0, DX_BATCH_RAW_BYTES_MIN, DX_BATCH_RAW_BYTES_MAX};
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_ok(dx_frame_batch_create(good[i], &batch, &error));
        dx_frame_batch_destroy(batch);
    }
    static const uint32_t bad[] = {DX_BATCH_RAW_BYTES_MIN - 1, DX_BATCH_RAW_BYTES_MAX + 1};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_fails(dx_frame_batch_create(bad[i], &batch, &error), DX_EINVAL, error,
                     "raw_bytes_max");
        assert_null(batch);
    }
    dx_frame_batch_destroy(NULL);
}

static int create_once(void)
{
    dx_frame_batch_t *batch = NULL;
    const int code = dx_frame_batch_create(0, &batch, NULL);
    dx_frame_batch_destroy(batch);
    return code;
}

static void creating_survives_every_failed_allocation(void **state)
{
    (void)state;
    assert_true(fault_sweep(create_once) >= 5);
}

/* Seals a batch, has `change` spoil what it says, makes the checksums right again, and opens it. */
static int spoilt_open(fixture_t *f, dx_codec_t codec, void (*change)(char *out))
{
    (void)frames_add(f, 50, false, 9);
    const int64_t bytes = dx_frame_batch_seal(f->writer, codec, f->out, f->room, &f->error);
    assert_true(bytes > 0);
    change(f->out);
    frame_repair(f->out, (size_t)bytes);
    dx_frame_view_t view;
    assert_ok(dx_frame_decode(f->out, (size_t)bytes, &view, &f->error));
    return dx_frame_batch_open(f->reader, &view, &f->error);
}

#define CHANGE(name, change)                                                                       \
    static void name(char *out)                                                                    \
    {                                                                                              \
        dx_frame_batch_info_t *const info = (dx_frame_batch_info_t *)(void *)(out + 72);           \
        change;                                                                                    \
    }
CHANGE(say_too_much, info->raw_bytes = RAW_MAX + 8)
CHANGE(say_4_gib, info->raw_bytes = UINT32_MAX & ~7u)
CHANGE(say_more, info->raw_bytes += 8)
CHANGE(say_less, info->raw_bytes -= 8)
CHANGE(say_odd, info->raw_bytes += 1)
CHANGE(say_none, info->raw_bytes = 0)
CHANGE(say_codec_3, info->codec = 3)
CHANGE(say_no_frames, info->count = 0)
CHANGE(say_many_frames, info->count = info->raw_bytes / 64 + 1)
CHANGE(say_zero, info->zero = 1)
CHANGE(say_other_codec, info->codec = info->codec == DX_CODEC_LZ4 ? DX_CODEC_ZSTD : DX_CODEC_LZ4)
CHANGE(say_not_packed, info->codec = DX_CODEC_NONE)
CHANGE(spoil_block, (void)info; memset(out + 88, 0xff, 8))

static void a_batch_must_come_to_what_it_says(void **state)
{
    fixture_t *const f = *state;
    static const struct {
        void (*change)(char *out);
        int code;
    } rows[] = {
        {say_too_much, DX_ELIMIT},  {say_4_gib, DX_ELIMIT},         {say_more, DX_ECORRUPT},
        {say_less, DX_ECORRUPT},    {say_odd, DX_EINVAL},           {say_none, DX_EINVAL},
        {say_codec_3, DX_ENOTSUP},  {say_no_frames, DX_EINVAL},     {say_many_frames, DX_EINVAL},
        {say_zero, DX_EINVAL},      {say_other_codec, DX_ECORRUPT}, {say_not_packed, DX_EINVAL},
        {spoil_block, DX_ECORRUPT},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (int codec = DX_CODEC_LZ4; codec <= DX_CODEC_ZSTD; codec++) {
            const int code = spoilt_open(f, (dx_codec_t)codec, rows[i].change);
            if (code != rows[i].code) {
                fail_msg("row %zu, %s: %s", i, dx_codec_name(codec), dx_error_name(code));
            }
            dx_frame_view_t view;
            assert_int_equal(dx_frame_batch_next(f->reader, &view, &f->error), DX_ENOTFOUND);
        }
    }
    assert_int_equal(spoilt_open(f, DX_CODEC_NONE, say_less), DX_EINVAL);
}

/* A block that would come to far more than it says: the decompressor has no room for it. */
static void a_bomb_is_bounded(void **state)
{
    fixture_t *const f = *state;
    dx_frame_batch_t *giant = NULL;
    assert_ok(dx_frame_batch_create(DX_BATCH_RAW_BYTES_MAX, &giant, &f->error));
    int64_t bytes = 0;
    char *const frame = publish_make(1 << 20, &bytes);
    memset(frame + 88, 0, 1 << 20);
    dx_frame_seal(frame);
    while (dx_frame_batch_add(giant, frame) == DX_OK) {
    }
    char *const out = aligned_alloc(8, dx_frame_batch_room(giant));
    assert_non_null(out);
    for (int codec = DX_CODEC_LZ4; codec <= DX_CODEC_ZSTD; codec++) {
        bytes = dx_frame_batch_seal(giant, (dx_codec_t)codec, out, dx_frame_batch_room(giant),
                                    &f->error);
        assert_in_range(bytes, 100, 60000); /* of 7 MiB */
        dx_frame_batch_info_t *const info = (dx_frame_batch_info_t *)(void *)(out + 72);
        dx_frame_view_t view;
        assert_ok(dx_frame_decode(out, (size_t)bytes, &view, &f->error));
        assert_fails(dx_frame_batch_open(f->reader, &view, &f->error), DX_ELIMIT, f->error,
                     "must come to at most 65536");
        info->raw_bytes = RAW_MAX; /* what the reader allows: a lie */
        frame_repair(out, (size_t)bytes);
        assert_ok(dx_frame_decode(out, (size_t)bytes, &view, &f->error));
        assert_fails(dx_frame_batch_open(f->reader, &view, &f->error), DX_ECORRUPT, f->error,
                     "does not come to 65536 bytes");
    }
    free(out);
    free(frame);
    dx_frame_batch_destroy(giant);
}

/* A BATCH frame with these bytes as they are and this count. */
static int64_t batch_by_hand(fixture_t *f, const void *raw, uint32_t raw_bytes, uint32_t count)
{
    const dx_frame_batch_info_t info = {DX_CODEC_NONE, count, raw_bytes, 0};
    const dx_frame_part_t part = dx_frame_part_of(DX_PART_BATCH, &info, sizeof info);
    const dx_frame_draft_t draft = {
        .type = DX_FRAME_BATCH, .parts = &part, .part_count = 1, .payload_bytes = raw_bytes};
    const int64_t bytes = dx_frame_encode(f->out, f->room, &draft, raw, &f->error);
    assert_true(bytes > 0);
    dx_frame_view_t view;
    assert_ok(dx_frame_decode(f->out, (size_t)bytes, &view, &f->error));
    assert_ok(dx_frame_batch_open(f->reader, &view, &f->error));
    return bytes;
}

static void the_frames_of_a_batch_are_checked(void **state)
{
    fixture_t *const f = *state;
    __attribute__((aligned(8))) char raw[512] = {0};
    int64_t each = 0;
    char *const frame = publish_make(8, &each);
    dx_frame_view_t view;
    for (int i = 0; i < 3; i++) {
        memcpy(raw + i * each, frame, (size_t)each);
    }
    const uint32_t all = (uint32_t)each * 3;

    (void)batch_by_hand(f, raw, all, 2); /* one frame too many */
    assert_ok(dx_frame_batch_next(f->reader, &view, &f->error));
    assert_ok(dx_frame_batch_next(f->reader, &view, &f->error));
    assert_fails(dx_frame_batch_next(f->reader, &view, &f->error), DX_ECORRUPT, f->error,
                 "0 more frames to come in 96 bytes");
    assert_int_equal(dx_frame_batch_next(f->reader, &view, &f->error), DX_ENOTFOUND);

    (void)batch_by_hand(f, raw, all, 4); /* one too few */
    for (int i = 0; i < 3; i++) {
        assert_ok(dx_frame_batch_next(f->reader, &view, &f->error));
    }
    assert_int_equal(dx_frame_batch_next(f->reader, &view, &f->error), DX_ECORRUPT);

    (void)batch_by_hand(f, raw, all - 8, 3); /* the last is cut */
    assert_ok(dx_frame_batch_next(f->reader, &view, &f->error));
    assert_ok(dx_frame_batch_next(f->reader, &view, &f->error));
    assert_int_equal(dx_frame_batch_next(f->reader, &view, &f->error), DX_ECORRUPT);

    raw[each + 90] = 'x'; /* damaged before it was packed */
    (void)batch_by_hand(f, raw, all, 3);
    assert_ok(dx_frame_batch_next(f->reader, &view, &f->error));
    assert_int_equal(dx_frame_batch_next(f->reader, &view, &f->error), DX_ECORRUPT);
    assert_int_equal(dx_frame_batch_next(f->reader, &view, &f->error), DX_ENOTFOUND);

    ((dx_frame_header_t *)(void *)(raw + each))->type = 222; /* refused, and the next one read */
    frame_repair(raw + each, (size_t)each);
    (void)batch_by_hand(f, raw, all, 3);
    assert_ok(dx_frame_batch_next(f->reader, &view, &f->error));
    assert_int_equal(dx_frame_batch_next(f->reader, &view, &f->error), DX_ENOTSUP);
    assert_ok(dx_frame_batch_next(f->reader, &view, &f->error));
    assert_int_equal(dx_frame_batch_next(f->reader, &view, &f->error), DX_ENOTFOUND);
    free(frame);
}

/* An lz4 block of literals alone is longer than what it comes to: nobody may send it. */
static void a_block_that_gains_nothing_is_refused(void **state)
{
    fixture_t *const f = *state;
    __attribute__((aligned(8))) char ping[64];
    char block[66] = {(char)0xf0, 64 - 15};
    const dx_frame_draft_t draft = {.type = DX_FRAME_PING};
    assert_int_equal(dx_frame_encode(ping, sizeof ping, &draft, NULL, NULL), 64);
    memcpy(block + 2, ping, sizeof ping);
    const dx_frame_batch_info_t info = {DX_CODEC_LZ4, 1, 64, 0};
    const dx_frame_part_t part = dx_frame_part_of(DX_PART_BATCH, &info, sizeof info);
    const dx_frame_draft_t batch = {
        .type = DX_FRAME_BATCH, .parts = &part, .part_count = 1, .payload_bytes = sizeof block};
    const int64_t bytes = dx_frame_encode(f->out, f->room, &batch, block, &f->error);
    dx_frame_view_t view;
    assert_ok(dx_frame_decode(f->out, (size_t)bytes, &view, &f->error));
    assert_fails(dx_frame_batch_open(f->reader, &view, &f->error), DX_EINVAL, f->error,
                 "66 bytes of payload for 64 bytes (lz4)");
}

static void there_is_no_batch_in_a_batch(void **state)
{
    fixture_t *const f = *state;
    (void)frames_add(f, 2, false, 1);
    const int64_t bytes = dx_frame_batch_seal(f->writer, DX_CODEC_NONE, f->out, f->room, &f->error);
    assert_int_equal(dx_frame_batch_add(f->writer, f->out), DX_EINVAL);
    char inner[1024];
    assert_in_range(bytes, 1, sizeof inner);
    memcpy(inner, f->out, (size_t)bytes);
    (void)batch_by_hand(f, inner, (uint32_t)bytes, 1);
    dx_frame_view_t view;
    assert_fails(dx_frame_batch_next(f->reader, &view, &f->error), DX_EINVAL, f->error,
                 "a BATCH in the batch");
    assert_int_equal(dx_frame_batch_next(f->reader, &view, &f->error), DX_ENOTFOUND);

    int64_t publish_bytes = 0;
    char *const publish = publish_make(8, &publish_bytes);
    assert_ok(dx_frame_decode(publish, (size_t)publish_bytes, &view, &f->error));
    assert_fails(dx_frame_batch_open(f->reader, &view, &f->error), DX_EINVAL, f->error,
                 "a PUBLISH frame is no batch");
    free(publish);
}

/* -------------------------------------------------------------------------------------- chooser */

/* Feeds `batches` of `raw_bytes` whose codecs achieve these ratios. Returns how many used zstd. */
static uint32_t chooser_run(dx_codec_chooser_t *c, uint32_t batches, uint32_t raw_bytes,
                            uint32_t lz4, uint32_t zstd)
{
    uint32_t used_zstd = 0;
    for (uint32_t i = 0; i < batches; i++) {
        const dx_codec_t codec = dx_codec_choose(c, raw_bytes);
        used_zstd += codec == DX_CODEC_ZSTD;
        const uint32_t ratio = codec == DX_CODEC_ZSTD ? zstd : codec == DX_CODEC_LZ4 ? lz4 : 1000;
        dx_codec_learn(c, codec, raw_bytes, (uint32_t)((uint64_t)raw_bytes * ratio / 1000));
    }
    return used_zstd;
}

static void the_codec_follows_what_it_achieves(void **state)
{
    (void)state;
    dx_codec_chooser_t c;
    assert_ok(dx_codec_chooser_init(&c, NULL, NULL));
    assert_int_equal(c.codec, DX_CODEC_NONE);
    (void)chooser_run(&c, 1000, 65536, 950, 940); /* nothing gains */
    assert_int_equal(c.codec, DX_CODEC_NONE);
    (void)chooser_run(&c, 2000, 65536, 500, 480); /* zstd is hardly better: lz4 */
    assert_int_equal(c.codec, DX_CODEC_LZ4);
    (void)chooser_run(&c, 2000, 65536, 500, 300);
    assert_int_equal(c.codec, DX_CODEC_ZSTD);
    (void)chooser_run(&c, 4000, 65536, 980, 970);
    assert_int_equal(c.codec, DX_CODEC_NONE);
}

static void between_the_thresholds_nothing_changes(void **state)
{
    (void)state;
    dx_codec_chooser_t c;
    assert_ok(dx_codec_chooser_init(&c, NULL, NULL));
    (void)chooser_run(&c, 1000, 65536, 850, 845); /* not good enough to begin */
    assert_int_equal(c.codec, DX_CODEC_NONE);
    (void)chooser_run(&c, 2000, 65536, 700, 690);
    assert_int_equal(c.codec, DX_CODEC_LZ4);
    const uint32_t switches = c.switches;
    for (int i = 0; i < 50; i++) { /* good enough to go on, whichever way it moves */
        (void)chooser_run(&c, 100, 65536, 790, 780);
        (void)chooser_run(&c, 100, 65536, 890, 880);
    }
    assert_int_equal(c.codec, DX_CODEC_LZ4);
    assert_int_equal(c.switches, switches);
    (void)chooser_run(&c, 2000, 65536, 920, 915);
    assert_int_equal(c.codec, DX_CODEC_NONE);
    assert_int_equal(c.switches, switches + 1);
}

static void the_size_of_a_batch_bounds_the_choice(void **state)
{
    (void)state;
    dx_codec_chooser_t c;
    assert_ok(dx_codec_chooser_init(&c, NULL, NULL));
    (void)chooser_run(&c, 2000, 65536, 500, 200);
    assert_int_equal(c.codec, DX_CODEC_ZSTD);
    assert_int_equal(chooser_run(&c, 1000, 16383, 500, 200), 0);
    assert_true(chooser_run(&c, 100, 16384, 500, 200) > 90);
    const uint32_t batches = c.batches;
    for (int i = 0; i < 200; i++) {
        assert_int_equal(dx_codec_choose(&c, 1023), DX_CODEC_NONE);
    }
    assert_int_equal(c.batches, batches);
    assert_int_not_equal(dx_codec_choose(&c, 1024), DX_CODEC_NONE);
    dx_codec_learn(&c, DX_CODEC_LZ4, 1023, 1023); /* says nothing */
    assert_in_range(c.ratios[DX_CODEC_LZ4], 1, 600);
}

static void a_codec_that_is_forbidden_is_never_chosen(void **state)
{
    (void)state;
    dx_codec_chooser_t c;
    const dx_codec_options_t no_zstd = {.no_zstd = true};
    assert_ok(dx_codec_chooser_init(&c, &no_zstd, NULL));
    assert_int_equal(chooser_run(&c, 1000, 65536, 500, 100), 0);
    assert_int_equal(c.codec, DX_CODEC_LZ4);
    const dx_codec_options_t no_lz4 = {.no_lz4 = true};
    assert_ok(dx_codec_chooser_init(&c, &no_lz4, NULL));
    assert_true(chooser_run(&c, 1000, 65536, 100, 500) > 900);
    assert_int_equal(c.codec, DX_CODEC_ZSTD);
    (void)chooser_run(&c, 1000, 65536, 100, 950);
    assert_int_equal(c.codec, DX_CODEC_NONE);
    const dx_codec_options_t neither = {.no_lz4 = true, .no_zstd = true};
    assert_ok(dx_codec_chooser_init(&c, &neither, NULL));
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(dx_codec_choose(&c, 65536), DX_CODEC_NONE);
    }
}

static void bad_options_of_a_chooser_are_refused(void **state)
{
    (void)state;
    static const struct {
        dx_codec_options_t options;
        const char *text;
    } rows[] = {
        {{.enter_ratio = 901}, "leave_ratio is 900, must be from 901 to 1000"},
        {{.leave_ratio = 1001}, "leave_ratio is 1001"},
        {{.zstd_enter = 950}, "zstd_leave is 900"},
        {{.probe_every = 1}, "probe_every is 1, must be from 2"},
        {{.reserved = {0, 0, 0, 1}}, "reserved[3]"},
    };
    dx_codec_chooser_t c;
    dx_error_t error = {0};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_fails(dx_codec_chooser_init(&c, &rows[i].options, &error), DX_EINVAL, error,
                     rows[i].text);
    }
    const dx_codec_options_t edge = {.enter_ratio = 1000, .leave_ratio = 1000, .probe_every = 2};
    assert_ok(dx_codec_chooser_init(&c, &edge, &error));
}

static void codecs_have_names(void **state)
{
    (void)state;
    assert_string_equal(dx_codec_name(0), "none");
    assert_string_equal(dx_codec_name(1), "lz4");
    assert_string_equal(dx_codec_name(2), "zstd");
    assert_string_equal(dx_codec_name(3), "unknown");
    assert_string_equal(dx_codec_name(-1), "unknown");
}

#define WITH_BATCHES(test) cmocka_unit_test_setup_teardown(test, fixture_make, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BATCHES(frames_come_back_with_each_codec),
        WITH_BATCHES(what_gains_nothing_goes_in_as_it_is),
        WITH_BATCHES(a_batch_takes_what_there_is_room_for),
        cmocka_unit_test(the_size_of_a_batch_has_its_limits),
        cmocka_unit_test(creating_survives_every_failed_allocation),
        WITH_BATCHES(a_batch_must_come_to_what_it_says),
        WITH_BATCHES(a_bomb_is_bounded),
        WITH_BATCHES(the_frames_of_a_batch_are_checked),
        WITH_BATCHES(a_block_that_gains_nothing_is_refused),
        WITH_BATCHES(there_is_no_batch_in_a_batch),
        cmocka_unit_test(the_codec_follows_what_it_achieves),
        cmocka_unit_test(between_the_thresholds_nothing_changes),
        cmocka_unit_test(the_size_of_a_batch_bounds_the_choice),
        cmocka_unit_test(a_codec_that_is_forbidden_is_never_chosen),
        cmocka_unit_test(bad_options_of_a_chooser_are_refused),
        cmocka_unit_test(codecs_have_names),
    };
    return cmocka_run_group_tests_name("frame_batch", tests, NULL, NULL);
}
