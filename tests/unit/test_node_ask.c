/* test_node_ask.c - what a node says about itself, as JSON.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <jansson.h>

#include "node/node_internal.h"

#include "node_test.h"

/* The answer to a question, which must be good JSON; json_decref() it. */
static json_t *asked(dx_node_t *node, const char *question, const char *argument)
{
    char *text = NULL;
    dx_error_t error = {0};
    json_error_t where;
    if (dxi_node_ask(node, question, argument, &text, &error) != DX_OK) {
        fail_msg("%s", error.message);
    }
    json_t *const answer = json_loads(text, 0, &where);
    if (answer == NULL) {
        fail_msg("%s in %s", where.text, text);
    }
    free(text);
    return answer;
}

static const char *text_in(const json_t *object, const char *key)
{
    const char *const text = json_string_value(json_object_get(object, key));
    assert_non_null(text);
    return text;
}

static void it_says_what_it_is(void **state)
{
    (void)state;
    dx_config_t *const config = config_small();
    config_put(config, "node.name", "n1");
    config_put(config, "node.id", "255");
    dx_node_t *const node = node_started(config);
    assert_ok(dx_bus_publish(dx_node_bus(node), "a", "x", 1, NULL));
    json_t *answer = asked(node, "node", NULL);
    while (json_integer_value(json_object_get(answer, "published")) != 1) { /* it is on its way */
        json_decref(answer);
        answer = asked(node, "node", "");
    }
    assert_string_equal(text_in(answer, "name"), "n1");
    assert_string_equal(text_in(answer, "id"), "00000000000000ff");
    assert_int_equal(json_integer_value(json_object_get(answer, "shards")), 2);
    assert_int_equal(json_integer_value(json_object_get(answer, "process_id")), getpid());
    json_t *const addresses = json_object_get(answer, "addresses");
    assert_int_equal(json_array_size(addresses), 1);
    assert_string_equal(json_string_value(json_array_get(addresses, 0)), dx_node_address(node, 0));
    json_decref(answer);
    node_end(node);
    dx_config_destroy(config);
}

static size_t option_count(dx_node_t *node, const char *argument)
{
    json_t *const answer = asked(node, "config", argument);
    const size_t count = json_array_size(json_object_get(answer, "options"));
    json_decref(answer);
    return count;
}

static void it_shows_its_configuration_or_a_part_of_it(void **state)
{
    (void)state;
    dx_config_t *const config = config_small();
    config_put(config, "auth.token", "hunter2");
    dx_node_t *const node = node_started(config);
    size_t count = 0;
    (void)dx_config_options(&count);
    assert_int_equal(option_count(node, ""), count);
    assert_int_equal(option_count(node, NULL), count);
    assert_int_equal(option_count(node, "log"), 4);
    json_t *const answer = asked(node, "config", "auth.token");
    assert_int_equal(json_array_size(json_object_get(answer, "options")), 1);
    assert_true(json_is_null(json_object_get(answer, "file")));
    const json_t *const option = json_array_get(json_object_get(answer, "options"), 0);
    assert_string_equal(text_in(option, "name"), "auth.token");
    assert_string_equal(text_in(option, "value"), "(secret)");
    assert_string_equal(text_in(option, "origin"), "set");
    assert_string_equal(text_in(option, "type"), "text");
    assert_true(json_is_true(json_object_get(option, "live")));
    json_decref(answer);
    node_end(node);
    dx_config_destroy(config);
}

static void it_changes_what_it_is_told_to(void **state)
{
    (void)state;
    dx_config_t *const config = config_small();
    dx_node_t *const node = node_started(config);
    json_t *answer = asked(node, "config.set", "limits.connections_max=7");
    const json_t *const change = json_array_get(json_object_get(answer, "changes"), 0);
    assert_string_equal(text_in(change, "name"), "limits.connections_max");
    assert_string_equal(text_in(change, "from"), "10000");
    assert_string_equal(text_in(change, "to"), "7");
    json_decref(answer);
    answer = asked(node, "log.level", NULL);
    assert_string_equal(text_in(answer, "level"), "info");
    json_decref(answer);
    answer = asked(node, "log.level", "debug");
    assert_string_equal(text_in(answer, "level"), "debug");
    assert_true(dx_log_enabled(dx_node_log(node), DX_LOG_LEVEL_DEBUG));
    json_decref(answer);
    answer = asked(node, "config.reload", NULL);
    assert_int_equal(json_array_size(json_object_get(answer, "changes")), 0);
    json_decref(answer);
    node_end(node);
    dx_config_destroy(config);
}

static void it_lists_connections_and_subscriptions(void **state)
{
    (void)state;
    dx_config_t *const config = config_small();
    dx_node_t *const node = node_started(config);
    json_t *const connections = asked(node, "connections", NULL);
    json_t *const subscriptions = asked(node, "subscriptions", NULL);
    assert_true(json_is_array(json_object_get(connections, "connections")));
    assert_true(json_is_array(json_object_get(subscriptions, "subscriptions")));
    json_decref(connections);
    json_decref(subscriptions);
    node_end(node);
    dx_config_destroy(config);
}

static int64_t number_in(const json_t *object, const char *key)
{
    const json_t *const number = json_object_get(object, key);
    assert_true(json_is_integer(number));
    return (int64_t)json_integer_value(number);
}

