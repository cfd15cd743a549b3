/* ring/ring_internal.h - what the files of the ring share and nobody else sees.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_RING_RING_INTERNAL_H
#define DXI_RING_RING_INTERNAL_H

#include <pthread.h>

#include "disruptorx/consumer.h"
#include "disruptorx/producer.h"
#include "disruptorx/ring.h"

/* What a producer's slow paths need; one per entry of the producer table. */
struct dxi_producer_core {
    DX_ISOLATED dx_ring_block_t *block;
    dx_ring_t *ring;
    dx_producer_entry_t *entry;
    dx_producer_options_t options;
    int64_t spin_budget_ns; /* of the adaptive wait */
};

/* What a handle of a shared ring has besides (share.c). */
typedef struct dxi_share dxi_share_t;

struct dx_ring {
    dx_ring_block_t *block;
    dx_memory_t memory;
    dxi_producer_core_t *producers;                /* producers_max of them */
    pthread_mutex_t lock;                          /* see dxi_table_lock() */
    dx_consumer_t *handles[DX_RING_CONSUMERS_MAX]; /* of the open entries: for dx_ring_reset() */
    dxi_share_t *share;                            /* NULL: a private ring */
};

/* ---------------------------------------------------------------------------- making (ring.c) */

/* The geometry (mode, slots, the sizes of the tables) with all offsets filled in. */
dx_ring_block_t dxi_ring_layout(const dx_ring_block_t *geometry);

/* A handle without memory yet. */
int dxi_ring_new(uint32_t producers_max, dx_ring_t **ring_out, dx_error_t *error);

/* Numbers and names of entries that change under the table lock, and are read for eyes without it:
 * each is read whole. */
DX_INLINE void dxi_field_store(int32_t *field, int32_t value)
{
    __atomic_store_n(field, value, __ATOMIC_RELAXED);
}
DX_INLINE int32_t dxi_field_load(const int32_t *field)
{
    return __atomic_load_n(field, __ATOMIC_RELAXED);
}

typedef uint64_t __attribute__((may_alias)) dxi_name_word_t;
#define DXI_NAME_WORDS ((DX_RING_NAME_MAX + 1) / sizeof(dxi_name_word_t))

/* Into an entry; `name` has at most DX_RING_NAME_MAX bytes. */
DX_INLINE void dxi_name_store(char *entry_name, const char *name)
{
    dxi_name_word_t words[DXI_NAME_WORDS] = {0};
    memcpy(words, name, strnlen(name, DX_RING_NAME_MAX));
    for (size_t i = 0; i < DXI_NAME_WORDS; i++) {
        __atomic_store_n((dxi_name_word_t *)(void *)entry_name + i, words[i], __ATOMIC_RELAXED);
    }
}

/* Out of an entry, which may lack its NUL in damaged memory. */
DX_INLINE void dxi_name_copy(char *name_out, const char *entry_name)
{
    dxi_name_word_t words[DXI_NAME_WORDS];
    for (size_t i = 0; i < DXI_NAME_WORDS; i++) {
        words[i] = __atomic_load_n((const dxi_name_word_t *)(const void *)entry_name + i,
                                   __ATOMIC_RELAXED);
    }
    memcpy(name_out, words, sizeof(words));
    name_out[DX_RING_NAME_MAX] = 0;
}

/* ------------------------------------------------------------------------------ tables (ring.c) */

/* Every change of the consumer, producer and process tables and of the gating mask is made between
 * these: the mutex of this process and, for a shared ring, the lock of the file's byte
 * DXI_LOCK_TABLE, which the kernel takes back from the dead. Nothing on the hot path takes it.
 * Returns DX_OK; DX_EBUSY when another process has held it for DXI_TABLE_LOCK_NS. */
int dxi_table_lock(dx_ring_t *ring, dx_error_t *error);

/* The same, for as long as it takes. False when it can never be had: nothing may be changed. */
DX_NODISCARD bool dxi_table_lock_always(dx_ring_t *ring);

/* The same without waiting: false when another holds it. */
bool dxi_table_try_lock(dx_ring_t *ring);
void dxi_table_unlock(dx_ring_t *ring);

#define DXI_TABLE_LOCK_NS INT64_C(5000000000)

/* ------------------------------------------------------------------------------ marks (mark.c) */

#define DXI_MARK_VOID (INT64_C(1) << 16)
#define DXI_MARK_SKIPS (DXI_MARK_VOID - 1)
#define DXI_MARK_LAP_SHIFT 17

/* Adds `bits` to the mark of a sequence that the caller holds. */
void dxi_mark(dx_ring_block_t *block, int64_t sequence, int64_t bits);

