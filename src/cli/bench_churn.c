/* cli/bench_churn.c - scenarios that change the graph under full load.
 *
 *     churn         one producer, one consumer; between its batches the consumer's thread adds a
 *                   second consumer to the ring and removes it again
 *     churn-still   the same, but it only spins for about as long: what the machine does to a
 *                   producer anyway
 *
 * An event of the report is one change. The producer publishes all the time, reads the clock at
 * each publication, and keeps the longest gap between two of them from the beginning of a change to
 * its end: that is the value which is recorded. Compare the percentiles of the two rows.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/fail.h"
#include "cli/bench_event.h"
#include "cli/bench_run.h"

#define REST_NS 100000       /* between two changes */
#define STILL_NS 20000       /* as long as a change takes, about */
#define POLLS_BEFORE_LOOK 64 /* at the clock */

int dxi_bench_churn_open(dxi_bench_run_t *run, dx_error_t *error)
{
    const int result = dxi_bench_ring_open(run, 0, 0, 1, error);
    return result == DX_OK ? dxi_bench_consumer_open(run, 0, error) : result;
}

/* Publishes as fast as it goes and watches itself during changes. `acknowledged` counts their
 * beginnings and ends, so it is odd while one goes on. */
static int churn_produce(dxi_bench_run_t *run)
{
    const dx_atomic64_t *const steps = &run->common->acknowledged;
    const int64_t end = 2 * (int64_t)run->events;
    dx_producer_t producer = run->producers[0]; /* in registers, see bench_loops.c */
    dx_producer_assume_single(&producer);
    int64_t before_ns = dx_clock_ns();
    int64_t longest_ns = 0;
    uint64_t sum = 0;
    int64_t step = 0;
    for (uint64_t value = 1; step < end; value++) {
        const int64_t sequence = dx_producer_claim(&producer);
        if (DX_UNLIKELY(sequence < 0)) {
            return (int)sequence;
        }
        *DX_PRODUCER_EVENT(&producer, sequence, uint64_t) = value;
        sum += value;
        const int published = dx_producer_publish(&producer, sequence);
        if (DX_UNLIKELY(published != DX_OK || dxi_bench_is_failed(run))) {
            return published != DX_OK ? published : DX_ECANCELLED;
        }
        const int64_t now_ns = dx_clock_ns();
        const int64_t gap_ns = now_ns - before_ns;
        before_ns = now_ns;
        const int64_t seen = dx_load_acquire(steps);
        if (DX_UNLIKELY((seen & 1) != 0 || seen != step)) {
            longest_ns = gap_ns > longest_ns ? gap_ns : longest_ns;
        }
        for (; DX_UNLIKELY(step / 2 < seen / 2); step += 2) { /* one, or all that it slept over */
            dx_histogram_record(run->latency, longest_ns);
            longest_ns = step / 2 + 1 < seen / 2 ? longest_ns : 0;
        }
        step = seen;
    }
    run->producers[0] = producer;
    run->common->stamp_sum = sum;
    /* RELEASE, pairs with churn_consume(): what was published before is visible. */
    dx_store32_release(&run->common->futex_word, 1);
    return DX_OK;
}

static int change_graph(dxi_bench_run_t *run)
{
    dx_consumer_t guest;
    const int result = dx_consumer_open(&guest, run->rings[0], NULL, NULL);
    if (result == DX_OK) {
        dx_consumer_close(&guest);
    }
    return result;
}

static void stand_still(void)
{
    for (const int64_t end_ns = dx_clock_ns() + STILL_NS; dx_clock_ns() < end_ns;) {
        dx_cpu_relax();
    }
}

/* One change, or none. */
static int churn_once(dxi_bench_run_t *run, bool changes)
{
    int result = DX_OK;
    (void)dx_fetch_add_relaxed(&run->common->acknowledged, 1);
    if (changes) {
        result = change_graph(run);
    } else {
        stand_still();
    }
    (void)dx_fetch_add_relaxed(&run->common->acknowledged, 1);
    return result;
}

static int churn_consume(dxi_bench_run_t *run, bool changes)
{
    const dxi_bench_loops_t *const loops = dxi_bench_loops_find(run->params->event_bytes);
    dxi_bench_tally_t *const tally = &run->tallies[0];
    dx_consumer_t *const consumer = &run->consumers[0];
    uint64_t left = run->events;
    int64_t next_ns = dx_clock_ns() + REST_NS;
    for (uint64_t polls = 1;; polls++) {
        const bool ended = dx_load32_acquire(&run->common->futex_word) != 0;
        const int64_t last = dx_consumer_poll(consumer);
        if (last >= consumer->next) {
            loops->drain(tally, consumer, last);
        } else if (ended) {
            break;
        }
        if (DX_UNLIKELY(dxi_bench_is_failed(run))) {
            return DX_ECANCELLED;
        }
        if (left > 0 && polls % POLLS_BEFORE_LOOK == 0 && dx_clock_ns() >= next_ns) {
            const int result = churn_once(run, changes);
            if (result != DX_OK) {
                return result;
            }
            left--;
            next_ns = dx_clock_ns() + REST_NS;
        }
    }
    tally->events = run->events;
    dx_store32_release(&run->common->futex_word, 0); /* for the next phase */
    return DX_OK;
}

int dxi_bench_churn_thread(dxi_bench_run_t *run, uint32_t index)
{
    return index == 0 ? churn_produce(run) : churn_consume(run, true);
}

int dxi_bench_churn_still_thread(dxi_bench_run_t *run, uint32_t index)
{
    return index == 0 ? churn_produce(run) : churn_consume(run, false);
}
