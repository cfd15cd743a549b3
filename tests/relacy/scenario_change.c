/* scenario_change.c - who takes part changes while events flow: consumers leave, producers hand
 * over, workers share. Who joins: scenario_join.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "rig.h"
#include "ring/disruptor_internal.h"

#define WAIT DX_WAIT_BLOCKING

static void end(void)
{
    rig_end();
}

/* ------------------------------------------------------------------------------------ leaving */

static void leave_before(void)
{
    rig_make(&(rig_options_t){.slot_count = 2, .producers = 1, .wait = WAIT, .full = DX_FULL_WAIT});
    rig_consumer(0, 0, WAIT);
    rig_consumer(1, 0, WAIT);
}
static void leave_thread(int index)
{
    switch (index) {
    case 0:
        rig_publish(0, 4);
        break;
    case 1:
        rig_wait(0, 4);
        break;
    default:
        dx_consumer_close(&rig->consumers[1]); /* it has read nothing */
        break;
    }
}
static const scenario_t leave = {
    .name = "leave",
    .what = "a consumer that held the producer back leaves",
    .threads = 3,
    .runs = 15000,
    .before = leave_before,
    .thread = leave_thread,
    .after = end,
};

/* The one in the middle leaves: who followed it follows what it followed, and misses nothing. */
static void middle_before(void)
{
    rig_make(&(rig_options_t){.slot_count = 2, .producers = 1, .wait = WAIT, .full = DX_FULL_WAIT});
    rig_consumer(0, 0, WAIT);
    rig_consumer(1, 1, WAIT);
}
static void middle_thread(int index)
{
    switch (index) {
    case 0:
        rig_publish(0, 3);
        break;
    case 1:
        rig_wait(1, 3);
        break;
    default:
        rig_wait(0, 1);
        dx_consumer_close(&rig->consumers[0]);
        break;
    }
}
static const scenario_t middle = {
    .name = "leave-middle",
    .what = "a consumer between the producer and another one leaves",
    .threads = 3,
    .runs = 20000,
    .before = middle_before,
    .thread = middle_thread,
    .after = end,
};

/* The same by polling, and with a slot to lose. */
static void middle_poll_before(void)
{
    rig_make(&(rig_options_t){.slot_count = 2, .producers = 1, .full = DX_FULL_FAIL});
    rig_consumer(0, 0, WAIT);
    rig_consumer(1, 1, WAIT);
}
static void middle_poll_thread(int index)
{
    switch (index) {
    case 0:
        rig_publish(0, 4);
        break;
    case 1:
        rig_poll_through(1, 3);
        CHECK(rig->seen[1] == 4);
        break;
    default:
        rig_poll_through(0, 0);
        dx_consumer_close(&rig->consumers[0]);
        break;
    }
}
static const scenario_t middle_poll = {
    .name = "leave-middle-poll",
    .what = "the same, while the one behind polls",
    .threads = 3,
    .runs = 20000,
    .before = middle_poll_before,
    .thread = middle_poll_thread,
    .after = end,
};

/* The one behind takes the token of its last event back at the moment at which the other leaves:
 * the one that tells it so goes with it, and it must learn of that before it sleeps again.
 *
 *     0 reads one event and leaves    1 the consumer behind it
 */
static int token_stage;
static void token_before(void)
{
    token_stage = 0;
    rig_make(&(rig_options_t){.slot_count = 2, .producers = 1, .full = DX_FULL_FAIL});
    rig_consumer(0, 0, WAIT);
    rig_consumer(1, 1, WAIT);
    rig_publish(0, 2);
}
static void token_point(int thread, const char *name)
{
    if (thread == 1 && token_stage < 2 && strcmp(name, "park:before-token") == 0) {
        token_stage = 1;
        machine_await(&token_stage, 2);
    }
}
static void token_thread(int index)
{
    if (index == 0) {
        machine_delay(60);
        rig_take(0, 0);
        machine_await(&token_stage, 1);
        dx_consumer_close(&rig->consumers[0]);
        token_stage = 2;
    } else {
        rig_wait(1, 2);
    }
}
static const scenario_t middle_token = {
    .name = "leave-token",
    .what = "who learns by a token that is lost that another has left does not sleep on it",
    .threads = 2,
    .runs = 10000,
    .before = token_before,
    .thread = token_thread,
    .after = end,
    .point = token_point,
};

