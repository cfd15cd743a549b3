/* orders_bus.c - orders through a node: the clients, their handlers, and a run of them.
 *
 * INVARIANTS
 *
 *   I1  each step handles order n after order n - 1: numbers come without a gap, or the run fails
 *   I2  at most `window` orders are published and not fulfilled, so a slot of the join is free when
 *       its next order comes
 *   I3  a run that ends with DX_OK has fulfilled every order that was published
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/orders_bus.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fail.h"
#include "cli/orders_publisher.h"
#include "cli/pace.h"
#include "disruptorx/client.h"

#define BATCH 64
#define SPIN_NS (60 * DX_NS_PER_US)
#define FULL_NS (50 * DX_NS_PER_US) /* between two looks while the window is full */
/* A step publishes in its handler, which can't wait: all orders on their way have room. */
#define WINDOW_BYTES 4194304
static_assert(WINDOW_BYTES / DXI_ORDERS_BUS_WINDOW_MAX >= 512, "an order's frame is shorter");
#define CALL_NS (10 * DX_NS_PER_S)
#define RETRY_MAX_NS CALL_NS

/* An order on its way: the payload of every topic. */
typedef struct order_wire {
    int64_t number; /* from 0 */
    dxi_order_message_t message;
    int64_t intended_ns;
    int64_t sent_ns;
    int64_t validated_ns;
    int64_t step_ns; /* inventory's or payment's */
    int32_t validated_refusal;
    int32_t step_refusal;
} order_wire_t;

typedef struct step {
    DX_ISOLATED struct dxi_orders_bus *bus;
    const char *to; /* the topic it publishes to */
    dx_client_t *client;
    dx_client_subscription_t *subscriptions[2];
    dx_histogram_t *latency;
    int64_t next[2];    /* the number that must come, by subscription */
    dx_atomic64_t done; /* RELAXED, as `refused`: numbers for eyes */
    dx_atomic64_t refused;
} step_t;

/* An order of which fulfil waits for the other half. */
typedef struct half {
    order_wire_t wire;
    int32_t refusals[2];
    int64_t step_ns[2];
    bool came[2];
} half_t;

struct dxi_orders_bus {
    dxi_orders_bus_options_t options;
    dxi_dev_node_t dev;
    char address[256];
    const dx_tsc_t *tsc;
    int64_t total;
    dx_client_t *source;
    dx_thread_t *thread;
    dx_histogram_t *end_to_end;
    dx_histogram_t *lateness;
    int64_t begin_ns;
    int64_t last_ns;     /* of fulfil's thread, as the next */
    int64_t unannounced; /* fulfilled, but not published to orders.fulfilled */
    step_t steps[DXI_STAGE_COUNT];
    dxi_validation_t validation;
    dxi_inventory_t inventory;
    dxi_payment_t payment;
    dxi_fulfilment_t fulfilment;
    half_t *halves; /* `window` of them */

    DX_ISOLATED dx_atomic64_t published;
    DX_ISOLATED dx_atomic64_t fulfilled;
    DX_ISOLATED dx_atomic32_t source_done;
    dx_atomic32_t failed;  /* the first code */
    pthread_mutex_t mutex; /* of `error` */
    dx_error_t error;
};

static const struct {
    const char *name;
    const char *from;
    const char *to;
} TOPICS[DXI_ORDERS_BUS_TOPICS] = {
    {"orders.created", "source", "validate"},
    {"orders.validated", "validate", "inventory, payment"},
    {"orders.reserved", "inventory", "fulfil"},
    {"orders.paid", "payment", "fulfil"},
    {"orders.fulfilled", "fulfil", "whoever wants"},
};

