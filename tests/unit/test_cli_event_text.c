/* test_cli_event_text.c - events for eyes, latencies for eyes, and the load of the benchmarks.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/event_text.h"

#include "base_test.h"
#include "cli/bench_load.h"
#include "cli/latency.h"
#include "cli/pace.h"
#include "cli/picture.h"

static char *text;
static size_t text_bytes;

static FILE *stream_open(void)
{
    free(text);
    text = NULL;
    FILE *const stream = open_memstream(&text, &text_bytes);
    assert_non_null(stream);
    return stream;
}

static int tear_down(void **state)
{
    (void)state;
    free(text);
    text = NULL;
    return 0;
}

static void bytes_can_not_command_a_terminal(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t count;
        const char *expected;
    } cases[] = {
        {"", 0, ""},
        {"plain \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", 17,
         "plain \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"a\tb\nc\r", 6, "a\\tb\\nc\\r"},
        {"\x1b[2J", 4, "hex 1b5b324a"},
        {"\xc2\x9b", 2, "hex c29b"}, /* U+009B, which some terminals obey */
        {"a\0b", 3, "hex 610062"},
        {"\xff\xfe", 2, "hex fffe"},
        {"\xc0\xaf", 2, "hex c0af"},             /* overlong */
        {"\xed\xa0\x80", 3, "hex eda080"},       /* a surrogate */
        {"\xf4\x90\x80\x80", 4, "hex f4908080"}, /* above U+10FFFF */
        {"\xe2\x82", 2, "hex e282"},             /* cut */
        {"\x7f", 1, "hex 7f"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        FILE *const stream = stream_open();
        dxi_bytes_print(stream, cases[i].bytes, cases[i].count);
        fclose(stream);
        assert_string_equal(text, cases[i].expected);
    }
}

static void long_binary_payloads_are_cut_and_say_so(void **state)
{
    (void)state;
    static unsigned char bytes[DXI_EVENT_HEX_MAX + 1];
    FILE *stream = stream_open();
    dxi_bytes_print(stream, bytes, DXI_EVENT_HEX_MAX);
    fclose(stream);
    assert_int_equal(strlen(text), 4 + 2 * DXI_EVENT_HEX_MAX);
    stream = stream_open();
    dxi_bytes_print(stream, bytes, sizeof bytes);
    fclose(stream);
    assert_contains(text, "... (1025 bytes)");
}

/* An event with everything, in a frame. */
static void event_make(dx_event_t *event_out, dx_frame_view_t *view)
{
    static uint64_t words[64];
    char *const room = (char *)words;
    static const dx_frame_pair_t pairs[] = {{"kind", "te\nst", 4, 5}};
    const dx_frame_part_t parts[] = {dx_frame_part_text(DX_PART_TOPIC, "orders.new"),
                                     dx_frame_part_text(DX_PART_KEY, "k1"),
                                     dx_frame_part_text(DX_PART_REPLY_TO, "answers")};
    const dx_frame_draft_t draft = {.type = DX_FRAME_EVENT,
                                    .parts = parts,
                                    .part_count = 3,
                                    .headers = pairs,
                                    .header_count = 1,
                                    .payload_bytes = 5};
    void *payload = NULL;
    dx_error_t error = {0};
    const int64_t bytes = dx_frame_bytes(&draft, &error);
    assert_true(bytes > 0 && (size_t)bytes <= sizeof words);
    assert_int_equal(dx_frame_begin(room, sizeof words, &draft, &payload, &error), bytes);
    memcpy(payload, "hello", 5);
    dx_frame_seal(room);
    assert_ok(dx_frame_view(room, (size_t)bytes, view, &error));
    *event_out = (dx_event_t){.topic = "orders.new",
                              .topic_bytes = 10,
                              .data = view->payload,
                              .bytes = 5,
                              .sequence = 42,
                              .timestamp_ns = UINT64_C(1769851800123456789),
                              .shard = 3,
                              .attempt = 2,
                              .key = "k1",
                              .key_bytes = 2,
                              .frame = view};
}

