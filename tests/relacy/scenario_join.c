/* scenario_join.c - a consumer joins while events flow, in a free entry or in that of one who left:
 * nobody passes it, and it misses nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "rig.h"

#define WAIT DX_WAIT_BLOCKING

static void end(void)
{
    rig_end();
}

/* ------------------------------------------------------------------------------ in a free entry */

/* The producer runs freely until somebody joins, and must then not pass him: a slot that is
 * overwritten while he reads it is a race, and one of another lap has another value. */
static void join_before(void)
{
    rig_make(&(rig_options_t){.slot_count = 2, .producers = 1, .full = DX_FULL_FAIL});
}
static void join_multi_before(void)
{
    rig_make(&(rig_options_t){
        .mode = DX_RING_MULTI, .slot_count = 2, .producers = 2, .full = DX_FULL_FAIL});
}
static void join_thread(int index)
{
    if (index == 0) {
        machine_delay(150);
        rig_publish(0, 5);
    } else {
        rig_consumer(0, 0, WAIT);
        rig_poll_through(0, 4);
    }
}
static void join_multi_thread(int index)
{
    if (index < 2) {
        machine_delay(300);
        rig_publish(index, 2);
    } else {
        rig_consumer(0, 0, WAIT);
        rig_poll_through(0, 3);
    }
}
static const scenario_t join_running = {
    .name = "join",
    .what = "a consumer joins while a producer runs",
    .threads = 2,
    .runs = 10000,
    .bound = 2,
    .bound_runs = 20000,
    .before = join_before,
    .thread = join_thread,
    .after = end,
};
static const scenario_t join_fenced = {
    .name = "join-fenced",
    .what = "the same without membarrier()",
    .threads = 2,
    .without_membarrier = true,
    .runs = 10000,
    .bound = 2,
    .bound_runs = 20000,
    .before = join_before,
    .thread = join_thread,
    .after = end,
};
static const scenario_t join_multi = {
    .name = "join-multi",
    .what = "a consumer joins while two producers run",
    .threads = 3,
    .runs = 10000,
    .before = join_multi_before,
    .thread = join_multi_thread,
    .after = end,
};

static const scenario_t join_multi_fenced = {
    .name = "join-multi-fenced",
    .what = "the same without membarrier()",
    .threads = 3,
    .without_membarrier = true,
    .runs = 20000,
    .before = join_multi_before,
    .thread = join_multi_thread,
    .after = end,
};

/* It joins in an entry that was a worker's, whose word says IDLE: nobody may take that for its own,
 * and everything for consumed. */
static void join_idle_before(void)
{
    rig_make(&(rig_options_t){.slot_count = 2, .producers = 1, .full = DX_FULL_FAIL});
    dx_store_relaxed(&dxi_block_consumers(dx_ring_block(rig->ring))[0].sequence, DX_SEQUENCE_IDLE);
}
static void join_idle_thread(int index)
{
    if (index == 0) {
        rig_consumer(0, 0, WAIT);
    } else {
        for (int i = 0; i < 4; i++) {
            machine_delay(50);
            CHECK(dxi_gating_minimum(dx_ring_block(rig->ring)) == -1);
        }
    }
}
static const scenario_t join_idle = {
    .name = "join-idle",
    .what = "a consumer joins in the entry of a worker that has left",
    .threads = 2,
    .runs = 10000,
    .before = join_idle_before,
    .thread = join_idle_thread,
    .after = end,
};

/* A producer computes its limit; meanwhile somebody joins, and another producer, which knows
 * nothing of that either, publishes: the limit must not be built on what the joiner has not seen.
 *
 *     0 computes the limit    1 publishes    2 joins
 */
