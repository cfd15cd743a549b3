/* hash_avx2.c - XXH3-64 with AVX2; this file alone is compiled with -mavx2 (CMakeLists.txt).
 *
 * DESIGN
 *
 * libxxhash has a dispatcher of its own, which we do not use: version 0.8.1 returns with the upper
 * halves of the vector registers in use, and from then on each change between old and new vector
 * instructions on that thread costs 130 ns on an AMD EPYC (bench/bench_wire.c: stamping went from
 * 17 to 150 ns). Compiled here the compiler clears them before it returns.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "wire/hash_wide.h"

#if defined(__x86_64__)
#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t dxi_hash_avx2(const void *bytes, size_t count)
{
    return XXH3_64bits(bytes, count);
}
#endif
