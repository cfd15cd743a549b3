/* 01_first_event.c - the smallest whole program: one producer, one handler.
 *
 * Teaches: make a disruptor, give it a handler, start it, publish events in place, shut it down.
 * Setup calls fill a dx_error_t with a sentence; hot calls return a sequence or a negative DX_E*.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>

#include <disruptorx/disruptor.h>

#define ORDERS 1000

typedef struct order {
    int64_t id;
    int64_t price;
} order_t;

typedef struct ledger {
    int64_t orders;
    int64_t total;
} ledger_t;

/* Runs in a thread of the disruptor, once per event. The event is the slot itself, no copy. */
static int on_order(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    ledger_t *ledger = context;
    const order_t *order = event;
    (void)sequence, (void)end_of_batch;

    ledger->orders++;
    ledger->total += order->price;
    return DX_HANDLER_CONTINUE;
}

/* Claim, fill, publish. The handle is a local variable, so the compiler keeps it in registers. */
static int publish_orders(dx_ring_t *ring, dx_error_t *error)
{
    dx_producer_t producer;
    int code = dx_producer_open(&producer, ring, NULL, error);
    if (code != DX_OK) {
        return code;
    }
    dx_producer_assume_single(&producer); /* before a hot loop: one branch less per event */

    for (int64_t id = 1; id <= ORDERS && code == DX_OK; id++) {
        const int64_t sequence = dx_producer_claim(&producer); /* waits only when it is full */
        if (sequence < 0) {
            code = (int)sequence;
            break;
        }
        order_t *order = DX_PRODUCER_EVENT(&producer, sequence, order_t);
        *order = (order_t){.id = id, .price = 10 * id};
        code = dx_producer_publish(&producer, sequence);
    }
    dx_producer_close(&producer);
    return code;
}

int main(void)
{
    ledger_t ledger = {0};
    dx_error_t error = {0};
    dx_disruptor_t *disruptor = NULL;
    const dx_disruptor_options_t options = {
        .ring = {.name = "orders", .slot_count = 256, .event_bytes = sizeof(order_t)}};
    const dx_handler_t handler = {.name = "ledger", .context = &ledger, .on_event = on_order};

    int code = dx_disruptor_create(&options, &disruptor, &error);
    if (code == DX_OK) {
        code = dx_disruptor_handle_events_with(disruptor, &handler, 1, NULL, &error);
    }
    if (code == DX_OK) {
        code = dx_disruptor_start(disruptor, &error);
    }
    if (code == DX_OK) {
        code = publish_orders(dx_disruptor_ring(disruptor), &error);
    }
    if (code == DX_OK) {
        /* Handles everything that is published, then ends the thread: `ledger` is ours again. */
        code = dx_disruptor_shutdown(disruptor, DX_FOREVER, &error);
    }
    dx_disruptor_destroy(disruptor); /* NULL is allowed, and it stops what still runs */

    if (code != DX_OK) {
        /* A hot call leaves `error` alone: its code says all there is to say. */
        fprintf(stderr, "01_first_event: %s (%s): %s\n", dx_error_name(code), dx_error_text(code),
                error.message);
        return 1;
    }
    if (ledger.orders != ORDERS || ledger.total != 10 * ORDERS * (ORDERS + 1) / 2) {
        fprintf(stderr, "01_first_event: %" PRId64 " orders of %" PRId64 " in all arrived\n",
                ledger.orders, ledger.total);
        return 1;
    }
    printf("%" PRId64 " orders handled, %" PRId64 " in all\n", ledger.orders, ledger.total);
    return 0;
}
