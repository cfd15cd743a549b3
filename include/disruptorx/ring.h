/* disruptorx/ring.h - the ring: making it, closing it, looking at it.
 *
 * A ring has one order. Producers claim sequences, fill the slots in place and publish; consumers
 * follow the publication, or follow other consumers. The hot path is in disruptorx/producer.h and
 * disruptorx/consumer.h, both inline; a whole graph of handler threads is in
 * disruptorx/disruptor.h.
 *
 * Lifecycle:
 *
 *     dx_ring_create() -> OPEN -> dx_ring_close() -> CLOSED -> dx_ring_reopen() -> OPEN
 *     dx_ring_destroy() from any state, once no producer and no consumer is used any more
 *
 * A ring is private to its process, or shared under a name: then it lies in the file
 * <folder>/<name>.dxring, and any process attaches to it with dx_ring_attach() and uses it in the
 * same way, at the same speed. Whoever dies, at any instruction, is noticed within detect_ns: what
 * it had claimed and not published is voided, its consumers are evicted or keep their place, the
 * others go on. docs/guarantees.md says what happens when who dies where.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DISRUPTORX_RING_H
#define DISRUPTORX_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "disruptorx/error.h"
#include "disruptorx/memory.h"
#include "disruptorx/platform.h"
#include "disruptorx/ring_block.h"
#include "disruptorx/wait.h"

DX_EXTERN_C_BEGIN

typedef struct dx_ring dx_ring_t; /* opaque */

/* Fills one event when the ring is made: `index` is the slot, from 0. */
typedef void (*dx_event_initialiser_t)(void *context, void *event, int64_t index);

/* What becomes of a process that is attached to a shared ring and does not run any more, though it
 * lives: stopped by SIGSTOP or a debugger, as far as /proc shows it. */
typedef enum dx_on_stall {
    DX_ON_STALL_EVICT = 0, /* as if it had died: its consumers are evicted or keep their place; if
                            * it holds a claim, which it could still write to, it is killed */
    DX_ON_STALL_WAIT = 1   /* it is reported, and the others wait for it as for a slow one */
} dx_on_stall_t;

/* What is there under the name already. */
typedef enum dx_share_existing {
    DX_SHARE_REPLACE_STALE = 0, /* a ring that nobody is attached to is replaced; DX_EBUSY if not */
    DX_SHARE_ATTACH = 1 /* a ring of that name is attached to, if it has the same geometry, and
                                 * made when there is none: for programs that start in any order */
} dx_share_existing_t;

#define DX_RING_FOLDER "/dev/shm"
#define DX_RING_SUFFIX ".dxring"
#define DX_RING_DETECT_NS_MIN INT64_C(10000000)
#define DX_RING_DETECT_NS_MAX INT64_C(60000000000)

/* How a ring is shared. All zero but the name is a sane choice. */
typedef struct dx_share_options {
    const char *name;   /* 1 to DX_RING_NAME_MAX of the characters A-Z a-z 0-9 . _ -, not first a
                         * dot; NULL: not shared */
    const char *folder; /* NULL: DX_RING_FOLDER. Any file system that can map files shared */
    uint32_t mode;      /* who may attach: the permissions of the file; 0 = 0600 */
    dx_share_existing_t existing;
    bool keep;         /* the file stays when the last process detaches; else it is removed then */
    int64_t detect_ns; /* a death or stall is noticed within this time; 0 = 1 s */
    dx_on_stall_t stalled;
    uint64_t reserved[4]; /* must be zero */
} dx_share_options_t;

