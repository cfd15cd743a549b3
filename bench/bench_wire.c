/* bench_wire.c - what a frame costs its publisher and its reader, next to copying the same bytes.
 *
 * QUESTION   How long does it take to encode a frame in place with both its checksums, to check one
 * that was received, and to stamp one as a shard's leader does; and what do the codecs of a batch
 * cost and gain?
 *
 * METHOD     Frames with one part (the topic "orders.created") and payloads of 16 bytes to 64 KiB
 * lie one after the other in 256 KiB, as in a ring; each operation takes the next one. `memcpy`
 * copies as many bytes as the payload has into the same places and is the floor: somebody has to
 * write them. `encode` includes that copy. Operations and sizes are interleaved over the rounds;
 * medians and quartiles over the rounds, of processor time. The decoded sequences and payloads are
 * added up and compared with what was encoded. Batches hold made orders as text, 256 KiB of frames;
 * the ratio is of whole frames.
 *
 * NOT MEASURED   Frames that are in no cache, and claiming the span (`dx bench ring`).
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

#include "disruptorx/frame.h"
#include "disruptorx/frame_batch.h"

#define ROUNDS 15
#define ARENA_BYTES (256 * 1024)
#define BYTES_A_ROUND (64 * 1024 * 1024) /* at most, per operation and size */
#define OPERATIONS_A_ROUND 400000        /* at most */
#define BATCHES_A_ROUND 40

static const uint32_t PAYLOADS[] = {16, 128, 1024, 65536};
#define PAYLOAD_COUNT (sizeof PAYLOADS / sizeof PAYLOADS[0])

typedef enum operation { COPY, ENCODE, DECODE, VIEW, STAMP, OPERATION_COUNT } operation_t;
static const char *const OPERATIONS[OPERATION_COUNT] = {"memcpy", "encode", "decode", "view",
                                                        "stamp"};

static __attribute__((aligned(64))) char arena[ARENA_BYTES + 65536 + 4096];
static char source[65536];

static void die(const char *what)
{
    fprintf(stderr, "bench_wire: %s\n", what);
    exit(1);
}

static dx_frame_draft_t draft_of(uint32_t payload_bytes, const dx_frame_part_t *topic)
{
    return (dx_frame_draft_t){.type = DX_FRAME_PUBLISH,
                              .producer_id = 7,
                              .parts = topic,
                              .part_count = 1,
                              .payload_bytes = payload_bytes};
}

/* The processor time of this thread: it runs alone and waits for nothing, so that other programs,
 * which may take the processor away, don't count. */
static int64_t cpu_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* A place for each frame, one behind the other: how many there are. */
static uint32_t places(uint32_t frame_bytes)
{
    const uint32_t stride = (frame_bytes + 63) & ~63u;
    return ARENA_BYTES / stride != 0 ? ARENA_BYTES / stride : 1;
}

static uint64_t run(operation_t operation, uint32_t payload_bytes, uint32_t count)
{
    const dx_frame_part_t topic = dx_frame_part_text(DX_PART_TOPIC, "orders.created");
    dx_frame_draft_t draft = draft_of(payload_bytes, &topic);
    const int64_t frame_bytes = dx_frame_bytes(&draft, NULL);
    const uint32_t stride = ((uint32_t)frame_bytes + 63) & ~63u;
    const uint32_t slots = places((uint32_t)frame_bytes);
    uint64_t sum = 0;
    char *at = arena;
    for (uint32_t i = 0, slot = 0; i < count; i++) {
        dx_frame_view_t view;
        switch (operation) {
        case COPY:
            memcpy(at + frame_bytes - payload_bytes, source, payload_bytes);
            __asm__ volatile("" : : "r"(at) : "memory");
            break;
        case ENCODE:
            draft.producer_sequence = i + 1;
            sum += (uint64_t)dx_frame_encode(at, stride, &draft, source, NULL);
            break;
        case DECODE:
            if (dx_frame_decode(at, stride, &view, NULL) != DX_OK) {
                die("a frame is not what was encoded");
            }
            sum += view.payload_bytes;
            break;
        case VIEW:
            if (dx_frame_view(at, stride, &view, NULL) != DX_OK) {
                die("a frame is not what was encoded");
            }
            sum += view.payload_bytes;
            break;
        default: {
            const dx_frame_stamp_t stamp = {.type = DX_FRAME_EVENT,
                                            .shard = 1,
                                            .term = 2,
                                            .sequence = i + 1,
                                            .timestamp_ns = i};
            if (dx_frame_stamp(at, &stamp) != DX_OK) {
                die("a header is not what was encoded");
            }
            sum += 1;
            break;
        }
        }
        at += stride;
        if (++slot == slots) {
            slot = 0;
            at = arena;
        }
    }
    return sum;
}

static double measure(operation_t operation, uint32_t payload_bytes, uint32_t count)
{
    const dx_frame_part_t topic = dx_frame_part_text(DX_PART_TOPIC, "orders.created");
    const dx_frame_draft_t draft = draft_of(payload_bytes, &topic);
    const uint64_t frame_bytes = (uint64_t)dx_frame_bytes(&draft, NULL);
    /* Every place holds a good frame; this also warms up. */
    const uint32_t slots = places((uint32_t)frame_bytes);
    (void)run(ENCODE, payload_bytes, slots);
    (void)run(operation, payload_bytes, count / 20);
    const int64_t from_ns = cpu_ns();
    const uint64_t sum = run(operation, payload_bytes, count);
    const double ns = (double)(cpu_ns() - from_ns) / count;
    const uint64_t each[OPERATION_COUNT] = {0, frame_bytes, payload_bytes, payload_bytes, 1};
    if (sum != each[operation] * count) {
        die("the sum is wrong");
    }
    return ns;
}

