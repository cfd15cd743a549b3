/* worker.c - competing consumers: each event of a pool goes to exactly one worker.
 *
 * DESIGN
 *
 * A pool has one word of its own, the last sequence that its workers have claimed together, and one
 * word per worker. A worker claims only what is already readable, up to claim_max events at a time,
 * by moving the pool's word with compare-and-swap. While it handles them its own word says how far
 * it is; idle, it says DX_SEQUENCE_IDLE, which holds nobody back.
 *
 *     pool.sequence       ... 6 ]                  claimed: everything up to 6
 *     worker 0.sequence   IDLE
 *     worker 1.sequence   3                        handles 4..6
 *     -> the pool has finished everything up to min(6, IDLE, 3) = 3
 *
 * The claim:
 *
 *     claimed = pool.sequence
 *     wait until claimed + 1 is readable           (IDLE meanwhile)
 *     worker.sequence = claimed                    announce: I hold back what follows
 *     compare-and-swap pool.sequence: claimed -> last      failed: start again
 *     handle claimed + 1 .. last
 *     worker.sequence = IDLE
 *
 * A reader takes the pool's word first and the workers' words after it (dxi_minimum() reads in
 * index order, and a pool's index is below those of its workers). If it saw the claim, it sees the
 * announcement before it, or the IDLE after the work. A claim that fails leaves an announcement
 * that is too low for a moment; that only delays.
 *
 * LMAX 3 claims a sequence first and then waits for it, so stopping a worker loses an event. Here a
 * worker that waits has claimed nothing.
 *
 * INVARIANTS
 *
 *   W1  every readable sequence up to pool.sequence was claimed by exactly one worker
 *   W2  a worker's word is below every sequence that it has claimed and not handled
 *   W3  a worker that stops in the middle of a claim keeps the rest (pending) and its word, and
 *       goes on with it when it runs again: nothing is lost
 *   W4  pool index < worker index
 *   W5  what one worker takes over from another is announced by both, and counted in block->joins,
 *       before the other becomes idle: who reads the words in the wrong order at that moment reads
 *       them again
 *
 * A worker that joins while the pool runs is idle, and stays so, until everybody who is bound to
 * the pool is bound to it: only then its word counts. One that leaves finishes its claim. If it
 * can't, because it has failed or was paused in the middle, its place is kept until another has
 * taken over the rest. A worker that has failed and is not removed keeps its rest as any consumer
 * does: the next worker might fail by the same event, so that is not for the pool to decide.
 *
 * Key-ordered pools need none of this: each worker is a consumer that sees every event and takes
 * those of its part of the keys (is_visible() in src/ring/processor.c).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <time.h>

#include "ring/disruptor_internal.h"

#define ADMISSION_LOOK_NS INT64_C(50000)

/* Says that this worker holds nobody back any more. */
static void become_idle(dx_consumer_t *consumer)
{
    /* RELEASE, as (R) in dx_consumer_release(): the events of the claim are done with. */
    dx_store_release(&consumer->entry->sequence, DX_SEQUENCE_IDLE);
    dx_fence_light(); /* as (W2) there */
    if (DX_UNLIKELY((dx_load_relaxed(&consumer->entry->waiters) |
                     dx_load32_relaxed(&consumer->block->space_waiters)) != 0)) {
        dxi_release_slow(consumer, DX_SEQUENCE_IDLE);
    }
}

/* Tells those who sleep until the pool has claimed further. They then wait for the worker. */
static void pool_moved(dx_consumer_t *consumer, const dxi_processor_t *pool, int64_t claimed)
{
    dx_consumer_entry_t *entry = pool->consumer.entry;
    dx_fence_light();
    if (DX_UNLIKELY(dx_load_relaxed(&entry->waiters) != 0)) {
        if ((dx_load_relaxed(&entry->waiters) & DXI_SIGNAL_FENCE) != 0) {
            dx_fence_seq_cst();
        }
        const int32_t woken =
            dxi_wake_waiters(consumer->block, &entry->waiters, INT64_MIN, claimed);
        dxi_count(&consumer->entry->counters.wakes, woken);
    }
}

