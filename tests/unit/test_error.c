/* test_error.c - codes keep their numbers, sentences keep their limits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>

#include "base/fail.h"
#include "base_test.h"

/* Written out once more: a changed number breaks frames and bindings, so it must break this. */
static void every_code_keeps_its_number_and_name(void **state)
{
    (void)state;
    static const struct {
        int number;
        const char *name;
    } pinned[] = {
        {0, "DX_OK"},         {-1, "DX_EINVAL"},    {-2, "DX_ENOMEM"},    {-3, "DX_EAGAIN"},
        {-4, "DX_ETIMEDOUT"}, {-5, "DX_ECLOSED"},   {-6, "DX_ESTATE"},    {-7, "DX_ECANCELLED"},
        {-8, "DX_EDROPPED"},  {-9, "DX_ECONSUMER"}, {-10, "DX_ELIMIT"},   {-11, "DX_ENOTFOUND"},
        {-12, "DX_EEXIST"},   {-13, "DX_EPERM"},    {-14, "DX_EIO"},      {-15, "DX_EVERSION"},
        {-16, "DX_ECORRUPT"}, {-17, "DX_ENOTSUP"},  {-18, "DX_EFATAL"},   {-19, "DX_EDEADLOCK"},
        {-20, "DX_EPARSE"},   {-21, "DX_EBUSY"},    {-22, "DX_EALERTED"}, {-23, "DX_EEVICTED"},
    };
#define ONE(name, number, text) +1
    assert_int_equal(COUNT_OF(pinned), 0 DX_ERROR_LIST(ONE));
    for (size_t i = 0; i < COUNT_OF(pinned); i++) {
        assert_string_equal(dx_error_name(pinned[i].number), pinned[i].name);
        assert_string_not_equal(dx_error_text(pinned[i].number), "unknown error code");
    }
    assert_int_equal(DX_EALERTED, -22);
    assert_int_equal(DX_EEVICTED, -23);
}

static void codes_have_texts_and_unknown_numbers_say_so(void **state)
{
    (void)state;
    assert_string_equal(dx_error_text(DX_EINVAL), "invalid argument");
    assert_string_equal(dx_error_text(DX_EALERTED), "wait ended by a halt");
    static const int unknown[] = {1, -24, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < COUNT_OF(unknown); i++) {
        assert_string_equal(dx_error_name(unknown[i]), "DX_EUNKNOWN");
        assert_string_equal(dx_error_text(unknown[i]), "unknown error code");
    }
}

static void fail_stores_code_and_sentence(void **state)
{
    (void)state;
    dx_error_t error = {.os_errno = 5};
    const int code = dxi_fail(&error, DX_ELIMIT, "slot_count is %d, must be below %d", 1000, 10);
    assert_int_equal(code, DX_ELIMIT);
    assert_int_equal(error.code, DX_ELIMIT);
    assert_int_equal(error.os_errno, 0);
    assert_string_equal(error.message, "slot_count is 1000, must be below 10");
}

static void fail_os_adds_what_the_system_says(void **state)
{
    (void)state;
    dx_error_t error = {0};
    char expected[200];
    (void)snprintf(expected, sizeof(expected), "cannot open x: %s", strerror(ENOENT));
    assert_int_equal(dxi_fail_os(&error, DX_EIO, ENOENT, "cannot open %s", "x"), DX_EIO);
    assert_int_equal(error.os_errno, ENOENT);
    assert_string_equal(error.message, expected);
}

static void context_stands_before_the_sentence(void **state)
{
    (void)state;
    dx_error_t error = {0};
    (void)dxi_fail(&error, DX_EPARSE, "bad number");
    assert_int_equal(dxi_fail_context(&error, "file %s", "a.yaml"), DX_EPARSE);
    assert_string_equal(error.message, "file a.yaml: bad number");
    /* The old message may be an argument. */
    (void)dxi_fail_context(&error, "<%s>", error.message);
    assert_string_equal(error.message, "<file a.yaml: bad number>: file a.yaml: bad number");
}

static void what_went_wrong_stands_behind_a_long_context(void **state)
{
    (void)state;
    char topic[DX_ERROR_MESSAGE_BYTES];
    for (size_t i = 0; i + 1 < sizeof(topic); i += 2) {
        memcpy(topic + i, "\xC3\xA9", 2);
    }
    for (size_t bytes = 200; bytes < sizeof(topic); bytes++) {
        dx_error_t error = {0};
        topic[bytes] = '\0';
        (void)dxi_fail(&error, DX_EPERM, "user 'eve' may not subscribe to it");
        (void)dxi_fail_context(&error, "subscribing to %s", topic);
        assert_contains(error.message, ": user 'eve' may not subscribe to it");
        const char *cut = strstr(error.message, "...: ");
        assert_true(cut != NULL || bytes < 206);
        assert_true(cut == NULL ||
                    (cut - error.message - (ptrdiff_t)strlen("subscribing to ")) % 2 == 0);
        char reason[DX_ERROR_MESSAGE_BYTES];
        memset(reason, 'r', sizeof(reason) - 1);
        reason[sizeof(reason) - 1] = '\0';
        (void)dxi_fail(&error, DX_EPERM, "%s", reason); /* both are long */
        (void)dxi_fail_context(&error, "subscribing to topic %s", topic);
        assert_contains(error.message, "subscribing to topic ");
        assert_string_equal(error.message + strlen(error.message) - 4, "r...");
        topic[bytes] = bytes % 2 == 0 ? '\xC3' : '\xA9';
    }
}

