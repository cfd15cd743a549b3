/* disruptorx/clock.h - time in nanoseconds: the system's clocks and the processor's counter.
 *
 * dx_clock_ns() is the clock for deadlines and intervals (about 20 ns a call on a usual machine).
 * Where that is too much, as in a benchmark that stamps every event, read the processor's counter
 * with dx_tsc_ticks() and turn ticks to nanoseconds later, off the measured path:
 *
 *     const dx_tsc_t *tsc = dx_tsc_default();
 *     const uint64_t begin = dx_tsc_ticks(tsc);
 *     ...
 *     const int64_t elapsed_ns = dx_tsc_to_ns(tsc, dx_tsc_ticks(tsc)) - dx_tsc_to_ns(tsc, begin);
 *
 * ACCURACY. The rate is measured against CLOCK_MONOTONIC over 20 ms, each end taken as the tightest
 * of many bracketed reads, so it is good to a few parts in a million on an undisturbed machine.
 * CLOCK_MONOTONIC is itself steered by NTP (up to 500 parts in a million) and the counter is not,
 * so the two drift apart: use dx_tsc_to_ns() for differences of seconds, not as a calendar. Where
 * the counter is not constant and synchronous (no invariant TSC) dx_tsc_ticks() reads
 * CLOCK_MONOTONIC instead; the code above stays right and only costs more.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DISRUPTORX_CLOCK_H
#define DISRUPTORX_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "disruptorx/platform.h"

DX_EXTERN_C_BEGIN

#define DX_NS_PER_US INT64_C(1000)
#define DX_NS_PER_MS INT64_C(1000000)
#define DX_NS_PER_S INT64_C(1000000000)

/* Monotonic nanoseconds since an arbitrary point (CLOCK_MONOTONIC). Out of line, because strict C17
 * hides clock_gettime() from a header.
 * Threads: any. */
DX_API int64_t dx_clock_ns(void);

/* Nanoseconds since 1970-01-01 UTC (CLOCK_REALTIME); an administrator or NTP may set it back.
 * Threads: any. */
DX_API int64_t dx_clock_realtime_ns(void);

/* The processor's raw counter; 0 on a processor without one. Not ordered with the instructions
 * around it: a processor may read it some tens of instructions early or late.
 * Threads: any. */
DX_INLINE uint64_t dx_tsc_now(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ __volatile__("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return 0;
#endif
}

/* As dx_tsc_now(), but read after every earlier instruction has finished; costs some ten ns.
 * Threads: any. */
DX_INLINE uint64_t dx_tsc_now_ordered(void)
{
#if defined(__x86_64__)
    __asm__ __volatile__("lfence" ::: "memory");
#elif defined(__aarch64__)
    __asm__ __volatile__("isb" ::: "memory");
#endif
    return dx_tsc_now();
}

/* How ticks become nanoseconds: ns = ns_base + ((ticks - ticks_base) * multiplier >> 32).
 * Filled by dx_tsc_calibrate(); read-only afterwards, so any number of threads may share it. */
typedef struct dx_tsc {
    uint64_t ticks_base;
    int64_t ns_base;
    uint64_t multiplier;   /* nanoseconds per tick, times 2^32 */
    uint64_t frequency_hz; /* ticks per second; 1000000000 where the clock stands in */
    bool is_counter;       /* true: the processor's counter; false: CLOCK_MONOTONIC */
} dx_tsc_t;

/* Measures the counter for about 20 ms and fills `*tsc_out`. It always succeeds: where the counter
 * is unusable, `is_counter` is false.
 * Threads: any. */
DX_API void dx_tsc_calibrate(dx_tsc_t *tsc_out);

/* The process's own calibration, made by the first call, which takes 20 ms. Never NULL.
 * Threads: any. */
DX_API const dx_tsc_t *dx_tsc_default(void);

/* The time in ticks of `tsc`.
 * Threads: any. */
DX_INLINE uint64_t dx_tsc_ticks(const dx_tsc_t *tsc)
{
    return DX_LIKELY(tsc->is_counter) ? dx_tsc_now() : (uint64_t)dx_clock_ns();
}

/* Turns a reading of dx_tsc_ticks() to nanoseconds on the scale of dx_clock_ns(). The product has
 * 128 bits, so there is no overflow within 292 years. A reading before the calibration is right
 * too. Rounds towards minus infinity.
 * Threads: any. */
DX_INLINE int64_t dx_tsc_to_ns(const dx_tsc_t *tsc, uint64_t ticks)
{
    __extension__ typedef __int128 dx_wide_t;
    const int64_t elapsed = (int64_t)(ticks - tsc->ticks_base);
    return tsc->ns_base + (int64_t)(((dx_wide_t)elapsed * (dx_wide_t)tsc->multiplier) >> 32);
}

DX_EXTERN_C_END

#endif
