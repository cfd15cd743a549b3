/* log_sites.c - the rate limit: a table of call sites in each log.
 *
 * DESIGN
 *
 * The state of a call site is kept in the log and not beside the code, so two logs do not share a
 * limit, and a plug-in that is unloaded leaves no list with a dangling link. The table is open
 * addressing by the site's address, filled by CAS and never emptied; a site looks at PROBES places
 * and otherwise shares the last slot.
 *
 * Time runs in whole seconds: a window is (second, lines), in one word so that one CAS moves both.
 *
 * INVARIANTS
 *
 *   I1  at most `burst` lines of a slot are admitted in one second
 *   I2  each line is admitted, or is in `suppressed` until somebody takes it
 *   I3  a slot's site never changes once set
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/log_sites.h"

#include "disruptorx/clock.h"

enum { PROBES = 16 };

dxi_log_slot_t *dxi_log_sites_find(dxi_log_sites_t *sites, const dx_log_site_t *site)
{
    const int64_t key = (int64_t)(intptr_t)site;
    const uint64_t hash = (uint64_t)key * UINT64_C(0x9E3779B97F4A7C15); /* 2^64 / golden ratio */
    for (uint64_t i = 0; i < PROBES; i++) {
        dxi_log_slot_t *const slot = &sites->slots[((hash >> 40) + i) % DXI_LOG_SITES];
        int64_t found = dx_load_relaxed(&slot->site);
        /* RELAXED is enough: the address is compared here and not followed. dx_log_flush() follows
         * it, and its acquire load pairs with the exchange below. */
        if (found == key) {
            return slot;
        }
        if (found == 0 && (dx_compare_exchange_acq_rel(&slot->site, &found, key) || found == key)) {
            return slot;
        }
    }
    return &sites->slots[DXI_LOG_SITES];
}

bool dxi_log_slot_admit(dxi_log_slot_t *slot, int64_t now_ns, int32_t burst)
{
    const int64_t second = now_ns / DX_NS_PER_S & INT32_MAX;
    int64_t window = dx_load_relaxed(&slot->window);
    for (;;) {
        const bool same = window >> 32 == second;
        const int64_t lines = same ? window & UINT32_MAX : 0;
        if (lines >= burst) {
            (void)dx_fetch_add_relaxed(&slot->suppressed, 1);
            return false;
        }
        if (dx_compare_exchange_acq_rel(&slot->window, &window, second << 32 | (lines + 1))) {
            return true;
        }
    }
}

int64_t dxi_log_slot_take(dxi_log_slot_t *slot)
{
    int64_t suppressed = dx_load_relaxed(&slot->suppressed);
    while (suppressed != 0 && !dx_compare_exchange_acq_rel(&slot->suppressed, &suppressed, 0)) {
        /* another thread took it, or added to it: `suppressed` is what it is now */
    }
    return suppressed;
}
