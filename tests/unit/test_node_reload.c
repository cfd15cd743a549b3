/* test_node_reload.c - another configuration while a node runs: all of it or nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "node/node_internal.h"

#include <sys/stat.h>

#include "node_test.h"

/* A node of node_file, running. */
static dx_node_t *node_of_file(const char *more)
{
    dx_config_t *config = NULL;
    dx_error_t error = {0};
    char text[256];
    (void)unlink(node_log_file);
    (void)snprintf(text, sizeof text, "log: {file: %s, burst: 0}\n%s", node_log_file, more);
    config_small_file(text);
    assert_ok(dx_config_create(&config, NULL));
    if (dx_config_load(config, node_file, &error) != DX_OK) {
        fail_msg("%s", error.message);
    }
    dx_node_t *const node = node_started(config);
    dx_config_destroy(config);
    return node;
}

/* The file says this from now on, besides where it listens. */
static void file_says(const char *log, const char *more)
{
    char text[512];
    (void)snprintf(text, sizeof text, "log: {file: %s, burst: 0%s}\n%s", node_log_file, log, more);
    config_small_file(text);
}

static const char *value_of(dx_node_t *node, const char *name)
{
    static char text[DX_CONFIG_TEXT_BYTES_MAX + 1];
    assert_ok(dx_config_get(node->config, name, text, sizeof text, NULL));
    return text;
}

static dx_node_info_t info_of(dx_node_t *node)
{
    dx_node_info_t info;
    assert_ok(dx_node_info(node, &info, NULL));
    return info;
}

static void live_options_take_effect_and_are_told(void **state)
{
    (void)state;
    dx_node_t *const node = node_of_file("");
    assert_false(dx_log_enabled(dx_node_log(node), DX_LOG_LEVEL_DEBUG));
    assert_false(dxi_auth_wanted(&node->auth));
    file_says(", level: debug",
              "auth: {token: sesame}\nlimits: {connections_max: 7}\ntimeouts: {drain_ms: 3s}\n");
    assert_int_equal(dx_node_reload(node, NULL), 4);
    assert_true(dx_log_enabled(dx_node_log(node), DX_LOG_LEVEL_DEBUG));
    assert_true(dxi_auth_wanted(&node->auth));
    assert_true(dxi_auth_check(&node->auth, "sesame", 6));
    assert_int_equal(dx_load_relaxed(&node->connections_max), 7);
    assert_string_equal(value_of(node, "timeouts.drain_ms"), "3s");
    const char *const log = text_of_file(node_log_file);
    assert_contains(log, "log.level was \"info\", is \"debug\" now");
    assert_contains(log, "auth.token was \"\", is \"(secret)\" now");
    assert_contains(log, "limits.connections_max was \"10000\", is \"7\" now");
    assert_null(strstr(log, "sesame"));
    assert_int_equal(dx_node_reload(node, NULL), 0); /* the same once more */
    assert_int_equal(info_of(node).config_reloads, 2);
    assert_int_equal(info_of(node).config_reload_failures, 0);
    node_end(node);
}

static void what_needs_a_restart_is_named_and_nothing_changes(void **state)
{
    (void)state;
    dx_node_t *const node = node_of_file("");
    dx_error_t error = {0};
    file_says(", level: debug, format: json", "timeouts: {idle_ms: 1m}\n");
    assert_fails(dx_node_reload(node, &error), DX_EBUSY, error,
                 "timeouts.idle_ms, log.format can't change while the node runs; nothing was "
                 "changed");
    assert_false(dx_log_enabled(dx_node_log(node), DX_LOG_LEVEL_DEBUG));
    assert_string_equal(value_of(node, "log.level"), "info");
    assert_contains(text_of_file(node_log_file),
                    "the configuration stays as it was: timeouts.idle");
    assert_int_equal(info_of(node).config_reloads, 0);
    assert_int_equal(info_of(node).config_reload_failures, 1);
    node_end(node);
}

static void many_names_are_cut_and_the_sentence_ends(void **state)
{
    (void)state;
    dx_node_t *const node = node_of_file("");
    dx_config_t *config = NULL;
    dx_error_t error = {0};
    size_t count = 0;
    const dx_config_option_t *const rows = dx_config_options(&count);
    assert_ok(dx_config_copy(node->config, &config, NULL));
    for (size_t i = 0; i < count; i++) {
        if (!rows[i].live && rows[i].type == DX_CONFIG_INTEGER) {
            char text[32];
            (void)snprintf(text, sizeof text, "%lld", (long long)rows[i].high);
            config_put(config, rows[i].name, text);
        }
    }
    assert_fails(dx_node_reconfigure(node, config, &error), DX_EBUSY, error, "node.id, bus.shards");
    dx_config_destroy(config);
    node_end(node);
}

