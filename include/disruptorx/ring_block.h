/* disruptorx/ring_block.h - the memory of a ring: one relocatable block.
 *
 * Transparent but private: the hot path is inlined into the user's program, so the layout must be
 * here, but only this library reads or writes it. DX_RING_LAYOUT changes with every change of it
 * and is checked when a ring is opened.
 *
 *     +---------------------+ 0
 *     | dx_ring_block_t     | read-only part | cursor | claimed | waking and state
 *     +---------------------+ processes_offset   (shared rings)
 *     | dx_process_entry_t  | processes_max of them: who is attached, and its heartbeat
 *     +---------------------+ consumers_offset
 *     | dx_consumer_entry_t | consumers_max of them: sequence | waking | identity | counters
 *     +---------------------+ producers_offset
 *     | dx_producer_entry_t | producers_max of them: identity | claim record and counters
 *     +---------------------+ stamps_offset      (multi-producer rings)
 *     | int32 x slot_count  | lap of the event last published in each slot
 *     +---------------------+ marks_offset
 *     | int64 x slot_count  | lap, void bit and skip bits of events not to be delivered
 *     +---------------------+ slots_offset       (a page)
 *     | slots               | slot_count x slot_bytes
 *     +---------------------+ block_bytes
 *     | the slots again     | rings with spans: the same memory, mapped a second time
 *     +---------------------+
 *
 * A shared ring is this block in a file that every process maps. The kernel's locks on two places
 * of the file, behind any block, say what memory can't say after a sudden death: byte
 * DXI_LOCK_TABLE is held by who changes the tables, byte DXI_LOCK_PROCESSES + i by the owner of
 * process entry i for as long as it lives.
 *
 * Offsets, never pointers: another process may map the block elsewhere. Whatever different threads
 * write is at least 128 bytes apart (DX_FALSE_SHARING_BYTES).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DISRUPTORX_RING_BLOCK_H
#define DISRUPTORX_RING_BLOCK_H

#include <stdint.h>

#include "disruptorx/atomic.h"
#include "disruptorx/platform.h"

#define DX_RING_MAGIC UINT64_C(0x3178676e69527844) /* "DxRingx1" in little-endian memory */
#define DX_RING_LAYOUT 2u

/* Limits. Each is tested at its value and one beyond. */
#define DX_RING_SLOT_COUNT_MIN 2u
#define DX_RING_SLOT_COUNT_MAX (1u << 26)
#define DX_RING_EVENT_BYTES_MAX (1u << 20)
#define DX_RING_BYTES_MAX (UINT64_C(1) << 40)
#define DX_RING_CONSUMERS_MAX 60u
#define DX_RING_PRODUCERS_MAX 256u
#define DX_RING_SKIPPERS_MAX 16u /* consumers of one ring that may return DX_HANDLER_SKIP */
#define DX_RING_PROCESSES_MAX 64u
#define DX_RING_NAME_MAX 31u
#define DX_RING_SPAN_SHARE 4u /* a span takes at most this share of the slots: a quarter */
#define DX_RING_SPAN_SLOT_BYTES 64u

/* A word of an idle worker: it holds nobody back. */
#define DX_SEQUENCE_IDLE INT64_MAX

typedef enum dx_ring_mode {
    DX_RING_SINGLE = 0, /* one producer handle at a time, no atomic read-modify-write at all */
    DX_RING_MULTI = 1   /* any number of producers up to producers_max */
} dx_ring_mode_t;

/* Places of the file that are locked, never read or written. */
#define DXI_LOCK_TABLE (INT64_C(1) << 50)
#define DXI_LOCK_PROCESSES (DXI_LOCK_TABLE + 1)

/* dx_ring_block_t.signal: what a publish, and a claim, must look at before it goes on. Bits 0 to
 * 59: consumer i sleeps until something is published. The rest are flags: */
