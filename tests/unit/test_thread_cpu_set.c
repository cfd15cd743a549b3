/* test_thread_cpu_set.c - sets of CPUs as bits and as text.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base_test.h"

#include "disruptorx/thread.h"

static void bits_are_added_removed_and_walked(void **state)
{
    (void)state;
    static const uint32_t cpus[] = {0, 63, 64, 127, 500, DX_CPU_MAX - 1};
    dx_cpu_set_t set = {0};
    assert_int_equal(dx_cpu_set_next(&set, 0), -1);
    for (size_t i = 0; i < COUNT_OF(cpus); i++) {
        dx_cpu_set_add(&set, cpus[i]);
    }
    assert_int_equal(dx_cpu_set_count(&set), COUNT_OF(cpus));
    size_t found = 0;
    for (int32_t c = dx_cpu_set_next(&set, 0); c >= 0; c = dx_cpu_set_next(&set, (uint32_t)c + 1)) {
        assert_int_equal(c, cpus[found++]);
    }
    assert_int_equal(found, COUNT_OF(cpus));
    dx_cpu_set_remove(&set, 64);
    assert_false(dx_cpu_set_has(&set, 64));
    assert_true(dx_cpu_set_has(&set, 63));
}

static void numbers_beyond_the_last_cpu_are_ignored(void **state)
{
    (void)state;
    dx_cpu_set_t set = {0};
    const dx_cpu_set_t empty = {0};
    dx_cpu_set_add(&set, DX_CPU_MAX);
    dx_cpu_set_add(&set, UINT32_MAX);
    assert_true(dx_cpu_set_equal(&set, &empty));
    dx_cpu_set_remove(&set, DX_CPU_MAX);
    assert_false(dx_cpu_set_has(&set, DX_CPU_MAX));
    assert_int_equal(dx_cpu_set_next(&set, DX_CPU_MAX), -1);
    dx_cpu_set_add(&set, DX_CPU_MAX - 1);
    assert_false(dx_cpu_set_equal(&set, &empty));
}

static void lists_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *normal;
    } rows[] = {
        {"", ""},           {" \n", ""},          {"0", "0"},
        {"0,2-5", "0,2-5"}, {"0,2-5\n", "0,2-5"}, {" 1 , 3 - 4 ", "1,3-4"},
        {"3,2,1", "1-3"},   {"0-2,1-4", "0-4"},   {"7-7", "7"},
        {"007", "7"},       {"62-65", "62-65"},   {"0-1023", "0-1023"},
        {"1023", "1023"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        dx_cpu_set_t set;
        char text[DX_CPU_SET_TEXT_BYTES];
        assert_ok(dx_cpu_set_parse(rows[i].text, &set, NULL));
        assert_int_equal(dx_cpu_set_format(&set, text, sizeof(text)), strlen(rows[i].normal));
        assert_string_equal(text, rows[i].normal);
    }
}

static void what_is_no_list_is_refused_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int code;
        const char *message;
    } rows[] = {
        {"a", DX_EPARSE, "CPU list is \"a\", must have a CPU number at byte 0"},
        {"0,,1", DX_EPARSE, "must have a CPU number at byte 2"},
        {"0-", DX_EPARSE, "must have a CPU number at byte 2"},
        {"-3", DX_EPARSE, "must have a CPU number at byte 0"},
        {"0,", DX_EPARSE, "must not end in \",\""},
        {"0, \n", DX_EPARSE, "must not end in \",\""},
        {"0;1", DX_EPARSE, "must have \",\" or \"-\" at byte 1"},
        {"1 2", DX_EPARSE, "must have \",\" or \"-\" at byte 2"},
        {"5-2", DX_EPARSE, "must have the lower CPU first in 5-2"},
        {"1024", DX_ELIMIT, "must not go beyond CPU 1023"},
        {"0-1024", DX_ELIMIT, "must not go beyond CPU 1023"},
        {"99999999999999999999999", DX_ELIMIT, "must not go beyond CPU 1023"},
        {NULL, DX_EPARSE, "CPU list is NULL"},
    };
    const dx_cpu_set_t empty = {0};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        dx_cpu_set_t set;
        memset(&set, 0xFF, sizeof(set));
        dx_error_t error = {0};
        assert_fails(dx_cpu_set_parse(rows[i].text, &set, &error), rows[i].code, error,
                     rows[i].message);
        assert_true(dx_cpu_set_equal(&set, &empty));
    }
}

static void every_set_survives_its_text(void **state)
{
    (void)state;
    uint64_t random = 4711;
    char text[DX_CPU_SET_TEXT_BYTES];
    for (int round = 0; round < 200; round++) {
        dx_cpu_set_t set;
        for (size_t w = 0; w < COUNT_OF(set.words); w++) {
            set.words[w] = random_next(&random);
            for (int thin = 0; thin < round % 8; thin++) {
                set.words[w] &= random_next(&random);
            }
        }
        dx_cpu_set_t again;
        assert_true(dx_cpu_set_format(&set, text, sizeof(text)) < sizeof(text));
        assert_ok(dx_cpu_set_parse(text, &again, NULL));
        assert_true(dx_cpu_set_equal(&set, &again));
    }
    /* The longest text of all: every second CPU. */
    dx_cpu_set_t odd = {0};
    for (uint32_t cpu = 1; cpu < DX_CPU_MAX; cpu += 2) {
        dx_cpu_set_add(&odd, cpu);
    }
    assert_true(dx_cpu_set_format(&odd, text, sizeof(text)) < sizeof(text));
}

static void a_short_buffer_gets_the_beginning(void **state)
{
    (void)state;
    dx_cpu_set_t set;
    assert_ok(dx_cpu_set_parse("10-20,30", &set, NULL));
    char text[6];
    assert_int_equal(dx_cpu_set_format(&set, text, sizeof(text)), 8);
    assert_string_equal(text, "10-20");
    assert_int_equal(dx_cpu_set_format(&set, NULL, 0), 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_are_added_removed_and_walked),
        cmocka_unit_test(numbers_beyond_the_last_cpu_are_ignored),
        cmocka_unit_test(lists_are_read),
        cmocka_unit_test(what_is_no_list_is_refused_with_its_place),
        cmocka_unit_test(every_set_survives_its_text),
        cmocka_unit_test(a_short_buffer_gets_the_beginning),
    };
    return cmocka_run_group_tests_name("thread_cpu_set", tests, NULL, NULL);
}
