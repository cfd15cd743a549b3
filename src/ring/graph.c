/* graph.c - saying who follows whom.
 *
 * DESIGN
 *
 * The graph is in the ring's consumer table: each entry has the mask of those it follows. A group
 * is a mask, too. So "then" is: add consumers whose mask is the group; "and" is an or. A new
 * consumer can only follow those that exist, so groups alone can't make a cycle;
 * dx_disruptor_connect() can, and looks for one: the edge ahead -> behind closes a cycle exactly
 * when `behind` can be reached upstream of `ahead`.
 *
 * Adding several handlers is all or nothing: what was added is removed again when one is refused.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "base/options.h"
#include "ring/disruptor_internal.h"

#define CLAIM_MAX_DEFAULT 16
#define RESERVED_COUNT(object) (sizeof((object).reserved) / sizeof(uint64_t))

/* ---------------------------------------------------------------------------------- validation */

static int retry_validate(const dx_retry_options_t *retry, dx_error_t *error)
{
    int code = dxi_options_range(error, "retry.attempts_max", retry->attempts_max, -1,
                                 DX_RETRY_ATTEMPTS_MAX);
    if (code == DX_OK && (unsigned)retry->pause > DX_RETRY_EXPONENTIAL) {
        code = dxi_fail(error, DX_EINVAL, "retry.pause is %d, must be a dx_retry_pause_t",
                        (int)retry->pause);
    }
    if (code == DX_OK) {
        code = dxi_options_range(error, "retry.pause_ns", retry->pause_ns, 0, DX_WAIT_NS_MAX);
    }
    if (code == DX_OK) {
        code =
            dxi_options_range(error, "retry.pause_max_ns", retry->pause_max_ns, 0, DX_WAIT_NS_MAX);
    }
    if (code == DX_OK && retry->give_up != DX_ON_ERROR_DEFAULT &&
        retry->give_up != DX_ON_ERROR_FATAL && retry->give_up != DX_ON_ERROR_SKIP &&
        retry->give_up != DX_ON_ERROR_STOP) {
        code = dxi_fail(error, DX_EINVAL, "retry.give_up is %d, must be FATAL, SKIP or STOP",
                        (int)retry->give_up);
    }
    if (code == DX_OK && retry->reserved_0 != 0) {
        code =
            dxi_fail(error, DX_EINVAL, "retry.reserved_0 is %u, must be zero", retry->reserved_0);
    }
    return code;
}

static int policy_validate(dx_error_policy_t policy, dx_error_handler_t on_error, dx_error_t *error)
{
    if ((unsigned)policy > DX_ON_ERROR_ASK) {
        return dxi_fail(error, DX_EINVAL, "on_error_policy is %d, must be a dx_error_policy_t",
                        (int)policy);
    }
    if (policy == DX_ON_ERROR_ASK && on_error == NULL) {
        return dxi_fail(error, DX_EINVAL, "on_error is NULL, must be set with DX_ON_ERROR_ASK");
    }
    return DX_OK;
}

static int handler_validate(const dx_handler_t *handler, dx_error_t *error)
{
    if ((handler->on_event == NULL) == (handler->on_batch == NULL)) {
        return dxi_fail(error, DX_EINVAL,
                        "%s of on_event and on_batch are set, must be exactly one",
                        handler->on_event == NULL ? "none" : "both");
    }
    int code = policy_validate(handler->on_error_policy, handler->on_error, error);
    if (code == DX_OK) {
        code = retry_validate(&handler->retry, error);
    }
    if (code == DX_OK) {
        code = dxi_options_range(error, "batch_max", handler->batch_max, 0, DX_HANDLER_BATCH_MAX);
    }
    if (code == DX_OK) {
        code = dxi_options_reserved(error, handler->reserved, RESERVED_COUNT(*handler));
    }
    return code;
}