/* Zero is a sane default in each field, except slot_count and event_bytes, which have none. */
typedef struct dx_ring_options {
    const char *name;       /* for eyes; copied; at most DX_RING_NAME_MAX bytes; NULL = "ring" */
    uint32_t slot_count;    /* capacity in events: a power of two, 2 to DX_RING_SLOT_COUNT_MAX */
    uint32_t event_bytes;   /* size of one event, 1 to DX_RING_EVENT_BYTES_MAX; slots are rounded up
                           * to a multiple of 8 */
    dx_ring_mode_t mode;    /* DX_RING_SINGLE or DX_RING_MULTI */
    uint32_t consumers_max; /* 0 = 16; at most DX_RING_CONSUMERS_MAX */
    uint32_t producers_max; /* multi: 0 = 16; at most DX_RING_PRODUCERS_MAX. Single: always 1 */
    dx_event_initialiser_t initialise; /* NULL: events start as zero bytes */
    void *initialise_context;
    int64_t first_sequence;     /* the sequence of the first event; 0 is usual */
    dx_memory_options_t memory; /* pages, NUMA node, locking; its size_bytes is set by the ring.
                                 * Shared rings and rings with spans lie in a file or in memory like
                                 * one: of the pages, only AUTO, NORMAL and TRANSPARENT */
    bool spans;               /* events of any size: see disruptorx/span.h; event_bytes must be 0 */
    dx_share_options_t share; /* its name is NULL: a private ring */
    uint64_t reserved[4];     /* must be zero */
} dx_ring_options_t;

/* Makes a ring and stores it in `*ring_out` (NULL on failure). All the memory it will ever use is
 * allocated here.
 * Returns DX_OK, DX_EINVAL, DX_ELIMIT (above DX_RING_BYTES_MAX, or memory locking), DX_ENOMEM,
 * DX_EPERM (memory locking, or the folder), DX_ENOTSUP. Shared: DX_EBUSY when a ring of that name
 * is in use, DX_EIO when the file system refuses or is full.
 * Threads: any. */
DX_API DX_NODISCARD int dx_ring_create(const dx_ring_options_t *options, dx_ring_t **ring_out,
                                       dx_error_t *error);

typedef struct dx_attach_options {
    const char *name;   /* of the ring, as in dx_share_options_t */
    const char *folder; /* NULL: DX_RING_FOLDER */
    bool observe;       /* look only: the memory is mapped read-only, and nobody notices. Only
                           * functions "from outside" may be used */
    bool any_owner;     /* attach even to a file of another user (not root): that user can crash us
                           * by cutting the file */
    uint64_t reserved[4]; /* must be zero */
} dx_attach_options_t;

/* Attaches to a shared ring. dx_ring_destroy() detaches.
 * Returns DX_OK; DX_EINVAL for a bad name; DX_ENOTFOUND when there is none; DX_EPERM when the file
 * may not be opened or belongs to another user; DX_ECORRUPT when it is no ring or is damaged;
 * DX_EVERSION for another layout; DX_ELIMIT when DX_RING_PROCESSES_MAX are attached; DX_ENOTSUP
 * when this process has no membarrier() and the ring's maker had; DX_ENOMEM; DX_EIO.
 * Threads: any. */
DX_API DX_NODISCARD int dx_ring_attach(const dx_attach_options_t *options, dx_ring_t **ring_out,
                                       dx_error_t *error);

/* Removes a shared ring by name: the file goes, so that nobody can attach any more. Those that are
 * attached keep the memory and go on. `force` is needed when there are any.
 * Returns DX_OK, DX_EINVAL, DX_ENOTFOUND, DX_EBUSY without `force`, DX_EPERM, DX_EIO.
 * Threads: any. */
DX_API DX_NODISCARD int dx_ring_remove(const char *name, const char *folder, bool force,
                                       dx_error_t *error);

/* One file of a folder of shared rings. */
typedef struct dx_ring_file {
    char name[DX_RING_NAME_MAX + 1];
    uint64_t file_bytes;
    uint32_t user_id;
    uint32_t mode;    /* permissions */
    int32_t attached; /* living processes that are attached; 0: an orphan */
    int code;        /* DX_OK, or why it can't be attached to: DX_ECORRUPT, DX_EVERSION, DX_EPERM */
    bool unfinished; /* left by a process that died while it made the ring */
} dx_ring_file_t;

typedef void (*dx_ring_file_visitor_t)(void *context, const dx_ring_file_t *file);

