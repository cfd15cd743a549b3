/* test_options.c - the checks of options at each end of their ranges.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/options.h"

#include "base_test.h"

static void a_range_includes_both_ends(void **state)
{
    (void)state;
    dx_error_t error = {0};
    assert_ok(dxi_options_range(&error, "level", -3, -3, 7));
    assert_ok(dxi_options_range(&error, "level", 7, -3, 7));
    assert_fails(dxi_options_range(&error, "level", -4, -3, 7), DX_EINVAL, error,
                 "level is -4, must be from -3 to 7");
    assert_fails(dxi_options_range(&error, "level", 8, -3, 7), DX_EINVAL, error,
                 "level is 8, must be from -3 to 7");
}

static void a_power_of_two_is_one_within_the_range(void **state)
{
    (void)state;
    static const struct {
        uint64_t value;
        int code;
    } rows[] = {{0, DX_EINVAL}, {1, DX_EINVAL},  {2, DX_OK},
                {3, DX_EINVAL}, {8, DX_OK},      {12, DX_EINVAL},
                {16, DX_OK},    {32, DX_EINVAL}, {UINT64_MAX, DX_EINVAL}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(dxi_options_power_of_two(NULL, "n", rows[i].value, 2, 16), rows[i].code);
    }
    assert_int_equal(dxi_options_power_of_two(NULL, "n", 0, 0, 16), DX_EINVAL);
    dx_error_t error = {0};
    assert_fails(dxi_options_power_of_two(&error, "slot_count", 1000, 2, 16777216), DX_EINVAL,
                 error, "slot_count is 1000, must be a power of two from 2 to 16777216");
}

static void a_multiple_is_one_within_the_range(void **state)
{
    (void)state;
    static const struct {
        uint64_t value;
        int code;
    } rows[] = {{0, DX_EINVAL},  {7, DX_EINVAL}, {8, DX_OK},
                {12, DX_EINVAL}, {64, DX_OK},    {72, DX_EINVAL}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(dxi_options_multiple(NULL, "n", rows[i].value, 8, 8, 64), rows[i].code);
    }
    dx_error_t error = {0};
    assert_fails(dxi_options_multiple(&error, "slot_bytes", 9, 8, 8, 64), DX_EINVAL, error,
                 "slot_bytes is 9, must be a multiple of 8 from 8 to 64");
}

static void a_reserved_word_must_be_zero(void **state)
{
    (void)state;
    uint64_t reserved[4] = {0};
    dx_error_t error = {0};
    assert_ok(dxi_options_reserved(&error, reserved, 4));
    reserved[3] = 7;
    assert_ok(dxi_options_reserved(&error, reserved, 3));
    assert_fails(dxi_options_reserved(&error, reserved, 4), DX_EINVAL, error,
                 "reserved[3] is 7, must be 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_range_includes_both_ends),
        cmocka_unit_test(a_power_of_two_is_one_within_the_range),
        cmocka_unit_test(a_multiple_is_one_within_the_range),
        cmocka_unit_test(a_reserved_word_must_be_zero),
    };
    return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
