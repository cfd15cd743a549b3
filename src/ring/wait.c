/* wait.c - the wait strategies, and following a busy producer at a distance.
 *
 * DESIGN
 *
 * One engine waits for consumers and producers alike: look, pause in the way of the strategy, look
 * again. dxi_pause_step() is the strategy. It either pauses itself (a few spins, a yield) or tells
 * its caller to sleep, because only the caller knows what it waits for.
 *
 *     kind              spins            yields          then
 *     BUSY_SPIN         for ever
 *     YIELDING          100              for ever
 *     SLEEPING          100              100             sleeps of sleep_ns
 *     BLOCKING                                           parks
 *     LITE_BLOCKING     200                              parks
 *     PHASED_BACKOFF    spin_ns          yield_ns        parks or sleeps
 *     ADAPTIVE          budget           budget          parks
 *     MONITOR           on the line, in pieces of at most 20 us
 *
 * ADAPTIVE keeps an average of how long its waits last. Spinning for twice the average catches most
 * events of a regular source; when the average is above 25 us, spinning would burn more than the
 * wake-up costs, and it parks after one look at the clock. Threads that are not even running (more
 * threads than cores) make waits long, and so turn the spinning off by themselves.
 *
 * FOLLOWING. A consumer that reads an event the moment it is published takes the cache line away
 * from the producer, which is about to write its neighbour. Line by line this costs both more than
 * the events themselves. So a consumer that finds new events at once, several times in a row, and
 * only few of them, waits out one gap of about 250 ns before it takes them: the producer then fills
 * whole lines undisturbed. It goes on as long as a gap brings at least FOLLOW_GAIN events, at most
 * FOLLOW_GAPS times; when it does not pay, it is left alone for FOLLOW_REST batches. An event that
 * comes after a wait, a lone event, is never held back.
 *
 * INVARIANTS
 *
 *   T1  every wait looks at the control word (halt, cancel) at each step, in every phase
 *   T2  a wait with a timeout ends within the timeout and one pause; no pause but parking is longer
 *       than sleep_ns, and parking takes the rest of the timeout as its limit
 *   T3  following delays an event by at most FOLLOW_GAPS gaps, and only behind others that came
 *       without a wait
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <sched.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include "base/fail.h"
#include "base/options.h"
#include "disruptorx/clock.h"
#include "disruptorx/thread.h"
#include "ring/ring_internal.h"

#define SPINS_BRIEF 32
#define SPINS_YIELDING 100
#define SPINS_SLEEPING 100
#define YIELDS_SLEEPING 100
#define SPINS_LITE 200
#define CHECK_CLOCK_EVERY 16

#define SPIN_NS_DEFAULT INT64_C(10000)
#define YIELD_NS_DEFAULT INT64_C(100000)
#define SLEEP_NS_DEFAULT INT64_C(50000)
#define TIMEOUT_NS_DEFAULT INT64_C(1000000)

#define ADAPTIVE_SPIN_MAX_NS INT64_C(50000) /* about twice what a wake-up costs */
#define ADAPTIVE_SPIN_MIN_NS INT64_C(500)
#define ADAPTIVE_YIELD_SHARE 2 /* yields for 1/2 of the spinning time on top of it */

#define MONITOR_SLICE_NS INT64_C(20000)

#define FOLLOW_STREAK 4
#define FOLLOW_BURST 8
#define FOLLOW_GAPS 4
#define FOLLOW_GAIN 4
#define FOLLOW_REST 64
#define FOLLOW_GAP_NS 300

/* ------------------------------------------------------------------------------------- options */

static const struct {
    const char *name;
    const char *help;
} kinds[] = {
#define ROW(symbol, number, text, help) [number] = {text, help},
    DX_WAIT_KIND_LIST(ROW)
#undef ROW
};

const char *dx_wait_kind_name(dx_wait_kind_t kind)
{
    return (unsigned)kind < DX_WAIT_KIND_COUNT ? kinds[kind].name : "unknown";
}

const char *dx_wait_kind_help(dx_wait_kind_t kind)
{
    return (unsigned)kind < DX_WAIT_KIND_COUNT ? kinds[kind].help : "unknown";
}

int dx_wait_kind_parse(const char *name, dx_wait_kind_t *kind_out, dx_error_t *error)
{
    for (int kind = 0; name != NULL && kind < DX_WAIT_KIND_COUNT; kind++) {
        if (strcmp(name, kinds[kind].name) == 0) {
            *kind_out = (dx_wait_kind_t)kind;
            return DX_OK;
        }
    }
    return dxi_fail(
        error, DX_EINVAL,
        "wait strategy is '%s', must be adaptive, busy-spin, yielding, sleeping, blocking, "
        "lite-blocking, timeout-blocking, lite-timeout-blocking, phased-backoff or monitor",
        name != NULL ? name : "(null)");
}

