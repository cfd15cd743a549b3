/* pending.c - copies of events that a team has not done with: their memory, table and lists.
 *
 * A copy lies in a block of a power of two bytes. Blocks that are free are kept, up to a limit, so
 * a team in steady state allocates nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "base/alloc.h"
#include "bus/team.h"

#define BLOCK_BITS_MIN 8 /* 256 bytes */
#define TABLE_MIN 16
#define FREE_BYTES_MAX UINT64_C(8388608)

/* --------------------------------------------------------------------------------------- blocks */

static uint32_t size_class(uint64_t bytes)
{
    const uint32_t bits = bytes > 1 ? 64 - (uint32_t)__builtin_clzll(bytes - 1) : 0;
    return bits > BLOCK_BITS_MIN ? bits - BLOCK_BITS_MIN : 0;
}

static uint64_t class_bytes(uint32_t class_number)
{
    return UINT64_C(1) << (class_number + BLOCK_BITS_MIN);
}

static dxi_pending_t *block_take(dxi_shard_t *shard, uint64_t bytes)
{
    const uint32_t number = size_class(bytes);
    assert(number < DXI_BLOCK_CLASSES);
    dxi_list_t **const top = &shard->free_blocks[number];
    dxi_pending_t *block = NULL;
    if (*top != NULL) {
        block = DXI_LIST_OBJECT(*top, dxi_pending_t, in_order);
        *top = (*top)->next;
        shard->free_block_bytes -= class_bytes(number);
        *block = (dxi_pending_t){0};
    } else {
        block = dxi_alloc_zeroed(1, class_bytes(number));
    }
    if (block != NULL) {
        block->size_class = (uint8_t)number;
    }
    return block;
}

static void block_give(dxi_shard_t *shard, dxi_pending_t *block)
{
    const uint64_t bytes = class_bytes(block->size_class);
    if (shard->free_block_bytes + bytes > FREE_BYTES_MAX) {
        dxi_free(block);
        return;
    }
    dxi_list_t **const top = &shard->free_blocks[block->size_class];
    block->in_order.next = *top;
    *top = &block->in_order;
    shard->free_block_bytes += bytes;
}

void dxi_blocks_close(dxi_shard_t *shard)
{
    for (uint32_t i = 0; i < DXI_BLOCK_CLASSES; i++) {
        while (shard->free_blocks[i] != NULL) {
            dxi_list_t *const place = shard->free_blocks[i];
            shard->free_blocks[i] = place->next;
            dxi_free(DXI_LIST_OBJECT(place, dxi_pending_t, in_order));
        }
    }
}

/* ---------------------------------------------------------------------------------------- table */

static uint64_t pending_hash(const dxi_topic_t *topic, uint64_t sequence)
{
    return (topic->hash ^ sequence) * UINT64_C(0x9E3779B97F4A7C15) >> 20;
}

static uint64_t home_of(const dxi_pending_t *pending, uint64_t mask)
{
    return pending_hash(pending->link->topic, pending->frame->sequence) & mask;
}

static void table_put(dxi_pending_t **table, uint64_t mask, dxi_pending_t *pending)
{
    uint64_t i = home_of(pending, mask);
    while (table[i] != NULL) {
        i = (i + 1) & mask;
    }
    table[i] = pending;
}

static void keys_put(dxi_team_t *team, dxi_pending_t *given)
{
    if (given->bucket != DXI_BUCKET_NONE) {
        dxi_list_append(dxi_team_key(team, given->key_hash), &given->in_key);
    }
}

