/* loop.c - one turn after the other: sockets, tasks, duties, writes, and sleep when there is none.
 *
 * DESIGN
 *
 *     +-> hooks of the last turn -> sockets and timers (uv_run, without waiting)
 *     |     -> shared memory (watch.h) -> tasks -> duties -> flush: what connections have to write
 *     |           |
 *     |           | nothing was there, for as long as spin.h says
 *     |           v
 *     |   DOZING -> fence -> tasks and duties once more -> ASLEEP -> uv_run, waiting -> AWAKE
 *     +-----------+----------------------------------------------------------------------+
 *
 * A look at the sockets is a system call. While duties find work and sockets do not, it is made
 * every LOOK_TURNS turns or LOOK_NS, whichever is earlier; a turn behind a wait that sockets have
 * ended needs none, so what was received is answered first. A loop that has nothing to do but spin
 * looks in each turn, or, where it looks at shared memory as well, every IDLE_LOOK_NS: a turn that
 * makes no system call sees what is in memory ten times sooner.
 *
 * THE BELL is the pair of Dekker:
 *
 *     loop                                   somebody else
 *     asleep = DOZING                   (A)  store what the loop is to find
 *     fence                                  fence                              (dxi_loop_bell)
 *     look: tasks, duties               (B)  load asleep                        (C)
 *
 * If (B) does not see the store, (A) came before (C) in the one order of the fences, so (C) rings.
 * Who rings takes the word back (exchange), so one sleep is ended by one system call, however many
 * ring. membarrier() on the loop's side would make the other fence free, as the rings do it. But a
 * loop sleeps ten thousand times a second where events are rare, and each of those calls interrupts
 * the processor of the very thread that is about to get the event: 5 us against 10 ns a publish.
 *
 * LENDING. While the loop sleeps, somebody else may act in its place for a moment: what he would
 * have woken the loop for, he does himself, without the 15 us that a wake-up takes. The bell's word
 * is the token of all that belongs to the loop's thread:
 *
 *     AWAKE -> DOZING -> ASLEEP --(dxi_loop_borrow)--> LENT --(another rings)--> LENT_RUNG
 *       ^        |        |  ^                          |                          |
 *       +--(rung)+--------+  +---(dxi_loop_give_back)---+                          |
 *       |     (rung, or a socket, timer)                                           |
 *       +-----------------------------------(dxi_loop_give_back, and a wake-up)----+
 *
 * The loop's first step behind its wait is to take the token back (reclaim()); it waits where it is
 * lent. libuv is not told anything meanwhile: who borrows must not start, stop or close a handle;
 * src/net leaves that to the next turn, for which the loop is woken.
 *
 * DRIVING. A program that spins may take the loop's turns itself (drive.h). For everybody else a
 * loop that is driven looks like one that is awake.
 *
 * INVARIANTS
 *
 *   L1  the loop waits in the kernel only after it looked at tasks, duties and hooks behind (A)
 *   L2  a task that was posted runs once: in the loop's thread, or, when that has ended, in the
 *       thread that stops, destroys or calls the loop, under `outside`
 *   L3  when the loop's thread has ended, no member is left: connections are closed by it
 *   L4  a hook is in at most one list
 *
 * THREADS. `tasks`, the bell and the statistics are shared; `outside` is held by whoever acts for
 * the loop while its thread does not run; everything else belongs to the loop's thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/loop.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "base/futex.h"
#include "disruptorx/clock.h"
#include "net/drive.h"
#include "net/loop_internal.h"
#include "net/spin.h"
#include "net/tasks.h"
#include "net/watch.h"

#define LOOK_TURNS 8
#define LOOK_NS INT64_C(20000)
#define IDLE_LOOK_NS INT64_C(2000) /* with nothing to do, where memory is looked at as well */
#define BELL_AWAKE 0               /* the bell's word */
#define BELL_DOZING 1              /* looks once more */
#define BELL_ASLEEP 2              /* waits in the kernel */
#define BELL_LENT 3                /* the same, and another thread acts for it */
#define BELL_LENT_RUNG 4           /* and somebody has published something meanwhile */

#define YIELDS_MAX 64
#define CLOSE_ROUNDS_MAX 1000 /* of uv_run() in dxi_loop_destroy(); each closes handles */

struct dxi_loop {
    /* Read by all, written seldom. */
    DX_ISOLATED dxi_bell_t bell;