/* Remembers the first failure and ends the run. Returns `code`. */
DX_PRINTF(3, 4)
static int fail_run(dxi_orders_bus_t *bus, int code, const char *format, ...)
{
    char sentence[DX_ERROR_MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    (void)pthread_mutex_lock(&bus->mutex);
    if (bus->error.code == DX_OK) {
        dxi_fail(&bus->error, code, "%s", sentence);
    }
    (void)pthread_mutex_unlock(&bus->mutex);
    /* RELAXED: who sees it takes the mutex before the sentence. */
    dx_store32_relaxed(&bus->failed, code);
    return code;
}

/* ------------------------------------------------------------------------------------- handlers */

static int64_t now_ns(const step_t *step)
{
    return dxi_stamp_ns(step->bus->tsc);
}

/* Takes the payload of an event, in its place (I1). */
static bool wire_take(step_t *step, int which, const dx_event_t *event, order_wire_t *wire_out)
{
    if (dx_load32_relaxed(&step->bus->failed) != 0) {
        return false;
    }
    if (event->bytes != sizeof *wire_out) {
        fail_run(step->bus, DX_ECORRUPT, "an event of %.*s has %u bytes, must have %zu",
                 (int)event->topic_bytes, event->topic, event->bytes, sizeof *wire_out);
        return false;
    }
    memcpy(wire_out, event->data, sizeof *wire_out);
    if (wire_out->number != step->next[which]) {
        fail_run(step->bus, DX_ECORRUPT, "order %" PRId64 " of %.*s came, must be %" PRId64,
                 wire_out->number, (int)event->topic_bytes, event->topic, step->next[which]);
        return false;
    }
    step->next[which]++;
    return true;
}

/* The order as the rules know it. */
static dxi_order_t order_of(const order_wire_t *wire)
{
    dxi_order_t order = {.message = wire->message};
    order.validated.refusal = wire->validated_refusal;
    return order;
}

static void step_done(step_t *step, int64_t since_ns, int64_t done_ns, bool is_refused)
{
    dx_histogram_record(step->latency, done_ns - since_ns);
    dx_store_relaxed(&step->done, dx_load_relaxed(&step->done) + 1);
    if (is_refused) {
        dx_store_relaxed(&step->refused, dx_load_relaxed(&step->refused) + 1);
    }
}

/* The window bounds what is on its way to the next step, so there is always room. */
static int wire_publish(step_t *step, const order_wire_t *wire)
{
    const dx_message_t message = {.topic = step->to, .data = wire, .bytes = sizeof *wire};
    dx_error_t error = {0};
    const int result = dx_client_publish(step->client, &message, &error);
    return result == DX_OK ? DX_OK : fail_run(step->bus, result, "%s: %s", step->to, error.message);
}

static int on_created(void *context, const dx_event_t *event)
{
    step_t *const step = context;
    order_wire_t wire;
    if (!wire_take(step, 0, event, &wire)) {
        return DX_OK;
    }
    dxi_order_t order = order_of(&wire);
    dxi_order_validate(&step->bus->validation, &order);
    wire.validated_refusal = order.validated.refusal;
    wire.validated_ns = now_ns(step);
    step_done(step, wire.sent_ns, wire.validated_ns, wire.validated_refusal != DXI_REFUSAL_none);
    return wire_publish(step, &wire);
}

static int on_validated_inventory(void *context, const dx_event_t *event)
{
    step_t *const step = context;
    order_wire_t wire;
    if (!wire_take(step, 0, event, &wire)) {
        return DX_OK;
    }
    dxi_order_t order = order_of(&wire);
    dxi_order_check_inventory(&step->bus->inventory, &order);
    wire.step_refusal = order.inventory.refusal;
    wire.step_ns = now_ns(step);
    step_done(step, wire.validated_ns, wire.step_ns, wire.step_refusal != DXI_REFUSAL_none);
    return wire_publish(step, &wire);
}

static int on_validated_payment(void *context, const dx_event_t *event)
{
    step_t *const step = context;
    order_wire_t wire;
    if (!wire_take(step, 0, event, &wire)) {
        return DX_OK;
    }
    dxi_order_t order = order_of(&wire);
    dxi_order_verify_payment(&step->bus->payment, &order);
    wire.step_refusal = order.payment.refusal;
    wire.step_ns = now_ns(step);
    step_done(step, wire.validated_ns, wire.step_ns, wire.step_refusal != DXI_REFUSAL_none);
    return wire_publish(step, &wire);
}

/* Publishes to orders.fulfilled, which nothing here waits for: when there is no room the event is
 * left out and counted. */
static void announce(step_t *step, const order_wire_t *wire)
{
    const dx_message_t message = {.topic = step->to, .data = wire, .bytes = sizeof *wire};
    const int result = dx_client_publish(step->client, &message, NULL);
    if (result != DX_OK) {
        step->bus->unannounced++;
    }
}

/* Both halves of the next orders are there: fulfils them. */
static void fulfil_ready(step_t *step)
{
    dxi_orders_bus_t *const bus = step->bus;
    for (;;) {
        half_t *const half = &bus->halves[bus->fulfilment.orders % bus->options.window];
        if (!half->came[0] || !half->came[1]) {
            return;
        }
        dxi_order_t order = order_of(&half->wire);
        order.inventory.refusal = half->refusals[0];
        order.payment.refusal = half->refusals[1];
        const int64_t accepted = bus->fulfilment.counts[DXI_REFUSAL_none];
        dxi_order_fulfil(&bus->fulfilment, &order);
        half->wire.step_refusal = bus->fulfilment.counts[DXI_REFUSAL_none] == accepted;
        const int64_t both_ns =
            half->step_ns[0] > half->step_ns[1] ? half->step_ns[0] : half->step_ns[1];
        bus->last_ns = now_ns(step);
        step_done(step, both_ns, bus->last_ns, half->wire.step_refusal != 0);
        dx_histogram_record(bus->end_to_end, bus->last_ns - half->wire.intended_ns);
        half->came[0] = half->came[1] = false;
        announce(step, &half->wire);
        /* RELEASE, pairs with the acquire in room_wait(): the slot is free for order n + window
         * (I2). The node's threads lie between, but the source may use the slot's room at once. */
        dx_store_release(&bus->fulfilled, bus->fulfilment.orders);
    }
}

static int half_take(step_t *step, int which, const dx_event_t *event)
{
    dxi_orders_bus_t *const bus = step->bus;
    order_wire_t wire;
    if (!wire_take(step, which, event, &wire)) {
        return DX_OK;
    }
    half_t *const half = &bus->halves[wire.number % bus->options.window];
    assert(!half->came[which]); /* I2 */
    half->came[which] = true;
    half->refusals[which] = wire.step_refusal;
    half->step_ns[which] = wire.step_ns;
    half->wire = wire;
    fulfil_ready(step);
    return DX_OK;
}

static int on_reserved(void *context, const dx_event_t *event)
{
    return half_take(context, 0, event);
}

static int on_paid(void *context, const dx_event_t *event)
{
    return half_take(context, 1, event);
}

static void on_gap(void *context, const dx_gap_t *gap)
{
    const step_t *const step = context;
    fail_run(step->bus, DX_EDROPPED, "%.*s: events %" PRIu64 " to %" PRIu64 " were dropped",
             (int)gap->topic_bytes, gap->topic, gap->first, gap->last);
}

/* --------------------------------------------------------------------------------------- source */

static bool is_over(const dxi_orders_bus_t *bus)
{
    return dx_load32_relaxed(bus->options.stop) != 0 || dx_load32_relaxed(&bus->failed) != 0;
}

/* How many orders may be published now; waits for one at least. 0: the run is over. */
static int64_t room_wait(const dxi_orders_bus_t *bus, int64_t published)
{
    while (!is_over(bus)) {
        /* ACQUIRE, pairs with the release in fulfil_ready(). */
        const int64_t room = bus->options.window - (published - dx_load_acquire(&bus->fulfilled));
        if (room > 0) {
            return room;
        }
        (void)dxi_pace_wait(dx_clock_ns() + FULL_NS, 0, bus->options.stop);
    }
    return 0;
}

static void wire_fill(dxi_orders_bus_t *bus, order_wire_t *wire, int64_t number)
{
    const dxi_csv_orders_t *const orders = bus->options.orders;
    memset(wire, 0, sizeof *wire);
    wire->number = number;
    wire->message = dxi_pipeline_message(orders, number / orders->count, number % orders->count);
    wire->sent_ns = dxi_stamp_ns(bus->tsc);
    wire->intended_ns = wire->sent_ns;
    if (bus->options.rate > 0) {
        wire->intended_ns = dxi_pace_due_ns(bus->begin_ns, bus->options.rate, number);
        dx_histogram_record(bus->lateness, wire->sent_ns - wire->intended_ns);
    }
}

static int orders_send(dxi_orders_bus_t *bus, order_wire_t *wires, dx_message_t *messages)
{
    const int64_t rate = bus->options.rate;
    int64_t published = 0;
    while (published < bus->total) {
        const int64_t room = room_wait(bus, published);
        const int64_t left = bus->total - published;
        int64_t count = room < left ? room : left;
        count = rate > 0 ? (count > 0 ? 1 : 0) : count < BATCH ? count : BATCH;
        if (count == 0 ||
            (rate > 0 && !dxi_pace_wait(dxi_pace_due_ns(bus->begin_ns, rate, published), SPIN_NS,
                                        bus->options.stop))) {
            break;
        }
        for (int64_t i = 0; i < count; i++) {
            wire_fill(bus, &wires[i], published + i);
        }
        dx_error_t error = {0};
        const int sent = dx_client_publish_batch(bus->source, messages, (int)count, &error);
        if (sent <= 0) {
            return fail_run(bus, sent < 0 ? sent : DX_EIO, "orders.created: %s", error.message);
        }
        published += sent; /* what was not taken is filled and sent again */
        dx_store_relaxed(&bus->published, published);
    }
    return DX_OK;
}

static void source_run(void *context)
{
    dxi_orders_bus_t *const bus = context;
    static order_wire_t wires[BATCH]; /* of the one source */
    dx_message_t messages[BATCH];
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < BATCH; i++) {
        messages[i].topic = TOPICS[0].name;
        messages[i].data = &wires[i];
        messages[i].bytes = sizeof wires[i];
    }
    bus->begin_ns = dxi_stamp_ns(bus->tsc);
    if (orders_send(bus, wires, messages) == DX_OK) {
        dx_error_t error = {0};
        const int flushed = dx_client_flush(bus->source, CALL_NS, &error);
        if (flushed != DX_OK) {
            fail_run(bus, flushed, "orders.created: %s", error.message);
        }
    }
    /* RELEASE, pairs with the acquire in dxi_orders_bus_is_done(): `published` is final then. */
    dx_store32_release(&bus->source_done, 1);
}

