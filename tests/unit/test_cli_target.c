/* test_cli_target.c - which node a command talks with, and the saved contexts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/target.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base_test.h"

static dxi_contexts_t contexts; /* large: not on the stack */
static dxi_contexts_t loaded;
static char folder[64];
static char path[128];

static const char *environment_address;
static const char *environment_token;

static const char *environment(const char *name)
{
    return strcmp(name, "DX_ADDRESS") == 0 ? environment_address : environment_token;
}

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/dx-test-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    snprintf(path, sizeof path, "%s/below/contexts.json", folder);
    memset(&contexts, 0, sizeof contexts);
    environment_address = NULL;
    environment_token = NULL;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char below[96];
    unlink(path);
    snprintf(below, sizeof below, "%s/below", folder);
    rmdir(below);
    snprintf(below, sizeof below, "%s/token", folder);
    unlink(below);
    return rmdir(folder);
}

static void put(const char *name, const char *address, const char *token)
{
    dxi_context_t context = {0};
    snprintf(context.name, sizeof context.name, "%s", name);
    snprintf(context.address, sizeof context.address, "%s", address);
    snprintf(context.token, sizeof context.token, "%s", token);
    assert_ok(dxi_context_put(&contexts, &context, NULL));
}

static void contexts_are_saved_and_read_again(void **state)
{
    (void)state;
    struct stat status;
    put("prod", "tls://a:1,tls://b:2", "secret \"quoted\" \xc3\xa9");
    put("dev", "unix:///tmp/x", "");
    contexts.items[0].tls_insecure = true; /* dev: they are in the order of their names */
    snprintf(contexts.selected, sizeof contexts.selected, "prod");
    assert_string_equal(contexts.items[0].name, "dev");
    assert_ok(dxi_contexts_save(path, &contexts, NULL));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_ok(dxi_contexts_load(path, &loaded, NULL));
    assert_int_equal(loaded.count, 2);
    assert_string_equal(loaded.selected, "prod");
    assert_memory_equal(loaded.items, contexts.items, 2 * sizeof contexts.items[0]);
}

static void no_file_is_no_context(void **state)
{
    (void)state;
    assert_ok(dxi_contexts_load(path, &loaded, NULL));
    assert_int_equal(loaded.count, 0);
}

static void a_file_that_others_may_read_is_refused(void **state)
{
    (void)state;
    dx_error_t error = {0};
    put("dev", "unix:///tmp/x", "t");
    assert_ok(dxi_contexts_save(path, &contexts, NULL));
    assert_int_equal(chmod(path, 0640), 0);
    assert_fails(dxi_contexts_load(path, &loaded, &error), DX_EPERM, error, "chmod 600");
}

static void a_damaged_file_is_refused_and_says_where(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *sentence;
    } cases[] = {
        {"{\n\"contexts\": ", ":2: "},
        {"[]", "holds no JSON object"},
        {"{\"contexts\":[]}", "contexts is no JSON object"},
        {"{\"context\":{}}", "has a member besides contexts and selected"},
        {"{\"contexts\":{},\"selected\":null,\"more\":1}", "has a member besides"},
        {"{\"contexts\": {\"a\": {\"adress\": \"x\"}}}", "unknown or wrong adress"},
        {"{\"contexts\": {\"a\": {\"address\": 7}}}", "address must be a text"},
        {"{\"contexts\": {\"a b\": {}}}", "must be 1 to 63 letters"},
        {"{\"contexts\": {\"a\": 1}}", "is no object"},
    };
    put("dev", "unix:///tmp/x", "");
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        dx_error_t error = {0};
        assert_ok(dxi_contexts_save(path, &contexts, NULL));
        FILE *const file = fopen(path, "w");
        assert_non_null(file);
        fputs(cases[i].text, file);
        fclose(file);
        const int result = dxi_contexts_load(path, &loaded, &error);
        assert_true(result == DX_EPARSE || result == DX_EINVAL);
        assert_contains(error.message, cases[i].sentence);
    }
}

