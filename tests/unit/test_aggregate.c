/* test_aggregate.c - several handlers as one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disruptor_test.h"

/* Everything that happened to the members, in order: "a0" is event 0 at member a. */
typedef struct story {
    char text[512];
    size_t length;
} story_t;

typedef struct member {
    story_t *story;
    char name;
    int result; /* of each event */
    int batch_start_result;
    int timeout_result;
} member_t;

static void tell(const member_t *member, const char *what, int64_t number)
{
    story_t *story = member->story;
    const int length = snprintf(story->text + story->length, sizeof(story->text) - story->length,
                                "%c%s%" PRId64 " ", member->name, what, number);
    story->length += (size_t)length;
}

static int member_event(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    const member_t *member = context;
    (void)event;
    tell(member, end_of_batch ? "*" : "", sequence);
    return member->result;
}

static int member_batch_start(void *context, int64_t batch_events, int64_t depth_events)
{
    const member_t *member = context;
    (void)depth_events;
    tell(member, "[", batch_events);
    return member->batch_start_result;
}

static int member_timeout(void *context, int64_t sequence)
{
    const member_t *member = context;
    tell(member, "t", sequence);
    return member->timeout_result;
}

static void member_start(void *context)
{
    tell(context, "<", 0);
}

static void member_shutdown(void *context)
{
    tell(context, ">", 0);
}

static dx_handler_t member_handler(member_t *member)
{
    return (dx_handler_t){.context = member,
                          .on_event = member_event,
                          .on_start = member_start,
                          .on_shutdown = member_shutdown,
                          .on_batch_start = member_batch_start,
                          .on_timeout = member_timeout};
}

static void each_event_goes_to_all_members_in_order(void **state)
{
    (void)state;
    story_t story = {0};
    member_t a = {.story = &story, .name = 'a'};
    member_t b = {.story = &story, .name = 'b'};
    member_t c = {.story = &story, .name = 'c'};
    const dx_handler_t members[] = {
        member_handler(&a),
        {.context = &b, .on_event = member_event}, /* callbacks are optional */
        member_handler(&c),
    };
    const dx_aggregate_t aggregate = {.handlers = members, .count = 3};
    dx_handler_t handler;
    assert_ok(dx_aggregate_handler(&aggregate, &handler, NULL));
    dx_disruptor_t *disruptor = make_disruptor(DX_RING_SINGLE, 8);
    add_handlers_ok(disruptor, &handler, 1, NULL);
    assert_string_equal(stat_of(disruptor, 0).name, "aggregate");
    publish(disruptor, 2);
    assert_ok(dx_disruptor_start(disruptor, NULL));
    shutdown_ok(disruptor);
    assert_string_equal(story.text, "a<0 c<0 a[2 c[2 a0 b0 c0 a*1 b*1 c*1 a>0 c>0 ");
    dx_disruptor_destroy(disruptor);
}

static void an_empty_aggregate_does_nothing(void **state)
{
    (void)state;
    const dx_aggregate_t aggregate = {.count = 0};
    dx_handler_t handler;
    assert_ok(dx_aggregate_handler(&aggregate, &handler, NULL));
    dx_disruptor_t *disruptor = make_disruptor(DX_RING_SINGLE, 8);
    handler.wait.timeout_ns = 100000;
    add_handlers_ok(disruptor, &handler, 1, NULL);
    assert_ok(dx_disruptor_start(disruptor, NULL));
    publish(disruptor, 20);
    wait_until(stat_of(disruptor, 0).timeouts > 0);
    shutdown_ok(disruptor);
    assert_int_equal(stat_of(disruptor, 0).events, 20);
    dx_disruptor_destroy(disruptor);
}

static void a_member_without_on_event_is_refused(void **state)
{
    (void)state;
    story_t story = {0};
    member_t a = {.story = &story, .name = 'a'};
    dx_handler_t members[] = {member_handler(&a), member_handler(&a)};
    members[1].on_event = NULL;
    const dx_aggregate_t aggregate = {.handlers = members, .count = 2};
    dx_handler_t handler;
    dx_error_t error = {0};
    assert_fails(dx_aggregate_handler(&aggregate, &handler, &error), DX_EINVAL, error,
                 "handler 1 of the aggregate has no on_event");
}