static void a_file_that_is_wrong_changes_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *log, *more;
        int code;
        const char *sentence;
    } WRONG[] = {
        {", level: debug, levl: x", "", DX_EINVAL, "node.yaml:3: log.levl is not known"},
        {", level: debug", "timeouts: {drain_ms: 0}\n", DX_EINVAL, "node.yaml:4: timeouts.drain"},
        {", level: debug", "auth: {token: a, token_file: b}\n", DX_EINVAL, "are both given"},
        {", level: debug", "auth: {token_file: /nowhere/token}\n", DX_ENOTFOUND, "/nowhere/token"},
        {", level: debug", "[", DX_EPARSE, "is no YAML"},
    };
    dx_node_t *const node = node_of_file("auth: {token: old}\n");
    for (size_t i = 0; i < COUNT_OF(WRONG); i++) {
        dx_error_t error = {0};
        file_says(WRONG[i].log, WRONG[i].more);
        assert_fails(dx_node_reload(node, &error), WRONG[i].code, error, WRONG[i].sentence);
        assert_string_equal(value_of(node, "log.level"), "info");
        assert_true(dxi_auth_check(&node->auth, "old", 3));
    }
    assert_int_equal(unlink(node_file), 0);
    assert_int_equal(dx_node_reload(node, NULL), DX_ENOTFOUND);
    assert_int_equal(info_of(node).config_reload_failures, COUNT_OF(WRONG) + 1);
    node_end(node);
}

static void a_log_that_was_moved_away_is_opened_anew(void **state)
{
    (void)state;
    char moved[80];
    dx_node_t *const node = node_of_file("");
    (void)snprintf(moved, sizeof moved, "%s.1", node_log_file);
    assert_int_equal(rename(node_log_file, moved), 0);
    DX_LOG_INFO(dx_node_log(node), "test", "into the old one");
    assert_int_equal(dx_node_reload(node, NULL), 0);
    DX_LOG_INFO(dx_node_log(node), "test", "into the new one");
    assert_contains(text_of_file(moved), "into the old one");
    assert_null(strstr(text_of_file(moved), "into the new one"));
    assert_contains(text_of_file(node_log_file), "into the new one");
    node_end(node);
}

static void a_log_that_cannot_be_opened_changes_nothing(void **state)
{
    (void)state;
    dx_node_t *const node = node_of_file("");
    dx_config_t *config = NULL;
    dx_error_t error = {0};
    assert_ok(dx_config_copy(node->config, &config, NULL));
    config_put(config, "log.file", "/nowhere/log");
    config_put(config, "log.level", "debug");
    assert_fails(dx_node_reconfigure(node, config, &error), DX_ENOTFOUND, error, "/nowhere/log");
    assert_string_equal(value_of(node, "log.level"), "info");
    assert_contains(text_of_file(node_log_file), "stays as it was: the log /nowhere/log");
    dx_config_destroy(config);
    node_end(node);
}

/* Nobody ever opens the other end. */
static void a_pipe_in_a_files_place_keeps_nobody_waiting(void **state)
{
    (void)state;
    static const char *const OPTIONS[] = {"auth.token_file", "access.audit_file", "log.file"};
    char pipe[80];
    dx_node_t *const node = node_of_file("");
    dx_error_t error = {0};
    (void)snprintf(pipe, sizeof pipe, "%s/pipe", node_folder);
    assert_int_equal(mkfifo(pipe, 0600), 0);
    for (size_t i = 0; i < COUNT_OF(OPTIONS); i++) {
        dx_config_t *config = NULL;
        assert_ok(dx_config_copy(node->config, &config, NULL));
        config_put(config, OPTIONS[i], pipe);
        assert_true(dx_node_reconfigure(node, config, &error) < 0);
        assert_contains(error.message, pipe);
        dx_config_destroy(config);
    }
    assert_int_equal(unlink(node_file), 0);
    assert_int_equal(rename(pipe, node_file), 0);
    assert_fails(dx_node_reload(node, &error), DX_EINVAL, error, "is no regular file");
    assert_int_equal(unlink(node_file), 0);
    assert_int_equal(info_of(node).config_reload_failures, COUNT_OF(OPTIONS) + 1);
    node_end(node);
}

