/* test_client_subscribe.c - subscriptions of a client at a node made of a script: events, batches,
 * credit, answers, gaps, the end, going on after a reconnect.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "client_test.h"

#define SEEN_MAX 32768

/* What a handler was given. */
typedef struct seen {
    dx_atomic64_t count, calls, ends, gaps, batches_ended;
    uint64_t sequences[SEEN_MAX];
    uint32_t attempts[SEEN_MAX];
    bool last_of_batch[SEEN_MAX];
    dx_gap_t gap;
    int end_code;
    char end_sentence[64];
    dx_client_t *client;
    dx_client_subscription_t *subscription; /* EXPLICIT: acknowledged at once when set */
    uint64_t refuse;                        /* this sequence, at its first attempt */
    int results[8];                         /* what the handler got from calls that must not wait */
} seen_t;

static int on_event(void *context, const dx_event_t *event)
{
    seen_t *const seen = context;
    const int64_t at = number(&seen->count);
    if (at < SEEN_MAX) {
        seen->sequences[at] = event->sequence;
        seen->attempts[at] = event->attempt;
        seen->last_of_batch[at] = event->end_of_batch;
    }
    if (event->end_of_batch) {
        count(&seen->batches_ended);
    }
    count(&seen->calls);
    count(&seen->count);
    if (seen->refuse == event->sequence && event->attempt <= 1) {
        return DX_EFATAL;
    }
    return DX_OK;
}

static int on_events(void *context, const dx_event_t *events, int events_count)
{
    seen_t *const seen = context;
    int done = 0;
    for (; done < events_count; done++) {
        if (seen->refuse == events[done].sequence && events[done].attempt <= 1) {
            break;
        }
        const int64_t at = number(&seen->count);
        seen->sequences[at] = events[done].sequence;
        seen->last_of_batch[at] = events[done].end_of_batch;
        count(&seen->count);
    }
    count(&seen->calls);
    return done;
}

static void on_gap(void *context, const dx_gap_t *gap)
{
    seen_t *const seen = context;
    seen->gap = *gap;
    count(&seen->gaps);
}

static void on_end(void *context, int code, const char *sentence)
{
    seen_t *const seen = context;
    seen->end_code = code;
    (void)snprintf(seen->end_sentence, sizeof seen->end_sentence, "%s", sentence);
    count(&seen->ends);
}

/* What the node's thread is to do, with what. */
static struct {
    node_t *node;
    uint64_t subscription;
    const char *topic;
    uint64_t first, count;
    uint32_t attempt;
    uint64_t held;
} order;

static void deliver_ordered(void *context)
{
    (void)context;
    node_deliver(order.node, order.subscription, order.topic, order.first, order.count,
                 order.attempt, order.held);
}

static void deliver_while(node_t *node, uint64_t subscription, const char *topic, uint64_t first,
                          uint64_t events, uint32_t attempt, uint64_t held)
{
    order.node = node;
    order.subscription = subscription;
    order.topic = topic;
    order.first = first;
    order.count = events;
    order.attempt = attempt;
    order.held = held;
    node_do(node, deliver_ordered);
}

static void deliver(node_t *node, uint64_t subscription, const char *topic, uint64_t first,
                    uint64_t events, uint32_t attempt)
{
    deliver_while(node, subscription, topic, first, events, attempt, 0);
}

static seen_t *seen_make(void)
{
    seen_t *const seen = calloc(1, sizeof *seen);
    assert_non_null(seen);
    return seen;
}

static dx_client_subscription_t *subscribe(dx_client_t *client, dx_subscription_options_t options,
                                           seen_t *seen)
{
    dx_error_t error = {0};
    dx_client_subscription_t *subscription = NULL;
    options.context = seen;
    options.on_gap = on_gap;
    options.on_end = on_end;
    if (options.on_batch == NULL) {
        options.on_event = on_event;
    }
    if (dx_client_subscribe(client, &options, &subscription, &error) != DX_OK) {
        fail_msg("%s", error.message);
    }
    return subscription;
}

