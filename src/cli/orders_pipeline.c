/* orders_pipeline.c - the graph, its handlers and a run of it.
 *
 * INVARIANTS
 *
 *   I1  a part of an order is written by one stage, and read only by stages behind it
 *   I2  a run that ends with DX_OK has fulfilled every order that was published
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/orders_pipeline.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "base/format.h"
#include "cli/orders_publisher.h"

#define PROGRESS_NS (100 * DX_NS_PER_MS)

/* What the stages have; each on lines of its own, because its thread writes there. */
typedef struct validate_stage {
    DX_ISOLATED const dx_tsc_t *tsc;
    dx_histogram_t *latency;
    dxi_validation_t state;
} validate_stage_t;

typedef struct inventory_stage {
    DX_ISOLATED const dx_tsc_t *tsc;
    dx_histogram_t *latency;
    dxi_inventory_t state;
} inventory_stage_t;

typedef struct payment_stage {
    DX_ISOLATED const dx_tsc_t *tsc;
    dx_histogram_t *latency;
    dxi_payment_t state;
} payment_stage_t;

typedef struct fulfil_stage {
    DX_ISOLATED const dx_tsc_t *tsc;
    dx_histogram_t *latency;
    dx_histogram_t *end_to_end;
    int64_t last_ns; /* when the last order was fulfilled */
    dxi_fulfilment_t state;
} fulfil_stage_t;

/* One run. */
typedef struct pipeline {
    const dxi_pipeline_options_t *options;
    const dx_tsc_t *tsc;
    int64_t total;
    dx_disruptor_t *disruptor;
    dx_histogram_t *latency[DXI_LATENCY_COUNT];
    dxi_publisher_t publisher;
    validate_stage_t validate;
    inventory_stage_t inventory;
    payment_stage_t payment;
    fulfil_stage_t fulfil;
} pipeline_t;

const char *dxi_latency_name(dxi_latency_t latency)
{
    static const char *const names[DXI_LATENCY_COUNT] = {"validate", "inventory",  "payment",
                                                         "fulfil",   "end_to_end", "send"};
    return names[latency];
}

int dxi_pipeline_total(const dxi_csv_orders_t *orders, int64_t repeat, int64_t *total_out,
                       dx_error_t *error)
{
    if (__builtin_mul_overflow(orders->count, repeat, total_out) ||
        *total_out > DXI_PIPELINE_EVENTS_MAX) {
        return dxi_fail(error, DX_EINVAL,
                        "--repeat is %" PRId64 ", must be at most %" PRId64 " for %" PRId64
                        " orders: a run has up to %s",
                        repeat, DXI_PIPELINE_EVENTS_MAX / orders->count, orders->count,
                        dxi_format_count(&(dxi_text_t){0}, DXI_PIPELINE_EVENTS_MAX));
    }
    return DX_OK;
}

dxi_order_message_t dxi_pipeline_message(const dxi_csv_orders_t *orders, int64_t round,
                                         int64_t index)
{
    dxi_order_message_t message = orders->messages[index];
    if (message.id > 0) {
        /* Below 10^12 x 10^6 (DXI_CSV_NUMBER_MAX, DXI_PIPELINE_REPEAT_MAX): no overflow. */
        message.id += round * (orders->id_max + 1);
    }
    return message;
}

/* --------------------------------------------------------------------------------- handlers */

static int on_validate(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    (void)sequence;
    (void)end_of_batch;
    validate_stage_t *const stage = context;
    dxi_order_t *const order = event;
    dxi_order_validate(&stage->state, order);
    order->validated.done_ns = dxi_stamp_ns(stage->tsc);
    dx_histogram_record(stage->latency, order->validated.done_ns - order->sent_ns);
    return DX_HANDLER_CONTINUE;
}

