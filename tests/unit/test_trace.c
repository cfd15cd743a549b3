/* test_trace.c - trace contexts as text and in frames, the choice of events, spans as JSON.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <jansson.h>

#include "frame_test.h"
#include "trace/context.h"
#include "trace/otlp.h"
#include "trace/post.h"
#include "trace/sampler.h"
#include "wire/pack.h"

#define PARENT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
#define FIELDS "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

/* --------------------------------------------------------------------------------------- texts */

static void a_traceparent_is_read_and_written_as_it_was(void **state)
{
    (void)state;
    dx_frame_trace_t trace;
    char text[DX_TRACE_TEXT_BYTES];
    assert_ok(dx_trace_parse(PARENT, strlen(PARENT), &trace, NULL));
    assert_int_equal(trace.trace_id[0], 0x4b);
    assert_int_equal(trace.trace_id[15], 0x36);
    assert_int_equal(trace.span_id[7], 0xb7);
    assert_int_equal(trace.flags, DX_TRACE_SAMPLED);
    dx_trace_format(&trace, text);
    assert_string_equal(text, PARENT);
}

static void a_later_version_is_read_as_far_as_it_is_known(void **state)
{
    (void)state;
    dx_frame_trace_t trace;
    assert_ok(dx_trace_parse("01-" FIELDS, 55, &trace, NULL));
    assert_ok(dx_trace_parse("cc-" FIELDS "-what-else", 65, &trace, NULL));
    assert_int_equal(trace.span_id[0], 0x00);
    assert_int_equal(trace.span_id[1], 0xf0);
}

