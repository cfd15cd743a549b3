/* shard_sim.h - the model of test_bus_sim.c, and what the shard calls: each delivery, gap, end and
 * answer is held against the model.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SHARD_SIM_H
#define SHARD_SIM_H

#include "bus/team.h"
#include "shard_test.h"

#define TOPICS 6
#define READERS 12
#define FLOWS 16
#define EVENTS 512 /* of one topic */
#define KEYS 4     /* per topic */
#define PRODUCERS 3
#define PUBLICATIONS 1024 /* of one producer */
#define FOR_EVER (INT64_MAX / 4)

static const char *const TOPIC_NAMES[TOPICS] = {"a", "a.b", "a.c", "b.x.y", "b.z", "$inbox.1"};

typedef enum state { NEW, GIVEN, WAIT, DONE } state_t;

typedef struct progress { /* of an event in a team */
    uint8_t state;
    uint32_t attempt;
    uint32_t failures;
    int member;
    int64_t deadline_ns;
} progress_t;

typedef struct place { /* of a flow in a topic */
    uint64_t start;
    uint64_t expected; /* plain: the next sequence */
    uint64_t keyless;  /* team: the last one without a key that was given for the first time */
    progress_t events[EVENTS + 1];
} place_t;

typedef struct flow {
    bool used;
    bool ended;
    bool team;
    dx_subscription_options_t options;
    bool was_alone;
    int64_t alone_ns; /* a group without members: since when; -1: it has some */
    uint64_t delivered;
    place_t places[TOPICS];
} flow_t;

typedef struct sim_reader {
    dxi_subscriber_t *subscriber; /* NULL: free */
    int flow;
    int64_t room;
    bool packs; /* takes frames with several events, now and then */
    bool gone;
    bool told_gone;
    bool ended;
} sim_reader_t;

typedef struct sim_topic {
    bool exists;
    uint64_t last;
    uint8_t keys[EVENTS + 1]; /* 0: none */
} sim_topic_t;

typedef struct taken { /* a publication of a producer */
    bool taken;
    int topic;
    uint64_t sequence;
    uint64_t timestamp_ns;
} taken_t;

static struct {
    uint64_t seed;
    uint64_t random;
    int step;
    dxi_shard_t *shard;
    int64_t clock_ns;
    sim_topic_t topics[TOPICS];
    flow_t flows[FLOWS];
    sim_reader_t readers[READERS];
    taken_t taken[PRODUCERS][PUBLICATIONS];
    uint64_t next[PRODUCERS];
    bool faults;
    bool draining;
    uint64_t member_ids;
    uint64_t dead, letters;
    /* the publication under way */
    __attribute__((aligned(8))) char frame[8192];
    uint32_t events; /* in it */
    uint32_t bytes;
    bool held; /* it must be brought again */
    int topic;
    int producer; /* -1: none */
    uint64_t number;
    bool wanted;
    bool refused, answered;
    dxi_answer_t answer;
} sim;

#define SIM_CHECK(condition)                                                                       \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fail_msg("seed %llu, step %d: not so: %s", (unsigned long long)sim.seed, sim.step,     \
                     #condition);                                                                  \
        }                                                                                          \
    } while (0)

static uint64_t pick(uint64_t below)
{
    return (random_next(&sim.random) >> 11) % below;
}

static bool chance(uint64_t percent)
{
    return pick(100) < percent;
}

static int topic_of(const char *name, uint32_t bytes)
{
    for (int i = 0; i < TOPICS; i++) {
        if (strlen(TOPIC_NAMES[i]) == bytes && memcmp(TOPIC_NAMES[i], name, bytes) == 0) {
            return i;
        }
    }
    fail_msg("a topic that nobody made");
    return 0;
}

/* ------------------------------------------------------------------------------------ the model */

static bool matches(const flow_t *flow, int topic)
{
    return dxi_pattern_matches(flow->options.pattern, strlen(flow->options.pattern),
                               TOPIC_NAMES[topic], strlen(TOPIC_NAMES[topic]));
}

/* The filter of the simulator is `exists key`. */
static bool wants(const flow_t *flow, int topic, uint64_t sequence)
{
    return flow->options.filter == NULL || sim.topics[topic].keys[sequence] != 0;
}

static void place_begin(flow_t *flow, int topic, uint64_t start)
{
    place_t *const place = &flow->places[topic];
    memset(place, 0, sizeof *place);
    place->start = start;
    place->expected = start;
}

/* A topic is there from now on: its first event is for everybody. */
static void topic_begin(int topic)
{
    if (!sim.topics[topic].exists) {
        sim.topics[topic] = (sim_topic_t){.exists = true};
        for (int i = 0; i < FLOWS; i++) {
            place_begin(&sim.flows[i], topic, 1);
        }
    }
}

static void topic_end(int topic)
{
    sim.topics[topic] = (sim_topic_t){0};
}

