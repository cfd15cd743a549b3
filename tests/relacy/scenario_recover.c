/* scenario_recover.c - one of those that take part dies, between any two steps, and the others go
 * on. The processes of a shared ring are threads here, and what finds the dead one is told so; the
 * recovery is the real one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "rig.h"
#include "ring/share.h"

#define DEAD 0   /* process entry of the thread that dies */
#define LIVING 1 /* of all others */

/* Events say who wrote them. */
#define VALUE(sequence, producer) ((sequence)*10 + (producer))

static dxi_share_t *share;
static int64_t seen_of[RIG_PRODUCERS];

/* Makes the rig look like a ring of two processes: producer 0, or consumer 0, is the dead one's. */
static void processes_make(bool dead_consumer)
{
    dx_ring_block_t *block = dx_ring_block(rig->ring);
    dx_process_entry_t *processes = machine_alloc(2 * sizeof(*processes));
    block->processes_offset = (uint64_t)((char *)processes - (char *)block);
    share = machine_alloc(sizeof(*share));
    share->index = DEAD;
    rig->ring->share = share;
    for (int i = 0; i < RIG_PRODUCERS; i++) {
        dxi_field_store(&dxi_block_producers(block)[i].process,
                        !dead_consumer && i == 0 ? DEAD : LIVING);
        seen_of[i] = 0;
    }
    for (int i = 0; i < RIG_CONSUMERS; i++) {
        dxi_field_store(&dxi_block_consumers(block)[i].process,
                        dead_consumer && i == 0 ? DEAD : LIVING);
    }
}
static void end(void)
{
    rig->ring->share = NULL;
    rig_end();
}

static void publish_one(int producer)
{
    dx_producer_t *handle = &rig->producers[producer];
    int64_t sequence = dx_producer_claim(handle);
    while (sequence == DX_EAGAIN) {
        machine_yield();
        sequence = dx_producer_claim(handle);
    }
    CHECK(sequence >= 0);
    *DX_PRODUCER_EVENT(handle, sequence, int64_t) = VALUE(sequence, producer);
    CHECK(dx_producer_publish(handle, sequence) == DX_OK);
    rig->written[producer]++;
}

static void take(int consumer, int64_t last)
{
    dx_consumer_t *handle = &rig->consumers[consumer];
    for (int64_t sequence = handle->next; sequence <= last; sequence++) {
        if (!dx_consumer_is_hidden(handle, sequence)) {
            const int64_t value = *DX_CONSUMER_EVENT(handle, sequence, int64_t);
            CHECK(value / 10 == sequence);
            seen_of[value % 10]++;
        }
    }
    dx_consumer_release(handle, last);
}

/* True when nothing of the dead producer is left. */
static bool recover(void)
{
    dx_ring_block_t *block = dx_ring_block(rig->ring);
    dxi_recover_self(rig->ring);
    return dx_load32_acquire(&dxi_block_producers(block)[0].in_use) == 0;
}

/* ------------------------------------------------------------------------- a producer that dies */

/* It dies with one claim, with two, with one of two published, with a record and no claim. */
static void producer_body(void)
{
    dx_producer_t *handle = &rig->producers[0];
    publish_one(0);
    int64_t last = dx_producer_try_claim_n(handle, 2);
    while (last == DX_EAGAIN) {
        machine_yield();
        last = dx_producer_try_claim_n(handle, 2);
    }
    for (int64_t sequence = last; sequence > last - 2; sequence--) {
        *DX_PRODUCER_EVENT(handle, sequence, int64_t) = VALUE(sequence, 0);
        CHECK(dx_producer_publish(handle, sequence) == DX_OK);
        rig->written[0]++;
    }
}

