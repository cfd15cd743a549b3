/* test_bus_names.c - names of topics, patterns, and the trie that finds patterns.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bus/trie.h"
#include "shard_test.h"

/* 32 tokens, and one more. */
#define TOKENS_8 "a.b.c.d.e.f.g.h"
#define TOKENS_32 TOKENS_8 "." TOKENS_8 "." TOKENS_8 "." TOKENS_8

static void names_are_what_the_rules_say(void **state)
{
    (void)state;
    char longest[DX_TOPIC_BYTES_MAX + 2];
    memset(longest, 'x', sizeof longest);
    const struct {
        const char *name;
        size_t bytes;
        const char *refused; /* NULL: it is a name */
    } cases[] = {
        {"a", 1, NULL},
        {"orders.created", 14, NULL},
        {"a-b_c/d:e", 9, NULL},
        {"$inbox.0123", 11, NULL},
        {"größe.\xf0\x9f\x98\x80", 12, NULL},
        {TOKENS_32, sizeof TOKENS_32 - 1, NULL},
        {longest, DX_TOPIC_BYTES_MAX, NULL},
        {longest, DX_TOPIC_BYTES_MAX + 1, "256 bytes, must have from 1 to 255"},
        {"", 0, "0 bytes"},
        {NULL, 0, "0 bytes"},
        {".", 1, "empty part"},
        {"a.", 2, "empty part"},
        {".a", 2, "empty part"},
        {"a..b", 4, "empty part"},
        {"a b", 3, "byte 0x20"},
        {"a\tb", 3, "byte 0x09"},
        {"a\0b", 3, "byte 0x00"},
        {"a\x7f", 2, "byte 0x7f"},
        {"a.*", 3, "'*' in it"},
        {"a.>", 3, "'>' in it"},
        {"a*b", 3, "'*' in it"},
        {"\xff", 1, "byte 0xff"},
        {"\xc0\xaf", 2, "byte 0xc0"},         /* overlong */
        {"\xe0\x80\xaf", 3, "byte 0xe0"},     /* overlong */
        {"\xf0\x80\x80\xaf", 4, "byte 0xf0"}, /* overlong */
        {"\xed\xa0\x80", 3, "byte 0xed"},     /* a surrogate */
        {"\xf4\x90\x80\x80", 4, "byte 0xf4"}, /* above U+10FFFF */
        {"\xc3", 1, "byte 0xc3"},             /* cut */
        {"\xc3(", 2, "byte 0xc3"},
        {"\xc2\xa0", 2, "byte 0xc2"},     /* a blank that does not break */
        {"\xe2\x80\xa8", 3, "byte 0xe2"}, /* a line separator */
        {TOKENS_32 ".x", sizeof TOKENS_32 + 1, "more than 32 parts"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        dx_error_t error = {0};
        const int code = dxi_topic_check(cases[i].name, cases[i].bytes, &error);
        if ((code == DX_OK) != (cases[i].refused == NULL)) {
            fail_msg("case %zu: %s, \"%s\"", i, dx_error_name(code), error.message);
        }
        if (cases[i].refused != NULL) {
            assert_int_equal(code, DX_EINVAL);
            assert_contains(error.message, cases[i].refused);
        }
    }
}

static void patterns_have_wildcards_as_whole_parts(void **state)
{
    (void)state;
    const struct {
        const char *pattern;
        const char *refused;
    } cases[] = {
        {"a", NULL},
        {"*", NULL},
        {">", NULL},
        {"a.*.b", NULL},
        {"*.*", NULL},
        {"a.>", NULL},
        {"*.>", NULL},
        {">.a", "in the middle"},
        {"a.>.b", "in the middle"},
        {"a*", "stand alone"},
        {"a.b>", "stand alone"},
        {"**", "stand alone"},
        {"a..*", "empty"},
        {"", "0 bytes"},
        {"a. *", "byte 0x20"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        dx_error_t error = {0};
        const int code = dxi_pattern_check(cases[i].pattern, strlen(cases[i].pattern), &error);
        if ((code == DX_OK) != (cases[i].refused == NULL)) {
            fail_msg("\"%s\": %s, \"%s\"", cases[i].pattern, dx_error_name(code), error.message);
        }
        if (cases[i].refused != NULL) {
            assert_contains(error.message, cases[i].refused);
        }
    }
}

static const struct {
    const char *pattern;
    const char *name;
    bool matches;
} MATCHES[] = {
    {"a", "a", true},
    {"a", "b", false},
    {"a", "a.b", false},
    {"a.b", "a", false},
    {"a.b", "a.b", true},
    {"a.b", "a.bc", false},
    {"*", "a", true},
    {"*", "a.b", false},
    {"a.*", "a.b", true},
    {"a.*", "a", false},
    {"a.*", "a.b.c", false},
    {"*.b", "a.b", true},
    {"a.*.c", "a.b.c", true},
    {"a.*.c", "a.b.d", false},
    {">", "a", true},
    {">", "a.b.c", true},
    {"a.>", "a", false},
    {"a.>", "a.b", true},
    {"a.>", "a.b.c", true},
    {"*.>", "a", false},
    {"*.>", "a.b", true},
    {">", "$dead.a", false},
    {"*.a", "$dead.a", false},
    {"$dead.>", "$dead.a", true},
    {"$dead.*", "$dead.a", true},
    {"*.*.>", "a.b", false},
    {"*.*.>", "a.b.c.d", true},
    {"*.$x", "a.$x", true},
};

static void patterns_match_what_they_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(MATCHES); i++) {
        if (dxi_pattern_matches(MATCHES[i].pattern, strlen(MATCHES[i].pattern), MATCHES[i].name,
                                strlen(MATCHES[i].name)) != MATCHES[i].matches) {
            fail_msg("\"%s\" and \"%s\"", MATCHES[i].pattern, MATCHES[i].name);
        }
    }
}