static int late_stage;
static void join_late_before(void)
{
    late_stage = 0;
    rig_make(&(rig_options_t){
        .mode = DX_RING_MULTI, .slot_count = 2, .producers = 2, .full = DX_FULL_FAIL});
}
static void join_late_point(int thread, const char *name)
{
    if (thread == 0 && strcmp(name, "gating:mask-read") == 0) {
        late_stage = late_stage < 1 ? 1 : late_stage;
        machine_await(&late_stage, 3);
    }
}
static void join_late_thread(int index)
{
    static const int begins[] = {0, 2, 1};
    machine_await(&late_stage, begins[index]);
    if (index == 0) {
        const int64_t sequence = dx_producer_try_claim_n(&rig->producers[0], 1);
        if (sequence >= 0) {
            *DX_PRODUCER_EVENT(&rig->producers[0], sequence, int64_t) = sequence;
            CHECK(dx_producer_publish(&rig->producers[0], sequence) == DX_OK);
        }
    } else if (index == 1) {
        const int64_t last = dx_producer_claim_n(&rig->producers[1], 2);
        if (last >= 0) {
            *DX_PRODUCER_EVENT(&rig->producers[1], last - 1, int64_t) = last - 1;
            *DX_PRODUCER_EVENT(&rig->producers[1], last, int64_t) = last;
            CHECK(dx_producer_publish_range(&rig->producers[1], last - 1, last) == DX_OK);
        }
        late_stage = 3;
    } else {
        rig_consumer(0, 0, WAIT);
        late_stage = 2;
        machine_await(&late_stage, 3);
        const int64_t last = dx_consumer_poll(&rig->consumers[0]);
        if (last >= 0) {
            rig_take(0, last);
        }
    }
}
static const scenario_t join_late = {
    .name = "join-late",
    .what = "a consumer joins, and another producer publishes, while a producer looks for room",
    .threads = 3,
    .runs = 10000,
    .before = join_late_before,
    .thread = join_late_thread,
    .after = end,
    .point = join_late_point,
};
static const scenario_t join_late_fenced = {
    .name = "join-late-fenced",
    .what = "the same without membarrier()",
    .threads = 3,
    .without_membarrier = true,
    .runs = 10000,
    .before = join_late_before,
    .thread = join_late_thread,
    .after = end,
    .point = join_late_point,
};

/* A second consumer joins beside, or behind, one that runs. */
static void join_beside_before(void)
{
    rig_make(&(rig_options_t){.slot_count = 2, .producers = 1, .full = DX_FULL_FAIL});
    rig_consumer(0, 0, WAIT);
}
static void join_beside_thread(int index)
{
    switch (index) {
    case 0:
        machine_delay(200);
        rig_publish(0, 4);
        break;
    case 1:
        rig_poll_through(0, 3);
        break;
    default:
        rig_consumer(1, 0, WAIT);
        rig_poll_through(1, 3);
        break;
    }
}
static void join_behind_thread(int index)
{
    switch (index) {
    case 0:
        machine_delay(200);
        rig_publish(0, 4);
        break;
    case 1:
        rig_poll_through(0, 3);
        break;
    default:
        rig_consumer(1, 1, WAIT);
        rig_poll_through(1, 3);
        break;
    }
}
static const scenario_t join_beside = {
    .name = "join-beside",
    .what = "a consumer joins beside one that runs",
    .threads = 3,
    .runs = 15000,
    .before = join_beside_before,
    .thread = join_beside_thread,
    .after = end,
};
static const scenario_t join_behind = {
    .name = "join-behind",
    .what = "a consumer joins behind one that runs",
    .threads = 3,
    .runs = 15000,
    .before = join_beside_before,
    .thread = join_behind_thread,
    .after = end,
};

/* The producer sleeps because of somebody who joins far back and then takes his place. */
static void join_full_before(void)
{
    rig_make(&(rig_options_t){.slot_count = 2, .producers = 1, .wait = WAIT, .full = DX_FULL_WAIT});
    rig_consumer(0, 0, WAIT);
}
static void join_full_thread(int index)
{
    switch (index) {
    case 0:
        rig_publish(0, 3);
        break;
    case 1:
        rig_wait(0, 3);
        break;
    default:
        rig_consumer(1, 0, WAIT);
        while (rig->consumers[1].next <= 2) {
            const int64_t last = dx_consumer_wait(&rig->consumers[1]);
            CHECK(last >= rig->consumers[1].next);
            rig_take(1, last);
        }
        break;
    }
}
static const scenario_t join_full = {
    .name = "join-full",
    .what = "a consumer joins while the producer sleeps on a full ring",
    .threads = 3,
    .runs = 15000,
    .before = join_full_before,
    .thread = join_full_thread,
    .after = end,
};

/* The joiner stands far back for a moment, and is the only one that holds the producer; what it
 * does last is to wake it.
 *
 *     0 the producer    1 a consumer (0)    2 who joins (1)
 */
