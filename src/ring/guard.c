/* guard.c - one thread per process that says that we live, and looks whether the others do.
 *
 * DESIGN
 *
 * The thread serves all shared rings of its process. Four times per detect_ns it counts up our
 * heartbeat in each, and looks at every other process entry:
 *
 *     its lock is gone             it is dead: recover, at once
 *     its beats stand still        for detect_ns less one round: it may be stalled; whether it is
 *                                  stopped, and what follows, is decided in recover.c
 *
 * So a death is noticed within a quarter of detect_ns and a stall within detect_ns, and nobody's
 * hot path pays anything. Silence is counted in rounds of our own, a long gap between two of which
 * counts as two: a machine that was suspended, or a guard that got no processor, blames nobody.
 *
 * A guard never waits for the tables of a ring: when another holds them, it comes back in the next
 * round.
 *
 * fork() copies descriptors but not this thread: the child closes its copies, so that the lock by
 * which the parent lives is the parent's alone. For that, every file is in a list from the moment
 * it is open (dxi_guard_know()). A child can't use the rings of its parent; it attaches anew.
 *
 * INVARIANTS
 *
 *   G1  the thread runs exactly while there is a ring in the list
 *   G2  a ring in the list is whole; dxi_guard_remove() returns when no round looks at it any more
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "base/fail.h"
#include "disruptorx/clock.h"
#include "disruptorx/thread.h"
#include "ring/share.h"

#define ROUNDS_PER_DETECTION 4

static pthread_mutex_t guard_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t guard_changed;
static pthread_once_t guard_once = PTHREAD_ONCE_INIT;
static dx_ring_t *guard_rings;
static dx_thread_t *guard_thread;
static bool guard_starting; /* one at a time starts or ends the thread */

static pthread_mutex_t fork_lock = PTHREAD_MUTEX_INITIALIZER; /* taken before guard_lock */
static dxi_share_t *known_shares;

/* -------------------------------------------------------------------------------------- rounds */

static int64_t round_ns(const dx_ring_t *ring)
{
    return ring->block->detect_ns / ROUNDS_PER_DETECTION;
}

static void beat(const dx_ring_t *ring, int64_t now_ns)
{
    dx_process_entry_t *own = &dxi_block_processes(ring->block)[ring->share->index];
    dx_store_relaxed(&own->beats, dx_load_relaxed(&own->beats) + 1);
    dx_store_relaxed(&own->beat_ns, now_ns);
    int32_t state = DX_PROCESS_STALLED; /* somebody thought so, and we are back */
    (void)dx_compare_exchange32_acq_rel(&own->state, &state, DX_PROCESS_ATTACHED);
}

/* Counts the silence of one process. True when it has lasted for long enough. */
static bool is_silent(const dx_ring_t *ring, int32_t index, int64_t passed_ns)
{
    dxi_share_t *share = ring->share;
    const int64_t beats = dx_load_relaxed(&dxi_block_processes(ring->block)[index].beats);
    if (beats != share->seen_beats[index]) {
        share->seen_beats[index] = beats;
        share->silent_ns[index] = 0;
        return false;
    }
    share->silent_ns[index] += passed_ns < 2 * round_ns(ring) ? passed_ns : 2 * round_ns(ring);
    return share->silent_ns[index] >= ring->block->detect_ns - round_ns(ring);
}

static void look(dx_ring_t *ring, int64_t now_ns)
{
    dxi_share_t *share = ring->share;
    const int64_t passed_ns = now_ns - share->looked_ns;
    uint64_t stalled = 0;
    bool dead = dx_load32_acquire(&ring->block->closed) != 0; /* or closed: as much work */
    share->looked_ns = now_ns;
    for (int32_t i = 0; i < (int32_t)DX_RING_PROCESSES_MAX; i++) {
        const dx_process_entry_t *entry = &dxi_block_processes(ring->block)[i];
        if (i == share->index || dx_load32_acquire(&entry->state) == DX_PROCESS_FREE) {
            continue;
        }
        if (!dxi_share_is_taken(share->fd, i)) {
            dead = true;
        } else if (is_silent(ring, i, passed_ns)) {
            stalled |= UINT64_C(1) << i;
        }
    }
    if (!dead && stalled == 0) {
        return;
    }
    if (dxi_table_try_lock(ring)) {
        (void)dxi_recover(ring, stalled);
        if (dx_load32_acquire(&ring->block->closed) != 0) {
            (void)dxi_recover_closed(ring->block);
        }
        dxi_table_unlock(ring);
    } else {
        dxi_recover_table(ring->block, stalled);
    }
}

/* One round of the rings whose time has come; the time of the next. */
static int64_t rounds(int64_t now_ns)
{
    int64_t next_ns = INT64_MAX;
    for (dx_ring_t *ring = guard_rings; ring != NULL; ring = ring->share->next) {
        const int64_t due_ns = ring->share->looked_ns + round_ns(ring);
        if (now_ns >= due_ns) {
            beat(ring, now_ns);
            look(ring, now_ns);
        }
        const int64_t again_ns = ring->share->looked_ns + round_ns(ring);
        next_ns = again_ns < next_ns ? again_ns : next_ns;
    }
    return next_ns;
}

