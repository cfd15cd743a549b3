/* test_config_file.c - YAML files: what is read, and the sentence for each thing that is wrong.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/config_internal.h"

#include "base_test.h"

static dx_config_t *config_new(void)
{
    dx_config_t *config = NULL;
    assert_ok(dx_config_create(&config, NULL));
    return config;
}

static int parse(dx_config_t *config, const char *text, dx_error_t *error)
{
    return dx_config_parse(config, text, strlen(text), "node.yaml", error);
}

static void assert_value(const dx_config_t *config, const char *name, const char *value,
                         const char *origin)
{
    char text[DX_CONFIG_TEXT_BYTES_MAX + 1];
    const char *from = NULL;
    assert_ok(dx_config_get(config, name, text, sizeof text, &from));
    assert_string_equal(text, value);
    assert_string_equal(from, origin);
}

/* A folder of this test, and a file in it. */
static char folder[] = "/tmp/dx-test-config-XXXXXX";
static char path[128];

static int folder_make(void **state)
{
    (void)state;
    const bool made = mkdtemp(folder) != NULL;
    (void)snprintf(path, sizeof path, "%s/node.yaml", folder);
    return made ? 0 : -1;
}

static int folder_remove(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(folder);
}

static void file_make(const char *text, size_t bytes)
{
    FILE *const stream = fopen(path, "wb");
    assert_non_null(stream);
    assert_int_equal(fwrite(text, 1, bytes, stream), bytes);
    assert_int_equal(fclose(stream), 0);
}

/* ----------------------------------------------------------------------------------- good texts */

static void a_file_sets_what_it_names_and_nothing_else(void **state)
{
    (void)state;
    dx_config_t *const config = config_new();
    assert_ok(parse(config,
                    "# a comment\n"
                    "listen:\n"
                    "  addresses:\n"
                    "    - tcp://0.0.0.0:7400 # all of them\n"
                    "    - unix:///run/dx.sock\n"
                    "  unix_mode: 0660\n"
                    "limits: {connections_max: 5k, receive_bytes: \"1Mi\"}\n"
                    "timeouts:\n"
                    "  drain_ms: 1500\n"
                    "auth: {token: 'it''s'}\n"
                    "node:\n"
                    "  name: \"K\\u00f6ln\"\n"
                    "log:\n"
                    "  #level: warn\n",
                    NULL));
    assert_value(config, "listen.addresses", "tcp://0.0.0.0:7400, unix:///run/dx.sock", "file");
    assert_value(config, "listen.unix_mode", "0660", "file");
    assert_value(config, "limits.connections_max", "5000", "file");
    assert_value(config, "limits.receive_bytes", "1Mi", "file");
    assert_value(config, "timeouts.drain_ms", "1500ms", "file");
    assert_value(config, "node.name", "K\xc3\xb6ln", "file");
    assert_value(config, "log.level", "info", "default");
    assert_string_equal(dx_config_text(config, "auth.token"), "it's");
    assert_null(dx_config_path(config));
    dx_config_destroy(config);
}

static void a_file_of_nothing_is_the_defaults(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {"",          "\n\n",         "# only a comment\n",
                                        "---\n",     "{}",           "--- {}\n...\n",
                                        "null",      "\xef\xbb\xbf", "log:\n",
                                        "log: {}\n", "log: ~\n"};
    for (size_t i = 0; i < COUNT_OF(TEXTS); i++) {
        dx_config_t *const config = config_new(), *const other = config_new();
        assert_ok(parse(config, TEXTS[i], NULL));
        assert_int_equal(dx_config_diff(config, other, NULL, NULL), 0);
        dx_config_destroy(config);
        dx_config_destroy(other);
    }
}

static void a_list_may_be_one_text(void **state)
{
    (void)state;
    dx_config_t *const config = config_new();
    assert_ok(parse(config, "listen:\n  addresses: /a.sock, /b.sock\n", NULL));
    assert_value(config, "listen.addresses", "/a.sock, /b.sock", "file");
    assert_ok(parse(config, "listen:\n  addresses: []\n", NULL));
    assert_value(config, "listen.addresses", "", "file");
    dx_config_destroy(config);
}

