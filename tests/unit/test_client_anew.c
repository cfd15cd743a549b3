/* test_client_anew.c - what clients acknowledge: all that they had, also when they leave, and
 * nothing that an earlier node gave them; and what they are told of the next one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "served_test.h"

/* The last event, kept as a program would that acknowledges it later. */
typedef struct kept {
    dx_atomic64_t count;
    dx_event_t event;
} kept_t;

static int keep(void *context, const dx_event_t *event)
{
    kept_t *const kept = context;
    kept->event = *event;
    kept->event.topic = "t";
    kept->event.frame = NULL;
    kept->event.data = kept->event.key = NULL;
    dx_store_release(&kept->count, dx_load_relaxed(&kept->count) + 1);
    return DX_OK;
}

/* What the bus has heard of, of all subscriptions. */
typedef struct heard {
    uint64_t acknowledged, redelivered, pending;
} heard_t;

static void heard_add(void *context, uint64_t connection, const dx_subscription_stats_t *stats)
{
    heard_t *const heard = context;
    (void)connection;
    heard->acknowledged += stats->acknowledged;
    heard->redelivered += stats->redelivered;
    heard->pending += stats->pending;
}

static heard_t heard_of(const served_t *served)
{
    heard_t heard = {0};
    assert_true(dxi_bus_subscriptions_each(served->bus, heard_add, &heard) >= 0);
    return heard;
}

static uint64_t acknowledged(const served_t *served)
{
    return heard_of(served).acknowledged;
}

#define MEMBERS 3
#define SHARED 3000

/* Each member has every third event or so: there is nothing to join to ranges. */
static void members_of_a_group_acknowledge_all_that_they_had(void **state)
{
    (void)state;
    FOR_EACH_BUS(loops)
    {
        served_t *const served = serve(loops);
        dx_client_t *const from = client_of(served);
        arrivals_t *members[MEMBERS];
        for (int i = 0; i < MEMBERS; i++) {
            members[i] = arrivals_make(client_of(served));
            subscribe(members[i], (dx_subscription_options_t){.pattern = "shared",
                                                              .group = "three",
                                                              .slow = DX_SLOW_BLOCK,
                                                              .slow_block_ns = SOON_NS,
                                                              .ack = DX_ACK_AUTO,
                                                              .ack_timeout_ns = SOON_NS});
        }
        for (uint64_t i = 0; i < SHARED; i++) {
            publish(from, "shared", i);
        }
        check_said(dx_client_flush(from, SOON_NS, &said), "flush");
        wait_until(acknowledged(served) == SHARED);
        const heard_t heard = heard_of(served);
        assert_int_equal(heard.pending, 0);
        assert_int_equal(heard.redelivered, 0);
        int64_t sum = 0;
        for (int i = 0; i < MEMBERS; i++) {
            assert_true(loaded(&members[i]->count) > 0);
            sum += loaded(&members[i]->count);
            check_said(dx_client_close(members[i]->client, DX_CLIENT_FOREVER), "close");
            free(members[i]);
        }
        assert_int_equal(sum, SHARED);
        check_said(dx_client_close(from, DX_CLIENT_FOREVER), "close");
        serve_end(served);
    }
}

/* When it returns, the node has heard what the client had to say before. */
static void round_trips(dx_client_t *client)
{
    for (int i = 0; i < 3; i++) {
        char text[64];
        check_said(dx_client_ask(client, "echo", "there", text, sizeof text, &said), "ask");
    }
}

