/* stat_look.c - one look at a shared ring from outside.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/stat_look.h"

#include <string.h>
#include <sys/stat.h>

#include "disruptorx/clock.h"
#include "ring/share.h"

static const char *const MARK_NAMES[] = {
    [DXI_PROCESS_RUNNING] = "running", [DXI_PROCESS_SILENT] = "silent",
    [DXI_PROCESS_STOPPED] = "stopped", [DXI_PROCESS_STALLED] = "stalled",
    [DXI_PROCESS_DEAD] = "dead",
};

const char *dxi_process_mark_name(dxi_process_mark_t mark)
{
    return MARK_NAMES[mark];
}

/* The pid namespace that we are in, 0 when it can't be seen. */
static uint64_t own_namespace(void)
{
    struct stat status;
    return stat("/proc/self/ns/pid", &status) == 0 ? (uint64_t)status.st_ino : 0;
}

/* The ring's word counts only while the process lives: it may be the last one, so that nobody is
 * left to write down its end. */
static dxi_process_mark_t mark_of(const dxi_ring_view_t *view, const dx_process_stat_t *stat,
                                  int64_t detect_ns)
{
    if (stat->state == DX_PROCESS_DEAD || !dxi_share_is_taken(view->fd, stat->index)) {
        return DXI_PROCESS_DEAD;
    }
    if (stat->state == DX_PROCESS_STALLED) {
        return DXI_PROCESS_STALLED;
    }
    const dx_process_entry_t *const entry =
        &dxi_block_processes(dx_ring_block(view->ring))[stat->index];
    if (stat->pid_namespace == own_namespace() && dxi_identity_is_stopped(entry)) {
        return DXI_PROCESS_STOPPED;
    }
    return stat->beat_age_ns > detect_ns ? DXI_PROCESS_SILENT : DXI_PROCESS_RUNNING;
}

static void look_at_processes(const dxi_ring_view_t *view, dxi_stat_look_t *look)
{
    for (int32_t i = 0; i < (int32_t)DX_RING_PROCESSES_MAX; i++) {
        dxi_process_look_t *const process = &look->process[look->processes];
        if (dx_ring_process_stat(view->ring, i, &process->stat) == DX_OK) {
            process->mark = mark_of(view, &process->stat, look->detect_ns);
            look->processes++;
        }
    }
}

static void look_at_consumers(const dxi_ring_view_t *view, dxi_stat_look_t *look)
{
    look->slowest = -1;
    for (int32_t i = 0; i < (int32_t)DX_RING_CONSUMERS_MAX; i++) {
        dx_consumer_stat_t *const consumer = &look->consumer[look->consumers];
        if (dx_ring_consumer_stat(view->ring, i, consumer) != DX_OK) {
            continue;
        }
        if (consumer->gating &&
            (look->slowest < 0 || consumer->lag > look->consumer[look->slowest].lag)) {
            look->slowest = look->consumers;
        }
        look->consumers++;
    }
}

void dxi_stat_look(const dxi_ring_view_t *view, dxi_stat_look_t *look_out)
{
    memset(look_out, 0, sizeof *look_out);
    look_out->taken_ns = dx_clock_ns();
    look_out->inode = view->inode;
    look_out->detect_ns = dx_ring_block(view->ring)->detect_ns;
    dx_ring_stat(view->ring, &look_out->ring);
    look_at_consumers(view, look_out);
    for (int32_t i = 0; i < (int32_t)DX_RING_PRODUCERS_MAX; i++) {
        dx_producer_stat_t *const producer = &look_out->producer[look_out->producers];
        look_out->producers += dx_ring_producer_stat(view->ring, i, producer) == DX_OK;
    }
    look_at_processes(view, look_out);
}

const dxi_process_look_t *dxi_stat_process(const dxi_stat_look_t *look, int32_t index)
{
    for (int32_t i = 0; i < look->processes; i++) {
        if (look->process[i].stat.index == index) {
            return &look->process[i];
        }
    }
    return NULL;
}

bool dxi_stat_held(const dxi_stat_look_t *look, const dx_producer_stat_t *producer,
                   int64_t *first_out, int64_t *last_out)
{
    /* The record may name what is published already: it is only written before the next claim. */
    const int64_t published = look->ring.published;
    *first_out = producer->held_first > published ? producer->held_first : published + 1;
    *last_out = producer->held_last;
    return look->ring.mode == DX_RING_MULTI && *first_out <= *last_out;
}

/* --------------------------------------------------------------------------------------- rates */

static bool is_successor(const dxi_stat_look_t *before, const dxi_stat_look_t *now)
{
    return before != NULL && before->inode == now->inode && now->taken_ns > before->taken_ns;
}

static double per_second(const dxi_stat_look_t *before, const dxi_stat_look_t *now, int64_t was,
                         int64_t is)
{
    /* Less than before: the ring was reset, or somebody else has the place. */
    return is < was ? -1 : (double)(is - was) * 1e9 / (double)(now->taken_ns - before->taken_ns);
}

double dxi_stat_published_rate(const dxi_stat_look_t *before, const dxi_stat_look_t *now)
{
    return is_successor(before, now)
               ? per_second(before, now, before->ring.published, now->ring.published)
               : -1;
}

double dxi_stat_consumed_rate(const dxi_stat_look_t *before, const dxi_stat_look_t *now)
{
    return is_successor(before, now)
               ? per_second(before, now, before->ring.consumed, now->ring.consumed)
               : -1;
}

double dxi_stat_consumer_rate(const dxi_stat_look_t *before, const dxi_stat_look_t *now,
                              const dx_consumer_stat_t *consumer)
{
    if (!is_successor(before, now)) {
        return -1;
    }
    for (int32_t i = 0; i < before->consumers; i++) {
        const dx_consumer_stat_t *const was = &before->consumer[i];
        if (was->index == consumer->index && was->process_id == consumer->process_id &&
            strcmp(was->name, consumer->name) == 0) {
            /* By its place, as a loop of the user does not count events; a worker has no place. */
            return consumer->kind == DX_CONSUMER_WORKER
                       ? per_second(before, now, was->events, consumer->events)
                       : per_second(before, now, was->sequence, consumer->sequence);
        }
    }
    return -1;
}

double dxi_stat_wait_share(const dxi_stat_look_t *before, const dxi_stat_look_t *now,
                           const dx_producer_stat_t *producer)
{
    if (!is_successor(before, now)) {
        return -1;
    }
    for (int32_t i = 0; i < before->producers; i++) {
        const dx_producer_stat_t *const was = &before->producer[i];
        if (was->index == producer->index && was->process_id == producer->process_id) {
            const double share = per_second(before, now, was->wait_ns, producer->wait_ns) / 1e9;
            return share > 1 ? 1 : share;
        }
    }
    return -1;
}