static void options_of_subscriptions_are_checked(void **state)
{
    (void)state;
    node_t *node = node_make();
    node_start(node);
    dx_client_t *client = client_open(node, (dx_client_options_t){0});
    dx_error_t error = {0};
    static char long_group[DX_GROUP_BYTES_MAX + 2], filter[DX_FILTER_BYTES_MAX + 2];
    memset(long_group, 'g', sizeof long_group - 1);
    memset(filter, ' ', sizeof filter - 1);
    const struct {
        dx_subscription_options_t options;
        const char *text;
    } table[] = {
        {{.on_event = on_event}, "pattern is NULL"},
        {{.pattern = "a..b", .on_event = on_event}, ""},
        {{.pattern = "a"}, "not none"},
        {{.pattern = "a", .on_event = on_event, .on_batch = on_events}, "not both"},
        {{.pattern = "a", .on_event = on_event, .dispatch = DX_DISPATCH_SHARD}, "leave them zero"},
        {{.pattern = "a", .on_event = on_event, .queue_events = DX_PENDING_EVENTS_MAX + 1},
         "queue_events is 1048577"},
        {{.pattern = "a", .on_event = on_event, .queue_bytes = 1023}, "queue_bytes is 1023"},
        {{.pattern = "a", .on_event = on_event, .pending_events_max = 1048577},
         "pending_events_max is 1048577"},
        {{.pattern = "a", .on_event = on_event, .reserved = {0, 0, 1}}, "reserved"},
        {{.pattern = "a", .on_event = on_event, .ack = 4}, "ack is 4"},
        {{.pattern = "a", .on_event = on_event, .slow = 3}, "slow is 3"},
        {{.pattern = "a", .on_event = on_event, .from = 4}, "from is 4"},
        {{.pattern = "a", .on_event = on_event, .ack_timeout_ns = -1}, "ack_timeout_ns is -1"},
        {{.pattern = "a", .on_event = on_event, .group = ""}, "the group's name has 0 bytes"},
        {{.pattern = "a", .on_event = on_event, .group = long_group}, "has 256 bytes"},
        {{.pattern = "a", .on_event = on_event, .group = "g\xff"},
         "the group's name has byte 0xff"},
        {{.pattern = "a", .on_event = on_event, .name = "n\n"}, "name has byte 0x0a"},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        dx_client_subscription_t *subscription = (dx_client_subscription_t *)&error;
        assert_fails(dx_client_subscribe(client, &table[i].options, &subscription, &error),
                     DX_EINVAL, error, table[i].text);
        assert_null(subscription);
    }
    dx_client_subscription_t *subscription = NULL;
    assert_fails(dx_client_subscribe(client,
                                     &(dx_subscription_options_t){
                                         .pattern = "a", .on_event = on_event, .filter = filter},
                                     &subscription, &error),
                 DX_ELIMIT, error, "the filter has 1025 bytes");
    assert_null(node_got(node, DX_FRAME_SUBSCRIBE, 0));
    const dx_topic_options_t topics[] = {
        {.shard_by = 2}, {.full = 2}, {.retain_age_ns = -1}, {.reserved = {0, 0, 0, 1}}};
    for (size_t i = 0; i < COUNT_OF(topics); i++) {
        assert_fails(dx_client_topic_create(client, "a", &topics[i], &error), DX_EINVAL, error,
                     "must");
    }
    assert_null(node_got(node, DX_FRAME_TOPIC_CREATE, 0));
    assert_ok(dx_client_unsubscribe(NULL, 0));
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    node_end(node);
}