static void a_later_layer_counts_more(void **state)
{
    (void)state;
    dx_config_t *const config = config_new();
    assert_ok(dx_config_set(config, "log.burst", "3", NULL));
    assert_int_equal(setenv("DX_LOG_FORMAT", "json", 1), 0);
    assert_ok(parse(config, "log: {burst: 1, format: text, level: warn}\n", NULL));
    assert_value(config, "log.burst", "3", "set");
    assert_value(config, "log.format", "json", "environment");
    assert_value(config, "log.level", "warn", "file");
    assert_int_equal(unsetenv("DX_LOG_FORMAT"), 0);
    assert_ok(parse(config, "", NULL)); /* what a file said is gone with the file */
    assert_value(config, "log.burst", "3", "set");
    assert_value(config, "log.format", "text", "default");
    assert_value(config, "log.level", "info", "default");
    dx_config_destroy(config);
}

/* ------------------------------------------------------------------------------------ bad texts */

static const struct bad {
    const char *text;
    int code;
    const char *sentence;
} BAD[] = {
    {"limits:\n  conections_max: 5\n", DX_EINVAL,
     "node.yaml:2: limits.conections_max is not known; did you mean limits.connections_max?"},
    {"limits:\n  qqqqqqqq: 5\n", DX_EINVAL, "node.yaml:2: limits.qqqqqqqq is not known"},
    {"\nlimit:\n  connections_max: 5\n", DX_EINVAL,
     "node.yaml:2: the section limit is not known; did you mean limits?"},
    {"qqqq: {}\n", DX_EINVAL, "node.yaml:1: the section qqqq is not known; docs/"},
    {"limits.connections_max: 5\n", DX_EINVAL,
     "node.yaml:1: write limits.connections_max as connections_max, indented, below a line "
     "\"limits:\""},
    {"limits:\n  connections_max: many\n", DX_EINVAL,
     "node.yaml:2: limits.connections_max is many, must be a whole number from 1 to 1,000,000"},
    {"limits:\n  connections_max: 0\n", DX_EINVAL, "node.yaml:2: limits.connections_max is 0"},
    {"limits:\n  connections_max: [1, 2]\n", DX_EINVAL,
     "node.yaml:2: limits.connections_max is a list, must be one value"},
    {"limits:\n  connections_max:\n    low: 1\n", DX_EINVAL,
     "node.yaml:3: limits.connections_max is a section; there are two levels only"},
    {"limits:\n  connections_max:\n", DX_EINVAL,
     "node.yaml:2: limits.connections_max has no value; leave the line out for the default "
     "(10000)"},
    {"node:\n  name:\n", DX_EINVAL, "node.yaml:2: node.name has no value"},
    {"node:\n  name: ~\n", DX_EINVAL, "has no value; leave the line out for the default (\"\")"},
    {"limits: 5\n", DX_EINVAL, "node.yaml:1: limits is a section, and must have its options"},
    {"limits: [a]\n", DX_EINVAL, "node.yaml:1: limits is a section, and must have its options"},
    {"log:\n  level: info\n  burst: 1\n  level: warn\n", DX_EINVAL,
     "node.yaml:4: the option log.level is there for the second time, after line 2"},
    {"log:\n  level: info\nnode: {}\nlog:\n  burst: 1\n", DX_EINVAL,
     "node.yaml:4: the section log is there for the second time, after line 1"},
    {"log:\n\tlevel: info\n", DX_EPARSE, "node.yaml:2: has a tab in its indentation"},
    {"log:\n  \tlevel: info\n", DX_EPARSE, "node.yaml:2: has a tab in its indentation"},
    {"log:\n  level: \"in\xff\"\n", DX_EPARSE, "node.yaml:2: is not UTF-8 (byte 0xff)"},
    {"log:\n  level: \x01\n", DX_EPARSE, "node.yaml:2: has a control character (0x01)"},
    {"node:\n  name: \"a\\0b\"\n", DX_EINVAL, "node.yaml:2: has a control character (0x00)"},
    {"node:\n  name: \"a\\nb\"\n", DX_EINVAL,
     "node.yaml:2: node.name has a control character (0x0a)"},
    {"log: &a\n  level: info\n", DX_EPARSE, "node.yaml:1: has an anchor (&)"},
    {"log:\n  level: &a info\n", DX_EPARSE, "node.yaml:2: has an anchor (&)"},
    {"log:\n  level: *a\n", DX_EPARSE, "node.yaml:2: has an alias (*)"},
    {"log:\n  level: !!str info\n", DX_EPARSE, "node.yaml:2: has a tag (!)"},
    {"listen:\n  addresses: &a [x]\n", DX_EPARSE, "node.yaml:2: has an anchor (&)"},
    {"log: {}\n---\nlog: {}\n", DX_EPARSE, "node.yaml:2: begins a second document"},
    {"- log\n", DX_EPARSE, "node.yaml:1: must have sections"},
    {"info\n", DX_EPARSE, "node.yaml:1: must have sections"},
    {"? [log]\n: 5\n", DX_EPARSE, "node.yaml:1: a key is a list or a section"},
    {"listen:\n  addresses: [/a\n", DX_EPARSE, "node.yaml:3: is no YAML: "},
    {"log:\n  level: \"info\n", DX_EPARSE, "is no YAML: found unexpected end of stream"},
    {"log:\n  level: info\n burst: 3\n", DX_EPARSE, "node.yaml:3: is no YAML: "},
    {"log:\n level: info\n  burst: 3\n", DX_EINVAL, "node.yaml:2: log.level is info burst, must"},
    {"log:\n  level info\n  burst: 1\n", DX_EINVAL, "node.yaml:2: log is a section, and must"},
    {"listen:\n  addresses:\n    - [a]\n", DX_EINVAL,
     "node.yaml:3: listen.addresses has an item that is a list or a section"},
    {"listen:\n  addresses:\n    - tcp://a:1\n    - ftp://b\n", DX_EINVAL, "node.yaml:4: listen"},
    {"listen:\n  addresses:\n    - \"\"\n", DX_EINVAL,
     "node.yaml:3: listen.addresses has the item"},
    {"listen:\n  addresses: [tcp://a:70000]\n", DX_EINVAL,
     "node.yaml:2: listen.addresses: the port"},
    /* Rules between options have no line of their own. */
    {"tls: {certificate_file: c.pem}\n", DX_EINVAL,
     "node.yaml: tls.certificate_file is given without tls.key_file"},
    {"tls: {key_file: c.pem}\n", DX_EINVAL,
     "node.yaml: tls.key_file is given without tls.certificate_file"},
    {"tls: {verify_peer: true}\n", DX_EINVAL,
     "node.yaml: tls.verify_peer is true, and there is no"},
    {"listen: {addresses: tls://a:1}\n", DX_EINVAL, "there is no tls.certificate_file"},
    {"listen: {addresses: \"/a, unix:///a\"}\n", DX_EINVAL, "has unix:///a twice"},
    {"listen: {addresses: \"tcp://a:1, a:1\"}\n", DX_EINVAL, "has a:1 twice"},
    {"auth: {token: a, token_file: b}\n", DX_EINVAL, "auth.token and auth.token_file"},
    {"bus: {shard_ring_bytes: 256Ki}\n", DX_EINVAL,
     "bus.shard_ring_bytes is 262,144 bytes, must be at least 524,288: four times"},
    {"limits: {frame_bytes_max: 128Ki}\n", DX_EINVAL, "limits.frame_bytes_max is 131,072 bytes"},
    {"limits: {send_bytes: 128Ki}\n", DX_EINVAL, "limits.send_bytes is 131,072 bytes"},
    {"limits: {publish_credit_bytes: 128Ki}\n", DX_EINVAL, "limits.publish_credit_bytes is"},
    {"topics: {retain_bytes: 257Mi}\n", DX_EINVAL, "topics.retain_bytes_max is"},
    {"timeouts: {idle_ms: 15s}\n", DX_EINVAL, "must be longer than timeouts.keep_alive_ms (15"},
    {"timeouts: {keep_alive_ms: 0}\n", DX_EINVAL, "must be longer than timeouts.keep_alive_ms (0"},
};

