/* test_cli_redact.c - secrets out of texts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/redact.h"

#include "base_test.h"

static dxi_redact_t redact; /* large: not on the stack */

static int set_up(void **state)
{
    (void)state;
    memset(&redact, 0, sizeof redact);
    return 0;
}

static void expect(const char *text, const char *clean)
{
    size_t bytes = 0;
    char *const got = dxi_redact_text(&redact, text, strlen(text), &bytes);
    assert_string_equal(got, clean);
    assert_int_equal(bytes, strlen(clean));
    free(got);
}

static void what_is_known_is_taken_out_wherever_it_stands(void **state)
{
    (void)state;
    dxi_redact_know(&redact, "hunter2");
    dxi_redact_know(&redact, "hunter2hunter");
    dxi_redact_know(&redact, "quo\"ted\\");
    expect("", "");
    expect("nothing of it: hunter", "nothing of it: hunter");
    expect("hunter2", "(secret)");
    expect("a hunter2, hunter2hunter3.", "a (secret), (secret)3.");
    expect("{\"x\": \"quo\\\"ted\\\\\"}", "{\"x\": \"(secret)\"}"); /* as JSON writes it */
    expect("quo\"ted\\", "(secret)");
}

static void what_is_too_short_or_too_much_is_not_known(void **state)
{
    (void)state;
    dxi_redact_know(&redact, NULL);
    dxi_redact_know(&redact, "");
    dxi_redact_know(&redact, "abc");
    assert_int_equal(redact.count, 0);
    dxi_redact_know(&redact, "abcd");
    dxi_redact_know(&redact, "abcd");
    assert_int_equal(redact.count, 1);
    char longest[1025];
    memset(longest, 'x', sizeof longest - 1);
    longest[1024] = '\0';
    dxi_redact_know(&redact, longest);
    assert_int_equal(redact.count, 1);
    longest[1023] = '\0';
    dxi_redact_know(&redact, longest);
    assert_int_equal(redact.count, 2);
    for (int i = 2; i < DXI_REDACT_SECRETS_MAX + 3; i++) {
        char secret[32];
        snprintf(secret, sizeof secret, "secret-%d", i);
        dxi_redact_know(&redact, secret);
    }
    assert_int_equal(redact.count, DXI_REDACT_SECRETS_MAX);
    assert_int_equal(redact.left_out, 3);
}

static void values_of_a_list_are_known_as_well(void **state)
{
    (void)state;
    dxi_redact_know_all(&redact, "x-key=first-one, authorization: second-one,third-one");
    expect("first-one second-one third-one", "(secret) (secret) third-one");
    expect("x-key=first-one, authorization: second-one,third-one", "(secret)");
    dxi_redact_know_all(&redact, "");
}

static void what_looks_like_a_secret_is_taken_out(void **state)
{
    (void)state;
    expect("authorization: Bearer abc.def-1 and more", "authorization: Bearer (secret) and more");
    expect("BEARER x\"y", "BEARER (secret)\"y");
    expect("the bearer", "the bearer");
    expect("a\n-----BEGIN PRIVATE KEY-----\nMIIB\nAAA=\n-----END PRIVATE KEY-----\nb",
           "a\n-----BEGIN PRIVATE KEY-----(secret)-----END PRIVATE KEY-----\nb");
    expect("-----BEGIN EC PRIVATE KEY-----\nMIIB", "-----BEGIN EC PRIVATE KEY-----(secret)");
}

static void names_tell_what_is_secret(void **state)
{
    (void)state;
    static const char *const secret[] = {"DX_TOKEN", "DX_AUTH_TOKEN", "AWS_SECRET_ACCESS_KEY",
                                         "db_password", "DX_TRACE_HEADERS"};
    static const char *const open[] = {"DX_ADDRESS", "DX_BUS_SHARDS", "GIT_AUTHOR_NAME", ""};
    for (size_t i = 0; i < sizeof secret / sizeof secret[0]; i++) {
        assert_true(dxi_redact_is_secret_name(secret[i]));
    }
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++) {
        assert_false(dxi_redact_is_secret_name(open[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_is_known_is_taken_out_wherever_it_stands, set_up),
        cmocka_unit_test_setup(what_is_too_short_or_too_much_is_not_known, set_up),
        cmocka_unit_test_setup(values_of_a_list_are_known_as_well, set_up),
        cmocka_unit_test_setup(what_looks_like_a_secret_is_taken_out, set_up),
        cmocka_unit_test_setup(names_tell_what_is_secret, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
