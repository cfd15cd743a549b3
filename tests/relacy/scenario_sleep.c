/* scenario_sleep.c - nobody sleeps for ever: each thing that one can wait for, against each step of
 * who goes to sleep. A lost wake-up leaves every thread asleep, which the machine reports. The
 * names with `fenced` run without membarrier().
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "rig.h"

#define WAIT DX_WAIT_BLOCKING

static void end(void)
{
    rig_end();
}

/* ------------------------------------------------------------- a consumer, on the publication */

static void cursor_before(void)
{
    rig_make(&(rig_options_t){.slot_count = 4, .producers = 1, .full = DX_FULL_FAIL});
    rig_consumer(0, 0, WAIT);
}
static void cursor_thread(int index)
{
    if (index == 0) {
        rig_publish(0, 2);
    } else {
        rig_wait(0, 2);
    }
}
static const scenario_t cursor = {
    .name = "sleep-cursor",
    .what = "a consumer sleeps until a single producer publishes",
    .threads = 2,
    .spurious = true,
    .runs = 10000,
    .bound = 3,
    .bound_runs = 12000,
    .before = cursor_before,
    .thread = cursor_thread,
    .after = end,
};
static const scenario_t cursor_fenced = {
    .name = "sleep-cursor-fenced",
    .what = "the same without membarrier()",
    .threads = 2,
    .without_membarrier = true,
    .runs = 10000,
    .bound = 2,
    .bound_runs = 12000,
    .before = cursor_before,
    .thread = cursor_thread,
    .after = end,
};

static void hole_before(void)
{
    rig_make(&(rig_options_t){
        .mode = DX_RING_MULTI, .slot_count = 4, .producers = 2, .full = DX_FULL_FAIL});
    rig_consumer(0, 0, WAIT);
}
static void hole_thread(int index)
{
    if (index < 2) {
        rig_publish(index, 2);
    } else {
        rig_wait(0, 4);
    }
}
static const scenario_t hole = {
    .name = "sleep-hole",
    .what = "a consumer sleeps on a claim that is not yet published, among others that are",
    .threads = 3,
    .spurious = true,
    .runs = 12000,
    .before = hole_before,
    .thread = hole_thread,
    .after = end,
};
static const scenario_t hole_fenced = {
    .name = "sleep-hole-fenced",
    .what = "the same without membarrier()",
    .threads = 3,
    .without_membarrier = true,
    .runs = 10000,
    .before = hole_before,
    .thread = hole_thread,
    .after = end,
};

static void two_before(void)
{
    rig_make(&(rig_options_t){.slot_count = 2, .producers = 1, .full = DX_FULL_FAIL});
    rig_consumer(0, 0, WAIT);
    rig_consumer(1, 0, WAIT);
}
static void two_thread(int index)
{
    if (index == 0) {
        rig_publish(0, 2);
    } else {
        rig_wait(index - 1, 2);
    }
}
static const scenario_t two = {
    .name = "sleep-two",
    .what = "two consumers sleep until the same event is published",
    .threads = 3,
    .runs = 10000,
    .before = two_before,
    .thread = two_thread,
    .after = end,
};

/* A wait that may end by itself, then a second one. */
static void timed_before(void)
{
    rig_make(&(rig_options_t){.slot_count = 4, .producers = 1, .full = DX_FULL_FAIL});
    const dx_consumer_options_t options = {
        .wait = {.kind = DX_WAIT_TIMEOUT_BLOCKING, .timeout_ns = 1000000}};
    CHECK(dx_consumer_open(&rig->consumers[0], rig->ring, &options, NULL) == DX_OK);
}
static void timed_thread(int index)
{
    dx_consumer_t *consumer = &rig->consumers[0];
    if (index == 0) {
        rig_publish(0, 2);
        return;
    }
    const int64_t last = dx_consumer_wait(consumer);
    CHECK(last >= consumer->next || last == DX_ETIMEDOUT);
    if (last >= 0) {
        rig_take(0, last);
    }
    consumer->wait.kind = WAIT; /* and now for as long as it takes */
    consumer->wait.timeout_ns = 0;
    rig_wait(0, 2);
}
static const scenario_t timed = {
    .name = "sleep-timed",
    .what = "after a wait that timed out the next one is woken",
    .threads = 2,
    .runs = 12000,
    .bound = 2,
    .bound_runs = 20000,
    .before = timed_before,
    .thread = timed_thread,
    .after = end,
};

