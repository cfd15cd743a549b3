/* account.c - what the connections of one user use together: the rate of publishing.
 *
 * DESIGN
 *
 * A bucket for events and one for bytes. Each fills at its rate and holds a tenth of a second's
 * worth, at least one unit. Who takes gets of both, or nothing and the time when it is worth asking
 * again: a hundredth of a second's worth, or one unit, has come in by then.
 *
 * INVARIANTS (tests/unit/test_access_rates.c)
 *
 *   R1  what is taken in any time t is at most rate * t + burst
 *   R2  who is told to wait and asks then gets something, when nobody else has taken it meanwhile
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/account.h"

#include <stdio.h>

#include "base/alloc.h"

#define SECOND 1e9

dxi_access_account_t *dxi_account_create(const char *name)
{
    dxi_access_account_t *const account = dxi_alloc_zeroed(1, sizeof *account);
    if (account != NULL) {
        (void)snprintf(account->name, sizeof account->name, "%s", name);
        (void)pthread_mutex_init(&account->mutex, NULL);
    }
    return account;
}

void dxi_account_destroy(dxi_access_account_t *account)
{
    if (account != NULL) {
        (void)pthread_mutex_destroy(&account->mutex);
        dxi_free(account);
    }
}

static double burst_of(uint64_t rate)
{
    const double burst = (double)rate * DXI_RATE_BURST_S;
    return burst < 1 ? 1 : burst;
}

static void bucket_fill(dxi_bucket_t *bucket, uint64_t rate, int64_t now_ns)
{
    const double most = burst_of(rate);
    if (bucket->filled_ns == 0) {
        bucket->level = most;
    } else if (now_ns > bucket->filled_ns) {
        bucket->level += (double)(now_ns - bucket->filled_ns) / SECOND * (double)rate;
    }
    bucket->level = bucket->level > most ? most : bucket->level;
    bucket->filled_ns = now_ns > bucket->filled_ns ? now_ns : bucket->filled_ns;
}

/* The least that is given at a time. */
static double step_of(uint64_t rate)
{
    const double step = (double)rate * DXI_RATE_STEP_S;
    return step < 1 ? 1 : step;
}

/* How long until a step is there; 0: now. A nanosecond more than that: rounding must not make who
 * waits come too early (R2). */
static int64_t bucket_wait_ns(const dxi_bucket_t *bucket, uint64_t rate)
{
    const double missing = step_of(rate) - bucket->level;
    return missing <= 0 ? 0 : (int64_t)(missing / (double)rate * SECOND) + 1;
}

static uint64_t bucket_take(dxi_bucket_t *bucket, uint64_t most)
{
    const double level = bucket->level;
    const uint64_t taken = level >= (double)most ? most : (uint64_t)level;
    bucket->level -= (double)taken;
    return taken;
}

int64_t dxi_access_rate_take(dxi_access_account_t *account, const dxi_access_limits_t *limits,
                             int64_t now_ns, uint64_t events_most, uint64_t bytes_most,
                             uint64_t *events_out, uint64_t *bytes_out)
{
    const uint64_t events_rate = limits->publish_events_per_s;
    const uint64_t bytes_rate = limits->publish_bytes_per_s;
    int64_t events_wait_ns = 0, bytes_wait_ns = 0;
    *events_out = *bytes_out = 0;
    (void)pthread_mutex_lock(&account->mutex);
    if (events_rate != 0) {
        bucket_fill(&account->events, events_rate, now_ns);
        events_wait_ns = bucket_wait_ns(&account->events, events_rate);
    }
    if (bytes_rate != 0) {
        bucket_fill(&account->bytes, bytes_rate, now_ns);
        bytes_wait_ns = bucket_wait_ns(&account->bytes, bytes_rate);
    }
    const int64_t wait_ns = events_wait_ns > bytes_wait_ns ? events_wait_ns : bytes_wait_ns;
    if (wait_ns == 0) {
        *events_out = events_rate != 0 ? bucket_take(&account->events, events_most) : events_most;
        *bytes_out = bytes_rate != 0 ? bucket_take(&account->bytes, bytes_most) : bytes_most;
    }
    (void)pthread_mutex_unlock(&account->mutex);
    return wait_ns;
}

void dxi_access_rate_return(dxi_access_account_t *account, const dxi_access_limits_t *limits,
                            uint64_t events, uint64_t bytes)
{
    (void)pthread_mutex_lock(&account->mutex);
    if (limits->publish_events_per_s != 0) {
        const double most = burst_of(limits->publish_events_per_s);
        const double level = account->events.level + (double)events;
        account->events.level = level > most ? most : level;
    }
    if (limits->publish_bytes_per_s != 0) {
        const double most = burst_of(limits->publish_bytes_per_s);
        const double level = account->bytes.level + (double)bytes;
        account->bytes.level = level > most ? most : level;
    }
    (void)pthread_mutex_unlock(&account->mutex);
}