    DX_ISOLATED dxi_tasks_t tasks;

    DX_ISOLATED dxi_drive_t drive;

    /* Of the loop's thread. */
    DX_ISOLATED uv_loop_t uv;
    uv_async_t ring;       /* what the bell rings */
    uv_poll_t alarm;       /* the timerfd of dxi_loop_wake_at() */
    uv_prepare_t doorstep; /* the last thing before waiting */
    int alarm_fd;
    bool handles; /* ring, alarm and doorstep are there */
    bool waiting; /* in the uv_run() that may wait */
    bool looked;  /* sockets have ended a wait: what they had to say was heard */
    bool busy_poll;
    bool worked; /* the last turn found something */
    dxi_spin_t spin;
    int64_t now_ns;
    int64_t worked_ns; /* the start of the last turn that had work */
    int64_t looked_ns; /* the last look at the sockets */
    int64_t wake_ns;   /* the wish of dxi_loop_wake_at(); INT64_MAX: none */
    int64_t alarm_ns;  /* for when the timerfd is set; INT64_MAX: not */
    int unlooked;      /* turns since the last look */
    int events;        /* of sockets, timers and hooks since the start of the turn */
    dxi_link_t next_hooks;
    dxi_link_t flush_hooks;
    dxi_link_t members;
    dxi_watch_t watch;
    dxi_duty_t *duties;
    dxi_duty_t *duty_next;   /* the one that runs next: may be removed meanwhile */
    dx_frame_batch_t *batch; /* not in use; NULL: none */

    /* Statistics: one writer, any reader. */
    DX_ISOLATED dx_atomic64_t turns;
    dx_atomic64_t sleeps;
    dx_atomic64_t bells;
    dx_atomic64_t busy_ns;
    dx_atomic64_t turn_max_ns;
    int64_t second_ns; /* when the second began for which turn_max is kept */
    int64_t second_max_ns;

    /* Life. */
    DX_ISOLATED pthread_mutex_t outside; /* recursive */
    dx_atomic32_t running;               /* the thread is there */
    dx_atomic32_t stopping;
    dx_thread_t *thread;
    char name[DX_THREAD_NAME_MAX + 1];
    dx_cpu_set_t cpus;
};

static _Thread_local const dxi_loop_t *current; /* the loop whose turn this thread takes */
static _Thread_local const dxi_loop_t *driven;  /* the loop that it has driven last */

/* ---------------------------------------------------------------------------------------- hooks */

void dxi_loop_flush_later(dxi_loop_t *loop, dxi_hook_t *hook)
{
    dxi_link_append(&loop->flush_hooks, &hook->link);
}

void dxi_loop_run_next(dxi_loop_t *loop, dxi_hook_t *hook)
{
    dxi_link_append(&loop->next_hooks, &hook->link);
}

void dxi_loop_join(dxi_loop_t *loop, dxi_hook_t *member)
{
    dxi_link_append(&loop->members, &member->link);
}

static void reclaim(dxi_loop_t *loop);

void dxi_loop_worked(dxi_loop_t *loop)
{
    if (loop->waiting && loop->events == 0) {
        reclaim(loop);
        loop->now_ns = dx_clock_ns(); /* the turn begins here */
    }
    loop->events++;
}

/* ---------------------------------------------------------------------------------------- tasks */

void dxi_loop_post(dxi_loop_t *loop, dxi_task_t *task)
{
    dxi_tasks_push(&loop->tasks, task);
    dxi_loop_bell(loop, &loop->bell);
}

/* Runs what was posted, in the place of a thread that does not run (L2). */
static void tasks_run_outside(dxi_loop_t *loop)
{
    (void)pthread_mutex_lock(&loop->outside);
    if (dx_load32_acquire(&loop->running) == 0) {
        while (dxi_tasks_run(&loop->tasks) != 0) {
        }
    }
    (void)pthread_mutex_unlock(&loop->outside);
}

/* A call that somebody waits for. */
typedef struct call {
    dxi_task_t task;
    void (*run)(void *context);
    void *context;
    dx_atomic32_t done; /* futex */
} call_t;

static void call_run(void *context)
{
    call_t *const call = context;
    call->run(call->context);
    dx_store32_release(&call->done, 1); /* from here on it may be gone; its address is enough */
    dxi_futex_wake(&call->done);
}

