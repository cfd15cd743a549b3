/* test_bus_sim.c - a shard under random publishers, subscribers, members, answers, time and failing
 * memory, next to a model that knows what each subscriber may be given.
 *
 * Each run has a seed. DX_SIM_SEED runs one seed, DX_SIM_RUNS that many from it on. A run that
 * fails says its seed and step.
 *
 * The model keeps every event that was taken, and for each flow and topic how far it is: for plain
 * subscriptions the next sequence, for shared and acknowledged ones the state of each event. It
 * checks at each delivery: the order of the topic (plain), of the key and of what has no key
 * (teams); that nothing is given twice without a reason (refused, late, member left, taken back
 * behind a failure); attempts; filters; that gaps lie exactly between what was given; that who
 * blocks for ever gets no gap; duplicates and their receipts. At the end everybody gets room and
 * everything is answered, and then nothing may be missing anywhere. dxi_shard_check() runs after
 * each step.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <signal.h>
#include <unistd.h>

#include "shard_sim.h"

#define RUNS 200
#define STEPS 400
static const uint64_t KEPT[] = {6125}; /* seeds that have found something */
#define PACK_EVENTS 24                 /* at most; topics keep from 1 to 20 */

static const char *const PATTERNS[] = {"a", "a.*", ">", "b.>", "*", "$inbox.1", "b.x.y", "a.b"};

/* ----------------------------------------------------------------------------------- publishing */

/* The shard is done with the publication: what the model makes of it. */
static void publication_settle(void)
{
    sim_topic_t *const topic = &sim.topics[sim.topic];
    const dx_frame_header_t *const frame = (const dx_frame_header_t *)(const void *)sim.frame;
    const bool duplicate = sim.answered && sim.answer.duplicate;
    if (sim.refused || duplicate || frame->type != DX_FRAME_EVENT) {
        topic->last -= sim.events; /* it was no event */
        SIM_CHECK(frame->type != DX_FRAME_EVENT);
    } else {
        SIM_CHECK(frame->sequence + sim.events - 1 == topic->last || !topic->exists);
        SIM_CHECK(sim.answered == sim.wanted);
    }
    if (sim.producer < 0) {
        SIM_CHECK(!duplicate);
        return;
    }
    taken_t *const taken = &sim.taken[sim.producer][sim.number];
    SIM_CHECK(!duplicate || taken->taken);
    if (taken->taken) {
        SIM_CHECK(frame->type != DX_FRAME_EVENT); /* never twice */
        SIM_CHECK(!sim.wanted || sim.refused ||
                  (duplicate && sim.answer.sequence == taken->sequence &&
                   sim.answer.timestamp_ns == taken->timestamp_ns));
    } else if (frame->type == DX_FRAME_EVENT) {
        *taken = (taken_t){true, sim.topic, frame->sequence, frame->timestamp_ns};
    }
}

static void bring(void)
{
    sim.answered = false;
    sim.refused = false;
    const int code = dxi_shard_event(sim.shard, sim.frame, sim.bytes, 7, sim.clock_ns, sim.clock_ns,
                                     RIG_UNIX_NS + sim.clock_ns);
    sim.held = code == DX_EAGAIN;
    SIM_CHECK(code == DX_OK || code == DX_EAGAIN);
    if (!sim.held) {
        if (sim.topic >= 0) {
            publication_settle();
        }
        sim.topic = -1;
    }
}

/* Several events in one frame; now and then one of them is too large. */
static void publish_pack(void)
{
    uint32_t sizes[PACK_EVENTS];
    sim.events = 1 + (uint32_t)pick(PACK_EVENTS);
    for (uint32_t i = 0; i < sim.events; i++) {
        sizes[i] = (uint32_t)pick(60);
    }
    if (chance(3)) {
        sizes[pick(sim.events)] = 1025;
    }
    sim.producer = -1;
    sim.wanted = false;
    sim.bytes = rig_pack(TOPIC_NAMES[sim.topic], sizes, sim.events, sim.frame, sizeof sim.frame);
    topic_begin(sim.topic);
    sim_topic_t *const topic = &sim.topics[sim.topic];
    for (uint32_t i = 0; i < sim.events; i++) {
        topic->keys[++topic->last] = 0;
    }
    bring();
}

