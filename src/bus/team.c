/* team.c - events to members: buckets of keys, giving, answers, time-outs, coming and going.
 *
 * A bucket's target is the member that scores highest for it by a hash of both (rendezvous), so
 * every shard comes to the same spread, it is even, and a member that comes or goes moves only its
 * own share. A member that let an event time out is late: it is no target until it is heard of
 * again.
 *
 * To find an event whose turn it is, at most LOOK_EVENTS of a bucket are looked past, and at most
 * LOOK_KEYS keys.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "base/alloc.h"
#include "bus/team.h"

#define LOOK_EVENTS 64
#define LOOK_KEYS 8

/* --------------------------------------------------------------------------------- open, close */

int dxi_team_open(dxi_shard_t *shard, dxi_flow_t *flow)
{
    dxi_team_t *const team = dxi_alloc_zeroed(1, sizeof *team);
    if (team == NULL) {
        return DX_ENOMEM;
    }
    team->flow = flow;
    team->due_ns = INT64_MAX;
    team->linger_ns = INT64_MAX;
    team->bucket_count = flow->options.group != NULL ? DXI_TEAM_BUCKETS : DXI_TEAM_BUCKETS_ALONE;
    dxi_list_init(&team->loose);
    dxi_list_init(&team->given);
    dxi_list_init(&team->dead);
    for (int i = 0; i < DXI_TEAM_DUE_LEVELS; i++) {
        dxi_list_init(&team->due[i]);
    }
    dxi_list_append(&shard->teams, &team->in_shard);
    flow->team = team;
    return DX_OK;
}

static int64_t first_unix_ns(const dxi_list_t *list)
{
    return dxi_list_empty(list)
               ? 0
               : (int64_t)DXI_LIST_OBJECT(list->next, const dxi_pending_t, in_order)
                     ->frame->timestamp_ns;
}

int64_t dxi_team_waiting_unix_ns(const dxi_team_t *team)
{
    int64_t oldest = first_unix_ns(&team->loose); /* each list is in the order of arrival */
    for (uint32_t i = 0; team->buckets != NULL && i < team->bucket_count; i++) {
        oldest = dxi_older(oldest, first_unix_ns(&team->buckets[i].waiting));
    }
    return oldest;
}

/* Drops what is pending of a link, of all links when it is NULL. */
static void pending_drop_all(dxi_shard_t *shard, dxi_team_t *team, const dxi_link_t *link)
{
    for (uint64_t i = 0; team->table != NULL && i <= team->mask;) {
        dxi_pending_t *const pending = team->table[i];
        if (pending != NULL && (link == NULL || pending->link == link)) {
            dxi_pending_drop(shard, team, pending); /* another may have moved here */
        } else {
            i++;
        }
    }
}

void dxi_team_close(dxi_shard_t *shard, dxi_flow_t *flow)
{
    dxi_team_t *const team = flow->team;
    if (team == NULL) {
        return;
    }
    pending_drop_all(shard, team, NULL);
    while (!dxi_list_empty(&team->dead)) {
        dxi_pending_drop(shard, team, DXI_LIST_OBJECT(team->dead.next, dxi_pending_t, in_order));
        shard->dead_lost++;
    }
    dxi_list_remove(&team->in_shard);
    dxi_free(team->table);
    dxi_free(team->keys);
    dxi_free(team->buckets);
    dxi_free(team);
    flow->team = NULL;
}

void dxi_team_forget(dxi_shard_t *shard, dxi_link_t *link)
{
    link->dropped += link->waiting;
    pending_drop_all(shard, link->flow->team, link);
    dxi_team_due(shard, link->flow->team,
                 shard->clock_ns); /* other topics may have waited for room */
}

/* -------------------------------------------------------------------------------------- buckets */

static uint64_t score(uint64_t member_id, uint32_t bucket)
{
    uint64_t mixed = (member_id + bucket * UINT64_C(0x9E3779B97F4A7C15)) ^ (uint64_t)bucket << 40;
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94D049BB133111EB);
    return mixed ^ mixed >> 31;
}

