/* test_net_spin.c - how long a loop spins: by what came after how long, and by who else wants to
 * run.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base_test.h"
#include "net/spin.h"

#define US INT64_C(1000)

static void a_loop_spins_when_what_it_waits_for_comes_soon(void **state)
{
    (void)state;
    dxi_spin_t spin = {.most_ns = 100 * US};
    assert_false(dxi_spin_on(&spin, 0, US)); /* nothing is known: it sleeps */
    dxi_spin_waited(&spin, 30 * US);
    assert_true(dxi_spin_on(&spin, 59 * US, US));
    assert_false(dxi_spin_on(&spin, 60 * US, US));
    dxi_spin_waited(&spin, 10 * US); /* sooner: nothing to learn from */
    assert_true(dxi_spin_on(&spin, 59 * US, US));
    dxi_spin_waited(&spin, 80 * US); /* up to the limit */
    assert_true(dxi_spin_on(&spin, 99 * US, US));
    assert_false(dxi_spin_on(&spin, 100 * US, US));
    dxi_spin_waited(&spin, 100 * US); /* at the limit it is still worth it, beyond not */
    assert_true(dxi_spin_on(&spin, 99 * US, US));
    dxi_spin_waited(&spin, 100 * US + 1);
    assert_true(dxi_spin_on(&spin, 49 * US, US));
    assert_false(dxi_spin_on(&spin, 50 * US, US));
}

static void long_waits_end_the_spinning(void **state)
{
    (void)state;
    dxi_spin_t spin = {.most_ns = 100 * US};
    dxi_spin_waited(&spin, 100 * US);
    int waits = 0;
    while (dxi_spin_on(&spin, 0, US)) {
        dxi_spin_waited(&spin, 5000 * US);
        waits++;
        assert_true(waits < 64);
    }
    assert_true(waits > 1); /* one pause does not */
}

static void who_spins_gives_way_to_others(void **state)
{
    (void)state;
    dxi_spin_t spin = {.most_ns = 100 * US};
    dxi_spin_waited(&spin, 50 * US);
    assert_true(dxi_spin_on(&spin, 0, DXI_SPIN_CROWDED_NS));
    assert_false(dxi_spin_on(&spin, 0, DXI_SPIN_CROWDED_NS + 1));
    dxi_spin_waited(&spin, 10 * US); /* of a wait that others began it learns nothing */
    assert_false(dxi_spin_on(&spin, 0, US));
    dxi_spin_waited(&spin, 10 * US); /* but of the next */
    assert_true(dxi_spin_on(&spin, 19 * US, US));
}

static void a_loop_that_may_not_spin_never_does(void **state)
{
    (void)state;
    dxi_spin_t spin = {.most_ns = 0};
    dxi_spin_waited(&spin, 0);
    dxi_spin_waited(&spin, 1);
    assert_false(dxi_spin_on(&spin, 0, 0));
    assert_false(dxi_spin_on(&spin, 0, DXI_SPIN_CROWDED_NS + 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loop_spins_when_what_it_waits_for_comes_soon),
        cmocka_unit_test(long_waits_end_the_spinning),
        cmocka_unit_test(who_spins_gives_way_to_others),
        cmocka_unit_test(a_loop_that_may_not_spin_never_does),
    };
    return cmocka_run_group_tests_name("net_spin", tests, NULL, NULL);
}
