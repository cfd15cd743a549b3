/* scenario_flow.c - events through the ring while nobody sleeps: what is published is whole, what
 * is reused was done with, what was given up is seen by nobody.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "rig.h"

/* ---------------------------------------------------------------- one producer, one consumer */

static void single_before(void)
{
    rig_make(&(rig_options_t){.slot_count = 2, .producers = 1, .full = DX_FULL_FAIL});
    rig_consumer(0, 0, DX_WAIT_BUSY_SPIN);
}
static void single_thread(int index)
{
    if (index == 0) {
        rig_publish(0, 4);
    } else {
        rig_poll(0, 4);
    }
}
static void single_after(void)
{
    CHECK(rig->sums[0] == 0 + 1 + 2 + 3);
    CHECK(dx_ring_consumed(rig->ring) == 3);
    rig_end();
}
static const scenario_t single = {
    .name = "single",
    .what = "one producer and one consumer go round a ring of two slots",
    .threads = 2,
    .runs = 10000,
    .bound = 3,
    .bound_runs = 12000,
    .before = single_before,
    .thread = single_thread,
    .after = single_after,
};

/* ------------------------------------------------------------------------- several producers */

static void multi_before(void)
{
    rig_make(&(rig_options_t){
        .mode = DX_RING_MULTI, .slot_count = 2, .producers = 2, .full = DX_FULL_FAIL});
    rig_consumer(0, 0, DX_WAIT_BUSY_SPIN);
}
static void multi_thread(int index)
{
    if (index < 2) {
        rig_publish(index, 2);
    } else {
        rig_poll(0, 4);
    }
}
static void multi_after(void)
{
    CHECK(rig->sums[0] == 0 + 1 + 2 + 3);
    CHECK(dx_ring_published(rig->ring) == 3);
    rig_end();
}
static const scenario_t multi = {
    .name = "multi",
    .what = "two producers and one consumer go round a ring of two slots",
    .threads = 3,
    .runs = 10000,
    .bound = 2,
    .bound_runs = 12000,
    .before = multi_before,
    .thread = multi_thread,
    .after = multi_after,
};

/* ---------------------------------------------------------------------------------- batches */

static void batch_before(void)
{
    rig_make(&(rig_options_t){
        .mode = DX_RING_MULTI, .slot_count = 4, .producers = 2, .full = DX_FULL_FAIL});
    rig_consumer(0, 0, DX_WAIT_BUSY_SPIN);
}
static void batch_thread(int index)
{
    if (index == 2) {
        rig_poll(0, 6);
        return;
    }
    dx_producer_t *producer = &rig->producers[index];
    int64_t last = dx_producer_try_claim_n(producer, 3);
    while (last == DX_EAGAIN) {
        machine_yield();
        last = dx_producer_try_claim_n(producer, 3);
    }
    CHECK(last >= 2);
    for (int64_t sequence = last - 2; sequence <= last; sequence++) {
        *DX_PRODUCER_EVENT(producer, sequence, int64_t) = sequence;
    }
    /* The last one first: each sequence is published on its own. */
    CHECK(dx_producer_publish(producer, last) == DX_OK);
    CHECK(dx_producer_publish_range(producer, last - 2, last - 1) == DX_OK);
}
static void batch_after(void)
{
    CHECK(rig->sums[0] == 0 + 1 + 2 + 3 + 4 + 5);
    rig_end();
}
static const scenario_t batch = {
    .name = "batch",
    .what = "two producers claim three events each and publish them out of order",
    .threads = 3,
    .runs = 10000,
    .before = batch_before,
    .thread = batch_thread,
    .after = batch_after,
};

/* ----------------------------------------------------------------------------------- stages */

