/* test_secret.c - memory for secrets.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/secret.h"
#include "base_test.h"

/* Whether the kernel leaves the pages of an address out of a core: "dd" of VmFlags in smaps. */
static bool is_left_out(const void *memory)
{
    char line[512];
    bool inside = false, left_out = false;
    FILE *const file = fopen("/proc/self/smaps", "re");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        char *at = line;
        const unsigned long begin = strtoul(at, &at, 16);
        if (at != line && *at == '-') { /* the first line of a mapping */
            const unsigned long end = strtoul(at + 1, NULL, 16);
            inside = (uintptr_t)memory >= begin && (uintptr_t)memory < end;
        } else if (inside && strncmp(line, "VmFlags:", 8) == 0) {
            left_out = strstr(line, " dd") != NULL;
        }
    }
    (void)fclose(file);
    return left_out;
}

#if DX_TEST_HOOKS
static void it_is_counted_as_memory_is(void **state)
{
    (void)state;
    const int64_t live = dxi_live_count();
    char *const memory = dxi_secret_alloc(100);
    assert_int_equal(dxi_live_count(), live + 1);
    dxi_secret_free(memory, 100);
    assert_int_equal(dxi_live_count(), live);
}
#endif

static void it_is_zero_and_in_no_core(void **state)
{
    (void)state;
    static const size_t SIZES[] = {1, 4096, 100001};
    for (size_t i = 0; i < COUNT_OF(SIZES); i++) {
        char *const memory = dxi_secret_alloc(SIZES[i]);
        assert_non_null(memory);
        assert_int_equal(memory[0] | memory[SIZES[i] - 1], 0);
        memset(memory, 's', SIZES[i]);
        assert_true(is_left_out(memory));
        assert_true(is_left_out(memory + SIZES[i] - 1));
        dxi_secret_free(memory, SIZES[i]);
    }
    void *const other = dxi_alloc_zeroed(1, 100);
    assert_false(is_left_out(other));
    dxi_free(other);
}

static void nothing_of_nothing(void **state)
{
    (void)state;
    assert_null(dxi_secret_alloc(0));
    assert_null(dxi_secret_alloc(SIZE_MAX / 2));
    dxi_secret_free(NULL, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#if DX_TEST_HOOKS
        cmocka_unit_test(it_is_counted_as_memory_is),
#endif
        cmocka_unit_test(it_is_zero_and_in_no_core),
        cmocka_unit_test(nothing_of_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