/* ------------------------------------------------------------------------------------------
 * set-up */

static int client_open(const dxi_orders_bus_t *bus, const char *name, dx_client_t **client_out,
                       dx_error_t *error)
{
    const dx_client_options_t options = {.address = bus->address,
                                         .name = name,
                                         .timeout_ns = CALL_NS,
                                         .window_bytes = WINDOW_BYTES,
                                         .thread = {.name = name}};
    return dx_client_connect(&options, client_out, error);
}

static int step_subscribe(step_t *step, int which, const char *topic, dx_event_fn on_event,
                          dx_error_t *error)
{
    const dx_subscription_options_t options = {.pattern = topic,
                                               .context = step,
                                               .on_event = on_event,
                                               .on_gap = on_gap,
                                               .ack = DX_ACK_NONE,
                                               .slow = DX_SLOW_BLOCK,
                                               .slow_block_ns = CALL_NS,
                                               .queue_events = DXI_ORDERS_BUS_WINDOW_MAX};
    return dx_client_subscribe(step->client, &options, &step->subscriptions[which], error);
}

static int steps_open(dxi_orders_bus_t *bus, dx_error_t *error)
{
    static const struct {
        dxi_pipeline_stage_t stage;
        int which;
        const char *from;
        dx_event_fn on_event;
        const char *to;
    } wiring[] = {
        {DXI_STAGE_VALIDATE, 0, "orders.created", on_created, "orders.validated"},
        {DXI_STAGE_INVENTORY, 0, "orders.validated", on_validated_inventory, "orders.reserved"},
        {DXI_STAGE_PAYMENT, 0, "orders.validated", on_validated_payment, "orders.paid"},
        {DXI_STAGE_FULFIL, 0, "orders.reserved", on_reserved, "orders.fulfilled"},
        {DXI_STAGE_FULFIL, 1, "orders.paid", on_paid, "orders.fulfilled"},
    };
    int result = client_open(bus, "source", &bus->source, error);
    for (size_t i = 0; i < sizeof wiring / sizeof wiring[0] && result == DX_OK; i++) {
        step_t *const step = &bus->steps[wiring[i].stage];
        step->bus = bus;
        step->to = wiring[i].to;
        if (step->client == NULL) {
            result = client_open(bus, dxi_latency_name((dxi_latency_t)wiring[i].stage),
                                 &step->client, error);
        }
        if (result == DX_OK) {
            result =
                step_subscribe(step, wiring[i].which, wiring[i].from, wiring[i].on_event, error);
        }
    }
    return result;
}