static void stages_before(void)
{
    rig_make(&(rig_options_t){.slot_count = 2, .producers = 1, .full = DX_FULL_FAIL});
    rig_consumer(0, 0, DX_WAIT_BUSY_SPIN);
    rig_consumer(1, 1, DX_WAIT_BUSY_SPIN);
}
/* Adds to each event in its slot. */
static void stages_first(void)
{
    dx_consumer_t *consumer = &rig->consumers[0];
    while (consumer->next < 4) {
        const int64_t last = dx_consumer_poll(consumer);
        for (int64_t sequence = consumer->next; sequence <= last; sequence++) {
            *DX_CONSUMER_EVENT(consumer, sequence, int64_t) += 100;
        }
        if (last >= consumer->next) {
            dx_consumer_release(consumer, last);
        } else {
            machine_yield();
        }
    }
}
static void stages_second(void)
{
    dx_consumer_t *consumer = &rig->consumers[1];
    while (consumer->next < 4) {
        const int64_t last = dx_consumer_poll(consumer);
        for (int64_t sequence = consumer->next; sequence <= last; sequence++) {
            CHECK(*DX_CONSUMER_EVENT(consumer, sequence, int64_t) == 100 + sequence);
        }
        if (last >= consumer->next) {
            dx_consumer_release(consumer, last);
        } else {
            machine_yield();
        }
    }
}
static void stages_thread(int index)
{
    switch (index) {
    case 0:
        rig_publish(0, 4);
        break;
    case 1:
        stages_first();
        break;
    default:
        stages_second();
        break;
    }
}
static void stages_after(void)
{
    CHECK(dx_ring_consumed(rig->ring) == 3);
    rig_end();
}
static const scenario_t stages = {
    .name = "stages",
    .what = "a second stage sees what the first one wrote into the event",
    .threads = 3,
    .runs = 10000,
    .before = stages_before,
    .thread = stages_thread,
    .after = stages_after,
};

static void diamond_before(void)
{
    rig_make(&(rig_options_t){.slot_count = 2, .producers = 1, .full = DX_FULL_FAIL});
    rig_consumer(0, 0, DX_WAIT_BUSY_SPIN);
    rig_consumer(1, 0, DX_WAIT_BUSY_SPIN);
    rig_consumer(2, 3, DX_WAIT_BUSY_SPIN);
}
static void diamond_thread(int index)
{
    if (index == 0) {
        rig_publish(0, 3);
    } else {
        rig_poll(index - 1, 3);
        /* Behind both: the sequences of those it follows were reached when it got the event. */
    }
}
static void diamond_after(void)
{
    for (int i = 0; i < 3; i++) {
        CHECK(rig->sums[i] == 0 + 1 + 2);
    }
    rig_end();
}
static const scenario_t diamond = {
    .name = "diamond",
    .what = "a consumer behind two others, and the producer behind it",
    .threads = 4,
    .runs = 10000,
    .before = diamond_before,
    .thread = diamond_thread,
    .after = diamond_after,
};

/* ------------------------------------------------------------------------- claims given up */

static void abort_before(void)
{
    rig_make(&(rig_options_t){
        .mode = DX_RING_MULTI, .slot_count = 2, .producers = 2, .full = DX_FULL_FAIL});
    rig_consumer(0, 0, DX_WAIT_BUSY_SPIN);
}
static void abort_thread(int index)
{
    if (index == 0) {
        rig_publish(0, 2);
    } else if (index == 1) {
        for (int i = 0; i < 2; i++) {
            const int64_t sequence = rig_claim(1);
            CHECK(sequence >= 0);
            *DX_PRODUCER_EVENT(&rig->producers[1], sequence, int64_t) = -1; /* must not be seen */
            (void)dx_producer_abort(&rig->producers[1], sequence, sequence);
        }
    } else {
        while (rig->consumers[0].next < 4) {
            const int64_t last = dx_consumer_poll(&rig->consumers[0]);
            if (last >= rig->consumers[0].next) {
                rig_take(0, last);
            } else {
                machine_yield();
            }
        }
    }
}
static void abort_after(void)
{
    CHECK(rig->seen[0] == 2);
    rig_end();
}
static const scenario_t abort_multi = {
    .name = "abort",
    .what = "a claim given up is passed over, and no other is",
    .threads = 3,
    .runs = 10000,
    .before = abort_before,
    .thread = abort_thread,
    .after = abort_after,
};

