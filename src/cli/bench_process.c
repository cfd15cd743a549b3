/* cli/bench_process.c - the other processes of a run over shared rings.
 *
 * DESIGN
 *
 *     here                                   far side, and processes that only are attached
 *     ----                                   ---------------------------------------------
 *     block signals, fork ----------------> wait until `made`
 *     open: makes the rings
 *     made = 1 ---------------------------> attach, open; attached++
 *     wait for all; remove the names;        wait until `phase`
 *     let signals through
 *     phases, each: phase++ --------------> bodies of both sides; far_phase++ (bench_run.c)
 *     over = 1, wait for each by its id <-- close, detach, end
 *
 * fork() comes first, while there is one thread. The names are gone before anything is measured,
 * and until then an interrupt waits: so an interrupted run leaves no file. A child dies with the
 * thread that made it, and ends by itself as soon as the run has failed anywhere.
 *
 * Both sides wait on one futex, `change`, which changes with every word that is set; they look at
 * each other four times a second meanwhile: rarely enough not to be measured.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fail.h"
#include "cli/bench_run.h"

#define LOOK_NS INT64_C(250000000)
/* A child that has not ended so long after it was told is killed: a last resort. */
#define END_NS (INT64_C(10) * DX_NS_PER_S)
#define END_POLL_NS 1000000

/* Words -------------------------------------------------------------------------------------- */

static void futex_wait_briefly(dx_atomic32_t *word, int32_t seen)
{
    const struct timespec timeout = {.tv_nsec = LOOK_NS};
    (void)syscall(SYS_futex, &word->word, FUTEX_WAIT, seen, &timeout, NULL, 0);
}

