/* topic_list.c - all topics and their numbers, for lists, metrics and whoever looks at a bus.
 *
 * DESIGN
 *
 *     caller:  for each lane ------+-> sort by name -> add up shards of one topic -> visit
 *     loop:      STEP_TOPICS at a time: added to the totals, copied where they match
 *
 * A loop is held up by one step at a time, some ten microseconds, and goes on with its events
 * between two. What is copied is sorted and visited by the caller.
 *
 * Threads: the caller's, which is no loop. No mutex: a lane belongs to its loop, in which each step
 * runs, and the lanes are there as long as the bus.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "bus/runtime.h"

#define STEP_TOPICS 32

typedef struct topic_list {
    dxi_lane_t *lane;
    dxi_shard_walk_t walk;
    dxi_shard_totals_t *totals;
    const char *pattern;
    bool plain; /* no pattern was given: without those that begin with '$' */
    bool wanted, begun, more;
    uint64_t depth; /* of the lane's ring */
    uint32_t step_count;
    dx_topic_stats_t step[STEP_TOPICS];
    /* The caller's. */
    dx_topic_stats_t *items;
    size_t count, room;
} topic_list_t;

static void step_visit(void *context, const dx_topic_stats_t *stats)
{
    topic_list_t *const list = context;
    if (!list->plain || stats->name[0] != '$') {
        list->step[list->step_count++] = *stats;
    }
}

static void step_in_loop(void *context)
{
    topic_list_t *const list = context;
    dxi_shard_t *const shard = list->lane->shard;
    if (!list->begun) {
        list->begun = true;
        dxi_shard_walk_begin(shard, &list->walk);
    }
    list->depth = (uint64_t)dxi_lane_depth(list->lane);
    list->more = dxi_shard_walk_step(shard, &list->walk, STEP_TOPICS, list->totals, list->pattern,
                                     list->wanted ? step_visit : NULL, list);
}

static void end_in_loop(void *context)
{
    dxi_shard_walk_end(&((topic_list_t *)context)->walk);
}

/* Keeps what a step has found. */
static int step_keep(topic_list_t *list)
{
    if (list->count + list->step_count > list->room) {
        const size_t room = list->room == 0 ? (size_t)4 * STEP_TOPICS : list->room * 2;
        dx_topic_stats_t *const grown = dxi_alloc_zeroed(room, sizeof *grown);
        if (grown == NULL) {
            return DX_ENOMEM;
        }
        if (list->count != 0) {
            memcpy(grown, list->items, list->count * sizeof *grown);
        }
        dxi_free(list->items);
        list->items = grown;
        list->room = room;
    }
    for (uint32_t i = 0; i < list->step_count; i++) {
        list->items[list->count] = list->step[i];
        list->items[list->count++].depth = list->depth;
    }
    list->step_count = 0;
    return DX_OK;
}

static int lane_list(topic_list_t *list, dxi_lane_t *lane)
{
    list->lane = lane;
    list->begun = false;
    list->more = true;
    while (list->more) {
        dxi_loop_call(lane->owner->loop, step_in_loop, list);
        if (step_keep(list) != DX_OK) {
            dxi_loop_call(lane->owner->loop, end_in_loop, list);
            return DX_ENOMEM;
        }
    }
    return DX_OK;
}

static int by_name(const void *a, const void *b)
{
    const dx_topic_stats_t *const one = *(const dx_topic_stats_t *const *)a;
    const dx_topic_stats_t *const other = *(const dx_topic_stats_t *const *)b;
    const int order = strcmp(one->name, other->name);
    return order != 0 ? order : (int)one->shard - (int)other->shard;
}

/* Calls `visit` for each topic; what shards of the same topic say stands side by side. */
static int visit_sums(const topic_list_t *list, dx_topic_visitor_t visit, void *context)
{
    int topics = 0;
    if (list->count == 0) {
        return 0;
    }
    const dx_topic_stats_t **const order =
        dxi_alloc_zeroed(list->count, sizeof(dx_topic_stats_t *));
    if (order == NULL) {
        return DX_ENOMEM;
    }
    for (size_t i = 0; i < list->count; i++) {
        order[i] = &list->items[i];
    }
    qsort(order, list->count, sizeof(dx_topic_stats_t *), by_name);
    for (size_t i = 0; i < list->count;) {
        dx_topic_stats_t sum;
        memset(&sum, 0, sizeof sum);
        const char *const name = order[i]->name;
        for (; i < list->count && strcmp(order[i]->name, name) == 0; i++) {
            dxi_topic_stats_add(&sum, order[i], order[i]->depth);
        }
        visit(context, &sum);
        topics++;
    }
    dxi_free(order);
    return topics;
}

static int topics_collect(dx_bus_t *bus, topic_list_t *list, dx_topic_visitor_t visit,
                          void *context, dx_error_t *error)
{
    int code = DX_OK;
    list->wanted = visit != NULL;
    for (uint32_t i = 0; i < bus->options.shards && code == DX_OK; i++) {
        code = lane_list(list, bus->lanes[i]);
    }
    if (code == DX_OK && visit != NULL) {
        code = visit_sums(list, visit, context);
    }
    dxi_free(list->items);
    return code < 0 ? dxi_fail(error, code, "no memory for the list of topics") : code;
}

static int collect(dx_bus_t *bus, dxi_shard_totals_t *totals, const char *pattern, bool plain,
                   dx_topic_visitor_t visit, void *context, dx_error_t *error)
{
    if (dx_load32_relaxed(&bus->state) == DXI_BUS_STOPPED) {
        (void)dxi_bus_not_running(bus, error);
        return DX_ESTATE;
    }
    int code = pattern == NULL ? DX_OK : dxi_pattern_check(pattern, strlen(pattern), error);
    if (code != DX_OK) {
        return code;
    }
    memset(totals, 0, sizeof *totals);
    topic_list_t *const list = dxi_alloc_zeroed(1, sizeof *list);
    if (list == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for the list of topics");
    }
    list->totals = totals;
    list->pattern = pattern;
    list->plain = plain;
    code = topics_collect(bus, list, visit, context, error);
    dxi_free(list);
    return code;
}

int dxi_bus_totals(dx_bus_t *bus, dxi_shard_totals_t *totals_out, const char *pattern,
                   dx_topic_visitor_t visit, void *context, dx_error_t *error)
{
    return collect(bus, totals_out, pattern, false, visit, context, error);
}

int dx_bus_topic_list(dx_bus_t *bus, const char *pattern, dx_topic_visitor_t visit, void *context,
                      dx_error_t *error)
{
    dxi_shard_totals_t totals;
    return collect(bus, &totals, pattern, pattern == NULL, visit, context, error);
}

uint32_t dxi_bus_subscription_count(dx_bus_t *bus)
{
    (void)pthread_mutex_lock(&bus->command_mutex);
    const uint32_t count = bus->attachment_count;
    (void)pthread_mutex_unlock(&bus->command_mutex);
    return count;
}

uint64_t dxi_bus_retained_bytes(const dx_bus_t *bus)
{
    return (uint64_t)dx_load_relaxed(&bus->retained_bytes); /* a number to look at: no order */
}