static void publish(void)
{
    if (sim.held) {
        bring();
        return;
    }
    sim.topic = (int)pick(TOPICS);
    sim_topic_t *const topic = &sim.topics[sim.topic];
    if (topic->exists && topic->last > EVENTS - PACK_EVENTS) {
        return;
    }
    if (chance(15)) {
        publish_pack();
        return;
    }
    sim.events = 1;
    sim.producer = (int)pick(PRODUCERS + 1) - 1;
    sim.wanted = chance(50);
    sim.number = 0;
    if (sim.producer >= 0) {
        uint64_t *const next = &sim.next[sim.producer];
        const bool again = *next > 1 && chance(20);
        sim.number = again ? *next - 1 - pick(*next - 1 < 12 ? *next - 1 : 12)
                           : (*next += 1 + (chance(20) ? pick(4) : 0)) - 1;
        if (sim.number >= PUBLICATIONS) {
            return;
        }
        if (sim.taken[sim.producer][sim.number].taken) {
            sim.topic = sim.taken[sim.producer][sim.number].topic;
        }
    }
    char key[16];
    const uint64_t key_number = pick(KEYS + 1);
    (void)snprintf(key, sizeof key, "%d-%d", sim.topic, (int)key_number);
    const bool request = chance(10);
    sim.bytes = rig_frame(
        &(publication_t){.topic = TOPIC_NAMES[sim.topic],
                         .key = key_number != 0 ? key : NULL,
                         .type = request ? DX_FRAME_REQUEST : DX_FRAME_PUBLISH,
                         .flags = sim.wanted ? DX_FRAME_ACK_WANTED : 0,
                         .correlation = request ? 5 : 0,
                         .producer_id = sim.producer >= 0 ? (uint64_t)sim.producer + 100 : 0,
                         .producer_sequence = sim.number,
                         .payload_bytes = chance(3) ? 1025 : 1 + (uint32_t)pick(200)},
        sim.frame, sizeof sim.frame);
    topic_begin(sim.topic); /* undone in the sync when it is not made */
    sim.topics[sim.topic].last++;
    sim.topics[sim.topic].keys[sim.topics[sim.topic].last] = (uint8_t)key_number;
    bring();
}

/* -------------------------------------------------------------------------------- subscriptions */

static dx_subscription_options_t options_make(void)
{
    dx_subscription_options_t options = {
        .pattern = PATTERNS[pick(COUNT_OF(PATTERNS))],
        .from = (dx_start_from_t)pick(3),
        .from_value = 1 + pick(20),
        .filter = chance(20) ? "exists key" : NULL,
        .slow = (dx_slow_policy_t)pick(3),
        .slow_block_ns = chance(50) ? FOR_EVER : 50 * RIG_MS,
        .pending_events_max = 1 + (uint32_t)pick(12),
        .attempts_max = 1 + (uint32_t)pick(4),
        .ack_timeout_ns = 100 * RIG_MS,
        .backoff_ns = 10 * RIG_MS,
        .backoff_max_ns = 50 * RIG_MS,
    };
    if (chance(50)) {
        options.ack = (dx_ack_mode_t)(1 + pick(3));
        options.group = chance(50) ? (chance(50) ? "g" : "h") : NULL;
    }
    return options;
}

static int flow_find(const dx_subscription_options_t *options)
{
    for (int i = 0; options->group != NULL && i < FLOWS; i++) {
        const flow_t *const flow = &sim.flows[i];
        if (flow->used && !flow->ended && flow->options.group != NULL &&
            strcmp(flow->options.group, options->group) == 0 &&
            strcmp(flow->options.pattern, options->pattern) == 0) {
            return i;
        }
    }
    return -1;
}

static int flow_free_find(void)
{
    for (int i = 0; i < FLOWS; i++) {
        if (!sim.flows[i].used) {
            return i;
        }
    }
    return -1;
}

static void flow_begin(flow_t *flow, const dx_subscription_options_t *options)
{
    memset(flow, 0, sizeof *flow);
    flow->used = true;
    flow->options = *options;
    flow->team = options->group != NULL || options->ack > DX_ACK_NONE;
    flow->alone_ns = -1;
    for (int topic = 0; topic < TOPICS; topic++) {
        dx_topic_stats_t stats = {0};
        const bool exists = dxi_shard_topic_stats(sim.shard, TOPIC_NAMES[topic], &stats) == DX_OK;
        uint64_t start = exists ? stats.last_sequence + 1 : 1;
        if (exists && options->from == DX_FROM_EARLIEST && stats.first_sequence != 0) {
            start = stats.first_sequence;
        }
        if (exists && options->from == DX_FROM_SEQUENCE) {
            start = options->from_value;
        }
        place_begin(flow, topic, start);
    }
}

