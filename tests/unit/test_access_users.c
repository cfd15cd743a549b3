/* test_access_users.c - users files: what they say, what is refused, and what a user may.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/table.h"
#include "base_test.h"
#include "disruptorx/frame.h"

/* SHA-256 of "secret-a", "secret-b". */
#define HASH_A "7e32a729b1226ed1270f282a8c63054d09b26bc9ec53ea69771ce38158dfade8"
#define HASH_0 "0000000000000000000000000000000000000000000000000000000000000001"

static dxi_access_table_t *parsed(const char *text)
{
    dxi_access_table_t *table = NULL;
    dx_error_t error = {.code = 0};
    if (dxi_access_table_parse(text, strlen(text), "users.yaml", &table, &error) != DX_OK) {
        fail_msg("%s", error.message);
    }
    return table;
}

static void wrong_files_are_refused_with_the_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int code;
        const char *sentence;
    } CASES[] = {
        {"users: [a]\n", DX_EINVAL, "users.yaml:1: users must have names below it, indented"},
        {"- a\n", DX_EPARSE, "users.yaml:1: must have the sections users and roles"},
        {"user:\n  a:\n", DX_EINVAL, "users.yaml:1: the section user is not known"},
        {"users:\n  a:\n    pubish: b\n", DX_EINVAL,
         "users.yaml:3: pubish is no key of a user; did you mean publish?"},
        {"users:\n  a:\n    zzz: b\n", DX_EINVAL, "zzz is no key of a user; docs/security.md"},
        {"roles:\n  a:\n    token_sha256: b\n", DX_EINVAL,
         "users.yaml:3: token_sha256 is no key of a role"},
        {"users:\n  a b:\n", DX_EINVAL, "users.yaml:2: user \"a b\" must be 1 to 63 letters"},
        {"users:\n  a.b:\n", DX_EINVAL, "must be 1 to 63 letters"},
        {"users:\n  a:\n  b:\n  a:\n", DX_EINVAL,
         "users.yaml:4: the user a is there for the second time, after line 2"},
        {"users:\n  a:\nusers:\n  b:\n", DX_EINVAL, "the section users is there for the second"},
        {"roles:\n  a:\n  a:\n", DX_EINVAL, "the role a is there for the second time"},
        {"users:\n  a:\n    publish: b\n    publish: c\n", DX_EINVAL,
         "users.yaml:4: the key publish is there for the second time"},
        {"users:\n  a:\n    token_sha256: mytoken\n", DX_EINVAL,
         "token_sha256 of a must be 64 hexadecimal digits"},
        {"users:\n  a:\n    token_sha256: " HASH_0 "\n  b:\n    token_sha256: " HASH_0 "\n",
         DX_EINVAL, "has the same token as user"},
        {"users:\n  a:\n    certificates: pump\n", DX_EINVAL, "certificate \"pump\" must be a"},
        {"users:\n  a:\n    certificates: CN=x\n  b:\n    certificates: [CN=x]\n", DX_EINVAL,
         "the certificate \"CN=x\" of user"},
        {"users:\n  a:\n    roles: devic\nroles:\n  device:\n", DX_EINVAL,
         "users.yaml:3: there is no role devic; did you mean device?"},
        {"users:\n  a:\n    roles: [b, b]\nroles:\n  b:\n", DX_EINVAL,
         "role b is there for the second time"},
        {"users:\n  a:\n    publish: a..b\n", DX_EINVAL, "users.yaml:3: a..b: the pattern has an"},
        {"users:\n  a:\n    publish: \"\"\n", DX_EINVAL, "0 bytes"},
        {"users:\n  a:\n    publish:\n", DX_EINVAL, "publish of a has no value"},
        {"users:\n  a:\n    publish: {b: c}\n", DX_EINVAL, "must be a text, or a list of texts"},
        {"users:\n  a:\n    publish: [[b]]\n", DX_EINVAL, "must be a text, or a list of texts"},
        {"users:\n  a:\n    publish: b.{usr}\n", DX_EINVAL, "a '{' that does not begin {user}"},
        {"users:\n  a:\n    publish: $dead.b\n", DX_EINVAL, "only subscribe and subscribe_deny"},
        {"users:\n  a:\n    subscribe: $inbox.>\n", DX_EINVAL, "an inbox belongs to who asks"},
        {"users:\n  a:\n    admin: all\n", DX_EINVAL, "must be none, read or write"},
        {"users:\n  a:\n    admin: [read]\n", DX_EINVAL, "must be a text"},
        {"users:\n  a:\n    connections_max: 0\n", DX_EINVAL, "connections_max"},
        {"users:\n  a:\n    publish_events_per_s: fast\n", DX_EINVAL, "publish_events_per_s"},
        {"users:\n  a: &x\n", DX_EPARSE, "which a users file does not need and may not use"},
        {"users:\n  a:\n---\nusers:\n", DX_EPARSE, "begins a second document; a users file is one"},
        {"users:\n\ta:\n", DX_EPARSE, "users.yaml:2: has a tab"},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        dxi_access_table_t *table = NULL;
        dx_error_t error = {.code = 0};
        const int code = dxi_access_table_parse(CASES[i].text, strlen(CASES[i].text), "users.yaml",
                                                &table, &error);
        if (code != CASES[i].code || strstr(error.message, CASES[i].sentence) == NULL) {
            fail_msg("%s\n%s (%s), not %s", CASES[i].text, error.message, dx_error_name(code),
                     CASES[i].sentence);
        }
        assert_null(table);
    }
}

