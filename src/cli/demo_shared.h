/* cli/demo_shared.h - the processes of `dx demo shared`: a producer and two consumers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DXI_CLI_DEMO_SHARED_H
#define DXI_CLI_DEMO_SHARED_H

#include <stdbool.h>
#include <sys/types.h>

#include "cli/ring_file.h"
#include "disruptorx/atomic.h"

/* One event. Its layout for `dx ring dump`: DXI_DEMO_LAYOUT. */
typedef struct dxi_demo_event {
    int64_t number; /* 1, 2, 3 ... */
    int64_t sent_ns;
    int64_t price;
    char symbol[8];
} dxi_demo_event_t;

#define DXI_DEMO_LAYOUT "i64 number, i64 sent_ns, i64 price, char[8] symbol"

#define DXI_DEMO_MEMBERS 3 /* the producer and two consumers */
#define DXI_DEMO_PRODUCER 0

/* What a process tells the one that watches, in memory that they share besides the ring. One
 * writer per word. */
typedef struct dxi_demo_report {
    dx_atomic64_t events;    /* published, or given */
    dx_atomic64_t last;      /* number of the last one */
    dx_atomic64_t missing;   /* numbers that never came */
    dx_atomic64_t again;     /* numbers that came once more, after an eviction */
    dx_atomic64_t missed;    /* sequences that the ring said were missed after an eviction */
    dx_atomic64_t evictions; /* times that it was told so */
    dx_atomic32_t code;      /* DX_E* with which it ended */
} dxi_demo_report_t;

typedef struct dxi_demo_board {
    dx_atomic32_t begin;   /* 1: all are there */
    dx_atomic32_t end;     /* 1: the producer ends */
    dx_atomic32_t no_more; /* 1: nothing will be published any more */
    dxi_demo_report_t report[DXI_DEMO_MEMBERS];
} dxi_demo_board_t;

typedef struct dxi_demo_plan {
    dxi_ring_place_t place;
    int64_t rate; /* events a second; 0: as fast as it goes */
    int64_t slots;
    int64_t detect_ns;
    dxi_demo_board_t *board;
} dxi_demo_plan_t;

/* "feed", "ledger", "audit". */
const char *dxi_demo_member_name(int member);

/* The life of a process: it does not return. `ready_fd` gets one byte once it is attached, or is
 * closed without. */
_Noreturn void dxi_demo_member_run(const dxi_demo_plan_t *plan, int member, int ready_fd);

#endif