static void what_is_no_traceparent_is_refused_with_the_rule(void **state)
{
    (void)state;
    const struct {
        const char *text, *sentence;
    } cases[] = {
        {"", "has 0 bytes, must have 55"},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0", "has 54 bytes"},
        {"ff-" FIELDS, "version ff"},
        {PARENT "-", "version 00 has 56 bytes"},
        {"01-" FIELDS "x", "version 01 has 56 bytes"},
        {"00-4BF92F3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "lower case"},
        {"0g-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "must be 00-"},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g", "must be 00-"},
        {"00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "must be 00-"},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01", "must be 00-"},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7_01", "must be 00-"},
        {"00-00000000000000000000000000000000-00f067aa0ba902b7-01", "all zero"},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", "all zero"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        dx_error_t error = {0};
        dx_frame_trace_t trace = {.flags = 9};
        assert_fails(dx_trace_parse(cases[i].text, strlen(cases[i].text), &trace, &error),
                     DX_EPARSE, error, cases[i].sentence);
        assert_int_equal(trace.flags, 0);
    }
}

static void new_contexts_are_sampled_and_never_the_same(void **state)
{
    (void)state;
    dx_frame_trace_t last = {.flags = 0};
    for (int i = 0; i < 1000; i++) {
        dx_frame_trace_t trace;
        dx_trace_make(&trace);
        assert_true(dxi_trace_sampled(&trace));
        assert_memory_not_equal(trace.trace_id, last.trace_id, sizeof trace.trace_id);
        assert_memory_not_equal(trace.span_id, last.span_id, sizeof trace.span_id);
        last = trace;
    }
    last.flags = 0xfe;
    assert_false(dxi_trace_sampled(&last));
}

/* -------------------------------------------------------------------------------------- frames */

static dx_frame_trace_t context(void)
{
    dx_frame_trace_t trace;
    assert_ok(dx_trace_parse(PARENT, strlen(PARENT), &trace, NULL));
    return trace;
}

/* A frame gets a context; all else stays, and its checksums hold. */
static void check_copy(const dx_frame_draft_t *draft, const char *payload, bool has)
{
    static uint64_t frame[256], copy[256];
    const int64_t bytes = dx_frame_encode(frame, sizeof frame, draft, payload, NULL);
    dx_frame_view_t view, copied;
    dx_frame_trace_t found;
    const dx_frame_trace_t trace = context();
    assert_true(bytes > 0);
    assert_ok(dx_frame_decode(frame, (size_t)bytes, &view, NULL));
    const uint32_t longer = dxi_trace_frame_bytes(&view);
    assert_int_equal(longer, bytes + (has ? 0 : 40));
    dxi_trace_frame_copy(&view, &trace, copy);
    assert_ok(dx_frame_decode(copy, longer, &copied, NULL));
    assert_int_equal(copied.bytes, longer);
    assert_true(dxi_trace_of(&copied, &found));
    assert_memory_equal(&found, &trace, sizeof trace);
    assert_true((copied.header->flags & DX_FRAME_TRACED) != 0);
    assert_int_equal(copied.parts, view.parts | DX_PART_BIT(DX_PART_TRACE));
    assert_int_equal(copied.payload_bytes, view.payload_bytes);
    assert_memory_equal(copied.payload, view.payload, view.payload_bytes);
    for (int part = 1; part < DX_FRAME_PARTS; part++) {
        uint32_t wanted = 0, got = 0;
        const void *const before = dx_frame_part(&view, part, &wanted);
        const void *const after = dx_frame_part(&copied, part, &got);
        if (part != DX_PART_TRACE && before != NULL) {
            assert_int_equal(got, wanted);
            assert_memory_equal(after, before, wanted);
        }
    }
}

static void a_frame_gets_a_context_wherever_its_part_belongs(void **state)
{
    (void)state;
    const uint64_t correlation = 7;
    dx_frame_trace_t other;
    dx_trace_make(&other);
    const dx_frame_part_t parts[] = {
        dx_frame_part_text(DX_PART_TOPIC, "orders"),
        dx_frame_part_text(DX_PART_KEY, "customer-7"),
        dx_frame_part_of(DX_PART_CORRELATION, &correlation, 8),
        dx_frame_part_of(DX_PART_TRACE, &other, sizeof other),
        dx_frame_part_text(DX_PART_REPLY_TO, "answers"),
    };
    const dx_frame_part_t plain[] = {parts[0], parts[1], parts[2], parts[4]};
    const dx_frame_pair_t pair = {"kind", "test", 4, 4};
    const char payload[] = "some payload";
    for (uint16_t count = 1; count <= COUNT_OF(plain); count++) {
        for (uint32_t bytes = 0; bytes < 9; bytes++) {
            check_copy(&(dx_frame_draft_t){.type = DX_FRAME_PUBLISH,
                                           .parts = plain,
                                           .part_count = count,
                                           .headers = &pair,
                                           .header_count = count % 2,
                                           .payload_bytes = bytes},
                       payload, false);
        }
    }
    check_copy(&(dx_frame_draft_t){.type = DX_FRAME_PUBLISH,
                                   .parts = parts,
                                   .part_count = COUNT_OF(parts),
                                   .payload_bytes = 5},
               payload, true);
}

static void a_frame_whose_parts_are_too_long_gets_none(void **state)
{
    (void)state;
    const struct {
        uint32_t spare;
        bool fits;
    } cases[] = {{40, true}, {32, false}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        dx_frame_view_t view = {.bytes = 66000};
        dx_frame_header_t header = {.layout =
                                        (uint16_t)(DX_FRAME_PARTS_BYTES_MAX - cases[i].spare)};
        view.header = &header;
        assert_int_equal(dxi_trace_frame_bytes(&view), cases[i].fits ? 66040 : 0);
    }
}

static void a_step_changes_the_span_and_tells_the_one_before(void **state)
{
    (void)state;
    static uint64_t frame[64];
    dx_frame_trace_t trace = context(), before, after;
    const dx_frame_part_t parts[] = {dx_frame_part_text(DX_PART_TOPIC, "orders"),
                                     dx_frame_part_of(DX_PART_TRACE, &trace, sizeof trace)};
    dx_frame_draft_t draft = {.type = DX_FRAME_PUBLISH, .parts = parts, .part_count = 2};
    const uint8_t id[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    dx_frame_view_t view;
    int64_t bytes = dx_frame_encode(frame, sizeof frame, &draft, NULL, NULL);
    assert_true(dxi_trace_frame_step(frame, (uint32_t)bytes, id, &before));
    assert_memory_equal(&before, &trace, sizeof trace);
    assert_ok(dx_frame_decode(frame, (size_t)bytes, &view, NULL));
    assert_true(dxi_trace_of(&view, &after));
    assert_memory_equal(after.trace_id, trace.trace_id, sizeof trace.trace_id);
    assert_memory_equal(after.span_id, id, sizeof id);

    trace.flags = 0; /* not sampled: it is left alone */
    bytes = dx_frame_encode(frame, sizeof frame, &draft, NULL, NULL);
    assert_false(dxi_trace_frame_step(frame, (uint32_t)bytes, id, &before));
    draft.part_count = 1;
    bytes = dx_frame_encode(frame, sizeof frame, &draft, NULL, NULL);
    assert_false(dxi_trace_frame_step(frame, (uint32_t)bytes, id, &before));
}

static void of_a_pack_the_first_event_is_traced(void **state)
{
    (void)state;
    static uint64_t frame[64], copy[64], one[64];
    const uint32_t payload[] = {2, 10, 5, 0, 0x31313131, 0x31, 5, 0, 0x32323232, 0x32};
    const dx_frame_part_t topic = dx_frame_part_text(DX_PART_TOPIC, "orders");
    const dx_frame_trace_t trace = context();
    dx_frame_view_t view;
    dx_frame_trace_t found;
    const int64_t bytes = dx_frame_encode(frame, sizeof frame,
                                          &(dx_frame_draft_t){.type = DX_FRAME_PUBLISH,
                                                              .flags = DX_FRAME_PACKED,
                                                              .parts = &topic,
                                                              .part_count = 1,
                                                              .payload_bytes = sizeof payload},
                                          payload, NULL);
    assert_ok(dx_frame_decode(frame, (size_t)bytes, &view, NULL));
    const uint32_t longer = dxi_trace_frame_bytes(&view);
    dxi_trace_frame_copy(&view, &trace, copy);
    assert_ok(dx_frame_decode(copy, longer, &view, NULL));
    ((dx_frame_header_t *)(void *)copy)->sequence = 41;
    dxi_pack_t pack = dxi_pack_begin(view.header);
    for (uint64_t sequence = 41; pack.left != 0; sequence++) {
        uint32_t event_bytes = 0;
        const void *const event = dxi_pack_next(&pack, &event_bytes);
        dxi_pack_expand(view.header, event, event_bytes, sequence, one);
        dx_frame_view_t single;
        assert_ok(
            dx_frame_decode(one, dxi_pack_expanded_bytes(view.header, event_bytes), &single, NULL));
        assert_true(dxi_trace_of(&single, &found));
        assert_int_equal(dxi_trace_sampled(&found), sequence == 41);
        assert_int_equal((single.header->flags & DX_FRAME_TRACED) != 0, sequence == 41);
    }
}

/* ------------------------------------------------------------------------------------- sampler */

static void the_same_seed_takes_the_same_events_and_one_of_so_many(void **state)
{
    (void)state;
    for (uint32_t one_of = 1; one_of <= 1000; one_of *= 10) {
        dxi_sampler_t a = {.state = 7}, b = {.state = 7}, other = {.state = 8};
        uint32_t taken = 0, same = 0, longest = 0, gap = 0;
        for (uint32_t i = 0; i < 100000; i++) {
            const bool is = dxi_sampler_take(&a, one_of, 1);
            assert_int_equal(dxi_sampler_take(&b, one_of, 1), is);
            same += dxi_sampler_take(&other, one_of, 1) == is;
            taken += is;
            gap = is ? 0 : gap + 1;
            longest = gap > longest ? gap : longest;
        }
        assert_in_range(taken, 90000 / one_of, 110000 / one_of);
        assert_true(longest < 2 * one_of);
        assert_true(one_of == 1 || same < 100000);
    }
}

static void never_is_never_and_a_change_counts_at_once(void **state)
{
    (void)state;
    dxi_sampler_t sampler = {.state = 1};
    for (int i = 0; i < 10000; i++) {
        assert_false(dxi_sampler_take(&sampler, DX_TRACE_NEVER, 1000000));
    }
    assert_true(dxi_sampler_take(&sampler, 1, 1));
    assert_true(dxi_sampler_take(&sampler, 1, 64));
    dxi_sampler_t slow = {.state = 1};
    assert_true(dxi_sampler_take(&slow, 1000, 2000)); /* within 1999 there is one */
    dxi_sampler_again(&slow);
    assert_true(dxi_sampler_take(&slow, 1000, 1));
}

/* ---------------------------------------------------------------------------------------- JSON */

static void fill(uint8_t *bytes, size_t count, uint8_t first)
{
    for (size_t i = 0; i < count; i++) {
        bytes[i] = (uint8_t)(first + i);
    }
}

static dxi_trace_span_t sample_span(void)
{
    dxi_trace_span_t span = {.start_unix_ns = INT64_C(1700000000000000001),
                             .end_unix_ns = INT64_C(1700000000000000777),
                             .bytes = 12,
                             .operation = DXI_SPAN_PUBLISH,
                             .kind = DXI_SPAN_PRODUCER,
                             .topic_bytes = 10,
                             .topic = "orders.new"};
    fill(span.trace_id, sizeof span.trace_id, 0xa0);
    fill(span.span_id, sizeof span.span_id, 0x01);
    return span;
}

/* The file's text without its last line end, and with our version for "@VERSION@". */
static char *golden_read(const char *name)
{
    static const char PLACE[] = "@VERSION@";
    char path[512];
    snprintf(path, sizeof path, "%s/%s", getenv("DX_TEST_VECTORS"), name);
    FILE *const file = fopen(path, "r");
    char *const text = calloc(1, 65536);
    char *const filled = calloc(1, 65536);
    if (file == NULL || fread(text, 1, 65535, file) == 0) {
        fail_msg("%s can't be read", path);
    }
    fclose(file);
    text[strcspn(text, "\n")] = '\0';
    char *at = text;
    for (char *place; (place = strstr(at, PLACE)) != NULL; at = place + sizeof PLACE - 1) {
        *place = '\0';
        strcat(strcat(filled, at), DX_VERSION_STRING);
    }
    strcat(filled, at);
    free(text);
    return filled;
}

static void spans_are_the_golden_text_byte_by_byte(void **state)
{
    (void)state;
    static char text[65536];
    dxi_otlp_t otlp;
    dxi_trace_span_t span = sample_span();
    dxi_otlp_begin(&otlp, text, sizeof text, "shop", "host:7");
    assert_true(dxi_otlp_add(&otlp, &span));
    memcpy(span.parent_id, span.span_id, sizeof span.span_id); /* handle, with all there is */
    fill(span.span_id, sizeof span.span_id, 0x11);
    span.operation = DXI_SPAN_HANDLE;
    span.kind = DXI_SPAN_CONSUMER;
    span.sequence = UINT64_MAX;
    span.shard = 65535;
    span.placed = true;
    span.attempt = 2;
    span.batch_events = 64;
    span.connection = 9;
    span.code = DX_ETIMEDOUT;
    span.end_unix_ns = span.start_unix_ns - 5; /* a clock that was set back */
    assert_true(dxi_otlp_add(&otlp, &span));
    span = sample_span(); /* what needs escapes, and an inbox */
    span.operation = DXI_SPAN_QUEUE;
    span.kind = DXI_SPAN_INTERNAL;
    span.topic_bytes = 9; /* and bytes that are no UTF-8: cut, overlong */
    memcpy(span.topic, "\"\\\x01\x7f\xc3\xa9\xc0\xaf\xc3", 9);
    assert_true(dxi_otlp_add(&otlp, &span));
    span.operation = DXI_SPAN_DELIVER;
    span.topic_bytes = 23;
    memcpy(span.topic, "$inbox.0123456789abcdef", 23);
    assert_true(dxi_otlp_add(&otlp, &span));
    dxi_otlp_end(&otlp);
    assert_int_equal(otlp.used, strlen(text));
    char *const golden = golden_read("otlp.json");
    assert_string_equal(text, golden);
    json_t *const parsed = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(parsed);
    json_decref(parsed);
    free(golden);
}

static void the_longest_span_fits_and_a_full_request_takes_no_more(void **state)
{
    (void)state;
    static char text[DX_TRACE_BATCH_BYTES_MIN];
    dxi_otlp_t otlp;
    char name[DXI_OTLP_NAME_BYTES_MAX + 1];
    memset(name, 1, sizeof name); /* each byte becomes six */
    name[sizeof name - 1] = '\0';
    dxi_otlp_begin(&otlp, text, sizeof text, name, name);
    dxi_trace_span_t span = sample_span();
    span.topic_bytes = DX_FRAME_TOPIC_BYTES_MAX;
    memset(span.topic, 1, sizeof span.topic);
    span.sequence = UINT64_MAX;
    span.connection = UINT64_MAX;
    span.batch_events = span.attempt = span.bytes = UINT32_MAX;
    span.placed = true;
    span.code = DX_ETIMEDOUT;
    fill(span.parent_id, sizeof span.parent_id, 1);
    uint32_t spans = 0;
    while (dxi_otlp_add(&otlp, &span)) {
        spans++;
    }
    assert_true(spans >= 1);
    assert_int_equal(otlp.spans, spans);
    dxi_otlp_end(&otlp);
    assert_true(otlp.used < sizeof text);
    json_t *const parsed = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(parsed);
    json_decref(parsed);
}

static void an_answer_says_how_many_it_did_not_take(void **state)
{
    (void)state;
    const struct {
        const char *text;
        uint64_t rejected;
    } cases[] = {
        {"", 0},
        {"{}", 0},
        {"no JSON", 0},
        {"{\"partialSuccess\":{}}", 0},
        {"{\"partialSuccess\":{\"rejectedSpans\":\"3\"}}", 3},
        {"{\"partialSuccess\":{\"rejectedSpans\":4}}", 4},
        {"{\"partialSuccess\":{\"rejectedSpans\":\"-3\"}}", 0},
        {"{\"partialSuccess\":{\"rejectedSpans\":[]}}", 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_int_equal(dxi_otlp_rejected(cases[i].text, strlen(cases[i].text)),
                         cases[i].rejected);
    }
}

/* ------------------------------------------------------------------------------------ endpoint */

static void an_endpoint_without_a_path_gets_that_of_otlp(void **state)
{
    (void)state;
    const struct {
        const char *endpoint, *url;
    } cases[] = {
        {"http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"},
        {"http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces"},
        {"https://otel.example.org", "https://otel.example.org/v1/traces"},
        {"https://[::1]:1/otlp/v1/traces", "https://[::1]:1/otlp/v1/traces"},
    };
    char url[DXI_POST_URL_BYTES_MAX + 1];
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_ok(dxi_post_url(cases[i].endpoint, url, NULL));
        assert_string_equal(url, cases[i].url);
    }
}

static void what_is_no_endpoint_is_refused(void **state)
{
    (void)state;
    const char *const cases[] = {"",         "localhost:4318", "ftp://x",       "http://",
                                 "http:///", "http://:4318",   "http://u@host", "http://a b"};
    char url[DXI_POST_URL_BYTES_MAX + 1];
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        dx_error_t error = {0};
        assert_fails(dxi_post_url(cases[i], url, &error), DX_EINVAL, error, "must be");
    }
    static char longest[DXI_POST_URL_BYTES_MAX + 2];
    memset(longest, 'a', sizeof longest - 1);
    memcpy(longest, "http://", 7);
    longest[DXI_POST_URL_BYTES_MAX - strlen(DXI_POST_PATH)] = '\0';
    assert_ok(dxi_post_url(longest, url, NULL));
    longest[DXI_POST_URL_BYTES_MAX - strlen(DXI_POST_PATH)] = 'a';
    longest[DXI_POST_URL_BYTES_MAX - strlen(DXI_POST_PATH) + 1] = '\0';
    dx_error_t error = {0};
    assert_fails(dxi_post_url(longest, url, &error), DX_EINVAL, error, "at most");
}

static void headers_are_names_and_values_and_errors_do_not_show_them(void **state)
{
    (void)state;
    assert_ok(dxi_post_headers_check("", NULL));
    assert_ok(dxi_post_headers_check("authorization=Bearer a=b,x-empty=", NULL));
    const char *const cases[] = {"a", "=secret", "a b=secret", "ok=1,secret", "a=sec\nret"};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        dx_error_t error = {0};
        assert_fails(dxi_post_headers_check(cases[i], &error), DX_EINVAL, error, "header ");
        assert_null(strstr(error.message, "sec"));
    }
    char many[DX_TRACE_HEADERS_MAX * 4 + 8] = "";
    for (int i = 0; i < DX_TRACE_HEADERS_MAX; i++) {
        strcat(many, i == 0 ? "a=1" : ",a=1");
    }
    assert_ok(dxi_post_headers_check(many, NULL));
    strcat(many, ",a=1");
    dx_error_t error = {0};
    assert_fails(dxi_post_headers_check(many, &error), DX_ELIMIT, error, "more than 16");
    static char longest[DXI_POST_HEADERS_BYTES_MAX + 2];
    memset(longest, 'a', DXI_POST_HEADERS_BYTES_MAX);
    longest[1] = '=';
    assert_ok(dxi_post_headers_check(longest, NULL));
    longest[DXI_POST_HEADERS_BYTES_MAX] = 'a';
    assert_fails(dxi_post_headers_check(longest, &error), DX_ELIMIT, error, "more than 8192");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_traceparent_is_read_and_written_as_it_was),
        cmocka_unit_test(a_later_version_is_read_as_far_as_it_is_known),
        cmocka_unit_test(what_is_no_traceparent_is_refused_with_the_rule),
        cmocka_unit_test(new_contexts_are_sampled_and_never_the_same),
        cmocka_unit_test(a_frame_gets_a_context_wherever_its_part_belongs),
        cmocka_unit_test(a_frame_whose_parts_are_too_long_gets_none),
        cmocka_unit_test(a_step_changes_the_span_and_tells_the_one_before),
        cmocka_unit_test(of_a_pack_the_first_event_is_traced),
        cmocka_unit_test(the_same_seed_takes_the_same_events_and_one_of_so_many),
        cmocka_unit_test(never_is_never_and_a_change_counts_at_once),
        cmocka_unit_test(spans_are_the_golden_text_byte_by_byte),
        cmocka_unit_test(the_longest_span_fits_and_a_full_request_takes_no_more),
        cmocka_unit_test(an_answer_says_how_many_it_did_not_take),
        cmocka_unit_test(an_endpoint_without_a_path_gets_that_of_otlp),
        cmocka_unit_test(what_is_no_endpoint_is_refused),
        cmocka_unit_test(headers_are_names_and_values_and_errors_do_not_show_them),
    };
    return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}