static const char FILE_TEXT[] = "roles:\n"
                                "  device:\n"
                                "    publish: [\"plant.{user}.>\", plant.all]\n"
                                "    publish_deny: plant.*.secret\n"
                                "    subscribe: orders.{user}\n"
                                "    admin: read\n"
                                "    publish_events_per_s: 2k\n"
                                "  slow:\n"
                                "    publish_events_per_s: 100\n"
                                "    publish_bytes_per_s: 1Mi\n"
                                "users:\n"
                                "  pump-7:\n"
                                "    roles: [device, slow]\n"
                                "    token_sha256: " HASH_A "\n"
                                "    certificates: [\"CN=pump-7,O=Works\", DNS:pump-7.example]\n"
                                "    connections_max: 3\n"
                                "  boss:\n"
                                "    publish: \">\"\n"
                                "    subscribe: [\">\", \"$dead.>\"]\n"
                                "    request: calc.*\n"
                                "    manage: orders.>\n"
                                "    admin: write\n"
                                "  nobody:\n";

static void users_may_what_their_rules_and_roles_say(void **state)
{
    (void)state;
    static const struct {
        const char *user;
        dxi_access_action_t action;
        const char *object;
        const char *refused; /* NULL: allowed */
    } CASES[] = {
        {"pump-7", DXI_ACCESS_PUBLISH, "plant.pump-7.heat", NULL},
        {"pump-7", DXI_ACCESS_PUBLISH, "plant.all", NULL},
        {"pump-7", DXI_ACCESS_PUBLISH, "plant.pump-8.heat",
         "user pump-7 may not publish to \"plant.pump-8.heat\": no rule allows it"},
        {"pump-7", DXI_ACCESS_PUBLISH, "plant.pump-7.secret",
         "publish_deny \"plant.*.secret\" of role device"},
        {"pump-7", DXI_ACCESS_SUBSCRIBE, "orders.pump-7", NULL},
        {"pump-7", DXI_ACCESS_SUBSCRIBE, "orders.*",
         "user pump-7 may not subscribe to \"orders.*\": no rule allows all of it"},
        {"pump-7", DXI_ACCESS_SUBSCRIBE, "plant.all", "no rule"},
        {"pump-7", DXI_ACCESS_REQUEST, "plant.all", "may not send requests to"},
        {"pump-7", DXI_ACCESS_MANAGE, "plant.all", "may not create, change or delete"},
        {"pump-7", DXI_ACCESS_ADMIN_READ, NULL, NULL},
        {"pump-7", DXI_ACCESS_ADMIN_WRITE, NULL, "admin is read, must be write"},
        {"boss", DXI_ACCESS_SUBSCRIBE, ">", NULL},
        {"boss", DXI_ACCESS_SUBSCRIBE, "$dead.*", NULL},
        {"boss", DXI_ACCESS_SUBSCRIBE, "$inbox.1", "no rule"},
        {"boss", DXI_ACCESS_REQUEST, "calc.sum", NULL},
        {"boss", DXI_ACCESS_REQUEST, "calc", "no rule"},
        {"boss", DXI_ACCESS_MANAGE, "orders.new", NULL},
        {"boss", DXI_ACCESS_ADMIN_WRITE, NULL, NULL},
        {"nobody", DXI_ACCESS_PUBLISH, "a", "no rule"},
        {"nobody", DXI_ACCESS_SUBSCRIBE, "a", "no rule"},
        {"nobody", DXI_ACCESS_ADMIN_READ, NULL, "admin is none, must be read or write"},
    };
    dxi_access_table_t *const table = parsed(FILE_TEXT);
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        dx_error_t error = {.code = 0};
        const dxi_access_user_t *const user = dxi_access_table_find(table, CASES[i].user);
        const char *const object = CASES[i].object;
        const int code = dxi_access_allows(user, CASES[i].action, object,
                                           object != NULL ? strlen(object) : 0, &error);
        if (code != (CASES[i].refused == NULL ? DX_OK : DX_EPERM) ||
            (CASES[i].refused != NULL && strstr(error.message, CASES[i].refused) == NULL)) {
            fail_msg("%s %s %s: %s", CASES[i].user, dxi_access_action_name(CASES[i].action),
                     object != NULL ? object : "", code == DX_OK ? "allowed" : error.message);
        }
    }
    dxi_access_table_release(table);
}