#define DXI_SIGNAL_SPACE (INT64_C(1) << 61) /* no consumer: a producer sleeps until a publication */
#define DXI_SIGNAL_FENCE (INT64_C(1) << 62) /* no membarrier here: every publish pays for a fence */
#define DXI_SIGNAL_CLOSED INT64_MIN         /* the ring is closed: claims fail (the sign bit) */
#define DXI_SIGNAL_SLEEPERS ((INT64_C(1) << DX_RING_CONSUMERS_MAX) - 1)
/* dx_consumer_entry_t.waiters, beside the same bits: */
#define DXI_WAITERS_EVICTED INT64_MIN /* the next release is told that it is in vain */

/* dx_consumer_entry_t.control */
#define DXI_CONTROL_HALT 1    /* stop after the current batch */
#define DXI_CONTROL_CANCEL 2  /* end the current wait once */
#define DXI_CONTROL_REBIND 4  /* whom it follows has changed: see src/ring/relink.c */
#define DXI_CONTROL_EVICTED 8 /* see src/ring/evict.c */
#define DXI_CONTROL_ATTEND (DXI_CONTROL_REBIND | DXI_CONTROL_EVICTED)

typedef enum dx_consumer_state {
    DX_CONSUMER_FREE = 0,    /* the entry is unused */
    DX_CONSUMER_ADDED = 1,   /* gates or follows, but nobody runs it yet */
    DX_CONSUMER_RUNNING = 2, /* from the start of its thread until the end of it */
    DX_CONSUMER_STOPPED = 3, /* ended in order; can run again where it stopped */
    DX_CONSUMER_FAILED = 4,  /* ended by a fatal error; holds its sequence */
    DX_CONSUMER_DEAD = 5,    /* its process died; it keeps its place for who resumes it */
    DX_CONSUMER_EVICTED = 6, /* its process died or stalled; it holds nobody back any more */
    DX_CONSUMER_LEFT = 7     /* closed, while a consumer behind it still reads its sequence */
} dx_consumer_state_t;

/* What becomes of a consumer whose process dies, or stalls while the ring says so. */
typedef enum dx_on_death {
    DX_ON_DEATH_EVICT = 0, /* producers and those behind go on without it */
    DX_ON_DEATH_BLOCK = 1  /* it keeps its place until one of the same name resumes it */
} dx_on_death_t;

typedef enum dx_process_state {
    DX_PROCESS_FREE = 0,
    DX_PROCESS_ATTACHED = 1,
    DX_PROCESS_STALLED = 2, /* alive, but it does not run: stopped by a signal or a debugger */
    DX_PROCESS_DEAD = 3     /* gone, and not yet all of what it held has been released */
} dx_process_state_t;

/* One attachment of a process to a shared ring. */
typedef struct dx_process_entry {
    DX_ISOLATED dx_atomic64_t beats; /* counted up four times per detect_ns by its guard thread */
    dx_atomic64_t beat_ns;           /* dx_clock_ns() of the last one: for eyes */
    dx_atomic32_t state;             /* dx_process_state_t */
    dx_atomic32_t process_id;        /* in its own pid namespace */
    dx_atomic64_t pid_namespace;     /* inode of it */
    dx_atomic64_t started_ticks; /* field 22 of /proc/PID/stat: tells it from a later namesake */
    dx_atomic32_t user_id;
    char name[DX_RING_NAME_MAX + 1]; /* of the command */
} dx_process_entry_t;

typedef enum dx_consumer_kind {
    DX_CONSUMER_PROCESSOR = 0, /* a thread of the library calls a handler */
    DX_CONSUMER_POLLER = 1,    /* the user polls */
    DX_CONSUMER_POOL = 2,      /* what the workers of a pool have claimed together */
    DX_CONSUMER_WORKER = 3     /* one worker of a pool */
} dx_consumer_kind_t;

/* Counters have one writer each, so they are plain adds; anybody may read them. */
typedef struct dx_consumer_counters {
    dx_atomic64_t events; /* delivered to the handler */
    dx_atomic64_t batches;
    dx_atomic64_t batch_max; /* largest batch, in events */
    dx_atomic64_t waits;     /* times that nothing was there */
    dx_atomic64_t sleeps;    /* times that the thread slept in the kernel */
    dx_atomic64_t wakes;     /* sleepers that this consumer woke */
    dx_atomic64_t voids;     /* aborted claims passed over */
    dx_atomic64_t skips;     /* events not delivered because an upstream consumer skipped them */
    dx_atomic64_t errors;    /* handler results that went to the error policy */
    dx_atomic64_t retries;   /* deliveries repeated */
    dx_atomic64_t timeouts;
    dx_atomic64_t follows; /* times that it held back behind a busy producer */
} dx_consumer_counters_t;

