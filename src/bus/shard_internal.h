/* bus/shard_internal.h - what the files of the shard share: its objects.
 *
 *     topic  --- link ---  flow  ---  subscriber (one, or the members of a group)
 *
 * A topic has a name, the last sequence, counters, and what it retains. A flow is one reader of
 * topics: a subscriber, or a group, which shares what it reads among its members. A link is a
 * flow's place in one topic: it is there for each topic that the flow's pattern matches, made when
 * one of the two is made, so an event looks nothing up but its topic.
 *
 * INVARIANTS (dxi_shard_check() asserts them; the other files number their own)
 *
 *   S1  sequences of a topic are dense from 1; `last` is the last one given
 *   S2  a link is LIVE: it was offered every event from `start` to `last`; or LAGGING: every event
 *       from `start` to `next` - 1, and next <= last; or AHEAD: it wants none before `next`, and
 *       next > last
 *   S3  a flow takes the events of a topic in the order of their sequences, each once
 *   S4  a gap covers exactly the sequences between what was offered before and after it
 *   S5  delivered + dropped + filtered + lag = published, per link, from `start` on
 *   S6  while a topic has a link that is BLOCKING none of its events gets a sequence
 *   S7  a publication that was taken is answered when it comes again, and nothing else
 *   S8  inboxes ($inbox.) retain nothing, and exist only while somebody is linked to them
 *   S9  an event of a topic that exists allocates nothing, but for what grows up to a limit: what
 *       is retained, windows of receipts, and copies that are pending in a team
 *
 * Threads: the shard's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BUS_SHARD_INTERNAL_H
#define DXI_BUS_SHARD_INTERNAL_H

#include "bus/dedup.h"
#include "bus/filter.h"
#include "bus/list.h"
#include "bus/rates.h"
#include "bus/retain.h"
#include "bus/shard.h"
#include "bus/trie.h"
#include "wire/pack.h"

typedef struct dxi_topic dxi_topic_t;
typedef struct dxi_link dxi_link_t;
typedef struct dxi_flow dxi_flow_t;
typedef struct dxi_team dxi_team_t; /* bus/team.h */

#define DXI_FEED_EVENTS_MAX                                                                        \
    4096 /* of one flow at a time; the rest is due at once in the next tick */

/* ------------------------------------------------------------------------------------- an event */

/* An event on its way: from the ring, or out of what a topic retains. Or a pack: several events of
 * the topic, with sequences in a row, which stay together where everybody on the way can take them
 * so (wire/pack.h). */
typedef struct dxi_incoming {
    dx_frame_header_t *frame;
    dxi_topic_t *topic;
    uint32_t bytes;
    uint32_t payload_bytes; /* of all its events */
    uint64_t sequence;      /* of its first event */
    uint32_t events;        /* 1, or as many as its pack has */
    bool packed;
    uint64_t origin;
    const char *name; /* of the topic, in the frame; of what comes from the ring only */
    uint32_t name_bytes;
    dxi_producer_t *producer; /* NULL: its publisher does not number what it publishes */
    bool viewed;              /* `view` is filled in */
    dx_frame_view_t view;
} dxi_incoming_t;

/* The view of a frame, made when the first one asks. */
const dx_frame_view_t *dxi_incoming_view(dxi_incoming_t *incoming);

/* --------------------------------------------------------------------------------------- topics */

struct dxi_topic {
    /* Seldom looked at. */
    dx_topic_options_t options;
    dxi_rates_t rates;
    uint64_t refused, duplicates, redelivered, dropped, dead, filtered, unheard;
    bool declared;
    /* For every event, the name included: next to each other. */
    bool inbox;
    bool ages; /* events are let go by age */
    uint16_t name_bytes;
    uint32_t event_bytes_max; /* of a payload */
    uint64_t hash;
    uint64_t last;
    dxi_link_t **links;
    uint32_t link_count;
    uint32_t link_room;
    uint32_t blocking; /* links that are BLOCKING */
    dxi_retain_t retain;
    dxi_retain_limits_t limits;
    uint64_t published_bytes, delivered;
    void *direct;         /* of the bus around the shard; NULL: not a direct topic */
    dxi_list_t in_active; /* shard->active: it has a rate, or will */
    dxi_list_t in_all;    /* shard->all_topics, in the order in which they were made */
    uint64_t made;        /* which one it was */
    uint64_t born_ns;     /* none of its events is older; each of an earlier topic of its name is */
    uint64_t unheard_seen;  /* `unheard` when its latencies were last added up */
    dxi_latency_t *latency; /* NULL: nothing was measured */
    char name[];
};

