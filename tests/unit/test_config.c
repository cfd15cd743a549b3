/* test_config.c - the table of options, and values: bounds of every row, where values come from.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <unistd.h>

#include "node/config_internal.h"

#include "base_test.h"

static const dx_config_option_t *rows(size_t *count_out)
{
    return dx_config_options(count_out);
}

static dx_config_t *config_new(void)
{
    dx_config_t *config = NULL;
    dx_error_t error = {0};
    if (dx_config_create(&config, &error) != DX_OK) {
        fail_msg("%s", error.message);
    }
    return config;
}

/* What dx_config_get() says, in one of four buffers. */
static const char *got(const dx_config_t *config, const char *name)
{
    static char texts[4][DX_CONFIG_TEXT_BYTES_MAX + 1];
    static unsigned next;
    char *const text = texts[next++ % 4];
    assert_ok(dx_config_get(config, name, text, DX_CONFIG_TEXT_BYTES_MAX + 1, NULL));
    return text;
}

static const char *origin(const dx_config_t *config, const char *name)
{
    char text[DX_CONFIG_TEXT_BYTES_MAX + 1];
    const char *from = NULL;
    assert_ok(dx_config_get(config, name, text, sizeof text, &from));
    return from;
}

static bool is_number(const dx_config_option_t *option)
{
    return option->type == DX_CONFIG_INTEGER || option->type == DX_CONFIG_BYTES ||
           option->type == DX_CONFIG_DURATION;
}

/* A number as a text of this option: durations with the unit they are kept in. */
static const char *number(const dx_config_option_t *option, int64_t value)
{
    static char text[32];
    (void)snprintf(text, sizeof text, "%" PRId64 "%s", value,
                   option->type == DX_CONFIG_DURATION ? "ns" : "");
    return text;
}

/* ---------------------------------------------------------------------------------------- table */

static void every_row_is_complete_and_its_name_says_its_unit(void **state)
{
    (void)state;
    size_t count = 0;
    const dx_config_option_t *const row = rows(&count);
    assert_true(count > 30);
    for (size_t i = 0; i < count; i++) {
        assert_non_null(row[i].help);
        assert_true(strlen(row[i].name) <= DX_CONFIG_NAME_BYTES_MAX);
        assert_true(row[i].help[strlen(row[i].help) - 1] == '.');
        assert_int_equal(dxi_config_find(row[i].name), i); /* no name twice */
        const char *const last = strrchr(row[i].name, '_');
        const bool says_time =
            last != NULL &&
            (strcmp(last, "_ms") == 0 || strcmp(last, "_us") == 0 || strcmp(last, "_s") == 0);
        assert_true(row[i].live || !row[i].reload_only);
        assert_int_equal(says_time, row[i].type == DX_CONFIG_DURATION);
        assert_int_equal(strstr(row[i].name, "_bytes") != NULL, row[i].type == DX_CONFIG_BYTES);
        if (is_number(&row[i])) {
            assert_true(row[i].low <= row[i].high);
        }
    }
}

static void rows_stand_together_in_the_order_of_their_sections(void **state)
{
    (void)state;
    size_t count = 0, section_count = 0, at = 0;
    const dx_config_option_t *const row = rows(&count);
    const dxi_config_section_t *const sections = dxi_config_sections(&section_count);
    for (size_t i = 0; i < count; i++) {
        const size_t bytes = strcspn(row[i].name, ".");
        while (at < section_count && strncmp(sections[at].name, row[i].name, bytes) != 0) {
            at++;
        }
        assert_true(at < section_count);
        assert_int_equal(strlen(sections[at].name), bytes);
    }
    assert_int_equal(at, section_count - 1);
}

static void the_defaults_are_good_together(void **state)
{
    (void)state;
    dx_config_t *const config = config_new();
    dx_error_t error = {0};
    if (dx_config_check(config, &error) != DX_OK) {
        fail_msg("%s", error.message);
    }
    size_t count = 0;
    const dx_config_option_t *const row = rows(&count);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(origin(config, row[i].name), "default");
        assert_string_equal(got(config, row[i].name), row[i].default_text);
    }
    dx_config_destroy(config);
    dx_config_destroy(NULL);
}