void dxi_loop_call(dxi_loop_t *loop, void (*run)(void *context), void *context)
{
    if (dxi_loop_is_current(loop)) {
        run(context);
        return;
    }
    if (dx_load32_acquire(&loop->running) == 0) {
        (void)pthread_mutex_lock(&loop->outside);
        const bool alone = dx_load32_acquire(&loop->running) == 0;
        if (alone) {
            run(context);
        }
        (void)pthread_mutex_unlock(&loop->outside);
        if (alone) {
            return;
        }
    }
    call_t call = {.task = {.run = call_run, .context = &call}, .run = run, .context = context};
    dxi_loop_post(loop, &call.task);
    /* If the loop ends now it may have run its tasks for the last time before ours was there. Pairs
     * with the fence in dxi_loop_stop(): either we see that it does not run, or it sees our task.
     */
    dx_fence_seq_cst();
    if (dx_load32_acquire(&loop->running) == 0) {
        tasks_run_outside(loop);
    }
    dxi_loop_will_wait(loop);
    while (dx_load32_acquire(&call.done) == 0) { /* pairs with the release in call_run() */
        dxi_futex_wait(&call.done, 0, INT64_MAX);
    }
}

/* --------------------------------------------------------------------------------------- duties */

void dxi_loop_add_duty(dxi_loop_t *loop, dxi_duty_t *duty)
{
    duty->next = loop->duties;
    loop->duties = duty;
}

void dxi_loop_remove_duty(dxi_loop_t *loop, dxi_duty_t *duty)
{
    for (dxi_duty_t **link = &loop->duties; *link != NULL; link = &(*link)->next) {
        if (*link == duty) {
            *link = duty->next;
            if (loop->duty_next == duty) {
                loop->duty_next = duty->next;
            }
            return;
        }
    }
}

static int duties_run(dxi_loop_t *loop)
{
    int work = 0;
    loop->duty_next = loop->duties;
    while (loop->duty_next != NULL) {
        dxi_duty_t *const duty = loop->duty_next;
        loop->duty_next = duty->next;
        const int done = duty->run(duty->context, loop->now_ns);
        work += done > 0;
    }
    return work;
}

/* ----------------------------------------------------------------------------------------- bell */

/* The word is AWAKE by our doing: ends the loop's wait. */
static void rouse(dxi_loop_t *loop)
{
    (void)dx_fetch_add_relaxed(&loop->bells, 1);
    (void)uv_async_send(&loop->ring);
}

void dxi_loop_wake(dxi_loop_t *loop)
{
    int32_t word = dx_load32_relaxed(&loop->bell.asleep);
    /* ACQ_REL: of several that ring, only the one that changes the word makes the call. */
    for (;;) {
        if (word == BELL_DOZING || word == BELL_ASLEEP) {
            if (dx_compare_exchange32_acq_rel(&loop->bell.asleep, &word, BELL_AWAKE)) {
                rouse(loop);
                return;
            }
        } else if (word != BELL_LENT ||
                   dx_compare_exchange32_acq_rel(&loop->bell.asleep, &word, BELL_LENT_RUNG)) {
            return; /* it is awake, or who has it will wake it */
        }
    }
}

bool dxi_loop_borrow(dxi_loop_t *loop)
{
    int32_t word = BELL_ASLEEP;
    /* ACQ_REL: we see all that the loop, or who borrowed it before, has done; pairs with reclaim()
     * and dxi_loop_give_back(). */
    return dx_compare_exchange32_acq_rel(&loop->bell.asleep, &word, BELL_LENT);
}

bool dxi_loop_is_lent(const dxi_loop_t *loop)
{
    return dx_load32_relaxed(&loop->bell.asleep) >= BELL_LENT;
}

void dxi_loop_give_back(dxi_loop_t *loop)
{
    (void)dxi_hooks_run(&loop->flush_hooks);
    const bool more = !dxi_link_alone(&loop->next_hooks) || !dxi_link_alone(&loop->flush_hooks) ||
                      loop->wake_ns < loop->alarm_ns;
    int32_t word = BELL_LENT;
    if (!more && dx_compare_exchange32_acq_rel(&loop->bell.asleep, &word, BELL_ASLEEP)) {
        return;
    }
    (void)dx_exchange32_acq_rel(&loop->bell.asleep, BELL_AWAKE);
    rouse(loop);
}