static void names_and_numbers_of_contexts_have_limits(void **state)
{
    (void)state;
    dx_error_t error = {0};
    dxi_context_t context = {.address = "unix:///x"};
    for (int i = 0; i < DXI_CONTEXTS_MAX; i++) {
        snprintf(context.name, sizeof context.name, "n%02d", i);
        assert_ok(dxi_context_put(&contexts, &context, NULL));
    }
    assert_ok(dxi_context_put(&contexts, &context, NULL)); /* replaces */
    snprintf(context.name, sizeof context.name, "one-more");
    assert_fails(dxi_context_put(&contexts, &context, &error), DX_ELIMIT, error, "64 contexts");
    assert_ok(dxi_context_remove(&contexts, "n00", NULL));
    memset(context.name, 'x', DXI_CONTEXT_NAME_MAX);
    context.name[DXI_CONTEXT_NAME_MAX] = '\0';
    assert_ok(dxi_context_put(&contexts, &context, NULL));
    context.name[0] = '\0';
    assert_fails(dxi_context_put(&contexts, &context, &error), DX_EINVAL, error, "must be 1 to 63");
    assert_fails(dxi_context_remove(&contexts, "nobody", &error), DX_ENOTFOUND, error, "nobody");
}

static void removing_the_selected_one_selects_none(void **state)
{
    (void)state;
    put("dev", "unix:///x", "");
    snprintf(contexts.selected, sizeof contexts.selected, "dev");
    assert_ok(dxi_context_remove(&contexts, "dev", NULL));
    assert_string_equal(contexts.selected, "");
    assert_null(dxi_context_find(&contexts, "dev"));
}

static void the_nearest_word_wins(void **state)
{
    (void)state;
    static const struct {
        const char *option, *context, *environment, *selected;
        const char *address, *origin;
    } cases[] = {
        {NULL, NULL, NULL, "", DXI_ADDRESS_DEFAULT, "the default"},
        {NULL, NULL, NULL, "prod", "tls://prod:1", "context prod"},
        {NULL, NULL, "tcp://env:1", "prod", "tcp://env:1", "DX_ADDRESS"},
        {NULL, NULL, "", "prod", "tls://prod:1", "context prod"},
        {NULL, "dev", "tcp://env:1", "prod", "unix:///dev", "context dev"},
        {"tcp://o:1", NULL, "tcp://env:1", "prod", "tcp://o:1", "--address"},
    };
    put("dev", "unix:///dev", "");
    put("prod", "tls://prod:1", "of-prod");
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const dxi_target_words_t words = {.address = cases[i].option, .context = cases[i].context};
        dxi_target_t target;
        environment_address = cases[i].environment;
        snprintf(contexts.selected, sizeof contexts.selected, "%s", cases[i].selected);
        assert_ok(dxi_target_choose(&words, &contexts, environment, &target, NULL));
        assert_string_equal(target.place.address, cases[i].address);
        assert_string_equal(target.origin, cases[i].origin);
    }
}

static void a_token_only_goes_to_the_node_it_was_saved_with(void **state)
{
    (void)state;
    static const struct {
        const char *option, *address, *context, *environment;
        const char *token;
    } cases[] = {
        {NULL, NULL, "prod", NULL, "of-prod"},
        {NULL, "tcp://other:1", NULL, NULL, ""},
        {NULL, "tcp://other:1", NULL, "of-environment", "of-environment"},
        {NULL, NULL, "prod", "of-environment", "of-prod"},
        {NULL, NULL, "dev", "of-environment", ""},
        {"given", NULL, "prod", "of-environment", "given"},
    };
    put("dev", "unix:///dev", "");
    put("prod", "tls://prod:1", "of-prod");
    snprintf(contexts.selected, sizeof contexts.selected, "prod");
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const dxi_target_words_t words = {
            .address = cases[i].address, .context = cases[i].context, .token = cases[i].option};
        dxi_target_t target;
        environment_token = cases[i].environment;
        assert_ok(dxi_target_choose(&words, &contexts, environment, &target, NULL));
        assert_string_equal(target.place.token, cases[i].token);
    }
}

