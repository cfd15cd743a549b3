/* test_client_aside.c - publications that wait in the node while what is behind them is read.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "served_test.h"

/* A client that gets what it publishes: its credit comes behind publications that wait for it. */
static void who_publishes_to_itself_does_not_wait_for_itself(void **state)
{
    (void)state;
    FOR_EACH_BUS(loops)
    {
        served_t *served = serve(loops);
        dx_client_t *client = client_of(served);
        arrivals_t *arrivals = arrivals_make(client);
        subscribe(arrivals, (dx_subscription_options_t){.pattern = "self.>",
                                                        .slow = DX_SLOW_BLOCK,
                                                        .slow_block_ns = 20 * SOON_NS,
                                                        .queue_events = 64});
        static char data[1000];
        for (uint64_t i = 0; i < 10000; i++) {
            memcpy(data, &i, sizeof i);
            const dx_message_t m = {
                .topic = i % 2 == 0 ? "self.a" : "self.b", .data = data, .bytes = sizeof data};
            check_said(dx_client_publish(client, &m, &said), "publish");
        }
        wait_until(loaded(&arrivals->count) == 10000);
        dx_client_stats_t stats;
        dx_client_stats(client, &stats);
        assert_int_equal(stats.gaps, 0);
        check_said(dx_client_close(client, DX_CLIENT_FOREVER), "close");
        free(arrivals);
        serve_end(served);
    }
}

/* A subscriber that stands still until it is let go. */
static dx_atomic32_t held;

static int arrive_when_let_go(void *context, const dx_event_t *event)
{
    while (dx_load32_acquire(&held) != 0) {
        (void)usleep(200);
    }
    return arrive(context, event);
}

#define LEFT_BEHIND 5000

/* A client with a subscription publishes what another one blocks, and goes. */
static arrivals_t *leave_behind(const served_t *served, dx_client_t *slow)
{
    dx_store32_release(&held, 1);
    arrivals_t *const late = arrivals_make(slow);
    subscribe(late, (dx_subscription_options_t){.pattern = "late.a",
                                                .on_event = arrive_when_let_go,
                                                .slow = DX_SLOW_BLOCK,
                                                .slow_block_ns = 20 * SOON_NS,
                                                .queue_events = 64});
    dx_client_t *const client = client_of(served);
    arrivals_t *const own = arrivals_make(client);
    subscribe(own, (dx_subscription_options_t){.pattern = "own"});
    static char data[1000];
    for (uint64_t i = 0; i < LEFT_BEHIND; i++) {
        memcpy(data, &i, sizeof i);
        const dx_message_t m = {.topic = "late.a", .data = data, .bytes = sizeof data};
        check_said(dx_client_publish(client, &m, &said), "publish");
    }
    publish(client, "own", 1);
    check_said(dx_client_close(client, DX_CLIENT_FOREVER), "close");
    free(own);
    return late;
}

static void what_was_published_comes_though_its_publisher_is_gone(void **state)
{
    (void)state;
    FOR_EACH_BUS(loops)
    {
        served_t *const served = serve(loops);
        dx_client_t *const slow = client_of(served);
        arrivals_t *const late = leave_behind(served, slow);
        dx_store32_release(&held, 0);
        wait_until(loaded(&late->count) == LEFT_BEHIND);
        assert_int_equal(loaded(&late->disorders), 0);
        check_said(dx_client_close(slow, DX_CLIENT_FOREVER), "close");
        free(late);
        serve_end(served);
    }
}

static void a_bus_may_stop_while_events_stand_aside(void **state)
{
    (void)state;
    FOR_EACH_BUS(loops)
    {
        served_t *const served = serve(loops);
        dx_client_t *const slow = client_of(served);
        arrivals_t *const late = leave_behind(served, slow);
        dxi_loop_call(first_loop(served), listener_end, served);
        assert_int_equal(dx_bus_stop(served->bus, 0, &said), DX_ETIMEDOUT);
        dx_bus_destroy(served->bus);
        dx_store32_release(&held, 0);
        (void)dx_client_close(slow, 0);
        free(late);
        (void)unlink(served->path);
        assert_int_equal(rmdir(served->folder), 0);
        free(served);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_publishes_to_itself_does_not_wait_for_itself),
        cmocka_unit_test(what_was_published_comes_though_its_publisher_is_gone),
        cmocka_unit_test(a_bus_may_stop_while_events_stand_aside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
