/* test_bus_filter.c - filters: what they let pass, and what is no filter.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bus/filter.h"
#include "shard_test.h"

static __attribute__((aligned(8))) char frame[4096];
static dx_frame_view_t view;

static int make_event(void **state)
{
    (void)state;
    static const dx_frame_pair_t pairs[] = {{"kind", "order", 4, 5},
                                            {"price", "10.5", 5, 4},
                                            {"count", "7", 5, 1},
                                            {"empty", "", 5, 0},
                                            {"x-y.z_1", "q\"\\", 7, 3}};
    const uint32_t bytes = rig_frame(&(publication_t){.topic = "orders.created",
                                                      .key = "AAPL",
                                                      .headers = pairs,
                                                      .header_count = COUNT_OF(pairs)},
                                     frame, sizeof frame);
    assert_ok(dx_frame_decode(frame, bytes, &view, NULL));
    return 0;
}

static void filters_pass_what_they_say(void **state)
{
    (void)state;
    const struct {
        const char *text;
        bool passes;
    } cases[] = {
        {"key = \"AAPL\"", true},
        {"key=\"AAPL\"", true},
        {"key = \"AAP\"", false},
        {"key != \"AAPL\"", false},
        {"key ^= \"AA\"", true},
        {"key ^= \"\"", true},
        {"key ^= \"AAPLX\"", false},
        {"key < \"B\"", true},
        {"key >= \"AAPL\"", true},
        {"key > \"AAPL\"", false},
        {"topic = \"orders.created\"", true},
        {"topic ^= \"orders.\"", true},
        {"header.kind = \"order\"", true},
        {"header.kind != \"test\"", true},
        {"header.missing = \"\"", false},
        {"header.missing != \"test\"", true},
        {"header.missing < \"z\"", false},
        {"header.missing ^= \"\"", false},
        {"header.empty = \"\"", true},
        {"header.empty < \"a\"", true},
        {"header.price = 10.5", true},
        {"header.price = 10.50", true},
        {"header.price = \"10.50\"", false},
        {"header.price < 9", false},
        {"header.price < \"9\"", false}, /* both are numbers */
        {"header.price > 9", true},
        {"header.price >= -3", true},
        {"header.price <= +10.5", true},
        {"header.kind < 9", false}, /* one is not: bytes */
        {"header.kind > 9", true},
        {"header.count > 6.99 and header.count < 7.01", true},
        {"exists header.kind", true},
        {"exists header.missing", false},
        {"exists key", true},
        {"header.x-y.z_1 = \"q\\\"\\\\\"", true},
        {"key = \"X\" or key = \"AAPL\"", true},
        {"key = \"X\" and key = \"X\" or key = \"AAPL\"", true},
        {"key = \"AAPL\" or key = \"X\" and key = \"X\"", true},
        {"(key = \"AAPL\" or key = \"X\") and key = \"X\"", false},
        {"((((((((key = \"AAPL\"))))))))", true},
        {"  key\t=\n\"AAPL\" \r", true},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        dxi_filter_t *filter = NULL;
        dx_error_t error = {0};
        if (dxi_filter_create(cases[i].text, strlen(cases[i].text), &filter, &error) != DX_OK) {
            fail_msg("%s: %s", cases[i].text, error.message);
        }
        if (dxi_filter_passes(filter, &view) != cases[i].passes) {
            fail_msg("%s must be %s", cases[i].text, cases[i].passes ? "true" : "false");
        }
        dxi_filter_destroy(filter);
    }
}