/* Calls `visit` for each shared ring in `folder` (NULL: DX_RING_FOLDER), in the order of names.
 * Returns how many, or DX_ENOTFOUND, DX_EPERM, DX_ENOMEM when the folder can't be read.
 * Threads: any. */
DX_API DX_NODISCARD int dx_ring_list(const char *folder, dx_ring_file_visitor_t visit,
                                     void *context, dx_error_t *error);

/* Looks at once for dead processes and releases what they held, instead of at the next beat of the
 * guard. Does nothing for a private ring.
 * Returns how many were found dead, or DX_EBUSY when the tables are held by another process.
 * Threads: any. */
DX_API int dx_ring_recover(dx_ring_t *ring);

/* Closes the ring: claims fail with DX_ECLOSED from now on, and blocked producers are released with
 * it. A publish of an earlier claim still reaches the consumers, but returns DX_ECLOSED to say that
 * they may already have left. Consumers go on. Closing twice is allowed.
 * Threads: any. */
DX_API void dx_ring_close(dx_ring_t *ring);

/* Opens a closed ring again: claims succeed, sequences go on where they stood.
 * Threads: any. */
DX_API void dx_ring_reopen(dx_ring_t *ring);

/* Empties the ring: the next event has sequence `first_sequence`, and every consumer is placed just
 * before it. Nobody may be running.
 * Returns DX_OK, DX_EINVAL when negative, DX_ESTATE when a producer is open or a consumer is
 * RUNNING.
 * Threads: owner. */
DX_API DX_NODISCARD int dx_ring_reset(dx_ring_t *ring, int64_t first_sequence, dx_error_t *error);

/* Frees the ring. `ring` may be NULL. Handles on it must not be used afterwards.
 * Threads: owner. */
DX_API void dx_ring_destroy(dx_ring_t *ring);

/* The memory of the ring, for the inline functions and for tools that look at it.
 * Threads: any. */
DX_API dx_ring_block_t *dx_ring_block(const dx_ring_t *ring);

/* What pages the ring lies on, and where.
 * Threads: any. */
DX_API const dx_memory_t *dx_ring_memory(const dx_ring_t *ring);

/* The last sequence up to which everything is published, first_sequence - 1 when nothing is.
 * Threads: any. */
DX_API int64_t dx_ring_published(const dx_ring_t *ring);

/* The slowest sequence that holds producers back; what dx_ring_published() says when there is no
 * consumer.
 * Threads: any. */
DX_API int64_t dx_ring_consumed(const dx_ring_t *ring);

/* Free slots, 0 to slot_count, whatever happens at the same moment. A single producer's claims
 * count when they are published; dx_producer_remaining() knows them before.
 * Threads: any. */
DX_API int64_t dx_ring_remaining(const dx_ring_t *ring);

/* True when the event of that sequence is published and its slot not yet reused. Spans are asked
 * for by their first slot.
 * Threads: any. */
DX_API bool dx_ring_is_available(const dx_ring_t *ring, int64_t sequence);

/* What a ring looks like from outside. Numbers are read one after the other while others run, so
 * they are close to each other but not one instant. */
typedef struct dx_ring_stat {
    char name[DX_RING_NAME_MAX + 1];
    dx_ring_mode_t mode;
    uint32_t slot_count;
    uint32_t slot_bytes;
    uint64_t block_bytes;
    bool closed;
    int64_t published; /* last sequence */
    int64_t claimed;   /* last sequence; at least `published` */
    int64_t consumed;  /* slowest gating consumer */
    int64_t depth;     /* published - consumed: events waiting or being handled */
    int64_t remaining;
    int32_t producers;
    int32_t consumers;
    int64_t claim_waits;   /* times that a producer found the ring full */
    int64_t claim_wait_ns; /* time that producers waited */
    int64_t drops;
    int64_t refusals;
    int64_t aborts;
    int64_t wakes; /* sleeping consumers that producers woke */
    bool shared;
    bool spans;
    int32_t processes; /* attached */
    int64_t deaths;    /* processes that were found dead */
    int64_t stalls;    /* processes that were found stalled */
    int64_t kills;     /* of those, killed because they held a claim */
    int64_t voided;    /* sequences given up for dead producers */
    int64_t evictions; /* consumers */
} dx_ring_stat_t;

