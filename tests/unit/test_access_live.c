/* test_access_live.c - logins, reloads, connections, rates and inboxes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/account.h"
#include "access/inboxes.h"
#include "access/table.h"
#include "base_test.h"

#define SECOND INT64_C(1000000000)

static dxi_access_t *access_live;

/* The SHA-256 of a text as a users file has it. */
static const char *hash_of(const char *token)
{
    static char text[2 * DXI_ACCESS_HASH_BYTES + 1];
    uint8_t hash[DXI_ACCESS_HASH_BYTES];
    assert_ok(dxi_access_token_hash(token, strlen(token), hash));
    for (size_t i = 0; i < DXI_ACCESS_HASH_BYTES; i++) {
        (void)snprintf(text + (size_t)2 * i, 3, "%02x", hash[i]);
    }
    return text;
}

/* Users of a text; "@token" stands for the hash of a token. */
static void users_set(const char *text)
{
    char whole[4096] = "";
    size_t used = 0;
    while (*text != '\0') {
        if (*text == '@') {
            char token[64];
            const size_t bytes = strcspn(text + 1, " ,]}\n");
            (void)snprintf(token, sizeof token, "%.*s", (int)bytes, text + 1);
            used += (size_t)snprintf(whole + used, sizeof whole - used, "\"%s\"", hash_of(token));
            text += 1 + bytes;
        } else {
            whole[used++] = *text++;
        }
    }
    dxi_access_table_t *table = NULL;
    dx_error_t error = {.code = 0};
    if (dxi_access_table_parse(whole, used, "users.yaml", &table, &error) != DX_OK) {
        fail_msg("%s", error.message);
    }
    dxi_access_set(access_live, table);
}

static int begin(void **state)
{
    (void)state;
    assert_ok(dxi_access_create(NULL, &access_live, NULL));
    return 0;
}

static int end(void **state)
{
    (void)state;
    dxi_access_destroy(access_live);
    return 0;
}

static int login(const char *token, dxi_access_login_t *login_out, dx_error_t *error)
{
    return dxi_access_login_by_token(access_live, token, strlen(token), login_out, error);
}

/* --------------------------------------------------------------------------------------- logins */