static dxi_subscriber_t *target_of(const dxi_flow_t *flow, uint32_t bucket)
{
    dxi_subscriber_t *best = NULL;
    uint64_t best_score = 0;
    for (uint32_t i = 0; i < flow->member_count; i++) {
        dxi_subscriber_t *const member = flow->members[i];
        /* Who is late comes behind everybody who is not. */
        const uint64_t each = score(member->member_id, bucket) >> 1 | (uint64_t)!member->late << 63;
        if (!member->closed && (best == NULL || each > best_score)) {
            best = member;
            best_score = each;
        }
    }
    return best;
}

static void targets_update(dxi_team_t *team)
{
    for (uint32_t i = 0; team->buckets != NULL && i < team->bucket_count; i++) {
        team->buckets[i].target = target_of(team->flow, i);
    }
}

static bool buckets_need(dxi_team_t *team)
{
    if (team->buckets == NULL) {
        team->buckets = dxi_alloc_zeroed(team->bucket_count, sizeof(dxi_bucket_t));
        if (team->buckets == NULL) {
            return false;
        }
        for (uint32_t i = 0; i < team->bucket_count; i++) {
            dxi_list_init(&team->buckets[i].waiting);
            dxi_list_init(&team->buckets[i].given);
        }
        targets_update(team);
    }
    return true;
}

/* The event whose turn it is (G3); NULL: none. */
static dxi_pending_t *bucket_next(const dxi_bucket_t *bucket)
{
    uint32_t keys[LOOK_KEYS];
    uint32_t key_count = 0;
    uint32_t looked = 0;
    for (dxi_list_t *at = bucket->waiting.next; at != &bucket->waiting && looked < LOOK_EVENTS;
         at = at->next, looked++) {
        dxi_pending_t *const pending = DXI_LIST_OBJECT(at, dxi_pending_t, in_order);
        uint32_t i = 0;
        while (i < key_count && keys[i] != pending->key_hash) {
            i++;
        }
        if (i < key_count) {
            continue;
        }
        if (pending->state == DXI_PENDING_WAITING) {
            return pending;
        }
        if (key_count == LOOK_KEYS) {
            return NULL;
        }
        keys[key_count++] = pending->key_hash;
    }
    return NULL;
}

/* -------------------------------------------------------------------------------------- answers */

static int64_t backoff_of(const dxi_flow_options_t *options, uint32_t failures)
{
    const uint32_t doubled =
        failures - 1 < DXI_TEAM_DUE_LEVELS - 1 ? failures - 1 : DXI_TEAM_DUE_LEVELS - 1;
    int64_t delay_ns = options->backoff_ns;
    for (uint32_t i = 0; i < doubled && delay_ns < options->backoff_max_ns; i++) {
        delay_ns *= 2;
    }
    return delay_ns < options->backoff_max_ns ? delay_ns : options->backoff_max_ns;
}

/* Takes back what was given of this key after it (G3): those of a key are given in the order of
 * their arrival. */
static void go_back(dxi_team_t *team, const dxi_pending_t *failed)
{
    if (failed->bucket == DXI_BUCKET_NONE) {
        return;
    }
    dxi_list_t *const given = dxi_team_key(team, failed->key_hash);
    for (dxi_list_t *at = given->previous; at != given;) {
        dxi_pending_t *const pending = DXI_LIST_OBJECT(at, dxi_pending_t, in_key);
        at = at->previous;
        team->steps++;
        if (pending->key_hash != failed->key_hash) {
            continue;
        }
        if (pending->arrival < failed->arrival) {
            return;
        }
        dxi_pending_wait(team, pending);
    }
}

/* An event was refused, or not answered in time. */
static void pending_fail(dxi_shard_t *shard, dxi_team_t *team, dxi_pending_t *pending, int code,
                         int64_t clock_ns)
{
    const dxi_flow_options_t *const options = &team->flow->options;
    pending->failures++;
    pending->cause = code;
    if (code == DX_EFATAL || pending->failures >= options->attempts_max) {
        dxi_pending_die(shard, team, pending, clock_ns);
        return;
    }
    dxi_pending_delay(shard, team, pending, clock_ns + backoff_of(options, pending->failures));
    go_back(team, pending);
}