static void events_come_in_order_and_their_end_is_marked(void **state)
{
    (void)state;
    node_t *node = node_make();
    node_start(node);
    dx_client_t *client = client_open(node, (dx_client_options_t){0});
    seen_t *seen = seen_make();
    const dx_subscription_options_t options = {.pattern = "orders.*",
                                               .group = "g",
                                               .filter = "key = \"a\"",
                                               .from = DX_FROM_EARLIEST,
                                               .ack = DX_ACK_NONE};
    dx_client_subscription_t *subscription = subscribe(client, options, seen);
    const got_t *asked = node_got(node, DX_FRAME_SUBSCRIBE, 0);
    assert_string_equal(asked->topic, "orders.*");
    assert_int_equal(asked->start.from, DX_FRAME_FROM_EARLIEST);
    deliver(node, asked->subscription, "orders.new", 1, 1000, 0);
    wait_until(number(&seen->count) == 1000);
    for (uint64_t i = 0; i < 1000; i++) {
        assert_int_equal(seen->sequences[i], i + 1);
        assert_int_equal(seen->attempts[i], 0);
    }
    assert_true(seen->last_of_batch[999]);
    assert_true(number(&seen->batches_ended) < 1000);
    dx_client_stats_t stats;
    dx_client_stats(client, &stats);
    assert_int_equal(stats.received, 1000);
    assert_ok(dx_client_unsubscribe(subscription, DX_CLIENT_FOREVER));
    assert_int_equal(node_got(node, DX_FRAME_UNSUBSCRIBE, 0)->subscription, asked->subscription);
    assert_int_equal(number(&seen->ends), 0);
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    free(seen);
    node_end(node);
}

static void credit_is_told_at_once_and_again_when_half_is_used(void **state)
{
    (void)state;
    node_t *node = node_make();
    node_start(node);
    dx_client_t *client = client_open(node, (dx_client_options_t){0});
    seen_t *seen = seen_make();
    const dx_subscription_options_t options = {
        .pattern = "t", .queue_events = 100, .queue_bytes = 100000};
    dx_client_subscription_t *subscription = subscribe(client, options, seen);
    wait_until(node_got(node, DX_FRAME_CREDIT, 0) != NULL);
    const got_t *first = node_got(node, DX_FRAME_CREDIT, 0);
    assert_int_equal(first->credit.events, 100);
    assert_int_equal(first->credit.bytes, 100000);
    deliver(node, first->subscription, "t", 1, 49, 0);
    wait_until(number(&seen->count) == 49);
    deliver(node, first->subscription, "t", 50, 1, 0);
    wait_until(node_got(node, DX_FRAME_CREDIT, 1) != NULL);
    const got_t *second = node_got(node, DX_FRAME_CREDIT, 1);
    assert_int_equal(second->credit.events, 150);
    assert_int_equal(second->credit.bytes, 100000 + 50 * (64 + 16 + 8));
    assert_ok(dx_client_unsubscribe(subscription, DX_CLIENT_FOREVER));
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    free(seen);
    node_end(node);
}

static void handled_events_are_acknowledged_in_ranges_and_refused_ones_by_themselves(void **state)
{
    (void)state;
    node_t *node = node_make();
    node_start(node);
    dx_client_t *client = client_open(node, (dx_client_options_t){0});
    for (int batches = 0; batches < 2; batches++) {
        seen_t *seen = seen_make();
        seen->refuse = 5;
        dx_subscription_options_t options = {.pattern = "t", .group = "g"};
        options.on_batch = batches != 0 ? on_events : NULL;
        dx_client_subscription_t *subscription = subscribe(client, options, seen);
        const uint64_t at = node_got(node, DX_FRAME_SUBSCRIBE, batches)->subscription;
        deliver(node, at, "t", 1, 9, 1);
        wait_until(node_got(node, DX_FRAME_ACK, batches * 3 + 1) != NULL);
        const got_t *before = node_got(node, DX_FRAME_ACK, batches * 3);
        const got_t *refused = node_got(node, DX_FRAME_NACK, batches);
        const got_t *after = node_got(node, DX_FRAME_ACK, batches * 3 + 1);
        assert_int_equal(before->range.first, 1);
        assert_int_equal(before->range.last, 4);
        assert_int_equal(before->shard, 3);
        assert_string_equal(before->topic, "t");
        assert_int_equal(refused->range.first, 5);
        assert_int_equal(refused->range.last, 5);
        assert_int_equal(refused->code, batches != 0 ? DX_EAGAIN : DX_EFATAL);
        assert_int_equal(after->range.first, 6);
        assert_int_equal(after->range.last, 9);
        deliver(node, at, "t", 5, 1, 2);
        wait_until(node_got(node, DX_FRAME_ACK, batches * 3 + 2) != NULL);
        assert_int_equal(node_got(node, DX_FRAME_ACK, batches * 3 + 2)->range.first, 5);
        assert_ok(dx_client_unsubscribe(subscription, DX_CLIENT_FOREVER));
        free(seen);
    }
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    node_end(node);
}

