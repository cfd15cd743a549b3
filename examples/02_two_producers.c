/* 02_two_producers.c - two producers on one ring, and every claim accounted for.
 *
 * Teaches: a multi-producer ring; a handle per thread; giving up a claim with dx_producer_abort();
 * publishing batches through a translator. Each claim becomes an event or a void, never a gap that
 * consumers wait for, and each producer's events arrive in the order in which it published them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <disruptorx/disruptor.h>

#define CLAIMS 10000 /* of each producer */
#define BATCH 5

typedef struct reading {
    int32_t sensor; /* which producer: 0 or 1 */
    int32_t value;  /* counts up */
} reading_t;

typedef struct side {
    dx_ring_t *ring;
    int32_t next_value; /* of the translator */
    int64_t published, aborted;
    int code;
    dx_error_t error;
} side_t;

typedef struct tally {
    int64_t events[2];
    int32_t last_value[2];
    bool in_order;
} tally_t;

static void require(bool condition, const char *sentence)
{
    if (!condition) {
        fprintf(stderr, "02_two_producers: %s\n", sentence);
        exit(1);
    }
}

static void must(int code, const dx_error_t *error)
{
    require(code == DX_OK, error->code == code ? error->message : dx_error_text(code));
}

static int on_reading(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    tally_t *tally = context;
    const reading_t *reading = event;
    (void)sequence, (void)end_of_batch;
    tally->in_order = tally->in_order && reading->value > tally->last_value[reading->sensor];
    tally->last_value[reading->sensor] = reading->value;
    tally->events[reading->sensor]++;
    return DX_HANDLER_CONTINUE;
}

/* Producer 0 claims one at a time and finds out too late that each tenth reading is not wanted. */
static void run_singly(void *context)
{
    side_t *side = context;
    dx_producer_t producer;
    side->code = dx_producer_open(&producer, side->ring, NULL, &side->error);
    for (int32_t value = 1; value <= CLAIMS && side->code == DX_OK; value++) {
        const int64_t sequence = dx_producer_claim(&producer);
        if (sequence < 0) {
            side->code = (int)sequence;
        } else if (value % 10 == 0) {
            side->code = dx_producer_abort(&producer, sequence, sequence);
            side->aborted++;
        } else {
            *DX_PRODUCER_EVENT(&producer, sequence, reading_t) = (reading_t){0, value};
            side->code = dx_producer_publish(&producer, sequence);
            side->published++;
        }
    }
    dx_producer_close(&producer); /* allowed, too, when opening it failed */
}

/* Fills one event. An error aborts the whole batch. */
static int translate(void *event, int64_t sequence, void *context)
{
    side_t *side = context;
    (void)sequence;
    const int32_t value = ++side->next_value;
    *(reading_t *)event = (reading_t){1, value};
    return value % 100 == 0 ? DX_EINVAL : DX_OK;
}

/* Producer 1 publishes batches of five; each twentieth batch is refused by its translator. */
static void run_batches(void *context)
{
    side_t *side = context;
    dx_producer_t producer;
    side->code = dx_producer_open(&producer, side->ring, NULL, &side->error);
    for (int32_t batch = 0; batch < CLAIMS / BATCH && side->code == DX_OK; batch++) {
        const int64_t last = dx_producer_publish_events(&producer, BATCH, translate, side);
        if (last == DX_EINVAL) {
            side->aborted += BATCH;
        } else if (last < 0) {
            side->code = (int)last;
        } else {
            side->published += BATCH;
        }
    }
    dx_producer_close(&producer);
}

int main(void)
{
    dx_error_t error = {0};
    tally_t tally = {.in_order = true};
    dx_disruptor_t *disruptor = NULL;
    const dx_disruptor_options_t options = {
        .ring = {.slot_count = 128, .event_bytes = sizeof(reading_t), .mode = DX_RING_MULTI}};
    const dx_handler_t handler = {.name = "tally", .context = &tally, .on_event = on_reading};
    must(dx_disruptor_create(&options, &disruptor, &error), &error);
    must(dx_disruptor_handle_events_with(disruptor, &handler, 1, NULL, &error), &error);
    must(dx_disruptor_start(disruptor, &error), &error);

    side_t sides[2] = {{.ring = dx_disruptor_ring(disruptor)},
                       {.ring = dx_disruptor_ring(disruptor)}};
    void (*const runs[2])(void *context) = {run_singly, run_batches};
    dx_thread_t *threads[2] = {NULL, NULL};
    for (int i = 0; i < 2; i++) {
        const dx_thread_options_t thread = {.name = i == 0 ? "singly" : "batches"};
        must(dx_thread_start(&thread, runs[i], &sides[i], &threads[i], &error), &error);
    }
    for (int i = 0; i < 2; i++) {
        (void)dx_thread_join(threads[i]);
        must(sides[i].code, &sides[i].error);
    }
    must(dx_disruptor_shutdown(disruptor, DX_FOREVER, &error), &error);
    dx_ring_stat_t stat;
    dx_ring_stat(dx_disruptor_ring(disruptor), &stat);
    dx_disruptor_destroy(disruptor);

    require(tally.in_order, "a producer's events arrived out of order");
    require(tally.events[0] == sides[0].published, "producer 0 lost an event");
    require(tally.events[1] == sides[1].published, "producer 1 lost an event");
    require(stat.aborts == sides[0].aborted + sides[1].aborted, "the aborts do not add up");
    require(stat.published + 1 == tally.events[0] + tally.events[1] + stat.aborts,
            "a sequence is neither an event nor a void");
    printf("%" PRId64 " claims, %" PRId64 " given up\n", stat.published + 1, stat.aborts);
    return 0;
}