static int on_inventory(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    (void)sequence;
    (void)end_of_batch;
    inventory_stage_t *const stage = context;
    dxi_order_t *const order = event;
    dxi_order_check_inventory(&stage->state, order);
    order->inventory.done_ns = dxi_stamp_ns(stage->tsc);
    dx_histogram_record(stage->latency, order->inventory.done_ns - order->validated.done_ns);
    return DX_HANDLER_CONTINUE;
}

static int on_payment(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    (void)sequence;
    (void)end_of_batch;
    payment_stage_t *const stage = context;
    dxi_order_t *const order = event;
    dxi_order_verify_payment(&stage->state, order);
    order->payment.done_ns = dxi_stamp_ns(stage->tsc);
    dx_histogram_record(stage->latency, order->payment.done_ns - order->validated.done_ns);
    return DX_HANDLER_CONTINUE;
}

static int on_fulfil(void *context, void *event, int64_t sequence, bool end_of_batch)
{
    (void)sequence;
    (void)end_of_batch;
    fulfil_stage_t *const stage = context;
    const dxi_order_t *const order = event;
    const int64_t inventory_ns = order->inventory.done_ns;
    const int64_t payment_ns = order->payment.done_ns;
    dxi_order_fulfil(&stage->state, order);
    stage->last_ns = dxi_stamp_ns(stage->tsc);
    dx_histogram_record(stage->latency,
                        stage->last_ns - (inventory_ns > payment_ns ? inventory_ns : payment_ns));
    dx_histogram_record(stage->end_to_end, stage->last_ns - order->intended_ns);
    return DX_HANDLER_CONTINUE;
}

/* ------------------------------------------------------------------------------------ set-up */

/* The CPU of participant `index`, publisher 0: an empty set when none was asked for. */
static dx_cpu_set_t cpu_of(const dxi_pipeline_options_t *options, uint32_t index)
{
    dx_cpu_set_t chosen = {0};
    const uint32_t count = dx_cpu_set_count(&options->cpus);
    if (count == 0) {
        return chosen;
    }
    int32_t cpu = dx_cpu_set_next(&options->cpus, 0);
    for (uint32_t i = 0; i < index % count; i++) {
        cpu = dx_cpu_set_next(&options->cpus, (uint32_t)cpu + 1);
    }
    dx_cpu_set_add(&chosen, (uint32_t)cpu);
    return chosen;
}

static int graph_make(pipeline_t *pipeline, dx_error_t *error)
{
    const dxi_pipeline_options_t *const options = pipeline->options;
    dx_handler_t validate = {
        .name = "validate", .context = &pipeline->validate, .on_event = on_validate};
    dx_handler_t branches[] = {
        {.name = "inventory", .context = &pipeline->inventory, .on_event = on_inventory},
        {.name = "payment", .context = &pipeline->payment, .on_event = on_payment},
    };
    dx_handler_t fulfil = {.name = "fulfil", .context = &pipeline->fulfil, .on_event = on_fulfil};
    dx_handler_t *const handlers[] = {&validate, &branches[0], &branches[1], &fulfil};
    for (uint32_t i = 0; i < DXI_STAGE_COUNT; i++) {
        handlers[i]->wait.kind = options->wait;
        handlers[i]->thread.cpus = cpu_of(options, i + 1);
    }
    const dx_disruptor_options_t disruptor_options = {
        .ring = {.name = "orders",
                 .slot_count = (uint32_t)options->capacity,
                 .event_bytes = (uint32_t)sizeof(dxi_order_t),
                 .mode = DX_RING_SINGLE,
                 .memory = {.prefault = true}},
    };
    int result = dx_disruptor_create(&disruptor_options, &pipeline->disruptor, error);
    if (result != DX_OK) {
        return result;
    }
    dx_group_t validated;
    dx_group_t checked;
    result = dx_disruptor_handle_events_with(pipeline->disruptor, &validate, 1, &validated, error);
    if (result == DX_OK) {
        result = dx_group_then(validated, branches, 2, &checked, error);
    }
    if (result == DX_OK) {
        result = dx_group_then(checked, &fulfil, 1, NULL, error);
    }
    return result;
}

