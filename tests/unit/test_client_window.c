/* test_client_window.c - the ring between those who publish and the client's thread: claims, notes,
 * the wrap of its memory and of its 32-bit counts, waiting for room.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "client/window.h"

#include "base_test.h"
#include "disruptorx/clock.h"
#include "disruptorx/thread.h"

#define BYTES DXI_WINDOW_BYTES_MIN
#define LEAST 80 /* a record is never shorter */

/* As if so much had gone through it: just before both halves of `claimed` wrap. */
static void window_begin(dxi_window_t *window, bool at_the_wrap)
{
    dx_error_t error = {0};
    memset(window, 0, sizeof *window);
    assert_ok(dxi_window_open(window, BYTES, 4, &error));
    if (at_the_wrap) {
        const uint32_t units = UINT32_MAX - 100;
        window->ticket = UINT32_MAX - 50;
        window->head = (int64_t)units * 8;
        dx_store_relaxed(&window->released, window->head);
        dx_store_relaxed(&window->released_seen, window->head);
        dx_store_relaxed(&window->taken, window->ticket);
        dx_store_relaxed(&window->claimed, (int64_t)((uint64_t)window->ticket << 32 | units));
    }
}

static int64_t size_of(uint64_t n)
{
    return LEAST + (int64_t)(n * 7 % 41) * 8;
}

/* A record of `n`, filled with it. */
static void record_fill(char *at, int64_t bytes, uint64_t n)
{
    for (int64_t i = 0; i < bytes; i += 8) {
        memcpy(at + i, &n, sizeof n);
    }
}

static void record_check(const char *at, int64_t bytes, uint64_t n)
{
    for (int64_t i = 0; i < bytes; i += 8) {
        assert_memory_equal(at + i, &n, sizeof n);
    }
}

static void records_come_out_as_they_went_in_over_every_wrap(void **state)
{
    (void)state;
    for (int wrap = 0; wrap < 2; wrap++) {
        dxi_window_t window;
        window_begin(&window, wrap != 0);
        uint64_t in = 0;
        uint64_t out = 0;
        while (out < 20000) {
            uint64_t claim = 0;
            while (dxi_window_claim(&window, size_of(in), 1, &claim) == DX_OK) {
                record_fill(dxi_window_place(&window, claim), size_of(in), in);
                assert_int_equal(dxi_window_peek(&window, (uint32_t)(in - out)), 0);
                dxi_window_publish(&window, claim, size_of(in),
                                   in % 3 == 0 ? DXI_RECORD_RECEIPT : 0);
                in++;
            }
            assert_int_equal(dxi_window_published(&window) - (uint64_t)window.taken.word, in - out);
            assert_true(dxi_window_claimed(&window) - window.head <= BYTES);
            for (uint32_t taken = 0; taken < 37 && out < in; taken++) {
                const uint32_t note = dxi_window_peek(&window, 0);
                assert_int_equal(dxi_record_bytes(note), size_of(out));
                assert_int_equal((note & DXI_RECORD_RECEIPT) != 0, out % 3 == 0);
                record_check(dxi_window_at(&window, window.head), size_of(out), out);
                dxi_window_take(&window, size_of(out), 1);
                out++;
            }
            dxi_window_release(&window, window.head);
        }
        dxi_window_close(&window);
    }
}

static void the_window_can_be_filled_to_its_last_byte(void **state)
{
    (void)state;
    dxi_window_t window;
    window_begin(&window, true);
    uint64_t claim = 0;
    assert_int_equal(dxi_window_claim(&window, BYTES / 2, 1, &claim), DX_OK);
    dxi_window_publish(&window, claim, BYTES / 2, 0);
    assert_int_equal(dxi_window_claim(&window, BYTES / 2 + 8, 1, &claim), DX_EAGAIN);
    assert_int_equal(dxi_window_claim(&window, BYTES / 2, 1, &claim), DX_OK);
    dxi_window_publish(&window, claim, BYTES / 2, 0);
    assert_int_equal(dxi_window_claim(&window, 8, 1, &claim), DX_EAGAIN);
    assert_int_equal(dxi_window_peek(&window, 2), 0);
    assert_int_equal(dxi_window_claimed(&window) - window.head, BYTES);
    dxi_window_take(&window, BYTES / 2, 1);
    assert_int_equal(dxi_window_claim(&window, 8, 1, &claim), DX_EAGAIN); /* not released */
    dxi_window_release(&window, window.head);
    assert_int_equal(dxi_window_claim(&window, 8, 1, &claim), DX_OK);
    dxi_window_close(&window);
}