static void abort_older_before(void)
{
    rig_make(&(rig_options_t){.slot_count = 4, .producers = 1, .full = DX_FULL_FAIL});
    rig_consumer(0, 0, DX_WAIT_BUSY_SPIN);
}
static void abort_older_thread(int index)
{
    if (index == 0) {
        for (int i = 0; i < 2; i++) {
            const int64_t given_up = rig_claim(0);
            const int64_t kept = rig_claim(0);
            CHECK(given_up >= 0 && kept == given_up + 1);
            *DX_PRODUCER_EVENT(&rig->producers[0], given_up, int64_t) = -1;
            CHECK(dx_producer_abort(&rig->producers[0], given_up, given_up) == DX_OK);
            CHECK(dx_producer_publish(&rig->producers[0], kept) == DX_OK);
        }
    } else {
        while (rig->consumers[0].next < 4) {
            const int64_t last = dx_consumer_poll(&rig->consumers[0]);
            if (last >= rig->consumers[0].next) {
                rig_take(0, last);
            } else {
                machine_yield();
            }
        }
    }
}
static void abort_older_after(void)
{
    CHECK(rig->seen[0] == 2 && rig->sums[0] == 1 + 3);
    rig_end();
}
static const scenario_t abort_older = {
    .name = "abort-older",
    .what = "a single producer gives up the older of two claims",
    .threads = 2,
    .runs = 10000,
    .bound = 2,
    .bound_runs = 20000,
    .before = abort_older_before,
    .thread = abort_older_thread,
    .after = abort_older_after,
};

/* ---------------------------------------------------------------------------- skipped events */

static void skip_before(void)
{
    rig_make(&(rig_options_t){.slot_count = 2, .producers = 1, .full = DX_FULL_FAIL});
    const dx_consumer_options_t options = {.may_skip = true, .wait = {.kind = DX_WAIT_BUSY_SPIN}};
    CHECK(dx_consumer_open(&rig->consumers[0], rig->ring, &options, NULL) == DX_OK);
    rig_consumer(1, 1, DX_WAIT_BUSY_SPIN);
}
static void skip_thread(int index)
{
    if (index == 0) {
        rig_publish(0, 4);
        return;
    }
    dx_consumer_t *consumer = &rig->consumers[index - 1];
    while (consumer->next < 4) {
        const int64_t last = dx_consumer_poll(consumer);
        if (last < consumer->next) {
            machine_yield();
            continue;
        }
        for (int64_t sequence = consumer->next; index == 1 && sequence <= last; sequence++) {
            if (sequence % 2 == 0) {
                CHECK(dx_consumer_skip(consumer, sequence) == DX_OK);
            }
        }
        rig_take(index - 1, last);
    }
}
static void skip_after(void)
{
    CHECK(rig->seen[0] == 4);
    CHECK(rig->seen[1] == 2 && rig->sums[1] == 1 + 3);
    rig_end();
}
static const scenario_t skip = {
    .name = "skip",
    .what = "what a consumer skips is hidden from the one behind it",
    .threads = 3,
    .runs = 10000,
    .before = skip_before,
    .thread = skip_thread,
    .after = skip_after,
};

/* -------------------------------------------------------------------------- seen from outside */

static void outside_before(void)
{
    rig_make(&(rig_options_t){
        .mode = DX_RING_MULTI, .slot_count = 4, .producers = 2, .full = DX_FULL_FAIL});
}
static void outside_thread(int index)
{
    if (index < 2) {
        rig_publish(index, 2);
        return;
    }
    int64_t before = -1;
    for (int i = 0; i < 3; i++) {
        const int64_t published = dx_ring_published(rig->ring);
        CHECK(published >= before);
        for (int64_t sequence = 0; sequence <= published; sequence++) {
            const int64_t *slots = (const int64_t *)dxi_block_slots(dx_ring_block(rig->ring));
            CHECK(slots[sequence] == sequence);
        }
        const int64_t remaining = dx_ring_remaining(rig->ring);
        CHECK(remaining >= 0 && remaining <= 4);
        before = published;
    }
}
static void outside_after(void)
{
    CHECK(dx_ring_published(rig->ring) == 3);
    rig_end();
}
static const scenario_t outside = {
    .name = "outside",
    .what = "everything up to what the ring says is published can be read",
    .threads = 3,
    .runs = 10000,
    .before = outside_before,
    .thread = outside_thread,
    .after = outside_after,
};

const scenario_t *const scenarios[] = {&single,      &multi,       &batch, &stages,  &diamond,
                                       &abort_multi, &abort_older, &skip,  &outside, NULL};
