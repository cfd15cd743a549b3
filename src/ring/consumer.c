/* consumer.c - the consumer table: adding, removing and driving consumers.
 *
 * DESIGN
 *
 * A consumer is an entry of the table: its sequence, whom it follows (a mask of entries; none = the
 * publication), whom to wake, its counters. The masks `active` and `gating` of the block name the
 * entries in use and those that hold producers back: the ends of the graph.
 *
 * ADDING while producers run is a pair of Dekker again, without a cost to the producers. The adder
 * enters the gating mask, passes the heavy fence, and only then reads where to start. A producer
 * computes its limit from the mask, and looks when it is done whether somebody has joined. If it
 * did not see that even then, its whole computation lies before the fence, so it was based on
 * sequences no later than the start that the adder reads: its limit can't reach beyond
 * start + slot_count. Joins are counted: the mask looks the same when one consumer leaves and
 * another joins in its entry.
 *
 * INVARIANTS
 *
 *   C1  gating = the active consumers that no active one follows; changed under the ring's lock,
 *       adding bits before clearing those they stand for
 *   C2  a consumer's sequence never passes what it follows
 *   C3  a new consumer gets every event published after dx_consumer_open() returned, each once
 *   C4  upstream masks form no cycle: a consumer can follow only entries that exist
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/options.h"
#include "disruptorx/thread.h"
#include "ring/ring_internal.h"
#include "ring/share.h"

/* Stamps looked at in one poll: the first event of a long run does not wait for the last. */
#define OBSERVE_MAX 1024
#define SPIN_BUDGET_START_NS INT64_C(5000)

#define FOLLOW_SLOTS 512
#define FOLLOW_BYTES 32768u

static _Thread_local dx_consumer_t *current_consumer;

dx_consumer_t *dxi_current_consumer(void)
{
    return current_consumer;
}

void dxi_set_current_consumer(dx_consumer_t *consumer)
{
    current_consumer = consumer;
}

/* ----------------------------------------------------------------------------------- observing */

int64_t dxi_consumer_observe(dx_consumer_t *consumer)
{
    if (consumer->stamps == NULL) {
        const int64_t last = dxi_minimum(consumer->block, consumer->upstream);
        return last >= consumer->next ? last : consumer->next - 1;
    }
    /* What was seen readable stays readable until we release it: go on from there. */
    int64_t last = consumer->available;
    last = last >= consumer->next ? last : consumer->next - 1;
    const int64_t end = consumer->next + OBSERVE_MAX - 1;
    while (last < end) {
        const int64_t sequence = last + 1;
        /* ACQUIRE, pairs with (S) in dx_producer_publish_range(). A later lap counts, too: a worker
         * that waits holds nobody back, so others may have handled the event and its slot been
         * published again. It then finds that out by its claim (src/ring/worker.c). Compared by
         * difference, so 32 bits may wrap. */
        const int32_t stamp = dx_load32_acquire(&consumer->stamps[sequence & consumer->mask]);
        const int32_t lap = (int32_t)(sequence >> consumer->slot_shift);
        if ((int32_t)((uint32_t)stamp - (uint32_t)lap) < 0) {
            break;
        }
        last = sequence;
    }
    consumer->available = last;
    return last;
}

bool dxi_consumer_hidden(const dx_consumer_t *consumer, int64_t sequence)
{
    /* Events published before it was added, that only pass through: see start_place(). */
    if (sequence <= dx_load_relaxed(&consumer->entry->start_sequence)) {
        return true;
    }
    const int64_t bits = dxi_mark_bits(consumer->block, sequence);
    return (bits & (DXI_MARK_VOID | consumer->skip_watch)) != 0;
}

int dx_consumer_skip(dx_consumer_t *consumer, int64_t sequence)
{
    if (consumer->entry->skip_bit == 0) {
        return DX_ESTATE;
    }
    if (sequence < consumer->next || dx_consumer_poll(consumer) < sequence) {
        return DX_EINVAL;
    }
    dxi_mark(consumer->block, sequence, consumer->entry->skip_bit);
    return DX_OK;
}

/* ------------------------------------------------------------------------------ open and close */