static void pending_answer(dxi_shard_t *shard, dxi_team_t *team, dxi_pending_t *pending, int code,
                           int64_t clock_ns)
{
    dxi_subscriber_t *const member = pending->member;
    if (member->late) {
        member->late = false;
        targets_update(team);
    }
    if (code == DX_OK) {
        member->acknowledged++;
        dxi_pending_drop(shard, team, pending);
        return;
    }
    member->refused++;
    pending_fail(shard, team, pending, code, clock_ns);
}

/* --------------------------------------------------------------------------------------- giving */

/* What deliver() said about an event that it took. */
static void given_settle(dxi_shard_t *shard, dxi_team_t *team, dxi_pending_t *pending,
                         dxi_subscriber_t *member, int code, int64_t clock_ns)
{
    const dxi_flow_options_t *const options = &team->flow->options;
    if (options->ack == DX_ACK_NONE) {
        dxi_pending_drop(shard, team, pending);
        return;
    }
    dxi_pending_give(shard, team, pending, member, clock_ns + options->ack_timeout_ns);
    if (code != DX_OK) {
        pending_answer(shard, team, pending, code == DXI_DELIVER_DONE ? DX_OK : code, clock_ns);
    }
}

/* The first of a list, but for the one that is just given; NULL: none. */
static const dxi_pending_t *first_but(const dxi_list_t *list, const dxi_pending_t *given)
{
    const dxi_list_t *at = list->next != &given->in_order ? list->next : list->next->next;
    return at != list ? DXI_LIST_OBJECT(at, dxi_pending_t, in_order) : NULL;
}

/* What dxi_delivery_t says as `held`. A member of a group needs none: its group keeps its place. */
static uint64_t held_back(const dxi_team_t *team, const dxi_pending_t *given)
{
    if (team->flow->options.group != NULL) {
        return 0;
    }
    const dxi_pending_t *first = first_but(&team->loose, given);
    for (uint64_t bits = team->waiting_bits[0]; bits != 0; bits &= bits - 1) {
        const dxi_pending_t *const one =
            first_but(&team->buckets[__builtin_ctzll(bits)].waiting, given);
        first = one != NULL && (first == NULL || one->arrival < first->arrival) ? one : first;
    }
    const bool passed =
        first != NULL && (first->arrival < team->given_last || first->arrival < given->arrival);
    return passed ? first->frame->sequence : 0;
}

/* Gives an event to a member. False: it has no room. */
static bool pending_offer(dxi_shard_t *shard, dxi_team_t *team, dxi_pending_t *pending,
                          dxi_subscriber_t *member, int64_t clock_ns)
{
    const bool again = pending->attempt != 0;
    const dxi_delivery_t delivery = {
        .frame = pending->frame,
        .bytes = pending->bytes,
        .attempt = team->flow->options.ack != DX_ACK_NONE ? pending->attempt + 1 : 0,
        .redelivered = again,
        .held = held_back(team, pending),
    };
    const int code = shard->actions.deliver(shard->actions.context, member->user, &delivery);
    if (!dxi_subscriber_took(member, code)) {
        return false;
    }
    if (DX_UNLIKELY(code == DXI_DELIVER_DROPPED)) {
        assert(pending->attempt == 0 && team->flow->options.ack == DX_ACK_NONE);
        dxi_link_took(pending->link, member, code, 1);
        dxi_pending_drop(shard, team, pending);
        return true;
    }
    pending->attempt++;
    team->given_last = pending->arrival > team->given_last ? pending->arrival : team->given_last;
    if (again) {
        member->redelivered++;
        pending->link->topic->redelivered++;
    } else {
        member->delivered++;
        dxi_link_took(pending->link, member, code, 1);
        pending->link->waiting--;
    }
    given_settle(shard, team, pending, member, code, clock_ns);
    return true;
}

