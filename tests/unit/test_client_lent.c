/* test_client_lent.c - a client whose thread sleeps, and publishers that act for it: deadlines and
 * flushes are met all the same.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "client/internal.h"
#include "served_test.h"

/* Above what anything here takes, below what would wake a loop by itself (the first PING). */
#define EARLY_NS INT64_C(10000000000)

static bool asleep(const dx_client_t *client)
{
    return dx_load32_acquire(&client->bell->asleep) != 0;
}

static dx_atomic32_t held;

static void visit_nothing(void *context, uint64_t connection, const dx_subscription_stats_t *stats)
{
    (void)context, (void)connection, (void)stats;
}

typedef struct told {
    dx_atomic64_t count;
    dx_atomic32_t code;
} told_t;

static void on_reply(void *context, int code, const dx_event_t *reply)
{
    told_t *const told = context;
    (void)reply;
    dx_store32_relaxed(&told->code, code);
    dx_store_release(&told->count, dx_load_relaxed(&told->count) + 1);
}

static int hears_and_says_nothing(void *context, const dx_event_t *event)
{
    (void)event;
    add(context);
    return DX_OK;
}

static void a_lone_request_without_an_answer_meets_its_deadline(void **state)
{
    (void)state;
    served_t *const served = serve(1);
    dx_client_t *const silent = client_of(served), *const asker = client_of(served);
    dx_client_subscription_t *subscription = NULL;
    dx_atomic64_t heard = {0};
    check_said(dx_client_subscribe(silent,
                                   &(dx_subscription_options_t){.pattern = "quiet",
                                                                .on_event = hears_and_says_nothing,
                                                                .context = &heard},
                                   &subscription, &said),
               "dx_client_subscribe()");
    told_t told = {.count = {0}};
    for (int i = 1; i <= 20; i++) { /* the first one makes the inbox, the others go asleep */
        wait_until(asleep(asker));
        const int64_t begin_ns = dx_clock_ns();
        check_said(dx_client_request_async(
                       asker, &(dx_message_t){.topic = "quiet", .data = "?", .bytes = 1},
                       5 * DX_NS_PER_MS, on_reply, &told, &said),
                   "dx_client_request_async()");
        wait_until(dx_load_acquire(&told.count) == i);
        assert_int_equal(dx_load32_relaxed(&told.code), DX_ETIMEDOUT);
        assert_true(dx_clock_ns() - begin_ns < EARLY_NS);
    }
    wait_until(loaded(&heard) == 20);
    check_said(dx_client_close(asker, DX_CLIENT_FOREVER), "close");
    check_said(dx_client_close(silent, DX_CLIENT_FOREVER), "close");
    serve_end(served);
}

/* Answers when the asker has given up. */
typedef struct answerer {
    dx_client_t *client;
    dx_atomic64_t receipts;
    dx_atomic64_t late;
} answerer_t;

static void on_receipt(void *context, const dx_receipt_t *receipt)
{
    answerer_t *const answerer = context;
    if (receipt->code == DX_ENOTFOUND) {
        add(&answerer->late);
    }
    dx_store_release(&answerer->receipts, dx_load_relaxed(&answerer->receipts) + 1);
}

static int answers_with_a_receipt(void *context, const dx_event_t *event)
{
    answerer_t *const answerer = context;
    while (event->data != NULL && *(const char *)event->data == 'w' &&
           dx_load32_acquire(&held) != 0) { /* "wait" */
        (void)usleep(200);
    }
    check_said(
        dx_client_reply_async(answerer->client, event, "yes", 3, on_receipt, answerer, &said),
        "dx_client_reply_async()");
    return DX_OK;
}

static void an_answer_with_a_receipt_says_whether_anybody_waits_for_it(void **state)
{
    (void)state;
    served_t *const served = serve(1);
    answerer_t answerer = {.client = client_of(served)};
    dx_client_t *const asker = client_of(served);
    dx_client_subscription_t *subscription = NULL;
    check_said(dx_client_subscribe(answerer.client,
                                   &(dx_subscription_options_t){.pattern = "ask",
                                                                .on_event = answers_with_a_receipt,
                                                                .context = &answerer},
                                   &subscription, &said),
               "dx_client_subscribe()");
    char data[8];
    size_t bytes = sizeof data;
    dx_message_t question = {.topic = "ask", .data = "now", .bytes = 3};
    check_said(dx_client_request(asker, &question, 0, data, &bytes, &said), "dx_client_request()");
    wait_until(dx_load_acquire(&answerer.receipts) == 1);
    assert_int_equal(loaded(&answerer.late), 0);
    dx_store32_release(&held, 1);
    question.data = "wait";
    told_t told = {.count = {0}};
    check_said(dx_client_request_async(asker, &question, 0, on_reply, &told, &said), "request");
    check_said(dx_client_flush(asker, SOON_NS, &said), "flush");
    (void)dx_client_close(asker, 0); /* with its inbox */
    wait_until(dxi_bus_subscriptions_each(served->bus, visit_nothing, NULL) == 1);
    dx_store32_release(&held, 0);
    wait_until(dx_load_acquire(&answerer.receipts) == 2);
    assert_int_equal(loaded(&answerer.late), 1);
    dx_error_t error = {0};
    assert_int_equal(dx_client_reply_async(answerer.client, NULL, "x", 1, NULL, NULL, &error),
                     DX_EINVAL);
    check_said(dx_client_close(answerer.client, DX_CLIENT_FOREVER), "close");
    serve_end(served);
}

typedef struct flusher {
    dx_client_t *client;
    dx_atomic32_t done;
    dx_atomic64_t flushes;
    int64_t longest_ns;
    int code;
} flusher_t;

