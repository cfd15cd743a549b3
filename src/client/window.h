/* client/window.h - the ring of bytes between the threads that publish and the client's thread.
 *
 * DESIGN
 *
 * A record is a whole frame; where its publisher waits for a receipt, who is to be told stands in
 * front of it. Records lie one behind the other, each a multiple of 8 bytes, in memory that is
 * mapped twice in a row, so none is split. Beside them runs a ring of notes, one a record, in the
 * same order: how long it is, of what kind, and that it is there.
 *
 *        released            head                            claimed
 *           |                  |                                |
 *   ........|  sent, and kept  |  to be sent   | being written  |.... free ....
 *           |  for a retry     |               |                |
 *     notes                    [ 96 | 96 | 224 |  .   |   .     ]
 *
 * `claimed` is one word: a ticket (the number of the next note) and the place in the window, so one
 * compare-and-swap takes both. The producer writes its record and then its note, which carries the
 * ticket as a stamp: a note of an earlier lap has another one. The client's thread goes along the
 * notes, eight in a cache line, without touching a record before it copies it.
 *
 * What has to be sent again when the connection breaks stays between `released` and `head`.
 *
 * INVARIANTS
 *
 *   W1  released <= head <= claimed <= released + bytes
 *   W2  a note is overwritten only after it was taken: there are more notes than records that fit
 * W3  `head` and `released` are changed by the client's thread only, or by a publisher that acts
 * for
 *       it while it sleeps (send.c, N6); below both are the client's thread
 *   W4  a record is not changed after its note was written
 *
 * MEMORY ORDERING
 *
 *   producer: write the record, store-release its note -> client: load-acquire the note, read
 *   client: read, store-release `released`             -> producer: load-acquire it, write
 *
 * Waiting for room is Dekker's pair: a producer stores `waiting`, fences, looks at `released` once
 * more and sleeps; the client's thread stores `released`, fences, looks at `waiting`.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLIENT_WINDOW_H
#define DXI_CLIENT_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "disruptorx/atomic.h"
#include "disruptorx/error.h"
#include "disruptorx/memory.h"
#include "disruptorx/platform.h"

#define DXI_WINDOW_BYTES_MIN 65536
#define DXI_WINDOW_SHARE 2         /* one claim is at most this part of the window */
#define DXI_WINDOW_RECORD_BYTES 32 /* no record is shorter (W2) */
#define DXI_WINDOW_FOREVER INT64_MAX

/* Kinds of records: bits of a note. */
#define DXI_RECORD_RECEIPT (UINT32_C(1) << 31) /* who is to be told stands in front */
#define DXI_RECORD_REQUEST (UINT32_C(1) << 30) /* its answer comes to the inbox */
#define DXI_RECORD_PLAIN (UINT32_C(1) << 29)   /* no frame: client/plain.h */
#define DXI_RECORD_UNITS (DXI_RECORD_PLAIN - 1)

typedef struct dxi_window {
    /* Read-only once open. */
    char *at;
    dx_atomic64_t *notes; /* stamp 32, kind 3, length in units of 8 bytes 29 */
    int64_t bytes;
    uint32_t unit_mask;
    uint32_t note_mask;
    int32_t events_max;
    dx_memory_t memory, note_memory;

    /* Producers. */
    DX_ISOLATED dx_atomic64_t claimed; /* ticket 32, place in units of 8 bytes 32 */
    dx_atomic64_t released_seen;       /* a value that `released` had: what it has at least */
    dx_atomic64_t events;              /* with a receipt, in use */

    /* The client's thread, read by producers and by statistics. */
    DX_ISOLATED dx_atomic64_t released; /* in bytes since the start */
    dx_atomic64_t taken;                /* notes */

    /* Producers that wait for room, and the client's thread once per turn. */
    DX_ISOLATED dx_atomic32_t waiting; /* for what */
    dx_atomic32_t shut;                /* no wait any more */
    dx_atomic32_t turn;                /* futex: changes when there is room */

    /* The client's thread, each publication. 1: what is there can't be sent now, for want of
     * credit, room or a connection, so nobody needs to wake that thread for more of it. */
    DX_ISOLATED dx_atomic32_t stuck;

    /* The client's thread. */
    DX_ISOLATED int64_t head; /* in bytes since the start */
    uint32_t ticket;          /* of the note at head */
} dxi_window_t;

/* `bytes`: a power of two from DXI_WINDOW_BYTES_MIN on.
 * Returns DX_OK, DX_ENOMEM. Threads: owner. */
DX_NODISCARD int dxi_window_open(dxi_window_t *window, uint32_t bytes, uint32_t events_max,
                                 dx_error_t *error);
void dxi_window_close(dxi_window_t *window);

/* As dxi_window_claim(), with `events` receipts (0 or more), waiting until `deadline_ns` (0: not at
 * all).
 * Returns DX_OK; DX_EAGAIN, DX_ETIMEDOUT, DX_ECLOSED.
 * Threads: any. */