typedef struct dx_consumer_entry {
    /* Written by the consumer, read by everybody behind it: the last sequence it has finished. */
    DX_ISOLATED dx_atomic64_t sequence;

    /* Read at each batch, written rarely. */
    DX_ISOLATED dx_atomic64_t waiters; /* consumers that sleep on this one's progress (mask) */
    dx_atomic32_t control;             /* DXI_CONTROL_* */
    dx_atomic32_t state;               /* dx_consumer_state_t */
    dx_atomic64_t upstream;            /* consumers it follows (mask); 0 = the publication */
    dx_atomic64_t bound;               /* those it reads: `upstream`, once it has seen the change */
    dx_atomic64_t skip_watch;          /* skip bits (of marks) that hide an event from it, */
    dx_atomic64_t skip_since;          /* from this sequence on; */
    dx_atomic64_t skip_before;         /* those before it are hidden by these bits */
    int64_t skip_bit;                  /* its own bit of marks, 0 when it never skips */
    dx_atomic64_t start_sequence;      /* where it began: events up to this were never its own */

    /* Written by whoever puts the consumer to sleep or wakes it. */
    DX_ISOLATED dx_atomic32_t park; /* the futex: 1 = wake token */
    dx_atomic32_t asleep;           /* 1 while it may be in the kernel: for eyes only */
    dx_atomic64_t want;             /* the sequence it sleeps for */

    /* Identity. */
    DX_ISOLATED char name[DX_RING_NAME_MAX + 1];
    int32_t kind;      /* dx_consumer_kind_t */
    int32_t wait_kind; /* dx_wait_kind_t */
    int32_t pool;      /* WORKER: index of its pool's entry */
    int32_t on_death;  /* dx_on_death_t */
    int32_t process;   /* index of its process entry; -1 in a private ring */
    dx_atomic32_t process_id;
    dx_atomic32_t thread_id;
    dx_atomic32_t failure;    /* DX_E* when FAILED */
    dx_atomic64_t evicted_at; /* EVICTED: the last sequence that it had finished */

    DX_ISOLATED dx_consumer_counters_t counters;
} dx_consumer_entry_t;

/* dx_producer_entry_t.in_use */
#define DXI_PRODUCER_FREE 0
#define DXI_PRODUCER_OPEN 1
#define DXI_PRODUCER_CLOSED 2 /* what it held is still to be given up: see src/ring/recover.c */

typedef struct dx_producer_entry {
    DX_ISOLATED dx_atomic32_t in_use; /* DXI_PRODUCER_* */
    dx_atomic32_t cancel; /* 1: the claim that waits now, or the next that would, ends */
    dx_atomic32_t process_id;
    dx_atomic32_t thread_id;
    char name[DX_RING_NAME_MAX + 1];
    int32_t process; /* index of its process entry; -1 in a private ring */

    /* Multi-producer: what it may hold, claimed and not yet published: first to last, more than
     * that at times, never less. Written before each claim, so that others can void it when its
     * process is dead: see src/ring/recover.c. */
    DX_ISOLATED dx_atomic64_t held_first;
    dx_atomic64_t held_last;

    /* Counters of the slow path, written by the producer. */
    dx_atomic64_t waits;   /* claims that found the ring full */
    dx_atomic64_t wait_ns; /* time they waited */
    dx_atomic64_t sleeps;
    dx_atomic64_t wakes;    /* sleeping consumers that this producer woke */
    dx_atomic64_t drops;    /* events dropped by DX_FULL_DROP */
    dx_atomic64_t refusals; /* claims refused: full, timed out, cancelled, closed */
    dx_atomic64_t aborts;   /* claimed sequences given up */
} dx_producer_entry_t;