static void each_mistake_has_its_line_and_its_sentence(void **state)
{
    (void)state;
    dx_config_t *const config = config_new(), *const before = config_new();
    int failed = 0;
    for (size_t i = 0; i < COUNT_OF(BAD); i++) {
        dx_error_t error = {0};
        const int code = parse(config, BAD[i].text, &error);
        if (code != BAD[i].code || error.code != code ||
            strstr(error.message, BAD[i].sentence) == NULL) {
            print_error("%s\ngives %s \"%s\", not \"%s\"\n", BAD[i].text, dx_error_name(code),
                        error.message, BAD[i].sentence);
            failed++;
        }
        assert_int_equal(parse(config, BAD[i].text, NULL), code);
        assert_int_equal(dx_config_diff(before, config, NULL, NULL), 0); /* all or nothing */
    }
    assert_int_equal(failed, 0);
    dx_config_destroy(config);
    dx_config_destroy(before);
}

static void two_ports_of_any_kind_may_be_the_same(void **state)
{
    (void)state;
    dx_config_t *const config = config_new();
    assert_ok(parse(config, "listen: {addresses: \"tcp://a:0, tcp://a:0\"}\n", NULL));
    assert_ok(parse(config, "timeouts: {keep_alive_ms: 0, idle_ms: 0}\n", NULL));
    dx_config_destroy(config);
}

