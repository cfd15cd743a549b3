/* net/shm_ring.h - bytes from one process to another through memory that both have mapped.
 *
 * DESIGN
 *
 * A ring of bytes has one writer and one reader, in two processes. What both see:
 *
 *     tail   how many bytes the writer has put in since the start; only it stores this
 *     head   how many bytes the reader has taken out; only it stores this
 *     data   `bytes` of them, a power of two: byte number i lies at i mod bytes
 *
 *           head (reader)            tail (writer)
 *             |                        |
 *     [ free  | written, not yet read  |  free ]            tail - head <= bytes
 *
 * Each side has an *end*: its own position and the last position of the other that it believed, in
 * memory of its own. Bytes are copied in and out; nothing is ever decided on bytes that the other
 * side can still change.
 *
 * THE OTHER SIDE IS NOT TRUSTED. It can write anything anywhere in the shared memory, at any time.
 * A position is read once, into a register, and believed only if it can be true (S2). Otherwise
 * the call returns DX_ECORRUPT, and the caller ends the connection. What the other side does to the
 * data, it does to its own messages, which are checked when they have been copied.
 *
 * SLEEPING. Whoever is about to sleep says so in a word of the shared memory, and looks again; the
 * other side looks at that word behind what it has stored, and rings only where it is set:
 *
 *     reader that goes to sleep              writer
 *     store reader_sleeps = 1                copy, store-release tail           (A)
 *     fence                                  fence
 *     load tail: anything there? (B)         load reader_sleeps: ring if set    (C)
 *
 * In the one order of the two fences one comes first. If it is the reader's, (C) sees the 1. If it
 * is the writer's, (B) sees (A). So bytes are never left with a reader asleep. The writer that
 * sleeps on a full ring is the mirror image: writer_sleeps, head, and the reader that rings when
 * half of the ring is free. Who rings takes the 1 back, so one sleep costs one bell.
 * tests/relacy/scenario_shm.c runs this code on weak memory; without either fence it fails.
 *
 * INVARIANTS
 *
 *   S1  0 <= tail - head <= bytes, as each end has them
 *   S2  a position of the other that is believed is not before the one believed last; for the
 *       writer not beyond its own tail, for the reader not beyond its own head + bytes
 *   S3  a byte is copied in only where the reader has taken out what was there, and copied out only
 *       behind the writer's tail
 *   S4  a lost or false word of the other side costs at most a bell too many, or its own sleep
 *
 * MEMORY ORDER. tail: release by the writer, acquire by the reader: bytes are there before the
 * position says so. head: release by the reader, acquire by the writer: bytes are copied out before
 * others are put over them. The two words of sleep are relaxed, between fences.
 *
 * LAYOUT. Positions are written all the time, each by one side; the words of sleep seldom. Each
 * stands alone (DX_ISOLATED), so that looking at a word of sleep hits the cache.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_NET_SHM_RING_H
#define DXI_NET_SHM_RING_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "disruptorx/atomic.h"
#include "disruptorx/error.h"
#include "disruptorx/platform.h"

/* A writer that has met a full ring goes on, or is rung for, when 1/DXI_SHM_ROOM_PART is free. */
#define DXI_SHM_ROOM_PART 2

/* What both sides see of a ring, beside its data. All zero at the start. */
typedef struct dxi_shm_words {
    DX_ISOLATED dx_atomic64_t tail;
    DX_ISOLATED dx_atomic64_t head;
    DX_ISOLATED dx_atomic32_t reader_sleeps;
    DX_ISOLATED dx_atomic32_t writer_sleeps;
} dxi_shm_words_t;

/* One side's own view, in its own memory. */
typedef struct dxi_shm_end {
    dxi_shm_words_t *words;
    char *data;
    uint64_t bytes; /* a power of two */
    uint64_t own;   /* the writer's tail, the reader's head */
    uint64_t other; /* the other side's position, as it was believed last */
} dxi_shm_end_t;

DX_INLINE void dxi_shm_end_init(dxi_shm_end_t *end, dxi_shm_words_t *words, char *data,
                                uint64_t bytes)
{
    assert(bytes != 0 && (bytes & (bytes - 1)) == 0);
    *end = (dxi_shm_end_t){.words = words, .data = data, .bytes = bytes};
}

/* --------------------------------------------------------------------------------------- writer */

/* Free bytes, as far as they are known without a look at shared memory. Threads: writer. */
DX_INLINE uint64_t dxi_shm_room_known(const dxi_shm_end_t *writer)
{
    return writer->bytes - (writer->own - writer->other);
}

/* Looks how much is free. Returns that, or DX_ECORRUPT. Threads: writer. */
DX_INLINE int64_t dxi_shm_room(dxi_shm_end_t *writer)
{
    /* ACQUIRE, pairs with the release in dxi_shm_read(): what the reader has copied out, it has
     * copied before we put something else there. Weaker, our stores could be seen by its loads. */
    const uint64_t head = (uint64_t)dx_load_acquire(&writer->words->head);
    if (DX_UNLIKELY(head - writer->other > writer->own - writer->other)) { /* S2 */
        return DX_ECORRUPT;
    }
    writer->other = head;
    return (int64_t)dxi_shm_room_known(writer);
}

