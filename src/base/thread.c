/* thread.c - threads with a name, a place and a scheduling class.
 *
 * DESIGN
 *
 * The new thread arranges itself, because affinity, scheduling and name are simplest to set for
 * oneself, and then reports over a semaphore:
 *
 *     creator                                  thread
 *     pthread_create() ----------------------> name, CPUs, scheduling
 *     waits on `ready` <---------------------- start_code, start_error, id; sem_post (R)
 *     failure: joins, frees, reports           failure: ends; success: run(context)
 *
 * So a refusal is an error of dx_thread_start() and not something found in a log later.
 *
 * INVARIANTS
 *
 *   I1  run() is called only when everything asked for was granted
 *   I2  a failed dx_thread_start() leaves no thread and no memory
 *   I3  start_code, start_error and id are written before (R) and only read after it
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disruptorx/thread.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "base/options.h"

struct dx_thread {
    pthread_t handle;
    sem_t ready;
    void (*run)(void *context);
    void *context;
    char name[DX_THREAD_NAME_MAX + 1]; /* empty: keep the creator's */
    dx_cpu_set_t cpus;
    dx_sched_t sched;
    int32_t priority;
    int32_t id;
    int start_code;
    dx_error_t start_error;
};

/* One row per scheduling class. */
typedef struct sched_row {
    const char *name;
    int policy;
    bool real_time;
} sched_row_t;

static const sched_row_t sched_rows[] = {
    [DX_SCHED_INHERIT] = {"inherit", -1, false},
    [DX_SCHED_OTHER] = {"other", SCHED_OTHER, false},
    [DX_SCHED_BATCH] = {"batch", SCHED_BATCH, false},
    [DX_SCHED_IDLE] = {"idle", SCHED_IDLE, false},
    [DX_SCHED_FIFO] = {"fifo", SCHED_FIFO, true},
    [DX_SCHED_RR] = {"rr", SCHED_RR, true},
};

static int sched_validate(dx_sched_t sched, int32_t priority, dx_error_t *error)
{
    int rc = dxi_options_range(error, "sched", (int64_t)sched, DX_SCHED_INHERIT, DX_SCHED_RR);
    if (rc != DX_OK) {
        return rc;
    }
    if (sched_rows[sched].real_time) {
        return dxi_options_range(error, "priority", priority, 1, 99);
    }
    if (priority != 0) {
        return dxi_fail(error, DX_EINVAL,
                        "priority is %" PRId32
                        ", must be 0 with sched %s (only fifo and rr have one)",
                        priority, sched_rows[sched].name);
    }
    return DX_OK;
}

static int name_validate(const char *name, dx_error_t *error)
{
    const size_t bytes = name == NULL ? 0 : strnlen(name, DX_THREAD_NAME_MAX + 1);
    if (bytes < 1 || bytes > DX_THREAD_NAME_MAX) {
        return dxi_fail(error, DX_EINVAL, "name is \"%.40s\", must have 1 to %d bytes",
                        name == NULL ? "" : name, DX_THREAD_NAME_MAX);
    }
    return DX_OK;
}

int dx_thread_name_self(const char *name, dx_error_t *error)
{
    const int rc = name_validate(name, error);
    if (rc == DX_OK) {
        (void)prctl(PR_SET_NAME, name, 0, 0, 0); /* fails for a bad address only */
    }
    return rc;
}

int dx_thread_sched_self(dx_sched_t sched, int32_t priority, dx_error_t *error)
{
    const int rc = sched_validate(sched, priority, error);
    if (rc != DX_OK || sched == DX_SCHED_INHERIT) {
        return rc;
    }
    const sched_row_t *const row = &sched_rows[sched];
    const struct sched_param parameters = {.sched_priority = priority};
    if (sched_setscheduler(0, row->policy, &parameters) == 0) {
        return DX_OK;
    }
    const int os_errno = errno;
    struct rlimit limit = {0};
    (void)getrlimit(RLIMIT_RTPRIO, &limit);
    return dxi_fail_os(error, os_errno == EPERM ? DX_EPERM : dxi_code_of_errno(os_errno), os_errno,
                       "sched %s with priority %" PRId32
                       " is refused: it needs CAP_SYS_NICE, or an "
                       "RLIMIT_RTPRIO of at least that priority, which is %llu",
                       row->name, priority, (unsigned long long)limit.rlim_cur);
}

