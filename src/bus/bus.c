/* bus.c - the bus as a whole: options, loops, starting, draining, the end.
 *
 * DESIGN
 *
 * dx_bus_create() makes everything that has a bound: loops (without threads), lanes with their
 * rings, the places of publishers. Shard i belongs to loop i mod loops, for good.
 *
 * Stopping has three steps, so that nothing that a publisher was told is in is lost:
 *
 *     1  STOPPING: publishers are refused. Rings and shards run dry.
 *     2  The rings are closed: whoever had looked at the state before is refused by the ring.
 *     3  What came in between 1 and 2 is handled. Then subscriptions end, then loops.
 *
 * INVARIANTS
 *
 *   B1  state only grows: CREATED, RUNNING, STOPPING, STOPPED
 *   B2  a lane's loop never changes
 *   B3  loops run until everything that points into them has been detached
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <time.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "bus/options.h"
#include "bus/subscription.h"

_Static_assert(DXI_TOPIC_TOKENS_MAX == DX_TOPIC_TOKENS_MAX &&
                   DX_FRAME_TOPIC_BYTES_MAX == DX_TOPIC_BYTES_MAX,
               "names have the same limits in the frame and in the bus");

#define RING_BYTES_MIN UINT32_C(65536)
#define RING_BYTES_MAX UINT32_C(1073741824)
#define EVENT_BYTES_MAX ((uint32_t)(DX_FRAME_BYTES_MAX - 66560))
#define DRAIN_PAUSE_NS 200000

/* -------------------------------------------------------------------------------------- options */

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static uint32_t default_loops(void)
{
    dx_cpu_set_t allowed;
    uint32_t count = 1;
    if (dx_cpu_allowed(&allowed, NULL) == DX_OK) {
        count = (uint32_t)dx_cpu_set_count(&allowed) / 2;
    }
    count = count == 0 ? 1 : count;
    return count > DX_BUS_LOOPS_MAX ? DX_BUS_LOOPS_MAX : count;
}

static void options_fill(dx_bus_options_t *filled, const dx_bus_options_t *options)
{
    *filled = options != NULL ? *options : (dx_bus_options_t){0};
    filled->shards = or_default(filled->shards, 16);
    filled->loops = or_default(filled->loops, default_loops());
    filled->shard_ring_bytes = or_default(filled->shard_ring_bytes, UINT32_C(1048576));
    const uint32_t quarter = filled->shard_ring_bytes / 4;
    filled->event_bytes_max =
        or_default(filled->event_bytes_max, quarter < 131072 ? quarter : 131072);
    filled->topics_max = or_default(filled->topics_max, 65536);
    filled->topic.retain_events =
        filled->topic.retain_events != 0 ? filled->topic.retain_events : 1024;
    filled->topic.retain_bytes =
        filled->topic.retain_bytes != 0 ? filled->topic.retain_bytes : 1048576;
    filled->retain_bytes_max =
        filled->retain_bytes_max != 0 ? filled->retain_bytes_max : UINT64_C(268435456);
    filled->producers_max = or_default(filled->producers_max, 4096);
    filled->subscriptions_max = or_default(filled->subscriptions_max, 65536);
    filled->spin_ns = filled->spin_ns == 0 ? 20000 : (filled->spin_ns < 0 ? 0 : filled->spin_ns);
}

/* A number and its bounds. */
typedef struct bound {
    const char *name;
    uint64_t value, least, most;
    bool power;
} bound_t;

static int bounds_check(const bound_t *bounds, size_t count, dx_error_t *error)
{
    for (size_t i = 0; i < count; i++) {
        const bound_t *it = &bounds[i];
        if (it->value < it->least || it->value > it->most ||
            (it->power && (it->value & (it->value - 1)) != 0)) {
            return dxi_fail(error, DX_EINVAL, "%s is %llu, must be %s%llu to %llu", it->name,
                            (unsigned long long)it->value, it->power ? "a power of two from " : "",
                            (unsigned long long)it->least, (unsigned long long)it->most);
        }
    }
    return DX_OK;
}

