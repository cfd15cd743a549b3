/* test_memory_alloc.c - the allocator of control structures and its injected faults.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base_test.h"

#include "disruptorx/platform.h"

static void memory_is_zero_and_alone_on_its_lines(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 127, 128, 129, 100000};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        unsigned char *const memory = dxi_alloc_zeroed(sizes[i], 1);
        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % DX_FALSE_SHARING_BYTES, 0);
        for (size_t b = 0; b < sizes[i]; b++) {
            assert_int_equal(memory[b], 0);
        }
        memset(memory, 0xFF, sizes[i]); /* so that reuse would show */
        dxi_free(memory);
    }
}

static void what_cannot_be_counted_is_refused(void **state)
{
    (void)state;
    static const struct {
        size_t count;
        size_t bytes;
    } rows[] = {{0, 1}, {1, 0}, {SIZE_MAX, 2}, {SIZE_MAX, 1}, {1, SIZE_MAX - 126}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_null(dxi_alloc_zeroed(rows[i].count, rows[i].bytes));
    }
    dxi_free(NULL);
}

static void the_armed_fault_point_fails_once(void **state)
{
    (void)state;
#if DX_TEST_HOOKS
    dxi_fault_arm(2);
    assert_false(dxi_fault("first"));
    assert_false(dxi_fault("second"));
    assert_null(dxi_fault_fired());
    assert_true(dxi_fault("third"));
    assert_false(dxi_fault("fourth"));
    assert_string_equal(dxi_fault_fired(), "third");
    assert_int_equal(dxi_fault_count(), 4);
    dxi_fault_arm(0);
    assert_null(dxi_fault_fired());
    assert_int_equal(dxi_fault_count(), 0);
    dxi_fault_disarm();
    assert_false(dxi_fault("disarmed"));
    dxi_fault_arm(0);
    assert_null(dxi_alloc_zeroed(1, 1));
    assert_string_equal(dxi_fault_fired(), "alloc");
    dxi_fault_disarm();
#else
    assert_false(dxi_fault("never"));
#endif
}

static void live_allocations_are_counted(void **state)
{
    (void)state;
#if DX_TEST_HOOKS
    const int64_t before = dxi_live_count();
    void *const a = dxi_alloc_zeroed(1, 1);
    void *const b = dxi_alloc_zeroed(1, 1);
    assert_int_equal(dxi_live_count(), before + 2);
    dxi_free(a);
    assert_int_equal(dxi_live_count(), before + 1);
    dxi_free(b);
    assert_int_equal(dxi_live_count(), before);
#else
    SKIP_BECAUSE("this build counts no allocations");
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zero_and_alone_on_its_lines),
        cmocka_unit_test(what_cannot_be_counted_is_refused),
        cmocka_unit_test(the_armed_fault_point_fails_once),
        cmocka_unit_test(live_allocations_are_counted),
    };
    return cmocka_run_group_tests_name("memory_alloc", tests, NULL, NULL);
}