static int bus_set_up(dxi_orders_bus_t *bus, dx_error_t *error)
{
    bus->tsc = dx_tsc_default();
    dxi_inventory_begin(&bus->inventory);
    dxi_payment_begin(&bus->payment);
    bus->halves = dxi_alloc_zeroed((size_t)bus->options.window, sizeof *bus->halves);
    if (bus->halves == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for %" PRId64 " orders", bus->options.window);
    }
    int result = dxi_pipeline_total(bus->options.orders, bus->options.repeat, &bus->total, error);
    for (int i = 0; i < DXI_STAGE_COUNT && result == DX_OK; i++) {
        result = dx_histogram_create(&bus->steps[i].latency, error);
    }
    if (result == DX_OK) {
        result = dx_histogram_create(&bus->end_to_end, error);
    }
    if (result == DX_OK) {
        result = dx_histogram_create(&bus->lateness, error);
    }
    if (result == DX_OK) {
        result = dxi_dev_node_start(bus->options.transport, NULL, 0, &bus->dev, error);
    }
    if (result == DX_OK) {
        snprintf(bus->address, sizeof bus->address, "%s", dxi_dev_node_address(&bus->dev));
        result = steps_open(bus, error);
    }
    return result;
}

static void clients_close(dxi_orders_bus_t *bus)
{
    (void)dx_client_close(bus->source, DX_NS_PER_S);
    bus->source = NULL;
    for (int i = 0; i < DXI_STAGE_COUNT; i++) {
        (void)dx_client_close(bus->steps[i].client, DX_NS_PER_S);
        bus->steps[i].client = NULL;
    }
}

