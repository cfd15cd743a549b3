/* scenario_shm.c - bytes through shared memory (net/shm_ring.h): they arrive as they were written,
 * nobody sleeps for ever, and a bell is a token that cannot be lost. Copies are made word by word,
 * so that the machine sees each access to the data.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "machine.h"

static void *copy_words(void *to, const void *from, size_t bytes)
{
    uint64_t *const target = to;
    const uint64_t *const source = from;
    for (size_t i = 0; i < bytes / 8; i++) {
        target[i] = source[i];
    }
    return to;
}

#define memcpy copy_words
#include "net/shm_ring.h"
#undef memcpy

#define RING_BYTES 16
#define MESSAGES 4 /* of 8 bytes: twice round the ring */

/* A bell: the byte on the socket. It is there until it is heard. */
typedef struct bell {
    dx_atomic32_t rung;
} bell_t;

typedef struct rig {
    dxi_shm_words_t words;
    char data[RING_BYTES];
    dxi_shm_end_t writer;
    dxi_shm_end_t reader;
    bell_t reader_bell;
    bell_t writer_bell;
} rig_t;

static rig_t *rig;

static void bell_ring(bell_t *bell)
{
    (void)dx_exchange32_acq_rel(&bell->rung, 1);
    (void)syscall(SYS_futex, &bell->rung, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void bell_wait(bell_t *bell)
{
    while (dx_exchange32_acq_rel(&bell->rung, 0) == 0) {
        (void)syscall(SYS_futex, &bell->rung, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    }
}

static void before(void)
{
    rig = machine_alloc(sizeof *rig);
    dxi_shm_end_init(&rig->writer, &rig->words, rig->data, RING_BYTES);
    dxi_shm_end_init(&rig->reader, &rig->words, rig->data, RING_BYTES);
}

static void after(void)
{
    CHECK(rig->reader.own == MESSAGES * 8);
}

/* As a loop does: writes; sleeps only behind a look that follows its word. */
static void write_all(void)
{
    dxi_shm_end_t *const writer = &rig->writer;
    for (uint64_t message = 1; message <= MESSAGES; message++) {
        int64_t put = 0;
        while ((put = dxi_shm_write(writer, (const char *)&message, 8)) == 0) {
            dxi_shm_writer_sleeps(writer, true);
            dx_fence_seq_cst(); /* pairs with the one in dxi_shm_must_ring_writer() */
            if (!dxi_shm_writable(writer)) {
                bell_wait(&rig->writer_bell);
            }
            dxi_shm_writer_sleeps(writer, false);
        }
        CHECK(put == 8);
        if (dxi_shm_must_ring_reader(writer)) {
            bell_ring(&rig->reader_bell);
        }
    }
}

static void read_all(void)
{
    dxi_shm_end_t *const reader = &rig->reader;
    uint64_t expected = 1;
    while (expected <= MESSAGES) {
        uint64_t messages[RING_BYTES / 8];
        const int64_t got = dxi_shm_read(reader, (char *)messages, RING_BYTES);
        CHECK(got >= 0 && got % 8 == 0);
        for (int64_t i = 0; i < got / 8; i++) {
            CHECK(messages[i] == expected);
            expected++;
        }
        if (got != 0) {
            if (dxi_shm_must_ring_writer(reader)) {
                bell_ring(&rig->writer_bell);
            }
            continue;
        }
        dxi_shm_reader_sleeps(reader, true);
        dx_fence_seq_cst(); /* pairs with the one in dxi_shm_must_ring_reader() */
        if (dxi_shm_there(reader) == 0) {
            bell_wait(&rig->reader_bell);
        }
        dxi_shm_reader_sleeps(reader, false);
    }
}

static void stream_thread(int index)
{
    if (index == 0) {
        write_all();
    } else {
        read_all();
    }
}

static const scenario_t stream = {
    .name = "shm-stream",
    .what = "a writer and a reader sleep on a full and an empty ring in shared memory",
    .threads = 2,
    .runs = 12000,
    .bound = 2,
    .bound_runs = 12000,
    .before = before,
    .thread = stream_thread,
    .after = after,
};

const scenario_t *const scenarios[] = {&stream, NULL};