/* One that was behind another one overtakes it: from then on that one holds the producer, too,
 * which looks for room by a mask of before.
 *
 *     0 the producer    1 changes the graph, then reads (0)    2 overtakes (1)
 */
static int follow_stage;
static void follow_before(void)
{
    follow_stage = 0;
    rig_make(&(rig_options_t){.slot_count = 2, .producers = 1, .full = DX_FULL_FAIL});
    rig_consumer(0, 0, WAIT);
    rig_consumer(1, 1, WAIT);
    rig_publish(0, 2);
}
static void follow_point(int thread, const char *name)
{
    if (thread == 0 && strcmp(name, "gating:mask-read") == 0) {
        follow_stage = follow_stage < 2 ? 2 : follow_stage;
        machine_await(&follow_stage, 3);
    }
}
static void follow_thread(int index)
{
    static const int begins[] = {1, 0, 2};
    machine_await(&follow_stage, begins[index]);
    if (index == 0) {
        const int64_t sequence = dx_producer_claim(&rig->producers[0]);
        if (sequence >= 0) {
            *DX_PRODUCER_EVENT(&rig->producers[0], sequence, int64_t) = sequence;
        }
        follow_stage = 4;
    } else if (index == 1) {
        CHECK(dx_consumer_follow(rig->ring, 1, 0, NULL) == DX_OK);
        follow_stage = 1;
        machine_await(&follow_stage, 4);
        rig_take(0, 0);
    } else {
        rig_poll_through(1, 1);
        follow_stage = 3;
    }
}
static const scenario_t follow = {
    .name = "follow-stale",
    .what = "a consumer overtakes the one it followed while a producer looks for room",
    .threads = 3,
    .runs = 10000,
    .before = follow_before,
    .thread = follow_thread,
    .after = end,
    .point = follow_point,
};

/* -------------------------------------------------------------------------------- handing over */

static void hand_over_before(void)
{
    rig_make(&(rig_options_t){.slot_count = 2, .producers = 1, .full = DX_FULL_FAIL});
    rig_consumer(0, 0, WAIT);
}
static void hand_over_thread(int index)
{
    switch (index) {
    case 0:
        rig_publish(0, 2);
        dx_producer_close(&rig->producers[0]);
        break;
    case 1:
        while (dx_producer_open(&rig->producers[1], rig->ring,
                                &(dx_producer_options_t){.full = DX_FULL_FAIL}, NULL) != DX_OK) {
            machine_yield();
        }
        rig_publish(1, 2);
        break;
    default:
        rig_poll(0, 4);
        break;
    }
}
static void hand_over_after(void)
{
    CHECK(rig->sums[0] == 0 + 1 + 2 + 3);
    rig_end();
}
static const scenario_t hand_over = {
    .name = "hand-over",
    .what = "the producer of a single-producer ring closes, another one opens",
    .threads = 3,
    .runs = 10000,
    .before = hand_over_before,
    .thread = hand_over_thread,
    .after = hand_over_after,
};

/* A producer leaves a claim behind: it is voided, and who slept on it goes on. */
static void leave_claim_before(void)
{
    rig_make(&(rig_options_t){
        .mode = DX_RING_MULTI, .slot_count = 4, .producers = 2, .full = DX_FULL_FAIL});
    rig_consumer(0, 0, WAIT);
}
static void leave_claim_thread(int index)
{
    switch (index) {
    case 0:
        CHECK(rig_claim(0) >= 0);
        dx_producer_close(&rig->producers[0]);
        break;
    case 1:
        rig_publish(1, 1);
        break;
    default:
        rig_wait(0, 1);
        break;
    }
}
static const scenario_t leave_claim = {
    .name = "leave-claim",
    .what = "a producer closes with a claim that it has not published",
    .threads = 3,
    .runs = 15000,
    .before = leave_claim_before,
    .thread = leave_claim_thread,
    .after = end,
};

/* ------------------------------------------------------------------------------------ workers */

#define EVENTS 3

static dx_disruptor_t *disruptor;
static int64_t *handled; /* how often each event was handled, by its sequence */