static int options_validate(const dx_ring_t *ring, const dx_consumer_options_t *options,
                            dx_error_t *error)
{
    if (options->name != NULL && strlen(options->name) > DX_RING_NAME_MAX) {
        return dxi_fail(error, DX_EINVAL, "name has %zu bytes, must have at most %u",
                        strlen(options->name), DX_RING_NAME_MAX);
    }
    if ((unsigned)options->start > DX_START_OLDEST) {
        return dxi_fail(error, DX_EINVAL, "start is %d, must be DX_START_CURSOR or DX_START_OLDEST",
                        (int)options->start);
    }
    const uint64_t unknown = options->upstream & ~(uint64_t)dx_load_acquire(&ring->block->active);
    if (unknown != 0) {
        return dxi_fail(error, DX_ENOTFOUND, "upstream names consumer %d, which does not exist",
                        __builtin_ctzll(unknown));
    }
    const int code = dxi_options_reserved(error, options->reserved,
                                          sizeof(options->reserved) / sizeof(uint64_t));
    return code != DX_OK ? code : dx_wait_options_check(&options->wait, error);
}

/* The lowest free entry, or -1. */
static int entry_find(const dx_ring_block_t *block)
{
    const uint64_t all = (UINT64_C(1) << block->consumers_max) - 1;
    const uint64_t free_mask = all & ~(uint64_t)dx_load_relaxed(&block->active);
    return free_mask != 0 ? __builtin_ctzll(free_mask) : -1;
}

/* A bit of marks that no active consumer sets or heeds, or 0. */
static int64_t skip_bit_find(const dx_ring_block_t *block)
{
    const dx_consumer_entry_t *entries = dxi_block_consumers(block);
    int64_t used = 0;
    for (uint64_t rest = (uint64_t)dx_load_relaxed(&block->active); rest != 0; rest &= rest - 1) {
        const dx_consumer_entry_t *entry = &entries[__builtin_ctzll(rest)];
        used |= entry->skip_bit | dx_load_relaxed(&entry->skip_watch);
    }
    const int64_t free_bits = DXI_MARK_SKIPS & ~used;
    return free_bits & -free_bits;
}

/* The skip bits of everybody upstream: what hides an event from who follows `upstream`. */
static int64_t skip_watch_of(const dx_ring_block_t *block, uint64_t upstream)
{
    const dx_consumer_entry_t *entries = dxi_block_consumers(block);
    int64_t watch = 0;
    for (uint64_t rest = dxi_upstream_closure(block, upstream); rest != 0; rest &= rest - 1) {
        watch |= entries[__builtin_ctzll(rest)].skip_bit;
    }
    return watch;
}

/* Where a new consumer stands (`*sequence_out`) and from where on it is given events
 * (`*start_out` + 1). The two differ when what it follows is still behind the publication: it must
 * not pass that (C2), but the events in between are not its own (C3). They are hidden from it. */
static void start_place(dx_ring_block_t *block, const dx_consumer_options_t *options,
                        uint64_t others, int64_t *sequence_out, int64_t *start_out)
{
    const int64_t published = dxi_published(block);
    int64_t start = published;
    if (options->start == DX_START_OLDEST && others != 0) {
        const int64_t oldest = dxi_minimum(block, others);
        start = oldest < published ? oldest : published;
    }
    const int64_t upstream = dxi_minimum(block, options->upstream);
    *start_out = start;
    *sequence_out = start < upstream ? start : upstream;
    if (*sequence_out < start) {
        int64_t last = dx_load_relaxed(&block->marks_last); /* sends readers to the slow look */
        while (last < start && !dx_compare_exchange_acq_rel(&block->marks_last, &last, start)) {
        }
    }
}

static void entry_init(dx_consumer_entry_t *entry, const dx_consumer_options_t *options,
                       int32_t process, int64_t fence)
{
    const char *name = options->name != NULL ? options->name : "consumer";
    /* Others may still hold a mask of before, in which this entry was an earlier consumer's, and
     * look at it: so the words that they share are stored one by one, and the sequence, which must
     * never say what was never true, is left to the caller. */
    dx_store32_relaxed(&entry->control, 0);
    dx_store32_relaxed(&entry->state, DX_CONSUMER_FREE);
    dx_store_relaxed(&entry->skip_watch, 0);
    dx_store_relaxed(&entry->start_sequence, 0);
    dx_store32_relaxed(&entry->park, 0);
    dx_store32_relaxed(&entry->asleep, 0);
    dx_store_relaxed(&entry->want, 0);
    dx_store32_relaxed(&entry->failure, DX_OK);
    dx_atomic64_t *counters = (dx_atomic64_t *)&entry->counters; /* it has nothing else */
    for (size_t i = 0; i < sizeof(entry->counters) / sizeof(*counters); i++) {
        dx_store_relaxed(&counters[i], 0);
    }
    memset(entry->name, 0, sizeof(entry->name));
    memcpy(entry->name, name, strlen(name));
    entry->kind = DX_CONSUMER_POLLER;
    entry->wait_kind = (int32_t)options->wait.kind;
    entry->pool = 0;
    entry->process = process;
    entry->on_death = (int32_t)options->on_death;
    dx_store_relaxed(&entry->waiters, fence);
    dx_store_relaxed(&entry->upstream, (int64_t)options->upstream);
    dx_store32_relaxed(&entry->process_id, (int32_t)getpid());
    dx_store32_relaxed(&entry->thread_id, dx_thread_self_id());
}

