/* producer.c - the slow half of claiming: a full ring, several producers, giving up.
 *
 * DESIGN
 *
 * A claim may never pass the slowest gating consumer by more than slot_count. The handle remembers
 * how far it may go (`limit`), so that it looks at the consumers only when that is used up: once
 * per lap when they keep up.
 *
 * Several producers share block->claimed and take from it by compare-and-swap: it checks for room
 * and takes in one step, so every claim can be refused, timed, cancelled or dropped. LMAX 4 takes
 * by fetch-add, which can't fail, and overshoots a full ring: the claimer then has to wait whatever
 * happens. A fetch-add after a look at the room does not help: a thread that is preempted between
 * the two adds to whatever stands there later. The reason for fetch-add was that the swap failed
 * too often; it fails when the line is lost between load and swap, so the line is fetched for
 * writing before the load (dxi_claim_events()), and only some 10 cycles lie between the two.
 *
 * The claim record (I4) lets others find out what a dead producer held (src/ring/recover.c). It
 * costs two stores to a line of the producer's own. A handle that holds several claims at once
 * records the hull of them. The last is stored before the first, so that what others read in
 * between covers both the old and the new. What a record covers besides its owner's own is not
 * recovered meanwhile, so none stays that does: neither of a claim that failed, nor of a hull whose
 * events are all published.
 *
 * INVARIANTS
 *
 *   I1  cursor <= claimed
 *   I2  limit <= slowest gating sequence + slot_count, at any time after it was computed
 *   I3  claimed <= slowest gating sequence + slot_count
 *   I4  multi: from before a claim until its last sequence is published, held_first..held_last of
 *       the handle's entry covers it
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <sched.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/options.h"
#include "disruptorx/clock.h"
#include "disruptorx/span.h"
#include "disruptorx/thread.h"
#include "ring/ring_internal.h"
#include "ring/share.h"

#define PREFETCH_BYTES 512
#define PREFETCH_SLOT_BYTES 256u
#define SWAP_PAUSES_MAX 16
#define CHECK_EVERY 16 /* steps of a wait between two looks at what could end it */
#define SPIN_BUDGET_START_NS INT64_C(5000)

/* ------------------------------------------------------------------------------------ claiming */

/* Where a claim stands: the core, and what the handle knew and will know. */
typedef struct claim {
    dxi_producer_core_t *core;
    int64_t claimed; /* single: the last sequence claimed */
    int64_t held;    /* multi: the first sequence that the handle holds, -1 when it holds none */
    int64_t count;   /* slots */
    int64_t events;  /* that they hold */
    int64_t limit;
} claim_t;

/* Looks at the consumers again. */
static int64_t limit_now(dx_ring_block_t *block)
{
    return dxi_gating_minimum(block) + (int64_t)block->slot_count;
}

/* Says what the handle really holds: the record of a claim that failed names what others hold. If
 * one of them died, nobody would dare to void its claim, and who waits here would wait for that. */
static void hold_no_more(const claim_t *claim)
{
    dx_producer_entry_t *entry = claim->core->entry;
    if (claim->core->block->mode == DX_RING_MULTI) {
        dx_store_release(&entry->held_last, claim->held >= 0 ? claim->claimed : INT64_MIN);
    }
}

/* Takes the sequences if there is room: the last of them, or DX_EAGAIN. */
static int64_t claim_once(claim_t *claim)
{
    dx_ring_block_t *block = claim->core->block;

    claim->limit = limit_now(block);
    if (block->mode == DX_RING_SINGLE) {
        const int64_t last = claim->claimed + claim->count;
        return last <= claim->limit ? last : DX_EAGAIN;
    }
    for (int pauses = 1;; pauses = pauses < SWAP_PAUSES_MAX ? 2 * pauses : pauses) {
        __builtin_prefetch(&block->claimed, 1, 3);
        int64_t claimed = dx_load_relaxed(&block->claimed);
        const int64_t last = claimed + claim->count;
        if (last > claim->limit) {
            hold_no_more(claim); /* of a swap that failed */
            return DX_EAGAIN;
        }
        /* I4 */
        dxi_producer_hold(claim->core->entry, claim->held >= 0 ? claim->held : claimed + 1, last);
        dxi_point("claim:before-swap");
        if (dx_compare_exchange_acq_rel(&block->claimed, &claimed, last)) {
            return last;
        }
        /* Another producer was faster, so somebody made progress. Get out of its way. */
        for (int i = 0; i < pauses; i++) {
            dx_cpu_relax();
        }
    }
}

/* The sequence that a claim of `count` would end with now. */
static int64_t claim_target(const dxi_producer_core_t *core, int64_t claimed, int64_t count)
{
    const dx_ring_block_t *block = core->block;
    return (block->mode == DX_RING_SINGLE ? claimed : dx_load_relaxed(&block->claimed)) + count;
}