int dx_wait_options_check(const dx_wait_options_t *options, dx_error_t *error)
{
    if ((unsigned)options->kind >= DX_WAIT_KIND_COUNT) {
        return dxi_fail(error, DX_EINVAL, "wait.kind is %d, must be from 0 to %d",
                        (int)options->kind, DX_WAIT_KIND_COUNT - 1);
    }
    if (options->fallback != 0 && options->fallback != DX_WAIT_SLEEPING &&
        options->fallback != DX_WAIT_BLOCKING) {
        return dxi_fail(error, DX_EINVAL, "wait.fallback is %d, must be SLEEPING or BLOCKING",
                        (int)options->fallback);
    }
    if (options->follow_slots < -1 || options->follow_slots > (int32_t)DX_RING_SLOT_COUNT_MAX) {
        return dxi_fail(error, DX_EINVAL, "wait.follow_slots is %d, must be from -1 to %u",
                        options->follow_slots, DX_RING_SLOT_COUNT_MAX);
    }
    if (options->reserved_0 != 0) {
        return dxi_fail(error, DX_EINVAL, "wait.reserved_0 is %u, must be zero",
                        options->reserved_0);
    }
    const struct {
        const char *field;
        int64_t value;
    } durations[] = {{"wait.timeout_ns", options->timeout_ns},
                     {"wait.spin_ns", options->spin_ns},
                     {"wait.yield_ns", options->yield_ns},
                     {"wait.sleep_ns", options->sleep_ns}};
    for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
        const int code =
            dxi_options_range(error, durations[i].field, durations[i].value, 0, DX_WAIT_NS_MAX);
        if (code != DX_OK) {
            return code;
        }
    }
    return DX_OK;
}

void dxi_wait_options_resolve(dx_wait_options_t *options)
{
    options->spin_ns = options->spin_ns != 0 ? options->spin_ns : SPIN_NS_DEFAULT;
    options->yield_ns = options->yield_ns != 0 ? options->yield_ns : YIELD_NS_DEFAULT;
    options->sleep_ns = options->sleep_ns != 0 ? options->sleep_ns : SLEEP_NS_DEFAULT;
    options->fallback = options->fallback != 0 ? options->fallback : DX_WAIT_BLOCKING;
    if (options->timeout_ns == 0 && (options->kind == DX_WAIT_TIMEOUT_BLOCKING ||
                                     options->kind == DX_WAIT_LITE_TIMEOUT_BLOCKING)) {
        options->timeout_ns = TIMEOUT_NS_DEFAULT;
    }
}

int64_t dxi_wait_timeout_ns(const dx_wait_options_t *options)
{
    return options->timeout_ns > 0 ? options->timeout_ns : -1;
}

static uint64_t ticks_of_ns(const dx_tsc_t *tsc, int64_t ns)
{
    return tsc->frequency_hz / 1000 * (uint64_t)ns / 1000000;
}

/* ------------------------------------------------------------------------------ monitored line */

#if defined(__x86_64__)
static dx_cpu_features_t cpu_features;
static pthread_once_t cpu_features_once = PTHREAD_ONCE_INIT;

static void cpu_features_init(void)
{
    dx_cpu_features_read(&cpu_features);
}

__attribute__((target("waitpkg"))) static void monitor_umwait(const void *line, int64_t seen,
                                                              uint64_t deadline)
{
    _umonitor((void *)(uintptr_t)line);
    /* A store between our last look and the monitor would be missed: look once more. */
    if (dx_load_acquire((const dx_atomic64_t *)line) == seen) {
        (void)_umwait(1, deadline);
    }
}

__attribute__((target("mwaitx"))) static void monitor_mwaitx(const void *line, int64_t seen,
                                                             uint64_t ticks)
{
    _mm_monitorx((void *)(uintptr_t)line, 0, 0);
    if (dx_load_acquire((const dx_atomic64_t *)line) == seen) {
        _mm_mwaitx(2, 0, (uint32_t)ticks); /* extension bit 1: the clock is a timer */
    }
}

int dx_wait_monitor_available(void)
{
    (void)pthread_once(&cpu_features_once, cpu_features_init);
    return cpu_features.monitor_wait;
}

