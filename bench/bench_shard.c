/* bench_shard.c - what an event costs in a shard: sequence, retention, matching, delivery.
 *
 * QUESTION   How long does dxi_shard_event() take for an event with 128 bytes, by the number of its
 * subscribers, with literal and wildcard patterns, for one topic and for many in turn, with
 * retention and without, and for acknowledged subscriptions (each event is answered at once)?
 *
 * METHOD     64 KiB of frames lie one behind the other, as in a ring; each event takes the next one
 * and stamps it. Subscribers count and add up sequences, which is checked. Scenarios are
 * interleaved over the rounds; medians and quartiles over the rounds, of processor time per event.
 * `per delivery` is the median divided by the subscribers.
 *
 * NOT MEASURED   The ring in front (`dx bench ring`), the hand-over to threads and connections, and
 * frames that are in no cache.
 *
 * Options: --quick (a fiftieth of the work, for tests).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bus/shard.h"

#define ROUNDS 11
#define EVENTS_A_ROUND 400000 /* divided by the subscribers */
#define PAYLOAD_BYTES 128
#define ARENA_BYTES 65536
#define SUBSCRIBERS_MAX 100
#define TOPICS_MAX 10000

typedef struct scenario {
    const char *name;
    const char *pattern; /* of the subscribers; %d is the topic */
    uint32_t subscribers;
    uint32_t topics;
    bool keeps_nothing;
    dx_ack_mode_t ack;
} scenario_t;

static const scenario_t SCENARIOS[] = {
    {"no subscriber", NULL, 0, 1, false, DX_ACK_NONE},
    {"1 literal, nothing retained", "orders.created.0", 1, 1, true, DX_ACK_NONE},
    {"1 literal", "orders.created.0", 1, 1, false, DX_ACK_NONE},
    {"1 wildcard", "orders.*.>", 1, 1, false, DX_ACK_NONE},
    {"1 wildcard, 16 topics", "orders.*.>", 1, 16, false, DX_ACK_NONE},
    {"1 wildcard, 10000 topics", "orders.*.>", 1, TOPICS_MAX, true, DX_ACK_NONE},
    {"10 literal", "orders.created.0", 10, 1, false, DX_ACK_NONE},
    {"100 literal", "orders.created.0", 100, 1, false, DX_ACK_NONE},
    {"100 wildcard", "orders.*.*", 100, 1, false, DX_ACK_NONE},
    {"1 acknowledged", "orders.created.0", 1, 1, false, DX_ACK_EXPLICIT},
};
#define SCENARIO_COUNT (sizeof SCENARIOS / sizeof SCENARIOS[0])

typedef struct reader {
    uint64_t count;
    uint64_t sum;
} reader_t;

typedef struct bench {
    dxi_shard_t *shard;
    dxi_subscriber_t *subscribers[SUBSCRIBERS_MAX];
    reader_t readers[SUBSCRIBERS_MAX];
    uint64_t events;
} bench_t;

static bench_t benches[SCENARIO_COUNT];
static __attribute__((aligned(64))) char arena[ARENA_BYTES];

static void die(const char *what)
{
    fprintf(stderr, "bench_shard: %s\n", what);
    exit(1);
}

static int64_t cpu_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int deliver(void *context, void *user, const dxi_delivery_t *delivery)
{
    (void)context;
    reader_t *const reader = user;
    reader->count++;
    reader->sum += delivery->frame->sequence;
    return DX_OK;
}

static int gap(void *context, void *user, const dx_gap_t *told)
{
    (void)context, (void)user, (void)told;
    die("a gap");
    return DX_OK;
}

static void answer(void *context, uint64_t origin, const dxi_answer_t *told)
{
    (void)context, (void)origin;
    die(told->sentence != NULL ? told->sentence : "an answer nobody asked for");
}

static void topic_name(char *name, size_t room, uint32_t number)
{
    (void)snprintf(name, room, "orders.created.%" PRIu32, number);
}

static void bench_open(bench_t *bench, const scenario_t *scenario)
{
    dxi_shard_options_t options = {
        .actions = {.context = bench, .answer = answer, .deliver = deliver, .gap = gap}};
    if (scenario->keeps_nothing) {
        options.bus.topic.retain_events = DX_RETAIN_NONE;
    }
    dx_error_t error;
    if (dxi_shard_create(&options, &bench->shard, &error) != DX_OK) {
        die(error.message);
    }
    for (uint32_t i = 0; i < scenario->subscribers; i++) {
        const dx_subscription_options_t subscription = {.pattern = scenario->pattern,
                                                        .ack = scenario->ack};
        const dxi_subscribe_t subscribe = {.user = &bench->readers[i], .options = &subscription};
        if (dxi_shard_subscribe(bench->shard, &subscribe, 1, &bench->subscribers[i], &error) !=
            DX_OK) {
            die(error.message);
        }
    }
}