int32_t dx_cpu_current(void)
{
    return sched_getcpu();
}

/* The kernel's mask has the layout of our words: bit c of an array of 64-bit words. */
int dx_cpu_allowed(dx_cpu_set_t *set_out, dx_error_t *error)
{
    *set_out = (dx_cpu_set_t){0};
    if (syscall(SYS_sched_getaffinity, 0, sizeof(set_out->words), set_out->words) < 0) {
        return dxi_fail_os(error, DX_EIO, errno, "cannot read the CPUs this thread may run on");
    }
    return DX_OK;
}

static int affinity_set(const dx_cpu_set_t *cpus)
{
    const long rc = syscall(SYS_sched_setaffinity, 0, sizeof(cpus->words), cpus->words);
    return rc == 0 ? 0 : errno;
}

int dx_thread_pin_self(const dx_cpu_set_t *cpus, dx_error_t *error)
{
    if (dx_cpu_set_count(cpus) == 0) {
        return dxi_fail(error, DX_EINVAL, "cpus is empty, must name at least one CPU");
    }
    dx_cpu_set_t before;
    int rc = dx_cpu_allowed(&before, error);
    if (rc != DX_OK) {
        return rc;
    }
    /* The kernel takes the part of a set that it allows, without a word: look what it took. */
    const int os_errno = affinity_set(cpus);
    dx_cpu_set_t granted = {0};
    if (os_errno == 0) {
        rc = dx_cpu_allowed(&granted, error);
        if (rc == DX_OK && dx_cpu_set_equal(cpus, &granted)) {
            return DX_OK;
        }
        (void)affinity_set(&before);
    }
    char asked_text[100];
    char granted_text[100];
    (void)dx_cpu_set_format(cpus, asked_text, sizeof(asked_text));
    (void)dx_cpu_set_format(&granted, granted_text, sizeof(granted_text));
    return dxi_fail(error, os_errno == EPERM ? DX_EPERM : DX_ENOTFOUND,
                    "cpus is %s, but of these only {%s} exist and are allowed to this process",
                    asked_text, granted_text);
}

int32_t dx_thread_self_id(void)
{
    return (int32_t)syscall(SYS_gettid);
}

/* Gives the calling thread what its options say. */
static int arrange_self(const dx_thread_t *thread, dx_error_t *error)
{
    int rc = DX_OK;
    if (thread->name[0] != '\0') {
        rc = dx_thread_name_self(thread->name, error);
    }
    if (rc == DX_OK && dx_cpu_set_count(&thread->cpus) != 0) {
        rc = dx_thread_pin_self(&thread->cpus, error);
    }
    if (rc == DX_OK) {
        rc = dx_thread_sched_self(thread->sched, thread->priority, error);
    }
    return rc;
}

static void *thread_main(void *argument)
{
    dx_thread_t *const thread = argument;
    void (*const run)(void *) = thread->run;
    void *const context = thread->context;
    const int code = arrange_self(thread, &thread->start_error);
    thread->id = dx_thread_self_id();
    thread->start_code = code;
    (void)sem_post(&thread->ready); /* (R) I3 */
    if (code == DX_OK) {            /* I1 */
        run(context);
    }
    return NULL;
}

/* The signals that our threads leave to the application's. */
static void signals_to_block(sigset_t *set_out)
{
    static const int kept[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGPROF};
    (void)sigfillset(set_out);
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        (void)sigdelset(set_out, kept[i]);
    }
}

/* Sets a stack of at least `bytes`, in whole pages. */
static int stack_set(pthread_attr_t *attributes, size_t bytes)
{
    if (bytes == 0) {
        return 0;
    }
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const long minimum = sysconf(_SC_THREAD_STACK_MIN);
    size_t stack = bytes;
    if (minimum > 0 && stack < (size_t)minimum) {
        stack = (size_t)minimum;
    }
    return pthread_attr_setstacksize(attributes, (stack + page - 1) / page * page);
}