/* ---------------------------------------------------------------- a consumer, on another one */

static void upstream_before(void)
{
    rig_make(&(rig_options_t){.slot_count = 2, .producers = 1, .full = DX_FULL_FAIL});
    rig_consumer(0, 0, WAIT);
    rig_consumer(1, 1, WAIT);
}
static void upstream_thread(int index)
{
    if (index == 0) {
        rig_publish(0, 2);
    } else {
        rig_wait(index - 1, 2);
    }
}
static const scenario_t upstream = {
    .name = "sleep-upstream",
    .what = "a consumer sleeps until the one before it is done",
    .threads = 3,
    .spurious = true,
    .runs = 12000,
    .before = upstream_before,
    .thread = upstream_thread,
    .after = end,
};
static const scenario_t upstream_fenced = {
    .name = "sleep-upstream-fenced",
    .what = "the same without membarrier()",
    .threads = 3,
    .without_membarrier = true,
    .runs = 10000,
    .before = upstream_before,
    .thread = upstream_thread,
    .after = end,
};

static void branches_before(void)
{
    rig_make(&(rig_options_t){.slot_count = 2, .producers = 1, .full = DX_FULL_FAIL});
    rig_consumer(0, 0, WAIT);
    rig_consumer(1, 0, WAIT);
    rig_consumer(2, 3, WAIT);
    rig_publish(0, 2);
}
static void branches_thread(int index)
{
    if (index < 2) {
        rig_take(index, 0);
        rig_take(index, 1);
    } else {
        rig_wait(2, 2);
    }
}
static const scenario_t branches = {
    .name = "sleep-branches",
    .what = "a consumer sleeps until both of those before it are done",
    .threads = 3,
    .runs = 12000,
    .bound = 2,
    .bound_runs = 12000,
    .before = branches_before,
    .thread = branches_thread,
    .after = end,
};

/* ---------------------------------------------------------------- a producer, on a full ring */

static void full_before(void)
{
    rig_make(&(rig_options_t){.slot_count = 2, .producers = 1, .wait = WAIT, .full = DX_FULL_WAIT});
    rig_consumer(0, 0, WAIT);
}
static void full_thread(int index)
{
    if (index == 0) {
        rig_publish(0, 4);
    } else {
        rig_wait(0, 4);
    }
}
static const scenario_t full = {
    .name = "sleep-full",
    .what = "a producer sleeps on a full ring, its consumer on an empty one",
    .threads = 2,
    .spurious = true,
    .runs = 12000,
    .bound = 2,
    .bound_runs = 12000,
    .before = full_before,
    .thread = full_thread,
    .after = end,
};
static const scenario_t full_fenced = {
    .name = "sleep-full-fenced",
    .what = "the same without membarrier()",
    .threads = 2,
    .without_membarrier = true,
    .runs = 12000,
    .before = full_before,
    .thread = full_thread,
    .after = end,
};

static void full_multi_before(void)
{
    rig_make(&(rig_options_t){.mode = DX_RING_MULTI,
                              .slot_count = 2,
                              .producers = 2,
                              .wait = WAIT,
                              .full = DX_FULL_WAIT});
    rig_consumer(0, 0, WAIT);
}
static void full_multi_thread(int index)
{
    if (index < 2) {
        rig_publish(index, 2);
    } else {
        rig_wait(0, 4);
    }
}
static const scenario_t full_multi = {
    .name = "sleep-full-multi",
    .what = "two producers sleep on a full ring",
    .threads = 3,
    .runs = 12000,
    .before = full_multi_before,
    .thread = full_multi_thread,
    .after = end,
};

