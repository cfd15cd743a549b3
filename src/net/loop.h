/* net/loop.h - a thread that serves connections and rings: io.N.
 *
 * A loop runs a libuv event loop, and between two looks at its sockets the *duties* of its shards
 * and connections: functions that do what is there and never wait. As long as a duty finds work the
 * loop does not sleep; then it spins for up to `spin_ns` (or for ever with busy_poll); then it
 * sleeps in the kernel until a socket, a timer or its bell.
 *
 * The bell: whoever has put something where a duty will look (a ring, a list) calls
 * dxi_loop_bell() behind it. While the loop is awake that is one load of a shared word. The pair is
 * Dekker's: the loop stores `asleep`, fences and looks once more; the others publish, fence and
 * load `asleep`.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_NET_LOOP_H
#define DXI_NET_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "disruptorx/atomic.h"
#include "disruptorx/error.h"
#include "disruptorx/platform.h"
#include "disruptorx/thread.h"

typedef struct dxi_loop dxi_loop_t;

typedef struct dxi_loop_options {
    const char *name; /* of its thread, as in "io.0"; copied */
    bool busy_poll;
    int64_t spin_ns;           /* at most (net/spin.h); 0: it sleeps as soon as nothing is there */
    dx_cpu_set_t cpus;         /* empty: no wish */
    int64_t drive_patience_ns; /* behind the last dxi_loop_drive(); 0: DXI_DRIVE_PATIENCE_NS */
} dxi_loop_options_t;

/* Threads: any. Returns DX_OK, DX_ENOMEM, DX_EIO. */
DX_NODISCARD int dxi_loop_create(const dxi_loop_options_t *options, dxi_loop_t **loop_out,
                                 dx_error_t *error);

/* Starts its thread. Threads: owner. */
DX_NODISCARD int dxi_loop_start(dxi_loop_t *loop, dx_error_t *error);

/* Ends its thread, after the task and duty that run now. All its connections must be closed, or are
 * closed without a word. Threads: owner. */
void dxi_loop_stop(dxi_loop_t *loop);

/* Frees it; NULL is allowed. Threads: owner. */
void dxi_loop_destroy(dxi_loop_t *loop);

/* A function that runs once per turn of the loop. It returns how much it has done: above 0 keeps
 * the loop awake. The struct is the caller's and lies still until dxi_loop_remove_duty(). */
typedef struct dxi_duty {
    int (*run)(void *context, int64_t now_ns); /* now: dx_clock_ns() at the start of the turn */
    void *context;
    struct dxi_duty *next; /* private */
} dxi_duty_t;

/* Threads: loop, or owner before start and after stop. */
void dxi_loop_add_duty(dxi_loop_t *loop, dxi_duty_t *duty);
void dxi_loop_remove_duty(dxi_loop_t *loop, dxi_duty_t *duty);

/* The loop wakes up, if it sleeps, at this time at the latest (dx_clock_ns()), once. An earlier
 * wish wins. Threads: loop. */
void dxi_loop_wake_at(dxi_loop_t *loop, int64_t time_ns);

/* Something to run in the loop's thread, once. The struct is the caller's until `run` is called;
 * nothing is allocated, so it never fails. */
typedef struct dxi_task {
    void (*run)(void *context);
    void *context;
    struct dxi_task *next; /* private */
} dxi_task_t;

/* Threads: any. Tasks run in the order in which one thread posted them. After dxi_loop_stop() they
 * run in dxi_loop_stop()'s or dxi_loop_destroy()'s thread: no task is lost. */
void dxi_loop_post(dxi_loop_t *loop, dxi_task_t *task);

/* Posts and waits until it has run; at once when called in the loop's thread, or when the loop's
 * thread does not run. Threads: any. */
void dxi_loop_call(dxi_loop_t *loop, void (*run)(void *context), void *context);

/* True in the loop's thread. Threads: any. */
bool dxi_loop_is_current(const dxi_loop_t *loop);

/* dx_clock_ns() as of this turn. Threads: loop. */
int64_t dxi_loop_now_ns(const dxi_loop_t *loop);

/* The uv_loop_t, for src/net. Threads: loop. */
void *dxi_loop_uv(dxi_loop_t *loop);

/* Turns, sleeps and bells since the start. Threads: any. */
typedef struct dxi_loop_stat {
    int64_t turns;
    int64_t sleeps;
    int64_t bells;       /* that woke it */
    int64_t busy_ns;     /* time in duties, sockets and tasks that had work */
    int64_t turn_max_ns; /* the longest turn of the last whole second */
} dxi_loop_stat_t;
void dxi_loop_stat(const dxi_loop_t *loop, dxi_loop_stat_t *stat_out);

/* The slow half of the bell. Threads: any. */
void dxi_loop_wake(dxi_loop_t *loop);

/* Takes the place of a loop that sleeps, for a moment and without waking it: until
 * dxi_loop_give_back() this thread may do with the loop's connections what its thread may (send and
 * flush, but no call that is a callback's, and nothing that ends or begins one), and whatever its
 * duties do not share with others. Returns false when the loop is awake or lent: then ring the
 * bell.
 * Threads: any but the loop's. */
bool dxi_loop_borrow(dxi_loop_t *loop);

/* Writes what was put into sending rings and gives the loop back; wakes it if there is more to do.
 * Threads: who borrowed it. */
void dxi_loop_give_back(dxi_loop_t *loop);

/* One turn of the loop in the caller's thread, which never waits: for programs that spin. The
 * loop's own thread rests as long as this is called at least every 50 ms (net/drive.h); the first
 * calls only ask it to.
 * Returns 1 when something was done, 0 when nothing was there or somebody else has the loop;
 * DX_EDEADLOCK in the thread of a loop.
 * Threads: any but the loop's; several may, and one of them has the turn. */
int dxi_loop_drive(dxi_loop_t *loop);

/* The caller is about to wait for something that the loop does. If it drives the loop, the loop's
 * thread goes on. Threads: any. */
void dxi_loop_will_wait(dxi_loop_t *loop);

/* The word of the bell: 0 while the loop is awake. */
typedef struct dxi_bell {
    dx_atomic32_t asleep;
} dxi_bell_t;
dxi_bell_t *dxi_loop_bell_of(dxi_loop_t *loop);

/* Wakes the loop if it sleeps. Behind a release store, or a locked instruction, that published what
 * the loop is to find. Threads: any. */
DX_INLINE void dxi_loop_bell(dxi_loop_t *loop, dxi_bell_t *bell)
{
    dx_fence_seq_cst(); /* pairs with the fence before the loop's last look */
    if (DX_UNLIKELY(dx_load32_relaxed(&bell->asleep) != 0)) {
        dxi_loop_wake(loop);
    }
}

#endif
