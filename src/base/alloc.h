/* base/alloc.h - the one allocator of control structures, and the faults a test can inject.
 *
 * Everything that may run out asks through here: memory (dxi_alloc_zeroed), mappings
 * (dx_memory_map) and threads (dx_thread_start). In builds with DX_TEST_HOOKS each such place is a
 * named fault point. A test arms the n-th one and sweeps n upwards until the call succeeds:
 *
 *     for (int64_t n = 0;; n++) {
 *         dxi_fault_arm(n);
 *         const int rc = dx_thing_create(&options, &thing, &error);
 *         dxi_fault_disarm();
 *         if (rc == DX_OK) { break; }
 *         assert_int_equal(rc, DX_ENOMEM);
 *         assert_int_equal(dxi_live_count(), live_before);
 *     }
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_BASE_ALLOC_H
#define DXI_BASE_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "disruptorx/platform.h"

/* Memory for `count` objects of `object_bytes` each, all zero, aligned to DX_FALSE_SHARING_BYTES so
 * that DX_ISOLATED members are alone. NULL when there is none, when the product overflows, or when
 * it is zero. The caller frees it with dxi_free().
 * Threads: any. */
DX_NODISCARD void *dxi_alloc_zeroed(size_t count, size_t object_bytes);

/* Gives memory of dxi_alloc_zeroed() back; NULL is allowed.
 * Threads: any. */
void dxi_free(void *memory);

#if DX_TEST_HOOKS

/* Makes the n-th fault point from now (0 is the next one) fail, once, and resets dxi_fault_count().
 * Threads: any, for the whole process. */
void dxi_fault_arm(int64_t n);

/* How many fault points were passed since dxi_fault_arm(), the failed one included.
 * Threads: any. */
int64_t dxi_fault_count(void);

/* The name of the fault point that failed since dxi_fault_arm(), or NULL when none did.
 * Threads: any. */
const char *dxi_fault_fired(void);

/* No fault point fails from now on.
 * Threads: any. */
void dxi_fault_disarm(void);

/* Fault points call this: true when this one has to fail. `name` must be a literal.
 * Threads: any. */
DX_NODISCARD bool dxi_fault(const char *name);

/* Allocations, mappings and threads that were made and not yet given back.
 * Threads: any. */
int64_t dxi_live_count(void);

/* Says that a resource was made (+1) or given back (-1).
 * Threads: any. */
void dxi_live_add(int64_t delta);

#else

DX_NODISCARD DX_INLINE bool dxi_fault(const char *name)
{
    (void)name;
    return false;
}
DX_INLINE void dxi_live_add(int64_t delta)
{
    (void)delta;
}

#endif

#endif