static void flush_once(void *context)
{
    flusher_t *const flusher = context;
    dx_error_t error = {0};
    publish(flusher->client, "flushed", 1);
    flusher->code = dx_client_flush(flusher->client, SOON_NS, &error);
    dx_store32_release(&flusher->done, 1);
}

static dx_thread_t *thread_of(void (*run)(void *context), flusher_t *flusher)
{
    dx_thread_t *thread = NULL;
    check_said(
        dx_thread_start(&(dx_thread_options_t){.name = "flusher"}, run, flusher, &thread, &said),
        "dx_thread_start()");
    return thread;
}

static void a_flush_that_comes_while_the_loop_is_lent_is_seen_when_it_is_given_back(void **state)
{
    (void)state;
    served_t *const served = serve(1);
    dx_client_t *const client = client_of(served);
    publish(client, "flushed", 0);
    check_said(dx_client_flush(client, SOON_NS, &said), "flush");
    wait_until(asleep(client) && dxi_loop_borrow(client->loop));
    flusher_t flusher = {.client = client};
    dx_thread_t *const thread = thread_of(flush_once, &flusher);
    wait_until(dx_load32_acquire(&client->calls_waiting) != 0);
    assert_int_equal(dx_load32_relaxed(&flusher.done), 0); /* nobody has sent anything */
    dxi_loop_give_back(client->loop);
    wait_until(dx_load32_acquire(&flusher.done) != 0);
    assert_int_equal(dx_thread_join(thread), DX_OK);
    assert_int_equal(flusher.code, DX_OK);
    check_said(dx_client_close(client, DX_CLIENT_FOREVER), "close");
    serve_end(served);
}

static void flush_only(void *context)
{
    flusher_t *const flusher = context;
    dx_error_t error = {0};
    flusher->code = dx_client_flush(flusher->client, SOON_NS, &error);
    dx_store32_release(&flusher->done, 1);
}

/* The flush is behind a publication that its publisher has not finished; who finishes it sends it
 * himself, and the thread, which sleeps, has to tell who flushes. */
static void a_flush_hears_of_what_a_publisher_has_sent_for_the_thread(void **state)
{
    (void)state;
    served_t *const served = serve(1);
    dx_client_t *const client = client_of(served);
    const dx_frame_part_t topic = dx_frame_part_text(DX_PART_TOPIC, "late");
    const dx_frame_draft_t draft = {.type = DX_FRAME_PUBLISH, .parts = &topic, .part_count = 1};
    const int64_t bytes = dx_frame_bytes(&draft, &said);
    uint64_t claim = 0;
    assert_ok(dxi_window_claim(&client->window, bytes, 1, &claim));
    flusher_t flusher = {.client = client};
    dx_thread_t *const thread = thread_of(flush_only, &flusher);
    wait_until(dx_load32_acquire(&client->flushing) != 0 && asleep(client));
    assert_int_equal(dx_load32_relaxed(&flusher.done), 0);
    assert_int_equal(dx_frame_encode(dxi_window_place(&client->window, claim), (size_t)bytes,
                                     &draft, NULL, &said),
                     bytes);
    dxi_window_publish(&client->window, claim, bytes, 0);
    const int64_t begin_ns = dx_clock_ns();
    dxi_client_ring_published(client);
    wait_until(dx_load32_acquire(&flusher.done) != 0);
    assert_true(dx_clock_ns() - begin_ns < EARLY_NS);
    assert_int_equal(dx_thread_join(thread), DX_OK);
    assert_int_equal(flusher.code, DX_OK);
    check_said(dx_client_close(client, DX_CLIENT_FOREVER), "close");
    serve_end(served);
}

static void flush_again_and_again(void *context)
{
    flusher_t *const flusher = context;
    while (dx_load32_acquire(&flusher->done) == 0 && flusher->code == DX_OK) {
        const int64_t begin_ns = dx_clock_ns();
        dx_error_t error = {0};
        flusher->code = dx_client_flush(flusher->client, SOON_NS, &error);
        const int64_t ns = dx_clock_ns() - begin_ns;
        flusher->longest_ns = ns > flusher->longest_ns ? ns : flusher->longest_ns;
        add(&flusher->flushes);
    }
}

static void flushes_beside_lone_publications_come_to_their_end(void **state)
{
    (void)state;
    served_t *const served = serve(1);
    dx_client_t *const client = client_of(served);
    flusher_t flusher = {.client = client};
    dx_thread_t *const thread = thread_of(flush_again_and_again, &flusher);
    for (uint64_t i = 0; i < 500; i++) {
        publish(client, "lone", i);
        (void)usleep(40); /* so that it is a lone one again */
    }
    dx_store32_release(&flusher.done, 1);
    assert_int_equal(dx_thread_join(thread), DX_OK);
    assert_int_equal(flusher.code, DX_OK);
    assert_true(loaded(&flusher.flushes) > 0);
    assert_true(flusher.longest_ns < EARLY_NS);
    check_said(dx_client_close(client, DX_CLIENT_FOREVER), "close");
    serve_end(served);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lone_request_without_an_answer_meets_its_deadline),
        cmocka_unit_test(a_flush_that_comes_while_the_loop_is_lent_is_seen_when_it_is_given_back),
        cmocka_unit_test(a_flush_hears_of_what_a_publisher_has_sent_for_the_thread),
        cmocka_unit_test(an_answer_with_a_receipt_says_whether_anybody_waits_for_it),
        cmocka_unit_test(flushes_beside_lone_publications_come_to_their_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