/* The loop's thread comes back from its wait. */
static void reclaim(dxi_loop_t *loop)
{
    const struct timespec pause = {.tv_nsec = 20000};
    int32_t word = dx_load32_relaxed(&loop->bell.asleep);
    for (int look = 0; word != BELL_AWAKE; look++) {
        if (word >= BELL_LENT) {
            /* For a write or two; a real-time thread does not yield to others. */
            (void)(look < YIELDS_MAX ? sched_yield() : nanosleep(&pause, NULL));
            word = dx_load32_relaxed(&loop->bell.asleep);
        } else if (dx_compare_exchange32_acq_rel(&loop->bell.asleep, &word, BELL_AWAKE)) {
            return;
        }
    }
    /* AWAKE by somebody else: acquires what who borrowed last has done. */
    (void)dx_load32_acquire(&loop->bell.asleep);
}

dxi_bell_t *dxi_loop_bell_of(dxi_loop_t *loop)
{
    return &loop->bell;
}

static void on_ring(uv_async_t *handle)
{
    (void)handle; /* to be awake is all */
}

static void on_alarm(uv_poll_t *handle, int status, int events)
{
    dxi_loop_t *const loop = handle->data;
    uint64_t times = 0;
    (void)status;
    (void)events;
    if (loop->waiting) {
        reclaim(loop);
    }
    (void)!read(loop->alarm_fd, &times, sizeof times);
    loop->alarm_ns = INT64_MAX;
}

/* Timers run inside uv_run() before it waits: what they left to do is not waited over (L1). */
static void on_doorstep(uv_prepare_t *handle)
{
    dxi_loop_t *const loop = handle->data;
    if (loop->waiting && loop->events != 0) {
        uv_stop(&loop->uv);
    }
}

void dxi_loop_wake_at(dxi_loop_t *loop, int64_t time_ns)
{
    if (time_ns < loop->wake_ns) {
        loop->wake_ns = time_ns > 0 ? time_ns : 1;
    }
}

static void alarm_set(dxi_loop_t *loop)
{
    if (loop->wake_ns == INT64_MAX || loop->wake_ns == loop->alarm_ns) {
        return; /* an alarm that nobody wants any more wakes once in vain */
    }
    const struct itimerspec when = {.it_value = {.tv_sec = loop->wake_ns / DX_NS_PER_S,
                                                 .tv_nsec = loop->wake_ns % DX_NS_PER_S}};
    (void)timerfd_settime(loop->alarm_fd, TFD_TIMER_ABSTIME, &when, NULL);
    loop->alarm_ns = loop->wake_ns;
}

/* ----------------------------------------------------------------------------------------- turn */

static void look(dxi_loop_t *loop)
{
    loop->unlooked = 0;
    loop->looked_ns = loop->now_ns;
    (void)uv_run(&loop->uv, UV_RUN_NOWAIT);
}

/* Whether a turn behind one without work looks at the sockets. */
static bool idle_look_due(const dxi_loop_t *loop)
{
    return loop->watch.count == 0 || loop->now_ns - loop->looked_ns >= IDLE_LOOK_NS;
}

static bool look_due(dxi_loop_t *loop, bool worked)
{
    if (!worked && !loop->looked) {
        return idle_look_due(loop);
    }
    return ++loop->unlooked >= LOOK_TURNS || loop->now_ns - loop->looked_ns >= LOOK_NS;
}

/* Everything that may be there, once. Returns whether something was; `worked`: so it was in the
 * turn before. */
static bool turn_run(dxi_loop_t *loop, bool worked)
{
    loop->events += dxi_hooks_run(&loop->next_hooks);
    if (look_due(loop, worked)) {
        look(loop);
    }
    const bool sockets = loop->events != 0;
    const int watched = dxi_watch_run(&loop->watch, loop->now_ns);
    const int tasks = dxi_tasks_run(&loop->tasks);
    const int duties = duties_run(loop);
    const int flushed = dxi_hooks_run(&loop->flush_hooks);
    loop->events = 0;
    if (sockets) {
        loop->unlooked = LOOK_TURNS; /* where something was, more may be */
    }
    return sockets || watched != 0 || tasks != 0 || duties != 0 || flushed != 0;
}