/* --------------------------------------------------------------------------------------- bounds */

static void numbers_are_taken_from_low_to_high_and_not_one_beyond(void **state)
{
    (void)state;
    size_t count = 0, checked = 0;
    const dx_config_option_t *const row = rows(&count);
    dx_config_t *const config = config_new();
    for (size_t i = 0; i < count; i++) {
        if (!is_number(&row[i])) {
            continue;
        }
        checked++;
        dx_error_t error = {0};
        assert_ok(dx_config_set(config, row[i].name, row[i].default_text, NULL));
        assert_ok(dx_config_set(config, row[i].name, number(&row[i], row[i].low), NULL));
        assert_int_equal(dx_config_integer(config, row[i].name), row[i].low);
        assert_fails(dx_config_set(config, row[i].name, number(&row[i], row[i].low - 1), &error),
                     DX_EINVAL, error, row[i].name);
        assert_int_equal(dx_config_integer(config, row[i].name), row[i].low);
        assert_ok(dx_config_set(config, row[i].name, number(&row[i], row[i].high), NULL));
        assert_int_equal(dx_config_integer(config, row[i].name), row[i].high);
        const char *beyond = "9223372036854775808"; /* no int64_t */
        if (row[i].high < INT64_MAX) {
            beyond = number(&row[i], row[i].high + 1);
        }
        assert_fails(dx_config_set(config, row[i].name, beyond, &error), DX_EINVAL, error,
                     " from ");
        if (row[i].power_of_two) {
            assert_true((row[i].low & (row[i].low - 1)) == 0);
            assert_fails(
                dx_config_set(config, row[i].name, number(&row[i], row[i].high - 1), &error),
                DX_EINVAL, error, "power of two");
        }
        static const char *const BAD[] = {"", "x", "1x", "0x10", "1 2", "--1", "1.5.5", "1e3"};
        for (size_t b = 0; b < COUNT_OF(BAD); b++) {
            assert_fails(dx_config_set(config, row[i].name, BAD[b], &error), DX_EINVAL, error,
                         row[i].name);
        }
        assert_int_equal(dx_config_integer(config, row[i].name), row[i].high);
    }
    assert_true(checked > 20);
    dx_config_destroy(config);
}

static void texts_are_taken_up_to_their_length_and_not_one_byte_beyond(void **state)
{
    (void)state;
    size_t count = 0, checked = 0;
    const dx_config_option_t *const row = rows(&count);
    dx_config_t *const config = config_new();
    for (size_t i = 0; i < count; i++) {
        if (row[i].type != DX_CONFIG_TEXT) {
            continue;
        }
        checked++;
        char text[DX_CONFIG_TEXT_BYTES_MAX + 2];
        dx_error_t error = {0};
        memset(text, '1', sizeof text); /* "111" is a mode and a list of CPUs as well */
        text[row[i].high + 1] = '\0';
        assert_fails(dx_config_set(config, row[i].name, text, &error), DX_EINVAL, error, "long");
        text[row[i].high] = '\0';
        const bool is_mode = strcmp(row[i].name, "listen.unix_mode") == 0;
        const bool is_cpus = strcmp(row[i].name, "bus.cpus") == 0;
        if (!is_mode && !is_cpus) {
            assert_ok(dx_config_set(config, row[i].name, text, NULL));
            assert_string_equal(dx_config_text(config, row[i].name), text);
        }
        text[row[i].low] = '\0';
        assert_ok(dx_config_set(config, row[i].name, text, NULL));
        if (row[i].low > 0) {
            text[row[i].low - 1] = '\0';
            assert_fails(dx_config_set(config, row[i].name, text, &error), DX_EINVAL, error,
                         "long");
        }
        assert_fails(dx_config_set(config, row[i].name, "a\nb", &error), DX_EINVAL, error,
                     "control character (0x0a)");
        assert_fails(dx_config_set(config, row[i].name, "a\xff", &error), DX_EINVAL, error,
                     "not UTF-8 (byte 0xff)");
    }
    assert_true(checked > 5);
    dx_config_destroy(config);
}