static int pipeline_set_up(pipeline_t *pipeline, const dxi_pipeline_options_t *options,
                           dx_error_t *error)
{
    pipeline->options = options;
    int result = dxi_pipeline_total(options->orders, options->repeat, &pipeline->total, error);
    for (int i = 0; i < DXI_LATENCY_COUNT && result == DX_OK; i++) {
        result = dx_histogram_create(&pipeline->latency[i], error);
    }
    if (result != DX_OK) {
        return result;
    }
    const dx_tsc_t *const tsc = dx_tsc_default();
    pipeline->tsc = tsc;
    pipeline->validate.tsc = tsc;
    pipeline->validate.latency = pipeline->latency[DXI_LATENCY_VALIDATE];
    pipeline->inventory.tsc = tsc;
    pipeline->inventory.latency = pipeline->latency[DXI_LATENCY_INVENTORY];
    dxi_inventory_begin(&pipeline->inventory.state);
    pipeline->payment.tsc = tsc;
    pipeline->payment.latency = pipeline->latency[DXI_LATENCY_PAYMENT];
    dxi_payment_begin(&pipeline->payment.state);
    pipeline->fulfil.tsc = tsc;
    pipeline->fulfil.latency = pipeline->latency[DXI_LATENCY_FULFIL];
    pipeline->fulfil.end_to_end = pipeline->latency[DXI_LATENCY_END_TO_END];
    return graph_make(pipeline, error);
}

static void pipeline_free(pipeline_t *pipeline)
{
    dx_disruptor_destroy(pipeline->disruptor);
    for (int i = 0; i < DXI_LATENCY_COUNT; i++) {
        dx_histogram_destroy(pipeline->latency[i]);
    }
    dxi_free(pipeline);
}

/* --------------------------------------------------------------------------------------- run */

static void progress_say(const pipeline_t *pipeline, int64_t begin_ns)
{
    dx_ring_stat_t stat;
    dx_ring_stat(dx_disruptor_ring(pipeline->disruptor), &stat);
    const dxi_pipeline_progress_t progress = {
        .total = pipeline->total,
        .published = stat.published + 1,
        .fulfilled = stat.consumed + 1,
        .depth = stat.depth,
        .elapsed_ns = dx_clock_ns() - begin_ns,
    };
    pipeline->options->progress(&progress);
}

/* Waits for the publisher at most PROGRESS_NS. True when it is done. */
static bool publisher_wait(dxi_publisher_t *publisher)
{
    const int64_t until_ns = dx_clock_realtime_ns() + PROGRESS_NS;
    const struct timespec until = {.tv_sec = (time_t)(until_ns / DX_NS_PER_S),
                                   .tv_nsec = (long)(until_ns % DX_NS_PER_S)};
    return sem_timedwait(&publisher->done, &until) == 0;
}

/* Waits until everything that was published is fulfilled, and ends the stages (I2). */
static int drain(const pipeline_t *pipeline, int64_t begin_ns, dx_error_t *error)
{
    for (;;) {
        const int result = dx_disruptor_shutdown(pipeline->disruptor, PROGRESS_NS, error);
        if (result != DX_ETIMEDOUT) {
            return result;
        }
        if (pipeline->options->progress != NULL) {
            progress_say(pipeline, begin_ns);
        }
    }
}