/* Waits in the kernel, if there is nothing at all. */
static void wait_run(dxi_loop_t *loop)
{
    /* The fence orders it (A), and pairs with the one in dxi_loop_bell(), and with those of who
     * writes into watched memory. */
    dxi_watch_doze(&loop->watch);
    dx_store32_relaxed(&loop->bell.asleep, BELL_DOZING);
    dx_fence_seq_cst();
    const int work =
        dxi_watch_run(&loop->watch, loop->now_ns) + dxi_tasks_run(&loop->tasks) + duties_run(loop);
    const bool there = work != 0 || /* (B) */
                       !dxi_link_alone(&loop->next_hooks) || !dxi_link_alone(&loop->flush_hooks) ||
                       dxi_drive_wanted(&loop->drive) || dx_load32_acquire(&loop->stopping) != 0;
    if (there || loop->wake_ns <= loop->now_ns) {
        loop->worked_ns = loop->now_ns;
        (void)dx_exchange32_acq_rel(&loop->bell.asleep, BELL_AWAKE);
        dxi_watch_rouse(&loop->watch, loop->now_ns);
        return;
    }
    alarm_set(loop);
    dx_store_relaxed(&loop->sleeps, dx_load_relaxed(&loop->sleeps) + 1);
    loop->waiting = true;
    int32_t word = BELL_DOZING;
    /* ACQ_REL: who borrows sees all that we have done. When it fails somebody has rung, and
     * uv_run() returns at once. */
    (void)dx_compare_exchange32_acq_rel(&loop->bell.asleep, &word, BELL_ASLEEP);
    (void)uv_run(&loop->uv, UV_RUN_ONCE);
    reclaim(loop);
    loop->waiting = false;
    loop->looked = loop->events != 0;
    if (!loop->looked) {
        loop->now_ns = dx_clock_ns();
    }
    loop->looked_ns = loop->now_ns;
    dxi_spin_waited(&loop->spin, loop->now_ns - loop->worked_ns);
    dxi_watch_rouse(&loop->watch, loop->now_ns);
}

/* A turn found nothing, and the loop is not to sleep. Others may want the processor, where there
 * are fewer than threads that spin; to ask the kernel is a system call, and made with the look. */
static void idle_pause(dxi_loop_t *loop)
{
    if (idle_look_due(loop)) {
        (void)sched_yield();
    } else {
        dx_cpu_relax();
    }
}

static void statistics(dxi_loop_t *loop, int64_t took_ns, bool worked)
{
    dx_store_relaxed(&loop->turns, dx_load_relaxed(&loop->turns) + 1);
    if (worked) {
        dx_store_relaxed(&loop->busy_ns, dx_load_relaxed(&loop->busy_ns) + took_ns);
    }
    if (took_ns > loop->second_max_ns) {
        loop->second_max_ns = took_ns;
    }
    if (loop->now_ns - loop->second_ns >= DX_NS_PER_S) {
        dx_store_relaxed(&loop->turn_max_ns, loop->second_max_ns);
        loop->second_ns = loop->now_ns;
        loop->second_max_ns = 0;
    }
}

/* Closes what is still there and waits until it is (L3). */
static void members_end(dxi_loop_t *loop)
{
    for (dxi_link_t *link = loop->members.next; link != &loop->members;) {
        dxi_hook_t *const member = (dxi_hook_t *)link;
        link = link->next;
        member->run(member->context);
    }
    while (!dxi_link_alone(&loop->members)) {
        (void)uv_run(&loop->uv, UV_RUN_NOWAIT);
    }
}

/* One turn, and what is written down about it. */
static void turn_take(dxi_loop_t *loop)
{
    const int64_t begun_ns = loop->now_ns;
    if (loop->wake_ns <= begun_ns) {
        loop->wake_ns = INT64_MAX; /* this turn is what was wished for */
    }
    loop->worked = turn_run(loop, loop->worked);
    loop->looked = false;
    loop->now_ns = dx_clock_ns();
    statistics(loop, loop->now_ns - begun_ns, loop->worked);
    if (loop->worked) {
        loop->worked_ns = loop->now_ns;
    }
}

static void thread_run(void *context)
{
    dxi_loop_t *const loop = context;
    current = loop;
    loop->now_ns = dx_clock_ns();
    loop->second_ns = loop->now_ns;
    loop->worked = true;
    while (dx_load32_acquire(&loop->stopping) == 0) {
        const int64_t begun_ns = loop->now_ns;
        turn_take(loop);
        if (dxi_drive_wanted(&loop->drive)) {
            dxi_drive_park(&loop->drive);
            loop->now_ns = dx_clock_ns();
        } else if (loop->worked) {
            continue;
        } else if (loop->busy_poll || dxi_spin_on(&loop->spin, loop->now_ns - loop->worked_ns,
                                                  loop->now_ns - begun_ns)) {
            idle_pause(loop);
        } else {
            wait_run(loop);
        }
    }
    (void)dxi_tasks_run(&loop->tasks);
    (void)dxi_hooks_run(&loop->flush_hooks);
    members_end(loop);
    current = NULL;
}

