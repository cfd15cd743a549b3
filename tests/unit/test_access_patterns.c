/* test_access_patterns.c - what patterns match together: a table, and all small patterns against
 * all small names.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/patterns.h"
#include "base_test.h"
#include "wire/topic_name.h"

#define RULES_MAX 4

/* Rules separated by blanks. */
static size_t rules_read(const char *text, dxi_access_rule_t rules_out[RULES_MAX])
{
    size_t count = 0;
    while (*text != '\0') {
        const size_t bytes = strcspn(text, " ");
        rules_out[count++] = (dxi_access_rule_t){.pattern = text, .bytes = (uint32_t)bytes};
        text += bytes + (text[bytes] == ' ');
    }
    return count;
}

static void rules_cover_what_all_of_them_match(void **state)
{
    (void)state;
    static const struct {
        const char *rules, *pattern;
        bool covered;
    } CASES[] = {
        {"a", "a", true},
        {"a", "b", false},
        {"", "a", false},
        {"*", "a", true},
        {">", "a.b.c", true},
        {"a.*", "a.b", true},
        {"a.*", "a.*", true},
        {"a.*", "a.>", false},
        {"a.>", "a.*", true},
        {"a.>", "a.*.b", true},
        {"a.>", "a", false},
        {"a.b", "a.*", false},
        {"a.b a.c", "a.*", false},     /* there is always another part */
        {"a.* a.*.>", "a.>", true},    /* together only */
        {"a.* a.*.*.>", "a.>", false}, /* a.b.c is left out */
        {"* *.>", ">", true},
        {"* *.* *.*.>", ">", true},
        {"*.b a.*", "a.b", true},
        {"*.b a.*", "*.*", false},
        {"*.>", ">", false},
        {">", "$dead.a", false}, /* a first wildcard is never a '$' */
        {"*.a", "$dead.a", false},
        {"$dead.>", "$dead.a", true},
        {"$dead.>", ">", false},
        {"$dead.*", "$dead.>", false},
        {"a.*.c", "a.*.*", false},
        {"a.*.c", "a.b.c", true},
        {"aa", "a", false},
        {"a", "aa", false},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        dxi_access_rule_t rules[RULES_MAX];
        const size_t count = rules_read(CASES[i].rules, rules);
        if (dxi_patterns_cover(rules, count, CASES[i].pattern, strlen(CASES[i].pattern)) !=
            CASES[i].covered) {
            fail_msg("\"%s\" and %s: not %s", CASES[i].rules, CASES[i].pattern,
                     CASES[i].covered ? "covered" : "left open");
        }
    }
}

static void patterns_meet_when_they_have_a_name_in_common(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool meet;
    } CASES[] = {
        {"a", "a", true},
        {"a", "b", false},
        {"a", "*", true},
        {"a.b", "*", false},
        {"a.b", ">", true},
        {"a.>", "a", false},
        {"a.>", "*.b", true},
        {"a.*.c", "*.b.*", true},
        {"a.*.c", "*.b.d", false},
        {"a.*", "*.b.c", false},
        {">", "$dead.a", false},
        {"$dead.>", "*.a", false},
        {"$dead.>", "$dead.a", true},
        {">", ">", true},
        {"a.>", "b.>", false},
        {"*.b.>", "a.>", true},
        {"aa", "a", false},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        const char *const a = CASES[i].a, *const b = CASES[i].b;
        if (dxi_patterns_meet(a, strlen(a), b, strlen(b)) != CASES[i].meet ||
            dxi_patterns_meet(b, strlen(b), a, strlen(a)) != CASES[i].meet) {
            fail_msg("%s and %s: not %s", a, b, CASES[i].meet ? "met" : "apart");
        }
    }
}

/* --------------------------------------------------------------- all small ones, by brute force */

/* Patterns of up to PARTS parts out of $, a, *, and > at the end; names of up to PARTS + 2 parts
 * out of $, a, and a part that no pattern has. So each pattern can be told from every other. */
#define PARTS 3
#define NAME_PARTS (PARTS + 2)
#define PATTERNS_MAX 64
#define NAMES_MAX 400

static char patterns[PATTERNS_MAX][2 * PARTS + 1];
static char names[NAMES_MAX][2 * NAME_PARTS + 1];
static size_t pattern_count, name_count;
static bool matching[PATTERNS_MAX][NAMES_MAX];

/* All texts of 1 to `parts` parts out of `letters`, of which the one of '>' ends a text. */
static void texts_make(const char *letters, size_t parts, char *to, size_t each, size_t *count)
{
    const size_t first = *count;
    size_t begin = first;
    for (const char *c = letters; *c != '\0'; c++) {
        to[*count * each] = *c;
        to[*count * each + 1] = '\0';
        ++*count;
    }
    for (size_t part = 1; part < parts; part++) {
        const size_t end = *count;
        for (size_t i = begin; i < end; i++) {
            const char *const before = to + i * each;
            const size_t bytes = strlen(before);
            for (const char *c = letters; *c != '\0' && strchr(before, '>') == NULL; c++) {
                char *const text = to + *count * each;
                memcpy(text, before, bytes);
                text[bytes] = '.';
                text[bytes + 1] = *c;
                text[bytes + 2] = '\0';
                ++*count;
            }
        }
        begin = end;
    }
}

