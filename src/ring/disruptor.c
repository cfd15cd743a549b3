/* disruptor.c - the life of a graph of handlers: make, start, stop, look.
 *
 * DESIGN
 *
 *     CREATED --start--> RUNNING --shutdown or halt--> STOPPED --start--> RUNNING ...
 *
 * START makes every thread first and lets them go only when all exist: where one can't be made,
 * nothing has run. It returns when every on_start() has returned. A consumer counts as RUNNING from
 * before its thread exists, so a shutdown right after start waits for it like for any other.
 *
 * SHUTDOWN closes the ring. After the heavy fence inside dx_ring_close(), a publish by any thread
 * either is visible to us or returns DX_ECLOSED to its caller: no event is accepted and forgotten.
 * Then it waits until the ends of the graph have handled all that was published or claimed, and
 * halts. A claim that is never published holds it up, which is what the timeout is for.
 *
 * HALT sets the control word of each consumer and wakes it; each word has one owner, and nobody
 * else clears it. Then it joins the threads. A halted consumer keeps its place in the ring.
 *
 * INVARIANTS
 *
 *   D1  processors[i] runs on consumer entry i, and only it moves that entry's sequence
 *   D2  a thread exists for exactly those members whose `thread` is set; only the owner's thread
 *       starts and joins
 *   D3  after halt or shutdown every thread has ended, after its on_shutdown()
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <time.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "base/options.h"
#include "disruptorx/clock.h"
#include "ring/disruptor_internal.h"

#define DRAIN_LOOK_NS INT64_C(50000)

/* ------------------------------------------------------------------------------- make and free */

static int options_validate(const dx_disruptor_options_t *options, dx_error_t *error)
{
    int code = dx_wait_options_check(&options->wait, error);
    if (code == DX_OK && (unsigned)options->on_error_policy > DX_ON_ERROR_ASK) {
        code = dxi_fail(error, DX_EINVAL, "on_error_policy is %d, must be a dx_error_policy_t",
                        (int)options->on_error_policy);
    }
    if (code == DX_OK && options->on_error_policy == DX_ON_ERROR_ASK && options->on_error == NULL) {
        code = dxi_fail(error, DX_EINVAL, "on_error is NULL, must be set with DX_ON_ERROR_ASK");
    }
    if (code == DX_OK) {
        code = dxi_options_reserved(error, options->reserved,
                                    sizeof(options->reserved) / sizeof(uint64_t));
    }
    return code;
}

int dx_disruptor_create(const dx_disruptor_options_t *options, dx_disruptor_t **disruptor_out,
                        dx_error_t *error)
{
    *disruptor_out = NULL;
    int code = options_validate(options, error);
    if (code != DX_OK) {
        return code;
    }
    dx_disruptor_t *disruptor = dxi_alloc_zeroed(1, sizeof(*disruptor));
    if (disruptor == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a disruptor");
    }
    code = dx_ring_create(&options->ring, &disruptor->ring, error);
    if (code != DX_OK) {
        dxi_free(disruptor);
        return code;
    }
    disruptor->options = *options;
    pthread_mutex_init(&disruptor->members_lock, NULL);
    pthread_mutex_init(&disruptor->gate_lock, NULL);
    pthread_cond_init(&disruptor->gate_changed, NULL);
    *disruptor_out = disruptor;
    return DX_OK;
}

void dx_disruptor_destroy(dx_disruptor_t *disruptor)
{
    if (disruptor == NULL) {
        return;
    }
    (void)dx_disruptor_halt(disruptor);
    for (uint64_t rest = disruptor->members; rest != 0; rest &= rest - 1) {
        dxi_processor_t *processor = disruptor->processors[__builtin_ctzll(rest)];
        pthread_mutex_destroy(&processor->policy_lock);
        dxi_free(processor);
    }
    dx_ring_destroy(disruptor->ring);
    pthread_cond_destroy(&disruptor->gate_changed);
    pthread_mutex_destroy(&disruptor->gate_lock);
    pthread_mutex_destroy(&disruptor->members_lock);
    dxi_free(disruptor);
}

dx_ring_t *dx_disruptor_ring(const dx_disruptor_t *disruptor)
{
    return disruptor->ring;
}

/* ------------------------------------------------------------------------------------- threads */

static bool has_thread(const dxi_processor_t *processor)
{
    return processor->role != DXI_ROLE_POLLER && processor->role != DXI_ROLE_POOL;
}

