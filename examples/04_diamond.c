/* 04_diamond.c - two branches side by side, and a join; what handlers answer, and what follows.
 *
 *                  +-> risk (may skip) --+
 *     validate ----+                     +--> settle
 *                  +-> audit (retries) --+
 *
 * Teaches: groups of handlers; results (CONTINUE, SKIP, RETRY, an error); an error policy that
 * decides per event; a fatal error, what it stops, and how work goes on after a restart.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <disruptorx/disruptor.h>

#define ORDERS 1000

typedef struct order {
    int64_t id;
    int64_t quantity;
    bool rejected; /* by validate */
} order_t;

typedef struct desk {
    int64_t audited, settled;
    int64_t busy_at; /* audit: the last order that had to come twice */
} desk_t;

static void require(bool condition, const char *sentence)
{
    if (!condition) {
        fprintf(stderr, "04_diamond: %s\n", sentence);
        exit(1);
    }
}

static dx_error_t error; /* of the main thread */

static void must(int code)
{
    require(code == DX_OK, error.code == code ? error.message : dx_error_text(code));
}

/* A negative result goes to the error policy. */
static int validate(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    const order_t *order = event;
    (void)context, (void)sequence, (void)end_of_batch;
    return order->quantity > 0 ? DX_HANDLER_CONTINUE : DX_EINVAL;
}

/* The policy for one event. SKIP goes on, but those behind still see the event: say so in it. */
static dx_error_policy_t on_invalid(void *context, int code, void *event, int64_t sequence)
{
    order_t *order = event;
    (void)context, (void)sequence;
    order->rejected = true;
    return code == DX_EINVAL ? DX_ON_ERROR_SKIP : DX_ON_ERROR_FATAL;
}

/* Hides what must not be settled from everybody behind. audit, beside it, sees everything. */
static int risk(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    const order_t *order = event;
    (void)context, (void)sequence, (void)end_of_batch;
    return order->rejected || order->quantity > 90 ? DX_HANDLER_SKIP : DX_HANDLER_CONTINUE;
}

/* The archive is "busy" at each hundredth order: not done, give it to me again. */
static int audit(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    desk_t *desk = context;
    const order_t *order = event;
    (void)sequence, (void)end_of_batch;
    if (order->id % 100 == 99 && desk->busy_at != order->id) {
        desk->busy_at = order->id;
        return DX_HANDLER_RETRY;
    }
    desk->audited++;
    return DX_HANDLER_CONTINUE;
}

static int settle(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    desk_t *desk = context;
    (void)event, (void)sequence, (void)end_of_batch;
    desk->settled++;
    return DX_HANDLER_CONTINUE;
}

static void publish(dx_producer_t *producer, order_t order)
{
    const int64_t sequence = dx_producer_publish_copy(producer, &order, sizeof(order));
    must(sequence < 0 ? (int)sequence : DX_OK);
}

int main(void)
{
    desk_t desk = {.busy_at = -1};
    dx_disruptor_t *disruptor = NULL;
    const dx_disruptor_options_t options = {
        .ring = {.slot_count = 256, .event_bytes = sizeof(order_t)}};
    const dx_handler_t check = {.name = "validate",
                                .on_event = validate,
                                .on_error_policy = DX_ON_ERROR_ASK,
                                .on_error = on_invalid};
    const dx_retry_options_t retry = {.attempts_max = 3, .pause = DX_RETRY_FIXED};
    const dx_handler_t branches[] = {
        {.name = "risk", .on_event = risk, .may_skip = true},
        {.name = "audit", .context = &desk, .on_event = audit, .retry = retry},
    };
    const dx_handler_t join = {.name = "settle", .context = &desk, .on_event = settle};

    dx_group_t validated, checked; /* a group of two: who follows it waits for both */
    dx_producer_t producer;
    must(dx_disruptor_create(&options, &disruptor, &error));
    must(dx_disruptor_handle_events_with(disruptor, &check, 1, &validated, &error));
    must(dx_group_then(validated, branches, 2, &checked, &error));
    must(dx_group_then(checked, &join, 1, NULL, &error));
    must(dx_disruptor_start(disruptor, &error));
    must(dx_producer_open(&producer, dx_disruptor_ring(disruptor), NULL, &error));
    for (int64_t id = 0; id < ORDERS; id++) { /* quantity 0 is invalid, 91 and more too much */
        publish(&producer, (order_t){.id = id, .quantity = id % 100});
    }
    must(dx_disruptor_shutdown(disruptor, DX_FOREVER, &error));
    require(desk.audited == ORDERS, "audit must see every order exactly once");
    require(desk.settled == 900, "settle must see what risk lets by");

    /* Now an invalid order shall be fatal: validate ends and keeps its place before it. */
    must(dx_group_set_error_policy(validated, DX_ON_ERROR_FATAL, NULL, NULL, &error));
    must(dx_disruptor_start(disruptor, &error));
    publish(&producer, (order_t){.id = ORDERS});
    require(dx_disruptor_shutdown(disruptor, DX_FOREVER, &error) == DX_ECONSUMER, "no failure?");
    require(dx_disruptor_failure(disruptor, &error) == DX_EINVAL, "the reason got lost");
    require(strstr(error.message, "'validate' failed at sequence 1000") != NULL, error.message);

    /* Nothing is lost: with the old policy the same event is handled after a restart. */
    must(dx_group_set_error_policy(validated, DX_ON_ERROR_ASK, on_invalid, NULL, &error));
    must(dx_disruptor_start(disruptor, &error));
    must(dx_disruptor_shutdown(disruptor, DX_FOREVER, &error));
    require(desk.audited == ORDERS + 1 && desk.settled == 900, "the order was not handled again");
    dx_producer_close(&producer);
    dx_disruptor_destroy(disruptor);
    printf("%d orders audited, %d settled; a fatal one waited for the restart\n", ORDERS + 1, 900);
    return 0;
}