static void monitor_wait(const void *line, int64_t seen)
{
    if (line == NULL || !dx_wait_monitor_available()) {
        dx_cpu_relax();
        return;
    }
    const uint64_t slice = ticks_of_ns(dx_tsc_default(), MONITOR_SLICE_NS);
    if (cpu_features.umwait) {
        monitor_umwait(line, seen, dx_tsc_now() + slice);
    } else {
        monitor_mwaitx(line, seen, slice);
    }
}
#else
int dx_wait_monitor_available(void)
{
    return 1; /* WFE and the exclusive monitor are part of the architecture */
}

static void monitor_wait(const void *line, int64_t seen)
{
    if (line == NULL) {
        dx_cpu_relax();
        return;
    }
    int64_t now;
    /* The load-exclusive arms the monitor; a store to the line by another core is an event. The
     * kernel's event stream ends the wait after at most 100 us. */
    __asm__ __volatile__("ldaxr %0, [%1]" : "=r"(now) : "r"(line) : "memory");
    if (now == seen) {
        __asm__ __volatile__("wfe" ::: "memory");
    }
}
#endif

/* ------------------------------------------------------------------------------------- pausing */

void dxi_pause_begin(dxi_pause_t *pause, const dx_wait_options_t *options, int64_t *spin_budget_ns,
                     const void *line)
{
    *pause = (dxi_pause_t){.options = options, .spin_budget_ns = spin_budget_ns};
    dxi_pause_watch(pause, line);
}

void dxi_pause_watch(dxi_pause_t *pause, const void *line)
{
    if (line == pause->line) {
        return;
    }
    pause->line = line;
    if (line != NULL && pause->options->kind == DX_WAIT_MONITOR) {
        pause->line_seen = dx_load_acquire((const dx_atomic64_t *)line);
    }
}

int64_t dxi_pause_elapsed_ns(dxi_pause_t *pause)
{
    const int64_t now_ns = dx_clock_ns();
    if (pause->started_ns == 0) {
        pause->started_ns = now_ns;
    }
    return now_ns - pause->started_ns;
}

/* Spins and yields for a while each; true when both are over. The clock is read now and then while
 * spinning, and after each yield, which costs as much as the clock. */
static bool spin_then_yield(dxi_pause_t *pause, int64_t spin_ns, int64_t yield_ns)
{
    if (pause->steps % CHECK_CLOCK_EVERY != 0) {
        dx_cpu_relax();
        return false;
    }
    const int64_t elapsed_ns = dxi_pause_elapsed_ns(pause);
    if (elapsed_ns < spin_ns) {
        dx_cpu_relax();
        return false;
    }
    if (elapsed_ns < spin_ns + yield_ns) {
        (void)sched_yield();
        pause->steps--; /* read the clock again next time */
        pause->look = true;
        return false;
    }
    pause->steps--;
    return true;
}

dxi_pause_action_t dxi_pause_step(dxi_pause_t *pause)
{
    const dx_wait_options_t *options = pause->options;
    const int64_t step = ++pause->steps;
    pause->look = step % CHECK_CLOCK_EVERY == 0;

    switch (options->kind) {
    case DX_WAIT_BUSY_SPIN:
        dx_cpu_relax();
        return DXI_PAUSE_AGAIN;
    case DX_WAIT_YIELDING:
        if (step <= SPINS_YIELDING) {
            dx_cpu_relax();
        } else {
            (void)sched_yield();
        }
        return DXI_PAUSE_AGAIN;
    case DX_WAIT_SLEEPING:
        if (step <= SPINS_SLEEPING) {
            dx_cpu_relax();
            return DXI_PAUSE_AGAIN;
        }
        if (step <= SPINS_SLEEPING + YIELDS_SLEEPING) {
            (void)sched_yield();
            return DXI_PAUSE_AGAIN;
        }
        return DXI_PAUSE_SLEEP;
    case DX_WAIT_BLOCKING:
    case DX_WAIT_TIMEOUT_BLOCKING:
        return DXI_PAUSE_PARK;
    case DX_WAIT_LITE_BLOCKING:
    case DX_WAIT_LITE_TIMEOUT_BLOCKING:
        if (step <= SPINS_LITE) {
            dx_cpu_relax();
            return DXI_PAUSE_AGAIN;
        }
        return DXI_PAUSE_PARK;
    case DX_WAIT_PHASED_BACKOFF:
        if (!spin_then_yield(pause, options->spin_ns, options->yield_ns)) {
            return DXI_PAUSE_AGAIN;
        }
        return options->fallback == DX_WAIT_SLEEPING ? DXI_PAUSE_SLEEP : DXI_PAUSE_PARK;
    case DX_WAIT_MONITOR:
        monitor_wait(pause->line, pause->line_seen);
        return DXI_PAUSE_AGAIN;
    case DX_WAIT_ADAPTIVE:
    case DX_WAIT_KIND_COUNT:
        break;
    }
    const int64_t budget_ns = *pause->spin_budget_ns;
    if (!spin_then_yield(pause, budget_ns, budget_ns / ADAPTIVE_YIELD_SHARE)) {
        return DXI_PAUSE_AGAIN;
    }
    return DXI_PAUSE_PARK;
}