/* Takes back void marks beyond what is published: a single producer died while it aborted. */
void dxi_marks_take_back(dx_ring_block_t *block);

/* The bits of the mark of a sequence; 0 when it has none. */
int64_t dxi_mark_bits(const dx_ring_block_t *block, int64_t sequence);

/* --------------------------------------------------------------------- sequences (sequences.c) */

/* True when something was published at that sequence, or a lap later (multi). On rings with spans:
 * when a span that begins there was. */
DX_INLINE bool dxi_is_stamped(const dx_ring_block_t *block, int64_t sequence)
{
    const int64_t index = sequence & (int64_t)(block->slot_count - 1);
    const int32_t lap = (int32_t)(sequence >> block->slot_shift);
    /* ACQUIRE, pairs with (S) in dx_producer_publish_range(). A later lap counts too: a slot is
     * reused only after its event was published. Laps are compared by difference, so 32 bits may
     * wrap. */
    const int32_t stamp = dx_load32_acquire(&dxi_block_stamps(block)[index]);
    return (int32_t)((uint32_t)stamp - (uint32_t)lap) >= 0;
}

/* The last sequence up to which everything is published. */
int64_t dxi_published(dx_ring_block_t *block);

/* The same, without writing anything: for memory that is mapped read-only. */
int64_t dxi_published_seen(const dx_ring_block_t *block);

/* Multi-producer: publishes a sequence without waking anybody. */
void dxi_stamp(dx_ring_block_t *block, int64_t sequence);

/* Moves the cursor of a multi-producer ring forward, so that the next look starts there. */
void dxi_cursor_raise(dx_ring_block_t *block, int64_t published);

/* How many producer handles are open. */
int32_t dxi_producers_open(const dx_ring_block_t *block);

/* The smallest sequence of the entries in `mask`; INT64_MAX for an empty one. */
int64_t dxi_minimum(const dx_ring_block_t *block, uint64_t mask);

/* The slowest gating sequence; what is published when nobody gates. */
int64_t dxi_gating_minimum(dx_ring_block_t *block);

/* Every consumer from which `mask` can be reached by following, `mask` included. */
uint64_t dxi_upstream_closure(const dx_ring_block_t *block, uint64_t mask);

/* `mask` and, for each pool or worker in it, the pool with all its workers: their words only have a
 * meaning together (src/ring/worker.c). */
uint64_t dxi_whole_pools(const dx_ring_block_t *block, uint64_t mask);

/* Consumers in `mask` that have ended (STOPPED or FAILED) before `sequence`, and so will never
 * reach it: a mask. */
uint64_t dxi_ended_before(const dx_ring_block_t *block, uint64_t mask, int64_t sequence);

/* ------------------------------------------------------------------------------ spans (span.c) */

/* The longest payload. */
int64_t dxi_span_bytes_max(const dx_ring_block_t *block);

/* How many slots the span that begins at `first` takes: 1 for a void slot and for a damaged header,
 * never more than the longest span. Only for who holds the slots or checks afterwards (S3). */
int64_t dxi_span_slots(const dx_ring_block_t *block, int64_t first);

/* The sequence behind the event that is published at `sequence`, on any ring. Anybody may ask. */
int64_t dxi_event_next(const dx_ring_block_t *block, int64_t sequence);

/* The last slot of the span that begins at `first`; DX_ECORRUPT when its header is damaged or leads
 * beyond `last`. */
int64_t dxi_span_end(const dx_ring_block_t *block, int64_t first, int64_t last);

/* The last end of a span that is not behind `last`, looked for from `end` on, which is one. For who
 * holds what lies behind it. */
int64_t dxi_span_floor(const dx_ring_block_t *block, int64_t end, int64_t last);

/* dxi_published_seen() of a multi-producer ring with spans. */
int64_t dxi_span_published(const dx_ring_block_t *block);

/* dxi_consumer_observe() of a consumer that follows the stamps of a ring with spans. */
int64_t dxi_span_observe(dx_consumer_t *consumer);

/* The last slot of the `spans`-th span from `first` on, at most `last`. */
int64_t dxi_span_claim_end(const dx_ring_block_t *block, int64_t first, int64_t last,
                           int64_t spans);

/* dx_consumer_drain() of a ring with spans, from the poll on. */
int dxi_span_drain(dx_consumer_t *consumer, dx_poll_handler_t handler, void *context, int64_t limit,
                   int64_t last);

/* Sets the consumer's skip bit in the marks of an event: of all its slots when it is a span. */
void dxi_event_skip(const dx_consumer_t *consumer, int64_t sequence);

/* ----------------------------------------------------------------------------- waking (park.c) */

