/* park.c - sleeping and waking: nobody pays for it but those who sleep and those who wake them.
 *
 * DESIGN
 *
 * Progress happens in two kinds of place: a publication, and a consumer that releases. Each place
 * has a word that says who sleeps on it: block->signal and entry->waiters (a bit per consumer), and
 * block->space_waiters (1 when a producer sleeps). Whoever makes progress stores its sequence and
 * then looks at that word; nearly always it is zero and in the cache, and that is all.
 *
 *     sleeper (consumer i)                       waker
 *     --------------------                       -----
 *     entry.want = sequence                      store the sequence           (P) (S) (R)
 *     set bit i in the place's word              compiler barrier             (W1) (W2)
 *     heavy fence                                load the place's word
 *     look at the sequence again                 bit i is set, want is reached:
 *     not there: sleep while park == 0             clear bit i; the one who cleared it goes on:
 *     clear bit i, park = 0                        park = 1, futex_wake(park)
 *
 * It is the pair of Dekker: each side stores, then loads what the other stored. On both sides the
 * store must be visible before the load, which takes a full fence; at 20 cycles per publish that
 * would be the most expensive step of the hot path. So the sleeper pays for both: membarrier()
 * makes every running thread of the process execute a full fence; for a shared ring, every running
 * thread of every process that has attached to one. It costs a few microseconds, and only when a
 * thread is about to sleep anyway. Whoever wakes others for a rarer reason (a halt, a failure, a
 * change of the graph) passes a full fence of its own, which disturbs nobody. Where the kernel has
 * no membarrier(), the flag DXI_SIGNAL_FENCE stands in every such word and sends the waker to the
 * slow path, which fences.
 *
 * Waking is precise: `want` says for which sequence. A publisher of something else leaves the
 * sleeper alone, so sleeping on a hole between publications costs the publishers around it no
 * system call.
 *
 * INVARIANTS
 *
 *   K1  a set bit i means: consumer i sleeps or is about to, and wants entry.want
 *   K2  who clears bit i, and only who, owes consumer i a wake token (park = 1)
 *   K3  a token may come late, never be lost: a sleeper with a token wakes at once and looks again
 *   K4  a sleeper looks at its sequence after it set its bit and after the heavy fence
 *   K5  a waker that dies between clearing a bit and its token owes it for ever: who finds a dead
 *       process wakes everybody (dxi_wake_all)
 *
 * K4 with (W1) or (W2) excludes the lost wake-up: if the sleeper's second look does not see the
 * sequence, then the waker had not stored it when the fence ran, so its load of the word comes
 * after the bit was set. tests/unit/test_park.c runs each side at each point of the other.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ring/ring_internal.h"

/* How long a sleep lasts while claims of closed producers are still to be given up. */
#define CLOSED_LOOK_NS INT64_C(1000000)

/* --------------------------------------------------------------------------------- heavy fence */

static pthread_once_t membarrier_once = PTHREAD_ONCE_INIT;
static bool membarrier_works;

static void membarrier_register(void)
{
    membarrier_works =
        syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0 &&
        syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
}

#if DX_TEST_HOOKS
static bool membarrier_disabled;

void dxi_heavy_fence_disable(bool disable)
{
    membarrier_disabled = disable;
}
#endif

bool dxi_heavy_fence_works(void)
{
    pthread_once(&membarrier_once, membarrier_register);
#if DX_TEST_HOOKS
    if (membarrier_disabled) {
        return false;
    }
#endif
    return membarrier_works;
}

void dxi_heavy_fence(const dx_ring_block_t *block)
{
    dx_fence_seq_cst();
    if (dxi_heavy_fence_works()) {
        const int command = dxi_block_shared(block) ? MEMBARRIER_CMD_GLOBAL_EXPEDITED
                                                    : MEMBARRIER_CMD_PRIVATE_EXPEDITED;
        (void)syscall(SYS_membarrier, command, 0, 0);
    }
}

/* --------------------------------------------------------------------------------------- futex */

static void futex_wait(dx_atomic32_t *futex, int32_t expected, int64_t timeout_ns, bool shared)
{
    const struct timespec timeout = {.tv_sec = timeout_ns / 1000000000,
                                     .tv_nsec = timeout_ns % 1000000000};
    /* Early returns (a signal, a changed word) are fine: every caller looks again. */
    (void)syscall(SYS_futex, &futex->word, shared ? FUTEX_WAIT : FUTEX_WAIT_PRIVATE, expected,
                  timeout_ns >= 0 ? &timeout : NULL, NULL, 0);
}

static void futex_wake(dx_atomic32_t *futex, int count, bool shared)
{
    (void)syscall(SYS_futex, &futex->word, shared ? FUTEX_WAKE : FUTEX_WAKE_PRIVATE, count, NULL,
                  NULL, 0);
}

/* ----------------------------------------------------------------------------------- consumers */

/* The word of the place on which the consumer has to wait: the first thing it follows that has not
 * reached `want`. NULL when everything has. */
