/* alloc.c - zeroed, aligned memory for control structures, and fault injection.
 *
 * DESIGN
 *
 * Allocation happens at set-up only, so this is aligned_alloc() with the checks that each caller
 * would otherwise repeat. In builds with DX_TEST_HOOKS every place that may run out is counted from
 * dxi_fault_arm() on, and the one with the armed number fails.
 *
 * INVARIANTS
 *
 *   I1  memory handed out is all zero and starts on a multiple of DX_FALSE_SHARING_BYTES
 *   I2  between arm and disarm exactly one fault point fails: the n-th one passed
 *   I3  dxi_live_count() rises by one for what was made and falls by one for what was given back
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

#include "disruptorx/atomic.h"

void *dxi_alloc_zeroed(size_t count, size_t object_bytes)
{
    size_t bytes = 0;
    size_t padded = 0;
    if (__builtin_mul_overflow(count, object_bytes, &bytes) || bytes == 0 ||
        __builtin_add_overflow(bytes, (size_t)DX_FALSE_SHARING_BYTES - 1, &padded)) {
        return NULL;
    }
    if (dxi_fault("alloc")) {
        return NULL;
    }
    padded -= padded % DX_FALSE_SHARING_BYTES; /* aligned_alloc() wants a multiple */
    void *const memory = aligned_alloc(DX_FALSE_SHARING_BYTES, padded);
    if (memory == NULL) {
        return NULL;
    }
    memset(memory, 0, padded);
    dxi_live_add(1);
    return memory;
}

void dxi_free(void *memory)
{
    if (memory != NULL) {
        dxi_live_add(-1);
        free(memory);
    }
}

#if DX_TEST_HOOKS

enum { FAULT_NONE = -1 };

/* RELAXED throughout: a test arms before it starts the threads that pass fault points, and the
 * number of a point is unique because it comes from a fetch_add. */
static dx_atomic64_t fault_armed = {FAULT_NONE};
static dx_atomic64_t fault_passed;
static dx_atomic64_t fault_name; /* a const char *, or 0 */
static dx_atomic64_t live;

void dxi_fault_arm(int64_t n)
{
    dx_store_relaxed(&fault_passed, 0);
    dx_store_relaxed(&fault_name, 0);
    dx_store_relaxed(&fault_armed, n);
}

void dxi_fault_disarm(void)
{
    dx_store_relaxed(&fault_armed, FAULT_NONE);
}

int64_t dxi_fault_count(void)
{
    return dx_load_relaxed(&fault_passed);
}

const char *dxi_fault_fired(void)
{
    const int64_t word = dx_load_relaxed(&fault_name);
    const char *name = NULL;
    memcpy(&name, &word, sizeof(name));
    return name;
}

bool dxi_fault(const char *name)
{
    const int64_t number = dx_fetch_add_relaxed(&fault_passed, 1);
    if (number != dx_load_relaxed(&fault_armed)) {
        return false;
    }
    dx_store_relaxed(&fault_name, (int64_t)(intptr_t)name);
    return true;
}

int64_t dxi_live_count(void)
{
    return dx_load_relaxed(&live);
}

void dxi_live_add(int64_t delta)
{
    (void)dx_fetch_add_relaxed(&live, delta);
}

#endif