void dxi_pause_end(dxi_pause_t *pause)
{
    if (pause->options->kind != DX_WAIT_ADAPTIVE) {
        return;
    }
    /* A wait too short to have read the clock lasted less than the least budget. */
    const int64_t lasted_ns = pause->started_ns != 0 ? dxi_pause_elapsed_ns(pause) : 0;
    int64_t wish_ns = 2 * lasted_ns;
    if (wish_ns > ADAPTIVE_SPIN_MAX_NS) {
        wish_ns = ADAPTIVE_SPIN_MIN_NS; /* it would not pay */
    }
    wish_ns = wish_ns > ADAPTIVE_SPIN_MIN_NS ? wish_ns : ADAPTIVE_SPIN_MIN_NS;
    /* One eighth of the way each time: an outlier changes little, eight waits in a row a lot.
     * Rounded up, so that it arrives. */
    const int64_t difference_ns = wish_ns - *pause->spin_budget_ns;
    *pause->spin_budget_ns += (difference_ns + (difference_ns > 0 ? 7 : -7)) / 8;
}

/* ----------------------------------------------------------------------------------- following */

/* Pauses for one gap without looking at any shared word. */
static void follow_gap(void)
{
    const dx_tsc_t *tsc = dx_tsc_default();
    const uint64_t ticks = ticks_of_ns(tsc, FOLLOW_GAP_NS);
    const uint64_t from = dx_tsc_ticks(tsc);
    while (dx_tsc_ticks(tsc) - from < ticks) {
        dx_cpu_relax();
    }
}

/* Called with a few events at hand that came without a wait. Returns the last readable sequence. */
static int64_t follow(dx_consumer_t *consumer, int64_t last)
{
    if (consumer->follow_rest > 0) {
        consumer->follow_rest--;
        return last;
    }
    if (++consumer->follow_streak < FOLLOW_STREAK) {
        return last;
    }
    for (int gap = 0; gap < FOLLOW_GAPS && last - consumer->next < consumer->follow_slots; gap++) {
        follow_gap();
        const int64_t now = dx_consumer_poll(consumer);
        const int64_t gain = now - last;
        last = now > last ? now : last;
        if (gain < FOLLOW_GAIN) {
            consumer->follow_streak = 0;
            consumer->follow_rest = FOLLOW_REST;
            break;
        }
    }
    dxi_count(&consumer->entry->counters.follows, 1);
    return last;
}

/* ----------------------------------------------------------------------------- consumer's wait */

/* What ends a wait besides the sequence: DX_OK to go on. */
static int wait_interrupted(dx_consumer_t *consumer)
{
    dx_consumer_entry_t *entry = consumer->entry;
    const int32_t control = dx_load32_acquire(&entry->control);
    if (DX_LIKELY(control == 0)) {
        return DX_OK;
    }
    if (dxi_consumer_is_evicted(consumer)) {
        return DX_EEVICTED;
    }
    if ((control & DXI_CONTROL_REBIND) != 0 && !dxi_consumer_rebind(consumer)) {
        (void)sched_yield(); /* somebody changes the graph at this moment */
    }
    if ((control & DXI_CONTROL_CANCEL) != 0) {
        (void)dx_fetch_and32_acq_rel(&entry->control, ~DXI_CONTROL_CANCEL);
        return DX_ECANCELLED;
    }
    return (control & DXI_CONTROL_HALT) != 0 ? DX_EALERTED : DX_OK;
}

/* How long the next sleep may be: the rest of the timeout. */
static int64_t wait_rest_ns(const dx_consumer_t *consumer, dxi_pause_t *pause)
{
    const int64_t timeout_ns = dxi_wait_timeout_ns(&consumer->wait);
    if (timeout_ns < 0) {
        return -1;
    }
    const int64_t rest_ns = timeout_ns - dxi_pause_elapsed_ns(pause);
    return rest_ns > 0 ? rest_ns : 0;
}

