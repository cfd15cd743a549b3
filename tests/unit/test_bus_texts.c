/* test_bus_texts.c - options and statistics as JSON: there and back, and what is refused.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base_test.h"
#include "bus/texts.h"

static dx_error_t said;

static void subscription_options_come_back(void **state)
{
    (void)state;
    const dx_subscription_options_t options = {.ack = DX_ACK_EXPLICIT,
                                               .slow = DX_SLOW_DISCONNECT,
                                               .slow_block_ns = INT64_MAX,
                                               .pending_events_max = DX_PENDING_EVENTS_MAX,
                                               .attempts_max = DX_ATTEMPTS_MAX,
                                               .ack_timeout_ns = 1,
                                               .backoff_ns = 2,
                                               .backoff_max_ns = 3,
                                               .dead_letter = "dead.\"quoted\"\\\x01",
                                               .name = "w\xc3\xb6rker"};
    char text[DXI_TEXT_BYTES_MAX];
    char texts[DXI_TEXT_BYTES_MAX];
    dx_subscription_options_t back;
    const int64_t bytes = dxi_subscription_options_write(&options, text, sizeof text);
    assert_int_equal(bytes, strlen(text));
    assert_ok(dxi_subscription_options_read(text, (size_t)bytes, &back, texts, &said));
    assert_string_equal(back.dead_letter, options.dead_letter);
    assert_string_equal(back.name, options.name);
    back.dead_letter = options.dead_letter;
    back.name = options.name;
    assert_memory_equal(&back, &options, sizeof back);
}

static void what_is_zero_is_not_written(void **state)
{
    (void)state;
    char text[16];
    char texts[DXI_TEXT_BYTES_MAX];
    const dx_subscription_options_t none = {0};
    dx_subscription_options_t back;
    assert_int_equal(dxi_subscription_options_write(&none, text, sizeof text), 2);
    assert_string_equal(text, "{}");
    assert_ok(dxi_subscription_options_read(text, 2, &back, texts, &said));
    assert_memory_equal(&back, &none, sizeof back);
    assert_int_equal(dxi_topic_options_write(&(dx_topic_options_t){0}, text, 2), DX_ELIMIT);
    assert_int_equal(dxi_topic_options_write(&(dx_topic_options_t){0}, text, 3), 2);
}

static void topic_options_come_back(void **state)
{
    (void)state;
    const dx_topic_options_t table[] = {
        {.shard_by = DX_SHARD_BY_KEY, .full = DX_TOPIC_FULL_FAIL, .retain_events = 5},
        {.retain_events = DX_RETAIN_NONE, .retain_bytes = DX_RETAIN_BYTES_MAX},
        {.retain_events = DX_RETAIN_EVENTS_MAX, .retain_age_ns = INT64_MAX, .event_bytes_max = 1},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        char text[DXI_TEXT_BYTES_MAX];
        dx_topic_options_t back;
        const int64_t bytes = dxi_topic_options_write(&table[i], text, sizeof text);
        assert_ok(dxi_topic_options_read(text, (size_t)bytes, &back, &said));
        assert_memory_equal(&back, &table[i], sizeof back);
    }
}

static void topic_statistics_come_back(void **state)
{
    (void)state;
    char text[DXI_TEXT_BYTES_MAX];
    dx_topic_stats_t stats;
    dx_topic_stats_t back;
    memset(&stats, 0, sizeof stats);
    memset(stats.name, 'n', DX_TOPIC_BYTES_MAX);
    stats.options.retain_events = 7;
    stats.declared = true;
    stats.shard = UINT16_MAX;
    stats.shards = 3;
    stats.published = INT64_MAX;
    stats.unheard = 4;
    stats.rate_1m = 0.1;
    stats.rate_5m = 1e300;
    stats.rate_15m = 12;
    stats.subscriptions = UINT32_MAX;
    stats.latency_max_ns = 99;
    const int64_t bytes = dxi_topic_stats_write(&stats, text, sizeof text);
    assert_ok(dxi_topic_stats_read(text, (size_t)bytes, &back, &said));
    assert_memory_equal(&back, &stats, sizeof back);
}

static void bad_texts_are_refused_by_the_key(void **state)
{
    (void)state;
    const struct {
        const char *text;
        int code;
        const char *says;
    } table[] = {
        {"", DX_EPARSE, "JSON"},
        {"{", DX_EPARSE, "JSON"},
        {"{} {}", DX_EPARSE, "JSON"},
        {"3", DX_EPARSE, "JSON"},
        {"[]", DX_EPARSE, "object"},
        {"{\"ack\":\"auto\",\"ack\":\"auto\"}", DX_EPARSE, "JSON"},
        {"{\"acks\":1}", DX_EINVAL, "\"acks\""},
        {"{\"ack\":1}", DX_EINVAL, "\"default\", \"none\", \"auto\", \"explicit\""},
        {"{\"slow\":\"DROP\"}", DX_EINVAL, "\"drop\", \"block\", \"disconnect\""},
        {"{\"attempts_max\":1000001}", DX_EINVAL, "0 to 1000000"},
        {"{\"attempts_max\":-1}", DX_EINVAL, "attempts_max"},
        {"{\"attempts_max\":1.0}", DX_EINVAL, "attempts_max"},
        {"{\"attempts_max\":\"5\"}", DX_EINVAL, "attempts_max"},
        {"{\"backoff_ns\":9223372036854775808}", DX_EPARSE, ""},
        {"{\"name\":5}", DX_EINVAL, "a string"},
        {"{\"name\":\"a\\u0000b\"}", DX_EPARSE, ""},
        {"{\"name\":"
         "\"0123456789012345678901234567890123456789012345678901234567890123\"}",
         DX_EINVAL, "at most 63"},
    };
    char texts[DXI_TEXT_BYTES_MAX];
    dx_subscription_options_t options;
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        assert_fails(dxi_subscription_options_read(table[i].text, strlen(table[i].text), &options,
                                                   texts, &said),
                     table[i].code, said, table[i].says);
    }
    dx_topic_options_t topic;
    assert_fails(dxi_topic_options_read("{\"retain_events\":\"all\"}", 23, &topic, &said),
                 DX_EINVAL, said, "or \"none\"");
    dx_topic_stats_t stats;
    assert_fails(dxi_topic_stats_read("{\"declared\":1}", 14, &stats, &said), DX_EINVAL, said,
                 "true or false");
    assert_fails(dxi_topic_stats_read("{\"rate_1m\":true}", 16, &stats, &said), DX_EINVAL, said,
                 "a number");
    assert_fails(dxi_topic_stats_read("{\"options\":{\"x\":1}}", 19, &stats, &said), DX_EINVAL,
                 said, "\"x\"");
    static const char long_text[DXI_TEXT_BYTES_MAX + 1];
    assert_fails(dxi_topic_options_read(long_text, sizeof long_text, &topic, &said), DX_ELIMIT,
                 said, "8193");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(subscription_options_come_back),
        cmocka_unit_test(what_is_zero_is_not_written),
        cmocka_unit_test(topic_options_come_back),
        cmocka_unit_test(topic_statistics_come_back),
        cmocka_unit_test(bad_texts_are_refused_by_the_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