static int publish_and_drain(pipeline_t *pipeline, dx_error_t *error)
{
    dxi_publisher_t *const publisher = &pipeline->publisher;
    const dx_thread_options_t thread_options = {.name = "publisher",
                                                .cpus = cpu_of(pipeline->options, 0)};
    const int64_t begin_ns = dx_clock_ns();
    dx_thread_t *thread = NULL;
    int result = dx_thread_start(&thread_options, dxi_publisher_run, publisher, &thread, error);
    if (result != DX_OK) {
        (void)dx_disruptor_halt(pipeline->disruptor);
        return result;
    }
    while (!publisher_wait(publisher)) {
        if (pipeline->options->progress != NULL) {
            progress_say(pipeline, begin_ns);
        }
    }
    (void)dx_thread_join(thread);
    result = drain(pipeline, begin_ns, error);
    if (result == DX_OK && publisher->result != DX_OK && error != NULL) {
        *error = publisher->error;
    }
    return result != DX_OK ? result : publisher->result;
}

static void result_read(const pipeline_t *pipeline, dxi_pipeline_result_t *result)
{
    const dxi_publisher_t *const publisher = &pipeline->publisher;
    const dx_ring_t *const ring = dx_disruptor_ring(pipeline->disruptor);
    result->total = pipeline->total;
    result->published = publisher->published;
    result->totals = pipeline->fulfil.state;
    if (result->totals.orders > 0) {
        result->elapsed_ns = pipeline->fulfil.last_ns - publisher->begin_ns;
    }
    for (int i = 0; i < DXI_LATENCY_COUNT; i++) {
        dx_histogram_summarize(pipeline->latency[i], &result->latency[i]);
    }
    dx_ring_stat(ring, &result->ring);
    for (int32_t i = 0; i < DXI_STAGE_COUNT; i++) {
        /* Stages are the consumers of the ring in the order they were added; it has no others. */
        const int found = dx_ring_consumer_stat(ring, i, &result->stages[i]);
        assert(found == DX_OK);
        (void)found;
    }
}

int dxi_pipeline_run(const dxi_pipeline_options_t *options, dxi_pipeline_result_t *result_out,
                     dx_error_t *error)
{
    memset(result_out, 0, sizeof *result_out);
    pipeline_t *const pipeline = dxi_alloc_zeroed(1, sizeof *pipeline);
    if (pipeline == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for a pipeline of %zu bytes",
                        sizeof *pipeline);
    }
    int result = pipeline_set_up(pipeline, options, error);
    if (result == DX_OK) {
        result = dx_disruptor_start(pipeline->disruptor, error);
    }
    if (result == DX_OK) {
        dxi_publisher_t *const publisher = &pipeline->publisher;
        publisher->options = options;
        publisher->tsc = pipeline->tsc;
        publisher->ring = dx_disruptor_ring(pipeline->disruptor);
        publisher->lateness = pipeline->latency[DXI_LATENCY_SEND];
        publisher->total = pipeline->total;
        (void)sem_init(&publisher->done, 0, 0);
        result = publish_and_drain(pipeline, error);
        (void)sem_destroy(&publisher->done);
        result_read(pipeline, result_out);
    }
    pipeline_free(pipeline);
    return result;
}

/* ----------------------------------------------------------------------------------- reference */

typedef struct reference {
    dxi_validation_t validation;
    dxi_inventory_t inventory;
    dxi_payment_t payment;
} reference_t;

int dxi_pipeline_reference(const dxi_csv_orders_t *orders, int64_t count,
                           dxi_fulfilment_t *totals_out, dx_error_t *error)
{
    memset(totals_out, 0, sizeof *totals_out);
    reference_t *const reference = dxi_alloc_zeroed(1, sizeof *reference);
    if (reference == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for the reference");
    }
    dxi_inventory_begin(&reference->inventory);
    dxi_payment_begin(&reference->payment);
    for (int64_t i = 0; i < count; i++) {
        dxi_order_t order = {
            .message = dxi_pipeline_message(orders, i / orders->count, i % orders->count)};
        dxi_order_validate(&reference->validation, &order);
        dxi_order_check_inventory(&reference->inventory, &order);
        dxi_order_verify_payment(&reference->payment, &order);
        dxi_order_fulfil(totals_out, &order);
    }
    dxi_free(reference);
    return DX_OK;
}
