/* 11_ring_by_hand.c - a ring without a disruptor: consumers that your own threads drive.
 *
 * Teaches: dx_ring_create(); a consumer behind another one; poll, read, release; hiding events from
 * those behind; aborted claims; what happens when a consumer fails; close, reopen and reset. It all
 * runs in one thread here, so that each step can be looked at.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <disruptorx/consumer.h>
#include <disruptorx/producer.h>
#include <disruptorx/ring.h>

typedef struct job {
    int64_t number;
    int64_t slot; /* set once, when the ring is made */
} job_t;

static dx_error_t error;

static void require(bool condition, const char *sentence)
{
    if (!condition) {
        fprintf(stderr, "11_ring_by_hand: %s\n", sentence);
        exit(1);
    }
}

static void must(int code)
{
    require(code == DX_OK, error.code == code ? error.message : dx_error_text(code));
}

/* Slots are made once and reused for ever: what is expensive to make is made here. */
static void make_job(void *context, void *event, int64_t index)
{
    (void)context;
    *(job_t *)event = (job_t){.number = -1, .slot = index};
}

static int fill_job(void *event, int64_t sequence, void *context)
{
    const int64_t *number = context;
    ((job_t *)event)->number = *number + sequence;
    return DX_OK; /* an error would abort the claim */
}

/* Ten claims from sequence 100 on: nine events and, at 104, an abort. */
static void publish_ten(dx_ring_t *ring, int64_t number)
{
    dx_producer_t producer;
    must(dx_producer_open(&producer, ring, NULL, &error));
    for (int64_t expected = 100; expected < 104; expected++) {
        require(dx_producer_publish_event(&producer, fill_job, &number) == expected, "no event");
    }
    const int64_t last = dx_producer_claim_n(&producer, 6); /* 104 to 109, in one step */
    require(last == 109, "six claims end at 109");
    must(dx_producer_abort(&producer, 104, 104)); /* in the order of the claims */
    for (int64_t sequence = 105; sequence <= last; sequence++) {
        (void)fill_job(dx_producer_event(&producer, sequence), sequence, &number);
    }
    require(!dx_ring_is_available(ring, 105), "it is filled, but not published");
    must(dx_producer_publish_range(&producer, 105, last));
    require(dx_ring_is_available(ring, 105), "now it is");
    dx_producer_close(&producer);
}

/* The loop that everything else is made of. Hides odd numbers from those behind. */
static void filter_even(dx_consumer_t *filter)
{
    const int64_t last = dx_consumer_poll(filter); /* never waits; next - 1 when there is nothing */
    for (int64_t sequence = filter->next; sequence <= last; sequence++) {
        if (dx_consumer_is_hidden(filter, sequence)) {
            continue; /* 104: its claim was aborted */
        }
        const job_t *job = dx_consumer_event(filter, sequence);
        require(job->slot == sequence % 16, "a job is in a slot that is not its own");
        if (job->number % 2 != 0) {
            must(dx_consumer_skip(filter, sequence));
        }
    }
    dx_consumer_release(filter, last); /* one store for the whole batch */
}

static int sum_jobs(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    int64_t *sum = context;
    (void)sequence, (void)end_of_batch;
    *sum += ((const job_t *)event)->number;
    return DX_OK;
}

int main(void)
{
    dx_ring_t *ring = NULL;
    dx_consumer_t filter, sink;
    const dx_ring_options_t options = {.name = "jobs",
                                       .slot_count = 16,
                                       .event_bytes = sizeof(job_t),
                                       .initialise = make_job,
                                       .first_sequence = 100};
    must(dx_ring_create(&options, &ring, &error));
    must(dx_consumer_open(&filter, ring, &(dx_consumer_options_t){.may_skip = true}, &error));
    const dx_consumer_options_t behind = {.upstream = UINT64_C(1) << filter.index};
    must(dx_consumer_open(&sink, ring, &behind, &error));

    int64_t sum = 0;
    publish_ten(ring, 0);
    require(dx_consumer_drain(&sink, sum_jobs, &sum, 0) == DX_POLL_GATING, "filter comes first");
    filter_even(&filter);
    require(dx_consumer_drain(&sink, sum_jobs, &sum, 0) == DX_POLL_PROCESSING, "it may go on");
    require(dx_consumer_drain(&sink, sum_jobs, &sum, 0) == DX_POLL_IDLE, "there is no more");
    require(sum == 100 + 102 + 106 + 108, "the sum of the even jobs is wrong"); /* 104: aborted */
    require(dx_ring_published(ring) == 109 && dx_ring_consumed(ring) == 109, "all is consumed");
    require(dx_ring_remaining(ring) == 16, "all slots are free");

    /* The thread of `filter` ends by an error: nobody waits for it in vain. */
    dx_consumer_fail(&filter, DX_EIO);
    require(dx_consumer_wait(&sink) == DX_ECONSUMER, "what it follows has failed");
    dx_producer_t producer;
    must(dx_producer_open(&producer, ring, NULL, &error));
    const int64_t last = dx_producer_claim_n(&producer, 16); /* room for one lap is still there */
    must(dx_producer_publish_range(&producer, last - 15, last));
    require(dx_producer_claim(&producer) == DX_ECONSUMER, "room will never come");

    dx_ring_close(ring);
    require(dx_producer_claim(&producer) == DX_ECLOSED, "closed for producers");
    dx_ring_reopen(ring);
    dx_producer_close(&producer);
    dx_consumer_close(&sink); /* from the end of the graph to its beginning */
    dx_consumer_close(&filter);
    must(dx_ring_reset(ring, 0, &error)); /* nobody is left, so sequences may start again */
    require(dx_ring_published(ring) == -1, "an empty ring stands before its first sequence");
    fprintf(stderr, "the ring had %zu bytes\n", dx_ring_memory(ring)->size_bytes);
    dx_ring_destroy(ring);
    printf("the even jobs sum up to %" PRId64 "\n", sum);
    return 0;
}
