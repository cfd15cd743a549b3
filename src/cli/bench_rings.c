/* cli/bench_rings.c - scenarios whose consumer is a loop of the user's over one ring or three.
 *
 *     poller        dx_consumer_poll() by hand, as in an event loop
 *     raw           the consumer waits and releases, the producer claims and publishes; no slot is
 *                   touched: what the sequences alone cost
 *     three-rings   three producers with a ring each, and one thread that polls the three in turn
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <sched.h>

#include "cli/bench_event.h"
#include "cli/bench_run.h"

#define IDLE_POLLS_BEFORE_YIELD 100u

/* One turn in which nothing was there. */
DX_INLINE void idle(const dxi_bench_run_t *run, uint32_t *idle_polls)
{
    if (run->params->wait != DX_WAIT_BUSY_SPIN && ++*idle_polls > IDLE_POLLS_BEFORE_YIELD) {
        (void)sched_yield();
    } else {
        dx_cpu_relax();
    }
}

static int produce(dxi_bench_run_t *run, uint32_t index)
{
    uint64_t first = 0;
    const uint64_t count = dxi_bench_share(run, index, &first);
    const dxi_bench_loops_t *const loops = dxi_bench_loops_find(run->params->event_bytes);
    return loops->produce(&run->producers[index], first, count, run->params->batch);
}

int dxi_bench_poller_open(dxi_bench_run_t *run, dx_error_t *error)
{
    const int result = dxi_bench_ring_open(run, 0, 0, run->producer_count, error);
    const bool mine = dxi_bench_is_mine(run, run->producer_count);
    return result == DX_OK && mine ? dxi_bench_consumer_open(run, 0, error) : result;
}

int dxi_bench_poller_thread(dxi_bench_run_t *run, uint32_t index)
{
    if (index < run->producer_count) {
        return produce(run, index);
    }
    const dxi_bench_loops_t *const loops = dxi_bench_loops_find(run->params->event_bytes);
    dxi_bench_tally_t *const tally = &run->tallies[0];
    dx_consumer_t *const consumer = &run->consumers[0];
    uint32_t idle_polls = 0;
    while (tally->events < run->events) {
        const int64_t last = dx_consumer_poll(consumer);
        if (last >= consumer->next) {
            loops->drain(tally, consumer, last);
            idle_polls = 0;
        } else if (dxi_bench_is_failed(run)) {
            return DX_ECANCELLED;
        } else {
            idle(run, &idle_polls);
        }
    }
    return DX_OK;
}

static int raw_produce(dxi_bench_run_t *run)
{
    dx_producer_t producer = run->producers[0]; /* in registers, see bench_loops.c */
    const int64_t batch = run->params->batch;
    int result = DX_OK;
    dx_producer_assume_single(&producer);
    for (uint64_t sent = 0; sent < run->events && result == DX_OK; sent += (uint64_t)batch) {
        const int64_t last = dx_producer_claim_n(&producer, batch);
        result =
            last < 0 ? (int)last : dx_producer_publish_range(&producer, last - batch + 1, last);
    }
    run->producers[0] = producer;
    return result;
}

int dxi_bench_raw_thread(dxi_bench_run_t *run, uint32_t index)
{
    if (index == 0) {
        return raw_produce(run);
    }
    dxi_bench_tally_t *const tally = &run->tallies[0];
    dx_consumer_t *const consumer = &run->consumers[0];
    while (tally->events < run->events) {
        const int64_t last = dx_consumer_wait(consumer);
        if (DX_UNLIKELY(last < 0)) {
            return (int)last;
        }
        tally->events += (uint64_t)(last - consumer->next + 1);
        tally->batches++;
        dx_consumer_release(consumer, last);
    }
    return DX_OK;
}

int dxi_bench_three_rings_open(dxi_bench_run_t *run, dx_error_t *error)
{
    int result = DX_OK;
    for (uint32_t i = 0; i < DXI_BENCH_RINGS_MAX && result == DX_OK; i++) {
        result = dxi_bench_ring_open(run, i, i, 1, error);
        if (result == DX_OK) {
            result = dxi_bench_consumer_open(run, i, error);
        }
    }
    return result;
}

int dxi_bench_three_rings_thread(dxi_bench_run_t *run, uint32_t index)
{
    if (index < run->producer_count) {
        return produce(run, index);
    }
    const dxi_bench_loops_t *const loops = dxi_bench_loops_find(run->params->event_bytes);
    dxi_bench_tally_t *const tally = &run->tallies[0];
    uint32_t idle_polls = 0;
    while (tally->events < run->events) {
        bool found = false;
        for (uint32_t i = 0; i < DXI_BENCH_RINGS_MAX; i++) {
            dx_consumer_t *const consumer = &run->consumers[i];
            const int64_t last = dx_consumer_poll(consumer);
            if (last >= consumer->next) {
                loops->drain(tally, consumer, last);
                found = true;
            }
        }
        if (found) {
            idle_polls = 0;
        } else if (dxi_bench_is_failed(run)) {
            return DX_ECANCELLED;
        } else {
            idle(run, &idle_polls);
        }
    }
    return DX_OK;
}