static void a_wrong_environment_spoils_a_load(void **state)
{
    (void)state;
    dx_config_t *const config = config_new();
    dx_error_t error = {0};
    assert_int_equal(setenv("DX_LOG_BURST", "-1", 1), 0);
    assert_fails(parse(config, "log: {level: warn}\n", &error), DX_EINVAL, error,
                 "DX_LOG_BURST is -1");
    assert_int_equal(unsetenv("DX_LOG_BURST"), 0);
    assert_value(config, "log.level", "info", "default");
    dx_config_destroy(config);
}

/* ---------------------------------------------------------------------------------------- files */

static void a_file_is_read_and_its_path_remembered(void **state)
{
    (void)state;
    dx_config_t *const config = config_new();
    dx_config_t *copy = NULL;
    static const char TEXT[] = "log: {level: warn}\n";
    file_make(TEXT, strlen(TEXT));
    assert_ok(dx_config_load(config, path, NULL));
    assert_value(config, "log.level", "warn", "file");
    assert_string_equal(dx_config_path(config), path);
    assert_ok(dx_config_copy(config, &copy, NULL));
    assert_string_equal(dx_config_path(copy), path);
    dx_config_destroy(copy);
    dx_config_destroy(config);
}

static void a_relative_path_stays_right_elsewhere(void **state)
{
    (void)state;
    dx_config_t *const config = config_new();
    char before[1024];
    file_make("", 0);
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(folder), 0);
    assert_ok(dx_config_load(config, "node.yaml", NULL));
    assert_int_equal(chdir(before), 0);
    assert_ok(dx_config_load(config, dx_config_path(config), NULL));
    dx_config_destroy(config);
}

static void a_file_that_cannot_be_read_says_why(void **state)
{
    (void)state;
    dx_config_t *const config = config_new();
    dx_error_t error = {0};
    char longest[DXI_CONFIG_PATH_BYTES + 1];
    assert_fails(dx_config_load(config, "/nowhere/node.yaml", &error), DX_ENOTFOUND, error,
                 "/nowhere/node.yaml can't be read: No such file");
    assert_fails(dx_config_load(config, folder, &error), DX_EINVAL, error, "is no regular file");
    memset(longest, 'a', sizeof longest);
    longest[0] = '/';
    longest[DXI_CONFIG_PATH_BYTES] = '\0';
    assert_fails(dx_config_load(config, longest, &error), DX_ELIMIT, error, "must be below 4096");
    if (geteuid() != 0) { /* root may read everything */
        file_make("", 0);
        assert_int_equal(chmod(path, 0), 0);
        assert_fails(dx_config_load(config, path, &error), DX_EPERM, error, "can't be read");
        assert_int_equal(unlink(path), 0);
    }
    dx_config_destroy(config);
}

