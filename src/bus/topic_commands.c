/* topic_commands.c - commands on topics, over all shards that have them.
 *
 * DESIGN
 *
 * A topic lives in the lane that its name hashes to, or, keyed, in all. A command holds the
 * command mutex and goes from loop to loop. What publishers have to know about a topic before they
 * reach its shard (that it is keyed, that it fails when full) stands in a table of the bus, which
 * they look at only when there is any such topic.
 *
 * INVARIANTS
 *
 *   T1  a keyed topic is in the table before any publisher is told that it was created, and its
 *       listeners are in all lanes before that
 *   T2  a command that fails in one lane is undone in those before it
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "bus/options.h"
#include "bus/runtime.h"

#define DECLARED_ROOM_FIRST 64

/* ------------------------------------------------------------------------------ declared topics */

/* Where a topic stands in the table, or would. Under the lock. */
static dxi_declared_t **declared_find(dx_bus_t *bus, const char *topic, size_t bytes, uint32_t hash)
{
    const uint32_t mask = bus->declared_room - 1;
    for (uint32_t i = hash & mask;; i = (i + 1) & mask) {
        dxi_declared_t *it = bus->declared[i];
        if (it == NULL ||
            (it->hash == hash && it->bytes == bytes && memcmp(it->name, topic, bytes) == 0)) {
            return &bus->declared[i];
        }
    }
}

void dxi_topic_declared(dx_bus_t *bus, const char *topic, size_t bytes, uint32_t hash,
                        bool *keyed_out, bool *fail_out)
{
    *keyed_out = false;
    *fail_out = bus->options.topic.full == DX_TOPIC_FULL_FAIL;
    /* ACQUIRE is not needed for the table, which the lock guards; a declaration that is under way
     * is seen or not, as its caller has not been told yet. */
    if (dx_load_relaxed(&bus->declared_count) == 0) {
        return;
    }
    (void)pthread_rwlock_rdlock(&bus->declared_lock);
    const dxi_declared_t *it = *declared_find(bus, topic, bytes, hash);
    if (it != NULL) {
        *keyed_out = it->keyed;
        *fail_out = it->fail;
    }
    (void)pthread_rwlock_unlock(&bus->declared_lock);
}

/* Doubles the table when it is half full. Under the lock. */
static int declared_grow(dx_bus_t *bus)
{
    const uint32_t count = (uint32_t)dx_load_relaxed(&bus->declared_count);
    if (bus->declared_room != 0 && count < bus->declared_room / 2) {
        return DX_OK;
    }
    const uint32_t room = bus->declared_room == 0 ? DECLARED_ROOM_FIRST : bus->declared_room * 2;
    dxi_declared_t **grown = dxi_alloc_zeroed(room, sizeof(dxi_declared_t *));
    if (grown == NULL) {
        return DX_ENOMEM;
    }
    dxi_declared_t **old = bus->declared;
    const uint32_t old_room = bus->declared_room;
    bus->declared = grown;
    bus->declared_room = room;
    for (uint32_t i = 0; i < old_room; i++) {
        if (old[i] != NULL) {
            *declared_find(bus, old[i]->name, old[i]->bytes, old[i]->hash) = old[i];
        }
    }
    dxi_free(old);
    return DX_OK;
}

/* Remembers what publishers must know of a topic. An entry stays for ever, but may say "nothing".
 * Returns DX_OK, DX_ENOMEM. */
static int declare(dx_bus_t *bus, const char *topic, bool keyed, bool fail)
{
    const size_t bytes = strlen(topic);
    const uint32_t hash = dx_frame_key_hash(topic, bytes);
    (void)pthread_rwlock_wrlock(&bus->declared_lock);
    int code = declared_grow(bus);
    if (code == DX_OK) {
        dxi_declared_t **place = declared_find(bus, topic, bytes, hash);
        dxi_declared_t *it = *place;
        if (it == NULL && (keyed || fail != (bus->options.topic.full == DX_TOPIC_FULL_FAIL))) {
            it = dxi_alloc_zeroed(1, sizeof *it);
            code = it == NULL ? DX_ENOMEM : DX_OK;
        }
        if (it != NULL) {
            if (*place == NULL) {
                it->hash = hash;
                it->bytes = (uint32_t)bytes;
                memcpy(it->name, topic, bytes);
                *place = it;
                (void)dx_fetch_add_relaxed(&bus->declared_count, 1);
            }
            it->keyed = keyed;
            it->fail = fail;
            /* RELEASE, pairs with the acquire in topic_known(): who sees the new number looks the
             * topic up again, and waits for the lock. */
            dx_store_release(&bus->declared_version, dx_load_relaxed(&bus->declared_version) + 1);
        }
    }
    (void)pthread_rwlock_unlock(&bus->declared_lock);
    return code;
}

