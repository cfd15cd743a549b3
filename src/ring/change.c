/* change.c - changes of a disruptor while it runs: pausing, removing, other error policies.
 *
 * DESIGN
 *
 * Adding is in graph.c: it is the same before and during a run, but that the threads of what was
 * added start at once. Who follows whom is changed in the ring's table, by relink.c; here are the
 * threads that belong to it.
 *
 * REMOVING halts the threads of the members, joins them, takes their entries out of the graph in
 * one change, and frees them. The others run all the time. A worker that is removed alone, and has
 * claimed events that it did not handle, first waits until another of its pool has them (W5).
 *
 * All of this is for the owner's thread; `members` and `processors` are read by others as well
 * (dxi_pool_check(), dx_group_set_error_policy()), so they change under members_lock.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <time.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "disruptorx/clock.h"
#include "ring/disruptor_internal.h"

#define LOOK_NS INT64_C(50000)
#define ADMISSION_PATIENCE_NS INT64_C(1000000000) /* for a worker that has just joined */

int dxi_group_check(dx_group_t group, dx_error_t *error)
{
    if (group.disruptor == NULL || group.members == 0 ||
        (group.members & ~group.disruptor->members) != 0) {
        return dxi_fail(error, DX_ENOTFOUND, "the group has no consumer of this disruptor");
    }
    return DX_OK;
}

static bool runs(const dxi_processor_t *processor)
{
    return processor->thread != NULL &&
           dx_load32_acquire(&processor->consumer.entry->state) == DX_CONSUMER_RUNNING;
}

static uint64_t running_of(const dx_disruptor_t *disruptor, uint64_t members)
{
    uint64_t running = 0;
    for (uint64_t rest = members; rest != 0; rest &= rest - 1) {
        const int index = __builtin_ctzll(rest);
        running |= runs(disruptor->processors[index]) ? UINT64_C(1) << index : 0;
    }
    return running;
}

void dxi_members_wait_bound(const dx_disruptor_t *disruptor, uint64_t members, uint64_t upstream)
{
    const struct timespec look = {.tv_nsec = LOOK_NS};
    for (uint64_t rest = members; rest != 0; rest &= rest - 1) {
        const dxi_processor_t *processor = disruptor->processors[__builtin_ctzll(rest)];
        const dx_atomic64_t *bound = &processor->consumer.entry->bound;
        while (runs(processor) && (upstream & ~(uint64_t)dx_load_acquire(bound)) != 0) {
            (void)nanosleep(&look, NULL);
        }
    }
}

/* -------------------------------------------------------------------------------- error policy */

int dx_group_set_error_policy(dx_group_t group, dx_error_policy_t policy,
                              dx_error_handler_t on_error, void *context, dx_error_t *error)
{
    int code = dxi_policy_validate(policy, on_error, error);
    if (code != DX_OK) {
        return code;
    }
    if (group.disruptor == NULL) {
        return dxi_group_check(group, error);
    }
    dx_disruptor_t *disruptor = group.disruptor;
    pthread_mutex_lock(&disruptor->members_lock); /* any thread may call us */
    code = dxi_group_check(group, error);
    for (uint64_t rest = code == DX_OK ? group.members : 0; rest != 0; rest &= rest - 1) {
        dxi_processor_t *processor = disruptor->processors[__builtin_ctzll(rest)];
        pthread_mutex_lock(&processor->policy_lock);
        processor->policy = policy;
        processor->on_error = on_error;
        processor->on_error_context = context;
        pthread_mutex_unlock(&processor->policy_lock);
    }
    pthread_mutex_unlock(&disruptor->members_lock);
    return code;
}

/* ----------------------------------------------------------------------------- pause and resume */

static int running_group_validate(dx_group_t group, dx_error_t *error)
{
    int code = dxi_group_check(group, error);
    /* Before the state: handlers run before start has returned. */
    if (code == DX_OK) {
        code = dxi_threads_check_caller(group.disruptor, group.members, error);
    }
    if (code == DX_OK && !dx_disruptor_is_running(group.disruptor)) {
        return dxi_fail(error, DX_ESTATE, "the disruptor does not run");
    }
    return code;
}

int dx_group_pause(dx_group_t group, dx_error_t *error)
{
    const int code = running_group_validate(group, error);
    if (code == DX_OK) {
        dxi_threads_stop(group.disruptor, group.members);
    }
    return code;
}