DX_NODISCARD int dxi_window_claim_slow(dxi_window_t *window, int64_t bytes, int32_t events,
                                       int32_t frames, int64_t deadline_ns, uint64_t *claim_out);

/* From now on nobody waits: who would gets DX_ECLOSED. Threads: any. */
void dxi_window_shut(dxi_window_t *window);

/* Wakes all who wait, to look again. Threads: any. */
void dxi_window_wake(dxi_window_t *window);

/* Everything before `position` is done with. Threads: client. */
void dxi_window_release(dxi_window_t *window, int64_t position);

/* After releases, once per turn: wakes who waits when there is much room.
 * Threads: client. */
void dxi_window_settle(dxi_window_t *window);

/* Where the next claim begins, in bytes since the start, and how many records were claimed. What is
 * claimed meanwhile by other threads may be missing.
 * Threads: any. */
int64_t dxi_window_claimed(const dxi_window_t *window);
uint64_t dxi_window_published(const dxi_window_t *window);

/* The address of a position. Threads: any. */
DX_INLINE char *dxi_window_at(const dxi_window_t *window, int64_t position)
{
    return window->at + (size_t)(position & (window->bytes - 1));
}

/* The address of a claim. Threads: any. */
DX_INLINE char *dxi_window_place(const dxi_window_t *window, uint64_t claim)
{
    return window->at + (size_t)((uint32_t)claim & window->unit_mask) * 8;
}

/* A claim `frames` and `bytes` further. */
DX_INLINE uint64_t dxi_window_further(uint64_t claim, int64_t bytes, int32_t frames)
{
    return (claim & ~(uint64_t)UINT32_MAX) + ((uint64_t)(uint32_t)frames << 32) +
           (uint32_t)((uint32_t)claim + (uint32_t)(bytes / 8));
}

/* Claims room for `bytes` of `frames` records in a row, without waiting.
 * Returns DX_OK, DX_EAGAIN. Threads: any. */
DX_INLINE int dxi_window_claim(dxi_window_t *window, int64_t bytes, int32_t frames,
                               uint64_t *claim_out)
{
    int64_t claimed = dx_load_relaxed(&window->claimed);
    do {
        /* ACQUIRE, pairs with the release in dxi_window_release() and in the claim of whoever has
         * seen it: what the client's thread read there happens before what we write. Places wrap at
         * 2^32 units, so only differences mean something. */
        const uint32_t seen = (uint32_t)(dx_load_acquire(&window->released_seen) / 8);
        if (DX_UNLIKELY((int64_t)((uint32_t)claimed - seen) * 8 + bytes > window->bytes)) {
            const int64_t released = dx_load_acquire(&window->released);
            const uint32_t used = (uint32_t)claimed - (uint32_t)(released / 8);
            if ((int64_t)used * 8 + bytes > window->bytes) {
                return DX_EAGAIN;
            }
            /* RELEASE, pairs with the acquire above in another thread. Two threads may store in the
             * wrong order: an older value is only a more careful one. */
            dx_store_release(&window->released_seen, released);
        }
    } while (DX_UNLIKELY(!dx_compare_exchange_acq_rel(
        &window->claimed, &claimed,
        (int64_t)dxi_window_further((uint64_t)claimed, bytes, frames))));
    *claim_out = (uint64_t)claimed;
    return DX_OK;
}

/* Makes the record of a claim readable: `bytes`, with bits of its kind.
 * Threads: the one that claimed it. */
DX_INLINE void dxi_window_publish(dxi_window_t *window, uint64_t claim, int64_t bytes,
                                  uint32_t kind)
{
    const uint32_t ticket = (uint32_t)(claim >> 32);
    /* RELEASE, pairs with the acquire in dxi_window_peek(): the record is whole when its note is
     * seen. */
    dx_store_release(&window->notes[ticket & window->note_mask],
                     (int64_t)((uint64_t)(ticket + 1) << 32 | kind | (uint32_t)(bytes / 8)));
}

/* The note of the `n`-th record from `head` on: its length in units and its kind; 0 when it is not
 * there yet.
 * Threads: client. */
DX_INLINE uint32_t dxi_window_peek(const dxi_window_t *window, uint32_t n)
{
    const uint32_t ticket = window->ticket + n;
    const uint64_t note = (uint64_t)dx_load_acquire(&window->notes[ticket & window->note_mask]);
    return (uint32_t)(note >> 32) == ticket + 1 ? (uint32_t)note : 0;
}

DX_INLINE int64_t dxi_record_bytes(uint32_t note)
{
    return (int64_t)(note & DXI_RECORD_UNITS) * 8;
}

/* The next `frames` records, of `bytes`, are taken.
 * Threads: client. */
DX_INLINE void dxi_window_take(dxi_window_t *window, int64_t bytes, uint32_t frames)
{
    window->head += bytes;
    window->ticket += frames;
    /* RELEASE, pairs with the acquire in dxi_window_published(): whoever sees it sees the claims of
     * these records as well, so the difference is never negative. */
    dx_store_release(&window->taken, dx_load_relaxed(&window->taken) + frames);
}

#endif
