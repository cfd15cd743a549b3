/* 12_restart.c - other shapes of handlers, and a graph that pauses, stops and starts again.
 *
 *     total (batches) ----+
 *                         +--> report (a processor with a loop of its own)
 *     both (two in one) --+
 *
 * Teaches: batch handlers and REWIND; an aggregate; a custom processor; extending a graph by name;
 * pause and resume; publishing before the start; halt keeps what it did not handle.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <disruptorx/disruptor.h>

static dx_error_t error;

static void require(bool condition, const char *sentence)
{
    if (!condition) {
        fprintf(stderr, "12_restart: %s\n", sentence);
        exit(1);
    }
}

static void must(int code)
{
    require(code == DX_OK, error.code == code ? error.message : dx_error_text(code));
}

typedef struct total {
    int64_t sum;
    bool rewound; /* it had one batch given again */
} total_t;

/* Several events per call. `done` says how far it came; a whole batch is the usual case. */
static int add_up(void *context, dx_batch_t *batch)
{
    total_t *total = context;
    if (!total->rewound) {
        total->rewound = true; /* a transaction failed, say: the batch from its first event */
        return DX_HANDLER_REWIND;
    }
    for (int64_t sequence = batch->first; sequence <= batch->last; sequence++) {
        total->sum += *DX_BATCH_EVENT(batch, sequence, int64_t);
    }
    require(dx_batch_event(batch, batch->last) != NULL, "the same without a type");
    return DX_HANDLER_CONTINUE;
}

static int count_event(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    int64_t *events = context;
    (void)event, (void)sequence, (void)end_of_batch;
    (*events)++;
    return DX_HANDLER_CONTINUE;
}

/* A processor of our own: it decides when it waits and when it releases. */
static int run_report(void *context, dx_consumer_t *consumer)
{
    int64_t *sum = context;
    for (;;) {
        const int64_t last = dx_consumer_wait(consumer);
        if (last == DX_EALERTED) {
            return DX_OK; /* halted */
        }
        if (last == DX_ETIMEDOUT || last == DX_ECANCELLED) {
            continue;
        }
        if (last < 0) {
            return (int)last; /* what it follows has failed: so has it */
        }
        for (int64_t sequence = consumer->next; sequence <= last; sequence++) {
            if (!dx_consumer_is_hidden(consumer, sequence)) {
                *sum += *DX_CONSUMER_EVENT(consumer, sequence, int64_t);
            }
        }
        dx_consumer_release(consumer, last);
    }
}

static void publish(dx_producer_t *producer, int64_t count)
{
    for (int64_t value = 1; value <= count; value++) {
        const int64_t sequence = dx_producer_publish_copy(producer, &value, sizeof(value));
        must(sequence < 0 ? (int)sequence : DX_OK);
    }
}

int main(void)
{
    total_t total = {0};
    int64_t left = 0, right = 0, reported = 0;
    const dx_handler_t pair[] = {{.context = &left, .on_event = count_event},
                                 {.context = &right, .on_event = count_event}};
    const dx_aggregate_t aggregate = {.handlers = pair, .count = 2}; /* must live on */
    dx_handler_t both;
    must(dx_aggregate_handler(&aggregate, &both, &error));
    both.name = "both";
    const dx_handler_t batches = {.name = "total", .context = &total, .on_batch = add_up};
    const dx_custom_processor_t report = {
        .name = "report", .context = &reported, .run = run_report};

    dx_disruptor_t *disruptor = NULL;
    const dx_disruptor_options_t options = {.ring = {.slot_count = 1024, .event_bytes = 8}};
    dx_group_t totals, counts, ahead, reports;
    must(dx_disruptor_create(&options, &disruptor, &error));
    must(dx_disruptor_handle_events_with(disruptor, &batches, 1, &totals, &error));
    must(dx_disruptor_handle_events_with(disruptor, &both, 1, &counts, &error));
    must(dx_disruptor_after(disruptor, (const char *[]){"total"}, 1, &ahead, &error));
    must(dx_group_then_custom(ahead, &report, &reports, &error));
    must(dx_disruptor_connect(disruptor, counts, reports, &error)); /* one more edge */
    require(dx_disruptor_connect(disruptor, reports, totals, &error) == DX_EINVAL, "a cycle?");
    printf("%s\n", error.message);
    must(dx_group_and(totals, counts, &ahead, &error)); /* the group of both */

    dx_producer_t producer;
    must(dx_producer_open(&producer, dx_disruptor_ring(disruptor), NULL, &error));
    publish(&producer, 100); /* before the start: kept until there is somebody */
    require(dx_disruptor_backlog(disruptor) == 100, "the events are not there");
    must(dx_disruptor_start(disruptor, &error));
    require(dx_disruptor_is_running(disruptor), "it does not run");

    must(dx_group_pause(ahead, &error)); /* their threads end; report waits */
    publish(&producer, 100);
    must(dx_group_resume(ahead, &error)); /* they go on where they stood */
    must(dx_disruptor_halt(disruptor));   /* after the current batch, whatever is left */
    require(!dx_disruptor_is_running(disruptor), "it still runs");

    must(dx_disruptor_start(disruptor, &error)); /* what is left is delivered now */
    publish(&producer, 100);                     /* the handle is still good */
    must(dx_disruptor_shutdown(disruptor, 10 * INT64_C(1000000000), &error));
    dx_producer_close(&producer);
    dx_disruptor_destroy(disruptor);
    require(total.sum == 3 * 5050 && total.rewound, "the total is wrong");
    require(left == 300 && right == 300 && reported == 3 * 5050, "an event was lost or came twice");
    printf("300 events in three runs, each handled once\n");
    return 0;
}