static bool table_reserve(dxi_team_t *team)
{
    const uint64_t places = team->table != NULL ? team->mask + 1 : 0;
    if ((team->in_table + 1) * 2 <= places) {
        return true;
    }
    const uint64_t more = places != 0 ? places * 2 : TABLE_MIN;
    dxi_pending_t **const larger = dxi_alloc_zeroed(more, sizeof(dxi_pending_t *));
    dxi_list_t *const keys = dxi_alloc_zeroed(more, sizeof(dxi_list_t));
    if (larger == NULL || keys == NULL) {
        dxi_free(larger);
        dxi_free(keys);
        return false;
    }
    for (uint64_t i = 0; i < places; i++) {
        if (team->table[i] != NULL) {
            table_put(larger, more - 1, team->table[i]);
        }
    }
    dxi_free(team->table);
    dxi_free(team->keys);
    team->table = larger;
    team->keys = keys;
    team->mask = more - 1;
    for (uint64_t i = 0; i < more; i++) {
        dxi_list_init(&keys[i]);
    }
    for (dxi_list_t *at = team->given.next; at != &team->given; at = at->next) {
        dxi_pending_t *const given = DXI_LIST_OBJECT(at, dxi_pending_t, in_time);
        given->in_key = (dxi_list_t){0};
        keys_put(team, given);
    }
    return true;
}

dxi_pending_t *dxi_pending_find(const dxi_team_t *team, const dxi_topic_t *topic, uint64_t sequence)
{
    if (team->table == NULL) {
        return NULL;
    }
    for (uint64_t i = pending_hash(topic, sequence) & team->mask; team->table[i] != NULL;
         i = (i + 1) & team->mask) {
        dxi_pending_t *const pending = team->table[i];
        if (pending->link->topic == topic && pending->frame->sequence == sequence) {
            return pending;
        }
    }
    return NULL;
}

static void untable(dxi_team_t *team, const dxi_pending_t *pending)
{
    uint64_t hole = home_of(pending, team->mask);
    while (team->table[hole] != pending) {
        hole = (hole + 1) & team->mask;
    }
    for (uint64_t i = (hole + 1) & team->mask; team->table[i] != NULL; i = (i + 1) & team->mask) {
        const uint64_t home = home_of(team->table[i], team->mask);
        if (((i - home) & team->mask) >= ((i - hole) & team->mask)) {
            team->table[hole] = team->table[i];
            hole = i;
        }
    }
    team->table[hole] = NULL;
    team->in_table--;
}

/* ----------------------------------------------------------------------------------- take, drop */

dxi_pending_t *dxi_pending_take(dxi_shard_t *shard, dxi_team_t *team, dxi_link_t *link,
                                const dxi_incoming_t *incoming)
{
    if (!table_reserve(team)) {
        return NULL;
    }
    dxi_pending_t *const pending = block_take(shard, sizeof *pending + incoming->bytes);
    if (pending == NULL) {
        return NULL;
    }
    memcpy(pending->frame, incoming->frame, incoming->bytes);
    pending->link = link;
    pending->bytes = incoming->bytes;
    pending->arrival = ++team->arrivals;
    pending->key_hash = incoming->frame->key_hash;
    pending->bucket = DXI_BUCKET_NONE;
    table_put(team->table, team->mask, pending);
    team->in_table++;
    team->count++;
    team->bytes += pending->bytes;
    link->waiting++;
    return pending;
}

static void bits_update(dxi_team_t *team, const dxi_pending_t *pending)
{
    if (pending->bucket != DXI_BUCKET_NONE) {
        const uint64_t bit = UINT64_C(1) << (pending->bucket % 64);
        uint64_t *const word = &team->waiting_bits[pending->bucket / 64];
        const bool waiting = !dxi_list_empty(&team->buckets[pending->bucket].waiting);
        *word = waiting ? *word | bit : *word & ~bit;
    }
}

/* The one that was put last between others of the list in which it waits; NULL: none. */
static dxi_list_t **put_of(dxi_team_t *team, const dxi_pending_t *pending)
{
    return pending->bucket != DXI_BUCKET_NONE ? &team->buckets[pending->bucket].put
                                              : &team->loose_put;
}

/* Out of every list. */
static void unlist(dxi_team_t *team, dxi_pending_t *pending)
{
    dxi_list_t **const put = put_of(team, pending);
    if (*put == &pending->in_order) {
        *put = pending->in_order.previous; /* or the list's head */
    }
    dxi_list_remove(&pending->in_order);
    dxi_list_remove(&pending->in_time);
    dxi_list_remove(&pending->in_key);
    if (pending->state == DXI_PENDING_GIVEN) {
        pending->member->given--;
        pending->member = NULL;
    }
    bits_update(team, pending);
}

