/* stat_json.c - `dx stat` of one ring, for programs. Keys are a promise: they may be added to.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>

#include "cli/stat_print.h"
#include "disruptorx/wait.h"

/* null when it is not known. */
static void put_rate(dxi_json_t *json, const char *key, double rate)
{
    dxi_json_real(json, key, rate < 0 ? (double)NAN : rate);
}

static const char *state_name(dx_consumer_state_t state)
{
    static const char *const names[] = {"free",   "added", "running", "stopped",
                                        "failed", "dead",  "evicted", "left"};
    return (unsigned)state < sizeof names / sizeof names[0] ? names[state] : "unknown";
}

static const char *kind_name(dx_consumer_kind_t kind)
{
    static const char *const names[] = {"handler", "poller", "pool", "worker"};
    return (unsigned)kind < sizeof names / sizeof names[0] ? names[kind] : "unknown";
}

static void put_process_of(dxi_json_t *json, const dxi_stat_look_t *now, int32_t index,
                           int32_t process_id)
{
    const dxi_process_look_t *const process = dxi_stat_process(now, index);
    const bool is_there = process != NULL && process->stat.process_id == process_id;
    dxi_json_integer(json, "process_id", process_id);
    dxi_json_text(json, "process_state", is_there ? dxi_process_mark_name(process->mark) : "gone");
}

static void put_consumer(dxi_json_t *json, const dxi_stat_look_t *before,
                         const dxi_stat_look_t *now, const dx_consumer_stat_t *consumer)
{
    dxi_json_object_begin(json, NULL);
    dxi_json_text(json, "name", consumer->name);
    dxi_json_integer(json, "index", consumer->index);
    dxi_json_text(json, "kind", kind_name(consumer->kind));
    dxi_json_text(json, "state", state_name(consumer->state));
    dxi_json_boolean(json, "asleep", consumer->asleep);
    put_process_of(json, now, consumer->process, consumer->process_id);
    dxi_json_integer(json, "thread_id", consumer->thread_id);
    dxi_json_integer(json, "sequence", consumer->sequence);
    dxi_json_integer(json, "lag", consumer->lag);
    put_rate(json, "events_per_second", dxi_stat_consumer_rate(before, now, consumer));
    dxi_json_integer(json, "events", consumer->events);
    dxi_json_integer(json, "batches", consumer->batches);
    dxi_json_integer(json, "batch_max", consumer->batch_max);
    dxi_json_integer(json, "waits", consumer->waits);
    dxi_json_integer(json, "sleeps", consumer->sleeps);
    dxi_json_integer(json, "wakes", consumer->wakes);
    dxi_json_integer(json, "voids", consumer->voids);
    dxi_json_integer(json, "skips", consumer->skips);
    dxi_json_integer(json, "errors", consumer->errors);
    dxi_json_integer(json, "retries", consumer->retries);
    dxi_json_integer(json, "timeouts", consumer->timeouts);
    dxi_json_text(json, "wait", dx_wait_kind_name(consumer->wait_kind));
    dxi_json_boolean(json, "gating", consumer->gating);
    dxi_json_text(json, "on_death", consumer->on_death == DX_ON_DEATH_BLOCK ? "block" : "evict");
    dxi_json_text(json, "failure",
                  consumer->failure != 0 ? dx_error_name(consumer->failure) : NULL);
    dxi_json_array_begin(json, "follows");
    for (int32_t i = 0; i < now->consumers; i++) {
        if ((consumer->upstream >> now->consumer[i].index & 1) != 0) {
            dxi_json_text(json, NULL, now->consumer[i].name);
        }
    }
    dxi_json_array_end(json);
    dxi_json_object_end(json);
}