static void a_file_is_read_up_to_its_largest_size_and_not_one_byte_beyond(void **state)
{
    (void)state;
    dx_config_t *const config = config_new();
    dx_error_t error = {0};
    char *const text = malloc(DX_CONFIG_FILE_BYTES_MAX + 1);
    assert_non_null(text);
    memset(text, '\n', DX_CONFIG_FILE_BYTES_MAX + 1);
    static const char BEGINNING[] = "log: {level: warn}";
    memcpy(text, BEGINNING, sizeof BEGINNING);
    text[strlen(BEGINNING)] = '\n';
    file_make(text, DX_CONFIG_FILE_BYTES_MAX);
    assert_ok(dx_config_load(config, path, NULL));
    file_make(text, DX_CONFIG_FILE_BYTES_MAX + 1);
    assert_fails(dx_config_load(config, path, &error), DX_ELIMIT, error, "longer than 1048576");
    assert_fails(dx_config_parse(config, text, DX_CONFIG_FILE_BYTES_MAX + 1, "x", &error),
                 DX_ELIMIT, error, "x is longer than");
    assert_value(config, "log.level", "warn", "file");
    free(text);
    dx_config_destroy(config);
}

static void the_sample_is_the_defaults_and_right_without_its_comments(void **state)
{
    (void)state;
    char *text = NULL;
    size_t bytes = 0;
    FILE *const stream = open_memstream(&text, &bytes);
    assert_non_null(stream);
    dxi_config_sample_write(stream);
    assert_int_equal(fclose(stream), 0);
    dx_config_t *const config = config_new(), *const defaults = config_new();
    dx_error_t error = {0};
    if (dx_config_parse(config, text, bytes, "sample", &error) != DX_OK) {
        fail_msg("%s", error.message);
    }
    assert_int_equal(dx_config_diff(config, defaults, NULL, NULL), 0);
    for (char *at = text; (at = strstr(at, "\n  #")) != NULL; at += 4) { /* "  #name:" */
        if (at[4] != ' ') {
            memmove(at + 3, at + 4, strlen(at + 4) + 1);
        }
    }
    if (dx_config_parse(config, text, strlen(text), "sample", &error) != DX_OK) {
        fail_msg("%s", error.message);
    }
    assert_int_equal(dx_config_diff(config, defaults, NULL, NULL), 0);
    size_t count = 0;
    const dx_config_option_t *const rows = dx_config_options(&count);
    for (size_t i = 0; i < count; i++) { /* each is there */
        assert_value(config, rows[i].name, rows[i].default_text, "file");
    }
    free(text);
    dx_config_destroy(config);
    dx_config_destroy(defaults);
}

static int attempt(void)
{
    dx_config_t *config = NULL;
    int code = dx_config_create(&config, NULL);
    if (code == DX_OK) {
        code = dx_config_load(config, path, NULL);
        assert_int_equal(dx_config_path(config) != NULL, code == DX_OK);
    }
    dx_config_destroy(config);
    return code;
}

static void each_failed_allocation_is_survived(void **state)
{
    (void)state;
    file_make("", 0);
    assert_int_equal(fault_sweep(attempt), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_sets_what_it_names_and_nothing_else),
        cmocka_unit_test(a_file_of_nothing_is_the_defaults),
        cmocka_unit_test(a_list_may_be_one_text),
        cmocka_unit_test(a_later_layer_counts_more),
        cmocka_unit_test(each_mistake_has_its_line_and_its_sentence),
        cmocka_unit_test(two_ports_of_any_kind_may_be_the_same),
        cmocka_unit_test(a_wrong_environment_spoils_a_load),
        cmocka_unit_test(a_file_is_read_and_its_path_remembered),
        cmocka_unit_test(a_relative_path_stays_right_elsewhere),
        cmocka_unit_test(a_file_that_cannot_be_read_says_why),
        cmocka_unit_test(a_file_is_read_up_to_its_largest_size_and_not_one_byte_beyond),
        cmocka_unit_test(the_sample_is_the_defaults_and_right_without_its_comments),
        cmocka_unit_test(each_failed_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
