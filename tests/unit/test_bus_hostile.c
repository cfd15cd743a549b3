/* test_bus_hostile.c - clients that send well-formed frames with anything in them, in any state;
 * beside them one that behaves, and must not notice.
 *
 * The parsers are fuzzed by themselves (tests/fuzz). Here checksums and rules of frames are right,
 * so that what they say reaches sessions, shards and commands: numbers of subscriptions that are
 * not there, ranges that end before they begin, credit without end, times of centuries.
 *
 * DX_HOSTILE_FRAMES and DX_HOSTILE_SEED in the environment: more of them, and others.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <poll.h>

#include "session_test.h"

#define HOSTILE 3      /* connections */
#define FRAMES 20000   /* of all of them */
#define TURN 16        /* frames of one connection in a row */
#define HONEST_EACH 25 /* turns, to one of the client that behaves */
#define HONEST_EVENTS 5

static uint64_t seed;

static uint64_t dice(uint64_t sides)
{
    return random_next(&seed) % sides;
}

static bool chance(uint64_t one_of)
{
    return dice(one_of) == 0;
}

/* A number that somebody may have forgotten to expect. */
static uint64_t any_number(void)
{
    static const uint64_t odd[] = {
        0,          16,        17,         255,        65535,         1u << 31,
        UINT32_MAX, INT64_MAX, 1ull << 63, UINT64_MAX, UINT64_MAX - 1};
    return chance(2) ? dice(40) : odd[dice(COUNT_OF(odd))];
}

#define ANY_OF(texts) ((texts)[dice(COUNT_OF(texts))])

static const char *any_topic(void)
{
    static const char *const topics[] = {"t",  "u",       "a.b",      "a.*",     "a.>",
                                         ">",  "*",       "d",        "k",       "a.b.c.d",
                                         "$x", "$dead.t", "$inbox.a", "$inbox.b"};
    /* Often one that may be published to. */
    return topics[dice(chance(2) ? COUNT_OF(topics) : 3)];
}

static const char *any_options(void)
{
    static const char *const options[] = {"",
                                          "{}",
                                          "[",
                                          "{\"name\":\"x\"}",
                                          "{\"ack\":\"explicit\"}",
                                          "{\"ack\":\"auto\",\"attempts_max\":1}",
                                          "{\"slow\":\"block\",\"slow_block_ns\":1000000}",
                                          "{\"slow\":\"disconnect\"}",
                                          "{\"dead_letter\":\"t\",\"attempts_max\":1}",
                                          "{\"ack_timeout_ns\":1,\"backoff_ns\":1}",
                                          "{\"ack_timeout_ns\":9223372036854775807}",
                                          "{\"pending_events_max\":1}",
                                          "{\"direct_bytes\":65536}",
                                          "{\"shard_by\":\"key\"}",
                                          "{\"retain_events\":3}",
                                          "{\"retain_events\":\"none\",\"full\":\"fail\"}",
                                          "{\"retain_bytes\":100}",
                                          "{\"event_bytes_max\":4}"};
    return options[dice(chance(2) ? COUNT_OF(options) : 2)];
}

/* --------------------------------------------------------------------------------------- frames */

/* A frame in the making, and what its parts point to. */
typedef struct letter {
    dx_frame_draft_t draft;
    dx_frame_part_t parts[20];
    uint64_t words[20]; /* of the part of the same place */
    uint64_t numbers[64];
    dx_frame_start_t start;
    dx_frame_range_t range;
    dx_frame_credit_t credit;
    dx_frame_code_t code;
    dx_frame_batch_info_t batch;
    dx_frame_capabilities_t can;
    uint64_t payload[512];
} letter_t;

static void put(letter_t *letter, dx_frame_part_t part)
{
    letter->parts[letter->draft.part_count++] = part;
}

static void put_text(letter_t *letter, int part, const char *text)
{
    put(letter, dx_frame_part_text((uint16_t)part, text));
}

static void put_word(letter_t *letter, int part, uint64_t value, uint32_t bytes)
{
    uint64_t *const word = &letter->words[letter->draft.part_count];
    *word = value;
    put(letter, dx_frame_part_of((uint16_t)part, word, bytes));
}

/* The parts that a type of frame has, as bits; each is left out now and then, and others come. */
enum {
    TOPIC = 1,
    CORRELATION = 2,
    NUMBERS = 4,
    GROUP = 8,
    FILTER = 16,
    START = 32,
    RANGE = 64,
    CREDIT = 128,
    CODE = 256,
    BATCH = 512,
    CAN = 1024,
    MECHANISM = 2048,
    KEY = 4096,
    REPLY_TO = 8192,
    TIMEOUT = 16384,
    LAST = TIMEOUT
};

