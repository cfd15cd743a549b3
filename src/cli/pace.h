/* cli/pace.h - things that are due at a rate: number n at begin + n / rate, whatever happened to
 * those before it, so that who is late says so (no coordinated omission).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_PACE_H
#define DXI_CLI_PACE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "disruptorx/atomic.h"
#include "disruptorx/clock.h"
#include "disruptorx/platform.h"

#define DXI_PACE_RATE_MAX 1000000000

/* When number `index` is due. Threads: any. */
DX_INLINE int64_t dxi_pace_due_ns(int64_t begin_ns, int64_t rate, int64_t index)
{
    return begin_ns + index / rate * DX_NS_PER_S + index % rate * DX_NS_PER_S / rate;
}

/* Waits until dx_clock_ns() shows `due_ns`: it sleeps while there is time and spins at the end, for
 * `spin_ns`. Returns false, earlier, when `stop` became 1.
 * Threads: any. */
bool dxi_pace_wait(int64_t due_ns, int64_t spin_ns, const dx_atomic32_t *stop);

#endif