/* Whoever handles the last event sends both home. */
static int work(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    (void)context;
    (void)end_of_batch;
    CHECK(*(int64_t *)event == sequence);
    *(int64_t *)event = 100 + sequence;
    handled[sequence]++;
    if (sequence == EVENTS - 1) {
        dxi_consumer_control(dx_disruptor_ring(disruptor), 1, DXI_CONTROL_HALT);
        dxi_consumer_control(dx_disruptor_ring(disruptor), 2, DXI_CONTROL_HALT);
    }
    return DX_HANDLER_CONTINUE;
}
/* Who handles event 1 stops: all that follow are the other one's. */
static int work_alone(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    const int result = work(context, event, sequence, end_of_batch);
    return sequence == 1 ? DX_HANDLER_STOP : result;
}
static int work_once(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    (void)context;
    (void)event;
    (void)end_of_batch;
    handled[sequence]++;
    return DX_HANDLER_STOP;
}

/* The pool is consumer 0, its workers are 1 and 2; they run in the threads of the scenario. */
static void pool_make(dx_ring_mode_t mode, uint32_t slot_count, dx_wait_kind_t wait,
                      dx_event_handler_t on_event)
{
    handled = machine_alloc(EVENTS * sizeof(*handled));
    const dx_disruptor_options_t options = {.ring = {.slot_count = slot_count,
                                                     .event_bytes = sizeof(int64_t),
                                                     .mode = mode,
                                                     .consumers_max = 4,
                                                     .producers_max = 2}};
    CHECK(dx_disruptor_create(&options, &disruptor, NULL) == DX_OK);
    const dx_handler_t workers[2] = {{.on_event = on_event, .wait = {.kind = wait}},
                                     {.on_event = on_event, .wait = {.kind = wait}}};
    const dx_pool_t pool = {.workers = workers, .worker_count = 2, .claim_max = 1};
    CHECK(dx_disruptor_handle_events_with_pool(disruptor, &pool, NULL, NULL) == DX_OK);
    rig = machine_alloc(sizeof(*rig));
    rig->ring = dx_disruptor_ring(disruptor);
    CHECK(dx_producer_open(&rig->producers[0], rig->ring,
                           &(dx_producer_options_t){.full = DX_FULL_FAIL}, NULL) == DX_OK);
}
static void worker_run(int number)
{
    dxi_processor_t *worker = disruptor->processors[1 + number];
    const dxi_end_t ended = dxi_worker_loop(worker);
    CHECK(ended == DXI_END_HALT || ended == DXI_END_STOP);
    if (ended == DXI_END_STOP) { /* as dxi_processor_main() */
        dx_store32_release(&worker->consumer.entry->state, DX_CONSUMER_STOPPED);
        dxi_pool_check(worker->pool);
    }
}

static void workers_before(void)
{
    pool_make(DX_RING_SINGLE, 2, WAIT, work);
}
static void workers_multi_before(void)
{
    pool_make(DX_RING_MULTI, 2, WAIT, work);
}
static void workers_thread(int index)
{
    if (index == 0) {
        rig_publish(0, EVENTS);
    } else {
        worker_run(index - 1);
    }
}
static void workers_after(void)
{
    for (int i = 0; i < EVENTS; i++) {
        CHECK(handled[i] == 1);
    }
    CHECK(dx_ring_consumed(rig->ring) == EVENTS - 1);
}
static const scenario_t workers = {
    .name = "workers",
    .what = "each event goes to exactly one of two workers",
    .threads = 3,
    .runs = 12000,
    .before = workers_before,
    .thread = workers_thread,
    .after = workers_after,
};
static const scenario_t workers_multi = {
    .name = "workers-multi",
    .what = "the same on a multi-producer ring",
    .threads = 3,
    .runs = 12000,
    .before = workers_multi_before,
    .thread = workers_thread,
    .after = workers_after,
};

/* A worker that has waited since the first event finds a later one in its slot. */
static void workers_lap_before(void)
{
    pool_make(DX_RING_MULTI, 2, WAIT, work_alone);
}
static const scenario_t workers_lap = {
    .name = "workers-lap",
    .what = "a worker goes on alone, and may have waited for longer than a lap",
    .threads = 3,
    .runs = 15000,
    .before = workers_lap_before,
    .thread = workers_thread,
    .after = workers_after,
};

/* A consumer behind the pool sees an event when its worker is done with it, and sleeps until then,
 * first on the pool's word, then on the worker's. */
