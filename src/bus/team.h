/* bus/team.h - acknowledged and shared delivery: what its files share.
 *
 * A team is the part of a flow that gives each event to one of its members and, where events are
 * acknowledged, keeps a copy until it is. It is what a group is made of; a subscriber that
 * acknowledges and is in no group is a team of one.
 *
 *     taken --> WAITING --(a member has room)--> GIVEN --(acknowledged)--> gone
 *                  ^ ^                           |   |
 *                  | +--(member left; go back)---+   | refused, or not answered in time
 *                  |                                 v
 *                  +-----(back-off is over)-------- DUE
 *                                                    +-(last attempt)-> DEAD --(letter out)--> gone
 *
 * INVARIANTS
 *
 *   G1  count = WAITING + DUE + GIVEN + DEAD <= pending_events_max; all but DEAD are in the table
 *   G2  an event with a key is in its bucket: in `waiting`, by arrival, while WAITING or DUE, else
 *       in `given`; one without is in `loose` while WAITING, and may go to any member
 *   G3  an event with a key is given only when no earlier one of its key is WAITING or DUE; when
 *       one fails, those of its key that were given after it are taken back (go-back-N). So the
 *       last deliveries of a key's events stand in their order
 *   G4  what is GIVEN of a bucket is GIVEN to its owner; the owner changes only when nothing is
 *   G5  `given` is in the order of deadlines, and so is each list of `due`
 *   G6  link->waiting counts what was given to nobody yet
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BUS_TEAM_H
#define DXI_BUS_TEAM_H

#include "bus/shard_internal.h"

#define DXI_TEAM_BUCKETS 256
#define DXI_TEAM_BUCKETS_ALONE 16 /* of a team of one: nobody to share with, only order to keep */
#define DXI_TEAM_DUE_LEVELS 24    /* back-offs that differ; later ones are as the last */
#define DXI_PENDING_BYTES_MAX UINT64_C(67108864) /* of the copies of one team; one always fits */
#define DXI_TEAM_LINGER_NS INT64_C(30000000000)  /* a group without members waits for one */
#define DXI_BUCKET_NONE UINT16_MAX

typedef enum dxi_pending_state {
    DXI_PENDING_WAITING,
    DXI_PENDING_DUE,
    DXI_PENDING_GIVEN,
    DXI_PENDING_DEAD,
} dxi_pending_state_t;

typedef struct dxi_pending {
    dxi_list_t in_order; /* of its bucket, of `loose`, of `dead` */
    dxi_list_t in_time;  /* of `given` or `due` */
    dxi_list_t in_key;   /* of team->keys, while GIVEN with a key */
    dxi_link_t *link;
    dxi_subscriber_t *member; /* whom it is GIVEN to */
    uint64_t arrival;         /* numbers the events of a team */
    int64_t due_ns;           /* GIVEN: answered until then; DUE: given again from then on */
    uint32_t key_hash;
    uint32_t bytes;    /* of the frame */
    uint32_t attempt;  /* deliveries so far */
    uint32_t failures; /* of them refused, or not answered */
    int cause;         /* of the last failure */
    uint16_t bucket;   /* or DXI_BUCKET_NONE: without a key */
    uint8_t state;
    uint8_t size_class;
    dx_frame_header_t frame[]; /* the copy */
} dxi_pending_t;

typedef struct dxi_bucket {
    dxi_list_t waiting;
    dxi_list_t *put; /* the one put last into `waiting` and not at its end; NULL: none */
    dxi_list_t given;
    dxi_subscriber_t *owner;
    dxi_subscriber_t *target; /* who is to own it */
} dxi_bucket_t;

struct dxi_team {
    dxi_list_t in_shard;
    dxi_flow_t *flow;
    dxi_pending_t **table; /* by topic and sequence, open addressing, at most half full */
    dxi_list_t *keys; /* as many: what is GIVEN, by its key, in the order in which it was given */
    uint64_t mask;
    uint64_t in_table;
    uint64_t count;
    uint64_t bytes;
    uint64_t arrivals;
    uint64_t given_last;   /* the last arrival of those that were given */
    dxi_bucket_t *buckets; /* NULL until an event has a key */
    uint32_t bucket_count;
    uint32_t next_member;                         /* whose turn it is */
    uint64_t waiting_bits[DXI_TEAM_BUCKETS / 64]; /* buckets with something in `waiting` */
    dxi_list_t loose;
    dxi_list_t *loose_put; /* as dxi_bucket_t has it */
    dxi_list_t given;
    dxi_list_t due[DXI_TEAM_DUE_LEVELS];
    dxi_list_t dead;
    int64_t due_ns;    /* nothing is due before */
    uint64_t steps;    /* made so far in lists that can be long, to find a place: for tests */
    int64_t linger_ns; /* without members: its end; else INT64_MAX */
};

/* When the oldest event was published that waits for a member with room; 0: none does. */
int64_t dxi_team_waiting_unix_ns(const dxi_team_t *team);

/* --------------------------------------------------------------------------------- pending.c */

/* A copy of the event, WAITING, in the table, in no list. NULL: no memory. */
dxi_pending_t *dxi_pending_take(dxi_shard_t *shard, dxi_team_t *team, dxi_link_t *link,
                                const dxi_incoming_t *incoming);
/* Forgets it, whatever its state. */
void dxi_pending_drop(dxi_shard_t *shard, dxi_team_t *team, dxi_pending_t *pending);
dxi_pending_t *dxi_pending_find(const dxi_team_t *team, const dxi_topic_t *topic,
                                uint64_t sequence);

/* Between the states. They keep the lists of bucket, time and loose, and nothing else. */
void dxi_pending_wait(dxi_team_t *team, dxi_pending_t *pending);
void dxi_pending_give(dxi_shard_t *shard, dxi_team_t *team, dxi_pending_t *pending,
                      dxi_subscriber_t *member, int64_t deadline_ns);
void dxi_pending_delay(dxi_shard_t *shard, dxi_team_t *team, dxi_pending_t *pending,
                       int64_t due_ns);

void dxi_pending_bury(dxi_team_t *team, dxi_pending_t *pending);

/* Where what is GIVEN of a key stands, with others. */
DX_INLINE dxi_list_t *dxi_team_key(const dxi_team_t *team, uint32_t key_hash)
{
    return &team->keys[key_hash * UINT64_C(0x9E3779B97F4A7C15) >> 32 & team->mask];
}

/* Something is due then. */
DX_INLINE void dxi_team_due(dxi_shard_t *shard, dxi_team_t *team, int64_t due_ns)
{
    team->due_ns = due_ns < team->due_ns ? due_ns : team->due_ns;
    shard->due_ns = due_ns < shard->due_ns ? due_ns : shard->due_ns;
}

void dxi_blocks_close(dxi_shard_t *shard);

/* ------------------------------------------------------------------------------------ dead.c */

/* The event is given up. */
void dxi_pending_die(dxi_shard_t *shard, dxi_team_t *team, dxi_pending_t *pending,
                     int64_t clock_ns);
/* Publishes the letters that could not be before. */
void dxi_dead_retry(dxi_shard_t *shard, dxi_team_t *team, int64_t clock_ns);

#endif