/* Gives what can be given of a bucket. */
static void bucket_give(dxi_shard_t *shard, dxi_team_t *team, dxi_bucket_t *bucket,
                        int64_t clock_ns)
{
    if (bucket->owner != bucket->target) {
        if (!dxi_list_empty(&bucket->given)) {
            return; /* G4: the old owner is not done yet */
        }
        bucket->owner = bucket->target;
    }
    dxi_subscriber_t *const owner = bucket->owner;
    while (owner != NULL && owner->room && !owner->closed) {
        dxi_pending_t *const pending = bucket_next(bucket);
        if (pending == NULL || !pending_offer(shard, team, pending, owner, clock_ns)) {
            return;
        }
    }
}

/* The less busy of the next two members with room; NULL: nobody has any. */
static dxi_subscriber_t *member_choose(dxi_team_t *team)
{
    const dxi_flow_t *const flow = team->flow;
    dxi_subscriber_t *chosen = NULL;
    uint32_t candidates = 0;
    const uint32_t first = team->next_member;
    for (uint32_t i = 0; i < flow->member_count && candidates < 2; i++) {
        const uint32_t index = (first + i) % flow->member_count;
        dxi_subscriber_t *const member = flow->members[index];
        if (!member->room || member->closed) {
            continue;
        }
        if (candidates++ == 0) {
            team->next_member = index + 1;
        }
        if (chosen == NULL || (chosen->late && !member->late) ||
            (chosen->late == member->late && member->given < chosen->given)) {
            chosen = member;
        }
    }
    return chosen;
}

static void loose_give(dxi_shard_t *shard, dxi_team_t *team, int64_t clock_ns)
{
    while (!dxi_list_empty(&team->loose)) {
        dxi_subscriber_t *const member = member_choose(team);
        if (member == NULL) {
            return;
        }
        /* On no room: the next member. */
        (void)pending_offer(shard, team, DXI_LIST_OBJECT(team->loose.next, dxi_pending_t, in_order),
                            member, clock_ns);
    }
}

static void team_give(dxi_shard_t *shard, dxi_team_t *team, int64_t clock_ns)
{
    for (uint32_t word = 0; team->buckets != NULL && word < DXI_TEAM_BUCKETS / 64; word++) {
        for (uint64_t bits = team->waiting_bits[word]; bits != 0; bits &= bits - 1) {
            const uint32_t number = word * 64 + (uint32_t)__builtin_ctzll(bits);
            bucket_give(shard, team, &team->buckets[number], clock_ns);
        }
    }
    loose_give(shard, team, clock_ns);
}

/* --------------------------------------------------------------------------------------- taking */

static bool team_full(const dxi_team_t *team, uint32_t bytes)
{
    return team->count >= team->flow->options.pending_events_max ||
           (team->count != 0 && team->bytes + bytes > DXI_PENDING_BYTES_MAX);
}

bool dxi_team_take(dxi_shard_t *shard, dxi_link_t *link, const dxi_incoming_t *incoming)
{
    dxi_team_t *const team = link->flow->team;
    const uint32_t key_hash = incoming->frame->key_hash;
    const bool keyed = key_hash != 0 && key_hash != (uint32_t)incoming->topic->hash;
    if (team_full(team, incoming->bytes)) {
        return false;
    }
    dxi_pending_t *const pending =
        !keyed || buckets_need(team) ? dxi_pending_take(shard, team, link, incoming) : NULL;
    if (pending == NULL) {
        if (!dxi_list_queued(&link->flow->in_feeding)) { /* no memory now: the next tick tries */
            dxi_list_append(&shard->feeding, &link->flow->in_feeding);
        }
        return false;
    }
    if (!keyed) {
        const bool first = dxi_list_empty(&team->loose);
        dxi_pending_wait(team, pending);
        if (first) {
            loose_give(shard, team, shard->clock_ns);
        }
        return true;
    }
    pending->bucket = (uint16_t)((key_hash * UINT32_C(0x9E3779B1) >> 16) % team->bucket_count);
    dxi_pending_wait(team, pending);
    bucket_give(shard, team, &team->buckets[pending->bucket], shard->clock_ns);
    return true;
}