static void a_null_error_is_allowed(void **state)
{
    (void)state;
    assert_int_equal(dxi_fail(NULL, DX_EBUSY, "x"), DX_EBUSY);
    assert_int_equal(dxi_fail_os(NULL, DX_EIO, EIO, "x"), DX_EIO);
    assert_int_equal(dxi_fail_context(NULL, "x"), DX_OK);
}

static void a_sentence_is_cut_only_above_its_limit(void **state)
{
    (void)state;
    enum { MAX = DX_ERROR_MESSAGE_BYTES - 1 };
    char text[MAX + 2];
    memset(text, 'a', sizeof(text));
    dx_error_t error = {0};

    text[MAX] = '\0';
    (void)dxi_fail(&error, DX_EINVAL, "%s", text);
    assert_string_equal(error.message, text);

    text[MAX] = 'a';
    text[MAX + 1] = '\0';
    (void)dxi_fail(&error, DX_EINVAL, "%s", text);
    assert_int_equal(strlen(error.message), MAX);
    assert_string_equal(error.message + MAX - 4, "a...");

    (void)dxi_fail_context(&error, "%s", text); /* there is no room left for the old message */
    assert_string_equal(error.message + MAX - 4, "a...");
    (void)dxi_fail_os(&error, DX_EIO, EIO, "%.*s", MAX - 2, text);
    assert_int_equal(strlen(error.message), MAX);
    assert_string_equal(error.message + MAX - 4, "a...");
}

static void a_cut_does_not_split_a_character(void **state)
{
    (void)state;
    char text[2 * DX_ERROR_MESSAGE_BYTES];
    for (size_t i = 0; i + 1 < sizeof(text); i += 2) {
        memcpy(text + i, "\xC3\xA9", 2); /* e with acute accent */
    }
    text[sizeof(text) - 2] = '\0';
    dx_error_t error = {0};
    for (int shift = 0; shift < 2; shift++) {
        (void)dxi_fail(&error, DX_EINVAL, "%s%s", shift == 0 ? "" : "x", text);
        const size_t length = strlen(error.message);
        assert_string_equal(error.message + length - 3, "...");
        assert_int_equal((length - 3 - (size_t)shift) % 2, 0);
    }
}

static void failing_keeps_errno(void **state)
{
    (void)state;
    dx_error_t error = {0};
    errno = EDOM;
    (void)dxi_fail(&error, DX_EINVAL, "x");
    (void)dxi_fail_os(&error, DX_EINVAL, EIO, "x");
    (void)dxi_fail_context(&error, "x");
    assert_int_equal(errno, EDOM);
}

static void an_unprintable_argument_is_no_crash(void **state)
{
    (void)state;
    static const wchar_t wide[] = {0x110001, 0}; /* no character: vsnprintf() refuses */
    dx_error_t error = {0};
    assert_int_equal(dxi_fail(&error, DX_EINVAL, "name %ls", wide), DX_EINVAL);
    assert_contains(error.message, "...");
}

static void errno_values_have_the_code_that_says_the_same(void **state)
{
    (void)state;
    static const struct {
        int os_errno;
        int code;
    } rows[] = {
        {0, DX_OK},
        {ENOMEM, DX_ENOMEM},
        {EINVAL, DX_EINVAL},
        {EPERM, DX_EPERM},
        {EACCES, DX_EPERM},
        {ENOENT, DX_ENOTFOUND},
        {ESRCH, DX_ENOTFOUND},
        {EEXIST, DX_EEXIST},
        {EBUSY, DX_EBUSY},
        {EAGAIN, DX_EAGAIN},
        {ETIMEDOUT, DX_ETIMEDOUT},
        {EDEADLK, DX_EDEADLOCK},
        {ENOSYS, DX_ENOTSUP},
        {EOPNOTSUPP, DX_ENOTSUP},
        {EMFILE, DX_ELIMIT},
        {ENFILE, DX_ELIMIT},
        {ENOSPC, DX_ELIMIT},
        {EIO, DX_EIO},
        {EPIPE, DX_EIO},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(dxi_code_of_errno(rows[i].os_errno), rows[i].code);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_keeps_its_number_and_name),
        cmocka_unit_test(codes_have_texts_and_unknown_numbers_say_so),
        cmocka_unit_test(fail_stores_code_and_sentence),
        cmocka_unit_test(fail_os_adds_what_the_system_says),
        cmocka_unit_test(context_stands_before_the_sentence),
        cmocka_unit_test(what_went_wrong_stands_behind_a_long_context),
        cmocka_unit_test(a_null_error_is_allowed),
        cmocka_unit_test(a_sentence_is_cut_only_above_its_limit),
        cmocka_unit_test(a_cut_does_not_split_a_character),
        cmocka_unit_test(failing_keeps_errno),
        cmocka_unit_test(an_unprintable_argument_is_no_crash),
        cmocka_unit_test(errno_values_have_the_code_that_says_the_same),
    };
    return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
