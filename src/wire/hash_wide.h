/* wire/hash_wide.h - XXH3-64 compiled for wider vectors than the compiler's baseline.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_WIRE_HASH_WIDE_H
#define DXI_WIRE_HASH_WIDE_H

#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
/* Only where the processor has AVX2.
 * Threads: any. */
uint64_t dxi_hash_avx2(const void *bytes, size_t count);
#endif

#endif