static void put_producer(dxi_json_t *json, const dxi_stat_look_t *before,
                         const dxi_stat_look_t *now, const dx_producer_stat_t *producer)
{
    int64_t first = 0;
    int64_t last = 0;
    const bool holds = dxi_stat_held(now, producer, &first, &last);
    dxi_json_object_begin(json, NULL);
    dxi_json_text(json, "name", producer->name);
    dxi_json_integer(json, "index", producer->index);
    put_process_of(json, now, producer->process, producer->process_id);
    dxi_json_integer(json, "thread_id", producer->thread_id);
    if (holds) {
        dxi_json_integer(json, "held_first", first);
        dxi_json_integer(json, "held_last", last);
    } else {
        dxi_json_null(json, "held_first");
        dxi_json_null(json, "held_last");
    }
    dxi_json_integer(json, "waits", producer->waits);
    dxi_json_integer(json, "wait_ns", producer->wait_ns);
    put_rate(json, "wait_share", dxi_stat_wait_share(before, now, producer));
    dxi_json_integer(json, "sleeps", producer->sleeps);
    dxi_json_integer(json, "wakes", producer->wakes);
    dxi_json_integer(json, "drops", producer->drops);
    dxi_json_integer(json, "refusals", producer->refusals);
    dxi_json_integer(json, "aborts", producer->aborts);
    dxi_json_object_end(json);
}

static void put_process(dxi_json_t *json, const dxi_process_look_t *process)
{
    dxi_json_object_begin(json, NULL);
    dxi_json_integer(json, "index", process->stat.index);
    dxi_json_integer(json, "process_id", process->stat.process_id);
    dxi_json_text(json, "name", process->stat.name);
    dxi_json_text(json, "state", dxi_process_mark_name(process->mark));
    dxi_json_integer(json, "beats", process->stat.beats);
    dxi_json_integer(json, "beat_age_ns", process->stat.beat_age_ns);
    dxi_json_text(json, "user", dxi_user_name(process->stat.user_id));
    dxi_json_integer(json, "user_id", process->stat.user_id);
    dxi_json_integer(json, "pid_namespace", (int64_t)process->stat.pid_namespace);
    dxi_json_object_end(json);
}

static void put_ring(dxi_json_t *json, const dxi_stat_look_t *before, const dxi_stat_look_t *now)
{
    const dx_ring_stat_t *const ring = &now->ring;
    dxi_json_text(json, "ring", ring->name);
    dxi_json_text(json, "mode", ring->mode == DX_RING_MULTI ? "multi" : "single");
    dxi_json_boolean(json, "spans", ring->spans);
    dxi_json_boolean(json, "closed", ring->closed);
    dxi_json_integer(json, "slots", ring->slot_count);
    dxi_json_integer(json, "slot_bytes", ring->slot_bytes);
    dxi_json_integer(json, "block_bytes", (int64_t)ring->block_bytes);
    dxi_json_integer(json, "detect_ns", now->detect_ns);
    dxi_json_integer(json, "published", ring->published);
    dxi_json_integer(json, "claimed", ring->claimed);
    dxi_json_integer(json, "consumed", ring->consumed);
    dxi_json_integer(json, "depth", ring->depth);
    dxi_json_integer(json, "remaining", ring->remaining);
    put_rate(json, "published_per_second", dxi_stat_published_rate(before, now));
    put_rate(json, "consumed_per_second", dxi_stat_consumed_rate(before, now));
    dxi_json_integer(json, "claim_waits", ring->claim_waits);
    dxi_json_integer(json, "claim_wait_ns", ring->claim_wait_ns);
    dxi_json_integer(json, "deaths", ring->deaths);
    dxi_json_integer(json, "stalls", ring->stalls);
    dxi_json_integer(json, "kills", ring->kills);
    dxi_json_integer(json, "voided", ring->voided);
    dxi_json_integer(json, "evictions", ring->evictions);
}

void dxi_stat_json(dxi_json_t *json, const dxi_ring_place_t *place, const dxi_stat_look_t *before,
                   const dxi_stat_look_t *now, bool is_gone)
{
    dxi_json_object_begin(json, NULL);
    dxi_json_text(json, "name", place->name);
    dxi_json_text(json, "file", place->path);
    dxi_json_boolean(json, "removed", is_gone);
    put_ring(json, before, now);
    dxi_json_array_begin(json, "consumers");
    for (int32_t i = 0; i < now->consumers; i++) {
        put_consumer(json, before, now, &now->consumer[i]);
    }
    dxi_json_array_end(json);
    dxi_json_array_begin(json, "producers");
    for (int32_t i = 0; i < now->producers; i++) {
        put_producer(json, before, now, &now->producer[i]);
    }
    dxi_json_array_end(json);
    dxi_json_array_begin(json, "processes");
    for (int32_t i = 0; i < now->processes; i++) {
        put_process(json, &now->process[i]);
    }
    dxi_json_array_end(json);
    dxi_json_object_end(json);
}