void dxi_topics_destroy(dx_bus_t *bus)
{
    for (uint32_t i = 0; i < bus->declared_room; i++) {
        dxi_free(bus->declared[i]);
    }
    dxi_free(bus->declared);
    bus->declared = NULL;
    bus->declared_room = 0;
}

/* ------------------------------------------------------------------------------- the right lane */

dxi_lane_t *dxi_bus_lane_of(dx_bus_t *bus, const char *topic, size_t topic_bytes, const void *key,
                            size_t key_bytes)
{
    uint32_t hash = dx_frame_key_hash(topic, topic_bytes);
    if (key_bytes != 0 && dx_load_relaxed(&bus->declared_count) != 0) {
        bool keyed = false;
        bool fail = false;
        dxi_topic_declared(bus, topic, topic_bytes, hash, &keyed, &fail);
        if (keyed) {
            hash = dx_frame_key_hash(key, key_bytes);
        }
    }
    return bus->lanes[hash & (bus->options.shards - 1)];
}

uint16_t dx_bus_shard_of(dx_bus_t *bus, const char *topic, const void *key, size_t key_bytes)
{
    return dxi_bus_lane_of(bus, topic, strlen(topic), key, key_bytes)->index;
}

/* -------------------------------------------------------------------------------- through lanes */

/* A command on its way through the loops. */
typedef struct topic_call {
    dx_bus_t *bus;
    dxi_bus_loop_t *loop; /* whose turn it is */
    dxi_lane_t *only;     /* NULL: all lanes */
    const char *name;
    const dx_topic_options_t *options;
    dx_topic_stats_t *stats;
    int code;
    uint32_t done; /* lanes in which it worked */
    dx_error_t *error;
} topic_call_t;

/* Calls `run` in each loop that matters, while it goes well. */
static int through_loops(topic_call_t *call, void (*run)(void *context))
{
    call->code = DX_OK;
    for (uint32_t i = 0; i < call->bus->loop_count && call->code == DX_OK; i++) {
        call->loop = &call->bus->loops[i];
        if (call->only == NULL || call->only->owner == call->loop) {
            dxi_loop_call(call->loop->loop, run, call);
        }
    }
    return call->code;
}

/* Calls `run` in the lanes of the loop that matter, while it goes well. */
static void through_lanes(topic_call_t *call, int (*run)(topic_call_t *call, dxi_lane_t *lane))
{
    for (uint32_t i = 0; i < call->loop->lane_count && call->code == DX_OK; i++) {
        dxi_lane_t *lane = call->loop->lanes[i];
        if (call->only == NULL || call->only == lane) {
            lane->touched = true;
            call->code = run(call, lane);
        }
    }
    dxi_bus_loop_settle(call->loop);
}

/* Where a command for a topic goes. */
static topic_call_t call_for(dx_bus_t *bus, const char *name, bool keyed, dx_error_t *error)
{
    return (topic_call_t){.bus = bus,
                          .name = name,
                          .error = error,
                          .only = keyed ? NULL : dxi_bus_lane_of(bus, name, strlen(name), NULL, 0)};
}

static bool is_keyed(dx_bus_t *bus, const char *name)
{
    bool keyed = false;
    bool fail = false;
    const size_t bytes = strlen(name);
    dxi_topic_declared(bus, name, bytes, dx_frame_key_hash(name, bytes), &keyed, &fail);
    return keyed;
}

/* Commands are taken before the start and while the bus runs. */
static int command_begin(dx_bus_t *bus, dx_error_t *error)
{
    const int32_t state = dx_load32_relaxed(&bus->state);
    if (state != DXI_BUS_CREATED && state != DXI_BUS_RUNNING) {
        (void)dxi_bus_not_running(bus, error);
        return DX_ESTATE;
    }
    (void)pthread_mutex_lock(&bus->command_mutex);
    return DX_OK;
}

static void command_end(dx_bus_t *bus)
{
    (void)pthread_mutex_unlock(&bus->command_mutex);
}

static int name_check(const char *name, dx_error_t *error)
{
    if (name == NULL) {
        return dxi_fail(error, DX_EINVAL, "the topic is NULL, must be a name");
    }
    return dxi_topic_check(name, strlen(name), error);
}

/* ------------------------------------------------------------------------------- create, change */

static int create_in_lane(topic_call_t *call, dxi_lane_t *lane)
{
    const int code = dxi_shard_topic_create(lane->shard, call->name, call->options, call->error);
    call->done += code == DX_OK;
    return code;
}