void dxi_consumer_bind(dx_consumer_t *consumer)
{
    dx_ring_block_t *block = consumer->block;
    dx_consumer_entry_t *entries = dxi_block_consumers(block);
    const uint64_t upstream = (uint64_t)dx_load_acquire(&consumer->entry->upstream);

    consumer->upstream = upstream;
    consumer->stamps = NULL;
    consumer->source = NULL;
    if (upstream == 0) {
        if (block->mode == DX_RING_SINGLE) {
            consumer->source = &block->cursor;
        } else {
            consumer->stamps = dxi_block_stamps(block);
        }
    } else if ((upstream & (upstream - 1)) == 0) {
        consumer->source = &entries[__builtin_ctzll(upstream)].sequence;
    }
    /* Who has left may have hidden events that we have yet to pass: its bit counts until then. */
    dx_consumer_entry_t *entry = consumer->entry;
    const bool marks_ahead =
        dx_load_relaxed(&block->marks_last) > dx_load_relaxed(&entry->sequence);
    consumer->skip_watch =
        skip_watch_of(block, upstream) | (marks_ahead ? dx_load_relaxed(&entry->skip_watch) : 0);
    dx_store_relaxed(&entry->skip_watch, consumer->skip_watch);
}

/* How far behind a busy producer to stay, in slots: a wish, or 512 but no more than 32 KiB, which a
 * first-level cache holds; and never more than half of the ring, which the producer needs. */
static int32_t follow_distance(const dx_ring_block_t *block, int32_t wish)
{
    const int32_t half = (int32_t)(block->slot_count / 2);
    const int32_t cached = (int32_t)(FOLLOW_BYTES / block->slot_bytes);
    const int32_t usual = cached < FOLLOW_SLOTS ? cached : FOLLOW_SLOTS;
    const int32_t distance = wish != 0 ? wish : usual;
    return distance < half ? distance : half;
}

static void handle_init(dx_consumer_t *consumer, dx_ring_t *ring, int32_t index,
                        const dx_consumer_options_t *options, int64_t start)
{
    dx_ring_block_t *block = ring->block;
    memset(consumer, 0, sizeof(*consumer));
    consumer->next = start + 1;
    consumer->available = start;
    consumer->missed_last = -1; /* nothing */
    consumer->slots = dxi_block_slots(block);
    consumer->mask = (int64_t)block->slot_count - 1;
    consumer->block = block;
    consumer->entry = &dxi_block_consumers(block)[index];
    consumer->slot_bytes = block->slot_bytes;
    consumer->slot_shift = block->slot_shift;
    consumer->index = index;
    consumer->ring = ring;
    consumer->wait = options->wait;
    dxi_wait_options_resolve(&consumer->wait);
    consumer->spin_budget_ns = SPIN_BUDGET_START_NS;
    consumer->follow_slots = follow_distance(block, consumer->wait.follow_slots);
    dxi_consumer_bind(consumer);
}

