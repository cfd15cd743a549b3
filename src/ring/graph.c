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

int dxi_policy_validate(dx_error_policy_t policy, dx_error_handler_t on_error, dx_error_t *error)
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
    int code = dxi_policy_validate(handler->on_error_policy, handler->on_error, error);
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
    if (group.members == 0 && !may_be_empty) {
        return dxi_fail(error, DX_ENOTFOUND, "the group is empty, must have at least one consumer");
    }
    /* In a shared ring, a consumer of another process can be followed, too. */
    const dx_ring_block_t *block = group.disruptor->ring->block;
    const uint64_t others = dxi_block_shared(block) ? (uint64_t)dx_load_acquire(&block->active) : 0;
    const uint64_t unknown = group.members & ~(group.disruptor->members | others);
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

/* What all kinds of consumers have in common when they are added. */
typedef struct plan {
    const char *name; /* NULL: `fallback` and the number of the consumer */
    const char *fallback;
    uint64_t upstream;
    bool may_skip;
    dx_start_t start;
    int64_t start_sequence;
    dx_on_death_t on_death;
    bool resume;
    const dx_wait_options_t *wait;
    const dx_thread_options_t *thread;
    dxi_role_t role;
    dx_consumer_kind_t kind;
    dxi_processor_t *pool; /* of a WORKER; else NULL */
} plan_t;

static uint64_t find_members(const dx_disruptor_t *disruptor, const char *name);

/* "fallback-number", with the number of members or the next that is free. */
static void name_generate(const dx_disruptor_t *disruptor, const char *fallback, char *name_out)
{
    int number = __builtin_popcountll(disruptor->members);
    do {
        (void)snprintf(name_out, DX_RING_NAME_MAX + 1, "%s-%d", fallback, number++);
    } while (find_members(disruptor, name_out) != 0);
}