static void a_token_may_stand_in_a_file(void **state)
{
    (void)state;
    char file[96];
    char word[112];
    dxi_target_t target;
    dx_error_t error = {0};
    snprintf(file, sizeof file, "%s/token", folder);
    snprintf(word, sizeof word, "@%s", file);
    const dxi_target_words_t words = {.token = word};
    assert_fails(dxi_target_choose(&words, NULL, environment, &target, &error), DX_ENOTFOUND, error,
                 "the token file");
    FILE *stream = fopen(file, "w");
    assert_non_null(stream);
    fputs("of-file\r\nmore\n", stream);
    fclose(stream);
    assert_ok(dxi_target_choose(&words, NULL, environment, &target, NULL));
    assert_string_equal(target.place.token, "of-file");
    put("dev", "unix:///dev", word);
    const dxi_target_words_t named = {.context = "dev"};
    assert_ok(dxi_target_choose(&named, &contexts, environment, &target, NULL));
    assert_string_equal(target.place.token, "of-file");
    stream = fopen(file, "w");
    assert_non_null(stream);
    fputs("\n", stream);
    fclose(stream);
    assert_fails(dxi_target_choose(&words, NULL, environment, &target, &error), DX_EINVAL, error,
                 "must begin with a line");
}

static void an_unknown_context_is_refused_with_the_nearest(void **state)
{
    (void)state;
    dxi_target_t target;
    dx_error_t error = {0};
    put("prod", "tls://prod:1", "");
    const dxi_target_words_t near = {.context = "prdo"};
    assert_fails(dxi_target_choose(&near, &contexts, environment, &target, &error), DX_ENOTFOUND,
                 error, "did you mean prod?");
    const dxi_target_words_t far = {.context = "elsewhere"};
    assert_fails(dxi_target_choose(&far, NULL, environment, &target, &error), DX_ENOTFOUND, error,
                 "dx context ls");
    const dxi_target_words_t both = {.context = "prod", .address = "x"};
    assert_fails(dxi_target_choose(&both, &contexts, environment, &target, &error), DX_EINVAL,
                 error, "exclude each other");
}

static void an_address_has_at_most_1023_bytes(void **state)
{
    (void)state;
    char address[DXI_CONTEXT_TEXT_MAX + 2];
    dxi_target_t target;
    dx_error_t error = {0};
    const dxi_target_words_t words = {.address = address};
    memset(address, 'a', sizeof address);
    address[DXI_CONTEXT_TEXT_MAX] = '\0';
    assert_ok(dxi_target_choose(&words, NULL, environment, &target, NULL));
    address[DXI_CONTEXT_TEXT_MAX] = 'a';
    address[DXI_CONTEXT_TEXT_MAX + 1] = '\0';
    assert_fails(dxi_target_choose(&words, NULL, environment, &target, &error), DX_ELIMIT, error,
                 "at most 1023");
}

static void codes_become_exit_codes(void **state)
{
    (void)state;
    assert_int_equal(dxi_target_exit_code(DX_OK), 0);
    assert_int_equal(dxi_target_exit_code(DX_EPERM), 1);
    assert_int_equal(dxi_target_exit_code(DX_ETIMEDOUT), 3);
    assert_int_equal(dxi_target_exit_code(DX_ECLOSED), 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(contexts_are_saved_and_read_again),
        TEST(no_file_is_no_context),
        TEST(a_file_that_others_may_read_is_refused),
        TEST(a_damaged_file_is_refused_and_says_where),
        TEST(names_and_numbers_of_contexts_have_limits),
        TEST(removing_the_selected_one_selects_none),
        TEST(the_nearest_word_wins),
        TEST(a_token_only_goes_to_the_node_it_was_saved_with),
        TEST(a_token_may_stand_in_a_file),
        TEST(an_unknown_context_is_refused_with_the_nearest),
        TEST(an_address_has_at_most_1023_bytes),
        TEST(codes_become_exit_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
