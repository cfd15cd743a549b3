/* consumer.c - the consumer table: adding, removing and driving consumers.
 *
 * DESIGN
 *
 * A consumer is an entry of the table: its sequence, whom it follows (a mask of entries; none = the
 * publication), whom to wake, its counters. The masks `active` and `gating` of the block name the
 * entries in use and those that hold producers back: the ends of the graph.
 *
 * ADDING while producers run is a pair of Dekker again. The adder enters the gating mask, passes a
 * full fence, and only then reads where to start. A producer computes its limit from the mask,
 * passes a full fence, and looks whether somebody has joined. If it did not see that, its whole
 * computation lies before the adder's fence, so it was based on sequences no later than the start
 * that the adder reads: its limit can't reach beyond start + slot_count. So a start must not lie
 * before the slowest that gates at that moment, even where older events still stand in their slots:
 * a limit that was computed before reaches over them. Joins are counted: the mask looks the same
 * when one consumer leaves and another joins in its entry.
 *
 *     The producer pays its fence, some 20 cycles, once a lap, or while it waits for room. With the
 *     heavy fence of park.c it would pay nothing, and be interrupted by each membarrier() of who
 *     joins: for 10 us in a virtual machine.
 *
 * INVARIANTS
 *
 *   C1  gating = the active consumers that no other one covers (relink.c); changed under the
 *       ring's lock, adding bits before clearing those they stand for
 *   C2  a consumer does not read beyond what it follows
 *   C3  a new consumer gets every event published after dx_consumer_open() returned, each once
 *   C4  upstream masks form no cycle
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

/* As dxi_minimum(), where a word may take the place of another meanwhile: see src/ring/worker.c. */
static int64_t minimum_of_several(const dx_consumer_t *consumer)
{
    const dx_atomic64_t *joins = &consumer->block->joins;
    for (;;) {
        /* ACQUIRE, pairs with dxi_worker_hand_over(): who sees it counted sees both announced. */
        const int64_t before = dx_load_acquire(joins);
        const int64_t last = dxi_minimum(consumer->block, consumer->upstream);
        if (dx_load_relaxed(joins) == before) { /* behind the acquires of dxi_minimum() */
            return last;
        }
    }
}