static void claims_before(void)
{
    rig_make(&(rig_options_t){
        .mode = DX_RING_MULTI, .slot_count = 4, .producers = 2, .full = DX_FULL_FAIL});
    rig_consumer(0, 0, DX_WAIT_BLOCKING);
    processes_make(false);
}
static void claims_thread(int index)
{
    if (index == 0) {
        machine_mortal(producer_body, 24);
    } else if (index == 1) {
        publish_one(1);
        publish_one(1);
        dx_store_release(&rig->flag, 1);
    } else {
        dx_ring_block_t *block = dx_ring_block(rig->ring);
        bool recovered = false;
        for (;;) {
            recovered = recovered || (machine_is_dead() && recover());
            const bool finished = recovered && dx_load_acquire(&rig->flag) == 1;
            const int64_t last = dx_consumer_poll(&rig->consumers[0]);
            if (last >= rig->consumers[0].next) {
                take(0, last);
            } else if (finished && last >= dx_load_acquire(&block->claimed)) {
                return;
            } else {
                machine_yield();
            }
        }
    }
}
static void claims_after(void)
{
    CHECK(seen_of[1] == 2);
    CHECK(seen_of[0] >= rig->written[0]);
    CHECK(dx_ring_published(rig->ring) == dx_load_relaxed(&dx_ring_block(rig->ring)->claimed));
    end();
}
static const scenario_t claims = {
    .name = "recover-claims",
    .what = "what a dead producer has claimed is voided, and nothing of a living one",
    .threads = 3,
    .runs = 10000,
    .before = claims_before,
    .thread = claims_thread,
    .after = claims_after,
};

/* The dead one's record covers everything, and a living one claims, publishes and moves on under
 * the eyes of the recovery. */
static void race_before(void)
{
    claims_before();
    dx_producer_entry_t *entry = &dxi_block_producers(dx_ring_block(rig->ring))[0];
    dx_store_relaxed(&entry->held_first, 0);
    dx_store_relaxed(&entry->held_last, 3);
}
static void race_thread(int index)
{
    if (index == 0) {
        publish_one(1);
        publish_one(1);
    } else {
        (void)recover();
        while (seen_of[1] < 2) {
            const int64_t last = dx_consumer_poll(&rig->consumers[0]);
            if (last >= rig->consumers[0].next) {
                take(0, last);
                CHECK(seen_of[1] == last + 1); /* none was hidden */
            } else {
                machine_yield();
            }
        }
    }
}
static const scenario_t race = {
    .name = "recover-race",
    .what = "a producer claims and publishes while the recovery looks at its record",
    .threads = 2,
    .runs = 20000,
    .bound = 2,
    .bound_runs = 20000,
    .before = race_before,
    .thread = race_thread,
    .after = end,
};

/* The same, where each claim looks at the consumers first. */
static void race_slow_thread(int index)
{
    if (index == 1) {
        race_thread(1);
        return;
    }
    dx_producer_t *handle = &rig->producers[1];
    for (int i = 0; i < 2; i++) {
        handle->limit = -1;
        const int64_t sequence = dx_producer_claim(handle);
        CHECK(sequence == i);
        *DX_PRODUCER_EVENT(handle, sequence, int64_t) = VALUE(sequence, 1);
        CHECK(dx_producer_publish(handle, sequence) == DX_OK);
    }
}
static const scenario_t race_slow = {
    .name = "recover-race-slow",
    .what = "the same by claims that look at the consumers first",
    .threads = 2,
    .runs = 20000,
    .bound = 2,
    .bound_runs = 20000,
    .before = race_before,
    .thread = race_slow_thread,
    .after = end,
};

/* The same with two claims around each other: the record is taken back when both are published. */
static void race_hull_thread(int index)
{
    if (index == 1) {
        race_thread(1);
        return;
    }
    dx_producer_t *handle = &rig->producers[1];
    int64_t sequences[2];
    for (int i = 0; i < 2; i++) {
        sequences[i] = dx_producer_claim(handle);
        *DX_PRODUCER_EVENT(handle, sequences[i], int64_t) = VALUE(sequences[i], 1);
    }
    for (int i = 0; i < 2; i++) {
        CHECK(dx_producer_publish(handle, sequences[i]) == DX_OK);
    }
}
static const scenario_t race_hull = {
    .name = "recover-race-hull",
    .what = "a producer with two claims takes its record back while the recovery looks at it",
    .threads = 2,
    .runs = 20000,
    .bound = 2,
    .bound_runs = 20000,
    .before = race_before,
    .thread = race_hull_thread,
    .after = end,
};