static void guard_main(void *context)
{
    (void)context;
    pthread_mutex_lock(&guard_lock);
    while (guard_rings != NULL) {
        const int64_t next_ns = rounds(dx_clock_ns());
        const struct timespec until = {.tv_sec = next_ns / 1000000000,
                                       .tv_nsec = next_ns % 1000000000};
        (void)pthread_cond_timedwait(&guard_changed, &guard_lock, &until);
    }
    pthread_mutex_unlock(&guard_lock);
}

/* ---------------------------------------------------------------------------------------- fork */

static void changed_init(void)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC); /* the clock of dx_clock_ns() */
    pthread_cond_init(&guard_changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void before_fork(void)
{
    pthread_mutex_lock(&fork_lock);
    pthread_mutex_lock(&guard_lock);
}

static void in_parent(void)
{
    pthread_mutex_unlock(&guard_lock);
    pthread_mutex_unlock(&fork_lock);
}

static void in_child(void)
{
    for (dxi_share_t *share = known_shares; share != NULL; share = share->known) {
        if (share->fd >= 0) {
            (void)close(share->fd);
        }
        share->fd = -1;
        share->index = -1;
        share->published = false; /* its end is none of the child's business */
        share->unfinished[0] = 0;
    }
    guard_rings = NULL;
    guard_thread = NULL; /* it runs in the parent only; the few bytes stay */
    guard_starting = false;
    changed_init(); /* the threads that waited for it are not here, and it would wait for them */
    pthread_mutex_unlock(&guard_lock);
    pthread_mutex_unlock(&fork_lock);
}

static void guard_init(void)
{
    changed_init();
    (void)pthread_atfork(before_fork, in_parent, in_child);
}

void dxi_guard_fork_hold(void)
{
    pthread_mutex_lock(&fork_lock);
}

void dxi_guard_fork_release(void)
{
    pthread_mutex_unlock(&fork_lock);
}

void dxi_guard_know(dxi_share_t *share)
{
    pthread_once(&guard_once, guard_init);
    pthread_mutex_lock(&fork_lock);
    share->known = known_shares;
    known_shares = share;
    pthread_mutex_unlock(&fork_lock);
}

void dxi_guard_forget(dxi_share_t *share)
{
    pthread_mutex_lock(&fork_lock);
    for (dxi_share_t **link = &known_shares; *link != NULL; link = &(*link)->known) {
        if (*link == share) {
            *link = share->known;
            break;
        }
    }
    pthread_mutex_unlock(&fork_lock);
}

/* -------------------------------------------------------------------------- adding and removing */

/* Starts the thread with all signals blocked: they are for the user's threads. */
static int start(dx_error_t *error)
{
    static const dx_thread_options_t options = {.name = "dx-guard"};
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int code = dx_thread_start(&options, guard_main, NULL, &guard_thread, error);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

static void wait_for_turn(void)
{
    while (guard_starting) {
        pthread_cond_wait(&guard_changed, &guard_lock);
    }
}

static void list_add(dx_ring_t *ring)
{
    ring->share->next = guard_rings;
    ring->share->looked_ns = dx_clock_ns();
    guard_rings = ring;
}

/* True when it was in the list. */
static bool list_remove(const dx_ring_t *ring)
{
    for (dx_ring_t **link = &guard_rings; *link != NULL; link = &(*link)->share->next) {
        if (*link == ring) {
            *link = ring->share->next;
            return true;
        }
    }
    return false;
}

int dxi_guard_add(dx_ring_t *ring, dx_error_t *error)
{
    int code = DX_OK;
    pthread_once(&guard_once, guard_init);
    pthread_mutex_lock(&guard_lock);
    wait_for_turn();
    const bool first = guard_rings == NULL;
    list_add(ring);
    if (first) {
        guard_starting = true; /* the new thread needs the lock */
        pthread_mutex_unlock(&guard_lock);
        code = start(error);
        pthread_mutex_lock(&guard_lock);
        guard_starting = false;
    }
    if (code != DX_OK) {
        (void)list_remove(ring);
    }
    pthread_cond_broadcast(&guard_changed);
    pthread_mutex_unlock(&guard_lock);
    return code;
}

void dxi_guard_remove(dx_ring_t *ring)
{
    pthread_once(&guard_once, guard_init);
    pthread_mutex_lock(&guard_lock);
    wait_for_turn();
    if (list_remove(ring) && guard_rings == NULL) {
        dx_thread_t *thread = guard_thread;
        guard_thread = NULL;
        guard_starting = true;
        pthread_cond_broadcast(&guard_changed);
        pthread_mutex_unlock(&guard_lock);
        (void)dx_thread_join(thread);
        pthread_mutex_lock(&guard_lock);
        guard_starting = false;
    }
    pthread_cond_broadcast(&guard_changed);
    pthread_mutex_unlock(&guard_lock);
}
