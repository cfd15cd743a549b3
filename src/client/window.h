/* client/window.h - the ring of bytes between the threads that publish and the client's thread.
 *
 * DESIGN
 *
 * A record is a whole frame; a publication with a receipt is a small record of type
 * DXI_RECORD_RECEIPT (who is to be told) and the frame behind it. Records lie one behind the other,
 * each a multiple of 8 bytes, in memory that is mapped twice in a row, so none is split. A record
 * begins with the first word of a frame (length, version, type, flags), and that word is stored
 * last: as long as it is 0 the record is not there.
 *
 *        released            head                            claimed
 *           |                  |                                |
 *   ........|  sent, and kept  |  to be sent   | being written  |.... free, all zero ....
 *           |  for a retry     |               |                |
 *
 * A producer moves `claimed` with a compare-and-swap, writes its record, and stores the first word.
 * The client's thread takes records from `head` on, in the order of the claims. What has to be sent
 * again when the connection breaks stays between `released` and `head`.
 *
 * INVARIANTS
 *
 *   W1  released <= head <= claimed < released + bytes: one word at least is free, so that whoever
 *       goes along the records finds a 0 at their end
 *   W2  all memory outside [released, claimed) is zero; so the first word of what is claimed and
 *       not yet written is 0
 *   W3  `head` and `released` are changed by the client's thread only
 *   W4  a record is not changed after its first word was stored
 *
 * MEMORY ORDERING
 *
 *   producer: write the record, store-release its first word -> client: load-acquire the word, read
 *   client: clear, store-release `released`                   -> producer: load-acquire it, write
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
#define DXI_WINDOW_SHARE 2     /* one claim is at most this part of the window */
#define DXI_RECORD_RECEIPT 255 /* no type of a frame: 240 to 255 are never given */
#define DXI_WINDOW_FOREVER INT64_MAX

typedef struct dxi_window {
    /* Read-only once open. */
    char *at;
    int64_t bytes;
    int64_t mask;
    int32_t events_max;
    dx_memory_t memory;

    /* Producers. */
    DX_ISOLATED dx_atomic64_t claimed;
    dx_atomic64_t released_seen; /* a value that `released` had: what it has at least */
    dx_atomic64_t published;     /* frames, for statistics */
    dx_atomic64_t events;        /* with a receipt, in use */

    /* The client's thread, read by producers. */
    DX_ISOLATED dx_atomic64_t released;

    /* Producers that wait for room, and the client's thread once per turn. */
    DX_ISOLATED dx_atomic32_t waiting; /* for what */
    dx_atomic32_t shut;                /* no wait any more */
    dx_atomic32_t turn;                /* futex: changes when there is room */

    /* The client's thread. */
    DX_ISOLATED int64_t head;
} dxi_window_t;

/* `bytes`: a power of two from DXI_WINDOW_BYTES_MIN on; rounded up to a page.
 * Returns DX_OK, DX_ENOMEM. Threads: owner. */
DX_NODISCARD int dxi_window_open(dxi_window_t *window, uint32_t bytes, uint32_t events_max,
                                 dx_error_t *error);
void dxi_window_close(dxi_window_t *window);

/* Room for `bytes` with `events` receipts (0 or more) and `frames` frames, waiting until
 * `deadline_ns` (0: not at all).
 * Returns the position; DX_EAGAIN, DX_ETIMEDOUT, DX_ECLOSED.
 * Threads: any. */
DX_NODISCARD int64_t dxi_window_claim_slow(dxi_window_t *window, int64_t bytes, int32_t events,
                                           int32_t frames, int64_t deadline_ns);

/* From now on nobody waits: who would gets DX_ECLOSED. Threads: any. */
void dxi_window_shut(dxi_window_t *window);

/* Wakes all who wait, to look again. Threads: any. */
void dxi_window_wake(dxi_window_t *window);

/* Everything before `position` is done with. Threads: client. */
void dxi_window_release(dxi_window_t *window, int64_t position);

/* After releases, once per turn: wakes who waits when there is much room.
 * Threads: client. */
void dxi_window_settle(dxi_window_t *window);

/* The address of a position. Threads: any. */
DX_INLINE char *dxi_window_at(const dxi_window_t *window, int64_t position)
{
    return window->at + (size_t)(position & window->mask);
}

/* Claims without waiting: the position, or DX_EAGAIN. For frames without a receipt.
 * Threads: any. */
DX_INLINE int64_t dxi_window_claim(dxi_window_t *window, int64_t bytes, int32_t frames)
{
    int64_t at = dx_load_relaxed(&window->claimed);
    do {
        /* ACQUIRE, pairs with the release in dxi_window_release() and in the claim of whoever has
         * seen it: what the client's thread read and cleared there happens before what we write. */
        if (DX_UNLIKELY(at + bytes - dx_load_acquire(&window->released_seen) >= window->bytes)) {
            const int64_t released = dx_load_acquire(&window->released);
            if (at + bytes - released >= window->bytes) {
                return DX_EAGAIN;
            }
            /* RELEASE, pairs with the acquire above in another thread. Two threads may store in the
             * wrong order: an older value is only a more careful one. */
            dx_store_release(&window->released_seen, released);
        }
    } while (DX_UNLIKELY(!dx_compare_exchange_acq_rel(&window->claimed, &at, at + bytes)));
    (void)dx_fetch_add_relaxed(&window->published, frames); /* in the cache line of `claimed` */
    return at;
}

/* Makes a record readable by its first word.
 * Threads: the one that claimed it. */
DX_INLINE void dxi_window_publish(char *record, uint64_t first_word)
{
    /* RELEASE, pairs with the acquire in dxi_window_peek(): the record is whole when its first word
     * is seen. */
    dx_store_release((dx_atomic64_t *)(void *)record, (int64_t)first_word);
}

/* The first word of the record at a position from `head` on; 0 when none is there yet.
 * Threads: client. */
DX_INLINE uint64_t dxi_window_peek(const dxi_window_t *window, int64_t position)
{
    return (uint64_t)dx_load_acquire(
        (const dx_atomic64_t *)(const void *)dxi_window_at(window, position));
}

#endif