/* Without a consumer the oldest claim is what holds the others back. */
static void alone_before(void)
{
    rig_make(&(rig_options_t){.mode = DX_RING_MULTI,
                              .slot_count = 2,
                              .producers = 2,
                              .wait = WAIT,
                              .full = DX_FULL_WAIT});
}
static void alone_thread(int index)
{
    rig_publish(index, 2);
}
static void alone_after(void)
{
    CHECK(dx_ring_published(rig->ring) == 3);
    rig_end();
}
static const scenario_t alone = {
    .name = "sleep-alone",
    .what = "without a consumer a producer sleeps until the oldest claim is published",
    .threads = 2,
    .runs = 12000,
    .bound = 2,
    .bound_runs = 12000,
    .before = alone_before,
    .thread = alone_thread,
    .after = alone_after,
};
static const scenario_t alone_fenced = {
    .name = "sleep-alone-fenced",
    .what = "the same without membarrier()",
    .threads = 2,
    .without_membarrier = true,
    .runs = 10000,
    .before = alone_before,
    .thread = alone_thread,
    .after = alone_after,
};

/* The consumer gives back what the sleeping producer needs by a later release only. */
static void full_batch_before(void)
{
    rig_make(&(rig_options_t){.slot_count = 2, .producers = 1, .wait = WAIT, .full = DX_FULL_WAIT});
    rig_consumer(0, 0, WAIT);
    rig_publish(0, 2);
}
static void full_batch_thread(int index)
{
    if (index == 0) {
        const int64_t last = dx_producer_claim_n(&rig->producers[0], 2);
        CHECK(last == 3);
    } else {
        rig_take(0, 0);
        rig_take(0, 1);
    }
}
static const scenario_t full_batch = {
    .name = "sleep-full-batch",
    .what = "a producer sleeps until two releases have made room for its batch",
    .threads = 2,
    .runs = 10000,
    .bound = 3,
    .bound_runs = 12000,
    .before = full_batch_before,
    .thread = full_batch_thread,
    .after = end,
};

/* --------------------------------------------------------------------- what else ends a sleep */

static void control_before(void)
{
    rig_make(&(rig_options_t){.slot_count = 2, .producers = 1, .full = DX_FULL_FAIL});
    rig_consumer(0, 0, WAIT);
}
static void halt_thread(int index)
{
    if (index == 0) {
        dxi_consumer_control(rig->ring, 0, DXI_CONTROL_HALT);
    } else {
        CHECK(dx_consumer_wait(&rig->consumers[0]) == DX_EALERTED);
    }
}
static void cancel_thread(int index)
{
    if (index == 0) {
        dx_consumer_cancel(&rig->consumers[0]);
        rig_publish(0, 1);
    } else {
        const int64_t first = dx_consumer_wait(&rig->consumers[0]);
        CHECK(first == DX_ECANCELLED || first == 0);
        if (first == DX_ECANCELLED) {
            CHECK(dx_consumer_wait(&rig->consumers[0]) == 0);
        }
    }
}
static const scenario_t halt = {
    .name = "sleep-halt",
    .what = "a halt ends the sleep of a consumer",
    .threads = 2,
    .runs = 10000,
    .bound = 4,
    .bound_runs = 12000,
    .before = control_before,
    .thread = halt_thread,
    .after = end,
};
/* The consumer has been woken and takes its token back at the moment of the halt: the one of the
 * halt goes with it, and it must learn of that before it sleeps again.
 *
 *     0 publishes, then halts    1 the consumer
 */
static int token_stage;
static void token_before(void)
{
    token_stage = 0;
    control_before();
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
        rig_publish(0, 1);
        machine_await(&token_stage, 1);
        dxi_consumer_control(rig->ring, 0, DXI_CONTROL_HALT);
        token_stage = 2;
    } else {
        int64_t last = dx_consumer_wait(&rig->consumers[0]);
        while (last >= 0) {
            rig_take(0, last);
            last = dx_consumer_wait(&rig->consumers[0]);
        }
        CHECK(last == DX_EALERTED);
    }
}
static const scenario_t token = {
    .name = "sleep-token",
    .what = "a halt whose token is lost ends the next sleep",
    .threads = 2,
    .runs = 10000,
    .before = token_before,
    .thread = token_thread,
    .after = end,
    .point = token_point,
};

static const scenario_t halt_fenced = {
    .name = "sleep-halt-fenced",
    .what = "the same without membarrier()",
    .threads = 2,
    .without_membarrier = true,
    .runs = 10000,
    .before = control_before,
    .thread = halt_thread,
    .after = end,
};
static const scenario_t cancel = {
    .name = "sleep-cancel",
    .what = "a cancel ends the sleep of a consumer once, and a publication the next one",
    .threads = 2,
    .runs = 12000,
    .bound = 2,
    .bound_runs = 12000,
    .before = control_before,
    .thread = cancel_thread,
    .after = end,
};