/* True when no thread of ours uses the consumer: it has none, or that one has ended. */
static bool is_left_alone(const dxi_processor_t *processor)
{
    const int32_t state = dx_load32_acquire(&processor->consumer.entry->state);
    return has_thread(processor) && (processor->thread == NULL || state == DX_CONSUMER_FAILED ||
                                     state == DX_CONSUMER_STOPPED);
}

/* In the place of the thread that it does not have. */
static void rebind(dxi_processor_t *processor)
{
    while (!dxi_consumer_rebind(&processor->consumer)) {
        (void)sched_yield();
    }
}

void dxi_members_rebind(dx_disruptor_t *disruptor)
{
    for (uint64_t rest = disruptor->members; rest != 0; rest &= rest - 1) {
        dxi_processor_t *processor = disruptor->processors[__builtin_ctzll(rest)];
        if (is_left_alone(processor)) {
            rebind(processor);
        }
    }
}

/* Puts a processor where its entry stands, ready to run. */
static void make_ready(dxi_processor_t *processor)
{
    dx_consumer_t *consumer = &processor->consumer;
    dx_consumer_entry_t *entry = consumer->entry;
    const int64_t sequence = dx_load_acquire(&entry->sequence);

    if (sequence == DX_SEQUENCE_IDLE) {
        processor->pending_first = processor->pending_last + 1; /* nothing is pending */
        consumer->available = -1; /* what it saw may be of a time before dx_ring_reset() */
    } else if (processor->role != DXI_ROLE_POLLER) {
        consumer->next = sequence + 1;
        consumer->available = sequence;
    }
    dxi_attempts_forget(&processor->event_attempts);
    dxi_attempts_forget(&processor->batch_attempts);
    processor->failure = DX_OK;
    dx_store32_relaxed(&entry->failure, DX_OK);
    /* The rest of the word belongs to those who change the graph. */
    (void)dx_fetch_and32_acq_rel(&entry->control, ~(DXI_CONTROL_HALT | DXI_CONTROL_CANCEL));
    dx_store32_release(&entry->state, DX_CONSUMER_RUNNING);
}

/* The state of a processor whose thread has ended by a halt: it may run again. */
static void make_idle(dxi_processor_t *processor)
{
    int32_t running = DX_CONSUMER_RUNNING;
    (void)dx_compare_exchange32_acq_rel(&processor->consumer.entry->state, &running,
                                        DX_CONSUMER_ADDED);
}

static void gate_set(dx_disruptor_t *disruptor, int32_t open)
{
    pthread_mutex_lock(&disruptor->gate_lock);
    disruptor->gate_open = open;
    disruptor->gate_begun = 0;
    pthread_cond_broadcast(&disruptor->gate_changed);
    pthread_mutex_unlock(&disruptor->gate_lock);
}

static void gate_wait_begun(dx_disruptor_t *disruptor, int32_t threads)
{
    pthread_mutex_lock(&disruptor->gate_lock);
    while (disruptor->gate_begun < threads) {
        pthread_cond_wait(&disruptor->gate_changed, &disruptor->gate_lock);
    }
    pthread_mutex_unlock(&disruptor->gate_lock);
}

static void join_all(dx_disruptor_t *disruptor, uint64_t members)
{
    for (uint64_t rest = members; rest != 0; rest &= rest - 1) {
        dxi_processor_t *processor = disruptor->processors[__builtin_ctzll(rest)];
        if (processor->thread != NULL) {
            (void)dx_thread_join(processor->thread);
            processor->thread = NULL;
            rebind(processor); /* what it was told and had not seen */
        }
        make_idle(processor);
    }
}

int dxi_threads_start(dx_disruptor_t *disruptor, uint64_t members, dx_error_t *error)
{
    int32_t threads = 0;
    gate_set(disruptor, 0);
    for (uint64_t rest = members; rest != 0; rest &= rest - 1) {
        dxi_processor_t *processor = disruptor->processors[__builtin_ctzll(rest)];
        make_ready(processor);
        if (!has_thread(processor)) {
            continue;
        }
        rebind(processor);
        const int code = dx_thread_start(&processor->thread_options, dxi_processor_main, processor,
                                         &processor->thread, error);
        if (code != DX_OK) {
            (void)dxi_fail_context(error, "thread of consumer '%s'",
                                   processor->consumer.entry->name);
            gate_set(disruptor, -1);
            join_all(disruptor, members);
            return code;
        }
        threads++;
    }
    gate_set(disruptor, 1);
    gate_wait_begun(disruptor, threads);
    return DX_OK;
}

