/* test_direct_slots.c - what programs beside the node may have written into the ring of a direct
 * topic, and is no event.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <sys/stat.h>
#include <unistd.h>

#include "served_test.h"

#include "bus/direct_ask.h"
#include "bus/direct_slot.h"
#include "disruptorx/producer.h"

typedef struct reader {
    dx_atomic64_t count, last; /* the last sequence */
    dx_client_subscription_t *subscription;
} reader_t;

static int read_one(void *context, const dx_event_t *event)
{
    reader_t *const reader = context;
    (void)dx_fetch_add_relaxed(&reader->count, 1);
    dx_store_release(&reader->last, (int64_t)event->sequence);
    return DX_OK;
}

static void join(reader_t *reader, dx_client_t *client, const char *group)
{
    const dx_subscription_options_t options = {
        .pattern = "t", .group = group, .on_event = read_one, .context = reader};
    check_said(dx_client_subscribe(client, &options, &reader->subscription, &said), "subscribe");
}

static void leave(reader_t *reader)
{
    check_said(dx_client_unsubscribe(reader->subscription, DX_CLIENT_FOREVER), "unsubscribe");
}

/* Puts a frame into the next slot of the topic's ring, as it is. */
static void slot_write(const served_t *served, const dx_frame_draft_t *draft, const void *payload)
{
    uint64_t frame[32];
    dxi_direct_answer_t answer;
    dx_ring_t *ring = NULL;
    dx_producer_t producer;
    check_said(dxi_direct_ask(served->bus, "t", false, &answer, &said), "ask");
    const dx_attach_options_t attach = {.name = answer.ring, .folder = answer.folder};
    check_said(dx_ring_attach(&attach, &ring, &said), "attach");
    check_said(dx_producer_open(&producer, ring, NULL, &said), "producer");
    const int64_t bytes = dx_frame_encode(frame, sizeof frame, draft, payload, &said);
    check_said(bytes < 0 ? (int)bytes : DX_OK, "encode");
    const int64_t sequence = dx_producer_claim(&producer);
    assert_true(sequence > 0);
    dxi_direct_write(dx_producer_event(&producer, sequence), DXI_DIRECT_FRAME, frame,
                     (uint32_t)bytes, 1);
    assert_int_equal(dx_producer_publish(&producer, sequence), DX_OK);
    dx_producer_close(&producer);
    dx_ring_destroy(ring);
}

/* A slot has one sequence; the events of a pack would have more than their topic has given. */
static void a_pack_in_a_slot_is_no_event(void **state)
{
    (void)state;
    served_t *const served = serve(1);
    dx_client_t *const client = client_of(served);
    const dx_topic_options_t direct = {.direct_bytes = 65536};
    check_said(dx_client_topic_create(client, "t", &direct, &said), "topic_create");
    reader_t in_ring = {.count = 0}, by_node = {.count = 0};
    join(&in_ring, client, NULL);
    join(&by_node, client, "g");

    const dx_frame_part_t topic = dx_frame_part_text(DX_PART_TOPIC, "t");
    const uint64_t pack[] = {2 | UINT64_C(16) << 32, 8, 1, 8, 2}; /* two events of 8 bytes */
    slot_write(served,
               &(dx_frame_draft_t){.type = DX_FRAME_EVENT,
                                   .flags = DX_FRAME_PACKED,
                                   .parts = &topic,
                                   .part_count = 1,
                                   .payload_bytes = sizeof pack},
               pack);
    publish(client, "t", 2);
    wait_until(loaded(&in_ring.last) == 2 && loaded(&by_node.last) == 2);
    assert_int_equal(loaded(&in_ring.count), 1);
    assert_int_equal(loaded(&by_node.count), 1);
    dx_topic_stats_t stats;
    check_said(dx_client_topic_stats(client, "t", &stats, &said), "topic_stats");
    assert_int_equal(stats.refused, 1);
    leave(&in_ring);
    leave(&by_node);
    check_said(dx_client_close(client, DX_CLIENT_FOREVER), "close");
    serve_end(served);
}

/* Names that could be known beforehand are taken by somebody. */
static void names_of_rings_cant_be_taken_beforehand(void **state)
{
    (void)state;
    char path[128];
    for (int i = 0; i < 8; i++) {
        (void)snprintf(path, sizeof path, DX_RING_FOLDER "/dxd-%d-%d" DX_RING_SUFFIX, (int)getpid(),
                       i);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    served_t *const served = serve(1);
    dx_client_t *const client = client_of(served);
    const dx_topic_options_t direct = {.direct_bytes = 65536};
    const int code = dx_client_topic_create(client, "t", &direct, &said);
    for (int i = 0; i < 8; i++) {
        (void)snprintf(path, sizeof path, DX_RING_FOLDER "/dxd-%d-%d" DX_RING_SUFFIX, (int)getpid(),
                       i);
        assert_int_equal(rmdir(path), 0);
    }
    check_said(code, "topic_create");
    check_said(dx_client_close(client, DX_CLIENT_FOREVER), "close");
    serve_end(served);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_rings_cant_be_taken_beforehand),
        cmocka_unit_test(a_pack_in_a_slot_is_no_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
