/* test_bus_lane.c - a lane's ring and the short way past it: it overtakes nothing that was claimed;
 * what is counted.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bus/runtime.h"
#include "served_test.h"

typedef struct order {
    dx_atomic64_t count;
    uint64_t numbers[16];
} order_t;

static int note_number(void *context, const dx_event_t *event)
{
    order_t *const order = context;
    memcpy(&order->numbers[loaded(&order->count) % 16], event->data, sizeof order->numbers[0]);
    dx_store_release(&order->count, dx_load_relaxed(&order->count) + 1);
    return DX_OK;
}

/* A publication in a claim that is not published yet. */
typedef struct claim {
    dx_producer_t producer;
    int64_t sequence;
    dxi_lane_t *lane;
} claim_t;

static claim_t claim_begin(dx_bus_t *bus, const char *topic, uint64_t number)
{
    claim_t claim = {.lane = dxi_bus_lane_of(bus, topic, (uint32_t)strlen(topic), NULL, 0)};
    check_said(dx_producer_open(&claim.producer, claim.lane->ring,
                                &(dx_producer_options_t){.name = "raw"}, &said),
               "dx_producer_open()");
    const dx_frame_part_t part = dx_frame_part_text(DX_PART_TOPIC, topic);
    const dx_frame_draft_t draft = {
        .type = DX_FRAME_PUBLISH, .parts = &part, .part_count = 1, .payload_bytes = sizeof number};
    const int64_t bytes = dx_frame_bytes(&draft, &said);
    claim.sequence = dx_producer_claim_span(&claim.producer, (size_t)bytes - DX_FRAME_SPAN_BYTES);
    assert_true(claim.sequence >= 0);
    assert_int_equal(dx_frame_encode(dx_producer_span(&claim.producer, claim.sequence),
                                     (size_t)bytes, &draft, &number, &said),
                     bytes);
    claim.lane->notes[claim.sequence & claim.lane->notes_mask] = (dxi_lane_note_t){0, 0};
    return claim;
}

static void claim_end(claim_t *claim)
{
    assert_true(dx_producer_publish_span(&claim->producer, claim->sequence) >= 0);
    dxi_loop_bell(claim->lane->owner->loop, claim->lane->owner->bell);
    dx_producer_close(&claim->producer);
}

static void what_a_client_publishes_goes_behind_a_claim_that_is_open(void **state)
{
    (void)state;
    served_t *const served = serve(1);
    dx_client_t *const client = client_of(served);
    order_t order = {.count = {0}};
    dx_client_subscription_t *subscription = NULL;
    check_said(dx_client_subscribe(client,
                                   &(dx_subscription_options_t){.pattern = "lane",
                                                                .on_event = note_number,
                                                                .context = &order},
                                   &subscription, &said),
               "dx_client_subscribe()");
    publish(client, "lane", 1); /* the short way */
    wait_until(dx_load_acquire(&order.count) == 1);
    claim_t claim = claim_begin(served->bus, "lane", 2);
    publish(client, "lane", 3);
    publish(client, "lane", 4);
    /* They are there, and nothing more was said of them. */
    wait_until(dxi_lane_depth(claim.lane) > dx_span_slots(8) + 1);
    char text[64];
    check_said(dx_client_ask(client, "echo", "still here", text, sizeof text, &said), "ask");
    assert_int_equal(loaded(&order.count), 1);
    claim_end(&claim);
    wait_until(dx_load_acquire(&order.count) == 4);
    for (uint64_t i = 0; i < 4; i++) {
        assert_int_equal(order.numbers[i], i + 1);
    }
    check_said(dx_client_close(client, DX_CLIENT_FOREVER), "close");
    serve_end(served);
}

/* Publishers do not count: what waits is counted by who asks, and what was taken by its loop. */
static void what_goes_through_the_ring_is_counted_by_events_and_batches(void **state)
{
    (void)state;
    served_t *const served = serve(1);
    dxi_lane_events_t events;
    claim_t claims[3];
    for (size_t i = 0; i < 3; i++) {
        claims[i] = claim_begin(served->bus, "lane", i);
    }
    const uint32_t shard = claims[0].lane->index;
    for (size_t i = 3; i > 1; i--) { /* behind one that is open: they are not there yet */
        assert_true(dx_producer_publish_span(&claims[i - 1].producer, claims[i - 1].sequence) >= 0);
        dx_producer_close(&claims[i - 1].producer);
    }
    assert_ok(dxi_bus_lane_events(served->bus, shard, &events));
    assert_int_equal(events.published, 0);
    claim_end(&claims[0]);
    do {
        assert_ok(dxi_bus_lane_events(served->bus, shard, &events));
        assert_true(events.published == 0 || events.published == 3);
        assert_true(events.consumed == 0 || events.consumed == 3);
    } while (events.consumed != 3);
    assert_int_equal(events.published, 3);
    assert_int_equal(events.batches[2], 1); /* of 3 or 4 */
    assert_int_equal(events.batches[0] + events.batches[1], 0);
    assert_int_equal(events.blocked_ns, 0);
    assert_int_equal(dxi_bus_lane_events(served->bus, served->bus->options.shards, &events),
                     DX_ENOTFOUND);
    serve_end(served);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_client_publishes_goes_behind_a_claim_that_is_open),
        cmocka_unit_test(what_goes_through_the_ring_is_counted_by_events_and_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