/* ----------------------------------------------------------------------------- members' doings */

/* Gives what can be given now, and takes more where there is room again. */
static void team_go_on(dxi_shard_t *shard, dxi_team_t *team, int64_t clock_ns)
{
    team_give(shard, team, clock_ns);
    if (!dxi_list_empty(&team->flow->lagging)) {
        dxi_flow_feed(shard, team->flow);
    }
}

void dxi_team_joined(dxi_shard_t *shard, dxi_team_t *team, int64_t clock_ns)
{
    if (team->linger_ns != INT64_MAX) {
        dxi_flow_rejoined(team->flow);
    }
    team->linger_ns = INT64_MAX;
    targets_update(team);
    dxi_team_due(shard, team, clock_ns); /* what waits is given in the next tick */
}

/* A member is no longer among flow->members: what it had goes to the others. */
void dxi_team_left(dxi_shard_t *shard, dxi_team_t *team, const dxi_subscriber_t *member,
                   int64_t clock_ns)
{
    for (dxi_list_t *at = team->given.next; at != &team->given;) {
        dxi_pending_t *const pending = DXI_LIST_OBJECT(at, dxi_pending_t, in_time);
        at = at->next;
        if (pending->member == member) {
            dxi_pending_wait(team, pending);
        }
    }
    for (uint32_t i = 0; team->buckets != NULL && i < team->bucket_count; i++) {
        if (team->buckets[i].owner == member) {
            team->buckets[i].owner = NULL;
        }
    }
    targets_update(team);
    if (team->flow->member_count == 0) {
        team->linger_ns = clock_ns + DXI_TEAM_LINGER_NS;
        dxi_team_due(shard, team, team->linger_ns);
        dxi_flow_unblock(team->flow);
        return;
    }
    team_go_on(shard, team, clock_ns);
}

void dxi_team_ready(dxi_shard_t *shard, dxi_team_t *team, dxi_subscriber_t *member,
                    int64_t clock_ns)
{
    if (member->late) {
        member->late = false;
        targets_update(team);
    }
    team_go_on(shard, team, clock_ns);
}

/* Answers all that is GIVEN to the member in the range, walking what is given. */
static int answer_walk(dxi_shard_t *shard, dxi_subscriber_t *member, const dxi_topic_t *topic,
                       const dx_frame_range_t *range, int code, int64_t clock_ns)
{
    dxi_team_t *const team = member->flow->team;
    int answered = 0;
    for (dxi_list_t *at = team->given.next; at != &team->given;) {
        dxi_pending_t *const pending = DXI_LIST_OBJECT(at, dxi_pending_t, in_time);
        const uint64_t sequence = pending->frame->sequence;
        team->steps++;
        if (pending->member == member && pending->link->topic == topic &&
            sequence >= range->first && sequence <= range->last) {
            /* A failure takes back what was given after it (G3), so the one before stays. */
            at = at->previous;
            pending_answer(shard, team, pending, code, clock_ns);
            answered++;
        }
        at = at->next;
    }
    return answered;
}

int dxi_shard_acknowledge(dxi_shard_t *shard, dxi_subscriber_t *subscriber, const char *topic,
                          size_t topic_bytes, uint64_t first, uint64_t last, int code,
                          int64_t clock_ns)
{
    clock_ns = dxi_shard_now(shard, clock_ns);
    dxi_team_t *const team = subscriber->flow->team;
    const dxi_topic_t *const found = dxi_topic_find(&shard->topics, topic, topic_bytes);
    if (team == NULL || found == NULL || first > last) {
        return DX_ENOTFOUND;
    }
    code = code > 0 ? DX_EINVAL : code; /* what is no code of ours is a refusal all the same */
    int answered = 0;
    if (last - first > 2 * team->in_table) {
        const dx_frame_range_t range = {first, last};
        answered = answer_walk(shard, subscriber, found, &range, code, clock_ns);
    } else {
        for (uint64_t i = 0; i <= last - first; i++) {
            dxi_pending_t *const pending = dxi_pending_find(team, found, first + i);
            if (pending != NULL && pending->state == DXI_PENDING_GIVEN &&
                pending->member == subscriber) {
                pending_answer(shard, team, pending, code, clock_ns);
                answered++;
            }
        }
    }
    if (answered == 0) {
        return DX_ENOTFOUND;
    }
    team_go_on(shard, team, clock_ns);
    return DX_OK;
}

