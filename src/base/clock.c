/* clock.c - the system's clocks, and the calibration of the processor's counter.
 *
 * DESIGN
 *
 * A sample pairs the counter with CLOCK_MONOTONIC: of many readings "counter, clock, counter" the
 * one with the shortest bracket is kept, and the counter is taken at the bracket's middle. Two such
 * samples, 20 ms apart, give the rate. A preempted reading has a long bracket and is not chosen, so
 * load on the machine costs time and not accuracy.
 *
 * INVARIANTS
 *
 *   I1  dx_tsc_to_ns(tsc, base ticks) is base ns, exactly
 *   I2  conversion is monotonic: multiplier > 0 and the product is not cut
 *   I3  where is_counter is false, ticks are nanoseconds and conversion is the identity
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disruptorx/clock.h"

#include <pthread.h>
#include <time.h>

#include "base/tsc.h"
#include "disruptorx/thread.h"

__extension__ typedef unsigned __int128 wide_t;

static int64_t clock_read(clockid_t id)
{
    struct timespec now = {0};
    (void)clock_gettime(id, &now); /* cannot fail: the ids are constants of every Linux */
    return (int64_t)now.tv_sec * DX_NS_PER_S + now.tv_nsec;
}

int64_t dx_clock_ns(void)
{
    return clock_read(CLOCK_MONOTONIC);
}

int64_t dx_clock_realtime_ns(void)
{
    return clock_read(CLOCK_REALTIME);
}

void dxi_tsc_fit(const dxi_tsc_sample_t *begin, const dxi_tsc_sample_t *end, bool usable,
                 dx_tsc_t *tsc_out)
{
    const uint64_t hz_min = UINT64_C(1000000);
    const uint64_t hz_max = UINT64_C(100000000000);
    const int64_t ticks = (int64_t)(end->ticks - begin->ticks);
    const int64_t ns = end->ns - begin->ns;
    uint64_t hz = 0;
    if (usable && ticks > 0 && ns > 0) {
        const wide_t rate = (wide_t)ticks * (wide_t)DX_NS_PER_S / (wide_t)ns;
        hz = rate > hz_max ? 0 : (uint64_t)rate;
    }
    if (hz < hz_min) { /* I3 */
        *tsc_out = (dx_tsc_t){.multiplier = UINT64_C(1) << 32, .frequency_hz = DX_NS_PER_S};
        return;
    }
    *tsc_out = (dx_tsc_t){
        .ticks_base = end->ticks,
        .ns_base = end->ns,
        .multiplier = (uint64_t)(((wide_t)ns << 32) / (wide_t)ticks),
        .frequency_hz = hz,
        .is_counter = true,
    };
}

/* The tightest of many bracketed readings. */
static dxi_tsc_sample_t sample_take(void)
{
    enum { READINGS = 100 };
    dxi_tsc_sample_t best = {0};
    uint64_t bracket_best = UINT64_MAX;
    for (int i = 0; i < READINGS; i++) {
        const uint64_t before = dx_tsc_now_ordered();
        const int64_t ns = dx_clock_ns();
        const uint64_t bracket = dx_tsc_now_ordered() - before;
        if (bracket < bracket_best) {
            bracket_best = bracket;
            best = (dxi_tsc_sample_t){.ticks = before + bracket / 2, .ns = ns};
        }
    }
    return best;
}

void dx_tsc_calibrate(dx_tsc_t *tsc_out)
{
    dx_cpu_features_t features;
    dx_cpu_features_read(&features);
    const dxi_tsc_sample_t begin = sample_take();
    if (features.invariant_counter) {
        const struct timespec pause = {.tv_nsec = 20 * DX_NS_PER_MS};
        (void)nanosleep(&pause, NULL); /* a signal may cut it short: the interval is measured */
    }
    const dxi_tsc_sample_t end = sample_take();
    dxi_tsc_fit(&begin, &end, features.invariant_counter, tsc_out);
}

static dx_tsc_t tsc_of_process;

static void calibrate_process(void)
{
    dx_tsc_calibrate(&tsc_of_process);
}

const dx_tsc_t *dx_tsc_default(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, calibrate_process);
    return &tsc_of_process;
}