static int options_check(const dx_bus_options_t *options, dx_error_t *error)
{
    const bound_t bounds[] = {
        {"shards", options->shards, 1, DX_BUS_SHARDS_MAX, true},
        {"loops", options->loops, 1, DX_BUS_LOOPS_MAX, false},
        {"shard_ring_bytes", options->shard_ring_bytes, RING_BYTES_MIN, RING_BYTES_MAX, true},
        {"event_bytes_max", options->event_bytes_max, 1, EVENT_BYTES_MAX, false},
        {"topics_max", options->topics_max, 1, DX_BUS_TOPICS_MAX, false},
        {"producers_max", options->producers_max, 1, UINT32_C(16777216), false},
        {"subscriptions_max", options->subscriptions_max, 1, UINT32_C(16777216), false},
    };
    const int code = bounds_check(bounds, sizeof bounds / sizeof bounds[0], error);
    if (code != DX_OK) {
        return code;
    }
    if (options->event_bytes_max > options->shard_ring_bytes / 4) {
        return dxi_fail(error, DX_EINVAL,
                        "event_bytes_max is %u, must be at most a quarter of shard_ring_bytes, %u",
                        options->event_bytes_max, options->shard_ring_bytes / 4);
    }
    for (int i = 0; i < 3; i++) {
        if (options->reserved[i] != 0) {
            return dxi_fail(error, DX_EINVAL, "reserved[%d] is %llu, must be zero", i,
                            (unsigned long long)options->reserved[i]);
        }
    }
    if (options->topic.shard_by != DX_SHARD_BY_TOPIC || options->topic.direct_bytes != 0) {
        return dxi_fail(
            error, DX_EINVAL,
            "topic.shard_by is %d and topic.direct_bytes %u, must be 0: such a topic is "
            "declared",
            (int)options->topic.shard_by, options->topic.direct_bytes);
    }
    if (options->topic.event_bytes_max > options->event_bytes_max) {
        return dxi_fail(error, DX_EINVAL, "topic.event_bytes_max is %u, must be at most %u",
                        options->topic.event_bytes_max, options->event_bytes_max);
    }
    return dxi_topic_options_check(&options->topic, error);
}

/* --------------------------------------------------------------------------------------- making */

static int loop_create(dx_bus_t *bus, uint32_t index, dx_error_t *error)
{
    dxi_bus_loop_t *loop = &bus->loops[index];
    char name[DX_THREAD_NAME_MAX + 1];
    (void)snprintf(name, sizeof name, "io.%u", index);
    loop->bus = bus;
    loop->index = index;
    const int code = dxi_loop_create(&(dxi_loop_options_t){.name = name,
                                                           .busy_poll = bus->options.busy_poll,
                                                           .spin_ns = bus->options.spin_ns,
                                                           .cpus = bus->options.cpus},
                                     &loop->loop, error);
    if (code != DX_OK) {
        return code;
    }
    bus->net_loops[index] = loop->loop;
    loop->bell = dxi_loop_bell_of(loop->loop);
    assert(bus->loop_count != 0);
    loop->lanes = dxi_alloc_zeroed(bus->options.shards / bus->loop_count + 1, sizeof(dxi_lane_t *));
    loop->producers = dxi_alloc_zeroed(bus->options.shards, sizeof(dx_producer_t));
    if (loop->lanes == NULL || loop->producers == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for loop %u", index);
    }
    return dxi_sessions_create(loop, error);
}

static int lanes_create(dx_bus_t *bus, dx_error_t *error)
{
    const uint32_t loops = bus->loop_count;
    assert(loops != 0);
    for (uint32_t i = 0; i < bus->options.shards; i++) {
        dxi_bus_loop_t *owner = &bus->loops[i % loops];
        const int code = dxi_lane_create(bus, (uint16_t)i, owner, &bus->lanes[i], error);
        if (code != DX_OK) {
            return code;
        }
        owner->lanes[owner->lane_count++] = bus->lanes[i];
    }
    return DX_OK;
}

static int tables_create(dx_bus_t *bus, dx_error_t *error)
{
    bus->loops = dxi_alloc_zeroed(bus->loop_count, sizeof(dxi_bus_loop_t));
    bus->net_loops = dxi_alloc_zeroed(bus->loop_count, sizeof(dxi_loop_t *));
    bus->lanes = dxi_alloc_zeroed(bus->options.shards, sizeof(dxi_lane_t *));
    bus->mailboxes = dxi_alloc_zeroed(DX_BUS_PUBLISHERS_MAX, sizeof(dxi_mailbox_t));
    bus->pairs = dxi_alloc_zeroed((size_t)bus->loop_count * bus->loop_count, sizeof(dx_atomic64_t));
    if (bus->loops == NULL || bus->net_loops == NULL || bus->lanes == NULL ||
        bus->mailboxes == NULL || bus->pairs == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a bus of %u shards", bus->options.shards);
    }
    for (uint32_t i = 0; i < DX_BUS_PUBLISHERS_MAX; i++) {
        const int code = dxi_mailbox_init(&bus->mailboxes[i]);
        if (code != DX_OK) {
            return dxi_fail(error, code, "no memory for the bus's mutexes");
        }
    }
    return DX_OK;
}