/* ----------------------------------------------------------------------------------------- time */

static void given_expire(dxi_shard_t *shard, dxi_team_t *team, int64_t clock_ns)
{
    bool late = false;
    while (!dxi_list_empty(&team->given)) {
        dxi_pending_t *const pending = DXI_LIST_OBJECT(team->given.next, dxi_pending_t, in_time);
        if (pending->due_ns > clock_ns) {
            break;
        }
        late = late || !pending->member->late;
        pending->member->late = true;
        pending_fail(shard, team, pending, DX_ETIMEDOUT, clock_ns);
    }
    if (late) {
        targets_update(team);
    }
}

static void delays_end(dxi_team_t *team, int64_t clock_ns)
{
    for (int level = 0; level < DXI_TEAM_DUE_LEVELS; level++) {
        dxi_list_t *const due = &team->due[level];
        while (!dxi_list_empty(due)) {
            dxi_pending_t *const pending = DXI_LIST_OBJECT(due->next, dxi_pending_t, in_time);
            if (pending->due_ns > clock_ns) {
                break;
            }
            dxi_pending_wait(team, pending);
        }
    }
}

/* The earliest deadline of a list that is in their order (G5). */
static int64_t earliest(const dxi_list_t *list, int64_t otherwise)
{
    if (dxi_list_empty(list)) {
        return otherwise;
    }
    const int64_t due_ns = DXI_LIST_OBJECT(list->next, dxi_pending_t, in_time)->due_ns;
    return due_ns < otherwise ? due_ns : otherwise;
}

bool dxi_team_tick(dxi_shard_t *shard, dxi_team_t *team, int64_t clock_ns)
{
    if (clock_ns >= team->linger_ns) {
        return false;
    }
    if (clock_ns >= team->due_ns) {
        team->due_ns = team->linger_ns;
        given_expire(shard, team, clock_ns);
        delays_end(team, clock_ns);
        dxi_dead_retry(shard, team, clock_ns);
        team_go_on(shard, team, clock_ns);
        team->due_ns = earliest(&team->given, team->due_ns);
        for (int level = 0; level < DXI_TEAM_DUE_LEVELS; level++) {
            team->due_ns = earliest(&team->due[level], team->due_ns);
        }
    }
    return true;
}

bool dxi_team_idle(const dxi_team_t *team)
{
    const bool members = team->flow->member_count != 0 && !team->flow->ended;
    return dxi_list_empty(&team->dead) && (team->in_table == 0 || !members);
}

/* ---------------------------------------------------------------------------------------- check */

/* `put`: of the list, or NULL. */
static uint64_t list_check(const dxi_team_t *team, const dxi_list_t *list, const dxi_list_t *put,
                           bool given)
{
    uint64_t count = 0;
    uint64_t arrival = 0;
    bool found = put == NULL || put == list;
    for (const dxi_list_t *at = list->next; at != list; at = at->next) {
        const dxi_pending_t *const pending = DXI_LIST_OBJECT(at, dxi_pending_t, in_order);
        assert((pending->state == DXI_PENDING_GIVEN) == given); /* G2 */
        assert(given || pending->arrival > arrival);
        assert(dxi_pending_find(team, pending->link->topic, pending->frame->sequence) == pending);
        arrival = pending->arrival;
        found = found || at == put;
        count++;
    }
    assert(found);
    (void)found;
    (void)team;
    (void)given;
    (void)arrival;
    return count;
}

