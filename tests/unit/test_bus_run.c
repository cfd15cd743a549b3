/* test_bus_run.c - a bus in this process: publishing, both dispatches, receipts, requests, topics,
 * stopping; with one loop, two and three.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bus_test.h"

static void events_reach_handlers_in_order(void **state)
{
    (void)state;
    FOR_EACH_SHAPE(shape)
    {
        dx_bus_t *bus = bus_started(shape->loops);
        seen_t seen;
        seen_init(&seen);
        dx_subscription_t *subscription = NULL;
        assert_ok(dx_bus_subscribe(bus,
                                   &(dx_subscription_options_t){.pattern = "orders.*",
                                                                .on_event = seen_event,
                                                                .context = &seen,
                                                                .dispatch = shape->dispatch},
                                   &subscription, &said));
        dx_publisher_t *publisher = publisher_opened(bus);
        for (uint64_t i = 1; i <= 1000; i++) {
            assert_ok(publish_number(publisher, "orders.created", i));
        }
        seen_wait(&seen, 1000);
        assert_int_equal(seen.disorders, 0);
        assert_int_equal(seen.last_number, 1000);
        assert_int_equal(seen.last_sequence, 1000);
        dx_publisher_close(publisher);
        assert_ok(dx_subscription_close(subscription, SOON_NS));
        assert_ok(dx_bus_stop(bus, SOON_NS, &said));
        dx_bus_destroy(bus);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_reach_handlers_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