static void event_fail(flow_t *flow, int topic, uint64_t sequence, int code)
{
    progress_t *const events = flow->places[topic].events;
    progress_t *const event = &events[sequence];
    SIM_CHECK(event->state == GIVEN);
    event->failures++;
    if (code == DX_EFATAL || event->failures >= flow->options.attempts_max) {
        event->state = DONE;
        sim.dead++;
        return;
    }
    event->state = WAIT;
    const uint8_t *const keys = sim.topics[topic].keys;
    for (uint64_t s = sequence + 1; keys[sequence] != 0 && s <= sim.topics[topic].last; s++) {
        if (keys[s] == keys[sequence] && events[s].state == GIVEN) {
            events[s].state = WAIT; /* taken back */
        }
    }
}

/* What is not answered in time until now. */
static void events_expire(flow_t *flow)
{
    for (int topic = 0; flow->used && flow->team && topic < TOPICS; topic++) {
        for (uint64_t s = 1; s <= sim.topics[topic].last; s++) {
            const progress_t *const event = &flow->places[topic].events[s];
            if (event->state == GIVEN && event->deadline_ns <= sim.clock_ns) {
                event_fail(flow, topic, s, DX_ETIMEDOUT);
            }
        }
    }
}

/* ------------------------------------------------------------------------------------ callbacks */

static int room_take(sim_reader_t *reader)
{
    SIM_CHECK(reader->subscriber != NULL || sim.step >= 0);
    SIM_CHECK(!reader->ended && !reader->told_gone);
    if (reader->gone) {
        reader->told_gone = true;
        return DX_ECLOSED;
    }
    if (reader->room == 0) {
        return DX_EAGAIN;
    }
    reader->room -= reader->room > 0;
    return DX_OK;
}

/* Everything between what came before and this must have been left out by the filter. */
static void plain_take(flow_t *flow, int topic, uint64_t first, uint64_t last)
{
    place_t *const place = &flow->places[topic];
    SIM_CHECK(first >= place->expected && last <= sim.topics[topic].last);
    for (uint64_t s = place->expected; s < first; s++) {
        SIM_CHECK(!wants(flow, topic, s));
    }
    place->expected = last + 1;
}

/* Whether the event may be given to this member now. */
static void team_order_check(const flow_t *flow, int topic, uint64_t sequence, int member)
{
    const place_t *const place = &flow->places[topic];
    const uint8_t *const keys = sim.topics[topic].keys;
    SIM_CHECK(sequence >= place->start);
    if (keys[sequence] == 0) {
        SIM_CHECK(place->events[sequence].attempt != 0 || sequence > place->keyless);
        return;
    }
    for (uint64_t s = place->start; s <= sim.topics[topic].last; s++) {
        if (keys[s] != keys[sequence] || s == sequence) {
            continue;
        }
        SIM_CHECK(s > sequence || place->events[s].state >= DONE ||
                  place->events[s].state == GIVEN); /* an earlier one of its key waits */
        SIM_CHECK(s < sequence || place->events[s].state != GIVEN);
        SIM_CHECK(place->events[s].state != GIVEN || place->events[s].member == member);
    }
}

/* Who is alone in its topic is told of what waits although a later one was given. */
static void held_check(const flow_t *flow, int topic, uint64_t held)
{
    const place_t *const place = &flow->places[topic];
    if (flow->options.group != NULL) {
        SIM_CHECK(held == 0);
        return;
    }
    if (strpbrk(flow->options.pattern, "*>") != NULL) {
        return; /* several topics, whose sequences say nothing of each other */
    }
    uint64_t given = sim.topics[topic].last;
    while (place->events[given].attempt == 0) {
        given--;
    }
    for (uint64_t s = place->start; s < given; s++) {
        const progress_t *const event = &place->events[s];
        const bool waits = event->attempt == 0 && event->state != DONE && wants(flow, topic, s);
        SIM_CHECK(!waits || (held != 0 && held <= s));
    }
    SIM_CHECK(held == 0 || (held < given && place->events[held].state != DONE &&
                            place->events[held].state != GIVEN));
}

static int team_code(flow_t *flow, int topic, uint64_t sequence)
{
    if (flow->options.ack == DX_ACK_NONE) {
        flow->places[topic].events[sequence].state = DONE;
        return DX_OK;
    }
    if (sim.draining || chance(85)) {
        return DX_OK;
    }
    if (chance(50)) {
        flow->places[topic].events[sequence].state = DONE;
        return DXI_DELIVER_DONE;
    }
    const int code = chance(10) ? DX_EFATAL : DX_EIO;
    event_fail(flow, topic, sequence, code);
    return code;
}