void dxi_pending_drop(dxi_shard_t *shard, dxi_team_t *team, dxi_pending_t *pending)
{
    if (pending->state != DXI_PENDING_DEAD) {
        untable(team, pending);
        pending->link->waiting -= pending->attempt == 0;
    }
    unlist(team, pending);
    team->count--;
    team->bytes -= pending->bytes;
    block_give(shard, pending);
}

/* --------------------------------------------------------------------------------------- states */

static uint64_t arrival_of(const dxi_list_t *in_order)
{
    return DXI_LIST_OBJECT(in_order, dxi_pending_t, in_order)->arrival;
}

/* Into a list by arrival: at its end, or near its start, or near where one was put before this one,
 * when many come back one after the other. It is looked for from both places at a time. */
static void by_arrival(dxi_team_t *team, dxi_list_t *head, dxi_pending_t *pending)
{
    dxi_list_t **const put = put_of(team, pending);
    dxi_list_t *before = head->previous;
    if (before == head || arrival_of(before) < pending->arrival) {
        dxi_list_insert(before, &pending->in_order);
        return;
    }
    dxi_list_t *near = *put != NULL ? *put : head;
    before = head;
    while (arrival_of(before->next) < pending->arrival) { /* the last one comes after it */
        before = before->next;
        team->steps++;
        if (near != head && arrival_of(near) > pending->arrival) {
            near = near->previous;
        } else if (arrival_of(near->next) < pending->arrival) {
            near = near->next;
        } else {
            before = near;
            break;
        }
    }
    dxi_list_insert(before, &pending->in_order);
    *put = &pending->in_order;
}

void dxi_pending_wait(dxi_team_t *team, dxi_pending_t *pending)
{
    unlist(team, pending);
    pending->state = DXI_PENDING_WAITING;
    by_arrival(team,
               pending->bucket != DXI_BUCKET_NONE ? &team->buckets[pending->bucket].waiting
                                                  : &team->loose,
               pending);
    bits_update(team, pending);
}

void dxi_pending_give(dxi_shard_t *shard, dxi_team_t *team, dxi_pending_t *pending,
                      dxi_subscriber_t *member, int64_t deadline_ns)
{
    unlist(team, pending);
    pending->state = DXI_PENDING_GIVEN;
    pending->member = member;
    pending->due_ns = deadline_ns;
    member->given++;
    if (pending->bucket != DXI_BUCKET_NONE) {
        dxi_list_append(&team->buckets[pending->bucket].given, &pending->in_order);
        bits_update(team, pending);
    }
    dxi_list_append(&team->given, &pending->in_time);
    keys_put(team, pending);
    dxi_team_due(shard, team, deadline_ns);
}

void dxi_pending_delay(dxi_shard_t *shard, dxi_team_t *team, dxi_pending_t *pending, int64_t due_ns)
{
    unlist(team, pending);
    pending->state = DXI_PENDING_DUE;
    pending->due_ns = due_ns;
    if (pending->bucket != DXI_BUCKET_NONE) {
        by_arrival(team, &team->buckets[pending->bucket].waiting, pending);
        bits_update(team, pending);
    }
    const uint32_t level =
        pending->failures < DXI_TEAM_DUE_LEVELS ? pending->failures : DXI_TEAM_DUE_LEVELS;
    dxi_list_append(&team->due[level - 1], &pending->in_time);
    dxi_team_due(shard, team, due_ns);
}

void dxi_pending_bury(dxi_team_t *team, dxi_pending_t *pending)
{
    untable(team, pending);
    unlist(team, pending);
    pending->state = DXI_PENDING_DEAD;
    pending->link = NULL; /* its topic may go before the letter does */
    pending->bucket = DXI_BUCKET_NONE;
    dxi_list_append(&team->dead, &pending->in_order);
}