/* Creates the POSIX thread, with our signals blocked from its first instruction on. */
static int spawn(dx_thread_t *thread, size_t stack_bytes)
{
    if (dxi_fault("thread")) {
        return ENOMEM;
    }
    pthread_attr_t attributes;
    int rc = pthread_attr_init(&attributes);
    if (rc != 0) {
        return rc;
    }
    rc = stack_set(&attributes, stack_bytes);
    if (rc == 0) {
        sigset_t block;
        sigset_t before;
        signals_to_block(&block);
        (void)pthread_sigmask(SIG_BLOCK, &block, &before);
        rc = pthread_create(&thread->handle, &attributes, thread_main, thread);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    (void)pthread_attr_destroy(&attributes);
    return rc;
}

static int options_validate(const dx_thread_options_t *o, dx_error_t *error)
{
    int rc = o->name == NULL ? DX_OK : name_validate(o->name, error);
    if (rc == DX_OK) {
        rc = sched_validate(o->sched, o->priority, error);
    }
    if (rc == DX_OK && o->stack_bytes > DX_THREAD_STACK_BYTES_MAX) {
        rc = dxi_fail(error, DX_EINVAL, "stack_bytes is %zu, must be from 0 to %zu", o->stack_bytes,
                      DX_THREAD_STACK_BYTES_MAX);
    }
    if (rc == DX_OK) {
        rc = dxi_options_reserved(error, o->reserved, sizeof(o->reserved) / sizeof(o->reserved[0]));
    }
    return rc;
}

/* Waits for the thread's report; on refusal ends it. */
static int await_ready(dx_thread_t *thread, dx_error_t *error)
{
    while (sem_wait(&thread->ready) != 0) {
        /* only EINTR: a signal handler of the application ran */
    }
    if (thread->start_code == DX_OK) {
        return DX_OK;
    }
    (void)pthread_join(thread->handle, NULL);
    if (error != NULL) {
        *error = thread->start_error;
        (void)dxi_fail_context(error, "thread \"%s\"", thread->name);
    }
    return thread->start_code;
}

int dx_thread_start(const dx_thread_options_t *options, void (*run)(void *context), void *context,
                    dx_thread_t **thread_out, dx_error_t *error)
{
    static const dx_thread_options_t defaults = {0};
    const dx_thread_options_t *const o = options == NULL ? &defaults : options;
    *thread_out = NULL;
    int rc = options_validate(o, error);
    if (rc != DX_OK) {
        return rc;
    }
    if (run == NULL) {
        return dxi_fail(error, DX_EINVAL, "run is NULL, must be the thread's function");
    }
    dx_thread_t *const thread = dxi_alloc_zeroed(1, sizeof(*thread));
    if (thread == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a thread");
    }
    thread->run = run;
    thread->context = context;
    thread->cpus = o->cpus;
    thread->sched = o->sched;
    thread->priority = o->priority;
    if (o->name != NULL) {
        memcpy(thread->name, o->name, strlen(o->name) + 1);
    }
    (void)sem_init(&thread->ready, 0, 0); /* fails for a value above SEM_VALUE_MAX only */
    const int os_errno = spawn(thread, o->stack_bytes);
    if (os_errno != 0) {
        rc = dxi_fail_os(error, os_errno == ENOMEM ? DX_ENOMEM : DX_ELIMIT, os_errno,
                         "cannot start thread \"%s\"", thread->name);
    } else {
        rc = await_ready(thread, error);
    }
    if (rc != DX_OK) { /* I2 */
        (void)sem_destroy(&thread->ready);
        dxi_free(thread);
        return rc;
    }
    dxi_live_add(1);
    *thread_out = thread;
    return DX_OK;
}

int dx_thread_join(dx_thread_t *thread)
{
    if (thread == NULL) {
        return DX_OK;
    }
    if (dx_thread_is_self(thread)) {
        return DX_EDEADLOCK;
    }
    (void)pthread_join(thread->handle, NULL); /* fails for a bad handle only */
    (void)sem_destroy(&thread->ready);
    dxi_free(thread);
    dxi_live_add(-1);
    return DX_OK;
}

bool dx_thread_is_self(const dx_thread_t *thread)
{
    /* Not by kernel number: that of a thread that has ended may be another thread's by now. */
    return pthread_equal(thread->handle, pthread_self()) != 0;
}

int32_t dx_thread_id(const dx_thread_t *thread)
{
    return thread->id;
}
