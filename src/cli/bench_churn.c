/* cli/bench_churn.c - scenarios that change the graph under full load.
 *
 *     churn         one producer, one consumer; between its batches the consumer's thread adds a
 *                   second consumer to the ring and removes it again
 *     churn-still   the same, but it only spins for about as long: what the machine does to a
 *                   producer anyway
 *
 * The producer reads the clock at each publication and keeps the longest gap between two of them
 * from the beginning of a change to its end. That gap is the value that is recorded, one per
 * change: compare the percentiles of the two rows.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/fail.h"
#include "cli/bench_event.h"
#include "cli/bench_run.h"

#define REST_NS 100000       /* between two changes */
#define STILL_NS 20000       /* as long as a change takes, about */
#define SPINS_BEFORE_REST 64 /* looks at the ring between two looks at the clock */

int dxi_bench_churn_open(dxi_bench_run_t *run, dx_error_t *error)
{
    const int result = dxi_bench_ring_open(run, 0, 0, 1, error);
    return result == DX_OK ? dxi_bench_consumer_open(run, 0, error) : result;
}

/* Publishes as fast as it goes and watches itself during changes. `acknowledged` is odd while one
 * goes on. */
static int churn_produce(dxi_bench_run_t *run)
{
    dx_producer_t producer = run->producers[0]; /* in registers, see bench_loops.c */
    dx_producer_assume_single(&producer);
    int64_t before_ns = dx_clock_ns();
    int64_t change = dx_load_acquire(&run->acknowledged);
    int64_t longest_ns = 0;
    for (uint64_t value = 1; value <= run->events; value++) {
        const int64_t sequence = dx_producer_claim(&producer);
        if (sequence < 0) {
            return (int)sequence;
        }
        *DX_PRODUCER_EVENT(&producer, sequence, uint64_t) = value;
        const int published = dx_producer_publish(&producer, sequence);
        if (published != DX_OK) {
            return published;
        }
        const int64_t now_ns = dx_clock_ns();
        const int64_t gap_ns = now_ns - before_ns;
        before_ns = now_ns;
        const int64_t seen = dx_load_acquire(&run->acknowledged);
        if (DX_UNLIKELY((seen & 1) != 0 || seen != change)) {
            longest_ns = gap_ns > longest_ns ? gap_ns : longest_ns;
        }
        if (DX_UNLIKELY(seen != change && (seen & 1) == 0)) {
            dx_histogram_record(run->latency, longest_ns);
            longest_ns = 0;
        }
        change = seen;
    }
    run->producers[0] = producer;
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

static int churn_consume(dxi_bench_run_t *run, bool changes)
{
    const dxi_bench_loops_t *const loops = dxi_bench_loops_find(run->params->event_bytes);
    dxi_bench_tally_t *const tally = &run->tallies[0];
    dx_consumer_t *const consumer = &run->consumers[0];
    int64_t next_ns = dx_clock_ns() + REST_NS;
    int result = DX_OK;
    for (uint64_t polls = 1; tally->events < run->events && result == DX_OK; polls++) {
        const int64_t last = dx_consumer_poll(consumer);
        if (last >= consumer->next) {
            loops->drain(tally, consumer, last);
        } else if (dxi_bench_is_failed(run)) {
            return DX_ECANCELLED;
        }
        if (polls % SPINS_BEFORE_REST == 0 && dx_clock_ns() >= next_ns) {
            (void)dx_fetch_add_relaxed(&run->acknowledged, 1);
            result = DX_OK;
            if (changes) {
                result = change_graph(run);
            } else {
                stand_still();
            }
            (void)dx_fetch_add_relaxed(&run->acknowledged, 1);
            next_ns = dx_clock_ns() + REST_NS;
        }
    }
    return result;
}

int dxi_bench_churn_thread(dxi_bench_run_t *run, uint32_t index)
{
    return index == 0 ? churn_produce(run) : churn_consume(run, true);
}

int dxi_bench_churn_still_thread(dxi_bench_run_t *run, uint32_t index)
{
    return index == 0 ? churn_produce(run) : churn_consume(run, false);
}