/* One pause of the consumer's strategy. Returns DX_OK, or why the wait ends. */
static int wait_pause(dx_consumer_t *consumer, dxi_pause_t *pause)
{
    const dxi_pause_action_t action = dxi_pause_step(pause);
    if (action == DXI_PAUSE_AGAIN && !pause->look) {
        return DX_OK;
    }
    /* Now and then, and before each sleep: is it still worth waiting? */
    if (dxi_ended_before(consumer->block, consumer->upstream, consumer->next) != 0) {
        return DX_ECONSUMER;
    }
    const int64_t rest_ns = wait_rest_ns(consumer, pause);
    if (rest_ns == 0) {
        return DX_ETIMEDOUT;
    }
    if (action == DXI_PAUSE_PARK) {
        dxi_park_consumer(consumer, consumer->next, rest_ns);
    } else if (action == DXI_PAUSE_SLEEP) {
        const int64_t sleep_ns = consumer->wait.sleep_ns;
        dxi_park_pause(consumer->entry, rest_ns > 0 && rest_ns < sleep_ns ? rest_ns : sleep_ns,
                       dxi_block_shared(consumer->block));
    }
    return DX_OK;
}

/* More than FOLLOW_BURST events. */
static bool is_burst(const dx_consumer_t *consumer, int64_t last)
{
    const dx_ring_block_t *block = consumer->block;
    return last - consumer->next >= FOLLOW_BURST &&
           (block->spans == 0 ||
            dxi_span_claim_end(block, consumer->next, last, FOLLOW_BURST) < last);
}

/* What came after a wait: a lone event is given at once, a burst counts as a busy producer. */
static int64_t after_wait(dx_consumer_t *consumer, int64_t last)
{
    if (!is_burst(consumer, last)) {
        consumer->follow_streak = 0;
        return last;
    }
    return last - consumer->next < consumer->follow_slots ? follow(consumer, last) : last;
}

static DX_NOINLINE int64_t wait_slow(dx_consumer_t *consumer)
{
    dxi_pause_t pause;
    dxi_pause_begin(&pause, &consumer->wait, &consumer->spin_budget_ns, consumer->source);
    for (;;) {
        int code = wait_interrupted(consumer); /* T1 */
        if (DX_UNLIKELY(consumer->catching_up)) {
            dxi_consumer_settle(consumer);
        }
        if (code == DX_OK) {
            dxi_pause_watch(&pause, consumer->source);
            code = wait_pause(consumer, &pause);
        }
        const int64_t last = dx_consumer_poll(consumer);
        if (last >= consumer->next && code != DX_EALERTED && code != DX_ECANCELLED) {
            dxi_pause_end(&pause);
            return after_wait(consumer, last);
        }
        if (code != DX_OK) {
            if (code == DX_ETIMEDOUT) {
                dxi_pause_end(&pause); /* a wait in vain teaches, too: not to spin */
            }
            return code;
        }
    }
}

/* The first moments of a wait, for strategies that spin at all: nothing but the one word is looked
 * at, so that an event that is about to come is seen as soon as it can be. Returns as
 * dx_consumer_poll(). */
static int64_t spin_briefly(const dx_consumer_t *consumer)
{
    const dx_atomic64_t *source = consumer->source;
    const dx_wait_kind_t kind = consumer->wait.kind;
    if (source == NULL || kind == DX_WAIT_BLOCKING || kind == DX_WAIT_TIMEOUT_BLOCKING ||
        kind == DX_WAIT_MONITOR ||
        (kind == DX_WAIT_ADAPTIVE && consumer->spin_budget_ns <= ADAPTIVE_SPIN_MIN_NS)) {
        return consumer->next - 1;
    }
    const int64_t next = consumer->next;
    for (int i = 0; i < SPINS_BRIEF; i++) {
        dx_cpu_relax();
        /* ACQUIRE, as in dx_consumer_poll(). */
        const int64_t last = dx_load_acquire(source);
        if (last >= next) {
            return last;
        }
    }
    return next - 1;
}

int64_t dx_consumer_wait(dx_consumer_t *consumer)
{
    const bool controlled = dx_load32_relaxed(&consumer->entry->control) != 0;
    int64_t last = dx_consumer_poll(consumer);
    if (DX_LIKELY(last >= consumer->next && !controlled)) {
        return last - consumer->next < consumer->follow_slots ? follow(consumer, last) : last;
    }
    dxi_count(&consumer->entry->counters.waits, 1);
    last = controlled ? last : spin_briefly(consumer);
    return last >= consumer->next && !controlled ? after_wait(consumer, last) : wait_slow(consumer);
}