static int group_validate(dx_group_t group, bool may_be_empty, dx_error_t *error)
{
    if (group.disruptor == NULL) {
        return dxi_fail(error, DX_EINVAL, "the group has no disruptor");
    }
    if (dx_disruptor_is_running(group.disruptor)) {
        return dxi_fail(error, DX_ESTATE,
                        "the disruptor runs, its graph can only be changed before or between runs");
    }
    if (group.members == 0 && !may_be_empty) {
        return dxi_fail(error, DX_ENOTFOUND, "the group is empty, must have at least one consumer");
    }
    const uint64_t unknown = group.members & ~group.disruptor->members;
    if (unknown != 0) {
        return dxi_fail(error, DX_ENOTFOUND, "the group names consumer %d, which does not exist",
                        __builtin_ctzll(unknown));
    }
    return DX_OK;
}

/* -------------------------------------------------------------------------------------- adding */

static bool wait_is_zero(const dx_wait_options_t *wait)
{
    static const dx_wait_options_t zero;
    return memcmp(wait, &zero, sizeof(zero)) == 0;
}

static void remove_members(dx_disruptor_t *disruptor, uint64_t members)
{
    for (uint64_t rest = members; rest != 0; rest &= rest - 1) {
        const int index = __builtin_ctzll(rest);
        dxi_processor_t *processor = disruptor->processors[index];
        disruptor->processors[index] = NULL;
        dx_consumer_close(&processor->consumer);
        pthread_mutex_destroy(&processor->policy_lock);
        dxi_free(processor);
    }
    disruptor->members &= ~members;
}

/* What all kinds of consumers have in common when they are added. */
typedef struct plan {
    const char *name; /* NULL: `fallback` and the number of the consumer */
    const char *fallback;
    uint64_t upstream;
    bool may_skip;
    dx_start_t start;
    const dx_wait_options_t *wait;
    const dx_thread_options_t *thread;
    dxi_role_t role;
    dx_consumer_kind_t kind;
} plan_t;

/* Adds one consumer. Its processor is in disruptor->processors[index]; the index or a DX_E*. */
static int add_one(dx_disruptor_t *disruptor, const plan_t *plan, dx_error_t *error)
{
    char generated[DX_RING_NAME_MAX + 1];
    (void)snprintf(generated, sizeof(generated), "%s-%d", plan->fallback,
                   __builtin_popcountll(disruptor->members));
    const char *name = plan->name != NULL ? plan->name : generated;

    dxi_processor_t *processor = dxi_alloc_zeroed(1, sizeof(*processor));
    if (processor == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for consumer '%s'", name);
    }
    const dx_consumer_options_t options = {
        .name = name,
        .upstream = plan->upstream,
        .start = plan->start,
        .may_skip = plan->may_skip,
        .wait = wait_is_zero(plan->wait) ? disruptor->options.wait : *plan->wait,
    };
    const int code = dx_consumer_open(&processor->consumer, disruptor->ring, &options, error);
    if (code != DX_OK) {
        (void)dxi_fail_context(error, "consumer '%s'", name);
        dxi_free(processor);
        return code;
    }
    processor->role = plan->role;
    processor->disruptor = disruptor;
    processor->pending_last = -1;
    processor->consumer.entry->kind = (int32_t)plan->kind;
    if (plan->thread != NULL) {
        processor->thread_options = *plan->thread;
    }
    const char *thread_name =
        processor->thread_options.name != NULL ? processor->thread_options.name : name;
    /* The kernel takes fewer bytes than a consumer's name may have. */
    memcpy(processor->thread_name, thread_name, strnlen(thread_name, DX_THREAD_NAME_MAX));
    processor->thread_options.name = processor->thread_name;
    pthread_mutex_init(&processor->policy_lock, NULL);

    const int index = processor->consumer.index;
    disruptor->processors[index] = processor;
    disruptor->members |= UINT64_C(1) << index;
    return index;
}