/* Threads: any. */
DX_API void dx_ring_stat(const dx_ring_t *ring, dx_ring_stat_t *stat_out);

typedef struct dx_consumer_stat {
    char name[DX_RING_NAME_MAX + 1];
    int32_t index;
    dx_consumer_kind_t kind;
    dx_consumer_state_t state;
    dx_wait_kind_t wait_kind;
    bool gating;     /* producers wait for it */
    bool asleep;     /* in the kernel at this moment */
    int32_t failure; /* DX_E* when FAILED, else 0 */
    int32_t process; /* index of its process entry; -1: a private ring */
    int32_t process_id;
    int32_t thread_id;
    dx_on_death_t on_death;
    int64_t sequence;  /* last finished */
    int64_t lag;       /* published - sequence, at least 0 */
    uint64_t upstream; /* bit i: it follows consumer i; 0: it follows the publication */
    uint64_t bound;    /* what it reads at the moment: `upstream`, once it has seen a change */
    int64_t events;
    int64_t batches;
    int64_t batch_max;
    int64_t waits;
    int64_t sleeps;
    int64_t wakes;
    int64_t voids;
    int64_t skips;
    int64_t errors;
    int64_t retries;
    int64_t timeouts;
    int64_t follows;
} dx_consumer_stat_t;

/* Reads the counters of consumer `index`, 0 to consumers_max - 1.
 * Returns DX_OK, DX_ENOTFOUND when the entry is unused or out of range.
 * Threads: any. */
DX_API DX_NODISCARD int dx_ring_consumer_stat(const dx_ring_t *ring, int32_t index,
                                              dx_consumer_stat_t *stat_out);

/* One attached process. */
typedef struct dx_process_stat {
    int32_t index;
    dx_process_state_t state;
    int32_t process_id; /* in its own pid namespace */
    uint64_t pid_namespace;
    uint32_t user_id;
    int64_t beats;
    int64_t beat_age_ns; /* since its last beat, by its clock and ours */
    bool self;           /* it is the attachment through which we look */
    char name[DX_RING_NAME_MAX + 1];
} dx_process_stat_t;

/* Reads process entry `index`, 0 to DX_RING_PROCESSES_MAX - 1.
 * Returns DX_OK, DX_ENOTFOUND when the entry is unused or out of range.
 * Threads: any. */
DX_API DX_NODISCARD int dx_ring_process_stat(const dx_ring_t *ring, int32_t index,
                                             dx_process_stat_t *stat_out);

typedef struct dx_producer_stat {
    char name[DX_RING_NAME_MAX + 1];
    int32_t index;
    int32_t process; /* index of its process entry; -1: a private ring */
    int32_t process_id;
    int32_t thread_id;
    int64_t held_first; /* multi: what it may hold, claimed and not published; first > last: none */
    int64_t held_last;
    int64_t waits; /* claims that found the ring full */
    int64_t wait_ns;
    int64_t sleeps;
    int64_t wakes;
    int64_t drops;
    int64_t refusals;
    int64_t aborts;
} dx_producer_stat_t;

/* Reads producer entry `index`, 0 to producers_max - 1.
 * Returns DX_OK, DX_ENOTFOUND when the entry is unused or out of range.
 * Threads: any. */
DX_API DX_NODISCARD int dx_ring_producer_stat(const dx_ring_t *ring, int32_t index,
                                              dx_producer_stat_t *stat_out);

/* Finds a consumer by its name, in whatever process: its index, for `upstream` masks and for
 * dx_ring_consumer_stat(); the lowest when several have it.
 * Returns the index, or DX_ENOTFOUND.
 * Threads: any. */
DX_API DX_NODISCARD int32_t dx_ring_consumer_find(const dx_ring_t *ring, const char *name);

DX_EXTERN_C_END
#endif