static void it_lists_the_rings_and_the_loops_that_serve_them(void **state)
{
    (void)state;
    dx_config_t *const config = config_small();
    dx_node_t *const node = node_started(config);
    assert_ok(dx_bus_publish(dx_node_bus(node), "a", "x", 1, NULL));
    json_t *answer = asked(node, "rings", NULL);
    const json_t *const loops = json_object_get(answer, "loops");
    assert_int_equal(json_array_size(json_object_get(answer, "rings")), 2);
    int64_t published = 0;
    for (size_t i = 0; i < 2; i++) {
        const json_t *const ring = json_array_get(json_object_get(answer, "rings"), i);
        assert_int_equal(number_in(ring, "shard"), i);
        assert_true(number_in(ring, "loop") < (int64_t)json_array_size(loops));
        assert_true(number_in(ring, "capacity_slots") >= 1024);
        assert_true(number_in(ring, "used_slots") <= number_in(ring, "capacity_slots"));
        published += number_in(ring, "published_slots");
        assert_true(number_in(ring, "consumed_slots") <= number_in(ring, "published_slots"));
        assert_int_equal(number_in(ring, "drops"), 0);
        assert_int_equal(json_array_size(json_object_get(ring, "consumers")), 1);
    }
    assert_true(published > 0);
    assert_string_equal(text_in(json_array_get(loops, 0), "name"), "io.0");
    assert_true(number_in(json_array_get(loops, 0), "busy_ns") <= number_in(answer, "taken_ns"));
    json_decref(answer);
    node_end(node);
    dx_config_destroy(config);
}

static void it_has_its_log_and_its_metrics_without_an_admin_server(void **state)
{
    (void)state;
    dx_config_t *const config = config_small();
    dx_node_t *const node = node_started(config);
    json_t *answer = asked(node, "log", NULL);
    const size_t all = json_array_size(json_object_get(answer, "lines"));
    assert_true(all >= 1); /* that it has started */
    assert_int_equal(number_in(answer, "newest"), all);
    json_decref(answer);
    answer = asked(node, "log", "1");
    const json_t *const lines = json_object_get(answer, "lines");
    assert_int_equal(json_array_size(lines), 1);
    assert_int_equal(number_in(json_array_get(lines, 0), "sequence"), all);
    json_decref(answer);
    answer = asked(node, "metrics", NULL);
    assert_non_null(strstr(text_in(answer, "text"), "\ndisruptorx_ring_used_slots{ring="));
    json_decref(answer);
    node_end(node);
    dx_config_destroy(config);
}

static void what_it_cannot_answer_has_a_sentence(void **state)
{
    (void)state;
    static const struct {
        const char *question, *argument;
        int code;
        const char *sentence;
    } WRONG[] = {
        {"", NULL, DX_ENOTFOUND, "the question  is not known"},
        {"nod", NULL, DX_ENOTFOUND, "the question nod is not known; did you mean node?"},
        {"conections", NULL, DX_ENOTFOUND, "did you mean connections?"},
        {"config", "log.levl", DX_ENOTFOUND, "did you mean log.level?"},
        {"config", "lo", DX_ENOTFOUND, "lo is not known"},
        {"log", "513", DX_EINVAL, "the count of lines is 513, must be"},
        {"log", "x", DX_EINVAL, "the count of lines is x"},
        {"config.set", "", DX_EINVAL, "config.set wants OPTION=VALUE"},
        {"config.set", "log.levl=x", DX_ENOTFOUND, "did you mean log.level?"},
        {"config.set", "log.level=x", DX_EINVAL, "log.level is x, must be one of"},
        {"config.set", "log.format=json", DX_EBUSY, "log.format can't change"},
        {"config.set", "timeouts.drain_ms=", DX_EINVAL, "timeouts.drain_ms is "},
        {"log.level", "loud", DX_EINVAL, "log.level is loud"},
    };
    dx_config_t *const config = config_small();
    dx_node_t *const node = node_started(config);
    for (size_t i = 0; i < COUNT_OF(WRONG); i++) {
        char *text = NULL;
        dx_error_t error = {0};
        assert_fails(dxi_node_ask(node, WRONG[i].question, WRONG[i].argument, &text, &error),
                     WRONG[i].code, error, WRONG[i].sentence);
        assert_null(text);
    }
    node_end(node);
    char *text = NULL;
    dx_node_t *const idle = node_new(config);
    assert_int_equal(dxi_node_ask(idle, "subscriptions", NULL, &text, NULL), DX_ESTATE);
    dx_node_destroy(idle);
    dx_config_destroy(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_says_what_it_is),
        cmocka_unit_test(it_shows_its_configuration_or_a_part_of_it),
        cmocka_unit_test(it_changes_what_it_is_told_to),
        cmocka_unit_test(it_lists_connections_and_subscriptions),
        cmocka_unit_test(it_lists_the_rings_and_the_loops_that_serve_them),
        cmocka_unit_test(it_has_its_log_and_its_metrics_without_an_admin_server),
        cmocka_unit_test(what_it_cannot_answer_has_a_sentence),
    };
    return cmocka_run_group_tests(tests, node_folder_make, node_folder_remove);
}