static int add_handler(dx_disruptor_t *disruptor, const dx_handler_t *handler, const plan_t *base,
                       dx_error_t *error)
{
    const int code = handler_validate(handler, error);
    if (code != DX_OK) {
        (void)dxi_fail_context(error, "handler '%s'",
                               handler->name != NULL ? handler->name : base->fallback);
        return code;
    }
    plan_t plan = *base;
    plan.name = handler->name;
    plan.may_skip = handler->may_skip;
    plan.wait = &handler->wait;
    plan.thread = &handler->thread;
    const int index = add_one(disruptor, &plan, error);
    if (index < 0) {
        return index;
    }
    dxi_processor_t *processor = disruptor->processors[index];
    processor->handler = *handler;
    processor->handler.name = processor->consumer.entry->name;
    processor->policy = handler->on_error_policy;
    processor->on_error = handler->on_error;
    processor->on_error_context = handler->context;
    if (handler->on_error_policy == DX_ON_ERROR_DEFAULT) {
        processor->policy = disruptor->options.on_error_policy;
        processor->on_error = disruptor->options.on_error;
        processor->on_error_context = disruptor->options.on_error_context;
    }
    return index;
}

static void group_store(dx_disruptor_t *disruptor, uint64_t members, dx_group_t *group_out)
{
    if (group_out != NULL) {
        *group_out = (dx_group_t){.disruptor = disruptor, .members = members};
    }
}

static int add_handlers(dx_group_t group, const dx_handler_t *handlers, uint32_t count,
                        dx_group_t *group_out, dx_error_t *error)
{
    if (handlers == NULL || count == 0) {
        return dxi_fail(error, DX_EINVAL, "there are %u handlers, must be at least 1",
                        handlers == NULL ? 0 : count);
    }
    const plan_t plan = {.fallback = "handler",
                         .upstream = group.members,
                         .role = DXI_ROLE_HANDLER,
                         .kind = DX_CONSUMER_PROCESSOR};
    uint64_t added = 0;
    for (uint32_t i = 0; i < count; i++) {
        const int index = add_handler(group.disruptor, &handlers[i], &plan, error);
        if (index < 0) {
            remove_members(group.disruptor, added);
            return index;
        }
        added |= UINT64_C(1) << index;
    }
    group_store(group.disruptor, added, group_out);
    return DX_OK;
}

int dx_disruptor_handle_events_with(dx_disruptor_t *disruptor, const dx_handler_t *handlers,
                                    uint32_t count, dx_group_t *group_out, dx_error_t *error)
{
    const dx_group_t publication = {.disruptor = disruptor};
    const int code = group_validate(publication, true, error);
    return code != DX_OK ? code : add_handlers(publication, handlers, count, group_out, error);
}

int dx_group_then(dx_group_t group, const dx_handler_t *handlers, uint32_t count,
                  dx_group_t *group_out, dx_error_t *error)
{
    const int code = group_validate(group, false, error);
    return code != DX_OK ? code : add_handlers(group, handlers, count, group_out, error);
}

/* --------------------------------------------------------------------------------------- pools */

static int pool_validate(const dx_pool_t *pool, dx_error_t *error)
{
    if (pool->workers == NULL || pool->worker_count == 0) {
        return dxi_fail(error, DX_EINVAL, "the pool has no workers, must have at least 1");
    }
    for (uint32_t i = 0; i < pool->worker_count; i++) {
        if (pool->workers[i].on_batch != NULL) {
            return dxi_fail(error, DX_EINVAL, "worker %u has on_batch, workers must have on_event",
                            i);
        }
    }
    if (pool->name != NULL && strlen(pool->name) > DX_RING_NAME_MAX) {
        return dxi_fail(error, DX_EINVAL, "name has %zu bytes, must have at most %u",
                        strlen(pool->name), DX_RING_NAME_MAX);
    }
    int code =
        dxi_options_range(error, "claim_max", pool->claim_max, 0, (int64_t)DX_RING_SLOT_COUNT_MAX);
    if (code == DX_OK) {
        code = dxi_options_reserved(error, pool->reserved, RESERVED_COUNT(*pool));
    }
    return code;
}