/* The same with a claim for which there is no room: it is in the record for a moment. */
static void race_refused_thread(int index)
{
    if (index == 1) {
        race_thread(1);
        return;
    }
    publish_one(1);
    int64_t last = dx_producer_try_claim_n(&rig->producers[1], 4);
    CHECK(last == DX_EAGAIN || last == 4);
    if (last == 4) {
        for (int64_t sequence = 1; sequence <= 4; sequence++) {
            *DX_PRODUCER_EVENT(&rig->producers[1], sequence, int64_t) = VALUE(sequence, 1);
        }
        CHECK(dx_producer_publish_range(&rig->producers[1], 1, 4) == DX_OK);
    } else {
        publish_one(1);
    }
}
static const scenario_t race_refused = {
    .name = "recover-race-refused",
    .what = "a producer's claim is refused while the recovery looks at its record",
    .threads = 2,
    .runs = 20000,
    .bound = 2,
    .bound_runs = 20000,
    .before = race_before,
    .thread = race_refused_thread,
    .after = end,
};

/* The same where the ring has been closed: the claim is refused before it looks at anything. */
static void race_closed_before(void)
{
    race_before();
    CHECK(dx_producer_claim(&rig->producers[1]) == 0);
    dx_ring_close(rig->ring);
}
static void race_closed_thread(int index)
{
    dx_producer_t *handle = &rig->producers[1];
    if (index == 0) {
        *DX_PRODUCER_EVENT(handle, 0, int64_t) = VALUE(0, 1);
        CHECK(dx_producer_publish(handle, 0) == DX_ECLOSED);
        CHECK(dx_producer_claim(handle) == DX_ECLOSED);
        return;
    }
    (void)recover();
    while (dx_consumer_poll(&rig->consumers[0]) < 0) {
        machine_yield();
    }
    take(0, 0);
    CHECK(seen_of[1] == 1);
}
static const scenario_t race_closed = {
    .name = "recover-race-closed",
    .what = "a claim is refused by a closed ring while the recovery looks at its record",
    .threads = 2,
    .runs = 20000,
    .bound = 2,
    .bound_runs = 20000,
    .before = race_closed_before,
    .thread = race_closed_thread,
    .after = end,
};

/* The consumer sleeps on a hole, or on an event whose publisher died before it woke anybody. */
static void asleep_thread(int index)
{
    if (index == 0) {
        machine_mortal(producer_body, 24);
    } else if (index == 1) {
        machine_wait_dead();
        while (!recover()) {
            machine_yield();
        }
        publish_one(1);
    } else {
        while (seen_of[1] < 1) {
            const int64_t last = dx_consumer_wait(&rig->consumers[0]);
            CHECK(last >= rig->consumers[0].next);
            take(0, last);
        }
    }
}
static void asleep_after(void)
{
    CHECK(seen_of[0] >= rig->written[0]);
    end();
}
static const scenario_t asleep = {
    .name = "recover-asleep",
    .what = "who slept until the dead one publishes goes on",
    .threads = 3,
    .runs = 10000,
    .before = claims_before,
    .thread = asleep_thread,
    .after = asleep_after,
};

/* Its last event is published and the consumer sleeps: only the recovery can wake it. */
static void waker_body(void)
{
    publish_one(0);
}
static void waker_thread(int index)
{
    if (index == 0) {
        machine_mortal(waker_body, 12);
    } else if (index == 1) {
        machine_wait_dead();
        while (!recover()) {
            machine_yield();
        }
        dx_store_release(&rig->flag, 1);
        (void)dxi_consumer_control(rig->ring, 0, DXI_CONTROL_CANCEL);
    } else {
        /* Either the event comes, or the recovery says that none will. */
        int64_t last = dx_consumer_wait(&rig->consumers[0]);
        if (last >= 0) {
            take(0, last);
        } else {
            CHECK(last == DX_ECANCELLED && dx_load_acquire(&rig->flag) == 1);
        }
    }
}
static const scenario_t waker = {
    .name = "recover-waker",
    .what = "a publisher dies before it wakes the consumer",
    .threads = 3,
    .runs = 12000,
    .bound = 1,
    .bound_runs = 12000,
    .before = claims_before,
    .thread = waker_thread,
    .after = end,
};

/* A living producer waits for room, and what it recorded for a claim that it lost to the dead one
 * must not keep that from being voided: it would wait for itself. */
