/* test_client_single_publisher.c - direct topics without a lock, for programs that publish from one
 * thread at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <pthread.h>

#include "served_test.h"

#include "bus/direct_ask.h"

static const dx_topic_options_t DIRECT = {.direct_bytes = 65536, .event_bytes_max = 128};

typedef struct reader {
    dx_atomic64_t count, wrong, missed;
    dx_atomic64_t hold; /* 1: the handler waits until it is 0 */
} reader_t;

static int read_one(void *context, const dx_event_t *event)
{
    reader_t *const reader = context;
    uint64_t value = 0;
    memcpy(&value, event->data, sizeof value);
    (void)dx_fetch_add_relaxed(&reader->wrong, value == event->sequence ? 0 : 1);
    (void)dx_fetch_add_relaxed(&reader->count, 1);
    while (loaded(&reader->hold) != 0) {
        (void)usleep(200);
    }
    return DX_OK;
}

static void miss(void *context, const dx_gap_t *gap)
{
    reader_t *const reader = context;
    (void)dx_fetch_add_relaxed(&reader->missed, (int64_t)(gap->last - gap->first + 1));
}

/* A node with the direct topic t, a subscriber that blocks its publishers, and a client that
 * publishes. */
typedef struct world {
    served_t *served;
    dx_client_t *other, *client;
    dx_client_subscription_t *subscription;
    reader_t reader;
    uint64_t slots;
} world_t;

static void world_begin(world_t *w)
{
    *w = (world_t){.served = serve(1)};
    w->other = client_of(w->served);
    check_said(dx_client_topic_create(w->other, "t", &DIRECT, &said), "topic_create");
    const dx_client_options_t options = {.address = w->served->address, .single_publisher = true};
    check_said(dx_client_connect(&options, &w->client, &said), "connect");
    const dx_subscription_options_t subscribe = {.pattern = "t",
                                                 .context = &w->reader,
                                                 .on_event = read_one,
                                                 .on_gap = miss,
                                                 .slow = DX_SLOW_BLOCK,
                                                 .slow_block_ns = PATIENCE_NS};
    check_said(dx_client_subscribe(w->other, &subscribe, &w->subscription, &said), "subscribe");
}

static void world_end(world_t *w)
{
    check_said(dx_client_unsubscribe(w->subscription, DX_CLIENT_FOREVER), "unsubscribe");
    assert_int_equal(loaded(&w->reader.wrong) + loaded(&w->reader.missed), 0);
    check_said(dx_client_close(w->client, DX_CLIENT_FOREVER), "close");
    check_said(dx_client_close(w->other, DX_CLIENT_FOREVER), "close");
    serve_end(w->served);
}

static void all_that_one_thread_publishes_arrives_in_order(void **state)
{
    (void)state;
    world_t w;
    world_begin(&w);
    for (uint64_t last = 0; last < 30000;) {
        uint64_t values[3] = {last + 1, last + 2, last + 3};
        const dx_message_t pair[2] = {{.topic = "t", .data = &values[0], .bytes = 8},
                                      {.topic = "t", .data = &values[1], .bytes = 8}};
        assert_int_equal(dx_client_publish_batch(w.client, pair, 2, &said), 2);
        const dx_message_t keyed = {
            .topic = "t", .key = "k", .key_bytes = 1, .data = &values[2], .bytes = 8};
        dx_receipt_t receipt;
        check_said(dx_client_publish_wait(w.client, &keyed, &receipt, &said), "publish_wait");
        assert_int_equal(receipt.sequence, last + 3);
        publish(w.client, "t", last + 4);
        last += 4;
    }
    wait_until(loaded(&w.reader.count) == 30000);
    dx_client_stats_t stats;
    dx_client_stats(w.client, &stats);
    assert_int_equal(stats.published, 30000);
    world_end(&w);
}

/* Publishes the numbers from 2 on, until the ring is full and one waits. */
static void *fill(void *context)
{
    world_t *const w = context;
    for (uint64_t i = 2; i <= w->slots + 2; i++) {
        publish(w->client, "t", i);
    }
    return NULL;
}

/* The ring of the topic, to be looked at only. */
static dx_ring_t *ring_of(dx_client_t *client)
{
    char text[1024];
    dxi_direct_answer_t answer;
    dx_ring_t *ring = NULL;
    check_said(dx_client_ask(client, "direct", "publish t", text, sizeof text, &said), "ask");
    check_said(dxi_direct_answer_read(text, &answer, &said), "answer");
    const dx_attach_options_t attach = {
        .name = answer.ring, .folder = answer.folder, .observe = true};
    check_said(dx_ring_attach(&attach, &ring, &said), "attach");
    return ring;
}

static dx_ring_stat_t stat_of(const dx_ring_t *ring)
{
    dx_ring_stat_t stat;
    dx_ring_stat(ring, &stat);
    return stat;
}

/* The reader is in the middle of the first event, so the ring has room for as many as it has slots,
 * and the publisher of one more is inside until the reader goes on. */
static void a_second_one_that_is_seen_is_refused(void **state)
{
    (void)state;
    world_t w;
    world_begin(&w);
    dx_ring_t *ring = ring_of(w.other);
    w.slots = stat_of(ring).slot_count;
    dx_store_release(&w.reader.hold, 1);
    publish(w.client, "t", 1);
    wait_until(loaded(&w.reader.count) == 1);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, fill, &w), 0);
    wait_until(stat_of(ring).claim_waits != 0);
    const dx_message_t plain = {.topic = "t", .data = "x", .bytes = 1};
    assert_fails(dx_client_publish(w.client, &plain, &said), DX_EBUSY, said,
                 "two threads publish to direct topic t at a time");
    const dx_message_t keyed = {.topic = "t", .key = "k", .key_bytes = 1};
    assert_fails(dx_client_publish(w.client, &keyed, &said), DX_EBUSY, said, "single_publisher");
    dx_store_release(&w.reader.hold, 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    publish(w.client, "t", w.slots + 3);
    wait_until(loaded(&w.reader.count) == (int64_t)w.slots + 3);
    dx_ring_destroy(ring);
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_that_one_thread_publishes_arrives_in_order),
        cmocka_unit_test(a_second_one_that_is_seen_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
