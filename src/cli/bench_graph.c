/* cli/bench_graph.c - scenarios whose consumers are handlers of one disruptor.
 *
 *     parallel    P -> A, B, C        pipeline   P -> A -> B -> C
 *     diamond     P -> A, B -> C      pool       P -> A | B | C      (keyed: by the event's key)
 *
 * The number of producers decides whether the ring is a single- or a multi-producer one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/bench_event.h"
#include "cli/bench_run.h"

/* What a worker takes at a time is the library's default. */
static uint64_t event_key(void *context, const void *event)
{
    (void)context;
    return *(const uint64_t *)event % DXI_BENCH_KEYS;
}

static int consumers_add(dxi_bench_run_t *run, const dx_handler_t *handlers, dx_error_t *error)
{
    dx_disruptor_t *const d = run->disruptor;
    const dxi_bench_shape_t shape = run->scenario->shape;
    const uint32_t count = run->consumer_count;
    if (shape == DXI_BENCH_POOL || shape == DXI_BENCH_KEYED) {
        const dx_pool_t pool = {.workers = handlers,
                                .worker_count = count,
                                .key = shape == DXI_BENCH_KEYED ? event_key : NULL};
        return dx_disruptor_handle_events_with_pool(d, &pool, NULL, error);
    }
    const uint32_t first = shape == DXI_BENCH_PARALLEL  ? count
                           : shape == DXI_BENCH_DIAMOND ? count - 1
                                                        : 1;
    dx_group_t group;
    int result = dx_disruptor_handle_events_with(d, handlers, first, &group, error);
    for (uint32_t i = first; i < count && result == DX_OK; i++) {
        result = dx_group_then(group, &handlers[i], 1, &group, error);
    }
    return result;
}

static int producers_open(dxi_bench_run_t *run, dx_ring_t *ring, dx_error_t *error)
{
    int result = DX_OK;
    for (uint32_t i = 0; i < run->producer_count && result == DX_OK; i++) {
        result = dxi_bench_producer_open(run, i, ring, error);
    }
    return result;
}

int dxi_bench_graph_build(dxi_bench_run_t *run, dx_handler_t *handlers, dx_error_t *error)
{
    if (run->far) { /* the handlers are on the other side */
        const int attached = dxi_bench_attach(run, 0, error);
        return attached == DX_OK ? producers_open(run, run->rings[0], error) : attached;
    }
    const dx_disruptor_options_t options = {
        .ring = {.name = "bench",
                 .slot_count = run->params->capacity,
                 .event_bytes = run->params->event_bytes,
                 .mode = run->producer_count > 1 || run->scenario->multi ? DX_RING_MULTI
                                                                         : DX_RING_SINGLE,
                 .producers_max = run->producer_count,
                 .consumers_max = run->consumer_count + 2,
                 .memory = {.prefault = true},
                 .share = dxi_bench_share_options(run, 0)},
        .wait = dxi_bench_wait(run),
    };
    int result = dx_disruptor_create(&options, &run->disruptor, error);
    if (result != DX_OK) {
        return result;
    }
    for (uint32_t i = 0; i < run->consumer_count; i++) {
        handlers[i].wait = options.wait;
        handlers[i].thread.cpus = dxi_bench_cpus(run, run->producer_count + i);
    }
    result = consumers_add(run, handlers, error);
    if (result == DX_OK) {
        result = dx_disruptor_start(run->disruptor, error);
    }
    return result == DX_OK ? producers_open(run, dx_disruptor_ring(run->disruptor), error) : result;
}

int dxi_bench_graph_open(dxi_bench_run_t *run, dx_error_t *error)
{
    const dxi_bench_loops_t *const loops = dxi_bench_loops_find(run->params->event_bytes);
    const bool pool =
        run->scenario->check == DXI_BENCH_SUM_SHARED && run->scenario->shape >= DXI_BENCH_POOL;
    dx_handler_t handlers[DXI_BENCH_CONSUMERS_MAX] = {0};
    for (uint32_t i = 0; i < run->consumer_count; i++) {
        handlers[i].context = &run->tallies[i];
        if (run->scenario->shape == DXI_BENCH_KEYED) {
            handlers[i].on_event = loops->on_keyed_event;
        } else if (pool || run->params->per_event) {
            handlers[i].on_event = loops->on_event;
        } else {
            handlers[i].on_batch = loops->on_batch;
        }
    }
    return dxi_bench_graph_build(run, handlers, error);
}

int dxi_bench_graph_thread(dxi_bench_run_t *run, uint32_t index)
{
    uint64_t first = 0;
    const uint64_t count = dxi_bench_share(run, index, &first);
    const dxi_bench_loops_t *const loops = dxi_bench_loops_find(run->params->event_bytes);
    return loops->produce(&run->producers[index], first, count, run->params->batch);
}

int dxi_bench_translator_thread(dxi_bench_run_t *run, uint32_t index)
{
    uint64_t first = 0;
    const uint64_t count = dxi_bench_share(run, index, &first);
    const dxi_bench_loops_t *const loops = dxi_bench_loops_find(run->params->event_bytes);
    return loops->produce_translated(&run->producers[index], first, count, run->params->batch);
}