/* The topics of a shard by name: open addressing, at most half full. */
typedef struct dxi_topics {
    struct dxi_topic_place {
        uint64_t hash;
        dxi_topic_t *topic;
    } * table;
    uint64_t mask;
    uint64_t count;
    dxi_topic_t *recent; /* the last one found */
} dxi_topics_t;

DX_NODISCARD int dxi_topics_init(dxi_topics_t *topics);
dxi_topic_t *dxi_topic_find(dxi_topics_t *topics, const char *name, size_t bytes);

/* Makes a topic and its links. `options` NULL: not declared.
 * Returns DX_OK, DX_EINVAL, DX_ELIMIT, DX_ENOMEM. */
DX_NODISCARD int dxi_topic_make(dxi_shard_t *shard, const char *name, size_t bytes,
                                const dx_topic_options_t *options, dxi_topic_t **topic_out,
                                dx_error_t *error);
void dxi_topic_remove(dxi_shard_t *shard, dxi_topic_t *topic);
void dxi_topics_close(dxi_shard_t *shard);

/* From now on the topic has a rate. */
void dxi_topic_activate(dxi_shard_t *shard, dxi_topic_t *topic);
/* Brings rates up to date. */
void dxi_topics_rate(dxi_shard_t *shard, int64_t clock_ns);

/* A topic's numbers as others see them. */
void dxi_topic_stats_fill(const dxi_shard_t *shard, const dxi_topic_t *topic,
                          dx_topic_stats_t *stats);

/* An interval of a topic's latencies is over: they are added to shard->durations
 * (shard_totals.c). */
void dxi_totals_interval(dxi_shard_t *shard, dxi_topic_t *topic);
/* A topic goes: what it has counted stays. */
void dxi_totals_gone(dxi_shard_t *shard, dxi_topic_t *topic);

/* Lets go what is too old. */
void dxi_topic_expire(dxi_topic_t *topic, int64_t unix_ns);
void dxi_topics_expire(dxi_shard_t *shard, int64_t unix_ns);

DX_INLINE bool dxi_topic_keeps(const dxi_topic_t *topic, uint64_t sequence)
{
    return dxi_retain_has(&topic->retain, sequence);
}

/* ---------------------------------------------------------------------------------------- links */

enum {
    DXI_LINK_LAGGING = 1,
    DXI_LINK_AHEAD = 2,
    DXI_LINK_FILTERED = 4, /* the flow has a filter or predicate */
    DXI_LINK_GROUP = 8,
    DXI_LINK_BLOCKING = 16, /* LAGGING, and its topic waits for it */
    DXI_LINK_SHUT = 64,     /* its flow has ended, or its only member is gone */
    DXI_LINK_STARTING = 32, /* has been offered nothing yet: a first gap is not its fault */
};

struct dxi_link {
    uint32_t flags;       /* 0: LIVE, and nothing to ask: the short way */
    uint32_t topic_index; /* in topic->links */
    void *user;           /* of the only member, where that is all there is to know */
    dxi_flow_t *flow;
    dxi_topic_t *topic;
    uint64_t start;
    uint64_t next; /* while not LIVE */
    uint64_t dropped;
    uint64_t filtered;
    uint64_t waiting;   /* taken into the group and given to no member yet */
    dxi_list_t in_flow; /* flow->links; when free, the next free one */
    dxi_list_t in_lagging;
};

/* The next sequence it is to be offered. */
DX_INLINE uint64_t dxi_link_next(const dxi_link_t *link)
{
    const bool live = (link->flags & (DXI_LINK_LAGGING | DXI_LINK_AHEAD)) == 0;
    return live ? link->topic->last + 1 : link->next;
}

/* Events it has not been offered. */
DX_INLINE uint64_t dxi_link_lag(const dxi_link_t *link)
{
    return (link->flags & DXI_LINK_LAGGING) != 0 ? link->topic->last + 1 - link->next : 0;
}

/* Of those offered, what was delivered (a group: at least once). */
DX_INLINE uint64_t dxi_link_delivered(const dxi_link_t *link)
{
    if ((link->flags & DXI_LINK_AHEAD) != 0) {
        return 0;
    }
    return dxi_link_next(link) - link->start - link->dropped - link->filtered - link->waiting;
}

/* Links a flow and a topic. `created`: the topic is new, its first event is for everybody.
 * Returns DX_OK, DX_ENOMEM. */
DX_NODISCARD int dxi_link_make(dxi_shard_t *shard, dxi_flow_t *flow, dxi_topic_t *topic,
                               bool created);
/* Takes it apart; its numbers go to the flow's. The last link of an inbox takes the inbox along. */
void dxi_link_remove(dxi_shard_t *shard, dxi_link_t *link);
/* The events of its topic are gone: what it lags behind becomes a gap. */
void dxi_link_forget(dxi_shard_t *shard, dxi_link_t *link);