static void subscribe(void)
{
    sim_reader_t *reader = sim.readers;
    while (reader != sim.readers + READERS && reader->subscriber != NULL) {
        reader++;
    }
    dx_subscription_options_t options = options_make();
    int index = flow_find(&options);
    if (index >= 0) {
        options = sim.flows[index].options;
    }
    const bool joins = index >= 0;
    index = joins ? index : flow_free_find();
    if (reader == sim.readers + READERS || index < 0) {
        return;
    }
    *reader = (sim_reader_t){
        .flow = index, .packs = chance(50), .room = chance(30) ? -1 : (int64_t)pick(10)};
    if (!joins) {
        flow_begin(&sim.flows[index], &options);
    }
    const dxi_subscribe_t subscription = {
        .user = reader, .options = &options, .group_member_id = ++sim.member_ids * 77};
    dx_error_t error;
    const int code =
        dxi_shard_subscribe(sim.shard, &subscription, sim.clock_ns, &reader->subscriber, &error);
    SIM_CHECK(code == DX_OK || (code == DX_ENOMEM && sim.faults));
    if (code == DX_OK) {
        sim.flows[index].alone_ns = -1;
    } else if (!joins) {
        sim.flows[index].used = false;
    }
}

static void unsubscribe(sim_reader_t *reader)
{
    flow_t *const flow = &sim.flows[reader->flow];
    const int member = (int)(reader - sim.readers);
    int others = 0;
    for (int i = 0; i < READERS; i++) {
        others +=
            i != member && sim.readers[i].subscriber != NULL && sim.readers[i].flow == reader->flow;
    }
    for (int topic = 0; flow->team && topic < TOPICS; topic++) {
        for (uint64_t s = 1; s <= sim.topics[topic].last; s++) {
            progress_t *const event = &flow->places[topic].events[s];
            if (event->state == GIVEN && event->member == member) {
                event->state = WAIT;
            }
        }
    }
    dxi_subscriber_t *const subscriber = reader->subscriber;
    reader->ended = true; /* nothing more may come */
    dxi_shard_unsubscribe(sim.shard, subscriber, sim.clock_ns);
    reader->subscriber = NULL;
    if (others == 0) {
        flow->alone_ns = sim.clock_ns;
        flow->was_alone = true; /* nobody waits for a group without members */
        flow->used = flow->options.group != NULL && !flow->ended;
    }
}

static sim_reader_t *reader_pick(void)
{
    for (int tries = 0; tries < 20; tries++) {
        sim_reader_t *const reader = &sim.readers[pick(READERS)];
        if (reader->subscriber != NULL) {
            return reader;
        }
    }
    return NULL;
}

/* ------------------------------------------------------------------------------ answers, topics */

static void acknowledge(sim_reader_t *reader, int topic, uint64_t first, uint64_t last, int code)
{
    flow_t *const flow = &sim.flows[reader->flow];
    const int member = (int)(reader - sim.readers);
    bool any = false;
    for (uint64_t s = first; flow->team && s <= last && s <= sim.topics[topic].last; s++) {
        progress_t *const event = &flow->places[topic].events[s];
        if (event->state != GIVEN || event->member != member) {
            continue;
        }
        any = true;
        if (code == DX_OK) {
            event->state = DONE;
        } else {
            event_fail(flow, topic, s, code);
        }
    }
    const int result =
        dxi_shard_acknowledge(sim.shard, reader->subscriber, TOPIC_NAMES[topic],
                              strlen(TOPIC_NAMES[topic]), first, last, code, sim.clock_ns);
    SIM_CHECK(result == (any ? DX_OK : DX_ENOTFOUND));
}

static void acknowledge_something(void)
{
    sim_reader_t *const reader = reader_pick();
    const int topic = (int)pick(TOPICS);
    if (reader == NULL || sim.topics[topic].last == 0) {
        return;
    }
    const uint64_t last = sim.topics[topic].last;
    const uint64_t first = 1 + (chance(70) ? last - 1 - pick(last < 10 ? last : 10) : pick(last));
    const uint64_t count = chance(10) ? UINT64_MAX / 2 : pick(4);
    acknowledge(reader, topic, first, first + count,
                chance(75)   ? DX_OK
                : chance(90) ? DX_EIO
                             : DX_EFATAL);
}

static void tick(void)
{
    for (int i = 0; i < FLOWS; i++) {
        flow_t *const flow = &sim.flows[i];
        if (flow->used && flow->alone_ns >= 0 &&
            sim.clock_ns >= flow->alone_ns + DXI_TEAM_LINGER_NS) {
            flow->used = false;
        }
        events_expire(flow);
    }
    const int64_t next_ns = dxi_shard_tick(sim.shard, sim.clock_ns, RIG_UNIX_NS + sim.clock_ns);
    SIM_CHECK(next_ns >= sim.clock_ns);
}