int dx_group_resume(dx_group_t group, dx_error_t *error)
{
    const int code = running_group_validate(group, error);
    if (code != DX_OK) {
        return code;
    }
    /* Only those whose thread does not run: a second resume is allowed. A thread that has ended by
     * itself is joined first. */
    uint64_t idle = 0;
    for (uint64_t rest = group.members; rest != 0; rest &= rest - 1) {
        const int index = __builtin_ctzll(rest);
        const dxi_processor_t *processor = group.disruptor->processors[index];
        if (dx_load32_acquire(&processor->consumer.entry->state) == DX_CONSUMER_RUNNING) {
            continue;
        }
        idle |= UINT64_C(1) << index;
        if (processor->pool != NULL) { /* with a worker its pool lives, too */
            idle |= UINT64_C(1) << processor->pool->consumer.index;
        }
    }
    dxi_threads_stop(group.disruptor, idle);
    return idle != 0 ? dxi_threads_start(group.disruptor, idle, error) : DX_OK;
}

/* ------------------------------------------------------------------------------------ removing */

void dxi_members_close(dx_disruptor_t *disruptor, uint64_t members)
{
    if (members == 0) {
        return;
    }
    pthread_mutex_lock(&disruptor->members_lock);
    disruptor->members &= ~members;
    pthread_mutex_unlock(&disruptor->members_lock);
    dxi_consumers_close(disruptor->ring, members);
    for (uint64_t rest = members; rest != 0; rest &= rest - 1) {
        const int index = __builtin_ctzll(rest);
        pthread_mutex_destroy(&disruptor->processors[index]->policy_lock);
        dxi_free(disruptor->processors[index]);
        disruptor->processors[index] = NULL;
    }
    dxi_members_rebind(disruptor);
}

static bool is_worker_of(const dxi_processor_t *processor, const dxi_processor_t *pool)
{
    return processor->role == DXI_ROLE_WORKER && processor->pool == pool;
}

/* All the workers of a pool. */
static uint64_t workers_of(const dxi_processor_t *pool)
{
    const dx_disruptor_t *disruptor = pool->disruptor;
    uint64_t workers = 0;
    for (uint64_t rest = disruptor->members; rest != 0; rest &= rest - 1) {
        const int index = __builtin_ctzll(rest);
        workers |= is_worker_of(disruptor->processors[index], pool) ? UINT64_C(1) << index : 0;
    }
    return workers;
}

/* With a pool all its workers go, and with all its workers the pool. */
static uint64_t whole_or_part(const dx_disruptor_t *disruptor, uint64_t members)
{
    for (uint64_t rest = disruptor->members; rest != 0; rest &= rest - 1) {
        const int index = __builtin_ctzll(rest);
        const dxi_processor_t *pool = disruptor->processors[index];
        if (pool->role != DXI_ROLE_POOL) {
            continue;
        }
        const uint64_t workers = workers_of(pool);
        if ((members >> index & 1) != 0 || (workers & ~members) == 0) {
            members |= workers | UINT64_C(1) << index;
        }
    }
    return members;
}

/* A pool by key goes as a whole: each worker has its keys. */
static int keyed_validate(const dx_disruptor_t *disruptor, uint64_t members, dx_error_t *error)
{
    for (uint64_t rest = members; rest != 0; rest &= rest - 1) {
        const dxi_processor_t *gone = disruptor->processors[__builtin_ctzll(rest)];
        for (uint64_t others = gone->key != NULL ? disruptor->members & ~members : 0; others != 0;
             others &= others - 1) {
            const dxi_processor_t *stays = disruptor->processors[__builtin_ctzll(others)];
            if (stays->key != NULL && strcmp(stays->pool_name, gone->pool_name) == 0) {
                return dxi_fail(error, DX_ENOTSUP,
                                "pool '%s' is by key, its workers can only be removed together",
                                gone->pool_name);
            }
        }
    }
    return DX_OK;
}

/* Those workers that run and may claim. */
static uint64_t admitted_of(const dx_disruptor_t *disruptor, uint64_t workers)
{
    uint64_t admitted = 0;
    for (uint64_t rest = running_of(disruptor, workers); rest != 0; rest &= rest - 1) {
        const int index = __builtin_ctzll(rest);
        admitted |= dxi_pool_admits(disruptor->processors[index]) ? UINT64_C(1) << index : 0;
    }
    return admitted;
}

