/* scenario_starve.c - a part of a subscription that finds no room, and those who make room
 * (bus/starve.c): nobody is left starved.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "machine.h"

#include "bus/starve.c"

#define PARTS 2

/* All that threads share but the tables that nobody changes. */
typedef struct rig {
    dxi_attachment_t attachment;
    dxi_part_t parts[PARTS];
    dx_atomic64_t table[PARTS];
    dx_atomic32_t room;        /* of the first part */
    dx_atomic32_t rung[PARTS]; /* `ready` of a part was posted */
} rig_t;

static rig_t *rig;
static dx_bus_t bus;
static dxi_bus_loop_t loop;
static dxi_lane_t lanes[PARTS];

static void before(void)
{
    rig = machine_alloc(sizeof *rig);
    bus.options.shards = PARTS;
    rig->attachment.bus = &bus;
    rig->attachment.parts = rig->table;
    for (int i = 0; i < PARTS; i++) {
        lanes[i].owner = &loop;
        rig->parts[i].attachment = &rig->attachment;
        rig->parts[i].lane = &lanes[i];
        rig->parts[i].ready = (dxi_task_t){.context = &rig->parts[i]};
        dx_store_relaxed(&rig->table[i], (int64_t)(uintptr_t)&rig->parts[i]);
    }
}

void dxi_loop_post(dxi_loop_t *to, dxi_task_t *task)
{
    (void)to;
    dx_atomic32_t *const rung = &rig->rung[task->context == &rig->parts[1]];
    (void)dx_exchange32_acq_rel(rung, 1);
    (void)syscall(SYS_futex, rung, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* As a lane: without room it starves, looks once more and waits for `ready`. */
static void lane_run(void)
{
    while (dx_load32_relaxed(&rig->room) == 0) {
        dxi_part_starve(&rig->parts[0]);
        if (dx_load32_relaxed(&rig->room) != 0) {
            return;
        }
        while (dx_exchange32_acq_rel(&rig->rung[0], 0) == 0) {
            (void)syscall(SYS_futex, &rig->rung[0], FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
        }
        (void)dx_exchange32_acq_rel(&rig->parts[0].ready_posted, 0); /* part_ready() */
    }
}

static void after(void)
{
    CHECK(dx_load32_relaxed(&rig->room) != 0);
}

static void starve_thread(int index)
{
    switch (index) {
    case 0:
        lane_run();
        break;
    case 1:
        dx_store32_relaxed(&rig->room, 1);
        dxi_attachment_feed(&rig->attachment);
        break;
    case 2: /* for room of another kind */
        dxi_attachment_feed(&rig->attachment);
        break;
    default: /* another lane */
        dxi_part_starve(&rig->parts[1]);
        break;
    }
}

static const scenario_t feeds = {
    .name = "starve-feeds",
    .what = "somebody feeds for room of another kind while a part starves",
    .threads = 3,
    .runs = 20000,
    .bound = 2,
    .bound_runs = 20000,
    .before = before,
    .thread = starve_thread,
    .after = after,
};

static const scenario_t others = {
    .name = "starve-others",
    .what = "two parts of a subscription starve at the same time",
    .threads = 4,
    .runs = 20000,
    .bound = 2,
    .bound_runs = 20000,
    .before = before,
    .thread = starve_thread,
    .after = after,
};

const scenario_t *const scenarios[] = {&feeds, &others, NULL};