void dxi_threads_stop(dx_disruptor_t *disruptor, uint64_t members)
{
    for (uint64_t rest = members; rest != 0; rest &= rest - 1) {
        dxi_consumer_control(disruptor->ring, __builtin_ctzll(rest), DXI_CONTROL_HALT);
    }
    join_all(disruptor, members);
}

int dxi_threads_check_caller(const dx_disruptor_t *disruptor, uint64_t members, dx_error_t *error)
{
    for (uint64_t rest = members; rest != 0; rest &= rest - 1) {
        const dxi_processor_t *processor = disruptor->processors[__builtin_ctzll(rest)];
        if (dxi_current_consumer() == &processor->consumer) {
            return dxi_fail(
                error, DX_EDEADLOCK,
                "called from the handler of consumer '%s', which would wait for itself; "
                "return DX_HANDLER_STOP instead, or call from another thread",
                processor->consumer.entry->name);
        }
    }
    return DX_OK;
}

/* ----------------------------------------------------------------------------------- lifecycle */

bool dx_disruptor_is_running(const dx_disruptor_t *disruptor)
{
    return dx_load32_acquire(&disruptor->state) == DXI_DISRUPTOR_RUNNING;
}

int dx_disruptor_start(dx_disruptor_t *disruptor, dx_error_t *error)
{
    if (dx_disruptor_is_running(disruptor)) {
        return dxi_fail(error, DX_ESTATE,
                        "the disruptor runs, must be CREATED or STOPPED to start");
    }
    if (disruptor->members == 0) {
        return dxi_fail(error, DX_EINVAL, "the graph is empty, must have at least one consumer");
    }
    const bool closed = dx_load32_acquire(&disruptor->state) == DXI_DISRUPTOR_STOPPED;
    if (closed) {
        dx_ring_reopen(disruptor->ring); /* before a handler runs: it may publish */
    }
    const int code = dxi_threads_start(disruptor, disruptor->members, error);
    if (code != DX_OK) {
        if (closed) {
            dx_ring_close(disruptor->ring);
        }
        return code;
    }
    dx_store32_release(&disruptor->state, DXI_DISRUPTOR_RUNNING);
    return DX_OK;
}

int dx_disruptor_halt(dx_disruptor_t *disruptor)
{
    /* First of all: handlers run before start has returned. */
    const int code = dxi_threads_check_caller(disruptor, disruptor->members, NULL);
    if (code != DX_OK || !dx_disruptor_is_running(disruptor)) {
        return code;
    }
    dx_ring_close(disruptor->ring);
    dxi_threads_stop(disruptor, disruptor->members);
    dx_store32_release(&disruptor->state, DXI_DISRUPTOR_STOPPED);
    return DX_OK;
}

int64_t dx_disruptor_backlog(const dx_disruptor_t *disruptor)
{
    const int64_t consumed = dx_ring_consumed(disruptor->ring);
    const int64_t backlog = dx_ring_published(disruptor->ring) - consumed;
    return backlog > 0 ? backlog : 0;
}

int dx_disruptor_failure(const dx_disruptor_t *disruptor, dx_error_t *error)
{
    const dx_consumer_entry_t *entries = dxi_block_consumers(disruptor->ring->block);
    int found = -1;
    /* A consumer that ended because the one it follows had ended is not the reason. */
    for (uint64_t rest = disruptor->members; rest != 0; rest &= rest - 1) {
        const int index = __builtin_ctzll(rest);
        if (dx_load32_acquire(&entries[index].state) == DX_CONSUMER_FAILED &&
            (found < 0 || (dx_load32_relaxed(&entries[found].failure) == DX_ECONSUMER &&
                           dx_load32_relaxed(&entries[index].failure) != DX_ECONSUMER))) {
            found = index;
        }
    }
    if (found < 0) {
        return DX_OK;
    }
    const int code = dx_load32_relaxed(&entries[found].failure);
    if (dx_load_acquire(&entries[found].sequence) == DX_SEQUENCE_IDLE) {
        return dxi_fail(error, code, "consumer '%s' failed while idle: %s", entries[found].name,
                        dx_error_text(code));
    }
    return dxi_fail(error, code, "consumer '%s' failed at sequence %" PRId64 ": %s",
                    entries[found].name, dx_load_acquire(&entries[found].sequence) + 1,
                    dx_error_text(code));
}