static void create_in_loop(void *context)
{
    through_lanes(context, create_in_lane);
}

static int delete_in_lane(topic_call_t *call, dxi_lane_t *lane)
{
    const int code = dxi_shard_topic_delete(lane->shard, call->name);
    call->done += code == DX_OK;
    return code == DX_ENOTFOUND ? DX_OK : code;
}

static void delete_in_loop(void *context)
{
    through_lanes(context, delete_in_lane);
}

static int stats_in_lane(topic_call_t *call, dxi_lane_t *lane);

static void stats_in_loop(void *context)
{
    through_lanes(context, stats_in_lane);
}

/* The topic as it is, NULL when it is not there. */
static const dx_topic_stats_t *look_up(dx_bus_t *bus, const char *name, dx_topic_stats_t *space)
{
    topic_call_t call = call_for(bus, name, is_keyed(bus, name), NULL);
    memset(space, 0, sizeof *space);
    call.stats = space;
    (void)through_loops(&call, stats_in_loop);
    return call.done != 0 ? space : NULL;
}

static int create_under_mutex(dx_bus_t *bus, const char *name, const dx_topic_options_t *options,
                              dx_error_t *error)
{
    dx_topic_stats_t there;
    const bool keyed = options->shard_by == DX_SHARD_BY_KEY;
    const bool existed = look_up(bus, name, &there) != NULL;
    if (existed && (there.options.shard_by == DX_SHARD_BY_KEY) != keyed) {
        return dxi_fail(error, DX_EEXIST, "topic \"%s\" is there, and its events are spread by %s",
                        name, keyed ? "topic" : "key");
    }
    topic_call_t call = call_for(bus, name, keyed, error);
    call.options = options;
    int code = through_loops(&call, create_in_loop);
    if (code == DX_OK && keyed) {
        code = dxi_attachments_spread(bus, name, error);
    }
    if (code == DX_OK && declare(bus, name, keyed, options->full == DX_TOPIC_FULL_FAIL) != DX_OK) {
        code = dxi_fail(error, DX_ENOMEM, "no memory for a topic");
    }
    if (code != DX_OK && !existed && call.done != 0) {
        call.error = NULL;
        (void)through_loops(&call, delete_in_loop);
    }
    return code;
}

int dx_bus_topic_create(dx_bus_t *bus, const char *name, const dx_topic_options_t *options,
                        dx_error_t *error)
{
    const dx_topic_options_t defaults = {0};
    options = options != NULL ? options : &defaults;
    int code = name_check(name, error);
    if (code == DX_OK) {
        code = dxi_topic_options_check(options, error);
    }
    if (code == DX_OK) {
        code = command_begin(bus, error);
    }
    if (code != DX_OK) {
        return code;
    }
    code = create_under_mutex(bus, name, options, error);
    command_end(bus);
    return code;
}

static int change_in_lane(topic_call_t *call, dxi_lane_t *lane)
{
    const int code = dxi_shard_topic_change(lane->shard, call->name, call->options, call->error);
    call->done += code == DX_OK;
    return code == DX_ENOTFOUND && call->only == NULL ? DX_OK : code;
}

static void change_in_loop(void *context)
{
    through_lanes(context, change_in_lane);
}

int dx_bus_topic_change(dx_bus_t *bus, const char *name, const dx_topic_options_t *options,
                        dx_error_t *error)
{
    const dx_topic_options_t defaults = {0};
    options = options != NULL ? options : &defaults;
    int code = name_check(name, error);
    if (code == DX_OK) {
        code = dxi_topic_options_check(options, error);
    }
    if (code == DX_OK) {
        code = command_begin(bus, error);
    }
    if (code != DX_OK) {
        return code;
    }
    const bool keyed = is_keyed(bus, name);
    topic_call_t call = call_for(bus, name, keyed, error);
    dx_topic_options_t changed = *options;
    if (keyed && changed.shard_by == DX_SHARD_BY_TOPIC) {
        changed.shard_by = DX_SHARD_BY_KEY; /* 0 is "as it is" */
    }
    call.options = &changed;
    code = through_loops(&call, change_in_loop);
    if (code == DX_OK && call.done == 0) {
        code = dxi_fail(error, DX_ENOTFOUND, "topic \"%s\" is not there", name);
    }
    if (code == DX_OK && declare(bus, name, keyed, options->full == DX_TOPIC_FULL_FAIL) != DX_OK) {
        code = dxi_fail(error, DX_ENOMEM, "no memory for a topic");
    }
    command_end(bus);
    return code;
}

typedef struct defaults_call {
    dxi_bus_loop_t *loop;
    const dx_topic_options_t *topic;
    uint64_t bytes_max;
} defaults_call_t;