typedef struct dx_ring_block {
    /* Read-only once the ring is made. */
    uint64_t magic;
    uint32_t layout; /* DX_RING_LAYOUT */
    uint32_t mode;   /* dx_ring_mode_t */
    uint32_t slot_count;
    uint32_t slot_bytes;
    uint32_t slot_shift; /* log2 of slot_count: lap of a sequence = sequence >> slot_shift */
    uint32_t consumers_max;
    uint32_t producers_max;
    uint32_t processes_max; /* 0: a private ring */
    uint32_t spans;         /* 1: slots hold spans (disruptorx/span.h) */
    uint32_t stalled;       /* dx_on_stall_t */
    int64_t detect_ns;      /* a death is noticed within this time */
    uint64_t processes_offset;
    uint64_t consumers_offset;
    uint64_t producers_offset;
    uint64_t stamps_offset;
    uint64_t marks_offset;
    uint64_t slots_offset;
    uint64_t block_bytes;
    char name[DX_RING_NAME_MAX + 1];

    /* Single-producer: the last published sequence. Multi-producer: a lower bound of it, moved by
     * slow paths; consumers read the stamps instead. */
    DX_ISOLATED dx_atomic64_t cursor;

    /* Multi-producer: the last claimed sequence. Single-producer: see dx_producer_t.claimed. */
    DX_ISOLATED dx_atomic64_t claimed;

    /* Read by every claim, publish and release, written rarely. */
    DX_ISOLATED dx_atomic64_t signal; /* DXI_SIGNAL_*: sleeping consumers, closed */
    dx_atomic64_t marks_last;         /* the highest sequence that bears a mark */
    dx_atomic32_t space_waiters;      /* 1: a producer sleeps until a consumer moves on */
    dx_atomic64_t gating;             /* consumers that hold producers back (mask) */
    dx_atomic64_t joins;              /* how many consumers have entered `gating` */
    dx_atomic64_t active;             /* entries in use (mask) */

    /* Written by producers that go to sleep and consumers that wake them. */
    DX_ISOLATED dx_atomic32_t space_epoch; /* the futex: it changes when a consumer moves on */

    /* What recovery did, counted by whoever did it under the table lock. */
    DX_ISOLATED dx_atomic64_t deaths; /* processes found dead */
    dx_atomic64_t stalls;             /* processes found stalled */
    dx_atomic64_t kills;              /* stalled processes ended because they held a claim */
    dx_atomic64_t voided;             /* sequences of dead producers given up */
    dx_atomic64_t evictions;          /* consumers evicted */
    dx_atomic32_t table_holder; /* index + 1 of the process that changes the tables; 0: nobody */
    dx_atomic32_t closed;       /* 1: there are CLOSED producers */
} dx_ring_block_t;

DX_INLINE bool dxi_block_shared(const dx_ring_block_t *block)
{
    return block->processes_max != 0;
}
DX_INLINE dx_process_entry_t *dxi_block_processes(const dx_ring_block_t *block)
{
    return (dx_process_entry_t *)((uintptr_t)block + block->processes_offset);
}

DX_INLINE dx_consumer_entry_t *dxi_block_consumers(const dx_ring_block_t *block)
{
    return (dx_consumer_entry_t *)((uintptr_t)block + block->consumers_offset);
}
DX_INLINE dx_producer_entry_t *dxi_block_producers(const dx_ring_block_t *block)
{
    return (dx_producer_entry_t *)((uintptr_t)block + block->producers_offset);
}
DX_INLINE dx_atomic32_t *dxi_block_stamps(const dx_ring_block_t *block)
{
    return (dx_atomic32_t *)((uintptr_t)block + block->stamps_offset);
}
DX_INLINE dx_atomic64_t *dxi_block_marks(const dx_ring_block_t *block)
{
    return (dx_atomic64_t *)((uintptr_t)block + block->marks_offset);
}
DX_INLINE char *dxi_block_slots(const dx_ring_block_t *block)
{
    return (char *)((uintptr_t)block + block->slots_offset);
}

#endif