static int bus_fill(dx_bus_t *bus, dx_error_t *error)
{
    int code = tables_create(bus, error);
    for (uint32_t i = 0; code == DX_OK && i < bus->loop_count; i++) {
        code = loop_create(bus, i, error);
    }
    if (code == DX_OK) {
        code = lanes_create(bus, error);
    }
    for (uint32_t i = 0; code == DX_OK && i < bus->loop_count; i++) {
        dxi_bus_loop_t *loop = &bus->loops[i];
        loop->duty = (dxi_duty_t){.run = dxi_bus_loop_run, .context = loop};
        dxi_loop_add_duty(loop->loop, &loop->duty);
        loop->has_duty = true;
    }
    return code;
}

int dx_bus_create(const dx_bus_options_t *options, dx_bus_t **bus_out, dx_error_t *error)
{
    dx_bus_options_t filled;
    *bus_out = NULL;
    options_fill(&filled, options);
    int code = options_check(&filled, error);
    if (code != DX_OK) {
        return code;
    }
    dx_bus_t *bus = dxi_alloc_zeroed(1, sizeof *bus);
    if (bus == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a bus");
    }
    bus->options = filled;
    bus->loop_count = filled.loops;
    bus->tsc = dx_tsc_default();
    bus->made_unix_ns = (uint64_t)dx_clock_realtime_ns();
    bus->queue_last = &bus->queue_first;
    (void)pthread_mutex_init(&bus->command_mutex, NULL);
    (void)pthread_mutex_init(&bus->shared_mutex, NULL);
    (void)pthread_mutex_init(&bus->shared_use, NULL);
    (void)pthread_mutex_init(&bus->queue_mutex, NULL);
    (void)pthread_cond_init(&bus->queue_changed, NULL);
    (void)pthread_rwlock_init(&bus->declared_lock, NULL);
    dx_store32_relaxed(&bus->state, DXI_BUS_CREATED);
    code = bus_fill(bus, error);
    if (code != DX_OK) {
        dx_bus_destroy(bus);
        return code;
    }
    *bus_out = bus;
    return DX_OK;
}

int dx_bus_start(dx_bus_t *bus, dx_error_t *error)
{
    if (dx_load32_relaxed(&bus->state) != DXI_BUS_CREATED) {
        return dxi_fail(error, DX_ESTATE, "the bus was started before");
    }
    int code = dxi_commands_start(bus, error);
    uint32_t started = 0;
    /* Before the first loop: a listener that is there already must not refuse who waits at it. */
    dx_store32_release(&bus->state, DXI_BUS_RUNNING);
    while (code == DX_OK && started < bus->loop_count) {
        code = dxi_loop_start(bus->loops[started].loop, error);
        started += code == DX_OK;
    }
    if (code != DX_OK) {
        while (started > 0) {
            dxi_loop_stop(bus->loops[--started].loop);
        }
        dxi_commands_stop(bus);
        dx_store32_release(&bus->state, DXI_BUS_STOPPED);
        return code;
    }
    return DX_OK;
}

int dxi_bus_not_running(const dx_bus_t *bus, dx_error_t *error)
{
    const int32_t state = dx_load32_relaxed(&bus->state);
    if (state == DXI_BUS_CREATED) {
        return dxi_fail(error, DX_ESTATE, "the bus is not started");
    }
    return dxi_fail(error, state == DXI_BUS_STOPPING ? DX_ECLOSED : DX_ESTATE,
                    "the bus is stopped, or stops");
}

/* ------------------------------------------------------------------------------------- stopping */

typedef struct drain_look {
    dxi_bus_loop_t *loop;
    int64_t waiting; /* slots in rings */
    bool idle;       /* all shards */
} drain_look_t;

static void drain_look_in_loop(void *context)
{
    drain_look_t *look = context;
    for (uint32_t i = 0; i < look->loop->lane_count; i++) {
        look->waiting += dxi_lane_depth(look->loop->lanes[i]);
        look->idle = look->idle && dxi_shard_idle(look->loop->lanes[i]->shard);
    }
}

/* Whether everything has gone through; how many events wait in rings, at most. */
static bool drained(dx_bus_t *bus, int64_t *waiting_out)
{
    bool idle = true;
    int64_t waiting = 0;
    for (uint32_t i = 0; i < bus->loop_count; i++) {
        drain_look_t look = {.loop = &bus->loops[i], .idle = true};
        dxi_loop_call(look.loop->loop, drain_look_in_loop, &look);
        waiting += look.waiting;
        idle = idle && look.idle;
    }
    const int64_t queued = dxi_subscriptions_queued(bus);
    *waiting_out = waiting + queued;
    return idle && waiting == 0 && queued == 0;
}