static void the_hash_is_what_sha256sum_says(void **state)
{
    (void)state;
    /* The vector of FIPS 180-4 for "abc". */
    assert_string_equal(hash_of("abc"),
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void a_token_is_one_user_and_anything_else_nobody(void **state)
{
    (void)state;
    users_set("users:\n  a: {token_sha256: @token-a}\n  b: {token_sha256: [@token-b, @token-c]}\n");
    static const struct {
        const char *token, *user; /* NULL: refused */
    } CASES[] = {{"token-a", "a"},   {"token-b", "b"}, {"token-c", "b"},   {"token-d", NULL},
                 {"token-a ", NULL}, {"token-", NULL}, {"token-aa", NULL}, {"", NULL}};
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        dxi_access_login_t got;
        dx_error_t error = {.code = 0};
        if (CASES[i].user == NULL) {
            assert_fails(login(CASES[i].token, &got, &error), DX_EPERM, error, "token");
            assert_null(got.user);
        } else {
            assert_ok(login(CASES[i].token, &got, &error));
            assert_string_equal(dxi_access_user_name(got.user), CASES[i].user);
        }
        dxi_access_logout(access_live, &got);
    }
    dxi_access_stat_t stat;
    dxi_access_stat(access_live, &stat);
    assert_int_equal(stat.logins_refused, 5);
    assert_int_equal(stat.users, 2);
}

static void a_certificate_is_the_user_that_names_it(void **state)
{
    (void)state;
    users_set("users:\n  a: {certificates: [\"CN=a,O=W\", DNS:a.example]}\n"
              "  b: {certificates: DNS:b.example}\n");
    static const struct {
        const char *names;
        int code;
        const char *user;
    } CASES[] = {
        {"CN=a,O=W\0", DX_OK, "a"},
        {"CN=x\0DNS:x.example\0DNS:a.example\0", DX_OK, "a"},
        {"CN=a,O=W\0DNS:a.example\0", DX_OK, "a"},
        {"CN=a\0", DX_ENOTFOUND, NULL},
        {"CN=a,O=W,C=X\0", DX_ENOTFOUND, NULL},
        {"a.example\0", DX_ENOTFOUND, NULL}, /* a name of another kind */
        {"\0", DX_ENOTFOUND, NULL},
        {"CN=a,O=W\0DNS:b.example\0", DX_EPERM, NULL}, /* two users */
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        dxi_access_login_t got;
        dx_error_t error = {.code = 0};
        assert_int_equal(dxi_access_login_by_names(access_live, CASES[i].names, &got, &error),
                         CASES[i].code);
        if (CASES[i].user != NULL) {
            assert_string_equal(dxi_access_user_name(got.user), CASES[i].user);
        } else {
            assert_null(got.user);
        }
        dxi_access_logout(access_live, &got);
    }
}

static void without_users_nobody_is_anybody(void **state)
{
    (void)state;
    dxi_access_login_t got;
    dx_error_t error = {.code = 0};
    dxi_access_set(access_live, NULL);
    assert_false(dxi_access_on(access_live));
    assert_fails(login("token-a", &got, &error), DX_EPERM, error, "the token is wrong");
    assert_int_equal(dxi_access_login_by_names(access_live, "CN=a\0", &got, &error), DX_ENOTFOUND);
    users_set("users:\n");
    assert_true(dxi_access_on(access_live)); /* nobody may do anything */
    assert_fails(login("token-a", &got, &error), DX_EPERM, error, "the token is wrong");
}

/* -------------------------------------------------------------------------------------- reloads */

static void a_reload_moves_logins_whose_proof_is_still_good(void **state)
{
    (void)state;
    static const struct {
        const char *users;
        int code;
        const char *sentence;
    } CASES[] = {
        {"users:\n  a: {token_sha256: @token-a, publish: x}\n", 1, ""},
        {"users:\n  a: {token_sha256: [@token-b, @token-a]}\n", 1, ""},
        {"users:\n  a: {token_sha256: @token-b}\n", DX_EPERM, "the token with which user a came"},
        {"users:\n  b: {token_sha256: @token-a}\n", DX_EPERM, "user a is no longer one"},
        {"users:\n", DX_EPERM, "user a is no longer one"},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        dxi_access_login_t got;
        dx_error_t error = {.code = 0};
        users_set("users:\n  a: {token_sha256: @token-a}\n");
        assert_ok(login("token-a", &got, &error));
        assert_int_equal(dxi_access_login_refresh(access_live, &got, &error), 0);
        assert_int_equal(dxi_access_allows(got.user, DXI_ACCESS_PUBLISH, "x", 1, NULL), DX_EPERM);
        users_set(CASES[i].users);
        assert_int_equal(dxi_access_login_refresh(access_live, &got, &error), CASES[i].code);
        assert_contains(error.message, CASES[i].sentence);
        if (i == 0) {
            assert_ok(dxi_access_allows(got.user, DXI_ACCESS_PUBLISH, "x", 1, NULL));
        }
        dxi_access_logout(access_live, &got);
    }
}

static void a_certificate_that_is_taken_away_is_no_longer_good(void **state)
{
    (void)state;
    dxi_access_login_t got;
    dx_error_t error = {.code = 0};
    users_set("users:\n  a: {certificates: [CN=a, CN=b]}\n");
    assert_ok(dxi_access_login_by_names(access_live, "CN=a\0", &got, &error));
    users_set("users:\n  a: {certificates: [CN=a]}\n");
    assert_int_equal(dxi_access_login_refresh(access_live, &got, &error), 1);
    users_set("users:\n  a: {certificates: [CN=b]}\n");
    assert_fails(dxi_access_login_refresh(access_live, &got, &error), DX_EPERM, error,
                 "the certificate with which user a came is no longer good");
    dxi_access_logout(access_live, &got);
}

static void connections_count_for_the_name_and_across_reloads(void **state)
{
    (void)state;
    dxi_access_login_t one, two, three;
    dx_error_t error = {.code = 0};
    users_set("users:\n  a: {token_sha256: @token-a, connections_max: 2}\n");
    assert_ok(login("token-a", &one, &error));
    assert_ok(login("token-a", &two, &error));
    assert_ok(dxi_access_connect(access_live, &one, &error));
    assert_ok(dxi_access_connect(access_live, &one, &error)); /* counts once */
    assert_ok(dxi_access_connect(access_live, &two, &error));
    users_set("users:\n  a: {token_sha256: @token-a, connections_max: 2}\n  b:\n");
    assert_ok(login("token-a", &three, &error)); /* `one` and `two` are of the table before */
    assert_fails(dxi_access_connect(access_live, &three, &error), DX_ELIMIT, error,
                 "user a has 2 connections, and connections_max is 2");
    dxi_access_logout(access_live, &one);
    assert_ok(dxi_access_connect(access_live, &three, &error));
    dxi_access_logout(access_live, &three);
    assert_int_equal(dxi_access_login_refresh(access_live, &two, &error), 1);
    dxi_access_logout(access_live, &two);
    assert_ok(login("token-a", &one, &error));
    assert_int_equal(one.account->connections, 0);
    dxi_access_logout(access_live, &one);
}

static int attempt(void)
{
    dxi_access_t *access = NULL;
    dxi_access_login_t got = {.user = NULL};
    dxi_access_table_t *table = NULL;
    static const char TEXT[] = "users:\n  a: {certificates: CN=a}\n";
    int code = dxi_access_create(NULL, &access, NULL);
    if (code == DX_OK) {
        code = dxi_access_table_parse(TEXT, strlen(TEXT), "t", &table, NULL);
    }
    if (code == DX_OK) {
        dxi_access_set(access, table);
        code = dxi_access_login_by_names(access, "CN=a\0", &got, NULL);
    }
    if (code == DX_OK) {
        dxi_access_logout(access, &got);
        code = dxi_access_inbox_take(access, "a", "$inbox.1", 0, NULL);
    }
    if (code == DX_OK) {
        code = dxi_access_login_by_token(access, "t", 1, &got, NULL);
        code = code == DX_EPERM ? DX_OK : code;
    }
    dxi_access_destroy(access);
    return code;
}

static void without_memory_nothing_is_left(void **state)
{
    (void)state;
    assert_true(fault_sweep(attempt) >= 7);
}

/* ---------------------------------------------------------------------------------------- rates */

/* Takes all it gets for `seconds`, waiting as long as it is told to, each time more than `most`
 * events of `bytes`. Returns the events. */
static uint64_t taken_in(dxi_access_account_t *account, const dxi_access_limits_t *limits,
                         int64_t *now_ns, int64_t seconds, uint64_t *bytes_out)
{
    uint64_t total = 0;
    const int64_t until_ns = *now_ns + seconds * SECOND;
    *bytes_out = 0;
    while (*now_ns < until_ns) {
        uint64_t events = 0, bytes = 0;
        const int64_t wait_ns =
            dxi_access_rate_take(account, limits, *now_ns, 1000000, 1000000000, &events, &bytes);
        if (wait_ns > 0) {
            assert_int_equal(events, 0);
            assert_int_equal(bytes, 0);
            *now_ns += wait_ns;
            continue;
        }
        assert_true(events > 0 && bytes > 0); /* R2 */
        total += events;
        *bytes_out += bytes;
    }
    return total;
}

static void what_is_taken_is_the_rate_and_a_burst(void **state)
{
    (void)state;
    static const uint64_t RATES[] = {1, 3, 10, 1000, 123457, UINT64_C(1000000000)};
    for (size_t i = 0; i < COUNT_OF(RATES); i++) {
        dxi_access_account_t *const account = dxi_account_create("a");
        const dxi_access_limits_t limits = {.publish_events_per_s = RATES[i]};
        int64_t now_ns = 12345;
        uint64_t bytes = 0;
        const uint64_t events = taken_in(account, &limits, &now_ns, 20, &bytes);
        const uint64_t burst = RATES[i] / 10 > 0 ? RATES[i] / 10 : 1;
        assert_in_range(events, 20 * RATES[i] * 99 / 100, 20 * RATES[i] + burst + 1); /* R1 */
        dxi_account_destroy(account);
    }
}

static void bytes_are_limited_as_well_and_the_slower_one_counts(void **state)
{
    (void)state;
    dxi_access_account_t *const account = dxi_account_create("a");
    const dxi_access_limits_t limits = {.publish_events_per_s = 100, .publish_bytes_per_s = 1000};
    int64_t now_ns = 1;
    uint64_t bytes = 0;
    const uint64_t events = taken_in(account, &limits, &now_ns, 10, &bytes);
    assert_in_range(bytes, 9900, 10102);
    assert_true(events <= 1011);
    dxi_account_destroy(account);
}

static void who_has_no_rate_gets_all(void **state)
{
    (void)state;
    dxi_access_account_t *const account = dxi_account_create("a");
    const dxi_access_limits_t limits = {.connections_max = 1};
    uint64_t events = 0, bytes = 0;
    assert_int_equal(dxi_access_rate_take(account, &limits, 1, 7, 8, &events, &bytes), 0);
    assert_int_equal(events, 7);
    assert_int_equal(bytes, 8);
    dxi_account_destroy(account);
}

static void what_is_given_back_can_be_taken_and_no_more_than_a_burst(void **state)
{
    (void)state;
    dxi_access_account_t *const account = dxi_account_create("a");
    const dxi_access_limits_t limits = {.publish_events_per_s = 100};
    uint64_t events = 0, bytes = 0;
    assert_int_equal(dxi_access_rate_take(account, &limits, 1, 100, 1, &events, &bytes), 0);
    assert_int_equal(events, 10);
    assert_true(dxi_access_rate_take(account, &limits, 1, 100, 1, &events, &bytes) > 0);
    dxi_access_rate_return(account, &limits, 4, 0);
    assert_int_equal(dxi_access_rate_take(account, &limits, 1, 100, 1, &events, &bytes), 0);
    assert_int_equal(events, 4);
    dxi_access_rate_return(account, &limits, 1000, 0);
    assert_int_equal(dxi_access_rate_take(account, &limits, 1, 100, 1, &events, &bytes), 0);
    assert_int_equal(events, 10);
    dxi_account_destroy(account);
}

/* A clock that goes back gives nothing, and takes nothing away. */
static void time_that_goes_back_gives_nothing(void **state)
{
    (void)state;
    dxi_access_account_t *const account = dxi_account_create("a");
    const dxi_access_limits_t limits = {.publish_events_per_s = 100};
    uint64_t events = 0, bytes = 0;
    (void)dxi_access_rate_take(account, &limits, 5 * SECOND, 10, 1, &events, &bytes);
    assert_true(dxi_access_rate_take(account, &limits, SECOND, 10, 1, &events, &bytes) > 0);
    assert_int_equal(dxi_access_rate_take(account, &limits, 6 * SECOND, 100, 1, &events, &bytes),
                     0);
    assert_int_equal(events, 10);
    dxi_account_destroy(account);
}

/* -------------------------------------------------------------------------------------- inboxes */

static void an_inbox_belongs_to_who_took_it_first(void **state)
{
    (void)state;
    dxi_inboxes_t inboxes = {.count = 0};
    dx_error_t error = {.code = 0};
    assert_ok(dxi_inboxes_take(&inboxes, "a", "$inbox.1", 0, &error));
    assert_ok(dxi_inboxes_take(&inboxes, "a", "$inbox.1", 0, &error)); /* once more */
    assert_fails(dxi_inboxes_take(&inboxes, "b", "$inbox.1", 0, &error), DX_EPERM, error,
                 "it is another's inbox");
    dxi_inboxes_leave(&inboxes, "$inbox.1", 1);
    dxi_inboxes_leave(&inboxes, "$inbox.1", 2);
    dxi_inboxes_leave(&inboxes, "$inbox.1", 2); /* once too often */
    dxi_inboxes_leave(&inboxes, "$inbox.2", 2); /* never taken */
    const int64_t kept_ns = DXI_ACCESS_INBOX_KEPT_S * SECOND;
    assert_int_equal(dxi_inboxes_take(&inboxes, "b", "$inbox.1", kept_ns, &error), DX_EPERM);
    assert_ok(dxi_inboxes_take(&inboxes, "a", "$inbox.1", kept_ns, &error)); /* it came back */
    dxi_inboxes_leave(&inboxes, "$inbox.1", kept_ns);
    assert_ok(dxi_inboxes_take(&inboxes, "b", "$inbox.1", 2 * kept_ns + 1, &error));
    assert_int_equal(inboxes.count, 1);
    dxi_inboxes_close(&inboxes);
}

static void inboxes_have_limits(void **state)
{
    (void)state;
    dxi_inboxes_t inboxes = {.count = 0};
    dx_error_t error = {.code = 0};
    char topic[DXI_ACCESS_INBOX_BYTES_MAX + 2];
    memset(topic, 'x', sizeof topic);
    topic[DXI_ACCESS_INBOX_BYTES_MAX + 1] = '\0';
    assert_fails(dxi_inboxes_take(&inboxes, "a", topic, 0, &error), DX_ELIMIT, error, "at most 63");
    topic[DXI_ACCESS_INBOX_BYTES_MAX] = '\0';
    assert_ok(dxi_inboxes_take(&inboxes, "a", topic, 0, &error));
    for (int i = 1; i < DXI_ACCESS_INBOXES_MAX; i++) {
        (void)snprintf(topic, sizeof topic, "$inbox.%d", i);
        assert_ok(dxi_inboxes_take(&inboxes, "a", topic, 0, &error));
    }
    assert_fails(dxi_inboxes_take(&inboxes, "a", "$inbox.more", 0, &error), DX_ELIMIT, error,
                 "65536 inboxes");
    dxi_inboxes_leave(&inboxes, "$inbox.7", 0);
    dxi_inboxes_leave(&inboxes, "$inbox.8", 0);
    assert_ok(dxi_inboxes_take(&inboxes, "b", "$inbox.more", 0, &error)); /* 7 is forgotten */
    assert_ok(dxi_inboxes_take(&inboxes, "b", "$inbox.7", 0, &error));    /* and 8 */
    dxi_inboxes_leave(&inboxes, "$inbox.7", 0); /* b's is older than a's, and stays */
    dxi_inboxes_leave(&inboxes, "$inbox.9", 0);
    assert_ok(dxi_inboxes_take(&inboxes, "a", "$inbox.another", 0, &error));
    assert_int_equal(dxi_inboxes_take(&inboxes, "a", "$inbox.7", 0, &error), DX_EPERM);
    assert_int_equal(inboxes.count, DXI_ACCESS_INBOXES_MAX);
    dxi_inboxes_close(&inboxes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hash_is_what_sha256sum_says),
        cmocka_unit_test_setup_teardown(a_token_is_one_user_and_anything_else_nobody, begin, end),
        cmocka_unit_test_setup_teardown(a_certificate_is_the_user_that_names_it, begin, end),
        cmocka_unit_test_setup_teardown(without_users_nobody_is_anybody, begin, end),
        cmocka_unit_test_setup_teardown(a_reload_moves_logins_whose_proof_is_still_good, begin,
                                        end),
        cmocka_unit_test_setup_teardown(a_certificate_that_is_taken_away_is_no_longer_good, begin,
                                        end),
        cmocka_unit_test_setup_teardown(connections_count_for_the_name_and_across_reloads, begin,
                                        end),
        cmocka_unit_test(without_memory_nothing_is_left),
        cmocka_unit_test(what_is_taken_is_the_rate_and_a_burst),
        cmocka_unit_test(bytes_are_limited_as_well_and_the_slower_one_counts),
        cmocka_unit_test(who_has_no_rate_gets_all),
        cmocka_unit_test(what_is_given_back_can_be_taken_and_no_more_than_a_burst),
        cmocka_unit_test(time_that_goes_back_gives_nothing),
        cmocka_unit_test(an_inbox_belongs_to_who_took_it_first),
        cmocka_unit_test(inboxes_have_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