static void bus_free(dxi_orders_bus_t *bus)
{
    clients_close(bus);
    dxi_dev_node_stop(&bus->dev);
    for (int i = 0; i < DXI_STAGE_COUNT; i++) {
        dx_histogram_destroy(bus->steps[i].latency);
    }
    dx_histogram_destroy(bus->end_to_end);
    dx_histogram_destroy(bus->lateness);
    dxi_free(bus->halves);
    (void)pthread_mutex_destroy(&bus->mutex);
    dxi_free(bus);
}

int dxi_orders_bus_start(const dxi_orders_bus_options_t *options, dxi_orders_bus_t **bus_out,
                         dx_error_t *error)
{
    *bus_out = NULL;
    assert(options->window >= 1 && options->window <= DXI_ORDERS_BUS_WINDOW_MAX);
    dxi_orders_bus_t *const bus = dxi_alloc_zeroed(1, sizeof *bus);
    if (bus == NULL) {
        return dxi_fail(error, DX_ENOMEM, "no memory for the pipeline, %zu bytes", sizeof *bus);
    }
    bus->options = *options;
    (void)pthread_mutex_init(&bus->mutex, NULL);
    const dx_thread_options_t thread = {.name = "source"};
    int result = bus_set_up(bus, error);
    if (result == DX_OK) {
        result = dx_thread_start(&thread, source_run, bus, &bus->thread, error);
    }
    if (result != DX_OK) {
        bus_free(bus);
        return result;
    }
    *bus_out = bus;
    return DX_OK;
}