static int add_pool_word(dx_group_t group, const dx_pool_t *pool, dx_error_t *error)
{
    static const dx_wait_options_t none;
    const plan_t plan = {.name = pool->name,
                         .fallback = "pool",
                         .upstream = group.members,
                         .wait = &none,
                         .role = DXI_ROLE_POOL,
                         .kind = DX_CONSUMER_POOL};
    return add_one(group.disruptor, &plan, error);
}

static int add_worker(dx_group_t group, const dx_pool_t *pool, uint32_t number,
                      dxi_processor_t *pool_word, dx_error_t *error)
{
    const bool keyed = pool->key != NULL;
    const plan_t plan = {.fallback = "worker",
                         .upstream = group.members,
                         .role = keyed ? DXI_ROLE_HANDLER : DXI_ROLE_WORKER,
                         .kind = keyed ? DX_CONSUMER_PROCESSOR : DX_CONSUMER_WORKER};
    const int index = add_handler(group.disruptor, &pool->workers[number], &plan, error);
    if (index < 0) {
        return index;
    }
    dxi_processor_t *worker = group.disruptor->processors[index];
    worker->claim_max = pool->claim_max != 0 ? pool->claim_max : CLAIM_MAX_DEFAULT;
    worker->key = pool->key;
    worker->key_context = pool->key_context;
    worker->part = number;
    worker->part_count = pool->worker_count;
    memcpy(worker->pool_name, pool->name, strlen(pool->name));
    if (pool_word != NULL) {
        assert(index > pool_word->consumer.index); /* W4 in src/ring/worker.c */
        worker->pool = pool_word;
        worker->consumer.entry->pool = pool_word->consumer.index;
        dx_store_release(&worker->consumer.entry->sequence, DX_SEQUENCE_IDLE);
    }
    return index;
}

static int add_pool(dx_group_t group, const dx_pool_t *pool, dx_group_t *group_out,
                    dx_error_t *error)
{
    const int code = pool_validate(pool, error);
    if (code != DX_OK) {
        (void)dxi_fail_context(error, "pool '%s'", pool->name != NULL ? pool->name : "pool");
        return code;
    }
    char generated[DX_RING_NAME_MAX + 1];
    (void)snprintf(generated, sizeof(generated), "pool-%d",
                   __builtin_popcountll(group.disruptor->members));
    dx_pool_t named = *pool;
    named.name = pool->name != NULL ? pool->name : generated;

    uint64_t added = 0;
    dxi_processor_t *pool_word = NULL;
    if (pool->key == NULL) {
        const int index = add_pool_word(group, &named, error);
        if (index < 0) {
            return index;
        }
        added = UINT64_C(1) << index;
        pool_word = group.disruptor->processors[index];
    }
    for (uint32_t i = 0; i < pool->worker_count; i++) {
        const int index = add_worker(group, &named, i, pool_word, error);
        if (index < 0) {
            remove_members(group.disruptor, added);
            return index;
        }
        added |= UINT64_C(1) << index;
    }
    group_store(group.disruptor, added, group_out);
    return DX_OK;
}

int dx_disruptor_handle_events_with_pool(dx_disruptor_t *disruptor, const dx_pool_t *pool,
                                         dx_group_t *group_out, dx_error_t *error)
{
    const dx_group_t publication = {.disruptor = disruptor};
    const int code = group_validate(publication, true, error);
    return code != DX_OK ? code : add_pool(publication, pool, group_out, error);
}

int dx_group_then_pool(dx_group_t group, const dx_pool_t *pool, dx_group_t *group_out,
                       dx_error_t *error)
{
    const int code = group_validate(group, false, error);
    return code != DX_OK ? code : add_pool(group, pool, group_out, error);
}

/* -------------------------------------------------------------------------- custom and pollers */