static int open_locked(dx_consumer_t *consumer, dx_ring_t *ring,
                       const dx_consumer_options_t *options, dx_error_t *error)
{
    dx_ring_block_t *block = ring->block;
    const int code = options_validate(ring, options, error);
    if (code != DX_OK) {
        return code;
    }
    const int index = entry_find(block);
    if (index < 0) {
        return dxi_fail(error, DX_ELIMIT,
                        "ring '%s' has %u consumers, the most it was made for (consumers_max)",
                        block->name, block->consumers_max);
    }
    const int64_t skip_bit = options->may_skip ? skip_bit_find(block) : 0;
    if (options->may_skip && skip_bit == 0) {
        return dxi_fail(error, DX_ELIMIT, "ring '%s' has %u consumers that may skip, the most",
                        block->name, DX_RING_SKIPPERS_MAX);
    }
    const uint64_t others = (uint64_t)dx_load_relaxed(&block->gating);
    dx_consumer_entry_t *entry = &dxi_block_consumers(block)[index];
    const int64_t fence = dx_load_relaxed(&block->signal) & DXI_SIGNAL_FENCE;
    entry_init(entry, options, dxi_share_index(ring), fence);
    entry->skip_bit = skip_bit;
    /* First as slow as the slowest, so that no limit passes us while we look for our place. */
    dx_store_relaxed(&entry->sequence, dxi_gating_minimum(block));
    dx_store32_release(&entry->state, DX_CONSUMER_ADDED);
    const int64_t bit = INT64_C(1) << index;
    (void)dx_fetch_or_acq_rel(&block->active, bit);
    (void)dx_fetch_or_acq_rel(&block->gating, bit);
    /* RELEASE, pairs with dxi_gating_minimum(): who sees that somebody joined sees the bit. */
    dx_store_release(&block->joins, dx_load_relaxed(&block->joins) + 1);
    dxi_point("open:before-fence");
    dxi_heavy_fence(block);
    dxi_point("open:before-start");
    int64_t sequence = 0;
    int64_t start = 0;
    start_place(block, options, others, &sequence, &start);
    dx_store_relaxed(&entry->start_sequence, start);
    dx_store_release(&entry->sequence, sequence);
    (void)dx_fetch_and_acq_rel(&block->gating, ~(int64_t)options->upstream); /* C1 */
    dxi_wake_producers(block); /* one may have gone to sleep because we stood further back */
    handle_init(consumer, ring, index, options, sequence);
    ring->handles[index] = consumer;
    return DX_OK;
}

int dxi_consumer_open(dx_consumer_t *consumer, dx_ring_t *ring,
                      const dx_consumer_options_t *options, uint32_t layout, dx_error_t *error)
{
    if (layout != DXI_CONSUMER_LAYOUT) { /* `*consumer` may be smaller than ours: not touched */
        return dxi_fail(
            error, DX_EVERSION,
            "the program was compiled for layout %#x of this library, it has %#x: compile "
            "it again",
            layout, DXI_CONSUMER_LAYOUT);
    }
    dx_consumer_options_t whole = {0};
    if (options != NULL) {
        whole = *options;
    }
    memset(consumer, 0, sizeof(*consumer));
    int code = dxi_table_lock(ring, error);
    if (code == DX_OK) {
        whole.upstream = dxi_whole_pools(ring->block, whole.upstream);
        code = open_locked(consumer, ring, &whole, error);
        dxi_table_unlock(ring);
    }
    return code;
}

void dx_consumer_close(dx_consumer_t *consumer)
{
    if (consumer->entry == NULL) {
        return;
    }
    dx_ring_t *ring = consumer->ring;
    dx_ring_block_t *block = ring->block;
    dx_consumer_entry_t *entries = dxi_block_consumers(block);
    const uint64_t self = UINT64_C(1) << consumer->index;

    if (!dxi_table_lock_always(ring)) {
        return;
    }
    /* Those behind us follow what we followed. */
    uint64_t followed = 0;
    uint64_t behind = 0; /* at any distance, as far as it matters to them */
    for (uint64_t rest = (uint64_t)dx_load_relaxed(&block->active) & ~self; rest != 0;
         rest &= rest - 1) {
        dx_consumer_entry_t *entry = &entries[__builtin_ctzll(rest)];
        uint64_t upstream = (uint64_t)dx_load_relaxed(&entry->upstream);
        if ((upstream & self) != 0) {
            upstream = (upstream & ~self) | consumer->upstream;
            dx_store_release(&entry->upstream, (int64_t)upstream);
            behind |= rest & -rest;
        }
        if ((dx_load_relaxed(&entry->skip_watch) & consumer->entry->skip_bit) != 0) {
            behind |= rest & -rest;
        }
        followed |= upstream;
    }
    (void)dx_fetch_or_acq_rel(&block->gating, (int64_t)(consumer->upstream & ~followed)); /* C1 */
    (void)dx_fetch_and_acq_rel(&block->gating, (int64_t)~self);
    (void)dx_fetch_and_acq_rel(&block->active, (int64_t)~self);
    dx_store32_release(&consumer->entry->state, DX_CONSUMER_FREE);
    ring->handles[consumer->index] = NULL;
    for (; behind != 0; behind &= behind - 1) {
        dxi_consumer_bind(ring->handles[__builtin_ctzll(behind)]);
    }
    dxi_heavy_fence(block);
    dxi_wake_followers(block, consumer->index);
    dxi_table_unlock(ring);
    consumer->entry = NULL;
}