/* SLEEPING naps without naming a sequence: only the control word, or the time, ends a nap. */
static void nap_before(void)
{
    rig_make(&(rig_options_t){.slot_count = 2, .producers = 1, .full = DX_FULL_FAIL});
    rig_consumer(0, 0, WAIT);
}
static void nap_thread(int index)
{
    dx_consumer_entry_t *entry = rig->consumers[0].entry;
    if (index == 0) {
        dxi_consumer_control(rig->ring, 0, DXI_CONTROL_HALT);
        return;
    }
    while ((dx_load32_acquire(&entry->control) & DXI_CONTROL_HALT) == 0) {
        dxi_park_pause(entry, -1, false);
    }
}
static const scenario_t nap = {
    .name = "sleep-nap",
    .what = "a halt ends a nap",
    .threads = 2,
    .runs = 10000,
    .bound = 4,
    .bound_runs = 12000,
    .before = nap_before,
    .thread = nap_thread,
    .after = end,
};

static void blocked_before(void)
{
    rig_make(&(rig_options_t){.slot_count = 2, .producers = 1, .wait = WAIT, .full = DX_FULL_WAIT});
    rig_consumer(0, 0, WAIT);
    rig_publish(0, 2);
}
static void close_thread(int index)
{
    if (index == 0) {
        dx_ring_close(rig->ring);
    } else {
        CHECK(dx_producer_claim(&rig->producers[0]) == DX_ECLOSED);
    }
}
static void cancel_producer_thread(int index)
{
    if (index == 0) {
        dx_producer_cancel(&rig->producers[0]);
    } else {
        CHECK(dx_producer_claim(&rig->producers[0]) == DX_ECANCELLED);
    }
}
static void fail_thread(int index)
{
    if (index == 0) {
        dx_consumer_fail(&rig->consumers[0], DX_EFATAL);
    } else {
        CHECK(dx_producer_claim(&rig->producers[0]) == DX_ECONSUMER);
    }
}
static const scenario_t close_blocked = {
    .name = "sleep-close",
    .what = "closing the ring ends the sleep of a producer",
    .threads = 2,
    .runs = 10000,
    .bound = 4,
    .bound_runs = 12000,
    .before = blocked_before,
    .thread = close_thread,
    .after = end,
};
static const scenario_t cancel_blocked = {
    .name = "sleep-cancel-producer",
    .what = "a cancel ends the sleep of a producer",
    .threads = 2,
    .runs = 10000,
    .bound = 4,
    .bound_runs = 12000,
    .before = blocked_before,
    .thread = cancel_producer_thread,
    .after = end,
};
static const scenario_t fail_blocked = {
    .name = "sleep-fail-producer",
    .what = "the failure of its consumer ends the sleep of a producer",
    .threads = 2,
    .runs = 10000,
    .bound = 4,
    .bound_runs = 12000,
    .before = blocked_before,
    .thread = fail_thread,
    .after = end,
};

static void fail_behind_before(void)
{
    rig_make(&(rig_options_t){.slot_count = 2, .producers = 1, .full = DX_FULL_FAIL});
    rig_consumer(0, 0, WAIT);
    rig_consumer(1, 1, WAIT);
    rig_consumer(2, 2, WAIT);
}
/* Consumer 0 fails before it has done anything; 2 sleeps on 1, which will never move either. */
static void fail_behind_thread(int index)
{
    if (index == 0) {
        dx_consumer_fail(&rig->consumers[0], DX_EFATAL);
    } else {
        CHECK(dx_consumer_wait(&rig->consumers[index]) == DX_ECONSUMER);
    }
}
static const scenario_t fail_behind = {
    .name = "sleep-fail-behind",
    .what = "a failure ends the sleep of those behind, at any distance",
    .threads = 3,
    .runs = 10000,
    .bound = 2,
    .bound_runs = 12000,
    .before = fail_behind_before,
    .thread = fail_behind_thread,
    .after = end,
};