/* ----------------------------------------------------------------------------------------- trie */

typedef struct found {
    dxi_trie_entry_t *entries[64];
    int count;
} found_t;

static bool note(void *context, dxi_trie_entry_t *entry)
{
    found_t *const found = context;
    found->entries[found->count++] = entry;
    return true;
}

static bool stop(void *context, dxi_trie_entry_t *entry)
{
    (void)entry;
    ++*(int *)context;
    return false;
}

static int times_found(const found_t *found, const dxi_trie_entry_t *entry)
{
    int times = 0;
    for (int i = 0; i < found->count; i++) {
        times += found->entries[i] == entry;
    }
    return times;
}

static void the_trie_finds_what_the_patterns_say(void **state)
{
    (void)state;
    dxi_trie_t trie;
    assert_ok(dxi_trie_init(&trie));
    static dxi_trie_entry_t entries[COUNT_OF(MATCHES)];
    memset(entries, 0, sizeof entries);
    for (size_t i = 0; i < COUNT_OF(MATCHES); i++) {
        assert_ok(dxi_trie_add(&trie, MATCHES[i].pattern, strlen(MATCHES[i].pattern), &entries[i]));
    }
    dxi_trie_check(&trie);
    for (size_t i = 0; i < COUNT_OF(MATCHES); i++) {
        found_t found = {0};
        assert_true(dxi_trie_match(&trie, MATCHES[i].name, strlen(MATCHES[i].name), note, &found));
        for (size_t j = 0; j < COUNT_OF(MATCHES); j++) {
            const bool expected =
                dxi_pattern_matches(MATCHES[j].pattern, strlen(MATCHES[j].pattern), MATCHES[i].name,
                                    strlen(MATCHES[i].name));
            assert_int_equal(times_found(&found, &entries[j]), expected);
        }
    }
    int stopped = 0;
    assert_false(dxi_trie_match(&trie, "a.b", 3, stop, &stopped));
    assert_int_equal(stopped, 1);
    for (size_t i = 0; i < COUNT_OF(MATCHES); i++) {
        dxi_trie_remove(&trie, &entries[i]);
        dxi_trie_remove(&trie, &entries[i]); /* allowed */
        dxi_trie_check(&trie);
    }
    assert_int_equal(trie.count, 0);
    dxi_trie_close(&trie);
}

static void a_node_with_many_children_finds_each(void **state)
{
    (void)state;
    enum { COUNT = 5000 };
    static dxi_trie_entry_t entries[COUNT];
    memset(entries, 0, sizeof entries);
    dxi_trie_t trie;
    assert_ok(dxi_trie_init(&trie));
    char name[32];
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(name, sizeof name, "a.%d.b", i);
        assert_ok(dxi_trie_add(&trie, name, strlen(name), &entries[i]));
    }
    dxi_trie_check(&trie);
    for (int i = 0; i < COUNT; i++) {
        found_t found = {0};
        (void)snprintf(name, sizeof name, "a.%d.b", i);
        assert_true(dxi_trie_match(&trie, name, strlen(name), note, &found));
        assert_int_equal(found.count, 1);
        assert_ptr_equal(found.entries[0], &entries[i]);
    }
    for (int i = COUNT - 1; i >= 0; i -= 2) {
        dxi_trie_remove(&trie, &entries[i]);
    }
    dxi_trie_check(&trie);
    assert_int_equal(trie.count, 1 + COUNT); /* a, and two for each that is left */
    dxi_trie_close(&trie);
}

static int attempt(void)
{
    dxi_trie_t trie;
    dxi_trie_entry_t entry = {0};
    int code = dxi_trie_init(&trie);
    if (code == DX_OK) {
        code = dxi_trie_add(&trie, "a.b.c", 5, &entry);
        dxi_trie_check(&trie);
        assert_true(code == DX_OK || trie.count == 0); /* nothing is left half-way */
        dxi_trie_close(&trie);
    }
    return code;
}

static void without_memory_the_trie_stays_as_it_was(void **state)
{
    (void)state;
    assert_int_equal(fault_sweep(attempt), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_what_the_rules_say),
        cmocka_unit_test(patterns_have_wildcards_as_whole_parts),
        cmocka_unit_test(patterns_match_what_they_say),
        cmocka_unit_test(the_trie_finds_what_the_patterns_say),
        cmocka_unit_test(a_node_with_many_children_finds_each),
        cmocka_unit_test(without_memory_the_trie_stays_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