static bool drain_until(dx_bus_t *bus, int64_t deadline_ns, int64_t *waiting_out)
{
    while (!drained(bus, waiting_out)) {
        if (dx_clock_ns() >= deadline_ns) {
            return false;
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = DRAIN_PAUSE_NS}, NULL);
    }
    return true;
}

int dx_bus_stop(dx_bus_t *bus, int64_t timeout_ns, dx_error_t *error)
{
    const int32_t state = dx_load32_relaxed(&bus->state);
    if (state == DXI_BUS_CREATED) {
        return dxi_fail(error, DX_ESTATE, "the bus was never started");
    }
    if (state == DXI_BUS_STOPPED) {
        return DX_OK;
    }
    const int64_t now_ns = dx_clock_ns();
    const int64_t deadline_ns = timeout_ns > INT64_MAX - now_ns ? INT64_MAX : now_ns + timeout_ns;
    int64_t waiting = 0;
    dx_store32_release(&bus->state, DXI_BUS_STOPPING);
    bool clean = drain_until(bus, deadline_ns, &waiting);
    for (uint32_t i = 0; i < bus->options.shards; i++) {
        dx_ring_close(bus->lanes[i]->ring);
    }
    clean = drain_until(bus, clean ? dx_clock_ns() + DX_NS_PER_S : 0, &waiting) && clean;
    dxi_publishers_wake(bus);
    dxi_subscriptions_end(bus, deadline_ns);
    (void)dxi_bus_sessions_close(bus, clean ? DX_NS_PER_S : 0);
    for (uint32_t i = 0; i < bus->loop_count; i++) {
        dxi_loop_stop(bus->loops[i].loop);
    }
    dxi_commands_stop(bus);
    (void)pthread_mutex_lock(&bus->command_mutex);
    while (bus->attachments != NULL) { /* of connections that did not close in time */
        dxi_attachment_detach(bus->attachments);
    }
    (void)pthread_mutex_unlock(&bus->command_mutex);
    dx_store32_release(&bus->state, DXI_BUS_STOPPED);
    if (clean) {
        return DX_OK;
    }
    return dxi_fail(error, DX_ETIMEDOUT,
                    "the bus stopped with %lld events or slots still waiting, or not acknowledged",
                    (long long)waiting);
}

static void loop_destroy(dx_bus_t *bus, dxi_bus_loop_t *loop)
{
    if (loop->has_duty) {
        dxi_loop_remove_duty(loop->loop, &loop->duty);
    }
    for (uint32_t i = 0; loop->producers != NULL && i < bus->options.shards; i++) {
        dx_producer_close(&loop->producers[i]);
    }
    dxi_loop_destroy(loop->loop);
    dxi_sessions_destroy(loop);
    dxi_free(loop->lanes);
    dxi_free(loop->producers);
}

void dx_bus_destroy(dx_bus_t *bus)
{
    if (bus == NULL) {
        return;
    }
    const int32_t state = dx_load32_relaxed(&bus->state);
    if (state == DXI_BUS_RUNNING || state == DXI_BUS_STOPPING) {
        (void)dx_bus_stop(bus, 0, NULL);
    }
    dxi_publishers_destroy(bus);
    dxi_subscriptions_destroy(bus);
    for (uint32_t i = 0; bus->loops != NULL && i < bus->loop_count; i++) {
        loop_destroy(bus, &bus->loops[i]);
    }
    dxi_pairs_destroy(bus);
    for (uint32_t i = 0; bus->lanes != NULL && i < bus->options.shards; i++) {
        dxi_lane_destroy(bus->lanes[i]);
    }
    for (uint32_t i = 0; bus->mailboxes != NULL && i < DX_BUS_PUBLISHERS_MAX; i++) {
        dxi_mailbox_close(&bus->mailboxes[i]);
    }
    dxi_topics_destroy(bus);
    (void)pthread_mutex_destroy(&bus->command_mutex);
    (void)pthread_mutex_destroy(&bus->shared_mutex);
    (void)pthread_mutex_destroy(&bus->shared_use);
    (void)pthread_mutex_destroy(&bus->queue_mutex);
    (void)pthread_cond_destroy(&bus->queue_changed);
    (void)pthread_rwlock_destroy(&bus->declared_lock);
    dxi_free(bus->loops);
    dxi_free(bus->net_loops);
    dxi_free(bus->lanes);
    dxi_free(bus->mailboxes);
    dxi_free(bus->pairs);
    dxi_free(bus);
}

dxi_loop_t *const *dxi_bus_loops(dx_bus_t *bus, uint32_t *count_out)
{
    *count_out = bus->loop_count;
    return bus->net_loops;
}