static void change(dxi_bench_common_t *common)
{
    (void)dx_fetch_add32_acq_rel(&common->change, 1);
    (void)syscall(SYS_futex, &common->change.word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

void dxi_bench_common_set(dxi_bench_run_t *run, dx_atomic32_t *word, int32_t value)
{
    /* RELEASE, pairs with the acquire in dxi_bench_common_wait(): what was written before it. */
    dx_store32_release(word, value);
    if (run->params->shared) {
        change(run->common);
    }
}

/* Looks at the other processes: one that did not end well fails the run. */
static void look(dxi_bench_run_t *run)
{
    for (uint32_t i = 0; i < run->process_count; i++) {
        int status = 0;
        if (run->processes[i] == 0 || waitpid(run->processes[i], &status, WNOHANG) <= 0) {
            continue;
        }
        run->processes[i] = 0;
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
            dx_error_t error;
            const int code = dxi_fail(&error, DX_EIO, "a process of scenario %s ended with %s %d",
                                      run->scenario->name, WIFSIGNALED(status) ? "signal" : "code",
                                      WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
            dxi_bench_fail(run, code, &error);
        }
    }
}

int dxi_bench_common_wait(dxi_bench_run_t *run, const dx_atomic32_t *word, int32_t value)
{
    for (;;) {
        const int32_t seen = dx_load32_acquire(&run->common->change);
        if (dxi_bench_is_failed(run)) {
            return DX_ECANCELLED;
        }
        if (dx_load32_acquire(word) >= value) {
            return DX_OK;
        }
        futex_wait_briefly(&run->common->change, seen);
        look(run);
    }
}

void dxi_bench_body_ended(dxi_bench_run_t *run)
{
    if (dx_fetch_add32_acq_rel(&run->unfinished, -1) == 1 && run->params->shared) {
        (void)syscall(SYS_futex, &run->unfinished.word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    }
}

void dxi_bench_bodies_wait(dxi_bench_run_t *run)
{
    int32_t left = dx_load32_acquire(&run->unfinished);
    while (run->params->shared && left != 0) {
        futex_wait_briefly(&run->unfinished, left);
        look(run);
        const int failed = dx_load32_acquire(&run->common->failed);
        if (failed != DX_OK) {
            dxi_bench_fail(run, failed, NULL); /* again: who began to wait after the first time */
        }
        left = dx_load32_acquire(&run->unfinished);
    }
}

/* The other processes ------------------------------------------------------------------------ */

dx_share_options_t dxi_bench_share_options(const dxi_bench_run_t *run, uint32_t ring)
{
    return (dx_share_options_t){.name = run->params->shared ? run->share_names[ring] : NULL};
}

int dxi_bench_attach(dxi_bench_run_t *run, uint32_t ring, dx_error_t *error)
{
    return dx_ring_attach(&(dx_attach_options_t){.name = run->share_names[ring]}, &run->rings[ring],
                          error);
}

static void attached_add(dxi_bench_run_t *run)
{
    (void)dx_fetch_add32_acq_rel(&run->common->attached, 1);
    change(run->common);
    (void)sigprocmask(SIG_SETMASK, &run->signals, NULL);
}

static int far_side(dxi_bench_run_t *run, dx_error_t *error)
{
    const int result = run->scenario->open(run, error);
    attached_add(run);
    return result == DX_OK ? dxi_bench_phases_run(run, error) : result;
}

static int attached_only(dxi_bench_run_t *run, dx_error_t *error)
{
    const int result = dxi_bench_attach(run, 0, error);
    attached_add(run);
    return result == DX_OK ? dxi_bench_common_wait(run, &run->common->over, 1) : result;
}

/* The whole life of a child. */
static _Noreturn void process_main(dxi_bench_run_t *run, uint32_t index, pid_t parent)
{
    dx_error_t error = {0};
    run->process_count = 0; /* they are the parent's children */
    run->far = true;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) {
        _exit(EXIT_FAILURE);
    }
    int result = dxi_bench_common_wait(run, &run->common->made, 1);
    if (result == DX_OK) {
        result = index == 0 ? far_side(run, &error) : attached_only(run, &error);
    }
    if (result != DX_OK) {
        dxi_bench_fail(run, result, error.code != DX_OK ? &error : NULL);
        change(run->common);
    }
    dxi_bench_close(run);
    _exit(result == DX_OK ? EXIT_SUCCESS : EXIT_FAILURE);
}

static void names_make(dxi_bench_run_t *run)
{
    static uint32_t count;
    count++;
    for (uint32_t i = 0; i < DXI_BENCH_RINGS_MAX; i++) {
        (void)snprintf(run->share_names[i], sizeof run->share_names[i], "dxbench-%d-%u-%u",
                       (int)getpid(), count, i);
    }
}

static int processes_fork(dxi_bench_run_t *run, dx_error_t *error)
{
    const pid_t parent = getpid();
    for (uint32_t i = 0; i < 1 + run->params->attached; i++) {
        const pid_t child = fork();
        if (child < 0) {
            const int os = errno;
            return dxi_fail_os(error, DX_ELIMIT, os, "cannot make a process");
        }
        if (child == 0) {
            process_main(run, i, parent);
        }
        run->processes[run->process_count++] = child;
    }
    return DX_OK;
}

int dxi_bench_processes_start(dxi_bench_run_t *run, dx_error_t *error)
{
    void *const common =
        mmap(NULL, sizeof *run->common, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (common == MAP_FAILED) {
        return dxi_fail(error, DX_ENOMEM, "no memory for what processes share");
    }
    run->common = common;
    if (!run->params->shared) {
        return DX_OK;
    }
    names_make(run);
    (void)dx_clock_ns();
    sigset_t block;
    sigemptyset(&block);
    sigaddset(&block, SIGINT);
    sigaddset(&block, SIGTERM);
    sigaddset(&block, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &block, &run->signals);
    return processes_fork(run, error);
}

void dxi_bench_common_unmap(dxi_bench_run_t *run)
{
    if (run->common != NULL) {
        (void)munmap(run->common, sizeof *run->common);
        run->common = NULL;
    }
}

int dxi_bench_processes_meet(dxi_bench_run_t *run, dx_error_t *error)
{
    if (!run->params->shared) {
        return DX_OK;
    }
    dxi_bench_common_set(run, &run->common->made, 1);
    int result = dxi_bench_common_wait(run, &run->common->attached, (int32_t)run->process_count);
    for (uint32_t i = 0; i < DXI_BENCH_RINGS_MAX && result == DX_OK; i++) {
        const bool exists = run->rings[i] != NULL || (i == 0 && run->disruptor != NULL);
        result = exists ? dx_ring_remove(run->share_names[i], NULL, true, error) : DX_OK;
    }
    (void)sigprocmask(SIG_SETMASK, &run->signals, NULL);
    return result;
}

/* Waits for one child, and kills it when it does not end. */
static void process_wait(dxi_bench_run_t *run, uint32_t index, int64_t deadline_ns)
{
    for (look(run); run->processes[index] != 0; look(run)) {
        if (dx_clock_ns() > deadline_ns) {
            (void)kill(run->processes[index], SIGKILL);
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = END_POLL_NS}, NULL);
    }
}

int dxi_bench_processes_end(dxi_bench_run_t *run, int result, dx_error_t *error)
{
    if (run->common == NULL || !run->params->shared) {
        return result;
    }
    if (result != DX_OK) {
        dxi_bench_fail(run, result, result != DX_ECANCELLED ? error : NULL); /* that: of another */
    }
    dxi_bench_common_set(run, &run->common->over, 1);
    const int64_t deadline_ns = dx_clock_ns() + END_NS;
    for (uint32_t i = 0; i < run->process_count; i++) {
        process_wait(run, i, deadline_ns);
    }
    (void)sigprocmask(SIG_SETMASK, &run->signals, NULL);
    const int failed = dx_load32_acquire(&run->common->failed);
    if (failed != DX_OK && run->common->error.code != DX_OK) {
        /* The cause, not that we noticed. */
        return dxi_fail(error, run->common->error.code, "%s", run->common->error.message);
    }
    return result != DX_OK ? result : failed;
}