int64_t dx_consumer_missed(const dx_consumer_t *consumer, int64_t *first_out, int64_t *last_out)
{
    *first_out = consumer->missed_first;
    *last_out = consumer->missed_last;
    return *first_out <= *last_out ? *last_out - *first_out + 1 : 0;
}

void dx_consumer_fail(dx_consumer_t *consumer, int code)
{
    dx_consumer_entry_t *entry = consumer->entry;
    dx_store32_relaxed(&entry->failure, code < 0 ? code : DX_EFATAL);
    dx_store32_release(&entry->state, DX_CONSUMER_FAILED);
    dxi_heavy_fence(consumer->block);
    dxi_wake_followers(consumer->block, consumer->index);
}

void dxi_consumer_control(const dx_ring_t *ring, int32_t index, int32_t flag)
{
    dx_consumer_entry_t *entry = &dxi_block_consumers(ring->block)[index];
    (void)dx_fetch_or32_acq_rel(&entry->control, flag);
    dxi_heavy_fence(ring->block);
    dxi_wake_consumer(entry, dxi_block_shared(ring->block));
}

void dx_consumer_cancel(dx_consumer_t *consumer)
{
    dxi_consumer_control(consumer->ring, consumer->index, DXI_CONTROL_CANCEL);
}

/* ------------------------------------------------------------------------------------ draining */

/* Counts why an event was not given to the handler. */
static void count_hidden(const dx_consumer_t *consumer, int64_t sequence)
{
    if (sequence <= dx_load_relaxed(&consumer->entry->start_sequence)) {
        return; /* it was never ours */
    }
    const int64_t bits = dxi_mark_bits(consumer->block, sequence);
    dx_consumer_counters_t *counters = &consumer->entry->counters;
    dxi_count((bits & DXI_MARK_VOID) != 0 ? &counters->voids : &counters->skips, 1);
}

static void count_batch(const dx_consumer_t *consumer, int64_t events)
{
    dx_consumer_counters_t *counters = &consumer->entry->counters;
    dxi_count(&counters->events, events);
    dxi_count(&counters->batches, events > 0);
    if (events > dx_load_relaxed(&counters->batch_max)) {
        dx_store_relaxed(&counters->batch_max, events);
    }
}

int dx_consumer_drain(dx_consumer_t *consumer, dx_poll_handler_t handler, void *context,
                      int64_t limit)
{
    int64_t last = dx_consumer_poll(consumer);
    if (last < consumer->next) {
        return dxi_published(consumer->block) >= consumer->next ? DX_POLL_GATING : DX_POLL_IDLE;
    }
    if (limit > 0 && last - consumer->next >= limit) {
        last = consumer->next + limit - 1;
    }
    int64_t last_visible = last;
    while (last_visible >= consumer->next && dx_consumer_is_hidden(consumer, last_visible)) {
        last_visible--;
    }
    int64_t handled = 0;
    int code = DX_OK;
    int64_t sequence = consumer->next;
    dx_consumer_t *outer = current_consumer;
    current_consumer = consumer; /* a claim by the handler must not wait for this consumer */
    for (; sequence <= last_visible && code == DX_OK; sequence++) {
        if (dx_consumer_is_hidden(consumer, sequence)) {
            count_hidden(consumer, sequence);
            continue;
        }
        code = handler(context, dx_consumer_event(consumer, sequence), sequence,
                       sequence == last_visible);
        handled += code >= 0;
    }
    current_consumer = outer;
    if (code == DX_OK) {
        for (; sequence <= last; sequence++) {
            count_hidden(consumer, sequence);
        }
    }
    count_batch(consumer, handled);
    /* Stopped before the event that failed, or behind the last one handled. */
    dx_consumer_release(consumer, code < 0 ? sequence - 2 : sequence - 1);
    return code < 0 ? code : DX_POLL_PROCESSING;
}