/* Copies bytes in, as many as there is room for.
 * Returns how many, 0 when it is full, or DX_ECORRUPT. Threads: writer. */
DX_INLINE int64_t dxi_shm_write(dxi_shm_end_t *writer, const char *from, uint64_t size)
{
    uint64_t room = dxi_shm_room_known(writer);
    if (room < size) {
        const int64_t seen = dxi_shm_room(writer);
        if (seen <= 0) {
            return seen;
        }
        room = (uint64_t)seen;
    }
    const uint64_t count = size < room ? size : room; /* S3 */
    const uint64_t at = writer->own & (writer->bytes - 1);
    const uint64_t first = count < writer->bytes - at ? count : writer->bytes - at;
    memcpy(writer->data + at, from, first);
    memcpy(writer->data, from + first, count - first);
    writer->own += count;
    /* RELEASE, pairs with the acquire in dxi_shm_there(): the bytes are there first. */
    dx_store_release(&writer->words->tail, (int64_t)writer->own);
    return (int64_t)count;
}

/* Behind writes: whether the reader sleeps and has to be rung. Threads: writer. */
DX_INLINE bool dxi_shm_must_ring_reader(dxi_shm_end_t *writer)
{
    dx_fence_seq_cst(); /* pairs with the fence of a reader that goes to sleep */
    /* Taken back by an exchange, so that only one bell is rung for a sleep; its order is of no
     * consequence, the fence is before it. */
    return DX_UNLIKELY(dx_load32_relaxed(&writer->words->reader_sleeps) != 0) &&
           dx_exchange32_acq_rel(&writer->words->reader_sleeps, 0) != 0;
}

/* Whether a writer that has met a full ring may go on: enough is free, or the other side's word
 * makes no sense, which the next write finds. Threads: writer. */
DX_INLINE bool dxi_shm_writable(dxi_shm_end_t *writer)
{
    const int64_t room = dxi_shm_room(writer);
    return room < 0 || (uint64_t)room >= writer->bytes / DXI_SHM_ROOM_PART;
}

/* Says whether the writer sleeps and wants to be rung for room. Behind a 1: a fence, and another
 * look at dxi_shm_writable(). Threads: writer. */
DX_INLINE void dxi_shm_writer_sleeps(dxi_shm_end_t *writer, bool sleeps)
{
    dx_store32_relaxed(&writer->words->writer_sleeps, sleeps ? 1 : 0);
}

/* --------------------------------------------------------------------------------------- reader */

/* How many bytes are there to be read. Returns that, or DX_ECORRUPT. Threads: reader. */
DX_INLINE int64_t dxi_shm_there(dxi_shm_end_t *reader)
{
    /* ACQUIRE, pairs with the release in dxi_shm_write(): the bytes are there before the position
     * says so. Weaker, we could copy what was there before. Cost: a plain load on x86. */
    const uint64_t tail = (uint64_t)dx_load_acquire(&reader->words->tail);
    if (DX_UNLIKELY(tail - reader->other > reader->own + reader->bytes - reader->other)) { /* S2 */
        return DX_ECORRUPT;
    }
    reader->other = tail;
    return (int64_t)(tail - reader->own);
}

/* Copies bytes out, at most `room`.
 * Returns how many, 0 when there are none, or DX_ECORRUPT. Threads: reader. */
DX_INLINE int64_t dxi_shm_read(dxi_shm_end_t *reader, char *to, uint64_t room)
{
    const int64_t there = dxi_shm_there(reader);
    if (there <= 0) {
        return there;
    }
    const uint64_t count = (uint64_t)there < room ? (uint64_t)there : room; /* S3 */
    const uint64_t at = reader->own & (reader->bytes - 1);
    const uint64_t first = count < reader->bytes - at ? count : reader->bytes - at;
    memcpy(to, reader->data + at, first);
    memcpy(to + first, reader->data, count - first);
    reader->own += count;
    /* RELEASE, pairs with the acquire in dxi_shm_room(): our copy is made before it is known. */
    dx_store_release(&reader->words->head, (int64_t)reader->own);
    return (int64_t)count;
}

/* Behind reads: whether the writer sleeps on a full ring, and enough is free for it to be rung.
 * Threads: reader. */
DX_INLINE bool dxi_shm_must_ring_writer(dxi_shm_end_t *reader)
{
    dx_fence_seq_cst(); /* pairs with the fence of a writer that goes to sleep */
    if (DX_LIKELY(dx_load32_relaxed(&reader->words->writer_sleeps) == 0)) {
        return false;
    }
    /* What is free by what was there at the last look; the writer has put in no more since, or it
     * does not sleep. */
    const uint64_t room = reader->bytes - (reader->other - reader->own);
    return room >= reader->bytes / DXI_SHM_ROOM_PART &&
           dx_exchange32_acq_rel(&reader->words->writer_sleeps, 0) != 0;
}

/* Says whether the reader sleeps and wants to be rung for bytes. Behind a 1: a fence, and another
 * look at dxi_shm_there(). Threads: reader. */
DX_INLINE void dxi_shm_reader_sleeps(dxi_shm_end_t *reader, bool sleeps)
{
    dx_store32_relaxed(&reader->words->reader_sleeps, sleeps ? 1 : 0);
}

#endif