static void limits_are_the_users_own_or_the_least_of_its_roles(void **state)
{
    (void)state;
    dxi_access_table_t *const table = parsed(FILE_TEXT);
    const dxi_access_limits_t *const limits =
        dxi_access_user_limits(dxi_access_table_find(table, "pump-7"));
    assert_int_equal(limits->connections_max, 3);
    assert_int_equal(limits->publish_events_per_s, 100);
    assert_int_equal(limits->publish_bytes_per_s, 1048576);
    assert_int_equal(limits->subscriptions_max, 0);
    assert_string_equal(dxi_access_user_name(dxi_access_table_user(table, 1)), "boss");
    assert_null(dxi_access_table_user(table, 3));
    assert_null(dxi_access_table_find(table, "pump"));
    dxi_access_table_release(table);
}

static void an_empty_file_has_no_users(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {"", "# nothing\n", "users:\n", "roles:\nusers:\n"};
    for (size_t i = 0; i < COUNT_OF(TEXTS); i++) {
        dxi_access_table_t *const table = parsed(TEXTS[i]);
        assert_null(dxi_access_table_user(table, 0));
        assert_null(dxi_access_table_find(table, ""));
        dxi_access_table_release(table);
    }
}

/* ----------------------------------------------------------------------------------- the limits */

typedef struct text {
    char *bytes;
    size_t used, room;
} text_t;

static void say(text_t *text, const char *format, unsigned number)
{
    if (text->room - text->used < 512) {
        text->room = text->room * 2 + 4096;
        text->bytes = realloc(text->bytes, text->room);
        assert_non_null(text->bytes);
    }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    text->used += (size_t)snprintf(text->bytes + text->used, 512, format, number);
#pragma GCC diagnostic pop
}

/* `count` items after `head`; a limit is taken, and one more is refused. */
static void limit_check(const char *head, const char *item, const char *tail, unsigned most,
                        const char *refused)
{
    for (unsigned count = most; count <= most + 1; count++) {
        text_t text = {.bytes = NULL};
        dxi_access_table_t *table = NULL;
        dx_error_t error = {.code = 0};
        say(&text, head, 0);
        for (unsigned i = 0; i < count; i++) {
            say(&text, item, i + 1);
        }
        say(&text, tail, 0);
        const int code =
            dxi_access_table_parse(text.bytes, text.used, "users.yaml", &table, &error);
        if (count == most && code != DX_OK) {
            fail_msg("%u of %s: %s", count, item, error.message);
        }
        if (count > most) {
            assert_int_equal(code, DX_ELIMIT);
            assert_contains(error.message, refused);
        }
        dxi_access_table_release(table);
        free(text.bytes);
    }
}

static void each_limit_is_reached_and_not_passed(void **state)
{
    (void)state;
    limit_check("users:\n", "  u%u: {publish: a}\n", "", DXI_ACCESS_USERS_MAX,
                "there are more than 4096 users");
    limit_check("roles:\n", "  r%u:\n", "", DXI_ACCESS_ROLES_MAX, "there are more than 256 roles");
    limit_check("users:\n  a:\n    publish: [", "t%u, ", "]\n", DXI_ACCESS_PATTERNS_MAX,
                "publish of a has more than 256 items");
    limit_check("users:\n  a:\n    certificates: [", "CN=%u, ", "]\n", DXI_ACCESS_CERTIFICATES_MAX,
                "more than 16 items");
    limit_check("users:\n  a:\n    token_sha256: [", "\"%064u\", ", "]\n", DXI_ACCESS_TOKENS_MAX,
                "more than 4 items");
    /* Names of 63 letters, and the rules of a user with those of its roles. */
    limit_check("roles:\n  r:\n    publish: [", "t%u, ",
                "]\nusers:\n  a:\n    roles: r\n    publish: [x]\n", DXI_ACCESS_PATTERNS_MAX - 1,
                "user a has 257 rules to publish");
}