/* ------------------------------------------------------------------------------------------ run */

bool dxi_orders_bus_is_done(const dxi_orders_bus_t *bus)
{
    if (dx_load32_relaxed(&bus->failed) != 0) {
        return true;
    }
    /* ACQUIRE, pairs with the release in source_run() and in fulfil_ready(). */
    return dx_load32_acquire(&bus->source_done) != 0 &&
           dx_load_acquire(&bus->fulfilled) == dx_load_relaxed(&bus->published);
}

void dxi_orders_bus_look(const dxi_orders_bus_t *bus, dxi_orders_bus_look_t *look_out)
{
    look_out->taken_ns = dx_clock_ns();
    look_out->total = bus->total;
    look_out->published = dx_load_relaxed(&bus->published);
    for (int i = 0; i < DXI_STAGE_COUNT; i++) {
        look_out->steps[i] = dx_load_relaxed(&bus->steps[i].done);
        look_out->refused[i] = dx_load_relaxed(&bus->steps[i].refused);
    }
    dx_histogram_summarize(bus->end_to_end, &look_out->end_to_end);
}

static void topics_read(dxi_orders_bus_t *bus, dxi_orders_bus_result_t *result)
{
    for (int i = 0; i < DXI_ORDERS_BUS_TOPICS; i++) {
        dxi_orders_bus_topic_t *const topic = &result->topics[i];
        dx_topic_stats_t stats;
        topic->name = TOPICS[i].name;
        topic->from = TOPICS[i].from;
        topic->to = TOPICS[i].to;
        if (dx_client_topic_stats(bus->source, topic->name, &stats, NULL) == DX_OK) {
            topic->published = (int64_t)stats.published;
            topic->delivered = (int64_t)stats.delivered;
            topic->dropped = (int64_t)stats.dropped;
            topic->latency_p50_ns = stats.latency_p50_ns;
            topic->latency_p99_ns = stats.latency_p99_ns;
        }
    }
}

static void result_read(dxi_orders_bus_t *bus, dxi_orders_bus_result_t *result)
{
    memcpy(result->address, bus->address, sizeof result->address);
    result->total = bus->total;
    result->published = dx_load_relaxed(&bus->published);
    result->totals = bus->fulfilment;
    result->unannounced = bus->unannounced;
    if (result->totals.orders > 0) {
        result->elapsed_ns = bus->last_ns - bus->begin_ns;
    }
    for (int i = 0; i < DXI_STAGE_COUNT; i++) {
        dx_histogram_summarize(bus->steps[i].latency, &result->latency[i]);
    }
    dx_histogram_summarize(bus->end_to_end, &result->latency[DXI_LATENCY_END_TO_END]);
    dx_histogram_summarize(bus->lateness, &result->latency[DXI_LATENCY_SEND]);
}

int dxi_orders_bus_end(dxi_orders_bus_t *bus, dxi_orders_bus_result_t *result_out,
                       dx_error_t *error)
{
    memset(result_out, 0, sizeof *result_out);
    if (dx_load32_relaxed(&bus->failed) != 0) {
        dx_store32_relaxed(bus->options.stop, 1); /* the source may be waiting */
    }
    (void)dx_thread_join(bus->thread);
    topics_read(bus, result_out);
    clients_close(bus); /* from here on no handler runs */
    result_read(bus, result_out);
    (void)pthread_mutex_lock(&bus->mutex);
    const int code = bus->error.code;
    if (code != DX_OK && error != NULL) {
        *error = bus->error;
    }
    (void)pthread_mutex_unlock(&bus->mutex);
    bus_free(bus);
    return code;
}
