/* window.c - making the window, waiting for room in it, giving room back. Design: window.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "client/window.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

#include "base/futex.h"
#include "base/mapping.h"
#include "disruptorx/clock.h"

/* A waiting producer looks this often before it sleeps. */
#define LOOKS_BEFORE_SLEEP 16

/* What a waiting producer wants: bits of `waiting`. */
#define WANT_BYTES 1
#define WANT_EVENTS 2

int dxi_window_open(dxi_window_t *window, uint32_t bytes, uint32_t events_max, dx_error_t *error)
{
    assert(bytes >= DXI_WINDOW_BYTES_MIN && (bytes & (bytes - 1)) == 0);
    const int fd = dxi_mapping_anonymous(bytes, error);
    if (fd < 0) {
        return fd;
    }
    const dxi_mapping_options_t options = {
        .fd = fd, .bytes = bytes, .mirror_bytes = bytes, .fresh = true};
    int code = dxi_mapping_map(&options, &window->memory, error);
    (void)close(fd);
    if (code != DX_OK) {
        return code;
    }
    const uint32_t notes = bytes / DXI_WINDOW_RECORD_BYTES;
    const dx_memory_options_t zeroed = {.size_bytes = notes * sizeof *window->notes};
    code = dx_memory_map(&zeroed, &window->note_memory, error);
    if (code != DX_OK) {
        dx_memory_unmap(&window->memory);
        return code;
    }
    window->notes = window->note_memory.address;
    window->at = window->memory.address;
    window->bytes = bytes;
    window->unit_mask = bytes / 8 - 1;
    window->note_mask = notes - 1;
    window->events_max = (int32_t)events_max;
    return DX_OK;
}

void dxi_window_close(dxi_window_t *window)
{
    dx_memory_unmap(&window->memory);
    dx_memory_unmap(&window->note_memory);
    window->notes = NULL;
    window->at = NULL;
}

/* Takes `events` of the receipts that may be open. */
static bool events_claim(dxi_window_t *window, int32_t events)
{
    int64_t in_use = dx_load_relaxed(&window->events);
    do {
        if (in_use + events > window->events_max) {
            return false;
        }
        /* Only the sum matters: what is written in the window is ordered by `claimed`. */
    } while (!dx_compare_exchange_acq_rel(&window->events, &in_use, in_use + events));
    return true;
}

/* Returns DX_OK, or DX_EAGAIN and in `*want_out` what there was too little of. */
static int claim_try(dxi_window_t *window, int64_t bytes, int32_t events, int32_t frames,
                     uint64_t *claim_out, int32_t *want_out)
{
    if (events != 0 && !events_claim(window, events)) {
        *want_out = WANT_EVENTS;
        return DX_EAGAIN;
    }
    const int code = dxi_window_claim(window, bytes, frames, claim_out);
    if (code != DX_OK) {
        *want_out = WANT_BYTES;
        if (events != 0) {
            (void)dx_fetch_add_relaxed(&window->events, -events);
        }
    }
    return code;
}

int dxi_window_claim_slow(dxi_window_t *window, int64_t bytes, int32_t events, int32_t frames,
                          int64_t deadline_ns, uint64_t *claim_out)
{
    int32_t want = 0;
    for (int look = 0;; look++) {
        const int32_t turn = dx_load32_acquire(&window->turn);
        if (look > LOOKS_BEFORE_SLEEP) {
            (void)dx_fetch_or32_acq_rel(&window->waiting, want);
            dx_fence_seq_cst(); /* pairs with the fence in dxi_window_settle() */
        }
        if (claim_try(window, bytes, events, frames, claim_out, &want) == DX_OK) {
            return DX_OK;
        }
        if (deadline_ns == 0) {
            return DX_EAGAIN;
        }
        const int64_t left_ns =
            deadline_ns == DXI_WINDOW_FOREVER ? DXI_WINDOW_FOREVER : deadline_ns - dx_clock_ns();
        if (left_ns <= 0) {
            return DX_ETIMEDOUT;
        }
        if (dx_load32_relaxed(&window->shut) != 0) {
            return DX_ECLOSED;
        }
        if (look <= LOOKS_BEFORE_SLEEP) {
            dxi_futex_yield();
        } else if ((dx_load32_relaxed(&window->waiting) & want) != 0) {
            dxi_futex_wait(&window->turn, turn, left_ns);
        }
    }
}

void dxi_window_shut(dxi_window_t *window)
{
    dx_store32_release(&window->shut, 1);
    dxi_window_wake(window);
}

void dxi_window_wake(dxi_window_t *window)
{
    dx_store32_relaxed(&window->waiting, 0);
    (void)dx_fetch_add32_acq_rel(&window->turn, 1);
    dxi_futex_wake(&window->turn);
}

void dxi_window_release(dxi_window_t *window, int64_t position)
{
    const int64_t released = dx_load_relaxed(&window->released);
    assert(released <= position && position <= window->head); /* W1 */
    if (position != released) {
        dx_store_release(&window->released, position);
    }
}

int64_t dxi_window_claimed(const dxi_window_t *window)
{
    /* `released` first: so the claims are never behind it. */
    const int64_t released = dx_load_acquire(&window->released);
    const uint32_t claimed = (uint32_t)dx_load_relaxed(&window->claimed);
    return released + (int64_t)(uint32_t)(claimed - (uint32_t)(released / 8)) * 8;
}

uint64_t dxi_window_published(const dxi_window_t *window)
{
    const uint64_t taken = (uint64_t)dx_load_acquire(&window->taken);
    const uint32_t ticket = (uint32_t)((uint64_t)dx_load_relaxed(&window->claimed) >> 32);
    return taken + (uint32_t)(ticket - (uint32_t)taken);
}

void dxi_window_settle(dxi_window_t *window)
{
    dx_fence_seq_cst(); /* pairs with the fence in dxi_window_claim_slow() */
    const int32_t waiting = dx_load32_relaxed(&window->waiting);
    if (waiting == 0) {
        return;
    }
    /* Not for every frame that leaves: who waits has much to say, and sleeping costs. A claim is
     * never more than half of the window, so it finds its room then. */
    const int64_t used = dxi_window_claimed(window) - dx_load_relaxed(&window->released);
    const bool bytes_free = used <= window->bytes / DXI_WINDOW_SHARE;
    const bool events_free = dx_load_relaxed(&window->events) <= window->events_max / 2;
    if (((waiting & WANT_BYTES) != 0 && bytes_free) ||
        ((waiting & WANT_EVENTS) != 0 && events_free)) {
        dxi_window_wake(window);
    }
}