/* Waits until it may claim. Those behind the pool take notice at their next wait or empty poll; one
 * that never looks keeps the worker idle, and nobody else. */
static int worker_admission(dxi_processor_t *worker)
{
    dx_consumer_t *consumer = &worker->consumer;
    const struct timespec pause = {.tv_nsec = ADMISSION_LOOK_NS};
    while (!worker->admitted) {
        worker->admitted = dxi_pool_admits(worker);
        if ((dx_load32_acquire(&consumer->entry->control) & DXI_CONTROL_HALT) != 0) {
            return DX_EALERTED;
        }
        if (!worker->admitted) {
            (void)nanosleep(&pause, NULL);
        }
    }
    return DX_OK;
}

bool dxi_pool_admits(const dxi_processor_t *worker)
{
    const dx_ring_block_t *block = worker->consumer.block;
    const dx_consumer_entry_t *entries = dxi_block_consumers(block);
    for (uint64_t rest = (uint64_t)dx_load_acquire(&block->active); rest != 0; rest &= rest - 1) {
        /* ACQUIRE, pairs with the release in dxi_consumer_bind(). */
        const uint64_t bound = (uint64_t)dx_load_acquire(&entries[__builtin_ctzll(rest)].bound);
        if ((bound >> worker->pool->consumer.index & 1) != 0 &&
            (bound >> worker->consumer.index & 1) == 0) {
            return false;
        }
    }
    return true;
}

void dxi_worker_hand_over(dxi_processor_t *from, dxi_processor_t *to)
{
    dx_ring_t *ring = to->consumer.ring;
    to->pending_first = from->pending_first;
    to->pending_last = from->pending_last;
    const bool locked = dxi_table_lock_always(ring);
    dx_store_release(&to->consumer.entry->sequence, to->pending_first - 1);
    /* W5. Pairs with minimum_of_several() and dxi_gating_minimum(). */
    dx_store_release(&ring->block->joins, dx_load_relaxed(&ring->block->joins) + 1);
    if (locked) {
        dxi_table_unlock(ring);
    }
    dxi_point("worker:both-announced");
    from->pending_first = from->pending_last + 1;
    become_idle(&from->consumer);
}

/* Takes over from a worker that leaves its pool. */
static bool take_over(dxi_processor_t *worker)
{
    dx_atomic32_t *leaving = &worker->pool->leaving;
    int32_t from = dx_load32_acquire(leaving);
    if (DX_LIKELY(from == 0) || !dx_compare_exchange32_acq_rel(leaving, &from, 0)) {
        return false;
    }
    dxi_worker_hand_over(worker->disruptor->processors[from - 1], worker);
    return true;
}

/* Claims the next readable events. Returns DX_OK with pending_first and pending_last set, or why
 * the wait ended. The worker is IDLE unless it has claimed. */
static int worker_claim(dxi_processor_t *worker)
{
    dx_consumer_t *consumer = &worker->consumer;
    dx_atomic64_t *pool_word = &worker->pool->consumer.entry->sequence;

    const int code = worker_admission(worker);
    if (code != DX_OK || take_over(worker)) {
        return code;
    }
    for (;;) {
        int64_t claimed = dx_load_acquire(pool_word);
        consumer->next = claimed + 1;
        int64_t last = dx_consumer_wait(consumer);
        if (last <= claimed) {
            return (int)last;
        }
        if (consumer->block->spans != 0) {
            /* The pool may have moved on, and what we take for headers be payload: then it is no
             * matter where this ends, because the swap below fails. See src/ring/span.c. */
            last = dxi_span_claim_end(consumer->block, claimed + 1, last, worker->claim_max);
        } else if (last - claimed > worker->claim_max) {
            last = claimed + worker->claim_max;
        }
        dxi_point("worker:before-announce");
        /* W2. RELEASE together with the ACQ_REL of the swap: who sees the claim sees this. */
        dx_store_release(&consumer->entry->sequence, claimed);
        const bool won = dx_compare_exchange_acq_rel(pool_word, &claimed, last);
        if (won) {
            worker->pending_first = consumer->next;
            worker->pending_last = last;
            pool_moved(consumer, worker->pool, last);
            return DX_OK;
        }
        become_idle(consumer);
    }
}