static void one_claim_body(void)
{
    publish_one(0);
}
static void full_before(void)
{
    rig_make(&(rig_options_t){.mode = DX_RING_MULTI,
                              .slot_count = 2,
                              .producers = 2,
                              .wait = DX_WAIT_BLOCKING,
                              .full = DX_FULL_WAIT});
    rig_consumer(0, 0, DX_WAIT_BLOCKING);
    processes_make(false);
}
/* Reads until the living producer has published `count` events. */
static void recover_and_read(int64_t count)
{
    bool recovered = false;
    int tries = 0;
    while (seen_of[1] < count || !recovered) {
        if (!recovered && machine_is_dead()) {
            recovered = recover();
            CHECK(tries++ < 20);
        }
        const int64_t last = dx_consumer_poll(&rig->consumers[0]);
        if (last >= rig->consumers[0].next) {
            take(0, last);
        } else {
            machine_yield();
        }
    }
}
static void full_thread(int index)
{
    if (index == 0) {
        machine_mortal(one_claim_body, 12);
    } else if (index == 1) {
        dx_producer_t *handle = &rig->producers[1];
        const int64_t last = dx_producer_claim_n(handle, 2);
        CHECK(last >= 1);
        for (int64_t sequence = last - 1; sequence <= last; sequence++) {
            *DX_PRODUCER_EVENT(handle, sequence, int64_t) = VALUE(sequence, 1);
        }
        CHECK(dx_producer_publish_range(handle, last - 1, last) == DX_OK);
    } else {
        recover_and_read(2);
    }
}
static const scenario_t full = {
    .name = "recover-full",
    .what = "a hole is voided though a producer that lost the race for it waits for room",
    .threads = 3,
    .runs = 10000,
    .before = full_before,
    .thread = full_thread,
    .after = end,
};

/* A living producer held two claims around the dead one's, has published both, and rests. */
static void hull_before(void)
{
    rig_make(&(rig_options_t){
        .mode = DX_RING_MULTI, .slot_count = 4, .producers = 2, .full = DX_FULL_FAIL});
    rig_consumer(0, 0, DX_WAIT_BLOCKING);
    processes_make(false);
}
static void hull_thread(int index)
{
    if (index == 0) {
        machine_mortal(one_claim_body, 12);
    } else if (index == 1) {
        dx_producer_t *handle = &rig->producers[1];
        int64_t sequences[2];
        for (int i = 0; i < 2; i++) {
            sequences[i] = dx_producer_claim(handle);
            CHECK(sequences[i] >= 0);
            *DX_PRODUCER_EVENT(handle, sequences[i], int64_t) = VALUE(sequences[i], 1);
        }
        for (int i = 0; i < 2; i++) {
            CHECK(dx_producer_publish(handle, sequences[i]) == DX_OK);
        }
    } else {
        recover_and_read(2);
    }
}
static const scenario_t hull = {
    .name = "recover-hull",
    .what = "a hole between two claims of a producer is voided when both are published",
    .threads = 3,
    .runs = 12000,
    .before = hull_before,
    .thread = hull_thread,
    .after = end,
};

/* ------------------------------------------------------------------------- a consumer that dies */

static void consumer_body(void)
{
    rig_poll(0, 2);
}
static void consumer_before(void)
{
    rig_make(&(rig_options_t){
        .slot_count = 2, .producers = 1, .wait = DX_WAIT_BLOCKING, .full = DX_FULL_WAIT});
    rig_consumer(0, 0, DX_WAIT_BLOCKING);
    processes_make(true);
}
static void consumer_thread(int index)
{
    if (index == 0) {
        machine_mortal(consumer_body, 16);
    } else if (index == 1) {
        rig_publish(0, 4);
    } else {
        machine_wait_dead();
        dxi_recover_self(rig->ring);
    }
}
static void consumer_after(void)
{
    CHECK(rig->written[0] == 4);
    end();
}
static const scenario_t consumer = {
    .name = "recover-consumer",
    .what = "a consumer that held the producer back dies",
    .threads = 3,
    .runs = 10000,
    .before = consumer_before,
    .thread = consumer_thread,
    .after = consumer_after,
};

const scenario_t *const scenarios[] = {
    &claims, &race,  &race_slow, &race_hull, &race_refused, &race_closed,
    &asleep, &waker, &full,      &hull,      &consumer,     NULL,
};