static void what_an_earlier_node_gave_is_not_acknowledged_to_the_next_one(void **state)
{
    (void)state;
    FOR_EACH_BUS(loops)
    {
        served_t *const served = serve(loops);
        dx_client_t *const client = client_of(served);
        kept_t kept = {.count = {0}};
        dx_client_subscription_t *subscription = NULL;
        check_said(dx_client_subscribe(client,
                                       &(dx_subscription_options_t){.pattern = "t",
                                                                    .on_event = keep,
                                                                    .context = &kept,
                                                                    .ack = DX_ACK_EXPLICIT,
                                                                    .ack_timeout_ns = SOON_NS},
                                       &subscription, &said),
                   "dx_client_subscribe()");
        publish(client, "t", 1);
        wait_until(dx_load_acquire(&kept.count) == 1);
        const dx_event_t old = kept.event;
        bus_end(served);
        bus_begin(served);
        publish(client, "t", 2); /* waits for the connection; then the first of its topic again */
        wait_until(dx_load_acquire(&kept.count) == 2);
        assert_int_equal(kept.event.sequence, old.sequence);
        assert_ok(dx_client_ack(subscription, &old));
        round_trips(client);
        dx_client_stats_t stats;
        dx_client_stats(client, &stats);
        assert_int_equal(stats.acks_ignored, 1);
        assert_int_equal(acknowledged(served), 0);
        assert_ok(dx_client_ack(subscription, &kept.event));
        wait_until(acknowledged(served) == 1);
        check_said(dx_client_close(client, DX_CLIENT_FOREVER), "close");
        serve_end(served);
    }
}

/* A member that handles nothing until it may. */
typedef struct gated {
    arrivals_t *arrivals;
    dx_atomic32_t *gate;
} gated_t;

static int arrive_gated(void *context, const dx_event_t *event)
{
    const gated_t *const gated = context;
    while (dx_load32_acquire(gated->gate) == 0) {
        (void)usleep(100);
    }
    return arrive(gated->arrivals, event);
}

static void who_leaves_a_group_handles_what_it_has_and_nobody_else_does(void **state)
{
    (void)state;
    FOR_EACH_BUS(loops)
    {
        served_t *served = serve(loops);
        enum { COUNT = 6000 }; /* more than a client reads at a time */
        dx_client_t *clients[2];
        dx_client_subscription_t *subscriptions[2];
        dx_atomic32_t gate;
        dx_store32_relaxed(&gate, 0);
        gated_t members[2];
        for (int i = 0; i < 2; i++) {
            clients[i] = client_of(served);
            members[i] = (gated_t){arrivals_make(clients[i]), &gate};
        }
        dx_subscription_options_t options = {.pattern = "jobs",
                                             .group = "workers",
                                             .on_event = arrive_gated,
                                             .context = &members[0],
                                             .pending_events_max = COUNT,
                                             .slow = DX_SLOW_BLOCK,
                                             .slow_block_ns = SOON_NS};
        check_said(dx_client_subscribe(clients[0], &options, &subscriptions[0], &said), "one");
        for (uint64_t i = 0; i < COUNT; i++) {
            char payload[64] = {0};
            memcpy(payload, &i, sizeof i);
            const uint64_t key = i % 7;
            const dx_message_t m = {.topic = "jobs",
                                    .data = payload,
                                    .bytes = sizeof payload,
                                    .key = &key,
                                    .key_bytes = sizeof key};
            check_said(dx_client_publish(clients[1], &m, &said), "publish");
        }
        check_said(dx_client_flush(clients[1], SOON_NS, &said), "flush");
        options.context = &members[1];
        check_said(dx_client_subscribe(clients[1], &options, &subscriptions[1], &said), "two");
        dx_store32_release(&gate, 1);
        check_said(dx_client_unsubscribe(subscriptions[0], SOON_NS), "unsubscribe");
        for (uint64_t i = 0; i < COUNT; i++) {
            wait_until(
                loaded(&members[0].arrivals->seen[i]) + loaded(&members[1].arrivals->seen[i]) >= 1);
        }
        check_said(dx_client_close(clients[0], SOON_NS), "close");
        check_said(dx_client_close(clients[1], SOON_NS), "close");
        assert_int_equal(loaded(&members[0].arrivals->count) + loaded(&members[1].arrivals->count),
                         COUNT);
        free(members[0].arrivals);
        free(members[1].arrivals);
        serve_end(served);
    }
}

typedef struct had {
    dx_atomic64_t events, missed;
} had_t;

static uint64_t published_in(dx_bus_t *bus, const char *topic)
{
    dx_topic_stats_t stats;
    check_said(dx_bus_topic_stats(bus, topic, &stats, &said), "dx_bus_topic_stats()");
    return stats.published;
}

