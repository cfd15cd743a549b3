/* test_client_unacknowledged.c - what was given and not acknowledged, against a plain table.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "client/unacknowledged.h"

#include <stdbool.h>

#include "base_test.h"

#define MOST 16
#define SEQUENCES 3000 /* the table is searched from its beginning at each step */

static uint64_t first_of(const bool *given, uint64_t last)
{
    for (uint64_t i = 1; i <= last; i++) {
        if (given[i]) {
            return i;
        }
    }
    return UINT64_MAX;
}

/* Gives in order and, sometimes, out of it, and once more; never more than MOST at a time. */
static void the_first_is_always_the_lowest_that_is_not_done(void **state)
{
    (void)state;
    static bool given[SEQUENCES + 1];
    dxi_unacknowledged_t open;
    uint64_t seed = 11;
    uint64_t last = 0;
    uint64_t behind = 0; /* held up: comes after those above it */
    int count = 0;
    assert_ok(dxi_unacknowledged_open(&open, MOST));
    while (last < SEQUENCES) {
        const uint64_t dice = random_next(&seed) % 8;
        if (dice < 4 && count < MOST) {
            if (behind == 0 && dice == 0) {
                behind = ++last;
            } else {
                const uint64_t now = behind != 0 && dice == 1 ? behind : ++last;
                behind = now == behind ? 0 : behind;
                given[now] = true;
                count++;
                dxi_unacknowledged_add(&open, now);
                if (dice == 2) {
                    dxi_unacknowledged_add(&open, now); /* given again */
                }
            }
        } else if (last != 0) {
            const uint64_t back = random_next(&seed) % 40;
            const uint64_t at = last > back ? last - back : 1;
            /* The oldest is slow: it is done when nothing else is left to give. */
            const uint64_t done = count == MOST && dice == 7 ? first_of(given, last)
                                  : given[at]                ? at
                                                             : 0;
            if (done != 0) {
                given[done] = false;
                count--;
                dxi_unacknowledged_done(&open, done);
                dxi_unacknowledged_done(&open, done); /* twice is nothing */
            }
        }
        assert_true(dxi_unacknowledged_first(&open) == first_of(given, last));
    }
    dxi_unacknowledged_forget(&open);
    assert_true(dxi_unacknowledged_first(&open) == UINT64_MAX);
    dxi_unacknowledged_close(&open);
}

/* Twice as many as were announced are written down; of more the lowest is known. */
static void what_finds_no_room_is_not_forgotten(void **state)
{
    (void)state;
    dxi_unacknowledged_t open;
    assert_ok(dxi_unacknowledged_open(&open, 4));
    for (uint64_t i = 1; i <= 10; i++) {
        dxi_unacknowledged_add(&open, i);
    }
    for (uint64_t i = 1; i <= 10; i++) {
        dxi_unacknowledged_done(&open, i);
    }
    assert_true(dxi_unacknowledged_first(&open) == 9);
    dxi_unacknowledged_forget(&open);
    assert_true(dxi_unacknowledged_first(&open) == UINT64_MAX);
    dxi_unacknowledged_close(&open);
}

static void where_nothing_is_written_down_nothing_is_done(void **state)
{
    (void)state;
    dxi_unacknowledged_t open = {0};
    dxi_unacknowledged_done(&open, 1);
    dxi_unacknowledged_forget(&open);
    assert_true(dxi_unacknowledged_first(&open) == UINT64_MAX);
    dxi_unacknowledged_close(&open);
}

static int life(void)
{
    dxi_unacknowledged_t open;
    const int code = dxi_unacknowledged_open(&open, 4);
    dxi_unacknowledged_close(&open);
    return code;
}

static void it_needs_memory_once(void **state)
{
    (void)state;
    assert_int_equal(fault_sweep(life), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_is_always_the_lowest_that_is_not_done),
        cmocka_unit_test(what_finds_no_room_is_not_forgotten),
        cmocka_unit_test(where_nothing_is_written_down_nothing_is_done),
        cmocka_unit_test(it_needs_memory_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