static int full_stage;
static void join_full_late_before(void)
{
    full_stage = 0;
    join_full_before();
    rig_publish(0, 2);
}
static void join_full_late_point(int thread, const char *name)
{
    if (thread == 2 && strcmp(name, "open:before-start") == 0) {
        full_stage = 1;
        machine_await(&full_stage, 3);
    } else if (thread == 0 && strcmp(name, "park-producer:before-epoch") == 0) {
        full_stage = full_stage < 3 ? 3 : full_stage;
        machine_await(&full_stage, 4);
    }
}
static void join_full_late_thread(int index)
{
    static const int begins[] = {2, 1, 0};
    machine_await(&full_stage, begins[index]);
    if (index == 0) {
        CHECK(dx_producer_claim(&rig->producers[0]) == 2);
    } else if (index == 1) {
        rig_take(0, 1);
        full_stage = 2;
    } else {
        rig_consumer(1, 0, WAIT);
        full_stage = 4;
    }
}
static const scenario_t join_full_late = {
    .name = "join-full-late",
    .what = "a producer goes to sleep because of a consumer that has just found its place",
    .threads = 3,
    .runs = 10000,
    .before = join_full_late_before,
    .thread = join_full_late_thread,
    .after = end,
    .point = join_full_late_point,
};

/* ------------------------------------------------------------------ in the entry of another one */

/* One leaves, and another joins in its entry of the table. */
static void swap_before(void)
{
    rig_make(&(rig_options_t){.slot_count = 2, .producers = 1, .full = DX_FULL_FAIL});
    rig_consumer(0, 0, WAIT);
}
static void swap_thread(int index)
{
    if (index == 0) {
        machine_delay(200);
        rig_publish(0, 5);
    } else {
        dx_consumer_close(&rig->consumers[0]);
        rig_consumer(1, 0, WAIT);
        CHECK(rig->consumers[1].index == 0);
        rig_poll_through(1, 4);
    }
}
static const scenario_t swap = {
    .name = "swap",
    .what = "a consumer leaves and another joins in its entry",
    .threads = 2,
    .runs = 10000,
    .bound = 2,
    .bound_runs = 20000,
    .before = swap_before,
    .thread = swap_thread,
    .after = end,
};

/* The same while the producer computes its limit by a mask of before: it finds the place of who
 * joined in the word of who left, and has seen nothing of the consumer that this place stands for.
 *
 *     0 the producer    1 a consumer (0)    2 who leaves (1, behind 0)    3 who joins (1 again)
 */
static int swap_stage;
static void swap_stale_before(void)
{
    swap_stage = 0;
    rig_make(&(rig_options_t){.slot_count = 2, .producers = 1, .full = DX_FULL_FAIL});
    rig_consumer(0, 0, WAIT);
    rig_consumer(1, 1, WAIT);
    rig_publish(0, 2);
}
static void swap_stale_point(int thread, const char *name)
{
    if (thread == 0 && strcmp(name, "gating:mask-read") == 0) {
        swap_stage = swap_stage < 2 ? 2 : swap_stage;
        machine_await(&swap_stage, 4);
    } else if (thread == 2 && strcmp(name, "leave:before-wake") == 0) {
        swap_stage = 3; /* it has left, and the heavy fence is still to come */
        machine_await(&swap_stage, 5);
    } else if (thread == 3 && strcmp(name, "open:before-fence") == 0) {
        swap_stage = 4;
        machine_await(&swap_stage, 5);
    }
}
static void swap_stale_thread(int index)
{
    static const int begins[] = {1, 0, 2, 3};
    machine_await(&swap_stage, begins[index]);
    switch (index) {
    case 0: {
        const int64_t sequence = dx_producer_claim(&rig->producers[0]);
        if (sequence >= 0) {
            *DX_PRODUCER_EVENT(&rig->producers[0], sequence, int64_t) = sequence;
        }
        swap_stage = 5;
        break;
    }
    case 1:
        rig_take(0, 0);
        swap_stage = 1;
        break;
    case 2:
        dx_consumer_close(&rig->consumers[1]);
        break;
    default:
        rig_consumer(2, 0, WAIT);
        break;
    }
}
static const scenario_t swap_stale = {
    .name = "swap-stale",
    .what = "the same while the producer still goes by who left",
    .threads = 4,
    .runs = 10000,
    .before = swap_stale_before,
    .thread = swap_stale_thread,
    .after = end,
    .point = swap_stale_point,
};

const scenario_t *const scenarios[] = {
    &join_running,   &join_fenced,
    &join_multi,     &join_multi_fenced,
    &join_late,      &join_late_fenced,
    &join_idle,      &join_beside,
    &join_behind,    &join_full,
    &join_full_late, &swap,
    &swap_stale,     NULL,
};