static void part_put(letter_t *letter, int which)
{
    switch (which) {
    case TOPIC:
        put_text(letter, DX_PART_TOPIC, any_topic());
        break;
    case CORRELATION:
        put_word(letter, DX_PART_CORRELATION, any_number(), 8);
        break;
    case KEY:
        put_word(letter, DX_PART_KEY, dice(4), 1 + (uint32_t)dice(8));
        break;
    case TIMEOUT:
        put_word(letter, DX_PART_TIMEOUT, any_number(), 8);
        break;
    case REPLY_TO:
        put_text(letter, DX_PART_REPLY_TO, any_topic());
        break;
    case GROUP:
        put_text(letter, DX_PART_GROUP, chance(2) ? "g" : "h");
        break;
    case MECHANISM:
        put_text(letter, DX_PART_MECHANISM, "token");
        break;
    case FILTER:
        put_text(letter, DX_PART_FILTER,
                 chance(2) ? "key = \"a\" or header.x > 3" : "topic ^= \"a\" and (exists key)");
        break;
    case NUMBERS: {
        const uint32_t count = chance(10) ? 1 + (uint32_t)dice(COUNT_OF(letter->numbers)) : 1;
        for (uint32_t i = 0; i < count; i++) {
            letter->numbers[i] = chance(8) ? any_number() : dice(6);
        }
        put(letter, dx_frame_part_of(DX_PART_SUBSCRIPTION, letter->numbers, 8 * count));
        break;
    }
    case START:
        letter->start.from = (uint32_t)dice(5);
        letter->start.value = any_number();
        put(letter, dx_frame_part_of(DX_PART_START, &letter->start, sizeof letter->start));
        break;
    case RANGE:
        letter->range.first = chance(4) ? any_number() : 1 + dice(60);
        letter->range.last = chance(3) ? any_number() : letter->range.first + dice(5);
        put(letter, dx_frame_part_of(DX_PART_RANGE, &letter->range, sizeof letter->range));
        break;
    case CREDIT:
        letter->credit = chance(2) ? (dx_frame_credit_t){any_number(), any_number()}
                                   : (dx_frame_credit_t){1000, 100000};
        put(letter, dx_frame_part_of(DX_PART_CREDIT, &letter->credit, sizeof letter->credit));
        break;
    case CODE:
        letter->code.code = chance(3) ? (int32_t)any_number() : -(int32_t)dice(30);
        put(letter, dx_frame_part_of(DX_PART_CODE, &letter->code, sizeof letter->code));
        break;
    case BATCH:
        letter->batch = (dx_frame_batch_info_t){.codec = (uint32_t)dice(5),
                                                .count = (uint32_t)any_number(),
                                                .raw_bytes = (uint32_t)any_number()};
        put(letter, dx_frame_part_of(DX_PART_BATCH, &letter->batch, sizeof letter->batch));
        break;
    default:
        letter->can = (dx_frame_capabilities_t){any_number(), 64 + (uint32_t)dice(100000), 1, 1};
        put(letter, dx_frame_part_of(DX_PART_CAPABILITIES, &letter->can, sizeof letter->can));
        break;
    }
}

/* Several events in one frame. */
static void pack(letter_t *letter)
{
    const uint64_t count = 1 + dice(20);
    letter->draft.flags = DX_FRAME_PACKED;
    letter->payload[0] = count | 8 * count << 32;
    for (uint64_t i = 0; i < count; i++) {
        letter->payload[1 + 2 * i] = 8;
        letter->payload[2 + 2 * i] = i;
    }
    letter->draft.payload_bytes = (uint32_t)(8 + 16 * count);
}

static void payload_put(letter_t *letter)
{
    static const char *const questions[] = {"direct", "node", "x"};
    const uint8_t type = letter->draft.type;
    const char *text = NULL;
    if (type == DX_FRAME_SUBSCRIBE || type == DX_FRAME_TOPIC_CREATE ||
        type == DX_FRAME_TOPIC_CHANGE) {
        text = any_options();
    } else if (type == DX_FRAME_ASK) {
        text = ANY_OF(questions);
    }
    if (text != NULL) {
        letter->draft.payload_bytes = (uint32_t)strlen(text);
        memcpy(letter->payload, text, strlen(text));
    } else if (type == DX_FRAME_PUBLISH && chance(5)) {
        pack(letter);
    } else if (type == DX_FRAME_PUBLISH || type == DX_FRAME_REQUEST || type == DX_FRAME_REPLY ||
               type == DX_FRAME_PING || type == DX_FRAME_AUTH || type == DX_FRAME_BATCH) {
        letter->draft.payload_bytes = (uint32_t)dice(chance(9) ? sizeof letter->payload : 40);
    }
}

