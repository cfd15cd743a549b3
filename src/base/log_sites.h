/* base/log_sites.h - how often each call site has logged in the present second.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BASE_LOG_SITES_H
#define DXI_BASE_LOG_SITES_H

#include <stdbool.h>
#include <stdint.h>

#include "disruptorx/atomic.h"
#include "disruptorx/log.h"

#define DXI_LOG_SITES 512 /* call sites with a limit of their own */

/* One call site's state in one log. */
typedef struct dxi_log_slot {
    dx_atomic64_t site;       /* a const dx_log_site_t *, or 0; set once */
    dx_atomic64_t window;     /* second << 32 | lines in it */
    dx_atomic64_t suppressed; /* lines left out and not yet told */
} dxi_log_slot_t;

/* The table; all zero is empty. The last slot is shared by what found no slot. */
typedef struct dxi_log_sites {
    dxi_log_slot_t slots[DXI_LOG_SITES + 1];
} dxi_log_sites_t;

/* The slot of a call site; the shared one when the table is full around its place. Lock-free.
 * Threads: any. */
dxi_log_slot_t *dxi_log_sites_find(dxi_log_sites_t *sites, const dx_log_site_t *site);

/* Whether a line may go out at `now_ns`. If not, it is counted as suppressed.
 * Threads: any. */
bool dxi_log_slot_admit(dxi_log_slot_t *slot, int64_t now_ns, int32_t burst);

/* Takes the number of lines suppressed since it was last taken.
 * Threads: any. */
int64_t dxi_log_slot_take(dxi_log_slot_t *slot);

#endif
