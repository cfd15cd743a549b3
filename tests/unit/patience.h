/* patience.h - waiting for what a node's or a client's threads do.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef PATIENCE_H
#define PATIENCE_H

#include <unistd.h>

#include "base_test.h"
#include "disruptorx/clock.h"

#define PATIENCE_NS (60 * DX_NS_PER_S) /* for a broken test only */

/* Waits for a condition. Fails, never hangs. */
#define wait_until(condition)                                                                      \
    do {                                                                                           \
        const int64_t give_up_ns = dx_clock_ns() + PATIENCE_NS;                                    \
        while (!(condition)) {                                                                     \
            if (dx_clock_ns() > give_up_ns) {                                                      \
                fail_msg("waited in vain for %s", #condition);                                     \
            }                                                                                      \
            (void)usleep(200);                                                                     \
        }                                                                                          \
    } while (0)

#endif