static void a_program_acknowledges_when_it_likes(void **state)
{
    (void)state;
    node_t *node = node_make();
    node_start(node);
    dx_client_t *client = client_open(node, (dx_client_options_t){0});
    seen_t *seen = seen_make();
    const dx_subscription_options_t options = {.pattern = "t", .ack = DX_ACK_EXPLICIT};
    dx_client_subscription_t *subscription = subscribe(client, options, seen);
    const uint64_t at = node_got(node, DX_FRAME_SUBSCRIBE, 0)->subscription;
    deliver(node, at, "t", 1, 5, 1);
    wait_until(number(&seen->count) == 5);
    assert_null(node_got(node, DX_FRAME_ACK, 0));
    dx_event_t event = {.topic = "t", .topic_bytes = 1, .shard = 3, .attempt = 1};
    event.sequence = 2;
    assert_ok(dx_client_ack(subscription, &event));
    wait_until(node_got(node, DX_FRAME_ACK, 0) != NULL);
    assert_int_equal(node_got(node, DX_FRAME_ACK, 0)->range.first, 2);
    event.sequence = 4;
    assert_ok(dx_client_nack(subscription, &event, DX_EPERM));
    wait_until(node_got(node, DX_FRAME_NACK, 0) != NULL);
    assert_int_equal(node_got(node, DX_FRAME_NACK, 0)->code, DX_EPERM);
    event.sequence = 0;
    assert_int_equal(dx_client_ack(subscription, &event), DX_EINVAL);

    /* 1 is the first that is not done with: from there on the next connection begins. */
    node_do(node, node_cut);
    wait_until(node_got(node, DX_FRAME_SUBSCRIBE, 1) != NULL);
    assert_int_equal(node_got(node, DX_FRAME_SUBSCRIBE, 1)->start.from, DX_FRAME_FROM_SEQUENCE);
    assert_int_equal(node_got(node, DX_FRAME_SUBSCRIBE, 1)->start.value, 1);
    event.sequence = 1;
    assert_ok(dx_client_ack(subscription, &event));
    wait_until(node_got(node, DX_FRAME_ACK, 1) != NULL);
    node_do(node, node_cut);
    wait_until(node_got(node, DX_FRAME_SUBSCRIBE, 2) != NULL);
    assert_int_equal(node_got(node, DX_FRAME_SUBSCRIBE, 2)->start.value, 3);
    assert_ok(dx_client_unsubscribe(subscription, DX_CLIENT_FOREVER));
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    free(seen);
    node_end(node);
}

/* Whether the client has told the node that it is done with an event, the first of a range. */
static bool acknowledges(node_t *node, uint64_t sequence)
{
    const got_t *ack = NULL;
    for (int n = 0; (ack = node_got(node, DX_FRAME_ACK, n)) != NULL; n++) {
        if (ack->range.first == sequence) {
            return true;
        }
    }
    return false;
}

/* The oldest is slow, and many more than are pending at a time go past it. */
static void what_is_not_acknowledged_is_known_however_much_was_since(void **state)
{
    (void)state;
    node_t *node = node_make();
    node_start(node);
    dx_client_t *client = client_open(node, (dx_client_options_t){0});
    seen_t *seen = seen_make();
    const dx_subscription_options_t options = {
        .pattern = "t", .ack = DX_ACK_EXPLICIT, .pending_events_max = 4};
    dx_client_subscription_t *subscription = subscribe(client, options, seen);
    const uint64_t at = node_got(node, DX_FRAME_SUBSCRIBE, 0)->subscription;
    dx_event_t event = {.topic = "t", .topic_bytes = 1, .shard = 3, .attempt = 1};
    for (uint64_t i = 1; i <= 40; i++) {
        deliver(node, at, "t", i, 1, 1);
        wait_until(number(&seen->count) == (int64_t)i);
        event.sequence = i;
        if (i != 1 && i != 38) {
            assert_ok(dx_client_ack(subscription, &event));
        }
    }
    event.sequence = 1;
    assert_ok(dx_client_ack(subscription, &event));
    wait_until(acknowledges(node, 1));
    node_do(node, node_cut);
    wait_until(node_got(node, DX_FRAME_SUBSCRIBE, 1) != NULL);
    assert_int_equal(node_got(node, DX_FRAME_SUBSCRIBE, 1)->start.value, 38);
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    free(seen);
    node_end(node);
}