/* A topic is declared, changed or deleted. */
static void topic_do(void)
{
    const int topic = (int)pick(TOPICS - 1); /* no inbox */
    const dx_topic_options_t options = {
        .retain_events = chance(20) ? DX_RETAIN_NONE : 1 + pick(20),
        .retain_bytes = chance(50) ? 0 : 512 + pick(4096),
        .retain_age_ns = chance(20) ? 500 * RIG_MS : 0,
        .event_bytes_max = 1024,
    };
    if (chance(50)) {
        const int code = dxi_shard_topic_create(sim.shard, TOPIC_NAMES[topic], &options, NULL);
        SIM_CHECK(code == DX_OK || code == DX_EEXIST || (code == DX_ENOMEM && sim.faults));
        if (code == DX_OK) {
            topic_begin(topic);
        }
        return;
    }
    const dx_frame_header_t *const frame = (const dx_frame_header_t *)(const void *)sim.frame;
    if (sim.held && sim.topic == topic && frame->type != DX_FRAME_EVENT) {
        return; /* its publication would make it again */
    }
    if (sim.topics[topic].exists && chance(30)) {
        const int current = sim.topic;
        sim.topic = -2; /* even who blocks is told of a gap */
        SIM_CHECK(dxi_shard_topic_delete(sim.shard, TOPIC_NAMES[topic]) == DX_OK);
        sim.topic = current;
        if (sim.held && current == topic) { /* it was taken, and its topic is gone */
            sim.topic = -1;
            if (sim.producer >= 0) {
                sim.taken[sim.producer][sim.number] =
                    (taken_t){true, topic, frame->sequence, frame->timestamp_ns};
            }
        }
        topic_end(topic);
    }
}

/* ---------------------------------------------------------------------------------------- a run */

/* Inboxes come and go with their readers, and a topic may not have been made for want of memory. */
static void topics_sync(void)
{
    for (int topic = 0; topic < TOPICS; topic++) {
        dx_topic_stats_t stats = {0};
        const bool exists = dxi_shard_topic_stats(sim.shard, TOPIC_NAMES[topic], &stats) == DX_OK;
        if (!exists) {
            SIM_CHECK(!sim.topics[topic].exists || topic == TOPICS - 1 ||
                      sim.topics[topic].last == 0);
            topic_end(topic);
        } else {
            SIM_CHECK(sim.topics[topic].exists);
            const uint64_t held = sim.held && sim.topic == topic ? sim.events : 0;
            SIM_CHECK(stats.published + held >= sim.topics[topic].last);
            SIM_CHECK(stats.published <= sim.topics[topic].last);
        }
    }
}

static void step(void)
{
    const uint64_t what = pick(100);
    sim_reader_t *const reader = reader_pick();
    if (what < 45) {
        publish();
    } else if (what < 60 && reader != NULL) {
        if (!reader->ended && !reader->told_gone) {
            reader->room = chance(20) ? -1 : reader->room + (int64_t)pick(8);
        }
        dxi_shard_ready(sim.shard, reader->subscriber, sim.clock_ns);
    } else if (what < 78) {
        acknowledge_something();
    } else if (what < 88) {
        sim.clock_ns += (int64_t)pick(60) * RIG_MS + (chance(3) ? DXI_TEAM_LINGER_NS : 0);
        tick();
    } else if (what < 94) {
        subscribe();
    } else if (what < 96 && reader != NULL) {
        unsubscribe(reader);
    } else if (what < 97 && reader != NULL) {
        reader->gone = true;
    } else {
        topic_do();
    }
    for (int i = 0; i < READERS; i++) { /* who is told that it is over goes, sooner or later */
        sim_reader_t *const each = &sim.readers[i];
        if (each->subscriber != NULL && (each->ended || each->told_gone) && chance(30)) {
            unsubscribe(each);
        }
    }
}

