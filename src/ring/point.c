/* point.c - named points between the steps of a protocol, for deterministic tests.
 *
 * A race test must not depend on luck. It sets a hook; the code under test calls it at each named
 * point; the hook runs the other side's step at exactly that moment. Without DX_TEST_HOOKS the
 * points compile to nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ring/ring_internal.h"

#if DX_TEST_HOOKS
static struct {
    dxi_point_hook_t hook;
    void *context;
} point;

void dxi_point_set(dxi_point_hook_t hook, void *context)
{
    __atomic_store_n(&point.context, context, __ATOMIC_RELAXED);
    /* RELEASE, pairs with the acquire below: the context belongs to the hook. */
    __atomic_store_n(&point.hook, hook, __ATOMIC_RELEASE);
}

void dxi_point(const char *name)
{
    const dxi_point_hook_t hook = __atomic_load_n(&point.hook, __ATOMIC_ACQUIRE);
    if (hook != NULL) {
        hook(name, __atomic_load_n(&point.context, __ATOMIC_RELAXED));
    }
}
#else
/* ISO C wants a declaration in every file. */
typedef int dxi_point_unused_t;
#endif