/* Adds one consumer. Its processor is in disruptor->processors[index]; the index or a DX_E*. */
static int add_one(dx_disruptor_t *disruptor, const plan_t *plan, dx_error_t *error)
{
    char generated[DX_RING_NAME_MAX + 1];
    name_generate(disruptor, plan->fallback, generated);
    const char *name = plan->name != NULL ? plan->name : generated;

    dxi_processor_t *processor = dxi_alloc_zeroed(1, sizeof(*processor));
    if (processor == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for consumer '%s'", name);
    }
    const dx_consumer_options_t options = {
        .name = name,
        .upstream = plan->upstream,
        .start = plan->start,
        .start_sequence = plan->start_sequence,
        .may_skip = plan->may_skip,
        .on_death = plan->on_death,
        .resume = plan->resume,
        .wait = wait_is_zero(plan->wait) ? disruptor->options.wait : *plan->wait,
    };
    const dxi_consumer_role_t role = {.kind = plan->kind,
                                      .pool = plan->pool != NULL ? plan->pool->consumer.index : 0};
    const int code =
        dxi_consumer_add(&processor->consumer, disruptor->ring, &options, &role, error);
    if (code != DX_OK) {
        (void)dxi_fail_context(error, "consumer '%s'", name);
        dxi_free(processor);
        return code;
    }
    processor->role = plan->role;
    processor->disruptor = disruptor;
    processor->pending_last = -1;
    if (plan->thread != NULL) {
        processor->thread_options = *plan->thread;
    }
    const char *thread_name =
        processor->thread_options.name != NULL ? processor->thread_options.name : name;
    /* The kernel takes fewer bytes than a consumer's name may have. */
    memcpy(processor->thread_name, thread_name, strnlen(thread_name, DX_THREAD_NAME_MAX));
    processor->thread_options.name = processor->thread_name;
    pthread_mutex_init(&processor->policy_lock, NULL);
    if (plan->pool != NULL) { /* before it is a member: dxi_pool_check() asks members for it */
        processor->pool = plan->pool;
        processor->claim_max = plan->pool->claim_max;
        memcpy(processor->pool_name, plan->pool->consumer.entry->name,
               sizeof(processor->pool_name));
    }

    const int index = processor->consumer.index;
    pthread_mutex_lock(&disruptor->members_lock);
    disruptor->processors[index] = processor;
    disruptor->members |= UINT64_C(1) << index;
    pthread_mutex_unlock(&disruptor->members_lock);
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
    if (plan.start == DX_START_CURSOR) { /* else its pool has said it */
        plan.start = handler->start;
        plan.start_sequence = handler->start_sequence;
    }
    plan.on_death = handler->on_death;
    plan.resume = handler->resume;
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

/* The end of every addition: the new members run if the disruptor does, or are gone again. */
static int added(dx_disruptor_t *disruptor, uint64_t members, dx_group_t *group_out,
                 dx_error_t *error)
{
    dxi_members_rebind(disruptor);
    if (dx_disruptor_is_running(disruptor)) {
        const int code = dxi_threads_start(disruptor, members, error);
        if (code != DX_OK) {
            dxi_members_close(disruptor, members);
            return code;
        }
    }
    group_store(disruptor, members, group_out);
    return DX_OK;
}

/* Adds handlers behind a group, not running yet. */
static int open_handlers(dx_group_t group, const dx_handler_t *handlers, uint32_t count,
                         uint64_t *members_out, dx_error_t *error)
{
    if (handlers == NULL || count == 0) {
        return dxi_fail(error, DX_EINVAL, "there are %u handlers, must be at least 1",
                        handlers == NULL ? 0 : count);
    }
    const plan_t plan = {.fallback = "handler",
                         .upstream = group.members,
                         .role = DXI_ROLE_HANDLER,
                         .kind = DX_CONSUMER_PROCESSOR};
    uint64_t members = 0;
    for (uint32_t i = 0; i < count; i++) {
        const int index = add_handler(group.disruptor, &handlers[i], &plan, error);
        if (index < 0) {
            dxi_members_close(group.disruptor, members);
            return index;
        }
        members |= UINT64_C(1) << index;
    }
    *members_out = members;
    return DX_OK;
}

static int add_handlers(dx_group_t group, const dx_handler_t *handlers, uint32_t count,
                        dx_group_t *group_out, dx_error_t *error)
{
    uint64_t members = 0;
    const int code = open_handlers(group, handlers, count, &members, error);
    return code == DX_OK ? added(group.disruptor, members, group_out, error) : code;
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

int dx_group_insert(dx_group_t ahead, dx_group_t behind, const dx_handler_t *handlers,
                    uint32_t count, dx_group_t *group_out, dx_error_t *error)
{
    dx_disruptor_t *disruptor = behind.disruptor;
    int code = group_validate(behind, false, error);
    if (code == DX_OK) {
        code = group_validate(ahead, true, error);
    }
    if (code == DX_OK && ahead.disruptor != disruptor) {
        code = dxi_fail(error, DX_EINVAL, "the groups are of different disruptors");
    }
    if (code == DX_OK) {
        code = dxi_threads_check_caller(disruptor, behind.members, error);
    }
    uint64_t members = 0;
    if (code == DX_OK) {
        code = open_handlers(ahead, handlers, count, &members, error);
    }
    if (code != DX_OK) {
        return code;
    }
    code = dxi_follow(disruptor->ring, behind.members, members, ahead.members, error);
    if (code != DX_OK) {
        dxi_members_close(disruptor, members);
        return code;
    }
    dxi_members_wait_bound(disruptor, behind.members, members);
    return added(disruptor, members, group_out, error);
}

/* --------------------------------------------------------------------------------------- pools */

static int worker_validate(const dx_handler_t *worker, uint32_t number, dx_error_t *error)
{
    if (worker->on_batch != NULL) {
        return dxi_fail(error, DX_EINVAL, "worker %u has on_batch, workers must have on_event",
                        number);
    }
    if (worker->start != DX_START_CURSOR || worker->start_sequence != 0) {
        return dxi_fail(error, DX_EINVAL, "worker %u has a start, only its pool may have one",
                        number);
    }
    if (worker->resume || worker->on_death != DX_ON_DEATH_EVICT) {
        return dxi_fail(error, DX_EINVAL,
                        "worker %u has resume or on_death, which are not for workers: what one has "
                        "claimed dies with it",
                        number);
    }
    return DX_OK;
}

static int pool_validate(const dx_pool_t *pool, dx_error_t *error)
{
    if (pool->workers == NULL || pool->worker_count == 0) {
        return dxi_fail(error, DX_EINVAL, "the pool has no workers, must have at least 1");
    }
    for (uint32_t i = 0; i < pool->worker_count; i++) {
        const int code = worker_validate(&pool->workers[i], i, error);
        if (code != DX_OK) {
            return code;
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
                         .start = pool->start,
                         .start_sequence = pool->start_sequence,
                         .wait = &none,
                         .role = DXI_ROLE_POOL,
                         .kind = DX_CONSUMER_POOL};
    return add_one(group.disruptor, &plan, error);
}

/* A worker that takes what its pool has not claimed. */
static int add_worker(dxi_processor_t *pool, const dx_handler_t *handler, dx_error_t *error)
{
    const plan_t plan = {.fallback = "worker",
                         .upstream = (uint64_t)dx_load_acquire(&pool->consumer.entry->upstream),
                         .role = DXI_ROLE_WORKER,
                         .kind = DX_CONSUMER_WORKER,
                         .pool = pool};
    return add_handler(pool->disruptor, handler, &plan, error);
}

/* A worker that looks at everything and takes its part of the keys. All begin where `first` (NULL:
 * it is the first) does. */
static int add_keyed_worker(dx_group_t group, const dx_pool_t *pool, uint32_t number,
                            const dxi_processor_t *first, dx_error_t *error)
{
    plan_t plan = {.fallback = "worker",
                   .upstream = group.members,
                   .start = pool->start,
                   .start_sequence = pool->start_sequence,
                   .role = DXI_ROLE_HANDLER,
                   .kind = DX_CONSUMER_PROCESSOR};
    if (first != NULL) {
        plan.start = DX_START_SEQUENCE;
        plan.start_sequence = dx_load_relaxed(&first->consumer.entry->start_sequence) + 1;
    }
    const int index = add_handler(group.disruptor, &pool->workers[number], &plan, error);
    if (index >= 0) {
        dxi_processor_t *worker = group.disruptor->processors[index];
        worker->key = pool->key;
        worker->key_context = pool->key_context;
        worker->part = number;
        worker->part_count = pool->worker_count;
        memcpy(worker->pool_name, pool->name, strlen(pool->name));
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
    name_generate(group.disruptor, "pool", generated);
    dx_pool_t named = *pool;
    named.name = pool->name != NULL ? pool->name : generated;

    uint64_t members = 0;
    dxi_processor_t *word = NULL;
    dxi_processor_t *first = NULL;
    if (pool->key == NULL) {
        const int index = add_pool_word(group, &named, error);
        if (index < 0) {
            return index;
        }
        members = UINT64_C(1) << index;
        word = group.disruptor->processors[index];
        word->claim_max = pool->claim_max != 0 ? pool->claim_max : CLAIM_MAX_DEFAULT;
    }
    for (uint32_t i = 0; i < pool->worker_count; i++) {
        const int index = word != NULL ? add_worker(word, &pool->workers[i], error)
                                       : add_keyed_worker(group, &named, i, first, error);
        if (index < 0) {
            dxi_members_close(group.disruptor, members);
            return index;
        }
        members |= UINT64_C(1) << index;
        first = group.disruptor->processors[index];
    }
    return added(group.disruptor, members, group_out, error);
}

/* The one pool of which the group is a part, or NULL. */
static dxi_processor_t *pool_of(dx_group_t group)
{
    dxi_processor_t *found = NULL;
    for (uint64_t rest = group.members; rest != 0; rest &= rest - 1) {
        dxi_processor_t *processor = group.disruptor->processors[__builtin_ctzll(rest)];
        dxi_processor_t *pool = processor->role == DXI_ROLE_POOL ? processor : processor->pool;
        if (pool == NULL || (found != NULL && found != pool)) {
            return NULL;
        }
        found = pool;
    }
    return found;
}

int dx_group_add_worker(dx_group_t group, const dx_handler_t *worker, dx_group_t *worker_out,
                        dx_error_t *error)
{
    int code = dxi_group_check(group, error);
    if (code == DX_OK) {
        code = worker_validate(worker, 0, error);
    }
    if (code != DX_OK) {
        return code;
    }
    const dxi_processor_t *one = group.disruptor->processors[__builtin_ctzll(group.members)];
    if (one->key != NULL) {
        return dxi_fail(error, DX_ENOTSUP,
                        "pool '%s' is by key, its workers are those it was made with",
                        one->pool_name);
    }
    dxi_processor_t *pool = pool_of(group);
    if (pool == NULL) {
        return dxi_fail(error, DX_ENOTFOUND, "the group is not of one pool");
    }
    const int index = add_worker(pool, worker, error);
    if (index < 0) {
        return index;
    }
    uint64_t members = UINT64_C(1) << index;
    /* With a worker its pool lives, too. */
    const bool ended = dx_load32_acquire(&pool->consumer.entry->state) == DX_CONSUMER_STOPPED;
    members |= ended ? UINT64_C(1) << pool->consumer.index : 0;
    code = added(group.disruptor, members, NULL, error);
    if (code == DX_OK) {
        group_store(group.disruptor, UINT64_C(1) << index, worker_out);
    }
    return code;
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
                         .start = custom->start,
                         .start_sequence = custom->start_sequence,
                         .wait = &custom->wait,
                         .thread = &custom->thread,
                         .role = DXI_ROLE_CUSTOM,
                         .kind = DX_CONSUMER_PROCESSOR};
    const int index = add_one(group.disruptor, &plan, error);
    if (index < 0) {
        return index;
    }
    group.disruptor->processors[index]->custom = *custom;
    return added(group.disruptor, UINT64_C(1) << index, group_out, error);
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
                         .start_sequence = options->start_sequence,
                         .wait = &options->wait,
                         .role = DXI_ROLE_POLLER,
                         .kind = DX_CONSUMER_POLLER};
    const int index = add_one(group.disruptor, &plan, error);
    if (index < 0) {
        return index;
    }
    *consumer_out = &group.disruptor->processors[index]->consumer;
    return added(group.disruptor, UINT64_C(1) << index, group_out, error); /* needs no thread */
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

/* Consumers of other processes that have the name: a mask. */
static uint64_t find_others(const dx_ring_block_t *block, const char *name)
{
    uint64_t found = 0;
    const uint64_t active = dxi_block_shared(block) ? (uint64_t)dx_load_acquire(&block->active) : 0;
    for (uint64_t rest = active; rest != 0; rest &= rest - 1) {
        const dx_consumer_entry_t *entry = &dxi_block_consumers(block)[__builtin_ctzll(rest)];
        found |= strncmp(entry->name, name, DX_RING_NAME_MAX) == 0 ? rest & -rest : 0;
    }
    return found;
}

int dx_disruptor_after(dx_disruptor_t *disruptor, const char *const *names, uint32_t count,
                       dx_group_t *group_out, dx_error_t *error)
{
    uint64_t members = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t found = find_members(disruptor, names[i]);
        if (found == 0) {
            found = find_others(disruptor->ring->block, names[i]);
        }
        if (found == 0) {
            return dxi_fail(error, DX_ENOTFOUND, "no consumer is called '%s'", names[i]);
        }
        members |= found;
    }
    group_store(disruptor, members, group_out);
    return DX_OK;
}

int dx_group_member(dx_group_t group, const char *name, dx_group_t *member_out, dx_error_t *error)
{
    const int code = dxi_group_check(group, error);
    if (code != DX_OK) {
        return code;
    }
    for (uint64_t rest = group.members; rest != 0; rest &= rest - 1) {
        const int index = __builtin_ctzll(rest);
        if (strcmp(group.disruptor->processors[index]->consumer.entry->name, name) == 0) {
            group_store(group.disruptor, UINT64_C(1) << index, member_out);
            return DX_OK;
        }
    }
    return dxi_fail(error, DX_ENOTFOUND, "no member of the group is called '%s'", name);
}

int dx_disruptor_connect(dx_disruptor_t *disruptor, dx_group_t ahead, dx_group_t behind,
                         dx_error_t *error)
{
    if (ahead.disruptor != disruptor || behind.disruptor != disruptor) {
        return dxi_fail(error, DX_EINVAL, "the groups are not of this disruptor");
    }
    int code = group_validate(ahead, false, error);
    if (code == DX_OK) {
        code = group_validate(behind, false, error);
    }
    if (code == DX_OK) {
        code = dxi_follow(disruptor->ring, behind.members, ahead.members, 0, error);
    }
    if (code == DX_OK) {
        dxi_members_rebind(disruptor);
    }
    return code;
}