static void a_token_is_read_again_from_its_file(void **state)
{
    (void)state;
    char path[80], more[128];
    (void)snprintf(path, sizeof path, "%s/token", node_folder);
    (void)snprintf(more, sizeof more, "auth: {token_file: %s}\n", path);
    text_to_file(path, "first\n");
    dx_node_t *const node = node_of_file(more);
    assert_true(dxi_auth_check(&node->auth, "first", 5));
    text_to_file(path, "second\r\nthird\n");
    assert_int_equal(dx_node_reload(node, NULL), 0);
    assert_false(dxi_auth_check(&node->auth, "first", 5));
    assert_true(dxi_auth_check(&node->auth, "second", 6));
    node_end(node);
}

static void what_was_set_stays_through_a_reload(void **state)
{
    (void)state;
    dx_node_t *const node = node_of_file("");
    dx_error_t error = {0};
    assert_int_equal(dxi_node_set(node, "log.level", "warn", NULL, NULL, NULL), 1);
    file_says(", level: debug", "");
    assert_int_equal(dx_node_reload(node, NULL), 0);
    assert_string_equal(value_of(node, "log.level"), "warn");
    assert_fails(dxi_node_set(node, "log.levl", "warn", NULL, NULL, &error), DX_ENOTFOUND, error,
                 "did you mean log.level?");
    assert_fails(dxi_node_set(node, "bus.shards", "4", NULL, NULL, &error), DX_EBUSY, error,
                 "bus.shards can't change");
    node_end(node);
}

/* But a reload takes them. */
static void what_names_a_file_is_not_set_from_elsewhere(void **state)
{
    (void)state;
    static const char *const OPTIONS[] = {"auth.token_file", "access.audit_file", "log.file"};
    dx_node_t *const node = node_of_file("");
    char path[80], more[256];
    (void)snprintf(path, sizeof path, "%s/token", node_folder);
    text_to_file(path, "first\n");
    for (size_t i = 0; i < COUNT_OF(OPTIONS); i++) {
        dx_error_t error = {0};
        assert_fails(dxi_node_set(node, OPTIONS[i], path, NULL, NULL, &error), DX_EPERM, error,
                     "change it in the configuration file and reload");
        assert_contains(error.message, OPTIONS[i]);
    }
    assert_false(dxi_auth_wanted(&node->auth));
    (void)snprintf(more, sizeof more, "auth: {token_file: %s}\n", path);
    file_says("", more);
    assert_int_equal(dx_node_reload(node, NULL), 1);
    assert_true(dxi_auth_check(&node->auth, "first", 5));
    node_end(node);
    assert_int_equal(unlink(path), 0);
}

static void without_a_file_a_reload_reads_what_options_name(void **state)
{
    (void)state;
    char path[80];
    dx_config_t *const config = config_small();
    (void)snprintf(path, sizeof path, "%s/token", node_folder);
    text_to_file(path, "one");
    config_put(config, "auth.token_file", path);
    dx_node_t *const node = node_started(config);
    text_to_file(path, "two");
    assert_int_equal(dx_node_reload(node, NULL), 0);
    assert_true(dxi_auth_check(&node->auth, "two", 3));
    node_end(node);
    dx_config_destroy(config);
}

static dx_node_t *swept;

static int attempt(void)
{
    const int code = dx_node_reload(swept, NULL);
    return code > 0 ? DX_OK : code;
}

static void each_failed_allocation_is_survived(void **state)
{
    (void)state;
    swept = node_of_file("");
    assert_true(fault_sweep(attempt) >= 3);
    node_end(swept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(live_options_take_effect_and_are_told),
        cmocka_unit_test(what_needs_a_restart_is_named_and_nothing_changes),
        cmocka_unit_test(many_names_are_cut_and_the_sentence_ends),
        cmocka_unit_test(a_file_that_is_wrong_changes_nothing),
        cmocka_unit_test(a_log_that_was_moved_away_is_opened_anew),
        cmocka_unit_test(a_log_that_cannot_be_opened_changes_nothing),
        cmocka_unit_test(a_pipe_in_a_files_place_keeps_nobody_waiting),
        cmocka_unit_test(a_token_is_read_again_from_its_file),
        cmocka_unit_test(what_was_set_stays_through_a_reload),
        cmocka_unit_test(what_names_a_file_is_not_set_from_elsewhere),
        cmocka_unit_test(without_a_file_a_reload_reads_what_options_name),
        cmocka_unit_test(each_failed_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, node_folder_make, node_folder_remove);
}