/* What it had finished before it failed reaches those behind all the same. */
static void fail_after_before(void)
{
    rig_make(&(rig_options_t){.slot_count = 2, .producers = 1, .full = DX_FULL_FAIL});
    rig_consumer(0, 0, WAIT);
    rig_consumer(1, 1, WAIT);
    rig_publish(0, 1);
}
static void fail_after_thread(int index)
{
    if (index == 0) {
        rig_take(0, 0);
        dx_consumer_fail(&rig->consumers[0], DX_EFATAL);
    } else {
        CHECK(dx_consumer_wait(&rig->consumers[1]) == 0);
        rig_take(1, 0);
        CHECK(dx_consumer_wait(&rig->consumers[1]) == DX_ECONSUMER);
    }
}
static const scenario_t fail_after = {
    .name = "sleep-fail-after",
    .what = "events that a consumer finished before it failed reach those behind",
    .threads = 2,
    .runs = 10000,
    .bound = 3,
    .bound_runs = 12000,
    .before = fail_after_before,
    .thread = fail_after_thread,
    .after = end,
};

/* A strategy that only spins looks at the one word in a loop of its own. */
static void spin_before(void)
{
    rig_make(&(rig_options_t){
        .slot_count = 2, .producers = 1, .wait = DX_WAIT_YIELDING, .full = DX_FULL_WAIT});
    rig_consumer(0, 0, DX_WAIT_YIELDING);
}
static const scenario_t spin = {
    .name = "spin",
    .what = "a consumer and a producer wait without sleeping",
    .threads = 2,
    .runs = 10000,
    .before = spin_before,
    .thread = full_thread,
    .after = end,
};

/* ------------------------------------------------------------------- closing while publishing */

/* Either the publisher is told that the ring has closed, or the closer sees the event. */
static void close_publish_before(void)
{
    rig_make(&(rig_options_t){.slot_count = 2, .producers = 1, .full = DX_FULL_FAIL});
}
static void close_multi_before(void)
{
    rig_make(&(rig_options_t){
        .mode = DX_RING_MULTI, .slot_count = 2, .producers = 1, .full = DX_FULL_FAIL});
}
static void close_publish_thread(int index)
{
    if (index == 0) {
        const int64_t sequence = rig_claim(0);
        if (sequence >= 0) {
            rig->written[0] = dx_producer_publish(&rig->producers[0], sequence) == DX_OK;
        }
    } else {
        dx_ring_close(rig->ring);
        rig->seen[0] = dx_ring_published(rig->ring) + 1;
    }
}
static void close_publish_after(void)
{
    CHECK(rig->seen[0] >= rig->written[0]);
    rig_end();
}
static const scenario_t close_publish = {
    .name = "close-publish",
    .what = "who publishes learns of the close, or who closes sees the event",
    .threads = 2,
    .runs = 10000,
    .bound = 4,
    .bound_runs = 12000,
    .before = close_publish_before,
    .thread = close_publish_thread,
    .after = close_publish_after,
};
static const scenario_t close_publish_fenced = {
    .name = "close-publish-fenced",
    .what = "the same without membarrier()",
    .threads = 2,
    .without_membarrier = true,
    .runs = 10000,
    .bound = 4,
    .bound_runs = 12000,
    .before = close_publish_before,
    .thread = close_publish_thread,
    .after = close_publish_after,
};
static const scenario_t close_multi = {
    .name = "close-publish-multi",
    .what = "the same on a multi-producer ring",
    .threads = 2,
    .runs = 10000,
    .bound = 4,
    .bound_runs = 12000,
    .before = close_multi_before,
    .thread = close_publish_thread,
    .after = close_publish_after,
};

const scenario_t *const scenarios[] = {
    &cursor,        &cursor_fenced,
    &hole,          &hole_fenced,
    &two,           &timed,
    &upstream,      &upstream_fenced,
    &branches,      &full,
    &full_fenced,   &full_multi,
    &alone,         &alone_fenced,
    &full_batch,    &halt,
    &token,         &halt_fenced,
    &cancel,        &nap,
    &close_blocked, &cancel_blocked,
    &fail_blocked,  &fail_behind,
    &fail_after,    &spin,
    &close_publish, &close_publish_fenced,
    &close_multi,   NULL,
};
