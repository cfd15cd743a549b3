/* 13_changing_graph.c - a graph that is changed while events run through it.
 *
 *     before and after          meanwhile
 *     journal --> report        journal --> tax --> report
 *     pricing (a pool)          pricing, with one worker more
 *                               audit (from a given event on)
 *
 * Teaches: adding, inserting, linking and removing consumers of a running disruptor; workers that
 * join and leave a pool; where a new consumer begins. Nobody is stopped for any of it, and nobody
 * misses an event or sees one twice.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <disruptorx/disruptor.h>

#define STEP 2000 /* events between two changes, at least */

typedef struct sale {
    int64_t amount;
    int64_t tax;
} sale_t;

/* What a handler saw. `next` is read by the main thread as well. */
typedef struct view {
    _Atomic int64_t next; /* the sequence that it must be given next; -1: any */
    _Atomic int64_t events;
    int64_t taxed;
    bool reads_tax; /* only who is behind the stage that writes it may */
    bool taxed_before;
    int turns;
} view_t;

static dx_error_t error; /* of the main thread */
static _Atomic bool closing;

static void require(bool condition, const char *sentence)
{
    if (!condition) {
        fprintf(stderr, "13_changing_graph: %s\n", sentence);
        exit(1);
    }
}

static void must(int code)
{
    require(code == DX_OK, error.code == code ? error.message : dx_error_text(code));
}

static int look(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    view_t *view = context;
    (void)end_of_batch;
    require(view->next < 0 || view->next == sequence, "an event was missed or came twice");
    view->next = sequence + 1;
    const bool taxed = view->reads_tax && ((const sale_t *)event)->tax != 0;
    if (taxed != view->taxed_before) { /* from some event on, until it was removed */
        require(++view->turns <= 2, "an event got past the inserted stage");
        view->taxed_before = taxed;
    }
    view->taxed += taxed;
    view->events++;
    return DX_HANDLER_CONTINUE;
}

static int tax(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    ((sale_t *)event)->tax = ((const sale_t *)event)->amount / 5;
    return look(context, event, sequence, end_of_batch);
}

static int price(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    (void)event, (void)sequence, (void)end_of_batch;
    ((view_t *)context)->events++;
    return DX_HANDLER_CONTINUE;
}

/* The load: it never pauses for what the main thread does. */
static void *sell(void *context)
{
    dx_producer_t producer;
    require(dx_producer_open(&producer, context, NULL, NULL) == DX_OK, "no producer");
    for (int64_t amount = 5; !closing; amount++) {
        const int64_t sequence = dx_producer_claim(&producer);
        require(sequence >= 0, dx_error_text((int)sequence));
        *DX_PRODUCER_EVENT(&producer, sequence, sale_t) = (sale_t){.amount = amount};
        require(dx_producer_publish(&producer, sequence) == DX_OK, "not published");
    }
    dx_producer_close(&producer);
    return NULL;
}

/* Lets the graph run for a while as it is. */
static void watch(const view_t *view)
{
    for (const int64_t end = view->events + STEP; view->events < end;) {
        (void)sched_yield();
    }
}

static view_t journal, taxes, audit, prices[3];
static view_t report = {.reads_tax = true};

static void check(const dx_disruptor_t *disruptor)
{
    const int64_t published = dx_ring_published(dx_disruptor_ring(disruptor)) + 1;
    require(journal.events == published, "the journal lacks an event");
    require(report.events == published, "the report lacks an event");
    require(prices[0].events + prices[1].events + prices[2].events == published,
            "an event was priced twice or not at all");
    require(report.taxed >= STEP && report.taxed <= taxes.events, "the stage was not between");
    printf("seven changes, and each consumer saw every event that was its own, once\n");
    fprintf(stderr, "%" PRId64 " events, %" PRId64 " of them while the tax stage was there\n",
            published, taxes.events);
}

int main(void)
{
    const dx_handler_t first = {.name = "journal", .context = &journal, .on_event = look};
    const dx_handler_t last = {.name = "report", .context = &report, .on_event = look};
    const dx_handler_t workers[] = {{.name = "pricer-0", .context = &prices[0], .on_event = price},
                                    {.name = "pricer-1", .context = &prices[1], .on_event = price}};
    const dx_pool_t pool = {.name = "pricing", .workers = workers, .worker_count = 2};
    const dx_disruptor_options_t options = {
        .ring = {.slot_count = 256, .event_bytes = sizeof(sale_t)}};
    dx_disruptor_t *disruptor = NULL;
    dx_group_t journals, reports, pricing, group;
    must(dx_disruptor_create(&options, &disruptor, &error));
    must(dx_disruptor_handle_events_with(disruptor, &first, 1, &journals, &error));
    must(dx_group_then(journals, &last, 1, &reports, &error));
    must(dx_disruptor_handle_events_with_pool(disruptor, &pool, &pricing, &error));
    must(dx_disruptor_start(disruptor, &error));
    pthread_t seller;
    dx_ring_t *ring = dx_disruptor_ring(disruptor);
    require(pthread_create(&seller, NULL, sell, ring) == 0, "no thread");
    watch(&report);

    /* 1. A stage in the middle, which sees every event that the report has not seen yet. */
    taxes.next = -1;
    const dx_handler_t between = {
        .name = "tax", .context = &taxes, .on_event = tax, .start = DX_START_OLDEST};
    must(dx_group_insert(journals, reports, &between, 1, &group, &error));
    watch(&report);

    /* 2. A worker more. */
    const dx_handler_t helper = {.name = "pricer-2", .context = &prices[2], .on_event = price};
    must(dx_group_add_worker(pricing, &helper, NULL, &error));
    watch(&report);

    /* 3. A consumer that begins with an event of our choice: here one that is yet to come. */
    audit.next = dx_ring_published(ring) + 100;
    const dx_handler_t late = {.name = "audit",
                               .context = &audit,
                               .on_event = look,
                               .start = DX_START_SEQUENCE,
                               .start_sequence = audit.next};
    dx_group_t audits;
    int code = dx_disruptor_handle_events_with(disruptor, &late, 1, &audits, &error);
    if (code == DX_ELIMIT) { /* we were slow, and the event has been overwritten */
        audit.next = -1;
        const dx_handler_t now = {.name = "audit", .context = &audit, .on_event = look};
        code = dx_disruptor_handle_events_with(disruptor, &now, 1, &audits, &error);
    }
    must(code);
    watch(&audit);

    /* 4. An edge: the audit is to see what the report is done with. It could be taken away again:
     * dx_consumer_follow() says the whole of what one consumer follows. */
    must(dx_disruptor_connect(disruptor, reports, audits, &error));
    watch(&audit);
    must(dx_consumer_follow(ring, __builtin_ctzll(audits.members), 0, &error));

    /* 5. Away with the audit, and with one worker: what it had claimed, it finishes. */
    must(dx_group_remove(audits, &error));
    dx_group_t leaver;
    must(dx_group_member(pricing, "pricer-0", &leaver, &error));
    must(dx_group_remove(leaver, &error));
    watch(&report);

    /* 6. Away with the stage in the middle: the report follows the journal again. */
    must(dx_group_remove(group, &error));
    watch(&report);

    closing = true;
    require(pthread_join(seller, NULL) == 0, "the thread can't be joined");
    must(dx_disruptor_shutdown(disruptor, DX_FOREVER, &error));
    check(disruptor);
    dx_disruptor_destroy(disruptor);
    return 0;
}