void dxi_link_to_lagging(dxi_link_t *link, uint64_t next);
void dxi_link_to_live(dxi_link_t *link);
void dxi_links_close(dxi_shard_t *shard);

/* A group has a member again: what it lost while it had none is nobody's fault, and it is waited
 * for again. */
void dxi_flow_rejoined(dxi_flow_t *flow);

/* Nothing waits for the flow any more. */
void dxi_flow_unblock(dxi_flow_t *flow);

/* Tells a flow of a gap. Returns DX_OK, DX_EAGAIN, DX_ECLOSED. */
int dxi_flow_gap(dxi_shard_t *shard, dxi_flow_t *flow, const dx_gap_t *gap);

/* ---------------------------------------------------------------------------------------- flows */

/* What the shard keeps of the options of a subscription. Texts are the flow's own. */
typedef struct dxi_flow_options {
    const char *pattern;
    const char *group;
    const char *dead_letter;
    const char *filter_text;
    dx_start_from_t from;
    uint64_t from_value;
    uint64_t known_ns; /* of the event in front of that sequence; 0: it is not known */
    dx_ack_mode_t ack; /* never DEFAULT */
    dx_slow_policy_t slow;
    int64_t slow_block_ns;
    dx_predicate_fn predicate;
    void *predicate_context;
    uint32_t pending_events_max;
    uint32_t attempts_max;
    int64_t ack_timeout_ns;
    int64_t backoff_ns;
    int64_t backoff_max_ns;
} dxi_flow_options_t;

struct dxi_subscriber {
    dxi_flow_t *flow;
    void *user;
    bool room;   /* deliver() has not said otherwise since it was ready */
    bool closed; /* deliver() said it is gone, or it was ended */
    bool remote;
    bool late; /* an event given to it was not answered in time, and it was not heard of since */
    uint32_t given; /* events that it has not acknowledged */
    uint64_t member_id;
    uint64_t delivered, redelivered, acknowledged, refused, gaps;
    char name[64];
};

struct dxi_flow {
    dxi_shard_t *shard;
    dxi_list_t in_shard;
    dxi_list_t in_feeding; /* shard->feeding: more is to be fed, without being asked */
    dxi_trie_entry_t entry;
    dxi_list_t links;
    dxi_list_t lagging; /* links that are LAGGING */
    dxi_flow_options_t options;
    dxi_filter_t *filter; /* NULL: it wants all */
    dxi_team_t *team;     /* NULL: plain, with one member and no acknowledgements */
    dxi_subscriber_t **members;
    uint32_t member_count;
    uint32_t member_room;
    uint32_t pattern_bytes;
    uint32_t link_flags;    /* that its links are born with */
    bool ended;             /* by the shard, or gone: it is given nothing any more */
    bool block_over;        /* it was waited for long enough: DROP, until it has caught up */
    int64_t block_since_ns; /* INT64_MAX: nobody waits for it */
    /* Of links that are gone; gaps are all. */
    uint64_t delivered, dropped, filtered, gaps, dead;
    char texts[];
};

/* Unsubscribes everybody, for the end of the shard. */
void dxi_flows_close(dxi_shard_t *shard);

/* Ends a flow: its members are told once, and get nothing any more. */
void dxi_flow_end(dxi_shard_t *shard, dxi_flow_t *flow, int code, const char *sentence);

/* Nothing goes the short way to the flow's links any more. */
void dxi_flow_shut(dxi_flow_t *flow);

/* A member took nothing: it has no room, or is gone. */
void dxi_subscriber_refused(dxi_subscriber_t *member, int code);

/* What deliver() and gap() said of a member: true when it took what it was given. */
DX_INLINE bool dxi_subscriber_took(dxi_subscriber_t *member, int code)
{
    if (DX_LIKELY(code != DX_EAGAIN && code != DX_ECLOSED)) {
        return true;
    }
    dxi_subscriber_refused(member, code);
    return false;
}

/* Counts events that a member took for its flow's link, with what deliver() said: delivered, or
 * dropped. */
void dxi_link_took(dxi_link_t *link, dxi_subscriber_t *member, int code, uint32_t events);

/* Feeds the flow with what it lags behind, as far as there is room. */
void dxi_flow_feed(dxi_shard_t *shard, dxi_flow_t *flow);

/* Whether the flow's filter and predicate let the event pass. */
bool dxi_flow_wants(dxi_flow_t *flow, dxi_incoming_t *incoming);

/* The topic goes on behind `last`: who had not been offered all up to there is told a gap. */
void dxi_topic_skip(dxi_shard_t *shard, dxi_topic_t *topic, uint64_t last);