/* The last readable sequence of what it is bound to, next - 1 when there is none. */
static int64_t observe_bound(dx_consumer_t *consumer)
{
    if (consumer->stamps == NULL) {
        const int64_t last = consumer->source != NULL ? dx_load_acquire(consumer->source)
                                                      : minimum_of_several(consumer);
        return last >= consumer->next ? last : consumer->next - 1;
    }
    if (consumer->block->spans != 0) {
        return dxi_span_observe(consumer);
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

int64_t dxi_consumer_observe(dx_consumer_t *consumer)
{
    if (DX_UNLIKELY(consumer->evicted)) {
        return consumer->next - 1;
    }
    int64_t last = observe_bound(consumer);
    if (DX_UNLIKELY(last < consumer->next && consumer->stamps != NULL &&
                    dx_load32_relaxed(&consumer->block->closed) != 0) &&
        dxi_recover_closed_try(consumer->ring)) {
        last = observe_bound(consumer); /* what comes next was nobody's */
    }
    if (DX_LIKELY(last >= consumer->next) ||
        DX_LIKELY((dx_load32_relaxed(&consumer->entry->control) & DXI_CONTROL_ATTEND) == 0)) {
        return last;
    }
    if (dxi_consumer_is_evicted(consumer)) {
        return consumer->next - 1;
    }
    (void)dxi_consumer_rebind(consumer); /* nothing is there: it holds no event (L2) */
    return observe_bound(consumer);
}

bool dxi_consumer_hidden(const dx_consumer_t *consumer, int64_t sequence)
{
    /* Events published before it was added, that only pass through: see start_place(). */
    if (sequence <= dx_load_relaxed(&consumer->entry->start_sequence)) {
        return true;
    }
    const int64_t bits = dxi_mark_bits(consumer->block, sequence);
    return bits != 0 && (bits & (DXI_MARK_VOID | dxi_skips(consumer->entry, sequence))) != 0;
}

int dx_consumer_skip(dx_consumer_t *consumer, int64_t sequence)
{
    if (consumer->entry->skip_bit == 0) {
        return DX_ESTATE;
    }
    if (sequence < consumer->next || dx_consumer_poll(consumer) < sequence) {
        return DX_EINVAL;
    }
    dxi_event_skip(consumer, sequence);
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
    if ((unsigned)options->start > DX_START_SEQUENCE) {
        return dxi_fail(error, DX_EINVAL,
                        "start is %d, must be DX_START_CURSOR, DX_START_OLDEST or "
                        "DX_START_SEQUENCE",
                        (int)options->start);
    }
    if (options->start != DX_START_SEQUENCE && options->start_sequence != 0) {
        return dxi_fail(error, DX_EINVAL,
                        "start_sequence is %" PRId64 ", must be 0 unless start is "
                        "DX_START_SEQUENCE",
                        options->start_sequence);
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

/* The lowest free entry above `index`, or -1. One that could still be resumed comes last. */
static int entry_find(const dx_ring_block_t *block, int32_t index)
{
    const dx_consumer_entry_t *entries = dxi_block_consumers(block);
    const uint64_t found = dxi_entries_free(block) & ~UINT64_C(0) << (index + 1);
    for (uint64_t rest = found; rest != 0; rest &= rest - 1) {
        if (dx_load32_relaxed(&entries[__builtin_ctzll(rest)].state) != DX_CONSUMER_EVICTED) {
            return __builtin_ctzll(rest);
        }
    }
    return found != 0 ? __builtin_ctzll(found) : -1;
}

/* The slowest of `mask`. Of a pool only its own word counts: what a worker announces before it
 * knows that it has claimed it (src/ring/worker.c) may be older than anything that is kept, and no
 * limit was ever computed from more than what the pool has claimed. */
static int64_t oldest_kept(const dx_ring_block_t *block, uint64_t mask)
{
    const dx_consumer_entry_t *entries = dxi_block_consumers(block);
    uint64_t kept = mask;
    for (uint64_t rest = mask; rest != 0; rest &= rest - 1) {
        const int index = __builtin_ctzll(rest);
        if (entries[index].kind == DX_CONSUMER_WORKER) {
            kept &= ~(UINT64_C(1) << index);
        }
    }
    return dxi_minimum(block, kept);
}

/* Where a new consumer is to begin: the last sequence before that. */
static int start_find(dx_ring_block_t *block, const dx_consumer_options_t *options,
                      int64_t resumed_at, uint64_t others, int64_t *start_out, int64_t *oldest_out,
                      dx_error_t *error)
{
    const int64_t published = dxi_published(block);
    int64_t oldest = oldest_kept(block, others);
    oldest = oldest < published ? oldest : published;
    *oldest_out = oldest;
    *start_out = options->start == DX_START_OLDEST ? oldest : published;
    if (resumed_at != INT64_MIN) {
        *start_out = resumed_at - 1 > oldest ? resumed_at - 1 : oldest;
        return DX_OK;
    }
    if (options->start != DX_START_SEQUENCE) {
        return DX_OK;
    }
    const int64_t newest = published + (int64_t)block->slot_count;
    const int64_t start = options->start_sequence - 1;
    if (start < oldest || start > newest) {
        return dxi_fail(error, DX_ELIMIT,
                        "start_sequence is %" PRId64 ", must be from %" PRId64
                        ", the oldest event that is kept, to %" PRId64 ", one ring beyond the next",
                        options->start_sequence, oldest + 1, newest + 1);
    }
    *start_out = start;
    return DX_OK;
}

/* Where the consumer stands. That is not where it begins when what it follows, or the publication,
 * is still behind: it must not pass that (C2), but the events in between are not its own (C3). They
 * are hidden from it. And it must not stand in the middle of a span: `oldest` is the end of one. */
static int64_t start_place(dx_ring_block_t *block, uint64_t upstream, int64_t oldest, int64_t start)
{
    const int64_t published = dxi_published(block);
    int64_t ahead = upstream != 0 ? dxi_minimum(block, upstream) : published;
    if (block->spans != 0) {
        ahead = ahead > oldest ? ahead : oldest; /* what lies before it is no span any more */
        ahead = start < ahead ? dxi_span_floor(block, oldest, start) : ahead;
    }
    if (start <= ahead) {
        return start;
    }
    int64_t last = dx_load_relaxed(&block->marks_last); /* sends readers to the slow look */
    while (last < start && !dx_compare_exchange_acq_rel(&block->marks_last, &last, start)) {
    }
    return ahead;
}

static void entry_init(dx_consumer_entry_t *entry, const dx_consumer_options_t *options,
                       const dxi_consumer_role_t *role, int32_t process, int64_t fence)
{
    const char *name = options->name != NULL ? options->name : "consumer";
    /* Others may still hold a mask of before, in which this entry was an earlier consumer's, and
     * look at it: so the words that they share are stored one by one, and the sequence, which must
     * never say what was never true, is left to the caller. */
    dx_store32_relaxed(&entry->control, 0);
    dx_store32_relaxed(&entry->state, DX_CONSUMER_FREE);
    dx_store_relaxed(&entry->bound, 0);
    dx_store_relaxed(&entry->skip_watch, 0);
    dx_store_relaxed(&entry->skip_before, 0);
    dx_store_relaxed(&entry->skip_since, INT64_MIN);
    dx_store_relaxed(&entry->start_sequence, 0);
    dx_store32_relaxed(&entry->park, 0);
    dx_store32_relaxed(&entry->asleep, 0);
    dx_store_relaxed(&entry->want, 0);
    dx_store32_relaxed(&entry->failure, DX_OK);
    dx_atomic64_t *counters = (dx_atomic64_t *)&entry->counters; /* it has nothing else */
    for (size_t i = 0; i < sizeof(entry->counters) / sizeof(*counters); i++) {
        dx_store_relaxed(&counters[i], 0);
    }
    dxi_name_store(entry->name, name);
    dxi_field_store(&entry->kind, (int32_t)role->kind);
    dxi_field_store(&entry->wait_kind, (int32_t)options->wait.kind);
    entry->pool = role->pool;
    dxi_field_store(&entry->process, process);
    dxi_field_store(&entry->on_death, (int32_t)options->on_death);
    dx_store_relaxed(&entry->waiters, fence);
    dx_store_relaxed(&entry->upstream, (int64_t)options->upstream);
    dx_store32_relaxed(&entry->process_id, (int32_t)getpid());
    dx_store32_relaxed(&entry->thread_id, dx_thread_self_id());
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

/* Enters the masks so that no producer passes the new consumer, and finds its place. */
static int join(dx_ring_block_t *block, int32_t index, const dx_consumer_options_t *options,
                int64_t resumed_at, int64_t *sequence_out, dx_error_t *error)
{
    dx_consumer_entry_t *entry = &dxi_block_consumers(block)[index];
    const int64_t bit = INT64_C(1) << index;
    const uint64_t others = (uint64_t)dx_load_relaxed(&block->gating);
    /* First as slow as the slowest, so that no limit passes us while we look for our place. Who
     * reads it by a mask of before, in which the entry was another's, must see who gates now.
     * RELEASE, pairs with dxi_minimum(), for the race checker: the fences of dxi_gating_minimum(),
     * of this one and of theirs, say the same, but that it can't follow. */
    dx_store_release(&entry->sequence, dxi_gating_minimum(block));
    (void)dx_fetch_or_acq_rel(&block->active, bit);
    (void)dx_fetch_or_acq_rel(&block->gating, bit);
    /* RELEASE, pairs with dxi_gating_minimum(): who sees that somebody joined sees the bit. */
    dx_store_release(&block->joins, dx_load_relaxed(&block->joins) + 1);
    dxi_point("open:before-fence");
    dx_fence_seq_cst(); /* Dekker pair with dxi_gating_minimum() */
    dxi_point("open:before-start");
    int64_t start = 0;
    int64_t oldest = 0;
    const int code = start_find(block, options, resumed_at, others, &start, &oldest, error);
    if (code != DX_OK) {
        (void)dxi_entries_leave(block, (uint64_t)bit, DX_CONSUMER_FREE);
        return code;
    }
    *sequence_out = start_place(block, options->upstream, oldest, start);
    dx_store_relaxed(&entry->start_sequence, start);
    dx_store_release(&entry->sequence, *sequence_out);
    return DX_OK;
}

/* A worker holds nobody back before it has claimed, and that it does only when all who are bound to
 * its pool are bound to it (L4): no fence is needed. Returns whom to tell. */
static uint64_t join_pool(dx_ring_block_t *block, int32_t index, int32_t pool)
{
    dx_consumer_entry_t *entries = dxi_block_consumers(block);
    dx_consumer_entry_t *entry = &entries[index];
    /* What the pool has yet to claim is this worker's, too. */
    dx_store_relaxed(&entry->start_sequence, dx_load_relaxed(&entries[pool].start_sequence));
    dx_store_release(&entry->sequence, DX_SEQUENCE_IDLE);
    (void)dx_fetch_or_acq_rel(&block->active, INT64_C(1) << index);
    uint64_t told = 0;
    for (uint64_t rest = (uint64_t)dx_load_relaxed(&block->active); rest != 0; rest &= rest - 1) {
        const int behind = __builtin_ctzll(rest);
        const uint64_t upstream = (uint64_t)dx_load_relaxed(&entries[behind].upstream);
        if ((upstream >> pool & 1) != 0) {
            told |= dxi_entry_follow(block, behind, upstream | UINT64_C(1) << index);
        }
    }
    return told;
}

static int open_locked(dx_consumer_t *consumer, dx_ring_t *ring,
                       const dx_consumer_options_t *options, const dxi_consumer_role_t *role,
                       int64_t resumed_at, uint64_t *told_out, dx_error_t *error)
{
    dx_ring_block_t *block = ring->block;
    int code = options_validate(ring, options, error);
    if (code != DX_OK) {
        return code;
    }
    const bool worker = role->kind == DX_CONSUMER_WORKER;
    const int index = entry_find(block, worker ? role->pool : -1); /* W4 in src/ring/worker.c */
    if (index < 0) {
        return dxi_fail(error, DX_ELIMIT,
                        "ring '%s' has %u consumers, the most it was made for (consumers_max)",
                        block->name, block->consumers_max);
    }
    const int64_t skip_bit = options->may_skip ? dxi_skip_bit_find(block) : 0;
    if (options->may_skip && skip_bit == 0) {
        return dxi_fail(error, DX_ELIMIT, "ring '%s' has %u consumers that may skip, the most",
                        block->name, DX_RING_SKIPPERS_MAX);
    }
    dx_consumer_entry_t *entry = &dxi_block_consumers(block)[index];
    const int64_t fence = dx_load_relaxed(&block->signal) & DXI_SIGNAL_FENCE;
    entry_init(entry, options, role, dxi_share_index(ring), fence);
    entry->skip_bit = skip_bit;
    dx_store32_release(&entry->state, DX_CONSUMER_ADDED);
    int64_t sequence = 0;
    if (worker) {
        *told_out = join_pool(block, index, role->pool);
        sequence = dx_load_acquire(&dxi_block_consumers(block)[role->pool].sequence);
    } else {
        code = join(block, index, options, resumed_at, &sequence, error);
    }
    if (code == DX_OK) {
        handle_init(consumer, ring, index, options, sequence);
        ring->handles[index] = consumer;
        dxi_gating_update(block);
    }
    return code;
}

/* Takes over what a consumer of that name left, or opens a new one. */
static int resume_locked(dx_consumer_t *consumer, dx_ring_t *ring,
                         const dx_consumer_options_t *options, const dxi_consumer_role_t *role,
                         dx_error_t *error)
{
    dx_ring_block_t *block = ring->block;
    dx_consumer_entry_t *entries = dxi_block_consumers(block);
    dxi_resume_t resume;
    int code = options_validate(ring, options, error);
    if (code == DX_OK) {
        if (dxi_block_shared(block)) {
            (void)dxi_recover(ring, 0); /* it may have died this moment */
        }
        code = dxi_resume_find(block, options, &resume, error);
    }
    if (code != DX_OK) {
        return code;
    }
    if (resume.index >= 0) {
        dxi_resume_take(ring, resume.index, options, role->kind);
        handle_init(consumer, ring, resume.index, options,
                    dx_load_acquire(&entries[resume.index].sequence));
        ring->handles[resume.index] = consumer;
        dxi_gating_update(block);
        return DX_OK;
    }
    uint64_t told = 0; /* only workers tell, and they are not resumed */
    code = open_locked(consumer, ring, options, role, resume.first, &told, error);
    if (code == DX_OK && resume.first != INT64_MIN) {
        const int64_t start = dx_load_relaxed(&consumer->entry->start_sequence);
        consumer->missed_first = resume.first;
        consumer->missed_last = start;
        if (resume.evicted != consumer->index) {
            dx_store32_release(&entries[resume.evicted].state, DX_CONSUMER_FREE);
        }
    }
    return code;
}

int dxi_consumer_add(dx_consumer_t *consumer, dx_ring_t *ring, const dx_consumer_options_t *options,
                     const dxi_consumer_role_t *role, dx_error_t *error)
{
    dx_consumer_options_t whole = {0};
    if (options != NULL) {
        whole = *options;
    }
    memset(consumer, 0, sizeof(*consumer));
    int code = dxi_table_lock(ring, error);
    if (code != DX_OK) {
        return code;
    }
    uint64_t told = 0;
    whole.upstream = dxi_whole_pools(ring->block, whole.upstream);
    code = whole.resume ? resume_locked(consumer, ring, &whole, role, error)
                        : open_locked(consumer, ring, &whole, role, INT64_MIN, &told, error);
    dxi_table_unlock(ring);
    dxi_rebind_wake(ring->block, told);
    dxi_wake_producers(ring->block); /* one may have gone to sleep because we stood further back */
    return code;
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
    static const dxi_consumer_role_t poller = {.kind = DX_CONSUMER_POLLER};
    return dxi_consumer_add(consumer, ring, options, &poller, error);
}

void dx_consumer_close(dx_consumer_t *consumer)
{
    if (consumer->entry == NULL) {
        return;
    }
    if (dxi_consumer_forget(consumer)) {
        consumer->entry = NULL;
        return;
    }
    dxi_consumers_close(consumer->ring, UINT64_C(1) << consumer->index);
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
    if (dxi_consumer_is_evicted(consumer)) {
        return; /* nobody waits for it any more */
    }
    dx_store32_relaxed(&entry->failure, code < 0 ? code : DX_EFATAL);
    dx_store32_release(&entry->state, DX_CONSUMER_FAILED);
    dx_fence_seq_cst(); /* as in dxi_consumer_control(): then look who sleeps */
    dxi_wake_followers(consumer->block, consumer->index);
}

void dxi_consumer_control(const dx_ring_t *ring, int32_t index, int32_t flag)
{
    dx_consumer_entry_t *entry = &dxi_block_consumers(ring->block)[index];
    (void)dx_fetch_or32_acq_rel(&entry->control, flag);
    /* Dekker pair with dxi_park_consumer(), whose fence is the heavy one: a full one of our own is
     * all that this side takes, and no other thread is stopped for it. */
    dx_fence_seq_cst();
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

void dxi_drained(dx_consumer_t *consumer, int64_t first, int64_t done, int64_t handled)
{
    const dx_ring_block_t *block = consumer->block;
    int64_t sequence = first <= dx_load_relaxed(&block->marks_last) ? first : done + 1;
    while (sequence <= done) {
        if (dx_consumer_is_hidden(consumer, sequence)) {
            count_hidden(consumer, sequence);
        }
        sequence += dxi_span_slots(block, sequence);
    }
    count_batch(consumer, handled);
    dx_consumer_release(consumer, done);
}

/* As below, on a ring with spans. */
static int drain_spans(dx_consumer_t *consumer, dx_poll_handler_t handler, void *context,
                       int64_t limit, int64_t last)
{
    dx_consumer_t *outer = current_consumer;
    current_consumer = consumer;
    const int code = dxi_span_drain(consumer, handler, context, limit, last);
    current_consumer = outer;
    return code;
}

int dx_consumer_drain(dx_consumer_t *consumer, dx_poll_handler_t handler, void *context,
                      int64_t limit)
{
    if (dxi_consumer_is_evicted(consumer)) {
        return DX_EEVICTED;
    }
    (void)dxi_consumer_rebind(consumer);
    if (consumer->catching_up) {
        dxi_consumer_settle(consumer);
    }
    int64_t last = dx_consumer_poll(consumer);
    if (last < consumer->next) {
        return dxi_published(consumer->block) >= consumer->next ? DX_POLL_GATING : DX_POLL_IDLE;
    }
    if (consumer->block->spans != 0) {
        return drain_spans(consumer, handler, context, limit, last);
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