static dx_atomic64_t *place_of(const dx_consumer_t *consumer, int64_t want)
{
    dx_ring_block_t *block = consumer->block;
    if (consumer->upstream == 0) {
        return &block->signal;
    }
    dx_consumer_entry_t *entries = dxi_block_consumers(block);
    for (uint64_t rest = consumer->upstream; rest != 0; rest &= rest - 1) {
        dx_consumer_entry_t *entry = &entries[__builtin_ctzll(rest)];
        if (dx_load_acquire(&entry->sequence) < want) {
            return &entry->waiters;
        }
    }
    return NULL;
}

/* Sleeps until there is a token. The caller uses it up; one that comes later wakes the next sleep
 * early (K3). */
static void sleep_on_token(dx_consumer_entry_t *entry, int64_t timeout_ns, bool shared)
{
    dx_store32_relaxed(&entry->asleep, 1);
    futex_wait(&entry->park, 0, timeout_ns, shared);
    dx_store32_relaxed(&entry->asleep, 0);
    dxi_count(&entry->counters.sleeps, 1);
}

void dxi_park_consumer(dx_consumer_t *consumer, int64_t want, int64_t timeout_ns)
{
    dx_ring_block_t *block = consumer->block;
    dx_consumer_entry_t *entry = consumer->entry;
    const int64_t bit = INT64_C(1) << consumer->index;

    dx_atomic64_t *place = place_of(consumer, want);
    if (place == NULL) {
        return;
    }
    dx_store_relaxed(&entry->want, want);
    dxi_point("park:before-bit");
    /* ACQ_REL: `want` is visible to who sees the bit. */
    (void)dx_fetch_or_acq_rel(place, bit);
    dxi_point("park:before-fence");
    dxi_heavy_fence(block);
    dxi_point("park:before-look");
    /* K4. And the place must still be the one that lacks the sequence: where it got there before
     * the bit stood, nobody wakes us from it, and the consumer that lacks it now does not know us.
     */
    const bool there = dx_consumer_poll(consumer) >= want || place_of(consumer, want) != place;
    if (!there && dx_load32_acquire(&entry->control) == 0 &&
        dxi_ended_before(block, consumer->upstream, want) == 0) {
        dxi_point("park:before-sleep");
        if (dx_load32_relaxed(&block->closed) != 0 &&
            (timeout_ns < 0 || timeout_ns > CLOSED_LOOK_NS)) {
            timeout_ns = CLOSED_LOOK_NS; /* nobody wakes us when it can be told whose they are */
        }
        sleep_on_token(entry, timeout_ns, dxi_block_shared(block));
        /* Stores and loads only: the words come from the waker's core, and a read-modify-write
         * would wait for each before we look at the event. A token that comes between this load and
         * store is lost, but not what it is about: before any further sleep we pass the heavy fence
         * and look at everything again. */
        if (dx_load32_acquire(&entry->park) != 0) {
            dxi_point("park:before-token");
            dx_store32_relaxed(&entry->park, 0);
        }
    }
    if ((dx_load_relaxed(place) & bit) != 0) { /* else the waker has cleared it */
        (void)dx_fetch_and_acq_rel(place, ~bit);
    }
}

void dxi_park_pause(dx_consumer_entry_t *entry, int64_t timeout_ns, bool shared)
{
    if (dx_load32_acquire(&entry->control) == 0) {
        sleep_on_token(entry, timeout_ns, shared);
        /* A full exchange: the next look at the control word must come after it. */
        (void)dx_exchange32_acq_rel(&entry->park, 0);
    }
}

void dxi_wake_consumer(dx_consumer_entry_t *entry, bool shared)
{
    /* RELEASE, pairs with the acquire of `park` behind a sleep: what the waker did is visible. */
    dx_store32_release(&entry->park, 1);
    futex_wake(&entry->park, 1, shared);
}

int32_t dxi_wake_waiters(dx_ring_block_t *block, dx_atomic64_t *waiters, int64_t first,
                         int64_t last)
{
    dx_consumer_entry_t *entries = dxi_block_consumers(block);
    int32_t woken = 0;

    /* ACQUIRE, pairs with the fetch_or in dxi_park_consumer(): the sleeper's `want`. */
    uint64_t rest = (uint64_t)(dx_load_acquire(waiters) & DXI_SIGNAL_SLEEPERS);
    for (; rest != 0; rest &= rest - 1) {
        const int index = __builtin_ctzll(rest);
        const int64_t bit = INT64_C(1) << index;
        const int64_t want = dx_load_relaxed(&entries[index].want);
        if (want < first || want > last) {
            continue;
        }
        dxi_point("wake:before-clear");
        /* K2: of several wakers only the one that clears the bit wakes. */
        if ((dx_fetch_and_acq_rel(waiters, ~bit) & bit) != 0) {
            dxi_wake_consumer(&entries[index], dxi_block_shared(block));
            woken++;
        }
    }
    return woken;
}

/* ----------------------------------------------------------------------------------- producers */