/* Offers an event to all links of its topic. */
void dxi_topic_deliver(dxi_shard_t *shard, dxi_incoming_t *incoming);

/* Whether the event must wait for a BLOCKING link, after another try. */
bool dxi_topic_blocked(dxi_shard_t *shard, dxi_topic_t *topic, int64_t clock_ns);

/* --------------------------------------------------------------------------------------- groups */

DX_NODISCARD int dxi_team_open(dxi_shard_t *shard, dxi_flow_t *flow);
/* With all that is pending. */
void dxi_team_close(dxi_shard_t *shard, dxi_flow_t *flow);

/* Takes an event in, and gives it if it can. False: there is no room for it. */
bool dxi_team_take(dxi_shard_t *shard, dxi_link_t *link, const dxi_incoming_t *incoming);

/* The topic of the link is gone, and what is pending of it. */
void dxi_team_forget(dxi_shard_t *shard, dxi_link_t *link);

/* Members: one more is in flow->members; one is not any more; one has room again. */
void dxi_team_joined(dxi_shard_t *shard, dxi_team_t *team, int64_t clock_ns);
void dxi_team_left(dxi_shard_t *shard, dxi_team_t *team, const dxi_subscriber_t *member,
                   int64_t clock_ns);
void dxi_team_ready(dxi_shard_t *shard, dxi_team_t *team, dxi_subscriber_t *member,
                    int64_t clock_ns);

/* What is due in all groups; shard->due_ns is when the next is. */
void dxi_teams_tick(dxi_shard_t *shard, int64_t clock_ns);

/* What is due. False: its time without members is over, it is to be closed. */
bool dxi_team_tick(dxi_shard_t *shard, dxi_team_t *team, int64_t clock_ns);

/* Whether nothing waits for a member, or for its letter to be sent. */
bool dxi_team_idle(const dxi_team_t *team);

/* Asserts the invariants. */
void dxi_team_check(const dxi_shard_t *shard, const dxi_team_t *team);

/* ---------------------------------------------------------------------------------------- shard */

#define DXI_BLOCK_CLASSES 20 /* of 256 bytes, and powers of two above, to 128 MiB */

struct dxi_shard {
    dxi_shard_actions_t actions;
    uint16_t number;
    uint32_t term;
    uint64_t timestamp_ns; /* of the last event */
    dx_bus_options_t bus;
    dxi_topics_t topics;
    dxi_trie_t trie;
    dxi_dedup_t dedup;
    dxi_list_t flows;
    dxi_list_t teams;
    dxi_list_t feeding;
    int64_t clock_ns; /* the latest that was heard of */
    int64_t due_ns;   /* nothing is due in a group before */
    uint32_t flow_count;
    uint32_t subscriber_count;
    /* The event that waits for a subscriber: it has its sequence, and its publisher no answer. */
    struct {
        bool active;
        dxi_topic_t *topic; /* NULL: it was deleted */
        uint64_t sequence;
        dx_frame_header_t *frame; /* only inside dxi_shard_event() */
    } held;
    /* The event of a pack that was last made a frame of its own, and where the next one is. */
    struct {
        const dx_frame_header_t *pack;
        uint64_t sequence; /* of the event in `frame`; 0: none */
        dxi_pack_t rest;
        char *frame; /* room for the largest */
    } unpacked;
    uint64_t refused;   /* of topics that don't exist */
    uint64_t dead_lost; /* dead letters that could not be published */
    dxi_list_t *free_blocks[DXI_BLOCK_CLASSES];
    uint64_t free_block_bytes;
    dx_atomic64_t *topic_count; /* of the process */
    dx_atomic64_t own_topic_count;
    dx_atomic64_t *memory; /* of what all topics of the process retain */
    dx_atomic64_t own_memory;
    dxi_list_t active; /* topics with a rate */
    dxi_list_t all_topics;
    uint64_t topics_made;
    dxi_list_t walks;          /* dxi_shard_walk_t that are on their way */
    dxi_shard_sums_t gone;     /* of topics that are gone */
    dxi_durations_t durations; /* of whole intervals that are over */
    uint64_t slow;             /* how often a subscription that kept up had no room */
    int64_t rated_ns;          /* when rates were last brought up to date */
    uint64_t aged_count;       /* topics that let events go by age */
    int64_t expire_at_ns;      /* when they are looked at next */
    dxi_list_t link_chunks;
    dxi_list_t free_links;
    dx_error_t error; /* the sentence of the last refusal */
};

/* The time of a call: what its caller says, but never less than before. */
DX_INLINE int64_t dxi_shard_now(dxi_shard_t *shard, int64_t clock_ns)
{
    shard->clock_ns = clock_ns > shard->clock_ns ? clock_ns : shard->clock_ns;
    return shard->clock_ns;
}

#endif