/* True when waiting for room would be waiting for ourselves: for events that this very handle has
 * claimed and not published, or for the consumer whose handler calls us. */
static bool waits_for_itself(dx_ring_block_t *block, int64_t wrap)
{
    if (block->mode == DX_RING_SINGLE && wrap > dx_load_relaxed(&block->cursor)) {
        return true;
    }
    const dx_consumer_t *current = dxi_current_consumer();
    if (current == NULL || current->block != block) {
        return false;
    }
    if (dx_load_acquire(&current->entry->sequence) >= wrap) {
        return false; /* it has released that event: those behind it get there without it */
    }
    /* A consumer that holds us back is the calling one or behind it. */
    const dx_consumer_entry_t *entries = dxi_block_consumers(block);
    const uint64_t self = UINT64_C(1) << current->index;
    for (uint64_t rest = (uint64_t)dx_load_acquire(&block->gating); rest != 0; rest &= rest - 1) {
        const int index = __builtin_ctzll(rest);
        if (dx_load_acquire(&entries[index].sequence) < wrap &&
            (dxi_upstream_closure(block, UINT64_C(1) << index) & self) != 0) {
            return true;
        }
    }
    return false;
}

/* True when a consumer that would have to move on for the claim has ended. */
static bool needs_ended_consumer(const claim_t *claim)
{
    dx_ring_block_t *block = claim->core->block;
    const int64_t wrap =
        claim_target(claim->core, claim->claimed, claim->count) - (int64_t)block->slot_count;
    return dxi_ended_before(block, (uint64_t)dx_load_acquire(&block->gating), wrap) != 0;
}

/* Why a claim that finds no room must not wait (any longer): DX_OK when it may. */
static int claim_hopeless(const claim_t *claim)
{
    dx_ring_block_t *block = claim->core->block;
    dx_producer_entry_t *entry = claim->core->entry;
    const int64_t wrap =
        claim_target(claim->core, claim->claimed, claim->count) - (int64_t)block->slot_count;

    if (dx_load_relaxed(&block->signal) < 0) {
        return DX_ECLOSED;
    }
    if (dx_load32_acquire(&entry->cancel) != 0) {
        dx_store32_relaxed(&entry->cancel, 0);
        return DX_ECANCELLED;
    }
    if (needs_ended_consumer(claim)) {
        return DX_ECONSUMER;
    }
    return waits_for_itself(block, wrap) ? DX_EDEADLOCK : DX_OK;
}

/* Sleeps or returns at once, as the strategy says; at most `rest_ns` (negative: no limit). */
static void claim_sleep(const claim_t *claim, dxi_pause_action_t action, int64_t rest_ns)
{
    const int64_t sleep_ns = claim->core->options.wait.sleep_ns;
    const bool nap = action == DXI_PAUSE_SLEEP && (rest_ns < 0 || sleep_ns < rest_ns);
    dxi_park_producer(claim->core, claim_target(claim->core, claim->claimed, claim->count),
                      nap ? sleep_ns : rest_ns);
}

static int64_t claim_wait(claim_t *claim, int64_t timeout_ns)
{
    dxi_producer_core_t *core = claim->core;
    dxi_pause_t pause;
    dxi_pause_begin(&pause, &core->options.wait, &core->spin_budget_ns, NULL);
    dxi_count(&core->entry->waits, 1);
    const int64_t started_ns = dx_clock_ns();

    int64_t last = DX_EAGAIN;
    while (last == DX_EAGAIN) {
        const dxi_pause_action_t action = dxi_pause_step(&pause);
        if (action != DXI_PAUSE_AGAIN || pause.look || pause.steps == 1) {
            const int code = claim_hopeless(claim);
            if (code != DX_OK) {
                last = code;
                break;
            }
            const int64_t rest_ns = timeout_ns < 0 ? -1 : timeout_ns - (dx_clock_ns() - started_ns);
            if (timeout_ns >= 0 && rest_ns <= 0) {
                last = claim_once(claim);
                last = last == DX_EAGAIN ? DX_ETIMEDOUT : last;
                break;
            }
            if (action != DXI_PAUSE_AGAIN) {
                claim_sleep(claim, action, rest_ns);
            }
        }
        last = claim_once(claim);
    }
    dxi_pause_end(&pause);
    dxi_count(&core->entry->wait_ns, dx_clock_ns() - started_ns);
    return last;
}