static void receipts_are_counted_apart(void **state)
{
    (void)state;
    dxi_window_t window;
    window_begin(&window, false);
    uint64_t claim = 0;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(dxi_window_claim_slow(&window, LEAST, 1, 1, 0, &claim), DX_OK);
    }
    assert_int_equal(dxi_window_claim_slow(&window, LEAST, 1, 1, 0, &claim), DX_EAGAIN);
    assert_int_equal(dxi_window_claim_slow(&window, LEAST, 0, 1, 0, &claim), DX_OK);
    (void)dx_fetch_add_relaxed(&window.events, -1);
    assert_int_equal(dxi_window_claim_slow(&window, BYTES, 1, 1, 0, &claim), DX_EAGAIN);
    assert_int_equal(dxi_window_claim_slow(&window, LEAST, 1, 1, 0, &claim), DX_OK);
    const int64_t soon = dx_clock_ns() + DX_NS_PER_MS;
    assert_int_equal(dxi_window_claim_slow(&window, LEAST, 1, 1, soon, &claim), DX_ETIMEDOUT);
    dxi_window_shut(&window);
    assert_int_equal(dxi_window_claim_slow(&window, LEAST, 1, 1, DXI_WINDOW_FOREVER, &claim),
                     DX_ECLOSED);
    dxi_window_close(&window);
}

typedef struct producer {
    dxi_window_t *window;
    uint64_t index;
    uint64_t count;
} producer_t;

static void produce(void *context)
{
    const producer_t *const producer = context;
    for (uint64_t i = 0; i < producer->count; i++) {
        const uint64_t n = producer->index << 32 | i;
        uint64_t claim = 0;
        if (dxi_window_claim_slow(producer->window, size_of(n), 0, 1, DXI_WINDOW_FOREVER, &claim) !=
            DX_OK) {
            abort();
        }
        record_fill(dxi_window_place(producer->window, claim), size_of(n), n);
        dxi_window_publish(producer->window, claim, size_of(n), 0);
    }
}

static void producers_that_wait_are_woken_and_keep_their_order(void **state)
{
    (void)state;
    enum { PRODUCERS = 3, COUNT = 20000 };
    static dxi_window_t window;
    window_begin(&window, true);
    producer_t producers[PRODUCERS];
    dx_thread_t *threads[PRODUCERS];
    dx_error_t error = {0};
    for (uint64_t i = 0; i < PRODUCERS; i++) {
        producers[i] = (producer_t){.window = &window, .index = i, .count = COUNT};
        assert_ok(dx_thread_start(NULL, produce, &producers[i], &threads[i], &error));
    }
    uint64_t next[PRODUCERS] = {0};
    for (int taken = 0; taken < PRODUCERS * COUNT;) {
        const uint32_t note = dxi_window_peek(&window, 0);
        if (note == 0) {
            dxi_window_release(&window, window.head);
            dxi_window_settle(&window);
            continue;
        }
        const char *const at = dxi_window_at(&window, window.head);
        uint64_t n = 0;
        memcpy(&n, at, sizeof n);
        assert_true(n >> 32 < PRODUCERS);
        assert_int_equal(n & UINT32_MAX, next[n >> 32]);
        next[n >> 32]++;
        assert_int_equal(dxi_record_bytes(note), size_of(n));
        record_check(at, size_of(n), n);
        dxi_window_take(&window, size_of(n), 1);
        taken++;
    }
    dxi_window_release(&window, window.head);
    for (int i = 0; i < PRODUCERS; i++) {
        assert_ok(dx_thread_join(threads[i]));
    }
    dxi_window_close(&window);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_come_out_as_they_went_in_over_every_wrap),
        cmocka_unit_test(the_window_can_be_filled_to_its_last_byte),
        cmocka_unit_test(receipts_are_counted_apart),
        cmocka_unit_test(producers_that_wait_are_woken_and_keep_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
