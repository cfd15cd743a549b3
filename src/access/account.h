/* access/account.h - what the connections of one user use together.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_ACCESS_ACCOUNT_H
#define DXI_ACCESS_ACCOUNT_H

#include <pthread.h>

#include "access/access.h"
#include "disruptorx/atomic.h"

/* What there is to take of one rate. */
typedef struct dxi_bucket {
    double level;      /* units; at most DXI_RATE_BURST_S seconds' worth, or one */
    int64_t filled_ns; /* when; 0: never, so it is full */
} dxi_bucket_t;

#define DXI_RATE_BURST_S 0.1
#define DXI_RATE_STEP_S 0.01 /* taken at least, so that a slow rate is not a wake-up per event */

struct dxi_access_account {
    dxi_access_account_t *next; /* of the dxi_access_t */
    char name[DXI_ACCESS_NAME_BYTES_MAX + 1];
    uint32_t number;                  /* from 1; no other account has or had it */
    uint64_t tables;                  /* that have it; under the mutex of the dxi_access_t */
    uint64_t connections;             /* the same */
    dx_atomic64_t refused, throttled; /* RELAXED: figures */
    pthread_mutex_t mutex;
    dxi_bucket_t events, bytes; /* under it */
};

/* NULL when there is no memory. Threads: any. */
dxi_access_account_t *dxi_account_create(const char *name);
/* NULL is allowed. Threads: any, when nobody else has it. */
void dxi_account_destroy(dxi_access_account_t *account);

#endif