/* True when no thread moves the consumer on: it is paused, or it is a pool of which no worker runs.
 */
static bool is_paused(const dx_disruptor_t *disruptor, const dxi_processor_t *processor)
{
    if (processor->role != DXI_ROLE_POOL) {
        return has_thread(processor) && processor->thread == NULL;
    }
    for (uint64_t rest = disruptor->members; rest != 0; rest &= rest - 1) {
        const dxi_processor_t *worker = disruptor->processors[__builtin_ctzll(rest)];
        if (worker->pool == processor && worker->thread != NULL &&
            dx_load32_acquire(&worker->consumer.entry->state) == DX_CONSUMER_RUNNING) {
            return false;
        }
    }
    return true;
}

/* The name of a member that has ended or is paused before `target`; NULL when all can reach it. */
static const char *ended_member(const dx_disruptor_t *disruptor, int64_t target)
{
    dx_ring_block_t *block = disruptor->ring->block;
    uint64_t ended = dxi_ended_before(block, (uint64_t)dx_load_acquire(&block->gating), target);
    for (uint64_t rest = disruptor->members; rest != 0; rest &= rest - 1) {
        const int index = __builtin_ctzll(rest);
        const dxi_processor_t *processor = disruptor->processors[index];
        if (is_paused(disruptor, processor) &&
            dx_load_acquire(&processor->consumer.entry->sequence) < target) {
            ended |= UINT64_C(1) << index;
        }
    }
    return ended != 0 ? dxi_block_consumers(block)[__builtin_ctzll(ended)].name : NULL;
}

/* DX_ECONSUMER with the number of events that are left, when a consumer has failed. One that only
 * ended because what it follows had ended in order is no failure once nothing is left. */
static int report_failure(const dx_disruptor_t *disruptor, int64_t left, dx_error_t *error)
{
    const int code = dx_disruptor_failure(disruptor, NULL);
    if (code == DX_OK || (code == DX_ECONSUMER && left == 0)) {
        return DX_OK;
    }
    (void)dx_disruptor_failure(disruptor, error);
    (void)dxi_fail_context(error, "%" PRId64 " events are left", left);
    if (error != NULL) {
        error->code = DX_ECONSUMER;
    }
    return DX_ECONSUMER;
}

static int drain(dx_disruptor_t *disruptor, int64_t target, int64_t timeout_ns, dx_error_t *error)
{
    const struct timespec look = {.tv_nsec = DRAIN_LOOK_NS};
    const int64_t started_ns = dx_clock_ns();
    int64_t left = 0;
    while ((left = target - dx_ring_consumed(disruptor->ring)) > 0) {
        const char *ended = ended_member(disruptor, target);
        if (ended != NULL) {
            const int code = report_failure(disruptor, left, error);
            return code != DX_OK
                       ? code
                       : dxi_fail(error, DX_ECONSUMER,
                                  "%" PRId64
                                  " events are left: consumer '%s' has stopped or is paused",
                                  left, ended);
        }
        if (timeout_ns >= 0 && dx_clock_ns() - started_ns >= timeout_ns) {
            return dxi_fail(error, DX_ETIMEDOUT,
                            "%" PRId64 " events are not handled after %" PRId64
                            " ns; the consumers go on",
                            left, timeout_ns);
        }
        (void)nanosleep(&look, NULL);
    }
    return report_failure(disruptor, 0, error);
}

int dx_disruptor_shutdown(dx_disruptor_t *disruptor, int64_t timeout_ns, dx_error_t *error)
{
    int code = dxi_threads_check_caller(disruptor, disruptor->members, error);
    if (code != DX_OK) {
        return code;
    }
    if (!dx_disruptor_is_running(disruptor)) {
        return dxi_fail(error, DX_ESTATE, "the disruptor does not run");
    }
    dx_ring_close(disruptor->ring);
    dx_ring_stat_t stat;
    dx_ring_stat(disruptor->ring, &stat);
    code = drain(disruptor, stat.claimed, timeout_ns, error);
    if (code != DX_ETIMEDOUT) {
        dxi_threads_stop(disruptor, disruptor->members);
        dx_store32_release(&disruptor->state, DXI_DISRUPTOR_STOPPED);
    }
    return code;
}