static void defaults_in_loop(void *context)
{
    const defaults_call_t *const call = context;
    for (uint32_t i = 0; i < call->loop->lane_count; i++) {
        call->loop->lanes[i]->touched = true;
        dxi_shard_retain_defaults(call->loop->lanes[i]->shard, call->topic, call->bytes_max);
    }
    dxi_bus_loop_settle(call->loop);
}

int dxi_bus_retain_defaults(dx_bus_t *bus, const dx_topic_options_t *topic,
                            uint64_t retain_bytes_max, dx_error_t *error)
{
    const int code = command_begin(bus, error);
    if (code != DX_OK) {
        return code;
    }
    for (uint32_t i = 0; i < bus->loop_count; i++) {
        defaults_call_t call = {
            .loop = &bus->loops[i], .topic = topic, .bytes_max = retain_bytes_max};
        dxi_loop_call(call.loop->loop, defaults_in_loop, &call);
    }
    command_end(bus);
    return DX_OK;
}

int dx_bus_topic_delete(dx_bus_t *bus, const char *name, dx_error_t *error)
{
    int code = name_check(name, error);
    if (code == DX_OK) {
        code = command_begin(bus, error);
    }
    if (code != DX_OK) {
        return code;
    }
    topic_call_t call = call_for(bus, name, is_keyed(bus, name), error);
    code = through_loops(&call, delete_in_loop);
    if (code == DX_OK && call.done == 0) {
        code = dxi_fail(error, DX_ENOTFOUND, "topic \"%s\" is not there", name);
    }
    if (code == DX_OK) {
        /* From now on it is like one that was never declared: as one table entry that says so. */
        (void)declare(bus, name, false, bus->options.topic.full == DX_TOPIC_FULL_FAIL);
    }
    command_end(bus);
    return code;
}

/* -------------------------------------------------------------------------------------- figures */

static uint64_t least_but_0(uint64_t a, uint64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

#define MORE(a, b) ((a) > (b) ? (a) : (b))

void dxi_topic_stats_add(dx_topic_stats_t *sum, const dx_topic_stats_t *one, uint64_t depth)
{
    if (sum->shards == 0) {
        memcpy(sum->name, one->name, sizeof sum->name);
        sum->options = one->options;
        sum->shard = one->shard;
    }
    sum->shards++;
    sum->declared = sum->declared || one->declared;
    sum->published += one->published;
    sum->published_bytes += one->published_bytes;
    sum->refused += one->refused;
    sum->duplicates += one->duplicates;
    sum->delivered += one->delivered;
    sum->redelivered += one->redelivered;
    sum->dropped += one->dropped;
    sum->dead += one->dead;
    sum->filtered += one->filtered;
    sum->unheard += one->unheard;
    sum->first_sequence = least_but_0(sum->first_sequence, one->first_sequence);
    sum->last_sequence = MORE(sum->last_sequence, one->last_sequence);
    sum->retained_events += one->retained_events;
    sum->retained_bytes += one->retained_bytes;
    sum->rate_1m += one->rate_1m;
    sum->rate_5m += one->rate_5m;
    sum->rate_15m += one->rate_15m;
    sum->subscriptions = MORE(sum->subscriptions, one->subscriptions);
    sum->depth += depth;
    sum->lag_max = MORE(sum->lag_max, one->lag_max);
    sum->latency_p50_ns = MORE(sum->latency_p50_ns, one->latency_p50_ns);
    sum->latency_p99_ns = MORE(sum->latency_p99_ns, one->latency_p99_ns);
    sum->latency_max_ns = MORE(sum->latency_max_ns, one->latency_max_ns);
}

static int stats_in_lane(topic_call_t *call, dxi_lane_t *lane)
{
    dx_topic_stats_t one;
    memset(&one, 0, sizeof one);
    if (dxi_shard_topic_stats(lane->shard, call->name, &one) == DX_OK) {
        dxi_topic_stats_add(call->stats, &one, (uint64_t)dxi_lane_depth(lane));
        call->done++;
    }
    return DX_OK;
}

int dx_bus_topic_stats(dx_bus_t *bus, const char *name, dx_topic_stats_t *stats_out,
                       dx_error_t *error)
{
    int code = name_check(name, error);
    if (code == DX_OK) {
        code = command_begin(bus, error);
    }
    if (code != DX_OK) {
        return code;
    }
    if (look_up(bus, name, stats_out) == NULL) {
        code = dxi_fail(error, DX_ENOTFOUND, "topic \"%s\" is not there", name);
    }
    command_end(bus);
    return code;
}
