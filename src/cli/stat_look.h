/* cli/stat_look.h - one look at a shared ring from outside, and the rates between two.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_STAT_LOOK_H
#define DXI_CLI_STAT_LOOK_H

#include "cli/ring_file.h"

/* What a process does, as far as can be seen at this moment: the ring's own word for it, and what
 * the kernel says. */
typedef enum dxi_process_mark {
    DXI_PROCESS_RUNNING = 0,
    DXI_PROCESS_SILENT = 1,  /* it lives, and has not beaten for longer than detect_ns */
    DXI_PROCESS_STOPPED = 2, /* the kernel says so: a signal, a debugger */
    DXI_PROCESS_STALLED = 3, /* the others have found it so, and go on without it */
    DXI_PROCESS_DEAD = 4
} dxi_process_mark_t;

/* "running" and so on. Threads: any. */
const char *dxi_process_mark_name(dxi_process_mark_t mark);

typedef struct dxi_process_look {
    dx_process_stat_t stat;
    dxi_process_mark_t mark;
} dxi_process_look_t;

typedef struct dxi_stat_look {
    int64_t taken_ns;
    ino_t inode; /* tells a ring from its successor of the same name */
    int64_t detect_ns;
    dx_ring_stat_t ring;
    int32_t consumers;
    int32_t producers;
    int32_t processes;
    int32_t slowest; /* index into consumer[] of the gating one with the largest lag; -1: none */
    dx_consumer_stat_t consumer[DX_RING_CONSUMERS_MAX];
    dx_producer_stat_t producer[DX_RING_PRODUCERS_MAX];
    dxi_process_look_t process[DX_RING_PROCESSES_MAX];
} dxi_stat_look_t;

/* Reads everything once. Nothing is written, and nobody has to answer.
 * Threads: any. */
void dxi_stat_look(const dxi_ring_view_t *view, dxi_stat_look_t *look_out);

/* The entry of a process by its index; NULL when it is not there. */
const dxi_process_look_t *dxi_stat_process(const dxi_stat_look_t *look, int32_t index);

/* What a producer has claimed and not published, as far as can be seen. False when that is nothing;
 * a single producer keeps its claims to itself.
 * Threads: any. */
bool dxi_stat_held(const dxi_stat_look_t *look, const dx_producer_stat_t *producer,
                   int64_t *first_out, int64_t *last_out);

/* What changed between two looks. Negative: unknown, because there is no look before, or it was at
 * another ring, or another participant has the place now. `before` may be NULL.
 * Threads: any. */
double dxi_stat_published_rate(const dxi_stat_look_t *before, const dxi_stat_look_t *now);
double dxi_stat_consumed_rate(const dxi_stat_look_t *before, const dxi_stat_look_t *now);
double dxi_stat_consumer_rate(const dxi_stat_look_t *before, const dxi_stat_look_t *now,
                              const dx_consumer_stat_t *consumer);

/* The share of the time, 0 to 1, that the producer waited because the ring was full. A wait counts
 * when it is over. */
double dxi_stat_wait_share(const dxi_stat_look_t *before, const dxi_stat_look_t *now,
                           const dx_producer_stat_t *producer);

#endif