static void choices_and_booleans_are_their_words_and_no_other(void **state)
{
    (void)state;
    size_t count = 0;
    const dx_config_option_t *const row = rows(&count);
    dx_config_t *const config = config_new();
    dx_error_t error = {0};
    for (size_t i = 0; i < count; i++) {
        for (int64_t c = 0; row[i].choices != NULL && row[i].choices[c] != NULL; c++) {
            assert_ok(dx_config_set(config, row[i].name, row[i].choices[c], NULL));
            assert_int_equal(dx_config_integer(config, row[i].name), c);
            assert_string_equal(dx_config_text(config, row[i].name), row[i].choices[c]);
        }
    }
    assert_fails(dx_config_set(config, "log.level", "inof", &error), DX_EINVAL, error,
                 "log.level is inof, must be one of trace, debug, info, warn, error, off; did you "
                 "mean info?");
    assert_fails(dx_config_set(config, "log.level", "", &error), DX_EINVAL, error, "one of");
    static const struct {
        const char *text;
        bool value;
    } WORDS[] = {{"true", true}, {"false", false}, {"yes", true},
                 {"no", false},  {"on", true},     {"off", false}};
    for (size_t i = 0; i < COUNT_OF(WORDS); i++) {
        assert_ok(dx_config_set(config, "bus.busy_poll", WORDS[i].text, NULL));
        assert_int_equal(dx_config_bool(config, "bus.busy_poll"), WORDS[i].value);
    }
    assert_fails(dx_config_set(config, "bus.busy_poll", "maybe", &error), DX_EINVAL, error,
                 "bus.busy_poll is maybe, must be true or false");
    dx_config_destroy(config);
}

static void lists_have_items_between_commas_up_to_their_number(void **state)
{
    (void)state;
    dx_config_t *const config = config_new();
    dx_error_t error = {0};
    const char *const name = "listen.addresses";
    assert_ok(dx_config_set(config, name, " tcp://a:1 ,tcp://b:2,  /c.sock ", NULL));
    assert_string_equal(got(config, name), "tcp://a:1, tcp://b:2, /c.sock");
    assert_int_equal(dx_config_integer(config, name), 3);
    assert_string_equal(dx_config_list(config, name, 2), "/c.sock");
    assert_null(dx_config_list(config, name, 3));
    assert_ok(dx_config_set(config, name, "", NULL));
    assert_int_equal(dx_config_integer(config, name), 0);
    assert_null(dx_config_list(config, name, 0));
    static const char *const BAD[] = {"tcp://a:1,", ",", "tcp://a:1,,tcp://b:2", "ftp://x"};
    for (size_t i = 0; i < COUNT_OF(BAD); i++) {
        assert_fails(dx_config_set(config, name, BAD[i], &error), DX_EINVAL, error, name);
    }
    char text[DX_CONFIG_TEXT_BYTES_MAX + 1] = "";
    for (int i = 0; i < 16; i++) {
        (void)snprintf(text + strlen(text), 32, "%s/s%d", i > 0 ? ", " : "", i);
    }
    assert_ok(dx_config_set(config, name, text, NULL));
    (void)snprintf(text + strlen(text), 32, ",/one-more");
    assert_fails(dx_config_set(config, name, text, &error), DX_EINVAL, error, "more than 16 items");
    dx_config_destroy(config);
}

