/* checksum.c - the checksum of a frame's body, and the hash of keys: XXH3-64.
 *
 * DESIGN
 *
 * xxhash's header is compiled in here, so that a small body costs no second call. Long bodies take
 * the same function compiled for wider vectors, where this processor has them. The values are the
 * same.
 *
 * The header's checksum is in frame_internal.h. It takes the header as words in registers: who has
 * just stored 8 bytes and then loads the 16 around them waits for the store buffer, some 5 ns each.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "wire/frame_internal.h"
#include "wire/hash_wide.h"

/* Above it wide vectors pay for the look at what the processor has. */
#define WIDE_BYTES_MIN 512

uint64_t dxi_body_checksum(const void *body, size_t bytes)
{
#if defined(__x86_64__)
    if (bytes >= WIDE_BYTES_MIN && __builtin_cpu_supports("avx2")) {
        return dxi_hash_avx2(body, bytes);
    }
#endif
    return XXH3_64bits(body, bytes);
}

uint32_t dx_frame_key_hash(const void *key, size_t bytes)
{
    return (uint32_t)dxi_body_checksum(key, bytes);
}