/* Room for everybody, an answer for everything. */
static void drain(void)
{
    sim.draining = true;
    for (int i = 0; i < READERS; i++) {
        sim_reader_t *const reader = &sim.readers[i];
        if (reader->subscriber != NULL && (reader->ended || reader->gone)) {
            unsubscribe(reader);
        }
    }
    for (int round = 0; round < 2000; round++) {
        sim.step++;
        sim.clock_ns += 5 * RIG_MS;
        tick();
        if (sim.held) {
            bring();
        }
        for (int i = 0; i < READERS; i++) {
            sim_reader_t *const reader = &sim.readers[i];
            if (reader->subscriber == NULL) {
                continue;
            }
            if (reader->ended) {
                unsubscribe(reader);
                continue;
            }
            reader->room = -1;
            dxi_shard_ready(sim.shard, reader->subscriber, sim.clock_ns);
            for (int topic = 0; topic < TOPICS; topic++) {
                acknowledge(reader, topic, 1, UINT64_MAX, DX_OK);
            }
        }
        dxi_shard_check(sim.shard);
        if (!sim.held && dxi_shard_idle(sim.shard)) {
            return;
        }
    }
    const bool comes_to_rest = false;
    SIM_CHECK(comes_to_rest);
}

/* Nothing is missing. */
static void flow_settled(const flow_t *flow, uint64_t *delivered)
{
    for (int topic = 0; topic < TOPICS; topic++) {
        const place_t *const place = &flow->places[topic];
        if (!sim.topics[topic].exists || !matches(flow, topic)) {
            continue;
        }
        for (uint64_t s = flow->team ? place->start : place->expected; s <= sim.topics[topic].last;
             s++) {
            SIM_CHECK(!wants(flow, topic, s) || (flow->team && place->events[s].state == DONE));
        }
    }
    *delivered += flow->delivered;
}

static void settled(void)
{
    for (int i = 0; i < READERS; i++) {
        const sim_reader_t *const reader = &sim.readers[i];
        if (reader->subscriber != NULL && !sim.flows[reader->flow].ended) {
            uint64_t delivered = 0;
            const flow_t *const flow = &sim.flows[reader->flow];
            flow_settled(flow, &delivered);
            dx_subscription_stats_t stats;
            dxi_shard_subscriber_stats(reader->subscriber, &stats);
            SIM_CHECK(stats.lag == 0 && stats.pending == 0);
            SIM_CHECK(flow->team || stats.delivered == delivered);
        }
    }
    SIM_CHECK(sim.dead == sim.letters + sim.shard->dead_lost);
}

static void on_abort(int number)
{
    (void)number;
    char text[96];
    const int bytes =
        snprintf(text, sizeof text, "seed %llu, step %d\n", (unsigned long long)sim.seed, sim.step);
    (void)!write(STDERR_FILENO, text, (size_t)bytes);
}

/* The next step may run out of memory; a release has no such faults. */
static void fault_arm(void)
{
#if DX_TEST_HOOKS
    if (sim.faults && chance(10)) {
        dxi_fault_arm((int64_t)pick(4));
    }
#endif
}

static void fault_disarm(void)
{
#if DX_TEST_HOOKS
    dxi_fault_disarm();
#endif
}

static void run(uint64_t seed)
{
    memset(&sim, 0, sizeof sim);
    sim.seed = seed;
    sim.random = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    sim.clock_ns = 1000 * RIG_MS;
    sim.topic = -1;
    sim.faults = chance(30);
    for (int i = 0; i < PRODUCERS; i++) {
        sim.next[i] = 1;
    }
#if DX_TEST_HOOKS
    const int64_t live = dxi_live_count();
#endif
    const dxi_shard_options_t options = {.bus = {.topic = {.retain_events = 1 + pick(30)},
                                                 .event_bytes_max = 1024,
                                                 .retain_bytes_max = chance(20) ? 4096 : 65536},
                                         .actions = {.answer = sim_answer,
                                                     .deliver = sim_deliver,
                                                     .gap = sim_gap,
                                                     .end = sim_end,
                                                     .publish = sim_letter}};
    assert_ok(dxi_shard_create(&options, &sim.shard, NULL));
    for (; sim.step < STEPS; sim.step++) {
        fault_arm();
        step();
        fault_disarm();
        topics_sync();
        dxi_shard_check(sim.shard);
    }
    drain();
    settled();
    dxi_shard_destroy(sim.shard);
#if DX_TEST_HOOKS
    SIM_CHECK(dxi_live_count() == live);
#endif
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *const text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static void the_shard_keeps_its_promises_whatever_happens(void **state)
{
    (void)state;
    const uint64_t first = number_from("DX_SIM_SEED", 1);
    const uint64_t runs = number_from("DX_SIM_RUNS", getenv("DX_SIM_SEED") != NULL ? 1 : RUNS);
    (void)signal(SIGABRT, on_abort);
    for (uint64_t i = 0; i < runs; i++) {
        run(first + i);
    }
    for (size_t i = 0; i < COUNT_OF(KEPT) && getenv("DX_SIM_SEED") == NULL; i++) {
        run(KEPT[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_shard_keeps_its_promises_whatever_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