/* A publication as it stands in a ring. The topic's number differs in the name only. */
static uint32_t publication(char *frame, size_t room, uint32_t topic)
{
    static const char payload[PAYLOAD_BYTES];
    char name[64];
    topic_name(name, sizeof name, topic);
    const dx_frame_part_t part = dx_frame_part_text(DX_PART_TOPIC, name);
    const dx_frame_draft_t draft = {.type = DX_FRAME_PUBLISH,
                                    .key_hash = dx_frame_key_hash(name, strlen(name)),
                                    .parts = &part,
                                    .part_count = 1,
                                    .payload_bytes = PAYLOAD_BYTES};
    const int64_t bytes = dx_frame_encode(frame, room, &draft, payload, NULL);
    if (bytes < 0) {
        die("a frame has no room");
    }
    return (uint32_t)bytes;
}

/* Fills the arena for `scenario` from topic `first` on. Returns how many frames. */
static uint32_t arena_fill(const scenario_t *scenario, uint32_t *first, uint32_t offsets[],
                           uint32_t most)
{
    uint32_t count = 0;
    for (size_t at = 0; count < most && at + 512 <= sizeof arena; count++) {
        offsets[count] = (uint32_t)at;
        at += publication(arena + at, sizeof arena - at, *first);
        *first = (*first + 1) % scenario->topics;
    }
    return count;
}

/* `count` events; only dxi_shard_event() and the answers are timed. */
static double measure(bench_t *bench, const scenario_t *scenario, uint32_t count)
{
    static uint32_t offsets[512];
    static uint32_t topic;
    int64_t spent_ns = 0;
    topic = 0;
    for (uint32_t done = 0; done < count;) {
        const uint32_t left = count - done;
        const uint32_t filled = arena_fill(scenario, &topic, offsets, left < 200 ? left : 200);
        const int64_t from_ns = cpu_ns();
        for (uint32_t i = 0; i < filled; i++) {
            dx_frame_header_t *const frame = (dx_frame_header_t *)(void *)(arena + offsets[i]);
            const int code = dxi_shard_event(
                bench->shard, frame, dx_frame_header_frame_bytes(frame), 0, 1, 1000, (int64_t)done);
            if (code != DX_OK) {
                die("an event was not taken");
            }
            if (scenario->ack == DX_ACK_EXPLICIT &&
                dxi_shard_acknowledge(bench->shard, bench->subscribers[0], "orders.created.0", 16,
                                      frame->sequence, frame->sequence, DX_OK, 1000) != DX_OK) {
                die("an event was not given");
            }
        }
        spent_ns += cpu_ns() - from_ns;
        done += filled;
    }
    bench->events += count;
    return (double)spent_ns / count;
}

static int compare(const void *a, const void *b)
{
    const double left = *(const double *)a;
    const double right = *(const double *)b;
    return (left > right) - (left < right);
}

static void verify(const bench_t *bench, const scenario_t *scenario)
{
    for (uint32_t i = 0; i < scenario->subscribers; i++) {
        const reader_t *const reader = &bench->readers[i];
        if (reader->count != bench->events ||
            (scenario->topics == 1 && reader->sum != bench->events * (bench->events + 1) / 2)) {
            die("a subscriber has not got each event once");
        }
    }
}

int main(int argc, char **argv)
{
    const bool quick = argc == 2 && strcmp(argv[1], "--quick") == 0;
    if (argc > 1 && !quick) {
        fprintf(stderr, "usage: bench_shard [--quick]\n");
        return 2;
    }
    static double ns[SCENARIO_COUNT][ROUNDS];
    for (size_t i = 0; i < SCENARIO_COUNT; i++) {
        bench_open(&benches[i], &SCENARIOS[i]);
        (void)measure(&benches[i], &SCENARIOS[i], SCENARIOS[i].topics * 2);
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < SCENARIO_COUNT; i++) {
            uint32_t count = EVENTS_A_ROUND / (SCENARIOS[i].subscribers / 4 + 1);
            count = quick ? count / 50 : count;
            ns[i][round] = measure(&benches[i], &SCENARIOS[i], count);
        }
    }
    printf("bench_shard: %d rounds, %d bytes of payload, ns of processor time per event\n", ROUNDS,
           PAYLOAD_BYTES);
    printf("%-30s %8s %8s %8s %14s\n", "subscribers", "median", "q1", "q3", "per delivery");
    for (size_t i = 0; i < SCENARIO_COUNT; i++) {
        const uint32_t subscribers = SCENARIOS[i].subscribers;
        qsort(ns[i], ROUNDS, sizeof ns[i][0], compare);
        printf("%-30s %8.1f %8.1f %8.1f %14.1f\n", SCENARIOS[i].name, ns[i][ROUNDS / 2],
               ns[i][ROUNDS / 4], ns[i][ROUNDS * 3 / 4],
               ns[i][ROUNDS / 2] / (subscribers != 0 ? subscribers : 1));
        verify(&benches[i], &SCENARIOS[i]);
        dxi_shard_destroy(benches[i].shard);
    }
    return 0;
}
