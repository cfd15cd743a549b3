/* disruptorx/platform.h - what the compiler and the processor give us, under one name each.
 *
 * Linux on x86-64 and arm64, GCC >= 11 and clang >= 14. The public headers compile as C17 and as
 * C++17. Nothing here has state.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DISRUPTORX_PLATFORM_H
#define DISRUPTORX_PLATFORM_H

#include <stdint.h>

#ifdef __cplusplus
#define DX_EXTERN_C_BEGIN extern "C" {
#define DX_EXTERN_C_END }
#else
#define DX_EXTERN_C_BEGIN
#define DX_EXTERN_C_END
#endif

/* An exported function. The library is built with hidden visibility: what has no DX_API is ours. */
#define DX_API __attribute__((visibility("default")))

/* The result is an error code or a claimed sequence: dropping it is a bug. */
#define DX_NODISCARD __attribute__((warn_unused_result))

/* Hot path: the body is the product, so it is in the header and inlined. */
#define DX_INLINE static inline __attribute__((always_inline, unused))

/* Slow path: kept out of line so that the inlined part stays small. */
#define DX_NOINLINE __attribute__((noinline, cold))

#define DX_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define DX_UNLIKELY(condition) __builtin_expect(!!(condition), 0)

#define DX_PRINTF(format_index, first_index)                                                       \
    __attribute__((format(printf, format_index, first_index)))

/* The unit of isolation between words that different threads write. A cache line is 64 bytes, but
 * x86 fetches lines in adjacent pairs and some arm64 cores have 128-byte lines: two hot words in
 * one pair slow each other down. Measured by bench/bench_layout.c. */
#define DX_FALSE_SHARING_BYTES 128
#define DX_ISOLATED __attribute__((aligned(DX_FALSE_SHARING_BYTES)))

/* A cache line, for prefetches. */
#define DX_CACHE_LINE_BYTES 64

/* Tells the core that this thread waits in a loop: saves power and frees the sibling thread. */
DX_INLINE void dx_cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("isb" ::: "memory"); /* `yield` is a no-op on most arm64 cores */
#endif
}

#endif
