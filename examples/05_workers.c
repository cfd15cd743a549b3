/* 05_workers.c - pools: competing workers, then workers that keep the order of each key.
 *
 * Teaches: dx_pool_t. In a competing pool each event goes to whichever worker is free, once. With
 * `key` set, events of one key always go to the same worker, in order: parallel and yet ordered.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <disruptorx/disruptor.h>

#define PAYMENTS 20000
#define ACCOUNTS 50
#define PRICERS 3
#define BOOKERS 2

typedef struct payment {
    uint64_t account;
    int64_t amount;
    int64_t fee;  /* from a pricer */
    int32_t done; /* by how many pricers */
} payment_t;

/* One of these per worker: no two threads write the same memory. */
typedef struct worker {
    int64_t events;
    int64_t last[ACCOUNTS]; /* sequence of the account's last payment; -1: none */
    bool seen[ACCOUNTS];
    bool right;
} worker_t;

static dx_error_t error; /* of the main thread */

static void require(bool condition, const char *sentence)
{
    if (!condition) {
        fprintf(stderr, "05_workers: %s\n", sentence);
        exit(1);
    }
}

static void must(int code)
{
    require(code == DX_OK, error.code == code ? error.message : dx_error_text(code));
}

/* A competing worker. It owns the event while it runs, so it may write it. */
static int price(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    worker_t *worker = context;
    payment_t *payment = event;
    (void)sequence, (void)end_of_batch;
    payment->fee = payment->amount / 100;
    payment->done++;
    worker->events++;
    return DX_HANDLER_CONTINUE;
}

/* The key: payments of one account are booked one after the other. */
static uint64_t account_of(void *context, const void *event)
{
    (void)context;
    return ((const payment_t *)event)->account;
}

static int book(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    worker_t *worker = context;
    const payment_t *payment = event;
    (void)end_of_batch;
    worker->right = worker->right && payment->done == 1 && payment->fee == payment->amount / 100 &&
                    sequence > worker->last[payment->account];
    worker->last[payment->account] = sequence;
    worker->seen[payment->account] = true;
    worker->events++;
    return DX_HANDLER_CONTINUE;
}

static void publish_payments(dx_ring_t *ring)
{
    dx_producer_t producer;
    must(dx_producer_open(&producer, ring, NULL, &error));
    dx_producer_assume_single(&producer);
    for (int64_t i = 0; i < PAYMENTS; i++) {
        const int64_t sequence = dx_producer_claim(&producer);
        require(sequence >= 0, dx_error_text((int)sequence));
        payment_t *payment = DX_PRODUCER_EVENT(&producer, sequence, payment_t);
        *payment = (payment_t){.account = (uint64_t)(i * i % ACCOUNTS), .amount = i};
        must(dx_producer_publish(&producer, sequence));
    }
    dx_producer_close(&producer);
}

int main(void)
{
    static worker_t pricers[PRICERS];
    static worker_t bookers[BOOKERS];
    dx_handler_t price_handlers[PRICERS] = {{0}};
    dx_handler_t book_handlers[BOOKERS] = {{0}};
    for (int i = 0; i < PRICERS; i++) {
        price_handlers[i] = (dx_handler_t){.context = &pricers[i], .on_event = price};
    }
    for (int i = 0; i < BOOKERS; i++) {
        bookers[i].right = true;
        for (int account = 0; account < ACCOUNTS; account++) {
            bookers[i].last[account] = -1;
        }
        book_handlers[i] = (dx_handler_t){.context = &bookers[i], .on_event = book};
    }
    const dx_pool_t pricing = {.name = "pricing",
                               .workers = price_handlers,
                               .worker_count = PRICERS,
                               .claim_max = 8}; /* a worker takes up to 8 events at a time */
    const dx_pool_t booking = {
        .workers = book_handlers, .worker_count = BOOKERS, .key = account_of};

    dx_disruptor_t *disruptor = NULL;
    dx_group_t priced;
    const dx_disruptor_options_t options = {
        .ring = {.slot_count = 1024, .event_bytes = sizeof(payment_t)}};
    must(dx_disruptor_create(&options, &disruptor, &error));
    must(dx_disruptor_handle_events_with_pool(disruptor, &pricing, &priced, &error));
    must(dx_group_then_pool(priced, &booking, NULL, &error));
    must(dx_disruptor_start(disruptor, &error));
    publish_payments(dx_disruptor_ring(disruptor));
    must(dx_disruptor_shutdown(disruptor, DX_FOREVER, &error));
    dx_disruptor_destroy(disruptor);

    int64_t events = 0;
    for (int i = 0; i < PRICERS; i++) {
        events += pricers[i].events; /* how many each got differs from run to run */
    }
    require(events == PAYMENTS, "the pricers together must get each event exactly once");
    require(bookers[0].events + bookers[1].events == PAYMENTS, "a payment was not booked once");
    require(bookers[0].right && bookers[1].right, "a payment was booked early or out of order");
    for (int account = 0; account < ACCOUNTS; account++) {
        require(!bookers[0].seen[account] || !bookers[1].seen[account],
                "the payments of one account went to two bookers");
    }
    printf("%d payments priced by %d competing workers, booked in order per account by %d\n",
           PAYMENTS, PRICERS, BOOKERS);
    return 0;
}
