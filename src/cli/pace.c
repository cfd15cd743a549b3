/* pace.c - waiting until something is due.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/pace.h"

#define SLEEP_MAX_NS (50 * DX_NS_PER_MS)

bool dxi_pace_wait(int64_t due_ns, int64_t spin_ns, const dx_atomic32_t *stop)
{
    for (;;) {
        const int64_t left_ns = due_ns - dx_clock_ns();
        if (left_ns <= 0) {
            return true;
        }
        /* RELAXED: the word carries nothing else. */
        if (dx_load32_relaxed(stop) != 0) {
            return false;
        }
        if (left_ns > spin_ns) {
            const int64_t most_ns = left_ns - spin_ns;
            const int64_t sleep_ns = most_ns < SLEEP_MAX_NS ? most_ns : SLEEP_MAX_NS;
            const struct timespec time = {.tv_sec = 0, .tv_nsec = (long)sleep_ns};
            (void)nanosleep(&time, NULL); /* a signal may end it: the clock is looked at again */
        } else {
            dx_cpu_relax();
        }
    }
}