/* The node forgets a subscription that is alone, and what was refused with it. */
static void what_a_handler_has_refused_comes_again_after_a_reconnect(void **state)
{
    (void)state;
    node_t *node = node_make();
    node_start(node);
    dx_client_t *client = client_open(node, (dx_client_options_t){0});
    for (int fatal = 0; fatal < 2; fatal++) { /* refused for good: with on_event */
        seen_t *seen = seen_make();
        seen->refuse = 5;
        dx_subscription_options_t options = {.pattern = "t", .ack = DX_ACK_AUTO};
        options.on_batch = fatal != 0 ? NULL : on_events;
        dx_client_subscription_t *subscription = subscribe(client, options, seen);
        const uint64_t at = node_got(node, DX_FRAME_SUBSCRIBE, 2 * fatal)->subscription;
        deliver(node, at, "t", 1, 9, 1);
        wait_until(node_got(node, DX_FRAME_ACK, 2 * fatal + 1) != NULL);
        node_do(node, node_cut);
        wait_until(node_got(node, DX_FRAME_SUBSCRIBE, 2 * fatal + 1) != NULL);
        assert_int_equal(node_got(node, DX_FRAME_SUBSCRIBE, 2 * fatal + 1)->start.value,
                         fatal != 0 ? 10 : 5);
        assert_ok(dx_client_unsubscribe(subscription, DX_CLIENT_FOREVER));
        free(seen);
    }
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    node_end(node);
}

static void what_waited_in_the_node_is_asked_for_after_a_reconnect(void **state)
{
    (void)state;
    node_t *node = node_make();
    node_start(node);
    dx_client_t *client = client_open(node, (dx_client_options_t){0});
    seen_t *seen = seen_make();
    (void)subscribe(
        client,
        (dx_subscription_options_t){.pattern = "t", .ack = DX_ACK_AUTO, .on_batch = on_events},
        seen);
    /* All are acknowledged; 6 waits in the node while 7 to 9 come, and 5 once more. */
    uint64_t at = node_got(node, DX_FRAME_SUBSCRIBE, 0)->subscription;
    deliver(node, at, "t", 1, 5, 1);
    deliver_while(node, at, "t", 7, 3, 1, 6);
    deliver_while(node, at, "t", 5, 1, 2, 6);
    wait_until(number(&seen->count) == 9);
    for (int cuts = 1; cuts <= 2; cuts++) { /* as long as it has not come */
        node_do(node, node_cut);
        wait_until(node_got(node, DX_FRAME_SUBSCRIBE, cuts) != NULL);
        assert_int_equal(node_got(node, DX_FRAME_SUBSCRIBE, cuts)->start.value, 6);
    }
    at = node_got(node, DX_FRAME_SUBSCRIBE, 2)->subscription;
    deliver(node, at, "t", 6, 4, 1);
    wait_until(number(&seen->count) == 13);
    node_do(node, node_cut);
    wait_until(node_got(node, DX_FRAME_SUBSCRIBE, 3) != NULL);
    assert_int_equal(node_got(node, DX_FRAME_SUBSCRIBE, 3)->start.value, 10);
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    free(seen);
    node_end(node);
}