static void a_list_is_at_most_as_long_as_a_value_when_it_is_written(void **state)
{
    (void)state;
    size_t count = 0;
    const dx_config_option_t option = {
        .name = "x.list", .type = DX_CONFIG_LIST, .default_text = "", .high = 64};
    (void)rows(&count);
    char item[DX_CONFIG_TEXT_BYTES_MAX + 1], text[DX_CONFIG_TEXT_BYTES_MAX + 1];
    dxi_config_value_t value = {.integer = 0};
    dx_error_t error = {0};
    memset(item, 'a', sizeof item);
    item[510] = '\0'; /* 510 + ", " + 511 = 1023 */
    assert_ok(dxi_config_list_add(&option, "x", item, &value, NULL));
    memset(item, 'b', sizeof item);
    item[512] = '\0';
    assert_fails(dxi_config_list_add(&option, "x", item, &value, &error), DX_EINVAL, error,
                 "longer than 1023 bytes");
    item[511] = '\0';
    assert_ok(dxi_config_list_add(&option, "x", item, &value, NULL));
    assert_fails(dxi_config_list_add(&option, "x", "c", &value, &error), DX_EINVAL, error,
                 "longer than 1023 bytes");
    dxi_config_value_write(&option, &value, text);
    assert_int_equal(strlen(text), DX_CONFIG_TEXT_BYTES_MAX);
}

static void what_is_written_is_read_as_the_same(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *written;
    } CASES[] = {
        {"limits.send_bytes", "1048576", "1Mi"},  {"limits.receive_bytes", "100k", "100000"},
        {"limits.receive_bytes", "66Ki", "66Ki"}, {"limits.connections_max", "2k", "2000"},
        {"timeouts.drain_ms", "1500", "1500ms"},  {"timeouts.drain_ms", "1.5s", "1500ms"},
        {"timeouts.drain_ms", "2000", "2s"},      {"timeouts.drain_ms", "3600s", "1h"},
        {"timeouts.keep_alive_ms", "0", "0"},     {"bus.spin_us", "20", "20us"},
        {"bus.spin_us", "1500ns", "1500ns"},      {"topics.retain_age_s", "90", "90s"},
        {"bus.cpus", "1,2,3", "1,2,3"},           {"log.level", "warn", "warn"},
        {"bus.busy_poll", "on", "true"},
    };
    dx_config_t *const config = config_new();
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        assert_ok(dx_config_set(config, CASES[i].name, CASES[i].text, NULL));
        assert_string_equal(got(config, CASES[i].name), CASES[i].written);
        const int64_t value = dx_config_integer(config, CASES[i].name);
        assert_ok(dx_config_set(config, CASES[i].name, CASES[i].written, NULL));
        assert_int_equal(dx_config_integer(config, CASES[i].name), value);
    }
    dx_config_destroy(config);
}

/* ----------------------------------------------------------------------------------- one option */

static void an_unknown_name_is_refused_with_the_nearest(void **state)
{
    (void)state;
    dx_config_t *const config = config_new();
    dx_error_t error = {0};
    char text[16];
    assert_fails(dx_config_set(config, "limits.conections_max", "5", &error), DX_ENOTFOUND, error,
                 "limits.conections_max is not known; did you mean limits.connections_max?");
    assert_fails(dx_config_set(config, "connections_max", "5", &error), DX_ENOTFOUND, error,
                 "did you mean limits.connections_max?");
    assert_fails(dx_config_set(config, "bus.connections_max", "5", &error), DX_ENOTFOUND, error,
                 "did you mean limits.connections_max?");
    assert_fails(dx_config_set(config, "qqqq", "5", &error), DX_ENOTFOUND, error,
                 "qqqq is not known; docs/configuration.md has all options");
    assert_int_equal(dx_config_get(config, "qqqq", text, sizeof text, NULL), DX_ENOTFOUND);
    assert_int_equal(dx_config_get(config, "listen.addresses", text, sizeof text, NULL), DX_ELIMIT);
    dx_config_destroy(config);
}

static void a_secret_is_never_shown(void **state)
{
    (void)state;
    dx_config_t *const config = config_new();
    assert_string_equal(got(config, "auth.token"), "");
    assert_ok(dx_config_set(config, "auth.token", "hunter2", NULL));
    assert_string_equal(got(config, "auth.token"), "(secret)");
    assert_string_equal(dx_config_text(config, "auth.token"), "hunter2");
    dx_config_destroy(config);
}