static void an_event_is_one_line(void **state)
{
    (void)state;
    dx_event_t event;
    dx_frame_view_t view;
    event_make(&event, &view);
    static const struct {
        dxi_event_form_t form;
        const char *expected;
    } cases[] = {
        {DXI_EVENT_LINE, "orders.new  42  hello\n"},
        {DXI_EVENT_RAW, "hello\n"},
        {DXI_EVENT_HEADERS, "orders.new  42  [2026-01-31T09:30:00.123456Z shard=3 key=k1 attempt=2 "
                            "reply_to=answers kind=te\\nst]  hello\n"},
        {DXI_EVENT_JSON,
         "{\"topic\": \"orders.new\", \"sequence\": 42, \"shard\": 3, \"time\": "
         "\"2026-01-31T09:30:00.123456Z\", \"timestamp_ns\": 1769851800123456789, \"attempt\": 2, "
         "\"key\": \"k1\", \"reply_to\": \"answers\", \"headers\": [{\"name\": \"kind\", "
         "\"value\": "
         "\"te\\nst\"}], \"bytes\": 5, \"data\": \"hello\"}\n"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        FILE *const stream = stream_open();
        dxi_event_print(stream, &event, cases[i].form);
        fclose(stream);
        assert_string_equal(text, cases[i].expected);
    }
}

static void an_empty_or_binary_event_is_shown_as_well(void **state)
{
    (void)state;
    const dx_event_t empty = {.topic = "t", .topic_bytes = 1, .sequence = 1};
    FILE *stream = stream_open();
    dxi_event_print(stream, &empty, DXI_EVENT_LINE);
    dxi_event_print(stream, &empty, DXI_EVENT_RAW);
    fclose(stream);
    assert_string_equal(text, "t  1  \n\n");
    const dx_event_t binary = {
        .topic = "t", .topic_bytes = 1, .sequence = 1, .data = "\0\1", .bytes = 2};
    stream = stream_open();
    dxi_event_print(stream, &binary, DXI_EVENT_JSON);
    fclose(stream);
    assert_contains(text, "\"data_hex\": \"0001\"");
}

/* -------------------------------------------------------------------------------------- picture */

static void bars_show_how_many_fell_where(void **state)
{
    (void)state;
    dx_histogram_t *histogram = NULL;
    assert_ok(dx_histogram_create(&histogram, NULL));
    dx_histogram_record_n(histogram, 1, 10);
    dx_histogram_record_n(histogram, 2, 5);
    dx_histogram_record_n(histogram, 1500, 1);
    dx_histogram_record(histogram, DX_HISTOGRAM_VALUE_MAX);
    FILE *stream = stream_open();
    dxi_picture_bars(stream, histogram, 67);
    fclose(stream);
    int lines = 0;
    for (const char *at = text; *at != '\0'; at++) {
        lines += *at == '\n';
    }
    assert_int_equal(lines, 34); /* 1, 2, 5 ns ... to 100 s */
    assert_contains(text, "10   58.8 %  ####################\n");
    assert_contains(text, "5   29.4 %  ##########\n");
    assert_contains(text, "1    5.9 %  ##\n");
    stream = stream_open();
    dx_histogram_reset(histogram);
    dxi_picture_bars(stream, histogram, 80);
    fclose(stream);
    assert_string_equal(text, "");
    dx_histogram_destroy(histogram);
}

static void a_distribution_goes_to_a_file(void **state)
{
    (void)state;
    dx_error_t error = {0};
    dx_histogram_t *histogram = NULL;
    assert_ok(dx_histogram_create(&histogram, NULL));
    dx_histogram_record(histogram, 1000);
    assert_fails(dxi_picture_hgrm(histogram, "/nonexistent/x", &error), DX_ENOTFOUND, error,
                 "cannot be written");
    assert_fails(dxi_picture_hgrm(histogram, "/dev/full", &error), DX_EIO, error, "");
    dx_histogram_destroy(histogram);
}

static void the_machine_alone_is_measured(void **state)
{
    (void)state;
    const dx_atomic32_t stop = {0};
    dxi_intrinsic_t intrinsic = {.threshold_ns = 1};
    assert_ok(dx_histogram_create(&intrinsic.gaps, NULL));
    dxi_intrinsic_run(5 * DX_NS_PER_MS, &stop, &intrinsic);
    assert_true(intrinsic.elapsed_ns >= 5 * DX_NS_PER_MS);
    assert_true(intrinsic.looks > 0);
    assert_int_equal(dx_histogram_count(intrinsic.gaps), intrinsic.interruptions);
    assert_true(intrinsic.interrupted_ns <= intrinsic.elapsed_ns);
    const dx_atomic32_t stopped = {1};
    intrinsic.looks = 1;
    dxi_intrinsic_run(3600 * DX_NS_PER_S, &stopped, &intrinsic);
    assert_int_equal(intrinsic.looks, 0);
    dx_histogram_destroy(intrinsic.gaps);
}

/* ----------------------------------------------------------------------------------- bench_load */

static char payload[64];

static bool take(dxi_load_check_t *check, uint32_t run, uint32_t stream, uint64_t number,
                 size_t bytes)
{
    dxi_load_head_t head = {.word = dxi_load_word(run, stream, number), .due_ns = 5};
    memcpy(payload, &head, sizeof head);
    return dxi_load_take(check, payload, bytes, &head);
}

static void what_came_wrong_is_counted(void **state)
{
    (void)state;
    dxi_load_check_t check;
    dxi_load_pattern(payload, sizeof payload);
    assert_ok(dxi_load_check_init(&check, 7, 2, sizeof payload));
    assert_true(take(&check, 7, 0, 0, 64));
    assert_true(take(&check, 7, 1, 0, 64));
    assert_true(take(&check, 7, 0, 1, 64));
    assert_int_equal(check.lost + check.repeated + check.corrupt + check.foreign, 0);
    assert_true(take(&check, 7, 0, 5, 64));
    assert_int_equal(check.lost, 3);
    assert_true(take(&check, 7, 0, 5, 64));
    assert_int_equal(check.repeated, 1);
    assert_false(take(&check, 7, 2, 0, 64)); /* a stream that is none */
    assert_false(take(&check, 8, 0, 0, 64)); /* another run */
    assert_int_equal(check.foreign, 2);
    assert_false(take(&check, 7, 0, 6, 63));
    assert_false(take(&check, 7, 0, 6, 8));
    payload[63] ^= 1;
    assert_false(take(&check, 7, 0, 6, 64));
    assert_int_equal(check.corrupt, 3);
    assert_int_equal(check.events, 5);
    dxi_load_check_free(&check);
}

static void a_first_event_that_is_missing_is_lost(void **state)
{
    (void)state;
    dxi_load_check_t check;
    dxi_load_pattern(payload, sizeof payload);
    assert_ok(dxi_load_check_init(&check, 0, 1, 0));
    assert_true(take(&check, 0, 0, 2, 16));
    assert_int_equal(check.lost, 2);
    dxi_load_check_free(&check);
}

static void who_comes_late_counts_from_there(void **state)
{
    (void)state;
    dxi_load_check_t check;
    dxi_load_pattern(payload, sizeof payload);
    assert_ok(dxi_load_check_init(&check, -1, DXI_LOAD_STREAMS_MAX, 0));
    assert_true(take(&check, 255, DXI_LOAD_STREAMS_MAX - 1, 1000, 64));
    assert_true(take(&check, 255, DXI_LOAD_STREAMS_MAX - 1, 1001, 32));
    assert_true(take(&check, 3, 0, 0, 16));
    assert_int_equal(check.lost + check.repeated + check.corrupt + check.foreign, 0);
    assert_true(take(&check, 3, 0, 2, 16));
    assert_int_equal(check.lost, 1);
    dxi_load_check_free(&check);
}

static void events_are_due_at_their_rate(void **state)
{
    (void)state;
    assert_int_equal(dxi_pace_due_ns(100, 1000, 0), 100);
    assert_int_equal(dxi_pace_due_ns(100, 1000, 1), 1000100);
    assert_int_equal(dxi_pace_due_ns(0, 3, 1), 333333333);
    assert_int_equal(dxi_pace_due_ns(0, 3, 3), DX_NS_PER_S);
    assert_int_equal(dxi_pace_due_ns(0, DXI_PACE_RATE_MAX, 86400 * INT64_C(1000000000)),
                     86400 * DX_NS_PER_S);
    const dx_atomic32_t stopped = {1};
    assert_false(dxi_pace_wait(INT64_MAX, 0, &stopped));
    assert_true(dxi_pace_wait(0, 0, &stopped)); /* it was due already */
}

#define TEST(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bytes_can_not_command_a_terminal),
        TEST(long_binary_payloads_are_cut_and_say_so),
        TEST(an_event_is_one_line),
        TEST(an_empty_or_binary_event_is_shown_as_well),
        TEST(bars_show_how_many_fell_where),
        TEST(a_distribution_goes_to_a_file),
        TEST(the_machine_alone_is_measured),
        TEST(what_came_wrong_is_counted),
        TEST(a_first_event_that_is_missing_is_lost),
        TEST(who_comes_late_counts_from_there),
        TEST(events_are_due_at_their_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