static void a_topic_goes_on_where_it_was_after_a_reconnect(void **state)
{
    (void)state;
    node_t *node = node_make();
    node_start(node);
    dx_client_t *client = client_open(node, (dx_client_options_t){0});
    seen_t *one = seen_make();
    seen_t *many = seen_make();
    seen_t *none = seen_make();
    (void)subscribe(client, (dx_subscription_options_t){.pattern = "t"}, one);
    (void)subscribe(client, (dx_subscription_options_t){.pattern = ">"}, many);
    (void)subscribe(client, (dx_subscription_options_t){.pattern = "u", .from = DX_FROM_EARLIEST},
                    none);
    deliver(node, node_got(node, DX_FRAME_SUBSCRIBE, 0)->subscription, "t", 1, 7, 0);
    deliver(node, node_got(node, DX_FRAME_SUBSCRIBE, 1)->subscription, "t", 1, 7, 0);
    wait_until(number(&many->count) == 7);
    node_do(node, node_cut);
    wait_until(node_got(node, DX_FRAME_SUBSCRIBE, 5) != NULL);
    assert_int_equal(node_got(node, DX_FRAME_SUBSCRIBE, 3)->start.from, DX_FRAME_FROM_SEQUENCE);
    assert_int_equal(node_got(node, DX_FRAME_SUBSCRIBE, 3)->start.value, 8);
    assert_int_equal(node_got(node, DX_FRAME_SUBSCRIBE, 4)->start.from, DX_FRAME_FROM_LATEST);
    assert_int_equal(node_got(node, DX_FRAME_SUBSCRIBE, 5)->start.from, DX_FRAME_FROM_EARLIEST);
    dx_client_stats_t stats;
    dx_client_stats(client, &stats);
    assert_int_equal(stats.gaps, 1); /* the pattern's */
    assert_int_equal(stats.gap_events, 0);
    deliver(node, node_got(node, DX_FRAME_SUBSCRIBE, 3)->subscription, "t", 8, 1, 0);
    wait_until(number(&one->count) == 8);
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER)); /* frees the subscriptions */
    free(one);
    free(many);
    free(none);
    node_end(node);
}

static uint64_t subscription_of_gap;

static void send_gap(void *context)
{
    const dx_frame_range_t range = {.first = 5, .last = 9};
    const dx_frame_part_t parts[] = {
        dx_frame_part_text(DX_PART_TOPIC, "t"),
        dx_frame_part_of(DX_PART_SUBSCRIPTION, &subscription_of_gap, 8),
        dx_frame_part_of(DX_PART_RANGE, &range, sizeof range)};
    node_send(
        context,
        &(dx_frame_draft_t){.type = DX_FRAME_GAP, .shard = 3, .parts = parts, .part_count = 3},
        NULL);
}

static void send_end(void *context)
{
    const dx_frame_code_t code = {.code = DX_ELIMIT};
    const dx_frame_part_t parts[] = {
        dx_frame_part_of(DX_PART_SUBSCRIPTION, &subscription_of_gap, 8),
        dx_frame_part_of(DX_PART_CODE, &code, sizeof code)};
    node_send(context,
              &(dx_frame_draft_t){
                  .type = DX_FRAME_NACK, .parts = parts, .part_count = 2, .payload_bytes = 8},
              "too slow");
}

static void gaps_and_the_end_are_told(void **state)
{
    (void)state;
    node_t *node = node_make();
    node_start(node);
    dx_client_t *client = client_open(node, (dx_client_options_t){0});
    seen_t *seen = seen_make();
    dx_client_subscription_t *subscription =
        subscribe(client, (dx_subscription_options_t){.pattern = "t"}, seen);
    subscription_of_gap = node_got(node, DX_FRAME_SUBSCRIBE, 0)->subscription;
    node_do(node, send_gap);
    wait_until(number(&seen->gaps) == 1);
    assert_int_equal(seen->gap.first, 5);
    assert_int_equal(seen->gap.last, 9);
    assert_int_equal(seen->gap.shard, 3);
    dx_client_stats_t stats;
    dx_client_stats(client, &stats);
    assert_int_equal(stats.gaps, 1);
    assert_int_equal(stats.gap_events, 5);
    node_do(node, send_end);
    wait_until(number(&seen->ends) == 1);
    assert_int_equal(seen->end_code, DX_ELIMIT);
    assert_string_equal(seen->end_sentence, "too slow");
    node_do(node, node_cut);
    wait_until(number(&node->opened) == 2);
    assert_ok(dx_client_unsubscribe(subscription, DX_CLIENT_FOREVER));
    assert_null(node_got(node, DX_FRAME_SUBSCRIBE, 1));
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    free(seen);
    node_end(node);
}

