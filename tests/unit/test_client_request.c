/* test_client_request.c - requests of a client and their replies, at a node made of a script.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "client_test.h"

static got_t asked;

/* Sends the answer to `asked` as an event of the inbox. */
static void answer_request(void *context)
{
    node_t *const node = context;
    const uint64_t one = 1;
    const uint64_t inbox = node_got(node, DX_FRAME_SUBSCRIBE, 0)->subscription;
    const dx_frame_part_t head[] = {dx_frame_part_of(DX_PART_SUBSCRIPTION, &inbox, 8),
                                    dx_frame_part_of(DX_PART_COUNT, &one, 8)};
    const dx_frame_part_t parts[] = {
        dx_frame_part_text(DX_PART_TOPIC, node_got(node, DX_FRAME_SUBSCRIBE, 0)->topic),
        dx_frame_part_of(DX_PART_CORRELATION, &asked.correlation, 8)};
    node_send(node, &(dx_frame_draft_t){.type = DX_FRAME_DELIVER, .parts = head, .part_count = 2},
              NULL);
    node_send(node,
              &(dx_frame_draft_t){.type = DX_FRAME_EVENT,
                                  .sequence = 1,
                                  .parts = parts,
                                  .part_count = 2,
                                  .payload_bytes = 6},
              "answer");
}

static void answer_nobody(void *context)
{
    node_answer(context, asked.correlation, DX_FRAME_NACK, DX_ENOTFOUND, "nobody subscribes to q");
}

/* Waits for the n-th request and has the node do something about it. */
typedef struct answerer {
    node_t *node;
    int n;
    void (*run)(void *context);
} answerer_t;

static void answer(void *context)
{
    answerer_t *const a = context;
    while (node_got(a->node, DX_FRAME_REQUEST, a->n) == NULL) {
        (void)usleep(200);
    }
    asked = *node_got(a->node, DX_FRAME_REQUEST, a->n);
    node_do(a->node, a->run);
}

static void a_request_is_answered_or_says_that_nobody_is_there(void **state)
{
    (void)state;
    node_t *node = node_make();
    node_start(node);
    dx_client_t *client = client_open(node, (dx_client_options_t){0});
    dx_error_t error = {0};
    char data[16] = {0};
    const struct {
        void (*run)(void *context);
        size_t room;
        int code;
        const char *text;
    } table[] = {{answer_request, 16, DX_OK, ""},
                 {answer_request, 3, DX_ELIMIT, "6 bytes, there is room for 3"},
                 {answer_nobody, 16, DX_ENOTFOUND, "request to q: nobody subscribes to q"}};
    for (int i = 0; i < (int)COUNT_OF(table); i++) {
        answerer_t answerer = {.node = node, .n = i, .run = table[i].run};
        dx_thread_t *thread = NULL;
        size_t bytes = table[i].room;
        const dx_message_t m = message("q", "question");
        assert_ok(dx_thread_start(NULL, answer, &answerer, &thread, &error));
        const int code = dx_client_request(client, &m, DX_CLIENT_FOREVER, data, &bytes, &error);
        assert_ok(dx_thread_join(thread));
        assert_string_equal(dx_error_name(code), dx_error_name(table[i].code));
        if (code == DX_OK || code == DX_ELIMIT) {
            assert_int_equal(bytes, 6);
            assert_memory_equal(data, "answer", table[i].room < 6 ? table[i].room : 6);
        }
        if (code != DX_OK) {
            assert_contains(error.message, table[i].text);
        }
    }
    assert_null(node_got(node, DX_FRAME_SUBSCRIBE, 1)); /* one inbox for all */
    assert_contains(node_got(node, DX_FRAME_SUBSCRIBE, 0)->topic, "$inbox.");
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    node_end(node);
}

typedef struct replies {
    dx_atomic64_t count, timed_out, closed;
    char data[16];
} replies_t;

static void on_reply(void *context, int code, const dx_event_t *reply)
{
    replies_t *const replies = context;
    if (code == DX_OK) {
        memcpy(replies->data, reply->data, reply->bytes < 15 ? reply->bytes : 15);
    } else if (code == DX_ETIMEDOUT) {
        count(&replies->timed_out);
    } else if (code == DX_ECLOSED) {
        count(&replies->closed);
    }
    count(&replies->count);
}