static void permissions_are_octal(void **state)
{
    (void)state;
    dx_config_t *const config = config_new();
    dx_error_t error = {0};
    uint32_t mode = 0;
    assert_ok(dxi_config_mode_read("0660", &mode, NULL));
    assert_int_equal(mode, 0660);
    assert_ok(dx_config_set(config, "listen.unix_mode", "777", NULL));
    assert_fails(dx_config_set(config, "listen.unix_mode", "0680", &error), DX_EINVAL, error,
                 "listen.unix_mode: is 0680, must be octal");
    assert_fails(dx_config_set(config, "listen.unix_mode", "1777", &error), DX_EINVAL, error,
                 "from 0001 to 0777");
    assert_fails(dx_config_set(config, "listen.unix_mode", "000", &error), DX_EINVAL, error,
                 "from 0001 to 0777");
    dx_config_destroy(config);
}

typedef struct seen {
    int count;
    dx_config_change_t changes[8];
} seen_t;

static void on_change(void *context, const dx_config_change_t *change)
{
    seen_t *const seen = context;
    assert_true(seen->count < 8);
    seen->changes[seen->count++] = *change;
}

static void a_difference_names_each_option_with_both_values(void **state)
{
    (void)state;
    dx_config_t *const from = config_new(), *to = NULL;
    seen_t seen = {0};
    assert_ok(dx_config_copy(from, &to, NULL));
    assert_int_equal(dx_config_diff(from, to, on_change, &seen), 0);
    assert_ok(dx_config_set(to, "timeouts.drain_ms", "10000ms", NULL)); /* as it is */
    assert_int_equal(dx_config_diff(from, to, NULL, NULL), 0);
    assert_ok(dx_config_set(to, "timeouts.drain_ms", "3s", NULL));
    assert_ok(dx_config_set(to, "auth.token", "a", NULL));
    assert_ok(dx_config_set(to, "listen.addresses", "tcp://127.0.0.1:7400, /x.sock", NULL));
    assert_int_equal(dx_config_diff(from, to, on_change, &seen), 3);
    assert_int_equal(seen.count, 3);
    assert_string_equal(seen.changes[0].option->name, "listen.addresses");
    assert_string_equal(seen.changes[0].to, "tcp://127.0.0.1:7400, /x.sock");
    assert_string_equal(seen.changes[1].option->name, "auth.token");
    assert_string_equal(seen.changes[1].from, "");
    assert_string_equal(seen.changes[1].to, "(secret)");
    assert_string_equal(seen.changes[2].from, "10s");
    assert_string_equal(seen.changes[2].to, "3s");
    dx_config_destroy(from);
    dx_config_destroy(to);
}

/* ------------------------------------------------------------------------------ the environment */

static int environment(dx_config_t *config, const char *variable, dx_error_t *error)
{
    char text[DX_CONFIG_TEXT_BYTES_MAX + 300];
    (void)snprintf(text, sizeof text, "%s", variable);
    char *const list[] = {"PATH=/bin", "DX_ADDRESS=tcp://x", "DX_", "NOTHING", text, NULL};
    return dxi_config_environment_read(config, list, error);
}

static void a_variable_stands_for_its_option(void **state)
{
    (void)state;
    dx_config_t *const config = config_new();
    size_t count = 0;
    const dx_config_option_t *const row = rows(&count);
    for (size_t i = 0; i < count; i++) { /* each option has one */
        char variable[DX_CONFIG_NAME_BYTES_MAX + 4], text[256];
        dxi_config_variable(row[i].name, variable);
        (void)snprintf(text, sizeof text, "%s=%s", variable, row[i].default_text);
        assert_ok(environment(config, text, NULL));
        assert_string_equal(origin(config, row[i].name), "environment");
    }
    assert_ok(environment(config, "DX_LIMITS_CONNECTIONS_MAX=7", NULL));
    assert_int_equal(dx_config_integer(config, "limits.connections_max"), 7);
    assert_ok(environment(config, "DX_NODE_NAME=a=b", NULL));
    assert_string_equal(dx_config_text(config, "node.name"), "a=b");
    dx_config_destroy(config);
}