static void letter_write(letter_t *letter)
{
    static const struct {
        uint8_t type;
        int wants, weight; /* 0: the node may well end the connection for it */
    } KINDS[] = {{DX_FRAME_PUBLISH, TOPIC, 6},
                 {DX_FRAME_REQUEST, TOPIC | CORRELATION | REPLY_TO, 2},
                 {DX_FRAME_REPLY, TOPIC | CORRELATION, 2},
                 {DX_FRAME_CREDIT, NUMBERS | CREDIT, 3},
                 {DX_FRAME_ACK, TOPIC | NUMBERS | RANGE, 3},
                 {DX_FRAME_NACK, TOPIC | NUMBERS | RANGE | CODE, 2},
                 {DX_FRAME_SUBSCRIBE, TOPIC | CORRELATION | NUMBERS, 5},
                 {DX_FRAME_UNSUBSCRIBE, CORRELATION | NUMBERS, 2},
                 {DX_FRAME_TOPIC_CREATE, TOPIC | CORRELATION, 1},
                 {DX_FRAME_TOPIC_CHANGE, TOPIC | CORRELATION, 1},
                 {DX_FRAME_TOPIC_DELETE, TOPIC | CORRELATION, 1},
                 {DX_FRAME_TOPIC_LIST, TOPIC | CORRELATION, 1},
                 {DX_FRAME_TOPIC_STATS, TOPIC | CORRELATION, 1},
                 {DX_FRAME_ASK, CORRELATION, 1},
                 {DX_FRAME_PING, 0, 1},
                 {DX_FRAME_ERROR, CODE, 0},
                 {DX_FRAME_GAP, TOPIC | NUMBERS | RANGE, 0},
                 {DX_FRAME_DELIVER, NUMBERS, 0},
                 {DX_FRAME_EVENT, TOPIC, 0},
                 {DX_FRAME_BATCH, BATCH, 0},
                 {DX_FRAME_AUTH, MECHANISM, 0},
                 {DX_FRAME_HELLO, CAN, 0},
                 {DX_FRAME_GOODBYE, 0, 0}};
    size_t kind = dice(COUNT_OF(KINDS));
    while (dice(6) >= (uint64_t)KINDS[kind].weight && !chance(200)) {
        kind = dice(COUNT_OF(KINDS));
    }
    letter->draft = (dx_frame_draft_t){.type = KINDS[kind].type,
                                       .shard = (uint16_t)(chance(6) ? any_number() : dice(2)),
                                       .sequence = chance(9) ? any_number() : 0,
                                       .term = chance(9) ? (uint32_t)any_number() : 0,
                                       .timestamp_ns = any_number(),
                                       .parts = letter->parts};
    payload_put(letter);
    if ((letter->draft.flags & DX_FRAME_PACKED) == 0) {
        letter->draft.flags |= chance(3) ? DX_FRAME_ACK_WANTED : 0;
        letter->draft.flags |= chance(8) ? DX_FRAME_RETRY : 0;
        letter->draft.flags |= chance(8) ? DX_FRAME_HOLD : 0;
        letter->draft.producer_id = chance(6) ? 78 + dice(3) : 0;
        letter->draft.producer_sequence = chance(4) ? any_number() : 1 + dice(60);
    }
    for (int part = TOPIC; part <= LAST; part *= 2) {
        if ((KINDS[kind].wants & part) != 0 ? !chance(12) : chance(40)) {
            part_put(letter, part);
        }
    }
}

/* --------------------------------------------------------------------------------- the hostile */

typedef struct world {
    node_t node;
    raw_t hostile[HOSTILE];
    bool open[HOSTILE];
    raw_t publisher, subscriber;
    uint64_t published; /* by the client that behaves */
    uint64_t frames, connections;
} world_t;

static void hostile_close(world_t *w, uint64_t which)
{
    raw_close(&w->hostile[which]);
    w->open[which] = false;
}

static void hostile_open(world_t *w, uint64_t which)
{
    raw_t *const raw = &w->hostile[which];
    raw_connect(raw, &w->node);
    raw_frame_bytes_max = chance(4) ? 64 + (uint32_t)dice(3000) : 1048576;
    raw_hello_can(raw, chance(2) ? DXI_CAPABILITY_PACK : 0);
    raw_frame_bytes_max = 1048576;
    assert_true(fcntl(raw->fd, F_SETFL, O_NONBLOCK) == 0);
    w->open[which] = true;
    w->connections++;
}