/* Handles what is pending. W3: keeps what is left when it ends. */
static dxi_end_t worker_handle(dxi_processor_t *worker)
{
    dx_consumer_t *consumer = &worker->consumer;
    while (worker->pending_first <= worker->pending_last) {
        const int64_t batch_max = worker->handler.batch_max;
        int64_t last = worker->pending_last;
        if (batch_max > 0 && consumer->block->spans == 0 &&
            last - worker->pending_first >= batch_max) {
            last = worker->pending_first + batch_max - 1;
        }
        int64_t done = 0;
        consumer->next = worker->pending_first;
        dxi_end_t end = dxi_deliver(worker, worker->pending_first, last, &done);
        if (end == DXI_END_REWIND) {
            worker->pending_first = consumer->next; /* it may have released some */
            continue;
        }
        worker->pending_first = done + 1;
        if (end == DXI_END_NONE &&
            worker->pending_first <= worker->pending_last) { /* between two batches */
            dx_consumer_release(consumer, done);
            if ((dx_load32_acquire(&consumer->entry->control) & DXI_CONTROL_HALT) != 0) {
                end = DXI_END_HALT;
            }
        }
        if (end != DXI_END_NONE) {
            if (worker->pending_first > worker->pending_last) {
                become_idle(consumer);
            } else {
                dx_consumer_release(consumer, done);
            }
            return end;
        }
    }
    become_idle(consumer);
    return DXI_END_NONE;
}

dxi_end_t dxi_worker_loop(dxi_processor_t *worker)
{
    dxi_end_t end = worker_handle(worker);
    while (end == DXI_END_NONE) {
        const int code = worker_claim(worker);
        switch (code) {
        case DX_OK:
            end = worker_handle(worker);
            break;
        case DX_EALERTED:
            end = DXI_END_HALT;
            break;
        case DX_ETIMEDOUT:
            end = dxi_deliver_timeout(worker);
            break;
        case DX_ECONSUMER:
        case DX_EEVICTED:
            worker->failure = code;
            end = DXI_END_FAIL;
            break;
        default: /* DX_ECANCELLED */
            break;
        }
    }
    return end;
}

void dxi_pool_check(dxi_processor_t *pool)
{
    dx_disruptor_t *disruptor = pool->disruptor;
    bool ended = true;
    /* Each worker has stored its own state before it takes the lock and looks at the others: the
     * last one sees all. */
    pthread_mutex_lock(&disruptor->members_lock);
    for (uint64_t rest = disruptor->members; rest != 0; rest &= rest - 1) {
        const dxi_processor_t *worker = disruptor->processors[__builtin_ctzll(rest)];
        const int32_t state = dx_load32_relaxed(&worker->consumer.entry->state);
        ended &=
            worker->pool != pool || state == DX_CONSUMER_STOPPED || state == DX_CONSUMER_FAILED;
    }
    if (ended) { /* under the lock: a worker that is added now finds the pool running or stopped */
        dx_store32_release(&pool->consumer.entry->state, DX_CONSUMER_STOPPED);
    }
    pthread_mutex_unlock(&disruptor->members_lock);
    if (!ended) {
        return;
    }
    dx_fence_seq_cst(); /* as in dx_consumer_fail() */
    dxi_wake_followers(pool->consumer.block, pool->consumer.index);
}