/* A pack: as a whole where the reader likes. */
static int sim_deliver_pack(sim_reader_t *reader, flow_t *flow, const dxi_delivery_t *delivery)
{
    const uint32_t events = dxi_frame_events(delivery->frame);
    if (!reader->packs || (reader->room >= 0 && reader->room < events && chance(80))) {
        return DXI_DELIVER_SPLIT;
    }
    if (reader->gone || (reader->room >= 0 && reader->room < events)) {
        reader->told_gone = reader->gone;
        return reader->gone ? DX_ECLOSED : DX_EAGAIN;
    }
    reader->room -= reader->room > 0 ? events : 0;
    dx_frame_view_t view;
    uint32_t bytes = 0;
    SIM_CHECK(dx_frame_decode(delivery->frame, delivery->bytes, &view, NULL) == DX_OK);
    const char *const name = dx_frame_part(&view, DX_PART_TOPIC, &bytes);
    const int topic = topic_of(name, bytes);
    const uint64_t first = view.header->sequence;
    SIM_CHECK(!flow->team && flow->options.filter == NULL && matches(flow, topic));
    SIM_CHECK(delivery->attempt == 0 && !delivery->redelivered);
    plain_take(flow, topic, first, first + events - 1);
    flow->delivered += events;
    return DX_OK;
}

static int sim_deliver(void *context, void *user, const dxi_delivery_t *delivery)
{
    (void)context;
    sim_reader_t *const reader = user;
    flow_t *const flow = &sim.flows[reader->flow];
    SIM_CHECK(!flow->ended);
    if (dxi_frame_packed(delivery->frame)) {
        return sim_deliver_pack(reader, flow, delivery);
    }
    const int code = room_take(reader);
    if (code != DX_OK) {
        return code;
    }
    dx_frame_view_t view;
    uint32_t bytes = 0;
    SIM_CHECK(dx_frame_decode(delivery->frame, delivery->bytes, &view, NULL) == DX_OK);
    const char *const name = dx_frame_part(&view, DX_PART_TOPIC, &bytes);
    const int topic = topic_of(name, bytes);
    const uint64_t sequence = view.header->sequence;
    SIM_CHECK(sim.topics[topic].exists && sequence <= sim.topics[topic].last);
    SIM_CHECK(matches(flow, topic) && wants(flow, topic, sequence));
    flow->delivered++;
    if (!flow->team) {
        SIM_CHECK(delivery->attempt == 0 && !delivery->redelivered);
        plain_take(flow, topic, sequence, sequence);
        return DX_OK;
    }
    progress_t *const event = &flow->places[topic].events[sequence];
    const int member = (int)(reader - sim.readers);
    SIM_CHECK(event->state == NEW || event->state == WAIT);
    team_order_check(flow, topic, sequence, member);
    if (event->attempt == 0 && sim.topics[topic].keys[sequence] == 0) {
        flow->places[topic].keyless = sequence;
    }
    event->attempt++;
    SIM_CHECK(flow->options.ack == DX_ACK_NONE ? delivery->attempt == 0
                                               : delivery->attempt == event->attempt);
    SIM_CHECK(delivery->redelivered == (event->attempt > 1));
    event->state = GIVEN;
    event->member = member;
    event->deadline_ns = sim.clock_ns + flow->options.ack_timeout_ns;
    held_check(flow, topic, delivery->held);
    return team_code(flow, topic, sequence);
}

static int sim_gap(void *context, void *user, const dx_gap_t *gap)
{
    (void)context;
    sim_reader_t *const reader = user;
    flow_t *const flow = &sim.flows[reader->flow];
    const int topic = topic_of(gap->topic, gap->topic_bytes);
    const place_t *const place = &flow->places[topic];
    SIM_CHECK(!flow->ended && gap->first <= gap->last && gap->last <= sim.topics[topic].last);
    const int code = room_take(reader);
    if (code != DX_OK) {
        return code;
    }
    /* Who blocks for ever loses nothing, but for what was gone before it came. */
    SIM_CHECK(flow->options.slow != DX_SLOW_BLOCK || flow->options.slow_block_ns != FOR_EVER ||
              gap->first == place->start || sim.topic == -2 || flow->was_alone);
    if (!flow->team) {
        plain_take(flow, topic, gap->first, gap->last);
    }
    for (uint64_t s = gap->first; flow->team && s <= gap->last; s++) {
        SIM_CHECK(place->events[s].state == NEW && s >= place->start);
        flow->places[topic].events[s].state = DONE;
    }
    return DX_OK;
}

static void sim_end(void *context, void *user, int code, const char *sentence)
{
    (void)context;
    sim_reader_t *const reader = user;
    SIM_CHECK(code == DX_ELIMIT && sentence != NULL && !reader->ended);
    SIM_CHECK(sim.flows[reader->flow].options.slow == DX_SLOW_DISCONNECT);
    reader->ended = true;
    sim.flows[reader->flow].ended = true;
}

static void sim_answer(void *context, uint64_t origin, const dxi_answer_t *answer)
{
    (void)context;
    SIM_CHECK(origin == 7 && !sim.answered);
    sim.answered = true;
    sim.answer = *answer;
    SIM_CHECK((answer->code == DX_OK) == (answer->sentence == NULL));
    sim.refused = answer->code != DX_OK;
}

static int sim_letter(void *context, const void *frame, uint32_t bytes)
{
    (void)context;
    dx_frame_view_t view;
    if (!sim.draining && chance(20)) {
        return DX_EAGAIN;
    }
    SIM_CHECK(dx_frame_decode(frame, bytes, &view, NULL) == DX_OK);
    sim.letters++;
    return DX_OK;
}

#endif
