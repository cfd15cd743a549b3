/* base/futex.h - sleeping on a word and waking who does, in this process.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BASE_FUTEX_H
#define DXI_BASE_FUTEX_H

#include <stdint.h>

#include "disruptorx/atomic.h"

/* Sleeps while `*word` is `expected`, for at most `timeout_ns` (INT64_MAX: without end). May return
 * early: look again.
 * Threads: any. */
void dxi_futex_wait(dx_atomic32_t *word, int32_t expected, int64_t timeout_ns);

/* Wakes all who sleep on it. Threads: any. */
void dxi_futex_wake(dx_atomic32_t *word);

/* Lets another thread run. Threads: any. */
void dxi_futex_yield(void);

#endif