int dxi_loop_drive(dxi_loop_t *loop)
{
    if (current != NULL) {
        return DX_EDEADLOCK;
    }
    driven = loop;
    const dxi_drive_entry_t entry = dxi_drive_enter(&loop->drive);
    if (DX_UNLIKELY(entry == DXI_DRIVE_ASKED)) {
        dxi_loop_bell(loop, &loop->bell);
    }
    if (entry != DXI_DRIVE_TURN) {
        return 0;
    }
    current = loop;
    loop->now_ns = dx_clock_ns();
    turn_take(loop);
    const bool worked = loop->worked;
    current = NULL;
    dxi_drive_leave(&loop->drive);
    return worked;
}

void dxi_loop_will_wait(dxi_loop_t *loop)
{
    if (driven == loop) {
        dxi_drive_recall(&loop->drive);
    }
}

/* ----------------------------------------------------------------------------------------- life */

static void on_stray(uv_handle_t *handle, void *context)
{
    (void)context;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

/* Closes the uv loop; handles that are closing, and names that are being resolved, end first. */
static void uv_end(dxi_loop_t *loop)
{
    if (loop->handles) {
        uv_close((uv_handle_t *)&loop->ring, NULL);
        uv_close((uv_handle_t *)&loop->alarm, NULL);
        uv_close((uv_handle_t *)&loop->doorstep, NULL);
    }
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
    for (int i = 0; uv_loop_close(&loop->uv) == UV_EBUSY && i < CLOSE_ROUNDS_MAX; i++) {
        uv_walk(&loop->uv, on_stray, NULL);
        (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
    }
}

static int uv_begin(dxi_loop_t *loop, dx_error_t *error)
{
    loop->alarm_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (loop->alarm_fd < 0) {
        const int os = errno;
        return dxi_fail_os(error, dxi_code_of_errno(os), os, "cannot make the timer of a loop");
    }
    int rc = dxi_fault("uv loop") ? UV_ENOMEM : uv_loop_init(&loop->uv);
    if (rc != 0) {
        (void)close(loop->alarm_fd);
        return dxi_fail_os(error, dxi_code_of_errno(-rc), -rc, "cannot make an event loop");
    }
    rc = uv_async_init(&loop->uv, &loop->ring, on_ring);
    if (rc == 0) {
        rc = uv_poll_init(&loop->uv, &loop->alarm, loop->alarm_fd);
        if (rc != 0) {
            uv_close((uv_handle_t *)&loop->ring, NULL);
        }
    }
    if (rc != 0) {
        uv_end(loop);
        (void)close(loop->alarm_fd);
        return dxi_fail_os(error, dxi_code_of_errno(-rc), -rc, "cannot make the bell of a loop");
    }
    (void)uv_prepare_init(&loop->uv, &loop->doorstep);
    loop->alarm.data = loop;
    loop->doorstep.data = loop;
    loop->handles = true;
    (void)uv_poll_start(&loop->alarm, UV_READABLE, on_alarm);
    (void)uv_prepare_start(&loop->doorstep, on_doorstep);
    return DX_OK;
}

int dxi_loop_create(const dxi_loop_options_t *options, dxi_loop_t **loop_out, dx_error_t *error)
{
    *loop_out = NULL;
    if (options->spin_ns < 0) {
        return dxi_fail(error, DX_EINVAL, "spin_ns is %lld, must be 0 or more",
                        (long long)options->spin_ns);
    }
    dxi_loop_t *const loop = dxi_alloc_zeroed(1, sizeof *loop);
    if (loop == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a loop");
    }
    const int code = uv_begin(loop, error);
    if (code != DX_OK) {
        dxi_free(loop);
        return code;
    }
    pthread_mutexattr_t recursive;
    (void)pthread_mutexattr_init(&recursive);
    (void)pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    (void)pthread_mutex_init(&loop->outside, &recursive);
    (void)pthread_mutexattr_destroy(&recursive);

    (void)snprintf(loop->name, sizeof loop->name, "%s", options->name != NULL ? options->name : "");
    loop->cpus = options->cpus;
    loop->busy_poll = options->busy_poll;
    loop->spin.most_ns = options->spin_ns;
    loop->drive.patience_ns =
        options->drive_patience_ns != 0 ? options->drive_patience_ns : DXI_DRIVE_PATIENCE_NS;
    loop->wake_ns = INT64_MAX;
    loop->alarm_ns = INT64_MAX;
    loop->now_ns = dx_clock_ns();
    dxi_link_init(&loop->next_hooks);
    dxi_link_init(&loop->flush_hooks);
    dxi_link_init(&loop->members);
    dxi_link_init(&loop->watch.list);
    *loop_out = loop;
    return DX_OK;
}

int dxi_loop_start(dxi_loop_t *loop, dx_error_t *error)
{
    int code = DX_OK;
    (void)pthread_mutex_lock(&loop->outside);
    if (loop->thread != NULL || dx_load32_acquire(&loop->stopping) != 0) {
        code = dxi_fail(error, DX_ESTATE, "the loop %s was started before", loop->name);
    } else {
        dx_store32_release(&loop->running, 1);
        const dx_thread_options_t options = {.name = loop->name[0] != '\0' ? loop->name : NULL,
                                             .cpus = loop->cpus};
        code = dx_thread_start(&options, thread_run, loop, &loop->thread, error);
        if (code != DX_OK) {
            dx_store32_release(&loop->running, 0);
        }
    }
    (void)pthread_mutex_unlock(&loop->outside);
    return code;
}

void dxi_loop_stop(dxi_loop_t *loop)
{
    assert(!dxi_loop_is_current(loop));
    dx_store32_release(&loop->stopping, 1);
    if (loop->thread != NULL) {
        dxi_drive_recall(&loop->drive);
        dxi_loop_bell(loop, &loop->bell);
        (void)dx_thread_join(loop->thread);
        loop->thread = NULL;
        dx_store32_release(&loop->running, 0);
        dx_fence_seq_cst(); /* pairs with the one in dxi_loop_call() */
    }
    tasks_run_outside(loop);
}

void dxi_loop_destroy(dxi_loop_t *loop)
{
    if (loop == NULL) {
        return;
    }
    dxi_loop_stop(loop);
    members_end(loop);
    uv_end(loop);
    (void)close(loop->alarm_fd);
    tasks_run_outside(loop);
    (void)pthread_mutex_destroy(&loop->outside);
    dx_frame_batch_destroy(loop->batch);
    dxi_free(loop);
}

/* -------------------------------------------------------------------------------------- batches */

dx_frame_batch_t *dxi_loop_batch_take(dxi_loop_t *loop)
{
    dx_frame_batch_t *batch = loop->batch;
    loop->batch = NULL;
    if (batch == NULL && dx_frame_batch_create(DXI_BATCH_BYTES_MAX, &batch, NULL) != DX_OK) {
        return NULL;
    }
    return batch;
}

void dxi_loop_batch_give(dxi_loop_t *loop, dx_frame_batch_t *batch)
{
    if (loop->batch == NULL) {
        loop->batch = batch;
    } else {
        dx_frame_batch_destroy(batch);
    }
}

/* -------------------------------------------------------------------------------------- looking */

bool dxi_loop_is_current(const dxi_loop_t *loop)
{
    return current == loop;
}

bool dxi_loop_is_ending(const dxi_loop_t *loop)
{
    return dx_load32_acquire(&loop->stopping) != 0;
}

int64_t dxi_loop_now_ns(const dxi_loop_t *loop)
{
    return loop->now_ns;
}

dxi_watch_t *dxi_loop_watch(dxi_loop_t *loop)
{
    return &loop->watch;
}

void *dxi_loop_uv(dxi_loop_t *loop)
{
    return &loop->uv;
}

void dxi_loop_stat(const dxi_loop_t *loop, dxi_loop_stat_t *stat_out)
{
    stat_out->turns = dx_load_relaxed(&loop->turns);
    stat_out->sleeps = dx_load_relaxed(&loop->sleeps);
    stat_out->bells = dx_load_relaxed(&loop->bells);
    stat_out->busy_ns = dx_load_relaxed(&loop->busy_ns);
    stat_out->turn_max_ns = dx_load_relaxed(&loop->turn_max_ns);
}
