/* disruptorx/atomic.h - the few atomic operations the library uses, each with its order in its
 * name.
 *
 * A shared word is a struct, so that it can't be read or written by accident without naming an
 * order. The operations are the compiler's built-ins and not <stdatomic.h>, because the same
 * headers compile as C++17, and the words may lie in memory that another process maps.
 *
 * Every use names its partner and what a weaker order would break. Fences appear only between a
 * store and a load of different words (a Dekker pair), where no acquire or release operation can
 * order them: dx_fence_seq_cst() on both sides, or dx_fence_light() on the hot one and
 * dxi_heavy_fence() (src/ring/park.c) on the other.
 *
 * tests/relacy runs the code that uses them on a simulated memory.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DISRUPTORX_ATOMIC_H
#define DISRUPTORX_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

#include "disruptorx/platform.h"

/* 64 bits that threads (or processes) share: a sequence, a counter, a mask. */
typedef struct dx_atomic64 {
    int64_t word;
} dx_atomic64_t;

/* 32 bits that threads share: a futex, a flag, a lap number. */
typedef struct dx_atomic32 {
    int32_t word;
} dx_atomic32_t;

DX_INLINE int64_t dx_load_relaxed(const dx_atomic64_t *a)
{
    return __atomic_load_n(&a->word, __ATOMIC_RELAXED);
}
DX_INLINE int64_t dx_load_acquire(const dx_atomic64_t *a)
{
    return __atomic_load_n(&a->word, __ATOMIC_ACQUIRE);
}
DX_INLINE void dx_store_relaxed(dx_atomic64_t *a, int64_t value)
{
    __atomic_store_n(&a->word, value, __ATOMIC_RELAXED);
}
DX_INLINE void dx_store_release(dx_atomic64_t *a, int64_t value)
{
    __atomic_store_n(&a->word, value, __ATOMIC_RELEASE);
}
DX_INLINE int64_t dx_fetch_add_relaxed(dx_atomic64_t *a, int64_t delta)
{
    return __atomic_fetch_add(&a->word, delta, __ATOMIC_RELAXED);
}
/* Each returns the value that stood there before. */
DX_INLINE int64_t dx_fetch_or_acq_rel(dx_atomic64_t *a, int64_t bits)
{
    return __atomic_fetch_or(&a->word, bits, __ATOMIC_ACQ_REL);
}
DX_INLINE int64_t dx_fetch_and_acq_rel(dx_atomic64_t *a, int64_t bits)
{
    return __atomic_fetch_and(&a->word, bits, __ATOMIC_ACQ_REL);
}
/* On failure `*expected` receives the value found. Strong: it fails only when the value differs. */
DX_INLINE bool dx_compare_exchange_acq_rel(dx_atomic64_t *a, int64_t *expected, int64_t desired)
{
    return __atomic_compare_exchange_n(&a->word, expected, desired, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
}

DX_INLINE int32_t dx_load32_relaxed(const dx_atomic32_t *a)
{
    return __atomic_load_n(&a->word, __ATOMIC_RELAXED);
}
DX_INLINE int32_t dx_load32_acquire(const dx_atomic32_t *a)
{
    return __atomic_load_n(&a->word, __ATOMIC_ACQUIRE);
}
DX_INLINE void dx_store32_relaxed(dx_atomic32_t *a, int32_t value)
{
    __atomic_store_n(&a->word, value, __ATOMIC_RELAXED);
}
DX_INLINE void dx_store32_release(dx_atomic32_t *a, int32_t value)
{
    __atomic_store_n(&a->word, value, __ATOMIC_RELEASE);
}
DX_INLINE int32_t dx_exchange32_acq_rel(dx_atomic32_t *a, int32_t value)
{
    return __atomic_exchange_n(&a->word, value, __ATOMIC_ACQ_REL);
}
DX_INLINE int32_t dx_fetch_add32_acq_rel(dx_atomic32_t *a, int32_t delta)
{
    return __atomic_fetch_add(&a->word, delta, __ATOMIC_ACQ_REL);
}
DX_INLINE int32_t dx_fetch_or32_acq_rel(dx_atomic32_t *a, int32_t bits)
{
    return __atomic_fetch_or(&a->word, bits, __ATOMIC_ACQ_REL);
}
DX_INLINE int32_t dx_fetch_and32_acq_rel(dx_atomic32_t *a, int32_t bits)
{
    return __atomic_fetch_and(&a->word, bits, __ATOMIC_ACQ_REL);
}
DX_INLINE bool dx_compare_exchange32_acq_rel(dx_atomic32_t *a, int32_t *expected, int32_t desired)
{
    return __atomic_compare_exchange_n(&a->word, expected, desired, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
}

/* Orders every earlier store before every later load, across different words. */
DX_INLINE void dx_fence_seq_cst(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* The light side of such a pair: keeps the compiler from moving a later load before an earlier
 * store, and costs no instruction. The other side makes this processor, too, keep them in order,
 * when it needs that. */
DX_INLINE void dx_fence_light(void)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

#endif