void dxi_park_producer(dxi_producer_core_t *core, int64_t sequence, int64_t timeout_ns)
{
    dx_ring_block_t *block = core->block;
    const int64_t wrap = sequence - (int64_t)block->slot_count;

    dxi_point("park-producer:before-epoch");
    /* The epoch is read before the look: a release after the look changes it, and the futex then
     * does not sleep. */
    const int32_t epoch = dx_load32_acquire(&block->space_epoch);
    dxi_point("park-producer:before-count");
    (void)dx_exchange32_acq_rel(&block->space_waiters, 1);
    if (dx_load_acquire(&block->gating) == 0) {
        /* No consumer will release anything: what others publish makes room. */
        (void)dx_fetch_or_acq_rel(&block->signal, DXI_SIGNAL_SPACE);
    }
    dxi_point("park-producer:before-fence");
    dxi_heavy_fence(block);
    dxi_point("park-producer:before-look");
    const bool room = dxi_gating_minimum(block) >= wrap;
    if (!room && dx_load_relaxed(&block->signal) >= 0 &&
        dx_load32_acquire(&core->entry->cancel) == 0 &&
        dxi_ended_before(block, (uint64_t)dx_load_acquire(&block->gating), wrap) == 0) {
        dxi_point("park-producer:before-sleep");
        dxi_count(&core->entry->sleeps, 1);
        futex_wait(&block->space_epoch, epoch, timeout_ns, dxi_block_shared(block));
    }
    /* The flag stays: another may sleep by it. At worst a release looks in vain once. */
}

void dxi_wake_producers(dx_ring_block_t *block)
{
    (void)dx_fetch_add32_acq_rel(&block->space_epoch, 1);
    futex_wake(&block->space_epoch, INT_MAX, dxi_block_shared(block));
}

void dxi_wake_followers(dx_ring_block_t *block, int32_t index)
{
    dx_consumer_entry_t *entries = dxi_block_consumers(block);
    const uint64_t self = UINT64_C(1) << index;
    /* Also those who sleep on a consumer between this one and them: it may never move again. */
    uint64_t rest = (uint64_t)dx_load_acquire(&block->active) | self;
    for (; rest != 0; rest &= rest - 1) {
        const int between = __builtin_ctzll(rest);
        if ((dxi_upstream_closure(block, UINT64_C(1) << between) & self) != 0) {
            (void)dxi_wake_waiters(block, &entries[between].waiters, INT64_MIN, INT64_MAX);
        }
    }
    dxi_wake_producers(block);
}

void dxi_wake_all(dx_ring_block_t *block)
{
    dx_consumer_entry_t *entries = dxi_block_consumers(block);
    for (uint64_t rest = (uint64_t)dx_load_acquire(&block->active); rest != 0; rest &= rest - 1) {
        dxi_wake_consumer(&entries[__builtin_ctzll(rest)], dxi_block_shared(block));
    }
    dxi_wake_producers(block);
}

/* ----------------------------------------------------------------- slow halves of the hot path */

int dxi_publish_slow(dxi_producer_core_t *core, int64_t first, int64_t last)
{
    dx_ring_block_t *block = core->block;
    if ((dx_load_relaxed(&block->signal) & DXI_SIGNAL_FENCE) != 0) {
        dx_fence_seq_cst(); /* no membarrier() here: (W1) needs the fence itself */
    }
    dxi_point("publish:before-wake");
    /* A single-producer sleeper waits for its next sequence, which anything later includes. */
    const int32_t woken = dxi_wake_waiters(block, &block->signal,
                                           block->mode == DX_RING_SINGLE ? INT64_MIN : first, last);
    if (woken != 0) {
        dxi_count(&core->entry->wakes, woken);
    }
    if ((dx_load_relaxed(&block->signal) & DXI_SIGNAL_SPACE) != 0) {
        (void)dx_fetch_and_acq_rel(&block->signal, ~DXI_SIGNAL_SPACE);
        dxi_wake_producers(block); /* who still has no room sets the flag again */
    }
    return dx_load_relaxed(&block->signal) < 0 ? DX_ECLOSED : DX_OK;
}

void dxi_release_slow(dx_consumer_t *consumer, int64_t sequence)
{
    dx_ring_block_t *block = consumer->block;
    dx_consumer_entry_t *entry = consumer->entry;
    if (dx_load_relaxed(&entry->waiters) < 0 && dxi_consumer_is_evicted(consumer)) {
        return; /* in vain */
    }
    if ((dx_load_relaxed(&entry->waiters) & DXI_SIGNAL_FENCE) != 0) {
        dx_fence_seq_cst(); /* as in dxi_publish_slow() */
    }
    int32_t woken = dxi_wake_waiters(block, &entry->waiters, INT64_MIN, sequence);
    /* Taken back before they are woken: who still has no room sets it again. */
    if (dx_load32_relaxed(&block->space_waiters) != 0 &&
        dx_exchange32_acq_rel(&block->space_waiters, 0) != 0) {
        dxi_wake_producers(block);
        woken++;
    }
    if (woken != 0) {
        dxi_count(&entry->counters.wakes, woken);
    }
}