static uint64_t bucket_check(const dxi_team_t *team, uint32_t number)
{
    const dxi_bucket_t *const bucket = &team->buckets[number];
    for (const dxi_list_t *at = bucket->given.next; at != &bucket->given; at = at->next) {
        const dxi_pending_t *const given = DXI_LIST_OBJECT(at, dxi_pending_t, in_order);
        assert(given->member == bucket->owner); /* G4 */
        assert(dxi_list_queued(&given->in_key));
        for (const dxi_list_t *w = bucket->waiting.next; w != &bucket->waiting; w = w->next) {
            const dxi_pending_t *const waiting = DXI_LIST_OBJECT(w, dxi_pending_t, in_order);
            assert(waiting->key_hash != given->key_hash || waiting->arrival > given->arrival);
            (void)waiting; /* G3 */
        }
        (void)given;
    }
    const bool bit = (team->waiting_bits[number / 64] >> (number % 64) & 1) != 0;
    assert(bit == !dxi_list_empty(&bucket->waiting));
    (void)bit;
    return list_check(team, &bucket->waiting, bucket->put, false) +
           list_check(team, &bucket->given, NULL, true);
}

/* What is GIVEN of a key stands by arrival (G3), and nothing else is there. */
static void keys_check(const dxi_team_t *team)
{
    for (uint64_t i = 0; team->keys != NULL && i <= team->mask; i++) {
        const dxi_list_t *const head = &team->keys[i];
        for (const dxi_list_t *at = head->next; at != head; at = at->next) {
            const dxi_pending_t *const one = DXI_LIST_OBJECT(at, dxi_pending_t, in_key);
            assert(one->state == DXI_PENDING_GIVEN && dxi_team_key(team, one->key_hash) == head);
            for (const dxi_list_t *to = at->next; to != head; to = to->next) {
                const dxi_pending_t *const later = DXI_LIST_OBJECT(to, dxi_pending_t, in_key);
                assert(later->key_hash != one->key_hash || later->arrival > one->arrival);
                (void)later;
            }
            (void)one;
        }
    }
}

void dxi_team_check(const dxi_shard_t *shard, const dxi_team_t *team)
{
    uint64_t listed = list_check(team, &team->loose, team->loose_put, false);
    for (uint32_t i = 0; team->buckets != NULL && i < team->bucket_count; i++) {
        listed += bucket_check(team, i);
    }
    int64_t due_ns = 0;
    for (const dxi_list_t *at = team->given.next; at != &team->given; at = at->next) {
        const dxi_pending_t *const pending = DXI_LIST_OBJECT(at, dxi_pending_t, in_time);
        assert(pending->due_ns >= due_ns && pending->due_ns >= team->due_ns); /* G5 */
        due_ns = pending->due_ns;
        listed += pending->bucket == DXI_BUCKET_NONE;
    }
    for (int level = 0; level < DXI_TEAM_DUE_LEVELS; level++) {
        for (const dxi_list_t *at = team->due[level].next; at != &team->due[level]; at = at->next) {
            listed += DXI_LIST_OBJECT(at, dxi_pending_t, in_time)->bucket == DXI_BUCKET_NONE;
        }
    }
    assert(listed == team->in_table); /* G1 */
    keys_check(team);
    uint64_t dead = 0;
    for (const dxi_list_t *at = team->dead.next; at != &team->dead; at = at->next) {
        dead++;
    }
    assert(team->in_table + dead == team->count);
    assert(team->count <= team->flow->options.pending_events_max);
    uint64_t waiting = 0;
    for (uint64_t i = 0; team->table != NULL && i <= team->mask; i++) {
        waiting += team->table[i] != NULL && team->table[i]->attempt == 0;
    }
    for (const dxi_list_t *at = team->flow->links.next; at != &team->flow->links; at = at->next) {
        waiting -= DXI_LIST_OBJECT(at, dxi_link_t, in_flow)->waiting;
    }
    assert(waiting == 0); /* G6 */
    (void)shard;
    (void)listed;
    (void)dead;
    (void)waiting;
    (void)due_ns;
}