/* Orders our earlier stores before our later loads, and makes every running thread that may use the
 * ring do the same: the heavy side of (W1) and (W2). */
void dxi_heavy_fence(const dx_ring_block_t *block);

/* True when dxi_heavy_fence() reaches the other threads; else they must fence themselves. */
bool dxi_heavy_fence_works(void);

#if DX_TEST_HOOKS
/* Makes rings created from now on behave as on a system without membarrier(). */
void dxi_heavy_fence_disable(bool disable);
#endif

/* Puts the consumer to sleep until `want` is reached by what it follows, it is woken for another
 * reason, or `timeout_ns` has passed (negative: no limit). May return early. */
void dxi_park_consumer(dx_consumer_t *consumer, int64_t want, int64_t timeout_ns);

/* Sleeps without naming a sequence: only a halt, a cancel or the timeout ends it. */
void dxi_park_pause(dx_consumer_entry_t *entry, int64_t timeout_ns, bool shared);

/* Wakes a consumer whatever it sleeps for. */
void dxi_wake_consumer(dx_consumer_entry_t *entry, bool shared);

/* Wakes those in `waiters` whose wanted sequence lies in first..last. Returns how many. */
int32_t dxi_wake_waiters(dx_ring_block_t *block, dx_atomic64_t *waiters, int64_t first,
                         int64_t last);

/* Puts a producer to sleep until a consumer moves on; `sequence` is what it would claim. */
void dxi_park_producer(dxi_producer_core_t *core, int64_t sequence, int64_t timeout_ns);

/* Wakes everybody who sleeps: after a change that concerns all (K5). */
void dxi_wake_all(dx_ring_block_t *block);

/* Wakes sleeping producers. */
void dxi_wake_producers(dx_ring_block_t *block);

/* Wakes everybody who waits for the consumer at `index`. */
void dxi_wake_followers(dx_ring_block_t *block, int32_t index);

/* ---------------------------------------------------------------------------- pausing (wait.c) */

/* One wait from its first look to its end. */
typedef struct dxi_pause {
    const dx_wait_options_t *options;
    int64_t *spin_budget_ns; /* ADAPTIVE: learnt, kept by the owner between waits */
    const void *line;        /* MONITOR: the word to watch, NULL when there are several */
    int64_t line_seen;       /* MONITOR: what stood there when the wait began */
    int64_t started_ns;      /* 0 until a clock was needed */
    int64_t steps;
    bool look; /* after this step it is time to look at what else could end the wait */
} dxi_pause_t;

typedef enum dxi_pause_action {
    DXI_PAUSE_AGAIN = 0, /* look again */
    DXI_PAUSE_PARK = 1,  /* sleep until woken */
    DXI_PAUSE_SLEEP = 2  /* sleep for options->sleep_ns */
} dxi_pause_action_t;

void dxi_pause_begin(dxi_pause_t *pause, const dx_wait_options_t *options, int64_t *spin_budget_ns,
                     const void *line);

/* Watches another word from now on. */
void dxi_pause_watch(dxi_pause_t *pause, const void *line);

/* Pauses once in the way of the strategy, and says what else to do before the next look. */
dxi_pause_action_t dxi_pause_step(dxi_pause_t *pause);

/* How long the wait has lasted. */
int64_t dxi_pause_elapsed_ns(dxi_pause_t *pause);

/* The wait is over: learn from how long it was. */
void dxi_pause_end(dxi_pause_t *pause);

/* The duration after which a wait reports DX_ETIMEDOUT; -1 = never. */
int64_t dxi_wait_timeout_ns(const dx_wait_options_t *options);

/* The options with defaults filled in. */
void dxi_wait_options_resolve(dx_wait_options_t *options);

/* ---------------------------------------------------------------------- consumers (consumer.c) */

/* What a consumer is, besides its options. */
typedef struct dxi_consumer_role {
    dx_consumer_kind_t kind;
    int32_t pool; /* WORKER: index of its pool's entry */
} dxi_consumer_role_t;

/* dx_consumer_open() for every kind. A worker claims nothing before dxi_pool_admits(). */
int dxi_consumer_add(dx_consumer_t *consumer, dx_ring_t *ring, const dx_consumer_options_t *options,
                     const dxi_consumer_role_t *role, dx_error_t *error);

/* True when the consumer was evicted: from then on its handle shows no event. */
bool dxi_consumer_is_evicted(dx_consumer_t *consumer);

/* Ends the handle of an evicted consumer: its entry keeps what it takes to resume it. False when it
 * was not evicted. */
bool dxi_consumer_forget(dx_consumer_t *consumer);