static void a_request_may_be_answered_by_a_call(void **state)
{
    (void)state;
    node_t *node = node_make();
    node_start(node);
    dx_client_t *client = client_open(node, (dx_client_options_t){0});
    dx_error_t error = {0};
    replies_t replies = {0};
    const dx_message_t m = message("q", "question");
    assert_fails(dx_client_request_async(client, &m, 0, NULL, NULL, &error), DX_EINVAL, error, "");
    const dx_message_t bad = message("q.*", "question");
    assert_fails(dx_client_request_async(client, &bad, 0, on_reply, &replies, &error), DX_EINVAL,
                 error, "");
    assert_ok(dx_client_request_async(client, &m, WAIT_NS, on_reply, &replies, &error));
    wait_until(node_got(node, DX_FRAME_REQUEST, 0) != NULL);
    asked = *node_got(node, DX_FRAME_REQUEST, 0);
    node_do(node, answer_request);
    wait_until(number(&replies.count) == 1);
    assert_string_equal(replies.data, "answer");
    node_do(node, answer_request); /* once more: finds nobody */
    assert_ok(dx_client_request_async(client, &m, DX_NS_PER_MS, on_reply, &replies, &error));
    wait_until(number(&replies.timed_out) == 1);
    assert_ok(dx_client_request_async(client, &m, WAIT_NS, on_reply, &replies, &error));
    assert_int_equal(dx_client_close(client, DX_CLIENT_FOREVER), DX_OK);
    assert_int_equal(number(&replies.closed), 1);
    assert_int_equal(number(&replies.count), 3);
    node_end(node);
}

static void so_many_requests_are_open_at_a_time_and_no_more(void **state)
{
    (void)state;
    node_t *node = node_make();
    node_start(node);
    dx_client_t *client = client_open(node, (dx_client_options_t){0});
    dx_error_t error = {0};
    replies_t replies = {0};
    const dx_message_t m = message("q", "question");
    for (int i = 0; i < DX_REQUESTS_MAX; i++) {
        if (dx_client_request_async(client, &m, WAIT_NS, on_reply, &replies, &error) != DX_OK) {
            fail_msg("request %d: %s", i, error.message);
        }
    }
    assert_fails(dx_client_request_async(client, &m, WAIT_NS, on_reply, &replies, &error),
                 DX_ELIMIT, error, "65536 calls");
    wait_until(node_got(node, DX_FRAME_REQUEST, 0) != NULL);
    asked = *node_got(node, DX_FRAME_REQUEST, 0);
    node_do(node, answer_request);
    wait_until(number(&replies.count) == 1);
    assert_ok(dx_client_request_async(client, &m, WAIT_NS, on_reply, &replies, &error));
    (void)dx_client_close(client, 0);
    assert_int_equal(number(&replies.closed), DX_REQUESTS_MAX);
    node_end(node);
}

typedef struct replier {
    dx_client_t *client;
    dx_atomic64_t count; /* of requests */
    int result;          /* of the last reply */
} replier_t;

static int on_request(void *context, const dx_event_t *event)
{
    replier_t *const replier = context;
    dx_error_t error = {0};
    replier->result = dx_client_reply(replier->client, event, "yes", 3, &error);
    count(&replier->count);
    return DX_OK;
}

static uint64_t request_subscription;

static void deliver_request(void *context)
{
    const uint64_t one = 1;
    const uint64_t correlation = 42;
    const dx_frame_part_t head[] = {
        dx_frame_part_of(DX_PART_SUBSCRIPTION, &request_subscription, 8),
        dx_frame_part_of(DX_PART_COUNT, &one, 8)};
    const dx_frame_part_t parts[] = {dx_frame_part_text(DX_PART_TOPIC, "q"),
                                     dx_frame_part_of(DX_PART_CORRELATION, &correlation, 8),
                                     dx_frame_part_text(DX_PART_REPLY_TO, "$inbox.of.somebody")};
    node_send(context,
              &(dx_frame_draft_t){.type = DX_FRAME_DELIVER, .parts = head, .part_count = 2}, NULL);
    node_send(
        context,
        &(dx_frame_draft_t){.type = DX_FRAME_EVENT, .sequence = 1, .parts = parts, .part_count = 3},
        NULL);
}

static void deliver_event(void *context)
{
    node_deliver(context, request_subscription, "q", 2, 1, 0, 0);
}

static void a_reply_goes_where_the_request_said(void **state)
{
    (void)state;
    node_t *node = node_make();
    node_start(node);
    dx_client_t *client = client_open(node, (dx_client_options_t){0});
    dx_error_t error = {0};
    replier_t replier = {.client = client};
    dx_client_subscription_t *subscription = NULL;
    const dx_subscription_options_t options = {
        .pattern = "q", .on_event = on_request, .context = &replier};
    assert_ok(dx_client_subscribe(client, &options, &subscription, &error));
    request_subscription = node_got(node, DX_FRAME_SUBSCRIBE, 0)->subscription;
    node_do(node, deliver_request);
    wait_until(node_got(node, DX_FRAME_REPLY, 0) != NULL);
    const got_t *reply = node_got(node, DX_FRAME_REPLY, 0);
    assert_string_equal(reply->topic, "$inbox.of.somebody");
    assert_int_equal(reply->correlation, 42);
    assert_string_equal(reply->payload, "yes");
    node_do(node, deliver_event);
    wait_until(number(&replier.count) == 2);
    assert_int_equal(replier.result, DX_EINVAL); /* no request */
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    node_end(node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_answered_or_says_that_nobody_is_there),
        cmocka_unit_test(a_request_may_be_answered_by_a_call),
        cmocka_unit_test(so_many_requests_are_open_at_a_time_and_no_more),
        cmocka_unit_test(a_reply_goes_where_the_request_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