static int all_small_ones(void **state)
{
    (void)state;
    texts_make("$a*>", PARTS, patterns[0], sizeof patterns[0], &pattern_count);
    texts_make("$ax", NAME_PARTS, names[0], sizeof names[0], &name_count);
    assert_true(pattern_count <= PATTERNS_MAX && name_count <= NAMES_MAX);
    for (size_t i = 0; i < pattern_count; i++) {
        assert_int_equal(dxi_pattern_check(patterns[i], strlen(patterns[i]), NULL), DX_OK);
        for (size_t j = 0; j < name_count; j++) {
            matching[i][j] =
                dxi_pattern_matches(patterns[i], strlen(patterns[i]), names[j], strlen(names[j]));
        }
    }
    return 0;
}

static void meeting_is_what_trying_all_names_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < pattern_count; i++) {
        for (size_t j = 0; j < pattern_count; j++) {
            bool common = false;
            for (size_t k = 0; k < name_count; k++) {
                common |= matching[i][k] && matching[j][k];
            }
            if (dxi_patterns_meet(patterns[i], strlen(patterns[i]), patterns[j],
                                  strlen(patterns[j])) != common) {
                fail_msg("%s and %s: %s", patterns[i], patterns[j], common ? "meet" : "don't meet");
            }
        }
    }
}

/* Three rules and a pattern, each of all: what is covered, name by name. */
static void covering_is_what_trying_all_names_says(void **state)
{
    (void)state;
    const size_t n = pattern_count;
    assert_true(n > 0);
    for (size_t code = 0; code < n * n * n; code++) {
        const size_t which[3] = {code % n, code / n % n, code / n / n};
        dxi_access_rule_t rules[3];
        for (int i = 0; i < 3; i++) {
            rules[i] = (dxi_access_rule_t){.pattern = patterns[which[i]],
                                           .bytes = (uint32_t)strlen(patterns[which[i]])};
        }
        for (size_t p = 0; p < n && which[0] <= which[1] && which[1] <= which[2]; p++) {
            bool all = true;
            for (size_t k = 0; k < name_count && all; k++) {
                all = !matching[p][k] || matching[which[0]][k] || matching[which[1]][k] ||
                      matching[which[2]][k];
            }
            if (dxi_patterns_cover(rules, 3, patterns[p], strlen(patterns[p])) != all) {
                fail_msg("%s %s %s and %s: %s", rules[0].pattern, rules[1].pattern,
                         rules[2].pattern, patterns[p], all ? "covered" : "left open");
            }
        }
    }
}

/* ----------------------------------------------------------------------------------- the limits */

static void a_pattern_of_all_bytes_is_covered(void **state)
{
    (void)state;
    char text[DX_FRAME_TOPIC_BYTES_MAX + 1];
    memset(text, 'x', sizeof text);
    memcpy(text + DX_FRAME_TOPIC_BYTES_MAX - 2, ".>", 3); /* 255 bytes */
    const dxi_access_rule_t rule = {.pattern = text, .bytes = DX_FRAME_TOPIC_BYTES_MAX};
    assert_true(dxi_patterns_cover(&rule, 1, text, DX_FRAME_TOPIC_BYTES_MAX));
    const dxi_access_rule_t all = {.pattern = ">", .bytes = 1};
    assert_true(dxi_patterns_cover(&all, 1, text, DX_FRAME_TOPIC_BYTES_MAX));
    const dxi_access_rule_t other = {.pattern = "*.a", .bytes = 3};
    assert_false(dxi_patterns_cover(&other, 1, text, DX_FRAME_TOPIC_BYTES_MAX));
}

/* The 32nd part is asked for as well: rules for 1 to 31 parts are not all. */
static void the_last_part_that_may_be_counts(void **state)
{
    (void)state;
    dxi_access_rule_t rules[DXI_TOPIC_TOKENS_MAX];
    char texts[DXI_TOPIC_TOKENS_MAX][2 * DXI_TOPIC_TOKENS_MAX];
    for (size_t i = 0; i < DXI_TOPIC_TOKENS_MAX; i++) {
        for (size_t part = 0; part <= i; part++) {
            texts[i][2 * part] = '*';
            texts[i][2 * part + 1] = '.';
        }
        rules[i] = (dxi_access_rule_t){.pattern = texts[i], .bytes = (uint32_t)(2 * i + 1)};
    }
    assert_true(dxi_patterns_cover(rules, DXI_TOPIC_TOKENS_MAX, ">", 1));
    assert_false(dxi_patterns_cover(rules, DXI_TOPIC_TOKENS_MAX - 1, ">", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_cover_what_all_of_them_match),
        cmocka_unit_test(patterns_meet_when_they_have_a_name_in_common),
        cmocka_unit_test(meeting_is_what_trying_all_names_says),
        cmocka_unit_test(covering_is_what_trying_all_names_says),
        cmocka_unit_test(a_pattern_of_all_bytes_is_covered),
        cmocka_unit_test(the_last_part_that_may_be_counts),
    };
    return cmocka_run_group_tests(tests, all_small_ones, NULL);
}