/* What there is to resume under a name (evict.c). */
typedef struct dxi_resume {
    int32_t index;   /* of a DEAD entry to take over; -1: none */
    int32_t evicted; /* of an EVICTED entry */
    int64_t first;   /* the first event that the evicted one had not released; INT64_MIN: none */
} dxi_resume_t;

/* Under the table lock. DX_EBUSY when one of that name lives. */
int dxi_resume_find(const dx_ring_block_t *block, const dx_consumer_options_t *options,
                    dxi_resume_t *resume_out, dx_error_t *error);
void dxi_resume_take(dx_ring_t *ring, int32_t index, const dx_consumer_options_t *options,
                     dx_consumer_kind_t kind);

/* Takes the consumers of `processes` out of the graph, or lets them keep their place as dead, as
 * their options say. Under the table lock. */
void dxi_consumers_lose(dx_ring_block_t *block, uint64_t processes, bool dead);

/* Sets a flag of the consumer's control word and wakes it. */
void dxi_consumer_control(const dx_ring_t *ring, int32_t index, int32_t flag);

/* The end of a drain: counts and releases first..done, of which `handled` events were given. */
void dxi_drained(dx_consumer_t *consumer, int64_t first, int64_t done, int64_t handled);

/* ------------------------------------------------------------------ who follows whom (relink.c) */

/* Under the table lock, all of these: */

/* Computes who holds producers back, adding before clearing. */
void dxi_gating_update(dx_ring_block_t *block);

/* The entries that a new consumer may take. */
uint64_t dxi_entries_free(const dx_ring_block_t *block);

/* A bit of marks for a consumer that may skip; 0 when all are in use. */
int64_t dxi_skip_bit_find(const dx_ring_block_t *block);

/* Points a handle at what its entry is to follow. In its thread, or while it has none. */
void dxi_consumer_bind(dx_consumer_t *consumer);

/* Says whom the entry is to follow. dxi_gating_update() must come before the lock is given back,
 * and dxi_rebind_wake() after that for those returned. */
uint64_t dxi_entry_follow(dx_ring_block_t *block, int32_t index, uint64_t upstream);

/* Takes entries out of the graph, whatever runs: those behind them follow what they followed.
 * Returns as dxi_entry_follow(), gating is up to date. */
uint64_t dxi_entries_leave(dx_ring_block_t *block, uint64_t leaving, dx_consumer_state_t state);

/* Ends a change that somebody did not end: his process has died. Everybody must be woken then. */
void dxi_graph_repair(dx_ring_block_t *block);

/* Without the lock: */

/* Wakes those that must bind again. */
void dxi_rebind_wake(dx_ring_block_t *block, uint64_t told);

/* Binds the consumer again if it was told to. In its own thread, while it holds no event. False
 * when the lock was not free: try again later. */
bool dxi_consumer_rebind(dx_consumer_t *consumer);

/* For one that is `catching_up`: when it is no longer ahead of what it follows, that need not gate
 * any more. */
void dxi_consumer_settle(dx_consumer_t *consumer);

/* Makes the consumers in `behind` follow `upstream`, and no longer those in `instead_of`.
 * Returns DX_OK, DX_ENOTFOUND, DX_EINVAL for a cycle, DX_EBUSY. */
int dxi_follow(dx_ring_t *ring, uint64_t behind, uint64_t upstream, uint64_t instead_of,
               dx_error_t *error);

/* Closes consumers at once: dxi_entries_leave() with all that belongs to it. */
void dxi_consumers_close(dx_ring_t *ring, uint64_t leaving);

/* The skip bits that hide an event from the consumer of `entry`. In its own thread. */
int64_t dxi_skips(const dx_consumer_entry_t *entry, int64_t sequence);

/* Adds to a counter that only the caller writes. */
DX_INLINE void dxi_count(dx_atomic64_t *counter, int64_t amount)
{
    dx_store_relaxed(counter, dx_load_relaxed(counter) + amount);
}

/* The consumer whose handler the calling thread runs, or NULL. */
dx_consumer_t *dxi_current_consumer(void);
void dxi_set_current_consumer(dx_consumer_t *consumer);

/* ----------------------------------------------------------------- deterministic interleavings */

/* A named point between two steps of a protocol. Tests put a function there that runs the other
 * side at exactly that moment; without DX_TEST_HOOKS it is nothing. */
#if DX_TEST_HOOKS
typedef void (*dxi_point_hook_t)(const char *point, void *context);
void dxi_point_set(dxi_point_hook_t hook, void *context);
void dxi_point(const char *point);
#else
DX_INLINE void dxi_point(const char *point)
{
    (void)point;
}
#endif

#endif
