/* share_test.h - what the tests of shared rings share: a folder of their own, processes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SHARE_TEST_H
#define SHARE_TEST_H

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ring/share.h"
#include "ring_test.h"

/* Short, so that the tests are: what they wait for is the state, never the time. */
#define DETECT_NS INT64_C(40000000)

static char share_folder[64];

static inline int share_set_up(void **state)
{
    (void)state;
    (void)snprintf(share_folder, sizeof(share_folder), "/dev/shm/dx-test-%d-XXXXXX", (int)getpid());
    return mkdtemp(share_folder) != NULL ? 0 : -1;
}

static inline int share_tear_down(void **state)
{
    (void)state;
    return rmdir(share_folder); /* fails when a test has left anything behind */
}

#define SHARED(test) cmocka_unit_test_setup_teardown(test, share_set_up, share_tear_down)

static inline dx_ring_t *share_ring(dx_ring_mode_t mode, uint32_t slot_count, dx_on_stall_t stalled)
{
    return ring_from(&(dx_ring_options_t){
        .slot_count = slot_count,
        .event_bytes = sizeof(event_t),
        .mode = mode,
        .share = {
            .name = "r", .folder = share_folder, .detect_ns = DETECT_NS, .stalled = stalled}});
}

/* For a child, which must not come back into the test: it ends when it can't. */
static inline dx_ring_t *child_attach(void)
{
    dx_ring_t *ring = NULL;
    dx_error_t error = {0};
    const dx_attach_options_t options = {.name = "r", .folder = share_folder};
    if (dx_ring_attach(&options, &ring, &error) != DX_OK) {
        (void)fprintf(stderr, "in a child: %s\n", error.message);
        _exit(97);
    }
    return ring;
}

/* What a parent and its child tell each other: numbers in memory that both see. */
typedef struct share_word {
    dx_atomic64_t step;
    dx_atomic64_t value;
} share_word_t;

static inline share_word_t *share_word(void)
{
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    return memory;
}

static inline void share_word_free(share_word_t *word)
{
    (void)munmap(word, 4096);
}

/* In a child: waits for a step of the parent. The child of a parent that gave up ends, too. */
static inline void child_await(const share_word_t *word, int64_t step)
{
    const int64_t end_ns = dx_clock_ns() + PATIENCE_NS;
    while (dx_load_acquire(&word->step) < step) {
        if (dx_clock_ns() > end_ns) {
            _exit(99);
        }
        (void)usleep(1000);
    }
}

static inline void child_must(int64_t code)
{
    if (code < 0) {
        (void)fprintf(stderr, "in a child: %s\n", dx_error_name((int)code));
        _exit(98);
    }
}

static inline void share_reap(pid_t child, int expected_status)
{
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, expected_status);
}

static inline void share_kill(pid_t child)
{
    assert_int_equal(kill(child, SIGKILL), 0);
    share_reap(child, SIGKILL);
}

#endif