static int64_t claim_or_wait(claim_t *claim, int64_t timeout_ns)
{
    dxi_producer_core_t *core = claim->core;
    if (claim->count < 1 || claim->count > (int64_t)core->block->slot_count) {
        return DX_EINVAL;
    }
    int64_t last = dx_load_relaxed(&core->block->signal) < 0 ? DX_ECLOSED : claim_once(claim);
    const dx_full_policy_t policy = core->options.full;
    if (last == DX_EAGAIN && timeout_ns == DXI_CLAIM_BY_POLICY) {
        if (policy == DX_FULL_DROP) {
            dxi_count(&core->entry->drops, claim->events);
            return DX_EDROPPED;
        }
        if (policy == DX_FULL_WAIT) {
            last = claim_wait(claim, dxi_wait_timeout_ns(&core->options.wait));
        }
    } else if (last == DX_EAGAIN && timeout_ns > 0) {
        last = claim_wait(claim, timeout_ns);
    }
    if (last == DX_EAGAIN && needs_ended_consumer(claim)) {
        last = DX_ECONSUMER; /* trying again would never help */
    }
    if (last < 0) {
        dxi_count(&core->entry->refusals, 1);
        hold_no_more(claim);
    }
    return last;
}

dxi_claim_t dxi_claim_slow(dxi_producer_core_t *core, int64_t claimed, int64_t held, int64_t count,
                           int64_t timeout_ns)
{
    if (DX_UNLIKELY(core->block->spans != 0)) {
        return (dxi_claim_t){.last = DX_EINVAL, .limit = -1}; /* every claim comes here */
    }
    /* Where it does not come to look at the consumers, no room is known. */
    claim_t claim = {.core = core,
                     .claimed = claimed,
                     .held = held,
                     .count = count,
                     .events = count,
                     .limit = claimed};
    const int64_t last = claim_or_wait(&claim, timeout_ns);
    return (dxi_claim_t){.last = last, .limit = claim.limit};
}

dxi_claim_t dxi_claim_span_slow(dxi_producer_core_t *core, int64_t claimed, int64_t held,
                                int64_t slots, int64_t spans, int64_t timeout_ns)
{
    if (DX_UNLIKELY(core->block->spans == 0)) {
        return (dxi_claim_t){.last = DX_EINVAL, .limit = -1}; /* every claim comes here */
    }
    claim_t claim = {.core = core,
                     .claimed = claimed,
                     .held = held,
                     .count = slots,
                     .events = spans,
                     .limit = claimed};
    const int64_t last = claim_or_wait(&claim, timeout_ns);
    return (dxi_claim_t){.last = last, .limit = claim.limit};
}

void dxi_mark_void(dxi_producer_core_t *core, int64_t first, int64_t last)
{
    dxi_count(&core->entry->aborts, last - first + 1);
    for (int64_t sequence = first; sequence <= last; sequence++) {
        dxi_mark(core->block, sequence, DXI_MARK_VOID);
    }
}

bool dxi_claim_has_room(const dxi_producer_core_t *core, int64_t claimed, int64_t count)
{
    return count >= 1 && count <= (int64_t)core->block->slot_count &&
           claim_target(core, claimed, count) <= limit_now(core->block);
}

/* ------------------------------------------------------------------------------ open and close */

static int options_validate(const dx_producer_options_t *options, dx_error_t *error)
{
    if ((unsigned)options->full > DX_FULL_DROP) {
        return dxi_fail(error, DX_EINVAL, "full is %d, must be DX_FULL_WAIT, FAIL or DROP",
                        (int)options->full);
    }
    if (options->name != NULL && strlen(options->name) > DX_RING_NAME_MAX) {
        return dxi_fail(error, DX_EINVAL, "name has %zu bytes, must have at most %u",
                        strlen(options->name), DX_RING_NAME_MAX);
    }
    const int code = dxi_options_reserved(error, options->reserved,
                                          sizeof(options->reserved) / sizeof(uint64_t));
    return code != DX_OK ? code : dx_wait_options_check(&options->wait, error);
}

/* A free entry of the table: its index, or DX_EBUSY, DX_ELIMIT. */
static int entry_find(const dx_ring_block_t *block, dx_error_t *error)
{
    const dx_producer_entry_t *entries = dxi_block_producers(block);
    for (uint32_t i = 0; i < block->producers_max; i++) {
        /* ACQUIRE, pairs with dxi_producer_close(): what its last owner did is visible. */
        if (dx_load32_acquire(&entries[i].in_use) == DXI_PRODUCER_FREE) {
            return (int)i;
        }
    }
    if (block->mode == DX_RING_SINGLE) {
        return dxi_fail(error, DX_EBUSY,
                        "ring '%s' is a single-producer ring and has its producer; close it first "
                        "or make the ring with DX_RING_MULTI",
                        block->name);
    }
    return dxi_fail(error, DX_ELIMIT, "ring '%s' has %u producers, the most it was made for",
                    block->name, block->producers_max);
}

/* Takes an entry and fills it: under the table lock, and `in_use` last, so that there is none whose
 * process is not known. Its index, or DX_EBUSY, DX_ELIMIT. */
