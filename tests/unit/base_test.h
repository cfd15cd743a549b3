/* base_test.h - what the tests of src/base share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_TEST_H
#define BASE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "disruptorx/error.h"

/* Skips the test, and says why: a reason that holds on this machine or in this build. */
#define SKIP_BECAUSE(reason)                                                                       \
    do {                                                                                           \
        print_message("skipped: %s\n", (reason));                                                  \
        skip();                                                                                    \
    } while (0)

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* The call succeeded; if not, shows what it said. */
#define assert_ok(call)                                                                            \
    do {                                                                                           \
        const int code_here = (call);                                                              \
        if (code_here != DX_OK) {                                                                  \
            fail_msg("%s returned %s", #call, dx_error_name(code_here));                           \
        }                                                                                          \
    } while (0)

/* The call failed with this code, and `error` says the same code and this text somewhere. */
#define assert_fails(call, expected_code, error, expected_text)                                    \
    do {                                                                                           \
        const int code_here = (call);                                                              \
        assert_string_equal(dx_error_name(code_here), dx_error_name(expected_code));               \
        assert_int_equal((error).code, (expected_code));                                           \
        assert_contains((error).message, (expected_text));                                         \
    } while (0)

#define assert_contains(text, part)                                                                \
    do {                                                                                           \
        if (strstr((text), (part)) == NULL) {                                                      \
            fail_msg("\"%s\" does not contain \"%s\"", (text), (part));                            \
        }                                                                                          \
    } while (0)

/* Calls `attempt` with the first, second, third ... fault point failing, until no fault point is
 * reached any more. A run in which one failed must return DX_ENOMEM, or succeed without it, and
 * leave nothing alive. `attempt` releases what it made. Returns how many runs had a failure. */
static inline int64_t fault_sweep(int (*attempt)(void))
{
#if DX_TEST_HOOKS
    const int64_t live_before = dxi_live_count();
    for (int64_t n = 0;; n++) {
        dxi_fault_arm(n);
        const int code = attempt();
        dxi_fault_disarm();
        assert_int_equal(dxi_live_count(), live_before);
        if (dxi_fault_fired() == NULL) {
            assert_int_equal(code, DX_OK);
            return n;
        }
        if (code != DX_OK && code != DX_ENOMEM) {
            fail_msg("failing \"%s\" gives %s", dxi_fault_fired(), dx_error_name(code));
        }
    }
#else
    (void)attempt;
    SKIP_BECAUSE("this build can't make allocations fail");
    return 0;
#endif
}

/* Tests that are run once more as shm.<module> (CMakeLists.txt): clients whose node is on a UNIX
 * socket use shared memory. */
static inline bool test_over_shm(void)
{
    const char *const wanted = getenv("DX_TEST_SHM");
    return wanted != NULL && strcmp(wanted, "1") == 0;
}

/* Small, seeded and reproducible (xorshift64*). */
static inline uint64_t random_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545F4914F6CDD1D);
}

#endif
