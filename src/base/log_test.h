/* base/log_test.h - lets a test give a log the time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BASE_LOG_TEST_H
#define DXI_BASE_LOG_TEST_H

#include <stdint.h>

#include "disruptorx/log.h"

/* Replaces the clocks of a log. Before its first line.
 * Threads: init. */
void dxi_log_set_clocks(dx_log_t *log, int64_t (*monotonic_ns)(void), int64_t (*realtime_ns)(void));

#endif