int dx_group_then_custom(dx_group_t group, const dx_custom_processor_t *custom,
                         dx_group_t *group_out, dx_error_t *error)
{
    int code = group_validate(group, true, error);
    if (code == DX_OK && custom->run == NULL) {
        code = dxi_fail(error, DX_EINVAL, "run is NULL, must be the processor's function");
    }
    if (code == DX_OK) {
        code = dxi_options_reserved(error, custom->reserved, RESERVED_COUNT(*custom));
    }
    if (code != DX_OK) {
        return code;
    }
    const plan_t plan = {.name = custom->name,
                         .fallback = "custom",
                         .upstream = group.members,
                         .may_skip = custom->may_skip,
                         .wait = &custom->wait,
                         .thread = &custom->thread,
                         .role = DXI_ROLE_CUSTOM,
                         .kind = DX_CONSUMER_PROCESSOR};
    const int index = add_one(group.disruptor, &plan, error);
    if (index < 0) {
        return index;
    }
    group.disruptor->processors[index]->custom = *custom;
    group_store(group.disruptor, UINT64_C(1) << index, group_out);
    return DX_OK;
}

int dx_group_then_poller(dx_group_t group, const dx_consumer_options_t *options,
                         dx_consumer_t **consumer_out, dx_group_t *group_out, dx_error_t *error)
{
    static const dx_consumer_options_t defaults;
    options = options != NULL ? options : &defaults;
    *consumer_out = NULL;
    const int code = group_validate(group, true, error);
    if (code != DX_OK) {
        return code;
    }
    const plan_t plan = {.name = options->name,
                         .fallback = "poller",
                         .upstream = group.members,
                         .may_skip = options->may_skip,
                         .start = options->start,
                         .wait = &options->wait,
                         .role = DXI_ROLE_POLLER,
                         .kind = DX_CONSUMER_POLLER};
    const int index = add_one(group.disruptor, &plan, error);
    if (index < 0) {
        return index;
    }
    *consumer_out = &group.disruptor->processors[index]->consumer;
    group_store(group.disruptor, UINT64_C(1) << index, group_out);
    return DX_OK;
}

/* ------------------------------------------------------------------------------- groups, edges */

int dx_group_and(dx_group_t a, dx_group_t b, dx_group_t *both_out, dx_error_t *error)
{
    if (a.disruptor == NULL || a.disruptor != b.disruptor) {
        return dxi_fail(error, DX_EINVAL, "the groups are of different disruptors");
    }
    group_store(a.disruptor, a.members | b.members, both_out);
    return DX_OK;
}

/* The members called `name`: one consumer, or a pool with all its workers. 0 when there is none. */
static uint64_t find_members(const dx_disruptor_t *disruptor, const char *name)
{
    const dx_consumer_entry_t *entries = dxi_block_consumers(disruptor->ring->block);
    uint64_t found = 0;
    for (uint64_t rest = disruptor->members; rest != 0; rest &= rest - 1) {
        const int index = __builtin_ctzll(rest);
        if (strcmp(disruptor->processors[index]->pool_name, name) == 0 ||
            strcmp(entries[index].name, name) == 0) {
            found |= UINT64_C(1) << index;
        }
    }
    return dxi_whole_pools(disruptor->ring->block, found);
}

int dx_disruptor_after(dx_disruptor_t *disruptor, const char *const *names, uint32_t count,
                       dx_group_t *group_out, dx_error_t *error)
{
    uint64_t members = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t found = find_members(disruptor, names[i]);
        if (found == 0) {
            return dxi_fail(error, DX_ENOTFOUND, "no consumer is called '%s'", names[i]);
        }
        members |= found;
    }
    group_store(disruptor, members, group_out);
    return DX_OK;
}

