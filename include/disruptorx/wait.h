/* disruptorx/wait.h - how a thread waits: a policy of each consumer and each producer.
 *
 * A wait strategy is chosen per participant and not per ring: in one graph a latency-critical stage
 * can spin while a logging stage sleeps. Whoever makes progress (a publish, a consumer that moves
 * on) pays for a wake-up only when somebody sleeps on exactly that progress: one load of a word
 * that is nearly always in the cache. Waking consumers is precise: a sleeper says which sequence
 * it wants, and only the step that reaches that sequence wakes it. Producers that sleep on a full
 * ring are all woken by each release, and look again. See src/ring/park.c for the protocol and its
 * proof.
 *
 * A wait ends when the sequence is there, when the participant is halted or cancelled, when the
 * ring closes, or at the timeout, in every strategy and in every phase of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DISRUPTORX_WAIT_H
#define DISRUPTORX_WAIT_H

#include <stdint.h>

#include "disruptorx/error.h"
#include "disruptorx/platform.h"

DX_EXTERN_C_BEGIN

/* One row per strategy: name, number, text of the command line, what it does.
 *
 * ADAPTIVE spins, then yields, then sleeps, and learns how long spinning pays from how long waits
 * last: with a busy source it behaves as BUSY_SPIN, with a quiet one or with more threads than
 * cores as BLOCKING. It is the default (zero). */
#define DX_WAIT_KIND_LIST(X)                                                                       \
    X(ADAPTIVE, 0, "adaptive", "spin, then yield, then sleep; learns from the arrival rate")       \
    X(BUSY_SPIN, 1, "busy-spin", "never leave the core: lowest latency, a whole core per thread")  \
    X(YIELDING, 2, "yielding", "spin, then offer the core to others: low latency, busy core")      \
    X(SLEEPING, 3, "sleeping", "spin, yield, then sleep for sleep_ns at a time: quiet, slower")    \
    X(BLOCKING, 4, "blocking",                                                                     \
      "sleep at once until woken: idle costs nothing, wake-up microseconds")                       \
    X(LITE_BLOCKING, 5, "lite-blocking", "spin briefly, then sleep until woken")                   \
    X(TIMEOUT_BLOCKING, 6, "timeout-blocking",                                                     \
      "as blocking, and reports each timeout_ns that passes")                                      \
    X(LITE_TIMEOUT_BLOCKING, 7, "lite-timeout-blocking", "as lite-blocking, and reports timeouts") \
    X(PHASED_BACKOFF, 8, "phased-backoff", "spin for spin_ns, yield for yield_ns, then sleep")     \
    X(MONITOR, 9, "monitor", "let the processor watch the line (umwait, mwaitx, wfe), else spin")

typedef enum dx_wait_kind {
#define DXI_WAIT_ENUM(name, number, text, help) DX_WAIT_##name = (number),
    DX_WAIT_KIND_LIST(DXI_WAIT_ENUM)
#undef DXI_WAIT_ENUM
        DX_WAIT_KIND_COUNT
} dx_wait_kind_t;

/* Longest time any of the durations below may be: one hour. */
#define DX_WAIT_NS_MAX INT64_C(3600000000000)

/* Zero is a sane default in each field. */
typedef struct dx_wait_options {
    dx_wait_kind_t kind;
    int32_t follow_slots;    /* consumers: distance kept behind a busy producer; -1 = none,
                           * 0 = 512, but at most 32 KiB */
    int64_t timeout_ns;      /* report DX_ETIMEDOUT after this long without progress; 0 = never, but
                           * 1 ms for the TIMEOUT kinds */
    int64_t spin_ns;         /* PHASED_BACKOFF: length of the spin phase; 0 = 10 us */
    int64_t yield_ns;        /* PHASED_BACKOFF: length of the yield phase; 0 = 100 us */
    int64_t sleep_ns;        /* SLEEPING: length of one sleep; 0 = 50 us */
    dx_wait_kind_t fallback; /* PHASED_BACKOFF: SLEEPING or BLOCKING (0 counts as BLOCKING) */
    uint32_t reserved_0;     /* must be zero */
} dx_wait_options_t;

/* "busy-spin" for DX_WAIT_BUSY_SPIN and so on; "unknown" for a number that is none.
 * Threads: any. */
DX_API const char *dx_wait_kind_name(dx_wait_kind_t kind);

/* One sentence of help for a strategy.
 * Threads: any. */
DX_API const char *dx_wait_kind_help(dx_wait_kind_t kind);

/* Finds a strategy by its command-line name.
 * Returns DX_OK, DX_EINVAL with the list of names.
 * Threads: any. */
DX_API DX_NODISCARD int dx_wait_kind_parse(const char *name, dx_wait_kind_t *kind_out,
                                           dx_error_t *error);

/* Checks options, naming the first value that breaks a rule.
 * Returns DX_OK, DX_EINVAL.
 * Threads: any. */
DX_API DX_NODISCARD int dx_wait_options_check(const dx_wait_options_t *options, dx_error_t *error);

/* True when this processor can wait on a monitored line; otherwise MONITOR spins.
 * Threads: any. */
DX_API int dx_wait_monitor_available(void);

DX_EXTERN_C_END
#endif