static void what_is_no_filter_is_refused_with_the_place(void **state)
{
    (void)state;
    const struct {
        const char *text;
        int code;
        const char *expected;
    } cases[] = {
        {"", DX_ELIMIT, "0 bytes"},
        {" ", DX_EPARSE, "no key, topic or header.NAME at byte 2"},
        {"key", DX_EPARSE, "no operator"},
        {"keys = 1", DX_EPARSE, "no key, topic"},
        {"key = ", DX_EPARSE, "no number or text"},
        {"key = AAPL", DX_EPARSE, "no number or text in quotes at byte 7 (\"AAPL\")"},
        {"key = \"AAPL", DX_EPARSE, "closing quote"},
        {"key = \"a\\n\"", DX_EPARSE, "behind a backslash"},
        {"key = \"a\\", DX_EPARSE, "behind a backslash"},
        {"header. = 1", DX_EPARSE, "no key, topic or header.NAME"},
        {"header = 1", DX_EPARSE, "no key, topic or header.NAME"},
        {"key == \"x\"", DX_EPARSE, "no number or text"},
        {"key = \"x\" key = \"y\"", DX_EPARSE, "no \"and\", \"or\" or end at byte 11"},
        {"key = \"x\" and", DX_EPARSE, "no key, topic"},
        {"(key = \"x\"", DX_EPARSE, "closing parenthesis"},
        {"key = \"x\")", DX_EPARSE, "end at byte 10"},
        {"exists", DX_EPARSE, "no key, topic"},
        {"existskey", DX_EPARSE, "no key, topic"},
        {"key = 1.2.3", DX_EPARSE, "no number"},
        {"key = -", DX_EPARSE, "no number"},
        {"(((((((((key = \"x\")))))))))", DX_ELIMIT, "more than 8 deep"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        dxi_filter_t *filter = NULL;
        dx_error_t error = {0};
        assert_fails(dxi_filter_create(cases[i].text, strlen(cases[i].text), &filter, &error),
                     cases[i].code, error, cases[i].expected);
        assert_null(filter);
    }
}

static void limits_hold_at_their_edges(void **state)
{
    (void)state;
    char text[DX_FILTER_BYTES_MAX + 2];
    size_t used = 0;
    for (int i = 0; i < DX_FILTER_TERMS_MAX; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%sexists key",
                                 i != 0 ? " and " : "");
    }
    assert_ok(dxi_filter_check(text, used, NULL));
    (void)snprintf(text + used, sizeof text - used, " or exists key");
    dx_error_t error;
    assert_fails(dxi_filter_check(text, strlen(text), &error), DX_ELIMIT, error,
                 "more than 16 comparisons");
    memset(text, ' ', sizeof text);
    memcpy(text, "exists key", 10);
    assert_ok(dxi_filter_check(text, DX_FILTER_BYTES_MAX, NULL));
    assert_fails(dxi_filter_check(text, DX_FILTER_BYTES_MAX + 1, &error), DX_ELIMIT, error,
                 "1025 bytes");
}

static int attempt(void)
{
    return dxi_filter_check("key = \"a\" or exists header.b", 28, NULL);
}

static void without_memory_there_is_no_filter(void **state)
{
    (void)state;
    assert_int_equal(fault_sweep(attempt), 1);
}

static void a_subscription_gets_what_its_filter_and_predicate_let_pass(void **state)
{
    (void)state;
    static rig_t rig;
    static reader_t a, b;
    rig_open(&rig, NULL);
    rig_subscribe(&rig, &a, &(dx_subscription_options_t){.pattern = "t", .filter = "key = \"k\""});
    rig_subscribe(&rig, &b,
                  &(dx_subscription_options_t){
                      .pattern = "t", .filter = "key != \"k\"", .ack = DX_ACK_EXPLICIT});
    for (int i = 0; i < 4; i++) {
        const char *const key = i % 2 == 0 ? "k" : NULL;
        assert_ok(rig_publish_as(&rig, &(publication_t){.topic = "t", .key = key}));
    }
    assert_string_equal(rig_text(&a), "1 3");
    assert_string_equal(rig_text(&b), "2 4");
    assert_int_equal(rig_stats(&a).filtered, 2);
    assert_int_equal(rig_stats(&b).filtered, 2);
    assert_int_equal(rig_topic(&rig, "t").filtered, 4);
    dx_error_t error;
    assert_fails(rig_try_subscribe(
                     &rig, &b, &(dx_subscription_options_t){.pattern = "t", .filter = "k"}, &error),
                 DX_EPARSE, error, "no key, topic");
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(filters_pass_what_they_say, make_event),
        cmocka_unit_test(what_is_no_filter_is_refused_with_the_place),
        cmocka_unit_test(limits_hold_at_their_edges),
        cmocka_unit_test(without_memory_there_is_no_filter),
        cmocka_unit_test(a_subscription_gets_what_its_filter_and_predicate_let_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