/* Gives the rest to a paused worker that has none, if there is one. */
static bool give_to_paused(dxi_processor_t *leaves, uint64_t others)
{
    for (; others != 0; others &= others - 1) {
        dxi_processor_t *worker = leaves->disruptor->processors[__builtin_ctzll(others)];
        if (worker->thread == NULL && !dxi_worker_holds(worker) && dxi_pool_admits(worker)) {
            dxi_worker_hand_over(leaves, worker);
            return true;
        }
    }
    return false;
}

/* Waits until another worker has what this one, whose thread has ended, has claimed and not
 * handled. */
static int give_rest_away(dxi_processor_t *leaves, uint64_t members, dx_error_t *error)
{
    if (leaves->role != DXI_ROLE_WORKER || !dxi_worker_holds(leaves) ||
        (members >> leaves->pool->consumer.index & 1) != 0) {
        return DX_OK;
    }
    dx_disruptor_t *disruptor = leaves->disruptor;
    const struct timespec look = {.tv_nsec = LOOK_NS};
    const uint64_t others = workers_of(leaves->pool) & ~members;
    dx_atomic32_t *leaving = &leaves->pool->leaving;
    dx_store32_release(leaving, leaves->consumer.index + 1);
    for (uint64_t rest = running_of(disruptor, others); rest != 0; rest &= rest - 1) {
        /* Ends the wait in which it may be: it then looks who leaves. */
        dxi_consumer_control(disruptor->ring, __builtin_ctzll(rest), DXI_CONTROL_CANCEL);
    }
    const int64_t started_ns = dx_clock_ns();
    while (dx_load32_acquire(leaving) != 0 &&
           (admitted_of(disruptor, others) != 0 ||
            (running_of(disruptor, others) != 0 &&
             dx_clock_ns() - started_ns < ADMISSION_PATIENCE_NS))) {
        (void)nanosleep(&look, NULL);
        dxi_members_rebind(disruptor); /* one that has ended meanwhile may keep a worker waiting */
    }
    /* Taken before it could be withdrawn: then it is being handed over. */
    const bool nobody = dx_exchange32_acq_rel(leaving, 0) != 0;
    while (!nobody && dx_load_acquire(&leaves->consumer.entry->sequence) != DX_SEQUENCE_IDLE) {
        (void)nanosleep(&look, NULL);
    }
    if (!nobody || give_to_paused(leaves, others)) {
        return DX_OK;
    }
    return dxi_fail(error, DX_ECONSUMER,
                    "worker '%s' has claimed the events %" PRId64 " to %" PRId64
                    " and not handled them, and no other worker of its pool runs, or is paused "
                    "without events of its own, to take them over",
                    leaves->consumer.entry->name, leaves->pending_first, leaves->pending_last);
}

int dx_group_remove(dx_group_t group, dx_error_t *error)
{
    int code = dxi_group_check(group, error);
    if (code != DX_OK) {
        return code;
    }
    dx_disruptor_t *disruptor = group.disruptor;
    const uint64_t members = whole_or_part(disruptor, group.members);
    code = dxi_threads_check_caller(disruptor, members, error);
    if (code == DX_OK) {
        code = keyed_validate(disruptor, members, error);
    }
    if (code != DX_OK) {
        return code;
    }
    const uint64_t ran = running_of(disruptor, members);
    dxi_threads_stop(disruptor, members);
    for (uint64_t rest = members; rest != 0 && code == DX_OK; rest &= rest - 1) {
        code = give_rest_away(disruptor->processors[__builtin_ctzll(rest)], members, error);
    }
    if (code != DX_OK) {
        (void)dxi_threads_start(disruptor, ran, NULL);
        return code;
    }
    uint64_t pools = 0; /* that stay without them: their last running worker may have gone */
    for (uint64_t rest = members; rest != 0; rest &= rest - 1) {
        const dxi_processor_t *worker = disruptor->processors[__builtin_ctzll(rest)];
        pools |= worker->role == DXI_ROLE_WORKER ? UINT64_C(1) << worker->pool->consumer.index : 0;
    }
    dxi_members_close(disruptor, members);
    for (uint64_t rest = pools & ~members; rest != 0; rest &= rest - 1) {
        dxi_pool_check(disruptor->processors[__builtin_ctzll(rest)]);
    }
    return DX_OK;
}
