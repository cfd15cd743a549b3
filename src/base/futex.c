/* futex.c - the system calls behind futex.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/futex.h"

#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "disruptorx/clock.h"

void dxi_futex_wait(dx_atomic32_t *word, int32_t expected, int64_t timeout_ns)
{
    const struct timespec timeout = {.tv_sec = timeout_ns / DX_NS_PER_S,
                                     .tv_nsec = timeout_ns % DX_NS_PER_S};
    (void)syscall(SYS_futex, &word->word, FUTEX_WAIT_PRIVATE, expected,
                  timeout_ns == INT64_MAX ? NULL : &timeout, NULL, 0);
}

void dxi_futex_wake(dx_atomic32_t *word)
{
    (void)syscall(SYS_futex, &word->word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

void dxi_futex_yield(void)
{
    (void)sched_yield();
}