static int compare(const void *a, const void *b)
{
    const double left = *(const double *)a;
    const double right = *(const double *)b;
    return (left > right) - (left < right);
}

static void frames_run(bool quick)
{
    static double ns[PAYLOAD_COUNT][OPERATION_COUNT][ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < PAYLOAD_COUNT; i++) {
            uint32_t count = BYTES_A_ROUND / PAYLOADS[i];
            count = count > OPERATIONS_A_ROUND ? OPERATIONS_A_ROUND : count;
            for (int operation = 0; operation < OPERATION_COUNT; operation++) {
                ns[i][operation][round] =
                    measure((operation_t)operation, PAYLOADS[i], quick ? count / 50 + 20 : count);
            }
        }
    }
    printf("%-8s %-8s %10s %10s %10s\n", "payload", "ns each", "median", "q1", "q3");
    for (size_t i = 0; i < PAYLOAD_COUNT; i++) {
        for (int operation = 0; operation < OPERATION_COUNT; operation++) {
            double *const row = ns[i][operation];
            qsort(row, ROUNDS, sizeof row[0], compare);
            printf("%-8u %-8s %10.1f %10.1f %10.1f\n", PAYLOADS[i], OPERATIONS[operation],
                   row[ROUNDS / 2], row[ROUNDS / 4], row[ROUNDS * 3 / 4]);
        }
    }
}

/* An order as text: digits that differ, names that repeat. */
static uint32_t order_text(char *text, size_t room, uint32_t number)
{
    const uint32_t mixed = number * UINT32_C(2654435761);
    return (uint32_t)snprintf(text, room,
                              "{\"order\":%u,\"customer\":\"C%05u\",\"item\":\"SKU-%04u\","
                              "\"quantity\":%u,\"price\":%u.%02u,\"currency\":\"EUR\"}",
                              number, mixed % 20000, (mixed >> 7) % 3000, mixed % 9 + 1,
                              (mixed >> 5) % 500, (mixed >> 3) % 100);
}

static void batch_fill(dx_frame_batch_t *batch)
{
    const dx_frame_part_t topic = dx_frame_part_text(DX_PART_TOPIC, "orders.created");
    dx_frame_batch_reset(batch);
    for (uint32_t i = 1;; i++) {
        char text[256];
        __attribute__((aligned(8))) char frame[512];
        dx_frame_draft_t draft = draft_of(order_text(text, sizeof text, i), &topic);
        draft.producer_sequence = i;
        if (dx_frame_encode(frame, sizeof frame, &draft, text, NULL) < 0) {
            die("an order has no room");
        }
        if (dx_frame_batch_add(batch, frame) != DX_OK) {
            return; /* full */
        }
    }
}

static void batches_run(bool quick)
{
    dx_error_t error;
    dx_frame_batch_t *writer = NULL, *reader = NULL;
    if (dx_frame_batch_create(0, &writer, &error) != DX_OK ||
        dx_frame_batch_create(0, &reader, &error) != DX_OK) {
        die(error.message);
    }
    batch_fill(writer);
    const uint32_t raw_bytes = dx_frame_batch_raw_bytes(writer);
    const uint32_t room = dx_frame_batch_room(writer);
    void *const out = aligned_alloc(64, (room + 63) & ~63u);
    if (out == NULL) {
        die("no memory");
    }
    const int times = quick ? 2 : BATCHES_A_ROUND;
    printf("\nbatch of %u frames, %u bytes\n%-8s %10s %12s %12s\n", dx_frame_batch_count(writer),
           raw_bytes, "codec", "ratio", "seal MB/s", "open MB/s");
    for (int codec = 0; codec < DX_CODEC_COUNT; codec++) {
        double seal_ns[ROUNDS], open_ns[ROUNDS];
        int64_t bytes = 0;
        for (int round = 0; round < ROUNDS; round++) {
            int64_t from_ns = cpu_ns();
            for (int i = 0; i < times; i++) {
                bytes = dx_frame_batch_seal(writer, (dx_codec_t)codec, out, room, &error);
            }
            seal_ns[round] = (double)(cpu_ns() - from_ns) / times;
            from_ns = cpu_ns();
            for (int i = 0; i < times; i++) {
                dx_frame_view_t view;
                if (bytes < 0 || dx_frame_decode(out, (size_t)bytes, &view, &error) != DX_OK ||
                    dx_frame_batch_open(reader, &view, &error) != DX_OK) {
                    die(error.message);
                }
            }
            open_ns[round] = (double)(cpu_ns() - from_ns) / times;
        }
        qsort(seal_ns, ROUNDS, sizeof seal_ns[0], compare);
        qsort(open_ns, ROUNDS, sizeof open_ns[0], compare);
        printf("%-8s %10.3f %12.0f %12.0f\n", dx_codec_name(codec),
               (double)bytes / (double)raw_bytes, raw_bytes * 1e3 / seal_ns[ROUNDS / 2],
               raw_bytes * 1e3 / open_ns[ROUNDS / 2]);
    }
    free(out);
    dx_frame_batch_destroy(writer);
    dx_frame_batch_destroy(reader);
}

int main(int argc, char **argv)
{
    const bool quick = argc == 2 && strcmp(argv[1], "--quick") == 0;
    if (argc > 1 && !quick) {
        fprintf(stderr, "usage: bench_wire [--quick]\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof source; i++) {
        source[i] = (char)(i * 31 + (i >> 8));
    }
    printf("bench_wire: %d rounds, frames with the topic \"orders.created\"\n", ROUNDS);
    frames_run(quick);
    batches_run(quick);
    return 0;
}