static void a_refused_subscription_says_why(void **state)
{
    (void)state;
    node_t *node = node_make();
    node->refuse_subscriptions = DX_EPERM;
    node_start(node);
    dx_client_t *client = client_open(node, (dx_client_options_t){0});
    dx_error_t error = {0};
    dx_client_subscription_t *subscription = NULL;
    seen_t *seen = seen_make();
    const dx_subscription_options_t options = {
        .pattern = "t", .on_event = on_event, .on_end = on_end, .context = seen};
    assert_fails(dx_client_subscribe(client, &options, &subscription, &error), DX_EPERM, error,
                 "subscribing to t: no more");
    assert_int_equal(number(&seen->ends), 0);
    node->refuse_subscriptions = 0;
    assert_ok(dx_client_subscribe(client, &options, &subscription, &error));
    /* Refused by the next node: that is the end. */
    node->refuse_subscriptions = DX_ENOTSUP;
    node_do(node, node_cut);
    wait_until(number(&seen->ends) == 1);
    assert_int_equal(seen->end_code, DX_ENOTSUP);
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    free(seen);
    node_end(node);
}

/* Every call that would wait says that it can't; the others work. */
static int on_event_calls(void *context, const dx_event_t *event)
{
    seen_t *const seen = context;
    dx_error_t error = {0};
    dx_receipt_t receipt;
    dx_client_subscription_t *none = NULL;
    char data[8];
    size_t bytes = sizeof data;
    const dx_message_t m = message("from.handler", "x");
    const dx_subscription_options_t options = {.pattern = "t", .on_event = on_event};
    (void)event;
    seen->results[0] = dx_client_publish_wait(seen->client, &m, &receipt, &error);
    seen->results[1] = dx_client_subscribe(seen->client, &options, &none, &error);
    seen->results[2] = dx_client_request(seen->client, &m, 0, data, &bytes, &error);
    seen->results[3] = dx_client_flush(seen->client, 0, &error);
    seen->results[4] = dx_client_close(seen->client, 0);
    seen->results[5] = dx_client_unsubscribe(seen->subscription, 0);
    seen->results[6] = dx_client_topic_delete(seen->client, "t", &error);
    seen->results[7] = dx_client_publish(seen->client, &m, &error);
    count(&seen->count);
    return DX_OK;
}

static void a_handler_may_publish_but_not_wait(void **state)
{
    (void)state;
    node_t *node = node_make();
    node_start(node);
    dx_client_t *client = client_open(node, (dx_client_options_t){0});
    dx_error_t error = {0};
    seen_t *seen = seen_make();
    seen->client = client;
    const dx_subscription_options_t options = {
        .pattern = "t", .on_event = on_event_calls, .context = seen};
    assert_ok(dx_client_subscribe(client, &options, &seen->subscription, &error));
    deliver(node, node_got(node, DX_FRAME_SUBSCRIBE, 0)->subscription, "t", 1, 1, 0);
    wait_until(number(&seen->count) == 1);
    for (int i = 0; i < 7; i++) {
        assert_string_equal(dx_error_name(seen->results[i]), "DX_EDEADLOCK");
    }
    assert_int_equal(seen->results[7], DX_OK);
    wait_until(number(&node->publications) == 1);
    assert_ok(dx_client_close(client, DX_CLIENT_FOREVER));
    free(seen);
    node_end(node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_of_subscriptions_are_checked),
        cmocka_unit_test(events_come_in_order_and_their_end_is_marked),
        cmocka_unit_test(credit_is_told_at_once_and_again_when_half_is_used),
        cmocka_unit_test(handled_events_are_acknowledged_in_ranges_and_refused_ones_by_themselves),
        cmocka_unit_test(a_program_acknowledges_when_it_likes),
        cmocka_unit_test(what_is_not_acknowledged_is_known_however_much_was_since),
        cmocka_unit_test(what_a_handler_has_refused_comes_again_after_a_reconnect),
        cmocka_unit_test(what_waited_in_the_node_is_asked_for_after_a_reconnect),
        cmocka_unit_test(a_topic_goes_on_where_it_was_after_a_reconnect),
        cmocka_unit_test(gaps_and_the_end_are_told),
        cmocka_unit_test(a_refused_subscription_says_why),
        cmocka_unit_test(a_handler_may_publish_but_not_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