static void names_have_63_letters_at_most(void **state)
{
    (void)state;
    char name[DXI_ACCESS_NAME_BYTES_MAX + 2];
    memset(name, 'n', sizeof name);
    name[DXI_ACCESS_NAME_BYTES_MAX] = '\0';
    assert_true(dxi_access_name_ok(name));
    name[DXI_ACCESS_NAME_BYTES_MAX] = 'n';
    name[DXI_ACCESS_NAME_BYTES_MAX + 1] = '\0';
    assert_false(dxi_access_name_ok(name));
    assert_false(dxi_access_name_ok(""));
    assert_false(dxi_access_name_ok("a/b"));
}

static void a_name_that_makes_a_pattern_too_long_is_refused(void **state)
{
    (void)state;
    char text[600], pattern[DX_FRAME_TOPIC_BYTES_MAX + 1];
    for (size_t bytes = 252; bytes <= 253; bytes++) {
        dxi_access_table_t *table = NULL;
        dx_error_t error = {.code = 0};
        memset(pattern, 'p', sizeof pattern);
        pattern[bytes] = '\0';
        (void)snprintf(text, sizeof text, "users:\n  abc:\n    publish: %s{user}\n", pattern);
        const int code = dxi_access_table_parse(text, strlen(text), "users.yaml", &table, &error);
        assert_int_equal(code, bytes == 252 ? DX_OK : DX_EINVAL);
        if (code != DX_OK) {
            assert_contains(error.message, "users.yaml:3: the pattern has more than 255 bytes");
        }
        dxi_access_table_release(table);
    }
}

/* ---------------------------------------------------------------------------------------- files */

static char path[64];

static int file_make(void **state)
{
    (void)state;
    (void)snprintf(path, sizeof path, "/tmp/dx-users-XXXXXX");
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "users:\n  a:\n", 12), 12);
    return close(fd);
}

static int file_remove(void **state)
{
    (void)state;
    return unlink(path);
}

static void a_file_that_others_may_write_is_refused(void **state)
{
    (void)state;
    dxi_access_table_t *table = NULL;
    dx_error_t error = {.code = 0};
    assert_int_equal(chmod(path, 0644), 0);
    assert_ok(dxi_access_table_load(path, &table, &error));
    dxi_access_table_release(table);
    static const mode_t MODES[] = {0620, 0602, 0666};
    for (size_t i = 0; i < COUNT_OF(MODES); i++) {
        assert_int_equal(chmod(path, MODES[i]), 0);
        assert_fails(dxi_access_table_load(path, &table, &error), DX_EPERM, error,
                     "may be written by others (mode 06");
    }
    assert_int_equal(chmod(path, 0600), 0);
}

static void what_is_no_file_is_refused(void **state)
{
    (void)state;
    dxi_access_table_t *table = NULL;
    dx_error_t error = {.code = 0};
    assert_fails(dxi_access_table_load("/tmp", &table, &error), DX_EINVAL, error,
                 "/tmp can't be read: it is no regular file");
    assert_fails(dxi_access_table_load("/nowhere/users.yaml", &table, &error), DX_ENOTFOUND, error,
                 "/nowhere/users.yaml");
    assert_int_equal(truncate(path, DXI_ACCESS_FILE_BYTES_MAX + 1), 0);
    assert_fails(dxi_access_table_load(path, &table, &error), DX_ELIMIT, error,
                 "is longer than 4194304 bytes");
    assert_int_equal(truncate(path, 0), 0);
}

static int attempt(void)
{
    dxi_access_table_t *table = NULL;
    const int code =
        dxi_access_table_parse(FILE_TEXT, strlen(FILE_TEXT), "users.yaml", &table, NULL);
    dxi_access_table_release(table);
    return code;
}

static void without_memory_nothing_is_left(void **state)
{
    (void)state;
    assert_true(fault_sweep(attempt) > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_files_are_refused_with_the_line),
        cmocka_unit_test(users_may_what_their_rules_and_roles_say),
        cmocka_unit_test(limits_are_the_users_own_or_the_least_of_its_roles),
        cmocka_unit_test(an_empty_file_has_no_users),
        cmocka_unit_test(each_limit_is_reached_and_not_passed),
        cmocka_unit_test(names_have_63_letters_at_most),
        cmocka_unit_test(a_name_that_makes_a_pattern_too_long_is_refused),
        cmocka_unit_test(a_file_that_others_may_write_is_refused),
        cmocka_unit_test(what_is_no_file_is_refused),
        cmocka_unit_test(without_memory_nothing_is_left),
    };
    return cmocka_run_group_tests(tests, file_make, file_remove);
}