static void workers_behind_before(void)
{
    pool_make(DX_RING_SINGLE, 4, WAIT, work);
    rig_consumer(0, 1, WAIT);
    rig_publish(0, EVENTS);
}
static void workers_behind_thread(int index)
{
    if (index > 0) {
        worker_run(index - 1);
        return;
    }
    dx_consumer_t *consumer = &rig->consumers[0];
    while (consumer->next < EVENTS) {
        const int64_t last = dx_consumer_wait(consumer);
        CHECK(last >= consumer->next);
        for (int64_t sequence = consumer->next; sequence <= last; sequence++) {
            CHECK(*DX_CONSUMER_EVENT(consumer, sequence, int64_t) == 100 + sequence);
        }
        dx_consumer_release(consumer, last);
    }
}
static const scenario_t workers_behind = {
    .name = "workers-behind",
    .what = "a consumer behind two workers sleeps until they are done",
    .threads = 3,
    .runs = 15000,
    .before = workers_behind_before,
    .thread = workers_behind_thread,
    .after = workers_after,
};

static const scenario_t workers_behind_fenced = {
    .name = "workers-behind-fenced",
    .what = "the same without membarrier()",
    .threads = 3,
    .without_membarrier = true,
    .runs = 15000,
    .before = workers_behind_before,
    .thread = workers_behind_thread,
    .after = workers_after,
};

/* One worker takes over from another what that has claimed and not handled. Who reads the words of
 * both at that moment must not see the one before it announced, and the other after it let go. */
static void workers_take_over_before(void)
{
    pool_make(DX_RING_SINGLE, 4, WAIT, work);
    rig_consumer(0, 1, WAIT);
    rig_publish(0, EVENTS);
    dx_consumer_entry_t *entries = dxi_block_consumers(dx_ring_block(rig->ring));
    dxi_processor_t *from = disruptor->processors[2];
    dx_store_relaxed(&entries[0].sequence, EVENTS - 1); /* it has claimed all and handled one */
    dx_store_relaxed(&entries[2].sequence, 0);
    from->pending_first = 1;
    from->pending_last = EVENTS - 1;
}
static void workers_take_over_thread(int index)
{
    if (index == 0) {
        dxi_worker_hand_over(disruptor->processors[2], disruptor->processors[1]);
    } else {
        for (int i = 0; i < 4; i++) {
            CHECK(dx_consumer_poll(&rig->consumers[0]) == 0);
        }
    }
}
static void workers_take_over_after(void)
{
    CHECK(disruptor->processors[1]->pending_first == 1);
    CHECK(dx_consumer_poll(&rig->consumers[0]) == 0);
}
static const scenario_t workers_take_over = {
    .name = "workers-take-over",
    .what = "who reads while a worker takes over from another sees the rest held",
    .threads = 2,
    .runs = 10000,
    .bound = 2,
    .bound_runs = 12000,
    .before = workers_take_over_before,
    .thread = workers_take_over_thread,
    .after = workers_take_over_after,
};

/* With the last worker the pool has ended, and who follows it is told. */
static void workers_end_before(void)
{
    pool_make(DX_RING_SINGLE, 4, WAIT, work_once);
    rig_consumer(0, 1, WAIT);
    rig_publish(0, 2);
}
static void workers_end_thread(int index)
{
    if (index > 0) {
        worker_run(index - 1);
        return;
    }
    dx_consumer_t *consumer = &rig->consumers[0];
    int64_t last = dx_consumer_wait(consumer);
    while (last >= 0) {
        dx_consumer_release(consumer, last);
        last = dx_consumer_wait(consumer);
    }
    CHECK(last == DX_ECONSUMER);
    CHECK(consumer->next == 2); /* each of them had handled an event */
}
static void workers_end_after(void)
{
    CHECK(handled[0] + handled[1] >= 1);
}
static const scenario_t workers_end = {
    .name = "workers-end",
    .what = "when both workers have stopped, the consumer behind them is told",
    .threads = 3,
    .runs = 12000,
    .before = workers_end_before,
    .thread = workers_end_thread,
    .after = workers_end_after,
};

const scenario_t *const scenarios[] = {
    &leave,
    &middle,
    &middle_poll,
    &middle_token,
    &follow,
    &hand_over,
    &leave_claim,
    &workers,
    &workers_multi,
    &workers_lap,
    &workers_behind,
    &workers_behind_fenced,
    &workers_take_over,
    &workers_end,
    NULL,
};