static void a_variable_of_ours_that_is_no_option_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *variable, *sentence;
    } CASES[] = {
        {"DX_LIMITS_CONECTIONS_MAX=7", "DX_LIMITS_CONECTIONS_MAX of the environment is no option "
                                       "of a node; did you mean DX_LIMITS_CONNECTIONS_MAX?"},
        {"DX_BUS_QQQQQQQQQ=7", "DX_BUS_QQQQQQQQQ of the environment is no option of a node"},
        {"DX_LIMITS_CONNECTIONS_MAX=x", "DX_LIMITS_CONNECTIONS_MAX is x, must be a whole number"},
    };
    dx_config_t *const config = config_new();
    dx_error_t error = {0};
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        assert_fails(environment(config, CASES[i].variable, &error), DX_EINVAL, error,
                     CASES[i].sentence);
    }
    char longest[300] = "DX_BUS_";
    memset(longest + 7, 'A', 290);
    assert_int_equal(environment(config, longest, NULL), DX_OK); /* no '=': no variable */
    longest[296] = '=';
    assert_int_equal(environment(config, longest, NULL), DX_EINVAL);
    dx_config_destroy(config);
}

static void the_environment_counts_for_a_new_configuration(void **state)
{
    (void)state;
    dx_config_t *config = NULL;
    dx_error_t error = {0};
    assert_int_equal(setenv("DX_LOG_LEVEL", "warn", 1), 0);
    assert_ok(dx_config_create(&config, NULL));
    assert_string_equal(got(config, "log.level"), "warn");
    dx_config_destroy(config);
    assert_int_equal(setenv("DX_LOG_LEVEL", "loud", 1), 0);
    assert_fails(dx_config_create(&config, &error), DX_EINVAL, error, "DX_LOG_LEVEL is loud");
    assert_null(config);
    assert_int_equal(unsetenv("DX_LOG_LEVEL"), 0);
}

static int attempt(void)
{
    dx_config_t *config = NULL, *copy = NULL;
    int code = dx_config_create(&config, NULL);
    if (code == DX_OK) {
        code = dx_config_copy(config, &copy, NULL);
    }
    if (code == DX_OK) {
        code = dx_config_parse(config, "log:\n  level: warn\n", 19, "x", NULL);
        assert_string_equal(got(config, "log.level"), code == DX_OK ? "warn" : "info");
    }
    dx_config_destroy(copy);
    dx_config_destroy(config);
    return code;
}

static void each_failed_allocation_is_survived(void **state)
{
    (void)state;
    assert_int_equal(fault_sweep(attempt), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_complete_and_its_name_says_its_unit),
        cmocka_unit_test(rows_stand_together_in_the_order_of_their_sections),
        cmocka_unit_test(the_defaults_are_good_together),
        cmocka_unit_test(numbers_are_taken_from_low_to_high_and_not_one_beyond),
        cmocka_unit_test(texts_are_taken_up_to_their_length_and_not_one_byte_beyond),
        cmocka_unit_test(choices_and_booleans_are_their_words_and_no_other),
        cmocka_unit_test(lists_have_items_between_commas_up_to_their_number),
        cmocka_unit_test(a_list_is_at_most_as_long_as_a_value_when_it_is_written),
        cmocka_unit_test(what_is_written_is_read_as_the_same),
        cmocka_unit_test(an_unknown_name_is_refused_with_the_nearest),
        cmocka_unit_test(a_secret_is_never_shown),
        cmocka_unit_test(permissions_are_octal),
        cmocka_unit_test(a_difference_names_each_option_with_both_values),
        cmocka_unit_test(a_variable_stands_for_its_option),
        cmocka_unit_test(a_variable_of_ours_that_is_no_option_is_refused),
        cmocka_unit_test(the_environment_counts_for_a_new_configuration),
        cmocka_unit_test(each_failed_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