static int connect_validate(dx_disruptor_t *disruptor, dx_group_t ahead, dx_group_t behind,
                            dx_error_t *error)
{
    if (ahead.disruptor != disruptor || behind.disruptor != disruptor) {
        return dxi_fail(error, DX_EINVAL, "the groups are not of this disruptor");
    }
    int code = group_validate(ahead, false, error);
    if (code == DX_OK) {
        code = group_validate(behind, false, error);
    }
    if (code != DX_OK) {
        return code;
    }
    const dx_ring_block_t *block = disruptor->ring->block;
    const dx_consumer_entry_t *entries = dxi_block_consumers(block);
    const uint64_t cycle = dxi_upstream_closure(block, ahead.members) & behind.members;
    if (cycle != 0) {
        return dxi_fail(
            error, DX_EINVAL, "'%s' behind '%s' would close a cycle: '%s' already follows '%s'",
            entries[__builtin_ctzll(cycle)].name, entries[__builtin_ctzll(ahead.members)].name,
            entries[__builtin_ctzll(ahead.members)].name, entries[__builtin_ctzll(cycle)].name);
    }
    /* A consumer that has handled events must not get behind one that has not. */
    const int64_t furthest = dxi_minimum(block, ahead.members);
    for (uint64_t rest = behind.members; rest != 0; rest &= rest - 1) {
        const int64_t sequence = dx_load_acquire(&entries[__builtin_ctzll(rest)].sequence);
        if (sequence != DX_SEQUENCE_IDLE && sequence > furthest) {
            return dxi_fail(error, DX_ESTATE,
                            "'%s' has handled %" PRId64 ", but what it should follow only %" PRId64,
                            entries[__builtin_ctzll(rest)].name, sequence, furthest);
        }
    }
    return DX_OK;
}

int dx_disruptor_connect(dx_disruptor_t *disruptor, dx_group_t ahead, dx_group_t behind,
                         dx_error_t *error)
{
    ahead.members = dxi_whole_pools(disruptor->ring->block, ahead.members);
    behind.members = dxi_whole_pools(disruptor->ring->block, behind.members);
    const int code = connect_validate(disruptor, ahead, behind, error);
    if (code != DX_OK) {
        return code;
    }
    dx_ring_t *ring = disruptor->ring;
    dx_consumer_entry_t *entries = dxi_block_consumers(ring->block);
    pthread_mutex_lock(&ring->lock);
    for (uint64_t rest = behind.members; rest != 0; rest &= rest - 1) {
        (void)dx_fetch_or_acq_rel(&entries[__builtin_ctzll(rest)].upstream, (int64_t)ahead.members);
    }
    (void)dx_fetch_and_acq_rel(&ring->block->gating, (int64_t)~ahead.members); /* C1 */
    pthread_mutex_unlock(&ring->lock);
    /* Those behind them may be hidden from by more consumers now. */
    for (uint64_t rest = disruptor->members; rest != 0; rest &= rest - 1) {
        dxi_consumer_bind(&disruptor->processors[__builtin_ctzll(rest)]->consumer);
    }
    return DX_OK;
}

/* ----------------------------------------------------------------------- changes while it runs */

int dx_group_set_error_policy(dx_group_t group, dx_error_policy_t policy,
                              dx_error_handler_t on_error, void *context, dx_error_t *error)
{
    const int code = policy_validate(policy, on_error, error);
    if (code != DX_OK) {
        return code;
    }
    if (group.disruptor == NULL || group.members == 0 ||
        (group.members & ~group.disruptor->members) != 0) {
        return dxi_fail(error, DX_ENOTFOUND, "the group has no consumer of this disruptor");
    }
    for (uint64_t rest = group.members; rest != 0; rest &= rest - 1) {
        dxi_processor_t *processor = group.disruptor->processors[__builtin_ctzll(rest)];
        pthread_mutex_lock(&processor->policy_lock);
        processor->policy = policy;
        processor->on_error = on_error;
        processor->on_error_context = context;
        pthread_mutex_unlock(&processor->policy_lock);
    }
    return DX_OK;
}

static int running_group_validate(dx_group_t group, dx_error_t *error)
{
    if (group.disruptor == NULL || group.members == 0 ||
        (group.members & ~group.disruptor->members) != 0) {
        return dxi_fail(error, DX_ENOTFOUND, "the group has no consumer of this disruptor");
    }
    /* Before the state: handlers run before start has returned. */
    const int code = dxi_threads_check_caller(group.disruptor, group.members, error);
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