static int entry_open(dx_ring_t *ring, const dx_producer_options_t *options, dx_error_t *error)
{
    const int code = dxi_table_lock(ring, error);
    if (code != DX_OK) {
        return code;
    }
    int index = entry_find(ring->block, error);
    if (index < 0 && ((dxi_block_shared(ring->block) && dxi_recover(ring, 0) > 0) ||
                      dxi_recover_closed(ring->block))) {
        index = entry_find(ring->block, error); /* it was a dead or closed one's */
    }
    if (index >= 0) {
        dx_producer_entry_t *entry = &dxi_block_producers(ring->block)[index];
        const char *name = options->name != NULL ? options->name : "producer";
        dxi_name_store(entry->name, name);
        dx_store32_relaxed(&entry->cancel, 0);
        dx_store_relaxed(&entry->held_first, 0);
        dx_store_release(&entry->held_last, INT64_MIN);
        dxi_field_store(&entry->process, dxi_share_index(ring));
        dx_store32_relaxed(&entry->process_id, (int32_t)getpid());
        dx_store32_relaxed(&entry->thread_id, dx_thread_self_id());
        dx_store32_release(&entry->in_use, DXI_PRODUCER_OPEN);
    }
    dxi_table_unlock(ring);
    return index;
}

int dxi_producer_open(dx_producer_t *producer, dx_ring_t *ring,
                      const dx_producer_options_t *options, uint32_t layout, dx_error_t *error)
{
    static const dx_producer_options_t defaults;
    options = options != NULL ? options : &defaults;
    if (layout != DXI_PRODUCER_LAYOUT) { /* `*producer` may be smaller than ours: not touched */
        return dxi_fail(
            error, DX_EVERSION,
            "the program was compiled for layout %#x of this library, it has %#x: compile "
            "it again",
            layout, DXI_PRODUCER_LAYOUT);
    }
    memset(producer, 0, sizeof(*producer));
    const int code = options_validate(options, error);
    if (code != DX_OK) {
        return code;
    }
    dx_ring_block_t *block = ring->block;
    if (dx_load_relaxed(&block->signal) < 0) {
        return dxi_fail(error, DX_ECLOSED, "ring '%s' is closed", block->name);
    }
    const int index = entry_open(ring, options, error);
    if (index < 0) {
        return index;
    }
    dx_producer_entry_t *entry = &dxi_block_producers(block)[index];
    dxi_producer_core_t *core = &ring->producers[index];
    *core = (dxi_producer_core_t){.ring = ring,
                                  .block = block,
                                  .entry = entry,
                                  .options = *options,
                                  .spin_budget_ns = SPIN_BUDGET_START_NS};
    core->options.name = entry->name;
    dxi_wait_options_resolve(&core->options.wait);

    *producer = (dx_producer_t){
        .claimed = dx_load_acquire(&block->cursor),
        .limit = block->spans == 0 ? limit_now(block) : -1,
        .span_limit = block->spans != 0 ? limit_now(block) : -1,
        .slots = dxi_block_slots(block),
        .mask = (int64_t)block->slot_count - 1,
        .block = block,
        .stamps = block->mode == DX_RING_MULTI ? dxi_block_stamps(block) : NULL,
        .slot_bytes = block->slot_bytes,
        .slot_shift = block->slot_shift,
        .prefetch_slots =
            block->slot_bytes < PREFETCH_BYTES ? PREFETCH_BYTES / (int64_t)block->slot_bytes : 1,
        .prefetch_bytes =
            block->slot_bytes < PREFETCH_SLOT_BYTES ? block->slot_bytes : PREFETCH_SLOT_BYTES,
        .span_bytes_max = block->spans != 0 ? dxi_span_bytes_max(block) : -1,
        .entry = entry,
        .core = core,
    };
    return DX_OK;
}

void dxi_producer_close(dxi_producer_core_t *core)
{
    /* A single producer's unpublished claims vanish with the handle: the next one starts behind the
     * cursor. */
    dx_ring_block_t *block = core->block;
    dx_producer_entry_t *entry = core->entry;
    if (block->mode == DX_RING_SINGLE) {
        if (core->ring->share == NULL || core->ring->share->index >= 0) { /* not after fork() */
            dx_store32_release(&entry->in_use, DXI_PRODUCER_FREE);
        }
        return;
    }
    if (!dxi_table_lock_always(core->ring)) {
        return;
    }
    /* RELAXED: who decides by it holds the lock. */
    dx_store32_relaxed(&entry->in_use, DXI_PRODUCER_CLOSED);
    dxi_point("close:closed");
    (void)dxi_recover_closed(block);
    dxi_table_unlock(core->ring);
}

void dxi_producer_cancel(dxi_producer_core_t *core)
{
    dx_store32_release(&core->entry->cancel, 1);
    /* No fence: the epoch changes behind the flag, and the futex compares it. */
    dxi_wake_producers(core->block);
}
