/* test_net_watch.c - places in memory that a loop looks at: who is, when, and who has to ring.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base_test.h"
#include "net/watch.h"

#define PLACES (DXI_WATCHED_MAX + 8)

typedef struct place {
    dxi_watched_t watched;
    int there; /* what a look finds */
    int looks;
    bool rings;
    bool told_first;         /* its last look came when it had been told to ring */
    struct place *looks_for; /* a look at this one adds that one, as a write may */
} place_t;

static dxi_watch_t watch;
static place_t places[PLACES];
static int64_t now_ns;

static int look(void *context)
{
    place_t *const place = context;
    place->looks++;
    place->told_first = place->rings;
    if (place->looks_for != NULL) {
        dxi_watch_add(&watch, &place->looks_for->watched, now_ns);
    }
    return place->there;
}

static void tell(void *context, bool sleeps)
{
    place_t *const place = context;
    place->rings = sleeps;
}

static int begin(void **state)
{
    (void)state;
    watch = (dxi_watch_t){.count = 0};
    dxi_link_init(&watch.list);
    now_ns = 1000;
    for (int i = 0; i < PLACES; i++) {
        places[i] = (place_t){.rings = true};
        dxi_watched_init(&places[i].watched, look, tell, &places[i]);
    }
    return 0;
}

static void add(int first, int end)
{
    for (int i = first; i < end; i++) {
        dxi_watch_add(&watch, &places[i].watched, ++now_ns);
    }
}

static int sum_of_looks(void)
{
    int looks = 0;
    for (int i = 0; i < PLACES; i++) {
        looks += places[i].looks;
    }
    return looks;
}

static void adding_looks_at_nobody(void **state)
{
    (void)state;
    for (int i = 0; i < PLACES; i++) {
        places[i].there = 1;
    }
    add(0, PLACES);
    assert_int_equal(sum_of_looks(), 0);
    assert_int_equal(watch.count, PLACES);
    assert_false(places[0].rings);
}

static void the_quietest_leave_when_a_turn_begins(void **state)
{
    (void)state;
    add(0, PLACES);
    places[0].there = 1; /* it was silent longest, and now it is not */
    assert_int_equal(dxi_watch_run(&watch, ++now_ns), 2); /* at its leaving, and in the turn */
    assert_false(places[0].rings);
    for (int i = 1; i < PLACES - DXI_WATCHED_MAX; i++) {
        assert_true(places[i].rings);
        assert_true(places[i].told_first);
        assert_int_equal(places[i].looks, 1);
    }
    assert_int_equal(watch.count, DXI_WATCHED_MAX + 1);
    places[0].there = 0;
    assert_int_equal(dxi_watch_run(&watch, ++now_ns), 0);
    assert_int_equal(watch.count, DXI_WATCHED_MAX);
    const int looks = sum_of_looks();
    assert_int_equal(dxi_watch_run(&watch, ++now_ns), 0);
    assert_int_equal(sum_of_looks() - looks, DXI_WATCHED_MAX);
}

static void when_all_have_something_all_stay_and_the_turn_ends(void **state)
{
    (void)state;
    add(0, PLACES);
    for (int i = 0; i < PLACES; i++) {
        places[i].there = 1;
    }
    assert_true(dxi_watch_run(&watch, ++now_ns) >= PLACES);
    assert_int_equal(watch.count, PLACES);
}

static void who_comes_inside_a_look_is_not_looked_at_there(void **state)
{
    (void)state;
    add(0, DXI_WATCHED_MAX);
    place_t *const late = &places[DXI_WATCHED_MAX];
    places[3].looks_for = late;
    places[3].there = 1;
    assert_int_equal(dxi_watch_run(&watch, ++now_ns), 1);
    for (int i = 0; i < DXI_WATCHED_MAX; i++) {
        assert_int_equal(places[i].looks, 1); /* its own turn, and no other */
    }
    assert_int_equal(late->looks, 1);
    assert_false(late->rings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(adding_looks_at_nobody, begin),
        cmocka_unit_test_setup(the_quietest_leave_when_a_turn_begins, begin),
        cmocka_unit_test_setup(when_all_have_something_all_stay_and_the_turn_ends, begin),
        cmocka_unit_test_setup(who_comes_inside_a_look_is_not_looked_at_there, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