/* Throws away what has come. False when the node has closed. */
static bool hostile_drain(const raw_t *raw)
{
    ssize_t got = 1;
    while (got > 0) {
        got = recv(raw->fd, raw->in, RAW_BYTES, 0);
    }
    return got < 0 && (errno == EAGAIN || errno == EINTR);
}

/* Sends one frame, whole unless the node does not take it: it need not read from one who does not
 * give credit, or has none. False: the connection is done with. */
static bool hostile_send(world_t *w, uint64_t which, const void *frame, size_t bytes)
{
    const raw_t *const raw = &w->hostile[which];
    const char *at = frame;
    w->frames++;
    while (bytes != 0) {
        const ssize_t sent = send(raw->fd, at, bytes, MSG_NOSIGNAL);
        if (sent > 0) {
            at += sent;
            bytes -= (size_t)sent;
        } else if (errno != EAGAIN && errno != EINTR) {
            return false;
        } else if (chance(20) || !hostile_drain(raw)) {
            return false;
        } else {
            struct pollfd wait = {.fd = raw->fd, .events = POLLOUT | POLLIN};
            (void)poll(&wait, 1, 1);
        }
    }
    return true;
}

/* Some frames of one connection, which may end by it. */
static void hostile_turn(world_t *w)
{
    static letter_t letter;
    static uint64_t frame[8192];
    const uint64_t which = dice(HOSTILE);
    if (!w->open[which]) {
        hostile_open(w, which);
    }
    bool good = true;
    for (int i = 0; i < TURN && good; i++) {
        letter_write(&letter);
        const int64_t bytes =
            dx_frame_encode(frame, sizeof frame, &letter.draft, letter.payload, NULL);
        good = bytes < 0 || hostile_send(w, which, frame, (size_t)bytes);
    }
    if (!good || chance(60) || (chance(2) && !hostile_drain(&w->hostile[which]))) {
        hostile_close(w, which);
    }
}

/* -------------------------------------------------------------------------- who must not notice */

static void honest_turn(world_t *w)
{
    for (int i = 0; i < HONEST_EVENTS; i++) {
        w->published++;
        raw_publish(&w->publisher, "honest", w->published, &w->published, 8);
        (void)raw_expect(&w->publisher, DX_FRAME_ACK);
        assert_int_equal(w->publisher.view.header->producer_sequence, w->published);
        (void)raw_expect(&w->subscriber, DX_FRAME_DELIVER);
        const dx_frame_view_t *const event = raw_expect(&w->subscriber, DX_FRAME_EVENT);
        assert_int_equal(event->header->sequence, w->published);
        assert_int_equal(event->payload_bytes, 8);
        assert_memory_equal(event->payload, &w->published, 8);
    }
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *const text = getenv(name);
    return text != NULL && text[0] != 0 ? strtoull(text, NULL, 10) : otherwise;
}

static void frames_with_anything_in_them_harm_nobody(void **state)
{
    (void)state;
    static world_t w;
    const uint64_t frames = from_environment("DX_HOSTILE_FRAMES", FRAMES);
    const uint64_t first_seed = from_environment("DX_HOSTILE_SEED", 1);
    seed = first_seed * UINT64_C(0x9E3779B97F4A7C15);
    node_open(&w.node,
              &(dx_bus_options_t){
                  .shards = 2, .loops = 2, .shard_ring_bytes = 65536, .event_bytes_max = 4096},
              NULL);
    raw_open(&w.publisher, &w.node);
    raw_open(&w.subscriber, &w.node);
    raw_subscribed(&w.subscriber, 1, "honest", NULL, "{}");
    for (uint64_t turn = 0; w.frames < frames; turn++) {
        hostile_turn(&w);
        if (turn % HONEST_EACH == 0) {
            honest_turn(&w);
        }
    }
    for (uint64_t i = 0; i < HOSTILE; i++) {
        if (w.open[i]) {
            hostile_close(&w, i);
        }
    }
    honest_turn(&w);
    const dxi_sessions_stat_t stat = node_stat(&w.node);
    printf("seed %llu: %llu frames on %llu connections, %llu events taken, %llu delivered\n",
           (unsigned long long)first_seed, (unsigned long long)w.frames,
           (unsigned long long)w.connections, (unsigned long long)stat.events_in,
           (unsigned long long)stat.events_out);
    assert_true(w.connections > 1 && stat.events_in > w.published);
    raw_close(&w.publisher);
    raw_close(&w.subscriber);
    node_end(&w.node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_with_anything_in_them_harm_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
