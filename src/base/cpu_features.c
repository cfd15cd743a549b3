/* cpu_features.c - what the processor can do, asked from the processor itself.
 *
 * x86: CPUID leaf 7 (WAITPKG), 0x80000001 (MONITORX) and 0x80000007 (invariant TSC), as the manuals
 * of Intel and AMD describe them. A hypervisor that hides a feature hides the bit. arm64 has WFE
 * and a counter of constant rate in its base architecture.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disruptorx/thread.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

void dx_cpu_features_read(dx_cpu_features_t *features_out)
{
    *features_out = (dx_cpu_features_t){0};
#if defined(__x86_64__)
    const unsigned waitpkg_ecx = 1U << 5;
    const unsigned monitorx_ecx = 1U << 29;
    const unsigned invariant_edx = 1U << 8;
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) != 0) {
        features_out->umwait = (c & waitpkg_ecx) != 0;
    }
    if (__get_cpuid(0x80000001U, &a, &b, &c, &d) != 0) {
        features_out->mwaitx = (c & monitorx_ecx) != 0;
    }
    if (__get_cpuid(0x80000007U, &a, &b, &c, &d) != 0) {
        features_out->invariant_counter = (d & invariant_edx) != 0;
    }
#elif defined(__aarch64__)
    features_out->invariant_counter = true;
    features_out->wfe = true;
#endif
    features_out->monitor_wait = features_out->umwait || features_out->mwaitx || features_out->wfe;
}