/* Fails when: a result that says "done" keeps the event from the members after it: nobody would
 * ever see it there. */
static void the_event_goes_on_to_the_next_member_unless_it_comes_again(void **state)
{
    (void)state;
    static const struct {
        int results[3];
        const char *called;
        int result;
    } rows[] = {
        {{0, 0, 0}, "a0 b0 c0 ", DX_HANDLER_CONTINUE},
        {{DX_HANDLER_RELEASE, 0, 0}, "a0 b0 c0 ", DX_HANDLER_RELEASE},
        {{0, DX_HANDLER_SKIP, 0}, "a0 b0 c0 ", DX_HANDLER_SKIP},
        {{0, DX_HANDLER_STOP, DX_HANDLER_RELEASE}, "a0 b0 c0 ", DX_HANDLER_STOP},
        {{DX_HANDLER_SKIP, DX_HANDLER_STOP, 0}, "a0 b0 c0 ", DX_HANDLER_SKIP},
        {{DX_HANDLER_RETRY, 0, 0}, "a0 ", DX_HANDLER_RETRY},
        {{0, DX_HANDLER_REWIND, 0}, "a0 b0 ", DX_HANDLER_REWIND},
        {{0, DX_EIO, 0}, "a0 b0 ", DX_EIO},
        {{DX_HANDLER_SKIP, DX_EIO, 0}, "a0 b0 ", DX_EIO},
        {{DX_HANDLER_STOP, 0, DX_HANDLER_RETRY}, "a0 b0 c0 ", DX_HANDLER_RETRY},
        {{0, 99, 0}, "a0 b0 ", 99}, /* no result: an error */
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        story_t story = {0};
        member_t members[3];
        dx_handler_t handlers[3];
        for (int m = 0; m < 3; m++) {
            members[m] =
                (member_t){.story = &story, .name = (char)('a' + m), .result = rows[i].results[m]};
            handlers[m] = member_handler(&members[m]);
        }
        const dx_aggregate_t aggregate = {.handlers = handlers, .count = 3};
        dx_handler_t handler;
        int64_t event = 0;
        assert_ok(dx_aggregate_handler(&aggregate, &handler, NULL));
        assert_int_equal(handler.on_event(handler.context, &event, 0, false), rows[i].result);
        assert_string_equal(story.text, rows[i].called);
    }
}

static void batch_starts_and_timeouts_go_to_all_and_the_first_error_counts(void **state)
{
    (void)state;
    static const struct {
        int results[3];
        int result;
    } rows[] = {
        {{0, 0, 0}, DX_OK},       {{DX_EIO, 0, DX_ENOMEM}, DX_EIO}, {{0, 0, DX_ENOMEM}, DX_ENOMEM},
        {{1, DX_EIO, 0}, DX_EIO}, /* a positive number is no error, and hides none */
        {{1, 0, 2}, DX_OK},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        story_t story = {0};
        member_t members[3];
        dx_handler_t handlers[3];
        for (int m = 0; m < 3; m++) {
            members[m] = (member_t){.story = &story,
                                    .name = (char)('a' + m),
                                    .batch_start_result = rows[i].results[m],
                                    .timeout_result = rows[i].results[m]};
            handlers[m] = member_handler(&members[m]);
        }
        const dx_aggregate_t aggregate = {.handlers = handlers, .count = 3};
        dx_handler_t handler;
        assert_ok(dx_aggregate_handler(&aggregate, &handler, NULL));
        assert_int_equal(handler.on_batch_start(handler.context, 4, 9), rows[i].result);
        assert_int_equal(handler.on_timeout(handler.context, 7), rows[i].result);
        assert_string_equal(story.text, "a[4 b[4 c[4 at7 bt7 ct7 ");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_event_goes_to_all_members_in_order),
        cmocka_unit_test(an_empty_aggregate_does_nothing),
        cmocka_unit_test(a_member_without_on_event_is_refused),
        cmocka_unit_test(the_event_goes_on_to_the_next_member_unless_it_comes_again),
        cmocka_unit_test(batch_starts_and_timeouts_go_to_all_and_the_first_error_counts),
    };
    return cmocka_run_group_tests_name("aggregate", tests, NULL, NULL);
}