static int had_event(void *context, const dx_event_t *event)
{
    (void)event;
    add(&((had_t *)context)->events);
    return DX_OK;
}

static void had_gap(void *context, const dx_gap_t *gap)
{
    (void)dx_fetch_add_relaxed(&((had_t *)context)->missed, (int64_t)(gap->last - gap->first + 1));
}

/* To the topic t, until the client is closed. */
static void had_subscribe(dx_client_t *client, had_t *had)
{
    dx_client_subscription_t *subscription = NULL;
    memset(had, 0, sizeof *had);
    const dx_subscription_options_t options = {
        .pattern = "t", .on_event = had_event, .on_gap = had_gap, .context = had};
    check_said(dx_client_subscribe(client, &options, &subscription, &said), "subscribe");
}

/* What the next node has had of a topic before the subscriber comes, and keeps no more. */
static void what_the_next_node_does_not_keep_is_told_as_a_gap(void **state)
{
    (void)state;
    FOR_EACH_BUS(loops)
    {
        served_t *served = serve(loops);
        dx_client_t *client = client_of(served);
        had_t had;
        had_subscribe(client, &had);
        publish(client, "t", 0);
        wait_until(loaded(&had.events) == 1);
        bus_end(served);
        served->bus = bus_started(loops);
        const dx_topic_options_t ten = {.retain_events = 10};
        check_said(dx_bus_topic_create(served->bus, "t", &ten, &said), "dx_bus_topic_create()");
        for (int i = 0; i < 50; i++) {
            check_said(dx_bus_publish(served->bus, "t", &i, sizeof i, &said), "dx_bus_publish()");
        }
        wait_until(published_in(served->bus, "t") == 50);
        dxi_loop_call(first_loop(served), listen_in_loop, served);
        wait_until(loaded(&had.events) + loaded(&had.missed) == 1 + 50);
        assert_int_equal(loaded(&had.events), 1 + 10);
        check_said(dx_client_close(client, DX_CLIENT_FOREVER), "close");
        serve_end(served);
    }
}

/* A topic that was deleted and made anew while the subscriber was away begins with 1 for it, too,
 * whether it is longer by now than the old one was or not. */
static void a_topic_made_anew_meanwhile_is_given_from_its_beginning(void **state)
{
    (void)state;
    for (int round = 0; round < 4; round++) {
        const uint64_t later = (round & 1) != 0 ? 5 : 50;
        served_t *served = serve(round < 2 ? 1 : 2);
        dx_client_t *client = client_of(served);
        had_t had;
        had_subscribe(client, &had);
        for (uint64_t i = 0; i < 20; i++) {
            publish(client, "t", i);
        }
        wait_until(loaded(&had.events) == 20);
        dxi_loop_call(first_loop(served), listener_end, served);
        (void)dxi_bus_sessions_close(served->bus, SOON_NS);
        check_said(dx_bus_topic_delete(served->bus, "t", &said), "dx_bus_topic_delete()");
        const dx_topic_options_t some = {.retain_events = 40};
        check_said(dx_bus_topic_create(served->bus, "t", &some, &said), "dx_bus_topic_create()");
        for (uint64_t i = 0; i < later; i++) {
            check_said(dx_bus_publish(served->bus, "t", &i, sizeof i, &said), "dx_bus_publish()");
        }
        wait_until(published_in(served->bus, "t") == later);
        dxi_loop_call(first_loop(served), listen_in_loop, served);
        wait_until((uint64_t)(loaded(&had.events) + loaded(&had.missed)) == 20 + later);
        assert_int_equal(loaded(&had.missed), later > 40 ? later - 40 : 0);
        check_said(dx_client_close(client, DX_CLIENT_FOREVER), "close");
        serve_end(served);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_of_a_group_acknowledge_all_that_they_had),
        cmocka_unit_test(what_an_earlier_node_gave_is_not_acknowledged_to_the_next_one),
        cmocka_unit_test(who_leaves_a_group_handles_what_it_has_and_nobody_else_does),
        cmocka_unit_test(what_the_next_node_does_not_keep_is_told_as_a_gap),
        cmocka_unit_test(a_topic_made_anew_meanwhile_is_given_from_its_beginning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
